// h2_codec where a stream becomes a WebSocket by extended CONNECT (RFC 8441), both roles, frame by frame.
#include "h2_drive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define PLACE ":scheme: http\n:authority: example.org\n:path: /chat\n"
#define CONNECT ":method: CONNECT\n:protocol: websocket\n" PLACE
#define ASKED "stream 1\nhead GET http example.org /chat 20 length=-1 protocol=websocket\nsec-websocket-version: 13\n"

static void restart(struct h2_drive *drive) {
    h2_drive_dispose(drive);
    h2_drive_start(drive, CODEC_SERVER);
}

static struct owner_stream *feed_connect(struct h2_drive *drive, uint8_t flags) {
    h2_headers(&drive->wire, 1, flags, CONNECT "sec-websocket-version: 13\n");
    assert_int_equal(h2_drive_feed(drive), OK);
    return codec_owner_stream(&drive->owner, 0);
}

// --- server ---

static void extended_connect_is_a_get_that_asks_for_a_tunnel(void **state) {
    struct h2_drive *drive = *state;
    struct owner_stream *item = feed_connect(drive, 0);
    assert_string_equal(h2_drive_received(drive), ASKED);
    assert_int_equal(item->stream.tunnel, TUNNEL_ASKED);
    assert_int_equal(h2_respond(item, 101, "sec-websocket-protocol: chat\n", false), OK);
    assert_string_equal(h2_drive_sent(drive), "HEADERS 1\n  :status: 200\n  sec-websocket-protocol: chat\n");
    h2_data(&drive->wire, 1, 0, BYTES("up"));
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_string_equal(h2_drive_received(drive), ASKED "body 2 up\n");
    owner_stream_send(item, BYTES("down"), false, NULL);
    assert_string_equal(h2_drive_sent(drive), "DATA 1 4\n");
}

static void what_is_no_websocket_is_not_implemented(void **state) {
    static const char *const lines[] = {":method: CONNECT\n:authority: example.org:80\n", ":method: CONNECT\n:protocol: connect-udp\n" PLACE,
                                        ":method: CONNECT\n:protocol: websocketx\n" PLACE};
    struct h2_drive *drive = *state;
    for (unsigned i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        restart(drive);
        h2_headers(&drive->wire, 1, 0, lines[i]);
        assert_int_equal(h2_drive_feed(drive), OK);
        assert_string_equal(h2_drive_received(drive), "stream 1\nfailed method_unknown\n");
    }
}

static void what_is_malformed_never_becomes_one(void **state) {
    static const struct {
        const char *lines;
        bool reset;
    } heads[] = {
        {":method: GET\n:protocol: websocket\n" PLACE, true},
        {":method: CONNECT\n:protocol: websocket\n:authority: example.org\n", true},
        {":method: CONNECT\n:protocol: websocket\n:scheme: http\n:path: /\n", true},
        {":method: CONNECT\n:protocol: websocket\n:protocol: websocket\n" PLACE, true},
        {CONNECT "connection: upgrade\n", true},
        {CONNECT "upgrade: websocket\n", true},
        {CONNECT "content-length: 5\n", false},
    };
    struct h2_drive *drive = *state;
    for (unsigned i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        restart(drive);
        h2_headers(&drive->wire, 1, 0, heads[i].lines);
        assert_int_equal(h2_drive_feed(drive), OK);
        assert_string_equal(h2_drive_received(drive), "stream 1\nfailed bad_request\n");
        assert_string_equal(h2_drive_sent(drive), heads[i].reset ? "RST_STREAM 1 PROTOCOL_ERROR\n" : "");
    }
}

// END_STREAM is FIN, in either direction and order.
static void each_direction_ends_by_itself(void **state) {
    struct h2_drive *drive = *state;
    for (unsigned first = 0; first < 3; first++) {
        restart(drive);
        struct owner_stream *item = feed_connect(drive, first == 2 ? H2_END_STREAM : 0);
        assert_int_equal(item->ended, first == 2);
        assert_int_equal(h2_respond(item, 101, "", false), OK);
        if (first == 1) {
            owner_stream_send(item, BYTES("last"), true, NULL);
            assert_string_equal(h2_drive_sent(drive), "HEADERS 1\n  :status: 200\nDATA 1 4 end\n");
            h2_data(&drive->wire, 1, 0, BYTES("more"));
            assert_int_equal(h2_drive_feed(drive), OK);
            assert_int_equal(item->body.len, 4);
        }
        if (first != 2) {
            h2_data(&drive->wire, 1, H2_END_STREAM, BYTES_NONE);
            assert_int_equal(h2_drive_feed(drive), OK);
        }
        assert_true(item->ended);
        if (first != 1) {
            owner_stream_send(item, BYTES("last"), true, NULL);
            assert_string_equal(h2_drive_sent(drive), "HEADERS 1\n  :status: 200\nDATA 1 4 end\n");
        }
        assert_true(codec_stream_is_done(&item->stream));
    }
}

// RFC 8441 section 5: a reset of TCP is CANCEL.
static void a_reset_is_cancel_both_ways(void **state) {
    struct h2_drive *drive = *state;
    struct owner_stream *item = feed_connect(drive, 0);
    assert_int_equal(h2_respond(item, 101, "", false), OK);
    h2_drive_sent(drive);
    h2_reset(item, ERROR_RESPONSE_INCOMPLETE);
    assert_string_equal(h2_drive_sent(drive), "RST_STREAM 1 CANCEL\n");
    restart(drive);
    item = feed_connect(drive, 0);
    assert_int_equal(h2_respond(item, 101, "", false), OK);
    h2_rst_stream(&drive->wire, 1, NGHTTP2_CANCEL);
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_int_equal(item->failed, ERROR_CLIENT_GONE);
}

// RFC 9113 section 8.5: nothing but DATA.
static void trailers_have_no_place_in_a_tunnel(void **state) {
    struct h2_drive *drive = *state;
    struct owner_stream *item = feed_connect(drive, 0);
    assert_int_equal(h2_respond(item, 101, "", false), OK);
    h2_drive_sent(drive);
    h2_headers(&drive->wire, 1, H2_END_STREAM, "x-sum: 1\n");
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_string_equal(h2_drive_sent(drive), "RST_STREAM 1 PROTOCOL_ERROR\n");
    assert_int_equal(item->failed, ERROR_BAD_REQUEST);
}

static void a_refusal_ends_both_directions(void **state) {
    struct h2_drive *drive = *state;
    struct owner_stream *item = feed_connect(drive, 0);
    assert_int_equal(h2_respond(item, 403, "", true), OK);
    assert_string_equal(h2_drive_sent(drive), "HEADERS 1 end\n  :status: 403\nRST_STREAM 1 NO_ERROR\n");
    assert_true(codec_stream_is_done(&item->stream));
    // A plain 200 would be taken for the tunnel.
    restart(drive);
    item = feed_connect(drive, 0);
    assert_int_equal(h2_respond(item, 200, "", false), ERROR_INTERNAL);
    assert_string_equal(h2_drive_sent(drive), "");
}

// --- client ---

static struct owner_stream *ask(struct h2_drive *drive) {
    struct owner_stream *item = codec_owner_new_stream(&drive->owner);
    struct head head;
    h2_settings(&drive->wire, 1, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1);
    assert_int_equal(h2_drive_feed(drive), OK);
    h2_request_head(&head, item, "GET", "/chat", "");
    head.protocol = PROTOCOL_WEBSOCKET;
    assert_int_equal(h2_drive_codec(drive)->ops->send_head(h2_drive_codec(drive), &item->stream, &head, false), OK);
    h2_drive_sent(drive);
    return item;
}

static void any_2xx_opens_the_tunnel_as_a_101(void **state) {
    static const char *const statuses[] = {":status: 200\n", ":status: 202\n"};
    struct h2_drive *drive = *state;
    for (unsigned i = 0; i < 2; i++) {
        h2_drive_dispose(drive);
        h2_drive_start(drive, CODEC_CLIENT);
        struct owner_stream *item = ask(drive);
        h2_headers(&drive->wire, 1, 0, statuses[i]);
        h2_data(&drive->wire, 1, 0, BYTES("down"));
        assert_int_equal(h2_drive_feed(drive), OK);
        assert_string_equal(h2_drive_received(drive), "stream 1\nhead 101  20 length=-1\nbody 4 down\n");
        owner_stream_send(item, BYTES("up"), false, NULL);
        assert_string_equal(h2_drive_sent(drive), "DATA 1 2\n");
        h2_data(&drive->wire, 1, H2_END_STREAM, BYTES_NONE);
        assert_int_equal(h2_drive_feed(drive), OK);
        assert_true(item->ended && item->stream.sent == PROGRESS_BODY);
        owner_stream_send(item, BYTES("last"), true, NULL);
        assert_string_equal(h2_drive_sent(drive), "DATA 1 4 end\n");
        assert_true(codec_stream_is_done(&item->stream));
    }
}

static void another_answer_is_one_of_a_plain_request(void **state) {
    struct h2_drive *drive = *state;
    struct owner_stream *item = ask(drive);
    h2_headers(&drive->wire, 1, 0, ":status: 403\n");
    h2_data(&drive->wire, 1, H2_END_STREAM, BYTES("no"));
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_string_equal(h2_drive_received(drive), "stream 1\nhead 403  20 length=-1\nbody 2 no\nend\n");
    owner_stream_send(item, BYTES_NONE, true, NULL);
    assert_string_equal(h2_drive_sent(drive), "DATA 1 0 end\n");
    assert_true(codec_stream_is_done(&item->stream));
}

static void trailers_of_a_server_break_the_tunnel(void **state) {
    struct h2_drive *drive = *state;
    struct owner_stream *item = ask(drive);
    h2_headers(&drive->wire, 1, 0, ":status: 200\n");
    h2_headers(&drive->wire, 1, H2_END_STREAM, "x-sum: 1\n");
    assert_int_equal(h2_drive_feed(drive), OK);
    assert_int_equal(item->failed, ERROR_RESPONSE_MALFORMED);
    assert_string_equal(h2_drive_sent(drive), "RST_STREAM 1 PROTOCOL_ERROR\n");
}

#define SERVER(test) cmocka_unit_test_setup_teardown(test, h2_set_up_server, h2_tear_down)
#define CLIENT(test) cmocka_unit_test_setup_teardown(test, h2_set_up_client, h2_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        SERVER(extended_connect_is_a_get_that_asks_for_a_tunnel),
        SERVER(what_is_no_websocket_is_not_implemented),
        SERVER(what_is_malformed_never_becomes_one),
        SERVER(each_direction_ends_by_itself),
        SERVER(a_reset_is_cancel_both_ways),
        SERVER(trailers_have_no_place_in_a_tunnel),
        SERVER(a_refusal_ends_both_directions),
        CLIENT(any_2xx_opens_the_tunnel_as_a_101),
        CLIENT(another_answer_is_one_of_a_plain_request),
        CLIENT(trailers_of_a_server_break_the_tunnel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
