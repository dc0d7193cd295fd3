// Timers in ticks of one millisecond: start, stop and expiry in constant time, for the many deadlines of streams and connections.
//
// A hierarchical wheel (4 levels of 64 slots: 4.6 hours; later ones are put back when the last level turns). A timer never fires early and
// at most one tick late, as long as timer_wheel_advance is called when timer_wheel_next says. The wheel knows no clock: time is passed in. Thread: that of its loop.
#ifndef BASE_TIMER_WHEEL_H
#define BASE_TIMER_WHEEL_H

#include "base/clock.h"
#include "base/list.h"

#include <stdint.h>

#define TIMER_LEVELS 4
#define TIMER_SLOTS 64

struct timer {
    struct list link;
    uint64_t expiry_ms; // tick on which it fires
    // Called once per start, from timer_wheel_advance; may start or stop any timer, this one too.
    void (*fire)(struct timer *timer);
};

struct timer_wheel {
    uint64_t now_ms;
    uint64_t occupied[TIMER_LEVELS]; // a bit per slot that holds timers
    struct list slots[TIMER_LEVELS][TIMER_SLOTS];
    struct list due; // started with a deadline that had passed
    uint32_t count;
};

void timer_wheel_init(struct timer_wheel *wheel, nanoseconds now);

static inline void timer_init(struct timer *timer, void (*fire)(struct timer *timer)) {
    list_init(&timer->link);
    timer->expiry_ms = 0;
    timer->fire = fire;
}

static inline bool timer_is_running(const struct timer *timer) {
    return list_is_linked(&timer->link);
}

// Fires at the first tick at or after `deadline`; restarts a running timer. A deadline that has passed fires at the next advance.
void timer_start(struct timer_wheel *wheel, struct timer *timer, nanoseconds deadline);

// Harmless on a timer that does not run. The callback does not come after it.
void timer_stop(struct timer_wheel *wheel, struct timer *timer);

// Fires all that is due at `now`, in order of their ticks. Time does not go back.
void timer_wheel_advance(struct timer_wheel *wheel, nanoseconds now);

// When timer_wheel_advance must be called next (it may then find nothing to fire, when a slot of a higher level turns);
// UINT64_MAX when no timer runs.
nanoseconds timer_wheel_next(const struct timer_wheel *wheel);

#endif
