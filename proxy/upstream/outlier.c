// See outlier.h. All that is known of an endpoint's ejections is one word, so that one compare and swap makes a step, and of two workers one makes it.
#include "upstream/outlier.h"

#include "base/check.h"

// The word: whether it is ejected, whether only for show, how many ejections in a row, and a time in milliseconds: ejected, its end; else the last return, 0: none.
#define EJECTED (UINT64_C(1) << 63)
#define SHADOW (UINT64_C(1) << 62)
#define COUNT_SHIFT 46
#define COUNT_MAX ((UINT64_C(1) << 16) - 1)
#define TIME_MAX ((UINT64_C(1) << COUNT_SHIFT) - 1)

static uint64_t count_of(uint64_t word) {
    return word >> COUNT_SHIFT & COUNT_MAX;
}

static uint64_t time_of(uint64_t word) {
    return word & TIME_MAX;
}

static uint64_t word_of(uint64_t flags, uint64_t count, uint64_t time_ms) {
    return flags | (count < COUNT_MAX ? count : COUNT_MAX) << COUNT_SHIFT | (time_ms & TIME_MAX);
}

// No ejection ends early for a rounding.
static uint64_t ms_after(nanoseconds time) {
    return time / NS_PER_MS + (time % NS_PER_MS != 0);
}

// How many may be ejected at a time. Of two or more one always may, or a small percentage of few endpoints would be none without a word; the only one never: nobody could take its place.
static uint32_t allowed(const struct outlier_config *config, uint32_t endpoints) {
    if (endpoints < 2 || config->max_ejected_percent == 0)
        return 0;
    const uint32_t share = (uint32_t)((uint64_t)endpoints * config->max_ejected_percent / 100);
    return share > 0 ? share : 1;
}

// The ejections that still count for the next one.
static uint64_t count_left(uint64_t word, const struct outlier_config *config, nanoseconds now) {
    const nanoseconds returned = time_of(word) * NS_PER_MS;
    const uint64_t clean = now > returned ? (now - returned) / config->interval : 0;
    return count_of(word) > clean ? count_of(word) - clean : 0;
}

static nanoseconds duration_of(uint64_t count, const struct outlier_config *config) {
    const nanoseconds longest = config->max_eject_for > config->eject_for ? config->max_eject_for : config->eject_for;
    return count > longest / config->eject_for ? longest : count * config->eject_for;
}

static bool take_share(_Atomic uint32_t *ejected, uint32_t most) {
    uint32_t before = atomic_load_explicit(ejected, memory_order_relaxed);
    while (before < most)
        if (atomic_compare_exchange_weak_explicit(ejected, &before, before + 1, memory_order_relaxed, memory_order_relaxed))
            return true;
    return false;
}

static void give_back_share(struct outlier_counts *counts, uint64_t word) {
    _Atomic uint32_t *ejected = (word & SHADOW) != 0 ? &counts->shadow_ejected : &counts->ejected;
    const uint32_t before = atomic_fetch_sub_explicit(ejected, 1, memory_order_relaxed);
    CHECK(before > 0);
}

static enum outlier_change eject(struct outlier *outlier, struct outlier_counts *counts, const struct outlier_config *config, uint32_t endpoints,
                                 nanoseconds now) {
    uint64_t word = atomic_load_explicit(&outlier->word, memory_order_acquire);
    const uint32_t most = allowed(config, endpoints);
    if (most == 0 || (word & EJECTED) != 0) // requests were under way to it
        return OUTLIER_NONE;
    if (!take_share(config->dry_run ? &counts->shadow_ejected : &counts->ejected, most)) {
        atomic_fetch_add_explicit(&counts->refused, 1, memory_order_relaxed);
        return OUTLIER_REFUSED;
    }
    const uint64_t count = count_left(word, config, now) + 1;
    const uint64_t ejected = word_of(EJECTED | (config->dry_run ? SHADOW : 0), count, ms_after(now + duration_of(count, config)));
    if (!atomic_compare_exchange_strong_explicit(&outlier->word, &word, ejected, memory_order_acq_rel, memory_order_relaxed)) {
        give_back_share(counts, ejected); // another worker was quicker
        return OUTLIER_NONE;
    }
    atomic_store_explicit(&outlier->failures, 0, memory_order_relaxed);
    atomic_fetch_add_explicit(config->dry_run ? &counts->shadow_ejections : &counts->ejections, 1, memory_order_relaxed);
    return OUTLIER_EJECTED;
}

enum outlier_change outlier_note_failure(struct outlier *outlier, struct outlier_counts *counts, const struct outlier_config *config,
                                         uint32_t endpoints, nanoseconds now) {
    const uint32_t before = atomic_fetch_add_explicit(&outlier->failures, 1, memory_order_relaxed);
    if (config->failure_threshold == 0 || before + 1 < config->failure_threshold)
        return OUTLIER_NONE;
    return eject(outlier, counts, config, endpoints, now);
}

enum outlier_change outlier_end(struct outlier *outlier, struct outlier_counts *counts, nanoseconds now) {
    uint64_t word = atomic_load_explicit(&outlier->word, memory_order_acquire);
    const uint64_t until_ms = time_of(word);
    if ((word & EJECTED) == 0 || now < until_ms * NS_PER_MS)
        return OUTLIER_NONE;
    // What has failed meanwhile was begun before, or in a panic: it begins anew.
    atomic_store_explicit(&outlier->failures, 0, memory_order_relaxed);
    const uint64_t returned = word_of(0, count_of(word), until_ms);
    if (!atomic_compare_exchange_strong_explicit(&outlier->word, &word, returned, memory_order_acq_rel, memory_order_relaxed))
        return OUTLIER_NONE;
    give_back_share(counts, word);
    return OUTLIER_RETURNED;
}

void outlier_dispose(struct outlier *outlier, struct outlier_counts *counts) {
    const uint64_t word = atomic_exchange_explicit(&outlier->word, 0, memory_order_acq_rel);
    if ((word & EJECTED) != 0)
        give_back_share(counts, word);
}

struct outlier_view outlier_look(const struct outlier *outlier) {
    const uint64_t word = atomic_load_explicit(&outlier->word, memory_order_acquire);
    const bool is_ejected = (word & EJECTED) != 0;
    const nanoseconds time = time_of(word) * NS_PER_MS;
    return (struct outlier_view){.is_ejected = is_ejected && (word & SHADOW) == 0,
                                 .is_shadow = is_ejected && (word & SHADOW) != 0,
                                 .ejections = (uint32_t)count_of(word),
                                 .until = is_ejected ? time : 0,
                                 .returned = is_ejected ? 0 : time};
}
