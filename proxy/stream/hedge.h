// Hedged requests: a request that takes longer than most is sent to a second endpoint too, and the first answer wins. By a policy alone; of methods that may be repeated;
// once the whole request is there; at most a share of the requests, and inside the retry budget. Used by attempts.c, where the tries are.
#ifndef STREAM_HEDGE_H
#define STREAM_HEDGE_H

#include "base/timer_wheel.h"

#include <stdbool.h>
#include <stdint.h>

struct attempt;
struct stream;

struct hedge {
    struct timer timer;
    bool due;       // the time is up; begun as soon as the request is complete
    uint32_t begun; // tries that were begun so
};

// The first try begins.
void hedge_start(struct stream *stream);

// From attempts_advance, while nothing is committed: whether a further try is to begin now, beside those that run. What it takes from the budgets is taken.
bool hedge_is_due(struct stream *stream);

// One that was begun was not sent after all.
void hedge_give_back(struct stream *stream);

// There will be none any more. Harmless when called again.
void hedge_end(struct stream *stream);

// A try has its head, or was given up for another one: what the percentile comes from.
void hedge_learn(const struct attempt *attempt);

#endif
