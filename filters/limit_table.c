// See limit_table.h: shards, each a lock and buckets of eight slots; a key may lie in either of two buckets of its shard.
#include "filters/limit_table.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/pool.h"
#include "filters/gcra.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_PER_BUCKET 8
#define SHARDS_MAX 64

// With fewer buckets in a shard some shards are full by chance long before the others.
#define BUCKETS_PER_SHARD_MIN 64

// Of 100 slots as many are in use when the table has all the keys that it is for: more, and some bucket is full by chance.
#define FULL_PERCENT 80

// A slot is `words` numbers: its key; for each limit when it would be full again; of the quota, when its period ends and what is used of it.
struct shard {
    pthread_mutex_t lock;
    uint64_t *slots;
} __attribute__((aligned(64)));

struct limit_table {
    uint32_t limits;
    bool has_quota;
    uint32_t words;        // of a slot
    uint32_t shard_count;  // a power of two
    uint32_t bucket_count; // of a shard: a power of two
    _Atomic uint64_t shared_count;
    uint32_t tiers;
    struct shard *shards; // and behind them one for each tier, with the one slot of the debt that is shared
    uint64_t *memory;
};

static uint32_t power_of_two(uint64_t least) {
    uint32_t power = 1;
    while (power < least)
        power *= 2;
    return power;
}

struct limit_table *limit_table_create(uint32_t keys, uint32_t tiers, uint32_t limits, bool has_quota) {
    struct limit_table *table = alloc_zeroed_or_abort(1, sizeof *table);
    table->tiers = tiers;
    table->limits = limits;
    table->has_quota = has_quota;
    table->words = 1 + limits + (has_quota ? 2 : 0);
    const uint32_t buckets = keys == 0 ? 1 : power_of_two(((uint64_t)keys * 100 / FULL_PERCENT + SLOTS_PER_BUCKET - 1) / SLOTS_PER_BUCKET);
    table->shard_count = buckets / BUCKETS_PER_SHARD_MIN;
    table->shard_count = table->shard_count == 0 ? 1 : table->shard_count > SHARDS_MAX ? SHARDS_MAX : table->shard_count;
    table->bucket_count = buckets / table->shard_count;
    const size_t words_of_shard = (size_t)table->bucket_count * SLOTS_PER_BUCKET * table->words;
    // Large tables are not touched before they are used: pages that no key has come to are none of the process's.
    table->memory = alloc_zeroed_or_abort(table->shard_count * words_of_shard + (size_t)tiers * table->words, sizeof table->memory[0]);
    table->shards = aligned_alloc(_Alignof(struct shard), (table->shard_count + tiers) * sizeof table->shards[0]);
    CHECK(table->shards != NULL);
    for (uint32_t i = 0; i < table->shard_count + tiers; i++) {
        const size_t tiers_before = i > table->shard_count ? i - table->shard_count : 0;
        pthread_mutex_init(&table->shards[i].lock, NULL);
        table->shards[i].slots = table->memory + (i - tiers_before) * words_of_shard + tiers_before * table->words;
    }
    return table;
}

void limit_table_destroy(struct limit_table *table) {
    for (uint32_t i = 0; i < table->shard_count + table->tiers; i++)
        pthread_mutex_destroy(&table->shards[i].lock);
    free(table->shards);
    free(table->memory);
    free(table);
}

// ---- slots

static uint64_t *limits_of(uint64_t *slot) {
    return slot + 1;
}

static uint64_t *quota_end_of(const struct limit_table *table, uint64_t *slot) {
    return slot + 1 + table->limits;
}

static uint64_t *quota_used_of(const struct limit_table *table, uint64_t *slot) {
    return slot + 2 + table->limits;
}

// It remembers nothing that matters any more.
static bool is_free(const struct limit_table *table, uint64_t *slot, const struct limit_ask *ask) {
    for (uint32_t i = 0; i < table->limits; i++)
        if (limits_of(slot)[i] > ask->now)
            return false;
    return !table->has_quota || *quota_used_of(table, slot) == 0 || *quota_end_of(table, slot) <= ask->wall_s;
}

// Where a key's debt stands; its shard is locked.
struct found {
    struct shard *shard;
    uint64_t *slot;
    bool is_shared;
    bool is_new; // the slot was another key's, or nobody's
};

// The slot that the key has in that bucket; NULL: none.
static uint64_t *slot_of(const struct limit_table *table, uint64_t *bucket, uint64_t key) {
    for (uint32_t i = 0; i < SLOTS_PER_BUCKET; i++, bucket += table->words)
        if (bucket[0] == key)
            return bucket;
    return NULL;
}

// How many slots of that bucket are free; `*unused` is one of them.
static uint32_t count_free(const struct limit_table *table, uint64_t *bucket, const struct limit_ask *ask, uint64_t **unused) {
    uint32_t free = 0;
    for (uint32_t i = 0; i < SLOTS_PER_BUCKET; i++, bucket += table->words) {
        if (!is_free(table, bucket, ask))
            continue;
        free++;
        *unused = bucket;
    }
    return free;
}

// The slot of the key, else a free one in that of its buckets that has more of them: so neither is full long before the others. False: there is none.
static bool find_slot(const struct limit_table *table, const struct limit_ask *ask, struct found *found) {
    uint64_t *const slots = found->shard->slots;
    const size_t size = SLOTS_PER_BUCKET * (size_t)table->words;
    uint64_t *const buckets[] = {slots + (ask->key & (table->bucket_count - 1)) * size,
                                 slots + (hash_mix(ask->key) & (table->bucket_count - 1)) * size};
    for (size_t i = 0; i < sizeof buckets / sizeof buckets[0]; i++)
        if ((found->slot = slot_of(table, buckets[i], ask->key)) != NULL)
            return true;
    uint32_t most = 0;
    found->is_new = true;
    for (size_t i = 0; i < sizeof buckets / sizeof buckets[0]; i++) {
        uint64_t *unused;
        const uint32_t free = count_free(table, buckets[i], ask, &unused);
        if (free <= most)
            continue;
        most = free;
        found->slot = unused;
    }
    return most > 0;
}

// Locks the shard in which the key's debt stands, until `leave`.
static struct found find(struct limit_table *table, const struct limit_ask *ask) {
    struct found found = {.shard = &table->shards[ask->key >> 32 & (table->shard_count - 1)]};
    CHECK(ask->key != 0 && ask->tier_index < table->tiers);
    pthread_mutex_lock(&found.shard->lock);
    if (find_slot(table, ask, &found))
        return found;
    pthread_mutex_unlock(&found.shard->lock);
    found = (struct found){.shard = &table->shards[table->shard_count + ask->tier_index], .is_shared = true};
    found.slot = found.shard->slots;
    pthread_mutex_lock(&found.shard->lock);
    return found;
}

static void leave(const struct found *found) {
    pthread_mutex_unlock(&found->shard->lock);
}

// ---- rules

// `scaled` is room for one that is shared.
static const struct rate_limit *limit_for(const struct limit_ask *ask, uint32_t index, bool is_shared, struct rate_limit *scaled) {
    const struct rate_limit *limit = &ask->tier->limits[index];
    if (!is_shared)
        return limit;
    *scaled = *limit;
    scaled->per = limit->per / LIMIT_SHARED_FACTOR; // of a tenth of the time, so that no product of numbers grows too large
    scaled->burst = limit->burst > UINT32_MAX / LIMIT_SHARED_FACTOR ? UINT32_MAX : limit->burst * LIMIT_SHARED_FACTOR;
    return scaled;
}

static uint64_t quota_used(const struct limit_table *table, const struct found *found, const struct limit_ask *ask) {
    const bool is_over = found->is_new || *quota_end_of(table, found->slot) <= ask->wall_s;
    return is_over ? 0 : *quota_used_of(table, found->slot);
}

static uint64_t quota_for(const struct limit_ask *ask, bool is_shared) {
    return ask->tier->quota.requests * (is_shared ? LIMIT_SHARED_FACTOR : 1);
}

// The limit that has to be waited for longest says no.
static struct limit_answer judge(const struct limit_table *table, const struct found *found, const struct limit_ask *ask) {
    struct rate_limit scaled;
    struct limit_answer answer = {.is_shared = found->is_shared};
    for (uint32_t i = 0; i < ask->tier->limit_count; i++) {
        const struct rate_limit *limit = limit_for(ask, i, found->is_shared, &scaled);
        const nanoseconds wait = gcra_wait(limit, found->is_new ? 0 : limits_of(found->slot)[i], ask->now);
        if (wait > answer.wait)
            answer = (struct limit_answer){.outcome = LIMIT_EXCEEDED, .limit = i, .wait = wait, .is_shared = found->is_shared};
    }
    if (ask->tier->quota.requests == 0 || quota_used(table, found, ask) < quota_for(ask, found->is_shared))
        return answer;
    answer.outcome = LIMIT_QUOTA_EXCEEDED;
    const nanoseconds to_end = (ask->quota_end_s - ask->wall_s) * NS_PER_S;
    answer.wait = to_end > answer.wait ? to_end : answer.wait;
    return answer;
}

static void count_left(const struct limit_table *table, const struct found *found, const struct limit_ask *ask, struct limit_left *left) {
    struct rate_limit scaled;
    *left = (struct limit_left){0};
    for (uint32_t i = 0; i < ask->tier->limit_count; i++) {
        const struct rate_limit *limit = limit_for(ask, i, found->is_shared, &scaled);
        left->limits[i] = gcra_left(limit, found->is_new ? 0 : limits_of(found->slot)[i], ask->now);
    }
    const uint64_t most = quota_for(ask, found->is_shared), used = most == 0 ? 0 : quota_used(table, found, ask);
    left->quota = used < most ? most - used : 0;
}

static void charge(struct limit_table *table, const struct found *found, const struct limit_ask *ask) {
    uint64_t *slot = found->slot;
    struct rate_limit scaled;
    if (found->is_shared)
        atomic_fetch_add_explicit(&table->shared_count, 1, memory_order_relaxed);
    if (found->is_new) {
        memset(slot, 0, table->words * sizeof *slot);
        slot[0] = ask->key;
    }
    for (uint32_t i = 0; i < ask->tier->limit_count; i++) {
        const struct rate_limit *limit = limit_for(ask, i, found->is_shared, &scaled);
        const nanoseconds after = gcra_after(limit, limits_of(slot)[i], ask->now);
        const nanoseconds most = ask->now + gcra_spacing(limit) * limit->burst + gcra_spacing(limit);
        limits_of(slot)[i] = after < most ? after : most;
    }
    if (ask->tier->quota.requests == 0)
        return;
    *quota_used_of(table, slot) = quota_used(table, found, ask) + 1;
    *quota_end_of(table, slot) = ask->quota_end_s;
}

// ---- the table

struct limit_answer limit_table_look(struct limit_table *table, const struct limit_ask *ask) {
    const struct found found = find(table, ask);
    const struct limit_answer answer = judge(table, &found, ask);
    leave(&found);
    return answer;
}

struct limit_answer limit_table_tell(struct limit_table *table, const struct limit_ask *ask, struct limit_left *left) {
    const struct found found = find(table, ask);
    const struct limit_answer answer = judge(table, &found, ask);
    count_left(table, &found, ask, left);
    leave(&found);
    return answer;
}

struct limit_answer limit_table_take(struct limit_table *table, const struct limit_ask *ask) {
    const struct found found = find(table, ask);
    const struct limit_answer answer = judge(table, &found, ask);
    if (answer.outcome == LIMIT_PASSES)
        charge(table, &found, ask);
    leave(&found);
    return answer;
}

void limit_table_force(struct limit_table *table, const struct limit_ask *ask) {
    const struct found found = find(table, ask);
    charge(table, &found, ask);
    leave(&found);
}

// A key whose debt was shared, and that has a slot by now, has nothing there to be given back.
void limit_table_give_back(struct limit_table *table, const struct limit_ask *ask) {
    const struct found found = find(table, ask);
    struct rate_limit scaled;
    for (uint32_t i = 0; i < ask->tier->limit_count && !found.is_new; i++) {
        const struct rate_limit *limit = limit_for(ask, i, found.is_shared, &scaled);
        uint64_t *full_at = &limits_of(found.slot)[i];
        *full_at -= *full_at >= gcra_spacing(limit) ? gcra_spacing(limit) : 0;
    }
    if (ask->tier->quota.requests > 0 && quota_used(table, &found, ask) > 0)
        *quota_used_of(table, found.slot) -= 1;
    leave(&found);
}

uint64_t limit_table_shared_count(const struct limit_table *table) {
    return atomic_load_explicit(&table->shared_count, memory_order_relaxed);
}
