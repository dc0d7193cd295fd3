// A token bucket as one number: the generic cell rate algorithm (ITU-T I.371, Annex A). What is remembered is the time at which the bucket would be full again, its debt's end.
// Pure: time is passed in. A bucket that was never used, or is full, is 0 or any time that is past.
#ifndef FILTERS_GCRA_H
#define FILTERS_GCRA_H

#include "config/rate_limit_config.h"

// What one request adds to the debt.
static inline nanoseconds gcra_spacing(const struct rate_limit *limit) {
    return limit->per / limit->requests;
}

// The debt's end after one more request.
static inline nanoseconds gcra_after(const struct rate_limit *limit, nanoseconds full_at, nanoseconds now) {
    return (full_at > now ? full_at : now) + gcra_spacing(limit);
}

// How long until one more request passes; 0: it does now. It does where the debt with it is no longer than what `burst` takes to come back.
static inline nanoseconds gcra_wait(const struct rate_limit *limit, nanoseconds full_at, nanoseconds now) {
    const nanoseconds debt = gcra_after(limit, full_at, now) - now, most = gcra_spacing(limit) * limit->burst;
    return debt <= most ? 0 : debt - most;
}

// How many pass now, one after the other.
static inline uint64_t gcra_left(const struct rate_limit *limit, nanoseconds full_at, nanoseconds now) {
    const nanoseconds debt = full_at > now ? full_at - now : 0, most = gcra_spacing(limit) * limit->burst;
    return debt >= most ? 0 : (most - debt) / gcra_spacing(limit);
}

#endif
