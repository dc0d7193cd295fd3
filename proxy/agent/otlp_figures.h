// What becomes of requests of an otlp_sender, as figures of its signal (telemetry/export_metrics.h).
#ifndef AGENT_OTLP_FIGURES_H
#define AGENT_OTLP_FIGURES_H

#include "agent/otlp_sender.h"
#include "telemetry/export_metrics.h"

// A request is over: counts its records as exported or dropped, and tells the log where they were not all taken. `is_ending`: the process is.
void otlp_figures_end(struct export_figures *figures, const struct otlp_result *result, bool is_ending);

// The process has ended: all that was made, and what of it was exported, in the log.
void otlp_figures_tell_end(const struct export_figures *figures);

#endif
