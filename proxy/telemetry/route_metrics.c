// Counting, merging and writing of the requests of routes: see route_metrics.h.
#include "telemetry/route_metrics.h"

#include "base/check.h"

void route_metrics_count(struct route_metrics *metrics, unsigned status, nanoseconds duration) {
    CHECK(status < 600);
    metric_add(&metrics->requests[status / 100], 1);
    metric_add(&metrics->durations.buckets[duration_bucket(duration)], 1);
    metric_add(&metrics->durations.sum_ns, duration);
}

void route_metrics_merge(struct route_metrics *total, const struct route_metrics *from) {
    metric_merge(total, from, sizeof *total);
}

static void expose_requests(struct exposition *exposition, const struct route_series *series) {
    for (unsigned group = 0; group < STATUS_CLASSES; group++) {
        uint64_t count = metric_read(&series->metrics->requests[group]);
        struct bytes labels[] = {series->route, series->service, status_class_name(group)};
        if (count > 0)
            exposition_add(exposition, labels, count);
    }
}

static void expose_durations(struct exposition *exposition, const struct route_series *series) {
    uint64_t buckets[DURATION_BUCKETS];
    for (unsigned i = 0; i < DURATION_BUCKETS; i++)
        buckets[i] = metric_read(&series->metrics->durations.buckets[i]);
    struct bytes labels[] = {series->route, series->service};
    exposition_add_histogram(exposition, labels, buckets, metric_read(&series->metrics->durations.sum_ns));
}

void route_metrics_expose(struct exposition *exposition, const struct route_series *series, uint32_t count) {
    exposition_begin(exposition, METRIC_ROUTE_REQUESTS);
    for (uint32_t i = 0; i < count; i++)
        expose_requests(exposition, &series[i]);
    exposition_begin(exposition, METRIC_ROUTE_DURATION);
    for (uint32_t i = 0; i < count; i++)
        expose_durations(exposition, &series[i]);
}
