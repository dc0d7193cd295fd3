// Families and their points, in pieces that are sent one by one. A point is written beside first, since where nothing is to be told there is none. See otlp_metrics.h.
#include "telemetry/otlp_metrics.h"

#include "base/check.h"
#include "base/pool.h"
#include "telemetry/otlp_names.h"
#include "telemetry/otlp_points.h"
#include "telemetry/otlp_told.h"
#include "telemetry/otlp_wire.h"
#include "telemetry/series_facts.h"
#include "telemetry/series_totals.h"

#include <stdlib.h>

enum { TEMPORALITY_DELTA = 1, TEMPORALITY_CUMULATIVE = 2 };

// Name, help, unit and what stands behind the points of a metric.
#define METRIC_HEAD_MAX 2048

// What is to be remembered once a point was taken.
struct telling {
    struct told *told;
    struct told_totals growth;
};

struct piece {
    struct list link;
    char *memory; // owned
    size_t length;
    uint64_t points;
    struct telling *tellings; // owned; in delta
    uint32_t telling_count, telling_capacity;
};

enum otlp_metrics_mode { CUMULATIVE, DELTA_FIRST, DELTA };

struct otlp_metrics {
    nanoseconds started, now, before; // before: the last time, or 0
    nanoseconds asked;
    struct otlp_metrics_terms terms;
    //   CUMULATIVE -> DELTA_FIRST   deltas are wanted: one time more that is cumulative, and is remembered; again until all of it was taken
    //   DELTA_FIRST -> DELTA        it was; or nothing was ever sent
    //   DELTA, DELTA_FIRST -> CUMULATIVE
    enum otlp_metrics_mode mode;
    bool is_all_taken; // of this time, so far
    struct told_memory told;
    struct list pieces;
    struct piece *out;        // was asked for, and is not settled; NULL: none
    uint64_t left;            // points in `pieces`
    char *metric, *points_of; // in the last piece: where the metric that is open begins, and its points; NULL: none is
    enum otlp_point kind;     // of its points
    const struct metric_family *family;
    char *point;                   // owned: the one at hand
    struct series_totals overflow; // of the current family: its sample, which is written last
    bool has_overflow;
};

// --- pieces ---

static struct piece *last_piece(const struct otlp_metrics *metrics) {
    return LIST_ENTRY(metrics->pieces.prev, struct piece, link);
}

static void add_piece(struct otlp_metrics *metrics) {
    struct piece *piece = alloc_zeroed_or_abort(1, sizeof *piece);
    piece->memory = alloc_or_abort(OTLP_METRICS_PIECE_MAX);
    list_init(&piece->link);
    list_push_back(&metrics->pieces, &piece->link);
}

static char *end_of(const struct otlp_metrics *metrics) {
    const struct piece *piece = last_piece(metrics);
    return piece->memory + piece->length;
}

static void set_end(const struct otlp_metrics *metrics, const char *end) {
    struct piece *piece = last_piece(metrics);
    piece->length = (size_t)(end - piece->memory);
    CHECK(piece->length <= OTLP_METRICS_PIECE_MAX);
}

// What was told of its points: it was taken, or it is told once more.
static void free_piece(struct otlp_metrics *metrics, struct piece *piece, bool is_taken) {
    for (uint32_t i = 0; i < piece->telling_count; i++) {
        struct telling *telling = &piece->tellings[i];
        if (is_taken) {
            told_add(telling->told, &telling->growth);
            telling->told->since = metrics->now;
            telling->told->heard = metrics->asked;
        }
        told_totals_clear(&telling->growth);
    }
    metrics->is_all_taken &= is_taken;
    free(piece->tellings);
    free(piece->memory);
    free(piece);
}

// --- metrics ---

static char *put_text(char *at, const char *end, char tag, const char *text) {
    at = wire_text(at, end, tag, bytes_from_text(text));
    CHECK(at != NULL);
    return at;
}

static void open_metric(struct otlp_metrics *metrics) {
    const struct metric_family *family = metrics->family;
    char name[OTLP_NAME_MAX];
    char *const begin = end_of(metrics);
    const char *const end = begin + METRIC_HEAD_MAX;
    otlp_metric_name(family, name);
    char *at = put_text(wire_open_long(begin, WIRE_LENGTH(2)), end, WIRE_LENGTH(1), name);
    at = put_text(at, end, WIRE_LENGTH(2), family->help);
    at = put_text(at, end, WIRE_LENGTH(3), otlp_metric_unit(family));
    metrics->metric = begin;
    metrics->points_of = at;
    const char gauge = WIRE_LENGTH(5), sum = WIRE_LENGTH(7), explicit = WIRE_LENGTH(9), exponential = WIRE_LENGTH(10);
    const char histogram = metrics->kind == OTLP_POINT_EXPONENTIAL ? exponential : explicit;
    set_end(metrics, wire_open_long(at, otlp_is_gauge(family) ? gauge : family->type == METRIC_HISTOGRAM ? histogram : sum));
}

static void close_metric(struct otlp_metrics *metrics) {
    if (metrics->metric == NULL)
        return;
    char *at = end_of(metrics);
    if (!otlp_is_gauge(metrics->family)) {
        *at++ = WIRE_VARINT(2);
        *at++ = metrics->mode == DELTA && metrics->family->type != METRIC_GAUGE ? TEMPORALITY_DELTA : TEMPORALITY_CUMULATIVE;
    }
    if (metrics->family->type == METRIC_COUNTER) {
        *at++ = WIRE_VARINT(3);
        *at++ = 1; // monotonic
    }
    wire_close_long(metrics->points_of, at);
    wire_close_long(metrics->metric, at);
    set_end(metrics, at);
    metrics->metric = NULL;
}

static void remember(struct otlp_metrics *metrics, struct told *told, const struct told_totals *growth) {
    struct piece *piece = last_piece(metrics);
    if (piece->telling_count == piece->telling_capacity) {
        piece->telling_capacity = piece->telling_capacity * 2 + 32;
        struct telling *larger = alloc_or_abort(piece->telling_capacity * sizeof *larger);
        if (piece->telling_count > 0)
            memcpy(larger, piece->tellings, piece->telling_count * sizeof *larger);
        free(piece->tellings);
        piece->tellings = larger;
    }
    piece->tellings[piece->telling_count++] = (struct telling){told, *growth};
}

// The point at hand, until `end`. A metric may go on in the next piece, in another of the same name.
static void add_point(struct otlp_metrics *metrics, const char *end, enum otlp_point kind) {
    const size_t length = (size_t)(end - metrics->point);
    CHECK(length <= OTLP_POINT_MAX);
    if (metrics->kind != kind)
        close_metric(metrics);
    metrics->kind = kind;
    if (list_is_empty(&metrics->pieces) || last_piece(metrics)->length + METRIC_HEAD_MAX + 4 + length > OTLP_METRICS_PIECE_MAX) {
        if (!list_is_empty(&metrics->pieces))
            close_metric(metrics);
        add_piece(metrics);
    }
    if (metrics->metric == NULL)
        open_metric(metrics);
    char *const begin = end_of(metrics);
    char *const at = wire_open_long(begin, WIRE_LENGTH(1));
    memcpy(at, metrics->point, length);
    wire_close_long(begin, at + length);
    set_end(metrics, at + length);
    last_piece(metrics)->points++;
    metrics->left++;
}

// --- attributes ---

static char *put_labels(const struct otlp_metrics *metrics, char *at, const struct bytes *labels) {
    const char *const *names = metrics->family->labels;
    for (unsigned i = 0; labels != NULL && names[i] != NULL; i++)
        if (labels[i].len > 0)
            at = otlp_point_attribute(at, metrics->point + OTLP_POINT_MAX, otlp_key_of(names[i]), labels[i]);
    return at;
}

// `reason="idle"`: one, as the tables have it.
static char *put_constant(const struct otlp_metrics *metrics, char *at, const char *constant) {
    const struct bytes text = bytes_from_text(constant);
    const size_t equals = bytes_find(text, '=');
    char label[64];
    if (text.len == 0)
        return at;
    CHECK(equals < sizeof label && equals + 2 < text.len);
    memcpy(label, text.at, equals);
    label[equals] = '\0';
    return otlp_point_attribute(at, metrics->point + OTLP_POINT_MAX, otlp_key_of(label), bytes_from(text.at + equals + 2, text.len - equals - 3));
}

static char *put_more_labels(const struct otlp_metrics *metrics, char *at, struct bytes names, struct bytes values) {
    while (names.len > 0 && values.len > 0) {
        const size_t name = bytes_find(names, '\0'), value = bytes_find(values, '\0');
        char label[64];
        CHECK(name < sizeof label && name < names.len && value < values.len);
        memcpy(label, names.at, name + 1);
        if (value > 0)
            at = otlp_point_attribute(at, metrics->point + OTLP_POINT_MAX, (struct otlp_key){label, label, OTLP_KEY_TEXT},
                                      bytes_from(values.at, value));
        names = bytes_from(names.at + name + 1, names.len - name - 1);
        values = bytes_from(values.at + value + 1, values.len - value - 1);
    }
    return at;
}

// --- numbers ---

// Where what is told of a series begins that was not there the last time.
static nanoseconds first_begin(const struct otlp_metrics *metrics, nanoseconds begun) {
    const nanoseconds since = metrics->mode == DELTA && metrics->before > 0 ? metrics->before : metrics->started;
    return begun > 0 ? begun : since;
}

// Behind its attributes. A counter of which something was told before, in delta.
static void write_growth(struct otlp_metrics *metrics, char *at, struct told *told, uint64_t value, bool is_seconds, nanoseconds begun) {
    const struct told_totals growth = {.value = told_counter_growth(&metrics->told, told, value)};
    if (metrics->mode == DELTA && growth.value == 0) { // what did not grow is not told
        told->since = metrics->now;
        return;
    }
    if (metrics->mode == DELTA) {
        value = growth.value;
        begun = told->since > begun ? told->since : begun;
    }
    at = otlp_point_value(otlp_point_times(at, begun, metrics->now), value, is_seconds);
    add_point(metrics, at, OTLP_POINT_NUMBER);
    remember(metrics, told, &growth);
}

// `begun`: 0: with the process.
static void write_number(struct otlp_metrics *metrics, char *at, uint64_t value, bool is_seconds, nanoseconds begun) {
    const nanoseconds since = begun > 0 ? begun : metrics->started;
    if (metrics->mode == CUMULATIVE || metrics->family->type != METRIC_COUNTER) {
        add_point(metrics, otlp_point_value(otlp_point_times(at, since, metrics->now), value, is_seconds), OTLP_POINT_NUMBER);
        return;
    }
    struct told *told = told_of(&metrics->told, bytes_from(metrics->point, (size_t)(at - metrics->point)), first_begin(metrics, begun));
    if (told != NULL)
        write_growth(metrics, at, told, value, is_seconds, since);
}

void otlp_metrics_number(struct otlp_metrics *metrics, const struct bytes *labels, uint64_t value, bool is_seconds) {
    write_number(metrics, put_labels(metrics, metrics->point, labels), value, is_seconds, 0);
}

void otlp_metrics_constant(struct otlp_metrics *metrics, const char *labels, uint64_t value, bool is_seconds) {
    write_number(metrics, put_constant(metrics, metrics->point, labels), value, is_seconds, 0);
}

static bool is_overflow(const struct otlp_metrics *metrics, const struct bytes *labels) {
    return otlp_has_overflow(metrics->family) && labels[metric_label_count(metrics->family) - 1].len > 0;
}

void otlp_metrics_since(struct otlp_metrics *metrics, const struct bytes *labels, uint64_t value, nanoseconds begun) {
    if (metrics->mode != CUMULATIVE && is_overflow(metrics, labels)) {
        metrics->has_overflow = true;
        metrics->overflow.buckets[0] = value;
    } else {
        write_number(metrics, put_labels(metrics, metrics->point, labels), value, false, begun);
    }
}

// --- histograms ---

// What a point says of a histogram, of one set of requests.
struct histogram_figures {
    nanoseconds begun;
    const uint64_t *buckets;
    nanoseconds sum;
    const struct exponential_histogram *exponential; // NULL: it is told by its buckets
};

// Behind its attributes. `heard`: exemplars until then were told.
static void add_histogram(struct otlp_metrics *metrics, char *at, const struct histogram_figures *figures, const struct histogram_sample *sample,
                          nanoseconds heard) {
    const enum otlp_point kind = figures->exponential != NULL ? OTLP_POINT_EXPONENTIAL : OTLP_POINT_EXPLICIT;
    otlp_point_set_kind(metrics->point, at, kind);
    at = otlp_point_times(at, figures->begun, metrics->now);
    if (kind == OTLP_POINT_EXPONENTIAL)
        at = otlp_point_exponential(at, figures->exponential, figures->sum);
    else
        at = otlp_point_explicit(at, figures->buckets, figures->sum, sample->are_turns);
    add_point(metrics, otlp_point_exemplars(at, kind, sample, heard), kind);
}

static bool is_empty(const uint64_t *buckets) {
    for (int i = 0; i < DURATION_BUCKETS; i++)
        if (buckets[i] > 0)
            return false;
    return true;
}

// All that there ever was. Where exponential histograms are wanted it is all since they are: a series that did not count since is not told.
static void add_cumulative(struct otlp_metrics *metrics, char *at, const struct histogram_sample *sample) {
    const struct exponential_totals *exponential = sample->exponential;
    struct histogram_figures figures = {
        .begun = sample->begun > 0 ? sample->begun : metrics->started, .buckets = sample->buckets, .sum = sample->sum};
    if (metrics->terms.is_exponential && series_are_of(metrics->family)) {
        if (exponential == NULL)
            return;
        figures = (struct histogram_figures){.begun = exponential->since > figures.begun ? exponential->since : figures.begun,
                                             .buckets = exponential->buckets,
                                             .sum = exponential->sum,
                                             .exponential = &exponential->histogram};
    }
    if (!is_empty(figures.buckets))
        add_histogram(metrics, at, &figures, sample, 0);
}

static void add_growth(struct otlp_metrics *metrics, char *at, struct told *told, const struct histogram_sample *sample) {
    struct told_totals growth;
    const uint64_t points = metrics->left;
    told_growth(&metrics->told, told, sample, &growth);
    if (metrics->mode == DELTA_FIRST) {
        add_cumulative(metrics, at, sample);
    } else if (!is_empty(growth.buckets)) {
        const struct histogram_figures figures = {.begun = told->since > sample->begun ? told->since : sample->begun,
                                                  .buckets = growth.buckets,
                                                  .sum = growth.sum,
                                                  .exponential = growth.exponential};
        add_histogram(metrics, at, &figures, sample, told->heard);
    }
    if (metrics->left > points) {
        remember(metrics, told, &growth);
    } else { // what is not told now never is
        told->since = metrics->now;
        told_add(told, &growth);
        told_totals_clear(&growth);
    }
}

static void keep_overflow(struct otlp_metrics *metrics, const struct histogram_sample *sample) {
    struct series_totals *overflow = &metrics->overflow;
    metrics->has_overflow = true;
    memcpy(overflow->buckets, sample->buckets, sizeof overflow->buckets);
    overflow->sum = sample->sum;
    if (sample->exponential == NULL)
        return;
    overflow->exponential = alloc_or_abort(sizeof *overflow->exponential);
    *overflow->exponential = *sample->exponential;
}

void otlp_metrics_histogram(struct otlp_metrics *metrics, const struct histogram_sample *sample) {
    struct histogram_sample wanted = *sample;
    if (!metrics->terms.is_exponential)
        wanted.exponential = NULL;
    if (metrics->mode != CUMULATIVE && is_overflow(metrics, wanted.labels)) {
        keep_overflow(metrics, &wanted);
        return;
    }
    char *at = put_labels(metrics, metrics->point, wanted.labels);
    at = put_more_labels(metrics, at, wanted.more_names, wanted.more_values);
    if (metrics->mode == CUMULATIVE) {
        add_cumulative(metrics, at, &wanted);
        return;
    }
    struct told *told = told_of(&metrics->told, bytes_from(metrics->point, (size_t)(at - metrics->point)), first_begin(metrics, wanted.begun));
    if (told != NULL)
        add_growth(metrics, at, told, &wanted);
}

// Behind all others of its family, since by them is known what of it was told already.
static void write_overflow(struct otlp_metrics *metrics) {
    struct bytes labels[METRIC_LABELS_MAX] = {0};
    struct told *told = told_of_overflow(&metrics->told);
    labels[metric_label_count(metrics->family) - 1] = BYTES("true");
    if (told->since == 0)
        told->since = metrics->started;
    char *const at = put_labels(metrics, metrics->point, labels);
    if (metrics->family->type == METRIC_COUNTER) {
        write_growth(metrics, at, told, metrics->overflow.buckets[0], false, metrics->started);
        return;
    }
    add_growth(
        metrics, at, told,
        &(struct histogram_sample){
            .labels = labels, .buckets = metrics->overflow.buckets, .sum = metrics->overflow.sum, .exponential = metrics->overflow.exponential});
}

// --- families ---

static void end_family(struct otlp_metrics *metrics) {
    if (metrics->family == NULL)
        return;
    if (metrics->mode != CUMULATIVE && metrics->family->type != METRIC_GAUGE)
        told_end_family(&metrics->told);
    if (metrics->has_overflow)
        write_overflow(metrics);
    close_metric(metrics);
    series_totals_clear(&metrics->overflow);
    metrics->has_overflow = false;
    metrics->family = NULL;
}

void otlp_metrics_family(struct otlp_metrics *metrics, const struct metric_family *family) {
    end_family(metrics);
    metrics->family = family;
    if (metrics->mode != CUMULATIVE && family->type != METRIC_GAUGE)
        told_begin_family(&metrics->told, family);
}

void otlp_metrics_end(struct otlp_metrics *metrics) {
    end_family(metrics);
    metrics->before = metrics->now;
}

// --- the whole ---

struct otlp_metrics *otlp_metrics_create(nanoseconds started) {
    struct otlp_metrics *metrics = alloc_zeroed_or_abort(1, sizeof *metrics);
    metrics->started = started;
    metrics->point = alloc_or_abort(OTLP_POINT_MAX);
    list_init(&metrics->pieces);
    told_init(&metrics->told);
    return metrics;
}

void otlp_metrics_destroy(struct otlp_metrics *metrics) {
    if (metrics->out != NULL)
        otlp_metrics_settle(metrics, false);
    otlp_metrics_drop(metrics);
    told_dispose(&metrics->told);
    free(metrics->point);
    free(metrics);
}

static void set_mode(struct otlp_metrics *metrics, bool is_delta) {
    const bool was_sent = metrics->before > 0;
    if (metrics->mode == DELTA_FIRST && is_delta && metrics->is_all_taken)
        metrics->mode = DELTA;
    else if (metrics->mode != DELTA && is_delta)
        metrics->mode = was_sent ? DELTA_FIRST : DELTA;
    else if (!is_delta)
        metrics->mode = CUMULATIVE;
    if (metrics->mode != DELTA)
        told_clear(&metrics->told);
}

void otlp_metrics_begin(struct otlp_metrics *metrics, struct exposition *exposition, const struct otlp_metrics_terms *terms, nanoseconds asked,
                        nanoseconds now) {
    CHECK(metrics->family == NULL && metrics->out == NULL && list_is_empty(&metrics->pieces));
    set_mode(metrics, terms->is_delta);
    metrics->terms = *terms;
    metrics->asked = asked;
    metrics->now = now;
    metrics->is_all_taken = true;
    told_begin_round(&metrics->told);
    *exposition = (struct exposition){.otlp = metrics};
}

bool otlp_metrics_next(struct otlp_metrics *metrics, struct bytes *records, uint64_t *points) {
    CHECK(metrics->out == NULL && metrics->family == NULL);
    if (list_is_empty(&metrics->pieces))
        return false;
    metrics->out = LIST_ENTRY(list_pop_front(&metrics->pieces), struct piece, link);
    metrics->left -= metrics->out->points;
    *records = bytes_from(metrics->out->memory, metrics->out->length);
    *points = metrics->out->points;
    return true;
}

void otlp_metrics_settle(struct otlp_metrics *metrics, bool is_taken) {
    CHECK(metrics->out != NULL);
    free_piece(metrics, metrics->out, is_taken);
    metrics->out = NULL;
}

uint64_t otlp_metrics_left(const struct otlp_metrics *metrics) {
    return metrics->left;
}

void otlp_metrics_drop(struct otlp_metrics *metrics) {
    while (!list_is_empty(&metrics->pieces))
        free_piece(metrics, LIST_ENTRY(list_pop_front(&metrics->pieces), struct piece, link), false);
    metrics->left = 0;
}
