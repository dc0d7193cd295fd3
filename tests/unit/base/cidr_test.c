// Addresses and ranges: which texts are one, and what is in it.
#include "base/cidr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static bool is_in(const char *range, const char *address) {
    struct cidr cidr;
    struct ip ip;
    assert_true(cidr_parse(bytes_from_text(range), &cidr));
    assert_true(ip_parse(bytes_from_text(address), &ip));
    return cidr_contains(&cidr, &ip);
}

static void a_range_has_all_that_begin_alike(void **state) {
    (void)state;
    static const struct {
        const char *range, *in, *out;
    } cases[] = {
        {"10.0.0.0/8", "10.255.255.255", "11.0.0.0"},
        {"10.0.0.0/8", "::ffff:10.1.2.3", "::10.1.2.3"},
        {"192.0.2.128/25", "192.0.2.128", "192.0.2.127"},
        {"192.0.2.7", "192.0.2.7", "192.0.2.6"},
        {"192.0.2.7/32", "192.0.2.7", "192.0.2.8"},
        {"0.0.0.0/0", "255.255.255.255", "2001:db8::1"},
        {"fd00::/8", "fdff::1", "fe00::1"},
        {"2001:db8::/47", "2001:db8:1:ffff::", "2001:db8:2::"},
        {"2001:db8::1", "2001:db8::1", "2001:db8::2"},
        {"::ffff:10.0.0.0/104", "10.9.9.9", "11.0.0.1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_true(is_in(cases[i].range, cases[i].in));
        assert_false(is_in(cases[i].range, cases[i].out));
    }
    assert_true(is_in("::/0", "10.0.0.1") && is_in("::/0", "2001:db8::1"));
}

static void what_is_no_range_is_refused(void **state) {
    (void)state;
    static const char *const wrong[] = {"",
                                        "/",
                                        "/8",
                                        "10.0.0.0/",
                                        "10.0.0.0/33",
                                        "10.0.0.0/08",
                                        "10.0.0.0/-1",
                                        "10.0.0.0/8 ",
                                        "10.0.0.0/1000",
                                        "10.0.0.0/8/8",
                                        "10.0.0.1/8",
                                        "10.0.0",
                                        "10.0.0.256",
                                        "010.0.0.1",
                                        "0x0a.0.0.1",
                                        "fd00::1/8",
                                        "fd00::/129",
                                        "fe80::1%eth0",
                                        "[::1]",
                                        "10.0.0.1:80",
                                        "localhost",
                                        "10.0.0.0/8,11.0.0.0/8"};
    struct cidr cidr;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(cidr_parse(bytes_from_text(wrong[i]), &cidr));
    assert_false(cidr_parse(BYTES("10.0.0.1\0x"), &cidr));
}

static void an_address_knows_its_family(void **state) {
    (void)state;
    struct ip ip;
    assert_true(ip_parse(BYTES("192.0.2.1"), &ip) && ip_is_v4(&ip));
    assert_true(ip_parse(BYTES("::ffff:192.0.2.1"), &ip) && ip_is_v4(&ip));
    assert_true(ip_parse(BYTES("2001:db8::1"), &ip) && !ip_is_v4(&ip));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_range_has_all_that_begin_alike),
        cmocka_unit_test(what_is_no_range_is_refused),
        cmocka_unit_test(an_address_knows_its_family),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
