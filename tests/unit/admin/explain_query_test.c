// What /explain can be asked, and what is said of the rest.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "admin/explain_query.h"

struct asked {
    struct pool_source chunks;
    struct pool pool;
    struct explain_question question;
    struct bytes error;
    bool is_good;
};

static void ask(struct asked *asked, const char *query) {
    pool_source_init(&asked->chunks, 0);
    pool_init(&asked->pool, &asked->chunks);
    asked->is_good = explain_query_parse(bytes_from_text(query), &asked->pool, &asked->question, &asked->error);
}

static void forget(struct asked *asked) {
    pool_dispose(&asked->pool);
    pool_source_dispose(&asked->chunks);
}

static void assert_text(struct bytes text, const char *expected) {
    assert_int_equal(text.len, strlen(expected));
    assert_memory_equal(text.at, expected, text.len);
}

static void a_question_has_a_request_s_parts(void **state) {
    (void)state;
    struct asked asked;
    ask(&asked, "listener=in&method=PUT&host=Courses%3A8080&path=/a%3Fb=c&header=X-Tenant:%2042%20&header=x:&as=spiffe://t/ns/a/sa/"
                "b&client=::1&destination=10.0.0.1:80");
    assert_true(asked.is_good);
    assert_text(asked.question.listener, "in");
    assert_text(asked.question.method, "PUT");
    assert_text(asked.question.host, "Courses:8080");
    assert_text(asked.question.path, "/a?b=c");
    assert_int_equal(asked.question.header_count, 2);
    assert_text(asked.question.headers[0].name, "X-Tenant");
    assert_text(asked.question.headers[0].value, "42");
    assert_text(asked.question.headers[1].value, "");
    assert_text(asked.question.identity.text, "spiffe://t/ns/a/sa/b");
    assert_int_equal(asked.question.client.storage.ss_family, AF_INET6);
    assert_int_equal(asked.question.destination.storage.ss_family, AF_INET);
    forget(&asked);
}

static void what_is_left_out_has_its_usual_value(void **state) {
    (void)state;
    struct asked asked;
    ask(&asked, "");
    assert_true(asked.is_good);
    assert_text(asked.question.method, "GET");
    assert_text(asked.question.path, "/");
    assert_int_equal(asked.question.listener.len + asked.question.host.len + asked.question.identity.text.len + asked.question.header_count, 0);
    assert_int_equal(asked.question.client.storage.ss_family, AF_INET);
    assert_int_equal(asked.question.destination.length, 0);
    forget(&asked);
}

static void what_no_connection_could_bring_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"host=a%0d%0ab",  "host=",     "path=",        "path=a",        "method=",          "method=a%20b",
                                      "method=CONNECT", "header=",   "header=a",     "header=a%0a:b", "header=a:b%0a",    "header=:b",
                                      "header=Host:a",  "as=",       "as=spiffe://", "client=",       "client=localhost", "destination=1.2.3.4",
                                      "format=",        "nothing=1", "host=a&host=a"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct asked asked;
        ask(&asked, bad[i]);
        assert_false(asked.is_good);
        assert_true(asked.error.len > 0);
        forget(&asked);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_question_has_a_request_s_parts),
        cmocka_unit_test(what_is_left_out_has_its_usual_value),
        cmocka_unit_test(what_no_connection_could_bring_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
