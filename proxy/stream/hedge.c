// See hedge.h. The tries themselves are begun, committed and cancelled by attempts.c.
#include "stream/hedge.h"

#include "base/check.h"
#include "stream/attempts.h"
#include "stream/stream.h"

#define PERCENTILE 95

static const struct traffic_config *traffic_of(const struct stream *stream) {
    return stream->traffic;
}

static void on_timer(struct timer *timer) {
    struct attempts *attempts = CONTAINER_OF(timer, struct attempts, hedge.timer);
    attempts->hedge.due = true;
    stream_wake(attempts->last->stream);
}

// Of the requests that may be hedged, over the interval of the retry budget.
static struct retry_budget_rule share_rule(const struct stream *stream) {
    return (struct retry_budget_rule){.percent = traffic_of(stream)->hedge.percent, .interval = traffic_of(stream)->retry.budget.interval};
}

// 0: not known yet.
static nanoseconds delay_of(const struct stream *stream) {
    const struct traffic_config *traffic = traffic_of(stream);
    if (traffic->hedge.after == HEDGE_AFTER_DELAY)
        return traffic->hedge.delay;
    nanoseconds usual = answer_times_percentile(&stream->destination->cluster->answer_times, PERCENTILE);
    return usual == 0 || usual > traffic->hedge.delay ? usual : traffic->hedge.delay;
}

static void arm(struct stream *stream) {
    nanoseconds delay = delay_of(stream);
    if (delay > 0)
        loop_timer_start(stream->env->loop, &stream->attempts->hedge.timer, delay);
}

void hedge_start(struct stream *stream) {
    const struct traffic_config *traffic = traffic_of(stream);
    timer_init(&stream->attempts->hedge.timer, on_timer);
    if (traffic->hedge.max == 0 || stream->asks_tunnel || stream->has_tunnel || !traffic->retry.methods[stream->request->method])
        return;
    struct retry_budget_rule rule = share_rule(stream);
    retry_budget_deposit(&stream->destination->cluster->shared->hedges, &rule, stream->env->loop->now);
    arm(stream);
}

// Those that run are not to be asked twice.
static bool has_another_endpoint(struct stream *stream) {
    struct attempts *attempts = stream->attempts;
    LIST_EACH(&attempts->running, node, following)
        attempts_remember_tried(attempts, LIST_ENTRY(node, struct attempt, link)->endpoint);
    return cluster_has_untried(stream->destination->cluster, attempts->tried, attempts->tried_count);
}

static bool withdraw(struct stream *stream) {
    struct service_shared *shared = stream->destination->cluster->shared;
    struct worker_metrics *metrics = stream->env->metrics;
    const nanoseconds now = stream->env->loop->now;
    struct retry_budget_rule share = share_rule(stream);
    struct retry_budget_rule rule = attempts_budget_rule(stream);
    if (!retry_budget_withdraw(&shared->hedges, &share, now)) {
        metric_add(&metrics->hedges_refused_percent, 1);
        return false;
    }
    // Where nothing is sent, retries keep their budget whole.
    bool dry_run = traffic_of(stream)->hedge.dry_run;
    bool has_budget = dry_run ? retry_budget_left(&shared->budget, &rule, now) > 0 : retry_budget_withdraw(&shared->budget, &rule, now);
    if (!has_budget) {
        retry_budget_give_back(&shared->hedges, &share, now);
        metric_add(&metrics->hedges_refused_budget, 1);
        return false;
    }
    if (dry_run) {
        metric_add(&metrics->hedges_dry_run, 1);
        return false;
    }
    return true;
}

bool hedge_is_due(struct stream *stream) {
    struct attempts *attempts = stream->attempts;
    struct hedge *hedge = &attempts->hedge;
    if (!hedge->due || !stream->request_ended || list_is_empty(&attempts->running))
        return false;
    hedge->due = false;
    if (!attempts->replayable || stream->deadline <= stream->env->loop->now)
        return false;
    if (!has_another_endpoint(stream)) {
        metric_add(&stream->env->metrics->hedges_refused_endpoint, 1);
        return false;
    }
    if (!withdraw(stream))
        return false;
    if (++hedge->begun < traffic_of(stream)->hedge.max)
        arm(stream);
    return true;
}

void hedge_give_back(struct stream *stream) {
    struct retry_budget_rule share = share_rule(stream);
    retry_budget_give_back(&stream->destination->cluster->shared->hedges, &share, stream->env->loop->now);
}

void hedge_end(struct stream *stream) {
    loop_timer_stop(stream->env->loop, &stream->attempts->hedge.timer);
    stream->attempts->hedge.due = false;
}

void hedge_learn(const struct attempt *attempt) {
    const struct stream *stream = attempt->stream;
    if (traffic_of(stream)->hedge.max == 0)
        return;
    nanoseconds took = attempt->answered_after > 0 ? attempt->answered_after : stream->env->loop->now - attempt->begun;
    answer_times_add(&stream->destination->cluster->answer_times, took);
}
