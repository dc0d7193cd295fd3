// See fake_downstream.h. Bytes go between the fake transports and the clients' codecs whenever the world settles, by the hook of fake_upstream.
#include "support/fake_downstream.h"

#include "base/check.h"
#include "http/h1_codec.h"
#include "http/h2_codec.h"

#include <stdlib.h>

static struct fake_downstream *current;

// Not a descriptor of the process: what closes it by mistake closes nothing.
#define NO_SOCKET 1000000

static enum error adopt_near(struct loop *loop, int socket, const struct transport_handler *handler, void *user, struct transport **transport) {
    struct fake_downstream *near = current;
    CHECK(near != NULL && near->adopting != NULL && socket == NO_SOCKET);
    if (near->no_descriptor)
        return ERROR_IO;
    struct fake_options options = near->options;
    options.seed += near->count;
    near->adopting->peer = fake_peer_create(loop, &options, handler, user);
    *transport = near->adopting->peer->transport;
    return OK;
}

// --- moving bytes ---

static bool feed(struct near_conn *conn) {
    struct bytes sent = fake_peer_sent(conn->peer);
    if (sent.len == 0)
        return false;
    if (conn->speaks)
        (void)codec_owner_feed(&conn->client, sent);
    else
        text_add(&conn->received, sent);
    fake_peer_forget_sent(conn->peer);
    return true;
}

static bool take_out(struct near_conn *conn) {
    for (struct owner_stream *item = conn->client.streams; item != NULL; item = item->next)
        if (item->stream.codec != NULL && item->stream.sent == PROGRESS_BODY && !buffer_is_empty(&item->sending))
            owner_stream_resume(item);
    struct bytes out = codec_owner_sent(&conn->client);
    if (out.len == 0 || conn->peer->closed || conn->peer->end_due)
        return false;
    fake_peer_send(conn->peer, out);
    return true;
}

static bool pump_one(struct near_conn *conn) {
    if (conn->refused)
        return false;
    bool moved = feed(conn);
    if (!conn->speaks)
        return moved;
    if ((conn->peer->closed || conn->peer->shut_down) && !conn->told_end) {
        conn->told_end = true;
        (void)codec_owner_feed_end(&conn->client);
        moved = true;
    }
    if (moved && conn->near->use != NULL)
        conn->near->use(conn, conn->near->use_user);
    return take_out(conn) || moved;
}

static bool pump(void *user) {
    struct fake_downstream *near = user;
    bool moved = false;
    for (struct near_conn *conn = near->conns; conn != NULL; conn = conn->next)
        moved = pump_one(conn) || moved;
    return moved;
}

void near_settle(struct fake_downstream *near) {
    loopback_settle(&near->loopback);
}

void near_pass(struct fake_downstream *near, nanoseconds duration) {
    loopback_pass(&near->loopback, duration);
}

// --- the world ---

void fake_downstream_apply(struct fake_downstream *near, const char *documents) {
    loopback_apply(&near->loopback, documents);
    downstream_apply(&near->downstream, near->loopback.bound);
}

void fake_downstream_init(struct fake_downstream *near, const char *documents, const struct filter_type *const *filters) {
    *near = (struct fake_downstream){0};
    current = near;
    loopback_init(&near->loopback, documents, filters);
    near->loopback.far.also = pump;
    near->loopback.far.also_user = near;
    near->h2_memory = h2_memory_create(&near->loopback.far.check.loop.now);
    near->limits = codec_owner_limits();
    downstream_init(&near->downstream, &near->loopback.env, near->loopback.far.h2_memory);
    near->downstream.adopt = adopt_near;
    downstream_apply(&near->downstream, near->loopback.bound);
}

static void drop_conns(struct fake_downstream *near) {
    while (near->conns != NULL) {
        struct near_conn *next = near->conns->next;
        if (near->conns->speaks)
            codec_owner_dispose(&near->conns->client);
        if (near->conns->peer != NULL)
            fake_peer_destroy(near->conns->peer);
        text_dispose(&near->conns->received);
        free(near->conns);
        near->conns = next;
    }
}

void fake_downstream_dispose(struct fake_downstream *near) {
    downstream_close_all(&near->downstream);
    check_loop_settle(&near->loopback.far.check);
    CHECK(atomic_load(&near->downstream.connections) == 0);
    CHECK(metric_read(&near->loopback.far.metrics.downstream_active) == 0);
    downstream_dispose(&near->downstream);
    near->loopback.far.also = NULL;
    loopback_dispose(&near->loopback);
    drop_conns(near);
    h2_memory_destroy(near->h2_memory);
    current = NULL;
}

// --- clients ---

struct near_conn *near_arrive(struct fake_downstream *near, const char *listener) {
    struct near_conn *conn = alloc_zeroed_or_abort(1, sizeof *conn);
    conn->near = near;
    struct near_conn **last = &near->conns;
    while (*last != NULL)
        last = &(*last)->next;
    *last = conn;
    near->adopting = conn;
    near->count++;
    downstream_accept(&near->downstream, bytes_from_text(listener), NO_SOCKET);
    near->adopting = NULL;
    conn->refused = conn->peer == NULL;
    return conn;
}

struct near_conn *near_connect(struct fake_downstream *near, const char *listener) {
    struct near_conn *conn = near_arrive(near, listener);
    near_settle(near);
    return conn;
}

void near_send_bytes(struct near_conn *conn, struct bytes text) {
    CHECK(!conn->speaks);
    fake_peer_send(conn->peer, text);
    near_settle(conn->near);
}

void near_send(struct near_conn *conn, const char *text) {
    near_send_bytes(conn, bytes_from_text(text));
}

const char *near_received(struct near_conn *conn) {
    return conn->received.at == NULL ? "" : conn->received.at;
}

void near_forget(struct near_conn *conn) {
    text_clear(&conn->received);
}

void near_close(struct near_conn *conn) {
    fake_peer_end(conn->peer);
    near_settle(conn->near);
}

void near_break(struct near_conn *conn) {
    fake_peer_reset(conn->peer, false);
    near_settle(conn->near);
}

bool near_is_closed(const struct near_conn *conn) {
    return conn->refused || conn->peer->closed;
}

void near_open(struct near_conn *conn, enum http_version version) {
    struct fake_downstream *near = conn->near;
    struct codec_owner *client = &conn->client;
    CHECK(!conn->refused && !conn->speaks);
    codec_owner_init(client);
    client->codec = version == HTTP_2 ? h2_codec_create(CODEC_CLIENT, &near->limits, &codec_owner_handler, client, &client->out, near->h2_memory)
                                      : h1_codec_create(CODEC_CLIENT, &near->limits, &codec_owner_handler, client, &client->out);
    conn->speaks = true;
}

struct owner_stream *near_request(struct near_conn *conn, const char *request, bool end) {
    struct codec *codec = conn->client.codec;
    struct owner_stream *item = codec_owner_new_stream(&conn->client);
    struct head head;
    head_from_text(&head, &item->pool, codec->version, request);
    enum error error = codec->ops->send_head(codec, &item->stream, &head, end);
    CHECK(error == OK);
    return item;
}

void near_body(struct near_conn *conn, struct owner_stream *request, struct bytes body, bool end) {
    (void)conn;
    owner_stream_send(request, body, end, NULL);
}

void near_reset(struct near_conn *conn, struct owner_stream *request, enum error error) {
    if (request->stream.codec != NULL)
        conn->client.codec->ops->reset(conn->client.codec, &request->stream, error);
}
