// Replies of the HTTP server: what each error is told as, and what every head has.
#include "rpc/reply.h"

#include "http/headers.h"

#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static struct block_source blocks;
static struct pool_source chunks;

static int set_up(void **state) {
    (void)state;
    block_source_init(&blocks, 16);
    pool_source_init(&chunks, 16);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    block_source_dispose(&blocks);
    pool_source_dispose(&chunks);
    return 0;
}

static void an_error_is_told_by_its_status_and_a_text(void **state) {
    (void)state;
    static const struct {
        enum error error;
        uint16_t status;
        const char *text;
    } cases[] = {
        {ERROR_BODY_TOO_LARGE, 413, "Content Too Large\n"},
        {ERROR_URI_TOO_LONG, 414, "URI Too Long\n"},
        {ERROR_HEADERS_TOO_LARGE, 431, "Request Header Fields Too Large\n"},
        {ERROR_EXPECTATION, 417, "Expectation Failed\n"},
        {ERROR_HEADER_TIMEOUT, 408, "Request Timeout\n"},
        {ERROR_METHOD_UNKNOWN, 501, "Not Implemented\n"},
        {ERROR_VERSION_UNSUPPORTED, 505, "HTTP Version Not Supported\n"},
        {ERROR_REQUEST_TIMEOUT, 503, "Service Unavailable\n"},
        {ERROR_PROTOCOL, 400, "Bad Request\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct reply reply = {0};
        struct buffer body;
        buffer_init(&body, &blocks);
        reply_set_error(&reply, cases[i].error, &body);
        assert_int_equal(reply.status, cases[i].status);
        assert_true(bytes_equal(reply.type, BYTES("text/plain")));
        assert_true(bytes_equal(buffer_front(&body), bytes_from_text(cases[i].text)));
        buffer_dispose(&body);
    }
}

static void a_head_has_what_is_its_own_and_what_all_have(void **state) {
    (void)state;
    struct pool pool;
    pool_init(&pool, &chunks);
    struct reply reply = {.status = 200, .type = BYTES("application/json")};
    struct head head;
    fields_init(&reply.fields, &pool);
    fields_add(&reply.fields, BYTES("Allow"), BYTES("POST"));
    reply_fill_head(&reply, &pool, 17, &head);
    assert_int_equal(head.status, 200);
    assert_int_equal(head.content_length, 17);
    static const char *const expected[] = {"Content-Type: application/json", "Cache-Control: no-store", "X-Content-Type-Options: nosniff",
                                           "Allow: POST"};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        struct bytes line = bytes_from_text(expected[i]);
        size_t colon = bytes_find(line, ':');
        const struct field *field = fields_find_name(&head.fields, bytes_from(line.at, colon));
        assert_non_null(field);
        assert_true(bytes_equal(field->value, bytes_from(line.at + colon + 2, line.len - colon - 2)));
    }
    assert_int_equal(fields_find(&head.fields, FIELD_DATE)->value.len, 29); // Sun, 06 Nov 1994 08:49:37 GMT
    pool_dispose(&pool);
}

static void without_a_body_there_is_no_type(void **state) {
    (void)state;
    struct pool pool;
    pool_init(&pool, &chunks);
    struct reply reply = {.status = 204};
    struct head head;
    fields_init(&reply.fields, &pool);
    reply_fill_head(&reply, &pool, 0, &head);
    assert_null(fields_find(&head.fields, FIELD_CONTENT_TYPE));
    pool_dispose(&pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_error_is_told_by_its_status_and_a_text, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_head_has_what_is_its_own_and_what_all_have, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_body_there_is_no_type, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
