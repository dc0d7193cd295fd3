// What /tap can be asked, and what is said of the rest.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "admin/tap_query.h"

static struct pool_source chunks;
static struct pool pool;
static struct tap_question question;
static struct bytes error;

static int begin(void **state) {
    (void)state;
    pool_source_init(&chunks, 0);
    pool_init(&pool, &chunks);
    return 0;
}

static int end(void **state) {
    (void)state;
    pool_dispose(&pool);
    pool_source_dispose(&chunks);
    return 0;
}

static bool ask(const char *query) {
    return tap_query_parse(bytes_from_text(query), &pool, &question, &error);
}

static void assert_text(struct bytes text, const char *expected) {
    assert_int_equal(text.len, strlen(expected));
    assert_memory_equal(text.at, expected, text.len);
}

static void everything_that_can_be_named_is_read(void **state) {
    (void)state;
    assert_true(
        ask("listener=in&direction=inbound&method=PUT&host=Courses%3A8080&path=/a%20b&status=404&end=denied&service=school/courses&route=r%3A%20read&"
            "as=spiffe://t/ns/a/sa/b&slower=1s500ms&count=7&duration=1m&rate=20&format=text"));
    assert_text(question.match.listener, "in");
    assert_text(question.match.direction, "inbound");
    assert_text(question.match.method, "PUT");
    assert_text(question.match.host, "Courses:8080");
    assert_text(question.match.path, "/a b");
    assert_text(question.match.service, "school/courses");
    assert_text(question.match.route, "r: read");
    assert_text(question.match.identity, "spiffe://t/ns/a/sa/b");
    assert_int_equal(question.match.status_least, 404);
    assert_int_equal(question.match.status_most, 404);
    assert_true(question.match.by_end);
    assert_int_equal(question.match.end, ERROR_DENIED);
    assert_int_equal(question.match.slower, 1500 * NS_PER_MS);
    assert_int_equal(question.count, 7);
    assert_int_equal(question.duration, 60 * NS_PER_S);
    assert_int_equal(question.rate, 20);
    assert_true(question.is_text);
}

static void what_is_left_out_has_its_usual_value(void **state) {
    (void)state;
    assert_true(ask(""));
    assert_int_equal(question.match.listener.len + question.match.path.len + question.match.status_most + question.match.by_end, 0);
    assert_true(question.count == UINT64_MAX);
    assert_int_equal(question.duration, TAP_DURATION_MAX);
    assert_int_equal(question.rate, TAP_RATE_DEFAULT);
    assert_false(question.is_text);
}

static void a_status_is_a_number_or_a_class(void **state) {
    (void)state;
    static const struct {
        const char *query;
        unsigned least, most;
    } good[] = {{"status=100", 100, 100}, {"status=599", 599, 599}, {"status=5xx", 500, 599}, {"status=1XX", 100, 199}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(ask(good[i].query));
        assert_int_equal(question.match.status_least, good[i].least);
        assert_int_equal(question.match.status_most, good[i].most);
    }
}

static void the_ends_of_each_bound_are_allowed(void **state) {
    (void)state;
    assert_true(ask("count=1&rate=1&duration=1ms&slower=0s&end=ok&format=json"));
    assert_true(question.match.by_end && question.match.end == OK);
    assert_true(ask("count=1000000&rate=1000&duration=10m&end=io_error"));
    assert_int_equal(question.count, TAP_COUNT_MAX);
    assert_int_equal(question.rate, TAP_RATE_MAX);
    assert_int_equal(question.duration, TAP_DURATION_MAX);
    assert_int_equal(question.match.end, ERROR_IO);
}

static void what_is_wrong_is_told_with_what_is_allowed(void **state) {
    (void)state;
    static const char *const bad[] = {
        "listener=", "direction=",  "direction=up",  "method=",     "method=a%20b", "host=",      "host=a%0ab",    "path=",
        "path=a",    "path=/a%3Fb", "status=",       "status=99",   "status=600",   "status=0xx", "status=6xx",    "status=xxx",
        "status=5x", "status=+200", "end=",          "end=broken",  "service=",     "route=",     "as=",           "as=spiffe://",
        "slower=",   "slower=5",    "slower=1.5s",   "count=",      "count=0",      "count=-1",   "count=1000001", "count=99999999999999999999",
        "duration=", "duration=0s", "duration=601s", "duration=1d", "rate=",        "rate=0",     "rate=1001",     "rate=18446744073709551617",
        "format=",   "format=xml"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const size_t name = strchr(bad[i], '=') - bad[i];
        if (ask(bad[i]))
            fail_msg("%s is taken", bad[i]);
        assert_memory_equal(error.at, bad[i], name);
        assert_int_equal(error.at[name], ':');
    }
    assert_false(ask("count=1&count=1"));
    assert_text(error, "count: once");
    assert_false(ask("colour=red"));
    assert_text(error,
                "parameters are listener, direction, method, host, path, status, end, service, route, as, slower, count, duration, rate, format");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(everything_that_can_be_named_is_read, begin, end),
        cmocka_unit_test_setup_teardown(what_is_left_out_has_its_usual_value, begin, end),
        cmocka_unit_test_setup_teardown(a_status_is_a_number_or_a_class, begin, end),
        cmocka_unit_test_setup_teardown(the_ends_of_each_bound_are_allowed, begin, end),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_told_with_what_is_allowed, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
