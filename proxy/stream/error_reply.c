// See error_reply.h. The body is a problem document (RFC 9457) that names the `end` of the access log and, where known, why.
#include "stream/error_reply.h"

#include "base/check.h"
#include "http/headers.h"
#include "stream/stream.h"

struct reply {
    uint16_t status;
    int16_t grpc;
    const char *proxy_status;
};

// In the order of errors.md. What is missing is told between layers only: see `ends`.
static const struct reply replies[ERROR_COUNT] = {
#define REPLY(name, status, grpc, proxy_status) [ERROR_NUMBER_##name] = {status, grpc, proxy_status}
    REPLY(BAD_REQUEST, 400, 13, "http_request_error"),
    REPLY(FRAMING_INVALID, 400, 13, "http_request_error"),
    REPLY(UNAUTHENTICATED, 401, 16, "http_request_denied"),
    REPLY(DENIED, 403, 7, "http_request_denied"),
    REPLY(HEADER_TIMEOUT, 408, 4, "http_request_error"),
    REPLY(BODY_TIMEOUT, 408, 4, "http_request_error"),
    REPLY(BODY_TOO_LARGE, 413, 8, "http_request_error"),
    REPLY(URI_TOO_LONG, 414, 13, "http_request_error"),
    REPLY(HEADERS_TOO_LARGE, 431, 8, "http_request_error"),
    REPLY(EXPECTATION, 417, 13, "http_request_error"),
    REPLY(RATE_LIMITED, 429, 8, "http_request_denied"),
    REPLY(QUOTA_EXCEEDED, 429, 8, "http_request_denied"),
    REPLY(CLIENT_GONE, 0, 1, NULL),
    REPLY(INTERNAL, 500, 13, "proxy_internal_error"),
    REPLY(METHOD_UNKNOWN, 501, 12, "http_request_error"),
    REPLY(VERSION_UNSUPPORTED, 505, 12, "http_request_error"),
    REPLY(HOST_UNKNOWN, 502, 14, "destination_not_found"),
    REPLY(DNS_ERROR, 502, 14, "dns_error"),
    REPLY(DNS_TIMEOUT, 504, 14, "dns_timeout"),
    REPLY(CONNECT_REFUSED, 502, 14, "connection_refused"),
    REPLY(TLS_FAILED, 502, 14, "tls_protocol_error"),
    REPLY(IDENTITY_MISMATCH, 502, 14, "tls_certificate_error"),
    REPLY(UPSTREAM_RESET, 502, 14, "connection_terminated"),
    REPLY(RESPONSE_MALFORMED, 502, 13, "http_protocol_error"),
    REPLY(RESPONSE_INCOMPLETE, 0, 14, "http_response_incomplete"),
    REPLY(UPGRADE_FAILED, 502, 13, "http_upgrade_failed"),
    REPLY(LOOP, 502, 13, "proxy_loop_detected"),
    REPLY(NO_ENDPOINT, 503, 14, "destination_unavailable"),
    REPLY(BREAKER_OPEN, 503, 14, "destination_unavailable"),
    REPLY(POOL_FULL, 503, 14, "connection_limit_reached"),
    REPLY(BULKHEAD_FULL, 503, 14, "connection_limit_reached"),
    REPLY(QUEUE_TIMEOUT, 503, 14, "connection_limit_reached"),
    REPLY(MEMORY_LIMIT, 503, 14, "connection_limit_reached"),
    REPLY(DRAINING, 503, 14, "proxy_internal_response"),
    REPLY(FAULT, 503, 14, "proxy_internal_response"), // or as the policy says
    REPLY(CONNECT_TIMEOUT, 504, 14, "connection_timeout"),
    REPLY(REQUEST_TIMEOUT, 504, 4, "http_response_timeout"),
    REPLY(TRY_TIMEOUT, 504, 4, "http_response_timeout"),
    REPLY(DEADLINE_EXPIRED, 504, 4, "http_response_timeout"),
    REPLY(ROUTE_NOT_FOUND, 404, 12, "destination_not_found"),
    REPLY(MISDIRECTED, 421, 14, "http_request_error"), // RFC 9110 section 15.5.20: the client may ask again on another connection
    REPLY(BACKEND_INVALID, 500, 13, "proxy_configuration_error"),
#undef REPLY
};

// What a stream ends with where layers told each other an error that has no row. What stands in neither table, no layer tells a stream: it is internal where one does.
static const enum error ends[ERROR_COUNT] = {
    [ERROR_NUMBER_REFUSED_STREAM] = ERROR_UPSTREAM_RESET,   [ERROR_NUMBER_CONNECTION_CLOSED] = ERROR_UPSTREAM_RESET,
    [ERROR_NUMBER_CONNECTION_RESET] = ERROR_UPSTREAM_RESET, [ERROR_NUMBER_PROTOCOL] = ERROR_RESPONSE_MALFORMED,
    [ERROR_NUMBER_FLOOD] = ERROR_RESPONSE_MALFORMED,        [ERROR_NUMBER_NO_MEMORY] = ERROR_MEMORY_LIMIT,
};

static const struct reply *row_of(enum error error) {
    CHECK(error < 0 && -1 - error < ERROR_COUNT);
    const struct reply *reply = &replies[-1 - error];
    return reply->grpc == 0 ? NULL : reply;
}

static const struct reply *reply_of(enum error error) {
    const struct reply *reply = row_of(error);
    CHECK(reply != NULL);
    return reply;
}

bool error_is_end(enum error error) {
    return error == OK || row_of(error) != NULL;
}

enum error error_end(enum error error) {
    if (error_is_end(error))
        return error;
    enum error end = ends[-1 - error];
    return end == OK ? ERROR_INTERNAL : end;
}

uint16_t error_status(enum error error) {
    return reply_of(error)->status;
}

int error_grpc_status(enum error error) {
    return reply_of(error)->grpc;
}

uint16_t error_grpc_of_http(unsigned status) {
    switch (status) {
    case 400:
        return 13;
    case 401:
        return 16;
    case 403:
        return 7;
    case 404:
        return 12;
    case 429:
    case 502:
    case 503:
    case 504:
        return 14;
    default:
        return 2;
    }
}

// Text for a quoted string of JSON, a structured field or a percent-encoded grpc-message: what would need escaping there is left out, since it is ours or an address.
static struct bytes plain(struct pool *pool, struct bytes text) {
    if (text.len == 0)
        return text;
    char *out = pool_alloc(pool, text.len);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        out[i] = c < ' ' || c > '~' || c == '"' || c == '\\' || c == '%' ? '\'' : c;
    }
    return bytes_from(out, text.len);
}

static void add_grpc_status(struct stream *stream, struct fields *fields, enum error error, struct bytes detail) {
    const int code = stream->refusal.grpc_status != 0 ? stream->refusal.grpc_status : reply_of(error)->grpc;
    fields_add_known(fields, FIELD_GRPC_STATUS, pool_format(&stream->pool, "%d", code));
    fields_add_known(fields, FIELD_GRPC_MESSAGE,
                     detail.len == 0 ? bytes_from_text(error_name(error))
                                     : pool_format(&stream->pool, "%s: %.*s", error_name(error), BYTES_FORMAT(detail)));
}

static void add_grpc(struct stream *stream, struct head *head, enum error error, struct bytes detail) {
    head->status = 200;
    fields_add_known(&head->fields, FIELD_CONTENT_TYPE, BYTES("application/grpc"));
    add_grpc_status(stream, &head->fields, error, detail);
}

// The type of a problem that a client can do something about (draft-ietf-httpapi-ratelimit-headers, section 6).
static const char *problem_type(enum error error) {
    return error == ERROR_RATE_LIMITED || error == ERROR_QUOTA_EXCEEDED ? "https://iana.org/assignments/http-problem-types#quota-exceeded"
                                                                        : "about:blank";
}

static void add_problem(struct stream *stream, struct head *head, enum error error, struct bytes detail, struct buffer *body) {
    const struct bytes rule = plain(&stream->pool, stream->refusal.rule);
    struct bytes text =
        pool_format(&stream->pool, "{\"type\":\"%s\",\"title\":\"%.*s\",\"status\":%u,\"detail\":\"%s%s%.*s\"%s%.*s%s}\n", problem_type(error),
                    BYTES_FORMAT(status_reason(head->status)), head->status, error_name(error), detail.len > 0 ? ": " : "", BYTES_FORMAT(detail),
                    rule.len > 0 ? ",\"violated-policies\":[\"" : "", BYTES_FORMAT(rule), rule.len > 0 ? "\"]" : "");
    fields_add_known(&head->fields, FIELD_CONTENT_TYPE, BYTES("application/problem+json"));
    buffer_append(body, text);
}

// When it may be tried again, in the word of whoever asks: seconds, or the milliseconds of gRPC's own (A6-client-retries).
static void add_retry_after(struct stream *stream, struct fields *fields) {
    const nanoseconds wait = stream->refusal.retry_after;
    if (wait == 0)
        return;
    const unsigned long long seconds = (wait + NS_PER_S - 1) / NS_PER_S, milliseconds = (wait + NS_PER_MS - 1) / NS_PER_MS;
    fields_add_known(fields, FIELD_RETRY_AFTER, pool_format(&stream->pool, "%llu", seconds));
    if (stream->request_is_grpc)
        fields_add(fields, BYTES("grpc-retry-pushback-ms"), pool_format(&stream->pool, "%llu", milliseconds));
}

static void add_refusal(struct stream *stream, struct fields *fields) {
    add_retry_after(stream, fields);
    if (stream->refusal.fields == NULL)
        return;
    FIELDS_EACH(stream->refusal.fields, field)
        fields_add(fields, field->name, field->value);
}

bool error_reply_tells(const struct stream *stream) {
    return stream->listener->role != ROLE_GATEWAY || stream->proxy->edge.proxy_status;
}

// May have addresses of ours in it.
static struct bytes detail_for_client(struct stream *stream) {
    return error_reply_tells(stream) ? plain(&stream->pool, stream->detail) : BYTES_NONE;
}

struct head *error_reply_build(struct stream *stream, enum error error, struct buffer *body) {
    const struct reply *reply = reply_of(error);
    CHECK(reply->status != 0);
    struct head *head = pool_alloc_zeroed(&stream->pool, sizeof *head);
    head_init(head, &stream->pool);
    head->status = stream->refusal.status != 0 ? stream->refusal.status : reply->status;
    struct bytes detail = detail_for_client(stream);
    struct bytes policy = plain(&stream->pool, stream->policy);
    if (stream->request_is_grpc)
        add_grpc(stream, head, error, detail);
    else
        add_problem(stream, head, error, detail, body);
    add_refusal(stream, &head->fields);
    if (error_reply_tells(stream))
        fields_add_known(&head->fields, FIELD_PROXY_STATUS,
                         pool_format(&stream->pool, "outrigger; error=%s; details=\"%s%s%.*s\"", reply->proxy_status, error_name(error),
                                     policy.len > 0 ? "; " : "", BYTES_FORMAT(policy)));
    if (stream->client.mesh)
        fields_add_known(&head->fields, FIELD_OUTRIGGER_REFUSED, bytes_from_text(error_name(error)));
    return head;
}

void error_reply_take_over(struct stream *stream, const struct head *refusal) {
    static const struct bytes names[] = {BYTES_OF("retry-after"), BYTES_OF("ratelimit"), BYTES_OF("ratelimit-policy"),
                                         BYTES_OF("grpc-retry-pushback-ms")};
    struct fields *taken = pool_alloc_zeroed(&stream->pool, sizeof *taken);
    fields_init(taken, &stream->pool);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct field *field = fields_find_name(&refusal->fields, names[i]);
        if (field != NULL)
            fields_add(taken, names[i], pool_copy(&stream->pool, field->value));
    }
    stream->refusal.fields = taken;
}

const struct fields *error_reply_trailers(struct stream *stream, enum error error) {
    if (!stream->request_is_grpc || stream->request->version != HTTP_2 || error == ERROR_CLIENT_GONE)
        return NULL;
    struct fields *trailers = pool_alloc_zeroed(&stream->pool, sizeof *trailers);
    fields_init(trailers, &stream->pool);
    add_grpc_status(stream, trailers, error, detail_for_client(stream));
    return trailers;
}
