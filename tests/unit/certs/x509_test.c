// The rules of X509-SVID.md for leaves and signing certificates, one test each, and the reading of PEM.
#include "certs/x509.h"

#include "support/test_ca.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define ID "spiffe://school.local/ns/school/sa/courses"

// One authority for the whole file: making keys is what takes time.
static struct test_identity root;

static int set_up(void **state) {
    (void)state;
    root = test_root("spiffe://school.local");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    test_identity_free(&root);
    return 0;
}

static enum svid_fault leaf_fault(const struct test_template *template) {
    struct test_identity identity = test_issue(template, &root);
    struct spiffe_id id;
    enum svid_fault fault = svid_check_leaf(identity.certificate, &id);
    test_identity_free(&identity);
    return fault;
}

static enum svid_fault authority_fault(const struct test_template *template, bool anchor) {
    struct test_identity identity = test_issue(template, &root);
    struct spiffe_id id;
    enum svid_fault fault = svid_check_authority(identity.certificate, anchor, &id);
    test_identity_free(&identity);
    return fault;
}

static void a_leaf_by_the_rules_has_its_id(void **state) {
    (void)state;
    struct test_identity identity = test_svid(ID, &root);
    struct spiffe_id id;
    assert_int_equal(svid_check_leaf(identity.certificate, &id), SVID_FAULT_NONE);
    assert_true(bytes_equal(id.text, BYTES(ID)));
    assert_true(bytes_equal(id.path, BYTES("/ns/school/sa/courses")));
    test_identity_free(&identity);
}

static void a_leaf_has_exactly_one_uri(void **state) {
    (void)state;
    struct test_template template = test_template_svid(ID);
    template.uris[1] = BYTES("https://other.example/");
    assert_int_equal(leaf_fault(&template), SVID_FAULT_URI_REPEATED);
    template.uris[1] = BYTES(ID);
    assert_int_equal(leaf_fault(&template), SVID_FAULT_URI_REPEATED);
    template.uris[0] = template.uris[1] = BYTES_NONE;
    template.common_name = "courses";
    assert_int_equal(leaf_fault(&template), SVID_FAULT_URI_MISSING);
}

static void names_of_other_types_are_free_and_never_the_identity(void **state) {
    (void)state;
    struct test_template template = test_template_svid(ID);
    template.other_names = "DNS:courses.school.local,email:a@b.example,IP:10.0.0.1,otherName:1.2.3.4;UTF8:spiffe://school.local/admin";
    struct test_identity identity = test_issue(&template, &root);
    struct spiffe_id id;
    assert_int_equal(svid_check_leaf(identity.certificate, &id), SVID_FAULT_NONE);
    assert_true(bytes_equal(id.text, BYTES(ID)));
    test_identity_free(&identity);

    // The same text under another type is no identity.
    template.uris[0] = BYTES_NONE;
    template.other_names = "DNS:spiffe.school.local,email:" ID ",otherName:1.2.3.4;UTF8:" ID;
    assert_int_equal(leaf_fault(&template), SVID_FAULT_URI_MISSING);
}

static void a_nul_byte_in_the_uri_is_refused(void **state) {
    (void)state;
    struct test_template template = test_template_svid(ID);
    template.uris[0] = BYTES(ID "\0.attacker.example");
    assert_int_equal(leaf_fault(&template), SVID_FAULT_URI_INVALID);
    template.uris[0] = BYTES(ID "\0");
    assert_int_equal(leaf_fault(&template), SVID_FAULT_URI_INVALID);
}

static void the_uri_must_be_a_spiffe_id_with_a_path(void **state) {
    (void)state;
    struct test_template template = test_template_svid("https://school.local/ns/school");
    assert_int_equal(leaf_fault(&template), SVID_FAULT_URI_INVALID);
    template.uris[0] = BYTES("spiffe://school.local/a//b");
    assert_int_equal(leaf_fault(&template), SVID_FAULT_URI_INVALID);
    template.uris[0] = BYTES("spiffe://school.local");
    assert_int_equal(leaf_fault(&template), SVID_FAULT_URI_WITHOUT_PATH);
}

static void the_names_are_critical_where_the_subject_is_empty(void **state) {
    (void)state;
    struct test_template template = test_template_svid(ID);
    template.names_critical = false;
    assert_int_equal(leaf_fault(&template), SVID_FAULT_URI_NOT_CRITICAL);
    template.common_name = "courses";
    assert_int_equal(leaf_fault(&template), SVID_FAULT_NONE);
}

static void a_leaf_needs_a_critical_key_usage(void **state) {
    (void)state;
    struct test_template template = test_template_svid(ID);
    template.key_usage = NULL;
    assert_int_equal(leaf_fault(&template), SVID_FAULT_KEY_USAGE_MISSING);
    template.key_usage = "digitalSignature";
    assert_int_equal(leaf_fault(&template), SVID_FAULT_KEY_USAGE_NOT_CRITICAL);
}

static void a_leaf_signs_data_and_neither_certificates_nor_revocations(void **state) {
    (void)state;
    struct test_template template = test_template_svid(ID);
    template.key_usage = "critical,keyEncipherment,keyAgreement";
    assert_int_equal(leaf_fault(&template), SVID_FAULT_DIGITAL_SIGNATURE_MISSING);
    template.key_usage = "critical,digitalSignature,keyCertSign";
    assert_int_equal(leaf_fault(&template), SVID_FAULT_SIGNS_CERTIFICATES);
    template.key_usage = "critical,digitalSignature,cRLSign";
    assert_int_equal(leaf_fault(&template), SVID_FAULT_SIGNS_REVOCATIONS);
    template.key_usage = "critical,digitalSignature,keyEncipherment,keyAgreement";
    assert_int_equal(leaf_fault(&template), SVID_FAULT_NONE);
}

static void a_leaf_is_no_authority(void **state) {
    (void)state;
    struct test_template template = test_template_svid(ID);
    template.basic_constraints = "critical,CA:TRUE";
    assert_int_equal(leaf_fault(&template), SVID_FAULT_IS_AUTHORITY);
    template.basic_constraints = NULL;
    assert_int_equal(leaf_fault(&template), SVID_FAULT_NONE);
}

static void an_extended_key_usage_names_both_ends_of_tls(void **state) {
    (void)state;
    struct test_template template = test_template_svid(ID);
    static const char *const partial[] = {"serverAuth", "clientAuth", "emailProtection", "anyExtendedKeyUsage"};
    for (size_t i = 0; i < sizeof(partial) / sizeof(partial[0]); i++) {
        template.extended_key_usage = partial[i];
        assert_int_equal(leaf_fault(&template), SVID_FAULT_EXTENDED_KEY_USAGE);
    }
    template.extended_key_usage = "critical,clientAuth,serverAuth,emailProtection";
    assert_int_equal(leaf_fault(&template), SVID_FAULT_NONE);
    template.extended_key_usage = NULL;
    assert_int_equal(leaf_fault(&template), SVID_FAULT_NONE);
}

static void an_extension_that_stands_twice_is_refused(void **state) {
    (void)state;
    struct test_template template = test_template_svid(ID);
    template.repeated_key_usage = "critical,digitalSignature";
    assert_int_equal(leaf_fault(&template), SVID_FAULT_MALFORMED);
}

static void a_signing_certificate_is_an_authority_that_may_sign(void **state) {
    (void)state;
    struct test_template template = test_template_authority("issuer", "spiffe://school.local");
    assert_int_equal(authority_fault(&template, false), SVID_FAULT_NONE);
    template.basic_constraints = "critical,CA:TRUE,pathlen:0";
    assert_int_equal(authority_fault(&template, false), SVID_FAULT_NONE);
    template.key_usage = "critical,digitalSignature";
    assert_int_equal(authority_fault(&template, false), SVID_FAULT_AUTHORITY_CANNOT_SIGN);
    template.key_usage = "keyCertSign";
    assert_int_equal(authority_fault(&template, false), SVID_FAULT_KEY_USAGE_NOT_CRITICAL);
    template.key_usage = NULL;
    assert_int_equal(authority_fault(&template, false), SVID_FAULT_KEY_USAGE_MISSING);
    assert_int_equal(authority_fault(&template, true), SVID_FAULT_KEY_USAGE_MISSING);
    template = test_template_svid(ID);
    assert_int_equal(authority_fault(&template, false), SVID_FAULT_NOT_AUTHORITY);
}

static void the_id_of_a_signing_certificate_has_no_path(void **state) {
    (void)state;
    struct test_template template = test_template_authority("issuer", "spiffe://school.local/ca");
    assert_int_equal(authority_fault(&template, false), SVID_FAULT_AUTHORITY_WITH_PATH);
    assert_int_equal(authority_fault(&template, true), SVID_FAULT_AUTHORITY_WITH_PATH);
    template.uris[0] = BYTES("spiffe://school.local");
    template.uris[1] = BYTES("spiffe://other.local");
    assert_int_equal(authority_fault(&template, false), SVID_FAULT_URI_REPEATED);
}

static void a_root_without_an_id_may_lack_the_key_usage(void **state) {
    (void)state;
    struct test_template template = test_template_authority("root", NULL);
    template.key_usage = NULL;
    assert_int_equal(authority_fault(&template, true), SVID_FAULT_NONE);
    assert_int_equal(authority_fault(&template, false), SVID_FAULT_KEY_USAGE_MISSING);
    template.uris[0] = BYTES("https://ca.example/policy");
    assert_int_equal(authority_fault(&template, true), SVID_FAULT_NONE);
}

static const char *chain_reason(struct bytes pem, int max) {
    static char reason[128];
    STACK_OF(X509) *chain = NULL;
    if (certificates_parse(pem, max, &chain, reason, sizeof(reason)) == OK) {
        sk_X509_pop_free(chain, X509_free);
        return "accepted";
    }
    assert_null(chain);
    return reason;
}

static void a_chain_is_read_in_order_and_other_blocks_are_passed_over(void **state) {
    (void)state;
    struct test_identity leaf = test_svid(ID, &root);
    char *certificates = test_certificates_pem(&leaf, &root, NULL);
    char *key = test_key_pem(&leaf);
    char *all = malloc(strlen(certificates) + strlen(key) + 64);
    sprintf(all, "a remark\n%s%s\nanother\n", key, certificates);
    STACK_OF(X509) *chain;
    char reason[128];
    assert_int_equal(certificates_parse(bytes_from_text(all), CERTIFICATE_CHAIN_MAX, &chain, reason, sizeof(reason)), OK);
    assert_int_equal(sk_X509_num(chain), 2);
    assert_int_equal(X509_cmp(sk_X509_value(chain, 0), leaf.certificate), 0);
    assert_int_equal(X509_cmp(sk_X509_value(chain, 1), root.certificate), 0);
    sk_X509_pop_free(chain, X509_free);
    free(all);
    free(key);
    free(certificates);
    test_identity_free(&leaf);
}

static void a_chain_that_is_empty_cut_or_too_long_is_refused(void **state) {
    (void)state;
    char *pem = test_certificates_pem(&root, &root, NULL);
    assert_string_equal(chain_reason(BYTES_NONE, 8), "no certificate in it");
    assert_string_equal(chain_reason(BYTES("no PEM\n"), 8), "no certificate in it");
    assert_string_equal(chain_reason(bytes_from_text(pem), 2), "accepted");
    assert_string_equal(chain_reason(bytes_from_text(pem), 1), "too many certificates");
    size_t length = strlen(pem);
    for (size_t cut = 2; cut < length / 2; cut += 97)
        assert_string_equal(chain_reason(bytes_from(pem, length - cut), 8), "a certificate in it is malformed");
    char *middle = strchr(pem, '\n') + 10;
    memcpy(middle, "!!!!", 4);
    assert_string_equal(chain_reason(bytes_from_text(pem), 8), "a certificate in it is malformed");
    free(pem);
}

static const char *key_reason(const char *pem) {
    static char reason[128];
    EVP_PKEY *key = NULL;
    if (private_key_parse(bytes_from_text(pem), &key, reason, sizeof(reason)) == OK) {
        EVP_PKEY_free(key);
        return "accepted";
    }
    assert_null(key);
    return reason;
}

static void keys_of_the_usual_kinds_are_read(void **state) {
    (void)state;
    static const enum test_key kinds[] = {TEST_KEY_P256, TEST_KEY_P384, TEST_KEY_ED25519, TEST_KEY_RSA2048};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct test_template template = test_template_svid(ID);
        template.key = kinds[i];
        struct test_identity identity = test_issue(&template, &root);
        char *pem = test_key_pem(&identity);
        assert_string_equal(key_reason(pem), "accepted");
        free(pem);
        test_identity_free(&identity);
    }
}

static void a_key_that_is_missing_malformed_encrypted_or_weak_is_refused(void **state) {
    (void)state;
    char *pem = test_key_pem(&root);
    assert_string_equal(key_reason(""), "no private key in it");
    char *certificate = test_certificates_pem(&root, NULL);
    assert_string_equal(key_reason(certificate), "no private key in it");
    pem[strlen(pem) - 40] = '!';
    assert_string_equal(key_reason(pem), "the private key is malformed");
    free(pem);
    free(certificate);
    pem = test_key_pem_encrypted(&root, "secret");
    assert_string_equal(key_reason(pem), "the private key is encrypted");
    free(pem);
    struct test_template template = test_template_svid(ID);
    template.key = TEST_KEY_RSA1024;
    struct test_identity weak = test_issue(&template, &root);
    pem = test_key_pem(&weak);
    assert_string_equal(key_reason(pem), "an RSA key of less than 2048 bits");
    free(pem);
    test_identity_free(&weak);
}

static void facts_for_people_are_read(void **state) {
    (void)state;
    char serial[CERTIFICATE_SERIAL_SIZE], subject[64], cut[8];
    certificate_serial(root.certificate, serial);
    assert_int_equal(strlen(serial), 32);
    assert_int_equal(strspn(serial, "0123456789abcdef"), 32);
    certificate_subject(root.certificate, subject, sizeof(subject));
    assert_string_equal(subject, "CN=test root");
    certificate_subject(root.certificate, cut, sizeof(cut));
    assert_string_equal(cut, "CN=test");
    int64_t life = certificate_not_after(root.certificate) - certificate_not_before(root.certificate);
    assert_int_equal(life, 25 * 3600);
    assert_true(certificate_not_after(root.certificate) > test_now_s());
}

static void a_subject_with_control_characters_is_escaped(void **state) {
    (void)state;
    struct test_template template = test_template_svid(ID);
    template.common_name = "a\r\nevent=forged";
    struct test_identity identity = test_issue(&template, &root);
    char subject[128];
    certificate_subject(identity.certificate, subject, sizeof(subject));
    for (const char *at = subject; *at != '\0'; at++)
        assert_true((unsigned char)*at >= ' ');
    test_identity_free(&identity);
}

static void the_digest_depends_on_all_certificates_and_their_order(void **state) {
    (void)state;
    struct test_identity leaf = test_svid(ID, &root);
    STACK_OF(X509) *others = sk_X509_new_null();
    sk_X509_push(others, root.certificate);
    unsigned char alone[32], both[32], again[32];
    assert_true(certificates_digest(leaf.certificate, NULL, alone));
    assert_true(certificates_digest(leaf.certificate, others, both));
    assert_true(certificates_digest(leaf.certificate, others, again));
    assert_memory_not_equal(alone, both, 32);
    assert_memory_equal(both, again, 32);
    sk_X509_free(others);
    test_identity_free(&leaf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leaf_by_the_rules_has_its_id),
        cmocka_unit_test(a_leaf_has_exactly_one_uri),
        cmocka_unit_test(names_of_other_types_are_free_and_never_the_identity),
        cmocka_unit_test(a_nul_byte_in_the_uri_is_refused),
        cmocka_unit_test(the_uri_must_be_a_spiffe_id_with_a_path),
        cmocka_unit_test(the_names_are_critical_where_the_subject_is_empty),
        cmocka_unit_test(a_leaf_needs_a_critical_key_usage),
        cmocka_unit_test(a_leaf_signs_data_and_neither_certificates_nor_revocations),
        cmocka_unit_test(a_leaf_is_no_authority),
        cmocka_unit_test(an_extended_key_usage_names_both_ends_of_tls),
        cmocka_unit_test(an_extension_that_stands_twice_is_refused),
        cmocka_unit_test(a_signing_certificate_is_an_authority_that_may_sign),
        cmocka_unit_test(the_id_of_a_signing_certificate_has_no_path),
        cmocka_unit_test(a_root_without_an_id_may_lack_the_key_usage),
        cmocka_unit_test(a_chain_is_read_in_order_and_other_blocks_are_passed_over),
        cmocka_unit_test(a_chain_that_is_empty_cut_or_too_long_is_refused),
        cmocka_unit_test(keys_of_the_usual_kinds_are_read),
        cmocka_unit_test(a_key_that_is_missing_malformed_encrypted_or_weak_is_refused),
        cmocka_unit_test(facts_for_people_are_read),
        cmocka_unit_test(a_subject_with_control_characters_is_escaped),
        cmocka_unit_test(the_digest_depends_on_all_certificates_and_their_order),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
