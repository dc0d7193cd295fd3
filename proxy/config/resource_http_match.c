// HTTPRouteMatch of Gateway API: which requests are meant. Of HTTPRoutes, and wherever else a policy chooses requests.
#include "config/resource_route.h"

#include "http/canonical.h"
#include "http/headers.h"

#define MATCH(member) ROW_AT(struct match_spec, member)

static const struct choice path_matches[] = {
    {"PathPrefix", PATH_PREFIX, false, "the first elements of the path"},
    {"Exact", PATH_EXACT, false, "the very path"},
    {"RegularExpression", PATH_REGEX, false, "PCRE2, the whole path; tried behind Exact and before PathPrefix"},
    {0}};
static const struct row path_rows[] = {
    {.name = "type", .type = VALUE_ENUM, MATCH(path_type), .choices = path_matches, .fallback = "PathPrefix", .describes = "how value is compared"},
    {.name = "value",
     .type = VALUE_TEXT,
     MATCH(path),
     .fallback = "/",
     .describes = "the path, which is compared in its canonical form and without the query"},
    {0}};
static const struct table path_table = {.describes = "the path", .rows = path_rows};

static const struct row match_rows[] = {
    {.name = "path", .type = VALUE_OBJECT, .object = &path_table, .describes = "the path; by default all"},
    {.name = "headers",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &header_match_table,
     ROW_LIST(struct match_spec, headers, header_count),
     .max = 16,
     .describes = "fields of the request, all of which must match; of a name that stands twice the first counts"},
    {.name = "queryParams",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &header_match_table,
     ROW_LIST(struct match_spec, queries, query_count),
     .max = 16,
     .describes = "parameters of the query, all of which must match; of a name that stands twice the first counts"},
    {.name = "method", .type = VALUE_TEXT, MATCH(method), .describes = "the method; by default any"},
    {0}};
const struct table http_match_table = {
    .describes = "what requests are meant: all that is said must hold", .rows = match_rows, .size = sizeof(struct match_spec)};

static void check_match_path(struct document *document, struct match_spec *match, const struct node *node) {
    const struct node *value = node_find(node, "value");
    const struct node *place = value != NULL ? value : node;
    if ((value != NULL && value->bad) || !(node_find(node, "type") == NULL || document_has(node, "type")))
        return;
    if (match->path_type == PATH_REGEX) {
        match->regex = route_regex(document, place, match->path);
        return;
    }
    if (match->path.len == 0 || match->path.at[0] != '/' || memchr(match->path.at, '?', match->path.len) != NULL ||
        canonical_path(match->path, document->loading->values, &match->path) != OK) {
        document_error(document, place, NULL, "\"%.*s\" is no path; allowed: as /a/b, with no query", BYTES_FORMAT(match->path));
        return;
    }
    if (match->path_type == PATH_PREFIX && match->path.at[match->path.len - 1] == '/')
        match->path.len--;
}

static void check_match(struct document *document, struct match_spec *match, const struct node *node) {
    check_match_path(document, match, node_find(node, "path"));
    const struct node *method = node_find(node, "method");
    if (method != NULL && !method->bad && !is_token(match->method))
        document_error(document, method, NULL, "\"%.*s\" is no method", BYTES_FORMAT(match->method));
    route_field_matches_check(document, match->headers, &match->header_count, node_find(node, "headers"), true);
    route_field_matches_check(document, match->queries, &match->query_count, node_find(node, "queryParams"), false);
}

void http_matches_check(struct document *document, struct match_spec *matches, uint32_t count, const struct node *list) {
    for (uint32_t i = 0; i < count; i++)
        check_match(document, &matches[i], node_item(list, i));
}
