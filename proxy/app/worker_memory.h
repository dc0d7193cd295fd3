// What a worker does about memory: gives back what a burst has left, and sheds load as the budget of the process says. It looks on its own timer, and as soon as it has taken so much
// that the last look means little (base/memory_room.h): then what is shed changes at once, what takes time is left to the timer.
#ifndef APP_WORKER_MEMORY_H
#define APP_WORKER_MEMORY_H

#include "base/memory_budget.h"

struct loop;
struct worker;

struct worker_memory {
    struct memory_budget *budget; // of the process
    enum memory_level level;      // that was acted upon
    nanoseconds looked_at;        // last for want of room
    uint32_t used_high;           // most blocks in use and connections open since memory was last given back
};

// Worker's thread, while it is awake.
void worker_memory_look(struct worker *worker);

// When to look again, from now: soon while something is shed or readers wait for room. UINT64_MAX: there is nothing to look for.
nanoseconds worker_memory_look_after(const struct worker *worker);

// loop.look: the room has run out, in whatever callback.
void worker_memory_look_again(struct loop *loop);

// The worker is about to sleep: little is kept for later.
void worker_memory_rest(struct worker *worker);

#endif
