// Counts the series of a process by their fingerprints: see series_registry.h.
#include "telemetry/series_registry.h"

#include "base/check.h"
#include "base/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

// 64 Ki bits for each family: with 2,000 series 3 % of what is unknown takes the lock after all.
#define FILTER_WORDS 1024

// Series that have gone still have their bits: after so many the filter is made anew.
#define GONE_MAX 1000

struct entry {
    uint64_t fingerprint;
    uint32_t parts; // 0: the place is free
    struct series_life life;
};

struct family {
    struct entry *entries; // open addressing, linear; at most half full
    uint32_t capacity;     // 0 or a power of two
    uint32_t gone;         // since the filter was renewed
    _Atomic uint32_t count;
    _Atomic uint64_t filter[FILTER_WORDS];
};

struct series_registry {
    pthread_mutex_t lock;
    _Atomic uint32_t max;
    _Atomic nanoseconds exponential_since; // 0: not
    uint64_t lives;                        // that have begun
    _Atomic uint64_t ended;                // of these
    _Atomic uint64_t gathers;              // the number of the last one that has begun
    _Atomic uint64_t gathered;             // all up to that one are over
    struct family families[SERIES_FAMILIES];
};

struct series_registry *series_registry_create(void) {
    struct series_registry *registry = alloc_zeroed_or_abort(1, sizeof *registry);
    CHECK(pthread_mutex_init(&registry->lock, NULL) == 0);
    registry->max = SERIES_MAX_DEFAULT;
    return registry;
}

void series_registry_destroy(struct series_registry *registry) {
    for (int i = 0; i < SERIES_FAMILIES; i++) {
        CHECK(registry->families[i].count == 0);
        free(registry->families[i].entries);
    }
    pthread_mutex_destroy(&registry->lock);
    free(registry);
}

void series_registry_set(struct series_registry *registry, uint32_t max, bool exponential, nanoseconds wall) {
    CHECK(max > 0 && max <= SERIES_MAX_MAX && wall > 0);
    const nanoseconds since = atomic_load_explicit(&registry->exponential_since, memory_order_relaxed);
    atomic_store_explicit(&registry->max, max, memory_order_relaxed);
    atomic_store_explicit(&registry->exponential_since, !exponential ? 0 : since == 0 ? wall : since, memory_order_relaxed);
}

nanoseconds series_registry_exponential_since(const struct series_registry *registry) {
    return atomic_load_explicit(&registry->exponential_since, memory_order_relaxed);
}

uint32_t series_registry_count(const struct series_registry *registry, enum series_family family) {
    return atomic_load_explicit(&registry->families[family].count, memory_order_relaxed);
}

static void filter_set(struct family *family, uint64_t fingerprint) {
    _Atomic uint64_t *word = &family->filter[(fingerprint >> 6) % FILTER_WORDS];
    atomic_fetch_or_explicit(word, UINT64_C(1) << (fingerprint & 63), memory_order_relaxed);
}

static bool filter_has(const struct family *family, uint64_t fingerprint) {
    const _Atomic uint64_t *word = &family->filter[(fingerprint >> 6) % FILTER_WORDS];
    return (atomic_load_explicit(word, memory_order_relaxed) >> (fingerprint & 63) & 1) != 0;
}

// The entry of that series, or the free place that it would have.
static struct entry *find(struct entry *entries, uint32_t capacity, uint64_t fingerprint) {
    uint32_t place = (uint32_t)(fingerprint >> 32) & (capacity - 1);
    while (entries[place].parts > 0 && entries[place].fingerprint != fingerprint)
        place = (place + 1) & (capacity - 1);
    return &entries[place];
}

static void grow(struct family *family) {
    const uint32_t capacity = family->capacity == 0 ? 64 : family->capacity * 2;
    struct entry *larger = alloc_zeroed_or_abort(capacity, sizeof *larger);
    for (uint32_t i = 0; i < family->capacity; i++)
        if (family->entries[i].parts > 0)
            *find(larger, capacity, family->entries[i].fingerprint) = family->entries[i];
    free(family->entries);
    family->entries = larger;
    family->capacity = capacity;
}

static uint32_t max_of(const struct series_registry *registry, enum series_family which) {
    return which == SERIES_ENDS ? SERIES_MAX_MAX : atomic_load_explicit(&registry->max, memory_order_relaxed);
}

static bool enter(struct series_registry *registry, enum series_family which, uint64_t fingerprint, nanoseconds wall, struct series_life *life) {
    struct family *family = &registry->families[which];
    const uint32_t count = family->count;
    if ((count + 1) * 2 > family->capacity)
        grow(family);
    struct entry *entry = find(family->entries, family->capacity, fingerprint);
    if (entry->parts == 0) {
        if (count >= max_of(registry, which))
            return false;
        *entry = (struct entry){.fingerprint = fingerprint, .life = {.number = ++registry->lives, .begun = wall}};
        filter_set(family, fingerprint);
        atomic_store_explicit(&family->count, count + 1, memory_order_relaxed);
    }
    entry->parts++;
    *life = entry->life;
    return true;
}

bool series_registry_enter(struct series_registry *registry, enum series_family which, uint64_t fingerprint, nanoseconds wall,
                           struct series_life *life) {
    const bool is_full = series_registry_count(registry, which) >= max_of(registry, which);
    if (is_full && !filter_has(&registry->families[which], fingerprint))
        return false;
    CHECK(pthread_mutex_lock(&registry->lock) == 0);
    const bool is_entered = enter(registry, which, fingerprint, wall, life);
    CHECK(pthread_mutex_unlock(&registry->lock) == 0);
    return is_entered;
}

// Bits may be shared, so that they go only all at once. A worker that looks meanwhile may count one request of a series of another worker in the overflow.
static void filter_renew(struct family *family) {
    for (uint32_t i = 0; i < FILTER_WORDS; i++)
        atomic_store_explicit(&family->filter[i], 0, memory_order_relaxed);
    for (uint32_t i = 0; i < family->capacity; i++)
        if (family->entries[i].parts > 0)
            filter_set(family, family->entries[i].fingerprint);
    family->gone = 0;
}

// What stood behind it and would not be found any more moves up.
static void take_out(struct family *family, struct entry *entry) {
    const uint32_t mask = family->capacity - 1;
    uint32_t hole = (uint32_t)(entry - family->entries);
    for (uint32_t i = (hole + 1) & mask; family->entries[i].parts > 0; i = (i + 1) & mask) {
        const uint32_t home = (uint32_t)(family->entries[i].fingerprint >> 32) & mask;
        if (((i - home) & mask) < ((i - hole) & mask))
            continue;
        family->entries[hole] = family->entries[i];
        hole = i;
    }
    family->entries[hole] = (struct entry){0};
    atomic_store_explicit(&family->count, family->count - 1, memory_order_relaxed);
    if (++family->gone == GONE_MAX)
        filter_renew(family);
}

bool series_registry_leave(struct series_registry *registry, enum series_family which, uint64_t fingerprint) {
    struct family *family = &registry->families[which];
    CHECK(pthread_mutex_lock(&registry->lock) == 0);
    struct entry *entry = find(family->entries, family->capacity, fingerprint);
    CHECK(entry->parts > 0);
    const bool is_last = --entry->parts == 0;
    if (is_last) {
        take_out(family, entry);
        atomic_fetch_add_explicit(&registry->ended, 1, memory_order_relaxed);
    }
    CHECK(pthread_mutex_unlock(&registry->lock) == 0);
    return is_last;
}

bool series_registry_lives(struct series_registry *registry, enum series_family which, uint64_t fingerprint, uint64_t life) {
    const struct family *family = &registry->families[which];
    CHECK(pthread_mutex_lock(&registry->lock) == 0);
    const struct entry *entry = find(family->entries, family->capacity, fingerprint);
    const bool lives = entry->parts > 0 && entry->life.number == life;
    CHECK(pthread_mutex_unlock(&registry->lock) == 0);
    return lives;
}

// Who sees under the lock that a life is over sees each gathering that was told of it before: it had begun then.
uint64_t series_registry_gather(struct series_registry *registry) {
    return atomic_fetch_add_explicit(&registry->gathers, 1, memory_order_relaxed) + 1;
}

void series_registry_gathered(struct series_registry *registry, uint64_t number) {
    atomic_store_explicit(&registry->gathered, number, memory_order_relaxed);
}

uint64_t series_registry_gatherings(const struct series_registry *registry) {
    return atomic_load_explicit(&registry->gathers, memory_order_relaxed);
}

bool series_registry_is_over(const struct series_registry *registry, uint64_t number) {
    return atomic_load_explicit(&registry->gathered, memory_order_relaxed) >= number;
}

uint64_t series_registry_changes(const struct series_registry *registry) {
    return atomic_load_explicit(&registry->ended, memory_order_relaxed) + atomic_load_explicit(&registry->gathered, memory_order_relaxed);
}
