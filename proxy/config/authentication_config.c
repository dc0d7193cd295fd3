// Which headers are a policy's own: for the filter that takes them off, and for those that must not believe them before. See authentication_config.h.
#include "config/authentication_config.h"

#include "config/policy.h"
#include "http/headers.h"

bool authentication_takes_off(const struct authentication_config *config, struct bytes name) {
    for (uint32_t i = 0; i < config->provider_count; i++)
        for (uint32_t j = 0; j < config->providers[i].header_count; j++)
            if (field_name_reads_as(name, config->providers[i].headers[j].header))
                return true;
    return false;
}

bool authentication_makes_header(const struct destination *destination, struct bytes name) {
    for (uint32_t i = 0; i < destination->policy_count; i++) {
        const struct policy *policy = destination->policies[i];
        if (policy->kind == POLICY_AUTHENTICATION && !policy->is_dry_run && authentication_takes_off(policy->config, name))
            return true;
    }
    return false;
}
