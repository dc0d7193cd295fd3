// HTTP/2 frames made and read by hand, for tests that must send what no library would: builders append one frame each to a text; a reader
// says in words what a codec sent.
#ifndef SUPPORT_H2_FRAMES_H
#define SUPPORT_H2_FRAMES_H

#include "support/codec_owner.h"

#include <nghttp2/nghttp2.h>

enum { H2_END_STREAM = 1, H2_ACK = 1, H2_END_HEADERS = 4, H2_PADDED = 8 };

// Any frame, its length as given.
void h2_frame(struct text *to, uint8_t type, uint8_t flags, uint32_t stream, struct bytes payload);

// The preface of a client.
void h2_preface(struct text *to);

// SETTINGS with `count` pairs of (id, value).
void h2_settings(struct text *to, unsigned count, ...);
void h2_settings_ack(struct text *to);

// The preface (of a client) or none, SETTINGS and the acknowledgement of the other side's: what a connection begins with.
void h2_hello(struct text *to, enum codec_role role_of_reader);

// A header block of literal fields that touch no table. `lines` is "name: value\n" for each field, in order; names may begin with ':'.
void h2_block(struct text *to, const char *lines);

// HEADERS with such a block, END_HEADERS set; what does not fit follows in CONTINUATION.
void h2_headers(struct text *to, uint32_t stream, uint8_t flags, const char *lines);

// A request without a body: GET of `path` at example.org.
void h2_get(struct text *to, uint32_t stream, const char *path);

void h2_data(struct text *to, uint32_t stream, uint8_t flags, struct bytes body);
void h2_rst_stream(struct text *to, uint32_t stream, uint32_t code);
void h2_goaway(struct text *to, uint32_t last_stream, uint32_t code);
void h2_ping(struct text *to, uint8_t flags);
void h2_window_update(struct text *to, uint32_t stream, uint32_t increment);

// Says what was sent, a line each:
//   PREFACE
//   SETTINGS 3=100 4=65536        SETTINGS ack
//   HEADERS 1 end                 followed by its fields, "  name: value", " (never indexed)" where so
//   DATA 1 5 end                  (the body's bytes are added to `bodies`)
//   RST_STREAM 1 CANCEL           GOAWAY 2147483647 NO_ERROR        WINDOW_UPDATE 0 65535        PING ack
// One reader for a whole connection, since it keeps HPACK's table and the frame that is not complete.
struct h2_reader {
    nghttp2_hd_inflater *inflater;
    struct text pending;
    struct text words;
    struct text bodies;
    bool after_preface;
    unsigned frames;
};

void h2_reader_init(struct h2_reader *reader);
void h2_reader_dispose(struct h2_reader *reader);

// What `sent` says in words; valid until the next call. `bodies` holds the bytes of its DATA alone.
const char *h2_read(struct h2_reader *reader, struct bytes sent);

#endif
