// Hashing of bytes: SipHash, for maps with a key of this process, for balancers with one that is the same in all processes and for ever.
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/bytes.h"

#include <stdint.h>

// SipHash-1-3 (Aumasson and Bernstein).
uint64_t hash_with_key(uint64_t key0, uint64_t key1, struct bytes text);

// Spreads a number over 64 bits, one to one (the finalizer of SplitMix64): neighbours come to lie far apart.
static inline uint64_t hash_mix(uint64_t number) {
    number = (number ^ number >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    number = (number ^ number >> 27) * UINT64_C(0x94d049bb133111eb);
    return number ^ number >> 31;
}

#endif
