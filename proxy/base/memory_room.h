// How much memory a thread may still take before it looks again how much there is (base/memory_budget.h): looks follow what is taken, not time alone, so that no burst is
// quicker than they are. What comes from the allocator is taken from the room, what goes back is given back; what lies on free lists has been taken before.
//
// One for each loop, for its own thread; its sources of blocks and chunks share it.
#ifndef BASE_MEMORY_ROOM_H
#define BASE_MEMORY_ROOM_H

#include <stddef.h>
#include <stdint.h>

// Without a limit: nobody takes that much.
#define MEMORY_ROOM_ENDLESS (INT64_MAX / 2)

struct memory_room {
    int64_t left;  // below 0: more was taken than there was, by what cannot wait
    int64_t share; // what it was when somebody last looked
};

static inline void memory_room_set(struct memory_room *room, int64_t share) {
    room->left = room->share = share;
}

static inline void memory_room_take(struct memory_room *room, size_t bytes) {
    room->left -= (int64_t)bytes;
}

// Never more than the share: others may have looked since, and have been told of what is given back here.
static inline void memory_room_give_back(struct memory_room *room, size_t bytes) {
    room->left = room->share - room->left > (int64_t)bytes ? room->left + (int64_t)bytes : room->share;
}

#endif
