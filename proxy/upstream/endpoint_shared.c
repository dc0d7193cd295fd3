// The words for why an endpoint is left out: see endpoint_shared.h.
#include "upstream/endpoint_shared.h"

#include <stdio.h>

size_t cause_print(int32_t cause, char text[CAUSE_TEXT_MAX]) {
    // grpc/health/v1/health.proto
    static const char *const serving[] = {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};
    int length;
    if (cause < 0)
        length = snprintf(text, CAUSE_TEXT_MAX, "%s", error_name((enum error)cause));
    else if (cause < CAUSE_GRPC)
        length = snprintf(text, CAUSE_TEXT_MAX, "status %d", cause);
    else if (cause < CAUSE_GRPC_HEALTH)
        length = snprintf(text, CAUSE_TEXT_MAX, "grpc-status %d", cause - CAUSE_GRPC);
    else if (cause - CAUSE_GRPC_HEALTH < 4)
        length = snprintf(text, CAUSE_TEXT_MAX, "%s", serving[cause - CAUSE_GRPC_HEALTH]);
    else
        length = snprintf(text, CAUSE_TEXT_MAX, "serving status %d", cause - CAUSE_GRPC_HEALTH);
    return length > 0 ? (size_t)length : 0;
}
