// AuthenticationPolicy, and files beside the documents: what is refused, what providers are made of, where their keys are asked for, and that a change of a file is a change.
#include "config/authentication_config.h"
#include "config/policy.h"
#include "config/rate_limit_config.h"

#include "load_folder.h"
#include "load_text.h"

#define PROXY                                                                   \
    API "kind: Proxy\nmetadata: {name: p}\nspec:\n  service: s\n  listeners:\n" \
        "  - {name: outbound, role: Outbound, address: '127.0.0.1:15001'}\n"    \
        "  - {name: inbound, role: Inbound, address: '127.0.0.1:15006', mtls: {mode: Disable}, forwardTo: '127.0.0.1:8000'}\n---\n"
#define TOKENS(providers) \
    API "kind: AuthenticationPolicy\nmetadata: {name: t}\nspec:\n  targetRefs: [{kind: Service, name: s}]\n  jwt:\n" providers "---\n"
#define MAIN(jwks, more) "  - {name: main, issuer: 'https://id.example', jwks: {" jwks "}" more "}\n"
#define URL(url) MAIN("uri: '" url "'", "")

static const struct authentication_config *config_of(const struct loaded *loaded) {
    const struct destination *destination = find_key(loaded->snapshot, "app/inbound")->destination;
    assert_int_equal(destination->policy_count, 1);
    assert_int_equal(destination->policies[0]->kind, POLICY_AUTHENTICATION);
    return destination->policies[0]->config;
}

static void rules_between_fields_are_held(void **state) {
    (void)state;
    static const struct {
        const char *providers, *error;
    } cases[] = {
        {MAIN("", ""), "jwks.uri: is required, or file"},
        {MAIN("uri: 'http://a/', file: k", ""), "has uri and file"},
        {URL("id.example/jwks"), "is no URL"},
        {URL("ftp://id.example/jwks"), "is no URL"},
        {URL("https://id.example/jw ks"), "has a path or query that no request can have"},
        {MAIN("uri: 'http://a/'", ", from: [{type: Header, name: 'a b'}]"), "is no name that a header or cookie can have"},
        {MAIN("uri: 'http://a/'", ", from: [{type: Cookie, name: a, prefix: b}]"), "is for type Header alone"},
        {MAIN("uri: 'http://a/'", ", claimsToHeaders: [{claim: sub, header: host}]"), "has a meaning of its own"},
        {MAIN("uri: 'http://a/'", ", claimsToHeaders: [{claim: sub, header: Content-Length}]"), "has a meaning of its own"},
        {MAIN("uri: 'http://a/'", ", claimsToHeaders: [{claim: sub, header: x-a}, {claim: iss, header: x-a}]"), "x-a"},
        {MAIN("uri: 'http://a/'", ", algorithms: [HS256]"), "HS256"},
        {MAIN("uri: 'http://a/'", ", algorithms: [none]"), "none"},
        {URL("http://a/") "  - {name: other, issuer: 'https://id.example', jwks: {uri: 'http://a/'}}\n", "is that of main too"},
        {MAIN("file: /there/is/no/such/file", ""), "/there/is/no/such/file: cannot be read"},
        {MAIN("file: /dev/null, cacheFor: 1m", ""), "is for uri alone"},
        {MAIN("file: /dev/null", ""), "is no JWK Set: it is no object of JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[2048];
        snprintf(text, sizeof text, PROXY TOKENS("%s"), cases[i].providers);
        struct loaded loaded;
        load_text(&loaded, text);
        if (!has_line(&loaded.errors, cases[i].error)) {
            print_message("expected: %s\n", cases[i].error);
            print_lines(&loaded.errors);
            fail();
        }
        loaded_dispose(&loaded);
    }
}

static void what_is_not_said_has_safe_defaults(void **state) {
    (void)state;
    struct loaded loaded;
    expect_good(&loaded, PROXY TOKENS(URL("https://id.example/jwks")));
    const struct authentication_config *config = config_of(&loaded);
    const struct jwt_provider *provider = &config->providers[0];
    assert_false(config->required);
    assert_int_equal(provider->from_count, 1);
    assert_bytes_equal(provider->from[0].name, "authorization");
    assert_bytes_equal(provider->from[0].prefix, "Bearer ");
    assert_int_equal(provider->rules.skew_s, 60);
    assert_int_equal(provider->rules.algorithms, (UINT32_C(1) << JWT_ALGORITHM_COUNT) - 1);
    assert_int_equal(provider->rules.audience_count, 0);
    assert_true(provider->keep_for == 3600 * NS_PER_S && provider->cache_for == 600 * NS_PER_S && provider->timeout == 2 * NS_PER_S);
    loaded_dispose(&loaded);
}

static void the_algorithms_that_are_named_are_all(void **state) {
    (void)state;
    struct loaded loaded;
    expect_good(&loaded, PROXY TOKENS(MAIN("uri: 'http://a/'", ", algorithms: [ES256, EdDSA]")));
    assert_int_equal(config_of(&loaded)->providers[0].rules.algorithms, UINT32_C(1) << JWT_ES256 | UINT32_C(1) << JWT_EDDSA);
    loaded_dispose(&loaded);
}

// ---- where a URL leads

static const struct service_url *url_of(const struct loaded *loaded) {
    const struct service_url *url = config_of(loaded)->providers[0].url;
    assert_non_null(url);
    assert_non_null(url->service->destination);
    return url;
}

static void a_host_that_no_document_describes_is_a_service_of_its_own(void **state) {
    (void)state;
    struct loaded loaded;
    expect_good(&loaded, PROXY TOKENS(URL("https://Id.example/jwks?a=b") "  - {name: other, issuer: x, jwks: {uri: 'https://id.example:443/more'}}\n"
                                                                         "  - {name: third, issuer: y, jwks: {uri: 'http://id.example/'}}\n"));
    const struct jwt_provider *providers = config_of(&loaded)->providers;
    const struct service_config *service = url_of(&loaded)->service;
    assert_bytes_equal(service->key, "https://id.example:443");
    assert_int_equal(service->resolution, RESOLUTION_DNS);
    assert_bytes_equal(service->sources[0].name, "id.example");
    assert_int_equal(service->sources[0].endpoint.address.port, 443);
    assert_int_equal(service->sources[0].endpoint.traits->tls, TLS_SIMPLE);
    assert_bytes_equal(service->sources[0].endpoint.traits->origin->server_name, "id.example");
    assert_bytes_equal(providers[0].url->path, "/jwks?a=b");
    assert_ptr_equal(providers[1].url->service, service); // one for all its URLs
    assert_bytes_equal(providers[2].url->service->key, "http://id.example:80");
    assert_int_equal(providers[2].url->service->sources[0].endpoint.traits->tls, TLS_NONE);
    loaded_dispose(&loaded);
}

static void an_address_is_an_endpoint(void **state) {
    (void)state;
    struct loaded loaded;
    expect_good(&loaded, PROXY TOKENS(URL("http://127.0.0.1:8181/keys")));
    const struct service_config *service = url_of(&loaded)->service;
    assert_int_equal(service->endpoint_count, 1);
    assert_int_equal(service->endpoints[0].address.port, 8181);
    assert_int_equal(service->destination->policy_count, 0);
    loaded_dispose(&loaded);
    expect_good(&loaded, PROXY TOKENS(URL("https://[::1]:8443/keys")));
    assert_bytes_equal(url_of(&loaded)->service->key, "https://[::1]:8443");
    assert_int_equal(url_of(&loaded)->service->endpoints[0].traits->origin->names[0].type, SERVER_NAME_ADDRESS);
    loaded_dispose(&loaded);
}

#define ID(port, tls)                                                                                                                      \
    API "kind: ServiceEntry\nmetadata: {name: id}\nspec:\n  hosts: [id.example]\n  ports: [{name: p, port: " port "}]\n  tls: {mode: " tls \
        "}\n  endpoints: [{address: '10.0.0.9:8443'}]\n---\n"

// With the TLS that its document says; what speaks plain text is not where https leads.
static void a_service_of_the_documents_is_used_as_it_is(void **state) {
    (void)state;
    static const struct {
        const char *documents, *key;
    } cases[] = {
        {PROXY ID("443", "Simple") TOKENS(URL("https://id.example/jwks")), "default/id:443"},
        {PROXY ID("80", "Simple") TOKENS(URL("http://id.example/jwks")), "default/id:80"},
        {PROXY ID("80", "None") TOKENS(URL("http://id.example:80/jwks")), "default/id:80"},
        {PROXY ID("443", "None") TOKENS(URL("https://id.example/jwks")), "https://id.example:443"},
        {PROXY ID("80", "Simple") TOKENS(URL("https://id.example/jwks")), "https://id.example:443"}, // another port
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loaded loaded;
        expect_good(&loaded, cases[i].documents);
        assert_bytes_equal(url_of(&loaded)->service->key, cases[i].key);
        loaded_dispose(&loaded);
    }
}

// ---- which headers are not the client's

static void a_header_that_is_made_of_a_claim_is_known_in_each_spelling(void **state) {
    (void)state;
    struct loaded loaded;
    expect_good(&loaded, PROXY TOKENS(MAIN("uri: 'http://a/'", ", claimsToHeaders: [{claim: sub, header: X-User-Id}]")));
    const struct destination *destination = find_key(loaded.snapshot, "app/inbound")->destination;
    assert_true(authentication_makes_header(destination, BYTES("x_user_id")));
    assert_true(authentication_makes_header(destination, BYTES("X-USER-ID")));
    assert_false(authentication_makes_header(destination, BYTES("x-user")));
    loaded_dispose(&loaded);
}

// ---- files beside the documents

#define KEYS "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"k\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}"
#define TIERS(default_tier)                                                                                                            \
    API "kind: RateLimitPolicy\nmetadata: {name: l}\nspec:\n  targetRefs: [{kind: Service, name: s}]\n  rules:\n  - name: r\n"         \
        "    key: [{type: Header, name: x-api-key}]\n    tier: {from: {type: KeyTable, file: tiers.map}, default: " default_tier "}\n" \
        "    tiers: [{name: free, limits: [{requests: 1, per: 1s}]}, {name: gold, limits: [{requests: 9, per: 1s}]}]\n---\n"

static struct config_cache *cache;

static int begin(void **state) {
    cache = config_cache_create(clock_wall_ns);
    return make_folder(state);
}

static int end(void **state) {
    config_cache_destroy(cache);
    return remove_folder(state);
}

static void load(struct loaded *loaded) {
    const char *paths[] = {folder};
    config_errors_init(&loaded->errors);
    config_errors_init(&loaded->warnings);
    enum error error = config_load(cache, paths, 1, &loaded->snapshot, &loaded->errors, &loaded->warnings);
    assert_int_equal(error == OK, loaded->errors.count == 0);
}

static uint64_t fingerprint(void) {
    const char *paths[] = {folder};
    return config_fingerprint(cache, paths, 1);
}

static void a_file_beside_the_documents_is_part_of_them(void **state) {
    (void)state;
    struct loaded loaded;
    write_file("a.yaml", PROXY TOKENS(MAIN("file: keys.jwks", "")));
    write_file("keys.jwks", KEYS);
    load(&loaded);
    print_lines(&loaded.errors);
    const struct jwt_provider *provider = &config_of(&loaded)->providers[0];
    assert_int_equal(provider->keys->count, 1);
    assert_null(provider->url);
    assert_true(fingerprint() == config_cache_figures(cache)->fingerprint);
    assert_true(config_cache_has_file(cache, "keys.jwks"));
    assert_false(config_cache_has_file(cache, "keys"));
    const uint64_t digest = provider->keys_digest;
    loaded_dispose(&loaded);
    write_file("keys.jwks", "{\"keys\":[]}");
    assert_true(fingerprint() != config_cache_figures(cache)->fingerprint);
    load(&loaded);
    assert_int_equal(config_of(&loaded)->providers[0].keys->count, 0);
    assert_true(config_of(&loaded)->providers[0].keys_digest != digest);
    loaded_dispose(&loaded);
}

// One that is wrong refuses the set, and is looked for again.
static void a_file_that_is_wrong_refuses_all(void **state) {
    (void)state;
    struct loaded loaded;
    write_file("a.yaml", PROXY TOKENS(MAIN("file: keys.jwks", "")));
    load(&loaded);
    assert_true(has_line(&loaded.errors, "keys.jwks: cannot be read"));
    loaded_dispose(&loaded);
    write_file("keys.jwks", "{\"keys\":[{}]}");
    assert_true(fingerprint() != config_cache_figures(cache)->fingerprint);
    load(&loaded);
    assert_true(has_line(&loaded.errors, "a.yaml:"));
    assert_true(has_line(&loaded.errors, "is no JWK Set: a key of it is malformed"));
    loaded_dispose(&loaded);
    write_file("keys.jwks", KEYS);
    load(&loaded);
    assert_non_null(loaded.snapshot);
    loaded_dispose(&loaded);
}

static void a_key_table_gives_each_key_its_tier(void **state) {
    (void)state;
    struct loaded loaded;
    write_file("a.yaml", PROXY TIERS("free"));
    write_file("tiers.map", "# keys\n\nk1 gold\n  k2\tfree\r\nk#3 gold");
    load(&loaded);
    print_lines(&loaded.errors);
    assert_int_equal(loaded.errors.count, 0);
    const struct rate_limit_config *config = find_key(loaded.snapshot, "app/inbound")->destination->policies[0]->config;
    const struct rate_rule *rule = &config->rules[0];
    assert_int_equal(rule->tier_from.table->count, 3);
    assert_ptr_equal(map_get(rule->tier_from.table, BYTES("k1")), &rule->tiers[1]);
    assert_ptr_equal(map_get(rule->tier_from.table, BYTES("k2")), &rule->tiers[0]);
    assert_ptr_equal(map_get(rule->tier_from.table, BYTES("k#3")), &rule->tiers[1]);
    loaded_dispose(&loaded);
}

static void a_wrong_line_of_a_key_table_is_told_with_its_place(void **state) {
    (void)state;
    struct loaded loaded;
    write_file("a.yaml", PROXY TIERS("free"));
    write_file("tiers.map", "k1\nk2 gold more\nk3 platinum\nk4 gold\nk4 free\n");
    load(&loaded);
    assert_int_equal(loaded.errors.count, 4);
    assert_true(has_line(&loaded.errors, "tiers.map:1: RateLimitPolicy/default/l: is no key and the name of its tier"));
    assert_true(has_line(&loaded.errors, "tiers.map:2: "));
    assert_true(has_line(&loaded.errors, "tiers.map:3: RateLimitPolicy/default/l: \"platinum\" is the name of none"));
    assert_true(has_line(&loaded.errors, "tiers.map:5: RateLimitPolicy/default/l: has a key that stands above"));
    loaded_dispose(&loaded);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_between_fields_are_held),
        cmocka_unit_test(what_is_not_said_has_safe_defaults),
        cmocka_unit_test(the_algorithms_that_are_named_are_all),
        cmocka_unit_test(a_host_that_no_document_describes_is_a_service_of_its_own),
        cmocka_unit_test(an_address_is_an_endpoint),
        cmocka_unit_test(a_service_of_the_documents_is_used_as_it_is),
        cmocka_unit_test(a_header_that_is_made_of_a_claim_is_known_in_each_spelling),
        cmocka_unit_test_setup_teardown(a_file_beside_the_documents_is_part_of_them, begin, end),
        cmocka_unit_test_setup_teardown(a_file_that_is_wrong_refuses_all, begin, end),
        cmocka_unit_test_setup_teardown(a_key_table_gives_each_key_its_tier, begin, end),
        cmocka_unit_test_setup_teardown(a_wrong_line_of_a_key_table_is_told_with_its_place, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
