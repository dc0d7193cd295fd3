// What the kinds of routes share: parents, backends, matches of fields; their tables, and the rules between their fields. Filters: resource_route_filter.c.
#include "config/resource_route.h"

#include "config/authority.h"
#include "http/canonical.h"
#include "http/headers.h"

#define PARENT(member) ROW_AT(struct parent_ref, member)
#define BACKEND(member) ROW_AT(struct backend_ref, member)
#define MATCH(member) ROW_AT(struct field_match, member)

const struct route_kind route_kinds[] = {{"GRPCRoute", &grpc_route_table, ROUTES_GRPC, TARGET_GRPC_ROUTE},
                                         {"HTTPRoute", &http_route_table, ROUTES_HTTP, TARGET_HTTP_ROUTE},
                                         {"TLSRoute", &tls_route_table, ROUTES_TLS, TARGET_TLS_ROUTE},
                                         {"TCPRoute", &tcp_route_table, ROUTES_TCP, TARGET_TCP_ROUTE},
                                         {0}};

const struct route_kind *route_kind_of(const struct document *document) {
    for (const struct route_kind *kind = route_kinds; kind->name != NULL; kind++)
        if (document->kind->spec == kind->spec)
            return kind;
    return NULL;
}

bool protocol_carries(enum port_protocol protocol, enum routes_kind routes) {
    if (protocol == PROTOCOL_TCP)
        return routes == ROUTES_TCP;
    return protocol == PROTOCOL_TLS ? routes_are_opaque(routes) : !routes_are_opaque(routes);
}

const char *carrying_protocols(enum routes_kind routes) {
    return routes == ROUTES_TCP ? "TCP or TLS" : routes == ROUTES_TLS ? "TLS" : "HTTP, HTTP1, HTTP2 or GRPC";
}

static const struct choice parent_kinds[] = {{"Gateway", PARENT_GATEWAY, false, "requests that its listeners take"},
                                             {"Service", PARENT_SERVICE, false, "requests to the Service, or the ServiceEntry, of that name"},
                                             {"ServiceEntry", PARENT_SERVICE_ENTRY, false, "requests to it"},
                                             {0}};
static const struct row parent_rows[] = {
    {.name = "group",
     .type = VALUE_TEXT,
     PARENT(group),
     .fallback = GATEWAY_GROUP,
     .describes = "API group of the parent: \"\" for Service, outrigger.dev for ServiceEntry"},
    {.name = "kind", .type = VALUE_ENUM, PARENT(kind), .choices = parent_kinds, .fallback = "Gateway", .describes = "kind of the parent"},
    {.name = "namespace",
     .type = VALUE_LABEL,
     PARENT(namespace_name),
     .describes = "of the parent, by default the route's; a Service of another namespace: the route is for callers of its own namespace, and takes "
                  "the place of the "
                  "Service's own routes"},
    {.name = "name", .type = VALUE_LABEL, PARENT(name), .is_required = true, .describes = "name of the parent"},
    {.name = "sectionName", .type = VALUE_LABEL, PARENT(section_name), .describes = "the one listener, or port by its name, that is meant"},
    {.name = "port", .type = VALUE_INTEGER, PARENT(port), .min = 1, .max = 65535, .describes = "the one port that is meant"},
    {0}};
const struct table parent_table = {.describes = "whose requests the route is for", .rows = parent_rows, .size = sizeof(struct parent_ref)};

// Of all kinds of routes.
#define BACKEND_ROWS(shares)                                                                                                        \
    {.name = "group",                                                                                                               \
     .type = VALUE_TEXT,                                                                                                            \
     BACKEND(group),                                                                                                                \
     .describes = "API group of the backend: \"\" for Service, outrigger.dev for ServiceEntry"},                                    \
        {.name = "kind",                                                                                                            \
         .type = VALUE_TEXT,                                                                                                        \
         BACKEND(kind),                                                                                                             \
         .fallback = "Service",                                                                                                     \
         .describes = "Service (which a ServiceEntry of that name is too) or ServiceEntry"},                                        \
        {.name = "namespace", .type = VALUE_LABEL, BACKEND(namespace_name), .describes = "of the backend, by default the route's"}, \
        {.name = "name", .type = VALUE_LABEL, BACKEND(name), .is_required = true, .describes = "name of the backend"},              \
        {.name = "port",                                                                                                            \
         .type = VALUE_INTEGER,                                                                                                     \
         BACKEND(port),                                                                                                             \
         .min = 1,                                                                                                                  \
         .max = 65535,                                                                                                              \
         .describes = "port of the Service; may be left out where it has one"},                                                     \
    {                                                                                                                               \
        .name = "weight", .type = VALUE_INTEGER, BACKEND(weight), .min = 0, .max = 1000000, .fallback = "1",                        \
        .describes = "its share of " shares " against the other backends'; 0: none"                                                 \
    }

static const struct row backend_rows[] = {BACKEND_ROWS("requests"),
                                          {.name = "filters",
                                           .type = VALUE_LIST,
                                           .item = VALUE_OBJECT,
                                           .object = &filter_table,
                                           ROW_LIST(struct backend_ref, filters, filter_count),
                                           .max = 16,
                                           .describes = "what is done to requests to this backend: RequestHeaderModifier and ResponseHeaderModifier"},
                                          {0}};
const struct table backend_table = {.describes = "where requests go",
                                    .rows = backend_rows,
                                    .size = sizeof(struct backend_ref),
                                    .has_place = true,
                                    .place_offset = offsetof(struct backend_ref, place)};

static const struct row opaque_backend_rows[] = {BACKEND_ROWS("connections"), {0}};
const struct table opaque_backend_table = {.describes = "where connections go",
                                           .rows = opaque_backend_rows,
                                           .size = sizeof(struct backend_ref),
                                           .has_place = true,
                                           .place_offset = offsetof(struct backend_ref, place)};

static const struct choice value_matches[] = {
    {"Exact", VALUE_EXACT, false, "the very value"}, {"RegularExpression", VALUE_REGEX, false, "PCRE2, the whole value"}, {0}};
static const struct row header_match_rows[] = {
    {.name = "type", .type = VALUE_ENUM, MATCH(type), .choices = value_matches, .fallback = "Exact", .describes = "how value is compared"},
    {.name = "name", .type = VALUE_TEXT, MATCH(name), .is_required = true, .describes = "its name"},
    {.name = "value", .type = VALUE_TEXT, MATCH(value), .is_required = true, .describes = "its value"},
    {0}};
const struct table header_match_table = {
    .describes = "a field or parameter that must be there", .rows = header_match_rows, .size = sizeof(struct field_match)};

static void check_parent(struct document *document, const struct parent_ref *parent, const struct node *node) {
    static const char *const groups[] = {[PARENT_GATEWAY] = GATEWAY_GROUP, [PARENT_SERVICE] = "", [PARENT_SERVICE_ENTRY] = "outrigger.dev"};
    if (!document_has(node, "kind") && node_find(node, "kind") != NULL)
        return;
    const char *group = groups[parent->kind];
    if (!bytes_equal(parent->group, bytes_from_text(group)))
        document_error(document, node, "group", "is \"%.*s\", which is not that of this kind; allowed: \"%s\"", BYTES_FORMAT(parent->group), group);
}

void route_parents_check(struct document *document) {
    const struct route_spec *spec = document->spec;
    const struct node *list = node_find(document->spec_node, "parentRefs");
    for (uint32_t i = 0; i < spec->parent_count; i++)
        check_parent(document, &spec->parents[i], node_item(list, i));
}

void route_hostnames_check(struct document *document) {
    const struct route_spec *spec = document->spec;
    const struct node *list = node_find(document->spec_node, "hostnames");
    for (uint32_t i = 0; i < spec->hostname_count; i++) {
        struct authority authority;
        if (!node_item(list, i)->bad && authority_parse(spec->hostnames[i], &authority) && authority.port != 0)
            document_error(document, node_item(list, i), NULL, "has a port; allowed: a host alone");
    }
}

bool backend_kind_is_known(const struct backend_ref *backend) {
    const bool is_ours = bytes_equal(backend->group, BYTES("outrigger.dev"));
    if (bytes_equal(backend->kind, BYTES("ServiceEntry")))
        return is_ours || backend->group.len == 0;
    return bytes_equal(backend->kind, BYTES("Service")) && backend->group.len == 0;
}

static void check_backend(struct document *document, struct backend_ref *backend, const struct node *node) {
    const struct node *list = node_find(node, "filters");
    route_filters_check(document, backend->filters, backend->filter_count, list);
    for (uint32_t i = 0; i < backend->filter_count; i++)
        if (document_has(node_item(list, i), "type") && backend->filters[i].type > SPEC_RESPONSE_HEADERS)
            document_error(document, node_find(node_item(list, i), "type"), NULL,
                           "may not stand at a backend; allowed: RequestHeaderModifier, ResponseHeaderModifier");
}

void route_backends_check(struct document *document, struct rule_spec *rule, const struct node *node) {
    const struct node *list = node_find(node, "backendRefs");
    for (uint32_t i = 0; i < rule->backend_count; i++)
        check_backend(document, &rule->backends[i], node_item(list, i));
}

const struct regex *route_regex(struct document *document, const struct node *node, struct bytes text) {
    const struct regex *regex;
    struct bytes fault;
    if (regex_compile(text, document->loading->values, &regex, &fault) == OK)
        return regex;
    document_error(document, node, NULL, "is no regular expression: %.*s", BYTES_FORMAT(fault));
    return NULL;
}

static bool is_first_of_name(const struct field_match *matches, uint32_t count, struct bytes name, bool are_headers) {
    for (uint32_t i = 0; i < count; i++)
        if (are_headers ? bytes_equal_nocase(matches[i].name, name) : bytes_equal(matches[i].name, name))
            return false;
    return true;
}

void route_field_matches_check(struct document *document, struct field_match *matches, uint32_t *count, const struct node *list, bool are_headers) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < *count; i++) {
        const struct node *name = node_find(node_item(list, i), "name");
        const struct node *value = node_find(node_item(list, i), "value");
        struct field_match match = matches[i];
        if (name != NULL && !name->bad && (are_headers ? !is_token(match.name) : match.name.len == 0))
            document_error(document, name, NULL, "\"%.*s\" is no name of a %s", BYTES_FORMAT(match.name), are_headers ? "field" : "parameter");
        match.id = are_headers ? field_id_of(match.name) : FIELD_OTHER;
        if (match.type == VALUE_REGEX && value != NULL && !value->bad)
            match.regex = route_regex(document, value, match.value);
        if (match.id == FIELD_HOST && match.type == VALUE_EXACT && value != NULL && !value->bad && !authority_is_valid(match.value))
            document_error(document, value, NULL, "\"%.*s\" is no host", BYTES_FORMAT(match.value));
        if (is_first_of_name(matches, kept, match.name, are_headers))
            matches[kept++] = match;
        else
            document_warning(document, name, NULL, "%.*s is the second of its name and does not count", BYTES_FORMAT(match.name));
    }
    *count = kept;
}
