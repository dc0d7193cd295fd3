// h1_codec as a client: how requests are written, what responses become, which are refused, and when the connection can be used again. Every response is fed
// whole, byte by byte and in random pieces, and must come to the same.
#include "h1_drive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct outcome {
    struct text received;
    bool closes;
    bool refuses_new;
    uint32_t keep_alive_s;
    enum error failed;
    enum error connection;
};

static void outcome_dispose(struct outcome *outcome) {
    text_dispose(&outcome->received);
}

static void run_once(struct outcome *outcome, enum http_method method, struct bytes in, bool end, enum h1_split split, uint64_t seed) {
    struct codec_limits limits = codec_owner_limits();
    struct h1_drive drive;
    h1_drive_init(&drive, CODEC_CLIENT, &limits);
    drive.split = split;
    drive.method = method;
    rng_init(&drive.rng, seed);
    h1_request(&drive);
    h1_feed(&drive, in);
    if (end)
        h1_feed_end(&drive);
    h1_drive_collect(&drive);
    const struct codec *codec = drive.owner.codec;
    *outcome = (struct outcome){
        .closes = codec->close_when_flushed,
        .refuses_new = codec->refuses_new,
        .keep_alive_s = codec->keep_alive_s,
        .failed = drive.owner.last->failed,
        .connection = drive.owner.error,
    };
    assert_true(!codec->close_when_flushed || codec->refuses_new);
    text_add(&outcome->received, text_bytes(&drive.received));
    h1_drive_dispose(&drive);
}

static void run(struct outcome *outcome, enum http_method method, struct bytes in, bool end) {
    run_once(outcome, method, in, end, SPLIT_WHOLE, 0);
    for (uint64_t seed = 0; seed < 8; seed++) {
        struct outcome split;
        run_once(&split, method, in, end, seed == 0 ? SPLIT_BYTES : SPLIT_RANDOM, seed);
        assert_string_equal(split.received.at, outcome->received.at);
        assert_int_equal(split.closes, outcome->closes);
        assert_int_equal(split.refuses_new, outcome->refuses_new);
        assert_int_equal(split.connection, outcome->connection);
        outcome_dispose(&split);
    }
}

// What becomes of the connection.
enum fate { REUSED, CLOSED };

static void assert_response_to(enum http_method method, const char *in, bool end, const char *received, enum fate fate) {
    struct outcome outcome;
    run(&outcome, method, bytes_from_text(in), end);
    assert_string_equal(outcome.received.at + strlen("stream 1\n"), received);
    assert_int_equal(outcome.connection, OK);
    assert_int_equal(outcome.closes, fate == CLOSED);
    assert_int_equal(outcome.refuses_new, fate == CLOSED);
    outcome_dispose(&outcome);
}

static void assert_response(const char *in, const char *received, enum fate fate) {
    assert_response_to(METHOD_GET, in, false, received, fate);
}

static void assert_malformed_bytes(struct bytes in) {
    struct outcome outcome;
    run(&outcome, METHOD_GET, in, false);
    assert_string_equal(error_name(outcome.failed), error_name(ERROR_RESPONSE_MALFORMED));
    assert_true(outcome.closes);
    outcome_dispose(&outcome);
}

static void assert_malformed(const char *in) {
    assert_malformed_bytes(bytes_from_text(in));
}

static void assert_cut_off(const char *in, enum error error) {
    struct outcome outcome;
    run(&outcome, METHOD_GET, bytes_from_text(in), true);
    assert_string_equal(error_name(outcome.failed), error_name(error));
    assert_true(outcome.closes);
    outcome_dispose(&outcome);
}

// ---- responses

static void response_with_a_length_leaves_the_connection_usable(void **state) {
    (void)state;
    assert_response("HTTP/1.1 200 Fine\r\nContent-Length: 2\r\nX: 1\r\n\r\nok",
                    "head 200 Fine 11 length=2\nContent-Length: 2\nX: 1\nbody 2 ok\nend\n", REUSED);
    assert_response("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "head 200  11 length=0 end\nContent-Length: 0\nend\n", REUSED);
    assert_response("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", "head 200  11 length=0 end\nContent-Length: 0\nend\n", REUSED);
}

static void chunked_response_is_taken_with_its_trailers(void **state) {
    (void)state;
    assert_response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\nContent-Type: a\r\n\r\n",
                    "head 200 OK 11 length=-1\nbody 2 ok\nend\nX-T: 1\n", REUSED);
}

static void trailers_that_connection_names_are_dropped(void **state) {
    (void)state;
    assert_response(
        "HTTP/1.1 200 OK\r\nConnection: x-hop\r\nX-Hop: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx-HOP: 2\r\nKeep-Alive: 3\r\nX-T: 4\r\n\r\n",
        "head 200 OK 11 length=-1\nend\nX-T: 4\n", REUSED);
}

static void trailers_of_responses_are_bounded(void **state) {
    (void)state;
    struct text in = {0};
    text_format(&in, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n");
    for (int i = 0; i < 101; i++)
        text_format(&in, "X: %d\r\n", i);
    text_format(&in, "\r\n");
    assert_malformed_bytes(text_bytes(&in));
    text_dispose(&in);
}

static void response_without_framing_ends_with_the_connection(void **state) {
    (void)state;
    assert_response_to(METHOD_GET, "HTTP/1.1 200 OK\r\n\r\nall there is", true, "head 200 OK 11 length=-1\nbody 12 all there is\nend\n", CLOSED);
    assert_response_to(METHOD_GET, "HTTP/1.0 200 OK\r\n\r\n", true, "head 200 OK 10 length=-1\nend\n", CLOSED);
    assert_response_to(METHOD_GET, "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nx", true, "head 200 OK 11 length=-1\nbody 1 x\nend\n",
                       CLOSED);
}

static void response_of_head_204_and_304_has_no_body(void **state) {
    (void)state;
    assert_response_to(METHOD_HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", false, "head 200 OK 11 length=7 end\nContent-Length: 7\nend\n",
                       REUSED);
    assert_response_to(METHOD_HEAD, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, "head 200 OK 11 length=-1 end\nend\n", REUSED);
    assert_response_to(METHOD_HEAD, "HTTP/1.1 200 OK\r\n\r\n", false, "head 200 OK 11 length=-1 end\nend\n", REUSED);
    assert_response("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", "head 304 Not Modified 11 length=7 end\nContent-Length: 7\nend\n",
                    REUSED);
    assert_response("HTTP/1.1 204 No Content\r\n\r\n", "head 204 No Content 11 length=-1 end\nend\n", REUSED);
    // A length has no place there.
    assert_response("HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n", "head 204 No Content 11 length=-1 end\nend\n", REUSED);
}

static void every_1xx_is_told_before_the_response(void **state) {
    (void)state;
    assert_response("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 199 X\r\nContent-Length: 5\r\n\r\n"
                    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                    "head 100 Continue 11 length=-1\nhead 103 Early Hints 11 length=-1\nLink: a\nhead 199 X 11 length=-1\n"
                    "head 200 OK 11 length=0 end\nContent-Length: 0\nend\n",
                    REUSED);
}

static void too_many_1xx_are_refused(void **state) {
    (void)state;
    struct text in = {0};
    for (int i = 0; i < 17; i++)
        text_format(&in, "HTTP/1.1 102 Processing\r\n\r\n");
    assert_malformed_bytes(text_bytes(&in));
    text_dispose(&in);
}

static void number_of_1xx_is_counted_for_each_response(void **state) {
    (void)state;
    struct codec_limits limits = codec_owner_limits();
    struct h1_drive drive;
    h1_drive_init(&drive, CODEC_CLIENT, &limits);
    for (int i = 0; i < 3; i++) {
        h1_request(&drive);
        for (int k = 0; k < 10; k++)
            h1_feed(&drive, BYTES("HTTP/1.1 102 Processing\r\n\r\n"));
        h1_feed(&drive, BYTES("HTTP/1.1 204 No Content\r\n\r\n"));
        assert_true(drive.owner.last->ended);
        assert_int_equal(drive.owner.last->heads, 11);
    }
    h1_drive_dispose(&drive);
}

static void a_101_that_nobody_asked_for_is_malformed(void **state) {
    (void)state;
    assert_malformed("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
    // A 200 to whatever was asked is a response like others: nothing of it is a tunnel (CVE-2024-23326).
    assert_response("HTTP/1.1 200 OK\r\nUpgrade: x\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\nok",
                    "head 200 OK 11 length=2\nContent-Length: 2\nbody 2 ok\nend\n", REUSED);
}

static void status_is_from_100_to_599(void **state) {
    (void)state;
    assert_malformed("HTTP/1.1 099 X\r\n\r\n");
    assert_malformed("HTTP/1.1 600 X\r\n\r\n");
    assert_malformed("HTTP/1.1 999 X\r\n\r\n");
    assert_malformed("HTTP/1.1 20 X\r\n\r\n");
    assert_malformed("HTTP/1.1 2000 X\r\n\r\n");
    assert_response("HTTP/1.1 599 X\r\nContent-Length: 0\r\n\r\n", "head 599 X 11 length=0 end\nContent-Length: 0\nend\n", REUSED);
}

static void malformed_responses_are_refused(void **state) {
    (void)state;
    assert_malformed("HTTP/2.0 200 OK\r\n\r\n");
    assert_malformed("HTTP/0.9 200 OK\r\n\r\n");
    assert_malformed("RTSP/1.0 200 OK\r\n\r\n");
    assert_malformed("ICY 200 OK\r\n\r\n");
    assert_malformed("\r\nHTTP/1.1 200 OK\r\n\r\n");
    assert_malformed("garbage");
    assert_malformed("HTTP/1.1 200 OK\nContent-Length: 0\n\n");
    assert_malformed("HTTP/1.1 200 OK\r\nX : 1\r\n\r\n");
    assert_malformed("HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\n\r\n");
    assert_malformed("HTTP/1.1 200 OK\r\nX: 1\x01\r\n\r\n");
    assert_malformed_bytes(BYTES("HTTP/1.1 200 OK\r\nX: 1\0\r\n\r\n"));
    assert_malformed("HTTP/1.1 200 OK\r\nX: 1\rY: 2\r\n\r\n");
    assert_malformed("HTTP/1.1 200 O\rK\r\n\r\n");
    assert_malformed("HTTP/1.1 200 O\x01K\r\n\r\n");
    assert_malformed_bytes(BYTES("HTTP/1.1 200 O\0K\r\n\r\n"));
}

static void framing_in_doubt_is_refused(void **state) {
    (void)state;
    assert_malformed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_malformed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n");
    assert_malformed("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_malformed("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n");
    assert_malformed("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n");
    assert_malformed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n");
    assert_malformed("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n");
    assert_malformed("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n");
    assert_malformed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n");
    assert_malformed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11111111111111111\r\n");
}

static void connection_close_and_1_0_end_the_connection(void **state) {
    (void)state;
    assert_response("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
                    "head 200 OK 11 length=2\nContent-Length: 2\nbody 2 ok\nend\n", CLOSED);
    assert_response("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "head 200 OK 10 length=2\nContent-Length: 2\nbody 2 ok\nend\n", CLOSED);
    assert_response("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
                    "head 200 OK 10 length=2\nContent-Length: 2\nbody 2 ok\nend\n", REUSED);
}

static void keep_alive_timeout_of_the_peer_is_told(void **state) {
    (void)state;
    struct outcome outcome;
    run(&outcome, METHOD_GET, BYTES("HTTP/1.1 200 OK\r\nKeep-Alive: max=100, Timeout=7\r\nContent-Length: 0\r\n\r\n"), false);
    assert_int_equal(outcome.keep_alive_s, 7);
    outcome_dispose(&outcome);
    run(&outcome, METHOD_GET, BYTES("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=99999999999999\r\nContent-Length: 0\r\n\r\n"), false);
    assert_int_equal(outcome.keep_alive_s, 0);
    outcome_dispose(&outcome);
}

static void bytes_behind_a_response_end_the_connection(void **state) {
    (void)state;
    struct outcome outcome;
    run(&outcome, METHOD_GET, BYTES("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n"), false);
    assert_int_equal(outcome.connection, ERROR_PROTOCOL);
    assert_true(outcome.closes);
    assert_string_equal(outcome.received.at, "stream 1\nhead 200 OK 11 length=2\nContent-Length: 2\nbody 2 ok\nend\n");
    outcome_dispose(&outcome);
}

static void truncated_response_is_incomplete_and_a_missing_one_a_reset(void **state) {
    (void)state;
    assert_cut_off("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", ERROR_RESPONSE_INCOMPLETE);
    assert_cut_off("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", ERROR_RESPONSE_INCOMPLETE);
    assert_cut_off("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: 1\r\n", ERROR_RESPONSE_INCOMPLETE);
    assert_cut_off("", ERROR_UPSTREAM_RESET);
    assert_cut_off("HTTP/1.1 200 OK\r\nContent-", ERROR_UPSTREAM_RESET);
    assert_cut_off("HTTP/1.1 100 Continue\r\n\r\n", ERROR_UPSTREAM_RESET);
}

static void heads_of_responses_are_bounded(void **state) {
    (void)state;
    struct text in = {0};
    text_format(&in, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 101; i++)
        text_format(&in, "X: 1\r\n");
    assert_malformed_bytes(text_bytes(&in));
    text_clear(&in);
    text_format(&in, "HTTP/1.1 200 OK\r\nX: %070000d\r\n\r\n", 0);
    assert_malformed_bytes(text_bytes(&in));
    text_clear(&in);
    text_format(&in, "HTTP/1.1 200 %09000d\r\n\r\n", 0);
    assert_malformed_bytes(text_bytes(&in));
    text_dispose(&in);
}

// ---- requests

struct client {
    struct h1_drive drive;
    struct owner_stream *item;
    struct head head;
};

static void client_init(struct client *client, enum http_method method, const char *authority, const char *path) {
    struct codec_limits limits = codec_owner_limits();
    h1_drive_init(&client->drive, CODEC_CLIENT, &limits);
    client->item = codec_owner_new_stream(&client->drive.owner);
    head_init(&client->head, &client->item->pool);
    client->head.method = method;
    client->head.authority = bytes_from_text(authority);
    client->head.path = bytes_from_text(path);
}

static void client_dispose(struct client *client) {
    h1_drive_dispose(&client->drive);
}

static enum error client_send(struct client *client, bool end) {
    struct codec *codec = client->drive.owner.codec;
    return codec->ops->send_head(codec, &client->item->stream, &client->head, end);
}

static void assert_written(struct client *client, const char *text) {
    struct bytes sent = codec_owner_sent(&client->drive.owner);
    if (!bytes_equal(sent, bytes_from_text(text)))
        fail_msg("written: %.*s\nexpected: %s", BYTES_FORMAT(sent), text);
}

static void add(struct client *client, const char *name, const char *value) {
    fields_add(&client->head.fields, bytes_from_text(name), bytes_from_text(value));
}

static void request_has_host_first_or_where_it_was(void **state) {
    (void)state;
    struct client client;
    client_init(&client, METHOD_GET, "b", "/p?q");
    add(&client, "accept", "x");
    assert_int_equal(client_send(&client, true), OK);
    assert_written(&client, "GET /p?q HTTP/1.1\r\nHost: b\r\naccept: x\r\n\r\n");
    client_dispose(&client);

    client_init(&client, METHOD_GET, "b", "/");
    add(&client, "accept", "x");
    add(&client, "HOST", "old");
    assert_int_equal(client_send(&client, true), OK);
    assert_written(&client, "GET / HTTP/1.1\r\naccept: x\r\nHOST: b\r\n\r\n");
    client_dispose(&client);
}

static void long_target_and_host_are_written_whole(void **state) {
    (void)state;
    struct client client;
    struct text expected = {0};
    client_init(&client, METHOD_GET, "b", "/");
    client.head.path = pool_format(&client.item->pool, "/%08000d", 1);
    client.head.authority = pool_format(&client.item->pool, "%0250d", 2);
    assert_int_equal(client_send(&client, true), OK);
    text_format(&expected, "GET /%08000d HTTP/1.1\r\nHost: %0250d\r\n\r\n", 1, 2);
    assert_written(&client, expected.at);
    text_dispose(&expected);
    client_dispose(&client);
}

static void fields_of_another_connection_are_not_written(void **state) {
    (void)state;
    struct client client;
    client_init(&client, METHOD_GET, "b", "/");
    add(&client, "Connection", "x");
    add(&client, "Keep-Alive", "x");
    add(&client, "Transfer-Encoding", "chunked");
    add(&client, "Upgrade", "x");
    add(&client, "TE", "gzip");
    add(&client, "Expect", "x");
    add(&client, "Proxy-Connection", "x");
    add(&client, "A", "");
    client.head.te_trailers = true;
    client.head.expect_continue = true;
    client.head.content_length = 3;
    assert_int_equal(client_send(&client, false), OK);
    assert_written(&client,
                   "GET / HTTP/1.1\r\nHost: b\r\nA: \r\nContent-Length: 3\r\nExpect: 100-continue\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
    client_dispose(&client);
}

static void names_from_the_mesh_are_written_in_title_case(void **state) {
    (void)state;
    static const struct {
        const char *name;
        const char *written;
    } rows[] = {
        {"x-request-id", "X-Request-Id"},
        {"host", "Host"},
        {"content-length", "Content-Length"},
        {"etag", "ETag"},
        {"www-authenticate", "WWW-Authenticate"},
        {"dnt", "DNT"},
        {"x-xss-protection", "X-XSS-Protection"},
        {"content-md5", "Content-MD5"},
        {"sec-websocket-key", "Sec-WebSocket-Key"},
        {"sec-websocket-protocol", "Sec-WebSocket-Protocol"},
        {"x-1a-2b", "X-1a-2b"},
        {"a", "A"},
        {"a--b", "A--B"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct client client;
        client_init(&client, METHOD_GET, "b", "/");
        client.head.title_case = true;
        client.head.content_length = 0;
        add(&client, rows[i].name, "0");
        assert_int_equal(client_send(&client, true), OK);
        struct text sent = {0};
        text_add(&sent, codec_owner_sent(&client.drive.owner));
        struct text line = {0};
        text_format(&line, "\r\n%s: ", rows[i].written);
        if (strstr(sent.at, line.at) == NULL)
            fail_msg("%s not in %s", rows[i].written, sent.at);
        text_dispose(&line);
        text_dispose(&sent);
        client_dispose(&client);
    }
}

static void request_body_of_a_stated_length_is_sent_plain(void **state) {
    (void)state;
    struct client client;
    client_init(&client, METHOD_POST, "b", "/");
    client.head.content_length = 5;
    add(&client, "content-length", "5");
    assert_int_equal(client_send(&client, false), OK);
    owner_stream_send(client.item, BYTES("he"), false, NULL);
    owner_stream_send(client.item, BYTES("llo"), true, NULL);
    assert_written(&client, "POST / HTTP/1.1\r\nHost: b\r\ncontent-length: 5\r\n\r\nhello");
    assert_int_equal(client.item->stream.sent, PROGRESS_ENDED);
    assert_int_equal(client.item->stream.body_sent, 5);
    client_dispose(&client);
}

static void request_body_of_unknown_length_is_chunked_with_trailers(void **state) {
    (void)state;
    struct client client;
    client_init(&client, METHOD_POST, "b", "/");
    add(&client, "content-length", "5"); // contradicts the head: the head counts
    assert_int_equal(client_send(&client, false), OK);
    owner_stream_send(client.item, BYTES("0123456789abcdef"), false, NULL);
    owner_stream_send(client.item, BYTES(""), false, NULL);
    struct fields trailers;
    fields_init(&trailers, &client.item->pool);
    fields_add(&trailers, BYTES("X-T"), BYTES("1"));
    fields_add(&trailers, BYTES("Content-Length"), BYTES("1"));
    owner_stream_send(client.item, BYTES("z"), true, &trailers);
    assert_written(&client,
                   "POST / HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n0123456789abcdef\r\n1\r\nz\r\n0\r\nX-T: 1\r\n\r\n");
    client_dispose(&client);
}

static void trailers_of_a_request_are_sent_in_chunks_only(void **state) {
    (void)state;
    struct client client;
    client_init(&client, METHOD_POST, "b", "/");
    client.head.content_length = 1;
    assert_int_equal(client_send(&client, false), OK);
    struct fields trailers;
    fields_init(&trailers, &client.item->pool);
    fields_add(&trailers, BYTES("X-T"), BYTES("1"));
    owner_stream_send(client.item, BYTES("z"), true, &trailers);
    assert_written(&client, "POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 1\r\n\r\nz");
    assert_true(codec_stream_is_done(&client.item->stream) || client.item->stream.sent == PROGRESS_ENDED);
    client_dispose(&client);
}

static void request_without_body_states_it_where_one_is_usual(void **state) {
    (void)state;
    struct client client;
    client_init(&client, METHOD_POST, "b", "/");
    assert_int_equal(client_send(&client, true), OK);
    assert_written(&client, "POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n\r\n");
    client_dispose(&client);
    client_init(&client, METHOD_DELETE, "b", "/");
    assert_int_equal(client_send(&client, true), OK);
    assert_written(&client, "DELETE / HTTP/1.1\r\nHost: b\r\n\r\n");
    client_dispose(&client);
}

static void body_longer_than_stated_is_cut_and_the_connection_lost(void **state) {
    (void)state;
    struct client client;
    client_init(&client, METHOD_POST, "b", "/");
    client.head.content_length = 3;
    assert_int_equal(client_send(&client, false), OK);
    owner_stream_send(client.item, BYTES("abcdef"), true, NULL);
    assert_written(&client, "POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 3\r\n\r\nabc");
    assert_true(client.drive.owner.codec->refuses_new);
    client_dispose(&client);
}

static void body_shorter_than_stated_loses_the_connection(void **state) {
    (void)state;
    struct client client;
    client_init(&client, METHOD_POST, "b", "/");
    client.head.content_length = 3;
    assert_int_equal(client_send(&client, false), OK);
    owner_stream_send(client.item, BYTES("ab"), true, NULL);
    assert_true(client.drive.owner.codec->refuses_new);
    h1_feed(&client.drive, BYTES("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    assert_true(client.drive.owner.codec->close_when_flushed);
    client_dispose(&client);
}

// Whatever made a head: nothing in it ends a line early (CVE-2023-27493).
static void head_that_would_split_a_line_is_not_sent(void **state) {
    (void)state;
    static const char *const values[] = {"a\r\nX: 1", "0123456789\nb", "a\r", "\tok\t01234567\r"};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct client client;
        client_init(&client, METHOD_GET, "b", "/");
        add(&client, "A", values[i]);
        assert_int_equal(client_send(&client, true), ERROR_INTERNAL);
        assert_null(client.item->stream.codec);
        assert_written(&client, "");
        client_dispose(&client);
    }
    struct client client;
    client_init(&client, METHOD_GET, "b", "/");
    fields_add(&client.head.fields, BYTES("A"), BYTES("1234\0"));
    assert_int_equal(client_send(&client, true), ERROR_INTERNAL);
    client.head.fields.items[0].value = BYTES("\t");
    client.head.path = BYTES("/ HTTP/1.1\r\n");
    assert_int_equal(client_send(&client, true), ERROR_INTERNAL);
    client.head.path = BYTES("/");
    client.head.authority = BYTES("b\nc");
    assert_int_equal(client_send(&client, true), ERROR_INTERNAL);
    client.head.authority = BYTES("b");
    client.head.method = METHOD_OTHER;
    client.head.method_text = BYTES("A B");
    assert_int_equal(client_send(&client, true), ERROR_INTERNAL);
    client.head.method_text = BYTES("BREW");
    assert_int_equal(client_send(&client, true), OK);
    assert_written(&client, "BREW / HTTP/1.1\r\nHost: b\r\nA: \t\r\n\r\n");
    client_dispose(&client);
}

static void head_larger_than_a_block_is_written_whole(void **state) {
    (void)state;
    struct client client;
    client_init(&client, METHOD_GET, "b", "/");
    struct text expected = {0};
    text_format(&expected, "GET / HTTP/1.1\r\nHost: b\r\n");
    for (int i = 0; i < 60; i++) {
        struct bytes value = pool_format(&client.item->pool, "%0*d", 1000 + i, i);
        fields_add(&client.head.fields, BYTES("X-Long"), value);
        text_format(&expected, "X-Long: %0*d\r\n", 1000 + i, i);
    }
    text_format(&expected, "\r\n");
    try_alloc_fail_after(1);
    assert_int_equal(client_send(&client, true), ERROR_NO_MEMORY);
    assert_null(client.item->stream.codec);
    assert_int_equal(client_send(&client, true), OK);
    assert_written(&client, expected.at);
    text_dispose(&expected);
    client_dispose(&client);
}

static void one_request_at_a_time(void **state) {
    (void)state;
    struct client client;
    client_init(&client, METHOD_GET, "b", "/");
    struct codec *codec = client.drive.owner.codec;
    assert_int_equal(codec->streams_max, 1);
    assert_int_equal(client_send(&client, true), OK);
    assert_int_equal(codec->streams_open, 1);
    struct owner_stream *second = codec_owner_new_stream(&client.drive.owner);
    assert_int_equal(codec->ops->send_head(codec, &second->stream, &client.head, true), ERROR_FULL);
    h1_feed(&client.drive, BYTES("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    assert_int_equal(codec->streams_open, 0);
    assert_int_equal(codec->ops->send_head(codec, &second->stream, &client.head, true), OK);
    assert_int_equal(second->stream.id, 2);
    h1_feed(&client.drive, BYTES("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"));
    struct owner_stream *third = codec_owner_new_stream(&client.drive.owner);
    assert_int_equal(codec->ops->send_head(codec, &third->stream, &client.head, true), ERROR_FULL);
    client_dispose(&client);
}

static void response_before_the_request_is_complete_ends_the_connection(void **state) {
    (void)state;
    struct client client;
    client_init(&client, METHOD_POST, "b", "/");
    struct codec *codec = client.drive.owner.codec;
    client.head.content_length = 3;
    assert_int_equal(client_send(&client, false), OK);
    h1_feed(&client.drive, BYTES("HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n"));
    struct codec_stream *stream = &client.item->stream;
    assert_int_equal(stream->received, PROGRESS_ENDED);
    assert_ptr_equal(stream->codec, codec);
    assert_true(codec->refuses_new);
    assert_false(codec->close_when_flushed);
    // What is behind it is nobody's.
    assert_int_equal(codec_owner_feed(&client.drive.owner, BYTES("x")), OK);
    owner_stream_send(client.item, BYTES("abc"), true, NULL);
    assert_null(stream->codec);
    assert_true(codec->close_when_flushed);
    client_dispose(&client);
}

static void drain_ends_an_idle_connection_at_once_and_a_busy_one_with_its_response(void **state) {
    (void)state;
    struct client client;
    client_init(&client, METHOD_GET, "b", "/");
    struct codec *codec = client.drive.owner.codec;
    codec->ops->signal(codec, CODEC_DRAIN);
    assert_true(codec->close_when_flushed);
    client_dispose(&client);
    client_init(&client, METHOD_GET, "b", "/");
    codec = client.drive.owner.codec;
    assert_int_equal(client_send(&client, true), OK);
    codec->ops->signal(codec, CODEC_DRAIN);
    assert_false(codec->close_when_flushed);
    h1_feed(&client.drive, BYTES("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    assert_true(codec->close_when_flushed);
    client_dispose(&client);
}

static void reset_ends_the_connection_unless_the_stream_is_done(void **state) {
    (void)state;
    struct client client;
    client_init(&client, METHOD_GET, "b", "/");
    struct codec *codec = client.drive.owner.codec;
    assert_int_equal(client_send(&client, true), OK);
    h1_feed(&client.drive, BYTES("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    codec->ops->reset(codec, &client.item->stream, ERROR_CANCELLED);
    assert_false(codec->close_when_flushed);
    client.item = codec_owner_new_stream(&client.drive.owner);
    assert_int_equal(client_send(&client, true), OK);
    codec->ops->reset(codec, &client.item->stream, ERROR_CANCELLED);
    assert_true(codec->close_when_flushed);
    assert_int_equal(codec->streams_open, 0);
    client_dispose(&client);
}

static void unasked_bytes_end_the_connection(void **state) {
    (void)state;
    struct client client;
    client_init(&client, METHOD_GET, "b", "/");
    assert_int_equal(codec_owner_feed(&client.drive.owner, BYTES("HTTP/1.1 408 Late\r\n\r\n")), ERROR_PROTOCOL);
    assert_true(client.drive.owner.codec->close_when_flushed);
    assert_int_equal(client_send(&client, true), ERROR_FULL);
    client_dispose(&client);
}

static void dispose_forgets_the_stream_without_a_callback(void **state) {
    (void)state;
    struct client client;
    client_init(&client, METHOD_GET, "b", "/");
    assert_int_equal(client_send(&client, true), OK);
    (void)!codec_owner_feed(&client.drive.owner, BYTES("HTTP/1.1 200 OK\r\nX: gathered"));
    client_dispose(&client);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(response_with_a_length_leaves_the_connection_usable),
        cmocka_unit_test(chunked_response_is_taken_with_its_trailers),
        cmocka_unit_test(trailers_that_connection_names_are_dropped),
        cmocka_unit_test(trailers_of_responses_are_bounded),
        cmocka_unit_test(response_without_framing_ends_with_the_connection),
        cmocka_unit_test(response_of_head_204_and_304_has_no_body),
        cmocka_unit_test(every_1xx_is_told_before_the_response),
        cmocka_unit_test(too_many_1xx_are_refused),
        cmocka_unit_test(number_of_1xx_is_counted_for_each_response),
        cmocka_unit_test(a_101_that_nobody_asked_for_is_malformed),
        cmocka_unit_test(status_is_from_100_to_599),
        cmocka_unit_test(malformed_responses_are_refused),
        cmocka_unit_test(framing_in_doubt_is_refused),
        cmocka_unit_test(connection_close_and_1_0_end_the_connection),
        cmocka_unit_test(keep_alive_timeout_of_the_peer_is_told),
        cmocka_unit_test(bytes_behind_a_response_end_the_connection),
        cmocka_unit_test(truncated_response_is_incomplete_and_a_missing_one_a_reset),
        cmocka_unit_test(heads_of_responses_are_bounded),
        cmocka_unit_test(request_has_host_first_or_where_it_was),
        cmocka_unit_test(long_target_and_host_are_written_whole),
        cmocka_unit_test(fields_of_another_connection_are_not_written),
        cmocka_unit_test(names_from_the_mesh_are_written_in_title_case),
        cmocka_unit_test(request_body_of_a_stated_length_is_sent_plain),
        cmocka_unit_test(request_body_of_unknown_length_is_chunked_with_trailers),
        cmocka_unit_test(trailers_of_a_request_are_sent_in_chunks_only),
        cmocka_unit_test(request_without_body_states_it_where_one_is_usual),
        cmocka_unit_test(body_longer_than_stated_is_cut_and_the_connection_lost),
        cmocka_unit_test(body_shorter_than_stated_loses_the_connection),
        cmocka_unit_test(head_that_would_split_a_line_is_not_sent),
        cmocka_unit_test(head_larger_than_a_block_is_written_whole),
        cmocka_unit_test(one_request_at_a_time),
        cmocka_unit_test(response_before_the_request_is_complete_ends_the_connection),
        cmocka_unit_test(drain_ends_an_idle_connection_at_once_and_a_busy_one_with_its_response),
        cmocka_unit_test(reset_ends_the_connection_unless_the_stream_is_done),
        cmocka_unit_test(unasked_bytes_end_the_connection),
        cmocka_unit_test(dispose_forgets_the_stream_without_a_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
