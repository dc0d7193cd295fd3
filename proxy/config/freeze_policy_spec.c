// The specs of policies of additive kinds, as filters read them.
#include "config/freeze_private.h"

#include "base/check.h"
#include "config/content.h"
#include "config/key_table.h"
#include "config/resource_authentication.h"
#include "config/resource_authorization.h"
#include "config/resource_bulkhead.h"
#include "config/resource_fault.h"
#include "config/resource_rate_limit.h"

static const struct route_match *freeze_matches(struct freezing *freezing, const struct match_spec *specs, uint32_t count) {
    struct route_match *matches = pool_alloc_zeroed(freezing->pool, count * sizeof(*matches) + 1);
    for (uint32_t i = 0; i < count; i++)
        matches[i] = freeze_match(freezing, &specs[i]);
    return matches;
}

static void drop_map(void *map) {
    map_dispose(map);
}

static const struct map *freeze_key_table(struct freezing *freezing, const struct rate_rule *rule, struct bytes file) {
    struct map *table = pool_alloc(freezing->pool, sizeof(*table));
    struct bytes text = content_find(freezing->loading, file)->text;
    struct key_line line;
    uint32_t number = 0;
    map_init(table);
    pool_on_dispose(freezing->pool, drop_map, table);
    while (key_table_next(&text, &number, &line))
        for (uint32_t i = 0; i < rule->tier_count; i++)
            if (bytes_equal(rule->tiers[i].name, line.tier))
                map_put(table, line.key, &rule->tiers[i]);
    return table;
}

static void freeze_rate_rule(struct freezing *freezing, const struct rate_rule_spec *spec, struct rate_rule *rule) {
    *rule = spec->rule;
    rule->matches = freeze_matches(freezing, spec->matches, spec->match_count);
    rule->match_count = spec->match_count;
    if (spec->tier_file.len > 0)
        rule->tier_from.table = freeze_key_table(freezing, rule, spec->tier_file);
}

static const void *freeze_rate_limit(struct freezing *freezing, const struct document *document) {
    const struct rate_limit_spec *spec = document->spec;
    struct rate_limit_config *config = pool_alloc_zeroed(freezing->pool, sizeof(*config));
    config->max_keys = spec->max_keys;
    config->rule_count = spec->rule_count;
    config->rules = pool_alloc_zeroed(freezing->pool, spec->rule_count * sizeof(config->rules[0]) + 1);
    for (uint32_t i = 0; i < spec->rule_count; i++)
        freeze_rate_rule(freezing, &spec->rules[i], &config->rules[i]);
    return config;
}

static void freeze_fault_rule(struct freezing *freezing, const struct fault_rule_spec *spec, struct fault_rule *rule) {
    *rule = spec->rule;
    rule->matches = freeze_matches(freezing, spec->matches, spec->match_count);
    rule->match_count = spec->match_count;
}

static const void *freeze_fault(struct freezing *freezing, const struct document *document) {
    const struct fault_spec *spec = document->spec;
    struct fault_config *config = pool_alloc_zeroed(freezing->pool, sizeof(*config));
    config->rule_count = spec->rule_count;
    config->rules = pool_alloc_zeroed(freezing->pool, spec->rule_count * sizeof(config->rules[0]) + 1);
    for (uint32_t i = 0; i < spec->rule_count; i++)
        freeze_fault_rule(freezing, &spec->rules[i], &config->rules[i]);
    return config;
}

static const void *freeze_authorization(struct freezing *freezing, const struct document *document) {
    const struct authorization_spec *spec = document->spec;
    struct authorization_config *config = pool_alloc_zeroed(freezing->pool, sizeof(*config));
    config->action = spec->action;
    config->agent = spec->agent;
    if (spec->action == AUTHORIZATION_EXTERNAL)
        config->agent.url = freeze_url(freezing, spec->url);
    config->rule_count = spec->rule_count;
    config->rules = pool_alloc_zeroed(freezing->pool, spec->rule_count * sizeof(config->rules[0]) + 1);
    for (uint32_t i = 0; i < spec->rule_count; i++) {
        struct authorization_rule *rule = &config->rules[i];
        *rule = spec->rules[i].rule;
        rule->matches = freeze_matches(freezing, spec->rules[i].matches, spec->rules[i].match_count);
        rule->match_count = spec->rules[i].match_count;
        rule->not_matches = freeze_matches(freezing, spec->rules[i].not_matches, spec->rules[i].not_match_count);
        rule->not_match_count = spec->rules[i].not_match_count;
    }
    return config;
}

static void freeze_bulkhead_pool(struct freezing *freezing, const struct bulkhead_pool_spec *spec, struct bulkhead_pool_config *pool) {
    *pool = spec->pool;
    pool->matches = freeze_matches(freezing, spec->matches, spec->match_count);
    pool->match_count = spec->match_count;
}

static const void *freeze_bulkhead(struct freezing *freezing, const struct document *document) {
    const struct bulkhead_spec *spec = document->spec;
    struct bulkhead_config *config = pool_alloc_zeroed(freezing->pool, sizeof(*config));
    *config = spec->config;
    config->pool_count = spec->pool_count;
    config->pools = pool_alloc_zeroed(freezing->pool, spec->pool_count * sizeof(config->pools[0]) + 1);
    for (uint32_t i = 0; i < spec->pool_count; i++)
        freeze_bulkhead_pool(freezing, &spec->pools[i], &config->pools[i]);
    return config;
}

static void drop_keys(void *keys) {
    jwk_set_unref(keys);
}

static void freeze_provider(struct freezing *freezing, const struct jwt_provider_spec *spec, struct jwt_provider *provider) {
    *provider = spec->provider;
    provider->rules.audiences = spec->audiences;
    provider->rules.skew_s = (uint32_t)(spec->clock_skew / NS_PER_S);
    for (unsigned i = 0; i < JWT_ALGORITHM_COUNT; i++)
        provider->rules.algorithms |= spec->algorithms[i] ? UINT32_C(1) << i : 0;
    if (provider->from_count == 0) {
        provider->from = pool_alloc(freezing->pool, sizeof(provider->from[0]));
        provider->from[provider->from_count++] = (struct token_source){TOKEN_HEADER, BYTES("authorization"), BYTES("Bearer ")};
    }
    if (spec->uri.len > 0) {
        provider->url = freeze_url(freezing, spec->uri);
        return;
    }
    const char *wrong;
    const struct bytes text = content_find(freezing->loading, spec->file)->text;
    provider->keys = jwk_set_read(text, &wrong);
    CHECK(provider->keys != NULL); // it was checked
    provider->keys_digest = digest_bytes(DIGEST_START, text);
    pool_on_dispose(freezing->pool, drop_keys, provider->keys);
}

static const void *freeze_authentication(struct freezing *freezing, const struct document *document) {
    const struct authentication_spec *spec = document->spec;
    struct authentication_config *config = pool_alloc_zeroed(freezing->pool, sizeof(*config));
    config->required = spec->required;
    config->provider_count = spec->provider_count;
    config->providers = pool_alloc_zeroed(freezing->pool, spec->provider_count * sizeof(config->providers[0]));
    for (uint32_t i = 0; i < spec->provider_count; i++)
        freeze_provider(freezing, &spec->providers[i], &config->providers[i]);
    return config;
}

const void *freeze_policy_spec(struct freezing *freezing, const struct document *document) {
    static const void *(*const freezers[])(struct freezing * freezing, const struct document *document) = {
        [POLICY_BULKHEAD] = freeze_bulkhead,
        [POLICY_FAULT] = freeze_fault,
        [POLICY_RATE_LIMIT] = freeze_rate_limit,
        [POLICY_AUTHORIZATION] = freeze_authorization,
        [POLICY_AUTHENTICATION] = freeze_authentication,
    };
    return freezers[policy_kind_of(document)](freezing, document);
}
