// Sets of keys: which keys are taken, which are passed over, and which documents are refused as a whole.
#include "certs/jwk_set.h"

#include "support/test_jwt.h"

#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BIT(algorithm) (UINT32_C(1) << (algorithm))

// How many keys a set of these has; -1: it is refused.
static int count_of(const char *first, const char *second) {
    char set[2 * TEST_JWK_SIZE];
    const char *wrong;
    test_jwk_set(first, second, set);
    struct jwk_set *keys = jwk_set_read(bytes_from_text(set), &wrong);
    if (keys == NULL) {
        assert_non_null(wrong);
        return -1;
    }
    const int count = (int)keys->count;
    jwk_set_unref(keys);
    return count;
}

static char jwk[TEST_JWK_SIZE];

static const char *jwk_of(enum jwt_algorithm algorithm, const char *more) {
    EVP_PKEY *key = test_signing_key(algorithm);
    test_jwk(key, "k", more, jwk);
    EVP_PKEY_free(key);
    return jwk;
}

static void keys_for_signatures_are_taken_and_others_passed_over(void **state) {
    (void)state;
    static const struct {
        enum jwt_algorithm algorithm;
        const char *more;
        int count;
    } cases[] = {
        {JWT_RS256, "", 1},
        {JWT_ES384, ",\"use\":\"sig\",\"alg\":\"ES384\"", 1},
        {JWT_ES512, ",\"key_ops\":[\"sign\",\"verify\"]", 1},
        {JWT_EDDSA, ",\"x5t\":\"x\",\"other\":{\"a\":[1]}", 1},
        {JWT_RS256, ",\"use\":\"enc\"", 0},
        {JWT_RS256, ",\"use\":7", 0},
        {JWT_RS256, ",\"key_ops\":[\"encrypt\"]", 0},
        {JWT_RS256, ",\"key_ops\":[]", 0},
        {JWT_RS256, ",\"alg\":\"RSA-OAEP\"", 0},
        {JWT_RS256, ",\"alg\":\"HS256\"", 0},
        {JWT_ES256, ",\"alg\":\"RS256\"", 0},
        {JWT_ES256, ",\"alg\":\"ES384\"", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(count_of(jwk_of(cases[i].algorithm, cases[i].more), NULL), cases[i].count);
    assert_int_equal(count_of(NULL, NULL), 0); // all are revoked
    assert_int_equal(count_of("{\"kty\":\"oct\",\"k\":\"AAAA\"}", jwk_of(JWT_ES256, "")), 1);
    assert_int_equal(count_of("{\"kty\":\"PQC\"}", "{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"AA\",\"y\":\"AA\"}"), 0);
    assert_int_equal(count_of("{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AA\"}", NULL), 0);
}

static void an_algorithm_that_the_key_names_is_its_only_one(void **state) {
    (void)state;
    char set[2 * TEST_JWK_SIZE];
    const char *wrong;
    test_jwk_set(jwk_of(JWT_RS256, ",\"alg\":\"PS384\""), NULL, set);
    struct jwk_set *keys = jwk_set_read(bytes_from_text(set), &wrong);
    assert_non_null(keys);
    assert_int_equal(keys->keys[0].algorithms, BIT(JWT_PS384));
    jwk_set_unref(keys);
}

static void short_rsa_keys_are_passed_over(void **state) {
    (void)state;
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
    assert_non_null(key);
    test_jwk(key, "k", "", jwk);
    EVP_PKEY_free(key);
    assert_int_equal(count_of(jwk, NULL), 0);
}

static void a_key_that_is_malformed_refuses_all(void **state) {
    (void)state;
    static const char on_no_curve[] = "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\",\"y\":"
                                      "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\"}";
    static const char *const cases[] = {
        "{}",
        "7",
        "{\"kty\":7}",
        "{\"kty\":\"RSA\",\"e\":\"AQAB\"}",
        "{\"kty\":\"RSA\",\"n\":\"AQAB=\",\"e\":\"AQAB\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"AAAA\"}",
        on_no_curve,
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}",
        "{\"kty\":\"EC\",\"kid\":1}",
        "{\"kty\":\"oct\",\"kty\":\"RSA\"}",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(count_of(cases[i], NULL), -1);
        assert_int_equal(count_of(jwk_of(JWT_ES256, ""), cases[i]), -1);
    }
    static const char *const documents[] = {
        "", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[]", "{\"keys\":[],\"keys\":[]}", "{\"keys\":[[[[[[[[[]]]]]]]]]}"};
    for (size_t i = 0; i < sizeof documents / sizeof documents[0]; i++) {
        const char *wrong;
        assert_null(jwk_set_read(bytes_from_text(documents[i]), &wrong));
    }
}

static void there_are_bounds(void **state) {
    (void)state;
    const size_t size = JWK_SET_BYTES_MAX + 1;
    char *text = calloc(1, size + TEST_JWK_SIZE);
    const char *wrong;
    assert_non_null(text);
    memset(text, ' ', size);
    memcpy(text, "{\"keys\":[]}", 11);
    assert_null(jwk_set_read(bytes_from(text, size), &wrong));
    struct jwk_set *keys = jwk_set_read(bytes_from(text, size - 1), &wrong);
    assert_non_null(keys);
    jwk_set_unref(keys);
    jwk_of(JWT_EDDSA, "");
    size_t end = (size_t)sprintf(text, "{\"keys\":[%s", jwk);
    for (unsigned i = 1; i < JWK_SET_KEYS_MAX; i++)
        end += (size_t)sprintf(text + end, ",%s", jwk);
    memcpy(text + end, "]}", 3);
    keys = jwk_set_read(bytes_from_text(text), &wrong);
    assert_non_null(keys);
    assert_int_equal(keys->count, JWK_SET_KEYS_MAX);
    jwk_set_unref(keys);
    sprintf(text + end, ",%s]}", jwk);
    assert_null(jwk_set_read(bytes_from_text(text), &wrong));
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_for_signatures_are_taken_and_others_passed_over),
        cmocka_unit_test(an_algorithm_that_the_key_names_is_its_only_one),
        cmocka_unit_test(short_rsa_keys_are_passed_over),
        cmocka_unit_test(a_key_that_is_malformed_refuses_all),
        cmocka_unit_test(there_are_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
