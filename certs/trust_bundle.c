// Roots by trust domain, and the verification of an SVID against those of its own.
//
// OpenSSL validates the path over a plain stack of trusted roots rather than an X509_STORE: a store takes a lock and builds lists for every certificate that it
// looks up, in each handshake, and mixes the trust domains.
#include "certs/trust_bundle.h"

#include "base/check.h"
#include "base/pool.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

struct domain {
    char *text;        // in lower case
    struct bytes name; // all of `text`
    STACK_OF(X509) *roots;
};

struct trust_bundle {
    struct domain *domains;
    uint32_t domain_count;
    uint32_t root_count;
    unsigned char digest[CERTIFICATE_DIGEST_SIZE];
};

static const struct domain *find_domain(const struct trust_bundle *bundle, struct bytes name) {
    for (uint32_t i = 0; i < bundle->domain_count; i++)
        if (bytes_equal_nocase(bundle->domains[i].name, name))
            return &bundle->domains[i];
    return NULL;
}

static struct domain *find_or_add_domain(struct trust_bundle *bundle, struct bytes name) {
    for (uint32_t i = 0; i < bundle->domain_count; i++)
        if (bytes_equal_nocase(bundle->domains[i].name, name))
            return &bundle->domains[i];
    CHECK(bundle->domain_count < TRUST_BUNDLE_ROOTS_MAX);
    struct domain *domain = &bundle->domains[bundle->domain_count++];
    domain->text = copy_text_or_abort(name);
    for (size_t i = 0; i < name.len; i++)
        domain->text[i] = ascii_lower(domain->text[i]);
    domain->name = bytes_from(domain->text, name.len);
    domain->roots = sk_X509_new_null();
    CHECK(domain->roots != NULL);
    return domain;
}

static enum error add_root(struct trust_bundle *bundle, X509 *root, struct bytes own_trust_domain, char *reason, size_t reason_size) {
    struct spiffe_id id;
    enum svid_fault fault = svid_check_authority(root, true, &id);
    if (fault != SVID_FAULT_NONE) {
        char subject[128];
        certificate_subject(root, subject, sizeof(subject));
        snprintf(reason, reason_size, "the root \"%s\": %s", subject, svid_fault_text(fault));
        return ERROR_INVALID;
    }
    struct domain *domain = find_or_add_domain(bundle, id.text.len > 0 ? id.trust_domain : own_trust_domain);
    for (int i = 0; i < sk_X509_num(domain->roots); i++)
        if (X509_cmp(sk_X509_value(domain->roots, i), root) == 0)
            return OK;
    certificate_warm(root);
    CHECK(X509_up_ref(root) == 1 && sk_X509_push(domain->roots, root) > 0);
    bundle->root_count++;
    return OK;
}

static int compare_digests(const void *a, const void *b) {
    return memcmp(a, b, CERTIFICATE_DIGEST_SIZE);
}

// Of the sorted digests of (trust domain, root).
static void compute_digest(struct trust_bundle *bundle) {
    unsigned char(*each)[CERTIFICATE_DIGEST_SIZE] = alloc_zeroed_or_abort(bundle->root_count, CERTIFICATE_DIGEST_SIZE);
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    CHECK(hash != NULL);
    uint32_t count = 0;
    for (uint32_t i = 0; i < bundle->domain_count; i++) {
        const struct domain *domain = &bundle->domains[i];
        for (int j = 0; j < sk_X509_num(domain->roots); j++, count++) {
            CHECK(certificates_digest(sk_X509_value(domain->roots, j), NULL, each[count]));
            CHECK(EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1);
            CHECK(EVP_DigestUpdate(hash, domain->name.at, domain->name.len) == 1);
            CHECK(EVP_DigestUpdate(hash, each[count], CERTIFICATE_DIGEST_SIZE) == 1);
            CHECK(EVP_DigestFinal_ex(hash, each[count], NULL) == 1);
        }
    }
    CHECK(count == bundle->root_count);
    qsort(each, count, CERTIFICATE_DIGEST_SIZE, compare_digests);
    CHECK(EVP_Digest(each, (size_t)count * CERTIFICATE_DIGEST_SIZE, bundle->digest, NULL, EVP_sha256(), NULL) == 1);
    EVP_MD_CTX_free(hash);
    free(each);
}

enum error trust_bundle_create(struct bytes pem, struct bytes own_trust_domain, struct trust_bundle **bundle, char *reason, size_t reason_size) {
    STACK_OF(X509) *roots;
    enum error error = certificates_parse(pem, TRUST_BUNDLE_ROOTS_MAX, &roots, reason, reason_size);
    if (error != OK)
        return error;
    struct trust_bundle *made = alloc_zeroed_or_abort(1, sizeof(*made));
    made->domains = alloc_zeroed_or_abort(TRUST_BUNDLE_ROOTS_MAX, sizeof(*made->domains));
    for (int i = 0; error == OK && i < sk_X509_num(roots); i++)
        error = add_root(made, sk_X509_value(roots, i), own_trust_domain, reason, reason_size);
    sk_X509_pop_free(roots, X509_free);
    if (error != OK) {
        trust_bundle_destroy(made);
        return error;
    }
    compute_digest(made);
    *bundle = made;
    return OK;
}

void trust_bundle_destroy(struct trust_bundle *bundle) {
    if (bundle == NULL)
        return;
    for (uint32_t i = 0; i < bundle->domain_count; i++) {
        free(bundle->domains[i].text);
        sk_X509_pop_free(bundle->domains[i].roots, X509_free);
    }
    free(bundle->domains);
    free(bundle);
}

const unsigned char *trust_bundle_digest(const struct trust_bundle *bundle) {
    return bundle->digest;
}

uint32_t trust_bundle_root_count(const struct trust_bundle *bundle) {
    return bundle->root_count;
}

void trust_bundle_root(const struct trust_bundle *bundle, uint32_t index, struct trust_root *root) {
    CHECK(index < bundle->root_count);
    const struct domain *domain = bundle->domains;
    for (; index >= (uint32_t)sk_X509_num(domain->roots); domain++)
        index -= (uint32_t)sk_X509_num(domain->roots);
    const X509 *certificate = sk_X509_value(domain->roots, (int)index);
    root->trust_domain = domain->name;
    certificate_subject(certificate, root->subject, sizeof(root->subject));
    certificate_serial(certificate, root->serial);
    root->not_before = certificate_not_before(certificate);
    root->not_after = certificate_not_after(certificate);
}

static void refuse(struct trust_verdict *verdict, enum trust_outcome outcome, const char *text, int x509_error) {
    verdict->outcome = outcome;
    verdict->text = text;
    verdict->x509_error = x509_error;
}

static void refuse_path(struct trust_verdict *verdict, int x509_error) {
    switch (x509_error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        refuse(verdict, TRUST_EXPIRED, "a certificate has expired", x509_error);
        return;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        refuse(verdict, TRUST_EXPIRED, "a certificate is not yet valid", x509_error);
        return;
    default: // OpenSSL's texts are constant
        refuse(verdict, TRUST_UNTRUSTED, X509_verify_cert_error_string(x509_error), x509_error);
    }
}

void trust_validate_path(X509_STORE_CTX *path, STACK_OF(X509) *anchors, int intermediates_max, struct trust_verdict *verdict) {
    *verdict = (struct trust_verdict){.outcome = TRUST_OK, .text = "", .x509_error = X509_V_OK, .not_before = INT64_MIN, .not_after = INT64_MAX};
    if (sk_X509_num(X509_STORE_CTX_get0_untrusted(path)) > intermediates_max + 2) { // the leaf may stand among them, and the root
        refuse(verdict, TRUST_UNTRUSTED, "too many certificates", X509_V_ERR_CERT_CHAIN_TOO_LONG);
        return;
    }
    X509_STORE_CTX_set0_trusted_stack(path, anchors);
    // What the operator chose is trusted, though it may not be self-signed; the path is not followed beyond it.
    X509_STORE_CTX_set_flags(path, X509_V_FLAG_PARTIAL_CHAIN);
    X509_STORE_CTX_set_depth(path, intermediates_max);
    if (X509_verify_cert(path) != 1)
        refuse_path(verdict, X509_STORE_CTX_get_error(path));
}

void trust_verdict_narrow(struct trust_verdict *verdict, const X509 *certificate) {
    int64_t not_before = certificate_not_before(certificate);
    int64_t not_after = certificate_not_after(certificate);
    if (not_before > verdict->not_before)
        verdict->not_before = not_before;
    if (not_after < verdict->not_after)
        verdict->not_after = not_after;
}

// The rules for what signed the leaf, on the path that was found; its last certificate is one of our roots. Then how long the path holds.
static void check_path(const STACK_OF(X509) *path, struct trust_verdict *verdict) {
    int length = sk_X509_num(path);
    for (int i = 0; i < length; i++) {
        X509 *certificate = sk_X509_value(path, i);
        struct spiffe_id id;
        enum svid_fault fault = i == 0 ? SVID_FAULT_NONE : svid_check_authority(certificate, i == length - 1, &id);
        if (fault != SVID_FAULT_NONE) {
            refuse(verdict, TRUST_NOT_SVID, svid_fault_text(fault), X509_V_ERR_INVALID_CA);
            return;
        }
        trust_verdict_narrow(verdict, certificate);
    }
}

void trust_bundle_verify_path(const struct trust_bundle *bundle, X509_STORE_CTX *path, struct trust_verdict *verdict) {
    *verdict = (struct trust_verdict){.outcome = TRUST_OK, .text = "", .x509_error = X509_V_OK};
    X509 *leaf = X509_STORE_CTX_get0_cert(path);
    enum svid_fault fault = svid_check_leaf(leaf, &verdict->id);
    if (fault != SVID_FAULT_NONE) {
        verdict->id = (struct spiffe_id){.text = BYTES_NONE};
        refuse(verdict, TRUST_NOT_SVID, svid_fault_text(fault), X509_V_ERR_INVALID_PURPOSE);
        return;
    }
    const struct domain *domain = find_domain(bundle, verdict->id.trust_domain);
    if (domain == NULL) {
        refuse(verdict, TRUST_FOREIGN_DOMAIN, "no root for its trust domain", X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
        return;
    }
    const struct spiffe_id id = verdict->id;
    trust_validate_path(path, domain->roots, TRUST_INTERMEDIATES_MAX, verdict);
    verdict->id = id;
    if (verdict->outcome == TRUST_OK)
        check_path(X509_STORE_CTX_get0_chain(path), verdict);
}

X509_STORE_CTX *trust_path_create(X509 *leaf, STACK_OF(X509) *intermediates, enum trust_purpose purpose, int64_t wall_s) {
    X509_STORE_CTX *path = X509_STORE_CTX_new();
    CHECK(path != NULL && X509_STORE_CTX_init(path, NULL, leaf, intermediates) == 1);
    CHECK(X509_STORE_CTX_set_default(path, purpose == TRUST_CLIENT ? "ssl_client" : "ssl_server") == 1);
    X509_STORE_CTX_set_time(path, 0, (time_t)wall_s);
    return path;
}

void trust_bundle_verify(const struct trust_bundle *bundle, X509 *leaf, STACK_OF(X509) *intermediates, enum trust_purpose purpose, int64_t wall_s,
                         struct trust_verdict *verdict) {
    X509_STORE_CTX *path = trust_path_create(leaf, intermediates, purpose, wall_s);
    trust_bundle_verify_path(bundle, path, verdict);
    X509_STORE_CTX_free(path);
    ERR_clear_error();
}
