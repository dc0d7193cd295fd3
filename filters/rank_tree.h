// Who is served first: a tree of those who wait, by class, deadline and arrival. All steps take a time that grows with the logarithm of their number, for whichever of them: the first,
// the last, one that goes. Intrusive: a node lies in whatever waits, and nothing is allocated. Not thread-safe.
//
// A treap: a search tree by rank that is a heap by a number that is random as far as anybody outside can tell, so that no order of coming makes it deep.
#ifndef FILTERS_RANK_TREE_H
#define FILTERS_RANK_TREE_H

#include "base/clock.h"

#include <stdint.h>

// Lower is served first: by class, in it by deadline, in that by arrival, a number that no two share.
struct rank {
    uint32_t class_index;
    nanoseconds deadline;
    uint64_t arrival;
};

struct rank_node {
    struct rank rank;
    uint64_t weight;
    struct rank_node *parent, *left, *right;
};

// All zero is an empty one.
struct rank_tree {
    struct rank_node *root;
};

// Negative: `left` is served first.
int rank_compare(const struct rank *left, const struct rank *right);

void rank_tree_insert(struct rank_tree *tree, struct rank_node *node, const struct rank *rank);

// One that is in it.
void rank_tree_remove(struct rank_tree *tree, struct rank_node *node);

// Who is served first and last; NULL: nobody waits.
struct rank_node *rank_tree_first(const struct rank_tree *tree);
struct rank_node *rank_tree_last(const struct rank_tree *tree);

#endif
