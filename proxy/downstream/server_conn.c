// See server_conn.h. Callbacks of transport and codec record and wake streams; the flush task is where a connection decides about its own end.
#include "downstream/server_conn.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "downstream/detect.h"
#include "http/h1_codec.h"

#include <stdlib.h>

// After the last response the client gets this long to read it and to close, while what it still sends is thrown away: closing at once would reset
// the connection and take the response with it (RFC 9112 section 9.6).
#define LINGER_NS (2 * NS_PER_S)

// While the last response is still on its way, as long as some of it moves in this time.
#define SLOW_READER_NS (60 * NS_PER_S)

// Between the two GOAWAYs of a drain: more than a round trip (RFC 9113 section 6.8).
#define GOAWAY_PAUSE_NS NS_PER_S

#define HANDSHAKE_TIMEOUT_NS (10 * NS_PER_S)

enum conn_phase {
    CONN_DETECT,    // too few bytes to know what is spoken
    CONN_HANDSHAKE, // TLS
    CONN_OPEN,      // has a codec
    CONN_LINGER,    // all was sent; input is thrown away until the client closes
    CONN_CLOSED     // the transport is closing
};

struct server_conn {
    struct list link;
    struct downstream_listener *listener;
    struct transport *transport;
    struct codec *codec;
    struct buffer pending;       // read and not yet fed
    struct list streams;         // struct server_stream
    struct stream_client client;
    union address address;       // of the client; the transport's goes before the last stream does
    struct spiffe_id identity;   // likewise; its text is owned
    struct task flush;
    struct task resume;          // feeds `pending`
    struct task release;
    struct timer timer;
    nanoseconds head_begun_at;   // when the oldest incomplete head began
    nanoseconds idle_since;
    nanoseconds drain_begun_at;
    nanoseconds expires_at;      // of the peer's leaf; UINT64_MAX: never
    uint32_t heads_open;         // requests whose head is incomplete
    enum conn_phase phase;
    bool paused;                 // reading is off: a body or `pending` is full
    bool input_ended;
    bool input_unread;           // a request was answered that had not been read to its end
    bool draining;
    bool drained_finally;        // the last GOAWAY went out
    bool ticket_sent;
    bool transport_closed;
};

// The client's side of a stream; lies in the stream's pool.
struct server_stream {
    struct stream_sink sink;
    struct codec_stream codec_stream;
    struct server_conn *conn; // NULL once the connection is closed
    struct stream *stream;
    struct list link;
    bool head_open;
    bool finished;            // the stream is over: released once the codec has forgotten it
    bool released;
};

static const struct transport_handler transport_handler;
static const struct codec_handler codec_handler;
static const struct stream_sink_ops sink_ops;

static struct loop *loop_of(const struct server_conn *conn) {
    return conn->listener->downstream->env->loop;
}

static struct worker_metrics *metrics_of(const struct server_conn *conn) {
    return conn->listener->downstream->env->metrics;
}

static const struct limits_config *limits_of(const struct server_conn *conn) {
    return &conn->listener->bound->snapshot->proxy.limits;
}

static void flush_later(struct server_conn *conn) {
    if (conn->phase == CONN_OPEN)
        loop_flush(loop_of(conn), &conn->flush);
}

static void watch_by(struct server_conn *conn, nanoseconds deadline) {
    struct loop *loop = loop_of(conn);
    if (!timer_is_running(&conn->timer) || conn->timer.expiry_ms * NS_PER_MS > deadline)
        timer_start(&loop->timers, &conn->timer, deadline);
}

static bool is_idle(const struct server_conn *conn) {
    return list_is_empty(&conn->streams);
}

// --- closing ---

static void count_close(struct server_conn *conn, enum error reason) {
    struct worker_metrics *metrics = metrics_of(conn);
    struct metric_cell *cell = &metrics->downstream_closed_finished;
    switch (reason) {
    case ERROR_CONNECTION_CLOSED:
        cell = &metrics->downstream_closed_peer;
        break;
    case ERROR_CONNECTION_RESET:
    case ERROR_CLIENT_GONE:
        cell = &metrics->downstream_closed_reset;
        break;
    case ERROR_IDLE_TIMEOUT:
        cell = &metrics->downstream_closed_idle;
        break;
    case ERROR_HEADER_TIMEOUT:
        cell = &metrics->downstream_closed_header_timeout;
        break;
    case ERROR_DRAINING:
        cell = &metrics->downstream_closed_drain;
        break;
    case ERROR_TLS_FAILED:
    case ERROR_IDENTITY_MISMATCH:
        cell = &metrics->downstream_closed_tls;
        break;
    case ERROR_UNAUTHENTICATED:
        cell = &metrics->downstream_closed_untrusted;
        break;
    case ERROR_PROTOCOL:
    case ERROR_FRAMING_INVALID:
    case ERROR_BAD_REQUEST:
        cell = &metrics->downstream_closed_protocol;
        break;
    case ERROR_FLOOD:
        cell = &metrics->downstream_closed_flood;
        break;
    default:
        break;
    }
    metric_add(cell, 1);
    metric_add(&metrics->downstream_bytes_in, conn->transport->bytes_in);
    metric_add(&metrics->downstream_bytes_out, conn->transport->bytes_out);
}

static void release_stream(struct server_stream *stream) {
    CHECK(stream->finished && !stream->released);
    stream->released = true;
    list_remove(&stream->link);
    stream_release(stream->stream);
}

static void free_conn(struct task *task) {
    struct server_conn *conn = CONTAINER_OF(task, struct server_conn, release);
    struct downstream_listener *listener = conn->listener;
    list_remove(&conn->link);
    buffer_dispose(&conn->pending);
    free((void *)(uintptr_t)conn->identity.text.at);
    free(conn);
    downstream_connection_gone(listener);
}

// The connection's memory goes when its transport and its last stream are gone: streams refer to its address and identity.
static void free_when_unused(struct server_conn *conn) {
    if (conn->transport_closed && is_idle(conn) && !list_is_linked(&conn->release.link))
        loop_defer(loop_of(conn), &conn->release);
}

static void drop_streams(struct server_conn *conn) {
    LIST_EACH(&conn->streams, node, following) {
        struct server_stream *stream = LIST_ENTRY(node, struct server_stream, link);
        stream->codec_stream.codec = NULL;
        if (stream->finished)
            release_stream(stream);
        else
            stream_on_failed(stream->stream, ERROR_CLIENT_GONE);
    }
}

void server_conn_close(struct server_conn *conn, enum error reason) {
    if (conn->phase == CONN_CLOSED)
        return;
    bool reset = conn->phase != CONN_LINGER && !buffer_is_empty(&conn->transport->out);
    conn->phase = CONN_CLOSED;
    count_close(conn, reason);
    loop_timer_stop(loop_of(conn), &conn->timer);
    task_cancel(&conn->flush);
    task_cancel(&conn->resume);
    if (conn->codec != NULL) {
        conn->codec->ops->dispose(conn->codec);
        conn->codec = NULL;
    }
    drop_streams(conn);
    buffer_clear(&conn->pending);
    conn->transport->ops->close(conn->transport, reset && reason != ERROR_CONNECTION_CLOSED);
}

static void linger(struct server_conn *conn) {
    conn->phase = CONN_LINGER;
    buffer_clear(&conn->pending);
    conn->transport->ops->shutdown(conn->transport);
    conn->transport->ops->flush(conn->transport);
    if (conn->input_ended || (!conn->input_unread && buffer_is_empty(&conn->transport->out))) {
        server_conn_close(conn, conn->draining ? ERROR_DRAINING : OK);
        return;
    }
    conn->transport->ops->read_start(conn->transport);
    nanoseconds patience = buffer_is_empty(&conn->transport->out) ? LINGER_NS : SLOW_READER_NS;
    timer_start(&loop_of(conn)->timers, &conn->timer, loop_of(conn)->now + patience);
}

// --- codec ---

static struct server_stream *stream_of(struct codec_stream *stream) {
    return CONTAINER_OF(stream, struct server_stream, codec_stream);
}

static void close_head(struct server_stream *stream) {
    if (!stream->head_open)
        return;
    stream->head_open = false;
    stream->conn->heads_open--;
}

static struct codec_stream *on_begin(void *owner) {
    struct server_conn *conn = owner;
    struct downstream_listener *listener = conn->listener;
    void *memory;
    struct stream *stream = stream_create(listener->downstream->env, listener->bound, listener->config, &conn->client,
                                          sizeof(struct server_stream), &memory);
    struct server_stream *side = memory;
    side->sink.ops = &sink_ops;
    side->codec_stream.pool = &stream->pool;
    side->conn = conn;
    side->stream = stream;
    side->head_open = true;
    list_init(&side->link);
    list_push_back(&conn->streams, &side->link);
    stream->sink = &side->sink;
    if (conn->heads_open++ == 0)
        conn->head_begun_at = loop_of(conn)->now;
    return &side->codec_stream;
}

static void on_head(void *owner, struct codec_stream *codec_stream, bool end) {
    (void)owner;
    struct server_stream *stream = stream_of(codec_stream);
    close_head(stream);
    stream_on_head(stream->stream, &codec_stream->head, end);
}

static void on_body(void *owner, struct codec_stream *codec_stream, struct block *block, struct bytes piece) {
    struct server_conn *conn = owner;
    struct server_stream *stream = stream_of(codec_stream);
    stream_on_body(stream->stream, block, piece);
    // HTTP/2 holds the client by its window instead.
    if (conn->codec->version != HTTP_2 && !conn->paused && stream->stream->request_body.length >= stream_body_credit(stream->stream)) {
        conn->paused = true;
        conn->transport->ops->read_stop(conn->transport);
    }
}

static void on_end(void *owner, struct codec_stream *codec_stream) {
    (void)owner;
    stream_on_end(stream_of(codec_stream)->stream, &codec_stream->trailers);
}

static void release_when_done(struct server_stream *stream) {
    struct server_conn *conn = stream->conn;
    bool forgotten = stream->codec_stream.codec == NULL || codec_stream_is_done(&stream->codec_stream);
    if (!stream->finished || stream->released || !forgotten)
        return;
    release_stream(stream);
    if (is_idle(conn))
        conn->idle_since = loop_of(conn)->now;
    if (conn->phase == CONN_OPEN && !buffer_is_empty(&conn->pending))
        loop_wake(loop_of(conn), &conn->resume);
    free_when_unused(conn);
}

static void on_failed(void *owner, struct codec_stream *codec_stream, enum error error) {
    (void)owner;
    struct server_stream *stream = stream_of(codec_stream);
    close_head(stream);
    if (stream->finished)
        release_when_done(stream);
    else
        stream_on_failed(stream->stream, error);
}

static void on_writable(void *owner, struct codec_stream *codec_stream) {
    (void)owner;
    struct server_stream *stream = stream_of(codec_stream);
    if (stream->finished)
        release_when_done(stream);
    else
        stream_on_writable(stream->stream);
}

static const struct codec_handler codec_handler = {
    .begin = on_begin,
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .failed = on_failed,
    .writable = on_writable,
};

// --- the stream's way down ---

static struct server_stream *side_of(struct stream_sink *sink) {
    return CONTAINER_OF(sink, struct server_stream, sink);
}

static bool can_send(const struct server_stream *stream) {
    return stream->conn->phase == CONN_OPEN && stream->codec_stream.codec != NULL;
}

static void sink_send_head(struct stream_sink *sink, const struct head *head, bool end) {
    struct server_stream *stream = side_of(sink);
    if (!can_send(stream))
        return;
    struct codec *codec = stream->conn->codec;
    if (codec->ops->send_head(codec, &stream->codec_stream, head, end) != OK)
        stream_on_failed(stream->stream, ERROR_CLIENT_GONE);
    flush_later(stream->conn);
}

static void sink_send_body(struct stream_sink *sink, struct buffer *body, bool end, const struct fields *trailers) {
    struct server_stream *stream = side_of(sink);
    if (!can_send(stream))
        return;
    struct codec *codec = stream->conn->codec;
    codec->ops->send_body(codec, &stream->codec_stream, body, end, trailers);
    flush_later(stream->conn);
}

static void resume_reading(struct server_conn *conn) {
    if (!conn->paused || !buffer_is_empty(&conn->pending) || conn->phase != CONN_OPEN)
        return;
    conn->paused = false;
    conn->transport->ops->read_start(conn->transport);
}

static void sink_consumed(struct stream_sink *sink, size_t count) {
    struct server_stream *stream = side_of(sink);
    struct server_conn *conn = stream->conn;
    if (!can_send(stream))
        return;
    conn->codec->ops->consumed(conn->codec, &stream->codec_stream, count);
    if (conn->codec->version == HTTP_2)
        flush_later(conn);
    else if (conn->paused && stream->stream->request_body.length <= stream_body_credit(stream->stream) / 2)
        resume_reading(conn);
}

static void cut(struct server_stream *stream, enum error error) {
    struct server_conn *conn = stream->conn;
    if (!can_send(stream) || codec_stream_is_done(&stream->codec_stream))
        return;
    if (conn->codec->version != HTTP_2)
        conn->input_unread = true;
    conn->codec->ops->reset(conn->codec, &stream->codec_stream, error);
    stream->codec_stream.codec = NULL;
    flush_later(conn);
}

static void sink_reset(struct stream_sink *sink, enum error error) {
    cut(side_of(sink), error);
}

static void sink_done(struct stream_sink *sink) {
    struct server_stream *stream = side_of(sink);
    stream->finished = true;
    close_head(stream);
    // The response is complete and the request is not: nobody will read its rest.
    if (stream->codec_stream.received < PROGRESS_ENDED && stream->codec_stream.sent >= PROGRESS_ENDED)
        cut(stream, OK);
    flush_later(stream->conn);
    release_when_done(stream);
}

static const struct stream_sink_ops sink_ops = {
    .send_head = sink_send_head,
    .send_body = sink_send_body,
    .consumed = sink_consumed,
    .reset = sink_reset,
    .done = sink_done,
};

// --- input ---

static void keep_pending(struct server_conn *conn, struct block *block, struct bytes rest) {
    buffer_append_piece(&conn->pending, block, rest);
    conn->paused = true;
    conn->transport->ops->read_stop(conn->transport);
}

// False when the connection is lost or the codec pauses.
static bool feed(struct server_conn *conn, struct block *block, struct bytes in, size_t *used) {
    enum error error = conn->codec->ops->feed(conn->codec, block, in, used);
    flush_later(conn);
    if (conn->heads_open > 0)
        watch_by(conn, conn->head_begun_at + limits_of(conn)->header_timeout);
    if (error == OK)
        return *used == in.len;
    log_event(LOG_INFO, "client_protocol_error", "listener=%.*s error=%s", BYTES_FORMAT(conn->listener->name), error_name(error));
    if (conn->codec->ops->produce(conn->codec) == OK)
        conn->transport->ops->flush(conn->transport); // a GOAWAY that says why
    server_conn_close(conn, error);
    return false;
}

static void on_resume(struct task *task) {
    struct server_conn *conn = CONTAINER_OF(task, struct server_conn, resume);
    while (conn->phase == CONN_OPEN && !buffer_is_empty(&conn->pending)) {
        struct block *block = block_ref(buffer_front_block(&conn->pending));
        size_t used = 0;
        bool all = feed(conn, block, buffer_front(&conn->pending), &used);
        if (conn->phase == CONN_OPEN)
            buffer_consume(&conn->pending, used);
        block_unref(block);
        if (!all)
            return;
    }
    if (conn->phase == CONN_OPEN && conn->input_ended)
        flush_later(conn);
    resume_reading(conn);
}

static void become_open(struct server_conn *conn, bool http2) {
    struct downstream *downstream = conn->listener->downstream;
    const struct limits_config *limits = limits_of(conn);
    struct codec_limits codec_limits = {
        .headers = limits->headers,
        .header_bytes = limits->header_bytes,
        .url_bytes = limits->url_bytes,
        .streams = limits->streams_per_connection,
        .stream_window = limits->buffer_per_stream,
        .stream_window_max = 1024 * 1024,
    };
    struct buffer *out = &conn->transport->out;
    conn->codec = http2 ? h2_codec_create(CODEC_SERVER, &codec_limits, &codec_handler, conn, out, downstream->h2_memory)
                        : h1_codec_create(CODEC_SERVER, &codec_limits, &codec_handler, conn, out);
    conn->codec->scheme = conn->client.secure ? BYTES("https") : BYTES("http");
    conn->phase = CONN_OPEN;
    conn->idle_since = loop_of(conn)->now;
    if (conn->draining || (downstream->draining && conn->listener->config->role == ROLE_INBOUND))
        server_conn_drain(conn);
    flush_later(conn);
}

static void begin_tls(struct server_conn *conn) {
    struct downstream *downstream = conn->listener->downstream;
    if (downstream->credentials == NULL) {
        log_event(LOG_WARN, "client_tls_failed", "listener=%.*s reason=\"no identity yet\"", BYTES_FORMAT(conn->listener->name));
        server_conn_close(conn, ERROR_TLS_FAILED);
        return;
    }
    struct tls_server_options options = {
        .credentials = downstream->credentials,
        .require_client = true,
        .handshake_timeout = HANDSHAKE_TIMEOUT_NS,
        .counters = &downstream->env->upstream->tls_counters,
    };
    conn->phase = CONN_HANDSHAKE;
    conn->transport = tls_server_create(conn->transport, &options, &conn->pending, &transport_handler, conn);
    conn->transport->ops->read_start(conn->transport);
}

static void detect_now(struct server_conn *conn) {
    struct bytes in = buffer_front(&conn->pending);
    bool permissive = conn->listener->config->role == ROLE_INBOUND && conn->listener->config->mtls == MTLS_PERMISSIVE;
    switch (detect(in, permissive)) {
    case DETECTED_MORE:
        if (in.len < conn->pending.length)
            server_conn_close(conn, ERROR_BAD_REQUEST); // so little in so many pieces
        else
            watch_by(conn, loop_of(conn)->now + limits_of(conn)->header_timeout);
        return;
    case DETECTED_TLS_MESH:
        begin_tls(conn);
        return;
    case DETECTED_TLS_OTHER:
        log_event(LOG_INFO, "client_tls_not_ours", "listener=%.*s", BYTES_FORMAT(conn->listener->name));
        server_conn_close(conn, ERROR_TLS_FAILED);
        return;
    case DETECTED_HTTP1:
    case DETECTED_HTTP2:
        break;
    }
    become_open(conn, detect(in, permissive) == DETECTED_HTTP2);
    conn->paused = true; // until `pending` was fed
    loop_wake(loop_of(conn), &conn->resume);
}

static void on_bytes(void *user, struct block *block, struct bytes in) {
    struct server_conn *conn = user;
    size_t used = 0;
    switch (conn->phase) {
    case CONN_DETECT:
        buffer_append(&conn->pending, in); // by copy: behind each other in one block
        detect_now(conn);
        return;
    case CONN_OPEN:
        break;
    default:
        return; // lingering: thrown away
    }
    if (!buffer_is_empty(&conn->pending)) {
        keep_pending(conn, block, in);
        return;
    }
    if (!feed(conn, block, in, &used) && conn->phase == CONN_OPEN)
        keep_pending(conn, block, bytes_from(in.at + used, in.len - used));
}

static void end_input(struct server_conn *conn) {
    conn->input_ended = true;
    if (conn->codec == NULL) {
        server_conn_close(conn, ERROR_CONNECTION_CLOSED);
        return;
    }
    if (buffer_is_empty(&conn->pending)) {
        struct block *block = block_get(&loop_of(conn)->blocks);
        size_t used = 0;
        (void)feed(conn, block, BYTES_NONE, &used);
        block_unref(block);
    }
    // A client may end its side and wait for its answers; with none to come the connection is over.
    if (conn->phase == CONN_OPEN && is_idle(conn) && buffer_is_empty(&conn->pending))
        server_conn_close(conn, ERROR_CONNECTION_CLOSED);
}

static void on_ended(void *user, enum error error) {
    struct server_conn *conn = user;
    if (error == ERROR_CONNECTION_CLOSED && conn->phase != CONN_LINGER)
        end_input(conn);
    else
        server_conn_close(conn, error);
}

// --- output ---

static void wake_for_room(struct server_conn *conn) {
    if (conn->codec->version == HTTP_2 || conn->transport->out.length >= LIMIT_OUTPUT_BYTES / 2)
        return;
    LIST_EACH(&conn->streams, node, following) {
        struct server_stream *stream = LIST_ENTRY(node, struct server_stream, link);
        if (!stream->finished && stream->stream->state == STREAM_RESPONSE)
            stream_on_writable(stream->stream);
    }
}

static void flush_now(struct task *task) {
    struct server_conn *conn = CONTAINER_OF(task, struct server_conn, flush);
    CHECK(conn->phase == CONN_OPEN);
    enum error error = conn->codec->ops->produce(conn->codec);
    bool was_full = conn->transport->out.length >= LIMIT_OUTPUT_BYTES / 2;
    conn->transport->ops->flush(conn->transport);
    if (conn->phase != CONN_OPEN)
        return;
    if (error != OK) {
        server_conn_close(conn, error);
    } else if (is_idle(conn) && conn->codec->close_when_flushed) {
        linger(conn);
    } else if (is_idle(conn) && conn->input_ended && buffer_is_empty(&conn->pending) && buffer_is_empty(&conn->transport->out)) {
        server_conn_close(conn, ERROR_CONNECTION_CLOSED);
    } else {
        if (was_full)
            wake_for_room(conn);
        if (!conn->ticket_sent && conn->client.secure && !conn->client.mesh && is_idle(conn)) {
            conn->ticket_sent = true; // behind the first answer, so that the handshake does not wait for it
            tls_send_ticket(conn->transport);
        }
        if (is_idle(conn) && limits_of(conn)->idle_timeout > 0 && !timer_is_running(&conn->timer))
            watch_by(conn, conn->idle_since + limits_of(conn)->idle_timeout);
    }
}

static void on_drained(void *user) {
    struct server_conn *conn = user;
    if (conn->phase == CONN_LINGER) {
        nanoseconds patience = buffer_is_empty(&conn->transport->out) ? LINGER_NS : SLOW_READER_NS;
        timer_start(&loop_of(conn)->timers, &conn->timer, loop_of(conn)->now + patience);
        return;
    }
    if (conn->phase != CONN_OPEN)
        return;
    wake_for_room(conn);
    flush_later(conn);
}

// --- begin, drain, time ---

static void keep_identity(struct server_conn *conn, const struct spiffe_id *id) {
    const char *reason;
    struct bytes text = bytes_from(copy_text_or_abort(id->text), id->text.len);
    enum error error = spiffe_id_parse(text, &conn->identity, &reason);
    CHECK(error == OK); // the handshake has checked it
    conn->client.identity = &conn->identity;
}

static void on_ready(void *user, enum error error) {
    struct server_conn *conn = user;
    CHECK(conn->phase == CONN_HANDSHAKE);
    if (error != OK) {
        log_event(LOG_INFO, "client_tls_failed", "listener=%.*s error=%s reason=\"%s\"", BYTES_FORMAT(conn->listener->name), error_name(error),
                  conn->transport->failure == NULL ? "" : conn->transport->failure);
        server_conn_close(conn, error);
        return;
    }
    conn->client.secure = true;
    if (conn->transport->peer_id != NULL)
        keep_identity(conn, conn->transport->peer_id);
    conn->client.mesh = bytes_equal(conn->transport->alpn, BYTES(ALPN_MESH));
    int64_t left_s = tls_peer_not_after(conn->transport) - (int64_t)(clock_wall_ns() / NS_PER_S);
    if (left_s > 0 && left_s < INT32_MAX) {
        conn->expires_at = loop_of(conn)->now + (nanoseconds)left_s * NS_PER_S;
        watch_by(conn, conn->expires_at);
    }
    become_open(conn, conn->client.mesh || bytes_equal(conn->transport->alpn, BYTES("h2")));
}

static void on_closed(void *user) {
    struct server_conn *conn = user;
    conn->transport_closed = true;
    free_when_unused(conn);
}

static const struct transport_handler transport_handler = {
    .ready = on_ready,
    .bytes = on_bytes,
    .ended = on_ended,
    .drained = on_drained,
    .closed = on_closed,
};

void server_conn_drain(struct server_conn *conn) {
    if (conn->phase == CONN_CLOSED || conn->phase == CONN_LINGER || conn->drain_begun_at != 0)
        return;
    conn->draining = true;
    if (conn->phase != CONN_OPEN)
        return; // as soon as it is open
    conn->drain_begun_at = loop_of(conn)->now;
    conn->codec->ops->signal(conn->codec, CODEC_DRAIN);
    flush_later(conn);
    watch_by(conn, loop_of(conn)->now + GOAWAY_PAUSE_NS);
}

void server_conn_check_peer(struct server_conn *conn, const struct credentials *credentials) {
    if (conn->phase != CONN_OPEN || !conn->client.secure || tls_peer_still_trusted(conn->transport, credentials))
        return;
    metric_add(&metrics_of(conn)->downstream_closed_untrusted, 1);
    server_conn_drain(conn);
}

// A second after the drain began: HTTP/2 is told the last stream that counts; an HTTP/1 client that was idle all the time has none on its way.
static void drain_further(struct server_conn *conn, nanoseconds now) {
    if (now < conn->drain_begun_at + GOAWAY_PAUSE_NS)
        return;
    if (conn->codec->version == HTTP_2 && !conn->drained_finally) {
        conn->drained_finally = true;
        conn->codec->ops->signal(conn->codec, CODEC_DRAIN_FINAL);
        flush_later(conn);
    } else if (conn->codec->version != HTTP_2 && is_idle(conn) && now >= conn->idle_since + GOAWAY_PAUSE_NS) {
        server_conn_close(conn, ERROR_DRAINING);
    }
}

static void time_out_heads(struct server_conn *conn) {
    if (conn->codec->version == HTTP_2) {
        server_conn_close(conn, ERROR_HEADER_TIMEOUT);
        return;
    }
    LIST_EACH(&conn->streams, node, following) {
        struct server_stream *stream = LIST_ENTRY(node, struct server_stream, link);
        if (stream->head_open)
            stream_on_failed(stream->stream, ERROR_HEADER_TIMEOUT);
        close_head(stream);
    }
}

static nanoseconds next_look(const struct server_conn *conn, nanoseconds now) {
    const struct limits_config *limits = limits_of(conn);
    nanoseconds next = conn->expires_at;
    nanoseconds idle = limits->idle_timeout > 0 ? (is_idle(conn) ? conn->idle_since : now) + limits->idle_timeout : UINT64_MAX;
    nanoseconds head = conn->heads_open > 0 ? conn->head_begun_at + limits->header_timeout : UINT64_MAX;
    nanoseconds drain = conn->drain_begun_at != 0 ? now + GOAWAY_PAUSE_NS : UINT64_MAX;
    next = idle < next ? idle : next;
    next = head < next ? head : next;
    return drain < next ? drain : next;
}

static void on_timer(struct timer *timer) {
    struct server_conn *conn = CONTAINER_OF(timer, struct server_conn, timer);
    nanoseconds now = loop_of(conn)->now;
    const struct limits_config *limits = limits_of(conn);
    if (conn->phase == CONN_DETECT) {
        server_conn_close(conn, buffer_is_empty(&conn->pending) ? ERROR_IDLE_TIMEOUT : ERROR_HEADER_TIMEOUT);
        return;
    }
    if (conn->phase != CONN_OPEN) {
        server_conn_close(conn, OK); // it has lingered long enough
        return;
    }
    if (conn->heads_open > 0 && now >= conn->head_begun_at + limits->header_timeout)
        time_out_heads(conn);
    else if (is_idle(conn) && limits->idle_timeout > 0 && now >= conn->idle_since + limits->idle_timeout)
        server_conn_close(conn, ERROR_IDLE_TIMEOUT);
    else if (now >= conn->expires_at && conn->drain_begun_at == 0)
        server_conn_drain(conn);
    else if (conn->drain_begun_at != 0)
        drain_further(conn, now);
    if (conn->phase != CONN_OPEN)
        return;
    if (now >= conn->expires_at)
        conn->expires_at = UINT64_MAX;
    nanoseconds next = next_look(conn, now);
    if (next != UINT64_MAX)
        watch_by(conn, next);
}

void server_conn_open(struct downstream_listener *listener, int socket) {
    struct downstream *downstream = listener->downstream;
    struct server_conn *conn = alloc_zeroed_or_abort(1, sizeof *conn);
    conn->listener = listener;
    if (downstream->adopt(downstream->env->loop, socket, &transport_handler, conn, &conn->transport) != OK) {
        metric_add(&downstream->env->metrics->downstream_refused_descriptors, 1);
        free(conn);
        return;
    }
    buffer_init(&conn->pending, &downstream->env->loop->blocks);
    list_init(&conn->link);
    list_init(&conn->streams);
    task_init(&conn->flush, flush_now);
    task_init(&conn->resume, on_resume);
    task_init(&conn->release, free_conn);
    timer_init(&conn->timer, on_timer);
    conn->address = conn->transport->peer;
    conn->client.address = &conn->address;
    conn->expires_at = UINT64_MAX;
    conn->idle_since = downstream->env->loop->now;
    list_push_back(&listener->connections, &conn->link);
    listener->connection_count++;
    atomic_fetch_add_explicit(&downstream->connections, 1, memory_order_relaxed);
    metric_add(&downstream->env->metrics->downstream_active, 1);
    if (listener->config->role == ROLE_INBOUND && listener->config->mtls == MTLS_STRICT) {
        begin_tls(conn);
        return;
    }
    if (limits_of(conn)->idle_timeout > 0)
        watch_by(conn, conn->idle_since + limits_of(conn)->idle_timeout);
    conn->transport->ops->read_start(conn->transport);
}

struct server_conn *server_conn_of_link(struct list *link) {
    return LIST_ENTRY(link, struct server_conn, link);
}
