// See locality.h. Levels are numbered without gaps, in the order in which they are used.
#include "upstream/locality.h"

#include "base/check.h"
#include "base/pool.h"

#include <stdlib.h>

uint16_t localities_find(struct localities *localities, const struct endpoint_traits *traits) {
    for (uint16_t i = 0; i < localities->count; i++) {
        const struct locality *known = &localities->items[i];
        if (known->priority == traits->priority && bytes_equal(known->zone, traits->zone) && bytes_equal(known->region, traits->region))
            return i;
    }
    if (localities->count == localities->capacity) {
        uint16_t capacity = localities->capacity == 0 ? 4 : (uint16_t)(localities->capacity * 2);
        CHECK(capacity > localities->capacity);
        struct locality *larger = alloc_zeroed_or_abort(capacity, sizeof *larger);
        if (localities->count > 0)
            memcpy(larger, localities->items, localities->count * sizeof *larger);
        free(localities->items);
        localities->items = larger;
        localities->capacity = capacity;
    }
    localities->items[localities->count] =
        (struct locality){.zone = bytes_keep(traits->zone), .region = bytes_keep(traits->region), .priority = traits->priority};
    return localities->count++;
}

// Our zone 0, our region 1, then the policy's regions in their order, then the rest.
static uint32_t distance(const struct locality *locality, const struct traffic_config *traffic, struct bytes zone, struct bytes region) {
    const uint32_t count = traffic->load_balancer.locality.region_count;
    if (traffic->load_balancer.locality.mode == LOCALITY_DISABLE)
        return 0;
    // A zone is one of its region: where both tell theirs they must be the same.
    bool is_elsewhere = region.len > 0 && locality->region.len > 0 && !bytes_equal(locality->region, region);
    if (zone.len > 0 && bytes_equal(locality->zone, zone) && !is_elsewhere)
        return 0;
    if (region.len > 0 && bytes_equal(locality->region, region))
        return 1;
    for (uint32_t i = 0; i < count; i++)
        if (bytes_equal(locality->region, traffic->load_balancer.locality.regions[i]))
            return 2 + i;
    return 2 + count;
}

struct rank {
    uint64_t rank;
    uint16_t locality;
};

static int compare(const void *a, const void *b) {
    const struct rank *first = a;
    const struct rank *second = b;
    return first->rank < second->rank ? -1 : first->rank > second->rank;
}

void localities_order(struct localities *localities, const struct traffic_config *traffic, struct bytes zone, struct bytes region) {
    struct rank *ranks = alloc_zeroed_or_abort(localities->count + 1U, sizeof *ranks);
    for (uint16_t i = 0; i < localities->count; i++) {
        const struct locality *locality = &localities->items[i];
        ranks[i] = (struct rank){.rank = (uint64_t)locality->priority << 32 | distance(locality, traffic, zone, region), .locality = i};
    }
    qsort(ranks, localities->count, sizeof *ranks, compare);
    uint16_t level = 0;
    for (uint16_t i = 0; i < localities->count; i++) {
        level = (uint16_t)(level + (i > 0 && ranks[i].rank != ranks[i - 1].rank));
        localities->items[ranks[i].locality].level = level;
    }
    localities->levels = (uint16_t)(level + 1);
    free(ranks);
}

void localities_dispose(struct localities *localities) {
    for (uint16_t i = 0; i < localities->count; i++) {
        bytes_drop(&localities->items[i].zone);
        bytes_drop(&localities->items[i].region);
    }
    free(localities->items);
    *localities = (struct localities){0};
}
