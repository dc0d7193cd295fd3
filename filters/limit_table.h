// What one rule of a RateLimitPolicy remembers of its keys: for each the debt in each of its limits, and what is used of its quota. Exact over all threads: each question and each
// charge is one step under the lock of the key's shard.
//
// Of fixed size. A key has a slot for as long as it has a debt: no flood of other keys takes it away. A key that finds no slot free in the two buckets that it may lie in shares one
// debt with all others of its tier like it, under ten times the limits (policy.md, RateLimitPolicy); that is counted.
#ifndef FILTERS_LIMIT_TABLE_H
#define FILTERS_LIMIT_TABLE_H

#include "config/rate_limit_config.h"

#include <stdatomic.h>
#include <stdbool.h>

struct limit_table;

// The limits of keys that share a debt are so many times those of one key.
#define LIMIT_SHARED_FACTOR 10

struct limit_ask {
    uint64_t key; // a hash with a key that clients do not know; whose tiers have different limits has a different one in each
    const struct rate_tier *tier;
    nanoseconds now;      // monotonic
    uint32_t tier_index;  // of `tier`: keys without a slot share a debt by tier
    uint64_t wall_s;      // seconds since 1970, where the table has quotas
    uint64_t quota_end_s; // when the period of the tier's quota ends that it lies in; 0: the tier has none
};

enum limit_outcome { LIMIT_PASSES, LIMIT_EXCEEDED, LIMIT_QUOTA_EXCEEDED };

struct limit_answer {
    enum limit_outcome outcome;
    uint32_t limit;   // which of the tier's it is that says no
    nanoseconds wait; // until all let one pass, if no other comes
    bool is_shared;
};

// `tiers`: how many there are; 1 where there are none. `keys`: so many have a slot at least, but for the ill luck of hashes; 0 is one, for a rule whose requests are all counted together. `limits`: as many as any tier has.
struct limit_table *limit_table_create(uint32_t keys, uint32_t tiers, uint32_t limits, bool has_quota);
void limit_table_destroy(struct limit_table *table);

// Would one more request pass? Changes nothing. Any thread, as all that follows.
struct limit_answer limit_table_look(struct limit_table *table, const struct limit_ask *ask);

// How many more would pass now, if no other came.
struct limit_left {
    uint64_t limits[RATE_LIMITS_MAX]; // of each of the tier's
    uint64_t quota;                   // 0 too where the tier has none
};

// The same look, and what is left. For whoever asks why.
struct limit_answer limit_table_tell(struct limit_table *table, const struct limit_ask *ask, struct limit_left *left);

// The same, and takes it where it passes.
struct limit_answer limit_table_take(struct limit_table *table, const struct limit_ask *ask);

// One more request counts, whether it would pass or not: it has been done. The debt goes no further than to where the next one that passes has to wait for it alone.
void limit_table_force(struct limit_table *table, const struct limit_ask *ask);

// What was taken, with the same `ask`, is given back.
void limit_table_give_back(struct limit_table *table, const struct limit_ask *ask);

// How many requests were counted in a debt that is shared.
uint64_t limit_table_shared_count(const struct limit_table *table);

#endif
