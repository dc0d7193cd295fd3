// LeastRequest with power of two choices: of two endpoints drawn by weight, the one with the lower load, (in flight + 1) / weight. How fast they answer is seen in nothing
// else than in what is left in flight: for services whose answers take alike, or whose time says little of their load. An attempt that failed, or whose answer is a refusal or an error, counts as
// if it were in flight for a second more: one that fails at once would have nothing in flight, and get the most. A good answer ends that.
#include "upstream/lb.h"

#include <math.h>

// Where nothing is measured, cost_ns has the number of such attempts at cost_at, a second for each: what PeakEWMA, if it comes to read it, takes for about the same.
#define FAILED_NS (1.0 * (double)NS_PER_S)
#define FAILED_MAX 1000.0
#define FAILED_FORGOTTEN 0.01

static double failed_of(const struct endpoint *endpoint, nanoseconds now) {
    if (!endpoint->cost_is_penalty)
        return 0;
    const double idle = now > endpoint->cost_at ? (double)(now - endpoint->cost_at) : 0;
    const double left = endpoint->cost_ns / FAILED_NS * exp(-idle / FAILED_NS);
    return left > FAILED_FORGOTTEN ? left : 0;
}

// With nothing in flight on either the heavier would have all: then the draw decides, which is by weight.
static bool prefers_second(const struct lb *lb, const struct endpoint *first, const struct endpoint *second, nanoseconds now) {
    const double load_first = first->in_flight + failed_of(first, now);
    const double load_second = second->in_flight + failed_of(second, now);
    if (load_first + load_second == 0)
        return false;
    return (load_second + 1) * lb_weight(lb, first, now) < (load_first + 1) * lb_weight(lb, second, now);
}

static struct endpoint *pick(struct lb *lb, const struct lb_request *request) {
    return lb_pick_of_two(lb, request, prefers_second);
}

static void done(struct endpoint *endpoint, enum lb_outcome outcome, nanoseconds elapsed, nanoseconds now) {
    (void)elapsed;
    if (outcome == LB_CANCELLED)
        return;
    const double failed = outcome == LB_ANSWERED ? 0 : failed_of(endpoint, now) + 1;
    endpoint->cost_is_penalty = failed > 0;
    endpoint->cost_ns = (failed < FAILED_MAX ? failed : FAILED_MAX) * FAILED_NS;
    endpoint->cost_at = failed > 0 ? now : 0;
}

const struct lb_algorithm lb_least_request = {.pick = pick, .build = lb_build_two, .done = done};
