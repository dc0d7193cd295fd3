// Which names a name may stand for, as resolv.conf(5) says it.
#include "net/dns_search.h"

#include "support/one_pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct dns_search search;
static struct bytes names[DNS_SEARCH_DOMAINS_MAX + 1];

static void expect(const char *name, const char *const *wanted, uint32_t count) {
    assert_int_equal(dns_search_names(&search, bytes_from_text(name), &pool, names), count);
    for (uint32_t i = 0; i < count; i++)
        assert_string_equal(names[i].at, wanted[i]);
}

static void as_on_kubernetes(void **state) {
    (void)state;
    dns_search_parse(&search, BYTES("nameserver 10.96.0.10\nsearch shop.svc.cluster.local svc.cluster.local\noptions ndots:5\n"));
    const char *const short_name[] = {"pay.shop.svc.cluster.local", "pay.svc.cluster.local", "pay"};
    const char *const whole[] = {"api.partner.example"};
    const char *const long_name[] = {"a.b.c.d.e.f", "a.b.c.d.e.f.shop.svc.cluster.local", "a.b.c.d.e.f.svc.cluster.local"};
    expect("pay", short_name, 3);
    expect("api.partner.example.", whole, 1);
    expect("a.b.c.d.e.f", long_name, 3);
}

static void with_nothing_said_a_name_is_whole(void **state) {
    (void)state;
    const char *const alone[] = {"pay"};
    dns_search_parse(&search, BYTES("# nothing\n; here\nnameserver 10.0.0.1\n"));
    expect("pay", alone, 1);
    assert_false(dns_search_read(&search, "/nowhere/resolv.conf"));
    expect("pay", alone, 1);
}

static void the_last_line_counts_and_rubbish_does_not(void **state) {
    (void)state;
    dns_search_parse(&search, BYTES("search a.example\nsearch\tb.example. bad..name c.example\noptions rotate ndots:99 ndots:x\n"));
    const char *const wanted[] = {"pay.b.example", "pay.c.example", "pay"};
    expect("pay", wanted, 3);
    assert_int_equal(search.ndots, 15);
}

static void names_that_would_be_too_long_are_left_out(void **state) {
    (void)state;
    char name[251];
    memset(name, 'a', sizeof name - 1);
    for (size_t i = 60; i < sizeof name - 1; i += 61)
        name[i] = '.';
    name[sizeof name - 1] = '\0';
    dns_search_parse(&search, BYTES("search a.example\noptions ndots:9\n"));
    assert_int_equal(dns_search_names(&search, bytes_from_text(name), &pool, names), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(as_on_kubernetes, pool_set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(with_nothing_said_a_name_is_whole, pool_set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(the_last_line_counts_and_rubbish_does_not, pool_set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(names_that_would_be_too_long_are_left_out, pool_set_up, pool_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
