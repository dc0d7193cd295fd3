// RoundRobin: each in turn, as often as its weight says, those that were tried only when there is no other.
#include "unit/upstream/lb_drive.h"

static void equal_endpoints_take_turns(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_ROUND_ROBIN, 1, (const int[]){1, 1, 1, -1});
    int before = lb_drive_pick(&drive);
    for (int i = 0; i < 9; i++) {
        assert_int_equal(lb_drive_pick(&drive), (before + 1) % 3);
        before = (before + 1) % 3;
    }
    lb_drive_dispose(&drive);
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
    lb_drive_dispose(&drive);
}

static void the_turns_of_a_heavy_one_are_spread(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_ROUND_ROBIN, 1, (const int[]){5, 1, 1, -1});
    unsigned in_a_row = 0;
    for (int i = 0; i < 70; i++) {
        bool is_heavy = lb_drive_pick(&drive) == 0;
        assert_false(!is_heavy && in_a_row == 0 && i > 0 && drive.picked[0] == 0);
        in_a_row = is_heavy ? in_a_row + 1 : 0;
        assert_in_range(in_a_row, 0, 5);
    }
    assert_int_equal(drive.picked[0], 50);
    lb_drive_dispose(&drive);
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
    lb_drive_dispose(&drive);
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
    lb_drive_dispose(&drive);
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
    lb_drive_dispose(&drive);
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
    lb_drive_dispose(&drive);
}

static void without_any_weight_there_is_none(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_ROUND_ROBIN, 1, (const int[]){0, 0, -1});
    assert_int_equal(lb_drive_pick(&drive), -1);
    lb_drive_dispose(&drive);
    lb_drive_init(&drive, LB_ROUND_ROBIN, 1, (const int[]){0, -1});
    assert_int_equal(lb_drive_pick(&drive), -1);
    lb_drive_dispose(&drive);
}

static void shares_are_those_of_the_weights(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_ROUND_ROBIN, 3, (const int[]){1, 2, 3, 10, -1});
    for (int i = 0; i < 100000; i++)
        lb_drive_pick(&drive);
    lb_drive_assert_weights(&drive, 0.001);
    lb_drive_dispose(&drive);
}

// Others share the turns of one that is not available; one that is new has the part of its turns that it has grown to.
static void who_is_not_available_or_new_is_left_out(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_ROUND_ROBIN, 3, (const int[]){1, 1, 1, -1});
    lb_drive_set_available(&drive, 1, false);
    for (int i = 0; i < 1000; i++)
        lb_drive_pick(&drive);
    assert_int_equal(drive.picked[1], 0);
    assert_in_range(drive.picked[0], 499, 501);
    lb_drive_set_available(&drive, 1, true);
    drive.endpoints[1].ramp_since = drive.request.now - 3 * NS_PER_S; // a tenth
    memset(drive.picked, 0, 3 * sizeof *drive.picked);
    for (int i = 0; i < 21000; i++)
        lb_drive_pick(&drive);
    assert_in_range(drive.picked[1], 850, 1150);
    lb_drive_dispose(&drive);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_endpoints_take_turns),
        cmocka_unit_test(in_a_row_of_turns_each_comes_as_often_as_its_weight),
        cmocka_unit_test(the_turns_of_a_heavy_one_are_spread),
        cmocka_unit_test(large_weights_are_kept_to_from_the_first_picks),
        cmocka_unit_test(one_that_was_left_out_comes_back_to_its_share),
        cmocka_unit_test(tried_ones_are_left_out_while_there_is_another),
        cmocka_unit_test(tried_ones_are_left_out_with_weights_too),
        cmocka_unit_test(without_any_weight_there_is_none),
        cmocka_unit_test(shares_are_those_of_the_weights),
        cmocka_unit_test(who_is_not_available_or_new_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
