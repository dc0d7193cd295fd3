// Heads and the tables of methods and phrases.
#include "http/message.h"

#include "http/headers.h"
#include "support/one_pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void methods_are_told_by_their_exact_text(void **state) {
    (void)state;
    for (enum http_method method = METHOD_GET; method < METHOD_COUNT; method++)
        assert_int_equal(method_from_text(method_text(method)), method);
    assert_int_equal(method_from_text(BYTES("get")), METHOD_OTHER);
    assert_int_equal(method_from_text(BYTES("GETS")), METHOD_OTHER);
    assert_int_equal(method_from_text(BYTES("")), METHOD_OTHER);
    assert_int_equal(method_text(METHOD_OTHER).len, 0);
}

static void statuses_have_their_phrases(void **state) {
    (void)state;
    assert_true(bytes_equal(status_reason(200), BYTES("OK")));
    assert_true(bytes_equal(status_reason(511), BYTES("Network Authentication Required")));
    assert_true(bytes_equal(status_reason(100), BYTES("Continue")));
    assert_int_equal(status_reason(299).len, 0);
    assert_int_equal(status_reason(0).len, 0);
    assert_int_equal(status_reason(512).len, 0);
    assert_int_equal(status_reason(65535).len, 0);
    assert_non_null(status_reason(65535).at);
}

static void grpc_is_told_by_content_type(void **state) {
    (void)state;
    static const struct {
        const char *type;
        bool grpc;
    } rows[] = {
        {"application/grpc", true},
        {"application/grpc+proto", true},
        {"application/grpc;x=y", true},
        {"Application/GRPC", true},
        {"application/grpc ; x", true},
        {"application/grpc-web", false},
        {"application/grpc-web+proto", false},
        {"application/json", false},
        {"application/grp", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct head head;
        head_init(&head, &pool);
        assert_false(head_is_grpc(&head));
        fields_add(&head.fields, BYTES("content-type"), bytes_from_text(rows[i].type));
        assert_int_equal(head_is_grpc(&head), rows[i].grpc);
    }
}

static void copied_head_shares_text_and_not_the_list(void **state) {
    (void)state;
    struct head head;
    struct head copy;
    head_init(&head, &pool);
    assert_int_equal(head.content_length, -1);
    head.method = METHOD_PUT;
    head.path = BYTES("/a");
    fields_add(&head.fields, BYTES("A"), BYTES("1"));
    head_copy(&copy, &head, &pool);
    assert_int_equal(copy.method, METHOD_PUT);
    assert_ptr_equal(copy.path.at, head.path.at);
    fields_remove_name(&copy.fields, BYTES("A"));
    fields_add(&copy.fields, BYTES("B"), BYTES("2"));
    assert_non_null(fields_find_name(&head.fields, BYTES("A")));
    assert_null(fields_find_name(&head.fields, BYTES("B")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(methods_are_told_by_their_exact_text, pool_set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(statuses_have_their_phrases, pool_set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(grpc_is_told_by_content_type, pool_set_up, pool_tear_down),
        cmocka_unit_test_setup_teardown(copied_head_shares_text_and_not_the_list, pool_set_up, pool_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
