// SipHash: four words of state, one round for each eight bytes, three at the end.
#include "base/hash.h"

#include <endian.h>

struct sip {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotate_left(uint64_t value, unsigned by) {
    return (value << by) | (value >> (64 - by));
}

static void sip_round(struct sip *sip) {
    sip->v0 += sip->v1;
    sip->v1 = rotate_left(sip->v1, 13) ^ sip->v0;
    sip->v0 = rotate_left(sip->v0, 32);
    sip->v2 += sip->v3;
    sip->v3 = rotate_left(sip->v3, 16) ^ sip->v2;
    sip->v0 += sip->v3;
    sip->v3 = rotate_left(sip->v3, 21) ^ sip->v0;
    sip->v2 += sip->v1;
    sip->v1 = rotate_left(sip->v1, 17) ^ sip->v2;
    sip->v2 = rotate_left(sip->v2, 32);
}

uint64_t hash_with_key(uint64_t key0, uint64_t key1, struct bytes text) {
    struct sip sip = {key0 ^ UINT64_C(0x736f6d6570736575), key1 ^ UINT64_C(0x646f72616e646f6d), key0 ^ UINT64_C(0x6c7967656e657261),
                      key1 ^ UINT64_C(0x7465646279746573)};
    size_t whole = text.len & ~(size_t)7;
    for (size_t i = 0; i < whole; i += 8) {
        uint64_t word;
        memcpy(&word, text.at + i, 8);
        word = le64toh(word);
        sip.v3 ^= word;
        sip_round(&sip);
        sip.v0 ^= word;
    }
    uint64_t last = (uint64_t)text.len << 56;
    for (size_t i = whole; i < text.len; i++)
        last |= (uint64_t)(unsigned char)text.at[i] << (8 * (i - whole));
    sip.v3 ^= last;
    sip_round(&sip);
    sip.v0 ^= last;
    sip.v2 ^= 0xff;
    sip_round(&sip);
    sip_round(&sip);
    sip_round(&sip);
    return sip.v0 ^ sip.v1 ^ sip.v2 ^ sip.v3;
}
