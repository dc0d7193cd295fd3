// One that is for the same hostnames and files goes on; each other is made anew.
#include "app/edges.h"

#include "base/pool.h"

#include <stdlib.h>

static struct edge_identity *take_same(struct edges *edges, const struct listener_config *listener) {
    for (uint32_t i = 0; i < edges->count; i++) {
        struct edge_identity *identity = edges->items[i];
        if (identity == NULL || !edge_identity_is_for(identity, listener->name, listener->gateway))
            continue;
        edges->items[i] = NULL;
        return identity;
    }
    return NULL;
}

static const struct edge_identity *find(const struct edges *edges, struct bytes socket) {
    for (uint32_t i = 0; i < edges->count; i++)
        if (edges->items[i] != NULL && bytes_equal(edge_identity_state(edges->items[i])->socket, socket))
            return edges->items[i];
    return NULL;
}

static void note_generations(struct edges *edges) {
    for (uint32_t i = 0; i < edges->count; i++)
        if (edges->items[i] != NULL && edge_identity_generation(edges->items[i]) > edges->generation)
            edges->generation = edge_identity_generation(edges->items[i]);
}

static void close_rest(struct edges *edges) {
    note_generations(edges);
    for (uint32_t i = 0; i < edges->count; i++)
        if (edges->items[i] != NULL)
            edge_identity_close(edges->items[i]);
    free(edges->items);
    edges->items = NULL;
    edges->count = 0;
}

void edges_follow(struct edges *edges, const struct snapshot *snapshot) {
    const struct proxy_config *proxy = &snapshot->proxy;
    struct edge_identity **items = alloc_zeroed_or_abort(proxy->listener_count, sizeof *items);
    uint32_t count = 0;
    for (uint32_t i = 0; i < proxy->listener_count; i++)
        if (gateway_has_certificates(proxy->listeners[i].gateway))
            items[count++] = take_same(edges, &proxy->listeners[i]);
    note_generations(edges);
    count = 0;
    for (uint32_t i = 0; i < proxy->listener_count; i++) {
        const struct listener_config *listener = &proxy->listeners[i];
        if (!gateway_has_certificates(listener->gateway))
            continue;
        if (items[count] == NULL)
            items[count] = edge_identity_create(edges->loop, &(struct edge_identity_options){
                                                                 .socket = listener->name,
                                                                 .gateway = listener->gateway,
                                                                 .ticket_keys = edges->ticket_keys,
                                                                 .generation_before = edges->generation,
                                                                 .before = find(edges, listener->name),
                                                                 .publish = edges->publish,
                                                                 .refused = edges->refused,
                                                                 .owner = edges->owner,
                                                             });
        count++;
    }
    bool *withdrawn = alloc_zeroed_or_abort(proxy->listener_count + 1, sizeof *withdrawn);
    for (uint32_t i = 0; i < proxy->listener_count; i++)
        withdrawn[i] = !gateway_has_certificates(proxy->listeners[i].gateway) && find(edges, proxy->listeners[i].name) != NULL;
    close_rest(edges);
    edges->items = items;
    edges->count = count;
    for (uint32_t i = 0; i < proxy->listener_count; i++)
        if (withdrawn[i]) // what may be shown no more is not there to be shown again when other certificates are named
            edges->publish(edges->owner, proxy->listeners[i].name, NULL);
    free(withdrawn);
}

bool edges_are_loaded(const struct edges *edges) {
    for (uint32_t i = 0; i < edges->count; i++)
        if (!edge_identity_is_complete(edges->items[i]))
            return false;
    return true;
}

bool edges_are_settling(const struct edges *edges) {
    for (uint32_t i = 0; i < edges->count; i++)
        if (edge_identity_is_settling(edges->items[i]))
            return true;
    return false;
}

void edges_reload(struct edges *edges) {
    for (uint32_t i = 0; i < edges->count; i++)
        edge_identity_reload(edges->items[i]);
}

void edges_close(struct edges *edges) {
    close_rest(edges);
}
