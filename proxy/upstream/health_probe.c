// See health_probe.h. What comes of it is known before it is over: what is left of the answer is read, so that the server sees an end in order, as long as that does not take more than the timeout.
#include "upstream/health_probe.h"

#include "base/check.h"
#include "http/headers.h"
#include "upstream/cluster.h"
#include "upstream/grpc_health.h"
#include "upstream/upstream_conn.h"
#include "upstream/upstream_stream.h"

#include <string.h>

// Of an answer: more is not read.
#define ANSWER_BYTES_MAX ((size_t)64 << 10)

// A message of gRPC's health protocol has a handful of bytes.
#define GRPC_ANSWER_MAX 512

#define USER_AGENT "outrigger-health-check/" OUTRIGGER_VERSION

struct health_probe {
    struct pool pool; // holds this too
    struct loop *loop;
    struct health_probe_order order; // endpoint: one reference
    enum pool_kind kind;
    struct conn_waiter waiter;
    struct upstream_stream up;
    struct head head;
    struct buffer body; // to be sent
    struct task task;
    struct task release;
    struct timer timer;
    size_t received;
    bool is_sent;
    bool is_known; // `cause` is the outcome
    int32_t cause;
};

static void release(struct task *task) {
    struct pool pool = CONTAINER_OF(task, struct health_probe, release)->pool;
    pool_dispose(&pool);
}

static void end(struct health_probe *probe) {
    loop_timer_stop(probe->loop, &probe->timer);
    task_cancel(&probe->task);
    conn_waiter_cancel(&probe->waiter);
    upstream_stream_cancel(&probe->up, ERROR_CANCELLED);
    buffer_dispose(&probe->body);
    buffer_dispose(&probe->up.body);
    endpoint_unref(probe->order.endpoint);
    loop_defer(probe->loop, &probe->release);
}

static void finish(struct health_probe *probe, int32_t cause) {
    end(probe);
    probe->order.done(probe->order.user, probe->is_known ? probe->cause : cause);
}

static void learn(struct health_probe *probe, int32_t cause) {
    if (probe->is_known)
        return;
    probe->is_known = true;
    probe->cause = cause;
}

static void on_timer(struct timer *timer) {
    struct health_probe *probe = CONTAINER_OF(timer, struct health_probe, timer);
    finish(probe, probe->is_sent ? ERROR_TRY_TIMEOUT : ERROR_CONNECT_TIMEOUT);
}

// --- what is sent ---

static enum pool_kind kind_of(const struct endpoint *endpoint, enum health_check_type type) {
    const enum port_protocol protocol = endpoint->cluster->protocol;
    if (protocol_is_opaque(protocol))
        return type == HEALTH_CHECK_TCP ? POOL_RAW : type == HEALTH_CHECK_GRPC ? POOL_HTTP2 : POOL_HTTP1;
    if (type == HEALTH_CHECK_GRPC || protocol == PROTOCOL_HTTP2 || protocol == PROTOCOL_GRPC)
        return POOL_HTTP2;
    return protocol == PROTOCOL_HTTP1 || endpoint->peer->tls == TLS_NONE ? POOL_HTTP1 : POOL_HTTP2;
}

static struct bytes host_of(const struct health_probe *probe) {
    const struct bytes named = probe->order.check->host, peer = probe->order.endpoint->peer->server_name;
    return named.len > 0 ? named : peer.len > 0 ? peer : probe->order.host;
}

static void make_request(struct health_probe *probe) {
    const struct health_check_config *check = probe->order.check;
    const bool is_grpc = check->type == HEALTH_CHECK_GRPC;
    struct head *head = &probe->head;
    head_init(head, &probe->pool);
    head->version = HTTP_1_1;
    head->title_case = true;
    head->method = is_grpc ? METHOD_POST : METHOD_GET;
    head->method_text = method_text(head->method);
    head->scheme = probe->order.endpoint->peer->tls == TLS_NONE ? BYTES("http") : BYTES("https");
    head->authority = host_of(probe);
    head->path = is_grpc ? BYTES(GRPC_HEALTH_PATH) : check->path;
    head->content_length = -1;
    fields_add_known(&head->fields, FIELD_USER_AGENT, BYTES(USER_AGENT));
    if (!is_grpc)
        return;
    char message[GRPC_HEALTH_REQUEST_MAX];
    const size_t length = grpc_health_request(check->grpc_service, message);
    head->te_trailers = true;
    fields_add_known(&head->fields, FIELD_CONTENT_TYPE, BYTES("application/grpc"));
    buffer_append(&probe->body, bytes_from(message, length));
}

// --- what comes ---

static int32_t cause_of_grpc(struct health_probe *probe) {
    const struct codec_stream *answer = &probe->up.codec_stream;
    const struct field *field = fields_find(&answer->head.fields, FIELD_GRPC_STATUS);
    char text[GRPC_ANSWER_MAX];
    uint64_t code;
    uint32_t status;
    if (answer->head.status != 200)
        return answer->head.status;
    if (field == NULL && answer->trailers.count > 0)
        field = fields_find(&answer->trailers, FIELD_GRPC_STATUS);
    if (field == NULL || !bytes_to_u64(field->value, CAUSE_GRPC - 1, &code))
        return ERROR_RESPONSE_MALFORMED;
    if (code != 0)
        return CAUSE_GRPC + (int32_t)code;
    if (probe->up.body.length > sizeof text)
        return ERROR_RESPONSE_MALFORMED;
    size_t length = 0;
    while (!buffer_is_empty(&probe->up.body)) {
        const struct bytes piece = buffer_front(&probe->up.body);
        memcpy(text + length, piece.at, piece.len);
        length += piece.len;
        buffer_consume(&probe->up.body, piece.len);
    }
    if (!grpc_health_response(bytes_from(text, length), &status))
        return ERROR_RESPONSE_MALFORMED;
    return status == GRPC_HEALTH_SERVING ? 0 : CAUSE_GRPC_HEALTH + (int32_t)status;
}

static void receive(struct health_probe *probe) {
    struct upstream_stream *up = &probe->up;
    const struct health_check_config *check = probe->order.check;
    const unsigned status = up->codec_stream.head.status;
    if (up->head_arrived && check->type == HEALTH_CHECK_HTTP)
        learn(probe, health_check_takes_status(check, status) ? 0 : (int32_t)status);
    else if (up->head_arrived && check->type == HEALTH_CHECK_TCP)
        learn(probe, status == 200 ? 0 : (int32_t)status);
    else if (up->ended && up->error == OK)
        learn(probe, cause_of_grpc(probe));
    const bool over = up->ended || up->error != OK || probe->received + up->body.length > ANSWER_BYTES_MAX;
    if (over) {
        finish(probe, up->error != OK ? (int32_t)up->error : ERROR_RESPONSE_MALFORMED);
        return;
    }
    if (probe->kind == POOL_RAW && up->head_arrived && up->codec_stream.sent < PROGRESS_ENDED) {
        upstream_stream_send(up, &probe->body, true, NULL); // an end in order
        return;
    }
    if (check->type == HEALTH_CHECK_GRPC)
        return; // all of it is looked at together
    const size_t length = up->body.length;
    probe->received += length;
    buffer_clear(&up->body);
    upstream_stream_consumed(up, length);
}

// --- its turns ---

// On a connection that nothing else goes over.
static void send_on(struct health_probe *probe, struct upstream_conn *conn) {
    const bool has_body = probe->order.check->type == HEALTH_CHECK_GRPC || probe->kind == POOL_RAW;
    const bool asks = probe->order.check->type != HEALTH_CHECK_TCP || (probe->kind == POOL_RAW && conn->mesh);
    if (!asks) {
        upstream_conn_drain(conn); // it was made, which is all that is asked
        finish(probe, 0);
        return;
    }
    probe->head.opaque = probe->kind == POOL_RAW;
    const enum error error = upstream_stream_open(conn, &probe->up, &probe->head, !has_body);
    if (error != OK) {
        finish(probe, error);
        return;
    }
    probe->is_sent = true;
    upstream_conn_drain(conn);
    if (probe->order.check->type == HEALTH_CHECK_GRPC)
        upstream_stream_send(&probe->up, &probe->body, true, NULL);
}

static void run(struct task *task) {
    struct health_probe *probe = CONTAINER_OF(task, struct health_probe, task);
    if (probe->is_sent) {
        receive(probe);
        return;
    }
    if (probe->waiter.error != OK || probe->order.endpoint->cluster == NULL) {
        finish(probe, probe->waiter.error != OK ? (int32_t)probe->waiter.error : ERROR_NO_ENDPOINT);
        return;
    }
    if (probe->waiter.pool != NULL && !probe->waiter.granted)
        return;
    enum error error;
    struct upstream_conn *conn = conn_pool_take(&probe->order.endpoint->links->pools[probe->kind], &probe->waiter, &error);
    if (conn != NULL)
        send_on(probe, conn);
    else if (error != OK)
        finish(probe, error);
}

struct health_probe *health_probe_start(const struct health_probe_order *order) {
    struct loop *loop = order->endpoint->upstream->loop;
    struct pool pool;
    pool_init(&pool, &loop->pools);
    struct health_probe *probe = pool_alloc_zeroed(&pool, sizeof *probe);
    probe->pool = pool;
    probe->loop = loop;
    probe->order = *order;
    CHECK(order->endpoint->cluster != NULL);
    endpoint_ref(order->endpoint);
    endpoint_link(order->endpoint);
    probe->kind = kind_of(order->endpoint, order->check->type);
    list_init(&probe->waiter.link);
    list_init(&probe->up.link);
    list_init(&probe->up.interim);
    buffer_init(&probe->body, &loop->blocks);
    buffer_init(&probe->up.body, &loop->blocks);
    task_init(&probe->task, run);
    task_init(&probe->release, release);
    timer_init(&probe->timer, on_timer);
    probe->waiter.task = probe->up.task = &probe->task;
    probe->up.codec_stream.pool = &probe->pool;
    make_request(probe);
    loop_timer_start(loop, &probe->timer, order->check->timeout);
    loop_wake(loop, &probe->task);
    return probe;
}

void health_probe_cancel(struct health_probe *probe) {
    end(probe);
}
