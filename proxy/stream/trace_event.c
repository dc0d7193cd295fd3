// Events with few attributes, kept until their span is written. See trace_event.h.
#include "stream/trace_event.h"

#include "base/check.h"
#include "config/policy.h"
#include "stream/attempts.h"
#include "stream/stream.h"
#include "stream/tracing.h"
#include "stream/verdict.h"

#define DELAYED BYTES("outrigger.delayed")

// Where what happens now belongs.
static struct trace_events *events_of(struct stream *stream, const struct attempt *attempt) {
    if (attempt == NULL && !stream->tracing->has_server_span && stream->attempts != NULL)
        attempt = stream->attempts->last;
    return attempt != NULL && attempt->span != NULL ? &attempt->span->events : &stream->tracing->events;
}

// NULL: there are as many as may be.
static struct trace_event *add(struct stream *stream, const struct attempt *attempt, struct bytes name) {
    struct trace_events *events = events_of(stream, attempt);
    if (events->count == SPAN_ITEMS_MAX) {
        events->dropped++;
        return NULL;
    }
    struct trace_event *event = pool_alloc_zeroed(&stream->pool, sizeof *event);
    event->at = stream->env->loop->now;
    event->name = name;
    if (events->last == NULL)
        events->first = event;
    else
        events->last->next = event;
    events->last = event;
    events->count++;
    return event;
}

static struct log_value *next_value(struct trace_event *event, struct bytes key) {
    CHECK(event->count < TRACE_EVENT_VALUES_MAX);
    struct log_value *value = &event->values[event->count++];
    value->key = key;
    return value;
}

// Texts of the documents are copied: the stream may outlive them.
static void add_text(struct stream *stream, struct trace_event *event, struct bytes key, struct bytes text) {
    if (event != NULL && text.len > 0)
        next_value(event, key)->text = pool_copy(&stream->pool, text);
}

static void add_number(struct trace_event *event, struct bytes key, uint64_t number) {
    if (event != NULL)
        next_value(event, key)->number = number;
}

static void add_policy(struct stream *stream, struct trace_event *event, const struct policy *policy, struct bytes rule) {
    add_text(stream, event, BYTES("outrigger.policy"), policy->label);
    add_text(stream, event, BYTES("outrigger.rule"), rule);
}

static struct bytes name_of(const struct policy *policy, const struct verdict *verdict) {
    if (policy->is_dry_run)
        return BYTES("outrigger.would_refuse");
    return verdict->end == ERROR_FAULT          ? BYTES("outrigger.fault_injected")
           : verdict->end == ERROR_BREAKER_OPEN ? BYTES("outrigger.breaker_refused")
                                                : BYTES("outrigger.refused");
}

void trace_refused(struct stream *stream, struct attempt *attempt, const struct policy *policy, const struct verdict *verdict) {
    if (!stream_is_recorded(stream))
        return;
    struct trace_event *event = add(stream, attempt, name_of(policy, verdict));
    add_policy(stream, event, policy, verdict->rule);
    add_text(stream, event, BYTES("outrigger.end"), bytes_from_text(error_name(verdict->end)));
    add_text(stream, event, BYTES("outrigger.reason"), verdict->reason);
    if (verdict->retry_after > 0)
        add_number(event, BYTES("outrigger.retry_after_ms"), verdict->retry_after / NS_PER_MS);
}

void trace_would_pass(struct stream *stream, const struct policy *policy, struct bytes rule) {
    if (stream_is_recorded(stream))
        add_policy(stream, add(stream, NULL, BYTES("outrigger.would_allow")), policy, rule);
}

void trace_delayed(struct stream *stream, const struct policy *policy, struct bytes rule) {
    if (stream_is_recorded(stream))
        add_policy(stream, add(stream, NULL, policy->is_dry_run ? BYTES("outrigger.would_delay") : DELAYED), policy, rule);
}

// The last one: what was told since then, by other policies, is none of its.
static const struct trace_event *find_delayed(const struct trace_events *events) {
    const struct trace_event *delayed = NULL;
    for (const struct trace_event *event = events->first; event != NULL; event = event->next)
        if (bytes_equal(event->name, DELAYED))
            delayed = event;
    return delayed;
}

void trace_waited(struct stream *stream, nanoseconds waited) {
    if (!stream_is_recorded(stream))
        return;
    const struct trace_event *delayed = find_delayed(events_of(stream, NULL));
    struct trace_event *event = add(stream, NULL, BYTES("outrigger.waited"));
    for (uint32_t i = 0; event != NULL && delayed != NULL && i < delayed->count; i++)
        *next_value(event, delayed->values[i].key) = delayed->values[i];
    add_number(event, BYTES("outrigger.waited_ms"), waited / NS_PER_MS);
}

void trace_answered(struct stream *stream, struct bytes detail) {
    if (stream_is_recorded(stream))
        add_text(stream, add(stream, NULL, BYTES("outrigger.answered")), BYTES("outrigger.detail"), detail);
}

void trace_retried(struct stream *stream, enum retry_reason reason, nanoseconds pause) {
    if (!stream_is_recorded(stream))
        return;
    const bool is_hedge = reason == RETRY_HEDGE;
    const struct bytes policy = is_hedge ? stream->traffic->hedge.policy : stream->traffic->retry.policy;
    struct trace_event *event = add(stream, stream->attempts->last, is_hedge ? BYTES("outrigger.hedged") : BYTES("outrigger.retried"));
    add_text(stream, event, BYTES("outrigger.policy"), attempts_policy_name(policy));
    if (!is_hedge)
        add_text(stream, event, BYTES("outrigger.reason"), bytes_from_text(retry_reason_name(reason)));
    add_number(event, is_hedge ? BYTES("outrigger.after_ms") : BYTES("outrigger.pause_ms"), pause / NS_PER_MS);
}

void trace_retry_refused(struct stream *stream, enum retry_refusal refusal) {
    if (stream_is_recorded(stream))
        add_text(stream, add(stream, stream->attempts->last, BYTES("outrigger.retry_refused")), BYTES("outrigger.reason"),
                 bytes_from_text(retry_refusal_name(refusal)));
}

void trace_ejected(struct attempt *attempt, struct bytes by) {
    struct stream *stream = attempt->stream;
    if (!stream_is_recorded(stream))
        return;
    struct trace_event *event = add(stream, attempt, BYTES("outrigger.ejected"));
    add_text(stream, event, BYTES("outrigger.endpoint"), attempt->endpoint->links->text);
    add_text(stream, event, BYTES("outrigger.policy"), by);
}

void trace_breaker_changed(struct attempt *attempt, const char *state, bool is_endpoint_s) {
    struct stream *stream = attempt->stream;
    if (!stream_is_recorded(stream))
        return;
    struct trace_event *event = add(stream, attempt, BYTES("outrigger.breaker_changed"));
    add_text(stream, event, BYTES("outrigger.breaker.state"), bytes_from_text(state));
    add_text(stream, event, is_endpoint_s ? BYTES("outrigger.endpoint") : BYTES("outrigger.service"),
             is_endpoint_s ? attempt->endpoint->links->text : stream->destination->config->service->key);
}
