// Whose turn it is to be looked up, so that a zone whose servers never answer holds up no other. The resolver's alone; asks nobody itself.
//
// Names are told apart by zone: what stands behind their first label (behind those of SRV, which begin with `_`). A zone of which nothing is known yet gets a few places at a time, one whose last look-up
// was answered half of them, one whose last timed out a quarter, and all of the latter together half. In a zone names that have timed out stand behind those that have not.
#ifndef UPSTREAM_LOOKUP_QUEUE_H
#define UPSTREAM_LOOKUP_QUEUE_H

#include "base/bytes.h"
#include "base/list.h"
#include "base/map.h"

#include <stdint.h>

// At a time, in all. Local servers take 150 and more.
#define LOOKUPS_MAX 32

struct lookup_zone;

struct lookup_queue {
    struct map zones;
    struct list ready;         // zones with names that wait and room for one, but for the silent ones; in turn
    struct list silent;        // the same of those
    uint32_t under_way;        // places that are taken
    uint32_t silent_under_way; // of them by silent zones
};

// Of one name, in whatever the name is. Nothing of the queue is freed while it has one.
struct lookup_turn {
    struct list link;
    struct lookup_zone *zone;
    bool under_way;
    bool timed_out; // the last time
};

enum lookup_end { LOOKUP_ANSWERED, LOOKUP_TIMED_OUT, LOOKUP_CANCELLED };

void lookup_queue_init(struct lookup_queue *queue);
void lookup_queue_dispose(struct lookup_queue *queue);

void lookup_turn_init(struct lookup_queue *queue, struct lookup_turn *turn, struct bytes name);
void lookup_turn_dispose(struct lookup_queue *queue, struct lookup_turn *turn); // gives back its place, if it has one

// It waits from now on.
void lookup_queue_add(struct lookup_queue *queue, struct lookup_turn *turn);

// The next one, which has a place then; NULL: nobody waits, or there is no place for who does.
struct lookup_turn *lookup_queue_next(struct lookup_queue *queue);

// Gives back its place.
void lookup_queue_end(struct lookup_queue *queue, struct lookup_turn *turn, enum lookup_end end);

#endif
