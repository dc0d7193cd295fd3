// Kind HTTPRoute (Gateway API v1): its table, and the rules between its fields.
#include "config/resource_route.h"

#define RULE(member) ROW_AT(struct rule_spec, member)
#define HOUR (3600 * NS_PER_S)
#define DAY (24 * HOUR)

static const struct row timeouts_rows[] = {{.name = "request",
                                            .type = VALUE_DURATION,
                                            RULE(request_timeout),
                                            .max = DAY,
                                            .describes = "for the whole answer, all tries together; 0s: none; by default as TrafficPolicy says"},
                                           {.name = "backendRequest",
                                            .type = VALUE_DURATION,
                                            RULE(backend_timeout),
                                            .max = DAY,
                                            .describes = "for one try, until the head of its answer; 0s: none; by default as TrafficPolicy says"},
                                           {0}};
static const struct table timeouts_table = {.describes = "how long a request may take", .rows = timeouts_rows};

static const struct row retry_rows[] = {{.name = "codes",
                                         .type = VALUE_NUMBERS,
                                         RULE(retry.codes),
                                         .min = RETRY_CODE_MIN,
                                         .max = RETRY_CODE_MAX,
                                         .describes = "statuses of answers that are tried again; by default as TrafficPolicy says"},
                                        {.name = "attempts",
                                         .type = VALUE_INTEGER,
                                         RULE(retry.attempts),
                                         .min = 0,
                                         .max = RETRY_ATTEMPTS_MAX,
                                         .describes = "tries after the first; by default as TrafficPolicy says, and at least 1"},
                                        {.name = "backoff",
                                         .type = VALUE_DURATION,
                                         RULE(retry.backoff),
                                         .max = HOUR,
                                         .fallback = "0s",
                                         .describes = "a further try waits at least so long, and what TrafficPolicy's backoff adds; 0s: no least"},
                                        {0}};
static const struct table retry_table = {
    .describes =
        "further tries: of what `codes` name, of connections that could not be made or broke, and of tries that ran out of time; TrafficPolicy says "
        "all else, as which methods may be repeated, and the budget",
    .rows = retry_rows};

static const struct row rule_rows[] = {
    {.name = "name", .type = VALUE_LABEL, RULE(name), .describes = "what policies and logs call the rule"},
    {.name = "matches",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &http_match_table,
     ROW_LIST(struct rule_spec, matches, match_count),
     .max = 64,
     .describes = "what requests the rule is for: any of these; by default all"},
    {.name = "filters",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &filter_table,
     ROW_LIST(struct rule_spec, filters, filter_count),
     .max = 16,
     .describes = "what is done to requests and responses"},
    {.name = "backendRefs",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &backend_table,
     ROW_LIST(struct rule_spec, backends, backend_count),
     .max = 16,
     .describes = "where requests go; a share that leads to what is no backend gets 500"},
    {.name = "timeouts", .type = VALUE_OBJECT, .object = &timeouts_table, .describes = "how long a request may take"},
    {.name = "retry", .type = VALUE_OBJECT, .object = &retry_table, .describes = "further tries"},
    {0}};
static const struct table rule_table = {.describes = "which requests, and what happens to them",
                                        .rows = rule_rows,
                                        .size = sizeof(struct rule_spec),
                                        .has_place = true,
                                        .place_offset = offsetof(struct rule_spec, place),
                                        .unique_key = "name",
                                        .later = "sessionPersistence"};

static const struct row http_route_rows[] = {
    {.name = "parentRefs",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &parent_table,
     ROW_LIST(struct route_spec, parents, parent_count),
     .min = 1,
     .max = 32,
     .is_required = true,
     .describes = "whose requests the route is for"},
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
     .describes = "the rules; of those that match a request the most specific counts"},
    {0}};
const struct table http_route_table = {.describes = "HTTP requests by host, path, method, fields and query to backends",
                                       .rows = http_route_rows,
                                       .size = sizeof(struct route_spec),
                                       .later = "useDefaultGateways"};

// A prefix can be replaced only where it is clear which one is meant.
static void check_prefix_change(struct document *document, struct rule_spec *rule, struct path_change *path, const struct node *node) {
    if (path->type != PATH_CHANGE_PREFIX)
        return;
    if (rule->match_count > 1 || (rule->match_count == 1 && rule->matches[0].path_type != PATH_PREFIX))
        document_error(document, node, NULL, "ReplacePrefixMatch needs a rule with one match, of type PathPrefix");
    else
        path->matched = rule->match_count == 1 ? rule->matches[0].path : BYTES("");
}

static void check_rule_filters(struct document *document, struct rule_spec *rule, const struct node *node) {
    const struct node *list = node_find(node, "filters");
    route_filters_check(document, rule->filters, rule->filter_count, list);
    for (uint32_t i = 0; i < rule->filter_count; i++) {
        struct filter_spec *filter = &rule->filters[i];
        if (filter->type == SPEC_REDIRECT && rule->backend_count > 0)
            document_error(document, node_item(list, i), NULL, "RequestRedirect and backendRefs exclude each other");
        if (filter->type == SPEC_REDIRECT)
            check_prefix_change(document, rule, &filter->redirect.path, node_item(list, i));
        if (filter->type == SPEC_REWRITE)
            check_prefix_change(document, rule, &filter->rewrite.path, node_item(list, i));
    }
}

static void check_timeouts(struct document *document, struct rule_spec *rule, const struct node *node) {
    rule->has_request_timeout = document_has(node, "request");
    rule->has_backend_timeout = document_has(node, "backendRequest");
    if (rule->has_request_timeout && rule->has_backend_timeout && rule->request_timeout > 0 && rule->backend_timeout > rule->request_timeout)
        document_error(document, node_find(node, "backendRequest"), NULL, "is longer than request; allowed: at most request");
}

static void note_retry(struct rule_spec *rule, const struct node *node) {
    rule->retry.is_said = node != NULL;
    rule->retry.has_codes = document_has(node, "codes");
    rule->retry.has_attempts = document_has(node, "attempts");
}

void http_route_check(struct document *document) {
    const struct route_spec *spec = document->spec;
    const struct node *rules = node_find(document->spec_node, "rules");
    uint32_t matches = 0;
    route_parents_check(document);
    route_hostnames_check(document);
    for (uint32_t i = 0; i < spec->rule_count; i++) {
        struct rule_spec *rule = &spec->rules[i];
        const struct node *node = node_item(rules, i);
        http_matches_check(document, rule->matches, rule->match_count, node_find(node, "matches"));
        check_rule_filters(document, rule, node);
        route_backends_check(document, rule, node);
        check_timeouts(document, rule, node_find(node, "timeouts"));
        note_retry(rule, node_find(node, "retry"));
        matches += rule->match_count;
    }
    if (matches > 128)
        document_error(document, rules, NULL, "has %u matches; allowed: 128 in all rules together", matches);
}
