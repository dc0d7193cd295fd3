// Turns by weight: who is due next, so that each comes as often as its weight says, spread evenly. A heap; used by RoundRobin for each pick and by Maglev to fill its table.
#ifndef UPSTREAM_LB_TURNS_H
#define UPSTREAM_LB_TURNS_H

#include <stdint.h>

struct lb_turn {
    double due;
    double step; // between its turns: 1 / weight
    uint32_t index;
};

// Puts an array of turns in the order of a heap: the first is then due next.
void lb_turns_order(struct lb_turn *turns, uint32_t count);

// The first has had its turn: it is due again one step later.
void lb_turns_advance(struct lb_turn *turns, uint32_t count);

#endif
