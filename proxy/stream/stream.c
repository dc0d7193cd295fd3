// The life of a stream: stream_advance decides everything, from what the functions stream_on_... recorded and what its attempt has received. See stream.h.
#include "stream/stream.h"

#include "base/check.h"
#include "base/limits.h"
#include "http/headers.h"
#include "stream/attempt_outcome.h"
#include "stream/attempts.h"
#include "stream/error_reply.h"
#include "stream/explanation.h"
#include "stream/forward.h"
#include "stream/keepsake.h"
#include "stream/route.h"
#include "stream/stream_log.h"
#include "stream/debug_header.h"
#include "stream/tracing.h"

// So long a stream that waits for its response is reckoned with more memory than it has.
#define UNANSWERED_NS NS_PER_S

static void stream_advance(struct task *task);
static void on_watch(struct timer *timer);
static void free_stream(struct task *task);

static void note_answered(struct stream *stream) {
    if (!list_is_linked(&stream->of_unanswered))
        return;
    list_remove(&stream->of_unanswered);
    stream->env->unanswered_count--;
}

static void set_state(struct stream *stream, enum stream_state state) {
    CHECK(stream->state < state);
    stream->state = state;
    if (stream->state >= STREAM_RESPONSE)
        note_answered(stream);
}

static nanoseconds now_of(const struct stream *stream) {
    return stream->env->loop->now;
}

struct stream *stream_create(struct stream_env *env, struct bound_snapshot *bound, const struct listener_config *listener,
                             const struct stream_client *client, size_t size, void **sink_memory) {
    struct pool pool;
    pool_init(&pool, &env->loop->pools);
    struct stream *stream = pool_alloc_zeroed(&pool, sizeof *stream);
    *sink_memory = pool_alloc_zeroed(&pool, size);
    stream->pool = pool;
    stream->env = env;
    stream->listener = listener;
    stream->client = *client;
    stream->bound = bound;
    bound_pin(stream->bound);
    list_init(&stream->of_bound);
    list_init(&stream->of_unanswered);
    list_push_back(&bound->streams, &stream->of_bound);
    stream->proxy = &bound->snapshot->proxy;
    stream->begun = stream->active_at = env->loop->now;
    stream->deadline = UINT64_MAX;
    stream->grpc_status = ACCESS_LOG_NO_GRPC_STATUS;
    task_init(&stream->task, stream_advance);
    task_init(&stream->release, free_stream);
    timer_init(&stream->watch, on_watch);
    buffer_init(&stream->request_body, &env->loop->blocks);
    buffer_init(&stream->response_body, &env->loop->blocks);
    env->streams++;
    if (env->pulse != NULL && !timer_is_running(env->pulse))
        loop_timer_start(env->loop, env->pulse, env->pulse_interval);
    metric_add(&env->metrics->streams_begun, 1);
    metric_add(&env->metrics->streams_active, 1);
    return stream;
}

// --- from below: record and wake ---

void stream_on_head(struct stream *stream, struct head *request, bool end) {
    CHECK(stream->state == STREAM_HEAD && !stream->request_arrived);
    stream->request = request;
    stream->request_arrived = true;
    stream->request_ended = end;
    stream_wake(stream);
}

void stream_on_body(struct stream *stream, struct block *block, struct bytes piece) {
    stream->request_bytes += piece.len;
    if (stream->state == STREAM_DONE)
        return;
    buffer_append_piece(&stream->request_body, block, piece);
    stream_wake(stream);
}

void stream_on_end(struct stream *stream, const struct fields *trailers) {
    if (stream->state == STREAM_DONE)
        return;
    stream->request_ended = true;
    stream->request_took = stream->env->loop->now - stream->begun;
    stream->request_trailers = trailers != NULL ? forward_trailers(stream, trailers) : NULL;
    stream_wake(stream);
}

void stream_on_writable(struct stream *stream) {
    stream_wake(stream);
}

void stream_on_refused(struct stream *stream, const struct head *head) {
    if (!stream->request_arrived)
        stream->refused = head;
}

void stream_on_failed(struct stream *stream, enum error error) {
    if (stream->request_error == OK)
        stream->request_error = error_end(error);
    stream_wake(stream);
}

size_t stream_body_credit(const struct stream *stream) {
    const size_t usual = stream->state < STREAM_UPSTREAM ? LIMIT_BODY_BEFORE_DECISION : stream->proxy->limits.buffer_per_stream;
    return buffer_bound(&stream->request_body, usual);
}

// --- the end ---

static bool is_opaque(const struct stream *stream) {
    return stream->request != NULL && stream->request->opaque;
}

static struct metric_cell *tunnels_active_of(const struct stream *stream) {
    return is_opaque(stream) ? &stream->env->metrics->tunnels_tcp_active : &stream->env->metrics->tunnels_websocket_active;
}

static void finish(struct stream *stream, enum error end) {
    if (stream->state == STREAM_DONE)
        return;
    if (stream->end == OK)
        stream->end = end;
    CHECK(error_is_end(stream->end));
    set_state(stream, STREAM_DONE);
    loop_timer_stop(stream->env->loop, &stream->watch);
    attempts_end(stream);
    chain_end(stream, &stream->filters);
    if (stream->tracing != NULL)
        tracing_end(stream);
    stream_log(stream);
    metric_subtract(&stream->env->metrics->streams_active, 1);
    if (stream->has_tunnel)
        metric_subtract(tunnels_active_of(stream), 1);
    buffer_clear(&stream->request_body);
    buffer_clear(&stream->response_body);
    stream->sink->ops->done(stream->sink);
}

static void free_stream(struct task *task) {
    struct stream *stream = CONTAINER_OF(task, struct stream, release);
    struct stream_env *env = stream->env;
    struct bound_snapshot *bound = stream->bound;
    struct keepsake *keepsake = stream->keepsake;
    attempts_release(stream);
    list_remove(&stream->of_bound);
    pool_dispose(&stream->pool);
    if (bound != NULL)
        bound_unpin(bound);
    else
        keepsake_unref(keepsake);
    env->streams--;
}

void stream_release(struct stream *stream) {
    CHECK(stream->state == STREAM_DONE);
    task_cancel(&stream->task);
    loop_defer(stream->env->loop, &stream->release);
}

// --- replies and errors ---

static void note_request_error(struct stream *stream) {
    CHECK(stream->request_error != OK);
    if (stream->end != OK)
        return;
    stream->end = stream->request_error;
    if (stream->end == ERROR_CLIENT_GONE)
        metric_add(&stream->env->metrics->streams_reset_client, 1);
}

// Of a head or of trailers.
static void note_grpc_status(struct stream *stream, const struct fields *fields) {
    const struct field *grpc = fields_find(fields, FIELD_GRPC_STATUS);
    if (grpc != NULL)
        stream->grpc_status = grpc_code_of(grpc->value);
}

// False: it could not be sent, and the stream is over.
static bool send_response_head(struct stream *stream, struct head *head, bool end) {
    if (!head->opaque)
        debug_header_answer(stream, head);
    if (!stream->sink->ops->send_head(stream->sink, head, end)) {
        note_request_error(stream);
        if (stream->request_error != ERROR_CLIENT_GONE)
            metric_add(&stream->env->metrics->streams_reset_proxy, 1);
        finish(stream, stream->end);
        return false;
    }
    if (stream->request_is_grpc)
        note_grpc_status(stream, &head->fields);
    stream->status = head->status;
    stream->response = head;
    stream->active_at = now_of(stream);
    return true;
}

void stream_fail(struct stream *stream, enum error error, struct bytes detail) {
    CHECK(error != OK);
    if (stream->state == STREAM_DONE || stream->end != OK)
        return;
    stream->end = error_end(error);
    if (detail.len > 0)
        stream->detail = pool_copy(&stream->pool, detail);
    stream_wake(stream);
}

// A response that cannot be completed: cut, so that the client notices, or where gRPC has a word for it, said by trailers.
static void cut_response(struct stream *stream) {
    const struct fields *trailers = stream->state == STREAM_RESPONSE ? error_reply_trailers(stream, stream->end) : NULL;
    if (trailers != NULL) {
        stream->grpc_status = error_grpc_status(stream->end);
        buffer_clear(&stream->response_body);
        stream->sink->ops->send_body(stream->sink, &stream->response_body, true, trailers);
    } else {
        struct worker_metrics *metrics = stream->env->metrics;
        if (stream->end != ERROR_CLIENT_GONE)
            metric_add(stream->end == ERROR_RESPONSE_INCOMPLETE ? &metrics->streams_reset_upstream : &metrics->streams_reset_proxy, 1);
        stream->sink->ops->reset(stream->sink, stream->end);
    }
    finish(stream, stream->end);
}

void stream_ended_by_policy(struct stream *stream, struct bytes policy, const char *rule) {
    if (stream->state == STREAM_DONE || stream->end != OK || stream->policy.len > 0 || policy.len == 0)
        return;
    stream->policy = pool_format(&stream->pool, "%.*s: %s", BYTES_FORMAT(policy), rule);
}

void stream_reply(struct stream *stream, struct head *head, struct buffer *body, const struct fields *trailers, struct bytes detail) {
    CHECK(stream->state < STREAM_RESPONSE && head->status >= 200);
    head->version = HTTP_1_1;
    stream->reply = head;
    stream->reply_trailers = trailers;
    buffer_clear(&stream->response_body);
    if (body != NULL && !buffer_is_empty(body)) {
        if (head->content_length < 0 && trailers == NULL)
            head->content_length = (int64_t)body->length;
        if (stream->request != NULL && stream->request->method == METHOD_HEAD)
            buffer_clear(body);
        buffer_move(&stream->response_body, body, SIZE_MAX);
    }
    if (detail.len > 0)
        stream->detail = pool_copy(&stream->pool, detail);
    if (stream->end == OK)
        trace_answered(stream, detail);
}

// False: a filter holds its head. The filters that see an error cannot hold it, nor put another reply in its place.
static bool walk_reply_back(struct stream *stream) {
    if (stream->end != OK) {
        if (stream->filters.chain != NULL)
            chain_reply_head(stream, stream->reply);
        return true;
    }
    enum filter_result result;
    do {
        result = chain_response_head(stream, stream->reply);
    } while (result == FILTER_REPLIED && stream->end == OK);
    return result == FILTER_CONTINUE;
}

static void end_response(struct stream *stream, const struct fields *trailers) {
    stream->response_trailers = trailers;
    if (trailers != NULL && stream->request_is_grpc)
        note_grpc_status(stream, trailers);
    finish(stream, stream->end);
}

static void begin_reply(struct stream *stream) {
    attempts_end(stream); // what an attempt received has no place behind this reply
    if (!walk_reply_back(stream))
        return;
    bool end = buffer_is_empty(&stream->response_body) && stream->reply_trailers == NULL;
    stream->response_in_hand = stream->end == OK;
    set_state(stream, STREAM_RESPONSE);
    if (send_response_head(stream, stream->reply, end) && end)
        finish(stream, stream->end);
}

static void pass_reply(struct stream *stream) {
    if (stream->response_in_hand && chain_response_data(stream, &stream->response_body, true) != FILTER_CONTINUE)
        return;
    stream->response_in_hand = false;
    size_t before = stream->response_body.length;
    stream->sink->ops->send_body(stream->sink, &stream->response_body, true, stream->reply_trailers);
    size_t passed = before - stream->response_body.length;
    stream->response_bytes += passed;
    if (passed > 0)
        stream->active_at = now_of(stream);
    if (buffer_is_empty(&stream->response_body))
        end_response(stream, stream->reply_trailers);
}

// On an opaque connection an error has no words but toward another of our proxies, whose codec tells it by its name.
static void refuse_opaque(struct stream *stream) {
    if (!stream->client.mesh || stream->state == STREAM_RESPONSE || error_status(stream->end) == 0) {
        cut_response(stream);
        return;
    }
    struct head *head = pool_alloc_zeroed(&stream->pool, sizeof *head);
    head_init(head, &stream->pool);
    head->status = error_status(stream->end);
    fields_add_known(&head->fields, FIELD_OUTRIGGER_REFUSED, bytes_from_text(error_name(stream->end)));
    attempts_end(stream);
    set_state(stream, STREAM_RESPONSE);
    if (send_response_head(stream, head, true))
        finish(stream, stream->end);
}

// stream->end is an error: tell the client as far as that is still possible.
static void reply_error(struct stream *stream) {
    if (is_opaque(stream)) {
        refuse_opaque(stream);
        return;
    }
    if (stream->state == STREAM_RESPONSE || error_status(stream->end) == 0) {
        cut_response(stream);
        return;
    }
    struct buffer body;
    buffer_init(&body, &stream->env->loop->blocks);
    struct head *head = error_reply_build(stream, stream->end, &body);
    stream_reply(stream, head, &body, NULL, BYTES_NONE);
    begin_reply(stream);
    if (stream->state != STREAM_DONE)
        pass_reply(stream);
    if (stream->state == STREAM_DONE)
        return;
    stream->sink->ops->reset(stream->sink, stream->end); // whoever left so much of what came before unread learns it by the end of the connection
    finish(stream, stream->end);
}

// --- time ---

// A client that owes a body must keep sending; one that streams both ways need not.
static bool may_owe_body(const struct stream *stream) {
    return stream->state < STREAM_RESPONSE && !stream->request_ended && !stream->request_is_grpc && !stream->asks_tunnel && !stream->has_tunnel &&
           stream->proxy->limits.body_idle_timeout > 0;
}

// All that it sent has gone on: that nothing moves is not upstream's doing, nor a filter's.
static bool is_waited_for(const struct stream *stream) {
    if (!buffer_is_empty(&stream->request_body))
        return false;
    const struct attempts *attempts = stream->attempts;
    if (attempts == NULL)
        return true;
    LIST_EACH(&attempts->running, node, following) {
        const struct attempt *attempt = LIST_ENTRY(node, struct attempt, link);
        if (!buffer_is_empty(&attempt->body) || !buffer_is_empty(&attempt->up.codec_stream.out))
            return false;
    }
    return !attempts->piece_in_hand;
}

static nanoseconds idle_timeout(const struct stream *stream) {
    return stream->has_tunnel ? stream->traffic->timeouts.tcp_idle : stream->traffic->timeouts.idle;
}

static void watch_again(struct stream *stream, nanoseconds quiet) {
    nanoseconds idle = idle_timeout(stream);
    nanoseconds next = idle > 0 ? idle - quiet : UINT64_MAX;
    if (may_owe_body(stream)) {
        nanoseconds body = stream->proxy->limits.body_idle_timeout;
        nanoseconds look = quiet < body ? body - quiet : body;
        next = look < next ? look : next;
    }
    if (next != UINT64_MAX)
        loop_timer_start(stream->env->loop, &stream->watch, next);
}

static void on_watch(struct timer *timer) {
    struct stream *stream = CONTAINER_OF(timer, struct stream, watch);
    nanoseconds idle = idle_timeout(stream);
    nanoseconds quiet = now_of(stream) - stream->active_at;
    if (may_owe_body(stream) && quiet >= stream->proxy->limits.body_idle_timeout && is_waited_for(stream)) {
        stream_fail(stream, ERROR_BODY_TIMEOUT, BYTES("idle"));
    } else if (idle > 0 && quiet >= idle) {
        const char *rule = stream->has_tunnel ? "timeouts.tcpIdle" : "timeouts.idle";
        stream_ended_by_policy(stream, stream->traffic->timeouts.policy, rule);
        stream_fail(stream, ERROR_REQUEST_TIMEOUT, BYTES("idle"));
    } else {
        watch_again(stream, quiet);
    }
}

// --- the states, in the order of the traffic ---

static bool body_is_too_large(const struct stream *stream) {
    uint64_t max = stream->proxy->limits.body_bytes;
    if (max == 0 || stream->is_own || stream->asks_tunnel || stream->has_tunnel)
        return false;
    return stream->request_bytes > max || (stream->request->content_length > 0 && (uint64_t)stream->request->content_length > max);
}

// One that has waited for long may wait for ever, or has by now what it wants: it is no part of a burst.
static void forget_patient(struct stream_env *env) {
    while (!list_is_empty(&env->unanswered)) {
        struct stream *oldest = LIST_ENTRY(list_first(&env->unanswered), struct stream, of_unanswered);
        if (oldest->begun + UNANSWERED_NS > env->loop->now)
            return;
        note_answered(oldest);
    }
}

// False where there is no memory for it. One that waits for its response has little of what it will want.
static bool is_let_in(struct stream *stream) {
    struct stream_env *env = stream->env;
    forget_patient(env);
    if (env->refuses_streams || env->unanswered_count >= env->unanswered_max)
        return false;
    list_push_back(&env->unanswered, &stream->of_unanswered);
    env->unanswered_count++;
    return true;
}

// What refuses a request before its filters are asked.
static enum error prepare(struct stream *stream) {
    if (!is_let_in(stream)) {
        limit_hit(stream->env->metrics->limits, LIMIT_METRIC_MEMORY);
        return ERROR_MEMORY_LIMIT;
    }
    if (stream->request->opaque)
        return stream->client.mesh && stream->env->draining ? ERROR_DRAINING : OK; // the caller goes elsewhere
    return body_is_too_large(stream) ? ERROR_BODY_TOO_LARGE : forward_prepare(stream);
}

// As its last recipient: an OPTIONS request that may go no further asks what we pass on.
static void answer_options(struct stream *stream) {
    struct head *head = pool_alloc_zeroed(&stream->pool, sizeof *head);
    head_init(head, &stream->pool);
    head->status = 200;
    head->content_length = 0;
    fields_add(&head->fields, BYTES("Allow"), BYTES("GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"));
    stream_reply(stream, head, NULL, NULL, BYTES("max-forwards"));
}

// A connection of opaque bytes is a tunnel from its first.
static void begin_opaque(struct stream *stream) {
    stream->has_tunnel = true;
    metric_add(&stream->env->metrics->tunnels_tcp, 1);
    metric_add(&stream->env->metrics->tunnels_tcp_active, 1);
}

// Whose the request is, and whether it may pass. An error has its detail.
static enum error find_way(struct stream *stream) {
    enum error error = route_find_service(stream);
    if (error != OK) {
        stream->detail = pool_copy(&stream->pool, stream->request->authority);
        return error;
    }
    if (stream->explanation != NULL)
        stream->explanation->service = stream->destination->config->service;
    error = prepare(stream);
    return error == OK && !stream->request_ends_here ? route_choose(stream) : error;
}

static void begin_tracing(struct stream *stream) {
    if (stream->env->spans != NULL || stream->proxy->telemetry.traces.force_header.len > 0)
        tracing_begin(stream);
}

// Over before it was known where it goes, as what its client takes back with the bytes behind it: told of all the same.
static void begin_unrouted(struct stream *stream) {
    stream->request_is_grpc = head_is_grpc(stream->request);
    begin_tracing(stream);
}

// Where the request goes, and by which chain.
static void route(struct stream *stream) {
    struct head *request = stream->request;
    stream->request_is_grpc = head_is_grpc(request);
    stream->asks_tunnel = request->protocol.len > 0;
    if (request->opaque)
        begin_opaque(stream);
    else if (stream->proxy->debug_header.len > 0)
        debug_header_begin(stream);
    const enum error error = find_way(stream);
    begin_tracing(stream);
    if (error != OK) {
        stream_fail(stream, error, BYTES_NONE);
        return;
    }
    if (stream->request_ends_here) {
        answer_options(stream);
        return;
    }
    chain_begin(&stream->filters, stream->destination->chain, NULL, &stream->pool);
    if (!stream_is_asked_about(stream))
        watch_again(stream, 0);
    set_state(stream, STREAM_CHAIN);
}

// Who made it has said where it goes, and of what it is made.
static void begin_subrequest(struct stream *stream) {
    static const struct chain no_filters = {0};
    stream->request_is_grpc = head_is_grpc(stream->request);
    chain_begin(&stream->filters, &no_filters, NULL, &stream->pool);
    watch_again(stream, 0);
    set_state(stream, STREAM_CHAIN);
}

bool stream_has_backend(const struct stream *stream) {
    return stream->destination->config->is_backend && (stream->rule == NULL || stream->rule->weights > 0);
}

static void run_chain(struct stream *stream) {
    if (chain_advance(stream, &stream->filters) != FILTER_CONTINUE)
        return;
    if (!stream_has_backend(stream)) {
        stream_fail(stream, ERROR_BACKEND_INVALID, stream->destination->config->fault);
        return;
    }
    if (attempts_start(stream))
        set_state(stream, STREAM_UPSTREAM);
}

// While several run, which of them speaks for the stream is not known: theirs wait for the commitment.
static void pass_interim_heads(struct stream *stream) {
    struct attempts *attempts = stream->attempts;
    bool one_runs = !list_is_empty(&attempts->running) && attempts->running.next == attempts->running.prev;
    if (attempts->committed == NULL && !one_runs)
        return;
    struct attempt *attempt = attempts->committed != NULL ? attempts->committed : LIST_ENTRY(list_first(&attempts->running), struct attempt, link);
    struct upstream_stream *up = &attempt->up;
    for (struct list *node = list_pop_front(&up->interim); node != NULL; node = list_pop_front(&up->interim)) {
        struct interim_head *interim = LIST_ENTRY(node, struct interim_head, link);
        (void)stream->sink->ops->send_head(stream->sink, &interim->head, false); // where it fails so will the response's
    }
}

// From now on another time counts, and the end of each direction is its own.
static void open_tunnel(struct stream *stream) {
    CHECK(stream->asks_tunnel && !stream->has_tunnel);
    stream->has_tunnel = true;
    stream->switched_at = now_of(stream);
    metric_add(&stream->env->metrics->tunnels_websocket, 1);
    metric_add(&stream->env->metrics->tunnels_websocket_active, 1);
    loop_timer_stop(stream->env->loop, &stream->watch);
    watch_again(stream, 0);
}

static void run_attempts(struct stream *stream) {
    if (body_is_too_large(stream)) {
        stream_fail(stream, ERROR_BODY_TOO_LARGE, BYTES_NONE);
        return;
    }
    enum attempts_result result = attempts_advance(stream);
    if (stream->end != OK)
        return; // it failed, or a filter has ended the stream
    pass_interim_heads(stream);
    if (result != ATTEMPTS_ANSWERED)
        return;
    struct attempt *attempt = stream->attempts->committed;
    struct upstream_stream *up = &attempt->up;
    if (attempt->refusal != OK && error_status(attempt->refusal) != 0 && !error_reply_tells(stream)) {
        error_reply_take_over(stream, &up->codec_stream.head);
        stream_fail(stream, attempt->refusal, attempt->endpoint->links->text); // in our own words, that tell nothing of who refused
        return;
    }
    if (!stream->response_prepared)
        forward_response_head(stream, attempt);
    stream->response_prepared = true;
    if (chain_response_head(stream, &up->codec_stream.head) != FILTER_CONTINUE)
        return;
    bool switches = up->codec_stream.head.status == 101;
    bool end = up->ended && !switches && !stream->has_tunnel && buffer_is_empty(&up->body) && up->codec_stream.trailers.count == 0;
    if (stream->asks_tunnel && !switches)
        attempt_end_request(attempt);
    set_state(stream, STREAM_RESPONSE);
    if (!send_response_head(stream, &up->codec_stream.head, end))
        return;
    if (switches)
        open_tunnel(stream);
    else if (stream->has_tunnel)
        stream->switched_at = now_of(stream);
    if (end)
        finish(stream, OK);
}

// A tunnel's bytes are no body to them.
static bool filters_see_body(const struct stream *stream) {
    return stream->filters.chain->has_response_data && !stream->has_tunnel;
}

// What came of the response's body and has passed the filters; NULL: nothing more came, or a filter waits. `*last`: nothing follows.
static struct buffer *next_response_piece(struct stream *stream, bool *last) {
    struct upstream_stream *up = &stream->attempts->committed->up;
    if (!filters_see_body(stream)) {
        *last = up->ended;
        return up->body.length > 0 || up->ended ? &up->body : NULL;
    }
    if (buffer_is_empty(&stream->response_body) && !stream->response_in_hand) {
        if (buffer_is_empty(&up->body) && !up->ended)
            return NULL;
        stream->response_taken = up->body.length;
        stream->response_is_last = up->ended;
        stream->response_in_hand = true;
        buffer_move(&stream->response_body, &up->body, SIZE_MAX);
    }
    if (stream->response_in_hand && chain_response_data(stream, &stream->response_body, stream->response_is_last) != FILTER_CONTINUE)
        return NULL;
    stream->response_in_hand = false;
    *last = stream->response_is_last;
    return &stream->response_body;
}

// `passed` bytes have gone down: upstream may send as much again. Where filters may have changed a piece, as much as it was before, once it is gone.
static void tell_upstream(struct stream *stream, size_t passed) {
    if (filters_see_body(stream)) {
        passed = buffer_is_empty(&stream->response_body) ? stream->response_taken : 0;
        stream->response_taken -= passed;
    }
    if (passed > 0)
        upstream_stream_consumed(&stream->attempts->committed->up, passed);
}

static void pass_response_body(struct stream *stream) {
    struct upstream_stream *up = &stream->attempts->committed->up;
    bool last;
    struct buffer *piece;
    while ((piece = next_response_piece(stream, &last)) != NULL) {
        size_t before = piece->length;
        const struct fields *trailers = last ? forward_trailers(stream, &up->codec_stream.trailers) : NULL;
        stream->sink->ops->send_body(stream->sink, piece, last, trailers);
        size_t passed = before - piece->length;
        if (passed > 0)
            stream->active_at = now_of(stream);
        stream->response_bytes += passed;
        tell_upstream(stream, passed);
        if (!buffer_is_empty(piece))
            return; // the sink wakes us when it has room
        if (last) {
            stream->tunnel_answered = stream->has_tunnel;
            if (!stream->has_tunnel)
                end_response(stream, trailers);
            return;
        }
    }
    if (up->error != OK && stream->end == OK && buffer_is_empty(&up->body) && !stream->response_in_hand)
        stream_fail(stream, ERROR_RESPONSE_INCOMPLETE, stream->attempts->committed->endpoint->links->text);
}

// Upstream's direction of a tunnel is over: the client's goes on until it has been passed on, or nobody is there any more who would take it.
static void pass_rest_of_tunnel(struct stream *stream) {
    const struct upstream_stream *up = &stream->attempts->committed->up;
    if (up->codec_stream.sent < PROGRESS_ENDED && up->error != OK)
        stream_fail(stream, ERROR_UPSTREAM_RESET, stream->attempts->committed->endpoint->links->text);
    else if (up->codec_stream.sent >= PROGRESS_ENDED || up->conn == NULL)
        finish(stream, OK);
}

static void pass_response(struct stream *stream) {
    if (body_is_too_large(stream)) {
        stream_fail(stream, ERROR_BODY_TOO_LARGE, BYTES_NONE);
        return;
    }
    (void)attempts_advance(stream); // the rest of the request
    if (stream->end == OK && !stream->tunnel_answered)
        pass_response_body(stream);
    if (stream->tunnel_answered && stream->state != STREAM_DONE && stream->end == OK)
        pass_rest_of_tunnel(stream);
}

void stream_decide(struct stream *stream, struct head *head) {
    CHECK(stream_is_asked_about(stream) && stream->state == STREAM_HEAD && !stream->request_arrived);
    stream->request = head;
    stream->request_arrived = stream->request_ended = true;
    route(stream);
    if (stream->state == STREAM_CHAIN) {
        enum filter_result result = chain_advance(stream, &stream->filters);
        CHECK(result == FILTER_CONTINUE);
    }
    if (stream->state == STREAM_CHAIN && !stream_has_backend(stream))
        stream_fail(stream, ERROR_BACKEND_INVALID, stream->destination->config->fault);
}

void stream_forget(struct stream *stream) {
    CHECK(stream_is_asked_about(stream) && stream->sink == NULL);
    chain_end(stream, &stream->filters);
    set_state(stream, STREAM_DONE);
    buffer_clear(&stream->response_body);
    stream_release(stream);
}

static void stream_advance(struct task *task) {
    struct stream *stream = CONTAINER_OF(task, struct stream, task);
    if (stream->state == STREAM_DONE)
        return;
    if (stream->request_error != OK)
        note_request_error(stream);
    const bool is_new = stream->state == STREAM_HEAD && stream->request_arrived;
    if (is_new && stream->end == OK)
        stream->is_subrequest ? begin_subrequest(stream) : route(stream);
    else if (is_new && stream->tracing == NULL && !stream->is_subrequest)
        begin_unrouted(stream);
    if (stream->state == STREAM_CHAIN && stream->end == OK && stream->reply == NULL)
        run_chain(stream);
    if (stream->state == STREAM_UPSTREAM && stream->end == OK && stream->reply == NULL)
        run_attempts(stream);
    if (stream->state < STREAM_RESPONSE && stream->end == OK && stream->reply != NULL)
        begin_reply(stream);
    if (stream->state == STREAM_RESPONSE && stream->end == OK)
        stream->reply == NULL ? pass_response(stream) : pass_reply(stream);
    if (stream->state != STREAM_DONE && stream->end != OK)
        reply_error(stream);
    if (stream->bound != NULL && stream->bound->is_retired)
        keepsake_take(stream);
}
