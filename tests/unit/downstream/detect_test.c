// What a client's first bytes are, however they are cut: HTTP/2 by its preface, TLS of the mesh by the ALPN of its ClientHello, and HTTP/1 for all else. What OpenSSL
// writes is taken as it is; what no library would write is made by hand.
#include "downstream/detect.h"

#include "http/h2_codec.h"
#include "support/codec_owner.h"

#include <openssl/ssl.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static enum detected detect_text(const char *text, bool tls) {
    return detect(bytes_from_text(text), tls);
}

// Everything shorter says MORE or the same; the whole and what follows say `expected`.
static void assert_detected(struct bytes in, bool tls, enum detected expected) {
    bool told = false;
    for (size_t length = 0; length <= in.len; length++) {
        enum detected now = detect(bytes_from(in.at, length), tls);
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
        assert_int_equal(detect(bytes_from(preface.at, length), false), DETECTED_MORE);
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

// --- ClientHellos as OpenSSL writes them ---

static void client_hello(struct text *hello, const char *alpn, size_t alpn_length, const char *name) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(context);
    BIO *out = BIO_new(BIO_s_mem());
    if (alpn_length > 0)
        assert_int_equal(SSL_set_alpn_protos(ssl, (const unsigned char *)alpn, (unsigned)alpn_length), 0);
    if (name != NULL)
        assert_int_equal(SSL_set_tlsext_host_name(ssl, name), 1);
    SSL_set_connect_state(ssl);
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), out);
    assert_true(SSL_do_handshake(ssl) < 0);
    char *at;
    long length = BIO_get_mem_data(out, &at);
    text_clear(hello);
    text_add(hello, bytes_from(at, (size_t)length));
    SSL_free(ssl);
    SSL_CTX_free(context);
}

static void a_client_hello_with_an_alpn_of_ours_is_of_the_mesh(void **state) {
    (void)state;
    static const struct {
        const char *alpn;
        size_t length;
        enum detected expected;
    } cases[] = {
        {"\x0boutrigger/1", 12, DETECTED_TLS_MESH},           {"\x02h2\x08http/1.1\x0boutrigger/1", 24, DETECTED_TLS_MESH},
        {"\x0foutrigger-tcp/1\x02h2", 19, DETECTED_TLS_MESH}, {"\x02h2\x08http/1.1", 12, DETECTED_TLS_OTHER},
        {"\x0cnoutrigger/1", 13, DETECTED_TLS_OTHER},         {NULL, 0, DETECTED_TLS_OTHER},
    };
    struct text hello = {0};
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        client_hello(&hello, cases[i / 2].alpn, cases[i / 2].length, i % 2 == 0 ? NULL : "courses.school.example");
        assert_detected(text_bytes(&hello), true, cases[i / 2].expected);
        // What follows it does not matter.
        text_add(&hello, BYTES("and more"));
        assert_int_equal(detect(text_bytes(&hello), true), cases[i / 2].expected);
    }
    text_dispose(&hello);
}

// No byte of it may make us read outside of it: each is changed in turn; ASan watches.
static void a_damaged_client_hello_is_told_somehow(void **state) {
    (void)state;
    struct text hello = {0};
    client_hello(&hello, "\x02h2\x0boutrigger/1", 15, "a.example");
    for (size_t i = 0; i < hello.len; i++) {
        for (int change = 0; change < 3; change++) {
            char *copy = malloc(hello.len); // exactly as long as it is
            memcpy(copy, hello.at, hello.len);
            copy[i] = (char)(change == 0 ? 0 : change == 1 ? 0xff : copy[i] + 1);
            enum detected detected = detect(bytes_from(copy, hello.len), true);
            assert_in_range(detected, DETECTED_MORE, DETECTED_TLS_OTHER);
            free(copy);
        }
    }
    for (size_t length = 0; length < hello.len; length++) {
        char *copy = malloc(length + 1);
        memcpy(copy, hello.at, length);
        // The record says that it is complete.
        if (length >= 5) {
            copy[3] = (char)((length - 5) >> 8);
            copy[4] = (char)(length - 5);
        }
        enum detected detected = detect(bytes_from(copy, length), true);
        assert_true(length < 5 || detected == DETECTED_TLS_OTHER || detected == DETECTED_TLS_MESH);
        free(copy);
    }
    text_dispose(&hello);
}

static void a_client_hello_in_two_records_is_none_of_ours(void **state) {
    (void)state;
    struct text hello = {0};
    client_hello(&hello, "\x0boutrigger/1", 12, NULL);
    struct text split = {0};
    size_t rest = hello.len - 5 - 10;
    const char first[] = {0x16, 3, 1, 0, 10};
    const char second[] = {0x16, 3, 1, (char)(rest >> 8), (char)rest};
    text_add(&split, bytes_from(first, 5));
    text_add(&split, bytes_from(hello.at + 5, 10));
    text_add(&split, bytes_from(second, 5));
    text_add(&split, bytes_from(hello.at + 15, rest));
    assert_int_equal(detect(text_bytes(&split), true), DETECTED_TLS_OTHER);
    text_dispose(&split);
    text_dispose(&hello);
}

static void a_client_hello_without_end_is_not_waited_for(void **state) {
    (void)state;
    char *much = calloc(1, DETECT_BYTES_MAX);
    much[0] = 0x16;
    much[1] = 3;
    much[3] = 0x7f;
    much[5] = 1;
    assert_int_equal(detect(bytes_from(much, DETECT_BYTES_MAX - 1), true), DETECTED_MORE);
    assert_int_equal(detect(bytes_from(much, DETECT_BYTES_MAX), true), DETECTED_TLS_OTHER);
    free(much);
}

static void another_handshake_message_is_none_of_ours(void **state) {
    (void)state;
    assert_int_equal(detect(bytes_from("\x16\x03\x01\x00\x01\x02", 6), true), DETECTED_TLS_OTHER);
    assert_int_equal(detect(bytes_from("\x16\x03\x01\x00\x00", 5), true), DETECTED_TLS_OTHER);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_preface_is_http2_and_nothing_shorter),
        cmocka_unit_test(all_else_is_http1),
        cmocka_unit_test(a_client_hello_with_an_alpn_of_ours_is_of_the_mesh),
        cmocka_unit_test(a_damaged_client_hello_is_told_somehow),
        cmocka_unit_test(a_client_hello_in_two_records_is_none_of_ours),
        cmocka_unit_test(a_client_hello_without_end_is_not_waited_for),
        cmocka_unit_test(another_handshake_message_is_none_of_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
