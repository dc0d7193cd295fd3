// A percentile of answer times: right within its buckets, unknown at first, and soon that of today.
#include "upstream/answer_times.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void add(struct answer_times *times, unsigned count, nanoseconds took) {
    while (count-- > 0)
        answer_times_add(times, took);
}

static void little_is_known_at_first(void **state) {
    (void)state;
    struct answer_times times = {0};
    assert_int_equal(answer_times_percentile(&times, 95), 0);
    add(&times, 63, NS_PER_MS);
    assert_int_equal(answer_times_percentile(&times, 95), 0);
    add(&times, 1, NS_PER_MS);
    assert_true(answer_times_percentile(&times, 95) > NS_PER_MS);
}

static void any_time_is_told_within_a_quarter(void **state) {
    (void)state;
    for (nanoseconds took = 70 * NS_PER_US; took < 1000 * NS_PER_S; took += took / 7 + 1) {
        struct answer_times times = {0};
        add(&times, 100, took);
        nanoseconds told = answer_times_percentile(&times, 95);
        assert_true(told > took && told <= took + took / 4 + 1);
    }
}

static void what_is_very_short_or_long_has_a_bound(void **state) {
    (void)state;
    struct answer_times times = {0};
    add(&times, 64, 0);
    assert_int_equal(answer_times_percentile(&times, 100), 65536);
    add(&times, 64, UINT64_MAX);
    assert_true(answer_times_percentile(&times, 100) > 1000 * NS_PER_S);
}

static void the_percentile_lies_where_it_says(void **state) {
    (void)state;
    struct answer_times times = {0};
    add(&times, 950, 10 * NS_PER_MS);
    add(&times, 50, 10 * NS_PER_S);
    assert_true(answer_times_percentile(&times, 95) <= 13 * NS_PER_MS);
    assert_true(answer_times_percentile(&times, 96) > 10 * NS_PER_S);
    assert_true(answer_times_percentile(&times, 0) <= 13 * NS_PER_MS);
}

static void the_past_is_forgotten(void **state) {
    (void)state;
    struct answer_times times = {0};
    add(&times, 100000, 10 * NS_PER_S);
    add(&times, 10 * 1024, 10 * NS_PER_MS);
    assert_true(answer_times_percentile(&times, 95) <= 13 * NS_PER_MS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(little_is_known_at_first),
        cmocka_unit_test(any_time_is_told_within_a_quarter),
        cmocka_unit_test(what_is_very_short_or_long_has_a_bound),
        cmocka_unit_test(the_percentile_lies_where_it_says),
        cmocka_unit_test(the_past_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
