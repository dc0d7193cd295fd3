// See live_shared.h: two maps under one mutex, taken only when clusters and endpoints come and go.
#include "upstream/live_shared.h"

#include "base/check.h"
#include "base/map.h"
#include "base/pool.h"

#include <pthread.h>
#include <stdlib.h>

struct live_shared {
    pthread_mutex_t lock;
    struct map services;
    struct map endpoints;
};

struct live_shared *live_shared_create(void) {
    struct live_shared *shared = alloc_zeroed_or_abort(1, sizeof *shared);
    pthread_mutex_init(&shared->lock, NULL);
    map_init(&shared->services);
    map_init(&shared->endpoints);
    return shared;
}

void live_shared_destroy(struct live_shared *shared) {
    CHECK(shared->services.count == 0 && shared->endpoints.count == 0);
    map_dispose(&shared->services);
    map_dispose(&shared->endpoints);
    pthread_mutex_destroy(&shared->lock);
    free(shared);
}

struct service_shared *live_shared_service(struct live_shared *shared, struct bytes key) {
    pthread_mutex_lock(&shared->lock);
    struct service_shared *service = map_get(&shared->services, key);
    if (service == NULL) {
        service = alloc_zeroed_or_abort(1, sizeof *service);
        map_put(&shared->services, key, service);
    }
    service->references++;
    pthread_mutex_unlock(&shared->lock);
    return service;
}

void live_shared_service_release(struct live_shared *shared, struct bytes key) {
    pthread_mutex_lock(&shared->lock);
    struct service_shared *service = map_get(&shared->services, key);
    CHECK(service != NULL && service->references > 0);
    if (--service->references == 0) {
        map_remove(&shared->services, key);
        free(service);
    }
    pthread_mutex_unlock(&shared->lock);
}

struct endpoint_shared *live_shared_endpoint(struct live_shared *shared, struct bytes key) {
    pthread_mutex_lock(&shared->lock);
    struct endpoint_shared *endpoint = map_get(&shared->endpoints, key);
    if (endpoint == NULL) {
        endpoint = alloc_zeroed_or_abort(1, sizeof *endpoint);
        map_put(&shared->endpoints, key, endpoint);
    }
    endpoint->references++;
    pthread_mutex_unlock(&shared->lock);
    return endpoint;
}

void live_shared_endpoint_release(struct live_shared *shared, struct bytes key) {
    pthread_mutex_lock(&shared->lock);
    struct endpoint_shared *endpoint = map_get(&shared->endpoints, key);
    CHECK(endpoint != NULL && endpoint->references > 0);
    if (--endpoint->references == 0) {
        map_remove(&shared->endpoints, key);
        free(endpoint);
    }
    pthread_mutex_unlock(&shared->lock);
}
