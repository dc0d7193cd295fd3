// Lines of the access log: what they hold, and that nothing a peer sends breaks or forges one.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "json_validator.h"
#include "telemetry/access_log.h"
#include "unit/telemetry/usual_record.h"

#include <stdio.h>
#include <time.h>

static char line[ACCESS_LOG_LINE_MAX + 1];

static const char *format(const struct access_record *record) {
    size_t length = access_log_format(record, line, ACCESS_LOG_LINE_MAX);
    assert_true(length <= ACCESS_LOG_LINE_MAX);
    line[length] = '\0';
    assert_int_equal(strlen(line), length);
    assert_true(json_is_line(line, length));
    return line;
}

static void a_usual_request_is_one_line_with_every_field(void **state) {
    (void)state;
    struct access_record record = usual_record();
    assert_string_equal(format(&record),
                        "{\"time\":\"2025-12-31T23:59:59.123456Z\",\"listener\":\"inbound\",\"direction\":\"inbound\",\"method\":\"GET\","
                        "\"authority\":\"courses:80\",\"path\":\"/courses/1\",\"version\":\"1.1\",\"tls\":true,\"status\":200,\"end\":\"ok\","
                        "\"duration_us\":1234,\"request_bytes\":0,\"response_bytes\":1024,\"service\":\"school/courses:80\","
                        "\"endpoint\":\"127.0.0.1:8000\",\"attempts\":1,\"upstream_duration_us\":1000,\"peer\":\"10.0.0.7:40000\","
                        "\"peer_identity\":\"spiffe://school.local/ns/school/sa/frontend\",\"request_id\":\"0192-abcd\","
                        "\"user_agent\":\"curl/8\"}\n");
}

static void the_query_is_not_logged(void **state) {
    (void)state;
    struct access_record record = usual_record();
    assert_null(strstr(format(&record), "secret"));
    assert_non_null(strstr(format(&record), "\"path\":\"/courses/1\""));
}

static void what_is_absent_is_left_out(void **state) {
    (void)state;
    struct access_record record = {.end = ERROR_CLIENT_GONE, .grpc_status = ACCESS_LOG_NO_GRPC_STATUS, .endpoint = BYTES("never tried")};
    assert_string_equal(format(&record), "{\"time\":\"1970-01-01T00:00:00.000000Z\",\"tls\":false,\"end\":\"client_gone\",\"duration_us\":0,"
                                         "\"request_bytes\":0,\"response_bytes\":0}\n");
}

static void grpc_status_zero_is_logged(void **state) {
    (void)state;
    struct access_record record = usual_record();
    record.grpc_status = 0;
    assert_non_null(strstr(format(&record), ",\"grpc_status\":0,"));
}

static void refusal_says_end_detail_and_policy(void **state) {
    (void)state;
    struct access_record record = usual_record();
    record.status = 502;
    record.end = ERROR_IDENTITY_MISMATCH;
    record.detail = BYTES("peer is spiffe://other");
    record.policy = BYTES("AuthorizationPolicy/school/read: all");
    assert_non_null(strstr(format(&record), "\"status\":502,\"end\":\"identity_mismatch\",\"detail\":\"peer is spiffe://other\","
                                            "\"policy\":\"AuthorizationPolicy/school/read: all\""));
}

static void control_characters_in_user_agent_cannot_forge_a_line(void **state) {
    (void)state;
    struct access_record record = usual_record();
    record.user_agent = BYTES("a\"}\r\n{\"end\":\"ok\x7f\0\x1b[2J\xc2\x9b\t\\");
    assert_non_null(strstr(format(&record), "\"user_agent\":\"a\\\"}\\r\\n{\\\"end\\\":\\\"ok\\u007f\\u0000\\u001b[2J\\u009b\\t\\\\\"}"));
}

static void bytes_that_are_not_utf8_are_replaced(void **state) {
    (void)state;
    struct access_record record = usual_record();
    record.user_agent = BYTES("\xff \xc3\xa9 \xc0\xaf \xed\xa0\x80 \xf4\x90\x80\x80 \xe2\x82"); // only the second is a character
    assert_non_null(strstr(format(&record), "\"user_agent\":\"\xef\xbf\xbd \xc3\xa9 \xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd "
                                            "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd\""));
}

static void long_values_are_cut_and_marked(void **state) {
    (void)state;
    char path[4000];
    memset(path, 'x', sizeof(path));
    struct access_record record = usual_record();
    record.path = bytes_from(path, sizeof(path));
    const char *value = strstr(format(&record), "\"path\":\"") + 8;
    assert_int_equal(strchr(value, '"') - value, 352);
    assert_memory_equal(strchr(value, '"') - 4, "x...", 4);
    record.path.len = 352;
    value = strstr(format(&record), "\"path\":\"") + 8;
    assert_memory_equal(strchr(value, '"') - 4, "xxxx", 4);
}

static void every_field_at_its_worst_fits_the_line(void **state) {
    (void)state;
    static const unsigned char worst[] = {'x', '"', 0x01, 0x7f, 0xff}; // 1, 2, 6, 6 and 3 bytes in the line
    for (size_t kind = 0; kind < sizeof(worst); kind++) {
        char text[4096];
        memset(text, worst[kind], sizeof(text));
        struct bytes whole = bytes_from(text, sizeof(text));
        struct access_record record = {
            .start_wall = UINT64_MAX,
            .duration = UINT64_MAX,
            .listener = whole,
            .direction = whole,
            .method = whole,
            .authority = whole,
            .path = whole,
            .version = 11,
            .tls = false,
            .status = 599,
            .grpc_status = INT32_MAX,
            .detail = whole,
            .policy = whole,
            .end = ERROR_VERSION_UNSUPPORTED,
            .request_bytes = UINT64_MAX,
            .service = whole,
            .endpoint = whole,
            .response_bytes = UINT64_MAX,
            .attempts = UINT32_MAX,
            .peer = whole,
            .peer_identity = whole,
            .upstream_duration = UINT64_MAX,
            .request_id = whole,
            .trace_id = whole,
            .span_id = whole,
            .user_agent = whole,
        };
        format(&record);
    }
}

static void cut_at_every_length_stays_valid(void **state) {
    (void)state;
    static const char pattern[] = "a\xc3\xa9\x01\"\xf0\x9f\x98\x80\xff";
    char text[300];
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = pattern[i % (sizeof(pattern) - 1)];
    struct access_record record = usual_record();
    for (size_t length = 0; length <= sizeof(text); length++) {
        record.user_agent = bytes_from(text, length);
        record.authority = bytes_from(text + sizeof(text) - length, length);
        format(&record);
    }
}

static void times_are_those_of_the_calendar(void **state) {
    (void)state;
    // Ends of February, of years, of centuries and of the 400 years, and a walk through all days between.
    struct access_record record = {.grpc_status = ACCESS_LOG_NO_GRPC_STATUS};
    for (time_t seconds = 0; seconds < INT64_C(18446744073); seconds += 86399 * 7) {
        struct tm tm;
        char expected[64];
        gmtime_r(&seconds, &tm);
        strftime(expected, sizeof(expected), "{\"time\":\"%Y-%m-%dT%H:%M:%S.000000Z\",", &tm);
        record.start_wall = (nanoseconds)seconds * NS_PER_S;
        size_t length = access_log_format(&record, line, ACCESS_LOG_LINE_MAX);
        assert_true(length > strlen(expected));
        assert_memory_equal(line, expected, strlen(expected));
    }
}

static const char *format_brief(const struct access_record *record) {
    size_t length = access_log_format_brief(record, line, ACCESS_LOG_LINE_MAX);
    assert_true(length <= ACCESS_LOG_LINE_MAX);
    line[length] = '\0';
    assert_int_equal(strlen(line), length);
    assert_ptr_equal(strchr(line, '\n'), line + length - 1);
    return line;
}

static void people_get_the_usual_without_names_and_the_rest_by_name(void **state) {
    (void)state;
    struct access_record record = usual_record();
    record.peer_identity = BYTES_NONE;
    assert_string_equal(format_brief(&record), "2025-12-31T23:59:59.123456Z inbound GET courses:80/courses/1 200 1.234ms 127.0.0.1:8000\n");
    record.attempts = 0;
    record.status = 403;
    record.duration = 12345678900;
    record.end = ERROR_DENIED;
    record.policy = BYTES("AuthorizationPolicy/school/closed: nobody");
    record.detail = BYTES("a \"b\"\n");
    assert_string_equal(format_brief(&record), "2025-12-31T23:59:59.123456Z inbound GET courses:80/courses/1 403 12345.678ms - end=\"denied\" "
                                               "detail=\"a \\\"b\\\"\\n\" policy=\"AuthorizationPolicy/school/closed: nobody\"\n");
    record = (struct access_record){.start_wall = usual_record().start_wall, .grpc_status = ACCESS_LOG_NO_GRPC_STATUS, .listener = BYTES("tcp")};
    assert_string_equal(format_brief(&record), "2025-12-31T23:59:59.123456Z tcp - - - 0.000ms -\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_usual_request_is_one_line_with_every_field),
        cmocka_unit_test(the_query_is_not_logged),
        cmocka_unit_test(what_is_absent_is_left_out),
        cmocka_unit_test(grpc_status_zero_is_logged),
        cmocka_unit_test(refusal_says_end_detail_and_policy),
        cmocka_unit_test(control_characters_in_user_agent_cannot_forge_a_line),
        cmocka_unit_test(bytes_that_are_not_utf8_are_replaced),
        cmocka_unit_test(long_values_are_cut_and_marked),
        cmocka_unit_test(every_field_at_its_worst_fits_the_line),
        cmocka_unit_test(cut_at_every_length_stays_valid),
        cmocka_unit_test(people_get_the_usual_without_names_and_the_rest_by_name),
        cmocka_unit_test(times_are_those_of_the_calendar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
