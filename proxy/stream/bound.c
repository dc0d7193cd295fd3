// Binds a snapshot to a worker's live clusters and builds the chains; gives all back with the last pin.
#include "stream/bound.h"

#include "base/check.h"

#include <stdlib.h>

static enum filter_role role_of(const struct snapshot *snapshot, const struct service_config *service) {
    for (uint32_t i = 0; i < snapshot->proxy.listener_count; i++)
        if (snapshot->proxy.listeners[i].service == service)
            return FILTER_INBOUND;
    return FILTER_OUTBOUND;
}

struct bound_snapshot *bound_create(struct upstream *upstream, struct snapshot *snapshot, const struct filter_type *const *filters) {
    struct bound_snapshot *bound = alloc_zeroed_or_abort(1, sizeof *bound);
    bound->snapshot = snapshot;
    bound->pins = 1;
    pool_source_init(&bound->chunks, 0);
    pool_init(&bound->pool, &bound->chunks);
    bound->services = alloc_zeroed_or_abort(snapshot->service_count + 1, sizeof bound->services[0]);
    for (uint32_t i = 0; i < snapshot->service_count; i++) {
        const struct service_config *config = snapshot->services[i];
        struct cluster *cluster = map_get(&upstream->clusters, config->key);
        CHECK(cluster != NULL && config->index == i);
        cluster_ref(cluster);
        enum filter_role role = role_of(snapshot, config);
        bound->services[i] = (struct bound_service){
            .config = config,
            .cluster = cluster,
            .chain = chain_build(filters, config, role, &bound->pool),
            .role = role,
        };
    }
    return bound;
}

static void dispose_filters(struct bound_service *service) {
    for (uint32_t i = 0; i < service->chain->count; i++) {
        const struct filter *filter = &service->chain->filters[i];
        if (filter->type->ops.dispose != NULL)
            filter->type->ops.dispose(filter->config);
    }
}

void bound_unpin(struct bound_snapshot *bound) {
    CHECK(bound->pins > 0);
    if (--bound->pins > 0)
        return;
    for (uint32_t i = 0; i < bound->snapshot->service_count; i++) {
        dispose_filters(&bound->services[i]);
        cluster_unref(bound->services[i].cluster);
    }
    free(bound->services);
    pool_dispose(&bound->pool);
    pool_source_dispose(&bound->chunks);
    snapshot_unref(bound->snapshot);
    free(bound);
}

struct bound_service *bound_find(struct bound_snapshot *bound, const struct service_config *service) {
    CHECK(service->index < bound->snapshot->service_count);
    return &bound->services[service->index];
}

struct bound_service *bound_find_host(struct bound_snapshot *bound, struct bytes authority) {
    if (authority.len == 0)
        return NULL;
    size_t place = (authority.len + (unsigned char)authority.at[authority.len - 1]) % BOUND_HOSTS;
    struct bound_host *known = &bound->hosts[place];
    if (known->service != NULL && bytes_equal(authority, bytes_from(known->authority, known->length)))
        return known->service;
    const struct service_config *config = snapshot_find_host(bound->snapshot, authority, 80);
    if (config == NULL)
        return NULL;
    struct bound_service *service = bound_find(bound, config);
    if (authority.len <= sizeof known->authority) {
        known->service = service;
        known->length = (uint8_t)authority.len;
        memcpy(known->authority, authority.at, authority.len);
    }
    return service;
}
