// What families of series are written as: of all histograms those of requests alone may be exponential, and none is lost for collectors.
#include "telemetry/series_facts.h"

#include "telemetry/otlp_metrics.h"
#include "telemetry/proto/metrics.pb-c.h"
#include "telemetry/series_totals.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define STARTED (1700000000 * NS_PER_S)

// One sample of each family of histograms. How many there are.
static size_t write_histograms(struct otlp_metrics *metrics, const struct otlp_metrics_terms *terms) {
    struct exposition exposition;
    struct exponential_totals exponential = {.buckets = {1}, .sum = NS_PER_MS, .since = STARTED};
    const struct bytes labels[METRIC_LABELS_MAX] = {0};
    const uint64_t buckets[DURATION_BUCKETS] = {1};
    size_t count = 0;
    exponential_init(&exponential.histogram);
    exponential_record(&exponential.histogram, NS_PER_MS);
    otlp_metrics_begin(metrics, &exposition, terms, STARTED, STARTED + NS_PER_S);
    for (int metric = 0; metric < METRIC_COUNT; metric++) {
        const struct metric_family *family = metric_family((enum metric)metric);
        if (family->type != METRIC_HISTOGRAM)
            continue;
        exposition_begin(&exposition, (enum metric)metric);
        exposition_add_histogram_sample(&exposition, &(struct histogram_sample){.labels = labels,
                                                                                .buckets = buckets,
                                                                                .are_turns = metric == METRIC_LOOP_TURN,
                                                                                .sum = NS_PER_MS,
                                                                                .exponential = series_are_of(family) ? &exponential : NULL});
        count++;
    }
    exposition_end(&exposition);
    return count;
}

// Of both kinds of histograms, with one point each.
static void count_histograms(const Otlp__ScopeMetrics *told, size_t *explicit, size_t *exponential) {
    *explicit = *exponential = 0;
    for (size_t i = 0; i < told->n_metrics; i++) {
        const Otlp__Metric *metric = told->metrics[i];
        if (metric->data_case == OTLP__METRIC__DATA_HISTOGRAM)
            *explicit += metric->histogram->n_data_points == 1;
        if (metric->data_case == OTLP__METRIC__DATA_EXPONENTIAL_HISTOGRAM)
            *exponential += metric->exponential_histogram->n_data_points == 1;
    }
}

// Those that are recorded in explicit buckets alone are told so where others are exponential.
static void each_histogram_is_told_in_all_modes(void **state) {
    (void)state;
    for (int mode = 0; mode < 4; mode++) {
        const struct otlp_metrics_terms terms = {.is_delta = (mode & 1) != 0, .is_exponential = (mode & 2) != 0};
        struct otlp_metrics *metrics = otlp_metrics_create(STARTED);
        const size_t count = write_histograms(metrics, &terms);
        struct bytes records;
        uint64_t points;
        size_t explicit, exponential;
        assert_true(otlp_metrics_next(metrics, &records, &points));
        assert_int_equal(points, count);
        Otlp__ScopeMetrics *told = otlp__scope_metrics__unpack(NULL, records.len, (const uint8_t *)records.at);
        assert_non_null(told);
        count_histograms(told, &explicit, &exponential);
        assert_int_equal(explicit + exponential, count);
        assert_int_equal(exponential, terms.is_exponential ? SERIES_ENDS : 0);
        otlp__scope_metrics__free_unpacked(told, NULL);
        otlp_metrics_settle(metrics, true);
        otlp_metrics_destroy(metrics);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_histogram_is_told_in_all_modes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
