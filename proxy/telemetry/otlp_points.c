// Fields of data points. See otlp_points.h.
#include "telemetry/otlp_points.h"

#include "base/check.h"
#include "base/turn_times.h"
#include "telemetry/metrics.h"
#include "telemetry/otlp_wire.h"

// The field of a point that its attributes are.
static const char attribute_tags[] = {
    [OTLP_POINT_NUMBER] = WIRE_LENGTH(7), [OTLP_POINT_EXPLICIT] = WIRE_LENGTH(9), [OTLP_POINT_EXPONENTIAL] = WIRE_LENGTH(1)};

static double seconds_of(nanoseconds duration) {
    return (double)duration / (double)NS_PER_S;
}

char *otlp_point_attribute(char *at, const char *end, struct otlp_key key, struct bytes value) {
    struct wire_value any = {.put = wire_value_text, .text = value};
    uint64_t number;
    if (key.type == OTLP_KEY_TRUE)
        any.put = wire_value_true;
    else if (key.type == OTLP_KEY_NUMBER && bytes_to_u64(value, UINT32_MAX, &number))
        any = (struct wire_value){.put = wire_value_number, .number = (int64_t)number};
    at = wire_attribute(at, end, attribute_tags[OTLP_POINT_NUMBER], bytes_from_text(key.key), &any);
    CHECK(at != NULL);
    return at;
}

void otlp_point_set_kind(char *at, const char *end, enum otlp_point kind) {
    while (at < end) {
        const size_t length = ((unsigned char)at[1] & 0x7fU) | (size_t)(unsigned char)at[2] << 7;
        *at = attribute_tags[kind];
        at += 1 + WIRE_LENGTH_BYTES + length;
    }
    CHECK(at == end);
}

char *otlp_point_times(char *at, nanoseconds begun, nanoseconds now) {
    return wire_time(wire_time(at, WIRE_FIXED64(2), begun), WIRE_FIXED64(3), now);
}

char *otlp_point_value(char *at, uint64_t value, bool is_seconds) {
    *at++ = is_seconds ? WIRE_FIXED64(4) : WIRE_FIXED64(6);
    return is_seconds ? wire_double(at, seconds_of(value)) : wire_fixed64(at, value);
}

static char *put_count_and_sum(char *at, uint64_t count, nanoseconds sum) {
    *at++ = WIRE_FIXED64(4);
    at = wire_fixed64(at, count);
    *at++ = WIRE_FIXED64(5);
    return wire_double(at, seconds_of(sum));
}

char *otlp_point_explicit(char *at, const uint64_t buckets[DURATION_BUCKETS], nanoseconds sum, bool are_turns) {
    const unsigned bounds = are_turns ? TURN_BOUNDS : DURATION_BOUNDS;
    uint64_t count = 0;
    for (unsigned i = 0; i <= bounds; i++)
        count += buckets[i];
    at = put_count_and_sum(at, count, sum);
    *at++ = WIRE_LENGTH(6);
    at = wire_varint(at, (uint64_t)(bounds + 1) * 8);
    for (unsigned i = 0; i <= bounds; i++)
        at = wire_fixed64(at, buckets[i]);
    *at++ = WIRE_LENGTH(7);
    at = wire_varint(at, (uint64_t)bounds * 8);
    for (unsigned i = 0; i < bounds; i++)
        at = wire_double(at, seconds_of(are_turns ? turn_bound(i) : duration_bound(i)));
    return at;
}

char *otlp_point_exponential(char *at, const struct exponential_histogram *histogram, nanoseconds sum) {
    at = put_count_and_sum(at, exponential_count(histogram), sum);
    *at++ = WIRE_VARINT(6);
    at = wire_zigzag(at, histogram->scale);
    *at++ = WIRE_FIXED64(7);
    at = wire_fixed64(at, histogram->zeros);
    char *const positive = at;
    at = wire_open(at, WIRE_LENGTH(8));
    *at++ = WIRE_VARINT(1);
    at = wire_zigzag(at, histogram->offset);
    char *const counts = at;
    at = wire_open(at, WIRE_LENGTH(2));
    for (uint32_t i = 0; i < histogram->used; i++)
        at = wire_varint(at, histogram->buckets[i]);
    wire_close(counts, at);
    wire_close(positive, at);
    return at;
}

char *otlp_point_exemplars(char *at, enum otlp_point kind, const struct histogram_sample *sample, nanoseconds since) {
    for (uint32_t i = 0; i < sample->exemplar_count; i++) {
        const struct exemplar *exemplar = &sample->exemplars[i];
        if (exemplar->wall <= since)
            continue;
        char *const one = at;
        at = wire_time(wire_open(at, kind == OTLP_POINT_EXPONENTIAL ? WIRE_LENGTH(11) : WIRE_LENGTH(8)), WIRE_FIXED64(2), exemplar->wall);
        *at++ = WIRE_FIXED64(3);
        at = wire_double(at, seconds_of(exemplar->value));
        at = wire_bytes(at, WIRE_LENGTH(4), exemplar->span_id, sizeof exemplar->span_id);
        at = wire_bytes(at, WIRE_LENGTH(5), exemplar->trace_id, sizeof exemplar->trace_id);
        wire_close(one, at);
    }
    return at;
}
