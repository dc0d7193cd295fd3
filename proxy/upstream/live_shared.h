// Live state that all workers of a process share exactly: retry budgets and open connections by service, the health of endpoints, open connections by listener. Found by key when a snapshot is
// applied, and at an endpoint's first request (under a lock, off the busy path), then used through atomics alone; only a pool that begins to starve takes the lock, to tell the other workers.
#ifndef UPSTREAM_LIVE_SHARED_H
#define UPSTREAM_LIVE_SHARED_H

#include "base/bytes.h"
#include "upstream/endpoint_shared.h"
#include "upstream/retry_budget.h"

#include <stdatomic.h>
#include <stdbool.h>

struct live_shared;
struct series_registry;
struct health_series;

// Of a service with healthCheck. The checker alone writes it.
struct health_counts {
    _Atomic uint32_t unhealthy; // endpoints, now
    _Atomic uint64_t passed, failed;
    _Atomic uint64_t became_unhealthy, became_healthy;
};

struct service_shared {
    struct shared_life life;
    struct retry_budget budget;
    struct retry_budget hedges; // the share of requests that are hedged
    // connections.max (conn_places)
    _Atomic uint32_t connections;
    _Atomic uint32_t connections_peak;
    _Atomic uint32_t starved;    // pools, over all workers
    _Atomic uint32_t owed;       // of them: connections are to be given up for these though others wait there
    _Atomic uint32_t promised;   // connections that take no new streams for that
    _Atomic uint64_t owed_first; // conn_pool.owed_at of who is owed one for longest; 0: nobody has said so
    // health of its endpoints (cluster_health)
    _Atomic uint32_t health_version; // another one: something is to be looked at
    struct outlier_counts outliers;
    struct health_counts checks;
    _Atomic uint64_t breaker_changes; // of its endpoints' breakers (endpoint_breaker.h)
};

struct listener_shared {
    struct shared_life life;
    _Atomic uint32_t connections;
    _Atomic uint32_t connections_peak;
    _Atomic uint64_t refused; // for want of room
};

// Raises a high-water mark. Any worker.
static inline void peak_note(_Atomic uint32_t *peak, uint32_t use) {
    uint32_t before = atomic_load_explicit(peak, memory_order_relaxed);
    while (use > before && !atomic_compare_exchange_weak_explicit(peak, &before, use, memory_order_relaxed, memory_order_relaxed))
        continue;
}

struct loop;
struct upstream;

struct live_shared *live_shared_create(void);
void live_shared_destroy(struct live_shared *shared);

// Which series of requests there are: telemetry/series_registry.h.
struct series_registry *live_shared_series(struct live_shared *shared);

// What services had counted of their endpoints' health that are there no more. Any thread.
void live_shared_gone(struct live_shared *shared, struct health_series *gone);

// Any thread. The object for that key, made when new; one reference each, given back by the _release functions.
struct service_shared *live_shared_service(struct live_shared *shared, struct bytes key);
void live_shared_service_release(struct live_shared *shared, struct bytes key);
struct listener_shared *live_shared_listener(struct live_shared *shared, struct bytes name);
void live_shared_listener_release(struct live_shared *shared, struct bytes name);

// The state of the endpoint of that key. Given back with that of its service, which the caller has.
struct endpoint_shared *live_shared_endpoint(struct live_shared *shared, struct bytes key);
void live_shared_endpoint_release(struct live_shared *shared, struct endpoint_shared *endpoint, struct service_shared *service);

// Takes the place of one connection, of `max` that there are; false when all are taken. Any worker.
bool listener_shared_take(struct listener_shared *listener, uint32_t max);
void listener_shared_give_back(struct listener_shared *listener);

// The workers that share it: from upstream_init to upstream_close_all, each on its own thread.
void live_shared_join(struct live_shared *shared, struct loop *loop, struct upstream *upstream);
void live_shared_leave(struct live_shared *shared, const struct upstream *upstream);

// Any worker: one of its pools is starved. The others are told to close an idle connection of that service (upstream_give_places).
void live_shared_tell_starved(struct live_shared *shared, const struct upstream *teller);

#endif
