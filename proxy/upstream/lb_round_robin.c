// RoundRobin: in turn, each as often as its weight says, spread over the turns of the others. The start is random, so that the proxies of a mesh do not walk in step.
#include "upstream/lb.h"

#include "base/pool.h"
#include "upstream/lb_turns.h"

// Turns of those that may not be taken are left out, up to so many; then all are looked at.
#define LEFT_OUT_MAX 64

static void build(struct lb *lb, struct rng *rng) {
    lb->position = rng_below(rng, lb->count);
    if (!lb->weighted)
        return;
    struct lb_turn *turns = alloc_zeroed_or_abort(lb->count, sizeof *turns);
    for (uint32_t i = 0; i < lb->count; i++) {
        double step = 1.0 / lb->endpoints[i]->weight;
        turns[i] = (struct lb_turn){.due = step * (double)(rng_next(rng) >> 11) * 0x1p-53, .step = step, .index = i};
    }
    lb_turns_order(turns, lb->count);
    lb->table = turns;
    lb->table_size = lb->count;
}

static struct endpoint *next(struct lb *lb) {
    struct lb_turn *turns = lb->table;
    if (turns == NULL) {
        uint32_t position = lb->position;
        lb->position = position + 1 < lb->count ? position + 1 : 0;
        return lb->endpoints[position];
    }
    struct endpoint *endpoint = lb->endpoints[turns[0].index];
    lb_turns_advance(turns, lb->count);
    return endpoint;
}

// One that is left out does not catch up later.
static struct endpoint *pick(struct lb *lb, const struct lb_request *request) {
    for (uint32_t i = 0; i < LEFT_OUT_MAX; i++) {
        struct endpoint *endpoint = next(lb);
        if (lb_may_take(lb, request, endpoint))
            return endpoint;
    }
    return lb_scan(lb, request);
}

const struct lb_algorithm lb_round_robin = {.pick = pick, .build = build};
