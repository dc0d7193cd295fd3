// Canonical paths and hosts: what stays, what is rewritten, what is refused; and that the form is one.
#include "http/canonical.h"

#include "support/one_pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

// `expected` NULL: refused.
static void assert_path(const char *target, const char *expected) {
    struct bytes canonical;
    struct bytes again;
    enum error error = canonical_path(bytes_from_text(target), &pool, &canonical);
    if (expected == NULL) {
        if (error != ERROR_BAD_REQUEST)
            fail_msg("%s was taken as %.*s", target, BYTES_FORMAT(canonical));
        return;
    }
    if (error != OK)
        fail_msg("%s was refused", target);
    if (!bytes_equal(canonical, bytes_from_text(expected)))
        fail_msg("%s became %.*s, not %s", target, BYTES_FORMAT(canonical), expected);
    assert_int_equal(canonical_path(canonical, &pool, &again), OK);
    assert_true(bytes_equal(again, canonical));
}

static void path_that_is_canonical_is_returned_as_it_is(void **state) {
    (void)state;
    static const char *const paths[] = {"/",  "*",           "/a",         "/a/",    "/a/b.c",    "/a//b",
                                        "//", "/a..b",       "/a.",        "/a../b", "/a;x=1/b",  "/@:!$&'()*+,=~-_",
                                        "/?", "/a?b=c/../d", "/a?%zz&%00", "/a?\\",  "/\"<>^`{|}"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct bytes canonical;
        assert_int_equal(canonical_path(bytes_from_text(paths[i]), &pool, &canonical), OK);
        assert_ptr_equal(canonical.at, paths[i]);
        assert_int_equal(canonical.len, strlen(paths[i]));
    }
}

static void dot_segments_are_resolved(void **state) {
    (void)state;
    assert_path("/a/../b", "/b");
    assert_path("/a/b/..", "/a/");
    assert_path("/a/b/../", "/a/");
    assert_path("/a/./b", "/a/b");
    assert_path("/.", "/");
    assert_path("/./", "/");
    assert_path("/a/.", "/a/");
    assert_path("/a/..", "/");
    assert_path("/a/b/c/../../d?x=../..", "/a/d?x=../..");
    assert_path("/a//../b", "/a/b");
    assert_path("/a/%2e%2E/b", "/b");
    assert_path("/a/.%2e/b", "/b");
    assert_path("/%2e/b", "/b");
    assert_path("/.well-known/x", "/.well-known/x");
    assert_path("/...", "/...");
    assert_path("/..a", "/..a");
}

static void dots_above_the_root_are_refused(void **state) {
    (void)state;
    assert_path("/..", NULL);
    assert_path("/../a", NULL);
    assert_path("/a/../../b", NULL);
    assert_path("/%2e%2e/a", NULL);
    assert_path("/./..", NULL);
}

static void escapes_are_decoded_where_they_need_not_be_and_else_in_capitals(void **state) {
    (void)state;
    assert_path("/%61%5a%39%2d%2E%5f%7e", "/aZ9-._~");
    assert_path("/a%2fb", "/a%2Fb");
    assert_path("/a%20b%e2%82%ac", "/a%20b%E2%82%AC");
    assert_path("/%25%2541", "/%25%2541");
    assert_path("/%23%3f", "/%23%3F");
    assert_path("/%2E%2e%2f", NULL);
    assert_path("/%61?%61", "/a?%61");
}

static void bad_escapes_are_refused(void **state) {
    (void)state;
    assert_path("/%", NULL);
    assert_path("/%4", NULL);
    assert_path("/%4g", NULL);
    assert_path("/%g4", NULL);
    assert_path("/a%zz/b", NULL);
    assert_path("/%%41", NULL);
    assert_path("/%4?x", NULL);
}

static void controls_backslash_and_fragment_are_refused_plain_and_escaped(void **state) {
    (void)state;
    assert_path("/a\\b", NULL);
    assert_path("/a%5cb", NULL);
    assert_path("/a%5Cb", NULL);
    assert_path("/a%00", NULL);
    assert_path("/a%0d%0aX", NULL);
    assert_path("/a%7f", NULL);
    assert_path("/a#b", NULL);
    assert_path("/a?b#c", NULL);
    assert_path("/a?b c", NULL);
    assert_path("/a?b\n", NULL);
    assert_path("/a?\xc3\xa9", NULL);
    assert_path("/a b", NULL);
    assert_path("/a\x01", NULL);
    assert_path("/\xc3\xa9", NULL);
}

// What some servers cut off before they look for dots.
static void dot_segments_with_something_behind_are_refused(void **state) {
    (void)state;
    assert_path("/a/..;x/b", NULL);
    assert_path("/a/..;/b", NULL);
    assert_path("/a/.;x", NULL);
    assert_path("/a/%2e%2e;x", NULL);
    assert_path("/a/..%3bx", NULL);
    assert_path("/a/..%2fb", NULL);
    assert_path("/a/b%2f..", NULL);
    assert_path("/a/b%2f..%2fc", NULL);
    assert_path("/a/b%2f.;x", NULL);
    assert_path("/a/b;..x", "/a/b;..x");
    assert_path("/a/b%2f", "/a/b%2F");
    assert_path("/a/b%2f;..%2fc", "/a/b%2F;..%2Fc");
    assert_path("/a;..", "/a;..");
    assert_path("/a/..b;x/%41", "/a/..b;x/A");
}

static void target_of_another_form_is_refused(void **state) {
    (void)state;
    assert_path("", NULL);
    assert_path("a", NULL);
    assert_path("?a", NULL);
    assert_path("http://a/", NULL);
    assert_path("**", NULL);
}

// The table that Istio tests its normalisation with, and what it comes to here: `//` and `%2F` are kept.
static void paths_that_have_bypassed_authorization_elsewhere(void **state) {
    (void)state;
    assert_path("/app#foo", NULL);
    assert_path("/app/../admin", "/admin");
    assert_path("/app", "/app");
    assert_path("/app//", "/app//");
    assert_path("/app/%2f", "/app/%2F");
    assert_path("/app%2f/", "/app%2F/");
    assert_path("/xyz%30..//abc", "/xyz0..//abc");
    assert_path("/app/%2E./admin", "/admin");
    assert_path("/app\\admin", NULL);
    assert_path("/app/\\../admin", NULL);
    assert_path("/app%5cadmin", NULL);
    assert_path("/%2e%2e/admin", NULL);
    assert_path("/admin/..;/app", NULL);
    for (int c = 0; c < 256; c++) {
        char target[16];
        char expected[16];
        snprintf(target, sizeof(target), "/app/%%%02x", c);
        bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
        if (c == '.')
            snprintf(expected, sizeof(expected), "/app/");
        else if (unreserved)
            snprintf(expected, sizeof(expected), "/app/%c", c);
        else
            snprintf(expected, sizeof(expected), "/app/%%%02X", c);
        bool refused = c < 0x20 || c == 0x7f || c == '\\';
        assert_path(target, refused ? NULL : expected);
    }
}

static void authorities_are_names_addresses_and_ports(void **state) {
    (void)state;
    static const char *const valid[] = {"a",         "a.b",   "A-b_c.d.", "a:80",  "a:1",         "a:65535",     "a:",
                                        "127.0.0.1", "[::1]", "[::1]:80", "a.:80", "xn--e1a.com", "[fe80::1]:1", "[::ffff:1.2.3.4]"};
    static const char *const invalid[] = {"",      " ",     "a b",  "a:b",     "a:0",     "a:65536", "a:-1", "u@a",    "a/b",    "a?b", "a#b",
                                          "a,b",   "a%41",  ":80",  ".",       ".a",      "a..b",    "[::1", "[]",     "[::1]a", "[a]", "::1",
                                          "a:1:2", "a\x01", "\xc3", "[::1%1]", "[::1]:x", "a\\b",    "a..",  "[v1.a]", "a;b",    "a'b", "[1.2.3.4]"};
    for (size_t i = 0; i < sizeof(valid) / sizeof(valid[0]); i++)
        if (!authority_is_valid(bytes_from_text(valid[i])))
            fail_msg("%s was refused", valid[i]);
    for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++)
        if (authority_is_valid(bytes_from_text(invalid[i])))
            fail_msg("%s was taken", invalid[i]);
    assert_false(authority_is_valid(BYTES("a\0b")));
    assert_false(authority_is_valid(BYTES("[::1\0]")));
    char name[300];
    memset(name, 'a', sizeof(name));
    assert_true(authority_is_valid(bytes_from(name, 254)));
    assert_false(authority_is_valid(bytes_from(name, 255)));
}

static void assert_authority(const char *scheme, const char *authority, const char *expected) {
    struct bytes canonical = canonical_authority(bytes_from_text(authority), bytes_from_text(scheme), &pool);
    if (!bytes_equal(canonical, bytes_from_text(expected)))
        fail_msg("%s became %.*s, not %s", authority, BYTES_FORMAT(canonical), expected);
    struct bytes again = canonical_authority(canonical, bytes_from_text(scheme), &pool);
    assert_true(bytes_equal(again, canonical));
    assert_ptr_equal(again.at, canonical.at);
}

static void authority_is_matched_lower_case_without_dot_and_default_port(void **state) {
    (void)state;
    assert_authority("http", "a.b", "a.b");
    assert_authority("http", "Httpbin.Foo", "httpbin.foo");
    assert_authority("http", "a:80", "a");
    assert_authority("http", "a:443", "a:443");
    assert_authority("https", "a:443", "a");
    assert_authority("https", "a:80", "a:80");
    assert_authority("http", "a.", "a");
    assert_authority("http", "a.:80", "a");
    assert_authority("http", "a.:81", "a:81");
    assert_authority("http", "A.:81", "a:81");
    assert_authority("http", "a:", "a");
    assert_authority("http", "a:0080", "a");
    assert_authority("http", "a:0081", "a:81");
    assert_authority("http", "[FE80::1]:80", "[fe80::1]");
    assert_authority("http", "[::1]:8080", "[::1]:8080");
    assert_authority("", "a:80", "a");
}

static void authority_splits_at_the_port(void **state) {
    (void)state;
    struct bytes host;
    struct bytes port;
    authority_split(BYTES("[::1]:80"), &host, &port);
    assert_true(bytes_equal(host, BYTES("[::1]")));
    assert_true(bytes_equal(port, BYTES("80")));
    authority_split(BYTES("a"), &host, &port);
    assert_true(bytes_equal(host, BYTES("a")));
    assert_int_equal(port.len, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(path_that_is_canonical_is_returned_as_it_is, pool_set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(dot_segments_are_resolved, pool_set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(dots_above_the_root_are_refused, pool_set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(escapes_are_decoded_where_they_need_not_be_and_else_in_capitals, pool_set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(bad_escapes_are_refused, pool_set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(controls_backslash_and_fragment_are_refused_plain_and_escaped, pool_set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(dot_segments_with_something_behind_are_refused, pool_set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(target_of_another_form_is_refused, pool_set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(paths_that_have_bypassed_authorization_elsewhere, pool_set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(authorities_are_names_addresses_and_ports, pool_set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(authority_is_matched_lower_case_without_dot_and_default_port, pool_set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(authority_splits_at_the_port, pool_set_up, pool_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
