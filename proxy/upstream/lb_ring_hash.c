// RingHash: each endpoint has points on a ring, by its address alone, as many as its weight asks for; a key belongs to the next point behind it. So an endpoint that comes
// takes keys from all others alike, and gives them back when it goes; nothing else moves. What one may not or cannot take goes to the next on the ring.
#include "upstream/lb.h"

#include "base/hash.h"
#include "base/pool.h"

#include <stdlib.h>

// Points of all endpoints together: 2 MB. Above it each has fewer: of 10,000 endpoints 26.
#define POINTS_MAX (1u << 18)

// How far a pick walks; then all endpoints are looked at. Only where nearly none may be taken.
#define WALK_MAX 1024

struct point {
    uint32_t position;
    uint32_t index;
};

static uint32_t points_of(const struct lb *lb, const struct endpoint *endpoint) {
    double mean = lb->virtual_nodes;
    if (mean * lb->count > POINTS_MAX)
        mean = (double)POINTS_MAX / lb->count;
    double points = mean * endpoint->weight * lb->count / (double)lb->weight + 0.5;
    return points < 1 ? 1 : (uint32_t)points;
}

// By position, least significant byte first: some passes over all, where comparing would take many more.
static struct point *sort(struct point *points, struct point *room, uint32_t count) {
    for (unsigned shift = 0; shift < 32; shift += 8) {
        uint32_t starts[257] = {0};
        for (uint32_t i = 0; i < count; i++)
            starts[(points[i].position >> shift & 255) + 1]++;
        for (unsigned byte = 0; byte < 256; byte++)
            starts[byte + 1] += starts[byte];
        for (uint32_t i = 0; i < count; i++)
            room[starts[points[i].position >> shift & 255]++] = points[i];
        struct point *sorted = room;
        room = points;
        points = sorted;
    }
    return points; // after four passes where it was
}

static void build(struct lb *lb, struct rng *rng) {
    (void)rng;
    uint32_t total = 0;
    for (uint32_t i = 0; i < lb->count; i++)
        total += points_of(lb, lb->endpoints[i]);
    struct point *points = alloc_zeroed_or_abort(total, sizeof *points);
    struct point *room = alloc_zeroed_or_abort(total, sizeof *room);
    uint32_t count = 0;
    for (uint32_t i = 0; i < lb->count; i++) {
        uint64_t hash = lb_endpoint_hash(lb->endpoints[i]);
        for (uint32_t left = points_of(lb, lb->endpoints[i]); left > 0; left--)
            points[count++] = (struct point){.position = (uint32_t)(hash_mix(hash + left) >> 32), .index = i};
    }
    lb->table = sort(points, room, total);
    lb->table_size = total;
    free(room);
}

// The first point at or behind the position; the first of all, where there is none.
static uint32_t find(const struct lb *lb, uint32_t position) {
    const struct point *points = lb->table;
    uint32_t low = 0, high = lb->table_size;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (points[middle].position < position)
            low = middle + 1;
        else
            high = middle;
    }
    return low < lb->table_size ? low : 0;
}

static struct endpoint *pick(struct lb *lb, const struct lb_request *request) {
    const struct point *points = lb->table;
    uint64_t key = request->has_key ? request->key : rng_next(request->rng);
    uint32_t at = find(lb, (uint32_t)(key >> 32));
    for (uint32_t step = 0; step < WALK_MAX && step < lb->table_size; step++) {
        struct endpoint *endpoint = lb->endpoints[points[at].index];
        if (lb_may_take(lb, request, endpoint) && lb_has_room(lb, request, endpoint))
            return endpoint;
        at = at + 1 < lb->table_size ? at + 1 : 0;
    }
    return lb_scan(lb, request);
}

const struct lb_algorithm lb_ring_hash = {.pick = pick, .build = build};
