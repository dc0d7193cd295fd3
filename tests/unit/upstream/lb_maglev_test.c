// Maglev: a key leads to one endpoint, in every process; shares are even; a change of endpoints moves few keys of others; a bound on load holds.
#include "unit/upstream/lb_keyed.h"

// Of any number of endpoints none has more than 2 % above or below the mean of the places of the table.
static void places_are_spread_within_two_percent(void **state) {
    (void)state;
    static const uint32_t counts[] = {2, 3, 5, 10, 100, 1000, 1001, 10000};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct lb_drive drive;
        lb_drive_init_many(&drive, LB_MAGLEV, 1, counts[i]);
        const uint16_t *places = drive.lb.table;
        for (uint32_t place = 0; place < drive.lb.table_size; place++)
            drive.picked[places[place]]++;
        double mean = (double)drive.lb.table_size / counts[i];
        for (uint32_t j = 0; j < counts[i]; j++)
            assert_true(drive.picked[j] > mean * 0.98 - 1 && drive.picked[j] < mean * 1.02 + 1);
        lb_drive_dispose(&drive);
    }
}

static void shares_are_those_of_the_weights(void **state) {
    (void)state;
    static const int weights[][5] = {{1, 2, 3, -1}, {1, 1, 1, 1, -1}, {1000000, 1, -1}, {7, 0, 1, 3, -1}};
    for (int i = 0; i < 4; i++) {
        struct lb_drive drive;
        lb_drive_init(&drive, LB_MAGLEV, 1, weights[i]);
        free(map_keys(&drive));
        lb_drive_assert_weights(&drive, 0.01);
        lb_drive_dispose(&drive);
    }
}

// Those that it gives to the new one, and a few more.
static void another_endpoint_moves_few_keys_of_the_others(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_MAGLEV, 1, (const int[]){1, 1, 1, 1, 1, -1});
    lb_drive_build(&drive, 4);
    int *before = map_keys(&drive);
    lb_drive_build(&drive, 5);
    int *after = map_keys(&drive);
    assert_in_range(count_moved(before, after), KEYS / 5 - KEYS / 100, KEYS * 30 / 100);
    free(before);
    free(after);
    lb_drive_dispose(&drive);
}

int main(void) {
    static enum lb_type type = LB_MAGLEV;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_are_spread_within_two_percent),
        cmocka_unit_test(shares_are_those_of_the_weights),
        cmocka_unit_test(another_endpoint_moves_few_keys_of_the_others),
        LB_KEYED_TESTS(&type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
