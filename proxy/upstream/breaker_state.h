// A circuit breaker as live state of its policy: found by policy and target, one for all workers, kept while documents come and go.
#ifndef UPSTREAM_BREAKER_STATE_H
#define UPSTREAM_BREAKER_STATE_H

#include "upstream/circuit_breaker.h"
#include "upstream/policy_state.h"

// What its policy calls it: there is one rule of that name.
#define BREAKER_RULE "circuitBreaker"

struct breaker_state {
    struct policy_state state; // first
    struct circuit_breaker *breaker;
};

// As policy_state_get; it has the newest numbers of those who got it. Another window, scope or choice of thresholds makes a new one. Released by policy_state_release.
struct breaker_state *breaker_state_get(struct policy_state_set *set, const struct circuit_breaker_config *config, struct bytes policy,
                                        struct bytes target);

#endif
