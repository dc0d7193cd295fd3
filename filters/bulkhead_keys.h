// The keys of a pool's requests that run or wait now, each with its share. As many as there are such requests at most, which is what bounds them: a key that nobody has any more is dropped.
// Theirs is the pool's mutex.
#ifndef FILTERS_BULKHEAD_KEYS_H
#define FILTERS_BULKHEAD_KEYS_H

#include "filters/rank_tree.h"

#include <stdbool.h>

struct bulkhead_key {
    struct bulkhead_key *next; // in its chain, or of those that are kept for others
    uint64_t hash;
    uint32_t running, share, waits;
    uint32_t over; // in a dry run: that would wait, since as many run as its share is
    struct rank_tree waiting;
    struct rank_node in_ready, in_beyond; // of its pool
    bool is_ready, is_beyond;
};

// What share which key has.
struct bulkhead_key_share {
    uint64_t key;
    uint32_t share;
};

struct bulkhead_shares {
    uint32_t share; // of those that are not listed; 0: keys have none
    struct bulkhead_key_share *overrides;
    uint32_t override_count;
};

// A copy of one's own, in which shares can be looked up.
void bulkhead_shares_init(struct bulkhead_shares *shares, const struct bulkhead_shares *from);
void bulkhead_shares_dispose(struct bulkhead_shares *shares);

// Of a copy. UINT32_MAX: keys have none.
uint32_t bulkhead_share_of(const struct bulkhead_shares *shares, uint64_t key);

struct bulkhead_keys {
    struct bulkhead_key **chains;
    struct bulkhead_key *kept;
    uint32_t kept_count;
};

void bulkhead_keys_init(struct bulkhead_keys *keys);

// None is left.
void bulkhead_keys_dispose(struct bulkhead_keys *keys);

// NULL: there is none.
struct bulkhead_key *bulkhead_keys_find(const struct bulkhead_keys *keys, uint64_t hash);

// Made where there is none, with a share of 0.
struct bulkhead_key *bulkhead_keys_get(struct bulkhead_keys *keys, uint64_t hash);

// All, in no order: NULL gives the first, and stands behind the last.
struct bulkhead_key *bulkhead_keys_next(const struct bulkhead_keys *keys, const struct bulkhead_key *before);

// Nobody of that key runs or waits.
void bulkhead_keys_drop(struct bulkhead_keys *keys, struct bulkhead_key *key);

#endif
