// What the kinds of routes share: parents, backends, filters, matches of fields; their tables, and the rules between their fields.
#include "config/resource_route.h"

#include "http/canonical.h"
#include "http/headers.h"

#define PARENT(member) ROW_AT(struct parent_ref, member)
#define BACKEND(member) ROW_AT(struct backend_ref, member)
#define FILTER(member) ROW_AT(struct filter_spec, member)
#define MATCH(member) ROW_AT(struct field_match, member)

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

static const struct row header_change_rows[] = {
    {.name = "name", .type = VALUE_TEXT, ROW_AT(struct header_change, name), .is_required = true, .describes = "name of the field"},
    {.name = "value", .type = VALUE_TEXT, ROW_AT(struct header_change, value), .is_required = true, .describes = "its value"},
    {0}};
static const struct table header_change_table = {
    .describes = "a field", .rows = header_change_rows, .size = sizeof(struct header_change), .unique_key = "name"};

#define CHANGES(list, what)                                                                          \
    {                                                                                                \
        {.name = "set",                                                                              \
         .type = VALUE_LIST,                                                                         \
         .item = VALUE_OBJECT,                                                                       \
         .object = &header_change_table,                                                             \
         ROW_LIST(struct filter_spec, list.set, list.set_count),                                     \
         .max = 16,                                                                                  \
         .describes = "fields of the " what " that get this one value"},                             \
            {.name = "add",                                                                          \
             .type = VALUE_LIST,                                                                     \
             .item = VALUE_OBJECT,                                                                   \
             .object = &header_change_table,                                                         \
             ROW_LIST(struct filter_spec, list.add, list.add_count),                                 \
             .max = 16,                                                                              \
             .describes = "fields of the " what " that get this value beside those that they have"}, \
            {.name = "remove",                                                                       \
             .type = VALUE_LIST,                                                                     \
             .item = VALUE_TEXT,                                                                     \
             ROW_LIST(struct filter_spec, list.remove, list.remove_count),                           \
             .max = 16,                                                                              \
             .describes = "names of fields that are taken out of the " what},                        \
        {                                                                                            \
            0                                                                                        \
        }                                                                                            \
    }
static const struct row request_change_rows[] = CHANGES(request, "request");
static const struct row response_change_rows[] = CHANGES(response, "response");
static const struct table request_change_table = {.describes = "changes to the request's fields", .rows = request_change_rows};
static const struct table response_change_table = {.describes = "changes to the response's fields", .rows = response_change_rows};

static const struct choice path_changes[] = {{"ReplaceFullPath", PATH_CHANGE_FULL, false, "the whole path"},
                                             {"ReplacePrefixMatch", PATH_CHANGE_PREFIX, false, "the prefix by which the rule matched"},
                                             {0}};
#define PATH_ROWS(list)                                                                                                                            \
    {                                                                                                                                              \
        {.name = "type", .type = VALUE_ENUM, FILTER(list.type), .choices = path_changes, .is_required = true, .describes = "what is replaced"},    \
            {.name = "replaceFullPath", .type = VALUE_TEXT, FILTER(list.full), .describes = "for ReplaceFullPath: the new path; the query stays"}, \
            {.name = "replacePrefixMatch",                                                                                                         \
             .type = VALUE_TEXT,                                                                                                                   \
             FILTER(list.prefix),                                                                                                                  \
             .describes = "for ReplacePrefixMatch: what stands in its place"},                                                                     \
        {                                                                                                                                          \
            0                                                                                                                                      \
        }                                                                                                                                          \
    }
static const struct row redirect_path_rows[] = PATH_ROWS(redirect.path);
static const struct row rewrite_path_rows[] = PATH_ROWS(rewrite.path);
static const struct table redirect_path_table = {.describes = "a change of the path", .rows = redirect_path_rows};
static const struct table rewrite_path_table = {.describes = "a change of the path", .rows = rewrite_path_rows};

static const struct row redirect_rows[] = {
    {.name = "scheme", .type = VALUE_TEXT, FILTER(redirect.scheme), .describes = "http or https; by default the request's"},
    {.name = "hostname", .type = VALUE_HOST, FILTER(redirect.hostname), .describes = "by default the request's"},
    {.name = "path", .type = VALUE_OBJECT, .object = &redirect_path_table, .describes = "by default the request's"},
    {.name = "port",
     .type = VALUE_INTEGER,
     FILTER(redirect.port),
     .min = 1,
     .max = 65535,
     .describes = "by default that of scheme where one is said, else that of the request"},
    {.name = "statusCode",
     .type = VALUE_INTEGER,
     FILTER(redirect.status),
     .min = 301,
     .max = 308,
     .fallback = "302",
     .describes = "301, 302, 303, 307 or 308"},
    {0}};
static const struct table redirect_table = {.describes = "an answer that leads elsewhere", .rows = redirect_rows};

static const struct row rewrite_rows[] = {
    {.name = "hostname", .type = VALUE_HOST, FILTER(rewrite.hostname), .describes = "the Host that the backend gets; by default the request's"},
    {.name = "path", .type = VALUE_OBJECT, .object = &rewrite_path_table, .describes = "the path that the backend gets; by default the request's"},
    {0}};
static const struct table rewrite_table = {.describes = "changes to the URL before it goes to the backend", .rows = rewrite_rows};

static const struct choice filter_types[] = {{"RequestHeaderModifier", SPEC_REQUEST_HEADERS, false, "changes fields of the request"},
                                             {"ResponseHeaderModifier", SPEC_RESPONSE_HEADERS, false, "changes fields of the response"},
                                             {"RequestRedirect", SPEC_REDIRECT, false, "answers with a redirect"},
                                             {"URLRewrite", SPEC_REWRITE, false, "changes host and path"},
                                             {"RequestMirror", 0, true, NULL},
                                             {"CORS", 0, true, NULL},
                                             {"ExtensionRef", 0, true, NULL},
                                             {"ExternalAuth", 0, true, NULL},
                                             {0}};
static const struct row filter_rows[] = {
    {.name = "type", .type = VALUE_ENUM, FILTER(type), .choices = filter_types, .is_required = true, .describes = "which filter"},
    {.name = "requestHeaderModifier", .type = VALUE_OBJECT, .object = &request_change_table, .describes = "for RequestHeaderModifier: the changes"},
    {.name = "responseHeaderModifier",
     .type = VALUE_OBJECT,
     .object = &response_change_table,
     .describes = "for ResponseHeaderModifier: the changes"},
    {.name = "requestRedirect", .type = VALUE_OBJECT, .object = &redirect_table, .describes = "for RequestRedirect: where it leads"},
    {.name = "urlRewrite", .type = VALUE_OBJECT, .object = &rewrite_table, .describes = "for URLRewrite: the changes"},
    {0}};
const struct table filter_table = {.describes = "what is done to requests and responses",
                                   .rows = filter_rows,
                                   .size = sizeof(struct filter_spec),
                                   .later = "requestMirror cors extensionRef externalAuth"};

static const struct row backend_rows[] = {
    {.name = "group", .type = VALUE_TEXT, BACKEND(group), .describes = "API group of the backend: \"\" for Service, outrigger.dev for ServiceEntry"},
    {.name = "kind",
     .type = VALUE_TEXT,
     BACKEND(kind),
     .fallback = "Service",
     .describes = "Service (which a ServiceEntry of that name is too) or ServiceEntry"},
    {.name = "namespace", .type = VALUE_LABEL, BACKEND(namespace_name), .describes = "of the backend, by default the route's"},
    {.name = "name", .type = VALUE_LABEL, BACKEND(name), .is_required = true, .describes = "name of the backend"},
    {.name = "port",
     .type = VALUE_INTEGER,
     BACKEND(port),
     .min = 1,
     .max = 65535,
     .describes = "port of the Service; may be left out where it has one"},
    {.name = "weight",
     .type = VALUE_INTEGER,
     BACKEND(weight),
     .min = 0,
     .max = 1000000,
     .fallback = "1",
     .describes = "its share of requests against the other backends'; 0: none"},
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

// What frames or routes a message, or belongs to one connection, is nobody's to change.
static bool may_change(struct bytes name) {
    switch (field_id_of(name)) {
    case FIELD_CONNECTION:
    case FIELD_CONTENT_LENGTH:
    case FIELD_HOST:
    case FIELD_KEEP_ALIVE:
    case FIELD_OUTRIGGER_PROTOCOL:
    case FIELD_OUTRIGGER_REFUSED:
    case FIELD_OUTRIGGER_OTHER:
    case FIELD_PROXY_CONNECTION:
    case FIELD_TE:
    case FIELD_TRAILER:
    case FIELD_TRANSFER_ENCODING:
    case FIELD_UPGRADE:
    case FIELD_X_FORWARDED_CLIENT_CERT:
        return false;
    default:
        return true;
    }
}

static void check_name(struct document *document, const struct node *node, struct bytes name) {
    if (node == NULL || node->bad)
        return;
    if (!is_token(name))
        document_error(document, node, NULL, "\"%.*s\" is no name of a field", BYTES_FORMAT(name));
    else if (!may_change(name))
        document_error(document, node, NULL, "%.*s is the proxy's own to write; urlRewrite.hostname changes Host", BYTES_FORMAT(name));
}

static void check_change_list(struct document *document, const struct header_change *changes, uint32_t count, const struct node *list) {
    for (uint32_t i = 0; i < count; i++) {
        const struct node *value = node_find(node_item(list, i), "value");
        check_name(document, node_find(node_item(list, i), "name"), changes[i].name);
        if (value != NULL && !value->bad && !is_field_value(changes[i].value))
            document_error(document, value, NULL, "is no value of a field: no control characters, no space at its ends");
    }
}

static void check_changes(struct document *document, const struct header_changes *changes, const struct node *node) {
    check_change_list(document, changes->set, changes->set_count, node_find(node, "set"));
    check_change_list(document, changes->add, changes->add_count, node_find(node, "add"));
    const struct node *removed = node_find(node, "remove");
    for (uint32_t i = 0; i < changes->remove_count; i++)
        check_name(document, node_item(removed, i), changes->remove[i]);
}

static void check_path(struct document *document, struct path_change *path, const struct node *node) {
    if (node == NULL || !document_has(node, "type"))
        return;
    static const char *const fields[] = {[PATH_CHANGE_FULL] = "replaceFullPath", [PATH_CHANGE_PREFIX] = "replacePrefixMatch"};
    const struct node *value = node_find(node, fields[path->type]);
    struct bytes *text = path->type == PATH_CHANGE_FULL ? &path->full : &path->prefix;
    if (value == NULL && (path->type == PATH_CHANGE_FULL || node_find(node, fields[PATH_CHANGE_FULL]) != NULL))
        document_error(document, node, fields[path->type], "is required for this type");
    else if (text->len == 0)
        return; // an empty prefix stands for "/"
    else if (canonical_path(*text, document->loading->values, text) != OK || memchr(text->at, '?', text->len) != NULL)
        document_error(document, value, NULL, "is no path; allowed: as /a/b, with no query");
}

static void check_redirect(struct document *document, struct route_redirect *redirect, const struct node *node) {
    check_path(document, &redirect->path, node_find(node, "path"));
    const struct node *scheme = node_find(node, "scheme");
    if (scheme != NULL && !scheme->bad && !bytes_equal(redirect->scheme, BYTES("http")) && !bytes_equal(redirect->scheme, BYTES("https")))
        document_error(document, scheme, NULL, "\"%.*s\" is no scheme; allowed: http, https", BYTES_FORMAT(redirect->scheme));
    if (redirect->status >= 304 && redirect->status <= 306)
        document_error(document, node, "statusCode", "%u is not allowed; allowed: 301, 302, 303, 307, 308", redirect->status);
}

static void check_filter(struct document *document, struct filter_spec *filter, const struct node *node) {
    static const char *const fields[] = {"requestHeaderModifier", "responseHeaderModifier", "requestRedirect", "urlRewrite"};
    if (!document_has(node, "type"))
        return;
    for (uint32_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        const struct node *own = node_find(node, fields[i]);
        if (i == filter->type && own == NULL)
            document_error(document, node, fields[i], "is required for this type");
        else if (i != filter->type && own != NULL)
            document_error(document, own, NULL, "does not belong to this type; allowed: %s", fields[filter->type]);
    }
    const struct node *own = node_find(node, fields[filter->type]);
    check_changes(document, filter->type == SPEC_REQUEST_HEADERS ? &filter->request : &filter->response, own);
    if (filter->type == SPEC_REDIRECT)
        check_redirect(document, &filter->redirect, own);
    if (filter->type == SPEC_REWRITE)
        check_path(document, &filter->rewrite.path, node_find(own, "path"));
}

void route_filters_check(struct document *document, struct filter_spec *filters, uint32_t count, const struct node *list) {
    bool seen[SPEC_REWRITE + 1] = {false};
    for (uint32_t i = 0; i < count; i++) {
        const struct node *node = node_item(list, i);
        check_filter(document, &filters[i], node);
        if (!document_has(node, "type"))
            continue;
        if (seen[filters[i].type])
            document_error(document, node, NULL, "is the second of its type; allowed: one of each");
        seen[filters[i].type] = true;
    }
    if (seen[SPEC_REDIRECT] && seen[SPEC_REWRITE])
        document_error(document, list, NULL, "RequestRedirect and URLRewrite exclude each other");
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

void route_field_matches_check(struct document *document, struct field_match *matches, uint32_t count, const struct node *list, bool are_headers) {
    for (uint32_t i = 0; i < count; i++) {
        const struct node *name = node_find(node_item(list, i), "name");
        const struct node *value = node_find(node_item(list, i), "value");
        if (name != NULL && !name->bad && (are_headers ? !is_token(matches[i].name) : matches[i].name.len == 0))
            document_error(document, name, NULL, "\"%.*s\" is no name of a %s", BYTES_FORMAT(matches[i].name), are_headers ? "field" : "parameter");
        matches[i].id = are_headers ? field_id_of(matches[i].name) : FIELD_OTHER;
        if (matches[i].type == VALUE_REGEX && value != NULL && !value->bad)
            matches[i].regex = route_regex(document, value, matches[i].value);
    }
}
