// A ClientHello as OpenSSL writes it, cut into records and into arrivals in every way; and what no library would write, made by hand.
#include "downstream/client_hello.h"

#include "support/codec_owner.h"

#include <openssl/ssl.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void write_hello(struct text *hello, const char *alpn, size_t alpn_length, const char *name) {
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

// Everything shorter says MORE; the whole, and what follows it, is read.
static void assert_read(struct bytes in, struct client_hello *hello) {
    for (size_t length = 0; length < in.len; length++) {
        char *copy = malloc(length + 1); // exactly as long as it is, so that reading behind it is seen
        memcpy(copy, in.at, length);
        assert_int_equal(client_hello_read(bytes_from(copy, length), hello), CLIENT_HELLO_MORE);
        free(copy);
    }
    assert_int_equal(client_hello_read(in, hello), CLIENT_HELLO_READ);
}

static void name_and_protocols_are_read_however_it_arrives(void **state) {
    (void)state;
    static const struct {
        const char *alpn;
        size_t length;
        bool offers_mesh;
    } cases[] = {
        {"\x0boutrigger/1", 12, true},           {"\x02h2\x08http/1.1\x0boutrigger/1", 24, true},
        {"\x0foutrigger-tcp/1\x02h2", 19, true}, {"\x02h2\x08http/1.1", 12, false},
        {"\x0cnoutrigger/1", 13, false},         {NULL, 0, false},
    };
    struct text text = {0};
    struct client_hello hello;
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        const char *name = i % 2 == 0 ? NULL : "Courses.school.example";
        write_hello(&text, cases[i / 2].alpn, cases[i / 2].length, name);
        assert_read(text_bytes(&text), &hello);
        assert_int_equal(hello.offers_mesh, cases[i / 2].offers_mesh);
        assert_int_equal(hello.server_name_length, name == NULL ? 0 : strlen(name));
        assert_memory_equal(hello.server_name, "courses.school.example", hello.server_name_length);
        text_add(&text, BYTES("and more"));
        assert_int_equal(client_hello_read(text_bytes(&text), &hello), CLIENT_HELLO_READ);
    }
    text_dispose(&text);
}

// The message in records of `size` bytes.
static void cut_into_records(struct text *to, struct bytes hello, size_t size) {
    text_clear(to);
    for (size_t at = 5; at < hello.len; at += size) {
        size_t piece = size < hello.len - at ? size : hello.len - at;
        const char header[] = {0x16, 3, 1, (char)(piece >> 8), (char)piece};
        text_add(to, bytes_from(header, 5));
        text_add(to, bytes_from(hello.at + at, piece));
    }
}

static void it_may_be_cut_into_records_anywhere(void **state) {
    (void)state;
    struct text text = {0}, cut = {0};
    struct client_hello hello;
    write_hello(&text, "\x0boutrigger/1", 12, "a.example");
    for (size_t size = 1; size < text.len; size += size < 16 ? 1 : 37) {
        cut_into_records(&cut, text_bytes(&text), size);
        assert_read(text_bytes(&cut), &hello);
        assert_true(hello.offers_mesh);
        assert_memory_equal(hello.server_name, "a.example", 9);
    }
    text_dispose(&cut);
    text_dispose(&text);
}

// No byte of it may make us read outside of it, or write: each is changed in turn; ASan watches.
static void a_damaged_one_is_told_somehow(void **state) {
    (void)state;
    struct text text = {0};
    struct client_hello hello;
    write_hello(&text, "\x02h2\x0boutrigger/1", 15, "a.example");
    for (size_t i = 0; i < text.len; i++) {
        for (int change = 0; change < 3; change++) {
            char *copy = malloc(text.len);
            memcpy(copy, text.at, text.len);
            copy[i] = (char)(change == 0 ? 0 : change == 1 ? 0xff : copy[i] + 1);
            assert_in_range(client_hello_read(bytes_from(copy, text.len), &hello), CLIENT_HELLO_MORE, CLIENT_HELLO_NONE);
            free(copy);
        }
    }
    text_dispose(&text);
}

static void a_name_that_is_none_is_none(void **state) {
    (void)state;
    static const char *const names[] = {"a b", "a\r\nevil: 1", "a\x80", "10.0.0.1/x", "a:80", "[::1]"};
    struct text text = {0};
    struct client_hello hello;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        write_hello(&text, NULL, 0, names[i]);
        assert_int_equal(client_hello_read(text_bytes(&text), &hello), CLIENT_HELLO_READ);
        assert_int_equal(hello.server_name_length, 0);
    }
    text_dispose(&text);
}

// GREASE (RFC 8701) among everything, and an encrypted hello whose outer name is what counts.
static void what_is_unknown_is_passed_over(void **state) {
    (void)state;
    static const char body[] = "\x03\x03"
                               "0123456789abcdef0123456789abcdef"
                               "\0"
                               "\0\4\x1a\x1a\x13\1"
                               "\1\0"
                               "\0\x2f"
                               "\x2a\x2a\0\1\0"
                               "\xfe\x0d\0\6secret"
                               "\0\0\0\x0e\0\x0c\0\0\x09"
                               "a.example"
                               "\0\x10\0\6\0\4\3zzz"
                               "\x3a\x3a\0\0";
    const size_t length = sizeof body - 1;
    struct text text = {0};
    struct client_hello hello;
    const char header[] = {0x16, 3, 1, 0, (char)(length + 4), 1, 0, 0, (char)length};
    text_add(&text, bytes_from(header, sizeof header));
    text_add(&text, bytes_from(body, length));
    assert_read(text_bytes(&text), &hello);
    assert_int_equal(hello.server_name_length, 9);
    assert_memory_equal(hello.server_name, "a.example", 9);
    text_dispose(&text);
}

static void one_without_end_is_not_waited_for(void **state) {
    (void)state;
    struct client_hello hello;
    char *much = calloc(1, CLIENT_HELLO_MAX);
    memcpy(much, "\x16\x03\x01\x3f\xff\x01\x00\x1f\xfc", 9);
    assert_int_equal(client_hello_read(bytes_from(much, CLIENT_HELLO_MAX - 1), &hello), CLIENT_HELLO_MORE);
    assert_int_equal(client_hello_read(bytes_from(much, CLIENT_HELLO_MAX), &hello), CLIENT_HELLO_OTHER);
    much[7] = 0x20; // longer than what is looked at
    assert_int_equal(client_hello_read(bytes_from(much, 20), &hello), CLIENT_HELLO_OTHER);
    free(much);
}

static void what_is_no_client_hello_is_told(void **state) {
    (void)state;
    struct client_hello hello;
    assert_int_equal(client_hello_read(BYTES("\x16\x03\x01\x00\x01\x02"), &hello), CLIENT_HELLO_OTHER);
    assert_int_equal(client_hello_read(BYTES("\x16\x03\x01\x00\x00"), &hello), CLIENT_HELLO_OTHER);
    assert_int_equal(client_hello_read(BYTES("\x16\x03\x01\x00\x01\x01\x15"), &hello), CLIENT_HELLO_OTHER);
    assert_int_equal(client_hello_read(BYTES("\x15\x03"), &hello), CLIENT_HELLO_NONE);
    assert_int_equal(client_hello_read(BYTES("\x16\x02"), &hello), CLIENT_HELLO_NONE);
    assert_int_equal(client_hello_read(BYTES("GET / HTTP/1.1"), &hello), CLIENT_HELLO_NONE);
    assert_int_equal(client_hello_read(BYTES("\x16"), &hello), CLIENT_HELLO_MORE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(name_and_protocols_are_read_however_it_arrives),
        cmocka_unit_test(it_may_be_cut_into_records_anywhere),
        cmocka_unit_test(a_damaged_one_is_told_somehow),
        cmocka_unit_test(a_name_that_is_none_is_none),
        cmocka_unit_test(what_is_unknown_is_passed_over),
        cmocka_unit_test(one_without_end_is_not_waited_for),
        cmocka_unit_test(what_is_no_client_hello_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
