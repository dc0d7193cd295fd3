// Clusters follow a snapshot one by one: only what the documents changed costs anything, and whatever a cluster goes by counts as a change.
#include "unit/upstream/pool_drive.h"

#include "upstream/upstream_change.h"

#define KEY "default/a:80"
#define IN(zone, region)                                                                                                                        \
    API "kind: Proxy\nmetadata: {name: p, labels: {topology.kubernetes.io/zone: " zone ", topology.kubernetes.io/region: " region "}}\nspec:\n" \
        "  listeners: [{name: outbound, role: Outbound, address: '127.0.0.1:15001'}]\n"                                                         \
        "  identity: {source: Files, certificate: c, privateKey: k, trustBundle: b}\n---\n"
#define HERE IN("eu-1a", "eu-1")
#define SERVICE_AT(endpoints) SERVICE_DOCUMENT("a", "HTTP1", endpoints)
#define WITH(endpoints, groups) HERE SERVICE_AT(endpoints) POLICY_DOCUMENT("a", groups)
#define IDLE "  connections: {idleTimeout: 30s}\n"
#define BASE WITH(ONE_ENDPOINT, IDLE)
#define MESH(identity)                                                                                                            \
    HERE API "kind: ServiceEntry\nmetadata: {name: a}\nspec:\n  hosts: [a]\n  ports: [{name: http, port: 80, protocol: HTTP1}]\n" \
             "  tls: {mode: Mesh}\n  identities: ['spiffe://local/" identity "']\n  endpoints: [" ONE_ENDPOINT "]\n---\n" POLICY_DOCUMENT("a", IDLE)
#define BY_NAME                                                                                                                   \
    HERE API "kind: ServiceEntry\nmetadata: {name: a}\nspec:\n  hosts: [a]\n  ports: [{name: http, port: 80, protocol: HTTP1}]\n" \
             "  tls: {mode: None}\n  resolution: DNS\n  endpoints: [{address: 'a.example:8001'}]\n---\n" POLICY_DOCUMENT("a", IDLE)

static uint32_t cost_of(struct fake_upstream *far, const char *documents) {
    struct upstream_change change;
    uint32_t cost, sum = 0;
    upstream_change_begin(&change, &far->upstream, fake_upstream_load(far, documents));
    for (; upstream_change_next(&change, &cost); sum += cost)
        assert_int_equal(change.gone_count, 0);
    assert_false(upstream_change_drop_next(&change, &cost));
    return sum;
}

static void a_service_that_stays_as_it_is_costs_a_look(void **state) {
    (void)state;
    struct fake_upstream far;
    fake_upstream_init(&far, BASE);
    struct cluster *cluster = fake_upstream_cluster(&far, KEY);
    struct endpoint *const *endpoints = cluster->endpoints;
    assert_int_equal(cost_of(&far, BASE), 1);
    assert_ptr_equal(fake_upstream_cluster(&far, KEY), cluster);
    assert_ptr_equal(cluster->endpoints, endpoints); // an update makes a list of its own
    fake_upstream_dispose(&far);
}

static void whatever_a_cluster_goes_by_is_a_change(void **state) {
    (void)state;
    static const char *const others[] = {
        WITH("{address: '127.0.0.2:8001'}", IDLE),
        WITH("{address: '127.0.0.1:8002'}", IDLE),
        WITH("{address: '127.0.0.1:8001', weight: 2}", IDLE),
        WITH("{address: '127.0.0.1:8001', zone: eu-1a}", IDLE),
        WITH("{address: '127.0.0.1:8001', region: eu-1}", IDLE),
        WITH("{address: '127.0.0.1:8001', priority: 1}", IDLE),
        WITH(ONE_ENDPOINT ", {address: '127.0.0.1:8002'}", IDLE),
        WITH("", IDLE),
        HERE SERVICE_DOCUMENT("a", "HTTP2", ONE_ENDPOINT) POLICY_DOCUMENT("a", IDLE),
        MESH("a"),
        MESH("b"),
        BY_NAME,
        WITH(ONE_ENDPOINT, "  connections: {idleTimeout: 31s}\n"),
        WITH(ONE_ENDPOINT, "  connections: {max: 2}\n"),
        WITH(ONE_ENDPOINT, "  connections: {maxPending: 2}\n"),
        WITH(ONE_ENDPOINT, "  connections: {maxStreams: 2}\n"),
        WITH(ONE_ENDPOINT, "  connections: {connectTimeout: 2s}\n"),
        WITH(ONE_ENDPOINT, "  connections: {http1IdleTimeout: 2s}\n"),
        WITH(ONE_ENDPOINT, "  connections: {maxAge: 2s}\n"),
        WITH(ONE_ENDPOINT, "  connections: {keepalive: 2s}\n"),
        WITH(ONE_ENDPOINT, "  loadBalancer: {type: Random}\n"),
        WITH(ONE_ENDPOINT, "  loadBalancer: {slowStart: 2s}\n"),
        WITH(ONE_ENDPOINT, "  loadBalancer: {panicPercent: 2}\n"),
        WITH(ONE_ENDPOINT, "  loadBalancer: {type: RingHash, key: [{type: Path}]}\n"),
        WITH(ONE_ENDPOINT, "  loadBalancer: {type: RingHash, key: [{type: Path}], virtualNodes: 7}\n"),
        WITH(ONE_ENDPOINT, "  loadBalancer: {type: RingHash, key: [{type: Path}], boundedLoadPercent: 125}\n"),
        WITH(ONE_ENDPOINT, "  loadBalancer: {locality: {mode: PreferZone}}\n"),
        WITH(ONE_ENDPOINT, "  loadBalancer: {locality: {mode: PreferZone, spillBelowHealthyPercent: 5}}\n"),
        WITH(ONE_ENDPOINT, "  loadBalancer: {locality: {mode: PreferZone, regions: [eu-1, eu-2]}}\n"),
        WITH(ONE_ENDPOINT, "  loadBalancer: {locality: {mode: PreferZone, regions: [eu-2, eu-1]}}\n"),
    };
    struct fake_upstream far;
    fake_upstream_init(&far, BASE);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (cost_of(&far, others[i]) < CHANGE_COST) // from the one before
            fail_msg("the documents of number %zu are not seen to be others", i);
        assert_int_equal(cost_of(&far, others[i]), 1);
    }
    fake_upstream_dispose(&far);
}

static void another_zone_of_ours_orders_all_anew(void **state) {
    (void)state;
    static const char *const places[] = {IN("eu-1b", "eu-1"), IN("eu-1b", "eu-2"), IN("eu-1a", "eu-1")};
    char documents[4096];
    struct fake_upstream far;
    fake_upstream_init(&far, BASE);
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        snprintf(documents, sizeof documents, "%s%s%s", places[i], SERVICE_AT(ONE_ENDPOINT), POLICY_DOCUMENT("a", IDLE));
        assert_true(cost_of(&far, documents) >= CHANGE_COST);
        assert_int_equal(cost_of(&far, documents), 1);
    }
    fake_upstream_dispose(&far);
}

// What was made of documents that are gone since is asked again when nothing but a name's answer changes.
static void the_regions_of_a_policy_outlive_its_snapshot(void **state) {
    (void)state;
#define BY_REGION                                                                                           \
    HERE SERVICE_AT("{address: '127.0.0.1:8001', region: eu-3}, {address: '127.0.0.1:8002', region: eu-2}") \
        POLICY_DOCUMENT("a", "  loadBalancer: {type: Random, locality: {mode: PreferZone, regions: [eu-2, eu-3]}}\n")
    struct fake_upstream far;
    fake_upstream_init(&far, BY_REGION);
    for (int i = 0; i < 3; i++)
        assert_int_equal(cost_of(&far, BY_REGION), 1);
    struct cluster *cluster = fake_upstream_cluster(&far, KEY);
    const struct load_balancer_config *balancer = &cluster->traffic.load_balancer;
    assert_int_equal(balancer->locality.region_count, 2);
    assert_true(bytes_equal(balancer->locality.regions[0], BYTES("eu-2")));
    localities_order(&cluster->localities, &cluster->traffic, far.upstream.zone, far.upstream.region);
    assert_int_equal(cluster->localities.items[cluster->endpoints[1]->locality].level, 0);
    fake_upstream_dispose(&far);
}

static void clusters_that_are_gone_go_one_by_one(void **state) {
    (void)state;
    struct fake_upstream far;
    struct upstream_change change;
    uint32_t cost;
    fake_upstream_init(&far, PROXY_DOCUMENT SERVICE_DOCUMENT("a", "HTTP1", ONE_ENDPOINT) SERVICE_DOCUMENT("b", "HTTP1", ONE_ENDPOINT)
                                 SERVICE_DOCUMENT("c", "HTTP1", ONE_ENDPOINT));
    upstream_change_begin(&change, &far.upstream, fake_upstream_load(&far, PROXY_DOCUMENT SERVICE_DOCUMENT("b", "HTTP1", ONE_ENDPOINT)));
    assert_true(upstream_change_next(&change, &cost));
    assert_int_equal(far.upstream.clusters.count, 3); // what is in force still has them
    assert_false(upstream_change_next(&change, &cost));
    assert_int_equal(far.upstream.clusters.count, 3);
    assert_true(upstream_change_drop_next(&change, &cost));
    assert_int_equal(cost, 2 * CHANGE_COST);
    assert_int_equal(far.upstream.clusters.count, 2);
    assert_true(upstream_change_drop_next(&change, &cost));
    assert_false(upstream_change_drop_next(&change, &cost));
    assert_int_equal(far.upstream.clusters.count, 1);
    assert_non_null(fake_upstream_cluster(&far, "default/b:80"));
    fake_upstream_dispose(&far);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_service_that_stays_as_it_is_costs_a_look), cmocka_unit_test(whatever_a_cluster_goes_by_is_a_change),
        cmocka_unit_test(another_zone_of_ours_orders_all_anew),       cmocka_unit_test(the_regions_of_a_policy_outlive_its_snapshot),
        cmocka_unit_test(clusters_that_are_gone_go_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
