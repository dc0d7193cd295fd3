// What a file of hosts says of a name.
#include "net/dns_hosts.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static union address found[DNS_HOSTS_ADDRESSES_MAX];

static const struct bytes file = BYTES_OF("127.0.0.1 localhost\n"
                                          "# 10.0.0.9 courses\n"
                                          "10.0.0.1\tcourses courses.example # 10.0.0.8 courses\r\n"
                                          "fd00::1  Courses\n"
                                          "rubbish courses\n"
                                          "10.0.0.2\n"
                                          "10.0.0.3 other");

static void every_line_that_has_the_name_gives_its_address(void **state) {
    (void)state;
    assert_int_equal(dns_hosts_find_in(file, BYTES("courses"), found), 2);
    assert_int_equal(found[0].any.sa_family, AF_INET);
    assert_int_equal(ntohl(found[0].v4.sin_addr.s_addr), 0x0a000001);
    assert_int_equal(found[1].any.sa_family, AF_INET6);
    assert_int_equal(dns_hosts_find_in(file, BYTES("COURSES.example"), found), 1);
    assert_int_equal(dns_hosts_find_in(file, BYTES("other"), found), 1);
}

static void what_is_not_there_is_not_found(void **state) {
    (void)state;
    assert_int_equal(dns_hosts_find_in(file, BYTES("course"), found), 0);
    assert_int_equal(dns_hosts_find_in(file, BYTES("10.0.0.1"), found), 0);
    assert_int_equal(dns_hosts_find_in(BYTES(""), BYTES("courses"), found), 0);
    struct dns_hosts hosts = {0};
    assert_int_equal(dns_hosts_find(&hosts, "/nowhere/hosts", BYTES("courses"), found), 0);
    dns_hosts_dispose(&hosts);
}

static void more_addresses_than_there_is_room_for_are_left_out(void **state) {
    (void)state;
    char text[DNS_HOSTS_ADDRESSES_MAX * 32];
    size_t length = 0;
    for (unsigned i = 0; i < DNS_HOSTS_ADDRESSES_MAX + 5; i++) {
        static const char line[] = "10.0.0.1 many\n";
        memcpy(text + length, line, sizeof line - 1);
        length += sizeof line - 1;
    }
    assert_int_equal(dns_hosts_find_in(bytes_from(text, length), BYTES("many"), found), DNS_HOSTS_ADDRESSES_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_line_that_has_the_name_gives_its_address),
        cmocka_unit_test(what_is_not_there_is_not_found),
        cmocka_unit_test(more_addresses_than_there_is_room_for_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
