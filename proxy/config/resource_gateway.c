// Kind Gateway (Gateway API v1): its table, and the rules between its fields. Which socket it stands on, and where its certificates lie, says the Proxy.
#include "config/resource_gateway.h"

#include "config/authority.h"
#include "config/resource_route.h"

#define LISTENER(member) ROW_AT(struct gateway_listener_spec, member)
#define CERTIFICATE(member) ROW_AT(struct certificate_ref, member)

static const struct choice protocols[] = {{"HTTP", GATEWAY_HTTP, false, "plain HTTP/1.1, and HTTP/2 with prior knowledge"},
                                          {"HTTPS", GATEWAY_HTTPS, false, "HTTP/1.1 and HTTP/2 over TLS that ends here"},
                                          {"TLS", GATEWAY_TLS, false, "TLS by the name that is asked for, with any bytes inside"},
                                          {"TCP", GATEWAY_TCP, false, "any bytes"},
                                          {"UDP", 0, true, NULL},
                                          {0}};
static const struct choice tls_modes[] = {
    {"Terminate", GATEWAY_TLS_TERMINATE, false, "TLS ends here"},
    {"Passthrough", GATEWAY_TLS_PASSTHROUGH, false, "protocol TLS: the handshake too goes through to the backend"},
    {0}};
static const struct choice namespace_scopes[] = {
    {"Same", NAMESPACES_SAME, false, "the Gateway's own"}, {"All", NAMESPACES_ALL, false, "all"}, {"Selector", 0, true, NULL}, {0}};

static const struct row certificate_rows[] = {{.name = "group", .type = VALUE_TEXT, CERTIFICATE(group), .describes = "\"\""},
                                              {.name = "kind", .type = VALUE_TEXT, CERTIFICATE(kind), .fallback = "Secret", .describes = "Secret"},
                                              {.name = "namespace",
                                               .type = VALUE_LABEL,
                                               CERTIFICATE(namespace_name),
                                               .describes = "of the Secret, by default the Gateway's; another one needs a ReferenceGrant there"},
                                              {.name = "name",
                                               .type = VALUE_LABEL,
                                               CERTIFICATE(name),
                                               .is_required = true,
                                               .describes = "name of the Secret; from files: that of an entry of the Proxy's certificates"},
                                              {0}};
static const struct table certificate_table = {
    .describes = "a certificate with its key", .rows = certificate_rows, .size = sizeof(struct certificate_ref), .unique_key = "name"};
static const struct row tls_rows[] = {
    {.name = "mode", .type = VALUE_ENUM, LISTENER(tls_mode), .choices = tls_modes, .fallback = "Terminate", .describes = "where TLS ends"},
    {.name = "certificateRefs",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &certificate_table,
     ROW_LIST(struct gateway_listener_spec, certificates, certificate_count),
     .max = 64,
     .describes = "Terminate, needed there: certificates; a client that asks for a name gets the first that has it, else the first"},
    {0}};
static const struct table tls_table = {.describes = "TLS of a listener", .rows = tls_rows, .later = "options frontendValidation"};

static const struct row namespaces_rows[] = {{.name = "from",
                                              .type = VALUE_ENUM,
                                              LISTENER(namespaces),
                                              .choices = namespace_scopes,
                                              .fallback = "Same",
                                              .describes = "namespaces whose routes may attach"},
                                             {0}};
static const struct table namespaces_table = {.describes = "whose routes may attach", .rows = namespaces_rows, .later = "selector"};
static const struct row kind_rows[] = {
    {.name = "group", .type = VALUE_TEXT, ROW_AT(struct allowed_kind, group), .fallback = GATEWAY_GROUP, .describes = "API group of the kind"},
    {.name = "kind",
     .type = VALUE_TEXT,
     ROW_AT(struct allowed_kind, kind),
     .is_required = true,
     .describes = "HTTP, HTTPS: HTTPRoute, GRPCRoute; TLS: TLSRoute, TCPRoute; TCP: TCPRoute"},
    {0}};
static const struct table kind_table = {
    .describes = "a kind of routes", .rows = kind_rows, .size = sizeof(struct allowed_kind), .unique_key = "kind"};
static const struct row allowed_rows[] = {
    {.name = "namespaces", .type = VALUE_OBJECT, .object = &namespaces_table, .describes = "whose routes may attach"},
    {.name = "kinds",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &kind_table,
     ROW_LIST(struct gateway_listener_spec, kinds, kind_count),
     .max = 8,
     .describes = "kinds of routes that may attach; by default all that the protocol carries"},
    {0}};
static const struct table allowed_table = {.describes = "which routes may attach", .rows = allowed_rows};

static const struct row listener_rows[] = {
    {.name = "name", .type = VALUE_LABEL, LISTENER(name), .is_required = true, .describes = "what routes call the listener (sectionName)"},
    {.name = "hostname",
     .type = VALUE_HOST,
     LISTENER(hostname),
     .describes = "the host that it is for, *.example.com for all below; by default all. Of several listeners the most specific takes a request"},
    {.name = "port", .type = VALUE_INTEGER, LISTENER(port), .min = 1, .max = 65535, .is_required = true, .describes = "the port it stands on"},
    {.name = "protocol", .type = VALUE_ENUM, LISTENER(protocol), .choices = protocols, .is_required = true, .describes = "what clients speak"},
    {.name = "tls", .type = VALUE_OBJECT, .object = &tls_table, .describes = "HTTPS, TLS: its TLS"},
    {.name = "allowedRoutes", .type = VALUE_OBJECT, .object = &allowed_table, .describes = "which routes may attach"},
    {0}};
static const struct table listener_table = {.describes = "a listener",
                                            .rows = listener_rows,
                                            .size = sizeof(struct gateway_listener_spec),
                                            .has_place = true,
                                            .place_offset = offsetof(struct gateway_listener_spec, place),
                                            .unique_key = "name"};

static const struct row gateway_rows[] = {{.name = "gatewayClassName",
                                           .type = VALUE_TEXT,
                                           ROW_AT(struct gateway_spec, class_name),
                                           .is_required = true,
                                           .describes = "whose Gateway it is; from files it is the Proxy that says so"},
                                          {.name = "listeners",
                                           .type = VALUE_LIST,
                                           .item = VALUE_OBJECT,
                                           .object = &listener_table,
                                           ROW_LIST(struct gateway_spec, listeners, listener_count),
                                           .min = 1,
                                           .max = 64,
                                           .is_required = true,
                                           .describes = "where it takes requests"},
                                          {0}};
const struct table gateway_table = {.describes = "where requests come in from outside the mesh",
                                    .rows = gateway_rows,
                                    .size = sizeof(struct gateway_spec),
                                    .later = "addresses infrastructure allowedListeners backendTLS tls defaultScope"};

const struct gateway_listener_spec *gateway_find_listener(const struct gateway_spec *gateway, struct bytes name) {
    for (uint32_t i = 0; i < gateway->listener_count; i++)
        if (bytes_equal(gateway->listeners[i].name, name))
            return &gateway->listeners[i];
    return NULL;
}

enum port_protocol gateway_port_protocol(enum gateway_protocol protocol) {
    static const enum port_protocol ports[] = {
        [GATEWAY_HTTP] = PROTOCOL_HTTP, [GATEWAY_HTTPS] = PROTOCOL_HTTP, [GATEWAY_TLS] = PROTOCOL_TLS, [GATEWAY_TCP] = PROTOCOL_TCP};
    return ports[protocol];
}

// A Proxy has Gateways of its own namespace alone.
const struct certificate_files *gateway_find_certificate(const struct document *gateway, const struct certificate_ref *ref,
                                                         const struct listener_config *socket) {
    for (uint32_t i = 0; i < socket->certificate_count; i++) {
        const struct certificate_files *files = &socket->certificates[i];
        if (bytes_equal(files->name, ref->name) &&
            bytes_equal(ref_namespace(gateway, files->namespace_name), ref_namespace(gateway, ref->namespace_name)))
            return files;
    }
    return NULL;
}

static void check_certificates(struct document *document, const struct gateway_listener_spec *listener, const struct node *node) {
    const struct node *tls = node_find(node, "tls");
    const char *protocol = listener->protocol == GATEWAY_HTTPS ? "HTTPS" : "TLS with mode Terminate";
    if (listener->tls_mode == GATEWAY_TLS_PASSTHROUGH && listener->certificate_count > 0)
        document_error(document, node_find(tls, "certificateRefs"), NULL, "is for mode Terminate alone");
    if (listener->tls_mode == GATEWAY_TLS_TERMINATE && listener->certificate_count == 0 && (tls == NULL || !tls->bad))
        document_error(document, node, "tls.certificateRefs", "is required for protocol %s", protocol);
    for (uint32_t i = 0; i < listener->certificate_count; i++) {
        const struct certificate_ref *ref = &listener->certificates[i];
        if (ref->group.len > 0 || !bytes_equal(ref->kind, BYTES("Secret")))
            document_error(document, node_item(node_find(tls, "certificateRefs"), i), NULL, "is no Secret; allowed: group \"\", kind Secret");
    }
}

static void check_tls(struct document *document, const struct gateway_listener_spec *listener, const struct node *node) {
    const struct node *tls = node_find(node, "tls");
    const struct node *mode = node_find(tls, "mode");
    if (!document_has(node, "protocol") || (mode != NULL && mode->bad))
        return;
    const bool has_tls = listener->protocol == GATEWAY_HTTPS || listener->protocol == GATEWAY_TLS;
    if (!has_tls && tls != NULL)
        document_error(document, tls, NULL, "is for protocols HTTPS and TLS alone");
    if (listener->protocol == GATEWAY_HTTPS && listener->tls_mode == GATEWAY_TLS_PASSTHROUGH)
        document_error(document, mode, NULL, "Passthrough is for protocol TLS alone");
    else if (has_tls)
        check_certificates(document, listener, node);
    if (listener->protocol == GATEWAY_TCP && node_find(node, "hostname") != NULL)
        document_error(document, node_find(node, "hostname"), NULL, "is not for protocol TCP, where no client says a name");
}

// The kinds of routes that the protocol carries, for messages.
static struct bytes kinds_of(struct document *document, enum gateway_protocol protocol) {
    struct bytes names = BYTES("");
    for (const struct route_kind *kind = route_kinds; kind->name != NULL; kind++)
        if (protocol_carries(gateway_port_protocol(protocol), kind->routes))
            names = pool_format(document->loading->scratch, "%.*s%s%s", BYTES_FORMAT(names), names.len > 0 ? ", " : "", kind->name);
    return names;
}

static bool carries(enum gateway_protocol protocol, const struct allowed_kind *allowed) {
    for (const struct route_kind *kind = route_kinds; kind->name != NULL; kind++)
        if (bytes_equal(allowed->kind, bytes_from_text(kind->name)))
            return bytes_equal(allowed->group, BYTES(GATEWAY_GROUP)) && protocol_carries(gateway_port_protocol(protocol), kind->routes);
    return false;
}

static void check_kinds(struct document *document, const struct gateway_listener_spec *listener, const struct node *node) {
    const struct node *list = node_find(node_find(node, "allowedRoutes"), "kinds");
    for (uint32_t i = 0; i < listener->kind_count && document_has(node, "protocol"); i++)
        if (!carries(listener->protocol, &listener->kinds[i]))
            document_error(document, node_item(list, i), NULL, "is no kind of routes for this protocol; allowed: %.*s",
                           BYTES_FORMAT(kinds_of(document, listener->protocol)));
}

// On one port all listeners speak alike, and no two are for the same host.
static void check_port(struct document *document, uint32_t number, const struct node *node) {
    const struct gateway_spec *spec = document->spec;
    const struct gateway_listener_spec *listener = &spec->listeners[number];
    for (uint32_t i = 0; i < number; i++) {
        const struct gateway_listener_spec *other = &spec->listeners[i];
        if (other->port != listener->port || listener->port == 0)
            continue;
        if (other->protocol != listener->protocol)
            document_error(document, node, "protocol", "is another than that of %.*s on the same port", BYTES_FORMAT(other->name));
        else if (other->tls_mode != listener->tls_mode)
            document_error(document, node, "tls.mode", "is another than that of %.*s on the same port", BYTES_FORMAT(other->name));
        else if (bytes_equal_nocase(other->hostname, listener->hostname))
            document_error(document, node, "hostname", "is that of %.*s on the same port", BYTES_FORMAT(other->name));
    }
}

void gateway_check(struct document *document) {
    const struct gateway_spec *spec = document->spec;
    const struct node *listeners = node_find(document->spec_node, "listeners");
    for (uint32_t i = 0; i < spec->listener_count; i++) {
        const struct node *node = node_item(listeners, i);
        struct authority authority;
        check_tls(document, &spec->listeners[i], node);
        check_kinds(document, &spec->listeners[i], node);
        check_port(document, i, node);
        if (document_has(node, "hostname") && authority_parse(spec->listeners[i].hostname, &authority) && authority.port != 0)
            document_error(document, node_find(node, "hostname"), NULL, "has a port; allowed: a host alone");
    }
}
