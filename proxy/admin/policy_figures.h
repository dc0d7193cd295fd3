// What the rules of policies have done, as the metrics show it. Part of figures.h.
#ifndef ADMIN_POLICY_FIGURES_H
#define ADMIN_POLICY_FIGURES_H

#include "upstream/circuit_breaker.h"
#include "upstream/policy_state.h"

#define ADMIN_POLICIES_MAX 1000 // a page of metrics has two lines for each

// What one rule of a policy has done to requests for one target.
struct admin_policy {
    struct bytes policy, rule, target;
    bool is_dry_run, overflows_known, queue_known;
    uint64_t refusals, delays, overflows;
    struct policy_queue queue;
    bool is_breaker, breaker_state_known; // the state: not of "_other"
    uint32_t breaker_state;               // enum circuit_state
    uint64_t breaker_changes[CIRCUIT_STATES];
};

#endif
