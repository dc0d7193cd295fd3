// Metrics as OTLP: each message is whole and says what it should, decoded by protobuf-c; deltas add up to what was counted, whatever comes and goes.
#include "telemetry/otlp_metrics.h"

#include "telemetry/proto/metrics.pb-c.h"
#include "telemetry/series_reading.h"
#include "telemetry/worker_metrics.h"

#include "support/one_pool.h"

#include <math.h>
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

static uint64_t count_points(const Otlp__Metric *metric) {
    switch (metric->data_case) {
    case OTLP__METRIC__DATA_GAUGE:
        return metric->gauge->n_data_points;
    case OTLP__METRIC__DATA_SUM:
        return metric->sum->n_data_points;
    case OTLP__METRIC__DATA_HISTOGRAM:
        for (size_t i = 0; i < metric->histogram->n_data_points; i++)
            assert_int_equal(metric->histogram->data_points[i]->base.n_unknown_fields, 0);
        return metric->histogram->n_data_points;
    default:
        assert_int_equal(metric->data_case, OTLP__METRIC__DATA_EXPONENTIAL_HISTOGRAM);
        for (size_t i = 0; i < metric->exponential_histogram->n_data_points; i++)
            assert_int_equal(metric->exponential_histogram->data_points[i]->base.n_unknown_fields, 0);
        return metric->exponential_histogram->n_data_points;
    }
}

// What is written is a ScopeMetrics without a scope: any malformed byte fails here.
static void decode_and_settle(bool is_taken) {
    struct bytes records;
    uint64_t points, decoded = 0;
    let_go();
    assert_true(otlp_metrics_next(metrics, &records, &points));
    scope_metrics = otlp__scope_metrics__unpack(NULL, records.len, (const uint8_t *)records.at);
    assert_non_null(scope_metrics);
    for (size_t i = 0; i < scope_metrics->n_metrics; i++) {
        assert_int_equal(scope_metrics->metrics[i]->base.n_unknown_fields, 0);
        decoded += count_points(scope_metrics->metrics[i]);
    }
    assert_int_equal(decoded, points);
    otlp_metrics_settle(metrics, is_taken);
    assert_int_equal(otlp_metrics_left(metrics), 0);
    assert_false(otlp_metrics_next(metrics, &records, &points));
}

static void decode(void) {
    decode_and_settle(true);
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
    while (series_set_tidy(&set, 100))
        continue;
    const struct series_rows rows = read_all();
    otlp_metrics_begin(metrics, &exposition, terms, STARTED + seconds * NS_PER_S - NS_PER_MS, STARTED + seconds * NS_PER_S);
    assert_false(series_rows_expose(&exposition, &rows, &(struct series_writing){0}, UINT32_MAX));
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

// What is written alike is one series, from whichever documents it comes: nothing is told again.
static void what_was_told_is_not_told_again(void **state) {
    (void)state;
    struct series_scope *one = take(BYTES("one")),
                        *two = series_scope_take(&set, BYTES("school/courses:80"), BYTES("one"), bytes_from("tenant\0", 7));
    struct request_told told = told_of(200, NS_PER_MS);
    series_count(&set, one, &told);
    told.wall = 9;
    told.values = bytes_from("\0", 1);
    series_count(&set, two, &told);
    for (unsigned round = 1; round <= 3; round++) {
        write_once(&delta, round * 60);
        decode();
        assert_int_equal(counted(), round == 1 ? 2 : 0);
    }
    series_scope_unref(&set, one);
    series_scope_unref(&set, two);
}

static uint64_t ended(uint64_t *overflow) {
    const Otlp__Metric *metric = find("outrigger.request_ends");
    uint64_t count = 0;
    *overflow = 0;
    for (size_t i = 0; metric != NULL && i < metric->sum->n_data_points; i++) {
        const Otlp__NumberDataPoint *point = metric->sum->data_points[i];
        *(attribute(point->attributes, point->n_attributes, "otel.metric.overflow") != NULL ? overflow : &count) += (uint64_t)point->as_int;
    }
    return count;
}

// Counters too: what a service had told before it left is no news of the overflow, what it had not told is, and one that returns begins anew.
static void deltas_of_ends_add_up_whatever_comes_and_goes(void **state) {
    (void)state;
    uint64_t overflow, all = 0;
    struct series_scope *stays = series_scope_take(&set, BYTES("school/one:80"), BYTES_NONE, BYTES_NONE);
    for (unsigned round = 1; round <= 6; round++) {
        struct series_scope *goes = series_scope_take(&set, BYTES("school/two:80"), BYTES_NONE, BYTES_NONE);
        for (unsigned i = 0; i < round; i++)
            series_count_end(&set, goes, REQUEST_OUTBOUND, OK, STARTED + round * 60 * NS_PER_S - 1);
        series_count_end(&set, stays, REQUEST_OUTBOUND, OK, STARTED + 1);
        if (round % 2 == 0)
            series_scope_unref(&set, goes); // with what nobody was told of yet
        write_once(&delta, round * 60);
        decode();
        all += ended(&overflow) + overflow;
        assert_int_equal(all, round * (round + 1) / 2 + round);
        if (round % 2 == 1)
            series_scope_unref(&set, goes);
    }
    series_scope_unref(&set, stays);
    write_once(&delta, 600);
    decode();
    assert_null(find("outrigger.request_ends"));
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
            const struct request_told told = told_of(200, i == 7 ? 0 : (nanoseconds)1 << (10 + i % 25));
            series_count(&set, scope, &told);
        }
        write_once(&terms, round * 60);
        decode();
        const Otlp__ExponentialHistogramDataPoint *point = find("http.client.request.duration")->exponential_histogram->data_points[0];
        uint64_t count = point->zero_count;
        for (size_t i = 0; i < point->positive->n_bucket_counts; i++)
            count += point->positive->bucket_counts[i];
        assert_int_equal(point->count, 50);
        assert_int_equal(point->zero_count, 1);
        assert_int_equal(count, 50);
        assert_true(point->positive->n_bucket_counts <= 160 && point->scale > 0);
        assert_int_equal(attribute(point->attributes, point->n_attributes, "http.response.status_code")->int_value, 200);
    }
    const struct request_told told = told_of(200, NS_PER_MS);
    series_count(&set, scope, &told);
    write_once(&delta, 240); // documents that want explicit ones came before workers heard of them
    decode();
    assert_int_equal(find("http.client.request.duration")->data_case, OTLP__METRIC__DATA_HISTOGRAM);
    series_scope_unref(&set, scope);
}

static const Otlp__HistogramDataPoint *first_point(void) {
    return find("http.client.request.duration")->histogram->data_points[0];
}

// What nobody took is told with what comes, from where the last that was taken ended.
static void what_was_not_taken_is_told_once_more(void **state) {
    (void)state;
    struct series_scope *scope = take(BYTES_NONE), *other = take(BYTES("other"));
    const struct request_told good = told_of(200, NS_PER_MS);
    for (unsigned round = 1; round <= 4; round++) {
        series_count(&set, scope, &good);
        if (round == 2) { // goes with what was not told yet
            series_count(&set, other, &good);
            series_scope_unref(&set, other);
        }
        write_once(&delta, round * 60);
        decode_and_settle(round == 1 || round == 4);
    }
    assert_int_equal(counted(), 4);
    assert_int_equal(first_point()->start_time_unix_nano, STARTED + 60 * NS_PER_S);
    write_once(&delta, 300);
    decode();
    assert_null(find("http.client.request.duration"));
    series_scope_unref(&set, scope);
}

// Cumulative once more, and deltas from there: nothing is told twice, and the first of them is not all of the past.
static void deltas_begin_where_cumulative_ended(void **state) {
    (void)state;
    struct series_scope *scope = take(BYTES_NONE);
    const struct request_told good = told_of(200, NS_PER_MS);
    for (unsigned round = 1; round <= 5; round++) {
        series_count(&set, scope, &good);
        series_count_end(&set, scope, REQUEST_OUTBOUND, OK, STARTED + 7);
        write_once(round == 1 ? &cumulative : &delta, round * 60);
        decode_and_settle(round != 2); // so that it is cumulative once more
        const Otlp__Metric *metric = find("http.client.request.duration");
        assert_int_equal(metric->histogram->aggregation_temporality, round <= 3 ? 2 : 1);
        assert_int_equal(counted(), round <= 3 ? round : 1);
        const nanoseconds before = STARTED + (round - 1) * 60 * NS_PER_S;
        assert_int_equal(first_point()->start_time_unix_nano, round <= 3 ? STARTED + 5 : before);
        const Otlp__Metric *ends = find("outrigger.request_ends");
        assert_int_equal(ends->sum->data_points[0]->as_int, round <= 3 ? round : 1);
        assert_int_equal(ends->sum->data_points[0]->start_time_unix_nano, round <= 3 ? STARTED + 7 : before);
    }
    series_scope_unref(&set, scope);
}

static void expose_counter(const struct otlp_metrics_terms *terms, unsigned round, uint64_t value, nanoseconds cpu) {
    struct exposition exposition;
    otlp_metrics_begin(metrics, &exposition, terms, STARTED, STARTED + round * NS_PER_S);
    exposition_begin(&exposition, METRIC_CONFIG_LOADS);
    exposition_add(&exposition, &BYTES("accepted"), value);
    exposition_begin(&exposition, METRIC_PROCESS_CPU);
    exposition_add_seconds(&exposition, NULL, cpu);
    exposition_end(&exposition);
    decode();
}

// One that was not there before is told from then on, not from when the process began.
static void counters_are_told_from_when_they_are_there(void **state) {
    (void)state;
    struct exposition exposition;
    otlp_metrics_begin(metrics, &exposition, &delta, STARTED, STARTED + NS_PER_S);
    exposition_begin(&exposition, METRIC_PROCESS_CPU);
    exposition_add_seconds(&exposition, NULL, 2 * NS_PER_S);
    exposition_end(&exposition);
    decode();
    assert_int_equal(find("process.cpu.time")->sum->data_points[0]->start_time_unix_nano, STARTED);
    expose_counter(&delta, 2, 7, 3 * NS_PER_S);
    assert_true(find("process.cpu.time")->sum->data_points[0]->as_double == 1);
    const Otlp__NumberDataPoint *point = find("outrigger.config_loads")->sum->data_points[0];
    assert_int_equal(point->as_int, 7);
    assert_int_equal(point->start_time_unix_nano, STARTED + NS_PER_S);
    expose_counter(&delta, 3, 9, 3 * NS_PER_S);
    assert_int_equal(find("outrigger.config_loads")->sum->data_points[0]->as_int, 2);
    assert_null(find("process.cpu.time"));
    expose_counter(&delta, 4, 4, 3 * NS_PER_S); // it began anew
    assert_int_equal(find("outrigger.config_loads")->sum->data_points[0]->as_int, 4);
    expose_counter(&delta, 5, 4, 4 * NS_PER_S); // of what did not grow nothing was told, and nothing is left to be told of that time
    assert_int_equal(find("process.cpu.time")->sum->data_points[0]->start_time_unix_nano, STARTED + 4 * NS_PER_S);
}

// Turns of loops have bounds of their own.
static void a_histogram_of_turns_has_its_own_bounds(void **state) {
    (void)state;
    struct exposition exposition;
    struct loop_metrics loop = {.thread = BYTES("main"), .buckets = {[0] = 5, [TURN_BUCKETS - 1] = 1}, .sum = 2 * NS_PER_S};
    otlp_metrics_begin(metrics, &exposition, &cumulative, STARTED, STARTED + NS_PER_S);
    loop_metrics_expose(&exposition, &loop, 1);
    exposition_end(&exposition);
    decode();
    const Otlp__HistogramDataPoint *point = find("outrigger.loop_turn")->histogram->data_points[0];
    assert_int_equal(point->n_explicit_bounds, TURN_BOUNDS);
    assert_int_equal(point->n_bucket_counts, TURN_BUCKETS);
    assert_true(point->explicit_bounds[0] == 0.0001 && point->explicit_bounds[TURN_BOUNDS - 1] == 1);
    assert_int_equal(point->bucket_counts[0], 5);
    assert_int_equal(point->count, 6);
    assert_true(point->sum == 2);
}

static void one_label_set_is_told_once(void **state) {
    (void)state;
    for (unsigned round = 1; round <= 3; round++) {
        struct exposition exposition;
        otlp_metrics_begin(metrics, &exposition, &delta, STARTED, STARTED + round * NS_PER_S);
        exposition_begin(&exposition, METRIC_CONFIG_LOADS);
        exposition_add(&exposition, &BYTES("accepted"), 5);
        exposition_add(&exposition, &BYTES("accepted"), 3);
        exposition_begin(&exposition, METRIC_WORKERS);
        exposition_add(&exposition, NULL, 1);
        exposition_end(&exposition);
        decode();
        assert_int_equal(find("outrigger.config_loads") != NULL, round == 1);
    }
}

// Workers let go of a service at different times: the merged series has less, and what is gone is in the overflow.
static void deltas_add_up_where_workers_let_go_apart(void **state) {
    (void)state;
    struct series_set second;
    series_set_init(&second, registry);
    const struct request_told good = told_of(200, NS_PER_MS);
    struct series_scope *here = take(BYTES("one")), *there = series_scope_take(&second, SERVICE, BYTES("one"), BYTES_NONE);
    uint64_t told = 0;
    for (unsigned round = 1; round <= 5; round++) {
        struct series_reading readings[2];
        struct exposition exposition;
        for (unsigned i = 0; i < 3 && here != NULL; i++)
            series_count(&set, here, &good);
        series_count(&second, there, &good);
        if (round == 3) {
            series_scope_unref(&set, here);
            here = NULL;
        }
        series_reading_begin(&readings[0], &set, &pool);
        series_reading_begin(&readings[1], &second, &pool);
        for (unsigned i = 0; i < 2; i++)
            while (series_reading_go_on(&readings[i], &pool, 100))
                continue;
        struct series_row *const lists[] = {readings[0].rows, readings[1].rows};
        const struct series_rows rows = series_rows_merge(lists, 2, &pool);
        otlp_metrics_begin(metrics, &exposition, &delta, STARTED, STARTED + round * NS_PER_S);
        assert_false(series_rows_expose(&exposition, &rows, &(struct series_writing){0}, UINT32_MAX));
        exposition_end(&exposition);
        decode();
        told += counted();
        assert_int_equal(told, round <= 3 ? 4 * round : 12 + (round - 3));
    }
    series_scope_unref(&second, there);
    series_set_dispose(&second);
}

static const Otlp__ExponentialHistogramDataPoint *exponential_point(void) {
    const Otlp__Metric *metric = find("http.client.request.duration");
    assert_int_equal(metric->data_case, OTLP__METRIC__DATA_EXPONENTIAL_HISTOGRAM);
    return metric->exponential_histogram->data_points[0];
}

// A point tells of one set of requests: those since exponential histograms are asked for.
static void count_and_sum_of_an_exponential_histogram_are_of_the_same(void **state) {
    (void)state;
    const struct otlp_metrics_terms terms = {.is_exponential = true};
    struct series_scope *scope = take(BYTES_NONE);
    struct request_told told = told_of(200, NS_PER_S);
    for (unsigned i = 0; i < 5; i++)
        series_count(&set, scope, &told);
    series_registry_set(registry, 100, true, STARTED + 20 * NS_PER_S);
    write_once(&terms, 30);
    decode();
    assert_null(find("http.client.request.duration")); // no explicit points among those that come
    told.duration = 300 * NS_PER_MS;
    told.wall = STARTED + 40 * NS_PER_S;
    series_count(&set, scope, &told);
    write_once(&terms, 60);
    decode();
    const Otlp__ExponentialHistogramDataPoint *point = exponential_point();
    assert_int_equal(point->count, 1);
    assert_true(point->sum == 0.3);
    assert_int_equal(point->start_time_unix_nano, STARTED + 20 * NS_PER_S);
    assert_int_equal(point->positive->n_bucket_counts, 1);
    assert_int_equal(point->positive->bucket_counts[0], 1);
    assert_int_equal(point->positive->offset, (int32_t)ceil(log2(0.3) * exp2(point->scale)) - 1);
    // Off and on again: what came in between is missed by none that goes on.
    series_registry_set(registry, 100, false, STARTED + 1);
    series_count(&set, scope, &told);
    series_registry_set(registry, 100, true, STARTED + 70 * NS_PER_S);
    series_count(&set, scope, &told);
    write_once(&terms, 90);
    decode();
    assert_int_equal(exponential_point()->count, 1);
    assert_int_equal(exponential_point()->start_time_unix_nano, STARTED + 70 * NS_PER_S);
    series_scope_unref(&set, scope);
}

static void deltas_add_up_over_a_change_of_histograms(void **state) {
    (void)state;
    const struct otlp_metrics_terms explicit = {.is_delta = true}, exponential = {.is_delta = true, .is_exponential = true};
    struct series_scope *scope = take(BYTES_NONE);
    const struct request_told good = told_of(200, NS_PER_MS);
    for (unsigned round = 1; round <= 9; round++) {
        const bool is_exponential = (round / 3) % 2 == 1;
        series_count(&set, scope, &good);
        series_registry_set(registry, 100, is_exponential, STARTED + 1); // a request came since the last time, and before
        series_count(&set, scope, &good);
        write_once(is_exponential ? &exponential : &explicit, round * 60);
        decode();
        const Otlp__Metric *metric = find("http.client.request.duration");
        const bool is_told_so = metric->data_case == OTLP__METRIC__DATA_EXPONENTIAL_HISTOGRAM;
        assert_int_equal(is_told_so, round == 4 || round == 5); // not the first time: it has not all of that
        assert_int_equal(is_told_so ? exponential_point()->count : counted(), 2);
        assert_true((is_told_so ? exponential_point()->sum : first_point()->sum) == 0.002);
        assert_int_equal(is_told_so ? metric->exponential_histogram->n_data_points : metric->histogram->n_data_points, 1);
    }
    series_scope_unref(&set, scope);
}

// Between the copy of a worker and the time that is told a request may come.
static void an_exemplar_is_told_however_late_it_came(void **state) {
    (void)state;
    const uint8_t trace[16] = {1}, span[8] = {2};
    struct series_scope *scope = take(BYTES_NONE);
    struct request_told told = told_of(200, NS_PER_MS);
    series_count(&set, scope, &told);
    write_once(&delta, 60);
    decode();
    told.trace_id = trace;
    told.span_id = span;
    told.wall = STARTED + 60 * NS_PER_S - NS_PER_US; // behind `asked`, before what was told of ends
    series_count(&set, scope, &told);
    write_once(&delta, 120);
    decode();
    assert_int_equal(first_point()->n_exemplars, 1);
    told.trace_id = NULL;
    series_count(&set, scope, &told);
    write_once(&delta, 180);
    decode();
    assert_int_equal(first_point()->n_exemplars, 0);
    series_scope_unref(&set, scope);
}

static const Otlp__NumberDataPoint *retries_for_reset(void) {
    const Otlp__Metric *retries = find("outrigger.retries");
    for (size_t i = 0; i < retries->sum->n_data_points; i++) {
        const Otlp__NumberDataPoint *point = retries->sum->data_points[i];
        if (strcmp(attribute(point->attributes, point->n_attributes, "reason")->string_value, "reset") == 0)
            return point;
    }
    return NULL;
}

static void counters_and_gauges_of_workers(void **state) {
    (void)state;
    struct worker_metrics *workers = calloc(1, sizeof *workers);
    // Cumulative, the same once more since deltas begin there, a delta.
    for (unsigned round = 1; round <= 3; round++) {
        struct exposition exposition;
        const unsigned told = round < 3 ? round : 1;
        metric_add(&workers->attempts, 5);
        metric_set(&workers->pool_waiting, 3);
        metric_add(&workers->pool_wait_time, 1500 * NS_PER_MS);
        metric_add(&workers->retries_for_reset, 2);
        otlp_metrics_begin(metrics, &exposition, round == 1 ? &cumulative : &delta, STARTED, STARTED + round * NS_PER_S);
        worker_metrics_expose(&exposition, workers);
        exposition_end(&exposition);
        decode();
        const Otlp__Metric *attempts = find("outrigger.attempts"), *waiting = find("outrigger.pool_waiting"), *waited = find("outrigger.pool_wait");
        assert_true(attempts->sum->is_monotonic);
        assert_int_equal(attempts->sum->data_points[0]->as_int, 5 * told);
        assert_int_equal(attempts->sum->data_points[0]->start_time_unix_nano, round < 3 ? STARTED : STARTED + 2 * NS_PER_S);
        assert_int_equal(waiting->gauge->data_points[0]->as_int, 3);
        assert_string_equal(waited->unit, "s");
        assert_true(waited->sum->data_points[0]->as_double == 1.5 * told);
        assert_int_equal(retries_for_reset()->as_int, 2 * told);
    }
    free(workers);
}

// As collectors take them: by the conventions' kinds, and no gauge of things as a ratio.
static void kinds_and_units_are_those_of_the_conventions(void **state) {
    (void)state;
    struct exposition exposition;
    otlp_metrics_begin(metrics, &exposition, &delta, STARTED, STARTED + NS_PER_S);
    exposition_begin(&exposition, METRIC_WORKERS);
    exposition_add(&exposition, NULL, 2);
    exposition_begin(&exposition, METRIC_PROCESS_RESIDENT);
    exposition_add(&exposition, NULL, 4096);
    exposition_begin(&exposition, METRIC_PROCESS_OPEN_FDS);
    exposition_add(&exposition, NULL, 7);
    exposition_begin(&exposition, METRIC_PROCESS_MAX_FDS);
    exposition_add(&exposition, NULL, 1024);
    exposition_end(&exposition);
    decode();
    assert_string_equal(find("outrigger.workers")->unit, "");
    assert_int_equal(find("outrigger.workers")->gauge->data_points[0]->as_int, 2);
    const Otlp__Metric *memory = find("process.memory.usage");
    assert_string_equal(memory->unit, "By");
    assert_int_equal(memory->data_case, OTLP__METRIC__DATA_SUM);
    assert_false(memory->sum->is_monotonic);
    assert_int_equal(memory->sum->aggregation_temporality, 2); // what may fall is told whole, always
    assert_int_equal(find("process.unix.file_descriptor.count")->sum->data_points[0]->as_int, 7);
    assert_int_equal(find("outrigger.process.file_descriptor.limit")->gauge->data_points[0]->as_int, 1024);
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

static void add_many(struct series_scope *scope) {
    for (uint16_t status = 1; status < 600; status++) { // some 350 bytes each
        const struct request_told told = told_of(status, NS_PER_MS);
        series_count(&set, scope, &told);
    }
}

static void many_series_are_several_pieces(void **state) {
    (void)state;
    struct series_scope *scope = take(BYTES_NONE);
    add_many(scope);
    write_once(&cumulative, 60);
    struct bytes records;
    uint64_t points, all = 0;
    unsigned pieces = 0;
    assert_true(otlp_metrics_left(metrics) > 599);
    while (otlp_metrics_next(metrics, &records, &points)) {
        assert_true(records.len <= OTLP_METRICS_PIECE_MAX);
        Otlp__ScopeMetrics *piece = otlp__scope_metrics__unpack(NULL, records.len, (const uint8_t *)records.at);
        assert_non_null(piece);
        otlp__scope_metrics__free_unpacked(piece, NULL);
        all += points;
        pieces++;
        otlp_metrics_settle(metrics, true);
    }
    assert_int_equal(all, 599 + SERIES_ENDS); // and how many series there are of durations
    assert_int_equal(pieces, 2);
    series_scope_unref(&set, scope);
}

// Deltas begin where all pieces of a cumulative push were taken, not the last of them alone.
static void one_piece_that_was_not_taken_is_enough_for_another_time(void **state) {
    (void)state;
    struct series_scope *scope = take(BYTES_NONE);
    struct bytes records;
    uint64_t points;
    for (unsigned round = 1; round <= 4; round++) {
        unsigned pieces = 0;
        add_many(scope);
        write_once(round == 1 ? &cumulative : &delta, round * 60);
        for (; otlp_metrics_next(metrics, &records, &points); pieces++) {
            Otlp__ScopeMetrics *piece = otlp__scope_metrics__unpack(NULL, records.len, (const uint8_t *)records.at);
            assert_int_equal(piece->metrics[0]->histogram->aggregation_temporality, round <= 3 ? 2 : 1);
            otlp__scope_metrics__free_unpacked(piece, NULL);
            otlp_metrics_settle(metrics, round != 2 || pieces > 0);
        }
        assert_int_equal(pieces, 2);
    }
    series_scope_unref(&set, scope);
}

// What a service had counted in its first life and in its second is told, each time once, though both are the same series to whoever is told.
static void what_leaves_and_is_back_at_once_is_told_once(void **state) {
    (void)state;
    static const struct {
        unsigned count;
        nanoseconds duration;
    } lives[] = {{3, NS_PER_MS}, {2, 4 * NS_PER_MS}, {5, NS_PER_MS / 4}, {9, 2 * NS_PER_MS}};
    uint64_t count = 0, told = 0;
    double sum = 0, told_sum = 0;
    for (unsigned i = 0; i < sizeof lives / sizeof lives[0]; i++) {
        struct series_scope *scope = take(BYTES_NONE);
        struct request_told good = told_of(200, lives[i].duration);
        good.wall = STARTED + (i * 60 + 7) * NS_PER_S;
        for (unsigned j = 0; j < lives[i].count; j++)
            series_count(&set, scope, &good);
        count += lives[i].count;
        sum += (double)lives[i].count * (double)lives[i].duration;
        write_once(&delta, (i + 1) * 60);
        decode();
        const Otlp__Histogram *histogram = find("http.client.request.duration")->histogram;
        for (size_t j = 0; j < histogram->n_data_points; j++)
            told_sum += histogram->data_points[j]->sum;
        told += counted();
        assert_int_equal(told, count);
        assert_true(fabs(told_sum - sum / 1e9) < 1e-9);
        if (i == 3) // of the life that there is, not of what was told before
            assert_int_equal(first_point()->start_time_unix_nano, good.wall);
        series_scope_unref(&set, scope);
        while (series_set_tidy(&set, 100))
            continue;
    }
}

// The second life has more than the first had, but not where that had it: such a point is told by its buckets.
static void no_bucket_of_an_exponential_histogram_is_below_nothing(void **state) {
    (void)state;
    const struct otlp_metrics_terms terms = {.is_delta = true, .is_exponential = true};
    series_registry_set(registry, 100, true, STARTED + 1);
    for (unsigned round = 1; round <= 2; round++) {
        struct series_scope *scope = take(BYTES_NONE);
        const struct request_told told = told_of(200, round * NS_PER_MS); // one bucket, as HTTP's bounds are
        for (unsigned i = 0; i < 1 + 2 * round; i++)
            series_count(&set, scope, &told);
        write_once(&terms, round * 60);
        decode();
        const Otlp__Metric *metric = find("http.client.request.duration");
        assert_int_equal(metric->data_case, round == 1 ? OTLP__METRIC__DATA_EXPONENTIAL_HISTOGRAM : OTLP__METRIC__DATA_HISTOGRAM);
        if (round == 2)
            assert_int_equal(first_point()->count, 2); // the rest is told of the overflow
        series_scope_unref(&set, scope);
        while (series_set_tidy(&set, 100))
            continue;
    }
}

// Nothing was told in between, and nothing is left to be told of that time.
static void growth_is_of_the_time_since_the_last_push(void **state) {
    (void)state;
    struct series_scope *scope = take(BYTES_NONE);
    const struct request_told good = told_of(200, NS_PER_MS);
    for (unsigned round = 1; round <= 3; round++) {
        if (round != 2)
            series_count(&set, scope, &good);
        write_once(&delta, round * 60);
        decode();
        assert_int_equal(counted(), round != 2);
    }
    assert_int_equal(first_point()->start_time_unix_nano, STARTED + 120 * NS_PER_S);
    series_scope_unref(&set, scope);
}

// A family without labels has no such series.
static void the_overflow_of_one_family_is_none_of_the_next(void **state) {
    (void)state;
    struct exposition exposition;
    struct series_scope *scope = take(BYTES_NONE);
    const struct request_told good = told_of(200, NS_PER_MS);
    series_count(&set, scope, &good);
    series_scope_unref(&set, scope);
    while (series_set_tidy(&set, 100))
        continue;
    const struct series_rows rows = read_all();
    otlp_metrics_begin(metrics, &exposition, &delta, STARTED, STARTED + NS_PER_S);
    assert_false(series_rows_expose(&exposition, &rows, &(struct series_writing){0}, UINT32_MAX));
    exposition_begin(&exposition, METRIC_PROCESS_CPU);
    exposition_add_seconds(&exposition, NULL, NS_PER_S);
    exposition_end(&exposition);
    decode();
    assert_int_equal(counted(), 1);
    assert_int_equal(find("process.cpu.time")->sum->n_data_points, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_histogram_has_its_convention_bounds_and_exemplars),
        TEST(what_was_told_is_not_told_again),
        TEST(deltas_of_ends_add_up_whatever_comes_and_goes),
        TEST(deltas_add_up_whatever_comes_and_goes),
        TEST(exponential_histograms_are_told_where_they_were_recorded),
        TEST(what_was_not_taken_is_told_once_more),
        TEST(deltas_begin_where_cumulative_ended),
        TEST(deltas_add_up_where_workers_let_go_apart),
        TEST(counters_are_told_from_when_they_are_there),
        TEST(a_histogram_of_turns_has_its_own_bounds),
        TEST(one_label_set_is_told_once),
        TEST(count_and_sum_of_an_exponential_histogram_are_of_the_same),
        TEST(deltas_add_up_over_a_change_of_histograms),
        TEST(an_exemplar_is_told_however_late_it_came),
        TEST(counters_and_gauges_of_workers),
        TEST(kinds_and_units_are_those_of_the_conventions),
        TEST(names_are_one_for_each_metric),
        TEST(many_series_are_several_pieces),
        TEST(one_piece_that_was_not_taken_is_enough_for_another_time),
        TEST(what_leaves_and_is_back_at_once_is_told_once),
        TEST(no_bucket_of_an_exponential_histogram_is_below_nothing),
        TEST(growth_is_of_the_time_since_the_last_push),
        TEST(the_overflow_of_one_family_is_none_of_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
