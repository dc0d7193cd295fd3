// The metrics that Prometheus expects of every process, read from the system when asked.
#ifndef TELEMETRY_PROCESS_METRICS_H
#define TELEMETRY_PROCESS_METRICS_H

#include "telemetry/metrics.h"

// What the system does not tell is left out.
void process_metrics_expose(struct exposition *exposition);

// Resident memory in bytes; 0: the system does not tell.
uint64_t process_resident_bytes(void);

#endif
