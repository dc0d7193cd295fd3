// Random: by weight, whatever the load; draws by weight take one random number however the weights are.
#include "unit/upstream/lb_drive.h"

static void shares_are_those_of_the_weights(void **state) {
    (void)state;
    static const int weights[][5] = {{1, 2, 3, -1}, {1, 1, 1, 1, -1}, {1000000, 1, 1, -1}, {7, 0, 1, 3, -1}, {5, -1}};
    for (int i = 0; i < 5; i++) {
        struct lb_drive drive;
        lb_drive_init(&drive, LB_RANDOM, 5, weights[i]);
        for (int j = 0; j < 100000; j++)
            lb_drive_pick(&drive);
        lb_drive_assert_weights(&drive, 0.01);
        lb_drive_dispose(&drive);
    }
}

// A thousand different weights: the sum of what each is drawn for is its weight.
static void many_weights_are_kept_to(void **state) {
    (void)state;
    enum { COUNT = 1000, PICKS = 2000000 };
    struct lb_drive drive;
    lb_drive_init_many(&drive, LB_RANDOM, 6, COUNT);
    for (uint32_t i = 0; i < COUNT; i++)
        drive.endpoints[i].weight = 1 + i % 10;
    lb_drive_build(&drive, COUNT);
    unsigned by_weight[11] = {0};
    for (int i = 0; i < PICKS; i++)
        by_weight[drive.endpoints[lb_drive_pick(&drive)].weight]++;
    for (int weight = 1; weight <= 10; weight++)
        assert_true(fabs((double)by_weight[weight] / PICKS - weight / 55.0) < 0.002);
    lb_drive_dispose(&drive);
}

static void load_says_nothing(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_RANDOM, 3, (const int[]){1, 1, -1});
    for (int i = 0; i < 100; i++)
        lb_drive_begin(&drive, 0);
    for (int i = 0; i < 10000; i++)
        lb_drive_pick(&drive);
    lb_drive_assert_weights(&drive, 0.03);
    lb_drive_dispose(&drive);
}

// Among many of which nearly none may be taken it is found all the same.
static void the_one_that_is_left_is_found(void **state) {
    (void)state;
    enum { COUNT = 5000 };
    struct lb_drive drive;
    lb_drive_init_many(&drive, LB_RANDOM, 6, COUNT);
    for (uint32_t i = 0; i < COUNT; i++)
        drive.endpoints[i].unavailable = i == 4321 ? 0 : UNAVAILABLE_AVOIDED;
    lb_drive_build(&drive, COUNT);
    for (int i = 0; i < 10; i++)
        assert_int_equal(lb_drive_pick(&drive), 4321);
    lb_drive_try(&drive, 4321);
    drive.request.unavailable_too = true;
    for (int i = 0; i < 10; i++)
        assert_int_not_equal(lb_drive_pick(&drive), 4321);
    lb_drive_dispose(&drive);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_those_of_the_weights),
        cmocka_unit_test(many_weights_are_kept_to),
        cmocka_unit_test(load_says_nothing),
        cmocka_unit_test(the_one_that_is_left_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
