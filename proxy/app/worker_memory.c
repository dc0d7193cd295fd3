// See worker_memory.h. The steps of base/memory_budget.h, from those that nobody notices to the last.
#include "app/worker_memory.h"

#include "app/worker.h"
#include "base/limits.h"

#include <malloc.h>

// Between looks while something is shed, and while readers wait for room. On the timer alone: what is taken meanwhile is looked at as it is taken.
#define LOOK_SHORT_NS (100 * NS_PER_MS)
#define LOOK_THIRSTY_NS (20 * NS_PER_MS)

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
    worker->loop.blocks.is_short = !keeps;
    worker->loop.blocks.free_max = keeps ? LIMIT_FREE_BLOCKS : 0;
    worker->loop.pools.free_max = keeps ? LIMIT_FREE_CHUNKS : 0;
    h2_memory_set_short(worker->h2_memory, !keeps);
    worker->env.refuses_streams = level >= MEMORY_REFUSE_REQUESTS;
    worker->downstream.refuses_connections = level >= MEMORY_REFUSE_CONNECTIONS;
    metric_set(&worker->metrics.memory_level, level);
}

static uint32_t percent_of(const struct worker *worker) {
    return worker->bound->snapshot->proxy.limits.memory_percent;
}

// What the last look of any worker means for this one: workers share equally what all may take.
static void apply(struct worker *worker, enum memory_level level) {
    const struct memory_budget *budget = worker->memory.budget;
    const uint64_t use = atomic_load_explicit(&budget->use, memory_order_relaxed);
    const uint64_t limit = atomic_load_explicit(&budget->limit, memory_order_relaxed);
    const int64_t room = memory_room_of(use, limit, budget->workers);
    if (room == 0 && level < MEMORY_CLOSE_IDLE) // memoryPercent lies above where nothing is read any more: what is kept for later has to go before
        level = MEMORY_CLOSE_IDLE;
    if (level != worker->memory.level)
        set_level(worker, level);
    memory_room_set(&worker->loop.room, room);
    worker->loop.socket_bytes = memory_socket_bytes_of(limit);
    worker->env.unanswered_max = memory_streams_of(use, limit, percent_of(worker), budget->workers);
}

static bool has_thirsty(const struct worker *worker) {
    return !list_is_empty(&worker->loop.thirsty);
}

static void look_by(struct worker *worker, nanoseconds when) {
    struct timer *timer = &worker->gauges;
    if (!timer_is_running(timer) || timer->expiry_ms * NS_PER_MS > when)
        timer_start(&worker->loop.timers, timer, when);
}

void worker_memory_look_again(struct loop *loop) {
    struct worker *worker = loop->receiver;
    struct worker_memory *memory = &worker->memory;
    const bool took_nothing = loop->room.left >= loop->room.share;
    if (worker->bound == NULL || (took_nothing && memory->looked_at == loop->now))
        return;
    memory->looked_at = loop->now;
    const enum memory_level before = memory->level;
    apply(worker, memory_budget_look(memory->budget, percent_of(worker)));
    if (memory->level > before)
        look_by(worker, loop->now); // some of what helps takes time, and is done there
    else if (loop->room.share == 0)
        look_by(worker, loop->now + LOOK_THIRSTY_NS);
}

nanoseconds worker_memory_look_after(const struct worker *worker) {
    if (has_thirsty(worker))
        return LOOK_THIRSTY_NS;
    return worker->memory.level > MEMORY_PLENTY ? LOOK_SHORT_NS : UINT64_MAX;
}

void worker_memory_look(struct worker *worker) {
    if (worker->bound == NULL)
        return;
    struct memory_budget *budget = worker->memory.budget;
    const uint32_t percent = percent_of(worker);
    enum memory_level level = memory_budget_check(budget, percent, worker->loop.now);
    if (has_thirsty(worker))
        level = memory_budget_look(budget, percent);
    apply(worker, level);
    loop_give_room(&worker->loop);
    if (level >= MEMORY_KEEP_NOTHING)
        keep_nothing(worker);
    else
        return_memory(worker);
    if (level >= MEMORY_CLOSE_IDLE)
        close_idle(worker);
}

void worker_memory_rest(struct worker *worker) {
    trim(worker, 4);
    // Whoever wakes it looks: what else is in the cgroup may take some meanwhile.
    if (atomic_load_explicit(&worker->memory.budget->limit, memory_order_relaxed) > 0)
        worker->loop.room.left = 0;
}
