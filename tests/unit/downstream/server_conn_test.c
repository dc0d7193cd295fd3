// A client's connection over HTTP/1: requests in their order, what is answered to one that cannot be served, and how the connection ends: by either side, by time, by a
// response that says so; and that nothing sent to a client is lost with its end.
#include "unit/downstream/one_client.h"

#include "base/limits.h"

#define HTTP1 PROXY SERVICE("HTTP1", ONE)

static unsigned count_text(const char *text, const char *part) {
    unsigned count = 0;
    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part))
        count++;
    return count;
}

static void a_request_is_answered_and_the_connection_kept(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP1, "outbound");
    for (int i = 0; i < 3; i++) {
        near_send(world.conn, "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_has(near_received(world.conn), "HTTP/1.1 200 OK\r\n");
        assert_has(near_received(world.conn), "\r\n\r\n/hello");
        assert_has_not(near_received(world.conn), "Connection: close");
        near_forget(world.conn);
        // An idle connection holds no buffer.
        assert_int_equal(world.near.loopback.far.check.loop.blocks.used, 0);
        assert_int_equal(world.near.loopback.far.check.loop.pools.used, 0);
    }
    near_close(world.conn);
    assert_true(near_is_closed(world.conn));
    assert_int_equal(metric_read(&metrics_of(&world)->downstream_closed_peer), 1);
    world_dispose(&world);
}

static void a_request_may_come_byte_by_byte(void **state) {
    (void)state;
    static const char request[] = "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    struct world world;
    world_init(&world, HTTP1, "outbound");
    for (size_t i = 0; i + 1 < sizeof request; i++)
        near_send_bytes(world.conn, bytes_from(request + i, 1));
    assert_has(near_received(world.conn), "\r\n\r\n/b");
    assert_has(received(&world.near.loopback, 0), "body 5 hello\n");
    world_dispose(&world);
}

static void bytes_are_counted_while_the_connection_lives(void **state) {
    (void)state;
    static const char request[] = "GET /b HTTP/1.1\r\nHost: a\r\n\r\n";
    struct world world;
    world_init(&world, HTTP1, "outbound");
    const struct worker_metrics *metrics = &world.near.loopback.far.metrics;
    for (unsigned i = 1; i <= 3; i++) {
        near_send(world.conn, request);
        assert_int_equal(metric_read(&metrics->downstream_bytes_in), i * (sizeof request - 1));
        assert_int_equal(metric_read(&metrics->downstream_bytes_out), strlen(near_received(world.conn)));
        assert_false(world.conn->peer->closed);
    }
    uint64_t sent = metric_read(&metrics->downstream_bytes_out);
    near_close(world.conn);
    assert_int_equal(metric_read(&metrics->downstream_bytes_in), 3 * (sizeof request - 1));
    assert_int_equal(metric_read(&metrics->downstream_bytes_out), sent);
    world_dispose(&world);
}

static void pipelined_requests_are_answered_in_order_one_at_a_time(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP1, "outbound");
    world.near.loopback.far.serve = NULL;
    near_send(world.conn, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
    for (unsigned i = 0; i < 3; i++) {
        struct far_conn *conn = far_conn(&world.near.loopback.far, 0);
        assert_int_equal(conn->server.count, i + 1); // none is begun before the one in front of it is answered
        char body[8];
        snprintf(body, sizeof body, "<%u>", i + 1);
        far_respond(conn, far_request(conn, i), 200, "content-length: 3\n", body, true);
        assert_has(near_received(world.conn), body);
    }
    const char *all = near_received(world.conn);
    assert_true(strstr(all, "<1>") < strstr(all, "<2>") && strstr(all, "<2>") < strstr(all, "<3>"));
    assert_int_equal(world.near.loopback.far.count, 1);
    world_dispose(&world);
}

static void many_pipelined_requests_in_odd_pieces_are_all_answered(void **state) {
    (void)state;
    enum { COUNT = 300 };
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct world world;
        struct text all = {0};
        fake_downstream_init(&world.near, HTTP1, NULL);
        world.near.loopback.far.serve = serve_paths;
        world.near.options = (struct fake_options){.seed = seed, .piece_max = 200, .late_max = 2};
        world.conn = near_connect(&world.near, "outbound");
        for (int i = 0; i < COUNT; i++)
            text_format(&all,
                        i % 3 == 0 ? "POST /%d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
                                   : "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n",
                        i);
        near_send(world.conn, all.at);
        const char *at = near_received(world.conn);
        for (int i = 0; i < COUNT; i++) {
            char expected[32];
            snprintf(expected, sizeof expected, "\r\n\r\n/%d", i);
            at = strstr(at, expected);
            assert_non_null(at);
        }
        text_dispose(&all);
        world_dispose(&world);
    }
}

static void connection_close_is_kept(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP1, "outbound");
    near_send(world.conn, "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_has(near_received(world.conn), "Connection: close\r\n");
    assert_has(near_received(world.conn), "\r\n\r\n/x");
    assert_true(world.conn->peer->shut_down || world.conn->peer->closed);
    near_close(world.conn);
    assert_true(near_is_closed(world.conn));
    assert_false(world.conn->peer->closed_reset);
    world_dispose(&world);
}

static void a_client_of_http_1_0_gets_its_answer_and_the_end(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP1, "outbound");
    near_send(world.conn, "GET /x HTTP/1.0\r\nHost: a\r\n\r\n");
    assert_has(near_received(world.conn), "\r\n\r\n/x");
    assert_true(world.conn->peer->shut_down);
    world_dispose(&world);
}

// --- requests that cannot be served ---

static void what_is_no_request_is_answered_400_and_closed(void **state) {
    (void)state;
    static const char *const requests[] = {"HELO example.org\r\n\r\n", "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
                                           "\x16\x03\x01\x02"};
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        struct world world;
        world_init(&world, HTTP1, "outbound");
        near_send(world.conn, requests[i]);
        assert_has(near_received(world.conn), i == 0 ? "HTTP/1.1 501 " : "HTTP/1.1 400 ");
        assert_has(near_received(world.conn), "Connection: close\r\n");
        assert_true(world.conn->peer->shut_down);
        // Its end is waited for, but not for ever.
        near_pass(&world.near, 3 * NS_PER_S);
        assert_true(near_is_closed(world.conn));
        assert_int_equal(world.near.loopback.record.count, 1);
        world_dispose(&world);
    }
}

// Closing with bytes unread resets the connection, and the answer may be lost with it.
static void the_end_waits_for_a_client_that_still_sends(void **state) {
    (void)state;
    static const char *const requests[] = {
        "POST /big HTTP/1.1\r\nHost: nobody\r\nContent-Length: 1000000\r\n\r\nstill sending", // answered 502 before its end
        "POST /bad HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\nstill sending",
        "POST /bad HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    };
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        struct world world;
        world_init(&world, HTTP1, "outbound");
        near_send(world.conn, requests[i]);
        assert_has(near_received(world.conn), "HTTP/1.1 ");
        assert_has(near_received(world.conn), "Connection: close\r\n");
        assert_true(world.conn->peer->shut_down);
        assert_false(world.conn->peer->closed);
        for (int piece = 0; piece < 5; piece++)
            near_send(world.conn, "more and more of it, which nobody reads");
        assert_int_equal(fake_peer_unread(world.conn->peer), 0); // thrown away
        if (world.conn->peer->closed)
            fail_msg("closed at once: %s", requests[i]);
        near_close(world.conn);
        assert_true(world.conn->peer->closed && !world.conn->peer->closed_reset);
        world_dispose(&world);
    }
}

static void a_client_that_never_stops_is_closed_after_a_while(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP1, "outbound");
    near_send(world.conn, "POST /big HTTP/1.1\r\nHost: nobody\r\nContent-Length: 1000000\r\n\r\nx");
    for (int i = 0; i < 25 && !near_is_closed(world.conn); i++) {
        near_pass(&world.near, 100 * NS_PER_MS);
        if (!near_is_closed(world.conn))
            near_send(world.conn, "more");
    }
    assert_true(near_is_closed(world.conn));
    world_dispose(&world);
}

// The whole request was there before its answer, and more than the credit before anybody decides: reading was off then.
static void a_connection_is_used_on_after_an_error_that_left_its_body_unread(void **state) {
    (void)state;
    static const size_t lengths[] = {10, LIMIT_BODY_BEFORE_DECISION, LIMIT_BODY_BEFORE_DECISION + 1, 40000};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct world world;
        struct text request = {0};
        char *body = alloc_or_abort(lengths[i]);
        memset(body, 'b', lengths[i]);
        world_init(&world, HTTP1, "outbound");
        near_send(world.conn, "GET /first HTTP/1.1\r\nHost: a\r\n\r\n");
        near_forget(world.conn);
        text_format(&request, "POST / HTTP/1.1\r\nHost: nobody\r\nContent-Length: %zu\r\n\r\n", lengths[i]);
        text_add(&request, bytes_from(body, lengths[i]));
        near_send_bytes(world.conn, text_bytes(&request));
        assert_has(near_received(world.conn), "HTTP/1.1 502 ");
        if (has_text(near_received(world.conn), "Connection: close")) {
            assert_true(world.conn->peer->shut_down);
        } else {
            near_send(world.conn, "GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_has(near_received(world.conn), "\r\n\r\n/next");
        }
        free(body);
        text_dispose(&request);
        world_dispose(&world);
    }
}

// --- the client's end ---

static void a_client_that_ends_its_side_gets_its_answer(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP1, "outbound");
    world.near.loopback.far.serve = NULL;
    near_send(world.conn, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    near_close(world.conn);
    assert_false(near_is_closed(world.conn));
    respond(&world.near.loopback, 0, 200, "content-length: 2\n", "ok");
    assert_has(near_received(world.conn), "\r\n\r\nok");
    assert_true(near_is_closed(world.conn));
    assert_int_equal(world.near.loopback.record.end, OK);
    world_dispose(&world);
}

static void pipelined_requests_before_the_end_are_all_answered(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP1, "outbound");
    fake_peer_send(world.conn->peer, BYTES("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n"));
    near_close(world.conn);
    assert_has(near_received(world.conn), "\r\n\r\n/1");
    assert_has(near_received(world.conn), "\r\n\r\n/2");
    assert_has(near_received(world.conn), "\r\n\r\n/3");
    assert_true(near_is_closed(world.conn));
    world_dispose(&world);
}

static void a_request_cut_short_behind_a_pipelined_one_ends_at_once(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP1, "outbound");
    fake_peer_send(world.conn->peer, BYTES("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHo"));
    near_close(world.conn);
    assert_has(near_received(world.conn), "\r\n\r\n/1");
    assert_true(near_is_closed(world.conn));
    world_dispose(&world);
}

static void a_client_that_breaks_off_cancels_its_request(void **state) {
    (void)state;
    static const char *const requests[] = {"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345"};
    for (int i = 0; i < 4; i++) {
        struct world world;
        world_init(&world, HTTP1, "outbound");
        world.near.loopback.far.serve = NULL;
        near_send(world.conn, requests[i % 2]);
        assert_int_equal(world.near.loopback.env.streams, 1);
        if (i / 2 == 0)
            near_break(world.conn);
        else if (i % 2 == 1)
            near_close(world.conn); // in the middle of its body: nothing to wait for
        else
            near_break(world.conn);
        assert_int_equal(world.near.loopback.env.streams, 0);
        assert_int_equal(world.near.loopback.record.end, ERROR_CLIENT_GONE);
        assert_true(far_conn(&world.near.loopback.far, 0)->peer->closed);
        assert_true(near_is_closed(world.conn));
        world_dispose(&world);
    }
}

static void a_connection_without_a_request_may_just_end(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct world world;
        world_init(&world, HTTP1, "outbound");
        if (i == 0)
            near_close(world.conn);
        else
            near_break(world.conn);
        assert_true(near_is_closed(world.conn));
        assert_int_equal(world.near.loopback.record.count, 0);
        world_dispose(&world);
    }
}

// --- time ---

static void a_head_that_does_not_come_in_time_is_408(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP1, "outbound");
    near_send(world.conn, "GET /x HTTP/1.1\r\nHost: a\r\n");
    // Byte after byte does not help.
    for (int i = 0; i < 9; i++) {
        near_pass(&world.near, NS_PER_S);
        near_send(world.conn, "x");
    }
    near_pass(&world.near, 900 * NS_PER_MS);
    assert_string_equal(near_received(world.conn), "");
    near_pass(&world.near, 200 * NS_PER_MS);
    assert_has(near_received(world.conn), "HTTP/1.1 408 ");
    assert_has(near_received(world.conn), "Connection: close\r\n");
    assert_int_equal(world.near.loopback.record.end, ERROR_HEADER_TIMEOUT);
    near_pass(&world.near, 3 * NS_PER_S);
    assert_true(near_is_closed(world.conn));
    world_dispose(&world);
}

static void the_next_head_has_a_time_of_its_own(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP1, "outbound");
    for (int i = 0; i < 4; i++) {
        near_send(world.conn, "GET /x HTTP/1.1\r\n");
        near_pass(&world.near, 8 * NS_PER_S);
        near_send(world.conn, "Host: a\r\n\r\n");
        assert_has(near_received(world.conn), "\r\n\r\n/x");
        near_forget(world.conn);
    }
    near_send(world.conn, "GET");
    near_pass(&world.near, PATIENCE + NS_PER_S);
    assert_has(near_received(world.conn), "HTTP/1.1 408 ");
    world_dispose(&world);
}

static void first_bytes_that_say_too_little_are_waited_for_no_longer_than_a_head(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP1, "outbound");
    near_send(world.conn, "PRI * HT"); // HTTP/2, perhaps
    near_pass(&world.near, PATIENCE - NS_PER_S);
    assert_false(near_is_closed(world.conn));
    near_pass(&world.near, 2 * NS_PER_S);
    assert_true(near_is_closed(world.conn));
    assert_int_equal(metric_read(&metrics_of(&world)->downstream_closed_header_timeout), 1);
    world_dispose(&world);
}

static void an_idle_connection_is_closed_in_time(void **state) {
    (void)state;
    for (int used = 0; used < 2; used++) {
        struct world world;
        world_init(&world, PROXY_WITH("  limits: {idleTimeout: 100s}\n") SERVICE("HTTP1", ONE), "outbound");
        near_pass(&world.near, 50 * NS_PER_S);
        if (used) {
            near_send(world.conn, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
            near_pass(&world.near, 99 * NS_PER_S);
            assert_false(near_is_closed(world.conn));
        }
        near_pass(&world.near, 51 * NS_PER_S);
        assert_true(near_is_closed(world.conn));
        assert_int_equal(metric_read(&metrics_of(&world)->downstream_closed_idle), 1);
        world_dispose(&world);
    }
}

static void a_connection_that_waits_for_an_answer_is_not_idle(void **state) {
    (void)state;
    struct world world;
    world_init(&world, PROXY_WITH("  limits: {idleTimeout: 5s}\n") SERVICE("HTTP1", ONE), "outbound");
    world.near.loopback.far.serve = NULL;
    near_send(world.conn, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    near_pass(&world.near, 60 * NS_PER_S);
    assert_false(near_is_closed(world.conn));
    respond(&world.near.loopback, 0, 204, "", NULL);
    assert_has(near_received(world.conn), "HTTP/1.1 204 ");
    near_pass(&world.near, 11 * NS_PER_S);
    assert_true(near_is_closed(world.conn));
    world_dispose(&world);
}

static void a_body_that_stops_coming_is_408(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP1, "outbound");
    near_send(world.conn, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345");
    near_pass(&world.near, 59 * NS_PER_S);
    near_send(world.conn, "6");
    near_pass(&world.near, 59 * NS_PER_S);
    assert_string_equal(near_received(world.conn), "");
    near_pass(&world.near, 62 * NS_PER_S);
    assert_has(near_received(world.conn), "HTTP/1.1 408 ");
    assert_int_equal(world.near.loopback.record.end, ERROR_BODY_TIMEOUT);
    world_dispose(&world);
}

// --- slow readers ---

// What was held at most, in blocks. `changes`: memory becomes short and is no more, again and again.
static uint32_t read_slowly(bool is_short, bool changes) {
    enum { TOTAL = 3 << 20 };
    struct world world;
    char *body = alloc_or_abort(TOTAL);
    for (size_t i = 0; i < TOTAL; i++)
        body[i] = (char)('a' + i % 23);
    world_init(&world, HTTP1, "outbound");
    world.near.loopback.far.serve = NULL;
    near_send(world.conn, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    fake_peer_accept(world.conn->peer, 0);
    struct block_source *source = &world.near.loopback.far.check.loop.blocks;
    source->is_short = is_short;
    struct far_conn *conn = far_conn(&world.near.loopback.far, 0);
    far_respond(conn, far_request(conn, 0), 200, "content-length: 3145728\n", NULL, false);
    far_body(conn, far_request(conn, 0), bytes_from(body, TOTAL), true);
    uint32_t most = 0;
    while (world.near.loopback.record.count == 0 || world.conn->peer->transport->out.length > 0) {
        most = source->used > most ? source->used : most;
        source->is_short ^= changes;
        fake_peer_accept(world.conn->peer, 40000);
        near_settle(&world.near);
    }
    const char *start = strstr(near_received(world.conn), "\r\n\r\n") + 4;
    assert_int_equal(world.conn->received.len - (size_t)(start - world.conn->received.at), TOTAL);
    assert_memory_equal(start, body, TOTAL);
    free(body);
    source->is_short = false;
    world_dispose(&world);
    return most;
}

static void a_slow_reader_gets_all_and_holds_little(void **state) {
    (void)state;
    // Output, the response's own buffer, a read on top: 64 KiB each.
    assert_true(read_slowly(false, false) <= 4 * (LIMIT_OUTPUT_BYTES / BLOCK_SIZE + 1));
}

// A block of output and of the response's own buffer; and a read on top, of which the fake transport makes no less than without a shortage.
static void while_memory_is_short_it_holds_less(void **state) {
    (void)state;
    assert_true(read_slowly(true, false) <= LIMIT_READ_BLOCKS + 4);
}

static void a_shortage_that_comes_and_goes_holds_nobody_up(void **state) {
    (void)state;
    (void)read_slowly(false, true);
    (void)read_slowly(true, true);
}

// The last response is still on its way when the connection is to close.
static void a_slow_reader_of_a_last_response_gets_it_whole(void **state) {
    (void)state;
    enum { TOTAL = 60000 };
    struct world world;
    char *body = alloc_zeroed_or_abort(1, TOTAL);
    memset(body, 'x', TOTAL);
    world_init(&world, HTTP1, "outbound");
    world.near.loopback.far.serve = NULL;
    near_send(world.conn, "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    fake_peer_accept(world.conn->peer, 0);
    struct far_conn *conn = far_conn(&world.near.loopback.far, 0);
    far_respond(conn, far_request(conn, 0), 200, "content-length: 60000\n", NULL, false);
    far_body(conn, far_request(conn, 0), bytes_from(body, TOTAL), true);
    while (count_text(near_received(world.conn), "x") < TOTAL) {
        near_pass(&world.near, 20 * NS_PER_S);
        assert_false(near_is_closed(world.conn));
        fake_peer_accept(world.conn->peer, 15000);
        near_settle(&world.near);
    }
    assert_true(world.conn->peer->shut_down);
    assert_false(world.conn->peer->closed_reset);
    free(body);
    world_dispose(&world);
}

static void one_that_reads_nothing_more_is_given_up(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP1, "outbound");
    fake_peer_accept(world.conn->peer, 0);
    near_send(world.conn, "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    near_pass(&world.near, 59 * NS_PER_S);
    assert_false(near_is_closed(world.conn));
    near_pass(&world.near, 2 * NS_PER_S);
    assert_true(near_is_closed(world.conn));
    world_dispose(&world);
}

// --- a response that cannot be written ---

static enum filter_result let_pass(struct stream *stream, const void *config, void *state) {
    (void)stream;
    (void)config;
    (void)state;
    return FILTER_CONTINUE;
}

// A fault of ours, or of a filter to come: two lines in one value.
static enum filter_result spoil_head(struct stream *stream, const void *config, void *state, struct head *head) {
    (void)stream;
    (void)config;
    (void)state;
    fields_add(&head->fields, BYTES("x-split"), BYTES("a\r\nSet-Cookie: b"));
    return FILTER_CONTINUE;
}

static const void *configure(const struct filter_scope *scope, struct pool *pool) {
    (void)scope;
    (void)pool;
    static const char something;
    return &something;
}

static const struct filter_type spoiling = {.name = "deadline", .configure = configure, .ops = {.decide = let_pass, .response_head = spoil_head}};
static const struct filter_type *const filters[] = {&spoiling, NULL};

static void a_head_that_would_split_the_response_cuts_the_connection(void **state) {
    (void)state;
    for (int body = 0; body < 2; body++) {
        struct world world;
        fake_downstream_init(&world.near, HTTP1, filters);
        world.conn = near_connect(&world.near, "outbound");
        near_send(world.conn, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
        respond(&world.near.loopback, 0, body ? 200 : 204, body ? "content-length: 2\n" : "", body ? "ok" : NULL);
        assert_string_equal(near_received(world.conn), "");
        near_pass(&world.near, 3 * NS_PER_S);
        assert_true(near_is_closed(world.conn));
        assert_int_equal(world.near.loopback.env.streams, 0);
        assert_int_equal(world.near.loopback.record.end, ERROR_INTERNAL);
        world_dispose(&world);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_answered_and_the_connection_kept),
        cmocka_unit_test(a_request_may_come_byte_by_byte),
        cmocka_unit_test(bytes_are_counted_while_the_connection_lives),
        cmocka_unit_test(pipelined_requests_are_answered_in_order_one_at_a_time),
        cmocka_unit_test(many_pipelined_requests_in_odd_pieces_are_all_answered),
        cmocka_unit_test(connection_close_is_kept),
        cmocka_unit_test(a_client_of_http_1_0_gets_its_answer_and_the_end),
        cmocka_unit_test(what_is_no_request_is_answered_400_and_closed),
        cmocka_unit_test(the_end_waits_for_a_client_that_still_sends),
        cmocka_unit_test(a_client_that_never_stops_is_closed_after_a_while),
        cmocka_unit_test(a_connection_is_used_on_after_an_error_that_left_its_body_unread),
        cmocka_unit_test(a_client_that_ends_its_side_gets_its_answer),
        cmocka_unit_test(pipelined_requests_before_the_end_are_all_answered),
        cmocka_unit_test(a_request_cut_short_behind_a_pipelined_one_ends_at_once),
        cmocka_unit_test(a_client_that_breaks_off_cancels_its_request),
        cmocka_unit_test(a_connection_without_a_request_may_just_end),
        cmocka_unit_test(a_head_that_does_not_come_in_time_is_408),
        cmocka_unit_test(the_next_head_has_a_time_of_its_own),
        cmocka_unit_test(first_bytes_that_say_too_little_are_waited_for_no_longer_than_a_head),
        cmocka_unit_test(an_idle_connection_is_closed_in_time),
        cmocka_unit_test(a_connection_that_waits_for_an_answer_is_not_idle),
        cmocka_unit_test(a_body_that_stops_coming_is_408),
        cmocka_unit_test(a_slow_reader_gets_all_and_holds_little),
        cmocka_unit_test(while_memory_is_short_it_holds_less),
        cmocka_unit_test(a_shortage_that_comes_and_goes_holds_nobody_up),
        cmocka_unit_test(a_slow_reader_of_a_last_response_gets_it_whole),
        cmocka_unit_test(one_that_reads_nothing_more_is_given_up),
        cmocka_unit_test(a_head_that_would_split_the_response_cuts_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
