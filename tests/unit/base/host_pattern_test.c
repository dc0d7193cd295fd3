// Which hosts a pattern has, and which of several is the one for a host.
#include "base/host_pattern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void a_pattern_has_its_hosts_and_no_others(void **state) {
    (void)state;
    static const struct {
        struct bytes pattern, host;
        bool has;
    } cases[] = {
        {BYTES(""), BYTES("a.example.com"), true},
        {BYTES(""), BYTES(""), true},
        {BYTES("a.example.com"), BYTES("a.example.com"), true},
        {BYTES("a.example.com"), BYTES("b.a.example.com"), false},
        {BYTES("a.example.com"), BYTES("example.com"), false},
        {BYTES("a.example.com"), BYTES(""), false},
        {BYTES(".example.com"), BYTES("a.example.com"), true},
        {BYTES(".example.com"), BYTES("b.a.example.com"), true},
        {BYTES(".example.com"), BYTES("example.com"), false},
        {BYTES(".example.com"), BYTES(".example.com"), false},
        {BYTES(".example.com"), BYTES("aexample.com"), false},
        {BYTES(".example.com"), BYTES("a.example.com.evil"), false},
        {BYTES(".example.com"), BYTES(""), false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if ((host_pattern_rank(cases[i].pattern, cases[i].host) > 0) != cases[i].has)
            fail_msg("\"%.*s\" and \"%.*s\"", BYTES_FORMAT(cases[i].pattern), BYTES_FORMAT(cases[i].host));
}

static void the_most_specific_goes_first(void **state) {
    (void)state;
    static const struct bytes order[] = {BYTES_OF("b.a.example.com"), BYTES_OF(".a.example.com"), BYTES_OF(".example.com"), BYTES_OF(".com"),
                                         BYTES_OF("")};
    for (size_t i = 1; i < sizeof order / sizeof order[0]; i++)
        assert_true(host_pattern_rank(order[i - 1], order[0]) > host_pattern_rank(order[i], order[0]));
}

static void a_wildcard_is_below_a_shorter_one(void **state) {
    (void)state;
    assert_true(host_is_below(BYTES(".a.example.com"), BYTES(".example.com")));
    assert_false(host_is_below(BYTES(".example.com"), BYTES(".a.example.com")));
    assert_false(host_is_below(BYTES(".example.com"), BYTES(".example.com")));
    assert_false(host_is_below(BYTES("a.example.com"), BYTES("example.com")));
    assert_false(host_is_below(BYTES("a"), BYTES("")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pattern_has_its_hosts_and_no_others),
        cmocka_unit_test(the_most_specific_goes_first),
        cmocka_unit_test(a_wildcard_is_below_a_shorter_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
