// A warm worker calls no allocator for a request: everything comes from its free lists. Counted by AddressSanitizer's hooks, which see every call of the process, those
// of libraries too, over 1,000 requests from the client's bytes to the answer's; transports that themselves allocate nothing stand in the place of sockets.
#include "filters/registry.h"

#include "base/poison.h"
#include "stream/tap_feed.h"
#include "telemetry/export_queue.h"
#include "support/fake_downstream.h"
#include "support/h2_frames.h"
#include "unit/stream/stream_drive.h"

#include <stdlib.h>

#if POISON_ENABLED
// gcc's packages leave sanitizer/allocator_interface.h out.
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *at, size_t size), void (*on_free)(const volatile void *at));
#endif

#define REQUESTS 1000
#define WARM_UP 300

static volatile unsigned allocations; // the compiler knows that malloc changes no variable
static volatile bool counting;

#if POISON_ENABLED
static void on_malloc(const volatile void *at, size_t size) {
    (void)at;
    (void)size;
    allocations = allocations + counting;
}

static void on_free(const volatile void *at) {
    (void)at;
}
#endif

// --- transports that take what they are given and deliver what the test has ---

struct bare {
    struct transport transport;
    struct bytes input; // to be delivered
    char head[256];     // of what was sent last: the beginning
    size_t head_length;
    uint64_t sent;
    bool connecting;
    struct task event;
    struct task release;
    struct block *block;
    struct bare *peer_server; // server's side: answers each flush
};

static struct bare *bare_of(struct transport *transport) {
    return CONTAINER_OF(transport, struct bare, transport);
}

static void deliver(struct task *task) {
    struct bare *bare = CONTAINER_OF(task, struct bare, event);
    if (bare->connecting) {
        bare->connecting = false;
        bare->transport.handler->ready(bare->transport.user, OK);
        return;
    }
    if (bare->input.len == 0)
        return;
    struct block *block = block_get(&bare->transport.loop->blocks);
    CHECK(bare->input.len <= BLOCK_CAPACITY);
    memcpy(block->bytes, bare->input.at, bare->input.len);
    block->filled = (uint32_t)bare->input.len;
    struct bytes in = bytes_from(block->bytes, bare->input.len);
    bare->input = BYTES_NONE;
    bare->transport.bytes_in += in.len;
    bare->transport.handler->bytes(bare->transport.user, block, in);
    block_unref(block);
}

static void give(struct bare *bare, struct bytes input) {
    CHECK(bare->input.len == 0);
    bare->input = input;
    loop_wake(bare->transport.loop, &bare->event);
}

static void bare_read_start(struct transport *transport) {
    (void)transport;
}

#define ANSWER "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Some: field\r\nContent-Length: 12\r\n\r\nhello, world"

static void bare_flush(struct transport *transport) {
    struct bare *bare = bare_of(transport);
    size_t length = transport->out.length;
    if (length == 0)
        return;
    struct bytes front = buffer_front(&transport->out);
    bare->head_length = front.len < sizeof bare->head ? front.len : sizeof bare->head;
    memcpy(bare->head, front.at, bare->head_length);
    bare->sent += length;
    transport->bytes_out += length;
    buffer_consume(&transport->out, length);
    if (bare->peer_server == bare)
        give(bare, BYTES(ANSWER));
}

static void bare_shutdown(struct transport *transport) {
    (void)transport;
}

static void bare_release(struct task *task) {
    struct bare *bare = CONTAINER_OF(task, struct bare, release);
    bare->transport.handler->closed(bare->transport.user);
    buffer_dispose(&bare->transport.out);
}

static void bare_close(struct transport *transport, bool reset) {
    (void)reset;
    struct bare *bare = bare_of(transport);
    task_cancel(&bare->event);
    buffer_clear(&transport->out);
    loop_defer(transport->loop, &bare->release);
}

static const struct transport_ops bare_ops = {bare_read_start, bare_read_start, bare_flush, bare_shutdown, bare_close};

static struct bare client;
static struct bare server;

static void bare_init(struct bare *bare, struct loop *loop, const struct transport_handler *handler, void *user) {
    *bare = (struct bare){.transport = {.ops = &bare_ops, .handler = handler, .user = user, .loop = loop}};
    bare->transport.peer.v4.sin_family = AF_INET;
    buffer_init(&bare->transport.out, &loop->blocks);
    task_init(&bare->event, deliver);
    task_init(&bare->release, bare_release);
}

static enum error connect_bare(struct loop *loop, const struct sockaddr *address, socklen_t length, const struct transport_handler *handler,
                               void *user, struct transport **transport) {
    (void)address;
    (void)length;
    CHECK(server.transport.ops == NULL); // one connection serves all
    bare_init(&server, loop, handler, user);
    server.peer_server = &server;
    server.connecting = true;
    loop_wake(loop, &server.event);
    *transport = &server.transport;
    return OK;
}

static enum error adopt_bare(struct loop *loop, int socket, const struct transport_handler *handler, void *user, struct transport **transport) {
    (void)socket;
    bare_init(&client, loop, handler, user);
    *transport = &client.transport;
    return OK;
}

// --- the count ---

// Sends requests[i], and settles, for each; counts from WARM_UP on. Returns how often an allocator was called.
static unsigned count_over(struct fake_downstream *near, const struct bytes *requests, const char *expected) {
    struct loop *loop = &near->loopback.far.check.loop;
    allocations = 0;
    for (unsigned i = 0; i < WARM_UP + REQUESTS; i++) {
        counting = i >= WARM_UP;
        give(&client, requests[i]);
        while (!list_is_empty(&loop->wake) || !list_is_empty(&loop->flush) || !list_is_empty(&loop->closing))
            loop_turn(loop, loop->now);
        counting = false;
        if (expected != NULL && (client.head_length < strlen(expected) || memcmp(client.head, expected, strlen(expected)) != 0))
            fail_msg("request %u was answered: %.*s", i, (int)client.head_length, client.head);
        loop->now += 100 * NS_PER_US;
    }
    return allocations;
}

static void log_nothing(void *user, const struct access_record *record) {
    (void)user;
    (void)record;
}

static void world_init(struct fake_downstream *near, const char *documents, const char *listener) {
    memset(&client, 0, sizeof client);
    memset(&server, 0, sizeof server);
    fake_downstream_init(near, documents, filter_types);
    near->loopback.env.log = log_nothing;
    near->loopback.far.upstream.connect = connect_bare;
    near->downstream.adopt = adopt_bare;
    downstream_accept(&near->downstream, bytes_from_text(listener), 0);
#if POISON_ENABLED
    static bool installed;
    if (!installed)
        assert_true(__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free) > 0);
    installed = true;
    counting = true;
    allocations = 0;
    void *volatile at = malloc(100);
    free(at);
    counting = false;
    assert_true(allocations > 0); // the hooks see
#else
    skip();
#endif
}

// Policies that let all pass, as a service in earnest has them.
#define TARGET(kind, more) API "kind: " kind "\nmetadata: {name: p}\nspec:\n  targetRefs: [{kind: Service, name: a}]\n" more "---\n"
#define CALLER_POLICIES                                                                                                             \
    POLICY("  timeouts: {request: 20s, backendRequest: 10s}\n  retry: {attempts: 2, conditions: [ConnectFailure, GatewayError]}\n") \
    TARGET("FaultPolicy", "  mode: DryRun\n  rules: [{name: never, matches: [{path: {value: /never}}], abort: {status: 503}}]\n")   \
    TARGET("BulkheadPolicy", "  side: Caller\n  pools: [{name: all, adaptive: {}}]\n")
#define CALLEE_POLICIES                                                                                                                \
    TARGET("RateLimitPolicy", "  rules:\n"                                                                                             \
                              "  - {name: all, limits: [{requests: 1000000, per: 1s}]}\n"                                              \
                              "  - {name: agents, key: [{type: Header, name: user-agent}], limits: [{requests: 1000000, per: 1s}]}\n") \
    TARGET("BulkheadPolicy", "  pools: [{name: all, maxConcurrent: 9, perKey: {key: [{type: Header, name: user-agent}], maxConcurrent: 5}}]\n")
#define BESIDE                                                                                                                 \
    API "kind: Proxy\nmetadata: {name: p}\nspec:\n"                                                                            \
        "  service: a\n"                                                                                                       \
        "  listeners:\n"                                                                                                       \
        "  - {name: inbound, role: Inbound, address: '127.0.0.1:15006', forwardTo: '127.0.0.1:8009', mtls: {mode: Disable}}\n" \
        "  telemetry: {accessLog: {path: /dev/null, filter: All}}\n---\n"

static void count_from_http1(const char *documents, const char *listener) {
    struct fake_downstream near;
    static struct bytes requests[WARM_UP + REQUESTS];
    world_init(&near, documents, listener);
    for (unsigned i = 0; i < WARM_UP + REQUESTS; i++)
        requests[i] = i % 2 == 0 ? BYTES("GET /some/path?a=b HTTP/1.1\r\nHost: a\r\nUser-Agent: test\r\nAccept: */*\r\nX-Request-Id: 1\r\n\r\n")
                                 : BYTES("POST /some/path HTTP/1.1\r\nHost: a\r\nUser-Agent: test\r\nContent-Length: 5\r\n\r\nhello");
    assert_int_equal(count_over(&near, requests, "HTTP/1.1 200 OK\r\n"), 0);
    assert_int_equal(metric_read(&near.loopback.far.metrics.streams_begun), WARM_UP + REQUESTS);
    fake_downstream_dispose(&near);
}

static void no_allocation_for_a_warm_request_from_http1_to_http1(void **state) {
    (void)state;
    count_from_http1(PROXY SERVICE("HTTP1", ONE), "outbound");
}

static void wake_nobody(void *argument) {
    (void)argument;
}

static void on_note(struct note *note) {
    (void)note;
}

// By somebody who gets a line of each while there is room, and none behind that.
static void none_for_one_that_is_looked_at(void **state) {
    (void)state;
    struct fake_downstream near;
    struct tap_terms terms = {.count = UINT64_MAX, .rate = 1000000};
    struct tap_feed feed;
    struct mailbox home;
    static struct bytes requests[WARM_UP + REQUESTS];
    world_init(&near, PROXY SERVICE("HTTP1", ONE), "outbound");
    mailbox_init(&home, 16, wake_nobody, NULL);
    tap_feed_init(&feed, &terms, &home, on_note, NULL);
    tap_feed_attach(&feed, &near.loopback.env);
    for (unsigned i = 0; i < WARM_UP + REQUESTS; i++)
        requests[i] = BYTES("GET /some/path?a=b HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_int_equal(count_over(&near, requests, "HTTP/1.1 200 OK\r\n"), 0);
    assert_true(metric_read(&near.loopback.far.metrics.tap_lines) > 0 && metric_read(&feed.dropped) > 0);
    assert_int_equal(metric_read(&near.loopback.far.metrics.tap_lines) + metric_read(&feed.dropped), WARM_UP + REQUESTS);
    tap_feed_detach(&feed, &near.loopback.env);
    tap_feed_dispose(&feed);
    mailbox_dispose(&home);
    fake_downstream_dispose(&near);
}

static struct export_queue spans;

static void publish_spans(struct task *task) {
    (void)task;
    export_queue_publish(&spans);
}

// Each begins a trace that is recorded, and its span finds room.
static void none_for_one_that_is_traced(void **state) {
    (void)state;
    struct fake_downstream near;
    struct mailbox home;
    struct task publish;
    static struct bytes requests[WARM_UP + REQUESTS];
    world_init(&near, PROXY SERVICE("HTTP1", ONE), "outbound");
    mailbox_init(&home, 16, wake_nobody, NULL);
    export_queue_init(&spans, 2 * (WARM_UP + REQUESTS), WARM_UP + REQUESTS, &home, on_note, NULL);
    task_init(&publish, publish_spans);
    near.loopback.env.spans = &spans;
    near.loopback.env.publish = &publish;
    for (unsigned i = 0; i < WARM_UP + REQUESTS; i++)
        requests[i] = BYTES("GET /some/path?a=b HTTP/1.1\r\nHost: a\r\nUser-Agent: test\r\n\r\n");
    assert_int_equal(count_over(&near, requests, "HTTP/1.1 200 OK\r\n"), 0);
    assert_int_equal(export_queue_waiting(&spans), WARM_UP + REQUESTS);
    near.loopback.env.spans = NULL;
    fake_downstream_dispose(&near);
    export_queue_dispose(&spans);
    mailbox_dispose(&home);
}

static void none_for_one_that_the_caller_s_policies_let_pass(void **state) {
    (void)state;
    count_from_http1(PROXY SERVICE("HTTP1", ONE) CALLER_POLICIES, "outbound");
}

static void none_for_one_that_the_callee_s_policies_let_pass(void **state) {
    (void)state;
    count_from_http1(BESIDE SERVICE("HTTP1", ONE) CALLEE_POLICIES, "inbound");
}

static void no_allocation_for_a_warm_request_from_http2_to_http1(void **state) {
    (void)state;
    struct fake_downstream near;
    static struct bytes requests[WARM_UP + REQUESTS];
    static size_t starts[WARM_UP + REQUESTS + 1];
    struct text wire = {0};
    h2_preface(&wire);
    h2_settings(&wire, 0);
    h2_settings_ack(&wire);
    for (unsigned i = 0; i < WARM_UP + REQUESTS; i++) {
        uint32_t id = 2 * i + 1;
        if (i % 2 == 0) {
            h2_headers(&wire, id, H2_END_STREAM | H2_END_HEADERS,
                       ":method: GET\n:scheme: http\n:authority: a\n:path: /some/path?a=b\nuser-agent: test\nx-request-id: 1\n");
        } else {
            h2_headers(&wire, id, H2_END_HEADERS, ":method: POST\n:scheme: http\n:authority: a\n:path: /some/path\ncontent-length: 5\n");
            h2_data(&wire, id, H2_END_STREAM, BYTES("hello"));
        }
        if (i % 50 == 0) // as a client does that consumes what it gets
            h2_window_update(&wire, 0, 600);
        starts[i + 1] = wire.len;
    }
    for (unsigned i = 0; i < WARM_UP + REQUESTS; i++)
        requests[i] = bytes_from(wire.at + starts[i], starts[i + 1] - starts[i]);
    world_init(&near, PROXY SERVICE("HTTP1", ONE), "outbound");
    assert_int_equal(count_over(&near, requests, NULL), 0);
    assert_int_equal(metric_read(&near.loopback.far.metrics.streams_begun), WARM_UP + REQUESTS);
    assert_true(client.sent > (WARM_UP + REQUESTS) * 12);
    fake_downstream_dispose(&near);
    text_dispose(&wire);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_allocation_for_a_warm_request_from_http1_to_http1),
        cmocka_unit_test(none_for_one_that_is_looked_at),
        cmocka_unit_test(none_for_one_that_is_traced),
        cmocka_unit_test(none_for_one_that_the_caller_s_policies_let_pass),
        cmocka_unit_test(none_for_one_that_the_callee_s_policies_let_pass),
        cmocka_unit_test(no_allocation_for_a_warm_request_from_http2_to_http1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
