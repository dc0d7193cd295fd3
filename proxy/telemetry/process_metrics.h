// The metrics that Prometheus expects of every process, read from the system when asked.
#ifndef TELEMETRY_PROCESS_METRICS_H
#define TELEMETRY_PROCESS_METRICS_H

#include "telemetry/metrics.h"

// What is remembered of them between looks.
struct process_figures {
    nanoseconds started;    // by the wall clock, read once: a clock that is set afterwards does not move it; 0: the system does not tell
    uint64_t descriptors;   // in use; 0: the system does not tell
    nanoseconds counted_at; // by the monotonic clock
};

void process_figures_init(struct process_figures *figures);

// Looks how many descriptors are in use: Linux 6.2 tells; before that they are counted one by one, and then not more often than in 10 s.
void process_figures_look(struct process_figures *figures, nanoseconds now);

// What the system does not tell is left out.
void process_metrics_expose(struct exposition *exposition, const struct process_figures *figures);

// Resident memory in bytes; 0: the system does not tell.
uint64_t process_resident_bytes(void);

#endif
