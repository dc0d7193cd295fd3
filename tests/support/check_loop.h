// A loop on a virtual clock, for unit tests: turns are run one by one, and time passes only when the test says so.
//
// The clock begins at a fixed time, so that runs are alike. What runs in a turn, and in which order, is net/loop.h's; here are only the ways to go on
// until nothing is left to do. File descriptors are not polled: for transports without a socket (fake_transport.h).
#ifndef SUPPORT_CHECK_LOOP_H
#define SUPPORT_CHECK_LOOP_H

#include "net/loop.h"

struct check_loop {
    struct loop loop; // what is tested gets this
};

void check_loop_init(struct check_loop *check);

// All transports must be closed; runs what is still to be done first. Aborts when a block, a chunk or a timer is left over.
void check_loop_dispose(struct check_loop *check);

// One turn, no time passes.
void check_loop_turn(struct check_loop *check);

// Turns until no task waits, no time passes. Aborts when two parts wake each other for ever.
void check_loop_settle(struct check_loop *check);

// Lets `duration` pass: settles, then goes from one deadline of the timer wheel to the next, settling at each.
void check_loop_pass(struct check_loop *check, nanoseconds duration);

#endif
