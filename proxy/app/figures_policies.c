// What the rules of policies have done: read from their live state, which counts for all workers.
#include "app/figures.h"

#include "upstream/breaker_state.h"

struct listing {
    struct pool *pool;
    struct admin_figures *figures;
    uint32_t capacity;
    bool is_dry_run;
    nanoseconds now;
};

static struct admin_policy *add_policy(struct listing *listing) {
    struct admin_figures *figures = listing->figures;
    if (figures->policy_count == listing->capacity) {
        listing->capacity = listing->capacity * 2 + 64;
        struct admin_policy *larger = pool_alloc(listing->pool, listing->capacity * sizeof *larger);
        if (figures->policy_count > 0)
            memcpy(larger, figures->policies, figures->policy_count * sizeof *larger);
        figures->policies = larger;
    }
    return &figures->policies[figures->policy_count++];
}

// Its texts are copied: it may be gone once its set is unlocked.
static void list_state(struct policy_state *state, void *user) {
    struct listing *listing = user;
    struct admin_policy *policy = add_policy(listing);
    *policy = (struct admin_policy){.policy = pool_copy(listing->pool, state->policy),
                                    .rule = pool_copy(listing->pool, state->rule),
                                    .target = pool_copy(listing->pool, state->target),
                                    .is_dry_run = listing->is_dry_run,
                                    .overflows_known = state->type->overflows != NULL,
                                    .is_breaker = state->type->breaker != NULL,
                                    .begun = state->begun};
    policy_totals_add(&policy->totals, state);
    if (policy->is_breaker)
        policy->breaker_state = circuit_breaker_look(state->type->breaker(state), listing->now).state;
}

void figures_fill_policies(const struct proxy *proxy, struct pool *pool, struct admin_figures *figures) {
    struct listing listing = {.pool = pool, .figures = figures, .now = proxy->loop.now};
    policy_state_figures(proxy->policies.live, list_state, &listing, &figures->other_policies);
    listing.is_dry_run = true;
    policy_state_figures(proxy->policies.shadow, list_state, &listing, &figures->other_policies);
}

struct bytes figures_breaker_state(const struct proxy *proxy, const struct service_config *service) {
    const struct circuit_breaker_config *config = &service->traffic.circuit_breaker;
    struct policy_state_set *set = config->dry_run ? proxy->policies.shadow : proxy->policies.live;
    if (!circuit_breaker_is_set(config) || config->scope != CIRCUIT_OF_SERVICE)
        return BYTES_NONE;
    struct policy_state *state = policy_state_find(set, config->policy, BYTES(BREAKER_RULE), service->key);
    if (state == NULL)
        return BYTES_NONE;
    const struct circuit_view view = circuit_breaker_look(state->type->breaker(state), proxy->loop.now);
    policy_state_release(state);
    return bytes_from_text(circuit_state_name(view.state));
}
