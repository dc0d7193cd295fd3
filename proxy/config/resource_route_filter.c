// Filters of routes: their tables, and the rules between their fields.
#include "config/resource_route.h"

#include "config/authority.h"
#include "http/canonical.h"
#include "http/headers.h"

#include <string.h>

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

static const struct row mirror_backend_rows[] = {
    {.name = "group", .type = VALUE_TEXT, FILTER(mirror.backend.group), .describes = "API group: \"\" for Service, outrigger.dev for ServiceEntry"},
    {.name = "kind",
     .type = VALUE_TEXT,
     FILTER(mirror.backend.kind),
     .fallback = "Service",
     .describes = "Service (which a ServiceEntry of that name is too) or ServiceEntry"},
    {.name = "namespace", .type = VALUE_LABEL, FILTER(mirror.backend.namespace_name), .describes = "by default the route's"},
    {.name = "name", .type = VALUE_LABEL, FILTER(mirror.backend.name), .is_required = true, .describes = "its name"},
    {.name = "port",
     .type = VALUE_INTEGER,
     FILTER(mirror.backend.port),
     .min = 1,
     .max = 65535,
     .describes = "port of the Service; may be left out where it has one"},
    {0}};
static const struct table mirror_backend_table = {.describes = "where the copies go", .rows = mirror_backend_rows};

static const struct row fraction_rows[] = {
    {.name = "numerator", .type = VALUE_INTEGER, FILTER(mirror.numerator), .max = 1000000, .is_required = true, .describes = "so many"},
    {.name = "denominator",
     .type = VALUE_INTEGER,
     FILTER(mirror.denominator),
     .min = 1,
     .max = 1000000,
     .fallback = "100",
     .describes = "of so many requests"},
    {0}};
static const struct table fraction_table = {.describes = "a share of the requests", .rows = fraction_rows};

static const struct row mirror_rows[] = {
    {.name = "backendRef",
     .type = VALUE_OBJECT,
     .object = &mirror_backend_table,
     .is_required = true,
     .describes = "where the copies go; to what is not there none do"},
    {.name = "percent", .type = VALUE_INTEGER, FILTER(mirror.percent), .max = 100, .fallback = "100", .describes = "of the requests that are copied"},
    {.name = "fraction", .type = VALUE_OBJECT, .object = &fraction_table, .describes = "in the place of percent: the share that is copied"},
    {0}};
static const struct table mirror_table = {
    .describes = "copies of requests, whose answers are dropped; a request is never kept waiting for its copy, nor fails with it",
    .rows = mirror_rows};

static const struct row cors_rows[] = {
    {.name = "allowOrigins",
     .type = VALUE_LIST,
     .item = VALUE_TEXT,
     ROW_LIST(struct filter_spec, cors.origin_texts, cors.origin_count),
     .max = 64,
     .describes = "origins whose pages may read the answers: scheme://host:port, where the host may begin with *.; or * alone for all"},
    {.name = "allowCredentials",
     .type = VALUE_BOOL,
     FILTER(cors.allows_credentials),
     .fallback = "false",
     .describes = "they may send cookies and the like"},
    {.name = "allowMethods",
     .type = VALUE_LIST,
     .item = VALUE_TEXT,
     ROW_LIST(struct filter_spec, cors.methods, cors.method_count),
     .max = 9,
     .describes = "methods beside GET, HEAD and POST, or * alone for all"},
    {.name = "allowHeaders",
     .type = VALUE_LIST,
     .item = VALUE_TEXT,
     ROW_LIST(struct filter_spec, cors.headers, cors.header_count),
     .max = 64,
     .describes = "fields that their requests may have, or * alone for all"},
    {.name = "exposeHeaders",
     .type = VALUE_LIST,
     .item = VALUE_TEXT,
     ROW_LIST(struct filter_spec, cors.exposed, cors.exposed_count),
     .max = 64,
     .describes = "fields of answers that they may read beside the usual ones, or * for all, which does not go with allowCredentials"},
    {.name = "maxAge",
     .type = VALUE_INTEGER,
     FILTER(cors.max_age),
     .min = 1,
     .max = INT32_MAX,
     .fallback = "5",
     .describes = "seconds for which a browser may remember what a preflight said"},
    {0}};
static const struct table cors_table = {
    .describes = "pages of other origins: preflights are answered here, and answers say who may read them, whatever the backend says of that",
    .rows = cors_rows};

static const struct choice filter_types[] = {{"RequestHeaderModifier", SPEC_REQUEST_HEADERS, false, "changes fields of the request"},
                                             {"ResponseHeaderModifier", SPEC_RESPONSE_HEADERS, false, "changes fields of the response"},
                                             {"RequestRedirect", SPEC_REDIRECT, false, "answers with a redirect"},
                                             {"URLRewrite", SPEC_REWRITE, false, "changes host and path"},
                                             {"RequestMirror", SPEC_MIRROR, false, "sends copies of requests elsewhere too"},
                                             {"CORS", SPEC_CORS, false, "lets pages of other origins ask"},
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
    {.name = "requestMirror", .type = VALUE_OBJECT, .object = &mirror_table, .describes = "for RequestMirror: where copies go"},
    {.name = "cors", .type = VALUE_OBJECT, .object = &cors_table, .describes = "for CORS: who may ask"},
    {0}};
const struct table filter_table = {.describes = "what is done to requests and responses",
                                   .rows = filter_rows,
                                   .size = sizeof(struct filter_spec),
                                   .later = "extensionRef externalAuth"};

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
    else if (text->len == 0 && path->type == PATH_CHANGE_PREFIX)
        return; // stands for "/"
    else if (canonical_path(*text, document->loading->values, text) != OK || memchr(text->at, '?', text->len) != NULL)
        document_error(document, value, NULL, "is no path; allowed: as /a/b, with no query");
}

// It goes out as it stands, into Location or Host.
static void check_hostname(struct document *document, struct bytes hostname, const struct node *node) {
    const struct node *value = node_find(node, "hostname");
    struct authority authority;
    if (value == NULL || value->bad)
        return;
    if (!authority_parse(hostname, &authority) || authority.port != 0 || bytes_starts_with(hostname, BYTES("*")))
        document_error(document, value, NULL, "\"%.*s\" is not one host alone; allowed: as www.example.com, with no port and no wildcard",
                       BYTES_FORMAT(hostname));
}

static void check_redirect(struct document *document, struct route_redirect *redirect, const struct node *node) {
    check_hostname(document, redirect->hostname, node);
    check_path(document, &redirect->path, node_find(node, "path"));
    const struct node *scheme = node_find(node, "scheme");
    if (scheme != NULL && !scheme->bad && !bytes_equal(redirect->scheme, BYTES("http")) && !bytes_equal(redirect->scheme, BYTES("https")))
        document_error(document, scheme, NULL, "\"%.*s\" is no scheme; allowed: http, https", BYTES_FORMAT(redirect->scheme));
    if (redirect->status >= 304 && redirect->status <= 306)
        document_error(document, node, "statusCode", "%u is not allowed; allowed: 301, 302, 303, 307, 308", redirect->status);
}

static void check_rewrite(struct document *document, struct route_rewrite *rewrite, const struct node *node) {
    check_hostname(document, rewrite->hostname, node);
    check_path(document, &rewrite->path, node_find(node, "path"));
}

static void check_mirror(struct document *document, struct mirror_spec *mirror, const struct node *node) {
    const struct node *fraction = node_find(node, "fraction");
    if (fraction == NULL) {
        mirror->numerator = mirror->percent;
        mirror->denominator = 100;
    } else if (node_find(node, "percent") != NULL) {
        document_error(document, fraction, NULL, "and percent exclude each other");
    } else if (mirror->numerator > mirror->denominator) {
        document_error(document, fraction, NULL, "is more than one; allowed: numerator at most denominator");
    }
}

// `*` stands alone, for all; else each is one that `is_good` takes. True: it does.
static bool check_words(struct document *document, const struct bytes *words, uint32_t count, const struct node *list, bool (*is_good)(struct bytes),
                        const char *what) {
    for (uint32_t i = 0; i < count; i++) {
        const struct node *node = node_item(list, i);
        const bool is_any = bytes_equal(words[i], BYTES("*"));
        if (is_any && count > 1)
            document_error(document, node, NULL, "* stands alone, for all");
        else if (!node->bad && !is_any && !is_good(words[i]))
            document_error(document, node, NULL, "\"%.*s\" is no %s", BYTES_FORMAT(words[i]), what);
    }
    return count == 1 && bytes_equal(words[0], BYTES("*"));
}

static bool is_origin(struct bytes text) {
    struct cors_origin origin;
    return cors_origin_parse(text, &origin) && cors_origin_is_pattern(&origin);
}

static struct bytes join(struct pool *pool, const struct bytes *words, uint32_t count) {
    struct bytes line = BYTES_NONE;
    for (uint32_t i = 0; i < count; i++)
        line = pool_format(pool, "%.*s%s%.*s", BYTES_FORMAT(line), i > 0 ? ", " : "", BYTES_FORMAT(words[i]));
    return line;
}

static void check_cors(struct document *document, struct route_cors *cors, const struct node *node) {
    struct pool *pool = document->loading->values;
    cors->any_origin = check_words(document, cors->origin_texts, cors->origin_count, node_find(node, "allowOrigins"), is_origin, "origin");
    cors->any_method = check_words(document, cors->methods, cors->method_count, node_find(node, "allowMethods"), is_token, "method");
    cors->any_header = check_words(document, cors->headers, cors->header_count, node_find(node, "allowHeaders"), is_token, "name of a field");
    const struct node *exposed = node_find(node, "exposeHeaders");
    const bool exposes_all = check_words(document, cors->exposed, cors->exposed_count, exposed, is_token, "name of a field");
    if (exposes_all && cors->allows_credentials)
        document_error(document, exposed, NULL, "* does not go with allowCredentials: browsers take it for a name; allowed: names");
    cors->origins = pool_alloc_zeroed(pool, cors->origin_count * sizeof(cors->origins[0]) + 1);
    for (uint32_t i = 0; i < cors->origin_count; i++)
        (void)cors_origin_parse(cors->origin_texts[i], &cors->origins[i]);
    cors->methods_value = join(pool, cors->methods, cors->method_count);
    cors->headers_value = join(pool, cors->headers, cors->header_count);
    cors->exposed_value = join(pool, cors->exposed, cors->exposed_count);
    cors->max_age_value = pool_format(pool, "%u", cors->max_age);
}

static void check_filter(struct document *document, struct filter_spec *filter, const struct node *node) {
    static const char *const fields[] = {"requestHeaderModifier", "responseHeaderModifier", "requestRedirect", "urlRewrite", "requestMirror", "cors"};
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
        check_rewrite(document, &filter->rewrite, own);
    if (filter->type == SPEC_MIRROR)
        check_mirror(document, &filter->mirror, own);
    if (filter->type == SPEC_CORS)
        check_cors(document, &filter->cors, own);
}

void route_filters_check(struct document *document, struct filter_spec *filters, uint32_t count, const struct node *list) {
    bool seen[SPEC_CORS + 1] = {false};
    for (uint32_t i = 0; i < count; i++) {
        const struct node *node = node_item(list, i);
        check_filter(document, &filters[i], node);
        if (!document_has(node, "type"))
            continue;
        if (seen[filters[i].type] && filters[i].type != SPEC_MIRROR)
            document_error(document, node, NULL, "is the second of its type; allowed: one of each, but RequestMirror");
        seen[filters[i].type] = true;
    }
    if (seen[SPEC_REDIRECT] && seen[SPEC_REWRITE])
        document_error(document, list, NULL, "RequestRedirect and URLRewrite exclude each other");
}
