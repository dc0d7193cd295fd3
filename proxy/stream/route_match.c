// Exact paths, then regular expressions, then prefixes from the longest to the shortest; of those with one path each in precedence, until one matches whole.
#include "stream/route_match.h"

#include "base/check.h"
#include "http/canonical.h"
#include "http/form.h"
#include "http/headers.h"

// What has to be worked out of the request is, once, when the first match asks for it.
struct matching {
    const struct head *request;
    struct bytes path, query;
    struct bytes host; // canonical; empty: not yet worked out, or there is none
    struct form form;  // of the query
    bool is_parsed;
    struct regex_matcher *matcher;
    struct pool *pool;
};

bool route_value_matches(const struct field_match *match, struct bytes value, struct regex_matcher *matcher) {
    if (match->type == VALUE_EXACT)
        return bytes_equal(match->value, value);
    return match->regex != NULL && regex_match(match->regex, matcher, value) == REGEX_YES;
}

// Host is no field of the head: it has become the authority. It is compared in its canonical form (policy.md, Trust).
static bool host_matches(struct matching *matching, const struct field_match *match) {
    const struct head *request = matching->request;
    if (request->authority.len == 0)
        return false;
    if (matching->host.len == 0)
        matching->host = canonical_authority(request->authority, request->scheme, matching->pool);
    if (match->type == VALUE_EXACT) // whether a port is the scheme's own is the request's matter
        return bytes_equal(canonical_authority(match->value, request->scheme, matching->pool), matching->host);
    return route_value_matches(match, matching->host, matching->matcher);
}

static bool header_matches(struct matching *matching, const struct field_match *match) {
    const struct head *request = matching->request;
    if (match->id == FIELD_HOST)
        return host_matches(matching, match);
    const struct field *field = match->id != FIELD_OTHER ? fields_find(&request->fields, match->id) : fields_find_name(&request->fields, match->name);
    return field != NULL && route_value_matches(match, field->value, matching->matcher);
}

// The first parameter of that name.
static bool query_matches(struct matching *matching, const struct field_match *match) {
    struct bytes value;
    if (!matching->is_parsed)
        form_parse(&matching->form, matching->query, matching->pool);
    matching->is_parsed = true;
    return form_find(&matching->form, match->name, &value) && route_value_matches(match, value, matching->matcher);
}

// All but the path.
static inline struct route_look look_at_rest(struct matching *matching, const struct route_match *match) {
    if (match->method.len > 0 && !bytes_equal(match->method, matching->request->method_text))
        return (struct route_look){ROUTE_MISSES_METHOD, BYTES_NONE};
    for (uint32_t i = 0; i < match->header_count; i++)
        if (!header_matches(matching, &match->headers[i]))
            return (struct route_look){ROUTE_MISSES_HEADER, match->headers[i].name};
    for (uint32_t i = 0; i < match->query_count; i++)
        if (!query_matches(matching, &match->queries[i]))
            return (struct route_look){ROUTE_MISSES_QUERY, match->queries[i].name};
    return (struct route_look){ROUTE_MATCHES, BYTES_NONE};
}

static bool rest_matches(struct matching *matching, const struct route_match *match) {
    return look_at_rest(matching, match).miss == ROUTE_MATCHES;
}

static const struct route_rule *first_of(struct matching *matching, const struct route_match *match) {
    for (; match != NULL; match = match->next)
        if (rest_matches(matching, match))
            return match->rule;
    return NULL;
}

static const struct route_rule *by_regex(struct matching *matching, const struct route_table *table) {
    for (const struct route_match *match = table->regexes; match != NULL; match = match->next)
        if (regex_match(match->regex, matching->matcher, matching->path) == REGEX_YES && rest_matches(matching, match))
            return match->rule;
    return NULL;
}

// By whole elements of the path, and not for more than the table's longest: what a peer writes behind it costs nothing.
static const struct route_rule *by_prefix(struct matching *matching, const struct route_table *table) {
    struct bytes path = matching->path;
    for (size_t length = path.len; length > 0; length--) {
        const bool is_boundary = length == path.len || path.at[length] == '/';
        if (!is_boundary || length > table->longest_prefix)
            continue;
        const struct route_rule *rule = first_of(matching, map_get(&table->prefixes, bytes_from(path.at, length)));
        if (rule != NULL)
            return rule;
    }
    return NULL;
}

static const struct route_rule *by_method(struct matching *matching, const struct route_table *table) {
    for (const struct route_match *match = table->methods; match != NULL; match = match->next)
        if (bytes_ends_with(matching->path, match->path) && rest_matches(matching, match))
            return match->rule;
    return NULL;
}

static struct matching matching_of(const struct head *request, struct regex_matcher *matcher, struct pool *pool) {
    const size_t end = bytes_find(request->path, '?');
    struct matching matching = {.request = request, .path = bytes_from(request->path.at, end), .matcher = matcher, .pool = pool};
    if (end < request->path.len)
        matching.query = bytes_from(request->path.at + end + 1, request->path.len - end - 1);
    return matching;
}

const struct route_rule *route_match(const struct route_table *table, const struct head *request, bool is_grpc, struct regex_matcher *matcher,
                                     struct pool *pool) {
    if (table->kind != ROUTES_HTTP && !(table->kind == ROUTES_GRPC && is_grpc))
        return NULL;
    struct matching matching = matching_of(request, matcher, pool);
    const struct route_rule *rule = first_of(&matching, map_get(&table->exact, matching.path));
    if (rule == NULL && table->regexes != NULL)
        rule = by_regex(&matching, table);
    if (rule == NULL && table->longest_prefix > 0)
        rule = by_prefix(&matching, table);
    if (rule == NULL && table->methods != NULL)
        rule = by_method(&matching, table);
    return rule != NULL ? rule : first_of(&matching, table->any_path);
}

bool route_path_matches(const struct route_match *match, struct bytes path, struct regex_matcher *matcher) {
    switch (match->path_type) {
    case PATH_PREFIX:
        return bytes_starts_with(path, match->path) && (path.len == match->path.len || path.at[match->path.len] == '/' || match->path.len == 0);
    case PATH_EXACT:
        return bytes_equal(path, match->path);
    case PATH_REGEX:
        return match->regex != NULL && regex_match(match->regex, matcher, path) == REGEX_YES;
    case PATH_METHOD:
        return bytes_ends_with(path, match->path);
    }
    check_failed("a match is of a type that is none", __FILE__, __LINE__);
}

struct route_look route_look(const struct route_match *match, const struct head *request, struct regex_matcher *matcher, struct pool *pool) {
    struct matching matching = matching_of(request, matcher, pool);
    return route_path_matches(match, matching.path, matching.matcher) ? look_at_rest(&matching, match)
                                                                      : (struct route_look){ROUTE_MISSES_PATH, BYTES_NONE};
}

bool request_matches(const struct route_match *matches, uint32_t count, const struct head *request, struct regex_matcher *matcher,
                     struct pool *pool) {
    struct matching matching = matching_of(request, matcher, pool);
    for (uint32_t i = 0; i < count; i++)
        if (route_path_matches(&matches[i], matching.path, matching.matcher) && rest_matches(&matching, &matches[i]))
            return true;
    return count == 0;
}

const struct route_rule *route_match_server_name(const struct route_table *table, struct bytes name) {
    const struct route_rule *rule = name.len > 0 ? map_get(&table->server_names, name) : NULL;
    for (size_t i = 1; i < name.len && rule == NULL; i++)
        if (name.at[i] == '.')
            rule = map_get(&table->server_names, bytes_from(name.at + i, name.len - i));
    return rule != NULL ? rule : map_get(&table->server_names, BYTES(""));
}
