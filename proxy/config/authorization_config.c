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
    for (uint32_t i = 0; i < destination->policy_count; i++)
        if (destination->policies[i]->kind == POLICY_AUTHORIZATION && authorization_takes_off(destination->policies[i]->config, name))
            return true;
    return false;
}
