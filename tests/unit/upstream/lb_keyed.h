// What holds of each balancer that goes by a key, Maglev or RingHash: a key leads to one endpoint, in every process; what one cannot take goes to others; a bound on load holds.
#ifndef TESTS_UPSTREAM_LB_KEYED_H
#define TESTS_UPSTREAM_LB_KEYED_H

#include "base/check.h"
#include "unit/upstream/lb_drive.h"

#define KEYS 100000

// Which endpoint each key leads to, in memory that the caller frees.
static inline int *map_keys(struct lb_drive *drive) {
    int *map = alloc_zeroed_or_abort(KEYS, sizeof *map);
    for (uint64_t key = 0; key < KEYS; key++)
        map[key] = lb_drive_pick_key(drive, key);
    return map;
}

static inline unsigned count_moved(const int *before, const int *after) {
    unsigned moved = 0;
    for (unsigned key = 0; key < KEYS; key++)
        moved += before[key] != after[key];
    return moved;
}

static inline enum lb_type type_of(void **state) {
    const enum lb_type *type = *state;
    return *type;
}

static inline void a_key_leads_to_one_endpoint(void **state) {
    struct lb_drive drives[2];
    for (int i = 0; i < 2; i++)
        lb_drive_init(&drives[i], type_of(state), 17 + (uint64_t)i, (const int[]){1, 1, 1, 1, 1, -1});
    for (uint64_t key = 0; key < 1000; key++) {
        int number = lb_drive_pick_key(&drives[0], key);
        for (int i = 0; i < 3; i++)
            assert_int_equal(lb_drive_pick_key(&drives[1], key), number); // another process
    }
    for (int i = 0; i < 2; i++)
        lb_drive_dispose(&drives[i]);
}

// Proxies may be told the endpoints in another order.
static inline void the_order_of_endpoints_is_no_matter(void **state) {
    struct lb_drive drives[2];
    for (int i = 0; i < 2; i++)
        lb_drive_init(&drives[i], type_of(state), 1, i == 0 ? (const int[]){1, 2, 3, -1} : (const int[]){3, 2, 1, -1});
    for (int i = 0; i < 3; i++)
        drives[1].endpoints[i].address.ip[3] = (unsigned char)(2 - i);
    lb_drive_build(&drives[1], 3);
    for (uint64_t key = 0; key < 10000; key++)
        assert_int_equal(lb_drive_pick_key(&drives[0], key), 2 - lb_drive_pick_key(&drives[1], key));
    for (int i = 0; i < 2; i++)
        lb_drive_dispose(&drives[i]);
}

// A retry goes to another one, always to the same, and what one endpoint leaves falls on all others.
static inline void tried_and_unavailable_ones_are_passed_over(void **state) {
    struct lb_drive drive;
    lb_drive_init(&drive, type_of(state), 1, (const int[]){1, 1, 1, 1, 1, -1});
    unsigned taken_over[5] = {0};
    for (uint64_t key = 0; key < 10000; key++) {
        drive.request.tried_count = 0;
        int first = lb_drive_pick_key(&drive, key);
        lb_drive_try(&drive, (unsigned)first);
        int second = lb_drive_pick_key(&drive, key);
        assert_int_not_equal(second, first);
        assert_int_equal(lb_drive_pick_key(&drive, key), second);
        taken_over[second] += first == 0;
        lb_drive_try(&drive, (unsigned)second);
        int third = lb_drive_pick_key(&drive, key);
        assert_true(third != first && third != second);
    }
    drive.request.tried_count = 0;
    int *before = map_keys(&drive);
    lb_drive_set_available(&drive, 0, false);
    int *after = map_keys(&drive);
    for (int key = 0; key < KEYS; key++)
        assert_true(before[key] == 0 ? after[key] != 0 : after[key] == before[key]); // nobody else's keys move
    for (int i = 1; i < 5; i++)
        assert_in_range(taken_over[i], 250, 850);
    free(before);
    free(after);
    lb_drive_dispose(&drive);
}

// With load that stays, no endpoint is ever above its cap: 125 % of the mean by weight, with the request that is to be placed.
static inline void bounded_load_is_never_above_its_cap(void **state) {
    static const int weights[] = {1, 1, 2, 4, -1};
    struct lb_drive drive;
    lb_drive_init(&drive, type_of(state), 23, weights);
    drive.lb.bounded_percent = 125;
    unsigned running[400];
    for (unsigned i = 0; i < 20000; i++) {
        if (i >= 400)
            lb_drive_done(&drive, running[i % 400], LB_ANSWERED, NS_PER_MS);
        // A few keys have most of the traffic; now and then one endpoint is not available, or one was tried.
        drive.request.tried_count = 0;
        if (i % 7 == 0)
            lb_drive_try(&drive, i % 4);
        if (i % 1000 == 0)
            lb_drive_set_available(&drive, i / 2000 % 4, i / 1000 % 2 == 1);
        uint64_t total = drive.lb.in_flight + 1;
        uint64_t key = rng_below(&drive.rng, 3);
        int number = lb_drive_pick_key(&drive, key);
        CHECK(number >= 0 && number < 4);
        running[i % 400] = (unsigned)number;
        lb_drive_begin(&drive, (unsigned)number);
        double cap = ceil(1.25 * (double)total * weights[number] / (double)drive.lb.weight_available);
        assert_true(drive.endpoints[number].in_flight <= cap);
    }
    lb_drive_dispose(&drive);
}

// A new endpoint takes over more and more keys, and those that it has it keeps.
static inline void a_new_one_takes_keys_over_one_by_one(void **state) {
    struct lb_drive drive;
    lb_drive_init(&drive, type_of(state), 1, (const int[]){1, 1, 1, 1, -1});
    int *before = NULL;
    unsigned share = 0;
    for (unsigned seconds = 0; seconds <= 30; seconds += 5) {
        drive.endpoints[2].ramp_since = drive.request.now - seconds * NS_PER_S;
        int *after = map_keys(&drive);
        unsigned has = 0;
        for (int key = 0; key < KEYS; key++) {
            has += after[key] == 2;
            assert_true(before == NULL || after[key] == before[key] || after[key] == 2);
        }
        assert_true(has > share);
        share = has;
        free(before);
        before = after;
    }
    assert_in_range(share, KEYS / 4 * 8 / 10, KEYS / 4 * 12 / 10);
    free(before);
    lb_drive_dispose(&drive);
}

static inline void without_a_key_picks_are_spread(void **state) {
    struct lb_drive drive;
    lb_drive_init(&drive, type_of(state), 9, (const int[]){1, 1, -1});
    for (int i = 0; i < 10000; i++)
        lb_drive_pick(&drive);
    assert_in_range(drive.picked[0], 4000, 6000);
    lb_drive_dispose(&drive);
}

// `type`: where the type stands.
#define LB_KEYED_TESTS(type)                                                                                                                         \
    cmocka_unit_test_prestate(a_key_leads_to_one_endpoint, type), cmocka_unit_test_prestate(the_order_of_endpoints_is_no_matter, type),              \
        cmocka_unit_test_prestate(tried_and_unavailable_ones_are_passed_over, type),                                                                 \
        cmocka_unit_test_prestate(bounded_load_is_never_above_its_cap, type), cmocka_unit_test_prestate(a_new_one_takes_keys_over_one_by_one, type), \
        cmocka_unit_test_prestate(without_a_key_picks_are_spread, type)

#endif
