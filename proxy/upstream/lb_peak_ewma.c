// PeakEWMA with power of two choices: of two endpoints drawn at random (by weight), the one with the lower load, cost x (in flight + 1) / weight. The cost
// follows a slower answer at once and forgets it with a time constant of 10 s. A failure counts as a slow answer that is forgotten sooner.
#include "upstream/endpoint.h"
#include "upstream/lb.h"

#include "base/check.h"

#include <math.h>

#define DECAY_NS (10.0 * (double)NS_PER_S)

// A failure counts at least as a second: refusing fast must not attract traffic.
#define FAILURE_NS (1.0 * (double)NS_PER_S)

// Such a penalty says nothing about how fast the endpoint is: after some seconds a request or two find out whether it is back, and the first answer ends it. Else two
// endpoints that are restarted one after the other would both count as a second, and the dead one of them, with nothing in flight, as the lighter.
#define PENALTY_DECAY_NS (1.0 * (double)NS_PER_S)

static bool is_measured(const struct endpoint *endpoint) {
    return endpoint->cost_at != 0;
}

static double cost_now(const struct endpoint *endpoint, nanoseconds now) {
    double idle = now > endpoint->cost_at ? (double)(now - endpoint->cost_at) : 0;
    // Below a millisecond nothing has decayed that would matter: the exponential is spared on the busy path.
    return idle < (double)NS_PER_MS ? endpoint->cost_ns : endpoint->cost_ns * exp(-idle / (endpoint->cost_is_penalty ? PENALTY_DECAY_NS : DECAY_NS));
}

// Before anything was measured an endpoint counts as no slower than the other: it gets its share of traffic, and no more than that until its first answer.
static bool is_lighter(const struct endpoint *a, const struct endpoint *b, nanoseconds now) {
    double load_a = (double)(a->in_flight + 1) / a->weight;
    double load_b = (double)(b->in_flight + 1) / b->weight;
    if (is_measured(a) && is_measured(b)) {
        load_a *= cost_now(a, now);
        load_b *= cost_now(b, now);
    }
    return load_a <= load_b;
}

static struct endpoint *draw_weighted(const struct lb_request *request, const struct endpoint *other) {
    uint64_t total = 0;
    for (uint32_t i = 0; i < request->count; i++)
        total += request->endpoints[i] == other ? 0 : request->endpoints[i]->weight;
    if (total == 0)
        return NULL;
    uint64_t left = rng_next(request->rng) % total;
    for (uint32_t i = 0; i < request->count; i++) {
        if (request->endpoints[i] == other)
            continue;
        if (left < request->endpoints[i]->weight)
            return request->endpoints[i];
        left -= request->endpoints[i]->weight;
    }
    return NULL;
}

static struct endpoint *draw(const struct lb *lb, const struct lb_request *request, const struct endpoint *other) {
    if (lb->weighted)
        return draw_weighted(request, other);
    if (request->count == 1)
        return request->endpoints[0] == other ? NULL : request->endpoints[0];
    struct endpoint *drawn;
    do
        drawn = request->endpoints[rng_below(request->rng, request->count)];
    while (drawn == other);
    return drawn;
}

// Any that was not tried, each alike; NULL when there is none.
static struct endpoint *draw_untried(const struct lb_request *request) {
    struct endpoint *drawn = NULL;
    uint32_t seen = 0;
    for (uint32_t i = 0; i < request->count; i++) {
        struct endpoint *endpoint = request->endpoints[i];
        if (endpoint->weight > 0 && !lb_was_tried(request, endpoint) && rng_below(request->rng, ++seen) == 0)
            drawn = endpoint;
    }
    return drawn;
}

static struct endpoint *pick(struct lb *lb, const struct lb_request *request) {
    struct endpoint *first = draw(lb, request, NULL);
    if (first == NULL || request->count == 1)
        return first;
    struct endpoint *second = draw(lb, request, first);
    if (second == NULL)
        return first;
    struct endpoint *better = is_lighter(first, second, request->now) ? first : second;
    if (!lb_was_tried(request, better))
        return better;
    struct endpoint *worse = better == first ? second : first;
    if (!lb_was_tried(request, worse))
        return worse;
    struct endpoint *untried = draw_untried(request);
    return untried != NULL ? untried : better;
}

static void begin(struct endpoint *endpoint, nanoseconds now) {
    (void)now;
    endpoint->in_flight++;
}

static void done(struct endpoint *endpoint, enum lb_outcome outcome, nanoseconds elapsed, nanoseconds now) {
    CHECK(endpoint->in_flight > 0);
    endpoint->in_flight--;
    if (outcome == LB_CANCELLED)
        return;
    double sample = (double)elapsed;
    double cost = is_measured(endpoint) && !endpoint->cost_is_penalty ? endpoint->cost_ns : 0;
    endpoint->cost_is_penalty = outcome == LB_FAILED && sample < FAILURE_NS && cost < FAILURE_NS;
    if (outcome == LB_FAILED && sample < FAILURE_NS)
        sample = FAILURE_NS;
    if (sample >= cost) {
        cost = sample;
    } else {
        double idle = now > endpoint->cost_at ? (double)(now - endpoint->cost_at) : 0;
        // 1 - e^-x is x where x is small, as it is between the answers of a busy endpoint.
        double weight = idle < 0.01 * DECAY_NS ? idle / DECAY_NS : 1 - exp(-idle / DECAY_NS);
        cost += (sample - cost) * weight;
    }
    endpoint->cost_ns = cost;
    endpoint->cost_at = now;
}

const struct lb_algorithm lb_peak_ewma = {.name = "PeakEWMA", .pick = pick, .begin = begin, .done = done};
