// RoundRobin: each in turn, as often as its weight says, those that were tried only when there is no other.
#include "unit/upstream/lb_drive.h"

static void equal_endpoints_take_turns(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_ROUND_ROBIN, 1, (const int[]){1, 1, 1, -1});
    for (int i = 0; i < 9; i++)
        assert_int_equal(lb_drive_pick(&drive), i % 3);
}

static void in_a_row_of_turns_each_comes_as_often_as_its_weight(void **state) {
    (void)state;
    static const int weights[] = {1, 5, 0, 2, -1};
    struct lb_drive drive;
    lb_drive_init(&drive, LB_ROUND_ROBIN, 1, weights);
    for (int i = 0; i < 8 * 100; i++)
        lb_drive_pick(&drive);
    for (int i = 0; weights[i] >= 0; i++)
        assert_int_equal(drive.picked[i], 100 * weights[i]);
}

static void the_turns_of_a_heavy_one_are_spread(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_ROUND_ROBIN, 1, (const int[]){5, 1, 1, -1});
    static const int order[] = {0, 0, 1, 0, 2, 0, 0};
    for (size_t i = 0; i < 5 * sizeof order / sizeof order[0]; i++)
        assert_int_equal(lb_drive_pick(&drive), order[i % (sizeof order / sizeof order[0])]);
}

// After any number of picks: never more than a turn or two off its share, whatever the weights.
static void large_weights_are_kept_to_from_the_first_picks(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_ROUND_ROBIN, 1, (const int[]){1000000, 500000, 500000, -1});
    for (unsigned i = 1; i <= 1000; i++) {
        lb_drive_pick(&drive);
        assert_in_range(drive.picked[0] + 2, i / 2, i / 2 + 4);
        assert_in_range(drive.picked[1] + 2, i / 4, i / 4 + 4);
        assert_in_range(drive.picked[2] + 2, i / 4, i / 4 + 4);
    }
}

// While one is left out the others share by their weights, and it does not catch up later.
static void one_that_was_left_out_comes_back_to_its_share(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_ROUND_ROBIN, 1, (const int[]){1000, 300, 100, -1});
    lb_drive_try(&drive, 0);
    for (int i = 0; i < 40; i++)
        lb_drive_pick(&drive);
    assert_int_equal(drive.picked[0], 0);
    assert_int_equal(drive.picked[1], 30);
    assert_int_equal(drive.picked[2], 10);
    drive.request.tried_count = 0;
    for (int i = 0; i < 14; i++)
        lb_drive_pick(&drive);
    assert_int_equal(drive.picked[0], 10);
    assert_int_equal(drive.picked[1], 33);
    assert_int_equal(drive.picked[2], 11);
}

static void the_position_may_overflow(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_ROUND_ROBIN, 1, (const int[]){1, 1, -1});
    drive.lb.position = UINT32_MAX - 1;
    for (int i = 0; i < 100; i++)
        lb_drive_pick(&drive);
    assert_int_equal(drive.picked[0], 50);
    assert_int_equal(drive.picked[1], 50);
}

static void tried_ones_are_left_out_while_there_is_another(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_ROUND_ROBIN, 1, (const int[]){1, 1, 1, -1});
    lb_drive_try(&drive, 0);
    lb_drive_try(&drive, 2);
    for (int i = 0; i < 20; i++)
        assert_int_equal(lb_drive_pick(&drive), 1);
    lb_drive_try(&drive, 1);
    assert_true(lb_drive_pick(&drive) >= 0);
}

static void tried_ones_are_left_out_with_weights_too(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_ROUND_ROBIN, 1, (const int[]){100, 1, 0, -1});
    lb_drive_try(&drive, 0);
    for (int i = 0; i < 20; i++)
        assert_int_equal(lb_drive_pick(&drive), 1);
    lb_drive_try(&drive, 1);
    for (int i = 0; i < 20; i++)
        assert_int_not_equal(lb_drive_pick(&drive), 2);
}

static void without_any_weight_there_is_none(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_ROUND_ROBIN, 1, (const int[]){0, 0, -1});
    assert_int_equal(lb_drive_pick(&drive), -1);
    lb_drive_init(&drive, LB_ROUND_ROBIN, 1, (const int[]){0, -1});
    assert_int_equal(lb_drive_pick(&drive), -1);
}

static void attempts_in_flight_are_counted(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_ROUND_ROBIN, 1, (const int[]){1, -1});
    lb_drive_begin(&drive, 0);
    lb_drive_begin(&drive, 0);
    assert_int_equal(drive.endpoints[0].in_flight, 2);
    lb_drive_done(&drive, 0, LB_FAILED, 1);
    lb_drive_done(&drive, 0, LB_CANCELLED, 1);
    assert_int_equal(drive.endpoints[0].in_flight, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_endpoints_take_turns),
        cmocka_unit_test(in_a_row_of_turns_each_comes_as_often_as_its_weight),
        cmocka_unit_test(the_turns_of_a_heavy_one_are_spread),
        cmocka_unit_test(large_weights_are_kept_to_from_the_first_picks),
        cmocka_unit_test(one_that_was_left_out_comes_back_to_its_share),
        cmocka_unit_test(the_position_may_overflow),
        cmocka_unit_test(tried_ones_are_left_out_while_there_is_another),
        cmocka_unit_test(tried_ones_are_left_out_with_weights_too),
        cmocka_unit_test(without_any_weight_there_is_none),
        cmocka_unit_test(attempts_in_flight_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
