// The shares of levels are worked out when availability changes, so that a pick only draws by them; in the usual case, one level or a first that is well, not even that.
#include "upstream/lb_levels.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/pool.h"

#include <stdlib.h>

// Of LB_SHARES, what the level could take.
static uint64_t capacity_of(const struct lb_levels *levels, const struct lb *level) {
    if (level->count == 0)
        return 0;
    uint64_t capacity = (uint64_t)LB_SHARES * 100 * level->available / ((uint64_t)level->count * levels->spill_percent);
    return capacity < LB_SHARES ? capacity : LB_SHARES;
}

static bool has_fewer(uint64_t available, uint64_t count, uint32_t percent) {
    return available * 100 < count * percent;
}

// Fewer than panicPercent of all, and no level has enough of its own that it could do without the others: where a priority is gone and the next is well there is no panic.
static bool must_panic(const struct lb_levels *levels) {
    uint64_t available = 0;
    for (uint32_t i = 0; i < levels->count; i++) {
        const struct lb *level = &levels->items[i];
        available += level->available;
        if (level->count > 0 && !has_fewer(level->available, level->count, levels->panic_percent))
            return false;
    }
    return has_fewer(available, levels->total, levels->panic_percent);
}

static void share_out(struct lb_levels *levels) {
    uint64_t weight = 0, capacity = 0, before = 0;
    levels->panics = must_panic(levels);
    for (uint32_t i = 0; i < levels->count; i++) {
        weight += levels->items[i].weight;
        capacity += capacity_of(levels, &levels->items[i]);
    }
    bool by_weight = levels->panics || capacity == 0;
    for (uint32_t i = 0; i < levels->count; i++) {
        struct lb *level = &levels->items[i];
        before += by_weight ? level->weight : capacity_of(levels, level);
        if (by_weight)
            level->share_end = weight == 0 ? 0 : (uint32_t)(before * LB_SHARES / weight);
        else if (capacity < LB_SHARES)
            level->share_end = (uint32_t)(before * LB_SHARES / capacity);
        else
            level->share_end = (uint32_t)(before < LB_SHARES ? before : LB_SHARES);
    }
}

void lb_levels_set(struct lb_levels *levels, const struct traffic_config *traffic) {
    levels->panic_percent = traffic->load_balancer.panic_percent;
    levels->spill_percent = traffic->load_balancer.locality.spill_percent;
    for (uint32_t i = 0; i < levels->count; i++) {
        levels->items[i].slow_start = traffic->load_balancer.slow_start;
        levels->items[i].bounded_percent = traffic->load_balancer.bounded_percent;
    }
    share_out(levels);
}

void lb_levels_dispose(struct lb_levels *levels) {
    for (uint32_t i = 0; i < levels->count; i++)
        lb_dispose(&levels->items[i]);
    free(levels->items);
    *levels = (struct lb_levels){0};
}

void lb_levels_build(struct lb_levels *levels, struct endpoint *const *endpoints, uint32_t count, const struct localities *localities,
                     const struct traffic_config *traffic, struct rng *rng) {
    lb_levels_dispose(levels);
    levels->algorithm = lb_algorithm_of(traffic->load_balancer.type);
    levels->count = localities->levels;
    levels->items = alloc_zeroed_or_abort(levels->count + 1U, sizeof *levels->items);
    for (uint32_t i = 0; i < count; i++) {
        endpoints[i]->level = endpoints[i]->weight > 0 ? localities->items[endpoints[i]->locality].level : LEVEL_NONE;
        if (endpoints[i]->level == LEVEL_NONE)
            continue;
        levels->items[endpoints[i]->level].count++;
        levels->total++;
        levels->broken += (endpoints[i]->unavailable & UNAVAILABLE_BROKEN) != 0;
    }
    for (uint32_t i = 0; i < levels->count; i++) {
        struct lb *level = &levels->items[i];
        level->algorithm = levels->algorithm;
        level->endpoints = alloc_zeroed_or_abort(level->count + 1, sizeof *level->endpoints);
        level->virtual_nodes = traffic->load_balancer.virtual_nodes;
        level->count = 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (endpoints[i]->level == LEVEL_NONE)
            continue;
        struct lb *level = &levels->items[endpoints[i]->level];
        level->endpoints[level->count++] = endpoints[i];
    }
    for (uint32_t i = 0; i < levels->count; i++)
        lb_build(&levels->items[i], rng);
    lb_levels_set(levels, traffic);
}

void lb_levels_note(struct lb_levels *levels, const struct endpoint *endpoint, bool available) {
    if (endpoint->level == LEVEL_NONE)
        return;
    struct lb *level = &levels->items[endpoint->level];
    CHECK(available ? level->available < level->count : level->available > 0);
    level->available += available ? 1 : UINT32_MAX;
    level->weight_available += available ? endpoint->weight : -(uint64_t)endpoint->weight;
    share_out(levels);
}

void lb_levels_note_broken(struct lb_levels *levels, const struct endpoint *endpoint, bool broken) {
    if (endpoint->level == LEVEL_NONE)
        return;
    struct lb *level = &levels->items[endpoint->level];
    CHECK(broken ? levels->broken < levels->total : levels->broken > 0);
    levels->broken += broken ? 1 : UINT32_MAX;
    level->weight_broken += broken ? endpoint->weight : -(uint64_t)endpoint->weight;
}

// A key goes to the same level while the shares stay.
static uint32_t choose_level(const struct lb_levels *levels, const struct lb_request *request) {
    if (levels->count == 1 || levels->items[0].share_end == LB_SHARES)
        return 0;
    uint64_t drawn = (request->has_key ? hash_mix(request->key) : rng_next(request->rng)) % LB_SHARES;
    uint32_t level = 0;
    while (level + 1 < levels->count && drawn >= levels->items[level].share_end)
        level++;
    return level;
}

// In the level that was chosen, else in the first that has one.
static struct endpoint *pick_from(struct lb_levels *levels, uint32_t chosen, const struct lb_request *request) {
    for (uint32_t i = 0; i <= levels->count; i++) {
        struct lb *level = &levels->items[i == 0 ? chosen : i - 1];
        bool was_asked = i == chosen + 1;
        if (was_asked || level->count == 0 || (!request->unavailable_too && level->available == 0))
            continue;
        struct endpoint *endpoint = level->algorithm->pick(level, request);
        if (endpoint != NULL)
            return endpoint;
    }
    return NULL;
}

struct endpoint *lb_levels_pick(struct lb_levels *levels, struct lb_request *request) {
    if (levels->total == 0)
        return NULL;
    uint32_t chosen = choose_level(levels, request);
    // In a panic who is not available is asked as well, but not twice in one request.
    request->unavailable_too = levels->panics && request->tried_count == 0;
    request->tried_too = false;
    struct endpoint *endpoint = pick_from(levels, chosen, request);
    if (endpoint != NULL)
        return endpoint;
    request->unavailable_too = true;
    endpoint = pick_from(levels, chosen, request);
    if (endpoint != NULL)
        return endpoint;
    request->tried_too = true;
    return pick_from(levels, chosen, request);
}
