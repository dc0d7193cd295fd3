// h2_codec as a client, frame by frame: how requests are written, what responses become, and how streams and connections end.
#include "h2_drive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void restart(struct h2_drive *drive) {
    h2_drive_dispose(drive);
    h2_drive_start(drive, CODEC_CLIENT);
}

static struct owner_stream *request(struct h2_drive *drive) {
    return h2_request(&drive->owner, "GET", "/", true);
}

// The response to a GET, one HEADERS frame.
static struct owner_stream *response(struct h2_drive *drive, uint8_t flags, const char *lines) {
    restart(drive);
    struct owner_stream *item = request(drive);
    h2_drive_sent(drive);
    h2_headers(&drive->wire, 1, flags, lines);
    assert_int_equal(h2_drive_feed(drive), OK);
    return item;
}

static void assert_malformed(struct h2_drive *drive, const char *lines) {
    struct owner_stream *item = response(drive, 0, lines);
    assert_string_equal(h2_drive_sent(drive), "RST_STREAM 1 PROTOCOL_ERROR\n");
    assert_string_equal(h2_drive_received(drive), "stream 1\nfailed response_malformed\n");
    assert_null(item->stream.codec);
    assert_int_equal(h2_drive_codec(drive)->streams_open, 0);
}

static void connection_begins_with_the_preface_and_refuses_push(void **state) {
    struct h2_drive *drive = *state;
    struct codec_limits limits = codec_owner_limits();
    h2_drive_dispose(drive);
    h2_drive_init(drive, CODEC_CLIENT, &limits);
    assert_string_equal(h2_drive_sent(drive), "PREFACE\nSETTINGS 4=65536 6=61440 2=0\nWINDOW_UPDATE 0 2147418112\n");
}

static void request_is_written_with_its_pseudo_fields_first(void **state) {
    struct h2_drive *drive = *state;
    request(drive);
    assert_string_equal(h2_drive_sent(drive), "HEADERS 1 end\n  :method: GET\n  :scheme: http\n  :authority: example.org\n  :path: /\n");
    assert_int_equal(h2_drive_codec(drive)->streams_open, 1);
}

// libraries.md: "the client end sends connection: and trailing spaces as given": stripped and trimmed.
static void request_is_sent_without_what_is_not_for_http2(void **state) {
    struct h2_drive *drive = *state;
    struct owner_stream *item = codec_owner_new_stream(&drive->owner);
    struct head head;
    h2_request_head(&head, item, "POST", "/a", "");
    h2_head_fields(&head, &item->pool,
                   "Host: other.example\nContent-Length: 7\nConnection: x-named, te\nKeep-Alive: timeout=5\nProxy-Connection: "
                   "close\nTransfer-Encoding: chunked\n"
                   "Upgrade: h2c\nTE: gzip\nX-Custom: \t blank at both ends \t\nExpect: 100-continue\n");
    head.content_length = 5;
    head.te_trailers = true;
    head.expect_continue = true;
    assert_int_equal(h2_drive_codec(drive)->ops->send_head(h2_drive_codec(drive), &item->stream, &head, false), OK);
    owner_stream_send(item, BYTES("hello"), true, NULL);
    assert_string_equal(h2_drive_sent(drive),
                        "HEADERS 1\n  :method: POST\n  :scheme: http\n  :authority: example.org\n  :path: /a\n  content-length: 5\n"
                        "  x-custom: blank at both ends\n  te: trailers\n  expect: 100-continue\nDATA 1 5 end\n");
    assert_int_equal(item->stream.sent, PROGRESS_ENDED);
    assert_non_null(item->stream.codec); // its response is to come
}

// RFC 9113 section 8.2: whatever case they came in.
static void names_are_sent_in_lower_case(void **state) {
    struct h2_drive *drive = *state;
    struct owner_stream *item = codec_owner_new_stream(&drive->owner);
    struct head head;
    h2_request_head(&head, item, "POST", "/", "X-ABC-Z09-a: Value\n");
    assert_int_equal(h2_drive_codec(drive)->ops->send_head(h2_drive_codec(drive), &item->stream, &head, false), OK);
    struct fields trailers;
    fields_init(&trailers, &item->pool);
    fields_add(&trailers, BYTES("X-SUM"), BYTES("A"));
    owner_stream_send(item, BYTES_NONE, true, &trailers);
    assert_string_equal(h2_drive_sent(drive), "HEADERS 1\n  :method: POST\n  :scheme: http\n  :authority: example.org\n  :path: /\n"
                                              "  x-abc-z09-a: Value\nHEADERS 1 end\n  x-sum: A\n");
}

// libraries.md: "the client end sends :protocol without asking the peer".
static void extended_connect_waits_for_the_peers_setting(void **state) {
    struct h2_drive *drive = *state;
    struct owner_stream *item = codec_owner_new_stream(&drive->owner);
    struct head head;
    h2_request_head(&head, item, "GET", "/chat", "");
    head.protocol = BYTES("websocket");
    struct codec *codec = h2_drive_codec(drive);
    assert_int_equal(codec->ops->send_head(codec, &item->stream, &head, false), ERROR_UPGRADE_FAILED);
    assert_null(item->stream.codec);
    assert_string_equal(h2_drive_sent(drive), "");
    assert_false(codec->peer_has_connect_protocol);
    h2_settings(&drive->wire, 1, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1);
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_true(codec->peer_has_connect_protocol);
    assert_int_equal(codec->ops->send_head(codec, &item->stream, &head, false), OK);
    assert_string_equal(h2_drive_sent(drive), "SETTINGS ack\nHEADERS 1\n  :method: CONNECT\n  :scheme: http\n  :authority: example.org\n"
                                              "  :path: /chat\n  :protocol: websocket\n");
}

static void too_large_a_head_is_not_sent(void **state) {
    struct h2_drive *drive = *state;
    struct owner_stream *item = codec_owner_new_stream(&drive->owner);
    struct head head;
    h2_request_head(&head, item, "GET", "/", "");
    struct text value = {0};
    text_format(&value, "%0130000d", 0);
    fields_add(&head.fields, BYTES("x-long"), text_bytes(&value));
    struct codec *codec = h2_drive_codec(drive);
    assert_int_equal(codec->ops->send_head(codec, &item->stream, &head, true), ERROR_HEADERS_TOO_LARGE);
    assert_string_equal(h2_drive_sent(drive), "");
    assert_int_equal(codec->streams_open, 0);
    // What may just be sent goes out in CONTINUATION frames.
    head.fields.items[head.fields.count - 1].value.len = 100000;
    assert_int_equal(codec->ops->send_head(codec, &item->stream, &head, true), OK);
    assert_non_null(strstr(h2_drive_sent(drive), "x-long: 0000"));
    text_dispose(&value);
}

static void response_becomes_head_body_and_trailers(void **state) {
    struct h2_drive *drive = *state;
    struct owner_stream *item = request(drive);
    h2_drive_sent(drive);
    h2_headers(&drive->wire, 1, 0, ":status: 103\nlink: </a>\n");
    h2_headers(&drive->wire, 1, 0, ":status: 100\n");
    h2_headers(&drive->wire, 1, 0, ":status: 200\ncontent-length: 5\nserver: s\n");
    h2_data(&drive->wire, 1, 0, BYTES("hello"));
    h2_headers(&drive->wire, 1, H2_END_STREAM, "grpc-status: 0\n");
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_string_equal(h2_drive_received(drive), "stream 1\nhead 103  20 length=-1\nlink: </a>\nhead 100  20 length=-1\n"
                                                  "head 200  20 length=5\nserver: s\nbody 5 hello\nend\ngrpc-status: 0\n");
    assert_true(codec_stream_is_done(&item->stream));
    assert_null(item->stream.codec);
    assert_int_equal(h2_drive_codec(drive)->streams_open, 0);
    assert_string_equal(h2_drive_sent(drive), "");
}

static void response_may_end_with_its_head(void **state) {
    struct h2_drive *drive = *state;
    struct owner_stream *item = response(drive, H2_END_STREAM, ":status: 200\n");
    assert_string_equal(h2_drive_received(drive), "stream 1\nhead 200  20 length=-1 end\nend\n");
    assert_true(codec_stream_is_done(&item->stream));
    response(drive, H2_END_STREAM, ":status: 204\ncontent-length: 0\n");
    assert_string_equal(h2_drive_received(drive), "stream 1\nhead 204  20 length=-1 end\nend\n");
    response(drive, H2_END_STREAM, ":status: 304\ncontent-length: 99\n");
    assert_string_equal(h2_drive_received(drive), "stream 1\nhead 304  20 length=99 end\nend\n");
    restart(drive);
    h2_request(&drive->owner, "HEAD", "/", true);
    h2_headers(&drive->wire, 1, H2_END_STREAM, ":status: 200\ncontent-length: 99\n");
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_string_equal(h2_drive_received(drive), "stream 1\nhead 200  20 length=99 end\nend\n");
}

static void malformed_responses_reset_the_stream(void **state) {
    struct h2_drive *drive = *state;
    assert_malformed(drive, "server: s\n");
    assert_malformed(drive, ":status: 099\n");
    assert_malformed(drive, ":status: 600\n");
    assert_malformed(drive, ":status: 999\n");
    assert_malformed(drive, ":status: 2000\n");
    assert_malformed(drive, ":status: 2x0\n");
    assert_malformed(drive, ":status: 101\n");
    assert_malformed(drive, ":status: 200\n:status: 200\n");
    assert_malformed(drive, ":status: 200\n:path: /\n");
    assert_malformed(drive, ":status: 200\nconnection: close\n");
    assert_malformed(drive, ":status: 200\ntransfer-encoding: chunked\n");
    assert_malformed(drive, ":status: 200\nx: blank \n");
    assert_malformed(drive, ":status: 200\nX-Upper: y\n");
    assert_malformed(drive, ":status: 200\ncontent-length: 1\ncontent-length: 1\n");
    assert_malformed(drive, ":status: 204\ncontent-length: 1\n");
    assert_malformed(drive, ":status: 100\ncontent-length: 1\n");
}

static void response_over_a_limit_is_malformed(void **state) {
    struct h2_drive *drive = *state;
    struct text lines = {0};
    text_format(&lines, ":status: 200\nx-long: %061400d\n", 0);
    assert_malformed(drive, lines.at);
    text_clear(&lines);
    text_format(&lines, ":status: 200\n");
    for (unsigned i = 0; i < 101; i++)
        text_format(&lines, "x-%u: y\n", i);
    assert_malformed(drive, lines.at);
    text_dispose(&lines);
}

static void informational_heads_without_end_are_malformed(void **state) {
    struct h2_drive *drive = *state;
    struct owner_stream *item = request(drive);
    h2_drive_sent(drive);
    for (unsigned i = 0; i <= H2_INFORMATIONAL_MAX; i++)
        h2_headers(&drive->wire, 1, 0, ":status: 103\n");
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_int_equal(item->heads, H2_INFORMATIONAL_MAX);
    assert_int_equal(item->failed, ERROR_RESPONSE_MALFORMED);
    assert_string_equal(h2_drive_sent(drive), "RST_STREAM 1 PROTOCOL_ERROR\n");
}

static void body_that_does_not_fit_its_head_is_malformed(void **state) {
    struct h2_drive *drive = *state;
    static const struct {
        const char *method;
        const char *lines;
        const char *body;
    } cases[] = {
        {"GET", ":status: 200\ncontent-length: 5\n", "1234"},
        {"GET", ":status: 200\ncontent-length: 5\n", "123456"},
        {"HEAD", ":status: 200\n", "1"},
        {"GET", ":status: 204\n", "1"},
        {"GET", ":status: 304\n", "1"},
        {"GET", ":status: 103\n", "1"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        restart(drive);
        struct owner_stream *item = h2_request(&drive->owner, cases[i].method, "/", true);
        h2_drive_sent(drive);
        h2_headers(&drive->wire, 1, 0, cases[i].lines);
        h2_data(&drive->wire, 1, H2_END_STREAM, bytes_from_text(cases[i].body));
        assert_int_equal(h2_drive_feed(drive), OK);
        assert_int_equal(item->failed, ERROR_RESPONSE_MALFORMED);
        assert_string_equal(h2_drive_sent(drive), "RST_STREAM 1 PROTOCOL_ERROR\n");
    }
}

// threats.md row 8: trailers without END_STREAM.
static void trailers_without_an_end_are_malformed(void **state) {
    struct h2_drive *drive = *state;
    struct owner_stream *item = response(drive, 0, ":status: 200\n");
    h2_headers(&drive->wire, 1, 0, "x: y\n");
    h2_data(&drive->wire, 1, H2_END_STREAM, BYTES("more"));
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_int_equal(item->failed, ERROR_RESPONSE_MALFORMED);
    assert_string_equal(h2_drive_sent(drive), "RST_STREAM 1 PROTOCOL_ERROR\n");
}

static void pseudo_fields_in_trailers_are_malformed(void **state) {
    struct h2_drive *drive = *state;
    static const char *const trailers[] = {":status: 200\n", ":path: /\n", "grpc-status: 0\n:unknown: x\n"};
    for (size_t i = 0; i < sizeof(trailers) / sizeof(trailers[0]); i++) {
        struct owner_stream *item = response(drive, 0, ":status: 200\n");
        h2_headers(&drive->wire, 1, H2_END_STREAM, trailers[i]);
        assert_int_equal(h2_drive_feed(drive), OK);
        assert_int_equal(item->failed, ERROR_RESPONSE_MALFORMED);
        assert_string_equal(h2_drive_sent(drive), "RST_STREAM 1 PROTOCOL_ERROR\n");
    }
}

static enum error reset_after(struct h2_drive *drive, const char *lines, uint32_t code) {
    restart(drive);
    struct owner_stream *item = request(drive);
    h2_drive_sent(drive);
    if (lines != NULL)
        h2_headers(&drive->wire, 1, 0, lines);
    h2_rst_stream(&drive->wire, 1, code);
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_true(item->has_failed);
    assert_null(item->stream.codec);
    assert_string_equal(h2_drive_sent(drive), "");
    return item->failed;
}

static void reset_by_the_server_tells_what_may_be_repeated(void **state) {
    struct h2_drive *drive = *state;
    assert_int_equal(reset_after(drive, NULL, NGHTTP2_REFUSED_STREAM), ERROR_REFUSED_STREAM);
    assert_int_equal(reset_after(drive, ":status: 103\n", NGHTTP2_REFUSED_STREAM), ERROR_UPSTREAM_RESET);
    assert_int_equal(reset_after(drive, ":status: 200\n", NGHTTP2_REFUSED_STREAM), ERROR_UPSTREAM_RESET);
    assert_int_equal(reset_after(drive, NULL, NGHTTP2_NO_ERROR), ERROR_UPSTREAM_RESET);
    assert_int_equal(reset_after(drive, ":status: 200\n", NGHTTP2_NO_ERROR), ERROR_UPSTREAM_RESET);
    assert_int_equal(reset_after(drive, NULL, NGHTTP2_CANCEL), ERROR_UPSTREAM_RESET);
    assert_int_equal(reset_after(drive, NULL, NGHTTP2_PROTOCOL_ERROR), ERROR_UPSTREAM_RESET);
    assert_int_equal(reset_after(drive, NULL, NGHTTP2_ENHANCE_YOUR_CALM), ERROR_UPSTREAM_RESET);
}

static void no_error_behind_a_complete_response_is_no_failure(void **state) {
    struct h2_drive *drive = *state;
    struct owner_stream *item = h2_request(&drive->owner, "POST", "/", false);
    owner_stream_send(item, BYTES("half of"), false, NULL);
    h2_drive_sent(drive);
    h2_headers(&drive->wire, 1, H2_END_STREAM, ":status: 403\n");
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_false(codec_stream_is_done(&item->stream));
    assert_non_null(item->stream.codec);
    h2_rst_stream(&drive->wire, 1, NGHTTP2_NO_ERROR);
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_false(item->has_failed);
    assert_true(codec_stream_is_done(&item->stream));
    assert_int_equal(item->stream.received, PROGRESS_ENDED);
    assert_null(item->stream.codec);
    assert_int_equal(item->writables, 1);
    assert_int_equal(h2_drive_codec(drive)->streams_open, 0);
}

static void request_may_end_after_its_response(void **state) {
    struct h2_drive *drive = *state;
    struct owner_stream *item = h2_request(&drive->owner, "POST", "/", false);
    h2_headers(&drive->wire, 1, H2_END_STREAM, ":status: 200\n");
    assert_int_equal(h2_drive_feed(drive), OK);
    owner_stream_send(item, BYTES("the rest"), true, NULL);
    assert_true(codec_stream_is_done(&item->stream));
    h2_drive_sent(drive);
    assert_int_equal(item->writables, 0); // nothing is told of a stream within its own send_body
    assert_int_equal(h2_drive_codec(drive)->streams_open, 0);
}

static void streams_above_the_last_id_of_goaway_are_refused(void **state) {
    struct h2_drive *drive = *state;
    struct codec *codec = h2_drive_codec(drive);
    struct owner_stream *items[4];
    for (unsigned i = 0; i < 4; i++)
        items[i] = request(drive);
    h2_drive_sent(drive);
    h2_headers(&drive->wire, 7, 0, ":status: 200\n"); // an answer, and then it says that it took none
    h2_goaway(&drive->wire, 3, NGHTTP2_NO_ERROR);
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_false(items[0]->has_failed);
    assert_false(items[1]->has_failed);
    assert_int_equal(items[2]->failed, ERROR_REFUSED_STREAM);
    assert_int_equal(items[3]->failed, ERROR_UPSTREAM_RESET);
    assert_true(codec->refuses_new);
    assert_false(codec->close_when_flushed);
    assert_int_equal(codec->streams_open, 2);
    struct owner_stream *late = codec_owner_new_stream(&drive->owner);
    struct head head;
    h2_request_head(&head, late, "GET", "/", "");
    assert_int_equal(codec->ops->send_head(codec, &late->stream, &head, true), ERROR_FULL);
    assert_null(late->stream.codec);
    h2_headers(&drive->wire, 1, H2_END_STREAM, ":status: 200\n");
    h2_headers(&drive->wire, 3, H2_END_STREAM, ":status: 200\n");
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_true(codec_stream_is_done(&items[1]->stream));
    assert_string_equal(h2_drive_sent(drive), "");
    assert_true(codec->close_when_flushed);
}

static void first_goaway_of_a_graceful_end_lets_all_streams_finish(void **state) {
    struct h2_drive *drive = *state;
    struct owner_stream *item = request(drive);
    h2_drive_sent(drive);
    h2_goaway(&drive->wire, INT32_MAX, NGHTTP2_NO_ERROR);
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_true(h2_drive_codec(drive)->refuses_new);
    assert_false(item->has_failed);
    h2_goaway(&drive->wire, 1, NGHTTP2_NO_ERROR);
    h2_headers(&drive->wire, 1, H2_END_STREAM, ":status: 200\n");
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_true(codec_stream_is_done(&item->stream));
    assert_true(h2_drive_codec(drive)->close_when_flushed);
}

static void streams_are_bounded_by_the_peers_settings_and_our_limit(void **state) {
    struct h2_drive *drive = *state;
    struct codec *codec = h2_drive_codec(drive);
    assert_int_equal(codec->streams_max, 100); // SETTINGS came without a limit: ours holds
    h2_settings(&drive->wire, 1, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 2);
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_int_equal(codec->streams_max, 2);
    struct owner_stream *first = request(drive);
    request(drive);
    struct owner_stream *third = codec_owner_new_stream(&drive->owner);
    struct head head;
    h2_request_head(&head, third, "GET", "/", "");
    assert_int_equal(codec->ops->send_head(codec, &third->stream, &head, true), ERROR_FULL);
    assert_null(third->stream.codec);
    assert_int_equal(third->stream.id, 0);
    // One that was taken back makes room, before its reset has left.
    h2_reset(first, ERROR_CANCELLED);
    assert_int_equal(codec->ops->send_head(codec, &third->stream, &head, true), OK);
    const char *sent = h2_drive_sent(drive);
    assert_true(strstr(sent, "RST_STREAM 1 CANCEL\n") < strstr(sent, "HEADERS 5 end\n"));
    h2_settings(&drive->wire, 1, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1000000);
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_int_equal(codec->streams_max, 100);
    h2_settings(&drive->wire, 1, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0);
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_int_equal(codec->streams_max, 0);
}

static void before_the_peers_settings_a_hundred_streams_are_thought_to_be_allowed(void **state) {
    struct h2_drive *drive = *state;
    struct codec_limits limits = codec_owner_limits();
    limits.streams = 1000;
    h2_drive_dispose(drive);
    h2_drive_init(drive, CODEC_CLIENT, &limits);
    struct codec *codec = h2_drive_codec(drive);
    assert_int_equal(codec->streams_max, 100);
    assert_false(codec->peer_is_known);
    h2_drive_hello(drive); // without a limit: ours holds
    assert_int_equal(codec->streams_max, 1000);
    assert_true(codec->peer_is_known);
}

static void push_promise_ends_the_connection(void **state) {
    struct h2_drive *drive = *state;
    for (unsigned acknowledged = 0; acknowledged < 2; acknowledged++) {
        struct codec_limits limits = codec_owner_limits();
        h2_drive_dispose(drive);
        h2_drive_init(drive, CODEC_CLIENT, &limits);
        request(drive);
        h2_drive_sent(drive);
        h2_settings(&drive->wire, 0);
        if (acknowledged)
            h2_settings_ack(&drive->wire);
        struct text payload = {0};
        text_add(&payload, BYTES("\0\0\0\002"));
        h2_block(&payload, ":method: GET\n:scheme: http\n:authority: example.org\n:path: /pushed\n");
        h2_frame(&drive->wire, NGHTTP2_PUSH_PROMISE, H2_END_HEADERS, 1, text_bytes(&payload));
        text_dispose(&payload);
        assert_int_equal(h2_drive_feed(drive), ERROR_PROTOCOL);
        assert_non_null(strstr(h2_drive_sent(drive), "GOAWAY 0 PROTOCOL_ERROR\n"));
        assert_true(h2_drive_codec(drive)->close_when_flushed);
        assert_true(h2_drive_codec(drive)->refuses_new);
    }
}

static void resets_have_the_code_of_their_error(void **state) {
    struct h2_drive *drive = *state;
    static const struct {
        enum error error;
        const char *code;
    } cases[] = {
        {ERROR_CANCELLED, "CANCEL"},
        {ERROR_TRY_TIMEOUT, "CANCEL"},
        {ERROR_CLIENT_GONE, "CANCEL"},
        {ERROR_RESPONSE_MALFORMED, "PROTOCOL_ERROR"},
    };
    for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char expected[64];
        struct owner_stream *item = request(drive);
        h2_drive_sent(drive);
        h2_reset(item, cases[i].error);
        snprintf(expected, sizeof(expected), "RST_STREAM %u %s\n", 2 * i + 1, cases[i].code);
        assert_string_equal(h2_drive_sent(drive), expected);
    }
}

static void ping_is_answered_and_counted(void **state) {
    struct h2_drive *drive = *state;
    struct codec *codec = h2_drive_codec(drive);
    codec->ops->signal(codec, CODEC_PING);
    codec->ops->signal(codec, CODEC_PING);
    assert_int_equal(codec->pings_outstanding, 2);
    assert_string_equal(h2_drive_sent(drive), "PING\nPING\n");
    h2_ping(&drive->wire, H2_ACK);
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_int_equal(codec->pings_outstanding, 0);
    h2_ping(&drive->wire, 0);
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_string_equal(h2_drive_sent(drive), "PING ack\n");
}

static void end_of_the_connection_fails_what_is_not_complete(void **state) {
    struct h2_drive *drive = *state;
    struct owner_stream *waiting = request(drive);
    struct owner_stream *half = request(drive);
    h2_headers(&drive->wire, 3, 0, ":status: 200\n");
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_int_equal(codec_owner_feed_end(&drive->owner), OK);
    assert_int_equal(waiting->failed, ERROR_UPSTREAM_RESET);
    assert_int_equal(half->failed, ERROR_UPSTREAM_RESET);
    assert_true(h2_drive_codec(drive)->refuses_new);
    assert_true(h2_drive_codec(drive)->close_when_flushed);
    assert_int_equal(h2_drive_codec(drive)->streams_open, 0);
}

static void drain_begins_no_more_streams_and_says_goodbye(void **state) {
    struct h2_drive *drive = *state;
    struct codec *codec = h2_drive_codec(drive);
    struct owner_stream *item = request(drive);
    h2_drive_sent(drive);
    codec->ops->signal(codec, CODEC_DRAIN);
    assert_true(codec->refuses_new);
    assert_string_equal(h2_drive_sent(drive), "");
    codec->ops->signal(codec, CODEC_DRAIN_FINAL);
    assert_string_equal(h2_drive_sent(drive), "GOAWAY 0 NO_ERROR\n");
    assert_false(codec->close_when_flushed);
    h2_headers(&drive->wire, 1, H2_END_STREAM, ":status: 200\n");
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_true(codec_stream_is_done(&item->stream));
    assert_true(codec->close_when_flushed);
}

static void dispose_forgets_streams_without_a_word(void **state) {
    struct h2_drive *drive = *state;
    struct owner_stream *item = h2_request(&drive->owner, "POST", "/", false);
    owner_stream_send(item, BYTES("waits"), false, NULL);
    struct codec *codec = h2_drive_codec(drive);
    codec->ops->dispose(codec);
    assert_null(item->stream.codec);
    assert_false(item->has_failed);
    // For the tear-down.
    struct codec_limits limits = codec_owner_limits();
    drive->owner.codec = h2_codec_create(CODEC_CLIENT, &limits, &codec_owner_handler, &drive->owner, &drive->owner.out, drive->memory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(connection_begins_with_the_preface_and_refuses_push, h2_set_up_client, h2_tear_down),
        cmocka_unit_test_setup_teardown(request_is_written_with_its_pseudo_fields_first, h2_set_up_client, h2_tear_down),
        cmocka_unit_test_setup_teardown(request_is_sent_without_what_is_not_for_http2, h2_set_up_client, h2_tear_down),
        cmocka_unit_test_setup_teardown(names_are_sent_in_lower_case, h2_set_up_client, h2_tear_down),
        cmocka_unit_test_setup_teardown(extended_connect_waits_for_the_peers_setting, h2_set_up_client, h2_tear_down),
        cmocka_unit_test_setup_teardown(too_large_a_head_is_not_sent, h2_set_up_client, h2_tear_down),
        cmocka_unit_test_setup_teardown(response_becomes_head_body_and_trailers, h2_set_up_client, h2_tear_down),
        cmocka_unit_test_setup_teardown(response_may_end_with_its_head, h2_set_up_client, h2_tear_down),
        cmocka_unit_test_setup_teardown(malformed_responses_reset_the_stream, h2_set_up_client, h2_tear_down),
        cmocka_unit_test_setup_teardown(response_over_a_limit_is_malformed, h2_set_up_client, h2_tear_down),
        cmocka_unit_test_setup_teardown(informational_heads_without_end_are_malformed, h2_set_up_client, h2_tear_down),
        cmocka_unit_test_setup_teardown(body_that_does_not_fit_its_head_is_malformed, h2_set_up_client, h2_tear_down),
        cmocka_unit_test_setup_teardown(trailers_without_an_end_are_malformed, h2_set_up_client, h2_tear_down),
        cmocka_unit_test_setup_teardown(pseudo_fields_in_trailers_are_malformed, h2_set_up_client, h2_tear_down),
        cmocka_unit_test_setup_teardown(reset_by_the_server_tells_what_may_be_repeated, h2_set_up_client, h2_tear_down),
        cmocka_unit_test_setup_teardown(no_error_behind_a_complete_response_is_no_failure, h2_set_up_client, h2_tear_down),
        cmocka_unit_test_setup_teardown(request_may_end_after_its_response, h2_set_up_client, h2_tear_down),
        cmocka_unit_test_setup_teardown(streams_above_the_last_id_of_goaway_are_refused, h2_set_up_client, h2_tear_down),
        cmocka_unit_test_setup_teardown(first_goaway_of_a_graceful_end_lets_all_streams_finish, h2_set_up_client, h2_tear_down),
        cmocka_unit_test_setup_teardown(streams_are_bounded_by_the_peers_settings_and_our_limit, h2_set_up_client, h2_tear_down),
        cmocka_unit_test_setup_teardown(before_the_peers_settings_a_hundred_streams_are_thought_to_be_allowed, h2_set_up_client, h2_tear_down),
        cmocka_unit_test_setup_teardown(push_promise_ends_the_connection, h2_set_up_client, h2_tear_down),
        cmocka_unit_test_setup_teardown(resets_have_the_code_of_their_error, h2_set_up_client, h2_tear_down),
        cmocka_unit_test_setup_teardown(ping_is_answered_and_counted, h2_set_up_client, h2_tear_down),
        cmocka_unit_test_setup_teardown(end_of_the_connection_fails_what_is_not_complete, h2_set_up_client, h2_tear_down),
        cmocka_unit_test_setup_teardown(drain_begins_no_more_streams_and_says_goodbye, h2_set_up_client, h2_tear_down),
        cmocka_unit_test_setup_teardown(dispose_forgets_streams_without_a_word, h2_set_up_client, h2_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
