// Which rule a request goes by, in tables made from documents.
#include "http/headers.h"
#include "stream/route_match.h"

#include "unit/config/route_text.h"

// The label of the rule that the request goes by, "" where there is none.
static const char *rule_for(const struct snapshot *snapshot, const char *method, const char *path, bool is_grpc) {
    struct pool_source chunks;
    struct pool pool;
    struct head head;
    pool_source_init(&chunks, 0);
    pool_init(&pool, &chunks);
    head_init(&head, &pool);
    head.method_text = bytes_from_text(method);
    head.path = bytes_from_text(path);
    struct regex_matcher *matcher = regex_matcher_create();
    const struct route_rule *rule = route_match(find_key(snapshot, "default/s:80")->routes, &head, is_grpc, matcher, &pool);
    regex_matcher_destroy(matcher);
    pool_dispose(&pool);
    pool_source_dispose(&chunks);
    return rule == NULL ? "" : rule->label.at;
}

static void equal_matches_go_by_the_name_of_the_route_then_by_their_place(void **state) {
    (void)state;
    struct loaded loaded;
    expect_good(
        &loaded,
        BASE HTTP("z", "  - {matches: [{path: {value: /a}}]}\n  - {name: later, matches: [{path: {value: /a}}]}\n") HTTP(
            "b", "  - {name: first, matches: [{path: {value: /b}}, {path: {value: /a}}]}\n  - {name: second, matches: [{path: {value: /a}}]}\n"));
    assert_string_equal(rule_for(loaded.snapshot, "GET", "/a/x", false), "HTTPRoute/default/b: first");
    assert_string_equal(rule_for(loaded.snapshot, "GET", "/", false), "");
    loaded_dispose(&loaded);
}

static void calls_go_by_service_then_method(void **state) {
    (void)state;
    struct loaded loaded;
    expect_good(&loaded, BASE GRPC("g", "  - {name: any}\n  - {name: method, matches: [{method: {method: Get}}]}\n"
                                        "  - {name: service, matches: [{method: {service: a.B}}]}\n"
                                        "  - {name: both, matches: [{method: {service: a.B, method: Put}}]}\n"
                                        "  - {name: expression, matches: [{method: {type: RegularExpression, service: 'x.*'}}]}\n"));
    static const struct {
        const char *path, *rule;
    } cases[] = {{"/a.B/Put", "both"}, {"/a.B/Get", "service"}, {"/c.D/Get", "method"}, {"/c.D/Put", "any"}, {"/xyz/Put", "expression"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char label[64];
        snprintf(label, sizeof(label), "GRPCRoute/default/g: %s", cases[i].rule);
        assert_string_equal(rule_for(loaded.snapshot, "POST", cases[i].path, true), label);
        assert_string_equal(rule_for(loaded.snapshot, "POST", cases[i].path, false), ""); // no gRPC: no GRPCRoute
    }
    loaded_dispose(&loaded);
}

static struct route_look look_at(const struct route_match *match, const char *method, const char *path, const char *tenant) {
    struct pool_source chunks;
    struct pool pool;
    struct head head;
    pool_source_init(&chunks, 0);
    pool_init(&pool, &chunks);
    head_init(&head, &pool);
    head.method_text = bytes_from_text(method);
    head.path = bytes_from_text(path);
    fields_add(&head.fields, BYTES("x-tenant"), bytes_from_text(tenant));
    const struct route_look look = route_look(match, &head, NULL, &pool);
    pool_dispose(&pool);
    pool_source_dispose(&chunks);
    return look;
}

static void a_look_tells_what_does_not_hold(void **state) {
    (void)state;
    struct loaded loaded;
    expect_good(
        &loaded,
        BASE HTTP("r",
                  "  - {matches: [{method: GET, path: {value: /a}, headers: [{name: x-tenant, value: t}], queryParams: [{name: q, value: v}]}]}\n"));
    const struct route_match *match = map_get(&find_key(loaded.snapshot, "default/s:80")->routes->prefixes, BYTES("/a"));
    assert_int_equal(look_at(match, "GET", "/a/b?q=v", "t").miss, ROUTE_MATCHES);
    assert_int_equal(look_at(match, "GET", "/b?q=v", "t").miss, ROUTE_MISSES_PATH);
    assert_int_equal(look_at(match, "PUT", "/a?q=v", "t").miss, ROUTE_MISSES_METHOD);
    const struct route_look header = look_at(match, "GET", "/a?q=v", "u"), query = look_at(match, "GET", "/a?q=w", "t");
    assert_int_equal(header.miss, ROUTE_MISSES_HEADER);
    assert_true(bytes_equal(header.name, BYTES("x-tenant")));
    assert_int_equal(query.miss, ROUTE_MISSES_QUERY);
    assert_true(bytes_equal(query.name, BYTES("q")));
    loaded_dispose(&loaded);
}

// A path costs look-ups for the elements that a prefix can have, however many it has itself.
static void long_paths_match_by_their_first_elements(void **state) {
    (void)state;
    struct loaded loaded;
    char path[8000] = "/a/b";
    expect_good(&loaded, BASE HTTP("r", "  - {name: deep, matches: [{path: {value: /a/b/}}]}\n  - {name: root}\n"));
    memset(path + 4, '/', sizeof(path) - 5);
    assert_string_equal(rule_for(loaded.snapshot, "GET", path, false), "HTTPRoute/default/r: deep");
    path[3] = 'c';
    assert_string_equal(rule_for(loaded.snapshot, "GET", path, false), "HTTPRoute/default/r: root");
    loaded_dispose(&loaded);
}

static const char *rule_by_name(const struct route_table *table, const char *name) {
    const struct route_rule *rule = route_match_server_name(table, bytes_from_text(name));
    return rule == NULL ? "" : rule->label.at;
}

#define TLS_ENTRY                                                                                                          \
    API "kind: ServiceEntry\nmetadata: {name: t}\nspec:\n  hosts: [t]\n  ports: [{name: tls, port: 443, protocol: TLS}]\n" \
        "  tls: {mode: None}\n  endpoints: [{address: '10.0.0.1:8000'}]\n---\n"
#define TLS(name, hosts)       \
    ROUTE_OF("TLSRoute", name, \
             "  parentRefs: [{group: '', kind: Service, name: t}]\n  hostnames: [" hosts "]\n  rules: [{name: one, backendRefs: [{name: t}]}]\n")

static void connections_go_by_the_most_specific_name(void **state) {
    (void)state;
    struct loaded loaded;
    expect_good(&loaded, OUTBOUND_PROXY TLS_ENTRY TLS("very", "a.b.example") TLS("below", "'*.b.example'") TLS("wide", "'*.example'"));
    const struct route_table *table = find_key(loaded.snapshot, "default/t:443")->routes;
    assert_string_equal(rule_by_name(table, "a.b.example"), "TLSRoute/default/very: one");
    assert_string_equal(rule_by_name(table, "c.b.example"), "TLSRoute/default/below: one");
    assert_string_equal(rule_by_name(table, "c.a.b.example"), "TLSRoute/default/below: one");
    assert_string_equal(rule_by_name(table, "b.example"), "TLSRoute/default/wide: one");
    assert_string_equal(rule_by_name(table, "example"), "");
    assert_string_equal(rule_by_name(table, "a.b.example.org"), "");
    assert_string_equal(rule_by_name(table, ""), "");
    loaded_dispose(&loaded);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_matches_go_by_the_name_of_the_route_then_by_their_place),
        cmocka_unit_test(calls_go_by_service_then_method),
        cmocka_unit_test(a_look_tells_what_does_not_hold),
        cmocka_unit_test(connections_go_by_the_most_specific_name),
        cmocka_unit_test(long_paths_match_by_their_first_elements),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
