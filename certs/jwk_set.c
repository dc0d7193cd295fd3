// JWK Sets to keys of OpenSSL: members as RFC 7518 section 6 and RFC 8037 have them, and what each key is for. See jwk_set.h.
#include "certs/jwk_set.h"

#include "base/base64.h"
#include "base/check.h"
#include "base/pool.h"
#include "certs/json.h"

#include <jansson.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdlib.h>

// keys, a key, key_ops: and some for what others put in.
#define DEPTH_MAX 8

// Of 8192 bits.
#define NUMBER_BYTES_MAX 1024
#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192

#define KEY_ID_BYTES_MAX 1024

#define BIT(algorithm) (UINT32_C(1) << (algorithm))
#define RSA_ALGORITHMS (BIT(JWT_RS256) | BIT(JWT_RS384) | BIT(JWT_RS512) | BIT(JWT_PS256) | BIT(JWT_PS384) | BIT(JWT_PS512))

enum key_reading { KEY_GOOD, KEY_OF_NO_USE, KEY_MALFORMED };

bool jwt_algorithm_find(struct bytes name, enum jwt_algorithm *algorithm) {
    static const char *const names[] = {
        [JWT_RS256] = "RS256", [JWT_RS384] = "RS384", [JWT_RS512] = "RS512", [JWT_PS256] = "PS256", [JWT_PS384] = "PS384",
        [JWT_PS512] = "PS512", [JWT_ES256] = "ES256", [JWT_ES384] = "ES384", [JWT_ES512] = "ES512", [JWT_EDDSA] = "EdDSA"};
    for (unsigned i = 0; i < JWT_ALGORITHM_COUNT; i++) {
        *algorithm = i;
        if (bytes_equal(name, bytes_from_text(names[i])))
            return true;
    }
    return false;
}

// ---- members of a key

struct octets {
    unsigned char at[NUMBER_BYTES_MAX + 2];
    size_t length;
};

static bool read_octets(const json_t *key, const char *name, struct octets *octets) {
    const struct bytes text = json_member_text(key, name);
    return text.len > 0 && base64_room(text.len) <= sizeof octets->at && base64url_decode(text, octets->at, &octets->length);
}

static EVP_PKEY *key_from(const char *type, OSSL_PARAM *parameters) {
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *making = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    CHECK(making != NULL);
    if (EVP_PKEY_fromdata_init(making) != 1 || EVP_PKEY_fromdata(making, &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(making);
    return key;
}

static EVP_PKEY *make_rsa(const struct octets *n, const struct octets *e) {
    OSSL_PARAM_BLD *building = OSSL_PARAM_BLD_new();
    BIGNUM *modulus = BN_bin2bn(n->at, (int)n->length, NULL), *exponent = BN_bin2bn(e->at, (int)e->length, NULL);
    CHECK(building != NULL && modulus != NULL && exponent != NULL);
    EVP_PKEY *key = NULL;
    if (BN_is_odd(modulus) && BN_is_odd(exponent) && !BN_is_one(exponent) && BN_num_bits(exponent) <= 64 &&
        OSSL_PARAM_BLD_push_BN(building, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
        OSSL_PARAM_BLD_push_BN(building, OSSL_PKEY_PARAM_RSA_E, exponent) == 1) {
        OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(building);
        CHECK(parameters != NULL);
        key = key_from("RSA", parameters);
        OSSL_PARAM_free(parameters);
    }
    BN_free(modulus);
    BN_free(exponent);
    OSSL_PARAM_BLD_free(building);
    return key;
}

static enum key_reading read_rsa(const json_t *from, struct jwk *to) {
    struct octets n, e;
    if (!read_octets(from, "n", &n) || !read_octets(from, "e", &e))
        return json_member_text(from, "n").len > NUMBER_BYTES_MAX / 3 * 4 ? KEY_OF_NO_USE : KEY_MALFORMED;
    if (n.length * 8 < RSA_BITS_MIN)
        return KEY_OF_NO_USE;
    to->algorithms = RSA_ALGORITHMS;
    to->key = make_rsa(&n, &e);
    if (to->key == NULL)
        return KEY_MALFORMED;
    const int bits = EVP_PKEY_get_bits(to->key);
    return bits < RSA_BITS_MIN || bits > RSA_BITS_MAX ? KEY_OF_NO_USE : KEY_GOOD;
}

// RFC 7518 section 6.2.1: coordinates have the full length of their field. That the point is on its curve OpenSSL sees to.
static enum key_reading read_ec(const json_t *from, struct jwk *to) {
    static const struct curve {
        const char *name, *group;
        size_t length;
        enum jwt_algorithm algorithm;
    } curves[] = {{"P-256", "prime256v1", 32, JWT_ES256}, {"P-384", "secp384r1", 48, JWT_ES384}, {"P-521", "secp521r1", 66, JWT_ES512}};
    const struct curve *curve = NULL;
    for (size_t i = 0; i < sizeof curves / sizeof curves[0]; i++)
        if (bytes_equal(json_member_text(from, "crv"), bytes_from_text(curves[i].name)))
            curve = &curves[i];
    if (curve == NULL)
        return KEY_OF_NO_USE;
    struct octets x, y;
    if (!read_octets(from, "x", &x) || !read_octets(from, "y", &y) || x.length != curve->length || y.length != curve->length)
        return KEY_MALFORMED;
    unsigned char point[1 + 2 * 66] = {4}; // uncompressed (SEC 1 section 2.3.3)
    memcpy(point + 1, x.at, x.length);
    memcpy(point + 1 + x.length, y.at, y.length);
    OSSL_PARAM_BLD *building = OSSL_PARAM_BLD_new();
    CHECK(building != NULL && OSSL_PARAM_BLD_push_utf8_string(building, OSSL_PKEY_PARAM_GROUP_NAME, curve->group, 0) == 1);
    CHECK(OSSL_PARAM_BLD_push_octet_string(building, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * curve->length) == 1);
    OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(building);
    CHECK(parameters != NULL);
    to->algorithms = BIT(curve->algorithm);
    to->key = key_from("EC", parameters);
    OSSL_PARAM_free(parameters);
    OSSL_PARAM_BLD_free(building);
    return to->key == NULL ? KEY_MALFORMED : KEY_GOOD;
}

static enum key_reading read_okp(const json_t *from, struct jwk *to) {
    struct octets x;
    if (!bytes_equal(json_member_text(from, "crv"), BYTES("Ed25519")))
        return KEY_OF_NO_USE;
    if (!read_octets(from, "x", &x) || x.length != 32)
        return KEY_MALFORMED;
    to->algorithms = BIT(JWT_EDDSA);
    to->key = EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, x.at, x.length);
    return to->key == NULL ? KEY_MALFORMED : KEY_GOOD;
}

// ---- what it is for (RFC 7517 section 4)

static bool is_for_signatures(const json_t *from) {
    const json_t *use = json_object_get(from, "use"), *operations = json_object_get(from, "key_ops");
    if (use != NULL && !bytes_equal(json_member_text(from, "use"), BYTES("sig")))
        return false;
    bool verifies = operations == NULL;
    for (size_t i = 0; i < json_array_size(operations); i++) {
        const json_t *operation = json_array_get(operations, i);
        verifies |= json_is_string(operation) && strcmp(json_string_value(operation), "verify") == 0;
    }
    return verifies;
}

// `alg` leaves that one alone.
static enum key_reading narrow(const json_t *from, struct jwk *to) {
    enum jwt_algorithm algorithm;
    if (json_object_get(from, "alg") == NULL)
        return KEY_GOOD;
    to->algorithms &= jwt_algorithm_find(json_member_text(from, "alg"), &algorithm) ? BIT(algorithm) : 0;
    return to->algorithms == 0 ? KEY_OF_NO_USE : KEY_GOOD;
}

static enum key_reading read_key(const json_t *from, struct jwk *to) {
    const struct bytes type = json_member_text(from, "kty"), id = json_member_text(from, "kid");
    if (type.len == 0 || (id.at == NULL && json_object_get(from, "kid") != NULL) || id.len > KEY_ID_BYTES_MAX)
        return KEY_MALFORMED;
    if (!is_for_signatures(from))
        return KEY_OF_NO_USE;
    enum key_reading reading = KEY_OF_NO_USE;
    if (bytes_equal(type, BYTES("RSA")))
        reading = read_rsa(from, to);
    else if (bytes_equal(type, BYTES("EC")))
        reading = read_ec(from, to);
    else if (bytes_equal(type, BYTES("OKP")))
        reading = read_okp(from, to);
    if (reading == KEY_GOOD)
        reading = narrow(from, to);
    if (reading == KEY_GOOD && id.at != NULL)
        to->id = bytes_keep(id);
    return reading;
}

static const char *read_keys(const json_t *document, struct jwk_set *set) {
    const json_t *keys = json_object_get(document, "keys");
    if (!json_is_array(keys))
        return "it has no list of keys";
    for (size_t i = 0; i < json_array_size(keys); i++) {
        struct jwk key = {.id = BYTES_NONE};
        const json_t *from = json_array_get(keys, i);
        const enum key_reading reading = json_is_object(from) ? read_key(from, &key) : KEY_MALFORMED;
        ERR_clear_error(); // what comes after on this thread asks for its own errors
        if (reading == KEY_GOOD && set->count < JWK_SET_KEYS_MAX) {
            set->keys[set->count++] = key;
            continue;
        }
        EVP_PKEY_free(key.key);
        bytes_drop(&key.id);
        if (reading == KEY_MALFORMED)
            return "a key of it is malformed";
        if (reading == KEY_GOOD)
            return "it has more keys than 64";
    }
    return NULL;
}

struct jwk_set *jwk_set_read(struct bytes text, const char **wrong) {
    *wrong = "it is longer than 256 KiB";
    if (text.len > JWK_SET_BYTES_MAX)
        return NULL;
    *wrong = "it is no object of JSON";
    json_t *document = json_read_object(text, DEPTH_MAX);
    if (document == NULL)
        return NULL;
    struct jwk_set *set = alloc_zeroed_or_abort(1, sizeof *set);
    atomic_init(&set->references, 1);
    *wrong = read_keys(document, set);
    json_decref(document);
    if (*wrong == NULL)
        return set;
    jwk_set_unref(set);
    return NULL;
}

struct jwk_set *jwk_set_ref(struct jwk_set *set) {
    const uint32_t before = atomic_fetch_add_explicit(&set->references, 1, memory_order_relaxed);
    CHECK(before > 0);
    return set;
}

void jwk_set_unref(struct jwk_set *set) {
    const uint32_t before = atomic_fetch_sub_explicit(&set->references, 1, memory_order_acq_rel);
    CHECK(before > 0);
    if (before > 1)
        return;
    for (uint32_t i = 0; i < set->count; i++) {
        EVP_PKEY_free(set->keys[i].key);
        bytes_drop(&set->keys[i].id);
    }
    free(set);
}
