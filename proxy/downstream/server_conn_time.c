// What happens to a client's connection by time and by order: heads that do not come, idleness, the end of the peer's certificate, a drain.
#include "downstream/server_conn_private.h"

void server_conn_drain(struct server_conn *conn) {
    if (conn->phase == CONN_CLOSED || conn->phase == CONN_LINGER || conn->drain_begun_at != 0)
        return;
    conn->draining = true;
    if (conn->phase <= CONN_DETECT && buffer_is_empty(&conn->pending))
        watch_by(conn, loop_of(conn)->now + GOAWAY_PAUSE_NS); // for what is on its way; one that says nothing is not waited for
    if (conn->phase != CONN_OPEN)
        return; // as soon as it is open
    conn->drain_begun_at = loop_of(conn)->now;
    conn->codec->ops->signal(conn->codec, CODEC_DRAIN);
    flush_later(conn);
    watch_by(conn, loop_of(conn)->now + GOAWAY_PAUSE_NS);
}

void server_conn_drain_idle(struct server_conn *conn) {
    if (is_idle(conn) && conn->phase != CONN_HANDSHAKE)
        server_conn_drain(conn);
}

void server_conn_check_peer(struct server_conn *conn, const struct credentials *credentials) {
    if (conn->phase != CONN_OPEN || !conn->client.secure || tls_peer_still_trusted(conn->transport, credentials))
        return;
    nanoseconds end = loop_of(conn)->now + TLS_LAST_CALL_NS;
    conn->distrusted = true;
    if (end < conn->ends_at)
        conn->ends_at = end;
    watch_by(conn, conn->ends_at);
    server_conn_drain(conn);
}

void server_conn_check_mode(struct server_conn *conn) {
    const struct listener_config *config = conn->listener->config;
    const bool is_mutual = conn->client.secure && !conn->is_edge; // a client of a gateway has shown nothing
    if (config->role != ROLE_INBOUND || config->mtls != MTLS_STRICT || is_mutual)
        return;
    const bool shakes_without = conn->phase == CONN_HANDSHAKE && conn->is_edge;
    if (conn->phase <= CONN_DETECT || shakes_without || (conn->phase == CONN_OPEN && is_idle(conn))) {
        server_conn_close(conn, ERROR_DRAINING);
        return;
    }
    if (conn->phase != CONN_OPEN)
        return;
    server_conn_drain(conn);
    if (!codec_is_raw(conn->codec))
        return;
    conn->ends_at = loop_of(conn)->now + TLS_LAST_CALL_NS; // it cannot be told
    watch_by(conn, conn->ends_at);
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
        server_stream_close_head(stream);
    }
}

// Over HTTP/2 what a stream sent last waits for the client's window: it holds memory for as long.
static void look_at_unread(struct server_conn *conn, nanoseconds now) {
    LIST_EACH(&conn->streams, node, following) {
        struct server_stream *stream = LIST_ENTRY(node, struct server_stream, link);
        if (stream->finished)
            server_stream_look(stream, now);
    }
}

static nanoseconds next_unread(const struct server_conn *conn) {
    nanoseconds next = UINT64_MAX;
    LIST_EACH(&conn->streams, node, following) {
        const struct server_stream *stream = LIST_ENTRY(node, struct server_stream, link);
        nanoseconds patience = stream->finished ? server_stream_patience(stream) : UINT64_MAX;
        next = patience < next ? patience : next;
    }
    return next;
}

static nanoseconds next_look(const struct server_conn *conn, nanoseconds now) {
    const struct limits_config *limits = limits_of(conn);
    nanoseconds next = conn->drain_begun_at == 0 && conn->drains_at < conn->ends_at ? conn->drains_at : conn->ends_at;
    nanoseconds idle = limits->idle_timeout > 0 ? (is_idle(conn) ? conn->idle_since : now) + limits->idle_timeout : UINT64_MAX;
    nanoseconds head = conn->heads_open > 0 ? conn->head_begun_at + limits->header_timeout : UINT64_MAX;
    nanoseconds drain = conn->drain_begun_at != 0 ? now + GOAWAY_PAUSE_NS : UINT64_MAX;
    nanoseconds unread = next_unread(conn);
    next = unread < next ? unread : next;
    next = idle < next ? idle : next;
    next = head < next ? head : next;
    return drain < next ? drain : next;
}

void server_conn_on_timer(struct timer *timer) {
    struct server_conn *conn = CONTAINER_OF(timer, struct server_conn, timer);
    if (conn->phase == CONN_HANDSHAKE) {
        server_conn_end_handshake(conn); // it goes on, and is counted no longer
        return;
    }
    nanoseconds now = loop_of(conn)->now;
    const struct limits_config *limits = limits_of(conn);
    if (server_conn_on_silence(conn))
        return;
    if (conn->phase == CONN_DETECT || conn->phase == CONN_HEADER) {
        server_conn_close(conn, !buffer_is_empty(&conn->pending) ? ERROR_HEADER_TIMEOUT : conn->draining ? ERROR_DRAINING : ERROR_IDLE_TIMEOUT);
        return;
    }
    if (conn->phase != CONN_OPEN) {
        server_conn_close(conn, OK); // it has lingered long enough
        return;
    }
    if (now >= conn->ends_at) {
        server_conn_close(conn, ERROR_UNAUTHENTICATED);
        return;
    }
    look_at_unread(conn, now);
    if (conn->heads_open > 0 && now >= conn->head_begun_at + limits->header_timeout)
        time_out_heads(conn);
    else if (is_idle(conn) && limits->idle_timeout > 0 && now >= conn->idle_since + limits->idle_timeout)
        server_conn_close(conn, ERROR_IDLE_TIMEOUT);
    else if (now >= conn->drains_at && conn->drain_begun_at == 0)
        server_conn_drain(conn);
    else if (conn->drain_begun_at != 0)
        drain_further(conn, now);
    if (conn->phase != CONN_OPEN)
        return;
    nanoseconds next = next_look(conn, now);
    if (next != UINT64_MAX)
        watch_by(conn, next);
}
