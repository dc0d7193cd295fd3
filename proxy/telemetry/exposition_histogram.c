// Histograms as text: labels once, then a line for each bucket. Part of metrics.h.
#include "telemetry/metrics.h"

#include "base/check.h"
#include "base/turn_times.h"
#include "telemetry/exposition_text.h"
#include "telemetry/otlp_metrics.h"

#include <string.h>

// OpenMetrics wants each to be a float in its shortest form.
static const struct bytes bound_names[][DURATION_BUCKETS] = {
    [EXPOSITION_PROMETHEUS] = {BYTES_OF("0.005"), BYTES_OF("0.01"), BYTES_OF("0.025"), BYTES_OF("0.05"), BYTES_OF("0.075"), BYTES_OF("0.1"),
                               BYTES_OF("0.25"), BYTES_OF("0.5"), BYTES_OF("0.75"), BYTES_OF("1"), BYTES_OF("2.5"), BYTES_OF("5"), BYTES_OF("7.5"),
                               BYTES_OF("10"), BYTES_OF("+Inf")},
    [EXPOSITION_OPENMETRICS] = {BYTES_OF("0.005"), BYTES_OF("0.01"), BYTES_OF("0.025"), BYTES_OF("0.05"), BYTES_OF("0.075"), BYTES_OF("0.1"),
                                BYTES_OF("0.25"), BYTES_OF("0.5"), BYTES_OF("0.75"), BYTES_OF("1.0"), BYTES_OF("2.5"), BYTES_OF("5.0"),
                                BYTES_OF("7.5"), BYTES_OF("10.0"), BYTES_OF("+Inf")},
};

static const struct bytes turn_names[][TURN_BUCKETS] = {
    [EXPOSITION_PROMETHEUS] = {BYTES_OF("0.0001"), BYTES_OF("0.001"), BYTES_OF("0.005"), BYTES_OF("0.02"), BYTES_OF("0.1"), BYTES_OF("1"),
                               BYTES_OF("+Inf")},
    [EXPOSITION_OPENMETRICS] = {BYTES_OF("0.0001"), BYTES_OF("0.001"), BYTES_OF("0.005"), BYTES_OF("0.02"), BYTES_OF("0.1"), BYTES_OF("1.0"),
                                BYTES_OF("+Inf")},
};

// Labels of one series, without braces: those of the family and those that policies add, of at most LABEL_VALUE_MAX bytes each.
#define LABELS_TEXT_MAX 12288

// And what stands around them in a line, but for an exemplar.
#define FRONT_TEXT_MAX (LABELS_TEXT_MAX + 256)

struct text {
    char *at, *end;
};

static void put(struct text *text, struct bytes part) {
    const size_t room = (size_t)(text->end - text->at);
    CHECK(part.len <= room);
    if (part.len > 0)
        memcpy(text->at, part.at, part.len);
    text->at += part.len;
}

static void put_label(struct text *text, struct bytes name, struct bytes value) {
    if (value.len == 0)
        return;
    put(text, name);
    put(text, BYTES("=\""));
    CHECK((size_t)(text->end - text->at) > LABEL_VALUE_MAX);
    text->at = exposition_label_text(text->at, value);
    put(text, BYTES("\","));
}

// Of texts with a NUL behind each, empty ones too.
static bool take_text(struct bytes *list, struct bytes *text) {
    const size_t end = bytes_find(*list, '\0');
    if (end >= list->len)
        return false;
    *text = bytes_from(list->at, end);
    *list = bytes_from(list->at + end + 1, list->len - end - 1);
    return true;
}

static size_t write_labels(const struct exposition *exposition, const struct histogram_sample *sample, char *labels) {
    const char *const *names = exposition->family->labels;
    struct text text = {labels, labels + LABELS_TEXT_MAX};
    struct bytes more_names = sample->more_names, more_values = sample->more_values, name, value;
    for (unsigned i = 0; names[i] != NULL; i++)
        put_label(&text, bytes_from_text(names[i]), sample->labels[i]);
    while (take_text(&more_names, &name) && take_text(&more_values, &value))
        put_label(&text, name, value);
    return (size_t)(text.at - labels);
}

static void add_hex(struct text *text, const uint8_t *octets, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const char pair[] = {"0123456789abcdef"[octets[i] >> 4], "0123456789abcdef"[octets[i] & 15]};
        put(text, bytes_from(pair, sizeof pair));
    }
}

// ` # {trace_id="...",span_id="..."} value time`: far less than the 128 characters that the format allows its labels.
static void add_exemplar(struct exposition *exposition, const struct exemplar *exemplar) {
    char line[256], number[NUMBER_TEXT_MAX];
    struct text text = {line, line + sizeof line};
    put(&text, BYTES(" # {trace_id=\""));
    add_hex(&text, exemplar->trace_id, sizeof exemplar->trace_id);
    put(&text, BYTES("\",span_id=\""));
    add_hex(&text, exemplar->span_id, sizeof exemplar->span_id);
    put(&text, BYTES("\"} "));
    put(&text, bytes_from(number, exposition_seconds_text(number, exemplar->value)));
    put(&text, BYTES(" "));
    put(&text, bytes_from(number, exposition_seconds_text(number, exemplar->wall)));
    buffer_append(exposition->out, bytes_from(line, (size_t)(text.at - line)));
}

static const struct exemplar *exemplar_for(const struct histogram_sample *sample, unsigned bucket) {
    for (uint32_t i = 0; i < sample->exemplar_count; i++)
        if (sample->exemplars[i].bucket == bucket)
            return &sample->exemplars[i];
    return NULL;
}

// What a bucket's line begins with: `name_bucket{a="x",le="`.
static struct bytes write_front(const struct exposition *exposition, struct bytes labels, char *front) {
    struct text text = {front, front + FRONT_TEXT_MAX};
    put(&text, bytes_from_text(exposition->family->name));
    put(&text, BYTES("_bucket{"));
    put(&text, labels);
    put(&text, BYTES("le=\""));
    return bytes_from(front, (size_t)(text.at - front));
}

static void add_bucket(struct exposition *exposition, const struct histogram_sample *sample, unsigned bucket, struct bytes front, uint64_t count) {
    char end[NUMBER_TEXT_MAX + 32];
    struct text text = {end, end + sizeof end};
    const struct exemplar *exemplar = exposition->format == EXPOSITION_OPENMETRICS ? exemplar_for(sample, bucket) : NULL;
    put(&text, sample->are_turns ? turn_names[exposition->format][bucket] : bound_names[exposition->format][bucket]);
    put(&text, BYTES("\"} "));
    text.at += exposition_number_text(text.at, count);
    if (exemplar == NULL)
        put(&text, BYTES("\n"));
    buffer_append(exposition->out, front);
    buffer_append(exposition->out, bytes_from(end, (size_t)(text.at - end)));
    if (exemplar == NULL)
        return;
    add_exemplar(exposition, exemplar);
    buffer_append(exposition->out, BYTES("\n"));
}

// `name_sum{a="x"} 1.5`.
static void add_total(struct exposition *exposition, const char *suffix, struct bytes labels, struct bytes number) {
    char line[FRONT_TEXT_MAX];
    struct text text = {line, line + sizeof line};
    put(&text, bytes_from_text(exposition->family->name));
    put(&text, bytes_from_text(suffix));
    if (labels.len > 0) {
        put(&text, BYTES("{"));
        put(&text, bytes_from(labels.at, labels.len - 1)); // without the comma
        put(&text, BYTES("}"));
    }
    put(&text, BYTES(" "));
    put(&text, number);
    put(&text, BYTES("\n"));
    buffer_append(exposition->out, bytes_from(line, (size_t)(text.at - line)));
}

void exposition_add_histogram_sample(struct exposition *exposition, const struct histogram_sample *sample) {
    CHECK(exposition->family != NULL && exposition->family->type == METRIC_HISTOGRAM);
    if (exposition->otlp != NULL) {
        otlp_metrics_histogram(exposition->otlp, sample);
        return;
    }
    char labels_text[LABELS_TEXT_MAX], front_text[FRONT_TEXT_MAX], number[NUMBER_TEXT_MAX];
    const struct bytes labels = bytes_from(labels_text, write_labels(exposition, sample, labels_text));
    const struct bytes front = write_front(exposition, labels, front_text);
    const unsigned buckets = sample->are_turns ? TURN_BUCKETS : DURATION_BUCKETS;
    uint64_t count = 0;
    for (unsigned i = 0; i < buckets; i++) {
        count += sample->buckets[i];
        add_bucket(exposition, sample, i, front, count);
    }
    add_total(exposition, "_sum", labels, bytes_from(number, exposition_seconds_text(number, sample->sum)));
    add_total(exposition, "_count", labels, bytes_from(number, exposition_number_text(number, count)));
}
