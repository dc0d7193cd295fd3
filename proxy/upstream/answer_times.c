// See answer_times.h. All counts are halved when there are many: a change of the service's speed is followed within some two thousand answers.
#include "upstream/answer_times.h"

#include "base/check.h"

#define FIRST_BIT 16 // the first bucket ends at 2^16 ns
#define KNOWN_MIN 64 // with fewer a 95th percentile rests on the slowest two
#define COUNT_MAX 2048

static unsigned bucket_of(nanoseconds took) {
    if (took >> FIRST_BIT == 0)
        return 0;
    unsigned bit = 63 - (unsigned)__builtin_clzll(took);
    unsigned bucket = 1 + (bit - FIRST_BIT) * 4 + (unsigned)(took >> (bit - 2) & 3);
    return bucket < ANSWER_TIMES_BUCKETS ? bucket : ANSWER_TIMES_BUCKETS - 1;
}

// The end of a bucket.
static nanoseconds bound_of(unsigned bucket) {
    if (bucket == 0)
        return UINT64_C(1) << FIRST_BIT;
    unsigned octave = (bucket - 1) / 4;
    return (UINT64_C(5) + (bucket - 1) % 4) << (FIRST_BIT - 2 + octave);
}

void answer_times_add(struct answer_times *times, nanoseconds took) {
    times->counts[bucket_of(took)]++;
    if (++times->total < COUNT_MAX)
        return;
    times->total = 0;
    for (unsigned i = 0; i < ANSWER_TIMES_BUCKETS; i++) {
        times->counts[i] /= 2;
        times->total = (uint16_t)(times->total + times->counts[i]);
    }
}

nanoseconds answer_times_percentile(const struct answer_times *times, uint32_t percent) {
    CHECK(percent <= 100);
    if (times->total < KNOWN_MIN)
        return 0;
    uint32_t rank = (times->total * percent + 99) / 100;
    uint32_t seen = 0;
    for (unsigned i = 0; i < ANSWER_TIMES_BUCKETS; i++) {
        seen += times->counts[i];
        if (seen >= rank)
            return bound_of(i);
    }
    check_failed("a count that is in no bucket", __FILE__, __LINE__);
}
