// From the question to a request as a connection of that listener would bring it. See report_explain.h.
#include "app/report_explain.h"

#include "admin/explain_view.h"
#include "base/check.h"
#include "config/authority.h"
#include "http/headers.h"
#include "net/tls.h"

#include <jansson.h>

static json_t *error_value(struct bytes text) {
    json_t *value = json_object();
    json_object_set_new(value, "error", json_stringn(text.at, text.len));
    return value;
}

// ---- the listener

static struct bytes names_of(const struct proxy_config *proxy, struct pool *pool) {
    struct bytes names = BYTES_NONE;
    for (uint32_t i = 0; i < proxy->listener_count; i++)
        names = pool_format(pool, "%.*s%s%.*s", BYTES_FORMAT(names), i > 0 ? ", " : "", BYTES_FORMAT(proxy->listeners[i].name));
    return names;
}

// NULL: there is none of that name; or none is said, and which is meant is not clear.
static const struct listener_config *find_listener(const struct proxy_config *proxy, struct bytes name) {
    for (uint32_t i = 0; i < proxy->listener_count; i++) {
        const struct listener_config *listener = &proxy->listeners[i];
        if (name.len > 0 ? bytes_equal(listener->name, name) : proxy->listener_count == 1 || listener->role == ROLE_OUTBOUND)
            return listener;
    }
    return NULL;
}

// NULL: the question suits the listener.
static const char *fault_of(const struct explain_question *question, const struct listener_config *listener) {
    const bool goes_by_host = listener->role == ROLE_OUTBOUND || (listener->role == ROLE_GATEWAY && !gateway_is_opaque(listener->gateway));
    if (question->identity.text.len > 0 && (listener->role != ROLE_INBOUND || listener->mtls == MTLS_DISABLE))
        return "as: callers show an identity to listeners of role Inbound alone, where mtls.mode is not Disable";
    if (question->destination.length > 0 && !listener->transparent)
        return "destination: for transparent listeners alone";
    if (goes_by_host && question->host.len == 0 && question->destination.length == 0)
        return "host: wanted, since the listener goes by it";
    return NULL;
}

// ---- the request

static const union address *address_of(const struct socket_address *from, struct pool *pool) {
    union address *address = pool_alloc_zeroed(pool, sizeof *address);
    if (from->length == 0)
        return NULL;
    CHECK(from->length <= sizeof *address);
    memcpy(address, &from->storage, from->length);
    return address;
}

// The name that a client of TLS would ask for.
static struct bytes server_name_of(struct bytes host, struct pool *pool) {
    struct authority authority;
    return authority_parse(host, &authority) ? pool_copy(pool, authority_host(&authority)) : BYTES_NONE;
}

static struct stream_client client_of(const struct explain_question *question, const struct listener_config *listener,
                                      const struct credentials *credentials, struct pool *pool) {
    struct stream_client client = {.address = address_of(&question->client, pool), .destination = address_of(&question->destination, pool)};
    const bool has_identity = question->identity.text.len > 0;
    client.identity = has_identity ? &question->identity : NULL;
    client.is_kin = has_identity && credentials != NULL && spiffe_id_same_trust_domain(&question->identity, credentials_id(credentials));
    client.mesh = has_identity;
    client.secure = has_identity || gateway_ends_tls(listener->gateway);
    if (gateway_ends_tls(listener->gateway))
        client.server_name = server_name_of(question->host, pool);
    return client;
}

static bool is_opaque(const struct listener_config *listener) {
    return listener->role == ROLE_TCP || gateway_is_opaque(listener->gateway);
}

static struct head *head_of(const struct explain_question *question, const struct stream *stream, struct pool *pool) {
    struct head *head = pool_alloc_zeroed(pool, sizeof *head);
    head_init(head, pool);
    head->version = HTTP_1_1;
    head->opaque = is_opaque(stream->listener);
    head->method_text = question->method;
    head->method = method_from_text(question->method);
    head->scheme = stream->client.secure ? BYTES("https") : BYTES("http");
    head->authority = question->host;
    head->path = question->path;
    head->content_length = -1;
    for (uint32_t i = 0; i < question->header_count; i++)
        fields_add(&head->fields, question->headers[i].name, question->headers[i].value);
    const struct field *upgrade = fields_find(&head->fields, FIELD_UPGRADE);
    if (upgrade != NULL && head->method == METHOD_GET && bytes_equal_nocase(upgrade->value, PROTOCOL_WEBSOCKET))
        head->protocol = PROTOCOL_WEBSOCKET;
    const struct field *length = fields_find(&head->fields, FIELD_CONTENT_LENGTH);
    uint64_t stated;
    if (length != NULL && bytes_to_u64(length->value, INT64_MAX, &stated))
        head->content_length = (int64_t)stated;
    head->te_trailers = fields_find(&head->fields, FIELD_TE) != NULL;
    (void)fields_remove_hop_by_hop(&head->fields);
    return head;
}

struct json_t *report_explain(struct worker_report *report, struct reports *reports) {
    const struct explain_question *question = report->question;
    const struct proxy_config *proxy = &report->bound->snapshot->proxy;
    const struct listener_config *listener = find_listener(proxy, question->listener);
    if (listener == NULL)
        return error_value(pool_format(&report->pool, "listener: one of %.*s", BYTES_FORMAT(names_of(proxy, &report->pool))));
    const char *fault = fault_of(question, listener);
    if (fault != NULL)
        return error_value(bytes_from_text(fault));
    const struct stream_client client = client_of(question, listener, reports->downstream->credentials, &report->pool);
    struct stream *stream = inquiry_begin(&reports->desk, reports->env, report->bound, listener, &client);
    inquiry_decide(stream, head_of(question, stream, &stream->pool));
    const struct admin_service *service =
        stream->filters.chain == NULL ? NULL : report_service(stream->destination, &report->pool, reports->loop->now);
    json_t *value = explain_view(&(struct explained){.stream = stream, .question = question, .pool = &report->pool, .service = service});
    inquiry_end(stream);
    return value;
}
