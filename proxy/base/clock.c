// The two clocks of the system, as nanoseconds.
#include "base/clock.h"

#include "base/check.h"

#include <time.h>

static nanoseconds read_clock(clockid_t id) {
    struct timespec time;
    int failed = clock_gettime(id, &time);
    CHECK(failed == 0);
    return (nanoseconds)time.tv_sec * NS_PER_S + (nanoseconds)time.tv_nsec;
}

nanoseconds clock_monotonic_ns(void) {
    return read_clock(CLOCK_MONOTONIC);
}

nanoseconds clock_wall_ns(void) {
    return read_clock(CLOCK_REALTIME);
}
