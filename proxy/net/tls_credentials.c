// One version of (own SVID and key, trust bundle) as OpenSSL contexts, one per role, which all workers share.
//
// What the contexts offer is short on purpose: each further group, signature or cipher costs every handshake, and the mesh needs one of each. The others
// are for strangers with other keys.
#include "net/tls_context.h"

#include "base/check.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

// For TLS 1.2, which only strangers speak: forward secrecy and authenticated encryption.
#define EDGE_CIPHERS                                                                                                       \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define CIPHERS "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

// A chain of SVIDs is under 8 KiB; whatever a peer sends beyond this ends the handshake.
#define PEER_CERTIFICATES_BYTES_MAX 32768

static const struct bytes default_protocols[] = {{ALPN_MESH, sizeof(ALPN_MESH) - 1}, {"h2", 2}, {"http/1.1", 8}};

static struct tls_protocols protocols_or_default(struct tls_protocols protocols) {
    if (protocols.count > 0)
        return protocols;
    return (struct tls_protocols){default_protocols, sizeof(default_protocols) / sizeof(default_protocols[0])};
}

size_t tls_protocols_encode(struct tls_protocols protocols, unsigned char wire[TLS_PROTOCOLS_WIRE_MAX]) {
    protocols = protocols_or_default(protocols);
    size_t used = 0;
    for (uint32_t i = 0; i < protocols.count; i++) {
        struct bytes name = protocols.names[i];
        CHECK(name.len > 0 && name.len < 256 && used + 1 + name.len <= TLS_PROTOCOLS_WIRE_MAX);
        wire[used] = (unsigned char)name.len;
        memcpy(wire + used + 1, name.at, name.len);
        used += 1 + name.len;
    }
    return used;
}

// The server's own order decides. A client that offers protocols and none of ours is refused (RFC 7301 section 3.2); one that offers none gets none.
static int on_protocols(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_length, const unsigned char *offered, unsigned offered_length,
                        void *unused) {
    (void)unused;
    struct tls *tls = tls_from_ssl(ssl);
    if (tls->protocols.takes_any)
        return SSL_TLSEXT_ERR_NOACK;
    struct tls_protocols ours = protocols_or_default(tls->protocols);
    for (uint32_t i = 0; i < ours.count; i++) {
        for (unsigned at = 0; at < offered_length && at + 1 + offered[at] <= offered_length; at += 1 + (unsigned)offered[at]) {
            if (bytes_equal(bytes_from((const char *)offered + at + 1, offered[at]), ours.names[i])) {
                *chosen = offered + at + 1;
                *chosen_length = offered[at];
                return SSL_TLSEXT_ERR_OK;
            }
        }
    }
    tls_set_failure(tls, TLS_FAILURE_NO_COMMON, "no common protocol (ALPN)");
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

// OpenSSL's macros take no const text.
#define GROUPS "X25519:P-256"
#define ORIGIN_GROUPS GROUPS ":P-384"
#define SIGNATURES "ECDSA+SHA256:ed25519:ECDSA+SHA384:RSA-PSS+SHA256:RSA+SHA256"
#define ORIGIN_SIGNATURES SIGNATURES ":RSA-PSS+SHA384:RSA+SHA384:RSA-PSS+SHA512:RSA+SHA512:ECDSA+SHA512"

SSL_CTX *tls_context_create(enum tls_context_use use) {
    const bool is_origin = use == TLS_CONTEXT_ORIGIN;
    char groups[sizeof ORIGIN_GROUPS];
    char signatures[sizeof ORIGIN_SIGNATURES];
    snprintf(groups, sizeof groups, "%s", is_origin ? ORIGIN_GROUPS : GROUPS);
    snprintf(signatures, sizeof signatures, "%s", is_origin ? ORIGIN_SIGNATURES : SIGNATURES);
    // The library context by name: the thread's own is another while a ticket is opened or sealed.
    SSL_CTX *context = SSL_CTX_new_ex(OSSL_LIB_CTX_get0_global_default(), NULL, TLS_method());
    CHECK(context != NULL);
    int oldest = use == TLS_CONTEXT_MESH ? TLS1_3_VERSION : TLS1_2_VERSION;
    CHECK(SSL_CTX_set_min_proto_version(context, oldest) == 1 && SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1);
    CHECK(SSL_CTX_set_ciphersuites(context, CIPHERS) == 1);
    CHECK(SSL_CTX_set_cipher_list(context, EDGE_CIPHERS) == 1);
    CHECK(SSL_CTX_set1_groups_list(context, groups) == 1);
    CHECK(SSL_CTX_set1_sigalgs_list(context, signatures) == 1);
    SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    // No records that only imitate TLS 1.2 for middleboxes, but on the way to who knows where.
    if (!is_origin)
        SSL_CTX_clear_options(context, SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
    // An idle connection holds no buffer. The chain to send is given; OpenSSL would otherwise build and verify it in each handshake.
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_max_cert_list(context, is_origin ? SSL_MAX_CERT_LIST_DEFAULT : PEER_CERTIFICATES_BYTES_MAX);
    SSL_CTX_set_cert_verify_callback(context, tls_verify_certificates, NULL);
    return context;
}

void tls_context_choose_protocols(SSL_CTX *server) {
    SSL_CTX_set_alpn_select_cb(server, on_protocols, NULL);
}

static void make_contexts(struct credentials *credentials) {
    unsigned char wire[TLS_PROTOCOLS_WIRE_MAX];
    size_t length = tls_protocols_encode((struct tls_protocols){.count = 0}, wire);
    credentials->server = tls_context_create(TLS_CONTEXT_MESH);
    credentials->client = tls_context_create(TLS_CONTEXT_MESH);
    tls_context_choose_protocols(credentials->server);
    CHECK(SSL_CTX_set_alpn_protos(credentials->client, wire, (unsigned)length) == 0);
    SSL_CTX_set_verify(credentials->client, SSL_VERIFY_PEER, NULL);
    tls_sessions_attach_server(credentials->server);
    tls_sessions_attach_client(credentials->client);
}

static enum error refuse(char *reason, size_t reason_size, const char *what, const char *text) {
    snprintf(reason, reason_size, "%s: %s", what, text);
    return ERROR_INVALID;
}

// Certificates after the leaf, but for roots: who trusts a root has it.
static STACK_OF(X509) *chain_to_send(STACK_OF(X509) *certificates) {
    STACK_OF(X509) *chain = sk_X509_new_null();
    CHECK(chain != NULL);
    for (int i = 1; i < sk_X509_num(certificates); i++)
        if (X509_self_signed(sk_X509_value(certificates, i), 0) != 1)
            CHECK(sk_X509_push(chain, sk_X509_value(certificates, i)) > 0);
    return chain;
}

enum error tls_context_use_certificate(SSL_CTX *context, STACK_OF(X509) *certificates, EVP_PKEY *key, char *reason, size_t reason_size) {
    STACK_OF(X509) *chain = chain_to_send(certificates);
    ERR_clear_error();
    bool used = SSL_CTX_use_cert_and_key(context, sk_X509_value(certificates, 0), key, chain, 1) == 1;
    sk_X509_free(chain);
    const char *text = used ? NULL : ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return used ? OK : refuse(reason, reason_size, "certificate", text != NULL ? text : "OpenSSL refuses it");
}

static enum error check_own_path(const struct credentials *credentials, X509 *leaf, STACK_OF(X509) *certificates, int64_t wall_s, char *reason,
                                 size_t reason_size) {
    for (int purpose = TRUST_CLIENT; purpose <= TRUST_SERVER; purpose++) {
        struct trust_verdict verdict;
        trust_bundle_verify(credentials->bundle, leaf, certificates, (enum trust_purpose)purpose, wall_s, &verdict);
        if (verdict.outcome != TRUST_OK)
            return refuse(reason, reason_size, "certificate", verdict.text);
    }
    return OK;
}

static void note_leaf(struct credentials *credentials, const struct spiffe_id *id, const X509 *leaf) {
    const char *unused;
    credentials->id_text = copy_text_or_abort(id->text);
    CHECK(spiffe_id_parse(bytes_from(credentials->id_text, id->text.len), &credentials->id, &unused) == OK);
    credentials->not_before = certificate_not_before(leaf);
    credentials->not_after = certificate_not_after(leaf);
    certificate_serial(leaf, credentials->serial);
}

static void make_session_contexts(struct credentials *credentials) {
    for (unsigned char required = 0; required < 2; required++) {
        EVP_MD_CTX *hash = EVP_MD_CTX_new();
        CHECK(hash != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1);
        CHECK(EVP_DigestUpdate(hash, credentials->digest, sizeof(credentials->digest)) == 1);
        CHECK(EVP_DigestUpdate(hash, credentials->id.text.at, credentials->id.text.len) == 1);
        CHECK(EVP_DigestUpdate(hash, &required, 1) == 1);
        CHECK(EVP_DigestFinal_ex(hash, credentials->session_context[required], NULL) == 1);
        EVP_MD_CTX_free(hash);
    }
}

static enum error fill(struct credentials *credentials, STACK_OF(X509) *certificates, EVP_PKEY *key, struct bytes bundle_pem, int64_t wall_s,
                       char *reason, size_t reason_size) {
    X509 *leaf = sk_X509_value(certificates, 0);
    struct spiffe_id id;
    char text[192];
    enum svid_fault fault = svid_check_leaf(leaf, &id);
    if (fault != SVID_FAULT_NONE)
        return refuse(reason, reason_size, "certificate", svid_fault_text(fault));
    int fits = X509_check_private_key(leaf, key);
    ERR_clear_error();
    if (fits != 1)
        return refuse(reason, reason_size, "private key", "it does not belong to the certificate");
    if (trust_bundle_create(bundle_pem, id.trust_domain, &credentials->bundle, text, sizeof(text)) != OK)
        return refuse(reason, reason_size, "trust bundle", text);
    memcpy(credentials->digest, trust_bundle_digest(credentials->bundle), sizeof(credentials->digest));
    note_leaf(credentials, &id, leaf);
    enum error error = check_own_path(credentials, leaf, certificates, wall_s, reason, reason_size);
    if (error != OK)
        return error;
    make_contexts(credentials);
    make_session_contexts(credentials);
    error = tls_context_use_certificate(credentials->server, certificates, key, reason, reason_size);
    if (error == OK)
        error = tls_context_use_certificate(credentials->client, certificates, key, reason, reason_size);
    return error;
}

struct credentials *credentials_allocate(struct ticket_keys *keys, uint64_t generation) {
    struct credentials *made = alloc_zeroed_or_abort(1, sizeof(*made));
    atomic_init(&made->references, 1);
    made->generation = generation;
    made->wall_clock = clock_wall_ns;
    made->ticket_keys = keys;
    made->bio_method = tls_bio_method_create();
    made->peers = tls_peers_create();
    made->sessions = tls_sessions_create();
    return made;
}

enum error credentials_create(struct bytes certificate_pem, struct bytes key_pem, struct bytes bundle_pem, struct ticket_keys *keys,
                              uint64_t generation, int64_t wall_s, struct credentials **credentials, char *reason, size_t reason_size) {
    CHECK(keys != NULL && reason_size > 0);
    char text[192];
    STACK_OF(X509) *certificates;
    EVP_PKEY *key;
    if (certificates_parse(certificate_pem, CERTIFICATE_CHAIN_MAX, &certificates, text, sizeof(text)) != OK)
        return refuse(reason, reason_size, "certificate", text);
    if (private_key_parse(key_pem, &key, text, sizeof(text)) != OK) {
        sk_X509_pop_free(certificates, X509_free);
        return refuse(reason, reason_size, "private key", text);
    }
    struct credentials *made = credentials_allocate(keys, generation);
    enum error error = fill(made, certificates, key, bundle_pem, wall_s, reason, reason_size);
    sk_X509_pop_free(certificates, X509_free);
    EVP_PKEY_free(key);
    if (error != OK)
        credentials_unref(made);
    else
        *credentials = made;
    return error;
}

struct credentials *credentials_ref(struct credentials *credentials) {
    atomic_fetch_add_explicit(&credentials->references, 1, memory_order_relaxed);
    return credentials;
}

void credentials_unref(struct credentials *credentials) {
    if (credentials == NULL || atomic_fetch_sub_explicit(&credentials->references, 1, memory_order_acq_rel) != 1)
        return;
    tls_sessions_destroy(credentials->sessions);
    tls_peers_destroy(credentials->peers);
    tls_edge_destroy(credentials->edge);
    SSL_CTX_free(credentials->server);
    SSL_CTX_free(credentials->client);
    BIO_meth_free(credentials->bio_method);
    if (credentials->bundle != NULL)
        trust_bundle_destroy(credentials->bundle);
    ca_set_destroy(credentials->authorities);
    free(credentials->id_text);
    free(credentials);
}

const struct spiffe_id *credentials_id(const struct credentials *credentials) {
    return &credentials->id;
}

uint64_t credentials_generation(const struct credentials *credentials) {
    return credentials->generation;
}

int64_t credentials_not_before(const struct credentials *credentials) {
    return credentials->not_before;
}

int64_t credentials_not_after(const struct credentials *credentials) {
    return credentials->not_after;
}

const char *credentials_serial(const struct credentials *credentials) {
    return credentials->serial;
}

const struct trust_bundle *credentials_bundle(const struct credentials *credentials) {
    return credentials->bundle;
}

const struct ca_set *credentials_authorities(const struct credentials *credentials) {
    return credentials->authorities;
}
