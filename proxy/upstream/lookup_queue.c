// A queue for each zone, and two of zones. See lookup_queue.h.
#include "upstream/lookup_queue.h"

#include "base/check.h"
#include "base/pool.h"

#include <stdlib.h>

// Longer names than DNS has (RFC 1035 section 2.3.4) share what their first bytes say.
#define ZONE_NAME_MAX 255

// A probe, and a spare one: the first answer opens the zone.
#define PLACES_UNKNOWN 2

// Two zones are always served beside each other, whatever their servers come to do.
#define PLACES_ANSWERING (LOOKUPS_MAX / 2)

// Enough to find out soon that it answers again, and to get past names of a zone of which some alone time out.
#define PLACES_SILENT (LOOKUPS_MAX / 4)
#define PLACES_ALL_SILENT (LOOKUPS_MAX / 2)

enum zone_state { ZONE_UNKNOWN, ZONE_ANSWERING, ZONE_SILENT };

struct lookup_zone {
    struct list link; // in `ready` or `silent` of the queue
    struct bytes name;
    enum zone_state state;
    uint32_t turns; // of names that there are
    uint32_t under_way;
    struct list fresh; // names that wait
    struct list again; // those that timed out the last time
};

static struct bytes cut_label(struct bytes name) {
    const size_t dot = bytes_find(name, '.');
    return dot < name.len ? bytes_from(name.at + dot + 1, name.len - dot - 1) : BYTES_NONE;
}

// In lower case. A name of one label is its own zone: search domains say where it is.
static struct bytes zone_of(struct bytes name, char text[ZONE_NAME_MAX]) {
    if (name.len > 0 && name.at[name.len - 1] == '.')
        name.len--;
    while (name.len > 0 && name.at[0] == '_' && cut_label(name).len > 0)
        name = cut_label(name);
    if (cut_label(name).len > 0)
        name = cut_label(name);
    const size_t length = name.len < ZONE_NAME_MAX ? name.len : ZONE_NAME_MAX;
    for (size_t i = 0; i < length; i++)
        text[i] = ascii_lower(name.at[i]);
    return bytes_from(text, length);
}

static uint32_t places_of(const struct lookup_zone *zone) {
    static const uint32_t places[] = {[ZONE_UNKNOWN] = PLACES_UNKNOWN, [ZONE_ANSWERING] = PLACES_ANSWERING, [ZONE_SILENT] = PLACES_SILENT};
    return places[zone->state];
}

// Puts the zone where its state, its names and its places say that it belongs.
static void file(struct lookup_queue *queue, struct lookup_zone *zone) {
    const bool has_names = !list_is_empty(&zone->fresh) || !list_is_empty(&zone->again);
    list_remove(&zone->link);
    if (has_names && zone->under_way < places_of(zone))
        list_push_back(zone->state == ZONE_SILENT ? &queue->silent : &queue->ready, &zone->link);
}

static void set_state(struct lookup_queue *queue, struct lookup_zone *zone, enum zone_state state) {
    if (zone->state == ZONE_SILENT)
        queue->silent_under_way -= zone->under_way;
    zone->state = state;
    if (zone->state == ZONE_SILENT)
        queue->silent_under_way += zone->under_way;
}

void lookup_queue_init(struct lookup_queue *queue) {
    *queue = (struct lookup_queue){0};
    map_init(&queue->zones);
    list_init(&queue->ready);
    list_init(&queue->silent);
}

void lookup_queue_dispose(struct lookup_queue *queue) {
    CHECK(queue->zones.count == 0 && queue->under_way == 0);
    map_dispose(&queue->zones);
}

void lookup_turn_init(struct lookup_queue *queue, struct lookup_turn *turn, struct bytes name) {
    char text[ZONE_NAME_MAX];
    const struct bytes zone_name = zone_of(name, text);
    struct lookup_zone *zone = map_get(&queue->zones, zone_name);
    if (zone == NULL) {
        zone = alloc_zeroed_or_abort(1, sizeof *zone);
        zone->name = bytes_keep(zone_name);
        list_init(&zone->link);
        list_init(&zone->fresh);
        list_init(&zone->again);
        map_put(&queue->zones, zone_name, zone);
    }
    zone->turns++;
    *turn = (struct lookup_turn){.zone = zone};
    list_init(&turn->link);
}

void lookup_turn_dispose(struct lookup_queue *queue, struct lookup_turn *turn) {
    struct lookup_zone *zone = turn->zone;
    if (turn->under_way)
        lookup_queue_end(queue, turn, LOOKUP_CANCELLED);
    list_remove(&turn->link);
    file(queue, zone);
    if (--zone->turns > 0)
        return;
    CHECK(zone->under_way == 0 && !list_is_linked(&zone->link));
    map_remove(&queue->zones, zone->name);
    bytes_drop(&zone->name);
    free(zone);
}

void lookup_queue_add(struct lookup_queue *queue, struct lookup_turn *turn) {
    struct lookup_zone *zone = turn->zone;
    CHECK(!turn->under_way);
    list_push_back(turn->timed_out ? &zone->again : &zone->fresh, &turn->link);
    if (!list_is_linked(&zone->link))
        file(queue, zone);
}

struct lookup_turn *lookup_queue_next(struct lookup_queue *queue) {
    struct list *zones = !list_is_empty(&queue->ready) ? &queue->ready : &queue->silent;
    if (list_is_empty(zones) || queue->under_way >= LOOKUPS_MAX || (zones == &queue->silent && queue->silent_under_way >= PLACES_ALL_SILENT))
        return NULL;
    struct lookup_zone *zone = LIST_ENTRY(list_first(zones), struct lookup_zone, link);
    struct lookup_turn *turn = LIST_ENTRY(list_pop_front(!list_is_empty(&zone->fresh) ? &zone->fresh : &zone->again), struct lookup_turn, link);
    turn->under_way = true;
    zone->under_way++;
    queue->under_way++;
    queue->silent_under_way += zone->state == ZONE_SILENT ? 1 : 0;
    file(queue, zone);
    return turn;
}

void lookup_queue_end(struct lookup_queue *queue, struct lookup_turn *turn, enum lookup_end end) {
    struct lookup_zone *zone = turn->zone;
    CHECK(turn->under_way && zone->under_way > 0);
    turn->under_way = false;
    zone->under_way--;
    queue->under_way--;
    queue->silent_under_way -= zone->state == ZONE_SILENT ? 1 : 0;
    if (end != LOOKUP_CANCELLED) {
        turn->timed_out = end == LOOKUP_TIMED_OUT;
        set_state(queue, zone, turn->timed_out ? ZONE_SILENT : ZONE_ANSWERING);
    }
    file(queue, zone);
}
