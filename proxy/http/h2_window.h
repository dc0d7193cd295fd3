// How large the windows of HTTP/2 streams are: see h2_window.c. For the files of h2_codec alone.
#ifndef HTTP_H2_WINDOW_H
#define HTTP_H2_WINDOW_H

#include "http/h2_private.h"

// By how much the windows of a worker's open streams together may exceed what they began with: 34 streams of 1 MiB. A peer that read quickly and then stops keeps
// us holding what its windows allow.
#define H2_GROWN_BYTES_MAX (32u * 1024 * 1024)

// With that many blocks of 16 KiB in use by the worker, 64 MiB, no window grows.
#define H2_HELD_BLOCKS_MAX 4096

// Least trips that a rate is measured over: what a sender that waits for our window sends last may come when it was judged, one window in eight.
#define H2_MEASURED_TRIPS 8

// A stream that its window holds up moves five to eight eighths of it in a trip, since nghttp2 gives back half a window at a time; an eighth of that may not be counted.
// So windows settle at two to four times what a least trip carries.
#define H2_WINDOW_FILLED 0.5

// The least trip is that of so many at least, and of twice as many at most.
#define H2_TRIPS_REMEMBERED 32

// A stream slower than its window is judged ever more rarely: after half a window of 64 KiB first, in the end after a MiB.
#define H2_WINDOW_MISSES_MAX 5

// The stream is known from now on.
void h2_window_begin(struct h2_codec *codec, struct codec_stream *stream);

// Its body is about to be consumed for the first time, and perhaps later again.
void h2_window_open(struct h2_codec *codec, struct codec_stream *stream);

// So much was consumed: counts for its rate, and may make its window larger.
void h2_window_consumed(struct h2_codec *codec, struct codec_stream *stream, size_t count);

// All was received, or the stream is over. The second time does nothing.
void h2_window_end(struct h2_codec *codec, struct codec_stream *stream);

// DATA came, for whatever stream.
void h2_window_data(struct h2_codec *codec);

// An answer to PING, whatever it was sent for.
void h2_window_ping_answered(struct h2_codec *codec, const uint8_t *payload);

#endif
