// backendSelection of TrafficPolicies: what is refused, which rule has which, and what a backend is known by.
#include "unit/config/route_text.h"

#define SELECT(target, group) POLICY("t", "  targetRefs: [{kind: " target "}]\n  backendSelection: " group "\n")
#define HASH "{type: Hash, key: [{type: Header, name: x-tenant-id}]}"
#define ROUTES BASE HTTP("r", "  - {name: a, backendRefs: [{name: v}]}\n  - {name: b, backendRefs: [{name: v}]}\n") "---\n"

static void rules_between_fields_are_held(void **state) {
    (void)state;
    expect_error(ROUTES SELECT("HTTPRoute, name: r", "{type: Hash}"), "backendSelection.key: is required for type Hash");
    expect_error(ROUTES SELECT("HTTPRoute, name: r", "{key: [{type: Path}]}"), "backendSelection.key: is for type Hash alone");
    expect_error(ROUTES SELECT("HTTPRoute, name: r", "{ifMissing: Reject}"), "backendSelection.ifMissing: is for type Hash alone");
    expect_error(ROUTES SELECT("HTTPRoute, name: r", "{type: Hash, key: [{type: Header}]}"), "name: is required: which Header");
    expect_error(ROUTES SELECT("HTTPRoute, name: r", "{type: Hash, key: [{type: JWTClaim, name: sub}]}"),
                 "is not known yet when a backend is chosen");
    expect_error(ROUTES SELECT("HTTPRoute, name: r", "{type: Hash, key: []}"), "backendSelection.key: has 0 items");
    expect_error(ROUTES SELECT("HTTPRoute, name: r", "{disabled: true, type: Weighted}"), "is disabled and has other fields");
    expect_error(ROUTES SELECT("Service, name: s", HASH), "is of a route, or of a rule of one");
    expect_error(
        ROUTES ROUTE_OF(
            "TCPRoute", "t",
            "  parentRefs: [{group: '', kind: Service, name: o}]\n  rules: [{backendRefs: [{name: v}]}]\n") "---\n" API
                                                                                                            "kind: ServiceEntry\nmetadata: {name: "
                                                                                                            "o}\nspec:\n  hosts: [o]\n  ports: "
                                                                                                            "[{name: a, port: 80, protocol: TCP}]\n  "
                                                                                                            "tls: {mode: None}\n"
                                                                                                            "  endpoints: [{address: "
                                                                                                            "'10.0.0.1:1'}]\n---\n" SELECT(
                                                                                                                "TCPRoute, name: t", HASH),
        "is nothing that a connection of a TLSRoute or TCPRoute has; allowed: ClientAddress, Identity");
}

static const struct selection_config *selection_of(const struct loaded *loaded, uint32_t rule) {
    return &loaded->snapshot->rules[rule]->destinations[0]->traffic->selection;
}

static void a_rule_has_that_of_its_own_or_of_its_route(void **state) {
    (void)state;
    struct loaded loaded;
    expect_good(&loaded, ROUTES POLICY("route", "  targetRefs: [{kind: HTTPRoute, name: r}]\n  backendSelection: " HASH "\n")
                             POLICY("rule", "  targetRefs: [{kind: HTTPRoute, name: r, sectionName: b}]\n  backendSelection: {disabled: true}\n"));
    const struct selection_config *a = selection_of(&loaded, 0), *b = selection_of(&loaded, 1);
    assert_true(a->type == SELECT_HASH && a->key.count == 1 && a->key.parts[0].type == KEY_HEADER);
    assert_bytes_equal(a->policy, "TrafficPolicy/default/route");
    assert_true(b->type == SELECT_WEIGHTED && b->policy.len == 0);
    loaded_dispose(&loaded);
}

static uint64_t seed_of(const struct loaded *loaded, uint32_t index) {
    return loaded->snapshot->rules[0]->destinations[index]->seed;
}

static void a_backend_is_known_by_its_name_alone(void **state) {
    (void)state;
    struct loaded one, other;
    expect_good(&one, BASE HTTP("r", "  - backendRefs: [{name: v}, {name: w, port: 80}, {name: s}]\n"));
    expect_good(
        &other,
        BASE HTTP("q", "  - backendRefs: [{name: s, port: 80, weight: 7}, {name: w, port: 80}, {name: v, namespace: default}]\n") "---\n" PLAIN_ENTRY(
            "w", ""));
    assert_true(seed_of(&one, 0) == seed_of(&other, 2)); // with its port or without, in any place
    assert_true(seed_of(&one, 1) == seed_of(&other, 1)); // there or not
    assert_true(seed_of(&one, 2) == seed_of(&other, 0)); // whatever it weighs
    assert_true(seed_of(&one, 0) != seed_of(&one, 1) && seed_of(&one, 0) != seed_of(&one, 2));
    loaded_dispose(&one);
    loaded_dispose(&other);
}

static void one_that_stands_twice_is_two(void **state) {
    (void)state;
    struct loaded loaded;
    expect_good(&loaded, BASE HTTP("r", "  - backendRefs: [{name: v}, {name: v, port: 80}, {name: v}]\n"));
    assert_true(seed_of(&loaded, 0) != seed_of(&loaded, 1) && seed_of(&loaded, 1) != seed_of(&loaded, 2) &&
                seed_of(&loaded, 0) != seed_of(&loaded, 2));
    loaded_dispose(&loaded);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_between_fields_are_held),
        cmocka_unit_test(a_rule_has_that_of_its_own_or_of_its_route),
        cmocka_unit_test(a_backend_is_known_by_its_name_alone),
        cmocka_unit_test(one_that_stands_twice_is_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
