// A service as one worker sees it while it lives: its endpoints, its balancer, its numbers. Outlives snapshots; found by the service's key.
#ifndef UPSTREAM_CLUSTER_H
#define UPSTREAM_CLUSTER_H

#include "telemetry/request_metrics.h"
#include "upstream/answer_times.h"
#include "upstream/endpoint.h"
#include "upstream/lb.h"
#include "upstream/upstream.h"

struct cluster {
    struct upstream *upstream;
    struct bytes key; // owned
    enum port_protocol protocol;
    struct traffic_config traffic; // of the newest snapshot; its texts are not used
    struct endpoint **endpoints;   // those that may be picked
    uint32_t endpoint_count;
    struct lb lb;
    nanoseconds avoided_until; // no endpoint's is later
    struct service_shared *shared;
    struct request_metrics metrics;
    struct answer_times answer_times; // where requests are hedged
    uint32_t waiting;                 // requests that wait for a connection
    uint32_t waiting_peak;
    uint64_t waiting_refused; // requests that found the queue full
    uint64_t applied;         // upstream.applied of the newest snapshot that has it
    uint32_t references;      // one while a snapshot has it, one for each stream that uses it
};

// One reference for the caller.
struct cluster *cluster_create(struct upstream *upstream, const struct service_config *config);

// Takes over changed settings and endpoints. Endpoints with a known key stay as they are, with their pools and load.
void cluster_update(struct cluster *cluster, const struct service_config *config);

void cluster_ref(struct cluster *cluster);

// With the last reference all endpoints are retired and the cluster is freed.
void cluster_unref(struct cluster *cluster);

// The endpoint for a new attempt, NULL when there is none. Those in `tried` (may hold NULL) are taken only when there is no other.
struct endpoint *cluster_pick(struct cluster *cluster, struct endpoint *const *tried, uint32_t tried_count);

// Whether there is one that can be picked and is none of `tried`.
bool cluster_has_untried(const struct cluster *cluster, struct endpoint *const *tried, uint32_t tried_count);

#endif
