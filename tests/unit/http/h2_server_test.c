// h2_codec as a server, frame by frame: what requests become, which are refused and how, and what is sent in answer.
#include "h2_drive.h"

#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define GET_LINES ":method: GET\n:scheme: http\n:authority: example.org\n:path: /\n"
#define POST_LINES ":method: POST\n:scheme: http\n:authority: example.org\n:path: /\n"

static void restart_with(struct h2_drive *drive, const struct codec_limits *limits) {
    h2_drive_dispose(drive);
    h2_drive_init(drive, CODEC_SERVER, limits);
    h2_drive_hello(drive);
}

static void restart(struct h2_drive *drive) {
    struct codec_limits limits = codec_owner_limits();
    restart_with(drive, &limits);
}

// Feeds a request of one HEADERS frame on a connection of its own.
static void request(struct h2_drive *drive, uint8_t flags, const char *lines) {
    restart(drive);
    h2_headers(&drive->wire, 1, flags, lines);
    assert_int_equal(h2_drive_feed(drive), OK);
}

static void assert_reset(struct h2_drive *drive, const char *lines) {
    request(drive, H2_END_STREAM, lines);
    assert_string_equal(h2_drive_sent(drive), "RST_STREAM 1 PROTOCOL_ERROR\n");
    assert_string_equal(h2_drive_received(drive), "stream 1\nfailed bad_request\n");
    assert_null(codec_owner_stream(&drive->owner, 0)->stream.codec);
}

// The stream can still be answered, and is then done.
static void assert_refused(struct h2_drive *drive, const char *lines, const char *error) {
    char expected[64];
    request(drive, H2_END_STREAM, lines);
    assert_string_equal(h2_drive_sent(drive), "");
    snprintf(expected, sizeof(expected), "stream 1\nfailed %s\n", error);
    assert_string_equal(h2_drive_received(drive), expected);
    struct owner_stream *item = codec_owner_stream(&drive->owner, 0);
    assert_non_null(item->stream.codec);
    assert_int_equal(h2_respond(item, 431, "", true), OK);
    assert_string_equal(h2_drive_sent(drive), "HEADERS 1 end\n  :status: 431\n");
    assert_true(codec_stream_is_done(&item->stream));
}

static void settings_say_the_limits(void **state) {
    struct h2_drive *drive = *state;
    struct codec_limits limits = codec_owner_limits();
    h2_drive_dispose(drive);
    h2_drive_init(drive, CODEC_SERVER, &limits);
    assert_string_equal(h2_drive_sent(drive), "SETTINGS 4=65536 6=61440 3=100 8=1\nWINDOW_UPDATE 0 2147418112\n");
}

// Piece by piece, and each taken at once.
static void requests_that_fit_into_half_of_the_first_window_cost_no_window_update(void **state) {
    static const char *const heads[] = {"", "content-length: 8192\n", "content-length: 8193\n"};
    static const size_t lengths[] = {8000, 8192, 1};
    static const char *const sent[] = {"", "", "WINDOW_UPDATE 1 49152\n"};
    struct h2_drive *drive = *state;
    struct codec_limits limits = codec_owner_limits();
    limits.stream_window_first = 16384;
    for (unsigned i = 0; i < 3; i++) {
        h2_drive_dispose(drive);
        h2_drive_init(drive, CODEC_SERVER, &limits);
        h2_drive_hello(drive);
        char lines[128];
        snprintf(lines, sizeof(lines), "%s%s", POST_LINES, heads[i]);
        h2_headers(&drive->wire, 1, H2_END_HEADERS, lines);
        for (size_t left = lengths[i]; left > 0; left -= left < 1000 ? left : 1000) {
            char piece[1000] = {0};
            h2_data(&drive->wire, 1, 0, bytes_from(piece, left < sizeof(piece) ? left : sizeof(piece)));
            assert_int_equal(h2_drive_feed(drive), OK);
        }
        assert_string_equal(h2_drive_sent(drive), sent[i]);
    }
}

// A sender may want a window even for the empty frame that ends the body.
static void a_window_that_was_used_up_is_opened_for_the_end(void **state) {
    static const struct {
        const char *length;
        size_t frames, data, padding;
    } bodies[] = {{"content-length: 16384\n", 16, 1024, 0}, {"content-length: 10000\n", 25, 400, 255}, {"content-length: 8192\n", 32, 256, 255}};
    struct h2_drive *drive = *state;
    struct codec_limits limits = codec_owner_limits();
    limits.stream_window_first = 16384;
    for (unsigned i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        h2_drive_dispose(drive);
        h2_drive_init(drive, CODEC_SERVER, &limits);
        h2_drive_hello(drive);
        char lines[128];
        snprintf(lines, sizeof(lines), "%s%s", POST_LINES, bodies[i].length);
        h2_headers(&drive->wire, 1, H2_END_HEADERS, lines);
        for (size_t frame = 0; frame < bodies[i].frames; frame++) {
            char piece[1024] = {(char)bodies[i].padding};
            if (bodies[i].padding == 0)
                h2_data(&drive->wire, 1, 0, bytes_from(piece, bodies[i].data));
            else
                h2_data(&drive->wire, 1, H2_PADDED, bytes_from(piece, 1 + bodies[i].data + bodies[i].padding));
            assert_int_equal(h2_drive_feed(drive), OK);
        }
        assert_non_null(strstr(h2_drive_sent(drive), "WINDOW_UPDATE 1 "));
    }
}

static void request_becomes_a_head(void **state) {
    struct h2_drive *drive = *state;
    request(drive, H2_END_STREAM,
            ":method: GET\n:scheme: https\n:authority: Example.org:8080\n:path: /a?b=c\naccept: */*\nx-empty: \nx-tenant-id: acme\n");
    assert_string_equal(h2_drive_received(drive),
                        "stream 1\nhead GET https Example.org:8080 /a?b=c 20 length=-1 end\naccept: */*\nx-empty: \nx-tenant-id: acme\nend\n");
    assert_string_equal(h2_drive_sent(drive), "");
}

static void unknown_method_is_kept(void **state) {
    struct h2_drive *drive = *state;
    request(drive, H2_END_STREAM, ":method: BREW\n:scheme: http\n:authority: example.org\n:path: /\n");
    assert_string_equal(h2_drive_received(drive), "stream 1\nhead BREW http example.org / 20 length=-1 end\nend\n");
}

static void body_and_trailers_are_delivered(void **state) {
    struct h2_drive *drive = *state;
    h2_headers(&drive->wire, 1, 0, POST_LINES "content-length: 10\nte: trailers\n");
    h2_data(&drive->wire, 1, 0, BYTES("hello "));
    h2_data(&drive->wire, 1, 0, BYTES("you!"));
    h2_headers(&drive->wire, 1, H2_END_STREAM, "x-sum: 7\ncontent-length: 10\nhost: other\nx-more: y\n");
    // content-length in trailers is refused by the first to see two; here only the trailers that may stand are looked at.
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_string_equal(h2_drive_received(drive),
                        "stream 1\nhead POST http example.org / 20 length=10 te-trailers\nbody 10 hello you!\nfailed bad_request\n");
    restart(drive);
    h2_headers(&drive->wire, 1, 0, POST_LINES);
    h2_data(&drive->wire, 1, 0, BYTES("hello"));
    h2_headers(&drive->wire, 1, H2_END_STREAM, "x-sum: 7\nhost: other\nauthorization: no\nx-more: y\n");
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_string_equal(h2_drive_received(drive), "stream 1\nhead POST http example.org / 20 length=-1\nbody 5 hello\nend\nx-sum: 7\nx-more: y\n");
}

static void expectation_is_a_flag(void **state) {
    struct h2_drive *drive = *state;
    request(drive, 0, POST_LINES "expect: 100-Continue\n");
    assert_string_equal(h2_drive_received(drive), "stream 1\nhead POST http example.org / 20 length=-1 expect\n");
    request(drive, H2_END_STREAM, POST_LINES "expect: 100-continue\n");
    assert_string_equal(h2_drive_received(drive), "stream 1\nhead POST http example.org / 20 length=-1 end\nend\n");
    assert_refused(drive, POST_LINES "expect: miracles\n", "expectation");
}

static void cookie_crumbs_become_one_field(void **state) {
    struct h2_drive *drive = *state;
    request(drive, H2_END_STREAM, GET_LINES "cookie: a=1\nx-between: y\ncookie: b=2\ncookie: c=3\n");
    assert_string_equal(h2_drive_received(drive),
                        "stream 1\nhead GET http example.org / 20 length=-1 end\ncookie: a=1; b=2; c=3\nx-between: y\nend\n");
}

// libraries.md: "host differing from :authority passes: we check".
static void host_must_be_the_authority(void **state) {
    struct h2_drive *drive = *state;
    request(drive, H2_END_STREAM, GET_LINES "host: EXAMPLE.org\n");
    assert_string_equal(h2_drive_received(drive), "stream 1\nhead GET http example.org / 20 length=-1 end\nend\n");
    request(drive, H2_END_STREAM, ":method: GET\n:scheme: http\n:path: /\nhost: example.net\n");
    assert_string_equal(h2_drive_received(drive), "stream 1\nhead GET http example.net / 20 length=-1 end\nend\n");
    assert_reset(drive, GET_LINES "host: example.net\n");
    assert_reset(drive, GET_LINES "host: example.org\nhost: example.org\n");
    assert_reset(drive, ":method: GET\n:scheme: http\n:path: /\n");
}

// libraries.md: "drops invalid header values silently": we reset.
static void invalid_values_reset_the_stream(void **state) {
    struct h2_drive *drive = *state;
    assert_reset(drive, GET_LINES "x: abc \n");
    assert_reset(drive, GET_LINES "x:  abc\n");
    assert_reset(drive, GET_LINES "x: abc\t\n");
    assert_reset(drive, GET_LINES "x: a\001b\n");
    assert_reset(drive, GET_LINES "x: a\rb\n");
    assert_reset(drive, GET_LINES "x: a\177b\n");
    assert_reset(drive, GET_LINES "x y: a\n");
    assert_reset(drive, GET_LINES "x\200: a\n");
}

// A text with a NUL or a line feed in it can be written by hand only.
static void nul_and_line_feed_in_values_reset_the_stream(void **state) {
    struct h2_drive *drive = *state;
    const char bad[] = {'\0', '\n'};
    for (size_t i = 0; i < sizeof(bad); i++) {
        struct text block = {0};
        h2_block(&block, GET_LINES);
        const char field[] = {0, 1, 'x', 3, 'a', bad[i], 'b'};
        text_add(&block, bytes_from(field, sizeof(field)));
        h2_frame(&drive->wire, NGHTTP2_HEADERS, H2_END_HEADERS | H2_END_STREAM, 2 * (uint32_t)i + 1, text_bytes(&block));
        assert_int_equal(h2_drive_feed(drive), OK);
        text_dispose(&block);
    }
    assert_string_equal(h2_drive_sent(drive), "RST_STREAM 1 PROTOCOL_ERROR\nRST_STREAM 3 PROTOCOL_ERROR\n");
    assert_string_equal(h2_drive_received(drive), "stream 1\nfailed bad_request\nstream 2\nfailed bad_request\n");
}

static void add_octets(struct text *block, const char *octets, size_t count) {
    text_add(block, bytes_from(&(char){(char)count}, 1));
    text_add(block, bytes_from(octets, count));
}

// RFC 9113 section 8.2.1, each octet in a name and in a value: passed on as it is, or the stream is reset; never left out, never cut.
static void names_and_values_hold_no_octet_that_is_forbidden(void **state) {
    struct h2_drive *drive = *state;
    for (int c = 0; c < 256; c++) {
        for (unsigned in_value = 0; in_value < 2; in_value++) {
            const char odd[] = {'x', (char)c, 'y'};
            struct text block = {0};
            h2_block(&block, GET_LINES);
            text_add(&block, bytes_from("\0", 1)); // a literal that is not indexed
            add_octets(&block, in_value ? "x" : odd, in_value ? 1 : 3);
            add_octets(&block, in_value ? odd : "v", in_value ? 3 : 1);
            restart(drive);
            h2_frame(&drive->wire, NGHTTP2_HEADERS, H2_END_HEADERS | H2_END_STREAM, 1, text_bytes(&block));
            text_dispose(&block);
            assert_int_equal(h2_drive_feed(drive), OK);
            const struct owner_stream *item = codec_owner_stream(&drive->owner, 0);
            bool allowed = in_value ? is_field_value(bytes_from(odd, 3)) : is_token(bytes_from(odd, 3)) && !(c >= 'A' && c <= 'Z');
            if (item->has_failed == allowed)
                fail_msg("octet %d in a %s: %s", c, in_value ? "value" : "name", error_name(item->failed));
            if (!allowed) {
                assert_string_equal(h2_drive_sent(drive), "RST_STREAM 1 PROTOCOL_ERROR\n");
                continue;
            }
            const struct field *field = &item->stream.head.fields.items[item->stream.head.fields.count - 1];
            assert_true(bytes_equal(in_value ? field->value : field->name, bytes_from(odd, 3)));
        }
    }
}

static void pseudo_fields_in_trailers_reset_the_stream(void **state) {
    struct h2_drive *drive = *state;
    static const char *const trailers[] = {":path: /\n", ":status: 200\n", ":unknown: x\n", "x-sum: 1\n:method: GET\n"};
    for (size_t i = 0; i < sizeof(trailers) / sizeof(trailers[0]); i++) {
        restart(drive);
        h2_headers(&drive->wire, 1, 0, POST_LINES);
        h2_headers(&drive->wire, 1, H2_END_STREAM, trailers[i]);
        assert_int_equal(h2_drive_feed(drive), OK);
        assert_int_equal(codec_owner_stream(&drive->owner, 0)->failed, ERROR_BAD_REQUEST);
        assert_string_equal(h2_drive_sent(drive), "RST_STREAM 1 PROTOCOL_ERROR\n");
    }
}

static void malformed_heads_reset_the_stream(void **state) {
    struct h2_drive *drive = *state;
    assert_reset(drive, GET_LINES "X-Upper: a\n");
    assert_reset(drive, ":method: GET\n:scheme: http\n:authority: example.org\n");
    assert_reset(drive, ":method: GET\n:authority: example.org\n:path: /\n");
    assert_reset(drive, ":scheme: http\n:authority: example.org\n:path: /\n");
    assert_reset(drive, GET_LINES ":path: /again\n");
    assert_reset(drive, GET_LINES ":status: 200\n");
    assert_reset(drive, GET_LINES ":unknown: x\n");
    assert_reset(drive, ":method: GET\n:scheme: http\nx: y\n:authority: example.org\n:path: /\n");
    assert_reset(drive, ":method: G T\n:scheme: http\n:authority: example.org\n:path: /\n");
    assert_reset(drive, ":method: GET\n:scheme: http\n:authority: example.org\n:path: /a b\n");
    assert_reset(drive, ":method: GET\n:scheme: http\n:authority: example.org\n:path: a\n");
    assert_reset(drive, ":method: GET\n:scheme: http\n:authority: exa mple.org\n:path: /\n");
}

static void connection_specific_fields_reset_the_stream(void **state) {
    struct h2_drive *drive = *state;
    assert_reset(drive, GET_LINES "connection: close\n");
    assert_reset(drive, GET_LINES "keep-alive: timeout=5\n");
    assert_reset(drive, GET_LINES "proxy-connection: close\n");
    assert_reset(drive, GET_LINES "transfer-encoding: chunked\n");
    assert_reset(drive, GET_LINES "upgrade: websocket\n");
    assert_reset(drive, GET_LINES "te: gzip\n");
}

// Answered where we are the ones that refuse it, reset where nghttp2 is: newer ones look at more.
static void assert_turned_away(struct h2_drive *drive, const char *lines) {
    request(drive, H2_END_STREAM, lines);
    assert_string_equal(h2_drive_received(drive), "stream 1\nfailed bad_request\n");
}

static void targets_that_nobody_agrees_upon_are_refused(void **state) {
    struct h2_drive *drive = *state;
    assert_turned_away(drive, ":method: GET\n:scheme: http\n:authority: example.org\n:path: /a#b\n");
    assert_turned_away(drive, ":method: GET\n:scheme: ftp\n:authority: example.org\n:path: /\n");
    assert_turned_away(drive, ":method: GET\n:scheme: http\n:authority: user@example.org\n:path: /\n");
    assert_turned_away(drive, ":method: GET\n:scheme: ftp\n:authority: example.org\n:path: a\n");
    request(drive, H2_END_STREAM, ":method: OPTIONS\n:scheme: http\n:authority: example.org\n:path: *\n");
    assert_string_equal(h2_drive_received(drive), "stream 1\nhead OPTIONS http example.org * 20 length=-1 end\nend\n");
    assert_reset(drive, ":method: GET\n:scheme: http\n:authority: example.org\n:path: *\n");
}

static void connect_and_trace_are_not_implemented(void **state) {
    struct h2_drive *drive = *state;
    assert_refused(drive, ":method: CONNECT\n:authority: example.org:443\n", "method_unknown");
    assert_refused(drive, ":method: TRACE\n:scheme: http\n:authority: example.org\n:path: /\n", "method_unknown");
}

static void body_must_have_the_stated_length(void **state) {
    struct h2_drive *drive = *state;
    const char *const bodies[] = {"1234", "123456"};
    for (size_t i = 0; i < 2; i++) {
        restart(drive);
        h2_headers(&drive->wire, 1, 0, POST_LINES "content-length: 5\n");
        h2_data(&drive->wire, 1, H2_END_STREAM, bytes_from_text(bodies[i]));
        assert_int_equal(h2_drive_feed(drive), OK);
        assert_true(codec_owner_stream(&drive->owner, 0)->has_failed);
        assert_int_equal(codec_owner_stream(&drive->owner, 0)->failed, ERROR_BAD_REQUEST);
        assert_string_equal(h2_drive_sent(drive), "RST_STREAM 1 PROTOCOL_ERROR\n");
    }
    assert_reset(drive, POST_LINES "content-length: 5\n");
    assert_reset(drive, POST_LINES "content-length: x\n");
    assert_reset(drive, POST_LINES "content-length: -1\n");
    assert_reset(drive, POST_LINES "content-length: 99999999999999999999\n");
    assert_reset(drive, POST_LINES "content-length: 0\ncontent-length: 0\n");
}

static void too_long_a_path_is_answered(void **state) {
    struct h2_drive *drive = *state;
    struct text lines = {0};
    text_format(&lines, ":method: GET\n:scheme: http\n:authority: example.org\n:path: /%08192d\n", 0);
    assert_refused(drive, lines.at, "uri_too_long");
    text_clear(&lines);
    text_format(&lines, ":method: GET\n:scheme: http\n:authority: example.org\n:path: /%08191d\n", 0);
    request(drive, H2_END_STREAM, lines.at);
    assert_int_equal(codec_owner_stream(&drive->owner, 0)->stream.head.path.len, 8192);
    text_dispose(&lines);
}

static void too_many_fields_are_answered(void **state) {
    struct h2_drive *drive = *state;
    struct text lines = {0};
    text_format(&lines, "%s", GET_LINES);
    for (unsigned i = 0; i < 100; i++)
        text_format(&lines, "x-%u: y\n", i);
    request(drive, H2_END_STREAM, lines.at);
    assert_int_equal(codec_owner_stream(&drive->owner, 0)->heads, 1);
    text_format(&lines, "x-100: y\n");
    assert_refused(drive, lines.at, "headers_too_large");
    text_dispose(&lines);
}

static void too_large_a_head_is_answered_and_its_body_not_wanted(void **state) {
    struct h2_drive *drive = *state;
    struct codec_limits limits = codec_owner_limits();
    limits.header_bytes = 1024;
    restart_with(drive, &limits);
    struct text lines = {0};
    text_format(&lines, POST_LINES "x-long: %01000d\n", 0);
    h2_headers(&drive->wire, 1, 0, lines.at);
    h2_data(&drive->wire, 1, 0, BYTES("hello"));
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_string_equal(h2_drive_received(drive), "stream 1\nfailed headers_too_large\n");
    struct owner_stream *item = codec_owner_stream(&drive->owner, 0);
    assert_int_equal(h2_respond(item, 431, "", false), OK);
    owner_stream_send(item, BYTES("too large"), true, NULL);
    assert_string_equal(h2_drive_sent(drive), "HEADERS 1\n  :status: 431\nDATA 1 9 end\nRST_STREAM 1 NO_ERROR\n");
    assert_true(codec_stream_is_done(&item->stream));
    assert_null(item->stream.codec);
    assert_int_equal(item->writables, 0); // nothing is told of a stream within its own send_body
    // The connection goes on, body on its way and all.
    h2_data(&drive->wire, 1, H2_END_STREAM, BYTES("more"));
    h2_get(&drive->wire, 3, "/next");
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_int_equal(codec_owner_stream(&drive->owner, 1)->heads, 1);
    text_dispose(&lines);
}

static void too_large_trailers_fail_the_stream(void **state) {
    struct h2_drive *drive = *state;
    struct text lines = {0};
    for (unsigned i = 0; i < 101; i++)
        text_format(&lines, "x-%u: y\n", i);
    for (unsigned answered = 0; answered < 2; answered++) {
        uint32_t id = 2 * answered + 1;
        h2_headers(&drive->wire, id, 0, POST_LINES);
        assert_int_equal(h2_drive_feed(drive), OK);
        struct owner_stream *item = codec_owner_stream(&drive->owner, answered);
        if (answered)
            assert_int_equal(h2_respond(item, 200, "", false), OK);
        h2_headers(&drive->wire, id, H2_END_STREAM, lines.at);
        assert_int_equal(h2_drive_feed(drive), OK);
        assert_int_equal(item->failed, ERROR_HEADERS_TOO_LARGE);
        assert_int_equal(item->stream.codec != NULL, !answered); // an answer is still possible, or there was one
    }
    assert_string_equal(h2_drive_sent(drive), "HEADERS 3\n  :status: 200\nRST_STREAM 3 PROTOCOL_ERROR\n");
    text_dispose(&lines);
}

static void refused_by_the_owner_is_refused_stream(void **state) {
    struct h2_drive *drive = *state;
    drive->owner.refuse = true;
    h2_get(&drive->wire, 1, "/");
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_string_equal(h2_drive_sent(drive), "RST_STREAM 1 REFUSED_STREAM\n");
    drive->owner.refuse = false;
    h2_get(&drive->wire, 3, "/");
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_string_equal(h2_drive_received(drive), "stream 1\nhead GET http example.org / 20 length=-1 end\nend\n");
}

static void response_is_sent_without_what_is_not_for_http2(void **state) {
    struct h2_drive *drive = *state;
    h2_get(&drive->wire, 1, "/");
    assert_int_equal(h2_drive_feed(drive), OK);
    struct owner_stream *item = codec_owner_stream(&drive->owner, 0);
    struct head head;
    head_init(&head, &item->pool);
    head.status = 200;
    head.content_length = 5;
    h2_head_fields(&head, &item->pool,
                   "Content-Type: text/plain\nContent-Length: 5\nConnection: close\nKeep-Alive: timeout=5\nProxy-Connection: close\n"
                   "Transfer-Encoding: chunked\nUpgrade: h2c\nTE: gzip\nX-Custom:  blank at both ends\t \nX-Request-Id: 1\n");
    fields_add(&head.fields, BYTES(":status"), BYTES("500"));
    fields_add(&head.fields, BYTES(""), BYTES("none"));
    fields_add(&head.fields, BYTES("X-Removed"), BYTES("none"));
    assert_int_equal(fields_remove_name(&head.fields, BYTES("x-removed")), 1);
    assert_int_equal(h2_drive_codec(drive)->ops->send_head(h2_drive_codec(drive), &item->stream, &head, false), OK);
    owner_stream_send(item, BYTES("hello"), true, NULL);
    assert_string_equal(h2_drive_sent(drive), "HEADERS 1\n  :status: 200\n  content-length: 5\n  content-type: text/plain\n"
                                              "  x-custom: blank at both ends\n  x-request-id: 1 (never indexed)\nDATA 1 5 end\n");
    assert_true(codec_stream_is_done(&item->stream));
    assert_int_equal(item->stream.body_sent, 5);
}

static void never_indexed_fields_stay_so(void **state) {
    struct h2_drive *drive = *state;
    struct text block = {0};
    h2_block(&block, GET_LINES);
    const char field[] = {0x10, 5, 'x', '-', 'p', 'i', 'n', 2, '4', '2'}; // RFC 7541 section 6.2.3
    text_add(&block, bytes_from(field, sizeof(field)));
    h2_frame(&drive->wire, NGHTTP2_HEADERS, H2_END_HEADERS | H2_END_STREAM, 1, text_bytes(&block));
    assert_int_equal(h2_drive_feed(drive), OK);
    text_dispose(&block);
    struct owner_stream *item = codec_owner_stream(&drive->owner, 0);
    struct head head;
    head_init(&head, &item->pool);
    head.status = 200;
    fields_copy(&head.fields, &item->stream.head.fields, &item->pool);
    assert_int_equal(h2_drive_codec(drive)->ops->send_head(h2_drive_codec(drive), &item->stream, &head, true), OK);
    assert_string_equal(h2_drive_sent(drive), "HEADERS 1 end\n  :status: 200\n  x-pin: 42 (never indexed)\n");
}

static void informational_heads_precede_the_response(void **state) {
    struct h2_drive *drive = *state;
    h2_get(&drive->wire, 1, "/");
    assert_int_equal(h2_drive_feed(drive), OK);
    struct owner_stream *item = codec_owner_stream(&drive->owner, 0);
    assert_int_equal(h2_respond(item, 100, "", false), OK);
    assert_int_equal(h2_respond(item, 103, "link: </a>\n", false), OK);
    assert_int_equal(item->stream.sent, PROGRESS_HEAD);
    assert_int_equal(h2_respond(item, 204, "", true), OK);
    assert_string_equal(h2_drive_sent(drive), "HEADERS 1\n  :status: 100\nHEADERS 1\n  :status: 103\n  link: </a>\nHEADERS 1 end\n  :status: 204\n");
    assert_true(codec_stream_is_done(&item->stream));
}

static void response_without_a_body_keeps_its_length(void **state) {
    struct h2_drive *drive = *state;
    h2_headers(&drive->wire, 1, H2_END_STREAM, ":method: HEAD\n:scheme: http\n:authority: example.org\n:path: /\n");
    assert_int_equal(h2_drive_feed(drive), OK);
    struct owner_stream *item = codec_owner_stream(&drive->owner, 0);
    struct head head;
    head_init(&head, &item->pool);
    head.status = 200;
    head.content_length = 0;
    assert_int_equal(h2_drive_codec(drive)->ops->send_head(h2_drive_codec(drive), &item->stream, &head, true), OK);
    h2_get(&drive->wire, 3, "/");
    h2_get(&drive->wire, 5, "/");
    assert_int_equal(h2_drive_feed(drive), OK);
    head.status = 304;
    head.content_length = INT64_MAX;
    assert_int_equal(h2_drive_codec(drive)->ops->send_head(h2_drive_codec(drive), &codec_owner_stream(&drive->owner, 1)->stream, &head, true), OK);
    head.status = 204;
    assert_int_equal(h2_drive_codec(drive)->ops->send_head(h2_drive_codec(drive), &codec_owner_stream(&drive->owner, 2)->stream, &head, true), OK);
    assert_string_equal(h2_drive_sent(drive),
                        "HEADERS 1 end\n  :status: 200\n  content-length: 0\n"
                        "HEADERS 3 end\n  :status: 304\n  content-length: 9223372036854775807\nHEADERS 5 end\n  :status: 204\n");
}

static void trailers_follow_the_body(void **state) {
    struct h2_drive *drive = *state;
    for (uint32_t id = 1; id <= 5; id += 2)
        h2_get(&drive->wire, id, "/");
    assert_int_equal(h2_drive_feed(drive), OK);
    struct fields trailers;
    struct pool pool;
    pool_init(&pool, &drive->owner.chunks);
    fields_init(&trailers, &pool);
    fields_add(&trailers, BYTES("Grpc-Status"), BYTES("0"));
    fields_add(&trailers, BYTES("X-Blank"), BYTES("y "));
    fields_add(&trailers, BYTES("Connection"), BYTES("close"));
    struct fields none;
    fields_init(&none, &pool);
    const char *const bodies[] = {"hello", "", "hello"};
    for (unsigned i = 0; i < 3; i++) {
        struct owner_stream *item = codec_owner_stream(&drive->owner, i);
        assert_int_equal(h2_respond(item, 200, "", false), OK);
        owner_stream_send(item, bytes_from_text(bodies[i]), true, i < 2 ? &trailers : &none);
    }
    h2_drive_sent(drive);
    // Trailers are sent before the bodies of others: only the order within a stream is given.
    const char *sent = drive->reader.words.at;
    assert_non_null(strstr(sent, "DATA 1 5\n"));
    assert_non_null(strstr(sent, "HEADERS 1 end\n  grpc-status: 0\n  x-blank: y\n"));
    assert_non_null(strstr(sent, "HEADERS 3 end\n  grpc-status: 0\n  x-blank: y\n"));
    assert_null(strstr(sent, "DATA 3"));
    assert_non_null(strstr(sent, "DATA 5 5 end\n"));
    assert_true(strstr(sent, "DATA 1 5\n") < strstr(sent, "HEADERS 1 end\n"));
    for (unsigned i = 0; i < 3; i++)
        assert_true(codec_stream_is_done(&codec_owner_stream(&drive->owner, i)->stream));
    pool_dispose(&pool);
}

// A long body waits for produce; a short one of another stream goes at once, and takes it along.
static void end_of_a_stream_is_told_when_another_writes_it(void **state) {
    struct h2_drive *drive = *state;
    static char body[2 * H2_BODY_AT_ONCE_BYTES];
    h2_get(&drive->wire, 1, "/");
    h2_get(&drive->wire, 3, "/");
    assert_int_equal(h2_drive_feed(drive), OK);
    struct owner_stream *items[] = {codec_owner_stream(&drive->owner, 0), codec_owner_stream(&drive->owner, 1)};
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(h2_respond(items[i], 200, "", false), OK);
    owner_stream_send(items[0], bytes_from(body, sizeof(body)), true, NULL);
    assert_false(codec_stream_is_done(&items[0]->stream));
    owner_stream_send(items[1], BYTES("short"), true, NULL);
    for (unsigned i = 0; i < 2; i++)
        assert_true(codec_stream_is_done(&items[i]->stream));
    assert_int_equal(items[0]->writables, 1);
    assert_int_equal(items[1]->writables, 0);
}

// RFC 9113 section 8.1.
static void early_response_ends_the_request_with_no_error(void **state) {
    struct h2_drive *drive = *state;
    h2_headers(&drive->wire, 1, 0, POST_LINES);
    h2_headers(&drive->wire, 3, 0, POST_LINES);
    h2_data(&drive->wire, 1, 0, BYTES("hello"));
    assert_int_equal(h2_drive_feed(drive), OK);
    struct owner_stream *item = codec_owner_stream(&drive->owner, 0);
    assert_int_equal(h2_respond(item, 403, "", true), OK);
    assert_true(codec_stream_is_done(&item->stream));
    assert_int_equal(item->writables, 0); // nothing is told within send_head
    assert_string_equal(h2_drive_sent(drive), "HEADERS 1 end\n  :status: 403\nRST_STREAM 1 NO_ERROR\n");
    item = codec_owner_stream(&drive->owner, 1);
    assert_int_equal(h2_respond(item, 403, "", false), OK);
    owner_stream_send(item, BYTES("no"), true, NULL);
    assert_string_equal(h2_drive_sent(drive), "HEADERS 3\n  :status: 403\nDATA 3 2 end\nRST_STREAM 3 NO_ERROR\n");
    assert_true(codec_stream_is_done(&item->stream));
    assert_int_equal(item->writables, 0);
    assert_int_equal(h2_drive_codec(drive)->streams_open, 0);
}

static void reset_by_the_client_is_client_gone(void **state) {
    struct h2_drive *drive = *state;
    h2_headers(&drive->wire, 1, 0, POST_LINES);
    h2_get(&drive->wire, 3, "/");
    h2_rst_stream(&drive->wire, 1, NGHTTP2_CANCEL);
    h2_rst_stream(&drive->wire, 3, NGHTTP2_NO_ERROR);
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_int_equal(codec_owner_stream(&drive->owner, 0)->failed, ERROR_CLIENT_GONE);
    assert_int_equal(codec_owner_stream(&drive->owner, 1)->failed, ERROR_CLIENT_GONE);
    assert_int_equal(h2_drive_codec(drive)->streams_open, 0);
    assert_string_equal(h2_drive_sent(drive), "");
}

static void resets_have_the_code_of_their_error(void **state) {
    struct h2_drive *drive = *state;
    static const struct {
        enum error error;
        const char *code;
    } cases[] = {
        {ERROR_CANCELLED, "CANCEL"},
        {ERROR_CLIENT_GONE, "CANCEL"},
        {ERROR_REFUSED_STREAM, "REFUSED_STREAM"},
        {ERROR_DRAINING, "REFUSED_STREAM"},
        {ERROR_FLOOD, "ENHANCE_YOUR_CALM"},
        {ERROR_BAD_REQUEST, "PROTOCOL_ERROR"},
        {ERROR_INTERNAL, "INTERNAL_ERROR"},
        {ERROR_RESPONSE_INCOMPLETE, "INTERNAL_ERROR"},
    };
    for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char expected[64];
        h2_get(&drive->wire, 2 * i + 1, "/");
        assert_int_equal(h2_drive_feed(drive), OK);
        struct owner_stream *item = codec_owner_stream(&drive->owner, i);
        h2_reset(item, cases[i].error);
        assert_null(item->stream.codec);
        assert_true(codec_stream_is_done(&item->stream));
        snprintf(expected, sizeof(expected), "RST_STREAM %u %s\n", 2 * i + 1, cases[i].code);
        assert_string_equal(h2_drive_sent(drive), expected);
    }
    assert_int_equal(h2_drive_codec(drive)->streams_open, 0);
}

static void frames_for_a_stream_that_was_reset_are_ignored(void **state) {
    struct h2_drive *drive = *state;
    h2_headers(&drive->wire, 1, 0, POST_LINES);
    assert_int_equal(h2_drive_feed(drive), OK);
    struct owner_stream *item = codec_owner_stream(&drive->owner, 0);
    h2_reset(item, ERROR_CANCELLED);
    for (unsigned flushed = 0; flushed < 2; flushed++) { // before the reset has left, and after
        h2_data(&drive->wire, 1, 0, BYTES("hello"));
        h2_window_update(&drive->wire, 1, 100);
        h2_headers(&drive->wire, 1, flushed ? H2_END_STREAM : 0, "x: y\n");
        assert_int_equal(h2_drive_feed(drive), OK);
        h2_drive_sent(drive);
    }
    assert_string_equal(h2_drive_received(drive), "stream 1\nhead POST http example.org / 20 length=-1\n");
    assert_int_equal(item->stream.body_received, 0);
}

static void padding_is_no_body(void **state) {
    struct h2_drive *drive = *state;
    h2_headers(&drive->wire, 1, 0, POST_LINES);
    h2_frame(&drive->wire, NGHTTP2_DATA, H2_PADDED | H2_END_STREAM, 1, BYTES("\003hello\0\0\0"));
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_string_equal(h2_drive_received(drive), "stream 1\nhead POST http example.org / 20 length=-1\nbody 5 hello\nend\n");
}

// Everything that the codec is told may come in any pieces.
static void any_split_comes_to_the_same(void **state) {
    struct h2_drive *drive = *state;
    struct text wire = {0};
    struct text expected = {0};
    h2_headers(&wire, 1, 0, POST_LINES "cookie: a\ncookie: b\nx-long: 0123456789012345678901234567890123456789\n");
    h2_get(&wire, 3, "/second");
    h2_data(&wire, 1, 0, BYTES("hello "));
    h2_headers(&wire, 5, H2_END_STREAM, GET_LINES "x: bad \n");
    h2_data(&wire, 1, 0, BYTES("you"));
    h2_rst_stream(&wire, 3, NGHTTP2_CANCEL);
    h2_headers(&wire, 1, H2_END_STREAM, "x-sum: 1\n");
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct rng rng;
        rng_init(&rng, seed);
        restart(drive);
        if (seed == 0)
            assert_int_equal(codec_owner_feed(&drive->owner, text_bytes(&wire)), OK);
        else
            assert_int_equal(codec_owner_feed_split(&drive->owner, text_bytes(&wire), seed == 1 ? 1 : 60, seed == 1 ? NULL : &rng), OK);
        h2_drive_received(drive);
        if (seed == 0)
            text_add(&expected, text_bytes(&drive->received));
        assert_string_equal(drive->received.at, expected.at);
        assert_string_equal(h2_drive_sent(drive), "RST_STREAM 5 PROTOCOL_ERROR\n");
    }
    text_dispose(&wire);
    text_dispose(&expected);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(settings_say_the_limits, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(requests_that_fit_into_half_of_the_first_window_cost_no_window_update, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(a_window_that_was_used_up_is_opened_for_the_end, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(request_becomes_a_head, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(unknown_method_is_kept, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(body_and_trailers_are_delivered, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(expectation_is_a_flag, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(cookie_crumbs_become_one_field, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(host_must_be_the_authority, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(invalid_values_reset_the_stream, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(nul_and_line_feed_in_values_reset_the_stream, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(names_and_values_hold_no_octet_that_is_forbidden, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(pseudo_fields_in_trailers_reset_the_stream, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(malformed_heads_reset_the_stream, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(connection_specific_fields_reset_the_stream, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(targets_that_nobody_agrees_upon_are_refused, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(connect_and_trace_are_not_implemented, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(body_must_have_the_stated_length, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(too_long_a_path_is_answered, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(too_many_fields_are_answered, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(too_large_a_head_is_answered_and_its_body_not_wanted, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(too_large_trailers_fail_the_stream, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(refused_by_the_owner_is_refused_stream, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(response_is_sent_without_what_is_not_for_http2, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(never_indexed_fields_stay_so, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(informational_heads_precede_the_response, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(response_without_a_body_keeps_its_length, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(trailers_follow_the_body, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(end_of_a_stream_is_told_when_another_writes_it, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(early_response_ends_the_request_with_no_error, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(reset_by_the_client_is_client_gone, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(resets_have_the_code_of_their_error, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(frames_for_a_stream_that_was_reset_are_ignored, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(padding_is_no_body, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(any_split_comes_to_the_same, h2_set_up_server, h2_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
