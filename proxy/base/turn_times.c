// Buckets of turns. See turn_times.h.
#include "base/turn_times.h"

#include "base/check.h"

#include <stdbool.h>

static const nanoseconds bounds[TURN_BOUNDS] = {100 * NS_PER_US, 1 * NS_PER_MS, 5 * NS_PER_MS, 20 * NS_PER_MS, 100 * NS_PER_MS, 1 * NS_PER_S};

nanoseconds turn_bound(unsigned bucket) {
    CHECK(bucket < TURN_BOUNDS);
    return bounds[bucket];
}

void turn_times_add(struct turn_times *times, nanoseconds took, nanoseconds now) {
    unsigned bucket = 0;
    while (bucket < TURN_BOUNDS && took > bounds[bucket]) // the first, nearly always
        bucket++;
    times->buckets[bucket]++;
    times->sum += took;
    if (now >= times->span_begun + TURN_LONGEST_SPAN) {
        times->longest_before = now < times->span_begun + 2 * TURN_LONGEST_SPAN ? times->longest : 0;
        times->longest = 0;
        times->span_begun = now;
    }
    if (took > times->longest)
        times->longest = took;
}

nanoseconds turn_times_longest(const struct turn_times *times, nanoseconds now) {
    if (now >= times->span_begun + 2 * TURN_LONGEST_SPAN)
        return 0;
    const bool is_over = now >= times->span_begun + TURN_LONGEST_SPAN;
    return is_over || times->longest > times->longest_before ? times->longest : times->longest_before;
}
