// How large the windows of HTTP/2 streams are: see h2_window.c. For the files of h2_codec alone.
#ifndef HTTP_H2_WINDOW_H
#define HTTP_H2_WINDOW_H

#include "http/h2_private.h"

// By how much the windows of a worker's streams together may exceed what they began with: 34 streams of 1 MiB. A peer that read quickly and then stops keeps
// us holding what its windows allow.
#define H2_GROWN_BYTES_MAX (32u * 1024 * 1024)

// Round trips of one measurement of rates. What a sender that waits for our window sends last may come behind the answer that ends it: of four windows three are counted.
#define H2_MEASURED_TRIPS 4

// A stream that its window holds up moves five to eight eighths of it in a trip, since nghttp2 gives back half a window at a time; three quarters of that are counted.
// So windows settle at two and a half to five times what a least trip carries.
#define H2_WINDOW_FILLED 0.4

// A stream slower than its window is measured ever more rarely: after half a window of 64 KiB first, in the end after a MiB.
#define H2_WINDOW_MISSES_MAX 5

// The stream is known from now on.
void h2_window_begin(struct h2_codec *codec, struct codec_stream *stream);

// Its body is about to be consumed for the first time, and perhaps later again.
void h2_window_open(struct h2_codec *codec, struct codec_stream *stream);

// So much was consumed: counts for its rate, and may make its window larger.
void h2_window_consumed(struct h2_codec *codec, struct codec_stream *stream, size_t count);

// All was received, or the stream is over. The second time does nothing.
void h2_window_end(struct h2_codec *codec, struct codec_stream *stream);

// An answer to PING, ours or not.
void h2_window_ping_answered(struct h2_codec *codec, const uint8_t *payload);

#endif
