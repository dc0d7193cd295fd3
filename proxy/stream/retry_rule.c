// See retry_rule.h. What a condition means for a failure and for an answer, which of them methods are bound to, and how the fields that ask for a wait are read.
#include "stream/retry_rule.h"

#include "http/date.h"
#include "http/headers.h"
#include "stream/attempt.h"
#include "stream/error_reply.h"
#include "stream/stream.h"

#define GRPC_UNKNOWN 2
#define WAIT_SECONDS_MAX UINT64_C(1000000000) // longer is asked by nobody who means it; bounded so that it can be counted in nanoseconds

static const struct traffic_config *traffic_of(const struct stream *stream) {
    return stream->traffic;
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
    case ERROR_BULKHEAD_FULL: // of an opaque connection, which has no answer
    case ERROR_QUEUE_TIMEOUT:
        return true;
    default:
        return false;
    }
}

bool retry_was_unsent(const struct attempt *attempt) {
    if (attempt->error != ERROR_UPSTREAM_RESET || attempt->up.interim_count > 0)
        return false;
    return attempt->up.was_unsent || (attempt->up.was_conn_lost && attempt->up.was_reused && attempt->up.was_silent);
}

static enum retry_reason reason_of_failure(const struct stream *stream, const struct attempt *attempt) {
    const struct traffic_config *traffic = traffic_of(stream);
    if (traffic->retry.connect_failure && is_connect_failure(attempt))
        return RETRY_CONNECT_FAILURE;
    if (traffic->retry.refused_stream && attempt->error == ERROR_REFUSED_STREAM)
        return RETRY_REFUSED_STREAM;
    if (traffic->retry.unsent && retry_was_unsent(attempt))
        return RETRY_UNSENT;
    if (traffic->retry.reset && error_end(attempt->error) == ERROR_UPSTREAM_RESET)
        return RETRY_RESET;
    if (traffic->retry.timeout && attempt->error == ERROR_TRY_TIMEOUT)
        return RETRY_TIMEOUT;
    return RETRY_NONE;
}

// What a gRPC client takes the answer for: its own code, or the one that stands for a status that no gRPC server sends
// (grpc/doc/http-grpc-status-mapping.md). 0: an answer that goes on with messages, or is fine.
static uint64_t grpc_code_of(const struct head *head) {
    const struct field *field = fields_find(&head->fields, FIELD_GRPC_STATUS);
    uint64_t code;
    if (field != NULL)
        return bytes_to_u64(field->value, GRPC_CODE_COUNT - 1, &code) ? code : GRPC_UNKNOWN;
    return head->status == 200 ? 0 : error_grpc_of_http(head->status);
}

static enum retry_reason reason_of_answer(const struct stream *stream, const struct attempt *attempt) {
    const struct traffic_config *traffic = traffic_of(stream);
    const struct head *head = &attempt->up.codec_stream.head;
    if (retry_is_bulkhead(attempt->refusal))
        return traffic->retry.connect_failure ? RETRY_CONNECT_FAILURE : RETRY_NONE;
    if (attempt->is_refusal && attempt->refusal != ERROR_UPSTREAM_RESET)
        return RETRY_NONE; // our own proxy has decided; but that its application's connection broke is no decision
    if (attempt->is_refusal && traffic->retry.reset)
        return RETRY_RESET;
    if (stream->request_is_grpc && traffic->retry.grpc_codes[grpc_code_of(head)])
        return RETRY_GRPC_CODE;
    if (traffic_retries_code(traffic, head->status))
        return RETRY_CODE;
    return traffic->retry.gateway_error && head->status >= 502 && head->status <= 504 ? RETRY_GATEWAY_ERROR : RETRY_NONE;
}

static enum retry_reason reason_of(const struct stream *stream, const struct attempt *attempt) {
    return attempt->state == ATTEMPT_ANSWERED ? reason_of_answer(stream, attempt) : reason_of_failure(stream, attempt);
}

enum retry_reason retry_reason_of(const struct stream *stream, const struct attempt *attempt) {
    if (attempt->filter_refused)
        return RETRY_NONE;
    enum retry_reason reason = reason_of(stream, attempt);
    // An upgrade is repeated where it never got there, whatever a policy wants for requests.
    return (stream->asks_tunnel || stream->has_tunnel) && reason > RETRY_UNSENT ? RETRY_NONE : reason;
}

bool retry_is_safe(const struct stream *stream, const struct attempt *attempt, enum retry_reason reason) {
    bool was_sent = !attempt->never_sent && !attempt->up.was_unsent;
    bool may_be_processed = was_sent && reason != RETRY_CONNECT_FAILURE && reason != RETRY_REFUSED_STREAM && reason != RETRY_GRPC_CODE;
    return !may_be_processed || traffic_of(stream)->retry.methods[stream->request->method];
}

static bool seconds_asked(struct bytes value, nanoseconds wall, nanoseconds *wait) {
    uint64_t seconds;
    if (bytes_to_u64(value, UINT64_MAX, &seconds)) {
        *wait = (seconds < WAIT_SECONDS_MAX ? seconds : WAIT_SECONDS_MAX) * NS_PER_S;
        return true;
    }
    if (!http_date_parse(value, wall / NS_PER_S, &seconds))
        return false;
    uint64_t now = wall / NS_PER_S;
    uint64_t left = seconds > now ? seconds - now : 0;
    *wait = left > WAIT_SECONDS_MAX ? WAIT_SECONDS_MAX * NS_PER_S : left == 0 ? 0 : left * NS_PER_S - wall % NS_PER_S;
    return true;
}

bool retry_wait_asked(const struct stream *stream, const struct attempt *attempt, nanoseconds wall, nanoseconds *wait) {
    *wait = 0;
    if (attempt->state != ATTEMPT_ANSWERED || retry_is_bulkhead(attempt->refusal)) // when that endpoint has room again is nothing to another
        return true;
    const nanoseconds most = traffic_of(stream)->retry.respect_retry_after;
    const struct fields *fields = &attempt->up.codec_stream.head.fields;
    const struct field *pushback = stream->request_is_grpc ? fields_find_name(fields, BYTES("grpc-retry-pushback-ms")) : NULL;
    const struct field *after = fields_find(fields, FIELD_RETRY_AFTER);
    nanoseconds asked = 0;
    if (pushback != NULL) {
        uint64_t ms;
        if (!bytes_to_u64(pushback->value, UINT64_MAX, &ms))
            return false; // negative, or no number: the server wants no retry
        asked = (ms < WAIT_SECONDS_MAX * 1000 ? ms : WAIT_SECONDS_MAX * 1000) * NS_PER_MS;
    } else if (after != NULL && !seconds_asked(after->value, wall, &asked)) {
        return true; // what is no date says nothing
    }
    if (most == 0)
        return true;
    *wait = asked;
    return asked <= most;
}

const char *retry_reason_name(enum retry_reason reason) {
    static const char *const names[RETRY_REASON_COUNT] = {
        "", "connect_failure", "refused_stream", "unsent", "gateway_error", "reset", "timeout", "code", "grpc_code", "hedge",
    };
    return names[reason];
}

const char *retry_refusal_name(enum retry_refusal refusal) {
    static const char *const names[] = {"", "method", "attempts", "body", "retry_after", "deadline", "budget"};
    return names[refusal];
}
