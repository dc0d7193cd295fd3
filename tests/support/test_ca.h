// A certificate authority for tests: roots, intermediates and SVIDs, each with any single rule broken. Everything is made on the spot; a failure
// inside aborts, since it says nothing about the code under test.
#ifndef SUPPORT_TEST_CA_H
#define SUPPORT_TEST_CA_H

#include "base/bytes.h"

#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

enum test_key { TEST_KEY_P256, TEST_KEY_P384, TEST_KEY_ED25519, TEST_KEY_RSA2048, TEST_KEY_RSA1024 };

// What a certificate shall say. Start from one of the functions below and change what the test is about.
struct test_template {
    const char *common_name; // NULL: empty subject
    struct bytes uris[2];    // URI SANs; length 0: none
    const char *other_names; // further SANs in OpenSSL's form ("DNS:a.example,email:x@y"); NULL: none
    bool names_critical;
    const char *basic_constraints; // OpenSSL's form; NULL: no such extension
    const char *key_usage;
    const char *extended_key_usage;
    const char *name_constraints;
    const char *repeated_key_usage; // a second extension of the same kind
    int64_t not_before_s;           // from now on
    int64_t not_after_s;
    enum test_key key;
};

struct test_identity {
    X509 *certificate;
    EVP_PKEY *key;
};

// `id` as in "spiffe://school.local": a root or intermediate of that trust domain; NULL: without an ID.
struct test_template test_template_authority(const char *common_name, const char *id);
// A leaf by all rules, valid for an hour.
struct test_template test_template_svid(const char *id);

// Signed by `issuer`, by itself where NULL.
struct test_identity test_issue(const struct test_template *template, const struct test_identity *issuer);
void test_identity_free(struct test_identity *identity);

// The usual shapes.
struct test_identity test_root(const char *id);
struct test_identity test_intermediate(const char *id, const struct test_identity *issuer);
struct test_identity test_svid(const char *id, const struct test_identity *issuer);

// PEM of the certificates given, one behind the other; the last argument is NULL. Freed with free().
char *test_certificates_pem(const struct test_identity *first, ...) __attribute__((sentinel));
char *test_key_pem(const struct test_identity *identity);
char *test_key_pem_encrypted(const struct test_identity *identity, const char *passphrase);

int64_t test_now_s(void); // wall time

#endif
