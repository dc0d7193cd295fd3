// The list of fields: known names, order, removal, and what Connection may take away.
#include "http/headers.h"

#include "support/one_pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static struct fields fields;

static int set_up(void **state) {
    pool_set_up(state);
    fields_init(&fields, &pool);
    return 0;
}

static void add(const char *name, const char *value) {
    fields_add(&fields, bytes_from_text(name), bytes_from_text(value));
}

// All that is there, as "name=value name=value"; and the count of bytes is right.
static void assert_fields(const char *expected) {
    char text[2048] = "";
    size_t length = 0;
    uint32_t bytes = 0;
    FIELDS_EACH(&fields, field) {
        length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%.*s=%.*s", length > 0 ? " " : "", BYTES_FORMAT(field->name),
                                   BYTES_FORMAT(field->value));
        bytes += (uint32_t)(field->name.len + field->value.len);
    }
    assert_string_equal(text, expected);
    assert_int_equal(fields.bytes, bytes);
}

static void change_case(char *to, struct bytes name, bool upper) {
    for (size_t i = 0; i < name.len; i++) {
        char c = ascii_lower(name.at[i]);
        to[i] = upper && c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
    }
}

static void every_known_name_is_found_in_any_case_and_no_near_one(void **state) {
    (void)state;
    for (enum field_id id = FIELD_ACCEPT; id < FIELD_COUNT; id++) {
        if (id == FIELD_OUTRIGGER_OTHER)
            continue;
        struct bytes name = field_name(id);
        assert_true(name.len > 0);
        char text[64];
        assert_int_equal(field_id_of(name), id);
        change_case(text, name, true);
        assert_int_equal(field_id_of(bytes_from(text, name.len)), id);
        change_case(text, name, false);
        assert_int_equal(field_id_of(bytes_from(text, name.len)), id);
        for (size_t i = 0; i < name.len; i++) {
            // Any other byte in any place, control characters that differ from a letter or hyphen by the bit of the case among them.
            for (int c = 0; c < 256; c++) {
                char kept = text[i];
                if (ascii_lower((char)c) == kept)
                    continue;
                text[i] = (char)c;
                assert_int_not_equal(field_id_of(bytes_from(text, name.len)), id);
                text[i] = kept;
            }
            assert_int_not_equal(field_id_of(bytes_from(text, i)), id);
        }
        text[name.len] = 'x';
        assert_int_not_equal(field_id_of(bytes_from(text, name.len + 1)), id);
    }
}

static void names_of_our_own_are_told_from_others(void **state) {
    (void)state;
    assert_int_equal(field_id_of(BYTES("Outrigger-Whatever")), FIELD_OUTRIGGER_OTHER);
    assert_int_equal(field_id_of(BYTES("outrigger-x")), FIELD_OUTRIGGER_OTHER);
    assert_int_equal(field_id_of(BYTES("outrigger-")), FIELD_OTHER);
    assert_int_equal(field_id_of(BYTES("outrigge-xx")), FIELD_OTHER);
    assert_int_equal(field_id_of(BYTES("")), FIELD_OTHER);
    assert_int_equal(field_id_of(BYTES_NONE), FIELD_OTHER);
    assert_int_equal(field_name(FIELD_OTHER).len, 0);
}

static void fields_are_found_in_order(void **state) {
    (void)state;
    add("Via", "1");
    add("A", "2");
    add("via", "3");
    add("B", "4");
    const struct field *first = fields_find(&fields, FIELD_VIA);
    assert_true(bytes_equal(first->value, BYTES("1")));
    const struct field *second = fields_find_next(&fields, first);
    assert_true(bytes_equal(second->value, BYTES("3")));
    assert_null(fields_find_next(&fields, second));
    assert_null(fields_find(&fields, FIELD_HOST));
    assert_true(bytes_equal(fields_find_name(&fields, BYTES("b"))->value, BYTES("4")));
    assert_null(fields_find_name(&fields, BYTES("c")));
    assert_fields("Via=1 A=2 via=3 B=4");
}

static void removed_fields_are_seen_no_more(void **state) {
    (void)state;
    add("Via", "1");
    add("A", "2");
    add("via", "3");
    add("a", "4");
    assert_int_equal(fields_remove(&fields, FIELD_VIA), 2);
    assert_int_equal(fields_remove(&fields, FIELD_VIA), 0);
    assert_null(fields_find(&fields, FIELD_VIA));
    assert_fields("A=2 a=4");
    assert_int_equal(fields_remove_name(&fields, BYTES("A")), 2);
    assert_int_equal(fields_remove_name(&fields, BYTES("A")), 0);
    assert_null(fields_find_name(&fields, BYTES("A")));
    assert_fields("");
}

static void setting_replaces_the_first_and_drops_the_others(void **state) {
    (void)state;
    fields_set_known(&fields, FIELD_X_REQUEST_ID, BYTES("1"));
    assert_fields("X-Request-Id=1");
    add("host", "aaaa");
    add("Host", "b");
    fields_set_known(&fields, FIELD_HOST, BYTES("c"));
    assert_fields("X-Request-Id=1 host=c");
    fields_set_known(&fields, FIELD_HOST, BYTES("longer than before"));
    assert_fields("X-Request-Id=1 host=longer than before");
}

static void list_grows_and_keeps_all(void **state) {
    (void)state;
    for (int i = 0; i < 200; i++)
        fields_add(&fields, pool_format(&pool, "n%d", i), pool_format(&pool, "%d", i));
    assert_int_equal(fields.count, 200);
    for (int i = 0; i < 200; i++) {
        char name[16];
        snprintf(name, sizeof(name), "N%d", i);
        assert_ptr_equal(fields_find_name(&fields, bytes_from_text(name)), &fields.items[i]);
    }
    fields_reserve(&fields, 1000);
    struct field *items = fields.items;
    for (int i = 0; i < 1000; i++)
        add("m", "");
    assert_ptr_equal(fields.items, items);
}

static void copy_changes_apart_and_leaves_out_what_was_removed(void **state) {
    (void)state;
    add("A", "1");
    add("B", "2");
    add("C", "3");
    fields_remove_name(&fields, BYTES("B"));
    struct fields copy;
    fields_copy(&copy, &fields, &pool);
    assert_int_equal(copy.count, 2);
    assert_int_equal(copy.bytes, fields.bytes);
    fields_remove_name(&copy, BYTES("A"));
    fields_add(&copy, BYTES("D"), BYTES("4"));
    assert_fields("A=1 C=3");
    struct fields empty;
    fields_init(&empty, &pool);
    fields_copy(&copy, &empty, &pool);
    assert_int_equal(copy.count, 0);
}

static void fields_of_one_connection_are_removed(void **state) {
    (void)state;
    add("Connection", "close, X-One");
    add("X-One", "1");
    add("connection", ",, x-two ,");
    add("X-Two", "2");
    add("Keep-Alive", "3");
    add("Proxy-Connection", "4");
    add("TE", "5");
    add("Transfer-Encoding", "6");
    add("Upgrade", "7");
    add("X-Three", "8");
    add("Trailer", "9");
    add("Proxy-Authorization", "10");
    assert_true(fields_remove_hop_by_hop(&fields));
    assert_fields("X-Three=8 Trailer=9 Proxy-Authorization=10");
    assert_true(fields_remove_hop_by_hop(&fields));
    assert_fields("X-Three=8 Trailer=9 Proxy-Authorization=10");
}

static void connection_does_not_remove_what_others_rest_on(void **state) {
    (void)state;
    static const char *const kept[] = {"Host",
                                       "Authorization",
                                       "Content-Length",
                                       "Cookie",
                                       "X-Forwarded-For",
                                       "X-Forwarded-Client-Cert",
                                       "Forwarded",
                                       "X-Forwarded-Foo",
                                       "X-Request-Id",
                                       "Sec-WebSocket-Key",
                                       "outrigger-protocol",
                                       "outrigger-foo",
                                       "outrigger-refused"};
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        fields_init(&fields, &pool);
        add("Connection", kept[i]);
        add(kept[i], "1");
        assert_true(fields_remove_hop_by_hop(&fields));
        assert_non_null(fields_find_name(&fields, bytes_from_text(kept[i])));
    }
}

static void connection_may_name_a_bounded_number_of_options(void **state) {
    (void)state;
    char list[4 * CONNECTION_OPTIONS_MAX + 8] = "";
    for (int i = 0; i < CONNECTION_OPTIONS_MAX; i++)
        memcpy(list + 2 * i, "a,", 3);
    add("Connection", list);
    assert_true(fields_remove_hop_by_hop(&fields));
    fields_init(&fields, &pool);
    add("Connection", list);
    add("Connection", "b");
    assert_false(fields_remove_hop_by_hop(&fields));
}

static void tokens_and_values_are_what_the_grammar_says(void **state) {
    (void)state;
    assert_true(is_token(BYTES("aZ09!#$%&'*+-.^_`|~")));
    assert_false(is_token(BYTES("")));
    for (int c = 0; c < 256; c++) {
        char text[3] = {'a', (char)c, 'b'};
        bool token = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
        assert_int_equal(is_token(bytes_from(text, 3)), token);
        assert_int_equal(is_field_value(bytes_from(text, 3)), c == '\t' || (c >= 0x20 && c != 0x7f));
    }
    assert_true(is_field_value(BYTES("")));
    assert_false(is_field_value(BYTES(" a")));
    assert_false(is_field_value(BYTES("a\t")));
    assert_false(is_field_value(BYTES(" ")));
}

// Both protocols ask here what may stand behind a body.
static void what_frames_routes_or_authorizes_does_not_trail(void **state) {
    (void)state;
    static const char *const barred[] = {
        "authorization",     "connection",   "content-length",      "content-type",     "cookie",     "expect", "host",
        "keep-alive",        "max-forwards", "proxy-authorization", "proxy-connection", "set-cookie", "te",     "trailer",
        "transfer-encoding", "upgrade"};
    unsigned count = 0;
    for (enum field_id id = FIELD_OTHER; id < FIELD_COUNT; id++)
        count += !field_may_trail(id);
    assert_int_equal(count, sizeof barred / sizeof barred[0]);
    for (unsigned i = 0; i < count; i++)
        assert_false(field_may_trail(field_id_of(bytes_from_text(barred[i]))));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_known_name_is_found_in_any_case_and_no_near_one, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(names_of_our_own_are_told_from_others, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(fields_are_found_in_order, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(removed_fields_are_seen_no_more, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(setting_replaces_the_first_and_drops_the_others, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(list_grows_and_keeps_all, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(copy_changes_apart_and_leaves_out_what_was_removed, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(fields_of_one_connection_are_removed, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(connection_does_not_remove_what_others_rest_on, set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(connection_may_name_a_bounded_number_of_options, set_up, pool_tear_down),
        cmocka_unit_test(what_frames_routes_or_authorizes_does_not_trail),
        cmocka_unit_test_setup_teardown(tokens_and_values_are_what_the_grammar_says, set_up, pool_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
