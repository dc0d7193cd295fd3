// How many retries a service gets: at most `percent` of the original requests of the last `interval`, and `min_per_second` over it. Counted exactly over all
// workers in ten slots, each one atomic word: (epoch, originals, retries).
#ifndef UPSTREAM_RETRY_BUDGET_H
#define UPSTREAM_RETRY_BUDGET_H

#include "base/clock.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define RETRY_BUDGET_SLOTS 10

struct retry_budget {
    _Atomic uint64_t slots[RETRY_BUDGET_SLOTS];
};

// The numbers of the policy; they may change at any time and keep the counts, but for the interval: counts of another slot length are forgotten by themselves.
struct retry_budget_rule {
    uint32_t percent;
    nanoseconds interval; // > 0
    uint32_t min_per_second;
};

// An original request begins. Any worker.
void retry_budget_deposit(struct retry_budget *budget, const struct retry_budget_rule *rule, nanoseconds now);

// Takes one retry; false when the budget is spent. Any worker.
bool retry_budget_withdraw(struct retry_budget *budget, const struct retry_budget_rule *rule, nanoseconds now);

// One that was taken at `taken_at` was not made after all. Any worker.
void retry_budget_give_back(struct retry_budget *budget, const struct retry_budget_rule *rule, nanoseconds taken_at);

// How many retries could be taken now; for people. Any thread.
uint64_t retry_budget_left(const struct retry_budget *budget, const struct retry_budget_rule *rule, nanoseconds now);

#endif
