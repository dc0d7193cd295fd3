// What the files of the HTTP/2 codec share: the codec itself. Nobody else includes it, but their tests.
//
// h2_codec.c    creation, the vtable, feed and produce, the end of a connection
// h2_head.c     header blocks received: heads and trailers, their limits and checks
// h2_receive.c  the other frames received: bodies, resets, ends of streams, floods
// h2_window.c   how large the windows of streams are (h2_window.h)
// h2_send.c     heads, bodies and trailers to be sent
// h2_memory.c   the allocator that nghttp2 is given (h2_memory.h)
#ifndef HTTP_H2_PRIVATE_H
#define HTTP_H2_PRIVATE_H

#include "base/limits.h"
#include "http/codec.h"
#include "http/h2_codec.h"
#include "http/h2_memory.h"
#include "http/headers.h"

// The connection's window never holds a stream up: it is given back on receipt, since streams x their windows bound what is kept. So it is
// raised to the largest there is, which also means a WINDOW_UPDATE only per GiB. Others do the same (nginx).
#define H2_CONNECTION_WINDOW INT32_MAX

// Streams of a client whose server has not sent its SETTINGS yet: none is recommended to allow fewer (RFC 9113, section 6.5.2). What a server refuses above its own number was
// provably not processed, but costs a retry each.
#define H2_STREAMS_UNTOLD 100

// Body of a stream that waits for window or for its turn: as much as is put into `out` at a time, so that a stream that is alone fills it.
#define H2_STREAM_OUT_BYTES LIMIT_OUTPUT_BYTES

// A body that is complete and no longer than this is written at once behind its head, so that the peer gets a short message in one piece. Longer ones wait
// for produce, where streams take turns.
#define H2_BODY_AT_ONCE_BYTES 4096

// Answers that the peer makes us write (to PING, SETTINGS, malformed requests) and has not read: 3,800 PING frames. A peer that asks and does not
// read is no peer.
#define H2_CONTROL_BYTES_MAX 65536

// Heads are written at once, whatever waits in the output; bodies stop at LIMIT_OUTPUT_BYTES. So answers that are heads alone could pile up before a
// peer that asks and does not read: above this its requests are refused (REFUSED_STREAM: it may ask again).
#define H2_UNREAD_MAX (4 * LIMIT_OUTPUT_BYTES)

// Frames in a row that carry nothing (SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA, heads of streams that are gone) while no head and no body
// passes either way. A download is interleaved with what it sends; nobody needs a thousand of them.
#define H2_BARREN_FRAMES_MAX 1000

// Requests taken back before they had a response: that many, when they are three of four of the requests seen last, are an attack (rapid reset).
// A storm of timeouts, in which nothing else succeeds, costs a connection for each 500.
#define H2_EARLY_RESETS_MAX 500
#define H2_CLOSED_STREAMS_WINDOW 2000

// nghttp2's own limit on RST_STREAM, which ends in a GOAWAY that lets open streams finish: 1,000 at once, then 200 a second, well above what
// clients that cancel do through one sidecar.
#define H2_RESET_BURST 1000
#define H2_RESETS_PER_SECOND 200

// Frames that one head may be split into: 8 of 16 KiB hold twice the largest head that is allowed.
#define H2_CONTINUATIONS_MAX 8

// Entries of one SETTINGS frame: there are seven known ones; each may make us walk over all streams.
#define H2_SETTINGS_MAX 16

// Answers to PING and SETTINGS that nghttp2 itself may hold; H2_CONTROL_BYTES_MAX comes first, since they are written at once.
#define H2_OUTBOUND_ACKS_MAX 1000

// Streams that we have reset whose peer may still send on them what was under way (RFC 9113 section 5.1): those of the last. Older ones are all taken for such.
#define H2_OWN_RESETS_KEPT 16

// 1xx heads of one response: each takes room in the stream's pool.
#define H2_INFORMATIONAL_MAX 16

// Room for what is added to a head on its way (Via, x-request-id and the like), above what is allowed to be received.
#define H2_HEAD_ADDED_BYTES 65536

// Round trips of a connection, by PING (h2_window.c).
struct h2_trips {
    uint32_t pings; // ever: the number of the last one is its payload
    bool under_way;
    bool got_data; // since the last answer to a PING of either kind: what the peer sent after that PING had come
    nanoseconds pinged;
    nanoseconds least;       // of those lately; 0: none yet
    nanoseconds least_later; // of those that will be left when older ones are forgotten
    uint32_t count_later;
};

// The header block that is being received: one at a time on a connection (RFC 9113 section 4.3).
struct h2_receiving {
    struct codec_stream *stream; // NULL: nobody wants it
    struct fields *fields;       // of the head, or the trailers
    bool trailers;
    enum error refusal; // a limit that was exceeded; nothing is kept from then on
    uint32_t count;
    uint32_t bytes;  // as RFC 9113 section 6.5.2 counts
    uint32_t crumbs; // cookie fields
    struct bytes host;
    bool has_host;
};

struct h2_codec {
    struct codec base; // first: the ops cast back
    nghttp2_session *session;
    struct h2_memory *memory;
    struct list streams; // those that are not forgotten
    struct h2_receiving receiving;
    struct block *block;          // that is being parsed; NULL outside of feed
    struct codec_stream *sending; // whose send_head or send_body runs: the caller sees when it is done
    bool producing;
    bool hold_bodies; // while heads and control frames alone are written
    bool peer_closed;
    bool finished;         // the last GOAWAY was written: the session is not touched any more
    enum error failure;    // of the connection
    int32_t reset_by_peer; // stream of the RST_STREAM at hand; 0: none
    int32_t head_written;  // stream of the last HEADERS that went into `out`
    uint32_t barren_frames;
    uint32_t closed_streams; // of the last ones, how many,
    uint32_t closed_early;   // and how many of them were taken back before they had a response
    int32_t begun_last;      // the highest stream that a client has begun
    int32_t own_resets[H2_OWN_RESETS_KEPT];
    uint32_t own_resets_count; // ever
    int32_t own_resets_gone;   // the highest that is no longer kept
    uint64_t written;          // bytes that ever went into `out`
    uint64_t control_mark;     // once that much of them was sent, the control frames counted below have been read
    uint32_t control_bytes;
    struct h2_trips trips;
};

// nghttp2 speaks of bytes as uint8_t and, for names and values that it only reads, not const.
static inline struct bytes h2_text(const uint8_t *at, size_t len) {
    const void *text = at;
    return (struct bytes){text, len};
}

static inline struct codec_stream *h2_stream_of(const struct h2_codec *codec, int32_t id) {
    return nghttp2_session_get_stream_user_data(codec->session, id);
}

// --- h2_codec.c ---

// The codec takes the stream up, or lets go of it; what happened to it is the caller's to tell.
void h2_stream_begin(struct h2_codec *codec, struct codec_stream *stream, int32_t id);
void h2_stream_forget(struct h2_codec *codec, struct codec_stream *stream);

// Resets a stream for what the peer sent, and tells its owner.
void h2_stream_break(struct h2_codec *codec, struct codec_stream *stream, uint32_t code, enum error error);

// The connection is lost for `error`: nothing is parsed any more, and feed or produce will say so.
void h2_fail(struct h2_codec *codec, enum error error);

// Writes control frames and heads that nghttp2 has ready into `out`, up to the head of stream `id`; no bodies.
void h2_write_head(struct h2_codec *codec, int32_t id);

// Writes all that nghttp2 has ready, up to LIMIT_OUTPUT_BYTES.
void h2_write_all(struct h2_codec *codec);

// --- h2_head.c ---

void h2_set_head_callbacks(nghttp2_session_callbacks *callbacks);

// The header block at hand has ended; `end`: its stream with it.
void h2_fields_complete(struct h2_codec *codec, bool end);

// All of a message has come.
void h2_message_complete(struct h2_codec *codec, struct codec_stream *stream);

// --- h2_receive.c ---

void h2_set_receive_callbacks(nghttp2_session_callbacks *callbacks);

// Server: RST_STREAM was sent, or is about to be.
void h2_note_own_reset(struct h2_codec *codec, int32_t id);

// --- h2_send.c ---

void h2_set_send_callbacks(nghttp2_session_callbacks *callbacks);
enum error h2_send_head(struct codec *base, struct codec_stream *stream, const struct head *head, bool end);
void h2_send_body(struct codec *base, struct codec_stream *stream, struct buffer *body, bool end, const struct fields *trailers);

#endif
