// Listeners by name and their connections: binds them to snapshots, hands over sockets, drains and closes. What one connection does is in server_conn.c.
#include "downstream/downstream.h"

#include "base/check.h"
#include "base/limits.h"
#include "downstream/server_conn.h"
#include "net/tcp.h"

#include <stdlib.h>
#include <unistd.h>

void downstream_init(struct downstream *downstream, struct stream_env *env, struct h2_memory *h2_memory) {
    *downstream = (struct downstream){.adopt = tcp_adopt, .env = env, .h2_memory = h2_memory};
    map_init(&downstream->listeners);
    list_init(&downstream->removed);
    list_init(&downstream->live);
}

static const struct listener_config *find_config(const struct snapshot *snapshot, struct bytes name) {
    for (uint32_t i = 0; i < snapshot->proxy.listener_count; i++)
        if (bytes_equal(snapshot->proxy.listeners[i].name, name))
            return &snapshot->proxy.listeners[i];
    return NULL;
}

static void bind_listener(struct downstream_listener *listener, struct bound_snapshot *bound, const struct listener_config *config) {
    bound_pin(bound);
    if (listener->bound != NULL)
        bound_unpin(listener->bound);
    listener->bound = bound;
    listener->config = config;
}

static void free_listener(struct downstream_listener *listener) {
    CHECK(listener->connection_count == 0);
    list_remove(&listener->removed);
    bound_unpin(listener->bound);
    credentials_unref(listener->edge);
    live_shared_listener_release(listener->downstream->env->upstream->shared, listener->name);
    bytes_drop(&listener->name);
    free(listener);
}

static void each_connection(struct downstream_listener *listener, void (*visit)(struct server_conn *conn, void *argument), void *argument) {
    LIST_EACH(&listener->connections, node, following)
        visit(server_conn_of_link(node), argument);
}

void downstream_connection_gone(struct downstream_listener *listener) {
    CHECK(listener->connection_count > 0);
    atomic_fetch_sub_explicit(&listener->downstream->connections, 1, memory_order_relaxed);
    metric_subtract(&listener->downstream->env->metrics->downstream_active, 1);
    listener_shared_give_back(listener->shared);
    if (--listener->connection_count == 0 && list_is_linked(&listener->removed))
        free_listener(listener);
}

static void drain_one(struct server_conn *conn, void *argument) {
    (void)argument;
    server_conn_drain(conn);
}

static void remove_listener(struct downstream *downstream, struct downstream_listener *listener) {
    map_remove(&downstream->listeners, listener->name);
    list_push_back(&downstream->removed, &listener->removed);
    if (listener->connection_count == 0)
        free_listener(listener);
    else
        each_connection(listener, drain_one, NULL);
}

static uint32_t collect(const struct downstream *downstream, struct downstream_listener ***all) {
    uint32_t count = 0;
    uint32_t position = 0;
    struct bytes key;
    void *value;
    *all = alloc_zeroed_or_abort(downstream->listeners.count + 1, sizeof(struct downstream_listener *));
    while (map_next(&downstream->listeners, &position, &key, &value))
        (*all)[count++] = value;
    return count;
}

static void check_mode_of_one(struct server_conn *conn, void *argument) {
    (void)argument;
    server_conn_check_mode(conn);
}

static bool is_strict(const struct listener_config *config) {
    return config->role == ROLE_INBOUND && config->mtls == MTLS_STRICT;
}

void downstream_apply(struct downstream *downstream, struct bound_snapshot *bound) {
    struct downstream_listener **known;
    uint32_t count = collect(downstream, &known);
    for (uint32_t i = 0; i < count; i++) {
        const struct listener_config *config = find_config(bound->snapshot, known[i]->name);
        if (config == NULL) {
            remove_listener(downstream, known[i]);
            continue;
        }
        const bool becomes_strict = is_strict(config) && !is_strict(known[i]->config);
        bind_listener(known[i], bound, config);
        if (becomes_strict)
            each_connection(known[i], check_mode_of_one, NULL);
    }
    free(known);
    const struct proxy_config *proxy = &bound->snapshot->proxy;
    for (uint32_t i = 0; i < proxy->listener_count; i++) {
        const struct listener_config *config = &proxy->listeners[i];
        if (map_get(&downstream->listeners, config->name) != NULL)
            continue;
        struct downstream_listener *listener = alloc_zeroed_or_abort(1, sizeof *listener);
        listener->downstream = downstream;
        listener->name = bytes_keep(config->name);
        listener->shared = live_shared_listener(downstream->env->upstream->shared, listener->name);
        list_init(&listener->connections);
        list_init(&listener->removed);
        bind_listener(listener, bound, config);
        map_put(&downstream->listeners, listener->name, listener);
    }
}

static void check_one(struct server_conn *conn, void *argument) {
    server_conn_check_peer(conn, argument);
}

static void visit_all(struct downstream *downstream, void (*visit)(struct server_conn *conn, void *argument), void *argument) {
    struct downstream_listener **known;
    uint32_t count = collect(downstream, &known);
    for (uint32_t i = 0; i < count; i++)
        each_connection(known[i], visit, argument);
    free(known);
    LIST_EACH(&downstream->removed, node, following)
        each_connection(LIST_ENTRY(node, struct downstream_listener, removed), visit, argument);
}

void downstream_set_credentials(struct downstream *downstream, struct credentials *credentials) {
    if (downstream->credentials != NULL)
        credentials_unref(downstream->credentials);
    downstream->credentials = credentials_ref(credentials);
    visit_all(downstream, check_one, credentials);
}

void downstream_set_edge(struct downstream *downstream, struct bytes name, struct credentials *credentials) {
    struct downstream_listener *listener = map_get(&downstream->listeners, name);
    if (listener == NULL)
        return;
    credentials_unref(listener->edge);
    listener->edge = credentials != NULL ? credentials_ref(credentials) : NULL;
}

bool downstream_stands_at(const struct downstream *downstream, struct bytes name, const struct socket_address *address) {
    const struct downstream_listener *listener = map_get(&downstream->listeners, name);
    return listener != NULL && listener->config->address.length == address->length &&
           memcmp(&listener->config->address.storage, &address->storage, address->length) == 0;
}

void downstream_accept(struct downstream *downstream, struct bytes name, int socket) {
    struct worker_metrics *metrics = downstream->env->metrics;
    struct downstream_listener *listener = map_get(&downstream->listeners, name);
    metric_add(&metrics->downstream_accepted, 1);
    if (downstream->refuses_connections || !loop_has_room(downstream->env->loop, LIMIT_CONNECTION_BYTES)) {
        // At once, not left in the backlog: a client that knows goes elsewhere.
        metric_add(&metrics->downstream_refused_memory, 1);
        limit_hit(metrics->limits, LIMIT_METRIC_MEMORY);
        close(socket);
        return;
    }
    if (listener == NULL || !listener_shared_take(listener->shared, listener->bound->snapshot->proxy.limits.connections)) {
        metric_add(&metrics->downstream_refused_limit, 1);
        close(socket);
        return;
    }
    server_conn_open(listener, socket);
}

void downstream_drain(struct downstream *downstream, bool outbound_too) {
    downstream->draining = true;
    struct downstream_listener **known;
    uint32_t count = collect(downstream, &known);
    for (uint32_t i = 0; i < count; i++)
        if (outbound_too || role_is_reached(known[i]->config->role))
            each_connection(known[i], drain_one, NULL);
    free(known);
}

static uint32_t inbound_of(const struct downstream_listener *listener) {
    return role_is_reached(listener->config->role) ? listener->connection_count : 0;
}

uint32_t downstream_inbound_count(const struct downstream *downstream) {
    uint32_t total = 0;
    uint32_t position = 0;
    struct bytes key;
    void *value;
    while (map_next(&downstream->listeners, &position, &key, &value))
        total += inbound_of(value);
    LIST_EACH(&downstream->removed, node, following)
        total += inbound_of(LIST_ENTRY(node, struct downstream_listener, removed));
    return total;
}

static void drain_idle_one(struct server_conn *conn, void *argument) {
    (void)argument;
    server_conn_drain_idle(conn);
}

void downstream_drain_idle(struct downstream *downstream) {
    visit_all(downstream, drain_idle_one, NULL);
}

static void close_one(struct server_conn *conn, void *argument) {
    (void)argument;
    server_conn_close(conn, ERROR_DRAINING);
}

void downstream_close_all(struct downstream *downstream) {
    visit_all(downstream, close_one, NULL);
}

void downstream_dispose(struct downstream *downstream) {
    struct downstream_listener **known;
    uint32_t count = collect(downstream, &known);
    for (uint32_t i = 0; i < count; i++) {
        map_remove(&downstream->listeners, known[i]->name);
        free_listener(known[i]);
    }
    free(known);
    map_dispose(&downstream->listeners);
    if (downstream->credentials != NULL)
        credentials_unref(downstream->credentials);
}
