// AuthorizationPolicy: what is refused, what is warned of, and where a document acts.
#include "config/authorization_config.h"
#include "config/policy.h"
#include "config/url_service.h"

#include "unit/config/route_text.h"

#define AUTHORIZATION(targets, more) \
    API "kind: AuthorizationPolicy\nmetadata: {name: a, namespace: default}\nspec:\n  targetRefs: [" targets "]\n" more "---\n"
#define OF_S(more) OUTBOUND_PROXY PLAIN_ENTRY("s", "") AUTHORIZATION("{kind: Service, name: s}", more)
#define RULE(text) OF_S("  rules:\n  - {name: r, " text "}\n")

static void rules_between_fields_are_held(void **state) {
    (void)state;
    expect_error(RULE(""), "spec.rules[r]: says nothing, and would be for all requests");
    expect_error(RULE("from: []"), "says nothing, and would be for all requests");
    expect_error(RULE("from: [{}]"), "says nothing, and would be whoever it is");
    expect_error(RULE("from: [{serviceAccounts: []}]"), "says nothing, and would be whoever it is");
    expect_error(RULE("from: [{addresses: [10.0.0.0/8]}, {identities: [], namespaces: []}]"), "says nothing, and would be whoever it is");
    expect_error(OF_S("  rules:\n  - {matches: [{}]}\n"), "name: is required");
    expect_error(OF_S("  rules:\n  - {name: r, matches: [{}]}\n  - {name: r, matches: [{}]}\n"), "stands twice");
    expect_error(OF_S("  action: Deny\n"), "rules: is required: a Deny without rules denies nothing");
    expect_error(RULE("matches: [{path: {value: x}}]"), "is no path");
    expect_error(RULE("notMatches: [{headers: [{name: 'a b', value: x}]}]"), "is no name of a field");
    expect_error(RULE("matches: [{headers: [{type: Contains, name: a, value: x}]}]"), "allowed: Exact, RegularExpression");
    expect_error(RULE("matches: [{headers: [{type: RegularExpression, name: a, value: '('}]}]"), "is no regular expression");
}

static void who_is_meant_is_checked(void **state) {
    (void)state;
    expect_error(RULE("from: [{addresses: [10.0.0.1/8]}]"), "an IP address, or a range of them");
    expect_error(RULE("notAddresses: [a]"), "an IP address, or a range of them");
    expect_error(RULE("from: [{identities: [courses]}]"), "does not begin with spiffe://");
    expect_error(RULE("from: [{identities: ['spiffe://a/b*']}]"), "`*` may stand alone, or at the end behind a `/`");
    expect_error(RULE("from: [{identities: ['spiffe://a/*/b']}]"), "`*` may stand alone, or at the end behind a `/`");
    expect_error(RULE("notIdentities: [spiffe://a]"), "names a trust domain alone");
    expect_error(RULE("from: [{identities: [spiffe://a/../b]}]"), "a path segment '.' or '..' is not allowed");
    expect_error(RULE("from: [{serviceAccounts: [{namespace: n}]}]"), "name: is required");
    expect_error(RULE("from: [{serviceAccounts: [{namespace: n, name: 'a/b'}]}]"), "is no name of a service account");
    expect_error(RULE("from: [{serviceAccounts: [{namespace: n, name: '*'}]}]"), "is no name of a service account");
    expect_error(RULE("from: [{namespaces: ['*']}]"), "namespaces");
}

static void conditions_are_checked(void **state) {
    (void)state;
    expect_error(RULE("when: [{type: Header, values: [a]}]"), "is required: which Header");
    expect_error(RULE("when: [{type: Method, name: a, values: [a]}]"), "is for Header, Cookie, Query and JWTClaim alone");
    expect_error(RULE("when: [{type: Method}]"), "values: is required");
    expect_error(RULE("when: [{type: Method, values: []}]"), "has 0 items");
    expect_error(RULE("when: [{type: ClientAddress, values: [a]}]"), "\"a\" is no address");
    expect_error(RULE("when: [{type: Identity, values: [a]}]"), "does not begin with spiffe://");
    expect_error(RULE("when: [{type: Path, values: [a]}]"), "\"a\" is no path");
    expect_error(RULE("when: [{type: Day, values: [a]}]"), "allowed: ClientAddress, Identity");
}

static void who_decides_is_checked(void **state) {
    (void)state;
#define ASKS(more) "  action: External\n  external: {" more "}\n"
#define GOOD "type: OPA, url: 'http://a/v1/data/x'"
    struct loaded loaded;
    expect_error(OF_S("  action: External\n"), "spec.external: is required with action External");
    expect_error(OF_S("  external: {" GOOD "}\n  rules:\n  - {name: r, matches: [{}]}\n"), "spec.external: is for action External");
    expect_error(OF_S(ASKS("type: EnvoyGRPC, url: 'http://a/'")), "EnvoyGRPC is not supported by this version; allowed: OPA, Forward");
    expect_error(OF_S(ASKS("type: OPA")), "url: is required");
    expect_error(OF_S(ASKS("type: OPA, url: 'ftp://a/'")), "is no URL that can be asked");
    expect_error(OF_S(ASKS("type: OPA, url: 'http://user@a/'")), "is no URL that can be asked");
    expect_error(OF_S(ASKS(GOOD ", timeout: 0s")), "timeout");
    expect_error(OF_S(ASKS(GOOD ", onFailure: Ignore")), "allowed: Deny, Allow");
    expect_error(OF_S(ASKS(GOOD ", headersToUpstream: [content-length]")), "is no field that an agent may set");
    expect_error(OF_S(ASKS("type: Forward, url: 'http://a/', headersToUpstream: [host]")), "is no field that an agent may set");
    expect_error(OF_S(ASKS("type: Forward, url: 'http://a/', headersToUpstream: [Outrigger_refused]")), "is no field that an agent may set");
    expect_error(OF_S(ASKS("type: Forward, url: 'http://a/', headersToUpstream: [x-forwarded-client-cert]")), "is no field that an agent may set");
    expect_good(&loaded, OF_S(ASKS(GOOD) "  mode: DryRun\n"));
    loaded_dispose(&loaded);
    const struct snapshot *snapshot =
        expect_good(&loaded, OF_S(ASKS("type: Forward, url: 'https://a:8443/x?y', headersToUpstream: [Authorization, x-user]")));
    const struct authorization_config *config = find_key(snapshot, "default/s:80")->destination->policies[0]->config;
    assert_int_equal(config->action, AUTHORIZATION_EXTERNAL);
    assert_int_equal(config->agent.type, AGENT_FORWARD);
    assert_int_equal(config->agent.on_failure, FAILURE_DENIES);
    assert_true(config->agent.timeout == 200 * NS_PER_MS && config->agent.url->is_https);
    assert_bytes_equal(config->agent.url->path, "/x?y");
    assert_int_equal(config->agent.header_count, 2);
    loaded_dispose(&loaded);
}

static void an_allow_without_rules_is_told(void **state) {
    (void)state;
    expect_warning(OF_S(""), "an Allow without rules allows nothing");
    expect_warning(OF_S("  action: Allow\n  rules: []\n"), "an Allow without rules allows nothing");
}

static void texts_become_what_is_compared(void **state) {
    (void)state;
    struct loaded loaded;
    const struct snapshot *snapshot = expect_good(
        &loaded, RULE("from: [{serviceAccounts: [{name: b.c}, {namespace: n, name: d}], namespaces: [n], identities: ['spiffe://t/p/*', '*']}], "
                      "matches: [{path: {value: /%61/}}], when: [{type: Path, values: [/%62]}]"));
    const struct destination *destination = find_key(snapshot, "default/s:80")->destination;
    assert_int_equal(destination->policy_count, 1);
    assert_int_equal(destination->policies[0]->kind, POLICY_AUTHORIZATION);
    const struct authorization_config *config = destination->policies[0]->config;
    assert_int_equal(config->action, AUTHORIZATION_ALLOW);
    const struct authorization_rule *rule = &config->rules[0];
    const struct authorization_source *source = &rule->sources[0];
    assert_bytes_equal(source->accounts.items[0].path, "/ns/default/sa/b.c");
    assert_bytes_equal(source->accounts.items[1].path, "/ns/n/sa/d");
    assert_false(source->accounts.items[1].is_prefix);
    assert_int_equal(source->accounts.items[1].domain, DOMAIN_OWN);
    assert_bytes_equal(source->namespaces.items[0].path, "/ns/n/");
    assert_true(source->namespaces.items[0].is_prefix);
    assert_bytes_equal(source->identities.items[0].path, "/p/");
    assert_int_equal(source->identities.items[1].domain, DOMAIN_ANY);
    assert_bytes_equal(rule->matches[0].path, "/a");
    assert_bytes_equal(rule->conditions[0].values[0], "/b");
    assert_true(rule->is_of_http && rule->names_paths);
    loaded_dispose(&loaded);
}

static void connections_are_its_matter_too(void **state) {
    (void)state;
#define DB                                                                                                                                   \
    API "kind: ServiceEntry\nmetadata: {name: db}\nspec:\n  hosts: [db]\n  tls: {mode: None}\n  endpoints: [{address: 10.0.0.1}]\n  ports: " \
        "[{name: db, port: 80, protocol: TCP}]\n---\n"
    struct loaded loaded;
    expect_good(&loaded, OUTBOUND_PROXY DB AUTHORIZATION("{kind: Service, name: db}", "  rules:\n  - {name: r, from: [{namespaces: [n]}]}\n"));
    assert_false(has_line(&loaded.warnings, "allows no connection"));
    loaded_dispose(&loaded);
    expect_warning(OUTBOUND_PROXY DB AUTHORIZATION("{kind: Service, name: db}", "  rules:\n  - {name: r, notMatches: [{method: PUT}]}\n"),
                   "allows no connection, and denies all");
}

static void targets_are_those_of_what_acts_beside_them(void **state) {
    (void)state;
#define ALL "  rules:\n  - {name: r, matches: [{}]}\n"
    expect_error(OUTBOUND_PROXY AUTHORIZATION("{kind: Service, name: s}", ALL), "there is no Service or ServiceEntry s");
    expect_error(BASE HTTP("h", "  - {backendRefs: [{name: v}]}\n") "---\n" AUTHORIZATION("{kind: HTTPRoute, name: h}", ALL),
                 "is of a Service, whose proxy sees no routes");
    struct loaded loaded;
    const struct snapshot *snapshot = expect_good(
        &loaded,
        API "kind: Proxy\nmetadata: {name: p}\nspec:\n  services: [{name: x, port: 80}, {name: s, port: 80}]\n  listeners:\n"
            "  - {name: inbound, role: Inbound, address: '127.0.0.1:15006', mtls: {mode: Disable}, forwardTo: '127.0.0.1:8000'}\n---\n" AUTHORIZATION(
                "{kind: Service, name: s}", ALL));
    assert_int_equal(find_key(snapshot, "app/inbound")->destination->policy_count, 1);
    loaded_dispose(&loaded);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_between_fields_are_held),  cmocka_unit_test(who_is_meant_is_checked),
        cmocka_unit_test(conditions_are_checked),         cmocka_unit_test(who_decides_is_checked),
        cmocka_unit_test(an_allow_without_rules_is_told), cmocka_unit_test(texts_become_what_is_compared),
        cmocka_unit_test(connections_are_its_matter_too), cmocka_unit_test(targets_are_those_of_what_acts_beside_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
