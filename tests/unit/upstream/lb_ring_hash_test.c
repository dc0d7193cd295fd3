// RingHash: a key leads to one endpoint, in every process; a change of endpoints moves few keys; what one cannot take goes to the next; a bound on load holds.
#include "unit/upstream/lb_keyed.h"

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
    static enum lb_type type = LB_RING_HASH;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fifth_endpoint_moves_at_most_a_quarter_of_the_keys),
        cmocka_unit_test(shares_are_those_of_the_weights),
        cmocka_unit_test(the_ring_of_many_endpoints_is_bounded),
        LB_KEYED_TESTS(&type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
