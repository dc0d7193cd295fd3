// The rules of SPIFFE-ID.md, one test each.
#include "certs/spiffe_id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *reason_of(const char *text) {
    struct spiffe_id id;
    const char *reason = NULL;
    enum error error = spiffe_id_parse(bytes_from_text(text), &id, &reason);
    assert_int_equal(error == OK, reason == NULL);
    return error == OK ? "accepted" : reason;
}

static struct spiffe_id parsed(const char *text) {
    struct spiffe_id id;
    const char *reason;
    assert_int_equal(spiffe_id_parse(bytes_from_text(text), &id, &reason), OK);
    return id;
}

static void an_id_is_cut_into_trust_domain_and_path(void **state) {
    (void)state;
    struct spiffe_id id = parsed("spiffe://school.local/ns/school/sa/courses");
    assert_true(bytes_equal(id.text, BYTES("spiffe://school.local/ns/school/sa/courses")));
    assert_true(bytes_equal(id.trust_domain, BYTES("school.local")));
    assert_true(bytes_equal(id.path, BYTES("/ns/school/sa/courses")));
    assert_int_equal(parsed("spiffe://school.local").path.len, 0);
}

static void an_id_must_have_the_scheme_spiffe(void **state) {
    (void)state;
    const char *const others[] = {
        "", "spiffe", "spiffe:/", "spiffe:/a/b", "https://school.local/a", "//school.local/a", " spiffe://a/b", "xspiffe://a/b"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_string_equal(reason_of(others[i]), "does not begin with spiffe://");
}

static void a_query_a_fragment_user_information_a_port_and_percent_encoding_are_refused(void **state) {
    (void)state;
    assert_string_equal(reason_of("spiffe://a/b?x=1"), "a query is not allowed");
    assert_string_equal(reason_of("spiffe://a?x"), "a query is not allowed");
    assert_string_equal(reason_of("spiffe://a/b#c"), "a fragment is not allowed");
    assert_string_equal(reason_of("spiffe://a#c"), "a fragment is not allowed");
    assert_string_equal(reason_of("spiffe://user@a/b"), "user information is not allowed");
    assert_string_equal(reason_of("spiffe://a:8443/b"), "a port is not allowed");
    assert_string_equal(reason_of("spiffe://a:/b"), "a port is not allowed");
    assert_string_equal(reason_of("spiffe://a/%41"), "percent-encoding is not allowed");
    assert_string_equal(reason_of("spiffe://%41/b"), "percent-encoding is not allowed");
}

static void the_trust_domain_has_1_to_255_bytes_of_its_alphabet(void **state) {
    (void)state;
    char text[600];
    assert_string_equal(reason_of("spiffe:///a"), "the trust domain is empty");
    assert_string_equal(reason_of("spiffe://"), "the trust domain is empty");
    assert_string_equal(reason_of("spiffe://a-b_c.d0/x"), "accepted");
    assert_string_equal(reason_of("spiffe://10.0.0.1/x"), "accepted");
    assert_true(strstr(reason_of("spiffe://[::1]/x"), "not allowed") != NULL);
    assert_true(strstr(reason_of("spiffe://a b/x"), "not allowed") != NULL);
    assert_true(strstr(reason_of("spiffe://\xc3\xa9/x"), "not allowed") != NULL);
    for (int len = 255; len <= 256; len++) {
        snprintf(text, sizeof(text), "spiffe://%.*s/x", len,
                 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
        assert_string_equal(reason_of(text), len == 255 ? "accepted" : "the trust domain is longer than 255 bytes");
    }
}

static void path_segments_are_never_empty_and_never_dots(void **state) {
    (void)state;
    assert_string_equal(reason_of("spiffe://a/"), "a trailing '/' is not allowed");
    assert_string_equal(reason_of("spiffe://a/b/"), "a trailing '/' is not allowed");
    assert_string_equal(reason_of("spiffe://a//b"), "an empty path segment is not allowed");
    assert_string_equal(reason_of("spiffe://a/b//"), "an empty path segment is not allowed");
    assert_string_equal(reason_of("spiffe://a/."), "a path segment '.' or '..' is not allowed");
    assert_string_equal(reason_of("spiffe://a/b/../c"), "a path segment '.' or '..' is not allowed");
    assert_string_equal(reason_of("spiffe://a/.../..b/c."), "accepted");
    assert_string_equal(reason_of("spiffe://a/Az09._-"), "accepted");
    assert_true(strstr(reason_of("spiffe://a/b c"), "not allowed") != NULL);
    assert_true(strstr(reason_of("spiffe://a/b\\c"), "not allowed") != NULL);
    assert_true(strstr(reason_of("spiffe://a/b*"), "not allowed") != NULL);
}

static void a_nul_byte_is_refused_wherever_it_stands(void **state) {
    (void)state;
    static const char whole[] = "spiffe://a.b/c/d";
    for (size_t i = 0; i < sizeof(whole) - 1; i++) {
        char text[sizeof(whole)];
        struct spiffe_id id;
        const char *reason;
        memcpy(text, whole, sizeof(whole));
        text[i] = '\0';
        assert_int_equal(spiffe_id_parse(bytes_from(text, sizeof(whole) - 1), &id, &reason), ERROR_INVALID);
    }
    struct spiffe_id id;
    const char *reason;
    assert_int_equal(spiffe_id_parse(bytes_from(whole, sizeof(whole)), &id, &reason), ERROR_INVALID);
}

static void an_id_has_at_most_2048_bytes(void **state) {
    (void)state;
    char text[SPIFFE_ID_MAX + 2] = "spiffe://a/";
    memset(text + strlen(text), 'b', sizeof(text) - 1 - strlen(text));
    struct spiffe_id id;
    const char *reason;
    assert_int_equal(spiffe_id_parse(bytes_from(text, SPIFFE_ID_MAX), &id, &reason), OK);
    assert_int_equal(spiffe_id_parse(bytes_from(text, SPIFFE_ID_MAX + 1), &id, &reason), ERROR_INVALID);
    assert_string_equal(reason, "longer than 2048 bytes");
}

static void scheme_and_trust_domain_compare_without_case_and_the_path_with_it(void **state) {
    (void)state;
    struct spiffe_id id = parsed("spiffe://school.local/ns/a");
    struct spiffe_id upper = parsed("SPIFFE://School.Local/ns/a");
    struct spiffe_id other_path = parsed("spiffe://school.local/ns/A");
    struct spiffe_id other_domain = parsed("spiffe://school_local/ns/a");
    struct spiffe_id longer = parsed("spiffe://school.local/ns/a/b");
    assert_true(spiffe_id_equal(&id, &upper));
    assert_false(spiffe_id_equal(&id, &other_path));
    assert_false(spiffe_id_equal(&id, &other_domain));
    assert_false(spiffe_id_equal(&id, &longer));
    assert_true(spiffe_id_same_trust_domain(&id, &other_path));
    assert_false(spiffe_id_same_trust_domain(&id, &other_domain));
}

// Threat: an identity's '.' taken for "any character" lets saXname in where sa.name is meant.
static void a_dot_in_an_identity_matches_only_a_dot(void **state) {
    (void)state;
    struct spiffe_id id = parsed("spiffe://td/ns/x/sa/sa.name");
    struct spiffe_id other = parsed("spiffe://td/ns/x/sa/saXname");
    assert_false(spiffe_id_equal(&id, &other));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_is_cut_into_trust_domain_and_path),
        cmocka_unit_test(an_id_must_have_the_scheme_spiffe),
        cmocka_unit_test(a_query_a_fragment_user_information_a_port_and_percent_encoding_are_refused),
        cmocka_unit_test(the_trust_domain_has_1_to_255_bytes_of_its_alphabet),
        cmocka_unit_test(path_segments_are_never_empty_and_never_dots),
        cmocka_unit_test(a_nul_byte_is_refused_wherever_it_stands),
        cmocka_unit_test(an_id_has_at_most_2048_bytes),
        cmocka_unit_test(scheme_and_trust_domain_compare_without_case_and_the_path_with_it),
        cmocka_unit_test(a_dot_in_an_identity_matches_only_a_dot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
