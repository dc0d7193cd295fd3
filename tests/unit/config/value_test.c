// Durations, sizes, numbers, addresses and names of documents, from text and back.
#include "config/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/un.h>

#include <cmocka.h>

static void durations_are_those_of_gep_2257(void **state) {
    (void)state;
    static const struct {
        const char *text;
        nanoseconds value;
    } good[] = {{"0s", 0},
                {"250ms", 250 * NS_PER_MS},
                {"1h30m", 5400 * NS_PER_S},
                {"99999h", UINT64_C(99999) * 3600 * NS_PER_S},
                {"1h1m1s1ms", 3661 * NS_PER_S + NS_PER_MS},
                {"1s1h", 3601 * NS_PER_S},
                {"99999h99999h99999h99999h", UINT64_C(4) * 99999 * 3600 * NS_PER_S}};
    static const char *const bad[] = {"", "5", "s", "1.5s", "-1s", "100000s", "1d", "1s1s1s1s1s", "1 s", " 1s", "1s ", "1us", "1S", "0"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        nanoseconds value = 1;
        assert_true(duration_parse(bytes_from_text(good[i].text), &value));
        assert_true(value == good[i].value);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        nanoseconds value;
        if (duration_parse(bytes_from_text(bad[i]), &value))
            fail_msg("\"%s\" was taken for a duration", bad[i]);
    }
}

static void quantities_have_binary_and_decimal_units(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t value;
    } good[] = {{"0", 0},
                {"100", 100},
                {"64Ki", 65536},
                {"16Mi", 16 << 20},
                {"2k", 2000},
                {"3M", 3000000},
                {"1Gi", 1u << 30},
                {"18446744073709551615", UINT64_MAX},
                {"1Ti", 1ull << 40},
                {"4G", 4000000000},
                {"1T", 1000000000000}};
    static const char *const bad[] = {"",           "Ki", "1.5Ki", "-1", "64KiB", "64K", "1ki", "18446744073709551616",
                                      "16777216Ti", "08", "1 Ki",  "1m", "1e3"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        uint64_t value = 1;
        if (!quantity_parse(bytes_from_text(good[i].text), &value))
            fail_msg("%s", good[i].text);
        assert_true(value == good[i].value);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t value;
        if (quantity_parse(bytes_from_text(bad[i]), &value))
            fail_msg("\"%s\" was taken for a size", bad[i]);
    }
}

static void integers_are_plain_decimal(void **state) {
    (void)state;
    static const char *const bad[] = {"", "+1", "-1", "010", "0x10", "1_000", "1:30", "1.0", "1e3", "99999999999999999999"};
    uint64_t value;
    assert_true(integer_parse(BYTES("0"), &value) && value == 0);
    assert_true(integer_parse(BYTES("10000"), &value) && value == 10000);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (integer_parse(bytes_from_text(bad[i]), &value))
            fail_msg("\"%s\" was taken for a number", bad[i]);
}

static void addresses_are_literal(void **state) {
    (void)state;
    struct socket_address address;
    assert_true(address_parse(BYTES("127.0.0.1:8000"), ADDRESS_PORT, &address));
    assert_int_equal(address.storage.ss_family, AF_INET);
    assert_int_equal(address.length, sizeof(struct sockaddr_in));
    assert_int_equal(address_port(&address), 8000);
    assert_true(bytes_equal(address.text, BYTES("127.0.0.1:8000")));
    assert_true(address_parse(BYTES("[::1]:80"), ADDRESS_PORT, &address));
    assert_int_equal(address.storage.ss_family, AF_INET6);
    assert_int_equal(address.length, sizeof(struct sockaddr_in6));
    assert_int_equal(address_port(&address), 80);
    static const char *const bad[] = {"",
                                      "127.0.0.1",
                                      "127.0.0.1:",
                                      "127.0.0.1:0",
                                      "127.0.0.1:65536",
                                      "127.0.0.1:080",
                                      "localhost:80",
                                      ":80",
                                      "[::1]",
                                      "[::1]80",
                                      "::1:80",
                                      "[::1",
                                      "[]:80",
                                      "[fe80::1%eth0]:80",
                                      "[127.0.0.1]:80",
                                      "1.2.3:80",
                                      "127.0.0.1:80 ",
                                      "unix:/a",
                                      "[::ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:1",
                                      "127.0.0.1:-1",
                                      "127.0.0.1:8 0"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (address_parse(bytes_from_text(bad[i]), ADDRESS_PORT, &address))
            fail_msg("\"%s\" was taken for an address", bad[i]);
}

static void a_scoped_ipv6_address_is_refused_by_every_form(void **state) {
    (void)state;
    struct socket_address address;
    assert_false(address_parse(BYTES("[fe80::1%eth0]:80"), ADDRESS_PORT | ADDRESS_PORT_OPTIONAL | ADDRESS_UNIX, &address));
    assert_false(address_parse(BYTES("[fe80::1%1]"), ADDRESS_PORT | ADDRESS_PORT_OPTIONAL | ADDRESS_UNIX, &address));
}

static void the_port_may_be_left_out_where_that_is_allowed(void **state) {
    (void)state;
    struct socket_address address;
    assert_true(address_parse(BYTES("10.0.0.5"), ADDRESS_PORT_OPTIONAL, &address));
    assert_int_equal(address_port(&address), 0);
    address_set_port(&address, 8080);
    assert_int_equal(address_port(&address), 8080);
    assert_true(address_parse(BYTES("[2001:db8::1]"), ADDRESS_PORT_OPTIONAL, &address));
    address_set_port(&address, 8081);
    assert_int_equal(address_port(&address), 8081);
    assert_false(address_parse(BYTES("10.0.0.5:"), ADDRESS_PORT_OPTIONAL, &address));
}

static void a_unix_socket_has_an_absolute_path_that_fits(void **state) {
    (void)state;
    struct socket_address address;
    char longest[5 + sizeof(((struct sockaddr_un *)0)->sun_path)];
    assert_true(address_parse(BYTES("unix:/run/admin.sock"), ADDRESS_UNIX, &address));
    struct sockaddr_un un;
    memcpy(&un, &address.storage, sizeof(un));
    assert_int_equal(un.sun_family, AF_UNIX);
    assert_string_equal(un.sun_path, "/run/admin.sock");
    assert_int_equal(address_port(&address), 0);
    assert_false(address_parse(BYTES("unix:"), ADDRESS_UNIX, &address));
    assert_false(address_parse(BYTES("unix:/"), ADDRESS_UNIX, &address));
    assert_false(address_parse(BYTES("unix:admin.sock"), ADDRESS_UNIX, &address));
    memset(longest, 'x', sizeof(longest));
    memcpy(longest, "unix:/", 6);
    assert_true(address_parse(bytes_from(longest, sizeof(longest) - 1), ADDRESS_UNIX, &address));
    assert_false(address_parse(bytes_from(longest, sizeof(longest)), ADDRESS_UNIX, &address));
}

static void names_are_those_of_rfc_1123(void **state) {
    (void)state;
    assert_true(is_label(BYTES("a")) && is_label(BYTES("courses-1")) && is_label(BYTES("1a")));
    assert_false(is_label(BYTES("")) || is_label(BYTES("-a")) || is_label(BYTES("a-")) || is_label(BYTES("A")) || is_label(BYTES("a.b")) ||
                 is_label(BYTES("a_b")));
    char label[64];
    memset(label, 'a', sizeof(label));
    assert_true(is_label(bytes_from(label, 63)));
    assert_false(is_label(bytes_from(label, 64)));
    assert_true(is_subdomain(BYTES("a.b-c.1")) && is_subdomain(BYTES("a")));
    assert_false(is_subdomain(BYTES("")) || is_subdomain(BYTES("a..b")) || is_subdomain(BYTES(".a")) || is_subdomain(BYTES("a.")) ||
                 is_subdomain(BYTES("a/b")));
    char name[254];
    memset(name, 'a', sizeof(name));
    for (size_t i = 50; i < sizeof(name); i += 51)
        name[i] = '.';
    name[253] = 'a';
    assert_true(is_subdomain(bytes_from(name, 253)));
    assert_false(is_subdomain(bytes_from(name, 254)));
}

static void what_is_printed_can_be_read_again(void **state) {
    (void)state;
    static const char *const durations[] = {"0s", "1ms", "1m30s", "24h", "1h1m1s1ms", "99999h"};
    static const char *const quantities[] = {"0", "1", "64Ki", "16Mi", "1025", "1Ti"};
    char text[FORMAT_MAX];
    for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
        nanoseconds value;
        assert_true(duration_parse(bytes_from_text(durations[i]), &value));
        duration_format(value, text);
        assert_string_equal(text, durations[i]);
    }
    for (size_t i = 0; i < sizeof(quantities) / sizeof(quantities[0]); i++) {
        uint64_t value;
        assert_true(quantity_parse(bytes_from_text(quantities[i]), &value));
        quantity_format(value, text);
        assert_string_equal(text, quantities[i]);
    }
    duration_format(UINT64_MAX, text); // the longest fits
    quantity_format(UINT64_MAX, text);
    assert_string_equal(text, "18446744073709551615");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_those_of_gep_2257),
        cmocka_unit_test(quantities_have_binary_and_decimal_units),
        cmocka_unit_test(integers_are_plain_decimal),
        cmocka_unit_test(addresses_are_literal),
        cmocka_unit_test(a_scoped_ipv6_address_is_refused_by_every_form),
        cmocka_unit_test(the_port_may_be_left_out_where_that_is_allowed),
        cmocka_unit_test(a_unix_socket_has_an_absolute_path_that_fits),
        cmocka_unit_test(names_are_those_of_rfc_1123),
        cmocka_unit_test(what_is_printed_can_be_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
