// An endpoint's life: made for a cluster, shared by attempts and connections, retired when no snapshot has it.
#include "upstream/endpoint.h"

#include "base/check.h"
#include "upstream/cluster.h"

#include <stdio.h>
#include <stdlib.h>

struct endpoint *endpoint_create(struct cluster *cluster, const struct endpoint_config *config) {
    struct endpoint *endpoint = alloc_zeroed_or_abort(1, sizeof *endpoint);
    endpoint->cluster = cluster;
    endpoint->upstream = cluster->upstream;
    endpoint->key = bytes_keep(config->key);
    endpoint->address = config->address;
    endpoint->address.text = bytes_keep(config->address.text);
    endpoint->tls = config->tls;
    endpoint->weight = config->weight;
    endpoint->identity_count = config->identity_count;
    endpoint->identities = alloc_zeroed_or_abort(config->identity_count + 1, sizeof *endpoint->identities);
    for (uint32_t i = 0; i < config->identity_count; i++) {
        const char *reason;
        enum error error = spiffe_id_parse(bytes_keep(config->identities[i].text), &endpoint->identities[i], &reason);
        CHECK(error == OK); // it was parsed when the documents were checked
    }
    size_t length = cluster->key.len + 1 + config->key.len;
    char *shared_key = alloc_or_abort(length + 1);
    snprintf(shared_key, length + 1, "%.*s|%.*s", BYTES_FORMAT(cluster->key), BYTES_FORMAT(config->key));
    endpoint->shared_key = bytes_from(shared_key, length);
    endpoint->shared = live_shared_endpoint(cluster->upstream->shared, endpoint->shared_key);
    for (int kind = 0; kind < POOL_KINDS; kind++)
        conn_pool_init(&endpoint->pools[kind], endpoint, (enum pool_kind)kind);
    endpoint->pools[POOL_HTTP2].room_last = cluster->traffic.connections.max_streams;
    endpoint->references = 1;
    return endpoint;
}

void endpoint_ref(struct endpoint *endpoint) {
    CHECK(endpoint->references > 0);
    endpoint->references++;
}

void endpoint_unref(struct endpoint *endpoint) {
    CHECK(endpoint->references > 0);
    if (--endpoint->references > 0)
        return;
    CHECK(endpoint->cluster == NULL && endpoint->in_flight == 0);
    live_shared_endpoint_release(endpoint->upstream->shared, endpoint->shared_key);
    for (uint32_t i = 0; i < endpoint->identity_count; i++)
        bytes_drop(&endpoint->identities[i].text);
    free(endpoint->identities);
    bytes_drop(&endpoint->address.text);
    bytes_drop(&endpoint->shared_key);
    bytes_drop(&endpoint->key);
    free(endpoint);
}

void endpoint_retire(struct endpoint *endpoint) {
    for (int kind = 0; kind < POOL_KINDS; kind++)
        conn_pool_retire(&endpoint->pools[kind]);
    endpoint->cluster = NULL;
    endpoint_unref(endpoint);
}
