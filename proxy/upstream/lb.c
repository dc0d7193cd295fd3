// Which algorithm a policy's name means, and what they share: who is allowed, slow start, bounded load, draws by weight.
#include "upstream/lb.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/pool.h"

#include <stddef.h>
#include <stdlib.h>

// A draw that is not allowed is drawn again, up to so often: with half of them not available it fails once in 65,536 times, and then all are looked at.
#define DRAWS_MAX 16

// A new endpoint has at least this part of its weight: none at all would be for ever not measured.
#define RAMP_MIN 0.01

#define ADDRESS_KEY_0 UINT64_C(0x656e64706f696e74)
#define ADDRESS_KEY_1 UINT64_C(0x6164647265737331)

static const struct lb_algorithm *const algorithms[] = {
    [LB_PEAK_EWMA] = &lb_peak_ewma, [LB_LEAST_REQUEST] = &lb_least_request, [LB_ROUND_ROBIN] = &lb_round_robin,
    [LB_RANDOM] = &lb_random,       [LB_RING_HASH] = &lb_ring_hash,         [LB_MAGLEV] = &lb_maglev,
};

const struct lb_algorithm *lb_algorithm_of(enum lb_type type) {
    CHECK((size_t)type < sizeof algorithms / sizeof algorithms[0]);
    return algorithms[type];
}

static void drop_tables(struct lb *lb) {
    free(lb->aliases);
    lb->aliases = NULL;
    free(lb->table);
    lb->table = NULL;
    lb->table_size = 0;
}

void lb_build(struct lb *lb, struct rng *rng) {
    drop_tables(lb);
    lb->weighted = false;
    lb->weight = lb->weight_available = lb->weight_broken = lb->in_flight = 0;
    lb->available = 0;
    for (uint32_t i = 0; i < lb->count; i++) {
        const struct endpoint *endpoint = lb->endpoints[i];
        bool available = endpoint->unavailable == 0;
        CHECK(endpoint->weight > 0);
        lb->weighted = lb->weighted || endpoint->weight != lb->endpoints[0]->weight;
        lb->weight += endpoint->weight;
        lb->weight_available += available ? endpoint->weight : 0;
        lb->available += available;
        lb->weight_broken += (endpoint->unavailable & UNAVAILABLE_BROKEN) != 0 ? endpoint->weight : 0;
        lb->in_flight += endpoint->in_flight;
    }
    if (lb->algorithm->build != NULL && lb->count > 0)
        lb->algorithm->build(lb, rng);
}

void lb_dispose(struct lb *lb) {
    drop_tables(lb);
    free(lb->endpoints);
    lb->endpoints = NULL;
    lb->count = 0;
}

// --- who may be taken ---

static bool allows(const struct lb_request *request, const struct endpoint *endpoint) {
    if (endpoint->unavailable != 0 && (!request->unavailable_too || (endpoint->unavailable & UNAVAILABLE_BROKEN) != 0))
        return false;
    if (request->tried_too)
        return true;
    for (uint32_t i = 0; i < request->tried_count; i++)
        if (request->tried[i] == endpoint)
            return false;
    return true;
}

static double ramp(const struct lb *lb, const struct endpoint *endpoint, nanoseconds now) {
    nanoseconds age = now > endpoint->ramp_since ? now - endpoint->ramp_since : 0;
    if (age >= lb->slow_start)
        return 1;
    double part = (double)age / (double)lb->slow_start;
    return part > RAMP_MIN ? part : RAMP_MIN;
}

double lb_weight(const struct lb *lb, const struct endpoint *endpoint, nanoseconds now) {
    return endpoint->ramp_since == 0 ? endpoint->weight : endpoint->weight * ramp(lb, endpoint, now);
}

static bool is_in_ramp(const struct lb *lb, const struct lb_request *request, struct endpoint *endpoint) {
    double part = ramp(lb, endpoint, request->now);
    if (part >= 1) {
        endpoint->ramp_since = 0;
        return true;
    }
    uint64_t drawn = request->has_key ? hash_mix(request->key ^ lb_endpoint_hash(endpoint)) : rng_next(request->rng);
    return (double)(drawn >> 11) * 0x1p-53 < part;
}

bool lb_may_take(const struct lb *lb, const struct lb_request *request, struct endpoint *endpoint) {
    if (request->tried_count == 0 && endpoint->unavailable == 0 && endpoint->ramp_since == 0)
        return true;
    return allows(request, endpoint) && (endpoint->ramp_since == 0 || is_in_ramp(lb, request, endpoint));
}

// The mean is over those that share the load. With one more request in flight, and each at most at percent x mean rounded up, there is always one with room while
// percent is at least 100: the sum of what they may have is then no less than what they have.
bool lb_has_room(const struct lb *lb, const struct lb_request *request, const struct endpoint *endpoint) {
    if (lb->bounded_percent == 0)
        return true;
    uint64_t weight = request->unavailable_too ? lb->weight - lb->weight_broken : lb->weight_available;
    uint64_t most = 100 * weight; // in these units one request
    uint64_t share = lb->bounded_percent * (lb->in_flight + 1) * endpoint->weight;
    return endpoint->in_flight + 1 <= (share + most - 1) / most;
}

struct endpoint *lb_scan(const struct lb *lb, const struct lb_request *request) {
    struct endpoint *drawn = NULL;
    uint32_t seen = 0;
    for (uint32_t i = 0; i < lb->count; i++) {
        struct endpoint *endpoint = lb->endpoints[i];
        if (allows(request, endpoint) && lb_has_room(lb, request, endpoint) && rng_below(request->rng, ++seen) == 0)
            drawn = endpoint;
    }
    return drawn;
}

uint64_t lb_endpoint_hash(const struct endpoint *endpoint) {
    uint64_t ip = hash_with_key(ADDRESS_KEY_0, ADDRESS_KEY_1, bytes_from((const char *)endpoint->address.ip, sizeof endpoint->address.ip));
    return hash_mix(ip + endpoint->address.port);
}

// --- draws by weight: one random number each, however many endpoints there are (the alias method of Walker and Vose) ---

void lb_draw_build(struct lb *lb) {
    if (!lb->weighted)
        return;
    lb->aliases = alloc_zeroed_or_abort(lb->count, sizeof *lb->aliases);
    double *parts = alloc_zeroed_or_abort(lb->count, sizeof *parts); // of an even share
    uint32_t *poor = alloc_zeroed_or_abort(lb->count, sizeof *poor); // from the front: less than one; from the back: the rest
    uint32_t poor_count = 0;
    uint32_t rich = lb->count;
    for (uint32_t i = 0; i < lb->count; i++) {
        parts[i] = (double)lb->endpoints[i]->weight * lb->count / (double)lb->weight;
        poor[parts[i] < 1 ? poor_count++ : --rich] = i;
    }
    while (poor_count > 0 && rich < lb->count) {
        uint32_t small = poor[--poor_count];
        uint32_t large = poor[rich];
        lb->aliases[small] = (struct lb_alias){.threshold = (uint32_t)(parts[small] * UINT32_MAX), .other = large};
        parts[large] -= 1 - parts[small];
        if (parts[large] < 1) {
            rich++;
            poor[poor_count++] = large;
        }
    }
    for (uint32_t i = 0; i < poor_count; i++) // what is left of roundings
        lb->aliases[poor[i]] = (struct lb_alias){.threshold = UINT32_MAX, .other = poor[i]};
    for (uint32_t i = rich; i < lb->count; i++)
        lb->aliases[poor[i]] = (struct lb_alias){.threshold = UINT32_MAX, .other = poor[i]};
    free(poor);
    free(parts);
}

static uint32_t draw(const struct lb *lb, struct rng *rng) {
    uint64_t random = rng_next(rng);
    uint32_t drawn = (uint32_t)((random >> 32) * lb->count >> 32);
    if (lb->aliases == NULL)
        return drawn;
    const struct lb_alias *alias = &lb->aliases[drawn];
    return (uint32_t)random < alias->threshold ? drawn : alias->other;
}

struct endpoint *lb_draw_candidate(const struct lb *lb, const struct lb_request *request, const struct endpoint *other) {
    for (unsigned i = 0; i < DRAWS_MAX; i++) {
        struct endpoint *drawn = lb->endpoints[draw(lb, request->rng)];
        if (drawn != other && lb_may_take(lb, request, drawn))
            return drawn;
    }
    return NULL;
}

// --- power of two choices ---

// Where there are many endpoints, to wait for theirs to come from memory would be most of a pick: they are asked for one pick ahead.
static void draw_ahead(struct lb *lb, struct rng *rng) {
    for (int i = 0; i < 2; i++) {
        lb->ahead[i] = draw(lb, rng);
        __builtin_prefetch(lb->endpoints[lb->ahead[i]]);
    }
}

void lb_build_two(struct lb *lb, struct rng *rng) {
    lb_draw_build(lb);
    draw_ahead(lb, rng);
}

// Where one has nearly all of the weight draws may go on to give it: any other then.
static struct endpoint *second_choice(const struct lb *lb, const struct lb_request *request, struct endpoint *first, struct endpoint *ahead) {
    if (ahead != first && lb_may_take(lb, request, ahead))
        return ahead;
    struct endpoint *second = lb_draw_candidate(lb, request, first);
    if (second != NULL || !lb->weighted)
        return second;
    second = lb->endpoints[rng_below(request->rng, lb->count)];
    return second != first && lb_may_take(lb, request, second) ? second : NULL;
}

struct endpoint *lb_pick_of_two(struct lb *lb, const struct lb_request *request,
                                bool (*prefers_second)(const struct lb *lb, const struct endpoint *first, const struct endpoint *second,
                                                       nanoseconds now)) {
    if (lb->count == 1)
        return allows(request, lb->endpoints[0]) ? lb->endpoints[0] : NULL;
    struct endpoint *first = lb->endpoints[lb->ahead[0]];
    struct endpoint *ahead = lb->endpoints[lb->ahead[1]];
    draw_ahead(lb, request->rng);
    if (!lb_may_take(lb, request, first))
        first = lb_draw_candidate(lb, request, NULL);
    if (first == NULL)
        return lb_scan(lb, request);
    struct endpoint *second = second_choice(lb, request, first, ahead);
    return second != NULL && prefers_second(lb, first, second, request->now) ? second : first;
}
