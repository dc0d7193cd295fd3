// What the files of TLS share: credentials, the connection, and what each file does for the others. Not for anyone else.
#ifndef NET_TLS_PRIVATE_H
#define NET_TLS_PRIVATE_H

#include "net/tls.h"
#include "net/loop.h"
#include "net/tls_counters.h"

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

struct tls;
struct tls_edge;
struct tls_peers;
struct tls_sessions;

// --- peers (tls_verify.c) ---

// What is known of a peer's certificates once they were verified: shared by all its connections, and the reason why the next one costs no verification of
// signatures. Reference-counted over threads; immutable, but for what the lock of tls_peers guards.
struct tls_peer {
    _Atomic uint32_t references;
    unsigned char digest[CERTIFICATE_DIGEST_SIZE]; // of all that the peer showed; the role is part of it
    struct spiffe_id id;                           // of `text`; empty: outside the mesh
    int64_t leaf_not_after;
    int64_t path_not_before; // of the whole path, root included
    int64_t path_not_after;
    STACK_OF(X509) *shown; // guarded: its certificates, leaf first, while connections hold them; else NULL
    uint32_t holders;      // guarded
    char text[];
};

#define TLS_PEERS_MAX 512 // that one version of credentials remembers

struct tls_peers *tls_peers_create(void);
void tls_peers_destroy(struct tls_peers *peers);

struct tls_peer *tls_peer_ref(struct tls_peer *peer);
void tls_peer_unref(struct tls_peer *peer); // NULL is nobody
// A connection's hold on its peer, and on the certificates that it shares.
void tls_peer_leave(struct tls *tls);

// For a resumed connection: the leaf is known, the path only by what the ticket said of it. NULL when the leaf is no SVID.
struct tls_peer *tls_peer_resumed(X509 *leaf, const unsigned char digest[CERTIFICATE_DIGEST_SIZE], int64_t path_not_before, int64_t path_not_after);

// Whether a server with that certificate is one that the connection is meant for.
bool tls_expects(const struct tls *tls, const struct spiffe_id *id, X509 *leaf);

// OpenSSL's callback in place of X509_verify_cert.
int tls_verify_certificates(X509_STORE_CTX *path, void *unused);

// --- sessions (tls_session.c) ---

#define TLS_SESSIONS_MAX 256    // of a version of credentials: about 4 KiB each
#define TLS_SESSION_LIFE_S 3600 // ticket keys are good for twice as long at most

// Sessions that servers gave us, by session key; the least recently used goes first.
struct tls_sessions *tls_sessions_create(void);
void tls_sessions_destroy(struct tls_sessions *sessions);

// Takes part in what OpenSSL asks about sessions and tickets, for each role.
void tls_sessions_attach_server(SSL_CTX *server);
void tls_sessions_attach_client(SSL_CTX *client);

// After each call that may have opened or sealed a ticket: gives the thread its library context back where OpenSSL broke off in between.
void tls_ticket_done(struct tls *tls);

// Offers a session to resume where there is one that is still good for who is expected.
void tls_session_offer(struct tls *tls);

// --- credentials (tls_credentials.c) ---

#define TLS_SESSION_CONTEXT_SIZE 32

struct credentials {
    _Atomic uint32_t references;
    uint64_t generation;
    nanoseconds (*wall_clock)(void); // clock_wall_ns; tests set another
    char *id_text;
    struct spiffe_id id;
    int64_t not_before;
    int64_t not_after;
    char serial[CERTIFICATE_SERIAL_SIZE];
    struct trust_bundle *bundle;                   // NULL at an edge and toward origins
    struct ca_set *authorities;                    // toward origins; else NULL
    unsigned char digest[CERTIFICATE_DIGEST_SIZE]; // of the bundle; at an edge of its certificates: a ticket is good under the same alone
    struct tls_edge *edge;                         // NULL: of the mesh
    struct ticket_keys *ticket_keys;
    SSL_CTX *server; // NULL toward origins
    SSL_CTX *client;
    BIO_METHOD *bio_method;
    // Of bundle, own identity and whether a client certificate is required: a ticket of one is void under another.
    unsigned char session_context[2][TLS_SESSION_CONTEXT_SIZE];
    struct tls_peers *peers;
    struct tls_sessions *sessions;
};

// Seconds since 1970.
static inline int64_t credentials_wall_s(const struct credentials *credentials) {
    return (int64_t)(credentials->wall_clock() / NS_PER_S);
}

// Protocols as ALPN has them on the wire: a length byte before each name.
#define TLS_PROTOCOLS_WIRE_MAX 128
size_t tls_protocols_encode(struct tls_protocols protocols, unsigned char wire[TLS_PROTOCOLS_WIRE_MAX]);

// --- the BIO (tls_bio.c) ---

BIO_METHOD *tls_bio_method_create(void);
BIO *tls_bio_create(const struct credentials *credentials, struct tls *tls);

// --- the connection (tls_transport.c) ---

enum tls_state {
    TLS_HANDSHAKE, // `ready` is still to come
    TLS_OPEN,      // bytes flow
    TLS_FAILED,    // the handshake failed, or TLS broke later: only close is left
    TLS_CLOSING    // `close` was called; only `closed` is still to come
};

enum tls_output {
    TLS_OUTPUT_OPEN,
    TLS_OUTPUT_ENDING, // close_notify follows what is in `out`
    TLS_OUTPUT_ENDED   // close_notify was sent, or cannot be
};

struct tls {
    struct transport transport; // first: the user's view
    struct transport *lower;
    SSL *ssl;
    struct credentials *credentials;
    struct tls_counters *counters;
    struct tls_peer *peer; // NULL: showed no certificate
    enum tls_state state;
    enum tls_output output;
    bool is_server;
    bool shares_certificates; // of `peer`: to be given back
    bool reading;             // the user wants bytes
    bool input_ended;         // an end was told to the user
    bool told_broken;
    bool lower_paused;
    bool lower_shut;  // its output has ended
    bool left_output; // a flush left bytes in `out`: `drained` is owed
    bool wants_flush; // flush was called before the handshake was done
    bool ticket_sent;
    bool ticket_is_young;     // the one that the connection was resumed from
    bool received_any;        // application bytes came
    bool advancing;           // on the stack: bytes are being read
    bool sealing_failed;      // to be told by `resume`
    enum error lower_end;     // what the lower transport told, while bytes before it wait
    enum tls_failure failure; // valid when failure_known
    bool failure_known;
    bool certificate_refused; // the failure is the peer's alert, and about our certificate: its handshake did not finish
    char *failure_text;       // transport.failure, where it had to be composed
    struct bytes input;       // rest of what the lower transport just delivered
    struct buffer held;       // what it delivered and was not wanted yet; before `input`
    struct tls_protocols protocols;
    const struct spiffe_id *identities; // client: until `ready`
    uint32_t identity_count;
    const struct server_name *names; // the same toward origins
    uint32_t name_count;
    char *session_key_text;
    struct bytes session_key;
    OSSL_LIB_CTX *usual_library; // while OpenSSL opens or seals a ticket: the thread's own
    int64_t ticket_not_before;   // server, while a ticket is being accepted: the path as the ticket tells
    int64_t ticket_not_after;
    unsigned char ticket_peer[CERTIFICATE_DIGEST_SIZE];
    struct timer timer;
    struct task resume; // goes on where reading was stopped, or begins
    struct task flush;  // sends what TLS itself has to say, at the end of the turn
    struct task release;
};

static inline struct tls *tls_of(struct transport *transport) {
    return CONTAINER_OF(transport, struct tls, transport);
}

static inline const struct tls *tls_of_const(const struct transport *transport) {
    return (const struct tls *)(const void *)transport; // its first member
}

// --- failures (tls_failure.c) ---

// Notes why TLS fails; the first reason counts. `text` is constant.
void tls_set_failure(struct tls *tls, enum tls_failure failure, const char *text);
// The same with a text made for it.
void tls_compose_failure(struct tls *tls, enum tls_failure failure, const char *format, ...) __attribute__((format(printf, 3, 4)));

// The same with what OpenSSL's queue of errors says.
void tls_set_failure_from_queue(struct tls *tls);

// OpenSSL's queue of errors must be empty before each call whose error is asked for.
void tls_clear_errors(void);

static inline struct tls *tls_from_ssl(const SSL *ssl) {
    return SSL_get_app_data(ssl);
}

#endif
