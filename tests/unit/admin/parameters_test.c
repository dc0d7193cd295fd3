// A query by a table: what repeats, what is not known, how errors end it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "admin/parameters.h"

static char seen[64];

static void read_any(struct reading *reading, struct bytes value) {
    (void)reading;
    strncat(seen, value.at, value.len);
    strcat(seen, ";");
}

static void read_bad(struct reading *reading, struct bytes value) {
    read_any(reading, value);
    reading->error = BYTES("bad: never");
}

static const struct parameter table[] = {{BYTES_OF("one"), read_any, false}, {BYTES_OF("many"), read_any, true}, {BYTES_OF("bad"), read_bad, false}};

static void check(const char *query, const char *expected, const char *error) {
    struct pool_source chunks;
    struct pool pool;
    pool_source_init(&chunks, 0);
    pool_init(&pool, &chunks);
    struct reading reading = {.pool = &pool};
    seen[0] = '\0';
    assert_int_equal(parameters_read(bytes_from_text(query), table, 3, &reading), error[0] == '\0');
    assert_string_equal(seen, expected);
    assert_int_equal(reading.error.len, strlen(error));
    assert_memory_equal(reading.error.at, error, strlen(error));
    pool_dispose(&pool);
    pool_source_dispose(&chunks);
}

static void each_is_read_by_its_own_function(void **state) {
    (void)state;
    check("", "", "");
    check("many=a&one=b%26&many=c", "a;b&;c;", "");
    check("one", ";", "");
}

static void what_is_wrong_ends_it(void **state) {
    (void)state;
    check("one=a&one=b&many=c", "a;", "one: once");
    check("two=a&one=b", "", "parameters are one, many (any number), bad");
    check("bad=a&one=b", "a;", "bad: never");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_is_read_by_its_own_function), cmocka_unit_test(what_is_wrong_ends_it)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
