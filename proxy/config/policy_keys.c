// The keys that rules of policies count by, out of what each kind says: see policy_keys.h. Nothing is made of them here.
#include "config/policy_keys.h"

#include "base/check.h"
#include "config/bulkhead_config.h"
#include "config/rate_limit_config.h"

static bool key_of_limit(const struct rate_limit_config *config, uint32_t number, struct policy_key *key) {
    if (number >= config->rule_count)
        return false;
    *key = (struct policy_key){config->rules[number].name, &config->rules[number].key};
    return true;
}

static bool key_of_pool(const struct bulkhead_config *config, uint32_t number, struct policy_key *key) {
    if (number >= config->pool_count)
        return false;
    *key = (struct policy_key){config->pools[number].name, &config->pools[number].per_key.key};
    return true;
}

bool policy_key_at(const struct policy *policy, uint32_t number, struct policy_key *key) {
    switch (policy->kind) {
    case POLICY_RATE_LIMIT:
        return key_of_limit(policy->config, number, key);
    case POLICY_BULKHEAD:
        return key_of_pool(policy->config, number, key);
    case POLICY_FAULT:
    case POLICY_AUTHORIZATION:
    case POLICY_AUTHENTICATION:
    case POLICY_CIRCUIT_BREAKER:
        return false; // they tell nobody from others
    case POLICY_NONE:
        break;
    }
    check_failed("a policy is of no kind", __FILE__, __LINE__);
}
