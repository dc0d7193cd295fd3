// How much of the memory that the process may have is used, and what is therefore to be shed. The limit is that of its cgroup (version 2, or the memory controller of
// version 1), the use what counts against it, without pages of files that the system can drop. With no limit the feature rests.
//
// One for the process: opened on the main thread, then asked by each worker on its own timer. What a level means is done by app/worker_memory.
#ifndef BASE_MEMORY_BUDGET_H
#define BASE_MEMORY_BUDGET_H

#include "base/clock.h"

#include <stdatomic.h>
#include <stdint.h>

// In the order in which they are reached; each holds while the later ones do.
enum memory_level {
    MEMORY_PLENTY,
    MEMORY_KEEP_NOTHING,       // no buffers are kept for later
    MEMORY_CLOSE_IDLE,         // connections that carry nothing are closed
    MEMORY_REFUSE_REQUESTS,    // new ones get 503 memory_limit
    MEMORY_REFUSE_CONNECTIONS, // nobody is let in
};

struct memory_budget {
    int limit_file; // -1: there is none
    int use_file;
    int stat_file;
    const char *dropped;    // how the statistics call pages of files that can be dropped
    _Atomic uint64_t limit; // 0: none
    _Atomic uint64_t use;
    _Atomic uint64_t use_peak;
    _Atomic uint32_t level;
    _Atomic nanoseconds checked_at;
};

// The level that follows `level`, one step up or down at most, so that each step has its chance to help before the next. The steps divide what is above `percent` of the
// limit: of 80 they are 80, 85, 90 and 95 percent. One is left half a step (at least one percent) below where it was reached: no level flutters.
enum memory_level memory_level_next(enum memory_level level, uint64_t use, uint64_t limit, uint32_t percent);

// `root` is where cgroups are mounted, /sys/fs/cgroup; `own` is what /proc/self/cgroup says.
void memory_budget_open(struct memory_budget *budget, const char *root, const char *own);
void memory_budget_close(struct memory_budget *budget);

// The same for this process.
void memory_budget_open_own(struct memory_budget *budget);

// The level now. Looks at the files when the last look of any worker is some time ago. Any thread.
enum memory_level memory_budget_check(struct memory_budget *budget, uint32_t percent, nanoseconds now);

#endif
