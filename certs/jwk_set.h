// Public keys that tokens are signed with: a JWK Set (RFC 7517, 7518 section 6, 8037) as it was read. Pure: fetches nothing.
//
// Keys that are of no use here are left out: symmetric ones, other types and curves, those for encryption, RSA below 2048 or above 8192 bits. A document in which a key of use is
// malformed is refused as a whole: whoever publishes it has made a mistake, and what was read before is better.
//
// Immutable, counted over threads.
#ifndef CERTS_JWK_SET_H
#define CERTS_JWK_SET_H

#include "base/bytes.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct evp_pkey_st; // OpenSSL

// Those that publish most have some twenty.
#define JWK_SET_KEYS_MAX 64

// A key is some 2 KB with its certificate.
#define JWK_SET_BYTES_MAX (256 * 1024)

// Signatures of RFC 7518 section 3 and RFC 8037 with which who verifies cannot sign: no HMAC, and not "none".
enum jwt_algorithm {
    JWT_RS256,
    JWT_RS384,
    JWT_RS512,
    JWT_PS256,
    JWT_PS384,
    JWT_PS512,
    JWT_ES256,
    JWT_ES384,
    JWT_ES512,
    JWT_EDDSA, // Ed25519
    JWT_ALGORITHM_COUNT
};

// By its name ("RS256"), which is exact. False: it is none of these.
bool jwt_algorithm_find(struct bytes name, enum jwt_algorithm *algorithm);

struct jwk {
    struct bytes id;     // `kid`; at NULL: none. Owned
    uint32_t algorithms; // a bit for each that it may be used with
    struct evp_pkey_st *key;
};

struct jwk_set {
    _Atomic uint32_t references;
    uint32_t count;
    struct jwk keys[JWK_SET_KEYS_MAX];
};

// One reference; NULL: `*wrong` says why.
struct jwk_set *jwk_set_read(struct bytes text, const char **wrong);

struct jwk_set *jwk_set_ref(struct jwk_set *set);
void jwk_set_unref(struct jwk_set *set); // any thread

#endif
