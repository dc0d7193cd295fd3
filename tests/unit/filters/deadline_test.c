// The deadline of a request: how headers carry it, which of several counts, what each try passes on, and what happens when it is over.
#include "filters/deadline.h"

#include "filters/registry.h"

#include "unit/stream/stream_drive.h"

#include <stdlib.h>

#define WITH(groups) PROXY SERVICE("HTTP2", ONE) POLICY(groups)
#define GRPC "content-type: application/grpc\nte: trailers\n"

// --- grpc-timeout ---

static void grpc_timeouts_are_read_with_their_unit(void **state) {
    (void)state;
    static const struct {
        const char *text;
        nanoseconds timeout;
    } good[] = {
        {"1n", 1},
        {"99999999n", 99999999},
        {"1u", NS_PER_US},
        {"250m", 250 * NS_PER_MS},
        {"1S", NS_PER_S},
        {"2M", 120 * NS_PER_S},
        {"3H", 3 * 3600 * NS_PER_S},
        {"0S", 0},
        {"00000001S", NS_PER_S},
        {"99999999M", UINT64_C(99999999) * 60 * NS_PER_S},
        {"5124095H", UINT64_C(5124095) * 3600 * NS_PER_S}, // the last that fits in 64 bits of nanoseconds
        {"5124096H", UINT64_MAX},
        {"99999999H", UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        nanoseconds timeout = 12345;
        if (!grpc_timeout_parse(bytes_from_text(good[i].text), &timeout) || timeout != good[i].timeout)
            fail_msg("%s: %llu", good[i].text, (unsigned long long)timeout);
    }
    static const char *const bad[] = {"",    "1",   "S",    "m",          "1s",         "1h",  "-1S",  "+1S",      " 1S",
                                      "1S ", "1 S", "1.5S", "100000000n", "000000001S", "1SS", "0x1S", "1\xc2\xb5"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        nanoseconds timeout;
        if (grpc_timeout_parse(bytes_from_text(bad[i]), &timeout))
            fail_msg("\"%s\" was read as %llu", bad[i], (unsigned long long)timeout);
    }
}

static void grpc_timeouts_are_written_in_the_finest_unit_that_fits(void **state) {
    (void)state;
    static const struct {
        nanoseconds timeout;
        const char *text;
    } cases[] = {
        {0, "0n"},
        {1, "1n"},
        {99999999, "99999999n"},
        {100000000, "100000u"},
        {NS_PER_S, "1000000u"},
        {100 * NS_PER_S, "100000m"},
        {99999999 * NS_PER_US, "99999999u"},
        {100000000 * NS_PER_US + 999, "100000m"}, // rounded down: never longer than it is
        {99999999 * NS_PER_MS, "99999999m"},
        {100000000 * NS_PER_MS, "100000S"},
        {100000000 * NS_PER_S, "1666666M"},
        {UINT64_MAX, "5124095H"},
    };
    struct pool_source chunks;
    struct pool pool;
    pool_source_init(&chunks, 0);
    pool_init(&pool, &chunks);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bytes text = grpc_timeout_print(cases[i].timeout, &pool);
        if (!bytes_equal(text, bytes_from_text(cases[i].text)))
            fail_msg("%llu: %.*s, not %s", (unsigned long long)cases[i].timeout, BYTES_FORMAT(text), cases[i].text);
    }
    // Whatever is written is read back, no longer than it was, and less than one part in 100,000 shorter.
    struct rng rng;
    rng_init(&rng, 1);
    for (int i = 0; i < 10000; i++) {
        nanoseconds timeout = rng_next(&rng) >> rng_below(&rng, 64);
        nanoseconds back;
        assert_true(grpc_timeout_parse(grpc_timeout_print(timeout, &pool), &back));
        assert_true(back <= timeout && timeout - back <= timeout / 100000);
    }
    pool_dispose(&pool);
    pool_source_dispose(&chunks);
}

static void milliseconds_are_read_up_to_a_day(void **state) {
    (void)state;
    nanoseconds timeout;
    assert_true(timeout_ms_parse(BYTES("0"), &timeout) && timeout == 0);
    assert_true(timeout_ms_parse(BYTES("1500"), &timeout) && timeout == 1500 * NS_PER_MS);
    assert_true(timeout_ms_parse(BYTES("86400000"), &timeout) && timeout == 86400 * NS_PER_S);
    static const char *const bad[] = {"", "86400001", "1.5", "-1", "1s", " 1", "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(timeout_ms_parse(bytes_from_text(bad[i]), &timeout));
}

// --- which one counts ---

struct world {
    struct loopback loopback;
    struct client client;
};

static void world_init(struct world *world, const char *documents, const char *request) {
    loopback_init(&world->loopback, documents, filter_types);
    client_open(&world->client, &world->loopback, request);
    loopback_settle(&world->loopback);
}

static void world_dispose(struct world *world) {
    client_dispose(&world->client);
    loopback_dispose(&world->loopback);
}

static nanoseconds time_left(const struct world *world) {
    nanoseconds deadline = world->client.stream->deadline;
    return deadline == UINT64_MAX ? UINT64_MAX : deadline - world->loopback.far.check.loop.now;
}

static void end_it(struct world *world) {
    client_fail(&world->client, ERROR_CLIENT_GONE);
    world_dispose(world);
}

static void the_least_of_all_times_counts(void **state) {
    (void)state;
    static const struct {
        const char *documents, *request;
        nanoseconds left;
    } cases[] = {
        {WITH(""), "GET a /\n", UINT64_MAX},
        {WITH("  timeouts: {request: 5s}\n"), "GET a /\n", 5 * NS_PER_S},
        {WITH(""), "GET a /\nx-request-timeout-ms: 700\n", 700 * NS_PER_MS},
        {WITH(""), "POST a /\n" GRPC "grpc-timeout: 3S\n", 3 * NS_PER_S},
        {WITH(""), "POST a /\n" GRPC "grpc-timeout: 3S\nx-request-timeout-ms: 700\n", 700 * NS_PER_MS},
        {WITH(""), "POST a /\n" GRPC "grpc-timeout: 300m\nx-request-timeout-ms: 700\n", 300 * NS_PER_MS},
        {WITH("  timeouts: {request: 5s}\n"), "GET a /\nx-request-timeout-ms: 700\n", 700 * NS_PER_MS},
        {WITH("  timeouts: {request: 500ms}\n"), "GET a /\nx-request-timeout-ms: 700\n", 500 * NS_PER_MS},
        {WITH("  timeouts: {request: 5s}\n"), "POST a /\n" GRPC "grpc-timeout: 1H\n", 5 * NS_PER_S},
        // What is no time is left to the far side.
        {WITH(""), "GET a /\nx-request-timeout-ms: soon\n", UINT64_MAX},
        {WITH(""), "POST a /\n" GRPC "grpc-timeout: soon\n", UINT64_MAX},
        {WITH(""), "POST a /\n" GRPC "grpc-timeout: 99999999H\n", UINT64_MAX},
        // Not believed where the policy says so.
        {WITH("  deadline: {propagate: false}\n"), "GET a /\nx-request-timeout-ms: 700\n", UINT64_MAX},
        {WITH("  deadline: {propagate: false}\n  timeouts: {request: 5s}\n"), "GET a /\nx-request-timeout-ms: 700\n", 5 * NS_PER_S},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world world;
        world_init(&world, cases[i].documents, cases[i].request);
        if (time_left(&world) != cases[i].left)
            fail_msg("%s: %llu", cases[i].request, (unsigned long long)time_left(&world));
        end_it(&world);
    }
}

// --- what is passed on ---

static void each_try_carries_what_is_left(void **state) {
    (void)state;
    struct world world;
    world_init(&world, WITH("  retry: {attempts: 2, backoff: {base: 0s, max: 0s}}\n"), "POST a /\nx-request-timeout-ms: 5000\n");
    assert_has(received(&world.loopback, 0), "x-request-timeout-ms: 5000\n");
    struct far_conn *conn = far_conn(&world.loopback.far, 0);
    static const char *const expected[] = {NULL, "x-request-timeout-ms: 3750\n", "x-request-timeout-ms: 2500\n"};
    for (unsigned try = 1; try <= 2; try++) {
        loopback_pass(&world.loopback, 1250 * NS_PER_MS);
        far_reset(conn, far_request(conn, try - 1), ERROR_REFUSED_STREAM);
        struct text transcript = {0};
        owner_stream_transcript(far_request(conn, try), &transcript);
        assert_has(transcript.at, expected[try]);
        text_dispose(&transcript);
    }
    end_it(&world);
}

static void it_is_passed_on_in_the_words_it_came_in(void **state) {
    (void)state;
    static const struct {
        const char *documents, *request, *has, *has_not;
    } cases[] = {
        {WITH(""), "POST a /\n" GRPC "grpc-timeout: 2S\n", "grpc-timeout: 2000000u\n", "x-request-timeout-ms"},
        {WITH(""), "POST a /\n" GRPC "grpc-timeout: 2S\nx-request-timeout-ms: 9000\n", "x-request-timeout-ms: 2000\n", "9000"},
        {WITH("  timeouts: {request: 5s}\n"), "GET a /\n", "X-Request-Timeout-Ms: 5000\n", "grpc-timeout"},
        {WITH("  timeouts: {request: 5s}\n"), "POST a /\n" GRPC, "Grpc-Timeout: 5000000u\n", "x-request-timeout-ms"},
        {WITH("  timeouts: {request: 5s, backendRequest: 2s}\n"), "GET a /\n", "X-Request-Timeout-Ms: 2000\n", NULL},
        {WITH("  timeouts: {request: 2s, backendRequest: 5s}\n"), "GET a /\n", "X-Request-Timeout-Ms: 2000\n", NULL},
        {WITH("  timeouts: {request: 1s}\n"), "GET a /\ngrpc-timeout: 2S\n", "grpc-timeout: 1000000u\n", "2S"},
        {WITH(""), "GET a /\n", "head get", "timeout"},
        {WITH("  deadline: {propagate: false}\n  timeouts: {request: 5s}\n"), "GET a /\nx-request-timeout-ms: 700\n", "x-request-timeout-ms: 700\n",
         "5000"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world world;
        world_init(&world, cases[i].documents, cases[i].request);
        // Whatever case names come in.
        struct text text = {0};
        text_add(&text, bytes_from_text(received(&world.loopback, 0)));
        for (size_t at = 0; at < text.len; at++)
            text.at[at] = ascii_lower(text.at[at]);
        char has[64];
        for (size_t at = 0; at <= strlen(cases[i].has); at++)
            has[at] = ascii_lower(cases[i].has[at]);
        assert_has(text.at, has);
        if (cases[i].has_not != NULL)
            assert_has_not(text.at, cases[i].has_not);
        text_dispose(&text);
        end_it(&world);
    }
}

// Of the request's time what is left of it all, of its own time what is left of the try: it may have waited for its connection.
static void each_try_is_told_what_is_left_to_it(void **state) {
    (void)state;
    struct world world;
    loopback_init(&world.loopback,
                  PROXY SERVICE("HTTP1", TWO) POLICY(IN_TURN "  timeouts: {request: 1300ms, backendRequest: 1s}\n  retry: {conditions: [Timeout]}\n"),
                  filter_types);
    world.loopback.far.mode = FAR_WAIT;
    client_get(&world.client, &world.loopback, "GET a /\n");
    loopback_pass(&world.loopback, 400 * NS_PER_MS);
    far_connect(far_conn(&world.loopback.far, 0), OK);
    loopback_settle(&world.loopback);
    assert_has(received(&world.loopback, 0), "X-Request-Timeout-Ms: 600\n");
    world.loopback.far.mode = FAR_ACCEPT;
    loopback_pass(&world.loopback, 601 * NS_PER_MS);
    assert_int_equal(world.loopback.far.count, 2);
    const char *second = strstr(received(&world.loopback, 1), "X-Request-Timeout-Ms: ");
    assert_non_null(second);
    unsigned long left = strtoul(second + strlen("X-Request-Timeout-Ms: "), NULL, 10);
    assert_in_range(left, 298, 300);
    loopback_pass(&world.loopback, 301 * NS_PER_MS); // its own second would be longer
    assert_int_equal(world.client.status, 504);
    assert_int_equal(world.loopback.record.end, ERROR_REQUEST_TIMEOUT);
    world_dispose(&world);
}

// Less than a millisecond is still some time: 0 would mean none.
static void the_last_moment_is_not_rounded_to_nothing(void **state) {
    (void)state;
    struct world world;
    world_init(&world, WITH("  connections: {connectTimeout: 5s}\n"), "POST a /\n" GRPC "grpc-timeout: 300u\nx-request-timeout-ms: 5\n");
    assert_has(received(&world.loopback, 0), "x-request-timeout-ms: 1\n");
    end_it(&world);
}

// --- when it is over ---

static void the_policys_time_is_a_request_timeout_and_the_callers_a_deadline(void **state) {
    (void)state;
    static const struct {
        const char *documents, *request;
        enum error end;
        unsigned status;
        int grpc;
        const char *policy;
    } cases[] = {
        {WITH("  deadline: {propagate: true}\n"), "GET a /\nx-request-timeout-ms: 1000\n", ERROR_DEADLINE_EXPIRED, 504, -1,
         "TrafficPolicy/default/a: deadline.propagate"},
        {WITH("  timeouts: {request: 1s}\n"), "GET a /\n", ERROR_REQUEST_TIMEOUT, 504, -1, "TrafficPolicy/default/a: timeouts.request"},
        {WITH(""), "GET a /\nx-request-timeout-ms: 1000\n", ERROR_DEADLINE_EXPIRED, 504, -1, ""},
        {WITH("  timeouts: {request: 1s}\n"), "GET a /\nx-request-timeout-ms: 2000\n", ERROR_REQUEST_TIMEOUT, 504, -1,
         "TrafficPolicy/default/a: timeouts.request"},
        {WITH(""), "POST a /\n" GRPC "grpc-timeout: 1S\n", ERROR_DEADLINE_EXPIRED, 200, 4, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world world;
        world_init(&world, cases[i].documents, cases[i].request);
        client_end(&world.client, NULL);
        loopback_pass(&world.loopback, 999 * NS_PER_MS);
        assert_int_equal(world.client.status, 0);
        loopback_pass(&world.loopback, 2 * NS_PER_MS);
        assert_int_equal(world.client.status, cases[i].status);
        assert_int_equal(world.loopback.record.end, cases[i].end);
        assert_string_equal(world.loopback.record.policy, cases[i].policy);
        assert_int_equal(world.loopback.record.grpc_status, cases[i].grpc);
        assert_true(far_request(far_conn(&world.loopback.far, 0), 0)->has_failed); // upstream is told
        world_dispose(&world);
    }
}

static void it_covers_all_tries_and_the_pauses_between(void **state) {
    (void)state;
    struct world world;
    loopback_init(&world.loopback,
                  PROXY SERVICE("HTTP1", ONE) POLICY("  timeouts: {request: 1s}\n  retry: {attempts: 10, backoff: {base: 900ms, max: 900ms}}\n"),
                  filter_types);
    world.loopback.far.mode = FAR_REFUSE;
    client_get(&world.client, &world.loopback, "GET a /\n");
    loopback_pass(&world.loopback, 999 * NS_PER_MS);
    bool failed_before = world.client.done;
    loopback_pass(&world.loopback, 2 * NS_PER_MS);
    assert_true(world.client.done);
    if (!failed_before)
        assert_int_equal(world.client.status, 504);
    world_dispose(&world);
}

static void work_whose_time_is_over_is_not_begun(void **state) {
    (void)state;
    static const char *const requests[] = {"GET a /\nx-request-timeout-ms: 0\n", "POST a /\n" GRPC "grpc-timeout: 0n\n"};
    for (int i = 0; i < 2; i++) {
        struct world world;
        world_init(&world, WITH(""), requests[i]);
        assert_int_equal(world.client.status, i == 0 ? 504 : 200);
        assert_int_equal(world.loopback.record.end, ERROR_DEADLINE_EXPIRED);
        assert_int_equal(world.loopback.far.count, 0);
        world_dispose(&world);
    }
}

static void a_response_under_way_is_cut_at_the_deadline(void **state) {
    (void)state;
    struct world world;
    world_init(&world, WITH("  timeouts: {request: 1s}\n"), "GET a /\n");
    client_end(&world.client, NULL);
    struct far_conn *conn = far_conn(&world.loopback.far, 0);
    far_respond(conn, far_request(conn, 0), 200, "", "part", false);
    loopback_pass(&world.loopback, 1001 * NS_PER_MS);
    assert_true(world.client.was_reset);
    assert_int_equal(world.loopback.record.end, ERROR_REQUEST_TIMEOUT);
    world_dispose(&world);
}

static void an_answer_in_time_leaves_no_timer(void **state) {
    (void)state;
    struct world world;
    world_init(&world, WITH("  timeouts: {request: 1s}\n"), "GET a /\n");
    client_end(&world.client, NULL);
    respond(&world.loopback, 0, 204, "", NULL);
    assert_int_equal(world.client.status, 204);
    loopback_pass(&world.loopback, 10 * NS_PER_S);
    assert_int_equal(world.loopback.record.end, OK);
    world_dispose(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grpc_timeouts_are_read_with_their_unit),
        cmocka_unit_test(grpc_timeouts_are_written_in_the_finest_unit_that_fits),
        cmocka_unit_test(milliseconds_are_read_up_to_a_day),
        cmocka_unit_test(the_least_of_all_times_counts),
        cmocka_unit_test(each_try_carries_what_is_left),
        cmocka_unit_test(it_is_passed_on_in_the_words_it_came_in),
        cmocka_unit_test(each_try_is_told_what_is_left_to_it),
        cmocka_unit_test(the_last_moment_is_not_rounded_to_nothing),
        cmocka_unit_test(the_policys_time_is_a_request_timeout_and_the_callers_a_deadline),
        cmocka_unit_test(it_covers_all_tries_and_the_pauses_between),
        cmocka_unit_test(work_whose_time_is_over_is_not_begun),
        cmocka_unit_test(a_response_under_way_is_cut_at_the_deadline),
        cmocka_unit_test(an_answer_in_time_leaves_no_timer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
