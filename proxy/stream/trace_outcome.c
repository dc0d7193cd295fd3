// By the conventions' table (telemetry/convention), of what streams and attempts know. See trace_outcome.h.
#include "stream/trace_outcome.h"

#include "stream/attempts.h"
#include "stream/error_reply.h"
#include "stream/trace_draft.h"
#include "stream/tracing.h"

static struct trace_outcome failed(struct bytes type, struct bytes message) {
    return (struct trace_outcome){SPAN_ERROR, type, message};
}

struct bytes trace_end_text(enum error error) {
    return error == OK ? BYTES_NONE : bytes_from_text(error_name(convention_is_cancellation(error) ? error : error_end(error)));
}

struct trace_outcome trace_outcome_of(struct trace_draft *draft, enum error error, struct bytes detail, bool is_server) {
    const bool is_rpc = draft->stream->request_is_grpc, is_failure = error != OK && !convention_is_cancellation(error);
    const struct convention_outcome facts = {
        .is_server = is_server,
        .status = (uint16_t)draft->status,
        .grpc_code = is_rpc ? draft->grpc_code : CONVENTION_NO_CODE,
        .end = is_failure ? error_end(error) : error,
    };
    const struct bytes type = convention_error_type(&facts, draft->digits);
    return type.len > 0 ? failed(type, error != OK || facts.grpc_code != CONVENTION_NO_CODE ? detail : BYTES_NONE) : (struct trace_outcome){0};
}

enum error trace_attempt_error(const struct attempt *attempt) {
    const enum error own = attempt->error, cut = attempt->up.error;
    if (attempt->answered_after == 0 || !(own == OK || own == ERROR_CANCELLED) || attempt->stream->end == ERROR_CLIENT_GONE)
        return own;
    if (cut != OK && !convention_is_cancellation(cut))
        return cut;
    return attempt->up.ended || attempt->is_refusal || attempt->up.codec_stream.head.status >= 400 ? OK : own;
}

bool trace_speaks_for_stream(const struct attempt *attempt) {
    return !attempt->stream->tracing->has_server_span && attempt == attempts_foremost(attempt->stream->attempts);
}

struct trace_outcome trace_outcome_of_attempt(struct trace_draft *draft, enum error error) {
    const struct attempt *attempt = draft->attempt;
    const struct stream *stream = attempt->stream;
    const struct trace_outcome outcome = trace_outcome_of(draft, error, attempt->detail, false);
    const bool failed_above = stream->end != OK && !convention_is_cancellation(stream->end) && trace_speaks_for_stream(attempt);
    return failed_above && outcome.status != SPAN_ERROR ? failed(trace_end_text(stream->end), stream->detail) : outcome;
}
