// What OpenTelemetry's conventions call a request's method, host and error.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "telemetry/convention.h"

static void assert_bytes(struct bytes actual, const char *expected) {
    if (!bytes_equal(actual, bytes_from_text(expected)))
        fail_msg("\"%.*s\" is not \"%s\"", BYTES_FORMAT(actual), expected);
}

static void a_method_is_one_that_the_conventions_know(void **state) {
    (void)state;
    static const char *const known[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"};
    static const char *const unknown[] = {"", "get", "GETS", "PROPFIND", "_OTHER"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        assert_bytes(convention_method(bytes_from_text(known[i])), known[i]);
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        assert_bytes(convention_method(bytes_from_text(unknown[i])), "");
}

static void a_host_has_neither_port_nor_brackets(void **state) {
    (void)state;
    static const struct {
        const char *place, *host;
        uint64_t port;
    } cases[] = {{"courses:80", "courses", 80},
                 {"courses", "courses", 7},
                 {"10.0.0.7:40000", "10.0.0.7", 40000},
                 {"10.0.0.7", "10.0.0.7", 7},
                 {"[2001:db8::7]:1", "2001:db8::7", 1},
                 {"[::1]", "::1", 7},
                 {"courses:", "courses:", 7},
                 {":80", ":80", 7},
                 {"a:99999", "a", 7},
                 {"", "", 7},
                 {"[]", "[]", 7},
                 {"unix", "unix", 7}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t port = 7;
        assert_bytes(convention_host(bytes_from_text(cases[i].place), &port), cases[i].host);
        assert_true(port == cases[i].port);
    }
}

static void an_error_is_told_by_whose_fault_it_is(void **state) {
    (void)state;
    static const struct {
        struct convention_outcome outcome;
        const char *type;
    } cases[] = {
        {{true, 200, CONVENTION_NO_CODE, OK}, ""},
        {{true, 399, CONVENTION_NO_CODE, OK}, ""},
        {{false, 399, CONVENTION_NO_CODE, OK}, ""},
        {{true, 400, CONVENTION_NO_CODE, OK}, ""},
        {{false, 400, CONVENTION_NO_CODE, OK}, "400"},
        {{true, 400, CONVENTION_NO_CODE, ERROR_BAD_REQUEST}, ""},
        {{true, 404, CONVENTION_NO_CODE, OK}, ""},
        {{false, 404, CONVENTION_NO_CODE, OK}, "404"},
        {{true, 500, CONVENTION_NO_CODE, OK}, "500"},
        {{true, 65535, CONVENTION_NO_CODE, OK}, "65535"},
        {{true, 403, CONVENTION_NO_CODE, ERROR_DENIED}, ""},
        {{false, 403, CONVENTION_NO_CODE, ERROR_DENIED}, "denied"},
        {{true, 503, CONVENTION_NO_CODE, ERROR_NO_ENDPOINT}, "no_endpoint"},
        {{true, 200, CONVENTION_NO_CODE, ERROR_RESPONSE_INCOMPLETE}, "response_incomplete"},
        {{true, 404, CONVENTION_NO_CODE, ERROR_RESPONSE_INCOMPLETE}, "response_incomplete"},
        {{false, 404, CONVENTION_NO_CODE, ERROR_RESPONSE_INCOMPLETE}, "response_incomplete"},
        {{true, 404, CONVENTION_NO_CODE, ERROR_CLIENT_GONE}, ""},
        {{true, 0, CONVENTION_NO_CODE, ERROR_CLIENT_GONE}, ""},
        {{false, 503, CONVENTION_NO_CODE, ERROR_CANCELLED}, ""},
        {{true, 200, 0, OK}, ""},
        {{true, 200, 5, OK}, ""},
        {{false, 200, 5, OK}, "NOT_FOUND"},
        {{true, 200, 13, OK}, "INTERNAL"},
        {{true, 200, 7, ERROR_DENIED}, ""},
        {{false, 200, 14, ERROR_NO_ENDPOINT}, "UNAVAILABLE"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char digits[CONVENTION_DIGITS_MAX];
        assert_bytes(convention_error_type(&cases[i].outcome, digits), cases[i].type);
    }
}

// The codes of gRPC that its server answers for; to its caller all but OK are failures.
static void a_code_of_grpc_is_a_servers_fault_or_its_callers(void **state) {
    (void)state;
    const uint32_t of_servers = 1U << 2 | 1U << 4 | 1U << 12 | 1U << 13 | 1U << 14 | 1U << 15;
    for (int32_t code = 0; code <= 16; code++)
        for (unsigned is_server = 0; is_server < 2; is_server++) {
            char digits[CONVENTION_DIGITS_MAX];
            const struct convention_outcome outcome = {.is_server = is_server == 1, .status = 200, .grpc_code = code, .end = OK};
            const bool is_error = is_server == 1 ? (of_servers >> code & 1) != 0 : code != 0;
            assert_int_equal(convention_error_type(&outcome, digits).len > 0, is_error);
        }
}

static void a_scheme_has_its_usual_port(void **state) {
    (void)state;
    assert_int_equal(convention_port(BYTES("http")), 80);
    assert_int_equal(convention_port(BYTES("https")), 443);
    assert_int_equal(convention_port(BYTES("HTTPS")), 443);
    assert_int_equal(convention_port(BYTES_NONE), 80);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_method_is_one_that_the_conventions_know),
        cmocka_unit_test(a_host_has_neither_port_nor_brackets),
        cmocka_unit_test(an_error_is_told_by_whose_fault_it_is),
        cmocka_unit_test(a_code_of_grpc_is_a_servers_fault_or_its_callers),
        cmocka_unit_test(a_scheme_has_its_usual_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
