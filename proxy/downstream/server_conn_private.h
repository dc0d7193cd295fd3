// What the files of server_conn share: the struct of a client's connection and of the client's side of a stream. Nobody else includes it.
#ifndef DOWNSTREAM_SERVER_CONN_PRIVATE_H
#define DOWNSTREAM_SERVER_CONN_PRIVATE_H

#include "downstream/server_conn.h"

#include "base/check.h"
#include "http/codec.h"

// Between the two GOAWAYs of a drain: more than a round trip (RFC 9113 section 6.8).
#define GOAWAY_PAUSE_NS NS_PER_S

// A client that takes nothing of what is on its way to it in this time is not waited for.
#define SLOW_READER_NS (60 * NS_PER_S)

enum conn_phase {
    CONN_HEADER,    // waits for the PROXY protocol's header
    CONN_DETECT,    // too few bytes to know what is spoken
    CONN_HANDSHAKE, // TLS
    CONN_OPEN,      // has a codec
    CONN_LINGER,    // all was sent; input is thrown away until the client closes
    CONN_CLOSED     // the transport is closing
};

struct server_conn {
    struct list link;
    struct list live; // of the downstream, until it is freed
    uint64_t number;  // of the worker's connections of clients, from 1
    nanoseconds opened_at;
    struct downstream_listener *listener;
    struct transport *transport;
    struct codec *codec;
    struct buffer pending; // read and not yet fed
    struct list streams;   // struct server_stream
    struct stream_client client;
    union address address;     // of the client; the transport's goes before the last stream does
    union address local;       // our own; the same
    uint64_t address_hash;     // as in struct stream_client
    struct spiffe_id identity; // likewise; its text is owned
    union address destination; // where it was going before it was redirected to us; all zero: not known
    struct bytes server_name;  // that its ClientHello asks for, at a gateway or where TLS is passed through; owned
    struct task flush;
    struct task resume; // feeds `pending`
    struct task release;
    struct timer timer;
    nanoseconds head_begun_at; // when the oldest incomplete head began
    nanoseconds idle_since;
    nanoseconds drain_begun_at;
    nanoseconds relay_begun_at;      // of opaque bytes
    uint64_t credentials_generation; // that its handshake was begun with
    nanoseconds drains_at;           // soon the peer's leaf ends; UINT64_MAX: never
    nanoseconds ends_at;             // it ends: closed then, whatever is on it; UINT64_MAX: never
    uint32_t heads_open;             // requests whose head is incomplete
    uint32_t stream_count;           // on `streams`
    enum conn_phase phase;
    bool paused;     // reading is off: a body or `pending` is full
    bool wants_room; // a codec without streams of its own left some of what it was to send
    bool input_ended;
    bool output_ended; // ours was told: upstream's direction of a tunnel
    bool input_unread; // a request was answered that had not been read to its end
    bool draining;
    bool distrusted;      // draining since its peer is no longer trusted
    bool drained_finally; // the last GOAWAY went out
    bool is_edge;         // TLS with a client from outside, at a gateway
    bool answered;        // a final head went out
    bool wants_ticket;    // it was the first, on TLS
    bool awaits_protocol; // silence has a meaning: the client may wait for its server
    bool was_silent;      // it has, and what comes first on it now tells whether it does
    bool transport_closed;
    bool shakes_hands; // counted in the downstream's handshakes
};

// The client's side of a stream; lies in the stream's pool.
struct server_stream {
    struct stream_sink sink;
    struct codec_stream codec_stream;
    struct server_conn *conn; // NULL once the connection is closed
    struct stream *stream;
    struct list link;
    nanoseconds taken_at; // once finished: when the client was last seen to take some of what the codec still has
    uint64_t taken;       // how much it had taken then
    bool head_open;
    bool finished; // the stream is over: released once the codec has forgotten it
    bool released;
};

static inline struct loop *loop_of(const struct server_conn *conn) {
    return conn->listener->downstream->env->loop;
}

static inline struct worker_metrics *metrics_of(const struct server_conn *conn) {
    return conn->listener->downstream->env->metrics;
}

static inline const struct limits_config *limits_of(const struct server_conn *conn) {
    return &conn->listener->bound->snapshot->proxy.limits;
}

static inline struct limit_cells *limit_cells_of(const struct server_conn *conn) {
    return metrics_of(conn)->limits;
}

static inline void flush_later(struct server_conn *conn) {
    if (conn->phase != CONN_OPEN)
        return;
    if (conn->codec->version == HTTP_2)
        loop_flush(loop_of(conn), &conn->flush);
    else
        loop_flush_soon(loop_of(conn), &conn->flush);
}

static inline void watch_by(struct server_conn *conn, nanoseconds deadline) {
    struct loop *loop = loop_of(conn);
    if (!timer_is_running(&conn->timer) || conn->timer.expiry_ms * NS_PER_MS > deadline)
        timer_start(&loop->timers, &conn->timer, deadline);
}

static inline bool is_idle(const struct server_conn *conn) {
    return list_is_empty(&conn->streams);
}

// server_stream.c: what the codec tells, and the stream's way down.
extern const struct codec_handler server_codec_handler;

// The stream is over and the codec has forgotten it.
void server_stream_release(struct server_stream *stream);

// It is finished, and the codec still has some of its response: until when the client must have taken some more. UINT64_MAX: it may take its time.
nanoseconds server_stream_patience(const struct server_stream *stream);

// Gives up a finished stream of which the client has taken nothing until then.
void server_stream_look(struct server_stream *stream, nanoseconds now);

// Its head is complete, or will never be.
void server_stream_close_head(struct server_stream *stream);

// server_conn_begin.c: from an accepted socket to its codec.
void server_conn_begin(struct server_conn *conn);
void server_conn_on_first_bytes(struct server_conn *conn, struct bytes in);
void server_conn_on_ready(void *user, enum error error);

// The handshake is over, or the connection is.
void server_conn_end_handshake(struct server_conn *conn);

// The timer has run out before anything was decided. False: that has no meaning there.
bool server_conn_on_silence(struct server_conn *conn);

// The client's end came before anything was decided. False: there is nothing to go on with.
bool server_conn_on_early_end(struct server_conn *conn);

// server_conn.c: of the socket's transport, and of TLS above it.
extern const struct transport_handler server_conn_transport_events;

// server_conn.c: reading goes on where it was paused and nothing stands in its way.
void server_conn_resume_reading(struct server_conn *conn);

// Its memory goes once its transport and its last stream are gone: streams refer to its address and identity.
void server_conn_free_when_unused(struct server_conn *conn);

// server_conn_close.c: counts that the connection closes for `reason`, tells the audit log where that refuses its client, and returns what the streams that are open on it end with.
enum error server_conn_note_close(struct server_conn *conn, enum error reason);

// server_conn_time.c: whatever the connection waits for.
void server_conn_on_timer(struct timer *timer);

#endif
