// How h1_codec as a server writes responses: framing by version, method and status, 1xx, trailers, back-pressure, and responses that do not fit their request.
#include "h1_drive.h"

#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct server {
    struct h1_drive drive;
    struct codec *codec;
    struct owner_stream *item;
    struct head head;
};

static void server_init(struct server *server, const char *request, uint16_t status) {
    struct codec_limits limits = codec_owner_limits();
    h1_drive_init(&server->drive, CODEC_SERVER, &limits);
    server->codec = server->drive.owner.codec;
    assert_int_equal(codec_owner_feed(&server->drive.owner, bytes_from_text(request)), OK);
    server->item = server->drive.owner.streams;
    head_init(&server->head, &server->item->pool);
    server->head.status = status;
}

static void server_dispose(struct server *server) {
    h1_drive_dispose(&server->drive);
}

static enum error send_head(struct server *server, bool end) {
    return server->codec->ops->send_head(server->codec, &server->item->stream, &server->head, end);
}

static void assert_written(struct server *server, const char *text) {
    struct bytes sent = codec_owner_sent(&server->drive.owner);
    if (!bytes_equal(sent, bytes_from_text(text)))
        fail_msg("written: %.*s\nexpected: %s", BYTES_FORMAT(sent), text);
}

#define GET_1_1 "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define GET_1_0 "GET / HTTP/1.0\r\n\r\n"
#define GET_1_0_KEPT "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
#define HEAD_1_1 "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST_UNREAD "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"

static void framing_follows_version_method_and_status(void **state) {
    (void)state;
    static const struct {
        const char *request;
        uint16_t status;
        int64_t length;
        bool end; // with the head; else "hello" follows
        const char *written;
        bool closes;
    } rows[] = {
        {GET_1_1, 200, 5, false, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false},
        {GET_1_1, 200, -1, false, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", false},
        {GET_1_1, 200, -1, true, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false},
        {GET_1_1, 200, 0, true, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false},
        {GET_1_1, 299, 0, true, "HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n", false},
        {GET_1_0, 200, 5, false, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", true},
        {GET_1_0, 200, -1, false, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello", true},
        {GET_1_0_KEPT, 200, 5, false, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello", false},
        {GET_1_0_KEPT, 200, -1, false, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello", true},
        {HEAD_1_1, 200, 5, true, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false},
        {HEAD_1_1, 200, -1, true, "HTTP/1.1 200 OK\r\n\r\n", false},
        {HEAD_1_1, 200, 5, false, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false},
        {HEAD_1_1, 200, -1, false, "HTTP/1.1 200 OK\r\n\r\n", false},
        {GET_1_1, 204, 5, true, "HTTP/1.1 204 No Content\r\n\r\n", false},
        {GET_1_1, 204, -1, false, "HTTP/1.1 204 No Content\r\n\r\n", false},
        {GET_1_1, 304, 5, true, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false},
        {GET_1_1, 304, -1, true, "HTTP/1.1 304 Not Modified\r\n\r\n", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct server server;
        server_init(&server, rows[i].request, rows[i].status);
        server.head.content_length = rows[i].length;
        assert_int_equal(send_head(&server, rows[i].end), OK);
        if (!rows[i].end)
            owner_stream_send(server.item, BYTES("hello"), true, NULL);
        assert_written(&server, rows[i].written);
        assert_true(codec_stream_is_done(&server.item->stream));
        assert_null(server.item->stream.codec);
        assert_int_equal(server.codec->close_when_flushed, rows[i].closes);
        server_dispose(&server);
    }
}

static void status_line_has_the_reason_that_came_or_the_usual_one(void **state) {
    (void)state;
    struct server server;
    server_init(&server, GET_1_1, 200);
    server.head.reason = BYTES("Quite Fine");
    assert_int_equal(send_head(&server, true), OK);
    assert_written(&server, "HTTP/1.1 200 Quite Fine\r\nContent-Length: 0\r\n\r\n");
    server_dispose(&server);
}

static void every_1xx_is_written_to_1_1_and_none_to_1_0(void **state) {
    (void)state;
    static const char *const requests[] = {GET_1_1, GET_1_0_KEPT};
    for (size_t i = 0; i < 2; i++) {
        struct server server;
        server_init(&server, requests[i], 100);
        assert_int_equal(send_head(&server, false), OK);
        server.head.status = 103;
        server.head.content_length = 5;
        fields_add(&server.head.fields, BYTES("Link"), BYTES("a"));
        fields_add(&server.head.fields, BYTES("Content-Length"), BYTES("5"));
        assert_int_equal(send_head(&server, false), OK);
        assert_int_equal(server.item->stream.sent, PROGRESS_HEAD);
        assert_written(&server, i == 0 ? "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" : "");
        server_dispose(&server);
    }
}

static void head_that_cannot_be_sent_is_refused_and_another_may_follow(void **state) {
    (void)state;
    struct server server;
    server_init(&server, GET_1_1, 101);
    assert_int_equal(send_head(&server, true), ERROR_INTERNAL);
    server.head.status = 99;
    assert_int_equal(send_head(&server, true), ERROR_INTERNAL);
    server.head.status = 600;
    assert_int_equal(send_head(&server, true), ERROR_INTERNAL);
    server.head.status = 200;
    server.head.content_length = 5; // and no body
    assert_int_equal(send_head(&server, true), ERROR_INTERNAL);
    server.head.content_length = -1;
    server.head.reason = BYTES("a\r\nb");
    assert_int_equal(send_head(&server, true), ERROR_INTERNAL);
    server.head.reason = BYTES_NONE;
    fields_add(&server.head.fields, BYTES("Subject: x\r\nA"), BYTES("1"));
    assert_int_equal(send_head(&server, true), ERROR_INTERNAL);
    fields_init(&server.head.fields, &server.item->pool);
    assert_int_equal(send_head(&server, true), OK);
    assert_written(&server, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    server_dispose(&server);
}

static void trailers_are_sent_in_chunks_only(void **state) {
    (void)state;
    static const char *const requests[] = {GET_1_1, GET_1_0};
    static const char *const written[] = {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\ngrpc-status: 0\r\n\r\n",
                                          "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok"};
    for (size_t i = 0; i < 2; i++) {
        struct server server;
        server_init(&server, requests[i], 200);
        struct fields trailers;
        fields_init(&trailers, &server.item->pool);
        fields_add(&trailers, BYTES("grpc-status"), BYTES("0"));
        fields_add(&trailers, BYTES("Transfer-Encoding"), BYTES("chunked"));
        fields_add(&trailers, BYTES("Connection"), BYTES("close"));
        assert_int_equal(send_head(&server, false), OK);
        owner_stream_send(server.item, BYTES("ok"), true, &trailers);
        assert_written(&server, written[i]);
        server_dispose(&server);
    }
}

static void trailer_that_would_split_a_line_is_not_sent(void **state) {
    (void)state;
    struct server server;
    server_init(&server, GET_1_1, 200);
    struct fields trailers;
    fields_init(&trailers, &server.item->pool);
    fields_add(&trailers, BYTES("A"), BYTES("1\r\n\r\nHTTP/1.1 200 OK"));
    assert_int_equal(send_head(&server, false), OK);
    owner_stream_send(server.item, BYTES("ok"), true, &trailers);
    assert_written(&server, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
    server_dispose(&server);
}

// A body goes on as the output drains, in both framings, and comes out whole.
static void body_waits_for_room_in_the_output(void **state) {
    (void)state;
    enum { SIZE = 300000 };
    char *body = malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        body[i] = (char)('a' + i % 23);
    for (int chunked = 0; chunked < 2; chunked++) {
        struct server server;
        server_init(&server, GET_1_1, 200);
        server.head.content_length = chunked ? -1 : SIZE;
        assert_int_equal(send_head(&server, false), OK);
        owner_stream_send(server.item, bytes_from(body, SIZE), true, NULL);
        assert_true(server.drive.owner.out.length <= LIMIT_OUTPUT_BYTES + 64);
        assert_int_equal(server.item->stream.sent, PROGRESS_BODY);
        struct text written = {0};
        text_add(&written, codec_owner_sent(&server.drive.owner));
        while (server.item->stream.sent == PROGRESS_BODY) {
            owner_stream_resume(server.item);
            assert_true(server.drive.owner.out.length <= LIMIT_OUTPUT_BYTES + 64);
            text_add(&written, codec_owner_sent(&server.drive.owner));
        }
        assert_int_equal(server.item->stream.body_sent, SIZE);

        // What was written, read by the other role.
        struct h1_drive client;
        struct codec_limits limits = codec_owner_limits();
        h1_drive_init(&client, CODEC_CLIENT, &limits);
        h1_request(&client);
        h1_feed(&client, text_bytes(&written));
        assert_true(client.owner.streams->ended);
        assert_int_equal(client.owner.streams->body.len, SIZE);
        assert_memory_equal(client.owner.streams->body.at, body, SIZE);
        h1_drive_dispose(&client);
        text_dispose(&written);
        server_dispose(&server);
    }
    free(body);
}

static void full_output_takes_nothing(void **state) {
    (void)state;
    struct server server;
    server_init(&server, GET_1_1, 200);
    assert_int_equal(send_head(&server, false), OK);
    char filling[1024] = {0};
    while (server.drive.owner.out.length < LIMIT_OUTPUT_BYTES)
        buffer_append(&server.drive.owner.out, bytes_from(filling, sizeof(filling)));
    size_t before = server.drive.owner.out.length;
    owner_stream_send(server.item, BYTES("hello"), true, NULL);
    assert_int_equal(server.drive.owner.out.length, before);
    assert_int_equal(server.item->stream.sent, PROGRESS_BODY);
    (void)codec_owner_sent(&server.drive.owner);
    assert_true(owner_stream_resume(server.item));
    assert_written(&server, "5\r\nhello\r\n0\r\n\r\n");
    server_dispose(&server);
}

static void body_longer_than_stated_is_cut_and_the_connection_lost(void **state) {
    (void)state;
    struct server server;
    server_init(&server, GET_1_1, 200);
    server.head.content_length = 3;
    assert_int_equal(send_head(&server, false), OK);
    owner_stream_send(server.item, BYTES("abcdef"), false, NULL);
    owner_stream_send(server.item, BYTES("g"), true, NULL);
    assert_written(&server, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
    assert_true(server.codec->close_when_flushed);
    server_dispose(&server);
}

static void body_shorter_than_stated_loses_the_connection(void **state) {
    (void)state;
    struct server server;
    server_init(&server, GET_1_1, 200);
    server.head.content_length = 3;
    assert_int_equal(send_head(&server, false), OK);
    owner_stream_send(server.item, BYTES("ab"), true, NULL);
    assert_true(server.codec->close_when_flushed);
    server_dispose(&server);
}

static void response_before_the_end_of_the_request_ends_the_connection(void **state) {
    (void)state;
    struct server server;
    // Complete with its head.
    server_init(&server, POST_UNREAD, 200);
    assert_int_equal(send_head(&server, true), OK);
    assert_written(&server, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_true(server.codec->close_when_flushed);
    assert_true(codec_stream_is_done(&server.item->stream));
    assert_null(server.item->stream.codec);
    // The rest is dropped, and no request.
    assert_int_equal(codec_owner_feed(&server.drive.owner, BYTES("defghi" GET_1_1)), OK);
    assert_int_equal(server.drive.owner.count, 1);
    server_dispose(&server);
    // An error.
    server_init(&server, POST_UNREAD, 413);
    server.head.content_length = 2;
    assert_int_equal(send_head(&server, false), OK);
    owner_stream_send(server.item, BYTES("no"), true, NULL);
    assert_written(&server, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
    assert_true(server.codec->close_when_flushed);
    server_dispose(&server);
    // A head still incomplete (slow sender).
    server_init(&server, "GET / HTTP/1.1\r\nHo", 408);
    assert_int_equal(send_head(&server, true), OK);
    assert_written(&server, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_true(server.codec->close_when_flushed);
    server_dispose(&server);
}

static void response_before_the_head_of_the_request_says_that_it_is_the_last(void **state) {
    (void)state;
    struct server server;
    server_init(&server, "GET / HTTP/1.1\r\nHo", 302);
    assert_int_equal(send_head(&server, false), OK);
    owner_stream_send(server.item, BYTES("x"), true, NULL);
    assert_written(&server, "HTTP/1.1 302 Found\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\nx\r\n0\r\n\r\n");
    assert_true(server.codec->close_when_flushed);
    server_dispose(&server);
}

static void both_directions_may_stream_at_once(void **state) {
    (void)state;
    struct server server;
    server_init(&server, POST_UNREAD, 200);
    assert_int_equal(send_head(&server, false), OK);
    owner_stream_send(server.item, BYTES("1"), false, NULL);
    assert_int_equal(codec_owner_feed(&server.drive.owner, BYTES("defghi")), OK);
    assert_int_equal(server.item->stream.received, PROGRESS_ENDED);
    owner_stream_send(server.item, BYTES("2"), true, NULL);
    assert_written(&server, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n1\r\n2\r\n0\r\n\r\n");
    assert_false(server.codec->close_when_flushed);
    server_dispose(&server);
}

// Too late for another reply: the client sees its response end early.
static void request_broken_while_its_response_is_sent_ends_both(void **state) {
    (void)state;
    struct server server;
    server_init(&server, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 200);
    assert_int_equal(send_head(&server, false), OK);
    owner_stream_send(server.item, BYTES("1"), false, NULL);
    assert_int_equal(codec_owner_feed(&server.drive.owner, BYTES("x\r\n")), OK);
    assert_true(server.item->has_failed);
    assert_int_equal(server.item->failed, ERROR_FRAMING_INVALID);
    assert_null(server.item->stream.codec);
    assert_true(server.codec->close_when_flushed);
    server_dispose(&server);
}

static void reply_to_a_broken_head_request_has_no_body(void **state) {
    (void)state;
    struct server server;
    server_init(&server, "HEAD / HTTP/1.1\r\n\r\n", 400);
    assert_int_equal(server.item->failed, ERROR_BAD_REQUEST);
    server.head.content_length = 2;
    assert_int_equal(send_head(&server, false), OK);
    owner_stream_send(server.item, BYTES("no"), true, NULL);
    assert_written(&server, "HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\nConnection: close\r\n\r\n");
    assert_true(server.codec->close_when_flushed);
    server_dispose(&server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(framing_follows_version_method_and_status),
        cmocka_unit_test(status_line_has_the_reason_that_came_or_the_usual_one),
        cmocka_unit_test(every_1xx_is_written_to_1_1_and_none_to_1_0),
        cmocka_unit_test(head_that_cannot_be_sent_is_refused_and_another_may_follow),
        cmocka_unit_test(trailers_are_sent_in_chunks_only),
        cmocka_unit_test(trailer_that_would_split_a_line_is_not_sent),
        cmocka_unit_test(body_waits_for_room_in_the_output),
        cmocka_unit_test(full_output_takes_nothing),
        cmocka_unit_test(body_longer_than_stated_is_cut_and_the_connection_lost),
        cmocka_unit_test(body_shorter_than_stated_loses_the_connection),
        cmocka_unit_test(response_before_the_end_of_the_request_ends_the_connection),
        cmocka_unit_test(response_before_the_head_of_the_request_says_that_it_is_the_last),
        cmocka_unit_test(both_directions_may_stream_at_once),
        cmocka_unit_test(request_broken_while_its_response_is_sent_ends_both),
        cmocka_unit_test(reply_to_a_broken_head_request_has_no_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
