// Credentials of a gateway: a context for each certificate, and the choice between them by the name that a client asks for (RFC 6066 section 3).
#include "net/tls_context.h"

#include "base/check.h"
#include "base/host_pattern.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#define SERVER_NAME_MAX 253

// Its context is used by all workers: nothing of it is changed once it is made.
struct tls_certificate {
    SSL_CTX *context;
    unsigned char digest[CERTIFICATE_DIGEST_SIZE]; // of the chain
    unsigned references;
};

struct edge_context {
    struct bytes hostname; // owned; in lower case
    SSL_CTX *context;      // NULL: there is none
};

struct tls_edge {
    uint32_t count;
    struct edge_context contexts[];
};

void tls_edge_destroy(struct tls_edge *edge) {
    for (uint32_t i = 0; edge != NULL && i < edge->count; i++) {
        SSL_CTX_free(edge->contexts[i].context);
        bytes_drop(&edge->contexts[i].hostname);
    }
    free(edge);
}

static bool has_name(SSL_CTX *context, struct bytes name) {
    return X509_check_host(SSL_CTX_get0_certificate(context), name.at, name.len, 0, NULL) == 1;
}

// Of the most specific listener the first certificate that has the name, else its first. NULL: no listener has it, or that one has no certificate.
static SSL_CTX *choose(const struct tls_edge *edge, struct bytes name) {
    SSL_CTX *chosen = NULL;
    size_t best = 0;
    bool fits = false;
    for (uint32_t i = 0; i < edge->count; i++) {
        const struct edge_context *one = &edge->contexts[i];
        size_t rank = host_pattern_rank(one->hostname, name);
        bool has = rank >= best && rank > 0 && one->context != NULL && has_name(one->context, name);
        if (rank < best || rank == 0 || (rank == best && chosen != NULL && !(has && !fits)))
            continue;
        chosen = one->context;
        best = rank;
        fits = has;
    }
    return chosen;
}

static int on_server_name(SSL *ssl, int *alert, void *unused) {
    (void)unused;
    struct tls *tls = tls_from_ssl(ssl);
    const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (asked == NULL)
        return SSL_TLSEXT_ERR_NOACK;
    char lower[SERVER_NAME_MAX];
    size_t length = strlen(asked);
    if (length > 1 && asked[length - 1] == '.')
        length--;
    SSL_CTX *chosen = NULL;
    if (length > 0 && length <= sizeof(lower)) {
        for (size_t i = 0; i < length; i++)
            lower[i] = ascii_lower(asked[i]);
        chosen = choose(tls->credentials->edge, bytes_from(lower, length));
    }
    if (chosen == NULL) {
        tls_set_failure(tls, TLS_FAILURE_NO_COMMON, "no certificate for the name that the client asks for");
        *alert = SSL_AD_UNRECOGNIZED_NAME;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    CHECK(SSL_set_SSL_CTX(ssl, chosen) == chosen);
    return SSL_TLSEXT_ERR_OK;
}

static enum error use(struct tls_certificate *certificate, STACK_OF(X509) *certificates, EVP_PKEY *key, char *reason, size_t reason_size) {
    X509 *leaf = sk_X509_value(certificates, 0);
    CHECK(certificates_digest(leaf, certificates, certificate->digest));
    enum error error = X509_check_private_key(leaf, key) == 1 ? OK : ERROR_INVALID;
    if (error != OK)
        snprintf(reason, reason_size, "private key: it does not belong to the certificate");
    ERR_clear_error();
    return error == OK ? tls_context_use_certificate(certificate->context, certificates, key, reason, reason_size) : error;
}

enum error tls_certificate_create(struct bytes certificate_pem, struct bytes key_pem, struct tls_certificate **certificate, char *reason,
                                  size_t reason_size) {
    STACK_OF(X509) *certificates;
    EVP_PKEY *key;
    CHECK(reason_size > 0);
    if (certificates_parse(certificate_pem, CERTIFICATE_CHAIN_MAX, &certificates, reason, reason_size) != OK)
        return ERROR_INVALID;
    if (private_key_parse(key_pem, &key, reason, reason_size) != OK) {
        sk_X509_pop_free(certificates, X509_free);
        return ERROR_INVALID;
    }
    struct tls_certificate *made = alloc_zeroed_or_abort(1, sizeof(*made));
    made->references = 1;
    made->context = tls_context_create(TLS_CONTEXT_EDGE);
    tls_context_choose_protocols(made->context);
    SSL_CTX_set_tlsext_servername_callback(made->context, on_server_name); // whichever of a version is its first
    tls_sessions_attach_server(made->context);
    enum error error = use(made, certificates, key, reason, reason_size);
    sk_X509_pop_free(certificates, X509_free);
    EVP_PKEY_free(key);
    if (error == OK)
        *certificate = made;
    else
        tls_certificate_unref(made);
    return error;
}

bool tls_certificate_is_same(const struct tls_certificate *certificate, const struct tls_certificate *other) {
    return memcmp(certificate->digest, other->digest, sizeof(certificate->digest)) == 0;
}

struct tls_certificate *tls_certificate_ref(struct tls_certificate *certificate) {
    certificate->references++;
    return certificate;
}

void tls_certificate_unref(struct tls_certificate *certificate) {
    if (certificate == NULL || --certificate->references > 0)
        return;
    SSL_CTX_free(certificate->context);
    free(certificate);
}

static void fill_context(struct edge_context *to, const struct tls_edge_certificate *from, EVP_MD_CTX *hash) {
    to->hostname = bytes_keep(from->hostname);
    if (from->certificate != NULL) {
        to->context = from->certificate->context;
        SSL_CTX_up_ref(to->context);
        CHECK(EVP_DigestUpdate(hash, from->certificate->digest, sizeof(from->certificate->digest)) == 1);
    }
    CHECK(EVP_DigestUpdate(hash, from->hostname.at, from->hostname.len) == 1);
}

// What a version is known by, and the life of its tickets.
static void note(struct credentials *credentials, EVP_MD_CTX *hash) {
    CHECK(EVP_DigestFinal_ex(hash, credentials->digest, NULL) == 1);
    memcpy(credentials->session_context[0], credentials->digest, TLS_SESSION_CONTEXT_SIZE);
    memcpy(credentials->session_context[1], credentials->digest, TLS_SESSION_CONTEXT_SIZE);
    credentials->not_after = INT64_MAX;
    for (uint32_t i = 0; i < credentials->edge->count; i++) {
        SSL_CTX *context = credentials->edge->contexts[i].context;
        if (context != NULL && certificate_not_after(SSL_CTX_get0_certificate(context)) < credentials->not_after)
            credentials->not_after = certificate_not_after(SSL_CTX_get0_certificate(context));
    }
}

struct credentials *credentials_create_edge(const struct tls_edge_certificate *certificates, uint32_t count, struct ticket_keys *keys,
                                            uint64_t generation) {
    struct credentials *made = credentials_allocate(keys, generation);
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    CHECK(hash != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1);
    made->edge = alloc_zeroed_or_abort(1, sizeof(*made->edge) + count * sizeof(made->edge->contexts[0]));
    for (uint32_t i = 0; i < count; i++) {
        struct edge_context *context = &made->edge->contexts[made->edge->count++];
        fill_context(context, &certificates[i], hash);
        if (made->server == NULL)
            made->server = context->context;
    }
    CHECK(made->server != NULL);
    SSL_CTX_up_ref(made->server);
    note(made, hash);
    EVP_MD_CTX_free(hash);
    made->client = tls_context_create(TLS_CONTEXT_EDGE);
    tls_sessions_attach_client(made->client);
    return made;
}

uint32_t credentials_edge_count(const struct credentials *credentials) {
    CHECK(credentials->edge != NULL);
    return credentials->edge->count;
}

bool credentials_edge_leaf(const struct credentials *credentials, uint32_t index, struct tls_edge_leaf *leaf) {
    CHECK(credentials->edge != NULL && index < credentials->edge->count);
    if (credentials->edge->contexts[index].context == NULL)
        return false;
    const X509 *certificate = SSL_CTX_get0_certificate(credentials->edge->contexts[index].context);
    leaf->not_before = certificate_not_before(certificate);
    leaf->not_after = certificate_not_after(certificate);
    certificate_serial(certificate, leaf->serial);
    return true;
}
