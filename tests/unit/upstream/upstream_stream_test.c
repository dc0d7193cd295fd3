// One exchange on a connection: what its owner is told, whether it was provably not processed, and how it is held back.
#include "base/limits.h"

#include "unit/upstream/conn_drive.h"

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
        cmocka_unit_test(an_http1_response_that_nobody_takes_is_held_back),
        cmocka_unit_test(an_http2_response_that_nobody_takes_is_held_back_by_its_window),
        cmocka_unit_test(a_request_body_is_taken_as_the_peer_takes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
