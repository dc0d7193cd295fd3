// RateLimitPolicy with scope Proxy: all rules that match a request are asked, and it is charged for only if all let it pass. What a rule remembers is in limit_table.h. A rule that goes by what
// a token or an agent says is asked behind that, the others before: the filter stands in the chain twice, each time with the rules of its sort.
#include "filters/registry.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/map.h"
#include "config/authentication_config.h"
#include "config/authorization_config.h"
#include "config/table.h"
#include "filters/limit_table.h"
#include "filters/quota_period.h"
#include "http/headers.h"
#include "stream/claims.h"
#include "stream/explanation.h"
#include "stream/policy_match.h"
#include "stream/request_key.h"
#include "stream/stream.h"
#include "stream/verdict.h"

#include <stdlib.h>

// What one rule remembers, by policy, rule and target.
struct limit_state {
    struct policy_state state;
    struct limit_table *table;
};

struct limiter {
    const struct rate_rule **rules; // those of its sort
    uint32_t rule_count;
    struct policy_state **states; // of each rule
    bool *has_quota;              // the same: any of its tiers has one
};

// A rule that the request counts in.
struct counted {
    struct limit_ask ask;
    uint32_t rule;
    bool is_taken;
};

struct limited {
    struct counted *counted;
    uint32_t count;
    bool is_refused; // or, in a dry run, would have been
    bool is_settled; // nothing is left to be given back or charged for
};

// ---- what is remembered

static uint32_t most_limits(const struct rate_rule *rule) {
    uint32_t most = rule->own.limit_count;
    for (uint32_t i = 0; i < rule->tier_count; i++)
        most = rule->tiers[i].limit_count > most ? rule->tiers[i].limit_count : most;
    return most;
}

static bool has_quota(const struct rate_rule *rule) {
    bool found = rule->own.quota.requests > 0;
    for (uint32_t i = 0; i < rule->tier_count; i++)
        found |= rule->tiers[i].quota.requests > 0;
    return found;
}

struct limit_plan {
    const struct rate_rule *rule;
    uint32_t max_keys;
};

static struct policy_state *create_state(const void *config) {
    const struct limit_plan *plan = config;
    struct limit_state *state = alloc_zeroed_or_abort(1, sizeof *state);
    const bool has_keys = plan->rule->key.count > 0 || plan->rule->tier_count > 0;
    const uint32_t tiers = plan->rule->tier_count > 0 ? plan->rule->tier_count : 1;
    state->table = limit_table_create(has_keys ? plan->max_keys : 0, tiers, most_limits(plan->rule), has_quota(plan->rule));
    return &state->state;
}

static void destroy_state(struct policy_state *policy_state) {
    struct limit_state *state = CONTAINER_OF(policy_state, struct limit_state, state);
    limit_table_destroy(state->table);
    free(state);
}

static uint64_t overflows(struct policy_state *policy_state) {
    return limit_table_shared_count(CONTAINER_OF(policy_state, struct limit_state, state)->table);
}

static const struct policy_state_type state_type = {.create = create_state, .destroy = destroy_state, .overflows = overflows};

static uint64_t tier_form(const struct rate_tier *tier, uint64_t form) {
    form = digest_bytes(form, tier->name);
    for (uint32_t i = 0; i < tier->limit_count; i++)
        form = digest_number(form, tier->limits[i].per);
    return tier->quota.requests > 0 ? digest_number(form, UINT64_C(1) + tier->quota.per) : form;
}

// How many pass is a number, which may change; in what time they do is not, nor by what they are told apart.
static uint64_t form_of(const struct rate_rule *rule, uint32_t max_keys) {
    uint64_t form = tier_form(&rule->own, digest_number(DIGEST_START, max_keys));
    for (uint32_t i = 0; i < rule->tier_count; i++)
        form = tier_form(&rule->tiers[i], form);
    for (uint32_t i = 0; i < rule->key.count; i++)
        form = digest_bytes(digest_number(form, rule->key.parts[i].type), rule->key.parts[i].name);
    return form;
}

// ---- of which sort a rule is

// The client's own until then.
static bool is_made(const struct destination *destination, struct bytes header) {
    return authentication_makes_header(destination, header) || authorization_makes_header(destination, header);
}

static bool matches_by(const struct route_match *match, const struct destination *destination) {
    for (uint32_t i = 0; i < match->header_count; i++)
        if (is_made(destination, match->headers[i].name))
            return true;
    return false;
}

// Whether the rule asks for what is not known before a token is verified, or an agent has spoken: a claim, or a header that is made of what they say.
static bool goes_by_claims(const struct rate_rule *rule, const struct destination *destination) {
    bool goes = rule->tier_count > 0 &&
                (rule->tier_from.source == TIER_CLAIM || (rule->tier_from.source == TIER_HEADER && is_made(destination, rule->tier_from.name)));
    for (uint32_t i = 0; i < rule->key.count; i++)
        goes |= rule->key.parts[i].type == KEY_CLAIM || (rule->key.parts[i].type == KEY_HEADER && is_made(destination, rule->key.parts[i].name));
    for (uint32_t i = 0; i < rule->match_count; i++)
        goes |= matches_by(&rule->matches[i], destination);
    return goes;
}

static const void *configure_sort(const struct filter_scope *scope, bool by_claims, struct pool *pool) {
    const struct rate_limit_config *config = scope->policy->config;
    struct limiter *limiter = pool_alloc_zeroed(pool, sizeof *limiter);
    limiter->rules = pool_alloc_zeroed(pool, config->rule_count * sizeof limiter->rules[0]);
    limiter->states = pool_alloc_zeroed(pool, config->rule_count * sizeof limiter->states[0]);
    limiter->has_quota = pool_alloc_zeroed(pool, config->rule_count * sizeof limiter->has_quota[0]);
    for (uint32_t i = 0; i < config->rule_count; i++) {
        const struct limit_plan plan = {&config->rules[i], config->max_keys};
        const uint32_t index = limiter->rule_count;
        if (goes_by_claims(plan.rule, scope->destination) != by_claims)
            continue;
        limiter->rules[index] = plan.rule;
        limiter->states[index] = filter_state_get(scope, plan.rule->name, form_of(plan.rule, plan.max_keys), &state_type, &plan);
        limiter->has_quota[index] = has_quota(plan.rule);
        limiter->rule_count++;
    }
    return limiter->rule_count == 0 ? NULL : limiter;
}

static const void *configure(const struct filter_scope *scope, struct pool *pool) {
    return configure_sort(scope, false, pool);
}

static const void *configure_claims(const struct filter_scope *scope, struct pool *pool) {
    return configure_sort(scope, true, pool);
}

static void dispose(const void *config) {
    const struct limiter *limiter = config;
    policy_states_release(limiter->states, limiter->rule_count);
}

static struct limit_table *table_of(const struct limiter *limiter, uint32_t rule) {
    return CONTAINER_OF(limiter->states[rule], struct limit_state, state)->table;
}

// ---- what a request is

// The last segment of "spiffe://school.local/ns/school/sa/courses" is "courses".
static struct bytes last_segment(struct bytes path) {
    size_t begin = path.len;
    while (begin > 0 && path.at[begin - 1] != '/')
        begin--;
    return bytes_from(path.at + begin, path.len - begin);
}

static const struct rate_tier *tier_of_name(const struct rate_rule *rule, struct bytes name) {
    for (uint32_t i = 0; i < rule->tier_count; i++)
        if (bytes_equal(rule->tiers[i].name, name))
            return &rule->tiers[i];
    return NULL;
}

// The first of its values that is one.
static const struct rate_tier *tier_of_claim(const struct rate_rule *rule, const struct claims *claims) {
    const struct rate_tier *tier = NULL;
    const struct claim *claim = claims_find(claims, rule->tier_from.name, NULL);
    for (; claim != NULL && tier == NULL; claim = claims_find(claims, rule->tier_from.name, claim))
        tier = tier_of_name(rule, claim->value);
    return tier;
}

static const struct rate_tier *tier_of_key(const struct rate_rule *rule, struct stream *stream) {
    struct bytes value;
    return request_key_value_guarded(&rule->key, stream, &value) ? map_get(rule->tier_from.table, value) : NULL;
}

// NULL: the request says none.
static const struct rate_tier *tier_said(const struct rate_rule *rule, struct stream *stream) {
    switch (rule->tier_from.source) {
    case TIER_HEADER:
        return tier_of_name(rule, fields_only_value(&stream->request->fields, rule->tier_from.name));
    case TIER_IDENTITY:
        return stream->client.identity == NULL ? NULL : tier_of_name(rule, last_segment(stream->client.identity->text));
    case TIER_CLAIM:
        return tier_of_claim(rule, stream->claims);
    case TIER_KEY_TABLE:
        return tier_of_key(rule, stream);
    }
    check_failed("a tier is said by what is no source", __FILE__, __LINE__);
}

static uint32_t tier_of(const struct rate_rule *rule, struct stream *stream) {
    const struct rate_tier *tier = tier_said(rule, stream);
    return tier == NULL ? rule->tier_from.fallback : (uint32_t)(tier - rule->tiers);
}

static struct limit_ask ask_of(const struct rate_rule *rule, bool with_quota, struct stream *stream) {
    struct limit_ask ask = {.tier = &rule->own, .now = stream->env->loop->now};
    uint64_t key = 0; // of all that lack a part of the key
    if (rule->key.count > 0 && !request_key_hash_guarded(&rule->key, stream, &key))
        key = 0;
    if (rule->tier_count > 0) {
        ask.tier_index = tier_of(rule, stream);
        ask.tier = &rule->tiers[ask.tier_index];
    }
    if (with_quota)
        ask.wall_s = loop_wall(stream->env->loop) / NS_PER_S;
    if (ask.tier->quota.requests > 0)
        ask.quota_end_s = quota_period_end(ask.tier->quota.per, ask.wall_s);
    ask.key = hash_mix(key + ask.tier_index); // keys of another tier are other keys
    ask.key += ask.key == 0;                  // that is the key of slots that were never used
    return ask;
}

// ---- verdicts

// The period that a quota is for, in seconds; 0: they differ.
static unsigned long long seconds_of(enum quota_period period) {
    static const unsigned seconds[] = {[QUOTA_HOUR] = 3600, [QUOTA_DAY] = 24 * 3600, [QUOTA_WEEK] = 7 * 24 * 3600, [QUOTA_MONTH] = 0};
    return seconds[period];
}

static unsigned long long whole_seconds(nanoseconds duration) {
    return (duration + NS_PER_S - 1) / NS_PER_S;
}

// RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers): which limit it was, and that nothing of it is left for so long.
static const struct fields *fields_of(struct stream *stream, const struct rate_rule *rule, const struct rate_tier *tier,
                                      const struct limit_answer *answer) {
    struct fields *fields = pool_alloc_zeroed(&stream->pool, sizeof *fields);
    const bool is_quota = answer->outcome == LIMIT_QUOTA_EXCEEDED;
    const unsigned long long most = is_quota ? tier->quota.requests : tier->limits[answer->limit].requests;
    const unsigned long long window = is_quota ? seconds_of(tier->quota.per) : whole_seconds(tier->limits[answer->limit].per);
    fields_init(fields, &stream->pool);
    fields_add(fields, BYTES("RateLimit"), pool_format(&stream->pool, "\"%.*s\";r=0;t=%llu", BYTES_FORMAT(rule->name), whole_seconds(answer->wait)));
    fields_add(fields, BYTES("RateLimit-Policy"),
               window > 0 ? pool_format(&stream->pool, "\"%.*s\";q=%llu;w=%llu", BYTES_FORMAT(rule->name), most, window)
                          : pool_format(&stream->pool, "\"%.*s\";q=%llu", BYTES_FORMAT(rule->name), most));
    return fields;
}

static struct bytes reason_of(struct stream *stream, const struct rate_tier *tier, const struct limit_answer *answer) {
    static const char *const periods[] = {[QUOTA_HOUR] = "hour", [QUOTA_DAY] = "day", [QUOTA_WEEK] = "week", [QUOTA_MONTH] = "month"};
    const struct bytes name = tier->name.len > 0 ? pool_format(&stream->pool, "tier %.*s: ", BYTES_FORMAT(tier->name)) : BYTES_NONE;
    const char *shared = answer->is_shared ? ", shared by keys without a place of their own" : "";
    if (answer->outcome == LIMIT_QUOTA_EXCEEDED)
        return pool_format(&stream->pool, "%.*s%llu in a %s%s", BYTES_FORMAT(name), (unsigned long long)tier->quota.requests,
                           periods[tier->quota.per], shared);
    const struct rate_limit *limit = &tier->limits[answer->limit];
    return pool_format(&stream->pool, "%.*s%u in %llu ms%s", BYTES_FORMAT(name), limit->requests, (unsigned long long)(limit->per / NS_PER_MS),
                       shared);
}

static enum filter_result refuse(struct stream *stream, const struct limiter *limiter, struct limited *limited, const struct counted *counted,
                                 const struct limit_answer *answer) {
    const struct rate_rule *rule = limiter->rules[counted->rule];
    limited->is_refused = true;
    const struct verdict verdict = {.end = answer->outcome == LIMIT_QUOTA_EXCEEDED ? ERROR_QUOTA_EXCEEDED : ERROR_RATE_LIMITED,
                                    .rule = rule->name,
                                    .reason = reason_of(stream, counted->ask.tier, answer),
                                    .state = limiter->states[counted->rule],
                                    .retry_after = answer->wait,
                                    .fields = fields_of(stream, rule, counted->ask.tier, answer)};
    return verdict_refuse(stream, &verdict);
}

// ---- the slots

static void give_back(const struct limiter *limiter, struct limited *limited) {
    for (uint32_t i = 0; i < limited->count; i++) {
        struct counted *counted = &limited->counted[i];
        if (counted->is_taken)
            limit_table_give_back(table_of(limiter, counted->rule), &counted->ask);
        counted->is_taken = false;
    }
}

static enum filter_result refuse_unjudged(struct stream *stream, const struct limiter *limiter, struct limited *limited, uint32_t rule) {
    limited->is_refused = true;
    return verdict_refuse(stream, &(struct verdict){.end = ERROR_BAD_REQUEST,
                                                    .rule = limiter->rules[rule]->name,
                                                    .reason = BYTES("a regular expression takes too much work"),
                                                    .state = limiter->states[rule]});
}

static void tell(struct stream *stream, const struct rate_rule *rule, const struct rate_tier *tier, const struct limit_answer *answer,
                 const struct limit_left *left) {
    explain_rule(stream, rule->name);
    if (tier->name.len > 0)
        explain_text(stream, "tier", tier->name);
    for (uint32_t i = 0; i < tier->limit_count; i++) {
        const struct rate_limit *limit = &tier->limits[i];
        explain_number(stream, "limit_requests", limit->requests);
        explain_number(stream, "limit_per_ms", limit->per / NS_PER_MS);
        explain_number(stream, "limit_burst", limit->burst);
        explain_number(stream, "tokens_left", left->limits[i]);
    }
    if (tier->quota.requests > 0) {
        explain_number(stream, "quota_requests", tier->quota.requests);
        explain_number(stream, "quota_left", left->quota);
    }
    if (answer->is_shared)
        explain_text(stream, "shared", BYTES("with keys that have no place of their own"));
    if (rule->charges_responses)
        explain_text(stream, "charged", BYTES("by the status of the answer"));
}

static struct limit_answer look(struct stream *stream, const struct rate_rule *rule, struct limit_table *table, const struct limit_ask *ask) {
    struct limit_left left;
    if (stream->explanation == NULL)
        return limit_table_look(table, ask);
    const struct limit_answer answer = limit_table_tell(table, ask, &left);
    tell(stream, rule, ask->tier, &answer, &left);
    return answer;
}

static enum filter_result decide_rule(struct stream *stream, const struct limiter *limiter, struct limited *limited, uint32_t index) {
    const struct rate_rule *rule = limiter->rules[index];
    bool is_for;
    if (policy_match(stream, rule->matches, rule->match_count, &is_for) != OK)
        return refuse_unjudged(stream, limiter, limited, index);
    if (!is_for)
        return FILTER_CONTINUE;
    struct counted *counted = &limited->counted[limited->count++];
    *counted = (struct counted){.rule = index, .ask = ask_of(rule, limiter->has_quota[index], stream)};
    // Of several rules the first that says no is the one, and the others cost nothing: each is looked at in its turn.
    if (limiter->rule_count == 1 && !rule->charges_responses && filter_may_leave_to_charge(stream))
        return FILTER_CONTINUE;
    const struct limit_answer answer = look(stream, rule, table_of(limiter, index), &counted->ask);
    return answer.outcome == LIMIT_PASSES ? FILTER_CONTINUE : refuse(stream, limiter, limited, counted, &answer);
}

static enum filter_result decide(struct stream *stream, const void *config, void *state) {
    const struct limiter *limiter = config;
    struct limited *limited = state;
    if (stream->request->opaque)
        return FILTER_CONTINUE; // a connection is no request
    limited->counted = pool_alloc(&stream->pool, limiter->rule_count * sizeof limited->counted[0]);
    for (uint32_t i = 0; i < limiter->rule_count; i++) {
        const enum filter_result result = decide_rule(stream, limiter, limited, i);
        if (result != FILTER_CONTINUE || limited->is_refused)
            return result;
    }
    return FILTER_CONTINUE;
}

static enum filter_result charge(struct stream *stream, const void *config, void *state) {
    const struct limiter *limiter = config;
    struct limited *limited = state;
    for (uint32_t i = 0; i < limited->count && !limited->is_refused; i++) {
        struct counted *counted = &limited->counted[i];
        if (limiter->rules[counted->rule]->charges_responses)
            continue;
        const struct limit_answer answer = limit_table_take(table_of(limiter, counted->rule), &counted->ask);
        counted->is_taken = answer.outcome == LIMIT_PASSES;
        if (counted->is_taken)
            continue;
        give_back(limiter, limited); // decide has left it to this, or another worker has taken the last one meanwhile
        return refuse(stream, limiter, limited, counted, &answer);
    }
    return FILTER_CONTINUE;
}

static bool is_charged(const struct rate_rule *rule, unsigned status) {
    const unsigned bit = status - CHARGE_STATUS_MIN;
    return rule->charges_responses && status >= CHARGE_STATUS_MIN && status <= CHARGE_STATUS_MAX && (rule->charged[bit / 64] >> bit % 64 & 1) != 0;
}

// What was refused behind this filter costs nothing; of what was answered, by whomever, some rules count the status alone.
static void settle(const struct stream *stream, const struct limiter *limiter, struct limited *limited, unsigned status) {
    if (limited->is_settled)
        return;
    limited->is_settled = true;
    if (!stream->filters.passed)
        give_back(limiter, limited);
    for (uint32_t i = 0; i < limited->count && !limited->is_refused; i++) {
        struct counted *counted = &limited->counted[i];
        counted->ask.now = stream->env->loop->now;
        if (is_charged(limiter->rules[counted->rule], status))
            limit_table_force(table_of(limiter, counted->rule), &counted->ask);
    }
}

// As soon as the status is known: whoever leaves the answer unread puts nothing off.
static enum filter_result response_head(struct stream *stream, const void *config, void *state, struct head *head) {
    settle(stream, config, state, head->status);
    return FILTER_CONTINUE;
}

// Without a config a head has gone down before.
static void end(struct stream *stream, const void *config, void *state) {
    if (config != NULL)
        settle(stream, config, state, 0);
}

const struct filter_type filter_rate_limit = {
    .name = "rate_limit",
    .state_size = sizeof(struct limited),
    .ends_without_config = true,
    .policy = POLICY_RATE_LIMIT,
    .configure = configure,
    .ops = {.decide = decide, .charge = charge, .response_head = response_head, .end = end, .dispose = dispose},
};

const struct filter_type filter_rate_limit_claims = {
    .name = "rate_limit_claims",
    .state_size = sizeof(struct limited),
    .ends_without_config = true,
    .policy = POLICY_RATE_LIMIT,
    .configure = configure_claims,
    .ops = {.decide = decide, .charge = charge, .response_head = response_head, .end = end, .dispose = dispose},
};
