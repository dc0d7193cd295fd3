// RoundRobin: in turn, each as often in a row of turns as its weight says. The start is random, so that the proxies of a mesh do not walk in step.
#include "upstream/endpoint.h"
#include "upstream/lb.h"

#include "base/check.h"

static struct endpoint *at_position(const struct lb_request *request, uint32_t position, uint64_t total) {
    uint64_t left = position % total;
    for (uint32_t i = 0; i < request->count; i++) {
        if (left < request->endpoints[i]->weight)
            return request->endpoints[i];
        left -= request->endpoints[i]->weight;
    }
    return NULL;
}

static struct endpoint *pick(struct lb *lb, const struct lb_request *request) {
    struct endpoint *picked = NULL;
    if (!lb->weighted) {
        for (uint32_t step = 0; step < request->count; step++) {
            picked = request->endpoints[lb->position++ % request->count];
            if (!lb_was_tried(request, picked))
                break;
        }
        return picked->weight > 0 ? picked : NULL;
    }
    uint64_t total = 0;
    for (uint32_t i = 0; i < request->count; i++)
        total += request->endpoints[i]->weight;
    if (total == 0)
        return NULL;
    for (uint64_t step = 0; step < total; step++) {
        picked = at_position(request, lb->position++, total);
        if (!lb_was_tried(request, picked))
            break;
    }
    return picked;
}

static void begin(struct endpoint *endpoint, nanoseconds now) {
    (void)now;
    endpoint->in_flight++;
}

static void done(struct endpoint *endpoint, enum lb_outcome outcome, nanoseconds elapsed, nanoseconds now) {
    (void)outcome;
    (void)elapsed;
    (void)now;
    CHECK(endpoint->in_flight > 0);
    endpoint->in_flight--;
}

const struct lb_algorithm lb_round_robin = {.name = "RoundRobin", .pick = pick, .begin = begin, .done = done};
