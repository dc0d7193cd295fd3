// A codec turns the bytes of one connection into messages and messages into bytes, in one of two roles: it does no I/O and reads no clock.
// Three kinds: h1_codec on llhttp, h2_codec on nghttp2, raw_codec for bytes that have no framing.
//
// Owner:      a connection (downstream/server_conn or upstream/upstream_conn): it feeds what was read and flushes `out`.
// Start:      h1_codec_create, h2_codec_create, raw_codec_create.
// Callbacks:  struct codec_handler, from within feed only, but for `writable`, which also comes from produce, or from sending on another stream, and `head` of a
//             raw client, which may come from its send_head. They record and wake; they must not destroy the codec, and may call `reset`, `consumed` and sending functions only later, outside of all of these.
// Cancel:     `reset` ends one stream; `dispose` ends all without a callback.
// Memory:     a codec_stream is its owner's and must live until `failed`, until it is done (codec_stream_is_done), or until `reset` or `dispose` was called.
#ifndef HTTP_CODEC_H
#define HTTP_CODEC_H

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/list.h"
#include "http/message.h"

#include <stdbool.h>
#include <stdint.h>

enum codec_role { CODEC_SERVER, CODEC_CLIENT };

// One direction of a codec stream. Receiving and sending each go through it.
enum codec_progress {
    PROGRESS_HEAD,  // no final head yet (1xx may have passed)
    PROGRESS_BODY,  // head done, body or tunnel bytes to come
    PROGRESS_ENDED, // complete, trailers included
    PROGRESS_BROKEN // reset or invalid: nothing more
};

// A request whose head has `protocol` asks for a tunnel: it has no body. Only where its answer is a 101 do bytes without framing go both ways, as body, each
// direction with an end of its own; what a client sends before is kept from the owner (HTTP/1: feed pauses), or by the stream's first window (HTTP/2).
// Any other final head (over HTTP/2 no 2xx: ERROR_INTERNAL) makes it a plain exchange, in which the client's side is still to be ended (send_body with `end` and nothing else).
enum codec_tunnel {
    TUNNEL_NONE,  // not asked for, or refused
    TUNNEL_ASKED, // nothing may be sent on it
    TUNNEL_OPEN
};

struct codec;

// One request and its response as one connection sees them: the part that is embedded in a stream (server) or an attempt (client).
struct codec_stream {
    struct codec *codec; // NULL before it began and once the codec has forgotten it
    struct pool *pool;   // set by the owner: heads and trailers that are received are put there
    uint32_t id;         // HTTP/2: stream id; HTTP/1: ordinal on the connection
    enum codec_progress received;
    enum codec_progress sent;
    enum codec_tunnel tunnel;
    enum http_method method; // of the request: decides how a response is framed
    struct head head;        // the last one received; on a client a 1xx may come first
    struct fields trailers;  // received; valid once `received` is PROGRESS_ENDED
    uint64_t body_received;  // bytes, framing not counted
    uint64_t body_sent;
    // HTTP/2 only: what waits for window, and the trailers to send behind it.
    struct list link; // among the codec's streams
    struct buffer out;
    const struct fields *out_trailers;
    uint8_t informational; // 1xx heads received
    bool window_opened;    // from stream_window_first to stream_window
    bool out_submitted;    // nghttp2 knows that there is a body to send
    bool out_end;
    bool out_deferred; // nghttp2 waits to be told that there is more
    bool out_short;    // send_body took less than it was given: `writable` will come
    bool chunked;      // HTTP/1: how the body being sent is framed
    int64_t out_left;  // HTTP/1: bytes of a stated length still to send; -1: no length
    // HTTP/2 only: what the peer may have in flight, and how its rate is measured (h2_window.c).
    uint32_t window;
    nanoseconds window_since; // when the bytes below began to be
    uint64_t window_consumed; // consumed
    uint8_t window_misses;    // judgements in a row in which it was slower
};

// Nothing more will be received or sent: the codec has forgotten the stream.
static inline bool codec_stream_is_done(const struct codec_stream *stream) {
    return stream->received >= PROGRESS_ENDED && stream->sent >= PROGRESS_ENDED;
}

struct codec_limits {
    uint32_t headers;      // fields in a head or trailer section
    uint32_t header_bytes; // of names and values, 32 more each as HTTP/2 counts; else ERROR_HEADERS_TOO_LARGE
    uint32_t url_bytes;    // else ERROR_URI_TOO_LONG
    uint32_t streams;      // HTTP/2: streams that the peer may have open
    // HTTP/2: bytes of a stream that may be received and not yet consumed: before any of it was consumed (a message that takes half of that at
    // most costs no WINDOW_UPDATE), then,
    uint32_t stream_window_first;
    uint32_t stream_window;
    uint32_t stream_window_max; // and up to which it grows (h2_window.c)
};

// What happened on the connection. `owner` is what was given at creation.
struct codec_handler {
    // Server: a request begins. Returns the stream with `pool` set and all else zero, or NULL to refuse it (REFUSED_STREAM; HTTP/1: never refuse).
    struct codec_stream *(*begin)(void *owner);

    // stream->head is complete: the request on a server; on a client each 1xx but 100 to 199 that we must keep (all), then the response. `end`: no body
    // and no trailers follow (received is then PROGRESS_ENDED and `end` is not called). Of a request with `protocol`: the client's direction has ended already.
    // A 101 is a final head, and comes only to one that asked.
    void (*head)(void *owner, struct codec_stream *stream, bool end);

    // A piece of body inside `block`; take a reference (buffer_append_piece) to keep it. Call `consumed` once it has gone on.
    void (*body)(void *owner, struct codec_stream *stream, struct block *block, struct bytes piece);

    // The message is complete; stream->trailers may have fields.
    void (*end)(void *owner, struct codec_stream *stream);

    // Once at most: the peer reset the stream, or sent something that cannot be passed on. Server, with stream->codec still set (`sent` is then
    // PROGRESS_HEAD): `error` names the reply, which may be sent as a response or not at all (`reset`); behind it HTTP/1 closes the connection, HTTP/2
    // only the stream. Where its head was not delivered, stream->head has what was read of it, unchecked, for logs alone. Otherwise the codec has forgotten the stream.
    // ERROR_REFUSED_STREAM: provably not processed.
    void (*failed)(void *owner, struct codec_stream *stream, enum error error);

    // send_body was short before and there is room again; or, HTTP/2, the stream was forgotten without another event (codec_stream_is_done) outside of
    // its own send_head or send_body: the last of what was given to send_body has gone into `out`, or (client, from feed) the peer has answered in full
    // and takes no more of the request.
    void (*writable)(void *owner, struct codec_stream *stream);
};

enum codec_signal {
    CODEC_DRAIN,       // tell the peer to begin nothing new: GOAWAY(2^31-1), or Connection: close on the next response
    CODEC_DRAIN_FINAL, // HTTP/2: GOAWAY with the last id really taken; later streams are refused
    CODEC_PING,        // HTTP/2: ask for a sign of life; answered = codec->pings_outstanding falls to 0
};

// vtable: 8 slots.
struct codec_ops {
    // Parses `in`, which lies in `block` (empty = the peer closed its side). *used < in.len: the codec pauses (HTTP/1: a further request before the
    // response to this one was sent): feed the rest again when the current stream is done. An error is of the connection: flush, then close. Never called from a callback.
    enum error (*feed)(struct codec *codec, struct block *block, struct bytes in, size_t *used) MUST_CHECK;

    // Server: a 1xx or the response. Client: the request, which begins the stream (ERROR_FULL: no more streams on this connection; nothing
    // happened). The head is written out at once: it need not outlive the call. `end`: no body and no trailers follow; never with `protocol` or 101. HTTP/2 also has, with
    // nothing sent, ERROR_HEADERS_TOO_LARGE (much larger than what may be received) and ERROR_UPGRADE_FAILED (`protocol` set, and the peer does not
    // know extended CONNECT); any other error is of the connection.
    enum error (*send_head)(struct codec *codec, struct codec_stream *stream, const struct head *head, bool end) MUST_CHECK;

    // Moves from `body` what there is room for; what is left must be offered again after `writable` (HTTP/2) or once `out` has drained (HTTP/1).
    // `end`: nothing follows what is in `body` now; it takes effect only when all of it was moved, and the stream may be done when this returns.
    // `trailers` (may be NULL; with `end` only) must live until the stream is done.
    void (*send_body)(struct codec *codec, struct codec_stream *stream, struct buffer *body, bool end, const struct fields *trailers);

    // `count` bytes of body that were delivered have gone on: the peer may send as much again. Of a stream that was forgotten meanwhile it is ignored.
    void (*consumed)(struct codec *codec, struct codec_stream *stream, size_t count);

    // Ends the stream at once; the codec forgets it. HTTP/1: the connection cannot be used again (close_when_flushed), unless the stream is done.
    void (*reset)(struct codec *codec, struct codec_stream *stream, enum error error);

    // Appends to `out` what is ready to be sent, at most about LIMIT_OUTPUT_BYTES. Called before each flush.
    enum error (*produce)(struct codec *codec) MUST_CHECK;

    void (*signal)(struct codec *codec, enum codec_signal signal);

    // Frees the codec. Its streams are forgotten without a callback.
    void (*dispose)(struct codec *codec);
};

// First member of each kind.
struct codec {
    const struct codec_ops *ops;
    const struct codec_handler *handler;
    void *owner;
    enum codec_role role;
    enum http_version version;
    struct buffer *out; // the connection's output; the owner's
    struct codec_limits limits;
    struct bytes scheme; // of requests received: "https" on TLS; a literal
    uint32_t streams_open;
    uint32_t streams_refused;       // server, HTTP/2: requests that were one too many for limits.streams
    uint32_t streams_max;           // client: how many the peer allows (HTTP/1: 1; before SETTINGS: at most 100); not above limits.streams
    bool refuses_new;               // client: GOAWAY, Connection: close, or framing in doubt: begin no stream any more
    bool is_tunnel;                 // HTTP/1, raw: it carries a tunnel: the peer's end is that of one direction, and it serves for nothing else
    bool ends_output;               // our direction of the tunnel is over: end our side once `out` is sent
    bool breaks_off;                // the tunnel was cut: the peer learns it by a reset
    bool close_when_flushed;        // nothing more can be exchanged: close once `out` is sent (and no stream is open)
    bool peer_is_known;             // client, HTTP/2: its SETTINGS were received
    bool peer_has_connect_protocol; // HTTP/2: SETTINGS_ENABLE_CONNECT_PROTOCOL was received
    uint32_t keep_alive_s;          // client, HTTP/1: the peer's Keep-Alive: timeout=N; 0: none
    uint32_t pings_outstanding;
};

static inline bool codec_is_raw(const struct codec *codec) {
    return codec->version == HTTP_NONE;
}

#endif
