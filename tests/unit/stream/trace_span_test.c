// What spans say: one for each try, linked, with how each went; names, statuses and attributes by the conventions; and the events of what was decided.
#include "unit/stream/stream_drive.h"

#include "config/policy.h"
#include "stream/trace_event.h"
#include "support/span_reader.h"
#include "telemetry/series_reading.h"
#include "telemetry/trace_context.h"

#define TRACED_WITH(more) TRACED_BY("", more)
#define TRACED_BY(traces, more)                                                                                                \
    API "kind: Proxy\nmetadata: {name: p}\nspec:\n"                                                                            \
        "  listeners:\n"                                                                                                       \
        "  - {name: outbound, role: Outbound, address: '127.0.0.1:15001'}\n"                                                   \
        "  - {name: inbound, role: Inbound, address: '127.0.0.1:15006', forwardTo: '127.0.0.1:8009', mtls: {mode: Disable}}\n" \
        "  telemetry: {accessLog: {path: /dev/null, filter: All}, traces: {sampling: {numerator: 1}" traces "}}\n" more "---\n"
#define TRACED TRACED_WITH("")
#define GENEROUS "  retry: {attempts: 2, conditions: [ConnectFailure, GatewayError], budget: {percent: 100, minPerSecond: 100}}\n"

static struct loopback world;
static struct span_reader spans;
static struct client client;

static void arrive_in(const char *documents, const char *listener, const char *request) {
    static const union address address = {.v4 = {.sin_family = AF_INET}};
    static const struct stream_client who = {.address = &address};
    loopback_init(&world, documents, NULL);
    span_reader_init(&spans, &world.env);
    client_begin_as(&client, &world, loopback_listener(&world, listener), &who, HTTP_1_1, request, true);
}

static void begin_in(const char *documents, const char *listener, const char *request) {
    arrive_in(documents, listener, request);
    loopback_settle(&world);
}

static void begin(const char *documents, const char *request) {
    begin_in(documents, "outbound", request);
}

// The stream is over. Returns the line of a span.
static const char *line(unsigned number) {
    if (spans.count == 0)
        (void)span_reader_read(&spans);
    assert_true(number < spans.count);
    return spans.lines[number];
}

static void end(unsigned count) {
    client_dispose(&client);
    (void)span_reader_read(&spans);
    assert_int_equal(spans.count, count);
    span_reader_dispose(&spans);
    loopback_dispose(&world);
}

static void a_server_span_says_what_was_asked_and_by_whom(void **state) {
    (void)state;
    begin_in(TRACED, "inbound",
             "GET courses:81 /a/b?x=1&token=s3cret\nuser-agent: curl/8\nx-request-id: r-1\ntraceparent: "
             "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n");
    loopback_pass(&world, 12 * NS_PER_MS);
    respond(&world, 0, 200, "content-length: 0\n", "");
    assert_has(line(0), "SERVER GET trace=4bf92f3577b34da6a3ce929d0e0e4736 ");
    assert_has(line(0), " took=12 status=UNSET: http.request.method=GET http.response.status_code=200 url.path=/a/b url.query=x=1&token=REDACTED "
                        "url.scheme=http server.address=courses server.port=81 client.address=0.0.0.0 network.peer.address=0.0.0.0 "
                        "network.peer.port=0 network.protocol.version=1.1 user_agent.original=curl/8 outrigger.listener=inbound ");
    assert_has(line(0), " outrigger.request_id=r-1");
    assert_has_not(line(0), "error.type");
    assert_has_not(line(0), "outrigger.end");
    end(1);
}

static void a_client_span_says_whom_it_asked(void **state) {
    (void)state;
    begin(TRACED SERVICE("HTTP1", ONE), "GET a /p?sig=abc&x=1\n");
    respond(&world, 0, 200, "content-length: 0\n", "");
    assert_has(line(0), "CLIENT GET trace=");
    assert_has(line(0), " status=UNSET: http.request.method=GET http.response.status_code=200 url.full=http://a/p?sig=REDACTED&x=1 server.address=a "
                        "server.port=80 network.peer.address=127.0.0.1 network.peer.port=8001 network.protocol.version=1.1 "
                        "outrigger.listener=outbound outrigger.service=default/a:80 outrigger.request_id=");
    assert_has_not(line(0), "resend_count");
    end(1);
}

// By the names of OpenTelemetry's conventions.
static void signed_urls_are_told_without_what_signs_them(void **state) {
    (void)state;
    static const char *const names[] = {
        "sig", "Signature", "X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token", "AWSAccessKeyId", "X-Goog-Signature"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char request[128], told[128];
        (void)snprintf(request, sizeof request, "GET a /p?x=1&%s=hush&y=2\n", names[i]);
        (void)snprintf(told, sizeof told, "?x=1&%s=REDACTED&y=2 ", names[i]);
        begin(TRACED SERVICE("HTTP1", ONE), request);
        respond(&world, 0, 200, "content-length: 0\n", "");
        assert_has(line(0), " url.full=http://a/p");
        assert_has(line(0), told);
        end(1);
        begin_in(TRACED, "inbound", request);
        respond(&world, 0, 200, "content-length: 0\n", "");
        assert_has(line(0), &told[1]);
        assert_has_not(line(0), "hush");
        end(1);
    }
}

static void an_error_is_told_by_its_status_and_4xx_is_the_clients(void **state) {
    (void)state;
    static const struct {
        const char *listener;
        unsigned status;
        const char *told;
    } rows[] = {{"inbound", 404, NULL},
                {"inbound", 500, "error.type=500"},
                {"outbound", 404, "error.type=404"},
                {"outbound", 503, "error.type=503"},
                {"outbound", 302, NULL}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin_in(TRACED SERVICE("HTTP1", ONE), rows[i].listener, "GET a /\n");
        respond(&world, 0, rows[i].status, "content-length: 0\n", "");
        assert_has(line(0), rows[i].told == NULL ? " status=UNSET: " : " status=ERROR: ");
        if (rows[i].told != NULL)
            assert_has(line(0), rows[i].told);
        else
            assert_has_not(line(0), "error.type");
        end(1);
    }
}

static void each_try_has_a_span_that_is_linked_to_the_one_before(void **state) {
    (void)state;
    begin(TRACED SERVICE("HTTP1", TWO) POLICY(IN_TURN GENEROUS), "GET a /\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n");
    char first[17], told[64];
    (void)snprintf(told, sizeof told, "%.55s", strstr(received(&world, 0), "traceparent: ") + 13);
    (void)snprintf(first, sizeof first, "%.16s", told + 36);
    respond(&world, 0, 503, "content-length: 0\n", "");
    assert_has_not(received(&world, 1), first);
    respond(&world, 1, 200, "content-length: 0\n", "");
    const char *const failed = line(0), *const answered = line(1);
    assert_string_equal(span_part(failed, "id="), first);
    assert_has(failed, " status=ERROR: http.request.method=GET http.response.status_code=503 ");
    assert_has(failed, " error.type=503 ");
    assert_has(answered, " status=UNSET: ");
    assert_has(answered, " http.request.resend_count=1 ");
    assert_has(answered, " [outrigger.retried+0: outrigger.policy=TrafficPolicy/default/a outrigger.reason=gateway_error outrigger.pause_ms=0]");
    char link[64];
    (void)snprintf(link, sizeof link, "{link %s: outrigger.link=retry_of}", first);
    assert_has(answered, link);
    assert_has(received(&world, 1), span_part(answered, "id="));
    for (unsigned i = 0; i < 2; i++)
        assert_has(line(i), " parent=00f067aa0ba902b7 flags=301 ");
    end(2);
}

static void a_pause_before_a_retry_is_told(void **state) {
    (void)state;
    begin(TRACED SERVICE("HTTP1", ONE) POLICY("  retry: {attempts: 1, conditions: [GatewayError], budget: {percent: 100, minPerSecond: 100}}\n"),
          "GET a /\n");
    respond(&world, 0, 503, "content-length: 0\nretry-after: 1\n", "");
    loopback_pass(&world, 2 * NS_PER_S);
    far_respond(far_conn(&world.far, 0), far_request(far_conn(&world.far, 0), 1), 200, "content-length: 0\n", "", true);
    assert_int_equal(client.status, 200);
    assert_has(line(1), "outrigger.reason=gateway_error outrigger.pause_ms=1");
    end(2);
}

#define TOLD_IN_THE_LOG TRACED_BY(", events: Log}, logs: {endpoint: 'http://o.example'", "")

static void what_was_decided_may_be_records_of_the_log(void **state) {
    (void)state;
    begin(TOLD_IN_THE_LOG SERVICE("HTTP1", TWO) POLICY(IN_TURN GENEROUS), "GET a /\n");
    respond(&world, 0, 503, "content-length: 0\n", "");
    respond(&world, 1, 200, "content-length: 0\n", "");
    const char *const retried = line(1);
    assert_has_not(retried, "[");
    assert_int_equal(span_reader_read_records(&spans), 1);
    char ids[96];
    (void)snprintf(ids, sizeof ids, "outrigger.retried INFO trace=%s id=%s at=", span_part(retried, "trace="), span_part(retried, "id="));
    assert_has(spans.record_lines[0], ids);
    assert_has(spans.record_lines[0], " outrigger.policy=TrafficPolicy/default/a outrigger.reason=gateway_error outrigger.pause_ms=");
    const uint64_t now = loop_wall(world.env.loop) / NS_PER_MS;
    assert_in_range(strtoull(strstr(spans.record_lines[0], " at=") + 4, NULL, 10), now - 60000, now);
    end(2);
}

static void with_no_queue_of_the_log_what_was_decided_stays_in_its_span(void **state) {
    (void)state;
    begin(TOLD_IN_THE_LOG SERVICE("HTTP1", ONE) POLICY("  retry: {attempts: 1, conditions: [GatewayError]}\n"), "POST a /\n");
    world.env.log_records = NULL;
    respond(&world, 0, 503, "content-length: 0\n", "");
    assert_has(line(0), "[outrigger.retry_refused");
    end(1);
}

// A span that has no room takes none of them with it, and what has no room is counted.
static void records_have_room_of_their_own(void **state) {
    (void)state;
    begin(TOLD_IN_THE_LOG SERVICE("HTTP1", ONE) POLICY("  retry: {attempts: 1, conditions: [GatewayError]}\n"), "POST a /\n");
    spans.queue.records_max = 0;
    respond(&world, 0, 503, "content-length: 0\n", "");
    assert_int_equal(span_reader_read_records(&spans), 1);
    assert_has(spans.record_lines[0], " outrigger.reason=method");
    end(0);
    begin(TOLD_IN_THE_LOG SERVICE("HTTP1", ONE) POLICY("  retry: {attempts: 1, conditions: [GatewayError]}\n"), "POST a /\n");
    spans.records.records_max = 0;
    respond(&world, 0, 503, "content-length: 0\n", "");
    assert_int_equal(span_reader_read_records(&spans), 0);
    assert_int_equal(metric_read(&spans.records.dropped), 1);
    end(1);
}

// What they leave would be nobody's.
static void records_give_way_where_the_audit_log_is_sent_alone(void **state) {
    (void)state;
    static const char *const documents[] = {
        TOLD_IN_THE_LOG SERVICE("HTTP1", TWO) POLICY(IN_TURN GENEROUS),
        TRACED_BY(", events: Log}, logs: {endpoint: 'http://o.example'}, auditLog: {format: OTLP", "") SERVICE("HTTP1", TWO) POLICY(IN_TURN GENEROUS),
    };
    for (unsigned i = 0; i < 2; i++) {
        begin(documents[i], "GET a /\n");
        spans.records.records_max = 2;
        respond(&world, 0, 503, "content-length: 0\n", "");
        respond(&world, 1, 503, "content-length: 0\n", "");
        loopback_pass(&world, 2 * NS_PER_S);
        far_respond(far_conn(&world.far, 0), far_request(far_conn(&world.far, 0), 1), 200, "content-length: 0\n", "", true);
        assert_int_equal(client.status, 200);
        assert_int_equal(span_reader_read_records(&spans), 2 - i);
        assert_int_equal(metric_read(&spans.records.dropped), i);
        end(3);
    }
}

static void why_there_was_no_further_try_is_told(void **state) {
    (void)state;
    begin(TRACED SERVICE("HTTP1", ONE) POLICY("  retry: {attempts: 1, conditions: [GatewayError]}\n"), "POST a /\n");
    respond(&world, 0, 503, "content-length: 0\n", "");
    assert_has(line(0), "[outrigger.retry_refused+0: outrigger.reason=method]");
    end(1);
}

static void a_hedge_is_linked_to_what_it_hedges_and_losing_is_no_error(void **state) {
    (void)state;
    begin(TRACED SERVICE("HTTP1", TWO) POLICY(IN_TURN "  hedge: {after: Delay, delay: 100ms, percent: 100}\n"
                                                      "  retry: {budget: {percent: 100, minPerSecond: 100}}\n"),
          "GET a /\n");
    loopback_pass(&world, 101 * NS_PER_MS);
    respond(&world, 1, 200, "content-length: 0\n", "");
    const bool first_is_winner = strstr(line(0), "resend_count") != NULL;
    const char *const winner = line(first_is_winner ? 0 : 1), *const loser = line(first_is_winner ? 1 : 0);
    assert_has(loser, " status=UNSET: ");
    assert_has(loser, " outrigger.end=cancelled ");
    assert_has(winner, " [outrigger.hedged+0: outrigger.policy=TrafficPolicy/default/a outrigger.after_ms=100]");
    char link[64];
    (void)snprintf(link, sizeof link, "{link %s: outrigger.link=hedge_of}", span_part(loser, "id="));
    assert_has(winner, link);
    end(2);
}

static void what_could_not_be_connected_to_is_an_error_by_its_name(void **state) {
    (void)state;
    loopback_init(&world, TRACED SERVICE("HTTP1", ONE) POLICY("  retry: {disabled: true}\n"), NULL);
    world.far.mode = FAR_REFUSE;
    span_reader_init(&spans, &world.env);
    client_ask(&client, &world, "GET a /\n");
    assert_int_equal(client.status, 502);
    assert_has(line(0), "CLIENT GET ");
    assert_has(line(0), " status=ERROR: ");
    assert_has(line(0), " error.type=connect_refused ");
    assert_has(line(0), " outrigger.end=connect_refused ");
    assert_has_not(line(0), "http.response.status_code"); // nobody has answered
    end(1);
}

static void a_request_that_goes_nowhere_has_a_span_of_its_own(void **state) {
    (void)state;
    begin(TRACED SERVICE("HTTP1", ONE), "GET nobody /\n");
    assert_int_equal(client.status, 502);
    assert_has(line(0), "CLIENT GET ");
    assert_has(line(0), " parent=- flags=103 ");
    assert_has(line(0), " status=ERROR:nobody ");
    assert_has(line(0), " error.type=host_unknown ");
    end(1);
}

static void a_client_that_goes_is_no_error(void **state) {
    (void)state;
    begin_in(TRACED, "inbound", "GET a /\n");
    client_fail(&client, ERROR_CLIENT_GONE);
    assert_has(line(0), "SERVER GET ");
    assert_has(line(0), " status=UNSET: ");
    assert_has(line(0), " outrigger.end=client_gone ");
    end(1);
}

static void what_its_client_takes_back_at_once_is_told_all_the_same(void **state) {
    (void)state;
    arrive_in(TRACED, "inbound", "GET a /x\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n");
    client_fail(&client, ERROR_CLIENT_GONE);
    loopback_settle(&world);
    assert_has(line(0), "SERVER GET trace=4bf92f3577b34da6a3ce929d0e0e4736 ");
    assert_has(line(0), " url.path=/x ");
    assert_has(line(0), " outrigger.end=client_gone");
    end(1);
}

static void an_ejection_is_told_in_the_try_that_brought_it_about(void **state) {
    (void)state;
    begin(TRACED SERVICE("HTTP1", TWO) POLICY("  outlierDetection: {failureThreshold: 1, maxEjectedPercent: 100}\n"), "GET a /\n");
    respond(&world, 0, 503, "content-length: 0\n", "");
    assert_has(line(0), "[outrigger.ejected+0: outrigger.endpoint=127.0.0.1:800");
    assert_has(line(0), "outrigger.policy=TrafficPolicy/default/a: outlierDetection: status 503]");
    end(1);
}

static void methods_that_nobody_knows_are_no_names(void **state) {
    (void)state;
    begin_in(TRACED, "inbound", "BREW a /\n");
    respond(&world, 0, 200, "content-length: 0\n", "");
    assert_has(line(0), "SERVER HTTP trace=");
    assert_has(line(0), " http.request.method=_OTHER http.request.method_original=BREW ");
    end(1);
}

static void a_wait_is_of_the_policy_that_made_it(void **state) {
    (void)state;
    const struct policy limits = {.label = BYTES("limits")}, audit = {.label = BYTES("audit")};
    begin_in(TRACED, "inbound", "GET a /\n");
    trace_delayed(client.stream, &limits, BYTES("queue"));
    trace_would_pass(client.stream, &audit, BYTES("deny"));
    trace_waited(client.stream, 5 * NS_PER_MS);
    respond(&world, 0, 200, "content-length: 0\n", "");
    assert_has(line(0), "[outrigger.waited+0: outrigger.policy=limits outrigger.rule=queue outrigger.waited_ms=5]");
    end(1);
}

// ---- what broke off

static void an_answer_that_breaks_off_is_an_error_whatever_its_status(void **state) {
    (void)state;
    static const char *const listeners[] = {"outbound", "inbound"}, *const told[] = {" http.response.status_code=200 ",
                                                                                     " http.response.status_code=404 "};
    for (int i = 0; i < 4; i++) {
        begin_in(TRACED SERVICE("HTTP1", ONE), listeners[i % 2], "GET a /\n");
        far_respond(far_conn(&world.far, 0), only_request(&world, 0), i < 2 ? 200 : 404, "content-length: 10\n", "abc", false);
        far_break(far_conn(&world.far, 0));
        assert_has(line(0), " status=ERROR:");
        assert_has(line(0), told[i / 2]);
        assert_has(line(0), " error.type=response_incomplete ");
        assert_has(line(0), " outrigger.end=response_incomplete ");
        end(1);
    }
}

static void an_answer_is_what_its_try_says_though_its_client_got_none_of_it(void **state) {
    (void)state;
    begin(TRACED SERVICE("HTTP1", ONE), "GET a /\n");
    far_respond(far_conn(&world.far, 0), only_request(&world, 0), 200, "content-length: 10\n", "abc", false);
    client_fail(&client, ERROR_CLIENT_GONE);
    assert_has(line(0), " status=UNSET: ");
    assert_has(line(0), " outrigger.end=client_gone ");
    end(1);
}

static void how_the_request_ended_is_told_by_its_last_try_where_there_is_no_other_span(void **state) {
    (void)state;
    begin(TRACED SERVICE("HTTP1", ONE) POLICY("  timeouts: {idle: 2s}\n"), "GET a /\n");
    loopback_pass(&world, 3 * NS_PER_S);
    assert_int_equal(client.status, 504);
    assert_has(line(0), " status=ERROR:");
    assert_has(line(0), " outrigger.end=request_timeout ");
    assert_has(line(0), " outrigger.policy=TrafficPolicy/default/a: timeouts.idle");
    end(1);
    begin(TRACED SERVICE("HTTP1", ONE), "GET a /\n");
    far_respond(far_conn(&world.far, 0), only_request(&world, 0), 200, "content-length: 10\n", "abc", false);
    stream_fail(client.stream, ERROR_BODY_TOO_LARGE, BYTES("of the answer"));
    loopback_settle(&world);
    assert_has(line(0), " status=ERROR:of the answer http.request.method=GET http.response.status_code=200 ");
    assert_has(line(0), " error.type=body_too_large ");
    assert_has(line(0), " outrigger.end=body_too_large ");
    end(1);
}

// The rest of an answer that is held comes while the retry waits: it is none of the try's time.
static void a_pause_is_no_time_of_the_try_before_it(void **state) {
    (void)state;
    begin(TRACED SERVICE("HTTP1", ONE) POLICY("  retry: {attempts: 1, conditions: [GatewayError], budget: {percent: 100, minPerSecond: 100}}\n"),
          "GET a /\n");
    loopback_pass(&world, 7 * NS_PER_MS);
    respond(&world, 0, 503, "content-length: 0\nretry-after: 1\n", "");
    loopback_pass(&world, 2 * NS_PER_S);
    far_respond(far_conn(&world.far, 0), far_request(far_conn(&world.far, 0), 1), 200, "content-length: 0\n", "", true);
    assert_has(line(0), " took=7 ");
    end(2);
}

// ---- a gateway

#define GATEWAY_API "apiVersion: gateway.networking.k8s.io/v1\n"
#define EDGE                                                                                                                                         \
    API "kind: Proxy\nmetadata: {name: p}\nspec:\n  listeners: [{name: edge, role: Gateway, gateway: edge, address: "                                \
        "'127.0.0.1:8080'}]\n---\n" GATEWAY_API "kind: Gateway\nmetadata: {name: edge}\nspec:\n  gatewayClassName: outrigger\n  listeners: [{name: " \
        "web, port: 8080, protocol: HTTP}]\n---\n" GATEWAY_API                                                                                       \
        "kind: HTTPRoute\nmetadata: {name: r}\nspec:\n  parentRefs: [{kind: Gateway, name: edge}]\n"                                                 \
        "  rules: [{name: all, backendRefs: [{name: a, port: 80}]}]\n---\n" SERVICE("HTTP1", ONE)

static void a_gateway_serves_and_asks(void **state) {
    (void)state;
    begin_in(EDGE, "edge", "GET shop.example /a\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\nx-forwarded-host: forged\n");
    assert_has(received(&world, 0), "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-");
    respond(&world, 0, 200, "content-length: 0\n", "");
    const char *const asked = line(0), *const served = line(1);
    assert_has(asked, "CLIENT GET trace=4bf92f3577b34da6a3ce929d0e0e4736 ");
    assert_string_equal(span_part(asked, "parent="), span_part(served, "id="));
    assert_has(asked, " flags=101 "); // its parent is here
    assert_has(received(&world, 0), span_part(asked, "id="));
    assert_has(served, "SERVER GET HTTPRoute/default/r: all trace=4bf92f3577b34da6a3ce929d0e0e4736 ");
    assert_has(served, " parent=00f067aa0ba902b7 flags=301 ");
    assert_has(served, " http.route=HTTPRoute/default/r: all server.address=shop.example server.port=80 ");
    end(2);
}

static void a_gateway_s_try_that_broke_off_is_an_error(void **state) {
    (void)state;
    begin_in(EDGE, "edge", "GET shop.example /a\n");
    far_respond(far_conn(&world.far, 0), only_request(&world, 0), 200, "content-length: 10\n", "abc", false);
    far_break(far_conn(&world.far, 0));
    for (unsigned i = 0; i < 2; i++)
        assert_has(line(i), " status=ERROR:");
    assert_has(line(0), " error.type=response_incomplete ");
    assert_has_not(line(0), "cancelled");
    end(2);
}

// The gateway puts words of its own in the place of the answer: the try is what the other side said.
static void a_far_proxy_s_refusal_is_an_error_of_the_try(void **state) {
    (void)state;
    begin_in(EDGE, "edge", "GET shop.example /a\n");
    client.stream->attempts->last->mesh = true;
    respond(&world, 0, 503, "content-length: 0\noutrigger-refused: memory_limit\n", "");
    assert_has(line(0), " status=ERROR:");
    assert_has(line(0), " error.type=503 ");
    assert_has(line(0), " outrigger.refusal=memory_limit");
    assert_has_not(line(0), "cancelled");
    assert_has(line(1), " status=ERROR:");
    assert_has(line(1), " outrigger.end=memory_limit ");
    end(2);
}

static void a_name_that_is_none_is_not_told(void **state) {
    (void)state;
    begin_in(TRACED, "inbound", "GET a /\nx-forwarded-host: user@secret host\nx-forwarded-proto: https\n");
    respond(&world, 0, 200, "content-length: 0\n", "");
    assert_has(line(0), " server.address=a server.port=443 ");
    end(1);
    begin_in(TRACED, "inbound", "GET a /\nx-forwarded-host: shop.example, other\nx-forwarded-proto: https, http\n");
    respond(&world, 0, 200, "content-length: 0\n", "");
    assert_has(line(0), " server.address=shop.example server.port=443 ");
    end(1);
}

// ---- gRPC

#define GRPC "POST a /pkg.Service/Method\ncontent-type: application/grpc\nte: trailers\n"

static void call_path(const char *listener, const char *code, const char *request) {
    char fields[128];
    (void)snprintf(fields, sizeof fields, "content-type: application/grpc\ngrpc-status: %s\n", code);
    loopback_init(&world, TRACED SERVICE("GRPC", ONE), NULL);
    span_reader_init(&spans, &world.env);
    static const union address address = {.v4 = {.sin_family = AF_INET}};
    static const struct stream_client who = {.address = &address};
    client_begin_as(&client, &world, loopback_listener(&world, listener), &who, HTTP_2, request, true);
    loopback_settle(&world);
    respond(&world, 0, 200, fields, NULL);
}

static void call(const char *listener, const char *code) {
    call_path(listener, code, GRPC);
}

static void a_call_of_grpc_is_named_by_its_method_and_tells_its_code(void **state) {
    (void)state;
    call("outbound", "0");
    assert_has(line(0), "CLIENT pkg.Service/Method trace=");
    assert_has(line(0), " status=UNSET: rpc.system.name=grpc rpc.method=pkg.Service/Method rpc.status_code=OK server.address=a server.port=80 ");
    assert_has_not(line(0), "http.re");
    end(1);
}

static void what_is_no_code_is_unknown(void **state) {
    (void)state;
    static const char *const codes[] = {"-1", "NaN", "1.0", "12345678901234567890123"};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        call(i % 2 == 0 ? "outbound" : "inbound", codes[i]);
        assert_has(line(0), " status=ERROR: ");
        assert_has(line(0), " rpc.status_code=UNKNOWN ");
        assert_has(line(0), " error.type=UNKNOWN ");
        end(1);
    }
}

static void which_codes_are_errors_hangs_on_the_side(void **state) {
    (void)state;
    call("outbound", "5");
    assert_has(line(0), " status=ERROR: ");
    assert_has(line(0), " error.type=NOT_FOUND ");
    end(1);
    call("inbound", "5");
    assert_has(line(0), "SERVER pkg.Service/Method ");
    assert_has(line(0), " status=UNSET: ");
    assert_has(line(0), " rpc.status_code=NOT_FOUND ");
    end(1);
    call("inbound", "14");
    assert_has(line(0), " status=ERROR: ");
    assert_has(line(0), " error.type=UNAVAILABLE ");
    end(1);
}

static void a_method_that_its_server_does_not_know_is_no_name(void **state) {
    (void)state;
    call("outbound", "12");
    assert_has(line(0), "CLIENT grpc trace=");
    assert_has(line(0), " rpc.method=_OTHER rpc.method_original=/pkg.Service/Method rpc.status_code=UNIMPLEMENTED ");
    end(1);
    call_path("outbound", "12", "POST a /pkg.Service/Method?token=hush\ncontent-type: application/grpc\nte: trailers\n");
    assert_has(line(0), " rpc.method_original=/pkg.Service/Method rpc.status_code=UNIMPLEMENTED ");
    end(1);
}

// Who may call nothing here, or calls what nobody could be asked about, may have made up its name.
static void a_method_that_a_caller_may_have_made_up_is_no_name(void **state) {
    (void)state;
    call("inbound", "7");
    assert_has(line(0), "SERVER grpc trace=");
    assert_has(line(0), " rpc.method=_OTHER rpc.method_original=/pkg.Service/Method rpc.status_code=PERMISSION_DENIED ");
    end(1);
    call("outbound", "7"); // our own application's code has named it
    assert_has(line(0), "CLIENT pkg.Service/Method trace=");
    end(1);
}

static void a_call_of_grpc_tells_no_attributes_of_http(void **state) {
    (void)state;
    loopback_init(&world, TRACED SERVICE("GRPC", TWO) POLICY("  retry: {attempts: 1, codes: [503], budget: {percent: 100, minPerSecond: 100}}\n"),
                  NULL);
    world.far.mode = FAR_REFUSE;
    span_reader_init(&spans, &world.env);
    static const union address address = {.v4 = {.sin_family = AF_INET}};
    static const struct stream_client who = {.address = &address};
    client_begin_as(&client, &world, loopback_listener(&world, "outbound"), &who, HTTP_2,
                    "POST a /pkg/Service/Method?token=s3cret\ncontent-type: application/grpc\nte: trailers\n", true);
    loopback_settle(&world);
    assert_has(line(0), " rpc.method_original=/pkg/Service/Method server.address=a ");
    assert_has(line(1), "retry_of");
    assert_has_not(line(1), "resend_count");
    end(2);
    begin(TRACED SERVICE("GRPC", ONE), "POST nobody /pkg.Service/Method\ncontent-type: application/grpc\nte: trailers\n");
    assert_has_not(line(0), "url.full");
    end(1);
}

// ---- a TelemetryPolicy

#define TELEMETRY(groups) API "kind: TelemetryPolicy\nmetadata: {name: t}\nspec:\n  targetRefs: [{kind: Service, name: a}]\n" groups "---\n"

static void a_policy_s_attributes_are_told(void **state) {
    (void)state;
    begin(TRACED SERVICE("HTTP1", ONE) TELEMETRY("  traces:\n    attributes:\n"
                                                 "    - {name: tenant, from: {type: Header, name: x-tenant}}\n"
                                                 "    - {name: http.request.header.x-tier, from: {type: Header, name: x-tier}}\n"
                                                 "    - {name: none, from: {type: Header, name: x-none}}\n"
                                                 "    - {name: who, from: {type: ClientAddress}}\n"
                                                 "    - {name: came_from, from: {type: Header, name: referer}}\n"),
          "GET a /\nx-tenant: acme\nx-tier: free\nreferer: https://b/c?token=s3cret\n");
    respond(&world, 0, 200, "content-length: 0\n", "");
    assert_has(line(0), " tenant=acme http.request.header.x-tier=(free) who=0.0.0.0 came_from=https://b/c");
    assert_has_not(line(0), " none=");
    assert_has_not(line(0), "s3cret");
    end(1);
}

static void a_policy_s_sampling_counts_before_the_proxy_s(void **state) {
    (void)state;
    begin(TRACED SERVICE("HTTP1", ONE) TELEMETRY("  traces: {sampling: {numerator: 0}}\n"), "GET a /\n");
    assert_has(received(&world, 0), "-02\n");
    respond(&world, 0, 200, "content-length: 0\n", "");
    end(0);
}

static void a_policy_switches_traces_off(void **state) {
    (void)state;
    begin(TRACED SERVICE("HTTP1", ONE) TELEMETRY("  traces: {disabled: true}\n"), "GET a /\n");
    assert_has_not(received(&world, 0), "traceparent");
    respond(&world, 0, 200, "content-length: 0\n", "");
    end(0);
}

// The exemplar of the only series that there is.
static void a_series_leads_to_the_span_of_its_last_request(void **state) {
    (void)state;
    struct pool pool;
    struct series_reading reading;
    char id[2 * SPAN_ID_BYTES + 1] = "";
    begin(TRACED SERVICE("HTTP1", ONE), "GET a /\n");
    respond(&world, 0, 200, "content-length: 0\n", "");
    pool_init(&pool, &world.env.loop->pools);
    series_reading_begin(&reading, &world.env.upstream->series, &pool);
    while (series_reading_go_on(&reading, &pool, 100))
        continue;
    const struct series_row *row = reading.rows;
    while (row != NULL && row->facts.family == SERIES_ENDS)
        row = row->next;
    assert_int_equal(reading.count, 2); // the other tells how it ended
    assert_int_equal(row->exemplar_count, 1);
    (void)trace_hex_print(row->exemplars[0].span_id, SPAN_ID_BYTES, id);
    assert_string_equal(span_part(line(0), "id="), id);
    pool_dispose(&pool);
    end(1);
}

static void a_queue_that_is_full_loses_spans_and_counts_them(void **state) {
    (void)state;
    begin(TRACED SERVICE("HTTP1", ONE), "GET a /\n");
    spans.queue.records_max = 0;
    respond(&world, 0, 200, "content-length: 0\n", "");
    assert_int_equal(metric_read(&spans.queue.dropped), 1);
    end(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_span_says_what_was_asked_and_by_whom),
        cmocka_unit_test(a_client_span_says_whom_it_asked),
        cmocka_unit_test(signed_urls_are_told_without_what_signs_them),
        cmocka_unit_test(an_error_is_told_by_its_status_and_4xx_is_the_clients),
        cmocka_unit_test(each_try_has_a_span_that_is_linked_to_the_one_before),
        cmocka_unit_test(a_pause_before_a_retry_is_told),
        cmocka_unit_test(what_was_decided_may_be_records_of_the_log),
        cmocka_unit_test(with_no_queue_of_the_log_what_was_decided_stays_in_its_span),
        cmocka_unit_test(records_have_room_of_their_own),
        cmocka_unit_test(records_give_way_where_the_audit_log_is_sent_alone),
        cmocka_unit_test(why_there_was_no_further_try_is_told),
        cmocka_unit_test(a_hedge_is_linked_to_what_it_hedges_and_losing_is_no_error),
        cmocka_unit_test(what_could_not_be_connected_to_is_an_error_by_its_name),
        cmocka_unit_test(a_request_that_goes_nowhere_has_a_span_of_its_own),
        cmocka_unit_test(a_client_that_goes_is_no_error),
        cmocka_unit_test(what_its_client_takes_back_at_once_is_told_all_the_same),
        cmocka_unit_test(an_ejection_is_told_in_the_try_that_brought_it_about),
        cmocka_unit_test(methods_that_nobody_knows_are_no_names),
        cmocka_unit_test(a_wait_is_of_the_policy_that_made_it),
        cmocka_unit_test(an_answer_that_breaks_off_is_an_error_whatever_its_status),
        cmocka_unit_test(an_answer_is_what_its_try_says_though_its_client_got_none_of_it),
        cmocka_unit_test(how_the_request_ended_is_told_by_its_last_try_where_there_is_no_other_span),
        cmocka_unit_test(a_pause_is_no_time_of_the_try_before_it),
        cmocka_unit_test(a_gateway_serves_and_asks),
        cmocka_unit_test(a_gateway_s_try_that_broke_off_is_an_error),
        cmocka_unit_test(a_far_proxy_s_refusal_is_an_error_of_the_try),
        cmocka_unit_test(a_name_that_is_none_is_not_told),
        cmocka_unit_test(a_call_of_grpc_is_named_by_its_method_and_tells_its_code),
        cmocka_unit_test(what_is_no_code_is_unknown),
        cmocka_unit_test(which_codes_are_errors_hangs_on_the_side),
        cmocka_unit_test(a_method_that_its_server_does_not_know_is_no_name),
        cmocka_unit_test(a_method_that_a_caller_may_have_made_up_is_no_name),
        cmocka_unit_test(a_call_of_grpc_tells_no_attributes_of_http),
        cmocka_unit_test(a_policy_s_attributes_are_told),
        cmocka_unit_test(a_policy_s_sampling_counts_before_the_proxy_s),
        cmocka_unit_test(a_policy_switches_traces_off),
        cmocka_unit_test(a_series_leads_to_the_span_of_its_last_request),
        cmocka_unit_test(a_queue_that_is_full_loses_spans_and_counts_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
