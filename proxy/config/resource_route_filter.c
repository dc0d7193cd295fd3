// Filters of routes: their tables, and the rules between their fields.
#include "config/resource_route.h"

#include "http/canonical.h"
#include "http/headers.h"

#define FILTER(member) ROW_AT(struct filter_spec, member)

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
