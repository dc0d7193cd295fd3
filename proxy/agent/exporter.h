// Sends the records of one signal in batches, as OpenTelemetry's batch processors do (specification/trace/sdk.md, "Batching processor"): when a batch is full, and else in
// even times; one request at a time. Takes them from the queues that workers write (telemetry/export_queue.h), which are bounded: nobody ever waits for it. Main thread.
//
// Owner:      who embeds it.
// Start:      exporter_init; it sends once exporter_apply has told it how and where.
// Callbacks:  those of the carrier, as of an otlp_sender.
// Cancel:     exporter_end.
// Memory:     the caller's; after exporter_dispose it may go.
#ifndef AGENT_EXPORTER_H
#define AGENT_EXPORTER_H

#include "agent/otlp_figures.h"
#include "agent/otlp_request.h"
#include "telemetry/export_metrics.h"
#include "telemetry/export_queue.h"

struct exporter {
    struct loop *loop;
    struct otlp_sender sender;
    struct export_queue *queues; // of all who write; borrowed
    uint32_t queue_count;
    struct otlp_origin origin; // who tells; borrowed
    struct otlp_batch batch;
    uint32_t most;        // records of a request: of `batch`, or fewer since that was too large
    uint32_t turn;        // queue that is taken from first
    bool is_on;           // else what comes is dropped
    bool is_due;          // what there is is sent, however little
    bool is_ending;       // the process
    nanoseconds hurry_at; // where it is: what there is is to be sent by then
    struct timer schedule;
    struct task look;
    struct export_figures figures; // what is counted here
    struct otlp_telling telling;
};

// `queues` stay while the exporter is there; what they tell of a full batch (export_queue_init, on_note) is passed on by exporter_look.
void exporter_init(struct exporter *exporter, struct loop *loop, enum otlp_signal signal, struct export_queue *queues, uint32_t queue_count,
                   struct otlp_carrier carrier);

// How records are sent from now on. `config` NULL: not at all: those that wait are dropped.
void exporter_apply(struct exporter *exporter, const struct otlp_config *config, const struct otlp_origin *origin);

// A batch may be full.
void exporter_look(struct exporter *exporter);

// The process ends at `at`: what there is is sent at once, and what comes.
void exporter_hurry(struct exporter *exporter, nanoseconds at);

// Nothing waits, nothing is under way.
bool exporter_is_idle(const struct exporter *exporter);

// Nobody writes any more, and no answer will come: what there is is dropped and counted. Then it is idle.
void exporter_end(struct exporter *exporter);

// It is idle.
void exporter_dispose(struct exporter *exporter);

struct export_figures exporter_figures(const struct exporter *exporter);

#endif
