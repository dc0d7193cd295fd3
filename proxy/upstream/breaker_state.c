// See breaker_state.h. What of a policy makes a breaker another one stands here.
#include "upstream/breaker_state.h"

#include "base/list.h"
#include "base/pool.h"
#include "config/table.h"

#include <stdlib.h>

struct plan {
    const struct circuit_breaker_config *config;
    struct bytes policy, target;
};

static struct policy_state *create(const void *config) {
    const struct plan *plan = config;
    struct breaker_state *state = alloc_zeroed_or_abort(1, sizeof *state);
    state->breaker = circuit_breaker_create(plan->config, plan->policy, plan->target);
    return &state->state;
}

static struct breaker_state *of(struct policy_state *state) {
    return CONTAINER_OF(state, struct breaker_state, state);
}

static void destroy(struct policy_state *state) {
    circuit_breaker_unref(of(state)->breaker);
    free(of(state));
}

static struct circuit_breaker *breaker(struct policy_state *state) {
    return of(state)->breaker;
}

static const struct policy_state_type type = {.create = create, .destroy = destroy, .breaker = breaker};
static const struct policy_state_type endpoint_type = {.create = create, .destroy = destroy, .breaker = breaker, .is_of_endpoint = true};

// How much opens it is a number; what does is not.
static uint64_t form_of(const struct circuit_breaker_config *config) {
    uint64_t form = digest_number(DIGEST_START, config->window);
    form = digest_number(form, config->scope);
    form = digest_number(form, config->failure_threshold > 0);
    form = digest_number(form, config->failure_percent > 0);
    return digest_number(form, config->slow_call.threshold > 0);
}

struct breaker_state *breaker_state_get(struct policy_state_set *set, const struct circuit_breaker_config *config, struct bytes policy,
                                        struct bytes target) {
    const struct plan plan = {config, policy, target};
    const struct policy_state_type *of_scope = config->scope == CIRCUIT_OF_ENDPOINT ? &endpoint_type : &type;
    struct breaker_state *state = of(policy_state_get(set, policy, BYTES(BREAKER_RULE), target, form_of(config), of_scope, &plan));
    circuit_breaker_set(state->breaker, config);
    return state;
}
