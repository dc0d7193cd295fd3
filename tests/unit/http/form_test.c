// Names and values of forms: what is decoded, what stands for itself, and what is not copied.
#include "http/form.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

static void escapes_and_plus_are_decoded(void **state) {
    (void)state;
    static const struct {
        struct bytes text, decoded;
    } cases[] = {
        {BYTES(""), BYTES("")},         {BYTES("a"), BYTES("a")},     {BYTES("a+b"), BYTES("a b")},
        {BYTES("%41%62"), BYTES("Ab")}, {BYTES("%2B"), BYTES("+")},   {BYTES("%c3%A9"), BYTES("\xc3\xa9")},
        {BYTES("%00"), BYTES("\0")},    {BYTES("%"), BYTES("%")},     {BYTES("%4"), BYTES("%4")},
        {BYTES("%4g+"), BYTES("%4g ")}, {BYTES("%%41"), BYTES("%A")}, {BYTES("100%+x"), BYTES("100% x")},
        {BYTES("%2541"), BYTES("%41")},
    };
    struct pool_source source;
    struct pool pool;
    pool_source_init(&source, 1);
    pool_init(&pool, &source);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (!bytes_equal(form_decode(cases[i].text, &pool), cases[i].decoded))
            fail_msg("%.*s is decoded otherwise", BYTES_FORMAT(cases[i].text));
    pool_dispose(&pool);
    pool_source_dispose(&source);
}

static void what_is_encoded_is_decoded_as_it_was(void **state) {
    (void)state;
    char all[256], text[800];
    struct pool_source source;
    struct pool pool;
    pool_source_init(&source, 1);
    pool_init(&pool, &source);
    for (unsigned i = 0; i < sizeof all; i++)
        all[i] = (char)i;
    const struct bytes encoded = bytes_from(text, (size_t)(form_encode(text, text + sizeof text, bytes_from(all, sizeof all)) - text));
    assert_int_equal(bytes_find(encoded, '&'), encoded.len);
    assert_int_equal(bytes_find(encoded, '='), encoded.len);
    assert_true(bytes_equal(form_decode(encoded, &pool), bytes_from(all, sizeof all)));
    pool_dispose(&pool);
    pool_source_dispose(&source);
}

static void what_has_no_room_is_left_out_by_whole_octets(void **state) {
    (void)state;
    char text[8] = "";
    assert_ptr_equal(form_encode(text, text + 3, BYTES("a b&c")), text + 3);
    assert_memory_equal(text, "a+b", 4);
    assert_ptr_equal(form_encode(text, text + 5, BYTES("a b&c")), text + 3);
    assert_ptr_equal(form_encode(text, text + 7, BYTES("a b&c")), text + 7);
    assert_memory_equal(text, "a+b%26c", 7);
}

static void plain_text_is_not_copied(void **state) {
    (void)state;
    struct bytes text = BYTES("plain-text_~");
    assert_ptr_equal(form_decode(text, NULL).at, text.at);
}

static const char *found(const struct form *form, const char *name, struct pool *pool) {
    struct bytes value;
    return form_find(form, bytes_from_text(name), &value) ? pool_format(pool, "%.*s", BYTES_FORMAT(value)).at : "(none)";
}

static void parameters_are_found_by_their_decoded_name(void **state) {
    (void)state;
    struct pool_source source;
    struct pool pool;
    struct form form;
    pool_source_init(&source, 1);
    pool_init(&pool, &source);
    form_parse(&form, BYTES("a=1&b=&c&a=2&%64+e=%66%3D+g&=none&&x=y=z"), &pool);
    assert_string_equal(found(&form, "a", &pool), "1"); // the first
    assert_string_equal(found(&form, "b", &pool), "");
    assert_string_equal(found(&form, "c", &pool), "");
    assert_string_equal(found(&form, "d e", &pool), "f= g");
    assert_string_equal(found(&form, "x", &pool), "y=z");
    assert_string_equal(found(&form, "", &pool), "none");
    assert_string_equal(found(&form, "A", &pool), "(none)");
    assert_string_equal(found(&form, "%64+e", &pool), "(none)");
    form_parse(&form, BYTES(""), &pool);
    assert_string_equal(found(&form, "", &pool), "(none)");
    pool_dispose(&pool);
    pool_source_dispose(&source);
}

static void many_parameters_are_kept_apart(void **state) {
    (void)state;
    struct pool_source source;
    struct pool pool;
    struct form form;
    char query[8192];
    size_t length = 0;
    pool_source_init(&source, 1);
    pool_init(&pool, &source);
    for (unsigned i = 0; i < 800; i++)
        length += (size_t)snprintf(query + length, sizeof(query) - length, "n%u=%u&", i, i);
    form_parse(&form, bytes_from(query, length), &pool);
    for (unsigned i = 0; i < 800; i++)
        assert_string_equal(found(&form, pool_format(&pool, "n%u", i).at, &pool), pool_format(&pool, "%u", i).at);
    assert_string_equal(found(&form, "n800", &pool), "(none)");
    pool_dispose(&pool);
    pool_source_dispose(&source);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_and_plus_are_decoded),
        cmocka_unit_test(what_is_encoded_is_decoded_as_it_was),
        cmocka_unit_test(what_has_no_room_is_left_out_by_whole_octets),
        cmocka_unit_test(plain_text_is_not_copied),
        cmocka_unit_test(parameters_are_found_by_their_decoded_name),
        cmocka_unit_test(many_parameters_are_kept_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
