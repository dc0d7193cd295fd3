// Any bytes as the body of a health answer. Properties: nothing is read behind them, a status is below the bound, and a field of a later version behind an answer changes nothing.
#include "base/check.h"
#include "upstream/grpc_health.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    char longer[512];
    uint32_t status, again;
    if (size > sizeof longer - 2 || !grpc_health_response(bytes_from((const char *)input, size), &status))
        return 0;
    CHECK(status < GRPC_HEALTH_STATUS_MAX);
    memcpy(longer, input, size);
    longer[size] = 0x78; // field 15, a number
    longer[size + 1] = 1;
    const size_t length = size - 5 + 2;
    longer[1] = longer[2] = 0;
    longer[3] = (char)(length >> 8);
    longer[4] = (char)length;
    CHECK(grpc_health_response(bytes_from(longer, size + 2), &again) && again == status);
    return 0;
}
