// Cells of how requests ended: what one request counts, merging of workers, and the family that comes of them.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "http/message.h"
#include "telemetry/request_metrics.h"

#include <pthread.h>
#include <stdio.h>

static void merging_sums_all_cells_of_workers(void **state) {
    (void)state;
    struct request_metrics workers[2] = {0}, total = {0};
    request_metrics_count(&workers[0], OK);
    request_metrics_count(&workers[1], OK);
    request_metrics_count(&workers[1], ERROR_IO); // the last of the list
    request_metrics_merge(&total, &workers[0]);
    request_metrics_merge(&total, &workers[1]);
    assert_int_equal(metric_read(&total.ends[0]), 2);
    assert_int_equal(metric_read(&total.ends[-ERROR_IO]), 1);
    assert_int_equal(metric_read(&workers[1].ends[0]), 1); // what is merged stays
}

#define COUNTED 100000

static void *count_many(void *metrics) {
    for (unsigned i = 0; i < COUNTED; i++)
        request_metrics_count(metrics, OK);
    return NULL;
}

static void workers_may_count_while_they_are_merged(void **state) {
    (void)state;
    pthread_t worker;
    struct request_metrics metrics = {0};
    uint64_t before = 0;
    assert_int_equal(pthread_create(&worker, NULL, count_many, &metrics), 0);
    while (before < COUNTED) {
        struct request_metrics total = {0};
        request_metrics_merge(&total, &metrics);
        uint64_t now = metric_read(&total.ends[0]);
        assert_true(now >= before);
        before = now;
    }
    pthread_join(worker, NULL);
    assert_int_equal(before, COUNTED);
}

static void ends_that_never_came_give_no_series(void **state) {
    (void)state;
    struct block_source blocks;
    struct buffer out;
    struct exposition exposition;
    struct request_metrics metrics[2] = {0};
    const struct request_ends ends[] = {{REQUEST_INBOUND, BYTES("a/one:80"), &metrics[0]}, {REQUEST_OUTBOUND, BYTES("a/two:80"), &metrics[1]}};
    request_metrics_count(&metrics[1], OK);
    request_metrics_count(&metrics[1], ERROR_NO_ENDPOINT);
    block_source_init(&blocks, 4);
    buffer_init(&out, &blocks);
    exposition_init(&exposition, &out, EXPOSITION_PROMETHEUS);
    request_metrics_expose(&exposition, ends, 2);
    buffer_append(&out, bytes_from("", 1));
    const char *text = buffer_front(&out).at;
    assert_null(strstr(text, "a/one:80"));
    assert_non_null(strstr(text, "# TYPE outrigger_request_ends_total counter\n"
                                 "outrigger_request_ends_total{direction=\"outbound\",service=\"a/two:80\",end=\"ok\"} 1\n"
                                 "outrigger_request_ends_total{direction=\"outbound\",service=\"a/two:80\",end=\"no_endpoint\"} 1\n"));
    buffer_dispose(&out);
    block_source_dispose(&blocks);
}

static void methods_are_those_of_http_in_their_order(void **state) {
    (void)state;
    assert_int_equal(REQUEST_METHODS, METHOD_COUNT);
    for (unsigned method = 1; method < METHOD_COUNT; method++)
        assert_true(bytes_equal(request_method_name(method), method_text((enum http_method)method)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merging_sums_all_cells_of_workers),
        cmocka_unit_test(workers_may_count_while_they_are_merged),
        cmocka_unit_test(ends_that_never_came_give_no_series),
        cmocka_unit_test(methods_are_those_of_http_in_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
