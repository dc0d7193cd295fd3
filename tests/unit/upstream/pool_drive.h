// What the tests of connection pools share: a world with one service, and requests that take a connection, wait, send and receive as an attempt does.
#ifndef TESTS_UPSTREAM_POOL_DRIVE_H
#define TESTS_UPSTREAM_POOL_DRIVE_H

#include "base/check.h"
#include "support/fake_upstream.h"
#include "upstream/cluster.h"
#include "upstream/upstream_conn.h"
#include "upstream/upstream_stream.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define API "apiVersion: outrigger.dev/v1alpha1\n"
#define PROXY_DOCUMENT                              \
    API "kind: Proxy\nmetadata: {name: p}\nspec:\n" \
        "  listeners: [{name: outbound, role: Outbound, address: '127.0.0.1:15001'}]\n---\n"
#define SERVICE_DOCUMENT(name, protocol, endpoints)                                                                                               \
    API "kind: ServiceEntry\nmetadata: {name: " name "}\nspec:\n  hosts: [" name "]\n  ports: [{name: http, port: 80, protocol: " protocol "}]\n" \
        "  tls: {mode: None}\n  endpoints: [" endpoints "]\n---\n"
#define POLICY_DOCUMENT(name, groups) \
    API "kind: TrafficPolicy\nmetadata: {name: " name "}\nspec:\n  targetRefs: [{kind: Service, name: " name "}]\n" groups "---\n"
#define ONE_ENDPOINT "{address: '127.0.0.1:8001'}"

struct try {
    struct fake_upstream *far;
    struct conn_pool *conn_pool;
    struct pool pool;
    struct conn_waiter waiter;
    struct upstream_stream up;
    struct task task;
    struct head head;
    struct upstream_conn *conn; // that it was sent on
    enum error error;           // why no connection was had
    enum error open_error;
    unsigned woken;
    bool sent;
    bool holds_body; // no `end` with the head
};

static inline void try_go(struct try *try) {
    enum error error;
    struct upstream_conn *conn = conn_pool_take(try->conn_pool, &try->waiter, &error);
    if (conn == NULL) {
        try->error = error;
        return;
    }
    try->conn = conn;
    try->open_error = upstream_stream_open(conn, &try->up, &try->head, !try->holds_body);
    try->sent = try->open_error == OK;
}

static inline void try_run(struct task *task) {
    struct try *try = CONTAINER_OF(task, struct try, task);
    try->woken++;
    if (try->sent)
        return;
    if (try->waiter.error != OK)
        try->error = try->waiter.error;
    else if (try->waiter.granted)
        try_go(try);
}

static inline void try_init(struct try *try, struct fake_upstream *far, struct conn_pool *conn_pool) {
    *try = (struct try){.far = far, .conn_pool = conn_pool};
    pool_init(&try->pool, &far->check.loop.pools);
    list_init(&try->waiter.link);
    list_init(&try->up.link);
    list_init(&try->up.interim);
    buffer_init(&try->up.body, &far->check.loop.blocks);
    task_init(&try->task, try_run);
    try->waiter.task = &try->task;
    try->up.task = &try->task;
    try->up.codec_stream.pool = &try->pool;
    head_init(&try->head, &try->pool);
    try->head.version = HTTP_1_1;
    try->head.method = METHOD_GET;
    try->head.method_text = method_text(METHOD_GET);
    try->head.scheme = BYTES("http");
    try->head.authority = BYTES("a");
    try->head.path = BYTES("/");
    try->head.content_length = -1;
    endpoint_ref(conn_pool->endpoint);
}

// Takes a connection or waits for one; does not settle.
static inline void try_begin(struct try *try, struct fake_upstream *far, struct conn_pool *conn_pool) {
    try_init(try, far, conn_pool);
    try_go(try);
}

static inline bool try_waits(const struct try *try) {
    return try->waiter.pool != NULL;
}

static inline void try_end(struct try *try) {
    conn_waiter_cancel(&try->waiter);
    upstream_stream_cancel(&try->up, ERROR_CANCELLED);
    task_cancel(&try->task);
    buffer_dispose(&try->up.body);
    endpoint_unref(try->conn_pool->endpoint);
    pool_dispose(&try->pool);
}

static inline struct conn_pool *pool_of(struct fake_upstream *far, const char *key, unsigned endpoint, enum pool_kind kind) {
    struct cluster *cluster = fake_upstream_cluster(far, key);
    CHECK(endpoint < cluster->endpoint_count);
    endpoint_link(cluster->endpoints[endpoint]);
    return &cluster->endpoints[endpoint]->links->pools[kind];
}

#endif
