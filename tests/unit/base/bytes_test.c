// Slices of bytes: comparing, searching, splitting and numbers, with their borders.
#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void equality_compares_length_and_bytes(void **state) {
    (void)state;
    assert_true(bytes_equal(BYTES("abc"), BYTES("abc")));
    assert_false(bytes_equal(BYTES("abc"), BYTES("abd")));
    assert_false(bytes_equal(BYTES("abc"), BYTES("ab")));
    assert_false(bytes_equal(BYTES("abc"), BYTES("Abc")));
    assert_true(bytes_equal(BYTES_NONE, BYTES("")));
    assert_true(bytes_equal(BYTES("a\0b"), BYTES("a\0b")));
    assert_false(bytes_equal(BYTES("a\0b"), BYTES("a\0c")));
}

static void a_kept_copy_outlives_its_source_and_is_dropped_once(void **state) {
    (void)state;
    char source[] = "abc";
    struct bytes kept = bytes_keep(bytes_from(source, 3));
    source[0] = 'x';
    assert_true(bytes_equal(kept, BYTES("abc")));
    assert_int_equal(kept.at[3], '\0');
    bytes_drop(&kept);
    assert_true(kept.at == NULL && kept.len == 0);
    bytes_drop(&kept);
}

static void equality_without_case_folds_ascii_letters_only(void **state) {
    (void)state;
    assert_true(bytes_equal_nocase(BYTES("Content-Type"), BYTES("cONTENT-tYPE")));
    assert_false(bytes_equal_nocase(BYTES("abc"), BYTES("abcd")));
    assert_true(bytes_equal_nocase(BYTES_NONE, BYTES("")));
    // Neighbours of the letters, and a letter with a diaeresis in Latin-1.
    assert_false(bytes_equal_nocase(BYTES("@"), BYTES("`")));
    assert_false(bytes_equal_nocase(BYTES("["), BYTES("{")));
    assert_false(bytes_equal_nocase(BYTES("\xc4"), BYTES("\xe4")));
}

static void starts_and_ends_are_compared_within_the_text(void **state) {
    (void)state;
    assert_true(bytes_starts_with(BYTES("/courses/1"), BYTES("/courses")));
    assert_false(bytes_starts_with(BYTES("/cour"), BYTES("/courses")));
    assert_true(bytes_starts_with(BYTES_NONE, BYTES_NONE));
    assert_true(bytes_ends_with(BYTES("a.example.org"), BYTES(".org")));
    assert_false(bytes_ends_with(BYTES("org"), BYTES(".org")));
    assert_true(bytes_ends_with(BYTES("x"), BYTES("")));
}

static void find_gives_the_first_position_or_the_length(void **state) {
    (void)state;
    assert_int_equal(bytes_find(BYTES("a:b:c"), ':'), 1);
    assert_int_equal(bytes_find(BYTES("abc"), ':'), 3);
    assert_int_equal(bytes_find(BYTES_NONE, ':'), 0);
}

static void trim_takes_spaces_and_tabs_only(void **state) {
    (void)state;
    assert_true(bytes_equal(bytes_trim(BYTES(" \t a b \t")), BYTES("a b")));
    assert_true(bytes_equal(bytes_trim(BYTES("\r\na\v")), BYTES("\r\na\v")));
    assert_int_equal(bytes_trim(BYTES(" \t ")).len, 0);
    assert_int_equal(bytes_trim(BYTES_NONE).len, 0);
}

static void list_elements_are_trimmed_and_empty_ones_skipped(void **state) {
    (void)state;
    struct bytes list = BYTES(",, keep-alive ,\t,close ,");
    struct bytes element;
    assert_true(bytes_next(&list, ',', &element));
    assert_true(bytes_equal(element, BYTES("keep-alive")));
    assert_true(bytes_next(&list, ',', &element));
    assert_true(bytes_equal(element, BYTES("close")));
    assert_false(bytes_next(&list, ',', &element));
    assert_false(bytes_next(&list, ',', &element));
}

static void last_list_element_needs_no_separator(void **state) {
    (void)state;
    struct bytes list = BYTES("a,b");
    struct bytes element;
    assert_true(bytes_next(&list, ',', &element));
    assert_true(bytes_next(&list, ',', &element));
    assert_true(bytes_equal(element, BYTES("b")));
    assert_false(bytes_next(&list, ',', &element));
}

static void numbers_are_digits_only(void **state) {
    (void)state;
    uint64_t value = 7;
    assert_true(bytes_to_u64(BYTES("0"), 10, &value));
    assert_int_equal(value, 0);
    assert_true(bytes_to_u64(BYTES("00042"), 42, &value));
    assert_int_equal(value, 42);
    static const char *const refused[] = {"", "+1", "-1", " 1", "1 ", "1a", "0x1", "1.0", "1_0"};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        assert_false(bytes_to_u64(bytes_from_text(refused[i]), UINT64_MAX, &value));
    assert_false(bytes_to_u64(BYTES_NONE, UINT64_MAX, &value));
    assert_int_equal(value, 42); // untouched
}

static void numbers_stop_exactly_at_the_maximum(void **state) {
    (void)state;
    uint64_t value;
    assert_true(bytes_to_u64(BYTES("18446744073709551615"), UINT64_MAX, &value));
    assert_true(value == UINT64_MAX);
    assert_false(bytes_to_u64(BYTES("18446744073709551616"), UINT64_MAX, &value));
    assert_false(bytes_to_u64(BYTES("18446744073709551620"), UINT64_MAX, &value));
    assert_false(bytes_to_u64(BYTES("99999999999999999999"), UINT64_MAX, &value));
    assert_false(bytes_to_u64(BYTES("184467440737095516150"), UINT64_MAX, &value));
    assert_true(bytes_to_u64(BYTES("9223372036854775807"), INT64_MAX, &value));
    assert_false(bytes_to_u64(BYTES("9223372036854775808"), INT64_MAX, &value));
    for (uint64_t max = 0; max < 130; max++) {
        for (uint64_t n = 0; n < 300; n++) {
            char text[8];
            size_t length = 0;
            if (n >= 100)
                text[length++] = (char)('0' + n / 100);
            if (n >= 10)
                text[length++] = (char)('0' + n / 10 % 10);
            text[length++] = (char)('0' + n % 10);
            assert_int_equal(bytes_to_u64(bytes_from(text, length), max, &value), n <= max);
            if (n <= max)
                assert_int_equal(value, n);
        }
    }
}

static void two_hexadecimal_digits_are_an_octet(void **state) {
    (void)state;
    assert_int_equal(bytes_octet_of_hex(BYTES("00")), 0);
    assert_int_equal(bytes_octet_of_hex(BYTES("fF")), 255);
    assert_int_equal(bytes_octet_of_hex(BYTES("1a7")), 0x1a);
    static const struct bytes others[] = {BYTES(""),   BYTES("1"),  BYTES("g0"), BYTES("0g"), BYTES("-1"), BYTES(" 1"),
                                          BYTES("0x"), BYTES("/0"), BYTES("0:"), BYTES("@0"), BYTES("0`")};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_int_equal(bytes_octet_of_hex(others[i]), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality_compares_length_and_bytes),
        cmocka_unit_test(two_hexadecimal_digits_are_an_octet),
        cmocka_unit_test(a_kept_copy_outlives_its_source_and_is_dropped_once),
        cmocka_unit_test(equality_without_case_folds_ascii_letters_only),
        cmocka_unit_test(starts_and_ends_are_compared_within_the_text),
        cmocka_unit_test(find_gives_the_first_position_or_the_length),
        cmocka_unit_test(trim_takes_spaces_and_tabs_only),
        cmocka_unit_test(list_elements_are_trimmed_and_empty_ones_skipped),
        cmocka_unit_test(last_list_element_needs_no_separator),
        cmocka_unit_test(numbers_are_digits_only),
        cmocka_unit_test(numbers_stop_exactly_at_the_maximum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
