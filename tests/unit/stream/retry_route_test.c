// The retry stanza of an HTTPRoute's rule: what is tried again, when, and whose rule it was.
#include "unit/stream/one_request.h"

#define ROUTE(retry)                                                                          \
    "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec:\n" \
    "  parentRefs: [{group: '', kind: Service, name: a}]\n  rules:\n  - {name: one, backendRefs: [{name: a}], retry: {" retry "}}\n---\n"
#define WORLD(retry) PROXY SERVICE("HTTP1", ONE) POLICY("  retry: {attempts: 0}\n") ROUTE(retry)

// Jitter comes on top of the least: never before it, and with the policy's bound never 250 ms behind it.
static void a_further_try_waits_at_least_for_the_backoff(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    begin(&world, &client, WORLD("codes: [503], backoff: 2s"), "GET a /\n");
    respond(&world, 0, 503, "content-length: 0\n", "");
    loopback_pass(&world, 1999 * NS_PER_MS);
    assert_int_equal(world.far.count, 1);
    assert_int_equal(far_conn(&world.far, 0)->server.count, 1);
    loopback_pass(&world, 300 * NS_PER_MS);
    far_respond(far_conn(&world.far, 0), far_request(far_conn(&world.far, 0), 1), 200, "content-length: 2\n", "ok", true);
    assert_int_equal(client.status, 200);
    assert_int_equal(world.record.attempts, 2);
    assert_string_equal(world.record.retried_for, "code");
    assert_string_equal(world.record.retried_by, "HTTPRoute/default/r: one: retry");
    end(&world, &client);
}

static void what_broke_is_tried_again_where_its_method_allows_it(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    begin(&world, &client, WORLD("attempts: 1"), "GET a /\n");
    far_break(far_conn(&world.far, 0));
    loopback_pass(&world, NS_PER_S);
    assert_int_equal(world.far.count, 2);
    respond(&world, 1, 200, "content-length: 0\n", "");
    assert_int_equal(client.status, 200);
    assert_string_equal(world.record.retried_for, "reset");
    end(&world, &client);
    begin(&world, &client, WORLD("attempts: 1"), "POST a /\n");
    far_break(far_conn(&world.far, 0));
    loopback_pass(&world, NS_PER_S);
    assert_int_equal(client.status, 502);
    assert_string_equal(world.record.retry_refused, "method");
    end(&world, &client);
}

static void a_stanza_with_no_attempts_tries_once(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    begin(&world, &client, WORLD("attempts: 0, codes: [503]"), "GET a /\n");
    respond(&world, 0, 503, "content-length: 0\n", "");
    assert_int_equal(client.status, 503);
    assert_int_equal(world.record.attempts, 1);
    end(&world, &client);
}

// The budget is the policy's; that there was a retry to refuse is the rule's.
static void the_log_names_the_rule(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    begin(&world, &client, PROXY SERVICE("HTTP1", ONE) POLICY("  retry: {budget: {percent: 0, minPerSecond: 0}}\n") ROUTE("attempts: 1"),
          "GET a /\n");
    far_break(far_conn(&world.far, 0));
    assert_int_equal(client.status, 502);
    assert_string_equal(world.record.retry_refused, "budget");
    assert_string_equal(world.record.policy, "HTTPRoute/default/r: one: retry.budget");
    end(&world, &client);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_further_try_waits_at_least_for_the_backoff),
        cmocka_unit_test(what_broke_is_tried_again_where_its_method_allows_it),
        cmocka_unit_test(a_stanza_with_no_attempts_tries_once),
        cmocka_unit_test(the_log_names_the_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
