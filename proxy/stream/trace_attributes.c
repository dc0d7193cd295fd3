// In the order of the conventions. Values that hold secrets are left out of URLs (http/redact). See trace_attributes.h.
#include "stream/trace_attributes.h"

#include "http/headers.h"
#include "http/redact.h"
#include "net/tcp.h"
#include "stream/attempts.h"
#include "stream/stream_count.h"
#include "stream/stream_telemetry.h"
#include "stream/trace_draft.h"
#include "stream/trace_outcome.h"
#include "stream/tracing.h"
#include "telemetry/series_facts.h"

#define GRPC_UNIMPLEMENTED 12

// What no server has is not named: whoever asks for names that are made up would make as many kinds of spans. Who asks through an outbound listener is the application beside us, whose names
// are those of its code.
static bool method_is_known(const struct trace_draft *draft) {
    const struct stream *stream = draft->stream;
    const bool is_stranger_s = role_is_reached(stream->listener->role) && !stream->is_subrequest;
    return draft->grpc_code != GRPC_UNIMPLEMENTED && rpc_method(draft->request).len > 0 && (!is_stranger_s || rpc_method_is_known(stream));
}

struct bytes trace_name_of(const struct trace_draft *draft) {
    if (draft->stream->request_is_grpc)
        return method_is_known(draft) ? rpc_method(draft->request) : BYTES("grpc");
    const struct bytes known = convention_method(draft->request->method_text), method = known.len > 0 ? known : BYTES("HTTP");
    const struct route_rule *rule = draft->stream->rule;
    if (draft->attempt != NULL || !draft->stream->tracing->has_server_span || rule == NULL)
        return method;
    return pool_format(&draft->stream->pool, "%.*s %.*s", BYTES_FORMAT(method), BYTES_FORMAT(rule->label));
}

static void put(struct trace_draft *draft, struct bytes key, struct bytes value) {
    span_text(&draft->writer, key, value);
}

static void put_host(struct trace_draft *draft, struct bytes text, struct bytes scheme) {
    uint64_t port = convention_port(scheme);
    const struct bytes host = convention_host(text, &port);
    if (host.len == 0)
        return;
    put(draft, BYTES("server.address"), host);
    span_number(&draft->writer, BYTES("server.port"), (int64_t)port);
}

static void put_peer(struct trace_draft *draft, const union address *address) {
    char text[ADDRESS_TEXT_MAX];
    if (address->any.sa_family != AF_INET && address->any.sa_family != AF_INET6)
        return;
    put(draft, BYTES("network.peer.address"), bytes_from(text, address_print_ip(address, text, sizeof text)));
    const uint16_t port = address->any.sa_family == AF_INET ? address->v4.sin_port : address->v6.sin6_port;
    span_number(&draft->writer, BYTES("network.peer.port"), ntohs(port));
}

static void put_version(struct trace_draft *draft, enum http_version version) {
    if (version != HTTP_NONE)
        put(draft, BYTES("network.protocol.version"), version == HTTP_2 ? BYTES("2") : version == HTTP_1_1 ? BYTES("1.1") : BYTES("1.0"));
}

static void put_http(struct trace_draft *draft) {
    const struct head *request = draft->request;
    const struct bytes method = convention_method(request->method_text);
    put(draft, BYTES("http.request.method"), method.len > 0 ? method : CONVENTION_OTHER);
    if (method.len == 0)
        put(draft, BYTES("http.request.method_original"), request->method_text);
    if (draft->status > 0)
        span_number(&draft->writer, BYTES("http.response.status_code"), draft->status);
}

static void put_rpc(struct trace_draft *draft) {
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
static void put_target(struct trace_draft *draft) {
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

static void put_url(struct trace_draft *draft) {
    const struct head *request = draft->request;
    const struct bytes target = redact_query(request->path, &draft->stream->pool);
    const struct bytes parts[] = {request->scheme, BYTES("://"), redact_user(request->authority), target};
    put(draft, BYTES("url.full"), join(&draft->stream->pool, parts, sizeof parts / sizeof parts[0]));
}

static void put_server_name(struct trace_draft *draft) {
    struct bytes scheme;
    const struct bytes server = stream_telemetry_server(draft->request, &scheme);
    put_host(draft, server, scheme);
}

static void put_policy_s_attributes(struct trace_draft *draft) {
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

void trace_put_ours(struct trace_draft *draft, enum error end) {
    const struct stream *stream = draft->stream;
    put(draft, BYTES("outrigger.listener"), stream->listener->name);
    if (stream->destination != NULL)
        put(draft, BYTES("outrigger.service"), stream->destination->config->service->key);
    if (stream->rule != NULL)
        put(draft, BYTES("outrigger.route"), stream->rule->label);
    put(draft, BYTES("outrigger.end"), trace_end_text(end));
    put(draft, BYTES("outrigger.request_id"), field_value(draft->request, FIELD_X_REQUEST_ID));
    put_policy_s_attributes(draft);
}

static void put_client_of(struct trace_draft *draft) {
    const struct stream *stream = draft->stream;
    char text[ADDRESS_TEXT_MAX];
    put(draft, BYTES("client.address"), bytes_from(text, address_print_ip(stream_client_address(stream), text, sizeof text)));
    put_peer(draft, stream->client.address);
    put_version(draft, draft->request->version);
    if (stream->client.identity != NULL)
        put(draft, BYTES("outrigger.peer_identity"), stream->client.identity->text);
}

void trace_put_endpoint(struct trace_draft *draft) {
    const struct attempt *attempt = draft->attempt;
    uint64_t port = 0;
    if (attempt->endpoint != NULL) {
        put(draft, BYTES("network.peer.address"), convention_host(attempt->endpoint->links->text, &port));
        span_number(&draft->writer, BYTES("network.peer.port"), (int64_t)port);
    }
    if (attempt->answered_after > 0)
        put_version(draft, attempt->up.codec_stream.head.version);
}

void trace_put_request(struct trace_draft *draft) {
    if (draft->stream->request_is_grpc)
        put_rpc(draft);
    else
        put_http(draft);
}

void trace_put_asked(struct trace_draft *draft) {
    if (!draft->stream->request_is_grpc)
        put_url(draft);
    put_host(draft, draft->request->authority, draft->request->scheme);
}

void trace_put_served(struct trace_draft *draft) {
    const struct stream *stream = draft->stream;
    if (!stream->request_is_grpc)
        put_target(draft);
    if (!stream->request_is_grpc && stream->rule != NULL)
        put(draft, BYTES("http.route"), stream->rule->label); // as in metrics: of paths there are too many
    put_server_name(draft);
    put_client_of(draft);
}
