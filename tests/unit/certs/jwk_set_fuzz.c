// Sets of keys of anybody: what is taken has a key that OpenSSL knows, and the algorithms of its type alone.
#include "certs/jwk_set.h"

#include "base/check.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdint.h>

#define RSA_ALGORITHMS (UINT32_C(0x3f) << JWT_RS256)

static uint32_t algorithms_of(EVP_PKEY *key) {
    if (EVP_PKEY_is_a(key, "RSA"))
        return RSA_ALGORITHMS;
    if (EVP_PKEY_is_a(key, "ED25519"))
        return UINT32_C(1) << JWT_EDDSA;
    CHECK(EVP_PKEY_is_a(key, "EC"));
    const int bits = EVP_PKEY_get_bits(key);
    return UINT32_C(1) << (bits == 256 ? JWT_ES256 : bits == 384 ? JWT_ES384 : JWT_ES512);
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t size) {
    const void *text = octets;
    const char *wrong = NULL;
    struct jwk_set *keys = jwk_set_read(bytes_from(text, size), &wrong);
    CHECK((keys == NULL) == (wrong != NULL));
    CHECK(ERR_peek_error() == 0);
    if (keys == NULL)
        return 0;
    CHECK(keys->count <= JWK_SET_KEYS_MAX);
    for (uint32_t i = 0; i < keys->count; i++) {
        const struct jwk *key = &keys->keys[i];
        CHECK(key->algorithms != 0 && (key->algorithms & ~algorithms_of(key->key)) == 0);
        CHECK(!EVP_PKEY_is_a(key->key, "RSA") || EVP_PKEY_get_bits(key->key) >= 2048);
    }
    jwk_set_unref(keys);
    return 0;
}
