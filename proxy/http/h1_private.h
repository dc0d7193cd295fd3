// What the parts of h1_codec share, and nobody else sees: h1_codec.c (life of the exchange, feed), h1_section.c (spans of a head as they come in),
// h1_head.c (spans to checked heads and trailers), h1_write.c (sending), h1_names.c (spelling of names).
#ifndef HTTP_H1_PRIVATE_H
#define HTTP_H1_PRIVATE_H

#include "http/h1_codec.h"

#include <llhttp.h>

// CR and LF taken before a request line (RFC 9112 section 2.2 asks for one empty line): enough for an old client that ends a body with one more.
#define H1_BLANKS_MAX 4

// Bytes of chunk extensions in one message: nobody reads them, and they let a sender make us work for no body. Signed chunks need about 90 each in bodies of
// 64 KiB chunks: this is enough for 10 MiB of those.
#define H1_CHUNK_EXTENSION_BYTES_MAX 16384

// 1xx before one response, all kept in the stream's pool until it ends. Servers send one or two.
#define H1_INTERIM_MAX 16

// A part of the raw text of a section, counted from the section's first span.
struct h1_span {
    uint32_t at;
    uint32_t len;
};

struct h1_line {
    struct h1_span name;
    struct h1_span value;
};

// A head or trailer section while it comes in. Spans are only counted then; its text is copied once, when it is complete (h1_section_copy). What came in earlier
// feeds, when it does not come in one, is kept aside in `earlier`.
struct h1_section {
    struct h1_span start;  // the target, or the reason phrase
    struct h1_line *lines; // in the stream's pool
    uint32_t count;
    uint32_t capacity;
    uint32_t bytes;    // of names and values, and 32 for each line, as codec_limits counts
    uint32_t end;      // where the last span ends
    uint32_t name_end; // where the last name ends
    bool began;        // there was a span
    uint32_t before;   // bytes in `earlier`
    uint32_t earlier_capacity;
    char *earlier;
    const char *origin; // what follows `before` begins here in the input of this feed
};

// What is expected of the peer's bytes.
enum h1_input {
    INPUT_IDLE,   // the first byte of a message, or none
    INPUT_HEAD,   // the rest of a head
    INPUT_BODY,   // the rest of a body with its trailers
    INPUT_HELD,   // server: nothing before the response to what was received is sent
    INPUT_TUNNEL, // bytes without framing, to the end of the connection
    INPUT_DISCARD // nothing any more: what comes is dropped
};

struct h1_codec {
    struct codec codec;          // first
    struct codec_stream *stream; // the exchange in progress: never more than one
    struct block *block;         // during feed: what is being parsed lies in it
    enum h1_input input;
    enum error failure; // what a callback of the parser found wrong
    uint32_t exchanges;
    uint32_t chunk_extension_bytes; // of this message
    const char *gap_at;             // where what lies between method and target goes on in this feed; NULL: not between the two
    uint32_t gap_bytes;             // of it so far
    uint32_t raw_max;               // raw text that a section may have
    uint8_t blanks;                 // CR and LF before this request
    uint8_t interims;               // 1xx before this response
    uint8_t protocol_len;           // bytes of "HTTP" seen in this start line
    bool closing;                   // no further exchange on this connection
    bool draining;                  // server: tell with the next response
    bool until_close;               // client: the body ends with the connection
    bool interim;                   // client: the message being parsed is a 1xx
    bool speaks_1_0;                // server: the request in progress is HTTP/1.0
    bool bodyless;                  // server: the response in progress has no body, whatever its length says
    bool title_case;                // of the message being sent, for its trailers
    struct h1_section section;
    llhttp_t parser;
};

static inline struct h1_codec *h1_of(struct codec *codec) {
    return CONTAINER_OF(codec, struct h1_codec, codec);
}

// h1_section.c

// Adds a piece of the target or reason phrase, of a name, of a value; a piece that lies right behind the one before it continues it.
// False when a limit is exceeded: h1->failure says which.
bool h1_section_start(struct h1_codec *h1, const char *at, size_t length, uint32_t max);
bool h1_section_name(struct h1_codec *h1, const char *at, size_t length);
bool h1_section_value(struct h1_codec *h1, const char *at, size_t length);

// The input ends at `end` within the section: keeps its text for the next feed. False as above.
bool h1_section_keep(struct h1_codec *h1, const char *end);

// The section's raw text, copied to the pool. The spans count from there.
const char *h1_section_copy(const struct h1_section *section, struct pool *pool);

// Ready for the next section.
void h1_section_reset(struct h1_section *section);

// h1_head.c

// Makes a head or trailers of the complete section, in the stream. *end: no body follows.
MUST_CHECK enum error h1_request_head(struct h1_codec *h1, bool *end);
MUST_CHECK enum error h1_response_head(struct h1_codec *h1, bool *end);

// The request is refused before its head is complete: puts what was read of it into stream->head, as it came, unchecked. For logs alone.
void h1_request_refused(struct h1_codec *h1);
void h1_trailers(struct h1_codec *h1);

// h1_write.c

MUST_CHECK enum error h1_send_head(struct codec *codec, struct codec_stream *stream, const struct head *head, bool end);
void h1_send_body(struct codec *codec, struct codec_stream *stream, struct buffer *body, bool end, const struct fields *trailers);

// h1_codec.c

// Begins the exchange: the codec knows `stream` from now on.
void h1_attach(struct h1_codec *h1, struct codec_stream *stream);

// Nothing more is sent on the exchange. Ends it when nothing more is received either.
void h1_sending_ended(struct h1_codec *h1);

// A 101 goes out, or has come: the tunnel that was asked for is open.
void h1_tunnel_open(struct h1_codec *h1);

// h1_names.c

// Writes `name`, of any case, in Title-Case, with the spellings that are usual otherwise (ETag, WWW-Authenticate).
void h1_title_case(char *to, struct bytes name);

#endif
