// What our own proxies refuse: final, whatever the policy would repeat, but for what did not reach an application; and that the application's connection broke there is
// no decision of the proxy, but what a reset is without one.
#include "upstream/upstream_conn.h"

#include "unit/stream/stream_drive.h"

static void assert_retries(struct loopback *world, unsigned retries) {
    assert_int_equal(retries_of(world), retries);
    assert_int_equal(world->record.attempts, retries + 1);
}

#define MESH_WITH(endpoints, groups) PROXY SERVICE("HTTP2", endpoints) POLICY("  loadBalancer: {type: PeakEWMA}\n" groups)
#define MESH(endpoints) MESH_WITH(endpoints, "")

// Brings connections to all endpoints into their pools; they count as of the mesh from then on.
static void warm_up_mesh(struct loopback *world, unsigned count) {
    struct cluster *cluster = fake_upstream_cluster(&world->far, "default/a:80");
    cluster->levels.panic_percent = 0;
    for (unsigned i = 0; i < count; i++) {
        struct client client;
        for (unsigned j = 0; j < count; j++)
            cluster_set_unavailable(cluster->endpoints[j], UNAVAILABLE_AVOIDED, i != j);
        client_get(&client, world, "GET a /warm\n");
        loopback_settle(world);
        respond(world, i, 204, "", NULL);
        client_dispose(&client);
    }
    for (unsigned i = 0; i < count; i++) {
        struct conn_pool *pool = &cluster->endpoints[i]->links->pools[POOL_HTTP2];
        assert_int_equal(pool->idle, 1);
        LIST_ENTRY(list_first(&pool->usable), struct upstream_conn, link)->mesh = true;
        cluster_set_unavailable(cluster->endpoints[i], UNAVAILABLE_AVOIDED, false);
    }
}

static void a_refusal_is_final_and_no_fast_answer_of_the_endpoint(void **state) {
    (void)state;
    static const struct {
        const char *reason;
        unsigned status;
        bool weighs;
    } refusals[] = {{"memory_limit", 503, true},     {"pool_full", 503, true}, {"upstream_reset", 502, true}, {"rate_limited", 429, true},
                    {"unauthenticated", 401, false}, {"unknown", 503, true},   {"unknown", 403, false},       {"no_memory", 503, true}};
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct loopback world;
        struct client client;
        char fields[64];
        loopback_init(&world, MESH(ONE), NULL);
        warm_up_mesh(&world, 1);
        snprintf(fields, sizeof fields, "outrigger-refused: %s\n", refusals[i].reason);
        client_get(&client, &world, "GET a /\n");
        loopback_settle(&world);
        struct far_conn *conn = far_conn(&world.far, 0);
        far_respond(conn, far_request(conn, 1), refusals[i].status, fields, NULL, true);
        assert_int_equal(client.status, refusals[i].status);
        assert_retries(&world, 0);
        const struct endpoint *endpoint = fake_upstream_cluster(&world.far, "default/a:80")->endpoints[0];
        assert_int_equal(endpoint->cost_is_penalty, refusals[i].weighs);
        assert_int_equal(endpoint->shared->outlier.failures, 0);
        assert_int_equal(far_failures(endpoint), 0);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

static void what_did_not_reach_an_application_is_tried_elsewhere(void **state) {
    (void)state;
    static const char *const refusals[] = {"outrigger-refused: draining\n", "outrigger-refused: connect_refused\n",
                                           "outrigger-refused: connect_timeout\n"};
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, MESH(TWO), NULL);
        warm_up_mesh(&world, 2);
        client_get(&client, &world, "POST a /\n");
        loopback_settle(&world);
        unsigned first = far_conn(&world.far, 0)->server.count == 2 ? 0 : 1;
        far_respond(far_conn(&world.far, first), far_request(far_conn(&world.far, first), 1), 503, refusals[i], NULL, true);
        struct far_conn *other = far_conn(&world.far, 1 - first);
        far_respond(other, far_request(other, 1), 200, "", NULL, true);
        assert_int_equal(client.status, 200);
        assert_retries(&world, 1);
        const struct endpoint *endpoint =
            fake_upstream_cluster(&world.far, "default/a:80")->endpoints[far_conn(&world.far, first)->port == 8001 ? 0 : 1];
        assert_true(endpoint->cost_ns >= NS_PER_S);
        assert_int_equal(far_failures(endpoint), 0); // it has answered: no breaker and no ejection may learn of it
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

// Nothing was processed there, and when that endpoint has room again is nothing to another one. Where there is none, what it says goes to the client.
static void a_full_bulkhead_is_asked_no_second_time_and_another_at_once(void **state) {
    (void)state;
    static const char *const refusals[] = {"outrigger-refused: bulkhead_full\nretry-after: 7\n",
                                           "outrigger-refused: queue_timeout\nretry-after: 7\n"};
    for (size_t i = 0; i < 4; i++) {
        struct loopback world;
        struct client client;
        const bool has_other = i < 2;
        loopback_init(&world, has_other ? MESH(TWO) : MESH(ONE), NULL);
        warm_up_mesh(&world, has_other ? 2 : 1);
        client_get(&client, &world, "POST a /\n");
        loopback_settle(&world);
        unsigned first = far_conn(&world.far, 0)->server.count == 2 ? 0 : 1;
        far_respond(far_conn(&world.far, first), far_request(far_conn(&world.far, first), 1), 503, refusals[i % 2], NULL, true);
        if (has_other) {
            struct far_conn *other = far_conn(&world.far, 1 - first);
            far_respond(other, far_request(other, 1), 200, "", NULL, true);
        }
        assert_int_equal(client.status, has_other ? 200 : 503);
        assert_retries(&world, has_other ? 1 : 0);
        if (!has_other)
            assert_string_equal(client_field(&client, "retry-after"), "7");
        const struct endpoint *endpoint =
            fake_upstream_cluster(&world.far, "default/a:80")->endpoints[far_conn(&world.far, first)->port == 8001 ? 0 : 1];
        assert_true(endpoint->cost_is_penalty);
        assert_int_equal(endpoint->shared->outlier.failures, 0);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

// Only inside mutual TLS is it ours.
static void a_stranger_refuses_nothing_in_our_name(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, PROXY SERVICE("HTTP2", TWO), NULL);
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    respond(&world, 0, 503, "outrigger-refused: draining\n", NULL);
    assert_int_equal(client.status, 503);
    assert_retries(&world, 0);
    client_dispose(&client);
    loopback_dispose(&world);
}

// A policy that repeats all that it can repeats no decision of the far proxy.
static void no_code_makes_a_decision_of_a_proxy_repeated(void **state) {
    (void)state;
    static const char *const refusals[] = {"memory_limit", "pool_full", "response_malformed", "request_timeout", "unknown", ""};
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct loopback world;
        struct client client;
        char fields[64];
        loopback_init(&world, MESH_WITH(TWO, "  retry: {conditions: [GatewayError, Reset, Timeout], codes: [503]}\n"), NULL);
        warm_up_mesh(&world, 2);
        snprintf(fields, sizeof fields, "outrigger-refused: %s\n", refusals[i]);
        client_get(&client, &world, "GET a /\n");
        loopback_settle(&world);
        unsigned first = far_conn(&world.far, 0)->server.count == 2 ? 0 : 1;
        far_respond(far_conn(&world.far, first), far_request(far_conn(&world.far, first), 1), 503, fields, NULL, true);
        assert_int_equal(client.status, 503);
        assert_retries(&world, 0);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

static void a_broken_connection_behind_the_far_proxy_is_a_reset(void **state) {
    (void)state;
    static const struct {
        const char *documents;
        const char *request;
        const char *reason; // NULL: not repeated
    } cases[] = {{MESH_WITH(TWO, "  retry: {conditions: [Reset]}\n"), "PUT a /\n", "reset"},
                 {MESH_WITH(TWO, "  retry: {conditions: [GatewayError]}\n"), "PUT a /\n", "gateway_error"},
                 {MESH_WITH(TWO, "  retry: {codes: [502]}\n"), "PUT a /\n", "code"},
                 {MESH_WITH(TWO, "  retry: {conditions: [Reset, GatewayError], codes: [502]}\n"), "POST a /\n", NULL},
                 {MESH(TWO), "PUT a /\n", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, cases[i].documents, NULL);
        warm_up_mesh(&world, 2);
        client_get(&client, &world, cases[i].request);
        loopback_settle(&world);
        unsigned first = far_conn(&world.far, 0)->server.count == 2 ? 0 : 1;
        far_respond(far_conn(&world.far, first), far_request(far_conn(&world.far, first), 1), 502, "outrigger-refused: upstream_reset\n", NULL, true);
        if (cases[i].reason != NULL) {
            struct far_conn *other = far_conn(&world.far, 1 - first);
            far_respond(other, far_request(other, 1), 200, "", NULL, true);
            assert_string_equal(world.record.retried_for, cases[i].reason);
        }
        assert_int_equal(client.status, cases[i].reason != NULL ? 200 : 502);
        assert_retries(&world, cases[i].reason != NULL ? 1 : 0);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refusal_is_final_and_no_fast_answer_of_the_endpoint),
        cmocka_unit_test(what_did_not_reach_an_application_is_tried_elsewhere),
        cmocka_unit_test(a_full_bulkhead_is_asked_no_second_time_and_another_at_once),
        cmocka_unit_test(a_stranger_refuses_nothing_in_our_name),
        cmocka_unit_test(no_code_makes_a_decision_of_a_proxy_repeated),
        cmocka_unit_test(a_broken_connection_behind_the_far_proxy_is_a_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
