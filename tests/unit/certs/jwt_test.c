// Tokens: every algorithm with keys that OpenSSL made, one token of RFC 7515, and all by which somebody who has no key would like to be believed.
#include "certs/jwt.h"

#include "base/rng.h"

#include "support/test_jwt.h"

#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW INT64_C(1800000000)
#define ALL ((UINT32_C(1) << JWT_ALGORITHM_COUNT) - 1)
#define PAYLOAD "{\"iss\":\"https://id.example\",\"aud\":\"api\",\"sub\":\"ann\",\"exp\":1800000300}"

static const char *const names[] = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"};

static struct jwk_set *keys_of(const char *text) {
    const char *wrong;
    struct jwk_set *keys = jwk_set_read(bytes_from_text(text), &wrong);
    if (keys == NULL)
        print_message("%s\n", wrong);
    assert_non_null(keys);
    return keys;
}

// One issuer with one key, "k".
struct issuer {
    enum jwt_algorithm algorithm;
    EVP_PKEY *key;
    struct jwk_set *keys;
};

static void issuer_init(struct issuer *issuer, enum jwt_algorithm algorithm) {
    char jwk[TEST_JWK_SIZE], set[2 * TEST_JWK_SIZE];
    issuer->algorithm = algorithm;
    issuer->key = test_signing_key(algorithm);
    test_jwk(issuer->key, "k", ",\"use\":\"sig\"", jwk);
    test_jwk_set(jwk, NULL, set);
    issuer->keys = keys_of(set);
}

static void issuer_dispose(struct issuer *issuer) {
    EVP_PKEY_free(issuer->key);
    jwk_set_unref(issuer->keys);
}

static struct jwt_rules rules_of(void) {
    static const struct bytes audiences[] = {{"web", 3}, {"api", 3}};
    return (struct jwt_rules){.algorithms = ALL, .issuer = BYTES("https://id.example"), .audiences = audiences, .audience_count = 2, .skew_s = 60};
}

static enum jwt_fault fault_of(struct bytes token, const struct jwk_set *keys, const struct jwt_rules *rules) {
    struct jwt jwt;
    enum jwt_fault fault = jwt_read(token, &jwt);
    if (fault == JWT_GOOD)
        fault = jwt_judge(&jwt, rules, NOW);
    if (fault == JWT_GOOD)
        fault = jwt_verify(&jwt, keys);
    jwt_dispose(&jwt);
    return fault;
}

static enum jwt_fault fault_of_text(const char *token, const struct jwk_set *keys) {
    const struct jwt_rules rules = rules_of();
    return fault_of(bytes_from_text(token), keys, &rules);
}

static enum jwt_fault fault_of_token(const struct issuer *issuer, const char *header, const char *payload) {
    char token[TEST_TOKEN_SIZE];
    test_token(issuer->key, issuer->algorithm, header, payload, token);
    return fault_of_text(token, issuer->keys);
}

static void token_of(const struct issuer *issuer, char token[TEST_TOKEN_SIZE]) {
    char header[64];
    snprintf(header, sizeof header, "{\"alg\":\"%s\",\"kid\":\"k\"}", names[issuer->algorithm]);
    test_token(issuer->key, issuer->algorithm, header, PAYLOAD, token);
}

// ---- what is good

static void each_algorithm_verifies_what_it_signed_and_nothing_else(void **state) {
    (void)state;
    for (unsigned i = 0; i < JWT_ALGORITHM_COUNT; i++) {
        struct issuer issuer, other;
        char token[TEST_TOKEN_SIZE];
        issuer_init(&issuer, i);
        issuer_init(&other, i);
        token_of(&issuer, token);
        assert_int_equal(fault_of_text(token, issuer.keys), JWT_GOOD);
        assert_int_equal(fault_of_text(token, other.keys), JWT_SIGNATURE_WRONG);
        issuer_dispose(&issuer);
        issuer_dispose(&other);
    }
}

// RFC 7515 appendix A.2: key and token.
static void what_others_have_made_verifies(void **state) {
    (void)state;
    struct jwk_set *keys = keys_of(
        "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-"
        "SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-"
        "UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5Z"
        "wKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\",\"e\":\"AQAB\"}]}");
    static const char token[] =
        "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--"
        "f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-"
        "eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6Lb"
        "gGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    struct jwt jwt;
    const struct jwt_rules rules = {.algorithms = ALL, .issuer = BYTES("joe")};
    assert_int_equal(jwt_read(bytes_from_text(token), &jwt), JWT_GOOD);
    assert_int_equal(jwt_judge(&jwt, &rules, 1300819000), JWT_GOOD);
    assert_int_equal(jwt_judge(&jwt, &rules, 1300819380), JWT_EXPIRED);
    assert_int_equal(jwt_verify(&jwt, keys), JWT_GOOD);
    jwt_dispose(&jwt);
    jwk_set_unref(keys);
}

static void without_an_id_the_keys_that_fit_are_tried(void **state) {
    (void)state;
    char first[TEST_JWK_SIZE], second[TEST_JWK_SIZE], set[2 * TEST_JWK_SIZE];
    struct issuer a, b;
    issuer_init(&a, JWT_ES256);
    issuer_init(&b, JWT_ES256);
    test_jwk(a.key, "a", "", first);
    test_jwk(b.key, NULL, "", second);
    test_jwk_set(first, second, set);
    jwk_set_unref(a.keys);
    a.keys = keys_of(set);
    jwk_set_unref(b.keys);
    b.keys = jwk_set_ref(a.keys);
    assert_int_equal(fault_of_token(&a, "{\"alg\":\"ES256\"}", PAYLOAD), JWT_GOOD);
    assert_int_equal(fault_of_token(&b, "{\"alg\":\"ES256\"}", PAYLOAD), JWT_GOOD);
    assert_int_equal(fault_of_token(&b, "{\"alg\":\"ES256\",\"kid\":\"a\"}", PAYLOAD), JWT_SIGNATURE_WRONG);
    assert_int_equal(fault_of_token(&b, "{\"alg\":\"ES256\",\"kid\":\"b\"}", PAYLOAD), JWT_KEY_UNKNOWN);
    assert_int_equal(fault_of_token(&a, "{\"alg\":\"ES256\",\"kid\":\"\"}", PAYLOAD), JWT_KEY_UNKNOWN);
    issuer_dispose(&a);
    issuer_dispose(&b);
}

// ---- what is not

static void a_token_is_judged_by_what_it_says(void **state) {
    (void)state;
    static const struct {
        const char *claims;
        enum jwt_fault fault;
    } cases[] = {
        {"\"iss\":\"https://id.example\",\"aud\":[\"x\",\"web\"],\"exp\":1800000300", JWT_GOOD},
        {"\"iss\":\"https://id.example\",\"aud\":\"api\",\"exp\":1800000300.5", JWT_GOOD},
        {"\"iss\":\"https://id.example\",\"aud\":\"api\",\"exp\":1799999941", JWT_GOOD}, // a minute of skew
        {"\"iss\":\"https://id.example\",\"aud\":\"api\",\"exp\":1799999940", JWT_EXPIRED},
        {"\"iss\":\"https://id.example\",\"aud\":\"api\",\"exp\":-1", JWT_EXPIRED},
        {"\"iss\":\"https://id.example\",\"aud\":\"api\"", JWT_WITHOUT_EXPIRY},
        {"\"iss\":\"https://id.example\",\"aud\":\"api\",\"exp\":\"1800000300\"", JWT_MALFORMED},
        {"\"iss\":\"https://id.example\",\"aud\":\"api\",\"exp\":1e300", JWT_MALFORMED},
        {"\"iss\":\"https://id.example\",\"aud\":\"api\",\"exp\":1e400", JWT_MALFORMED},
        {"\"iss\":\"https://id.example\",\"aud\":\"api\",\"exp\":null", JWT_MALFORMED},
        {"\"iss\":\"https://id.example\",\"aud\":\"api\",\"exp\":1800000300,\"nbf\":1800000060", JWT_GOOD},
        {"\"iss\":\"https://id.example\",\"aud\":\"api\",\"exp\":1800000300,\"nbf\":1800000061", JWT_NOT_YET_VALID},
        {"\"iss\":\"https://id.example\",\"aud\":\"api\",\"exp\":1800000300,\"iat\":1800000061", JWT_NOT_YET_VALID},
        {"\"iss\":\"https://id.example\",\"aud\":\"api\",\"exp\":1800000300,\"nbf\":true", JWT_MALFORMED},
        {"\"iss\":\"https://id.example/\",\"aud\":\"api\",\"exp\":1800000300", JWT_ISSUER_WRONG},
        {"\"iss\":\"HTTPS://id.example\",\"aud\":\"api\",\"exp\":1800000300", JWT_ISSUER_WRONG},
        {"\"iss\":[\"https://id.example\"],\"aud\":\"api\",\"exp\":1800000300", JWT_ISSUER_WRONG},
        {"\"aud\":\"api\",\"exp\":1800000300", JWT_ISSUER_WRONG},
        {"\"iss\":\"https://id.example\",\"exp\":1800000300", JWT_AUDIENCE_WRONG},
        {"\"iss\":\"https://id.example\",\"aud\":\"apis\",\"exp\":1800000300", JWT_AUDIENCE_WRONG},
        {"\"iss\":\"https://id.example\",\"aud\":[],\"exp\":1800000300", JWT_AUDIENCE_WRONG},
        {"\"iss\":\"https://id.example\",\"aud\":{\"api\":1},\"exp\":1800000300", JWT_AUDIENCE_WRONG},
        {"\"iss\":\"x\",\"iss\":\"https://id.example\",\"aud\":\"api\",\"exp\":1800000300", JWT_MALFORMED}, // twice
        {"\"iss\":\"https://id.example\",\"aud\":\"api\",\"exp\":1800000300,\"x\":\"\\u0000\"", JWT_MALFORMED},
        {"\"iss\":\"https://id.example\",\"aud\":\"api\",\"exp\":1800000300,\"x\":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]", JWT_MALFORMED}, // too deep
    };
    struct issuer issuer;
    issuer_init(&issuer, JWT_ES256);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char payload[512];
        snprintf(payload, sizeof payload, "{%s}", cases[i].claims);
        const enum jwt_fault fault = fault_of_token(&issuer, "{\"alg\":\"ES256\",\"kid\":\"k\"}", payload);
        if (fault != cases[i].fault)
            print_message("%s: %s\n", payload, jwt_fault_text(fault));
        assert_int_equal(fault, cases[i].fault);
    }
    issuer_dispose(&issuer);
}

static void headers_that_ask_for_something_else_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *header;
        enum jwt_fault fault;
    } cases[] = {
        {"{\"alg\":\"RS256\",\"kid\":\"k\",\"typ\":\"at+jwt\",\"jku\":\"http://evil.example\",\"jwk\":{}}",
         JWT_GOOD}, // what it names is not looked at
        {"{\"alg\":\"none\",\"kid\":\"k\"}", JWT_ALGORITHM_NOT_TAKEN},
        {"{\"alg\":\"None\"}", JWT_ALGORITHM_NOT_TAKEN},
        {"{\"alg\":\"\"}", JWT_ALGORITHM_NOT_TAKEN},
        {"{\"alg\":\"HS256\",\"kid\":\"k\"}", JWT_ALGORITHM_NOT_TAKEN},
        {"{\"alg\":\"rs256\",\"kid\":\"k\"}", JWT_ALGORITHM_NOT_TAKEN},
        {"{\"kid\":\"k\"}", JWT_ALGORITHM_NOT_TAKEN},
        {"{\"alg\":[\"RS256\"],\"kid\":\"k\"}", JWT_ALGORITHM_NOT_TAKEN},
        {"{\"alg\":\"RS256\",\"kid\":\"k\",\"crit\":[\"b64\"],\"b64\":false}", JWT_CRITICAL},
        {"{\"alg\":\"RS256\",\"kid\":\"k\",\"crit\":[]}", JWT_CRITICAL},
        {"{\"alg\":\"RS256\",\"kid\":7}", JWT_MALFORMED},
        {"{\"alg\":\"RS256\",\"alg\":\"none\",\"kid\":\"k\"}", JWT_MALFORMED},
        {"[\"RS256\"]", JWT_MALFORMED},
        {"{\"alg\":\"ES256\",\"kid\":\"k\"}", JWT_KEY_UNKNOWN}, // a key of another type
        {"{\"alg\":\"EdDSA\",\"kid\":\"k\"}", JWT_KEY_UNKNOWN},
        {"{\"alg\":\"PS256\",\"kid\":\"k\"}", JWT_SIGNATURE_WRONG}, // the same key, signed by RS256
        {"{\"alg\":\"RS512\",\"kid\":\"k\"}", JWT_SIGNATURE_WRONG},
    };
    struct issuer issuer;
    issuer_init(&issuer, JWT_RS256);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(fault_of_token(&issuer, cases[i].header, PAYLOAD), cases[i].fault);
    const struct jwt_rules narrow = {.algorithms = UINT32_C(1) << JWT_PS256, .issuer = BYTES("https://id.example")};
    char token[TEST_TOKEN_SIZE];
    token_of(&issuer, token);
    assert_int_equal(fault_of(bytes_from_text(token), issuer.keys, &narrow), JWT_ALGORITHM_NOT_TAKEN);
    issuer_dispose(&issuer);
}

// The public key as the secret of an HMAC: the header says HS256, which is nobody's algorithm here; and no key of type oct is ever taken.
static void no_secret_is_a_key(void **state) {
    (void)state;
    const char *wrong;
    struct jwk_set *keys = jwk_set_read(BYTES("{\"keys\":[{\"kty\":\"oct\",\"kid\":\"k\",\"k\":\"c2VjcmV0\",\"alg\":\"HS256\"}]}"), &wrong);
    assert_non_null(keys);
    assert_int_equal(keys->count, 0);
    jwk_set_unref(keys);
}

static void what_has_another_form_is_malformed(void **state) {
    (void)state;
    struct issuer issuer;
    char token[TEST_TOKEN_SIZE], changed[TEST_TOKEN_SIZE + 8];
    issuer_init(&issuer, JWT_EDDSA);
    token_of(&issuer, token);
    static const char *const forms[] = {"%s=", " %s", "%s ", "%s.", ".%s", "%s\n", "Bearer %s", "%s%%3D", ""};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        const char *place = strstr(forms[i], "%s");
        snprintf(changed, sizeof changed, "%.*s%s%s", place == NULL ? 0 : (int)(place - forms[i]), forms[i], place == NULL ? "" : token,
                 place == NULL ? "" : place + 2);
        assert_int_equal(fault_of_text(changed, issuer.keys), JWT_MALFORMED);
    }
    static const char *const texts[] = {".", "..", "...", "a.b.c", "e30.e30.e30", "e30.e30.", "{}.{}.x"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_true(fault_of_text(texts[i], issuer.keys) != JWT_GOOD);
    issuer_dispose(&issuer);
}

static void a_token_has_a_bound(void **state) {
    (void)state;
    struct jwt jwt;
    char *long_one = malloc(JWT_BYTES_MAX + 1);
    assert_non_null(long_one);
    memset(long_one, 'e', JWT_BYTES_MAX + 1);
    long_one[100] = long_one[200] = '.';
    assert_int_equal(jwt_read(bytes_from(long_one, JWT_BYTES_MAX + 1), &jwt), JWT_MALFORMED);
    jwt_dispose(&jwt);
    free(long_one);
}

// Every bit of it counts, and so does every byte of its length; of the signature too, whose last sign has bits that say nothing.
static void no_bit_may_be_another(void **state) {
    (void)state;
    static const enum jwt_algorithm algorithms[] = {JWT_ES256, JWT_EDDSA, JWT_ES512};
    struct rng rng;
    rng_init(&rng, 20260);
    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++) {
        struct issuer issuer;
        char token[TEST_TOKEN_SIZE];
        issuer_init(&issuer, algorithms[i]);
        token_of(&issuer, token);
        const size_t length = strlen(token);
        for (unsigned round = 0; round < 300; round++) {
            const size_t at = rng_below(&rng, (uint32_t)length);
            const char before = token[at];
            token[at] = (char)(before ^ (1 << rng_below(&rng, 7)));
            assert_true(fault_of_text(token, issuer.keys) != JWT_GOOD);
            token[at] = before;
            const struct jwt_rules rules = rules_of();
            assert_true(fault_of(bytes_from(token, at), issuer.keys, &rules) != JWT_GOOD);
        }
        assert_int_equal(fault_of_text(token, issuer.keys), JWT_GOOD);
        issuer_dispose(&issuer);
    }
}

// 0 as r and s (CVE-2022-21449), and signatures of other lengths.
static void an_empty_signature_is_none(void **state) {
    (void)state;
    struct issuer issuer;
    char token[TEST_TOKEN_SIZE];
    unsigned char zeros[132] = {0};
    issuer_init(&issuer, JWT_ES256);
    for (size_t length = 1; length <= sizeof zeros; length++) {
        token_of(&issuer, token);
        char *signature = strrchr(token, '.') + 1;
        test_base64url(zeros, length, signature);
        assert_int_equal(fault_of_text(token, issuer.keys), JWT_SIGNATURE_WRONG);
    }
    issuer_dispose(&issuer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_algorithm_verifies_what_it_signed_and_nothing_else),
        cmocka_unit_test(what_others_have_made_verifies),
        cmocka_unit_test(without_an_id_the_keys_that_fit_are_tried),
        cmocka_unit_test(a_token_is_judged_by_what_it_says),
        cmocka_unit_test(headers_that_ask_for_something_else_are_refused),
        cmocka_unit_test(no_secret_is_a_key),
        cmocka_unit_test(what_has_another_form_is_malformed),
        cmocka_unit_test(a_token_has_a_bound),
        cmocka_unit_test(no_bit_may_be_another),
        cmocka_unit_test(an_empty_signature_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
