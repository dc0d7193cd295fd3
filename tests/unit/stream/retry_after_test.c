// Servers that say when they want to be asked again: they are waited for up to what the policy respects, never beyond the request's deadline; one that asks for longer
// is not asked again, and its answer goes down.
#include "base/clock.h"

#include "unit/stream/one_request.h"

#include <time.h>

#define HTTP1(retry) PROXY SERVICE("HTTP1", TWO) POLICY(IN_TURN "  retry: {codes: [429, 503], backoff: {base: 0s, max: 0s}, " retry "}\n")
#define GRPC_HEAD "POST a /s/m\ncontent-type: application/grpc\nte: trailers\n"
#define GRPC(retry) PROXY SERVICE("HTTP2", TWO) POLICY(IN_TURN "  retry: {grpcCodes: [UNAVAILABLE], backoff: {base: 0s, max: 0s}, " retry "}\n")

// `wait`: in ms; -1: it is not repeated.
static void expect_wait(const char *documents, const char *request, unsigned status, const char *fields, int wait) {
    struct loopback world;
    struct client client;
    begin(&world, &client, documents, request);
    respond(&world, 0, status, fields, NULL);
    if (wait < 0) {
        assert_int_equal(client.status, status);
        assert_string_equal(world.record.retry_refused, "retry_after");
        assert_int_equal(metric_read(&world.far.metrics.retries_refused_retry_after), 1);
        assert_int_equal(world.far.count, 1);
        end(&world, &client);
        return;
    }
    assert_int_equal(client.status, 0);
    if (wait > 0) {
        loopback_pass(&world, (nanoseconds)wait * NS_PER_MS - 2 * NS_PER_MS);
        assert_int_equal(world.far.count, 1); // though there is an endpoint that was not tried
        loopback_pass(&world, 4 * NS_PER_MS);
    }
    assert_int_equal(world.far.count, 2);
    respond(&world, 1, 200, "", NULL);
    assert_int_equal(client.status, 200);
    end(&world, &client);
}

static void seconds_are_waited_for(void **state) {
    (void)state;
    expect_wait(HTTP1(""), "GET a /\n", 503, "retry-after: 1\n", 1000);
    expect_wait(HTTP1(""), "GET a /\n", 429, "retry-after: 2\n", 2000);
    expect_wait(HTTP1(""), "GET a /\n", 503, "retry-after: 0\n", 0);
    expect_wait(HTTP1("respectRetryAfter: 1m"), "GET a /\n", 503, "retry-after: 60\n", 60000);
}

static void a_longer_wait_is_left_to_the_client(void **state) {
    (void)state;
    expect_wait(HTTP1(""), "GET a /\n", 503, "retry-after: 3\n", -1);
    expect_wait(HTTP1("respectRetryAfter: 1s"), "GET a /\n", 503, "retry-after: 2\n", -1);
    expect_wait(HTTP1(""), "GET a /\n", 503, "retry-after: 18446744073709551615\n", -1);
    expect_wait(HTTP1("respectRetryAfter: 1h"), "GET a /\n", 503, "retry-after: Fri, 31 Dec 9999 23:59:59 GMT\n", -1);
}

static void what_is_no_time_says_nothing(void **state) {
    (void)state;
    static const char *const fields[] = {"retry-after: soon\n", "retry-after: -1\n",   "retry-after: 1.5\n",
                                         "retry-after: \n",     "retry-after: 1, 2\n", "retry-after: 99999999999999999999\n"};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        expect_wait(HTTP1(""), "GET a /\n", 503, fields[i], 0);
}

static void a_date_that_is_over_is_no_wait(void **state) {
    (void)state;
    expect_wait(HTTP1(""), "GET a /\n", 503, "retry-after: Sun, 06 Nov 1994 08:49:37 GMT\n", 0);
}

// The wall clock runs on while the test does: a minute's date is more than half a minute ahead, and that is too long for the policy or not.
static void a_date_ahead_is_waited_for(void **state) {
    (void)state;
    char fields[64];
    time_t then = (time_t)(clock_wall_ns() / NS_PER_S) + 60;
    struct tm parts;
    assert_non_null(gmtime_r(&then, &parts));
    assert_true(strftime(fields, sizeof fields, "retry-after: %a, %d %b %Y %H:%M:%S GMT\n", &parts) > 0);
    expect_wait(HTTP1("respectRetryAfter: 1s"), "GET a /\n", 503, fields, -1);
    struct loopback world;
    struct client client;
    begin(&world, &client, HTTP1("respectRetryAfter: 1m"), "GET a /\n");
    respond(&world, 0, 503, fields, NULL);
    assert_int_equal(world.far.count, 1);
    loopback_pass(&world, 61 * NS_PER_S);
    respond(&world, 1, 200, "", NULL);
    assert_int_equal(client.status, 200);
    end(&world, &client);
}

static void a_policy_may_look_away(void **state) {
    (void)state;
    expect_wait(HTTP1("respectRetryAfter: 0s"), "GET a /\n", 503, "retry-after: 3600\n", 0);
    expect_wait(GRPC("respectRetryAfter: 0s"), GRPC_HEAD, 200, "grpc-status: 14\ngrpc-retry-pushback-ms: 5000\n", 0);
    expect_wait(GRPC("respectRetryAfter: 0s"), GRPC_HEAD, 200, "grpc-status: 14\ngrpc-retry-pushback-ms: -1\n", -1); // that is no wait
}

// gRPC proposal A6.
static void a_grpc_server_pushes_back(void **state) {
    (void)state;
    expect_wait(GRPC(""), GRPC_HEAD, 200, "grpc-status: 14\ngrpc-retry-pushback-ms: 700\n", 700);
    expect_wait(GRPC(""), GRPC_HEAD, 200, "grpc-status: 14\ngrpc-retry-pushback-ms: 0\n", 0);
    expect_wait(GRPC(""), GRPC_HEAD, 200, "grpc-status: 14\ngrpc-retry-pushback-ms: 2001\n", -1);
    expect_wait(GRPC(""), GRPC_HEAD, 200, "grpc-status: 14\ngrpc-retry-pushback-ms: -1\n", -1);
    expect_wait(GRPC(""), GRPC_HEAD, 200, "grpc-status: 14\ngrpc-retry-pushback-ms: soon\n", -1);
    expect_wait(GRPC(""), GRPC_HEAD, 200, "grpc-status: 14\ngrpc-retry-pushback-ms: \n", -1);
    expect_wait(HTTP1(""), "GET a /\n", 503, "grpc-retry-pushback-ms: -1\n", 0); // is for gRPC alone
}

static void the_wait_gets_jitter_on_top(void **state) {
    (void)state;
    nanoseconds longest = 0;
    for (unsigned run = 0; run < 30; run++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, PROXY SERVICE("HTTP1", ONE) POLICY("  retry: {codes: [503], backoff: {base: 400ms, max: 400ms}}\n"), NULL);
        rng_init(&world.far.check.loop.rng, run);
        client_get(&client, &world, "GET a /\n");
        loopback_settle(&world);
        respond(&world, 0, 503, "retry-after: 1\n", NULL);
        nanoseconds begun = world.far.check.loop.now;
        while (retries_of(&world) == 0)
            loopback_pass(&world, NS_PER_MS);
        nanoseconds waited = world.far.check.loop.now - begun;
        assert_true(waited >= NS_PER_S && waited <= 1401 * NS_PER_MS);
        longest = waited > longest ? waited : longest;
        far_respond(far_conn(&world.far, 0), far_request(far_conn(&world.far, 0), 1), 204, "", NULL, true);
        end(&world, &client);
    }
    assert_true(longest > 1200 * NS_PER_MS);
}

static void a_wait_beyond_the_deadline_is_not_begun(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct loopback world;
        struct client client;
        begin(&world, &client, HTTP1(""), "GET a /\n");
        client.stream->deadline = world.far.check.loop.now + NS_PER_S + (i == 0 ? 0 : 1); // as the deadline filter says
        respond(&world, 0, 503, "retry-after: 1\n", NULL);
        if (i == 0) {
            assert_int_equal(client.status, 503); // at once: its client still has time for something else
            assert_string_equal(world.record.retry_refused, "deadline");
        } else {
            assert_int_equal(client.status, 0);
            client_fail(&client, ERROR_CLIENT_GONE);
        }
        end(&world, &client);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seconds_are_waited_for),
        cmocka_unit_test(a_longer_wait_is_left_to_the_client),
        cmocka_unit_test(what_is_no_time_says_nothing),
        cmocka_unit_test(a_date_that_is_over_is_no_wait),
        cmocka_unit_test(a_date_ahead_is_waited_for),
        cmocka_unit_test(a_policy_may_look_away),
        cmocka_unit_test(a_grpc_server_pushes_back),
        cmocka_unit_test(the_wait_gets_jitter_on_top),
        cmocka_unit_test(a_wait_beyond_the_deadline_is_not_begun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
