// RingHash: a key leads to one endpoint, in every process; a change of endpoints moves few keys; what one cannot take goes to the next; a bound on load holds.
#include "base/check.h"
#include "unit/upstream/lb_drive.h"

#define KEYS 100000

// Which endpoint each key leads to, in memory that the caller frees.
static int *map_keys(struct lb_drive *drive) {
    int *map = alloc_zeroed_or_abort(KEYS, sizeof *map);
    for (uint64_t key = 0; key < KEYS; key++)
        map[key] = lb_drive_pick_key(drive, key);
    return map;
}

static unsigned count_moved(const int *before, const int *after) {
    unsigned moved = 0;
    for (unsigned key = 0; key < KEYS; key++)
        moved += before[key] != after[key];
    return moved;
}

// The ideal is a fifth: what the fifth endpoint has then. Whatever the addresses are.
static void a_fifth_endpoint_moves_at_most_a_quarter_of_the_keys(void **state) {
    (void)state;
    for (unsigned char net = 1; net <= 10; net++) {
        struct lb_drive drive;
        lb_drive_init(&drive, LB_RING_HASH, 1, (const int[]){1, 1, 1, 1, 1, -1});
        for (int i = 0; i < 5; i++)
            drive.endpoints[i].address.ip[1] = net;
        lb_drive_build(&drive, 4);
        int *before = map_keys(&drive);
        lb_drive_build(&drive, 5);
        int *after = map_keys(&drive);
        unsigned moved = count_moved(before, after);
        assert_in_range(moved, KEYS / 100 * 15, KEYS / 4);
        for (int key = 0; key < KEYS; key++)
            assert_true(after[key] == before[key] || after[key] == 4); // none between the others
        free(before);
        free(after);
        lb_drive_dispose(&drive);
    }
}

// With points enough; with 150 shares are some percent off.
static void shares_are_those_of_the_weights(void **state) {
    (void)state;
    static const struct {
        uint32_t virtual_nodes;
        double off;
    } rings[] = {{10000, 0.01}, {150, 0.06}};
    for (int i = 0; i < 2; i++) {
        struct lb_drive drive;
        lb_drive_init(&drive, LB_RING_HASH, 1, (const int[]){1, 2, 3, -1});
        drive.lb.virtual_nodes = rings[i].virtual_nodes;
        lb_drive_build(&drive, 3);
        free(map_keys(&drive));
        lb_drive_assert_weights(&drive, rings[i].off);
        lb_drive_dispose(&drive);
    }
}

static void a_key_leads_to_one_endpoint(void **state) {
    (void)state;
    struct lb_drive drives[2];
    for (int i = 0; i < 2; i++)
        lb_drive_init(&drives[i], LB_RING_HASH, 17 + (uint64_t)i, (const int[]){1, 1, 1, 1, 1, -1});
    for (uint64_t key = 0; key < 1000; key++) {
        int number = lb_drive_pick_key(&drives[0], key);
        for (int i = 0; i < 3; i++)
            assert_int_equal(lb_drive_pick_key(&drives[1], key), number); // another process
    }
    for (int i = 0; i < 2; i++)
        lb_drive_dispose(&drives[i]);
}

// Proxies may be told the endpoints in another order.
static void the_order_of_endpoints_is_no_matter(void **state) {
    (void)state;
    struct lb_drive drives[2];
    for (int i = 0; i < 2; i++)
        lb_drive_init(&drives[i], LB_RING_HASH, 1, i == 0 ? (const int[]){1, 2, 3, -1} : (const int[]){3, 2, 1, -1});
    for (int i = 0; i < 3; i++)
        drives[1].endpoints[i].address.ip[3] = (unsigned char)(2 - i);
    lb_drive_build(&drives[1], 3);
    for (uint64_t key = 0; key < 10000; key++)
        assert_int_equal(lb_drive_pick_key(&drives[0], key), 2 - lb_drive_pick_key(&drives[1], key));
    for (int i = 0; i < 2; i++)
        lb_drive_dispose(&drives[i]);
}

// A retry goes to another one, always to the same, and what one endpoint leaves falls on all others.
static void tried_and_unavailable_ones_are_passed_over(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_RING_HASH, 1, (const int[]){1, 1, 1, 1, 1, -1});
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
static void bounded_load_is_never_above_its_cap(void **state) {
    (void)state;
    static const int weights[] = {1, 1, 2, 4, -1};
    struct lb_drive drive;
    lb_drive_init(&drive, LB_RING_HASH, 23, weights);
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
static void a_new_one_takes_keys_over_one_by_one(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_RING_HASH, 1, (const int[]){1, 1, 1, 1, -1});
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

static void without_a_key_picks_are_spread(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init(&drive, LB_RING_HASH, 9, (const int[]){1, 1, -1});
    for (int i = 0; i < 10000; i++)
        lb_drive_pick(&drive);
    assert_in_range(drive.picked[0], 4000, 6000);
    lb_drive_dispose(&drive);
}

// However many endpoints: a ring is no larger than so, and each is on it.
static void the_ring_of_many_endpoints_is_bounded(void **state) {
    (void)state;
    struct lb_drive drive;
    lb_drive_init_many(&drive, LB_RING_HASH, 1, 10000);
    assert_in_range(drive.lb.table_size, 200000, (1 << 18) + 10000);
    free(map_keys(&drive));
    unsigned unused = 0;
    for (int i = 0; i < 10000; i++)
        unused += drive.picked[i] == 0; // 10 keys each
    assert_in_range(unused, 0, 20);
    lb_drive_dispose(&drive);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fifth_endpoint_moves_at_most_a_quarter_of_the_keys),
        cmocka_unit_test(shares_are_those_of_the_weights),
        cmocka_unit_test(the_ring_of_many_endpoints_is_bounded),
        cmocka_unit_test(a_key_leads_to_one_endpoint),
        cmocka_unit_test(the_order_of_endpoints_is_no_matter),
        cmocka_unit_test(tried_and_unavailable_ones_are_passed_over),
        cmocka_unit_test(bounded_load_is_never_above_its_cap),
        cmocka_unit_test(a_new_one_takes_keys_over_one_by_one),
        cmocka_unit_test(without_a_key_picks_are_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
