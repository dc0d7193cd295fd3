// Kind AuthorizationPolicy: who may ask for what. Its table, the rules between its fields, and what is made of its texts.
#include "config/resource_authorization.h"

#include "config/url_service.h"
#include "config/value.h"
#include "http/canonical.h"
#include "http/headers.h"

#define ACCOUNT(member) ROW_AT(struct service_account, member)
#define RULE(member) ROW_AT(struct authorization_rule_spec, member)
#define SPEC(member) ROW_AT(struct authorization_spec, member)

// Lists that are longer belong into several rules, or into names of a common prefix: each is walked for each request.
#define NAMES_MAX 64

static const struct row account_rows[] = {
    {.name = "namespace", .type = VALUE_LABEL, ACCOUNT(namespace_name), .describes = "its namespace; by default the policy's"},
    {.name = "name", .type = VALUE_TEXT, ACCOUNT(name), .is_required = true, .describes = "its name"},
    {0}};
static const struct table account_table = {.describes = "a service account of Kubernetes: spiffe://our-own-trust-domain/ns/NAMESPACE/sa/NAME",
                                           .rows = account_rows,
                                           .size = sizeof(struct service_account)};

#define IDENTITIES_DESCRIBES                                                                                                                     \
    "SPIFFE IDs: spiffe://trust-domain/path, spiffe://trust-domain/path/* for all below that path, * for whoever has shown one; `*` stands for " \
    "nothing elsewhere"
#define ADDRESSES_DESCRIBES "addresses and ranges of addresses of the client: the connection's peer or, behind a trusted proxy, whom that tells"

static const struct row source_rows[] = {
    {.name = "serviceAccounts",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &account_table,
     ROW_LIST(struct authorization_source_spec, accounts, account_count),
     .max = NAMES_MAX,
     .describes = "who the caller has shown to be, in mutual TLS, by service account"},
    {.name = "identities",
     .type = VALUE_LIST,
     .item = VALUE_TEXT,
     ROW_LIST(struct authorization_source_spec, identities.items, identities.count),
     .max = NAMES_MAX,
     .describes = "who the caller has shown to be, in mutual TLS: " IDENTITIES_DESCRIBES},
    {.name = "namespaces",
     .type = VALUE_LIST,
     .item = VALUE_LABEL,
     ROW_LIST(struct authorization_source_spec, namespaces.items, namespaces.count),
     .max = NAMES_MAX,
     .describes = "namespaces that the caller's identity, of our own trust domain, is of: spiffe://our-own-trust-domain/ns/NAMESPACE/..."},
    {.name = "addresses",
     .type = VALUE_LIST,
     .item = VALUE_CIDR,
     ROW_LIST(struct authorization_source_spec, addresses.items, addresses.count),
     .max = NAMES_MAX,
     .describes = ADDRESSES_DESCRIBES},
    {0}};
static const struct table source_table = {.describes = "a caller: all that is said must hold, of each list any will do",
                                          .rows = source_rows,
                                          .size = sizeof(struct authorization_source_spec)};

static const struct choice condition_types[] = {
    {"ClientAddress", KEY_CLIENT_ADDRESS, false, "the client's address is in one of these ranges"},
    {"Identity", KEY_IDENTITY, false, "the identity that the caller has shown is one of these patterns"},
    {"Header", KEY_HEADER, false, "the values of a header; host: the authority"},
    {"Cookie", KEY_COOKIE, false, "the value of a cookie"},
    {"Query", KEY_QUERY, false, "the value of a parameter of the query, decoded"},
    {"JWTClaim", KEY_CLAIM, false, "a value, or a word of `scope`, of a claim of the token that an AuthenticationPolicy has verified"},
    {"Path", KEY_PATH, false, "the very path"},
    {"Method", KEY_METHOD, false, "the method"},
    {0}};
static const struct row condition_rows[] = {
    {.name = "type",
     .type = VALUE_ENUM,
     ROW_AT(struct authorization_condition, part.type),
     .choices = condition_types,
     .is_required = true,
     .describes = "what of the request"},
    {.name = "name",
     .type = VALUE_TEXT,
     ROW_AT(struct authorization_condition, part.name),
     .describes = "Header, Cookie, Query, JWTClaim, needed there: which one"},
    {.name = "values",
     .type = VALUE_LIST,
     .item = VALUE_TEXT,
     ROW_LIST(struct authorization_condition, values, value_count),
     .min = 1,
     .max = NAMES_MAX,
     .is_required = true,
     .describes = "what it must be: any of these. Where it stands several times, in a Deny one of them, in an Allow all"},
    {0}};
static const struct table condition_table = {
    .describes = "what else must hold", .rows = condition_rows, .size = sizeof(struct authorization_condition)};

static const struct row rule_rows[] = {
    {.name = "name", .type = VALUE_LABEL, RULE(rule.name), .is_required = true, .describes = "what responses, logs and metrics call the rule"},
    {.name = "from",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &source_table,
     ROW_LIST(struct authorization_rule_spec, sources, source_count),
     .max = 16,
     .describes = "who asks: any of these; by default whoever it is"},
    {.name = "notIdentities",
     .type = VALUE_LIST,
     .item = VALUE_TEXT,
     ROW_LIST(struct authorization_rule_spec, not_identities.items, not_identities.count),
     .max = NAMES_MAX,
     .describes = "and is none of these; who has shown no identity may be one of them: an Allow is not for him, a Deny is. " IDENTITIES_DESCRIBES},
    {.name = "notAddresses",
     .type = VALUE_LIST,
     .item = VALUE_CIDR,
     ROW_LIST(struct authorization_rule_spec, rule.not_addresses.items, rule.not_addresses.count),
     .max = NAMES_MAX,
     .describes = "and is in none of these ranges: " ADDRESSES_DESCRIBES},
    POLICY_MATCHES_ROW(
        struct authorization_rule_spec,
        "what is asked for: any of these; by default whatever it is. Of a header or parameter that stands several times, in a Deny one of "
        "them must match, in an Allow all"),
    {.name = "notMatches",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &http_match_table,
     ROW_LIST(struct authorization_rule_spec, not_matches, not_match_count),
     .max = 64,
     .describes = "and is none of these"},
    {.name = "when",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &condition_table,
     ROW_LIST(struct authorization_rule_spec, rule.conditions, rule.condition_count),
     .max = 16,
     .describes = "what else must hold: all of these"},
    {0}};
static const struct table rule_table = {.describes = "who, and what: all that is said must hold",
                                        .rows = rule_rows,
                                        .size = sizeof(struct authorization_rule_spec),
                                        .has_place = true,
                                        .place_offset = offsetof(struct authorization_rule_spec, place),
                                        .unique_key = "name"};

static const struct choice actions[] = {
    {"Allow", AUTHORIZATION_ALLOW, false, "what its rules are for passes; where any Allow selects a workload, what none of them is for is refused"},
    {"Deny", AUTHORIZATION_DENY, false, "what its rules are for is refused, whatever any Allow says"},
    {"External", AUTHORIZATION_EXTERNAL, false,
     "`external` is asked about what its rules are for, or about all where there are none; behind Deny and Allow"},
    {0}};

static const struct choice agent_types[] = {
    {"OPA", AGENT_OPA, false,
     "the data API of Open Policy Agent: POST {\"input\": ...}; result true, or an object with allow: true, lets the request pass"},
    {"Forward", AGENT_FORWARD, false, "GET with the fields of the request: 2xx lets it pass, 401 and 403 are passed on"},
    {"EnvoyGRPC", 0, true, NULL},
    {0}};
static const struct choice agent_failures[] = {
    {"Deny", FAILURE_DENIES, false, "403"}, {"Allow", FAILURE_ALLOWS, false, "it passes, which the log tells"}, {0}};
static const struct row agent_rows[] = {
    {.name = "type", .type = VALUE_ENUM, SPEC(agent.type), .choices = agent_types, .is_required = true, .describes = "how it is asked"},
    {.name = "url",
     .type = VALUE_TEXT,
     SPEC(url),
     .is_required = true,
     .describes = "where it is asked, http or https: a host of the documents' services, or any other; OPA: of the document that decides"},
    {.name = "timeout",
     .type = VALUE_DURATION,
     SPEC(agent.timeout),
     .min = NS_PER_MS,
     .max = 60 * NS_PER_S,
     .fallback = "200ms",
     .describes = "for its whole answer"},
    {.name = "onFailure",
     .type = VALUE_ENUM,
     SPEC(agent.on_failure),
     .choices = agent_failures,
     .fallback = "Deny",
     .describes = "what it means where no answer comes in time, or none that says anything"},
    {.name = "headersToUpstream",
     .type = VALUE_LIST,
     .item = VALUE_TEXT,
     ROW_LIST(struct authorization_spec, agent.headers, agent.header_count),
     .max = 16,
     .describes = "fields of its answer that the application gets; those of the client by these names it never does. OPA: no answer may set others"},
    {0}};
static const struct table agent_table = {.describes = "who decides, of action External", .rows = agent_rows};
static const struct row authorization_rows[] = {
    TARGET_REFS_ROW,
    {.name = "mode",
     .type = VALUE_ENUM,
     ROW_AT(struct policy_head, mode),
     .choices = policy_modes,
     .fallback = "Enforce",
     .describes =
         "whether it counts, or it is only told what would be decided otherwise if it did; an agent is asked all the same, and nobody waits for it"},
    {.name = "action",
     .type = VALUE_ENUM,
     SPEC(action),
     .choices = actions,
     .fallback = "Allow",
     .describes = "what becomes of what its rules are for"},
    {.name = "rules",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &rule_table,
     ROW_LIST(struct authorization_spec, rules, rule_count),
     .max = 64,
     .describes = "what it is for: any of these. An Allow without rules allows nothing"},
    {.name = "external", .type = VALUE_OBJECT, .object = &agent_table, .describes = "who decides, of action External"},
    {0}};
const struct table authorization_table = {
    .describes = "who may ask for what: 403 for all else", .rows = authorization_rows, .size = sizeof(struct authorization_spec)};

// ---- what is made of texts

static struct identity_patterns room_for(struct document *document, uint32_t count) {
    return (struct identity_patterns){.items = pool_alloc_zeroed(document->loading->values, count * sizeof(struct identity_pattern) + 1),
                                      .count = count};
}

static struct identity_patterns parse_identities(struct document *document, const struct bytes *texts, uint32_t count, const struct node *list) {
    struct identity_patterns patterns = room_for(document, count);
    for (uint32_t i = 0; i < count; i++) {
        const char *reason = NULL;
        const struct node *node = node_item(list, i);
        if (!node->bad && identity_pattern_parse(texts[i], &patterns.items[i], &reason) != OK)
            document_error(document, node, NULL, "\"%.*s\": %s; allowed: spiffe://trust-domain/path, spiffe://trust-domain/path/*, *",
                           BYTES_FORMAT(texts[i]), reason);
    }
    return patterns;
}

// Names of service accounts may have dots, which are no more than dots.
static struct identity_patterns parse_accounts(struct document *document, const struct authorization_source_spec *source, const struct node *list) {
    struct identity_patterns patterns = room_for(document, source->account_count);
    for (uint32_t i = 0; i < patterns.count; i++) {
        const struct service_account *account = &source->accounts[i];
        const struct bytes owner = account->namespace_name.len > 0 ? account->namespace_name : document->namespace_name;
        const struct node *name = node_find(node_item(list, i), "name");
        if (name != NULL && !name->bad && !is_subdomain(account->name))
            document_error(document, name, NULL, "\"%.*s\" is no name of a service account; allowed: lower-case letters, digits, `-` and `.`",
                           BYTES_FORMAT(account->name));
        patterns.items[i] = (struct identity_pattern){
            .domain = DOMAIN_OWN,
            .path = pool_format(document->loading->values, "/ns/%.*s/sa/%.*s", BYTES_FORMAT(owner), BYTES_FORMAT(account->name))};
    }
    return patterns;
}

static struct identity_patterns parse_namespaces(struct document *document, const struct text_list *names) {
    struct identity_patterns patterns = room_for(document, names->count);
    for (uint32_t i = 0; i < patterns.count; i++)
        patterns.items[i] = (struct identity_pattern){
            .domain = DOMAIN_OWN, .is_prefix = true, .path = pool_format(document->loading->values, "/ns/%.*s/", BYTES_FORMAT(names->items[i]))};
    return patterns;
}

// Whether any of the lists is there with something in it, or is wrong, which has been said.
static bool says_any(const struct node *node, const char *const *fields, size_t count) {
    bool says = false;
    for (size_t i = 0; i < count; i++)
        says |= node_find(node, fields[i]) != NULL && (node_find(node, fields[i])->bad || node_find(node, fields[i])->count > 0);
    return says;
}

static void parse_source(struct document *document, const struct authorization_source_spec *spec, struct authorization_source *source,
                         const struct node *node) {
    static const char *const lists[] = {"serviceAccounts", "identities", "namespaces", "addresses"};
    source->accounts = parse_accounts(document, spec, node_find(node, "serviceAccounts"));
    source->identities = parse_identities(document, spec->identities.items, spec->identities.count, node_find(node, "identities"));
    source->namespaces = parse_namespaces(document, &spec->namespaces);
    source->addresses = spec->addresses;
    if (node->kind == NODE_OBJECT && !says_any(node, lists, sizeof(lists) / sizeof(lists[0])))
        document_error(document, node, NULL, "says nothing, and would be whoever it is; leave `from` out for that");
}

static void parse_sources(struct document *document, struct authorization_rule_spec *spec, const struct node *list) {
    spec->rule.source_count = spec->source_count;
    spec->rule.sources = pool_alloc_zeroed(document->loading->values, spec->source_count * sizeof(spec->rule.sources[0]) + 1);
    for (uint32_t i = 0; i < spec->source_count; i++)
        parse_source(document, &spec->sources[i], &spec->rule.sources[i], node_item(list, i));
}

static void parse_addresses(struct document *document, struct authorization_condition *condition, const struct node *list) {
    condition->addresses.items = pool_alloc_zeroed(document->loading->values, condition->value_count * sizeof(struct cidr) + 1);
    condition->addresses.count = condition->value_count;
    for (uint32_t i = 0; i < condition->value_count; i++)
        if (!node_item(list, i)->bad && !cidr_parse(condition->values[i], &condition->addresses.items[i]))
            document_error(document, node_item(list, i), NULL,
                           "\"%.*s\" is no address; allowed: an IP address, or a range of them with no bit behind its prefix, as 10.0.0.0/8",
                           BYTES_FORMAT(condition->values[i]));
}

static void parse_paths(struct document *document, struct authorization_condition *condition, const struct node *list) {
    for (uint32_t i = 0; i < condition->value_count; i++) {
        const struct bytes path = condition->values[i];
        if (!node_item(list, i)->bad && (path.len == 0 || path.at[0] != '/' || bytes_find(path, '?') < path.len ||
                                         canonical_path(path, document->loading->values, &condition->values[i]) != OK))
            document_error(document, node_item(list, i), NULL, "\"%.*s\" is no path; allowed: as /a/b, with no query", BYTES_FORMAT(path));
    }
}

static void parse_condition(struct document *document, struct authorization_condition *condition, const struct node *node) {
    const struct node *values = node_find(node, "values");
    request_key_part_check(document, &condition->part, node);
    if (!document_has(node, "type") || values == NULL || values->bad)
        return;
    if (condition->part.type == KEY_IDENTITY)
        condition->identities = parse_identities(document, condition->values, condition->value_count, values);
    else if (condition->part.type == KEY_CLIENT_ADDRESS)
        parse_addresses(document, condition, values);
    else if (condition->part.type == KEY_PATH)
        parse_paths(document, condition, values);
}

// ---- what a rule is about

static bool name_paths(const struct match_spec *matches, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (matches[i].path_type != PATH_PREFIX || matches[i].path.len > 0)
            return true;
    return false;
}

static bool is_of_request(enum request_key_type type) {
    return type != KEY_CLIENT_ADDRESS && type != KEY_IDENTITY;
}

static void note_subjects(struct authorization_rule_spec *spec) {
    struct authorization_rule *rule = &spec->rule;
    rule->is_of_http = spec->match_count > 0 || spec->not_match_count > 0;
    rule->names_paths = name_paths(spec->matches, spec->match_count) || name_paths(spec->not_matches, spec->not_match_count);
    for (uint32_t i = 0; i < rule->condition_count; i++) {
        rule->is_of_http |= is_of_request(rule->conditions[i].part.type);
        rule->names_paths |= rule->conditions[i].part.type == KEY_PATH;
    }
}

static void check_rule(struct document *document, struct authorization_rule_spec *spec, const struct node *node) {
    static const char *const fields[] = {"from", "notIdentities", "notAddresses", "matches", "notMatches", "when"};
    const struct node *when = node_find(node, "when");
    parse_sources(document, spec, node_find(node, "from"));
    spec->rule.not_identities = parse_identities(document, spec->not_identities.items, spec->not_identities.count, node_find(node, "notIdentities"));
    http_matches_check(document, spec->matches, spec->match_count, node_find(node, "matches"));
    http_matches_check(document, spec->not_matches, spec->not_match_count, node_find(node, "notMatches"));
    for (uint32_t i = 0; i < spec->rule.condition_count; i++)
        parse_condition(document, &spec->rule.conditions[i], node_item(when, i));
    note_subjects(spec);
    if (node->kind == NODE_OBJECT && !says_any(node, fields, sizeof(fields) / sizeof(fields[0])))
        document_error(document, node, NULL, "says nothing, and would be for all requests; for that say matches: [{}]");
}

// By which proxies tell each other of the client.
static bool is_of_proxies(struct bytes name) {
    static const struct bytes prefixes[] = {BYTES_OF("outrigger-"), BYTES_OF("x-forwarded-")};
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        if (name.len >= prefixes[i].len && field_name_reads_as(bytes_from(name.at, prefixes[i].len), prefixes[i]))
            return true;
    return false;
}

// None that frames or routes a message, belongs to one connection, or speaks for a proxy.
static bool agent_may_set(struct bytes name) {
    const enum field_id id = field_id_of(name);
    return is_token(name) && !is_of_proxies(name) && (id == FIELD_OTHER || id == FIELD_AUTHORIZATION || field_may_trail(id));
}

uint32_t authorization_urls(const void *spec_pointer, struct bytes *urls) {
    const struct authorization_spec *spec = spec_pointer;
    urls[0] = spec->url;
    return spec->action == AUTHORIZATION_EXTERNAL && spec->url.len > 0;
}

static void check_agent_headers(struct document *document, const struct agent_config *agent, const struct node *list) {
    for (uint32_t i = 0; i < agent->header_count; i++)
        if (!node_item(list, i)->bad && !agent_may_set(agent->headers[i]))
            document_error(document, node_item(list, i), NULL, "\"%.*s\" is no field that an agent may set; allowed: x-user-id, as an example",
                           BYTES_FORMAT(agent->headers[i]));
}

static void check_agent(struct document *document, const struct authorization_spec *spec, const struct node *external) {
    const struct node *action = node_find(document->spec_node, "action");
    if (action != NULL && action->bad)
        return;
    if (spec->action != AUTHORIZATION_EXTERNAL) {
        if (external != NULL)
            document_error(document, external, NULL, "is for action External; allowed with it: rules that say which requests are asked about");
        return;
    }
    if (external == NULL)
        document_error(document, document->spec_node, "external", "is required with action External: who decides");
    if (!document_has(external, "type"))
        return;
    url_check(document, spec->url, node_find(external, "url"));
    check_agent_headers(document, &spec->agent, node_find(external, "headersToUpstream"));
}

void authorization_check(struct document *document) {
    struct authorization_spec *spec = document->spec;
    const struct node *rules = node_find(document->spec_node, "rules");
    targets_check(document);
    for (uint32_t i = 0; i < spec->rule_count; i++)
        check_rule(document, &spec->rules[i], node_item(rules, i));
    check_agent(document, spec, node_find(document->spec_node, "external"));
    if (spec->action == AUTHORIZATION_EXTERNAL || spec->rule_count > 0 || (rules != NULL && rules->bad))
        return;
    if (spec->action == AUTHORIZATION_ALLOW)
        document_warning(document, document->spec_node, "rules",
                         "has none: an Allow without rules allows nothing, and all requests to its targets are refused");
    else
        document_error(document, document->spec_node, "rules", "is required: a Deny without rules denies nothing");
}
