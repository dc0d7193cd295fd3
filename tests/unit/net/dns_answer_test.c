// Records come out of an answer as they stand in it; what is cut short, or says of itself what cannot be, is refused.
#include "net/dns_answer.h"

#include "support/one_pool.h"
#include "unit/net/dns_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct dns_message message;
static struct dns_answer answer;

static enum error read_as(enum dns_type type) {
    return dns_answer_read(message.bytes, message.length, type, &pool, &answer);
}

static void addresses_come_with_the_least_ttl(void **state) {
    (void)state;
    put_header(&message, 1, 0x8180, 3, "courses.example", DNS_TYPE_A);
    put_fixed(&message, DNS_TYPE_CNAME, 7, 2);
    put_16(&message, 0xc00c);
    put_a(&message, "10.0.0.1", 30);
    put_a(&message, "10.0.0.2", 60);
    assert_int_equal(read_as(DNS_TYPE_A), OK);
    assert_int_equal(answer.count, 2);
    assert_int_equal(answer.ttl_s, 7);
    assert_int_equal(ntohl(answer.records[0].v4.s_addr), 0x0a000001);
    assert_int_equal(ntohl(answer.records[1].v4.s_addr), 0x0a000002);
}

static void other_types_are_passed_over(void **state) {
    (void)state;
    put_header(&message, 1, 0x8180, 2, "courses.example", DNS_TYPE_AAAA);
    put_a(&message, "10.0.0.1", 30);
    put_aaaa(&message, "fd00::1", 30);
    assert_int_equal(read_as(DNS_TYPE_AAAA), OK);
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.records[0].v6.s6_addr[15], 1);
}

static void services_have_all_their_fields(void **state) {
    (void)state;
    put_header(&message, 1, 0x8180, 2, "_http._tcp.courses.example", DNS_TYPE_SRV);
    put_srv(&message, 10, 60, 8080, "A.Courses.example", 20);
    put_srv(&message, 20, 0, 8081, "b.courses.example", 40);
    assert_int_equal(read_as(DNS_TYPE_SRV), OK);
    assert_int_equal(answer.count, 2);
    assert_int_equal(answer.ttl_s, 20);
    assert_int_equal(answer.records[0].priority, 10);
    assert_int_equal(answer.records[0].weight, 60);
    assert_int_equal(answer.records[0].port, 8080);
    assert_true(bytes_equal(answer.records[0].target, BYTES("a.courses.example")));
    assert_int_equal(answer.records[1].priority, 20);
}

static void a_service_that_is_not_there_has_no_target(void **state) {
    (void)state;
    put_header(&message, 1, 0x8180, 1, "_http._tcp.courses.example", DNS_TYPE_SRV);
    put_srv(&message, 0, 0, 0, "", 20);
    assert_int_equal(read_as(DNS_TYPE_SRV), OK);
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.records[0].target.len, 0);
}

static void targets_that_are_no_names_are_passed_over(void **state) {
    (void)state;
    put_header(&message, 1, 0x8180, 2, "_http._tcp.courses.example", DNS_TYPE_SRV);
    put_srv(&message, 0, 0, 80, "a b.example", 20);
    put_srv(&message, 0, 0, 0, "c.example", 20); // to no port
    assert_int_equal(read_as(DNS_TYPE_SRV), OK);
    assert_int_equal(answer.count, 0);
}

static void a_ttl_with_the_highest_bit_is_none(void **state) {
    (void)state;
    put_header(&message, 1, 0x8180, 1, "courses.example", DNS_TYPE_A);
    put_a(&message, "10.0.0.1", 0x80000000);
    assert_int_equal(read_as(DNS_TYPE_A), OK);
    assert_int_equal(answer.ttl_s, 0);
}

static void what_is_cut_short_is_refused_wherever_that_is(void **state) {
    (void)state;
    put_header(&message, 1, 0x8180, 2, "_http._tcp.courses.example", DNS_TYPE_SRV);
    put_srv(&message, 10, 60, 8080, "a.courses.example", 20);
    put_srv(&message, 10, 60, 8080, "b.courses.example", 20);
    size_t whole = message.length;
    for (message.length = 0; message.length < whole; message.length++)
        assert_int_equal(read_as(DNS_TYPE_SRV), ERROR_PROTOCOL);
    assert_int_equal(read_as(DNS_TYPE_SRV), OK);
}

static void lengths_that_cannot_be_are_refused(void **state) {
    (void)state;
    put_header(&message, 1, 0x8180, 1, "courses.example", DNS_TYPE_A);
    put_fixed(&message, DNS_TYPE_A, 1, 5);
    put_32(&message, 0);
    put_8(&message, 0);
    assert_int_equal(read_as(DNS_TYPE_A), ERROR_PROTOCOL);
    // A target that is shorter than its record.
    put_header(&message, 1, 0x8180, 1, "_http._tcp.courses.example", DNS_TYPE_SRV);
    put_fixed(&message, DNS_TYPE_SRV, 1, 9);
    put_16(&message, 0), put_16(&message, 0), put_16(&message, 80);
    put_8(&message, 0), put_8(&message, 0), put_8(&message, 0);
    assert_int_equal(read_as(DNS_TYPE_SRV), ERROR_PROTOCOL);
}

static void names_that_point_in_circles_are_refused(void **state) {
    (void)state;
    put_header(&message, 1, 0x8180, 1, "courses.example", DNS_TYPE_A);
    put_16(&message, 0xc000 | (unsigned)message.length); // to itself
    put_16(&message, DNS_TYPE_A), put_16(&message, 1), put_32(&message, 1), put_16(&message, 4), put_32(&message, 0);
    assert_int_equal(read_as(DNS_TYPE_A), ERROR_PROTOCOL);
}

static void plain_names(void **state) {
    (void)state;
    static const char *const good[] = {"a", "a.b", "_http._tcp.courses.example", "xn--4ca.example", "10-0-0-1.pods"};
    static const char *const bad[] = {"", ".", "a..b", ".a", "a.", "a b", "a/b", "\xc3\xa4.example"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(dns_name_is_plain(bytes_from_text(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(dns_name_is_plain(bytes_from_text(bad[i])));
    char label[65];
    memset(label, 'a', sizeof label);
    assert_true(dns_name_is_plain(bytes_from(label, 63)));
    assert_false(dns_name_is_plain(bytes_from(label, 64)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(addresses_come_with_the_least_ttl, pool_set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(other_types_are_passed_over, pool_set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(services_have_all_their_fields, pool_set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(a_service_that_is_not_there_has_no_target, pool_set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(targets_that_are_no_names_are_passed_over, pool_set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(a_ttl_with_the_highest_bit_is_none, pool_set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(what_is_cut_short_is_refused_wherever_that_is, pool_set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(lengths_that_cannot_be_are_refused, pool_set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(names_that_point_in_circles_are_refused, pool_set_up, pool_tear_down),
        cmocka_unit_test(plain_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
