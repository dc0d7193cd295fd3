// A cluster's endpoints follow the snapshot by their keys; the balancer picks among them.
#include "upstream/cluster.h"

#include "base/check.h"

#include <stdlib.h>

static struct endpoint *find_endpoint(const struct cluster *cluster, struct bytes key) {
    for (uint32_t i = 0; i < cluster->endpoint_count; i++)
        if (cluster->endpoints[i] != NULL && bytes_equal(cluster->endpoints[i]->key, key))
            return cluster->endpoints[i];
    return NULL;
}

static void forget_endpoint(struct cluster *cluster, const struct endpoint *endpoint) {
    for (uint32_t i = 0; i < cluster->endpoint_count; i++)
        if (cluster->endpoints[i] == endpoint)
            cluster->endpoints[i] = NULL;
}

static void retire_all(struct cluster *cluster) {
    for (uint32_t i = 0; i < cluster->endpoint_count; i++)
        if (cluster->endpoints[i] != NULL)
            endpoint_retire(cluster->endpoints[i]);
    free(cluster->endpoints);
    cluster->endpoints = NULL;
    cluster->endpoint_count = 0;
}

// Turns that were reached under other weights mean nothing under the new. The start is random, so that the proxies of a mesh do not walk in step.
static void begin_turns(struct cluster *cluster) {
    for (uint32_t i = 0; i < cluster->endpoint_count; i++) {
        struct endpoint *endpoint = cluster->endpoints[i];
        endpoint->turn = endpoint->weight > 0 ? rng_below(&cluster->upstream->loop->rng, endpoint->weight) : 0;
    }
}

void cluster_update(struct cluster *cluster, const struct service_config *config) {
    const bool becomes_http2 = config->protocol != cluster->protocol && (config->protocol == PROTOCOL_HTTP2 || config->protocol == PROTOCOL_GRPC);
    cluster->protocol = config->protocol;
    cluster->traffic = config->traffic;
    struct endpoint **endpoints = alloc_zeroed_or_abort(config->endpoint_count + 1, sizeof(struct endpoint *));
    bool weighted = false;
    bool changed = config->endpoint_count != cluster->endpoint_count;
    for (uint32_t i = 0; i < config->endpoint_count; i++) {
        const struct endpoint_config *wanted = &config->endpoints[i];
        struct endpoint *endpoint = find_endpoint(cluster, wanted->key);
        changed = changed || endpoint == NULL || endpoint->weight != wanted->weight;
        if (endpoint != NULL) {
            forget_endpoint(cluster, endpoint);
            // What was agreed on with its peer (ALPN) went by the protocol that the port had.
            if (becomes_http2)
                conn_pool_drain_http1(&endpoint->pools[POOL_HTTP2]);
        } else {
            endpoint = endpoint_create(cluster, wanted);
        }
        endpoint->weight = wanted->weight;
        endpoint->keepalive = config->traffic.connections.keepalive;
        weighted = weighted || wanted->weight != config->endpoints[0].weight || wanted->weight == 0;
        endpoints[i] = endpoint;
    }
    retire_all(cluster); // those that are left are not in the new set
    cluster->endpoints = endpoints;
    cluster->endpoint_count = config->endpoint_count;
    cluster->lb.algorithm = lb_algorithm_of(config->traffic.load_balancer.type);
    cluster->lb.weighted = weighted;
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
    retire_all(cluster);
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
