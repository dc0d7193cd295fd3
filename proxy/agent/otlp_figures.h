// What becomes of requests of an otlp_sender, as figures of its signal (telemetry/export_metrics.h).
#ifndef AGENT_OTLP_FIGURES_H
#define AGENT_OTLP_FIGURES_H

#include "agent/otlp_sender.h"
#include "telemetry/export_metrics.h"

// What the log was last told of a signal's requests that were not taken whole. One that ends as the last one did is told again after some time, with the number of those
// between: a collector that refuses everything fills no log.
struct otlp_telling {
    enum otlp_end end;
    nanoseconds quiet_until; // 0: nothing was told yet
    uint64_t untold;         // requests since
};

// A request is over, `now` by the loop's clock: counts its records as exported or dropped, and tells the log where they were not all taken. `is_ending`: the process is.
void otlp_figures_end(struct export_figures *figures, struct otlp_telling *telling, const struct otlp_result *result, bool is_ending,
                      nanoseconds now);

// The process has ended: all that was made, and what of it was exported, in the log.
void otlp_figures_tell_end(const struct export_figures *figures);

#endif
