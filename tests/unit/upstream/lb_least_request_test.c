// LeastRequest: the less loaded of two, by weight; how long answers take is not looked at.
#include "unit/upstream/lb_drive.h"

// Of 100,000 picks, one after the other and many at a time.
static void shares_are_those_of_the_weights(void **state) {
    (void)state;
    static const unsigned in_flight[] = {1, 600};
    for (int i = 0; i < 2; i++) {
        struct lb_drive drive;
        lb_drive_init(&drive, LB_LEAST_REQUEST, 4, (const int[]){1, 2, 3, -1});
        lb_drive_load(&drive, 100000, in_flight[i]);
        lb_drive_assert_weights(&drive, 0.01);
        lb_drive_dispose(&drive);
    }
}

static void the_less_loaded_of_two_is_picked(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_LEAST_REQUEST, 3, (const int[]){1, 1, -1});
    lb_drive_begin(&drive, 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(lb_drive_pick(&drive), 1);
    lb_drive_begin(&drive, 1);
    lb_drive_begin(&drive, 1);
    for (int i = 0; i < 100; i++)
        assert_int_equal(lb_drive_pick(&drive), 0);
    lb_drive_dispose(&drive);
}

// (3 + 1) / 4 against (1 + 1) / 1.
static void load_counts_by_weight(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_LEAST_REQUEST, 3, (const int[]){4, 1, -1});
    lb_drive_begin(&drive, 1);
    for (int i = 0; i < 3; i++)
        lb_drive_begin(&drive, 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(lb_drive_pick(&drive), 0);
    lb_drive_dispose(&drive);
}

static void a_slow_answer_says_nothing(void **state) {
    (void)state;
    static const nanoseconds takes[] = {1000 * NS_PER_MS, NS_PER_MS};
    struct lb_drive drive;
    lb_drive_init(&drive, LB_LEAST_REQUEST, 3, (const int[]){1, 1, -1});
    lb_drive_run(&drive, 10000, takes);
    lb_drive_assert_weights(&drive, 0.03);
    lb_drive_dispose(&drive);
}

static void tried_and_unavailable_ones_are_left_out_while_there_is_another(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_LEAST_REQUEST, 3, (const int[]){1, 1, 1, 0, -1});
    lb_drive_try(&drive, 0);
    lb_drive_set_available(&drive, 2, false);
    for (int i = 0; i < 100; i++)
        assert_int_equal(lb_drive_pick(&drive), 1);
    lb_drive_try(&drive, 1);
    for (int i = 0; i < 100; i++)
        assert_in_range(lb_drive_pick(&drive), 0, 1); // the one with no weight never
    lb_drive_dispose(&drive);
}

// One that fails at once has nothing in flight: without more it would get the most.
static void what_fails_at_once_gets_less(void **state) {
    (void)state;
    static const enum lb_outcome outcomes[] = {LB_BAD_ANSWER, LB_FAILED};
    for (int i = 0; i < 2; i++) {
        struct lb_drive drive;
        lb_drive_init(&drive, LB_LEAST_REQUEST, 5, (const int[]){1, 1, -1});
        // The second answers each after 100 ms, 10 ms apart: some ten are in flight.
        unsigned running[10], begun = 0;
        for (unsigned step = 0; step < 3000; step++, drive.request.now += 10 * NS_PER_MS) {
            if (begun >= 10 && running[begun % 10] == 1)
                lb_drive_done(&drive, 1, LB_ANSWERED, 100 * NS_PER_MS);
            running[begun % 10] = (unsigned)lb_drive_pick(&drive);
            lb_drive_begin(&drive, running[begun % 10]);
            if (running[begun++ % 10] == 0)
                lb_drive_done(&drive, 0, outcomes[i], NS_PER_MS);
        }
        assert_in_range(drive.picked[0], 30, 450); // not none: it is asked now and then
        // A good answer ends it at once.
        lb_drive_begin(&drive, 0);
        lb_drive_done(&drive, 0, LB_ANSWERED, NS_PER_MS);
        assert_false(drive.endpoints[0].cost_is_penalty);
        lb_drive_dispose(&drive);
    }
}

static void what_failed_is_forgotten(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_LEAST_REQUEST, 5, (const int[]){1, 1, -1});
    lb_drive_begin(&drive, 0);
    lb_drive_done(&drive, 0, LB_BAD_ANSWER, NS_PER_MS);
    lb_drive_begin(&drive, 0);
    lb_drive_done(&drive, 0, LB_CANCELLED, NS_PER_MS);
    for (int i = 0; i < 100; i++)
        assert_int_equal(lb_drive_pick(&drive), 1);
    drive.request.now += 6 * NS_PER_S;
    for (int i = 0; i < 100; i++)
        lb_drive_pick(&drive);
    assert_in_range(drive.picked[0], 20, 80);
    lb_drive_dispose(&drive);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_those_of_the_weights),
        cmocka_unit_test(the_less_loaded_of_two_is_picked),
        cmocka_unit_test(load_counts_by_weight),
        cmocka_unit_test(a_slow_answer_says_nothing),
        cmocka_unit_test(what_fails_at_once_gets_less),
        cmocka_unit_test(what_failed_is_forgotten),
        cmocka_unit_test(tried_and_unavailable_ones_are_left_out_while_there_is_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
