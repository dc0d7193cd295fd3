// What a codec is bounded by, from the limits of a Proxy: one sum for connections of both sides, downstream's and ours.
#ifndef UPSTREAM_CODEC_LIMITS_H
#define UPSTREAM_CODEC_LIMITS_H

#include "base/limits.h"
#include "config/snapshot.h"
#include "http/codec.h"

// `first_window`: what a stream may receive before any of it was consumed.
static inline struct codec_limits codec_limits_of(const struct limits_config *limits, uint32_t first_window) {
    return (struct codec_limits){
        .headers = limits->headers,
        .header_bytes = limits->header_bytes,
        .url_bytes = limits->url_bytes,
        .streams = limits->streams_per_connection,
        .stream_window_first = first_window,
        .stream_window = limits->buffer_per_stream,
        .stream_window_max = LIMIT_STREAM_WINDOW_BYTES,
    };
}

#endif
