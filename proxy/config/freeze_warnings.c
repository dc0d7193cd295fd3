// What is doubtful about policies where they act, which no document shows alone: told once for each document and what of it is meant. Nothing is refused for it.
#include "config/freeze_private.h"

#include "config/authentication_config.h"
#include "config/authorization_config.h"
#include "config/bulkhead_config.h"
#include "config/policy_keys.h"
#include "config/rate_limit_config.h"

#include <arpa/inet.h>

// Whether that of the document is yet to be told; from now on it is not.
static bool is_news(struct freezing *freezing, struct bytes label, struct bytes part, const char *what) {
    struct bytes key = pool_format(freezing->loading->scratch, "%.*s|%.*s|%s", BYTES_FORMAT(label), BYTES_FORMAT(part), what);
    return map_put(&freezing->told, key, freezing) == NULL;
}

// With a NUL behind it, which is what errors take.
static const char *text_of(struct freezing *freezing, struct bytes label) {
    return pool_format(freezing->loading->scratch, "%.*s", BYTES_FORMAT(label)).at;
}

// ---- claims that nobody has

static bool has_claim(const struct request_key *key) {
    bool has = false;
    for (uint32_t i = 0; i < key->count; i++)
        has |= key->parts[i].type == KEY_CLAIM;
    return has;
}

static bool tier_goes_by_claim(const struct rate_rule *rule) {
    return rule->tier_count > 0 && rule->tier_from.source == TIER_CLAIM;
}

static bool rule_goes_by_claim(const struct authorization_rule *rule) {
    bool goes = false;
    for (uint32_t i = 0; i < rule->condition_count; i++)
        goes |= rule->conditions[i].part.type == KEY_CLAIM;
    return goes;
}

static void warn_of_no_claims(struct freezing *freezing, const struct policy *policy, struct bytes rule, const struct destination *destination) {
    if (is_news(freezing, policy->label, rule, "claim"))
        config_errors_add(freezing->loading->warnings, policy->place, text_of(freezing, policy->label), NULL,
                          "%.*s goes by a claim, but no AuthenticationPolicy that is enforced is for %.*s: no request has a claim there",
                          BYTES_FORMAT(rule), BYTES_FORMAT(destination->service->key));
}

static void check_claims(struct freezing *freezing, const struct policy *policy, const struct destination *destination) {
    const struct rate_limit_config *limits = policy->config;
    const struct authorization_config *authorization = policy->config;
    struct policy_key of_rule;
    for (uint32_t i = 0; policy_key_at(policy, i, &of_rule); i++)
        if (has_claim(of_rule.key))
            warn_of_no_claims(freezing, policy, of_rule.rule, destination);
    for (uint32_t i = 0; policy->kind == POLICY_RATE_LIMIT && i < limits->rule_count; i++)
        if (tier_goes_by_claim(&limits->rules[i]))
            warn_of_no_claims(freezing, policy, limits->rules[i].name, destination);
    for (uint32_t i = 0; policy->kind == POLICY_AUTHORIZATION && i < authorization->rule_count; i++)
        if (rule_goes_by_claim(&authorization->rules[i]))
            warn_of_no_claims(freezing, policy, authorization->rules[i].name, destination);
}

static bool verifies_tokens(const struct destination *destination) {
    bool verifies = false;
    for (uint32_t i = 0; i < destination->policy_count; i++)
        verifies |= destination->policies[i]->kind == POLICY_AUTHENTICATION && !destination->policies[i]->is_dry_run;
    return verifies;
}

// ---- pools that learn nothing

static void check_pools(struct freezing *freezing, const struct policy *policy, const struct destination *destination) {
    const struct bulkhead_config *config = policy->config;
    for (uint32_t i = 0; policy->kind == POLICY_BULKHEAD && i < config->pool_count; i++) {
        const struct bulkhead_pool_config *pool = &config->pools[i];
        if (pool->match_count == 0 && pool->max_concurrent == 0 && is_news(freezing, policy->label, pool->name, "adaptive"))
            config_errors_add(
                freezing->loading->warnings, policy->place, text_of(freezing, policy->label), NULL,
                "%.*s is adaptive, but %.*s carries opaque bytes, of which it learns nothing: it stays as it begins; maxConcurrent would hold",
                BYTES_FORMAT(pool->name), BYTES_FORMAT(destination->service->key));
    }
}

// ---- keys and decisions in plain text

static bool is_loopback(const struct endpoint_config *endpoint) {
    const struct in6_addr *v6 = (const void *)endpoint->address.ip;
    return endpoint->address.version == 4 ? endpoint->address.ip[0] == 127 : IN6_IS_ADDR_LOOPBACK(v6);
}

static bool is_in_the_open(const struct service_config *service) {
    bool is_open = false;
    for (uint32_t i = 0; i < service->endpoint_count; i++)
        is_open |= service->endpoints[i].traits->tls == TLS_NONE && !is_loopback(&service->endpoints[i]);
    for (uint32_t i = 0; i < service->source_count; i++) {
        const struct endpoint_source *source = &service->sources[i];
        const bool is_here = source->name.len > 0 ? bytes_equal(source->name, BYTES("localhost")) : is_loopback(&source->endpoint);
        is_open |= source->endpoint.traits->tls == TLS_NONE && !is_here;
    }
    return is_open;
}

static void check_url(struct freezing *freezing, const struct policy *policy, const struct service_url *url, const char *what) {
    if (url != NULL && !url->is_https && is_in_the_open(url->service) && is_news(freezing, policy->label, url->text, "plain"))
        config_errors_add(freezing->loading->warnings, policy->place, text_of(freezing, policy->label), NULL,
                          "%.*s goes over the network in plain text: who stands between can make up %s; https, or a service with TLS, keeps him out",
                          BYTES_FORMAT(url->text), what);
}

static void check_urls(struct freezing *freezing, const struct policy *policy) {
    const struct authentication_config *tokens = policy->config;
    const struct authorization_config *authorization = policy->config;
    for (uint32_t i = 0; policy->kind == POLICY_AUTHENTICATION && i < tokens->provider_count; i++)
        check_url(freezing, policy, tokens->providers[i].url, "keys, and so tokens");
    if (policy->kind == POLICY_AUTHORIZATION && authorization->action == AUTHORIZATION_EXTERNAL)
        check_url(freezing, policy, authorization->agent.url, "decisions");
}

// ---- routes by what is not known yet

void freeze_warn_of_rule(struct freezing *freezing, const struct rule_spec *spec, const struct destination *destination) {
    const struct route_rule *rule = destination->rule;
    for (uint32_t i = 0; i < spec->match_count; i++)
        for (uint32_t j = 0; j < spec->matches[i].header_count; j++) {
            const struct bytes name = spec->matches[i].headers[j].name;
            const bool is_made = authentication_makes_header(destination, name) || authorization_makes_header(destination, name);
            if (is_made && is_news(freezing, rule->label, name, "made"))
                config_errors_add(freezing->loading->warnings, rule->place, text_of(freezing, rule->route), NULL,
                                  "matches %.*s as the client sends it: the policies that make that header act once the route has been chosen",
                                  BYTES_FORMAT(name));
        }
}

void freeze_warn_of_policies(struct freezing *freezing) {
    for (uint32_t i = 0; i < freezing->snapshot->destination_count; i++) {
        const struct destination *destination = freezing->snapshot->destinations[i];
        const bool is_opaque = protocol_is_opaque(destination->service->protocol);
        const bool has_claims = is_opaque || verifies_tokens(destination);
        for (uint32_t k = 0; k < destination->policy_count; k++) {
            if (!has_claims)
                check_claims(freezing, destination->policies[k], destination);
            if (is_opaque)
                check_pools(freezing, destination->policies[k], destination);
            check_urls(freezing, destination->policies[k]);
        }
    }
}
