// Numbers of rules: what a request counts, that workers are summed, and the page that comes of it.
#include "telemetry/route_metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool has(struct bytes text, const char *part) {
    return memmem(text.at, text.len, part, strlen(part)) != NULL;
}

static void requests_are_counted_by_class_and_time(void **state) {
    (void)state;
    struct route_metrics workers[2] = {0}, total = {0};
    route_metrics_count(&workers[0], 200, NS_PER_MS);
    route_metrics_count(&workers[1], 204, NS_PER_S);
    route_metrics_count(&workers[1], 0, NS_PER_S);
    for (int i = 0; i < 2; i++)
        route_metrics_merge(&total, &workers[i]);
    assert_int_equal(metric_read(&total.requests[2]), 2);
    assert_int_equal(metric_read(&total.requests[0]), 1);
    assert_int_equal(metric_read(&total.durations.sum_ns), 2 * NS_PER_S + NS_PER_MS);

    struct block_source blocks;
    struct buffer out;
    struct exposition exposition;
    const struct route_series series = {.route = BYTES("HTTPRoute/a/b: c"), .service = BYTES("a/s:80"), .metrics = &total};
    block_source_init(&blocks, 4);
    buffer_init(&out, &blocks);
    exposition_init(&exposition, &out, EXPOSITION_PROMETHEUS);
    route_metrics_expose(&exposition, &series, 1);
    struct bytes page = buffer_front(&out);
    assert_true(has(page, "outrigger_route_requests_total{route=\"HTTPRoute/a/b: c\",service=\"a/s:80\",status_class=\"2xx\"} 2\n"));
    assert_true(has(page, "outrigger_route_requests_total{route=\"HTTPRoute/a/b: c\",service=\"a/s:80\",status_class=\"none\"} 1\n"));
    assert_true(has(page, "outrigger_route_request_duration_seconds_count{route=\"HTTPRoute/a/b: c\",service=\"a/s:80\"} 3\n"));
    assert_false(has(page, "5xx"));
    buffer_dispose(&out);
    block_source_dispose(&blocks);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(requests_are_counted_by_class_and_time)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
