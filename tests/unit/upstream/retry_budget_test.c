// The budget of retries is exact: so many percent of the originals of the interval and the reserve, whoever asks, however many ask at once, and what is older
// than the interval is forgotten slot by slot.
#include "upstream/retry_budget.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define START (UINT64_C(1000) * NS_PER_S)

static const struct retry_budget_rule usual = {.percent = 20, .interval = 10 * NS_PER_S, .min_per_second = 1};
static const struct retry_budget_rule no_reserve = {.percent = 20, .interval = 10 * NS_PER_S, .min_per_second = 0};

static void deposit(struct retry_budget *budget, const struct retry_budget_rule *rule, unsigned count, nanoseconds now) {
    while (count-- > 0)
        retry_budget_deposit(budget, rule, now);
}

// How many are given before the first that is refused.
static unsigned withdraw_all(struct retry_budget *budget, const struct retry_budget_rule *rule, nanoseconds now) {
    unsigned given = 0;
    while (retry_budget_withdraw(budget, rule, now))
        given++;
    return given;
}

static void the_reserve_is_there_without_any_request(void **state) {
    (void)state;
    struct retry_budget budget = {0};
    assert_int_equal(withdraw_all(&budget, &usual, START), 10);
    struct retry_budget other = {0};
    assert_int_equal(withdraw_all(&other, &no_reserve, START), 0);
}

static void a_share_of_the_originals_is_given(void **state) {
    (void)state;
    static const struct {
        unsigned originals, percent, given;
    } cases[] = {{1, 20, 0},  {4, 20, 0}, {5, 20, 1},  {9, 20, 1}, {10, 20, 2},       {100, 20, 20},
                 {100, 1, 1}, {99, 1, 0}, {7, 100, 7}, {7, 0, 0},  {50000, 50, 25000}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct retry_budget budget = {0};
        struct retry_budget_rule rule = {.percent = cases[i].percent, .interval = 10 * NS_PER_S};
        deposit(&budget, &rule, cases[i].originals, START);
        assert_int_equal(withdraw_all(&budget, &rule, START), cases[i].given);
    }
}

static void the_reserve_is_given_on_top(void **state) {
    (void)state;
    struct retry_budget budget = {0};
    deposit(&budget, &usual, 100, START);
    assert_int_equal(withdraw_all(&budget, &usual, START), 30);
}

// min_per_second counts over the interval, shorter and longer than a second.
static void the_reserve_follows_the_interval(void **state) {
    (void)state;
    static const struct {
        nanoseconds interval;
        unsigned per_second, given;
    } cases[] = {{NS_PER_S, 3, 3}, {500 * NS_PER_MS, 4, 2}, {60 * NS_PER_S, 2, 120}, {100 * NS_PER_MS, 5, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct retry_budget budget = {0};
        struct retry_budget_rule rule = {.percent = 0, .interval = cases[i].interval, .min_per_second = cases[i].per_second};
        assert_int_equal(withdraw_all(&budget, &rule, START), cases[i].given);
    }
}

static void a_refused_retry_costs_nothing(void **state) {
    (void)state;
    struct retry_budget budget = {0};
    deposit(&budget, &no_reserve, 10, START);
    assert_int_equal(withdraw_all(&budget, &no_reserve, START), 2);
    for (int i = 0; i < 1000; i++)
        assert_false(retry_budget_withdraw(&budget, &no_reserve, START));
    deposit(&budget, &no_reserve, 5, START);
    assert_int_equal(withdraw_all(&budget, &no_reserve, START), 1);
}

static void originals_and_retries_leave_with_their_slot(void **state) {
    (void)state;
    struct retry_budget budget = {0};
    deposit(&budget, &no_reserve, 10, START);
    deposit(&budget, &no_reserve, 10, START + 5 * NS_PER_S);
    assert_int_equal(withdraw_all(&budget, &no_reserve, START + 5 * NS_PER_S), 4);
    // The first ten are out: ten are left that allow two, and four were given.
    assert_int_equal(withdraw_all(&budget, &no_reserve, START + 10 * NS_PER_S), 0);
    deposit(&budget, &no_reserve, 10, START + 10 * NS_PER_S);
    assert_int_equal(withdraw_all(&budget, &no_reserve, START + 10 * NS_PER_S), 0);
    // Now those four are out too.
    assert_int_equal(withdraw_all(&budget, &no_reserve, START + 15 * NS_PER_S), 2);
    assert_int_equal(withdraw_all(&budget, &no_reserve, START + 30 * NS_PER_S), 0);
}

static void a_request_counts_for_nine_to_ten_slots(void **state) {
    (void)state;
    for (unsigned tenth = 0; tenth < 10; tenth++) {
        struct retry_budget budget = {0};
        nanoseconds when = START + tenth * NS_PER_S / 10;
        deposit(&budget, &no_reserve, 5, when);
        struct retry_budget copy = budget;
        assert_int_equal(withdraw_all(&copy, &no_reserve, when + 9 * NS_PER_S), 1);
        copy = budget;
        assert_int_equal(withdraw_all(&copy, &no_reserve, when + 10 * NS_PER_S), 0);
    }
}

static void a_changed_percentage_keeps_the_counts(void **state) {
    (void)state;
    struct retry_budget budget = {0};
    struct retry_budget_rule rule = no_reserve;
    deposit(&budget, &rule, 100, START);
    assert_int_equal(withdraw_all(&budget, &rule, START), 20);
    rule.percent = 30;
    assert_int_equal(withdraw_all(&budget, &rule, START), 10);
    rule.percent = 10;
    assert_int_equal(withdraw_all(&budget, &rule, START), 0);
}

static void a_changed_interval_forgets_what_was_counted(void **state) {
    (void)state;
    struct retry_budget budget = {0};
    struct retry_budget_rule rule = no_reserve;
    deposit(&budget, &rule, 100, START);
    rule.interval = 20 * NS_PER_S;
    assert_int_equal(withdraw_all(&budget, &rule, START), 0);
    deposit(&budget, &rule, 10, START);
    assert_int_equal(withdraw_all(&budget, &rule, START), 2);
}

static void time_since_the_start_of_the_machine_may_be_short(void **state) {
    (void)state;
    struct retry_budget budget = {0};
    assert_int_equal(withdraw_all(&budget, &usual, 0), 10);
    deposit(&budget, &no_reserve, 100, 1);
    assert_int_equal(withdraw_all(&budget, &no_reserve, 1), 10); // 20, and 10 were given
}

// --- two workers ---

#define ROUNDS 100000

struct worker {
    pthread_t thread;
    struct retry_budget *budget;
    struct retry_budget_rule rule;
    nanoseconds step;
    unsigned given;
    bool deposits;
};

static void *work(void *argument) {
    struct worker *worker = argument;
    for (unsigned i = 0; i < ROUNDS; i++) {
        nanoseconds now = START + i * worker->step;
        if (worker->deposits)
            retry_budget_deposit(worker->budget, &worker->rule, now);
        else if (retry_budget_withdraw(worker->budget, &worker->rule, now))
            worker->given++;
    }
    return NULL;
}

static void run_two(struct worker *first, struct worker *second) {
    assert_int_equal(pthread_create(&first->thread, NULL, work, first), 0);
    assert_int_equal(pthread_create(&second->thread, NULL, work, second), 0);
    pthread_join(first->thread, NULL);
    pthread_join(second->thread, NULL);
}

static void two_workers_lose_no_original(void **state) {
    (void)state;
    struct retry_budget budget = {0};
    struct worker workers[2] = {{.budget = &budget, .rule = no_reserve, .deposits = true}, {.budget = &budget, .rule = no_reserve, .deposits = true}};
    run_two(&workers[0], &workers[1]);
    assert_int_equal(withdraw_all(&budget, &no_reserve, START), 2 * ROUNDS / 5);
}

static void two_workers_are_never_given_more_than_there_is(void **state) {
    (void)state;
    struct retry_budget budget = {0};
    deposit(&budget, &no_reserve, 1000, START);
    struct worker workers[2] = {{.budget = &budget, .rule = no_reserve}, {.budget = &budget, .rule = no_reserve}};
    run_two(&workers[0], &workers[1]);
    assert_int_equal(workers[0].given + workers[1].given, 200);
    assert_int_equal(withdraw_all(&budget, &no_reserve, START), 0);
}

static void what_is_left_is_what_would_be_given(void **state) {
    (void)state;
    struct retry_budget budget = {0};
    assert_int_equal(retry_budget_left(&budget, &usual, START), 10);
    deposit(&budget, &usual, 100, START);
    assert_int_equal(retry_budget_left(&budget, &usual, START), 30);
    assert_true(retry_budget_withdraw(&budget, &usual, START));
    assert_int_equal(retry_budget_left(&budget, &usual, START), 29); // asking takes none
    assert_int_equal(withdraw_all(&budget, &usual, START), 29);
    assert_int_equal(retry_budget_left(&budget, &usual, START), 0);
    // A lower percentage than what was taken already leaves nothing, not a huge number.
    assert_int_equal(retry_budget_left(&budget, &no_reserve, START), 0);
    assert_int_equal(retry_budget_left(&budget, &usual, START + 20 * NS_PER_S), 10);
}

static void what_is_given_back_can_be_taken_again(void **state) {
    (void)state;
    struct retry_budget budget = {0};
    deposit(&budget, &no_reserve, 10, START);
    assert_int_equal(withdraw_all(&budget, &no_reserve, START), 2);
    retry_budget_give_back(&budget, &no_reserve, START);
    assert_int_equal(withdraw_all(&budget, &no_reserve, START + NS_PER_S), 1);
}

// What was taken so long ago that its slot holds another time is forgotten: to take it back must not touch what stands there now.
static void what_is_given_back_too_late_changes_nothing(void **state) {
    (void)state;
    struct retry_budget budget = {0};
    deposit(&budget, &no_reserve, 10, START);
    assert_int_equal(withdraw_all(&budget, &no_reserve, START), 2);
    nanoseconds later = START + no_reserve.interval;
    deposit(&budget, &no_reserve, 10, later);
    assert_int_equal(withdraw_all(&budget, &no_reserve, later), 2);
    retry_budget_give_back(&budget, &no_reserve, START);
    assert_int_equal(withdraw_all(&budget, &no_reserve, later), 0);
    assert_int_equal(retry_budget_left(&budget, &usual, later), 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reserve_is_there_without_any_request),
        cmocka_unit_test(a_share_of_the_originals_is_given),
        cmocka_unit_test(the_reserve_is_given_on_top),
        cmocka_unit_test(the_reserve_follows_the_interval),
        cmocka_unit_test(a_refused_retry_costs_nothing),
        cmocka_unit_test(originals_and_retries_leave_with_their_slot),
        cmocka_unit_test(a_request_counts_for_nine_to_ten_slots),
        cmocka_unit_test(a_changed_percentage_keeps_the_counts),
        cmocka_unit_test(a_changed_interval_forgets_what_was_counted),
        cmocka_unit_test(what_is_left_is_what_would_be_given),
        cmocka_unit_test(what_is_given_back_can_be_taken_again),
        cmocka_unit_test(what_is_given_back_too_late_changes_nothing),
        cmocka_unit_test(time_since_the_start_of_the_machine_may_be_short),
        cmocka_unit_test(two_workers_lose_no_original),
        cmocka_unit_test(two_workers_are_never_given_more_than_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
