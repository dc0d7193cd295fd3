// Periods of the calendar: each ends where the next one begins, and no sooner.
#include "filters/quota_period.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct {
    uint64_t now, hour, day, week, month;
} cases[] = {
    // 1970-01-01 00:00:00, a Thursday
    {0, 3600, 86400, 345600, 2678400},
    // 2024-02-29 23:59:59, a Thursday of a leap year
    {1709251199, 1709251200, 1709251200, 1709510400, 1709251200},
    // 2026-11-30 12:00:00, a Monday
    {1796040000, 1796043600, 1796083200, 1796601600, 1796083200},
    // 2026-12-31 23:00:00, a Thursday
    {1798758000, 1798761600, 1798761600, 1799020800, 1798761600},
    // 2027-01-03 23:59:59, a Sunday
    {1799020799, 1799020800, 1799020800, 1799020800, 1801440000},
};

static void periods_end_where_the_next_begins(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(quota_period_end(QUOTA_HOUR, cases[i].now), cases[i].hour);
        assert_int_equal(quota_period_end(QUOTA_DAY, cases[i].now), cases[i].day);
        assert_int_equal(quota_period_end(QUOTA_WEEK, cases[i].now), cases[i].week);
        assert_int_equal(quota_period_end(QUOTA_MONTH, cases[i].now), cases[i].month);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(periods_end_where_the_next_begins)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
