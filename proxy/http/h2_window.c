// What a stream may have in flight towards us: limits.stream_window_first until somebody takes its body, then limits.stream_window, which doubles, up to limits.stream_window_max, while
// it is what holds the stream up; so a long body on a long path is not held up by our window, and a slow reader keeps little.
//
// A stream's rate is what was consumed of it in some time. What counts beside it is the least round trip of the connection, by PING and its answer: under load a trip is long
// for the queues on both sides, which a larger window only makes longer (it would grow on what it causes, and small messages would wait behind it). Where the rate
// fills most of the window in the least trip, the window is what bounds it. Only consuming counts: a body that nobody reads on fills its window and grows no further.
//
// PINGs are rare, one for each time that a rate is judged: none for short bodies; the next for a stream that was slower after twice as many bytes. And none where the peer has
// sent no data since it answered the last: a gRPC server closes a connection that is pinged while it sends nothing, and what is consumed may have come long ago.
#include "http/h2_window.h"

#include "base/check.h"

#include <assert.h>

static_assert(H2_GROWN_BYTES_MAX <= INT32_MAX, "sums of windows are small numbers");

enum { PING_BYTES = 8 };

// No two are alike, so that an answer to an earlier one, or to none, counts for nothing.
static void payload_of(uint32_t number, uint8_t payload[PING_BYTES]) {
    memcpy(payload, "trip", 4);
    memcpy(payload + 4, &number, sizeof(number));
}

static void ping(struct h2_codec *codec) {
    struct h2_trips *trips = &codec->trips;
    uint8_t payload[PING_BYTES];
    if (trips->under_way || !trips->got_data)
        return;
    trips->under_way = true;
    trips->pinged = *codec->memory->clock;
    payload_of(++trips->pings, payload);
    if (nghttp2_submit_ping(codec->session, NGHTTP2_FLAG_NONE, payload) != 0)
        h2_fail(codec, ERROR_INTERNAL);
}

// Never 0: what comes in the same turn took less than can be told.
static nanoseconds since(const struct h2_codec *codec, nanoseconds begun) {
    const nanoseconds now = *codec->memory->clock;
    return now > begun ? now - begun : 1;
}

static nanoseconds lesser(nanoseconds least, nanoseconds trip) {
    return least == 0 || trip < least ? trip : least;
}

void h2_window_data(struct h2_codec *codec) {
    codec->trips.got_data = true;
}

// Paths change in the hours that a connection lives: what was least long ago is forgotten.
void h2_window_ping_answered(struct h2_codec *codec, const uint8_t *payload) {
    struct h2_trips *trips = &codec->trips;
    uint8_t expected[PING_BYTES];
    trips->got_data = false;
    payload_of(trips->pings, expected);
    if (!trips->under_way || memcmp(payload, expected, PING_BYTES) != 0)
        return;
    const nanoseconds trip = since(codec, trips->pinged);
    trips->under_way = false;
    trips->least = lesser(trips->least, trip);
    trips->least_later = lesser(trips->least_later, trip);
    if (++trips->count_later < H2_TRIPS_REMEMBERED)
        return;
    trips->count_later = 0;
    trips->least = trips->least_later;
    trips->least_later = 0;
}

// Bounded twice: by what all windows may come to hold, and by what the worker holds now. The first knows nothing of bytes that came before their stream's end and are
// still to be passed on.
static bool is_too_much(const struct h2_codec *codec, uint32_t more) {
    return codec->memory->is_short || codec->memory->windows_grown + more > H2_GROWN_BYTES_MAX || codec->base.out->source->used > H2_HELD_BLOCKS_MAX;
}

static bool grow(struct h2_codec *codec, struct codec_stream *stream) {
    const uint32_t largest = codec->base.limits.stream_window_max;
    const uint32_t size = stream->window > largest / 2 ? largest : 2 * stream->window;
    if (is_too_much(codec, size - stream->window)) {
        codec->memory->windows_refused++;
        return false;
    }
    codec->memory->windows_grown += size - stream->window;
    stream->window = size;
    if (nghttp2_session_set_local_window_size(codec->session, NGHTTP2_FLAG_NONE, (int32_t)stream->id, (int32_t)size) != 0)
        h2_fail(codec, ERROR_INTERNAL);
    return true;
}

// In floating point: the products have no bound that an integer would surely hold.
static bool is_held_up(const struct h2_codec *codec, const struct codec_stream *stream, nanoseconds elapsed) {
    const double per_trip = (double)stream->window_consumed * (double)codec->trips.least / (double)elapsed;
    return per_trip >= H2_WINDOW_FILLED * stream->window;
}

static void measure_from_now(struct h2_codec *codec, struct codec_stream *stream) {
    stream->window_since = *codec->memory->clock;
    stream->window_consumed = 0;
}

// After so many bytes and so many trips it is known what the rate is.
static void judge(struct h2_codec *codec, struct codec_stream *stream) {
    const nanoseconds elapsed = since(codec, stream->window_since);
    if (codec->trips.least == 0) {
        measure_from_now(codec, stream);
    } else if (elapsed < H2_MEASURED_TRIPS * codec->trips.least) {
        return;
    } else {
        if (is_held_up(codec, stream, elapsed) && grow(codec, stream))
            stream->window_misses = 0;
        else if (stream->window_misses < H2_WINDOW_MISSES_MAX)
            stream->window_misses++;
        measure_from_now(codec, stream);
    }
    ping(codec);
}

void h2_window_begin(struct h2_codec *codec, struct codec_stream *stream) {
    stream->window = codec->base.limits.stream_window;
    stream->window_consumed = 0;
    stream->window_misses = 0;
}

void h2_window_end(struct h2_codec *codec, struct codec_stream *stream) {
    const uint32_t grown = stream->window - codec->base.limits.stream_window;
    CHECK(codec->memory->windows_grown >= grown);
    codec->memory->windows_grown -= grown;
    stream->window -= grown;
}

// Until the peer acknowledges our SETTINGS nghttp2 counts from the protocol's first window, and takes the difference back then.
static int64_t owed_to_settings(const struct h2_codec *codec) {
    const uint32_t begun_with = nghttp2_session_get_local_settings(codec->session, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE);
    return (int64_t)begun_with - codec->base.limits.stream_window_first;
}

// Somebody takes the body: it may now come as fast as the limits allow. Not for the first bytes of one whose length nobody has told: most are short.
void h2_window_open(struct h2_codec *codec, struct codec_stream *stream) {
    const struct codec_limits *limits = &codec->base.limits;
    if (stream->window_opened || (stream->head.content_length < 0 && stream->body_received < limits->stream_window_first / 2))
        return;
    stream->window_opened = true;
    int64_t size = limits->stream_window + owed_to_settings(codec);
    if (size > INT32_MAX)
        size = INT32_MAX;
    if (nghttp2_session_set_local_window_size(codec->session, NGHTTP2_FLAG_NONE, (int32_t)stream->id, (int32_t)size) != 0)
        h2_fail(codec, ERROR_INTERNAL);
    measure_from_now(codec, stream);
}

void h2_window_consumed(struct h2_codec *codec, struct codec_stream *stream, size_t count) {
    if (!stream->window_opened || stream->window >= codec->base.limits.stream_window_max)
        return;
    stream->window_consumed += count;
    const bool enough = stream->window_consumed >= (uint64_t)(stream->window / 2) << stream->window_misses;
    if (enough && owed_to_settings(codec) == 0)
        judge(codec, stream);
}
