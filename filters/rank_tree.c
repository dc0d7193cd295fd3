// The treap of rank_tree.h: nodes sink and rise by rotations, which keep the order; a node that goes sinks until it has one child at most.
#include "filters/rank_tree.h"

#include "base/hash.h"
#include "base/map.h"

#include <stddef.h>

int rank_compare(const struct rank *left, const struct rank *right) {
    if (left->class_index != right->class_index)
        return left->class_index < right->class_index ? -1 : 1;
    if (left->deadline != right->deadline)
        return left->deadline < right->deadline ? -1 : 1;
    return left->arrival < right->arrival ? -1 : left->arrival > right->arrival;
}

// What points to the node: its parent's side, or the root.
static struct rank_node **place_of(struct rank_tree *tree, const struct rank_node *node) {
    struct rank_node *parent = node->parent;
    if (parent == NULL)
        return &tree->root;
    return parent->left == node ? &parent->left : &parent->right;
}

static void adopt(struct rank_node *parent, struct rank_node **side, struct rank_node *child) {
    *side = child;
    if (child != NULL)
        child->parent = parent;
}

// The node goes above its parent; the order stays.
static void rotate_up(struct rank_tree *tree, struct rank_node *node) {
    struct rank_node *parent = node->parent;
    struct rank_node **place = place_of(tree, parent);
    struct rank_node *above = parent->parent;
    if (parent->left == node) {
        adopt(parent, &parent->left, node->right);
        adopt(node, &node->right, parent);
    } else {
        adopt(parent, &parent->right, node->left);
        adopt(node, &node->left, parent);
    }
    adopt(above, place, node);
}

void rank_tree_insert(struct rank_tree *tree, struct rank_node *node, const struct rank *rank) {
    struct rank_node *parent = NULL;
    struct rank_node **place = &tree->root;
    while (*place != NULL) {
        parent = *place;
        place = rank_compare(rank, &parent->rank) < 0 ? &parent->left : &parent->right;
    }
    *node = (struct rank_node){.rank = *rank, .weight = hash_mix(rank->arrival ^ hash_bytes(BYTES("who waits"))), .parent = parent};
    *place = node;
    while (node->parent != NULL && node->weight > node->parent->weight)
        rotate_up(tree, node);
}

void rank_tree_remove(struct rank_tree *tree, struct rank_node *node) {
    while (node->left != NULL && node->right != NULL)
        rotate_up(tree, node->left->weight > node->right->weight ? node->left : node->right);
    adopt(node->parent, place_of(tree, node), node->left != NULL ? node->left : node->right);
}

struct rank_node *rank_tree_first(const struct rank_tree *tree) {
    struct rank_node *node = tree->root;
    while (node != NULL && node->left != NULL)
        node = node->left;
    return node;
}

struct rank_node *rank_tree_last(const struct rank_tree *tree) {
    struct rank_node *node = tree->root;
    while (node != NULL && node->right != NULL)
        node = node->right;
    return node;
}
