// RateLimitPolicy: what is refused, what is warned of, and which destinations a document acts on.
#include "config/policy.h"
#include "config/rate_limit_config.h"

#include "unit/config/route_text.h"

#define LIMITS(name, targets, more, rules) \
    API "kind: RateLimitPolicy\nmetadata: {name: " name "}\nspec:\n  targetRefs: [" targets "]\n" more "  rules:\n" rules "---\n"
#define ONE_RULE "  - {name: r, limits: [{requests: 10, per: 1m}]}\n"
#define OF_S(rules) OUTBOUND_PROXY PLAIN_ENTRY("s", "") LIMITS("l", "{kind: Service, name: s}", "", rules)
#define BESIDE(services, more)                                                                                                                      \
    API "kind: Proxy\nmetadata: {name: p}\nspec:\n  " services "\n  listeners:\n  - {name: outbound, role: Outbound, address: '127.0.0.1:15001'}\n" \
        "  - {name: inbound, role: Inbound, address: '127.0.0.1:15006', mtls: {mode: Disable}, " more "}\n---\n"

static void rules_between_fields_are_held(void **state) {
    (void)state;
    expect_error(OF_S("  - {name: r}\n"), "spec.rules[r].limits: is required, or quota");
    expect_error(OF_S("  - {limits: [{requests: 1, per: 1s}]}\n"), "name: is required");
    expect_error(OF_S(ONE_RULE ONE_RULE), "stands twice");
    expect_error(OF_S("  - {name: r, limits: [{requests: 0, per: 1s}]}\n"), "allowed: 1 to 1000000000");
    expect_error(OF_S("  - {name: r, limits: [{requests: 20000, per: 1ms}]}\n"), "is more than 10 in a microsecond");
    expect_error(OF_S("  - {name: r, limits: [{requests: 1, per: 24h, burst: 1000000}]}\n"), "takes longer than 100 years");
    expect_error(OF_S("  - {name: r, limits: [{requests: 1, per: 1s}], key: [{type: Header}]}\n"), "is required: which Header");
    expect_error(OF_S("  - {name: r, limits: [{requests: 1, per: 1s}], key: [{type: JWTClaim}]}\n"), "which Header, Cookie, Query or JWTClaim");
    expect_error(OF_S("  - {name: r, limits: [{requests: 1, per: 1s}], scope: Mesh}\n"), "Mesh");
    expect_error(OF_S("  - {name: r, limits: [{requests: 1, per: 1s}], matches: [{path: {value: x}}]}\n"), "is no path");
    expect_error(OF_S("  - {name: r, limits: [{requests: 1, per: 1s}], charge: {statuses: [99]}}\n"), "99");
    expect_error(OF_S("  - {name: r, quota: {requests: 1, per: Year}}\n"), "allowed: Hour, Day, Week, Month");
}

static void tiers_are_checked(void **state) {
    (void)state;
#define TIER_FROM "tier: {from: {type: Header, name: x-tier}, default: free}"
#define FREE "{name: free, limits: [{requests: 1, per: 1s}]}"
    expect_error(OF_S("  - {name: r, " TIER_FROM "}\n"), "tiers: is required with tier");
    expect_error(OF_S("  - {name: r, tiers: [" FREE "]}\n"), "tier: is required with tiers");
    expect_error(OF_S("  - {name: r, " TIER_FROM ", tiers: [{name: paid, limits: [{requests: 1, per: 1s}]}]}\n"),
                 "\"free\" is the name of none of `tiers`");
    expect_error(OF_S("  - {name: r, " TIER_FROM ", tiers: [" FREE "], limits: [{requests: 1, per: 1s}]}\n"), "is for a rule without tiers");
    expect_error(OF_S("  - {name: r, " TIER_FROM ", tiers: [" FREE ", {name: none}]}\n"), "limits: is required, or quota");
    expect_error(OF_S("  - {name: r, tier: {from: {type: Header}, default: free}, tiers: [" FREE "]}\n"), "is required: which Header");
    expect_error(OF_S("  - {name: r, tier: {from: {type: Identity, name: x}, default: free}, tiers: [" FREE "]}\n"),
                 "is for types Header and JWTClaim alone");
}

static void targets_are_checked(void **state) {
    (void)state;
    expect_error(OUTBOUND_PROXY LIMITS("l", "{kind: Service, name: s}", "", ONE_RULE), "there is no Service or ServiceEntry s");
    expect_error(OUTBOUND_PROXY PLAIN_ENTRY("s", "") LIMITS("l", "{kind: Service, name: s, sectionName: x}", "", ONE_RULE), "\"x\" is no port of");
    expect_error(OUTBOUND_PROXY PLAIN_ENTRY("s", "") LIMITS("l", "{kind: Service, name: s, namespace: other}", "", ONE_RULE),
                 "allowed: the policy's own, default");
    expect_error(BASE HTTP("r", "  - {backendRefs: [{name: v}]}\n") "---\n" LIMITS("l", "{kind: HTTPRoute, name: r}", "", ONE_RULE),
                 "is of a Service, whose proxy sees no routes");
}

static uint32_t acting_on(const struct snapshot *snapshot, const char *key) {
    const struct service_config *service = find_key(snapshot, key);
    return service->destination->policy_count;
}

static void it_acts_beside_the_application_of_its_target(void **state) {
    (void)state;
    struct loaded loaded;
    const struct snapshot *snapshot = expect_good(&loaded, BESIDE("service: auth", "forwardTo: '127.0.0.1:8000'")
                                                               LIMITS("l", "{kind: Service, name: auth}", "", ONE_RULE) PLAIN_ENTRY("other", ""));
    assert_int_equal(acting_on(snapshot, "app/inbound"), 1);
    assert_int_equal(acting_on(snapshot, "default/other:80"), 0);
    const struct policy *policy = find_key(snapshot, "app/inbound")->destination->policies[0];
    assert_bytes_equal(policy->label, "RateLimitPolicy/default/l");
    assert_bytes_equal(policy->target, "Service default/auth");
    assert_int_equal(policy->kind, POLICY_RATE_LIMIT);
    assert_false(policy->is_dry_run);
    loaded_dispose(&loaded);
}

#define ENTRY_OF(ports)                                                                                                                          \
    API "kind: ServiceEntry\nmetadata: {name: auth}\nspec:\n  hosts: [auth]\n  tls: {mode: None}\n  endpoints: [{address: 10.0.0.1}]\n  ports: " \
        "[" ports "]\n---\n"
#define OF_PORTS                                                                \
    LIMITS("w", "{kind: Service, name: auth}", "", ONE_RULE)                    \
    LIMITS("h", "{kind: Service, name: auth, sectionName: http}", "", ONE_RULE) \
    LIMITS("g", "{kind: Service, name: auth, sectionName: grpc}", "", ONE_RULE)

// The names of the policies that act on the application that is reached at that port.
static void assert_acting(const char *text, uint16_t reached_at, const char *names) {
    struct loaded loaded;
    char found[16] = "";
    const struct snapshot *snapshot = expect_good(&loaded, text);
    for (uint32_t i = 0; i < snapshot->service_count; i++) {
        const struct service_config *service = snapshot->services[i];
        for (uint32_t j = 0; service->is_application && service->reached_at == reached_at && j < service->destination->policy_count; j++)
            strncat(found, service->destination->policies[j]->label.at + strlen("RateLimitPolicy/default/"), 1);
    }
    assert_string_equal(found, names);
    loaded_dispose(&loaded);
}

static void a_port_is_the_application_s_that_stands_behind_it(void **state) {
    (void)state;
#define TWO_PORTS ENTRY_OF("{name: http, port: 80, targetPort: 8000}, {name: grpc, port: 90, targetPort: 9000}")
#define TWO_FORWARDS "forwards: [{port: 8000, to: '127.0.0.1:18000'}, {port: 9000, to: '127.0.0.1:19000'}]"
    assert_acting(BESIDE("services: [{name: auth, port: 80}]", TWO_FORWARDS) TWO_PORTS OF_PORTS, 8000, "hw");
    assert_acting(BESIDE("services: [{name: auth, port: 80}]", TWO_FORWARDS) TWO_PORTS OF_PORTS, 9000, "");
    assert_acting(BESIDE("service: auth", TWO_FORWARDS) TWO_PORTS OF_PORTS, 8000, "hw");
    assert_acting(BESIDE("service: auth", TWO_FORWARDS) TWO_PORTS OF_PORTS, 9000, "gw");
    // Where the Service's port leads to the sidecar's own, nothing says which application is meant: none is left out.
    assert_acting(BESIDE("services: [{name: auth, port: 80}]", "forwardTo: '127.0.0.1:8000'")
                      ENTRY_OF("{name: http, port: 80, targetPort: 15006}, {name: grpc, port: 90}") OF_PORTS,
                  0, "hw");
}

static void what_would_do_nothing_is_told(void **state) {
    (void)state;
    struct loaded loaded;
    expect_error(BESIDE("service: auth", "forwardTo: '127.0.0.1:8000'") LIMITS("l", "{kind: Service, name: auth, sectionName: http}", "", ONE_RULE),
                 "is a port of a Service that no document describes");
    expect_good(&loaded, OUTBOUND_PROXY ENTRY_OF("{name: db, port: 80, protocol: TCP}") LIMITS("l", "{kind: Service, name: auth}", "", ONE_RULE));
    assert_true(has_line(&loaded.warnings, "carries no requests for the policy to act on"));
    loaded_dispose(&loaded);
    expect_good(
        &loaded,
        OF_S("  - {name: r, tier: {from: {type: Header, name: x-role}, default: free}, tiers: [{name: free, limits: [{requests: 1, per: 1s}]}]}\n"));
    assert_true(has_line(&loaded.warnings, "x-role is no field that gateways take off"));
    loaded_dispose(&loaded);
}

static void it_acts_at_the_caller_where_no_proxy_stands_beside_the_target(void **state) {
    (void)state;
    struct loaded loaded;
    const struct snapshot *snapshot =
        expect_good(&loaded, OUTBOUND_PROXY PLAIN_ENTRY("s", "") PLAIN_ENTRY("t", "")
                                 LIMITS("l", "{kind: Service, name: s}, {kind: Namespace, name: default}", "  mode: DryRun\n", ONE_RULE));
    assert_int_equal(acting_on(snapshot, "default/s:80"), 1); // once, whatever it is found by
    assert_bytes_equal(find_key(snapshot, "default/s:80")->destination->policies[0]->target, "Service default/s");
    assert_true(find_key(snapshot, "default/s:80")->destination->policies[0]->is_dry_run);
    assert_int_equal(acting_on(snapshot, "default/t:80"), 1);
    assert_bytes_equal(find_key(snapshot, "default/t:80")->destination->policies[0]->target, "default/t:80");
    loaded_dispose(&loaded);
}

static void all_that_select_a_destination_act_in_the_order_of_their_names(void **state) {
    (void)state;
    struct loaded loaded;
    const struct snapshot *snapshot = expect_good(&loaded, OUTBOUND_PROXY PLAIN_ENTRY("s", "") LIMITS("b", "{kind: Service, name: s}", "", ONE_RULE)
                                                               LIMITS("c", "{kind: Namespace, name: default}", "", ONE_RULE)
                                                                   LIMITS("a", "{kind: Service, name: s, sectionName: http}", "", ONE_RULE));
    const struct destination *destination = find_key(snapshot, "default/s:80")->destination;
    assert_int_equal(destination->policy_count, 3);
    assert_bytes_equal(destination->policies[0]->label, "RateLimitPolicy/default/a");
    assert_bytes_equal(destination->policies[1]->label, "RateLimitPolicy/default/b");
    assert_bytes_equal(destination->policies[2]->label, "RateLimitPolicy/default/c");
    const struct rate_limit_config *config = destination->policies[0]->config;
    assert_int_equal(config->max_keys, 100000);
    assert_int_equal(config->rules[0].own.limits[0].burst, 10);
    loaded_dispose(&loaded);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_between_fields_are_held),
        cmocka_unit_test(tiers_are_checked),
        cmocka_unit_test(targets_are_checked),
        cmocka_unit_test(it_acts_beside_the_application_of_its_target),
        cmocka_unit_test(a_port_is_the_application_s_that_stands_behind_it),
        cmocka_unit_test(what_would_do_nothing_is_told),
        cmocka_unit_test(it_acts_at_the_caller_where_no_proxy_stands_beside_the_target),
        cmocka_unit_test(all_that_select_a_destination_act_in_the_order_of_their_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
