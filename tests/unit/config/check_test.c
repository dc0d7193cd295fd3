// Every rule on documents, one by one: what is refused, where it is told, and what is only warned of.
#include "load_text.h"

static const char *const entry_head = API "kind: ServiceEntry\nmetadata: {name: s}\nspec:\n";

static void expect_entry_error(const char *spec, const char *part) {
    char text[4096];
    snprintf(text, sizeof(text), "%s%s%s", OUTBOUND_PROXY, entry_head, spec);
    expect_error(text, part);
}

static void expect_proxy_error(const char *spec, const char *part) {
    char text[4096];
    snprintf(text, sizeof(text), "%skind: Proxy\nmetadata: {name: p}\nspec:\n%s", API, spec);
    expect_error(text, part);
}

static void expect_policy_error(const char *spec, const char *part) {
    char text[4096];
    snprintf(text, sizeof(text), "%s%s%skind: TrafficPolicy\nmetadata: {name: t}\nspec:\n%s", OUTBOUND_PROXY, PLAIN_ENTRY("s", ""), API, spec);
    expect_error(text, part);
}

#define OUTBOUND "  listeners: [{name: o, role: Outbound}]\n"

static void the_envelope_is_checked(void **state) {
    (void)state;
    expect_error("kind: Proxy\nmetadata: {name: p}\nspec:\n" OUTBOUND,
                 "t.yaml:1: Proxy/default/p: apiVersion: is required; allowed: outrigger.dev/v1alpha1");
    expect_error("apiVersion: v1\nkind: Proxy\nmetadata: {name: p}\nspec:\n" OUTBOUND,
                 "t.yaml:1: Proxy/default/p: apiVersion: is not that of kind Proxy");
    expect_error(API "kind: Proxy\nmetadata: {}\nspec:\n" OUTBOUND, "t.yaml:3: Proxy/default/?: metadata.name: is required");
    expect_error(API "kind: Proxy\nspec:\n" OUTBOUND, "t.yaml:1: Proxy/default/?: metadata: is required");
    expect_error(API "kind: Proxy\nmetadata: {name: P_1}\nspec:\n" OUTBOUND, "metadata.name: \"P_1\" is not allowed");
    expect_error(API "kind: Proxy\nmetadata: {name: p, namespace: a.b}\nspec:\n" OUTBOUND, "Proxy/a.b/p: metadata.namespace: \"a.b\" is not allowed");
    expect_error(API "kind: Proxy\nmetadata: {name: p, uid: x}\nspec:\n" OUTBOUND,
                 "metadata.uid: unknown field; allowed: name, namespace, labels, annotations");
    expect_error(API "kind: Proxy\nmetadata: {name: p, labels: [a]}\nspec:\n" OUTBOUND, "metadata.labels: is a list; allowed: an object of texts");
    expect_error(API "kind: Proxy\nmetadata: {name: p, labels: {a: [b]}}\nspec:\n" OUTBOUND, "metadata.labels.a: is a list; allowed: a text");
    expect_error(API "kind: Proxy\nmetadata: {name: p}\nspec:\n" OUTBOUND "status: {}\n", "t.yaml:6: Proxy/default/p: status: unknown field");
    expect_error(API "kind: Proxy\nmetadata: {name: p}\n", "t.yaml:1: Proxy/default/p: spec: is required");
    expect_error(OUTBOUND_PROXY "[1, 2]\n", "t.yaml:7: is a list; allowed: a document with apiVersion, kind, metadata and spec");
    expect_error(OUTBOUND_PROXY "word\n", "t.yaml:7: is a text; allowed: a document");
}

static void a_gateway_may_trust_what_it_takes_off(void **state) {
    (void)state;
    expect_error(API "kind: Proxy\nmetadata: {name: p}\nspec:\n" OUTBOUND "  edge: {trustHeaders: [x-teir]}\n", "x-teir is none of the fields");
    expect_error(API "kind: Proxy\nmetadata: {name: p}\nspec:\n" OUTBOUND "  edge: {trustHeaders: [x-forwarded-client-cert]}\n",
                 "x-forwarded-client-cert is none of the fields");
    expect_error(API "kind: Proxy\nmetadata: {name: p}\nspec:\n" OUTBOUND "  edge: {trustHeaders: [outrigger-refused]}\n",
                 "outrigger-refused is none of the fields");
    expect_error(API "kind: Proxy\nmetadata: {name: p}\nspec:\n" OUTBOUND "  edge: {trustHeaders: [x_tier]}\n", "x_tier is none of the fields");
    struct loaded loaded;
    expect_good(&loaded, API "kind: Proxy\nmetadata: {name: p}\nspec:\n" OUTBOUND
                             "  edge: {trustHeaders: [X-Tier, forwarded, x-real-ip, x-forwarded-port]}\n");
    loaded_dispose(&loaded);
}

static void the_log_has_no_headers_that_let_somebody_in(void **state) {
    (void)state;
    static const char *const secret[] = {"Authorization", "cookie", "x-api-key", "X-Auth-Token", "x-session", "x-amz-signature"};
    char text[256], part[256];
    for (size_t i = 0; i < sizeof secret / sizeof secret[0]; i++) {
        snprintf(text, sizeof text, OUTBOUND "  telemetry: {accessLog: {headers: [x-tier, %s]}}\n", secret[i]);
        snprintf(part, sizeof part, "spec.telemetry.accessLog.headers[1]: %s would stand in the log for all to read; allowed: under keys, as a hash",
                 secret[i]);
        expect_proxy_error(text, part);
    }
    expect_proxy_error(OUTBOUND "  telemetry: {accessLog: {headers: ['two words']}}\n", "\"two words\" is no name that a header can have");
}

static void kinds_are_told_apart(void **state) {
    (void)state;
    expect_error(OUTBOUND_PROXY API "metadata: {name: x}\n", "t.yaml:7: ?/default/x: kind: is required");
    expect_error(OUTBOUND_PROXY API "kind: ServiceEntri\nmetadata: {name: x}\n",
                 "t.yaml:8: ServiceEntri/default/x: kind: unknown kind; did you mean ServiceEntry?");
    expect_error(OUTBOUND_PROXY API "kind: Banana\nmetadata: {name: x}\n", "kind: unknown kind; allowed: Proxy, ServiceEntry, TrafficPolicy");
    expect_error(OUTBOUND_PROXY API "kind: [x]\nmetadata: {name: x}\n", "kind: unknown kind; allowed: Proxy, ServiceEntry, TrafficPolicy");
    expect_error(OUTBOUND_PROXY API "kind: CachePolicy\nmetadata: {name: x}\n", "kind: CachePolicy is not supported by this version; allowed: Proxy");
}

static void exactly_one_proxy_is_needed(void **state) {
    (void)state;
    expect_error("", "t.yaml: there is no document of kind Proxy; needed: exactly one");
    expect_error(PLAIN_ENTRY("s", ""), "there is no document of kind Proxy");
    expect_error(OUTBOUND_PROXY API "kind: Proxy\nmetadata: {name: q}\nspec:\n" OUTBOUND,
                 "t.yaml:7: Proxy/default/q: is one Proxy too many, the first is in t.yaml:1");
}

static void names_are_unique_by_kind_and_namespace(void **state) {
    (void)state;
    expect_error(OUTBOUND_PROXY PLAIN_ENTRY("s", "") API
                 "kind: ServiceEntry\nmetadata: {name: s}\nspec:\n  hosts: [s]\n  ports: [{name: http, port: 80}]\n"
                 "  tls: {mode: None}\n  endpoints: [{address: '10.0.0.1:8000'}]\n",
                 "t.yaml:18: ServiceEntry/default/s: metadata.name: stands twice, first in t.yaml:7");
    struct loaded loaded;
    expect_good(&loaded, OUTBOUND_PROXY PLAIN_ENTRY("s", "") API
                "kind: ServiceEntry\nmetadata: {name: s, namespace: other}\nspec:\n  hosts: [s]\n"
                "  ports: [{name: http, port: 80}]\n  tls: {mode: None}\n  endpoints: [{address: '10.0.0.1:8000'}]\n");
    loaded_dispose(&loaded);
}

static void unknown_fields_are_errors_with_the_nearest_name(void **state) {
    (void)state;
    expect_proxy_error(OUTBOUND "  worker: 1\n", "t.yaml:6: Proxy/default/p: spec.worker: unknown field; did you mean workers?");
    expect_proxy_error(OUTBOUND "  Workers: 1\n", "spec.Workers: unknown field; did you mean workers?");
    expect_proxy_error(OUTBOUND "  banana: 1\n", "spec.banana: unknown field; allowed: services, service, workers, listeners, admin");
    expect_proxy_error(OUTBOUND "  limits: {headerByte: 1Ki}\n", "spec.limits.headerByte: unknown field; did you mean headerBytes?");
    expect_policy_error("  targetRefs: [{kind: Service, name: s}]\n  retry: {attemps: 1}\n",
                        "spec.retry.attemps: unknown field; did you mean attempts?");
}

static void fields_of_the_language_that_are_not_built_say_so(void **state) {
    (void)state;
    expect_policy_error("  targetRefs: [{kind: Service, name: s}]\n  loadBalancer: {locality: {mode: PreferNode}}\n",
                        "spec.loadBalancer.locality.mode: PreferNode is not supported by this version");
}

static void bounds_say_what_is_allowed(void **state) {
    (void)state;
    expect_proxy_error(OUTBOUND "  workers: 17\n", "spec.workers: \"17\" is not allowed; allowed: 0 to 16");
    expect_proxy_error(OUTBOUND "  workers: many\n", "spec.workers: \"many\" is not allowed; allowed: a whole number, 0 to 16");
    expect_proxy_error(OUTBOUND "  workers: -1\n", "allowed: a whole number, 0 to 16");
    expect_proxy_error(OUTBOUND "  workers: 010\n", "allowed: a whole number, 0 to 16");
    expect_proxy_error(OUTBOUND "  workers: {a: 1}\n", "spec.workers: is an object; allowed: a whole number");
    expect_proxy_error(OUTBOUND "  limits: {headerTimeout: 10}\n", "\"10\" is not allowed; allowed: a duration, as 250ms or 1h30m, 1ms to 1h");
    expect_proxy_error(OUTBOUND "  limits: {headerTimeout: 2h}\n", "\"2h\" is not allowed; allowed: 1ms to 1h");
    expect_proxy_error(OUTBOUND "  limits: {headerBytes: 64KB}\n", "allowed: a size, as 64Ki or 16Mi, 1Ki to 1Mi");
    expect_proxy_error(OUTBOUND "  limits: {memoryPercent: 101}\n", "allowed: 1 to 100");
    expect_proxy_error(OUTBOUND "  limits: []\n", "spec.limits: is a list; allowed: an object");
    expect_policy_error("  targetRefs: [{kind: Service, name: s}]\n  retry: {budget: {percent: 101}}\n",
                        "spec.retry.budget.percent: \"101\" is not allowed; allowed: 0 to 100");
    expect_policy_error("  targetRefs: [{kind: Service, name: s}]\n  deadline: {propagate: yes}\n", "\"yes\" is not allowed; allowed: true or false");
    expect_policy_error("  targetRefs: [{kind: Service, name: s}]\n  loadBalancer: {type: roundRobin}\n",
                        "\"roundRobin\" is not allowed; allowed: PeakEWMA, LeastRequest, RoundRobin, Random, RingHash, Maglev");
    expect_policy_error("  targetRefs: [{kind: Service, name: s}]\n  retry: {conditions: Unsent}\n",
                        "spec.retry.conditions: is a text; allowed: a list");
    expect_policy_error("  targetRefs: [{kind: Service, name: s}]\n  retry: {conditions: [Unsent, Unsent]}\n", "\"Unsent\" stands twice in the list");
    expect_policy_error("  targetRefs: [{kind: Service, name: s}]\n  retry: {backoff: {base: 1s}}\n", "spec.retry.backoff: base is above max");
    expect_policy_error("  targetRefs: []\n", "spec.targetRefs: has 0 items; allowed: 1 to 64");
}

static void a_hedge_after_a_delay_says_which(void **state) {
    (void)state;
    expect_policy_error("  targetRefs: [{kind: Service, name: s}]\n  hedge: {after: Delay}\n", "spec.hedge.delay: is required with after: Delay");
    expect_policy_error("  targetRefs: [{kind: Service, name: s}]\n  hedge: {max: 4}\n", "spec.hedge.max: \"4\" is not allowed; allowed: 1 to 3");
    expect_policy_error("  targetRefs: [{kind: Service, name: s}]\n  hedge: {percent: 0}\n",
                        "spec.hedge.percent: \"0\" is not allowed; allowed: 1 to 100");
}

#define RETRY(fields) "  targetRefs: [{kind: Service, name: s}]\n  retry: {" fields "}\n"

static void what_is_tried_again_is_named_in_the_words_of_its_standard(void **state) {
    (void)state;
    expect_policy_error(RETRY("codes: [503, 399]"), "spec.retry.codes[1]: \"399\" is not allowed; allowed: 400 to 599");
    expect_policy_error(RETRY("codes: [600]"), "spec.retry.codes[0]: \"600\" is not allowed; allowed: 400 to 599");
    expect_policy_error(RETRY("codes: [5xx]"), "spec.retry.codes[0]: \"5xx\" is not allowed; allowed: a whole number, 400 to 599");
    expect_policy_error(RETRY("codes: 503"), "spec.retry.codes: is a text; allowed: a list");
    expect_policy_error(RETRY("codes: [[503]]"), "spec.retry.codes[0]: is a list; allowed: a whole number");
    expect_policy_error(RETRY("codes: [503, 503]"), "spec.retry.codes[1]: \"503\" stands twice in the list, first in line");
    expect_policy_error(RETRY("grpcCodes: [14]"), "spec.retry.grpcCodes[0]: \"14\" is not allowed; allowed: CANCELLED, UNKNOWN,");
    expect_policy_error(RETRY("grpcCodes: [OK]"), "spec.retry.grpcCodes[0]: \"OK\" is not allowed");
    expect_policy_error(RETRY("methods: [CONNECT]"),
                        "spec.retry.methods[0]: \"CONNECT\" is not allowed; allowed: GET, HEAD, OPTIONS, TRACE, PUT, DELETE, POST, PATCH");
    expect_policy_error(RETRY("respectRetryAfter: 2h"), "spec.retry.respectRetryAfter: \"2h\" is not allowed; allowed: 0s to 1h");
}

static void texts_have_no_control_characters(void **state) {
    (void)state;
    expect_proxy_error(OUTBOUND "  telemetry: {accessLog: {path: \"a\\nb\"}}\n",
                       "spec.telemetry.accessLog.path: \"a?b\" is not allowed; allowed: the path of a file");
    expect_error(API "kind: Proxy\nmetadata: {name: p, annotations: {a: \"x\\e[31m\"}}\nspec:\n" OUTBOUND,
                 "metadata.annotations.a: \"x?[31m\" is not allowed");
}

static void listeners_are_checked_by_role(void **state) {
    (void)state;
    expect_proxy_error("  workers: 1\n", "t.yaml:4: Proxy/default/p: spec.listeners: is required");
    expect_proxy_error("  listeners: []\n", "spec.listeners: has 0 items; allowed: 1 to 64");
    expect_proxy_error("  listeners: [{role: Outbound}]\n", "spec.listeners[0].name: is required");
    expect_proxy_error("  listeners: [{name: o}]\n", "spec.listeners[o].role: is required");
    expect_proxy_error("  listeners: [{name: o, role: Outbound, forwardTo: '127.0.0.1:1'}]\n",
                       "spec.listeners[o].forwardTo: is for role Inbound alone");
    expect_proxy_error("  listeners: [{name: o, role: Outbound, mtls: {}}]\n", "spec.listeners[o].mtls: is for role Inbound alone");
    expect_proxy_error("  listeners: [{name: o, role: Outbound, appProtocol: HTTP1}]\n", "spec.listeners[o].appProtocol: is for role Inbound alone");
    expect_proxy_error("  listeners: [{name: i, role: Inbound, mtls: {mode: Disable}, forwardTo: '127.0.0.1:1', unknownHosts: Reject}]\n",
                       "spec.listeners[i].unknownHosts: is for role Outbound alone");
    expect_proxy_error("  listeners: [{name: i, role: Inbound, mtls: {mode: Disable}}]\n",
                       "spec.listeners[i].forwardTo: is required for role Inbound");
    expect_proxy_error("  listeners: [{name: o, role: Outbound}, {name: o, role: Outbound, address: '127.0.0.1:1'}]\n",
                       "\"o\" stands twice in the list, first in line 5");
    expect_proxy_error("  listeners: [{name: o, role: Outbound, address: localhost:1}]\n",
                       "\"localhost:1\" is not allowed; allowed: an IP address with a port");
    expect_proxy_error("  listeners: [x]\n", "spec.listeners[0]: is a text; allowed: an object");
}

static void mutual_tls_inward_needs_an_identity(void **state) {
    (void)state;
    expect_proxy_error("  listeners: [{name: i, role: Inbound, forwardTo: '127.0.0.1:1'}]\n",
                       "spec.listeners[i].mtls.mode: Strict needs spec.identity; without it allowed: Disable");
    expect_proxy_error("  listeners: [{name: i, role: Inbound, forwardTo: '127.0.0.1:1', mtls: {mode: Permissive}}]\n",
                       "mtls.mode: Permissive needs spec.identity");
    expect_proxy_error(OUTBOUND "  identity: {certificate: a, privateKey: b}\n", "spec.identity.trustBundle: is required for source Files");
}

static void what_may_be_in_a_part_that_cannot_be_read_is_not_missed(void **state) {
    (void)state;
    expect_error(OUTBOUND_PROXY POLICY("t", "  targetRefs: [{kind: Service, name: s}]\n") "a: [\n", "is not YAML or JSON");
    expect_error(OUTBOUND_PROXY POLICY("t", "  targetRefs: [{kind: Service, name: s}]\n") API "kind: ServiceEntri\nmetadata: {name: s}\n",
                 "did you mean ServiceEntry?");
    expect_error(API "kind: Praxy\nmetadata: {name: p}\n", "did you mean Proxy?");
    expect_error("a: [\n", "is not YAML or JSON");
}

static void one_mistake_is_one_error(void **state) {
    (void)state;
    expect_proxy_error(OUTBOUND "  identity: {source: WorkloadAPI}\n", "WorkloadAPI is not supported by this version; allowed: Files");
    expect_proxy_error(OUTBOUND "  identity: files\n", "spec.identity: is a text; allowed: an object");
    expect_policy_error("  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: s}]\n",
                        "there is no HTTPRoute s in namespace default");
    expect_proxy_error("  listeners: [{name: i, role: Inbound, mtls: {mode: Disable}, forwardTo: here}]\n", "\"here\" is not allowed");
    expect_proxy_error("  listeners: [{name: i, role: In, forwardTo: '127.0.0.1:1'}]\n", "\"In\" is not allowed");
}

static void two_errors_are_both_told(void **state) {
    (void)state;
    struct loaded loaded;
    load_text(&loaded, API "kind: Proxy\nmetadata: {name: p}\nspec:\n" OUTBOUND "  wrong: 1\n  workers: 99\n");
    assert_int_equal(loaded.errors.count, 2);
    assert_true(has_line(&loaded.errors, "spec.wrong") && has_line(&loaded.errors, "spec.workers"));
    loaded_dispose(&loaded);
}

static void no_two_listeners_share_an_address(void **state) {
    (void)state;
    expect_proxy_error("  listeners: [{name: a, role: Outbound}, {name: b, role: Outbound}]\n",
                       "listener b listens on 127.0.0.1:15001, which listener a has already (127.0.0.1:15001)");
    expect_proxy_error("  listeners: [{name: a, role: Outbound, address: '0.0.0.0:15000'}]\n",
                       "admin listens on 127.0.0.1:15000, which listener a has already");
    expect_proxy_error(OUTBOUND "  metrics: {address: '127.0.0.1:15000'}\n",
                       "t.yaml:6: Proxy/default/p: spec.metrics.address: metrics listens on 127.0.0.1:15000, which admin has already");
    expect_proxy_error(OUTBOUND "  admin: {disabled: true, address: '127.0.0.1:1'}\n", "spec.admin.address: stands beside disabled: true");
    expect_proxy_error(OUTBOUND "  admin: {disabled: true, tokenFile: /t}\n", "spec.admin.tokenFile: stands beside disabled: true");
    struct loaded loaded;
    expect_good(&loaded, API "kind: Proxy\nmetadata: {name: p}\nspec:\n"
                             "  listeners: [{name: a, role: Outbound, address: '127.0.0.1:1'}, {name: b, role: Outbound, address: '127.0.0.2:1'}]\n"
                             "  admin: {disabled: true}\n  metrics: {address: '127.0.0.1:15000'}\n");
    assert_int_equal(loaded.snapshot->proxy.admin.length, 0);
    loaded_dispose(&loaded);
}

static void an_application_is_not_the_proxy_itself(void **state) {
    (void)state;
    expect_proxy_error("  listeners: [{name: i, role: Inbound, mtls: {mode: Disable}, forwardTo: '127.0.0.1:15006'}]\n",
                       "spec.listeners[i].forwardTo: 127.0.0.1:15006 is where listener i listens, not the application");
    struct loaded loaded;
    expect_good(
        &loaded,
        API "kind: Proxy\nmetadata: {name: p}\nspec:\n  listeners: [{name: i, role: Inbound, mtls: {mode: Disable}, forwardTo: '10.0.0.9:15006'}]\n");
    loaded_dispose(&loaded);
}

static void a_service_that_a_proxy_names_need_not_be_described(void **state) {
    (void)state;
    struct loaded loaded;
    expect_good(&loaded, API "kind: Proxy\nmetadata: {name: p}\nspec:\n  services: [{name: nowhere, port: 80}]\n" OUTBOUND);
    assert_bytes_equal(loaded.snapshot->proxy.service, "nowhere");
    loaded_dispose(&loaded);
    expect_good(&loaded, API "kind: Proxy\nmetadata: {name: p}\nspec:\n  service: nowhere\n" OUTBOUND);
    assert_bytes_equal(loaded.snapshot->proxy.service, "nowhere");
    loaded_dispose(&loaded);
    expect_proxy_error("  services: [{name: a}]\n  service: b\n" OUTBOUND, "spec.service: is short for spec.services: one of the two may stand");
    expect_good(&loaded, API "kind: Proxy\nmetadata: {name: p}\nspec:\n  services: [{name: a}, {name: b}]\n" OUTBOUND);
    assert_bytes_equal(loaded.snapshot->proxy.service, "a");
    loaded_dispose(&loaded);
    expect_error(API "kind: Proxy\nmetadata: {name: p}\nspec:\n  services: [{name: s, port: 81}]\n" OUTBOUND "---\n" PLAIN_ENTRY("s", ""),
                 "t.yaml:5: Proxy/default/p: spec.services[s].port: 81 is no port of ServiceEntry/default/s (t.yaml:8)");
}

static void entries_are_checked(void **state) {
    (void)state;
    expect_entry_error("  ports: [{name: h, port: 80}]\n  tls: {mode: None}\n  endpoints: []\n", "spec.hosts: is required");
    expect_entry_error("  hosts: [s]\n  tls: {mode: None}\n  endpoints: []\n", "spec.ports: is required");
    expect_entry_error("  hosts: ['a b']\n  ports: [{name: h, port: 80}]\n  tls: {mode: None}\n",
                       "spec.hosts[0]: \"a b\" is not allowed; allowed: a host name");
    expect_entry_error("  hosts: ['a', 'a']\n  ports: [{name: h, port: 80}]\n  tls: {mode: None}\n", "\"a\" stands twice in the list");
    expect_entry_error("  hosts: [s]\n  ports: [{name: h, port: 0}]\n  tls: {mode: None}\n",
                       "spec.ports[h].port: \"0\" is not allowed; allowed: 1 to 65535");
    expect_entry_error("  hosts: [s]\n  ports: [{name: h, port: 80}, {name: g, port: 80}]\n  tls: {mode: None}\n",
                       "spec.ports[g].port: 80 is the port of h already");
    expect_entry_error("  hosts: [s]\n  ports: [{name: h, port: 80}, {name: h, port: 81}]\n  tls: {mode: None}\n", "\"h\" stands twice in the list");
    expect_entry_error("  hosts: ['s:90']\n  ports: [{name: h, port: 80}, {name: g, port: 81}]\n  tls: {mode: None}\n",
                       "spec.hosts[0]: has port 90, which is none of spec.ports");
    expect_entry_error("  hosts: [s.default.svc.cluster.local]\n  ports: [{name: h, port: 80}]\n  tls: {mode: None}\n", "belongs to Services alone");
    expect_entry_error(
        "  hosts: [s]\n  ports: [{name: h, port: 80, targetPort: 8080}]\n  tls: {mode: None}\n  endpoints: [{address: '10.0.0.1:90'}]\n",
        "spec.endpoints[0].address: has port 90, but targetPort of port h is 8080");
    expect_entry_error("  hosts: [s]\n  ports: [{name: h, port: 80}]\n  tls: {mode: None}\n  endpoints: [{address: a.example:80}]\n",
                       "is a name; allowed: an IP address, or resolution: DNS");
    expect_entry_error("  hosts: [s]\n  ports: [{name: h, port: 80}]\n  tls: {mode: None}\n  exportTo: [all]\n",
                       "spec.exportTo[0]: \"all\" is not allowed; allowed: Mesh");
}

static void mesh_needs_identities(void **state) {
    (void)state;
    expect_error(
        API "kind: Proxy\nmetadata: {name: p}\nspec:\n" OUTBOUND "  identity: {certificate: a, privateKey: b, trustBundle: c}\n---\n" API
            "kind: ServiceEntry\nmetadata: {name: s}\nspec:\n  hosts: [s]\n  ports: [{name: h, port: 80}]\n  endpoints: [{address: '10.0.0.1:1'}]\n",
        "t.yaml:11: ServiceEntry/default/s: spec.identities: there is none, and tls.mode Mesh takes only peers that are named");
    expect_error(API "kind: Proxy\nmetadata: {name: p}\nspec:\n" OUTBOUND "  identity: {certificate: a, privateKey: b, trustBundle: c}\n---\n" API
                     "kind: ServiceEntry\nmetadata: {name: s}\nspec:\n  hosts: [s]\n  ports: [{name: h, port: 80}]\n  endpoints: [{address: "
                     "'10.0.0.1:1'}]\n  identities: []\n",
                 "t.yaml:15: ServiceEntry/default/s: spec.identities: there is none");
    expect_entry_error("  hosts: [s]\n  ports: [{name: h, port: 80}]\n  identities: ['spiffe://a/b']\n  endpoints: [{address: '10.0.0.1:1'}]\n",
                       "ServiceEntry/default/s: spec.tls.mode: Mesh needs spec.identity of Proxy/default/p (t.yaml:1)");
    expect_entry_error(
        "  hosts: [s]\n  ports: [{name: h, port: 80}]\n  tls: {mode: None}\n  identities: ['https://a/b']\n  endpoints: [{address: '10.0.0.1:1'}]\n",
        "spec.identities[0]: is not a SPIFFE ID: ");
    expect_entry_error(
        "  hosts: [s]\n  ports: [{name: h, port: 80}]\n  tls: {mode: None}\n  identities: ['spiffe://a']\n  endpoints: [{address: '10.0.0.1:1'}]\n",
        "names a trust domain alone");
    expect_entry_error(
        "  hosts: [s]\n  ports: [{name: h, port: 80}]\n  tls: {mode: None}\n  endpoints: [{address: '10.0.0.1:1', identity: 'spiffe://a/b'}]\n",
        "spec.endpoints[0].identity: is for tls.mode Mesh alone");
}

static void an_endpoint_with_its_own_identity_needs_none_of_the_service(void **state) {
    (void)state;
    struct loaded loaded;
    expect_good(&loaded,
                API "kind: Proxy\nmetadata: {name: p}\nspec:\n" OUTBOUND "  identity: {certificate: a, privateKey: b, trustBundle: c}\n---\n" API
                    "kind: ServiceEntry\nmetadata: {name: s}\nspec:\n  hosts: [s]\n  ports: [{name: h, port: 80}]\n"
                    "  endpoints: [{address: '10.0.0.1:1', identity: 'spiffe://a/b'}, {address: '10.0.0.2:1', tls: {mode: None}}]\n");
    const struct service_config *service = find_key(loaded.snapshot, "default/s:80");
    assert_int_equal(service->endpoints[0].traits->tls, TLS_MESH);
    assert_int_equal(service->endpoints[0].traits->identity_count, 1);
    assert_int_equal(service->endpoints[1].traits->tls, TLS_NONE);
    assert_int_equal(service->endpoints[1].traits->identity_count, 0);
    loaded_dispose(&loaded);
}

static void a_host_belongs_to_one_service_of_a_namespace(void **state) {
    (void)state;
    expect_error(OUTBOUND_PROXY PLAIN_ENTRY("a", "") API
                 "kind: ServiceEntry\nmetadata: {name: b}\nspec:\n  hosts: [b, A.]\n  ports: [{name: h, port: 80}]\n  tls: {mode: None}\n"
                 "  endpoints: [{address: '10.0.0.1:1'}]\n",
                 "t.yaml:20: ServiceEntry/default/b: spec.hosts[1]: a belongs to ServiceEntry/default/a already (t.yaml:7)");
}

static void targets_must_be_there(void **state) {
    (void)state;
    expect_policy_error("  targetRefs: [{kind: Service, name: nowhere}]\n",
                        "spec.targetRefs[nowhere].name: there is no Service or ServiceEntry nowhere in namespace default");
    expect_policy_error("  targetRefs: [{kind: Service, name: s, namespace: far}]\n", "there is no Service or ServiceEntry s in namespace far");
    expect_policy_error("  targetRefs: [{kind: Service, name: s, sectionName: grpc}]\n",
                        "sectionName: \"grpc\" is no port of ServiceEntry/default/s; allowed: http");
    expect_policy_error("  targetRefs: [{kind: Service, name: s, group: apps}]\n", "\"apps\" is not the group of this kind");
    expect_policy_error("  targetRefs: [{kind: Namespace, name: other}]\n", "other is another namespace; allowed: the policy's own, default");
    expect_policy_error("  targetRefs: [{kind: Namespace, name: default, sectionName: http}]\n",
                        "sectionName: is for kind Service, kinds of routes and Gateway alone");
    expect_policy_error("  targetRefs: [{name: s}]\n", "spec.targetRefs[s].kind: is required");
}

static void a_wrong_document_can_still_be_referred_to(void **state) {
    (void)state;
    expect_error(OUTBOUND_PROXY PLAIN_ENTRY("s", "  wrong: 1\n") POLICY("t", "  targetRefs: [{kind: Service, name: s}]\n"),
                 "ServiceEntry/default/s: spec.wrong: unknown field");
}

static void a_target_has_one_policy(void **state) {
    (void)state;
    expect_error(OUTBOUND_PROXY PLAIN_ENTRY("s", "") POLICY("t", "  targetRefs: [{kind: Service, name: s}]\n")
                     POLICY("u", "  targetRefs: [{kind: Service, name: s}]\n"),
                 "t.yaml:26: TrafficPolicy/default/u: spec.targetRefs[s]: is the target of TrafficPolicy/default/t too (t.yaml:16); allowed: one "
                 "TrafficPolicy for a target");
    expect_policy_error("  targetRefs: [{kind: Service, name: s}, {kind: Service, name: s}]\n", "is the same target as one before it in the list");
    struct loaded loaded;
    expect_good(&loaded, OUTBOUND_PROXY PLAIN_ENTRY("s", "") POLICY("t", "  targetRefs: [{kind: Service, name: s}]\n")
                             POLICY("u", "  targetRefs: [{kind: Service, name: s, sectionName: http}]\n")
                                 POLICY("v", "  targetRefs: [{kind: Namespace, name: default}]\n"));
    loaded_dispose(&loaded);
}

static void what_is_disabled_says_nothing_else(void **state) {
    (void)state;
    expect_policy_error("  targetRefs: [{kind: Service, name: s}]\n  retry: {disabled: true, attempts: 2}\n",
                        "spec.retry: is disabled and has other fields");
}

static void health_groups_are_checked(void **state) {
    (void)state;
    static const struct {
        const char *groups, *error;
    } cases[] = {
        {"outlierDetection: {failureThreshold: 0}", "spec.outlierDetection.failureThreshold: "},
        {"outlierDetection: {ejectFor: 1m, maxEjectFor: 30s}", "spec.outlierDetection.maxEjectFor: is below ejectFor"},
        {"outlierDetection: {disabled: true, failureThreshold: 1}", "spec.outlierDetection: is disabled and has other fields"},
        {"healthCheck: {type: GRPC, path: /health}", "spec.healthCheck.path: is for type HTTP alone"},
        {"healthCheck: {type: TCP, host: a}", "spec.healthCheck.host: is for type HTTP and GRPC alone"},
        {"healthCheck: {grpcService: a}", "spec.healthCheck.grpcService: is for type GRPC alone"},
        {"healthCheck: {path: health}", "spec.healthCheck.path: is no path of a request"},
        {"healthCheck: {path: '/a b'}", "spec.healthCheck.path: is no path of a request"},
        {"healthCheck: {host: '*.a'}", "spec.healthCheck.host: is no host of a request"},
        {"healthCheck: {statuses: [99]}", "spec.healthCheck.statuses"},
        {"healthCheck: {interval: 1s, timeout: 2s}", "spec.healthCheck.timeout: is above interval"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char policy[256];
        snprintf(policy, sizeof policy, "  targetRefs: [{kind: Service, name: s}]\n  %s\n", cases[i].groups);
        expect_policy_error(policy, cases[i].error);
    }
}

static void what_is_doubtful_is_warned_of(void **state) {
    (void)state;
    expect_warning(OUTBOUND_PROXY API "kind: ServiceEntry\nmetadata: {name: s}\nspec:\n  hosts: [s]\n  ports: [{name: h, port: 80}]\n",
                   "spec.endpoints: there is none: all requests get 503");
    expect_warning(OUTBOUND_PROXY API
                   "kind: ServiceEntry\nmetadata: {name: s}\nspec:\n  hosts: [s]\n  ports: [{name: h, port: 80}]\n  tls: {mode: None}\n"
                   "  endpoints: [{address: 10.0.0.1, weight: 0}]\n",
                   "spec.endpoints: all weigh 0");
    expect_warning(
        OUTBOUND_PROXY API
        "kind: ServiceEntry\nmetadata: {name: s}\nspec:\n  hosts: [s]\n  ports: [{name: h, port: 80}, {name: g, port: 81}]\n  tls: {mode: None}\n"
        "  endpoints: [{address: '10.0.0.1:1'}]\n",
        "all 2 ports of the service lead to it");
    expect_warning(API "kind: Proxy\nmetadata: {name: p}\nspec:\n" OUTBOUND "  admin: {address: 'unix:/a.sock', tokenFile: /t}\n",
                   "spec.admin.tokenFile: is asked for over TCP alone");
    expect_warning(API "kind: Proxy\nmetadata: {name: p}\nspec:\n" OUTBOUND "  admin: {address: '0.0.0.0:1'}\n",
                   "spec.admin.address: 0.0.0.0:1 can be reached from other machines");
    expect_warning(
        OUTBOUND_PROXY API
        "kind: ServiceEntry\nmetadata: {name: s, namespace: far}\nspec:\n  hosts: [s]\n  ports: [{name: h, port: 80}]\n  tls: {mode: None}\n"
        "  endpoints: [{address: 10.0.0.1}]\n",
        "t.yaml:7: ServiceEntry/far/s: is seen in namespace far alone, and Proxy/default/p is in another");
    expect_warning(API "kind: Proxy\nmetadata: {name: p}\nspec:\n" OUTBOUND "  workers: '2'\n",
                   "spec.workers: is in quotes: other YAML readers take it for a text");
    expect_warning(API "kind: Proxy\nmetadata: {name: p, labels: {flag: on}}\nspec:\n" OUTBOUND,
                   "metadata.labels.flag: should be in quotes: other YAML readers take on for a boolean");
    expect_warning(API "kind: Proxy\nmetadata: {name: 007}\nspec:\n" OUTBOUND,
                   "metadata.name: should be in quotes: other YAML readers take 007 for a number");
}

#define ENTRY_OF(more) "  hosts: [s]\n  ports: [{name: h, port: 80}]\n  tls: {mode: None}\n" more

static void addresses_are_what_the_resolution_can_read(void **state) {
    (void)state;
    expect_entry_error(ENTRY_OF("  endpoints: [{address: courses.example}]\n"), "is a name; allowed: an IP address, or resolution: DNS");
    expect_entry_error(ENTRY_OF("  resolution: DNS\n  endpoints: [{address: 10.0.0.300}]\n"), "\"10.0.0.300\" is not allowed");
    expect_entry_error(ENTRY_OF("  resolution: DNS\n  endpoints: [{address: 'a..b'}]\n"), "is not allowed");
    expect_entry_error(ENTRY_OF("  resolution: DNS\n  endpoints: [{address: 'courses.example:0'}]\n"), "is not allowed");
    expect_entry_error(ENTRY_OF("  resolution: SRV\n  endpoints: [{address: '_h._tcp.s.example:80'}]\n"), "a name without port");
    expect_entry_error(ENTRY_OF("  resolution: SRV\n  endpoints: [{address: '10.0.0.1'}]\n"), "is not the name of SRV records");
    expect_entry_error(ENTRY_OF("  resolution: SRV\n  endpoints: [{address: _h._tcp.s.example, weight: 3}]\n"), "with SRV the records say weights");
    expect_entry_error(ENTRY_OF("  resolution: SRV\n"), "spec.endpoints: there is none; needed with resolution SRV");
    expect_entry_error("  hosts: ['*.s.example']\n  ports: [{name: h, port: 80}]\n  tls: {mode: None}\n  resolution: DNS\n", "all are wildcards");
    expect_proxy_error(OUTBOUND "  dns: {servers: [ns.example]}\n", "spec.dns.servers[0]: \"ns.example\" is not allowed");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_envelope_is_checked),
        cmocka_unit_test(a_gateway_may_trust_what_it_takes_off),
        cmocka_unit_test(the_log_has_no_headers_that_let_somebody_in),
        cmocka_unit_test(kinds_are_told_apart),
        cmocka_unit_test(exactly_one_proxy_is_needed),
        cmocka_unit_test(names_are_unique_by_kind_and_namespace),
        cmocka_unit_test(unknown_fields_are_errors_with_the_nearest_name),
        cmocka_unit_test(fields_of_the_language_that_are_not_built_say_so),
        cmocka_unit_test(bounds_say_what_is_allowed),
        cmocka_unit_test(a_hedge_after_a_delay_says_which),
        cmocka_unit_test(what_is_tried_again_is_named_in_the_words_of_its_standard),
        cmocka_unit_test(texts_have_no_control_characters),
        cmocka_unit_test(listeners_are_checked_by_role),
        cmocka_unit_test(mutual_tls_inward_needs_an_identity),
        cmocka_unit_test(what_may_be_in_a_part_that_cannot_be_read_is_not_missed),
        cmocka_unit_test(one_mistake_is_one_error),
        cmocka_unit_test(two_errors_are_both_told),
        cmocka_unit_test(no_two_listeners_share_an_address),
        cmocka_unit_test(an_application_is_not_the_proxy_itself),
        cmocka_unit_test(a_service_that_a_proxy_names_need_not_be_described),
        cmocka_unit_test(entries_are_checked),
        cmocka_unit_test(mesh_needs_identities),
        cmocka_unit_test(an_endpoint_with_its_own_identity_needs_none_of_the_service),
        cmocka_unit_test(a_host_belongs_to_one_service_of_a_namespace),
        cmocka_unit_test(targets_must_be_there),
        cmocka_unit_test(a_wrong_document_can_still_be_referred_to),
        cmocka_unit_test(a_target_has_one_policy),
        cmocka_unit_test(addresses_are_what_the_resolution_can_read),
        cmocka_unit_test(what_is_disabled_says_nothing_else),
        cmocka_unit_test(health_groups_are_checked),
        cmocka_unit_test(what_is_doubtful_is_warned_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
