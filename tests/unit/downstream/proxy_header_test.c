// The PROXY protocol's header: every form, byte by byte; and every way to lie about a length.
#include "downstream/proxy_header.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define V2 "\r\n\r\n\0\r\nQUIT\n"

// All that is shorter says MORE, however much follows the whole is not looked at.
static void expect_read(struct bytes in, const char *address, uint16_t port) {
    struct proxy_header header;
    for (size_t length = 0; length < in.len; length++) {
        char *copy = malloc(length + 1);
        memcpy(copy, in.at, length);
        assert_int_equal(proxy_header_read(bytes_from(copy, length), &header), PROXY_HEADER_MORE);
        free(copy);
    }
    char *more = malloc(in.len + 5);
    memcpy(more, in.at, in.len);
    memcpy(more + in.len, "GET /", 5);
    assert_int_equal(proxy_header_read(bytes_from(more, in.len + 5), &header), PROXY_HEADER_READ);
    free(more);
    assert_int_equal(header.length, in.len);
    assert_int_equal(header.has_source, address != NULL);
    if (address == NULL)
        return;
    char text[INET6_ADDRSTRLEN];
    bool is_v4 = header.source.any.sa_family == AF_INET;
    const void *ip = is_v4 ? (const void *)&header.source.v4.sin_addr : (const void *)&header.source.v6.sin6_addr;
    assert_non_null(inet_ntop(header.source.any.sa_family, ip, text, sizeof text));
    assert_string_equal(text, address);
    assert_int_equal(ntohs(is_v4 ? header.source.v4.sin_port : header.source.v6.sin6_port), port);
}

static void expect_bad(struct bytes in) {
    struct proxy_header header;
    assert_int_equal(proxy_header_read(in, &header), PROXY_HEADER_BAD);
}

static void version_1_says_who_the_client_is(void **state) {
    (void)state;
    expect_read(BYTES("PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n"), "192.0.2.1", 56324);
    expect_read(BYTES("PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n"), "2001:db8::1", 1);
    expect_read(BYTES("PROXY UNKNOWN\r\n"), NULL, 0);
    expect_read(BYTES("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"), NULL, 0);
}

static void a_line_that_is_wrong_is_refused(void **state) {
    (void)state;
    static const char *const lines[] = {
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 65536 2\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 -1 2\r\n",
        "PROXY TCP4 1.1.1 2.2.2.2 1 2\r\n",
        "PROXY TCP4 ::1 ::2 1 2\r\n",
        "PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n",
        "PROXY TCP6 fe80::1%eth0 ::2 1 2\r\n",
        "PROXY TCP4 1.1.1.1  2.2.2.2 1 2\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\rX",
        "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 0x1 2\r\n",
        "PROXY UNKNOWNX\r\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        expect_bad(bytes_from_text(lines[i]));
    char line[200] = "PROXY UNKNOWN ";
    memset(line + 14, 'x', 150);
    expect_bad(bytes_from(line, 106));
    struct proxy_header header;
    assert_int_equal(proxy_header_read(bytes_from(line, 105), &header), PROXY_HEADER_MORE); // 107 with the end of the line
}

static void version_2_says_who_the_client_is(void **state) {
    (void)state;
    expect_read(BYTES(V2 "\x21\x11\0\x0c\xc0\0\2\1\x0a\0\0\1\xdc\x04\1\xbb"), "192.0.2.1", 56324);
    expect_read(BYTES(V2 "\x21\x21\0\x24 \1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1 \1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2\0\1\0\2"), "2001:db8::1", 1);
    expect_read(BYTES(V2 "\x20\0\0\0"), NULL, 0);                                                                 // LOCAL
    expect_read(BYTES(V2 "\x20\x11\0\x0c\xc0\0\2\1\x0a\0\0\1\xdc\x04\1\xbb"), NULL, 0);                           // LOCAL with addresses
    expect_read(BYTES(V2 "\x21\0\0\3abc"), NULL, 0);                                                              // UNSPEC: whatever follows
    expect_read(BYTES(V2 "\x21\x12\0\x0c\xc0\0\2\1\x0a\0\0\1\xdc\x04\1\xbb"), NULL, 0);                           // datagrams
    expect_read(BYTES(V2 "\x21\x11\0\x14\xc0\0\2\1\x0a\0\0\1\xdc\x04\1\xbb\2\0\1a\4\0\1\0"), "192.0.2.1", 56324); // two TLVs
}

static void a_header_that_lies_about_its_length_is_refused(void **state) {
    (void)state;
    expect_bad(BYTES(V2 "\x21\x11\0\x0b\xc0\0\2\1\x0a\0\0\1\xdc\x04\1"));           // shorter than its addresses
    expect_bad(BYTES(V2 "\x21\x11\0\x0e\xc0\0\2\1\x0a\0\0\1\xdc\x04\1\xbb\2\0"));   // a TLV with no length
    expect_bad(BYTES(V2 "\x21\x11\0\x0f\xc0\0\2\1\x0a\0\0\1\xdc\x04\1\xbb\2\0\1")); // a TLV that ends behind the header
    expect_bad(BYTES(V2 "\x21\x11\0\x10\xc0\0\2\1\x0a\0\0\1\xdc\x04\1\xbb\2\xff\xff"
                        "a"));                                                // the same by far
    expect_bad(BYTES(V2 "\x22\x11\0\x0c"));                                   // a command that is none
    expect_bad(BYTES(V2 "\x11\x11\0\x0c"));                                   // a version that is none
    expect_bad(BYTES(V2 "\x21\x11\xff\xff"));                                 // 64 KiB of TLVs are not waited for
    expect_bad(BYTES(V2 "\x21\x41\0\0"));                                     // a family that is none
    expect_bad(BYTES(V2 "\x21\x13\0\x0c\xc0\0\2\1\x0a\0\0\1\xdc\x04\1\xbb")); // a transport that is none
}

static void what_begins_with_something_else_has_none(void **state) {
    (void)state;
    static const char *const others[] = {"GET / HTTP/1.1", "PRI * HTTP/2.0", "PROPFIND /", "\x16\x03\x01", "\r\n\r\nGET", "proxy TCP4", "PROXYTCP4"};
    struct proxy_header header;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_int_equal(proxy_header_read(bytes_from_text(others[i]), &header), PROXY_HEADER_NONE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_1_says_who_the_client_is),         cmocka_unit_test(a_line_that_is_wrong_is_refused),
        cmocka_unit_test(version_2_says_who_the_client_is),         cmocka_unit_test(a_header_that_lies_about_its_length_is_refused),
        cmocka_unit_test(what_begins_with_something_else_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
