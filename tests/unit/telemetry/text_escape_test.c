// Bytes of others as valid UTF-8: whatever their length, wherever a byte stands that is none, however little room there is. Escapes are tested by the log and the metrics.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "telemetry/text_escape.h"

#include <stdio.h>
#include <string.h>

#define LENGTH_MAX 40

// A piece that does not stand for itself, and what becomes of it.
struct odd {
    const char *bytes, *becomes;
};

static const struct odd odds[] = {{"\xff", "\xef\xbf\xbd"}, {"\xc3", "\xef\xbf\xbd"}, {"\xc3\xa9", "\xc3\xa9"}, {"\xe2\x82\xac", "\xe2\x82\xac"}};

static void check(const char *text, const char *expected) {
    char out[LENGTH_MAX * 4 + 1];
    size_t taken;
    memset(out, '#', sizeof out);
    const size_t written = text_to_utf8(out, sizeof out - 1, bytes_from(text, strlen(text)), &taken);
    assert_int_equal(taken, strlen(text));
    assert_int_equal(written, strlen(expected));
    assert_memory_equal(out, expected, written);
    assert_int_equal(out[written], '#'); // and nothing behind it
}

static void ascii_of_any_length_is_as_it_was(void **state) {
    (void)state;
    for (int length = 0; length <= LENGTH_MAX; length++) {
        char text[LENGTH_MAX + 1];
        for (int i = 0; i < length; i++)
            text[i] = (char)('!' + i);
        text[length] = '\0';
        check(text, text);
    }
}

static void what_is_odd_is_found_wherever_it_stands(void **state) {
    (void)state;
    for (size_t o = 0; o < sizeof odds / sizeof odds[0]; o++)
        for (int before = 0; before <= LENGTH_MAX / 2; before++)
            for (int behind = 0; behind <= LENGTH_MAX / 2 - 4; behind++) {
                char text[LENGTH_MAX + 1], expected[LENGTH_MAX + 1];
                snprintf(text, sizeof text, "%.*s%s%.*s", before, "abcdefghijklmnopqrst", odds[o].bytes, behind, "ABCDEFGHIJKLMNOPQRST");
                snprintf(expected, sizeof expected, "%.*s%s%.*s", before, "abcdefghijklmnopqrst", odds[o].becomes, behind, "ABCDEFGHIJKLMNOPQRST");
                check(text, expected);
            }
}

static void what_has_no_room_is_cut_between_characters(void **state) {
    (void)state;
    const struct bytes text = BYTES("abcdefgh\xe2\x82\xac"
                                    "ijklmnopqrs");
    for (size_t room = 0; room <= text.len; room++) {
        char out[64];
        size_t taken;
        memset(out, '#', sizeof out);
        const size_t written = text_to_utf8(out, room, text, &taken);
        assert_int_equal(written, room == 9 || room == 10 ? 8 : room);
        assert_int_equal(taken, written);
        assert_memory_equal(out, text.at, written);
        assert_int_equal(out[written], '#');
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ascii_of_any_length_is_as_it_was),
        cmocka_unit_test(what_is_odd_is_found_wherever_it_stands),
        cmocka_unit_test(what_has_no_room_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
