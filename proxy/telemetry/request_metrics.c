// Merging and writing of how requests ended: see request_metrics.h.
#include "telemetry/request_metrics.h"

#include <assert.h>

#define X(name) BYTES_OF(name),
static const struct bytes method_names[] = {REQUEST_METHOD_LIST(X)};
#undef X
static_assert(sizeof(method_names) / sizeof(*method_names) == REQUEST_METHODS, "a name for each method");

struct bytes request_method_name(unsigned method) {
    CHECK(method < REQUEST_METHODS);
    return method_names[method];
}

static void expose_ends(struct exposition *exposition, const struct request_ends *ends) {
    for (int end = 0; end <= ERROR_COUNT; end++) {
        const uint64_t count = metric_read(&ends->metrics->ends[end]);
        const struct bytes direction = ends->direction == REQUEST_INBOUND ? BYTES("inbound") : BYTES("outbound");
        if (count > 0)
            exposition_add(exposition, (const struct bytes[]){direction, ends->service, bytes_from_text(error_name((enum error) - end))}, count);
    }
}

void request_metrics_merge(struct request_metrics *total, const struct request_metrics *from) {
    metric_merge(total, from, sizeof *total);
}

void request_metrics_expose(struct exposition *exposition, const struct request_ends *ends, uint32_t count) {
    exposition_begin(exposition, METRIC_REQUEST_ENDS);
    for (uint32_t i = 0; i < count; i++)
        expose_ends(exposition, &ends[i]);
}
