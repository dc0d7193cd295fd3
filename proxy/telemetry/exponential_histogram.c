// Recording and adding by powers of a base: see exponential_histogram.h.
#include "telemetry/exponential_histogram.h"

#include "base/check.h"

#include <math.h>
#include <string.h>

void exponential_init(struct exponential_histogram *histogram) {
    *histogram = (struct exponential_histogram){.scale = EXPONENTIAL_SCALE_MAX};
}

// Towards minus infinity: the place of a bucket on a scale that is coarser by `shift`.
static int32_t coarser(int32_t index, int shift) {
    return index >= 0 ? index >> shift : ~(~index >> shift);
}

// A bucket ends with its upper bound.
static int32_t index_of(nanoseconds duration, int32_t scale) {
    return (int32_t)ceil(ldexp(log2((double)duration * 1e-9), scale)) - 1;
}

static void downscale(struct exponential_histogram *histogram, int shift) {
    if (shift == 0)
        return;
    uint64_t buckets[EXPONENTIAL_BUCKETS] = {0};
    const int32_t offset = coarser(histogram->offset, shift);
    uint32_t used = 0;
    for (uint32_t i = 0; i < histogram->used; i++) {
        const uint32_t place = (uint32_t)(coarser(histogram->offset + (int32_t)i, shift) - offset);
        buckets[place] += histogram->buckets[i];
        used = place + 1;
    }
    memcpy(histogram->buckets, buckets, sizeof buckets);
    histogram->offset = offset;
    histogram->used = used;
    histogram->scale -= shift;
}

// By how much the scale must go down for all from `low` to `high` to have room.
static int shift_for(int64_t low, int64_t high) {
    int shift = 0;
    while (high - low >= EXPONENTIAL_BUCKETS) {
        low = coarser((int32_t)low, 1);
        high = coarser((int32_t)high, 1);
        shift++;
    }
    return shift;
}

static int32_t last_of(const struct exponential_histogram *histogram) {
    return histogram->offset + (int32_t)histogram->used - 1;
}

// Room for buckets from `low` to `high`, of the histogram's own scale.
static void stretch(struct exponential_histogram *histogram, int32_t low, int32_t high) {
    CHECK(high - low < EXPONENTIAL_BUCKETS);
    const uint32_t before = histogram->used > 0 ? (uint32_t)(histogram->offset - low) : 0;
    if (before > 0) {
        memmove(&histogram->buckets[before], histogram->buckets, histogram->used * sizeof(uint64_t));
        memset(histogram->buckets, 0, before * sizeof(uint64_t));
    }
    histogram->offset = low;
    histogram->used = (uint32_t)(high - low) + 1;
}

static void include(struct exponential_histogram *histogram, int32_t low, int32_t high) {
    if (histogram->used > 0) {
        low = histogram->offset < low ? histogram->offset : low;
        high = last_of(histogram) > high ? last_of(histogram) : high;
    }
    const int shift = shift_for(low, high);
    downscale(histogram, shift);
    stretch(histogram, coarser(low, shift), coarser(high, shift));
}

void exponential_record(struct exponential_histogram *histogram, nanoseconds duration) {
    if (duration == 0) {
        histogram->zeros++;
        return;
    }
    const int32_t scale = histogram->scale;
    int32_t index = index_of(duration, scale);
    if (histogram->used == 0 || index < histogram->offset || index > last_of(histogram)) {
        include(histogram, index, index);
        index = coarser(index, scale - histogram->scale);
    }
    histogram->buckets[index - histogram->offset]++;
}

uint64_t exponential_count(const struct exponential_histogram *histogram) {
    uint64_t count = histogram->zeros;
    for (uint32_t i = 0; i < histogram->used; i++)
        count += histogram->buckets[i];
    return count;
}

// Brings both to one scale, and `to` to have a place for each bucket of `other`, which has some.
static void match(struct exponential_histogram *to, struct exponential_histogram *other) {
    if (to->used == 0)
        to->scale = other->scale;
    downscale(other, other->scale > to->scale ? other->scale - to->scale : 0);
    downscale(to, to->scale > other->scale ? to->scale - other->scale : 0);
    include(to, other->offset, last_of(other));
    downscale(other, other->scale - to->scale);
}

void exponential_add(struct exponential_histogram *to, const struct exponential_histogram *from) {
    struct exponential_histogram added = *from;
    to->zeros += added.zeros;
    if (added.used == 0)
        return;
    match(to, &added);
    for (uint32_t i = 0; i < added.used; i++)
        to->buckets[added.offset - to->offset + (int32_t)i] += added.buckets[i];
}

void exponential_subtract(struct exponential_histogram *from, const struct exponential_histogram *taken) {
    struct exponential_histogram less = *taken;
    from->zeros -= less.zeros;
    if (less.used == 0)
        return;
    match(from, &less);
    for (uint32_t i = 0; i < less.used; i++)
        from->buckets[less.offset - from->offset + (int32_t)i] -= less.buckets[i];
}

static uint64_t clipped(uint64_t value) {
    return value >> 63 == 0 ? value : 0;
}

void exponential_clip(struct exponential_histogram *histogram) {
    histogram->zeros = clipped(histogram->zeros);
    for (uint32_t i = 0; i < histogram->used; i++)
        histogram->buckets[i] = clipped(histogram->buckets[i]);
}
