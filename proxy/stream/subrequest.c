// The sink of a subrequest's stream: keeps or drops what is answered, bounds its time, and tells its owner how it ended. See subrequest.h.
#include "stream/subrequest.h"

#include "base/check.h"
#include "config/listener_config.h"
#include "http/headers.h"
#include "net/tcp.h"
#include "stream/tracing.h"

struct subrequest {
    struct stream_sink sink; // first
    struct list link;        // in env->subrequests
    enum subrequest_kind kind;
    struct stream *stream;
    union address client; // of the parent, which may be gone
    struct head head;
    struct fields trailers;
    const struct head *answered;          // lies in the stream's memory
    const struct fields *answer_trailers; // the same
    struct buffer body;
    size_t answer_bytes, answer_bytes_max, answer_bytes_kept; // that came of it; may come; are kept
    bool drops_body;
    struct timer timer;
    void (*completed)(void *user, const struct subrequest_answer *answer); // NULL: cancelled
    void *user;
};

static struct subrequest *of_sink(struct stream_sink *sink) {
    return CONTAINER_OF(sink, struct subrequest, sink);
}

static bool send_head(struct stream_sink *sink, const struct head *head, bool end) {
    (void)end;
    if (head->status >= 200)
        of_sink(sink)->answered = head;
    return true;
}

static void send_body(struct stream_sink *sink, struct buffer *body, bool end, const struct fields *trailers) {
    struct subrequest *subrequest = of_sink(sink);
    if (end)
        subrequest->answer_trailers = trailers;
    if (subrequest->drops_body) {
        buffer_clear(body);
        return;
    }
    subrequest->answer_bytes += body->length;
    const bool is_too_long = subrequest->answer_bytes > subrequest->answer_bytes_max;
    if (!is_too_long)
        buffer_move(&subrequest->body, body, subrequest->answer_bytes_kept - subrequest->body.length);
    buffer_clear(body);
    if (is_too_long)
        stream_fail(subrequest->stream, ERROR_BODY_TOO_LARGE, BYTES("answer of a subrequest"));
}

static void consumed(struct stream_sink *sink, size_t count) {
    (void)sink; // it all came at once
    (void)count;
}

static void reset(struct stream_sink *sink, enum error error) {
    (void)sink; // `done` tells
    (void)error;
}

static void done(struct stream_sink *sink) {
    struct subrequest *subrequest = of_sink(sink);
    struct stream_env *env = subrequest->stream->env;
    loop_timer_stop(env->loop, &subrequest->timer);
    list_remove(&subrequest->link);
    env->subrequest_count--;
    env->subrequest_counts[subrequest->kind]--;
    subrequest->stream->destination->cluster->subrequests[subrequest->kind]--;
    metric_subtract(&env->metrics->subrequests_active, 1);
    const struct subrequest_answer answer = {.end = subrequest->stream->end,
                                             .head = subrequest->answered,
                                             .body = &subrequest->body,
                                             .is_cut = subrequest->answer_bytes > subrequest->body.length,
                                             .trailers = subrequest->answer_trailers,
                                             .stream = subrequest->stream};
    if (subrequest->completed != NULL)
        subrequest->completed(subrequest->user, &answer);
    buffer_dispose(&subrequest->body);
    stream_release(subrequest->stream);
}

static const struct stream_sink_ops sink_ops = {
    .send_head = send_head,
    .send_body = send_body,
    .consumed = consumed,
    .reset = reset,
    .done = done,
};

static void on_timer(struct timer *timer) {
    struct subrequest *subrequest = CONTAINER_OF(timer, struct subrequest, timer);
    stream_fail(subrequest->stream, ERROR_REQUEST_TIMEOUT, BYTES("subrequest"));
}

static void copy_fields(struct fields *to, const struct fields *from, struct pool *pool) {
    fields_copy(to, from, pool);
    FIELDS_EACH(to, field) {
        field->name = pool_copy(pool, field->name);
        field->value = pool_copy(pool, field->value);
    }
}

static void copy_head(struct head *to, const struct head *from, struct pool *pool) {
    head_copy(to, from, pool);
    copy_fields(&to->fields, &from->fields, pool);
    struct bytes *texts[] = {&to->method_text, &to->scheme, &to->authority, &to->path};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        *texts[i] = pool_copy(pool, *texts[i]);
    to->expect_continue = false; // the body is there
    to->protocol = BYTES_NONE;
}

static void send_request(struct subrequest *subrequest, const struct subrequest_order *order) {
    struct stream *stream = subrequest->stream;
    copy_head(&subrequest->head, order->head, &stream->pool);
    const bool has_body = order->body != NULL && !buffer_is_empty(order->body);
    if (has_body) {
        stream->request_bytes = order->body->length;
        buffer_move(&stream->request_body, order->body, SIZE_MAX);
    }
    if (order->trailers != NULL)
        copy_fields(&subrequest->trailers, order->trailers, &stream->pool);
    stream_on_head(stream, &subrequest->head, !has_body && order->trailers == NULL);
    if (has_body || order->trailers != NULL)
        stream_on_end(stream, order->trailers == NULL ? NULL : &subrequest->trailers);
}

// How its service's requests are carried, but for further tries.
static const struct traffic_config *tried_once(struct stream *stream) {
    struct traffic_config *traffic = pool_alloc(&stream->pool, sizeof *traffic);
    *traffic = *stream->destination->config->traffic;
    traffic->retry.attempts = 0;
    traffic->hedge.max = 0;
    return traffic;
}

// Whether there is room for one more of its kind.
static enum error check_room(const struct stream_env *env, const struct bound_destination *destination, enum subrequest_kind kind) {
    const uint32_t most = kind == SUBREQUEST_TELEMETRY ? SUBREQUESTS_OWN_MAX : SUBREQUESTS_MAX;
    if (env->refuses_streams)
        return ERROR_MEMORY_LIMIT;
    const bool has_room = env->subrequest_counts[kind] < most && destination->cluster->subrequests[kind] < SUBREQUESTS_TO_ONE_MAX;
    return has_room ? OK : ERROR_FULL;
}

// A stream that is not begun yet, to `destination`.
static struct subrequest *create(struct stream_env *env, struct bound_snapshot *bound, const struct listener_config *listener,
                                 const struct stream_client *client, struct bound_destination *destination, const struct subrequest_order *order) {
    void *memory;
    struct stream *stream = stream_create(env, bound, listener, client, sizeof(struct subrequest), &memory);
    struct subrequest *subrequest = memory;
    subrequest->sink.ops = &sink_ops;
    subrequest->stream = stream;
    subrequest->client = *client->address;
    subrequest->kind = order->kind;
    subrequest->answer_bytes_max = order->answer_bytes_max;
    subrequest->answer_bytes_kept = order->answer_bytes_kept > 0 ? order->answer_bytes_kept : order->answer_bytes_max;
    subrequest->drops_body = order->drops_body;
    subrequest->completed = order->completed;
    subrequest->user = order->user;
    stream->sink = &subrequest->sink;
    stream->client.address = &subrequest->client;
    stream->is_subrequest = true;
    stream->destination = destination;
    stream->traffic = tried_once(stream);
    buffer_init(&subrequest->body, &env->loop->blocks);
    timer_init(&subrequest->timer, on_timer);
    list_init(&subrequest->link);
    return subrequest;
}

static void begin(struct subrequest *subrequest, const struct subrequest_order *order) {
    struct stream_env *env = subrequest->stream->env;
    loop_timer_start(env->loop, &subrequest->timer, order->timeout);
    list_push_back(&env->subrequests, &subrequest->link);
    env->subrequest_count++;
    env->subrequest_counts[order->kind]++;
    subrequest->stream->destination->cluster->subrequests[order->kind]++;
    metric_add(&env->metrics->subrequests, 1);
    metric_add(&env->metrics->subrequests_active, 1);
    send_request(subrequest, order);
}

enum error subrequest_start(struct stream *parent, const struct subrequest_order *order, struct subrequest **started) {
    CHECK(!parent->is_subrequest && parent->bound != NULL);
    struct bound_destination *destination = bound_find(parent->bound, order->service);
    const enum error error = check_room(parent->env, destination, order->kind);
    if (error != OK)
        return error;
    // Without what lies in the connection, which may be gone before this.
    const struct stream_client *asks = &parent->client;
    const struct stream_client client = {
        .address = asks->address, .number = asks->number, .is_kin = asks->is_kin, .secure = asks->secure, .mesh = asks->mesh};
    struct subrequest *subrequest = create(parent->env, parent->bound, parent->listener, &client, destination, order);
    subrequest->stream->spoken = parent->spoken;
    if (order->kind != SUBREQUEST_KEYS) // which are everybody's, and a stranger's
        tracing_begin_below(subrequest->stream, parent);
    begin(subrequest, order);
    if (started != NULL)
        *started = subrequest;
    return OK;
}

enum error subrequest_start_own(struct stream_env *env, struct bound_snapshot *bound, const struct subrequest_order *order,
                                struct subrequest **started) {
    // It came by no listener, from this machine: what is asked of a stream's is told so.
    static const struct listener_config nowhere = {.name = BYTES_OF("own"), .role = ROLE_OUTBOUND};
    const union address here = {.v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
    CHECK(order->kind == SUBREQUEST_TELEMETRY);
    struct bound_destination *destination = bound_find(bound, order->service);
    const enum error error = check_room(env, destination, order->kind);
    if (error != OK)
        return error;
    struct subrequest *subrequest = create(env, bound, &nowhere, &(struct stream_client){.address = &here}, destination, order);
    subrequest->stream->is_own = true;
    subrequest->stream->spoken = HTTP_1_1;
    begin(subrequest, order);
    *started = subrequest;
    return OK;
}

void *subrequest_keep(struct subrequest *subrequest, const void *user, size_t size) {
    subrequest->user = pool_alloc(&subrequest->stream->pool, size);
    memcpy(subrequest->user, user, size);
    return subrequest->user;
}

void subrequest_cancel(struct subrequest *subrequest) {
    subrequest->completed = NULL;
    stream_on_failed(subrequest->stream, ERROR_CLIENT_GONE);
}

void subrequests_cancel_all(struct stream_env *env) {
    LIST_EACH(&env->subrequests, node, following)
        stream_on_failed(LIST_ENTRY(node, struct subrequest, link)->stream, ERROR_CLIENT_GONE);
}
