// The upstream side of an attempt: one exchange on a connection, and what was received of it.
//
// Owner: the attempt. Start: upstream_stream_open. Events are recorded here, and the owner's task is then woken; nothing calls back. Cancel: upstream_stream_cancel. Memory: the owner's, until
// `conn` is NULL.
#ifndef UPSTREAM_UPSTREAM_STREAM_H
#define UPSTREAM_UPSTREAM_STREAM_H

#include "base/buffer.h"
#include "base/list.h"
#include "http/codec.h"

struct task;
struct upstream_conn;

struct interim_head {
    struct list link;
    struct head head;
};

// The owner sets `codec_stream.pool` and `task`, and clears the rest, before it is opened.
struct upstream_stream {
    struct codec_stream codec_stream;
    struct upstream_conn *conn; // NULL before it was opened and once it is over
    struct list link;
    struct task *task;
    struct list interim;    // struct interim_head: 1xx, in order
    struct buffer body;     // received, not yet passed on
    uint64_t sent_mark;     // transport.bytes_out when it was opened
    uint64_t received_mark; // and transport.bytes_in
    nanoseconds over_at;    // when the peer ended it, or broke it off; 0: it has not
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

// Sends the head of a request on a connection that conn_pool_take gave in this turn. `end`: no body follows. ERROR_FULL: no room after all.
MUST_CHECK enum error upstream_stream_open(struct upstream_conn *conn, struct upstream_stream *stream, const struct head *head, bool end);

// As codec send_body. What is left in `body` is to be offered again when the task is woken.
void upstream_stream_send(struct upstream_stream *stream, struct buffer *body, bool end, const struct fields *trailers);

// `count` bytes were taken out of stream->body.
void upstream_stream_consumed(struct upstream_stream *stream, size_t count);

// The owner wants no more of it: reset where it is not over. Harmless when it is.
void upstream_stream_cancel(struct upstream_stream *stream, enum error error);

// From upstream_conn, which is lost, for each stream on it.
void upstream_stream_fail(struct upstream_stream *stream, enum error error);

// For upstream_conn: what its codec tells is recorded in its streams.
extern const struct codec_handler upstream_stream_events;

#endif
