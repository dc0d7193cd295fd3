// The tables themselves: what the decoder and everything made from them rely on.
#include "config/decode.h"
#include "config/merge.h"
#include "config/nearest.h"
#include "config/resources.h"
#include "config/worker_count.h"
#include "config/yaml_look.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static bool is_number(enum value_type type) {
    return type == VALUE_INTEGER || type == VALUE_DURATION || type == VALUE_QUANTITY;
}

// Calls `judge` for each row of a table and of those below it. `size`: of the struct that offsets count from.
static void walk(const struct table *table, uint32_t size, void (*judge)(const struct row *row, uint32_t size)) {
    assert_true(table->describes != NULL && table->describes[0] != '\0');
    for (const struct row *row = table->rows; row->name != NULL; row++) {
        judge(row, size);
        if (row->type == VALUE_OBJECT)
            walk(row->object, size, judge);
        else if (row->type == VALUE_LIST && row->item == VALUE_OBJECT)
            walk(row->object, row->object->size, judge);
    }
}

static void walk_all(void (*judge)(const struct row *row, uint32_t size)) {
    for (const struct kind *kind = config_kinds; kind->name != NULL; kind++)
        walk(kind->spec, kind->spec->size, judge);
}

static void is_described(const struct row *row, uint32_t size) {
    (void)size;
    if (row->describes == NULL || row->describes[0] == '\0' || strchr(row->describes, '\n') != NULL)
        fail_msg("%s has no one line of description", row->name);
    for (const struct choice *choice = row->choices; choice != NULL && choice->name != NULL; choice++)
        if (!choice->is_later && (choice->describes == NULL || choice->describes[0] == '\0'))
            fail_msg("%s: %s is not described", row->name, choice->name);
}

static void lies_in_its_struct(const struct row *row, uint32_t size) {
    if (row->type == VALUE_OBJECT || row->type == VALUE_TEXT_MAP || row->type == VALUE_FLAGS)
        return;
    assert_true(row->width > 0);
    assert_true(row->offset + row->width <= size);
    if (row->type == VALUE_INTEGER || row->type == VALUE_QUANTITY)
        assert_true(row->width == 2 || row->width == 4 || row->width == 8);
    if (row->type == VALUE_ENUM)
        assert_int_equal(row->width, 4);
    if (row->type == VALUE_NUMBERS)
        assert_true(row->width % 8 == 0 && row->max >= row->min && row->max - row->min < 8 * row->width);
    if (row->type == VALUE_DURATION)
        assert_int_equal(row->width, 8);
    if (row->type == VALUE_ADDRESS)
        assert_true(row->width == sizeof(struct socket_address) || row->width == sizeof(struct endpoint_place));
    if (row->type == VALUE_LIST)
        assert_true(row->count_offset + sizeof(uint32_t) <= size && row->max > 0);
}

static void fits_its_width(const struct row *row, uint32_t size) {
    (void)size;
    if (!is_number(row->type))
        return;
    if (row->max <= row->min)
        fail_msg("%s has no bounds", row->name);
    if (row->width < 8)
        assert_true(row->max < UINT64_C(1) << (8 * row->width));
}

static void has_a_default_or_none_is_needed(const struct row *row, uint32_t size) {
    (void)size;
    bool may_be_left_out = !row->is_required && is_number(row->type);
    static const char *const without[] = {
        "port",     "request", "backendRequest",
        "attempts", "burst",   "maxConcurrent"}; // as TrafficPolicy says, which has defaults; as another field; or that is in its place
    for (size_t i = 0; row->fallback == NULL && i < sizeof(without) / sizeof(without[0]); i++)
        may_be_left_out = may_be_left_out && strcmp(row->name, without[i]) != 0;
    if (may_be_left_out && row->fallback == NULL)
        fail_msg("%s has no default", row->name);
    if (row->is_required)
        assert_null(row->fallback);
}

static void has_unique_names(const struct row *row, uint32_t size) {
    (void)size;
    const struct table *table = row->object;
    for (const struct row *a = table != NULL ? table->rows : NULL; a != NULL && a->name != NULL; a++) {
        for (const struct row *b = table->rows; b != a; b++)
            assert_string_not_equal(a->name, b->name);
        assert_false(table_has_later(table, bytes_from_text(a->name)));
    }
}

static void every_field_is_described(void **state) {
    (void)state;
    walk_all(is_described);
}

static void every_field_lies_in_its_struct(void **state) {
    (void)state;
    walk_all(lies_in_its_struct);
    walk_all(fits_its_width);
}

static void every_number_has_a_default(void **state) {
    (void)state;
    walk_all(has_a_default_or_none_is_needed);
}

static void names_stand_once(void **state) {
    (void)state;
    walk_all(has_unique_names);
}

// decode_defaults asserts that each default can be read; out of bounds it would fail too.
static void every_default_can_be_read(void **state) {
    (void)state;
    for (const struct kind *kind = config_kinds; kind->name != NULL; kind++) {
        void *spec = malloc(kind->spec->size);
        assert_non_null(spec);
        decode_defaults(kind->spec, spec);
        free(spec);
    }
}

static void no_field_is_called_as_yaml_calls_booleans(void **state) {
    (void)state;
    assert_string_equal(yaml_look(BYTES("on")), "a boolean");
    for (const struct kind *kind = config_kinds; kind->name != NULL; kind++)
        for (const struct row *row = kind->spec->rows; row->name != NULL; row++)
            assert_null(yaml_look(bytes_from_text(row->name)));
}

static void what_is_marked_as_a_group_is_merged(void **state) {
    (void)state;
    for (const struct row *row = traffic_policy_table.rows; row->name != NULL; row++)
        assert_int_equal(row->is_group, traffic_has_group(bytes_from_text(row->name)));
}

static const char *nearest_of(const char *wrong, const char *const *names) {
    struct nearest nearest;
    nearest_init(&nearest, bytes_from_text(wrong));
    for (; *names != NULL; names++)
        nearest_try(&nearest, *names);
    return nearest.name;
}

static void a_slip_of_the_pen_is_recognised(void **state) {
    (void)state;
    static const char *const names[] = {"name", "role", "address", "forwardTo", "mtls", "appProtocol", "unknownHosts", NULL};
    assert_string_equal(nearest_of("nmae", names), "name");
    assert_string_equal(nearest_of("Role", names), "role");
    assert_string_equal(nearest_of("adress", names), "address");
    assert_string_equal(nearest_of("addresses", names), "address");
    assert_string_equal(nearest_of("forwardto", names), "forwardTo");
    assert_string_equal(nearest_of("tls", names), "mtls");
    assert_string_equal(nearest_of("appProtocoll", names), "appProtocol");
    assert_null(nearest_of("banana", names));
    assert_null(nearest_of("", names));
    assert_null(nearest_of("x", names));
    assert_null(nearest_of("a name that is much longer than any that the language has", names));
}

static void words_look_as_yaml_1_1_sees_them(void **state) {
    (void)state;
    static const char *const booleans[] = {"y", "No", "on", "OFF", "true", "False"};
    static const char *const numbers[] = {"0",    "12",  "-1", "+1",  "0x1F",     "0b11", "017",  "1_000",
                                          "1:30", "1.5", ".5", "1e3", "6.02e+23", ".inf", ".NaN", "190:20:30.15"};
    static const char *const texts[] = {
        "",   "a",     "10.0.0.1",   "1h30m",        "64Ki", "not",     "one",          "v1", "-",  ".",  "127.0.0.1:80",
        "0x", "1.2.3", "10.0.0.0/8", "spiffe://a/b", "1-2",  "2026-11", "2026-11-28-1", "e3", "1e", "1e+"};
    for (size_t i = 0; i < sizeof(booleans) / sizeof(booleans[0]); i++)
        assert_string_equal(yaml_look(bytes_from_text(booleans[i])), "a boolean");
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        const char *look = yaml_look(bytes_from_text(numbers[i]));
        if (look == NULL || strcmp(look, "a number") != 0)
            fail_msg("%s looks like no number", numbers[i]);
    }
    assert_string_equal(yaml_look(BYTES("2026-11-28")), "a date");
    assert_string_equal(yaml_look(BYTES("2026-11-28T10:00:00Z")), "a date");
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (yaml_look(bytes_from_text(texts[i])) != NULL)
            fail_msg("%s looks like %s", texts[i], yaml_look(bytes_from_text(texts[i])));
}

static void workers_follow_the_quota(void **state) {
    (void)state;
    assert_int_equal(worker_count_of_quota("max 100000\n"), UINT32_MAX);
    assert_int_equal(worker_count_of_quota("50000 100000\n"), 1);
    assert_int_equal(worker_count_of_quota("100000 100000"), 1);
    assert_int_equal(worker_count_of_quota("150000 100000"), 2);
    assert_int_equal(worker_count_of_quota("0 100000"), UINT32_MAX);
    assert_int_equal(worker_count_of_quota(""), UINT32_MAX);
    assert_int_equal(worker_count_of_quota("x y"), UINT32_MAX);
    assert_in_range(worker_count_by_cpu(), 1, 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_is_described),
        cmocka_unit_test(every_field_lies_in_its_struct),
        cmocka_unit_test(every_number_has_a_default),
        cmocka_unit_test(names_stand_once),
        cmocka_unit_test(every_default_can_be_read),
        cmocka_unit_test(no_field_is_called_as_yaml_calls_booleans),
        cmocka_unit_test(what_is_marked_as_a_group_is_merged),
        cmocka_unit_test(a_slip_of_the_pen_is_recognised),
        cmocka_unit_test(words_look_as_yaml_1_1_sees_them),
        cmocka_unit_test(workers_follow_the_quota),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
