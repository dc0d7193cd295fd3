// The request names a service, the answer a status; what is no answer is not taken for one.
#include "upstream/grpc_health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define MESSAGE(text) BYTES_OF(text)

static void a_request_names_its_service(void **state) {
    (void)state;
    char out[GRPC_HEALTH_REQUEST_MAX];
    assert_int_equal(grpc_health_request(BYTES_NONE, out), 5);
    assert_memory_equal(out, "\0\0\0\0\0", 5);
    assert_int_equal(grpc_health_request(BYTES("a.B"), out), 10);
    assert_memory_equal(out, "\0\0\0\0\5\n\3a.B", 10);
    char longest[GRPC_SERVICE_MAX];
    memset(longest, 'x', sizeof longest);
    assert_int_equal(grpc_health_request(bytes_from(longest, sizeof longest), out), GRPC_HEALTH_REQUEST_MAX);
    assert_memory_equal(out, "\0\0\0\2\3\n\x80\4x", 9); // 515 bytes, of which 512 are the name
}

static void an_answer_has_a_status(void **state) {
    (void)state;
    static const struct {
        struct bytes body;
        uint32_t status;
    } good[] = {{MESSAGE("\0\0\0\0\2\x08\1"), 1},
                {MESSAGE("\0\0\0\0\2\x08\2"), 2},
                {MESSAGE("\0\0\0\0\0"), 0},                                  // UNKNOWN is not written
                {MESSAGE("\0\0\0\0\x0c\x12\1x\x25\1\2\3\4\x18\7\x08\1"), 1}, // fields of later versions
                {MESSAGE("\0\0\0\0\4\x08\2\x08\1"), 1},                      // the last counts
                {MESSAGE("\0\0\0\0\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"), 0}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        uint32_t status;
        assert_true(grpc_health_response(good[i].body, &status));
        assert_int_equal(status, good[i].status);
    }
}

static void what_is_no_answer_is_refused(void **state) {
    (void)state;
    static const struct bytes bad[] = {MESSAGE(""),
                                       MESSAGE("\0\0\0\0"),
                                       MESSAGE("\1\0\0\0\2\x08\1"),     // compressed
                                       MESSAGE("\0\0\0\0\3\x08\1"),     // too short
                                       MESSAGE("\0\0\0\0\1\x08\1"),     // more behind it
                                       MESSAGE("\0\0\0\0\1\x08"),       // a tag alone
                                       MESSAGE("\0\0\0\0\2\x08\x80"),   // a number without end
                                       MESSAGE("\0\0\0\0\4\x19\0\0\0"), // eight bytes that are three
                                       MESSAGE("\0\0\0\0\2\x0b\1"),     // a group
                                       MESSAGE("\0\0\0\0\2\0\1"),       // field 0
                                       MESSAGE("\0\0\0\0\3\x12\5x")};   // a text that is longer than the message
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint32_t status;
        assert_false(grpc_health_response(bad[i], &status));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_names_its_service),
        cmocka_unit_test(an_answer_has_a_status),
        cmocka_unit_test(what_is_no_answer_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
