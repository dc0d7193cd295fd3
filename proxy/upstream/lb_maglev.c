// Maglev (Eisenbud et al., NSDI 2016, section 3.4): a table of places, filled in turns by weight, each endpoint taking the next free place of its own permutation. A key belongs
// to a place. Shares follow the weights to within a place per turn; when endpoints come or go, some keys of others move too.
#include "upstream/lb.h"

#include "base/hash.h"
#include "base/pool.h"
#include "upstream/lb_turns.h"

#include <stdlib.h>

// Primes, so that every step visits all places. One size up to a thousand endpoints, since another size moves nearly all keys; at least 64 places for each endpoint.
#define PLACES 65537
#define PLACES_LARGE 655373
#define PLACES_ENDPOINTS_MAX 1000

// How many places a pick looks at; then all endpoints are. Only where nearly none may be taken.
#define WALK_MAX 256

#define FREE UINT16_MAX
_Static_assert(PLACES_LARGE / 10000 >= 64 && PLACES / PLACES_ENDPOINTS_MAX >= 64, "a service has at most 10,000 endpoints");

struct permutation {
    uint32_t next; // its next place
    uint32_t skip;
};

static void fill(const struct lb *lb, uint16_t *places, struct permutation *permutations, struct lb_turn *turns) {
    for (uint32_t filled = 0; filled < lb->table_size; filled++) {
        struct permutation *permutation = &permutations[turns[0].index];
        while (places[permutation->next] != FREE)
            permutation->next = (permutation->next + permutation->skip) % lb->table_size;
        places[permutation->next] = (uint16_t)turns[0].index;
        lb_turns_advance(turns, lb->count);
    }
}

// All by the endpoints' addresses, so that in whatever order they are told the table is the same.
static void build(struct lb *lb, struct rng *rng) {
    (void)rng;
    lb->table_size = lb->count <= PLACES_ENDPOINTS_MAX ? PLACES : PLACES_LARGE;
    uint16_t *places = alloc_or_abort(lb->table_size * sizeof *places);
    memset(places, 0xff, lb->table_size * sizeof *places);
    struct permutation *permutations = alloc_zeroed_or_abort(lb->count, sizeof *permutations);
    struct lb_turn *turns = alloc_zeroed_or_abort(lb->count, sizeof *turns);
    for (uint32_t i = 0; i < lb->count; i++) {
        uint64_t hash = lb_endpoint_hash(lb->endpoints[i]);
        uint64_t more = hash_mix(hash + 1);
        double step = 1.0 / lb->endpoints[i]->weight;
        permutations[i] = (struct permutation){.next = (uint32_t)(hash % lb->table_size), .skip = (uint32_t)(more % (lb->table_size - 1)) + 1};
        turns[i] = (struct lb_turn){.due = step * (double)(hash_mix(more) >> 11) * 0x1p-53, .step = step, .index = i};
    }
    lb_turns_order(turns, lb->count);
    fill(lb, places, permutations, turns);
    free(turns);
    free(permutations);
    lb->table = places;
}

// What one may not or cannot take goes on by steps of the key's own, so that it falls on all others.
static struct endpoint *pick(struct lb *lb, const struct lb_request *request) {
    const uint16_t *places = lb->table;
    uint64_t key = request->has_key ? request->key : rng_next(request->rng);
    uint32_t place = (uint32_t)(key % lb->table_size);
    uint32_t skip = (uint32_t)(hash_mix(key) % (lb->table_size - 1)) + 1;
    for (uint32_t step = 0; step < WALK_MAX; step++) {
        struct endpoint *endpoint = lb->endpoints[places[place]];
        if (lb_may_take(lb, request, endpoint) && lb_has_room(lb, request, endpoint))
            return endpoint;
        place = (place + skip) % lb->table_size;
    }
    return lb_scan(lb, request);
}

const struct lb_algorithm lb_maglev = {.pick = pick, .build = build};
