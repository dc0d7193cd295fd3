// Lines by a template: what stands where, what is no template, and that nothing a peer sends breaks or forges a line.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "telemetry/access_template.h"
#include "unit/telemetry/usual_record.h"

#include <stdio.h>

static char line[ACCESS_LOG_LINE_MAX + 1];

static const char *format_json(const struct access_record *record) {
    line[access_log_format(record, line, ACCESS_LOG_LINE_MAX)] = '\0';
    return line;
}

static const char *format_text(const char *template, const struct access_record *record) {
    struct access_template form;
    struct bytes wrong;
    assert_true(access_template_parse(bytes_from_text(template), &form, &wrong));
    size_t length = access_log_format_text(&form, record, line, ACCESS_LOG_LINE_MAX);
    assert_true(length <= ACCESS_LOG_LINE_MAX);
    line[length] = '\0';
    assert_int_equal(strlen(line), length);
    assert_ptr_equal(strchr(line, '\n'), line + length - 1);
    return line;
}

static void a_template_says_what_stands_where(void **state) {
    (void)state;
    struct access_record record = usual_record();
    assert_string_equal(format_text("%{time} \"%{method} %{path}\" %{status} 100%% %{tls}%{grpc_status}", &record),
                        "2025-12-31T23:59:59.123456Z \"GET /courses/1\" 200 100% true-\n");
    assert_string_equal(format_text("%{detail}", &record), "-\n");
    assert_string_equal(format_text("words alone", &record), "words alone\n");
    assert_string_equal(format_text("%%", &record), "%\n");
    assert_string_equal(format_text("", &record), "\n");
}

static void a_template_knows_every_field_of_json(void **state) {
    (void)state;
    struct access_record record = usual_record();
    const char *json = strdup(format_json(&record));
    for (enum access_field field = 0; field < ACCESS_FIELD_COUNT; field++) {
        char template[64], member[64];
        snprintf(template, sizeof template, "%%{%s}", access_field_name(field));
        snprintf(member, sizeof member, "\"%s\":", access_field_name(field));
        const char *text = format_text(template, &record);
        const char *in_json = strstr(json, member);
        assert_int_equal(in_json == NULL, strcmp(text, "-\n") == 0);
        if (in_json == NULL)
            continue;
        in_json += strlen(member) + (in_json[strlen(member)] == '"');
        assert_memory_equal(in_json, text, strlen(text) - 1);
    }
    free((void *)(uintptr_t)json);
}

static void what_is_wrong_in_a_template_is_told(void **state) {
    (void)state;
    static const char *const wrong[][2] = {{"a %{statu} b", "%{statu}"}, {"%{}", "%{}"}, {"50% of", "% of"},
                                           {"%{status", "%{status"},     {"%", "%"},     {"%{a}%{b}", "%{a}"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct access_template form;
        struct bytes part;
        assert_false(access_template_parse(bytes_from_text(wrong[i][0]), &form, &part));
        assert_int_equal(part.len, strlen(wrong[i][1]));
        assert_memory_equal(part.at, wrong[i][1], part.len);
    }
    char many[4 * 100 + 1] = "";
    for (int i = 0; i < 100; i++)
        strcat(many, "x%%y");
    struct access_template form;
    struct bytes part;
    assert_false(access_template_parse(bytes_from_text(many), &form, &part));
    assert_int_equal(form.count, ACCESS_TEMPLATE_PIECES_MAX);
}

static bool some_field(const void *message, enum access_part part, struct bytes name, struct bytes *value) {
    static const char *const parts[] = {"request", "response", "trailer"};
    (void)message;
    if (bytes_equal_nocase(name, BYTES("X-Here")))
        *value = bytes_from_text(parts[part]);
    else if (bytes_equal_nocase(name, BYTES("X-Empty")))
        *value = BYTES("");
    else
        return false;
    return true;
}

static size_t some_address(const void *message, enum access_address which, char text[ACCESS_ADDRESS_MAX]) {
    (void)message;
    return (size_t)snprintf(text, ACCESS_ADDRESS_MAX, "%s", which == ACCESS_LOCAL ? "10.0.0.9:80" : "[2001:db8::9]:50000");
}

static void operators_of_envoy_are_taken(void **state) {
    (void)state;
    struct access_record record = usual_record();
    record.find_field = some_field;
    record.print_address = some_address;
    record.scheme = BYTES("https");
    record.connection = 17;
    record.request_took = 2 * NS_PER_MS;
    record.response_after = NS_PER_MS / 2;
    record.trace_id = BYTES("0af7651916cd43dd8448eb211c80319c");
    record.route = BYTES("HTTPRoute/school/r: one");
    static const char *const lines[][2] = {
        {"[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\"",
         "[2025-12-31T23:59:59.123Z] \"GET /courses/1 HTTP/1.1\"\n"},
        {"%START_TIME(%Y/%m/%dT%H:%M:%S%z %s %3f %9f)%", "2025/12/31T23:59:59+0000 1767225599 123 123456789\n"},
        {"%START_TIME(%a %A %b %B %e %j %I%p %y %D %F %T %Z %%)%", "Wed Wednesday Dec December 31 365 11PM 25 12/31/25 2025-12-31 23:59:59 UTC %\n"},
        {"%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS%", "200 - via_upstream -\n"},
        {"%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%", "0 1024 1 1\n"},
        {"%REQ(x-here)% %RESP(X-HERE):3% %TRAILER(X-Gone?X-Here)% %REQ(x-gone)%", "request res trailer -\n"},
        {"%REQ(x-empty?x-here)%|%REQ(x-gone?x-here)%", "-|request\n"}, // what is there and empty has nothing in its place
        {"%REQ(:AUTHORITY)% %UPSTREAM_HOST% %UPSTREAM_CLUSTER% %UPSTREAM_REQUEST_ATTEMPT_COUNT%", "courses:80 127.0.0.1:8000 school/courses:80 1\n"},
        {"%UPSTREAM_CLUSTER_RAW% %UPSTREAM_REMOTE_ADDRESS%", "school/courses:80 127.0.0.1:8000\n"},
        {"%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_REMOTE_PORT%", "10.0.0.7:40000 10.0.0.7 40000\n"},
        {"%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_LOCAL_PORT%", "10.0.0.9:80 10.0.0.9 80\n"},
        {"%UPSTREAM_LOCAL_ADDRESS% %UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %UPSTREAM_LOCAL_PORT%", "[2001:db8::9]:50000 2001:db8::9 50000\n"},
        {"%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_REMOTE_PORT% %CONNECTION_ID% %HOSTNAME%", "127.0.0.1 8000 17 -\n"},
        {"%REQUEST_HEADER(x-here)% %RESPONSE_HEADER(x-here):3% %RESPONSE_TRAILER(x-here)%", "request res trailer\n"},
        {"%REQ(HOST)% %REQ(:SCHEME)% %RESP(:STATUS)%", "courses:80 https 200\n"},
        {"%REQUEST_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION%", "2 0 0\n"},
        {"%DOWNSTREAM_PEER_URI_SAN% %ROUTE_NAME%", "spiffe://school.local/ns/school/sa/frontend HTTPRoute/school/r: one\n"},
        {"%TRACE_ID% %SPAN_ID% %REQUESTED_SERVER_NAME%", "0af7651916cd43dd8448eb211c80319c - -\n"},
        {"%%%{status}%RESPONSE_CODE%%%", "%200200%\n"},
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        assert_string_equal(format_text(lines[i][0], &record), lines[i][1]);
}

static void what_is_not_known_is_a_dash(void **state) {
    (void)state;
    const struct access_record record = {.grpc_status = ACCESS_LOG_NO_GRPC_STATUS};
    for (enum access_operator operation = 0; operation < ACCESS_OPERATOR_COUNT; operation++) {
        char template[64];
        snprintf(template, sizeof template, "%%%s%%", access_operator_name(operation));
        struct access_template form;
        struct bytes wrong;
        if (!access_template_parse(bytes_from_text(template), &form, &wrong) || operation == OPERATOR_START_TIME)
            continue; // REQ and its like need a name
        const char *text = format_text(template, &record);
        if (strcmp(text, "-\n") != 0 && strcmp(text, "0\n") != 0)
            assert_string_equal(text, operation == OPERATOR_RESPONSE_CODE_DETAILS ? "ok\n" : "-\n");
    }
    assert_string_equal(format_text("%RESP(:STATUS)% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%", &record), "- -\n");
}

static void codes_of_grpc_are_written_as_is_wanted(void **state) {
    (void)state;
    struct access_record record = usual_record();
    assert_string_equal(format_text("%GRPC_STATUS%%GRPC_STATUS_NUMBER%", &record), "--\n");
    record.grpc_status = 3;
    assert_string_equal(format_text("%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS(NUMBER)% %GRPC_STATUS_NUMBER%", &record),
                        "InvalidArgument INVALID_ARGUMENT 3 3\n");
    record.grpc_status = 77;
    assert_string_equal(format_text("%GRPC_STATUS%", &record), "77\n");
}

static void ends_have_the_nearest_flag(void **state) {
    (void)state;
    static const struct {
        enum error end;
        const char *line;
    } ends[] = {{ERROR_NO_ENDPOINT, "UH no_endpoint -\n"},
                {ERROR_TLS_FAILED, "UF tls_failed why\n"},
                {ERROR_BREAKER_OPEN, "UO breaker_open -\n"},
                {ERROR_RATE_LIMITED, "RL rate_limited -\n"},
                {ERROR_DENIED, "- denied -\n"},
                {ERROR_CLIENT_GONE, "DC client_gone -\n"},
                {ERROR_REQUEST_TIMEOUT, "UT request_timeout -\n"},
                {ERROR_LOOP, "- loop -\n"}};
    struct access_record record = usual_record();
    record.detail = BYTES("why");
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        record.end = ends[i].end;
        assert_string_equal(format_text("%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %UPSTREAM_TRANSPORT_FAILURE_REASON%", &record), ends[i].line);
    }
    assert_string_equal(format_text("%CONNECTION_TERMINATION_DETAILS%", &record), "-\n");
    record.is_opaque = true;
    assert_string_equal(format_text("%CONNECTION_TERMINATION_DETAILS%", &record), "why\n");
    record.end = ERROR_DENIED;
    record.by_agent = true;
    assert_string_equal(format_text("%RESPONSE_FLAGS%", &record), "UAEX\n");
}

static void an_operator_that_is_wrong_says_why(void **state) {
    (void)state;
    static const char *const wrong[][2] = {
        {"%REQ%", "needs the name"},      {"%REQ()%", "needs the name"},         {"%REQ(a?)%", "needs the name"},
        {"%REQ(a%", "no closing"},        {"%PROTOCOL(a)%", "nothing in paren"}, {"%START_TIME(%Q)%", "no format of a time"},
        {"%START_TIME(%)%", "no format"}, {"%GRPC_STATUS(x)%", "CAMEL_STRING"},  {"%REQ(a):0%", "no length"},
        {"%DURATION:3%", "no length"},    {"%DURATION", "no percent sign"},      {"%REQ(a):x%", "no length"},
        {"%REQ(a):353%", "no length"}};
    struct access_template form;
    struct bytes part;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(access_template_parse(bytes_from_text(wrong[i][0]), &form, &part));
        assert_non_null(form.why);
        assert_non_null(strstr(form.why, wrong[i][1]));
        assert_true(part.len > 0);
    }
    assert_false(access_template_parse(BYTES("a %UPSTREAM_HOTS% b"), &form, &part));
    assert_null(form.why);
    assert_memory_equal(part.at, "%UPSTREAM_HOTS%", part.len);
}

static void hostile_values_of_operators_stay_inside_their_line(void **state) {
    (void)state;
    char value[5000];
    memset(value, '"', sizeof value);
    struct access_record record = usual_record();
    record.authority = bytes_from(value, sizeof value);
    const char *text = format_text("%REQ(:AUTHORITY)%|%REQ(:AUTHORITY):2%|", &record);
    assert_string_equal(text + strlen(text) - 7, "|\\\"\\\"|\n");
    record.authority = BYTES("a\xc3\xa9\xf0\x9f\x98\x80z");
    assert_string_equal(format_text("%REQ(:AUTHORITY):1%|%REQ(:AUTHORITY):2%|%REQ(:AUTHORITY):3%|%REQ(:AUTHORITY):6%|%REQ(:AUTHORITY):7%", &record),
                        "a|a|a\xc3\xa9|a\xc3\xa9|a\xc3\xa9\xf0\x9f\x98\x80\n");
    record.authority = BYTES("\x80\x80\x80\x80\x80");
    assert_string_equal(format_text("%REQ(:AUTHORITY):1%", &record), "\xef\xbf\xbd\n");
    record.authority = BYTES("a\r\nb\xff\0c");
    assert_string_equal(format_text("%REQ(:AUTHORITY)%", &record), "a\\r\\nb\xef\xbf\xbd\\u0000c\n");
}

static void control_characters_cannot_forge_a_line_of_text(void **state) {
    (void)state;
    struct access_record record = usual_record();
    record.user_agent = BYTES("a\" 200\r\n10.0.0.1 \x1b[2J");
    assert_string_equal(format_text("\"%{user_agent}\"", &record), "\"a\\\" 200\\r\\n10.0.0.1 \\u001b[2J\"\n");
}

static void a_line_of_text_that_is_too_long_is_cut(void **state) {
    (void)state;
    char path[2000];
    memset(path, 'x', sizeof path);
    struct access_record record = usual_record();
    record.path = bytes_from(path, sizeof path);
    const char *text = format_text("%{path}%{path}%{path}%{path}%{path}%{path}%{path}%{path}%{path}%{path}%{path}%{path}", &record);
    assert_true(strlen(text) > 3000 && strlen(text) <= ACCESS_LOG_LINE_MAX);
    char literal[5000];
    memset(literal, 'y', sizeof literal);
    literal[sizeof literal - 1] = '\0';
    assert_int_equal(strlen(format_text(literal, &record)), ACCESS_LOG_LINE_MAX);
    strcpy(literal + ACCESS_LOG_LINE_MAX - 100, "%REQ(:PATH)%z"); // there is no room for what it may say
    assert_int_equal(strlen(format_text(literal, &record)), ACCESS_LOG_LINE_MAX - 100 + 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_template_says_what_stands_where),
        cmocka_unit_test(a_template_knows_every_field_of_json),
        cmocka_unit_test(what_is_wrong_in_a_template_is_told),
        cmocka_unit_test(operators_of_envoy_are_taken),
        cmocka_unit_test(what_is_not_known_is_a_dash),
        cmocka_unit_test(codes_of_grpc_are_written_as_is_wanted),
        cmocka_unit_test(ends_have_the_nearest_flag),
        cmocka_unit_test(an_operator_that_is_wrong_says_why),
        cmocka_unit_test(hostile_values_of_operators_stay_inside_their_line),
        cmocka_unit_test(control_characters_cannot_forge_a_line_of_text),
        cmocka_unit_test(a_line_of_text_that_is_too_long_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
