// Keys, JWKs and tokens by OpenSSL's signing half, which the proxy does not use. See test_jwt.h.
#include "support/test_jwt.h"

#include "base/check.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <string.h>

size_t test_base64url(const unsigned char *octets, size_t length, char *at) {
    static const char signs[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t bits = 0;
    unsigned held = 0;
    size_t written = 0;
    for (size_t i = 0; i < length; i++) {
        bits = bits << 8 | octets[i];
        for (held += 8; held >= 6; held -= 6)
            at[written++] = signs[bits >> (held - 6) & 63];
    }
    if (held > 0)
        at[written++] = signs[bits << (6 - held) & 63];
    at[written] = '\0';
    return written;
}

static const char *curve_of(enum jwt_algorithm algorithm) {
    return algorithm == JWT_ES256 ? "P-256" : algorithm == JWT_ES384 ? "P-384" : "P-521";
}

struct evp_pkey_st *test_signing_key(enum jwt_algorithm algorithm) {
    EVP_PKEY *key = algorithm <= JWT_PS512   ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048)
                    : algorithm == JWT_EDDSA ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
                                             : EVP_PKEY_Q_keygen(NULL, NULL, "EC", curve_of(algorithm));
    CHECK(key != NULL);
    return key;
}

static void number(EVP_PKEY *key, const char *name, int width, char *text) {
    unsigned char octets[1024];
    BIGNUM *value = NULL;
    CHECK(EVP_PKEY_get_bn_param(key, name, &value) == 1);
    const int length = BN_bn2binpad(value, octets, width > 0 ? width : BN_num_bytes(value));
    CHECK(length > 0);
    test_base64url(octets, (size_t)length, text);
    BN_free(value);
}

static void members(EVP_PKEY *key, char *text, size_t size) {
    char first[512], second[512];
    if (EVP_PKEY_is_a(key, "RSA")) {
        number(key, OSSL_PKEY_PARAM_RSA_N, 0, first);
        number(key, OSSL_PKEY_PARAM_RSA_E, 0, second);
        snprintf(text, size, "\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"", first, second);
    } else if (EVP_PKEY_is_a(key, "EC")) {
        const int bits = EVP_PKEY_get_bits(key), width = (bits + 7) / 8;
        number(key, OSSL_PKEY_PARAM_EC_PUB_X, width, first);
        number(key, OSSL_PKEY_PARAM_EC_PUB_Y, width, second);
        snprintf(text, size, "\"kty\":\"EC\",\"crv\":\"P-%d\",\"x\":\"%s\",\"y\":\"%s\"", bits, first, second);
    } else {
        unsigned char octets[32];
        size_t length = sizeof octets;
        CHECK(EVP_PKEY_get_raw_public_key(key, octets, &length) == 1);
        test_base64url(octets, length, first);
        snprintf(text, size, "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"", first);
    }
}

void test_jwk(struct evp_pkey_st *key, const char *id, const char *more, char text[TEST_JWK_SIZE]) {
    char of_key[1200];
    members(key, of_key, sizeof of_key);
    snprintf(text, TEST_JWK_SIZE, "{%s%s%s%s%s}", of_key, id == NULL ? "" : ",\"kid\":\"", id == NULL ? "" : id, id == NULL ? "" : "\"", more);
}

void test_jwk_set(const char *first, const char *second, char text[2 * TEST_JWK_SIZE]) {
    snprintf(text, 2 * TEST_JWK_SIZE, "{\"keys\":[%s%s%s]}", first == NULL ? "" : first, first == NULL || second == NULL ? "" : ",",
             second == NULL ? "" : second);
}

static const EVP_MD *digest_of(enum jwt_algorithm algorithm) {
    const EVP_MD *digests[] = {EVP_sha256(), EVP_sha384(), EVP_sha512()};
    return algorithm == JWT_EDDSA ? NULL : digests[algorithm % 3];
}

// What OpenSSL makes is a sequence in DER; a token has r and s.
static size_t raw_of(unsigned char *signature, size_t length, size_t half) {
    const unsigned char *at = signature;
    ECDSA_SIG *sequence = d2i_ECDSA_SIG(NULL, &at, (long)length);
    CHECK(sequence != NULL);
    CHECK(BN_bn2binpad(ECDSA_SIG_get0_r(sequence), signature, (int)half) > 0);
    CHECK(BN_bn2binpad(ECDSA_SIG_get0_s(sequence), signature + half, (int)half) > 0);
    ECDSA_SIG_free(sequence);
    return 2 * half;
}

void test_token(struct evp_pkey_st *key, enum jwt_algorithm algorithm, const char *header, const char *payload, char token[TEST_TOKEN_SIZE]) {
    unsigned char signature[1024];
    size_t length = sizeof signature;
    const void *octets = header;
    size_t end = test_base64url(octets, strlen(header), token);
    token[end++] = '.';
    octets = payload;
    end += test_base64url(octets, strlen(payload), token + end);
    EVP_MD_CTX *signing = EVP_MD_CTX_new();
    EVP_PKEY_CTX *how;
    octets = token;
    CHECK(EVP_DigestSignInit(signing, &how, digest_of(algorithm), NULL, key) == 1);
    if (algorithm >= JWT_PS256 && algorithm <= JWT_PS512) {
        CHECK(EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) == 1);
        CHECK(EVP_PKEY_CTX_set_rsa_pss_saltlen(how, RSA_PSS_SALTLEN_DIGEST) == 1);
    }
    CHECK(EVP_DigestSign(signing, signature, &length, octets, end) == 1);
    EVP_MD_CTX_free(signing);
    if (algorithm >= JWT_ES256 && algorithm <= JWT_ES512)
        length = raw_of(signature, length, algorithm == JWT_ES256 ? 32 : algorithm == JWT_ES384 ? 48 : 66);
    token[end++] = '.';
    test_base64url(signature, length, token + end);
}
