// The upstream side of one worker: its clusters, by key, and what they share (loop, credentials, counters). Live state that outlives snapshots hangs here.
// How clusters follow a snapshot stands in upstream_change.h.
#ifndef UPSTREAM_UPSTREAM_H
#define UPSTREAM_UPSTREAM_H

#include "base/list.h"
#include "base/map.h"
#include "config/snapshot.h"
#include "http/h2_codec.h"
#include "net/loop.h"
#include "net/tls.h"
#include "net/tls_counters.h"
#include "telemetry/request_series.h"
#include "telemetry/worker_metrics.h"
#include "upstream/endpoint_set.h"
#include "upstream/live_shared.h"

struct endpoint_peer;
struct policy_states;

struct upstream {
    // How connections are made: tcp_connect; tests put a fake transport in its place.
    enum error (*connect)(struct loop *loop, const struct sockaddr *address, socklen_t length, const struct transport_handler *handler, void *user,
                          struct transport **transport);
    struct loop *loop;
    struct worker_metrics *metrics;
    struct live_shared *shared;           // over all workers of the process
    const struct policy_states *policies; // the same: live state of policies; NULL: endpoints have no breakers
    struct h2_memory *h2_memory;          // borrowed
    struct credentials *credentials;      // our SVID; NULL: none yet. One reference
    struct map authorities;               // ca_set_config.key -> struct credentials toward origins, one reference each
    struct codec_limits codec_limits;     // of responses
    uint32_t buffer_per_stream;
    struct bytes zone, region;        // where we are; owned
    struct map clusters;              // service key -> struct cluster; those of the newest snapshot
    struct series_set series;         // of requests; their scopes are those that bound snapshots have
    struct task series_task;          // some of those that have left go, in each turn
    struct map peers;                 // endpoint_peer.key -> struct endpoint_peer; those of endpoints that live
    struct list live;                 // struct upstream_conn.live: all, the newest first, also of clusters and endpoints that only streams still hold
    uint64_t connections_made;        // numbers them
    struct tls_counters tls_counters; // of the worker, its server side too
    uint64_t applied;                 // how many snapshots were
    uint32_t connections;             // open or closing: upstream_dispose waits for none
    bool ended;                       // upstream_close_all was called: no connection is made any more
};

void upstream_init(struct upstream *upstream, struct loop *loop, struct worker_metrics *metrics, struct live_shared *shared,
                   struct h2_memory *h2_memory);

// What names of endpoints lead to, by a look-up: takes over the reference. Nothing happens where the service is gone.
void upstream_set_endpoints(struct upstream *upstream, struct endpoint_set *set);

// New credentials: connections made with older ones take no new streams and close when their streams end; those whose peer is no longer trusted after
// TLS_LAST_CALL_NS at the latest.
void upstream_set_credentials(struct upstream *upstream, struct credentials *credentials);

// A CA set as it is now. As above for the connections to servers that it speaks for.
void upstream_set_authorities(struct upstream *upstream, struct bytes key, struct credentials *credentials);

// No service names the set any more; nothing happens where it has a newer version.
void upstream_drop_authorities(struct upstream *upstream, struct bytes key, const struct credentials *credentials);

// What connections to that peer are made with; NULL: it is not there yet, or not needed. Borrowed.
struct credentials *upstream_credentials(const struct upstream *upstream, const struct endpoint_peer *peer);

// False: no connection to that peer can be made yet, whoever is there.
bool upstream_has_credentials(const struct upstream *upstream, const struct endpoint_peer *peer);

// One reference to a scope of the worker's series goes.
void upstream_unref_series(struct upstream *upstream, struct series_scope *scope);

// Series that have left may be forgotten now: a reading is over.
void upstream_tidy_series(struct upstream *upstream);

// Another worker has requests that wait for a connection of a service that has as many as it may, over all workers: closes an idle one of ours.
void upstream_give_places(struct upstream *upstream);

// Closes connections that carry nothing.
void upstream_close_idle(struct upstream *upstream);

// Closes every connection at once; who waits for one waits in vain. The loop must still turn for them to go.
void upstream_close_all(struct upstream *upstream);

// After upstream_close_all and when no stream is left.
void upstream_dispose(struct upstream *upstream);

#endif
