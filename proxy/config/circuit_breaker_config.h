// spec.circuitBreaker of a TrafficPolicy, as a snapshot has it.
#ifndef CONFIG_CIRCUIT_BREAKER_CONFIG_H
#define CONFIG_CIRCUIT_BREAKER_CONFIG_H

#include "base/bytes.h"
#include "base/clock.h"
#include "config/place.h"

#include <stdbool.h>
#include <stdint.h>

enum circuit_scope { CIRCUIT_OF_SERVICE, CIRCUIT_OF_ENDPOINT };

struct circuit_breaker_config {
    enum circuit_scope scope;
    uint32_t failure_threshold; // failures in a row that open it; 0: no number does
    uint32_t failure_percent;   // of those in `window`; 0: no share does
    nanoseconds window;
    uint32_t min_requests; // in `window`, before a share counts
    struct {
        nanoseconds threshold; // an answer that took so long is slow; 0: none is
        uint32_t percent;
    } slow_call;
    nanoseconds open_for;
    uint32_t jitter_percent;
    uint32_t half_open_requests;
    bool dry_run;
    struct place place;
    struct bytes policy; // whose it is, "kind/namespace/name"; empty: nobody's
};

// Nothing would open one without a threshold: there is none then.
static inline bool circuit_breaker_is_set(const struct circuit_breaker_config *config) {
    return config->failure_threshold > 0 || config->failure_percent > 0 || config->slow_call.threshold > 0;
}

#endif
