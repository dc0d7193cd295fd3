// Kind RateLimitPolicy: how many requests may come in what time. Its table, and the rules between its fields.
#include "config/resource_rate_limit.h"

#include "base/map.h"
#include "config/content.h"
#include "config/edge_fields.h"
#include "config/key_table.h"
#include "http/headers.h"

#define LIMIT(member) ROW_AT(struct rate_limit, member)
#define TIER(member) ROW_AT(struct rate_tier, member)
#define RULE(member) ROW_AT(struct rate_rule_spec, member)
#define SPEC(member) ROW_AT(struct rate_limit_spec, member)
#define DAY (24 * 3600 * NS_PER_S)

// The shortest time between two requests that a limit can tell apart to the hundredth: it counts in nanoseconds.
#define SPACING_MIN 100

static const struct row limit_rows[] = {
    {.name = "requests", .type = VALUE_INTEGER, LIMIT(requests), .min = 1, .max = 1000000000, .is_required = true, .describes = "so many"},
    {.name = "per", .type = VALUE_DURATION, LIMIT(per), .min = NS_PER_MS, .max = 31 * DAY, .is_required = true, .describes = "in this time, evenly"},
    {.name = "burst",
     .type = VALUE_INTEGER,
     LIMIT(burst),
     .min = 1,
     .max = 1000000000,
     .describes = "so many may come at once, after a time without any; by default `requests`"},
    {0}};
static const struct table limit_table = {.describes = "a limit: a bucket of `burst` tokens, full at first, that gets `requests` new ones in `per`",
                                         .rows = limit_rows,
                                         .size = sizeof(struct rate_limit)};

static const struct choice periods[] = {{"Hour", QUOTA_HOUR, false, "whole hours"},
                                        {"Day", QUOTA_DAY, false, "whole days"},
                                        {"Week", QUOTA_WEEK, false, "whole weeks, from Monday"},
                                        {"Month", QUOTA_MONTH, false, "whole months"},
                                        {0}};

// `owner` is whose struct the quota is in.
#define QUOTA_ROWS(owner, member)                                 \
    {                                                             \
        {.name = "requests",                                      \
         .type = VALUE_INTEGER,                                   \
         ROW_AT(owner, member.requests),                          \
         .min = 1,                                                \
         .max = UINT32_MAX,                                       \
         .is_required = true,                                     \
         .describes = "so many"},                                 \
            {.name = "per",                                       \
             .type = VALUE_ENUM,                                  \
             ROW_AT(owner, member.per),                           \
             .choices = periods,                                  \
             .is_required = true,                                 \
             .describes = "in this period of the calendar, UTC"}, \
            {0},                                                  \
    }
static const struct row tier_quota_rows[] = QUOTA_ROWS(struct rate_tier, quota);
static const struct row rule_quota_rows[] = QUOTA_ROWS(struct rate_rule_spec, rule.own.quota);
#define QUOTA_DESCRIBES "how many in a period of the calendar; kept by each proxy alone, and begun anew when it starts"
static const struct table tier_quota_table = {.describes = QUOTA_DESCRIBES, .rows = tier_quota_rows};
static const struct table rule_quota_table = {.describes = QUOTA_DESCRIBES, .rows = rule_quota_rows};

static const struct row tier_rows[] = {
    {.name = "name", .type = VALUE_LABEL, TIER(name), .is_required = true, .describes = "the value that stands for it"},
    {.name = "limits",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &limit_table,
     ROW_LIST(struct rate_tier, limits, limit_count),
     .max = RATE_LIMITS_MAX,
     .describes = "all of them hold"},
    {.name = "quota", .type = VALUE_OBJECT, .object = &tier_quota_table, .describes = QUOTA_DESCRIBES},
    {0}};
static const struct table tier_table = {
    .describes = "what holds for keys of one tier", .rows = tier_rows, .size = sizeof(struct rate_tier), .unique_key = "name"};

static const struct choice sources[] = {{"Header", TIER_HEADER, false, "the value of a header"},
                                        {"Identity", TIER_IDENTITY, false, "the last segment of the SPIFFE ID that the caller has shown"},
                                        {"JWTClaim", TIER_CLAIM, false, "the first value of a claim that is the name of a tier"},
                                        {"KeyTable", TIER_KEY_TABLE, false, "what a file says of the value of the rule's key"},
                                        {0}};
static const struct row source_rows[] = {
    {.name = "type", .type = VALUE_ENUM, RULE(rule.tier_from.source), .choices = sources, .is_required = true, .describes = "what of the request"},
    {.name = "name", .type = VALUE_TEXT, RULE(rule.tier_from.name), .describes = "Header, JWTClaim, needed there: which one"},
    {.name = "file",
     .type = VALUE_PATH,
     RULE(tier_file),
     .describes = "KeyTable, needed there: lines of a key and the name of its tier, white space between them; what is written to it holds at once"},
    {0}};
static const struct table source_table = {.describes = "where a request says its tier", .rows = source_rows};
static const struct row tier_choice_rows[] = {
    {.name = "from", .type = VALUE_OBJECT, .object = &source_table, .is_required = true, .describes = "where a request says its tier"},
    {.name = "default",
     .type = VALUE_LABEL,
     RULE(tier_default),
     .is_required = true,
     .describes = "the tier of a request that says none, or what is the name of none"},
    {0}};
static const struct table tier_choice_table = {.describes = "which of `tiers` holds for a request", .rows = tier_choice_rows};

static const struct row charge_rows[] = {{.name = "statuses",
                                          .type = VALUE_NUMBERS,
                                          RULE(rule.charged),
                                          .min = CHARGE_STATUS_MIN,
                                          .max = CHARGE_STATUS_MAX,
                                          .describes = "only responses with these count, once they have come: [401, 403] limits failed log-ins"},
                                         {0}};
static const struct table charge_table = {.describes = "what counts; by default each request that is let pass", .rows = charge_rows};

static const struct choice scopes[] = {{"Proxy", 0, false, "each proxy counts by itself, over all its workers"}, {"Mesh", 0, true, NULL}, {0}};
static const struct row rule_rows[] = {
    {.name = "name", .type = VALUE_LABEL, RULE(rule.name), .is_required = true, .describes = "what responses, logs and metrics call the rule"},
    POLICY_MATCHES_ROW(struct rate_rule_spec, "which requests count: any of these; by default all"),
    {.name = "key",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &request_key_table,
     ROW_LIST(struct rate_rule_spec, rule.key.parts, rule.key.count),
     .max = REQUEST_KEY_PARTS_MAX,
     .describes =
         "what requests are counted by: each value has limits of its own; those that lack a part of it share one; by default all requests together"},
    {.name = "limits",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &limit_table,
     ROW_LIST(struct rate_rule_spec, rule.own.limits, rule.own.limit_count),
     .max = RATE_LIMITS_MAX,
     .describes = "all of them hold; in a rule without tiers"},
    {.name = "quota", .type = VALUE_OBJECT, .object = &rule_quota_table, .describes = QUOTA_DESCRIBES},
    {.name = "tier", .type = VALUE_OBJECT, .object = &tier_choice_table, .describes = "which of `tiers` holds for a request"},
    {.name = "tiers",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &tier_table,
     ROW_LIST(struct rate_rule_spec, rule.tiers, rule.tier_count),
     .max = 32,
     .describes = "limits by tier, in the place of `limits` and `quota`"},
    {.name = "charge", .type = VALUE_OBJECT, .object = &charge_table, .describes = "what counts; by default each request that is let pass"},
    {.name = "scope", .type = VALUE_ENUM, RULE(scope), .choices = scopes, .fallback = "Proxy", .describes = "who counts together"},
    {0}};
static const struct table rule_table = {.describes = "which requests, and how many of them",
                                        .rows = rule_rows,
                                        .size = sizeof(struct rate_rule_spec),
                                        .has_place = true,
                                        .place_offset = offsetof(struct rate_rule_spec, place),
                                        .unique_key = "name"};

static const struct row rate_limit_rows[] = {
    TARGET_REFS_ROW,
    POLICY_MODE_ROW("whether requests are refused, or it is only told which would be"),
    {.name = "rules",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &rule_table,
     ROW_LIST(struct rate_limit_spec, rules, rule_count),
     .min = 1,
     .max = 32,
     .is_required = true,
     .describes = "all that match a request are checked, in this order; it is charged for only if all let it pass"},
    {.name = "maxKeys",
     .type = VALUE_INTEGER,
     SPEC(max_keys),
     .min = 64,
     .max = 1000000,
     .fallback = "100000",
     .describes = "keys that each rule counts apart at a time; where all are in debt, new ones share one of ten times its limits"},
    {0}};
const struct table rate_limit_table = {.describes = "how many requests may come in what time: 429 for those that are too many",
                                       .rows = rate_limit_rows,
                                       .size = sizeof(struct rate_limit_spec),
                                       .later = "onRedisFailure"};

// The bucket of a limit that says no burst holds `requests`.
static void check_limits(struct document *document, struct rate_tier *tier, const struct node *list) {
    for (uint32_t i = 0; i < tier->limit_count; i++) {
        struct rate_limit *limit = &tier->limits[i];
        const struct node *node = node_item(list, i);
        if (!document_has(node, "requests") || !document_has(node, "per"))
            continue;
        if (limit->burst == 0)
            limit->burst = limit->requests;
        if (limit->per / limit->requests < SPACING_MIN)
            document_error(document, node, NULL, "is more than 10 in a microsecond; allowed: up to that");
        else if (limit->per / limit->requests > UINT64_MAX / 4 / limit->burst)
            document_error(document, node, NULL, "has a burst that takes longer than 100 years to come back; allowed: a smaller one");
    }
}

static void check_tier(struct document *document, struct rate_tier *tier, const struct node *node) {
    check_limits(document, tier, node_find(node, "limits"));
    if (tier->limit_count == 0 && node_find(node, "quota") == NULL && node_find(node, "limits") == NULL)
        document_error(document, node, "limits", "is required, or quota: what holds");
}

// Which field each source takes.
static void check_source_fields(struct document *document, const struct rate_rule *rule, const struct node *from) {
    static const char *const fields[] = {[TIER_HEADER] = "name", [TIER_IDENTITY] = NULL, [TIER_CLAIM] = "name", [TIER_KEY_TABLE] = "file"};
    static const char *const kinds[] = {"name", "file"};
    const char *needed = fields[rule->tier_from.source];
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        const bool is_needed = needed != NULL && strcmp(needed, kinds[i]) == 0;
        if (is_needed && node_find(from, kinds[i]) == NULL)
            document_error(document, from, kinds[i], i == 0 ? "is required: which Header or JWTClaim" : "is required: the key table");
        else if (!is_needed && node_find(from, kinds[i]) != NULL)
            document_error(document, node_find(from, kinds[i]), NULL,
                           i == 0 ? "is for types Header and JWTClaim alone" : "is for type KeyTable alone");
    }
}

static void check_source_header(struct document *document, const struct rate_rule *rule, const struct node *name) {
    if (rule->tier_from.source != TIER_HEADER || name == NULL || name->bad)
        return;
    if (!is_token(rule->tier_from.name))
        document_error(document, name, NULL, "\"%.*s\" is no name of a field", BYTES_FORMAT(rule->tier_from.name));
    else if (!edge_field_is_guarded(rule->tier_from.name))
        document_warning(document, name, NULL,
                         "%.*s is no field that gateways take off: clients from outside can choose their tier by it; x-tier is one",
                         BYTES_FORMAT(rule->tier_from.name));
}

// A key table is asked for one text.
static void check_source_key(struct document *document, const struct rate_rule *rule, const struct node *from) {
    static const bool is_text[] = {
        [KEY_IDENTITY] = true, [KEY_HEADER] = true, [KEY_COOKIE] = true, [KEY_QUERY] = true, [KEY_CLAIM] = true, [KEY_METHOD] = false};
    if (rule->tier_from.source == TIER_KEY_TABLE && (rule->key.count != 1 || !is_text[rule->key.parts[0].type]))
        document_error(document, node_find(from, "type"), NULL,
                       "KeyTable looks up the value of the rule's key; allowed: a key of one part, Header, Cookie, Query, Identity or JWTClaim");
}

// The number of the tier that is the default; what is wrong with it is told.
static void check_tier_choice(struct document *document, struct rate_rule_spec *spec, const struct node *node) {
    struct rate_rule *rule = &spec->rule;
    const struct node *from = node_find(node, "from");
    if (document_has(from, "type")) {
        check_source_fields(document, rule, from);
        check_source_header(document, rule, node_find(from, "name"));
        check_source_key(document, rule, from);
    }
    if (!document_has(node, "default"))
        return;
    for (uint32_t i = 0; i < rule->tier_count; i++) {
        rule->tier_from.fallback = i;
        if (bytes_equal(rule->tiers[i].name, spec->tier_default))
            return;
    }
    document_error(document, node_find(node, "default"), NULL, "\"%.*s\" is the name of none of `tiers`", BYTES_FORMAT(spec->tier_default));
}

static void check_tiers(struct document *document, struct rate_rule_spec *spec, const struct node *node) {
    static const char *const own[] = {"limits", "quota"};
    const struct node *tiers = node_find(node, "tiers");
    const struct node *choice = node_find(node, "tier");
    if (tiers == NULL && choice == NULL) {
        check_tier(document, &spec->rule.own, node);
        return;
    }
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (node_find(node, own[i]) != NULL)
            document_error(document, node_find(node, own[i]), NULL, "is for a rule without tiers; a tier has its own");
    if (tiers == NULL || choice == NULL)
        document_error(document, node, tiers == NULL ? "tiers" : "tier", "is required with %s", tiers == NULL ? "tier" : "tiers");
    for (uint32_t i = 0; i < spec->rule.tier_count; i++)
        check_tier(document, &spec->rule.tiers[i], node_item(tiers, i));
    if (choice != NULL && tiers != NULL && !choice->bad && !tiers->bad)
        check_tier_choice(document, spec, choice);
}

static bool charges_responses(const struct rate_rule *rule) {
    uint64_t any = 0;
    for (uint32_t i = 0; i < CHARGE_STATUS_WORDS; i++)
        any |= rule->charged[i];
    return any != 0;
}

void rate_limit_check(struct document *document) {
    struct rate_limit_spec *spec = document->spec;
    const struct node *rules = node_find(document->spec_node, "rules");
    targets_check(document);
    for (uint32_t i = 0; i < spec->rule_count; i++) {
        struct rate_rule_spec *rule = &spec->rules[i];
        const struct node *node = node_item(rules, i);
        http_matches_check(document, rule->matches, rule->match_count, node_find(node, "matches"));
        request_key_check(document, &rule->rule.key, node_find(node, "key"));
        check_tiers(document, rule, node);
        rule->rule.charges_responses = charges_responses(&rule->rule);
    }
}

// ---- key tables

static const struct rate_tier *find_tier(const struct rate_rule *rule, struct bytes name) {
    for (uint32_t i = 0; i < rule->tier_count; i++)
        if (bytes_equal(rule->tiers[i].name, name))
            return &rule->tiers[i];
    return NULL;
}

// As other wrong lines are told, by the file's own name and line. A name of no tier is none: whoever names it gets the default.
static void check_table(struct document *document, const struct rate_rule_spec *spec, const struct content *content) {
    struct bytes text = content->text;
    struct key_line line;
    struct map keys;
    uint32_t number = 0;
    map_init(&keys);
    while (key_table_next(&text, &number, &line)) {
        const struct place place = {content->path.at, number};
        if (line.tier.len == 0)
            config_errors_add(document->loading->errors, place, document->label, NULL,
                              "is no key and the name of its tier, with white space between");
        else if (find_tier(&spec->rule, line.tier) == NULL)
            config_errors_add(document->loading->errors, place, document->label, NULL, "\"%.*s\" is the name of none of `tiers`",
                              BYTES_FORMAT(line.tier));
        else if (map_put(&keys, line.key, document) != NULL)
            config_errors_add(document->loading->errors, place, document->label, NULL, "has a key that stands above");
    }
    map_dispose(&keys);
}

void rate_limit_check_files(struct document *document) {
    const struct rate_limit_spec *spec = document->spec;
    for (uint32_t i = 0; i < spec->rule_count; i++) {
        const struct content *content = spec->rules[i].tier_file.len == 0 ? NULL : content_read(document->loading, spec->rules[i].tier_file);
        if (content != NULL && content->text.at != NULL) // else it has been told
            check_table(document, &spec->rules[i], content);
    }
}
