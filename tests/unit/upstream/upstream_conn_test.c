// One connection to an endpoint: how it ends, when it is used again, and what time does to it.
#include "unit/upstream/conn_drive.h"

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

static unsigned closed_count(struct world *world) {
    unsigned count = 0;
    for (unsigned i = 0; i < world->far.count; i++)
        count += is_closed(world, i);
    return count;
}

// All of a service's connections may have been made in one moment, after a restart say: an endpoint must not have to make them anew in one.
static void connections_that_were_made_together_do_not_end_together(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS("  connections: {maxAge: 10s, http1IdleTimeout: 1m}\n"), POOL_HTTP1);
    for (unsigned i = 0; i < MANY; i++)
        try_begin(&world.tries[i], &world.far, world.pool);
    fake_upstream_settle(&world.far);
    for (unsigned i = 0; i < MANY; i++)
        answer(&world, i, 0);
    assert_int_equal(world.far.count, MANY);
    fake_upstream_pass(&world.far, 9 * NS_PER_S - NS_PER_MS);
    unsigned before = closed_count(&world);
    assert_int_equal(before, 0);
    for (int i = 0; i < 10; i++) {
        fake_upstream_pass(&world.far, 100 * NS_PER_MS);
        assert_true(closed_count(&world) - before <= MANY / 2);
        before = closed_count(&world);
    }
    fake_upstream_pass(&world.far, 2 * NS_PER_MS);
    assert_int_equal(closed_count(&world), MANY);
    assert_int_equal(metric_read(&world.far.metrics.upstream_closed_age), MANY);
    world_end(&world, MANY);
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
    // It is answered, so this goes on: for a stranger as seldom as gRPC servers want it, which take more for an attack,
    fake_upstream_pass(&world.far, 600 * NS_PER_S);
    assert_false(is_closed(&world, 0));
    assert_int_equal(world.tries[0].conn->transport->bytes_out, bytes + 2 * 17);
    // for a sidecar as the policy says.
    world.tries[0].conn->mesh = true;
    fake_upstream_pass(&world.far, 100 * NS_PER_S);
    assert_in_range(world.tries[0].conn->transport->bytes_out, bytes + 8 * 17, bytes + 12 * 17);
    world.tries[0].conn->mesh = false;
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

// Who begins a stream on a connection that was asked before is told in time too that its peer is dead.
static void a_stranger_that_was_asked_is_asked_once_more_for_a_new_stream(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP2_DOCUMENTS("  connections: {keepalive: 10s}\n"), POOL_HTTP2);
    begin(&world, 0);
    fake_upstream_pass(&world.far, 60 * NS_PER_S); // silent, but it answers
    far_conn(&world.far, 0)->raw = true;
    begin(&world, 1);
    assert_ptr_equal(world.tries[1].conn, world.tries[0].conn);
    fake_upstream_pass(&world.far, 21 * NS_PER_S);
    assert_int_equal(world.tries[1].up.error, ERROR_UPSTREAM_RESET);
    assert_true(is_closed(&world, 0));
    world_end(&world, 2);
}

static void a_strangers_connection_on_which_time_ran_out_in_silence_takes_no_more(void **state) {
    (void)state;
    for (int silent = 0; silent < 2; silent++) {
        struct world world;
        world_init(&world, HTTP2_DOCUMENTS(""), POOL_HTTP2);
        begin(&world, 0);
        begin(&world, 1);
        if (!silent)
            answer(&world, 0, 0);
        upstream_stream_cancel(&world.tries[1].up, ERROR_TRY_TIMEOUT);
        fake_upstream_settle(&world.far);
        begin(&world, 2);
        assert_int_equal(world.far.count, silent ? 2 : 1);
        world_end(&world, 3);
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
    world.tries[0].conn->mesh = true; // asked as often as the policy says
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

int main(void) {
    const struct CMUnitTest tests[] = {
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
        cmocka_unit_test(connections_that_were_made_together_do_not_end_together),
        cmocka_unit_test(a_silent_http2_peer_is_asked_for_a_sign_of_life),
        cmocka_unit_test(an_http2_peer_that_gives_none_is_gone),
        cmocka_unit_test(a_connection_that_was_idle_for_long_is_asked_in_time),
        cmocka_unit_test(a_stranger_that_was_asked_is_asked_once_more_for_a_new_stream),
        cmocka_unit_test(a_strangers_connection_on_which_time_ran_out_in_silence_takes_no_more),
        cmocka_unit_test(a_silent_peer_of_a_retired_endpoint_is_gone_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
