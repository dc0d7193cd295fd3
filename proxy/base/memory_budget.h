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
    MEMORY_KEEP_NOTHING,       // no buffers are kept for later, and streams hold less
    MEMORY_CLOSE_IDLE,         // connections that carry nothing are closed
    MEMORY_REFUSE_REQUESTS,    // new ones get 503 memory_limit
    MEMORY_REFUSE_CONNECTIONS, // nobody is let in
};

struct memory_budget {
    int limit_file; // -1: there is none
    int use_file;
    int stat_file;
    uint32_t workers;       // that share it; set by who opened it, before they ask
    const char *dropped;    // how the statistics call pages of files that can be dropped
    _Atomic uint64_t limit; // 0: none
    _Atomic uint64_t use;
    _Atomic uint64_t use_peak;
    _Atomic uint32_t level;
    _Atomic nanoseconds checked_at;
};

// The level that follows `level`: up to whatever the use has reached, down one step at most. The steps divide what is above `percent` of the limit: of 80 they are 80, 85, 90 and 95
// percent. One is left half a step (at least one percent) below where it was reached: no level flutters.
enum memory_level memory_level_next(enum memory_level level, uint64_t use, uint64_t limit, uint32_t percent);

// Bytes that one of so many workers may take before it looks again: its part of an eighth of what is left of the limit. The last 2 MiB, or a thirty-second of the limit if that is more (never more than
// a sixteenth), are left for what nobody counts; while there is anything else, it is one block at least. So use comes near the limit in ever smaller steps, each of them seen.
int64_t memory_room_of(uint64_t use, uint64_t limit, uint32_t workers);

// How many streams of one of so many workers may wait for the heads of their responses: MEMORY_STREAM_BYTES for each still fit below MEMORY_REFUSE_REQUESTS. UINT32_MAX without a limit.
uint32_t memory_streams_of(uint64_t use, uint64_t limit, uint32_t percent, uint32_t workers);

// What a stream comes to hold once its response flows and its client does not read, while memory is short: a block in each of the buffers on its way (its body, its connection's
// output) and one that holds its head.
#define MEMORY_STREAM_BYTES (48 * 1024)

// What the system may keep of an answer in one socket: a thousandth of the limit, from one block to LIMIT_SOCKET_BYTES. 0 without a limit.
uint32_t memory_socket_bytes_of(uint64_t limit);

// `root` is where cgroups are mounted, /sys/fs/cgroup; `own` is what /proc/self/cgroup says.
void memory_budget_open(struct memory_budget *budget, const char *root, const char *own);
void memory_budget_close(struct memory_budget *budget);

// The same for this process.
void memory_budget_open_own(struct memory_budget *budget);

// The level now. Looks at the files when the last look of any worker is some time ago, so that what is done about a level has its chance to help. Any thread.
enum memory_level memory_budget_check(struct memory_budget *budget, uint32_t percent, nanoseconds now);

// The same, looking in any case: so much was taken since the last look that it means little. Reads three small files.
enum memory_level memory_budget_look(struct memory_budget *budget, uint32_t percent);

#endif
