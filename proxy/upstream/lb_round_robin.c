// RoundRobin: in turn, each as often as its weight says and no more often in a row than that asks for. The start is random, so that the proxies of a mesh do not walk
// in step.
#include "upstream/endpoint.h"
#include "upstream/lb.h"

#include "base/check.h"

// Every candidate's turn comes nearer by its weight; the nearest is picked and steps back by the sum of all. In as many picks as the sum each comes as often as its
// weight, and spread over them: 5, 1, 1 gives a a b a c a a. Those that are left out neither come nearer nor step back. NULL when there is no candidate.
static struct endpoint *take_turn(const struct lb_request *request, bool tried_too) {
    struct endpoint *picked = NULL;
    int64_t total = 0;
    for (uint32_t i = 0; i < request->count; i++) {
        struct endpoint *endpoint = request->endpoints[i];
        if (endpoint->weight == 0 || (!tried_too && lb_was_tried(request, endpoint)))
            continue;
        endpoint->turn += endpoint->weight;
        total += endpoint->weight;
        if (picked == NULL || endpoint->turn > picked->turn)
            picked = endpoint;
    }
    if (picked != NULL)
        picked->turn -= total;
    return picked;
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
    picked = take_turn(request, false);
    return picked != NULL ? picked : take_turn(request, true);
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
