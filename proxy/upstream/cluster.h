// A service as one worker sees it while it lives: its endpoints, its balancer, its numbers. Outlives snapshots; found by the service's key.
#ifndef UPSTREAM_CLUSTER_H
#define UPSTREAM_CLUSTER_H

#include "upstream/answer_times.h"
#include "upstream/conn_places.h"
#include "upstream/endpoint.h"
#include "upstream/endpoint_set.h"
#include "upstream/lb_levels.h"
#include "upstream/upstream.h"

// What requests of the proxy's own are made for. Each kind has bounds of its own (stream/subrequest.h).
enum subrequest_kind {
    SUBREQUEST_AGENT,     // somebody decides about a request
    SUBREQUEST_KEYS,      // tokens are verified with them
    SUBREQUEST_MIRROR,    // nobody waits
    SUBREQUEST_DRY_RUN,   // somebody says what he would decide; nobody waits
    SUBREQUEST_TELEMETRY, // what the proxy tells of itself and of requests
    SUBREQUEST_KINDS
};

struct cluster {
    struct upstream *upstream;
    struct bytes key; // owned
    enum port_protocol protocol;
    uint64_t config_digest; // of the service_config that it is as
    struct traffic_config
        traffic; // of its own, without texts but the regions of its localities, and whose its breaker and its ejection are: snapshots come and go while nothing changes
    struct endpoint **endpoints; // in the order of the documents
    uint32_t endpoint_count;
    struct localities localities; // of the endpoints
    struct lb_levels levels;      // of those that may be picked
    uint64_t levels_digest;       // of all that they were made from
    uint32_t health_seen;         // service_shared.health_version when health was last looked at (cluster_health.h)
    nanoseconds health_next;      // not looked at before
    struct timer health_timer;    // an ejection ends
    struct list avoided;          // struct endpoint_links.avoided, those first that end first
    uint64_t breaker_changes;     // service_shared.breaker_changes that UNAVAILABLE_BROKEN goes by
    nanoseconds breakers_due;     // until when it does
    enum resolution resolution;
    struct endpoint_set *set; // not Static: the newest that came, one reference; NULL: none yet
    struct list awaiting;     // struct endpoint_wait.link
    struct list bound;        // struct bound_destination.of_cluster: of all snapshots that have it
    struct service_shared *shared;
    struct conn_places places;
    struct answer_times answer_times; // where requests are hedged
    uint32_t waiting;                 // requests that wait for a connection, or for the first answer of a name server
    uint32_t waiting_peak;
    uint64_t waiting_refused;               // requests that found the queue full
    uint32_t subrequests[SUBREQUEST_KINDS]; // to it, that are not over: of all snapshots that have it
    uint64_t applied;                       // upstream.applied of the newest snapshot that has it
    bool is_dropped;                        // no snapshot has it any more: what is idle is closed
    uint32_t references;                    // one while a snapshot has it, one for each stream that uses it
};

// One reference for the caller.
struct cluster *cluster_create(struct upstream *upstream, const struct service_config *config);

// Takes over changed settings and endpoints. Endpoints with a known key stay as they are, with their pools and load.
void cluster_update(struct cluster *cluster, const struct service_config *config);

// The addresses of its names, when they are looked up: takes over the reference. Endpoints stay and go as in cluster_update; who waits for the first is woken.
void cluster_set_endpoints(struct cluster *cluster, struct endpoint_set *set);

// Why there is no endpoint: CANCELLED where the first answer of a name server is still to come. `detail` is valid until the cluster gets other endpoints.
enum error cluster_why_none(const struct cluster *cluster, struct bytes *detail);

void cluster_ref(struct cluster *cluster);

// The newest snapshot does not have it: drops that reference. Connections that carry nothing close now, others with their last stream; streams of older snapshots may still open some.
void cluster_drop(struct cluster *cluster);

// With the last reference all endpoints are retired and the cluster is freed.
void cluster_unref(struct cluster *cluster);

// The endpoint for a new attempt, NULL when there is none. Those in `tried` (may hold NULL) are taken only when there is no other. `key` (may be NULL) leads to the same
// endpoint where the algorithm goes by one.
struct endpoint *cluster_pick(struct cluster *cluster, struct endpoint *const *tried, uint32_t tried_count, const uint64_t *key);

// Of a service that has no endpoints of its own (is_passthrough): one for `address` alone, which nobody else picks. Retired by whoever asked, once, when it has no use for
// it any more.
struct endpoint *cluster_passthrough(struct cluster *cluster, const struct sockaddr *address);

// Whether there is one that can be picked and is none of `tried`.
bool cluster_has_untried(const struct cluster *cluster, struct endpoint *const *tried, uint32_t tried_count);

// An attempt begins on an endpoint that was picked; it has its outcome, `elapsed` after it was sent: exactly once for each begin.
void cluster_begin(struct cluster *cluster, struct endpoint *endpoint);
void cluster_done(struct cluster *cluster, struct endpoint *endpoint, enum lb_outcome outcome, nanoseconds elapsed);

// Sets one of UNAVAILABLE_..., or takes it back. Harmless on one that is retired.
void cluster_set_unavailable(struct endpoint *endpoint, unsigned reason, bool unavailable);

// It has links. UNAVAILABLE_AVOIDED until then; `until` never goes back from one call to the next. And the end of it before its time.
void cluster_avoid(struct endpoint *endpoint, nanoseconds until);
void cluster_avoid_no_more(struct endpoint *endpoint);

#endif
