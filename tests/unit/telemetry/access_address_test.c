// Operators that are addresses: whose, and which parts of them.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "telemetry/access_address.h"
#include "unit/telemetry/usual_record.h"

#include <stdio.h>

// "-": it has no value; NULL: it is no operator of an address.
static const char *told(const struct access_record *record, enum access_operator operation) {
    static char text[ACCESS_ADDRESS_MAX + 1];
    struct access_line line = {text, text + ACCESS_ADDRESS_MAX};
    bool is_there;
    if (!access_address_add(&line, record, operation, &is_there))
        return NULL;
    assert_int_equal(is_there, line.at > text);
    *line.at = '\0';
    return is_there ? text : "-";
}

static size_t some_address(const void *message, enum access_address which, char text[ACCESS_ADDRESS_MAX]) {
    return (size_t)snprintf(text, ACCESS_ADDRESS_MAX, "%s", which == ACCESS_LOCAL ? "10.0.0.9:80" : (const char *)message);
}

static void an_address_is_told_whole_or_in_parts(void **state) {
    (void)state;
    struct access_record record = usual_record();
    record.print_address = some_address;
    record.message = "[2001:db8::9]:50000";
    assert_string_equal(told(&record, OPERATOR_DOWNSTREAM_REMOTE_ADDRESS), "10.0.0.7:40000");
    assert_string_equal(told(&record, OPERATOR_DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT), "10.0.0.7");
    assert_string_equal(told(&record, OPERATOR_DOWNSTREAM_REMOTE_PORT), "40000");
    assert_string_equal(told(&record, OPERATOR_DOWNSTREAM_LOCAL_ADDRESS), "10.0.0.9:80");
    assert_string_equal(told(&record, OPERATOR_DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT), "10.0.0.9");
    assert_string_equal(told(&record, OPERATOR_DOWNSTREAM_LOCAL_PORT), "80");
    assert_string_equal(told(&record, OPERATOR_UPSTREAM_LOCAL_ADDRESS), "[2001:db8::9]:50000");
    assert_string_equal(told(&record, OPERATOR_UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT), "2001:db8::9");
    assert_string_equal(told(&record, OPERATOR_UPSTREAM_LOCAL_PORT), "50000");
    assert_string_equal(told(&record, OPERATOR_UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT), "127.0.0.1");
    assert_string_equal(told(&record, OPERATOR_UPSTREAM_REMOTE_PORT), "8000");
    assert_null(told(&record, OPERATOR_PROTOCOL));
    record.message = "";
    assert_string_equal(told(&record, OPERATOR_UPSTREAM_LOCAL_PORT), "-");
    record.print_address = NULL;
    assert_string_equal(told(&record, OPERATOR_DOWNSTREAM_LOCAL_PORT), "-");
}

// A proxy that is trusted tells an address, and no port.
static void a_client_that_is_told_of_has_no_port(void **state) {
    (void)state;
    struct access_record record = usual_record();
    record.client = BYTES("192.0.2.1");
    assert_string_equal(told(&record, OPERATOR_DOWNSTREAM_REMOTE_ADDRESS), "192.0.2.1:0");
    assert_string_equal(told(&record, OPERATOR_DOWNSTREAM_REMOTE_PORT), "0");
    record.client = BYTES("2001:db8::1");
    assert_string_equal(told(&record, OPERATOR_DOWNSTREAM_REMOTE_ADDRESS), "[2001:db8::1]:0");
    assert_string_equal(told(&record, OPERATOR_DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT), "2001:db8::1");
    assert_string_equal(told(&record, OPERATOR_DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT), "10.0.0.7");
    assert_string_equal(told(&record, OPERATOR_DOWNSTREAM_DIRECT_REMOTE_PORT), "40000");
}

static void nothing_in_an_address_breaks_a_line(void **state) {
    (void)state;
    char huge[5000];
    memset(huge, '\n', sizeof huge);
    struct access_record record = usual_record();
    record.peer = bytes_from(huge, sizeof huge);
    assert_null(strchr(told(&record, OPERATOR_DOWNSTREAM_REMOTE_ADDRESS), '\n'));
    assert_null(strchr(told(&record, OPERATOR_DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT), '\n'));
    record.client = record.peer;
    assert_null(strchr(told(&record, OPERATOR_DOWNSTREAM_REMOTE_ADDRESS), '\n'));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_is_told_whole_or_in_parts),
        cmocka_unit_test(a_client_that_is_told_of_has_no_port),
        cmocka_unit_test(nothing_in_an_address_breaks_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
