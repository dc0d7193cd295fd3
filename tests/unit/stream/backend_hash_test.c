// Which backend of a rule a key belongs to: shares by weight, and who moves when backends come, go or weigh otherwise.
#include "stream/backend_hash.h"

#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define KEYS 100000
#define BACKENDS_MAX 16

struct shards {
    struct destination destinations[BACKENDS_MAX];
    struct destination *list[BACKENDS_MAX];
    struct route_rule rule;
};

// The backend of number i is called i, whatever stands beside it.
static void init(struct shards *shards, const uint32_t *weights, uint32_t count) {
    memset(shards, 0, sizeof *shards);
    for (uint32_t i = 0; i < count; i++) {
        shards->destinations[i] = (struct destination){.weight = weights[i], .seed = hash_mix(1000 + i)};
        shards->list[i] = &shards->destinations[i];
    }
    shards->rule.destinations = shards->list;
    shards->rule.destination_count = count;
}

static uint64_t key_of(uint32_t number) {
    return hash_mix(number);
}

static void shares_go_by_weight(void **state) {
    (void)state;
    static const uint32_t cases[][5] = {{1, 1, 1, 0, 0}, {1, 2, 7, 0, 0}, {90, 9, 1, 0, 0}, {1000000, 500000, 0, 250000, 250000}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct shards shards;
        uint32_t found[5] = {0};
        double weights = 0;
        init(&shards, cases[i], 5);
        for (uint32_t j = 0; j < 5; j++)
            weights += cases[i][j];
        for (uint32_t key = 0; key < KEYS; key++)
            found[backend_by_hash(&shards.rule, key_of(key))]++;
        for (uint32_t j = 0; j < 5; j++) {
            int difference = (int)found[j] - (int)((double)KEYS * cases[i][j] / weights);
            assert_in_range(abs(difference), 0, KEYS / 100);
            assert_true(cases[i][j] > 0 || found[j] == 0);
        }
    }
}

static void one_that_comes_takes_its_share_and_moves_nobody_else(void **state) {
    (void)state;
    static const uint32_t weights[] = {1, 2, 1, 2};
    struct shards before, after;
    uint32_t moved = 0, from[3] = {0};
    init(&before, weights, 3);
    init(&after, weights, 4);
    for (uint32_t key = 0; key < KEYS; key++) {
        uint32_t was = backend_by_hash(&before.rule, key_of(key)), is = backend_by_hash(&after.rule, key_of(key));
        assert_true(is == was || is == 3);
        moved += is != was;
        from[was] += is != was;
    }
    // A third of all weights, taken of each as it had.
    assert_in_range(moved, KEYS / 3 - KEYS / 100, KEYS / 3 + KEYS / 100);
    assert_in_range(from[1], 2 * from[0] - KEYS / 100, 2 * from[0] + KEYS / 100);
}

static void one_that_goes_leaves_its_keys_alone_to_the_others(void **state) {
    (void)state;
    static const uint32_t all[] = {3, 1, 4, 1}, without[] = {3, 1, 0, 1};
    struct shards before, after;
    init(&before, all, 4);
    init(&after, without, 4);
    for (uint32_t key = 0; key < KEYS; key++) {
        uint32_t was = backend_by_hash(&before.rule, key_of(key)), is = backend_by_hash(&after.rule, key_of(key));
        assert_true(was == 2 ? is != 2 : is == was);
    }
}

static void another_weight_moves_what_it_takes_alone(void **state) {
    (void)state;
    static const uint32_t light[] = {1, 1, 1}, heavy[] = {1, 2, 1};
    struct shards before, after;
    uint32_t moved = 0;
    init(&before, light, 3);
    init(&after, heavy, 3);
    for (uint32_t key = 0; key < KEYS; key++) {
        uint32_t was = backend_by_hash(&before.rule, key_of(key)), is = backend_by_hash(&after.rule, key_of(key));
        assert_true(is == was || is == 1);
        moved += is != was;
    }
    assert_in_range(moved, KEYS / 6 - KEYS / 100, KEYS / 6 + KEYS / 100);
}

static void the_order_of_backends_does_not_matter(void **state) {
    (void)state;
    static const uint32_t weights[] = {1, 2, 3};
    struct shards forth, back;
    init(&forth, weights, 3);
    init(&back, weights, 3);
    for (uint32_t i = 0; i < 3; i++)
        back.list[i] = &back.destinations[2 - i];
    for (uint32_t key = 0; key < 1000; key++)
        assert_int_equal(backend_by_hash(&forth.rule, key_of(key)), 2 - backend_by_hash(&back.rule, key_of(key)));
}

static void a_rule_without_weights_has_its_first(void **state) {
    (void)state;
    static const uint32_t weights[] = {0, 0};
    struct shards shards;
    init(&shards, weights, 2);
    assert_int_equal(backend_by_hash(&shards.rule, 7), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_go_by_weight),
        cmocka_unit_test(one_that_comes_takes_its_share_and_moves_nobody_else),
        cmocka_unit_test(one_that_goes_leaves_its_keys_alone_to_the_others),
        cmocka_unit_test(another_weight_moves_what_it_takes_alone),
        cmocka_unit_test(the_order_of_backends_does_not_matter),
        cmocka_unit_test(a_rule_without_weights_has_its_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
