// Kind FaultPolicy: requests that are delayed, or answered with an error, on purpose. Its table, and the rules between its fields.
#include "config/resource_fault.h"

#include "config/grpc_codes.h"

#define RULE(member) ROW_AT(struct fault_rule_spec, member)
#define HOUR (3600 * NS_PER_S)

static const struct row delay_rows[] = {{.name = "fixed",
                                         .type = VALUE_DURATION,
                                         RULE(rule.delay.fixed),
                                         .min = NS_PER_MS,
                                         .max = HOUR,
                                         .is_required = true,
                                         .describes = "they wait so long"},
                                        {.name = "percent",
                                         .type = VALUE_INTEGER,
                                         RULE(rule.delay.percent),
                                         .min = 1,
                                         .max = 100,
                                         .fallback = "100",
                                         .describes = "of the requests, at random"},
                                        {0}};
static const struct table delay_table = {.describes = "requests that wait before they go on", .rows = delay_rows};

static const struct choice grpc_codes[] = {
#define X(word, number, describes) {#word, number, false, describes},
    GRPC_CODE_LIST(X)
#undef X
        {0}};
static const struct row abort_rows[] = {{.name = "status",
                                         .type = VALUE_INTEGER,
                                         RULE(rule.abort.status),
                                         .min = 400,
                                         .max = 599,
                                         .fallback = "503",
                                         .describes = "what HTTP requests get"},
                                        {.name = "grpcStatus",
                                         .type = VALUE_ENUM,
                                         RULE(rule.abort.grpc_status),
                                         .choices = grpc_codes,
                                         .fallback = "UNAVAILABLE",
                                         .describes = "what calls of gRPC get"},
                                        {.name = "percent",
                                         .type = VALUE_INTEGER,
                                         RULE(rule.abort.percent),
                                         .min = 1,
                                         .max = 100,
                                         .fallback = "100",
                                         .describes = "of the requests, at random"},
                                        {0}};
static const struct table abort_table = {.describes = "requests that are answered with an error, and go nowhere", .rows = abort_rows};

static const struct row rule_rows[] = {
    {.name = "name", .type = VALUE_LABEL, RULE(rule.name), .is_required = true, .describes = "what responses, logs and metrics call the rule"},
    POLICY_MATCHES_ROW(struct fault_rule_spec, "which requests: any of these; by default all"),
    {.name = "delay", .type = VALUE_OBJECT, .object = &delay_table, .describes = "requests that wait before they go on"},
    {.name = "abort",
     .type = VALUE_OBJECT,
     .object = &abort_table,
     .describes = "requests that are answered with an error; behind the delay, where both hit one"},
    {0}};
static const struct table rule_table = {.describes = "which requests, and what happens to them",
                                        .rows = rule_rows,
                                        .size = sizeof(struct fault_rule_spec),
                                        .has_place = true,
                                        .place_offset = offsetof(struct fault_rule_spec, place),
                                        .unique_key = "name"};

static const struct row fault_rows[] = {TARGET_REFS_ROW,
                                        POLICY_MODE_ROW("whether it happens, or it is only told to which requests it would"),
                                        {.name = "rules",
                                         .type = VALUE_LIST,
                                         .item = VALUE_OBJECT,
                                         .object = &rule_table,
                                         ROW_LIST(struct fault_spec, rules, rule_count),
                                         .min = 1,
                                         .max = 32,
                                         .is_required = true,
                                         .describes = "the first that matches a request is asked"},
                                        {0}};
const struct table fault_table = {
    .describes = "faults on purpose, in the caller's proxy: to see what callers make of them", .rows = fault_rows, .size = sizeof(struct fault_spec)};

// What a rule does not name it does not do: the defaults of an object that is not there are none.
static void check_rule(struct document *document, struct fault_rule_spec *spec, const struct node *node) {
    const bool delays = node_find(node, "delay") != NULL, aborts = node_find(node, "abort") != NULL;
    if (!delays && !aborts)
        document_error(document, node, "delay", "is required, or abort: what happens");
    if (!delays)
        spec->rule.delay.percent = 0;
    if (!aborts)
        spec->rule.abort.percent = 0;
}

void fault_check(struct document *document) {
    struct fault_spec *spec = document->spec;
    const struct node *rules = node_find(document->spec_node, "rules");
    targets_check(document);
    for (uint32_t i = 0; i < spec->rule_count; i++) {
        const struct node *node = node_item(rules, i);
        http_matches_check(document, spec->rules[i].matches, spec->rules[i].match_count, node_find(node, "matches"));
        check_rule(document, &spec->rules[i], node);
    }
}
