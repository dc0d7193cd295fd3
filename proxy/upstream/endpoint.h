// One address of a service as one worker sees it while it lives: its load as the balancer measures it, its pools of connections. Kept over snapshots by its
// key (address, TLS mode, identities). A service may have ten thousand, of which most see no request for a while: what only those need that do is apart.
#ifndef UPSTREAM_ENDPOINT_H
#define UPSTREAM_ENDPOINT_H

#include "base/clock.h"
#include "config/snapshot.h"
#include "upstream/conn_pool.h"
#include "upstream/endpoint_peer.h"
#include "upstream/live_shared.h"

struct breaker_state;
struct cluster;

// What an endpoint has once it was sent a request.
struct endpoint_links {
    struct conn_pool pools[POOL_KINDS];
    struct service_shared *shared; // of its cluster; outlives that with the last connection
    struct bytes text;             // its address; owned
    struct bytes session_key;      // under which sessions of TLS are kept: the keys of cluster, address and peer; owned
    struct bytes service_key;      // the cluster's, a piece of that
    // connections.keepalive of the newest snapshot that has it: connections that are still in use when it is retired are watched on
    nanoseconds keepalive;
    bool upgrades_by_http1; // it speaks HTTP/2 and does not take extended CONNECT there
    // numbers for people
    uint64_t requests;
    uint64_t failures;
    struct breaker_state *breaker; // one reference; NULL: it has none
    struct bytes tls_failure;      // why TLS toward it failed last; owned; empty: it never did
    struct list avoided;           // in cluster.avoided while UNAVAILABLE_AVOIDED
    nanoseconds avoided_until;
};

// Why an endpoint is not available: picked only when no other can be had that was not tried, or in a panic.
enum {
    UNAVAILABLE_AVOIDED = 1 << 0,   // for a moment: it is about to end, or could not be connected to
    UNAVAILABLE_EJECTED = 1 << 1,   // for a while: requests failed in a row
    UNAVAILABLE_UNHEALTHY = 1 << 2, // until a health check says otherwise
    UNAVAILABLE_BROKEN = 1 << 3,    // its circuit breaker refuses it: not even then
};

#define LEVEL_NONE UINT16_MAX

struct endpoint {
    // for the balancers: what each pick reads
    uint32_t in_flight; // attempts
    uint32_t weight;
    double cost_ns; // PeakEWMA: decaying peak of the response time
    nanoseconds cost_at;
    nanoseconds ramp_since;  // slow start: it is new since then; 0: it has all of its weight
    uint8_t unavailable;     // UNAVAILABLE_...; 0: it is available
    bool cost_is_penalty;    // it is not measured but stands for a failure; the next answer ends it
    bool is_wanted;          // while its cluster is updated: it stays
    uint16_t level;          // of cluster.levels that it is in; LEVEL_NONE: none, its weight is 0
    uint16_t locality;       // of cluster.localities
    struct cluster *cluster; // NULL once retired
    struct upstream *upstream;
    struct endpoint_peer *peer;   // one reference
    struct endpoint_links *links; // NULL: no request yet; owned
    // Its health, over all workers: once it has links, or is checked, and until it is retired. One reference (cluster_health.h).
    struct endpoint_shared *shared;
    uint32_t references; // one of the cluster, one for each attempt and each connection
    struct endpoint_address address;
};

struct endpoint *endpoint_create(struct cluster *cluster, const struct endpoint_config *config);
void endpoint_ref(struct endpoint *endpoint);
void endpoint_unref(struct endpoint *endpoint);

// It is to be sent a request: from now on it has links. The first time shares the state of all workers, under the lock of live_shared.
void endpoint_link(struct endpoint *endpoint);

// No longer picked: idle connections close now, the others when their streams end; who waits for a connection is failed with ERROR_NO_ENDPOINT. Drops the cluster's reference.
void endpoint_retire(struct endpoint *endpoint);

#endif
