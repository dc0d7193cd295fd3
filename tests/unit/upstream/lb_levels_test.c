// Which of a service's endpoints get requests when they differ in priority, zone and availability; and what an update of documents keeps.
#include "unit/upstream/pool_drive.h"

#define KEY "default/a:80"
#define PROXY_IN(zone, region)                                                                                                                  \
    API "kind: Proxy\nmetadata: {name: p, labels: {topology.kubernetes.io/zone: " zone ", topology.kubernetes.io/region: " region "}}\nspec:\n" \
        "  listeners: [{name: outbound, role: Outbound, address: '127.0.0.1:15001'}]\n---\n"
#define WITH(endpoints, policy) \
    PROXY_IN("eu-1a", "eu-1") SERVICE_DOCUMENT("a", "HTTP1", endpoints) POLICY_DOCUMENT("a", "  loadBalancer: {" policy "}\n")
#define AT(port, more) "{address: '127.0.0.1:" port "', " more "}"
#define PICKS 20000

// How many of PICKS picks each endpoint gets, in the order of the documents.
static void count_picks(struct fake_upstream *far, unsigned counts[16]) {
    struct cluster *cluster = fake_upstream_cluster(far, KEY);
    memset(counts, 0, 16 * sizeof *counts);
    for (int i = 0; i < PICKS; i++) {
        const struct endpoint *picked = cluster_pick(cluster, NULL, 0, NULL);
        for (uint32_t j = 0; j < cluster->endpoint_count; j++)
            counts[j] += cluster->endpoints[j] == picked;
    }
}

static void set_down(struct fake_upstream *far, unsigned from, unsigned to, bool down) {
    for (unsigned i = from; i < to; i++)
        cluster_set_unavailable(fake_upstream_cluster(far, KEY)->endpoints[i], UNAVAILABLE_AVOIDED, down);
}

// `parts`, in percent of all, end with -1; 2 % off at most.
static void assert_parts(struct fake_upstream *far, const int *parts) {
    unsigned counts[16];
    count_picks(far, counts);
    for (int i = 0; parts[i] >= 0; i++) {
        double part = 100.0 * counts[i] / PICKS;
        if (part < parts[i] - 2.0 || part > parts[i] + 2.0 || (parts[i] == 0 && counts[i] > 0))
            fail_msg("endpoint %d has %.1f %% of the picks, and not %d", i, part, parts[i]);
    }
}

#define FOUR_AND_TWO                                                                                                                     \
    AT("8001", "priority: 0")                                                                                                            \
    ", " AT("8002", "priority: 0") ", " AT("8003", "priority: 0") ", " AT("8004", "priority: 0") ", " AT("8005", "priority: 7") ", " AT( \
        "8006", "priority: 7")

// With the default of 70 %: of 75 % all is kept; of 50 % 50/70 are, and of 25 % 25/70.
static void priorities_fail_over_in_order(void **state) {
    (void)state;
    struct fake_upstream far;
    fake_upstream_init(&far, WITH(FOUR_AND_TWO, "type: Random"));
    assert_parts(&far, (const int[]){25, 25, 25, 25, 0, 0, -1});
    set_down(&far, 0, 1, true);
    assert_parts(&far, (const int[]){0, 33, 33, 33, 0, 0, -1});
    set_down(&far, 1, 2, true);
    assert_parts(&far, (const int[]){0, 0, 36, 36, 14, 14, -1});
    set_down(&far, 2, 3, true);
    assert_parts(&far, (const int[]){0, 0, 0, 36, 32, 32, -1});
    set_down(&far, 3, 4, true); // a third of all, but a priority that is well there: no panic
    assert_parts(&far, (const int[]){0, 0, 0, 0, 50, 50, -1});
    set_down(&far, 0, 4, false);
    assert_parts(&far, (const int[]){25, 25, 25, 25, 0, 0, -1});
    fake_upstream_dispose(&far);
}

static void in_a_panic_all_are_used(void **state) {
    (void)state;
    struct fake_upstream far;
    fake_upstream_init(&far, WITH(FOUR_AND_TWO, "type: Random"));
    set_down(&far, 0, 3, true);
    set_down(&far, 4, 6, true);
    assert_parts(&far, (const int[]){17, 17, 17, 17, 17, 17, -1});
    // But a further try of a request goes to one that is available.
    struct cluster *cluster = fake_upstream_cluster(&far, KEY);
    struct endpoint *tried[] = {cluster->endpoints[0]};
    for (int i = 0; i < 100; i++)
        assert_ptr_equal(cluster_pick(cluster, tried, 1, NULL), cluster->endpoints[3]);
    fake_upstream_apply(&far, WITH(FOUR_AND_TWO, "type: Random, panicPercent: 0"));
    assert_parts(&far, (const int[]){0, 0, 0, 100, 0, 0, -1});
    set_down(&far, 0, 6, true); // none at all: any
    assert_parts(&far, (const int[]){17, 17, 17, 17, 17, 17, -1});
    fake_upstream_dispose(&far);
}

#define ZONES                                                                                                                                       \
    AT("8001", "zone: eu-1a, region: eu-1")                                                                                                         \
    ", " AT("8002", "zone: eu-1a, region: eu-1") ", " AT("8003", "zone: eu-1b, region: eu-1") ", " AT("8004", "zone: us-1a, region: us-1") ", " AT( \
        "8005", "zone: eu-2a, region: eu-2") ", " AT("8006", "zone: ap-1a, region: ap-1")
#define PREFER "type: Random, panicPercent: 0, locality: {mode: PreferZone, regions: [eu-2, us-1]}"

static void near_ones_come_first(void **state) {
    (void)state;
    struct fake_upstream far;
    fake_upstream_init(&far, WITH(ZONES, "type: Random"));
    assert_parts(&far, (const int[]){17, 17, 17, 17, 17, 17, -1});
    fake_upstream_apply(&far, WITH(ZONES, PREFER));
    assert_parts(&far, (const int[]){50, 50, 0, 0, 0, 0, -1});
    set_down(&far, 0, 1, true);
    assert_parts(&far, (const int[]){0, 71, 29, 0, 0, 0, -1});
    set_down(&far, 1, 2, true);
    assert_parts(&far, (const int[]){0, 0, 100, 0, 0, 0, -1}); // the rest of our region
    set_down(&far, 2, 3, true);
    assert_parts(&far, (const int[]){0, 0, 0, 0, 100, 0, -1}); // the first of regions
    set_down(&far, 4, 5, true);
    assert_parts(&far, (const int[]){0, 0, 0, 100, 0, 0, -1});
    set_down(&far, 3, 4, true);
    assert_parts(&far, (const int[]){0, 0, 0, 0, 0, 100, -1});
    set_down(&far, 0, 6, false);
    fake_upstream_apply(&far, PROXY_IN("us-1a", "us-1") SERVICE_DOCUMENT("a", "HTTP1", ZONES) POLICY_DOCUMENT("a", "  loadBalancer: {" PREFER "}\n"));
    assert_parts(&far, (const int[]){0, 0, 0, 100, 0, 0, -1}); // we are elsewhere now
    fake_upstream_dispose(&far);
}

// It goes by the priority first.
static void a_near_one_of_a_later_priority_waits(void **state) {
    (void)state;
    struct fake_upstream far;
    fake_upstream_init(&far, WITH(AT("8001", "zone: eu-1a, priority: 1") ", " AT("8002", "zone: eu-1b"), PREFER));
    assert_parts(&far, (const int[]){0, 100, -1});
    fake_upstream_dispose(&far);
}

static void a_retry_goes_to_the_next_level_when_its_own_has_no_other(void **state) {
    (void)state;
    struct fake_upstream far;
    fake_upstream_init(&far, WITH(AT("8001", "priority: 0") ", " AT("8002", "priority: 1"), "type: PeakEWMA"));
    struct cluster *cluster = fake_upstream_cluster(&far, KEY);
    struct endpoint *tried[] = {cluster->endpoints[0], cluster->endpoints[1]};
    assert_ptr_equal(cluster_pick(cluster, tried, 0, NULL), tried[0]);
    assert_true(cluster_has_untried(cluster, tried, 1));
    assert_ptr_equal(cluster_pick(cluster, tried, 1, NULL), tried[1]);
    assert_false(cluster_has_untried(cluster, tried, 2));
    assert_non_null(cluster_pick(cluster, tried, 2, NULL));
    fake_upstream_dispose(&far);
}

#define RING "type: RingHash, key: [{type: Path}]"

// While two levels share the load a key stays in its level, and on its endpoint.
static void a_key_stays_in_its_level(void **state) {
    (void)state;
    struct fake_upstream far;
    fake_upstream_init(&far, WITH(FOUR_AND_TWO, RING));
    set_down(&far, 0, 2, true);
    struct cluster *cluster = fake_upstream_cluster(&far, KEY);
    unsigned in_second = 0;
    for (uint64_t i = 0; i < 2000; i++) {
        uint64_t key = i * UINT64_C(0x9e3779b97f4a7c15);
        const struct endpoint *picked = cluster_pick(cluster, NULL, 0, &key);
        for (int again = 0; again < 3; again++)
            assert_ptr_equal(cluster_pick(cluster, NULL, 0, &key), picked);
        in_second += picked->level == 1;
    }
    assert_in_range(in_second, 2000 * 24 / 100, 2000 * 33 / 100);
    fake_upstream_dispose(&far);
}

// What is in flight is known after the endpoints have changed, and the bound goes on to hold.
static void a_reload_loses_nothing_in_flight(void **state) {
    (void)state;
    struct fake_upstream far;
    fake_upstream_init(&far, WITH(AT("8001", "weight: 1") ", " AT("8002", "weight: 1"), RING ", boundedLoadPercent: 100"));
    struct cluster *cluster = fake_upstream_cluster(&far, KEY);
    struct endpoint *first = cluster->endpoints[0];
    struct endpoint *second = cluster->endpoints[1];
    endpoint_ref(second);
    cluster_begin(cluster, first);
    cluster_begin(cluster, first);
    cluster_begin(cluster, second);
    assert_int_equal(cluster->levels.items[0].in_flight, 3);
    fake_upstream_apply(&far, WITH(AT("8003", "weight: 1") ", " AT("8001", "weight: 2"), RING ", boundedLoadPercent: 100, slowStart: 0s"));
    assert_ptr_equal(cluster->endpoints[1], first);
    assert_int_equal(first->in_flight, 2);
    assert_int_equal(cluster->levels.items[0].in_flight, 2); // the other is gone with its own
    cluster_done(cluster, second, LB_ANSWERED, NS_PER_MS);
    endpoint_unref(second);
    // It has its two thirds of three: whatever the key, the new one is next.
    for (uint64_t key = 0; key < 100; key++) {
        uint64_t hash = key << 57;
        assert_ptr_equal(cluster_pick(cluster, NULL, 0, &hash), cluster->endpoints[0]);
    }
    cluster_done(cluster, first, LB_ANSWERED, NS_PER_MS);
    cluster_done(cluster, first, LB_ANSWERED, NS_PER_MS);
    assert_int_equal(cluster->levels.items[0].in_flight, 0);
    fake_upstream_dispose(&far);
}

static void an_endpoint_that_joins_grows_into_its_weight(void **state) {
    (void)state;
    struct fake_upstream far;
    fake_upstream_init(&far, WITH(AT("8001", "weight: 1") ", " AT("8002", "weight: 1"), "type: Random"));
    assert_parts(&far, (const int[]){50, 50, -1}); // none was there before
    fake_upstream_apply(&far, WITH(AT("8001", "weight: 1") ", " AT("8002", "weight: 1") ", " AT("8003", "weight: 1"), "type: Random"));
    unsigned counts[16];
    count_picks(&far, counts);
    assert_in_range(counts[2], 1, PICKS / 100);
    fake_upstream_pass(&far, 15 * NS_PER_S);
    assert_parts(&far, (const int[]){40, 40, 20, -1});
    fake_upstream_pass(&far, 16 * NS_PER_S);
    assert_parts(&far, (const int[]){33, 33, 33, -1});
    // Where all are exchanged at once none is warm: they are all alike.
    fake_upstream_apply(&far, WITH(AT("8004", "weight: 1") ", " AT("8005", "weight: 3"), "type: Random"));
    assert_parts(&far, (const int[]){25, 75, -1});
    fake_upstream_dispose(&far);
}

static void avoidance_ends_in_its_time(void **state) {
    (void)state;
    struct fake_upstream far;
    fake_upstream_init(&far, WITH(AT("8001", "weight: 1") ", " AT("8002", "weight: 1") ", " AT("8003", "weight: 1"), "type: RoundRobin"));
    struct cluster *cluster = fake_upstream_cluster(&far, KEY);
    for (int i = 0; i < 3; i++)
        endpoint_link(cluster->endpoints[i]);
    nanoseconds now = far.check.loop.now;
    cluster_avoid(cluster->endpoints[0], now + NS_PER_S);
    assert_parts(&far, (const int[]){0, 50, 50, -1});
    fake_upstream_pass(&far, NS_PER_S / 2);
    cluster_avoid(cluster->endpoints[0], now + 3 * NS_PER_S / 2); // once more
    fake_upstream_pass(&far, NS_PER_S / 2);
    assert_parts(&far, (const int[]){0, 50, 50, -1});
    fake_upstream_pass(&far, NS_PER_S / 2);
    assert_parts(&far, (const int[]){33, 33, 33, -1});
    cluster_avoid(cluster->endpoints[1], now + 10 * NS_PER_S);
    cluster_avoid_no_more(cluster->endpoints[1]);
    assert_parts(&far, (const int[]){33, 33, 33, -1});
    // One that is avoided goes: nothing of it is left.
    cluster_avoid(cluster->endpoints[2], now + 10 * NS_PER_S);
    fake_upstream_apply(&far, WITH(AT("8001", "weight: 1") ", " AT("8002", "weight: 1"), "type: RoundRobin"));
    assert_parts(&far, (const int[]){50, 50, -1});
    fake_upstream_dispose(&far);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(priorities_fail_over_in_order),
        cmocka_unit_test(in_a_panic_all_are_used),
        cmocka_unit_test(near_ones_come_first),
        cmocka_unit_test(a_near_one_of_a_later_priority_waits),
        cmocka_unit_test(a_retry_goes_to_the_next_level_when_its_own_has_no_other),
        cmocka_unit_test(a_key_stays_in_its_level),
        cmocka_unit_test(a_reload_loses_nothing_in_flight),
        cmocka_unit_test(an_endpoint_that_joins_grows_into_its_weight),
        cmocka_unit_test(avoidance_ends_in_its_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
