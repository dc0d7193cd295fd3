// PeakEWMA: the faster and the less loaded get more, by their weights; what fails attracts nothing, is forgiven with time, and is not picked again by the request
// that it failed. Shares are compared with bounds of five standard deviations around what the seed gives.
#include "unit/upstream/lb_drive.h"

#include <math.h>

#define SEEDS 20

// `count` of `total`, expected with probability `share`.
static void assert_share(unsigned count, unsigned total, double share) {
    double mean = total * share;
    double bound = 5 * sqrt(total * share * (1 - share)) + 1;
    if (fabs(count - mean) > bound)
        fail_msg("%u of %u; expected %.0f, at most %.0f off", count, total, mean, bound);
}

static void equal_endpoints_share_alike(void **state) {
    (void)state;
    enum { TOTAL = 12000 };
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct lb_drive drive;
        lb_drive_init(&drive, LB_PEAK_EWMA, seed, (const int[]){1, 1, 1, 1, -1});
        // All have the same cost and load: of two the first drawn is taken.
        for (int i = 0; i < TOTAL; i++)
            lb_drive_pick(&drive);
        for (int i = 0; i < 4; i++)
            assert_share(drive.picked[i], TOTAL, 0.25);
        lb_drive_dispose(&drive);
    }
}

// As many in flight as the weights say: what power of two choices settles at under steady load.
static void under_load_shares_follow_the_weights(void **state) {
    (void)state;
    enum { TOTAL = 6000, IN_FLIGHT = 60 };
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct lb_drive drive;
        unsigned running[IN_FLIGHT];
        lb_drive_init(&drive, LB_PEAK_EWMA, seed, (const int[]){1, 2, 3, -1});
        for (int i = 0; i < TOTAL; i++) {
            if (i >= IN_FLIGHT)
                lb_drive_done(&drive, running[i % IN_FLIGHT], LB_ANSWERED, 10 * NS_PER_MS);
            running[i % IN_FLIGHT] = (unsigned)lb_drive_pick(&drive);
            lb_drive_begin(&drive, running[i % IN_FLIGHT]);
            drive.request.now += NS_PER_MS / 6;
        }
        for (int i = 0; i < 3; i++)
            assert_in_range(drive.picked[i], TOTAL * (i + 1) / 6 * 8 / 10, TOTAL * (i + 1) / 6 * 12 / 10);
        for (int i = 0; i < IN_FLIGHT; i++)
            lb_drive_done(&drive, running[i], LB_ANSWERED, 10 * NS_PER_MS);
        lb_drive_dispose(&drive);
    }
}

static void weight_zero_gets_nothing(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_PEAK_EWMA, 1, (const int[]){1, 0, 1, -1});
    for (int i = 0; i < 1000; i++)
        lb_drive_pick(&drive);
    assert_int_equal(drive.picked[1], 0);
    assert_share(drive.picked[0], 1000, 0.5);
    lb_drive_try(&drive, 0);
    lb_drive_try(&drive, 2);
    for (int i = 0; i < 100; i++)
        assert_int_not_equal(lb_drive_pick(&drive), 1);
    lb_drive_dispose(&drive);
    lb_drive_init(&drive, LB_PEAK_EWMA, 1, (const int[]){0, 0, -1});
    assert_int_equal(lb_drive_pick(&drive), -1);
    lb_drive_dispose(&drive);
    lb_drive_init(&drive, LB_PEAK_EWMA, 1, (const int[]){0, -1});
    assert_int_equal(lb_drive_pick(&drive), -1);
    lb_drive_dispose(&drive);
}

static void the_faster_of_two_gets_nearly_all(void **state) {
    (void)state;
    static const nanoseconds takes[] = {20 * NS_PER_MS, NS_PER_MS};
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct lb_drive drive;
        lb_drive_init(&drive, LB_PEAK_EWMA, seed, (const int[]){1, 1, -1});
        lb_drive_run(&drive, 1000, takes);
        assert_true(drive.picked[1] >= 980);
        assert_true(drive.picked[0] >= 1);
        lb_drive_dispose(&drive);
    }
}

// A replica that is added to fast ones must get traffic from the start, but no more than its share before its first answer.
static void a_new_one_among_fast_ones_gets_its_share(void **state) {
    (void)state;
    static const nanoseconds takes[] = {NS_PER_MS, NS_PER_MS, NS_PER_MS};
    struct lb_drive drive;
    lb_drive_init(&drive, LB_PEAK_EWMA, 9, (const int[]){1, 1, 1, -1});
    lb_drive_build(&drive, 2);
    lb_drive_run(&drive, 100, takes);
    lb_drive_build(&drive, 3);
    unsigned running = 0;
    for (int i = 0; i < 9; i++) {
        int number = lb_drive_pick(&drive);
        running += number == 2;
        lb_drive_begin(&drive, (unsigned)number);
    }
    assert_in_range(running, 1, 4);
    lb_drive_dispose(&drive);
}

// Of three the slow one is taken only when it is drawn against none better: never, after its first answer.
static void the_slow_one_of_three_is_left_alone(void **state) {
    (void)state;
    static const nanoseconds takes[] = {NS_PER_MS, 200 * NS_PER_MS, NS_PER_MS};
    struct lb_drive drive;
    lb_drive_init(&drive, LB_PEAK_EWMA, 7, (const int[]){1, 1, 1, -1});
    lb_drive_run(&drive, 2000, takes);
    assert_true(drive.picked[1] <= 5);
    assert_true(drive.picked[0] > 400 && drive.picked[2] > 400);
    lb_drive_dispose(&drive);
}

static void a_busier_one_gets_less(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_PEAK_EWMA, 3, (const int[]){1, 1, -1});
    for (int i = 0; i < 10; i++)
        lb_drive_begin(&drive, 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(lb_drive_pick(&drive), 1);
    for (int i = 0; i < 10; i++)
        lb_drive_done(&drive, 0, LB_CANCELLED, 0);
    lb_drive_dispose(&drive);
}

// It refuses in no time; by time alone it would be the fastest.
static void one_that_fails_fast_attracts_nothing(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct lb_drive drive;
        lb_drive_init(&drive, LB_PEAK_EWMA, seed, (const int[]){1, 1, 1, -1});
        for (int i = 0; i < 1000; i++) {
            int number = lb_drive_pick(&drive);
            lb_drive_begin(&drive, (unsigned)number);
            nanoseconds took = number == 0 ? 1000 : 5 * NS_PER_MS;
            drive.request.now += took;
            lb_drive_done(&drive, (unsigned)number, number == 0 ? LB_FAILED : LB_ANSWERED, took);
        }
        assert_true(drive.picked[0] <= 5); // while the others are not measured either
        lb_drive_dispose(&drive);
    }
}

static void a_failure_is_forgiven_after_a_while(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_PEAK_EWMA, 5, (const int[]){1, 1, -1});
    for (unsigned i = 0; i < 2; i++) {
        lb_drive_begin(&drive, i);
        lb_drive_done(&drive, i, i == 0 ? LB_FAILED : LB_ANSWERED, 5 * NS_PER_MS);
    }
    assert_int_equal(lb_drive_pick(&drive), 1);
    unsigned seconds = 0;
    for (bool back = false; !back && seconds < 300; seconds++) {
        drive.request.now += NS_PER_S;
        // The other goes on answering, so that its cost stays.
        lb_drive_begin(&drive, 1);
        lb_drive_done(&drive, 1, LB_ANSWERED, 5 * NS_PER_MS);
        back = lb_drive_pick(&drive) == 0;
    }
    assert_in_range(seconds, 3, 10);
    lb_drive_dispose(&drive);
}

// Both were restarted, one after the other: the second is down now. What is in flight at the first must not make the dead one look lighter.
static void an_answer_ends_what_a_failure_counted(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_PEAK_EWMA, 5, (const int[]){1, 1, -1});
    for (unsigned i = 0; i < 2; i++) {
        lb_drive_begin(&drive, i);
        lb_drive_done(&drive, i, LB_FAILED, 1000);
    }
    lb_drive_begin(&drive, 0);
    lb_drive_done(&drive, 0, LB_ANSWERED, 5 * NS_PER_MS);
    assert_true(drive.endpoints[0].cost_ns == 5.0 * NS_PER_MS);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(lb_drive_pick(&drive), 0);
        lb_drive_begin(&drive, 0);
    }
    for (int i = 0; i < 100; i++)
        lb_drive_done(&drive, 0, LB_CANCELLED, 0);
    lb_drive_dispose(&drive);
}

// A time that was really taken stays what it is.
static void a_failure_that_took_long_is_measured(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_PEAK_EWMA, 5, (const int[]){1, -1});
    lb_drive_begin(&drive, 0);
    lb_drive_done(&drive, 0, LB_FAILED, 5 * NS_PER_S);
    lb_drive_begin(&drive, 0);
    lb_drive_done(&drive, 0, LB_ANSWERED, NS_PER_MS);
    assert_true(drive.endpoints[0].cost_ns > 4.9 * NS_PER_S);
    lb_drive_dispose(&drive);
}

static void what_was_cancelled_says_nothing(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_PEAK_EWMA, 5, (const int[]){1, 1, -1});
    lb_drive_begin(&drive, 0);
    lb_drive_done(&drive, 0, LB_CANCELLED, 60 * NS_PER_S);
    assert_true(drive.endpoints[0].cost_at == 0);
    assert_int_equal(drive.endpoints[0].in_flight, 0);
    lb_drive_dispose(&drive);
}

static void a_peak_counts_at_once_and_fades(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_PEAK_EWMA, 5, (const int[]){1, 1, -1});
    struct endpoint *endpoint = &drive.endpoints[0];
    lb_drive_begin(&drive, 0);
    lb_drive_done(&drive, 0, LB_ANSWERED, NS_PER_MS);
    lb_drive_begin(&drive, 0);
    drive.request.now += NS_PER_S;
    lb_drive_done(&drive, 0, LB_ANSWERED, NS_PER_S);
    assert_true(endpoint->cost_ns == (double)NS_PER_S);
    drive.request.now += 10 * NS_PER_S; // one time constant
    lb_drive_begin(&drive, 0);
    lb_drive_done(&drive, 0, LB_ANSWERED, NS_PER_MS);
    double expected = NS_PER_MS + (NS_PER_S - NS_PER_MS) * exp(-1);
    assert_true(fabs(endpoint->cost_ns - expected) < 1000);
    lb_drive_dispose(&drive);
}

// Ten answers within a time weigh like one of the same value over it.
static void many_small_steps_fade_like_one_large(void **state) {
    (void)state;
    struct lb_drive one;
    struct lb_drive many;
    lb_drive_init(&one, LB_PEAK_EWMA, 5, (const int[]){1, -1});
    lb_drive_init(&many, LB_PEAK_EWMA, 5, (const int[]){1, -1});
    for (int i = 0; i < 2; i++) {
        struct lb_drive *drive = i == 0 ? &one : &many;
        lb_drive_begin(drive, 0);
        lb_drive_done(drive, 0, LB_ANSWERED, NS_PER_S);
        int steps = i == 0 ? 1 : 10000;
        for (int step = 0; step < steps; step++) {
            drive->request.now += 5 * NS_PER_S / (unsigned)steps;
            lb_drive_begin(drive, 0);
            lb_drive_done(drive, 0, LB_ANSWERED, NS_PER_MS);
        }
    }
    double ratio = many.endpoints[0].cost_ns / one.endpoints[0].cost_ns;
    assert_true(ratio > 0.99 && ratio < 1.01);
    lb_drive_dispose(&one);
    lb_drive_dispose(&many);
}

static void tried_ones_are_left_out_while_there_is_another(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct lb_drive drive;
        lb_drive_init(&drive, LB_PEAK_EWMA, seed, (const int[]){1, 1, 1, 1, -1});
        for (unsigned i = 0; i < 3; i++) {
            lb_drive_try(&drive, i);
            for (int turn = 0; turn < 20; turn++)
                assert_true(lb_drive_pick(&drive) > (int)i);
        }
        lb_drive_try(&drive, 3);
        assert_true(lb_drive_pick(&drive) >= 0);
        lb_drive_dispose(&drive);
    }
}

// One of many that all fail one: what is left must not fall on a single other one.
static void those_that_step_in_share_the_load(void **state) {
    (void)state;
    enum { TOTAL = 3000 };
    struct lb_drive drive;
    lb_drive_init(&drive, LB_PEAK_EWMA, 11, (const int[]){1, 1, 1, 1, 1, -1});
    lb_drive_try(&drive, 0);
    lb_drive_try(&drive, 1);
    for (int i = 0; i < TOTAL; i++)
        lb_drive_pick(&drive);
    for (int i = 2; i < 5; i++)
        assert_share(drive.picked[i], TOTAL, 1.0 / 3);
    lb_drive_dispose(&drive);
}

static void one_endpoint_is_always_the_one(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_PEAK_EWMA, 1, (const int[]){1, -1});
    lb_drive_try(&drive, 0);
    assert_int_equal(lb_drive_pick(&drive), 0);
    lb_drive_dispose(&drive);
}

// Of 100,000 picks, one after the other and many at a time.
static void shares_are_those_of_the_weights(void **state) {
    (void)state;
    static const unsigned in_flight[] = {1, 600};
    for (int i = 0; i < 2; i++) {
        struct lb_drive drive;
        lb_drive_init(&drive, LB_PEAK_EWMA, 4, (const int[]){1, 2, 3, -1});
        lb_drive_load(&drive, 100000, in_flight[i]);
        lb_drive_assert_weights(&drive, 0.01);
        lb_drive_dispose(&drive);
    }
}

// In quiet times too a small share goes to a replica of small weight; but not if the other is much faster.
static void a_light_one_has_its_share_while_nothing_is_in_flight(void **state) {
    (void)state;
    static const nanoseconds takes[] = {NS_PER_MS, NS_PER_MS + NS_PER_MS / 5};
    static const nanoseconds slow[] = {30 * NS_PER_MS, NS_PER_MS};
    struct lb_drive drive;
    lb_drive_init(&drive, LB_PEAK_EWMA, 4, (const int[]){1, 9, -1});
    lb_drive_run(&drive, 10000, takes);
    lb_drive_assert_weights(&drive, 0.02);
    lb_drive_run(&drive, 10000, slow);
    assert_in_range(drive.picked[0], 900, 1250);
    lb_drive_dispose(&drive);
}

static void a_new_one_grows_into_its_share(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_PEAK_EWMA, 4, (const int[]){1, 1, 1, 1, -1});
    lb_drive_load(&drive, 4000, 400);
    static const struct {
        unsigned seconds, low, high; // of 10,000 picks; 2,500 are a whole share
    } steps[] = {{0, 0, 150}, {15, 1000, 1600}, {31, 2300, 2700}};
    for (int i = 0; i < 3; i++) {
        drive.endpoints[3].ramp_since = drive.request.now - steps[i].seconds * NS_PER_S;
        memset(drive.picked, 0, 4 * sizeof *drive.picked);
        lb_drive_load(&drive, 10000, 400);
        assert_in_range(drive.picked[3], steps[i].low, steps[i].high);
    }
    lb_drive_dispose(&drive);
}

// Of two that take alike one answers with errors, at once: it gets a request now and then. One that refuses one of ten is not left to the other for that.
static void errors_that_come_fast_attract_nothing(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct lb_drive drive;
        lb_drive_init(&drive, LB_PEAK_EWMA, seed, (const int[]){1, 1, -1});
        for (unsigned i = 0; i < 5000; i++) {
            const unsigned number = (unsigned)lb_drive_pick(&drive);
            lb_drive_begin(&drive, number);
            drive.request.now += number == 0 ? NS_PER_MS / 10 : 10 * NS_PER_MS;
            lb_drive_done(&drive, number, number == 0 ? LB_BAD_ANSWER : LB_ANSWERED, number == 0 ? NS_PER_MS / 10 : 10 * NS_PER_MS);
        }
        assert_in_range(drive.picked[0], 3, 300); // of 50 s
        lb_drive_dispose(&drive);
    }
}

// It has nothing in flight, and the other's first answer is still to come.
static void who_refuses_is_left_while_the_other_is_still_at_its_first(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_PEAK_EWMA, 5, (const int[]){1, 1, -1});
    lb_drive_begin(&drive, 1);
    for (unsigned i = 0; i < 30; i++) {
        const unsigned number = (unsigned)lb_drive_pick(&drive);
        lb_drive_begin(&drive, number);
        if (number == 0)
            lb_drive_done(&drive, 0, LB_BAD_ANSWER, NS_PER_US);
    }
    assert_in_range(drive.picked[0], 1, 12);
    lb_drive_dispose(&drive);
}

static void one_refusal_of_ten_costs_less_than_its_share(void **state) {
    (void)state;
    enum { TOTAL = 20000 };
    struct lb_drive drive;
    struct rng rng;
    rng_init(&rng, 3);
    lb_drive_init(&drive, LB_PEAK_EWMA, 9, (const int[]){1, 1, -1});
    for (unsigned i = 0; i < TOTAL; i++) {
        const unsigned number = (unsigned)lb_drive_pick(&drive);
        const bool is_refused = number == 0 && rng_below(&rng, 10) == 0;
        lb_drive_begin(&drive, number);
        drive.request.now += 5 * NS_PER_MS;
        lb_drive_done(&drive, number, is_refused ? LB_BAD_ANSWER : LB_ANSWERED,
                      is_refused ? NS_PER_MS / 10 : 5 * NS_PER_MS + rng_below(&rng, 1000) * 1000);
    }
    assert_true(drive.picked[0] < drive.picked[1]);
    lb_drive_dispose(&drive);
}

static void a_good_answer_ends_what_bad_ones_cost(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_PEAK_EWMA, 5, (const int[]){1, 1, -1});
    for (int i = 0; i < 30; i++) {
        lb_drive_begin(&drive, 0);
        lb_drive_done(&drive, 0, LB_BAD_ANSWER, NS_PER_US);
    }
    assert_true(drive.endpoints[0].cost_ns == 1e9);
    lb_drive_begin(&drive, 0);
    lb_drive_done(&drive, 0, LB_ANSWERED, 2 * NS_PER_MS);
    assert_true(drive.endpoints[0].cost_ns == 2e6);
    // A bad answer that took long is at least that slow.
    lb_drive_begin(&drive, 0);
    lb_drive_done(&drive, 0, LB_BAD_ANSWER, 3 * NS_PER_S);
    assert_true(drive.endpoints[0].cost_ns == 3e9);
    lb_drive_dispose(&drive);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_endpoints_share_alike),
        cmocka_unit_test(errors_that_come_fast_attract_nothing),
        cmocka_unit_test(who_refuses_is_left_while_the_other_is_still_at_its_first),
        cmocka_unit_test(one_refusal_of_ten_costs_less_than_its_share),
        cmocka_unit_test(a_good_answer_ends_what_bad_ones_cost),
        cmocka_unit_test(under_load_shares_follow_the_weights),
        cmocka_unit_test(weight_zero_gets_nothing),
        cmocka_unit_test(the_faster_of_two_gets_nearly_all),
        cmocka_unit_test(a_new_one_among_fast_ones_gets_its_share),
        cmocka_unit_test(the_slow_one_of_three_is_left_alone),
        cmocka_unit_test(a_busier_one_gets_less),
        cmocka_unit_test(one_that_fails_fast_attracts_nothing),
        cmocka_unit_test(a_failure_is_forgiven_after_a_while),
        cmocka_unit_test(an_answer_ends_what_a_failure_counted),
        cmocka_unit_test(a_failure_that_took_long_is_measured),
        cmocka_unit_test(what_was_cancelled_says_nothing),
        cmocka_unit_test(a_peak_counts_at_once_and_fades),
        cmocka_unit_test(many_small_steps_fade_like_one_large),
        cmocka_unit_test(tried_ones_are_left_out_while_there_is_another),
        cmocka_unit_test(those_that_step_in_share_the_load),
        cmocka_unit_test(one_endpoint_is_always_the_one),
        cmocka_unit_test(shares_are_those_of_the_weights),
        cmocka_unit_test(a_light_one_has_its_share_while_nothing_is_in_flight),
        cmocka_unit_test(a_new_one_grows_into_its_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
