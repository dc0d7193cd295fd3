// What is doubtful about policies where they act: it is told once, and what is well is not told of.
#include "unit/config/route_text.h"

#define ON_S "  targetRefs: [{kind: Service, name: s}]\n"
#define TOKENS(more) API "kind: AuthenticationPolicy\nmetadata: {name: t}\nspec:\n" ON_S more
#define PROVIDER(uri) "  jwt: [{name: main, issuer: 'https://id', jwks: {uri: '" uri "'}, claimsToHeaders: [{claim: sub, header: x-user}]}]\n---\n"
#define LIMIT(rule) API "kind: RateLimitPolicy\nmetadata: {name: l}\nspec:\n" ON_S "  rules: [{name: r, " rule "}]\n---\n"
#define POOL(pool) API "kind: BulkheadPolicy\nmetadata: {name: b}\nspec:\n" ON_S "  pools: [{name: p, " pool "}]\n---\n"
#define ALLOW(rule) API "kind: AuthorizationPolicy\nmetadata: {name: a}\nspec:\n" ON_S "  rules: [{name: r, " rule "}]\n---\n"
#define AGENT(url)                                                                                                              \
    API "kind: AuthorizationPolicy\nmetadata: {name: x}\nspec:\n" ON_S "  action: External\n  external: {type: OPA, url: '" url \
        "', headersToUpstream: [x-role]}\n---\n"
#define S OUTBOUND_PROXY PLAIN_ENTRY("s", "")
#define LOCAL "http://127.0.0.1:1/"

// Once, however many destinations there are.
static void expect_once(const char *text, const char *part) {
    struct loaded loaded;
    uint32_t count = 0;
    expect_good(&loaded, text);
    print_lines(&loaded.warnings);
    for (uint32_t i = 0; i < loaded.warnings.count; i++)
        count += strstr(loaded.warnings.lines[i], part) != NULL;
    assert_int_equal(count, 1);
    loaded_dispose(&loaded);
}

#define OF_CLAIM "key: [{type: JWTClaim, name: sub}], limits: [{requests: 1, per: 1s}]"
#define POOL_OF_CLAIM "maxConcurrent: 9, perKey: {key: [{type: JWTClaim, name: sub}], maxConcurrent: 2}"
#define RULE_OF_CLAIM "when: [{type: JWTClaim, name: sub, values: [a]}]"

static void claims_that_nobody_can_have_are_told(void **state) {
    (void)state;
    static const char *const nobody[] = {
        S LIMIT(OF_CLAIM),
        S LIMIT("tier: {from: {type: JWTClaim, name: plan}, default: f}, tiers: [{name: f, limits: [{requests: 1, per: 1s}]}]"),
        S POOL(POOL_OF_CLAIM),
        S ALLOW(RULE_OF_CLAIM),
        S LIMIT(OF_CLAIM) TOKENS("  mode: DryRun\n") PROVIDER(LOCAL),
        S LIMIT(OF_CLAIM) HTTP("h", "  - {backendRefs: [{name: s}]}\n") "---\n",
    };
    for (size_t i = 0; i < sizeof nobody / sizeof nobody[0]; i++)
        expect_once(nobody[i], "no AuthenticationPolicy that is enforced is for");
    expect_no_warning(S LIMIT(OF_CLAIM) POOL(POOL_OF_CLAIM) ALLOW(RULE_OF_CLAIM) TOKENS("") PROVIDER(LOCAL));
    expect_no_warning(S LIMIT("key: [{type: Identity}], limits: [{requests: 1, per: 1s}]"));
}

static void a_pool_that_learns_nothing_is_told(void **state) {
    (void)state;
#define DB                                                                                                                                       \
    OUTBOUND_PROXY API "kind: ServiceEntry\nmetadata: {name: s}\nspec:\n  hosts: [s]\n  tls: {mode: None}\n  endpoints: [{address: 10.0.0.1}]\n" \
                       "  ports: [{name: db, port: 80, protocol: TCP}]\n---\n"
    expect_once(DB POOL("adaptive: {}"), "carries opaque bytes, of which it learns nothing");
    expect_no_warning(DB POOL("maxConcurrent: 5"));
    expect_no_warning(S POOL("adaptive: {}"));
}

static void keys_and_decisions_in_plain_text_are_told(void **state) {
    (void)state;
    static const char *const open[] = {S TOKENS("") PROVIDER("http://id.example/jwks"), S TOKENS("") PROVIDER("http://10.0.0.7/jwks"),
                                       S TOKENS("") PROVIDER("http://[2001:db8::1]/jwks"), S AGENT("http://opa.example/"),
                                       S TOKENS("") PROVIDER("http://s/jwks")};
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++)
        expect_once(open[i], "goes over the network in plain text");
    static const char *const closed[] = {S TOKENS("") PROVIDER("https://id.example/jwks"), S TOKENS("") PROVIDER(LOCAL),
                                         S TOKENS("") PROVIDER("http://[::1]:9/"), S TOKENS("") PROVIDER("http://localhost/jwks"),
                                         S AGENT("http://127.0.0.1/")};
    for (size_t i = 0; i < sizeof closed / sizeof closed[0]; i++)
        expect_no_warning(closed[i]);
}

static void a_route_by_a_header_that_is_made_later_is_told(void **state) {
    (void)state;
#define BY(header) HTTP("h", "  - {matches: [{headers: [{name: " header ", value: a}]}], backendRefs: [{name: s}]}\n") "---\n"
    expect_once(S TOKENS("") PROVIDER(LOCAL) BY("X-User"), "matches X-User as the client sends it");
    expect_once(S AGENT(LOCAL) BY("x-role"), "matches x-role as the client sends it");
    expect_no_warning(S TOKENS("") PROVIDER(LOCAL) BY("x-other"));
    expect_no_warning(S TOKENS("  mode: DryRun\n") PROVIDER(LOCAL) BY("x-user"));
}

static void who_requires_tokens_of_connections_is_told(void **state) {
    (void)state;
    expect_once(DB TOKENS("  required: true\n") PROVIDER(LOCAL), "with required: true all are refused");
    expect_once(DB TOKENS("") PROVIDER(LOCAL), "carries no requests for the policy to act on");
}

static void a_share_of_a_host_that_no_request_has_is_told(void **state) {
    (void)state;
#define HOST(value) \
    S POOL("maxConcurrent: 9, perKey: {key: [{type: Header, name: Host}], maxConcurrent: 2, overrides: [{value: '" value "', maxConcurrent: 3}]}")
    expect_once(HOST("Shop.example."), "in the form that is compared it is shop.example");
    expect_once(HOST("a b"), "no request has the host");
    expect_no_warning(HOST("shop.example"));
    expect_no_warning(HOST("shop.example:80")); // of https
    expect_no_warning(HOST("shop.example:443"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(claims_that_nobody_can_have_are_told),       cmocka_unit_test(a_pool_that_learns_nothing_is_told),
        cmocka_unit_test(keys_and_decisions_in_plain_text_are_told),  cmocka_unit_test(a_route_by_a_header_that_is_made_later_is_told),
        cmocka_unit_test(who_requires_tokens_of_connections_is_told), cmocka_unit_test(a_share_of_a_host_that_no_request_has_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
