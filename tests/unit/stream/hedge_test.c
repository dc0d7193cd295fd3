// Hedged requests: when the second endpoint is asked, who wins and what becomes of the other; and all that lets it be: no policy, a method that may not be repeated, a
// request that is not there yet, no other endpoint, no share left, a dry run.
#include "unit/stream/one_request.h"

#define GENEROUS "  retry: {budget: {percent: 100, minPerSecond: 100}}\n"
#define WITH(endpoints, more) PROXY SERVICE("HTTP1", endpoints) POLICY(IN_TURN more)
#define AFTER_100MS "  hedge: {after: Delay, delay: 100ms, percent: 100}\n"
#define THREE TWO ", {address: '127.0.0.1:8003'}"

static void the_first_answer_wins_and_the_other_is_cancelled(void **state) {
    (void)state;
    for (unsigned winner = 0; winner < 2; winner++) {
        struct loopback world;
        struct client client;
        begin(&world, &client, WITH(TWO, GENEROUS AFTER_100MS), "GET a /\n");
        loopback_pass(&world, 99 * NS_PER_MS);
        assert_int_equal(world.far.count, 1);
        loopback_pass(&world, 2 * NS_PER_MS);
        assert_int_equal(world.far.count, 2);
        assert_true(far_conn(&world.far, 0)->port != far_conn(&world.far, 1)->port);
        respond(&world, winner, 200, "content-length: 2\n", "ok");
        assert_int_equal(client.status, 200);
        assert_string_equal(client.body.at, "ok");
        assert_int_equal(world.record.attempts, 2);
        assert_string_equal(world.record.retried_for, "hedge");
        assert_string_equal(world.record.retried_by, "TrafficPolicy/default/a: hedge");
        const struct worker_metrics *metrics = &world.far.metrics;
        assert_int_equal(metric_read(&metrics->retries_for_hedge), 1);
        assert_int_equal(metric_read(&metrics->retries_ended_answered), winner);
        assert_int_equal(metric_read(&metrics->retries_ended_cancelled), 1 - winner);
        assert_int_equal(metric_read(&metrics->upstream_active), 1); // the other connection was cut: it has a request on it
        struct cluster *cluster = fake_upstream_cluster(&world.far, "default/a:80");
        for (unsigned i = 0; i < 2; i++)
            assert_int_equal(far_failures(cluster->endpoints[i]), 0);
        end(&world, &client);
    }
}

static void an_answer_in_time_needs_no_second(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    begin(&world, &client, WITH(TWO, GENEROUS AFTER_100MS), "GET a /\n");
    far_respond(far_conn(&world.far, 0), only_request(&world, 0), 200, "content-length: 2\n", "o", false);
    loopback_pass(&world, NS_PER_S); // its body takes long
    assert_int_equal(world.far.count, 1);
    far_body(far_conn(&world.far, 0), only_request(&world, 0), BYTES("k"), true);
    assert_int_equal(world.record.attempts, 1);
    end(&world, &client);
}

static void nobody_is_asked_twice_without_a_policy(void **state) {
    (void)state;
    static const char *const documents[] = {PROXY SERVICE("HTTP1", TWO), WITH(TWO, GENEROUS), WITH(TWO, "  hedge: {disabled: true}\n")};
    for (size_t i = 0; i < sizeof documents / sizeof documents[0]; i++) {
        struct loopback world;
        struct client client;
        begin(&world, &client, documents[i], "GET a /\n");
        loopback_pass(&world, 60 * NS_PER_S);
        assert_int_equal(world.far.count, 1);
        respond(&world, 0, 200, "", NULL);
        end(&world, &client);
    }
}

static void methods_that_may_not_be_repeated_are_not_hedged(void **state) {
    (void)state;
    static const char *const requests[] = {"POST a /\n", "PATCH a /\n", "LOCK a /\n"};
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        struct loopback world;
        struct client client;
        begin(&world, &client, WITH(TWO, GENEROUS AFTER_100MS), requests[i]);
        loopback_pass(&world, NS_PER_S);
        assert_int_equal(world.far.count, 1);
        respond(&world, 0, 200, "", NULL);
        end(&world, &client);
    }
}

static void a_request_is_hedged_once_all_of_it_is_there(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, WITH(TWO, GENEROUS AFTER_100MS), NULL);
    client_open(&client, &world, "PUT a /\n");
    client_send(&client, BYTES("first "), false);
    loopback_pass(&world, NS_PER_S);
    assert_int_equal(world.far.count, 1);
    client_send(&client, BYTES("second"), true);
    assert_int_equal(world.far.count, 2);
    assert_has(received(&world, 0), "second");
    assert_int_equal(only_request(&world, 1)->body.len, 12);
    assert_true(only_request(&world, 1)->ended);
    respond(&world, 1, 200, "", NULL);
    assert_int_equal(client.status, 200);
    assert_int_equal(client.consumed, 12);
    end(&world, &client);
}

static void what_was_not_kept_is_not_hedged(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, WITH(TWO, "  retry: {bufferBytes: 4}\n" AFTER_100MS), NULL);
    client_open(&client, &world, "PUT a /\n");
    client_send(&client, BYTES("12345"), true);
    loopback_pass(&world, NS_PER_S);
    assert_int_equal(world.far.count, 1);
    respond(&world, 0, 200, "", NULL);
    end(&world, &client);
}

static void without_another_endpoint_there_is_nobody_to_ask(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    begin(&world, &client, WITH(ONE, GENEROUS AFTER_100MS), "GET a /\n");
    loopback_pass(&world, NS_PER_S);
    assert_int_equal(world.far.count, 1);
    assert_int_equal(metric_read(&world.far.metrics.hedges_refused_endpoint), 1);
    respond(&world, 0, 200, "", NULL);
    end(&world, &client);
}

static void as_many_as_the_policy_says_are_asked(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    begin(&world, &client, WITH(THREE, GENEROUS "  hedge: {after: Delay, delay: 100ms, percent: 100, max: 2}\n"), "GET a /\n");
    struct retry_budget_rule share = {.percent = 100, .interval = 10 * NS_PER_S};
    for (int i = 0; i < 9; i++) // one request alone has a share of one
        retry_budget_deposit(&fake_upstream_cluster(&world.far, "default/a:80")->shared->hedges, &share, world.far.check.loop.now);
    loopback_pass(&world, 101 * NS_PER_MS);
    assert_int_equal(world.far.count, 2);
    loopback_pass(&world, 102 * NS_PER_MS);
    assert_int_equal(world.far.count, 3);
    loopback_pass(&world, NS_PER_S);
    assert_int_equal(world.far.count, 3);
    respond(&world, 2, 200, "", NULL);
    assert_string_equal(world.record.retried_for, "hedge,hedge");
    assert_string_equal(world.record.retried_by, "TrafficPolicy/default/a: hedge");
    end(&world, &client);
}

// They are no retries: the policy's attempts are still there.
static void a_hedge_is_none_of_the_attempts(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    begin(&world, &client, WITH(THREE, "  retry: {attempts: 1, conditions: [Reset], budget: {percent: 100, minPerSecond: 100}}\n" AFTER_100MS),
          "GET a /\n");
    loopback_pass(&world, 101 * NS_PER_MS);
    far_break(far_conn(&world.far, 0));
    assert_int_equal(world.far.count, 2);
    far_break(far_conn(&world.far, 1));
    assert_int_equal(world.far.count, 3);
    respond(&world, 2, 200, "", NULL);
    assert_int_equal(client.status, 200);
    assert_string_equal(world.record.retried_for, "hedge,reset");
    assert_string_equal(world.record.retried_by, "TrafficPolicy/default/a: hedge, TrafficPolicy/default/a: retry");
    end(&world, &client);
}

// One request after the other that is slow; how many were hedged.
static unsigned hedge_many(const char *documents, unsigned count) {
    struct loopback world;
    loopback_init(&world, documents, NULL);
    for (unsigned i = 0; i < count; i++) {
        struct client client;
        client_get(&client, &world, "GET a /\n");
        loopback_pass(&world, 11 * NS_PER_MS);
        for (struct far_conn *conn = world.far.conns; conn != NULL && !client.done; conn = conn->next) {
            if (!conn->speaks || conn->told_end || conn->server.count == 0)
                continue;
            struct owner_stream *request = far_request(conn, conn->server.count - 1);
            if (request->stream.sent < PROGRESS_ENDED && !request->has_failed)
                far_respond(conn, request, 204, "", NULL, true);
        }
        assert_int_equal(client.status, 204);
        client_dispose(&client);
    }
    unsigned hedged = (unsigned)metric_read(&world.far.metrics.retries_for_hedge);
    assert_int_equal(metric_read(&world.far.metrics.hedges_refused_percent) + metric_read(&world.far.metrics.hedges_refused_budget) +
                         metric_read(&world.far.metrics.hedges_dry_run) + hedged,
                     count);
    loopback_dispose(&world);
    return hedged;
}

#define SHARE(percent, budget, more)                                                                              \
    WITH(TWO, "  retry: {budget: {percent: " budget ", interval: 1h, minPerSecond: 0}}\n  hedge: {after: Delay, " \
              "delay: 10ms, percent: " percent more "}\n")

static void only_a_share_is_hedged_and_inside_the_retry_budget(void **state) {
    (void)state;
    assert_int_equal(hedge_many(SHARE("5", "100", ""), 100), 5);
    assert_int_equal(hedge_many(SHARE("100", "20", ""), 100), 20);
    assert_int_equal(hedge_many(SHARE("50", "100", ", mode: DryRun"), 100), 0);
}

static void the_time_is_learnt_from_answers(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, WITH(TWO, GENEROUS "  hedge: {after: P95, percent: 100}\n"), NULL);
    struct answer_times *times = &fake_upstream_cluster(&world.far, "default/a:80")->answer_times;
    client_get(&client, &world, "GET a /\n");
    loopback_pass(&world, 60 * NS_PER_S); // nothing is known of it
    assert_int_equal(world.far.count, 1);
    respond(&world, 0, 204, "", NULL);
    assert_int_equal(times->total, 1);
    client_dispose(&client);
    for (int i = 0; i < 200; i++)
        answer_times_add(times, 100 * NS_PER_MS);
    nanoseconds usual = answer_times_percentile(times, 95);
    client_get(&client, &world, "GET a /\n");
    loopback_pass(&world, usual - 2 * NS_PER_MS);
    assert_int_equal(metric_read(&world.far.metrics.retries_for_hedge), 0);
    loopback_pass(&world, 4 * NS_PER_MS);
    assert_int_equal(metric_read(&world.far.metrics.retries_for_hedge), 1);
    client_fail(&client, ERROR_CLIENT_GONE);
    end(&world, &client);
}

static void a_client_that_goes_cancels_both(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    begin(&world, &client, WITH(TWO, GENEROUS AFTER_100MS), "GET a /\n");
    loopback_pass(&world, 101 * NS_PER_MS);
    assert_int_equal(world.far.count, 2);
    client_fail(&client, ERROR_CLIENT_GONE);
    assert_int_equal(metric_read(&world.far.metrics.retries_ended_cancelled), 1);
    assert_int_equal(metric_read(&world.far.metrics.upstream_active), 0);
    end(&world, &client);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_answer_wins_and_the_other_is_cancelled),
        cmocka_unit_test(an_answer_in_time_needs_no_second),
        cmocka_unit_test(nobody_is_asked_twice_without_a_policy),
        cmocka_unit_test(methods_that_may_not_be_repeated_are_not_hedged),
        cmocka_unit_test(a_request_is_hedged_once_all_of_it_is_there),
        cmocka_unit_test(what_was_not_kept_is_not_hedged),
        cmocka_unit_test(without_another_endpoint_there_is_nobody_to_ask),
        cmocka_unit_test(as_many_as_the_policy_says_are_asked),
        cmocka_unit_test(a_hedge_is_none_of_the_attempts),
        cmocka_unit_test(only_a_share_is_hedged_and_inside_the_retry_budget),
        cmocka_unit_test(the_time_is_learnt_from_answers),
        cmocka_unit_test(a_client_that_goes_cancels_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
