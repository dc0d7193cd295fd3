// A histogram of durations with logarithmic buckets: every value is kept to within 0.8 % over the whole range of 64 bits, in 64 KiB, so that p99.9
// of a million samples costs no sorting. Used by the load program alone. One thread.
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEPS 128 // buckets per doubling
#define HISTOGRAM_BUCKETS (64 * HISTOGRAM_STEPS)

struct histogram {
    uint64_t count, sum, max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_reset(struct histogram *histogram);
void histogram_record(struct histogram *histogram, uint64_t value);

// The value that `permille` of 1,000 samples do not exceed (the middle of its bucket, at most the maximum); 0 when empty.
uint64_t histogram_quantile(const struct histogram *histogram, unsigned permille);

#endif
