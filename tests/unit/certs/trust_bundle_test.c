// Bundles by trust domain, and the validation of an SVID's path.
#include "certs/trust_bundle.h"

#include "support/test_ca.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define HOME "school.local"
#define ID "spiffe://school.local/ns/school/sa/courses"

static struct test_identity root, other_root;

static int set_up(void **state) {
    (void)state;
    root = test_root("spiffe://school.local");
    other_root = test_root("spiffe://other.local");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    test_identity_free(&root);
    test_identity_free(&other_root);
    return 0;
}

static struct trust_bundle *bundle_of(const struct test_identity *first, const struct test_identity *second) {
    char reason[256];
    char *pem = test_certificates_pem(first, second, NULL);
    struct trust_bundle *bundle;
    assert_int_equal(trust_bundle_create(bytes_from_text(pem), BYTES(HOME), &bundle, reason, sizeof(reason)), OK);
    free(pem);
    return bundle;
}

static struct trust_verdict verify_at(const struct trust_bundle *bundle, const struct test_identity *leaf, const struct test_identity *between,
                                      int64_t wall_s) {
    STACK_OF(X509) *intermediates = sk_X509_new_null();
    if (between != NULL)
        sk_X509_push(intermediates, between->certificate);
    struct trust_verdict verdicts[2];
    for (int purpose = TRUST_CLIENT; purpose <= TRUST_SERVER; purpose++)
        trust_bundle_verify(bundle, leaf->certificate, intermediates, (enum trust_purpose)purpose, wall_s, &verdicts[purpose]);
    assert_int_equal(verdicts[0].outcome, verdicts[1].outcome);
    assert_string_equal(verdicts[0].text, verdicts[1].text);
    sk_X509_free(intermediates);
    return verdicts[0];
}

static struct trust_verdict verify(const struct trust_bundle *bundle, const struct test_identity *leaf, const struct test_identity *between) {
    return verify_at(bundle, leaf, between, test_now_s());
}

static void an_svid_under_its_root_is_trusted_until_the_first_certificate_ends(void **state) {
    (void)state;
    struct trust_bundle *bundle = bundle_of(&root, NULL);
    struct test_template short_lived = test_template_authority("issuer", NULL);
    short_lived.not_after_s = 600;
    short_lived.not_before_s = -30;
    struct test_identity issuer = test_issue(&short_lived, &root);
    struct test_identity leaf = test_svid(ID, &issuer);
    struct trust_verdict verdict = verify(bundle, &leaf, &issuer);
    assert_int_equal(verdict.outcome, TRUST_OK);
    assert_string_equal(verdict.text, "");
    assert_true(bytes_equal(verdict.id.text, BYTES(ID)));
    assert_int_equal(verdict.not_after, certificate_not_after(issuer.certificate));
    assert_int_equal(verdict.not_before, certificate_not_before(issuer.certificate));
    assert_int_equal(verify(bundle, &leaf, NULL).outcome, TRUST_UNTRUSTED);
    test_identity_free(&leaf);
    test_identity_free(&issuer);
    trust_bundle_destroy(bundle);
}

static void an_svid_is_only_checked_against_the_bundle_of_its_own_trust_domain(void **state) {
    (void)state;
    struct trust_bundle *bundle = bundle_of(&root, &other_root);
    struct test_identity good = test_svid("spiffe://other.local/ns/a", &other_root);
    assert_int_equal(verify(bundle, &good, NULL).outcome, TRUST_OK);
    // Both roots are trusted, each for its own domain only.
    struct test_identity forged = test_svid(ID, &other_root);
    assert_int_equal(verify(bundle, &forged, NULL).outcome, TRUST_UNTRUSTED);
    struct test_identity third = test_svid("spiffe://third.local/ns/a", &root);
    assert_int_equal(verify(bundle, &third, NULL).outcome, TRUST_FOREIGN_DOMAIN);
    struct test_identity upper = test_svid("spiffe://School.LOCAL/ns/a", &root);
    assert_int_equal(verify(bundle, &upper, NULL).outcome, TRUST_OK);
    test_identity_free(&good);
    test_identity_free(&forged);
    test_identity_free(&third);
    test_identity_free(&upper);
    trust_bundle_destroy(bundle);
}

static void a_root_without_an_id_belongs_to_our_own_trust_domain(void **state) {
    (void)state;
    struct test_identity plain = test_root(NULL);
    struct trust_bundle *bundle = bundle_of(&plain, NULL);
    struct test_identity ours = test_svid(ID, &plain);
    struct test_identity theirs = test_svid("spiffe://other.local/ns/a", &plain);
    assert_int_equal(verify(bundle, &ours, NULL).outcome, TRUST_OK);
    assert_int_equal(verify(bundle, &theirs, NULL).outcome, TRUST_FOREIGN_DOMAIN);
    test_identity_free(&ours);
    test_identity_free(&theirs);
    test_identity_free(&plain);
    trust_bundle_destroy(bundle);
}

static void a_leaf_that_breaks_a_rule_is_refused_whoever_signed_it(void **state) {
    (void)state;
    struct trust_bundle *bundle = bundle_of(&root, NULL);
    struct test_template template = test_template_svid(ID);
    template.extended_key_usage = "serverAuth";
    struct test_identity leaf = test_issue(&template, &root);
    struct trust_verdict verdict = verify(bundle, &leaf, NULL);
    assert_int_equal(verdict.outcome, TRUST_NOT_SVID);
    assert_string_equal(verdict.text, svid_fault_text(SVID_FAULT_EXTENDED_KEY_USAGE));
    assert_int_equal(verdict.id.text.len, 0);
    test_identity_free(&leaf);
    trust_bundle_destroy(bundle);
}

static void an_issuer_that_breaks_a_rule_is_refused(void **state) {
    (void)state;
    struct trust_bundle *bundle = bundle_of(&root, NULL);
    struct test_template with_path = test_template_authority("issuer", "spiffe://school.local/issuer");
    struct test_template no_usage = test_template_authority("issuer", NULL);
    no_usage.key_usage = NULL;
    struct test_template no_authority = test_template_authority("issuer", NULL);
    no_authority.basic_constraints = "critical,CA:FALSE";
    struct test_template below_pathlen = test_template_authority("issuer", NULL);
    const struct test_template *const broken[] = {&with_path, &no_usage, &no_authority};
    for (size_t i = 0; i < 3; i++) {
        struct test_identity issuer = test_issue(broken[i], &root);
        struct test_identity leaf = test_svid(ID, &issuer);
        assert_int_not_equal(verify(bundle, &leaf, &issuer).outcome, TRUST_OK);
        test_identity_free(&leaf);
        test_identity_free(&issuer);
    }
    trust_bundle_destroy(bundle);

    // RFC 5280: pathlen of the root forbids an intermediate.
    struct test_template short_path = test_template_authority("short", "spiffe://school.local");
    short_path.basic_constraints = "critical,CA:TRUE,pathlen:0";
    struct test_identity short_root = test_issue(&short_path, NULL);
    bundle = bundle_of(&short_root, NULL);
    struct test_identity issuer = test_issue(&below_pathlen, &short_root);
    struct test_identity leaf = test_svid(ID, &issuer);
    assert_int_equal(verify(bundle, &leaf, &issuer).outcome, TRUST_UNTRUSTED);
    test_identity_free(&leaf);
    test_identity_free(&issuer);
    test_identity_free(&short_root);
    trust_bundle_destroy(bundle);
}

static void a_leaf_cannot_issue_another(void **state) {
    (void)state;
    struct trust_bundle *bundle = bundle_of(&root, NULL);
    struct test_identity courses = test_svid(ID, &root);
    struct test_identity forged = test_svid("spiffe://school.local/ns/school/sa/admin", &courses);
    assert_int_not_equal(verify(bundle, &forged, &courses).outcome, TRUST_OK);
    test_identity_free(&forged);
    test_identity_free(&courses);
    trust_bundle_destroy(bundle);
}

static void name_constraints_on_uris_hold(void **state) {
    (void)state;
    struct trust_bundle *bundle = bundle_of(&root, NULL);
    struct test_template constrained = test_template_authority("issuer", NULL);
    constrained.name_constraints = "critical,permitted;URI:elsewhere.local";
    struct test_identity issuer = test_issue(&constrained, &root);
    struct test_identity leaf = test_svid(ID, &issuer);
    assert_int_equal(verify(bundle, &leaf, &issuer).outcome, TRUST_UNTRUSTED);
    test_identity_free(&leaf);
    test_identity_free(&issuer);
    constrained.name_constraints = "critical,permitted;URI:school.local";
    issuer = test_issue(&constrained, &root);
    leaf = test_svid(ID, &issuer);
    assert_int_equal(verify(bundle, &leaf, &issuer).outcome, TRUST_OK);
    test_identity_free(&leaf);
    test_identity_free(&issuer);
    trust_bundle_destroy(bundle);
}

static void a_certificate_out_of_its_time_is_refused(void **state) {
    (void)state;
    struct trust_bundle *bundle = bundle_of(&root, NULL);
    struct test_identity leaf = test_svid(ID, &root);
    int64_t end = certificate_not_after(leaf.certificate);
    int64_t begin = certificate_not_before(leaf.certificate);
    assert_int_equal(verify_at(bundle, &leaf, NULL, end - 1).outcome, TRUST_OK);
    assert_string_equal(verify_at(bundle, &leaf, NULL, end + 1).text, "a certificate has expired");
    assert_int_equal(verify_at(bundle, &leaf, NULL, end + 1).outcome, TRUST_EXPIRED);
    assert_int_equal(verify_at(bundle, &leaf, NULL, begin).outcome, TRUST_OK);
    assert_string_equal(verify_at(bundle, &leaf, NULL, begin - 1).text, "a certificate is not yet valid");
    // The root's end counts too.
    struct test_template brief = test_template_authority("brief", "spiffe://school.local");
    brief.not_after_s = 60;
    struct test_identity brief_root = test_issue(&brief, NULL);
    struct trust_bundle *brief_bundle = bundle_of(&brief_root, NULL);
    struct test_identity child = test_svid(ID, &brief_root);
    assert_int_equal(verify(brief_bundle, &child, NULL).outcome, TRUST_OK);
    assert_int_equal(verify_at(brief_bundle, &child, NULL, test_now_s() + 90).outcome, TRUST_EXPIRED);
    trust_bundle_destroy(brief_bundle);
    test_identity_free(&child);
    test_identity_free(&brief_root);
    test_identity_free(&leaf);
    trust_bundle_destroy(bundle);
}

// A root is rotated by putting old and new into the bundle; both have one name.
static void two_roots_of_one_name_are_told_apart(void **state) {
    (void)state;
    struct test_identity next = test_root("spiffe://school.local");
    struct trust_bundle *bundle = bundle_of(&root, &next);
    struct test_identity by_old = test_svid(ID, &root);
    struct test_identity by_new = test_svid(ID, &next);
    assert_int_equal(trust_bundle_root_count(bundle), 2);
    assert_int_equal(verify(bundle, &by_old, NULL).outcome, TRUST_OK);
    assert_int_equal(verify(bundle, &by_new, NULL).outcome, TRUST_OK);
    test_identity_free(&by_old);
    test_identity_free(&by_new);
    test_identity_free(&next);
    trust_bundle_destroy(bundle);
}

static void an_intermediate_in_the_bundle_is_trusted_alone(void **state) {
    (void)state;
    struct test_identity issuer = test_intermediate("spiffe://school.local", &root);
    struct trust_bundle *bundle = bundle_of(&issuer, NULL);
    struct test_identity leaf = test_svid(ID, &issuer);
    struct test_identity sibling = test_svid(ID, &root);
    assert_int_equal(verify(bundle, &leaf, NULL).outcome, TRUST_OK);
    assert_int_equal(verify(bundle, &sibling, NULL).outcome, TRUST_UNTRUSTED);
    test_identity_free(&leaf);
    test_identity_free(&sibling);
    test_identity_free(&issuer);
    trust_bundle_destroy(bundle);
}

static void a_path_has_a_bounded_length(void **state) {
    (void)state;
    struct trust_bundle *bundle = bundle_of(&root, NULL);
    STACK_OF(X509) *intermediates = sk_X509_new_null();
    struct test_identity issuers[TRUST_INTERMEDIATES_MAX + 3];
    for (int i = 0; i < TRUST_INTERMEDIATES_MAX + 3; i++) {
        char name[32];
        snprintf(name, sizeof(name), "issuer %d", i);
        struct test_template template = test_template_authority(name, NULL);
        issuers[i] = test_issue(&template, i == 0 ? &root : &issuers[i - 1]);
        sk_X509_push(intermediates, issuers[i].certificate);
        struct test_identity leaf = test_svid(ID, &issuers[i]);
        struct trust_verdict verdict;
        trust_bundle_verify(bundle, leaf.certificate, intermediates, TRUST_CLIENT, test_now_s(), &verdict);
        assert_int_equal(verdict.outcome, i < TRUST_INTERMEDIATES_MAX ? TRUST_OK : TRUST_UNTRUSTED);
        test_identity_free(&leaf);
    }
    sk_X509_pop_free(intermediates, X509_free);
    for (int i = 0; i < TRUST_INTERMEDIATES_MAX + 3; i++)
        EVP_PKEY_free(issuers[i].key);
    trust_bundle_destroy(bundle);
}

static void a_bundle_takes_only_signing_certificates(void **state) {
    (void)state;
    struct test_identity leaf = test_svid(ID, &root);
    struct trust_bundle *bundle = NULL;
    char reason[256];
    char *pem = test_certificates_pem(&root, &leaf, NULL);
    assert_int_equal(trust_bundle_create(bytes_from_text(pem), BYTES(HOME), &bundle, reason, sizeof(reason)), ERROR_INVALID);
    assert_non_null(strstr(reason, svid_fault_text(SVID_FAULT_NOT_AUTHORITY)));
    free(pem);
    assert_int_equal(trust_bundle_create(BYTES(""), BYTES(HOME), &bundle, reason, sizeof(reason)), ERROR_INVALID);
    assert_string_equal(reason, "no certificate in it");
    assert_null(bundle);
    test_identity_free(&leaf);
}

static void the_digest_is_of_the_set_of_roots(void **state) {
    (void)state;
    struct trust_bundle *one = bundle_of(&root, &other_root);
    struct trust_bundle *turned = bundle_of(&other_root, &root);
    struct trust_bundle *repeated = bundle_of(&root, &root);
    struct trust_bundle *less = bundle_of(&root, NULL);
    assert_memory_equal(trust_bundle_digest(one), trust_bundle_digest(turned), CERTIFICATE_DIGEST_SIZE);
    assert_memory_equal(trust_bundle_digest(less), trust_bundle_digest(repeated), CERTIFICATE_DIGEST_SIZE);
    assert_memory_not_equal(trust_bundle_digest(one), trust_bundle_digest(less), CERTIFICATE_DIGEST_SIZE);
    assert_int_equal(trust_bundle_root_count(one), 2);
    assert_int_equal(trust_bundle_root_count(repeated), 1);
    struct trust_root facts;
    trust_bundle_root(turned, 1, &facts);
    assert_true(bytes_equal(facts.trust_domain, BYTES("school.local")));
    assert_string_equal(facts.subject, "CN=test root");
    assert_int_equal(facts.not_after, certificate_not_after(root.certificate));
    trust_bundle_destroy(one);
    trust_bundle_destroy(turned);
    trust_bundle_destroy(repeated);
    trust_bundle_destroy(less);

    // The same root without an id means something else in another trust domain.
    struct test_identity plain = test_root(NULL);
    char *pem = test_certificates_pem(&plain, NULL);
    char reason[64];
    struct trust_bundle *here, *there;
    assert_int_equal(trust_bundle_create(bytes_from_text(pem), BYTES("here"), &here, reason, sizeof(reason)), OK);
    assert_int_equal(trust_bundle_create(bytes_from_text(pem), BYTES("there"), &there, reason, sizeof(reason)), OK);
    assert_memory_not_equal(trust_bundle_digest(here), trust_bundle_digest(there), CERTIFICATE_DIGEST_SIZE);
    trust_bundle_destroy(here);
    trust_bundle_destroy(there);
    free(pem);
    test_identity_free(&plain);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_svid_under_its_root_is_trusted_until_the_first_certificate_ends),
        cmocka_unit_test(an_svid_is_only_checked_against_the_bundle_of_its_own_trust_domain),
        cmocka_unit_test(a_root_without_an_id_belongs_to_our_own_trust_domain),
        cmocka_unit_test(a_leaf_that_breaks_a_rule_is_refused_whoever_signed_it),
        cmocka_unit_test(an_issuer_that_breaks_a_rule_is_refused),
        cmocka_unit_test(a_leaf_cannot_issue_another),
        cmocka_unit_test(name_constraints_on_uris_hold),
        cmocka_unit_test(a_certificate_out_of_its_time_is_refused),
        cmocka_unit_test(two_roots_of_one_name_are_told_apart),
        cmocka_unit_test(an_intermediate_in_the_bundle_is_trusted_alone),
        cmocka_unit_test(a_path_has_a_bounded_length),
        cmocka_unit_test(a_bundle_takes_only_signing_certificates),
        cmocka_unit_test(the_digest_is_of_the_set_of_roots),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
