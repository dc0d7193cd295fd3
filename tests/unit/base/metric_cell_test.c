// One writer, one reader on another thread: no torn and no lost value.
#include "base/metric_cell.h"

#include <pthread.h>
#include <stdbool.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define ADDITIONS 100000

static void *write_up(void *argument) {
    struct metric_cell *cell = argument;
    for (int i = 0; i < ADDITIONS; i++)
        metric_add(cell, 3);
    metric_subtract(cell, 1);
    return NULL;
}

static void a_reader_on_another_thread_sees_it_grow_to_the_sum(void **state) {
    (void)state;
    struct metric_cell cell;
    metric_set(&cell, 1);
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, write_up, &cell), 0);
    uint64_t before = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t now = metric_read(&cell);
        assert_true(now + 1 >= before);
        before = now;
    }
    assert_int_equal(pthread_join(writer, NULL), 0);
    assert_int_equal(metric_read(&cell), 3 * ADDITIONS);
}

static void a_struct_of_cells_is_added_cell_by_cell(void **state) {
    (void)state;
    struct {
        struct metric_cell a, b[2], c;
    } total = {{1}, {{2}, {3}}, {4}}, from = {{10}, {{20}, {30}}, {40}};
    metric_merge(&total, &from, sizeof total);
    assert_int_equal(metric_read(&total.a), 11);
    assert_int_equal(metric_read(&total.b[0]), 22);
    assert_int_equal(metric_read(&total.b[1]), 33);
    assert_int_equal(metric_read(&total.c), 44);
    assert_int_equal(metric_read(&from.c), 40);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_on_another_thread_sees_it_grow_to_the_sum),
        cmocka_unit_test(a_struct_of_cells_is_added_cell_by_cell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
