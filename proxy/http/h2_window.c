// What a stream may have in flight towards us: limits.stream_window_first until somebody takes its body, then limits.stream_window, which doubles, up to limits.stream_window_max, while
// it is what holds the stream up; so a long body on a long path is not held up by our window, and a slow reader keeps little.
//
// A PING and its answer are a round trip; a measurement is some of them. All streams of the connection share a measurement. A stream's rate is what was consumed
// of it meanwhile. What counts beside it is the least round trip of the connection: under load a trip is long for the queues on both sides, which a larger window
// only makes longer (it would grow on what it causes, and small messages would wait behind it). Where the rate fills most of the window in the least trip, the
// window is what bounds it. Only consuming counts: a body that nobody reads on fills its window and grows no further.
//
// Measurements are rare: none for short bodies; the next for a stream that was slower comes after twice as many bytes.
#include "http/h2_window.h"

#include "base/check.h"

#include <assert.h>

static_assert(H2_GROWN_BYTES_MAX <= INT32_MAX, "sums of windows are small numbers");

static const uint8_t mark[8] = {'r', 'o', 'u', 'n', 'd', 't', 'r', 'p'};

// Odd while there is a measurement.
static bool is_of_measurement(uint32_t round) {
    return round % 2 != 0;
}

static void ping(struct h2_codec *codec) {
    codec->measurement.pinged = *codec->memory->clock;
    if (nghttp2_submit_ping(codec->session, NGHTTP2_FLAG_NONE, mark) != 0)
        h2_fail(codec, ERROR_INTERNAL);
}

static void begin_measurement(struct h2_codec *codec, struct codec_stream *stream) {
    struct h2_measurement *measurement = &codec->measurement;
    CHECK(measurement->trips_left == 0 && !is_of_measurement(measurement->round));
    measurement->trips_left = H2_MEASURED_TRIPS;
    measurement->begun = *codec->memory->clock;
    measurement->round++;
    stream->window_round = measurement->round;
    stream->window_consumed = 0;
    ping(codec);
}

// Never 0: what comes in the same turn took less than can be told.
static nanoseconds since(const struct h2_codec *codec, nanoseconds begun) {
    const nanoseconds now = *codec->memory->clock;
    return now > begun ? now - begun : 1;
}

void h2_window_ping_answered(struct h2_codec *codec, const uint8_t *payload) {
    struct h2_measurement *measurement = &codec->measurement;
    if (measurement->trips_left == 0 || memcmp(payload, mark, sizeof(mark)) != 0)
        return;
    const nanoseconds trip = since(codec, measurement->pinged);
    if (measurement->trip_least == 0 || trip < measurement->trip_least)
        measurement->trip_least = trip;
    measurement->trips_left--;
    if (measurement->trips_left > 0) {
        ping(codec);
        return;
    }
    measurement->lasted = since(codec, measurement->begun);
    measurement->round++;
}

static void resize(struct h2_codec *codec, struct codec_stream *stream, uint32_t size) {
    codec->memory->windows_grown += size;
    codec->memory->windows_grown -= stream->window;
    stream->window = size;
    if (nghttp2_session_set_local_window_size(codec->session, NGHTTP2_FLAG_NONE, (int32_t)stream->id, (int32_t)size) != 0)
        h2_fail(codec, ERROR_INTERNAL);
}

static bool grow(struct h2_codec *codec, struct codec_stream *stream) {
    const uint32_t largest = codec->base.limits.stream_window_max;
    const uint32_t size = stream->window > largest / 2 ? largest : 2 * stream->window;
    if (codec->memory->windows_grown + (size - stream->window) > H2_GROWN_BYTES_MAX) {
        codec->memory->windows_refused++;
        return false;
    }
    resize(codec, stream, size);
    return true;
}

// In the measurement that ended last. In floating point: the products have no bound that an integer would surely hold.
static bool is_held_up(const struct h2_codec *codec, const struct codec_stream *stream) {
    const struct h2_measurement *measurement = &codec->measurement;
    const double per_trip = (double)stream->window_consumed * (double)measurement->trip_least / (double)measurement->lasted;
    return per_trip >= H2_WINDOW_FILLED * stream->window;
}

// A measurement began or ended since the stream's bytes were counted. True when its window grew.
static bool turn_round(struct h2_codec *codec, struct codec_stream *stream) {
    // Another one may have begun since; of one that is still older nobody knows any more how long it lasted.
    const bool measured = is_of_measurement(stream->window_round) && codec->measurement.round - stream->window_round <= 2;
    const bool fills = measured && is_held_up(codec, stream);
    stream->window_round = codec->measurement.round;
    stream->window_consumed = 0;
    if (!measured)
        return false;
    if (fills && grow(codec, stream)) {
        stream->window_misses = 0;
        return true;
    }
    if (stream->window_misses < H2_WINDOW_MISSES_MAX)
        stream->window_misses++;
    return false;
}

void h2_window_begin(struct h2_codec *codec, struct codec_stream *stream) {
    stream->window = codec->base.limits.stream_window;
    stream->window_round = codec->measurement.round;
    stream->window_consumed = 0;
    stream->window_misses = 0;
}

void h2_window_end(struct h2_codec *codec, struct codec_stream *stream) {
    const uint32_t grown = stream->window - codec->base.limits.stream_window;
    CHECK(codec->memory->windows_grown >= grown);
    codec->memory->windows_grown -= grown;
    stream->window -= grown;
}

// Somebody takes the body: it may now come as fast as the limits allow. Not for the first bytes of one whose length nobody has told: most are short.
void h2_window_open(struct h2_codec *codec, struct codec_stream *stream) {
    const struct codec_limits *limits = &codec->base.limits;
    if (stream->window_opened || (stream->head.content_length < 0 && stream->body_received < limits->stream_window_first / 2))
        return;
    stream->window_opened = true;
    // Until the peer acknowledges our SETTINGS nghttp2 counts from the protocol's first window, and takes the difference back then.
    uint32_t begun_with = nghttp2_session_get_local_settings(codec->session, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE);
    int64_t size = (int64_t)limits->stream_window + begun_with - limits->stream_window_first;
    if (size > INT32_MAX)
        size = INT32_MAX;
    if (nghttp2_session_set_local_window_size(codec->session, NGHTTP2_FLAG_NONE, (int32_t)stream->id, (int32_t)size) != 0)
        h2_fail(codec, ERROR_INTERNAL);
}

void h2_window_consumed(struct h2_codec *codec, struct codec_stream *stream, size_t count) {
    const struct codec_limits *limits = &codec->base.limits;
    if (codec->memory->is_short) {
        if (stream->window > limits->stream_window)
            resize(codec, stream, limits->stream_window);
        return;
    }
    if (stream->window >= limits->stream_window_max)
        return;
    const bool grew = stream->window_round != codec->measurement.round && turn_round(codec, stream);
    stream->window_consumed += count;
    // One that grew is measured on: the rate that it has now is not yet known.
    const bool due = grew || stream->window_consumed >= (uint64_t)(stream->window / 2) << stream->window_misses;
    if (due && codec->measurement.trips_left == 0 && stream->window < limits->stream_window_max)
        begin_measurement(codec, stream);
}
