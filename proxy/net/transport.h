// A transport carries bytes both ways for one connection: net/tcp, net/tls above it, and a fake one in tests.
//
// Owner:      a connection. It embeds nothing: transports are created and closed.
// Start:      the creating function; when it was given a connection still to be made, `ready` comes once, later, never from within the start.
// Callbacks:  struct transport_handler; they record and wake. `bytes` only between read_start and read_stop; `ended` at most twice (an orderly end, then a break).
// Cancel:     `close`, at any time, also from within a callback; no callback but `closed` comes after it.
// Memory:     the transport frees itself on the loop's closing list, after `closed`.
#ifndef NET_TRANSPORT_H
#define NET_TRANSPORT_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/metric_cell.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

struct loop;
struct transport;
struct spiffe_id;

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

struct transport_handler {
    // The connection (and the handshake) is made (OK) or has failed; then only close is allowed.
    void (*ready)(void *user, enum error error);

    // Bytes read, inside `block`; take a reference to keep them. All of them are the user's. After read_stop inside this callback no further read is made, but
    // pieces of the same read may still follow.
    void (*bytes)(void *user, struct block *block, struct bytes in);

    // No more bytes will come: ERROR_CONNECTION_CLOSED, the peer ended its side in order (ours may go on), else the connection is broken. Comes also while reading is
    // stopped where the break is noticed (reset); an orderly end is told only once all bytes before it were.
    void (*ended)(void *user, enum error error);

    // A flush had left bytes in `out`, the rest was sent meanwhile, and `out` is now under LIMIT_OUTPUT_BYTES / 2: there is room for more. After shutdown: some
    // of what was left, here or below, was sent. Comes for what was sent by itself only: after its own call of flush the user looks at out.length.
    void (*drained)(void *user);

    // After `close`: the user may be freed.
    void (*closed)(void *user);
};

// vtable: 5 slots.
struct transport_ops {
    void (*read_start)(struct transport *transport);
    void (*read_stop)(struct transport *transport);

    // Sends of `out` what the peer takes now; the rest follows by itself. A broken connection is told by `ended`, later in the turn.
    void (*flush)(struct transport *transport);

    // Ends our side in order (FIN, close_notify) once `out` was sent.
    void (*shutdown)(struct transport *transport);

    // Closes at once; what is in `out`, or below, is dropped (transport_has_output). With `reset` the peer is told by RST where the transport can.
    void (*close)(struct transport *transport, bool reset);
};

struct transport {
    const struct transport_ops *ops;
    const struct transport_handler *handler;
    void *user;
    struct loop *loop;
    struct transport *lower; // what carries this one; NULL: a socket does
    struct buffer out;       // appended to by the user, then flush (once a turn)
    union address peer;
    union address local;
    struct bytes alpn;               // TLS: the protocol chosen; empty: none. Valid until closed
    const struct spiffe_id *peer_id; // TLS with a checked client or server SVID; else NULL. Valid until closed
    const char *failure;             // a short text on why `ready` or `ended` told an error; NULL: nothing more to say. Valid until closed
    uint64_t bytes_in;               // as the user sees them: over TLS those of its records are in the lower transport's
    uint64_t bytes_out;
    struct metric_cell
        *total_in; // set by the user of a socket's transport, before it puts TLS above: grow with bytes_in and bytes_out. NULL: nobody counts
    struct metric_cell *total_out;
    bool secure; // TLS
    bool
        reset_after_bytes; // set by the user: a reset is told only after the bytes before it, even when reading is off (upstream: an answer counts). Else at once
};

// For transports that move bytes: `count` more were read, or written.
static inline void transport_count_in(struct transport *transport, size_t count) {
    transport->bytes_in += count;
    if (transport->total_in != NULL)
        metric_add(transport->total_in, count);
}

static inline void transport_count_out(struct transport *transport, size_t count) {
    transport->bytes_out += count;
    if (transport->total_out != NULL)
        metric_add(transport->total_out, count);
}

// Bytes that were not given to the kernel yet: to close now would lose them.
static inline bool transport_has_output(const struct transport *transport) {
    while (transport != NULL && buffer_is_empty(&transport->out))
        transport = transport->lower;
    return transport != NULL;
}

#endif
