// What a worker does about memory, on its own timer: gives back what a burst has left, and sheds load as the budget of the process says.
#ifndef APP_WORKER_MEMORY_H
#define APP_WORKER_MEMORY_H

#include "base/memory_budget.h"

struct worker;

struct worker_memory {
    struct memory_budget *budget; // of the process
    enum memory_level level;      // that was acted upon
    uint32_t used_high;           // most blocks in use and connections open since memory was last given back
};

// Worker's thread, while it is awake.
void worker_memory_look(struct worker *worker);

// The worker is about to sleep: little is kept for later.
void worker_memory_rest(struct worker *worker);

#endif
