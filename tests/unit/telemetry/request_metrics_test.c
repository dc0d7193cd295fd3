// Cells of requests: what one request counts, merging of workers, and the page that comes of them.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "http/message.h"
#include "telemetry/request_metrics.h"

#include <pthread.h>
#include <stdio.h>

static struct request_metrics *metrics;

static int create(void **state) {
    (void)state;
    metrics = calloc(2, sizeof(*metrics));
    return metrics == NULL;
}

static int destroy(void **state) {
    (void)state;
    free(metrics);
    return 0;
}

// The page that these series give; of at most one block, freed by the caller.
static char *expose(const struct request_series *series, uint32_t count) {
    struct block_source blocks;
    struct buffer out;
    struct exposition exposition;
    block_source_init(&blocks, 4);
    buffer_init(&out, &blocks);
    exposition_init(&exposition, &out, EXPOSITION_PROMETHEUS);
    request_metrics_expose(&exposition, series, count);
    struct bytes front = buffer_front(&out);
    assert_int_equal(front.len, out.length);
    char *text = strndup(front.at, front.len);
    buffer_dispose(&out);
    block_source_dispose(&blocks);
    return text;
}

static void one_request_is_counted_by_method_class_end_and_duration(void **state) {
    (void)state;
    request_metrics_count(metrics, METHOD_POST, 503, ERROR_POOL_FULL, 30 * NS_PER_MS);
    assert_int_equal(metric_read(&metrics->requests[METHOD_POST][5]), 1);
    assert_int_equal(metric_read(&metrics->ends[-ERROR_POOL_FULL]), 1);
    assert_int_equal(metric_read(&metrics->durations[5].buckets[3]), 1);
    assert_int_equal(metric_read(&metrics->durations[5].sum_ns), 30 * NS_PER_MS);
}

static void request_without_a_status_has_a_class_of_its_own(void **state) {
    (void)state;
    request_metrics_count(metrics, METHOD_GET, 0, ERROR_CLIENT_GONE, 1);
    assert_int_equal(metric_read(&metrics->requests[METHOD_GET][0]), 1);
}

static void last_error_of_the_list_has_a_cell(void **state) {
    (void)state;
    request_metrics_count(metrics, METHOD_PATCH, 599, ERROR_IO, UINT64_MAX);
    assert_int_equal(metric_read(&metrics->ends[ERROR_COUNT]), 1);
    assert_int_equal(metric_read(&metrics->durations[5].buckets[DURATION_BOUNDS]), 1);
}

static void merging_sums_all_cells_of_workers(void **state) {
    (void)state;
    struct request_metrics *total = calloc(1, sizeof(*total));
    request_metrics_count(&metrics[0], METHOD_GET, 200, OK, NS_PER_S);
    request_metrics_count(&metrics[1], METHOD_GET, 200, OK, 2 * NS_PER_S);
    request_metrics_count(&metrics[1], METHOD_PATCH, 404, ERROR_IO, 3 * NS_PER_S);
    request_metrics_merge(total, &metrics[0]);
    request_metrics_merge(total, &metrics[1]);
    assert_int_equal(metric_read(&total->requests[METHOD_GET][2]), 2);
    assert_int_equal(metric_read(&total->requests[METHOD_PATCH][4]), 1);
    assert_int_equal(metric_read(&total->ends[0]), 2);
    assert_int_equal(metric_read(&total->ends[-ERROR_IO]), 1);
    assert_int_equal(metric_read(&total->durations[2].sum_ns), 3 * NS_PER_S);
    assert_int_equal(metric_read(&total->durations[4].sum_ns), 3 * NS_PER_S);
    assert_int_equal(metric_read(&metrics[1].durations[2].sum_ns), 2 * NS_PER_S); // what is merged stays
    free(total);
}

#define COUNTED 100000

static void *count_many(void *unused) {
    (void)unused;
    for (unsigned i = 0; i < COUNTED; i++)
        request_metrics_count(metrics, METHOD_GET, 200, OK, 1);
    return NULL;
}

static void workers_may_count_while_they_are_merged(void **state) {
    (void)state;
    pthread_t worker;
    uint64_t before = 0;
    assert_int_equal(pthread_create(&worker, NULL, count_many, NULL), 0);
    while (before < COUNTED) {
        struct request_metrics total = {0};
        request_metrics_merge(&total, metrics);
        uint64_t now = metric_read(&total.requests[METHOD_GET][2]);
        assert_true(now >= before);
        before = now;
    }
    pthread_join(worker, NULL);
    assert_int_equal(before, COUNTED);
    assert_int_equal(metric_read(&metrics->durations[2].sum_ns), COUNTED);
}

static void families_of_several_services_are_contiguous(void **state) {
    (void)state;
    request_metrics_count(&metrics[0], METHOD_GET, 200, OK, 1);
    request_metrics_count(&metrics[1], METHOD_OTHER, 0, ERROR_NO_ENDPOINT, 1);
    const struct request_series series[] = {{REQUEST_INBOUND, BYTES("a/one:80"), &metrics[0]}, {REQUEST_OUTBOUND, BYTES("a/two:80"), &metrics[1]}};
    char *text = expose(series, 2);
    assert_non_null(strstr(text, "# TYPE outrigger_requests_total counter\n"
                                 "outrigger_requests_total{direction=\"inbound\",service=\"a/one:80\",method=\"GET\",status_class=\"2xx\"} 1\n"
                                 "outrigger_requests_total{direction=\"outbound\",service=\"a/two:80\",method=\"_OTHER\",status_class=\"none\"} 1\n"
                                 "# HELP outrigger_request_ends_total"));
    assert_non_null(strstr(text, "outrigger_request_ends_total{direction=\"inbound\",service=\"a/one:80\",end=\"ok\"} 1\n"
                                 "outrigger_request_ends_total{direction=\"outbound\",service=\"a/two:80\",end=\"no_endpoint\"} 1\n"
                                 "# HELP http_server_request_duration_seconds"));
    assert_non_null(strstr(text, "http_server_request_duration_seconds_count{service=\"a/one:80\",status_class=\"2xx\"} 1\n"
                                 "# HELP http_client_request_duration_seconds"));
    assert_non_null(strstr(text, "http_client_request_duration_seconds_count{service=\"a/two:80\",status_class=\"none\"} 1\n"));
    free(text);
}

static void services_without_requests_give_no_series(void **state) {
    (void)state;
    const struct request_series series[] = {{REQUEST_INBOUND, BYTES("a/one:80"), &metrics[0]}};
    char *text = expose(series, 1);
    assert_null(strstr(text, "a/one:80"));
    free(text);
}

static void methods_are_those_of_http_in_their_order(void **state) {
    (void)state;
    assert_int_equal(REQUEST_METHODS, METHOD_COUNT);
    for (unsigned method = 1; method < METHOD_COUNT; method++) {
        memset(metrics, 0, sizeof(*metrics));
        request_metrics_count(metrics, method, 200, OK, 1);
        const struct request_series series[] = {{REQUEST_INBOUND, BYTES("a/one:80"), metrics}};
        struct bytes name = method_text((enum http_method)method);
        char expected[64];
        snprintf(expected, sizeof(expected), ",method=\"%.*s\",", BYTES_FORMAT(name));
        char *text = expose(series, 1);
        assert_non_null(strstr(text, expected));
        free(text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_request_is_counted_by_method_class_end_and_duration, create, destroy),
        cmocka_unit_test_setup_teardown(request_without_a_status_has_a_class_of_its_own, create, destroy),
        cmocka_unit_test_setup_teardown(last_error_of_the_list_has_a_cell, create, destroy),
        cmocka_unit_test_setup_teardown(merging_sums_all_cells_of_workers, create, destroy),
        cmocka_unit_test_setup_teardown(workers_may_count_while_they_are_merged, create, destroy),
        cmocka_unit_test_setup_teardown(families_of_several_services_are_contiguous, create, destroy),
        cmocka_unit_test_setup_teardown(services_without_requests_give_no_series, create, destroy),
        cmocka_unit_test_setup_teardown(methods_are_those_of_http_in_their_order, create, destroy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
