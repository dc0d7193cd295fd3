// How long the event loops' turns took, by thread: the lag that whatever a thread does has from what else it does.
#ifndef TELEMETRY_LOOP_METRICS_H
#define TELEMETRY_LOOP_METRICS_H

#include "base/metric_cell.h"
#include "base/turn_times.h"
#include "telemetry/metrics.h"

// Written by the loop's thread, from its turn_times; read by any.
struct loop_cells {
    struct metric_cell buckets[TURN_BUCKETS];
    struct metric_cell sum;
};

void loop_cells_set(struct loop_cells *cells, const struct turn_times *times);

struct loop_metrics {
    struct bytes thread; // "main", "worker-0"
    uint64_t buckets[TURN_BUCKETS];
    nanoseconds sum;
};

struct loop_metrics loop_metrics_of(struct bytes thread, const struct loop_cells *cells);

// Writes their family.
void loop_metrics_expose(struct exposition *exposition, const struct loop_metrics *loops, uint32_t count);

#endif
