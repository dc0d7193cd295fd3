// The numbers of rules by their names: shared, bounded, forgotten with the last who uses them.
#include "upstream/route_counters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void they_are_found_by_rule_and_service(void **state) {
    (void)state;
    struct route_counter_set set;
    route_counter_set_init(&set);
    assert_null(route_counters_find(&set, BYTES("r"), BYTES("s")));
    struct route_counters *first = route_counters_take(&set, BYTES("r"), BYTES("s"));
    struct route_counters *other = route_counters_take(&set, BYTES("r"), BYTES("t"));
    assert_ptr_not_equal(first, other);
    assert_ptr_equal(route_counters_take(&set, BYTES("r"), BYTES("s")), first);
    assert_ptr_equal(route_counters_find(&set, BYTES("r"), BYTES("t")), other);
    assert_true(bytes_equal(other->route, BYTES("r")) && bytes_equal(other->service, BYTES("t")));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(set.by_key.count, 2);
        route_counters_unref(&set, first);
        route_counters_unref(&set, other);
    }
    route_counter_set_dispose(&set);
}

static void too_many_count_together(void **state) {
    (void)state;
    struct route_counter_set set;
    struct route_counters *all[ROUTE_COUNTERS_MAX + 2];
    route_counter_set_init(&set);
    for (unsigned i = 0; i < ROUTE_COUNTERS_MAX + 2; i++) {
        char name[16];
        snprintf(name, sizeof name, "r%u", i);
        all[i] = route_counters_take(&set, bytes_from_text(name), BYTES("s"));
    }
    assert_int_equal(set.by_key.count, ROUTE_COUNTERS_MAX + 1);
    assert_ptr_equal(all[ROUTE_COUNTERS_MAX], all[ROUTE_COUNTERS_MAX + 1]);
    assert_true(bytes_equal(all[ROUTE_COUNTERS_MAX]->route, BYTES("_other")));
    for (unsigned i = 0; i < ROUTE_COUNTERS_MAX + 2; i++)
        route_counters_unref(&set, all[i]);
    route_counter_set_dispose(&set);
}

// Whatever a key is made of, it is kept.
static void names_may_be_of_any_length(void **state) {
    (void)state;
    struct route_counter_set set;
    char name[2000];
    route_counter_set_init(&set);
    memset(name, 'x', sizeof name);
    struct route_counters *counters = route_counters_take(&set, bytes_from(name, sizeof name), BYTES("s"));
    assert_ptr_equal(route_counters_find(&set, bytes_from(name, sizeof name), BYTES("t")), counters);
    route_counters_unref(&set, counters);
    route_counters_unref(&set, counters);
    route_counter_set_dispose(&set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_are_found_by_rule_and_service),
        cmocka_unit_test(too_many_count_together),
        cmocka_unit_test(names_may_be_of_any_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
