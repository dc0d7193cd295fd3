// Tokens: reading, judging, verifying, in that order, each by itself. See jwt.h.
#include "certs/jwt.h"

#include "base/base64.h"
#include "base/check.h"
#include "base/pool.h"
#include "certs/json.h"

#include <jansson.h>
#include <math.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdlib.h>

// Claims of objects in lists in objects are rare.
#define DEPTH_MAX 16

// Signatures that are tried for a token without `kid`: so many keys of one type publish those who name none.
#define TRIES_MAX 4

// In seconds: further off than any date, and exact in a double.
#define TIME_MAX 1e15

const char *jwt_fault_text(enum jwt_fault fault) {
    static const char *const texts[] = {
        [JWT_GOOD] = "good",
        [JWT_MALFORMED] = "malformed",
        [JWT_ALGORITHM_NOT_TAKEN] = "algorithm not taken",
        [JWT_CRITICAL] = "needs an extension",
        [JWT_ISSUER_WRONG] = "wrong issuer",
        [JWT_AUDIENCE_WRONG] = "wrong audience",
        [JWT_WITHOUT_EXPIRY] = "never expires",
        [JWT_EXPIRED] = "expired",
        [JWT_NOT_YET_VALID] = "not yet valid",
        [JWT_KEY_UNKNOWN] = "unknown key",
        [JWT_SIGNATURE_WRONG] = "wrong signature",
    };
    return texts[fault];
}

// ---- reading

static struct json_t *read_part(struct bytes part) {
    unsigned char *octets = try_alloc(base64_room(part.len));
    size_t length;
    json_t *object = NULL;
    if (octets != NULL && base64url_decode(part, octets, &length)) {
        const void *text = octets;
        object = json_read_object(bytes_from(text, length), DEPTH_MAX);
    }
    free(octets);
    return object;
}

static bool split(struct bytes token, struct bytes parts[3]) {
    for (size_t i = 0; i < 2; i++) {
        const size_t dot = bytes_find(token, '.');
        if (dot == token.len)
            return false;
        parts[i] = bytes_from(token.at, dot);
        token = bytes_from(token.at + dot + 1, token.len - dot - 1);
    }
    parts[2] = token;
    return true;
}

// A NumericDate (RFC 7519 section 2), which may have a fraction. False: it is there, and none.
static bool read_time(const json_t *payload, const char *name, bool *is_there, double *seconds) {
    const json_t *value = json_object_get(payload, name);
    *is_there = value != NULL;
    if (!*is_there)
        return true;
    *seconds = json_number_value(value);
    return json_is_number(value) && *seconds > -TIME_MAX && *seconds < TIME_MAX;
}

static enum jwt_fault read_header(struct jwt *jwt) {
    jwt->key_id = json_member_text(jwt->header, "kid");
    if (jwt->key_id.at == NULL && json_object_get(jwt->header, "kid") != NULL)
        return JWT_MALFORMED;
    if (json_object_get(jwt->header, "crit") != NULL)
        return JWT_CRITICAL;
    return jwt_algorithm_find(json_member_text(jwt->header, "alg"), &jwt->algorithm) ? JWT_GOOD : JWT_ALGORITHM_NOT_TAKEN;
}

enum jwt_fault jwt_read(struct bytes token, struct jwt *jwt) {
    struct bytes parts[3];
    double expires = 0;
    *jwt = (struct jwt){.header = NULL};
    if (token.len > JWT_BYTES_MAX || !split(token, parts) || parts[2].len == 0)
        return JWT_MALFORMED;
    jwt->header = read_part(parts[0]);
    jwt->payload = jwt->header == NULL ? NULL : read_part(parts[1]);
    jwt->signature = try_alloc(base64_room(parts[2].len));
    if (jwt->payload == NULL || jwt->signature == NULL || !base64url_decode(parts[2], jwt->signature, &jwt->signature_length) ||
        !read_time(jwt->payload, "exp", &jwt->has_expiry, &expires))
        return JWT_MALFORMED;
    jwt->signed_part = bytes_from(token.at, parts[0].len + 1 + parts[1].len);
    jwt->issuer = json_member_text(jwt->payload, "iss");
    jwt->expires_s = (int64_t)floor(expires);
    return read_header(jwt);
}

void jwt_dispose(struct jwt *jwt) {
    json_decref(jwt->header);
    json_decref(jwt->payload);
    free(jwt->signature);
    *jwt = (struct jwt){.header = NULL};
}

// ---- judging

static bool is_wanted(const json_t *audience, const struct jwt_rules *rules) {
    for (uint32_t i = 0; i < rules->audience_count; i++)
        if (json_is_string(audience) && bytes_equal(bytes_from(json_string_value(audience), json_string_length(audience)), rules->audiences[i]))
            return true;
    return false;
}

// RFC 7519 section 4.1.3: one text, or a list of them.
static bool has_audience(const json_t *payload, const struct jwt_rules *rules) {
    const json_t *audience = json_object_get(payload, "aud");
    bool found = is_wanted(audience, rules);
    for (size_t i = 0; i < json_array_size(audience); i++)
        found |= is_wanted(json_array_get(audience, i), rules);
    return found;
}

enum jwt_fault jwt_judge(const struct jwt *jwt, const struct jwt_rules *rules, int64_t now_s) {
    static const char *const beginnings[] = {"nbf", "iat"};
    if ((rules->algorithms >> jwt->algorithm & 1) == 0)
        return JWT_ALGORITHM_NOT_TAKEN;
    if (!bytes_equal(jwt->issuer, rules->issuer))
        return JWT_ISSUER_WRONG;
    if (rules->audience_count > 0 && !has_audience(jwt->payload, rules))
        return JWT_AUDIENCE_WRONG;
    if (!jwt->has_expiry)
        return JWT_WITHOUT_EXPIRY;
    if (jwt->expires_s + (int64_t)rules->skew_s <= now_s)
        return JWT_EXPIRED;
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++) {
        bool is_there;
        double begins = 0;
        if (!read_time(jwt->payload, beginnings[i], &is_there, &begins))
            return JWT_MALFORMED;
        if (is_there && begins > (double)(now_s + (int64_t)rules->skew_s))
            return JWT_NOT_YET_VALID;
    }
    return JWT_GOOD;
}

// ---- verifying

static const EVP_MD *digest_of(enum jwt_algorithm algorithm) {
    switch (algorithm) {
    case JWT_RS256:
    case JWT_PS256:
    case JWT_ES256:
        return EVP_sha256();
    case JWT_RS384:
    case JWT_PS384:
    case JWT_ES384:
        return EVP_sha384();
    case JWT_RS512:
    case JWT_PS512:
    case JWT_ES512:
        return EVP_sha512();
    case JWT_EDDSA: // has its own
    case JWT_ALGORITHM_COUNT:
        break;
    }
    return NULL;
}

static bool is_pss(enum jwt_algorithm algorithm) {
    return algorithm >= JWT_PS256 && algorithm <= JWT_PS512;
}

static bool is_ecdsa(enum jwt_algorithm algorithm) {
    return algorithm >= JWT_ES256 && algorithm <= JWT_ES512;
}

// RFC 7518 section 3.4: r and s, each in the length of the field; OpenSSL takes a sequence in DER. NULL: it is not of that length.
static unsigned char *ecdsa_in_der(const struct jwt *jwt, size_t *length) {
    const size_t half = jwt->algorithm == JWT_ES256 ? 32 : jwt->algorithm == JWT_ES384 ? 48 : 66;
    if (jwt->signature_length != 2 * half)
        return NULL;
    unsigned char *der = NULL;
    ECDSA_SIG *signature = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(jwt->signature, (int)half, NULL), *s = BN_bin2bn(jwt->signature + half, (int)half, NULL);
    CHECK(signature != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(signature, r, s) == 1);
    const int written = i2d_ECDSA_SIG(signature, &der);
    CHECK(written > 0);
    ECDSA_SIG_free(signature);
    *length = (size_t)written;
    return der;
}

static bool verify_octets(const struct jwt *jwt, EVP_PKEY *key, const unsigned char *signature, size_t length) {
    EVP_MD_CTX *verifying = EVP_MD_CTX_new();
    EVP_PKEY_CTX *how = NULL; // of `verifying`
    const void *text = jwt->signed_part.at;
    CHECK(verifying != NULL);
    bool is_good = EVP_DigestVerifyInit(verifying, &how, digest_of(jwt->algorithm), NULL, key) == 1;
    if (is_pss(jwt->algorithm)) // RFC 7518 section 3.5
        is_good = is_good && EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) == 1 &&
                  EVP_PKEY_CTX_set_rsa_pss_saltlen(how, RSA_PSS_SALTLEN_DIGEST) == 1;
    is_good = is_good && EVP_DigestVerify(verifying, signature, length, text, jwt->signed_part.len) == 1;
    EVP_MD_CTX_free(verifying);
    ERR_clear_error(); // what comes after on this thread asks for its own errors
    return is_good;
}

static bool verify_by(const struct jwt *jwt, EVP_PKEY *key) {
    if (!is_ecdsa(jwt->algorithm))
        return verify_octets(jwt, key, jwt->signature, jwt->signature_length);
    size_t length;
    unsigned char *der = ecdsa_in_der(jwt, &length);
    const bool is_good = der != NULL && verify_octets(jwt, key, der, length);
    OPENSSL_free(der);
    return is_good;
}

enum jwt_fault jwt_verify(const struct jwt *jwt, const struct jwk_set *keys) {
    unsigned tries = 0;
    for (uint32_t i = 0; i < keys->count && tries < TRIES_MAX; i++) {
        const struct jwk *key = &keys->keys[i];
        const bool is_meant = jwt->key_id.at == NULL || (key->id.at != NULL && bytes_equal(key->id, jwt->key_id));
        if (!is_meant || (key->algorithms >> jwt->algorithm & 1) == 0)
            continue;
        tries++;
        if (verify_by(jwt, key->key))
            return JWT_GOOD;
    }
    return tries == 0 ? JWT_KEY_UNKNOWN : JWT_SIGNATURE_WRONG;
}
