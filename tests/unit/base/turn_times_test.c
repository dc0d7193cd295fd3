// Turns come into the bucket whose bound is not below them; the longest is forgotten after a while.
#include "base/turn_times.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void turns_come_into_their_bucket(void **state) {
    (void)state;
    struct turn_times times = {0};
    turn_times_add(&times, 0, 1);
    turn_times_add(&times, turn_bound(0), 1);
    turn_times_add(&times, turn_bound(0) + 1, 1);
    turn_times_add(&times, turn_bound(TURN_BOUNDS - 1), 1);
    turn_times_add(&times, turn_bound(TURN_BOUNDS - 1) + 1, 1);
    assert_int_equal(times.buckets[0], 2);
    assert_int_equal(times.buckets[1], 1);
    assert_int_equal(times.buckets[TURN_BOUNDS - 1], 1);
    assert_int_equal(times.buckets[TURN_BOUNDS], 1);
    assert_int_equal(times.sum, 2 * turn_bound(0) + 1 + 2 * turn_bound(TURN_BOUNDS - 1) + 1);
}

static void the_longest_is_of_the_last_minute_or_two(void **state) {
    (void)state;
    struct turn_times times = {0};
    const nanoseconds begun = 1000 * NS_PER_S, second = NS_PER_S, minute = TURN_LONGEST_SPAN;
    turn_times_add(&times, 5 * second, begun);
    turn_times_add(&times, 1 * second, begun + 10 * second);
    assert_int_equal(turn_times_longest(&times, begun + 10 * second), 5 * second);
    turn_times_add(&times, 2 * second, begun + minute);
    assert_int_equal(turn_times_longest(&times, begun + minute), 5 * second);
    turn_times_add(&times, 1 * second, begun + 2 * minute);
    assert_int_equal(turn_times_longest(&times, begun + 2 * minute), 2 * second);
    assert_int_equal(turn_times_longest(&times, begun + 3 * minute), 1 * second);
    assert_int_equal(turn_times_longest(&times, begun + 4 * minute), 0); // it sleeps since
    turn_times_add(&times, 3, begun + 10 * minute);
    assert_int_equal(turn_times_longest(&times, begun + 10 * minute), 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns_come_into_their_bucket),
        cmocka_unit_test(the_longest_is_of_the_last_minute_or_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
