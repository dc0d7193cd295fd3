// The loop of unit tests: net/loop.h with the clock replaced. See check_loop.h.
#include "support/check_loop.h"

#include "base/check.h"

void check_loop_init(struct check_loop *check) {
    loop_init(&check->loop, check);
    check->loop.now = 1000 * NS_PER_S;
    timer_wheel_init(&check->loop.timers, check->loop.now);
    rng_init(&check->loop.rng, 1);
}

void check_loop_dispose(struct check_loop *check) {
    check_loop_settle(check);
    CHECK(check->loop.timers.count == 0);
    loop_dispose(&check->loop);
}

void check_loop_turn(struct check_loop *check) {
    loop_turn(&check->loop, check->loop.now);
}

void check_loop_settle(struct check_loop *check) {
    mailbox_receive(&check->loop.mailbox, check->loop.receiver);
    CHECK(loop_settle(&check->loop));
}

void check_loop_pass(struct check_loop *check, nanoseconds duration) {
    CHECK(loop_pass(&check->loop, check->loop.now + duration));
}
