// Time in nanoseconds, monotonic, and wall time. A loop reads the clock once a turn; everything above takes time as a parameter or from
// its loop, so that tests pass their own.
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

typedef uint64_t nanoseconds;

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

// CLOCK_MONOTONIC.
nanoseconds clock_monotonic_ns(void);

// CLOCK_REALTIME, since 1970.
nanoseconds clock_wall_ns(void);

#endif
