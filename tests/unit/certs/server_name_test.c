// Which certificates are for a name: RFC 9525, section 6.
#include "certs/server_name.h"

#include "support/test_ca.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static bool is_of(enum server_name_type type, const char *name, const char *names, const char *common_name, const char *uri) {
    struct test_template template = test_template_svid("spiffe://unused/x");
    template.uris[0] = uri != NULL ? bytes_from_text(uri) : BYTES_NONE;
    template.other_names = names;
    template.common_name = common_name;
    struct test_identity leaf = test_issue(&template, NULL);
    const struct server_name wanted = {type, bytes_from_text(name)};
    bool is = server_name_is_of(&wanted, leaf.certificate);
    test_identity_free(&leaf);
    return is;
}

static void names_of_dns(void **state) {
    (void)state;
    assert_true(is_of(SERVER_NAME_HOST, "api.example", "DNS:other.example,DNS:API.example", NULL, NULL));
    assert_true(is_of(SERVER_NAME_HOST, "a.api.example", "DNS:*.api.example", NULL, NULL));
    assert_false(is_of(SERVER_NAME_HOST, "api.example", "DNS:*.api.example", NULL, NULL));
    assert_false(is_of(SERVER_NAME_HOST, "a.b.api.example", "DNS:*.api.example", NULL, NULL));
    assert_false(is_of(SERVER_NAME_HOST, "abc.api.example", "DNS:a*c.api.example", NULL, NULL));
    assert_false(is_of(SERVER_NAME_HOST, "api.example", "DNS:api.example.evil", NULL, NULL));
    assert_false(is_of(SERVER_NAME_HOST, "api.example", "email:api.example@x", NULL, NULL));
    assert_false(is_of(SERVER_NAME_HOST, "10.0.0.1", "IP:10.0.0.1", NULL, NULL));
}

static void the_common_name_is_none(void **state) {
    (void)state;
    assert_false(is_of(SERVER_NAME_HOST, "api.example", NULL, "api.example", NULL));
    assert_false(is_of(SERVER_NAME_HOST, "api.example", "DNS:other.example", "api.example", NULL));
}

static void addresses(void **state) {
    (void)state;
    assert_true(is_of(SERVER_NAME_ADDRESS, "10.0.0.1", "IP:10.0.0.2,IP:10.0.0.1", NULL, NULL));
    assert_true(is_of(SERVER_NAME_ADDRESS, "2001:db8::1", "IP:2001:db8:0:0:0:0:0:1", NULL, NULL));
    assert_false(is_of(SERVER_NAME_ADDRESS, "10.0.0.1", "DNS:10.0.0.1", NULL, NULL));
    assert_false(is_of(SERVER_NAME_ADDRESS, "10.0.0.1", "IP:10.0.0.2", NULL, NULL));
}

static void uris_octet_for_octet(void **state) {
    (void)state;
    assert_true(is_of(SERVER_NAME_URI, "spiffe://other/web", NULL, NULL, "spiffe://other/web"));
    assert_false(is_of(SERVER_NAME_URI, "spiffe://other/web", NULL, NULL, "spiffe://other/web2"));
    assert_false(is_of(SERVER_NAME_URI, "spiffe://other/web", NULL, NULL, "spiffe://other/we"));
    assert_false(is_of(SERVER_NAME_URI, "spiffe://other/web", NULL, NULL, "spiffe://Other/web"));
    assert_false(is_of(SERVER_NAME_URI, "spiffe://other/web", "DNS:other", NULL, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_dns),
        cmocka_unit_test(the_common_name_is_none),
        cmocka_unit_test(addresses),
        cmocka_unit_test(uris_octet_for_octet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
