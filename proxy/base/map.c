// The hash map: linear probing, at most three quarters full; removal moves later entries of a run back, so that no graves are left and
// a table through which many keys have gone is as fast as a new one.
#include "base/map.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/pool.h"

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

static pthread_once_t seed_once = PTHREAD_ONCE_INIT;
static uint64_t seed[4]; // constant after seed_init; two for hash_bytes, two for hash_own_keys

static void seed_init(void) {
    ssize_t got;
    do
        got = getrandom(seed, sizeof(seed), 0);
    while (got < 0 && errno == EINTR);
    CHECK(got == (ssize_t)sizeof(seed));
}

uint64_t hash_bytes(struct bytes text) {
    int failed = pthread_once(&seed_once, seed_init);
    CHECK(failed == 0);
    return hash_with_key(seed[0], seed[1], text);
}

void hash_own_keys(uint64_t keys[2]) {
    int failed = pthread_once(&seed_once, seed_init);
    CHECK(failed == 0);
    keys[0] = seed[2];
    keys[1] = seed[3];
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
