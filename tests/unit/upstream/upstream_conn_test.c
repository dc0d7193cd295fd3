// One connection to an endpoint: what a stream on it is told, how it ends, when it is used again, and what time does to it.
#include "base/limits.h"

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

static void world_init(struct world *world, const char *documents, enum pool_kind kind) {
    memset(world, 0, sizeof *world);
    fake_upstream_init(&world->far, documents);
    world->pool = pool_of(&world->far, KEY, 0, kind);
}

static void begin(struct world *world, unsigned number) {
    try_begin(&world->tries[number], &world->far, world->pool);
    fake_upstream_settle(&world->far);
}

// Raw: the head is on its way, with a body to follow.
static void begin_raw(struct world *world, unsigned number) {
    struct try *try = &world->tries[number];
    world->far.mode = FAR_RAW;
    try_init(try, &world->far, world->pool);
    try->holds_body = true;
    try_go(try);
    fake_upstream_settle(&world->far);
    assert_true(try->sent);
}

static void world_end(struct world *world, unsigned tries) {
    for (unsigned i = 0; i < tries; i++)
        try_end(&world->tries[i]);
    fake_upstream_dispose(&world->far);
}

static void answer(struct world *world, unsigned position, unsigned number) {
    struct far_conn *conn = far_conn(&world->far, position);
    far_respond(conn, far_request(conn, number), 204, "", NULL, true);
}

static bool is_closed(struct world *world, unsigned position) {
    return far_conn(&world->far, position)->peer->closed;
}

static void assert_body(const struct buffer *body, const char *expected) {
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

// --- what a stream is told ---

static void a_response_is_recorded_and_its_task_woken(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct world world;
        world_init(&world, both[i].documents, both[i].kind);
        begin(&world, 0);
        struct far_conn *conn = far_conn(&world.far, 0);
        struct upstream_stream *up = &world.tries[0].up;
        unsigned woken = world.tries[0].woken;
        far_respond(conn, far_request(conn, 0), 200, "x-a: 1\n", "hello ", false);
        assert_true(world.tries[0].woken > woken);
        assert_true(up->head_arrived && !up->ended);
        assert_int_equal(up->codec_stream.head.status, 200);
        far_body(conn, far_request(conn, 0), BYTES("world"), false);
        far_trailers(conn, far_request(conn, 0), "x-t: 2\n");
        assert_true(up->ended);
        assert_body(&up->body, "hello world");
        assert_int_equal(up->codec_stream.trailers.count, 1);
        assert_null(up->conn);
        assert_int_equal(up->error, OK);
        world_end(&world, 1);
    }
}

static void interim_heads_wait_in_order(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct world world;
        world_init(&world, both[i].documents, both[i].kind);
        begin(&world, 0);
        struct far_conn *conn = far_conn(&world.far, 0);
        far_respond(conn, far_request(conn, 0), 103, "link: a\n", NULL, false);
        far_respond(conn, far_request(conn, 0), 102, "", NULL, false);
        assert_false(world.tries[0].up.head_arrived);
        far_respond(conn, far_request(conn, 0), 200, "", NULL, true);
        unsigned order = 0;
        LIST_EACH(&world.tries[0].up.interim, node, following)
            order = order * 1000 + LIST_ENTRY(node, struct interim_head, link)->head.status;
        assert_int_equal(order, 103102);
        assert_true(world.tries[0].up.head_arrived);
        world_end(&world, 1);
    }
}

// All of them must be passed on; codecs refuse a flood.
static void as_many_interim_heads_as_the_codec_takes_are_kept(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS(""), POOL_HTTP1);
    begin(&world, 0);
    struct far_conn *conn = far_conn(&world.far, 0);
    for (int i = 0; i < 12; i++)
        far_respond(conn, far_request(conn, 0), 103, "", NULL, false);
    unsigned seen = 0;
    LIST_EACH(&world.tries[0].up.interim, node, following)
        seen++;
    assert_int_equal(seen, 12);
    world_end(&world, 1);
}

static void an_http2_reset_is_told_by_what_it_means(void **state) {
    (void)state;
    static const struct {
        enum error sent, told;
    } cases[] = {{ERROR_REFUSED_STREAM, ERROR_REFUSED_STREAM}, {ERROR_CANCELLED, ERROR_UPSTREAM_RESET}, {ERROR_INTERNAL, ERROR_UPSTREAM_RESET}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world world;
        world_init(&world, HTTP2_DOCUMENTS(""), POOL_HTTP2);
        begin(&world, 0);
        begin(&world, 1);
        struct far_conn *conn = far_conn(&world.far, 0);
        far_reset(conn, far_request(conn, 0), cases[i].sent);
        assert_int_equal(world.tries[0].up.error, cases[i].told);
        assert_null(world.tries[0].up.conn);
        // Nobody else is disturbed.
        answer(&world, 0, 1);
        assert_true(world.tries[1].up.ended);
        assert_false(is_closed(&world, 0));
        world_end(&world, 2);
    }
}

static void a_reset_behind_the_head_leaves_the_response_incomplete(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct world world;
        world_init(&world, both[i].documents, both[i].kind);
        begin(&world, 0);
        struct far_conn *conn = far_conn(&world.far, 0);
        far_respond(conn, far_request(conn, 0), 200, "", "some", false);
        far_break(conn);
        assert_int_equal(world.tries[0].up.error, ERROR_RESPONSE_INCOMPLETE);
        assert_body(&world.tries[0].up.body, "some");
        world_end(&world, 1);
    }
}

static void a_broken_connection_fails_all_its_streams(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP2_DOCUMENTS(""), POOL_HTTP2);
    for (unsigned i = 0; i < 3; i++)
        begin(&world, i);
    far_break(far_conn(&world.far, 0));
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(world.tries[i].up.error, ERROR_UPSTREAM_RESET);
        assert_null(world.tries[i].up.conn);
    }
    assert_int_equal(world.pool->open, 0);
    assert_int_equal(metric_read(&world.far.metrics.upstream_closed_reset), 1);
    world_end(&world, 3);
}

static void nonsense_is_a_malformed_response(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS(""), POOL_HTTP1);
    begin_raw(&world, 0);
    far_send(far_conn(&world.far, 0), "SSH-2.0-OpenSSH_9.2\r\n");
    assert_int_equal(world.tries[0].up.error, ERROR_RESPONSE_MALFORMED);
    assert_true(is_closed(&world, 0));
    world_end(&world, 1);
}

static void http2_nonsense_is_a_malformed_response(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP2_DOCUMENTS(""), POOL_HTTP2);
    begin_raw(&world, 0);
    far_send(far_conn(&world.far, 0), "HTTP/1.1 400 Bad Request\r\n\r\n");
    assert_int_equal(world.tries[0].up.error, ERROR_RESPONSE_MALFORMED);
    assert_true(is_closed(&world, 0));
    assert_int_equal(metric_read(&world.far.metrics.upstream_closed_protocol), 1);
    world_end(&world, 1);
}

static void a_response_may_end_with_its_connection(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS(""), POOL_HTTP1);
    try_begin(&world.tries[0], &world.far, world.pool);
    world.far.conns->raw = true;
    fake_upstream_settle(&world.far);
    struct far_conn *conn = far_conn(&world.far, 0);
    far_send(conn, "HTTP/1.1 200 OK\r\n\r\nall of it");
    assert_false(world.tries[0].up.ended);
    far_close(conn);
    assert_true(world.tries[0].up.ended);
    assert_int_equal(world.tries[0].up.error, OK);
    assert_body(&world.tries[0].up.body, "all of it");
    world_end(&world, 1);
}

static void an_end_before_the_length_is_reached_is_told(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS(""), POOL_HTTP1);
    begin_raw(&world, 0);
    struct far_conn *conn = far_conn(&world.far, 0);
    far_send(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive!");
    far_close(conn);
    assert_int_equal(world.tries[0].up.error, ERROR_RESPONSE_INCOMPLETE);
    world_end(&world, 1);
}

// --- provably not processed? ---

static void what_never_left_is_told_as_unsent(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS(""), POOL_HTTP1);
    begin(&world, 0);
    answer(&world, 0, 0);
    // The idle connection breaks in the same turn in which it is taken.
    try_init(&world.tries[1], &world.far, world.pool);
    try_go(&world.tries[1]);
    assert_true(world.tries[1].sent);
    upstream_conn_close(world.tries[1].conn, ERROR_CONNECTION_RESET);
    assert_int_equal(world.tries[1].up.error, ERROR_UPSTREAM_RESET);
    assert_true(world.tries[1].up.was_unsent && world.tries[1].up.was_reused);
    world_end(&world, 2);
}

static void what_left_in_part_is_not_unsent(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS(""), POOL_HTTP1);
    begin_raw(&world, 0);
    far_break(far_conn(&world.far, 0));
    assert_int_equal(world.tries[0].up.error, ERROR_UPSTREAM_RESET);
    assert_false(world.tries[0].up.was_unsent);
    assert_false(world.tries[0].up.was_reused);
    world_end(&world, 1);
}

// --- the end of a connection ---

static void an_idle_connection_that_its_peer_closes_is_not_used_again(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct world world;
        world_init(&world, both[i / 2].documents, both[i / 2].kind);
        begin(&world, 0);
        answer(&world, 0, 0);
        assert_int_equal(world.pool->idle, 1);
        if (i % 2 == 0)
            far_close(far_conn(&world.far, 0));
        else
            far_break(far_conn(&world.far, 0));
        assert_int_equal(world.pool->idle, 0);
        assert_int_equal(world.pool->open, 0);
        assert_true(is_closed(&world, 0));
        begin(&world, 1);
        assert_int_equal(world.far.count, 2);
        assert_false(world.tries[1].up.was_reused);
        world_end(&world, 2);
    }
}

// It answers a request that nobody made: whoever comes next would get that answer.
static void bytes_on_an_idle_http1_connection_end_it(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS(""), POOL_HTTP1);
    begin(&world, 0);
    answer(&world, 0, 0);
    fake_peer_send(far_conn(&world.far, 0)->peer, BYTES("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    fake_upstream_settle(&world.far);
    assert_true(is_closed(&world, 0));
    begin(&world, 1);
    assert_int_equal(world.far.count, 2);
    assert_false(world.tries[1].up.head_arrived);
    world_end(&world, 2);
}

static void connection_close_ends_it_behind_the_response(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS(""), POOL_HTTP1);
    begin(&world, 0);
    far_conn(&world.far, 0)->server.codec->ops->signal(far_conn(&world.far, 0)->server.codec, CODEC_DRAIN);
    answer(&world, 0, 0);
    assert_true(world.tries[0].up.ended);
    assert_true(is_closed(&world, 0));
    assert_int_equal(world.pool->open, 0);
    world_end(&world, 1);
}

static void an_answer_before_the_end_of_the_request_ends_an_http1_connection(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS(""), POOL_HTTP1);
    begin_raw(&world, 0);
    far_send(far_conn(&world.far, 0), "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
    assert_true(world.tries[0].up.ended);
    assert_int_equal(world.tries[0].up.error, OK);
    assert_int_equal(upstream_conn_room(world.tries[0].conn), 0);
    upstream_stream_cancel(&world.tries[0].up, ERROR_CANCELLED);
    fake_upstream_settle(&world.far);
    assert_true(is_closed(&world, 0));
    world_end(&world, 1);
}

static void a_goaway_on_an_idle_connection_closes_it(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP2_DOCUMENTS(""), POOL_HTTP2);
    begin(&world, 0);
    answer(&world, 0, 0);
    struct codec *codec = far_conn(&world.far, 0)->server.codec;
    codec->ops->signal(codec, CODEC_DRAIN_FINAL);
    fake_upstream_settle(&world.far);
    assert_true(is_closed(&world, 0));
    begin(&world, 1);
    assert_true(world.tries[1].sent);
    assert_int_equal(world.far.count, 2);
    world_end(&world, 2);
}

static void a_goaway_lets_streams_end_and_sends_new_ones_elsewhere(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP2_DOCUMENTS(""), POOL_HTTP2);
    begin(&world, 0);
    struct codec *codec = far_conn(&world.far, 0)->server.codec;
    codec->ops->signal(codec, CODEC_DRAIN);
    fake_upstream_settle(&world.far);
    begin(&world, 1);
    assert_int_equal(world.far.count, 2);
    assert_int_equal(far_conn(&world.far, 1)->server.count, 1);
    answer(&world, 0, 0);
    assert_true(world.tries[0].up.ended);
    assert_true(is_closed(&world, 0));
    assert_false(is_closed(&world, 1));
    world_end(&world, 2);
}

// The server's GOAWAY crossed the request on its way.
static void a_stream_above_the_last_one_of_goaway_was_refused(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP2_DOCUMENTS(""), POOL_HTTP2);
    begin(&world, 0);
    try_begin(&world.tries[1], &world.far, world.pool);
    struct codec *codec = far_conn(&world.far, 0)->server.codec;
    codec->ops->signal(codec, CODEC_DRAIN_FINAL);
    fake_upstream_settle(&world.far);
    assert_int_equal(world.tries[1].up.error, ERROR_REFUSED_STREAM);
    assert_int_equal(world.tries[0].up.error, OK);
    answer(&world, 0, 0);
    assert_true(world.tries[0].up.ended);
    world_end(&world, 2);
}

static void a_cancelled_http1_request_costs_the_connection(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS(""), POOL_HTTP1);
    begin(&world, 0);
    upstream_stream_cancel(&world.tries[0].up, ERROR_CANCELLED);
    fake_upstream_settle(&world.far);
    assert_true(is_closed(&world, 0));
    world_end(&world, 1);
}

static void a_cancelled_http2_request_is_reset_alone(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP2_DOCUMENTS(""), POOL_HTTP2);
    begin(&world, 0);
    begin(&world, 1);
    upstream_stream_cancel(&world.tries[0].up, ERROR_CANCELLED);
    fake_upstream_settle(&world.far);
    struct far_conn *conn = far_conn(&world.far, 0);
    assert_true(far_request(conn, 0)->has_failed);
    assert_false(is_closed(&world, 0));
    answer(&world, 0, 1);
    assert_true(world.tries[1].up.ended);
    world_end(&world, 2);
}

// --- time ---

// Opened, used once, idle: closed after exactly `idle`.
static void assert_idle_for(const char *documents, enum pool_kind kind, const char *fields, nanoseconds idle) {
    struct world world;
    world_init(&world, documents, kind);
    begin(&world, 0);
    fake_upstream_pass(&world.far, 100 * NS_PER_MS);
    struct far_conn *conn = far_conn(&world.far, 0);
    far_respond(conn, far_request(conn, 0), 200, fields, NULL, true);
    if (idle > 2 * NS_PER_MS) {
        fake_upstream_pass(&world.far, idle - 2 * NS_PER_MS);
        assert_false(is_closed(&world, 0));
    }
    fake_upstream_pass(&world.far, 4 * NS_PER_MS);
    assert_true(is_closed(&world, 0));
    assert_int_equal(metric_read(&world.far.metrics.upstream_closed_idle), 1);
    world_end(&world, 1);
}

static void an_idle_connection_is_closed_in_time(void **state) {
    (void)state;
    assert_idle_for(DOCUMENTS(""), POOL_HTTP1, "", 4 * NS_PER_S);
    assert_idle_for(DOCUMENTS("  connections: {http1IdleTimeout: 700ms}\n"), POOL_HTTP1, "", 700 * NS_PER_MS);
    assert_idle_for(HTTP2_DOCUMENTS(""), POOL_HTTP2, "", 30 * NS_PER_S);
    assert_idle_for(HTTP2_DOCUMENTS("  connections: {idleTimeout: 2s}\n"), POOL_HTTP2, "", 2 * NS_PER_S);
}

static void the_peers_keep_alive_less_a_second_counts_where_it_is_shorter(void **state) {
    (void)state;
    static const struct {
        const char *sent;
        nanoseconds idle;
    } cases[] = {
        {"timeout=3", 2 * NS_PER_S}, {"timeout=2", NS_PER_S}, {"timeout=1", 0}, {"timeout=60", 4 * NS_PER_S}, {"max=5, timeout=3", 2 * NS_PER_S}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world world;
        world_init(&world, DOCUMENTS(""), POOL_HTTP1);
        try_begin(&world.tries[0], &world.far, world.pool);
        world.far.conns->raw = true;
        fake_upstream_settle(&world.far);
        fake_upstream_pass(&world.far, 300 * NS_PER_MS);
        char text[128];
        snprintf(text, sizeof text, "HTTP/1.1 204 No Content\r\nKeep-Alive: %s\r\n\r\n", cases[i].sent);
        far_send(far_conn(&world.far, 0), text);
        assert_true(world.tries[0].up.ended);
        if (cases[i].idle > 0) {
            fake_upstream_pass(&world.far, cases[i].idle - 2 * NS_PER_MS);
            assert_false(is_closed(&world, 0));
        }
        fake_upstream_pass(&world.far, 4 * NS_PER_MS);
        assert_true(is_closed(&world, 0));
        world_end(&world, 1);
    }
}

static void a_busy_connection_is_not_idle(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct world world;
        world_init(&world, both[i].documents, both[i].kind);
        begin(&world, 0);
        fake_upstream_pass(&world.far, 100 * NS_PER_S);
        assert_false(is_closed(&world, 0));
        answer(&world, 0, 0);
        assert_false(is_closed(&world, 0));
        fake_upstream_pass(&world.far, 40 * NS_PER_S);
        assert_true(is_closed(&world, 0));
        world_end(&world, 1);
    }
}

static void a_connection_that_is_used_again_stays(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS(""), POOL_HTTP1);
    for (unsigned i = 0; i < MANY; i++) {
        begin(&world, i);
        answer(&world, 0, i);
        fake_upstream_pass(&world.far, 3 * NS_PER_S);
    }
    assert_int_equal(world.far.count, 1);
    fake_upstream_pass(&world.far, 2 * NS_PER_S);
    assert_true(is_closed(&world, 0));
    world_end(&world, MANY);
}

static void a_connection_takes_nothing_new_after_its_age(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP2_DOCUMENTS("  connections: {maxAge: 5s}\n"), POOL_HTTP2);
    begin(&world, 0);
    fake_upstream_pass(&world.far, 5 * NS_PER_S + NS_PER_MS);
    begin(&world, 1);
    assert_int_equal(world.far.count, 2);
    answer(&world, 0, 0);
    assert_true(world.tries[0].up.ended);
    assert_true(is_closed(&world, 0));
    assert_int_equal(metric_read(&world.far.metrics.upstream_closed_age), 1);
    world_end(&world, 2);
}

// Pings that the far end's codec saw are answered by it; counted here as the frames that it got while it had nothing else to do.
static void a_silent_http2_peer_is_asked_for_a_sign_of_life(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP2_DOCUMENTS("  connections: {keepalive: 10s}\n"), POOL_HTTP2);
    begin(&world, 0);
    uint64_t bytes = world.tries[0].conn->transport->bytes_out;
    fake_upstream_pass(&world.far, 9 * NS_PER_S);
    assert_int_equal(world.tries[0].conn->transport->bytes_out, bytes);
    fake_upstream_pass(&world.far, 2 * NS_PER_S);
    assert_int_equal(world.tries[0].conn->transport->bytes_out, bytes + 17); // a PING frame
    // It is answered, so this goes on.
    fake_upstream_pass(&world.far, 100 * NS_PER_S);
    assert_false(is_closed(&world, 0));
    assert_in_range(world.tries[0].conn->transport->bytes_out, bytes + 10 * 17, bytes + 12 * 17);
    answer(&world, 0, 0);
    world_end(&world, 1);
}

static void an_http2_peer_that_gives_none_is_gone(void **state) {
    (void)state;
    static const char *const idle[] = {"", ", idleTimeout: 0s", ", idleTimeout: 1h"};
    for (size_t i = 0; i < sizeof idle / sizeof idle[0]; i++) {
        char documents[2048];
        struct world world;
        snprintf(documents, sizeof documents,
                 PROXY_DOCUMENT SERVICE_DOCUMENT("a", "HTTP2", ONE_ENDPOINT) POLICY_DOCUMENT("a", "  connections: {keepalive: 10s%s}\n"), idle[i]);
        world_init(&world, documents, POOL_HTTP2);
        begin(&world, 0);
        far_conn(&world.far, 0)->raw = true; // nobody reads there any more
        fake_upstream_pass(&world.far, 19 * NS_PER_S);
        assert_int_equal(world.tries[0].up.error, OK);
        fake_upstream_pass(&world.far, 2 * NS_PER_S);
        assert_int_equal(world.tries[0].up.error, ERROR_UPSTREAM_RESET);
        assert_true(is_closed(&world, 0));
        assert_int_equal(metric_read(&world.far.metrics.upstream_closed_keepalive), 1);
        world_end(&world, 1);
    }
}

// A stream on a connection that had been idle for long: its peer must be asked in time too.
static void a_connection_that_was_idle_for_long_is_asked_in_time(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP2_DOCUMENTS("  connections: {keepalive: 5s, idleTimeout: 1h}\n"), POOL_HTTP2);
    begin(&world, 0);
    answer(&world, 0, 0);
    fake_upstream_pass(&world.far, 600 * NS_PER_S);
    far_conn(&world.far, 0)->raw = true;
    begin(&world, 1);
    fake_upstream_pass(&world.far, 11 * NS_PER_S);
    assert_int_equal(world.tries[1].up.error, ERROR_UPSTREAM_RESET);
    world_end(&world, 2);
}

// It has no cluster any more, and takes nothing new: nobody else would notice that its peer is dead.
static void a_silent_peer_of_a_retired_endpoint_is_gone_too(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP2_DOCUMENTS("  connections: {keepalive: 10s}\n"), POOL_HTTP2);
    begin(&world, 0);
    fake_upstream_apply(&world.far, PROXY_DOCUMENT);
    fake_upstream_pass(&world.far, 100 * NS_PER_S);
    assert_int_equal(world.tries[0].up.error, OK); // it gives a sign of life
    far_conn(&world.far, 0)->raw = true;
    fake_upstream_pass(&world.far, 21 * NS_PER_S);
    assert_int_equal(world.tries[0].up.error, ERROR_UPSTREAM_RESET);
    assert_true(is_closed(&world, 0));
    assert_int_equal(metric_read(&world.far.metrics.upstream_closed_keepalive), 1);
    world_end(&world, 1);
}

// --- back-pressure ---

static void an_http1_response_that_nobody_takes_is_held_back(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS(""), POOL_HTTP1);
    world.far.mode = FAR_ACCEPT;
    begin(&world, 0);
    struct far_conn *conn = far_conn(&world.far, 0);
    struct upstream_stream *up = &world.tries[0].up;
    enum { TOTAL = 1 << 20 };
    char *much = alloc_zeroed_or_abort(1, TOTAL);
    far_respond(conn, far_request(conn, 0), 200, "content-length: 1048576\n", NULL, false);
    far_body(conn, far_request(conn, 0), bytes_from(much, TOTAL), true);
    size_t bound = world.far.upstream.buffer_per_stream + (size_t)LIMIT_READ_BLOCKS * BLOCK_CAPACITY;
    size_t taken = 0;
    while (!up->ended || up->body.length > 0) {
        assert_true(up->body.length > 0 && up->body.length <= bound);
        size_t piece = up->body.length < 10000 ? up->body.length : 10000;
        buffer_consume(&up->body, piece);
        upstream_stream_consumed(up, piece);
        taken += piece;
        fake_upstream_settle(&world.far);
    }
    assert_int_equal(taken, TOTAL);
    assert_int_equal(up->error, OK);
    free(much);
    world_end(&world, 1);
}

static void an_http2_response_that_nobody_takes_is_held_back_by_its_window(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP2_DOCUMENTS(""), POOL_HTTP2);
    begin(&world, 0);
    begin(&world, 1);
    struct far_conn *conn = far_conn(&world.far, 0);
    struct upstream_stream *up = &world.tries[0].up;
    enum { TOTAL = 1 << 20 };
    char *much = alloc_zeroed_or_abort(1, TOTAL);
    far_respond(conn, far_request(conn, 0), 200, "", NULL, false);
    far_body(conn, far_request(conn, 0), bytes_from(much, TOTAL), true);
    assert_int_equal(up->body.length, world.far.upstream.buffer_per_stream);
    // The one beside it goes on.
    far_respond(conn, far_request(conn, 1), 200, "", "small", true);
    assert_true(world.tries[1].up.ended);
    size_t taken = 0;
    while (!up->ended || up->body.length > 0) {
        assert_true(up->body.length > 0 && up->body.length <= world.far.upstream.buffer_per_stream);
        size_t piece = up->body.length;
        buffer_consume(&up->body, piece);
        upstream_stream_consumed(up, piece);
        taken += piece;
        fake_upstream_settle(&world.far);
    }
    assert_int_equal(taken, TOTAL);
    free(much);
    world_end(&world, 2);
}

// Raw on both kinds: the far end takes nothing at first.
static void a_request_body_is_taken_as_the_peer_takes_it(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct world world;
        world_init(&world, both[i].documents, both[i].kind);
        struct try *try = &world.tries[0];
        try_init(try, &world.far, world.pool);
        try->holds_body = true;
        try_go(try);
        fake_upstream_settle(&world.far);
        struct far_conn *conn = far_conn(&world.far, 0);
        fake_peer_accept(conn->peer, 0);
        struct buffer body;
        buffer_init(&body, &world.far.check.loop.blocks);
        enum { TOTAL = 1 << 20 };
        char *much = alloc_zeroed_or_abort(1, TOTAL);
        buffer_append(&body, bytes_from(much, TOTAL));
        unsigned woken = 0;
        size_t accepted = 0;
        while (body.length > 0) {
            if (try->woken > woken) {
                woken = try->woken;
                upstream_stream_send(&try->up, &body, true, NULL);
                assert_int_equal(try->up.wants_room, body.length > 0);
            }
            fake_upstream_settle(&world.far);
            // What is taken ahead of the peer: what waits in the stream, in the output and in the peer's window.
            assert_true(TOTAL - body.length <= accepted + 3 * LIMIT_OUTPUT_BYTES);
            if (try->woken == woken) {
                accepted += 50000;
                fake_peer_accept(conn->peer, 50000);
                fake_upstream_settle(&world.far);
                assert_true(try->woken > woken || conn->peer->accepts > 0 || world.tries[0].conn->transport->out.length > 0);
            }
        }
        fake_peer_accept(conn->peer, SIZE_MAX);
        fake_upstream_settle(&world.far);
        assert_int_equal(far_request(conn, 0)->body.len, TOTAL);
        assert_true(far_request(conn, 0)->ended);
        buffer_dispose(&body);
        free(much);
        answer(&world, 0, 0);
        assert_true(try->up.ended);
        world_end(&world, 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_response_is_recorded_and_its_task_woken),
        cmocka_unit_test(interim_heads_wait_in_order),
        cmocka_unit_test(as_many_interim_heads_as_the_codec_takes_are_kept),
        cmocka_unit_test(an_http2_reset_is_told_by_what_it_means),
        cmocka_unit_test(a_reset_behind_the_head_leaves_the_response_incomplete),
        cmocka_unit_test(a_broken_connection_fails_all_its_streams),
        cmocka_unit_test(nonsense_is_a_malformed_response),
        cmocka_unit_test(http2_nonsense_is_a_malformed_response),
        cmocka_unit_test(a_response_may_end_with_its_connection),
        cmocka_unit_test(an_end_before_the_length_is_reached_is_told),
        cmocka_unit_test(what_never_left_is_told_as_unsent),
        cmocka_unit_test(what_left_in_part_is_not_unsent),
        cmocka_unit_test(an_idle_connection_that_its_peer_closes_is_not_used_again),
        cmocka_unit_test(bytes_on_an_idle_http1_connection_end_it),
        cmocka_unit_test(connection_close_ends_it_behind_the_response),
        cmocka_unit_test(an_answer_before_the_end_of_the_request_ends_an_http1_connection),
        cmocka_unit_test(a_goaway_on_an_idle_connection_closes_it),
        cmocka_unit_test(a_goaway_lets_streams_end_and_sends_new_ones_elsewhere),
        cmocka_unit_test(a_stream_above_the_last_one_of_goaway_was_refused),
        cmocka_unit_test(a_cancelled_http1_request_costs_the_connection),
        cmocka_unit_test(a_cancelled_http2_request_is_reset_alone),
        cmocka_unit_test(an_idle_connection_is_closed_in_time),
        cmocka_unit_test(the_peers_keep_alive_less_a_second_counts_where_it_is_shorter),
        cmocka_unit_test(a_busy_connection_is_not_idle),
        cmocka_unit_test(a_connection_that_is_used_again_stays),
        cmocka_unit_test(a_connection_takes_nothing_new_after_its_age),
        cmocka_unit_test(a_silent_http2_peer_is_asked_for_a_sign_of_life),
        cmocka_unit_test(an_http2_peer_that_gives_none_is_gone),
        cmocka_unit_test(a_connection_that_was_idle_for_long_is_asked_in_time),
        cmocka_unit_test(a_silent_peer_of_a_retired_endpoint_is_gone_too),
        cmocka_unit_test(an_http1_response_that_nobody_takes_is_held_back),
        cmocka_unit_test(an_http2_response_that_nobody_takes_is_held_back_by_its_window),
        cmocka_unit_test(a_request_body_is_taken_as_the_peer_takes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
