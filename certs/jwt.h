// A token: a JWT (RFC 7519) as a signed JWS in its compact form (RFC 7515 section 7.1), read, judged and verified as RFC 8725 asks. Pure: no I/O, no clock of its own.
//
// The order is that of the cost: what it says (jwt_read), whether that is good here and now (jwt_judge), whether it was signed by a key of the issuer (jwt_verify). Nothing of it is to be
// believed before all three have said JWT_GOOD. No other algorithms than those of enum jwt_algorithm, each with a key of its own type alone; never a key that the token names itself.
#ifndef CERTS_JWT_H
#define CERTS_JWT_H

#include "base/bytes.h"
#include "certs/jwk_set.h"

#include <stdbool.h>
#include <stdint.h>

struct json_t; // jansson

// Longer than what browsers and proxies let pass in a field.
#define JWT_BYTES_MAX (16 * 1024)

enum jwt_fault {
    JWT_GOOD,
    JWT_MALFORMED,           // it is no token in three parts, each in base64url, two of them JSON
    JWT_ALGORITHM_NOT_TAKEN, // `alg` is none of ours, or none that the provider takes
    JWT_CRITICAL,            // `crit`: it needs what we do not know (RFC 7515 section 4.1.11)
    JWT_ISSUER_WRONG,
    JWT_AUDIENCE_WRONG,
    JWT_WITHOUT_EXPIRY,
    JWT_EXPIRED,
    JWT_NOT_YET_VALID, // `nbf`, or `iat`, is still to come
    JWT_KEY_UNKNOWN,   // no key of the set has its id and is for its algorithm
    JWT_SIGNATURE_WRONG
};

// In few words.
const char *jwt_fault_text(enum jwt_fault fault);

struct jwt {
    struct json_t *header, *payload; // owned
    enum jwt_algorithm algorithm;
    struct bytes key_id; // `kid`; at NULL: none
    struct bytes issuer; // `iss`; at NULL: none
    int64_t expires_s;   // `exp`, in seconds since 1970; only with has_expiry
    bool has_expiry;
    struct bytes signed_part; // of the token
    unsigned char *signature; // owned
    size_t signature_length;
};

// JWT_GOOD, JWT_MALFORMED, JWT_ALGORITHM_NOT_TAKEN or JWT_CRITICAL. `token` must live as long as `jwt`. To be disposed of in any case.
enum jwt_fault jwt_read(struct bytes token, struct jwt *jwt);
void jwt_dispose(struct jwt *jwt);

// What is expected of it.
struct jwt_rules {
    uint32_t algorithms; // a bit for each
    struct bytes issuer;
    const struct bytes *audiences; // `aud` has one of them; none: it is not looked at
    uint32_t audience_count;
    uint32_t skew_s; // clocks may be apart by so much
};

enum jwt_fault jwt_judge(const struct jwt *jwt, const struct jwt_rules *rules, int64_t now_s);

// JWT_GOOD, JWT_KEY_UNKNOWN or JWT_SIGNATURE_WRONG.
enum jwt_fault jwt_verify(const struct jwt *jwt, const struct jwk_set *keys);

#endif
