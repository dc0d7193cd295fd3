// h1_codec where a connection goes over to the WebSocket protocol: who may ask for it, what comes before and behind the answer, both roles, byte by byte.
#include "h1_drive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
#define KEY_FIELDS "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Version: 13\n"
#define ASK "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" KEY
#define ASKED "stream 1\nhead GET http a /chat 11 length=-1 protocol=websocket\nHost: a\n" KEY_FIELDS
#define SWITCHED "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

static const enum h1_split splits[] = {SPLIT_WHOLE, SPLIT_BYTES, SPLIT_RANDOM};
#define SPLITS (sizeof splits / sizeof splits[0])

static void begin(struct h1_drive *drive, enum codec_role role, unsigned split) {
    struct codec_limits limits = codec_owner_limits();
    h1_drive_init(drive, role, &limits);
    drive->split = splits[split];
    rng_init(&drive->rng, split);
}

static const char *received(struct h1_drive *drive) {
    codec_owner_transcript(&drive->owner, &drive->received);
    return drive->received.at;
}

static const char *sent(struct h1_drive *drive) {
    text_clear(&drive->sent);
    text_add(&drive->sent, codec_owner_sent(&drive->owner));
    return drive->sent.at == NULL ? "" : drive->sent.at;
}

static enum error answer(struct h1_drive *drive, uint16_t status, bool end) {
    struct owner_stream *item = drive->owner.last;
    struct head head;
    head_init(&head, &item->pool);
    head.status = status;
    return drive->owner.codec->ops->send_head(drive->owner.codec, &item->stream, &head, end);
}

static struct owner_stream *ask(struct h1_drive *drive) {
    struct owner_stream *item = codec_owner_new_stream(&drive->owner);
    struct head head;
    head_init(&head, &item->pool);
    head.method = METHOD_GET;
    head.authority = BYTES("a");
    head.path = BYTES("/chat");
    head.protocol = PROTOCOL_WEBSOCKET;
    head.te_trailers = true;
    enum error error = drive->owner.codec->ops->send_head(drive->owner.codec, &item->stream, &head, false);
    assert_int_equal(error, OK);
    assert_string_equal(sent(drive), "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    return item;
}

// --- server ---

// What is asked for in another way than RFC 6455 section 4.1 says, or is something else, goes as a plain request, and a request behind it is one.
static void only_a_websocket_is_asked_for(void **state) {
    (void)state;
    static const struct {
        const char *lines, *received;
    } plain[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n" KEY "\r\n", "GET http a / 11 length=-1 end\nHost: a\n" KEY_FIELDS "end\n"},
        {"GET / HTTP/1.0\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade, keep-alive\r\n" KEY "\r\n",
         "GET http a / 10 length=-1 end\nHost: a\n" KEY_FIELDS "end\n"},
        {"POST / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n" KEY "\r\n",
         "POST http a / 11 length=-1 end\nHost: a\n" KEY_FIELDS "end\n"},
        {"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", "GET http a / 11 length=-1 end\nHost: a\nend\n"},
        {"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n",
         "GET http a / 11 length=-1 end\nHost: a\nSec-WebSocket-Version: 13\nend\n"},
        {"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: upgrade\r\n" KEY "\r\n",
         "GET http a / 11 length=-1 end\nHost: a\n" KEY_FIELDS "end\n"},
        {"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: TLS/1.2\r\nConnection: upgrade\r\n\r\n", "GET http a / 11 length=-1 end\nHost: a\nend\n"},
        {"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocketx\r\nConnection: upgrade\r\n" KEY "\r\n",
         "GET http a / 11 length=-1 end\nHost: a\n" KEY_FIELDS "end\n"},
    };
    for (unsigned i = 0; i < 2 * sizeof plain / sizeof plain[0]; i++) {
        struct h1_drive drive;
        struct text expected = {0};
        begin(&drive, CODEC_SERVER, i % 2);
        h1_feed(&drive, bytes_from_text(plain[i / 2].lines));
        h1_feed(&drive, BYTES("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"));
        text_format(&expected, "stream 1\nhead %sstream 2\nhead GET http a /2 11 length=-1 end\nHost: a\nend\n", plain[i / 2].received);
        assert_string_equal(received(&drive), expected.at);
        text_dispose(&expected);
        h1_drive_dispose(&drive);
    }
}

static void protocols_may_be_offered_in_a_list_and_in_any_case(void **state) {
    (void)state;
    static const char *const offers[] = {"WebSocket", "h2c, websocket", "foo/1,WEBSOCKET , bar"};
    for (unsigned i = 0; i < 3; i++) {
        struct h1_drive drive;
        struct text lines = {0};
        begin(&drive, CODEC_SERVER, 1);
        text_format(&lines, "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, UPGRADE\r\nUpgrade: %s\r\n" KEY "Content-Length: 0\r\n\r\n",
                    offers[i]);
        h1_feed(&drive, text_bytes(&lines));
        assert_string_equal(received(&drive), ASKED);
        text_dispose(&lines);
        h1_drive_dispose(&drive);
    }
}

// Row 4 of the threats (CVE-2026-58055): a body is a body; the upgrade is passed over, whatever the other end would have made of it.
static void upgrade_with_a_body_is_a_plain_request(void **state) {
    (void)state;
    for (unsigned i = 0; i < SPLITS; i++) {
        struct h1_drive drive;
        begin(&drive, CODEC_SERVER, i);
        h1_feed(&drive, BYTES(ASK "Content-Length: 3\r\n\r\nabc" ASK "Transfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n"));
        assert_string_equal(received(&drive),
                            "stream 1\nhead GET http a /chat 11 length=3\nHost: a\n" KEY_FIELDS "Content-Length: 3\nbody 3 abc\nend\n"
                            "stream 2\nhead GET http a /chat 11 length=-1\nHost: a\n" KEY_FIELDS "body 2 de\nend\n");
        h1_drive_dispose(&drive);
    }
}

// Rows 12 and 13 of the threats (CVE-2025-64763, CVE-2026-73548): nobody sees it before the answer.
static void bytes_behind_an_upgrade_wait_for_the_101(void **state) {
    (void)state;
    for (unsigned i = 0; i < SPLITS; i++) {
        struct h1_drive drive;
        begin(&drive, CODEC_SERVER, i);
        h1_feed(&drive, BYTES(ASK "\r\n\x81\x05"));
        h1_feed(&drive, BYTES("hello"));
        assert_string_equal(received(&drive), ASKED);
        assert_int_equal(drive.owner.held.len, 7);
        assert_int_equal(answer(&drive, 103, false), OK); // is not the answer
        assert_int_equal(codec_owner_resume(&drive.owner), OK);
        assert_string_equal(received(&drive), ASKED);
        text_clear(&drive.sent);
        (void)sent(&drive);
        assert_int_equal(answer(&drive, 101, false), OK);
        assert_string_equal(sent(&drive), SWITCHED);
        assert_true(drive.owner.codec->is_tunnel);
        assert_int_equal(codec_owner_resume(&drive.owner), OK);
        assert_string_equal(received(&drive), ASKED "body 7 \x81\x05hello\n");
        // Nothing is framed from here on, either way, whatever it looks like.
        h1_feed(&drive, BYTES("GET / HTTP/1.1\r\n\r\n\r\n"));
        assert_int_equal(drive.owner.count, 1);
        assert_int_equal(drive.owner.last->body.len, 27);
        owner_stream_send(drive.owner.last, BYTES("\x81\x02ok"), false, NULL);
        assert_string_equal(sent(&drive), "\x81\x02ok");
        h1_drive_dispose(&drive);
    }
}

// Row 11 of the threats (CVE-2024-23326), seen from the client: what it has sent for a tunnel is the next request, or none at all.
static void bytes_behind_a_refused_upgrade_are_no_tunnel(void **state) {
    (void)state;
    static const uint16_t statuses[] = {200, 204, 403, 426, 502};
    for (unsigned i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        struct h1_drive drive;
        begin(&drive, CODEC_SERVER, i % SPLITS);
        h1_feed(&drive, BYTES(ASK "\r\n\x81\x05hello"));
        assert_int_equal(answer(&drive, statuses[i], true), OK);
        assert_true(codec_stream_is_done(&codec_owner_stream(&drive.owner, 0)->stream));
        assert_false(drive.owner.codec->is_tunnel);
        assert_int_equal(codec_owner_resume(&drive.owner), OK);
        assert_int_equal(drive.owner.count, 2);
        assert_int_equal(drive.owner.last->failed, ERROR_BAD_REQUEST);
        assert_int_equal(codec_owner_stream(&drive.owner, 0)->body.len, 0);
        h1_drive_dispose(&drive);
        begin(&drive, CODEC_SERVER, i % SPLITS);
        h1_feed(&drive, BYTES(ASK "\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_int_equal(answer(&drive, statuses[i], true), OK);
        assert_int_equal(codec_owner_resume(&drive.owner), OK);
        assert_string_equal(received(&drive), ASKED "stream 2\nhead GET http a /2 11 length=-1 end\nHost: a\nend\n");
        h1_drive_dispose(&drive);
    }
}

static void a_101_is_sent_only_where_it_was_asked_for(void **state) {
    (void)state;
    struct h1_drive drive;
    begin(&drive, CODEC_SERVER, 0);
    (void)!codec_owner_feed(&drive.owner, BYTES("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_int_equal(answer(&drive, 101, false), ERROR_INTERNAL);
    h1_drive_dispose(&drive);
}

static void each_direction_ends_by_itself(void **state) {
    (void)state;
    for (unsigned first = 0; first < 2; first++) {
        struct h1_drive drive;
        begin(&drive, CODEC_SERVER, 0);
        h1_feed(&drive, BYTES(ASK "\r\n"));
        assert_int_equal(answer(&drive, 101, false), OK);
        struct owner_stream *item = drive.owner.last;
        const struct codec *codec = drive.owner.codec;
        if (first == 0) {
            assert_int_equal(codec_owner_feed_end(&drive.owner), OK);
            assert_true(item->ended && !codec->ends_output && !codec->close_when_flushed);
            owner_stream_send(item, BYTES("late"), true, NULL);
        } else {
            owner_stream_send(item, BYTES("last"), true, NULL);
            assert_true(codec->ends_output && !item->ended && !codec->close_when_flushed);
            h1_feed(&drive, BYTES("more"));
            assert_int_equal(item->body.len, 4);
            assert_int_equal(codec_owner_feed_end(&drive.owner), OK);
        }
        assert_true(item->ended && codec->ends_output && codec->close_when_flushed && !codec->breaks_off);
        assert_true(codec_stream_is_done(&item->stream));
        h1_drive_dispose(&drive);
    }
}

// A client may have ended its side before it had its answer: the tunnel opens with that direction at its end.
static void an_end_before_the_101_is_told_behind_it(void **state) {
    (void)state;
    struct h1_drive drive;
    begin(&drive, CODEC_SERVER, 0);
    h1_feed(&drive, BYTES(ASK "\r\n"));
    assert_int_equal(codec_owner_feed_end(&drive.owner), OK);
    assert_false(drive.owner.last->ended);
    assert_int_equal(answer(&drive, 101, false), OK);
    assert_int_equal(codec_owner_feed_end(&drive.owner), OK);
    assert_true(drive.owner.last->ended);
    h1_drive_dispose(&drive);
}

// A tunnel that breaks off must not look to the other end as if it had ended.
static void a_cut_is_a_reset_where_somebody_went_away(void **state) {
    (void)state;
    static const struct {
        enum error error;
        bool breaks_off;
    } cuts[] = {{ERROR_CLIENT_GONE, true},
                {ERROR_RESPONSE_INCOMPLETE, true},
                {ERROR_CANCELLED, true},
                {ERROR_REQUEST_TIMEOUT, false},
                {ERROR_DRAINING, false}};
    for (unsigned i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        struct h1_drive drive;
        begin(&drive, CODEC_SERVER, 0);
        h1_feed(&drive, BYTES(ASK "\r\n"));
        assert_int_equal(answer(&drive, 101, false), OK);
        drive.owner.codec->ops->reset(drive.owner.codec, &drive.owner.last->stream, cuts[i].error);
        assert_int_equal(drive.owner.codec->breaks_off, cuts[i].breaks_off);
        assert_true(drive.owner.codec->close_when_flushed);
        h1_drive_dispose(&drive);
    }
}

// --- client ---

static void a_101_opens_the_tunnel_and_what_is_behind_it_is_of_it(void **state) {
    (void)state;
    for (unsigned i = 0; i < SPLITS; i++) {
        struct h1_drive drive;
        begin(&drive, CODEC_CLIENT, i);
        struct owner_stream *item = ask(&drive);
        h1_feed(&drive,
                BYTES("HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\n"
                      "Sec-WebSocket-Accept: x\r\nContent-Length: 7\r\n\r\n\x81\x02hi"));
        h1_feed(&drive, BYTES("HTTP/1.1 200 OK\r\n\r\n"));
        assert_string_equal(received(&drive), "stream 1\nhead 103 Early Hints 11 length=-1\nA: b\nhead 101 Switching Protocols 11 length=-1\n"
                                              "Sec-WebSocket-Accept: x\nbody 23 \x81\x02hiHTTP/1.1 200 OK\r\n\r\n\n");
        assert_true(drive.owner.codec->is_tunnel && drive.owner.codec->refuses_new);
        owner_stream_send(item, BYTES("up"), false, NULL);
        assert_string_equal(sent(&drive), "up");
        assert_int_equal(codec_owner_feed_end(&drive.owner), OK);
        assert_true(item->ended && !drive.owner.codec->close_when_flushed);
        owner_stream_send(item, BYTES("last"), true, NULL);
        assert_string_equal(sent(&drive), "last");
        assert_true(drive.owner.codec->ends_output && drive.owner.codec->close_when_flushed);
        h1_drive_dispose(&drive);
    }
}

static void a_101_to_another_protocol_is_a_failed_upgrade(void **state) {
    (void)state;
    static const char *const lines[] = {"Upgrade: h2c\r\nConnection: upgrade\r\n", "Upgrade: websocket\r\n", "Connection: upgrade\r\n", ""};
    for (unsigned i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct h1_drive drive;
        struct text text = {0};
        begin(&drive, CODEC_CLIENT, i % SPLITS);
        struct owner_stream *item = ask(&drive);
        text_format(&text, "HTTP/1.1 101 Switching Protocols\r\n%s\r\n", lines[i]);
        h1_feed(&drive, text_bytes(&text));
        assert_int_equal(item->failed, ERROR_UPGRADE_FAILED);
        assert_true(drive.owner.codec->close_when_flushed && !drive.owner.codec->is_tunnel);
        text_dispose(&text);
        h1_drive_dispose(&drive);
    }
}

// Whatever the server thinks that it has answered: nothing is sent behind the request, and no other one follows on that connection.
static void a_refusal_is_a_plain_response_and_the_last_on_its_connection(void **state) {
    (void)state;
    for (unsigned i = 0; i < SPLITS; i++) {
        struct h1_drive drive;
        begin(&drive, CODEC_CLIENT, i);
        struct owner_stream *item = ask(&drive);
        h1_feed(&drive, BYTES("HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\nok"));
        assert_string_equal(received(&drive), "stream 1\nhead 200 OK 11 length=2\nContent-Length: 2\nbody 2 ok\nend\n");
        assert_true(drive.owner.codec->refuses_new && !drive.owner.codec->is_tunnel);
        owner_stream_send(item, BYTES("smuggled"), true, NULL);
        assert_string_equal(sent(&drive), "");
        assert_true(drive.owner.codec->close_when_flushed);
        h1_drive_dispose(&drive);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_websocket_is_asked_for),
        cmocka_unit_test(protocols_may_be_offered_in_a_list_and_in_any_case),
        cmocka_unit_test(upgrade_with_a_body_is_a_plain_request),
        cmocka_unit_test(bytes_behind_an_upgrade_wait_for_the_101),
        cmocka_unit_test(bytes_behind_a_refused_upgrade_are_no_tunnel),
        cmocka_unit_test(a_101_is_sent_only_where_it_was_asked_for),
        cmocka_unit_test(each_direction_ends_by_itself),
        cmocka_unit_test(an_end_before_the_101_is_told_behind_it),
        cmocka_unit_test(a_cut_is_a_reset_where_somebody_went_away),
        cmocka_unit_test(a_101_opens_the_tunnel_and_what_is_behind_it_is_of_it),
        cmocka_unit_test(a_101_to_another_protocol_is_a_failed_upgrade),
        cmocka_unit_test(a_refusal_is_a_plain_response_and_the_last_on_its_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
