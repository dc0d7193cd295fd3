// See fake_upstream.h. Bytes go from a fake transport to the server's codec and back whenever the world settles; nothing here runs by itself.
#include "support/fake_upstream.h"

#include "base/check.h"
#include "config/load.h"
#include "http/h1_codec.h"
#include "upstream/cluster.h"
#include "upstream/upstream_change.h"

#include <stdio.h>
#include <stdlib.h>

#define ROUNDS_MAX 100000

static struct fake_upstream *current;

static enum far_mode mode_for(const struct fake_upstream *far, uint16_t port) {
    return far->by_port[port % 10] ? far->mode_of_port[port % 10] : far->mode;
}

static enum error connect_far(struct loop *loop, const struct sockaddr *address, socklen_t length, const struct transport_handler *handler,
                              void *user, struct transport **transport) {
    struct fake_upstream *far = current;
    CHECK(far != NULL && loop == &far->check.loop && length > 0);
    uint16_t port = ntohs(((const struct sockaddr_in *)(const void *)address)->sin_port);
    enum far_mode mode = mode_for(far, port);
    if (mode == FAR_NO_SOCKET)
        return ERROR_IO;
    struct far_conn *conn = alloc_zeroed_or_abort(1, sizeof *conn);
    struct fake_options options = far->options;
    options.connecting = true;
    options.seed += far->count;
    conn->far = far;
    conn->port = port;
    conn->raw = mode == FAR_RAW;
    conn->peer = fake_peer_create(loop, &options, handler, user);
    if (mode == FAR_ACCEPT || mode == FAR_RAW)
        fake_peer_connected(conn->peer, OK);
    else if (mode == FAR_REFUSE)
        fake_peer_connected(conn->peer, ERROR_CONNECT_REFUSED);
    if (far->last == NULL)
        far->conns = conn;
    else
        far->last->next = conn;
    far->last = conn;
    far->count++;
    *transport = conn->peer->transport;
    return OK;
}

// --- moving bytes ---

static void begin_codec(struct far_conn *conn, struct bytes first) {
    struct fake_upstream *far = conn->far;
    struct codec_owner *server = &conn->server;
    codec_owner_init(server);
    bool http2 = first.len >= 3 && memcmp(first.at, "PRI", 3) == 0;
    server->codec = http2 ? h2_codec_create(CODEC_SERVER, &far->far_limits, &codec_owner_handler, server, &server->out, far->far_h2_memory)
                          : h1_codec_create(CODEC_SERVER, &far->far_limits, &codec_owner_handler, server, &server->out);
    conn->speaks = true;
}

static bool feed(struct far_conn *conn) {
    struct bytes sent = fake_peer_sent(conn->peer);
    if (sent.len == 0)
        return false;
    if (!conn->speaks)
        begin_codec(conn, sent);
    (void)codec_owner_feed(&conn->server, sent);
    fake_peer_forget_sent(conn->peer);
    return true;
}

static bool take_out(struct far_conn *conn) {
    bool moved = false;
    for (struct owner_stream *item = conn->server.streams; item != NULL; item = item->next)
        if (item->stream.codec != NULL && item->stream.sent == PROGRESS_BODY && !buffer_is_empty(&item->sending))
            owner_stream_resume(item);
    struct bytes out = codec_owner_sent(&conn->server);
    if (out.len > 0 && !conn->peer->closed && !conn->peer->end_due) {
        fake_peer_send(conn->peer, out);
        moved = true;
    }
    bool ends = conn->server.codec->close_when_flushed || conn->server.codec->ends_output;
    if (ends && !conn->peer->closed && !conn->peer->end_due) {
        fake_peer_end(conn->peer);
        moved = true;
    }
    return moved;
}

static bool pump_one(struct far_conn *conn) {
    if (conn->raw || conn->peer->connecting)
        return false;
    bool moved = feed(conn);
    if (!conn->speaks)
        return moved;
    bool over = conn->peer->closed || conn->peer->shut_down;
    if (over && !conn->told_end) {
        conn->told_end = true;
        (void)codec_owner_feed_end(&conn->server);
        moved = true;
    }
    if (moved && conn->far->serve != NULL)
        conn->far->serve(conn, conn->far->serve_user);
    if (conn->server.held.len > 0)
        (void)codec_owner_resume(&conn->server);
    return take_out(conn) || moved;
}

static bool pump(struct fake_upstream *far) {
    bool moved = false;
    for (struct far_conn *conn = far->conns; conn != NULL; conn = conn->next)
        moved = pump_one(conn) || moved;
    if (far->also != NULL)
        moved = far->also(far->also_user) || moved;
    return moved;
}

void fake_upstream_settle(struct fake_upstream *far) {
    unsigned rounds = 0;
    do {
        check_loop_settle(&far->check);
        CHECK(++rounds < ROUNDS_MAX);
    } while (pump(far));
}

void fake_upstream_step(struct fake_upstream *far) {
    loop_turn(&far->check.loop, far->check.loop.now);
    pump(far);
}

void fake_upstream_pass(struct fake_upstream *far, nanoseconds duration) {
    struct loop *loop = &far->check.loop;
    nanoseconds end = loop->now + duration;
    fake_upstream_settle(far);
    for (nanoseconds next = timer_wheel_next(&loop->timers); next <= end; next = timer_wheel_next(&loop->timers)) {
        loop_turn(loop, next > loop->now ? next : loop->now);
        fake_upstream_settle(far);
    }
    loop_turn(loop, end);
    fake_upstream_settle(far);
}

// --- the world ---

static struct snapshot *load(const char *documents) {
    struct config_errors errors;
    struct config_errors warnings;
    struct snapshot *snapshot;
    config_errors_init(&errors);
    config_errors_init(&warnings);
    enum error error = config_load_text("t.yaml", bytes_from_text(documents), &snapshot, &errors, &warnings);
    for (uint32_t i = 0; i < errors.count; i++)
        fprintf(stderr, "%s\n", errors.lines[i]);
    CHECK(error == OK);
    config_errors_dispose(&errors);
    config_errors_dispose(&warnings);
    return snapshot;
}

struct snapshot *fake_upstream_load(struct fake_upstream *far, const char *documents) {
    struct snapshot *snapshot = load(documents);
    snapshot->generation = ++far->generation;
    if (far->snapshot != NULL)
        snapshot_unref(far->snapshot);
    far->snapshot = snapshot;
    return snapshot;
}

struct snapshot *fake_upstream_apply(struct fake_upstream *far, const char *documents) {
    struct snapshot *snapshot = fake_upstream_load(far, documents);
    struct upstream_change change;
    uint32_t cost;
    upstream_change_begin(&change, &far->upstream, snapshot);
    while (upstream_change_next(&change, &cost))
        ;
    while (upstream_change_drop_next(&change, &cost))
        ;
    return snapshot;
}

void fake_upstream_init(struct fake_upstream *far, const char *documents) {
    *far = (struct fake_upstream){0};
    current = far;
    check_loop_init(&far->check);
    far->shared = live_shared_create();
    far->h2_memory = h2_memory_create(&far->check.loop.now);
    far->far_h2_memory = h2_memory_create(&far->check.loop.now);
    far->far_limits = codec_owner_limits();
    upstream_init(&far->upstream, &far->check.loop, &far->metrics, far->shared, far->h2_memory);
    far->upstream.connect = connect_far;
    if (documents != NULL)
        fake_upstream_apply(far, documents);
}

static void drop_conns(struct fake_upstream *far) {
    while (far->conns != NULL) {
        struct far_conn *next = far->conns->next;
        if (far->conns->speaks)
            codec_owner_dispose(&far->conns->server);
        fake_peer_destroy(far->conns->peer);
        free(far->conns);
        far->conns = next;
    }
}

void fake_upstream_dispose(struct fake_upstream *far) {
    upstream_close_all(&far->upstream);
    far->also = NULL;
    check_loop_settle(&far->check);
    CHECK(far->check.loop.blocks.used == 0 && far->check.loop.pools.used == 0);
    CHECK(metric_read(&far->metrics.upstream_active) == 0 && metric_read(&far->metrics.upstream_idle) == 0);
    CHECK(metric_read(&far->metrics.pool_waiting) == 0);
    upstream_dispose(&far->upstream);
    drop_conns(far);
    if (far->snapshot != NULL)
        snapshot_unref(far->snapshot);
    live_shared_destroy(far->shared);
    check_loop_dispose(&far->check);
    h2_memory_destroy(far->h2_memory);
    h2_memory_destroy(far->far_h2_memory);
    current = NULL;
}

void fake_upstream_port(struct fake_upstream *far, unsigned last_digit, enum far_mode mode) {
    CHECK(last_digit < 10);
    far->by_port[last_digit] = true;
    far->mode_of_port[last_digit] = mode;
}

struct cluster *fake_upstream_cluster(struct fake_upstream *far, const char *key) {
    struct cluster *cluster = map_get(&far->upstream.clusters, bytes_from_text(key));
    CHECK(cluster != NULL);
    return cluster;
}

// --- servers ---

struct far_conn *far_conn(struct fake_upstream *far, unsigned position) {
    struct far_conn *conn = far->conns;
    while (conn != NULL && position-- > 0)
        conn = conn->next;
    CHECK(conn != NULL);
    return conn;
}

void far_connect(struct far_conn *conn, enum error error) {
    fake_peer_connected(conn->peer, error);
    fake_upstream_settle(conn->far);
}

const char *far_sent(struct far_conn *conn) {
    static struct text text;
    text_clear(&text);
    text_add(&text, fake_peer_sent(conn->peer));
    return text.at;
}

void far_forget(struct far_conn *conn) {
    fake_peer_forget_sent(conn->peer);
}

void far_send(struct far_conn *conn, const char *bytes) {
    CHECK(conn->raw);
    fake_peer_send(conn->peer, bytes_from_text(bytes));
    fake_upstream_settle(conn->far);
}

struct owner_stream *far_request(struct far_conn *conn, unsigned position) {
    CHECK(conn->speaks);
    struct owner_stream *request = codec_owner_stream(&conn->server, position);
    CHECK(request != NULL);
    return request;
}

uint64_t far_failures(const struct endpoint *endpoint) {
    return endpoint->links == NULL ? 0 : endpoint->links->failures;
}

void fields_from_lines(struct fields *fields, const char *lines) {
    while (*lines != '\0') {
        const char *colon = strchr(lines, ':');
        const char *line_end = strchr(lines, '\n');
        CHECK(colon != NULL && line_end != NULL && colon < line_end);
        struct bytes value = bytes_trim(bytes_from(colon + 1, (size_t)(line_end - colon - 1)));
        fields_add(fields, bytes_from(lines, (size_t)(colon - lines)), value);
        lines = line_end + 1;
    }
}

static int64_t take_length(struct fields *fields) {
    const struct field *length = fields_find(fields, FIELD_CONTENT_LENGTH);
    uint64_t value;
    if (length == NULL || !bytes_to_u64(length->value, INT64_MAX, &value))
        return -1;
    return (int64_t)value;
}

void far_answer(struct far_conn *conn, struct owner_stream *request, unsigned status, const char *fields, const char *body, bool end) {
    struct codec *codec = conn->server.codec;
    struct head head;
    head_init(&head, &request->pool);
    head.version = codec->version;
    head.status = (uint16_t)status;
    fields_from_lines(&head.fields, fields);
    head.content_length = take_length(&head.fields);
    struct bytes text = body == NULL ? BYTES_NONE : bytes_from_text(body);
    enum error error = codec->ops->send_head(codec, &request->stream, &head, end && text.len == 0);
    CHECK(error == OK);
    if (text.len > 0)
        owner_stream_send(request, text, end, NULL);
}

void far_respond(struct far_conn *conn, struct owner_stream *request, unsigned status, const char *fields, const char *body, bool end) {
    far_answer(conn, request, status, fields, body, end);
    fake_upstream_settle(conn->far);
}

void far_body(struct far_conn *conn, struct owner_stream *request, struct bytes body, bool end) {
    owner_stream_send(request, body, end, NULL);
    fake_upstream_settle(conn->far);
}

void far_trailers(struct far_conn *conn, struct owner_stream *request, const char *fields) {
    struct fields *trailers = pool_alloc(&request->pool, sizeof *trailers);
    fields_init(trailers, &request->pool);
    fields_from_lines(trailers, fields);
    owner_stream_send(request, BYTES_NONE, true, trailers);
    fake_upstream_settle(conn->far);
}

void far_reset(struct far_conn *conn, struct owner_stream *request, enum error error) {
    conn->server.codec->ops->reset(conn->server.codec, &request->stream, error);
    fake_upstream_settle(conn->far);
}

void far_close(struct far_conn *conn) {
    fake_peer_end(conn->peer);
    fake_upstream_settle(conn->far);
}

void far_break(struct far_conn *conn) {
    fake_peer_reset(conn->peer, true);
    fake_upstream_settle(conn->far);
}
