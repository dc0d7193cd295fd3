// What a client's first bytes are, however they are cut: HTTP/2 by its preface, TLS by its first message, HTTP/1 or opaque bytes for all else.
#include "downstream/detect.h"

#include "http/h2_codec.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static enum detected detect_bytes(struct bytes in, bool tls) {
    struct client_hello hello;
    return detect(in, (struct detect_options){.tls = tls}, &hello);
}

static enum detected detect_text(const char *text, bool tls) {
    return detect_bytes(bytes_from_text(text), tls);
}

// Everything shorter says MORE or the same; the whole and what follows say `expected`.
static void assert_detected(struct bytes in, bool tls, enum detected expected) {
    bool told = false;
    for (size_t length = 0; length <= in.len; length++) {
        enum detected now = detect_bytes(bytes_from(in.at, length), tls);
        if (told)
            assert_int_equal(now, expected);
        else if (now != DETECTED_MORE)
            assert_int_equal(now, expected);
        told = now != DETECTED_MORE;
    }
    assert_true(told);
}

static void a_preface_is_http2_and_nothing_shorter(void **state) {
    (void)state;
    struct bytes preface = bytes_from(h2_client_preface, sizeof h2_client_preface);
    for (size_t length = 0; length < preface.len; length++)
        assert_int_equal(detect_bytes(bytes_from(preface.at, length), false), DETECTED_MORE);
    assert_detected(preface, false, DETECTED_HTTP2);
    assert_detected(preface, true, DETECTED_HTTP2);
}

static void all_else_is_http1(void **state) {
    (void)state;
    static const char *const texts[] = {"GET / HTTP/1.1\r\n", "P", "PRI * HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n\r\nXX", "\r\n", "\x15\x03\x01", "\xff"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        enum detected expected = strcmp(texts[i], "P") == 0 ? DETECTED_MORE : DETECTED_HTTP1;
        assert_int_equal(detect_text(texts[i], false), expected);
        assert_int_equal(detect_text(texts[i], true), expected);
    }
    assert_int_equal(detect_text("PO", false), DETECTED_HTTP1);
    assert_int_equal(detect_text("\x16\x03\x01\x02", false), DETECTED_HTTP1); // where no TLS is expected
}

static void tls_is_told_by_its_first_message_where_it_is_expected(void **state) {
    (void)state;
    struct client_hello hello;
    const struct detect_options options = {.tls = true};
    struct bytes in = BYTES("\x16\x03\x01\x00\x01\x02");
    assert_int_equal(detect(in, options, &hello), DETECTED_TLS);
    assert_int_equal(detect(bytes_from(in.at, 3), options, &hello), DETECTED_MORE);
    assert_int_equal(detect(in, (struct detect_options){0}, &hello), DETECTED_HTTP1);
}

static void what_is_no_http_is_opaque_where_that_is_expected(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum detected expected;
    } cases[] = {
        {"GET / HTTP/1.1\r\n", DETECTED_HTTP1},
        {"OPTIONS * HTTP/1.1\r\n", DETECTED_HTTP1},
        {"CONNECT a:1 HTTP/1.1\r\n", DETECTED_HTTP1},
        {"PUT http://a/ HTTP/1.1", DETECTED_HTTP1},
        {"GET HTTPS://a/ HTTP/1.1", DETECTED_HTTP1},
        {"PROPFIND /x HTTP/1.1", DETECTED_HTTP1},
        {"get / HTTP/1.1", DETECTED_HTTP1},
        {"GET \t / HTTP/1.1", DETECTED_HTTP1},
        {"\r\n\n\rGET / HTTP/1.1", DETECTED_HTTP1},
        {"PRI * HTTP/1.1", DETECTED_HTTP1},
        {"\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", DETECTED_HTTP1},
        {"GET key\r\n", DETECTED_OPAQUE},
        {"GET https\r\n", DETECTED_OPAQUE},
        {"PING\r\n", DETECTED_OPAQUE},
        {"SELECT * FROM t", DETECTED_OPAQUE},
        {"KEYS *\r\n", DETECTED_OPAQUE},
        {"/ HTTP/1.1", DETECTED_OPAQUE},
        {" GET / HTTP/1.1", DETECTED_OPAQUE},
        {"EHLO http.example\r\n", DETECTED_OPAQUE},
        {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", DETECTED_OPAQUE},
        {"EHLO a\r\n", DETECTED_OPAQUE},
        {"\x16\x03\x01", DETECTED_OPAQUE},
        {"\xff", DETECTED_OPAQUE},
    };
    struct client_hello hello;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum detected detected = DETECTED_MORE;
        for (size_t length = 0; length <= strlen(cases[i].text) && detected == DETECTED_MORE; length++)
            detected = detect(bytes_from(cases[i].text, length), (struct detect_options){.opaque = true}, &hello);
        assert_int_equal(detected, cases[i].expected);
    }
    assert_int_equal(detect(BYTES("GET "), (struct detect_options){.opaque = true}, &hello), DETECTED_MORE);
    assert_int_equal(detect(BYTES("\r\n\r\n\0\r\nQUIT\n"), (struct detect_options){.opaque = true}, &hello), DETECTED_OPAQUE);
}

static void what_a_request_begins_with_is_still_that_after_a_while(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum detected expected;
    } cases[] = {
        {"G", DETECTED_MORE},          {"PROPF", DETECTED_MORE}, {"M-SEARCH", DETECTED_MORE}, {"GET ", DETECTED_MORE},   {"GET ht", DETECTED_MORE},
        {"PRI * HTTP", DETECTED_MORE}, {"\r\n", DETECTED_MORE},  {"X_1", DETECTED_OPAQUE},    {"ruok", DETECTED_OPAQUE}, {"12", DETECTED_OPAQUE},
    };
    struct client_hello hello;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bytes in = bytes_from_text(cases[i].text);
        assert_int_equal(detect(in, (struct detect_options){.opaque = true}, &hello), DETECTED_MORE);
        assert_int_equal(detect(in, (struct detect_options){.opaque = true, .waited = true}, &hello), cases[i].expected);
    }
}

static void where_no_http_is_expected_all_but_tls_is_opaque(void **state) {
    (void)state;
    struct client_hello hello;
    const struct detect_options options = {.tls = true, .no_http = true};
    assert_int_equal(detect(BYTES("P"), options, &hello), DETECTED_OPAQUE);
    assert_int_equal(detect(BYTES("GET / HTTP/1.1"), options, &hello), DETECTED_OPAQUE);
    assert_int_equal(detect(BYTES("\x16\x03"), options, &hello), DETECTED_MORE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_preface_is_http2_and_nothing_shorter),
        cmocka_unit_test(all_else_is_http1),
        cmocka_unit_test(tls_is_told_by_its_first_message_where_it_is_expected),
        cmocka_unit_test(what_is_no_http_is_opaque_where_that_is_expected),
        cmocka_unit_test(what_a_request_begins_with_is_still_that_after_a_while),
        cmocka_unit_test(where_no_http_is_expected_all_but_tls_is_opaque),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
