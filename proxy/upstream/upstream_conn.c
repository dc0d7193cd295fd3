// See upstream_conn.h. Callbacks record; upstream_conn_settle is the one place that decides where a connection goes after something changed: back to
// its pool, to its end.
#include "upstream/upstream_conn.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "http/h1_codec.h"
#include "http/raw_codec.h"
#include "upstream/cluster.h"
#include "upstream/upstream_stream.h"

#include <stdlib.h>

// A connection is fresh for that long, and an endpoint that refuses even those, or to be connected to, is avoided for that long.
#define FRESH_NS NS_PER_S
#define AVOIDED_NS NS_PER_S

// How often a stranger that sends nothing is asked for a sign of life at the policy's interval (once more where a stream has begun since), and how seldom then: what gRPC
// servers take without a GOAWAY (too_many_pings: the fourth in a row with none of their data between, unless five minutes lie before it).
#define QUIET_PINGS 1
#define QUIET_PING_INTERVAL_NS (310 * NS_PER_S)

// An endpoint that takes nothing of the last bytes of a tunnel in this time is not waited for.
#define SLOW_READER_NS (60 * NS_PER_S)

// How often one that is promised looks whether it still has to be.
#define PROMISE_LOOK_NS (100 * NS_PER_MS)

static const struct transport_handler transport_handler;

static struct loop *loop_of(const struct upstream_conn *conn) {
    return conn->upstream->loop;
}

static const struct traffic_config *traffic_of(const struct upstream_conn *conn) {
    return conn->endpoint->cluster == NULL ? NULL : &conn->endpoint->cluster->traffic;
}

static nanoseconds idle_timeout(const struct upstream_conn *conn) {
    const struct traffic_config *traffic = traffic_of(conn);
    if (conn->codec->is_tunnel)
        return SLOW_READER_NS;
    if (traffic == NULL)
        return 0;
    if (conn->codec->version == HTTP_2)
        return traffic->connections.idle_timeout;
    nanoseconds timeout = traffic->connections.http1_idle_timeout;
    if (conn->codec->keep_alive_s > 0) {
        // A second less than the peer promises: it must not close while a request is under way to it.
        nanoseconds promised = (conn->codec->keep_alive_s - 1) * NS_PER_S;
        if (timeout == 0 || promised < timeout)
            return promised > 0 ? promised : 1;
    }
    return timeout;
}

// Streams at a time, by the peer and by our own policy. Before the peer has told its number it is thought to be what it was on the last connection.
static uint32_t streams_allowed(const struct upstream_conn *conn) {
    const struct traffic_config *traffic = traffic_of(conn);
    uint32_t max = conn->codec->streams_max;
    if (conn->codec->version != HTTP_2)
        return max;
    if (traffic != NULL && traffic->connections.max_streams < max)
        max = traffic->connections.max_streams;
    if (!conn->codec->peer_is_known && conn->pool->room_last < max)
        max = conn->pool->room_last;
    return max;
}

static void note_allowed(const struct upstream_conn *conn) {
    uint32_t allowed = streams_allowed(conn);
    conn->pool->room_last = allowed > 0 ? allowed : 1;
}

bool upstream_conn_is_leaving(const struct upstream_conn *conn) {
    const struct codec *codec = conn->codec;
    return conn->draining || codec->refuses_new || codec->close_when_flushed || (codec->is_tunnel && conn->streams_total > 0);
}

uint32_t upstream_conn_room(const struct upstream_conn *conn) {
    if (!conn->open || conn->closing || conn->is_promised || upstream_conn_is_leaving(conn))
        return 0;
    uint32_t max = streams_allowed(conn);
    return max > conn->codec->streams_open ? max - conn->codec->streams_open : 0;
}

// The timer looks at `when` at the latest.
static void look_by(struct upstream_conn *conn, nanoseconds when) {
    if (!timer_is_running(&conn->timer) || conn->timer.expiry_ms * NS_PER_MS > when)
        timer_start(&loop_of(conn)->timers, &conn->timer, when);
}

void upstream_conn_flush(struct upstream_conn *conn) {
    if (conn->codec->version == HTTP_2)
        loop_flush(loop_of(conn), &conn->flush);
    else
        loop_flush_soon(loop_of(conn), &conn->flush);
}

// Of a connection that is not made yet: by ourselves, since its endpoint is retired or the worker ends. That says nothing of its peer.
static bool is_given_up(enum error reason) {
    return reason == OK || reason == ERROR_NO_ENDPOINT;
}

static void count_close(struct upstream_conn *conn, enum error reason) {
    struct worker_metrics *metrics = conn->upstream->metrics;
    if (!conn->open) {
        metric_add(reason == ERROR_CONNECT_TIMEOUT     ? &metrics->upstream_failed_timeout
                   : reason == ERROR_IDENTITY_MISMATCH ? &metrics->upstream_failed_identity
                   : reason == ERROR_TLS_FAILED        ? &metrics->upstream_failed_tls
                   : is_given_up(reason)               ? &metrics->upstream_failed_given_up
                                                       : &metrics->upstream_failed_refused,
                   1);
        return;
    }
    metric_subtract(&metrics->upstream_active, 1);
    metric_add(reason == ERROR_CONNECTION_CLOSED                   ? &metrics->upstream_closed_peer
               : reason == ERROR_CONNECTION_RESET                  ? &metrics->upstream_closed_reset
               : reason == ERROR_IDLE_TIMEOUT                      ? &metrics->upstream_closed_idle
               : reason == ERROR_TRY_TIMEOUT                       ? &metrics->upstream_closed_keepalive
               : reason == ERROR_UNAUTHENTICATED                   ? &metrics->upstream_closed_untrusted
               : reason == ERROR_PROTOCOL || reason == ERROR_FLOOD ? &metrics->upstream_closed_protocol
               : reason == OK && conn->aged                        ? &metrics->upstream_closed_age
                                                                   : &metrics->upstream_closed_finished,
               1);
}

static enum error stream_error(const struct upstream_conn *conn, enum error reason) {
    switch (reason) {
    case ERROR_PROTOCOL:
    case ERROR_FLOOD:
        return ERROR_RESPONSE_MALFORMED;
    case ERROR_TLS_FAILED:
        // The server refused our certificate, told after our side of the handshake: it never finished its own, so nothing was processed, and any method is repeated.
        CHECK(conn->transport->secure && conn->transport->bytes_in == 0);
        return ERROR_TLS_FAILED;
    default:
        return ERROR_UPSTREAM_RESET;
    }
}

// Whatever the transport calls it: a connection that was not made. Whoever waits for it may try elsewhere.
static enum error connect_error(enum error reason) {
    switch (reason) {
    case ERROR_CONNECT_TIMEOUT:
    case ERROR_TLS_FAILED:
    case ERROR_IDENTITY_MISMATCH:
    case ERROR_NO_ENDPOINT: // retired meanwhile
    case OK:
        return reason;
    default:
        return ERROR_CONNECT_REFUSED;
    }
}

// Left alone for a while, as long as there is another one.
static void avoid_endpoint(const struct upstream_conn *conn) {
    cluster_avoid(conn->endpoint, loop_of(conn)->now + AVOIDED_NS);
}

// Over a connection that was made before nothing is learnt: a server that ends may answer on what it has and accept no more.
void upstream_conn_note_answer(const struct upstream_conn *conn) {
    struct endpoint *endpoint = conn->endpoint;
    nanoseconds avoided_until = endpoint->links->avoided_until;
    if (avoided_until > 0 && conn->opened_at + AVOIDED_NS > avoided_until)
        cluster_avoid_no_more(endpoint);
}

void upstream_conn_await_settings(struct upstream_conn *conn, struct conn_waiter *waiter) {
    CHECK(conn->open && !conn->closing && !conn->codec->peer_is_known && waiter->told_by == NULL && waiter->pool == NULL);
    waiter->told_by = conn;
    list_push_back(&conn->awaiting, &waiter->link);
}

static void tell_waiters(struct upstream_conn *conn, enum error error) {
    for (struct list *node = list_pop_front(&conn->awaiting); node != NULL; node = list_pop_front(&conn->awaiting)) {
        struct conn_waiter *waiter = LIST_ENTRY(node, struct conn_waiter, link);
        waiter->told_by = NULL;
        waiter->error = error;
        loop_wake(loop_of(conn), waiter->task);
    }
}

void upstream_conn_close(struct upstream_conn *conn, enum error reason) {
    if (conn->closing)
        return;
    conn->closing = true;
    count_close(conn, reason);
    if (!conn->open && !is_given_up(reason))
        avoid_endpoint(conn); // it refuses quickly: by load alone it would be sent the most
    loop_timer_stop(loop_of(conn), &conn->timer);
    task_cancel(&conn->flush);
    // Bytes that are cut short must not look as if they had ended.
    const bool breaks_off = conn->codec != NULL && (conn->codec->breaks_off || (conn->codec->is_tunnel && !list_is_empty(&conn->streams)));
    LIST_EACH(&conn->streams, node, following)
        upstream_stream_fail(LIST_ENTRY(node, struct upstream_stream, link), stream_error(conn, reason));
    tell_waiters(conn, conn->endpoint->cluster == NULL ? ERROR_NO_ENDPOINT : ERROR_CONNECT_REFUSED); // nothing was sent for them
    if (conn->codec != NULL) {
        // Streams that were failed are still their owners': the codec must forget them before those free them.
        conn->codec->ops->dispose(conn->codec);
        conn->codec = NULL;
    }
    conn->transport->ops->close(conn->transport, breaks_off);
    conn_places_leave(conn);
    conn_pool_lost(conn->pool, conn, conn->open ? OK : connect_error(reason));
}

void upstream_conn_end_by(struct upstream_conn *conn, nanoseconds when) {
    if (when >= conn->ends_at)
        return;
    conn->ends_at = when;
    look_by(conn, when);
}

static bool is_finishing(const struct upstream_conn *conn) {
    return conn->open && conn->codec->is_tunnel && !conn->codec->breaks_off && list_is_empty(&conn->streams) && transport_has_output(conn->transport);
}

void upstream_conn_drain(struct upstream_conn *conn) {
    conn->draining = true;
    if (is_finishing(conn))
        return; // what was said last is on its way
    if (!conn->open || list_is_empty(&conn->streams))
        upstream_conn_close(conn, conn->open ? OK : ERROR_NO_ENDPOINT);
    else
        conn_pool_update(conn->pool, conn);
}

// Its service is not in the documents any more, and none of its last streams waits.
static bool is_unwanted(const struct upstream_conn *conn) {
    const struct cluster *cluster = conn->endpoint->cluster;
    return cluster != NULL && cluster->is_dropped && !conn_pool_is_wanted(conn->pool);
}

// It is looked at before its time too: who is owed may have got another's place.
static nanoseconds promise_look(const struct upstream_conn *conn) {
    const nanoseconds soon = loop_of(conn)->now + PROMISE_LOOK_NS;
    return conn->promise_at < soon ? conn->promise_at : soon;
}

void upstream_conn_settle(struct upstream_conn *conn) {
    if (conn->closing || !conn->open)
        return;
    conn->changed = false;
    bool idle = list_is_empty(&conn->streams);
    if (is_finishing(conn)) {
        conn->idle_since = loop_of(conn)->now;
        look_by(conn, conn->idle_since + idle_timeout(conn));
        conn_pool_update(conn->pool, conn);
        return; // what its client has sent last still goes
    }
    if (idle && (upstream_conn_is_leaving(conn) || is_unwanted(conn) || conn_places_claim(conn))) {
        upstream_conn_close(conn, OK);
        return;
    }
    if (conn->is_promised)
        conn_places_keep(conn);
    else if (!idle && conn->codec->version == HTTP_2 && !upstream_conn_is_leaving(conn))
        conn_places_promise(conn);
    if (conn->is_promised)
        look_by(conn, promise_look(conn));
    if (idle) {
        conn->promises_broken = 0;
        conn->idle_since = loop_of(conn)->now;
        if (conn->codec->keep_alive_s > 0) // the peer may have asked for less than the timer was set for
            look_by(conn, conn->idle_since + idle_timeout(conn));
        if (conn->paused) {
            conn->paused = false;
            conn->transport->ops->read_start(conn->transport);
        }
    }
    conn_pool_update(conn->pool, conn);
}

// --- transport ---

static void flush_now(struct task *task) {
    struct upstream_conn *conn = CONTAINER_OF(task, struct upstream_conn, flush);
    if (conn->codec->ops->produce(conn->codec) != OK) {
        upstream_conn_close(conn, ERROR_PROTOCOL);
        return;
    }
    bool was_full = conn->transport->out.length >= LIMIT_OUTPUT_BYTES;
    conn->transport->ops->flush(conn->transport);
    if (conn->codec->ends_output && !conn->output_ended) {
        conn->output_ended = true;
        conn->transport->ops->shutdown(conn->transport);
    }
    if (conn->transport->out.length >= LIMIT_OUTPUT_BYTES)
        metric_add(&conn->upstream->metrics->output_full, 1);
    // HTTP/2 tells by `writable` which stream has room again, and is asked for more of what waits in its own streams.
    struct list *first = list_first(&conn->streams);
    if (conn->codec->version == HTTP_2) {
        if (was_full && conn->transport->out.length < LIMIT_OUTPUT_BYTES / 2)
            upstream_conn_flush(conn);
    } else if (first != NULL && conn->transport->out.length < buffer_bound(&conn->transport->out, LIMIT_OUTPUT_BYTES) / 2) {
        struct upstream_stream *stream = LIST_ENTRY(first, struct upstream_stream, link);
        if (stream->wants_room)
            loop_wake(loop_of(conn), stream->task);
    }
    if (conn->changed || (conn->codec->is_tunnel && first == NULL) || (first != NULL && conn->counted_leaving != upstream_conn_is_leaving(conn)))
        upstream_conn_settle(conn);
}

static void on_drained(void *user) {
    upstream_conn_flush(user);
}

// A peer that is about to end accepts connections and says GOAWAY on each at once: every request that came would make another one. One that says so of a
// connection that has just been made is left alone for a while, then asked again.
static void note_ending_peer(struct upstream_conn *conn) {
    if (conn->codec->version == HTTP_2 && conn->codec->refuses_new && loop_of(conn)->now < conn->opened_at + FRESH_NS)
        avoid_endpoint(conn);
}

static void on_bytes(void *user, struct block *block, struct bytes in) {
    struct upstream_conn *conn = user;
    size_t used = 0;
    conn->received_at = loop_of(conn)->now;
    enum error error = conn->codec->ops->feed(conn->codec, block, in, &used);
    CHECK(error != OK || used == in.len); // a client codec never pauses
    if (conn->codec->version == HTTP_2) {
        note_allowed(conn);
        upstream_conn_flush(conn); // window updates, acknowledgements
        if (conn->codec->peer_is_known)
            tell_waiters(conn, OK);
    }
    if (error != OK) {
        log_event(LOG_WARN, "upstream_protocol_error", "endpoint=%.*s error=%s", BYTES_FORMAT(conn->endpoint->links->text), error_name(error));
        task_cancel(&conn->flush);
        flush_now(&conn->flush);
        upstream_conn_close(conn, error);
    } else if (conn->changed || conn->listed_usable != (upstream_conn_room(conn) > 0) || conn->counted_leaving != upstream_conn_is_leaving(conn)) {
        note_ending_peer(conn);
        upstream_conn_settle(conn); // a stream ended; or GOAWAY, or other SETTINGS, came
    }
}

static void note_tls_failure(const struct upstream_conn *conn, enum error error) {
    struct endpoint_links *links = conn->endpoint->links;
    const char *reason = conn->transport->failure != NULL ? conn->transport->failure : "broken TLS";
    log_event(LOG_WARN, "upstream_tls_failed", "endpoint=%.*s error=%s reason=\"%s\"", BYTES_FORMAT(links->text), error_name(error), reason);
    bytes_drop(&links->tls_failure);
    links->tls_failure = bytes_keep(bytes_from_text(reason));
}

static void on_ended(void *user, enum error error) {
    struct upstream_conn *conn = user;
    if (!conn->open) {
        upstream_conn_close(conn, ERROR_CONNECT_REFUSED);
        return;
    }
    if (error == ERROR_CONNECTION_CLOSED) {
        // An end in order completes what is delimited by it; the codec tells what was cut short.
        struct block *block = block_get(&loop_of(conn)->blocks);
        size_t used = 0;
        conn->input_ended = true;
        if (conn->codec->ops->feed(conn->codec, block, BYTES_NONE, &used) != OK)
            error = ERROR_CONNECTION_RESET;
        block_unref(block);
        if (error == ERROR_CONNECTION_CLOSED && conn->codec->is_tunnel) {
            upstream_conn_settle(conn); // the client's direction may go on
            return;
        }
    }
    if (error == ERROR_TLS_FAILED)
        note_tls_failure(conn, error);
    upstream_conn_close(conn, error);
}

static void on_timer(struct timer *timer);

// Whether a POOL_HTTP2 connection is HTTP/2 whatever the peer chooses; else, on TLS, its choice says. (The port may have become HTTP1 meanwhile: who waits here goes by what
// the port was, and takes what the peer chooses.)
static bool is_fixed(const struct upstream_conn *conn) {
    const struct cluster *cluster = conn->endpoint->cluster;
    return conn->endpoint->peer->tls == TLS_NONE || (cluster != NULL && (cluster->protocol == PROTOCOL_HTTP2 || cluster->protocol == PROTOCOL_GRPC));
}

// What the port's protocol leaves to the peer's choice. The words of the mesh belong to outrigger/1: a port of HTTP1 goes without them, and a server outside the mesh never hears of them.
static struct tls_protocols offered_protocols(const struct upstream_conn *conn) {
    static const struct bytes http1[] = {BYTES_OF("http/1.1")};
    static const struct bytes http2[] = {BYTES_OF(ALPN_MESH), BYTES_OF("h2")};
    static const struct bytes raw[] = {BYTES_OF(ALPN_MESH_TCP)};
    static const struct bytes strangers[] = {BYTES_OF("h2"), BYTES_OF("http/1.1")};
    const bool mesh = conn->endpoint->peer->tls == TLS_MESH;
    if (conn->pool->kind == POOL_RAW)
        return (struct tls_protocols){raw, mesh ? 1 : 0};
    if (conn->pool->kind == POOL_HTTP1)
        return (struct tls_protocols){http1, 1};
    if (!mesh)
        return (struct tls_protocols){strangers, is_fixed(conn) ? 1 : 2};
    return is_fixed(conn) ? (struct tls_protocols){http2, 2} : (struct tls_protocols){.count = 0};
}

static void make_codec(struct upstream_conn *conn) {
    struct upstream *upstream = conn->upstream;
    struct transport *transport = conn->transport;
    const bool may_be_mesh = conn->endpoint->peer->tls == TLS_MESH; // whatever a stranger chooses that it was not offered
    if (conn->pool->kind == POOL_RAW) {
        conn->mesh = may_be_mesh && bytes_equal(transport->alpn, BYTES(ALPN_MESH_TCP));
        conn->codec = raw_codec_create(CODEC_CLIENT, conn->mesh ? RAW_ANNOUNCED : RAW_PLAIN, &upstream_stream_events, conn, &transport->out);
        return;
    }
    conn->mesh = may_be_mesh && bytes_equal(transport->alpn, BYTES(ALPN_MESH));
    const bool chose_http1 = bytes_equal(transport->alpn, BYTES("http/1.1"));
    bool http2 = conn->pool->kind == POOL_HTTP2 && ((is_fixed(conn) && !chose_http1) || conn->mesh || bytes_equal(transport->alpn, BYTES("h2")));
    conn->codec = http2 ? h2_codec_create(CODEC_CLIENT, &upstream->codec_limits, &upstream_stream_events, conn, &transport->out, upstream->h2_memory)
                        : h1_codec_create(CODEC_CLIENT, &upstream->codec_limits, &upstream_stream_events, conn, &transport->out);
}

// No connection of the mesh outlives its peer's leaf. One to a stranger takes nothing new then.
static void limit_by_leaf(struct upstream_conn *conn, nanoseconds now) {
    const enum tls_mode tls = conn->endpoint->peer->tls;
    const nanoseconds left = tls != TLS_NONE ? tls_peer_left(conn->transport) : UINT64_MAX;
    if (left == UINT64_MAX)
        return;
    if (tls == TLS_MESH)
        conn->ends_at = now + left;
    const nanoseconds last_call = now + left - tls_last_call(left);
    if (last_call < conn->drains_at)
        conn->drains_at = last_call;
}

// Whether there are newer credentials than those that it was made with.
static bool is_outdated(const struct upstream_conn *conn) {
    const struct credentials *credentials = upstream_credentials(conn->upstream, conn->endpoint->peer);
    return credentials != NULL && conn->credentials_generation != credentials_generation(credentials);
}

static void become_open(struct upstream_conn *conn) {
    struct upstream *upstream = conn->upstream;
    struct transport *transport = conn->transport;
    make_codec(conn);
    conn->open = true;
    nanoseconds now = loop_of(conn)->now;
    conn->opened_at = conn->idle_since = conn->received_at = now;
    const struct traffic_config *traffic = traffic_of(conn);
    conn->ages_at = UINT64_MAX;
    if (traffic != NULL && traffic->connections.max_age > 0)
        conn->ages_at = now + rng_shortened(&loop_of(conn)->rng, traffic->connections.max_age);
    conn->drains_at = conn->ages_at;
    conn->ends_at = UINT64_MAX;
    limit_by_leaf(conn, now);
    metric_add(&upstream->metrics->upstream_opened, 1);
    metric_add(&upstream->metrics->upstream_active, 1);
    conn->pool->connecting_count--;
    conn->pool->open++;
    note_allowed(conn);
    on_timer(&conn->timer); // arms it for the next of what it watches
    if (conn->closing)
        return;                     // the peer's leaf has just ended
    if (!codec_is_raw(conn->codec)) // else when its stream begins: a server that speaks first is heard by whom it speaks to
        transport->ops->read_start(transport);
    upstream_conn_flush(conn);
    conn_pool_update(conn->pool, conn);
    if (is_unwanted(conn) || (codec_is_raw(conn->codec) && conn_pool_has_spare(conn->pool))) {
        upstream_conn_close(conn, OK); // whoever it was made for has gone
        return;
    }
    // Made with credentials that were replaced during the handshake, or for a protocol that the port had before it: whoever waits gets one made with the new.
    if (is_outdated(conn) || (conn->pool->kind == POOL_HTTP2 && conn->codec->version != HTTP_2 && is_fixed(conn)))
        upstream_conn_drain(conn);
}

static void on_ready(void *user, enum error error) {
    struct upstream_conn *conn = user;
    if (error != OK) {
        if (conn->transport->secure)
            note_tls_failure(conn, error);
        upstream_conn_close(conn, error);
        return;
    }
    if (conn->endpoint->peer->tls == TLS_NONE || conn->transport->secure) {
        become_open(conn);
        return;
    }
    const struct endpoint_peer *peer = conn->endpoint->peer;
    struct credentials *credentials = upstream_credentials(conn->upstream, peer);
    if (credentials == NULL) {
        conn->transport->failure = peer->tls == TLS_MESH ? "no identity yet" : "its CA certificates could not be read";
        note_tls_failure(conn, ERROR_TLS_FAILED);
        upstream_conn_close(conn, ERROR_TLS_FAILED);
        return;
    }
    conn->credentials_generation = credentials_generation(credentials);
    struct tls_client_options options = {
        .credentials = credentials,
        .protocols = offered_protocols(conn),
        .identities = peer->identities,
        .identity_count = peer->identity_count,
        .names = peer->names,
        .name_count = peer->name_count,
        .server_name = peer->server_name,
        .session_key = conn->endpoint->links->session_key,
        .counters = &conn->upstream->tls_counters,
    };
    conn->transport = tls_client_create(conn->transport, &options, &transport_handler, conn);
}

static void release(struct task *task) {
    struct upstream_conn *conn = CONTAINER_OF(task, struct upstream_conn, release);
    conn->upstream->connections--;
    list_remove(&conn->live);
    endpoint_unref(conn->endpoint);
    free(conn);
}

static void on_closed(void *user) {
    struct upstream_conn *conn = user;
    loop_defer(loop_of(conn), &conn->release);
}

static const struct transport_handler transport_handler = {
    .ready = on_ready,
    .bytes = on_bytes,
    .ended = on_ended,
    .drained = on_drained,
    .closed = on_closed,
};

// --- time ---

// While it has streams its peer is asked for a sign of life now and then; of a retired endpoint's too, or a dead one would stay for ever.
static bool is_watched(const struct upstream_conn *conn) {
    return conn->codec->version == HTTP_2 && conn->endpoint->links->keepalive > 0;
}

// A gRPC server closes a connection that is pinged while it sends nothing, but for the first few times or every five minutes; what another sidecar's server does is ours
// to say.
static nanoseconds ping_interval(const struct upstream_conn *conn) {
    const nanoseconds interval = conn->endpoint->links->keepalive;
    const uint32_t often = QUIET_PINGS + (conn->begun_since_ping ? 1 : 0);
    return !conn->mesh && conn->quiet_pings >= often && interval < QUIET_PING_INTERVAL_NS ? QUIET_PING_INTERVAL_NS : interval;
}

// The next moment at which the timer has something to look at. It is not moved while streams come and go: it looks, and sleeps again.
static nanoseconds next_look(const struct upstream_conn *conn, nanoseconds now) {
    nanoseconds next = !conn->draining && conn->drains_at < conn->ends_at ? conn->drains_at : conn->ends_at;
    if (conn->is_promised && promise_look(conn) < next)
        next = promise_look(conn);
    if (list_is_empty(&conn->streams)) {
        nanoseconds idle = idle_timeout(conn);
        if (idle > 0 && conn->idle_since + idle < next)
            next = conn->idle_since + idle;
    } else {
        // A stream ends before this at the earliest to leave the connection idle. One with a tunnel closes behind it.
        nanoseconds idle = conn->codec->is_tunnel ? 0 : idle_timeout(conn);
        if (idle > 0 && now + idle < next)
            next = now + idle;
        if (is_watched(conn)) {
            nanoseconds since = conn->codec->pings_outstanding > 0 ? now : conn->received_at;
            // An answer to PING is waited for no longer than before.
            const nanoseconds interval = conn->codec->pings_outstanding > 0 ? conn->endpoint->links->keepalive : ping_interval(conn);
            if (since + interval < next)
                next = since + interval;
        }
    }
    return next;
}

static void on_timer(struct timer *timer) {
    struct upstream_conn *conn = CONTAINER_OF(timer, struct upstream_conn, timer);
    nanoseconds now = loop_of(conn)->now;
    if (!conn->open) {
        upstream_conn_close(conn, ERROR_CONNECT_TIMEOUT);
        return;
    }
    bool idle = list_is_empty(&conn->streams);
    nanoseconds timeout = idle_timeout(conn);
    if (now >= conn->ends_at) {
        upstream_conn_close(conn, ERROR_UNAUTHENTICATED);
    } else if (now >= conn->drains_at && !conn->draining) {
        conn->aged = now >= conn->ages_at;
        upstream_conn_drain(conn);
    } else if (idle && timeout > 0 && now >= conn->idle_since + timeout) {
        upstream_conn_close(conn, ERROR_IDLE_TIMEOUT);
    } else if (!idle && is_watched(conn) && conn->codec->pings_outstanding > 0 && now >= conn->received_at + conn->endpoint->links->keepalive) {
        upstream_conn_close(conn, ERROR_TRY_TIMEOUT);
        return;
    } else if (!idle && is_watched(conn) && conn->codec->pings_outstanding == 0 && now >= conn->received_at + ping_interval(conn)) {
        conn->begun_since_ping = false;
        conn->quiet_pings++;
        conn->codec->ops->signal(conn->codec, CODEC_PING);
        upstream_conn_flush(conn);
    }
    if (conn->closing)
        return;
    if (conn->is_promised && !conn_places_keep(conn))
        conn_pool_update(conn->pool, conn);
    nanoseconds next = next_look(conn, now);
    if (next != UINT64_MAX)
        timer_start(&loop_of(conn)->timers, &conn->timer, next);
}

void upstream_conn_doubt(struct upstream_conn *conn) {
    if (conn->mesh || conn->codec->version != HTTP_2 || conn->closing)
        return;
    conn->draining = true; // whoever calls settles it
}

void upstream_conn_watch(struct upstream_conn *conn) {
    conn->begun_since_ping = conn->quiet_pings == QUIET_PINGS;
    if (is_watched(conn))
        look_by(conn, loop_of(conn)->now + conn->endpoint->links->keepalive);
}

// --- for the pool ---

enum error upstream_conn_open(struct conn_pool *pool) {
    struct endpoint *endpoint = pool->endpoint;
    struct upstream *upstream = endpoint->upstream;
    struct upstream_conn *conn = alloc_zeroed_or_abort(1, sizeof *conn);
    struct sockaddr_storage socket;
    socklen_t length = endpoint_address_to_socket(&endpoint->address, &socket);
    enum error error = upstream->connect(upstream->loop, (const struct sockaddr *)&socket, length, &transport_handler, conn, &conn->transport);
    if (error != OK) {
        free(conn);
        return error;
    }
    conn->transport->reset_after_bytes = true;
    conn->transport->total_in = &upstream->metrics->upstream_bytes_in;
    conn->transport->total_out = &upstream->metrics->upstream_bytes_out;
    conn->pool = pool;
    conn->endpoint = endpoint;
    conn->upstream = upstream;
    list_init(&conn->link);
    list_init(&conn->live);
    list_init(&conn->idle);
    list_init(&conn->streams);
    list_init(&conn->awaiting);
    task_init(&conn->flush, flush_now);
    task_init(&conn->release, release);
    timer_init(&conn->timer, on_timer);
    loop_timer_start(upstream->loop, &conn->timer, traffic_of(conn)->connections.connect_timeout);
    endpoint_ref(endpoint);
    upstream->connections++;
    list_push_front(&upstream->live, &conn->live);
    conn->number = ++upstream->connections_made;
    list_push_back(&pool->connecting, &conn->link);
    pool->connecting_count++;
    return OK;
}
