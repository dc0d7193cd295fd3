// See server_conn.h. Callbacks of transport and codec record and wake streams; the flush task is where a connection decides about its own end. What a connection
// begins with stands in server_conn_begin.c, the client's side of streams in server_stream.c, what time does in server_conn_time.c, what the end means in
// server_conn_close.c.
#include "downstream/server_conn.h"

#include "base/limits.h"
#include "base/log.h"
#include "downstream/server_conn_private.h"
#include "net/original_destination.h"

#include <stdlib.h>

// After the last response the client gets this long to read it and to close, while what it still sends is thrown away: closing at once would reset
// the connection and take the response with it (RFC 9112 section 9.6).
#define LINGER_NS (2 * NS_PER_S)

// --- closing ---

static void free_conn(struct task *task) {
    struct server_conn *conn = CONTAINER_OF(task, struct server_conn, release);
    struct downstream_listener *listener = conn->listener;
    list_remove(&conn->link);
    list_remove(&conn->live);
    buffer_dispose(&conn->pending);
    bytes_drop(&conn->identity.text);
    bytes_drop(&conn->client.forwarded_cert);
    bytes_drop(&conn->server_name);
    free(conn);
    downstream_connection_gone(listener);
}

// The connection's memory goes when its transport and its last stream are gone: streams refer to its address and identity.
void server_conn_free_when_unused(struct server_conn *conn) {
    if (conn->transport_closed && is_idle(conn) && !list_is_linked(&conn->release.link))
        loop_defer(loop_of(conn), &conn->release);
}

static void drop_streams(struct server_conn *conn, enum error end) {
    LIST_EACH(&conn->streams, node, following) {
        struct server_stream *stream = LIST_ENTRY(node, struct server_stream, link);
        stream->codec_stream.codec = NULL;
        if (stream->finished)
            server_stream_release(stream);
        else
            stream_on_failed(stream->stream, end);
    }
}

void server_conn_close(struct server_conn *conn, enum error reason) {
    if (conn->phase == CONN_CLOSED)
        return;
    // A response that is cut short must not look whole; what a handshake that failed has to say must arrive.
    bool reset = conn->phase != CONN_LINGER && conn->phase != CONN_HANDSHAKE && transport_has_output(conn->transport);
    bool breaks_off = conn->codec != NULL && conn->codec->breaks_off;
    conn->phase = CONN_CLOSED;
    server_conn_end_handshake(conn);
    enum error stream_end = server_conn_note_close(conn, reason);
    loop_timer_stop(loop_of(conn), &conn->timer);
    task_cancel(&conn->flush);
    task_cancel(&conn->resume);
    if (conn->codec != NULL) {
        conn->codec->ops->dispose(conn->codec);
        conn->codec = NULL;
    }
    drop_streams(conn, stream_end);
    buffer_clear(&conn->pending);
    conn->transport->ops->close(conn->transport, breaks_off || (reset && reason != ERROR_CONNECTION_CLOSED));
}

// Some of what was still to be sent may be gone.
static void linger_on(struct server_conn *conn) {
    bool sent = !transport_has_output(conn->transport);
    if (sent && (conn->input_ended || !conn->input_unread)) {
        server_conn_close(conn, conn->draining ? ERROR_DRAINING : conn->input_ended ? ERROR_CONNECTION_CLOSED : OK);
        return;
    }
    nanoseconds patience = sent ? LINGER_NS : SLOW_READER_NS;
    timer_start(&loop_of(conn)->timers, &conn->timer, loop_of(conn)->now + patience);
}

static void linger(struct server_conn *conn) {
    conn->phase = CONN_LINGER;
    // A client on HTTP/2 sends windows and answers of its own accord; one on HTTP/1 may have sent its next request already.
    if (conn->codec->version == HTTP_2 || !buffer_is_empty(&conn->pending))
        conn->input_unread = true;
    buffer_clear(&conn->pending);
    conn->transport->ops->shutdown(conn->transport);
    conn->transport->ops->flush(conn->transport);
    conn->transport->ops->read_start(conn->transport);
    linger_on(conn);
}

// --- input ---

static bool body_is_full(const struct server_conn *conn) {
    LIST_EACH(&conn->streams, node, following) {
        const struct server_stream *stream = LIST_ENTRY(node, struct server_stream, link);
        if (!stream->finished && stream->stream->request_body.length >= stream_body_credit(stream->stream))
            return true;
    }
    return false;
}

void server_conn_resume_reading(struct server_conn *conn) {
    if (!conn->paused || !buffer_is_empty(&conn->pending) || conn->phase != CONN_OPEN)
        return;
    if (conn->codec->version != HTTP_2 && body_is_full(conn))
        return;
    conn->paused = false;
    conn->transport->ops->read_start(conn->transport);
}

static void keep_pending(struct server_conn *conn, struct block *block, struct bytes rest) {
    buffer_append_piece(&conn->pending, block, rest);
    conn->paused = true;
    conn->transport->ops->read_stop(conn->transport);
}

// False when the connection is lost or the codec pauses.
static bool feed(struct server_conn *conn, struct block *block, struct bytes in, size_t *used) {
    uint32_t refused = conn->codec->streams_refused;
    enum error error = conn->codec->ops->feed(conn->codec, block, in, used);
    for (; refused != conn->codec->streams_refused; refused++)
        limit_hit(limit_cells_of(conn), LIMIT_METRIC_STREAMS_PER_CONNECTION);
    // Over HTTP/1 there is nothing to say while an exchange is under way, which flushes when it answers.
    if (conn->codec->version == HTTP_2 || is_idle(conn) || !buffer_is_empty(&conn->transport->out))
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

// The client sends nothing more: what is not complete now never will be.
static void feed_end(struct server_conn *conn) {
    struct block *block = block_get(&loop_of(conn)->blocks);
    size_t used = 0;
    (void)feed(conn, block, BYTES_NONE, &used);
    block_unref(block);
}

// HTTP/1 writes answers at once: one who asks and does not read gets no further one begun. (An HTTP/2 codec refuses requests then.)
static bool is_unread(const struct server_conn *conn) {
    return conn->codec->version != HTTP_2 && is_idle(conn) && conn->transport->out.length >= LIMIT_OUTPUT_BYTES / 2;
}

static void on_resume(struct task *task) {
    struct server_conn *conn = CONTAINER_OF(task, struct server_conn, resume);
    while (conn->phase == CONN_OPEN && !buffer_is_empty(&conn->pending)) {
        if (is_unread(conn))
            return; // wake_for_room goes on from here
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
        feed_end(conn);
    server_conn_resume_reading(conn);
}

static void on_bytes(void *user, struct block *block, struct bytes in) {
    struct server_conn *conn = user;
    size_t used = 0;
    switch (conn->phase) {
    case CONN_HEADER:
    case CONN_DETECT:
        server_conn_on_first_bytes(conn, in);
        return;
    case CONN_OPEN:
        break;
    default:
        return; // lingering: thrown away
    }
    if (!buffer_is_empty(&conn->pending) || is_unread(conn)) {
        keep_pending(conn, block, in);
        return;
    }
    if (!feed(conn, block, in, &used) && conn->phase == CONN_OPEN)
        keep_pending(conn, block, bytes_from(in.at + used, in.len - used));
}

static void end_input(struct server_conn *conn) {
    conn->input_ended = true;
    if (conn->codec == NULL) {
        if (!server_conn_on_early_end(conn))
            server_conn_close(conn, ERROR_CONNECTION_CLOSED);
        return;
    }
    if (buffer_is_empty(&conn->pending))
        feed_end(conn);
    // A client may end its side and wait for its answers, and looks then as one that is gone. Over HTTP/2 that can be told: one that is gone answers
    // whatever it is sent with a reset, also where a stream waits for a window that nobody can open any more.
    if (conn->phase == CONN_OPEN && conn->codec->version == HTTP_2)
        conn->codec->ops->signal(conn->codec, CODEC_PING);
    // With no answers to come, and none on their way, the connection is over.
    if (conn->phase == CONN_OPEN && is_idle(conn) && buffer_is_empty(&conn->pending) && !transport_has_output(conn->transport))
        server_conn_close(conn, ERROR_CONNECTION_CLOSED);
}

static void on_ended(void *user, enum error error) {
    struct server_conn *conn = user;
    if (error != ERROR_CONNECTION_CLOSED) {
        server_conn_close(conn, error);
    } else if (conn->phase == CONN_LINGER) {
        conn->input_ended = true;
        linger_on(conn);
    } else {
        end_input(conn);
    }
}

// --- output ---

// The output was full and has room again. An HTTP/2 codec has what waits in its own streams and is asked for more; HTTP/1 takes it from whoever has some.
static void wake_for_room(struct server_conn *conn) {
    if (conn->transport->out.length >= buffer_bound(&conn->transport->out, LIMIT_OUTPUT_BYTES) / 2)
        return;
    if (conn->codec->version == HTTP_2) {
        flush_later(conn);
        return;
    }
    conn->wants_room = false;
    LIST_EACH(&conn->streams, node, following) {
        struct server_stream *stream = LIST_ENTRY(node, struct server_stream, link);
        if (!stream->finished && stream->stream->state == STREAM_RESPONSE)
            stream_on_writable(stream->stream);
    }
    if (is_idle(conn) && !buffer_is_empty(&conn->pending))
        loop_wake(loop_of(conn), &conn->resume);
}

static void flush_now(struct task *task) {
    struct server_conn *conn = CONTAINER_OF(task, struct server_conn, flush);
    CHECK(conn->phase == CONN_OPEN);
    if (conn->wants_ticket) {
        // Off the handshake, but in front of the first answer in the same write: a client that closes behind it has its ticket.
        conn->wants_ticket = false;
        tls_send_ticket(conn->transport);
    }
    enum error error = conn->codec->ops->produce(conn->codec);
    const bool was_full = conn->wants_room || conn->transport->out.length >= LIMIT_OUTPUT_BYTES / 2;
    conn->transport->ops->flush(conn->transport);
    if (conn->transport->out.length >= LIMIT_OUTPUT_BYTES)
        metric_add(&metrics_of(conn)->output_full, 1);
    if (conn->phase != CONN_OPEN)
        return;
    if (conn->codec->ends_output && !conn->output_ended) {
        conn->output_ended = true;
        conn->transport->ops->shutdown(conn->transport);
    }
    if (error != OK) {
        server_conn_close(conn, error);
    } else if (conn->codec->breaks_off) {
        server_conn_close(conn, OK);
    } else if (is_idle(conn) && conn->codec->close_when_flushed) {
        linger(conn);
    } else if (is_idle(conn) && conn->input_ended && buffer_is_empty(&conn->pending)) {
        linger(conn);
    } else {
        if (was_full)
            wake_for_room(conn);
        if (is_idle(conn) && limits_of(conn)->idle_timeout > 0 && !timer_is_running(&conn->timer))
            watch_by(conn, conn->idle_since + limits_of(conn)->idle_timeout);
    }
}

static void on_drained(void *user) {
    struct server_conn *conn = user;
    if (conn->phase == CONN_LINGER) {
        linger_on(conn);
        return;
    }
    if (conn->phase != CONN_OPEN)
        return;
    wake_for_room(conn);
    flush_later(conn);
}

// --- begin ---

static void on_closed(void *user) {
    struct server_conn *conn = user;
    conn->transport_closed = true;
    server_conn_free_when_unused(conn);
}

const struct transport_handler server_conn_transport_events = {
    .ready = server_conn_on_ready,
    .bytes = on_bytes,
    .ended = on_ended,
    .drained = on_drained,
    .closed = on_closed,
};

void server_conn_open(struct downstream_listener *listener, int socket) {
    struct downstream *downstream = listener->downstream;
    struct server_conn *conn = alloc_zeroed_or_abort(1, sizeof *conn);
    conn->listener = listener;
    if (listener->config->transparent && original_destination(socket, &conn->destination))
        conn->client.destination = &conn->destination;
    if (downstream->adopt(downstream->env->loop, socket, &server_conn_transport_events, conn, &conn->transport) != OK) {
        metric_add(&downstream->env->metrics->downstream_refused_descriptors, 1);
        listener_shared_give_back(listener->shared);
        free(conn);
        return;
    }
    conn->transport->total_in = &downstream->env->metrics->downstream_bytes_in;
    conn->transport->total_out = &downstream->env->metrics->downstream_bytes_out;
    buffer_init(&conn->pending, &downstream->env->loop->blocks);
    list_init(&conn->link);
    list_init(&conn->live);
    list_init(&conn->streams);
    task_init(&conn->flush, flush_now);
    task_init(&conn->resume, on_resume);
    task_init(&conn->release, free_conn);
    timer_init(&conn->timer, server_conn_on_timer);
    conn->address = conn->transport->peer;
    conn->client.address = &conn->address;
    conn->local = conn->transport->local;
    conn->client.local = &conn->local;
    conn->client.address_hash = &conn->address_hash;
    conn->drains_at = conn->ends_at = UINT64_MAX;
    conn->opened_at = conn->idle_since = downstream->env->loop->now;
    conn->number = conn->client.number = ++downstream->connections_made;
    list_push_front(&downstream->live, &conn->live);
    list_push_back(&listener->connections, &conn->link);
    listener->connection_count++;
    atomic_fetch_add_explicit(&downstream->connections, 1, memory_order_relaxed);
    metric_add(&downstream->env->metrics->downstream_active, 1);
    server_conn_begin(conn);
}

struct server_conn *server_conn_of_link(struct list *link) {
    return LIST_ENTRY(link, struct server_conn, link);
}
