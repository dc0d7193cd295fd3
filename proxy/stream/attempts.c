// Decides whether a failed try is repeated: conditions, replay, deadline, budget, back-off. What one try does is in attempt.c.
#include "stream/attempts.h"

#include "base/check.h"
#include "stream/stream.h"

static void on_backoff(struct timer *timer) {
    struct attempts *attempts = CONTAINER_OF(timer, struct attempts, backoff);
    attempts->backing_off = false;
    stream_wake(attempts->last->stream);
}

static struct retry_budget_rule budget_rule(const struct stream *stream) {
    const struct traffic_config *traffic = &stream->service->config->traffic;
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

void attempts_start(struct stream *stream) {
    CHECK(stream->attempts == NULL);
    struct attempts *attempts = pool_alloc_zeroed(&stream->pool, sizeof *attempts);
    list_init(&attempts->running);
    list_init(&attempts->over);
    buffer_init(&attempts->piece, &stream->env->loop->blocks);
    buffer_init(&attempts->replay, &stream->env->loop->blocks);
    timer_init(&attempts->backoff, on_backoff);
    attempts->replayable = stream->service->config->traffic.retry.attempts > 0;
    stream->attempts = attempts;
    struct retry_budget_rule rule = budget_rule(stream);
    retry_budget_deposit(&stream->service->cluster->shared->budget, &rule, stream->env->loop->now);
    attempts_begin(stream);
}

static bool is_connect_failure(const struct attempt *attempt) {
    switch (attempt->error) {
    case ERROR_TLS_FAILED: // also where the server refused us after our side of the handshake
    case ERROR_IDENTITY_MISMATCH:
        return true;
    case ERROR_CONNECT_REFUSED:
    case ERROR_CONNECT_TIMEOUT:
        return attempt->never_sent || attempt->was_unreached;
    case ERROR_DRAINING:
        return attempt->was_unreached;
    default:
        return false;
    }
}

// Was it provably not processed, or may it be repeated since the connection's peer had closed it while it was idle?
static bool is_unsent(const struct stream *stream, const struct attempt *attempt) {
    if (attempt->error != ERROR_UPSTREAM_RESET || attempt->up.interim_count > 0)
        return false;
    bool may_have_been_idle = attempt->up.was_conn_lost && attempt->up.was_reused && attempt->up.was_silent;
    return attempt->up.was_unsent || (may_have_been_idle && method_is_idempotent(stream->request->method));
}

static bool has_condition(const struct stream *stream, const struct attempt *attempt) {
    const struct traffic_config *traffic = &stream->service->config->traffic;
    return (traffic->retry.connect_failure && is_connect_failure(attempt)) ||
           (traffic->retry.refused_stream && attempt->error == ERROR_REFUSED_STREAM) || (traffic->retry.unsent && is_unsent(stream, attempt));
}

static bool may_retry(struct stream *stream, const struct attempt *attempt) {
    struct attempts *attempts = stream->attempts;
    const struct traffic_config *traffic = &stream->service->config->traffic;
    struct worker_metrics *metrics = stream->env->metrics;
    nanoseconds now = stream->env->loop->now;
    if (attempt->filter_refused || attempts->begun > traffic->retry.attempts || !has_condition(stream, attempt))
        return false;
    if (!attempts->replayable) {
        metric_add(&metrics->retries_refused_body, 1);
        return false;
    }
    if (stream->deadline <= now) {
        metric_add(&metrics->retries_refused_deadline, 1);
        return false;
    }
    struct retry_budget_rule rule = budget_rule(stream);
    if (!retry_budget_withdraw(&stream->service->cluster->shared->budget, &rule, now)) {
        metric_add(&metrics->retries_refused_budget, 1);
        attempts->budget_is_spent = true;
        return false;
    }
    return true;
}

// Full jitter: uniform in [0, base x 2^n), at most max. None where the try only met a kept connection that broke, nor while an endpoint is untried: to wait
// before asking one that has refused nothing would only cost time.
static nanoseconds backoff_for(struct stream *stream, const struct attempt *failed) {
    const struct attempts *attempts = stream->attempts;
    const struct traffic_config *traffic = &stream->service->config->traffic;
    bool kept_one_broke = failed->error == ERROR_UPSTREAM_RESET && failed->up.was_reused;
    if (kept_one_broke || cluster_has_untried(stream->service->cluster, attempts->tried, attempts->tried_count))
        return 0;
    nanoseconds bound = traffic->retry.backoff.base << (attempts->begun - 1 < 10 ? attempts->begun - 1 : 10);
    if (bound > traffic->retry.backoff.max)
        bound = traffic->retry.backoff.max;
    return bound == 0 ? 0 : rng_next(&stream->env->loop->rng) % bound;
}

static void remember_tried(struct attempts *attempts, struct endpoint *endpoint) {
    if (endpoint == NULL || attempts->tried_count == RETRY_ATTEMPTS_MAX)
        return;
    // A connection that its peer had closed says nothing against the endpoint, but another one is as good.
    endpoint_ref(endpoint);
    attempts->tried[attempts->tried_count++] = endpoint;
}

static void retry(struct stream *stream, const struct attempt *failed) {
    struct attempts *attempts = stream->attempts;
    nanoseconds wait = backoff_for(stream, failed);
    metric_add(&stream->env->metrics->retries, 1);
    attempts_begin(stream);
    attempts->last->waiter.fresh = failed->error == ERROR_UPSTREAM_RESET && failed->up.was_reused;
    if (wait > 0) {
        attempts->backing_off = true;
        loop_timer_start(stream->env->loop, &attempts->backoff, wait);
    }
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
    buffer_move(&attempts->last->body, &lost->body, SIZE_MAX); // of which nothing was sent
}

static void set_aside(struct attempts *attempts, struct attempt *attempt) {
    list_remove(&attempt->link);
    list_push_back(&attempts->over, &attempt->link);
}

static void commit(struct stream *stream, struct attempt *answered) {
    struct attempts *attempts = stream->attempts;
    CHECK(attempts->committed == NULL);
    attempts->committed = answered;
    attempts->replayable = false;
    buffer_clear(&attempts->replay);
    LIST_EACH(&attempts->running, node, following) {
        struct attempt *attempt = LIST_ENTRY(node, struct attempt, link);
        if (attempt == answered)
            continue;
        attempt_end(attempt, ERROR_CANCELLED);
        set_aside(attempts, attempt);
    }
}

// Which rule of the service's policy the last try failed by, if it was one, or else was not repeated by.
static void name_policy(struct stream *stream, const struct attempt *attempt) {
    const struct traffic_config *traffic = &stream->service->config->traffic;
    if (attempt->error == ERROR_TRY_TIMEOUT)
        stream_ended_by_policy(stream, traffic->timeouts.policy, "timeouts.backendRequest");
    else if (attempt->error == ERROR_CONNECT_TIMEOUT && !attempt->was_unreached)
        stream_ended_by_policy(stream, traffic->connections.policy, "connections.connectTimeout");
    else if (attempt->error == ERROR_POOL_FULL && attempt->waiter.queue_was_full)
        stream_ended_by_policy(stream, traffic->connections.policy, "connections.maxPending");
    else if (stream->attempts->budget_is_spent)
        stream_ended_by_policy(stream, traffic->retry.policy, "retry.budget");
}

// What becomes of the stream now that one has failed. False: it fails too.
static bool go_on_without(struct stream *stream, struct attempt *failed) {
    struct attempts *attempts = stream->attempts;
    set_aside(attempts, failed);
    if (has_lost_its_endpoint(failed)) {
        move_on(stream, failed);
        return true;
    }
    bool others_run = !list_is_empty(&attempts->running);
    if (!others_run && !may_retry(stream, failed)) {
        name_policy(stream, failed);
        stream_fail(stream, failed->error, failed->endpoint == NULL ? failed->detail : failed->endpoint->links->text);
        return false;
    }
    remember_tried(attempts, failed->endpoint);
    if (!others_run)
        retry(stream, failed);
    return true;
}

enum attempts_result attempts_advance(struct stream *stream) {
    struct attempts *attempts = stream->attempts;
    if (attempts->committed != NULL) {
        attempt_advance(attempts->committed); // the rest of the request
        return ATTEMPTS_ANSWERED;
    }
    // One that is begun here stands behind those that ran: it has its turn in the same walk.
    struct list *node = attempts->running.next;
    while (node != &attempts->running && !attempts->backing_off) {
        struct attempt *attempt = LIST_ENTRY(node, struct attempt, link);
        struct list *before = node->prev;
        attempt_advance(attempt);
        if (stream->end != OK)
            return ATTEMPTS_RUNNING; // a filter has ended it
        if (attempt->state == ATTEMPT_ANSWERED) {
            commit(stream, attempt);
            return ATTEMPTS_ANSWERED;
        }
        if (attempt->state == ATTEMPT_OVER && !go_on_without(stream, attempt))
            return ATTEMPTS_FAILED;
        node = before->next == node ? node->next : before->next;
    }
    return ATTEMPTS_RUNNING;
}

void attempts_end(struct stream *stream) {
    struct attempts *attempts = stream->attempts;
    if (attempts == NULL)
        return;
    loop_timer_stop(stream->env->loop, &attempts->backoff);
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
