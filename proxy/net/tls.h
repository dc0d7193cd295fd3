// TLS over a transport: OpenSSL with an own BIO that reads from the bytes that the lower transport delivers and writes into the lower transport's
// output. No memory BIOs; an idle connection holds no buffer. In the mesh TLS 1.3 only; with strangers 1.2 too.
//
// A credentials object is an immutable version of (own SVID and key, trust bundle): made by identity/, shared read-only by all threads, replaced as a whole by
// publishing a new one. Ticket keys live beside it and outlive versions.
#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/clock.h"
#include "base/error.h"
#include "certs/ca_set.h"
#include "certs/server_name.h"
#include "certs/spiffe_id.h"
#include "certs/trust_bundle.h"
#include "net/transport.h"

#include <stdbool.h>
#include <stdint.h>

struct credentials;  // reference-counted over threads
struct ticket_keys;  // shared by all workers of the process, rotated hourly
struct tls_counters; // see tls_counters.h: handshakes, resumptions, failures by reason

#define ALPN_MESH "outrigger/1"
#define ALPN_MESH_TCP "outrigger-tcp/1" // opaque bytes: http/raw_codec.h

// Thread-safe, all of them. Destroyed after the last credentials that were made with them.
struct ticket_keys *ticket_keys_create(void);
void ticket_keys_destroy(struct ticket_keys *keys);

// From PEM texts. ERROR_INVALID with a text in `reason` (at most `reason_size`) when any of them is not usable: the key does not fit, the leaf breaks a rule of
// X.509-SVID, the chain does not verify against the bundle, a certificate has expired at `wall_s`. Nothing of the key ever comes into `reason`. Main thread. One
// reference.
enum error credentials_create(struct bytes certificate_pem, struct bytes key_pem, struct bytes bundle_pem, struct ticket_keys *keys,
                              uint64_t generation, int64_t wall_s, struct credentials **credentials, char *reason, size_t reason_size) MUST_CHECK;
// A certificate and its key as a gateway shows them, whatever versions of credentials they are part of. Main thread; counted. ERROR_INVALID with a text in `reason` as above, but one that has expired
// is used, since browsers tell their users better than a closed port would.
struct tls_certificate;
enum error tls_certificate_create(struct bytes certificate_pem, struct bytes key_pem, struct tls_certificate **certificate, char *reason,
                                  size_t reason_size) MUST_CHECK;
bool tls_certificate_is_same(const struct tls_certificate *certificate, const struct tls_certificate *other); // with its chain
struct tls_certificate *tls_certificate_ref(struct tls_certificate *certificate);
void tls_certificate_unref(struct tls_certificate *certificate); // NULL is none

// Shown to clients that ask for the hostname of its listener ("": any; ".example.com": all below), and of the certificates of that listener to those whose name it has.
struct tls_edge_certificate {
    struct bytes hostname;
    struct tls_certificate *certificate; // NULL: there is none that could be used. Where its listener has no other, who asks for its name is refused
};

// Credentials for a server whose clients show no certificate: TLS 1.2 and 1.3, no trust bundle, no identity. The first certificate that is there, and one must be, is for clients that ask for no name;
// who asks for a name that no listener has is refused. One reference.
struct credentials *credentials_create_edge(const struct tls_edge_certificate *certificates, uint32_t count, struct ticket_keys *keys,
                                            uint64_t generation);

// Credentials for a client of servers outside the mesh: TLS 1.2 and 1.3, no certificate and no identity of our own. Their certificates must lead to the set, which is taken over, and be for a name
// that the connection says. Sessions are kept here: none is resumed under another set. One reference.
struct credentials *credentials_create_origin(struct ca_set *authorities, uint64_t generation);

// What there is to say of one of an edge's certificates, by its place among them. False: it is not there.
struct tls_edge_leaf {
    int64_t not_before, not_after; // seconds since 1970
    char serial[CERTIFICATE_SERIAL_SIZE];
};
uint32_t credentials_edge_count(const struct credentials *credentials); // of an edge
bool credentials_edge_leaf(const struct credentials *credentials, uint32_t index, struct tls_edge_leaf *leaf);

struct credentials *credentials_ref(struct credentials *credentials);
void credentials_unref(struct credentials *credentials);

const struct spiffe_id *credentials_id(const struct credentials *credentials);
uint64_t credentials_generation(const struct credentials *credentials);
int64_t credentials_not_before(const struct credentials *credentials); // of the leaf, seconds since 1970
int64_t credentials_not_after(const struct credentials *credentials);
const char *credentials_serial(const struct credentials *credentials); // of the leaf, hexadecimal
const struct trust_bundle *credentials_bundle(const struct credentials *credentials);
const struct ca_set *credentials_authorities(const struct credentials *credentials);

// Whether a live peer's certificates would still be accepted under these credentials (after a change of bundle or set). True where the peer showed none.
bool tls_peer_still_trusted(struct transport *tls, const struct credentials *credentials);

// How long the peer's leaf is still good; UINT64_MAX where there is no leaf. Whoever owns the connection ends it by then.
nanoseconds tls_peer_left(const struct transport *tls);

// No connection outlives its peer's leaf: this long before it takes nothing new, so that what is on it can end. A quarter of what was left when it was made at most.
#define TLS_LAST_CALL_NS (10 * NS_PER_S)
static inline nanoseconds tls_last_call(nanoseconds left) {
    return left / 4 < TLS_LAST_CALL_NS ? left / 4 : TLS_LAST_CALL_NS;
}

// Why the handshake has failed; CLOSED as long as it has not.
enum tls_failure tls_failure_of(const struct transport *tls);

// The name that the client of a server's transport has asked for (SNI), as it wrote it; empty: none. Valid until closed.
struct bytes tls_server_name(const struct transport *tls);

// True where the handshake was resumed from a ticket.
bool tls_was_resumed(const struct transport *tls);

// Names of application protocols (ALPN). What it points to must be constant.
struct tls_protocols {
    const struct bytes *names; // most wanted first
    uint32_t count;            // 0: outrigger/1, h2, http/1.1; toward a server outside the mesh: none
    bool takes_any;            // of a server: what clients offer is not looked at, and they get none
};

struct tls_server_options {
    struct credentials *credentials;
    bool require_client;            // Strict and Permissive: the client must show an SVID of the bundle
    struct tls_protocols protocols; // those that the server chooses from, in its own order
    nanoseconds handshake_timeout;  // then `ready` tells ERROR_TLS_FAILED; 0: none
    struct tls_counters *counters;  // of this worker; NULL: not counted
};

// Takes over `lower`, which is connected (its handler is replaced, closing closes it). `ready` comes once the handshake is made or has failed, and may come with
// ERROR_TLS_FAILED. Bytes that were already read from `lower` (detection) are taken out of `early`, which may be NULL.
// Reading is stopped until read_start, but for the handshake.
//
// `ended` tells ERROR_CONNECTION_CLOSED only after the peer's close_notify: a bare FIN is an attacker's way of cutting a message short, and told as
// ERROR_CONNECTION_RESET. A client whose certificate the server refuses learns it after its own handshake: `ended` tells ERROR_TLS_FAILED then, which says that the
// server's handshake did not finish: no byte came of it, and none of what was sent was given to its application.
struct transport *tls_server_create(struct transport *lower, const struct tls_server_options *options, struct buffer *early,
                                    const struct transport_handler *handler, void *user);

struct tls_client_options {
    struct credentials *credentials;
    const struct spiffe_id *identities; // one must be the peer's, else ERROR_IDENTITY_MISMATCH. Must live until `ready`
    uint32_t identity_count;            // 0: nobody is expected, every handshake fails
    const struct server_name *names;    // with credentials_create_origin in the place of identities: its certificate must be for one of them
    uint32_t name_count;
    struct bytes server_name;       // that it is asked for (SNI), NUL behind it; empty: none
    struct tls_protocols protocols; // those that are offered
    struct bytes
        session_key; // endpoint and who is expected: sessions are resumed under it, within one version of credentials. Empty: none is. Copied
    nanoseconds handshake_timeout; // 0: none
    struct tls_counters *counters; // of this worker; NULL: not counted
};

struct transport *tls_client_create(struct transport *lower, const struct tls_client_options *options, const struct transport_handler *handler,
                                    void *user);

// With TLS 1.3: one ticket on a server connection that chose no ALPN of the mesh, after its first request was answered; else nothing. None either on one that was itself resumed
// with a client's certificate from a ticket in the first half of its life. (With TLS 1.2, which only a gateway's clients may speak, a ticket is part of each full handshake.)
void tls_send_ticket(struct transport *tls);

#endif
