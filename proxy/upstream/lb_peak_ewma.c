// PeakEWMA with power of two choices: of two endpoints drawn by weight, the one with the lower load, cost x (in flight + 1) / weight. The cost follows a slower answer
// at once and forgets it with a time constant of 10 s. A failure counts as a slow answer that is forgotten sooner; an answer that is a refusal or an error makes the cost twice what it was.
#include "upstream/lb.h"

#include <math.h>

#define DECAY_NS (10.0 * (double)NS_PER_S)

// A failure counts at least as a second: refusing fast must not attract traffic.
#define FAILURE_NS (1.0 * (double)NS_PER_S)

// The least that an answer that is a refusal or an error counts.
#define BAD_ANSWER_NS (1.0 * (double)NS_PER_MS)

// Beside a penalty one that was never measured counts as much.
#define UNMEASURED_NS (30.0 * (double)NS_PER_MS)

// Such a penalty says nothing about how fast the endpoint is: after some seconds a request or two find out whether it is back, and the first answer ends it. Else two
// endpoints that are restarted one after the other would both count as a second, and the dead one of them, with nothing in flight, as the lighter.
#define PENALTY_DECAY_NS (1.0 * (double)NS_PER_S)

static bool is_measured(const struct endpoint *endpoint) {
    return endpoint->cost_at != 0;
}

static bool is_penalty(const struct endpoint *endpoint) {
    return is_measured(endpoint) && endpoint->cost_is_penalty;
}

// e^-x. The exponential would be most of what a pick costs: for short times, as they are between the answers of an endpoint under load, its series is exact enough.
static double decay(double x) {
    return x < 0.1 ? 1 - x * (1 - x / 2 * (1 - x / 3)) : exp(-x);
}

static double left_of(const struct endpoint *endpoint, nanoseconds now) {
    double idle = now > endpoint->cost_at ? (double)(now - endpoint->cost_at) : 0;
    return decay(idle / (endpoint->cost_is_penalty ? PENALTY_DECAY_NS : DECAY_NS));
}

// Both costs have decayed since they were measured; by the same law, so that only the time between the two counts.
static bool is_lower(double load_a, const struct endpoint *a, double load_b, const struct endpoint *b, nanoseconds now) {
    if (a->cost_is_penalty || b->cost_is_penalty)
        return load_a * left_of(a, now) < load_b * left_of(b, now);
    if (a->cost_at <= b->cost_at)
        return load_a * decay((double)(b->cost_at - a->cost_at) / DECAY_NS) < load_b;
    return load_a < load_b * decay((double)(a->cost_at - b->cost_at) / DECAY_NS);
}

// One that refuses while the other has yet to give its first answer would have all until then.
static double cost_beside_penalty(const struct endpoint *endpoint, nanoseconds now) {
    return is_measured(endpoint) ? endpoint->cost_ns * left_of(endpoint, now) : UNMEASURED_NS;
}

// Before anything was measured an endpoint counts as no slower than the other: it gets its share of traffic, and no more than that until its first answer. With nothing
// in flight on either of two of different weight the heavier would have all: then the draw decides, which is by weight, but against one that takes twice as long.
static bool prefers_second(const struct lb *lb, const struct endpoint *first, const struct endpoint *second, nanoseconds now) {
    bool is_quiet = lb->weighted && first->in_flight + second->in_flight == 0;
    double load_first = is_quiet ? 1 : (first->in_flight + 1) / lb_weight(lb, first, now);
    double load_second = is_quiet ? 2 : (second->in_flight + 1) / lb_weight(lb, second, now);
    const bool is_known = is_measured(first) && is_measured(second);
    if (!is_known && (is_penalty(first) || is_penalty(second)))
        return load_second * cost_beside_penalty(second, now) < load_first * cost_beside_penalty(first, now);
    if (!is_known)
        return load_second < load_first;
    return is_lower(load_second * second->cost_ns, second, load_first * first->cost_ns, first, now);
}

static struct endpoint *pick(struct lb *lb, const struct lb_request *request) {
    return lb_pick_of_two(lb, request, prefers_second);
}

// An endpoint that refuses some of its requests is not to lose all: each refusal doubles its cost, up to what a failure counts, and the next good answer makes it what that took. One that
// refuses all is soon left with a request now and then.
static void note_bad_answer(struct endpoint *endpoint, double sample, nanoseconds now) {
    double cost = is_measured(endpoint) ? 2 * endpoint->cost_ns : BAD_ANSWER_NS;
    cost = cost < BAD_ANSWER_NS ? BAD_ANSWER_NS : cost;
    if (cost > FAILURE_NS)
        cost = endpoint->cost_ns > FAILURE_NS ? endpoint->cost_ns : FAILURE_NS;
    endpoint->cost_is_penalty = cost > sample;
    endpoint->cost_ns = cost > sample ? cost : sample;
    endpoint->cost_at = now;
}

static void done(struct endpoint *endpoint, enum lb_outcome outcome, nanoseconds elapsed, nanoseconds now) {
    double sample = (double)elapsed;
    if (outcome == LB_CANCELLED)
        return;
    if (outcome == LB_BAD_ANSWER) {
        note_bad_answer(endpoint, sample, now);
        return;
    }
    double cost = is_measured(endpoint) && !endpoint->cost_is_penalty ? endpoint->cost_ns : 0;
    endpoint->cost_is_penalty = outcome == LB_FAILED && sample < FAILURE_NS && cost < FAILURE_NS;
    if (outcome == LB_FAILED && sample < FAILURE_NS)
        sample = FAILURE_NS;
    if (sample >= cost) {
        cost = sample;
    } else {
        double idle = now > endpoint->cost_at ? (double)(now - endpoint->cost_at) : 0;
        double weight = 1 - decay(idle / DECAY_NS);
        cost += (sample - cost) * weight;
    }
    endpoint->cost_ns = cost;
    endpoint->cost_at = now;
}

const struct lb_algorithm lb_peak_ewma = {.pick = pick, .build = lb_build_two, .done = done};
