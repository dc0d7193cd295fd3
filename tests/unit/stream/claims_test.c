// What a token says, flat: every kind of value, nesting, what is left out, and the bound.
#include "stream/claims.h"

#include "base/pool.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct claims *claims_of(const char *text) {
    json_t *payload = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(payload);
    struct claims *claims = claims_create(payload);
    json_decref(payload);
    return claims;
}

static void assert_values(const struct claims *claims, const char *name, const char *const *values) {
    const struct claim *claim = NULL;
    while ((claim = claims_find(claims, bytes_from_text(name), claim)) != NULL) {
        assert_non_null(*values);
        assert_true(bytes_equal(claim->value, bytes_from_text(*values++)));
    }
    assert_null(*values);
}

#define VALUES(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NO_VALUES ((const char *const[]){NULL})

static void each_kind_of_value_is_a_text(void **state) {
    (void)state;
    struct claims *claims =
        claims_of("{\"sub\":\"ann\",\"level\":-7,\"rate\":1.5,\"staff\":true,\"gone\":false,\"none\":null,\"empty\":\"\",\"list\":[]}");
    assert_values(claims, "sub", VALUES("ann"));
    assert_values(claims, "level", VALUES("-7"));
    assert_values(claims, "rate", VALUES("1.5"));
    assert_values(claims, "staff", VALUES("true"));
    assert_values(claims, "gone", VALUES("false"));
    assert_values(claims, "empty", VALUES(""));
    assert_values(claims, "none", NO_VALUES);
    assert_values(claims, "list", NO_VALUES);
    assert_values(claims, "su", NO_VALUES);
    claims_unref(claims_ref(claims));
    claims_unref(claims);
}

static void members_are_found_by_their_path_and_in_lists_one_by_one(void **state) {
    (void)state;
    struct claims *claims =
        claims_of("{\"realm_access\":{\"roles\":[\"a\",\"b\",[\"c\"]]},\"https://id.example/tier\":\"gold\",\"teams\":[{\"id\":1},{\"id\":2}]}");
    assert_values(claims, "realm_access.roles", VALUES("a", "b", "c"));
    assert_values(claims, "https://id.example/tier", VALUES("gold"));
    assert_values(claims, "teams.id", VALUES("1", "2"));
    assert_values(claims, "realm_access", NO_VALUES);
    assert_true(claims_have(claims, BYTES("realm_access.roles"), BYTES("b")));
    assert_false(claims_have(claims, BYTES("realm_access.roles"), BYTES("B")));
    claims_unref(claims);
}

static void scope_is_its_words(void **state) {
    (void)state;
    struct claims *claims = claims_of("{\"scope\":\"read  write\",\"scp\":\"x y\",\"name\":\"Ann Lee\",\"in\":{\"scope\":\"p q\"}}");
    assert_values(claims, "scope", VALUES("read", "write"));
    assert_values(claims, "scp", VALUES("x", "y"));
    assert_values(claims, "name", VALUES("Ann Lee"));
    assert_values(claims, "in.scope", VALUES("p q"));
    claims_unref(claims);
}

static void without_a_token_nothing_is_said(void **state) {
    (void)state;
    assert_null(claims_find(NULL, BYTES("sub"), NULL));
    assert_false(claims_have(NULL, BYTES("sub"), BYTES("")));
}

// "{"x": {"xxx...": "v"}}" with a path of `length` bytes.
static struct claims *claims_with_path(size_t length) {
    char key[CLAIM_NAME_MAX + 1], text[CLAIM_NAME_MAX + 64];
    memset(key, 'x', sizeof key);
    snprintf(text, sizeof text, "{\"x\":{\"%.*s\":\"v\"}}", (int)(length - 2), key);
    return claims_of(text);
}

static void what_cannot_be_named_is_left_out(void **state) {
    (void)state;
    struct claims *claims = claims_with_path(CLAIM_NAME_MAX);
    assert_int_equal(claims->count, 1);
    assert_int_equal(claims->all[0].name.len, CLAIM_NAME_MAX);
    claims_unref(claims);
    claims = claims_with_path(CLAIM_NAME_MAX + 1);
    assert_int_equal(claims->count, 0);
    claims_unref(claims);
    claims = claims_of("{\"\":{\"role\":\"admin\"},\"a\":{\"\":{\"b\":1},\"c\":2}}"); // a member without a name would lend its own to what it is in
    assert_int_equal(claims->count, 1);
    assert_values(claims, "a.c", VALUES("2"));
    claims_unref(claims);
}

// 1,000 members below a name of 100 bytes repeat it 1,000 times.
static void too_much_is_refused_and_so_is_what_there_is_no_memory_for(void **state) {
    (void)state;
    json_t *payload = json_object(), *inner = json_object();
    for (unsigned i = 0; i < 1000; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%u", i);
        json_object_set_new(inner, name, json_integer(i));
    }
    json_object_set_new(payload, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", inner);
    assert_null(claims_create(payload));
    json_decref(payload);
    try_alloc_fail_after(1);
    assert_null(claims_of("{\"sub\":\"ann\"}"));
    try_alloc_fail_after(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_value_is_a_text),
        cmocka_unit_test(members_are_found_by_their_path_and_in_lists_one_by_one),
        cmocka_unit_test(scope_is_its_words),
        cmocka_unit_test(without_a_token_nothing_is_said),
        cmocka_unit_test(what_cannot_be_named_is_left_out),
        cmocka_unit_test(too_much_is_refused_and_so_is_what_there_is_no_memory_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
