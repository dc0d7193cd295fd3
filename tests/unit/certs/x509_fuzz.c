// Any bytes as a certificate in DER form, and as a PEM text: what passes as an SVID has exactly one URI, found again by OpenSSL's own decoder, and that is a
// SPIFFE ID with a path.
#include "certs/x509.h"

#include "base/check.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static void check_accepted_leaf(X509 *leaf, const struct spiffe_id *id) {
    unsigned uris = 0;
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    CHECK(names != NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        int type;
        const ASN1_STRING *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
        if (type != GEN_URI)
            continue;
        uris++;
        struct bytes uri = {(const char *)ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value)};
        CHECK(bytes_equal(uri, id->text));
    }
    CHECK(uris == 1 && id->path.len > 1 && memchr(id->text.at, '\0', id->text.len) == NULL);
    CHECK(X509_check_ca(leaf) == 0 && (X509_get_key_usage(leaf) & (KU_KEY_CERT_SIGN | KU_CRL_SIGN)) == 0);
    GENERAL_NAMES_free(names);
}

static void try_certificate(const uint8_t *input, size_t size) {
    const unsigned char *at = input;
    X509 *certificate = d2i_X509(NULL, &at, (long)size);
    if (certificate == NULL)
        return;
    struct spiffe_id id;
    char serial[CERTIFICATE_SERIAL_SIZE], subject[64];
    if (svid_check_leaf(certificate, &id) == SVID_FAULT_NONE)
        check_accepted_leaf(certificate, &id);
    if (svid_check_authority(certificate, size % 2 == 0, &id) == SVID_FAULT_NONE)
        CHECK(id.path.len == 0 && X509_check_ca(certificate) > 0);
    certificate_serial(certificate, serial);
    certificate_subject(certificate, subject, sizeof(subject));
    for (const char *each = subject; *each != '\0'; each++)
        CHECK((unsigned char)*each >= ' ');
    (void)certificate_not_before(certificate);
    (void)certificate_not_after(certificate);
    X509_free(certificate);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    char reason[128];
    struct bytes text = {(const char *)input, size};
    STACK_OF(X509) *certificates;
    EVP_PKEY *key;
    try_certificate(input, size);
    if (certificates_parse(text, CERTIFICATE_CHAIN_MAX, &certificates, reason, sizeof(reason)) == OK) {
        CHECK(sk_X509_num(certificates) >= 1 && sk_X509_num(certificates) <= CERTIFICATE_CHAIN_MAX);
        sk_X509_pop_free(certificates, X509_free);
    }
    if (private_key_parse(text, &key, reason, sizeof(reason)) == OK)
        EVP_PKEY_free(key);
    ERR_clear_error();
    return 0;
}
