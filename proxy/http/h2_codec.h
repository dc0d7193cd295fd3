// HTTP/2 (RFC 9113) on nghttp2, in both roles, by prior knowledge or ALPN. Push is refused; RFC 7540 priorities stay on, so that equal streams alternate.
//
// Flow control: the connection's window is given back on receipt, a stream's on `consumed`; so no stream stalls another and memory is bounded by streams x window.
// A stream's window grows from limits.stream_window to limits.stream_window_max while what is consumed fills it (h2_window.c).
#ifndef HTTP_H2_CODEC_H
#define HTTP_H2_CODEC_H

#include "base/clock.h"
#include "http/codec.h"

struct h2_memory; // free lists for nghttp2's small allocations; one a worker

// `clock`: where the time stands, as it is at each call of a codec; borrowed for the memory's life.
struct h2_memory *h2_memory_create(const nanoseconds *clock);
void h2_memory_trim(struct h2_memory *memory);    // frees what is kept for later
void h2_memory_destroy(struct h2_memory *memory); // after all codecs that use it

// While memory is short no window grows.
void h2_memory_set_short(struct h2_memory *memory, bool is_short);

// What codecs have of it now, and what is kept for them, in bytes.
uint64_t h2_memory_bytes_used(const struct h2_memory *memory);
uint64_t h2_memory_bytes_kept(const struct h2_memory *memory);

// By how much the windows of all open streams exceed what they began with, in bytes; and how often one was not let grow.
uint64_t h2_memory_windows_grown(const struct h2_memory *memory);
uint64_t h2_memory_windows_refused(const struct h2_memory *memory);

// The preface (client) and SETTINGS are ready for the first produce. `memory`, `out` and `handler` are borrowed for the codec's life.
struct codec *h2_codec_create(enum codec_role role, const struct codec_limits *limits, const struct codec_handler *handler, void *owner,
                              struct buffer *out, struct h2_memory *memory);

// The 24 bytes that a client with prior knowledge begins with.
extern const char h2_client_preface[24];

#endif
