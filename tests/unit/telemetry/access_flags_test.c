// Flags of ends: those that Envoy's documentation gives, and none for what it has no word for.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "telemetry/access_flags.h"

static void assert_flag(enum error end, bool by_agent, const char *flag) {
    const struct bytes found = access_flag_of(end, by_agent);
    if (!bytes_equal(found, bytes_from_text(flag)))
        fail_msg("%s: \"%.*s\", not \"%s\"", error_name(end), BYTES_FORMAT(found), flag);
}

// All of them, so that whatever gets another one is looked at.
static void ends_have_the_nearest_flag(void **state) {
    (void)state;
    static const struct {
        const char *flag;
        enum error ends[6]; // up to OK
    } cases[] = {
        {"UH", {ERROR_NO_ENDPOINT}},
        {"UF", {ERROR_CONNECT_REFUSED, ERROR_CONNECT_TIMEOUT, ERROR_TLS_FAILED, ERROR_IDENTITY_MISMATCH}},
        {"UO", {ERROR_BREAKER_OPEN, ERROR_POOL_FULL, ERROR_BULKHEAD_FULL, ERROR_QUEUE_TIMEOUT}},
        {"NR", {ERROR_ROUTE_NOT_FOUND, ERROR_HOST_UNKNOWN, ERROR_MISDIRECTED}},
        {"NC", {ERROR_BACKEND_INVALID}},
        {"DF", {ERROR_DNS_ERROR, ERROR_DNS_TIMEOUT}},
        {"UC", {ERROR_UPSTREAM_RESET, ERROR_RESPONSE_INCOMPLETE}},
        {"UPE", {ERROR_RESPONSE_MALFORMED, ERROR_UPGRADE_FAILED}},
        {"UT", {ERROR_REQUEST_TIMEOUT, ERROR_TRY_TIMEOUT, ERROR_DEADLINE_EXPIRED}},
        {"SI", {ERROR_HEADER_TIMEOUT, ERROR_BODY_TIMEOUT}},
        {"DC", {ERROR_CLIENT_GONE}},
        {"RL", {ERROR_RATE_LIMITED, ERROR_QUOTA_EXCEEDED}},
        {"FI", {ERROR_FAULT}},
        {"OM", {ERROR_MEMORY_LIMIT}},
        {"DPE", {ERROR_BAD_REQUEST, ERROR_FRAMING_INVALID, ERROR_HEADERS_TOO_LARGE, ERROR_URI_TOO_LONG, ERROR_VERSION_UNSUPPORTED}},
    };
    unsigned flagged = 0, found = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (const enum error *end = cases[i].ends; *end != OK; end++, flagged++)
            assert_flag(*end, false, cases[i].flag);
    for (int number = 0; number < ERROR_COUNT; number++)
        found += access_flag_of((enum error)(-1 - number), false).len > 0;
    assert_int_equal(found, flagged); // others have none
    assert_flag(OK, false, "");
}

static void what_only_an_agent_refuses_is_unauthorized_externally(void **state) {
    (void)state;
    assert_flag(ERROR_DENIED, true, "UAEX");
    assert_flag(ERROR_UNAUTHENTICATED, true, "UAEX");
    assert_flag(ERROR_DENIED, false, "");
    assert_flag(ERROR_UNAUTHENTICATED, false, "");
    assert_flag(ERROR_BAD_REQUEST, true, "DPE");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_have_the_nearest_flag),
        cmocka_unit_test(what_only_an_agent_refuses_is_unauthorized_externally),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
