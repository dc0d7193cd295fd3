// A worker's clusters follow the snapshot; credentials and the end reach all their connections.
#include "upstream/upstream.h"

#include "base/check.h"
#include "net/tcp.h"
#include "upstream/cluster.h"
#include "upstream/endpoint_peer.h"
#include "upstream/upstream_conn.h"

#include <stdlib.h>

// Of series, each with a lock and some memory to free: 0.2 us.
#define TIDY_SLICE 128

static void tidy_series(struct task *task) {
    struct upstream *upstream = CONTAINER_OF(task, struct upstream, series_task);
    if (series_set_tidy(&upstream->series, TIDY_SLICE))
        loop_wake(upstream->loop, task);
}

void upstream_tidy_series(struct upstream *upstream) {
    if (series_set_is_untidy(&upstream->series))
        loop_wake(upstream->loop, &upstream->series_task);
}

void upstream_unref_series(struct upstream *upstream, struct series_scope *scope) {
    series_scope_unref(&upstream->series, scope);
    upstream_tidy_series(upstream);
}

void upstream_init(struct upstream *upstream, struct loop *loop, struct worker_metrics *metrics, struct live_shared *shared,
                   struct h2_memory *h2_memory) {
    *upstream = (struct upstream){.connect = tcp_connect, .loop = loop, .metrics = metrics, .shared = shared, .h2_memory = h2_memory};
    map_init(&upstream->clusters);
    map_init(&upstream->peers);
    map_init(&upstream->authorities);
    series_set_init(&upstream->series, live_shared_series(shared));
    task_init(&upstream->series_task, tidy_series);
    list_init(&upstream->live);
    live_shared_join(shared, loop, upstream);
}

static void drop_clusters(struct upstream *upstream) {
    struct cluster **all = alloc_zeroed_or_abort(upstream->clusters.count + 1, sizeof(struct cluster *));
    uint32_t count = 0;
    uint32_t position = 0;
    struct bytes key;
    void *value;
    while (map_next(&upstream->clusters, &position, &key, &value))
        all[count++] = value;
    for (uint32_t i = 0; i < count; i++) {
        map_remove(&upstream->clusters, all[i]->key);
        cluster_unref(all[i]);
    }
    free(all);
}

void upstream_set_endpoints(struct upstream *upstream, struct endpoint_set *set) {
    struct cluster *cluster = map_get(&upstream->clusters, set->service->key);
    if (cluster != NULL)
        cluster_set_endpoints(cluster, set);
    else
        endpoint_set_give_back(set);
}

// One that a visit makes is put in front, one that it closes is freed later: neither disturbs.
static void each_connection(struct upstream *upstream, void (*visit)(struct upstream_conn *conn)) {
    LIST_EACH(&upstream->live, node, following) {
        struct upstream_conn *conn = LIST_ENTRY(node, struct upstream_conn, live);
        if (!conn->closing)
            visit(conn);
    }
}

struct credentials *upstream_credentials(const struct upstream *upstream, const struct endpoint_peer *peer) {
    switch (peer->tls) {
    case TLS_NONE:
        return NULL;
    case TLS_MESH:
        return upstream->credentials;
    case TLS_SIMPLE:
        return map_get(&upstream->authorities, peer->authorities);
    }
    CHECK(!"a TLS mode that is none");
    return NULL;
}

bool upstream_has_credentials(const struct upstream *upstream, const struct endpoint_peer *peer) {
    return peer->tls == TLS_NONE || upstream_credentials(upstream, peer) != NULL;
}

static void drain_secure(struct upstream_conn *conn, const struct credentials *newest) {
    // One under way carries the old credentials only if its handshake has begun; it is found by its generation when it opens.
    if (!conn->open)
        return;
    if (!tls_peer_still_trusted(conn->transport, newest))
        upstream_conn_end_by(conn, conn->upstream->loop->now + TLS_LAST_CALL_NS);
    upstream_conn_drain(conn);
}

static void drain_of_the_mesh(struct upstream_conn *conn) {
    if (conn->endpoint->peer->tls == TLS_MESH)
        drain_secure(conn, conn->upstream->credentials);
}

static void drain_outdated(struct upstream_conn *conn) {
    const struct endpoint_peer *peer = conn->endpoint->peer;
    const struct credentials *newest = peer->tls == TLS_SIMPLE ? upstream_credentials(conn->upstream, peer) : NULL;
    if (newest != NULL && conn->credentials_generation != credentials_generation(newest))
        drain_secure(conn, newest);
}

void upstream_set_credentials(struct upstream *upstream, struct credentials *credentials) {
    if (upstream->credentials != NULL)
        credentials_unref(upstream->credentials);
    upstream->credentials = credentials_ref(credentials);
    each_connection(upstream, drain_of_the_mesh);
}

void upstream_set_authorities(struct upstream *upstream, struct bytes key, struct credentials *credentials) {
    credentials_unref(map_put(&upstream->authorities, key, credentials_ref(credentials)));
    each_connection(upstream, drain_outdated);
}

void upstream_drop_authorities(struct upstream *upstream, struct bytes key, const struct credentials *credentials) {
    if (map_get(&upstream->authorities, key) == credentials)
        credentials_unref(map_remove(&upstream->authorities, key));
}

static void close_one_idle(struct upstream_conn *conn) {
    if (conn->open && list_is_empty(&conn->streams))
        upstream_conn_drain(conn);
}

void upstream_close_idle(struct upstream *upstream) {
    each_connection(upstream, close_one_idle);
}

static void close_one(struct upstream_conn *conn) {
    upstream_conn_close(conn, OK);
}

void upstream_give_places(struct upstream *upstream) {
    uint32_t position = 0;
    struct bytes key;
    void *value;
    while (map_next(&upstream->clusters, &position, &key, &value))
        conn_places_give_idle(value);
}

void upstream_close_all(struct upstream *upstream) {
    upstream->ended = true;
    live_shared_leave(upstream->shared, upstream);
    each_connection(upstream, close_one);
    drop_clusters(upstream);
}

void upstream_dispose(struct upstream *upstream) {
    CHECK(upstream->connections == 0 && upstream->clusters.count == 0 && upstream->peers.count == 0);
    map_dispose(&upstream->clusters);
    map_dispose(&upstream->peers);
    task_cancel(&upstream->series_task);
    series_set_dispose(&upstream->series);
    bytes_drop(&upstream->zone);
    bytes_drop(&upstream->region);
    if (upstream->credentials != NULL)
        credentials_unref(upstream->credentials);
    uint32_t position = 0;
    struct bytes key;
    void *credentials;
    while (map_next(&upstream->authorities, &position, &key, &credentials))
        credentials_unref(credentials);
    map_dispose(&upstream->authorities);
}
