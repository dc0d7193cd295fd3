// What a rule of limits remembers: exact by time, one step for each request whatever thread it comes from, and with a room that no flood of keys can empty.
#include "filters/limit_table.h"

#include "base/hash.h"
#include "filters/quota_period.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

// Some time after the machine was started.
#define BEGIN (1000 * NS_PER_S)

// Monday 2026-11-30, 12:00 UTC.
#define NOON UINT64_C(1796040000)

static struct rate_limit ten_in_a_minute[] = {{.requests = 10, .per = 60 * NS_PER_S, .burst = 10}};

static struct limit_ask ask_at(uint64_t key, const struct rate_tier *tier, nanoseconds now) {
    struct limit_ask ask = {.key = key, .tier = tier, .now = now, .wall_s = NOON + (now - BEGIN) / NS_PER_S};
    if (tier->quota.requests > 0)
        ask.quota_end_s = quota_period_end(tier->quota.per, ask.wall_s);
    return ask;
}

static bool take(struct limit_table *table, uint64_t key, const struct rate_tier *tier, nanoseconds now) {
    const struct limit_ask ask = ask_at(key, tier, now);
    return limit_table_take(table, &ask).outcome == LIMIT_PASSES;
}

static nanoseconds wait_of(struct limit_table *table, uint64_t key, const struct rate_tier *tier, nanoseconds now) {
    const struct limit_ask ask = ask_at(key, tier, now);
    return limit_table_look(table, &ask).wait;
}

static uint32_t take_many(struct limit_table *table, uint64_t key, const struct rate_tier *tier, nanoseconds now, uint32_t times) {
    uint32_t passed = 0;
    for (uint32_t i = 0; i < times; i++)
        passed += take(table, key, tier, now);
    return passed;
}

static void a_bucket_is_full_at_first_and_comes_back_evenly(void **state) {
    (void)state;
    const struct rate_tier tier = {.limits = ten_in_a_minute, .limit_count = 1};
    struct limit_table *table = limit_table_create(0, 1, 1, false);
    assert_int_equal(take_many(table, 1, &tier, BEGIN, 20), 10);
    assert_true(wait_of(table, 1, &tier, BEGIN) == 6 * NS_PER_S);
    assert_false(take(table, 1, &tier, BEGIN + 6 * NS_PER_S - 1));
    assert_true(take(table, 1, &tier, BEGIN + 6 * NS_PER_S));
    assert_false(take(table, 1, &tier, BEGIN + 6 * NS_PER_S));
    assert_int_equal(take_many(table, 1, &tier, BEGIN + 36 * NS_PER_S, 20), 5);
    assert_int_equal(take_many(table, 1, &tier, BEGIN + 3600 * NS_PER_S, 20), 10); // and no fuller than full
    limit_table_destroy(table);
}

static void what_passes_at_three_times_the_limit_is_the_limit(void **state) {
    (void)state;
    struct rate_limit limit = {.requests = 100, .per = NS_PER_S, .burst = 200};
    const struct rate_tier tier = {.limits = &limit, .limit_count = 1};
    struct limit_table *table = limit_table_create(0, 1, 1, false);
    uint32_t passed = 0;
    for (uint32_t i = 0; i < 3 * 100 * 60; i++)
        passed += take(table, 1, &tier, BEGIN + i * (NS_PER_S / 300));
    assert_in_range(passed, 100 * 60 + 200 - 1, 100 * 60 + 200 + 1);
    limit_table_destroy(table);
}

static void all_limits_hold(void **state) {
    (void)state;
    struct rate_limit limits[] = {{.requests = 5, .per = NS_PER_S, .burst = 5}, {.requests = 20, .per = 60 * NS_PER_S, .burst = 20}};
    const struct rate_tier tier = {.limits = limits, .limit_count = 2};
    struct limit_table *table = limit_table_create(0, 1, 2, false);
    uint32_t passed = 0;
    for (uint32_t second = 0; second < 4; second++)
        passed += take_many(table, 1, &tier, BEGIN + second * NS_PER_S, 10);
    assert_int_equal(passed, 20); // 5 a second, until those of the minute are used
    const struct limit_ask ask = ask_at(1, &tier, BEGIN + 5 * NS_PER_S);
    const struct limit_answer answer = limit_table_take(table, &ask);
    assert_int_equal(answer.outcome, LIMIT_PASSES); // 5 seconds have given 1 2/3 of the minute's back
    assert_int_equal(limit_table_take(table, &ask).limit, 1);
    limit_table_destroy(table);
}

static void looking_takes_nothing(void **state) {
    (void)state;
    const struct rate_tier tier = {.limits = ten_in_a_minute, .limit_count = 1};
    struct limit_table *table = limit_table_create(64, 1, 1, false);
    for (int i = 0; i < 100; i++)
        assert_true(wait_of(table, 1, &tier, BEGIN) == 0);
    assert_int_equal(take_many(table, 1, &tier, BEGIN, 20), 10);
    limit_table_destroy(table);
}

static void what_is_given_back_can_be_taken(void **state) {
    (void)state;
    const struct rate_tier tier = {.limits = ten_in_a_minute, .limit_count = 1, .quota = {.requests = 10, .per = QUOTA_DAY}};
    struct limit_table *table = limit_table_create(64, 1, 1, true);
    const struct limit_ask ask = ask_at(1, &tier, BEGIN);
    assert_int_equal(take_many(table, 1, &tier, BEGIN, 20), 10);
    limit_table_give_back(table, &ask);
    assert_int_equal(take_many(table, 1, &tier, BEGIN, 20), 1);
    limit_table_destroy(table);
}

static void what_was_done_counts_even_where_it_is_too_much(void **state) {
    (void)state;
    const struct rate_tier tier = {.limits = ten_in_a_minute, .limit_count = 1};
    struct limit_table *table = limit_table_create(64, 1, 1, false);
    const struct limit_ask ask = ask_at(1, &tier, BEGIN);
    for (int i = 0; i < 50; i++)
        limit_table_force(table, &ask);
    assert_true(wait_of(table, 1, &tier, BEGIN) == 2 * ten_in_a_minute[0].per / 10); // no debt beyond the next one
    assert_true(take(table, 1, &tier, BEGIN + 12 * NS_PER_S));
    limit_table_destroy(table);
}

static void a_quota_is_of_the_calendar(void **state) {
    (void)state;
    const struct rate_tier tier = {.quota = {.requests = 3, .per = QUOTA_HOUR}};
    struct limit_table *table = limit_table_create(64, 1, 0, true);
    const nanoseconds next_hour = BEGIN + 3600 * NS_PER_S;
    assert_int_equal(take_many(table, 1, &tier, BEGIN + 1800 * NS_PER_S, 5), 3);
    const struct limit_ask ask = ask_at(1, &tier, next_hour - NS_PER_S);
    const struct limit_answer answer = limit_table_look(table, &ask);
    assert_int_equal(answer.outcome, LIMIT_QUOTA_EXCEEDED);
    assert_true(answer.wait == NS_PER_S);
    assert_int_equal(take_many(table, 1, &tier, next_hour, 5), 3);
    limit_table_destroy(table);
}

static uint64_t key_of(uint64_t number) {
    return hash_mix(number);
}

static void keys_do_not_touch_each_other(void **state) {
    (void)state;
    const struct rate_tier tier = {.limits = ten_in_a_minute, .limit_count = 1};
    struct limit_table *table = limit_table_create(10000, 1, 1, false);
    for (uint64_t key = 1; key <= 10000; key++)
        assert_int_equal(take_many(table, key_of(key), &tier, BEGIN, 12), 10);
    assert_int_equal(limit_table_shared_count(table), 0);
    limit_table_destroy(table);
}

static void a_key_without_a_debt_makes_room(void **state) {
    (void)state;
    const struct rate_tier tier = {.limits = ten_in_a_minute, .limit_count = 1};
    struct limit_table *table = limit_table_create(1000, 1, 1, false);
    for (uint64_t round = 0; round < 100; round++)
        for (uint64_t key = 1; key <= 1000; key++)
            assert_true(take(table, key_of(round * 1000 + key), &tier, BEGIN + round * 7 * NS_PER_S));
    assert_int_equal(limit_table_shared_count(table), 0);
    limit_table_destroy(table);
}

static void no_flood_of_keys_frees_one_that_is_exhausted(void **state) {
    (void)state;
    const struct rate_tier tier = {.limits = ten_in_a_minute, .limit_count = 1};
    struct limit_table *table = limit_table_create(1000, 1, 1, false);
    const uint64_t victim = key_of(1);
    assert_int_equal(take_many(table, victim, &tier, BEGIN, 10), 10);
    uint32_t passed = 0;
    for (uint64_t key = 2; key < 1000000; key++)
        passed += take(table, key_of(key), &tier, BEGIN + key);
    assert_false(take(table, victim, &tier, BEGIN + 1000000));
    assert_true(limit_table_shared_count(table) >= 100);
    assert_in_range(passed, 1000, 2048 + 10 * LIMIT_SHARED_FACTOR); // each slot once, and what is shared
    assert_true(take(table, victim, &tier, BEGIN + 6 * NS_PER_S));
    limit_table_destroy(table);
}

static void keys_without_a_slot_share_ten_times_the_limit(void **state) {
    (void)state;
    const struct rate_tier tier = {.limits = ten_in_a_minute, .limit_count = 1};
    struct limit_table *table = limit_table_create(0, 1, 1, false); // eight slots
    for (uint64_t key = 1; key <= 8; key++)
        assert_int_equal(take_many(table, key, &tier, BEGIN, 10), 10);
    uint32_t passed = 0;
    for (uint64_t key = 9; key < 1000; key++)
        passed += take(table, key, &tier, BEGIN);
    assert_int_equal(passed, 10 * LIMIT_SHARED_FACTOR);
    const struct limit_ask ask = ask_at(1000, &tier, BEGIN);
    assert_true(limit_table_look(table, &ask).is_shared);
    limit_table_destroy(table);
}

static void tiers_share_apart(void **state) {
    (void)state;
    struct rate_limit slow = {.requests = 1, .per = 3600 * NS_PER_S, .burst = 1}, quick = {.requests = 1, .per = NS_PER_S, .burst = 1};
    const struct rate_tier tiers[] = {{.limits = &slow, .limit_count = 1}, {.limits = &quick, .limit_count = 1}};
    struct limit_table *table = limit_table_create(0, 2, 1, false);
    for (uint64_t key = 1; key <= 8; key++)
        assert_true(take(table, key, &tiers[0], BEGIN));
    struct limit_ask ask = ask_at(100, &tiers[0], BEGIN);
    for (uint32_t i = 0; i < LIMIT_SHARED_FACTOR; i++)
        assert_int_equal(limit_table_take(table, &ask).outcome, LIMIT_PASSES);
    assert_int_equal(limit_table_take(table, &ask).outcome, LIMIT_EXCEEDED);
    ask = ask_at(101, &tiers[1], BEGIN);
    ask.tier_index = 1;
    assert_int_equal(limit_table_take(table, &ask).outcome, LIMIT_PASSES);
    assert_true(limit_table_look(table, &ask).wait < NS_PER_S);
    limit_table_destroy(table);
}

static void what_is_left_of_a_past_period_is_no_debt_to_those_without_a_quota(void **state) {
    (void)state;
    const struct rate_tier with = {.quota = {.requests = 3, .per = QUOTA_HOUR}}, without = {.limits = ten_in_a_minute, .limit_count = 1};
    struct limit_table *table = limit_table_create(0, 1, 1, true);
    for (uint64_t key = 1; key <= 8; key++)
        assert_true(take(table, key, &with, BEGIN));
    const struct limit_ask ask = ask_at(100, &without, BEGIN + 3600 * NS_PER_S);
    assert_false(limit_table_take(table, &ask).is_shared);
    limit_table_destroy(table);
}

#define THREADS 4
#define TAKES 20000

struct taker {
    struct limit_table *table;
    const struct rate_tier *tier;
    uint32_t passed;
};

static void *take_on_a_thread(void *argument) {
    struct taker *taker = argument;
    for (uint64_t i = 0; i < TAKES; i++) {
        const uint64_t key = key_of(1 + i % 50);
        const struct limit_ask ask = ask_at(key, taker->tier, BEGIN);
        if (limit_table_look(taker->table, &ask).outcome == LIMIT_PASSES && limit_table_take(taker->table, &ask).outcome == LIMIT_PASSES)
            taker->passed++;
    }
    return NULL;
}

static void threads_together_pass_exactly_the_limit(void **state) {
    (void)state;
    struct rate_limit limit = {.requests = 777, .per = 3600 * NS_PER_S, .burst = 777};
    const struct rate_tier tier = {.limits = &limit, .limit_count = 1};
    struct taker takers[THREADS];
    pthread_t threads[THREADS];
    struct limit_table *table = limit_table_create(64, 1, 1, false);
    uint32_t passed = 0;
    for (int i = 0; i < THREADS; i++) {
        takers[i] = (struct taker){table, &tier, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, take_on_a_thread, &takers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        passed += takers[i].passed;
    }
    assert_int_equal(passed, 50 * 777);
    limit_table_destroy(table);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket_is_full_at_first_and_comes_back_evenly),
        cmocka_unit_test(what_passes_at_three_times_the_limit_is_the_limit),
        cmocka_unit_test(all_limits_hold),
        cmocka_unit_test(looking_takes_nothing),
        cmocka_unit_test(what_is_given_back_can_be_taken),
        cmocka_unit_test(what_was_done_counts_even_where_it_is_too_much),
        cmocka_unit_test(a_quota_is_of_the_calendar),
        cmocka_unit_test(keys_do_not_touch_each_other),
        cmocka_unit_test(a_key_without_a_debt_makes_room),
        cmocka_unit_test(no_flood_of_keys_frees_one_that_is_exhausted),
        cmocka_unit_test(keys_without_a_slot_share_ten_times_the_limit),
        cmocka_unit_test(tiers_share_apart),
        cmocka_unit_test(what_is_left_of_a_past_period_is_no_debt_to_those_without_a_quota),
        cmocka_unit_test(threads_together_pass_exactly_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
