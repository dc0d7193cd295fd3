// How long a service's answers take, as one worker sees it: a small histogram that forgets, asked for a percentile. For hedged requests.
#ifndef UPSTREAM_ANSWER_TIMES_H
#define UPSTREAM_ANSWER_TIMES_H

#include "base/clock.h"

#include <stdint.h>

// Four buckets for each doubling, from 65 us to some 1,100 s: what is said is at most a quarter too much.
#define ANSWER_TIMES_BUCKETS 97

// All zero is the initial state.
struct answer_times {
    uint16_t counts[ANSWER_TIMES_BUCKETS];
    uint16_t total;
};

void answer_times_add(struct answer_times *times, nanoseconds took);

// At most `percent` in a hundred took longer than a little less than this; 0: too few are known.
nanoseconds answer_times_percentile(const struct answer_times *times, uint32_t percent);

#endif
