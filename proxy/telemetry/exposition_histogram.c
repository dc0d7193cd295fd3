// Histograms as text: labels once, then a line for each bucket. Part of metrics.h.
#include "telemetry/metrics.h"

#include "base/check.h"
#include "telemetry/exposition_text.h"
#include "telemetry/otlp_metrics.h"
#include "telemetry/text_escape.h"

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

// Labels of one series, without braces: those of the family and those that policies add, of at most LABEL_VALUE_MAX bytes each.
#define LABELS_TEXT_MAX 12288

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
    text->at = text_escape(text->at, text->at + LABEL_VALUE_MAX, value, TEXT_ESCAPE_LABEL);
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

static void add_bucket(struct exposition *exposition, const struct histogram_sample *sample, unsigned bucket, struct bytes labels, uint64_t count) {
    char end[NUMBER_TEXT_MAX + 32];
    struct text text = {end, end + sizeof end};
    const struct exemplar *exemplar = exposition->format == EXPOSITION_OPENMETRICS ? exemplar_for(sample, bucket) : NULL;
    buffer_append(exposition->out, bytes_from_text(exposition->family->name));
    buffer_append(exposition->out, BYTES("_bucket{"));
    buffer_append(exposition->out, labels);
    put(&text, BYTES("le=\""));
    put(&text, bound_names[exposition->format][bucket]);
    put(&text, BYTES("\"} "));
    text.at += exposition_number_text(text.at, count);
    buffer_append(exposition->out, bytes_from(end, (size_t)(text.at - end)));
    if (exemplar != NULL)
        add_exemplar(exposition, exemplar);
    buffer_append(exposition->out, BYTES("\n"));
}

static void add_total(struct exposition *exposition, const char *suffix, struct bytes labels) {
    buffer_append(exposition->out, bytes_from_text(exposition->family->name));
    buffer_append(exposition->out, bytes_from_text(suffix));
    if (labels.len == 0)
        return;
    buffer_append(exposition->out, BYTES("{"));
    buffer_append(exposition->out, bytes_from(labels.at, labels.len - 1)); // without the comma
    buffer_append(exposition->out, BYTES("}"));
}

void exposition_add_histogram_sample(struct exposition *exposition, const struct histogram_sample *sample) {
    CHECK(exposition->family != NULL && exposition->family->type == METRIC_HISTOGRAM);
    if (exposition->otlp != NULL) {
        otlp_metrics_histogram(exposition->otlp, sample);
        return;
    }
    char labels_text[LABELS_TEXT_MAX], number[NUMBER_TEXT_MAX + 2] = " ";
    const struct bytes labels = bytes_from(labels_text, write_labels(exposition, sample, labels_text));
    uint64_t count = 0;
    for (unsigned i = 0; i < DURATION_BUCKETS; i++) {
        count += sample->buckets[i];
        add_bucket(exposition, sample, i, labels, count);
    }
    add_total(exposition, "_sum", labels);
    size_t length = 1 + exposition_seconds_text(number + 1, sample->sum);
    number[length++] = '\n';
    buffer_append(exposition->out, bytes_from(number, length));
    add_total(exposition, "_count", labels);
    length = 1 + exposition_number_text(number + 1, count);
    number[length++] = '\n';
    buffer_append(exposition->out, bytes_from(number, length));
}
