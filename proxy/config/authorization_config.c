// Which headers an agent's answer sets, and nobody else. See authorization_config.h.
#include "config/authorization_config.h"

#include "http/headers.h"

bool authorization_takes_off(const struct authorization_config *config, struct bytes name) {
    for (uint32_t i = 0; config->action == AUTHORIZATION_EXTERNAL && i < config->agent.header_count; i++)
        if (field_name_reads_as(name, config->agent.headers[i]))
            return true;
    return false;
}
