// CA sets: what they are made of, and which servers' certificates lead to them.
#include "certs/ca_set.h"

#include "support/test_ca.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct test_identity root, other;

static int set_up(void **state) {
    (void)state;
    root = test_root(NULL);
    other = test_root(NULL);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    test_identity_free(&root);
    test_identity_free(&other);
    return 0;
}

static struct test_template server(void) {
    struct test_template template = test_template_svid("spiffe://unused/x");
    template.uris[0] = BYTES_NONE;
    template.other_names = "DNS:api.example";
    template.extended_key_usage = "serverAuth";
    return template;
}

static void add(struct ca_set *set, const struct test_identity *first, const struct test_identity *second) {
    char reason[256];
    char *pem = test_certificates_pem(first, second, NULL);
    assert_int_equal(ca_set_add(set, bytes_from_text(pem), reason, sizeof reason), OK);
    free(pem);
}

static struct trust_verdict verify_at(const struct ca_set *set, const struct test_identity *leaf, const struct test_identity *between,
                                      int64_t wall_s) {
    STACK_OF(X509) *shown = sk_X509_new_null();
    struct trust_verdict verdict;
    if (between != NULL)
        sk_X509_push(shown, between->certificate);
    ca_set_verify(set, leaf->certificate, shown, wall_s, &verdict);
    sk_X509_free(shown);
    return verdict;
}

static void a_server_under_a_certificate_of_the_set_is_trusted_while_the_path_lasts(void **state) {
    (void)state;
    struct ca_set *set = ca_set_create();
    add(set, &other, NULL);
    add(set, &root, NULL);
    struct test_template template = server();
    struct test_identity leaf = test_issue(&template, &root);
    struct trust_verdict verdict = verify_at(set, &leaf, NULL, test_now_s());
    assert_int_equal(verdict.outcome, TRUST_OK);
    assert_int_equal(verdict.not_after, certificate_not_after(leaf.certificate));
    assert_int_equal(verdict.id.text.len, 0);
    assert_int_equal(verify_at(set, &leaf, NULL, verdict.not_after + 1).outcome, TRUST_EXPIRED);
    assert_int_equal(verify_at(set, &leaf, NULL, certificate_not_before(leaf.certificate) - 1).outcome, TRUST_EXPIRED);
    test_identity_free(&leaf);
    ca_set_destroy(set);
}

static void a_server_under_another_certificate_is_not(void **state) {
    (void)state;
    struct ca_set *set = ca_set_create();
    add(set, &other, NULL);
    struct test_template template = server();
    struct test_identity leaf = test_issue(&template, &root);
    assert_int_equal(verify_at(set, &leaf, NULL, test_now_s()).outcome, TRUST_UNTRUSTED);
    assert_int_equal(verify_at(set, &leaf, &root, test_now_s()).outcome, TRUST_UNTRUSTED); // that it is shown makes it no better
    test_identity_free(&leaf);
    ca_set_destroy(set);
}

static void a_client_certificate_is_no_servers(void **state) {
    (void)state;
    struct ca_set *set = ca_set_create();
    add(set, &root, NULL);
    struct test_template template = server();
    template.extended_key_usage = "clientAuth";
    struct test_identity leaf = test_issue(&template, &root);
    assert_int_equal(verify_at(set, &leaf, NULL, test_now_s()).outcome, TRUST_UNTRUSTED);
    test_identity_free(&leaf);
    ca_set_destroy(set);
}

static void an_intermediate_may_be_shown_or_be_the_end_itself(void **state) {
    (void)state;
    struct test_identity middle = test_intermediate(NULL, &root);
    struct test_template template = server();
    struct test_identity leaf = test_issue(&template, &middle);
    struct ca_set *roots = ca_set_create();
    struct ca_set *middles = ca_set_create();
    add(roots, &root, NULL);
    add(middles, &middle, NULL);
    assert_int_equal(verify_at(roots, &leaf, NULL, test_now_s()).outcome, TRUST_UNTRUSTED);
    assert_int_equal(verify_at(roots, &leaf, &middle, test_now_s()).outcome, TRUST_OK);
    assert_int_equal(verify_at(middles, &leaf, NULL, test_now_s()).outcome, TRUST_OK);
    ca_set_destroy(roots);
    ca_set_destroy(middles);
    test_identity_free(&leaf);
    test_identity_free(&middle);
}

static void what_is_there_twice_counts_once_and_the_first_end_is_known(void **state) {
    (void)state;
    struct test_template template = test_template_authority("soon over", NULL);
    template.not_after_s = 60;
    struct test_identity soon = test_issue(&template, NULL);
    struct ca_set *set = ca_set_create();
    struct ca_set *same = ca_set_create();
    unsigned char digests[3][CERTIFICATE_DIGEST_SIZE];
    char subject[256];
    add(set, &root, &root);
    ca_set_digest(set, digests[0]);
    add(set, &soon, &root);
    assert_int_equal(ca_set_count(set), 2);
    assert_int_equal(ca_set_first_end(set, subject, sizeof subject), certificate_not_after(soon.certificate));
    assert_non_null(strstr(subject, "soon over"));
    add(same, &root, &soon);
    ca_set_digest(set, digests[1]);
    ca_set_digest(same, digests[2]);
    assert_memory_not_equal(digests[0], digests[1], CERTIFICATE_DIGEST_SIZE);
    assert_memory_equal(digests[1], digests[2], CERTIFICATE_DIGEST_SIZE);
    ca_set_destroy(set);
    ca_set_destroy(same);
    test_identity_free(&soon);
}

static void a_text_without_certificates_is_refused(void **state) {
    (void)state;
    struct ca_set *set = ca_set_create();
    char reason[256];
    assert_int_equal(ca_set_add(set, BYTES("nothing\n"), reason, sizeof reason), ERROR_INVALID);
    assert_string_equal(reason, "no certificate in it");
    assert_int_equal(ca_set_add(set, BYTES("-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n"), reason, sizeof reason), ERROR_INVALID);
    assert_string_equal(reason, "a certificate in it is malformed");
    assert_int_equal(ca_set_count(set), 0);
    ca_set_destroy(set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_under_a_certificate_of_the_set_is_trusted_while_the_path_lasts),
        cmocka_unit_test(a_server_under_another_certificate_is_not),
        cmocka_unit_test(a_client_certificate_is_no_servers),
        cmocka_unit_test(an_intermediate_may_be_shown_or_be_the_end_itself),
        cmocka_unit_test(what_is_there_twice_counts_once_and_the_first_end_is_known),
        cmocka_unit_test(a_text_without_certificates_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
