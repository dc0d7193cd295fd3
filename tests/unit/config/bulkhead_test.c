// BulkheadPolicy: what is refused, what is doubtful, and which destinations a document acts on.
#include "config/bulkhead_config.h"
#include "config/policy.h"

#include "unit/config/route_text.h"

#define BULKHEAD(targets, more, pools) \
    API "kind: BulkheadPolicy\nmetadata: {name: b}\nspec:\n  targetRefs: [" targets "]\n" more "  pools:\n" pools "---\n"
#define OF_S(more, pools) OUTBOUND_PROXY PLAIN_ENTRY("s", "") BULKHEAD("{kind: Service, name: s}", more, pools)
#define ALL "  - {name: all, maxConcurrent: 5}\n"

static void rules_between_fields_are_held(void **state) {
    (void)state;
    expect_error(OF_S("", "  - {name: p}\n"), "maxConcurrent: is required, or adaptive");
    expect_error(OF_S("", "  - {name: p, maxConcurrent: 5, adaptive: {}}\n"), "is not for a pool with `adaptive`");
    expect_error(OF_S("", "  - {name: p, adaptive: {min: 10, max: 5}}\n"), "10 is more than max, 5");
    expect_error(OF_S("", "  - {name: p, maxConcurrent: 0}\n"), "allowed: 1 to 1000000");
    expect_error(OF_S("", "  - {name: p, maxConcurrent: 1, maxQueue: 100001}\n"), "allowed: 0 to 100000");
    expect_error(OF_S("", ALL ALL), "all");
    expect_error(OF_S("", "  - {name: p, adaptive: {algorithm: Vegas}}\n"), "Gradient2");
    expect_error(OF_S("", "  - {name: p, maxConcurrent: 5, perKey: {key: [{type: Header}], maxConcurrent: 1}}\n"), "is required: which Header");
    expect_error(OF_S("", "  - {name: p, maxConcurrent: 5, perKey: {key: [{type: ClientAddress}], maxConcurrent: 1, overrides: [{value: a, "
                          "maxConcurrent: 2}]}}\n"),
                 "a key of one part that is no ClientAddress");
    expect_error(OF_S("", "  - {name: p, maxConcurrent: 5, perKey: {key: [{type: Method}, {type: Path}], maxConcurrent: 1, overrides: [{value: a, "
                          "maxConcurrent: 2}]}}\n"),
                 "a key of one part");
}

static void classes_are_few_and_the_default_is_one(void **state) {
    (void)state;
    expect_error(OF_S("  priority: {from: {type: Header, name: x-priority}, classes: [a, b], default: c}\n", ALL), "\"c\" is none of `classes`");
    expect_error(OF_S("  priority: {from: {type: Header, name: x-priority}, classes: [a, a], default: a}\n", ALL), "stands twice in the list");
    expect_error(OF_S("  priority: {from: {type: Header, name: 'x y'}, classes: [a], default: a}\n", ALL), "is no name of a field");
    expect_warning(OF_S("  priority: {from: {type: Header, name: x-class}, classes: [a], default: a}\n", ALL), "x-priority is one");
}

static void what_is_not_limited_is_said(void **state) {
    (void)state;
    expect_warning(OF_S("", "  - {name: p, matches: [{method: POST}], maxConcurrent: 5}\n"), "what none of them matches is not limited");
    expect_warning(OF_S("", ALL "  - {name: p, matches: [{method: POST}], maxConcurrent: 5}\n"), "is behind all, which takes all requests");
    expect_warning(OF_S("", "  - {name: p, maxConcurrent: 5, perKey: {key: [{type: Identity}], maxConcurrent: 5}}\n"), "one key can fill it");
    expect_no_warning(OF_S("", "  - {name: p, matches: [{method: POST}], maxConcurrent: 5}\n" ALL));
}

static void defaults_are_as_the_reference_says(void **state) {
    (void)state;
    struct loaded loaded;
    const struct snapshot *snapshot = expect_good(&loaded, OF_S("  priority: {from: {type: Header, name: x-priority}, classes: [a, b], default: b}\n",
                                                                ALL "  - {name: rest, adaptive: {}, matches: [{method: POST}], queueTimeout: 0s}\n"));
    const struct destination *destination = find_key(snapshot, "default/s:80")->destination;
    assert_int_equal(destination->policy_count, 1);
    assert_int_equal(destination->policies[0]->kind, POLICY_BULKHEAD);
    const struct bulkhead_config *config = destination->policies[0]->config;
    assert_int_equal(config->pool_count, 2);
    assert_int_equal(config->pools[0].max_concurrent, 5);
    assert_int_equal(config->pools[0].max_queue, 100);
    assert_true(config->pools[0].queue_timeout == NS_PER_S);
    assert_int_equal(config->pools[0].match_count, 0);
    assert_int_equal(config->pools[1].max_concurrent, 0);
    assert_int_equal(config->pools[1].adaptive.min, 4);
    assert_int_equal(config->pools[1].adaptive.max, 1000);
    assert_true(config->pools[1].queue_timeout == 0);
    assert_int_equal(config->pools[1].match_count, 1);
    assert_int_equal(config->priority.class_count, 2);
    assert_int_equal(config->priority.fallback, 1);
    loaded_dispose(&loaded);
}

#define BESIDE                                                                                                                                       \
    API "kind: Proxy\nmetadata: {name: p}\nspec:\n  service: s\n  listeners:\n"                                                                      \
        "  - {name: inbound, role: Inbound, address: '127.0.0.1:15006', mtls: {mode: Disable}, forwardTo: '127.0.0.1:8000'}\n---\n" PLAIN_ENTRY("s", \
                                                                                                                                                "")
#define ROUTES BASE HTTP("r", "  - {name: a, backendRefs: [{name: v}]}\n  - {name: b, backendRefs: [{name: v}]}\n") "---\n"

// Beside the application or at the caller, never at both in one proxy.
static void it_acts_on_the_side_that_it_says(void **state) {
    (void)state;
    struct loaded loaded;
    const struct snapshot *snapshot = expect_good(&loaded, BESIDE BULKHEAD("{kind: Service, name: s}", "", ALL));
    assert_int_equal(find_key(snapshot, "app/inbound")->destination->policy_count, 1);
    loaded_dispose(&loaded);
    snapshot = expect_good(&loaded, BESIDE BULKHEAD("{kind: Service, name: s}", "  side: Caller\n", ALL));
    assert_int_equal(find_key(snapshot, "app/inbound")->destination->policy_count, 0);
    assert_int_equal(find_key(snapshot, "default/s:80")->destination->policy_count, 1);
    loaded_dispose(&loaded);
}

static void at_the_caller_it_may_be_for_one_rule_of_a_route(void **state) {
    (void)state;
    struct loaded loaded;
    expect_error(ROUTES BULKHEAD("{kind: HTTPRoute, name: r}", "", ALL), "whose proxy sees no routes");
    expect_good(&loaded, ROUTES BULKHEAD("{kind: HTTPRoute, name: r, sectionName: a}", "  side: Caller\n", ALL));
    assert_int_equal(loaded.snapshot->rules[0]->destinations[0]->policy_count, 1);
    assert_int_equal(loaded.snapshot->rules[1]->destinations[0]->policy_count, 0);
    loaded_dispose(&loaded);
}

#define OPAQUE_ENTRY                                                                                                                             \
    API "kind: ServiceEntry\nmetadata: {name: t}\nspec:\n  hosts: [t]\n  ports: [{name: tcp, port: 90, protocol: TCP}]\n  tls: {mode: None}\n  " \
        "endpoints: [{address: '127.0.0.1:9'}]\n---\n"

static void opaque_connections_are_for_pools_without_matches(void **state) {
    (void)state;
    expect_no_warning(OUTBOUND_PROXY OPAQUE_ENTRY BULKHEAD("{kind: Service, name: t}", "", ALL));
    expect_warning(
        OUTBOUND_PROXY OPAQUE_ENTRY BULKHEAD("{kind: Service, name: t}", "", "  - {name: p, matches: [{method: POST}], maxConcurrent: 5}\n"),
        "carries no requests");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_between_fields_are_held),
        cmocka_unit_test(classes_are_few_and_the_default_is_one),
        cmocka_unit_test(what_is_not_limited_is_said),
        cmocka_unit_test(defaults_are_as_the_reference_says),
        cmocka_unit_test(it_acts_on_the_side_that_it_says),
        cmocka_unit_test(at_the_caller_it_may_be_for_one_rule_of_a_route),
        cmocka_unit_test(opaque_connections_are_for_pools_without_matches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
