// What filters decide, as events of the spans of their requests: refused, would be refused, delayed, waited, answered, by a breaker; when, by which policy and rule, and why.
#include "filters/registry.h"

#include "support/quiet_log.h"
#include "support/span_reader.h"
#include "unit/stream/stream_drive.h"

#define TRACED                                                               \
    API "kind: Proxy\nmetadata: {name: p}\nspec:\n"                          \
        "  listeners:\n"                                                     \
        "  - {name: outbound, role: Outbound, address: '127.0.0.1:15001'}\n" \
        "  telemetry: {accessLog: {path: /dev/null, filter: All}, traces: {sampling: {numerator: 1}}}\n---\n" SERVICE("HTTP2", ONE)
#define TARGET(kind, spec) API "kind: " kind "\nmetadata: {name: x}\nspec:\n  targetRefs: [{kind: Service, name: a}]\n" spec "---\n"

static struct loopback world;
static struct span_reader spans;
static struct client client;

static void begin(const char *documents) {
    loopback_init(&world, documents, filter_types);
    span_reader_init(&spans, &world.env);
    client_ask(&client, &world, "GET a /\n");
}

static void end(void) {
    client_dispose(&client);
    span_reader_dispose(&spans);
    loopback_dispose(&world);
}

static void answer(unsigned number, unsigned status) {
    far_respond(far_conn(&world.far, 0), far_request(far_conn(&world.far, 0), number), status, "content-length: 0\n", "", true);
}

static const char *line(unsigned number) {
    (void)span_reader_read(&spans);
    assert_true(number < spans.count);
    return spans.lines[number];
}

static void an_injected_fault_is_told(void **state) {
    (void)state;
    begin(TRACED TARGET("FaultPolicy", "  rules: [{name: down, abort: {status: 503}}]\n"));
    assert_int_equal(client.status, 503);
    const char *const said = line(0);
    assert_has(said, "CLIENT GET ");
    assert_has(said, " status=ERROR:");
    assert_has(said, " error.type=fault ");
    assert_has(said, " outrigger.policy=FaultPolicy/default/x: down ");
    assert_has(said, "[outrigger.fault_injected+0: outrigger.policy=FaultPolicy/default/x outrigger.rule=down outrigger.end=fault");
    assert_int_equal(spans.count, 1);
    end();
}

static void a_delay_is_told_when_it_began_in_the_first_try_s_span(void **state) {
    (void)state;
    begin(TRACED TARGET("FaultPolicy", "  rules: [{name: slow, delay: {fixed: 2s}}]\n"));
    loopback_pass(&world, 2 * NS_PER_S);
    answer(0, 200);
    const char *const said = line(0);
    assert_has(said, " took=2000 ");
    assert_has(said, " [outrigger.delayed+0: outrigger.policy=FaultPolicy/default/x outrigger.rule=slow]");
    end();
}

static void how_long_it_waited_in_a_queue_is_told(void **state) {
    (void)state;
    struct client second;
    begin(TRACED TARGET("BulkheadPolicy", "  pools: [{name: all, maxConcurrent: 1, maxQueue: 2}]\n"));
    client_ask(&second, &world, "GET a /2\n");
    loopback_pass(&world, 40 * NS_PER_MS);
    answer(0, 200);
    answer(1, 200);
    const char *const said = line(1);
    assert_has_not(spans.lines[0], "outrigger.delayed");
    assert_has(said, " [outrigger.delayed+0: outrigger.policy=BulkheadPolicy/default/x outrigger.rule=all]");
    assert_has(said, " [outrigger.waited+40: outrigger.policy=BulkheadPolicy/default/x outrigger.rule=all outrigger.waited_ms=40]");
    client_dispose(&second);
    end();
}

static void what_a_dry_run_would_refuse_is_told(void **state) {
    (void)state;
    begin(TRACED TARGET("FaultPolicy", "  mode: DryRun\n  rules: [{name: down, abort: {status: 503}}]\n"));
    answer(0, 200);
    const char *const said = line(0);
    assert_has(said, " status=UNSET: ");
    assert_has(said, "[outrigger.would_refuse+0: outrigger.policy=FaultPolicy/default/x outrigger.rule=down outrigger.end=fault");
    end();
}

static void what_a_breaker_does_is_told(void **state) {
    (void)state;
    begin(TRACED TARGET("TrafficPolicy", "  retry: {disabled: true}\n  circuitBreaker: {failureThreshold: 1, openFor: 60s}\n"));
    answer(0, 500);
    client_dispose(&client);
    assert_has(line(0), "[outrigger.breaker_changed+0: outrigger.breaker.state=open outrigger.service=default/a:80]");
    client_ask(&client, &world, "GET a /\n");
    assert_int_equal(client.status, 503);
    const char *const said = line(1);
    assert_has(said, " error.type=breaker_open ");
    assert_has(said,
               "[outrigger.breaker_refused+0: outrigger.policy=TrafficPolicy/default/x outrigger.rule=circuitBreaker outrigger.end=breaker_open "
               "outrigger.reason=open outrigger.retry_after_ms=60000]");
    end();
}

static void who_answered_in_the_place_of_upstream_is_told(void **state) {
    (void)state;
    begin(
        TRACED
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec:\n  parentRefs: [{group: '', kind: Service, name: a}]\n"
        "  rules: [{filters: [{type: RequestRedirect, requestRedirect: {statusCode: 301, hostname: b}}]}]\n---\n");
    assert_int_equal(client.status, 301);
    const char *const said = line(0);
    assert_has(said, " status=UNSET: ");
    assert_has(said, "[outrigger.answered+0: outrigger.detail=redirect");
    end();
}

// Of an outbound request, which has no span of its own but those of its tries: it stands beside them.
static void a_copy_has_a_span_of_its_own_in_the_same_trace(void **state) {
    (void)state;
    begin(
        TRACED API
        "kind: ServiceEntry\nmetadata: {name: b}\nspec:\n  hosts: [b]\n  ports: [{name: http, port: 80, protocol: HTTP1}]\n  tls: {mode: None}\n"
        "  endpoints: [{address: '127.0.0.1:8002'}]\n---\n"
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec:\n  parentRefs: [{group: '', kind: Service, name: a}]\n"
        "  rules: [{backendRefs: [{name: a}], filters: [{type: RequestMirror, requestMirror: {backendRef: {name: b}}}]}]\n---\n");
    assert_int_equal(world.far.count, 2);
    char told[2][56];
    for (unsigned i = 0; i < 2; i++) {
        const char *found = strstr(received(&world, i), "traceparent: ");
        assert_non_null(found);
        (void)snprintf(told[i], sizeof told[i], "%.55s", found + strlen("traceparent: "));
    }
    assert_memory_equal(told[0], told[1], 35); // one trace
    assert_string_not_equal(told[0], told[1]);
    for (unsigned i = 0; i < 2; i++)
        respond(&world, i, 200, "content-length: 0\n", "");
    (void)line(1);
    assert_int_equal(spans.count, 2);
    for (unsigned i = 0; i < 2; i++)
        assert_true(strstr(spans.lines[i], "CLIENT GET ") == spans.lines[i]);
    for (unsigned i = 0; i < 2; i++)
        assert_true(strstr(told[0], span_part(spans.lines[i], "id=")) != NULL || strstr(told[1], span_part(spans.lines[i], "id=")) != NULL);
    end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_injected_fault_is_told),
        cmocka_unit_test(a_delay_is_told_when_it_began_in_the_first_try_s_span),
        cmocka_unit_test(how_long_it_waited_in_a_queue_is_told),
        cmocka_unit_test(what_a_dry_run_would_refuse_is_told),
        cmocka_unit_test(what_a_breaker_does_is_told),
        cmocka_unit_test(a_copy_has_a_span_of_its_own_in_the_same_trace),
        cmocka_unit_test(who_answered_in_the_place_of_upstream_is_told),
    };
    return cmocka_run_group_tests(tests, be_quiet, NULL);
}
