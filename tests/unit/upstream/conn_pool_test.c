// Which request gets which connection: the most recently used one, else a place in the queue in order of arrival, granted one by one; what bounds it, and who
// is failed when connections cannot be made.
#include "unit/upstream/pool_drive.h"

#define DOCUMENTS(groups) PROXY_DOCUMENT SERVICE_DOCUMENT("a", "HTTP1", ONE_ENDPOINT) POLICY_DOCUMENT("a", groups)
#define HTTP2_DOCUMENTS(groups) PROXY_DOCUMENT SERVICE_DOCUMENT("a", "HTTP2", ONE_ENDPOINT) POLICY_DOCUMENT("a", groups)
#define KEY "default/a:80"
#define MANY 12

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

static void begin(struct world *world, unsigned first, unsigned count) {
    for (unsigned i = first; i < first + count; i++)
        try_begin(&world->tries[i], &world->far, world->pool);
}

static void end(struct world *world, unsigned first, unsigned count) {
    for (unsigned i = first; i < first + count; i++)
        try_end(&world->tries[i]);
}

// The server answers what was sent on connection `position`, as its `number`-th request.
static void answer(struct world *world, unsigned position, unsigned number) {
    struct far_conn *conn = far_conn(&world->far, position);
    far_respond(conn, far_request(conn, number), 204, "", NULL, true);
}

// The proxy's end of it.
static struct upstream_conn *conn_at(struct world *world, unsigned position) {
    for (unsigned i = 0; i < MANY; i++)
        if (world->tries[i].conn != NULL && world->tries[i].conn->transport == far_conn(&world->far, position)->peer->transport)
            return world->tries[i].conn;
    fail_msg("no request was sent on connection %u", position);
    return NULL;
}

static void a_request_opens_a_connection_and_the_next_one_takes_it(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS(""), POOL_HTTP1);
    begin(&world, 0, 1);
    assert_true(try_waits(&world.tries[0]));
    fake_upstream_settle(&world.far);
    assert_true(world.tries[0].sent);
    assert_false(world.tries[0].up.was_reused);
    answer(&world, 0, 0);
    assert_true(world.tries[0].up.ended);
    begin(&world, 1, 1);
    assert_true(world.tries[1].sent);
    assert_true(world.tries[1].up.was_reused);
    assert_int_equal(world.far.count, 1);
    assert_int_equal(metric_read(&world.far.metrics.pool_reused), 1);
    end(&world, 0, 2);
    fake_upstream_dispose(&world.far);
}

static void the_connection_used_last_is_used_next(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS(""), POOL_HTTP1);
    begin(&world, 0, 3);
    fake_upstream_settle(&world.far);
    assert_int_equal(world.far.count, 3);
    static const unsigned order[] = {1, 0, 2};
    struct upstream_conn *used[3];
    for (int i = 0; i < 3; i++) {
        used[i] = conn_at(&world, order[i]);
        answer(&world, order[i], 0);
    }
    assert_int_equal(world.pool->idle, 3);
    begin(&world, 3, 3);
    assert_ptr_equal(world.tries[3].conn, used[2]);
    assert_ptr_equal(world.tries[4].conn, used[1]);
    assert_ptr_equal(world.tries[5].conn, used[0]);
    end(&world, 0, 6);
    fake_upstream_dispose(&world.far);
}

static void who_waits_is_served_in_order_of_arrival(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS("  connections: {max: 1}\n"), POOL_HTTP1);
    begin(&world, 0, 4);
    fake_upstream_settle(&world.far);
    assert_int_equal(world.far.count, 1);
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned j = 0; j < 4; j++)
            assert_int_equal(world.tries[j].sent, j <= i);
        answer(&world, 0, i);
    }
    assert_int_equal(metric_read(&world.far.metrics.pool_waits), 4);
    assert_int_equal(metric_read(&world.far.metrics.pool_waiting), 0);
    assert_int_equal(fake_upstream_cluster(&world.far, KEY)->waiting_peak, 4);
    end(&world, 0, 4);
    fake_upstream_dispose(&world.far);
}

// A newcomer in the same turn must not take the place of one who was granted it.
static void a_place_that_was_granted_is_not_taken_by_another(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS("  connections: {max: 1}\n"), POOL_HTTP1);
    begin(&world, 0, 2);
    fake_upstream_settle(&world.far);
    try_end(&world.tries[0]); // breaks the connection: HTTP/1 cannot take a request back
    fake_upstream_settle(&world.far);
    assert_true(world.tries[1].sent);
    begin(&world, 2, 1);
    struct far_conn *conn = far_conn(&world.far, 1);
    fake_peer_send(conn->peer, BYTES("HTTP/1.1 204 No Content\r\n\r\n"));
    loop_turn(&world.far.check.loop, world.far.check.loop.now); // read; the waiter is granted its place
    assert_true(world.tries[2].waiter.granted);
    begin(&world, 3, 1);
    assert_true(try_waits(&world.tries[3]));
    check_loop_settle(&world.far.check);
    assert_true(world.tries[2].sent);
    assert_false(world.tries[3].sent);
    end(&world, 1, 3);
    fake_upstream_dispose(&world.far);
}

static void a_cancelled_grant_goes_to_the_next(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS("  connections: {max: 1}\n"), POOL_HTTP1);
    begin(&world, 0, 3);
    fake_upstream_settle(&world.far);
    fake_peer_send(far_conn(&world.far, 0)->peer, BYTES("HTTP/1.1 204 No Content\r\n\r\n"));
    loop_turn(&world.far.check.loop, world.far.check.loop.now);
    assert_true(world.tries[1].waiter.granted);
    try_end(&world.tries[1]);
    assert_true(world.tries[2].waiter.granted);
    assert_int_equal(world.pool->granted, 1);
    check_loop_settle(&world.far.check);
    assert_true(world.tries[2].sent);
    try_end(&world.tries[0]);
    try_end(&world.tries[2]);
    fake_upstream_dispose(&world.far);
}

static void one_who_waits_may_leave(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS("  connections: {max: 1}\n"), POOL_HTTP1);
    begin(&world, 0, 3);
    fake_upstream_settle(&world.far);
    try_end(&world.tries[1]);
    assert_int_equal(world.pool->waiter_count, 1);
    assert_int_equal(fake_upstream_cluster(&world.far, KEY)->waiting, 1);
    answer(&world, 0, 0);
    assert_true(world.tries[2].sent);
    try_end(&world.tries[0]);
    try_end(&world.tries[2]);
    fake_upstream_dispose(&world.far);
}

// The connection goes in the turn in which its place was granted.
static void a_granted_place_that_is_gone_is_waited_for_at_the_front(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS("  connections: {max: 1}\n"), POOL_HTTP1);
    begin(&world, 0, 3);
    fake_upstream_settle(&world.far);
    fake_peer_send(far_conn(&world.far, 0)->peer, BYTES("HTTP/1.1 204 No Content\r\n\r\n"));
    loop_turn(&world.far.check.loop, world.far.check.loop.now);
    assert_true(world.tries[1].waiter.granted);
    upstream_conn_close(world.tries[0].conn, ERROR_CONNECTION_CLOSED);
    fake_upstream_settle(&world.far);
    assert_int_equal(world.far.count, 2);
    assert_true(world.tries[1].sent);
    assert_false(world.tries[2].sent);
    answer(&world, 1, 0);
    assert_true(world.tries[2].sent);
    end(&world, 0, 3);
    fake_upstream_dispose(&world.far);
}

static void no_more_connections_than_max_are_opened(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS("  connections: {max: 3}\n"), POOL_HTTP1);
    begin(&world, 0, 8);
    fake_upstream_settle(&world.far);
    assert_int_equal(world.far.count, 3);
    assert_int_equal(world.pool->open, 3);
    assert_int_equal(world.pool->waiter_count, 5);
    // One that is gone makes room for another.
    far_break(far_conn(&world.far, 0));
    assert_int_equal(world.far.count, 4);
    assert_int_equal(world.pool->waiter_count, 4);
    end(&world, 0, 8);
    fake_upstream_dispose(&world.far);
}

static void the_queue_is_bounded(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS("  connections: {max: 1, maxPending: 2}\n"), POOL_HTTP1);
    world.far.mode = FAR_WAIT;
    begin(&world, 0, 3);
    assert_int_equal(world.tries[2].error, ERROR_POOL_FULL);
    assert_false(try_waits(&world.tries[2]));
    assert_int_equal(metric_read(&world.far.metrics.pool_full), 1);
    far_connect(far_conn(&world.far, 0), OK);
    assert_true(world.tries[0].sent);
    assert_false(world.tries[1].sent);
    end(&world, 0, 3);
    fake_upstream_dispose(&world.far);
}

// --- connections that cannot be made ---

static void a_refused_connection_fails_who_waits_for_it(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS(""), POOL_HTTP1);
    world.far.mode = FAR_REFUSE;
    begin(&world, 0, 2);
    fake_upstream_settle(&world.far);
    assert_int_equal(world.tries[0].error, ERROR_CONNECT_REFUSED);
    assert_int_equal(world.tries[1].error, ERROR_CONNECT_REFUSED);
    assert_int_equal(world.pool->connecting_count, 0);
    assert_int_equal(metric_read(&world.far.metrics.upstream_failed_refused), 2);
    end(&world, 0, 2);
    fake_upstream_dispose(&world.far);
}

static void a_refused_connection_fails_only_one_of_those_that_others_serve(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS(""), POOL_HTTP1);
    world.far.mode = FAR_WAIT;
    begin(&world, 0, 3);
    far_connect(far_conn(&world.far, 1), ERROR_CONNECT_REFUSED);
    assert_int_equal(world.tries[0].error, ERROR_CONNECT_REFUSED);
    assert_true(try_waits(&world.tries[1]) && try_waits(&world.tries[2]));
    far_connect(far_conn(&world.far, 0), OK);
    far_connect(far_conn(&world.far, 2), OK);
    assert_true(world.tries[1].sent && world.tries[2].sent);
    end(&world, 0, 3);
    fake_upstream_dispose(&world.far);
}

static void a_connection_not_made_in_time_fails_who_waits(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS("  connections: {connectTimeout: 300ms}\n"), POOL_HTTP1);
    world.far.mode = FAR_WAIT;
    begin(&world, 0, 1);
    fake_upstream_pass(&world.far, 299 * NS_PER_MS);
    assert_true(try_waits(&world.tries[0]));
    fake_upstream_pass(&world.far, 2 * NS_PER_MS);
    assert_int_equal(world.tries[0].error, ERROR_CONNECT_TIMEOUT);
    assert_true(far_conn(&world.far, 0)->peer->closed);
    assert_int_equal(metric_read(&world.far.metrics.upstream_failed_timeout), 1);
    end(&world, 0, 1);
    fake_upstream_dispose(&world.far);
}

// Whatever the transport calls it, whoever waits is told that there was no connection: that may be tried elsewhere.
static void a_connection_that_breaks_while_being_made_counts_as_refused(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS(""), POOL_HTTP1);
    world.far.mode = FAR_WAIT;
    begin(&world, 0, 1);
    far_connect(far_conn(&world.far, 0), ERROR_CONNECTION_RESET);
    assert_int_equal(world.tries[0].error, ERROR_CONNECT_REFUSED);
    end(&world, 0, 1);
    fake_upstream_dispose(&world.far);
}

static void without_a_socket_a_request_fails_unless_another_will_be_free(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS(""), POOL_HTTP1);
    world.far.mode = FAR_NO_SOCKET;
    begin(&world, 0, 1);
    assert_int_equal(world.tries[0].error, ERROR_POOL_FULL);
    world.far.mode = FAR_ACCEPT;
    begin(&world, 1, 1);
    fake_upstream_settle(&world.far);
    assert_true(world.tries[1].sent);
    world.far.mode = FAR_NO_SOCKET;
    begin(&world, 2, 1);
    assert_true(try_waits(&world.tries[2]));
    answer(&world, 0, 0);
    assert_true(world.tries[2].sent);
    end(&world, 0, 3);
    fake_upstream_dispose(&world.far);
}

// --- HTTP/2 ---

static void http2_requests_share_a_connection(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP2_DOCUMENTS(""), POOL_HTTP2);
    begin(&world, 0, 5);
    assert_int_equal(world.far.count, 1);
    fake_upstream_settle(&world.far);
    for (int i = 0; i < 5; i++)
        assert_true(world.tries[i].sent);
    begin(&world, 5, 3);
    fake_upstream_settle(&world.far);
    assert_int_equal(world.far.count, 1);
    assert_int_equal(far_conn(&world.far, 0)->server.count, 8);
    end(&world, 0, 8);
    fake_upstream_dispose(&world.far);
}

static void a_policy_bounds_the_streams_of_a_connection(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP2_DOCUMENTS("  connections: {maxStreams: 2}\n"), POOL_HTTP2);
    begin(&world, 0, 5);
    fake_upstream_settle(&world.far);
    assert_int_equal(world.far.count, 3);
    unsigned total = 0;
    for (unsigned i = 0; i < 3; i++) {
        assert_in_range(far_conn(&world.far, i)->server.count, 1, 2);
        total += far_conn(&world.far, i)->server.count;
    }
    assert_int_equal(total, 5);
    end(&world, 0, 5);
    fake_upstream_dispose(&world.far);
}

static void a_stream_that_ends_makes_room_for_one_who_waits(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP2_DOCUMENTS("  connections: {max: 1, maxStreams: 2}\n"), POOL_HTTP2);
    begin(&world, 0, 4);
    fake_upstream_settle(&world.far);
    assert_true(world.tries[0].sent && world.tries[1].sent);
    assert_true(try_waits(&world.tries[2]) && try_waits(&world.tries[3]));
    answer(&world, 0, 1);
    assert_true(world.tries[2].sent);
    try_end(&world.tries[0]);
    fake_upstream_settle(&world.far);
    assert_true(world.tries[3].sent);
    end(&world, 1, 3);
    fake_upstream_dispose(&world.far);
}

// What its peer allows is known only after the first bytes.
static void fewer_streams_allowed_by_the_peer_open_further_connections(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP2_DOCUMENTS(""), POOL_HTTP2);
    world.far.far_limits.streams = 2;
    begin(&world, 0, 1);
    fake_upstream_settle(&world.far);
    begin(&world, 1, 4);
    fake_upstream_settle(&world.far);
    for (int i = 0; i < 5; i++)
        assert_true(world.tries[i].sent);
    assert_true(world.far.count >= 2);
    for (unsigned i = 0; i < world.far.count; i++)
        assert_true(far_conn(&world.far, i)->server.codec->streams_open <= 2);
    end(&world, 0, 5);
    fake_upstream_dispose(&world.far);
}

// The peer refuses what it was sent before it told its number. Later connections to it are not asked for more at once than the last one took.
static void what_a_peer_allows_is_kept_in_mind_for_the_next_connection(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP2_DOCUMENTS(""), POOL_HTTP2);
    world.far.far_limits.streams = 2;
    begin(&world, 0, 1);
    fake_upstream_settle(&world.far);
    answer(&world, 0, 0);
    far_close(far_conn(&world.far, 0));
    begin(&world, 1, 6);
    fake_upstream_settle(&world.far);
    for (int i = 1; i < 7; i++) {
        assert_true(world.tries[i].sent);
        assert_int_equal(world.tries[i].up.error, OK); // none was refused
    }
    assert_int_equal(world.far.count, 4);
    end(&world, 0, 7);
    fake_upstream_dispose(&world.far);
}

// One connection under way was to serve all who wait, and takes fewer than was thought: the rest must not queue behind it one by one.
static void those_whom_a_new_connection_cannot_serve_get_another(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP2_DOCUMENTS("  connections: {maxStreams: 8}\n"), POOL_HTTP2);
    begin(&world, 0, 8);
    assert_int_equal(world.far.count, 1);
    fake_upstream_apply(&world.far, HTTP2_DOCUMENTS("  connections: {maxStreams: 4}\n"));
    fake_upstream_settle(&world.far);
    for (int i = 0; i < 8; i++)
        assert_true(world.tries[i].sent);
    assert_int_equal(world.far.count, 2);
    end(&world, 0, 8);
    fake_upstream_dispose(&world.far);
}

// --- the end of a pool ---

static void a_retired_pool_closes_what_is_idle_and_lets_the_rest_end(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS(""), POOL_HTTP1);
    begin(&world, 0, 2);
    fake_upstream_settle(&world.far);
    answer(&world, 0, 0);
    fake_upstream_apply(&world.far, PROXY_DOCUMENT);
    fake_upstream_settle(&world.far);
    assert_true(far_conn(&world.far, 0)->peer->closed);
    assert_false(far_conn(&world.far, 1)->peer->closed);
    answer(&world, 1, 0);
    assert_true(world.tries[0].up.ended && world.tries[1].up.ended);
    assert_true(far_conn(&world.far, 1)->peer->closed);
    end(&world, 0, 2);
    fake_upstream_dispose(&world.far);
}

static void a_retired_pool_fails_who_waits_and_gives_up_what_is_under_way(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS(""), POOL_HTTP1);
    world.far.mode = FAR_WAIT;
    begin(&world, 0, 2);
    fake_upstream_apply(&world.far, PROXY_DOCUMENT);
    fake_upstream_settle(&world.far);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(world.tries[i].error, ERROR_NO_ENDPOINT);
        assert_true(far_conn(&world.far, i)->peer->closed);
    }
    assert_int_equal(metric_read(&world.far.metrics.upstream_failed_given_up), 2);
    assert_int_equal(metric_read(&world.far.metrics.upstream_failed_refused), 0); // by nobody
    end(&world, 0, 2);
    fake_upstream_dispose(&world.far);
}

static void at_the_end_no_connection_is_made_for_who_waits(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS(""), POOL_HTTP1);
    world.far.mode = FAR_WAIT;
    begin(&world, 0, 3);
    assert_int_equal(world.far.count, 3);
    struct cluster *cluster = fake_upstream_cluster(&world.far, KEY);
    cluster_ref(cluster); // as a stream's snapshot does
    upstream_close_all(&world.far.upstream);
    assert_int_equal(world.far.count, 3);
    begin(&world, 3, 1);
    assert_int_equal(world.far.count, 3);
    end(&world, 0, 4);
    cluster_unref(cluster);
    fake_upstream_dispose(&world.far);
}

static void a_retired_endpoint_gives_nothing_any_more(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS(""), POOL_HTTP1);
    try_init(&world.tries[0], &world.far, world.pool);
    fake_upstream_apply(&world.far, PROXY_DOCUMENT);
    try_go(&world.tries[0]);
    assert_int_equal(world.tries[0].error, ERROR_NO_ENDPOINT);
    end(&world, 0, 1);
    fake_upstream_dispose(&world.far);
}

// A head that cannot be written leaves the connection as it was, and whoever waits for it gets it.
static void a_request_that_cannot_be_sent_passes_its_place_on(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS("  connections: {max: 1}\n"), POOL_HTTP1);
    begin(&world, 0, 1);
    fake_upstream_settle(&world.far);
    begin(&world, 1, 2);
    world.tries[1].head.path = BYTES("/a b");
    answer(&world, 0, 0);
    assert_int_equal(world.tries[1].open_error, ERROR_INTERNAL);
    assert_true(world.tries[2].sent);
    end(&world, 0, 3);
    fake_upstream_dispose(&world.far);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_opens_a_connection_and_the_next_one_takes_it),
        cmocka_unit_test(the_connection_used_last_is_used_next),
        cmocka_unit_test(who_waits_is_served_in_order_of_arrival),
        cmocka_unit_test(a_place_that_was_granted_is_not_taken_by_another),
        cmocka_unit_test(a_cancelled_grant_goes_to_the_next),
        cmocka_unit_test(one_who_waits_may_leave),
        cmocka_unit_test(a_granted_place_that_is_gone_is_waited_for_at_the_front),
        cmocka_unit_test(no_more_connections_than_max_are_opened),
        cmocka_unit_test(the_queue_is_bounded),
        cmocka_unit_test(a_refused_connection_fails_who_waits_for_it),
        cmocka_unit_test(a_refused_connection_fails_only_one_of_those_that_others_serve),
        cmocka_unit_test(a_connection_not_made_in_time_fails_who_waits),
        cmocka_unit_test(a_connection_that_breaks_while_being_made_counts_as_refused),
        cmocka_unit_test(without_a_socket_a_request_fails_unless_another_will_be_free),
        cmocka_unit_test(http2_requests_share_a_connection),
        cmocka_unit_test(a_policy_bounds_the_streams_of_a_connection),
        cmocka_unit_test(a_stream_that_ends_makes_room_for_one_who_waits),
        cmocka_unit_test(fewer_streams_allowed_by_the_peer_open_further_connections),
        cmocka_unit_test(what_a_peer_allows_is_kept_in_mind_for_the_next_connection),
        cmocka_unit_test(those_whom_a_new_connection_cannot_serve_get_another),
        cmocka_unit_test(a_retired_pool_closes_what_is_idle_and_lets_the_rest_end),
        cmocka_unit_test(a_retired_pool_fails_who_waits_and_gives_up_what_is_under_way),
        cmocka_unit_test(at_the_end_no_connection_is_made_for_who_waits),
        cmocka_unit_test(a_retired_endpoint_gives_nothing_any_more),
        cmocka_unit_test(a_request_that_cannot_be_sent_passes_its_place_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
