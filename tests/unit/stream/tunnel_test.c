// A stream that becomes a tunnel, over all pairs of protocols: the handshake that each side is used to, bytes both ways and the end of each direction, refusals, and
// that nothing but what the answer allows reaches anybody.
#include "unit/stream/stream_drive.h"

#include "base/limits.h"

#include <openssl/evp.h>

// RFC 6455 section 1.3.
#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ANSWER "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define ASK "GET a /chat\nSec-WebSocket-Key: " KEY "\nSec-WebSocket-Version: 13\nSec-WebSocket-Protocol: chat\nOrigin: http://o\nCookie: c=1\n"
#define CONNECT "GET a /chat\nsec-websocket-version: 13\nsec-websocket-protocol: chat\norigin: http://o\ncookie: c=1\n"

#define HTTP1 PROXY SERVICE("HTTP1", ONE)
#define HTTP2 PROXY SERVICE("HTTP2", ONE)
static const char *const services[] = {HTTP1, HTTP2};
static const enum http_version versions[] = {HTTP_1_1, HTTP_2};

static void begin_with(struct client *client, struct loopback *world, enum http_version version, bool end) {
    static const union address somewhere = {.v4 = {.sin_family = AF_INET}};
    const struct stream_client from = {.address = &somewhere};
    const char *request = version == HTTP_2 ? CONNECT : ASK;
    client_begin_as(client, world, loopback_listener(world, "outbound"), &from, version, request, end);
    client->stream->request->protocol = PROTOCOL_WEBSOCKET;
    loopback_settle(world);
}

static void begin(struct client *client, struct loopback *world, enum http_version version) {
    begin_with(client, world, version, false);
}

// As what the server got says, a field of it. Valid until the next call.
static const char *asked(struct loopback *world, const char *name) {
    static char text[128];
    const struct field *field = fields_find_name(&only_request(world, 0)->stream.head.fields, bytes_from_text(name));
    if (field == NULL)
        return NULL;
    snprintf(text, sizeof text, "%.*s", BYTES_FORMAT(field->value));
    return text;
}

// What a server answers to the key that it got (RFC 6455 section 4.2.2); over HTTP/2 there is none. Valid until the next call.
static const char *right_answer(struct loopback *world) {
    static char answer[64];
    unsigned char digest[20];
    const char *key = asked(world, "sec-websocket-key");
    if (key == NULL)
        return NULL;
    char text[128];
    int length = snprintf(text, sizeof text, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    int done = EVP_Digest(text, (size_t)length, digest, NULL, EVP_sha1(), NULL);
    CHECK(done == 1);
    EVP_EncodeBlock((unsigned char *)answer, digest, sizeof digest);
    return answer;
}

static void accept_with(struct loopback *world, const char *answer) {
    char lines[128] = "sec-websocket-protocol: chat\n";
    if (answer != NULL)
        snprintf(lines, sizeof lines, "Sec-WebSocket-Protocol: chat\nSec-WebSocket-Accept: %s\n", answer);
    far_respond(far_conn(&world->far, 0), only_request(world, 0), 101, lines, NULL, false);
}

static void accept_upgrade(struct loopback *world) {
    accept_with(world, right_answer(world));
}

static void open_tunnel(struct client *client, struct loopback *world, enum http_version version) {
    begin(client, world, version);
    accept_upgrade(world);
    assert_int_equal(client->status, 101);
    assert_true(client->stream->has_tunnel);
}

static uint64_t count_of(const struct metric_cell *cell) {
    return metric_read(cell);
}

static void bytes_and_ends_go_both_ways(void **state) {
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        unsigned from = i & 1, to = i >> 1 & 1, server_first = i >> 2;
        struct loopback world;
        struct client client;
        loopback_init(&world, services[to], NULL);
        open_tunnel(&client, &world, versions[from]);
        struct far_conn *conn = far_conn(&world.far, 0);
        struct owner_stream *request = only_request(&world, 0);
        assert_int_equal(count_of(&world.far.metrics.tunnels_websocket_active), 1);
        client_send(&client, BYTES("ping"), false);
        assert_memory_equal(request->body.at, "ping", 4);
        far_body(conn, request, BYTES("pong!"), false);
        assert_string_equal(client.body.at, "pong!");
        if (server_first) {
            far_body(conn, request, BYTES("bye"), true);
            assert_true(client.ended && !client.done);
            client_send(&client, BYTES("late"), true);
        } else {
            client_send(&client, BYTES("late"), true);
            assert_true(request->ended && !client.ended);
            far_body(conn, request, BYTES("bye"), true);
        }
        assert_true(client.ended && client.done && !client.was_reset);
        assert_string_equal(client.body.at, "pong!bye");
        assert_int_equal(request->body.len, 8);
        assert_int_equal(world.record.end, OK);
        assert_int_equal(world.record.status, 101);
        assert_int_equal(world.record.request_bytes, 8);
        assert_int_equal(world.record.response_bytes, 8);
        assert_int_equal(client.consumed, 8);
        assert_int_equal(count_of(&world.far.metrics.tunnels_websocket), 1);
        assert_int_equal(count_of(&world.far.metrics.tunnels_websocket_active), 0);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

// What stands in the handshake for applications passes; what proves it is made anew where the protocols differ.
static void each_side_has_the_handshake_of_its_protocol(void **state) {
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        unsigned from = i & 1, to = i >> 1;
        struct loopback world;
        struct client client;
        loopback_init(&world, services[to], NULL);
        begin(&client, &world, versions[from]);
        assert_has(received(&world, 0), "head GET http a /chat ");
        assert_has(received(&world, 0), " protocol=websocket\n");
        assert_string_equal(asked(&world, "origin"), "http://o");
        assert_string_equal(asked(&world, "cookie"), "c=1");
        assert_string_equal(asked(&world, "sec-websocket-protocol"), "chat");
        assert_string_equal(asked(&world, "sec-websocket-version"), "13");
        const char *key = asked(&world, "sec-websocket-key");
        if (to == 1)
            assert_null(key);
        else if (from == 0)
            assert_string_equal(key, KEY);
        else
            assert_true(strlen(key) == 24 && strcmp(key, KEY) != 0);
        accept_upgrade(&world);
        assert_int_equal(client.status, 101);
        assert_string_equal(client_field(&client, "sec-websocket-protocol"), "chat");
        const char *answer = client_field(&client, "sec-websocket-accept");
        if (from == 0)
            assert_string_equal(answer, ANSWER);
        else
            assert_null(answer);
        client_fail(&client, ERROR_CLIENT_GONE);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

// To a key that is ours nobody else would notice.
static void a_wrong_answer_to_our_own_key_is_a_failed_upgrade(void **state) {
    (void)state;
    static const char *const answers[] = {ANSWER, "", NULL};
    for (unsigned i = 0; i < 3; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, HTTP1, NULL);
        begin(&client, &world, HTTP_2);
        accept_with(&world, answers[i]);
        assert_int_equal(client.status, 502);
        assert_int_equal(world.record.end, ERROR_UPGRADE_FAILED);
        assert_true(far_conn(&world.far, 0)->peer->closed);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

// Row 12 of the threats (CVE-2025-64763). Over HTTP/2 a client can send at once; the first window bounds what waits.
static void bytes_before_the_answer_wait_for_it(void **state) {
    (void)state;
    for (unsigned to = 0; to < 2; to++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, services[to], NULL);
        begin(&client, &world, HTTP_2);
        client_send(&client, BYTES("early"), true);
        assert_int_equal(only_request(&world, 0)->body.len, 0);
        assert_false(only_request(&world, 0)->ended);
        assert_int_equal(client.consumed, 0);
        accept_upgrade(&world);
        assert_memory_equal(only_request(&world, 0)->body.at, "early", 5);
        assert_true(only_request(&world, 0)->ended);
        assert_int_equal(client.consumed, 5);
        far_body(far_conn(&world.far, 0), only_request(&world, 0), BYTES("x"), true);
        assert_true(client.done);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

// Rows 11 and 13 of the threats (CVE-2024-23326, CVE-2026-73548): what was meant for a tunnel reaches nobody, and the next client's request goes on another connection.
static void a_refusal_is_a_plain_answer_behind_which_nothing_is_sent(void **state) {
    (void)state;
    static const unsigned statuses[] = {302, 403, 426, 503};
    for (unsigned i = 0; i < 8; i++) {
        unsigned to = i & 1, status = statuses[i >> 1];
        struct loopback world;
        struct client client, next;
        loopback_init(&world, services[to], NULL);
        begin(&client, &world, HTTP_2);
        client_send(&client, BYTES("GET /admin HTTP/1.1\r\nHost: a\r\n\r\n"), false);
        far_respond(far_conn(&world.far, 0), only_request(&world, 0), status, "content-length: 2\n", "no", true);
        assert_int_equal(client.status, status);
        assert_string_equal(client.body.at, "no");
        assert_true(client.ended && client.done && !client.was_reset);
        assert_int_equal(world.record.end, OK);
        assert_int_equal(only_request(&world, 0)->body.len, 0);
        assert_int_equal(count_of(&world.far.metrics.tunnels_websocket), 0);
        client_get(&next, &world, "GET a /next\n");
        loopback_settle(&world);
        unsigned position = to == 0 ? 1 : 0;
        assert_int_equal(world.far.count, position + 1);
        struct owner_stream *request = far_request(far_conn(&world.far, position), to == 0 ? 0 : 1);
        assert_true(bytes_equal(request->stream.head.path, BYTES("/next")));
        far_respond(far_conn(&world.far, position), request, 200, "", "mine", true);
        assert_string_equal(next.body.at, "mine");
        client_dispose(&client);
        client_dispose(&next);
        loopback_dispose(&world);
    }
}

// Row 11 of the threats. Over HTTP/2 a 200 opens the tunnel: a plain one has no form there, and is told as what it is, a failed upgrade.
static void a_200_to_an_upgrade_opens_no_tunnel(void **state) {
    (void)state;
    for (unsigned from = 0; from < 2; from++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, HTTP1, NULL);
        begin(&client, &world, versions[from]);
        client_send(&client, BYTES("for the tunnel"), false);
        far_respond(far_conn(&world.far, 0), only_request(&world, 0), 200, "content-length: 5\n", "plain", true);
        assert_int_equal(client.status, from == 0 ? 200 : 502);
        assert_int_equal(world.record.end, from == 0 ? OK : ERROR_UPGRADE_FAILED);
        assert_int_equal(only_request(&world, 0)->body.len, 0);
        if (from == 0)
            assert_string_equal(client.body.at, "plain");
        assert_true(client.done && far_conn(&world.far, 0)->peer->closed);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

// Nor is a connection with a tunnel on it ever another one's, during it or behind it.
static void a_tunnel_has_its_http1_connection_alone(void **state) {
    (void)state;
    struct loopback world;
    struct client client, next;
    loopback_init(&world, HTTP1, NULL);
    open_tunnel(&client, &world, HTTP_1_1);
    for (unsigned i = 0; i < 2; i++) {
        client_get(&next, &world, "GET a /next\n");
        loopback_settle(&world);
        assert_int_equal(world.far.count, 2);
        struct far_conn *conn = far_conn(&world.far, 1);
        far_respond(conn, far_request(conn, i), 200, "content-length: 0\n", NULL, true);
        assert_int_equal(next.status, 200);
        client_dispose(&next);
        if (i == 0) {
            client_send(&client, BYTES_NONE, true);
            far_body(far_conn(&world.far, 0), only_request(&world, 0), BYTES_NONE, true);
            assert_true(client.done);
        }
    }
    assert_true(far_conn(&world.far, 0)->peer->closed);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void a_101_that_nobody_asked_for_is_502(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, HTTP1, NULL);
    world.far.mode = FAR_RAW;
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    far_send(far_conn(&world.far, 0), "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nGET / HTTP/1.1\r\n\r\n");
    assert_int_equal(client.status, 502);
    assert_int_equal(world.record.end, ERROR_RESPONSE_MALFORMED);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void a_switch_to_another_protocol_is_a_failed_upgrade(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, HTTP1, NULL);
    world.far.mode = FAR_RAW;
    begin(&client, &world, HTTP_1_1);
    assert_has(far_sent(far_conn(&world.far, 0)), "Connection: Upgrade\r\nUpgrade: websocket\r\n");
    far_send(far_conn(&world.far, 0), "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n");
    assert_int_equal(client.status, 502);
    assert_int_equal(world.record.end, ERROR_UPGRADE_FAILED);
    client_dispose(&client);
    loopback_dispose(&world);
}

// libraries.md: :protocol only after the peer's SETTINGS have allowed it. A port that is HTTP/2 has no other way.
static void an_http2_port_without_extended_connect_fails_the_upgrade(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, HTTP2, NULL);
    world.far.mode = FAR_RAW;
    begin(&client, &world, HTTP_1_1);
    loopback_pass(&world, NS_PER_S);
    assert_int_equal(client.status, 0);
    static const char settings[] = {0, 0, 0, 4, 0, 0, 0, 0, 0};
    fake_peer_send(far_conn(&world.far, 0)->peer, bytes_from(settings, sizeof settings));
    loopback_settle(&world);
    assert_int_equal(client.status, 502);
    assert_int_equal(world.record.end, ERROR_UPGRADE_FAILED);
    assert_int_equal(world.far.count, 1);
    client_dispose(&client);
    loopback_dispose(&world);
}

// The peer's SETTINGS never come: its connection ends, the try with it, and with the last one the stream.
static void a_connection_that_ends_before_its_settings_is_one_that_was_not_made(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, HTTP2, NULL);
    world.far.mode = FAR_RAW;
    begin(&client, &world, HTTP_2);
    far_close(far_conn(&world.far, 0));
    loopback_pass(&world, NS_PER_S);
    assert_int_equal(world.far.count, 2);
    far_close(far_conn(&world.far, 1));
    loopback_pass(&world, NS_PER_S);
    assert_int_equal(client.status, 502);
    assert_int_equal(world.record.end, ERROR_CONNECT_REFUSED);
    assert_int_equal(world.record.attempts, 2);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void a_client_that_goes_while_settings_are_awaited_leaves_nothing(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, HTTP2, NULL);
    world.far.mode = FAR_RAW;
    begin(&client, &world, HTTP_2);
    client_fail(&client, ERROR_CLIENT_GONE);
    assert_true(client.done);
    static const char settings[] = {0, 0, 0, 4, 0, 0, 0, 0, 0};
    fake_peer_send(far_conn(&world.far, 0)->peer, bytes_from(settings, sizeof settings));
    loopback_settle(&world);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void a_client_that_goes_resets_the_tunnel(void **state) {
    (void)state;
    for (unsigned to = 0; to < 2; to++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, services[to], NULL);
        open_tunnel(&client, &world, HTTP_1_1);
        client_fail(&client, ERROR_CLIENT_GONE);
        assert_true(client.done);
        assert_int_equal(world.record.end, ERROR_CLIENT_GONE);
        if (to == 0)
            assert_true(far_conn(&world.far, 0)->peer->closed_reset);
        else
            assert_int_equal(only_request(&world, 0)->failed, ERROR_CLIENT_GONE);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

static void a_server_that_breaks_off_resets_the_tunnel(void **state) {
    (void)state;
    for (unsigned to = 0; to < 2; to++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, services[to], NULL);
        open_tunnel(&client, &world, HTTP_1_1);
        far_body(far_conn(&world.far, 0), only_request(&world, 0), BYTES("part"), false);
        if (to == 0)
            far_break(far_conn(&world.far, 0));
        else
            far_reset(far_conn(&world.far, 0), only_request(&world, 0), ERROR_INTERNAL);
        assert_true(client.was_reset && client.done);
        assert_int_equal(client.reset_error, ERROR_RESPONSE_INCOMPLETE);
        assert_int_equal(world.record.end, ERROR_RESPONSE_INCOMPLETE);
        assert_string_equal(client.body.at, "part");
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

// Its server has said all and is gone: what the client still sends is nobody's, and nothing is wrong.
static void a_server_that_ends_and_goes_ends_the_tunnel(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, HTTP1, NULL);
    open_tunnel(&client, &world, HTTP_1_1);
    far_body(far_conn(&world.far, 0), only_request(&world, 0), BYTES("bye"), true);
    assert_true(client.ended && !client.done);
    far_break(far_conn(&world.far, 0));
    assert_true(client.done);
    assert_int_equal(world.record.end, OK);
    client_dispose(&client);
    loopback_dispose(&world);
}

#define IDLE HTTP1 POLICY("  timeouts: {idle: 2s, tcpIdle: 10s}\n")

static void a_tunnel_has_a_time_of_its_own_for_silence(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, IDLE, NULL);
    open_tunnel(&client, &world, HTTP_1_1);
    loopback_pass(&world, 9 * NS_PER_S);
    client_send(&client, BYTES("x"), false);
    loopback_pass(&world, 9 * NS_PER_S);
    far_body(far_conn(&world.far, 0), only_request(&world, 0), BYTES("y"), false);
    loopback_pass(&world, 9 * NS_PER_S);
    assert_false(client.done);
    loopback_pass(&world, 2 * NS_PER_S);
    assert_true(client.done && client.was_reset);
    assert_int_equal(world.record.end, ERROR_REQUEST_TIMEOUT);
    assert_string_equal(world.record.policy, "TrafficPolicy/default/a: timeouts.tcpIdle");
    assert_false(far_conn(&world.far, 0)->peer->closed_reset); // it is ended, not broken
    client_dispose(&client);
    // Before the answer the request's own time counts.
    begin(&client, &world, HTTP_1_1);
    loopback_pass(&world, 3 * NS_PER_S);
    assert_int_equal(client.status, 504);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void the_length_of_a_tunnel_is_not_that_of_its_answer(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, HTTP1 POLICY("  timeouts: {tcpIdle: 0s, backendRequest: 1s}\n"), NULL);
    begin(&client, &world, HTTP_1_1);
    loopback_pass(&world, 5 * NS_PER_MS);
    accept_upgrade(&world);
    loopback_pass(&world, 7200 * NS_PER_S);
    assert_false(client.done);
    client_send(&client, BYTES_NONE, true);
    far_body(far_conn(&world.far, 0), only_request(&world, 0), BYTES_NONE, true);
    assert_int_equal(world.record.duration, 7200 * NS_PER_S + 5 * NS_PER_MS);
    assert_int_equal(world.record.upstream_duration, 5 * NS_PER_MS);
    client_dispose(&client);
    loopback_dispose(&world);
}

// It is repeated where it never got there; an answer is one, whatever the policy wants for requests.
static void an_upgrade_is_repeated_only_where_it_was_not_sent(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world,
                  PROXY SERVICE("HTTP1", TWO) POLICY(IN_TURN "  retry: {attempts: 2, conditions: [ConnectFailure, GatewayError], codes: [503]}\n"),
                  NULL);
    world.far.mode = FAR_WAIT;
    begin(&client, &world, HTTP_1_1);
    far_connect(far_conn(&world.far, 0), ERROR_CONNECT_REFUSED);
    far_connect(far_conn(&world.far, 1), OK);
    far_respond(far_conn(&world.far, 1), only_request(&world, 1), 503, "", NULL, true);
    assert_int_equal(client.status, 503);
    assert_int_equal(world.record.attempts, 2);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void an_upgrade_is_not_hedged(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, PROXY SERVICE("HTTP1", TWO) POLICY("  hedge: {after: Delay, delay: 10ms, max: 1, percent: 100}\n"), NULL);
    begin(&client, &world, HTTP_1_1);
    loopback_pass(&world, NS_PER_S);
    assert_int_equal(world.far.count, 1);
    client_fail(&client, ERROR_CLIENT_GONE);
    client_dispose(&client);
    loopback_dispose(&world);
}

// limits.bodyBytes bounds messages.
static void a_tunnel_is_no_body(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, PROXY_WITH("  limits: {bodyBytes: 4}\n") SERVICE("HTTP1", ONE), NULL);
    open_tunnel(&client, &world, HTTP_1_1);
    client_send(&client, BYTES("more than four"), true);
    far_body(far_conn(&world.far, 0), only_request(&world, 0), BYTES("more than four"), true);
    assert_true(client.done);
    assert_int_equal(world.record.end, OK);
    client_dispose(&client);
    loopback_dispose(&world);
}

// Whatever is slow, what is held stays under the bound of any body.
static void a_slow_side_holds_the_other_up(void **state) {
    (void)state;
    enum { TOTAL = 2 << 20 };
    char *bytes = alloc_zeroed_or_abort(1, TOTAL);
    for (unsigned to = 0; to < 2; to++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, services[to], NULL);
        open_tunnel(&client, &world, HTTP_1_1);
        struct far_conn *conn = far_conn(&world.far, 0);
        struct owner_stream *request = only_request(&world, 0);
        client.accepts = 0;
        far_body(conn, request, bytes_from(bytes, TOTAL), false);
        size_t held = attempts_foremost(client.stream->attempts)->up.body.length;
        assert_true(held > 0 && held <= 64 * 1024 + (size_t)LIMIT_READ_BLOCKS * BLOCK_CAPACITY);
        fake_peer_accept(conn->peer, 0);
        client_send(&client, bytes_from(bytes, TOTAL), true);
        assert_true(client.held_most <= 2 * (64 * 1024 + (size_t)LIMIT_READ_BLOCKS * BLOCK_CAPACITY));
        fake_peer_accept(conn->peer, SIZE_MAX);
        while (request->body.len < TOTAL || client.body.len < TOTAL)
            client_accept(&client, 100000);
        assert_true(request->ended);
        far_body(conn, request, BYTES_NONE, true);
        assert_true(client.done);
        client_dispose(&client);
        loopback_dispose(&world);
    }
    free(bytes);
}

// --- filters ---

static unsigned pieces_seen, heads_seen;

static enum filter_result see_body(struct stream *stream, const void *config, void *state, struct buffer *body, bool end) {
    (void)stream;
    (void)config;
    (void)state;
    (void)body;
    (void)end;
    pieces_seen++;
    return FILTER_CONTINUE;
}

static enum filter_result see_head(struct stream *stream, const void *config, void *state, struct head *head) {
    (void)stream;
    (void)config;
    (void)state;
    heads_seen += head->status == 101;
    return FILTER_CONTINUE;
}

static const void *configure(const struct filter_scope *scope, struct pool *pool) {
    (void)pool;
    return scope->destination;
}

// In the place of the one filter that there is.
static const struct filter_type filter_that_looks = {
    .name = "deadline",
    .configure = configure,
    .ops = {.request_data = see_body, .response_head = see_head, .response_data = see_body},
};

static void filters_see_the_101_and_nothing_of_the_tunnel(void **state) {
    (void)state;
    static const struct filter_type *const filters[] = {&filter_that_looks, NULL};
    struct loopback world;
    struct client client;
    pieces_seen = heads_seen = 0;
    loopback_init(&world, HTTP1, filters);
    open_tunnel(&client, &world, HTTP_1_1);
    client_send(&client, BYTES("up"), true);
    far_body(far_conn(&world.far, 0), only_request(&world, 0), BYTES("down"), true);
    assert_true(client.done);
    assert_string_equal(client.body.at, "down");
    assert_int_equal(heads_seen, 1);
    assert_int_equal(pieces_seen, 0);
    client_dispose(&client);
    loopback_dispose(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_and_ends_go_both_ways),
        cmocka_unit_test(each_side_has_the_handshake_of_its_protocol),
        cmocka_unit_test(a_wrong_answer_to_our_own_key_is_a_failed_upgrade),
        cmocka_unit_test(bytes_before_the_answer_wait_for_it),
        cmocka_unit_test(a_refusal_is_a_plain_answer_behind_which_nothing_is_sent),
        cmocka_unit_test(a_200_to_an_upgrade_opens_no_tunnel),
        cmocka_unit_test(a_tunnel_has_its_http1_connection_alone),
        cmocka_unit_test(a_101_that_nobody_asked_for_is_502),
        cmocka_unit_test(a_switch_to_another_protocol_is_a_failed_upgrade),
        cmocka_unit_test(an_http2_port_without_extended_connect_fails_the_upgrade),
        cmocka_unit_test(a_connection_that_ends_before_its_settings_is_one_that_was_not_made),
        cmocka_unit_test(a_client_that_goes_while_settings_are_awaited_leaves_nothing),
        cmocka_unit_test(a_client_that_goes_resets_the_tunnel),
        cmocka_unit_test(a_server_that_breaks_off_resets_the_tunnel),
        cmocka_unit_test(a_server_that_ends_and_goes_ends_the_tunnel),
        cmocka_unit_test(a_tunnel_has_a_time_of_its_own_for_silence),
        cmocka_unit_test(the_length_of_a_tunnel_is_not_that_of_its_answer),
        cmocka_unit_test(an_upgrade_is_repeated_only_where_it_was_not_sent),
        cmocka_unit_test(an_upgrade_is_not_hedged),
        cmocka_unit_test(a_tunnel_is_no_body),
        cmocka_unit_test(a_slow_side_holds_the_other_up),
        cmocka_unit_test(filters_see_the_101_and_nothing_of_the_tunnel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
