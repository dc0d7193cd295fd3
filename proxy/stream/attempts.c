// Decides whether a try is repeated: attempts, replay, deadline, budget, back-off. Whether it meets a condition is in retry_rule.c, what one try does in attempt.c.
#include "stream/attempts.h"

#include "base/check.h"
#include "stream/request_key.h"
#include "stream/stream.h"
#include "stream/tracing.h"
#include "stream/verdict.h"
#include "upstream/upstream_conn.h"

// Of an answer that is not wanted: to read so much costs less than a new connection, most of the time.
#define DISCARDED_BYTES_MAX ((size_t)64 << 10)

static void on_backoff(struct timer *timer) {
    struct attempts *attempts = CONTAINER_OF(timer, struct attempts, backoff);
    attempts->backing_off = false;
    attempts->backoff_is_over = true;
    stream_wake(attempts->last->stream);
}

struct retry_budget_rule attempts_budget_rule(const struct stream *stream) {
    const struct traffic_config *traffic = stream->traffic;
    return (struct retry_budget_rule){
        .percent = traffic->retry.budget.percent,
        .interval = traffic->retry.budget.interval,
        .min_per_second = traffic->retry.budget.min_per_second,
    };
}

static void begin(struct stream *stream) {
    struct attempts *attempts = stream->attempts;
    attempts->last = attempt_create(stream);
    attempts->begun++;
    list_push_back(&attempts->running, &attempts->last->link);
}

void attempts_begin(struct stream *stream) {
    struct attempts *attempts = stream->attempts;
    CHECK(attempts->committed == NULL && (attempts->replayable || attempts->begun == 0));
    begin(stream);
    buffer_share(&attempts->last->body, &attempts->replay);
}

bool attempts_find_key(struct stream *stream, struct attempts *attempts) {
    const struct load_balancer_config *balancer = &stream->destination->config->service->traffic.load_balancer;
    if (balancer->key.count == 0)
        return true;
    attempts->has_key = request_key_hash(&balancer->key, stream, &attempts->key);
    if (attempts->has_key || balancer->if_missing == KEY_MISSING_RANDOM)
        return true;
    stream_ended_by_policy(stream, balancer->policy, "loadBalancer.ifMissing");
    stream_fail(stream, ERROR_BAD_REQUEST, BYTES("a part of the key is missing"));
    return false;
}

bool attempts_start(struct stream *stream) {
    CHECK(stream->attempts == NULL);
    struct attempts *attempts = pool_alloc_zeroed(&stream->pool, sizeof *attempts);
    list_init(&attempts->running);
    list_init(&attempts->over);
    buffer_init(&attempts->piece, &stream->env->loop->blocks);
    buffer_init(&attempts->replay, &stream->env->loop->blocks);
    timer_init(&attempts->backoff, on_backoff);
    attempts->replayable = stream->traffic->retry.attempts > 0 || stream->traffic->hedge.max > 0;
    if (!attempts_find_key(stream, attempts))
        return false;
    stream->attempts = attempts;
    struct retry_budget_rule rule = attempts_budget_rule(stream);
    if (!stream->is_subrequest) // the budget is a share of what clients ask
        retry_budget_deposit(&stream->destination->cluster->shared->budget, &rule, stream->env->loop->now);
    attempts_begin(stream);
    if (stream->tracing != NULL)
        tracing_begin_attempt(stream, NULL, false);
    hedge_start(stream);
    return true;
}

static struct metric_cell *cell_of_reason(struct worker_metrics *metrics, enum retry_reason reason) {
    switch (reason) {
    case RETRY_CONNECT_FAILURE:
        return &metrics->retries_for_connect_failure;
    case RETRY_REFUSED_STREAM:
        return &metrics->retries_for_refused_stream;
    case RETRY_UNSENT:
        return &metrics->retries_for_unsent;
    case RETRY_GATEWAY_ERROR:
        return &metrics->retries_for_gateway_error;
    case RETRY_RESET:
        return &metrics->retries_for_reset;
    case RETRY_TIMEOUT:
        return &metrics->retries_for_timeout;
    case RETRY_CODE:
        return &metrics->retries_for_code;
    case RETRY_GRPC_CODE:
        return &metrics->retries_for_grpc_code;
    case RETRY_HEDGE:
        return &metrics->retries_for_hedge;
    default:
        check_failed("a retry for no reason", __FILE__, __LINE__);
    }
}

static struct metric_cell *cell_of_refusal(struct worker_metrics *metrics, enum retry_refusal refusal) {
    switch (refusal) {
    case RETRY_REFUSED_METHOD:
        return &metrics->retries_refused_method;
    case RETRY_REFUSED_ATTEMPTS:
        return &metrics->retries_refused_attempts;
    case RETRY_REFUSED_BODY:
        return &metrics->retries_refused_body;
    case RETRY_REFUSED_RETRY_AFTER:
        return &metrics->retries_refused_retry_after;
    case RETRY_REFUSED_DEADLINE:
        return &metrics->retries_refused_deadline;
    case RETRY_REFUSED_BUDGET:
        return &metrics->retries_refused_budget;
    default:
        check_failed("a refusal for no reason", __FILE__, __LINE__);
    }
}

static void refuse(struct stream *stream, enum retry_refusal refusal) {
    stream->attempts->refusal = refusal;
    metric_add(cell_of_refusal(stream->env->metrics, refusal), 1);
    trace_retry_refused(stream, refusal);
}

// What is left of an answer that nobody wants. A short rest over HTTP/1 is read, so that the connection can be used again; else the exchange is cut.
static void discard_more(struct stream *stream) {
    struct attempts *attempts = stream->attempts;
    struct attempt *discarded = attempts->discarded;
    if (discarded == NULL)
        return;
    struct upstream_stream *up = &discarded->up;
    size_t length = up->body.length;
    attempts->discarded_bytes += length;
    buffer_clear(&up->body);
    upstream_stream_consumed(up, length);
    bool goes_on = up->conn != NULL && up->conn->codec->version != HTTP_2 && up->codec_stream.sent == PROGRESS_ENDED;
    if (goes_on && attempts->discarded_bytes <= DISCARDED_BYTES_MAX)
        return;
    attempts->discarded = NULL;
    attempt_end(discarded, OK);
}

static void discard(struct stream *stream, struct attempt *answered) {
    struct attempts *attempts = stream->attempts;
    if (attempts->discarded != NULL)
        attempt_end(attempts->discarded, OK);
    attempts->discarded = answered;
    attempts->discarded_bytes = 0;
    discard_more(stream);
}

// The connection was a kept one, and its peer was just closing it: a fresh one is as good as another endpoint.
static bool met_a_stale_connection(const struct attempt *attempt) {
    return attempt->error == ERROR_UPSTREAM_RESET && attempt->up.was_reused;
}

// Full jitter: uniform in [0, base x 2^n), at most max, behind what the rule of a route wants at least. None where the try only met a kept connection that broke, nor while an endpoint is untried, unless the answer
// asked to wait: to wait before asking one that has refused nothing would only cost time.
static nanoseconds backoff_for(struct stream *stream, const struct attempt *settled, nanoseconds asked) {
    const struct attempts *attempts = stream->attempts;
    const struct traffic_config *traffic = stream->traffic;
    nanoseconds least = met_a_stale_connection(settled) ? 0 : traffic->retry.backoff.least;
    if (least < asked)
        least = asked;
    bool needs_none = met_a_stale_connection(settled) || cluster_has_untried(stream->destination->cluster, attempts->tried, attempts->tried_count);
    if (needs_none && asked == 0)
        return least;
    nanoseconds bound = traffic->retry.backoff.base << (attempts->begun - 1 < 10 ? attempts->begun - 1 : 10);
    if (bound > traffic->retry.backoff.max)
        bound = traffic->retry.backoff.max;
    return least + (bound == 0 ? 0 : rng_next(&stream->env->loop->rng) % bound);
}

void attempts_remember_tried(struct attempts *attempts, struct endpoint *endpoint) {
    if (endpoint == NULL || attempts->tried_count == RETRY_ATTEMPTS_MAX)
        return;
    for (uint32_t i = 0; i < attempts->tried_count; i++)
        if (attempts->tried[i] == endpoint)
            return;
    // A connection that its peer had closed says nothing against the endpoint, but another one is as good.
    endpoint_ref(endpoint);
    attempts->tried[attempts->tried_count++] = endpoint;
}

// Why it may not be repeated, though it met a condition; NOT_REFUSED: it may, after `*wait`. The budget comes last: nothing is taken from it in vain.
static enum retry_refusal judge(struct stream *stream, const struct attempt *settled, enum retry_reason reason, nanoseconds *wait) {
    const struct attempts *attempts = stream->attempts;
    const nanoseconds now = stream->env->loop->now;
    nanoseconds asked;
    if (!retry_is_safe(stream, settled, reason))
        return RETRY_REFUSED_METHOD;
    if (attempts->begun - attempts->hedge.begun > stream->traffic->retry.attempts)
        return RETRY_REFUSED_ATTEMPTS;
    if (!attempts->replayable)
        return RETRY_REFUSED_BODY;
    if (!retry_wait_asked(stream, settled, loop_wall(stream->env->loop), &asked))
        return RETRY_REFUSED_RETRY_AFTER;
    *wait = backoff_for(stream, settled, asked);
    if (stream->deadline <= now || *wait >= stream->deadline - now)
        return RETRY_REFUSED_DEADLINE;
    struct retry_budget_rule rule = attempts_budget_rule(stream);
    return retry_budget_withdraw(&stream->destination->cluster->shared->budget, &rule, now) ? RETRY_NOT_REFUSED : RETRY_REFUSED_BUDGET;
}

static bool was_for_sort(const struct attempts *attempts, bool is_hedge) {
    for (uint32_t i = 0; i < attempts->reason_count; i++)
        if ((attempts->reasons[i] == RETRY_HEDGE) == is_hedge)
            return true;
    return false;
}

// By whose rule there is a further try, for the access log.
static void note_policy(struct stream *stream, bool is_hedge) {
    struct attempts *attempts = stream->attempts;
    const struct bytes before = attempts->retried_by;
    const struct bytes policy = attempts_policy_name(is_hedge ? stream->traffic->hedge.policy : stream->traffic->retry.policy);
    if (!was_for_sort(attempts, is_hedge))
        attempts->retried_by = pool_format(&stream->pool, "%.*s%s%.*s: %s", BYTES_FORMAT(before), before.len > 0 ? ", " : "", BYTES_FORMAT(policy),
                                           is_hedge ? "hedge" : "retry");
}

// A further try, and why.
static void begin_for(struct stream *stream, enum retry_reason reason, const struct attempt *before, nanoseconds pause) {
    struct attempts *attempts = stream->attempts;
    metric_add(cell_of_reason(stream->env->metrics, reason), 1);
    attempts_begin(stream);
    attempts->last->retried_for = reason;
    if (stream->tracing != NULL) {
        tracing_begin_attempt(stream, before, reason == RETRY_HEDGE);
        trace_retried(stream, reason, pause);
    }
    note_policy(stream, reason == RETRY_HEDGE);
    CHECK(attempts->reason_count < REASONS_MAX);
    attempts->reasons[attempts->reason_count++] = (uint8_t)reason;
}

// Once it has an endpoint, the answer that was held is no longer wanted. One that is refused before leaves it where it is: to go down.
static void discard_held(struct stream *stream) {
    struct attempts *attempts = stream->attempts;
    if (attempts->held != NULL)
        discard(stream, attempts->held);
    attempts->held = attempts->successor = NULL;
}

static void begin_retry(struct stream *stream) {
    struct attempts *attempts = stream->attempts;
    begin_for(stream, attempts->reason, attempts->settled, attempts->pause);
    attempts->successor = attempts->last;
    attempts->last->waiter.fresh = met_a_stale_connection(attempts->settled);
}

// Of the one that has run for longest.
static void begin_hedge(struct stream *stream) {
    const struct attempt *slow = LIST_ENTRY(list_first(&stream->attempts->running), const struct attempt, link);
    begin_for(stream, RETRY_HEDGE, slow, stream->env->loop->now - slow->begun);
}

// The answer or failure of the last one is to be followed by a further try, if that may be. False: it may not.
static bool retry(struct stream *stream, struct attempt *settled, enum retry_reason reason) {
    struct attempts *attempts = stream->attempts;
    nanoseconds wait = 0;
    if (reason == RETRY_NONE || stream->traffic->retry.attempts == 0)
        return false;
    enum retry_refusal refusal = judge(stream, settled, reason, &wait);
    if (refusal != RETRY_NOT_REFUSED) {
        refuse(stream, refusal);
        return false;
    }
    attempts->settled = settled;
    attempts->reason = reason;
    attempts->pause = wait;
    if (wait == 0) {
        begin_retry(stream);
        return true;
    }
    attempts->budget_taken_at = stream->env->loop->now;
    attempts->backing_off = true;
    loop_timer_start(stream->env->loop, &attempts->backoff, wait);
    return true;
}

static void give_back_budget(struct stream *stream, nanoseconds taken_at) {
    struct retry_budget_rule rule = attempts_budget_rule(stream);
    retry_budget_give_back(&stream->destination->cluster->shared->budget, &rule, taken_at);
}

// Refused here before it was sent: it has cost nobody anything.
static void give_back_unused(struct stream *stream, const struct attempt *refused) {
    if (refused->retried_for != RETRY_NONE)
        give_back_budget(stream, stream->env->loop->now);
    if (refused->retried_for == RETRY_HEDGE)
        hedge_give_back(stream);
}

// The pause is over. What the retry took from the budget counts from now on, and may not be there any more: requests that it was a share of are forgotten meanwhile.
// False: no retry.
static bool leave_backoff(struct stream *stream) {
    struct attempts *attempts = stream->attempts;
    struct retry_budget_rule rule = attempts_budget_rule(stream);
    attempts->backoff_is_over = false;
    give_back_budget(stream, attempts->budget_taken_at);
    if (!retry_budget_withdraw(&stream->destination->cluster->shared->budget, &rule, stream->env->loop->now)) {
        refuse(stream, RETRY_REFUSED_BUDGET);
        return false;
    }
    begin_retry(stream);
    return true;
}

// New documents took the endpoint away while the request waited for a connection to it.
static bool has_lost_its_endpoint(const struct attempt *attempt) {
    return attempt->error == ERROR_NO_ENDPOINT && attempt->endpoint != NULL && attempt->never_sent;
}

// Nothing was tried yet: another endpoint is asked, and it counts as no retry.
static void move_on(struct stream *stream, struct attempt *lost) {
    struct attempts *attempts = stream->attempts;
    attempts->begun--;
    begin(stream);
    attempts->last->retried_for = lost->retried_for;
    tracing_replace_attempt(attempts->last, lost);
    lost->retried_for = RETRY_NONE;                            // it is the same retry
    buffer_move(&attempts->last->body, &lost->body, SIZE_MAX); // of which nothing was sent
}

// A pause that follows is none of its time.
static void set_aside(struct attempts *attempts, struct attempt *attempt) {
    if (attempt->span != NULL && attempt->span->ended == 0)
        attempt->span->ended = attempt->stream->env->loop->now;
    list_remove(&attempt->link);
    list_push_back(&attempts->over, &attempt->link);
}

static void commit(struct stream *stream, struct attempt *answered) {
    struct attempts *attempts = stream->attempts;
    CHECK(attempts->committed == NULL);
    discard_held(stream);
    attempts->committed = answered;
    hedge_end(stream);
    hedge_learn(answered);
    attempts->replayable = false;
    buffer_clear(&attempts->replay);
    LIST_EACH(&attempts->running, node, following) {
        struct attempt *attempt = LIST_ENTRY(node, struct attempt, link);
        if (attempt == answered)
            continue;
        if (attempt->state == ATTEMPT_SENT)
            hedge_learn(attempt); // it would have taken longer still
        attempt_end(attempt, ERROR_CANCELLED);
        set_aside(attempts, attempt);
    }
}

// Which rule of the service's policy the last try failed by, if it was one, or else was not repeated by.
static void name_policy(struct stream *stream, const struct attempt *attempt) {
    const struct traffic_config *traffic = stream->traffic;
    const struct traffic_config *backend = &stream->destination->config->service->traffic; // connections are the backend's alone
    if (attempt->error == ERROR_TRY_TIMEOUT)
        stream_ended_by_policy(stream, traffic->timeouts.policy, "timeouts.backendRequest");
    else if (attempt->error == ERROR_CONNECT_TIMEOUT && !attempt->was_unreached)
        stream_ended_by_policy(stream, backend->connections.policy, "connections.connectTimeout");
    else if (attempt->error == ERROR_POOL_FULL && attempt->waiter.queue_was_full)
        stream_ended_by_policy(stream, backend->connections.policy, "connections.maxPending");
    else if (stream->attempts->refusal == RETRY_REFUSED_BUDGET)
        stream_ended_by_policy(stream, traffic->retry.policy, "retry.budget");
}

// Where it failed, and for TLS why.
static struct bytes detail_of(struct stream *stream, const struct attempt *attempt) {
    const struct endpoint *endpoint = attempt->endpoint;
    if (endpoint == NULL)
        return attempt->detail;
    const struct endpoint_links *links = endpoint->links;
    if ((attempt->error != ERROR_TLS_FAILED && attempt->error != ERROR_IDENTITY_MISMATCH) || links->tls_failure.len == 0)
        return links->text;
    return pool_format(&stream->pool, "%.*s: %.*s", BYTES_FORMAT(links->text), BYTES_FORMAT(links->tls_failure));
}

// No further try: the answer that is held goes down; without one the stream fails as `settled` did.
static enum attempts_result give_up(struct stream *stream, struct attempt *settled) {
    struct attempts *attempts = stream->attempts;
    struct attempt *held = attempts->held;
    if (held == NULL) {
        name_policy(stream, settled);
        verdict_tell(settled);
        stream_fail(stream, settled->error, detail_of(stream, settled));
        return ATTEMPTS_FAILED;
    }
    attempts->held = NULL;
    if (held->span != NULL)
        held->span->ended = held->up.over_at; // it goes on, unless all of it has come
    list_remove(&held->link);
    list_push_back(&attempts->running, &held->link);
    commit(stream, held);
    return ATTEMPTS_ANSWERED;
}

// Outside the mesh a certificate for another name is no matter of the moment: asked once more it would show the same one.
static bool is_the_wrong_server(const struct attempt *attempt) {
    return attempt->error == ERROR_IDENTITY_MISMATCH && attempt->endpoint != NULL && attempt->endpoint->peer->tls == TLS_SIMPLE;
}

// Asked once more it would say the same, and to come again is the client's to choose.
static bool is_no_use_to_ask_again(const struct attempt *attempt) {
    return is_the_wrong_server(attempt) || retry_is_bulkhead(attempt->refusal);
}

// What becomes of the stream now that one has failed, or has an answer that is to be repeated for `reason`.
static enum attempts_result go_on_without(struct stream *stream, struct attempt *settled, enum retry_reason reason) {
    struct attempts *attempts = stream->attempts;
    set_aside(attempts, settled);
    if (has_lost_its_endpoint(settled)) {
        move_on(stream, settled);
        return ATTEMPTS_RUNNING;
    }
    if (settled->filter_refused)
        give_back_unused(stream, settled);
    attempts_remember_tried(attempts, settled->endpoint);
    if (is_no_use_to_ask_again(settled) && !cluster_has_untried(stream->destination->cluster, attempts->tried, attempts->tried_count))
        reason = RETRY_NONE;
    if (settled->state == ATTEMPT_ANSWERED) {
        if (attempts->held != NULL)
            discard(stream, attempts->held);
        attempts->held = settled;
    }
    bool others_run = !list_is_empty(&attempts->running);
    return others_run || retry(stream, settled, reason) ? ATTEMPTS_RUNNING : give_up(stream, settled);
}

// One has its final head, or is over.
static enum attempts_result settle(struct stream *stream, struct attempt *attempt) {
    enum retry_reason reason = retry_reason_of(stream, attempt);
    if (attempt->state == ATTEMPT_ANSWERED && reason == RETRY_NONE) {
        commit(stream, attempt);
        return ATTEMPTS_ANSWERED;
    }
    return go_on_without(stream, attempt, reason);
}

enum attempts_result attempts_advance(struct stream *stream) {
    struct attempts *attempts = stream->attempts;
    discard_more(stream);
    if (attempts->committed != NULL) {
        attempt_advance(attempts->committed); // the rest of the request
        return ATTEMPTS_ANSWERED;
    }
    if (attempts->backoff_is_over && !leave_backoff(stream))
        return give_up(stream, attempts->settled);
    if (hedge_is_due(stream))
        begin_hedge(stream);
    // One that is begun here stands behind those that ran: it has its turn in the same walk.
    struct list *node = attempts->running.next;
    while (node != &attempts->running) {
        struct attempt *attempt = LIST_ENTRY(node, struct attempt, link);
        struct list *before = node->prev;
        attempt_advance(attempt);
        if (stream->end != OK)
            return ATTEMPTS_RUNNING; // a filter has ended it
        if (attempt == attempts->successor && attempt->endpoint != NULL)
            discard_held(stream);
        if (attempt->state >= ATTEMPT_ANSWERED) {
            enum attempts_result result = settle(stream, attempt);
            if (result != ATTEMPTS_RUNNING)
                return result;
        }
        node = before->next == node ? node->next : before->next;
    }
    return ATTEMPTS_RUNNING;
}

void attempts_end(struct stream *stream) {
    struct attempts *attempts = stream->attempts;
    if (attempts == NULL)
        return;
    loop_timer_stop(stream->env->loop, &attempts->backoff);
    hedge_end(stream);
    if (attempts->backing_off || attempts->backoff_is_over)
        give_back_budget(stream, attempts->budget_taken_at);
    struct attempt *answered[] = {attempts->held, attempts->discarded};
    for (size_t i = 0; i < 2; i++)
        if (answered[i] != NULL)
            attempt_end(answered[i], OK);
    attempts->held = attempts->discarded = NULL;
    attempts->backing_off = attempts->backoff_is_over = false;
    // An endpoint that let a request run out of time must not look better than one that answered.
    bool timed_out = stream->end == ERROR_REQUEST_TIMEOUT || stream->end == ERROR_DEADLINE_EXPIRED;
    LIST_EACH(&attempts->running, node, following) {
        struct attempt *attempt = LIST_ENTRY(node, struct attempt, link);
        attempt_end(attempt, attempt == attempts->committed && stream->end == OK ? OK : timed_out ? stream->end : ERROR_CANCELLED);
    }
    list_append(&attempts->over, &attempts->running);
}

void attempts_release(struct stream *stream) {
    struct attempts *attempts = stream->attempts;
    if (attempts == NULL)
        return;
    CHECK(list_is_empty(&attempts->running));
    for (struct list *node = list_pop_front(&attempts->over); node != NULL; node = list_pop_front(&attempts->over))
        attempt_destroy(LIST_ENTRY(node, struct attempt, link));
    for (uint32_t i = 0; i < attempts->tried_count; i++)
        endpoint_unref(attempts->tried[i]);
    buffer_dispose(&attempts->piece);
    buffer_dispose(&attempts->replay);
}
