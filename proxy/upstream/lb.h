// How an endpoint is picked. One algorithm a file; the state that all share (attempts in flight, measured cost, availability) lies in struct endpoint.
#ifndef UPSTREAM_LB_H
#define UPSTREAM_LB_H

#include "base/clock.h"
#include "base/rng.h"
#include "config/snapshot.h"
#include "upstream/endpoint.h"

struct lb;

// What the pick has to go by.
struct lb_request {
    struct endpoint *const *tried; // not again, but with `tried_too`
    uint32_t tried_count;
    bool tried_too;
    bool unavailable_too;
    bool has_key; // else RingHash and Maglev pick at random
    uint64_t key;
    struct rng *rng;
    nanoseconds now;
};

enum lb_outcome {
    LB_ANSWERED,   // a response head came
    LB_BAD_ANSWER, // one that may have come fast for nothing was done: a refusal, or an error. It must not attract traffic
    LB_FAILED,     // connect error, reset, timeout: must not look like a fast answer
    LB_CANCELLED,  // nobody's failure: says nothing
};

// vtable: 3 slots.
struct lb_algorithm {
    // An endpoint that the request allows, NULL when there is none. Once or more for each attempt; allocates nothing, and takes no longer with more endpoints but for a
    // search in a sorted table or where nearly none is allowed. lb->count > 0.
    struct endpoint *(*pick)(struct lb *lb, const struct lb_request *request);
    // The endpoints or their weights are others: makes what pick goes by. May be NULL.
    void (*build)(struct lb *lb, struct rng *rng);
    // An attempt has its outcome, `elapsed` after it was sent. Exactly once for each. May be NULL.
    void (*done)(struct endpoint *endpoint, enum lb_outcome outcome, nanoseconds elapsed, nanoseconds now);
};

// Where weights differ: a number drawn for one endpoint stands for `other` from `threshold` on (of 2^32).
struct lb_alias {
    uint32_t threshold;
    uint32_t other;
};

// Endpoints that one algorithm picks from: those of a service, or of one priority and locality of it. All in it have a weight above 0.
struct lb {
    const struct lb_algorithm *algorithm;
    struct endpoint **endpoints; // owned
    uint32_t count;
    bool weighted;      // they have different weights
    uint32_t available; // of `count`
    uint64_t weight;    // of all
    uint64_t weight_available;
    uint64_t weight_broken; // of those that their breakers refuse
    uint64_t in_flight;     // attempts on all
    uint32_t share_end;     // of LB_SHARES: what is drawn below it, and not for one before, is for these
    // of the policy
    nanoseconds slow_start;
    uint32_t virtual_nodes;
    uint32_t bounded_percent; // 0: none
    // made by build; owned
    struct lb_alias *aliases; // NULL: all weigh the same
    void *table;
    uint32_t table_size;
    // that moves with each pick
    uint32_t position; // RoundRobin where all weigh the same
    uint32_t ahead[2]; // the next two draws, whose endpoints are on their way into the cache
};

#define LB_SHARES 65536

const struct lb_algorithm *lb_algorithm_of(enum lb_type type);

extern const struct lb_algorithm lb_peak_ewma, lb_least_request, lb_round_robin, lb_random, lb_ring_hash, lb_maglev;

// `endpoints`, `count` and the policy's part are set: sums, then the algorithm's tables.
void lb_build(struct lb *lb, struct rng *rng);
void lb_dispose(struct lb *lb);

// --- shared by the algorithms ---

// Whether the request allows it, since it was not tried in it and is available; and while it is new for such a part of all picks as its weight has grown to: by the key, where there is one, so that more and more keys move to it and stay.
bool lb_may_take(const struct lb *lb, const struct lb_request *request, struct endpoint *endpoint);

// With it, would no more be in flight on it than boundedLoadPercent lets?
bool lb_has_room(const struct lb *lb, const struct lb_request *request, const struct endpoint *endpoint);

// Its weight, as far as it has grown.
double lb_weight(const struct lb *lb, const struct endpoint *endpoint, nanoseconds now);

// Any that is allowed and has room, each alike, by looking at all: where draws have found none.
struct endpoint *lb_scan(const struct lb *lb, const struct lb_request *request);

// For draws by weight.
void lb_draw_build(struct lb *lb);

// One that may be taken, drawn by weight; `other` (may be NULL) may not. NULL: some draws have found none.
struct endpoint *lb_draw_candidate(const struct lb *lb, const struct lb_request *request, const struct endpoint *other);

// Power of two choices: of two different ones, drawn by weight, the better: the first, unless `prefers_second`.
struct endpoint *lb_pick_of_two(struct lb *lb, const struct lb_request *request,
                                bool (*prefers_second)(const struct lb *lb, const struct endpoint *first, const struct endpoint *second,
                                                       nanoseconds now));
void lb_build_two(struct lb *lb, struct rng *rng); // for it

// A number for the endpoint by its address alone: the same in every process.
uint64_t lb_endpoint_hash(const struct endpoint *endpoint);

#endif
