// What is tried again by choice: statuses, gateway errors, codes of gRPC, resets and timeouts. Of methods that may be repeated alone; and the answer that was not
// wanted goes down after all where there is no further try.
#include "unit/stream/stream_drive.h"

#define HTTP1(retry) PROXY SERVICE("HTTP1", TWO) POLICY(IN_TURN "  retry: {" retry "}\n")
#define HTTP2(retry) PROXY SERVICE("HTTP2", TWO) POLICY(IN_TURN "  retry: {" retry "}\n")
#define ALONE(retry) PROXY SERVICE("HTTP1", ONE) POLICY("  retry: {" retry "}\n")
#define GRPC "POST a /s/m\ncontent-type: application/grpc\nte: trailers\n"

static void assert_log(const struct loopback *world, unsigned attempts, const char *retried_for, const char *refused) {
    assert_int_equal(world->record.attempts, attempts);
    assert_int_equal(retries_of(world), attempts - 1);
    assert_string_equal(world->record.retried_for, retried_for);
    assert_string_equal(world->record.retried_by, attempts > 1 ? "TrafficPolicy/default/a: retry" : "");
    assert_string_equal(world->record.retry_refused, refused);
}

// A request of one method whose first answer has this status. What the client got is compared with what the policy makes of it.
static void expect_status(const char *documents, const char *request, unsigned status, bool repeated, const char *reason) {
    struct loopback world;
    struct client client;
    loopback_init(&world, documents, NULL);
    client_get(&client, &world, request);
    loopback_settle(&world);
    respond(&world, 0, status, "content-length: 5\nx-from: first\n", "first");
    if (repeated) {
        assert_int_equal(client.status, 0); // nothing of it has gone down
        assert_int_equal(world.far.count, 2);
        assert_true(far_conn(&world.far, 0)->port != far_conn(&world.far, 1)->port);
        respond(&world, 1, 200, "content-length: 2\n", "ok");
        assert_int_equal(client.status, 200);
        assert_string_equal(client.body.at, "ok");
        assert_null(client_field(&client, "x-from"));
        assert_log(&world, 2, reason, "");
        assert_int_equal(metric_read(&world.far.metrics.retries_ended_answered), 1);
    } else {
        assert_int_equal(client.status, status);
        assert_string_equal(client.body.at, "first");
        assert_int_equal(world.far.count, 1);
        assert_log(&world, 1, "", reason);
    }
    assert_int_equal(world.record.end, OK);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void a_status_that_is_named_is_tried_elsewhere(void **state) {
    (void)state;
    expect_status(HTTP1("codes: [429, 500]"), "GET a /\n", 500, true, "code");
    expect_status(HTTP1("codes: [429, 500]"), "GET a /\n", 429, true, "code");
    expect_status(HTTP2("codes: [400, 599]"), "GET a /\n", 400, true, "code");
    expect_status(HTTP2("codes: [400, 599]"), "GET a /\n", 599, true, "code");
    expect_status(HTTP1("codes: [429, 500]"), "GET a /\n", 503, false, "");
    expect_status(HTTP1("codes: [429, 500]"), "GET a /\n", 200, false, "");
    expect_status(HTTP1("codes: []"), "GET a /\n", 503, false, "");
}

static void a_gateway_error_is_502_503_or_504(void **state) {
    (void)state;
    for (unsigned status = 500; status <= 505; status++)
        expect_status(HTTP1("conditions: [GatewayError]"), "GET a /\n", status, status >= 502 && status <= 504,
                      status >= 502 && status <= 504 ? "gateway_error" : "");
}

static void only_methods_that_may_be_repeated_are(void **state) {
    (void)state;
    static const char *const requests[] = {"GET a /\n", "OPTIONS a /\n", "TRACE a /\n", "PUT a /\n", "DELETE a /\n"};
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++)
        expect_status(HTTP1("codes: [503]"), requests[i], 503, true, "code");
    static const char *const others[] = {"POST a /\n", "PATCH a /\n", "LOCK a /\n"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        expect_status(HTTP1("codes: [503]"), others[i], 503, false, "method");
        expect_status(HTTP1("conditions: [GatewayError]"), others[i], 503, false, "method");
    }
}

static void a_policy_may_name_other_methods(void **state) {
    (void)state;
    expect_status(HTTP1("codes: [503], methods: [POST]"), "POST a /\n", 503, true, "code");
    expect_status(HTTP1("codes: [503], methods: [POST]"), "GET a /\n", 503, false, "method");
    expect_status(HTTP1("codes: [503], methods: []"), "GET a /\n", 503, false, "method");
}

static void the_last_answer_goes_down_when_there_were_enough(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, HTTP1("codes: [503], attempts: 1"), NULL);
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    respond(&world, 0, 503, "content-length: 5\n", "first");
    respond(&world, 1, 503, "content-length: 6\n", "second");
    assert_int_equal(client.status, 503);
    assert_string_equal(client.body.at, "second");
    assert_int_equal(world.record.end, OK);
    assert_log(&world, 2, "code", "attempts");
    assert_int_equal(metric_read(&world.far.metrics.retries_refused_attempts), 1);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void an_answer_goes_down_when_the_budget_is_spent(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, HTTP1("codes: [503], budget: {percent: 20, minPerSecond: 0}"), NULL);
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    respond(&world, 0, 503, "content-length: 5\n", "first");
    assert_int_equal(client.status, 503);
    assert_string_equal(client.body.at, "first");
    assert_log(&world, 1, "", "budget");
    assert_string_equal(world.record.policy, ""); // upstream's answer, and no refusal of ours
    client_dispose(&client);
    loopback_dispose(&world);
}

static void a_request_that_is_too_long_is_not_sent_twice(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, HTTP1("codes: [503], bufferBytes: 4"), NULL);
    client_open(&client, &world, "PUT a /\n");
    client_send(&client, BYTES("12345"), true);
    respond(&world, 0, 503, "content-length: 5\n", "first");
    assert_int_equal(client.status, 503);
    assert_string_equal(client.body.at, "first");
    assert_log(&world, 1, "", "body");
    client_dispose(&client);
    loopback_dispose(&world);
}

// It is not known yet whether the further try will be made: the pause may outlive the budget that it was to come from.
static void an_answer_is_held_until_the_further_try_begins(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, ALONE("codes: [503], backoff: {base: 60s, max: 60s}, budget: {percent: 100, interval: 1s, minPerSecond: 0}"), NULL);
    rng_init(&world.far.check.loop.rng, 1);
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    respond(&world, 0, 503, "content-length: 5\n", "first");
    assert_int_equal(client.status, 0);
    loopback_pass(&world, 61 * NS_PER_S); // the request that the retry was a share of is forgotten
    assert_int_equal(client.status, 503);
    assert_string_equal(client.body.at, "first");
    assert_log(&world, 1, "", "budget");
    client_dispose(&client);
    loopback_dispose(&world);
}

// The same where there is no answer that could go down.
static void a_failure_is_told_when_the_budget_is_gone_after_the_pause(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, ALONE("backoff: {base: 60s, max: 60s}, budget: {percent: 100, interval: 1s, minPerSecond: 0}"), NULL);
    rng_init(&world.far.check.loop.rng, 1);
    world.far.mode = FAR_REFUSE;
    client_get(&client, &world, "GET a /\n");
    loopback_pass(&world, 61 * NS_PER_S);
    assert_int_equal(client.status, 502);
    assert_int_equal(world.far.count, 1);
    assert_string_equal(world.record.policy, "TrafficPolicy/default/a: retry.budget");
    assert_log(&world, 1, "", "budget");
    client_dispose(&client);
    loopback_dispose(&world);
}

static void a_client_that_goes_in_the_pause_gives_the_budget_back(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, ALONE("codes: [503], backoff: {base: 10s, max: 10s}, budget: {percent: 0, interval: 10s, minPerSecond: 1}"), NULL);
    struct retry_budget_rule rule = {.percent = 0, .interval = 10 * NS_PER_S, .min_per_second = 1};
    struct retry_budget *budget = &fake_upstream_cluster(&world.far, "default/a:80")->shared->budget;
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    respond(&world, 0, 503, "", NULL);
    assert_int_equal(retry_budget_left(budget, &rule, world.far.check.loop.now), 9);
    client_fail(&client, ERROR_CLIENT_GONE);
    assert_true(client.done);
    assert_int_equal(retry_budget_left(budget, &rule, world.far.check.loop.now), 10);
    assert_int_equal(retries_of(&world), 0);
    client_dispose(&client);
    loopback_dispose(&world);
}

// --- what becomes of the answer that is not wanted ---

static void a_rest_that_is_short_is_read_so_that_the_connection_stays(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, HTTP1("codes: [503]"), NULL);
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    struct far_conn *first = far_conn(&world.far, 0);
    far_respond(first, only_request(&world, 0), 503, "content-length: 10\n", "01234", false);
    assert_int_equal(world.far.count, 2);
    far_body(first, only_request(&world, 0), BYTES("56789"), true);
    respond(&world, 1, 204, "", NULL);
    assert_int_equal(client.status, 204);
    assert_int_equal(metric_read(&world.far.metrics.upstream_active), 2);
    assert_false(only_request(&world, 0)->has_failed);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void a_rest_that_is_long_or_late_is_cut(void **state) {
    (void)state;
    static char body[70000];
    memset(body, 'b', sizeof body);
    for (int i = 0; i < 2; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, HTTP1("codes: [503]"), NULL);
        client_get(&client, &world, "GET a /\n");
        loopback_settle(&world);
        struct far_conn *first = far_conn(&world.far, 0);
        far_respond(first, only_request(&world, 0), 503, "content-length: 1000000\n", "01234", false);
        assert_int_equal(metric_read(&world.far.metrics.upstream_active), 2);
        if (i == 0) {
            far_body(first, only_request(&world, 0), bytes_from(body, sizeof body), false);
            assert_int_equal(metric_read(&world.far.metrics.upstream_active), 1);
        }
        respond(&world, 1, 204, "", NULL); // with the stream's end it is over
        assert_int_equal(client.status, 204);
        assert_int_equal(metric_read(&world.far.metrics.upstream_active), 1);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

static void over_http2_an_unwanted_answer_is_reset(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, HTTP2("codes: [503]"), NULL);
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    far_respond(far_conn(&world.far, 0), only_request(&world, 0), 503, "", "01234", false);
    assert_int_equal(world.far.count, 2);
    assert_true(only_request(&world, 0)->has_failed);
    respond(&world, 1, 204, "", NULL);
    assert_int_equal(client.status, 204);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void an_early_answer_does_not_lose_the_rest_of_the_request(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, HTTP2("codes: [503]"), NULL);
    client_open(&client, &world, "PUT a /\n");
    client_send(&client, BYTES("first "), false);
    respond(&world, 0, 503, "", NULL);
    assert_int_equal(world.far.count, 2);
    client_send(&client, BYTES("second"), true);
    assert_has(received(&world, 1), "body 12 first second\nend\n");
    respond(&world, 1, 200, "", NULL);
    assert_int_equal(client.status, 200);
    assert_int_equal(client.consumed, 12);
    client_dispose(&client);
    loopback_dispose(&world);
}

// The request goes on to the server whose answer goes down.
static void an_early_answer_that_goes_down_gets_the_rest_of_the_request(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world,
                  PROXY SERVICE("HTTP2", ONE)
                      POLICY("  retry: {codes: [503], backoff: {base: 60s, max: 60s}, budget: {percent: 100, interval: 1s, minPerSecond: 0}}\n"),
                  NULL);
    rng_init(&world.far.check.loop.rng, 1);
    client_open(&client, &world, "PUT a /\n");
    client_send(&client, BYTES("first "), false);
    far_respond(far_conn(&world.far, 0), only_request(&world, 0), 503, "", NULL, false);
    client_send(&client, BYTES("second"), true); // in the pause
    loopback_pass(&world, 59 * NS_PER_S);
    loopback_pass(&world, 2 * NS_PER_S);
    assert_int_equal(client.status, 503);
    assert_has(received(&world, 0), "second");
    far_body(far_conn(&world.far, 0), only_request(&world, 0), BYTES("no"), true);
    assert_string_equal(client.body.at, "no");
    assert_int_equal(client.consumed, 12);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void interim_heads_of_an_unwanted_answer_do_not_go_down_with_it(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, HTTP1("codes: [503]"), NULL);
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    far_conn(&world.far, 0)->raw = true;
    far_send(far_conn(&world.far, 0), "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(client.interim, 0);
    respond(&world, 1, 204, "", NULL);
    assert_int_equal(client.status, 204);
    client_dispose(&client);
    loopback_dispose(&world);
}

// --- several at once ---

static void an_unwanted_answer_waits_for_the_other_try(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, HTTP1("codes: [503], attempts: 1"), NULL);
        client_get(&client, &world, "GET a /\n");
        loopback_settle(&world);
        attempts_begin(client.stream);
        stream_wake(client.stream);
        loopback_settle(&world);
        assert_int_equal(world.far.count, 2);
        respond(&world, 0, 503, "content-length: 5\n", "first");
        assert_int_equal(client.status, 0);
        if (i == 0)
            respond(&world, 1, 200, "content-length: 6\n", "second");
        else
            far_break(far_conn(&world.far, 1));
        assert_int_equal(client.status, i == 0 ? 200 : 503);
        assert_string_equal(client.body.at, i == 0 ? "second" : "first");
        assert_int_equal(world.record.end, OK);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

// --- gRPC ---

static void begin_grpc(struct client *client, struct loopback *world, const char *documents) {
    static const union address somewhere = {.v4 = {.sin_family = AF_INET}};
    const struct stream_client from = {.address = &somewhere};
    loopback_init(world, documents, NULL);
    client_begin_as(client, world, loopback_listener(world, "outbound"), &from, HTTP_2, GRPC, false);
    client_send(client, BYTES("call"), true);
}

static void a_grpc_code_in_the_head_is_tried_elsewhere_though_it_is_a_post(void **state) {
    (void)state;
    static const struct {
        unsigned status;
        const char *fields;
        bool repeated;
    } answers[] = {
        {200, "content-type: application/grpc\ngrpc-status: 14\n", true},
        {200, "content-type: application/grpc\ngrpc-status: 8\n", true},
        {200, "content-type: application/grpc\ngrpc-status: 13\n", false},
        {200, "content-type: application/grpc\ngrpc-status: 0\n", false},
        {200, "content-type: application/grpc\ngrpc-status: 2147483648\n", false}, // UNKNOWN
        {503, "content-type: text/plain\n", true},                                 // what a gRPC client takes for UNAVAILABLE
        {500, "content-type: text/plain\n", false},
    };
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        struct loopback world;
        struct client client;
        begin_grpc(&client, &world, HTTP2("grpcCodes: [UNAVAILABLE, RESOURCE_EXHAUSTED]"));
        respond(&world, 0, answers[i].status, answers[i].fields, NULL);
        if (answers[i].repeated) {
            assert_int_equal(client.status, 0);
            assert_has(received(&world, 1), "body 4 call\nend\n");
            respond(&world, 1, 200, "content-type: application/grpc\ngrpc-status: 0\n", NULL);
            assert_int_equal(world.record.grpc_status, 0);
        }
        assert_int_equal(client.status, answers[i].repeated ? 200 : answers[i].status);
        assert_log(&world, answers[i].repeated ? 2 : 1, answers[i].repeated ? "grpc_code" : "", "");
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

static void a_grpc_code_behind_a_head_is_too_late(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    begin_grpc(&client, &world, HTTP2("grpcCodes: [UNAVAILABLE]"));
    struct far_conn *conn = far_conn(&world.far, 0);
    far_respond(conn, only_request(&world, 0), 200, "content-type: application/grpc\n", NULL, false);
    assert_int_equal(client.status, 200);
    far_trailers(conn, only_request(&world, 0), "grpc-status: 14\n");
    assert_int_equal(world.record.grpc_status, 14);
    assert_log(&world, 1, "", "");
    client_dispose(&client);
    loopback_dispose(&world);
}

// A field of that name is nothing to a request that is no gRPC, and a gRPC request is a POST to all but grpcCodes.
static void grpc_codes_are_for_grpc_alone(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, HTTP2("grpcCodes: [UNAVAILABLE]"), NULL);
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    respond(&world, 0, 200, "grpc-status: 14\n", NULL);
    assert_int_equal(client.status, 200);
    assert_log(&world, 1, "", "");
    client_dispose(&client);
    loopback_dispose(&world);
    begin_grpc(&client, &world, HTTP2("conditions: [GatewayError], codes: [503]"));
    respond(&world, 0, 503, "", NULL);
    assert_int_equal(client.status, 503);
    assert_log(&world, 1, "", "method");
    client_dispose(&client);
    loopback_dispose(&world);
}

// --- resets and timeouts ---

static void a_reset_is_repeated_where_the_policy_says_so_and_the_method_allows(void **state) {
    (void)state;
    static const struct {
        const char *documents;
        const char *request;
        bool repeated;
    } cases[] = {{HTTP1("conditions: [Reset]"), "PUT a /\n", true},
                 {HTTP2("conditions: [Reset]"), "PUT a /\n", true},
                 {HTTP1("conditions: [Reset]"), "POST a /\n", false},
                 {HTTP2("conditions: [Reset]"), "POST a /\n", false},
                 {HTTP1("conditions: [Reset], methods: [POST]"), "POST a /\n", true}};
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, cases[i / 2].documents, NULL);
        client_open(&client, &world, cases[i / 2].request);
        client_send(&client, BYTES("body"), true);
        if (i % 2 == 0)
            far_break(far_conn(&world.far, 0));
        else
            far_reset(far_conn(&world.far, 0), only_request(&world, 0), ERROR_INTERNAL);
        if (cases[i / 2].repeated) {
            assert_has(received(&world, 1), "body 4 body\nend\n");
            respond(&world, 1, 200, "", NULL);
            assert_int_equal(client.status, 200);
            assert_log(&world, 2, "reset", "");
        } else {
            assert_int_equal(client.status, 502);
            assert_int_equal(world.far.count, 1);
            assert_int_equal(world.record.end, ERROR_UPSTREAM_RESET);
            assert_log(&world, 1, "", "method");
        }
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

// The head has gone down: there is nothing that could be taken back.
static void a_reset_behind_the_head_is_not_repeated(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, HTTP1("conditions: [Reset]"), NULL);
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    far_respond(far_conn(&world.far, 0), only_request(&world, 0), 200, "content-length: 5\n", "x", false);
    far_break(far_conn(&world.far, 0));
    assert_int_equal(client.status, 200);
    assert_int_equal(world.record.end, ERROR_RESPONSE_INCOMPLETE);
    assert_log(&world, 1, "", "");
    client_dispose(&client);
    loopback_dispose(&world);
}

#define TIMED(protocol, conditions) \
    PROXY SERVICE(protocol, TWO) POLICY(IN_TURN "  timeouts: {backendRequest: 500ms}\n  retry: {conditions: [" conditions "]}\n")

static void a_try_that_runs_out_of_time_is_repeated_by_choice(void **state) {
    (void)state;
    static const struct {
        const char *documents;
        const char *request;
        bool repeated;
        const char *refused;
    } cases[] = {{TIMED("HTTP1", "Timeout"), "GET a /\n", true, ""},
                 {TIMED("HTTP2", "Timeout"), "DELETE a /\n", true, ""},
                 {TIMED("HTTP2", "Timeout"), "POST a /\n", false, "method"},
                 {TIMED("HTTP1", "ConnectFailure, Unsent, RefusedStream, Reset"), "GET a /\n", false, ""}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, cases[i].documents, NULL);
        client_get(&client, &world, cases[i].request);
        loopback_pass(&world, 501 * NS_PER_MS);
        if (cases[i].repeated) {
            assert_int_equal(world.far.count, 2);
            loopback_pass(&world, 400 * NS_PER_MS); // it has a time of its own
            respond(&world, 1, 200, "", NULL);
            assert_int_equal(client.status, 200);
            assert_log(&world, 2, "timeout", "");
        } else {
            assert_int_equal(client.status, 504);
            assert_int_equal(world.record.end, ERROR_TRY_TIMEOUT);
            assert_log(&world, 1, "", cases[i].refused);
        }
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

// No connection was made: nothing can have been processed, whatever the method.
static void what_ran_out_of_time_unsent_is_repeated_whatever_the_method(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, TIMED("HTTP1", "Timeout"), NULL);
    world.far.mode = FAR_WAIT;
    client_get(&client, &world, "POST a /\n");
    loopback_settle(&world);
    world.far.mode = FAR_ACCEPT;
    loopback_pass(&world, 501 * NS_PER_MS);
    respond(&world, 1, 200, "", NULL);
    assert_int_equal(client.status, 200);
    assert_log(&world, 2, "timeout", "");
    client_dispose(&client);
    loopback_dispose(&world);
}

static void each_retry_says_why(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world,
                  PROXY SERVICE("HTTP1", TWO ", {address: '127.0.0.1:8003'}, {address: '127.0.0.1:8004'}")
                      POLICY(IN_TURN "  retry: {attempts: 3, conditions: [Reset, GatewayError], codes: [500]}\n"),
                  NULL);
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    far_break(far_conn(&world.far, 0));
    respond(&world, 1, 504, "", NULL);
    respond(&world, 2, 500, "", NULL);
    respond(&world, 3, 500, "", NULL);
    assert_int_equal(client.status, 500);
    assert_log(&world, 4, "reset,gateway_error,code", "attempts");
    const struct worker_metrics *metrics = &world.far.metrics;
    assert_int_equal(metric_read(&metrics->retries_for_reset), 1);
    assert_int_equal(metric_read(&metrics->retries_for_gateway_error), 1);
    assert_int_equal(metric_read(&metrics->retries_for_code), 1);
    assert_int_equal(metric_read(&metrics->retries_ended_failed), 2);
    assert_int_equal(metric_read(&metrics->retries_ended_answered), 1);
    client_dispose(&client);
    loopback_dispose(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_status_that_is_named_is_tried_elsewhere),
        cmocka_unit_test(a_gateway_error_is_502_503_or_504),
        cmocka_unit_test(only_methods_that_may_be_repeated_are),
        cmocka_unit_test(a_policy_may_name_other_methods),
        cmocka_unit_test(the_last_answer_goes_down_when_there_were_enough),
        cmocka_unit_test(an_answer_goes_down_when_the_budget_is_spent),
        cmocka_unit_test(a_request_that_is_too_long_is_not_sent_twice),
        cmocka_unit_test(an_answer_is_held_until_the_further_try_begins),
        cmocka_unit_test(a_failure_is_told_when_the_budget_is_gone_after_the_pause),
        cmocka_unit_test(a_client_that_goes_in_the_pause_gives_the_budget_back),
        cmocka_unit_test(a_rest_that_is_short_is_read_so_that_the_connection_stays),
        cmocka_unit_test(a_rest_that_is_long_or_late_is_cut),
        cmocka_unit_test(over_http2_an_unwanted_answer_is_reset),
        cmocka_unit_test(an_early_answer_does_not_lose_the_rest_of_the_request),
        cmocka_unit_test(an_early_answer_that_goes_down_gets_the_rest_of_the_request),
        cmocka_unit_test(interim_heads_of_an_unwanted_answer_do_not_go_down_with_it),
        cmocka_unit_test(an_unwanted_answer_waits_for_the_other_try),
        cmocka_unit_test(a_grpc_code_in_the_head_is_tried_elsewhere_though_it_is_a_post),
        cmocka_unit_test(a_grpc_code_behind_a_head_is_too_late),
        cmocka_unit_test(grpc_codes_are_for_grpc_alone),
        cmocka_unit_test(a_reset_is_repeated_where_the_policy_says_so_and_the_method_allows),
        cmocka_unit_test(a_reset_behind_the_head_is_not_repeated),
        cmocka_unit_test(a_try_that_runs_out_of_time_is_repeated_by_choice),
        cmocka_unit_test(what_ran_out_of_time_unsent_is_repeated_whatever_the_method),
        cmocka_unit_test(each_retry_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
