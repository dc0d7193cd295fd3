// Whether an endpoint is healthy by what its checks said: so many that failed in a row make it unhealthy, so many that passed in a row healthy again. Pure.
//
// An endpoint that was never checked is healthy: a proxy that starts, or a replica that joins, is not cut off before anybody was asked; one that is dead is found by the requests that fail.
#ifndef UPSTREAM_HEALTH_STATE_H
#define UPSTREAM_HEALTH_STATE_H

#include "config/health_config.h"

struct health_state {
    bool is_unhealthy;
    uint32_t row; // checks in a row that said otherwise
};

// One more check. True: it is healthy, or unhealthy, from now on.
static inline bool health_state_note(struct health_state *state, const struct health_check_config *check, bool passed) {
    if (passed != state->is_unhealthy) {
        state->row = 0;
        return false;
    }
    state->row++;
    if (state->row < (passed ? check->healthy_after : check->unhealthy_after))
        return false;
    state->is_unhealthy = !passed;
    state->row = 0;
    return true;
}

#endif
