// See test_ca.h. Certificates are put together by OpenSSL's own functions and read back from their DER form, so that tests see them as a peer would get them.
#include "support/test_ca.h"

#include "base/check.h"
#include "base/pool.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#define HOUR_S 3600

int64_t test_now_s(void) {
    return (int64_t)time(NULL);
}

struct test_template test_template_authority(const char *common_name, const char *id) {
    return (struct test_template){
        .common_name = common_name,
        .uris = {id == NULL ? BYTES_NONE : bytes_from_text(id)},
        .basic_constraints = "critical,CA:TRUE",
        .key_usage = "critical,keyCertSign,cRLSign",
        .not_before_s = -HOUR_S,
        .not_after_s = 24 * HOUR_S,
    };
}

struct test_template test_template_svid(const char *id) {
    return (struct test_template){
        .uris = {bytes_from_text(id)},
        .names_critical = true,
        .basic_constraints = "critical,CA:FALSE",
        .key_usage = "critical,digitalSignature",
        .extended_key_usage = "serverAuth,clientAuth",
        .not_before_s = -60,
        .not_after_s = HOUR_S,
    };
}

static EVP_PKEY *make_key(enum test_key kind) {
    EVP_PKEY *key = NULL;
    switch (kind) {
    case TEST_KEY_P256:
        key = EVP_EC_gen("P-256");
        break;
    case TEST_KEY_P384:
        key = EVP_EC_gen("P-384");
        break;
    case TEST_KEY_ED25519:
        key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
        break;
    case TEST_KEY_RSA2048:
        key = EVP_RSA_gen(2048);
        break;
    case TEST_KEY_RSA1024:
        key = EVP_RSA_gen(1024);
        break;
    }
    CHECK(key != NULL);
    return key;
}

static void add_name(GENERAL_NAMES *names, struct bytes uri) {
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();
    CHECK(ASN1_STRING_set(text, uri.at, (int)uri.len) == 1); // with NUL bytes, if there are any
    GENERAL_NAME_set0_value(name, GEN_URI, text);
    CHECK(sk_GENERAL_NAME_push(names, name) > 0);
}

static void add_alternative_names(X509 *certificate, const struct test_template *template, X509V3_CTX *place) {
    GENERAL_NAMES *names = NULL;
    if (template->other_names != NULL) {
        X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, place, NID_subject_alt_name, template->other_names);
        CHECK(extension != NULL);
        names = X509V3_EXT_d2i(extension);
        X509_EXTENSION_free(extension);
    } else {
        names = sk_GENERAL_NAME_new_null();
    }
    for (size_t i = 0; i < sizeof(template->uris) / sizeof(template->uris[0]); i++)
        if (template->uris[i].len > 0)
            add_name(names, template->uris[i]);
    if (sk_GENERAL_NAME_num(names) > 0)
        CHECK(X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, template->names_critical, X509V3_ADD_APPEND) == 1);
    GENERAL_NAMES_free(names);
}

static void add_extension(X509 *certificate, X509V3_CTX *place, int kind, const char *text) {
    if (text == NULL)
        return;
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, place, kind, text);
    CHECK(extension != NULL && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static void set_serial(X509 *certificate) {
    unsigned char bytes[16];
    CHECK(RAND_bytes(bytes, sizeof(bytes)) == 1);
    bytes[0] = (bytes[0] & 0x7f) | 0x40;
    BIGNUM *number = BN_bin2bn(bytes, sizeof(bytes), NULL);
    CHECK(BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL);
    BN_free(number);
}

struct test_identity test_issue(const struct test_template *template, const struct test_identity *issuer) {
    struct test_identity made = {.certificate = X509_new(), .key = make_key(template->key)};
    if (issuer == NULL)
        issuer = &made;
    CHECK(X509_set_version(made.certificate, X509_VERSION_3) == 1);
    set_serial(made.certificate);
    X509_NAME *subject = X509_NAME_new();
    if (template->common_name != NULL)
        CHECK(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)template->common_name, -1, -1, 0) == 1);
    CHECK(X509_set_subject_name(made.certificate, subject) == 1);
    X509_NAME_free(subject);
    CHECK(X509_set_issuer_name(made.certificate, X509_get_subject_name(issuer->certificate)) == 1);
    X509_gmtime_adj(X509_getm_notBefore(made.certificate), (long)template->not_before_s);
    X509_gmtime_adj(X509_getm_notAfter(made.certificate), (long)template->not_after_s);
    CHECK(X509_set_pubkey(made.certificate, made.key) == 1);

    X509V3_CTX place;
    X509V3_set_ctx(&place, issuer->certificate, made.certificate, NULL, NULL, 0);
    add_extension(made.certificate, &place, NID_basic_constraints, template->basic_constraints);
    add_extension(made.certificate, &place, NID_key_usage, template->key_usage);
    add_extension(made.certificate, &place, NID_key_usage, template->repeated_key_usage);
    add_extension(made.certificate, &place, NID_ext_key_usage, template->extended_key_usage);
    add_extension(made.certificate, &place, NID_name_constraints, template->name_constraints);
    add_extension(made.certificate, &place, NID_subject_key_identifier, "hash");
    add_extension(made.certificate, &place, NID_authority_key_identifier, "keyid:always");
    add_alternative_names(made.certificate, template, &place);
    const EVP_MD *digest = EVP_PKEY_get_base_id(issuer->key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256();
    CHECK(X509_sign(made.certificate, issuer->key, digest) > 0);
    // As a peer would get it: read anew from its bytes.
    unsigned char *der = NULL;
    int length = i2d_X509(made.certificate, &der);
    const unsigned char *at = der;
    X509_free(made.certificate);
    made.certificate = d2i_X509(NULL, &at, length);
    OPENSSL_free(der);
    CHECK(made.certificate != NULL);
    return made;
}

void test_identity_free(struct test_identity *identity) {
    X509_free(identity->certificate);
    EVP_PKEY_free(identity->key);
    *identity = (struct test_identity){.certificate = NULL};
}

struct test_identity test_root(const char *id) {
    struct test_template template = test_template_authority("test root", id);
    return test_issue(&template, NULL);
}

struct test_identity test_intermediate(const char *id, const struct test_identity *issuer) {
    struct test_template template = test_template_authority("test intermediate", id);
    return test_issue(&template, issuer);
}

struct test_identity test_svid(const char *id, const struct test_identity *issuer) {
    struct test_template template = test_template_svid(id);
    return test_issue(&template, issuer);
}

static char *text_of(BIO *writer) {
    char *at;
    long length = BIO_get_mem_data(writer, &at);
    char *text = copy_text_or_abort(bytes_from(at, (size_t)length));
    BIO_free(writer);
    return text;
}

char *test_certificates_pem(const struct test_identity *first, ...) {
    BIO *writer = BIO_new(BIO_s_mem());
    va_list rest;
    va_start(rest, first);
    for (const struct test_identity *each = first; each != NULL; each = va_arg(rest, const struct test_identity *))
        CHECK(PEM_write_bio_X509(writer, each->certificate) == 1);
    va_end(rest);
    return text_of(writer);
}

char *test_key_pem(const struct test_identity *identity) {
    BIO *writer = BIO_new(BIO_s_mem());
    CHECK(PEM_write_bio_PKCS8PrivateKey(writer, identity->key, NULL, NULL, 0, NULL, NULL) == 1);
    return text_of(writer);
}

char *test_key_pem_encrypted(const struct test_identity *identity, const char *passphrase) {
    BIO *writer = BIO_new(BIO_s_mem());
    CHECK(PEM_write_bio_PKCS8PrivateKey(writer, identity->key, EVP_aes_128_cbc(), passphrase, (int)strlen(passphrase), NULL, NULL) == 1);
    return text_of(writer);
}
