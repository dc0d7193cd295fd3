// LeastRequest with power of two choices: of two endpoints drawn by weight, the one with the lower load, (in flight + 1) / weight. How fast they answer is seen in nothing
// else than in what is left in flight: for services whose answers take alike, or whose time says little of their load.
#include "upstream/lb.h"

// With nothing in flight on either the heavier would have all: then the draw decides, which is by weight.
static bool prefers_second(const struct lb *lb, const struct endpoint *first, const struct endpoint *second, nanoseconds now) {
    if (first->in_flight + second->in_flight == 0)
        return false;
    return (second->in_flight + 1) * lb_weight(lb, first, now) < (first->in_flight + 1) * lb_weight(lb, second, now);
}

static struct endpoint *pick(struct lb *lb, const struct lb_request *request) {
    return lb_pick_of_two(lb, request, prefers_second);
}

const struct lb_algorithm lb_least_request = {.pick = pick, .build = lb_build_two};
