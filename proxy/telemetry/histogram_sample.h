// A histogram of durations as it is handed to whoever writes it: explicit buckets, and what else may be known of them. Part of metrics.h.
#ifndef TELEMETRY_HISTOGRAM_SAMPLE_H
#define TELEMETRY_HISTOGRAM_SAMPLE_H

#include "base/bytes.h"
#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

// OpenTelemetry's bounds for the duration of requests: the 14 upper bounds (inclusive), then one bucket without bound.
#define DURATION_BOUNDS 14
#define DURATION_BUCKETS (DURATION_BOUNDS + 1)

// The last sampled request that came into a bucket.
struct exemplar {
    uint8_t trace_id[16];
    uint8_t span_id[8];
    uint8_t bucket;
    nanoseconds value; // in the bucket
    nanoseconds wall;  // when
};

struct exponential_totals;

struct histogram_sample {
    const struct bytes *labels;           // values of the family's labels (exposition_add); empty ones are left out
    struct bytes more_names, more_values; // of further labels, a NUL behind each
    const uint64_t *buckets;              // DURATION_BUCKETS
    bool are_turns;                       // the first TURN_BUCKETS are used, by turn_bound
    nanoseconds sum;
    const struct exponential_totals *exponential; // those of them that came since they are recorded so (series_totals.h); NULL: none
    nanoseconds begun;                            // by the wall clock; 0: with the process
    const struct exemplar *exemplars;             // at most one for each bucket
    uint32_t exemplar_count;
};

#endif
