// One connection to an endpoint: transport, client codec, and the streams on it.
//
// Owner: its pool. Start: upstream_conn_open. Events of a stream are recorded in its struct upstream_stream, whose task is then woken; nothing calls back. Cancel: upstream_stream_cancel for a
// stream, upstream_conn_close for all. Memory: the connection frees itself once its transport is closed; streams on it are failed before.
#ifndef UPSTREAM_UPSTREAM_CONN_H
#define UPSTREAM_UPSTREAM_CONN_H

#include "http/codec.h"
#include "net/loop.h"
#include "net/transport.h"
#include "upstream/conn_pool.h"

struct upstream;

struct interim_head {
    struct list link;
    struct head head;
};

// The upstream side of an attempt. The owner sets `codec_stream.pool` and `task`, and clears the rest, before it is opened.
struct upstream_stream {
    struct codec_stream codec_stream;
    struct upstream_conn *conn; // NULL before it was opened and once it is over
    struct list link;
    struct task *task;
    struct list interim;    // struct interim_head: 1xx, in order
    struct buffer body;     // received, not yet passed on
    uint64_t sent_mark;     // transport.bytes_out when it was opened
    uint64_t received_mark; // and transport.bytes_in
    uint8_t interim_count;
    bool head_arrived;  // codec_stream.head is the final response
    bool ended;         // the response is complete
    bool wants_room;    // a send was short
    bool was_reused;    // the connection had carried another stream before
    bool was_unsent;    // failed, and no byte had left since it was opened
    bool was_conn_lost; // failed with the connection: not that the peer answered by a reset
    bool was_silent;    // failed, and no byte had come since it was opened
    enum error error;   // failed
};

struct upstream_conn {
    struct list link; // of its pool
    struct list live; // of the upstream, until it is freed
    struct conn_pool *pool;
    struct endpoint *endpoint; // one reference
    struct upstream *upstream;
    struct transport *transport;
    struct codec *codec; // NULL until it is open
    struct list streams;
    uint64_t streams_total;
    struct task flush;
    struct task release;
    struct timer timer; // connect timeout, then idle and keep-alive
    nanoseconds opened_at;
    nanoseconds idle_since;
    nanoseconds received_at;
    nanoseconds drains_at; // max age, or soon the end of the peer's leaf; UINT64_MAX: never
    nanoseconds ends_at;   // the end of the peer's leaf: closed then, whatever is on it; UINT64_MAX: never
    uint64_t credentials_generation;
    bool open;        // usable or busy
    bool draining;    // takes no new streams, closes after the last
    bool aged;        // draining since it has reached its max age
    bool paused;      // reading is off: a stream's body is full
    bool input_ended; // the peer's end was read
    bool closing;
    bool mesh; // ALPN outrigger/1: headers of the mesh are believed
    bool counted_idle;
    bool listed_usable; // on its pool's list of those with room
    bool changed;       // a stream ended inside feed: `settle` follows
};

// Begins to connect for the pool, which has counted it in endpoint_shared. ERROR_IO: no socket.
MUST_CHECK enum error upstream_conn_open(struct conn_pool *pool);

// Sends the head of a request on a connection that conn_pool_take gave in this turn. `end`: no body follows. ERROR_FULL: no room after all.
MUST_CHECK enum error upstream_stream_open(struct upstream_conn *conn, struct upstream_stream *stream, const struct head *head, bool end);

// As codec send_body. What is left in `body` is to be offered again when the task is woken.
void upstream_stream_send(struct upstream_stream *stream, struct buffer *body, bool end, const struct fields *trailers);

// `count` bytes were taken out of stream->body.
void upstream_stream_consumed(struct upstream_stream *stream, size_t count);

// The owner wants no more of it: reset where it is not over. Harmless when it is.
void upstream_stream_cancel(struct upstream_stream *stream, enum error error);

// Streams that may still be opened.
uint32_t upstream_conn_room(const struct upstream_conn *conn);

// Closes at that time at the latest, whatever is on it.
void upstream_conn_end_by(struct upstream_conn *conn, nanoseconds when);

// No new streams; closes when the last one ends.
void upstream_conn_drain(struct upstream_conn *conn);

void upstream_conn_close(struct upstream_conn *conn, enum error reason);

#endif
