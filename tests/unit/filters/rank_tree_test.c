// The tree of those who wait, against a plain list: who is first and last stays right whoever comes and goes, and no order of coming makes it deep.
#include "filters/rank_tree.h"

#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

#define NODES 300

static void class_goes_before_deadline_and_deadline_before_arrival(void **state) {
    (void)state;
    const struct rank ranks[] = {{0, 9, 7}, {1, 3, 6}, {1, 5, 2}, {1, 5, 4}, {1, UINT64_MAX, 1}, {2, 0, 0}};
    for (size_t i = 0; i < 6; i++)
        for (size_t j = 0; j < 6; j++)
            assert_int_equal(rank_compare(&ranks[i], &ranks[j]), i < j ? -1 : i > j);
}

static const struct rank_node *extreme(struct rank_node *nodes, const bool *inside, int sign) {
    const struct rank_node *found = NULL;
    for (size_t i = 0; i < NODES; i++)
        if (inside[i] && (found == NULL || rank_compare(&nodes[i].rank, &found->rank) * sign < 0))
            found = &nodes[i];
    return found;
}

static void first_and_last_are_right_whoever_comes_and_goes(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct rng rng;
        struct rank_node nodes[NODES];
        bool inside[NODES] = {false};
        struct rank_tree tree = {0};
        rng_init(&rng, seed);
        for (uint64_t step = 0; step < 1500; step++) {
            const size_t which = rng_below(&rng, NODES);
            if (inside[which]) {
                rank_tree_remove(&tree, &nodes[which]);
            } else {
                const struct rank rank = {(uint32_t)rng_below(&rng, 3), rng_below(&rng, 10), step};
                rank_tree_insert(&tree, &nodes[which], &rank);
            }
            inside[which] = !inside[which];
            assert_ptr_equal(rank_tree_first(&tree), extreme(nodes, inside, 1));
            assert_ptr_equal(rank_tree_last(&tree), extreme(nodes, inside, -1));
        }
    }
}

static unsigned depth_of(const struct rank_node *node) {
    if (node == NULL)
        return 0;
    const unsigned left = depth_of(node->left), right = depth_of(node->right);
    return 1 + (left > right ? left : right);
}

// A plain search tree would be 10,000 deep.
static void no_order_of_coming_makes_it_deep(void **state) {
    (void)state;
    static struct rank_node nodes[10000];
    struct rank_tree tree = {0};
    for (uint64_t i = 0; i < 10000; i++)
        rank_tree_insert(&tree, &nodes[i], &(struct rank){.arrival = i});
    assert_true(depth_of(tree.root) < 60);
    for (uint64_t i = 0; i < 10000; i++) {
        assert_ptr_equal(rank_tree_first(&tree), &nodes[i]);
        rank_tree_remove(&tree, &nodes[i]);
    }
    assert_null(tree.root);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(class_goes_before_deadline_and_deadline_before_arrival),
        cmocka_unit_test(first_and_last_are_right_whoever_comes_and_goes),
        cmocka_unit_test(no_order_of_coming_makes_it_deep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
