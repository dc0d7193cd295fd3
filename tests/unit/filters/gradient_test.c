// Gradient2 against a service that can do so much at once: the limit finds what it can do, follows when that changes, and keeps to its bounds.
#include "filters/gradient.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MS NS_PER_MS

// So many samples of a service that takes 10 ms while at most `capacity` are in it, and more in proportion; always as much is asked as may be.
static uint32_t run(struct gradient *gradient, unsigned samples, uint32_t capacity, uint32_t min, uint32_t max) {
    for (unsigned i = 0; i < samples; i++) {
        const uint32_t in_flight = gradient_limit(gradient, min, max);
        const nanoseconds took = in_flight <= capacity ? 10 * MS : 10 * MS * in_flight / capacity;
        gradient_sample(gradient, took, in_flight, min, max);
    }
    return gradient_limit(gradient, min, max);
}

static void it_begins_at_twenty_inside_its_bounds(void **state) {
    (void)state;
    static const uint32_t cases[][3] = {{4, 1000, 20}, {30, 1000, 30}, {1, 10, 10}};
    for (size_t i = 0; i < 3; i++) {
        struct gradient gradient;
        gradient_init(&gradient, cases[i][0], cases[i][1]);
        assert_int_equal(gradient_limit(&gradient, cases[i][0], cases[i][1]), cases[i][2]);
    }
}

// From the formulas: 20 x 1 + 4 = 24, of which a fifth is taken over.
static void one_step_is_as_the_formula_says(void **state) {
    (void)state;
    struct gradient gradient;
    gradient_init(&gradient, 4, 1000);
    gradient_sample(&gradient, 10 * MS, 20, 4, 1000);
    assert_true(gradient.limit > 20.79 && gradient.limit < 20.81);
    for (int i = 0; i < 9; i++)
        gradient_sample(&gradient, 10 * MS, 4, 4, 1000); // few run: no change
    assert_true(gradient.limit > 20.79 && gradient.limit < 20.81);
    // The mean is 10 ms and 2/601 of 90 ms more; 1.5 times that is less than a sixth of 100 ms: the slope is at its least, a half.
    gradient_sample(&gradient, 100 * MS, 20, 4, 1000);
    assert_true(gradient.limit > 19.5 && gradient.limit < 19.54); // 20.8 x 0.8 + (20.8 x 0.5 + 4) x 0.2
}

static void a_service_that_does_not_slow_down_gets_all(void **state) {
    (void)state;
    struct gradient gradient;
    gradient_init(&gradient, 4, 200);
    assert_int_equal(run(&gradient, 5000, UINT32_MAX, 4, 200), 200);
}

static void a_service_that_becomes_slow_gets_less_and_more_again(void **state) {
    (void)state;
    struct gradient gradient;
    gradient_init(&gradient, 4, 1000);
    const uint32_t fast = run(&gradient, 400, 100, 4, 1000);
    assert_true(fast > 60 && fast < 260);
    const uint32_t slow = run(&gradient, 60, 5, 4, 1000);
    assert_true(slow < 30);
    const uint32_t again = run(&gradient, 2000, 100, 4, 1000);
    assert_true(again > 60);
}

static void no_sample_leads_out_of_the_bounds(void **state) {
    (void)state;
    struct gradient gradient;
    gradient_init(&gradient, 4, 50);
    for (unsigned i = 0; i < 1000; i++) {
        gradient_sample(&gradient, i % 7 == 0 ? 0 : i % 3 == 0 ? UINT64_MAX / 2 : MS, 50, 4, 50);
        assert_in_range(gradient_limit(&gradient, 4, 50), 4, 50);
    }
    assert_int_equal(gradient_limit(&gradient, 60, 70), 60); // others by now
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_begins_at_twenty_inside_its_bounds),      cmocka_unit_test(one_step_is_as_the_formula_says),
        cmocka_unit_test(a_service_that_does_not_slow_down_gets_all), cmocka_unit_test(a_service_that_becomes_slow_gets_less_and_more_again),
        cmocka_unit_test(no_sample_leads_out_of_the_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
