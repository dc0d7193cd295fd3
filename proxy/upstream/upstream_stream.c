// See upstream_stream.h. What the codec tells is recorded and the stream's owner woken; where the connection goes when a stream ends is decided in upstream_conn.c.
#include "upstream/upstream_stream.h"

#include "base/check.h"
#include "upstream/upstream.h"
#include "upstream/upstream_conn.h"

static void wake(struct upstream_conn *conn, struct upstream_stream *stream) {
    loop_wake(conn->upstream->loop, stream->task);
}

static void note_over(struct upstream_stream *stream) {
    if (stream->over_at == 0)
        stream->over_at = stream->conn->upstream->loop->now;
}

static void detach(struct upstream_stream *stream) {
    list_remove(&stream->link);
    stream->conn->changed = true;
    stream->conn = NULL;
}

void upstream_stream_fail(struct upstream_stream *stream, enum error error) {
    struct upstream_conn *conn = stream->conn;
    const bool is_half_open = codec_is_raw(conn->codec) && stream->codec_stream.sent < PROGRESS_ENDED;
    if (stream->ended && !is_half_open)
        error = OK; // the response is whole; what remained was the request's rest
    else if (stream->head_arrived && error == ERROR_UPSTREAM_RESET)
        error = ERROR_RESPONSE_INCOMPLETE;
    note_over(stream);
    stream->error = error;
    stream->was_unsent = conn->transport->bytes_out == stream->sent_mark;
    stream->was_silent = conn->transport->bytes_in == stream->received_mark;
    stream->was_conn_lost = conn->closing || conn->input_ended;
    if (stream->was_conn_lost && stream->was_reused && stream->was_silent)
        metric_add(&conn->upstream->metrics->pool_stale, 1);
    wake(conn, stream);
    detach(stream);
}

// --- what the codec tells ---

// Of the body, where no window does it.
static size_t body_bound(const struct upstream_conn *conn, const struct upstream_stream *stream) {
    return buffer_bound(&stream->body, conn->upstream->buffer_per_stream);
}

static struct upstream_stream *stream_of(struct codec_stream *stream) {
    return CONTAINER_OF(stream, struct upstream_stream, codec_stream);
}

static void detach_when_done(struct upstream_stream *stream) {
    if (codec_stream_is_done(&stream->codec_stream))
        detach(stream);
}

static void on_head(void *owner, struct codec_stream *codec_stream, bool end) {
    struct upstream_conn *conn = owner;
    struct upstream_stream *stream = stream_of(codec_stream);
    wake(conn, stream);
    conn->quiet_pings = 0;
    if (codec_stream->head.status < 200 && codec_stream->head.status != 101) {
        stream->interim_count++; // the codec bounds them
        struct interim_head *interim = pool_alloc(codec_stream->pool, sizeof *interim);
        list_init(&interim->link);
        interim->head = codec_stream->head;
        list_push_back(&stream->interim, &interim->link);
        return;
    }
    stream->head_arrived = true;
    stream->ended = end;
    upstream_conn_note_answer(conn);
    if (end) {
        note_over(stream);
        detach_when_done(stream);
    }
}

static void on_body(void *owner, struct codec_stream *codec_stream, struct block *block, struct bytes piece) {
    struct upstream_conn *conn = owner;
    struct upstream_stream *stream = stream_of(codec_stream);
    buffer_append_piece(&stream->body, block, piece);
    conn->quiet_pings = 0;
    wake(conn, stream);
    // HTTP/2 holds the peer by its window instead.
    if (conn->codec->version != HTTP_2 && !conn->paused && stream->body.length >= body_bound(conn, stream)) {
        conn->paused = true;
        conn->transport->ops->read_stop(conn->transport);
    }
}

static void on_end(void *owner, struct codec_stream *codec_stream) {
    struct upstream_stream *stream = stream_of(codec_stream);
    stream->ended = true;
    note_over(stream);
    wake(owner, stream);
    detach_when_done(stream);
}

static void on_failed(void *owner, struct codec_stream *codec_stream, enum error error) {
    (void)owner;
    upstream_stream_fail(stream_of(codec_stream), error);
}

static void on_writable(void *owner, struct codec_stream *codec_stream) {
    struct upstream_stream *stream = stream_of(codec_stream);
    wake(owner, stream);
    detach_when_done(stream);
}

const struct codec_handler upstream_stream_events = {
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .failed = on_failed,
    .writable = on_writable,
};

// --- for attempts ---

enum error upstream_stream_open(struct upstream_conn *conn, struct upstream_stream *stream, const struct head *head, bool end) {
    CHECK(conn->open && !conn->closing && stream->conn == NULL);
    list_init(&stream->link);
    list_init(&stream->interim);
    buffer_init(&stream->body, &conn->upstream->loop->blocks);
    stream->sent_mark = conn->transport->bytes_out;
    stream->received_mark = conn->transport->bytes_in;
    stream->was_reused = conn->streams_total > 0;
    enum error error = conn->codec->ops->send_head(conn->codec, &stream->codec_stream, head, end);
    if (error != OK) {
        if (stream->codec_stream.codec != NULL) // begun, and then the connection failed
            conn->codec->ops->reset(conn->codec, &stream->codec_stream, error);
        upstream_conn_flush(conn);
        upstream_conn_settle(conn); // the place goes to another
        return error;
    }
    conn->streams_total++;
    stream->conn = conn;
    list_push_back(&conn->streams, &stream->link);
    upstream_conn_watch(conn);
    if (stream->was_reused)
        metric_add(&conn->upstream->metrics->pool_reused, 1);
    if (codec_is_raw(conn->codec))
        conn->transport->ops->read_start(conn->transport);
    upstream_conn_flush(conn);
    conn_pool_update(conn->pool, conn);
    return OK;
}

void upstream_stream_send(struct upstream_stream *stream, struct buffer *body, bool end, const struct fields *trailers) {
    struct upstream_conn *conn = stream->conn;
    if (conn == NULL || stream->codec_stream.sent >= PROGRESS_ENDED)
        return;
    conn->codec->ops->send_body(conn->codec, &stream->codec_stream, body, end, trailers);
    stream->wants_room = !buffer_is_empty(body);
    upstream_conn_flush(conn);
    detach_when_done(stream);
    if (conn->changed)
        upstream_conn_settle(conn);
}

void upstream_stream_consumed(struct upstream_stream *stream, size_t count) {
    struct upstream_conn *conn = stream->conn;
    if (conn == NULL)
        return;
    conn->codec->ops->consumed(conn->codec, &stream->codec_stream, count);
    if (conn->codec->version == HTTP_2) {
        upstream_conn_flush(conn);
    } else if (conn->paused && stream->body.length < body_bound(conn, stream) / 2) {
        conn->paused = false;
        conn->transport->ops->read_start(conn->transport);
    }
}

void upstream_stream_cancel(struct upstream_stream *stream, enum error error) {
    struct upstream_conn *conn = stream->conn;
    if (conn == NULL)
        return;
    const bool ran_out_of_time = error == ERROR_TRY_TIMEOUT || error == ERROR_REQUEST_TIMEOUT || error == ERROR_DEADLINE_EXPIRED;
    if (ran_out_of_time && conn->transport->bytes_in == stream->received_mark)
        upstream_conn_doubt(conn);
    conn->codec->ops->reset(conn->codec, &stream->codec_stream, error);
    upstream_conn_flush(conn);
    detach(stream);
    upstream_conn_settle(conn);
}
