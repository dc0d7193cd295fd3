// How a span ended: of a request, and of one of its tries. The status of the span, error.type and outrigger.end.
#ifndef STREAM_TRACE_OUTCOME_H
#define STREAM_TRACE_OUTCOME_H

#include "base/error.h"
#include "telemetry/span.h"

struct attempt;
struct trace_draft;

struct trace_outcome {
    enum span_status status;
    struct bytes type; // error.type; empty: no error. May lie in the draft
    struct bytes message;
};

// Empty: it was in order.
struct bytes trace_end_text(enum error error);

// `error`: why it broke or was refused; OK: it was answered by somebody else.
struct trace_outcome trace_outcome_of(struct trace_draft *draft, enum error error, struct bytes detail, bool is_server);

// What became of a try: its own error, or that of an answer that broke off. One that was cut by us, since the stream could not go on with it, is what it had said until then; where the
// client went nobody knows what else it would have said.
enum error trace_attempt_error(const struct attempt *attempt);

// How the request itself ended is told by its SERVER span; where it has none, by the try that it was left to.
bool trace_speaks_for_stream(const struct attempt *attempt);

// Of draft->attempt, of which `error` became; of the stream too, where it speaks for that.
struct trace_outcome trace_outcome_of_attempt(struct trace_draft *draft, enum error error);

#endif
