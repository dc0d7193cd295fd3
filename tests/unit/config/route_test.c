// Routes as documents: what is refused, what is only told, and what of them goes into a snapshot.
#include "unit/config/route_text.h"

#define TO_V "    backendRefs: [{name: v, port: 80}]\n"

static void expect_rule_error(const char *rule, const char *part) {
    char text[4096];
    snprintf(text, sizeof(text), "%s%s%s", BASE, HTTP("r", ""), rule);
    expect_error(text, part);
}

static void rules_between_fields_are_held(void **state) {
    (void)state;
    expect_rule_error("  - matches: [{path: {value: x}}]\n", "\"x\" is no path");
    expect_rule_error("  - matches: [{path: {value: '/a?b'}}]\n", "is no path");
    expect_rule_error("  - matches: [{path: {value: '/a/..;/b'}}]\n", "is no path");
    expect_rule_error("  - matches: [{path: {type: RegularExpression, value: '('}}]\n", "is no regular expression: missing closing parenthesis");
    expect_rule_error("  - matches: [{headers: [{name: 'a b', value: x}]}]\n", "\"a b\" is no name of a field");
    expect_rule_error("  - matches: [{method: 'G T'}]\n", "is no method");
    expect_rule_error("  - filters: [{type: RequestRedirect}]\n", "filters[0].requestRedirect: is required for this type");
    expect_rule_error("  - filters: [{type: URLRewrite, urlRewrite: {}, requestRedirect: {}}]\n", "does not belong to this type");
    expect_rule_error("  - filters: [{type: URLRewrite, urlRewrite: {}}, {type: URLRewrite, urlRewrite: {}}]\n", "is the second of its type");
    expect_rule_error("  - filters: [{type: URLRewrite, urlRewrite: {}}, {type: RequestRedirect, requestRedirect: {}}]\n", "exclude each other");
    expect_rule_error("  - filters: [{type: RequestRedirect, requestRedirect: {}}]\n" TO_V, "RequestRedirect and backendRefs exclude each other");
    expect_rule_error("  - filters: [{type: RequestRedirect, requestRedirect: {statusCode: 305}}]\n",
                      "305 is not allowed; allowed: 301, 302, 303, 307, 308");
    expect_rule_error("  - filters: [{type: RequestRedirect, requestRedirect: {scheme: ftp}}]\n", "allowed: http, https");
    expect_rule_error("  - filters: [{type: RequestRedirect, requestRedirect: {hostname: 'a.example:8443'}}]\n", "is not one host alone");
    expect_rule_error("  - filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplaceFullPath, replaceFullPath: ''}}}]\n",
                      "is no path");
    expect_rule_error("  - filters: [{type: URLRewrite, urlRewrite: {hostname: '*.example'}}]\n" TO_V, "is not one host alone");
    expect_rule_error("  - filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: ''}}}]\n" TO_V, "is no path");
    expect_rule_error("  - matches: [{path: {type: Exact, value: /a}}]\n"
                      "    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}]\n",
                      "ReplacePrefixMatch needs a rule with one match, of type PathPrefix");
    expect_rule_error("  - filters: [{type: RequestHeaderModifier, requestHeaderModifier: {remove: [Host]}}]\n", "is the proxy's own to write");
    expect_rule_error("  - filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: ' x'}]}}]\n",
                      "is no value of a field");
    expect_rule_error("  - timeouts: {request: 1s, backendRequest: 2s}\n" TO_V, "is longer than request");
    expect_rule_error("  - backendRefs: [{name: v, port: 80, filters: [{type: URLRewrite, urlRewrite: {}}]}]\n", "may not stand at a backend");
    expect_rule_error("  - filters: [{type: RequestMirror, requestMirror: {backendRef: {name: v}, percent: 1, fraction: {numerator: 1}}}]\n" TO_V,
                      "fraction: and percent exclude each other");
    expect_rule_error("  - filters: [{type: RequestMirror, requestMirror: {backendRef: {name: v}, fraction: {numerator: 2, denominator: 1}}}]\n" TO_V,
                      "is more than one");
    expect_rule_error("  - backendRefs: [{name: v, filters: [{type: RequestMirror, requestMirror: {backendRef: {name: v}}}]}]\n",
                      "may not stand at a backend");
    expect_rule_error("  - filters: [{type: CORS, cors: {allowOrigins: ['https://a', '*']}}]\n" TO_V, "* stands alone, for all");
    expect_rule_error("  - filters: [{type: CORS, cors: {allowOrigins: [null]}}]\n" TO_V, "allowOrigins[0]");
    expect_rule_error("  - filters: [{type: CORS, cors: {allowOrigins: ['https://a/']}}]\n" TO_V, "\"https://a/\" is no origin");
    expect_rule_error("  - filters: [{type: CORS, cors: {allowOrigins: ['https://a.*']}}]\n" TO_V, "is no origin");
    expect_rule_error("  - filters: [{type: CORS, cors: {allowMethods: ['G T']}}]\n" TO_V, "\"G T\" is no method");
    expect_rule_error("  - filters: [{type: CORS, cors: {exposeHeaders: ['*'], allowCredentials: true}}]\n" TO_V,
                      "does not go with allowCredentials");
    expect_rule_error("  - filters: [{type: CORS, cors: {maxAge: 0}}]\n" TO_V, "maxAge");
    expect_error(BASE GRPC("g", "  - filters: [{type: CORS, cors: {}}]\n"), "is no filter of a GRPCRoute");
    expect_rule_error("  - retry: {attempts: 11}\n" TO_V, "attempts: ");
    expect_rule_error("  - retry: {codes: [399]}\n" TO_V, "codes[0]: ");
    expect_rule_error("  - retry: {conditions: [Reset]}\n" TO_V, "retry.conditions: ");
    expect_error(BASE ROUTE_OF("HTTPRoute", "r", "  parentRefs: [{kind: Service, name: s}]\n  rules: [{}]\n"),
                 "which is not that of this kind; allowed: \"\"");
    expect_error(BASE ROUTE_OF("HTTPRoute", "r", "  parentRefs: [{group: '', kind: Service, name: x}]\n  rules: [{}]\n"),
                 "there is no Service or ServiceEntry x in namespace default");
    expect_error(BASE ROUTE_OF("HTTPRoute", "r", "  parentRefs: [{group: '', kind: Service, name: s, port: 81}]\n  rules: [{}]\n"),
                 "means no port of");
    expect_error(BASE GRPC("g", "  - matches: [{method: {service: 'a/b'}}]\n"), "is no name of a gRPC service");
    expect_error(BASE GRPC("g", "  - matches: [{method: {}}]\n"), "names neither");
    expect_error(BASE HTTP("r", "  - {}\n") "---\n" POLICY("t", "  targetRefs: [{kind: HTTPRoute, name: r}]\n  connections: {max: 1}\n"),
                 "is of a Service, and not of a route");
    expect_error(BASE HTTP("r", "  - name: a\n") "---\n" POLICY("t", "  targetRefs: [{kind: HTTPRoute, name: r, sectionName: b}]\n"),
                 "\"b\" is no rule of");
}

static void what_gets_500_is_told(void **state) {
    (void)state;
    expect_warning(BASE HTTP("r", "  - backendRefs: [{name: w, port: 80}]\n"), "default/w is not there: its share of requests gets 500");
    expect_warning(BASE HTTP("r", "  - backendRefs: [{name: v, port: 81}]\n"), "has no such port");
    expect_warning(BASE HTTP("r", "  - backendRefs: [{kind: Bucket, name: v, port: 80}]\n"), "is of no kind that can be a backend");
    expect_warning(BASE HTTP("r", "  - filters: [{type: RequestMirror, requestMirror: {backendRef: {name: w, port: 80}}}]\n" TO_V),
                   "default/w is not there: it gets no copies");
    expect_warning(BASE HTTP("r", "  - matches: [{headers: [{name: a, value: x}, {name: A, value: y}]}]\n" TO_V), "A is the second of its name");
    expect_warning(BASE HTTP("r", "  - {}\n") GRPC("g", "  - {}\n"), "the GRPCRoute alone counts");
}

static void a_backend_that_nobody_sees_by_a_host_is_there_for_its_route(void **state) {
    (void)state;
    struct loaded loaded;
    const char *hidden = "---\napiVersion: outrigger.dev/v1alpha1\nkind: ServiceEntry\nmetadata: {name: h, namespace: far}\nspec:\n"
                         "  hosts: [h]\n  tls: {mode: None}\n  ports: [{name: a, port: 80}]\n  endpoints: [{address: '127.0.0.1:1'}]\n";
    char text[4096];
    snprintf(text, sizeof(text), "%s%s%s", BASE, hidden, HTTP("r", "  - backendRefs: [{name: h, namespace: far, port: 80}]\n"));
    expect_good(&loaded, text);
    assert_non_null(find_key(loaded.snapshot, "far/h:80"));
    assert_null(snapshot_find_host(loaded.snapshot, BYTES("h"), 80));
    assert_true(loaded.snapshot->rules[0]->destinations[0]->is_backend);
    loaded_dispose(&loaded);
}

#define EDGE_PROXY(more)                            \
    API "kind: Proxy\nmetadata: {name: p}\nspec:\n" \
        "  listeners: [{name: e, role: Gateway, address: '0.0.0.0:8443', gateway: edge" more "}]\n---\n"
#define GATEWAY(listeners) ROUTE_OF("Gateway", "edge", "  gatewayClassName: outrigger\n  listeners: [" listeners "]\n")

static void gateways_are_whole(void **state) {
    (void)state;
    expect_error(EDGE_PROXY(""), "there is no Gateway edge in namespace default");
    expect_error(EDGE_PROXY("") GATEWAY("{name: a, port: 80, protocol: HTTP}"), "8443 is the port of no listener of Gateway/default/edge");
    expect_error(EDGE_PROXY("") GATEWAY("{name: a, port: 8443, protocol: HTTPS}"), "tls.certificateRefs: is required for protocol HTTPS");
    expect_error(EDGE_PROXY("") GATEWAY("{name: a, port: 8443, protocol: HTTP, tls: {}}"), "is for protocols HTTPS and TLS alone");
    expect_error(EDGE_PROXY("") GATEWAY("{name: a, port: 8443, protocol: HTTPS, tls: {certificateRefs: [{name: c}]}}"),
                 "certificates: c is not there, which listener a of Gateway/default/edge");
    expect_error(EDGE_PROXY(", certificates: [{name: c, certificate: a, privateKey: b}]")
                     GATEWAY("{name: a, port: 8443, protocol: HTTPS, tls: {certificateRefs: [{name: c}]}}, {name: b, port: 8443, protocol: HTTP}"),
                 "is another than that of a on the same port");
    expect_error(EDGE_PROXY("") GATEWAY("{name: a, port: 8443, protocol: HTTP}, {name: b, port: 8443, protocol: HTTP}"),
                 "is that of a on the same port");
    expect_error(EDGE_PROXY("") GATEWAY("{name: a, port: 8443, protocol: HTTP, allowedRoutes: {kinds: [{kind: UDPRoute}]}}"), "is no kind of routes");
    expect_error(EDGE_PROXY("") GATEWAY("{name: a, port: 8443, protocol: HTTP}")
                     ROUTE_OF("HTTPRoute", "r", "  parentRefs: [{name: edge, sectionName: b}]\n  rules: [{}]\n"),
                 "means no listener of Gateway/default/edge");
    expect_error(EDGE_PROXY(", forwardTo: '127.0.0.1:1'") GATEWAY("{name: a, port: 8443, protocol: HTTP}"), "forwardTo: is for role Inbound alone");
}

static const struct traffic_config *traffic_of(const struct loaded *loaded, uint32_t rule) {
    return loaded->snapshot->rules[rule]->destinations[0]->traffic;
}

// What the stanza says comes over the policy, and what it means for connections; all else stays the policy's.
static void retry_of_a_rule_comes_over_the_policy(void **state) {
    (void)state;
    struct loaded loaded;
    expect_good(
        &loaded,
        BASE POLICY("t",
                    "  targetRefs: [{kind: Service, name: s}]\n  retry: {attempts: 0, conditions: [GatewayError], codes: [500], methods: [POST]}\n")
            HTTP("r", "  - {name: all, retry: {codes: [503], attempts: 3, backoff: 1s}, backendRefs: [{name: v}]}\n"
                      "  - {name: bare, retry: {}, backendRefs: [{name: v}]}\n"
                      "  - {name: none, backendRefs: [{name: v}]}\n"));
    const struct traffic_config *all = traffic_of(&loaded, 0), *bare = traffic_of(&loaded, 1), *none = traffic_of(&loaded, 2);
    assert_int_equal(all->retry.attempts, 3);
    assert_true(all->retry.backoff.least == NS_PER_S && all->retry.backoff.base == 25 * NS_PER_MS);
    assert_true(all->retry.codes[(503 - RETRY_CODE_MIN) / 64] == UINT64_C(1) << (503 - RETRY_CODE_MIN) % 64);
    assert_true(all->retry.connect_failure && all->retry.refused_stream && all->retry.unsent && all->retry.reset && all->retry.timeout);
    assert_true(all->retry.gateway_error && all->retry.methods[METHOD_POST] && !all->retry.methods[METHOD_GET]);
    assert_true(bytes_equal(all->retry.policy, BYTES("HTTPRoute/default/r: all")));
    assert_int_equal(bare->retry.attempts, 1);
    assert_true(bare->retry.codes[(500 - RETRY_CODE_MIN) / 64] == UINT64_C(1) << (500 - RETRY_CODE_MIN) % 64);
    assert_true(bare->retry.backoff.least == 0 && bare->retry.connect_failure);
    assert_true(none->retry.attempts == 0 && !none->retry.connect_failure);
    assert_true(bytes_equal(none->retry.policy, BYTES("TrafficPolicy/default/t")));
    loaded_dispose(&loaded);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_between_fields_are_held),
        cmocka_unit_test(what_gets_500_is_told),
        cmocka_unit_test(gateways_are_whole),
        cmocka_unit_test(retry_of_a_rule_comes_over_the_policy),
        cmocka_unit_test(a_backend_that_nobody_sees_by_a_host_is_there_for_its_route),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
