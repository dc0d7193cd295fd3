// Records of logs as OTLP has them: what protobuf-c reads out of them is what was told, whatever others sent.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "telemetry/log_record.h"
#include "telemetry/proto/logs.pb-c.h"

static char memory[LOG_RECORD_BYTES_MAX];

// To be freed by otlp__log_record__free_unpacked.
static Otlp__LogRecord *unpacked(size_t length) {
    assert_true(length > 3 && length <= LOG_RECORD_BYTES_MAX);
    const unsigned char *bytes = (const unsigned char *)memory;
    assert_int_equal(bytes[0], 2 << 3 | 2);
    assert_int_equal((size_t)(bytes[1] & 0x7f) | (size_t)bytes[2] << 7, length - 3);
    Otlp__LogRecord *read = otlp__log_record__unpack(NULL, length - 3, bytes + 3);
    assert_non_null(read);
    return read;
}

static Otlp__LogRecord *written(const struct access_record *record) {
    return unpacked(log_record_of_access(record, memory));
}

static const Otlp__AnyValue *attribute(const Otlp__LogRecord *read, const char *key) {
    for (size_t i = 0; i < read->n_attributes; i++)
        if (strcmp(read->attributes[i]->key, key) == 0)
            return read->attributes[i]->value;
    return NULL;
}

static void assert_text(const Otlp__LogRecord *read, const char *key, const char *expected) {
    const Otlp__AnyValue *value = attribute(read, key);
    assert_non_null(value);
    assert_string_equal(value->string_value, expected);
}

static void assert_number(const Otlp__LogRecord *read, const char *key, int64_t expected) {
    const Otlp__AnyValue *value = attribute(read, key);
    assert_non_null(value);
    assert_true(value->int_value == expected);
}

static struct access_record usual_record(void) {
    return (struct access_record){
        .start_wall = UINT64_C(1767225599) * NS_PER_S,
        .duration = 1234567,
        .listener = BYTES("inbound"),
        .direction = BYTES("inbound"),
        .method = BYTES("GET"),
        .authority = BYTES("courses:80"),
        .path = BYTES("/courses/1?token=secret"),
        .scheme = BYTES("https"),
        .is_server = true,
        .server = BYTES("school.example"),
        .server_scheme = BYTES("https"),
        .endpoint = BYTES("10.0.0.1:8000"),
        .trace_flags = 3,
        .version = 11,
        .tls = true,
        .status = 200,
        .grpc_status = ACCESS_LOG_NO_GRPC_STATUS,
        .response_bytes = 1024,
        .service = BYTES("school/courses:80"),
        .peer = BYTES("[2001:db8::7]:40000"),
        .user_agent = BYTES("curl/8"),
        .trace_id = BYTES("0af7651916cd43dd8448eb211c80319c"),
        .span_id = BYTES("b7ad6b7169203331"),
    };
}

static void a_request_is_told_by_convention(void **state) {
    (void)state;
    const struct access_record record = usual_record();
    Otlp__LogRecord *read = written(&record);
    assert_true(read->time_unix_nano == record.start_wall && read->observed_time_unix_nano == record.start_wall + record.duration);
    assert_int_equal(read->severity_number, LOG_SEVERITY_INFO);
    assert_string_equal(read->severity_text, "INFO");
    assert_string_equal(read->event_name, LOG_EVENT_ACCESS);
    assert_int_equal(read->trace_id.len, 16);
    assert_memory_equal(read->trace_id.data, "\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c", 16);
    assert_memory_equal(read->span_id.data, "\xb7\xad\x6b\x71\x69\x20\x33\x31", 8);
    assert_text(read, "http.request.method", "GET");
    assert_text(read, "url.path", "/courses/1");
    assert_text(read, "url.scheme", "https");
    assert_text(read, "network.protocol.version", "1.1");
    assert_number(read, "http.response.status_code", 200);
    assert_number(read, "http.response.body.size", 1024);
    assert_text(read, "server.address", "school.example");
    assert_number(read, "server.port", 443);
    assert_text(read, "network.peer.address", "2001:db8::7");
    assert_number(read, "network.peer.port", 40000);
    assert_text(read, "client.address", "2001:db8::7");
    assert_true(read->flags == 3);
    assert_text(read, "user_agent.original", "curl/8");
    assert_text(read, "outrigger.service", "school/courses:80");
    assert_number(read, "outrigger.duration_us", 1234);
    assert_null(attribute(read, "error.type"));
    assert_null(attribute(read, "outrigger.trace_id"));
    assert_int_equal(read->dropped_attributes_count, 0);
    otlp__log_record__free_unpacked(read, NULL);
}

static void severity_and_error_go_by_the_outcome_as_in_spans(void **state) {
    (void)state;
    static const struct {
        uint16_t status;
        int32_t grpc_status;
        enum error end;
        enum log_severity severity;
        const char *error, *of_client; // error.type, where it was reached and where it was sent; NULL: none
    } cases[] = {{200, -1, OK, LOG_SEVERITY_INFO, NULL, NULL},
                 {200, 0, OK, LOG_SEVERITY_INFO, NULL, NULL},
                 {404, -1, OK, LOG_SEVERITY_WARN, NULL, "404"},
                 {200, 5, OK, LOG_SEVERITY_WARN, NULL, "NOT_FOUND"},
                 {200, 13, OK, LOG_SEVERITY_ERROR, "INTERNAL", "INTERNAL"},
                 {403, -1, ERROR_DENIED, LOG_SEVERITY_WARN, NULL, "denied"},
                 {500, -1, OK, LOG_SEVERITY_ERROR, "500", "500"},
                 {503, -1, ERROR_DENIED, LOG_SEVERITY_ERROR, "denied", "denied"}, // as who was asked wanted it
                 {503, -1, ERROR_NO_ENDPOINT, LOG_SEVERITY_ERROR, "no_endpoint", "no_endpoint"},
                 {200, -1, ERROR_RESPONSE_INCOMPLETE, LOG_SEVERITY_ERROR, "response_incomplete", "response_incomplete"},
                 {404, -1, ERROR_RESPONSE_INCOMPLETE, LOG_SEVERITY_ERROR, "response_incomplete", "response_incomplete"},
                 {0, -1, ERROR_CLIENT_GONE, LOG_SEVERITY_WARN, NULL, NULL}};
    for (size_t i = 0; i < 2 * (sizeof cases / sizeof cases[0]); i++) {
        struct access_record record = usual_record();
        record.is_server = i % 2 == 0;
        record.status = cases[i / 2].status;
        record.grpc_status = cases[i / 2].grpc_status;
        record.end = cases[i / 2].end;
        Otlp__LogRecord *read = written(&record);
        const char *expected = record.is_server ? cases[i / 2].error : cases[i / 2].of_client;
        assert_int_equal(read->severity_number, cases[i / 2].severity);
        assert_int_equal(attribute(read, "error.type") != NULL, expected != NULL);
        if (expected != NULL)
            assert_text(read, "error.type", expected);
        if (record.grpc_status >= 0)
            assert_text(read, "rpc.system.name", "grpc");
        otlp__log_record__free_unpacked(read, NULL);
    }
}

static void a_method_that_nobody_knows_is_none(void **state) {
    (void)state;
    struct access_record record = usual_record();
    record.method = BYTES("BREW");
    Otlp__LogRecord *read = written(&record);
    assert_text(read, "http.request.method", "_OTHER");
    assert_text(read, "http.request.method_original", "BREW");
    otlp__log_record__free_unpacked(read, NULL);
    record.method = BYTES_NONE; // of what could not be read
    read = written(&record);
    assert_null(attribute(read, "http.request.method"));
    otlp__log_record__free_unpacked(read, NULL);
}

// Whoever is told of a request that is sent on is the client: its peer is whom it was sent to.
static void the_peer_of_what_is_sent_on_is_the_endpoint(void **state) {
    (void)state;
    struct access_record record = usual_record();
    record.is_server = false;
    Otlp__LogRecord *read = written(&record);
    assert_text(read, "network.peer.address", "10.0.0.1");
    assert_number(read, "network.peer.port", 8000);
    assert_text(read, "outrigger.peer", "[2001:db8::7]:40000");
    assert_null(attribute(read, "client.address"));
    otlp__log_record__free_unpacked(read, NULL);
    record = usual_record();
    record.peer = BYTES("unix");
    record.client = BYTES("192.0.2.1");
    read = written(&record);
    assert_text(read, "client.address", "192.0.2.1");
    assert_null(attribute(read, "network.peer.address"));
    otlp__log_record__free_unpacked(read, NULL);
}

static void opaque_bytes_are_no_request_of_http(void **state) {
    (void)state;
    struct access_record record = usual_record();
    record.is_opaque = true;
    record.method = record.path = record.user_agent = BYTES_NONE;
    record.version = 0;
    record.status = 0;
    Otlp__LogRecord *read = written(&record);
    assert_int_equal(read->severity_number, LOG_SEVERITY_INFO);
    for (size_t i = 0; i < read->n_attributes; i++)
        assert_true(strncmp(read->attributes[i]->key, "http.", 5) != 0 && strncmp(read->attributes[i]->key, "url.", 4) != 0);
    assert_number(read, "outrigger.response_bytes", 1024);
    otlp__log_record__free_unpacked(read, NULL);
    record.end = ERROR_DENIED;
    read = written(&record);
    assert_int_equal(read->severity_number, LOG_SEVERITY_WARN);
    assert_text(read, "error.type", "denied");
    otlp__log_record__free_unpacked(read, NULL);
}

// What does not fit is counted; what is there is whole, and UTF-8 (protobuf-c's texts end with NUL: one inside would cut them).
static void hostile_values_leave_a_valid_record(void **state) {
    (void)state;
    static char huge[65536];
    static const char *const fills[] = {"x", "\"", "\xff", "\n", "\xf0\x9f\x98\x80"};
    for (size_t i = 0; i < sizeof fills / sizeof fills[0]; i++) {
        for (size_t at = 0; at < sizeof huge; at++)
            huge[at] = fills[i][at % strlen(fills[i])];
        const struct bytes whole = bytes_from(huge, sizeof huge);
        struct access_record record = usual_record();
        record.method = record.authority = record.path = record.user_agent = record.request_id = record.peer_identity = whole;
        record.detail = record.policy = record.route = record.keys = record.headers = record.ejected_by = record.listener = whole;
        Otlp__LogRecord *read = written(&record);
        assert_true(read->dropped_attributes_count > 0);
        assert_true(read->n_attributes > 4);
        otlp__log_record__free_unpacked(read, NULL);
    }
    struct access_record record = usual_record();
    record.user_agent = BYTES("a\0b\xff");
    Otlp__LogRecord *read = written(&record);
    assert_non_null(attribute(read, "user_agent.original"));
    otlp__log_record__free_unpacked(read, NULL);
}

static void what_was_decided_is_told_with_the_ids_of_its_span(void **state) {
    (void)state;
    static char huge[65536];
    memset(huge, '\xff', sizeof huge);
    struct log_value values[10] = {{.key = BYTES("outrigger.policy"), .text = BYTES("RateLimitPolicy/shop/pay")},
                                   {.key = BYTES("outrigger.retry_after_ms"), .number = 1500}};
    struct log_event event = {.at = UINT64_C(1767225599) * NS_PER_S,
                              .observed = UINT64_C(1767225600) * NS_PER_S,
                              .trace_id = (const uint8_t *)"\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c",
                              .span_id = (const uint8_t *)"\xb7\xad\x6b\x71\x69\x20\x33\x31",
                              .flags = 1,
                              .name = BYTES("outrigger.refused"),
                              .values = values,
                              .count = 2};
    Otlp__LogRecord *read = unpacked(log_record_of_event(&event, memory));
    assert_true(read->time_unix_nano == event.at && read->observed_time_unix_nano == event.observed);
    assert_string_equal(read->event_name, "outrigger.refused");
    assert_int_equal(read->severity_number, LOG_SEVERITY_INFO);
    assert_memory_equal(read->trace_id.data, event.trace_id, 16);
    assert_memory_equal(read->span_id.data, event.span_id, 8);
    assert_int_equal(read->flags, 1);
    assert_int_equal(read->n_attributes, 2);
    assert_text(read, "outrigger.policy", "RateLimitPolicy/shop/pay");
    assert_number(read, "outrigger.retry_after_ms", 1500);
    otlp__log_record__free_unpacked(read, NULL);
    for (event.count = 0; event.count < 10; event.count++)
        values[event.count] = (struct log_value){.key = BYTES("outrigger.reason"), .text = bytes_from(huge, sizeof huge)};
    read = unpacked(log_record_of_event(&event, memory));
    assert_true(read->dropped_attributes_count > 0 && read->n_attributes > 0);
    otlp__log_record__free_unpacked(read, NULL);
}

static void a_line_of_the_audit_log_is_told_too(void **state) {
    (void)state;
    char huge[4096];
    memset(huge, '\xff', sizeof huge);
    struct access_record request = usual_record();
    request.status = 403;
    request.end = ERROR_DENIED;
    request.policy = BYTES("AuthorizationPolicy/shop/pay: refunds");
    char status[AUDIT_NUMBER_MAX];
    struct audit_record record = audit_of_request(&request, status);
    Otlp__LogRecord *read = unpacked(log_record_of_audit(&record, memory));
    assert_string_equal(read->event_name, LOG_EVENT_AUDIT "denied");
    assert_int_equal(read->severity_number, LOG_SEVERITY_WARN);
    assert_int_equal(read->trace_id.len, 16);
    assert_text(read, "outrigger.policy", "AuthorizationPolicy/shop/pay: refunds");
    assert_text(read, "url.path", "/courses/1");
    assert_number(read, "http.response.status_code", 403);
    assert_number(read, "server.port", 80);
    assert_null(attribute(read, "outrigger.trace_id"));
    assert_text(read, "network.peer.address", "2001:db8::7");
    assert_number(read, "network.peer.port", 40000);
    otlp__log_record__free_unpacked(read, NULL);
    static const struct {
        enum audit_event event;
        const char *result;
        enum log_severity severity;
    } cases[] = {
        {AUDIT_PROCESS, "started", LOG_SEVERITY_INFO}, {AUDIT_CERTIFICATE, "refused", LOG_SEVERITY_WARN}, {AUDIT_LOST, "", LOG_SEVERITY_ERROR}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct audit_record other = {.event = cases[i].event, .fields[AUDIT_FIELD_RESULT] = bytes_from_text(cases[i].result)};
        read = unpacked(log_record_of_audit(&other, memory));
        assert_int_equal(read->severity_number, cases[i].severity);
        otlp__log_record__free_unpacked(read, NULL);
    }
    for (enum audit_field field = 0; field < AUDIT_FIELD_TRACE_ID; field++)
        record.fields[field] = bytes_from(huge, sizeof huge);
    read = unpacked(log_record_of_audit(&record, memory));
    assert_true(read->dropped_attributes_count > 0);
    otlp__log_record__free_unpacked(read, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_told_by_convention),
        cmocka_unit_test(severity_and_error_go_by_the_outcome_as_in_spans),
        cmocka_unit_test(a_method_that_nobody_knows_is_none),
        cmocka_unit_test(the_peer_of_what_is_sent_on_is_the_endpoint),
        cmocka_unit_test(opaque_bytes_are_no_request_of_http),
        cmocka_unit_test(hostile_values_leave_a_valid_record),
        cmocka_unit_test(what_was_decided_is_told_with_the_ids_of_its_span),
        cmocka_unit_test(a_line_of_the_audit_log_is_told_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
