// The circuit breaker of a service on the way out: what is a failure and what is none, who is refused and in which words, probes and what becomes of them. That none is lost
// wherever a request is cut is in trials_of_load_test.c.
#include "filters/registry.h"
#include "upstream/breaker_state.h"

#include "support/quiet_log.h"
#include "unit/stream/stream_drive.h"

#define BREAKER(fields) "  circuitBreaker: {openFor: 60s, " fields "}\n"
#define WITH(fields) PROXY SERVICE("HTTP2", ONE) POLICY(BREAKER(fields))
#define CALL "POST a /x/y\ncontent-type: application/grpc\nte: trailers\n"
#define MINUTE (60 * NS_PER_S)

// Of a real one there is at most one document: the breaker of the only policy.
struct found {
    struct policy_state *state;
    unsigned count;
};

static void find(struct policy_state *state, void *user) {
    struct found *found = user;
    if (state->type->breaker == NULL)
        return;
    found->state = state;
    found->count++;
}

static struct policy_state *breaker_of(struct policy_state_set *set) {
    struct found found = {0};
    policy_state_figures(set, find, &found, &(struct policy_totals){0});
    assert_int_equal(found.count, 1);
    return found.state;
}

static struct circuit_view view_of(const struct loopback *world) {
    struct policy_state *state = breaker_of(world->states.live);
    return circuit_breaker_look(state->type->breaker(state), world->env.loop->now);
}

static enum circuit_state state_of(const struct loopback *world) {
    return view_of(world).state;
}

// What the service does with one request.
enum doing { ANSWERS, DENIES, FAILS, CANNOT, BREAKS, IS_SILENT, BREAKS_LATE, CLIENT_GOES, CLIENT_GOES_LATE };

static struct far_conn *newest(struct loopback *world) {
    return far_conn(&world->far, world->far.count - 1);
}

static void do_it(struct loopback *world, struct client *client, enum doing doing) {
    struct far_conn *conn = newest(world);
    struct owner_stream *request = conn->server.last;
    switch (doing) {
    case ANSWERS:
        far_respond(conn, request, 200, "content-length: 0\n", "", true);
        break;
    case DENIES:
        far_respond(conn, request, 404, "content-length: 0\n", "", true);
        break;
    case FAILS:
        far_respond(conn, request, 500, "content-length: 0\n", "", true);
        break;
    case CANNOT:
        far_respond(conn, request, 501, "content-length: 0\n", "", true);
        break;
    case BREAKS:
        far_reset(conn, request, ERROR_INTERNAL);
        break;
    case IS_SILENT:
        loopback_pass(world, 3 * NS_PER_S);
        break;
    case BREAKS_LATE:
        far_respond(conn, request, 200, "", "some", false);
        far_reset(conn, request, ERROR_INTERNAL);
        break;
    case CLIENT_GOES:
        client_fail(client, ERROR_CLIENT_GONE);
        break;
    case CLIENT_GOES_LATE:
        far_respond(conn, request, 200, "", "some", false);
        client_fail(client, ERROR_CLIENT_GONE);
        break;
    }
}

// Returns the status; 0: the client went.
static unsigned ask(struct loopback *world, enum doing doing) {
    struct client client;
    client_ask(&client, world, "GET a /\n");
    if (!client.done)
        do_it(world, &client, doing);
    const unsigned status = client.status;
    client_dispose(&client);
    return status;
}

// A failure has opened it, and it is time for this one, which the service has got.
static void begin_probe(struct loopback *world, struct client *client, const char *documents) {
    loopback_init(world, documents, filter_types);
    ask(world, FAILS);
    loopback_pass(world, MINUTE);
    client_ask(client, world, "GET a /\n");
}

static void what_is_a_failure_and_what_is_none(void **state) {
    (void)state;
    static const struct {
        enum doing doing;
        uint64_t requests, failures; // that the breaker has counted
    } cases[] = {{ANSWERS, 1, 0},   {DENIES, 1, 0},      {FAILS, 1, 1},       {CANNOT, 1, 0},          {BREAKS, 1, 1},
                 {IS_SILENT, 1, 1}, {BREAKS_LATE, 1, 1}, {CLIENT_GOES, 0, 0}, {CLIENT_GOES_LATE, 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loopback world;
        loopback_init(&world,
                      PROXY SERVICE("HTTP2", ONE)
                          POLICY(BREAKER("failureThreshold: 100") "  timeouts: {backendRequest: 2s}\n  retry: {disabled: true}\n"),
                      filter_types);
        ask(&world, cases[i].doing);
        const struct circuit_view view = view_of(&world);
        if (view.requests != cases[i].requests || view.failures != cases[i].failures)
            fail_msg("case %zu: %llu of %llu", i, (unsigned long long)view.failures, (unsigned long long)view.requests);
        loopback_dispose(&world);
    }
}

#define IN_TIME "  timeouts: {request: 10s, backendRequest: 2s}\n  retry: {disabled: true}\n"

// Asserts what a breaker has counted.
static void expect_counts(const struct loopback *world, uint64_t requests, uint64_t failures) {
    const struct circuit_view view = view_of(world);
    if (view.requests != requests || view.failures != failures)
        fail_msg("%llu of %llu", (unsigned long long)view.failures, (unsigned long long)view.requests);
}

static void a_client_that_sends_slowly_is_no_failure(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, PROXY SERVICE("HTTP2", ONE) POLICY(BREAKER("failureThreshold: 1") IN_TIME), filter_types);
    for (int i = 0; i < 5; i++) {
        struct client client;
        client_open(&client, &world, "POST a /\n");
        if (i > 0)
            client_send(&client, BYTES("part"), false);
        loopback_pass(&world, 3 * NS_PER_S);
        assert_int_equal(client.status, 504);
        client_end(&client, NULL);
        client_dispose(&client);
    }
    expect_counts(&world, 0, 0);
    assert_int_equal(state_of(&world), CIRCUIT_CLOSED);
    // With all of it in hand the service had the time.
    struct client client;
    client_open(&client, &world, "POST a /\n");
    client_send(&client, BYTES("all"), true);
    loopback_pass(&world, 3 * NS_PER_S);
    assert_int_equal(client.status, 504);
    client_dispose(&client);
    assert_int_equal(state_of(&world), CIRCUIT_OPEN);
    loopback_dispose(&world);
}

// How much of an answer there is when its time is over, and what its client takes of it.
static void who_is_slow_with_an_answer_decides(void **state) {
    (void)state;
    static const struct {
        const char *name;
        size_t accepts;
        bool ended;
        uint64_t requests, failures;
    } cases[] = {
        {"the client, and all has come", 2, true, 1, 0}, {"the client, and more would come", 2, false, 0, 0}, {"the service", SIZE_MAX, false, 1, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, PROXY SERVICE("HTTP2", ONE) POLICY(BREAKER("failureThreshold: 9") IN_TIME), filter_types);
        client_get(&client, &world, "GET a /\n");
        client.accepts = cases[i].accepts;
        loopback_settle(&world);
        far_respond(newest(&world), newest(&world)->server.last, 200, "", "some", cases[i].ended);
        loopback_pass(&world, 11 * NS_PER_S);
        assert_true(client.was_reset);
        assert_int_equal(world.record.end, ERROR_REQUEST_TIMEOUT);
        const struct circuit_view view = view_of(&world);
        if (view.requests != cases[i].requests || view.failures != cases[i].failures)
            fail_msg("%s: %llu of %llu", cases[i].name, (unsigned long long)view.failures, (unsigned long long)view.requests);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

// He would open the breaker of all others by it; where the route's own timeout is as short it is that which ends the request.
static void a_caller_s_impatience_is_no_failure(void **state) {
    (void)state;
    static const struct {
        const char *fields;
        enum error end;
        uint64_t failures;
    } cases[] = {{"x-request-timeout-ms: 5\n", ERROR_DEADLINE_EXPIRED, 0},
                 {"x-request-timeout-ms: 9999\n", ERROR_DEADLINE_EXPIRED, 0},
                 {"x-request-timeout-ms: 10000\n", ERROR_REQUEST_TIMEOUT, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int has_head = 0; has_head < 2; has_head++) {
            struct loopback world;
            struct client client;
            char request[64];
            loopback_init(&world,
                          PROXY SERVICE("HTTP2", ONE) POLICY(BREAKER("failureThreshold: 9") "  deadline: {propagate: true}\n  timeouts: {request: "
                                                                                            "10s}\n  retry: {disabled: true}\n"),
                          filter_types);
            snprintf(request, sizeof request, "GET a /\n%s", cases[i].fields);
            client_get(&client, &world, request);
            loopback_settle(&world);
            if (has_head)
                far_respond(newest(&world), newest(&world)->server.last, 200, "", "", false);
            loopback_pass(&world, 11 * NS_PER_S);
            assert_int_equal(world.record.end, cases[i].end);
            expect_counts(&world, cases[i].failures, cases[i].failures);
            client_dispose(&client);
            loopback_dispose(&world);
        }
    }
}

// A service of gRPC is told the caller's time, rounded down, and gives up by it on its own, a little before our timer does. What it does long before is its doing, and so is all that it does
// in the route's time.
static void a_service_that_gives_up_with_its_caller_s_time_has_not_failed(void **state) {
    (void)state;
    static const struct {
        const char *timeout;
        nanoseconds after;
        unsigned code; // 0: the stream is reset
        uint64_t failures;
    } cases[] = {
        {"50m", 49 * NS_PER_MS, 4, 0}, {"50m", 48 * NS_PER_MS, 0, 0},   {"1m", 0, 4, 0},
        {"50m", 20 * NS_PER_MS, 4, 1}, {"50m", 20 * NS_PER_MS, 0, 1},   {"50m", 49 * NS_PER_MS, 13, 1},
        {"", 9999 * NS_PER_MS, 4, 1},  {"11S", 9999 * NS_PER_MS, 4, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int in_trailers = 0; in_trailers < 2; in_trailers++) {
            struct loopback world;
            struct client client;
            char request[128], status[32];
            loopback_init(&world,
                          PROXY SERVICE("GRPC", ONE) POLICY(BREAKER("failureThreshold: 9") "  deadline: {propagate: true}\n  timeouts: {request: "
                                                                                           "10s}\n  retry: {disabled: true}\n"),
                          filter_types);
            snprintf(request, sizeof request, "%s%s%s%s", CALL, cases[i].timeout[0] == 0 ? "" : "grpc-timeout: ", cases[i].timeout,
                     cases[i].timeout[0] == 0 ? "" : "\n");
            client_ask(&client, &world, request);
            struct far_conn *conn = newest(&world);
            struct owner_stream *call = conn->server.last;
            snprintf(status, sizeof status, "grpc-status: %u\n", cases[i].code);
            if (in_trailers)
                far_respond(conn, call, 200, "content-type: application/grpc\n", "", false);
            loopback_pass(&world, cases[i].after);
            if (cases[i].code == 0)
                far_reset(conn, call, ERROR_INTERNAL);
            else if (in_trailers)
                far_trailers(conn, call, status);
            else
                far_respond(conn, call, 200, status, "", true);
            assert_true(client.done);
            expect_counts(&world, cases[i].failures, cases[i].failures);
            client_dispose(&client);
            loopback_dispose(&world);
        }
    }
}

// It is judged when its client, which takes nothing, is out of time.
static void what_broke_off_long_before_a_deadline_has_failed(void **state) {
    (void)state;
    for (int is_reset = 0; is_reset < 2; is_reset++) {
        struct loopback world;
        struct client client;
        loopback_init(&world,
                      PROXY SERVICE("GRPC", ONE) POLICY(BREAKER("failureThreshold: 9") "  deadline: {propagate: true}\n  retry: {disabled: true}\n"),
                      filter_types);
        client_get(&client, &world, CALL "grpc-timeout: 50m\n");
        client.accepts = 0;
        loopback_settle(&world);
        struct far_conn *conn = newest(&world);
        struct owner_stream *call = conn->server.last;
        far_respond(conn, call, 200, "content-type: application/grpc\n", "some words", false);
        loopback_pass(&world, 20 * NS_PER_MS);
        if (is_reset)
            far_reset(conn, call, ERROR_INTERNAL);
        else
            far_trailers(conn, call, "grpc-status: 4\n");
        loopback_pass(&world, 40 * NS_PER_MS);
        assert_true(client.done);
        expect_counts(&world, 1, 1);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

// Its body comes once it is told to go on, or when it likes (RFC 9110 section 10.1.1): it may send its head alone to make the service look hung.
static void who_waits_to_be_told_to_go_on_takes_its_own_time(void **state) {
    (void)state;
    for (int asks = 0; asks < 2; asks++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, PROXY SERVICE("HTTP2", ONE) POLICY(BREAKER("failureThreshold: 9") IN_TIME), filter_types);
        client_open(&client, &world, "POST a /\n");
        client.stream->request->expect_continue = true;
        loopback_settle(&world);
        if (asks)
            far_respond(newest(&world), newest(&world)->server.last, 100, "", "", false);
        loopback_pass(&world, 3 * NS_PER_S);
        assert_int_equal(client.status, 504);
        expect_counts(&world, 0, 0);
        client_end(&client, NULL);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

static void a_place_that_is_waited_for_is_no_failure(void **state) {
    (void)state;
    struct loopback world;
    struct client first, second;
    loopback_init(&world,
                  PROXY SERVICE("HTTP1", ONE)
                      POLICY(BREAKER("failureThreshold: 9") "  connections: {max: 1}\n  timeouts: {backendRequest: 2s}\n  retry: {disabled: true}\n"),
                  filter_types);
    client_ask(&first, &world, "GET a /\n");
    far_respond(far_conn(&world.far, 0), only_request(&world, 0), 200, "content-length: 9\n", NULL, false);
    client_get(&second, &world, "GET a /\n");
    loopback_pass(&world, 3 * NS_PER_S);
    assert_int_equal(second.status, 504);
    expect_counts(&world, 0, 0);
    client_fail(&first, ERROR_CLIENT_GONE);
    client_dispose(&first);
    client_dispose(&second);
    loopback_dispose(&world);
}

static void who_takes_no_connection_in_time_has_failed(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world,
                  PROXY SERVICE("HTTP1", ONE) POLICY(BREAKER(
                      "failureThreshold: 1") "  connections: {connectTimeout: 5s}\n  timeouts: {backendRequest: 2s}\n  retry: {disabled: true}\n"),
                  filter_types);
    world.far.mode = FAR_WAIT;
    client_get(&client, &world, "GET a /\n");
    loopback_pass(&world, 3 * NS_PER_S);
    assert_int_equal(client.status, 504);
    assert_int_equal(state_of(&world), CIRCUIT_OPEN);
    client_dispose(&client);
    loopback_dispose(&world);
}

// The peer had closed it while it was idle: nobody has failed, as its retry knows.
static void a_kept_connection_that_was_stale_is_no_failure(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, PROXY SERVICE("HTTP1", ONE) POLICY(BREAKER("failureThreshold: 1")), filter_types);
    ask(&world, ANSWERS);
    client_ask(&client, &world, "GET a /\n");
    far_break(far_conn(&world.far, 0));
    loopback_settle(&world);
    assert_int_equal(world.far.count, 2);
    do_it(&world, &client, ANSWERS);
    assert_int_equal(client.status, 200);
    client_dispose(&client);
    expect_counts(&world, 2, 0);
    loopback_dispose(&world);
}

static void without_an_identity_of_our_own_nobody_has_failed(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world,
                  API "kind: Proxy\nmetadata: {name: p}\nspec:\n  identity: {certificate: a, privateKey: b, trustBundle: c}\n"
                      "  listeners: [{name: outbound, role: Outbound, address: '127.0.0.1:15001'}]\n"
                      "  telemetry: {accessLog: {path: /dev/null, filter: All}}\n---\n" API
                      "kind: ServiceEntry\nmetadata: {name: a}\nspec:\n  hosts: [a]\n  ports: [{name: http, port: 80}]\n"
                      "  tls: {mode: Mesh}\n  identities: ['spiffe://t/a']\n  endpoints: [" ONE "]\n---\n" POLICY(BREAKER("failureThreshold: 1")),
                  filter_types);
    client_get(&client, &world, "GET a /\n");
    loopback_pass(&world, NS_PER_S);
    assert_int_equal(client.status, 502);
    assert_int_equal(world.record.end, ERROR_TLS_FAILED);
    expect_counts(&world, 0, 0);
    assert_int_equal(state_of(&world), CIRCUIT_CLOSED);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void calls_of_grpc_are_judged_by_their_code(void **state) {
    (void)state;
    static const bool fails[17] = {[2] = true, [4] = true, [13] = true, [14] = true, [15] = true};
    for (unsigned code = 0; code < 17; code++) {
        for (int in_trailers = 0; in_trailers < 2; in_trailers++) {
            struct loopback world;
            struct client client;
            char field[64];
            snprintf(field, sizeof field, "grpc-status: %u\n", code);
            loopback_init(&world, WITH("failureThreshold: 100"), filter_types);
            client_ask(&client, &world, CALL);
            struct far_conn *conn = far_conn(&world.far, 0);
            far_respond(conn, conn->server.last, 200, in_trailers ? "content-type: application/grpc\n" : field, "", !in_trailers);
            if (in_trailers)
                far_trailers(conn, conn->server.last, field);
            const struct circuit_view view = view_of(&world);
            if (view.requests != 1 || view.failures != fails[code])
                fail_msg("code %u, %s: %llu", code, in_trailers ? "in trailers" : "alone", (unsigned long long)view.failures);
            client_dispose(&client);
            loopback_dispose(&world);
        }
    }
}

static void a_call_that_ends_without_a_code_has_failed(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, WITH("failureThreshold: 100"), filter_types);
    client_ask(&client, &world, CALL);
    respond(&world, 0, 200, "content-type: application/grpc\n", "");
    assert_int_equal(view_of(&world).failures, 1);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void who_cannot_be_connected_to_has_failed(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, WITH("failureThreshold: 3"), filter_types);
    world.far.mode = FAR_REFUSE;
    struct client client;
    client_get(&client, &world, "GET a /\n"); // twice: the first try and the retry
    loopback_pass(&world, NS_PER_S);
    assert_int_equal(client.status, 502);
    client_dispose(&client);
    assert_int_equal(view_of(&world).in_a_row, 2);
    client_get(&client, &world, "GET a /\n");
    loopback_pass(&world, NS_PER_S);
    assert_int_equal(client.status, 503);
    assert_int_equal(world.record.end, ERROR_BREAKER_OPEN); // its retry was refused here
    client_dispose(&client);
    assert_int_equal(state_of(&world), CIRCUIT_OPEN);
    assert_int_equal(world.far.count, 3);
    loopback_dispose(&world);
}

static void five_failures_and_a_minute(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, WITH("failureThreshold: 5"), filter_types);
    for (int i = 0; i < 5; i++)
        assert_int_equal(ask(&world, FAILS), 500);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(ask(&world, ANSWERS), 503);
        assert_int_equal(world.record.end, ERROR_BREAKER_OPEN);
    }
    loopback_pass(&world, MINUTE - NS_PER_MS);
    assert_int_equal(ask(&world, ANSWERS), 503);
    loopback_pass(&world, NS_PER_MS);
    client_ask(&client, &world, "GET a /\n");
    assert_int_equal(client.status, 0);
    assert_int_equal(ask(&world, ANSWERS), 503); // beside the probe
    do_it(&world, &client, ANSWERS);
    assert_int_equal(client.status, 200);
    client_dispose(&client);
    assert_int_equal(state_of(&world), CIRCUIT_CLOSED);
    for (int i = 0; i < 10; i++)
        assert_int_equal(ask(&world, ANSWERS), 200);
    assert_int_equal(breaker_of(world.states.live)->refusals, 12);
    loopback_dispose(&world);
}

static void a_refusal_says_who_and_when(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, WITH("failureThreshold: 1"), filter_types);
    ask(&world, FAILS);
    loopback_pass(&world, 10 * NS_PER_S + 500 * NS_PER_MS);
    client_ask(&client, &world, "GET a /\n");
    assert_int_equal(client.status, 503);
    assert_string_equal(client_field(&client, "retry-after"), "50");
    assert_string_equal(client_field(&client, "proxy-status"),
                        "outrigger; error=destination_unavailable; details=\"breaker_open; TrafficPolicy/default/a: circuitBreaker\"");
    assert_has(client.body.at, "\"detail\":\"breaker_open: open\",\"violated-policies\":[\"circuitBreaker\"]");
    assert_string_equal(world.record.policy, "TrafficPolicy/default/a: circuitBreaker");
    assert_string_equal(world.record.detail, "open");
    client_dispose(&client);
    client_ask(&client, &world, CALL);
    assert_int_equal(client.status, 200);
    assert_string_equal(client_field(&client, "grpc-status"), "14");
    assert_string_equal(client_field(&client, "grpc-retry-pushback-ms"), "49500");
    assert_true(client.ended);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void beside_a_probe_one_is_told_to_come_soon(void **state) {
    (void)state;
    struct loopback world;
    struct client probe, client;
    loopback_init(&world, WITH("failureThreshold: 1"), filter_types);
    ask(&world, FAILS);
    loopback_pass(&world, MINUTE);
    client_ask(&probe, &world, "GET a /\n");
    client_ask(&client, &world, "GET a /\n");
    assert_int_equal(client.status, 503);
    assert_string_equal(client_field(&client, "retry-after"), "1");
    client_dispose(&client);
    do_it(&world, &probe, FAILS);
    assert_int_equal(state_of(&world), CIRCUIT_OPEN);
    client_dispose(&probe);
    loopback_dispose(&world);
}

static void a_client_that_goes_gives_its_probe_back(void **state) {
    (void)state;
    static const enum doing goes[] = {CLIENT_GOES, CLIENT_GOES_LATE};
    for (size_t i = 0; i < 2; i++) {
        struct loopback world;
        loopback_init(&world, WITH("failureThreshold: 1"), filter_types);
        ask(&world, FAILS);
        loopback_pass(&world, MINUTE);
        ask(&world, goes[i]);
        assert_int_equal(state_of(&world), CIRCUIT_HALF_OPEN);
        assert_int_equal(ask(&world, ANSWERS), 200);
        assert_int_equal(state_of(&world), CIRCUIT_CLOSED);
        loopback_dispose(&world);
    }
}

static void documents_may_change_during_a_probe(void **state) {
    (void)state;
    static const struct {
        const char *documents;
        enum circuit_state state; // once it has succeeded
    } cases[] = {{WITH("failureThreshold: 7, halfOpenRequests: 2"), CIRCUIT_HALF_OPEN},
                 {WITH("failureThreshold: 1, window: 20s"), CIRCUIT_CLOSED}, // a new one
                 {WITH("failurePercent: 50"), CIRCUIT_CLOSED}};              // the same
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loopback world;
        struct client client;
        begin_probe(&world, &client, WITH("failureThreshold: 1"));
        loopback_apply(&world, cases[i].documents);
        do_it(&world, &client, ANSWERS);
        assert_int_equal(client.status, 200);
        client_dispose(&client);
        assert_int_equal(state_of(&world), cases[i].state);
        assert_int_equal(ask(&world, ANSWERS), 200);
        assert_int_equal(state_of(&world), CIRCUIT_CLOSED);
        loopback_dispose(&world);
    }
}

static void a_policy_may_go_during_a_probe(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    begin_probe(&world, &client, WITH("failureThreshold: 1"));
    struct far_conn *conn = newest(&world);
    far_respond(conn, conn->server.last, 200, "", "some", false);
    loopback_apply(&world, PROXY SERVICE("HTTP2", ONE));
    loopback_pass(&world, MINUTE); // a long stream: it settles behind its policy
    far_body(conn, conn->server.last, BYTES("more"), true);
    assert_string_equal(client.body.at, "somemore");
    client_dispose(&client);
    loopback_dispose(&world);
}

static void a_long_stream_counts_by_its_head(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    begin_probe(&world, &client, WITH("failureThreshold: 1"));
    struct far_conn *conn = newest(&world);
    far_respond(conn, conn->server.last, 200, "", "some", false);
    loopback_pass(&world, 30 * NS_PER_S - NS_PER_MS);
    assert_int_equal(state_of(&world), CIRCUIT_HALF_OPEN);
    loopback_pass(&world, 2 * NS_PER_MS);
    assert_int_equal(state_of(&world), CIRCUIT_CLOSED);
    far_reset(conn, conn->server.last, ERROR_INTERNAL);
    assert_int_equal(state_of(&world), CIRCUIT_CLOSED);
    client_dispose(&client);
    // One whose head comes behind that time counts when it comes.
    client_get(&client, &world, "GET a /\n");
    loopback_pass(&world, MINUTE);
    conn = newest(&world);
    far_respond(conn, conn->server.last, 200, "", "some", false);
    assert_int_equal(view_of(&world).requests, 1);
    far_body(conn, conn->server.last, BYTES_NONE, true);
    assert_int_equal(view_of(&world).requests, 1);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void slow_answers_are_measured_to_their_heads(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, WITH("slowCall: {threshold: 2s, percent: 100}, minRequests: 2"), filter_types);
    for (int i = 0; i < 2; i++) {
        client_get(&client, &world, "GET a /\n");
        loopback_pass(&world, i == 0 ? 3 * NS_PER_S : NS_PER_S);
        struct far_conn *conn = far_conn(&world.far, 0);
        far_respond(conn, conn->server.last, 200, "", "some", false);
        loopback_pass(&world, 5 * NS_PER_S);
        far_body(conn, conn->server.last, BYTES_NONE, true);
        client_dispose(&client);
    }
    assert_int_equal(view_of(&world).slow, 1);
    assert_int_equal(view_of(&world).requests, 2);
    loopback_dispose(&world);
}

static void what_a_client_takes_to_send_is_not_slow(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, WITH("slowCall: {threshold: 2s, percent: 100}, minRequests: 9"), filter_types);
    for (unsigned i = 0; i < 2; i++) {
        struct client client;
        client_open(&client, &world, "POST a /\n");
        client_send(&client, BYTES("part"), false);
        loopback_pass(&world, 5 * NS_PER_S);
        client_send(&client, BYTES("rest"), true);
        loopback_pass(&world, i == 0 ? NS_PER_S : 3 * NS_PER_S);
        do_it(&world, &client, ANSWERS);
        assert_int_equal(client.status, 200);
        client_dispose(&client);
        assert_int_equal(view_of(&world).slow, i);
    }
    loopback_dispose(&world);
}

static void what_our_own_proxies_refuse_counts_for_nothing(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, WITH("failureThreshold: 1"), filter_types);
    client_ask(&client, &world, "GET a /\n");
    client.stream->attempts->last->mesh = true;
    respond(&world, 0, 503, "outrigger-refused: memory_limit\ncontent-length: 0\n", "");
    assert_int_equal(client.status, 503);
    client_dispose(&client);
    assert_int_equal(view_of(&world).requests, 0);
    // Of others it is a field like any other.
    client_ask(&client, &world, "GET a /\n");
    far_respond(far_conn(&world.far, 0), far_conn(&world.far, 0)->server.last, 503, "outrigger-refused: memory_limit\ncontent-length: 0\n", "", true);
    client_dispose(&client);
    assert_int_equal(state_of(&world), CIRCUIT_OPEN);
    loopback_dispose(&world);
}

static void each_try_counts_and_one_that_is_refused_takes_no_budget(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world,
                  PROXY SERVICE("HTTP2", ONE)
                      POLICY(BREAKER("failureThreshold: 2") "  retry: {attempts: 5, codes: [500], backoff: {base: 0s}, budget: {percent: 100}}\n"),
                  filter_types);
    client_ask(&client, &world, "GET a /\n");
    struct cluster *cluster = fake_upstream_cluster(&world.far, "default/a:80");
    const struct retry_budget_rule rule = attempts_budget_rule(client.stream);
    const uint64_t before = retry_budget_left(&cluster->shared->budget, &rule, world.env.loop->now);
    do_it(&world, &client, FAILS);
    assert_int_equal(client.status, 0);
    do_it(&world, &client, FAILS); // the second: it opens, and the third is not sent
    assert_int_equal(client.status, 500);
    assert_int_equal(world.record.end, OK); // the last answer goes down
    assert_int_equal(before - retry_budget_left(&cluster->shared->budget, &rule, world.env.loop->now), 1);
    assert_int_equal(far_conn(&world.far, 0)->server.count, 2);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void a_dry_run_refuses_nobody_and_counts_alike(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, WITH("failureThreshold: 1, mode: DryRun"), filter_types);
    assert_int_equal(ask(&world, FAILS), 500);
    assert_string_equal(world.record.dry_run, "");
    assert_int_equal(ask(&world, ANSWERS), 200);
    assert_string_equal(world.record.dry_run, "TrafficPolicy/default/a: circuitBreaker: breaker_open");
    struct policy_state *shadow = breaker_of(world.states.shadow);
    assert_int_equal(shadow->refusals, 1);
    loopback_pass(&world, MINUTE);
    assert_int_equal(ask(&world, ANSWERS), 200);
    assert_string_equal(world.record.dry_run, "");
    assert_int_equal(circuit_breaker_look(shadow->type->breaker(shadow), world.env.loop->now).state, CIRCUIT_CLOSED);
    loopback_dispose(&world);
}

static void services_have_breakers_of_their_own(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(
        &world,
        PROXY SERVICE("HTTP2", ONE) API
        "kind: ServiceEntry\nmetadata: {name: b}\nspec:\n  hosts: [b]\n  ports: [{name: http, port: 80, protocol: HTTP2}]\n"
        "  tls: {mode: None}\n  endpoints: [{address: '127.0.0.1:8002'}]\n---\n" API
        "kind: TrafficPolicy\nmetadata: {name: t}\nspec:\n  targetRefs: [{kind: Namespace, name: default}]\n" BREAKER("failureThreshold: 1"),
        filter_types);
    ask(&world, FAILS);
    assert_int_equal(ask(&world, ANSWERS), 503);
    client_ask(&client, &world, "GET b /\n");
    do_it(&world, &client, ANSWERS);
    assert_int_equal(client.status, 200);
    client_dispose(&client);
    loopback_dispose(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_a_failure_and_what_is_none),
        cmocka_unit_test(a_client_that_sends_slowly_is_no_failure),
        cmocka_unit_test(who_is_slow_with_an_answer_decides),
        cmocka_unit_test(a_caller_s_impatience_is_no_failure),
        cmocka_unit_test(a_service_that_gives_up_with_its_caller_s_time_has_not_failed),
        cmocka_unit_test(what_broke_off_long_before_a_deadline_has_failed),
        cmocka_unit_test(who_waits_to_be_told_to_go_on_takes_its_own_time),
        cmocka_unit_test(a_place_that_is_waited_for_is_no_failure),
        cmocka_unit_test(who_takes_no_connection_in_time_has_failed),
        cmocka_unit_test(a_kept_connection_that_was_stale_is_no_failure),
        cmocka_unit_test(without_an_identity_of_our_own_nobody_has_failed),
        cmocka_unit_test(calls_of_grpc_are_judged_by_their_code),
        cmocka_unit_test(a_call_that_ends_without_a_code_has_failed),
        cmocka_unit_test(who_cannot_be_connected_to_has_failed),
        cmocka_unit_test(five_failures_and_a_minute),
        cmocka_unit_test(a_refusal_says_who_and_when),
        cmocka_unit_test(beside_a_probe_one_is_told_to_come_soon),
        cmocka_unit_test(a_client_that_goes_gives_its_probe_back),
        cmocka_unit_test(documents_may_change_during_a_probe),
        cmocka_unit_test(a_policy_may_go_during_a_probe),
        cmocka_unit_test(a_long_stream_counts_by_its_head),
        cmocka_unit_test(slow_answers_are_measured_to_their_heads),
        cmocka_unit_test(what_a_client_takes_to_send_is_not_slow),
        cmocka_unit_test(what_our_own_proxies_refuse_counts_for_nothing),
        cmocka_unit_test(each_try_counts_and_one_that_is_refused_takes_no_budget),
        cmocka_unit_test(a_dry_run_refuses_nobody_and_counts_alike),
        cmocka_unit_test(services_have_breakers_of_their_own),
    };
    return cmocka_run_group_tests(tests, be_quiet, NULL);
}
