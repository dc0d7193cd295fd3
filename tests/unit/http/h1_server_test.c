// h1_codec as a server: what requests become, which are refused and how, how responses are framed, and when the connection ends. Every input is fed
// whole, byte by byte and in random pieces, and must come to the same.
#include "h1_drive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

struct outcome {
    struct text received;
    struct text sent;
    bool closes;
    enum error failed; // of the last stream
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
    *outcome = (struct outcome){.closes = drive.owner.codec->close_when_flushed};
    text_add(&outcome->received, text_bytes(&drive.received));
    text_add(&outcome->sent, text_bytes(&drive.sent));
    if (drive.owner.last != NULL)
        outcome->failed = drive.owner.last->failed;
    h1_drive_dispose(&drive);
}

static void outcome_dispose(struct outcome *outcome) {
    text_dispose(&outcome->received);
    text_dispose(&outcome->sent);
}

// Runs whole, byte by byte and in random pieces; all the same.
static void run_with(struct outcome *outcome, struct bytes in, bool end, const struct codec_limits *limits) {
    run_once(outcome, in, end, SPLIT_WHOLE, 0, limits);
    for (uint64_t seed = 0; seed < 8; seed++) {
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

// The request is taken, answered, and the connection goes on.
static void assert_received(const char *in, const char *received) {
    struct outcome outcome;
    run(&outcome, in);
    assert_string_equal(outcome.received.at, received);
    assert_false(outcome.closes);
    outcome_dispose(&outcome);
}

static void assert_refused_bytes(struct bytes in, enum error error) {
    struct codec_limits limits = codec_owner_limits();
    struct outcome outcome;
    run_with(&outcome, in, false, &limits);
    assert_string_equal(error_name(outcome.failed), error_name(error));
    assert_true(outcome.closes);
    // The reply can still be sent, and says that it is the last.
    assert_non_null(strstr(outcome.sent.at, "HTTP/1.1 400 Bad Request\r\n"));
    assert_non_null(strstr(outcome.sent.at, "Connection: close\r\n\r\nok"));
    outcome_dispose(&outcome);
}

static void assert_refused(const char *in, enum error error) {
    assert_refused_bytes(bytes_from_text(in), error);
}

// Refused with its reply when `line` stands in a request that is else in order.
static void assert_line_refused(const char *line, enum error error) {
    struct text in = {0};
    text_format(&in, "POST / HTTP/1.1\r\nHost: a\r\n%s\r\n\r\nabc", line);
    assert_refused_bytes(text_bytes(&in), error);
    text_dispose(&in);
}

static void assert_target_refused(const char *method, const char *target, enum error error) {
    struct text in = {0};
    text_format(&in, "%s %s HTTP/1.1\r\nHost: a\r\n\r\n", method, target);
    assert_refused_bytes(text_bytes(&in), error);
    text_dispose(&in);
}

// ---- heads

static void fields_keep_order_and_case_and_lose_outer_white_space(void **state) {
    (void)state;
    assert_received("GET /a?b=c HTTP/1.1\r\nHost: example.org\r\nx-EMPTY:\r\nX: y z \t \r\nX:\t2\r\n\r\n",
                    "stream 1\n"
                    "head GET http example.org /a?b=c 11 length=-1 end\n"
                    "Host: example.org\n"
                    "x-EMPTY: \n"
                    "X: y z\n"
                    "X: 2\n"
                    "end\n");
}

// llhttp leaves white space behind a value when a tab is in it.
static void white_space_with_a_tab_behind_a_value_is_trimmed(void **state) {
    (void)state;
    assert_received("GET / HTTP/1.1\r\nHost: a\r\nA: a b \t \r\n\r\n", "stream 1\n"
                                                                       "head GET http a / 11 length=-1 end\n"
                                                                       "Host: a\n"
                                                                       "A: a b\n"
                                                                       "end\n");
}

static void method_unknown_to_llhttp_is_501(void **state) {
    (void)state;
    assert_refused("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", ERROR_METHOD_UNKNOWN);
    assert_refused("GE / HTTP/1.1\r\nHost: a\r\n\r\n", ERROR_METHOD_UNKNOWN);
    assert_refused("GETX / HTTP/1.1\r\nHost: a\r\n\r\n", ERROR_METHOD_UNKNOWN);
    assert_refused("get / HTTP/1.1\r\nHost: a\r\n\r\n", ERROR_METHOD_UNKNOWN);
    assert_refused("DESCRIBE / HTTP/1.1\r\nHost: a\r\n\r\n", ERROR_METHOD_UNKNOWN);
    assert_refused("DESCRIBE / FOO/1.1\r\nHost: a\r\n\r\n", ERROR_METHOD_UNKNOWN);
}

static void method_that_we_have_no_number_for_is_kept_as_text(void **state) {
    (void)state;
    assert_received("PROPFIND /dav HTTP/1.1\r\nHost: a\r\n\r\n", "stream 1\nhead PROPFIND http a /dav 11 length=-1 end\nHost: a\nend\n");
    assert_received("M-SEARCH /dav HTTP/1.1\r\nHost: a\r\n\r\n", "stream 1\nhead M-SEARCH http a /dav 11 length=-1 end\nHost: a\nend\n");
}

static void garbage_gets_a_400_although_no_request_was_seen(void **state) {
    (void)state;
    assert_refused("\x16\x03\x01\x02", ERROR_BAD_REQUEST);
    assert_refused(" GET / HTTP/1.1\r\n", ERROR_BAD_REQUEST);
    assert_refused("GET\t/ HTTP/1.1\r\n", ERROR_BAD_REQUEST);
    assert_refused("GET / FOO/1.1\r\n", ERROR_BAD_REQUEST);
}

static void connect_and_trace_are_refused(void **state) {
    (void)state;
    assert_refused("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\nxyz", ERROR_METHOD_UNKNOWN);
    assert_refused("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", ERROR_METHOD_UNKNOWN);
}

static void version_is_exactly_1_0_or_1_1(void **state) {
    (void)state;
    assert_refused("GET / HTTP/2.0\r\nHost: a\r\n\r\n", ERROR_VERSION_UNSUPPORTED);
    assert_refused("GET / HTTP/0.9\r\nHost: a\r\n\r\n", ERROR_VERSION_UNSUPPORTED);
    assert_refused("GET /\r\nHost: a\r\n\r\n", ERROR_VERSION_UNSUPPORTED);
    assert_refused("GET / HTTP/1.2\r\nHost: a\r\n\r\n", ERROR_VERSION_UNSUPPORTED);
    assert_refused("GET / HTTP/1.10\r\nHost: a\r\n\r\n", ERROR_VERSION_UNSUPPORTED);
    assert_refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ERROR_VERSION_UNSUPPORTED);
}

static void protocol_is_http_and_not_rtsp_or_ice(void **state) {
    (void)state;
    assert_refused("GET / RTSP/1.0\r\nHost: a\r\n\r\n", ERROR_BAD_REQUEST);
    assert_refused("SOURCE / ICE/1.0\r\nHost: a\r\n\r\n", ERROR_BAD_REQUEST);
}

static void target_with_fragment_control_or_beyond_ascii_is_refused(void **state) {
    (void)state;
    assert_target_refused("GET", "/admin#x", ERROR_BAD_REQUEST);
    assert_target_refused("GET", "/#", ERROR_BAD_REQUEST);
    assert_target_refused("GET", "http://a#x", ERROR_BAD_REQUEST);
    assert_target_refused("GET", "/a\x01", ERROR_BAD_REQUEST);
    assert_target_refused("GET", "/a\x7f", ERROR_BAD_REQUEST);
    assert_target_refused("GET", "/a\tb", ERROR_BAD_REQUEST);
    assert_target_refused("GET", "/a\xc3\xa9", ERROR_BAD_REQUEST);
    assert_target_refused("GET", "/a b", ERROR_BAD_REQUEST);
    assert_refused("GET  HTTP/1.1\r\nHost: a\r\n\r\n", ERROR_BAD_REQUEST);
}

// Whether a request with `c` at this place of it must be taken as it is.
static bool is_allowed_in_target(int c) {
    return c > 0x20 && c < 0x7f && c != '#';
}

static bool is_allowed_in_name(int c) {
    return is_token(bytes_from(&(char){(char)c}, 1)) || c == ':'; // which ends it
}

static bool is_allowed_in_value(int c) {
    return c == '\t' || (c >= 0x20 && c != 0x7f);
}

#define LITERAL(text) \
    { "" text, sizeof(text) - 1 }

// Every byte, in the target, in a name, in a value: passed on as it is, or refused; never cut (CVE-2019-9900).
static void one_space_stands_in_front_of_the_target(void **state) {
    (void)state;
    assert_refused("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", ERROR_BAD_REQUEST);
    assert_refused("GET    / HTTP/1.1\r\nHost: a\r\n\r\n", ERROR_BAD_REQUEST);
}

static void no_control_character_passes_in_target_name_or_value(void **state) {
    (void)state;
    static const struct {
        struct bytes before;
        struct bytes behind;
        bool (*is_allowed)(int c);
    } places[] = {
        {LITERAL("GET /x"), LITERAL("y HTTP/1.1\r\nHost: a\r\n\r\n"), is_allowed_in_target},
        {LITERAL("GET / HTTP/1.1\r\nHost: a\r\nX"), LITERAL("y: 1\r\n\r\n"), is_allowed_in_name},
        {LITERAL("GET / HTTP/1.1\r\nHost: a\r\nX: 1"), LITERAL("2\r\n\r\n"), is_allowed_in_value},
    };
    struct codec_limits limits = codec_owner_limits();
    for (size_t place = 0; place < sizeof(places) / sizeof(places[0]); place++) {
        for (int c = 0; c < 256; c++) {
            struct text in = {0};
            text_add(&in, places[place].before);
            text_add(&in, bytes_from(&(char){(char)c}, 1));
            text_add(&in, places[place].behind);
            struct outcome outcome;
            run_with(&outcome, text_bytes(&in), false, &limits);
            if (places[place].is_allowed(c) != (outcome.failed == OK))
                fail_msg("place %zu, byte %d: %s", place, c, error_name(outcome.failed));
            outcome_dispose(&outcome);
            text_dispose(&in);
        }
    }
}

static void bare_cr_and_bare_lf_are_refused(void **state) {
    (void)state;
    assert_refused("GET / HTTP/1.1\nHost: a\n\n", ERROR_VERSION_UNSUPPORTED);
    assert_refused("GET / HTTP/1.1\r\nHost: a\n\r\n", ERROR_BAD_REQUEST);
    assert_refused("GET / HTTP/1.1\r\nHost: a\r\n\n", ERROR_BAD_REQUEST);
    assert_refused("GET / HTTP/1.1\r\nHost: a\rX: 1\r\n\r\n", ERROR_BAD_REQUEST);
    assert_refused("GET / HTTP/1.1\r\nHost: a\r\n\rX", ERROR_BAD_REQUEST);
}

static void folded_line_is_refused(void **state) {
    (void)state;
    assert_refused("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", ERROR_BAD_REQUEST);
    assert_refused("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\t2\r\n\r\n", ERROR_BAD_REQUEST);
    assert_refused("GET / HTTP/1.1\r\nHost: a\r\nX:\r\n 2\r\n\r\n", ERROR_BAD_REQUEST);
}

static void white_space_before_the_colon_or_the_first_line_is_refused(void **state) {
    (void)state;
    assert_line_refused("X : 1", ERROR_BAD_REQUEST);
    assert_line_refused("X\t: 1", ERROR_BAD_REQUEST);
    assert_line_refused(": 1", ERROR_BAD_REQUEST);
    assert_line_refused("X", ERROR_BAD_REQUEST);
    assert_refused("GET / HTTP/1.1\r\n Host: a\r\n\r\n", ERROR_BAD_REQUEST);
}

static void empty_lines_before_a_request_are_skipped_up_to_a_bound(void **state) {
    (void)state;
    assert_received("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "stream 1\nhead GET http a / 11 length=-1 end\nHost: a\nend\n");
    assert_refused("\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", ERROR_BAD_REQUEST);
}

static void empty_lines_are_counted_for_each_request(void **state) {
    (void)state;
    struct text in = {0};
    for (int i = 0; i < 6; i++)
        text_format(&in, "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    struct outcome outcome;
    run(&outcome, in.at);
    assert_int_equal(outcome.failed, OK);
    assert_false(outcome.closes);
    outcome_dispose(&outcome);
    text_dispose(&in);
}

// ---- Host and targets

static void host_is_there_once_and_valid(void **state) {
    (void)state;
    assert_refused("GET / HTTP/1.1\r\n\r\n", ERROR_BAD_REQUEST);
    assert_refused("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", ERROR_BAD_REQUEST);
    assert_refused("GET / HTTP/1.1\r\nHost:\r\n\r\n", ERROR_BAD_REQUEST);
    assert_refused("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", ERROR_BAD_REQUEST);
    assert_refused("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", ERROR_BAD_REQUEST);
    assert_refused("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", ERROR_BAD_REQUEST);
    assert_refused("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", ERROR_BAD_REQUEST);
    assert_refused("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", ERROR_BAD_REQUEST);
    assert_refused("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", ERROR_BAD_REQUEST);
    assert_refused("GET / HTTP/1.1\r\nHost: [fe80::1%eth0]\r\n\r\n", ERROR_BAD_REQUEST);
    assert_received("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "stream 1\nhead GET http [::1]:80 / 11 length=-1 end\nHost: [::1]:80\nend\n");
}

static void request_of_1_0_needs_no_host(void **state) {
    (void)state;
    struct outcome outcome;
    run(&outcome, "GET / HTTP/1.0\r\n\r\n");
    assert_string_equal(outcome.received.at, "stream 1\nhead GET http  / 10 length=-1 end\nend\n");
    outcome_dispose(&outcome);
}

static void absolute_form_wins_over_host_and_becomes_origin_form(void **state) {
    (void)state;
    assert_received("GET http://b.example:81/p?q HTTP/1.1\r\nhost: a\r\n\r\n",
                    "stream 1\nhead GET http b.example:81 /p?q 11 length=-1 end\nhost: b.example:81\nend\n");
    assert_received("GET HTTPS://b HTTP/1.1\r\nHost: a\r\n\r\n", "stream 1\nhead GET https b / 11 length=-1 end\nHost: b\nend\n");
    assert_received("GET http://b?q=/ HTTP/1.1\r\nHost: a\r\n\r\n", "stream 1\nhead GET http b /?q=/ 11 length=-1 end\nHost: b\nend\n");
    assert_received("OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n", "stream 1\nhead OPTIONS http b * 11 length=-1 end\nHost: b\nend\n");
    assert_received("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "stream 1\nhead OPTIONS http a * 11 length=-1 end\nHost: a\nend\n");
    assert_target_refused("GET", "http://u:p@b/", ERROR_BAD_REQUEST);
    assert_target_refused("GET", "http:///p", ERROR_BAD_REQUEST);
    assert_target_refused("GET", "http://", ERROR_BAD_REQUEST);
    assert_target_refused("GET", "ftp://b/", ERROR_BAD_REQUEST);
    assert_target_refused("GET", "*", ERROR_BAD_REQUEST);
    assert_target_refused("OPTIONS", "*x", ERROR_BAD_REQUEST);
    assert_target_refused("GET", "a:80", ERROR_BAD_REQUEST);
    assert_target_refused("GET", "path", ERROR_BAD_REQUEST);
    assert_refused("GET http://b/ HTTP/1.1\r\n\r\n", ERROR_BAD_REQUEST);
    assert_refused("GET http://b/ HTTP/1.1\r\nHost: @\r\n\r\n", ERROR_BAD_REQUEST);
}

// ---- framing

static void body_of_a_stated_length_is_taken_to_its_end(void **state) {
    (void)state;
    assert_received("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
                    "stream 1\n"
                    "head POST http a / 11 length=5\n"
                    "Host: a\n"
                    "Content-Length: 5\n"
                    "body 5 hello\n"
                    "end\n"
                    "stream 2\n"
                    "head GET http a /2 11 length=0 end\n"
                    "Host: a\n"
                    "Content-Length: 0\n"
                    "end\n");
}

static void chunked_body_is_taken_with_its_trailers(void **state) {
    (void)state;
    assert_received("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=y\r\nabc\r\n0A\r\n0123456789\r\n0\r\n\r\n",
                    "stream 1\nhead POST http a / 11 length=-1\nHost: a\nbody 13 abc0123456789\nend\n");
    assert_received("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-T: 1 \t\r\nhost: b\r\nConnection: close\r\nTE: "
                    "x\r\nExpires: 0\r\n\r\n",
                    "stream 1\nhead POST http a / 11 length=-1\nHost: a\nend\nX-T: 1\nExpires: 0\n");
}

static void transfer_encoding_with_content_length_is_refused(void **state) {
    (void)state;
    assert_line_refused("Content-Length: 3\r\nTransfer-Encoding: chunked", ERROR_FRAMING_INVALID);
    assert_line_refused("Transfer-Encoding: chunked\r\nContent-Length: 3", ERROR_FRAMING_INVALID);
    assert_line_refused("Transfer-Encoding: gzip, chunked\r\nContent-Length: 3", ERROR_FRAMING_INVALID);
}

static void transfer_encoding_not_ending_in_chunked_is_refused(void **state) {
    (void)state;
    assert_line_refused("Transfer-Encoding: gzip", ERROR_FRAMING_INVALID);
    assert_line_refused("Transfer-Encoding: identity", ERROR_FRAMING_INVALID);
    assert_line_refused("Transfer-Encoding: chunked, gzip", ERROR_FRAMING_INVALID);
    assert_line_refused("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", ERROR_FRAMING_INVALID);
    assert_line_refused("Transfer-Encoding: chunked, chunked", ERROR_FRAMING_INVALID);
    assert_line_refused("Transfer-Encoding: xchunked", ERROR_FRAMING_INVALID);
    assert_line_refused("Transfer-Encoding: \x0b"
                        "chunked",
                        ERROR_BAD_REQUEST);
    assert_line_refused("Transfer-Encoding:", ERROR_FRAMING_INVALID);
    assert_line_refused("Transfer-Encoding: \"chunked\"", ERROR_FRAMING_INVALID);
}

static void unknown_transfer_coding_is_501(void **state) {
    (void)state;
    assert_line_refused("Transfer-Encoding: gzip, chunked", ERROR_METHOD_UNKNOWN);
    assert_line_refused("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", ERROR_METHOD_UNKNOWN);
}

static void transfer_encoding_on_1_0_is_refused(void **state) {
    (void)state;
    assert_refused("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ERROR_FRAMING_INVALID);
    assert_refused("POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ERROR_FRAMING_INVALID);
}

static void invalid_content_length_is_refused(void **state) {
    (void)state;
    static const char *const values[] = {
        "", "+3", "-3", "3 3", "3,4", "0x3", "3a", "99999999999999999999", "18446744073709551616", "9223372036854775808"};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        char line[64];
        snprintf(line, sizeof(line), "Content-Length: %s", values[i]);
        assert_line_refused(line, ERROR_FRAMING_INVALID);
    }
}

// RFC 9112 section 6.3 lets a recipient refuse equal ones too; llhttp leaves us no other choice.
static void second_content_length_is_refused_even_if_equal(void **state) {
    (void)state;
    assert_line_refused("Content-Length: 3\r\nContent-Length: 3", ERROR_FRAMING_INVALID);
    assert_line_refused("Content-Length: 3\r\nContent-Length: 4", ERROR_FRAMING_INVALID);
    assert_line_refused("Content-Length: 3, 3", ERROR_FRAMING_INVALID);
}

static void assert_chunks_refused(const char *body) {
    struct text in = {0};
    text_format(&in, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%s", body);
    assert_refused_bytes(text_bytes(&in), ERROR_FRAMING_INVALID);
    text_dispose(&in);
}

static void invalid_chunks_are_refused(void **state) {
    (void)state;
    assert_chunks_refused("x\r\n");
    assert_chunks_refused("0x3\r\nabc\r\n0\r\n\r\n");
    assert_chunks_refused("-1\r\n");
    assert_chunks_refused("3\nabc\r\n0\r\n\r\n");
    assert_chunks_refused("3 \r\nabc\r\n0\r\n\r\n");
    assert_chunks_refused("3\r\nabcd\r\n0\r\n\r\n");
    assert_chunks_refused("3\r\nabc0\r\n\r\n");
    assert_chunks_refused("3\r\nabc\n0\r\n\r\n");
    assert_chunks_refused("3\rabc");
    assert_chunks_refused("\r\n");
    assert_chunks_refused("3;a\nb\r\nabc\r\n");
    assert_chunks_refused("0\r\nContent-Length: 3\r\n\r\n");
    assert_chunks_refused("0\r\nX : 1\r\n\r\n");
}

static void chunk_size_overflow_is_refused(void **state) {
    (void)state;
    assert_chunks_refused("10000000000000000\r\n");
    assert_chunks_refused("fffffffffffffffff\r\n");
}

static void chunk_extensions_are_bounded(void **state) {
    (void)state;
    struct text body = {0};
    for (int i = 0; i < 100; i++)
        text_format(&body, "1;%0200d\r\nx\r\n", 0);
    assert_chunks_refused(body.at);
    text_clear(&body);
    text_format(&body, "1;a=\"%017000d\"\r\nx\r\n", 0);
    assert_chunks_refused(body.at);
    text_dispose(&body);
}

static void trailers_are_bounded(void **state) {
    (void)state;
    struct text in = {0};
    text_format(&in, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n");
    for (int i = 0; i < 101; i++)
        text_format(&in, "X: %d\r\n", i);
    text_format(&in, "\r\n");
    assert_refused_bytes(text_bytes(&in), ERROR_HEADERS_TOO_LARGE);
    text_dispose(&in);
}

static void trailers_that_connection_names_are_dropped(void **state) {
    (void)state;
    assert_received(
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: x-hop\r\nX-Hop: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx-HOP: 2\r\nX-T: 3\r\n\r\n",
        "stream 1\nhead POST http a / 11 length=-1\nHost: a\nend\nX-T: 3\n");
}

// ---- limits

static void assert_limited(struct text *in, const struct codec_limits *limits, enum error error) {
    struct outcome outcome;
    run_with(&outcome, text_bytes(in), false, limits);
    assert_string_equal(error_name(outcome.failed), error_name(error));
    assert_int_equal(outcome.closes, error != OK);
    outcome_dispose(&outcome);
    text_clear(in);
}

static void heads_are_bounded(void **state) {
    (void)state;
    struct codec_limits limits = codec_owner_limits();
    limits.headers = 4;
    limits.header_bytes = 1000;
    limits.url_bytes = 100;
    struct text in = {0};
    text_format(&in, "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n");
    assert_limited(&in, &limits, OK);
    text_format(&in, "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n\r\n");
    assert_limited(&in, &limits, ERROR_HEADERS_TOO_LARGE);
    // Host: 5 + 32, A: 2 + 32 and the value
    text_format(&in, "GET / HTTP/1.1\r\nHost: a\r\nA: %0*d\r\n\r\n", 1000 - 37 - 33, 0);
    assert_limited(&in, &limits, OK);
    text_format(&in, "GET / HTTP/1.1\r\nHost: a\r\nA: %0*d\r\n\r\n", 1000 - 37 - 33 + 1, 0);
    assert_limited(&in, &limits, ERROR_HEADERS_TOO_LARGE);
    text_format(&in, "GET / HTTP/1.1\r\nHost: a\r\n%0*d: 1\r\n\r\n", 1001, 0);
    assert_limited(&in, &limits, ERROR_HEADERS_TOO_LARGE);
    text_format(&in, "GET / HTTP/1.1\r\nHost: a\r\nA:%*s1\r\n\r\n", 2000, "");
    assert_limited(&in, &limits, ERROR_HEADERS_TOO_LARGE);
    text_format(&in, "GET /%0*d HTTP/1.1\r\nHost: a\r\n\r\n", 99, 0);
    assert_limited(&in, &limits, OK);
    text_format(&in, "GET /%0*d HTTP/1.1\r\nHost: a\r\n\r\n", 100, 0);
    assert_limited(&in, &limits, ERROR_URI_TOO_LONG);
    text_dispose(&in);
}

static void head_that_never_ends_is_refused_before_it_takes_memory(void **state) {
    (void)state;
    struct codec_limits limits = codec_owner_limits();
    struct h1_drive drive;
    h1_drive_init(&drive, CODEC_SERVER, &limits);
    h1_feed(&drive, BYTES("GET / HTTP/1.1\r\nX:"));
    char spaces[8192];
    memset(spaces, ' ', sizeof(spaces));
    for (int i = 0; i < 20; i++)
        h1_feed(&drive, bytes_from(spaces, sizeof(spaces)));
    assert_true(drive.owner.streams->has_failed);
    assert_int_equal(drive.owner.streams->failed, ERROR_HEADERS_TOO_LARGE);
    h1_drive_dispose(&drive);
}

// For logs: who is refused on what.
static void what_was_read_of_a_refused_head_is_kept(void **state) {
    (void)state;
    static const struct {
        const char *in, *shown;
    } cases[] = {
        {"GET /a#b HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n", "GET a /a#b 2"},
        {"GET /a HTTP/1.1\r\nHost: u:p@a\r\n\r\n", "GET u:p@a /a 1"},
        {"TRACE /a HTTP/1.1\r\nHost: a\r\n\r\n", "TRACE a /a 1"},
        {"POST /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "POST a /a 2"},
        {"GET /a HTTP/1.7\r\nHost: a\r\n\r\n", "GET  /a 0"},
        {"GET", "   0"}, // and then the client went
        {"GET /a HTTP/1.1\r\nHost: a\r\nX: y", "GET a /a 2"},
    };
    struct codec_limits limits = codec_owner_limits();
    for (size_t i = 0; i < 3 * (sizeof cases / sizeof cases[0]); i++) {
        static const enum h1_split splits[] = {SPLIT_WHOLE, SPLIT_BYTES, SPLIT_RANDOM};
        struct h1_drive drive;
        char shown[128];
        h1_drive_init(&drive, CODEC_SERVER, &limits);
        drive.split = splits[i % 3];
        rng_init(&drive.rng, i);
        h1_feed(&drive, bytes_from_text(cases[i / 3].in));
        h1_feed_end(&drive);
        assert_true(drive.owner.streams->has_failed);
        const struct head *head = &drive.owner.streams->stream.head;
        (void)snprintf(shown, sizeof shown, "%.*s %.*s %.*s %u", BYTES_FORMAT(head->method_text), BYTES_FORMAT(head->authority),
                       BYTES_FORMAT(head->path), head->fields.count);
        assert_string_equal(shown, cases[i / 3].shown);
        h1_drive_dispose(&drive);
    }
}

static void head_gathered_without_memory_is_refused(void **state) {
    (void)state;
    struct codec_limits limits = codec_owner_limits();
    struct h1_drive drive;
    h1_drive_init(&drive, CODEC_SERVER, &limits);
    try_alloc_fail_after(1);
    h1_feed(&drive, BYTES("GET / HTTP/1.1\r\nHo"));
    assert_true(drive.owner.streams->has_failed);
    assert_int_equal(drive.owner.streams->failed, ERROR_MEMORY_LIMIT);
    h1_drive_dispose(&drive);
}

// ---- fields of the connection

static void fields_of_the_connection_are_taken_out(void **state) {
    (void)state;
    assert_received("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Hop ,TE\r\nX-Hop: 1\r\nx-hop: 2\r\nKeep-Alive: timeout=5\r\n"
                    "TE: gzip, trailers\r\nProxy-Connection: keep-alive\r\nUpgrade: x\r\nY: 1\r\n\r\n",
                    "stream 1\nhead GET http a / 11 length=-1 end te-trailers\nHost: a\nY: 1\nend\n");
}

static void trailers_are_for_1_1(void **state) {
    (void)state;
    assert_received("GET / HTTP/1.0\r\nHost: a\r\nTE: trailers\r\nConnection: TE, keep-alive\r\n\r\n",
                    "stream 1\nhead GET http a / 10 length=-1 end\nHost: a\nend\n");
}

static void connection_cannot_take_away_what_decisions_rest_on(void **state) {
    (void)state;
    assert_received("GET / HTTP/1.1\r\nHost: a\r\nConnection: host, authorization, x-forwarded-for, cookie, outrigger-protocol, x-request-id\r\n"
                    "Authorization: b\r\nX-Forwarded-For: 1\r\nCookie: c\r\nX-Request-Id: 7\r\nOutrigger-Protocol: 2\r\n\r\n",
                    "stream 1\nhead GET http a / 11 length=-1 end\nHost: a\nAuthorization: b\nX-Forwarded-For: 1\nCookie: c\nX-Request-Id: 7\n"
                    "Outrigger-Protocol: 2\nend\n");
}

static void connection_that_names_too_much_is_refused(void **state) {
    (void)state;
    struct text line = {0};
    text_format(&line, "Connection: a");
    for (int i = 0; i < CONNECTION_OPTIONS_MAX; i++)
        text_format(&line, ",a%d", i);
    assert_line_refused(line.at, ERROR_BAD_REQUEST);
    text_dispose(&line);
}

static void expectation_is_100_continue_or_refused(void **state) {
    (void)state;
    assert_received("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\nx",
                    "stream 1\nhead POST http a / 11 length=1 expect\nHost: a\nContent-Length: 1\nbody 1 x\nend\n");
    assert_received("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n", "stream 1\nhead GET http a / 11 length=-1 end\nHost: a\nend\n");
    assert_line_refused("Expect: coffee\r\nContent-Length: 3", ERROR_EXPECTATION);
    assert_line_refused("Expect: 100-continue\r\nExpect: coffee\r\nContent-Length: 3", ERROR_EXPECTATION);
    assert_received("POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
                    "stream 1\nhead POST http a / 10 length=1\nHost: a\nContent-Length: 1\nbody 1 x\nend\n");
}

// ---- connections

static void assert_sent(const char *in, bool end, const char *sent, bool closes) {
    struct codec_limits limits = codec_owner_limits();
    struct outcome outcome;
    run_with(&outcome, bytes_from_text(in), end, &limits);
    assert_string_equal(outcome.sent.at, sent);
    assert_int_equal(outcome.closes, closes);
    outcome_dispose(&outcome);
}

static void connection_lives_as_version_and_connection_field_say(void **state) {
    (void)state;
    assert_sent("GET / HTTP/1.1\r\nHost: a\r\n\r\n", false, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false);
    assert_sent("GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, Close\r\n\r\n", false,
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", true);
    assert_sent("GET / HTTP/1.0\r\n\r\n", false, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", true);
    assert_sent("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", false, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok",
                false);
    assert_sent("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n", false,
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", true);
}

static void pipelined_requests_wait_for_the_response_before(void **state) {
    (void)state;
    struct codec_limits limits = codec_owner_limits();
    struct h1_drive drive;
    h1_drive_init(&drive, CODEC_SERVER, &limits);
    struct bytes second = BYTES("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)!codec_owner_feed(&drive.owner, BYTES("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_int_equal(drive.owner.count, 1);
    assert_int_equal(drive.owner.held.len, second.len);
    (void)!codec_owner_resume(&drive.owner);
    assert_int_equal(drive.owner.held.len, second.len);
    h1_react(&drive);
    assert_int_equal(drive.owner.count, 2);
    assert_int_equal(drive.owner.held.len, 0);
    h1_drive_dispose(&drive);
}

static void peer_that_closed_its_side_still_gets_its_response(void **state) {
    (void)state;
    struct codec_limits limits = codec_owner_limits();
    struct h1_drive drive;
    h1_drive_init(&drive, CODEC_SERVER, &limits);
    (void)!codec_owner_feed(&drive.owner, BYTES("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    (void)!codec_owner_feed_end(&drive.owner);
    assert_false(drive.owner.codec->close_when_flushed);
    h1_react(&drive);
    assert_true(drive.owner.codec->close_when_flushed);
    h1_drive_collect(&drive);
    assert_string_equal(drive.sent.at, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    h1_drive_dispose(&drive);
}

static void idle_connection_that_the_peer_closed_ends(void **state) {
    (void)state;
    assert_sent("", true, "", true);
    assert_sent("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true);
}

static void request_cut_off_by_the_peer_is_gone(void **state) {
    (void)state;
    static const char *const cut[] = {"G", "GET / HTTP/1.1\r\nHost: a\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc",
                                      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"};
    struct codec_limits limits = codec_owner_limits();
    for (size_t i = 0; i < sizeof(cut) / sizeof(cut[0]); i++) {
        struct outcome outcome;
        run_with(&outcome, bytes_from_text(cut[i]), true, &limits);
        assert_int_equal(outcome.failed, ERROR_CLIENT_GONE);
        assert_true(outcome.closes);
        assert_int_equal(outcome.sent.len, 0);
        outcome_dispose(&outcome);
    }
}

static void drain_ends_the_connection_with_the_next_response(void **state) {
    (void)state;
    struct codec_limits limits = codec_owner_limits();
    struct h1_drive drive;
    h1_drive_init(&drive, CODEC_SERVER, &limits);
    drive.owner.codec->ops->signal(drive.owner.codec, CODEC_DRAIN);
    assert_false(drive.owner.codec->close_when_flushed);
    h1_feed(&drive, BYTES("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    h1_drive_collect(&drive);
    assert_string_equal(drive.sent.at, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    assert_true(drive.owner.codec->close_when_flushed);
    h1_drive_dispose(&drive);
}

static void reset_ends_the_connection(void **state) {
    (void)state;
    struct codec_limits limits = codec_owner_limits();
    struct h1_drive drive;
    h1_drive_init(&drive, CODEC_SERVER, &limits);
    (void)!codec_owner_feed(&drive.owner, BYTES("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"));
    struct codec_stream *stream = &drive.owner.streams->stream;
    drive.owner.codec->ops->reset(drive.owner.codec, stream, ERROR_CANCELLED);
    assert_null(stream->codec);
    assert_true(codec_stream_is_done(stream));
    assert_true(drive.owner.codec->close_when_flushed);
    // What still comes is dropped.
    assert_int_equal(codec_owner_feed(&drive.owner, BYTES("defghiGET / HTTP/1.1\r\n\r\n")), OK);
    assert_int_equal(drive.owner.held.len, 0);
    assert_int_equal(drive.owner.count, 1);
    h1_drive_dispose(&drive);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_keep_order_and_case_and_lose_outer_white_space),
        cmocka_unit_test(white_space_with_a_tab_behind_a_value_is_trimmed),
        cmocka_unit_test(method_unknown_to_llhttp_is_501),
        cmocka_unit_test(method_that_we_have_no_number_for_is_kept_as_text),
        cmocka_unit_test(garbage_gets_a_400_although_no_request_was_seen),
        cmocka_unit_test(connect_and_trace_are_refused),
        cmocka_unit_test(version_is_exactly_1_0_or_1_1),
        cmocka_unit_test(protocol_is_http_and_not_rtsp_or_ice),
        cmocka_unit_test(target_with_fragment_control_or_beyond_ascii_is_refused),
        cmocka_unit_test(one_space_stands_in_front_of_the_target),
        cmocka_unit_test(no_control_character_passes_in_target_name_or_value),
        cmocka_unit_test(bare_cr_and_bare_lf_are_refused),
        cmocka_unit_test(folded_line_is_refused),
        cmocka_unit_test(white_space_before_the_colon_or_the_first_line_is_refused),
        cmocka_unit_test(empty_lines_before_a_request_are_skipped_up_to_a_bound),
        cmocka_unit_test(empty_lines_are_counted_for_each_request),
        cmocka_unit_test(host_is_there_once_and_valid),
        cmocka_unit_test(request_of_1_0_needs_no_host),
        cmocka_unit_test(absolute_form_wins_over_host_and_becomes_origin_form),
        cmocka_unit_test(body_of_a_stated_length_is_taken_to_its_end),
        cmocka_unit_test(chunked_body_is_taken_with_its_trailers),
        cmocka_unit_test(transfer_encoding_with_content_length_is_refused),
        cmocka_unit_test(transfer_encoding_not_ending_in_chunked_is_refused),
        cmocka_unit_test(unknown_transfer_coding_is_501),
        cmocka_unit_test(transfer_encoding_on_1_0_is_refused),
        cmocka_unit_test(invalid_content_length_is_refused),
        cmocka_unit_test(second_content_length_is_refused_even_if_equal),
        cmocka_unit_test(invalid_chunks_are_refused),
        cmocka_unit_test(chunk_size_overflow_is_refused),
        cmocka_unit_test(chunk_extensions_are_bounded),
        cmocka_unit_test(trailers_are_bounded),
        cmocka_unit_test(trailers_that_connection_names_are_dropped),
        cmocka_unit_test(heads_are_bounded),
        cmocka_unit_test(head_that_never_ends_is_refused_before_it_takes_memory),
        cmocka_unit_test(head_gathered_without_memory_is_refused),
        cmocka_unit_test(what_was_read_of_a_refused_head_is_kept),
        cmocka_unit_test(fields_of_the_connection_are_taken_out),
        cmocka_unit_test(trailers_are_for_1_1),
        cmocka_unit_test(connection_cannot_take_away_what_decisions_rest_on),
        cmocka_unit_test(connection_that_names_too_much_is_refused),
        cmocka_unit_test(expectation_is_100_continue_or_refused),
        cmocka_unit_test(connection_lives_as_version_and_connection_field_say),
        cmocka_unit_test(pipelined_requests_wait_for_the_response_before),
        cmocka_unit_test(peer_that_closed_its_side_still_gets_its_response),
        cmocka_unit_test(idle_connection_that_the_peer_closed_ends),
        cmocka_unit_test(request_cut_off_by_the_peer_is_gone),
        cmocka_unit_test(drain_ends_the_connection_with_the_next_response),
        cmocka_unit_test(reset_ends_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
