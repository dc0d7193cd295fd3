// Binds a snapshot and its chains to a worker's live clusters; gives all back with the last pin.
#include "stream/bound.h"

#include "base/check.h"

#include <stdlib.h>

struct bound_snapshot *bound_create(struct upstream *upstream, struct chain_set *chains) {
    struct snapshot *snapshot = chains->snapshot;
    struct bound_snapshot *bound = alloc_zeroed_or_abort(1, sizeof *bound);
    bound->snapshot = snapshot;
    bound->chains = chains;
    bound->pins = 1;
    bound->services = alloc_zeroed_or_abort(snapshot->service_count + 1, sizeof bound->services[0]);
    for (uint32_t i = 0; i < snapshot->service_count; i++) {
        const struct service_config *config = snapshot->services[i];
        struct cluster *cluster = map_get(&upstream->clusters, config->key);
        CHECK(cluster != NULL && config->index == i);
        cluster_ref(cluster);
        bound->services[i] = (struct bound_service){
            .config = config,
            .cluster = cluster,
            .chain = chains->chains[i],
            .attempt_chain = chains->attempt_chains[i],
            .role = chain_role(config),
        };
    }
    return bound;
}

void bound_unpin(struct bound_snapshot *bound) {
    CHECK(bound->pins > 0);
    if (--bound->pins > 0)
        return;
    for (uint32_t i = 0; i < bound->snapshot->service_count; i++)
        cluster_unref(bound->services[i].cluster);
    free(bound->services);
    chain_set_unref(bound->chains);
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
