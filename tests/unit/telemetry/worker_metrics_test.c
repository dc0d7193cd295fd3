// The table of a worker's metrics: merging as each row says, a line for each cell, names by the conventions.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "telemetry/worker_metrics.h"

#include <stdio.h>

static char *expose(const struct worker_metrics *total) {
    struct block_source blocks;
    struct buffer out;
    struct exposition exposition;
    block_source_init(&blocks, 4);
    buffer_init(&out, &blocks);
    exposition_init(&exposition, &out, EXPOSITION_PROMETHEUS);
    worker_metrics_expose(&exposition, total);
    struct bytes front = buffer_front(&out);
    assert_int_equal(front.len, out.length);
    char *text = strndup(front.at, front.len);
    buffer_dispose(&out);
    block_source_dispose(&blocks);
    return text;
}

static void workers_are_merged_as_the_table_says(void **state) {
    (void)state;
    struct worker_metrics first = {0}, second = {0}, total = {0};
    metric_add(&first.retries_for_reset, 2);
    metric_add(&second.retries_for_reset, 3);
    metric_set(&first.loop_turn_longest, 5 * NS_PER_MS);
    metric_set(&second.loop_turn_longest, 4 * NS_PER_MS);
    metric_set(&first.config_generation, 8);
    metric_set(&second.config_generation, 7);
    worker_metrics_merge(&total, (const struct worker_metrics *const[]){&first, &second}, 2);
    assert_int_equal(metric_read(&total.retries_for_reset), 5);
    assert_int_equal(metric_read(&total.loop_turn_longest), 5 * NS_PER_MS);
    assert_int_equal(metric_read(&total.config_generation), 7);
    worker_metrics_merge(&total, (const struct worker_metrics *const[]){&second, &first}, 2);
    assert_int_equal(metric_read(&total.retries_for_reset), 5); // merging replaces what was in the total
    assert_int_equal(metric_read(&total.loop_turn_longest), 5 * NS_PER_MS);
    assert_int_equal(metric_read(&total.config_generation), 7);
}

static void limits_are_merged_to_the_highest_peak_and_all_hits(void **state) {
    (void)state;
    struct worker_metrics first = {0}, second = {0}, total = {0};
    limit_use(first.limits, LIMIT_METRIC_URL_BYTES, 100);
    limit_use(first.limits, LIMIT_METRIC_URL_BYTES, 40); // the mark stays
    limit_use(second.limits, LIMIT_METRIC_URL_BYTES, 70);
    limit_hit(first.limits, LIMIT_METRIC_URL_BYTES);
    limit_hit(second.limits, LIMIT_METRIC_URL_BYTES);
    limit_hit(second.limits, LIMIT_METRIC_IDLE_TIMEOUT);
    for (int again = 0; again < 2; again++) {
        worker_metrics_merge(&total, (const struct worker_metrics *const[]){&first, &second}, 2);
        assert_int_equal(metric_read(&total.limits[LIMIT_METRIC_URL_BYTES].peak), 100);
        assert_int_equal(metric_read(&total.limits[LIMIT_METRIC_URL_BYTES].hits), 2);
        assert_int_equal(metric_read(&total.limits[LIMIT_METRIC_IDLE_TIMEOUT].hits), 1);
        assert_int_equal(metric_read(&total.limits[LIMIT_METRIC_HEADERS].hits), 0);
    }
}

static void every_cell_is_exposed_with_its_own_value(void **state) {
    (void)state;
    struct worker_metrics total = {0};
    uint64_t value = 1000000000;
#define X(field, type, merge, unit, name, labels, help) metric_set(&total.field, value += 1000000000);
    WORKER_METRIC_LIST(X)
#undef X
    char *text = expose(&total);
    value = 1000000000;
#define X(field, type, merge, unit, name, labels, help)                                                                         \
    {                                                                                                                           \
        char line[256];                                                                                                         \
        value += 1000000000;                                                                                                    \
        snprintf(line, sizeof(line), "\n%s%s%s%s %llu\n", name, *labels != '\0' ? "{" : "", labels, *labels != '\0' ? "}" : "", \
                 (unsigned long long)(strcmp(#unit, "NS") == 0 ? value / NS_PER_S : value));                                    \
        assert_non_null(strstr(text, line));                                                                                    \
    }
    WORKER_METRIC_LIST(X)
#undef X
    free(text);
}

static void families_are_declared_once_with_help(void **state) {
    (void)state;
    struct worker_metrics total = {0};
    char *text = expose(&total);
#define X(field, type, merge, unit, name, labels, help)          \
    {                                                            \
        const char *declared = strstr(text, "# TYPE " name " "); \
        assert_non_null(declared);                               \
        assert_null(strstr(declared + 1, "# TYPE " name " "));   \
    }
    WORKER_METRIC_LIST(X)
#undef X
    for (const char *at = text; (at = strstr(at, "# HELP ")) != NULL; at++)
        assert_true(strcspn(at, "\n") > strcspn(at + 7, " ") + 7 + 10);
    free(text);
}

static void counters_end_in_total_and_gauges_do_not(void **state) {
    (void)state;
#define X(field, type, merge, unit, name, labels, help) \
    assert_int_equal(bytes_ends_with(BYTES(name), BYTES("_total")), METRIC_##type == METRIC_COUNTER);
    WORKER_METRIC_LIST(X)
#undef X
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_are_merged_as_the_table_says),     cmocka_unit_test(limits_are_merged_to_the_highest_peak_and_all_hits),
        cmocka_unit_test(every_cell_is_exposed_with_its_own_value), cmocka_unit_test(families_are_declared_once_with_help),
        cmocka_unit_test(counters_end_in_total_and_gauges_do_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
