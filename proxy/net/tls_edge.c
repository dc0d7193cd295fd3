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

struct edge_context {
    struct bytes hostname; // owned; in lower case
    SSL_CTX *context;
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

// Of the most specific listener the first certificate that has the name, else its first. NULL: no listener has it.
static SSL_CTX *choose(const struct tls_edge *edge, struct bytes name) {
    SSL_CTX *chosen = NULL;
    size_t best = 0;
    bool fits = false;
    for (uint32_t i = 0; i < edge->count; i++) {
        const struct edge_context *one = &edge->contexts[i];
        size_t rank = host_pattern_rank(one->hostname, name);
        bool has = rank >= best && rank > 0 && has_name(one->context, name);
        if (rank <= best && !(rank == best && has && !fits))
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
        tls_set_failure(tls, TLS_FAILURE_NO_COMMON, "no listener for the name that the client asks for");
        *alert = SSL_AD_UNRECOGNIZED_NAME;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    CHECK(SSL_set_SSL_CTX(ssl, chosen) == chosen);
    return SSL_TLSEXT_ERR_OK;
}

static enum error fill_context(struct edge_context *to, const struct tls_edge_certificate *from, EVP_MD_CTX *hash, char *reason, size_t reason_size) {
    STACK_OF(X509) *certificates;
    EVP_PKEY *key;
    if (certificates_parse(from->certificate_pem, CERTIFICATE_CHAIN_MAX, &certificates, reason, reason_size) != OK)
        return ERROR_INVALID;
    if (private_key_parse(from->key_pem, &key, reason, reason_size) != OK) {
        sk_X509_pop_free(certificates, X509_free);
        return ERROR_INVALID;
    }
    unsigned char digest[CERTIFICATE_DIGEST_SIZE];
    X509 *leaf = sk_X509_value(certificates, 0);
    CHECK(certificates_digest(leaf, certificates, digest) && EVP_DigestUpdate(hash, digest, sizeof(digest)) == 1);
    CHECK(EVP_DigestUpdate(hash, from->hostname.at, from->hostname.len) == 1);
    to->context = tls_context_create(TLS_CONTEXT_EDGE);
    to->hostname = bytes_keep(from->hostname);
    tls_context_choose_protocols(to->context);
    enum error error = X509_check_private_key(leaf, key) == 1 ? OK : ERROR_INVALID;
    if (error != OK)
        snprintf(reason, reason_size, "private key: it does not belong to the certificate");
    ERR_clear_error();
    if (error == OK)
        error = tls_context_use_certificate(to->context, certificates, key, reason, reason_size);
    sk_X509_pop_free(certificates, X509_free);
    EVP_PKEY_free(key);
    return error;
}

// What a version is known by, and the life of its tickets.
static void note(struct credentials *credentials, EVP_MD_CTX *hash) {
    CHECK(EVP_DigestFinal_ex(hash, credentials->digest, NULL) == 1);
    memcpy(credentials->session_context[0], credentials->digest, TLS_SESSION_CONTEXT_SIZE);
    memcpy(credentials->session_context[1], credentials->digest, TLS_SESSION_CONTEXT_SIZE);
    credentials->not_after = INT64_MAX;
    for (uint32_t i = 0; i < credentials->edge->count; i++) {
        const X509 *leaf = SSL_CTX_get0_certificate(credentials->edge->contexts[i].context);
        if (certificate_not_after(leaf) < credentials->not_after)
            credentials->not_after = certificate_not_after(leaf);
    }
}

enum error credentials_create_edge(const struct tls_edge_certificate *certificates, uint32_t count, struct ticket_keys *keys, uint64_t generation,
                                   struct credentials **credentials, char *reason, size_t reason_size) {
    CHECK(count > 0 && reason_size > 0);
    struct credentials *made = credentials_allocate(keys, generation);
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    CHECK(hash != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1);
    made->edge = alloc_zeroed_or_abort(1, sizeof(*made->edge) + count * sizeof(made->edge->contexts[0]));
    enum error error = OK;
    for (uint32_t i = 0; i < count && error == OK; i++) {
        char text[192];
        made->edge->count++;
        error = fill_context(&made->edge->contexts[i], &certificates[i], hash, text, sizeof(text));
        if (error != OK)
            snprintf(reason, reason_size, "%.*s: %s", BYTES_FORMAT(certificates[i].name), text);
    }
    if (error == OK) {
        note(made, hash);
        made->server = made->edge->contexts[0].context;
        SSL_CTX_up_ref(made->server);
        made->client = tls_context_create(TLS_CONTEXT_EDGE);
        SSL_CTX_set_tlsext_servername_callback(made->server, on_server_name);
        tls_sessions_attach_server(made->server);
        tls_sessions_attach_client(made->client);
        *credentials = made;
    } else {
        credentials_unref(made);
    }
    EVP_MD_CTX_free(hash);
    return error;
}

void credentials_edge_leaf(const struct credentials *credentials, uint32_t index, struct tls_edge_leaf *leaf) {
    CHECK(credentials->edge != NULL && index < credentials->edge->count);
    const X509 *certificate = SSL_CTX_get0_certificate(credentials->edge->contexts[index].context);
    leaf->not_before = certificate_not_before(certificate);
    leaf->not_after = certificate_not_after(certificate);
    certificate_serial(certificate, leaf->serial);
}
