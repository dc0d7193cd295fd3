// The client's side of a stream: what the codec tells of it goes up (struct codec_handler), what the stream sends goes down (struct stream_sink_ops). See
// server_conn.h for the connection itself.
#include "downstream/server_conn_private.h"

static const struct stream_sink_ops sink_ops;

void server_stream_release(struct server_stream *stream) {
    CHECK(stream->finished && !stream->released);
    stream->released = true;
    list_remove(&stream->link);
    stream->conn->stream_count--;
    stream_release(stream->stream);
}

static struct server_stream *stream_of(struct codec_stream *stream) {
    return CONTAINER_OF(stream, struct server_stream, codec_stream);
}

void server_stream_close_head(struct server_stream *stream) {
    if (!stream->head_open)
        return;
    stream->head_open = false;
    stream->conn->heads_open--;
}

static struct codec_stream *on_begin(void *owner) {
    struct server_conn *conn = owner;
    struct downstream_listener *listener = conn->listener;
    void *memory;
    struct stream *stream =
        stream_create(listener->downstream->env, listener->bound, listener->config, &conn->client, sizeof(struct server_stream), &memory);
    struct server_stream *side = memory;
    side->sink.ops = &sink_ops;
    side->codec_stream.pool = &stream->pool;
    side->conn = conn;
    side->stream = stream;
    side->head_open = true;
    list_init(&side->link);
    list_push_back(&conn->streams, &side->link);
    limit_use(limit_cells_of(conn), LIMIT_METRIC_STREAMS_PER_CONNECTION, ++conn->stream_count);
    stream->sink = &side->sink;
    if (conn->heads_open++ == 0)
        conn->head_begun_at = loop_of(conn)->now;
    return &side->codec_stream;
}

// RFC 9113 section 10.5.1 counts 32 bytes more for each field; the limit does so as well.
static void note_size(const struct server_conn *conn, const struct head *head) {
    struct limit_cells *cells = limit_cells_of(conn);
    limit_use(cells, LIMIT_METRIC_HEADERS, head->fields.count);
    limit_use(cells, LIMIT_METRIC_HEADER_BYTES, head->fields.bytes + UINT64_C(32) * head->fields.count);
    limit_use(cells, LIMIT_METRIC_URL_BYTES, head->path.len);
}

static void on_head(void *owner, struct codec_stream *codec_stream, bool end) {
    struct server_stream *stream = stream_of(codec_stream);
    server_stream_close_head(stream);
    note_size(owner, &codec_stream->head);
    stream_on_head(stream->stream, &codec_stream->head, end);
}

static void on_body(void *owner, struct codec_stream *codec_stream, struct block *block, struct bytes piece) {
    struct server_conn *conn = owner;
    struct server_stream *stream = stream_of(codec_stream);
    stream_on_body(stream->stream, block, piece);
    limit_use(limit_cells_of(conn), LIMIT_METRIC_BUFFER_PER_STREAM, stream->stream->request_body.length);
    // HTTP/2 holds the client by its window instead.
    if (conn->codec->version != HTTP_2 && !conn->paused && stream->stream->request_body.length >= stream_body_credit(stream->stream)) {
        limit_hit(limit_cells_of(conn), LIMIT_METRIC_BUFFER_PER_STREAM);
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
    server_stream_release(stream);
    if (is_idle(conn))
        conn->idle_since = loop_of(conn)->now;
    if (conn->phase == CONN_OPEN && !buffer_is_empty(&conn->pending))
        loop_wake(loop_of(conn), &conn->resume);
    else
        server_conn_resume_reading(conn); // its body may have been left unread
    server_conn_free_when_unused(conn);
}

static void on_failed(void *owner, struct codec_stream *codec_stream, enum error error) {
    (void)owner;
    struct server_stream *stream = stream_of(codec_stream);
    server_stream_close_head(stream);
    if (stream->finished)
        release_when_done(stream);
    else {
        stream_on_refused(stream->stream, &codec_stream->head);
        stream_on_failed(stream->stream, error);
    }
}

static void on_writable(void *owner, struct codec_stream *codec_stream) {
    (void)owner;
    struct server_stream *stream = stream_of(codec_stream);
    if (stream->finished)
        release_when_done(stream);
    else
        stream_on_writable(stream->stream);
}

const struct codec_handler server_codec_handler = {
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

static void cut(struct server_stream *stream, enum error error) {
    struct server_conn *conn = stream->conn;
    if (!can_send(stream) || codec_stream_is_done(&stream->codec_stream))
        return;
    conn->codec->ops->reset(conn->codec, &stream->codec_stream, error);
    stream->codec_stream.codec = NULL;
    flush_later(conn);
}

static bool sink_send_head(struct stream_sink *sink, const struct head *head, bool end) {
    struct server_stream *stream = side_of(sink);
    if (!can_send(stream)) {
        stream_on_failed(stream->stream, ERROR_CLIENT_GONE); // the first that was told counts
        return false;
    }
    struct server_conn *conn = stream->conn;
    enum error error = conn->codec->ops->send_head(conn->codec, &stream->codec_stream, head, end);
    if (error != OK) {
        // The connection is lost; or the head cannot be written as it is, and nothing may follow it.
        stream_on_failed(stream->stream, error == ERROR_CONNECTION_RESET ? ERROR_CLIENT_GONE : ERROR_INTERNAL);
        cut(stream, ERROR_INTERNAL);
        return false;
    }
    if (!conn->answered && (head->status >= 200 || head->status == 101)) {
        conn->answered = true;
        conn->wants_ticket = conn->client.secure && !conn->client.mesh;
    }
    // What its client has sent for the tunnel has waited for this, and so has the end of it.
    if (conn->codec->is_tunnel)
        loop_wake(loop_of(conn), &conn->resume);
    flush_later(conn);
    return true;
}

// What comes first on a connection whose client was silent: of the server's word in good time, the next client is not waited for; of any other, it is.
static void note_first_word(struct server_conn *conn, const struct stream *stream) {
    struct downstream *downstream = conn->listener->downstream;
    nanoseconds now = loop_of(conn)->now;
    conn->was_silent = false;
    if (stream->request_bytes == 0 && now < conn->relay_begun_at + conn->listener->config->detection.timeout)
        server_first_note(&downstream->server_first, conn->listener->name, &conn->destination, now);
    else
        server_first_forget(&downstream->server_first, conn->listener->name, &conn->destination);
}

static void sink_send_body(struct stream_sink *sink, struct buffer *body, bool end, const struct fields *trailers) {
    struct server_stream *stream = side_of(sink);
    if (!can_send(stream))
        return;
    if (stream->conn->was_silent && !buffer_is_empty(body))
        note_first_word(stream->conn, stream->stream);
    struct codec *codec = stream->conn->codec;
    codec->ops->send_body(codec, &stream->codec_stream, body, end, trailers);
    if (codec->version != HTTP_2 && !buffer_is_empty(body))
        stream->conn->wants_room = true;
    flush_later(stream->conn);
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
        server_conn_resume_reading(conn);
}

static void sink_reset(struct stream_sink *sink, enum error error) {
    cut(side_of(sink), error);
}

nanoseconds server_stream_patience(const struct server_stream *stream) {
    const struct traffic_config *traffic = stream->stream->traffic;
    nanoseconds idle = traffic != NULL ? traffic->timeouts.idle : SLOW_READER_NS;
    return idle > 0 ? stream->taken_at + idle : UINT64_MAX;
}

static void note_taken(struct server_stream *stream, nanoseconds now) {
    stream->taken = stream->codec_stream.body_sent;
    stream->taken_at = now;
}

void server_stream_look(struct server_stream *stream, nanoseconds now) {
    CHECK(stream->finished && !stream->released);
    if (stream->codec_stream.body_sent != stream->taken) {
        note_taken(stream, now);
    } else if (now >= server_stream_patience(stream)) {
        cut(stream, ERROR_CLIENT_GONE);
        release_when_done(stream);
    }
}

static void count_limits(const struct stream *stream, struct limit_cells *cells) {
    if (!stream->asks_tunnel && !stream->has_tunnel)
        limit_use(cells, LIMIT_METRIC_BODY_BYTES, stream->request_bytes);
    switch (stream->end) {
    case ERROR_HEADERS_TOO_LARGE:
        limit_hit(cells, LIMIT_METRIC_HEADERS);
        break;
    case ERROR_URI_TOO_LONG:
        limit_hit(cells, LIMIT_METRIC_URL_BYTES);
        break;
    case ERROR_BODY_TOO_LARGE:
        limit_hit(cells, LIMIT_METRIC_BODY_BYTES);
        break;
    case ERROR_HEADER_TIMEOUT:
        limit_hit(cells, LIMIT_METRIC_HEADER_TIMEOUT);
        break;
    case ERROR_BODY_TIMEOUT:
        limit_hit(cells, LIMIT_METRIC_BODY_IDLE_TIMEOUT);
        break;
    default:
        break;
    }
}

static void sink_done(struct stream_sink *sink) {
    struct server_stream *stream = side_of(sink);
    count_limits(stream->stream, limit_cells_of(stream->conn));
    stream->finished = true;
    server_stream_close_head(stream);
    // Nobody will read the rest of the request.
    if (stream->codec_stream.received != PROGRESS_ENDED)
        stream->conn->input_unread = true;
    if (stream->codec_stream.received < PROGRESS_ENDED && stream->codec_stream.sent >= PROGRESS_ENDED)
        cut(stream, OK);
    flush_later(stream->conn);
    release_when_done(stream);
    if (stream->released)
        return;
    note_taken(stream, loop_of(stream->conn)->now);
    nanoseconds patience = server_stream_patience(stream);
    if (patience != UINT64_MAX && stream->conn->phase == CONN_OPEN)
        watch_by(stream->conn, patience);
}

static const struct stream_sink_ops sink_ops = {
    .send_head = sink_send_head,
    .send_body = sink_send_body,
    .consumed = sink_consumed,
    .reset = sink_reset,
    .done = sink_done,
};
