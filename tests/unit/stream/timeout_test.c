// Time on a stream: for one try, for silence in either direction, for bodies that stop coming; who is blamed, and that nothing fires where something still moves.
#include "unit/stream/stream_drive.h"

#define WITH(groups) PROXY SERVICE("HTTP2", ONE) POLICY(groups)

static struct endpoint *endpoint_of(struct loopback *world) {
    return fake_upstream_cluster(&world->far, "default/a:80")->endpoints[0];
}

static void a_try_has_a_time_from_its_start(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, WITH("  timeouts: {backendRequest: 700ms}\n"), NULL);
    client_get(&client, &world, "GET a /\n");
    loopback_pass(&world, 699 * NS_PER_MS);
    assert_int_equal(client.status, 0);
    loopback_pass(&world, 2 * NS_PER_MS);
    assert_int_equal(client.status, 504);
    assert_int_equal(world.record.end, ERROR_TRY_TIMEOUT);
    assert_true(only_request(&world, 0)->has_failed); // the server is told
    assert_int_equal(far_failures(endpoint_of(&world)), 1);
    client_dispose(&client);
    loopback_dispose(&world);
}

// In the access log and in Proxy-Status: whose rule it was. A default is nobody's, and so is what another policy's group has to say.
static void what_ends_a_request_by_a_rule_names_its_policy(void **state) {
    (void)state;
    static const struct {
        const char *documents;
        enum far_mode mode;
        enum error end;
        const char *policy;
    } causes[] = {
        {WITH("  timeouts: {backendRequest: 700ms}\n"), FAR_ACCEPT, ERROR_TRY_TIMEOUT, "TrafficPolicy/default/a: timeouts.backendRequest"},
        {WITH("  timeouts: {idle: 2s}\n"), FAR_ACCEPT, ERROR_REQUEST_TIMEOUT, "TrafficPolicy/default/a: timeouts.idle"},
        {WITH("  connections: {connectTimeout: 300ms}\n  retry: {attempts: 0}\n"), FAR_WAIT, ERROR_CONNECT_TIMEOUT,
         "TrafficPolicy/default/a: connections.connectTimeout"},
        {WITH("  connections: {maxPending: 0}\n"), FAR_ACCEPT, ERROR_POOL_FULL, "TrafficPolicy/default/a: connections.maxPending"},
        {WITH("  retry: {attempts: 0}\n"), FAR_WAIT, ERROR_CONNECT_TIMEOUT, ""},
        {WITH("  connections: {disabled: true}\n"), FAR_WAIT, ERROR_CONNECT_TIMEOUT, ""},
        {WITH("  retry: {attempts: 0}\n"), FAR_ACCEPT, ERROR_REQUEST_TIMEOUT, ""},
        {PROXY SERVICE("HTTP2", ONE), FAR_WAIT, ERROR_CONNECT_TIMEOUT, ""},
    };
    for (size_t i = 0; i < sizeof causes / sizeof causes[0]; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, causes[i].documents, NULL);
        world.far.mode = causes[i].mode;
        client_get(&client, &world, "GET a /\n");
        loopback_pass(&world, 301 * NS_PER_S);
        assert_true(client.done);
        assert_int_equal(world.record.end, causes[i].end);
        assert_string_equal(world.record.policy, causes[i].policy);
        char expected[160];
        snprintf(expected, sizeof expected, "details=\"%s%s%s\"", error_name(causes[i].end), causes[i].policy[0] != 0 ? "; " : "", causes[i].policy);
        assert_has(client_field(&client, "proxy-status"), expected);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

static void a_try_that_was_answered_in_time_may_take_longer(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, WITH("  timeouts: {backendRequest: 700ms}\n"), NULL);
    client_get(&client, &world, "GET a /\n");
    loopback_pass(&world, 600 * NS_PER_MS);
    far_respond(far_conn(&world.far, 0), only_request(&world, 0), 200, "", "a", false);
    loopback_pass(&world, 10 * NS_PER_S);
    assert_false(client.done);
    far_body(far_conn(&world.far, 0), only_request(&world, 0), BYTES("b"), true);
    assert_string_equal(client.body.at, "ab");
    assert_int_equal(world.record.end, OK);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void the_time_of_a_try_covers_the_wait_for_a_connection(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, WITH("  timeouts: {backendRequest: 700ms}\n  connections: {connectTimeout: 5s}\n"), NULL);
    world.far.mode = FAR_WAIT;
    client_get(&client, &world, "GET a /\n");
    loopback_pass(&world, 701 * NS_PER_MS);
    assert_int_equal(client.status, 504);
    assert_int_equal(world.record.end, ERROR_TRY_TIMEOUT);
    client_dispose(&client);
    loopback_dispose(&world);
}

// An endpoint that hangs must not look fast because its requests were given up by a time over all tries.
static void a_request_given_up_in_time_counts_against_its_endpoint(void **state) {
    (void)state;
    static const enum error ends[] = {ERROR_REQUEST_TIMEOUT, ERROR_DEADLINE_EXPIRED, ERROR_CLIENT_GONE, ERROR_BODY_TOO_LARGE};
    for (int i = 0; i < 4; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, WITH(""), NULL);
        client_get(&client, &world, "GET a /\n");
        loopback_pass(&world, 2 * NS_PER_S);
        stream_fail(client.stream, ends[i], BYTES_NONE);
        loopback_settle(&world);
        assert_int_equal(far_failures(endpoint_of(&world)), i < 2);
        assert_int_equal(endpoint_of(&world)->cost_at != 0, i < 2);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

static void silence_ends_a_request(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, WITH("  timeouts: {idle: 10s}\n"), NULL);
    client_get(&client, &world, "GET a /\n");
    loopback_pass(&world, 9900 * NS_PER_MS);
    assert_int_equal(client.status, 0);
    loopback_pass(&world, 200 * NS_PER_MS);
    assert_int_equal(client.status, 504);
    assert_int_equal(world.record.end, ERROR_REQUEST_TIMEOUT);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void silence_ends_a_response(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, WITH("  timeouts: {idle: 10s}\n"), NULL);
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    far_respond(far_conn(&world.far, 0), only_request(&world, 0), 200, "", "a", false);
    for (int i = 0; i < 5; i++) {
        loopback_pass(&world, 9 * NS_PER_S);
        far_body(far_conn(&world.far, 0), only_request(&world, 0), BYTES("b"), false);
    }
    assert_false(client.done);
    loopback_pass(&world, 10100 * NS_PER_MS);
    assert_true(client.was_reset);
    assert_int_equal(world.record.end, ERROR_REQUEST_TIMEOUT);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void without_an_idle_time_silence_may_last(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, WITH("  timeouts: {idle: 0s}\n"), NULL);
    client_get(&client, &world, "GET a /\n");
    loopback_pass(&world, 3600 * NS_PER_S);
    respond(&world, 0, 204, "", NULL);
    assert_int_equal(client.status, 204);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void a_client_that_reads_nothing_is_given_up(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, WITH("  timeouts: {idle: 10s}\n"), NULL);
    client_get(&client, &world, "GET a /\n");
    client.accepts = 0;
    loopback_settle(&world);
    respond(&world, 0, 200, "content-length: 5\n", "hello");
    loopback_pass(&world, 9 * NS_PER_S);
    client_accept(&client, 1);
    loopback_pass(&world, 9 * NS_PER_S);
    assert_false(client.done);
    loopback_pass(&world, 2 * NS_PER_S);
    assert_true(client.was_reset);
    client_dispose(&client);
    loopback_dispose(&world);
}

// --- bodies that stop coming ---

static void a_body_that_stops_coming_is_408(void **state) {
    (void)state;
    static const char *const idle[] = {"", "  timeouts: {idle: 0s}\n", "  timeouts: {idle: 1h}\n"};
    for (int i = 0; i < 3; i++) {
        char documents[2048];
        struct loopback world;
        struct client client;
        snprintf(documents, sizeof documents, PROXY_WITH("  limits: {bodyIdleTimeout: 5s}\n") SERVICE("HTTP2", ONE) POLICY("%s"), idle[i]);
        loopback_init(&world, documents, NULL);
        client_open(&client, &world, "POST a /\n");
        for (int piece = 0; piece < 4; piece++) {
            client_send(&client, BYTES("x"), false);
            loopback_pass(&world, 4 * NS_PER_S);
        }
        assert_int_equal(client.status, 0);
        loopback_pass(&world, 1100 * NS_PER_MS);
        assert_int_equal(client.status, 408);
        assert_int_equal(world.record.end, ERROR_BODY_TIMEOUT);
        assert_int_equal(far_failures(endpoint_of(&world)), 0);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

// It has sent what it may; that nobody takes it is not its fault.
static void a_client_whose_body_nobody_takes_is_not_blamed(void **state) {
    (void)state;
    static const char *const protocols[] = {PROXY_WITH("  limits: {bodyIdleTimeout: 5s}\n") SERVICE("HTTP1", ONE) POLICY("  timeouts: {idle: 20s}\n"),
                                            PROXY_WITH("  limits: {bodyIdleTimeout: 5s}\n") SERVICE("HTTP2", ONE)
                                                POLICY("  timeouts: {idle: 20s}\n")};
    static char much[100000];
    for (int i = 0; i < 2; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, protocols[i], NULL);
        client_open(&client, &world, "POST a /\n");
        loopback_settle(&world);
        fake_peer_accept(far_conn(&world.far, 0)->peer, 0);
        client_send(&client, bytes_from(much, i == 0 ? 80000 : 90000), false);
        // All has left the stream's own buffer; the rest of it waits in the try, or in the codec.
        const struct attempt *attempt = attempts_foremost(client.stream->attempts);
        assert_int_equal(client.stream->request_body.length, 0);
        assert_true((i == 0 ? attempt->body.length : attempt->up.codec_stream.out.length) > 0);
        loopback_pass(&world, 15 * NS_PER_S);
        assert_int_equal(client.status, 0);
        loopback_pass(&world, 6 * NS_PER_S);
        assert_int_equal(client.status, 504);
        assert_int_equal(world.record.end, ERROR_REQUEST_TIMEOUT);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

static void a_body_that_stops_late_is_noticed_as_soon(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, PROXY_WITH("  limits: {bodyIdleTimeout: 5s}\n") SERVICE("HTTP2", ONE), NULL);
    world.far.mode = FAR_WAIT;
    client_open(&client, &world, "POST a /\n");
    client_send(&client, BYTES("x"), false); // waits for a connection: the client owes nothing at the first look
    far_conn(&world.far, 0)->raw = false;
    check_loop_pass(&world.far.check, 900 * NS_PER_MS);
    far_connect(far_conn(&world.far, 0), OK);
    loopback_pass(&world, 4900 * NS_PER_MS);
    assert_int_equal(client.status, 0);
    loopback_pass(&world, 200 * NS_PER_MS);
    assert_int_equal(client.status, 408);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void a_call_that_streams_may_be_silent(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, PROXY_WITH("  limits: {bodyIdleTimeout: 5s}\n") SERVICE("HTTP2", ONE), NULL);
    client_open(&client, &world, "POST a /s/m\ncontent-type: application/grpc\nte: trailers\n");
    client_send(&client, BYTES("x"), false);
    loopback_pass(&world, 60 * NS_PER_S);
    assert_false(client.done);
    client_end(&client, NULL);
    respond(&world, 0, 200, "content-type: application/grpc\ngrpc-status: 0\n", NULL);
    assert_int_equal(client.status, 200);
    assert_int_equal(world.record.grpc_status, 0);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void an_upload_whose_answer_has_begun_may_be_silent(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, PROXY_WITH("  limits: {bodyIdleTimeout: 5s}\n") SERVICE("HTTP2", ONE), NULL);
    client_open(&client, &world, "POST a /\n");
    client_send(&client, BYTES("x"), false);
    far_respond(far_conn(&world.far, 0), only_request(&world, 0), 200, "", "a", false);
    loopback_pass(&world, 60 * NS_PER_S);
    assert_false(client.done);
    client_end(&client, NULL);
    far_body(far_conn(&world.far, 0), only_request(&world, 0), BYTES_NONE, true);
    assert_true(client.ended);
    client_dispose(&client);
    loopback_dispose(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_try_has_a_time_from_its_start),
        cmocka_unit_test(what_ends_a_request_by_a_rule_names_its_policy),
        cmocka_unit_test(a_try_that_was_answered_in_time_may_take_longer),
        cmocka_unit_test(the_time_of_a_try_covers_the_wait_for_a_connection),
        cmocka_unit_test(a_request_given_up_in_time_counts_against_its_endpoint),
        cmocka_unit_test(silence_ends_a_request),
        cmocka_unit_test(silence_ends_a_response),
        cmocka_unit_test(without_an_idle_time_silence_may_last),
        cmocka_unit_test(a_client_that_reads_nothing_is_given_up),
        cmocka_unit_test(a_body_that_stops_coming_is_408),
        cmocka_unit_test(a_client_whose_body_nobody_takes_is_not_blamed),
        cmocka_unit_test(a_body_that_stops_late_is_noticed_as_soon),
        cmocka_unit_test(a_call_that_streams_may_be_silent),
        cmocka_unit_test(an_upload_whose_answer_has_begun_may_be_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
