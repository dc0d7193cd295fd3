// Metrics as OTLP: each message is whole and says what it should, decoded by protobuf-c; deltas add up to what was counted, whatever comes and goes.
#include "telemetry/otlp_metrics.h"

#include "telemetry/proto/metrics.pb-c.h"
#include "telemetry/series_reading.h"
#include "telemetry/worker_metrics.h"

#include "support/one_pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define STARTED (1700000000 * NS_PER_S)
#define SERVICE BYTES("school/courses:80")

static struct series_registry *registry;
static struct series_set set;
static struct otlp_metrics *metrics;
static Otlp__ScopeMetrics *scope_metrics;
static const struct otlp_metrics_terms cumulative = {0}, delta = {.is_delta = true};

static int begin(void **state) {
    registry = series_registry_create();
    series_set_init(&set, registry);
    metrics = otlp_metrics_create(STARTED);
    return pool_set_up(state);
}

static void let_go(void) {
    if (scope_metrics != NULL)
        otlp__scope_metrics__free_unpacked(scope_metrics, NULL);
    scope_metrics = NULL;
}

static int end(void **state) {
    let_go();
    otlp_metrics_destroy(metrics);
    series_set_dispose(&set);
    series_registry_destroy(registry);
    return pool_tear_down(state);
}

// What is written is a ScopeMetrics without a scope: any malformed byte fails here.
static void decode(void) {
    struct bytes records;
    uint64_t points, decoded = 0;
    let_go();
    assert_true(otlp_metrics_next(metrics, 1U << 20, &records, &points));
    scope_metrics = otlp__scope_metrics__unpack(NULL, records.len, (const uint8_t *)records.at);
    assert_non_null(scope_metrics);
    for (size_t i = 0; i < scope_metrics->n_metrics; i++) {
        const Otlp__Metric *metric = scope_metrics->metrics[i];
        assert_int_equal(metric->base.n_unknown_fields, 0);
        for (size_t j = 0; metric->data_case == OTLP__METRIC__DATA_HISTOGRAM && j < metric->histogram->n_data_points; j++)
            assert_int_equal(metric->histogram->data_points[j]->base.n_unknown_fields, 0);
        for (size_t j = 0; metric->data_case == OTLP__METRIC__DATA_EXPONENTIAL_HISTOGRAM && j < metric->exponential_histogram->n_data_points; j++)
            assert_int_equal(metric->exponential_histogram->data_points[j]->base.n_unknown_fields, 0);
        decoded += metric->data_case == OTLP__METRIC__DATA_GAUGE       ? metric->gauge->n_data_points
                   : metric->data_case == OTLP__METRIC__DATA_SUM       ? metric->sum->n_data_points
                   : metric->data_case == OTLP__METRIC__DATA_HISTOGRAM ? metric->histogram->n_data_points
                                                                       : metric->exponential_histogram->n_data_points;
    }
    assert_int_equal(decoded, points);
    assert_false(otlp_metrics_next(metrics, 1U << 20, &records, &points));
}

static const Otlp__Metric *find(const char *name) {
    for (size_t i = 0; scope_metrics != NULL && i < scope_metrics->n_metrics; i++)
        if (strcmp(scope_metrics->metrics[i]->name, name) == 0)
            return scope_metrics->metrics[i];
    return NULL;
}

static const Otlp__AnyValue *attribute(Otlp__KeyValue *const *attributes, size_t count, const char *key) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(attributes[i]->key, key) == 0)
            return attributes[i]->value;
    return NULL;
}

static struct series_rows read_all(void) {
    struct series_reading reading;
    series_reading_begin(&reading, &set, &pool);
    while (series_reading_go_on(&reading, &pool, 100))
        continue;
    return series_rows_merge(&reading.rows, 1, &pool);
}

static struct series_scope *take(struct bytes route) {
    return series_scope_take(&set, SERVICE, route, BYTES_NONE);
}

static struct request_told told_of(uint16_t status, nanoseconds duration) {
    return (struct request_told){
        .facts = {.family = SERIES_HTTP_CLIENT, .method = 1, .version = 20, .status = status}, .duration = duration, .wall = STARTED + 5};
}

static void write_once(const struct otlp_metrics_terms *terms, unsigned seconds) {
    struct exposition exposition;
    const struct series_rows rows = read_all();
    otlp_metrics_begin(metrics, &exposition, terms, STARTED + seconds * NS_PER_S);
    series_rows_expose(&exposition, &rows);
    exposition_end(&exposition);
}

static void a_histogram_has_its_convention_bounds_and_exemplars(void **state) {
    (void)state;
    const uint8_t trace[16] = {1, 2, 3}, span[8] = {4, 5};
    struct series_scope *scope = take(BYTES("HTTPRoute/a/b: c"));
    struct request_told told = told_of(503, 30 * NS_PER_MS);
    told.trace_id = trace;
    told.span_id = span;
    series_count(&set, scope, &told);
    write_once(&cumulative, 60);
    decode();
    assert_int_equal(scope_metrics->n_metrics, 2); // and how many series there are
    const Otlp__Metric *metric = find("http.client.request.duration");
    assert_string_equal(metric->unit, "s");
    assert_int_equal(metric->data_case, OTLP__METRIC__DATA_HISTOGRAM);
    assert_int_equal(metric->histogram->aggregation_temporality, 2);
    const Otlp__HistogramDataPoint *point = metric->histogram->data_points[0];
    assert_int_equal(point->count, 1);
    assert_true(point->sum == 0.03);
    assert_int_equal(point->n_bucket_counts, 15);
    assert_int_equal(point->n_explicit_bounds, 14);
    assert_true(point->explicit_bounds[0] == 0.005 && point->explicit_bounds[13] == 10);
    assert_int_equal(point->bucket_counts[3], 1);
    assert_int_equal(point->start_time_unix_nano, STARTED + 5);
    assert_int_equal(point->time_unix_nano, STARTED + 60 * NS_PER_S);
    assert_string_equal(attribute(point->attributes, point->n_attributes, "http.request.method")->string_value, "GET");
    assert_int_equal(attribute(point->attributes, point->n_attributes, "http.response.status_code")->int_value, 503);
    assert_int_equal(attribute(point->attributes, point->n_attributes, "server.port")->int_value, 80);
    assert_string_equal(attribute(point->attributes, point->n_attributes, "error.type")->string_value, "503");
    assert_string_equal(attribute(point->attributes, point->n_attributes, "outrigger.service")->string_value, "school/courses:80");
    assert_int_equal(point->n_exemplars, 1);
    assert_memory_equal(point->exemplars[0]->trace_id.data, trace, 16);
    assert_memory_equal(point->exemplars[0]->span_id.data, span, 8);
    assert_true(point->exemplars[0]->as_double == 0.03);
    series_scope_unref(&set, scope);
    write_once(&cumulative, 120);
    decode();
    point = find("http.client.request.duration")->histogram->data_points[0];
    assert_int_equal(point->n_attributes, 1);
    assert_true(attribute(point->attributes, 1, "otel.metric.overflow")->bool_value);
    assert_int_equal(point->start_time_unix_nano, STARTED);
}

static uint64_t counted(void) {
    const Otlp__Metric *metric = find("http.client.request.duration");
    uint64_t count = 0;
    for (size_t i = 0; metric != NULL && i < metric->histogram->n_data_points; i++)
        count += metric->histogram->data_points[i]->count;
    return count;
}

// Sums of what is told each time are what was counted in between, while rules leave, return, and are beyond the bound.
static void deltas_add_up_whatever_comes_and_goes(void **state) {
    (void)state;
    struct series_scope *one = take(BYTES("one")), *two = take(BYTES("two"));
    const struct request_told good = told_of(200, NS_PER_MS), bad = told_of(500, NS_PER_S);
    for (unsigned round = 1; round <= 6; round++) {
        unsigned come = round;
        for (unsigned i = 0; i < round; i++)
            series_count(&set, one, &good);
        if (round == 2 || round == 4) { // leaves with what was told, and what was not
            series_count(&set, two, &bad);
            series_scope_unref(&set, two);
            two = take(BYTES("two"));
            come++;
        }
        if (round >= 3) {
            series_count(&set, two, &bad);
            come++;
        }
        if (round == 5)
            series_registry_set(registry, 1, false, 1);
        write_once(&delta, round * 60);
        decode();
        assert_int_equal(counted(), come);
        const Otlp__HistogramDataPoint *point = find("http.client.request.duration")->histogram->data_points[0];
        assert_int_equal(find("http.client.request.duration")->histogram->aggregation_temporality, 1);
        if (round > 1 && point->n_attributes > 1 && point->bucket_counts[0] > 0)
            assert_int_equal(point->start_time_unix_nano, STARTED + (round - 1) * 60 * NS_PER_S);
    }
    series_scope_unref(&set, one);
    series_scope_unref(&set, two);
    write_once(&delta, 600);
    decode();
    assert_null(find("http.client.request.duration")); // all is in the overflow, and nothing is new
}

static void exponential_histograms_are_told_where_they_were_recorded(void **state) {
    (void)state;
    const struct otlp_metrics_terms terms = {.is_delta = true, .is_exponential = true};
    series_registry_set(registry, 100, true, 1);
    struct series_scope *scope = take(BYTES_NONE);
    for (unsigned round = 1; round <= 3; round++) {
        for (unsigned i = 0; i < 50; i++) {
            const struct request_told told = told_of(200, (nanoseconds)1 << (10 + i % 25));
            series_count(&set, scope, &told);
        }
        write_once(&terms, round * 60);
        decode();
        const Otlp__ExponentialHistogramDataPoint *point = find("http.client.request.duration")->exponential_histogram->data_points[0];
        uint64_t count = point->zero_count;
        for (size_t i = 0; i < point->positive->n_bucket_counts; i++)
            count += point->positive->bucket_counts[i];
        assert_int_equal(point->count, 50);
        assert_int_equal(count, 50);
        assert_true(point->positive->n_bucket_counts <= 160 && point->scale > 0);
        assert_int_equal(attribute(point->attributes, point->n_attributes, "http.response.status_code")->int_value, 200);
    }
    series_scope_unref(&set, scope);
}

static void counters_and_gauges_of_workers(void **state) {
    (void)state;
    struct worker_metrics *workers = calloc(1, sizeof *workers);
    for (unsigned round = 1; round <= 2; round++) {
        struct exposition exposition;
        metric_add(&workers->attempts, 5);
        metric_set(&workers->pool_waiting, 3);
        metric_add(&workers->pool_wait_time, 1500 * NS_PER_MS);
        metric_add(&workers->retries_for_reset, 2);
        otlp_metrics_begin(metrics, &exposition, round == 1 ? &cumulative : &delta, STARTED + round * NS_PER_S);
        worker_metrics_expose(&exposition, workers);
        exposition_end(&exposition);
        decode();
        const Otlp__Metric *attempts = find("outrigger.attempts"), *waiting = find("outrigger.pool_waiting"), *waited = find("outrigger.pool_wait");
        assert_true(attempts->sum->is_monotonic);
        assert_int_equal(attempts->sum->data_points[0]->as_int, 5 * round);
        assert_int_equal(waiting->gauge->data_points[0]->as_int, 3);
        assert_string_equal(waited->unit, "s");
        assert_true(waited->sum->data_points[0]->as_double == 1.5 * round);
        const Otlp__Metric *retries = find("outrigger.retries");
        bool is_found = false;
        for (size_t i = 0; i < retries->sum->n_data_points; i++) {
            const Otlp__NumberDataPoint *point = retries->sum->data_points[i];
            if (strcmp(attribute(point->attributes, point->n_attributes, "reason")->string_value, "reset") == 0)
                is_found = point->as_int == 2 * (int64_t)round;
        }
        assert_true(is_found);
    }
    free(workers);
}

static void names_are_one_for_each_metric(void **state) {
    (void)state;
    char names[METRIC_COUNT][OTLP_NAME_MAX];
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        otlp_metric_name(metric_family(metric), names[metric]);
        for (enum metric other = 0; other < metric; other++)
            assert_string_not_equal(names[metric], names[other]);
    }
}

static void many_series_are_several_records(void **state) {
    (void)state;
    struct series_scope *scope = take(BYTES_NONE);
    for (uint16_t status = 1; status < 600; status++) {
        const struct request_told told = told_of(status, NS_PER_MS);
        series_count(&set, scope, &told);
    }
    write_once(&cumulative, 60);
    struct bytes records;
    uint64_t points, all = 0;
    unsigned pieces = 0;
    while (otlp_metrics_next(metrics, OTLP_METRIC_MAX, &records, &points)) {
        assert_true(records.len <= OTLP_METRIC_MAX);
        Otlp__ScopeMetrics *piece = otlp__scope_metrics__unpack(NULL, records.len, (const uint8_t *)records.at);
        assert_non_null(piece);
        otlp__scope_metrics__free_unpacked(piece, NULL);
        all += points;
        pieces++;
    }
    assert_int_equal(all, 599 + SERIES_FAMILIES); // and how many series there are
    assert_true(pieces > 2);
    series_scope_unref(&set, scope);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_histogram_has_its_convention_bounds_and_exemplars),
        TEST(deltas_add_up_whatever_comes_and_goes),
        TEST(exponential_histograms_are_told_where_they_were_recorded),
        TEST(counters_and_gauges_of_workers),
        TEST(names_are_one_for_each_metric),
        TEST(many_series_are_several_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
