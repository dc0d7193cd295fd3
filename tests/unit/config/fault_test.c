// FaultPolicy: what is refused, and which destinations of a caller a document acts on.
#include "config/fault_config.h"
#include "config/policy.h"

#include "unit/config/route_text.h"

#define FAULTS(targets, rules) API "kind: FaultPolicy\nmetadata: {name: f}\nspec:\n  targetRefs: [" targets "]\n  rules:\n" rules "---\n"
#define DOWN "  - {name: down, abort: {}}\n"
#define ROUTES BASE HTTP("r", "  - {name: a, backendRefs: [{name: v}]}\n  - {name: b, backendRefs: [{name: v}]}\n") "---\n"

static void rules_between_fields_are_held(void **state) {
    (void)state;
    expect_error(OUTBOUND_PROXY PLAIN_ENTRY("s", "") FAULTS("{kind: Service, name: s}", "  - {name: r}\n"), "delay: is required, or abort");
    expect_error(OUTBOUND_PROXY PLAIN_ENTRY("s", "") FAULTS("{kind: Service, name: s}", "  - {name: r, delay: {percent: 5}}\n"),
                 "fixed: is required");
    expect_error(OUTBOUND_PROXY PLAIN_ENTRY("s", "") FAULTS("{kind: Service, name: s}", "  - {name: r, abort: {status: 200}}\n"),
                 "allowed: 400 to 599");
    expect_error(OUTBOUND_PROXY PLAIN_ENTRY("s", "") FAULTS("{kind: Service, name: s}", "  - {name: r, abort: {percent: 101}}\n"),
                 "allowed: 1 to 100");
    expect_error(OUTBOUND_PROXY PLAIN_ENTRY("s", "") FAULTS("{kind: Service, name: s}", "  - {name: r, abort: {grpcStatus: Unavailable}}\n"),
                 "UNAVAILABLE");
    expect_error(OUTBOUND_PROXY FAULTS("{kind: Service, name: s}", DOWN), "there is no Service or ServiceEntry s");
}

static void what_a_rule_does_not_name_it_does_not_do(void **state) {
    (void)state;
    struct loaded loaded;
    const struct snapshot *snapshot = expect_good(
        &loaded, OUTBOUND_PROXY PLAIN_ENTRY("s", "") FAULTS("{kind: Service, name: s}", DOWN "  - {name: slow, delay: {fixed: 1s, percent: 7}}\n"));
    const struct destination *destination = find_key(snapshot, "default/s:80")->destination;
    assert_int_equal(destination->policy_count, 1);
    assert_int_equal(destination->policies[0]->kind, POLICY_FAULT);
    const struct fault_config *config = destination->policies[0]->config;
    assert_int_equal(config->rules[0].abort.percent, 100);
    assert_int_equal(config->rules[0].abort.status, 503);
    assert_int_equal(config->rules[0].abort.grpc_status, 14);
    assert_int_equal(config->rules[0].delay.percent, 0);
    assert_int_equal(config->rules[1].abort.percent, 0);
    assert_int_equal(config->rules[1].delay.percent, 7);
    assert_true(config->rules[1].delay.fixed == NS_PER_S);
    loaded_dispose(&loaded);
}

static uint32_t acting_on_rule(const struct loaded *loaded, uint32_t rule) {
    return loaded->snapshot->rules[rule]->destinations[0]->policy_count;
}

static void it_acts_on_what_its_callers_send(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint32_t first, second;
    } cases[] = {{ROUTES FAULTS("{kind: HTTPRoute, name: r, sectionName: a}", DOWN), 1, 0},
                 {ROUTES FAULTS("{kind: HTTPRoute, name: r}", DOWN), 1, 1},
                 {ROUTES FAULTS("{kind: Service, name: s}", DOWN), 1, 1},  // whom it was for
                 {ROUTES FAULTS("{kind: Service, name: v}", DOWN), 1, 1}}; // to whom it is sent
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loaded loaded;
        expect_good(&loaded, cases[i].text);
        assert_int_equal(acting_on_rule(&loaded, 0), cases[i].first);
        assert_int_equal(acting_on_rule(&loaded, 1), cases[i].second);
        loaded_dispose(&loaded);
    }
}

static void it_acts_on_no_application(void **state) {
    (void)state;
    struct loaded loaded;
    const struct snapshot *snapshot = expect_good(
        &loaded,
        API "kind: Proxy\nmetadata: {name: p}\nspec:\n  service: s\n  listeners:\n"
            "  - {name: inbound, role: Inbound, address: '127.0.0.1:15006', mtls: {mode: Disable}, forwardTo: '127.0.0.1:8000'}\n---\n" PLAIN_ENTRY(
                "s", "") FAULTS("{kind: Service, name: s}", DOWN));
    assert_int_equal(find_key(snapshot, "app/inbound")->destination->policy_count, 0);
    assert_int_equal(find_key(snapshot, "default/s:80")->destination->policy_count, 1);
    loaded_dispose(&loaded);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_between_fields_are_held),
        cmocka_unit_test(what_a_rule_does_not_name_it_does_not_do),
        cmocka_unit_test(it_acts_on_what_its_callers_send),
        cmocka_unit_test(it_acts_on_no_application),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
