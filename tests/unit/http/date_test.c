// HTTP-date in its three forms, the bounds of each part, and what is no date.
#include "http/date.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#define NOW UINT64_C(1767225600) // 2026

static void expect(const char *text, uint64_t seconds) {
    uint64_t found = 0;
    if (!http_date_parse(bytes_from_text(text), NOW, &found))
        fail_msg("%s is no date", text);
    assert_int_equal(found, seconds);
}

static void expect_none(const char *text) {
    uint64_t found;
    if (http_date_parse(bytes_from_text(text), NOW, &found))
        fail_msg("%s is a date", text);
}

// RFC 9110 section 5.6.7: its own examples.
static void all_three_forms_are_read(void **state) {
    (void)state;
    expect("Sun, 06 Nov 1994 08:49:37 GMT", 784111777);
    expect("Sunday, 06-Nov-94 08:49:37 GMT", 784111777);
    expect("Sun Nov  6 08:49:37 1994", 784111777);
    expect("Wed Nov 16 08:49:37 1994", 784975777);
}

static void a_year_of_two_digits_is_the_nearest_that_is_not_far_ahead(void **state) {
    (void)state;
    expect("Thursday, 01-Jan-70 00:00:00 GMT", UINT64_C(3155760000));  // 2070: 44 years ahead
    expect("Wednesday, 01-Jan-76 00:00:00 GMT", UINT64_C(3345062400)); // 2076: 50 years ahead
    expect("Saturday, 01-Jan-77 00:00:00 GMT", 220924800);             // 1977
}

static void the_calendar_is_that_of_the_system(void **state) {
    (void)state;
    for (time_t then = 0; then < (time_t)4102444800; then += 86400 * 29 + 3671) {
        char text[64];
        struct tm parts;
        assert_non_null(gmtime_r(&then, &parts));
        assert_true(strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts) > 0);
        expect(text, (uint64_t)then);
        assert_true(strftime(text, sizeof text, "%a %b %e %H:%M:%S %Y", &parts) > 0);
        expect(text, (uint64_t)then);
    }
    expect("Fri, 31 Dec 9999 23:59:59 GMT", UINT64_C(253402300799));
}

static void each_part_has_its_bounds(void **state) {
    (void)state;
    expect("Thu, 29 Feb 2024 00:00:00 GMT", 1709164800);
    expect("Tue, 29 Feb 2000 00:00:00 GMT", 951782400);
    expect("Sat, 31 Dec 2016 23:59:60 GMT", 1483228800); // a leap second is the next one
    expect_none("Wed, 29 Feb 2023 00:00:00 GMT");
    expect_none("Mon, 29 Feb 2100 00:00:00 GMT");
    expect_none("Mon, 00 Nov 1994 08:49:37 GMT");
    expect_none("Thu, 31 Nov 1994 08:49:37 GMT");
    expect_none("Sun, 32 Dec 1994 08:49:37 GMT");
    expect_none("Sun, 06 Nov 1994 24:00:00 GMT");
    expect_none("Sun, 06 Nov 1994 08:60:37 GMT");
    expect_none("Sun, 06 Nov 1994 08:49:61 GMT");
    expect_none("Wed, 31 Dec 1969 23:59:59 GMT");
    expect_none("Sun Nov  0 08:49:37 1994");
}

static void what_is_another_form_is_no_date(void **state) {
    (void)state;
    static const char *const texts[] = {"",
                                        "Sun",
                                        "Sun,",
                                        "Sun, 06 Nov 1994 08:49:37",
                                        "Sun, 06 Nov 1994 08:49:37 UTC",
                                        "Sun, 06 Nov 1994 08:49:37 +0000",
                                        "Sun, 06 Nov 1994 08:49:37 GMT ",
                                        " Sun, 06 Nov 1994 08:49:37 GMT",
                                        "sun, 06 nov 1994 08:49:37 gmt",
                                        "Sun, 6 Nov 1994 08:49:37 GMT",
                                        "Sun, 06 Nov 94 08:49:37 GMT",
                                        "Sunday, 06-Nov-1994 08:49:37 GMT",
                                        "Sunday, 06 Nov 1994 08:49:37 GMT",
                                        "Sun Nov 6 08:49:37 1994",
                                        "Sun Nov  6 08:49:37 1994 GMT",
                                        "Foo, 06 Nov 1994 08:49:37 GMT",
                                        "Sun, 06 Nuv 1994 08:49:37 GMT",
                                        "2026-01-01T00:00:00Z",
                                        "784111777"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        expect_none(texts[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_three_forms_are_read),           cmocka_unit_test(a_year_of_two_digits_is_the_nearest_that_is_not_far_ahead),
        cmocka_unit_test(the_calendar_is_that_of_the_system), cmocka_unit_test(each_part_has_its_bounds),
        cmocka_unit_test(what_is_another_form_is_no_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
