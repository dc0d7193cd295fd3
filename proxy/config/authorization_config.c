// Which headers an agent's answer sets, and nobody else. See authorization_config.h.
#include "config/authorization_config.h"

#include "config/policy.h"
#include "config/snapshot.h"
#include "http/headers.h"

bool authorization_takes_off(const struct authorization_config *config, struct bytes name) {
    for (uint32_t i = 0; config->action == AUTHORIZATION_EXTERNAL && i < config->agent.header_count; i++)
        if (field_name_reads_as(name, config->agent.headers[i]))
            return true;
    return false;
}

bool authorization_makes_header(const struct destination *destination, struct bytes name) {
    for (uint32_t i = 0; i < destination->policy_count; i++) {
        const struct policy *policy = destination->policies[i];
        if (policy->kind == POLICY_AUTHORIZATION && !policy->is_dry_run && authorization_takes_off(policy->config, name))
            return true;
    }
    return false;
}
