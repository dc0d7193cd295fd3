// HTTP/2 (RFC 9113) on nghttp2, in both roles, by prior knowledge or ALPN. Push is refused; RFC 7540 priorities stay on, so that equal streams alternate.
//
// Flow control: the connection's window is given back on receipt, a stream's on `consumed`; so no stream stalls another and memory is bounded by streams x window.
#ifndef HTTP_H2_CODEC_H
#define HTTP_H2_CODEC_H

#include "http/codec.h"

struct h2_memory; // free lists for nghttp2's small allocations; one a worker

struct h2_memory *h2_memory_create(void);
void h2_memory_trim(struct h2_memory *memory);    // frees what is kept for later
void h2_memory_destroy(struct h2_memory *memory); // after all codecs that use it

// The preface (client) and SETTINGS are ready for the first produce. `memory`, `out` and `handler` are borrowed for the codec's life.
struct codec *h2_codec_create(enum codec_role role, const struct codec_limits *limits, const struct codec_handler *handler, void *owner,
                              struct buffer *out, struct h2_memory *memory);

// Doubles what a stream may have in flight, up to limits.stream_window_max: for one whose measured rate fills its window.
void h2_codec_grow_window(struct codec *codec, struct codec_stream *stream);

// The 24 bytes that a client with prior knowledge begins with.
extern const char h2_client_preface[24];

#endif
