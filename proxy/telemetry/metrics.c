// The table of families and the writer of a page: see metrics.h.
#include "telemetry/metrics.h"

#include "base/check.h"
#include "telemetry/text_escape.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#define X(identifier, type_name, family_name, help_text, ...) \
    [METRIC_##identifier] = {.name = family_name, .type = METRIC_##type_name, .help = help_text, .labels = {__VA_ARGS__}},
static const struct metric_family families[METRIC_COUNT] = {METRIC_FAMILY_LIST(X)};
#undef X

static_assert(METRIC_COUNT <= 64, "struct exposition keeps a bit per family");

// The last entry makes the search below complete: no duration is above it.
static const nanoseconds duration_bounds[DURATION_BUCKETS] = {
    5 * NS_PER_MS,   10 * NS_PER_MS, 25 * NS_PER_MS,   50 * NS_PER_MS, 75 * NS_PER_MS,   100 * NS_PER_MS, 250 * NS_PER_MS, 500 * NS_PER_MS,
    750 * NS_PER_MS, 1 * NS_PER_S,   2500 * NS_PER_MS, 5 * NS_PER_S,   7500 * NS_PER_MS, 10 * NS_PER_S,   UINT64_MAX,
};

// OpenMetrics wants each to be a float in its shortest form.
static const char *const duration_bound_names[][DURATION_BUCKETS] = {
    [EXPOSITION_PROMETHEUS] = {"0.005", "0.01", "0.025", "0.05", "0.075", "0.1", "0.25", "0.5", "0.75", "1", "2.5", "5", "7.5", "10", "+Inf"},
    [EXPOSITION_OPENMETRICS] = {"0.005", "0.01", "0.025", "0.05", "0.075", "0.1", "0.25", "0.5", "0.75", "1.0", "2.5", "5.0", "7.5", "10.0", "+Inf"},
};

// A label value longer than this is cut: service names and identities are bounded by their kinds, so that this is a last resort.
#define LABEL_VALUE_MAX 512

static void append_text(struct exposition *exposition, const char *text) {
    buffer_append(exposition->out, bytes_from_text(text));
}

static void append_label(struct exposition *exposition, const char *name, struct bytes value) {
    char escaped[LABEL_VALUE_MAX];
    append_text(exposition, name);
    append_text(exposition, "=\"");
    char *end = text_escape(escaped, escaped + sizeof(escaped), value, TEXT_ESCAPE_LABEL);
    buffer_append(exposition->out, bytes_from(escaped, (size_t)(end - escaped)));
    append_text(exposition, "\"");
}

// `{a="x",b="y",le="0.1"}`, or nothing when there is no label. `bound` is NULL but for buckets.
static void append_labels(struct exposition *exposition, const struct bytes *values, const char *bound) {
    const char *const *names = exposition->family->labels;
    const char *separator = "{";
    for (unsigned i = 0; names[i] != NULL; i++) {
        append_text(exposition, separator);
        append_label(exposition, names[i], values[i]);
        separator = ",";
    }
    if (bound != NULL) {
        append_text(exposition, separator);
        append_text(exposition, "le=\"");
        append_text(exposition, bound);
        append_text(exposition, "\"");
        separator = ",";
    }
    if (*separator == ',')
        append_text(exposition, "}");
}

static void append_value(struct exposition *exposition, uint64_t value) {
    char text[32];
    int length = snprintf(text, sizeof(text), " %" PRIu64 "\n", value);
    buffer_append(exposition->out, bytes_from(text, (size_t)length));
}

// Seconds with as many decimals as there are: exact, where a double would round long sums.
static void append_seconds(struct exposition *exposition, nanoseconds value) {
    char text[48];
    int length = snprintf(text, sizeof(text), " %" PRIu64 ".%09" PRIu64, value / NS_PER_S, value % NS_PER_S);
    while (text[length - 1] == '0')
        length--;
    if (text[length - 1] == '.')
        length--;
    text[length++] = '\n';
    buffer_append(exposition->out, bytes_from(text, (size_t)length));
}

static void append_name(struct exposition *exposition, const char *suffix) {
    CHECK(exposition->family != NULL);
    append_text(exposition, exposition->family->name);
    append_text(exposition, suffix);
}

static void append_constant_labels(struct exposition *exposition, const char *labels) {
    CHECK(exposition->family->type != METRIC_HISTOGRAM);
    append_name(exposition, "");
    if (*labels == '\0')
        return;
    append_text(exposition, "{");
    append_text(exposition, labels);
    append_text(exposition, "}");
}

const struct metric_family *metric_family(enum metric metric) {
    CHECK(metric < METRIC_COUNT);
    return &families[metric];
}

unsigned duration_bucket(nanoseconds duration) {
    // A binary search over 15 bounds, without a branch to mispredict: this runs once a request.
    unsigned bucket = duration > duration_bounds[7] ? 8 : 0;
    bucket += duration > duration_bounds[bucket + 3] ? 4 : 0;
    bucket += duration > duration_bounds[bucket + 1] ? 2 : 0;
    bucket += duration > duration_bounds[bucket] ? 1 : 0;
    return bucket;
}

void exposition_init(struct exposition *exposition, struct buffer *out, enum exposition_format format) {
    exposition->out = out;
    exposition->format = format;
    exposition->family = NULL;
    exposition->begun = 0;
}

// In OpenMetrics a counter's family is called without the _total of its samples.
static void append_family_name(struct exposition *exposition) {
    struct bytes name = bytes_from_text(exposition->family->name);
    if (exposition->format == EXPOSITION_OPENMETRICS && exposition->family->type == METRIC_COUNTER) {
        CHECK(bytes_ends_with(name, BYTES("_total")));
        name.len -= sizeof("_total") - 1;
    }
    buffer_append(exposition->out, name);
    append_text(exposition, " ");
}

void exposition_begin_family(struct exposition *exposition, const struct metric_family *family) {
    static const char *const type_names[] = {[METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};
    exposition->family = family;
    append_text(exposition, "# HELP ");
    append_family_name(exposition);
    append_text(exposition, family->help);
    append_text(exposition, "\n# TYPE ");
    append_family_name(exposition);
    append_text(exposition, type_names[family->type]);
    append_text(exposition, "\n");
}

void exposition_begin(struct exposition *exposition, enum metric metric) {
    uint64_t bit = UINT64_C(1) << metric;
    CHECK((exposition->begun & bit) == 0); // the format wants all lines of a family together
    exposition->begun |= bit;
    exposition_begin_family(exposition, metric_family(metric));
}

void exposition_add(struct exposition *exposition, const struct bytes *labels, uint64_t value) {
    append_name(exposition, "");
    CHECK(exposition->family->type != METRIC_HISTOGRAM);
    append_labels(exposition, labels, NULL);
    append_value(exposition, value);
}

void exposition_add_seconds(struct exposition *exposition, const struct bytes *labels, nanoseconds value) {
    append_name(exposition, "");
    CHECK(exposition->family->type != METRIC_HISTOGRAM);
    append_labels(exposition, labels, NULL);
    append_seconds(exposition, value);
}

void exposition_add_constant(struct exposition *exposition, const char *labels, uint64_t value) {
    append_constant_labels(exposition, labels);
    append_value(exposition, value);
}

void exposition_add_constant_seconds(struct exposition *exposition, const char *labels, nanoseconds value) {
    append_constant_labels(exposition, labels);
    append_seconds(exposition, value);
}

void exposition_add_histogram(struct exposition *exposition, const struct bytes *labels, const uint64_t buckets[DURATION_BUCKETS], nanoseconds sum) {
    CHECK(exposition->family != NULL && exposition->family->type == METRIC_HISTOGRAM);
    uint64_t count = 0;
    for (unsigned i = 0; i < DURATION_BUCKETS; i++) {
        count += buckets[i];
        append_name(exposition, "_bucket");
        append_labels(exposition, labels, duration_bound_names[exposition->format][i]);
        append_value(exposition, count);
    }
    append_name(exposition, "_sum");
    append_labels(exposition, labels, NULL);
    append_seconds(exposition, sum);
    append_name(exposition, "_count");
    append_labels(exposition, labels, NULL);
    append_value(exposition, count);
}

void exposition_end(struct exposition *exposition) {
    if (exposition->format == EXPOSITION_OPENMETRICS)
        append_text(exposition, "# EOF\n");
    exposition->family = NULL;
}
