// The writer of Prometheus text: form, escaping, histograms; and the names in the table of families.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "telemetry/metrics.h"

static struct block_source blocks;
static struct buffer out;
static struct exposition exposition;

static int begin(void **state) {
    (void)state;
    block_source_init(&blocks, 4);
    buffer_init(&out, &blocks);
    exposition_init(&exposition, &out, EXPOSITION_PROMETHEUS);
    return 0;
}

static int end(void **state) {
    (void)state;
    buffer_dispose(&out);
    block_source_dispose(&blocks);
    return 0;
}

// All that was written so far, as one text.
static const char *written(void) {
    static char text[BLOCK_SIZE];
    size_t length;
    struct iovec iov[1];
    if (buffer_is_empty(&out))
        return "";
    assert_int_equal(buffer_iovec(&out, iov, 1, &length), 1);
    assert_int_equal(length, out.length);
    memcpy(text, iov[0].iov_base, length);
    text[length] = '\0';
    return text;
}

static void family_has_help_and_type_once_before_its_samples(void **state) {
    (void)state;
    exposition_begin(&exposition, METRIC_CONFIG_LOADS);
    exposition_add(&exposition, (const struct bytes[]){BYTES("accepted")}, 3);
    exposition_add(&exposition, (const struct bytes[]){BYTES("refused")}, UINT64_MAX);
    assert_string_equal(written(), "# HELP outrigger_config_loads_total Sets of documents read, by result.\n"
                                   "# TYPE outrigger_config_loads_total counter\n"
                                   "outrigger_config_loads_total{result=\"accepted\"} 3\n"
                                   "outrigger_config_loads_total{result=\"refused\"} 18446744073709551615\n");
}

static void sample_without_labels_has_no_braces(void **state) {
    (void)state;
    exposition_begin(&exposition, METRIC_READY);
    exposition_add(&exposition, NULL, 1);
    assert_non_null(strstr(written(), "\noutrigger_ready 1\n"));
}

// Lists of files have no bound: two that are alike up to there are no one series twice.
static void values_that_are_cut_remain_two(void **state) {
    (void)state;
    char text[3][600];
    for (unsigned i = 0; i < 3; i++) {
        memset(text[i], 'x', sizeof text[i]);
        text[i][sizeof text[i] - 1] = (char)('a' + i);
    }
    exposition_begin(&exposition, METRIC_CA_SET_NOT_AFTER);
    buffer_clear(&out);
    char line[3][700];
    for (unsigned i = 0; i < 3; i++) {
        const struct bytes value = bytes_from(text[i], i < 2 ? sizeof text[i] : 512);
        exposition_add(&exposition, &value, 1);
        const size_t length = strlen(written());
        assert_true(length < sizeof line[i]);
        memcpy(line[i], written(), length + 1);
        buffer_clear(&out);
    }
    const char *const front = "outrigger_ca_set_not_after_timestamp_seconds{files=\"";
    assert_memory_equal(line[0], front, strlen(front));
    assert_string_not_equal(line[0], line[1]);
    assert_int_equal(strlen(line[0]), strlen(front) + 512 + strlen("\"} 1\n"));
    assert_memory_equal(line[0] + strlen(front) + 512 - 16 - 3, "...", 3);
    assert_null(strstr(line[2], "...")); // just fits
    assert_int_equal(strlen(line[2]), strlen(line[0]));
}

static void seconds_are_exact(void **state) {
    (void)state;
    exposition_begin(&exposition, METRIC_PROCESS_CPU);
    buffer_clear(&out);
    exposition_add_seconds(&exposition, NULL, 0);
    exposition_add_seconds(&exposition, NULL, 1);
    exposition_add_seconds(&exposition, NULL, 1500 * NS_PER_MS);
    exposition_add_seconds(&exposition, NULL, 20 * NS_PER_S);
    exposition_add_seconds(&exposition, NULL, UINT64_MAX);
    assert_string_equal(written(), "process_cpu_seconds_total 0\n"
                                   "process_cpu_seconds_total 0.000000001\n"
                                   "process_cpu_seconds_total 1.5\n"
                                   "process_cpu_seconds_total 20\n"
                                   "process_cpu_seconds_total 18446744073.709551615\n");
}

static void label_values_are_escaped(void **state) {
    (void)state;
    exposition_begin(&exposition, METRIC_BUILD_INFO);
    buffer_clear(&out);
    exposition_add(&exposition, (const struct bytes[]){bytes_from("a\\b\"c\nd\xff\re\0", 11)}, 1);
    assert_string_equal(written(), "outrigger_build_info{version=\"a\\\\b\\\"c\\nd\xef\xbf\xbd\xef\xbf\xbd"
                                   "e\xef\xbf\xbd\"} 1\n");
}

static void histogram_is_cumulative_and_counts_agree(void **state) {
    (void)state;
    uint64_t buckets[DURATION_BUCKETS] = {[0] = 2, [5] = 1, [14] = 4};
    exposition_begin(&exposition, METRIC_SERVER_DURATION);
    buffer_clear(&out);
    exposition_add_histogram(&exposition, (const struct bytes[METRIC_LABELS_MAX]){BYTES("a/b:80"), BYTES_NONE, BYTES("GET")}, buckets,
                             43500 * NS_PER_MS);
#define LINE(bound, count) "http_server_request_duration_seconds_bucket{service=\"a/b:80\",http_request_method=\"GET\",le=\"" bound "\"} " count "\n"
    assert_string_equal(
        written(), LINE("0.005", "2") LINE("0.01", "2") LINE("0.025", "2") LINE("0.05", "2") LINE("0.075", "2") LINE("0.1", "3") LINE("0.25", "3")
                       LINE("0.5", "3") LINE("0.75", "3") LINE("1", "3") LINE("2.5", "3") LINE("5", "3") LINE("7.5", "3") LINE("10", "3")
                           LINE("+Inf", "7") "http_server_request_duration_seconds_sum{service=\"a/b:80\",http_request_method=\"GET\"} 43.5\n"
                                             "http_server_request_duration_seconds_count{service=\"a/b:80\",http_request_method=\"GET\"} 7\n");
#undef LINE
}

static void openmetrics_names_families_of_counters_otherwise_and_ends(void **state) {
    (void)state;
    exposition_init(&exposition, &out, EXPOSITION_OPENMETRICS);
    exposition_begin(&exposition, METRIC_CONFIG_LOADS);
    exposition_add(&exposition, (const struct bytes[]){BYTES("accepted")}, 3);
    exposition_begin(&exposition, METRIC_READY);
    exposition_add(&exposition, NULL, 1);
    exposition_end(&exposition);
    assert_string_equal(written(), "# HELP outrigger_config_loads Sets of documents read, by result.\n"
                                   "# TYPE outrigger_config_loads counter\n"
                                   "outrigger_config_loads_total{result=\"accepted\"} 3\n"
                                   "# HELP outrigger_ready 1 while /readyz says so, else 0.\n"
                                   "# TYPE outrigger_ready gauge\n"
                                   "outrigger_ready 1\n"
                                   "# EOF\n");
}

static void openmetrics_bounds_are_floats(void **state) {
    (void)state;
    uint64_t buckets[DURATION_BUCKETS] = {[0] = 2};
    exposition_init(&exposition, &out, EXPOSITION_OPENMETRICS);
    exposition_begin(&exposition, METRIC_SERVER_DURATION);
    exposition_add_histogram(&exposition, (const struct bytes[METRIC_LABELS_MAX]){BYTES("a")}, buckets, NS_PER_MS);
    assert_non_null(strstr(written(), "le=\"1.0\"} 2\n"));
    assert_non_null(strstr(written(), "le=\"10.0\"} 2\n"));
    assert_null(strstr(written(), "le=\"1\"}"));
}

static void a_scraper_gets_the_form_that_it_prefers(void **state) {
    (void)state;
    static const struct {
        const char *accept;
        enum exposition_format format;
    } cases[] = {
        {"", EXPOSITION_PROMETHEUS},
        {"*/*", EXPOSITION_PROMETHEUS},
        {"text/html, */*;q=0.8", EXPOSITION_PROMETHEUS},
        {"application/openmetrics-text", EXPOSITION_OPENMETRICS},
        {"Application/OpenMetrics-Text; Version=\"1.0.0\"", EXPOSITION_OPENMETRICS},
        // As Prometheus 2 and 3 ask.
        {"application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
         EXPOSITION_OPENMETRICS},
        {"text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1", EXPOSITION_PROMETHEUS},
        {"application/openmetrics-text;version=1.0.0;q=0", EXPOSITION_PROMETHEUS},
        {"application/openmetrics-text;version=2.0.0", EXPOSITION_PROMETHEUS},
        {"application/openmetrics-text;q=nonsense", EXPOSITION_PROMETHEUS},
        {"application/openmetrics-text;q=1.0000000000", EXPOSITION_PROMETHEUS},
        {"application/openmetrics-text;q=9", EXPOSITION_PROMETHEUS},
        {";;,,;q=1,=;=", EXPOSITION_PROMETHEUS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(exposition_negotiate(bytes_from_text(cases[i].accept)), cases[i].format);
}

static void duration_falls_into_the_first_bucket_whose_bound_is_not_below_it(void **state) {
    (void)state;
    static const nanoseconds bounds_us[DURATION_BOUNDS] = {5000,   10000,  25000,   50000,   75000,   100000,  250000,
                                                           500000, 750000, 1000000, 2500000, 5000000, 7500000, 10000000};
    assert_int_equal(duration_bucket(0), 0);
    for (unsigned i = 0; i < DURATION_BOUNDS; i++) {
        assert_int_equal(duration_bucket(bounds_us[i] * NS_PER_US), i); // bounds are inclusive
        assert_int_equal(duration_bucket(bounds_us[i] * NS_PER_US + 1), i + 1);
    }
    assert_int_equal(duration_bucket(UINT64_MAX), DURATION_BOUNDS);
}

static bool is_name(const char *text, const char *also) {
    for (const char *at = text; *at != '\0'; at++)
        if (strchr("abcdefghijklmnopqrstuvwxyz_", *at) == NULL && strchr(also, *at) == NULL)
            return false;
    return *text != '\0' && *text != '_';
}

static void names_follow_the_conventions(void **state) {
    (void)state;
    for (enum metric metric = 0; metric < METRIC_COUNT; metric++) {
        const struct metric_family *family = metric_family(metric);
        bool total = bytes_ends_with(bytes_from_text(family->name), BYTES("_total"));
        assert_true(is_name(family->name, "0123456789"));
        assert_int_equal(total, family->type == METRIC_COUNTER);
        assert_null(strpbrk(family->help, "\\\n"));
        assert_true(strlen(family->help) > 10);
        for (const char *const *label = family->labels; *label != NULL; label++)
            assert_true(is_name(*label, ""));
        for (enum metric other = 0; other < metric; other++)
            assert_string_not_equal(metric_family(other)->name, family->name);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(family_has_help_and_type_once_before_its_samples, begin, end),
        cmocka_unit_test_setup_teardown(sample_without_labels_has_no_braces, begin, end),
        cmocka_unit_test_setup_teardown(values_that_are_cut_remain_two, begin, end),
        cmocka_unit_test_setup_teardown(seconds_are_exact, begin, end),
        cmocka_unit_test_setup_teardown(label_values_are_escaped, begin, end),
        cmocka_unit_test_setup_teardown(histogram_is_cumulative_and_counts_agree, begin, end),
        cmocka_unit_test_setup_teardown(openmetrics_names_families_of_counters_otherwise_and_ends, begin, end),
        cmocka_unit_test_setup_teardown(openmetrics_bounds_are_floats, begin, end),
        cmocka_unit_test(a_scraper_gets_the_form_that_it_prefers),
        cmocka_unit_test(duration_falls_into_the_first_bucket_whose_bound_is_not_below_it),
        cmocka_unit_test(names_follow_the_conventions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
