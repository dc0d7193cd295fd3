// FaultPolicy on the way out: who is delayed and who is answered with an error, how often, and that nothing is left of a request that does not wait to the end.
#include "filters/registry.h"

#include "unit/stream/stream_drive.h"

#define FAULTS(more, rules) \
    API "kind: FaultPolicy\nmetadata: {name: f}\nspec:\n  targetRefs: [{kind: Service, name: a}]\n" more "  rules:\n" rules "---\n"
#define WITH(rules) PROXY SERVICE("HTTP2", ONE) FAULTS("", rules)

// What came of one request; `answered`: the server was asked.
struct outcome {
    unsigned status;
    bool was_asked;
};

static struct outcome ask(struct loopback *world, const char *request) {
    struct client client;
    client_ask(&client, world, request);
    struct outcome outcome = {.was_asked = world->far.count > 0 && !client.done};
    if (outcome.was_asked) {
        struct far_conn *conn = far_conn(&world->far, 0);
        far_respond(conn, conn->server.last, 200, "content-length: 0\n", "", true);
    }
    outcome.status = client.status;
    client_dispose(&client);
    return outcome;
}

static void an_abort_is_the_answer_and_nobody_is_asked(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, WITH("  - {name: down, abort: {status: 418}}\n"), filter_types);
    const struct outcome outcome = ask(&world, "GET a /\n");
    assert_int_equal(outcome.status, 418);
    assert_false(outcome.was_asked);
    assert_int_equal(world.record.end, ERROR_FAULT);
    assert_string_equal(world.record.policy, "FaultPolicy/default/f: down");
    loopback_dispose(&world);
}

static void a_call_of_grpc_gets_a_code_of_its_own(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, WITH("  - {name: down, abort: {grpcStatus: DATA_LOSS}}\n"), filter_types);
    client_ask(&client, &world, "POST a /x/y\ncontent-type: application/grpc\nte: trailers\n");
    assert_int_equal(client.status, 200);
    assert_string_equal(client_field(&client, "grpc-status"), "15");
    client_dispose(&client);
    assert_int_equal(ask(&world, "GET a /\n").status, 503);
    loopback_dispose(&world);
}

static void a_delay_is_as_long_as_it_says(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, WITH("  - {name: slow, delay: {fixed: 2s}}\n"), filter_types);
    client_get(&client, &world, "GET a /\n");
    loopback_pass(&world, 2 * NS_PER_S - NS_PER_MS);
    assert_int_equal(world.far.count, 0);
    loopback_pass(&world, 2 * NS_PER_MS);
    assert_int_equal(world.far.count, 1);
    respond(&world, 0, 200, "content-length: 0\n", "");
    assert_int_equal(client.status, 200);
    assert_string_equal(world.record.delayed, "FaultPolicy/default/f: slow");
    client_dispose(&client);
    loopback_dispose(&world);
}

static void an_abort_comes_behind_the_delay(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, WITH("  - {name: both, delay: {fixed: 1s}, abort: {status: 500}}\n"), filter_types);
    client_ask(&client, &world, "GET a /\n");
    assert_int_equal(client.status, 0);
    loopback_pass(&world, NS_PER_S + NS_PER_MS);
    assert_int_equal(client.status, 500);
    assert_int_equal(world.far.count, 0);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void who_goes_while_it_waits_is_gone(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, WITH("  - {name: slow, delay: {fixed: 2s}}\n"), filter_types);
    client_ask(&client, &world, "GET a /\n");
    client_fail(&client, ERROR_CLIENT_GONE);
    assert_int_equal(world.record.end, ERROR_CLIENT_GONE);
    client_dispose(&client);
    loopback_pass(&world, 3 * NS_PER_S);
    assert_int_equal(world.far.count, 0);
    loopback_dispose(&world);
}

static void time_runs_out_in_a_delay_too(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, WITH("  - {name: slow, delay: {fixed: 2s}}\n") POLICY("  timeouts: {request: 1s}\n"), filter_types);
    client_get(&client, &world, "GET a /\n");
    loopback_pass(&world, NS_PER_S + NS_PER_MS);
    assert_int_equal(client.status, 504);
    assert_int_equal(world.record.end, ERROR_REQUEST_TIMEOUT);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void documents_may_change_while_it_waits(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, WITH("  - {name: slow, delay: {fixed: 2s}}\n"), filter_types);
    client_ask(&client, &world, "GET a /\n");
    loopback_apply(&world, PROXY SERVICE("HTTP2", ONE));
    loopback_pass(&world, 3 * NS_PER_S);
    respond(&world, 0, 200, "content-length: 0\n", "");
    assert_int_equal(client.status, 200);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void the_first_rule_for_a_request_counts(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world,
                  WITH("  - {name: a, matches: [{path: {value: /a}}, {method: POST}], abort: {status: 401}}\n"
                       "  - {name: b, matches: [{path: {value: /a/b}}, {headers: [{name: x-try, value: 'yes'}]}], abort: {status: 402}}\n"),
                  filter_types);
    assert_int_equal(ask(&world, "GET a /a\n").status, 401);
    assert_int_equal(ask(&world, "GET a /a/b\n").status, 401);
    assert_int_equal(ask(&world, "POST a /x\ncontent-length: 0\n").status, 401);
    assert_int_equal(ask(&world, "GET a /x\nx-try: yes\n").status, 402);
    assert_int_equal(ask(&world, "GET a /ab\n").status, 200);
    loopback_dispose(&world);
}

static void as_many_are_hit_as_the_policy_says(void **state) {
    (void)state;
    struct loopback world;
    unsigned hit = 0;
    loopback_init(&world, WITH("  - {name: some, abort: {percent: 20}}\n"), filter_types);
    for (int i = 0; i < 2000; i++)
        hit += ask(&world, "GET a /\n").status == 503;
    assert_in_range(hit, 320, 480); // 400, and over four standard deviations to either side
    loopback_dispose(&world);
}

static void a_dry_run_harms_nobody(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, PROXY SERVICE("HTTP2", ONE) FAULTS("  mode: DryRun\n", "  - {name: both, delay: {fixed: 1h}, abort: {}}\n"), filter_types);
    const struct outcome outcome = ask(&world, "GET a /\n");
    assert_int_equal(outcome.status, 200);
    assert_string_equal(world.record.dry_run, "FaultPolicy/default/f: both: delay, FaultPolicy/default/f: both: fault");
    assert_string_equal(world.record.delayed, "");
    loopback_dispose(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_abort_is_the_answer_and_nobody_is_asked),
        cmocka_unit_test(a_call_of_grpc_gets_a_code_of_its_own),
        cmocka_unit_test(a_delay_is_as_long_as_it_says),
        cmocka_unit_test(an_abort_comes_behind_the_delay),
        cmocka_unit_test(who_goes_while_it_waits_is_gone),
        cmocka_unit_test(time_runs_out_in_a_delay_too),
        cmocka_unit_test(documents_may_change_while_it_waits),
        cmocka_unit_test(the_first_rule_for_a_request_counts),
        cmocka_unit_test(as_many_are_hit_as_the_policy_says),
        cmocka_unit_test(a_dry_run_harms_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
