// The endpoints of a service in levels, by priority and locality: which level a request goes to, and in it, by the algorithm, which endpoint.
//
// A level takes all that those before it left, while at least spillBelowHealthyPercent of its endpoints are available; below that it takes the part of it that it has, and the
// rest goes to the next. Where all levels together could not take everything they share it by what they could. In a panic (panicPercent) all endpoints are used alike.
#ifndef UPSTREAM_LB_LEVELS_H
#define UPSTREAM_LB_LEVELS_H

#include "upstream/lb.h"
#include "upstream/locality.h"

struct lb_levels {
    const struct lb_algorithm *algorithm;
    struct lb *items;
    uint32_t count;
    uint32_t broken; // of `total`, those that their breakers refuse
    uint32_t total;  // endpoints in all of them: those of a weight above 0
    uint32_t panic_percent;
    uint32_t spill_percent;
    bool panics;
};

// Takes the place of what was there. Sets each endpoint's level; `localities` are in order.
void lb_levels_build(struct lb_levels *levels, struct endpoint *const *endpoints, uint32_t count, const struct localities *localities,
                     const struct traffic_config *traffic, struct rng *rng);
void lb_levels_dispose(struct lb_levels *levels);

// Settings that no table depends on.
void lb_levels_set(struct lb_levels *levels, const struct traffic_config *traffic);

// An endpoint has become available, or is no longer.
void lb_levels_note(struct lb_levels *levels, const struct endpoint *endpoint, bool available);

// Its breaker refuses it (UNAVAILABLE_BROKEN), or does no longer.
void lb_levels_note_broken(struct lb_levels *levels, const struct endpoint *endpoint, bool broken);

// The endpoint for a request, NULL where there is none. Of `request` the two `..._too` are set here: one that was tried, or is not available, is picked when there is no
// other, and tried ones last.
struct endpoint *lb_levels_pick(struct lb_levels *levels, struct lb_request *request);

#endif
