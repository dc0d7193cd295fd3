// What was decided about a request, as events of the span that it happened in, or as records of the log that lead there: so that a trace explains itself. Told where decisions
// are told anyway (verdict.c, attempts.c, attempt.c, breaking.c); filters need no code for it. No-ops for a stream whose spans are not recorded.
//
// An event of the stream belongs to its SERVER span; in an outbound listener, which has none, to the span of the try that was begun last, and before there is one, to the first.
// An event of an attempt belongs to its CLIENT span, where it has one.
#ifndef STREAM_TRACE_EVENT_H
#define STREAM_TRACE_EVENT_H

#include "base/clock.h"
#include "stream/retry_rule.h"
#include "telemetry/log_record.h"
#include "telemetry/span.h"

struct attempt;
struct policy;
struct stream;
struct verdict;

#define TRACE_EVENT_VALUES_MAX 5

struct trace_event {
    struct trace_event *next;
    nanoseconds at; // of the loop
    struct bytes name;
    uint32_t count;
    struct log_value values[TRACE_EVENT_VALUES_MAX];
};

// In the pool of whom they are of.
struct trace_events {
    struct trace_event *first, *last;
    uint32_t count, dropped;
};

// ---- of the stream, or of an attempt where that is not NULL

// By a verdict of `policy`, or would be, where that is in a dry run.
void trace_refused(struct stream *stream, struct attempt *attempt, const struct policy *policy, const struct verdict *verdict);

// By a policy in a dry run what is refused would pass.
void trace_would_pass(struct stream *stream, const struct policy *policy, struct bytes rule);

// It is made to wait, or would be; and has waited so long, behind the last trace_delayed.
void trace_delayed(struct stream *stream, const struct policy *policy, struct bytes rule);
void trace_waited(struct stream *stream, nanoseconds waited);

// A filter has answered in the place of upstream: `detail` says who.
void trace_answered(struct stream *stream, struct bytes detail);

// The last try was begun for `reason`, `pause` after that was known; and there is no further one.
void trace_retried(struct stream *stream, enum retry_reason reason, nanoseconds pause);
void trace_retry_refused(struct stream *stream, enum retry_refusal refusal);

// For how it went the attempt's endpoint was ejected, `by` a rule, and why.
void trace_ejected(struct attempt *attempt, struct bytes by);

// For how it went a circuit breaker, of its endpoint or of the service, is in another state.
void trace_breaker_changed(struct attempt *attempt, const char *state, bool is_endpoint_s);

#endif
