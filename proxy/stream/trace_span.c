// Attributes in the order of the conventions. See trace_span.h. Values that hold secrets are left out of URLs (http/redact); what else could hold one is told only where a TelemetryPolicy asks for it.
#include "stream/trace_span.h"

#include "base/check.h"
#include "http/headers.h"
#include "http/redact.h"
#include "net/tcp.h"
#include "stream/attempt_outcome.h"
#include "stream/attempts.h"
#include "stream/error_reply.h"
#include "stream/stream_count.h"
#include "stream/stream_telemetry.h"
#include "stream/tracing.h"
#include "telemetry/convention.h"
#include "telemetry/series_facts.h"

#include <stdio.h>

#define GRPC_UNIMPLEMENTED 12

// A span on its way.
struct draft {
    struct span_writer writer;
    struct stream *stream;
    const struct attempt *attempt; // NULL: the stream's own
    const struct head *request;
    int32_t grpc_code; // CONVENTION_NO_CODE: none
    unsigned status;   // 0: none
    nanoseconds wall_ahead;
    char digits[CONVENTION_DIGITS_MAX]; // of its status as error.type
};

struct outcome {
    enum span_status status;
    struct bytes type; // error.type
    struct bytes message;
};

// ---- words

// What no server has is not named: whoever asks for names that are made up would make as many kinds of spans. Who asks through an outbound listener is the application beside us, whose names
// are those of its code.
static bool method_is_known(const struct draft *draft) {
    const struct stream *stream = draft->stream;
    const bool is_stranger_s = role_is_reached(stream->listener->role) && !stream->is_subrequest;
    return draft->grpc_code != GRPC_UNIMPLEMENTED && rpc_method(draft->request).len > 0 && (!is_stranger_s || rpc_method_is_known(stream));
}

static struct bytes name_of(const struct draft *draft) {
    if (draft->stream->request_is_grpc)
        return method_is_known(draft) ? rpc_method(draft->request) : BYTES("grpc");
    const struct bytes known = convention_method(draft->request->method_text), method = known.len > 0 ? known : BYTES("HTTP");
    const struct route_rule *rule = draft->stream->rule;
    if (draft->attempt != NULL || !draft->stream->tracing->has_server_span || rule == NULL)
        return method;
    return pool_format(&draft->stream->pool, "%.*s %.*s", BYTES_FORMAT(method), BYTES_FORMAT(rule->label));
}

// ---- how it went

static struct outcome failed(struct bytes type, struct bytes message) {
    return (struct outcome){SPAN_ERROR, type, message};
}

static struct bytes end_text(enum error error) {
    return error == OK ? BYTES_NONE : bytes_from_text(error_name(convention_is_cancellation(error) ? error : error_end(error)));
}

// `error`: why it broke or was refused; OK: it was answered by somebody else.
static struct outcome outcome_of(struct draft *draft, enum error error, struct bytes detail, bool is_server) {
    const bool is_rpc = draft->stream->request_is_grpc;
    const struct convention_outcome facts = {
        .is_server = is_server,
        .status = (uint16_t)draft->status,
        .grpc_code = is_rpc ? draft->grpc_code : CONVENTION_NO_CODE,
        .end = error == OK || convention_is_cancellation(error) ? error : error_end(error),
    };
    const struct bytes type = convention_error_type(&facts, draft->digits);
    return type.len > 0 ? failed(type, error != OK || facts.grpc_code != CONVENTION_NO_CODE ? detail : BYTES_NONE) : (struct outcome){0};
}

// What became of a try: its own error, or that of an answer that broke off. One that was cut by us, since the stream could not go on with it, is what it had said until then; where the client went nobody knows what else
// it would have said.
static enum error error_of(const struct attempt *attempt) {
    const enum error own = attempt->error, cut = attempt->up.error;
    if (attempt->answered_after == 0 || !(own == OK || own == ERROR_CANCELLED) || attempt->stream->end == ERROR_CLIENT_GONE)
        return own;
    if (cut != OK && !convention_is_cancellation(cut))
        return cut;
    return attempt->up.ended || attempt->is_refusal || attempt->up.codec_stream.head.status >= 400 ? OK : own;
}

// How the request itself ended is told by its SERVER span; where it has none, by the try that it was left to.
static bool speaks_for_stream(const struct attempt *attempt) {
    return !attempt->stream->tracing->has_server_span && attempt == attempts_foremost(attempt->stream->attempts);
}

static struct outcome outcome_of_attempt(struct draft *draft, enum error error) {
    const struct attempt *attempt = draft->attempt;
    const struct stream *stream = attempt->stream;
    const struct outcome outcome = outcome_of(draft, error, attempt->detail, false);
    const bool failed_above = stream->end != OK && !convention_is_cancellation(stream->end) && speaks_for_stream(attempt);
    return failed_above && outcome.status != SPAN_ERROR ? failed(end_text(stream->end), stream->detail) : outcome;
}

// ---- attributes

static void put(struct draft *draft, struct bytes key, struct bytes value) {
    span_text(&draft->writer, key, value);
}

static void put_host(struct draft *draft, struct bytes text, struct bytes scheme) {
    uint64_t port = convention_port(scheme);
    const struct bytes host = convention_host(text, &port);
    if (host.len == 0)
        return;
    put(draft, BYTES("server.address"), host);
    span_number(&draft->writer, BYTES("server.port"), (int64_t)port);
}

static void put_peer(struct draft *draft, const union address *address) {
    char text[ADDRESS_TEXT_MAX];
    if (address->any.sa_family != AF_INET && address->any.sa_family != AF_INET6)
        return;
    put(draft, BYTES("network.peer.address"), bytes_from(text, address_print_ip(address, text, sizeof text)));
    const uint16_t port = address->any.sa_family == AF_INET ? address->v4.sin_port : address->v6.sin6_port;
    span_number(&draft->writer, BYTES("network.peer.port"), ntohs(port));
}

static void put_version(struct draft *draft, enum http_version version) {
    if (version != HTTP_NONE)
        put(draft, BYTES("network.protocol.version"), version == HTTP_2 ? BYTES("2") : version == HTTP_1_1 ? BYTES("1.1") : BYTES("1.0"));
}

static void put_http(struct draft *draft) {
    const struct head *request = draft->request;
    const struct bytes method = convention_method(request->method_text);
    put(draft, BYTES("http.request.method"), method.len > 0 ? method : CONVENTION_OTHER);
    if (method.len == 0)
        put(draft, BYTES("http.request.method_original"), request->method_text);
    if (draft->status > 0)
        span_number(&draft->writer, BYTES("http.response.status_code"), draft->status);
}

static void put_rpc(struct draft *draft) {
    const bool is_known = method_is_known(draft);
    put(draft, BYTES("rpc.system.name"), BYTES("grpc"));
    put(draft, BYTES("rpc.method"), is_known ? rpc_method(draft->request) : CONVENTION_OTHER);
    if (!is_known) // without its query, which is no part of a method, and could hold a secret
        put(draft, BYTES("rpc.method_original"), bytes_from(draft->request->path.at, bytes_find(draft->request->path, '?')));
    if (draft->grpc_code != CONVENTION_NO_CODE)
        put(draft, BYTES("rpc.status_code"), rpc_status_name((uint16_t)draft->grpc_code));
}

static struct bytes field_value(const struct head *head, enum field_id id) {
    const struct field *field = fields_find(&head->fields, id);
    return field == NULL ? BYTES_NONE : field->value;
}

// Path and query each for itself, without what is secret.
static void put_target(struct draft *draft) {
    const struct bytes target = redact_query(draft->request->path, &draft->stream->pool);
    const size_t mark = bytes_find(target, '?');
    put(draft, BYTES("url.path"), bytes_from(target.at, mark));
    if (mark < target.len)
        put(draft, BYTES("url.query"), bytes_from(target.at + mark + 1, target.len - mark - 1));
    put(draft, BYTES("url.scheme"), draft->request->scheme);
}

// Texts behind each other. printf costs more than all else of a usual span.
static struct bytes join(struct pool *pool, const struct bytes *parts, size_t count) {
    size_t length = 0;
    for (size_t i = 0; i < count; i++)
        length += parts[i].len;
    char *const text = pool_alloc(pool, length);
    char *at = text;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len > 0)
            memcpy(at, parts[i].at, parts[i].len);
        at += parts[i].len;
    }
    return bytes_from(text, length);
}

static void put_url(struct draft *draft) {
    const struct head *request = draft->request;
    const size_t user = bytes_find(request->authority, '@'); // whoever asks with a password is not told of
    const struct bytes host =
        user < request->authority.len ? bytes_from(request->authority.at + user + 1, request->authority.len - user - 1) : request->authority;
    const struct bytes target = redact_query(request->path, &draft->stream->pool);
    const struct bytes parts[] = {request->scheme, BYTES("://"), host, target};
    put(draft, BYTES("url.full"), join(&draft->stream->pool, parts, sizeof parts / sizeof parts[0]));
}

static void put_server_name(struct draft *draft) {
    struct bytes scheme;
    const struct bytes server = stream_telemetry_server(draft->request, &scheme);
    put_host(draft, server, scheme);
}

static void put_policy_s_attributes(struct draft *draft) {
    const struct telemetry_rules *rules = stream_telemetry_rules(draft->stream);
    for (uint32_t i = 0; i < rules->traces.attribute_count; i++) {
        const struct telemetry_attribute *attribute = &rules->traces.attributes[i];
        char address[ADDRESS_TEXT_MAX];
        const struct bytes value = stream_telemetry_value(draft->stream, &attribute->from, address);
        if (value.len == 0)
            continue;
        if (bytes_starts_with(attribute->name, BYTES("http.request.header."))) // by convention a list
            span_list(&draft->writer, attribute->name, value);
        else
            put(draft, attribute->name, value);
    }
}

static void put_ours(struct draft *draft, enum error end) {
    const struct stream *stream = draft->stream;
    put(draft, BYTES("outrigger.listener"), stream->listener->name);
    if (stream->destination != NULL)
        put(draft, BYTES("outrigger.service"), stream->destination->config->service->key);
    if (stream->rule != NULL)
        put(draft, BYTES("outrigger.route"), stream->rule->label);
    put(draft, BYTES("outrigger.end"), end_text(end));
    put(draft, BYTES("outrigger.request_id"), field_value(draft->request, FIELD_X_REQUEST_ID));
    put_policy_s_attributes(draft);
}

static void put_client_of(struct draft *draft) {
    const struct stream *stream = draft->stream;
    char text[ADDRESS_TEXT_MAX];
    put(draft, BYTES("client.address"), bytes_from(text, address_print_ip(stream_client_address(stream), text, sizeof text)));
    put_peer(draft, stream->client.address);
    put_version(draft, draft->request->version);
    if (stream->client.identity != NULL)
        put(draft, BYTES("outrigger.peer_identity"), stream->client.identity->text);
}

// ---- events and links

// Where there is no queue of the log (none is set up, or not yet) they stay what they are without it: nothing is lost.
static bool are_records(const struct stream *stream) {
    return stream->tracing->events_are_records && stream->env->log_records != NULL;
}

static void put_events(struct draft *draft, const struct trace_events *events) {
    if (are_records(draft->stream))
        return;
    for (const struct trace_event *event = events->first; event != NULL; event = event->next) {
        span_event_begin(&draft->writer, event->name, event->at + draft->wall_ahead);
        for (uint32_t i = 0; i < event->count; i++) {
            const struct log_value *value = &event->values[i];
            if (value->text.len > 0)
                span_text(&draft->writer, value->key, value->text);
            else
                span_number(&draft->writer, value->key, (int64_t)value->number);
        }
        span_event_end(&draft->writer);
    }
}

// Where they are no events of the span: whether there is room for that or not. What finds no room itself the queue counts.
static void write_records(const struct draft *draft, const uint8_t *span_id, const struct trace_events *events) {
    const struct stream *stream = draft->stream;
    const struct stream_env *env = stream->env;
    if (!are_records(stream))
        return;
    for (const struct trace_event *event = events->first; event != NULL; event = event->next) {
        char *const memory = export_queue_room(env->log_records);
        if (memory == NULL)
            continue;
        const struct log_event record = {.at = event->at + draft->wall_ahead,
                                         .observed = loop_wall(env->loop),
                                         .trace_id = stream->tracing->context.trace_id,
                                         .span_id = span_id,
                                         .flags = stream->tracing->context.flags,
                                         .name = event->name,
                                         .values = event->values,
                                         .count = event->count};
        export_queue_add(env->log_records, log_record_of_event(&record, memory));
        loop_flush(env->loop, env->publish);
    }
}

static void put_link(struct draft *draft, const struct attempt_span *span) {
    if (span->follows == NULL)
        return;
    struct trace_context to = draft->stream->tracing->context;
    memcpy(to.span_id, span->follows->id, SPAN_ID_BYTES);
    span_link_begin(&draft->writer, &to);
    span_text(&draft->writer, BYTES("outrigger.link"), span->is_hedge ? BYTES("hedge_of") : BYTES("retry_of"));
    span_link_end(&draft->writer);
}

// ---- whole spans

// NULL: the queue is full, and has counted it; or traces were switched off while the stream ran.
static char *room_of(const struct stream *stream) {
    return stream->env->spans == NULL ? NULL : export_queue_room(stream->env->spans);
}

static struct draft draft_of(struct stream *stream, const struct attempt *attempt) {
    const struct loop *loop = stream->env->loop;
    return (struct draft){.stream = stream,
                          .attempt = attempt,
                          .request = attempt == NULL || attempt->never_sent ? stream->request : &attempt->head,
                          .grpc_code = CONVENTION_NO_CODE,
                          .wall_ahead = loop_wall(loop) - loop->now};
}

static void begin(struct draft *draft, char *memory, struct span_head *head, const struct outcome *outcome) {
    const struct stream_tracing *tracing = draft->stream->tracing;
    head->trace_state = tracing->state;
    head->name = name_of(draft);
    head->begun += draft->wall_ahead;
    head->ended += draft->wall_ahead;
    head->status = outcome->status;
    head->message = outcome->message;
    span_begin(&draft->writer, memory, head);
}

static void finish(struct draft *draft) {
    const struct stream_env *env = draft->stream->env;
    export_queue_add(env->spans, span_end(&draft->writer));
    loop_flush(env->loop, env->publish);
}

static void write_own_span(struct stream *stream, enum span_kind kind) {
    const struct stream_tracing *tracing = stream->tracing;
    struct draft draft = draft_of(stream, NULL);
    write_records(&draft, tracing->context.span_id, &tracing->events);
    char *const memory = room_of(stream);
    if (memory == NULL)
        return;
    draft.status = stream->status;
    if (stream->grpc_status != ACCESS_LOG_NO_GRPC_STATUS)
        draft.grpc_code = stream->grpc_status;
    const struct outcome outcome = outcome_of(&draft, stream->end, stream->detail, kind == SPAN_SERVER);
    struct span_head head = {.context = tracing->context,
                             .parent_id = tracing->has_parent ? tracing->parent_id : NULL,
                             .parent_is_remote = tracing->parent_is_remote,
                             .kind = kind,
                             .begun = stream->begun,
                             .ended = stream->env->loop->now,
                             .events_dropped = tracing->events.dropped};
    begin(&draft, memory, &head, &outcome);
    if (stream->request_is_grpc)
        put_rpc(&draft);
    else
        put_http(&draft);
    if (kind == SPAN_CLIENT) {
        if (!stream->request_is_grpc)
            put_url(&draft);
        put_host(&draft, draft.request->authority, draft.request->scheme);
    } else {
        if (!stream->request_is_grpc)
            put_target(&draft);
        if (!stream->request_is_grpc && stream->rule != NULL)
            put(&draft, BYTES("http.route"), stream->rule->label); // as in metrics: of paths there are too many
        put_server_name(&draft);
        put_client_of(&draft);
    }
    put(&draft, BYTES("error.type"), outcome.type);
    put(&draft, BYTES("user_agent.original"), field_value(draft.request, FIELD_USER_AGENT));
    put_ours(&draft, stream->end);
    put(&draft, BYTES("outrigger.policy"), stream->policy);
    put_events(&draft, &tracing->events);
    finish(&draft);
}

static void put_endpoint(struct draft *draft) {
    const struct attempt *attempt = draft->attempt;
    uint64_t port = 0;
    if (attempt->endpoint != NULL) {
        put(draft, BYTES("network.peer.address"), convention_host(attempt->endpoint->links->text, &port));
        span_number(&draft->writer, BYTES("network.peer.port"), (int64_t)port);
    }
    if (attempt->answered_after > 0)
        put_version(draft, attempt->up.codec_stream.head.version);
}

static void write_attempt(struct stream *stream, const struct attempt *attempt) {
    const struct stream_tracing *tracing = stream->tracing;
    const struct attempt_span *span = attempt->span;
    struct draft draft = draft_of(stream, attempt);
    write_records(&draft, span->id, &span->events);
    char *const memory = room_of(stream);
    if (memory == NULL)
        return;
    draft.status = attempt->answered_after > 0 ? attempt->up.codec_stream.head.status : 0;
    draft.grpc_code = draft.status > 0 ? attempt_grpc_code(attempt) : CONVENTION_NO_CODE;
    const enum error error = error_of(attempt);
    const struct outcome outcome = outcome_of_attempt(&draft, error);
    struct span_head head = {.context = tracing->context,
                             .parent_is_remote = !tracing->has_server_span && tracing->parent_is_remote,
                             .kind = SPAN_CLIENT,
                             .begun = span->begun,
                             .ended = span->ended > 0 ? span->ended : stream->env->loop->now,
                             .events_dropped = span->events.dropped};
    memcpy(head.context.span_id, span->id, SPAN_ID_BYTES);
    if (tracing->has_server_span)
        head.parent_id = tracing->context.span_id;
    else if (tracing->has_parent)
        head.parent_id = tracing->parent_id;
    begin(&draft, memory, &head, &outcome);
    if (stream->request_is_grpc)
        put_rpc(&draft);
    else
        put_http(&draft);
    if (!stream->request_is_grpc)
        put_url(&draft);
    put_host(&draft, draft.request->authority, draft.request->scheme);
    put_endpoint(&draft);
    put(&draft, BYTES("error.type"), outcome.type);
    if (span->resend_count > 0 && !stream->request_is_grpc)
        span_number(&draft.writer, BYTES("http.request.resend_count"), span->resend_count);
    put_ours(&draft, speaks_for_stream(attempt) && stream->end != OK ? stream->end : error);
    if (speaks_for_stream(attempt))
        put(&draft, BYTES("outrigger.policy"), stream->policy);
    if (attempt->refusal != OK)
        put(&draft, BYTES("outrigger.refusal"), bytes_from_text(error_name(attempt->refusal)));
    put_link(&draft, span);
    put_events(&draft, &span->events);
    finish(&draft);
}

void trace_spans_write(struct stream *stream) {
    CHECK(stream_is_recorded(stream) && stream->request != NULL);
    bool has_tries = false;
    if (stream->attempts != NULL)
        LIST_EACH(&stream->attempts->over, node, following) {
            const struct attempt *attempt = LIST_ENTRY(node, struct attempt, link);
            if (attempt->span == NULL)
                continue;
            has_tries = true;
            write_attempt(stream, attempt);
        }
    if (stream->tracing->has_server_span)
        write_own_span(stream, SPAN_SERVER);
    else if (!has_tries)
        write_own_span(stream, SPAN_CLIENT);
}
