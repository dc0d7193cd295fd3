// What the tests of connections and of streams on them share: a world with one endpoint, requests on it, and its server.
#ifndef TESTS_UPSTREAM_CONN_DRIVE_H
#define TESTS_UPSTREAM_CONN_DRIVE_H

#include "unit/upstream/pool_drive.h"

#define DOCUMENTS(groups) PROXY_DOCUMENT SERVICE_DOCUMENT("a", "HTTP1", ONE_ENDPOINT) POLICY_DOCUMENT("a", groups)
#define HTTP2_DOCUMENTS(groups) PROXY_DOCUMENT SERVICE_DOCUMENT("a", "HTTP2", ONE_ENDPOINT) POLICY_DOCUMENT("a", groups)
#define KEY "default/a:80"
#define MANY 8

struct world {
    struct fake_upstream far;
    struct conn_pool *pool;
    struct try tries[MANY];
};

static inline void world_init(struct world *world, const char *documents, enum pool_kind kind) {
    memset(world, 0, sizeof *world);
    fake_upstream_init(&world->far, documents);
    world->pool = pool_of(&world->far, KEY, 0, kind);
}

static inline void begin(struct world *world, unsigned number) {
    try_begin(&world->tries[number], &world->far, world->pool);
    fake_upstream_settle(&world->far);
}

// Raw: the head is on its way, with a body to follow.
static inline void begin_raw(struct world *world, unsigned number) {
    struct try *try = &world->tries[number];
    world->far.mode = FAR_RAW;
    try_init(try, &world->far, world->pool);
    try->holds_body = true;
    try_go(try);
    fake_upstream_settle(&world->far);
    assert_true(try->sent);
}

static inline void world_end(struct world *world, unsigned tries) {
    for (unsigned i = 0; i < tries; i++)
        try_end(&world->tries[i]);
    fake_upstream_dispose(&world->far);
}

static inline void answer(struct world *world, unsigned position, unsigned number) {
    struct far_conn *conn = far_conn(&world->far, position);
    far_respond(conn, far_request(conn, number), 204, "", NULL, true);
}

static inline bool is_closed(struct world *world, unsigned position) {
    return far_conn(&world->far, position)->peer->closed;
}

static inline void assert_body(const struct buffer *body, const char *expected) {
    char text[256] = "";
    struct iovec iov[8];
    size_t length;
    int count = buffer_iovec(body, iov, 8, &length);
    size_t at = 0;
    for (int i = 0; i < count; at += iov[i++].iov_len)
        memcpy(text + at, iov[i].iov_base, iov[i].iov_len);
    assert_string_equal(text, expected);
}

static const struct {
    const char *documents;
    enum pool_kind kind;
} both[] = {{DOCUMENTS(""), POOL_HTTP1}, {HTTP2_DOCUMENTS(""), POOL_HTTP2}};

#endif
