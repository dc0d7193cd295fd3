// Which values are not shown, by the names that they stand under.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "http/redact.h"

static void names_that_tell_of_secrets(void **state) {
    (void)state;
    static const char *const secret[] = {"Authorization",
                                         "proxy-authorization",
                                         "Cookie",
                                         "set-cookie",
                                         "x-api-key",
                                         "api_key",
                                         "X-Auth-Token",
                                         "access_token",
                                         "password",
                                         "client_secret",
                                         "key",
                                         "sig",
                                         "x-amz-signature",
                                         "PHPSESSIONID",
                                         "id-jwt",
                                         "code",
                                         "Code",
                                         "device_code",
                                         "pwd",
                                         "pw",
                                         "pass",
                                         "passphrase",
                                         "passcode",
                                         "pin",
                                         "sid",
                                         "PHPSESSID",
                                         "ticket",
                                         "SAMLResponse",
                                         "SAMLart",
                                         "code_verifier",
                                         "Bearer",
                                         "x-hmac",
                                         "X-CSRF",
                                         "_xsrf"};
    static const char *const open[] = {"accept",   "host",  "x-tenant", "x-request-id", "user-agent", "keyboard", "design", "monkey",
                                       "zip_code", "codec", "shipping", "compass",      "passenger",  "side",     "tickets"};
    for (size_t i = 0; i < sizeof secret / sizeof secret[0]; i++)
        assert_true(redact_is_secret(bytes_from_text(secret[i])));
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++)
        assert_false(redact_is_secret(bytes_from_text(open[i])));
}

// Those of OpenTelemetry's conventions for url.full and url.query.
static void names_of_signed_urls_are_secret(void **state) {
    (void)state;
    static const char *const names[] = {
        "sig", "Signature", "X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token", "AWSAccessKeyId", "awsaccesskeyid", "X-Goog-Signature"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_true(redact_is_secret(bytes_from_text(names[i])));
}

static void a_query_loses_the_values_of_such_names(void **state) {
    (void)state;
    static const struct {
        const char *target, *shown;
    } cases[] = {
        {"/a", "/a"},
        {"/token=x", "/token=x"},
        {"/a?", "/a?"},
        {"/a?b=c&d", "/a?b=c&d"},
        {"/a?token=x", "/a?token=REDACTED"},
        {"/a?token=", "/a?token="},
        {"/a?b=c&TOKEN=x&d=e", "/a?b=c&TOKEN=REDACTED&d=e"},
        {"/a?%74oken=x&&key=y", "/a?%74oken=REDACTED&&key=REDACTED"},
        {"/a?key=1&key=2&key=3", "/a?key=REDACTED&key=REDACTED&key=REDACTED"},
        {"/?sig=a=b?key=c", "/?sig=REDACTED"},
        {"/cb?code=x&state=s&pwd=y&SAMLResponse=z", "/cb?code=REDACTED&state=s&pwd=REDACTED&SAMLResponse=REDACTED"},
    };
    struct pool_source chunks;
    struct pool pool;
    pool_source_init(&chunks, 0);
    pool_init(&pool, &chunks);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct bytes shown = redact_query(bytes_from_text(cases[i].target), &pool);
        assert_int_equal(shown.len, strlen(cases[i].shown));
        assert_memory_equal(shown.at, cases[i].shown, shown.len);
    }
    pool_dispose(&pool);
    pool_source_dispose(&chunks);
}

static void a_url_loses_what_may_let_somebody_in(void **state) {
    (void)state;
    static const struct {
        const char *name, *value, *shown;
    } cases[] = {
        {"Referer", "https://a/b?reset_token=hidden", "https://a/b"},
        {"location", "/cb#access_token=hidden", "/cb"},
        {"Content-Location", "/cb#a?b", "/cb"},
        {"X-Envoy-Original-Path", "/a?b#c", "/a"},
        {"x-forwarded-uri", "/?code=hidden", "/"},
        {"X-Original-URL", "?hidden", ""},
        {"Link", "<https://a/b?c>; rel=next", "<https://a/b"},
        {"Destination", "https://user:hidden@a/b", "a/b"},
        {"Refresh", "5; https://a/b?hidden", "5; https://a/b"},
        {"x-target", "/a?hidden", "/a"},
        {"referer", "https://a@b:hidden@c", "c"},
        {"referer", "https://a/b@c", "https://a/b@c"},
        {"referer", "a@b", "a@b"},
        {"referer", "http://me:se?cret@h/", ""},
        {"referer", "http://me:se#cret@h/", ""},
        {"referer", "http://me:se/cret@h/", ""},
        {"referer", "http://h:80/users/@me", "http://h:80/users/@me"},
        {"referer", "http://[::1]:80/a", "http://[::1]:80/a"},
        {"Link", "<https://a/>, <https://u:hidden@b/>; rel=next", "b/>; rel=next"},
        {"Link", "<https://u:hid,den@b/>", ""},
        {"Location", "//u:hidden@h/a", "h/a"},
        {"Location", "urn:x https://u:hidden@h", "h"},
        {"referer", "", ""},
        {"user-agent", "what? #1", "what? #1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct bytes shown = redact_url(bytes_from_text(cases[i].name), bytes_from_text(cases[i].value));
        if (!bytes_equal(shown, bytes_from_text(cases[i].shown)))
            fail_msg("%s: %.*s", cases[i].value, BYTES_FORMAT(shown));
    }
}

static void a_target_that_was_refused_has_no_user(void **state) {
    (void)state;
    static const struct {
        const char *target, *shown;
    } cases[] = {
        {"", ""},
        {"/a?b#c", "/a"},
        {"/a@b:c", "/a@b:c"},
        {"*", "*"},
        {"backend:443", "backend:443"},
        {"[::1]:443", "[::1]:443"},
        {"me:secret@backend:443", "backend:443"},
        {"me:se@cret@backend:443", "backend:443"},
        {"me:se?cret@backend:443", ""},
        {"me:se/cret@backend:443", ""},
        {"me:sec", ""},
        {"[me:sec", ""},
        {"[me]:sec", ""},
        {"http://backend:80/a?b", "http://backend:80/a"},
        {"http://me:secret@backend/a?b", "backend/a"},
        {"http://me:se?cret@backend/", ""},
        {"http://me:se#cret@backend/", ""},
        {"http://me:1/2@backend/", ""},
        {"http://me:sec", ""},
        {"http://me:12", ""},
        {"http://me:12@", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct bytes shown = redact_target(bytes_from_text(cases[i].target));
        if (!bytes_equal(shown, bytes_from_text(cases[i].shown)))
            fail_msg("%s: %.*s", cases[i].target, BYTES_FORMAT(shown));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_tell_of_secrets),
        cmocka_unit_test(names_of_signed_urls_are_secret),
        cmocka_unit_test(a_query_loses_the_values_of_such_names),
        cmocka_unit_test(a_url_loses_what_may_let_somebody_in),
        cmocka_unit_test(a_target_that_was_refused_has_no_user),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
