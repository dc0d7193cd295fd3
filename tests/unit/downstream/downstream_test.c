// Listeners and the connections that came in on them: limits, listeners that come and go with snapshots, drains, and the end of a worker.
#include "unit/downstream/near_drive.h"

#include "base/limits.h"
#include "support/h2_frames.h"

#define DOCUMENTS PROXY SERVICE("HTTP1", ONE)
#define ONLY_OUTBOUND                                                                   \
    API "kind: Proxy\nmetadata: {name: p}\nspec:\n"                                     \
        "  listeners: [{name: outbound, role: Outbound, address: '127.0.0.1:15001'}]\n" \
        "  telemetry: {accessLog: {path: /dev/null, filter: All}}\n---\n"

static void world_init(struct fake_downstream *near, const char *documents) {
    fake_downstream_init(near, documents, NULL);
    near->loopback.far.serve = serve_paths;
}

static struct worker_metrics *metrics_of(struct fake_downstream *near) {
    return &near->loopback.far.metrics;
}

static void no_room(struct loop *loop) {
    (void)loop;
}

#define GET "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"

static void connections_are_bounded_per_listener(void **state) {
    (void)state;
    struct fake_downstream near;
    world_init(&near, PROXY_WITH("  limits: {connections: 2}\n") SERVICE("HTTP1", ONE));
    struct near_conn *first = near_connect(&near, "outbound");
    assert_false(near_connect(&near, "outbound")->refused);
    assert_true(near_connect(&near, "outbound")->refused);
    assert_false(near_connect(&near, "inbound")->refused);
    assert_int_equal(metric_read(&metrics_of(&near)->downstream_refused_limit), 1);
    assert_int_equal(metric_read(&metrics_of(&near)->downstream_accepted), 4);
    assert_int_equal(atomic_load(&near.downstream.connections), 3);
    near_close(first);
    assert_false(near_connect(&near, "outbound")->refused);
    fake_downstream_dispose(&near);
}

static void without_room_for_it_a_connection_is_refused(void **state) {
    (void)state;
    struct fake_downstream near;
    world_init(&near, DOCUMENTS);
    struct loop *loop = &near.loopback.far.check.loop;
    loop->look = no_room;
    loop->room.left = 0;
    assert_true(near_connect(&near, "outbound")->refused);
    assert_int_equal(metric_read(&metrics_of(&near)->downstream_refused_memory), 1);
    memory_room_set(&loop->room, LIMIT_CONNECTION_BYTES);
    assert_false(near_connect(&near, "outbound")->refused);
    fake_downstream_dispose(&near);
}

static void without_a_descriptor_a_connection_is_refused(void **state) {
    (void)state;
    struct fake_downstream near;
    world_init(&near, DOCUMENTS);
    near.no_descriptor = true;
    assert_true(near_connect(&near, "outbound")->refused);
    assert_int_equal(metric_read(&metrics_of(&near)->downstream_refused_descriptors), 1);
    assert_int_equal(atomic_load(&near.downstream.connections), 0);
    fake_downstream_dispose(&near);
}

static void a_listener_that_nobody_knows_takes_nothing(void **state) {
    (void)state;
    struct fake_downstream near;
    world_init(&near, DOCUMENTS);
    assert_true(near_connect(&near, "gone")->refused);
    fake_downstream_dispose(&near);
}

static void an_inbound_listener_passes_all_to_its_application(void **state) {
    (void)state;
    struct fake_downstream near;
    world_init(&near, DOCUMENTS);
    struct near_conn *conn = near_connect(&near, "inbound");
    near_send(conn, "GET /x HTTP/1.1\r\nHost: whatever.example:99\r\n\r\n");
    assert_has(near_received(conn), "\r\n\r\n/x");
    assert_int_equal(far_conn(&near.loopback.far, 0)->port, 8009);
    assert_has(received(&near.loopback, 0), "whatever.example:99");
    fake_downstream_dispose(&near);
}

// A ClientHello with nothing in it but the offer of outrigger/1.
#define RANDOM "0123456789abcdef0123456789abcdef"
#define HELLO_OF_THE_MESH                                      \
    "\x16\x03\x01\x00\x41\x01\x00\x00\x3d\x03\x03" RANDOM "\0" \
    "\0\2\x13\1"                                               \
    "\1\0"                                                     \
    "\0\x12"                                                   \
    "\0\x10\0\x0e"                                             \
    "\0\x0c\x0boutrigger/1"

#define WITH_IDENTITY(mode)                                                                                                     \
    API "kind: Proxy\nmetadata: {name: p}\nspec:\n  listeners:\n"                                                               \
        "  - {name: inbound, role: Inbound, address: '127.0.0.1:15006', forwardTo: '127.0.0.1:8009', mtls: {mode: " mode "}}\n" \
        "  identity: {certificate: a.crt, privateKey: a.key, trustBundle: ca.crt}\n"

static void without_an_identity_tls_is_refused(void **state) {
    (void)state;
    static const char *const documents[] = {WITH_IDENTITY("Strict"), WITH_IDENTITY("Permissive")};
    for (int i = 0; i < 2; i++) {
        struct fake_downstream near;
        world_init(&near, documents[i]);
        struct near_conn *conn = near_connect(&near, "inbound");
        if (i == 1) {
            near_send(conn, GET); // Permissive: plain text is taken
            assert_has(near_received(conn), "\r\n\r\n/x");
            conn = near_connect(&near, "inbound");
            near_send_bytes(conn, BYTES(HELLO_OF_THE_MESH));
        }
        assert_true(near_is_closed(conn));
        assert_int_equal(metric_read(&metrics_of(&near)->downstream_closed_tls), 1);
        fake_downstream_dispose(&near);
    }
}

static void without_memory_for_it_a_handshake_is_not_begun(void **state) {
    (void)state;
    struct fake_downstream near;
    world_init(&near, WITH_IDENTITY("Permissive"));
    near.loopback.env.unanswered_max = 0;
    struct near_conn *conn = near_connect(&near, "inbound");
    near_send_bytes(conn, BYTES(HELLO_OF_THE_MESH));
    assert_true(near_is_closed(conn));
    assert_int_equal(metric_read(&metrics_of(&near)->downstream_refused_memory), 1);
    assert_int_equal(metric_read(&metrics_of(&near)->downstream_closed_tls), 0);
    assert_int_equal(near.downstream.handshakes, 0);
    fake_downstream_dispose(&near);
}

// --- snapshots ---

static void a_connection_is_served_by_the_newest_snapshot(void **state) {
    (void)state;
    struct fake_downstream near;
    world_init(&near, PROXY);
    struct near_conn *conn = near_connect(&near, "outbound");
    near_send(conn, GET);
    assert_has(near_received(conn), "HTTP/1.1 502 ");
    fake_downstream_apply(&near, DOCUMENTS);
    near_send(conn, GET);
    assert_has(near_received(conn), "\r\n\r\n/x");
    fake_downstream_dispose(&near);
}

static void connections_of_a_listener_that_is_gone_are_drained(void **state) {
    (void)state;
    struct fake_downstream near;
    world_init(&near, DOCUMENTS);
    near.loopback.far.serve = NULL;
    struct near_conn *idle = near_connect(&near, "inbound");
    struct near_conn *busy = near_connect(&near, "inbound");
    struct near_conn *other = near_connect(&near, "outbound");
    near_send(idle, "GET /x HTTP/1.1\r\nHost: a\r\nX: "); // begun
    near_send(busy, GET);
    fake_downstream_apply(&near, ONLY_OUTBOUND);
    assert_true(near_connect(&near, "inbound")->refused);
    assert_false(near_is_closed(busy));
    respond(&near.loopback, 0, 200, "content-length: 2\n", "ok");
    assert_has(near_received(busy), "Connection: close\r\n");
    assert_has(near_received(busy), "\r\n\r\nok");
    near_pass(&near, 12 * NS_PER_S);
    assert_true(near_is_closed(busy) && near_is_closed(idle));
    assert_false(near_is_closed(other));
    fake_downstream_dispose(&near);
}

static void a_listener_that_comes_back_is_a_new_one(void **state) {
    (void)state;
    struct fake_downstream near;
    world_init(&near, DOCUMENTS);
    near.loopback.far.serve = NULL;
    struct near_conn *before = near_connect(&near, "inbound");
    near_send(before, GET);
    fake_downstream_apply(&near, ONLY_OUTBOUND);
    fake_downstream_apply(&near, DOCUMENTS);
    assert_false(near_connect(&near, "inbound")->refused);
    respond(&near.loopback, 0, 204, "", NULL);
    assert_has(near_received(before), "HTTP/1.1 204 ");
    fake_downstream_dispose(&near);
}

// What is left on a listener that is gone must not outlive the worker.
static void closing_all_closes_those_of_listeners_that_are_gone(void **state) {
    (void)state;
    struct fake_downstream near;
    world_init(&near, DOCUMENTS);
    near.loopback.far.serve = NULL;
    struct near_conn *busy = near_connect(&near, "inbound");
    near_send(busy, GET);
    assert_int_equal(downstream_inbound_count(&near.downstream), 1);
    fake_downstream_apply(&near, ONLY_OUTBOUND);
    assert_int_equal(downstream_inbound_count(&near.downstream), 1); // a drain waits for it
    downstream_close_all(&near.downstream);
    near_settle(&near);
    assert_true(near_is_closed(busy));
    assert_int_equal(near.loopback.env.streams, 0);
    fake_downstream_dispose(&near);
}

static void closing_all_ends_streams_as_draining(void **state) {
    (void)state;
    struct fake_downstream near;
    world_init(&near, DOCUMENTS);
    near.loopback.far.serve = NULL;
    struct near_conn *first = near_connect(&near, "outbound");
    near_send(first, GET);
    near_send(near_connect(&near, "inbound"), "GET /x HTTP/1.1\r\n");
    downstream_close_all(&near.downstream);
    near_settle(&near);
    assert_int_equal(near.loopback.env.streams, 0);
    assert_int_equal(atomic_load(&near.downstream.connections), 0);
    assert_int_equal(near.loopback.record.end, ERROR_DRAINING);
    assert_int_equal(metric_read(&near.loopback.env.metrics->streams_reset_client), 0);
    assert_int_equal(metric_read(&near.loopback.env.metrics->streams_reset_proxy), 2);
    fake_downstream_dispose(&near);
}

// --- drain ---

static void a_drained_http1_connection_ends_behind_its_response(void **state) {
    (void)state;
    struct fake_downstream near;
    world_init(&near, DOCUMENTS);
    near.loopback.far.serve = NULL;
    struct near_conn *conn = near_connect(&near, "inbound");
    near_send(conn, GET);
    downstream_drain(&near.downstream, false);
    near_pass(&near, 5 * NS_PER_S);
    assert_false(near_is_closed(conn));
    respond(&near.loopback, 0, 200, "content-length: 2\n", "ok");
    assert_has(near_received(conn), "Connection: close\r\n");
    assert_has(near_received(conn), "\r\n\r\nok");
    near_close(conn);
    assert_true(near_is_closed(conn));
    assert_int_equal(metric_read(&metrics_of(&near)->downstream_closed_drain), 1);
    fake_downstream_dispose(&near);
}

static void an_idle_http1_connection_gets_a_moment_for_what_is_on_its_way(void **state) {
    (void)state;
    for (int sends = 0; sends < 2; sends++) {
        struct fake_downstream near;
        world_init(&near, DOCUMENTS);
        struct near_conn *conn = near_connect(&near, "inbound");
        near_send(conn, GET);
        near_forget(conn);
        near_pass(&near, 100 * NS_PER_S);
        downstream_drain(&near.downstream, false);
        near_pass(&near, 500 * NS_PER_MS);
        assert_false(near_is_closed(conn));
        if (sends) {
            near_send(conn, GET);
            assert_has(near_received(conn), "Connection: close\r\n");
            assert_has(near_received(conn), "\r\n\r\n/x");
        }
        near_pass(&near, 2 * NS_PER_S);
        assert_true(near_is_closed(conn));
        fake_downstream_dispose(&near);
    }
}

// One that was only opened, as clients do ahead of need, must not hold up the end of the process.
static void a_connection_that_never_spoke_is_drained_too(void **state) {
    (void)state;
    for (int speaks = 0; speaks < 2; speaks++) {
        struct fake_downstream near;
        world_init(&near, DOCUMENTS);
        struct near_conn *conn = near_connect(&near, "inbound");
        near_pass(&near, 10 * NS_PER_S);
        downstream_drain(&near.downstream, false);
        near_pass(&near, 500 * NS_PER_MS);
        assert_false(near_is_closed(conn));
        if (speaks) {
            near_send(conn, GET);
            assert_has(near_received(conn), "Connection: close\r\n");
            assert_has(near_received(conn), "\r\n\r\n/x");
        }
        near_pass(&near, 3 * NS_PER_S);
        assert_true(near_is_closed(conn));
        assert_int_equal(downstream_inbound_count(&near.downstream), 0);
        fake_downstream_dispose(&near);
    }
}

static void new_connections_are_still_served_while_draining(void **state) {
    (void)state;
    struct fake_downstream near;
    world_init(&near, DOCUMENTS);
    downstream_drain(&near.downstream, false);
    struct near_conn *conn = near_connect(&near, "inbound");
    near_send(conn, GET);
    assert_has(near_received(conn), "Connection: close\r\n");
    assert_has(near_received(conn), "\r\n\r\n/x");
    near_close(conn);
    assert_true(near_is_closed(conn));
    fake_downstream_dispose(&near);
}

static void outbound_connections_go_on_through_a_drain(void **state) {
    (void)state;
    struct fake_downstream near;
    world_init(&near, DOCUMENTS);
    struct near_conn *conn = near_connect(&near, "outbound");
    downstream_drain(&near.downstream, false);
    near_pass(&near, 60 * NS_PER_S);
    near_send(conn, GET);
    assert_has(near_received(conn), "\r\n\r\n/x");
    assert_has_not(near_received(conn), "Connection: close");
    assert_false(near_is_closed(conn));
    fake_downstream_dispose(&near);
}

static void an_http2_connection_gets_two_goaways_and_ends_with_its_last_stream(void **state) {
    (void)state;
    struct fake_downstream near;
    struct text wire = {0};
    struct h2_reader reader;
    world_init(&near, DOCUMENTS);
    near.loopback.far.serve = NULL;
    h2_reader_init(&reader);
    struct near_conn *conn = near_connect(&near, "inbound");
    h2_preface(&wire);
    h2_settings(&wire, 0);
    h2_settings_ack(&wire);
    h2_get(&wire, 1, "/first");
    near_send_bytes(conn, text_bytes(&wire));
    h2_read(&reader, text_bytes(&conn->received));
    near_forget(conn);
    downstream_drain(&near.downstream, false);
    near_settle(&near);
    assert_string_equal(h2_read(&reader, text_bytes(&conn->received)), "GOAWAY 2147483647 NO_ERROR\n");
    near_forget(conn);
    // What was on its way meanwhile is served.
    text_clear(&wire);
    h2_get(&wire, 3, "/second");
    near_send_bytes(conn, text_bytes(&wire));
    assert_int_equal(near.loopback.env.streams, 2);
    near_pass(&near, NS_PER_S + 2 * NS_PER_MS);
    assert_string_equal(h2_read(&reader, text_bytes(&conn->received)), "GOAWAY 3 NO_ERROR\n");
    near_forget(conn);
    for (unsigned i = 0; i < 2; i++) {
        assert_false(conn->peer->shut_down);
        far_respond(far_conn(&near.loopback.far, i), far_request(far_conn(&near.loopback.far, i), 0), 204, "", NULL, true);
    }
    assert_has(h2_read(&reader, text_bytes(&conn->received)), "HEADERS 3 end");
    assert_true(conn->peer->shut_down);
    // It waits for the client's own end: what it still says, windows and the like, must not reset the connection.
    assert_false(conn->peer->closed);
    near_close(conn);
    assert_true(near_is_closed(conn) && !conn->peer->closed_reset);
    h2_reader_dispose(&reader);
    text_dispose(&wire);
    fake_downstream_dispose(&near);
}

static void an_idle_http2_connection_ends_with_the_second_goaway(void **state) {
    (void)state;
    struct fake_downstream near;
    world_init(&near, DOCUMENTS);
    struct near_conn *conn = near_connect(&near, "inbound");
    near_open(conn, HTTP_2);
    struct owner_stream *request = near_request(conn, "GET a /x\n", true);
    near_settle(&near);
    assert_true(request->ended);
    downstream_drain(&near.downstream, false);
    near_pass(&near, 500 * NS_PER_MS);
    assert_false(conn->peer->shut_down);
    assert_true(conn->client.codec->refuses_new);
    near_pass(&near, 3 * NS_PER_S);
    assert_true(near_is_closed(conn));
    fake_downstream_dispose(&near);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_are_bounded_per_listener),
        cmocka_unit_test(without_room_for_it_a_connection_is_refused),
        cmocka_unit_test(without_a_descriptor_a_connection_is_refused),
        cmocka_unit_test(a_listener_that_nobody_knows_takes_nothing),
        cmocka_unit_test(an_inbound_listener_passes_all_to_its_application),
        cmocka_unit_test(without_an_identity_tls_is_refused),
        cmocka_unit_test(without_memory_for_it_a_handshake_is_not_begun),
        cmocka_unit_test(a_connection_is_served_by_the_newest_snapshot),
        cmocka_unit_test(connections_of_a_listener_that_is_gone_are_drained),
        cmocka_unit_test(a_listener_that_comes_back_is_a_new_one),
        cmocka_unit_test(closing_all_closes_those_of_listeners_that_are_gone),
        cmocka_unit_test(closing_all_ends_streams_as_draining),
        cmocka_unit_test(a_drained_http1_connection_ends_behind_its_response),
        cmocka_unit_test(an_idle_http1_connection_gets_a_moment_for_what_is_on_its_way),
        cmocka_unit_test(a_connection_that_never_spoke_is_drained_too),
        cmocka_unit_test(new_connections_are_still_served_while_draining),
        cmocka_unit_test(outbound_connections_go_on_through_a_drain),
        cmocka_unit_test(an_http2_connection_gets_two_goaways_and_ends_with_its_last_stream),
        cmocka_unit_test(an_idle_http2_connection_ends_with_the_second_goaway),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
