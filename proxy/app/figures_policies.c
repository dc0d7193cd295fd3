// What the rules of policies have done: read from their live state, which counts for all workers.
#include "app/figures.h"

#include "upstream/breaker_state.h"

#define OTHER BYTES("_other")

// The first ADMIN_POLICIES_MAX; all others are one.
struct rows {
    struct admin_policy *items;
    uint32_t count;
    struct bytes other_rule;
};

struct listing {
    struct pool *pool;
    struct rows rules;
    struct rows endpoints; // breakers of endpoints: however many there are, they push nobody else's figures out
    bool is_dry_run;
    nanoseconds now;
};

// One more, or where there are too many the last one, in which the rest count together.
static struct admin_policy *place_for(struct rows *rows) {
    if (rows->count <= ADMIN_POLICIES_MAX)
        rows->count++;
    return &rows->items[rows->count - 1];
}

// Changes add up; of several there is no state.
static void add_breaker(struct circuit_breaker *breaker, const struct listing *listing, struct admin_policy *policy, bool is_one_too_many) {
    const struct circuit_view view = circuit_breaker_look(breaker, listing->now);
    policy->is_breaker = true;
    policy->breaker_state_known = !is_one_too_many;
    policy->breaker_state = view.state;
    for (int state = 0; state < CIRCUIT_STATES; state++)
        policy->breaker_changes[state] += view.changes[state];
}

static void add_queue(struct policy_state *state, struct admin_policy *policy) {
    struct policy_queue queue;
    state->type->queue(state, &queue);
    policy->queue_known = true;
    policy->queue.running += queue.running;
    policy->queue.limit += queue.limit;
    policy->queue.queued += queue.queued;
    policy->queue.waited += queue.waited;
    for (unsigned i = 0; i < DURATION_BUCKETS; i++)
        policy->queue.waits[i] += queue.waits[i];
}

// Its texts are copied: it may be gone once its set is unlocked.
static void list_state(struct policy_state *state, void *user) {
    struct listing *listing = user;
    struct rows *rows = state->type->is_of_endpoint ? &listing->endpoints : &listing->rules;
    const bool is_one_too_many = rows->count >= ADMIN_POLICIES_MAX;
    struct admin_policy *policy = place_for(rows);
    policy->policy = is_one_too_many ? OTHER : pool_copy(listing->pool, state->policy);
    policy->rule = is_one_too_many ? rows->other_rule : pool_copy(listing->pool, state->rule);
    policy->target = is_one_too_many ? OTHER : pool_copy(listing->pool, state->target);
    policy->is_dry_run = !is_one_too_many && listing->is_dry_run;
    policy->refusals += atomic_load_explicit(&state->refusals, memory_order_relaxed);
    policy->delays += atomic_load_explicit(&state->delays, memory_order_relaxed);
    if (state->type->breaker != NULL)
        add_breaker(state->type->breaker(state), listing, policy, is_one_too_many);
    if (state->type->queue != NULL)
        add_queue(state, policy);
    if (state->type->overflows == NULL)
        return;
    policy->overflows_known = true;
    policy->overflows += state->type->overflows(state);
}

void figures_fill_policies(const struct proxy *proxy, struct pool *pool, struct admin_figures *figures) {
    const size_t most = ADMIN_POLICIES_MAX + 1;
    figures->policies = pool_alloc_zeroed(pool, 2 * most * sizeof figures->policies[0]);
    struct listing listing = {.pool = pool, .now = proxy->loop.now};
    listing.rules = (struct rows){.items = figures->policies, .other_rule = OTHER};
    listing.endpoints = (struct rows){.items = figures->policies + most, .other_rule = BYTES(BREAKER_RULE)};
    policy_state_each(proxy->policies.live, list_state, &listing);
    listing.is_dry_run = true;
    policy_state_each(proxy->policies.shadow, list_state, &listing);
    memmove(figures->policies + listing.rules.count, listing.endpoints.items, listing.endpoints.count * sizeof figures->policies[0]);
    figures->policy_count = listing.rules.count + listing.endpoints.count;
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
