// TLSRoute and TCPRoute as documents: what is refused, what is only told, and which of several counts for a port, or for a listener of a Gateway.
#include "unit/config/route_text.h"

// A service of the ports `ports`.
#define ENTRY(name, ports)                                                                                   \
    API "kind: ServiceEntry\nmetadata: {name: " name "}\nspec:\n  hosts: [" name "]\n  ports: [" ports "]\n" \
        "  tls: {mode: None}\n  endpoints: [{address: '10.0.0.1:8000'}]\n---\n"
#define HTTP_PORT "{name: http, port: 80}"
#define TCP_PORT "{name: tcp, port: 90, protocol: TCP}"
#define TLS_PORT "{name: tls, port: 443, protocol: TLS}"
#define WORLD OUTBOUND_PROXY ENTRY("s", HTTP_PORT ", " TCP_PORT ", " TLS_PORT) ENTRY("v", TCP_PORT)
#define TO_V "  rules: [{backendRefs: [{name: v}]}]\n"
#define TCP(name, more) ROUTE_OF("TCPRoute", name, "  parentRefs: [{group: '', kind: Service, name: s" more "}]\n" TO_V)
#define TLS(name, more, hosts) \
    ROUTE_OF("TLSRoute", name, "  parentRefs: [{group: '', kind: Service, name: s" more "}]\n  hostnames: [" hosts "]\n" TO_V)

static void rules_between_fields_are_held(void **state) {
    (void)state;
    expect_error(WORLD ROUTE_OF("TCPRoute", "r", "  parentRefs: [{group: '', kind: Service, name: s}]\n  rules: [{}]\n"), "backendRefs: is required");
    expect_error(WORLD ROUTE_OF("TCPRoute", "r", "  parentRefs: [{group: '', kind: Service, name: s}]\n" TO_V "  hostnames: [a]\n"),
                 "hostnames: unknown field");
    expect_error(WORLD ROUTE_OF("TCPRoute", "r",
                                "  parentRefs: [{group: '', kind: Service, name: s}]\n"
                                "  rules: [{backendRefs: [{name: v}]}, {backendRefs: [{name: v}]}]\n"),
                 "spec.rules: has 2");
    expect_error(
        WORLD ROUTE_OF("TCPRoute", "r", "  parentRefs: [{group: '', kind: Service, name: s}]\n  rules: [{backendRefs: [{name: v, filters: []}]}]\n"),
        "filters: unknown field");
    expect_error(WORLD ROUTE_OF("TLSRoute", "r", "  parentRefs: [{group: '', kind: Service, name: s}]\n" TO_V), "hostnames: is required");
    expect_error(WORLD TLS("r", "", "'a.example:443'"), "has a port; allowed: a host alone");
    expect_error(WORLD TLS("r", "", "10.0.0.1"), "is an address, which no client asks for");
    expect_error(WORLD TLS("r", "", "'[::1]'"), "is an address, which no client asks for");
    expect_error(WORLD TCP("r", ", port: 91"), "means no port of ServiceEntry/default/s");
    expect_error(WORLD TCP("r", ", port: 80"), "that carries TCPRoutes; its protocol has to be TCP or TLS");
    expect_error(WORLD TLS("r", ", sectionName: tcp", "a"), "that carries TLSRoutes; its protocol has to be TLS");
    expect_error(WORLD ROUTE_OF("HTTPRoute", "r", "  parentRefs: [{group: '', kind: Service, name: s, port: 90}]\n  rules: [{}]\n"),
                 "that carries HTTPRoutes; its protocol has to be HTTP, HTTP1, HTTP2 or GRPC");
}

static void what_does_not_count_is_told(void **state) {
    (void)state;
    expect_warning(
        WORLD ROUTE_OF("TCPRoute", "r", "  parentRefs: [{group: '', kind: Service, name: s}]\n  rules: [{backendRefs: [{name: w, port: 90}]}]\n"),
        "default/w is not there: its share of connections is closed");
    expect_warning(WORLD TCP("a", "") TLS("b", "", "x"), "TCPRoute/default/a: spec.parentRefs[s]: has TLSRoute/default/b");
    expect_warning(WORLD TCP("a", "") TLS("b", "", "x"), "the TLSRoute alone counts (Conflicted)");
    expect_warning(WORLD TCP("a", "") TCP("b", ", port: 90"), "TCPRoute/default/b: spec.parentRefs[s]: has TCPRoute/default/a");
    expect_warning(WORLD TCP("a", "") TCP("b", ""), "the first by name alone counts (Conflicted)");
    expect_warning(WORLD TLS("a", "", "x, y") TLS("b", "", "z, Y"), "TLSRoute/default/b: spec.parentRefs[s]: has TLSRoute/default/a");
    // Another route has the port that this one cannot have: that is all there is to say.
    expect_warning(WORLD TCP("a", ", port: 80") HTTP("b", "  - {}\n"), "TCPRoute/default/a: spec.parentRefs[s]: has HTTPRoute/default/b");
}

static void routes_without_a_port_in_common_are_no_conflict(void **state) {
    (void)state;
    struct loaded loaded;
    expect_good(&loaded, WORLD TCP("a", ", port: 90") TLS("b", ", port: 443", "x") TLS("c", ", port: 443", "y") HTTP("d", "  - {}\n"));
    assert_false(has_line(&loaded.warnings, "Conflicted"));
    loaded_dispose(&loaded);
}

static const struct route_table *table_of(const struct loaded *loaded, const char *key) {
    return find_key(loaded->snapshot, key)->routes;
}

static const char *rule_by(const struct route_table *table, const char *name) {
    const struct route_rule *rule = map_get(&table->server_names, bytes_from_text(name));
    return rule == NULL ? "" : rule->label.at;
}

static void each_port_has_the_kind_that_goes_first_there(void **state) {
    (void)state;
    struct loaded loaded;
    expect_good(&loaded, WORLD TCP("z", "") TCP("b", "") TLS("y", "", "'*.x.example', A.example") TLS("x", "", "a.example") HTTP("h", "  - {}\n"));
    assert_int_equal(table_of(&loaded, "default/s:80")->kind, ROUTES_HTTP);
    const struct route_table *tcp = table_of(&loaded, "default/s:90"), *tls = table_of(&loaded, "default/s:443");
    assert_true(tcp->kind == ROUTES_TCP && tcp->server_names.count == 1);
    assert_string_equal(rule_by(tcp, ""), "TCPRoute/default/b: rule 1");
    assert_true(tls->kind == ROUTES_TLS && tls->server_names.count == 2);
    assert_string_equal(rule_by(tls, "a.example"), "TLSRoute/default/x: rule 1");
    assert_string_equal(rule_by(tls, ".x.example"), "TLSRoute/default/y: rule 1");
    loaded_dispose(&loaded);
}

static void policies_of_a_route_hold_for_its_connections(void **state) {
    (void)state;
    struct loaded loaded;
    expect_good(&loaded, WORLD TCP("r", "") "---\n" POLICY("t", "  targetRefs: [{kind: TCPRoute, name: r}]\n  timeouts: {tcpIdle: 7s}\n"));
    const struct traffic_config *traffic = loaded.snapshot->rules[0]->destinations[0]->traffic;
    assert_true(traffic->timeouts.tcp_idle == 7 * NS_PER_S);
    loaded_dispose(&loaded);
    expect_error(WORLD TCP("r", "") "---\n" POLICY("t", "  targetRefs: [{kind: TLSRoute, name: r}]\n"),
                 "there is no TLSRoute r in namespace default");
}

// ---- at a Gateway

#define EDGE_PROXY_WITH(more)                       \
    API "kind: Proxy\nmetadata: {name: p}\nspec:\n" \
        "  listeners: [{name: e, role: Gateway, address: '0.0.0.0:8443', gateway: edge" more "}]\n---\n" ENTRY("v", TCP_PORT)
#define EDGE_PROXY EDGE_PROXY_WITH("")
#define CERTIFICATE ", certificates: [{name: c, certificate: a, privateKey: b}]"
#define GATEWAY(listener) ROUTE_OF("Gateway", "edge", "  gatewayClassName: outrigger\n  listeners: [{name: a, port: 8443, " listener "}]\n")
#define TO_EDGE "  parentRefs: [{name: edge}]\n"
#define PASSED "protocol: TLS, tls: {mode: Passthrough}"

static void listeners_have_what_their_protocol_needs(void **state) {
    (void)state;
    expect_error(EDGE_PROXY GATEWAY("protocol: TLS"), "tls.certificateRefs: is required for protocol TLS with mode Terminate");
    expect_error(EDGE_PROXY_WITH(CERTIFICATE) GATEWAY("protocol: TLS, tls: {mode: Passthrough, certificateRefs: [{name: c}]}"),
                 "is for mode Terminate alone");
    expect_error(EDGE_PROXY GATEWAY("protocol: HTTPS, tls: {mode: Passthrough}"), "Passthrough is for protocol TLS alone");
    expect_error(EDGE_PROXY GATEWAY("protocol: TCP, tls: {}"), "is for protocols HTTPS and TLS alone");
    expect_error(EDGE_PROXY GATEWAY("protocol: TCP, hostname: a.example"), "is not for protocol TCP");
    expect_error(EDGE_PROXY GATEWAY("protocol: UDP"), "UDP is not supported by this version");
    expect_error(EDGE_PROXY GATEWAY("protocol: TCP, allowedRoutes: {kinds: [{kind: TLSRoute}]}"), "for this protocol; allowed: TCPRoute");
    expect_error(EDGE_PROXY GATEWAY(PASSED ", allowedRoutes: {kinds: [{kind: HTTPRoute}]}"), "for this protocol; allowed: TLSRoute, TCPRoute");
    expect_error(EDGE_PROXY GATEWAY(PASSED) ROUTE_OF("HTTPRoute", "r", TO_EDGE "  rules: [{}]\n"),
                 "that carries HTTPRoutes; its protocol has to be HTTP or HTTPS");
    expect_error(EDGE_PROXY GATEWAY("protocol: TCP") ROUTE_OF("TLSRoute", "r", TO_EDGE "  hostnames: [a]\n" TO_V),
                 "that carries TLSRoutes; its protocol has to be TLS");
}

static void listeners_on_one_port_speak_alike(void **state) {
    (void)state;
    expect_error(EDGE_PROXY ROUTE_OF("Gateway", "edge",
                                     "  gatewayClassName: outrigger\n  listeners: [{name: a, port: 8443, " PASSED "},\n"
                                     "    {name: b, port: 8443, protocol: TCP}]\n"),
                 "is another than that of a on the same port");
    expect_error(EDGE_PROXY_WITH(CERTIFICATE)
                     ROUTE_OF("Gateway", "edge",
                              "  gatewayClassName: outrigger\n  listeners: [{name: a, hostname: a, port: 8443, " PASSED "},\n"
                              "    {name: b, hostname: b, port: 8443, protocol: TLS, tls: {certificateRefs: [{name: c}]}}]\n"),
                 "tls.mode: is another than that of a on the same port");
    expect_error(EDGE_PROXY ROUTE_OF("Gateway", "edge",
                                     "  gatewayClassName: outrigger\n  listeners: [{name: a, port: 8443, protocol: TCP},\n"
                                     "    {name: b, port: 8443, protocol: TCP}]\n"),
                 "is that of a on the same port");
}

static void of_two_that_want_the_same_one_is_told(void **state) {
    (void)state;
    expect_warning(EDGE_PROXY GATEWAY("protocol: TCP") ROUTE_OF("TCPRoute", "a", TO_EDGE TO_V) ROUTE_OF("TCPRoute", "b", TO_EDGE TO_V),
                   "TCPRoute/default/b: spec.parentRefs[edge]: has TCPRoute/default/a");
    expect_warning(EDGE_PROXY GATEWAY(PASSED) ROUTE_OF("TLSRoute", "b", TO_EDGE "  hostnames: [x.example, y.example]\n" TO_V)
                       ROUTE_OF("TLSRoute", "a", TO_EDGE "  hostnames: [Y.example]\n" TO_V),
                   "TLSRoute/default/b: spec.parentRefs[edge]: has TLSRoute/default/a");
    struct loaded loaded;
    expect_good(&loaded, EDGE_PROXY GATEWAY(PASSED) ROUTE_OF("TLSRoute", "a", TO_EDGE "  hostnames: [x.example]\n" TO_V)
                             ROUTE_OF("TLSRoute", "b", TO_EDGE "  hostnames: [y.example]\n" TO_V) ROUTE_OF("TCPRoute", "rest", TO_EDGE TO_V));
    assert_false(has_line(&loaded.warnings, "Conflicted"));
    loaded_dispose(&loaded);
}

static const struct route_table *table_for(const struct loaded *loaded, const char *host) {
    return map_get(&loaded->snapshot->gateway_listeners->hosts, bytes_from_text(host));
}

static void routes_of_a_listener_go_by_host(void **state) {
    (void)state;
    struct loaded loaded;
    expect_good(&loaded, EDGE_PROXY GATEWAY(PASSED ", hostname: '*.example.com'") ROUTE_OF(
                             "TLSRoute", "r", TO_EDGE "  hostnames: [A.example.com, example.org]\n" TO_V) ROUTE_OF("TCPRoute", "rest", TO_EDGE TO_V));
    const struct gateway_listener *listener = loaded.snapshot->gateway_listeners;
    assert_true(listener->protocol == GATEWAY_TLS && listener->passes_tls && listener->frontend->protocol == PROTOCOL_TLS);
    assert_int_equal(listener->hosts.count, 2);
    assert_string_equal(rule_by(table_for(&loaded, "a.example.com"), ""), "TLSRoute/default/r: rule 1");
    assert_string_equal(rule_by(table_for(&loaded, ""), ""), "TCPRoute/default/rest: rule 1");
    loaded_dispose(&loaded);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_between_fields_are_held),
        cmocka_unit_test(what_does_not_count_is_told),
        cmocka_unit_test(routes_without_a_port_in_common_are_no_conflict),
        cmocka_unit_test(each_port_has_the_kind_that_goes_first_there),
        cmocka_unit_test(policies_of_a_route_hold_for_its_connections),
        cmocka_unit_test(listeners_have_what_their_protocol_needs),
        cmocka_unit_test(listeners_on_one_port_speak_alike),
        cmocka_unit_test(of_two_that_want_the_same_one_is_told),
        cmocka_unit_test(routes_of_a_listener_go_by_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
