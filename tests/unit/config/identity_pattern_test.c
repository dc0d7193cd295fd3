// Which texts are patterns of identities, and whom they mean.
#include "config/identity_pattern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static bool means(const char *text, const char *identity, bool is_kin) {
    struct identity_pattern pattern;
    struct spiffe_id id;
    const char *reason;
    assert_int_equal(identity_pattern_parse(bytes_from_text(text), &pattern, &reason), OK);
    assert_int_equal(spiffe_id_parse(bytes_from_text(identity), &id, &reason), OK);
    return identity_matches(&pattern, &id, is_kin);
}

static void a_pattern_means_one_or_all_below(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *in, *out;
    } cases[] = {
        {"spiffe://a/b", "spiffe://A/b", "spiffe://a/b/c"},     {"spiffe://a/b", "spiffe://a/b", "spiffe://a/B"},
        {"spiffe://a/*", "spiffe://a/b", "spiffe://a"},         {"spiffe://a/*", "spiffe://a/b/c", "spiffe://aa/b"},
        {"spiffe://a/b/*", "spiffe://a/b/c/d", "spiffe://a/b"}, {"spiffe://a/b/*", "spiffe://a/b/c", "spiffe://a/bb/c"},
        {"spiffe://a/b.c", "spiffe://a/b.c", "spiffe://a/bXc"}, {"spiffe://a/b.c/*", "spiffe://a/b.c/d", "spiffe://a/bXc/d"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_true(means(cases[i].pattern, cases[i].in, false));
        assert_false(means(cases[i].pattern, cases[i].out, true));
    }
    assert_true(means("*", "spiffe://any/x", false) && means("*", "spiffe://any", false));
}

static void what_is_no_pattern_is_refused(void **state) {
    (void)state;
    static const char *const wrong[] = {"",
                                        "/*",
                                        "**",
                                        "*/*",
                                        "spiffe://*",
                                        "spiffe:///*",
                                        "spiffe://*/a",
                                        "spiffe://a/b*",
                                        "spiffe://a/*/b",
                                        "spiffe://a/*/*",
                                        "spiffe://a",
                                        "spiffe://a/",
                                        "spiffe://a//*",
                                        "spiffe://a/../*",
                                        "spiffe://a:1/*",
                                        "a/*"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct identity_pattern pattern;
        const char *reason = NULL;
        assert_int_equal(identity_pattern_parse(bytes_from_text(wrong[i]), &pattern, &reason), ERROR_INVALID);
        assert_non_null(reason);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pattern_means_one_or_all_below),
        cmocka_unit_test(what_is_no_pattern_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
