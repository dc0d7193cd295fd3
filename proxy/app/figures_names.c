// What the resolver knows of the names of a service, for /clusters.
#include "app/figures.h"

// Of one service; a page with more says nothing to anybody.
#define NAMES_MAX 512

static struct admin_name name_figures(const struct resolved_name_state *state, struct pool *pool) {
    return (struct admin_name){
        .name = pool_copy(pool, state->name),
        .type = state->kind == DNS_SERVICES ? BYTES("service") : BYTES("address"),
        .state = bytes_from_text(dns_name_state_name(state->state)),
        .outcome = state->asked ? bytes_from_text(dns_outcome_name(state->outcome)) : BYTES_NONE,
        .records = state->records,
        .ttl_s = state->ttl_s,
        .failures = state->failures,
        .answered_wall = state->answered_wall,
        .next = state->next,
    };
}

void figures_fill_names(const struct proxy *proxy, const struct service_config *config, struct pool *pool, struct admin_service *service) {
    static const struct bytes resolutions[] = {
        [RESOLUTION_STATIC] = BYTES("Static"), [RESOLUTION_DNS] = BYTES("DNS"), [RESOLUTION_SRV] = BYTES("SRV")};
    service->resolution = resolutions[config->resolution];
    if (config->resolution == RESOLUTION_STATIC)
        return;
    struct resolved_name_state *states = pool_alloc(pool, NAMES_MAX * sizeof *states);
    uint32_t count = resolver_names(proxy->resolver, config, states, NAMES_MAX);
    service->name_count = count < NAMES_MAX ? count : NAMES_MAX;
    service->names = pool_alloc(pool, (service->name_count + 1) * sizeof service->names[0]);
    for (uint32_t i = 0; i < service->name_count; i++)
        service->names[i] = name_figures(&states[i], pool);
}
