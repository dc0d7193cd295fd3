// Gradient2 of Netflix's concurrency-limits: how many requests may run at once, learnt from how long they take. While their time, averaged over a second or so, stays near its long mean the limit
// grows by some; where they take longer it shrinks in proportion. No probing: nobody is held back to measure what an idle service would take. Time is passed in. Not thread-safe.
#ifndef FILTERS_GRADIENT_H
#define FILTERS_GRADIENT_H

#include "base/clock.h"

#include <stdint.h>

struct gradient {
    double limit;
    double long_mean; // of the samples, in nanoseconds; 0: there were none
    uint32_t samples; // of the first few
};

// It begins at 20, or the bound that is nearest.
void gradient_init(struct gradient *gradient, uint32_t min, uint32_t max);

// Requests took so long on average, and `in_flight` ran when one of them began, at most, itself counted. The bounds may be others than before.
void gradient_sample(struct gradient *gradient, nanoseconds took, uint32_t in_flight, uint32_t min, uint32_t max);

// Whole requests, at least `min`, at most `max`.
uint32_t gradient_limit(const struct gradient *gradient, uint32_t min, uint32_t max);

#endif
