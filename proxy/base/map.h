// A hash map from bytes to pointers, open addressing, for the tables of snapshots and live state (services, clusters, names). Keys are copied; hashing is
// SipHash-like with a random seed per process, so that no peer can choose collisions. Grows by doubling; not thread-safe.
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_entry;

struct map {
    struct map_entry *entries;
    uint32_t capacity; // 0 or a power of two
    uint32_t count;
};

void map_init(struct map *map);

// Frees keys and table; values are the owner's.
void map_dispose(struct map *map);

// NULL when absent.
void *map_get(const struct map *map, struct bytes key);

// Sets or replaces; returns the value that was there before or NULL. `value` is not NULL.
void *map_put(struct map *map, struct bytes key, void *value);

// Returns the value that was there or NULL.
void *map_remove(struct map *map, struct bytes key);

// Iterates: start with *position = 0; false at the end. The map must not change meanwhile.
bool map_next(const struct map *map, uint32_t *position, struct bytes *key, void **value);

// The hash used: 64 bits, seeded per process.
uint64_t hash_bytes(struct bytes text);

// Two keys of this process for hash_with_key, other ones than those of hash_bytes: for hashes that are shown.
void hash_own_keys(uint64_t keys[2]);

#endif
