// See attempt_outcome.h. The two questions stand apart: what weighs in the balancer need not count against the endpoint.
#include "stream/attempt_outcome.h"

#include "http/headers.h"
#include "stream/attempts.h"
#include "stream/error_reply.h"
#include "stream/stream.h"

#define GRPC_UNKNOWN 2
#define GRPC_UNAVAILABLE 14

// What a service is told of the caller's time is rounded down, and our own timer counts whole milliseconds.
#define DEADLINE_NEAR_NS (2 * NS_PER_MS)

// --- the answer ---

int grpc_code_of(struct bytes value) {
    uint64_t code;
    return bytes_to_u64(value, 99, &code) ? (int)code : GRPC_UNKNOWN;
}

int attempt_grpc_code(const struct attempt *attempt) {
    const struct codec_stream *answer = &attempt->up.codec_stream;
    const struct field *field = NULL;
    if (!attempt->stream->request_is_grpc)
        return -1;
    field = fields_find(&answer->head.fields, FIELD_GRPC_STATUS);
    if (field == NULL && answer->received == PROGRESS_ENDED && answer->trailers.count > 0)
        field = fields_find(&answer->trailers, FIELD_GRPC_STATUS);
    return field == NULL ? -1 : grpc_code_of(field->value);
}

static bool is_failure_of_grpc(int code) {
    switch (code) {
    case GRPC_UNKNOWN:
    case 4:  // DEADLINE_EXCEEDED
    case 8:  // RESOURCE_EXHAUSTED
    case 13: // INTERNAL
    case GRPC_UNAVAILABLE:
    case 15: // DATA_LOSS
        return true;
    default:
        return false;
    }
}

// An answer that may have come fast for it did nothing: it must not look like speed.
static bool is_bad_answer(const struct attempt *attempt) {
    const unsigned status = attempt->refusal != OK ? error_status(attempt->refusal) : attempt->up.codec_stream.head.status;
    return status == 429 || (status >= 500 && status != 501) || is_failure_of_grpc(attempt_grpc_code(attempt));
}

enum lb_outcome attempt_outcome_for_balancer(const struct attempt *attempt, enum error error) {
    if (attempt->answered_after > 0) {
        if (is_bad_answer(attempt))
            return LB_BAD_ANSWER;
        return attempt->is_refusal ? LB_CANCELLED : LB_ANSWERED; // a refusal for what the request is says nothing of how fast the endpoint is
    }
    switch (error) {
    case ERROR_CANCELLED:
    case ERROR_CLIENT_GONE:
    case ERROR_POOL_FULL:
    case ERROR_NO_ENDPOINT: // it was taken away meanwhile
        return LB_CANCELLED;
    default:
        return LB_FAILED;
    }
}

// --- the endpoint ---

static enum endpoint_outcome failed(int32_t why, int32_t *cause) {
    *cause = why;
    return ENDPOINT_FAILED;
}

// Of an answer that has neither ended nor broken off. A body that came for a while is as good as one that ended: streams of events never do.
static enum endpoint_outcome outcome_of_part(const struct attempt *attempt, enum error error, int32_t *cause) {
    const struct stream *stream = attempt->stream;
    switch (error) {
    case ERROR_REQUEST_TIMEOUT:
        return attempt_was_its_time(attempt) ? failed(error, cause) : ENDPOINT_NOT_TOLD;
    case ERROR_CANCELLED:
    case ERROR_DEADLINE_EXPIRED:
        return stream->response_bytes > 0 ? ENDPOINT_WELL : ENDPOINT_NOT_TOLD;
    default:
        return ENDPOINT_WELL;
    }
}

bool attempt_meets_callers_deadline(const struct attempt *attempt) {
    const struct stream *stream = attempt->stream;
    // Its client may take long for what came long before.
    const nanoseconds when = attempt->up.over_at != 0 ? attempt->up.over_at : stream->env->loop->now;
    return stream->request_is_grpc && stream->deadline_by_caller && when + DEADLINE_NEAR_NS >= stream->deadline;
}

static enum endpoint_outcome outcome_of_answer(const struct attempt *attempt, enum error error, int32_t *cause) {
    const struct stream *stream = attempt->stream;
    const unsigned status = attempt->up.codec_stream.head.status;
    const enum error cut = attempt->up.error;
    if (!stream->request->opaque && status >= 502 && status <= 504)
        return failed((int32_t)status, cause);
    if (attempt_grpc_code(attempt) == GRPC_UNAVAILABLE)
        return failed(CAUSE_GRPC + GRPC_UNAVAILABLE, cause);
    if (stream->has_tunnel || stream->request->opaque)
        return ENDPOINT_WELL; // such connections end as they like
    if (cut == ERROR_RESPONSE_INCOMPLETE && attempt_meets_callers_deadline(attempt))
        return ENDPOINT_NOT_TOLD;
    if (cut == ERROR_RESPONSE_INCOMPLETE || cut == ERROR_UPSTREAM_RESET || cut == ERROR_RESPONSE_MALFORMED)
        return failed(cut, cause);
    return cut == OK && !attempt->up.ended ? outcome_of_part(attempt, error, cause) : ENDPOINT_WELL;
}

// The client has sent all; or the endpoint does not take what has come. A client that expects 100 may go on without it (RFC 9110 section 10.1.1), and the endpoint need not send it: what it does
// not send is its own time too.
static bool has_request(const struct attempt *attempt) {
    const struct stream *stream = attempt->stream;
    return stream->asks_tunnel || stream->attempts->body_taken || !buffer_is_empty(&attempt->body);
}

// There is something of its answer that the client, or a filter, has not taken.
static bool waits_to_be_taken(const struct attempt *attempt) {
    const struct stream *stream = attempt->stream;
    return attempt->up.ended || !buffer_is_empty(&attempt->up.body) || (stream->attempts->committed == attempt && stream->response_taken > 0);
}

bool attempt_was_its_time(const struct attempt *attempt) {
    if (attempt->never_sent)
        return attempt->was_connecting;
    return has_request(attempt) && (attempt->answered_after == 0 || !waits_to_be_taken(attempt));
}

nanoseconds attempt_took(const struct attempt *attempt) {
    const nanoseconds sent = attempt->never_sent ? attempt->begun : attempt->sent_at;
    const nanoseconds from = attempt->body_sent_at > sent ? attempt->body_sent_at : sent;
    return attempt->answered_after > 0 ? attempt->begun + attempt->answered_after - from : attempt->stream->env->loop->now - from;
}

bool attempt_says_how_busy(const struct attempt *attempt) {
    const struct stream *stream = attempt->stream;
    return attempt->answered_after > 0 && !attempt->is_refusal && !is_bad_answer(attempt) && (stream->asks_tunnel || stream->attempts->body_taken);
}

enum endpoint_outcome attempt_outcome(const struct attempt *attempt, enum error error, int32_t *cause) {
    if (attempt->is_refusal)
        return ENDPOINT_NOT_TOLD;
    if (attempt->answered_after > 0)
        return outcome_of_answer(attempt, error, cause);
    switch (error) {
    case ERROR_CONNECT_REFUSED:
    case ERROR_CONNECT_TIMEOUT:
    case ERROR_IDENTITY_MISMATCH:
    case ERROR_RESPONSE_MALFORMED:
        return failed(error, cause);
    case ERROR_TLS_FAILED:
        return upstream_has_credentials(attempt->stream->env->upstream, attempt->endpoint->peer) ? failed(error, cause) : ENDPOINT_NOT_TOLD;
    case ERROR_UPSTREAM_RESET:
        return retry_was_unsent(attempt) || attempt_meets_callers_deadline(attempt) ? ENDPOINT_NOT_TOLD : failed(error, cause);
    case ERROR_TRY_TIMEOUT:
    case ERROR_REQUEST_TIMEOUT:
        if (!attempt_was_its_time(attempt))
            return ENDPOINT_NOT_TOLD;
        return failed(attempt->never_sent ? ERROR_CONNECT_TIMEOUT : error, cause);
    default:
        return ENDPOINT_NOT_TOLD;
    }
}
