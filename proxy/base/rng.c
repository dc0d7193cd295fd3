// xoshiro256** (Blackman and Vigna), its state spread from a seed by splitmix64. Not for keys.
#include "base/rng.h"

#include "base/check.h"

#include <errno.h>
#include <sys/random.h>

static uint64_t rotate_left(uint64_t value, unsigned by) {
    return (value << by) | (value >> (64 - by));
}

static uint64_t splitmix64(uint64_t *state) {
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t mixed = *state;
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}

void rng_init(struct rng *rng, uint64_t seed) {
    // Four outputs of a bijection on four different inputs: never all zero, the one state that xoshiro cannot leave.
    for (int i = 0; i < 4; i++)
        rng->state[i] = splitmix64(&seed);
}

void rng_init_random(struct rng *rng) {
    uint64_t seed;
    ssize_t got;
    do
        got = getrandom(&seed, sizeof(seed), 0);
    while (got < 0 && errno == EINTR);
    CHECK(got == (ssize_t)sizeof(seed));
    rng_init(rng, seed);
}

uint64_t rng_next(struct rng *rng) {
    uint64_t *state = rng->state;
    uint64_t result = rotate_left(state[1] * 5, 7) * 9;
    uint64_t shifted = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = rotate_left(state[3], 45);
    return result;
}

uint32_t rng_below(struct rng *rng, uint32_t bound) {
    CHECK(bound > 0);
    // Lemire's multiplication: the high half of a 32 x 32 bit product is below `bound`; low halves under `uneven` would make some
    // results more frequent than others and are drawn again.
    uint64_t product = (rng_next(rng) >> 32) * bound;
    if ((uint32_t)product < bound) {
        uint32_t uneven = -bound % bound;
        while ((uint32_t)product < uneven)
            product = (rng_next(rng) >> 32) * bound;
    }
    return (uint32_t)(product >> 32);
}

uint64_t rng_shortened(struct rng *rng, uint64_t whole) {
    return whole - rng_next(rng) % (whole / 10 + 1);
}
