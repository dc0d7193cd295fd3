// Answers, executions and what is left over, held against what the row of a trial allows: see trial_model.h.
#include "support/trial_model.h"

#include "base/check.h"
#include "support/place_text.h"
#include "support/trial_world.h"

#include <stdio.h>
#include <stdlib.h>

const char *const trial_accident_names[TRIAL_ACCIDENTS] = {
    [ACCIDENT_NONE] = "none",
    [CLIENT_GOES] = "client goes",
    [CLIENT_GARBLES] = "client garbles",
    [CLIENT_ENDS_EARLY] = "client ends early",
    [CLIENT_STALLS] = "client stalls",
    [SERVER_RESETS] = "server resets",
    [SERVER_BREAKS] = "server breaks",
    [SERVERS_SILENT] = "servers silent",
    [SERVERS_REFUSE] = "servers refuse",
    [RELOAD_CHANGED] = "reload, changed",
    [RELOAD_REMOVED] = "reload, removed",
    [WORKER_DRAINS] = "worker drains",
    [WORKER_STOPS] = "worker stops",
};
const char *const trial_moment_names[TRIAL_MOMENTS] = {
    [BEFORE_HEAD] = "before head",
    [BEFORE_DECIDE] = "before decide",
    [WAITING] = "waiting",
    [RESUMING] = "resuming",
    [BEHIND_HEAD] = "behind head",
    [IN_BODY] = "in body",
    [BEFORE_ANSWER] = "before answer",
    [BEHIND_ANSWER_HEAD] = "behind answer head",
    [IN_ANSWER_BODY] = "in answer body",
    [BEFORE_TRAILERS] = "before trailers",
    [AT_THE_END] = "at the end",
};

_Noreturn void trial_failed(const struct trial_run *run, const struct trial_exchange *exchange, const char *what) {
    fprintf(stderr, "%s: %s\n  accident: %s, at: %s (%s); documents %u\n", run->trial->name, what, trial_accident_names[run->accident],
            trial_moment_names[run->moment], run->struck ? "it came" : "it did not come", run->version);
    if (exchange != NULL)
        fprintf(stderr, "  request %u of documents %u%s: %.60s\n  status %u%s, reset %s, got by the application %u times\n  heads: %s\n",
                exchange->number, exchange->version, exchange->hurt ? ", hurt by its client" : "", exchange->request->text, exchange->client.status,
                exchange->client.ended ? ", whole" : "", exchange->client.was_reset ? error_name(exchange->client.reset_error) : "no",
                exchange->executions, exchange->client.heads.at == NULL ? "none" : exchange->client.heads.at);
    abort();
}

// --- what the application got ---

static void count_executions(struct trial_run *run) {
    for (struct far_conn *conn = run->world.far.conns; conn != NULL; conn = conn->next)
        for (struct owner_stream *asked = conn->speaks ? conn->server.streams : NULL; asked != NULL; asked = asked->next) {
            struct trial_exchange *exchange = asked->heads > 0 ? trial_exchange_of(run, asked) : NULL;
            if (exchange == NULL)
                continue;
            exchange->executions += !trial_is_support(conn);
            if (run->trial->seen != NULL)
                run->trial->seen(run, exchange, asked, conn->port);
        }
}

// --- what the client may have got ---

static bool has(const unsigned *statuses, unsigned status) {
    for (unsigned i = 0; i < 4 && statuses[i] != 0; i++)
        if (statuses[i] == status)
            return true;
    return false;
}

static bool is_answer(const struct trial_exchange *exchange) {
    return exchange->executions > 0 && exchange->client.status == exchange->answer_status;
}

// Of servers in trouble, and of clients that stall or say less than they should.
static bool is_of_trouble(const struct trial_run *run, const struct trial_exchange *exchange) {
    const unsigned status = exchange->client.status;
    if (exchange->hurt && (status == 0 || status == 400 || status == 408 || status == 503 || status == 504))
        return true;
    return run->servers_trouble && (status == 502 || status == 503 || status == 504);
}

static bool is_allowed(const struct trial_run *run, const struct trial_exchange *exchange) {
    const struct trial_request *request = exchange->request;
    const enum trial_fate fate = request->fate[exchange->version];
    if (is_of_trouble(run, exchange))
        return true;
    const bool by_filter = has(request->own, exchange->client.status) && exchange->executions == 0;
    const bool by_filter_late = has(request->late, exchange->client.status);
    switch (fate) {
    case TRIAL_PASSES:
        return is_answer(exchange) || (run->trial->asks && run->servers_trouble && by_filter);
    case TRIAL_REFUSED:
        return by_filter;
    case TRIAL_EITHER:
        return is_answer(exchange) || by_filter || by_filter_late;
    }
    return false;
}

// Only where nothing befell it: what is cut may be cut anywhere.
static bool must_be_whole(const struct trial_run *run, const struct trial_exchange *exchange) {
    return !exchange->hurt && !run->servers_trouble && !has(exchange->request->late, exchange->client.status);
}

static void check_body(const struct trial_run *run, const struct trial_exchange *exchange) {
    const struct text *body = &exchange->client.body;
    if (!place_text_is(bytes_from(body->at, body->len)))
        trial_failed(run, exchange, "its body is not what was sent");
    if (exchange->client.ended && body->len != exchange->answer_length)
        trial_failed(run, exchange, "its answer is not whole and looks so");
    if (exchange->client.ended && (exchange->client.trailers.len > 0) != (exchange->number % 2 == 0))
        trial_failed(run, exchange, "its trailers are not what was sent");
}

static void check_exchange(const struct trial_run *run, const struct trial_exchange *exchange) {
    const struct trial_request *request = exchange->request;
    const bool may_repeat = run->servers_trouble && request->text[0] == 'G';
    const unsigned most = request->executions_max > 0 ? request->executions_max : may_repeat ? 2 : 1;
    if (!exchange->told)
        return;
    if (request->fate[exchange->version] == TRIAL_REFUSED && exchange->executions > 0)
        trial_failed(run, exchange, "it was to be refused and was done");
    if (exchange->executions > most)
        trial_failed(run, exchange, "it was done too often");
    if (!is_allowed(run, exchange))
        trial_failed(run, exchange, "that is no answer to it");
    if (!exchange->client.ended && must_be_whole(run, exchange))
        trial_failed(run, exchange, "its answer was cut, although nothing befell it");
    if (is_answer(exchange) && client_field(&exchange->client, "x-answer") != NULL)
        check_body(run, exchange);
}

// --- what may be left ---

static void check_queue(struct policy_state *state, void *user) {
    const struct trial_run *run = user;
    if (state->type->queue == NULL)
        return;
    struct policy_queue queue;
    state->type->queue(state, &queue);
    if (queue.running != 0 || queue.queued != 0)
        trial_failed(run, NULL, "slots or places in a queue are left");
}

static void check_left(struct trial_run *run) {
    const struct worker_metrics *metrics = run->world.env.metrics;
    if (run->world.env.streams != 0 || metric_read(&metrics->streams_active) != 0)
        trial_failed(run, NULL, "streams are left");
    if (run->world.env.subrequest_count != 0 || metric_read(&metrics->subrequests_active) != 0)
        trial_failed(run, NULL, "subrequests are left");
    if (metric_read(&metrics->streams_begun) != run->world.record.count + metric_read(&metrics->subrequests))
        trial_failed(run, NULL, "not every stream has one line in the log");
    for (unsigned i = 0; i < run->watched.count; i++)
        if (run->watched.calls[i].has_waited && !run->trial->waits)
            trial_failed(run, NULL, "requests wait for it, and its row does not say so");
    if (run->watched.ended != run->watched.count)
        trial_failed(run, NULL, "the filter was not told of each end");
    policy_state_figures(run->world.states.live, check_queue, run, &(struct policy_totals){0});
    policy_state_figures(run->world.states.shadow, check_queue, run, &(struct policy_totals){0});
}

void trial_model_check(struct trial_run *run) {
    count_executions(run);
    for (unsigned i = 0; i < run->count; i++)
        check_exchange(run, &run->exchanges[i]);
    check_left(run);
}
