// Writing of metrics as protobuf, in one pass: the points of a family are gathered, so that their length is known when its head is written. See otlp_metrics.h.
#include "telemetry/otlp_metrics.h"

#include "base/check.h"
#include "base/map.h"
#include "base/pool.h"
#include "telemetry/exponential_histogram.h"
#include "telemetry/otlp_names.h"
#include "telemetry/series_totals.h"
#include "telemetry/text_escape.h"

#include <stdlib.h>

// Wire types 0, 1 and 2 of fields 1 to 15.
#define VARINT(field) ((field) << 3)
#define FIXED64(field) ((field) << 3 | 1)
#define LENGTH(field) ((field) << 3 | 2)

enum { TEMPORALITY_DELTA = 1, TEMPORALITY_CUMULATIVE = 2 };

// One text of an attribute; longer ones are cut.
#define TEXT_MAX 1024

// The longest point: 17 attributes, an exponential histogram (160 counts of at most 10 bytes), 15 exemplars.
#define POINT_MAX 32768

struct out {
    char *at; // owned
    size_t length, capacity;
};

// What was told of a series, in delta.
struct told {
    const struct metric_family *family;
    nanoseconds begun;
    uint64_t round; // when it was last there
    uint64_t value; // of a counter
    uint64_t buckets[DURATION_BUCKETS];
    nanoseconds sum;
    struct exponential_histogram *exponential; // owned
};

struct record {
    size_t end;
    uint64_t points;
};

struct otlp_metrics {
    nanoseconds started, now, before; // before: the last time
    struct otlp_metrics_terms terms;
    struct out records;
    struct out points;     // of the current family
    struct out attributes; // of the current point
    uint64_t point_count;
    struct record *ends; // owned
    uint32_t record_count, record_capacity, taken;
    const struct metric_family *family;
    bool is_exponential_point; // points of the current record are
    struct map told;           // family and attributes -> struct told
    uint64_t round;
    // Of the current family of histograms, in delta: what series that are gone had told, and what of the others is told with the overflow.
    struct told gone, held;
    bool has_overflow; // its sample came: written last
    struct told overflow;
};

// --- bytes ---

static char *room(struct out *out, size_t size) {
    if (out->capacity - out->length < size) {
        const size_t capacity = (out->length + size) * 2;
        char *larger = alloc_or_abort(capacity);
        if (out->length > 0)
            memcpy(larger, out->at, out->length);
        free(out->at);
        out->at = larger;
        out->capacity = capacity;
    }
    return out->at + out->length;
}

static void put_byte(struct out *out, unsigned byte) {
    *room(out, 1) = (char)byte;
    out->length++;
}

static void put_varint(struct out *out, uint64_t value) {
    for (; value >= 0x80; value >>= 7)
        put_byte(out, (unsigned)(value & 0x7f) | 0x80);
    put_byte(out, (unsigned)value);
}

static void put_zigzag(struct out *out, int32_t value) {
    put_varint(out, value < 0 ? (uint64_t) - (int64_t)value * 2 - 1 : (uint64_t)value * 2);
}

static void put_raw64(struct out *out, uint64_t value) {
    for (unsigned i = 0; i < 8; i++)
        put_byte(out, (unsigned)(value >> 8 * i) & 0xff);
}

static void put_fixed64(struct out *out, unsigned tag, uint64_t value) {
    put_byte(out, tag);
    put_raw64(out, value);
}

static uint64_t bits_of(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static void put_bytes(struct out *out, unsigned tag, struct bytes bytes) {
    put_byte(out, tag);
    put_varint(out, bytes.len);
    if (bytes.len > 0)
        memcpy(room(out, bytes.len), bytes.at, bytes.len);
    out->length += bytes.len;
}

static struct bytes written(const struct out *out) {
    return bytes_from(out->at, out->length);
}

static double seconds_of(nanoseconds duration) {
    return (double)duration / (double)NS_PER_S;
}

// --- attributes ---

static void put_attribute(struct out *out, unsigned tag, struct otlp_key key, struct bytes value) {
    char text[TEXT_MAX];
    size_t taken;
    uint64_t number = 0;
    struct out any = {0}, pair = {0};
    if (key.type == OTLP_KEY_TRUE) {
        put_byte(&any, VARINT(2));
        put_byte(&any, 1);
    } else if (key.type == OTLP_KEY_NUMBER && bytes_to_u64(value, UINT32_MAX, &number)) {
        put_byte(&any, VARINT(3));
        put_varint(&any, number);
    } else
        put_bytes(&any, LENGTH(1), bytes_from(text, text_to_utf8(text, sizeof text, value, &taken)));
    put_bytes(&pair, LENGTH(1), bytes_from_text(key.key));
    put_bytes(&pair, LENGTH(2), written(&any));
    put_bytes(out, tag, written(&pair));
    free(any.at);
    free(pair.at);
}

static void put_labels(struct otlp_metrics *metrics, unsigned tag, const struct bytes *labels) {
    const char *const *names = metrics->family->labels;
    for (unsigned i = 0; labels != NULL && names[i] != NULL; i++)
        if (labels[i].len > 0)
            put_attribute(&metrics->attributes, tag, otlp_key_of(names[i]), labels[i]);
}

// `reason="idle"`: one, as the tables have it.
static void put_constant(struct otlp_metrics *metrics, unsigned tag, const char *constant) {
    const struct bytes text = bytes_from_text(constant);
    const size_t equals = bytes_find(text, '=');
    char label[64];
    if (text.len == 0)
        return;
    CHECK(equals < sizeof label && equals + 2 < text.len);
    memcpy(label, text.at, equals);
    label[equals] = '\0';
    put_attribute(&metrics->attributes, tag, otlp_key_of(label), bytes_from(text.at + equals + 2, text.len - equals - 3));
}

// --- what was told before ---

static struct told *told_of(struct otlp_metrics *metrics, bool *is_new) {
    struct out key = {0};
    put_bytes(&key, 0, bytes_from_text(metrics->family->name));
    put_bytes(&key, 0, written(&metrics->attributes));
    struct told *told = map_get(&metrics->told, written(&key));
    *is_new = told == NULL;
    if (told == NULL) {
        told = alloc_zeroed_or_abort(1, sizeof *told);
        told->family = metrics->family;
        map_put(&metrics->told, written(&key), told);
    }
    told->round = metrics->round;
    free(key.at);
    return told;
}

static void add_exponential(struct told *to, const struct exponential_histogram *from) {
    if (from == NULL)
        return;
    if (to->exponential == NULL) {
        to->exponential = alloc_or_abort(sizeof *to->exponential);
        exponential_init(to->exponential);
    }
    exponential_add(to->exponential, from);
}

static void add_told(struct told *to, const struct told *from) {
    for (int i = 0; i < DURATION_BUCKETS; i++)
        to->buckets[i] += from->buckets[i];
    to->sum += from->sum;
    add_exponential(to, from->exponential);
}

// By cells; below zero counts as none.
static uint64_t less(uint64_t value, uint64_t taken) {
    return value > taken ? value - taken : 0;
}

static void take_told(struct told *from, const struct told *taken) {
    for (int i = 0; i < DURATION_BUCKETS; i++)
        from->buckets[i] = less(from->buckets[i], taken->buckets[i]);
    from->sum = less(from->sum, taken->sum);
    if (from->exponential != NULL && taken->exponential != NULL)
        exponential_subtract(from->exponential, taken->exponential);
}

static void clear(struct told *told) {
    free(told->exponential);
    *told = (struct told){0};
}

static void set_told(struct told *told, const struct told *to) {
    const uint64_t round = told->round;
    const struct metric_family *family = told->family;
    clear(told);
    *told = *to;
    told->exponential = NULL;
    add_exponential(told, to->exponential);
    told->round = round;
    told->family = family;
}

static bool has_grown(const struct told *now, const struct told *before) {
    for (int i = 0; i < DURATION_BUCKETS; i++)
        if (now->buckets[i] < before->buckets[i])
            return false;
    return true;
}

static bool is_empty(const struct told *told) {
    for (int i = 0; i < DURATION_BUCKETS; i++)
        if (told->buckets[i] > 0)
            return false;
    return true;
}

// --- points ---

// The head of the metric around the points that there are.
static void flush(struct otlp_metrics *metrics) {
    const struct metric_family *family = metrics->family;
    if (metrics->points.length == 0)
        return;
    struct out metric = {0};
    char name[OTLP_NAME_MAX];
    const unsigned number = family->type == METRIC_GAUGE ? 5 : family->type == METRIC_COUNTER ? 7 : metrics->is_exponential_point ? 10 : 9;
    otlp_metric_name(family, name);
    if (family->type != METRIC_GAUGE) {
        put_byte(&metrics->points, VARINT(2));
        put_byte(&metrics->points, metrics->terms.is_delta ? TEMPORALITY_DELTA : TEMPORALITY_CUMULATIVE);
    }
    if (family->type == METRIC_COUNTER) {
        put_byte(&metrics->points, VARINT(3));
        put_byte(&metrics->points, 1);
    }
    put_bytes(&metric, LENGTH(1), bytes_from_text(name));
    put_bytes(&metric, LENGTH(2), bytes_from_text(family->help));
    put_bytes(&metric, LENGTH(3), bytes_from_text(otlp_metric_unit(family)));
    put_bytes(&metric, LENGTH(number), written(&metrics->points));
    put_bytes(&metrics->records, LENGTH(2), written(&metric));
    free(metric.at);
    if (metrics->record_count == metrics->record_capacity) {
        metrics->record_capacity = metrics->record_capacity * 2 + 64;
        struct record *larger = alloc_or_abort(metrics->record_capacity * sizeof *larger);
        if (metrics->record_count > 0)
            memcpy(larger, metrics->ends, metrics->record_count * sizeof *larger);
        free(metrics->ends);
        metrics->ends = larger;
    }
    metrics->ends[metrics->record_count++] = (struct record){.end = metrics->records.length, .points = metrics->point_count};
    metrics->points.length = 0;
    metrics->point_count = 0;
}

// A metric that would become too long goes on in another of the same name.
static void add_point(struct otlp_metrics *metrics, const struct out *point, bool is_exponential) {
    CHECK(point->length < POINT_MAX);
    if (metrics->is_exponential_point != is_exponential || metrics->points.length + point->length > OTLP_METRIC_MAX - 1024)
        flush(metrics);
    metrics->is_exponential_point = is_exponential;
    put_bytes(&metrics->points, LENGTH(1), written(point));
    metrics->point_count++;
}

static void put_times(const struct otlp_metrics *metrics, struct out *point, nanoseconds begun) {
    put_fixed64(point, FIXED64(2), begun);
    put_fixed64(point, FIXED64(3), metrics->now);
}

static void put_attributes(const struct otlp_metrics *metrics, struct out *point) {
    memcpy(room(point, metrics->attributes.length + 1), metrics->attributes.length > 0 ? metrics->attributes.at : "", metrics->attributes.length);
    point->length += metrics->attributes.length;
}

// What is told since the last time begins there, but for what began after it.
static nanoseconds begin_of(const struct otlp_metrics *metrics, nanoseconds begun) {
    const nanoseconds first = begun > 0 ? begun : metrics->started;
    return metrics->terms.is_delta && metrics->before > first ? metrics->before : first;
}

void otlp_metrics_number(struct otlp_metrics *metrics, const struct bytes *labels, const char *constant, uint64_t value, bool is_seconds) {
    struct out point = {0};
    metrics->attributes.length = 0;
    put_labels(metrics, LENGTH(7), labels);
    if (constant != NULL)
        put_constant(metrics, LENGTH(7), constant);
    if (metrics->family->type == METRIC_COUNTER && metrics->terms.is_delta) {
        bool is_new;
        struct told *told = told_of(metrics, &is_new);
        const uint64_t before = told->value <= value ? told->value : 0; // it began anew
        told->value = value;
        value -= before;
        if (value == 0)
            return;
    }
    put_times(metrics, &point, begin_of(metrics, 0));
    put_fixed64(&point, is_seconds ? FIXED64(4) : FIXED64(6), is_seconds ? bits_of(seconds_of(value)) : value);
    put_attributes(metrics, &point);
    add_point(metrics, &point, false);
    free(point.at);
}

static void put_exemplars(struct out *point, unsigned tag, const struct histogram_sample *sample, bool is_delta, nanoseconds since) {
    for (uint32_t i = 0; i < sample->exemplar_count; i++) {
        const struct exemplar *exemplar = &sample->exemplars[i];
        struct out one = {0};
        if (is_delta && exemplar->wall <= since) // it was told the last time
            continue;
        put_fixed64(&one, FIXED64(2), exemplar->wall);
        put_fixed64(&one, FIXED64(3), bits_of(seconds_of(exemplar->value)));
        put_bytes(&one, LENGTH(4), bytes_from((const char *)exemplar->span_id, sizeof exemplar->span_id));
        put_bytes(&one, LENGTH(5), bytes_from((const char *)exemplar->trace_id, sizeof exemplar->trace_id));
        put_bytes(point, tag, written(&one));
        free(one.at);
    }
}

static void put_explicit(struct out *point, const struct told *told) {
    put_byte(point, LENGTH(6));
    put_varint(point, DURATION_BUCKETS * 8);
    for (unsigned i = 0; i < DURATION_BUCKETS; i++)
        put_raw64(point, told->buckets[i]);
    put_byte(point, LENGTH(7));
    put_varint(point, DURATION_BOUNDS * 8);
    for (unsigned i = 0; i < DURATION_BOUNDS; i++)
        put_raw64(point, bits_of(seconds_of(duration_bound(i))));
}

static void put_exponential(struct out *point, const struct exponential_histogram *histogram) {
    struct out counts = {0}, positive = {0};
    for (uint32_t i = 0; i < histogram->used; i++)
        put_varint(&counts, histogram->buckets[i]);
    put_byte(&positive, VARINT(1));
    put_zigzag(&positive, histogram->offset);
    put_bytes(&positive, LENGTH(2), written(&counts));
    put_byte(point, VARINT(6));
    put_zigzag(point, histogram->scale);
    put_fixed64(point, FIXED64(7), histogram->zeros);
    put_bytes(point, LENGTH(8), written(&positive));
    free(counts.at);
    free(positive.at);
}

static uint64_t count_of(const struct told *told, bool is_exponential) {
    uint64_t count = 0;
    for (int i = 0; !is_exponential && i < DURATION_BUCKETS; i++)
        count += told->buckets[i];
    if (!is_exponential)
        return count;
    for (uint32_t i = 0; i < told->exponential->used; i++)
        count += told->exponential->buckets[i];
    return count + told->exponential->zeros;
}

// With the attributes that are at hand.
static void write_histogram(struct otlp_metrics *metrics, const struct told *told, const struct histogram_sample *sample) {
    const bool is_exponential = metrics->terms.is_exponential && told->exponential != NULL;
    struct out point = {0};
    if (is_empty(told))
        return;
    put_times(metrics, &point, begin_of(metrics, told->begun));
    put_fixed64(&point, FIXED64(4), count_of(told, is_exponential));
    put_fixed64(&point, FIXED64(5), bits_of(seconds_of(told->sum)));
    if (is_exponential)
        put_exponential(&point, told->exponential);
    else
        put_explicit(&point, told);
    if (sample != NULL)
        put_exemplars(&point, is_exponential ? LENGTH(11) : LENGTH(8), sample, metrics->terms.is_delta, metrics->before);
    put_attributes(metrics, &point);
    add_point(metrics, &point, is_exponential);
    free(point.at);
}

// The tag of attributes depends on the kind of point.
static void put_histogram_labels(struct otlp_metrics *metrics, const struct histogram_sample *sample) {
    const bool is_exponential = metrics->terms.is_exponential && sample->exponential != NULL;
    const unsigned tag = is_exponential ? LENGTH(1) : LENGTH(9);
    struct bytes names = sample->more_names, values = sample->more_values;
    metrics->attributes.length = 0;
    put_labels(metrics, tag, sample->labels);
    while (names.len > 0 && values.len > 0) {
        const size_t name = bytes_find(names, '\0'), value = bytes_find(values, '\0');
        char label[64];
        CHECK(name < sizeof label && name < names.len && value < values.len);
        memcpy(label, names.at, name + 1);
        if (value > 0)
            put_attribute(&metrics->attributes, tag, (struct otlp_key){label, label, OTLP_KEY_TEXT}, bytes_from(values.at, value));
        names = bytes_from(names.at + name + 1, names.len - name - 1);
        values = bytes_from(values.at + value + 1, values.len - value - 1);
    }
}

static bool is_overflow(const struct otlp_metrics *metrics, const struct histogram_sample *sample) {
    const uint32_t count = metric_label_count(metrics->family);
    return count > 0 && strcmp(metrics->family->labels[count - 1], OTLP_OVERFLOW_LABEL) == 0 && sample->labels[count - 1].len > 0;
}

// In delta. What was told of a series that began anew is in the overflow now; of one that has become less (it has left one worker), its growth is told there too.
static void write_growth(struct otlp_metrics *metrics, const struct told *now, const struct histogram_sample *sample) {
    bool is_new;
    struct told *before = told_of(metrics, &is_new);
    struct told growth = {0};
    set_told(&growth, now);
    if (!is_new && before->begun != now->begun)
        add_told(&metrics->gone, before);
    else if (!is_new && has_grown(now, before))
        take_told(&growth, before);
    else if (!is_new) {
        add_told(&metrics->gone, before);
        add_told(&metrics->held, now);
        clear(&growth);
    }
    set_told(before, now);
    write_histogram(metrics, &growth, sample);
    clear(&growth);
}

void otlp_metrics_histogram(struct otlp_metrics *metrics, const struct histogram_sample *sample) {
    struct told now = {.begun = sample->begun, .sum = sample->sum};
    memcpy(now.buckets, sample->buckets, sizeof now.buckets);
    add_exponential(&now, sample->exponential != NULL ? &sample->exponential->histogram : NULL);
    if (!metrics->terms.is_delta) {
        put_histogram_labels(metrics, sample);
        write_histogram(metrics, &now, sample);
    } else if (is_overflow(metrics, sample)) {
        metrics->has_overflow = true;
        set_told(&metrics->overflow, &now);
    } else {
        put_histogram_labels(metrics, sample);
        write_growth(metrics, &now, sample);
    }
    clear(&now);
}

// Behind all others of the family: what those that are gone had told before is no news.
static void write_overflow(struct otlp_metrics *metrics) {
    struct bytes labels[METRIC_LABELS_MAX] = {0};
    bool is_new;
    labels[metric_label_count(metrics->family) - 1] = BYTES("true");
    const struct exponential_totals some = {0};
    put_histogram_labels(metrics, &(struct histogram_sample){.labels = labels, .exponential = metrics->overflow.exponential != NULL ? &some : NULL});
    struct told *before = told_of(metrics, &is_new);
    struct told growth = {0};
    set_told(&growth, &metrics->overflow);
    add_told(&growth, &metrics->held);
    take_told(&growth, before);
    take_told(&growth, &metrics->gone);
    set_told(before, &metrics->overflow);
    write_histogram(metrics, &growth, NULL);
    clear(&growth);
}

// Takes out of memory what the family had the last time and has no more.
static void forget(struct otlp_metrics *metrics) {
    uint32_t position = 0, count = 0;
    struct bytes key;
    void *value;
    struct bytes *gone = alloc_zeroed_or_abort(metrics->told.count + 1, sizeof *gone);
    while (map_next(&metrics->told, &position, &key, &value)) {
        const struct told *told = value;
        if (told->family == metrics->family && told->round != metrics->round)
            gone[count++] = bytes_keep(key);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct told *told = map_remove(&metrics->told, gone[i]);
        add_told(&metrics->gone, told);
        clear(told);
        free(told);
        bytes_drop(&gone[i]);
    }
    free(gone);
}

static void end_family(struct otlp_metrics *metrics) {
    if (metrics->family == NULL)
        return;
    if (metrics->terms.is_delta && metrics->family->type != METRIC_GAUGE)
        forget(metrics);
    if (metrics->has_overflow)
        write_overflow(metrics);
    flush(metrics);
    clear(&metrics->gone);
    clear(&metrics->held);
    clear(&metrics->overflow);
    metrics->has_overflow = false;
    metrics->family = NULL;
}

void otlp_metrics_family(struct otlp_metrics *metrics, const struct metric_family *family) {
    end_family(metrics);
    metrics->family = family;
}

void otlp_metrics_end(struct otlp_metrics *metrics) {
    end_family(metrics);
    metrics->before = metrics->now;
}

// --- the whole ---

struct otlp_metrics *otlp_metrics_create(nanoseconds started) {
    struct otlp_metrics *metrics = alloc_zeroed_or_abort(1, sizeof *metrics);
    metrics->started = started;
    map_init(&metrics->told);
    return metrics;
}

static void forget_all(struct otlp_metrics *metrics) {
    uint32_t position = 0;
    struct bytes key;
    void *value;
    while (map_next(&metrics->told, &position, &key, &value)) {
        clear(value);
        free(value);
    }
    map_dispose(&metrics->told);
    map_init(&metrics->told);
}

void otlp_metrics_destroy(struct otlp_metrics *metrics) {
    forget_all(metrics);
    map_dispose(&metrics->told);
    free(metrics->records.at);
    free(metrics->points.at);
    free(metrics->attributes.at);
    free(metrics->ends);
    free(metrics);
}

void otlp_metrics_begin(struct otlp_metrics *metrics, struct exposition *exposition, const struct otlp_metrics_terms *terms, nanoseconds now) {
    CHECK(metrics->family == NULL);
    if (!terms->is_delta && metrics->told.count > 0)
        forget_all(metrics);
    metrics->terms = *terms;
    metrics->now = now;
    metrics->round++;
    metrics->records.length = 0;
    metrics->record_count = metrics->taken = 0;
    *exposition = (struct exposition){.otlp = metrics};
}

bool otlp_metrics_next(struct otlp_metrics *metrics, size_t most, struct bytes *records, uint64_t *points) {
    CHECK(most >= OTLP_METRIC_MAX);
    const size_t begin = metrics->taken == 0 ? 0 : metrics->ends[metrics->taken - 1].end;
    size_t end = begin;
    *points = 0;
    while (metrics->taken < metrics->record_count && metrics->ends[metrics->taken].end - begin <= most) {
        *points += metrics->ends[metrics->taken].points;
        end = metrics->ends[metrics->taken++].end;
    }
    *records = bytes_from(metrics->records.at + begin, end - begin);
    return end > begin;
}
