// Hosts in their one form, and what may stand as a host of a ServiceEntry.
#include "config/authority.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void expect(const char *text, const char *host, uint16_t port) {
    struct authority authority;
    bool is_good = authority_parse(bytes_from_text(text), &authority);
    if (host == NULL) {
        if (is_good)
            fail_msg("\"%s\" was taken for an authority", text);
        return;
    }
    if (!is_good || !bytes_equal(authority_host(&authority), bytes_from_text(host)) || authority.port != port)
        fail_msg("\"%s\" is not %s with port %u", text, host, port);
}

static void an_authority_has_one_form(void **state) {
    (void)state;
    expect("a", "a", 0);
    expect("A.B.c", "a.b.c", 0);
    expect("a.", "a", 0);
    expect("a:1", "a", 1);
    expect("a.:65535", "a", 65535);
    expect("a:", "a", 0);
    expect("a:00080", "a", 80);
    expect("[::1]", "[::1]", 0);
    expect("[2001:DB8::1]:443", "[2001:db8::1]", 443);
    expect("", NULL, 0);
    expect(":", NULL, 0);
    expect(":80", NULL, 0);
    expect(".", NULL, 0);
    expect(".a", NULL, 0);
    expect("a..b", NULL, 0);
    expect("a..", NULL, 0);
    expect("a:0", NULL, 0);
    expect("a:65536", NULL, 0);
    expect("a:-1", NULL, 0);
    expect("a:1x", NULL, 0);
    expect("a:1:2", NULL, 0);
    expect("[::1", NULL, 0);
    expect("[", NULL, 0);
    expect("[::1].", "[::1]", 0);
    expect("[::1]80", NULL, 0);
}

static void the_port_is_written_behind_the_host(void **state) {
    (void)state;
    struct authority authority;
    assert_true(authority_parse(BYTES("Host"), &authority));
    assert_true(bytes_equal(authority_with_port(&authority, 1), BYTES("host:1")));
    assert_true(bytes_equal(authority_with_port(&authority, 65535), BYTES("host:65535")));
    assert_true(bytes_equal(authority_with_port(&authority, 8080), BYTES("host:8080")));
    assert_true(bytes_equal(authority_host(&authority), BYTES("host")));
}

static void hosts_of_entries_are_names_or_addresses(void **state) {
    (void)state;
    static const char *const good[] = {"a",     "a.b",      "a-b.c_d",     "A.b.",  "a:80",     "*.example.com", "*.example.com:80",
                                       "*.com", "10.0.0.1", "10.0.0.1:80", "[::1]", "[::1]:80", "_srv.a"};
    static const char *const bad[] = {"",
                                      "*",
                                      "*.",
                                      "a b",
                                      "a/b",
                                      "-a",
                                      "a-",
                                      "a..b",
                                      ".a",
                                      "*.*.a",
                                      "a.*.b",
                                      "a:",
                                      "a:0",
                                      "[::1",
                                      "[::1]x",
                                      "[zz]",
                                      "[10.0.0.1]",
                                      "*.[::1]",
                                      "[fe80::1%eth0]",
                                      "a@b",
                                      "a:80:80",
                                      "http://a",
                                      "\xc3\xa9.example",
                                      "a\tb"};
    char label[80];
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (!authority_is_host_pattern(bytes_from_text(good[i])))
            fail_msg("\"%s\" was refused", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (authority_is_host_pattern(bytes_from_text(bad[i])))
            fail_msg("\"%s\" was taken", bad[i]);
    memset(label, 'a', sizeof(label));
    assert_true(authority_is_host_pattern(bytes_from(label, 63)));
    assert_false(authority_is_host_pattern(bytes_from(label, 64)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_authority_has_one_form),
        cmocka_unit_test(the_port_is_written_behind_the_host),
        cmocka_unit_test(hosts_of_entries_are_names_or_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
