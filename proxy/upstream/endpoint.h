// One address of a service as one worker sees it while it lives: its load as the balancer measures it, its pools of connections. Kept over snapshots by its
// key (address, TLS mode, identities).
#ifndef UPSTREAM_ENDPOINT_H
#define UPSTREAM_ENDPOINT_H

#include "base/clock.h"
#include "certs/spiffe_id.h"
#include "config/snapshot.h"
#include "upstream/conn_pool.h"
#include "upstream/live_shared.h"

struct cluster;

struct endpoint {
    struct cluster *cluster; // NULL once retired
    struct upstream *upstream;
    struct bytes key;        // owned, as all below
    struct bytes shared_key; // of endpoint_shared: the cluster's key and ours
    struct socket_address address;
    enum tls_mode tls;
    struct spiffe_id *identities;
    uint32_t identity_count;
    uint32_t weight;
    nanoseconds
        keepalive; // connections.keepalive of the newest snapshot that has it: connections that are still in use when it is retired are watched on
    struct endpoint_shared *shared;
    struct conn_pool pools[POOL_KINDS];
    // load, for the balancers
    uint32_t in_flight; // attempts
    double cost_ns;     // PeakEWMA: decaying peak of the response time
    nanoseconds cost_at;
    bool cost_is_penalty;      // it is not measured but stands for a failure; the next answer ends it
    int64_t turn;              // RoundRobin with weights: the largest is next
    nanoseconds avoided_until; // it is about to end, or not there: picked only when no other can be had that was not tried
    // numbers for people
    uint64_t requests;
    uint64_t failures;
    uint64_t connections_refused; // times that connections.max let none more be opened
    uint32_t references;          // one of the cluster, one for each attempt and each connection
};

struct endpoint *endpoint_create(struct cluster *cluster, const struct endpoint_config *config);
void endpoint_ref(struct endpoint *endpoint);
void endpoint_unref(struct endpoint *endpoint);

// No longer picked: idle connections close now, the others when their streams end; who waits for a connection is failed with ERROR_NO_ENDPOINT. Drops the cluster's reference.
void endpoint_retire(struct endpoint *endpoint);

#endif
