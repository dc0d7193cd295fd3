// spec.circuitBreaker of a TrafficPolicy: what is taken, what is refused, and on which destinations it acts.
#include "config/policy.h"

#include "unit/config/route_text.h"

#define BREAKER(name, targets, group) \
    API "kind: TrafficPolicy\nmetadata: {name: " name "}\nspec:\n  targetRefs: [" targets "]\n  circuitBreaker: {" group "}\n---\n"
#define OF_S "{kind: Service, name: s}"
#define ENTRY OUTBOUND_PROXY PLAIN_ENTRY("s", "")

static void a_breaker_without_a_threshold_is_refused(void **state) {
    (void)state;
    static const char *const groups[] = {ENTRY BREAKER("t", OF_S, "openFor: 30s"), ENTRY BREAKER("t", OF_S, ""),
                                         ENTRY BREAKER("t", OF_S, "failureThreshold: 0, failurePercent: 0, slowCall: {threshold: 0s}"),
                                         ENTRY BREAKER("t", OF_S, "slowCall: {percent: 50}")};
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
        expect_error(groups[i],
                     "spec.circuitBreaker: has no threshold: nothing opens it; allowed: failureThreshold, failurePercent or slowCall.threshold");
}

static void what_would_do_nothing_is_told(void **state) {
    (void)state;
    expect_error(ENTRY BREAKER("t", OF_S, "failureThreshold: 5, slowCall: {percent: 50}"),
                 "spec.circuitBreaker.slowCall: has a percent and no threshold: no answer is slow; needed: slowCall.threshold");
    expect_warning(ENTRY BREAKER("t", OF_S, "failureThreshold: 5, window: 30s"), "spec.circuitBreaker.window: does nothing");
    expect_warning(ENTRY BREAKER("t", OF_S, "failureThreshold: 5, minRequests: 3"), "spec.circuitBreaker.minRequests: does nothing");
    struct loaded loaded;
    expect_good(&loaded, ENTRY BREAKER("t", OF_S, "failureThreshold: 5, failurePercent: 50, window: 30s, minRequests: 3"));
    assert_int_equal(loaded.warnings.count, 0);
    loaded_dispose(&loaded);
}

static void bounds_are_held(void **state) {
    (void)state;
    expect_error(ENTRY BREAKER("t", OF_S, "failureThreshold: -1"), "failureThreshold: \"-1\" is not allowed");
    expect_error(ENTRY BREAKER("t", OF_S, "failurePercent: 101"), "allowed: 0 to 100");
    expect_error(ENTRY BREAKER("t", OF_S, "failureThreshold: 1, window: 10ms"), "spec.circuitBreaker.window");
    expect_error(ENTRY BREAKER("t", OF_S, "failureThreshold: 1, openFor: 0s"), "spec.circuitBreaker.openFor");
    expect_error(ENTRY BREAKER("t", OF_S, "failureThreshold: 1, halfOpenRequests: 0"), "allowed: 1 to 1000");
    expect_error(ENTRY BREAKER("t", OF_S, "failureThreshold: 1, scope: Host"), "allowed: Service, Endpoint");
    expect_error(BASE HTTP("r", "  - {name: a, backendRefs: [{name: v}]}\n") "---\n" BREAKER(
                     "t", "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r}", "failureThreshold: 1, scope: Endpoint"),
                 "spec.circuitBreaker.scope: Endpoint is of a Service, and not of a route or a Gateway; allowed here: Service");
    expect_error(ENTRY BREAKER("t", OF_S, "failureThreshold: 1, disabled: true"), "is disabled and has other fields");
}

static const struct policy *only_policy(const struct destination *destination) {
    assert_int_equal(destination->policy_count, 1);
    assert_int_equal(destination->policies[0]->kind, POLICY_CIRCUIT_BREAKER);
    return destination->policies[0];
}

static void what_a_document_leaves_out_has_its_default(void **state) {
    (void)state;
    struct loaded loaded;
    const struct snapshot *snapshot = expect_good(&loaded, ENTRY BREAKER("t", OF_S, "failureThreshold: 5, mode: DryRun"));
    const struct service_config *service = find_key(snapshot, "default/s:80");
    const struct policy *policy = only_policy(service->destination);
    const struct circuit_breaker_config *config = policy->config;
    assert_ptr_equal(config, &service->traffic.circuit_breaker);
    assert_true(policy->is_dry_run);
    assert_true(bytes_equal(policy->label, BYTES("TrafficPolicy/default/t")));
    assert_true(bytes_equal(policy->target, BYTES("default/s:80")));
    assert_int_equal(config->failure_threshold, 5);
    assert_int_equal(config->failure_percent, 0);
    assert_true(config->window == 10 * NS_PER_S && config->open_for == 60 * NS_PER_S);
    assert_int_equal(config->min_requests, 20);
    assert_true(config->slow_call.threshold == 0);
    assert_int_equal(config->slow_call.percent, 50);
    assert_int_equal(config->jitter_percent, 0);
    assert_int_equal(config->half_open_requests, 1);
    assert_int_equal(config->scope, CIRCUIT_OF_SERVICE);
    loaded_dispose(&loaded);
    snapshot = expect_good(&loaded, ENTRY);
    assert_int_equal(find_key(snapshot, "default/s:80")->destination->policy_count, 0);
    loaded_dispose(&loaded);
}

static void it_is_taken_whole_from_the_most_specific_policy(void **state) {
    (void)state;
    struct loaded loaded;
    const struct snapshot *snapshot =
        expect_good(&loaded, ENTRY BREAKER("all", "{kind: Namespace, name: default}", "failureThreshold: 3, openFor: 5s")
                                 BREAKER("one", OF_S, "failurePercent: 50"));
    const struct policy *policy = only_policy(find_key(snapshot, "default/s:80")->destination);
    const struct circuit_breaker_config *config = policy->config;
    assert_true(bytes_equal(policy->label, BYTES("TrafficPolicy/default/one")));
    assert_int_equal(config->failure_threshold, 0);
    assert_true(config->open_for == 60 * NS_PER_S);
    loaded_dispose(&loaded);
    snapshot =
        expect_good(&loaded, ENTRY BREAKER("all", "{kind: Namespace, name: default}", "failureThreshold: 3") BREAKER("one", OF_S, "disabled: true"));
    assert_int_equal(find_key(snapshot, "default/s:80")->destination->policy_count, 0);
    loaded_dispose(&loaded);
}

static void a_rule_may_have_one_of_its_own(void **state) {
    (void)state;
    struct loaded loaded;
    const struct snapshot *snapshot =
        expect_good(&loaded, BASE HTTP("r", "  - {name: a, backendRefs: [{name: v}]}\n  - {name: b, backendRefs: [{name: v}]}\n") "---\n" BREAKER(
                                 "t", "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: r, sectionName: b}", "failureThreshold: 1"));
    assert_int_equal(snapshot->rules[0]->destinations[0]->policy_count, 0);
    assert_true(bytes_equal(only_policy(snapshot->rules[1]->destinations[0])->target, BYTES("default/v:80")));
    loaded_dispose(&loaded);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_breaker_without_a_threshold_is_refused),
        cmocka_unit_test(what_would_do_nothing_is_told),
        cmocka_unit_test(bounds_are_held),
        cmocka_unit_test(what_a_document_leaves_out_has_its_default),
        cmocka_unit_test(it_is_taken_whole_from_the_most_specific_policy),
        cmocka_unit_test(a_rule_may_have_one_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
