// An owner of a codec, of either kind and role, for tests and fuzz targets: it feeds bytes, records what the codec tells as text that can be
// compared, and checks the contract of http/codec.h on the way (order of callbacks, none after the last, none outside of feed).
//
// Use: codec_owner_init, set `codec` (created with codec_owner_handler, the owner itself and &owner.out), feed and send, codec_owner_dispose, which frees the
// codec and all streams and aborts when a block or a pool is still held by somebody.
#ifndef SUPPORT_CODEC_OWNER_H
#define SUPPORT_CODEC_OWNER_H

#include "base/block.h"
#include "base/buffer.h"
#include "base/pool.h"
#include "http/codec.h"
#include "http/headers.h"

#include <stdarg.h>

// Owned, growing text with a NUL behind it.
struct text {
    char *at;
    size_t len;
    size_t capacity;
};

void text_add(struct text *text, struct bytes more);
void text_format(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_clear(struct text *text);
void text_dispose(struct text *text);
struct bytes text_bytes(const struct text *text);

// One stream of the codec with what was recorded of it.
struct owner_stream {
    struct codec_stream stream;
    struct pool pool;
    struct buffer sending; // what owner_stream_send could not yet give to the codec
    bool send_end;         // `end` goes with the rest of `sending`
    const struct fields *send_trailers;
    struct codec_owner *owner;
    struct owner_stream *next; // in the order in which they began
    struct text events;        // a line per event, see codec_owner_transcript
    struct text body;          // all pieces
    unsigned heads;            // 1xx included
    unsigned pieces;
    unsigned writables;
    bool ended; // `end` came, or a head with `end`
    bool has_failed;
    enum error failed; // what `failed` told
    size_t unconsumed; // body bytes not yet given back by `consumed`
};

struct codec_owner {
    struct codec *codec;
    struct buffer out;
    struct block_source blocks;
    struct pool_source chunks;
    struct owner_stream *streams; // first
    struct owner_stream *last;
    unsigned count;
    struct text held; // fed but not taken, since the codec paused
    struct text sent; // taken from `out` by codec_owner_sent
    enum error error; // of the connection: the first that feed or produce returned
    bool refuse;      // `begin` returns NULL
    bool keep_body;   // `consumed` is not called by itself after each feed
    bool feeding;
    bool producing;
    const struct codec_stream *sending; // in whose send_head or send_body we are
};

extern const struct codec_handler codec_owner_handler;

// Limits as policy.md gives them by default.
struct codec_limits codec_owner_limits(void);

void codec_owner_init(struct codec_owner *owner);
void codec_owner_dispose(struct codec_owner *owner);

// Copies `in` into a block and feeds it behind what is held. `in` must not be empty. Returns what feed returned.
enum error codec_owner_feed(struct codec_owner *owner, struct bytes in);

// Feeds what is held, if anything, after a stream got done.
enum error codec_owner_resume(struct codec_owner *owner);

// The peer closed its side.
enum error codec_owner_feed_end(struct codec_owner *owner);

// Feeds in pieces of the given size, or of random sizes from 1 to `max` (rng not NULL).
struct rng;
enum error codec_owner_feed_split(struct codec_owner *owner, struct bytes in, size_t max, struct rng *rng);

// Produces, and takes all of `out`; valid until the next call.
struct bytes codec_owner_sent(struct codec_owner *owner);

// A stream for a client to send on: with a pool, not yet begun. It belongs to the owner.
struct owner_stream *codec_owner_new_stream(struct codec_owner *owner);

// The n-th stream, from 0; NULL when there are not so many.
struct owner_stream *codec_owner_stream(const struct codec_owner *owner, unsigned position);

// Sends body (copied); what the codec does not take is offered again by owner_stream_resume.
void owner_stream_send(struct owner_stream *item, struct bytes body, bool end, const struct fields *trailers);

// Offers the rest again. True when nothing is left.
bool owner_stream_resume(struct owner_stream *item);

// What was received, all streams, each as
//   stream 1
//   head GET http example.org /path 11 length=-1 [end] [expect] [te-trailers] [protocol=...]    (a request)
//   head 200 OK 11 length=5 [end]                                                              (a response)
//   Name: value          (a line per field, then trailers after `end`)
//   body 5 hello         (all pieces together; a line only when there is body)
//   end | failed <name of error>
// The text belongs to `to`, which is cleared first.
void codec_owner_transcript(const struct codec_owner *owner, struct text *to);

// One stream's part of it, without the number.
void owner_stream_transcript(const struct owner_stream *item, struct text *to);

#endif
