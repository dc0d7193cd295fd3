// What the process tells a collector: an exporter for each signal that is sent in batches, the queues of all workers, and the push of metrics.
#ifndef APP_EXPORTS_H
#define APP_EXPORTS_H

#include "agent/exporter.h"
#include "agent/resource.h"
#include "app/export_carrier.h"
#include "app/metrics_push.h"

// A collector that hangs holds the end of the process up for no longer.
#define EXPORTS_PATIENCE_NS (3 * NS_PER_S)

struct proxy;
struct snapshot;

struct export_signal {
    struct proxy *proxy;
    enum otlp_signal signal;
    bool is_open;                // it was sent at some time: what follows is there
    bool is_attached;            // workers write
    struct export_queue *queues; // one for each worker; of logs one more, the main thread's
    struct exporter exporter;
    struct export_carrier carrier;
};

struct exports {
    struct otel_environment *environment;
    char instance_id[INSTANCE_ID_BYTES];
    struct otlp_origin origin;                  // owned texts
    struct export_signal signals[OTLP_SIGNALS]; // but OTLP_METRICS, which are no records
    struct metrics_push metrics;
    nanoseconds hurried_at; // the process ends; 0: it does not
};

// Before documents are read, which variables fill.
void exports_init(struct proxy *proxy);

// Before the workers are sent the snapshot of these documents: by it they write records of logs, for which there must be a queue by then.
void exports_prepare(struct proxy *proxy, const struct snapshot *fresh);

// What these documents say holds from now on: behind their snapshot, which the workers were sent.
void exports_follow(struct proxy *proxy, const struct snapshot *fresh);

// The process ends: until `at` at the latest what waits is sent, and what comes. False: nothing waits any more.
bool exports_linger(struct proxy *proxy, nanoseconds at);

// The workers have stopped: what is left is dropped and counted.
void exports_end(struct proxy *proxy);

// Last of all.
void exports_dispose(struct proxy *proxy);

// Of each signal that was ever sent, in `figures`, which has room for OTLP_SIGNALS; returns how many.
uint32_t exports_figures(const struct proxy *proxy, struct export_figures *figures);

#endif
