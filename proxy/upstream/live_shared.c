// See live_shared.h: two maps and the workers under one mutex. It is taken when clusters, listeners and workers come and go, endpoints that are used too, and when a pool begins to starve.
#include "upstream/live_shared.h"

#include "base/check.h"
#include "base/map.h"
#include "base/pool.h"
#include "net/loop.h"
#include "telemetry/health_metrics.h"
#include "telemetry/series_registry.h"
#include "upstream/upstream.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

#define MEMBERS_MAX 16 // workers

_Static_assert(offsetof(struct service_shared, life) == 0 && offsetof(struct listener_shared, life) == 0 &&
                   offsetof(struct endpoint_shared, life) == 0,
               "get and release know them by their life");

struct live_shared {
    pthread_mutex_t lock;
    struct {
        struct loop *loop;
        struct upstream *upstream;
    } members[MEMBERS_MAX];
    struct map services;
    struct map listeners;
    struct map endpoints;
    struct series_registry *series; // has a lock of its own
    struct health_series gone;
};

struct live_shared *live_shared_create(void) {
    struct live_shared *shared = alloc_zeroed_or_abort(1, sizeof *shared);
    pthread_mutex_init(&shared->lock, NULL);
    map_init(&shared->services);
    map_init(&shared->listeners);
    map_init(&shared->endpoints);
    shared->series = series_registry_create();
    return shared;
}

void live_shared_destroy(struct live_shared *shared) {
    CHECK(shared->services.count == 0 && shared->listeners.count == 0 && shared->endpoints.count == 0);
    map_dispose(&shared->services);
    map_dispose(&shared->listeners);
    map_dispose(&shared->endpoints);
    series_registry_destroy(shared->series);
    pthread_mutex_destroy(&shared->lock);
    free(shared);
}

struct series_registry *live_shared_series(struct live_shared *shared) {
    return shared->series;
}

// The object for `key`, of `size` bytes of which the first are its struct shared_life; made when new, all zero.
static void *get(struct live_shared *shared, struct map *map, struct bytes key, size_t size) {
    pthread_mutex_lock(&shared->lock);
    struct shared_life *life = map_get(map, key);
    if (life == NULL) {
        life = alloc_zeroed_or_abort(1, size);
        life->begun = clock_wall_ns();
        map_put(map, key, life);
    }
    life->references++;
    pthread_mutex_unlock(&shared->lock);
    return life;
}

// Its last user is gone: what it has counted is to be kept. Under the lock.
typedef void last_of(struct live_shared *shared, struct shared_life *life);

static void release(struct live_shared *shared, struct map *map, struct bytes key, last_of *keep) {
    pthread_mutex_lock(&shared->lock);
    struct shared_life *life = map_get(map, key);
    CHECK(life != NULL && life->references > 0);
    if (--life->references == 0) {
        if (keep != NULL)
            keep(shared, life);
        map_remove(map, key);
        free(life);
    }
    pthread_mutex_unlock(&shared->lock);
}

static uint64_t value_of(const _Atomic uint64_t *counter) {
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void keep_health(struct live_shared *shared, struct shared_life *life) {
    const struct service_shared *service = CONTAINER_OF(life, struct service_shared, life);
    struct health_series *gone = &shared->gone;
    gone->ejections += value_of(&service->outliers.ejections);
    gone->shadow_ejections += value_of(&service->outliers.shadow_ejections);
    gone->refused += value_of(&service->outliers.refused);
    gone->passed += value_of(&service->checks.passed);
    gone->failed += value_of(&service->checks.failed);
    gone->became_unhealthy += value_of(&service->checks.became_unhealthy);
    gone->became_healthy += value_of(&service->checks.became_healthy);
}

void live_shared_gone(struct live_shared *shared, struct health_series *gone) {
    pthread_mutex_lock(&shared->lock);
    *gone = shared->gone;
    pthread_mutex_unlock(&shared->lock);
}

struct service_shared *live_shared_service(struct live_shared *shared, struct bytes key) {
    return get(shared, &shared->services, key, sizeof(struct service_shared));
}

void live_shared_service_release(struct live_shared *shared, struct bytes key) {
    release(shared, &shared->services, key, keep_health);
}

struct listener_shared *live_shared_listener(struct live_shared *shared, struct bytes name) {
    return get(shared, &shared->listeners, name, sizeof(struct listener_shared));
}

void live_shared_listener_release(struct live_shared *shared, struct bytes name) {
    release(shared, &shared->listeners, name, NULL);
}

struct endpoint_shared *live_shared_endpoint(struct live_shared *shared, struct bytes key) {
    pthread_mutex_lock(&shared->lock);
    struct endpoint_shared *endpoint = map_get(&shared->endpoints, key);
    if (endpoint == NULL) {
        endpoint = alloc_zeroed_or_abort(1, sizeof *endpoint);
        endpoint->key = bytes_keep(key);
        map_put(&shared->endpoints, endpoint->key, endpoint);
    }
    endpoint->life.references++;
    pthread_mutex_unlock(&shared->lock);
    return endpoint;
}

void live_shared_endpoint_release(struct live_shared *shared, struct endpoint_shared *endpoint, struct service_shared *service) {
    pthread_mutex_lock(&shared->lock);
    CHECK(endpoint->life.references > 0);
    if (--endpoint->life.references == 0) {
        map_remove(&shared->endpoints, endpoint->key);
        outlier_dispose(&endpoint->outlier, &service->outliers);
        bytes_drop(&endpoint->key);
        free(endpoint);
    }
    pthread_mutex_unlock(&shared->lock);
}

bool listener_shared_take(struct listener_shared *listener, uint32_t max) {
    uint32_t before = atomic_fetch_add_explicit(&listener->connections, 1, memory_order_relaxed);
    if (before >= max) {
        atomic_fetch_sub_explicit(&listener->connections, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&listener->refused, 1, memory_order_relaxed);
        return false;
    }
    peak_note(&listener->connections_peak, before + 1);
    return true;
}

void listener_shared_give_back(struct listener_shared *listener) {
    uint32_t before = atomic_fetch_sub_explicit(&listener->connections, 1, memory_order_relaxed);
    CHECK(before > 0);
}

void live_shared_join(struct live_shared *shared, struct loop *loop, struct upstream *upstream) {
    pthread_mutex_lock(&shared->lock);
    uint32_t place = 0;
    while (place < MEMBERS_MAX && shared->members[place].upstream != NULL)
        place++;
    CHECK(place < MEMBERS_MAX);
    shared->members[place].loop = loop;
    shared->members[place].upstream = upstream;
    pthread_mutex_unlock(&shared->lock);
}

void live_shared_leave(struct live_shared *shared, const struct upstream *upstream) {
    pthread_mutex_lock(&shared->lock);
    for (uint32_t i = 0; i < MEMBERS_MAX; i++)
        if (shared->members[i].upstream == upstream)
            shared->members[i].upstream = NULL;
    pthread_mutex_unlock(&shared->lock);
}

static void give_places(void *receiver, void *argument) {
    (void)receiver;
    upstream_give_places(argument);
}

void live_shared_tell_starved(struct live_shared *shared, const struct upstream *teller) {
    // Under the lock, so that no loop is told that has ended. One whose mailbox is full is not told again: connections there that end give their place up in any
    // case, and the teller looks for it now and then (conn_pool).
    pthread_mutex_lock(&shared->lock);
    for (uint32_t i = 0; i < MEMBERS_MAX; i++) {
        struct upstream *upstream = shared->members[i].upstream;
        if (upstream != NULL && upstream != teller && loop_send(shared->members[i].loop, give_places, upstream) != OK)
            metric_add(&teller->metrics->starvation_untold, 1);
    }
    pthread_mutex_unlock(&shared->lock);
}
