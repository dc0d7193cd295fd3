// An endpoint's life: made for a cluster, shared by attempts and connections, retired when no snapshot has it.
#include "upstream/endpoint.h"

#include "base/check.h"
#include "upstream/cluster_health.h"
#include "upstream/endpoint_breaker.h"

#include <stdio.h>
#include <stdlib.h>

struct endpoint *endpoint_create(struct cluster *cluster, const struct endpoint_config *config) {
    struct endpoint *endpoint = alloc_zeroed_or_abort(1, sizeof *endpoint);
    endpoint->cluster = cluster;
    endpoint->upstream = cluster->upstream;
    endpoint->peer = endpoint_peer_get(cluster->upstream, config->traits);
    endpoint->address = config->address;
    endpoint->weight = config->weight;
    endpoint->level = LEVEL_NONE;
    endpoint->references = 1;
    return endpoint;
}

void endpoint_link(struct endpoint *endpoint) {
    if (endpoint->links != NULL)
        return;
    const struct cluster *cluster = endpoint->cluster;
    CHECK(cluster != NULL);
    struct endpoint_links *links = alloc_zeroed_or_abort(1, sizeof *links);
    char text[ENDPOINT_ADDRESS_TEXT_MAX];
    links->text = bytes_keep(bytes_from(text, endpoint_address_print(&endpoint->address, text)));
    size_t length = cluster->key.len + 1 + links->text.len + 1 + endpoint->peer->key.len;
    char *session_key = alloc_or_abort(length + 1);
    snprintf(session_key, length + 1, "%.*s|%.*s %.*s", BYTES_FORMAT(cluster->key), BYTES_FORMAT(links->text), BYTES_FORMAT(endpoint->peer->key));
    links->session_key = bytes_from(session_key, length);
    links->service_key = bytes_from(session_key, cluster->key.len);
    links->shared = live_shared_service(endpoint->upstream->shared, links->service_key);
    links->keepalive = cluster->traffic.connections.keepalive;
    list_init(&links->avoided);
    for (int kind = 0; kind < POOL_KINDS; kind++)
        conn_pool_init(&links->pools[kind], endpoint, (enum pool_kind)kind);
    links->pools[POOL_HTTP2].room_last = cluster->traffic.connections.max_streams;
    endpoint->links = links;
    endpoint_health_join(endpoint);
    endpoint_breaker_set(endpoint);
}

void endpoint_ref(struct endpoint *endpoint) {
    CHECK(endpoint->references > 0);
    endpoint->references++;
}

static void drop_links(struct endpoint *endpoint) {
    struct endpoint_links *links = endpoint->links;
    endpoint_breaker_release(endpoint);
    live_shared_service_release(endpoint->upstream->shared, links->service_key);
    bytes_drop(&links->session_key);
    bytes_drop(&links->text);
    bytes_drop(&links->tls_failure);
    free(links);
    endpoint->links = NULL;
}

void endpoint_unref(struct endpoint *endpoint) {
    CHECK(endpoint->references > 0);
    if (--endpoint->references > 0)
        return;
    CHECK(endpoint->cluster == NULL && endpoint->in_flight == 0);
    if (endpoint->links != NULL)
        drop_links(endpoint);
    endpoint_peer_release(endpoint->upstream, endpoint->peer);
    free(endpoint);
}

void endpoint_retire(struct endpoint *endpoint) {
    for (int kind = 0; kind < POOL_KINDS && endpoint->links != NULL; kind++)
        conn_pool_retire(&endpoint->links->pools[kind]);
    if (endpoint->links != NULL)
        list_remove(&endpoint->links->avoided);
    endpoint_health_leave(endpoint);
    endpoint->cluster = NULL;
    endpoint_unref(endpoint);
}
