// What the rules of policies have done, as the metrics show it. Part of figures.h.
#ifndef ADMIN_POLICY_FIGURES_H
#define ADMIN_POLICY_FIGURES_H

#include "upstream/circuit_breaker.h"
#include "upstream/policy_state.h"

// What one rule of a policy has done to requests for one target.
struct admin_policy {
    struct bytes policy, rule, target;
    bool is_dry_run, overflows_known, is_breaker;
    nanoseconds begun;      // by the wall clock
    uint32_t breaker_state; // enum circuit_state
    struct policy_totals totals;
};

#endif
