// What the rules of policies have done: read from their live state, which counts for all workers.
#include "app/figures.h"

#include "upstream/policy_state.h"

#define OTHER BYTES("_other")

struct listing {
    struct pool *pool;
    struct admin_figures *figures;
    bool is_dry_run;
};

// One more, or where there are too many the last one, in which the rest count together.
static struct admin_policy *place_for(struct admin_figures *figures) {
    if (figures->policy_count <= ADMIN_POLICIES_MAX)
        figures->policy_count++;
    return &figures->policies[figures->policy_count - 1];
}

// Its texts are copied: it may be gone once its set is unlocked.
static void list_state(struct policy_state *state, void *user) {
    const struct listing *listing = user;
    struct admin_figures *figures = listing->figures;
    const bool is_one_too_many = figures->policy_count >= ADMIN_POLICIES_MAX;
    struct admin_policy *policy = place_for(figures);
    policy->policy = is_one_too_many ? OTHER : pool_copy(listing->pool, state->policy);
    policy->rule = is_one_too_many ? OTHER : pool_copy(listing->pool, state->rule);
    policy->target = is_one_too_many ? OTHER : pool_copy(listing->pool, state->target);
    policy->is_dry_run = !is_one_too_many && listing->is_dry_run;
    policy->refusals += atomic_load_explicit(&state->refusals, memory_order_relaxed);
    policy->delays += atomic_load_explicit(&state->delays, memory_order_relaxed);
    if (state->type->overflows == NULL)
        return;
    policy->overflows_known = true;
    policy->overflows += state->type->overflows(state);
}

void figures_fill_policies(const struct proxy *proxy, struct pool *pool, struct admin_figures *figures) {
    figures->policies = pool_alloc_zeroed(pool, (ADMIN_POLICIES_MAX + 1) * sizeof figures->policies[0]);
    struct listing listing = {.pool = pool, .figures = figures};
    policy_state_each(proxy->policies.live, list_state, &listing);
    listing.is_dry_run = true;
    policy_state_each(proxy->policies.shadow, list_state, &listing);
}
