// The random generator: the published sequence, repeatability, bounds without bias.
#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void sequence_is_that_of_xoshiro256starstar(void **state) {
    (void)state;
    struct rng rng = {{1, 2, 3, 4}};
    static const uint64_t expected[] = {
        UINT64_C(11520),
        UINT64_C(0),
        UINT64_C(1509978240),
        UINT64_C(1215971899390074240),
        UINT64_C(1216172134540287360),
        UINT64_C(607988272756665600),
        UINT64_C(16172922978634559625),
        UINT64_C(8476171486693032832),
    };
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        assert_true(rng_next(&rng) == expected[i]);
}

static void seed_is_spread_by_splitmix64(void **state) {
    (void)state;
    struct rng rng;
    rng_init(&rng, 0);
    assert_true(rng.state[0] == UINT64_C(0xe220a8397b1dcdaf));
    assert_true(rng.state[1] == UINT64_C(0x6e789e6aa1b965f4));
}

static void same_seed_gives_the_same_numbers(void **state) {
    (void)state;
    struct rng a;
    struct rng b;
    struct rng c;
    rng_init(&a, 42);
    rng_init(&b, 42);
    rng_init(&c, 43);
    int different = 0;
    for (int i = 0; i < 100; i++) {
        uint64_t number = rng_next(&a);
        assert_true(number == rng_next(&b));
        different += number != rng_next(&c);
    }
    assert_true(different > 95);
}

static void seeds_of_the_system_differ(void **state) {
    (void)state;
    struct rng a;
    struct rng b;
    rng_init_random(&a);
    rng_init_random(&b);
    assert_true(rng_next(&a) != rng_next(&b));
}

static void numbers_below_a_bound_reach_all_and_no_more(void **state) {
    (void)state;
    struct rng rng;
    rng_init(&rng, 1);
    static const uint32_t bounds[] = {1, 2, 3, 5, 7, 64, 100};
    for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
        uint32_t seen[100] = {0};
        for (uint32_t draw = 0; draw < 100 * bounds[i]; draw++) {
            uint32_t number = rng_below(&rng, bounds[i]);
            assert_true(number < bounds[i]);
            seen[number]++;
        }
        for (uint32_t number = 0; number < bounds[i]; number++)
            assert_in_range(seen[number], 40, 160); // 100 expected, standard deviation 10; the seed is fixed
    }
}

static void large_bounds_are_not_biased(void **state) {
    (void)state;
    // With bound 3 * 2^30, a mere multiplication would give multiples of 3 twice as often as the others.
    struct rng rng;
    rng_init(&rng, 2);
    uint32_t seen[3] = {0};
    for (int i = 0; i < 30000; i++)
        seen[rng_below(&rng, UINT32_C(3) << 30) % 3]++;
    for (int i = 0; i < 3; i++)
        assert_in_range(seen[i], 9500, 10500);
}

static void a_time_is_shortened_by_a_tenth_at_most(void **state) {
    (void)state;
    struct rng rng;
    rng_init(&rng, 3);
    uint32_t seen[11] = {0};
    for (int i = 0; i < 1100; i++) {
        uint64_t time = rng_shortened(&rng, 100);
        assert_in_range(time, 90, 100);
        seen[time - 90]++;
    }
    for (int i = 0; i <= 10; i++)
        assert_in_range(seen[i], 40, 160);
    assert_int_equal(rng_shortened(&rng, 9), 9);
    assert_int_equal(rng_shortened(&rng, 0), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequence_is_that_of_xoshiro256starstar),
        cmocka_unit_test(seed_is_spread_by_splitmix64),
        cmocka_unit_test(same_seed_gives_the_same_numbers),
        cmocka_unit_test(seeds_of_the_system_differ),
        cmocka_unit_test(numbers_below_a_bound_reach_all_and_no_more),
        cmocka_unit_test(large_bounds_are_not_biased),
        cmocka_unit_test(a_time_is_shortened_by_a_tenth_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
