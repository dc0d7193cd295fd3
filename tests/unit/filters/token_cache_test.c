// Tokens that are remembered: found again, by the same keys and in their time alone, and never more than there is room for.
#include "filters/token_cache.h"

#include "stream/claims.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct claims *claims_of(unsigned number) {
    json_t *payload = json_pack("{s:i}", "n", (int)number);
    struct claims *claims = claims_create(payload);
    assert_non_null(claims);
    json_decref(payload);
    return claims;
}

static void put(struct token_cache *cache, const char *token, uint64_t version, int64_t expires_s, unsigned number) {
    struct claims *claims = claims_of(number);
    token_cache_put(cache, bytes_from_text(token), version, expires_s, claims);
    claims_unref(claims);
}

// The number; -1: it is not known.
static int found(struct token_cache *cache, const char *token, uint64_t version, int64_t now_s) {
    struct claims *claims = token_cache_find(cache, bytes_from_text(token), version, now_s);
    if (claims == NULL)
        return -1;
    uint64_t number;
    assert_true(bytes_to_u64(claims_find(claims, BYTES("n"), NULL)->value, 1000000, &number));
    claims_unref(claims);
    return (int)number;
}

static void a_token_is_found_by_itself_alone(void **state) {
    (void)state;
    struct token_cache *cache = token_cache_create();
    put(cache, "a.b.c", 1, 100, 7);
    assert_int_equal(found(cache, "a.b.c", 1, 99), 7);
    assert_int_equal(found(cache, "a.b.d", 1, 99), -1);
    assert_int_equal(found(cache, "a.b.", 1, 99), -1);
    put(cache, "a.b.c", 1, 100, 8); // again
    assert_int_equal(found(cache, "a.b.c", 1, 99), 8);
    token_cache_destroy(cache);
}

static void it_goes_with_its_time_and_with_the_keys(void **state) {
    (void)state;
    struct token_cache *cache = token_cache_create();
    put(cache, "a", 1, 100, 7);
    assert_int_equal(found(cache, "a", 1, 100), -1);
    assert_int_equal(found(cache, "a", 1, 0), -1); // for good
    put(cache, "a", 1, 100, 7);
    assert_int_equal(found(cache, "a", 2, 0), -1);
    token_cache_destroy(cache);
}

// The one that is asked for again and again stays.
static void there_is_room_for_so_many(void **state) {
    (void)state;
    struct token_cache *cache = token_cache_create();
    char token[16];
    put(cache, "kept", 1, 100, 7);
    for (unsigned i = 0; i < 10000; i++) {
        snprintf(token, sizeof token, "t%u", i);
        put(cache, token, 1, 100, i);
        assert_int_equal(found(cache, token, 1, 0), (int)i);
        assert_int_equal(found(cache, "kept", 1, 0), 7);
    }
    unsigned known = 0;
    for (unsigned i = 0; i < 10000; i++) {
        snprintf(token, sizeof token, "t%u", i);
        known += found(cache, token, 1, 0) >= 0;
    }
    assert_true(known >= 1000 && known < 1024);
    token_cache_destroy(cache);
}

// Whoever uses what a token says has it to the end.
static void what_is_used_outlives_its_place(void **state) {
    (void)state;
    struct token_cache *cache = token_cache_create();
    put(cache, "a", 1, 100, 7);
    struct claims *claims = token_cache_find(cache, BYTES("a"), 1, 0);
    token_cache_destroy(cache);
    assert_true(bytes_equal(claims_find(claims, BYTES("n"), NULL)->value, BYTES("7")));
    claims_unref(claims);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_found_by_itself_alone),
        cmocka_unit_test(it_goes_with_its_time_and_with_the_keys),
        cmocka_unit_test(there_is_room_for_so_many),
        cmocka_unit_test(what_is_used_outlives_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
