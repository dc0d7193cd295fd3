// spec.circuitBreaker of a TrafficPolicy, scope Service: each attempt asks the breaker of its service, which learns what becomes of it. The breaker itself is in
// upstream/circuit_breaker.h, what counts as a failure in stream/breaking.h.
#include "filters/registry.h"

#include "stream/attempt.h"
#include "stream/breaking.h"
#include "stream/explanation.h"
#include "stream/stream.h"
#include "upstream/breaker_state.h"

struct guard {
    const struct policy *policy;
    struct breaker_state *state;
};

struct guarded {
    struct attempt *attempt; // first
    bool is_refused;         // or, in a dry run, would have been
};

static const void *configure(const struct filter_scope *scope, struct pool *pool) {
    const struct circuit_breaker_config *config = scope->policy->config;
    if (config->scope == CIRCUIT_OF_ENDPOINT)
        return NULL; // the pick of an endpoint asks (stream/breaking.h)
    struct guard *guard = pool_alloc(pool, sizeof *guard);
    *guard = (struct guard){.policy = scope->policy, .state = breaker_state_get(scope->states, config, scope->policy->label, scope->policy->target)};
    return guard;
}

static void dispose(const void *config) {
    const struct guard *guard = config;
    policy_state_release(&guard->state->state);
}

static enum filter_result refuse(const struct guard *guard, struct guarded *guarded, nanoseconds wait) {
    guarded->is_refused = true;
    return breaking_refuse(guarded->attempt, guard->policy, guard->state, wait);
}

static void tell(struct stream *stream, const struct guard *guard) {
    const struct circuit_view view = circuit_breaker_look(guard->state->breaker, stream->env->loop->now);
    explain_rule(stream, BYTES(BREAKER_RULE));
    explain_text(stream, "state", bytes_from_text(circuit_state_name(view.state)));
    if (view.state == CIRCUIT_OPEN)
        explain_number(stream, "open_for_ms", view.wait / NS_PER_MS);
    if (view.state != CIRCUIT_CLOSED)
        return;
    explain_number(stream, "failures_in_a_row", view.in_a_row);
    explain_number(stream, "window_requests", view.requests);
    explain_number(stream, "window_failures", view.failures);
    explain_number(stream, "window_slow", view.slow);
}

static enum filter_result decide(struct stream *stream, const void *config, void *state) {
    const struct guard *guard = config;
    nanoseconds wait;
    if (stream->explanation != NULL)
        tell(stream, guard);
    return circuit_breaker_refuses(guard->state->breaker, stream->env->loop->now, &wait) ? refuse(guard, state, wait) : FILTER_CONTINUE;
}

static enum filter_result charge(struct stream *stream, const void *config, void *state) {
    const struct guard *guard = config;
    struct guarded *guarded = state;
    nanoseconds wait;
    (void)stream;
    if (guarded->is_refused || breaking_begin(guarded->attempt, guard->state, &wait))
        return FILTER_CONTINUE;
    return refuse(guard, guarded, wait); // another worker has opened it meanwhile, or sent the last probe
}

const struct filter_type filter_breaker = {
    .name = "breaker",
    .state_size = sizeof(struct guarded),
    .policy = POLICY_CIRCUIT_BREAKER,
    .configure = configure,
    .ops = {.decide = decide, .charge = charge, .dispose = dispose},
};
