// Kind GRPCRoute (Gateway API v1): its table, and the rules between its fields. A call's service and method are the two elements of its path, so that a match
// becomes one of paths.
#include "config/resource_route.h"

#define RULE(member) ROW_AT(struct rule_spec, member)
#define MATCH(member) ROW_AT(struct match_spec, member)

static const struct choice method_matches[] = {
    {"Exact", VALUE_EXACT, false, "the very names"}, {"RegularExpression", VALUE_REGEX, false, "PCRE2, the whole name of each"}, {0}};
static const struct row method_rows[] = {
    {.name = "type", .type = VALUE_ENUM, MATCH(grpc_type), .choices = method_matches, .fallback = "Exact", .describes = "how both are compared"},
    {.name = "service", .type = VALUE_TEXT, MATCH(grpc_service), .describes = "the service with its package; by default any"},
    {.name = "method", .type = VALUE_TEXT, MATCH(grpc_method), .describes = "the method; by default any"},
    {0}};
static const struct table method_table = {.describes = "service and method of the call; at least one of them", .rows = method_rows};

static const struct row match_rows[] = {
    {.name = "method", .type = VALUE_OBJECT, .object = &method_table, .describes = "service and method; by default any"},
    {.name = "headers",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &header_match_table,
     ROW_LIST(struct match_spec, headers, header_count),
     .max = 16,
     .describes = "metadata of the call, all of which must match"},
    {0}};
static const struct table match_table = {
    .describes = "what calls are meant: all that is said must hold", .rows = match_rows, .size = sizeof(struct match_spec)};

static const struct row rule_rows[] = {{.name = "name", .type = VALUE_LABEL, RULE(name), .describes = "what policies and logs call the rule"},
                                       {.name = "matches",
                                        .type = VALUE_LIST,
                                        .item = VALUE_OBJECT,
                                        .object = &match_table,
                                        ROW_LIST(struct rule_spec, matches, match_count),
                                        .max = 64,
                                        .describes = "what calls the rule is for: any of these; by default all"},
                                       {.name = "filters",
                                        .type = VALUE_LIST,
                                        .item = VALUE_OBJECT,
                                        .object = &filter_table,
                                        ROW_LIST(struct rule_spec, filters, filter_count),
                                        .max = 16,
                                        .describes = "RequestHeaderModifier, ResponseHeaderModifier and RequestMirror"},
                                       {.name = "backendRefs",
                                        .type = VALUE_LIST,
                                        .item = VALUE_OBJECT,
                                        .object = &backend_table,
                                        ROW_LIST(struct rule_spec, backends, backend_count),
                                        .max = 16,
                                        .describes = "where calls go"},
                                       {0}};
static const struct table rule_table = {.describes = "which calls, and what happens to them",
                                        .rows = rule_rows,
                                        .size = sizeof(struct rule_spec),
                                        .has_place = true,
                                        .place_offset = offsetof(struct rule_spec, place),
                                        .unique_key = "name",
                                        .later = "sessionPersistence"};

static const struct row grpc_route_rows[] = {
    {.name = "parentRefs",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &parent_table,
     ROW_LIST(struct route_spec, parents, parent_count),
     .min = 1,
     .max = 32,
     .is_required = true,
     .describes = "whose calls the route is for; where a GRPCRoute has a port of a Service, no HTTPRoute has it"},
    {.name = "hostnames",
     .type = VALUE_LIST,
     .item = VALUE_HOST,
     ROW_LIST(struct route_spec, hostnames, hostname_count),
     .max = 16,
     .describes = "at a Gateway: the hosts it is for, by default those of the listener; not used for a Service"},
    {.name = "rules",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &rule_table,
     ROW_LIST(struct route_spec, rules, rule_count),
     .min = 1,
     .max = 16,
     .is_required = true,
     .describes = "the rules; of those that match a call the most specific counts"},
    {0}};
const struct table grpc_route_table = {.describes = "gRPC calls by service, method and metadata to backends",
                                       .rows = grpc_route_rows,
                                       .size = sizeof(struct route_spec),
                                       .later = "useDefaultGateways"};

static bool is_grpc_name(struct bytes name, bool has_dots) {
    for (size_t i = 0; i < name.len; i++) {
        char c = ascii_lower(name.at[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || (has_dots && c == '.')))
            return false;
    }
    return name.len > 0;
}

static struct bytes part_of(struct bytes name) {
    return name.len > 0 ? name : BYTES("[^/]+");
}

// The match as one of paths: /service/method, /service/ and all below, any service's /method, or an expression for both.
static void set_path(struct document *document, struct match_spec *match, const struct node *node) {
    struct pool *pool = document->loading->values;
    if (match->grpc_type == VALUE_REGEX) {
        match->path_type = PATH_REGEX;
        match->path = pool_format(pool, "/(?:%.*s)/(?:%.*s)", BYTES_FORMAT(part_of(match->grpc_service)), BYTES_FORMAT(part_of(match->grpc_method)));
        match->regex = route_regex(document, node, match->path);
        return;
    }
    if (match->grpc_service.len > 0 && !is_grpc_name(match->grpc_service, true))
        document_error(document, node_find(node, "service"), NULL, "\"%.*s\" is no name of a gRPC service", BYTES_FORMAT(match->grpc_service));
    if (match->grpc_method.len > 0 && !is_grpc_name(match->grpc_method, false))
        document_error(document, node_find(node, "method"), NULL, "\"%.*s\" is no name of a gRPC method", BYTES_FORMAT(match->grpc_method));
    match->path_type = match->grpc_method.len == 0 ? PATH_PREFIX : match->grpc_service.len == 0 ? PATH_METHOD : PATH_EXACT;
    struct bytes service = match->grpc_service.len == 0 ? BYTES("") : pool_format(pool, "/%.*s", BYTES_FORMAT(match->grpc_service));
    match->path = match->grpc_method.len == 0 ? service : pool_format(pool, "%.*s/%.*s", BYTES_FORMAT(service), BYTES_FORMAT(match->grpc_method));
}

static void check_match(struct document *document, struct match_spec *match, const struct node *node) {
    const struct node *method = node_find(node, "method");
    if (method != NULL && match->grpc_service.len == 0 && match->grpc_method.len == 0)
        document_error(document, method, NULL, "names neither; needed: service, method or both");
    else
        set_path(document, match, method);
    match->method = BYTES("POST");
    route_field_matches_check(document, match->headers, &match->header_count, node_find(node, "headers"), true);
}

static void check_rule(struct document *document, struct rule_spec *rule, const struct node *node) {
    const struct node *filters = node_find(node, "filters");
    for (uint32_t j = 0; j < rule->match_count; j++)
        check_match(document, &rule->matches[j], node_item(node_find(node, "matches"), j));
    route_filters_check(document, rule->filters, rule->filter_count, filters);
    for (uint32_t j = 0; j < rule->filter_count; j++)
        if (document_has(node_item(filters, j), "type") && rule->filters[j].type > SPEC_RESPONSE_HEADERS && rule->filters[j].type != SPEC_MIRROR)
            document_error(document, node_find(node_item(filters, j), "type"), NULL,
                           "is no filter of a GRPCRoute; allowed: RequestHeaderModifier, ResponseHeaderModifier, RequestMirror");
    route_backends_check(document, rule, node);
}

void grpc_route_check(struct document *document) {
    const struct route_spec *spec = document->spec;
    const struct node *rules = node_find(document->spec_node, "rules");
    route_parents_check(document);
    route_hostnames_check(document);
    for (uint32_t i = 0; i < spec->rule_count; i++)
        check_rule(document, &spec->rules[i], node_item(rules, i));
}
