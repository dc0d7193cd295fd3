// The context of a trace through a stream: what it brings, what is told on, and whether it is recorded, by each form in which requests carry it.
#include "stream/subrequest.h"

#include "unit/stream/stream_drive.h"

#include "support/span_reader.h"

#include <arpa/inet.h>

#define TRACED(traces)                                                                                                         \
    API "kind: Proxy\nmetadata: {name: p}\nspec:\n"                                                                            \
        "  listeners:\n"                                                                                                       \
        "  - {name: outbound, role: Outbound, address: '127.0.0.1:15001'}\n"                                                   \
        "  - {name: inbound, role: Inbound, address: '127.0.0.1:15006', forwardTo: '127.0.0.1:8009', mtls: {mode: Disable}}\n" \
        "  telemetry: {accessLog: {path: /dev/null, filter: All}, traces: {" traces "}}\n---\n"
#define NEVER "sampling: {numerator: 0}"
#define ALWAYS "sampling: {numerator: 1}"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"
#define PARENT "traceparent: 00-" TRACE "-" SPAN "-01\n"
#define PARENT_NOT_SAMPLED "traceparent: 00-" TRACE "-" SPAN "-00\n"

// One request through a listener, answered with 200: what the server got, and the span.
struct exchange {
    struct loopback world;
    struct span_reader spans;
    char got[4096];
};

static void ask_from(struct exchange *exchange, const char *traces, const char *listener, const char *from, const char *fields) {
    union address address = {.v4 = {.sin_family = AF_INET}};
    CHECK(inet_pton(AF_INET, from, &address.v4.sin_addr) == 1);
    const struct stream_client who = {.address = &address};
    char documents[4096], request[4096];
    struct client client;
    (void)snprintf(documents, sizeof documents, TRACED("%s") "%s", traces, SERVICE("HTTP1", ONE));
    (void)snprintf(request, sizeof request, "GET a /\n%s", fields);
    loopback_init(&exchange->world, documents, NULL);
    span_reader_init(&exchange->spans, &exchange->world.env);
    client_begin_as(&client, &exchange->world, loopback_listener(&exchange->world, listener), &who, HTTP_1_1, request, true);
    loopback_settle(&exchange->world);
    (void)snprintf(exchange->got, sizeof exchange->got, "%s", received(&exchange->world, 0));
    respond(&exchange->world, 0, 200, "content-length: 0\n", "");
    assert_int_equal(client.status, 200);
    client_dispose(&client);
    (void)span_reader_read(&exchange->spans);
    span_reader_dispose(&exchange->spans);
    loopback_dispose(&exchange->world);
}

static struct exchange exchange;

static void ask(const char *traces, const char *listener, const char *fields) {
    ask_from(&exchange, traces, listener, "127.0.0.1", fields);
}

// The value of the only field of that name that the server got; "" where there is none.
static const char *told(const char *name) {
    static char values[4][512];
    static unsigned next;
    char wanted[64];
    (void)snprintf(wanted, sizeof wanted, "%s: ", name);
    const char *found = strcasestr(exchange.got, wanted);
    if (found == NULL)
        return "";
    found += strlen(wanted);
    if (strcasestr(found, wanted) != NULL)
        fail_msg("%s stands twice in:\n%s", name, exchange.got);
    char *const value = values[next++ % 4];
    (void)snprintf(value, sizeof values[0], "%.*s", (int)strcspn(found, "\n"), found);
    return value;
}

static const char *span(unsigned number) {
    assert_true(number < exchange.spans.count);
    return exchange.spans.lines[number];
}

// The id of its parent, as what the server got says it.
static const char *told_parent(void) {
    static char id[17];
    const char *parent = told("traceparent");
    assert_int_equal(strlen(parent), 55);
    (void)snprintf(id, sizeof id, "%.16s", parent + 36);
    return id;
}

// One after the other over one connection: the n-th request is what the server got n-th.
static void ask_again(struct loopback *world, unsigned number, const char *request) {
    struct client client;
    client_ask(&client, world, request);
    far_respond(far_conn(&world->far, 0), far_request(far_conn(&world->far, 0), number), 200, "content-length: 0\n", "", true);
    assert_int_equal(client.status, 200);
    client_dispose(&client);
    char last[32];
    (void)snprintf(last, sizeof last, "stream %u\n", number + 1);
    const char *got = strstr(received(world, 0), last);
    assert_non_null(got);
    (void)snprintf(exchange.got, sizeof exchange.got, "%s", got);
}

// ---- the access log

static void a_line_of_the_log_leads_to_its_span(void **state) {
    (void)state;
    static const char *const listeners[] = {"inbound", "outbound"};
    for (int i = 0; i < 2; i++) {
        ask(ALWAYS, listeners[i], PARENT);
        assert_string_equal(exchange.world.record.trace_id, TRACE);
        assert_string_equal(exchange.world.record.span_id, span_part(span(0), "id="));
        ask(ALWAYS, listeners[i], PARENT_NOT_SAMPLED); // nobody will find a span of it
        assert_string_equal(exchange.world.record.trace_id, TRACE);
        assert_string_equal(exchange.world.record.span_id, "");
    }
}

// By what whoever began the trace has told of it, so that all proxies log the same requests; a tracestate that is not valid tells nothing.
static void the_log_samples_by_the_randomness_that_is_told(void **state) {
    (void)state;
    static const char *const states[] = {"", "tracestate: ot=rv:7fffffffffffff\n", "tracestate: ot=rv:7fffffffffffff,A=1\n",
                                         "tracestate: a=1\ntracestate: ot=rv:80000000000000\n"};
    static const unsigned lines[] = {1, 0, 1, 1};
    for (int traced = 0; traced < 2; traced++)
        for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
            struct loopback *const world = &exchange.world;
            char request[256];
            (void)snprintf(request, sizeof request, "GET a /\n%s%s", PARENT, states[i]);
            loopback_init(
                world,
                API "kind: Proxy\nmetadata: {name: p}\nspec:\n  listeners: [{name: outbound, role: Outbound, address: '127.0.0.1:15001'}]\n"
                    "  telemetry: {accessLog: {path: /dev/null, filter: All, sampling: {numerator: 1, denominator: 2}}}\n---\n" SERVICE("HTTP1", ONE),
                NULL);
            if (traced)
                span_reader_init(&exchange.spans, &world->env);
            ask_again(world, 0, request);
            assert_int_equal(world->record.count, lines[i]);
            if (traced)
                span_reader_dispose(&exchange.spans);
            loopback_dispose(world);
        }
}

// ---- W3C

static void a_recorded_trace_goes_on_with_our_span_as_parent(void **state) {
    (void)state;
    static const char *const listeners[] = {"inbound", "outbound"};
    for (int i = 0; i < 2; i++) {
        ask(NEVER, listeners[i], PARENT "tracestate: a=1,b=2\n");
        assert_int_equal(exchange.spans.count, 1);
        assert_has(span(0), i == 0 ? "SERVER GET trace=" TRACE " id=" : "CLIENT GET trace=" TRACE " id=");
        assert_has(span(0), " parent=" SPAN " flags=301 state=a=1,b=2 ");
        assert_has(told("traceparent"), "00-" TRACE "-");
        assert_string_equal(told("traceparent") + 52, "-01");
        assert_string_equal(told_parent(), span_part(span(0), "id="));
        assert_string_not_equal(told_parent(), SPAN);
        assert_string_equal(told("tracestate"), "a=1,b=2");
    }
}

static void what_is_not_recorded_goes_on_as_it_came(void **state) {
    (void)state;
    ask(ALWAYS, "inbound", PARENT_NOT_SAMPLED "tracestate: A=broken\n");
    assert_int_equal(exchange.spans.count, 0);
    assert_string_equal(told("traceparent"), "00-" TRACE "-" SPAN "-00");
    assert_string_equal(told("tracestate"), "A=broken");
}

static void where_no_trace_was_begun_one_begins(void **state) {
    (void)state;
    ask(ALWAYS, "inbound", "");
    assert_int_equal(exchange.spans.count, 1);
    assert_has(span(0), " parent=- flags=103 state=ot=th:0 ");
    assert_string_equal(told("traceparent") + 52, "-03");
    assert_string_equal(told_parent(), span_part(span(0), "id="));
    assert_string_equal(told("tracestate"), "ot=th:0");
}

static void a_root_that_is_not_sampled_is_told_on(void **state) {
    (void)state;
    ask(NEVER, "outbound", "tracestate: a=1\n");
    assert_int_equal(exchange.spans.count, 0);
    assert_int_equal(strlen(told("traceparent")), 55);
    assert_string_equal(told("traceparent") + 52, "-02");
    assert_string_equal(told("tracestate"), ""); // nobody's trace any more
}

static void an_invalid_traceparent_begins_anew_and_clears_tracestate(void **state) {
    (void)state;
    static const char *const invalid[] = {
        "traceparent: ff-" TRACE "-" SPAN "-01\n",
        "traceparent: 00-00000000000000000000000000000000-" SPAN "-01\n",
        "traceparent: 00-" TRACE "-0000000000000000-01\n",
        "traceparent: 00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01\n",
        "traceparent: 00-" TRACE "-" SPAN "-01-more\n",
        "traceparent: 00-" TRACE "-" SPAN "\n",
        PARENT PARENT, // twice
        "traceparent: 00-" TRACE "-" SPAN "-01, 00-" TRACE "-" SPAN "-01\n",
        "traceparent: \n",
    };
    for (size_t i = 0; i < sizeof invalid / sizeof invalid[0]; i++) {
        char fields[512];
        (void)snprintf(fields, sizeof fields, "%stracestate: a=1\n", invalid[i]);
        ask(ALWAYS, "inbound", fields);
        assert_has(span(0), " parent=- ");
        assert_has_not(span(0), TRACE);
        assert_int_equal(strlen(told("traceparent")), 55);
        assert_string_equal(told("tracestate"), "ot=th:0");
    }
}

static void a_higher_version_is_told_on_as_version_00(void **state) {
    (void)state;
    ask(NEVER, "inbound", "traceparent: cc-" TRACE "-" SPAN "-01-more\n");
    assert_has(told("traceparent"), "00-" TRACE "-");
    assert_int_equal(strlen(told("traceparent")), 55);
}

static void the_random_flag_is_passed_on_and_others_are_not(void **state) {
    (void)state;
    ask(NEVER, "inbound", "traceparent: 00-" TRACE "-" SPAN "-ff\n");
    assert_string_equal(told("traceparent") + 52, "-03");
    assert_has(span(0), " flags=303 ");
}

static void an_invalid_tracestate_is_dropped_and_the_trace_goes_on(void **state) {
    (void)state;
    ask(NEVER, "inbound", PARENT "tracestate: a=1\ntracestate: B=2\n");
    assert_has(span(0), "trace=" TRACE);
    assert_has(span(0), " state=- ");
    assert_string_equal(told("tracestate"), "");
    assert_has(told("traceparent"), TRACE);
}

static void several_lines_of_tracestate_go_on_as_they_came(void **state) {
    (void)state;
    ask(NEVER, "outbound", PARENT "tracestate: a=1\ntracestate: b=2\n");
    assert_has(span(0), " state=a=1,b=2 ");
    assert_has(exchange.got, "tracestate: a=1\n");
    assert_has(exchange.got, "tracestate: b=2\n");
}

static void sampling_is_the_same_share_everywhere(void **state) {
    (void)state;
    struct loopback world;
    unsigned recorded = 0;
    loopback_init(&world, TRACED("sampling: {numerator: 1, denominator: 4}") SERVICE("HTTP1", ONE), NULL);
    for (unsigned i = 0; i < 64; i++) {
        span_reader_init(&exchange.spans, &world.env);
        ask_again(&world, i, "GET a /\n");
        (void)span_reader_read(&exchange.spans);
        span_reader_dispose(&exchange.spans);
        char digits[3];
        (void)snprintf(digits, sizeof digits, "%.2s", told("traceparent") + 3 + 18); // the highest of the low 56 bits
        const bool is_sampled = strtoul(digits, NULL, 16) >= 0xc0;
        assert_int_equal(exchange.spans.count, is_sampled);
        assert_string_equal(told("traceparent") + 52, is_sampled ? "-03" : "-02");
        assert_string_equal(told("tracestate"), is_sampled ? "ot=th:c" : "");
        recorded += is_sampled;
    }
    assert_in_range(recorded, 6, 30);
    loopback_dispose(&world);
}

static void without_traces_headers_pass_untouched(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, PROXY SERVICE("HTTP1", ONE), NULL);
    ask_again(&world, 0, "GET a /\ntraceparent: nonsense\ntracestate: A\nb3: x\n");
    assert_string_equal(told("traceparent"), "nonsense");
    assert_string_equal(told("tracestate"), "A");
    assert_string_equal(told("b3"), "x");
    ask_again(&world, 1, "GET a /\n");
    assert_has_not(exchange.got, "traceparent");
    loopback_dispose(&world);
}

static void none_reads_and_writes_nothing(void **state) {
    (void)state;
    ask(ALWAYS ", propagators: [none]", "inbound", PARENT "b3: " TRACE "-" SPAN "-1\n");
    assert_has(span(0), " parent=- ");
    assert_string_equal(told("traceparent"), "00-" TRACE "-" SPAN "-01");
    assert_string_equal(told("b3"), TRACE "-" SPAN "-1");
}

// ---- B3

#define B3 ", propagators: [b3]"

static void b3_in_one_field_is_read_and_told_on(void **state) {
    (void)state;
    ask(NEVER B3, "inbound", "b3: " TRACE "-" SPAN "-1-00f067aa0ba902b8\n");
    assert_has(span(0), "SERVER GET trace=" TRACE " id=");
    assert_has(span(0), " parent=" SPAN);
    char wanted[64];
    (void)snprintf(wanted, sizeof wanted, TRACE "-%s-1", span_part(span(0), "id="));
    assert_string_equal(told("b3"), wanted);
    assert_string_equal(told("traceparent"), "");
}

static void b3_in_several_fields_is_read_and_told_on(void **state) {
    (void)state;
    ask(NEVER ", propagators: [b3multi]", "outbound",
        "X-B3-TraceId: " TRACE "\nX-B3-SpanId: " SPAN "\nX-B3-ParentSpanId: 00f067aa0ba902b8\nX-B3-Sampled: true\n");
    assert_has(span(0), "CLIENT GET trace=" TRACE " id=");
    assert_string_equal(told("x-b3-traceid"), TRACE);
    assert_string_equal(told("x-b3-spanid"), span_part(span(0), "id="));
    assert_string_equal(told("x-b3-sampled"), "1");
    assert_string_equal(told("x-b3-parentspanid"), "");
    assert_string_equal(told("b3"), "");
}

static void the_one_field_counts_before_the_several_and_what_is_sent_is_one_form(void **state) {
    (void)state;
    ask(NEVER B3, "inbound",
        "b3: " TRACE "-" SPAN "-1\nx-b3-traceid: 11111111111111111111111111111111\nx-b3-spanid: 2222222222222222\nx-b3-sampled: 0\n");
    assert_has(span(0), "trace=" TRACE);
    assert_string_equal(told("x-b3-traceid"), "");
    assert_string_equal(told("x-b3-sampled"), "");
}

static void an_id_of_64_bits_is_padded(void **state) {
    (void)state;
    ask(NEVER B3, "inbound", "b3: a3ce929d0e0e4736-" SPAN "-1\n");
    assert_has(span(0), "trace=0000000000000000a3ce929d0e0e4736 ");
}

static void debug_is_recorded_and_told_on_as_such(void **state) {
    (void)state;
    ask(NEVER B3, "inbound", "b3: " TRACE "-" SPAN "-d\n");
    assert_int_equal(exchange.spans.count, 1);
    assert_string_equal(told("b3") + 49, "-d");
    ask(NEVER ", propagators: [b3multi]", "inbound", "x-b3-traceid: " TRACE "\nx-b3-spanid: " SPAN "\nx-b3-flags: 1\n");
    assert_int_equal(exchange.spans.count, 1);
    assert_string_equal(told("x-b3-flags"), "1");
    assert_string_equal(told("x-b3-sampled"), "");
}

static void whoever_leaves_the_decision_to_us_gets_ours(void **state) {
    (void)state;
    ask(ALWAYS B3, "inbound", "b3: " TRACE "-" SPAN "\n");
    assert_has(span(0), " parent=" SPAN " flags=301 ");
    assert_string_equal(told("b3") + 49, "-1");
    ask(NEVER B3, "inbound", "b3: " TRACE "-" SPAN "\n");
    assert_int_equal(exchange.spans.count, 0);
    assert_string_equal(told("b3"), TRACE "-" SPAN "-0"); // or the next one decides once more
}

static void a_denial_without_ids_holds_for_what_begins_here(void **state) {
    (void)state;
    ask(ALWAYS B3, "inbound", "b3: 0\n");
    assert_int_equal(exchange.spans.count, 0);
    assert_string_equal(told("b3") + 49, "-0");
}

static void both_forms_are_written_where_both_are_configured(void **state) {
    (void)state;
    ask(NEVER ", propagators: [tracecontext, b3]", "inbound", "b3: " TRACE "-" SPAN "-1\ntracestate: a=1\n");
    assert_has(told("traceparent"), "00-" TRACE "-");
    assert_has(told("b3"), TRACE "-");
    assert_string_equal(told("tracestate"), ""); // of no traceparent
    ask(NEVER ", propagators: [tracecontext, b3]", "inbound", PARENT "b3: 11111111111111111111111111111111-" SPAN "-1\n");
    assert_has(span(0), "trace=" TRACE);
    assert_has(told("b3"), TRACE "-");
}

static void what_is_not_sampled_is_told_in_each_form_that_it_lacks(void **state) {
    (void)state;
    ask(ALWAYS ", propagators: [tracecontext, b3]", "inbound", "b3: " TRACE "-" SPAN "-0\ntracestate: a=1\n");
    assert_int_equal(exchange.spans.count, 0);
    assert_string_equal(told("b3"), TRACE "-" SPAN "-0");
    assert_string_equal(told("traceparent"), "00-" TRACE "-" SPAN "-00");
    assert_string_equal(told("tracestate"), ""); // of no traceparent
    ask(ALWAYS ", propagators: [tracecontext, b3, b3multi]", "outbound", PARENT_NOT_SAMPLED "tracestate: a=1\n");
    assert_string_equal(told("traceparent"), "00-" TRACE "-" SPAN "-00");
    assert_string_equal(told("tracestate"), "a=1");
    assert_string_equal(told("b3"), TRACE "-" SPAN "-0");
    assert_string_equal(told("x-b3-traceid"), TRACE);
    assert_string_equal(told("x-b3-sampled"), "0");
    ask(ALWAYS ", propagators: [tracecontext, b3]", "outbound", "traceparent: nonsense\nb3: " TRACE "-" SPAN "-0\n");
    assert_string_equal(told("traceparent"), "00-" TRACE "-" SPAN "-00");
}

// ---- requests of filters

#define AGENT                                                                                                                                     \
    API "kind: ServiceEntry\nmetadata: {name: b}\nspec:\n  hosts: [b]\n  ports: [{name: http, port: 80, protocol: HTTP1}]\n  tls: {mode: None}\n" \
        "  endpoints: [{address: '127.0.0.1:8002'}]\n---\n"

static void ignore(void *user, const struct subrequest_answer *answer) {
    (void)user;
    (void)answer;
}

// One that asks b by a head of its own, of a stream of `listener`: what b got, and the spans.
static void ask_aside(const char *traces, const char *listener, const char *fields, enum subrequest_kind kind, enum far_mode mode) {
    static const union address address = {.v4 = {.sin_family = AF_INET}};
    static const struct stream_client who = {.address = &address};
    struct loopback *const world = &exchange.world;
    struct client client;
    struct pool pool;
    struct head head;
    char documents[4096], request[1024];
    (void)snprintf(documents, sizeof documents, TRACED("%s") "%s", traces, SERVICE("HTTP1", ONE) AGENT);
    (void)snprintf(request, sizeof request, "GET a /\n%s", fields);
    loopback_init(world, documents, NULL);
    span_reader_init(&exchange.spans, &world->env);
    client_begin_as(&client, world, loopback_listener(world, listener), &who, HTTP_1_1, request, true);
    loopback_settle(world);
    pool_init(&pool, &world->env.loop->pools);
    head_from_text(&head, &pool, HTTP_1_1, "GET b /who\n");
    world->far.mode = mode;
    const struct subrequest_order order = {
        .kind = kind, .service = snapshot_find_host(world->bound->snapshot, BYTES("b"), 80), .head = &head, .timeout = NS_PER_S, .completed = ignore};
    assert_int_equal(subrequest_start(client.stream, &order, NULL), OK);
    loopback_settle(world);
    exchange.got[0] = '\0';
    if (mode == FAR_ACCEPT) {
        (void)snprintf(exchange.got, sizeof exchange.got, "%s", received(world, 1));
        respond(world, 1, 200, "content-length: 0\n", "");
    }
    respond(world, 0, 200, "content-length: 0\n", "");
    client_dispose(&client);
    pool_dispose(&pool);
    (void)span_reader_read(&exchange.spans);
    span_reader_dispose(&exchange.spans);
    loopback_dispose(world);
}

static void what_a_filter_asks_hangs_below_its_request(void **state) {
    (void)state;
    static const char *const listeners[] = {"inbound", "outbound"}, *const fields[] = {"", PARENT};
    for (int i = 0; i < 4; i++)
        for (int refuses = 0; refuses < 2; refuses++) {
            ask_aside(ALWAYS, listeners[i % 2], fields[i / 2], SUBREQUEST_AGENT, refuses ? FAR_REFUSE : FAR_ACCEPT);
            assert_int_equal(exchange.spans.count, 2);
            assert_has(span(0), "CLIENT GET ");
            assert_has(span(0), i < 2 ? " flags=103 " : " flags=101 "); // its parent is ours, not a far one
            assert_string_equal(span_part(span(0), "parent="), span_part(span(1), "id="));
            assert_string_not_equal(span_part(span(0), "id="), span_part(span(1), "id="));
            if (!refuses)
                assert_string_equal(told_parent(), span_part(span(0), "id="));
        }
}

static void what_a_filter_asks_is_told_of_a_trace_that_is_not_sampled(void **state) {
    (void)state;
    ask_aside(ALWAYS, "inbound", PARENT_NOT_SAMPLED, SUBREQUEST_AGENT, FAR_ACCEPT);
    assert_int_equal(exchange.spans.count, 0);
    assert_string_equal(told("traceparent"), "00-" TRACE "-" SPAN "-00");
}

// They are fetched for all requests, and whoever has them is a stranger.
static void a_fetch_of_keys_is_of_nobody_s_trace(void **state) {
    (void)state;
    ask_aside(ALWAYS, "inbound", PARENT, SUBREQUEST_KEYS, FAR_ACCEPT);
    assert_int_equal(exchange.spans.count, 1);
    assert_string_equal(told("traceparent"), "");
}

// ---- baggage

static void baggage_goes_on_unchanged(void **state) {
    (void)state;
    ask(NEVER, "outbound", "baggage: a=1;p=x , b=%20\nbaggage: c=3\n");
    assert_has(exchange.got, "baggage: a=1;p=x , b=%20\n");
    assert_has(exchange.got, "baggage: c=3\n");
}

static void more_baggage_than_has_to_be_passed_on_is_cut_by_members(void **state) {
    (void)state;
    char fields[1024] = "baggage: k=0";
    for (int i = 1; i < 70; i++)
        (void)snprintf(fields + strlen(fields), sizeof fields - strlen(fields), ",k=%d", i);
    strcat(fields, "\nbaggage: one=more\n");
    ask(NEVER, "inbound", fields);
    assert_has(told("baggage"), ",k=62,k=63");
    assert_has_not(told("baggage"), "k=64");
    ask(NEVER ", propagators: [tracecontext]", "inbound", fields);
    assert_has(exchange.got, ",k=69\n");
    assert_has(exchange.got, "baggage: one=more\n");
}

// ---- the field that forces

#define FORCED NEVER ", forceHeader: x-debug-trace"

static void whoever_may_has_a_request_recorded(void **state) {
    (void)state;
    ask(FORCED, "outbound", "x-debug-trace: 1\n");
    assert_has(span(0), " parent=- flags=103 state=- ");
    assert_string_equal(told("tracestate"), ""); // no probability has chosen it
    assert_string_equal(told("x-debug-trace"), "1");
    ask(FORCED, "outbound", "x-debug-trace: True\n" PARENT_NOT_SAMPLED "tracestate: a=1,ot=th:8;rv:0123456789abcd\n");
    assert_has(span(0), "trace=" TRACE);
    assert_string_equal(told("traceparent") + 52, "-01");
    assert_string_equal(told("tracestate"), "ot=rv:0123456789abcd,a=1");
    ask(ALWAYS ", forceHeader: x-debug-trace", "outbound", "x-debug-trace: 1\n");
    assert_string_equal(told("tracestate"), "ot=th:0"); // what is chosen anyway is chosen by its probability
    ask(FORCED, "outbound", "x-debug-trace: 0\n");
    assert_int_equal(exchange.spans.count, 0);
}

static void a_stranger_has_nothing_recorded_by_it(void **state) {
    (void)state;
    ask_from(&exchange, FORCED, "inbound", "10.0.0.1", "x-debug-trace: 1\n");
    assert_int_equal(exchange.spans.count, 0);
    assert_string_equal(told("x-debug-trace"), "");
}

// Further on somebody could obey it.
static void a_stranger_s_is_taken_off_also_where_there_are_no_traces(void **state) {
    (void)state;
    const union address address = {.v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a000001)}};
    const struct stream_client who = {.address = &address};
    struct client client;
    loopback_init(&exchange.world, TRACED(FORCED) SERVICE("HTTP1", ONE), NULL);
    client_begin_as(&client, &exchange.world, loopback_listener(&exchange.world, "inbound"), &who, HTTP_1_1, "GET a /\nx-debug-trace: 1\n", true);
    loopback_settle(&exchange.world);
    assert_has_not(received(&exchange.world, 0), "x-debug-trace");
    respond(&exchange.world, 0, 200, "content-length: 0\n", "");
    client_dispose(&client);
    loopback_dispose(&exchange.world);
}

static void without_a_name_for_it_it_is_a_field_as_any_other(void **state) {
    (void)state;
    ask(NEVER, "outbound", "x-debug-trace: 1\n");
    assert_int_equal(exchange.spans.count, 0);
    assert_string_equal(told("x-debug-trace"), "1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_of_the_log_leads_to_its_span),
        cmocka_unit_test(the_log_samples_by_the_randomness_that_is_told),
        cmocka_unit_test(a_recorded_trace_goes_on_with_our_span_as_parent),
        cmocka_unit_test(what_is_not_recorded_goes_on_as_it_came),
        cmocka_unit_test(where_no_trace_was_begun_one_begins),
        cmocka_unit_test(a_root_that_is_not_sampled_is_told_on),
        cmocka_unit_test(an_invalid_traceparent_begins_anew_and_clears_tracestate),
        cmocka_unit_test(a_higher_version_is_told_on_as_version_00),
        cmocka_unit_test(the_random_flag_is_passed_on_and_others_are_not),
        cmocka_unit_test(an_invalid_tracestate_is_dropped_and_the_trace_goes_on),
        cmocka_unit_test(several_lines_of_tracestate_go_on_as_they_came),
        cmocka_unit_test(sampling_is_the_same_share_everywhere),
        cmocka_unit_test(without_traces_headers_pass_untouched),
        cmocka_unit_test(none_reads_and_writes_nothing),
        cmocka_unit_test(b3_in_one_field_is_read_and_told_on),
        cmocka_unit_test(b3_in_several_fields_is_read_and_told_on),
        cmocka_unit_test(the_one_field_counts_before_the_several_and_what_is_sent_is_one_form),
        cmocka_unit_test(an_id_of_64_bits_is_padded),
        cmocka_unit_test(debug_is_recorded_and_told_on_as_such),
        cmocka_unit_test(whoever_leaves_the_decision_to_us_gets_ours),
        cmocka_unit_test(a_denial_without_ids_holds_for_what_begins_here),
        cmocka_unit_test(both_forms_are_written_where_both_are_configured),
        cmocka_unit_test(what_is_not_sampled_is_told_in_each_form_that_it_lacks),
        cmocka_unit_test(what_a_filter_asks_hangs_below_its_request),
        cmocka_unit_test(what_a_filter_asks_is_told_of_a_trace_that_is_not_sampled),
        cmocka_unit_test(a_fetch_of_keys_is_of_nobody_s_trace),
        cmocka_unit_test(baggage_goes_on_unchanged),
        cmocka_unit_test(more_baggage_than_has_to_be_passed_on_is_cut_by_members),
        cmocka_unit_test(whoever_may_has_a_request_recorded),
        cmocka_unit_test(a_stranger_has_nothing_recorded_by_it),
        cmocka_unit_test(a_stranger_s_is_taken_off_also_where_there_are_no_traces),
        cmocka_unit_test(without_a_name_for_it_it_is_a_field_as_any_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
