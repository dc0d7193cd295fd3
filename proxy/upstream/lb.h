// How an endpoint is picked. One algorithm a file; the state that all share (attempts in flight, measured cost) lies in struct endpoint.
#ifndef UPSTREAM_LB_H
#define UPSTREAM_LB_H

#include "base/clock.h"
#include "base/rng.h"
#include "config/snapshot.h"

struct endpoint;
struct lb;

// What the pick has to go by.
struct lb_request {
    struct endpoint *const *endpoints;
    uint32_t count;                // > 0
    struct endpoint *const *tried; // not again when another one can be had
    uint32_t tried_count;
    bool avoids; // an endpoint that is to be avoided counts as tried: there is another
    struct rng *rng;
    nanoseconds now;
};

enum lb_outcome {
    LB_ANSWERED,  // a response head came, whatever its status
    LB_FAILED,    // connect error, reset, timeout: must not look like a fast answer
    LB_CANCELLED, // nobody's failure: says nothing
};

// vtable: 3 slots.
struct lb_algorithm {
    const char *name; // as in the policy
    // An endpoint, or NULL when all have weight 0. Once for each attempt.
    struct endpoint *(*pick)(struct lb *lb, const struct lb_request *request);
    // An attempt begins on the endpoint.
    void (*begin)(struct endpoint *endpoint, nanoseconds now);
    // It has its outcome, `elapsed` after it began. Exactly once for each begin.
    void (*done)(struct endpoint *endpoint, enum lb_outcome outcome, nanoseconds elapsed, nanoseconds now);
};

struct lb {
    const struct lb_algorithm *algorithm;
    uint32_t position; // RoundRobin where all weights are equal: how often it was picked, from a random start
    bool weighted;     // the endpoints have different weights
};

const struct lb_algorithm *lb_algorithm_of(enum lb_type type);

extern const struct lb_algorithm lb_peak_ewma;
extern const struct lb_algorithm lb_round_robin;

// Shared by the algorithms: was it tried already in this request, or is it avoided by it?
bool lb_was_tried(const struct lb_request *request, const struct endpoint *endpoint);

#endif
