// TelemetryPolicy and MeshConfig: what is refused, whose blocks win, and which rules hold for which destination and listener.
#include "unit/config/route_text.h"

#define GATEWAY_API "apiVersion: gateway.networking.k8s.io/v1\n"
#define TELEMETRY(name, target, groups) API "kind: TelemetryPolicy\nmetadata: {name: " name "}\nspec:\n  targetRefs: [" target "]\n" groups "---\n"
#define OF_S(groups) OUTBOUND_PROXY PLAIN_ENTRY("s", "") TELEMETRY("t", "{kind: Service, name: s}", groups)
#define MESH(more) API "kind: MeshConfig\nmetadata: {name: default}\nspec:\n" more "---\n"
#define PROXY(more) \
    API "kind: Proxy\nmetadata: {name: p}\nspec:\n  listeners: [{name: outbound, role: Outbound, address: '127.0.0.1:15001'}]\n" more "---\n"

static const struct telemetry_rules *rules_of(const struct snapshot *snapshot, const char *key) {
    const struct service_config *service = find_key(snapshot, key);
    assert_non_null(service);
    return service->destination->telemetry;
}

static void rules_between_fields_are_held(void **state) {
    (void)state;
    expect_error(OF_S("  mode: DryRun\n  accessLog: {filter: All}\n"), "Enforce");
    expect_error(OF_S("  traces: {sampling: {numerator: 2}}\n"), "2 of 1 is more than all");
    expect_error(OF_S("  traces: {sampling: {numerator: 1, denominator: 0}}\n"), "denominator");
    expect_error(OF_S("  traces: {disabled: true, sampling: {}}\n"), "is disabled and has other fields");
    expect_error(OF_S("  accessLog: {disabled: true, filter: All}\n"), "is disabled and has other fields");
    expect_error(OF_S("  traces: {attributes: [{name: a, from: {type: Cookie, name: sid}}]}\n"), "for all to read");
    expect_error(OF_S("  metrics: {labels: [{name: a, from: {type: Header, name: x-api-key}}]}\n"), "for all to read");
    expect_error(OF_S("  metrics: {labels: [{name: service, from: {type: Method}}]}\n"), "no label that these metrics have");
    expect_error(OF_S("  metrics: {labels: [{name: le, from: {type: Method}}]}\n"), "no label that these metrics have");
    expect_error(OF_S("  metrics: {labels: [{name: quantile, from: {type: Method}}]}\n"), "no label that these metrics have");
    expect_error(OF_S("  traces: {attributes: [{name: url.full, from: {type: Path}}]}\n"), "url.full; allowed: http.request.header.NAME");
    expect_error(OF_S("  traces: {attributes: [{name: outrigger.x, from: {type: Path}}]}\n"), "outrigger.x; allowed: http.request.header.NAME");
    expect_error(OF_S("  traces: {attributes: [{name: http.request.header., from: {type: Path}}]}\n"), "allowed: http.request.header.NAME");
    expect_error(OF_S("  traces: {attributes: [{name: \"\", from: {type: Path}}]}\n"), "allowed: http.request.header.NAME");
    expect_error(OF_S("  metrics: {labels: [{name: a-b, from: {type: Method}}]}\n"), "letters, digits and _");
    expect_error(OF_S("  metrics: {disabled: true, labels: [{name: a, from: {type: Method}}]}\n"), "is disabled and has other fields");
    expect_error(PROXY("  telemetry: {metrics: {maxSeries: 0}}\n"), "maxSeries");
    expect_error(OF_S("  traces: {attributes: [{name: a, from: {type: Header}}]}\n"), "which Header");
    expect_error(OF_S("  traces: {attributes: [{name: a, from: {type: Method}}, {name: a, from: {type: Path}}]}\n"), "stands twice");
    expect_error(OF_S("  acessLog: {}\n"), "accessLog");
    expect_error(OF_S("  accessLog: {filter: Errors, sampling: {numerator: 1, denominator: 2}}\n"), "a share of what filter All logs");
    expect_error(PROXY("  telemetry: {accessLog: {filter: None, sampling: {numerator: 1, denominator: 2}}}\n"), "a share of what filter All logs");
    expect_error(MESH("  telemetry: {accessLog: {filter: Errors, sampling: {numerator: 1, denominator: 2}}}\n") PROXY(""),
                 "a share of what filter All logs");
    expect_error(PROXY("  telemetry: {traces: {sampling: {numerator: 3, denominator: 2}}}\n"), "3 of 2 is more than all");
}

// Of warnings, `count` are expected; each says that a share does nothing.
static void expect_shares_of_nothing(const char *text, uint32_t count) {
    struct loaded loaded;
    expect_good(&loaded, text);
    assert_int_equal(loaded.warnings.count, count);
    for (uint32_t i = 0; i < count; i++)
        assert_non_null(strstr(loaded.warnings.lines[i], "accessLog.sampling: does nothing: it is a share of what filter All logs"));
    loaded_dispose(&loaded);
}

static void a_share_of_nothing_is_told(void **state) {
    (void)state;
#define HALF "sampling: {numerator: 1, denominator: 2}"
#define TWO_SERVICES PLAIN_ENTRY("s", "") PLAIN_ENTRY("u", "")
    expect_shares_of_nothing(PROXY("  telemetry: {accessLog: {" HALF "}}\n"), 1);
    expect_shares_of_nothing(MESH("  telemetry: {accessLog: {" HALF "}}\n") PROXY(""), 1);
    expect_shares_of_nothing(PROXY("  telemetry: {accessLog: {filter: All, " HALF "}}\n"), 0);
    expect_shares_of_nothing(PROXY("  telemetry: {accessLog: {" HALF "}}\n") PLAIN_ENTRY("s", "")
                                 TELEMETRY("t", "{kind: Service, name: s}", "  accessLog: {filter: All}\n"),
                             0); // the policy's requests have it
    expect_shares_of_nothing(PROXY("  telemetry: {accessLog: {" HALF "}}\n") PLAIN_ENTRY("s", "")
                                 TELEMETRY("t", "{kind: Service, name: s}", "  accessLog: {filter: All, " HALF "}\n"),
                             1);
    expect_shares_of_nothing(OF_S("  accessLog: {" HALF "}\n"), 1);
    expect_shares_of_nothing(
        OUTBOUND_PROXY TWO_SERVICES TELEMETRY("t", "{kind: Service, name: s}, {kind: Service, name: u}", "  accessLog: {" HALF "}\n"),
        1); // once
    expect_shares_of_nothing(PROXY("  telemetry: {accessLog: {filter: All}}\n") PLAIN_ENTRY("s", "")
                                 TELEMETRY("t", "{kind: Service, name: s}", "  accessLog: {" HALF "}\n"),
                             0);
}

// What of a TelemetryPolicy has no filter has that of spec.telemetry, and the other way round.
static void filter_and_share_are_inherited_each_for_itself(void **state) {
    (void)state;
    struct loaded loaded;
    const struct snapshot *snapshot =
        expect_good(&loaded, PROXY("  telemetry: {accessLog: {filter: All, sampling: {numerator: 1, denominator: 100}}}\n")
                                 TWO_SERVICES TELEMETRY("t", "{kind: Service, name: s}", "  accessLog: {" HALF "}\n")
                                     TELEMETRY("v", "{kind: Service, name: u}", "  accessLog: {filter: All}\n"));
    assert_int_equal(rules_of(snapshot, "default/s:80")->access_log.filter, LOG_FILTER_ALL);
    assert_int_equal(rules_of(snapshot, "default/s:80")->access_log.sampling.denominator, 2);
    assert_int_equal(rules_of(snapshot, "default/u:80")->access_log.sampling.denominator, 100);
    loaded_dispose(&loaded);
}

static void keys_that_no_line_has_are_told(void **state) {
    (void)state;
#define KEY(type, name) "{type: " type ", name: " name "}"
#define KEYS(keys) PROXY("  telemetry: {accessLog: {filter: All, keys: [" keys "]}}\n") PLAIN_ENTRY("s", "")
#define LIMIT_BY(key)                                                                                                                 \
    API "kind: RateLimitPolicy\nmetadata: {name: l}\nspec:\n  targetRefs: [{kind: Service, name: s}]\n  rules: [{name: r, key: [" key \
        "], limits: [{requests: 1, per: 1s}]}]\n---\n"
    struct loaded loaded;
    const struct snapshot *snapshot = expect_good(&loaded, KEYS(KEY("JWTClaim", "sub") ", " KEY("Header", "a")));
    assert_int_equal(loaded.warnings.count, 0);
    const struct request_key *keys = find_key(snapshot, "default/s:80")->destination->logged_keys;
    assert_int_equal(keys->count, 2);
    assert_int_equal(keys->parts[0].type, KEY_CLAIM);
    loaded_dispose(&loaded);
    snapshot = expect_good(&loaded, KEYS("{type: ClientAddress}, " KEY("Header", "a")) LIMIT_BY(KEY("Header", "a")));
    assert_int_equal(find_key(snapshot, "default/s:80")->destination->logged_keys->count, 1); // what lines have none of otherwise, once
    loaded_dispose(&loaded);
    expect_good(&loaded, KEYS("{type: ClientAddress}, {type: Path}"));
    assert_int_equal(loaded.warnings.count, 2);
    assert_true(has_line(&loaded.warnings, "ClientAddress stands in each line as it is"));
    loaded_dispose(&loaded);
    expect_good(&loaded,
                KEYS(KEY("Header", "a") ", " KEY("Header", "b") ", " KEY("Header", "c") ", " KEY("Header", "d")) LIMIT_BY(KEY("Header", "e")));
    assert_true(has_line(&loaded.warnings, "Header e is left out for default/s:80"));
    loaded_dispose(&loaded);
}

static void one_policy_is_for_a_target(void **state) {
    (void)state;
    expect_error(OF_S("") TELEMETRY("u", "{kind: Service, name: s}", ""), "allowed: one TelemetryPolicy for a target");
    struct loaded loaded; // one of another kind is no twin
    expect_good(&loaded, OF_S("") POLICY("t", "  targetRefs: [{kind: Service, name: s}]\n"));
    loaded_dispose(&loaded);
    expect_error(OUTBOUND_PROXY PLAIN_ENTRY("s", "") TELEMETRY("t", "{kind: Service, name: s, namespace: other}", ""), "is another one");
    expect_error(OUTBOUND_PROXY TELEMETRY("t", "{kind: Service, name: nobody}", ""), "there is no Service or ServiceEntry nobody");
}

static void without_policies_the_proxy_s_own_hold_everywhere(void **state) {
    (void)state;
    struct loaded loaded;
    const struct snapshot *snapshot = expect_good(
        &loaded, PROXY("  telemetry: {accessLog: {filter: All}, traces: {sampling: {numerator: 1, denominator: 100}}}\n") PLAIN_ENTRY("s", ""));
    const struct telemetry_rules *rules = rules_of(snapshot, "default/s:80");
    assert_int_equal(rules->access_log.filter, LOG_FILTER_ALL);
    assert_int_equal(rules->traces.sampling.denominator, 100);
    assert_ptr_equal(snapshot->proxy.listeners[0].telemetry, rules);
    assert_true(snapshot->has_access_log);
    loaded_dispose(&loaded);
}

static void groups_are_taken_whole_from_the_most_specific(void **state) {
    (void)state;
    struct loaded loaded;
    const struct snapshot *snapshot = expect_good(
        &loaded, PROXY("  telemetry: {accessLog: {filter: None}, traces: {sampling: {numerator: 1, denominator: 100}}}\n") PLAIN_ENTRY("s", "")
                     PLAIN_ENTRY("u", "")
                         TELEMETRY("n", "{kind: Namespace, name: default}",
                                   "  accessLog: {filter: All}\n  traces: {attributes: [{name: tenant, from: {type: Header, name: x-tenant-id}}]}\n")
                             TELEMETRY("s", "{kind: Service, name: s}", "  accessLog: {disabled: true}\n")
                                 TELEMETRY("p", "{kind: Service, name: s, sectionName: http}", "  traces: {sampling: {}}\n"));
    const struct telemetry_rules *of_s = rules_of(snapshot, "default/s:80"), *of_u = rules_of(snapshot, "default/u:80");
    assert_int_equal(of_s->access_log.filter, LOG_FILTER_NONE);
    assert_int_equal(of_s->traces.attribute_count, 0);
    assert_int_equal(of_s->traces.sampling.denominator, 1);
    assert_int_equal(of_u->access_log.filter, LOG_FILTER_ALL);
    assert_int_equal(of_u->traces.attribute_count, 1);
    assert_bytes_equal(of_u->traces.attributes[0].name, "tenant");
    assert_bytes_equal(of_u->traces.attributes[0].from.name, "x-tenant-id");
    assert_int_equal(of_u->traces.sampling.denominator, 100); // not said: the Proxy's
    assert_int_equal(snapshot->proxy.listeners[0].telemetry->access_log.filter, LOG_FILTER_ALL);
    assert_true(snapshot->has_access_log);
    loaded_dispose(&loaded);
}

#define SIDECAR(more)                                                                                                                                \
    API "kind: Proxy\nmetadata: {name: p}\nspec:\n  services: [{name: a}, {name: b}]\n  identity: {certificate: c, privateKey: k, trustBundle: t}\n" \
        "  listeners: [{name: in, role: Inbound, forwardTo: '127.0.0.1:8000'}, {name: out, role: Outbound}]\n" more "---\n"
#define MESHED(name)                                                                                                      \
    API "kind: ServiceEntry\nmetadata: {name: " name "}\nspec:\n  hosts: [" name "]\n  ports: [{name: http, port: 80}]\n" \
        "  identities: ['spiffe://m/ns/default/sa/x']\n  endpoints: [{address: '10.0.0.2:15006'}]\n---\n"

// A policy acts in its target's own proxy: on what the application gets, and on what it sends; not at the callers of another.
static void a_policy_acts_in_the_proxy_of_its_target(void **state) {
    (void)state;
    struct loaded loaded;
    const struct snapshot *snapshot = expect_good(
        &loaded, SIDECAR("") MESHED("far") PLAIN_ENTRY("outside", "") TELEMETRY("b", "{kind: Service, name: b}", "  traces: {disabled: true}\n")
                     TELEMETRY("a", "{kind: Service, name: a}", "  accessLog: {filter: All}\n")
                         TELEMETRY("far", "{kind: Service, name: far}", "  accessLog: {filter: None}\n")
                             TELEMETRY("outside", "{kind: Service, name: outside}", "  accessLog: {filter: None}\n"));
    const struct telemetry_rules *own = rules_of(snapshot, "app/in"), *far = rules_of(snapshot, "default/far:80");
    assert_int_equal(own->access_log.filter, LOG_FILTER_ALL);
    assert_true(own->traces.is_disabled);
    assert_int_equal(far->access_log.filter, LOG_FILTER_ALL);
    assert_ptr_equal(far, own);
    assert_int_equal(rules_of(snapshot, "default/outside:80")->access_log.filter, LOG_FILTER_NONE);
    assert_ptr_equal(snapshot->proxy.listeners[0].telemetry, own);
    assert_ptr_equal(snapshot->proxy.listeners[1].telemetry, own);
    loaded_dispose(&loaded);
}

static void at_a_gateway_rules_go_before_routes_and_listeners(void **state) {
    (void)state;
    struct loaded loaded;
    const struct snapshot *snapshot = expect_good(
        &loaded, API "kind: Proxy\nmetadata: {name: p}\nspec:\n  listeners: [{name: g, role: Gateway, gateway: edge, address: "
                     "'127.0.0.1:8080'}]\n---\n" GATEWAY_API "kind: Gateway\nmetadata: {name: edge}\nspec:\n  gatewayClassName: outrigger\n  "
                     "listeners: [{name: web, port: 8080, protocol: HTTP}]\n---\n" GATEWAY_API
                     "kind: HTTPRoute\nmetadata: {name: r}\nspec:\n  parentRefs: [{kind: Gateway, name: edge}]\n  rules:\n"
                     "  - {name: one, backendRefs: [{name: s, port: 80}]}\n"
                     "  - {name: two, matches: [{path: {value: /two}}], backendRefs: [{name: s, port: 80}]}\n---\n" PLAIN_ENTRY("s", "")
                         TELEMETRY("g", "{kind: Gateway, name: edge}", "  accessLog: {filter: All}\n  traces: {disabled: true}\n")
                             TELEMETRY("r", "{kind: HTTPRoute, name: r}", "  accessLog: {filter: None}\n")
                                 TELEMETRY("one", "{kind: HTTPRoute, name: r, sectionName: one}", "  accessLog: {filter: Errors}\n"));
    assert_int_equal(snapshot->rules[0]->destinations[0]->telemetry->access_log.filter, LOG_FILTER_ERRORS);
    assert_int_equal(snapshot->rules[1]->destinations[0]->telemetry->access_log.filter, LOG_FILTER_NONE);
    assert_true(snapshot->rules[1]->destinations[0]->telemetry->traces.is_disabled);
    assert_int_equal(snapshot->proxy.listeners[0].telemetry->access_log.filter, LOG_FILTER_ALL);
    loaded_dispose(&loaded);
}

static void what_is_decided_goes_to_the_log_where_that_goes_somewhere(void **state) {
    (void)state;
    struct loaded loaded;
    assert_int_equal(expect_good(&loaded, PROXY(""))->proxy.telemetry.traces.events, TRACE_EVENTS_SPAN);
    loaded_dispose(&loaded);
    const struct snapshot *snapshot =
        expect_good(&loaded, MESH("  telemetry: {logs: {endpoint: 'http://o.example'}}\n") PROXY("  telemetry: {traces: {events: Log}}\n"));
    assert_int_equal(snapshot->proxy.telemetry.traces.events, TRACE_EVENTS_LOG);
    assert_non_null(snapshot->proxy.telemetry.otlp[OTLP_LOGS].url);
    assert_int_equal(loaded.warnings.count, 0);
    loaded_dispose(&loaded);
    expect_good(&loaded, PROXY("  telemetry: {traces: {events: Log}}\n"));
    assert_int_equal(loaded.warnings.count, 1);
    assert_true(has_line(&loaded.warnings, "spec.telemetry.traces.events: records of the log go where spec.telemetry.logs.endpoint or"));
    loaded_dispose(&loaded);
    // The Proxy's block is whole, and has none.
    expect_good(&loaded,
                MESH("  telemetry: {traces: {events: Log}, logs: {endpoint: 'http://o.example'}}\n") PROXY("  telemetry: {logs: {timeout: 1s}}\n"));
    assert_int_equal(loaded.warnings.count, 1);
    loaded_dispose(&loaded);
}

static void each_log_has_a_file_of_its_own(void **state) {
    (void)state;
    struct loaded loaded;
    expect_error(PROXY("  telemetry: {accessLog: {path: /log}, auditLog: {path: /log}}\n"),
                 "spec.telemetry.auditLog.path: is that of accessLog; each log needs a file of its own");
    expect_error(MESH("  telemetry: {auditLog: {path: /dev/stdout}}\n") PROXY(""),
                 "MeshConfig/default/default: spec.telemetry.auditLog.path: is that of");
    expect_error(PROXY("  telemetry: {accessLog: {path: /var/log/a}, auditLog: {path: '/var//./log/a'}}\n"), "auditLog.path: is that of accessLog");
    expect_error(MESH("  telemetry: {accessLog: {path: /log, filter: None}, auditLog: {path: /log}}\n") PROXY("")
                     TELEMETRY("m", "{kind: Mesh, name: default}", "  accessLog: {filter: All}\n"),
                 "auditLog.path: is that of accessLog");
    static const char *const good[] = {"accessLog: {path: /log}, auditLog: {path: /audit}", "accessLog: {path: /log/a}, auditLog: {path: /log}",
                                       "accessLog: {path: /log}, auditLog: {path: /log/.a}",
                                       "accessLog: {path: /log, filter: None}, auditLog: {path: /log}",
                                       "accessLog: {format: OTLP}, auditLog: {path: /dev/stdout}, logs: {endpoint: 'http://o.example'}"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        char text[1024];
        (void)snprintf(text, sizeof text, PROXY("  telemetry: {%s}\n"), good[i]);
        expect_good(&loaded, text);
        loaded_dispose(&loaded);
    }
}

#define OF_MESH(groups) TELEMETRY("m", "{kind: Mesh, name: default}", groups)

static void what_is_for_the_mesh_is_least_specific(void **state) {
    (void)state;
    struct loaded loaded;
    const struct snapshot *snapshot =
        expect_good(&loaded, PROXY("") PLAIN_ENTRY("s", "") PLAIN_ENTRY("u", "") MESH("  telemetry: {accessLog: {filter: Errors}}\n")
                                 OF_MESH("  accessLog: {filter: None}\n  traces: {disabled: true}\n  metrics: {disabled: true}\n")
                                     TELEMETRY("n", "{kind: Namespace, name: default}", "  accessLog: {filter: All}\n")
                                         TELEMETRY("s", "{kind: Service, name: s}", "  traces: {sampling: {}}\n"));
    const struct telemetry_rules *of_s = rules_of(snapshot, "default/s:80"), *of_u = rules_of(snapshot, "default/u:80");
    assert_false(of_s->traces.is_disabled);
    assert_true(of_u->traces.is_disabled);
    assert_true(of_s->metrics.is_disabled && of_u->metrics.is_disabled);
    assert_int_equal(of_s->access_log.filter, LOG_FILTER_ALL);
    assert_int_equal(of_u->access_log.filter, LOG_FILTER_ALL);
    assert_true(snapshot->proxy.listeners[0].telemetry->metrics.is_disabled);
    loaded_dispose(&loaded);
}

// The proxy's namespace has no part in it.
static void what_is_for_the_mesh_holds_in_all_namespaces(void **state) {
    (void)state;
    struct loaded loaded;
    const struct snapshot *snapshot = expect_good(
        &loaded, PROXY("") PLAIN_ENTRY("s", "") API
        "kind: MeshConfig\nmetadata: {name: default, namespace: ops}\nspec: {}\n---\n" API
        "kind: TelemetryPolicy\nmetadata: {name: m, namespace: ops}\nspec: {targetRefs: [{group: outrigger.dev, kind: Mesh, name: default}], "
        "accessLog: {filter: All}}\n---\n");
    assert_int_equal(rules_of(snapshot, "default/s:80")->access_log.filter, LOG_FILTER_ALL);
    loaded_dispose(&loaded);
}

static void the_mesh_is_a_target_beside_its_config_alone(void **state) {
    (void)state;
    expect_error(PROXY("") OF_MESH(""), "Mesh stands beside the MeshConfig alone, and there is none");
    expect_error(PROXY("") API "kind: MeshConfig\nmetadata: {name: default, namespace: ops}\nspec: {}\n---\n" OF_MESH(""),
                 "allowed: in its namespace, ops");
    expect_error(PROXY("") MESH("  telemetry: {}\n") TELEMETRY("m", "{kind: Mesh, name: other}", ""),
                 "other is no name of the mesh; allowed: default");
    expect_error(PROXY("") MESH("  telemetry: {}\n") TELEMETRY("m", "{group: x, kind: Mesh, name: default}", ""),
                 "allowed: \"outrigger.dev\" or none");
    expect_error(PROXY("") MESH("  telemetry: {}\n") TELEMETRY("m", "{kind: Mesh, name: default, sectionName: a}", ""), "sectionName");
    expect_error(PROXY("") MESH("  telemetry: {}\n") OF_MESH("") TELEMETRY("n", "{kind: Mesh, name: default}", ""),
                 "allowed: one TelemetryPolicy for a target");
    expect_error(PROXY("") MESH("  telemetry: {}\n") API
                 "kind: TrafficPolicy\nmetadata: {name: t}\nspec: {targetRefs: [{kind: Mesh, name: default}]}\n---\n",
                 "Mesh is for a TelemetryPolicy alone");
}

static void blocks_of_the_proxy_win_over_the_mesh_s(void **state) {
    (void)state;
    struct loaded loaded;
    const struct snapshot *snapshot =
        expect_good(&loaded, MESH("  trustedProxies: [10.0.0.0/8]\n  edge: {trustHeaders: [x-tier]}\n"
                                  "  telemetry: {accessLog: {filter: All, path: /mesh.log}, traces: {sampling: {numerator: 1, denominator: 10}}}\n")
                                 PROXY("  edge: {proxyStatus: true}\n  telemetry: {accessLog: {filter: None}}\n"));
    const struct proxy_config *proxy = &snapshot->proxy;
    assert_int_equal(proxy->telemetry.access_log.filter, LOG_FILTER_NONE);
    assert_bytes_equal(proxy->telemetry.access_log.path, "/dev/stdout"); // a block is whole
    assert_int_equal(proxy->telemetry.traces.sampling.denominator, 10);
    assert_true(proxy->edge.proxy_status);
    assert_int_equal(proxy->edge.trust_header_count, 0);
    assert_int_equal(proxy->trusted_proxy_count, 1);
    assert_false(snapshot->has_access_log);
    loaded_dispose(&loaded);
}

static void there_is_no_audit_log_without_its_block(void **state) {
    (void)state;
    struct loaded loaded;
    const struct audit_log_config *none = &expect_good(&loaded, OUTBOUND_PROXY)->proxy.telemetry.audit_log;
    assert_false(none->changes || none->denials || none->limits || none->path.len > 0);
    loaded_dispose(&loaded);
    const struct audit_log_config *audit =
        &expect_good(&loaded, MESH("  telemetry: {auditLog: {path: /mesh.audit}}\n") OUTBOUND_PROXY)->proxy.telemetry.audit_log;
    assert_true(audit->changes && audit->denials && !audit->limits);
    assert_bytes_equal(audit->path, "/mesh.audit");
    loaded_dispose(&loaded);
    expect_error(PROXY("  telemetry: {auditLog: {}}\n"), "path: is required");
}

static void there_is_one_mesh_config(void **state) {
    (void)state;
    expect_error(OUTBOUND_PROXY API "kind: MeshConfig\nmetadata: {name: other}\nspec: {}\n", "allowed: default");
    expect_error(OUTBOUND_PROXY MESH("  edge: {}\n") API "kind: MeshConfig\nmetadata: {name: default, namespace: other}\nspec: {}\n",
                 "is one MeshConfig too many");
    expect_error(OUTBOUND_PROXY MESH("  trustDomain: m\n"), "not supported by this version");
    expect_error(OUTBOUND_PROXY MESH("  edge: {trustHeaders: [x-other]}\n"), "x-other is none of the fields");
    expect_error(OUTBOUND_PROXY MESH("  telemetry: {accessLog: {format: Text, template: '%{nobody}'}}\n"), "%{nobody} is no field");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_between_fields_are_held),
        cmocka_unit_test(one_policy_is_for_a_target),
        cmocka_unit_test(a_share_of_nothing_is_told),
        cmocka_unit_test(filter_and_share_are_inherited_each_for_itself),
        cmocka_unit_test(keys_that_no_line_has_are_told),
        cmocka_unit_test(without_policies_the_proxy_s_own_hold_everywhere),
        cmocka_unit_test(groups_are_taken_whole_from_the_most_specific),
        cmocka_unit_test(a_policy_acts_in_the_proxy_of_its_target),
        cmocka_unit_test(at_a_gateway_rules_go_before_routes_and_listeners),
        cmocka_unit_test(what_is_decided_goes_to_the_log_where_that_goes_somewhere),
        cmocka_unit_test(each_log_has_a_file_of_its_own),
        cmocka_unit_test(what_is_for_the_mesh_is_least_specific),
        cmocka_unit_test(what_is_for_the_mesh_holds_in_all_namespaces),
        cmocka_unit_test(the_mesh_is_a_target_beside_its_config_alone),
        cmocka_unit_test(blocks_of_the_proxy_win_over_the_mesh_s),
        cmocka_unit_test(there_is_no_audit_log_without_its_block),
        cmocka_unit_test(there_is_one_mesh_config),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
