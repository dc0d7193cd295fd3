// Nothing is gathered: whichever side is slow, what the stream holds of a body stays under its bound, and all of it arrives. Bounds are those of the policy
// (bufferPerStream) and what one read may bring on top.
#include "base/limits.h"

#include "unit/stream/stream_drive.h"

#define TOTAL (4 << 20)
#define READ_MOST ((size_t)LIMIT_READ_BLOCKS * BLOCK_CAPACITY)
#define BUFFER ((size_t)64 * 1024)

static const char *const protocols[] = {PROXY SERVICE("HTTP1", ONE), PROXY SERVICE("HTTP2", ONE)};

static char *pattern(void) {
    char *text = alloc_or_abort(TOTAL);
    for (size_t i = 0; i < TOTAL; i++)
        text[i] = (char)(i * 7 + i / 253);
    return text;
}

// What of the request lies between the client and the server's own buffers.
static size_t held_up(const struct client *client, struct far_conn *conn) {
    size_t held = client->stream->request_body.length;
    if (client->stream->attempts == NULL)
        return held;
    const struct attempt *attempt = attempts_foremost(client->stream->attempts);
    return held + attempt->body.length + attempt->up.codec_stream.out.length + (conn == NULL ? 0 : conn->peer->transport->out.length);
}

// What was held at most. `changes`: memory becomes short and is no more, again and again.
static size_t send_to_slow_server(const char *protocol, bool is_short, bool changes) {
    char *body = pattern();
    struct loopback world;
    struct client client;
    loopback_init(&world, protocol, NULL);
    client_open(&client, &world, "POST a /\n");
    loopback_settle(&world);
    world.far.check.loop.blocks.is_short = is_short;
    struct far_conn *conn = far_conn(&world.far, 0);
    fake_peer_accept(conn->peer, 0);
    client_send(&client, bytes_from(body, TOTAL), true);
    size_t most = 0;
    while (only_request(&world, 0)->body.len < TOTAL) {
        size_t held = held_up(&client, conn);
        most = held > most ? held : most;
        world.far.check.loop.blocks.is_short ^= changes;
        fake_peer_accept(conn->peer, 30000);
        client_accept(&client, 0); // goes on with what the stream has credit for
    }
    assert_memory_equal(only_request(&world, 0)->body.at, body, TOTAL);
    assert_true(only_request(&world, 0)->ended);
    respond(&world, 0, 204, "", NULL);
    assert_true(client.done);
    assert_int_equal(client.consumed, TOTAL);
    client_dispose(&client);
    loopback_dispose(&world);
    free(body);
    return most;
}

static void a_slow_server_stops_the_client(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        size_t most = send_to_slow_server(protocols[i], false, false);
        // One credit waiting, one in flight, each with a read on top; and the outputs of stream and connection.
        assert_true(most <= 2 * (BUFFER + READ_MOST) + 2 * LIMIT_OUTPUT_BYTES);
        assert_true(most >= BUFFER);
    }
}

static void while_memory_is_short_less_is_held(void **state) {
    (void)state;
    // Of the connection's output only HTTP/2 fills all.
    assert_true(send_to_slow_server(protocols[0], true, false) <= 2 * (BLOCK_SIZE + READ_MOST) + BLOCK_SIZE);
    assert_true(send_to_slow_server(protocols[1], true, false) <= 2 * (BLOCK_SIZE + READ_MOST) + BLOCK_SIZE + LIMIT_OUTPUT_BYTES);
}

static void a_shortage_that_comes_and_goes_holds_nothing_up(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        (void)send_to_slow_server(protocols[i], false, true);
        (void)send_to_slow_server(protocols[i], true, true);
    }
}

static void a_slow_client_stops_the_server(void **state) {
    (void)state;
    char *body = pattern();
    for (int i = 0; i < 2; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, protocols[i], NULL);
        client_get(&client, &world, "GET a /\n");
        client.accepts = 0;
        loopback_settle(&world);
        struct far_conn *conn = far_conn(&world.far, 0);
        far_respond(conn, only_request(&world, 0), 200, "", NULL, false);
        far_body(conn, only_request(&world, 0), bytes_from(body, TOTAL), true);
        size_t most = 0;
        while (!client.done) {
            size_t held = attempts_foremost(client.stream->attempts)->up.body.length + client.stream->response_body.length;
            most = held > most ? held : most;
            client_accept(&client, 20000);
        }
        assert_int_equal(client.body.len, TOTAL);
        assert_memory_equal(client.body.at, body, TOTAL);
        assert_true(most <= BUFFER + READ_MOST);
        assert_true(most >= BUFFER);
        client_dispose(&client);
        loopback_dispose(&world);
    }
    free(body);
}

// Before anybody has decided that the request may pass, little of its body is taken.
static void before_there_is_a_connection_only_a_credit_is_taken(void **state) {
    (void)state;
    char *body = pattern();
    struct loopback world;
    struct client client;
    loopback_init(&world, protocols[0], NULL);
    world.far.mode = FAR_WAIT;
    client_open(&client, &world, "POST a /\n");
    assert_int_equal(stream_body_credit(client.stream), LIMIT_BODY_BEFORE_DECISION);
    client_send(&client, bytes_from(body, TOTAL), true);
    assert_int_equal(stream_body_credit(client.stream), BUFFER);
    assert_true(client.held_most <= BUFFER + READ_MOST);
    far_connect(far_conn(&world.far, 0), OK);
    client_accept(&client, 0);
    assert_int_equal(only_request(&world, 0)->body.len, TOTAL);
    respond(&world, 0, 204, "", NULL);
    client_dispose(&client);
    loopback_dispose(&world);
    free(body);
}

static void both_directions_may_be_slow_at_once(void **state) {
    (void)state;
    char *body = pattern();
    for (int i = 0; i < 2; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, protocols[i], NULL);
        client_open(&client, &world, "POST a /\n");
        client.accepts = 0;
        loopback_settle(&world);
        struct far_conn *conn = far_conn(&world.far, 0);
        struct owner_stream *request = only_request(&world, 0);
        far_respond(conn, request, 200, "", NULL, false);
        far_body(conn, request, bytes_from(body, TOTAL), false);
        fake_peer_accept(conn->peer, 0);
        client_send(&client, bytes_from(body, TOTAL), true);
        unsigned rounds = 0;
        while (request->body.len < TOTAL || client.body.len < TOTAL) {
            fake_peer_accept(conn->peer, 25000);
            client_accept(&client, 15000);
            assert_true(++rounds < 10000);
            assert_true(held_up(&client, conn) <= 2 * (BUFFER + READ_MOST) + 2 * LIMIT_OUTPUT_BYTES);
        }
        far_body(conn, request, BYTES_NONE, true);
        fake_peer_accept(conn->peer, SIZE_MAX / 2);
        client_accept(&client, TOTAL);
        assert_true(client.done);
        assert_memory_equal(client.body.at, body, TOTAL);
        assert_memory_equal(request->body.at, body, TOTAL);
        client_dispose(&client);
        loopback_dispose(&world);
    }
    free(body);
}

// Streams of one connection do not hold each other up.
static void a_stalled_response_leaves_others_alone(void **state) {
    (void)state;
    char *body = pattern();
    struct loopback world;
    struct client stalled;
    struct client quick;
    loopback_init(&world, protocols[1], NULL);
    client_get(&stalled, &world, "GET a /big\n");
    stalled.accepts = 0;
    loopback_settle(&world);
    struct far_conn *conn = far_conn(&world.far, 0);
    far_respond(conn, far_request(conn, 0), 200, "", NULL, false);
    far_body(conn, far_request(conn, 0), bytes_from(body, TOTAL), true);
    client_get(&quick, &world, "GET a /small\n");
    loopback_settle(&world);
    far_respond(conn, far_request(conn, 1), 200, "", "small", true);
    assert_true(quick.done);
    assert_string_equal(quick.body.at, "small");
    client_dispose(&quick);
    while (!stalled.done)
        client_accept(&stalled, 100000);
    assert_memory_equal(stalled.body.at, body, TOTAL);
    client_dispose(&stalled);
    loopback_dispose(&world);
    free(body);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slow_server_stops_the_client),
        cmocka_unit_test(while_memory_is_short_less_is_held),
        cmocka_unit_test(a_shortage_that_comes_and_goes_holds_nothing_up),
        cmocka_unit_test(a_slow_client_stops_the_server),
        cmocka_unit_test(before_there_is_a_connection_only_a_credit_is_taken),
        cmocka_unit_test(both_directions_may_be_slow_at_once),
        cmocka_unit_test(a_stalled_response_leaves_others_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
