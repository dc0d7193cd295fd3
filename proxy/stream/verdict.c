// What becomes of a verdict: the reply of errors.md, or a word in the access log.
#include "stream/verdict.h"

#include "base/check.h"
#include "stream/attempt.h"
#include "stream/explanation.h"
#include "stream/stream.h"
#include "stream/trace_event.h"

// One more policy and rule in a list for the access log: "RateLimitPolicy/school/auth: login: rate_limited, ...".
static void add_to_list(struct stream *stream, struct bytes *list, const struct policy *policy, struct bytes rule, const char *what) {
    *list = pool_format(&stream->pool, "%.*s%s%.*s: %.*s%s%s", BYTES_FORMAT(*list), list->len > 0 ? ", " : "", BYTES_FORMAT(policy->label),
                        BYTES_FORMAT(rule), what == NULL ? "" : ": ", what == NULL ? "" : what);
}

// `said`, or that of the filter that is asked.
static const struct policy *policy_of(const struct stream *stream, const struct policy *said) {
    const struct filter *filter = stream->filters.asked;
    CHECK(stream->attempts == NULL && filter != NULL && (said != NULL) == (filter->policy == NULL)); // above attempts
    return said != NULL ? said : filter->policy;
}

// False: it passes, the policy is in a dry run.
static bool count(struct stream *stream, const struct policy *policy, const struct verdict *verdict) {
    CHECK(verdict->end != OK && (verdict->end == ERROR_FAULT) == (verdict->status != 0));
    if (stream_is_asked_about(stream))
        return !policy->is_dry_run;
    atomic_fetch_add_explicit(&verdict->state->refusals, 1, memory_order_relaxed);
    if (policy->is_dry_run)
        add_to_list(stream, &stream->dry_run, policy, verdict->rule, error_name(verdict->end));
    return !policy->is_dry_run;
}

// What the reply says beside its error.
static void tell(struct stream *stream, const struct policy *policy, const struct verdict *verdict) {
    stream->policy = pool_format(&stream->pool, "%.*s: %.*s", BYTES_FORMAT(policy->label), BYTES_FORMAT(verdict->rule));
    stream->refusal = (struct refusal){.rule = verdict->rule,
                                       .retry_after = verdict->retry_after,
                                       .fields = verdict->fields,
                                       .status = verdict->status,
                                       .grpc_status = verdict->grpc_status,
                                       .by_agent = verdict->by_agent};
}

enum filter_result verdict_refuse(struct stream *stream, const struct verdict *verdict) {
    const struct policy *policy = policy_of(stream, verdict->policy);
    if (stream->explanation != NULL)
        explanation_refused(stream, &stream->filters, verdict);
    trace_refused(stream, NULL, policy, verdict);
    if (!count(stream, policy, verdict))
        return FILTER_CONTINUE;
    if (stream_is_asked_about(stream))
        return FILTER_REPLIED;
    tell(stream, policy, verdict);
    stream_fail(stream, verdict->end, verdict->reason);
    return FILTER_REPLIED;
}

void verdict_would_pass(struct stream *stream, const struct policy *policy, struct bytes rule) {
    CHECK(policy_of(stream, policy)->is_dry_run);
    explain_would_pass(stream, policy, rule);
    trace_would_pass(stream, policy, rule);
    if (!stream_is_asked_about(stream))
        add_to_list(stream, &stream->dry_run, policy, rule, "allowed");
}

void verdict_would_refuse(struct stream *stream, const struct policy *policy, const struct verdict *verdict) {
    CHECK(policy->is_dry_run && verdict->end != OK);
    atomic_fetch_add_explicit(&verdict->state->refusals, 1, memory_order_relaxed);
    if (stream == NULL)
        return;
    add_to_list(stream, &stream->dry_run, policy, verdict->rule, error_name(verdict->end));
    trace_refused(stream, NULL, policy, verdict);
}

enum filter_result verdict_refuse_attempt(struct attempt *attempt, const struct policy *policy, const struct verdict *verdict) {
    struct stream *stream = attempt->stream;
    if (stream->explanation != NULL && attempt->state == ATTEMPT_CHAIN)
        explanation_refused(stream, &attempt->filters, verdict);
    else if (stream->explanation != NULL)
        explanation_refused_at_pick(stream, &attempt->filters, policy, verdict);
    trace_refused(stream, attempt, policy, verdict);
    if (!count(stream, policy, verdict))
        return FILTER_CONTINUE;
    if (stream_is_asked_about(stream))
        return FILTER_REPLIED;
    struct verdict *kept = pool_alloc(&attempt->pool, sizeof *kept);
    *kept = *verdict;
    attempt->refused_by = policy;
    attempt->verdict = kept;
    attempt_refuse(attempt, verdict->end, verdict->reason);
    return FILTER_REPLIED;
}

void verdict_tell(struct attempt *attempt) {
    if (attempt->verdict != NULL)
        tell(attempt->stream, attempt->refused_by, attempt->verdict);
}

bool verdict_delay(struct stream *stream, struct bytes rule, struct policy_state *state) {
    const struct policy *policy = policy_of(stream, NULL);
    if (stream->explanation != NULL)
        explanation_delayed(stream, stream->filters.asked, rule);
    if (stream_is_asked_about(stream))
        return false;
    atomic_fetch_add_explicit(&state->delays, 1, memory_order_relaxed);
    trace_delayed(stream, policy, rule);
    if (policy->is_dry_run)
        add_to_list(stream, &stream->dry_run, policy, rule, "delay");
    else
        add_to_list(stream, &stream->delayed, policy, rule, NULL);
    return !policy->is_dry_run;
}

void verdict_waited(struct stream *stream, nanoseconds waited) {
    stream->delayed = pool_format(&stream->pool, "%.*s: %llu ms", BYTES_FORMAT(stream->delayed), (unsigned long long)(waited / NS_PER_MS));
    trace_waited(stream, waited);
}
