// A cluster's endpoints follow the snapshot by their keys; the balancer picks among them.
#include "upstream/cluster.h"

#include "base/check.h"
#include "base/map.h"
#include "config/table.h"
#include "upstream/cluster_health.h"
#include "upstream/endpoint_breaker.h"
#include "upstream/endpoint_wait.h"

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

// One that joins others grows into its weight. Where none was there before, or none stays, all are alike.
static void begin_ramps(struct endpoint *const *endpoints, uint32_t count, const bool *is_new, nanoseconds now) {
    bool joins = false;
    for (uint32_t i = 0; i < count && !joins; i++)
        joins = !is_new[i] && endpoints[i]->weight > 0;
    for (uint32_t i = 0; i < count && joins; i++)
        if (is_new[i])
            endpoints[i]->ramp_since = now > 0 ? now : 1;
}

// What stays of the endpoints, and what is new, in the order of the documents.
static void update_endpoints(struct cluster *cluster, const struct endpoint_config *all, uint32_t count, bool becomes_http2) {
    struct endpoint **endpoints = alloc_zeroed_or_abort(count + 1, sizeof(struct endpoint *));
    bool *is_new = alloc_zeroed_or_abort(count + 1, sizeof *is_new);
    struct endpoint_index index;
    index_init(&index, cluster->endpoints, cluster->endpoint_count);
    localities_dispose(&cluster->localities);
    for (uint32_t i = 0; i < count; i++) {
        const struct endpoint_config *wanted = &all[i];
        struct endpoint *endpoint = index_find(&index, wanted);
        is_new[i] = endpoint == NULL;
        if (endpoint == NULL)
            endpoint = endpoint_create(cluster, wanted);
        endpoint->is_wanted = true;
        endpoint->weight = wanted->weight;
        endpoint->locality = localities_find(&cluster->localities, wanted->traits);
        endpoints[i] = endpoint;
        if (endpoint->links == NULL)
            continue;
        endpoint->links->keepalive = cluster->traffic.connections.keepalive;
        // What was agreed on with its peer (ALPN) went by the protocol that the port had.
        if (becomes_http2)
            conn_pool_drain_http1(&endpoint->links->pools[POOL_HTTP2]);
    }
    free(index.slots);
    retire_rest(cluster->endpoints, cluster->endpoint_count);
    cluster->endpoints = endpoints;
    cluster->endpoint_count = count;
    if (cluster->traffic.load_balancer.slow_start > 0)
        begin_ramps(endpoints, count, is_new, cluster->upstream->loop->now);
    free(is_new);
    for (uint32_t i = 0; i < cluster->endpoint_count; i++)
        endpoints[i]->is_wanted = false;
}

// All that the levels and their tables are made from.
static uint64_t levels_digest(const struct cluster *cluster) {
    uint64_t digest = digest_number(DIGEST_START, cluster->traffic.load_balancer.type);
    digest = digest_number(digest, cluster->traffic.load_balancer.virtual_nodes);
    for (uint32_t i = 0; i < cluster->endpoint_count; i++) {
        const struct endpoint *endpoint = cluster->endpoints[i];
        uint64_t facts[] = {(uint64_t)(uintptr_t)endpoint, endpoint->weight, cluster->localities.items[endpoint->locality].level};
        digest = digest_bytes(digest, bytes_from((const char *)facts, sizeof facts));
    }
    return digest;
}

// Those of the documents, or those that their names have; what the balancer makes of them.
static void take_endpoints(struct cluster *cluster, const struct endpoint_config *all, uint32_t count, bool becomes_http2) {
    const struct traffic_config *traffic = &cluster->traffic;
    struct upstream *upstream = cluster->upstream;
    update_endpoints(cluster, all, count, becomes_http2);
    localities_order(&cluster->localities, traffic, upstream->zone, upstream->region);
    uint64_t digest = levels_digest(cluster);
    if (digest != cluster->levels_digest)
        lb_levels_build(&cluster->levels, cluster->endpoints, cluster->endpoint_count, &cluster->localities, traffic, &upstream->loop->rng);
    else
        lb_levels_set(&cluster->levels, traffic);
    cluster->levels_digest = digest;
    cluster_health_follow(cluster);
}

static void replace_set(struct cluster *cluster, struct endpoint_set *set) {
    if (cluster->set != NULL)
        endpoint_set_give_back(cluster->set);
    cluster->set = set;
}

static void drop_traffic(struct cluster *cluster) {
    struct load_balancer_config *balancer = &cluster->traffic.load_balancer;
    for (uint32_t i = 0; i < balancer->locality.region_count; i++)
        bytes_drop(&balancer->locality.regions[i]);
    free(balancer->locality.regions);
    bytes_drop(&cluster->traffic.circuit_breaker.policy);
    bytes_drop(&cluster->traffic.outlier.policy);
    cluster->traffic = (struct traffic_config){0};
}

static void take_traffic(struct cluster *cluster, const struct traffic_config *from) {
    const uint32_t region_count = from->load_balancer.locality.region_count;
    struct bytes *regions = alloc_zeroed_or_abort(region_count + 1, sizeof *regions);
    for (uint32_t i = 0; i < region_count; i++)
        regions[i] = bytes_keep(from->load_balancer.locality.regions[i]);
    drop_traffic(cluster);
    struct traffic_config *traffic = &cluster->traffic;
    *traffic = *from;
    traffic->load_balancer.locality.regions = regions;
    traffic->load_balancer.key = (struct request_key){0};
    traffic->selection = (struct selection_config){0};
    traffic->circuit_breaker.place = (struct place){0};
    traffic->circuit_breaker.policy = bytes_keep(from->circuit_breaker.policy);
    traffic->outlier.policy = bytes_keep(from->outlier.policy);
    traffic->place = (struct place){0};
    struct bytes *texts[] = {&traffic->load_balancer.policy,
                             &traffic->connections.policy,
                             &traffic->timeouts.policy,
                             &traffic->deadline.policy,
                             &traffic->retry.policy,
                             &traffic->hedge.policy,
                             &traffic->health_check.path,
                             &traffic->health_check.host,
                             &traffic->health_check.grpc_service,
                             &traffic->policy};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        *texts[i] = BYTES_NONE;
}

void cluster_update(struct cluster *cluster, const struct service_config *config) {
    const bool becomes_http2 = config->protocol != cluster->protocol && (config->protocol == PROTOCOL_HTTP2 || config->protocol == PROTOCOL_GRPC);
    cluster->protocol = config->protocol;
    cluster->config_digest = config->digest;
    take_traffic(cluster, &config->traffic);
    for (uint32_t i = 0; i < cluster->endpoint_count; i++)
        if (cluster->endpoints[i]->links != NULL)
            endpoint_breaker_set(cluster->endpoints[i]);
    cluster->resolution = config->resolution;
    if (config->resolution == RESOLUTION_STATIC) {
        take_endpoints(cluster, config->endpoints, config->endpoint_count, becomes_http2);
        replace_set(cluster, NULL);
        endpoint_wait_end_all(cluster);
    } else if (cluster->set != NULL) {
        // As they are known; a set by the new documents is on its way.
        take_endpoints(cluster, cluster->set->endpoints, cluster->set->count, becomes_http2);
    } else {
        take_endpoints(cluster, NULL, 0, becomes_http2);
    }
}

void cluster_set_endpoints(struct cluster *cluster, struct endpoint_set *set) {
    if (cluster->resolution == RESOLUTION_STATIC) {
        endpoint_set_give_back(set); // newer documents were quicker
        return;
    }
    // Behind new documents all sets come anew: most say what they said before.
    const bool is_same = cluster->set != NULL && set->digest != 0 && set->digest == cluster->set->digest;
    if (!is_same)
        take_endpoints(cluster, set->endpoints, set->count, false);
    replace_set(cluster, set);
    if (set->error != ERROR_CANCELLED)
        endpoint_wait_end_all(cluster);
}

enum error cluster_why_none(const struct cluster *cluster, struct bytes *detail) {
    *detail = BYTES_NONE;
    if (cluster->resolution == RESOLUTION_STATIC)
        return ERROR_NO_ENDPOINT;
    if (cluster->set == NULL)
        return ERROR_CANCELLED;
    *detail = cluster->set->detail;
    return cluster->set->error == OK ? ERROR_NO_ENDPOINT : cluster->set->error;
}

struct cluster *cluster_create(struct upstream *upstream, const struct service_config *config) {
    struct cluster *cluster = alloc_zeroed_or_abort(1, sizeof *cluster);
    cluster->upstream = upstream;
    cluster->key = bytes_keep(config->key);
    cluster->shared = live_shared_service(upstream->shared, cluster->key);
    conn_places_init(&cluster->places);
    list_init(&cluster->avoided);
    cluster_health_begin(cluster);
    cluster->references = 1;
    list_init(&cluster->awaiting);
    list_init(&cluster->bound);
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
    CHECK(list_is_empty(&cluster->bound));
    cluster_health_end(cluster);
    lb_levels_dispose(&cluster->levels);
    retire_rest(cluster->endpoints, cluster->endpoint_count);
    localities_dispose(&cluster->localities);
    drop_traffic(cluster);
    replace_set(cluster, NULL);
    CHECK(list_is_empty(&cluster->awaiting) && list_is_empty(&cluster->places.idle) && !timer_is_running(&cluster->places.look));
    live_shared_service_release(cluster->upstream->shared, cluster->key);
    bytes_drop(&cluster->key);
    free(cluster);
}

void cluster_drop(struct cluster *cluster) {
    cluster->is_dropped = true;
    for (uint32_t i = 0; i < cluster->endpoint_count; i++)
        for (int kind = 0; kind < POOL_KINDS && cluster->endpoints[i]->links != NULL; kind++)
            conn_pool_close_idle(&cluster->endpoints[i]->links->pools[kind]);
    // No set comes any more, and this one has its whole snapshot. The endpoints stay as they are.
    cluster->resolution = RESOLUTION_STATIC;
    replace_set(cluster, NULL);
    endpoint_wait_end_all(cluster);
    cluster_unref(cluster);
}

// --- who is available ---

void cluster_set_unavailable(struct endpoint *endpoint, unsigned reason, bool unavailable) {
    bool was_available = endpoint->unavailable == 0;
    bool was_broken = (endpoint->unavailable & UNAVAILABLE_BROKEN) != 0;
    endpoint->unavailable = (uint8_t)(unavailable ? endpoint->unavailable | reason : endpoint->unavailable & ~reason);
    bool is_available = endpoint->unavailable == 0;
    if (is_available != was_available && endpoint->cluster != NULL)
        lb_levels_note(&endpoint->cluster->levels, endpoint, is_available);
    bool is_broken = (endpoint->unavailable & UNAVAILABLE_BROKEN) != 0;
    if (is_broken != was_broken && endpoint->cluster != NULL)
        lb_levels_note_broken(&endpoint->cluster->levels, endpoint, is_broken);
}

void cluster_avoid_no_more(struct endpoint *endpoint) {
    list_remove(&endpoint->links->avoided);
    endpoint->links->avoided_until = 0;
    cluster_set_unavailable(endpoint, UNAVAILABLE_AVOIDED, false);
}

void cluster_avoid(struct endpoint *endpoint, nanoseconds until) {
    if (endpoint->cluster == NULL)
        return;
    list_remove(&endpoint->links->avoided);
    list_push_back(&endpoint->cluster->avoided, &endpoint->links->avoided);
    endpoint->links->avoided_until = until;
    cluster_set_unavailable(endpoint, UNAVAILABLE_AVOIDED, true);
}

static void end_avoidance(struct cluster *cluster, nanoseconds now) {
    for (struct list *first = list_first(&cluster->avoided); first != NULL; first = list_first(&cluster->avoided)) {
        struct endpoint_links *links = LIST_ENTRY(first, struct endpoint_links, avoided);
        if (links->avoided_until > now)
            return;
        cluster_avoid_no_more(links->pools[0].endpoint);
    }
}

// --- picks ---

struct endpoint *cluster_pick(struct cluster *cluster, struct endpoint *const *tried, uint32_t tried_count, const uint64_t *key) {
    struct lb_request request = {
        .tried = tried,
        .tried_count = tried_count,
        .has_key = key != NULL,
        .key = key != NULL ? *key : 0,
        .rng = &cluster->upstream->loop->rng,
        .now = cluster->upstream->loop->now,
    };
    end_avoidance(cluster, request.now);
    cluster_health_look(cluster);
    endpoint_breakers_follow(cluster, request.now);
    return lb_levels_pick(&cluster->levels, &request);
}

struct endpoint *cluster_passthrough(struct cluster *cluster, const struct sockaddr *address) {
    static const struct endpoint_traits plain = {.tls = TLS_NONE, .peer_key = BYTES_OF("none")};
    struct sockaddr_storage storage = {0};
    memcpy(&storage, address, address->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
    struct endpoint_config config = {.address = endpoint_address_of(&storage), .weight = 1, .traits = &plain};
    return endpoint_create(cluster, &config);
}

bool cluster_has_untried(const struct cluster *cluster, struct endpoint *const *tried, uint32_t tried_count) {
    uint32_t count = 0; // of those that can be picked, how many were tried
    for (uint32_t i = 0; i < tried_count; i++) {
        bool counts = tried[i] != NULL && tried[i]->cluster == cluster && tried[i]->weight > 0 && (tried[i]->unavailable & UNAVAILABLE_BROKEN) == 0;
        for (uint32_t j = 0; j < i && counts; j++)
            counts = tried[j] != tried[i];
        count += counts;
    }
    return cluster->levels.total - cluster->levels.broken > count;
}

// While it is one of the cluster's that can be picked, what is in flight on it counts for its level.
static struct lb *level_of(struct cluster *cluster, const struct endpoint *endpoint) {
    return endpoint->cluster == cluster && endpoint->level != LEVEL_NONE ? &cluster->levels.items[endpoint->level] : NULL;
}

void cluster_begin(struct cluster *cluster, struct endpoint *endpoint) {
    struct lb *level = level_of(cluster, endpoint);
    endpoint_link(endpoint);
    endpoint->in_flight++;
    if (level != NULL)
        level->in_flight++;
}

void cluster_done(struct cluster *cluster, struct endpoint *endpoint, enum lb_outcome outcome, nanoseconds elapsed) {
    struct lb *level = level_of(cluster, endpoint);
    CHECK(endpoint->in_flight > 0 && (level == NULL || level->in_flight > 0));
    endpoint->in_flight--;
    if (level != NULL)
        level->in_flight--;
    if (cluster->levels.algorithm->done != NULL)
        cluster->levels.algorithm->done(endpoint, outcome, elapsed, cluster->upstream->loop->now);
}
