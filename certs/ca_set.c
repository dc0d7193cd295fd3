// The certificates stand in a plain stack, for the reasons that trust_bundle.c gives.
#include "certs/ca_set.h"

#include "base/check.h"
#include "base/pool.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

struct ca_set {
    STACK_OF(X509) *certificates;
};

struct ca_set *ca_set_create(void) {
    struct ca_set *set = alloc_zeroed_or_abort(1, sizeof *set);
    set->certificates = sk_X509_new_null();
    CHECK(set->certificates != NULL);
    return set;
}

void ca_set_destroy(struct ca_set *set) {
    if (set == NULL)
        return;
    sk_X509_pop_free(set->certificates, X509_free);
    free(set);
}

static bool has(const struct ca_set *set, const X509 *certificate) {
    for (int i = 0; i < sk_X509_num(set->certificates); i++)
        if (X509_cmp(sk_X509_value(set->certificates, i), certificate) == 0)
            return true;
    return false;
}

enum error ca_set_add(struct ca_set *set, struct bytes pem, char *reason, size_t reason_size) {
    STACK_OF(X509) *read;
    enum error error = certificates_parse(pem, CA_SET_CERTIFICATES_MAX, &read, reason, reason_size);
    if (error != OK)
        return error;
    for (int i = 0; i < sk_X509_num(read) && error == OK; i++) {
        X509 *certificate = sk_X509_value(read, i);
        if (has(set, certificate))
            continue;
        if (sk_X509_num(set->certificates) == CA_SET_CERTIFICATES_MAX) {
            snprintf(reason, reason_size, "too many certificates");
            error = ERROR_INVALID;
            continue;
        }
        certificate_warm(certificate);
        CHECK(X509_up_ref(certificate) == 1 && sk_X509_push(set->certificates, certificate) > 0);
    }
    sk_X509_pop_free(read, X509_free);
    return error;
}

void ca_set_digest(const struct ca_set *set, unsigned char digest[CERTIFICATE_DIGEST_SIZE]) {
    CHECK(sk_X509_num(set->certificates) > 0);
    CHECK(certificates_digest(sk_X509_value(set->certificates, 0), set->certificates, digest));
}

uint32_t ca_set_count(const struct ca_set *set) {
    return (uint32_t)sk_X509_num(set->certificates);
}

int64_t ca_set_first_end(const struct ca_set *set, char *subject, size_t subject_size) {
    CHECK(sk_X509_num(set->certificates) > 0);
    const X509 *first = sk_X509_value(set->certificates, 0);
    for (int i = 1; i < sk_X509_num(set->certificates); i++)
        if (certificate_not_after(sk_X509_value(set->certificates, i)) < certificate_not_after(first))
            first = sk_X509_value(set->certificates, i);
    certificate_subject(first, subject, subject_size);
    return certificate_not_after(first);
}

void ca_set_verify_path(const struct ca_set *set, X509_STORE_CTX *path, struct trust_verdict *verdict) {
    trust_validate_path(path, set->certificates, CA_SET_INTERMEDIATES_MAX, verdict);
    const STACK_OF(X509) *found = X509_STORE_CTX_get0_chain(path);
    for (int i = 0; verdict->outcome == TRUST_OK && i < sk_X509_num(found); i++)
        trust_verdict_narrow(verdict, sk_X509_value(found, i));
}

void ca_set_verify(const struct ca_set *set, X509 *leaf, STACK_OF(X509) *intermediates, int64_t wall_s, struct trust_verdict *verdict) {
    X509_STORE_CTX *path = trust_path_create(leaf, intermediates, TRUST_SERVER, wall_s);
    ca_set_verify_path(set, path, verdict);
    X509_STORE_CTX_free(path);
    ERR_clear_error();
}
