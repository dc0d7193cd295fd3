// Looks at what a log has and at what the policies ask: see simulation_notes.h.
#include "cli/simulation_notes.h"

#include "config/authorization_config.h"
#include "config/bulkhead_config.h"
#include "config/policy_keys.h"
#include "config/rate_limit_config.h"

// ---- policies

static const char *why_no_part(const struct log *log, const struct request_key_part *part) {
    const bool is_told = bytes_equal_nocase(part->name, BYTES("user-agent")) || bytes_equal_nocase(part->name, BYTES("host")) ||
                         (!log->is_ours && bytes_equal_nocase(part->name, BYTES("referer")));
    if (log_has_part(log, request_key_type_name(part->type), part->name) || (part->type == KEY_HEADER && log_has_part(log, "Value", part->name)))
        return NULL;
    if (part->type == KEY_HEADER && !is_told)
        return "which is not in the log: all requests count for one key";
    if (part->type == KEY_COOKIE || (part->type == KEY_QUERY && log->is_ours))
        return "which is not in the log: all requests count for one key";
    if (part->type == KEY_CLAIM)
        return "of a token, which is not in the log: all requests count for one key";
    if (part->type == KEY_IDENTITY && !log->is_ours)
        return "which this format has not: all requests count for one key";
    return NULL;
}

// A condition on it cannot be judged.
static void note_condition(struct simulation_report *report, const struct policy *policy, struct bytes rule, const char *kind, struct bytes name) {
    report_note(report, "%.*s: %.*s: has a condition on the %s %.*s, which is not in the log", BYTES_FORMAT(policy->label), BYTES_FORMAT(rule), kind,
                BYTES_FORMAT(name));
}

static void note_matches(struct simulation_report *report, const struct log *log, const struct policy *policy, struct bytes rule,
                         const struct route_match *matches, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < matches[i].header_count; k++)
            if (!log_has_part(log, "Value", matches[i].headers[k].name))
                note_condition(report, policy, rule, "header", matches[i].headers[k].name);
        for (uint32_t k = 0; k < matches[i].query_count && log->is_ours; k++)
            note_condition(report, policy, rule, "parameter", matches[i].queries[k].name);
    }
}

static void note_key(struct simulation_report *report, const struct log *log, const struct policy *policy, struct bytes rule,
                     const struct request_key *key) {
    for (uint32_t i = 0; i < key->count; i++) {
        const char *why = why_no_part(log, &key->parts[i]);
        if (why != NULL)
            report_note(report, "%.*s: %.*s: counts by %s %.*s, %s", BYTES_FORMAT(policy->label), BYTES_FORMAT(rule),
                        request_key_type_name(key->parts[i].type), BYTES_FORMAT(key->parts[i].name), why);
    }
}

static void note_rate_rule(struct simulation_report *report, const struct log *log, const struct policy *policy, const struct rate_rule *rule) {
    if (rule->tier_count > 0 && rule->tier_from.source == TIER_HEADER && !log_has_part(log, "Value", rule->tier_from.name))
        report_note(report, "%.*s: %.*s: the tier stands in header %.*s, which is not in the log: all have the default", BYTES_FORMAT(policy->label),
                    BYTES_FORMAT(rule->name), BYTES_FORMAT(rule->tier_from.name));
    if (rule->tier_count > 0 && rule->tier_from.source == TIER_CLAIM)
        report_note(report, "%.*s: %.*s: the tier stands in claim %.*s of a token, which is not in the log: all have the default",
                    BYTES_FORMAT(policy->label), BYTES_FORMAT(rule->name), BYTES_FORMAT(rule->tier_from.name));
    note_matches(report, log, policy, rule->name, rule->matches, rule->match_count);
}

static void note_rate_limit(struct simulation_report *report, const struct log *log, const struct policy *policy) {
    const struct rate_limit_config *config = policy->config;
    for (uint32_t i = 0; i < config->rule_count; i++)
        note_rate_rule(report, log, policy, &config->rules[i]);
}

static void note_bulkhead(struct simulation_report *report, const struct log *log, const struct policy *policy) {
    const struct bulkhead_config *config = policy->config;
    for (uint32_t i = 0; i < config->pool_count; i++) {
        const struct bulkhead_pool_config *pool = &config->pools[i];
        note_matches(report, log, policy, pool->name, pool->matches, pool->match_count);
    }
    if (config->priority.class_count > 0 && !log_has_part(log, "Value", config->priority.header))
        report_note(report, "%.*s: the class stands in header %.*s, which is not in the log: all have the default", BYTES_FORMAT(policy->label),
                    BYTES_FORMAT(config->priority.header));
}

static bool asks_who(const struct authorization_config *config) {
    bool found = false;
    for (uint32_t i = 0; i < config->rule_count; i++)
        found |= config->rules[i].source_count > 0;
    return found;
}

static void note_fault(struct simulation_report *report, const struct policy *policy) {
    report_note(report, "%.*s: strikes by chance: the figures are of one draw", BYTES_FORMAT(policy->label));
}

// Whether an agent is asked, or a rule goes by what a token says.
static bool asks_beyond_log(const struct authorization_config *config) {
    bool found = config->action == AUTHORIZATION_EXTERNAL;
    for (uint32_t i = 0; i < config->rule_count; i++)
        for (uint32_t k = 0; k < config->rules[i].condition_count; k++)
            found |= config->rules[i].conditions[k].part.type == KEY_CLAIM;
    return found;
}

static void note_authorization(struct simulation_report *report, const struct log *log, const struct policy *policy) {
    const struct authorization_config *config = policy->config;
    if (asks_beyond_log(config))
        report_note(report, "%.*s: goes by what an agent or a token says, which is not in the log: where that decides, requests passed",
                    BYTES_FORMAT(policy->label));
    if (!log->has_identities && asks_who(config))
        report_note(report, "%.*s: the log tells of no caller who it is: what is for certain identities met none", BYTES_FORMAT(policy->label));
    for (uint32_t i = 0; i < config->rule_count; i++) {
        const struct authorization_rule *rule = &config->rules[i];
        note_matches(report, log, policy, rule->name, rule->matches, rule->match_count);
        note_matches(report, log, policy, rule->name, rule->not_matches, rule->not_match_count);
        for (uint32_t k = 0; k < rule->condition_count; k++)
            if (rule->conditions[k].part.type != KEY_CLAIM && why_no_part(log, &rule->conditions[k].part) != NULL)
                note_condition(report, policy, rule->name, request_key_type_name(rule->conditions[k].part.type), rule->conditions[k].part.name);
    }
}

static void note_authentication(struct simulation_report *report, const struct policy *policy) {
    report_note(report, "%.*s: tokens are not in the log: it was not asked", BYTES_FORMAT(policy->label));
}

static void note_policy(struct simulation_report *report, const struct log *log, const struct policy *policy) {
    struct policy_key of_rule;
    for (uint32_t i = 0; policy_key_at(policy, i, &of_rule); i++)
        note_key(report, log, policy, of_rule.rule, of_rule.key);
    switch (policy->kind) { // all kinds: whoever adds one says what a log lacks for it
    case POLICY_RATE_LIMIT:
        note_rate_limit(report, log, policy);
        break;
    case POLICY_BULKHEAD:
        note_bulkhead(report, log, policy);
        break;
    case POLICY_FAULT:
        note_fault(report, policy);
        break;
    case POLICY_AUTHORIZATION:
        note_authorization(report, log, policy);
        break;
    case POLICY_AUTHENTICATION:
        note_authentication(report, policy);
        break;
    case POLICY_CIRCUIT_BREAKER: // with what it is for
    case POLICY_NONE:
        break;
    }
}

// Of a destination that some request of the log was for.
static void note_destination(struct simulation_report *report, const struct log *log, const struct destination *destination) {
    const struct circuit_breaker_config *breaker = &destination->traffic->circuit_breaker;
    for (uint32_t i = 0; i < destination->policy_count; i++)
        note_policy(report, log, destination->policies[i]);
    if (circuit_breaker_is_set(breaker) && breaker->scope == CIRCUIT_OF_ENDPOINT)
        report_note(report, "%.*s: its breaker is of each endpoint, and here there is one alone: it opens for all at once",
                    BYTES_FORMAT(breaker->policy));
}

// ---- the log

static void note_log(struct simulation_report *report, const struct log *log, bool has_host) {
    if (log->unreadable > 0)
        report_note(report, "%u lines are no requests, line %u first", log->unreadable, log->first_of_them);
    if (log->left_out > 0)
        report_note(report, "%u lines behind the first %u were not read", log->left_out, LOGGED_MAX);
    if (report->without_listener > 0)
        report_note(report, "%llu requests came by listeners that the proxy has not", (unsigned long long)report->without_listener);
    if (!log->has_durations)
        report_note(report, "the log does not say how long requests took: each is answered at once, and nothing is in flight beside another");
    else if (report->unknown_answers > 0)
        report_note(report, "%llu requests were refused when they were logged: those that pass now are answered at once",
                    (unsigned long long)report->unknown_answers);
    if (!log->is_ours)
        report_note(report, "times are whole seconds: requests are spread over each evenly");
    if (log->grpc_calls > 0)
        report_note(report,
                    "%u calls of gRPC are replayed as plain requests: GRPCRoutes are not for them, and a status that tells of a failure is a 503",
                    log->grpc_calls);
    if (log->is_ours)
        report_note(report, "bodies, trailers and headers other than Host and User-Agent are not in the log, nor which endpoint answered");
    else
        report_note(report, "bodies, trailers and headers other than User-Agent and Referer are not in the log: %s",
                    has_host ? "all requests have the host that was given" : "requests have no Host; give --host where one is needed");
}

void simulation_note(struct simulation_report *report, const struct log *log, const struct snapshot *snapshot, bool has_host) {
    for (uint32_t i = 0; i < snapshot->destination_count; i++)
        if (report->reached[i])
            note_destination(report, log, snapshot->destinations[i]);
    note_log(report, log, has_host);
}
