// A base-2 exponential histogram as OpenTelemetry's SDKs have it: at most 160 buckets, as fine as they can be (scale 20 at first), made coarser when a value would need more.
// Durations, told in seconds. Plain numbers of one owner.
#ifndef TELEMETRY_EXPONENTIAL_HISTOGRAM_H
#define TELEMETRY_EXPONENTIAL_HISTOGRAM_H

#include "base/clock.h"

#include <stdint.h>

#define EXPONENTIAL_BUCKETS 160
#define EXPONENTIAL_SCALE_MAX 20

// Bucket i of `used` has values above base^(offset + i) and at most base^(offset + i + 1), base being 2^(2^-scale).
struct exponential_histogram {
    int32_t scale;
    int32_t offset;
    uint32_t used;
    uint64_t zeros; // durations of 0
    uint64_t buckets[EXPONENTIAL_BUCKETS];
};

// Nothing is in it yet.
void exponential_init(struct exponential_histogram *histogram);

void exponential_record(struct exponential_histogram *histogram, nanoseconds duration);

uint64_t exponential_count(const struct exponential_histogram *histogram);

// Adds `from`; the coarser of the two scales is that of the sum, or a coarser one.
void exponential_add(struct exponential_histogram *to, const struct exponential_histogram *from);

// Takes away `taken`: exponential_add undoes it, also where more is taken than there was. What is below zero then exponential_clip makes zero.
void exponential_subtract(struct exponential_histogram *from, const struct exponential_histogram *taken);
void exponential_clip(struct exponential_histogram *histogram);

#endif
