// What a snapshot says of good documents: services, keys, hosts, defaults, digests; and its life.
#include "load_text.h"

#include "base/clock.h"
#include "config/value.h"

#include <pthread.h>

#define ENTRY(namespace_name, name, hosts, more)                                                                                                     \
    API "kind: ServiceEntry\nmetadata: {name: " name ", namespace: " namespace_name "}\nspec:\n  hosts: " hosts "\n  tls: {mode: None}\n" more "---" \
        "\n"
#define ONE_PORT "  ports: [{name: http, port: 80}]\n  endpoints: [{address: '10.0.0.1:8000'}]\n"
#define TWO_PORTS                                                                                                                                  \
    "  ports: [{name: http, port: 80}, {name: grpc, port: 9000, targetPort: 9001, protocol: GRPC}]\n  endpoints: [{address: 10.0.0.1}, {address: " \
    "'[::1]'}]\n"
#define POLICY_OF(namespace_name, name, more) \
    API "kind: TrafficPolicy\nmetadata: {name: " name ", namespace: " namespace_name "}\nspec:\n" more "---\n"
#define TARGET(fields) "  targetRefs: [{" fields "}]\n"
#define CALLER                                                                                                                 \
    API "kind: Proxy\nmetadata: {name: p, namespace: school}\nspec:\n  listeners: [{name: outbound, role: Outbound, address: " \
        "'127.0.0.1:15001'}]\n---\n"

static void assert_endpoint(const struct endpoint_config *endpoint, const char *address, const char *peer_key) {
    char text[ENDPOINT_ADDRESS_TEXT_MAX];
    endpoint_address_print(&endpoint->address, text);
    assert_string_equal(text, address);
    assert_bytes_equal(endpoint->traits->peer_key, peer_key);
}

static void expect_host(const struct snapshot *snapshot, const char *authority, uint16_t port, const char *key) {
    const struct service_config *service = snapshot_find_host(snapshot, bytes_from_text(authority), port);
    if (key == NULL && service != NULL)
        fail_msg("%s was found", authority);
    if (key != NULL && (service == NULL || !bytes_equal(service->key, bytes_from_text(key))))
        fail_msg("%s led to %.*s and not to %s", authority, service == NULL ? 4 : (int)service->key.len, service == NULL ? "none" : service->key.at,
                 key);
}

static void defaults_are_those_of_the_policy_language(void **state) {
    (void)state;
    struct loaded loaded;
    const struct snapshot *snapshot =
        expect_good(&loaded, API "kind: Proxy\nmetadata: {name: p}\nspec:\n  listeners: [{name: o, role: Outbound}]\n---\n" PLAIN_ENTRY("s", ""));
    const struct proxy_config *proxy = &snapshot->proxy;
    assert_int_equal(proxy->workers, 1);
    assert_bytes_equal(proxy->namespace_name, "default");
    assert_bytes_equal(proxy->listeners[0].address.text, "127.0.0.1:15001");
    assert_bytes_equal(proxy->admin.text, "127.0.0.1:15000");
    assert_int_equal(proxy->admin_token_file.len, 0);
    assert_bytes_equal(proxy->metrics.text, "0.0.0.0:15020");
    assert_int_equal(proxy->listeners[0].unknown_hosts, UNKNOWN_HOSTS_REJECT);
    assert_false(proxy->identity.given);
    assert_bytes_equal(proxy->telemetry.access_log.path, "/dev/stdout");
    assert_int_equal(proxy->telemetry.access_log.filter, LOG_FILTER_ERRORS);
    assert_int_equal(proxy->limits.connections, 10000);
    assert_int_equal(proxy->limits.headers, 100);
    assert_int_equal(proxy->limits.header_bytes, 60 * 1024);
    assert_int_equal(proxy->limits.url_bytes, 8 * 1024);
    assert_int_equal(proxy->limits.body_bytes, 0);
    assert_int_equal(proxy->limits.streams_per_connection, 100);
    assert_int_equal(proxy->limits.buffer_per_stream, 65536);
    assert_true(proxy->limits.header_timeout == 10 * NS_PER_S && proxy->limits.body_idle_timeout == 60 * NS_PER_S);
    assert_true(proxy->limits.idle_timeout == 3600 * NS_PER_S && proxy->limits.drain_timeout == 20 * NS_PER_S);
    assert_int_equal(proxy->limits.memory_percent, 80);
    const struct traffic_config *traffic = &find_key(snapshot, "default/s:80")->traffic;
    assert_int_equal(traffic->load_balancer.type, LB_PEAK_EWMA);
    assert_int_equal(traffic->connections.max, 0);
    assert_int_equal(traffic->connections.max_pending, 1024);
    assert_int_equal(traffic->connections.max_streams, 100);
    assert_true(traffic->connections.connect_timeout == NS_PER_S && traffic->connections.idle_timeout == 30 * NS_PER_S);
    assert_true(traffic->connections.http1_idle_timeout == 4 * NS_PER_S && traffic->connections.max_age == 0);
    assert_true(traffic->connections.keepalive == 30 * NS_PER_S);
    assert_true(traffic->timeouts.request == 0 && traffic->timeouts.backend_request == 0 && traffic->timeouts.idle == 300 * NS_PER_S);
    assert_true(traffic->timeouts.tcp_idle == 3600 * NS_PER_S);
    assert_true(traffic->deadline.propagate);
    assert_int_equal(traffic->retry.attempts, 1);
    assert_true(traffic->retry.connect_failure && traffic->retry.refused_stream && traffic->retry.unsent);
    assert_false(traffic->retry.gateway_error || traffic->retry.reset || traffic->retry.timeout);
    for (unsigned i = 0; i < RETRY_CODE_WORDS; i++)
        assert_true(traffic->retry.codes[i] == 0);
    for (unsigned i = 0; i < GRPC_CODE_COUNT; i++)
        assert_false(traffic->retry.grpc_codes[i]);
    static const enum http_method idempotent[] = {METHOD_GET, METHOD_HEAD, METHOD_OPTIONS, METHOD_TRACE, METHOD_PUT, METHOD_DELETE};
    unsigned methods = 0;
    for (unsigned i = 0; i < METHOD_COUNT; i++)
        methods += traffic->retry.methods[i];
    for (unsigned i = 0; i < 6; i++) // RFC 9110 section 9.2.2
        assert_true(traffic->retry.methods[idempotent[i]]);
    assert_int_equal(methods, 6);
    assert_true(traffic->retry.respect_retry_after == 2 * NS_PER_S);
    assert_int_equal(traffic->hedge.max, 0); // nothing is hedged
    assert_true(traffic->retry.backoff.base == 25 * NS_PER_MS && traffic->retry.backoff.max == 250 * NS_PER_MS);
    assert_int_equal(traffic->retry.buffer_bytes, 65536);
    assert_int_equal(traffic->retry.budget.percent, 20);
    assert_true(traffic->retry.budget.interval == 10 * NS_PER_S);
    assert_int_equal(traffic->retry.budget.min_per_second, 1);
    assert_null(traffic->place.file);
    assert_bytes_equal(traffic->policy, "");
    loaded_dispose(&loaded);
}

static const char *const everything =
    API "kind: Proxy\nmetadata: {name: p, namespace: school}\nspec:\n  service: courses\n  workers: 2\n"
        "  listeners:\n  - {name: in, role: Inbound, address: '[::]:1', forwardTo: '[::1]:2', mtls: {mode: Permissive}, appProtocol: HTTP2}\n"
        "  - {name: out, role: Outbound, address: '127.0.0.1:3', unknownHosts: Reject}\n"
        "  admin: {address: 'unix:/run/a.sock'}\n  metrics: {disabled: true}\n"
        "  identity: {source: Files, certificate: /c, privateKey: /k, trustBundle: /t}\n"
        "  limits: {connections: 1, headers: 2, headerBytes: 3Ki, urlBytes: 4Ki, bodyBytes: 5Ki, streamsPerConnection: 6, bufferPerStream: 17Ki, "
        "headerTimeout: 7s,\n"
        "    bodyIdleTimeout: 8s, idleTimeout: 9s, drainTimeout: 0s, memoryPercent: 10}\n"
        "  telemetry: {accessLog: {path: /log, format: JSON, filter: All}}\n---\n" API
        "kind: ServiceEntry\nmetadata: {name: e, namespace: school}\nspec:\n  hosts: [e]\n  ports: [{name: h, port: 80, protocol: HTTP2}]\n  "
        "resolution: Static\n"
        "  tls: {mode: Mesh}\n  identities: ['spiffe://a/b', 'spiffe://a/c']\n"
        "  endpoints: [{address: '10.0.0.1:5', weight: 3}, {address: '10.0.0.2:5', identity: 'spiffe://a/d'}]\n---\n" API
        "kind: TrafficPolicy\nmetadata: {name: t, namespace: school}\nspec:\n  targetRefs: [{group: '', kind: Service, name: e, sectionName: h}]\n"
        "  loadBalancer: {type: RoundRobin}\n"
        "  connections: {max: 1, maxPending: 2, maxStreams: 3, connectTimeout: 4s, idleTimeout: 5s, http1IdleTimeout: 6s, maxAge: 7s, keepalive: "
        "8s}\n"
        "  timeouts: {request: 1s, backendRequest: 2s, idle: 3s, tcpIdle: 4s}\n  deadline: {propagate: false}\n"
        "  retry: {attempts: 3, conditions: [Unsent, Reset], codes: [599, 400, 464], grpcCodes: [UNAVAILABLE, UNAUTHENTICATED], methods: [POST], "
        "respectRetryAfter: 1m, backoff: {base: 1ms, max: 2ms}, bufferBytes: 1Ki, budget: {percent: 5, interval: 6s, "
        "minPerSecond: 7}}\n";

static void where_the_token_of_the_admin_is_arrives(void **state) {
    (void)state;
    struct loaded loaded;
    const struct snapshot *snapshot = expect_good(
        &loaded, API
        "kind: Proxy\nmetadata: {name: p}\nspec:\n  listeners: [{name: o, role: Outbound}]\n  admin: {tokenFile: /run/token}\n---\n" PLAIN_ENTRY("s",
                                                                                                                                                 ""));
    assert_bytes_equal(snapshot->proxy.admin_token_file, "/run/token");
    loaded_dispose(&loaded);
}

static void everything_that_is_said_of_a_proxy_arrives(void **state) {
    (void)state;
    struct loaded loaded;
    const struct snapshot *snapshot = expect_good(&loaded, everything);
    const struct proxy_config *proxy = &snapshot->proxy;
    assert_bytes_equal(proxy->service, "courses");
    assert_int_equal(proxy->workers, 2);
    assert_int_equal(proxy->listener_count, 2);
    assert_int_equal(proxy->listeners[0].mtls, MTLS_PERMISSIVE);
    assert_int_equal(proxy->listeners[0].app_protocol, APP_PROTOCOL_HTTP2);
    assert_int_equal(proxy->listeners[0].place.line, 8);
    assert_int_equal(proxy->listeners[1].role, ROLE_OUTBOUND);
    assert_null(proxy->listeners[1].service);
    assert_int_equal(proxy->admin.storage.ss_family, AF_UNIX);
    assert_int_equal(proxy->metrics.length, 0);
    assert_bytes_equal(proxy->identity.certificate, "/c");
    assert_bytes_equal(proxy->identity.private_key, "/k");
    assert_bytes_equal(proxy->identity.trust_bundle, "/t");
    assert_int_equal(proxy->limits.connections + proxy->limits.headers, 3);
    assert_int_equal(proxy->limits.header_bytes + proxy->limits.url_bytes, 7 * 1024);
    assert_int_equal(proxy->limits.body_bytes, 5 * 1024);
    assert_int_equal(proxy->limits.streams_per_connection, 6);
    assert_int_equal(proxy->limits.buffer_per_stream, 17 * 1024);
    assert_true(proxy->limits.header_timeout == 7 * NS_PER_S && proxy->limits.body_idle_timeout == 8 * NS_PER_S);
    assert_true(proxy->limits.idle_timeout == 9 * NS_PER_S && proxy->limits.drain_timeout == 0);
    assert_int_equal(proxy->limits.memory_percent, 10);
    assert_bytes_equal(proxy->telemetry.access_log.path, "/log");
    assert_int_equal(proxy->telemetry.access_log.filter, LOG_FILTER_ALL);
    loaded_dispose(&loaded);
}

static void everything_that_is_said_of_a_service_arrives(void **state) {
    (void)state;
    struct loaded loaded;
    const struct snapshot *snapshot = expect_good(&loaded, everything);
    const struct service_config *service = find_key(snapshot, "school/e:80");
    assert_int_equal(service->protocol, PROTOCOL_HTTP2);
    assert_bytes_equal(service->port_name, "h");
    assert_int_equal(service->endpoints[0].weight, 3);
    assert_int_equal(service->endpoints[1].weight, 1);
    assert_int_equal(service->endpoints[0].traits->identity_count, 2);
    assert_endpoint(&service->endpoints[0], "10.0.0.1:5", "mesh spiffe://a/b spiffe://a/c");
    assert_endpoint(&service->endpoints[1], "10.0.0.2:5", "mesh spiffe://a/d");
    const struct traffic_config *traffic = &service->traffic;
    assert_int_equal(traffic->load_balancer.type, LB_ROUND_ROBIN);
    assert_int_equal(traffic->connections.max + traffic->connections.max_pending * 10 + traffic->connections.max_streams * 100, 321);
    assert_true(traffic->connections.connect_timeout == 4 * NS_PER_S && traffic->connections.idle_timeout == 5 * NS_PER_S);
    assert_true(traffic->connections.http1_idle_timeout == 6 * NS_PER_S && traffic->connections.max_age == 7 * NS_PER_S);
    assert_true(traffic->connections.keepalive == 8 * NS_PER_S);
    assert_true(traffic->timeouts.request == NS_PER_S && traffic->timeouts.backend_request == 2 * NS_PER_S && traffic->timeouts.idle == 3 * NS_PER_S);
    assert_true(traffic->timeouts.tcp_idle == 4 * NS_PER_S);
    assert_false(traffic->deadline.propagate || traffic->retry.connect_failure || traffic->retry.refused_stream);
    assert_true(traffic->retry.unsent && traffic->retry.reset && !traffic->retry.gateway_error && !traffic->retry.timeout);
    assert_true(traffic->retry.codes[0] == 1 && traffic->retry.codes[1] == 1 && traffic->retry.codes[2] == 0);
    assert_true(traffic->retry.codes[3] == UINT64_C(1) << (199 - 192));
    for (unsigned i = 0; i < GRPC_CODE_COUNT; i++)
        assert_int_equal(traffic->retry.grpc_codes[i], i == 14 || i == 16);
    for (unsigned i = 0; i < METHOD_COUNT; i++)
        assert_int_equal(traffic->retry.methods[i], i == METHOD_POST);
    assert_true(traffic->retry.respect_retry_after == 60 * NS_PER_S);
    assert_int_equal(traffic->retry.attempts, 3);
    assert_true(traffic->retry.backoff.base == NS_PER_MS && traffic->retry.backoff.max == 2 * NS_PER_MS);
    assert_int_equal(traffic->retry.buffer_bytes, 1024);
    assert_int_equal(traffic->retry.budget.percent, 5);
    assert_true(traffic->retry.budget.interval == 6 * NS_PER_S);
    assert_int_equal(traffic->retry.budget.min_per_second, 7);
    assert_bytes_equal(traffic->policy, "school/t");
    assert_string_equal(traffic->place.file, "t.yaml");
    loaded_dispose(&loaded);
}

static void an_application_is_a_service_of_one_plain_endpoint(void **state) {
    (void)state;
    static const struct {
        const char *said;
        enum port_protocol protocol;
    } cases[] = {{"", PROTOCOL_HTTP}, {", appProtocol: HTTP1", PROTOCOL_HTTP1}, {", appProtocol: HTTP2", PROTOCOL_HTTP2}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[512];
        struct loaded loaded;
        snprintf(text, sizeof(text),
                 API "kind: Proxy\nmetadata: {name: p}\nspec:\n  listeners: [{name: in, role: Inbound, forwardTo: '127.0.0.1:8000', mtls: {mode: "
                     "Disable}%s}]\n",
                 cases[i].said);
        const struct snapshot *snapshot = expect_good(&loaded, text);
        const struct listener_config *listener = &snapshot->proxy.listeners[0];
        const struct service_config *service = listener->service;
        assert_ptr_equal(service, find_key(snapshot, "app/in"));
        assert_true(service->is_application);
        assert_bytes_equal(listener->address.text, "0.0.0.0:15006");
        assert_int_equal(service->protocol, cases[i].protocol);
        assert_int_equal(service->port, 8000);
        assert_int_equal(service->endpoint_count, 1);
        assert_int_equal(service->endpoints[0].traits->tls, TLS_NONE);
        assert_int_equal(service->endpoints[0].weight, 1);
        assert_endpoint(&service->endpoints[0], "127.0.0.1:8000", "none");
        assert_true(service->traffic.connections.http1_idle_timeout == 4 * NS_PER_S);
        assert_true(service->traffic.retry.unsent);
        assert_false(service->traffic.retry.connect_failure || service->traffic.retry.refused_stream);
        loaded_dispose(&loaded);
    }
}

static void hosts_are_found_in_any_form(void **state) {
    (void)state;
    struct loaded loaded;
    const struct snapshot *snapshot = expect_good(&loaded, CALLER ENTRY("school", "courses", "[Courses, courses.school.example]", ONE_PORT));
    expect_host(snapshot, "courses", 80, "school/courses:80");
    expect_host(snapshot, "COURSES", 80, "school/courses:80");
    expect_host(snapshot, "courses.", 80, "school/courses:80");
    expect_host(snapshot, "courses:80", 443, "school/courses:80");
    expect_host(snapshot, "courses.:80", 443, "school/courses:80");
    expect_host(snapshot, "courses:", 80, "school/courses:80");
    expect_host(snapshot, "courses:8123", 80, "school/courses:80");
    expect_host(snapshot, "courses.school.example:80", 80, "school/courses:80");
    static const char *const unknown[] = {"",           "course",        "coursess",     "courses.school", "a.courses", ".courses", "courses..",
                                          "courses:0",  "courses:65536", "courses:8x",   "courses:80:80",  ":80",       ".",        "..",
                                          "courses\0x", " courses",      "user@courses", "[courses]",      "[",         "[::1"};
    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
        if (strcmp(unknown[i], "courses") != 0)
            expect_host(snapshot, unknown[i], 80, NULL);
    assert_null(snapshot_find_host(snapshot, BYTES("courses\0x"), 80));
    assert_null(snapshot_find_host(snapshot, BYTES_NONE, 80));
    loaded_dispose(&loaded);
}

static void a_host_too_long_to_be_one_is_unknown(void **state) {
    (void)state;
    struct loaded loaded;
    char host[2048];
    memset(host, 'a', sizeof(host));
    const struct snapshot *snapshot = expect_good(&loaded, CALLER ENTRY("school", "w", "['*.example']", ONE_PORT));
    for (size_t length = 200; length < 320; length++) {
        memset(host, 'a', sizeof(host));
        memcpy(host + length - 8, ".example", 8);
        bool is_host = length <= 253;
        assert_int_equal(snapshot_find_host(snapshot, bytes_from(host, length), 80) != NULL, is_host);
        memcpy(host + length, ".:65535", 7);
        assert_int_equal(snapshot_find_host(snapshot, bytes_from(host, length + 7), 80) != NULL, is_host);
    }
    assert_null(snapshot_find_host(snapshot, bytes_from(host, sizeof(host)), 80));
    loaded_dispose(&loaded);
}

static void each_port_is_a_service(void **state) {
    (void)state;
    struct loaded loaded;
    const struct snapshot *snapshot = expect_good(&loaded, CALLER ENTRY("school", "s", "[s]", TWO_PORTS));
    expect_host(snapshot, "s", 80, "school/s:80");
    expect_host(snapshot, "s", 9000, "school/s:9000");
    expect_host(snapshot, "s:9000", 80, "school/s:9000");
    expect_host(snapshot, "s:1234", 80, "school/s:80");
    expect_host(snapshot, "s", 443, "school/s:80");
    const struct service_config *http = find_key(snapshot, "school/s:80"), *grpc = find_key(snapshot, "school/s:9000");
    assert_int_equal(http->endpoints[0].address.port, 80);
    assert_int_equal(grpc->endpoints[0].address.port, 9001);
    assert_endpoint(&grpc->endpoints[1], "[::1]:9001", "none");
    assert_int_equal(grpc->protocol, PROTOCOL_GRPC);
    loaded_dispose(&loaded);
}

static void a_host_with_a_port_leads_there_alone(void **state) {
    (void)state;
    struct loaded loaded;
    const struct snapshot *snapshot =
        expect_good(&loaded, CALLER ENTRY("school", "s", "['s:9000', 'alias:9000']", TWO_PORTS) ENTRY("school", "one", "['one:7']", ONE_PORT));
    expect_host(snapshot, "s:9000", 80, "school/s:9000");
    expect_host(snapshot, "s", 9000, "school/s:9000");
    expect_host(snapshot, "s", 80, NULL);
    expect_host(snapshot, "s:80", 80, NULL);
    expect_host(snapshot, "one:7", 80, "school/one:80");
    expect_host(snapshot, "one", 80, NULL);
    loaded_dispose(&loaded);
}

static void exact_goes_before_wildcard_and_long_before_short(void **state) {
    (void)state;
    struct loaded loaded;
    const struct snapshot *snapshot =
        expect_good(&loaded, CALLER ENTRY("school", "a", "['*.example.com']", ONE_PORT) ENTRY("school", "b", "['*.b.example.com']", ONE_PORT)
                                 ENTRY("school", "c", "[c.b.example.com]", ONE_PORT) ENTRY("school", "d", "['*.b.example.com:8443']", ONE_PORT));
    expect_host(snapshot, "x.example.com", 80, "school/a:80");
    expect_host(snapshot, "x.y.example.com:5", 80, "school/a:80");
    expect_host(snapshot, "x.b.example.com", 80, "school/b:80");
    expect_host(snapshot, "c.b.example.com", 80, "school/c:80");
    expect_host(snapshot, "x.b.example.com:8443", 80, "school/d:80");
    expect_host(snapshot, "c.b.example.com:8443", 80, "school/c:80");
    expect_host(snapshot, "example.com", 80, NULL);
    expect_host(snapshot, ".example.com", 80, NULL);
    expect_host(snapshot, "b.example.com", 80, "school/a:80");
    expect_host(snapshot, "xexample.com", 80, NULL);
    expect_host(snapshot, "x..example.com", 80, NULL);
    loaded_dispose(&loaded);
}

static void ip_literals_are_hosts(void **state) {
    (void)state;
    struct loaded loaded;
    const struct snapshot *snapshot =
        expect_good(&loaded, CALLER ENTRY("school", "v4", "[10.0.0.9]", ONE_PORT) ENTRY("school", "v6", "['[2001:DB8::1]']", ONE_PORT));
    expect_host(snapshot, "10.0.0.9:1", 80, "school/v4:80");
    expect_host(snapshot, "[2001:db8::1]", 80, "school/v6:80");
    expect_host(snapshot, "[2001:db8::1]:80", 80, "school/v6:80");
    expect_host(snapshot, "2001:db8::1", 80, NULL);
    loaded_dispose(&loaded);
}

static void other_namespaces_are_seen_when_exported(void **state) {
    (void)state;
    struct loaded loaded;
    const struct snapshot *snapshot =
        expect_good(&loaded, CALLER ENTRY("far", "hidden", "[hidden]", ONE_PORT) ENTRY("far", "open", "[open]", ONE_PORT "  exportTo: [Mesh]\n")
                                 ENTRY("far", "taken", "[mine]", ONE_PORT "  exportTo: [Mesh]\n") ENTRY("school", "mine", "[mine]", ONE_PORT));
    expect_host(snapshot, "hidden", 80, NULL);
    assert_null(find_key(snapshot, "far/hidden:80"));
    expect_host(snapshot, "open", 80, "far/open:80");
    expect_host(snapshot, "mine", 80, "school/mine:80");
    loaded_dispose(&loaded);
}

static const struct traffic_config *merged(struct loaded *loaded, const char *text, const char *key) {
    return &find_key(expect_good(loaded, text), key)->traffic;
}

static void each_group_comes_from_the_most_specific_policy(void **state) {
    (void)state;
    struct loaded loaded;
    const char *text = CALLER ENTRY("school", "s", "[s]", TWO_PORTS) POLICY_OF(
        "school", "ns",
        TARGET("kind: Namespace, name: school") "  timeouts: {request: 1s, idle: 1m}\n  retry: {attempts: 5}\n  loadBalancer: {type: RoundRobin}\n")
        POLICY_OF("school", "svc", TARGET("kind: Service, name: s") "  timeouts: {request: 2s}\n")
            POLICY_OF("school", "port", TARGET("kind: Service, name: s, sectionName: grpc") "  retry: {attempts: 7}\n");
    const struct traffic_config *traffic = merged(&loaded, text, "school/s:80");
    assert_true(traffic->timeouts.request == 2 * NS_PER_S);
    assert_true(traffic->timeouts.idle == 300 * NS_PER_S); // the group is taken whole: 1m of the namespace's is gone
    assert_int_equal(traffic->retry.attempts, 5);
    assert_int_equal(traffic->load_balancer.type, LB_ROUND_ROBIN);
    assert_bytes_equal(traffic->policy, "school/svc");
    assert_bytes_equal(traffic->timeouts.policy, "TrafficPolicy/school/svc");
    assert_bytes_equal(traffic->retry.policy, "TrafficPolicy/school/ns");
    assert_bytes_equal(traffic->connections.policy, "");
    loaded_dispose(&loaded);
    traffic = merged(&loaded, text, "school/s:9000");
    assert_int_equal(traffic->retry.attempts, 7);
    assert_true(traffic->timeouts.request == 2 * NS_PER_S);
    assert_bytes_equal(traffic->policy, "school/port");
    assert_bytes_equal(traffic->timeouts.policy, "TrafficPolicy/school/svc");
    assert_bytes_equal(traffic->retry.policy, "TrafficPolicy/school/port");
    loaded_dispose(&loaded);
}

// Ejection is on and checks are off where nobody says otherwise; each is taken whole, and switched off as others are.
static void endpoints_are_ejected_and_checked_as_policies_say(void **state) {
    (void)state;
    struct loaded loaded;
    const char *ns = CALLER ENTRY("school", "s", "[s]", TWO_PORTS)
        POLICY_OF("school", "ns",
                  TARGET("kind: Namespace, name: school") "  healthCheck: {path: /a, interval: 1s, statuses: [204]}\n"
                                                          "  outlierDetection: {failureThreshold: 9, mode: DryRun}\n")
            POLICY_OF("school", "port",
                      TARGET("kind: Service, name: s, sectionName: grpc") "  healthCheck: {disabled: true}\n  outlierDetection: {disabled: true}\n");
    const struct traffic_config *traffic = merged(&loaded, CALLER ENTRY("school", "s", "[s]", ONE_PORT), "school/s:80");
    assert_int_equal(traffic->outlier.failure_threshold, 5);
    assert_int_equal(traffic->outlier.max_ejected_percent, 50);
    assert_true(traffic->outlier.interval == 10 * NS_PER_S && traffic->outlier.eject_for == 30 * NS_PER_S);
    assert_true(traffic->outlier.max_eject_for == 300 * NS_PER_S);
    assert_false(traffic->outlier.dry_run);
    assert_true(traffic->health_check.interval == 0);
    loaded_dispose(&loaded);
    traffic = merged(&loaded, ns, "school/s:80");
    assert_int_equal(traffic->outlier.failure_threshold, 9);
    assert_true(traffic->outlier.dry_run);
    assert_bytes_equal(traffic->outlier.policy, "TrafficPolicy/school/ns");
    assert_true(traffic->health_check.interval == NS_PER_S);
    assert_true(traffic->health_check.timeout == NS_PER_S); // its default is above the interval
    assert_bytes_equal(traffic->health_check.path, "/a");
    assert_true(health_check_takes_status(&traffic->health_check, 204));
    assert_false(health_check_takes_status(&traffic->health_check, 200));
    loaded_dispose(&loaded);
    traffic = merged(&loaded, ns, "school/s:9000");
    assert_int_equal(traffic->outlier.failure_threshold, 0);
    assert_true(traffic->health_check.interval == 0);
    loaded_dispose(&loaded);
}

static void the_order_of_documents_does_not_matter(void **state) {
    (void)state;
    struct loaded loaded;
    const struct traffic_config *traffic =
        merged(&loaded,
               POLICY_OF("school", "port", TARGET("kind: Service, name: s, sectionName: http") "  retry: {attempts: 7}\n")
                   POLICY_OF("school", "ns", TARGET("kind: Namespace, name: school") "  retry: {attempts: 5}\n")
                       CALLER ENTRY("school", "s", "[s]", ONE_PORT),
               "school/s:80");
    assert_int_equal(traffic->retry.attempts, 7);
    loaded_dispose(&loaded);
}

static void disabled_switches_an_inherited_group_off(void **state) {
    (void)state;
    struct loaded loaded;
    const struct traffic_config *traffic = merged(
        &loaded,
        CALLER ENTRY("school", "s", "[s]", ONE_PORT) POLICY_OF(
            "school", "ns",
            TARGET("kind: Namespace, name: school") "  timeouts: {request: 1s}\n  retry: {attempts: 5}\n  loadBalancer: {type: RoundRobin}\n"
                                                    "  connections: {maxPending: 1}\n")
            POLICY_OF("school", "svc",
                      TARGET("kind: Service, name: s") "  timeouts: {disabled: true}\n  retry: {disabled: true}\n  loadBalancer: {disabled: true}\n"
                                                       "  deadline: {disabled: true}\n  connections: {disabled: true}\n"),
        "school/s:80");
    assert_true(traffic->timeouts.request == 0 && traffic->timeouts.idle == 0 && traffic->timeouts.backend_request == 0);
    assert_int_equal(traffic->retry.attempts, 0);
    assert_int_equal(traffic->load_balancer.type, LB_PEAK_EWMA);
    assert_false(traffic->deadline.propagate);
    assert_int_equal(traffic->connections.max_pending, 1024);
    loaded_dispose(&loaded);
}

static void a_policy_for_another_namespace_binds_its_own_callers_only(void **state) {
    (void)state;
    struct loaded loaded;
    const char *policies = ENTRY("far", "s", "[s]", ONE_PORT "  exportTo: [Mesh]\n")
        POLICY_OF("school", "caller", TARGET("kind: Service, name: s, namespace: far") "  retry: {attempts: 3}\n")
            POLICY_OF("far", "owner", TARGET("kind: Service, name: s") "  retry: {attempts: 2}\n  timeouts: {request: 9s}\n")
                POLICY_OF("third", "other", TARGET("kind: Service, name: s, namespace: far") "  retry: {attempts: 9}\n");
    char text[8192];
    snprintf(text, sizeof(text), "%s%s", CALLER, policies);
    const struct traffic_config *traffic = merged(&loaded, text, "far/s:80");
    assert_int_equal(traffic->retry.attempts, 3);
    assert_true(traffic->timeouts.request == 9 * NS_PER_S);
    loaded_dispose(&loaded);
    snprintf(text, sizeof(text), "%s%s", OUTBOUND_PROXY, policies);
    traffic = merged(&loaded, text, "far/s:80");
    assert_int_equal(traffic->retry.attempts, 2);
    loaded_dispose(&loaded);
}

static void a_policy_holds_for_all_its_targets_and_no_other(void **state) {
    (void)state;
    struct loaded loaded;
    const struct snapshot *snapshot = expect_good(
        &loaded, CALLER ENTRY("school", "a", "[a]", TWO_PORTS) ENTRY("school", "b", "[b]", TWO_PORTS) ENTRY("school", "c", "[c]", TWO_PORTS)
                     ENTRY("far", "a", "[far]", TWO_PORTS "  exportTo: [Mesh]\n")
                         POLICY_OF("school", "two",
                                   "  targetRefs: [{kind: Service, name: a, namespace: school}, {kind: Service, name: b, sectionName: grpc}]\n"
                                   "  retry: {attempts: 3}\n")
                             POLICY_OF("far", "one", TARGET("kind: Service, name: a, sectionName: grpc") "  retry: {attempts: 4}\n"));
    static const struct {
        const char *key;
        uint32_t attempts;
        const char *policy;
    } expected[] = {{"school/a:80", 3, "school/two"}, {"school/a:9000", 3, "school/two"}, {"school/b:80", 1, ""}, {"school/b:9000", 3, "school/two"},
                    {"school/c:80", 1, ""},           {"school/c:9000", 1, ""},           {"far/a:80", 1, ""},    {"far/a:9000", 4, "far/one"}};
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        const struct traffic_config *traffic = &find_key(snapshot, expected[i].key)->traffic;
        assert_int_equal(traffic->retry.attempts, expected[i].attempts);
        assert_bytes_equal(traffic->policy, expected[i].policy);
    }
    loaded_dispose(&loaded);
}

static void the_callers_policy_goes_first_for_the_same_target_alone(void **state) {
    (void)state;
    struct loaded loaded;
    const struct snapshot *snapshot =
        expect_good(&loaded, CALLER ENTRY("far", "s", "[s]", TWO_PORTS "  exportTo: [Mesh]\n")
                                 POLICY_OF("school", "caller", TARGET("kind: Service, name: s, namespace: far") "  retry: {attempts: 3}\n")
                                     POLICY_OF("far", "port", TARGET("kind: Service, name: s, sectionName: grpc") "  retry: {attempts: 4}\n")
                                         POLICY_OF("far", "namespace",
                                                   TARGET("kind: Namespace, name: far") "  retry: {attempts: 5}\n  timeouts: {request: 1s}\n"));
    const struct traffic_config *http = &find_key(snapshot, "far/s:80")->traffic, *grpc = &find_key(snapshot, "far/s:9000")->traffic;
    assert_int_equal(http->retry.attempts, 3);
    assert_bytes_equal(http->policy, "school/caller");
    assert_int_equal(grpc->retry.attempts, 4);
    assert_bytes_equal(grpc->policy, "far/port");
    assert_true(http->timeouts.request == NS_PER_S && grpc->timeouts.request == NS_PER_S);
    loaded_dispose(&loaded);
}

static uint64_t digest_of(const char *text) {
    struct loaded loaded;
    uint64_t digest = find_key(expect_good(&loaded, text), "default/s:80")->digest;
    loaded_dispose(&loaded);
    return digest;
}

static void a_digest_changes_with_what_is_above_it_alone(void **state) {
    (void)state;
    uint64_t digest = digest_of(OUTBOUND_PROXY PLAIN_ENTRY("s", ""));
    assert_true(digest == digest_of("# a comment\n\n" OUTBOUND_PROXY PLAIN_ENTRY("s", "")));
    assert_true(digest == digest_of(OUTBOUND_PROXY PLAIN_ENTRY("other", "") PLAIN_ENTRY("s", "  identities: []\n")));
    assert_true(digest ==
                digest_of(OUTBOUND_PROXY PLAIN_ENTRY("s", "") POLICY("t", "  targetRefs: [{kind: Service, name: s}]\n  retry: {attempts: 1}\n")));
    static const char *const changes[] = {"loadBalancer: {type: RoundRobin}",
                                          "connections: {max: 1}",
                                          "connections: {keepalive: 1s}",
                                          "timeouts: {request: 1s}",
                                          "deadline: {propagate: false}",
                                          "retry: {attempts: 2}",
                                          "retry: {conditions: [Unsent]}",
                                          "retry: {conditions: [RefusedStream]}",
                                          "retry: {backoff: {base: 1ms}}",
                                          "retry: {bufferBytes: 1Ki}",
                                          "retry: {budget: {percent: 1}}",
                                          "retry: {conditions: [Reset]}",
                                          "retry: {codes: [500]}",
                                          "retry: {codes: [599]}",
                                          "retry: {grpcCodes: [UNKNOWN]}",
                                          "retry: {methods: [GET]}",
                                          "retry: {respectRetryAfter: 1s}",
                                          "hedge: {percent: 5}",
                                          "hedge: {max: 2}",
                                          "hedge: {mode: DryRun}",
                                          "hedge: {after: Delay, delay: 1s}"};
    uint64_t seen[sizeof(changes) / sizeof(changes[0])];
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        char text[4096];
        snprintf(text, sizeof(text), "%s%s%s  %s\n", OUTBOUND_PROXY, PLAIN_ENTRY("s", ""),
                 API "kind: TrafficPolicy\nmetadata: {name: t}\nspec:\n  targetRefs: [{kind: Service, name: s}]\n", changes[i]);
        seen[i] = digest_of(text);
        if (seen[i] == digest)
            fail_msg("%s changed nothing", changes[i]);
        for (size_t j = 0; j < i; j++)
            assert_true(seen[j] != seen[i]);
    }
    assert_true(digest !=
                digest_of(OUTBOUND_PROXY API
                          "kind: ServiceEntry\nmetadata: {name: s}\nspec:\n  hosts: [s]\n  ports: [{name: http, port: 80}]\n  tls: {mode: None}\n"
                          "  endpoints: [{address: '10.0.0.1:8001'}]\n"));
    assert_true(digest !=
                digest_of(OUTBOUND_PROXY API
                          "kind: ServiceEntry\nmetadata: {name: s}\nspec:\n  hosts: [s]\n  ports: [{name: http, port: 80}]\n  tls: {mode: None}\n"
                          "  endpoints: [{address: '10.0.0.1:8000', weight: 2}]\n"));
    assert_true(digest !=
                digest_of(OUTBOUND_PROXY API
                          "kind: ServiceEntry\nmetadata: {name: s}\nspec:\n  hosts: [s]\n  ports: [{name: http, port: 80, protocol: HTTP1}]\n"
                          "  tls: {mode: None}\n  endpoints: [{address: '10.0.0.1:8000'}]\n"));
}

static void a_snapshot_lives_to_its_last_reference(void **state) {
    (void)state;
    struct loaded loaded;
    struct snapshot *snapshot = expect_good(&loaded, OUTBOUND_PROXY PLAIN_ENTRY("s", ""));
    assert_int_equal(snapshot->generation, 0);
    assert_ptr_equal(snapshot_ref(snapshot), snapshot);
    loaded_dispose(&loaded);
    expect_host(snapshot, "s", 80, "default/s:80");
    assert_string_equal(find_key(snapshot, "default/s:80")->place.file, "t.yaml");
    assert_int_equal(find_key(snapshot, "default/s:80")->place.line, 12);
    snapshot_unref(snapshot);
}

static void *look_up_and_let_go(void *argument) {
    struct snapshot *snapshot = argument;
    for (unsigned i = 0; i < 1000; i++) {
        struct snapshot *mine = snapshot_ref(snapshot);
        if (snapshot_find_host(mine, BYTES("s:80"), 80) == NULL)
            return NULL;
        snapshot_unref(mine);
    }
    snapshot_unref(snapshot);
    return argument;
}

static void threads_share_a_snapshot_and_the_last_frees_it(void **state) {
    (void)state;
    struct loaded loaded;
    pthread_t threads[4];
    struct snapshot *snapshot = expect_good(&loaded, OUTBOUND_PROXY PLAIN_ENTRY("s", ""));
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, look_up_and_let_go, snapshot_ref(snapshot)), 0);
    loaded_dispose(&loaded);
    for (unsigned i = 0; i < 4; i++) {
        void *result;
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_ptr_equal(result, snapshot);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_policy_language),
        cmocka_unit_test(where_the_token_of_the_admin_is_arrives),
        cmocka_unit_test(everything_that_is_said_of_a_proxy_arrives),
        cmocka_unit_test(everything_that_is_said_of_a_service_arrives),
        cmocka_unit_test(an_application_is_a_service_of_one_plain_endpoint),
        cmocka_unit_test(hosts_are_found_in_any_form),
        cmocka_unit_test(a_host_too_long_to_be_one_is_unknown),
        cmocka_unit_test(each_port_is_a_service),
        cmocka_unit_test(a_host_with_a_port_leads_there_alone),
        cmocka_unit_test(exact_goes_before_wildcard_and_long_before_short),
        cmocka_unit_test(ip_literals_are_hosts),
        cmocka_unit_test(other_namespaces_are_seen_when_exported),
        cmocka_unit_test(each_group_comes_from_the_most_specific_policy),
        cmocka_unit_test(endpoints_are_ejected_and_checked_as_policies_say),
        cmocka_unit_test(the_order_of_documents_does_not_matter),
        cmocka_unit_test(disabled_switches_an_inherited_group_off),
        cmocka_unit_test(a_policy_for_another_namespace_binds_its_own_callers_only),
        cmocka_unit_test(a_policy_holds_for_all_its_targets_and_no_other),
        cmocka_unit_test(the_callers_policy_goes_first_for_the_same_target_alone),
        cmocka_unit_test(a_digest_changes_with_what_is_above_it_alone),
        cmocka_unit_test(a_snapshot_lives_to_its_last_reference),
        cmocka_unit_test(threads_share_a_snapshot_and_the_last_frees_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
