// All policies at once, under accidents (support/accidents.h): whatever is cut when, nothing that a policy has taken is kept, nobody waits for ever, and documents may change meanwhile.
#include "filters/registry.h"

#include "support/accidents.h"
#include "unit/stream/stream_drive.h"

#define SEEDS_EACH 500

// The inbound listener stands before the application of service `a`, and the outbound one leads to it.
#define BESIDE                                                                                                                 \
    API "kind: Proxy\nmetadata: {name: p}\nspec:\n"                                                                            \
        "  service: a\n"                                                                                                       \
        "  listeners:\n"                                                                                                       \
        "  - {name: outbound, role: Outbound, address: '127.0.0.1:15001'}\n"                                                   \
        "  - {name: inbound, role: Inbound, address: '127.0.0.1:15006', forwardTo: '127.0.0.1:8009', mtls: {mode: Disable}}\n" \
        "  limits: {bodyBytes: 200Ki, headerTimeout: 2s, bodyIdleTimeout: 6s, idleTimeout: 30s, streamsPerConnection: 8}\n"    \
        "  telemetry: {accessLog: {path: /dev/null, filter: All}}\n---\n"
#define TARGET(kind, name, more) API "kind: " kind "\nmetadata: {name: " name "}\nspec:\n  targetRefs: [{kind: Service, name: a}]\n" more
#define CARRIED(groups)                                                                                                                        \
    POLICY("  timeouts: {request: 20s, backendRequest: 3s, idle: 20s}\n"                                                                       \
           "  connections: {max: 4, maxPending: 6, maxStreams: 3, connectTimeout: 500ms, idleTimeout: 5s, keepalive: 4s}\n"                    \
           "  retry: {attempts: 3, conditions: [ConnectFailure, GatewayError, Reset], bufferBytes: 16Ki, backoff: {base: 50ms, max: 400ms},\n" \
           "    budget: {percent: 100, minPerSecond: 100}}\n" groups)
#define LIMITS(name, mode, rate)                                        \
    TARGET("RateLimitPolicy", name,                                     \
           "  mode: " mode "\n  maxKeys: 64\n  rules:\n"                \
           "  - {name: all, limits: [{requests: " rate ", per: 1s}]}\n" \
           "  - {name: failures, key: [{type: Header, name: x-user}], limits: [{requests: 2, per: 10s}], charge: {statuses: [503]}}\n---\n")
#define FAULTS(name, mode, percent)                                                                          \
    TARGET("FaultPolicy", name,                                                                              \
           "  mode: " mode "\n  rules:\n"                                                                    \
           "  - {name: slow, matches: [{path: {value: /x}}], delay: {fixed: 300ms, percent: " percent "}}\n" \
           "  - {name: down, abort: {status: 503, percent: " percent "}}\n---\n")

#define BULKHEADS(name, mode, slots)                                                                                             \
    TARGET("BulkheadPolicy", name,                                                                                               \
           "  mode: " mode "\n  pools:\n"                                                                                        \
           "  - {name: x, matches: [{path: {value: /x}}], maxConcurrent: " slots ", maxQueue: 3, queueTimeout: 400ms,\n"         \
           "     perKey: {key: [{type: Header, name: x-user}], maxConcurrent: 1, overrides: [{value: u1, maxConcurrent: 2}]}}\n" \
           "  - {name: rest, adaptive: {min: 1, max: " slots "}, maxQueue: 2, queueTimeout: 0s}\n"                               \
           "  priority: {from: {type: Header, name: x-user}, classes: [u3, u1], default: u1}\n---\n")
// Keys that are fetched from servers that have none: whoever shows a token waits for them, as long as they take to fail.
#define TOKENS(mode) \
    TARGET("AuthenticationPolicy", "t", "  mode: " mode "\n  jwt: [{name: m, issuer: i, jwks: {uri: 'http://127.0.0.1:8003/k', timeout: 1s}}]\n---\n")
#define TOKEN                                                                    \
    "eyJhbGciOiJFZERTQSIsImtpZCI6ImsifQ.eyJpc3MiOiJpIiwiZXhwIjo0MTAyNDQ0ODAwfQ." \
    "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ"

static const char *const documents[] = {
    BESIDE SERVICE("HTTP2", TWO) CARRIED("  hedge: {after: Delay, delay: 200ms, max: 1, percent: 100}\n"
                                         "  circuitBreaker: {failureThreshold: 3, openFor: 2s, halfOpenRequests: 2}\n") LIMITS("l", "Enforce", "20")
        FAULTS("f", "Enforce", "20") LIMITS("dry", "DryRun", "2") BULKHEADS("b", "Enforce", "2") BULKHEADS("dry", "DryRun", "1") TOKENS("Enforce"),
    BESIDE SERVICE("HTTP1", TWO) CARRIED("  circuitBreaker: {scope: Endpoint, failurePercent: 50, minRequests: 4, openFor: 1s}\n")
        LIMITS("l", "Enforce", "5") FAULTS("f", "DryRun", "50") BULKHEADS("b", "Enforce", "4") BULKHEADS("second", "Enforce", "2") TOKENS("DryRun"),
    BESIDE,
};

static const struct accident_request requests[] = {
    {.text = "GET a /x\n"},
    {.text = "GET a /x\nauthorization: Bearer " TOKEN "\n"},
    {.text = "GET a /x\nx-user: u1\norigin: http://a\n"},
    {.text = "HEAD a /y\nx-user: u2\nx-request-timeout-ms: 700\n"},
    {.text = "POST a /x\nx-user: u3\n", .body = ACCIDENT_ANY_BODY},
    {.text = "PUT a /y\ncontent-length: 26000\nx-user: u4\n", .body = ACCIDENT_BODY, .length = 26000},
    {.text = "POST a /s/m\ncontent-type: application/grpc\nte: trailers\ngrpc-timeout: 2S\nx-user: u5\n", .body = ACCIDENT_BODY},
};

static void run(enum http_version front) {
    accidents_run(&(struct accidents){.seeds = SEEDS_EACH,
                                      .front = front,
                                      .documents = {documents[0], documents[1], documents[2]},
                                      .filters = filter_types,
                                      .requests = requests,
                                      .request_count = sizeof requests / sizeof requests[0],
                                      .inbound_percent = 50});
}

static void over_http1_nothing_is_left_behind(void **state) {
    (void)state;
    run(HTTP_1_1);
}

static void over_http2_nothing_is_left_behind(void **state) {
    (void)state;
    run(HTTP_2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(over_http1_nothing_is_left_behind),
        cmocka_unit_test(over_http2_nothing_is_left_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
