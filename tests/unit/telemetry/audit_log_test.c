// Lines of the audit log: what they hold, and that nothing anybody sends breaks or forges one.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "json_validator.h"
#include "telemetry/audit_log.h"

#include <stdio.h>

static char line[AUDIT_LOG_LINE_MAX + 1];

static const char *format(const struct audit_record *record) {
    size_t length = audit_log_format(record, line, AUDIT_LOG_LINE_MAX);
    assert_true(length <= AUDIT_LOG_LINE_MAX);
    line[length] = '\0';
    assert_int_equal(strlen(line), length);
    assert_true(json_is_line(line, length));
    return line;
}

static void a_change_is_one_line(void **state) {
    (void)state;
    char status[AUDIT_NUMBER_MAX], uid[AUDIT_NUMBER_MAX];
    const struct audit_record record = {.wall = UINT64_C(1767225599) * NS_PER_S,
                                        .event = AUDIT_ADMIN,
                                        .fields = {[AUDIT_FIELD_RESULT] = BYTES("done"),
                                                   [AUDIT_FIELD_STATUS] = audit_number(202, status),
                                                   [AUDIT_FIELD_PAGE] = BYTES("/drain"),
                                                   [AUDIT_FIELD_PEER] = BYTES("unix"),
                                                   [AUDIT_FIELD_UID] = audit_number(0, uid)}};
    assert_string_equal(format(&record),
                        "{\"time\":\"2025-12-31T23:59:59.000000Z\",\"event\":\"admin\",\"result\":\"done\",\"status\":202,\"page\":\"/drain\","
                        "\"peer\":\"unix\",\"uid\":0}\n");
}

static void a_denied_request_says_who_and_why_without_its_query(void **state) {
    (void)state;
    char status[AUDIT_NUMBER_MAX];
    const struct access_record request = {.start_wall = UINT64_C(1767225598) * NS_PER_S,
                                          .duration = NS_PER_S,
                                          .listener = BYTES("inbound"),
                                          .direction = BYTES("inbound"),
                                          .method = BYTES("GET"),
                                          .authority = BYTES("pay"),
                                          .path = BYTES("/refunds?token=secret"),
                                          .status = 403,
                                          .end = ERROR_DENIED,
                                          .policy = BYTES("AuthorizationPolicy/shop/pay: refunds"),
                                          .peer = BYTES("10.0.0.7:40000"),
                                          .peer_identity = BYTES("spiffe://shop.local/ns/shop/sa/web"),
                                          .trace_id = BYTES("0af7651916cd43dd8448eb211c80319c")};
    const struct audit_record record = audit_of_request(&request, status);
    assert_string_equal(
        format(&record),
        "{\"time\":\"2025-12-31T23:59:59.000000Z\",\"event\":\"denied\",\"status\":403,\"listener\":\"inbound\",\"direction\":\"inbound\","
        "\"end\":\"denied\",\"policy\":\"AuthorizationPolicy/shop/pay: refunds\",\"method\":\"GET\",\"authority\":\"pay\",\"path\":\"/refunds\","
        "\"peer\":\"10.0.0.7:40000\",\"peer_identity\":\"spiffe://shop.local/ns/shop/sa/web\","
        "\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\"}\n");
}

static void hostile_values_stay_inside_their_field(void **state) {
    (void)state;
    char huge[65536];
    memset(huge, '"', sizeof huge);
    static const struct bytes hostile[] = {BYTES_OF("\"}\r\n{\"event\":\"forged"), BYTES_OF("\xff\xfe \xc0\xaf"), BYTES_OF("a\0b\x1b[2J\x7f")};
    for (enum audit_field field = AUDIT_FIELD_LISTENER; field < AUDIT_FIELD_UID; field++) {
        struct audit_record record = {.event = AUDIT_DENIED};
        for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
            record.fields[field] = hostile[i];
            assert_null(strstr(format(&record), "\"event\":\"forged"));
        }
        record.fields[field] = bytes_from(huge, sizeof huge);
        assert_non_null(strstr(format(&record), "...\""));
    }
}

static void every_field_at_its_worst_fits_the_line(void **state) {
    (void)state;
    static const unsigned char worst[] = {'x', '"', 0x01, 0xff};
    char text[4096], digits[AUDIT_NUMBER_MAX];
    for (size_t kind = 0; kind < sizeof worst; kind++) {
        memset(text, worst[kind], sizeof text);
        struct audit_record record = {.wall = UINT64_MAX, .event = AUDIT_CONFIGURATION};
        for (enum audit_field field = 0; field < AUDIT_FIELD_COUNT; field++)
            record.fields[field] = bytes_from(text, sizeof text);
        static const enum audit_field numbers[] = {AUDIT_FIELD_STATUS,  AUDIT_FIELD_ERRORS, AUDIT_FIELD_ADDED, AUDIT_FIELD_CHANGED,
                                                   AUDIT_FIELD_REMOVED, AUDIT_FIELD_UID,    AUDIT_FIELD_PID};
        for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
            record.fields[numbers[i]] = audit_number(UINT32_MAX, digits);
        char long_digits[AUDIT_NUMBER_MAX];
        record.fields[AUDIT_FIELD_GENERATION] = record.fields[AUDIT_FIELD_LINES] = audit_number(UINT64_MAX, long_digits);
        assert_true(strlen(format(&record)) > 1000);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_is_one_line),
        cmocka_unit_test(a_denied_request_says_who_and_why_without_its_query),
        cmocka_unit_test(hostile_values_stay_inside_their_field),
        cmocka_unit_test(every_field_at_its_worst_fits_the_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
