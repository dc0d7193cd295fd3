// What is tried again, and what is not: by default only what was provably not processed, on another endpoint, with the body that was kept, inside the budget and
// the deadline, after a pause where every endpoint has failed.
#include "unit/stream/stream_drive.h"

#define HTTP1(groups) PROXY SERVICE("HTTP1", TWO) POLICY(IN_TURN groups)
#define HTTP2(groups) PROXY SERVICE("HTTP2", TWO) POLICY(IN_TURN groups)
#define ALONE(groups) PROXY SERVICE("HTTP1", ONE) POLICY(groups)

// RoundRobin begins at random: the first pick shall be the endpoint on port 8001.
static void begin_with_the_first(struct loopback *world) {
    fake_upstream_cluster(&world->far, "default/a:80")->levels.items[0].position = 0;
}

static void assert_retries(struct loopback *world, unsigned retries) {
    assert_int_equal(retries_of(world), retries);
    assert_int_equal(world->record.attempts, retries + 1);
}

static void a_connection_not_made_goes_to_another_endpoint(void **state) {
    (void)state;
    static const enum far_mode modes[] = {FAR_REFUSE, FAR_WAIT};
    for (int i = 0; i < 4; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, i % 2 == 0 ? HTTP1("") : HTTP2(""), NULL);
        begin_with_the_first(&world);
        fake_upstream_port(&world.far, 1, modes[i / 2]);
        client_open(&client, &world, "POST a /\n"); // any method: nothing was sent
        client_send(&client, BYTES("body"), true);
        if (modes[i / 2] == FAR_WAIT)
            loopback_pass(&world, NS_PER_S + NS_PER_MS);
        assert_int_equal(world.far.count, 2);
        assert_int_equal(far_conn(&world.far, 1)->port, 8002);
        assert_has(received(&world, 1), "body 4 body\nend\n");
        respond(&world, 1, 200, "content-length: 2\n", "ok");
        assert_int_equal(client.status, 200);
        assert_retries(&world, 1);
        assert_string_equal(world.record.endpoint, "127.0.0.1:8002");
        assert_int_equal(client.consumed, 4);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

static void a_refused_stream_is_tried_again_whatever_the_method(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, HTTP2(""), NULL);
    begin_with_the_first(&world);
    client_open(&client, &world, "POST a /\n");
    client_send(&client, BYTES("first "), false);
    struct far_conn *conn = far_conn(&world.far, 0);
    far_reset(conn, only_request(&world, 0), ERROR_REFUSED_STREAM);
    assert_int_equal(world.far.count, 2);
    client_send(&client, BYTES("second"), true);
    assert_has(received(&world, 1), "body 12 first second\nend\n");
    assert_int_equal(client.consumed, 12);
    respond(&world, 1, 200, "", NULL);
    assert_int_equal(client.status, 200);
    assert_retries(&world, 1);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void a_stream_above_goaways_last_is_tried_again(void **state) {
    (void)state;
    struct loopback world;
    struct client first;
    struct client second;
    loopback_init(&world, PROXY SERVICE("HTTP2", ONE), NULL);
    client_get(&first, &world, "GET a /1\n");
    loopback_settle(&world);
    client_open(&second, &world, "POST a /2\n");
    check_loop_turn(&world.far.check);
    struct codec *codec = far_conn(&world.far, 0)->server.codec;
    codec->ops->signal(codec, CODEC_DRAIN_FINAL);
    loopback_settle(&world);
    loopback_pass(&world, NS_PER_S); // the only endpoint has failed: a pause
    assert_int_equal(world.far.count, 2);
    assert_has(received(&world, 1), "head POST http a /2");
    client_end(&second, NULL);
    respond(&world, 1, 200, "", NULL);
    far_respond(far_conn(&world.far, 0), far_request(far_conn(&world.far, 0), 0), 200, "", NULL, true);
    assert_int_equal(first.status, 200);
    assert_int_equal(second.status, 200);
    client_dispose(&first);
    client_dispose(&second);
    loopback_dispose(&world);
}

// Brings a connection into the pool.
static void warm_up(struct loopback *world) {
    struct client client;
    client_get(&client, world, "GET a /warm\n");
    loopback_settle(world);
    respond(world, 0, 204, "", NULL);
    client_dispose(&client);
}

// The server closes the idle connection while a request is on its way to it.
static void race(struct loopback *world, struct client *client, const char *request) {
    warm_up(world);
    far_conn(&world->far, 0)->raw = true; // it reads nothing more
    client_get(client, world, request);
    loopback_settle(world);
    assert_int_equal(world->far.count, 1);
    far_break(far_conn(&world->far, 0));
}

static void the_keep_alive_race_is_hidden_for_methods_that_may_be_repeated(void **state) {
    (void)state;
    static const char *const requests[] = {"GET a /\n", "HEAD a /\n", "PUT a /\n", "DELETE a /\n", "OPTIONS a /\n", "TRACE a /\n"};
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, ALONE(""), NULL);
        race(&world, &client, requests[i]);
        assert_int_equal(world.far.count, 2); // at once: no pause
        assert_int_equal(metric_read(&world.far.metrics.pool_stale), 1);
        respond(&world, 1, 204, "", NULL);
        assert_int_equal(client.status, 204);
        assert_retries(&world, 1);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

// Two connections that are idle; a request is on its way on one of them when both are closed by the server, which is seen of that one first.
static void race_with_two(struct loopback *world, struct client *client) {
    struct client warm[2];
    for (int i = 0; i < 2; i++)
        client_get(&warm[i], world, "GET a /warm\n");
    loopback_settle(world);
    for (unsigned i = 0; i < 2; i++)
        respond(world, i, 204, "", NULL);
    for (unsigned i = 0; i < 2; i++) {
        client_dispose(&warm[i]);
        far_conn(&world->far, i)->raw = true; // it reads nothing more
    }
    client_get(client, world, "GET a /\n");
    loopback_settle(world);
    assert_int_equal(world->far.count, 2);
    unsigned used = strlen(far_sent(far_conn(&world->far, 0))) > 0 ? 0 : 1;
    far_break(far_conn(&world->far, used));
}

static void after_the_keep_alive_race_no_other_idle_connection_is_trusted(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, ALONE(""), NULL);
    race_with_two(&world, &client);
    assert_int_equal(world.far.count, 3);
    respond(&world, 2, 204, "", NULL);
    assert_int_equal(client.status, 204);
    assert_retries(&world, 1);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void where_no_connection_may_be_made_an_idle_one_must_do(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, ALONE(""), NULL);
    struct client warm[2];
    for (int i = 0; i < 2; i++)
        client_get(&warm[i], &world, "GET a /warm\n");
    loopback_settle(&world);
    for (unsigned i = 0; i < 2; i++)
        respond(&world, i, 204, "", NULL);
    for (unsigned i = 0; i < 2; i++)
        client_dispose(&warm[i]);
    fake_upstream_port(&world.far, 1, FAR_NO_SOCKET);
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    unsigned used = far_conn(&world.far, 0)->server.count > 1 ? 0 : 1;
    far_break(far_conn(&world.far, used));
    struct far_conn *other = far_conn(&world.far, 1 - used);
    assert_int_equal(other->server.count, 2);
    far_respond(other, far_request(other, 1), 204, "", NULL, true);
    assert_int_equal(client.status, 204);
    assert_retries(&world, 1);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void other_methods_are_not_repeated_once_a_byte_has_left(void **state) {
    (void)state;
    static const char *const requests[] = {"POST a /\n", "PATCH a /\n", "LOCK a /\n"};
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, ALONE(""), NULL);
        race(&world, &client, requests[i]);
        assert_int_equal(client.status, 502);
        assert_int_equal(world.record.end, ERROR_UPSTREAM_RESET);
        assert_retries(&world, 0);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

// A fresh connection that breaks was no keep-alive race: the request may be what broke it.
static void a_break_on_a_fresh_connection_is_not_repeated(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, i == 0 ? HTTP1("") : HTTP2(""), NULL);
        client_get(&client, &world, "GET a /\n");
        loopback_settle(&world);
        far_break(far_conn(&world.far, 0));
        assert_int_equal(client.status, 502);
        assert_int_equal(world.far.count, 1);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

static void nothing_is_repeated_after_a_byte_of_an_answer(void **state) {
    (void)state;
    static const char *const begun[] = {"HTTP/1.1 103 Early Hints\r\n\r\n", "H", "HTTP/1.1 200 OK\r\nContent-"};
    for (unsigned i = 0; i < 3; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, ALONE(""), NULL);
        warm_up(&world);
        far_conn(&world.far, 0)->raw = true;
        client_get(&client, &world, "GET a /\n");
        loopback_settle(&world);
        far_send(far_conn(&world.far, 0), begun[i]);
        far_break(far_conn(&world.far, 0));
        assert_int_equal(client.interim, i == 0 ? 1 : 0);
        assert_int_equal(client.status, 502);
        assert_int_equal(world.far.count, 1);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

// The peer was alive when the request was with it: it is no race with an idle connection's end.
static void nothing_is_repeated_after_a_sign_of_life(void **state) {
    (void)state;
    struct loopback world;
    struct client first;
    struct client second;
    loopback_init(&world, PROXY SERVICE("HTTP2", ONE), NULL);
    client_get(&first, &world, "GET a /1\n");
    loopback_settle(&world);
    client_get(&second, &world, "GET a /2\n");
    loopback_settle(&world);
    struct far_conn *conn = far_conn(&world.far, 0);
    far_respond(conn, far_request(conn, 0), 204, "", NULL, true);
    far_break(conn);
    assert_int_equal(first.status, 204);
    assert_int_equal(second.status, 502);
    assert_int_equal(world.far.count, 1);
    client_dispose(&first);
    client_dispose(&second);
    loopback_dispose(&world);
}

// Taken from the pool in the same turn in which the connection was found broken: nothing had left.
static void what_never_left_is_sent_on_another_connection_whatever_the_method(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, ALONE(""), NULL);
    warm_up(&world);
    fake_peer_accept(far_conn(&world.far, 0)->peer, 0); // the socket takes nothing
    client_open(&client, &world, "POST a /\n");
    loopback_settle(&world);
    far_break(far_conn(&world.far, 0));
    assert_int_equal(world.far.count, 2);
    client_send(&client, BYTES("x"), true);
    respond(&world, 1, 204, "", NULL);
    assert_int_equal(client.status, 204);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void a_response_is_final_whatever_its_status(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, HTTP1(""), NULL);
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    respond(&world, 0, 503, "", NULL);
    assert_int_equal(client.status, 503);
    assert_retries(&world, 0);
    client_dispose(&client);
    loopback_dispose(&world);
}

// --- the body ---

static void a_body_is_kept_up_to_its_bound(void **state) {
    (void)state;
    char *body = alloc_or_abort(70000);
    memset(body, 'b', 70000);
    static const struct {
        size_t length;
        bool repeated;
    } cases[] = {{65536, true}, {65537, false}};
    for (size_t i = 0; i < 2; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, HTTP2(""), NULL);
        begin_with_the_first(&world);
        client_open(&client, &world, "POST a /\n");
        client_send(&client, bytes_from(body, cases[i].length), true);
        far_reset(far_conn(&world.far, 0), only_request(&world, 0), ERROR_REFUSED_STREAM);
        if (cases[i].repeated) {
            assert_int_equal(only_request(&world, 1)->body.len, cases[i].length);
            assert_true(only_request(&world, 1)->ended);
            respond(&world, 1, 200, "", NULL);
            assert_int_equal(client.status, 200);
            assert_int_equal(client.consumed, cases[i].length);
        } else {
            assert_int_equal(client.status, 502);
            assert_int_equal(world.record.end, ERROR_UPSTREAM_RESET);
            assert_int_equal(metric_read(&world.far.metrics.retries_refused_body), 1);
        }
        client_dispose(&client);
        loopback_dispose(&world);
    }
    free(body);
}

static void a_policy_may_keep_less_or_nothing(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, HTTP2("  retry: {bufferBytes: 10}\n"), NULL);
    client_open(&client, &world, "POST a /\n");
    client_send(&client, BYTES("0123456789a"), false);
    far_reset(far_conn(&world.far, 0), only_request(&world, 0), ERROR_REFUSED_STREAM);
    assert_int_equal(client.status, 502);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void trailers_are_sent_again_too(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, HTTP2(""), NULL);
    client_open(&client, &world, "POST a /\n");
    client_send(&client, BYTES("body"), false);
    client_end(&client, "x-t: 1\n");
    far_reset(far_conn(&world.far, 0), only_request(&world, 0), ERROR_REFUSED_STREAM);
    assert_has(received(&world, 1), "body 4 body\nend\nx-t: 1\n");
    respond(&world, 1, 200, "", NULL);
    client_dispose(&client);
    loopback_dispose(&world);
}

// The client is still sending when its second try begins.
static void the_rest_of_a_body_follows_what_was_kept(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, PROXY SERVICE("HTTP2", ONE) POLICY("  retry: {attempts: 3}\n"), NULL);
    client_open(&client, &world, "POST a /\n");
    char expected[64] = "";
    for (unsigned i = 0; i < 4; i++) {
        char piece[8];
        snprintf(piece, sizeof piece, "part%u ", i);
        strcat(expected, piece);
        client_send(&client, bytes_from_text(piece), i == 3);
        struct far_conn *conn = far_conn(&world.far, 0);
        struct owner_stream *request = far_request(conn, i);
        assert_int_equal(request->body.len, strlen(expected));
        assert_memory_equal(request->body.at, expected, strlen(expected));
        if (i < 3) {
            far_reset(conn, request, ERROR_REFUSED_STREAM);
            loopback_pass(&world, NS_PER_S);
        } else {
            far_respond(conn, request, 200, "", NULL, true);
        }
    }
    assert_int_equal(client.status, 200);
    assert_int_equal(client.consumed, strlen(expected));
    assert_retries(&world, 3);
    client_dispose(&client);
    loopback_dispose(&world);
}

// --- bounds ---

static void attempts_are_bounded_by_the_policy(void **state) {
    (void)state;
    static const char *const documents[] = {ALONE("  retry: {attempts: 0}\n"), ALONE(""), ALONE("  retry: {attempts: 5}\n"),
                                            ALONE("  retry: {disabled: true}\n")};
    static const unsigned tries[] = {1, 2, 6, 1};
    for (int i = 0; i < 4; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, documents[i], NULL);
        world.far.mode = FAR_REFUSE;
        client_get(&client, &world, "GET a /\n");
        loopback_pass(&world, 10 * NS_PER_S);
        assert_int_equal(client.status, 502);
        assert_int_equal(world.record.end, ERROR_CONNECT_REFUSED);
        assert_retries(&world, tries[i] - 1);
        assert_int_equal(world.far.count, tries[i]);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

static void only_conditions_of_the_policy_are_tried_again(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, HTTP2("  retry: {conditions: [ConnectFailure]}\n"), NULL);
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    far_reset(far_conn(&world.far, 0), only_request(&world, 0), ERROR_REFUSED_STREAM);
    assert_int_equal(client.status, 502);
    assert_retries(&world, 0);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void a_spent_budget_stops_retries(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, ALONE("  retry: {budget: {percent: 20, interval: 10s, minPerSecond: 0}}\n"), NULL);
    world.far.mode = FAR_REFUSE;
    unsigned attempts = 0;
    for (unsigned i = 0; i < 20; i++) {
        struct client client;
        client_get(&client, &world, "GET a /\n");
        loopback_pass(&world, 30 * NS_PER_MS);
        assert_int_equal(client.status, 502);
        assert_string_equal(world.record.policy, world.record.attempts == 1 ? "TrafficPolicy/default/a: retry.budget" : "");
        attempts += world.record.attempts;
        client_dispose(&client);
    }
    assert_int_equal(attempts, 20 + 4);
    assert_int_equal(metric_read(&world.far.metrics.retries_refused_budget), 16);
    loopback_dispose(&world);
}

static void nothing_is_tried_after_the_deadline(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, ALONE("  connections: {connectTimeout: 500ms}\n"), NULL);
    world.far.mode = FAR_WAIT;
    client_get(&client, &world, "GET a /\n");
    check_loop_turn(&world.far.check);
    client.stream->deadline = world.far.check.loop.now + 400 * NS_PER_MS; // as the deadline filter says
    loopback_pass(&world, NS_PER_S);
    assert_int_equal(client.status, 504);
    assert_int_equal(world.record.end, ERROR_CONNECT_TIMEOUT);
    assert_int_equal(metric_read(&world.far.metrics.retries_refused_deadline), 1);
    client_dispose(&client);
    loopback_dispose(&world);
}

// --- pauses ---

static void there_is_no_pause_while_an_endpoint_is_untried(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, HTTP1("  retry: {attempts: 2, backoff: {base: 200ms, max: 1s}}\n"), NULL);
    world.far.mode = FAR_REFUSE;
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    assert_int_equal(world.far.count, 2);
    assert_int_equal(client.status, 0);
    loopback_pass(&world, 400 * NS_PER_MS);
    assert_int_equal(world.far.count, 3);
    assert_int_equal(client.status, 502);
    client_dispose(&client);
    loopback_dispose(&world);
}

// One that gets no requests cannot be tried.
static void an_endpoint_of_weight_0_spares_no_pause(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world,
                  PROXY SERVICE("HTTP1", ONE ", {address: '127.0.0.1:8002', weight: 0}")
                      POLICY("  retry: {attempts: 1, backoff: {base: 200ms, max: 1s}}\n"),
                  NULL);
    world.far.mode = FAR_REFUSE;
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    assert_int_equal(world.far.count, 1);
    loopback_pass(&world, 200 * NS_PER_MS);
    assert_int_equal(world.far.count, 2);
    assert_int_equal(client.status, 502);
    client_dispose(&client);
    loopback_dispose(&world);
}

// A stream has room for as many endpoints as the most that a policy can ask for, so that none is asked twice while another is left; then there is a pause.
static void each_of_as_many_endpoints_as_there_can_be_tries_is_tried_before_a_pause(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world,
                  PROXY SERVICE("HTTP1", TWO ", {address: '127.0.0.1:8003'}, {address: '127.0.0.1:8004'}, {address: '127.0.0.1:8005'}, "
                                             "{address: '127.0.0.1:8006'}, {address: '127.0.0.1:8007'}, {address: '127.0.0.1:8008'}, "
                                             "{address: '127.0.0.1:8009'}, {address: '127.0.0.1:8010'}")
                      POLICY("  retry: {attempts: 10, backoff: {base: 200ms, max: 200ms}, budget: {percent: 100, minPerSecond: 100}}\n"),
                  NULL);
    world.far.mode = FAR_REFUSE;
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    assert_int_equal(world.far.count, RETRY_ATTEMPTS_MAX);
    unsigned seen = 0;
    for (unsigned i = 0; i < RETRY_ATTEMPTS_MAX; i++)
        seen |= 1U << (far_conn(&world.far, i)->port - 8001);
    assert_int_equal(seen, (1U << RETRY_ATTEMPTS_MAX) - 1);
    assert_int_equal(client.status, 0);
    loopback_pass(&world, 200 * NS_PER_MS);
    assert_int_equal(world.far.count, RETRY_ATTEMPTS_MAX + 1);
    assert_int_equal(client.status, 502);
    client_dispose(&client);
    loopback_dispose(&world);
}

// Full jitter: anywhere between none and the bound, which doubles up to its maximum.
static void pauses_are_random_within_a_bound_that_doubles(void **state) {
    (void)state;
    enum { RUNS = 60, TRIES = 5 };
    static const nanoseconds bounds[TRIES] = {100 * NS_PER_MS, 200 * NS_PER_MS, 400 * NS_PER_MS, 500 * NS_PER_MS, 500 * NS_PER_MS};
    nanoseconds longest[TRIES] = {0};
    nanoseconds shortest[TRIES];
    for (int i = 0; i < TRIES; i++)
        shortest[i] = UINT64_MAX;
    for (unsigned run = 0; run < RUNS; run++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, ALONE("  retry: {attempts: 5, backoff: {base: 100ms, max: 500ms}}\n"), NULL);
        rng_init(&world.far.check.loop.rng, run);
        world.far.mode = FAR_REFUSE;
        client_get(&client, &world, "GET a /\n");
        loopback_settle(&world);
        for (unsigned try = 0; try < TRIES; try++) {
            nanoseconds begun = world.far.check.loop.now;
            while (world.far.count == try + 1)
                loopback_pass(&world, NS_PER_MS);
            nanoseconds waited = world.far.check.loop.now - begun;
            longest[try] = waited > longest[try] ? waited : longest[try];
            shortest[try] = waited < shortest[try] ? waited : shortest[try];
        }
        client_dispose(&client);
        loopback_dispose(&world);
    }
    for (int i = 0; i < TRIES; i++) {
        assert_true(longest[i] <= bounds[i] + NS_PER_MS);
        assert_true(longest[i] > bounds[i] * 3 / 4);
        assert_true(shortest[i] < bounds[i] / 4);
    }
}

static void a_client_that_goes_in_a_pause_ends_it(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, ALONE("  retry: {attempts: 5, backoff: {base: 10s, max: 10s}}\n"), NULL);
    world.far.mode = FAR_REFUSE;
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    client_fail(&client, ERROR_CLIENT_GONE);
    assert_true(client.done);
    assert_int_equal(world.record.end, ERROR_CLIENT_GONE);
    loopback_pass(&world, 60 * NS_PER_S);
    assert_int_equal(world.far.count, 1);
    client_dispose(&client);
    loopback_dispose(&world);
}

// --- what balancers learn ---

static void a_failed_try_counts_as_failure_of_its_endpoint(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, HTTP1(""), NULL);
    begin_with_the_first(&world);
    fake_upstream_port(&world.far, 1, FAR_REFUSE);
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    respond(&world, 1, 200, "", NULL);
    struct cluster *cluster = fake_upstream_cluster(&world.far, "default/a:80");
    assert_int_equal(far_failures(cluster->endpoints[0]), 1);
    assert_int_equal(far_failures(cluster->endpoints[1]), 0);
    client_dispose(&client);
    loopback_dispose(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_not_made_goes_to_another_endpoint),
        cmocka_unit_test(a_refused_stream_is_tried_again_whatever_the_method),
        cmocka_unit_test(a_stream_above_goaways_last_is_tried_again),
        cmocka_unit_test(the_keep_alive_race_is_hidden_for_methods_that_may_be_repeated),
        cmocka_unit_test(after_the_keep_alive_race_no_other_idle_connection_is_trusted),
        cmocka_unit_test(where_no_connection_may_be_made_an_idle_one_must_do),
        cmocka_unit_test(other_methods_are_not_repeated_once_a_byte_has_left),
        cmocka_unit_test(a_break_on_a_fresh_connection_is_not_repeated),
        cmocka_unit_test(nothing_is_repeated_after_a_byte_of_an_answer),
        cmocka_unit_test(nothing_is_repeated_after_a_sign_of_life),
        cmocka_unit_test(what_never_left_is_sent_on_another_connection_whatever_the_method),
        cmocka_unit_test(a_response_is_final_whatever_its_status),
        cmocka_unit_test(a_body_is_kept_up_to_its_bound),
        cmocka_unit_test(a_policy_may_keep_less_or_nothing),
        cmocka_unit_test(trailers_are_sent_again_too),
        cmocka_unit_test(the_rest_of_a_body_follows_what_was_kept),
        cmocka_unit_test(attempts_are_bounded_by_the_policy),
        cmocka_unit_test(only_conditions_of_the_policy_are_tried_again),
        cmocka_unit_test(a_spent_budget_stops_retries),
        cmocka_unit_test(nothing_is_tried_after_the_deadline),
        cmocka_unit_test(there_is_no_pause_while_an_endpoint_is_untried),
        cmocka_unit_test(an_endpoint_of_weight_0_spares_no_pause),
        cmocka_unit_test(each_of_as_many_endpoints_as_there_can_be_tries_is_tried_before_a_pause),
        cmocka_unit_test(pauses_are_random_within_a_bound_that_doubles),
        cmocka_unit_test(a_client_that_goes_in_a_pause_ends_it),
        cmocka_unit_test(a_failed_try_counts_as_failure_of_its_endpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
