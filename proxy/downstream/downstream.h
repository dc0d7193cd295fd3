// The downstream side of one worker: its listeners by name, and the connections that came in on them.
//
// Sockets are accepted elsewhere (app/acceptor) and handed over here. Which configuration a request is served by is read when it begins, not when its connection did.
#ifndef DOWNSTREAM_DOWNSTREAM_H
#define DOWNSTREAM_DOWNSTREAM_H

#include "base/list.h"
#include "base/map.h"
#include "downstream/server_first.h"
#include "net/tls.h"
#include "stream/stream.h"

#include <stdatomic.h>

struct downstream;

// One listener as a worker sees it while it lives; found by its name.
struct downstream_listener {
    struct downstream *downstream;
    struct bytes name;                    // owned
    struct bound_snapshot *bound;         // one pin: the newest snapshot that has the listener
    const struct listener_config *config; // in it
    struct credentials *edge;             // of a gateway's socket that ends TLS, one reference; NULL: none yet, or it does not
    struct listener_shared *shared;       // over all workers: how many connections are open
    struct list connections;
    uint32_t connection_count;
    struct list removed; // linked: no snapshot has it any more; freed with its last connection
};

struct downstream {
    // How an accepted socket becomes a transport: tcp_adopt; tests put a fake one in its place.
    enum error (*adopt)(struct loop *loop, int socket, const struct transport_handler *handler, void *user, struct transport **transport);
    struct stream_env *env;
    struct h2_memory *h2_memory;     // borrowed
    struct credentials *credentials; // one reference; NULL: none yet
    struct map listeners;
    struct server_first server_first;
    struct list removed;          // listeners that are gone but for their connections
    struct list live;             // struct server_conn.live: all connections, the newest first
    uint64_t connections_made;    // numbers them
    _Atomic uint32_t connections; // read by the acceptor, to choose the worker with the fewest
    uint32_t handshakes;          // connections in one
    bool draining;
    bool refuses_connections; // memory is short
};

void downstream_init(struct downstream *downstream, struct stream_env *env, struct h2_memory *h2_memory);

// Listeners follow the snapshot; connections of one that is gone are drained. For switchover.
void downstream_apply(struct downstream *downstream, struct bound_snapshot *bound);

// New credentials serve new connections; live ones whose peer is no longer trusted are drained.
void downstream_set_credentials(struct downstream *downstream, struct credentials *credentials);

// Certificates of a gateway's socket, for new connections; those that are open go on; NULL: there are none to show. Without a listener of that name nothing happens.
void downstream_set_edge(struct downstream *downstream, struct bytes listener, struct credentials *credentials);

// Takes over a socket that was accepted for the listener of that name; closes it when there is no such listener or no room.
void downstream_accept(struct downstream *downstream, struct bytes listener, int socket);

// Whether there is a listener of that name, and at that address.
bool downstream_stands_at(const struct downstream *downstream, struct bytes listener, const struct socket_address *address);

// From server_conn: a connection is gone.
void downstream_connection_gone(struct downstream_listener *listener);

// Inbound connections are told to begin nothing new; new ones are still accepted and told the same. Outbound ones go on, unless they are told too.
void downstream_drain(struct downstream *downstream, bool outbound_too);

// Connections that carry nothing are told the same, and close.
void downstream_drain_idle(struct downstream *downstream);

// Inbound connections that are open.
uint32_t downstream_inbound_count(const struct downstream *downstream);

// Closes every connection at once. The loop must still turn for them to go.
void downstream_close_all(struct downstream *downstream);

// When no connection is left.
void downstream_dispose(struct downstream *downstream);

#endif
