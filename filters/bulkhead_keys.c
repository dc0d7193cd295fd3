// See bulkhead_keys.h: a table of chains whose size stays. Hashes are not to be aimed at from outside, so the chains stay even.
#include "filters/bulkhead_keys.h"

#include "base/check.h"
#include "base/pool.h"

#include <stdlib.h>
#include <string.h>

// With as many requests as most pools have, a chain has one key or none; with 100,000 of them, 25.
#define CHAINS 4096

// Keys that are kept for those to come, so that none is allocated once warm.
#define KEPT_MAX 1024

static int compare_shares(const void *left, const void *right) {
    const struct bulkhead_key_share *a = left, *b = right;
    return a->key < b->key ? -1 : a->key > b->key;
}

void bulkhead_shares_init(struct bulkhead_shares *shares, const struct bulkhead_shares *from) {
    *shares = *from;
    shares->overrides = NULL;
    if (from->override_count == 0)
        return;
    shares->overrides = alloc_zeroed_or_abort(from->override_count, sizeof from->overrides[0]);
    memcpy(shares->overrides, from->overrides, from->override_count * sizeof from->overrides[0]);
    qsort(shares->overrides, shares->override_count, sizeof shares->overrides[0], compare_shares);
}

void bulkhead_shares_dispose(struct bulkhead_shares *shares) {
    free(shares->overrides);
    *shares = (struct bulkhead_shares){0};
}

uint32_t bulkhead_share_of(const struct bulkhead_shares *shares, uint64_t key) {
    if (shares->share == 0)
        return UINT32_MAX;
    const struct bulkhead_key_share wanted = {.key = key};
    const struct bulkhead_key_share *found =
        shares->override_count == 0 ? NULL : bsearch(&wanted, shares->overrides, shares->override_count, sizeof wanted, compare_shares);
    return found == NULL ? shares->share : found->share;
}

void bulkhead_keys_init(struct bulkhead_keys *keys) {
    *keys = (struct bulkhead_keys){0};
}

void bulkhead_keys_dispose(struct bulkhead_keys *keys) {
    for (uint32_t i = 0; keys->chains != NULL && i < CHAINS; i++)
        CHECK(keys->chains[i] == NULL);
    while (keys->kept != NULL) {
        struct bulkhead_key *key = keys->kept;
        keys->kept = key->next;
        free(key);
    }
    free(keys->chains);
    keys->chains = NULL;
}

// What points to it, or to the end of its chain.
static struct bulkhead_key **place_of(const struct bulkhead_keys *keys, uint64_t hash) {
    struct bulkhead_key **place = &keys->chains[hash % CHAINS];
    while (*place != NULL && (*place)->hash != hash)
        place = &(*place)->next;
    return place;
}

struct bulkhead_key *bulkhead_keys_find(const struct bulkhead_keys *keys, uint64_t hash) {
    return keys->chains == NULL ? NULL : *place_of(keys, hash);
}

struct bulkhead_key *bulkhead_keys_get(struct bulkhead_keys *keys, uint64_t hash) {
    if (keys->chains == NULL) // most pools have no keys
        keys->chains = alloc_zeroed_or_abort(CHAINS, sizeof(struct bulkhead_key *));
    struct bulkhead_key **place = place_of(keys, hash);
    if (*place != NULL)
        return *place;
    struct bulkhead_key *key = keys->kept;
    if (key == NULL) {
        key = alloc_zeroed_or_abort(1, sizeof *key);
    } else {
        keys->kept = key->next;
        keys->kept_count--;
    }
    *key = (struct bulkhead_key){.hash = hash};
    *place = key;
    return key;
}

struct bulkhead_key *bulkhead_keys_next(const struct bulkhead_keys *keys, const struct bulkhead_key *before) {
    if (before != NULL && before->next != NULL)
        return before->next;
    for (uint64_t chain = before == NULL ? 0 : before->hash % CHAINS + 1; keys->chains != NULL && chain < CHAINS; chain++)
        if (keys->chains[chain] != NULL)
            return keys->chains[chain];
    return NULL;
}

void bulkhead_keys_drop(struct bulkhead_keys *keys, struct bulkhead_key *key) {
    struct bulkhead_key **place = place_of(keys, key->hash);
    CHECK(*place == key && key->running == 0 && key->waits == 0 && key->over == 0 && !key->is_ready && !key->is_beyond);
    *place = key->next;
    if (keys->kept_count == KEPT_MAX) {
        free(key);
        return;
    }
    key->next = keys->kept;
    keys->kept = key;
    keys->kept_count++;
}
