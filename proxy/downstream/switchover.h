// A worker on its way from one snapshot to the next, a slice in each turn of its loop: what was in force serves until all is there, then the new one is put in its place between
// two streams, then clusters that are gone are let go of.
//
// Owner:      the worker.
// Start:      switchover_begin.
// Callbacks:  `switched`, once: from now on streams begin with this bound snapshot. Then `settled`, once: nothing is left to do. Never before switchover_begin returns.
// Cancel:     none; switchover_finish does at once what is left.
// Memory:     the owner's.
#ifndef DOWNSTREAM_SWITCHOVER_H
#define DOWNSTREAM_SWITCHOVER_H

#include "downstream/downstream.h"
#include "upstream/upstream_change.h"

// In the order of the work.
enum switchover_phase {
    SWITCHOVER_NONE,
    SWITCHOVER_CLUSTERS, // clusters follow the services of the new snapshot
    SWITCHOVER_BIND,     // its destinations are bound to them
    SWITCHOVER_SWITCH,   // listeners take it over
    SWITCHOVER_DROP      // clusters that it does not have go
};

// What one turn does, in clusters that stay as they are (upstream_change.h): 0.1 to 0.5 us each. One service is never cut in two, however many endpoints it has.
#define SWITCHOVER_SLICE 768

struct switchover {
    struct downstream *downstream;
    enum switchover_phase phase;
    struct upstream_change change;
    struct bound_snapshot *fresh; // in the making; one pin
    struct chain_set *chains;     // until there is `fresh`
    struct task task;
    void (*switched)(void *user, struct bound_snapshot *bound); // takes over the pin
    void (*settled)(void *user);
    void *user;
};

void switchover_init(struct switchover *switchover, struct downstream *downstream, void (*switched)(void *user, struct bound_snapshot *bound),
                     void (*settled)(void *user), void *user);

// None is under way. Takes over the reference.
void switchover_begin(struct switchover *switchover, struct chain_set *chains);

static inline bool switchover_is_under_way(const struct switchover *switchover) {
    return switchover->phase != SWITCHOVER_NONE;
}

// One that is under way is brought to its end, however long that takes.
void switchover_finish(struct switchover *switchover);

#endif
