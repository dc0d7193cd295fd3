// Parameters of a query: order, decoding, and what is not a valid escape.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "rpc/query.h"

static struct pool_source pools;
static struct pool pool;

static int begin(void **state) {
    (void)state;
    pool_source_init(&pools, 1);
    pool_init(&pool, &pools);
    return 0;
}

static int end(void **state) {
    (void)state;
    pool_dispose(&pool);
    pool_source_dispose(&pools);
    return 0;
}

static void assert_bytes(struct bytes actual, struct bytes expected) {
    assert_int_equal(actual.len, expected.len);
    assert_memory_equal(actual.at, expected.at, expected.len);
}

static void parameters_come_in_order_and_decoded(void **state) {
    (void)state;
    struct bytes query = BYTES("format=text&host=a%2eb%3A80&&flag&q=a+b%2B&=x"), name, value;
    const struct bytes expected[][2] = {{BYTES("format"), BYTES("text")},
                                        {BYTES("host"), BYTES("a.b:80")},
                                        {BYTES("flag"), BYTES("")},
                                        {BYTES("q"), BYTES("a b+")},
                                        {BYTES(""), BYTES("x")}};
    for (size_t i = 0; i < 5; i++) {
        assert_true(query_next(&query, &pool, &name, &value));
        assert_bytes(name, expected[i][0]);
        assert_bytes(value, expected[i][1]);
    }
    assert_false(query_next(&query, &pool, &name, &value));
}

static void broken_escapes_stay_as_they_are(void **state) {
    (void)state;
    struct bytes value;
    assert_true(query_find(BYTES("a=%zz%4"), BYTES("a"), &pool, &value));
    assert_bytes(value, BYTES("%zz%4"));
    assert_true(query_find(BYTES("a=%"), BYTES("a"), &pool, &value));
    assert_bytes(value, BYTES("%"));
}

static void first_of_a_name_is_found_and_absent_ones_are_not(void **state) {
    (void)state;
    struct bytes value;
    assert_true(query_find(BYTES("b=0&a=1&a=2"), BYTES("a"), &pool, &value));
    assert_bytes(value, BYTES("1"));
    assert_false(query_find(BYTES("b=0&a=1"), BYTES("c"), &pool, &value));
    assert_false(query_find(BYTES_NONE, BYTES("c"), &pool, &value));
    assert_false(query_find(BYTES("&&"), BYTES("c"), &pool, &value));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(parameters_come_in_order_and_decoded, begin, end),
        cmocka_unit_test_setup_teardown(broken_escapes_stay_as_they_are, begin, end),
        cmocka_unit_test_setup_teardown(first_of_a_name_is_found_and_absent_ones_are_not, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
