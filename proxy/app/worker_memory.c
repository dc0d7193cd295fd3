// See worker_memory.h. The steps of base/memory_budget.h, from those that nobody notices to the last.
#include "app/worker_memory.h"

#include "app/worker.h"
#include "base/limits.h"

#include <malloc.h>

static void trim(struct worker *worker, uint32_t part) {
    block_source_trim(&worker->loop.blocks, worker->loop.blocks.free_max / part);
    pool_source_trim(&worker->loop.pools, worker->loop.pools.free_max / part);
}

// After a burst the allocator keeps what it got back under whatever lies on top of it: 70 MiB after 400 streams that nobody read. It is told to give the
// pages back, once most of it is free again; that takes some milliseconds, so only for bursts that went well beyond what the free list keeps. A connection
// counts as much as a block of 16 KiB, which is about what TLS takes for it.
static void return_memory(struct worker *worker) {
    struct worker_memory *memory = &worker->memory;
    uint32_t used = worker->loop.blocks.used + atomic_load_explicit(&worker->downstream.connections, memory_order_relaxed);
    if (used > memory->used_high)
        memory->used_high = used;
    if (memory->used_high < 2 * LIMIT_FREE_BLOCKS || used > memory->used_high / 4)
        return;
    memory->used_high = used;
    trim(worker, 4);
    malloc_trim(0);
}

// Nothing that was freed stays here: some milliseconds, well spent where memory is short.
static void keep_nothing(struct worker *worker) {
    trim(worker, 1);
    h2_memory_trim(worker->h2_memory);
    malloc_trim(0);
}

static void close_idle(struct worker *worker) {
    downstream_drain_idle(&worker->downstream);
    upstream_close_idle(&worker->upstream);
}

static void set_level(struct worker *worker, enum memory_level level) {
    bool keeps = level < MEMORY_KEEP_NOTHING;
    worker->memory.level = level;
    worker->loop.blocks.free_max = keeps ? LIMIT_FREE_BLOCKS : 0;
    worker->loop.pools.free_max = keeps ? LIMIT_FREE_CHUNKS : 0;
    h2_memory_set_short(worker->h2_memory, !keeps);
    worker->env.refuses_streams = level >= MEMORY_REFUSE_REQUESTS;
    worker->downstream.refuses_connections = level >= MEMORY_REFUSE_CONNECTIONS;
    metric_set(&worker->metrics.memory_level, level);
}

void worker_memory_look(struct worker *worker) {
    if (worker->bound == NULL)
        return;
    uint32_t percent = worker->bound->snapshot->proxy.limits.memory_percent;
    enum memory_level level = memory_budget_check(worker->memory.budget, percent, worker->loop.now);
    if (level != worker->memory.level)
        set_level(worker, level);
    if (level >= MEMORY_KEEP_NOTHING)
        keep_nothing(worker);
    else
        return_memory(worker);
    if (level >= MEMORY_CLOSE_IDLE)
        close_idle(worker);
}

void worker_memory_rest(struct worker *worker) {
    trim(worker, 4);
}
