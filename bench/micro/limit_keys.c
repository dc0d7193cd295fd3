// What a decision of a rate limit costs by how many keys come, and what a flood of a million does to a table that is for a tenth of them: in memory, without sockets.
//
//   bench-limit-keys     a line of JSON: nanoseconds of a look and a charge with 1,000 keys, with as many as the table is for, and with a million; the bytes that the table has
//                        grown by in the flood; how often a key that was exhausted before it was let through
#include "filters/limit_table.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/rng.h"

#include <malloc.h>
#include <stdio.h>
#include <time.h>

#define FEW 1000
#define TABLE 100000 // the default of maxKeys
#define MILLION 1000000
#define DECISIONS 2000000
#define ROUNDS 5 // the best counts: what disturbs only adds
#define LOOKS_EVERY 1000

static struct rate_limit wide = {.requests = 1000000, .per = NS_PER_S, .burst = 1000000},
                         narrow = {.requests = 10, .per = 3600 * NS_PER_S, .burst = 10};

// CPU time, since others may use the machine as well.
static nanoseconds cpu_now(void) {
    struct timespec now;
    CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0);
    return (nanoseconds)now.tv_sec * NS_PER_S + (nanoseconds)now.tv_nsec;
}

static struct limit_ask ask_of(const struct rate_tier *tier, uint64_t key, nanoseconds now) {
    const uint64_t hash = hash_mix(key + 1);
    return (struct limit_ask){.key = hash + (hash == 0), .tier = tier, .now = now};
}

static struct limit_answer decide(struct limit_table *table, const struct limit_ask *ask) {
    const struct limit_answer answer = limit_table_look(table, ask);
    return answer.outcome == LIMIT_PASSES ? limit_table_take(table, ask) : answer;
}

// Keys in an order that no cache foresees.
static double measure(uint64_t keys) {
    const struct rate_tier tier = {.limits = &wide, .limit_count = 1};
    struct limit_table *table = limit_table_create(TABLE, 1, 1, false);
    struct rng rng;
    nanoseconds now = NS_PER_S;
    double best = 0;
    rng_init(&rng, 1);
    for (unsigned round = 0; round < ROUNDS; round++) {
        const nanoseconds begun = cpu_now();
        for (unsigned i = 0; i < DECISIONS; i++, now += 100) {
            const struct limit_ask ask = ask_of(&tier, rng_next(&rng) % keys, now);
            (void)decide(table, &ask);
        }
        const double cost = (double)(cpu_now() - begun) / DECISIONS;
        best = round == 0 || cost < best ? cost : best;
    }
    limit_table_destroy(table);
    return best;
}

// Each of a million keys takes all that is its own; so does one before them, which is asked for again and again.
static void flood(size_t *grown, unsigned *let_through) {
    const struct rate_tier tier = {.limits = &narrow, .limit_count = 1};
    struct limit_table *table = limit_table_create(TABLE, 1, 1, false);
    nanoseconds now = NS_PER_S;
    const struct limit_ask first = ask_of(&tier, MILLION, now);
    for (uint32_t i = 0; i < narrow.burst; i++)
        CHECK(limit_table_take(table, &first).outcome == LIMIT_PASSES);
    const size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    *let_through = 0;
    for (uint64_t key = 0; key < MILLION; key++) {
        const struct limit_ask ask = ask_of(&tier, key, now);
        for (uint32_t i = 0; i < narrow.burst; i++)
            (void)decide(table, &ask);
        *let_through += key % LOOKS_EVERY == 0 && decide(table, &first).outcome == LIMIT_PASSES;
    }
    *grown = mallinfo2().uordblks + mallinfo2().hblkhd - before;
    CHECK(limit_table_shared_count(table) > 0);
    limit_table_destroy(table);
}

int main(void) {
    size_t grown;
    unsigned let_through;
    flood(&grown, &let_through);
    printf("{\"few\": %.1f, \"table\": %.1f, \"million\": %.1f, \"grown\": %zu, \"let_through\": %u}\n", measure(FEW), measure(TABLE),
           measure(MILLION), grown, let_through);
    return 0;
}
