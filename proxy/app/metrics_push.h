// Sends the process's metrics to a collector by OTLP: all figures of /metrics, at even intervals and once more at the end (OpenTelemetry's periodic exporting metric reader).
// In pieces, one request at a time, all within one exportTimeout of the first; an interval that comes while the last one is not through is left out. Main thread.
//
// Owner:      struct exports.
// Start:      metrics_push_follow, with each set of documents.
// Callbacks:  none.
// Cancel:     metrics_push_end.
// Memory:     the owner's; after metrics_push_end it may go.
#ifndef APP_METRICS_PUSH_H
#define APP_METRICS_PUSH_H

#include "agent/otlp_figures.h"
#include "agent/otlp_request.h"
#include "app/export_carrier.h"
#include "telemetry/export_metrics.h"
#include "telemetry/otlp_metrics.h"

struct proxy;
struct telemetry_config;

//   RESTS -> GATHERS          an interval is over, or the process ends
//   GATHERS -> SENDS, RESTS   figures are there, and written; or they are not wanted any more
//   SENDS -> RESTS            all pieces were sent, or dropped
// Where the process ends while it does not rest it gathers once more as soon as it does, as long as there are workers to ask.
enum metrics_push_state { METRICS_PUSH_RESTS, METRICS_PUSH_GATHERS, METRICS_PUSH_SENDS };

struct metrics_push {
    struct proxy *proxy;
    nanoseconds started;              // the process, by the wall clock
    struct otlp_metrics *metrics;     // NULL: they were never sent, and what follows is not there
    const struct otlp_origin *origin; // who tells; borrowed
    struct otlp_sender sender;
    struct export_carrier carrier;
    struct otlp_metrics_terms form;
    nanoseconds interval;
    struct timer timer;
    enum metrics_push_state state;
    bool is_on;
    bool is_once_more;      // as soon as what is under way is over: the process ends
    nanoseconds asked;      // figures were, by the wall clock
    nanoseconds give_up_at; // all pieces of this time; 0: none was tried
    bool is_ending;         // the process
    nanoseconds hurry_at;   // where it is: what there is is to be sent by then
    struct export_figures figures;
    struct otlp_telling telling;
};

void metrics_push_init(struct metrics_push *push, struct proxy *proxy);

// What these documents say holds from now on. `origin` stays.
void metrics_push_follow(struct metrics_push *push, const struct telemetry_config *config, const struct otlp_origin *origin);

// The process ends at `at`: what has come since the last time is sent. Once.
void metrics_push_hurry(struct metrics_push *push, nanoseconds at);

bool metrics_push_is_idle(const struct metrics_push *push);

// In data points. Those that wait are of the push at hand. Metrics were sent at some time.
struct export_figures metrics_push_figures(const struct metrics_push *push);

// The workers have stopped: what is not sent is dropped and counted.
void metrics_push_end(struct metrics_push *push);

#endif
