// Counters and durations of the requests of one service in one direction: live cells with one writer, a worker, read by the main thread.
//
// Counting costs four additions and no allocation, since it happens for each request. The number of series is fixed by these arrays: nothing that a
// peer sends makes a new one. A cell per (method, class) and one per end stand apart, since their product would be 50 times larger and nearly empty.
#ifndef TELEMETRY_REQUEST_METRICS_H
#define TELEMETRY_REQUEST_METRICS_H

#include "base/error.h"
#include "base/metric_cell.h"
#include "telemetry/metrics.h"

// In the order of enum http_method, which is not known here (same row of the layers): "_OTHER" first. A test compares the two.
#define REQUEST_METHOD_LIST(X) X("_OTHER") X("GET") X("HEAD") X("POST") X("PUT") X("DELETE") X("CONNECT") X("OPTIONS") X("TRACE") X("PATCH")
#define REQUEST_METHODS 10

#define STATUS_CLASSES 6 // 0: no status was sent

// "none", "1xx" and so on.
struct bytes status_class_name(unsigned group);

struct request_durations {
    struct metric_cell buckets[DURATION_BUCKETS];
    struct metric_cell sum_ns;
};

struct request_metrics {
    struct metric_cell requests[REQUEST_METHODS][STATUS_CLASSES];
    struct metric_cell ends[ERROR_COUNT + 1]; // 0: OK, else the negated error
    struct request_durations durations[STATUS_CLASSES];
};

enum request_direction { REQUEST_INBOUND, REQUEST_OUTBOUND };

// All zero is the initial state: no init.

// The writer's thread, once for each request, at its end. `method`: enum http_method. `status`: what was sent to the client, 0 for none.
void request_metrics_count(struct request_metrics *metrics, unsigned method, unsigned status, enum error end, nanoseconds duration);

// Adds `from`, which may be written to meanwhile by its worker, to `total`, which is the caller's.
void request_metrics_merge(struct request_metrics *total, const struct request_metrics *from);

// One service in one direction, merged over workers, for exposition.
struct request_series {
    enum request_direction direction;
    struct bytes service;
    const struct request_metrics *metrics;
};

// Writes the families of requests, all series in each; combinations that never came are left out.
void request_metrics_expose(struct exposition *exposition, const struct request_series *series, uint32_t count);

#endif
