// A cluster's endpoints follow the snapshot by their keys; the balancer picks among them.
#include "upstream/cluster.h"

#include "base/check.h"
#include "base/map.h"

#include <stdlib.h>

static uint64_t endpoint_hash(const struct endpoint_address *address, struct bytes peer_key) {
    return hash_bytes(endpoint_address_bytes(address)) ^ hash_bytes(peer_key);
}

// The endpoints that a cluster has, by what they are, while it is updated: however many there are each is found at once.
struct endpoint_index {
    struct endpoint **slots;
    uint64_t mask;
};

static void index_init(struct endpoint_index *index, struct endpoint *const *endpoints, uint32_t count) {
    uint64_t capacity = 8;
    while (capacity < 2 * (uint64_t)count)
        capacity *= 2;
    *index = (struct endpoint_index){.slots = alloc_zeroed_or_abort(capacity, sizeof(struct endpoint *)), .mask = capacity - 1};
    for (uint32_t i = 0; i < count; i++) {
        uint64_t slot = endpoint_hash(&endpoints[i]->address, endpoints[i]->peer->key) & index->mask;
        while (index->slots[slot] != NULL)
            slot = (slot + 1) & index->mask;
        index->slots[slot] = endpoints[i];
    }
}

static struct endpoint *index_find(const struct endpoint_index *index, const struct endpoint_config *wanted) {
    uint64_t slot = endpoint_hash(&wanted->address, wanted->traits->peer_key) & index->mask;
    for (; index->slots[slot] != NULL; slot = (slot + 1) & index->mask) {
        struct endpoint *endpoint = index->slots[slot];
        if (!endpoint->is_wanted && bytes_equal(endpoint_address_bytes(&endpoint->address), endpoint_address_bytes(&wanted->address)) &&
            bytes_equal(endpoint->peer->key, wanted->traits->peer_key))
            return endpoint;
    }
    return NULL;
}

// Those that are not wanted any more.
static void retire_rest(struct endpoint **endpoints, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (!endpoints[i]->is_wanted)
            endpoint_retire(endpoints[i]);
    free(endpoints);
}

// Turns that were reached under other weights mean nothing under the new. The start is random, so that the proxies of a mesh do not walk in step.
static void begin_turns(struct cluster *cluster) {
    for (uint32_t i = 0; i < cluster->endpoint_count; i++) {
        struct endpoint *endpoint = cluster->endpoints[i];
        endpoint->turn = endpoint->weight > 0 ? rng_below(&cluster->upstream->loop->rng, endpoint->weight) : 0;
    }
}

// What stays of the endpoints, and what is new, in the order of the documents. True when they or their weights are others than before.
static bool update_endpoints(struct cluster *cluster, const struct service_config *config, bool becomes_http2) {
    struct endpoint **endpoints = alloc_zeroed_or_abort(config->endpoint_count + 1, sizeof(struct endpoint *));
    struct endpoint_index index;
    bool changed = config->endpoint_count != cluster->endpoint_count;
    index_init(&index, cluster->endpoints, cluster->endpoint_count);
    for (uint32_t i = 0; i < config->endpoint_count; i++) {
        const struct endpoint_config *wanted = &config->endpoints[i];
        struct endpoint *endpoint = index_find(&index, wanted);
        changed = changed || endpoint == NULL || endpoint->weight != wanted->weight;
        if (endpoint == NULL)
            endpoint = endpoint_create(cluster, wanted);
        endpoint->is_wanted = true;
        endpoint->weight = wanted->weight;
        endpoints[i] = endpoint;
        if (endpoint->links == NULL)
            continue;
        endpoint->links->keepalive = config->traffic.connections.keepalive;
        // What was agreed on with its peer (ALPN) went by the protocol that the port had.
        if (becomes_http2)
            conn_pool_drain_http1(&endpoint->links->pools[POOL_HTTP2]);
    }
    free(index.slots);
    retire_rest(cluster->endpoints, cluster->endpoint_count);
    cluster->endpoints = endpoints;
    cluster->endpoint_count = config->endpoint_count;
    for (uint32_t i = 0; i < cluster->endpoint_count; i++)
        endpoints[i]->is_wanted = false;
    return changed;
}

void cluster_update(struct cluster *cluster, const struct service_config *config) {
    const bool becomes_http2 = config->protocol != cluster->protocol && (config->protocol == PROTOCOL_HTTP2 || config->protocol == PROTOCOL_GRPC);
    cluster->protocol = config->protocol;
    cluster->traffic = config->traffic;
    bool changed = update_endpoints(cluster, config, becomes_http2);
    cluster->lb.algorithm = lb_algorithm_of(config->traffic.load_balancer.type);
    cluster->lb.weighted = false;
    for (uint32_t i = 0; i < cluster->endpoint_count; i++) {
        uint32_t weight = cluster->endpoints[i]->weight;
        cluster->lb.weighted = cluster->lb.weighted || weight != cluster->endpoints[0]->weight || weight == 0;
    }
    if (changed)
        begin_turns(cluster);
}

struct cluster *cluster_create(struct upstream *upstream, const struct service_config *config) {
    struct cluster *cluster = alloc_zeroed_or_abort(1, sizeof *cluster);
    cluster->upstream = upstream;
    cluster->key = bytes_keep(config->key);
    cluster->traffic = config->traffic;
    cluster->shared = live_shared_service(upstream->shared, cluster->key);
    cluster->lb.position = rng_below(&upstream->loop->rng, 1 << 16);
    cluster->references = 1;
    cluster_update(cluster, config);
    return cluster;
}

void cluster_ref(struct cluster *cluster) {
    CHECK(cluster->references > 0);
    cluster->references++;
}

void cluster_unref(struct cluster *cluster) {
    CHECK(cluster->references > 0);
    if (--cluster->references > 0)
        return;
    retire_rest(cluster->endpoints, cluster->endpoint_count);
    live_shared_service_release(cluster->upstream->shared, cluster->key);
    bytes_drop(&cluster->key);
    free(cluster);
}

// Is there one to be had that was neither tried nor is about to end? Looked at only while some endpoint is about to.
static bool has_lasting(const struct lb_request *request) {
    for (uint32_t i = 0; i < request->count; i++) {
        const struct endpoint *endpoint = request->endpoints[i];
        if (endpoint->weight > 0 && endpoint->avoided_until <= request->now && !lb_was_tried(request, endpoint))
            return true;
    }
    return false;
}

struct endpoint *cluster_pick(struct cluster *cluster, struct endpoint *const *tried, uint32_t tried_count) {
    if (cluster->endpoint_count == 0)
        return NULL;
    struct lb_request request = {
        .endpoints = cluster->endpoints,
        .count = cluster->endpoint_count,
        .tried = tried,
        .tried_count = tried_count,
        .rng = &cluster->upstream->loop->rng,
        .now = cluster->upstream->loop->now,
    };
    request.avoids = cluster->avoided_until > request.now && has_lasting(&request);
    return cluster->lb.algorithm->pick(&cluster->lb, &request);
}

bool cluster_has_untried(const struct cluster *cluster, struct endpoint *const *tried, uint32_t tried_count) {
    for (uint32_t i = 0; i < cluster->endpoint_count; i++) {
        bool was_tried = cluster->endpoints[i]->weight == 0;
        for (uint32_t j = 0; j < tried_count && !was_tried; j++)
            was_tried = tried[j] == cluster->endpoints[i];
        if (!was_tried)
            return true;
    }
    return false;
}
