// h1_codec as a server: what requests become, which are refused and how, and when the connection ends. Every input is fed whole, byte by
// byte and in random pieces, and must come to the same.
#include "h1_drive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct outcome {
    struct text received;
    struct text sent;
    bool closes;
};

static void run_once(struct outcome *outcome, struct bytes in, bool end, enum h1_split split, uint64_t seed, const struct codec_limits *limits) {
    struct h1_drive drive;
    h1_drive_init(&drive, CODEC_SERVER, limits);
    drive.split = split;
    rng_init(&drive.rng, seed);
    h1_feed(&drive, in);
    if (end)
        h1_feed_end(&drive);
    h1_drive_collect(&drive);
    assert_int_equal(drive.owner.error, OK);
    *outcome = (struct outcome){0};
    text_add(&outcome->received, text_bytes(&drive.received));
    text_add(&outcome->sent, text_bytes(&drive.sent));
    outcome->closes = drive.owner.codec->close_when_flushed;
    h1_drive_dispose(&drive);
}

static void outcome_dispose(struct outcome *outcome) {
    text_dispose(&outcome->received);
    text_dispose(&outcome->sent);
}

// Runs whole, byte by byte and in random pieces; all the same.
static void run_with(struct outcome *outcome, struct bytes in, bool end, const struct codec_limits *limits) {
    run_once(outcome, in, end, SPLIT_WHOLE, 0, limits);
    for (uint64_t seed = 0; seed < 12; seed++) {
        struct outcome split;
        run_once(&split, in, end, seed == 0 ? SPLIT_BYTES : SPLIT_RANDOM, seed, limits);
        assert_string_equal(split.received.at, outcome->received.at);
        assert_string_equal(split.sent.at, outcome->sent.at);
        assert_int_equal(split.closes, outcome->closes);
        outcome_dispose(&split);
    }
}

static void run(struct outcome *outcome, const char *in) {
    struct codec_limits limits = codec_owner_limits();
    run_with(outcome, bytes_from_text(in), false, &limits);
}

static void assert_received(const char *in, const char *received) {
    struct outcome outcome;
    run(&outcome, in);
    assert_string_equal(outcome.received.at, received);
    assert_false(outcome.closes);
    outcome_dispose(&outcome);
}

static void test_smoke(void **state) {
    (void)state;
    assert_received("GET /a?b=c HTTP/1.1\r\nHost: example.org\r\nX-Empty:\r\nX: y z \t \r\n\r\n",
                    "stream 1\n"
                    "head GET http example.org /a?b=c 11 length=-1 end\n"
                    "Host: example.org\n"
                    "X-Empty: \n"
                    "X: y z\n"
                    "end\n");
    assert_received("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
                    "stream 1\n"
                    "head POST http a / 11 length=5\n"
                    "Host: a\n"
                    "Content-Length: 5\n"
                    "body 5 hello\n"
                    "end\n"
                    "stream 2\n"
                    "head GET http a /2 11 length=-1 end\n"
                    "Host: a\n"
                    "end\n");
    assert_received("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n02\r\nde\r\n0\r\nX-T: 1\r\nHost: b\r\n\r\n",
                    "stream 1\n"
                    "head POST http a / 11 length=-1\n"
                    "Host: a\n"
                    "body 5 abcde\n"
                    "end\n"
                    "X-T: 1\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_smoke),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
