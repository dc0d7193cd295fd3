// The loop of unit tests: net/loop.h with the clock replaced. See check_loop.h.
#include "support/check_loop.h"

#include "base/check.h"

#define TURNS_MAX 100000

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

static bool has_tasks(const struct loop *loop) {
    return !list_is_empty(&loop->wake) || !list_is_empty(&loop->flush_soon) || !list_is_empty(&loop->flush) || !list_is_empty(&loop->closing);
}

unsigned check_loop_settle(struct check_loop *check) {
    unsigned turns = 0;
    while (has_tasks(&check->loop)) {
        check_loop_turn(check);
        turns++;
        CHECK(turns < TURNS_MAX);
    }
    return turns;
}

void check_loop_pass(struct check_loop *check, nanoseconds duration) {
    struct loop *loop = &check->loop;
    nanoseconds end = loop->now + duration;
    check_loop_settle(check);
    for (;;) {
        nanoseconds next = timer_wheel_next(&loop->timers);
        if (next > end)
            break;
        loop_turn(loop, next > loop->now ? next : loop->now);
        check_loop_settle(check);
    }
    loop_turn(loop, end);
    check_loop_settle(check);
}
