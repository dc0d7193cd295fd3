// The clocks: right order of magnitude, and monotonic time does not go back.
#include "base/clock.h"

#include <time.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void monotonic_time_does_not_go_back(void **state) {
    (void)state;
    nanoseconds before = clock_monotonic_ns();
    for (int i = 0; i < 1000; i++) {
        nanoseconds now = clock_monotonic_ns();
        assert_true(now >= before);
        before = now;
    }
}

static void wall_time_agrees_with_the_system(void **state) {
    (void)state;
    time_t before = time(NULL);
    nanoseconds wall = clock_wall_ns();
    // time() may lag behind by a tick of the kernel.
    assert_true(wall / NS_PER_S + 1 >= (uint64_t)before);
    assert_true(wall / NS_PER_S <= (uint64_t)time(NULL) + 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(monotonic_time_does_not_go_back),
        cmocka_unit_test(wall_time_agrees_with_the_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
