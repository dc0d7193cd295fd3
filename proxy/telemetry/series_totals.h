// What is counted of the requests of one series, or of a part of it: durations in explicit buckets, and in an exponential histogram where it is asked for. Plain numbers of one
// owner.
#ifndef TELEMETRY_SERIES_TOTALS_H
#define TELEMETRY_SERIES_TOTALS_H

#include "telemetry/exponential_histogram.h"
#include "telemetry/histogram_sample.h"

#include <stdbool.h>

struct pool;

// Those that came since exponential histograms were switched on, in explicit buckets too: the rest of a series is what came before.
struct exponential_totals {
    struct exponential_histogram histogram;
    uint64_t buckets[DURATION_BUCKETS];
    nanoseconds sum;
    nanoseconds since; // when they were, by the wall clock: another time means that what there was is void
};

struct series_totals {
    uint64_t buckets[DURATION_BUCKETS];
    nanoseconds sum;
    struct exponential_totals *exponential; // owned, or in a pool; NULL: not asked for, or nothing came since it is
};

// `since`: of exponential_totals; 0: they are not kept, and what there was of them goes. On the heap.
void series_totals_count(struct series_totals *totals, unsigned bucket, nanoseconds duration, nanoseconds since);

// What `to` needs for it lies in `pool`; NULL: on the heap. Of exponential ones of two times the newer stay.
void series_totals_add(struct series_totals *to, const struct series_totals *from, struct pool *pool);

bool series_totals_are_none(const struct series_totals *totals);

// Of those on the heap.
void series_totals_clear(struct series_totals *totals);

#endif
