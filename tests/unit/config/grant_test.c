// ReferenceGrants as documents, and which references they permit.
#include "unit/config/route_text.h"

#define GRANT(version, from, to)                                                                                                 \
    "---\napiVersion: gateway.networking.k8s.io/" version "\nkind: ReferenceGrant\nmetadata: {name: g, namespace: far}\nspec:\n" \
    "  from: [" from "]\n  to: [" to "]\n"
#define ROUTES "{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}"
#define SERVICES "{group: '', kind: Service}"
#define FAR                                                                                                                 \
    API "kind: ServiceEntry\nmetadata: {name: v, namespace: far}\nspec:\n  hosts: [v]\n  ports: [{name: http, port: 80}]\n" \
        "  tls: {mode: None}\n  endpoints: [{address: '10.0.0.1:8000'}]\n---\n"
#define EDGE(certificates)                                                                                                         \
    API "kind: Proxy\nmetadata: {name: p}\nspec:\n  listeners: [{name: e, role: Gateway, address: '0.0.0.0:8443', gateway: edge, " \
        "certificates: [" certificates "]}]\n---\n" FAR
#define GATEWAY(listener) ROUTE_OF("Gateway", "edge", "  gatewayClassName: outrigger\n  listeners: [{name: a, port: 8443, " listener "}]\n")
#define PLAIN EDGE("") GATEWAY("protocol: HTTP")
#define TO_FAR(more) ROUTE_OF("HTTPRoute", "r", "  parentRefs: [{name: edge}]\n  rules: [{backendRefs: [{name: v, namespace: far" more "}]}]\n")

static void rules_between_fields_are_held(void **state) {
    (void)state;
    expect_error(OUTBOUND_PROXY GRANT("v1", "", SERVICES), "spec.from: has 0 items");
    expect_error(OUTBOUND_PROXY GRANT("v1", ROUTES, "{kind: Service}"), "group: is required");
    expect_error(OUTBOUND_PROXY GRANT("v1", "{group: gateway.networking.k8s.io, kind: HTTPRoute}", SERVICES), "namespace: is required");
    expect_error(OUTBOUND_PROXY GRANT("v1alpha2", ROUTES, SERVICES),
                 "is not that of kind ReferenceGrant; allowed: gateway.networking.k8s.io/v1, gateway.networking.k8s.io/v1beta1");
    expect_warning(OUTBOUND_PROXY GRANT("v1", "{group: '', kind: HTTPRoute, namespace: default}", SERVICES),
                   "nothing of kind HTTPRoute in group \"\" is a reference here");
    expect_warning(OUTBOUND_PROXY GRANT("v1beta1", ROUTES, "{group: '', kind: ConfigMap}"), "nothing of kind ConfigMap in group \"\"");
}

// The one backend of the one route, behind the Gateway.
static void assert_backend(const char *text, bool is_backend) {
    struct loaded loaded;
    expect_good(&loaded, text);
    const struct destination *destination = loaded.snapshot->rules[0]->destinations[0];
    assert_int_equal(destination->is_backend, is_backend);
    assert_bytes_equal(destination->fault, is_backend ? "" : "far/v: RefNotPermitted");
    assert_int_equal(has_line(&loaded.warnings, "(RefNotPermitted): its share of requests from a Gateway gets 500"), !is_backend);
    loaded_dispose(&loaded);
}

static void a_backend_of_another_namespace_needs_a_grant(void **state) {
    (void)state;
    assert_backend(PLAIN TO_FAR(""), false);
    assert_backend(PLAIN TO_FAR("") GRANT("v1", ROUTES, SERVICES), true);
    assert_backend(PLAIN TO_FAR("") GRANT("v1beta1", ROUTES, "{group: '', kind: Service, name: v}"), true);
    assert_backend(PLAIN TO_FAR("") GRANT("v1", ROUTES, "{group: '', kind: Service, name: w}"), false);
    assert_backend(PLAIN TO_FAR("") GRANT("v1", "{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: other}", SERVICES), false);
    assert_backend(PLAIN TO_FAR("") GRANT("v1", "{group: gateway.networking.k8s.io, kind: GRPCRoute, namespace: default}, " ROUTES,
                                          "{group: '', kind: Secret}, " SERVICES),
                   true);
    // A grant is for what the reference says.
    assert_backend(PLAIN TO_FAR(", kind: ServiceEntry") GRANT("v1", ROUTES, SERVICES), false);
    assert_backend(PLAIN TO_FAR(", kind: ServiceEntry") GRANT("v1", ROUTES, "{group: outrigger.dev, kind: ServiceEntry}"), true);
}

static void a_route_of_the_mesh_needs_none(void **state) {
    (void)state;
    struct loaded loaded;
    expect_good(&loaded, BASE FAR HTTP("r", "  - backendRefs: [{name: v, namespace: far}]\n"));
    assert_true(loaded.snapshot->rules[0]->destinations[0]->is_backend);
    assert_false(has_line(&loaded.warnings, "RefNotPermitted"));
    loaded_dispose(&loaded);
}

static void why_something_is_no_backend_is_known(void **state) {
    (void)state;
    struct loaded loaded;
    expect_good(&loaded, BASE HTTP("r", "  - backendRefs: [{name: w, port: 80}, {name: v, port: 81}, {kind: Bucket, name: v}, {name: v}]\n"));
    struct destination *const *destinations = loaded.snapshot->rules[0]->destinations;
    assert_bytes_equal(destinations[0]->fault, "default/w: BackendNotFound");
    assert_bytes_equal(destinations[1]->fault, "default/v: BackendNotFound");
    assert_bytes_equal(destinations[2]->fault, "default/v: InvalidKind");
    assert_bytes_equal(destinations[3]->fault, "");
    loaded_dispose(&loaded);
}

#define FILES "{name: c, namespace: far, certificate: a, privateKey: b}"
#define SECURE GATEWAY("protocol: HTTPS, tls: {certificateRefs: [{name: c, namespace: far}]}")

static void a_certificate_of_another_namespace_needs_a_grant(void **state) {
    (void)state;
    struct loaded loaded;
    expect_warning(EDGE(FILES) SECURE, "no ReferenceGrant of namespace far lets Gateways of namespace default refer to Secret c (RefNotPermitted)");
    expect_good(&loaded, EDGE(FILES) SECURE);
    assert_int_equal(loaded.snapshot->gateway_listeners->certificate_count, 0);
    loaded_dispose(&loaded);
    expect_good(&loaded,
                EDGE(FILES) SECURE GRANT("v1", "{group: gateway.networking.k8s.io, kind: Gateway, namespace: default}", "{group: '', kind: Secret}"));
    assert_int_equal(loaded.snapshot->gateway_listeners->certificate_count, 1);
    loaded_dispose(&loaded);
    // Of that name in our own namespace there is none.
    expect_error(EDGE(FILES) GATEWAY("protocol: HTTPS, tls: {certificateRefs: [{name: c}]}"), "certificates: c is not there");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_between_fields_are_held),
        cmocka_unit_test(a_backend_of_another_namespace_needs_a_grant),
        cmocka_unit_test(a_route_of_the_mesh_needs_none),
        cmocka_unit_test(why_something_is_no_backend_is_known),
        cmocka_unit_test(a_certificate_of_another_namespace_needs_a_grant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
