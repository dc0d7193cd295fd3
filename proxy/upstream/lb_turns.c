// A binary heap by due time; equal times in the order of the numbers, so that the same turns come out alike everywhere.
#include "upstream/lb_turns.h"

#include <stdbool.h>

static bool is_before(const struct lb_turn *a, const struct lb_turn *b) {
    return a->due < b->due || (a->due == b->due && a->index < b->index);
}

static void sink(struct lb_turn *turns, uint32_t count, uint32_t at) {
    struct lb_turn sinking = turns[at];
    for (;;) {
        uint64_t child = 2 * (uint64_t)at + 1;
        if (child >= count)
            break;
        if (child + 1 < count && is_before(&turns[child + 1], &turns[child]))
            child++;
        if (!is_before(&turns[child], &sinking))
            break;
        turns[at] = turns[child];
        at = (uint32_t)child;
    }
    turns[at] = sinking;
}

void lb_turns_order(struct lb_turn *turns, uint32_t count) {
    for (uint32_t i = count / 2; i-- > 0;)
        sink(turns, count, i);
}

void lb_turns_advance(struct lb_turn *turns, uint32_t count) {
    turns[0].due += turns[0].step;
    sink(turns, count, 0);
}
