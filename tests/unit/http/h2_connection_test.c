// h2_codec as a whole connection: drain, errors that end it, its end, and what a hostile peer may try (the rows of the threat list that concern
// HTTP/2), each stopped by a bound that the test reaches.
#include "h2_drive.h"

#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define POST_LINES ":method: POST\n:scheme: http\n:authority: example.org\n:path: /\n"

static void restart(struct h2_drive *drive, enum codec_role role) {
    h2_drive_dispose(drive);
    h2_drive_start(drive, role);
}

// The connection is over: GOAWAY with `code` is the last that is sent, and nothing is parsed any more.
static void assert_over(struct h2_drive *drive, enum error error, const char *code) {
    struct codec *codec = h2_drive_codec(drive);
    assert_int_equal(drive->owner.error, error);
    assert_true(codec->close_when_flushed);
    assert_true(codec->refuses_new);
    const char *sent = h2_drive_sent(drive);
    char *goaway = NULL;
    assert_true(asprintf(&goaway, " %s\n", code) > 0);
    const char *last = strstr(sent, "GOAWAY ");
    assert_non_null(last);
    assert_null(strstr(last + 1, "GOAWAY "));
    assert_true(strlen(last) > strlen(goaway));
    assert_string_equal(last + strlen(last) - strlen(goaway), goaway);
    free(goaway);
    unsigned before = drive->owner.count;
    text_clear(&drive->wire);
    h2_get(&drive->wire, 99999, "/");
    assert_int_equal(h2_drive_feed(drive), error);
    assert_int_equal(codec_owner_feed_end(&drive->owner), error);
    assert_string_equal(h2_drive_sent(drive), "");
    assert_int_equal(drive->owner.count, before);
    drive->owner.error = OK;
}

static void bytes_that_are_not_http2_end_the_connection(void **state) {
    struct h2_drive *drive = *state;
    struct codec_limits limits = codec_owner_limits();
    h2_drive_dispose(drive);
    h2_drive_init(drive, CODEC_SERVER, &limits);
    h2_drive_sent(drive);
    text_add(&drive->wire, BYTES("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"));
    assert_int_equal(h2_drive_feed(drive), ERROR_PROTOCOL);
    assert_over(drive, ERROR_PROTOCOL, "PROTOCOL_ERROR");
}

static void first_frame_must_be_settings(void **state) {
    struct h2_drive *drive = *state;
    struct codec_limits limits = codec_owner_limits();
    h2_drive_dispose(drive);
    h2_drive_init(drive, CODEC_SERVER, &limits);
    h2_drive_sent(drive);
    h2_preface(&drive->wire);
    h2_get(&drive->wire, 1, "/");
    assert_int_equal(h2_drive_feed(drive), ERROR_PROTOCOL);
    assert_over(drive, ERROR_PROTOCOL, "PROTOCOL_ERROR");
}

// One frame each that no connection survives, with the code that it is answered by.
static void broken_frames_end_the_connection(void **state) {
    struct h2_drive *drive = *state;
    static const struct {
        uint8_t type;
        uint8_t flags;
        uint32_t stream;
        struct bytes payload;
        const char *code;
    } cases[] = {
        {NGHTTP2_DATA, 0, 0, {"x", 1}, "PROTOCOL_ERROR"},
        {NGHTTP2_DATA, 0, 1, {"x", 1}, "PROTOCOL_ERROR"},
        {NGHTTP2_DATA, H2_PADDED, 3, {"\377x", 2}, "PROTOCOL_ERROR"},
        {NGHTTP2_HEADERS, H2_END_HEADERS, 0, {"\202", 1}, "PROTOCOL_ERROR"},
        {NGHTTP2_HEADERS, H2_END_HEADERS, 2, {"\202", 1}, "PROTOCOL_ERROR"},
        {NGHTTP2_HEADERS, H2_END_HEADERS, 1, {"\377\377\377\377\377\377", 6}, "COMPRESSION_ERROR"},
        {NGHTTP2_PRIORITY, 0, 1, {"1234", 4}, "FRAME_SIZE_ERROR"},
        {NGHTTP2_RST_STREAM, 0, 1, {"\0\0\0\0", 4}, "PROTOCOL_ERROR"},
        {NGHTTP2_RST_STREAM, 0, 0, {"\0\0\0\0", 4}, "PROTOCOL_ERROR"},
        {NGHTTP2_RST_STREAM, 0, 1, {"\0\0\0", 3}, "FRAME_SIZE_ERROR"},
        {NGHTTP2_SETTINGS, 0, 0, {"\0\4\377\377\377\377", 6}, "FLOW_CONTROL_ERROR"},
        {NGHTTP2_SETTINGS, 0, 0, {"\0\5\0\0\0\1", 6}, "PROTOCOL_ERROR"},
        {NGHTTP2_SETTINGS, 0, 0, {"\0\2\0\0\0\2", 6}, "PROTOCOL_ERROR"},
        {NGHTTP2_SETTINGS, 0, 0, {"12345", 5}, "FRAME_SIZE_ERROR"},
        {NGHTTP2_SETTINGS, 0, 1, {"", 0}, "PROTOCOL_ERROR"},
        {NGHTTP2_SETTINGS, H2_ACK, 0, {"\0\2\0\0\0\1", 6}, "FRAME_SIZE_ERROR"},
        {NGHTTP2_SETTINGS, H2_ACK, 0, {"", 0}, "PROTOCOL_ERROR"},
        {NGHTTP2_PUSH_PROMISE, H2_END_HEADERS, 1, {"\0\0\0\2\202", 5}, "PROTOCOL_ERROR"},
        {NGHTTP2_PING, 0, 0, {"1234567", 7}, "FRAME_SIZE_ERROR"},
        {NGHTTP2_PING, 0, 1, {"12345678", 8}, "PROTOCOL_ERROR"},
        {NGHTTP2_GOAWAY, 0, 0, {"1234", 4}, "FRAME_SIZE_ERROR"},
        {NGHTTP2_GOAWAY, 0, 1, {"\0\0\0\0\0\0\0\0", 8}, "PROTOCOL_ERROR"},
        {NGHTTP2_WINDOW_UPDATE, 0, 0, {"\0\0\0\0", 4}, "PROTOCOL_ERROR"},
        {NGHTTP2_WINDOW_UPDATE, 0, 0, {"\177\377\377\377", 4}, "FLOW_CONTROL_ERROR"},
        {NGHTTP2_WINDOW_UPDATE, 0, 1, {"\0\0\0\1", 4}, "PROTOCOL_ERROR"},
        {NGHTTP2_CONTINUATION, H2_END_HEADERS, 1, {"\202", 1}, "PROTOCOL_ERROR"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        restart(drive, CODEC_SERVER);
        if (cases[i].stream == 3)
            h2_headers(&drive->wire, 3, 0, POST_LINES);
        h2_frame(&drive->wire, cases[i].type, cases[i].flags, cases[i].stream, cases[i].payload);
        h2_get(&drive->wire, 5, "/late");
        if (h2_drive_feed(drive) != ERROR_PROTOCOL)
            fail_msg("case %zu passed", i);
        assert_over(drive, ERROR_PROTOCOL, cases[i].code);
    }
}

static void frame_longer_than_allowed_ends_the_connection(void **state) {
    struct h2_drive *drive = *state;
    static const char zeros[16385];
    h2_headers(&drive->wire, 1, 0, POST_LINES);
    h2_data(&drive->wire, 1, 0, bytes_from(zeros, sizeof(zeros)));
    assert_int_equal(h2_drive_feed(drive), ERROR_PROTOCOL);
    assert_over(drive, ERROR_PROTOCOL, "FRAME_SIZE_ERROR");
}

static void unknown_frames_are_ignored(void **state) {
    struct h2_drive *drive = *state;
    for (unsigned i = 0; i < 2 * H2_BARREN_FRAMES_MAX; i++)
        h2_frame(&drive->wire, 0xfa, 0xff, i, BYTES("whatever"));
    h2_get(&drive->wire, 1, "/");
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_int_equal(drive->owner.count, 1);
    assert_string_equal(h2_drive_sent(drive), "");
}

static void drain_lets_begun_streams_finish(void **state) {
    struct h2_drive *drive = *state;
    struct codec *codec = h2_drive_codec(drive);
    h2_get(&drive->wire, 1, "/");
    assert_int_equal(h2_drive_feed(drive), OK);
    codec->ops->signal(codec, CODEC_DRAIN);
    assert_string_equal(h2_drive_sent(drive), "GOAWAY 2147483647 NO_ERROR\n");
    // One that was on its way when the notice came.
    h2_get(&drive->wire, 3, "/");
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_int_equal(drive->owner.count, 2);
    codec->ops->signal(codec, CODEC_DRAIN_FINAL);
    assert_string_equal(h2_drive_sent(drive), "GOAWAY 3 NO_ERROR\n");
    h2_get(&drive->wire, 5, "/");
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_int_equal(drive->owner.count, 2);
    assert_false(codec->close_when_flushed);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(h2_respond(codec_owner_stream(&drive->owner, i), 200, "", false), OK);
        owner_stream_send(codec_owner_stream(&drive->owner, i), BYTES("bye"), true, NULL);
    }
    assert_string_equal(h2_drive_sent(drive), "HEADERS 1\n  :status: 200\nDATA 1 3 end\nHEADERS 3\n  :status: 200\nDATA 3 3 end\n");
    assert_true(codec->close_when_flushed);
    assert_int_equal(drive->owner.error, OK);
}

static void idle_connection_that_drains_closes_at_once(void **state) {
    struct h2_drive *drive = *state;
    struct codec *codec = h2_drive_codec(drive);
    codec->ops->signal(codec, CODEC_DRAIN);
    h2_drive_sent(drive);
    assert_false(codec->close_when_flushed); // a request may be on its way
    codec->ops->signal(codec, CODEC_DRAIN_FINAL);
    assert_string_equal(h2_drive_sent(drive), "GOAWAY 0 NO_ERROR\n");
    assert_true(codec->close_when_flushed);
}

static void complete_requests_are_answered_though_the_client_closed_its_side(void **state) {
    struct h2_drive *drive = *state;
    h2_get(&drive->wire, 1, "/");
    h2_headers(&drive->wire, 3, 0, POST_LINES);
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_int_equal(codec_owner_feed_end(&drive->owner), OK);
    assert_int_equal(codec_owner_stream(&drive->owner, 1)->failed, ERROR_CLIENT_GONE);
    assert_false(h2_drive_codec(drive)->close_when_flushed);
    assert_int_equal(h2_respond(codec_owner_stream(&drive->owner, 0), 200, "", true), OK);
    assert_string_equal(h2_drive_sent(drive), "HEADERS 1 end\n  :status: 200\n");
    assert_true(h2_drive_codec(drive)->close_when_flushed);
}

static void idle_connection_that_the_peer_closed_closes(void **state) {
    struct h2_drive *drive = *state;
    assert_int_equal(codec_owner_feed_end(&drive->owner), OK);
    assert_true(h2_drive_codec(drive)->close_when_flushed);
}

static void goaway_from_a_client_is_heard(void **state) {
    struct h2_drive *drive = *state;
    h2_get(&drive->wire, 1, "/");
    h2_goaway(&drive->wire, 0, NGHTTP2_NO_ERROR);
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_false(h2_drive_codec(drive)->close_when_flushed);
    assert_int_equal(h2_respond(codec_owner_stream(&drive->owner, 0), 200, "", true), OK);
    h2_drive_sent(drive);
    assert_true(h2_drive_codec(drive)->close_when_flushed);
}

// --- threats.md, by row ---

// Row 1, CVE-2023-44487: requests taken back as soon as they were made.
static void row_1_rapid_reset_ends_the_connection(void **state) {
    struct h2_drive *drive = *state;
    uint32_t id = 1;
    for (; drive->owner.error == OK && id < 200000; id += 2) {
        h2_get(&drive->wire, id, "/");
        h2_rst_stream(&drive->wire, id, NGHTTP2_CANCEL);
        (void)h2_drive_feed(drive);
    }
    assert_true(id / 2 <= H2_EARLY_RESETS_MAX + 1);
    assert_over(drive, ERROR_FLOOD, "ENHANCE_YOUR_CALM");
}

// The same in one read: parsing ends in the middle of it.
static void row_1_rapid_reset_within_one_read_is_not_parsed_to_its_end(void **state) {
    struct h2_drive *drive = *state;
    for (uint32_t id = 1; id < 4000; id += 2) {
        h2_get(&drive->wire, id, "/");
        h2_rst_stream(&drive->wire, id, NGHTTP2_CANCEL);
    }
    assert_int_equal(h2_drive_feed(drive), ERROR_FLOOD);
    assert_true(drive->owner.count <= H2_EARLY_RESETS_MAX + 1);
    assert_over(drive, ERROR_FLOOD, "ENHANCE_YOUR_CALM");
}

// The peer makes us reset: each request breaks a rule after it was begun.
static void row_1_resets_that_the_peer_provokes_count_too(void **state) {
    struct h2_drive *drive = *state;
    uint32_t id = 1;
    for (; drive->owner.error == OK && id < 20000; id += 2) {
        h2_headers(&drive->wire, id, 0, POST_LINES "content-length: 1\n");
        h2_data(&drive->wire, id, H2_END_STREAM, BYTES("too long"));
        (void)h2_drive_feed(drive);
        h2_drive_sent(drive);
    }
    assert_true(id / 2 <= H2_EARLY_RESETS_MAX + 1);
    assert_int_equal(drive->owner.error, ERROR_FLOOD);
}

static void row_1_clients_that_often_cancel_are_left_alone(void **state) {
    struct h2_drive *drive = *state;
    // Two of three, and more in all than would be an attack; nghttp2's own limit lies higher.
    for (uint32_t i = 0; i < 2 * H2_EARLY_RESETS_MAX - 100; i++) {
        h2_get(&drive->wire, 2 * i + 1, "/");
        if (i % 3 > 0)
            h2_rst_stream(&drive->wire, 2 * i + 1, NGHTTP2_CANCEL);
        assert_int_equal(h2_drive_feed(drive), OK);
        if (i % 3 == 0)
            assert_int_equal(h2_respond(drive->owner.last, 200, "", true), OK);
        h2_drive_sent(drive);
    }
    assert_int_equal(drive->owner.error, OK);
    assert_false(h2_drive_codec(drive)->refuses_new);
}

// nghttp2's limit on resets ends the connection without losing what is under way.
static void row_1_steady_resets_end_in_a_graceful_goaway(void **state) {
    struct h2_drive *drive = *state;
    struct codec *codec = h2_drive_codec(drive);
    h2_get(&drive->wire, 1, "/kept");
    assert_int_equal(h2_drive_feed(drive), OK);
    uint32_t id = 3;
    for (; !codec->refuses_new && id < 100000; id += 2) {
        h2_headers(&drive->wire, id, 0, POST_LINES);
        assert_int_equal(h2_drive_feed(drive), OK);
        assert_int_equal(h2_respond(drive->owner.last, 200, "", false), OK); // so that it is no early reset
        h2_rst_stream(&drive->wire, id, NGHTTP2_CANCEL);
        assert_int_equal(h2_drive_feed(drive), OK);
    }
    assert_true(id < 100000);
    assert_int_equal(h2_respond(codec_owner_stream(&drive->owner, 0), 200, "", true), OK);
    assert_non_null(strstr(h2_drive_sent(drive), " INTERNAL_ERROR\n"));
    assert_true(codec->close_when_flushed);
    assert_int_equal(drive->owner.error, OK);
}

// Row 2, CVE-2024-28182: CONTINUATION without end.
static void row_2_continuation_flood_ends_the_connection(void **state) {
    struct h2_drive *drive = *state;
    struct text block = {0};
    h2_block(&block, POST_LINES);
    h2_frame(&drive->wire, NGHTTP2_HEADERS, 0, 1, text_bytes(&block));
    unsigned sent = 0;
    for (; drive->owner.error == OK && sent < 100000; sent++) {
        h2_frame(&drive->wire, NGHTTP2_CONTINUATION, 0, 1, BYTES("\0\1x\1y"));
        (void)h2_drive_feed(drive);
    }
    assert_true(sent <= H2_CONTINUATIONS_MAX + 1);
    assert_int_equal(drive->owner.error, ERROR_FLOOD);
    assert_over(drive, ERROR_FLOOD, "ENHANCE_YOUR_CALM");
    assert_int_equal(drive->owner.streams->heads, 0);
    text_dispose(&block);
}

// Row 2, and empty ones, which carry no header bytes at all.
static void row_2_empty_continuations_end_the_connection(void **state) {
    struct h2_drive *drive = *state;
    struct text block = {0};
    h2_block(&block, POST_LINES);
    h2_frame(&drive->wire, NGHTTP2_HEADERS, 0, 1, text_bytes(&block));
    for (unsigned i = 0; i < 100; i++)
        h2_frame(&drive->wire, NGHTTP2_CONTINUATION, 0, 1, BYTES_NONE);
    assert_int_equal(h2_drive_feed(drive), ERROR_FLOOD);
    assert_over(drive, ERROR_FLOOD, "ENHANCE_YOUR_CALM");
    text_dispose(&block);
}

static void row_2_continuation_flood_by_a_server_ends_its_connection(void **state) {
    struct h2_drive *drive = *state;
    for (unsigned empty = 0; empty < 2; empty++) {
        struct text block = {0};
        restart(drive, CODEC_CLIENT);
        (void)h2_request(&drive->owner, "GET", "/", true);
        h2_block(&block, ":status: 200\n");
        h2_frame(&drive->wire, NGHTTP2_HEADERS, 0, 1, text_bytes(&block));
        for (unsigned i = 0; i < 100; i++)
            h2_frame(&drive->wire, NGHTTP2_CONTINUATION, 0, 1, empty ? BYTES_NONE : BYTES("\0\1x\1y"));
        assert_int_equal(h2_drive_feed(drive), ERROR_FLOOD);
        assert_int_equal(drive->owner.streams->heads, 0);
        assert_over(drive, ERROR_FLOOD, "ENHANCE_YOUR_CALM");
        text_dispose(&block);
    }
}

// Row 3, CVE-2026-27135: a malformed frame behind what has ended the connection, in the same read and in later ones.
static void row_3_nothing_is_parsed_after_the_end_of_the_connection(void **state) {
    struct h2_drive *drive = *state;
    for (uint8_t type = 0; type < 12; type++) {
        for (unsigned later = 0; later < 2; later++) {
            restart(drive, CODEC_SERVER);
            h2_headers(&drive->wire, 1, 0, POST_LINES);
            h2_window_update(&drive->wire, 0, 0); // ends it
            if (later)
                assert_int_equal(h2_drive_feed(drive), ERROR_PROTOCOL);
            for (unsigned length = 0; length < 10; length++)
                h2_frame(&drive->wire, type, 0xff, 1, bytes_from("\0\0\0\0\0\0\0\0\0", length));
            assert_int_equal(h2_drive_feed(drive), ERROR_PROTOCOL);
            assert_over(drive, ERROR_PROTOCOL, "PROTOCOL_ERROR");
        }
    }
}

// Row 3 again, for an end that one of our own callbacks has found.
static void row_3_nothing_is_parsed_after_an_end_found_by_a_callback(void **state) {
    struct h2_drive *drive = *state;
    for (unsigned length = 0; length < 10; length++) {
        restart(drive, CODEC_CLIENT);
        h2_request(&drive->owner, "GET", "/", true);
        h2_drive_sent(drive);
        h2_frame(&drive->wire, NGHTTP2_PUSH_PROMISE, H2_END_HEADERS, 1, BYTES("\0\0\0\002\202"));
        h2_frame(&drive->wire, NGHTTP2_PRIORITY, 0, 1, bytes_from("\0\0\0\0\0\0\0\0\0", length));
        assert_int_equal(h2_drive_feed(drive), ERROR_PROTOCOL);
        assert_over(drive, ERROR_PROTOCOL, "PROTOCOL_ERROR");
    }
}

// Row 5, CVE-2026-47774: crumbs count.
static void row_5_cookie_crumbs_count_against_the_limit(void **state) {
    struct h2_drive *drive = *state;
    struct text lines = {0};
    text_format(&lines, "%s", POST_LINES);
    for (unsigned i = 0; i < 1400; i++)
        text_format(&lines, "cookie: x\n");
    h2_headers(&drive->wire, 1, H2_END_STREAM, lines.at);
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_int_equal(codec_owner_stream(&drive->owner, 0)->heads, 1); // 39 bytes each as HTTP/2 counts, so far
    for (unsigned i = 0; i < 200; i++)
        text_format(&lines, "cookie: x\n");
    h2_headers(&drive->wire, 3, H2_END_STREAM, lines.at);
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_int_equal(codec_owner_stream(&drive->owner, 1)->failed, ERROR_HEADERS_TOO_LARGE);
    text_dispose(&lines);
}

// Row 5: one byte on the wire becomes 3 KB of header each time; the memory kept for it does not.
static void row_5_references_to_the_dynamic_table_are_bounded(void **state) {
    struct h2_drive *drive = *state;
    struct text block = {0};
    h2_block(&block, POST_LINES);
    char value[3000];
    memset(value, 'v', sizeof(value));
    text_add(&block, BYTES("\100\6x-bomb\177\271\026")); // with indexing; length 127 + 57 + 22 * 128 = 3000
    text_add(&block, bytes_from(value, sizeof(value)));
    for (unsigned i = 0; i < 10000; i++)
        text_add(&block, BYTES("\276")); // index 62, the newest entry
    h2_frame(&drive->wire, NGHTTP2_HEADERS, H2_END_HEADERS | H2_END_STREAM, 1, text_bytes(&block));
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_int_equal(codec_owner_stream(&drive->owner, 0)->failed, ERROR_HEADERS_TOO_LARGE);
    assert_true(drive->owner.chunks.used <= 2 * codec_owner_limits().header_bytes / POOL_CHUNK_SIZE);
    text_dispose(&block);
}

// Row 6, CVE-2026-73550: the host is bounded like the rest.
static void row_6_long_host_is_refused(void **state) {
    struct h2_drive *drive = *state;
    static const char *const names[] = {":authority", "host"};
    for (unsigned i = 0; i < 2; i++) {
        struct text lines = {0};
        restart(drive, CODEC_SERVER);
        text_format(&lines, ":method: GET\n:scheme: http\n:path: /\n%s: %062000d\n", names[i], 0);
        h2_headers(&drive->wire, 1, H2_END_STREAM, lines.at);
        assert_int_equal(h2_drive_feed(drive), OK);
        assert_int_equal(codec_owner_stream(&drive->owner, 0)->failed, ERROR_HEADERS_TOO_LARGE);
        text_clear(&lines);
        text_format(&lines, ":method: GET\n:scheme: http\n:path: /\n%s: %01000000d\n", names[i], 0);
        h2_headers(&drive->wire, 3, H2_END_STREAM, lines.at);
        assert_true(h2_drive_feed(drive) != OK);
        assert_true(h2_drive_codec(drive)->close_when_flushed);
        drive->owner.error = OK;
        text_dispose(&lines);
    }
}

// Row 7, CVE-2023-35945: RST_STREAM and GOAWAY in one write leave nothing behind.
static void row_7_reset_and_goaway_in_one_write_leak_nothing(void **state) {
    struct h2_drive *drive = *state;
    for (unsigned i = 0; i < 300; i++) {
        restart(drive, CODEC_CLIENT);
        struct owner_stream *item = h2_request(&drive->owner, "POST", "/", false);
        struct owner_stream *other = h2_request(&drive->owner, "GET", "/", true);
        owner_stream_send(item, BYTES("hello"), false, NULL);
        h2_drive_sent(drive);
        h2_headers(&drive->wire, 1, 0, ":status: 200\nx: y\n");
        h2_rst_stream(&drive->wire, 1, NGHTTP2_CANCEL);
        h2_goaway(&drive->wire, 1, NGHTTP2_NO_ERROR);
        assert_int_equal(h2_drive_feed(drive), OK);
        assert_int_equal(item->failed, ERROR_UPSTREAM_RESET);
        assert_int_equal(other->failed, ERROR_REFUSED_STREAM);
        h2_drive_sent(drive);
        assert_true(h2_drive_codec(drive)->close_when_flushed);
    } // the tear-down of each finds what nghttp2 still holds
}

// Row 8, CVE-2026-73513: trailers without END_STREAM.
static void row_8_trailers_without_an_end_reset_the_stream(void **state) {
    struct h2_drive *drive = *state;
    h2_headers(&drive->wire, 1, 0, POST_LINES);
    h2_data(&drive->wire, 1, 0, BYTES("hello"));
    h2_headers(&drive->wire, 1, 0, "x: y\n");
    h2_data(&drive->wire, 1, H2_END_STREAM, BYTES("more"));
    h2_get(&drive->wire, 3, "/");
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_string_equal(h2_drive_received(drive), "stream 1\nhead POST http example.org / 20 length=-1\nbody 5 hello\nfailed bad_request\n"
                                                  "stream 2\nhead GET http example.org / 20 length=-1 end\nend\n");
    assert_string_equal(h2_drive_sent(drive), "RST_STREAM 1 PROTOCOL_ERROR\n");
}

// Row 9, CVE-2021-32778: the work for a reset does not grow with the streams that there are or were.
static void row_9_many_streams_are_reset_one_by_one(void **state) {
    struct h2_drive *drive = *state;
    struct codec_limits limits = codec_owner_limits();
    limits.streams = 5000;
    h2_drive_dispose(drive);
    h2_drive_init(drive, CODEC_SERVER, &limits);
    h2_drive_hello(drive);
    for (uint32_t i = 0; i < limits.streams; i++)
        h2_get(&drive->wire, 2 * i + 1, "/");
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_int_equal(h2_drive_codec(drive)->streams_open, limits.streams);
    for (struct owner_stream *item = drive->owner.streams; item != NULL; item = item->next)
        h2_reset(item, ERROR_CANCELLED);
    assert_int_equal(h2_drive_codec(drive)->streams_open, 0);
    unsigned before = drive->reader.frames;
    h2_drive_sent(drive);
    assert_int_equal(drive->reader.frames - before, limits.streams);
    h2_get(&drive->wire, 2 * limits.streams + 1, "/");
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_int_equal(h2_drive_codec(drive)->streams_open, 1);
}

// Row 10: bodies byte by byte that nobody reads hold no more than the windows of their streams.
static void row_10_one_byte_frames_hold_no_more_than_their_window(void **state) {
    struct h2_drive *drive = *state;
    drive->owner.keep_body = true;
    h2_headers(&drive->wire, 1, 0, POST_LINES);
    assert_int_equal(h2_drive_feed(drive), OK);
    struct owner_stream *item = codec_owner_stream(&drive->owner, 0);
    unsigned sent = 0;
    while (!item->has_failed && sent < 70000) {
        for (unsigned i = 0; i < 1000; i++)
            h2_data(&drive->wire, 1, 0, BYTES("x"));
        sent += 1000;
        assert_int_equal(h2_drive_feed(drive), OK);
    }
    // The piece that went over it is the last that is heard of.
    assert_int_equal(item->stream.body_received, codec_owner_limits().stream_window + 1);
    assert_int_equal(item->failed, ERROR_BAD_REQUEST);
    assert_string_equal(h2_drive_sent(drive), "RST_STREAM 1 FLOW_CONTROL_ERROR\n");
}

// Row 10: a peer that does not read. What it asked for waits, bounded, with each stream; `out` takes no more than its limit from all of them.
static void row_10_slow_reader_holds_a_bounded_output(void **state) {
    struct h2_drive *drive = *state;
    enum { STREAMS = 10 };
    static char body[1 << 20];
    h2_settings(&drive->wire, 1, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, INT32_MAX);
    h2_window_update(&drive->wire, 0, INT32_MAX - 65535);
    for (uint32_t i = 0; i < STREAMS; i++)
        h2_get(&drive->wire, 2 * i + 1, "/");
    assert_int_equal(h2_drive_feed(drive), OK);
    for (unsigned i = 0; i < STREAMS; i++) {
        assert_int_equal(h2_respond(codec_owner_stream(&drive->owner, i), 200, "", false), OK);
        owner_stream_send(codec_owner_stream(&drive->owner, i), bytes_from(body, sizeof(body)), true, NULL);
    }
    struct codec *codec = h2_drive_codec(drive);
    for (unsigned i = 0; i < 100; i++) {
        drive->owner.producing = true;
        assert_int_equal(codec->ops->produce(codec), OK);
        drive->owner.producing = false;
        for (unsigned k = 0; k < STREAMS; k++)
            assert_false(owner_stream_resume(codec_owner_stream(&drive->owner, k)));
    }
    assert_true(drive->owner.out.length >= LIMIT_OUTPUT_BYTES);
    assert_true(drive->owner.out.length <= LIMIT_OUTPUT_BYTES + 16384 + 9);
    for (unsigned k = 0; k < STREAMS; k++)
        assert_true(codec_owner_stream(&drive->owner, k)->stream.out.length <= H2_STREAM_OUT_BYTES);
}

// Row 10: nor do answers that are heads alone pile up before it.
static void row_10_heads_that_are_not_read_are_bounded(void **state) {
    struct h2_drive *drive = *state;
    uint32_t id = 1;
    struct text value = {0};
    text_format(&value, "x-long: %04000d\n", 0); // too long for HPACK to keep
    for (; drive->owner.error == OK && id < 40000; id += 2) {
        h2_get(&drive->wire, id, "/");
        if (h2_drive_feed(drive) == OK && drive->owner.last->stream.sent == PROGRESS_HEAD)
            assert_int_equal(h2_respond(drive->owner.last, 200, value.at, true), OK);
    }
    assert_int_equal(drive->owner.error, ERROR_FLOOD); // for the resets that it did not read either
    assert_true(drive->owner.count > 80);
    assert_true(drive->owner.out.length <= H2_UNREAD_MAX + 4100 + H2_CONTROL_BYTES_MAX + 100);
    text_dispose(&value);
}

// --- cheap frames ---

// Feeds `count` times what `add` makes, in reads of a hundred, and drops what is sent where the peer reads it.
static enum error flood(struct h2_drive *drive, unsigned count, bool reads, void (*add)(struct text *wire)) {
    for (unsigned i = 0; i < count && drive->owner.error == OK; i += 100) {
        for (unsigned k = 0; k < 100; k++)
            add(&drive->wire);
        (void)h2_drive_feed(drive);
        if (reads && drive->owner.error == OK)
            h2_drive_sent(drive);
    }
    return drive->owner.error;
}

static void add_ping(struct text *wire) {
    h2_ping(wire, 0);
}

static void add_settings(struct text *wire) {
    h2_settings(wire, 1, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1000);
}

static void add_empty_data(struct text *wire) {
    h2_data(wire, 1, 0, BYTES_NONE);
}

static void add_priority(struct text *wire) {
    h2_frame(wire, NGHTTP2_PRIORITY, 0, 9, BYTES("\0\0\0\0\017"));
}

static void add_window_update(struct text *wire) {
    h2_window_update(wire, 1, 1);
}

// A head of a stream that is long gone: decoded, and of use to nobody.
static void add_head_of_the_past(struct text *wire) {
    h2_headers(wire, 1, H2_END_STREAM, "x: y\n");
}

static void add_malformed_request(struct text *wire) {
    static uint32_t next = 1;
    h2_headers(wire, next, H2_END_STREAM, "X: y\n");
    next += 2;
}

static void pings_that_are_read_are_answered(void **state) {
    assert_int_equal(flood(*state, 20000, true, add_ping), OK);
}

static void ping_flood_that_is_not_read_ends_the_connection(void **state) {
    struct h2_drive *drive = *state;
    assert_int_equal(flood(drive, 20000, false, add_ping), ERROR_FLOOD);
    assert_true(drive->owner.out.length <= H2_CONTROL_BYTES_MAX + 200);
    assert_over(drive, ERROR_FLOOD, "ENHANCE_YOUR_CALM");
}

static void settings_flood_ends_the_connection(void **state) {
    struct h2_drive *drive = *state;
    assert_int_equal(flood(drive, 2 * H2_BARREN_FRAMES_MAX, true, add_settings), ERROR_FLOOD);
    assert_over(drive, ERROR_FLOOD, "ENHANCE_YOUR_CALM");
}

static void settings_with_too_many_entries_end_the_connection(void **state) {
    struct h2_drive *drive = *state;
    struct text payload = {0};
    for (unsigned i = 0; i <= H2_SETTINGS_MAX; i++)
        text_add(&payload, BYTES("\0\4\0\0\1\0"));
    h2_frame(&drive->wire, NGHTTP2_SETTINGS, 0, 0, text_bytes(&payload));
    text_dispose(&payload);
    assert_int_equal(h2_drive_feed(drive), ERROR_FLOOD);
    assert_over(drive, ERROR_FLOOD, "ENHANCE_YOUR_CALM");
}

static void flood_of_empty_data_ends_the_connection(void **state) {
    struct h2_drive *drive = *state;
    h2_headers(&drive->wire, 1, 0, POST_LINES);
    assert_int_equal(flood(drive, 2 * H2_BARREN_FRAMES_MAX, true, add_empty_data), ERROR_FLOOD);
    assert_over(drive, ERROR_FLOOD, "ENHANCE_YOUR_CALM");
}

static void floods_of_priority_and_window_updates_end_the_connection(void **state) {
    struct h2_drive *drive = *state;
    assert_int_equal(flood(drive, 2 * H2_BARREN_FRAMES_MAX, true, add_priority), ERROR_FLOOD);
    assert_over(drive, ERROR_FLOOD, "ENHANCE_YOUR_CALM");
    restart(drive, CODEC_SERVER);
    h2_headers(&drive->wire, 1, 0, POST_LINES);
    assert_int_equal(flood(drive, 2 * H2_BARREN_FRAMES_MAX, true, add_window_update), ERROR_FLOOD);
    assert_over(drive, ERROR_FLOOD, "ENHANCE_YOUR_CALM");
}

// A server may be as hostile as a client.
static void floods_by_a_server_end_its_connection(void **state) {
    struct h2_drive *drive = *state;
    void (*const floods[])(struct text *) = {add_settings, add_empty_data, add_priority, add_window_update, add_ping};
    for (size_t i = 0; i < sizeof(floods) / sizeof(floods[0]); i++) {
        restart(drive, CODEC_CLIENT);
        (void)h2_request(&drive->owner, "POST", "/", false);
        h2_headers(&drive->wire, 1, 0, ":status: 200\n");
        assert_int_equal(flood(drive, 20000, floods[i] != add_ping, floods[i]), ERROR_FLOOD);
        assert_over(drive, ERROR_FLOOD, "ENHANCE_YOUR_CALM");
    }
}

static void heads_of_streams_that_are_gone_end_the_connection(void **state) {
    struct h2_drive *drive = *state;
    h2_headers(&drive->wire, 1, 0, POST_LINES);
    assert_int_equal(h2_drive_feed(drive), OK);
    h2_reset(codec_owner_stream(&drive->owner, 0), ERROR_CANCELLED);
    h2_drive_sent(drive);
    assert_int_equal(flood(drive, 2 * H2_BARREN_FRAMES_MAX, true, add_head_of_the_past), ERROR_FLOOD);
}

static void work_in_between_excuses_cheap_frames(void **state) {
    struct h2_drive *drive = *state;
    h2_headers(&drive->wire, 1, 0, POST_LINES);
    for (unsigned i = 0; i < 4 * H2_BARREN_FRAMES_MAX; i++) {
        h2_window_update(&drive->wire, 1, 1);
        if (i % 500 == 0)
            h2_data(&drive->wire, 1, 0, BYTES("x"));
    }
    assert_int_equal(h2_drive_feed(drive), OK);
}

static void malformed_requests_that_are_answered_unread_end_the_connection(void **state) {
    struct h2_drive *drive = *state;
    assert_int_equal(flood(drive, 20000, false, add_malformed_request), ERROR_FLOOD);
    assert_true(drive->owner.out.length <= H2_CONTROL_BYTES_MAX + 200);
}

// A peer that never acknowledges our SETTINGS is not held to the number of streams by nghttp2, but told.
static void streams_over_the_limit_are_refused(void **state) {
    struct h2_drive *drive = *state;
    struct codec_limits limits = codec_owner_limits();
    limits.streams = 2;
    for (unsigned acknowledged = 0; acknowledged < 2; acknowledged++) {
        h2_drive_dispose(drive);
        h2_drive_init(drive, CODEC_SERVER, &limits);
        h2_drive_sent(drive);
        h2_preface(&drive->wire);
        h2_settings(&drive->wire, 0);
        if (acknowledged)
            h2_settings_ack(&drive->wire);
        for (uint32_t id = 1; id <= 5; id += 2)
            h2_get(&drive->wire, id, "/");
        enum error error = h2_drive_feed(drive);
        assert_int_equal(drive->owner.count, 2);
        assert_int_equal(h2_drive_codec(drive)->streams_refused, 1);
        if (acknowledged) {
            assert_int_equal(error, ERROR_PROTOCOL);
        } else {
            assert_int_equal(error, OK);
            assert_string_equal(h2_drive_sent(drive), "SETTINGS ack\nRST_STREAM 5 REFUSED_STREAM\n");
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bytes_that_are_not_http2_end_the_connection, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(first_frame_must_be_settings, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(broken_frames_end_the_connection, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(frame_longer_than_allowed_ends_the_connection, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(unknown_frames_are_ignored, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(drain_lets_begun_streams_finish, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(idle_connection_that_drains_closes_at_once, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(complete_requests_are_answered_though_the_client_closed_its_side, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(idle_connection_that_the_peer_closed_closes, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(goaway_from_a_client_is_heard, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(row_1_rapid_reset_ends_the_connection, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(row_1_rapid_reset_within_one_read_is_not_parsed_to_its_end, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(row_1_resets_that_the_peer_provokes_count_too, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(row_1_clients_that_often_cancel_are_left_alone, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(row_1_steady_resets_end_in_a_graceful_goaway, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(row_2_continuation_flood_ends_the_connection, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(row_2_empty_continuations_end_the_connection, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(row_2_continuation_flood_by_a_server_ends_its_connection, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(row_3_nothing_is_parsed_after_the_end_of_the_connection, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(row_3_nothing_is_parsed_after_an_end_found_by_a_callback, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(row_5_cookie_crumbs_count_against_the_limit, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(row_5_references_to_the_dynamic_table_are_bounded, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(row_6_long_host_is_refused, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(row_7_reset_and_goaway_in_one_write_leak_nothing, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(row_8_trailers_without_an_end_reset_the_stream, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(row_9_many_streams_are_reset_one_by_one, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(row_10_one_byte_frames_hold_no_more_than_their_window, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(row_10_slow_reader_holds_a_bounded_output, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(row_10_heads_that_are_not_read_are_bounded, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(pings_that_are_read_are_answered, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(ping_flood_that_is_not_read_ends_the_connection, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(settings_flood_ends_the_connection, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(settings_with_too_many_entries_end_the_connection, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(flood_of_empty_data_ends_the_connection, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(floods_of_priority_and_window_updates_end_the_connection, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(floods_by_a_server_end_its_connection, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(heads_of_streams_that_are_gone_end_the_connection, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(work_in_between_excuses_cheap_frames, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(malformed_requests_that_are_answered_unread_end_the_connection, h2_set_up_server, h2_tear_down),
        cmocka_unit_test_setup_teardown(streams_over_the_limit_are_refused, h2_set_up_server, h2_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
