// Keys that sign tokens, made by OpenSSL for a test, and tokens signed with them: what an issuer has.
#ifndef SUPPORT_TEST_JWT_H
#define SUPPORT_TEST_JWT_H

#include "certs/jwk_set.h"

#include <stddef.h>

#define TEST_JWK_SIZE 2048
#define TEST_TOKEN_SIZE 8192

struct evp_pkey_st;

// One that signs by that algorithm; RSA of 2048 bits. Freed with EVP_PKEY_free.
struct evp_pkey_st *test_signing_key(enum jwt_algorithm algorithm);

// Its public half as a JWK: {"kty":...,"kid":"`id`"`more`}. `id` NULL: it names none.
void test_jwk(struct evp_pkey_st *key, const char *id, const char *more, char text[TEST_JWK_SIZE]);

// A set of those that are not NULL.
void test_jwk_set(const char *first, const char *second, char text[2 * TEST_JWK_SIZE]);

// Header and payload as JSON, signed by `algorithm` whatever the header says.
void test_token(struct evp_pkey_st *key, enum jwt_algorithm algorithm, const char *header, const char *payload, char token[TEST_TOKEN_SIZE]);

// Behind `at`, with a NUL. Returns the length.
size_t test_base64url(const unsigned char *octets, size_t length, char *at);

#endif
