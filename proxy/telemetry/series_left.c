// Waiting for the last worker of a series: see series_left.h.
#include "telemetry/series_left.h"

#include "base/pool.h"

#include <stdlib.h>

void series_left_init(struct series_left *left) {
    *left = (struct series_left){0};
    list_init(&left->parts);
    map_init(&left->by_life);
}

static void drop(struct series_left *left, struct series_part *part) {
    map_remove(&left->by_life, bytes_from((const char *)&part->life, sizeof part->life));
    list_remove(&part->link);
    series_totals_clear(&part->totals);
    free(part);
}

void series_left_dispose(struct series_left *left) {
    while (!list_is_empty(&left->parts))
        drop(left, LIST_ENTRY(list_first(&left->parts), struct series_part, link));
    map_dispose(&left->by_life);
}

void series_left_add(struct series_left *left, struct series_registry *registry, const struct series_part *part, struct series_totals *overflow) {
    const struct bytes key = bytes_from((const char *)&part->life, sizeof part->life);
    struct series_part *before = map_get(&left->by_life, key);
    struct series_totals totals = part->totals;
    if (part->is_dead && before == NULL && series_registry_is_over(registry, part->awaits)) {
        series_totals_add(overflow, &totals, NULL);
        series_totals_clear(&totals);
    } else if (before != NULL) { // it had come back meanwhile
        series_totals_add(&before->totals, &totals, NULL);
        series_totals_clear(&totals);
        before->is_dead = part->is_dead;
        before->awaits = part->awaits;
    } else {
        struct series_part *kept = alloc_or_abort(sizeof *kept);
        *kept = *part;
        list_init(&kept->link);
        list_push_back(&left->parts, &kept->link);
        map_put(&left->by_life, key, kept);
    }
}

bool series_left_is_due(const struct series_left *left, const struct series_registry *registry) {
    return left->to_look > 0 || (left->by_life.count > 0 && left->looked_at != series_registry_changes(registry));
}

bool series_left_look(struct series_left *left, struct series_registry *registry, struct series_totals *overflows, uint32_t *most) {
    if (left->to_look == 0 && series_left_is_due(left, registry)) {
        left->looked_at = series_registry_changes(registry);
        left->to_look = left->by_life.count;
    }
    for (; left->to_look > 0 && *most > 0; left->to_look--, --*most) {
        struct series_part *part = LIST_ENTRY(list_pop_front(&left->parts), struct series_part, link);
        list_push_back(&left->parts, &part->link);
        if (!part->is_dead && !series_registry_lives(registry, part->family, part->fingerprint, part->life)) {
            part->is_dead = true;
            part->awaits = series_registry_gatherings(registry);
        }
        if (!part->is_dead || !series_registry_is_over(registry, part->awaits))
            continue;
        series_totals_add(&overflows[part->family], &part->totals, NULL);
        drop(left, part);
    }
    return left->to_look > 0;
}
