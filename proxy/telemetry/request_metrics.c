// Counting, merging and writing of the requests of services: see request_metrics.h.
#include "telemetry/request_metrics.h"

#include "base/check.h"

#include <assert.h>

#define X(name) name,
static const char *const method_names[] = {REQUEST_METHOD_LIST(X)};
#undef X
static_assert(sizeof(method_names) / sizeof(*method_names) == REQUEST_METHODS, "a name for each method");

struct bytes status_class_name(unsigned group) {
    static const struct bytes names[STATUS_CLASSES] = {BYTES_OF("none"), BYTES_OF("1xx"), BYTES_OF("2xx"),
                                                       BYTES_OF("3xx"),  BYTES_OF("4xx"), BYTES_OF("5xx")};
    CHECK(group < STATUS_CLASSES);
    return names[group];
}

static struct bytes direction_name(enum request_direction direction) {
    return direction == REQUEST_INBOUND ? BYTES("inbound") : BYTES("outbound");
}

static void expose_requests(struct exposition *exposition, const struct request_series *series) {
    for (unsigned method = 0; method < REQUEST_METHODS; method++)
        for (unsigned group = 0; group < STATUS_CLASSES; group++) {
            uint64_t count = metric_read(&series->metrics->requests[method][group]);
            struct bytes labels[] = {direction_name(series->direction), series->service, bytes_from_text(method_names[method]),
                                     status_class_name(group)};
            if (count > 0)
                exposition_add(exposition, labels, count);
        }
}

static void expose_ends(struct exposition *exposition, const struct request_series *series) {
    for (int end = 0; end <= ERROR_COUNT; end++) {
        uint64_t count = metric_read(&series->metrics->ends[end]);
        struct bytes labels[] = {direction_name(series->direction), series->service, bytes_from_text(error_name((enum error) - end))};
        if (count > 0)
            exposition_add(exposition, labels, count);
    }
}

static void expose_durations(struct exposition *exposition, const struct request_series *series) {
    for (unsigned group = 0; group < STATUS_CLASSES; group++) {
        const struct request_durations *durations = &series->metrics->durations[group];
        uint64_t buckets[DURATION_BUCKETS], count = 0;
        for (unsigned i = 0; i < DURATION_BUCKETS; i++)
            count += buckets[i] = metric_read(&durations->buckets[i]);
        struct bytes labels[] = {series->service, status_class_name(group)};
        if (count > 0)
            exposition_add_histogram(exposition, labels, buckets, metric_read(&durations->sum_ns));
    }
}

static void expose_durations_of(struct exposition *exposition, enum metric metric, enum request_direction direction,
                                const struct request_series *series, uint32_t count) {
    exposition_begin(exposition, metric);
    for (uint32_t i = 0; i < count; i++)
        if (series[i].direction == direction)
            expose_durations(exposition, &series[i]);
}

void request_metrics_count(struct request_metrics *metrics, unsigned method, unsigned status, enum error end, nanoseconds duration) {
    CHECK(method < REQUEST_METHODS && status < 600);
    CHECK(end <= OK && -(int)end <= ERROR_COUNT);
    unsigned group = status / 100;
    struct request_durations *durations = &metrics->durations[group];
    metric_add(&metrics->requests[method][group], 1);
    metric_add(&metrics->ends[-(int)end], 1);
    metric_add(&durations->buckets[duration_bucket(duration)], 1);
    metric_add(&durations->sum_ns, duration);
}

void request_metrics_merge(struct request_metrics *total, const struct request_metrics *from) {
    metric_merge(total, from, sizeof *total);
}

void request_metrics_expose(struct exposition *exposition, const struct request_series *series, uint32_t count) {
    exposition_begin(exposition, METRIC_REQUESTS);
    for (uint32_t i = 0; i < count; i++)
        expose_requests(exposition, &series[i]);
    exposition_begin(exposition, METRIC_REQUEST_ENDS);
    for (uint32_t i = 0; i < count; i++)
        expose_ends(exposition, &series[i]);
    expose_durations_of(exposition, METRIC_SERVER_DURATION, REQUEST_INBOUND, series, count);
    expose_durations_of(exposition, METRIC_CLIENT_DURATION, REQUEST_OUTBOUND, series, count);
}
