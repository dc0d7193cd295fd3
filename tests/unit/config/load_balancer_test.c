// spec.loadBalancer of a TrafficPolicy, and where endpoints and proxies are: what is taken, what is refused, what is kept.
#include "load_text.h"

#include "base/clock.h"

#define TARGET "  targetRefs: [{kind: Service, name: s}]\n"

static void expect_balancer_error(const char *balancer, const char *part) {
    char text[4096];
    snprintf(text, sizeof(text), "%s%s%skind: TrafficPolicy\nmetadata: {name: t}\nspec:\n%s  loadBalancer: {%s}\n", OUTBOUND_PROXY,
             PLAIN_ENTRY("s", ""), API, TARGET, balancer);
    expect_error(text, part);
}

static void what_has_no_effect_is_refused(void **state) {
    (void)state;
    expect_balancer_error("type: RingHash", "spec.loadBalancer.key: is required for type RingHash and Maglev");
    expect_balancer_error("key: [{type: Path}]", "spec.loadBalancer.key: is for type RingHash and Maglev alone");
    expect_balancer_error("type: Random, ifMissing: Reject", "ifMissing: is for type RingHash and Maglev alone");
    expect_balancer_error("type: LeastRequest, boundedLoadPercent: 125", "boundedLoadPercent: is for type RingHash and Maglev alone");
    expect_balancer_error("type: Maglev, key: [{type: Path}], virtualNodes: 10", "virtualNodes: is for type RingHash alone");
    expect_balancer_error("type: Maglev, key: [{type: Path}], boundedLoadPercent: 99", "boundedLoadPercent: is below the mean");
    expect_balancer_error("type: Maglev, key: []", "spec.loadBalancer.key: has 0 items; allowed: 1 to 8");
    expect_balancer_error("locality: {regions: [eu-1]}", "spec.loadBalancer.locality.regions: is for mode PreferZone alone");
    expect_balancer_error("locality: {mode: PreferNode}", "PreferNode is not supported by this version; allowed: Disable, PreferZone");
    expect_balancer_error("locality: {spillBelowHealthyPercent: 0}", "\"0\" is not allowed; allowed: 1 to 100");
}

static void the_parts_of_a_key_are_checked(void **state) {
    (void)state;
    expect_balancer_error("type: Maglev, key: [{type: Header}]", "spec.loadBalancer.key[0].name: is required");
    expect_balancer_error("type: Maglev, key: [{type: Cookie, name: ''}]", "spec.loadBalancer.key[0].name: is required");
    expect_balancer_error("type: Maglev, key: [{type: Path}, {type: Method, name: x}]", "name: is for Header, Cookie, Query and JWTClaim alone");
    expect_balancer_error("type: Maglev, key: [{type: Header, name: 'x tenant'}]", "\"x tenant\" is no name that a header or cookie can have");
    expect_balancer_error("type: Maglev, key: [{type: JWTClaim}]", "name: is required: which Header, Cookie, Query or JWTClaim");
    expect_balancer_error("type: Maglev, key: [{name: x}]", ".type: is required");
}

static const struct service_config *load_service(struct loaded *loaded, const char *balancer) {
    char text[4096];
    snprintf(text, sizeof(text), "%s%s%skind: TrafficPolicy\nmetadata: {name: t}\nspec:\n%s  loadBalancer: {%s}\n", OUTBOUND_PROXY,
             PLAIN_ENTRY("s", ""), API, TARGET, balancer);
    return find_key(expect_good(loaded, text), "default/s:80");
}

static void defaults_are_those_of_the_language(void **state) {
    (void)state;
    struct loaded loaded;
    const struct service_config *service = find_key(expect_good(&loaded, OUTBOUND_PROXY PLAIN_ENTRY("s", "")), "default/s:80");
    const struct traffic_config *traffic = &service->traffic;
    assert_int_equal(traffic->load_balancer.type, LB_PEAK_EWMA);
    assert_true(traffic->load_balancer.slow_start == 30 * NS_PER_S);
    assert_int_equal(traffic->load_balancer.panic_percent, 50);
    assert_int_equal(traffic->load_balancer.virtual_nodes, 150);
    assert_int_equal(traffic->load_balancer.bounded_percent, 0);
    assert_int_equal(traffic->load_balancer.locality.mode, LOCALITY_DISABLE);
    assert_int_equal(traffic->load_balancer.locality.spill_percent, 70);
    assert_int_equal(traffic->load_balancer.key.count, 0);
    loaded_dispose(&loaded);
}

static void all_types_have_their_names(void **state) {
    (void)state;
    static const char *const names[] = {"PeakEWMA", "LeastRequest", "RoundRobin", "Random", "RingHash", "Maglev"};
    for (int i = 0; i < 6; i++) {
        struct loaded loaded;
        char balancer[128];
        snprintf(balancer, sizeof(balancer), "type: %s%s", names[i], i < 4 ? "" : ", key: [{type: ClientAddress}, {type: Header, name: x-tenant}]");
        const struct traffic_config *traffic = &load_service(&loaded, balancer)->traffic;
        assert_string_equal(lb_type_name(traffic->load_balancer.type), names[i]);
        assert_int_equal(traffic->load_balancer.key.count, i < 4 ? 0 : 2);
        if (i >= 4) {
            assert_int_equal(traffic->load_balancer.key.parts[0].type, KEY_CLIENT_ADDRESS);
            assert_bytes_equal(traffic->load_balancer.key.parts[1].name, "x-tenant");
            assert_bytes_equal(traffic->load_balancer.policy, "TrafficPolicy/default/t");
        }
        loaded_dispose(&loaded);
    }
}

// Whoever goes by the digest must see a change in a list too.
static void another_key_or_region_is_another_digest(void **state) {
    (void)state;
    static const char *const balancers[] = {
        "type: Maglev, key: [{type: Path}]",
        "type: Maglev, key: [{type: Method}]",
        "type: Maglev, key: [{type: Path}, {type: Method}]",
        "type: Maglev, key: [{type: Header, name: a}]",
        "type: Maglev, key: [{type: Header, name: b}]",
        "locality: {mode: PreferZone, regions: [eu-1, eu-2]}",
        "locality: {mode: PreferZone, regions: [eu-2, eu-1]}",
    };
    uint64_t digests[7];
    for (int i = 0; i < 7; i++) {
        struct loaded loaded;
        digests[i] = load_service(&loaded, balancers[i])->digest;
        loaded_dispose(&loaded);
        for (int j = 0; j < i; j++)
            assert_true(digests[j] != digests[i]);
    }
}

#define PLACED_PROXY(labels) \
    API "kind: Proxy\nmetadata: {name: p" labels "}\nspec:\n  listeners: [{name: outbound, role: Outbound, address: '127.0.0.1:15001'}]\n---\n"
#define PLACED_ENTRY                                                                                                                              \
    API "kind: ServiceEntry\nmetadata: {name: s}\nspec:\n  hosts: [s]\n  ports: [{name: http, port: 80}]\n  tls: {mode: None}\n  endpoints:\n"    \
        "  - {address: '10.0.0.1:1', zone: eu-1a, region: eu-1, priority: 1, weight: 5}\n  - {address: '10.0.0.2:1', zone: eu-1a, region: eu-1, " \
        "priority: 1}\n  - {address: '10.0.0.3:1'}\n---\n"

static void where_endpoints_and_we_are_is_kept(void **state) {
    (void)state;
    struct loaded loaded;
    const struct snapshot *snapshot =
        expect_good(&loaded, PLACED_PROXY(", labels: {topology.kubernetes.io/zone: eu-1a, topology.kubernetes.io/region: eu-1}") PLACED_ENTRY);
    const struct endpoint_config *endpoints = find_key(snapshot, "default/s:80")->endpoints;
    assert_bytes_equal(snapshot->proxy.zone, "eu-1a");
    assert_bytes_equal(snapshot->proxy.region, "eu-1");
    assert_bytes_equal(endpoints[0].traits->zone, "eu-1a");
    assert_bytes_equal(endpoints[0].traits->region, "eu-1");
    assert_int_equal(endpoints[0].traits->priority, 1);
    assert_int_equal(endpoints[0].weight, 5);
    assert_ptr_equal(endpoints[0].traits, endpoints[1].traits); // once for all that are alike
    assert_int_equal(endpoints[2].traits->priority, 0);
    assert_int_equal(endpoints[2].traits->zone.len, 0);
    loaded_dispose(&loaded);
}

static void to_prefer_a_zone_takes_to_know_ones_own(void **state) {
    (void)state;
    expect_warning(PLACED_PROXY("") PLACED_ENTRY POLICY("t", TARGET "  loadBalancer: {locality: {mode: PreferZone}}\n"),
                   "spec.loadBalancer.locality.mode: PreferZone goes by the label topology.kubernetes.io/zone of Proxy/default/p");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_no_effect_is_refused),           cmocka_unit_test(the_parts_of_a_key_are_checked),
        cmocka_unit_test(defaults_are_those_of_the_language),      cmocka_unit_test(all_types_have_their_names),
        cmocka_unit_test(another_key_or_region_is_another_digest), cmocka_unit_test(where_endpoints_and_we_are_is_kept),
        cmocka_unit_test(to_prefer_a_zone_takes_to_know_ones_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
