// A client's connection over HTTP/2: prior knowledge byte by byte, many requests at a time, resets and floods, and one slow or broken stream beside others.
#include "unit/downstream/one_client.h"

#include "base/limits.h"
#include "support/h2_frames.h"

#define DOCUMENTS PROXY SERVICE("HTTP1", ONE)

static void assert_answered(const struct owner_stream *request, const char *body) {
    assert_true(request->ended && !request->has_failed);
    assert_int_equal(request->stream.head.status, 200);
    assert_int_equal(request->body.len, strlen(body));
    assert_memory_equal(request->body.at, body, request->body.len);
}

static void prior_knowledge_may_come_byte_by_byte(void **state) {
    (void)state;
    struct world world;
    struct text wire = {0};
    struct h2_reader reader;
    world_init(&world, DOCUMENTS, "outbound");
    h2_reader_init(&reader);
    h2_preface(&wire);
    h2_settings(&wire, 0);
    h2_headers(&wire, 1, H2_END_STREAM | H2_END_HEADERS, ":method: GET\n:scheme: http\n:authority: a\n:path: /bytes\n");
    for (size_t i = 0; i < wire.len; i++)
        near_send_bytes(world.conn, bytes_from(wire.at + i, 1));
    const char *words = h2_read(&reader, text_bytes(&world.conn->received));
    assert_has(words, "HEADERS 1");
    assert_has(words, ":status: 200");
    assert_has(reader.bodies.at, "/bytes");
    h2_reader_dispose(&reader);
    text_dispose(&wire);
    world_dispose(&world);
}

static void requests_of_one_connection_are_answered_apart(void **state) {
    (void)state;
    struct world world;
    struct owner_stream *requests[50];
    world_init(&world, DOCUMENTS, "outbound");
    near_open(world.conn, HTTP_2);
    for (int i = 0; i < 50; i++) {
        char text[32];
        snprintf(text, sizeof text, "GET a /%d\n", i);
        requests[i] = near_request(world.conn, text, true);
    }
    near_settle(&world.near);
    for (int i = 0; i < 50; i++) {
        char body[16];
        snprintf(body, sizeof body, "/%d", i);
        assert_answered(requests[i], body);
    }
    assert_int_equal(world.near.loopback.record.count, 50);
    world_dispose(&world);
}

static void a_reset_request_is_cancelled_alone(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS, "outbound");
    world.near.loopback.far.serve = NULL;
    near_open(world.conn, HTTP_2);
    struct owner_stream *first = near_request(world.conn, "GET a /1\n", true);
    struct owner_stream *second = near_request(world.conn, "GET a /2\n", true);
    near_settle(&world.near);
    assert_int_equal(world.near.loopback.far.count, 2);
    near_reset(world.conn, first, ERROR_CANCELLED);
    near_settle(&world.near);
    assert_int_equal(world.near.loopback.record.end, ERROR_CLIENT_GONE);
    assert_int_equal(world.near.loopback.env.streams, 1);
    struct far_conn *conn = far_conn(&world.near.loopback.far, 0);
    struct far_conn *other = far_conn(&world.near.loopback.far, 1);
    assert_true(conn->peer->closed != other->peer->closed);
    conn = conn->peer->closed ? other : conn;
    far_respond(conn, far_request(conn, 0), 204, "", NULL, true);
    assert_true(second->ended);
    world_dispose(&world);
}

static void streams_of_a_connection_closed_for_its_framing_say_so(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS, "outbound");
    world.near.loopback.far.serve = NULL;
    near_open(world.conn, HTTP_2);
    near_request(world.conn, "GET a /\n", true);
    near_settle(&world.near);
    static const char data_on_stream_0[] = {0, 0, 1, 0, 0, 0, 0, 0, 0, 'x'};
    fake_peer_send(world.conn->peer, bytes_from(data_on_stream_0, sizeof data_on_stream_0));
    near_settle(&world.near);
    assert_true(near_is_closed(world.conn));
    assert_int_equal(world.near.loopback.record.end, ERROR_FRAMING_INVALID);
    assert_int_equal(metric_read(&world.near.loopback.env.metrics->streams_reset_client), 0);
    assert_int_equal(metric_read(&world.near.loopback.env.metrics->streams_reset_proxy), 1);
    world_dispose(&world);
}

static void a_connection_that_breaks_cancels_all_its_requests(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS, "outbound");
    world.near.loopback.far.serve = NULL;
    near_open(world.conn, HTTP_2);
    for (int i = 0; i < 5; i++)
        near_request(world.conn, "GET a /\n", true);
    near_settle(&world.near);
    near_break(world.conn);
    assert_int_equal(world.near.loopback.env.streams, 0);
    assert_int_equal(world.near.loopback.record.count, 5);
    for (unsigned i = 0; i < 5; i++)
        assert_true(far_conn(&world.near.loopback.far, i)->peer->closed);
    world_dispose(&world);
}

static void a_client_that_ends_its_side_gets_its_answers(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS, "outbound");
    world.near.loopback.far.serve = NULL;
    near_open(world.conn, HTTP_2);
    struct owner_stream *request = near_request(world.conn, "GET a /\n", true);
    near_settle(&world.near);
    near_close(world.conn);
    assert_false(near_is_closed(world.conn));
    respond(&world.near.loopback, 0, 200, "content-length: 2\n", "ok");
    assert_answered(request, "ok");
    assert_true(near_is_closed(world.conn));
    world_dispose(&world);
}

static void a_stalled_stream_holds_nobody_up(void **state) {
    (void)state;
    enum { STALLED = 50 };
    struct world world;
    char *body = alloc_zeroed_or_abort(1, 1000000);
    world_init(&world, DOCUMENTS, "outbound");
    world.near.loopback.far.serve = NULL;
    near_open(world.conn, HTTP_2);
    world.conn->client.keep_body = true; // no window is given back
    for (int i = 0; i < STALLED; i++)
        near_request(world.conn, "GET a /big\n", true);
    near_settle(&world.near);
    for (unsigned i = 0; i < STALLED; i++) {
        struct far_conn *conn = far_conn(&world.near.loopback.far, i);
        far_respond(conn, far_request(conn, 0), 200, "content-length: 1000000\n", NULL, false);
        far_body(conn, far_request(conn, 0), bytes_from(body, 1000000), true);
    }
    struct owner_stream *quick = near_request(world.conn, "GET a /quick\n", true);
    near_settle(&world.near);
    respond(&world.near.loopback, STALLED, 200, "content-length: 5\n", "quick");
    assert_answered(quick, "quick");
    // Each holds no more than its own bounds.
    size_t blocks = world.near.loopback.far.check.loop.blocks.used;
    assert_true(blocks * BLOCK_CAPACITY < (size_t)STALLED * 4 * 65536);
    world.conn->client.keep_body = false;
    near_request(world.conn, "GET a /wake\n", true); // any input gives the windows back
    near_settle(&world.near);
    struct far_conn *reused = far_conn(&world.near.loopback.far, STALLED);
    far_respond(reused, far_request(reused, 1), 204, "", NULL, true);
    near_settle(&world.near);
    for (unsigned i = 0; i < STALLED; i++) {
        struct owner_stream *request = codec_owner_stream(&world.conn->client, i);
        assert_int_equal(request->body.len, 1000000);
        assert_true(request->ended);
    }
    free(body);
    world_dispose(&world);
}

static void a_large_upload_beside_small_requests(void **state) {
    (void)state;
    enum { TOTAL = 2 << 20 };
    struct world world;
    char *body = alloc_zeroed_or_abort(1, TOTAL);
    world_init(&world, DOCUMENTS, "outbound");
    near_open(world.conn, HTTP_2);
    near_settle(&world.near); // SETTINGS first
    struct owner_stream *upload = near_request(world.conn, "POST a /upload\n", false);
    near_settle(&world.near);
    fake_peer_accept(far_conn(&world.near.loopback.far, 0)->peer, 0);
    near_body(world.conn, upload, bytes_from(body, TOTAL), true);
    near_settle(&world.near);
    struct owner_stream *small = near_request(world.conn, "GET a /small\n", true);
    near_settle(&world.near);
    assert_answered(small, "/small");
    assert_true(world.near.loopback.far.check.loop.blocks.used_peak * BLOCK_CAPACITY < 10 * 65536);
    fake_peer_accept(far_conn(&world.near.loopback.far, 0)->peer, SIZE_MAX);
    near_settle(&world.near);
    assert_int_equal(far_request(far_conn(&world.near.loopback.far, 0), 0)->body.len, TOTAL);
    assert_answered(upload, "/upload");
    free(body);
    world_dispose(&world);
}

// --- a filter that lets nothing pass until the test says so ---

static struct stream *waiting;
static bool may_pass;

static enum filter_result wait_for_leave(struct stream *stream, const void *config, void *state) {
    (void)config;
    (void)state;
    waiting = stream;
    return may_pass ? FILTER_CONTINUE : FILTER_PAUSE;
}

static const void *act_everywhere(const struct filter_scope *scope, struct pool *pool) {
    (void)pool;
    return scope->destination;
}

static const struct filter_type doorkeeper = {.name = "deadline", .configure = act_everywhere, .ops = {.decide = wait_for_leave}};

static void little_of_a_body_is_taken_before_the_chain_lets_it_pass(void **state) {
    (void)state;
    static const struct filter_type *const filters[] = {&doorkeeper, NULL};
    enum { LENGTH = 300000 };
    struct world world;
    char *body = alloc_zeroed_or_abort(1, LENGTH);
    fake_downstream_init(&world.near, DOCUMENTS, filters);
    world.near.loopback.far.serve = serve_paths;
    world.conn = near_connect(&world.near, "outbound");
    near_open(world.conn, HTTP_2);
    near_settle(&world.near); // SETTINGS are read
    may_pass = false;
    struct owner_stream *upload = near_request(world.conn, "POST a /up\n", false);
    near_body(world.conn, upload, bytes_from(body, LENGTH), true);
    near_settle(&world.near);
    assert_int_equal(waiting->state, STREAM_CHAIN);
    assert_int_equal(waiting->request_body.length, LIMIT_BODY_BEFORE_DECISION);
    may_pass = true;
    stream_wake(waiting);
    near_settle(&world.near);
    assert_answered(upload, "/up");
    assert_int_equal(world.near.loopback.record.request_bytes, LENGTH);
    free(body);
    world_dispose(&world);
}

static void what_breaks_the_protocol_is_told_and_closed(void **state) {
    (void)state;
    struct world world;
    struct text wire = {0};
    struct h2_reader reader;
    world_init(&world, DOCUMENTS, "outbound");
    h2_reader_init(&reader);
    h2_preface(&wire);
    h2_settings(&wire, 0);
    h2_data(&wire, 1, 0, BYTES("no such stream"));
    near_send_bytes(world.conn, text_bytes(&wire));
    assert_has(h2_read(&reader, text_bytes(&world.conn->received)), "GOAWAY 0 PROTOCOL_ERROR");
    near_pass(&world.near, 3 * NS_PER_S);
    assert_true(near_is_closed(world.conn));
    assert_int_equal(metric_read(&metrics_of(&world)->downstream_closed_protocol), 1);
    h2_reader_dispose(&reader);
    text_dispose(&wire);
    world_dispose(&world);
}

// Rapid reset: each begins an exchange and takes it back.
static void a_flood_of_resets_ends_the_connection_and_leaves_nothing(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS, "outbound");
    world.near.loopback.far.serve = NULL;
    near_open(world.conn, HTTP_2);
    unsigned sent = 0;
    while (!near_is_closed(world.conn) && sent < 3000) {
        for (int i = 0; i < 20 && !world.conn->client.codec->refuses_new; i++, sent++)
            near_reset(world.conn, near_request(world.conn, "GET a /\n", true), ERROR_CANCELLED);
        near_settle(&world.near);
        if (world.conn->client.codec->refuses_new)
            break;
    }
    assert_in_range(sent, 400, 1200);
    near_pass(&world.near, 3 * NS_PER_S);
    assert_true(near_is_closed(world.conn));
    assert_int_equal(world.near.loopback.env.streams, 0);
    assert_int_equal(metric_read(&metrics_of(&world)->downstream_closed_flood), 1);
    world_dispose(&world);
}

static void a_head_over_the_limit_is_answered_on_its_stream_alone(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS, "outbound");
    near_open(world.conn, HTTP_2);
    struct text request = {0};
    text_format(&request, "GET a /large\nx-large: ");
    for (int i = 0; i < 61; i++)
        text_format(&request, "%01024d", i);
    text_format(&request, "\n");
    world.near.limits.header_bytes = 1 << 20;
    struct owner_stream *large = near_request(world.conn, request.at, true);
    struct owner_stream *small = near_request(world.conn, "GET a /small\n", true);
    near_settle(&world.near);
    assert_int_equal(large->stream.head.status, 431);
    assert_answered(small, "/small");
    assert_false(near_is_closed(world.conn));
    text_dispose(&request);
    world_dispose(&world);
}

static void an_idle_connection_is_closed_in_time(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS, "outbound");
    near_open(world.conn, HTTP_2);
    near_request(world.conn, "GET a /\n", true);
    near_settle(&world.near);
    near_pass(&world.near, 3599 * NS_PER_S);
    assert_false(near_is_closed(world.conn));
    near_pass(&world.near, 2 * NS_PER_S);
    assert_true(near_is_closed(world.conn));
    world_dispose(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prior_knowledge_may_come_byte_by_byte),
        cmocka_unit_test(requests_of_one_connection_are_answered_apart),
        cmocka_unit_test(a_reset_request_is_cancelled_alone),
        cmocka_unit_test(streams_of_a_connection_closed_for_its_framing_say_so),
        cmocka_unit_test(a_connection_that_breaks_cancels_all_its_requests),
        cmocka_unit_test(a_client_that_ends_its_side_gets_its_answers),
        cmocka_unit_test(a_stalled_stream_holds_nobody_up),
        cmocka_unit_test(a_large_upload_beside_small_requests),
        cmocka_unit_test(little_of_a_body_is_taken_before_the_chain_lets_it_pass),
        cmocka_unit_test(what_breaks_the_protocol_is_told_and_closed),
        cmocka_unit_test(a_flood_of_resets_ends_the_connection_and_leaves_nothing),
        cmocka_unit_test(a_head_over_the_limit_is_answered_on_its_stream_alone),
        cmocka_unit_test(an_idle_connection_is_closed_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
