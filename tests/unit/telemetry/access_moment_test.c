// Moments by a format of strftime: as the C library writes them, and never longer than there is room for.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "telemetry/access_moment.h"

#include <time.h>

static const char *printed(const char *format, nanoseconds wall) {
    static char text[ACCESS_MOMENT_MAX + 1];
    struct access_line line = {text, text + ACCESS_MOMENT_MAX};
    assert_true(access_moment_is_format(bytes_from_text(format)));
    access_moment_add(&line, bytes_from_text(format), wall);
    *line.at = '\0';
    return text;
}

static void letters_mean_what_they_mean_to_the_c_library(void **state) {
    (void)state;
#define SHORT "%Y|%m|%d|%e|%H|%M|%S|%s|%j|%I|%p|%%"
#define LONG "%F|%T|%a|%b|%A|%B"
    assert_int_equal(setenv("TZ", "UTC", 1), 0); // %s of strftime goes by the local time
    for (time_t seconds = 0; seconds < INT64_C(4102444800); seconds += 86399 * 251) {
        struct tm tm;
        char expected[128];
        gmtime_r(&seconds, &tm);
        strftime(expected, sizeof expected, SHORT, &tm);
        assert_string_equal(printed(SHORT, (nanoseconds)seconds * NS_PER_S), expected);
        strftime(expected, sizeof expected, LONG, &tm);
        assert_string_equal(printed(LONG, (nanoseconds)seconds * NS_PER_S), expected);
    }
}

static void others_mean_what_is_said_of_them(void **state) {
    (void)state;
    const nanoseconds wall = UINT64_C(1767225599) * NS_PER_S + 12345678;
    assert_string_equal(printed("%f|%1f|%3f|%6f|%9f", wall), "012345678|0|012|012345|012345678");
    assert_string_equal(printed("%Z%z %y %D", wall), "UTC+0000 25 12/31/25");
}

static void what_is_no_format_is_told(void **state) {
    (void)state;
    static const char *const wrong[] = {"", "%", "a%", "%Q", "%3", "%3Y", "%0f", "%H%", "%E"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(access_moment_is_format(bytes_from_text(wrong[i])));
}

static void a_long_format_stays_inside_its_room(void **state) {
    (void)state;
    char format[2000] = "";
    while (strlen(format) + 3 < sizeof format)
        strcat(format, "%A");
    assert_in_range(strlen(printed(format, 0)), ACCESS_MOMENT_MAX - 20, ACCESS_MOMENT_MAX);
    for (size_t before = 0; before < 20; before++) { // wherever in it the room ends
        memset(format, 'x', sizeof format - 1);
        for (size_t at = before; at + 1 < sizeof format - 1; at += 2)
            memcpy(format + at, "%s", 2);
        format[before + 1900] = '\0';
        assert_in_range(strlen(printed(format, UINT64_C(9999999999) * NS_PER_S)), ACCESS_MOMENT_MAX - 20, ACCESS_MOMENT_MAX);
    }
    memset(format, 'x', sizeof format - 1);
    assert_in_range(strlen(printed(format, 0)), ACCESS_MOMENT_MAX - 20, ACCESS_MOMENT_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_mean_what_they_mean_to_the_c_library),
        cmocka_unit_test(others_mean_what_is_said_of_them),
        cmocka_unit_test(what_is_no_format_is_told),
        cmocka_unit_test(a_long_format_stays_inside_its_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
