// Counters and durations of the requests that one rule of a route sends to one service: live cells with one writer, a worker, read by the main thread. Less than
// request_metrics.h has, since there may be a thousand: some 0.2 KB.
#ifndef TELEMETRY_ROUTE_METRICS_H
#define TELEMETRY_ROUTE_METRICS_H

#include "telemetry/request_metrics.h"

struct route_metrics {
    struct metric_cell requests[STATUS_CLASSES];
    struct request_durations durations;
};

// All zero is the initial state: no init.

// The writer's thread, once for each request, at its end. `status`: what was sent to the client, 0 for none.
void route_metrics_count(struct route_metrics *metrics, unsigned status, nanoseconds duration);

// Adds `from`, which may be written to meanwhile by its worker, to `total`, which is the caller's.
void route_metrics_merge(struct route_metrics *total, const struct route_metrics *from);

// One rule and service, merged over workers, for exposition.
struct route_series {
    struct bytes route, service;
    const struct route_metrics *metrics;
};

void route_metrics_expose(struct exposition *exposition, const struct route_series *series, uint32_t count);

#endif
