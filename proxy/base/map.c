// The hash map: linear probing, at most three quarters full; removal moves later entries of a run back, so that no graves are left and
// a table through which many keys have gone is as fast as a new one. Hashing is SipHash-1-3 (Aumasson and Bernstein).
#include "base/map.h"

#include "base/check.h"
#include "base/pool.h"

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

#define CAPACITY_MIN 8

struct map_entry {
    char *key; // owned; NULL: the entry is free
    size_t key_length;
    uint64_t hash;
    void *value;
};

struct sip {
    uint64_t v0, v1, v2, v3;
};

static pthread_once_t seed_once = PTHREAD_ONCE_INIT;
static uint64_t seed[2]; // constant after seed_init

static void seed_init(void) {
    ssize_t got;
    do
        got = getrandom(seed, sizeof(seed), 0);
    while (got < 0 && errno == EINTR);
    CHECK(got == (ssize_t)sizeof(seed));
}

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

uint64_t hash_bytes(struct bytes text) {
    int failed = pthread_once(&seed_once, seed_init);
    CHECK(failed == 0);
    struct sip sip = {seed[0] ^ UINT64_C(0x736f6d6570736575), seed[1] ^ UINT64_C(0x646f72616e646f6d), seed[0] ^ UINT64_C(0x6c7967656e657261),
                      seed[1] ^ UINT64_C(0x7465646279746573)};
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

void map_init(struct map *map) {
    *map = (struct map){.entries = NULL};
}

void map_dispose(struct map *map) {
    for (uint32_t i = 0; i < map->capacity; i++)
        free(map->entries[i].key);
    free(map->entries);
    map_init(map);
}

// The entry of `key`, or the free one where it belongs. There is always a free one.
static struct map_entry *entry_find(const struct map *map, struct bytes key, uint64_t hash) {
    uint32_t mask = map->capacity - 1;
    CHECK(map->count < map->capacity);
    for (uint32_t i = (uint32_t)hash & mask;; i = (i + 1) & mask) {
        struct map_entry *entry = &map->entries[i];
        if (entry->key == NULL)
            return entry;
        if (entry->hash == hash && bytes_equal(bytes_from(entry->key, entry->key_length), key))
            return entry;
    }
}

static void grow(struct map *map) {
    struct map old = *map;
    CHECK(old.capacity <= UINT32_MAX / 2);
    map->capacity = old.capacity > 0 ? old.capacity * 2 : CAPACITY_MIN;
    map->entries = alloc_zeroed_or_abort(map->capacity, sizeof(*map->entries));
    uint32_t mask = map->capacity - 1;
    for (uint32_t i = 0; i < old.capacity; i++) {
        if (old.entries[i].key == NULL)
            continue;
        uint32_t to = (uint32_t)old.entries[i].hash & mask;
        while (map->entries[to].key != NULL)
            to = (to + 1) & mask;
        map->entries[to] = old.entries[i];
    }
    free(old.entries);
}

void *map_get(const struct map *map, struct bytes key) {
    if (map->count == 0)
        return NULL;
    return entry_find(map, key, hash_bytes(key))->value;
}

void *map_put(struct map *map, struct bytes key, void *value) {
    CHECK(value != NULL);
    if (map->count + 1 > map->capacity / 4 * 3)
        grow(map);
    uint64_t hash = hash_bytes(key);
    struct map_entry *entry = entry_find(map, key, hash);
    void *before = entry->value;
    if (entry->key == NULL) {
        *entry = (struct map_entry){copy_text_or_abort(key), key.len, hash, NULL};
        map->count++;
    }
    entry->value = value;
    return before;
}

void *map_remove(struct map *map, struct bytes key) {
    if (map->count == 0)
        return NULL;
    struct map_entry *entry = entry_find(map, key, hash_bytes(key));
    if (entry->key == NULL)
        return NULL;
    void *before = entry->value;
    free(entry->key);
    map->count--;

    // Each later entry of the run moves into the hole, unless it would then lie before its home.
    uint32_t mask = map->capacity - 1;
    uint32_t hole = (uint32_t)(entry - map->entries);
    for (uint32_t i = (hole + 1) & mask; map->entries[i].key != NULL; i = (i + 1) & mask) {
        uint32_t home = (uint32_t)map->entries[i].hash & mask;
        if (((i - home) & mask) < ((i - hole) & mask))
            continue;
        map->entries[hole] = map->entries[i];
        hole = i;
    }
    map->entries[hole] = (struct map_entry){.key = NULL};
    return before;
}

bool map_next(const struct map *map, uint32_t *position, struct bytes *key, void **value) {
    while (*position < map->capacity) {
        const struct map_entry *entry = &map->entries[(*position)++];
        if (entry->key == NULL)
            continue;
        *key = bytes_from(entry->key, entry->key_length);
        *value = entry->value;
        return true;
    }
    return false;
}
