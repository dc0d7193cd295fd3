// The loop of a worker: what happens in one turn, in which order.
//
//   poll -> callbacks only record and wake -> clock is read once -> timers -> wake list (at most 64 streams; after each what it flushes soon) -> flush list -> closing list
//
// A loop owns its free lists of blocks and pool chunks, its timer wheel, its random generator and its mailbox. Everything here is for the loop's own
// thread, but loop_send and loop_stop.
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include "base/block.h"
#include "base/list.h"
#include "base/mailbox.h"
#include "base/memory_room.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/timer_wheel.h"
#include "base/turn_times.h"

#include <stdbool.h>
#include <uv.h>

// Something that is run once later in the turn. Embedded in a stream, connection or whatever waits; `run` is set once.
struct task {
    struct list link;
    void (*run)(struct task *task);
};

struct loop {
    uv_loop_t uv;
    nanoseconds now;        // read once a turn, at the first event after poll
    bool now_is_fresh;      // it was read since the last poll
    nanoseconds wall_ahead; // of a clock that is passed in: what the time of day is ahead of `now`; 0: the system's clock tells it
    struct timer_wheel timers;
    struct block_source blocks;
    struct pool_source pools;
    struct rng rng;
    struct memory_room room; // endless unless somebody sets it
    // Looks how much memory there is and sets `room`. Called where that has run out, from whatever callback. NULL: nobody looks.
    void (*look)(struct loop *loop);
    struct list thirsty;   // readers that wait for room
    uint32_t socket_bytes; // where memory is limited: what the system is to keep of an answer in a new connection's socket; 0: as it likes
    uint32_t handles;      // open transports and listeners: loop_dispose waits for them
    bool alarm_due;        // the alarm fired and its timers were not yet run
    struct list wake;
    struct list flush;
    struct list flush_soon;
    struct list closing;
    struct mailbox mailbox;
    void *receiver; // passed to messages
    uv_async_t mail;
    uv_check_t check;     // after poll: the turn
    uv_prepare_t prepare; // before poll: what timers or pending callbacks woke (libuv 1.50 runs timers at the other end of the turn)
    uv_idle_t again;      // running while the wake list is not empty, so that poll does not block
    uv_timer_t alarm;     // armed for the wheel's next deadline
    nanoseconds alarm_at;
    uint64_t turns;
    uint64_t turns_cut;           // that left streams for the next
    struct turn_times turn_times; // without poll
};

// `receiver` is what messages sent to this loop get.
void loop_init(struct loop *loop, void *receiver);

// Runs until loop_stop.
void loop_run(struct loop *loop);

// Any thread: makes loop_run return after the current turn.
void loop_stop(struct loop *loop);

// Runs the loop until what was closed before is gone, then frees all. All users must have called close.
void loop_dispose(struct loop *loop);

// At the begin of each libuv callback: what it records and starts counts from now, not from before a long poll.
static inline void loop_enter(struct loop *loop) {
    if (loop->now_is_fresh)
        return;
    loop->now = clock_monotonic_ns();
    loop->now_is_fresh = true;
}

// The time of day, since 1970: for what has a date. How long something takes is told by `now` alone.
static inline nanoseconds loop_wall(const struct loop *loop) {
    return loop->wall_ahead == 0 ? clock_wall_ns() : loop->now + loop->wall_ahead;
}

// Runs the tasks of one turn at the time `now` without polling: what tests on a virtual clock, and simulations, call instead of loop_run.
void loop_turn(struct loop *loop, nanoseconds now);

// The same until no task waits, and as the clock goes to `until`: at each deadline on the way. How often turns may wake each other at one time is bounded: false means that
// two parts do so for ever.
MUST_CHECK bool loop_settle(struct loop *loop);
MUST_CHECK bool loop_pass(struct loop *loop, nanoseconds until);

static inline void task_init(struct task *task, void (*run)(struct task *task)) {
    list_init(&task->link);
    task->run = run;
}

// Runs the task in this turn, or in the next when 64 came before it or when called from a task. Harmless when it is already waiting.
void loop_wake(struct loop *loop, struct task *task);

// Runs the task in the flush phase of this turn: for a connection to which other streams may add something in this turn.
void loop_flush(struct loop *loop, struct task *task);

// Runs the task as soon as the woken one at hand has returned (where none is: behind the next one, or at the beginning of the flush phase): for a connection that carries
// one exchange at a time, which gains nothing by waiting for others.
void loop_flush_soon(struct loop *loop, struct task *task);

// Runs the task at the very end of the turn, when nobody's stack frame can refer to its owner any more: this is where things are freed.
void loop_defer(struct loop *loop, struct task *task);

// From whatever list it waits on.
static inline void task_cancel(struct task *task) {
    list_remove(&task->link);
}

bool loop_look_for_room(struct loop *loop, size_t size);

// Whether that much more memory may be taken now. Where the room has run out it is looked at again first.
static inline bool loop_has_room(struct loop *loop, size_t size) {
    return loop->room.left >= (int64_t)size || loop_look_for_room(loop, size);
}

// Runs the task when there is room for a block again: from loop_give_room, in the order of their coming.
void loop_await_room(struct loop *loop, struct task *task);

// There may be room: lets as many go on as have some.
void loop_give_room(struct loop *loop);

static inline void loop_timer_start(struct loop *loop, struct timer *timer, nanoseconds after) {
    timer_start(&loop->timers, timer, loop->now + after);
}

static inline void loop_timer_stop(struct loop *loop, struct timer *timer) {
    if (timer_is_running(timer))
        timer_stop(&loop->timers, timer);
}

// Any thread: `deliver(loop->receiver, argument)` on the loop's thread.
MUST_CHECK enum error loop_send(struct loop *loop, void (*deliver)(void *receiver, void *argument), void *argument);

#endif
