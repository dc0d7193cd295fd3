// JSON as text for people: lines, tables, nesting, and nothing that a terminal would obey.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "admin/json_build.h"
#include "admin/text_view.h"

#include <jansson.h>

static void assert_view(const char *json, const char *expected) {
    struct block_source blocks;
    struct buffer out;
    block_source_init(&blocks, 1);
    buffer_init(&out, &blocks);
    json_t *value = json_loads(json, JSON_ALLOW_NUL, NULL);
    assert_non_null(value);
    text_view_append(&out, value);
    json_decref(value);
    struct bytes text = buffer_front(&out);
    assert_int_equal(text.len, out.length);
    char *copy = strndup(text.at, text.len);
    assert_string_equal(copy, expected);
    free(copy);
    buffer_dispose(&out);
    block_source_dispose(&blocks);
}

static void object_is_lines_of_names_and_values(void **state) {
    (void)state;
    assert_view("{\"level\": \"info\", \"not_after\": 12, \"on_time\": true, \"late\": false, \"end\": null, \"share\": 0.5}",
                "level: info\nnot after: 12\non time: yes\nlate: no\nend: -\nshare: 0.5\n");
}

static void list_of_flat_objects_is_a_table(void **state) {
    (void)state;
    assert_view("[{\"address\": \"10.0.0.1:80\", \"active\": 3}, {\"address\": \"\u00e9\", \"active\": 1000000, \"more\": \"x\"}]",
                "address       active  more\n"
                "10.0.0.1:80        3  -\n"
                "\u00e9            1000000  x\n");
}

static void a_list_in_a_row_is_one_cell(void **state) {
    (void)state;
    assert_view("[{\"name\": \"a\", \"values\": [\"x = 1\", 2]}, {\"name\": \"b\", \"values\": []}, {\"name\": \"c\"}]",
                "name  values\na     x = 1, 2\nb     \nc     -\n");
}

static void nested_values_are_indented(void **state) {
    (void)state;
    assert_view("[{\"service\": \"a\", \"endpoints\": [{\"to\": \"b\", \"n\": 1}], \"lines\": [\"one\", \"two\"]}, {\"service\": \"c\", "
                "\"endpoints\": [], \"x\": {}}]",
                "service: a\nendpoints:\n  to  n\n  b   1\nlines:\n  one\n  two\n"
                "\n"
                "service: c\nendpoints: none\nx: none\n");
}

static void control_characters_do_not_reach_a_terminal(void **state) {
    (void)state;
    assert_view("{\"error\": \"a\\u001b[2Jb\\nc\\u007f\\u009bd\\u0000\"}", "error: a?[2Jb?c??d?\n");
}

static void empty_list_is_nothing(void **state) {
    (void)state;
    assert_view("{\"a\": [], \"b\": 1}", "a: none\nb: 1\n");
}

static void durations_read_as_in_the_policy_language(void **state) {
    (void)state;
    static const struct {
        nanoseconds duration;
        const char *text;
    } cases[] = {{0, "0s"}, {250 * NS_PER_MS, "250ms"}, {NS_PER_S, "1s"}, {5400 * NS_PER_S, "1h30m"}, {3661 * NS_PER_S + NS_PER_MS, "1h1m1s1ms"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        json_t *value = json_duration(cases[i].duration);
        assert_string_equal(json_string_value(value), cases[i].text);
        json_decref(value);
    }
}

static void texts_that_are_not_utf8_are_shown_all_the_same(void **state) {
    (void)state;
    json_t *value = json_text(BYTES("file \xff.yaml"));
    assert_string_equal(json_string_value(value), "file ?.yaml");
    json_decref(value);
}

static void wall_time_is_utc_and_none_is_null(void **state) {
    (void)state;
    json_t *value = json_wall_time(UINT64_C(1767225599) * NS_PER_S);
    assert_string_equal(json_string_value(value), "2025-12-31T23:59:59Z");
    json_decref(value);
    value = json_wall_time(0);
    assert_true(json_is_null(value));
    json_decref(value);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(object_is_lines_of_names_and_values),
        cmocka_unit_test(list_of_flat_objects_is_a_table),
        cmocka_unit_test(a_list_in_a_row_is_one_cell),
        cmocka_unit_test(nested_values_are_indented),
        cmocka_unit_test(control_characters_do_not_reach_a_terminal),
        cmocka_unit_test(empty_list_is_nothing),
        cmocka_unit_test(durations_read_as_in_the_policy_language),
        cmocka_unit_test(texts_that_are_not_utf8_are_shown_all_the_same),
        cmocka_unit_test(wall_time_is_utc_and_none_is_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
