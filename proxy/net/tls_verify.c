// Whether a peer's certificates are trusted, and whether it is who was expected: the callback that takes the place of OpenSSL's own verification.
//
// Workloads meet again and again with the same certificates: what was verified once under a version of credentials is known by the digest of every byte that
// the peer showed, and costs no second verification of its signatures; its times are looked at anew. Proof that the peer holds the key is part of each handshake.
// By the same digest the connections of a peer share its decoded certificates.
#include "net/tls_private.h"

#include "base/check.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>

// Verified peers of one version of credentials: a table where each digest has one place and the newest wins.
struct tls_peers {
    pthread_mutex_t lock;
    struct tls_peer *places[TLS_PEERS_MAX];
};

_Static_assert((TLS_PEERS_MAX & (TLS_PEERS_MAX - 1)) == 0, "the place is chosen by a mask");

static struct tls_peer *peer_create(const struct spiffe_id *id, const X509 *leaf, const unsigned char digest[CERTIFICATE_DIGEST_SIZE]) {
    struct tls_peer *peer = alloc_zeroed_or_abort(1, sizeof(*peer) + id->text.len + 1); // without identity outside the mesh
    const char *reason;
    atomic_init(&peer->references, 1);
    memcpy(peer->digest, digest, CERTIFICATE_DIGEST_SIZE);
    if (id->text.len > 0) {
        memcpy(peer->text, id->text.at, id->text.len);
        CHECK(spiffe_id_parse(bytes_from(peer->text, id->text.len), &peer->id, &reason) == OK);
    }
    peer->leaf_not_after = certificate_not_after(leaf);
    return peer;
}

struct tls_peer *tls_peer_ref(struct tls_peer *peer) {
    atomic_fetch_add_explicit(&peer->references, 1, memory_order_relaxed);
    return peer;
}

void tls_peer_unref(struct tls_peer *peer) {
    if (peer != NULL && atomic_fetch_sub_explicit(&peer->references, 1, memory_order_acq_rel) == 1)
        free(peer);
}

struct tls_peers *tls_peers_create(void) {
    struct tls_peers *peers = alloc_zeroed_or_abort(1, sizeof(*peers));
    CHECK(pthread_mutex_init(&peers->lock, NULL) == 0);
    return peers;
}

void tls_peers_destroy(struct tls_peers *peers) {
    for (size_t i = 0; i < TLS_PEERS_MAX; i++)
        tls_peer_unref(peers->places[i]);
    pthread_mutex_destroy(&peers->lock);
    free(peers);
}

static struct tls_peer **place_of(struct tls_peers *peers, const unsigned char digest[CERTIFICATE_DIGEST_SIZE]) {
    return &peers->places[((unsigned)digest[1] << 8 | digest[2]) & (TLS_PEERS_MAX - 1)];
}

// With a reference for the caller; NULL when not known, or out of its time.
static struct tls_peer *find_verified(struct tls_peers *peers, const unsigned char digest[CERTIFICATE_DIGEST_SIZE], int64_t wall_s) {
    pthread_mutex_lock(&peers->lock);
    struct tls_peer *found = *place_of(peers, digest);
    if (found != NULL && memcmp(found->digest, digest, CERTIFICATE_DIGEST_SIZE) == 0 && found->path_not_before <= wall_s &&
        wall_s <= found->path_not_after)
        tls_peer_ref(found);
    else
        found = NULL;
    pthread_mutex_unlock(&peers->lock);
    return found;
}

static void remember(struct tls_peers *peers, struct tls_peer *peer) {
    pthread_mutex_lock(&peers->lock);
    struct tls_peer **place = place_of(peers, peer->digest);
    struct tls_peer *before = *place;
    *place = tls_peer_ref(peer);
    pthread_mutex_unlock(&peers->lock);
    tls_peer_unref(before);
}

// The stack of what was shown becomes the session's once the path is found good: it keeps whom it finds in it then, and owns a reference to each.
static void replace_shown(X509_STORE_CTX *path, const STACK_OF(X509) *shared) {
    STACK_OF(X509) *shown = X509_STORE_CTX_get0_untrusted(path);
    for (int i = 0; i < sk_X509_num(shared); i++) {
        X509 *decoded = sk_X509_value(shown, i);
        X509 *common = sk_X509_value(shared, i);
        CHECK(X509_up_ref(common) == 1);
        CHECK(sk_X509_set(shown, i, common) == common);
        X509_free(decoded);
    }
    X509_STORE_CTX_set_cert(path, sk_X509_value(shown, 0));
}

// Where the path is known already nobody has asked for what is in them yet.
static void warm(const STACK_OF(X509) *shown) {
    for (int i = 0; i < sk_X509_num(shown); i++)
        certificate_warm(sk_X509_value(shown, i));
}

// OpenSSL keeps the peer's certificates with the connection, decoded: some 10 KB for each. Here the connections of a peer come to hold the same ones: what the
// first of them decoded takes the place of what stands in `path`, whose digest is the peer's. tls_peer_leave gives it back.
static void share_certificates(struct tls *tls, X509_STORE_CTX *path) {
    STACK_OF(X509) *shown = X509_STORE_CTX_get0_untrusted(path);
    struct tls_peers *peers = tls->credentials->peers;
    struct tls_peer *peer = tls->peer;
    CHECK(!tls->shares_certificates && sk_X509_value(shown, 0) == X509_STORE_CTX_get0_cert(path));
    pthread_mutex_lock(&peers->lock);
    if (peer->shown == NULL) {
        CHECK(peer->holders == 0);
        warm(shown);
        peer->shown = X509_chain_up_ref(shown);
        CHECK(peer->shown != NULL);
    } else {
        CHECK(sk_X509_num(peer->shown) == sk_X509_num(shown)); // the digests are equal
        replace_shown(path, peer->shown);
    }
    peer->holders++;
    tls->shares_certificates = true;
    pthread_mutex_unlock(&peers->lock);
}

void tls_peer_leave(struct tls *tls) {
    struct tls_peers *peers = tls->credentials->peers;
    struct tls_peer *peer = tls->peer;
    STACK_OF(X509) *unheld = NULL;
    if (tls->shares_certificates) {
        pthread_mutex_lock(&peers->lock);
        CHECK(peer->holders > 0 && peer->shown != NULL);
        if (--peer->holders == 0) {
            unheld = peer->shown;
            peer->shown = NULL;
        }
        pthread_mutex_unlock(&peers->lock);
        tls->shares_certificates = false;
    }
    sk_X509_pop_free(unheld, X509_free);
    tls->peer = NULL;
    tls_peer_unref(peer);
}

struct tls_peer *tls_peer_resumed(X509 *leaf, const unsigned char digest[CERTIFICATE_DIGEST_SIZE], int64_t path_not_before, int64_t path_not_after) {
    struct spiffe_id id;
    if (svid_check_leaf(leaf, &id) != SVID_FAULT_NONE)
        return NULL;
    struct tls_peer *peer = peer_create(&id, leaf, digest);
    peer->path_not_before = path_not_before;
    peer->path_not_after = path_not_after;
    return peer;
}

// The peer's role is part of the digest: signing certificates may be limited to one end of TLS.
static bool digest_of(bool peer_is_client, X509 *leaf, STACK_OF(X509) *shown, unsigned char digest[CERTIFICATE_DIGEST_SIZE]) {
    if (!certificates_digest(leaf, shown, digest))
        return false;
    digest[0] = (unsigned char)((digest[0] & 0xfe) | (peer_is_client ? 1 : 0));
    return true;
}

static enum tls_failure failure_of(enum trust_outcome outcome) {
    switch (outcome) {
    case TRUST_NOT_SVID:
        return TLS_FAILURE_NOT_SVID;
    case TRUST_EXPIRED:
        return TLS_FAILURE_EXPIRED;
    default:
        return TLS_FAILURE_UNTRUSTED;
    }
}

// NULL with the failure noted when the path does not hold.
static struct tls_peer *verify_anew(struct tls *tls, X509_STORE_CTX *path, const unsigned char digest[CERTIFICATE_DIGEST_SIZE], int64_t wall_s) {
    struct trust_verdict verdict;
    X509_STORE_CTX_set_time(path, 0, (time_t)wall_s);
    if (tls->credentials->authorities != NULL)
        ca_set_verify_path(tls->credentials->authorities, path, &verdict);
    else
        trust_bundle_verify_path(tls->credentials->bundle, path, &verdict);
    if (verdict.outcome != TRUST_OK) {
        X509_STORE_CTX_set_error(path, verdict.x509_error);
        if (verdict.id.text.len > 0)
            tls_compose_failure(tls, failure_of(verdict.outcome), "%.*s: %s", BYTES_FORMAT(verdict.id.text), verdict.text);
        else
            tls_set_failure(tls, failure_of(verdict.outcome), verdict.text);
        return NULL;
    }
    struct tls_peer *peer = peer_create(&verdict.id, X509_STORE_CTX_get0_cert(path), digest);
    peer->path_not_before = verdict.not_before;
    peer->path_not_after = verdict.not_after;
    remember(tls->credentials->peers, peer);
    return peer;
}

bool tls_expects(const struct tls *tls, const struct spiffe_id *id, X509 *leaf) {
    bool expected = tls->is_server; // whom a server lets in is authorization's affair
    for (uint32_t i = 0; i < tls->identity_count && !expected; i++)
        expected = spiffe_id_equal(&tls->identities[i], id);
    for (uint32_t i = 0; i < tls->name_count && !expected; i++)
        expected = server_name_is_of(&tls->names[i], leaf);
    return expected;
}

static void refuse_stranger(struct tls *tls, const struct spiffe_id *id) {
    if (id->text.len > 0)
        tls_compose_failure(tls, TLS_FAILURE_IDENTITY, "the peer is %.*s, which is not expected", BYTES_FORMAT(id->text));
    else
        tls_compose_failure(tls, TLS_FAILURE_NAME, "its certificate is not for %.*s%s", BYTES_FORMAT(tls->names[0].text),
                            tls->name_count > 1 ? ", nor for the other names" : "");
}

int tls_verify_certificates(X509_STORE_CTX *path, void *unused) {
    (void)unused;
    struct tls *tls = tls_from_ssl(X509_STORE_CTX_get_ex_data(path, SSL_get_ex_data_X509_STORE_CTX_idx()));
    unsigned char digest[CERTIFICATE_DIGEST_SIZE];
    if (!digest_of(tls->is_server, X509_STORE_CTX_get0_cert(path), X509_STORE_CTX_get0_untrusted(path), digest)) {
        X509_STORE_CTX_set_error(path, X509_V_ERR_OUT_OF_MEM);
        return 0;
    }
    int64_t wall_s = credentials_wall_s(tls->credentials);
    struct tls_peer *peer = find_verified(tls->credentials->peers, digest, wall_s);
    if (peer != NULL && tls->counters != NULL)
        metric_add(&tls->counters->path_reused, 1);
    if (peer == NULL)
        peer = verify_anew(tls, path, digest, wall_s);
    if (peer == NULL)
        return 0;
    if (!tls_expects(tls, &peer->id, X509_STORE_CTX_get0_cert(path))) {
        refuse_stranger(tls, &peer->id);
        X509_STORE_CTX_set_error(path, X509_V_ERR_HOSTNAME_MISMATCH);
        tls_peer_unref(peer);
        return 0;
    }
    tls_peer_unref(tls->peer); // of a session that was offered and not taken
    tls->peer = peer;
    share_certificates(tls, path);
    X509_STORE_CTX_set_error(path, X509_V_OK);
    return 1;
}

bool tls_peer_still_trusted(struct transport *transport, const struct credentials *credentials) {
    struct tls *tls = tls_of(transport);
    if (tls->state != TLS_OPEN)
        return tls->state == TLS_HANDSHAKE; // it will be asked again once it is open
    if (tls->peer == NULL)
        return true;
    struct tls_peers *peers = credentials->peers;
    int64_t wall_s = credentials_wall_s(credentials);
    struct tls_peer *known = find_verified(peers, tls->peer->digest, wall_s);
    if (known != NULL) {
        tls_peer_unref(known);
        return true;
    }
    X509 *leaf = SSL_get0_peer_certificate(tls->ssl);
    struct trust_verdict verdict;
    if (credentials->authorities != NULL)
        ca_set_verify(credentials->authorities, leaf, SSL_get_peer_cert_chain(tls->ssl), wall_s, &verdict);
    else
        trust_bundle_verify(credentials->bundle, leaf, SSL_get_peer_cert_chain(tls->ssl), tls->is_server ? TRUST_CLIENT : TRUST_SERVER, wall_s,
                            &verdict);
    if (verdict.outcome != TRUST_OK)
        return false;
    struct tls_peer *peer = peer_create(&tls->peer->id, leaf, tls->peer->digest);
    peer->path_not_before = verdict.not_before;
    peer->path_not_after = verdict.not_after;
    remember(peers, peer);
    tls_peer_unref(peer);
    return true;
}

nanoseconds tls_peer_left(const struct transport *transport) {
    const struct tls *tls = tls_of_const(transport);
    if (tls->peer == NULL)
        return UINT64_MAX;
    nanoseconds now = tls->credentials->wall_clock();
    uint64_t end = tls->peer->leaf_not_after > 0 ? (uint64_t)tls->peer->leaf_not_after : 0;
    if (end > UINT64_MAX / (2 * NS_PER_S))
        return UINT64_MAX; // centuries
    return end * NS_PER_S > now ? end * NS_PER_S - now : 0;
}
