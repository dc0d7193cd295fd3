// Makes the record of a stream at its end, for the counters and, where the filter wants it, for the access log; and for whoever looks on.
#include "stream/stream_log.h"

#include "base/check.h"
#include "base/hash.h"
#include "http/headers.h"
#include "http/redact.h"
#include "net/tcp.h"
#include "stream/attempts.h"
#include "stream/log_parts.h"
#include "stream/stream.h"
#include "stream/stream_count.h"
#include "stream/stream_telemetry.h"
#include "stream/tap_feed.h"
#include "stream/tracing.h"

#include <assert.h>
#include <stdio.h>

#define REASONS_TEXT_MAX (REASONS_MAX * 16 + 1) // the longest is "connect_failure"

// What is known of the request: of one that was refused as it was read, what was read of it.
static const struct head *head_of(const struct stream *stream) {
    return stream->request != NULL ? stream->request : stream->refused;
}

static bool is_opaque(const struct stream *stream) {
    return stream->request != NULL && stream->request->opaque;
}

static struct bytes value_of(const struct head *head, enum field_id id) {
    const struct field *field = head == NULL ? NULL : fields_find(&head->fields, id);
    return field == NULL ? BYTES_NONE : field->value;
}

// The trace that the request is part of; where there are no traces (tracing.h), as it says itself.
static bool find_trace(const struct stream *stream, struct trace_context *context) {
    if (stream->tracing != NULL) {
        *context = stream->tracing->context;
        return true;
    }
    return traceparent_parse(value_of(head_of(stream), FIELD_TRACEPARENT), context);
}

// Whether that is among those chosen: by its randomness as whoever began it has told it in tracestate's `ot`, else by its id.
static bool trace_is_chosen(const struct stream *stream, const struct trace_context *trace, uint64_t threshold) {
    const struct field *parent = stream->request == NULL ? NULL : fields_find(&stream->request->fields, FIELD_TRACEPARENT);
    struct trace_context told;
    if (parent == NULL || !traceparent_parse(parent->value, &told) || memcmp(told.trace_id, trace->trace_id, TRACE_ID_BYTES) != 0)
        return trace_is_sampled(trace->trace_id, BYTES_NONE, threshold); // its tracestate is of no trace, or of another one
    const struct tracestate state = tracing_read_state(stream->request);
    return trace_is_sampled(trace->trace_id, state.is_invalid ? BYTES_NONE : tracestate_value(&state, BYTES("ot")), threshold);
}

// By what all proxies on its way know, so that they choose the same requests.
static bool is_sampled(const struct stream *stream, const struct telemetry_share *share) {
    struct trace_context context;
    const struct bytes request_id = value_of(stream->request, FIELD_X_REQUEST_ID);
    if (share->numerator == share->denominator)
        return true;
    const uint64_t threshold = trace_threshold(share->numerator, share->denominator);
    if (find_trace(stream, &context))
        return trace_is_chosen(stream, &context, threshold);
    const uint64_t number = request_id.len > 0 ? hash_with_key(0, 0, request_id) : rng_next(&stream->env->loop->rng);
    return number >> 8 >= threshold; // of 56 bits, as a trace's
}

static bool has_failed(const struct stream *stream) {
    return stream->end != OK || stream->status >= 500 || stream->grpc_status > 0;
}

static bool is_wanted(const struct stream *stream) {
    const struct telemetry_rules *rules = stream_telemetry_rules(stream);
    switch (rules->access_log.filter) {
    case LOG_FILTER_ALL:
        return has_failed(stream) || is_sampled(stream, &rules->access_log.sampling);
    case LOG_FILTER_NONE:
        return false;
    case LOG_FILTER_ERRORS:
        break;
    }
    return has_failed(stream);
}

// For templates.
static bool find_field(const void *message, enum access_part part, struct bytes name, struct bytes *value) {
    const struct stream *stream = message;
    const struct head *head = part == ACCESS_REQUEST_HEAD ? head_of(stream) : part == ACCESS_RESPONSE_HEAD ? stream->response : NULL;
    const struct fields *fields = part == ACCESS_RESPONSE_TRAILERS ? stream->response_trailers : head == NULL ? NULL : &head->fields;
    const struct field *field = fields == NULL ? NULL : fields_find_name(fields, name);
    if (field != NULL)
        *value = redact_url(name, field->value);
    return field != NULL;
}

static const union address *local_address(const struct stream *stream) {
    return stream->client.destination != NULL ? stream->client.destination : stream->client.local;
}

static const union address *upstream_local_address(const struct stream *stream) {
    const struct attempt *foremost = stream->attempts == NULL ? NULL : attempts_foremost(stream->attempts);
    return foremost == NULL || foremost->never_sent ? NULL : &foremost->local;
}

static_assert(ADDRESS_TEXT_MAX <= ACCESS_ADDRESS_MAX, "an address fits");

static size_t print_address(const void *message, enum access_address which, char text[ACCESS_ADDRESS_MAX]) {
    const union address *address = which == ACCESS_LOCAL ? local_address(message) : upstream_local_address(message);
    return address == NULL ? 0 : address_print(address, text, ACCESS_ADDRESS_MAX);
}

// Why each retry was made, in their order. Returns the length.
static size_t print_reasons(const struct attempts *attempts, char *text, size_t size) {
    size_t length = 0;
    for (uint32_t i = 0; i < attempts->reason_count; i++) {
        const char *name = retry_reason_name(attempts->reasons[i]);
        int written = snprintf(text + length, size - length, "%s%s", i > 0 ? "," : "", name);
        CHECK(written > 0 && (size_t)written < size - length);
        length += (size_t)written;
    }
    return length;
}

// What of a record is not there as a text.
struct printed {
    char peer[ADDRESS_TEXT_MAX];
    char client[ADDRESS_TEXT_MAX];
    char reasons[REASONS_TEXT_MAX];
    char trace_id[2 * TRACE_ID_BYTES];
    char span_id[2 * SPAN_ID_BYTES];
    char keys[LOG_PARTS_MAX];
    char headers[LOG_PARTS_MAX];
};

// Of one that was refused nobody has seen to it that its host and path are such.
static void add_request(struct access_record *record, const struct head *request, bool is_checked) {
    record->method = request->method_text;
    record->authority = is_checked ? request->authority : redact_user(request->authority);
    record->path = is_checked ? request->path : redact_target(request->path);
    record->scheme = request->scheme;
    record->server_scheme = request->scheme;
    record->server = record->is_server && is_checked ? stream_telemetry_server(request, &record->server_scheme) : record->authority;
    record->version = (uint8_t)request->version;
    record->request_id = value_of(request, FIELD_X_REQUEST_ID);
    record->user_agent = value_of(request, FIELD_USER_AGENT);
}

static void add_attempts(struct access_record *record, const struct attempts *attempts, nanoseconds begun) {
    const struct attempt *foremost = attempts_foremost(attempts);
    const struct endpoint *endpoint = foremost->endpoint;
    if (foremost->answered_after > 0)
        record->response_after = foremost->begun + foremost->answered_after - begun;
    record->attempts = attempts->begun;
    record->retried_by = attempts->retried_by;
    record->ejected = attempts->ejected;
    record->ejected_by = attempts->ejected_by;
    record->retry_refused = bytes_from_text(retry_refusal_name(attempts->refusal));
    record->endpoint = endpoint == NULL ? BYTES_NONE : endpoint->links->text;
}

// Without what is to be printed.
static struct access_record record_of(const struct stream *stream, nanoseconds duration) {
    static const struct bytes directions[] = {[ROLE_INBOUND] = BYTES_OF("inbound"),
                                              [ROLE_OUTBOUND] = BYTES_OF("outbound"),
                                              [ROLE_GATEWAY] = BYTES_OF("gateway"),
                                              [ROLE_TCP] = BYTES_OF("outbound")};
    struct access_record record = {
        .start_wall = loop_wall(stream->env->loop) - duration,
        .duration = duration,
        .listener = stream->listener->name,
        .direction = directions[stream->listener->role],
        .tls = stream->client.secure,
        .is_opaque = is_opaque(stream),
        .is_server = role_is_reached(stream->listener->role),
        .status = is_opaque(stream) ? 0 : stream->status, // there a head is only how codecs tell each other
        .grpc_status = stream->grpc_status,
        .end = stream->end,
        .detail = stream->detail,
        .policy = stream->policy,
        .by_agent = stream->refusal.by_agent,
        .delayed = stream->delayed,
        .dry_run = stream->dry_run,
        .request_bytes = stream->request_bytes,
        .response_bytes = stream->response_bytes,
        .upstream_duration = stream->upstream_took,
        .request_took = stream->request_took,
        .server_name = stream->client.server_name,
        .connection = stream->client.number,
        .find_field = find_field,
        .print_address = print_address,
        .message = stream,
    };
    if (head_of(stream) != NULL)
        add_request(&record, head_of(stream), stream->request != NULL);
    if (stream->client.identity != NULL)
        record.peer_identity = stream->client.identity->text;
    if (stream->destination != NULL)
        record.service = stream->destination->config->service->key;
    if (stream->rule != NULL)
        record.route = stream->rule->label;
    if (stream->attempts != NULL)
        add_attempts(&record, stream->attempts, stream->begun);
    return record;
}

static void print_rest(struct stream *stream, struct access_record *record, struct printed *to) {
    struct trace_context context;
    if (find_trace(stream, &context)) {
        record->trace_flags = context.flags;
        trace_hex_print(context.trace_id, TRACE_ID_BYTES, to->trace_id);
        record->trace_id = bytes_from(to->trace_id, sizeof to->trace_id);
    }
    if (stream_is_recorded(stream)) {
        trace_hex_print(context.span_id, SPAN_ID_BYTES, to->span_id);
        record->span_id = bytes_from(to->span_id, sizeof to->span_id);
    }
    record->keys = bytes_from(to->keys, log_keys_print(stream, to->keys));
    record->headers = bytes_from(to->headers, log_headers_print(stream, to->headers));
    record->peer = bytes_from(to->peer, address_print(stream->client.address, to->peer, sizeof to->peer));
    if (stream->forwarded.names_client)
        record->client = bytes_from(to->client, address_print_ip(&stream->forwarded.client, to->client, sizeof to->client));
    if (stream->attempts != NULL)
        record->retried_for = bytes_from(to->reasons, print_reasons(stream->attempts, to->reasons, sizeof to->reasons));
}

// Refused to whoever it came from, by a policy of ours (what another proxy refused that one tells, with its policy); and somebody keeps an audit log.
static bool is_audited(const struct stream *stream) {
    const struct audit_log_config *audit = &stream->proxy->telemetry.audit_log;
    if (stream->env->audit == NULL || stream->refusal.rule.len == 0)
        return false;
    switch (stream->end) {
    case ERROR_UNAUTHENTICATED:
    case ERROR_DENIED:
        return audit->denials;
    case ERROR_RATE_LIMITED:
    case ERROR_QUOTA_EXCEEDED:
    case ERROR_BULKHEAD_FULL:
    case ERROR_QUEUE_TIMEOUT:
        return audit->limits;
    default:
        return false;
    }
}

// To the logs, and to whoever looks on. None hears of what the others alone want.
static void tell(struct stream *stream, nanoseconds duration, bool is_logged, bool is_denial) {
    const struct stream_env *env = stream->env;
    struct printed printed;
    struct access_record record = record_of(stream, duration);
    const bool is_tapped = env->taps != NULL && taps_reserve(env->taps, &record, env->metrics);
    if (!is_logged && !is_tapped && !is_denial)
        return;
    print_rest(stream, &record, &printed);
    if (is_denial)
        env->audit(env->audit_user, &record);
    if (is_logged)
        env->log(env->log_user, &record);
    if (is_tapped)
        taps_tell(env->taps, &record, env->metrics);
}

void stream_log(struct stream *stream) {
    if (stream->is_own)
        return;
    stream_count(stream);
    if (stream->is_subrequest)
        return;
    const bool is_logged = is_wanted(stream), is_denial = stream->end != OK && is_audited(stream);
    if (is_logged || is_denial || stream->env->taps != NULL)
        tell(stream, stream->env->loop->now - stream->begun, is_logged, is_denial);
}
