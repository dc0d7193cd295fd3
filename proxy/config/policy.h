// Policies of additive kinds as a snapshot has them: every one that selects a destination acts there, and none takes another's place (policy.md, "Targets, merging, where it acts").
#ifndef CONFIG_POLICY_H
#define CONFIG_POLICY_H

#include "base/bytes.h"
#include "config/place.h"

#include <stdbool.h>
#include <stdint.h>

// CIRCUIT_BREAKER is no kind of document: the group of that name of the TrafficPolicy that holds there.
enum policy_kind {
    POLICY_NONE,
    POLICY_FAULT,
    POLICY_RATE_LIMIT,
    POLICY_AUTHORIZATION,
    POLICY_AUTHENTICATION,
    POLICY_BULKHEAD,
    POLICY_CIRCUIT_BREAKER
};

// One document as it acts on one destination.
struct policy {
    enum policy_kind kind;
    bool is_dry_run;     // what it would refuse is counted and told, and passes
    struct bytes label;  // "RateLimitPolicy/namespace/name"
    struct bytes target; // what it was found by: all destinations that it is for by the same target share its live state
    struct place place;
    const void *config; // by kind: struct fault_config, struct rate_limit_config, struct authorization_config, struct authentication_config,
                        // struct bulkhead_config, struct circuit_breaker_config
};

#endif
