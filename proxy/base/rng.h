// A small fast random generator (xoshiro256**), seeded once a worker: for balancers, jitter and ids. Never for keys. Tests pass a seed.
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdint.h>

struct rng {
    uint64_t state[4];
};

void rng_init(struct rng *rng, uint64_t seed);

// Seeds from the system's source of randomness.
void rng_init_random(struct rng *rng);

uint64_t rng_next(struct rng *rng);

// Uniform in [0, bound); bound > 0.
uint32_t rng_below(struct rng *rng, uint32_t bound);

// Uniform from nine tenths of `whole` to the whole: for times, so that what began together does not end together.
uint64_t rng_shortened(struct rng *rng, uint64_t whole);

#endif
