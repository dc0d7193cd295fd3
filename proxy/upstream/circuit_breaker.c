// See circuit_breaker.h. While it is closed an attempt begins by two atomics; all else is done under a lock, for some dozen nanoseconds.
#include "upstream/circuit_breaker.h"

#include "base/check.h"
#include "base/log.h"
#include "base/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define BUCKETS 10
#define STATE_BITS 2
#define STATE_MASK ((UINT64_C(1) << STATE_BITS) - 1)

// A tenth of the window. What it counts is of `epoch` alone: one of another epoch in its place is empty, so that nothing needs to be cleaned on a clock.
struct bucket {
    uint64_t epoch;
    uint64_t requests, failures, slow;
};

struct circuit_breaker {
    _Atomic uint64_t word; // generation, state; changed under the lock
    _Atomic uint32_t references;
    struct bytes policy, target;          // owned
    pthread_mutex_t lock;                 // of all below
    struct circuit_breaker_config config; // numbers alone
    nanoseconds latest;                   // that somebody came: workers read their clocks once a turn, and here time goes on alone
    nanoseconds opened_at;
    uint16_t lot; // drawn when it was opened: its part of the jitter
    uint32_t in_a_row;
    uint64_t latest_bad; // the epoch of the last failure or slow call; 0: there was none
    nanoseconds bucket_width;
    uint32_t probes, succeeded; // half-open: under way, and done
    struct bucket buckets[BUCKETS];
    uint64_t changes[CIRCUIT_STATES];
};

// What is said of a change, once the lock is free.
struct news {
    bool is_there, is_dry_run;
    enum circuit_state state;
    const char *reason;
    nanoseconds open_for;
};

const char *circuit_state_name(enum circuit_state state) {
    static const char *const names[CIRCUIT_STATES] = {"closed", "open", "half_open"};
    return names[state];
}

static uint64_t word_of(uint64_t generation, enum circuit_state state) {
    return generation << STATE_BITS | state;
}

static enum circuit_state state_in(uint64_t word) {
    return (enum circuit_state)(word & STATE_MASK);
}

struct circuit_breaker *circuit_breaker_create(const struct circuit_breaker_config *config, struct bytes policy, struct bytes target) {
    struct circuit_breaker *breaker = alloc_zeroed_or_abort(1, sizeof *breaker);
    atomic_init(&breaker->word, word_of(1, CIRCUIT_CLOSED));
    atomic_init(&breaker->references, 1);
    breaker->policy = bytes_keep(policy);
    breaker->target = bytes_keep(target);
    pthread_mutex_init(&breaker->lock, NULL);
    circuit_breaker_set(breaker, config);
    return breaker;
}

void circuit_breaker_unref(struct circuit_breaker *breaker) {
    const uint32_t before = atomic_fetch_sub_explicit(&breaker->references, 1, memory_order_acq_rel);
    CHECK(before > 0);
    if (before > 1)
        return;
    pthread_mutex_destroy(&breaker->lock);
    bytes_drop(&breaker->policy);
    bytes_drop(&breaker->target);
    free(breaker);
}

void circuit_breaker_set(struct circuit_breaker *breaker, const struct circuit_breaker_config *config) {
    CHECK(circuit_breaker_is_set(config) && config->window >= BUCKETS && config->half_open_requests > 0);
    pthread_mutex_lock(&breaker->lock);
    breaker->config = *config;
    breaker->config.place = (struct place){0};
    breaker->config.policy = BYTES_NONE;
    breaker->bucket_width = config->window / BUCKETS;
    pthread_mutex_unlock(&breaker->lock);
}

// ---- under the lock

static enum circuit_state state_of(const struct circuit_breaker *breaker) {
    return state_in(atomic_load_explicit(&breaker->word, memory_order_relaxed));
}

static nanoseconds time_here(struct circuit_breaker *breaker, nanoseconds now) {
    if (now > breaker->latest)
        breaker->latest = now;
    return breaker->latest;
}

// What was counted in the state before says nothing in the next one.
static void set_state(struct circuit_breaker *breaker, enum circuit_state state, const char *reason, struct news *news) {
    static const enum circuit_state before[CIRCUIT_STATES][2] = {
        [CIRCUIT_CLOSED] = {CIRCUIT_HALF_OPEN, CIRCUIT_HALF_OPEN},
        [CIRCUIT_OPEN] = {CIRCUIT_CLOSED, CIRCUIT_HALF_OPEN},
        [CIRCUIT_HALF_OPEN] = {CIRCUIT_OPEN, CIRCUIT_OPEN},
    };
    const uint64_t word = atomic_load_explicit(&breaker->word, memory_order_relaxed);
    CHECK(state_in(word) == before[state][0] || state_in(word) == before[state][1]);
    atomic_store_explicit(&breaker->word, word_of((word >> STATE_BITS) + 1, state), memory_order_release);
    breaker->changes[state]++;
    breaker->in_a_row = breaker->probes = breaker->succeeded = 0;
    memset(breaker->buckets, 0, sizeof breaker->buckets);
    breaker->latest_bad = 0;
    *news = (struct news){.is_there = true, .is_dry_run = breaker->config.dry_run, .state = state, .reason = reason};
}

// By the numbers of now, whichever it was opened by.
static nanoseconds wait_at(const struct circuit_breaker *breaker, nanoseconds now) {
    const nanoseconds most = breaker->config.open_for / 100 * breaker->config.jitter_percent;
    const nanoseconds until = breaker->opened_at + breaker->config.open_for + most * breaker->lot / UINT16_MAX;
    return until > now ? until - now : 0;
}

static void open(struct circuit_breaker *breaker, nanoseconds now, struct rng *rng, const char *reason, struct news *news) {
    set_state(breaker, CIRCUIT_OPEN, reason, news);
    breaker->opened_at = now;
    breaker->lot = breaker->config.jitter_percent == 0 ? 0 : (uint16_t)rng_next(rng);
    news->open_for = wait_at(breaker, now);
}

static uint64_t epoch_at(const struct circuit_breaker *breaker, nanoseconds now) {
    return now / breaker->bucket_width + 1; // 0 is of one that was never used
}

static struct bucket sum_of(const struct circuit_breaker *breaker, uint64_t last) {
    struct bucket sum = {.epoch = last};
    for (uint32_t i = 0; i < BUCKETS; i++) {
        const struct bucket *bucket = &breaker->buckets[i];
        if (bucket->epoch == 0 || bucket->epoch + BUCKETS <= last)
            continue;
        sum.requests += bucket->requests;
        sum.failures += bucket->failures;
        sum.slow += bucket->slow;
    }
    return sum;
}

static bool is_slow(const struct circuit_breaker *breaker, nanoseconds took) {
    return breaker->config.slow_call.threshold > 0 && took >= breaker->config.slow_call.threshold;
}

// NULL: nothing opens it.
static const char *why_open(const struct circuit_breaker *breaker, uint64_t epoch) {
    const struct circuit_breaker_config *config = &breaker->config;
    if (config->failure_threshold > 0 && breaker->in_a_row >= config->failure_threshold)
        return "failures_in_a_row";
    if (config->failure_percent == 0 && config->slow_call.threshold == 0)
        return NULL;
    if (breaker->latest_bad + BUCKETS <= epoch)
        return NULL; // nothing but success in all buckets
    const struct bucket sum = sum_of(breaker, epoch);
    if (sum.requests < config->min_requests)
        return NULL;
    if (config->failure_percent > 0 && sum.failures * 100 >= sum.requests * config->failure_percent)
        return "failure_percent";
    return config->slow_call.threshold > 0 && sum.slow * 100 >= sum.requests * config->slow_call.percent ? "slow_calls" : NULL;
}

static void count(struct circuit_breaker *breaker, enum circuit_outcome outcome, nanoseconds took, nanoseconds now, struct rng *rng,
                  struct news *news) {
    if (outcome == CIRCUIT_NONE)
        return;
    const uint64_t epoch = epoch_at(breaker, now);
    struct bucket *bucket = &breaker->buckets[epoch % BUCKETS];
    if (bucket->epoch != epoch)
        *bucket = (struct bucket){.epoch = epoch};
    const bool is_failure = outcome == CIRCUIT_FAILED, was_slow = is_slow(breaker, took);
    bucket->requests++;
    bucket->failures += is_failure;
    bucket->slow += was_slow;
    if (is_failure || was_slow)
        breaker->latest_bad = epoch;
    breaker->in_a_row = is_failure ? breaker->in_a_row + 1 : 0;
    const char *reason = why_open(breaker, epoch);
    if (reason != NULL)
        open(breaker, now, rng, reason, news);
}

static void settle_probe(struct circuit_breaker *breaker, enum circuit_outcome outcome, nanoseconds took, nanoseconds now, struct rng *rng,
                         struct news *news) {
    CHECK(breaker->probes > 0);
    breaker->probes--;
    if (outcome == CIRCUIT_NONE)
        return;
    if (outcome == CIRCUIT_FAILED || is_slow(breaker, took))
        open(breaker, now, rng, outcome == CIRCUIT_FAILED ? "probe_failed" : "probe_slow", news);
    else if (++breaker->succeeded >= breaker->config.half_open_requests)
        set_state(breaker, CIRCUIT_CLOSED, "probes_succeeded", news);
}

// Where documents have come since that want fewer, as many as they want may have succeeded already.
static bool has_recovered(const struct circuit_breaker *breaker) {
    return breaker->succeeded >= breaker->config.half_open_requests;
}

static bool has_room(const struct circuit_breaker *breaker) {
    return breaker->probes + breaker->succeeded < breaker->config.half_open_requests;
}

static enum circuit_pass take(struct circuit_breaker *breaker, nanoseconds now, nanoseconds *wait, struct news *news) {
    if (state_of(breaker) == CIRCUIT_OPEN) {
        *wait = wait_at(breaker, now);
        if (*wait > 0)
            return CIRCUIT_REFUSED;
        set_state(breaker, CIRCUIT_HALF_OPEN, "open_for_is_over", news);
    }
    if (state_of(breaker) == CIRCUIT_HALF_OPEN && has_recovered(breaker))
        set_state(breaker, CIRCUIT_CLOSED, "probes_succeeded", news);
    if (state_of(breaker) == CIRCUIT_CLOSED)
        return CIRCUIT_PASSES;
    if (!has_room(breaker))
        return CIRCUIT_REFUSED;
    breaker->probes++;
    return CIRCUIT_PROBES;
}

// ---- for all

static void tell(const struct circuit_breaker *breaker, const struct news *news) {
    if (!news->is_there)
        return;
    log_event(news->state == CIRCUIT_OPEN ? LOG_WARN : LOG_INFO, "circuit_breaker",
              "state=%s policy=%.*s target=\"%.*s\" mode=%s reason=%s open_for_ms=%llu", circuit_state_name(news->state),
              BYTES_FORMAT(breaker->policy), BYTES_FORMAT(breaker->target), news->is_dry_run ? "dry_run" : "enforce", news->reason,
              (unsigned long long)(news->open_for / NS_PER_MS));
}

struct circuit_view circuit_breaker_look(struct circuit_breaker *breaker, nanoseconds now) {
    pthread_mutex_lock(&breaker->lock);
    if (now < breaker->latest)
        now = breaker->latest;
    const struct bucket sum = sum_of(breaker, epoch_at(breaker, now));
    struct circuit_view view = {
        .state = state_of(breaker), .in_a_row = breaker->in_a_row, .requests = sum.requests, .failures = sum.failures, .slow = sum.slow};
    memcpy(view.changes, breaker->changes, sizeof view.changes);
    view.wait = view.state == CIRCUIT_OPEN ? wait_at(breaker, now) : 0;
    if (view.state == CIRCUIT_OPEN && view.wait == 0)
        view.state = CIRCUIT_HALF_OPEN;
    else if (view.state == CIRCUIT_HALF_OPEN && has_recovered(breaker))
        view.state = CIRCUIT_CLOSED;
    view.refuses = view.wait > 0 || (view.state == CIRCUIT_HALF_OPEN && !has_room(breaker));
    pthread_mutex_unlock(&breaker->lock);
    return view;
}

bool circuit_breaker_refuses(struct circuit_breaker *breaker, nanoseconds now, nanoseconds *wait) {
    *wait = 0;
    if (state_in(atomic_load_explicit(&breaker->word, memory_order_acquire)) == CIRCUIT_CLOSED)
        return false;
    const struct circuit_view view = circuit_breaker_look(breaker, now);
    *wait = view.wait;
    return view.refuses;
}

enum circuit_pass circuit_breaker_begin(struct circuit_breaker *breaker, nanoseconds now, uint64_t *generation, nanoseconds *wait) {
    uint64_t word = atomic_load_explicit(&breaker->word, memory_order_acquire);
    enum circuit_pass pass = CIRCUIT_PASSES;
    *wait = 0;
    if (state_in(word) != CIRCUIT_CLOSED) {
        struct news news = {0};
        pthread_mutex_lock(&breaker->lock);
        pass = take(breaker, time_here(breaker, now), wait, &news);
        word = atomic_load_explicit(&breaker->word, memory_order_relaxed);
        pthread_mutex_unlock(&breaker->lock);
        tell(breaker, &news);
    }
    *generation = word >> STATE_BITS;
    if (pass != CIRCUIT_REFUSED)
        atomic_fetch_add_explicit(&breaker->references, 1, memory_order_relaxed);
    return pass;
}

bool circuit_breaker_settle(struct circuit_breaker *breaker, uint64_t generation, enum circuit_outcome outcome, nanoseconds took, nanoseconds now,
                            struct rng *rng) {
    struct news news = {0};
    pthread_mutex_lock(&breaker->lock);
    now = time_here(breaker, now);
    // One that began before the last change is of another generation, and counts for nothing.
    const bool counts = atomic_load_explicit(&breaker->word, memory_order_relaxed) >> STATE_BITS == generation;
    const bool was_probe = counts && state_of(breaker) == CIRCUIT_HALF_OPEN;
    if (was_probe)
        settle_probe(breaker, outcome, took, now, rng, &news);
    else if (counts)
        count(breaker, outcome, took, now, rng, &news);
    pthread_mutex_unlock(&breaker->lock);
    tell(breaker, &news);
    circuit_breaker_unref(breaker);
    return was_probe || news.is_there;
}
