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

static void ends_have_the_nearest_flag(void **state) {
    (void)state;
    assert_flag(OK, false, "");
    assert_flag(ERROR_NO_ENDPOINT, false, "UH");
    assert_flag(ERROR_CONNECT_TIMEOUT, false, "UF");
    assert_flag(ERROR_QUEUE_TIMEOUT, false, "UO");
    assert_flag(ERROR_HOST_UNKNOWN, false, "NR");
    assert_flag(ERROR_BACKEND_INVALID, false, "NC");
    assert_flag(ERROR_DNS_ERROR, false, "DF");
    assert_flag(ERROR_UPSTREAM_RESET, false, "UC");
    assert_flag(ERROR_UPGRADE_FAILED, false, "UPE");
    assert_flag(ERROR_TRY_TIMEOUT, false, "UT");
    assert_flag(ERROR_BODY_TIMEOUT, false, "SI");
    assert_flag(ERROR_CLIENT_GONE, false, "DC");
    assert_flag(ERROR_QUOTA_EXCEEDED, false, "RL");
    assert_flag(ERROR_FAULT, false, "FI");
    assert_flag(ERROR_MEMORY_LIMIT, false, "OM");
    assert_flag(ERROR_URI_TOO_LONG, false, "DPE");
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
