// What a collector was told of each series, where it is told what came since (delta). Part of otlp_metrics.h, for it alone.
//
// Sums are kept, whatever comes and goes: of each family holds that what was told of all its series together is what they had counted the last time a push went well. What was
// told of a series that has gone, or has become less since a worker let it go, is moved to what was told of the family's overflow series, which its counts were added to.
// Differences are taken modulo 2^64, so that the overflow may owe something for a while. One owner.
#ifndef TELEMETRY_OTLP_TOLD_H
#define TELEMETRY_OTLP_TOLD_H

#include "base/list.h"
#include "telemetry/exponential_histogram.h"
#include "telemetry/metrics.h"

struct told_totals {
    uint64_t value; // of a counter
    uint64_t buckets[DURATION_BUCKETS];
    nanoseconds sum;
    struct exponential_histogram *exponential; // owned; NULL: nothing
};

struct told {
    struct list link;  // of its family: those that came last are last
    struct bytes key;  // owned
    uint64_t round;    // when it was last there
    nanoseconds since; // what comes is told as of then
    nanoseconds heard; // exemplars until then were told
    struct told_totals totals;
};

struct told_memory {
    struct list families;
    struct told_family *family; // the current one; NULL before the first
    uint64_t round;
};

void told_init(struct told_memory *memory);
void told_dispose(struct told_memory *memory);

// All is forgotten.
void told_clear(struct told_memory *memory);

// All series are told of anew: families, and of each its series, follow.
void told_begin_round(struct told_memory *memory);
void told_begin_family(struct told_memory *memory, const struct metric_family *family);

// Of the series of the current family with these attributes. `since`: where it is new. NULL: it came in this round already.
struct told *told_of(struct told_memory *memory, struct bytes key, nanoseconds since);

// Of the family's overflow series.
struct told *told_of_overflow(struct told_memory *memory);

// All series of the current family came: those that did not are forgotten, their sums moved to the overflow.
void told_end_family(struct told_memory *memory);

// What is to be told of a counter that is at `now`. What has become less is for the overflow to tell; where the family has none it began anew.
uint64_t told_counter_growth(struct told_memory *memory, struct told *told, uint64_t now);

// The same of a histogram, in `growth` (told_totals_clear).
// Without `exponential` where that does not have just what the buckets have: since the last time it began, or was told of otherwise.
void told_growth(struct told_memory *memory, struct told *told, const struct histogram_sample *now, struct told_totals *growth);

void told_totals_clear(struct told_totals *totals);

// It was told.
void told_add(struct told *told, const struct told_totals *growth);

#endif
