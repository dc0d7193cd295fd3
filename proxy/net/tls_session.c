// Resumption. Servers seal what they must know again into tickets: the bundle under which the client was verified, and how long its path holds; a resumed
// handshake never calls the verifier. Clients keep sessions by the key of who they talk to.
#include "net/tls_private.h"
#include "net/tls_ticket_keys.h"

#include "base/check.h"
#include "base/list.h"
#include "base/map.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdlib.h>

#define NAME_LIST_HEAD 5

// Sealed into each ticket. Read only by this process: no byte order, no version.
struct ticket_note {
    unsigned char bundle[CERTIFICATE_DIGEST_SIZE];
    unsigned char peer[CERTIFICATE_DIGEST_SIZE];
    int64_t path_not_before;
    int64_t path_not_after;
    int64_t sealed_at;
};

struct kept_session {
    struct list by_use;
    struct bytes key;
    SSL_SESSION *session;
    struct tls_peer *peer;
    char key_text[];
};

struct tls_sessions {
    pthread_mutex_t lock;
    struct map by_key;
    struct list by_use; // most recent first
    uint32_t count;
};

static int64_t at_most(int64_t a, int64_t b) {
    return a < b ? a : b;
}

// Seconds for which a session made now may be resumed: all that was verified for it, and our own leaf, must last as long. 0: not at all.
static long session_life(const struct tls *tls) {
    int64_t end = tls->credentials->not_after;
    if (tls->peer != NULL)
        end = at_most(end, tls->peer->path_not_after);
    int64_t left = end - credentials_wall_s(tls->credentials);
    return left > 0 ? (long)at_most(left, TLS_SESSION_LIFE_S) : 0;
}

// --- server ---

// A ticket has the client's certificate in it. OpenSSL 3.0 decodes that when it opens the ticket, and also when it seals it, to work on a copy; and it looks for a
// decoder of the public key among all that the thread's library context has. That is more than a third of a resumed handshake, and most of a ticket's cost,
// for a key that nobody will use: the certificate was verified, and its owner proved, in the full handshake. Without a decoder it leaves the key as bytes.
// Whatever else OpenSSL does meanwhile is done with the context of the SSL_CTX.
static void begin_ticket(struct tls *tls) {
    CHECK(tls->usual_library == NULL);
    tls->usual_library = OSSL_LIB_CTX_set0_default(ticket_keys_bare_library(tls->credentials->ticket_keys));
    CHECK(tls->usual_library != NULL);
}

void tls_ticket_done(struct tls *tls) {
    if (tls->usual_library != NULL)
        OSSL_LIB_CTX_set0_default(tls->usual_library);
    tls->usual_library = NULL;
}

// OpenSSL seals with AES-256-CBC and HMAC-SHA-256, encrypt-then-MAC, as RFC 5077 section 4 recommends.
static bool use_ticket_key(const struct ticket_key *key, const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool sealing) {
    unsigned char secret[TICKET_SECRET_SIZE];
    char digest[] = "SHA256";
    memcpy(secret, key->mac_secret, sizeof(secret));
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, secret, sizeof(secret)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    bool done = EVP_MAC_CTX_set_params(mac, parameters) == 1;
    done = done && EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher_secret, iv, sealing ? 1 : 0) == 1;
    OPENSSL_cleanse(secret, sizeof(secret));
    return done;
}

static int on_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int sealing) {
    struct tls *tls = tls_from_ssl(ssl);
    nanoseconds now = tls->transport.loop->now;
    struct ticket_key key;
    bool done;
    tls_ticket_done(tls); // what is sealed was copied
    if (sealing) {
        ticket_keys_sealing(tls->credentials->ticket_keys, now, &key);
        memcpy(name, key.name, TICKET_NAME_SIZE);
        done = RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) == 1 && use_ticket_key(&key, iv, cipher, mac, true);
    } else {
        if (!ticket_keys_opening(tls->credentials->ticket_keys, now, name, &key))
            return 0;
        done = use_ticket_key(&key, iv, cipher, mac, false);
        if (done)
            begin_ticket(tls);
    }
    OPENSSL_cleanse(&key, sizeof(key));
    return done ? 1 : -1;
}

static int on_ticket_sealed(SSL *ssl, void *unused) {
    (void)unused;
    struct tls *tls = tls_from_ssl(ssl);
    struct ticket_note note = {
        .path_not_before = INT64_MIN,
        .path_not_after = INT64_MAX,
        .sealed_at = credentials_wall_s(tls->credentials),
    };
    memcpy(note.bundle, tls->credentials->digest, sizeof(note.bundle));
    if (tls->peer != NULL) {
        memcpy(note.peer, tls->peer->digest, sizeof(note.peer));
        note.path_not_before = tls->peer->path_not_before;
        note.path_not_after = tls->peer->path_not_after;
    }
    SSL_SESSION *session = SSL_get_session(ssl);
    SSL_SESSION_set_timeout(session, session_life(tls));
    if (SSL_SESSION_set1_ticket_appdata(session, &note, sizeof(note)) != 1)
        return 0;
    if (SSL_version(ssl) < TLS1_3_VERSION && tls->counters != NULL)
        metric_add(&tls->counters->tickets, 1); // others: tls_send_ticket
    begin_ticket(tls);
    return 1;
}

// RFC 6066 section 3: a session is for the name that it was made for. OpenSSL would go by that name, whatever the client asks for now. With TLS 1.3 the name is that of
// the handshake, always (RFC 8446 section 4.2.11), and none is bound to it.
static bool is_for_name(SSL *ssl, const SSL_SESSION *session) {
    const char *kept = SSL_SESSION_get0_hostname(session);
    const struct bytes before = kept == NULL ? BYTES_NONE : bytes_from_text(kept);
    const unsigned char *extension;
    size_t length;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &extension, &length) != 1)
        return kept == NULL;
    // A list of one: its length, the type, the length of the name.
    return length > NAME_LIST_HEAD && bytes_equal(before, bytes_from((const char *)extension + NAME_LIST_HEAD, length - NAME_LIST_HEAD));
}

// A ticket is good only under the bundle that its client was verified with, and while that path lasts; else the handshake is a full one.
static bool accept_ticket(struct tls *tls, SSL_SESSION *session) {
    struct ticket_note note;
    void *sealed;
    size_t length;
    if (SSL_SESSION_get0_ticket_appdata(session, &sealed, &length) != 1 || length != sizeof(note))
        return false;
    memcpy(&note, sealed, sizeof(note));
    const int64_t wall_s = credentials_wall_s(tls->credentials);
    if (memcmp(note.bundle, tls->credentials->digest, sizeof(note.bundle)) != 0 || wall_s > note.path_not_after ||
        wall_s - note.sealed_at >= SSL_SESSION_get_timeout(session))
        return false;
    memcpy(tls->ticket_peer, note.peer, sizeof(note.peer));
    tls->ticket_not_before = note.path_not_before;
    tls->ticket_not_after = note.path_not_after;
    tls->ticket_is_young = wall_s - note.sealed_at < SSL_SESSION_get_timeout(session) / 2;
    return true;
}

static SSL_TICKET_RETURN on_ticket_opened(SSL *ssl, SSL_SESSION *session, const unsigned char *name, size_t name_length, SSL_TICKET_STATUS status,
                                          void *unused) {
    (void)name, (void)name_length, (void)unused;
    struct tls *tls = tls_from_ssl(ssl);
    const bool is_old = SSL_version(ssl) < TLS1_3_VERSION; // then a ticket is part of the handshake, and given where this says so
    tls_ticket_done(tls);
    const bool is_open = status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW;
    if (is_open && (!is_old || is_for_name(ssl, session)) && accept_ticket(tls, session))
        return SSL_TICKET_RETURN_USE;
    return is_old ? SSL_TICKET_RETURN_IGNORE_RENEW : SSL_TICKET_RETURN_IGNORE;
}

static bool is_ticket_due(const struct tls *tls) {
    if (!tls->is_server || tls->ticket_sent || tls->state != TLS_OPEN || tls->output != TLS_OUTPUT_OPEN)
        return false;
    // Connections of the mesh live long and are few: a ticket would cost more than it ever saves.
    if (bytes_starts_with(tls->transport.alpn, BYTES("outrigger")) || session_life(tls) == 0)
        return false;
    // A ticket with a client's certificate in it costs a quarter as much to seal as the rest of a resumed handshake. Who resumes with one that is still good for long has
    // one; who throws it away after one use pays for a full handshake every second time what the tickets between would have cost.
    return tls->peer == NULL || SSL_session_reused(tls->ssl) == 0 || !tls->ticket_is_young;
}

void tls_send_ticket(struct transport *transport) {
    struct tls *tls = tls_of(transport);
    if (!is_ticket_due(tls))
        return;
    tls->ticket_sent = true;
    bool sent = SSL_new_session_ticket(tls->ssl) == 1 && SSL_do_handshake(tls->ssl) == 1;
    tls_ticket_done(tls);
    if (!sent)
        return; // the connection goes on without
    if (tls->counters != NULL)
        metric_add(&tls->counters->tickets, 1);
    loop_flush(transport->loop, &tls->flush);
}

// --- client ---

struct tls_sessions *tls_sessions_create(void) {
    struct tls_sessions *sessions = alloc_zeroed_or_abort(1, sizeof(*sessions));
    CHECK(pthread_mutex_init(&sessions->lock, NULL) == 0);
    map_init(&sessions->by_key);
    list_init(&sessions->by_use);
    return sessions;
}

static void forget(struct tls_sessions *sessions, struct kept_session *kept) {
    CHECK(map_remove(&sessions->by_key, kept->key) == kept);
    list_remove(&kept->by_use);
    sessions->count--;
    SSL_SESSION_free(kept->session);
    tls_peer_unref(kept->peer);
    free(kept);
}

void tls_sessions_destroy(struct tls_sessions *sessions) {
    while (!list_is_empty(&sessions->by_use))
        forget(sessions, LIST_ENTRY(list_first(&sessions->by_use), struct kept_session, by_use));
    CHECK(sessions->count == 0);
    map_dispose(&sessions->by_key);
    pthread_mutex_destroy(&sessions->lock);
    free(sessions);
}

// Takes over `session`.
static void keep(struct tls_sessions *sessions, struct bytes key, SSL_SESSION *session, struct tls_peer *peer) {
    struct kept_session *kept = alloc_zeroed_or_abort(1, sizeof(*kept) + key.len);
    memcpy(kept->key_text, key.at, key.len);
    kept->key = bytes_from(kept->key_text, key.len);
    kept->session = session;
    kept->peer = tls_peer_ref(peer);
    list_init(&kept->by_use);

    pthread_mutex_lock(&sessions->lock);
    struct kept_session *before = map_get(&sessions->by_key, key);
    if (before == NULL && sessions->count == TLS_SESSIONS_MAX)
        before = LIST_ENTRY(sessions->by_use.prev, struct kept_session, by_use);
    if (before != NULL)
        forget(sessions, before);
    CHECK(map_put(&sessions->by_key, kept->key, kept) == NULL);
    list_push_front(&sessions->by_use, &kept->by_use);
    sessions->count++;
    pthread_mutex_unlock(&sessions->lock);
}

// A copy, so that no two connections, on whatever threads, share a session that OpenSSL still writes to.
static SSL_SESSION *copy_kept(struct tls_sessions *sessions, struct bytes key, int64_t wall_s, struct tls_peer **peer) {
    SSL_SESSION *copy = NULL;
    pthread_mutex_lock(&sessions->lock);
    struct kept_session *kept = map_get(&sessions->by_key, key);
    if (kept != NULL && (wall_s > kept->peer->path_not_after || wall_s < kept->peer->path_not_before)) {
        forget(sessions, kept);
        kept = NULL;
    }
    if (kept != NULL)
        copy = SSL_SESSION_dup(kept->session);
    if (copy != NULL) {
        *peer = tls_peer_ref(kept->peer);
        list_remove(&kept->by_use);
        list_push_front(&sessions->by_use, &kept->by_use);
    }
    pthread_mutex_unlock(&sessions->lock);
    return copy;
}

void tls_session_offer(struct tls *tls) {
    if (tls->session_key.len == 0)
        return;
    struct tls_peer *peer;
    SSL_SESSION *session = copy_kept(tls->credentials->sessions, tls->session_key, credentials_wall_s(tls->credentials), &peer);
    if (session == NULL)
        return;
    X509 *leaf = SSL_SESSION_get0_peer(session);
    if (leaf != NULL && tls_expects(tls, &peer->id, leaf) && SSL_set_session(tls->ssl, session) == 1)
        tls->peer = peer; // the verifier replaces it when the server does not resume
    else
        tls_peer_unref(peer);
    SSL_SESSION_free(session);
}

static int on_session(SSL *ssl, SSL_SESSION *session) {
    const struct tls *tls = tls_from_ssl(ssl);
    if (tls->session_key.len == 0 || tls->peer == NULL)
        return 0;
    SSL_SESSION *copy = SSL_SESSION_dup(session);
    if (copy != NULL)
        keep(tls->credentials->sessions, tls->session_key, copy, tls->peer);
    return 0; // `session` itself stays OpenSSL's
}

void tls_sessions_attach_server(SSL_CTX *server) {
    SSL_CTX_set_session_cache_mode(server, SSL_SESS_CACHE_OFF);
    CHECK(SSL_CTX_set_num_tickets(server, 0) == 1); // none in the handshake: tls_send_ticket, later
    SSL_CTX_set_timeout(server, TLS_SESSION_LIFE_S);
    CHECK(SSL_CTX_set_tlsext_ticket_key_evp_cb(server, on_ticket_key) == 1);
    CHECK(SSL_CTX_set_session_ticket_cb(server, on_ticket_sealed, on_ticket_opened, NULL) == 1);
}

void tls_sessions_attach_client(SSL_CTX *client) {
    SSL_CTX_set_session_cache_mode(client, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(client, on_session);
}
