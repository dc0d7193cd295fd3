// Cells and family of loops' turns. See loop_metrics.h.
#include "telemetry/loop_metrics.h"

#include <assert.h>
#include <string.h>

static_assert(TURN_BUCKETS <= DURATION_BUCKETS, "what samples have room for");

void loop_cells_set(struct loop_cells *cells, const struct turn_times *times) {
    for (unsigned i = 0; i < TURN_BUCKETS; i++)
        metric_set(&cells->buckets[i], times->buckets[i]);
    metric_set(&cells->sum, times->sum);
}

struct loop_metrics loop_metrics_of(struct bytes thread, const struct loop_cells *cells) {
    struct loop_metrics loop = {.thread = thread, .sum = metric_read(&cells->sum)};
    for (unsigned i = 0; i < TURN_BUCKETS; i++)
        loop.buckets[i] = metric_read(&cells->buckets[i]);
    return loop;
}

void loop_metrics_expose(struct exposition *exposition, const struct loop_metrics *loops, uint32_t count) {
    exposition_begin(exposition, METRIC_LOOP_TURN);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t buckets[DURATION_BUCKETS] = {0};
        memcpy(buckets, loops[i].buckets, sizeof loops[i].buckets);
        exposition_add_histogram_sample(
            exposition, &(struct histogram_sample){.labels = &loops[i].thread, .buckets = buckets, .sum = loops[i].sum, .are_turns = true});
    }
}
