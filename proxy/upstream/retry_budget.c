// See retry_budget.h. A slot whose epoch is not the current one of its place counts as empty, so nothing needs to be cleaned on a clock.
#include "upstream/retry_budget.h"

#include "base/check.h"

#define EPOCH_BITS 24
#define ORIGINALS_BITS 24
#define RETRIES_BITS 16
#define ORIGINALS_MAX ((UINT64_C(1) << ORIGINALS_BITS) - 1)
#define RETRIES_MAX ((UINT64_C(1) << RETRIES_BITS) - 1)

_Static_assert(EPOCH_BITS + ORIGINALS_BITS + RETRIES_BITS == 64, "a slot is one word");

struct slot {
    uint64_t epoch;
    uint64_t originals;
    uint64_t retries;
};

static uint64_t pack(struct slot slot) {
    return slot.epoch << (ORIGINALS_BITS + RETRIES_BITS) | slot.originals << RETRIES_BITS | slot.retries;
}

static struct slot unpack(uint64_t word) {
    return (struct slot){
        .epoch = word >> (ORIGINALS_BITS + RETRIES_BITS), .originals = word >> RETRIES_BITS & ORIGINALS_MAX, .retries = word & RETRIES_MAX};
}

static uint64_t epoch_of(nanoseconds now, const struct retry_budget_rule *rule) {
    nanoseconds slot_length = rule->interval / RETRY_BUDGET_SLOTS;
    CHECK(slot_length > 0);
    return now / slot_length;
}

static uint64_t epoch_word(uint64_t epoch) {
    return epoch & ((UINT64_C(1) << EPOCH_BITS) - 1);
}

static void count(_Atomic uint64_t *word, uint64_t epoch, uint32_t originals, int retries) {
    uint64_t before = atomic_load_explicit(word, memory_order_relaxed);
    uint64_t after;
    do {
        struct slot slot = unpack(before);
        if (slot.epoch != epoch_word(epoch) && retries < 0)
            return; // what is taken back is forgotten already
        if (slot.epoch != epoch_word(epoch))
            slot = (struct slot){.epoch = epoch_word(epoch)};
        if (slot.originals + originals <= ORIGINALS_MAX)
            slot.originals += originals;
        if ((retries > 0 && slot.retries < RETRIES_MAX) || (retries < 0 && slot.retries > 0))
            slot.retries += (uint64_t)retries;
        after = pack(slot);
    } while (!atomic_compare_exchange_weak_explicit(word, &before, after, memory_order_relaxed, memory_order_relaxed));
}

void retry_budget_deposit(struct retry_budget *budget, const struct retry_budget_rule *rule, nanoseconds now) {
    uint64_t epoch = epoch_of(now, rule);
    count(&budget->slots[epoch % RETRY_BUDGET_SLOTS], epoch, 1, 0);
}

// What all slots of the interval that ends with `epoch` hold together.
static struct slot sum_of(const struct retry_budget *budget, uint64_t epoch) {
    struct slot sum = {.epoch = epoch};
    for (uint64_t back = 0; back < RETRY_BUDGET_SLOTS && back <= epoch; back++) {
        uint64_t then = epoch - back;
        struct slot slot = unpack(atomic_load_explicit(&budget->slots[then % RETRY_BUDGET_SLOTS], memory_order_relaxed));
        if (slot.epoch != epoch_word(then))
            continue;
        sum.originals += slot.originals;
        sum.retries += slot.retries;
    }
    return sum;
}

static uint64_t allowed(const struct slot *sum, const struct retry_budget_rule *rule) {
    uint64_t reserve = rule->min_per_second * (rule->interval / NS_PER_MS) / 1000;
    return sum->originals * rule->percent / 100 + reserve;
}

// Counts first and takes back what is too much: two workers at once may both be refused the last retry, never both be given it.
bool retry_budget_withdraw(struct retry_budget *budget, const struct retry_budget_rule *rule, nanoseconds now) {
    uint64_t epoch = epoch_of(now, rule);
    _Atomic uint64_t *current = &budget->slots[epoch % RETRY_BUDGET_SLOTS];
    count(current, epoch, 0, 1);
    struct slot sum = sum_of(budget, epoch);
    if (sum.retries <= allowed(&sum, rule))
        return true;
    count(current, epoch, 0, -1);
    return false;
}

void retry_budget_give_back(struct retry_budget *budget, const struct retry_budget_rule *rule, nanoseconds taken_at) {
    uint64_t epoch = epoch_of(taken_at, rule);
    count(&budget->slots[epoch % RETRY_BUDGET_SLOTS], epoch, 0, -1);
}

uint64_t retry_budget_left(const struct retry_budget *budget, const struct retry_budget_rule *rule, nanoseconds now) {
    struct slot sum = sum_of(budget, epoch_of(now, rule));
    uint64_t most = allowed(&sum, rule);
    return most > sum.retries ? most - sum.retries : 0;
}
