// How long turns of an event loop took, without its wait for events: so long everything else of its thread waited. Counted once a turn with a time that was read anyway. Plain
// numbers of one owner.
#ifndef BASE_TURN_TIMES_H
#define BASE_TURN_TIMES_H

#include "base/clock.h"

#include <stdint.h>

// Upper bounds (inclusive) of the buckets, then one without bound. Few: what matters is whether requests notice.
#define TURN_BOUNDS 6
#define TURN_BUCKETS (TURN_BOUNDS + 1)

// The longest turn is of the last one to two of these.
#define TURN_LONGEST_SPAN (60 * NS_PER_S)

struct turn_times {
    uint64_t buckets[TURN_BUCKETS];
    nanoseconds sum;
    nanoseconds longest, longest_before; // of the span at hand, and of the one before it
    nanoseconds span_begun;              // by the loop's clock
};

nanoseconds turn_bound(unsigned bucket);

// A turn that began at `now` took so long.
void turn_times_add(struct turn_times *times, nanoseconds took, nanoseconds now);

// 0: there was none lately.
nanoseconds turn_times_longest(const struct turn_times *times, nanoseconds now);

#endif
