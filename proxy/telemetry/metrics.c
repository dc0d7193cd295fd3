// The table of families and the writer of a page: see metrics.h.
#include "telemetry/metrics.h"

#include "base/check.h"
#include "base/hash.h"
#include "telemetry/exposition_text.h"
#include "telemetry/otlp_metrics.h"
#include "telemetry/text_escape.h"

#define X(identifier, type_name, family_name, help_text, ...) \
    [METRIC_##identifier] = {.name = family_name, .type = METRIC_##type_name, .help = help_text, .labels = {__VA_ARGS__}},
static const struct metric_family families[METRIC_COUNT] = {METRIC_FAMILY_LIST(X)};
#undef X

// The last entry makes the search below complete: no duration is above it.
static const nanoseconds duration_bounds[DURATION_BUCKETS] = {
    5 * NS_PER_MS,   10 * NS_PER_MS, 25 * NS_PER_MS,   50 * NS_PER_MS, 75 * NS_PER_MS,   100 * NS_PER_MS, 250 * NS_PER_MS, 500 * NS_PER_MS,
    750 * NS_PER_MS, 1 * NS_PER_S,   2500 * NS_PER_MS, 5 * NS_PER_S,   7500 * NS_PER_MS, 10 * NS_PER_S,   UINT64_MAX,
};

static void append_text(struct exposition *exposition, const char *text) {
    buffer_append(exposition->out, bytes_from_text(text));
}

#define HASH_DIGITS 16

// A byte takes three at most (U+FFFD): most values need no look.
char *exposition_label_text(char text[LABEL_VALUE_MAX], struct bytes value) {
    if (value.len <= LABEL_VALUE_MAX / 3 || text_escape_shown(value, LABEL_VALUE_MAX, TEXT_ESCAPE_LABEL) == value.len)
        return text_escape(text, text + LABEL_VALUE_MAX, value, TEXT_ESCAPE_LABEL);
    char *at = text_escape(text, text + LABEL_VALUE_MAX - HASH_DIGITS, value, TEXT_ESCAPE_LABEL);
    const uint64_t hash = hash_with_key(0, 0, value); // the same in each process, and after the next start
    for (int shift = 60; shift >= 0; shift -= 4)
        *at++ = "0123456789abcdef"[hash >> shift & 15];
    return at;
}

static void append_label(struct exposition *exposition, const char *name, struct bytes value) {
    char escaped[LABEL_VALUE_MAX];
    append_text(exposition, name);
    append_text(exposition, "=\"");
    const char *end = exposition_label_text(escaped, value);
    buffer_append(exposition->out, bytes_from(escaped, (size_t)(end - escaped)));
    append_text(exposition, "\"");
}

// `{a="x",b="y"}`, or nothing when there is no label.
static void append_labels(struct exposition *exposition, const struct bytes *values) {
    const char *const *names = exposition->family->labels;
    const char *separator = "{";
    for (unsigned i = 0; names[i] != NULL; i++) {
        if (values[i].len == 0)
            continue;
        append_text(exposition, separator);
        append_label(exposition, names[i], values[i]);
        separator = ",";
    }
    if (*separator == ',')
        append_text(exposition, "}");
}

size_t exposition_number_text(char text[NUMBER_TEXT_MAX], uint64_t value) {
    char reversed[NUMBER_TEXT_MAX];
    size_t length = 0;
    do {
        reversed[length++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    for (size_t i = 0; i < length; i++)
        text[i] = reversed[length - 1 - i];
    return length;
}

size_t exposition_seconds_text(char text[NUMBER_TEXT_MAX], nanoseconds value) {
    size_t length = exposition_number_text(text, value / NS_PER_S);
    uint64_t rest = value % NS_PER_S;
    if (rest == 0)
        return length;
    text[length] = '.';
    for (size_t i = 9; i > 0; i--, rest /= 10)
        text[length + i] = (char)('0' + rest % 10);
    for (length += 10; text[length - 1] == '0';)
        length--;
    return length;
}

static void append_line_end(struct exposition *exposition, char *text, size_t length) {
    text[0] = ' ';
    text[length + 1] = '\n';
    buffer_append(exposition->out, bytes_from(text, length + 2));
}

static void append_value(struct exposition *exposition, uint64_t value) {
    char text[NUMBER_TEXT_MAX + 2];
    append_line_end(exposition, text, exposition_number_text(text + 1, value));
}

static void append_seconds(struct exposition *exposition, nanoseconds value) {
    char text[NUMBER_TEXT_MAX + 2];
    append_line_end(exposition, text, exposition_seconds_text(text + 1, value));
}

static void append_name(struct exposition *exposition) {
    CHECK(exposition->family != NULL);
    append_text(exposition, exposition->family->name);
}

static void append_constant_labels(struct exposition *exposition, const char *labels) {
    CHECK(exposition->family->type != METRIC_HISTOGRAM);
    append_name(exposition);
    if (*labels == '\0')
        return;
    append_text(exposition, "{");
    append_text(exposition, labels);
    append_text(exposition, "}");
}

nanoseconds duration_bound(unsigned bucket) {
    CHECK(bucket < DURATION_BOUNDS);
    return duration_bounds[bucket];
}

uint32_t metric_label_count(const struct metric_family *family) {
    uint32_t count = 0;
    while (family->labels[count] != NULL)
        count++;
    return count;
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
    *exposition = (struct exposition){.out = out, .format = format};
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
    if (exposition->otlp != NULL) {
        otlp_metrics_family(exposition->otlp, family);
        return;
    }
    append_text(exposition, "# HELP ");
    append_family_name(exposition);
    append_text(exposition, family->help);
    append_text(exposition, "\n# TYPE ");
    append_family_name(exposition);
    append_text(exposition, type_names[family->type]);
    append_text(exposition, "\n");
}

void exposition_begin(struct exposition *exposition, enum metric metric) {
    CHECK(!exposition->begun[metric]); // the format wants all lines of a family together
    exposition->begun[metric] = true;
    exposition_begin_family(exposition, metric_family(metric));
}

void exposition_add(struct exposition *exposition, const struct bytes *labels, uint64_t value) {
    if (exposition->otlp != NULL) {
        otlp_metrics_number(exposition->otlp, labels, value, false);
        return;
    }
    append_name(exposition);
    CHECK(exposition->family->type != METRIC_HISTOGRAM);
    append_labels(exposition, labels);
    append_value(exposition, value);
}

void exposition_add_since(struct exposition *exposition, const struct bytes *labels, uint64_t value, nanoseconds begun) {
    CHECK(exposition->family->type == METRIC_COUNTER);
    if (exposition->otlp != NULL)
        otlp_metrics_since(exposition->otlp, labels, value, begun);
    else
        exposition_add(exposition, labels, value);
}

void exposition_add_seconds(struct exposition *exposition, const struct bytes *labels, nanoseconds value) {
    if (exposition->otlp != NULL) {
        otlp_metrics_number(exposition->otlp, labels, value, true);
        return;
    }
    append_name(exposition);
    CHECK(exposition->family->type != METRIC_HISTOGRAM);
    append_labels(exposition, labels);
    append_seconds(exposition, value);
}

void exposition_add_constant(struct exposition *exposition, const char *labels, uint64_t value) {
    if (exposition->otlp != NULL) {
        otlp_metrics_constant(exposition->otlp, labels, value, false);
        return;
    }
    append_constant_labels(exposition, labels);
    append_value(exposition, value);
}

void exposition_add_constant_seconds(struct exposition *exposition, const char *labels, nanoseconds value) {
    if (exposition->otlp != NULL) {
        otlp_metrics_constant(exposition->otlp, labels, value, true);
        return;
    }
    append_constant_labels(exposition, labels);
    append_seconds(exposition, value);
}

void exposition_add_histogram(struct exposition *exposition, const struct bytes *labels, const uint64_t buckets[DURATION_BUCKETS], nanoseconds sum) {
    exposition_add_histogram_sample(exposition, &(struct histogram_sample){.labels = labels, .buckets = buckets, .sum = sum});
}

void exposition_end(struct exposition *exposition) {
    if (exposition->otlp != NULL)
        otlp_metrics_end(exposition->otlp);
    else if (exposition->format == EXPOSITION_OPENMETRICS)
        append_text(exposition, "# EOF\n");
    exposition->family = NULL;
}
