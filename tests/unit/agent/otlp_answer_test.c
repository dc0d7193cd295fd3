// What answers of collectors mean: the tables of the specification, line by line, and what hostile ones do.
#include "agent/otlp_answer.h"

#include "telemetry/proto/collector.pb-c.h"
#include "telemetry/proto/status.pb-c.h"

#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define WALL (UINT64_C(1445412480) * NS_PER_S) // Wed, 21 Oct 2015 07:28:00 GMT

static struct otlp_outcome judge(enum otlp_protocol protocol, const struct otlp_answer *answer) {
    struct otlp_outcome outcome;
    otlp_answer_judge(protocol, answer, WALL, &outcome);
    return outcome;
}

static enum otlp_verdict of_status(unsigned status) {
    if (status == 429 || status == 502 || status == 503 || status == 504)
        return OTLP_AGAIN;
    if (status == 413)
        return OTLP_TOO_LARGE;
    return status >= 200 && status < 300 ? OTLP_TAKEN : OTLP_REFUSED;
}

static void of_http_four_statuses_may_be_sent_again(void **state) {
    (void)state;
    for (unsigned status = 100; status < 600; status++)
        assert_int_equal(judge(OTLP_HTTP_PROTOBUF, &(struct otlp_answer){.status = (uint16_t)status}).verdict, of_status(status));
}

static void of_grpc_six_codes_may_be_sent_again(void **state) {
    (void)state;
    for (unsigned code = 0; code < 20; code++) {
        char text[8];
        snprintf(text, sizeof text, "%u", code);
        const struct otlp_answer answer = {.status = 200, .grpc_status = bytes_from_text(text), .grpc_message = BYTES("why")};
        const struct otlp_outcome outcome = judge(OTLP_GRPC, &answer);
        const bool again = code == 1 || code == 4 || code == 10 || code == 11 || code == 14 || code == 15;
        assert_int_equal(outcome.verdict, code == 0 ? OTLP_TAKEN : again ? OTLP_AGAIN : OTLP_REFUSED);
        if (code != 0)
            assert_non_null(strstr(outcome.reason, "why"));
    }
    assert_int_equal(judge(OTLP_GRPC, &(struct otlp_answer){.status = 200}).verdict, OTLP_REFUSED);
    assert_int_equal(judge(OTLP_GRPC, &(struct otlp_answer){.status = 503}).verdict, OTLP_AGAIN); // of what is in between
}

static void retry_after_is_seconds_or_a_date(void **state) {
    (void)state;
    static const struct {
        const char *text;
        nanoseconds wanted;
    } cases[] = {{"", 0},
                 {"7", 7 * NS_PER_S},
                 {"0", 0},
                 {"99999999999999999999", 300 * NS_PER_S},
                 {"86400", 300 * NS_PER_S},
                 {"Wed, 21 Oct 2015 07:28:30 GMT", 30 * NS_PER_S},
                 {"Wed, 21 Oct 2015 07:27:00 GMT", 0},
                 {"Thu, 22 Oct 2015 07:27:00 GMT", 300 * NS_PER_S},
                 {"soon", 0},
                 {"-1", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct otlp_answer answer = {.status = 503, .retry_after = bytes_from_text(cases[i].text)};
        assert_int_equal(judge(OTLP_HTTP_JSON, &answer).retry_after, cases[i].wanted);
    }
}

// base64 without padding.
static struct bytes encode(const uint8_t *from, size_t length, char *to) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t out = 0;
    for (size_t i = 0; i < length; i += 3) {
        const uint32_t bits = (uint32_t)from[i] << 16 | (i + 1 < length ? (uint32_t)from[i + 1] << 8 : 0) | (i + 2 < length ? from[i + 2] : 0);
        for (size_t j = 0; j < 4 && i + j <= length; j++)
            to[out++] = digits[bits >> (18 - 6 * j) & 63];
    }
    return bytes_from(to, out);
}

static void a_used_up_quota_is_final_unless_it_says_when(void **state) {
    (void)state;
    static char debug_type[] = "type.googleapis.com/google.rpc.DebugInfo", retry_type[] = "type.googleapis.com/google.rpc.RetryInfo";
    uint8_t info[64], status[256];
    char text[512];
    Rpc__Duration delay = RPC__DURATION__INIT;
    Rpc__RetryInfo retry = RPC__RETRY_INFO__INIT;
    Rpc__Any other = RPC__ANY__INIT, any = RPC__ANY__INIT;
    Rpc__Any *details[] = {&other, &any};
    Rpc__Status whole = RPC__STATUS__INIT;
    delay.has_seconds = delay.has_nanos = 1;
    delay.seconds = 3;
    delay.nanos = 500000000;
    retry.retry_delay = &delay;
    other.type_url = debug_type;
    any.type_url = retry_type;
    any.has_value = 1;
    any.value = (ProtobufCBinaryData){rpc__retry_info__pack(&retry, info), info};
    whole.n_details = 2;
    whole.details = details;
    struct otlp_answer answer = {.status = 200, .grpc_status = BYTES("8")};
    assert_int_equal(judge(OTLP_GRPC, &answer).verdict, OTLP_REFUSED);
    answer.grpc_details = encode(status, rpc__status__pack(&whole, status), text);
    assert_int_equal(judge(OTLP_GRPC, &answer).verdict, OTLP_AGAIN);
    assert_int_equal(judge(OTLP_GRPC, &answer).retry_after, 3 * NS_PER_S + NS_PER_S / 2);
    text[answer.grpc_details.len] = '=';
    answer.grpc_details.len++;
    assert_int_equal(judge(OTLP_GRPC, &answer).verdict, OTLP_AGAIN);
    answer.grpc_status = BYTES("14"); // it may say so too
    assert_int_equal(judge(OTLP_GRPC, &answer).retry_after, 3 * NS_PER_S + NS_PER_S / 2);
    answer.grpc_status = BYTES("8");
    text[3] = '*';
    assert_int_equal(judge(OTLP_GRPC, &answer).verdict, OTLP_REFUSED);
    delay.seconds = -1;
    any.value.len = rpc__retry_info__pack(&retry, info);
    answer.grpc_details = encode(status, rpc__status__pack(&whole, status), text);
    assert_int_equal(judge(OTLP_GRPC, &answer).retry_after, 0);
}

static void what_was_rejected_is_counted_and_never_sent_again(void **state) {
    (void)state;
    static char message[] = "too \"old\"\n";
    uint8_t packed[128];
    Otlp__ExportPartialSuccess partial = OTLP__EXPORT_PARTIAL_SUCCESS__INIT;
    Otlp__ExportServiceResponse response = OTLP__EXPORT_SERVICE_RESPONSE__INIT;
    partial.has_rejected = 1;
    partial.rejected = 3;
    partial.error_message = message;
    response.partial_success = &partial;
    char frame[200] = {0};
    const size_t length = otlp__export_service_response__pack(&response, packed);
    frame[4] = (char)length;
    memcpy(frame + 5, packed, length);
    const struct otlp_answer answers[] = {
        [OTLP_HTTP_PROTOBUF] = {.status = 200, .body = bytes_from((char *)packed, length)},
        [OTLP_GRPC] = {.status = 200, .grpc_status = BYTES("0"), .body = bytes_from(frame, length + 5)},
        [OTLP_HTTP_JSON] = {.status = 200, .body = BYTES("{\"partialSuccess\":{\"rejectedSpans\":\"3\",\"errorMessage\":\"too \\\"old\\\"\\n\"}}")},
    };
    for (unsigned protocol = OTLP_HTTP_PROTOBUF; protocol <= OTLP_HTTP_JSON; protocol++) {
        const struct otlp_outcome outcome = judge((enum otlp_protocol)protocol, &answers[protocol]);
        assert_int_equal(outcome.verdict, OTLP_TAKEN);
        assert_int_equal(outcome.rejected, 3);
        assert_string_equal(outcome.reason, "some were rejected: too \\\"old\\\"\\n");
    }
    const struct otlp_answer numbers = {.status = 200, .body = BYTES("{\"partialSuccess\":{\"rejectedLogRecords\":2},\"x\":1}")};
    assert_int_equal(judge(OTLP_HTTP_JSON, &numbers).rejected, 2);
    const struct otlp_answer most = {
        .status = 200, .body = BYTES("{\"partialSuccess\":{\"rejectedSpans\":9223372036854775807,\"rejectedDataPoints\":\"9223372036854775807\"}}")};
    assert_in_range(judge(OTLP_HTTP_JSON, &most).rejected, INT64_MAX, UINT64_MAX);
    static const struct {
        const char *number;
        uint64_t least;
    } numbers_beyond[] = {{"\"18446744073709551615\"", UINT64_MAX},
                          {"\"18446744073709551616\"", UINT64_MAX},
                          {"18446744073709551616", INT64_MAX},
                          {"1e300", INT64_MAX},
                          {"\"99999999999999999999999999999999999999\"", UINT64_MAX},
                          {"-1", 0},
                          {"\"-1\"", 0},
                          {"\"\"", 0},
                          {"null", 0}};
    for (size_t i = 0; i < sizeof numbers_beyond / sizeof numbers_beyond[0]; i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"partialSuccess\":{\"rejectedSpans\":%s}}", numbers_beyond[i].number);
        const struct otlp_answer answer = {.status = 200, .body = bytes_from_text(text)};
        const uint64_t rejected = judge(OTLP_HTTP_JSON, &answer).rejected;
        assert_true(numbers_beyond[i].least == 0 ? rejected == 0 : rejected >= numbers_beyond[i].least);
    }
    partial.rejected = 0;
    const struct otlp_answer warning = {.status = 200, .body = bytes_from((char *)packed, otlp__export_service_response__pack(&response, packed))};
    assert_int_equal(judge(OTLP_HTTP_PROTOBUF, &warning).rejected, 0);
    assert_non_null(strstr(judge(OTLP_HTTP_PROTOBUF, &warning).reason, "a warning"));
}

// A message of 70 KB, of which the front is kept: how many were rejected stands before it. In JSON wherever it is cut inside of that.
static void of_a_long_remark_the_front_is_read(void **state) {
    (void)state;
    static char body[OTLP_ANSWER_BYTES_KEPT];
    size_t at = 0;
    memset(body, 'x', sizeof body);
    memcpy(body, "\x0a\xf6\xa2\x04\x08\x07\x12\xf0\xa2\x04", 10); // 70006 bytes: 7, and a text of 70000
    const struct otlp_answer protobuf = {.status = 200, .body = bytes_from(body, sizeof body), .is_cut = true};
    assert_int_equal(judge(OTLP_HTTP_PROTOBUF, &protobuf).rejected, 7);
    assert_non_null(strstr(judge(OTLP_HTTP_PROTOBUF, &protobuf).reason, "some were rejected: xxx"));
    assert_int_equal(judge(OTLP_HTTP_PROTOBUF, &(struct otlp_answer){.status = 200, .body = protobuf.body}).rejected, 0); // whole, and wrong
    const struct otlp_answer early = {.status = 200, .body = bytes_from("\x0a\x05\x08", 3), .is_cut = true}; // there is no text in it yet
    assert_non_null(strstr(judge(OTLP_HTTP_PROTOBUF, &early).reason, "none of OTLP"));
    const struct otlp_answer below = {.status = 200, .body = BYTES("\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")}; // -1
    assert_int_equal(judge(OTLP_HTTP_PROTOBUF, &below).rejected, 0);
    memmove(body + 5, body, sizeof body - 5);
    memcpy(body, "\0\0\1\x11\x7c", 5);
    const struct otlp_answer grpc = {.status = 200, .grpc_status = BYTES("0"), .body = protobuf.body, .is_cut = true};
    assert_int_equal(judge(OTLP_GRPC, &grpc).rejected, 7);
    static const char front[] = "{\"partialSuccess\":{\"rejectedLogRecords\":\"7\",\"errorMessage\":\"";
    static const char *const signs[] = {"\xc3\xa9", "\\n", "\\u00e9", "\\\"", "\xf0\x9f\x98\x80", "\\ud83d\\ude00", "\\uDBFF\\uDFFF"};
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        memcpy(body, front, sizeof front - 1);
        for (at = sizeof front - 1; at + strlen(signs[i]) <= 2000; at += strlen(signs[i]))
            memcpy(body + at, signs[i], strlen(signs[i]));
        for (size_t length = at - 24; length < at; length++) {
            const struct otlp_answer json = {.status = 200, .body = bytes_from(body, length), .is_cut = true};
            assert_int_equal(judge(OTLP_HTTP_JSON, &json).rejected, 7);
        }
    }
    static const char *const others[] = {"{", "[[[[[[[[[[[[[[[[[[\"x", "{\"partialSuccess\":{\"rejected", "\"", "<html>", "{\"a\":\"\\"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        const struct otlp_answer json = {.status = 200, .body = bytes_from_text(others[i]), .is_cut = true};
        assert_int_equal(judge(OTLP_HTTP_JSON, &json).rejected, 0);
    }
    const struct otlp_answer refusal = {.status = 400, .body = bytes_from(body, 0), .is_cut = true};
    assert_string_equal(judge(OTLP_HTTP_JSON, &refusal).reason, "status 400");
    memcpy(body, "\x08\x03\x12\xf0\xa2\x04why", 9);
    assert_non_null(
        strstr(judge(OTLP_HTTP_PROTOBUF, &(struct otlp_answer){.status = 400, .body = protobuf.body, .is_cut = true}).reason, "400: why"));
}

// In quotes, in one line, in UTF-8: whatever it was.
static void no_remark_breaks_a_line(void **state) {
    (void)state;
    static const struct {
        struct bytes message;
        const char *wanted;
    } cases[] = {{BYTES("ends in \\"), "grpc-status 3: ends in \\\\"},
                 {BYTES("\xff\x7f\xc2\x85\xe2\x82"), "grpc-status 3: \xef\xbf\xbd\\u007f\\u0085\xef\xbf\xbd\xef\xbf\xbd"},
                 {BYTES("a \"quote\"\r\n"), "grpc-status 3: a \\\"quote\\\"\\r\\n"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct otlp_answer answer = {.status = 200, .grpc_status = BYTES("3"), .grpc_message = cases[i].message};
        assert_string_equal(judge(OTLP_GRPC, &answer).reason, cases[i].wanted);
    }
    char umlauts[600];
    for (size_t i = 0; i < sizeof umlauts; i += 2)
        memcpy(umlauts + i, "\xc3\xa4", 2);
    for (size_t begin = 0; begin < 2; begin++) {
        const struct otlp_answer answer = {.status = 200, .grpc_status = BYTES("3"), .grpc_message = bytes_from(umlauts + begin, 590)};
        const char *reason = judge(OTLP_GRPC, &answer).reason;
        const size_t length = strlen(reason);
        assert_true(length > 200 && length < OTLP_REASON_MAX);
        assert_string_equal(reason + length - 5, "\xc3\xa4...");
    }
}

static void a_body_that_is_no_answer_says_nothing(void **state) {
    (void)state;
    static char zeros[70000];
    const struct bytes bodies[] = {BYTES("\xff\xff\xff"),
                                   BYTES("\x0a\xff\xff\xff\xff\x0f"),
                                   bytes_from(zeros, sizeof zeros),
                                   BYTES("{"),
                                   BYTES("[1]"),
                                   BYTES("{\"partialSuccess\":{\"rejectedSpans\":\"-5\"}}"),
                                   BYTES("\x00\x00\x00\x00\x09x"),
                                   BYTES("\x01\x00\x00\x00\x00"),
                                   BYTES_NONE};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        for (unsigned protocol = OTLP_HTTP_PROTOBUF; protocol <= OTLP_HTTP_JSON; protocol++) {
            const struct otlp_answer answer = {.status = 200, .grpc_status = BYTES("0"), .body = bodies[i]};
            const struct otlp_outcome outcome = judge((enum otlp_protocol)protocol, &answer);
            assert_int_equal(outcome.verdict, OTLP_TAKEN);
            assert_int_equal(outcome.rejected, 0);
        }
    }
}

static void a_page_in_the_place_of_an_answer_is_remarked(void **state) {
    (void)state;
    const struct {
        struct bytes type, body;
        enum otlp_protocol protocol;
        bool is_remarked;
    } cases[] = {{BYTES("text/html; charset=utf-8"), BYTES("<html>"), OTLP_HTTP_PROTOBUF, true},
                 {BYTES("text/html"), BYTES("{}"), OTLP_HTTP_JSON, true},
                 {BYTES("application/json"), BYTES("<html>"), OTLP_HTTP_JSON, true},
                 {BYTES("application/json; charset=utf-8"), BYTES("{}"), OTLP_HTTP_JSON, false},
                 {BYTES("text/plain"), BYTES_NONE, OTLP_HTTP_JSON, false},
                 {BYTES("Application/X-Protobuf"), BYTES("\x0a\x00"), OTLP_HTTP_PROTOBUF, false},
                 {BYTES_NONE, BYTES("<html>"), OTLP_HTTP_PROTOBUF, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct otlp_answer answer = {.status = 200, .content_type = cases[i].type, .body = cases[i].body};
        const struct otlp_outcome outcome = judge(cases[i].protocol, &answer);
        assert_int_equal(outcome.verdict, OTLP_TAKEN);
        assert_int_equal(outcome.rejected, 0);
        assert_int_equal(strstr(outcome.reason, "none of OTLP") != NULL, cases[i].is_remarked);
    }
}

static void a_refusal_says_why(void **state) {
    (void)state;
    struct otlp_answer answer = {.status = 400, .body = BYTES("{\"code\":3,\"message\":\"no such tenant\"}")};
    assert_string_equal(judge(OTLP_HTTP_JSON, &answer).reason, "status 400: no such tenant");
    answer.content_encoding = BYTES("gzip");
    assert_string_equal(judge(OTLP_HTTP_JSON, &answer).reason, "status 400");
    answer = (struct otlp_answer){.status = 400, .body = BYTES("\x08\x03\x12\x03why")};
    assert_string_equal(judge(OTLP_HTTP_PROTOBUF, &answer).reason, "status 400: why");
    answer.content_encoding = BYTES("br");
    assert_string_equal(judge(OTLP_HTTP_PROTOBUF, &answer).reason, "status 400");
}

static void without_an_answer_it_is_sent_again(void **state) {
    (void)state;
    static const enum error again[] = {ERROR_CONNECT_REFUSED, ERROR_CONNECT_TIMEOUT,    ERROR_UPSTREAM_RESET, ERROR_REQUEST_TIMEOUT,
                                       ERROR_DNS_ERROR,       ERROR_NO_ENDPOINT,        ERROR_BREAKER_OPEN,   ERROR_MEMORY_LIMIT,
                                       ERROR_TLS_FAILED,      ERROR_RESPONSE_INCOMPLETE};
    static const enum error final[] = {ERROR_BODY_TOO_LARGE, ERROR_RESPONSE_MALFORMED, ERROR_HEADERS_TOO_LARGE, ERROR_LOOP};
    for (size_t i = 0; i < sizeof again / sizeof again[0]; i++)
        assert_int_equal(judge(OTLP_GRPC, &(struct otlp_answer){.end = again[i]}).verdict, OTLP_AGAIN);
    for (size_t i = 0; i < sizeof final / sizeof final[0]; i++)
        assert_int_equal(judge(OTLP_HTTP_JSON, &(struct otlp_answer){.end = final[i]}).verdict, OTLP_REFUSED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_http_four_statuses_may_be_sent_again),
        cmocka_unit_test(of_grpc_six_codes_may_be_sent_again),
        cmocka_unit_test(retry_after_is_seconds_or_a_date),
        cmocka_unit_test(a_used_up_quota_is_final_unless_it_says_when),
        cmocka_unit_test(what_was_rejected_is_counted_and_never_sent_again),
        cmocka_unit_test(of_a_long_remark_the_front_is_read),
        cmocka_unit_test(no_remark_breaks_a_line),
        cmocka_unit_test(a_body_that_is_no_answer_says_nothing),
        cmocka_unit_test(a_page_in_the_place_of_an_answer_is_remarked),
        cmocka_unit_test(a_refusal_says_why),
        cmocka_unit_test(without_an_answer_it_is_sent_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
