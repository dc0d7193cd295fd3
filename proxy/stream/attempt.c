// See attempt.h. The state machine of one try, in the order of the traffic.
#include "stream/attempt.h"

#include "base/check.h"
#include "http/headers.h"
#include "stream/attempt_outcome.h"
#include "stream/attempts.h"
#include "stream/breaking.h"
#include "stream/error_reply.h"
#include "stream/forward.h"
#include "stream/stream.h"
#include "stream/tracing.h"
#include "stream/upgrade.h"
#include "upstream/upstream_conn.h"

static void set_state(struct attempt *attempt, enum attempt_state state) {
    CHECK(attempt->state < state);
    attempt->state = state;
}

static void on_try_timeout(struct timer *timer) {
    struct attempt *attempt = CONTAINER_OF(timer, struct attempt, try_timeout);
    attempt->error = ERROR_TRY_TIMEOUT;
    stream_wake(attempt->stream);
}

struct attempt *attempt_create(struct stream *stream) {
    struct pool pool;
    pool_init(&pool, &stream->env->loop->pools);
    struct attempt *attempt = pool_alloc_zeroed(&pool, sizeof *attempt);
    attempt->pool = pool;
    attempt->stream = stream;
    list_init(&attempt->link);
    list_init(&attempt->waiter.link);
    list_init(&attempt->up.link);
    list_init(&attempt->up.interim);
    buffer_init(&attempt->body, &stream->env->loop->blocks);
    buffer_init(&attempt->up.body, &stream->env->loop->blocks);
    timer_init(&attempt->try_timeout, on_try_timeout);
    attempt->waiter.task = &stream->task;
    attempt->up.task = &stream->task;
    attempt->up.codec_stream.pool = &attempt->pool;
    attempt->never_sent = true;
    metric_add(&stream->env->metrics->attempts, 1);
    return attempt;
}

static void fail(struct attempt *attempt, enum error error) {
    CHECK(error != OK);
    attempt->error = error;
    attempt_end(attempt, error);
}

void attempt_refuse(struct attempt *attempt, enum error error, struct bytes detail) {
    CHECK(error != OK && attempt->state < ATTEMPT_SENT);
    attempt->error = error;
    attempt->detail = pool_copy(&attempt->pool, detail);
    attempt->filter_refused = true;
    stream_wake(attempt->stream);
}

static void run_filters(struct attempt *attempt) {
    struct stream *stream = attempt->stream;
    if (attempt->filters.chain == NULL)
        chain_begin(&attempt->filters, stream->destination->attempt_chain, attempt, &attempt->pool);
    enum filter_result result = chain_advance(stream, &attempt->filters);
    if (result == FILTER_CONTINUE)
        set_state(attempt, ATTEMPT_PICK);
    else if (result == FILTER_REPLIED)
        fail(attempt, attempt->error);
}

// There is no endpoint: the names of the service have none, or have not been answered for yet, and then the attempt waits.
static void await_endpoint(struct attempt *attempt) {
    struct cluster *cluster = attempt->stream->destination->cluster;
    struct bytes detail;
    if (breaking_refuses_all(attempt)) {
        fail(attempt, attempt->error);
        return;
    }
    enum error error = cluster_why_none(cluster, &detail);
    if (attempt->endpoint_wait != NULL && attempt->endpoint_wait->error != OK)
        error = attempt->endpoint_wait->error;
    attempt->detail = pool_copy(&attempt->pool, detail);
    if (error == ERROR_CANCELLED) {
        if (attempt->endpoint_wait == NULL)
            attempt->endpoint_wait = pool_alloc_zeroed(&attempt->pool, sizeof *attempt->endpoint_wait);
        error = endpoint_wait_start(attempt->endpoint_wait, cluster, &attempt->stream->task);
    }
    if (error != OK)
        fail(attempt, error);
}

// One that no other worker has just sent the last probe to, or broken: each of them is found once at most.
static struct endpoint *choose(struct attempt *attempt, struct cluster *cluster) {
    const struct stream *stream = attempt->stream;
    const struct attempts *attempts = stream->attempts;
    if (stream->destination->config->service->is_passthrough)
        return cluster_passthrough(cluster, &stream->client.destination->any);
    for (uint32_t i = 0; i <= cluster->endpoint_count; i++) {
        struct endpoint *endpoint = cluster_pick(cluster, attempts->tried, attempts->tried_count, attempts->has_key ? &attempts->key : NULL);
        if (endpoint == NULL || breaking_begin_at(attempt, endpoint))
            return endpoint;
    }
    return NULL;
}

static void pick(struct attempt *attempt) {
    struct stream *stream = attempt->stream;
    if (attempt->endpoint_wait != NULL && endpoint_wait_is_pending(attempt->endpoint_wait))
        return; // woken for something else
    struct cluster *cluster = stream->destination->cluster;
    struct endpoint *endpoint = choose(attempt, cluster);
    attempt->begun = stream->env->loop->now;
    if (endpoint == NULL) {
        await_endpoint(attempt);
        return;
    }
    endpoint_ref(endpoint);
    cluster_begin(cluster, endpoint);
    endpoint->links->requests++;
    attempt->endpoint = endpoint;
    nanoseconds try_timeout = stream->traffic->timeouts.backend_request;
    if (try_timeout > 0 && !stream->request->opaque)
        loop_timer_start(stream->env->loop, &attempt->try_timeout, try_timeout);
    set_state(attempt, ATTEMPT_CONNECT);
}

// Whether a tunnel can be asked for on that connection. False: the attempt has failed, waits to be told, or takes another one by HTTP/1.
static bool may_upgrade(struct attempt *attempt, struct upstream_conn *conn) {
    const struct codec *codec = conn->codec;
    if (codec->version != HTTP_2 || codec->peer_has_connect_protocol)
        return true;
    if (!codec->peer_is_known) {
        upstream_conn_await_settings(conn, &attempt->waiter);
        return false;
    }
    attempt->endpoint->links->upgrades_by_http1 = true;
    if (forward_pool_kind(attempt->stream, attempt->endpoint) == POOL_HTTP2)
        fail(attempt, ERROR_UPGRADE_FAILED);
    else
        stream_wake(attempt->stream);
    return false;
}

// Opens the stream on a connection of the pool. False: it waits for one, or the attempt has failed.
static bool send_head(struct attempt *attempt) {
    struct stream *stream = attempt->stream;
    struct conn_pool *pool = &attempt->endpoint->links->pools[forward_pool_kind(stream, attempt->endpoint)];
    struct attempts *attempts = stream->attempts;
    bool no_more = stream->request_ended && !stream->asks_tunnel && buffer_is_empty(&stream->request_body) && !attempts->piece_in_hand;
    bool end = no_more && buffer_is_empty(&attempt->body) && forward_request_trailers(stream) == NULL;
    enum error error;
    struct upstream_conn *conn;
    while ((conn = conn_pool_take(pool, &attempt->waiter, &error)) != NULL) {
        if (stream->asks_tunnel && !may_upgrade(attempt, conn))
            return false;
        forward_attempt_head(attempt, conn);
        error = upstream_stream_open(conn, &attempt->up, &attempt->head, end);
        if (error == OK) {
            if (end)
                attempts->body_taken = true;
            attempt->local = conn->transport->local;
            return true;
        }
        if (error != ERROR_FULL)
            break; // FULL: it takes no more after all, and the pool has another one, or opens one
    }
    if (error != OK)
        fail(attempt, error);
    return false;
}

static void connect_and_send(struct attempt *attempt) {
    if (attempt->waiter.error != OK) {
        fail(attempt, attempt->waiter.error);
        return;
    }
    bool in_queue = (attempt->waiter.pool != NULL && !attempt->waiter.granted) || attempt->waiter.told_by != NULL;
    // What is too late is not sent: the deadline's own timer, which counts whole milliseconds, says so in a moment.
    bool too_late = attempt->stream->deadline <= attempt->stream->env->loop->now;
    if (in_queue || too_late || !send_head(attempt))
        return;
    attempt->never_sent = false;
    attempt->sent_at = attempt->stream->env->loop->now;
    set_state(attempt, ATTEMPT_SENT);
}

// What came of the request's body and has passed the filters; NULL: nothing more came, or a filter waits.
static struct buffer *next_piece(struct stream *stream) {
    struct attempts *attempts = stream->attempts;
    if (!attempts->piece_in_hand) {
        if (buffer_is_empty(&stream->request_body) && (!stream->request_ended || attempts->body_taken))
            return NULL;
        attempts->unconsumed += stream->request_body.length;
        attempts->piece_is_last = stream->request_ended;
        if (!stream->filters.chain->has_request_data || stream->asks_tunnel || stream->has_tunnel)
            return &stream->request_body;
        buffer_move(&attempts->piece, &stream->request_body, SIZE_MAX);
        attempts->piece_in_hand = true;
    }
    if (chain_request_data(stream, &attempts->piece, attempts->piece_is_last) != FILTER_CONTINUE)
        return NULL;
    attempts->piece_in_hand = false;
    return &attempts->piece;
}

// May the next piece come? While all is kept for a further try, that bounds it; then the slowest of those that run does.
static bool may_take_body(const struct attempt *attempt) {
    const struct attempts *attempts = attempt->stream->attempts;
    if (buffer_is_empty(&attempt->stream->request_body))
        return true; // its end alone
    if (attempts->replayable || attempts->committed != NULL)
        return buffer_is_empty(&attempt->body);
    LIST_EACH(&attempts->running, node, following)
        if (!buffer_is_empty(&LIST_ENTRY(node, struct attempt, link)->body))
            return false;
    return true;
}

// Takes the next piece for all that run, to be sent behind what is left; while the stream may have to be repeated it is kept by reference.
static void take_body(struct attempt *attempt) {
    struct stream *stream = attempt->stream;
    struct attempts *attempts = stream->attempts;
    struct buffer *piece = next_piece(stream);
    if (piece == NULL)
        return;
    if (attempts->replayable && attempts->replay.length + piece->length > stream->traffic->retry.buffer_bytes) {
        attempts->replayable = false;
        buffer_clear(&attempts->replay);
    }
    if (attempts->replayable)
        buffer_share(&attempts->replay, piece);
    LIST_EACH(&attempts->running, node, following) {
        struct attempt *other = LIST_ENTRY(node, struct attempt, link);
        if (other == attempt)
            continue;
        buffer_share(&other->body, piece);
        stream_wake(stream); // it may have had its turn
    }
    buffer_move(&attempt->body, piece, SIZE_MAX);
    attempts->body_taken = attempts->piece_is_last;
}

// `sent` bytes have gone on. Told to the client's side once, however often they are sent, and whatever filters made of them.
static void tell_consumed(struct attempt *attempt, size_t sent) {
    struct stream *stream = attempt->stream;
    struct attempts *attempts = stream->attempts;
    bool all = buffer_is_empty(&attempt->body) && !attempts->piece_in_hand;
    size_t count = all || sent > attempts->unconsumed ? attempts->unconsumed : sent;
    attempts->unconsumed -= count;
    if (count > 0)
        stream->sink->ops->consumed(stream->sink, count);
}

// Passes on what came of the request's body, one portion at a time: the next stays in the stream, where it holds the client up, until the codec has taken this one.
static void send_body(struct attempt *attempt) {
    struct stream *stream = attempt->stream;
    const struct attempts *attempts = stream->attempts;
    if (stream->asks_tunnel && !stream->has_tunnel)
        return; // what its client sends before the answer is not for upstream yet, and behind a refusal never
    bool may_have_more = true;
    while (may_have_more && attempt->up.codec_stream.sent < PROGRESS_ENDED) {
        if (may_take_body(attempt))
            take_body(attempt);
        size_t before = attempt->body.length;
        if (before == 0 && !attempts->body_taken) {
            tell_consumed(attempt, 0); // what filters kept for themselves
            return;
        }
        upstream_stream_send(&attempt->up, &attempt->body, attempts->body_taken, forward_request_trailers(stream));
        size_t sent = before - attempt->body.length;
        if (sent > 0)
            stream->active_at = stream->env->loop->now;
        if (attempt->state == ATTEMPT_SENT && (sent > 0 || attempt->up.codec_stream.sent >= PROGRESS_ENDED))
            attempt->body_sent_at = stream->env->loop->now;
        tell_consumed(attempt, sent);
        may_have_more = sent > 0 && buffer_is_empty(&attempt->body) && !attempts->body_taken;
    }
}

void attempt_end_request(struct attempt *attempt) {
    CHECK(buffer_is_empty(&attempt->body));
    upstream_stream_send(&attempt->up, &attempt->body, true, NULL);
}

// What our own proxy at the far end says instead of an answer of its application; OK for an answer.
static enum error refusal_of(const struct attempt *attempt) {
    const struct field *refused = attempt->mesh ? fields_find(&attempt->up.codec_stream.head.fields, FIELD_OUTRIGGER_REFUSED) : NULL;
    for (int number = 0; refused != NULL && number < ERROR_COUNT; number++) {
        enum error error = (enum error)(-1 - number);
        if (error_is_end(error) && bytes_equal(refused->value, bytes_from_text(error_name(error))))
            return error;
    }
    return OK;
}

// It did not get as far as the application, or sends its requests elsewhere: nothing was processed. All else that it refuses is refused for good.
static bool is_unreached(enum error refusal) {
    return refusal == ERROR_CONNECT_REFUSED || refusal == ERROR_CONNECT_TIMEOUT || refusal == ERROR_DRAINING;
}

static void receive_head(struct attempt *attempt) {
    struct stream *stream = attempt->stream;
    if (!attempt->up.head_arrived)
        return;
    enum error refusal = refusal_of(attempt);
    attempt->refusal = refusal;
    attempt->is_refusal = attempt->mesh && fields_find(&attempt->up.codec_stream.head.fields, FIELD_OUTRIGGER_REFUSED) != NULL;
    if (is_unreached(refusal)) {
        attempt->was_unreached = true;
        fail(attempt, refusal);
        return;
    }
    enum error upgrade = stream->asks_tunnel ? upgrade_check_answer(attempt) : OK;
    if (upgrade != OK) {
        fail(attempt, upgrade);
        return;
    }
    if (refusal != OK && stream->request->opaque) {
        fail(attempt, refusal); // there is no answer that could carry it
        return;
    }
    attempt->answered_after = stream->env->loop->now - attempt->begun;
    if (attempt->answered_after == 0)
        attempt->answered_after = 1;
    loop_timer_stop(stream->env->loop, &attempt->try_timeout);
    set_state(attempt, ATTEMPT_ANSWERED);
    breaking_answered(attempt);
}

void attempt_advance(struct attempt *attempt) {
    if (attempt->state < ATTEMPT_ANSWERED && attempt->error != OK)
        fail(attempt, attempt->error); // the try's own timeout
    if (attempt->state == ATTEMPT_CHAIN)
        run_filters(attempt);
    if (attempt->state == ATTEMPT_PICK)
        pick(attempt);
    if (attempt->state == ATTEMPT_CONNECT)
        connect_and_send(attempt);
    if (attempt->state == ATTEMPT_SENT) {
        send_body(attempt);
        receive_head(attempt);
    } else if (attempt->state == ATTEMPT_ANSWERED) {
        send_body(attempt);
    }
    if (attempt->state == ATTEMPT_SENT && attempt->up.error != OK)
        fail(attempt, attempt->up.error);
}

// How a retry went, for people.
static void count_retry(const struct attempt *attempt, enum error error) {
    struct worker_metrics *metrics = attempt->stream->env->metrics;
    if (attempt->retried_for == RETRY_NONE)
        return;
    if (attempt->stream->attempts->committed == attempt)
        metric_add(&metrics->retries_ended_answered, 1);
    else if (error == ERROR_CANCELLED)
        metric_add(&metrics->retries_ended_cancelled, 1);
    else
        metric_add(&metrics->retries_ended_failed, 1);
}

// Nobody holds it up but its endpoint, that takes no connection. Where others had one the wait may be for them.
static bool is_connecting(const struct conn_waiter *waiter) {
    const struct conn_pool *pool = waiter->pool;
    return pool != NULL && !waiter->granted && pool->open == 0 && pool->connecting_count > 0;
}

// For the access log. By the policy that its endpoint is judged by now: the stream may have outlived its own documents.
static void note_ejection(struct attempt *attempt, int32_t cause) {
    struct stream *stream = attempt->stream;
    const struct bytes policy = attempts_policy_name(stream->destination->cluster->traffic.outlier.policy);
    char why[CAUSE_TEXT_MAX];
    cause_print(cause, why);
    stream->attempts->ejected = attempt->endpoint->links->text;
    stream->attempts->ejected_by = pool_format(&stream->pool, "%.*s: outlierDetection: %s", BYTES_FORMAT(policy), why);
    trace_ejected(attempt, stream->attempts->ejected_by);
}

void attempt_end(struct attempt *attempt, enum error error) {
    if (attempt->state == ATTEMPT_OVER)
        return;
    struct stream *stream = attempt->stream;
    struct loop *loop = stream->env->loop;
    count_retry(attempt, error);
    attempt->state = ATTEMPT_OVER;
    if (attempt->span != NULL && attempt->span->ended == 0)
        attempt->span->ended = loop->now;
    loop_timer_stop(loop, &attempt->try_timeout);
    if (attempt->endpoint_wait != NULL)
        endpoint_wait_cancel(attempt->endpoint_wait);
    attempt->was_connecting = is_connecting(&attempt->waiter);
    conn_waiter_cancel(&attempt->waiter);
    upstream_stream_cancel(&attempt->up, error == OK ? ERROR_CANCELLED : error);
    if (attempt->error == OK)
        attempt->error = error;
    chain_end(stream, &attempt->filters);
    breaking_end(attempt);
    if (attempt->endpoint == NULL)
        return;
    enum lb_outcome outcome = attempt_outcome_for_balancer(attempt, error);
    // Of an opaque connection nothing is known but how long it took to be made.
    nanoseconds from = stream->request->opaque ? attempt->begun : attempt->sent_at;
    nanoseconds elapsed = attempt->answered_after > 0 ? attempt->begun + attempt->answered_after - from : loop->now - attempt->begun;
    // What our own proxies refuse weighs in the balancer, and is no failure of the endpoint (docs/architecture.md, Attempts and retries).
    if (outcome == LB_FAILED && !attempt->was_unreached)
        attempt->endpoint->links->failures++;
    int32_t cause = 0;
    const enum endpoint_outcome health = attempt_outcome(attempt, error, &cause);
    if (cluster_health_note(attempt->endpoint, health, cause))
        note_ejection(attempt, cause);
    cluster_done(stream->destination->cluster, attempt->endpoint, outcome, elapsed);
    if (stream->destination->config->service->is_passthrough)
        endpoint_retire(attempt->endpoint);
    if (attempt->answered_after > 0)
        stream->upstream_took = attempt->answered_after;
}

void attempt_destroy(struct attempt *attempt) {
    CHECK(attempt->state == ATTEMPT_OVER);
    buffer_dispose(&attempt->body);
    buffer_dispose(&attempt->up.body);
    if (attempt->endpoint != NULL)
        endpoint_unref(attempt->endpoint);
    pool_dispose(&attempt->pool);
}
