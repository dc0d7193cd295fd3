// Origins: what is one, what is a pattern of ones, and which match.
#include "config/cors_origin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void an_origin_is_scheme_host_and_port_alone(void **state) {
    (void)state;
    static const struct {
        const char *text, *scheme, *host;
        uint16_t port;
    } good[] = {{"https://a.b", "https", "a.b", 443},     {"http://a", "http", "a", 80},
                {"http://a:8080", "http", "a", 8080},     {"https://[::1]:8", "https", "[::1]", 8},
                {"https://[::1]", "https", "[::1]", 443}, {"app+x://localhost", "app+x", "localhost", 0}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct cors_origin origin;
        assert_true(cors_origin_parse(bytes_from_text(good[i].text), &origin));
        assert_true(bytes_equal(origin.scheme, bytes_from_text(good[i].scheme)) && bytes_equal(origin.host, bytes_from_text(good[i].host)));
        assert_int_equal(origin.port, good[i].port);
    }
    static const char *const bad[] = {"",
                                      "null",
                                      "*",
                                      "a.b",
                                      "://a",
                                      "https://",
                                      "https:///",
                                      "https://a/",
                                      "https://a:",
                                      "https://a:0",
                                      "https://:80",
                                      "https://a:x",
                                      "https://a?b",
                                      "https://a#b",
                                      "https://u@a",
                                      "https://a b",
                                      "https:/a",
                                      "ht tp://a",
                                      "https://[::1",
                                      "https://a:65536",
                                      "https://a,b",
                                      "https://[::1]x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct cors_origin origin;
        if (cors_origin_parse(bytes_from_text(bad[i]), &origin))
            fail_msg("\"%s\" was taken for an origin", bad[i]);
    }
}

static bool matches(const char *pattern_text, const char *text) {
    struct cors_origin pattern, origin;
    assert_true(cors_origin_parse(bytes_from_text(pattern_text), &pattern) && cors_origin_is_pattern(&pattern));
    return cors_origin_parse(bytes_from_text(text), &origin) && cors_origin_matches(&pattern, &origin);
}

static void a_star_stands_for_labels_in_front(void **state) {
    (void)state;
    assert_true(matches("https://a.b", "HTTPS://A.b:443"));
    assert_false(matches("https://a.b", "http://a.b"));
    assert_false(matches("https://a.b", "https://a.b:444"));
    assert_true(matches("https://*.a.b", "https://x.A.b") && matches("https://*.a.b", "https://y.x.a.b"));
    assert_false(matches("https://*.a.b", "https://a.b") || matches("https://*.a.b", "https://xa.b") || matches("https://*.a.b", "https://x.a.b.c"));
    assert_true(matches("http://*", "http://any.thing") && matches("http://*:81", "http://x:81"));
    assert_false(matches("http://*:81", "http://x"));
    static const char *const no_patterns[] = {"http://a.*", "http://*a.b", "http://a.*.b", "http://*.", "http://*.*.b"};
    for (size_t i = 0; i < sizeof no_patterns / sizeof no_patterns[0]; i++) {
        struct cors_origin origin;
        assert_true(cors_origin_parse(bytes_from_text(no_patterns[i]), &origin));
        assert_false(cors_origin_is_pattern(&origin));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_origin_is_scheme_host_and_port_alone),
        cmocka_unit_test(a_star_stands_for_labels_in_front),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
