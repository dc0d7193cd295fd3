// How the requests of one service ended, in one direction: live cells with one writer, a worker, read by the main thread. Beside the series of request_series.h, since these
// are of opaque connections too, tell the good from what was refused by name, and are never too many: nothing that a peer sends makes a new one.
#ifndef TELEMETRY_REQUEST_METRICS_H
#define TELEMETRY_REQUEST_METRICS_H

#include "base/error.h"
#include "base/metric_cell.h"
#include "telemetry/metrics.h"

// Stands for all that none of our words is for.
#define REQUEST_OTHER "_OTHER"

// Stands for a service in metrics where none was found; no service has a key like it.
#define REQUEST_SERVICE_UNKNOWN "unknown"

// In the order of enum http_method, which is not known here (same row of the layers): "_OTHER" first. A test compares the two.
#define REQUEST_METHOD_LIST(X) X(REQUEST_OTHER) X("GET") X("HEAD") X("POST") X("PUT") X("DELETE") X("CONNECT") X("OPTIONS") X("TRACE") X("PATCH")
#define REQUEST_METHODS 10

// `method`: enum http_method.
struct bytes request_method_name(unsigned method);

struct request_metrics {
    struct metric_cell ends[ERROR_COUNT + 1]; // 0: OK, else the negated error
};

enum request_direction { REQUEST_INBOUND, REQUEST_OUTBOUND };

// All zero is the initial state: no init.

// The writer's thread, once for each request, at its end.
static inline void request_metrics_count(struct request_metrics *metrics, enum error end) {
    CHECK(end <= OK && -(int)end <= ERROR_COUNT);
    metric_add(&metrics->ends[-(int)end], 1);
}

// Adds `from`, which may be written to meanwhile by its worker, to `total`, which is the caller's.
void request_metrics_merge(struct request_metrics *total, const struct request_metrics *from);

// One service in one direction, merged over workers, for exposition.
struct request_ends {
    enum request_direction direction;
    struct bytes service;
    const struct request_metrics *metrics;
};

// Writes the family; ends that never came are left out.
void request_metrics_expose(struct exposition *exposition, const struct request_ends *ends, uint32_t count);

#endif
