// Circuit breakers of endpoints: which are picked while some are open, what becomes of requests when all are, and that another worker's word counts. Those of services, and what a
// failure is, are in unit/filters/breaker_test.c.
#include "stream/breaking.h"
#include "upstream/breaker_state.h"
#include "upstream/endpoint_breaker.h"

#include "support/quiet_log.h"
#include "unit/stream/stream_drive.h"

#define MINUTE (60 * NS_PER_S)
#define BREAKER(fields) "  circuitBreaker: {scope: Endpoint, openFor: 60s, " fields "}\n"
#define WITH_BALANCER(balancer, fields) PROXY SERVICE("HTTP2", TWO) POLICY(balancer BREAKER(fields) "  retry: {disabled: true}\n")
#define WITH(fields) WITH_BALANCER(IN_TURN, fields)
#define BAD 8001
#define GOOD 8002

static uint16_t port_asked(const struct client *client) {
    return client->stream->attempts->last->endpoint->address.port;
}

static struct far_conn *conn_to(struct loopback *world, uint16_t port) {
    for (unsigned i = world->far.count; i-- > 0;)
        if (far_conn(&world->far, i)->port == port)
            return far_conn(&world->far, i);
    fail_msg("no connection to %u", port);
    return NULL;
}

static void answer(struct loopback *world, uint16_t port, unsigned status) {
    struct far_conn *conn = conn_to(world, port);
    far_respond(conn, conn->server.last, status, "content-length: 0\n", "", true);
}

// Which endpoint it went to, which has answered: 500 from the bad one, unless all are fine; 0: none, and 503 from here.
static uint16_t ask(struct loopback *world, bool all_fine) {
    struct client client;
    client_get(&client, world, "GET a /\n");
    loopback_settle(world);
    const uint16_t port = client.done ? 0 : port_asked(&client);
    if (!client.done)
        answer(world, port, port == BAD && !all_fine ? 500 : 200);
    assert_int_equal(client.status, port == 0 ? 503 : port == BAD && !all_fine ? 500 : 200);
    client_dispose(&client);
    return port;
}

static unsigned asked_of_bad(struct loopback *world, unsigned times, bool all_fine) {
    unsigned count = 0;
    for (unsigned i = 0; i < times; i++)
        count += ask(world, all_fine) == BAD;
    return count;
}

static struct endpoint *endpoint_of(struct loopback *world, uint16_t port) {
    const struct cluster *cluster = fake_upstream_cluster(&world->far, "default/a:80");
    for (uint32_t i = 0; i < cluster->endpoint_count; i++)
        if (cluster->endpoints[i]->address.port == port)
            return cluster->endpoints[i];
    return NULL;
}

static struct breaker_state *breaker_of(struct loopback *world, uint16_t port) {
    return endpoint_of(world, port)->links->breaker;
}

static void others_are_picked_while_one_is_open(void **state) {
    (void)state;
    static const char *const balancers[] = {"  loadBalancer: {type: RoundRobin}\n", "  loadBalancer: {type: Random}\n",
                                            "  loadBalancer: {type: LeastRequest}\n",
                                            "  loadBalancer: {type: RingHash, key: [{type: Method}], boundedLoadPercent: 100}\n",
                                            "  loadBalancer: {type: Maglev, key: [{type: Header, name: x-none}]}\n"};
    for (size_t i = 0; i < sizeof balancers / sizeof balancers[0]; i++) {
        struct loopback world;
        char documents[4096];
        snprintf(documents, sizeof documents, "%s%s%s%s",
                 PROXY SERVICE("HTTP2", TWO) API "kind: TrafficPolicy\nmetadata: {name: a}\nspec:\n  targetRefs: [{kind: Service, name: a}]\n",
                 balancers[i], BREAKER("failureThreshold: 2"), "  retry: {disabled: true}\n");
        loopback_init(&world, documents, NULL);
        assert_in_range(asked_of_bad(&world, 100, false), 0, 2);
        assert_int_equal(asked_of_bad(&world, 100, false), 0);
        loopback_dispose(&world);
    }
}

static void a_probe_is_let_through_when_its_time_has_come(void **state) {
    (void)state;
    struct loopback world;
    struct client probe;
    loopback_init(&world, WITH("failureThreshold: 2"), NULL);
    assert_int_equal(asked_of_bad(&world, 20, false), 2);
    loopback_pass(&world, MINUTE);
    do {
        client_get(&probe, &world, "GET a /\n");
        loopback_settle(&world);
        if (port_asked(&probe) == BAD)
            break;
        answer(&world, GOOD, 200);
        client_dispose(&probe);
    } while (true);
    assert_int_equal(asked_of_bad(&world, 10, true), 0); // beside the probe
    answer(&world, BAD, 200);
    client_dispose(&probe);
    assert_int_equal(asked_of_bad(&world, 10, true), 5);
    loopback_dispose(&world);
}

static void when_all_are_open_requests_are_refused(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, WITH("failureThreshold: 1"), NULL); // panicPercent is 50, and is of no use here
    for (int i = 0; i < 2; i++) {
        client_get(&client, &world, "GET a /\n");
        loopback_settle(&world);
        answer(&world, port_asked(&client), 500);
        client_dispose(&client);
        loopback_pass(&world, 10 * NS_PER_S);
    }
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    assert_int_equal(client.status, 503);
    assert_int_equal(world.record.end, ERROR_BREAKER_OPEN);
    assert_string_equal(client_field(&client, "retry-after"), "40"); // of the first that may be asked
    assert_string_equal(world.record.policy, "TrafficPolicy/default/a: circuitBreaker");
    assert_has(client_field(&client, "proxy-status"), "breaker_open; TrafficPolicy/default/a: circuitBreaker");
    client_dispose(&client);
    const unsigned refusals = (unsigned)(breaker_of(&world, BAD)->state.refusals + breaker_of(&world, GOOD)->state.refusals);
    assert_int_equal(refusals, 1);
    loopback_pass(&world, 40 * NS_PER_S);
    assert_int_not_equal(ask(&world, true), 0);
    loopback_dispose(&world);
}

static void beside_probes_of_all_one_is_told_to_come_soon(void **state) {
    (void)state;
    struct loopback world;
    struct client clients[2], client;
    loopback_init(&world, WITH("failureThreshold: 1"), NULL);
    for (int i = 0; i < 2; i++) {
        client_get(&client, &world, "GET a /\n");
        loopback_settle(&world);
        answer(&world, port_asked(&client), 500);
        client_dispose(&client);
    }
    loopback_pass(&world, MINUTE);
    for (int i = 0; i < 2; i++) {
        client_get(&clients[i], &world, "GET a /\n");
        loopback_settle(&world);
    }
    assert_int_not_equal(port_asked(&clients[0]), port_asked(&clients[1]));
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    assert_string_equal(client_field(&client, "retry-after"), "1");
    client_dispose(&client);
    client_fail(&clients[0], ERROR_CLIENT_GONE); // its probe goes to the next
    assert_int_not_equal(ask(&world, true), 0);
    client_fail(&clients[1], ERROR_CLIENT_GONE);
    client_dispose(&clients[0]);
    client_dispose(&clients[1]);
    loopback_dispose(&world);
}

static void a_retry_goes_where_it_may(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(
        &world,
        PROXY SERVICE("HTTP2", TWO) POLICY(IN_TURN BREAKER(
            "failureThreshold: 1") "  retry: {attempts: 3, codes: [500], backoff: {base: 0s}, budget: {percent: 100, minPerSecond: 100}}\n"),
        NULL);
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    const uint16_t first = port_asked(&client);
    answer(&world, first, 500);
    assert_int_equal(client.status, 0);
    assert_int_not_equal(port_asked(&client), first);
    answer(&world, port_asked(&client), 500);
    assert_int_equal(client.status, 500); // there is no third: the last answer goes down
    assert_int_equal(world.record.end, OK);
    client_dispose(&client);
    loopback_dispose(&world);
}

// What another worker would do.
static void break_elsewhere(struct breaker_state *breaker, struct loopback *world) {
    uint64_t generation;
    nanoseconds wait;
    assert_int_equal(circuit_breaker_begin(breaker->breaker, world->env.loop->now, &generation, &wait), CIRCUIT_PASSES);
    assert_true(circuit_breaker_settle(breaker->breaker, generation, CIRCUIT_FAILED, 0, world->env.loop->now, &world->env.loop->rng));
}

static void what_another_worker_has_broken_is_not_picked(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, WITH("failureThreshold: 1"), NULL);
    assert_int_equal(asked_of_bad(&world, 10, true), 5);
    break_elsewhere(breaker_of(&world, BAD), &world);
    endpoint_breakers_changed(endpoint_of(&world, BAD));
    assert_int_equal(asked_of_bad(&world, 10, true), 0);
    loopback_pass(&world, MINUTE);
    assert_in_range(asked_of_bad(&world, 10, true), 4, 5);
    loopback_dispose(&world);
}

static void it_is_so_before_this_worker_has_asked_it(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, WITH("failureThreshold: 1"), NULL);
    const struct cluster *cluster = fake_upstream_cluster(&world.far, "default/a:80");
    struct breaker_state *elsewhere = breaker_state_get(world.states.live, &cluster->traffic.circuit_breaker, BYTES("TrafficPolicy/default/a"),
                                                        BYTES("default/a:80 127.0.0.1:8001"));
    break_elsewhere(elsewhere, &world);
    assert_int_equal(asked_of_bad(&world, 10, true), 0);
    policy_state_release(&elsewhere->state);
    loopback_dispose(&world);
}

static void a_dry_run_picks_as_ever(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, WITH("failureThreshold: 1, mode: DryRun"), NULL);
    assert_int_equal(asked_of_bad(&world, 10, false), 5);
    while (ask(&world, false) != BAD)
        ;
    assert_string_equal(world.record.dry_run, "TrafficPolicy/default/a: circuitBreaker: breaker_open");
    assert_int_equal(breaker_of(&world, BAD)->state.refusals, 5);
    loopback_dispose(&world);
}

static void documents_may_change(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, WITH("failureThreshold: 1"), NULL);
    assert_int_equal(asked_of_bad(&world, 10, false), 1);
    loopback_apply(&world, WITH("failureThreshold: 3, jitterPercent: 10"));
    assert_int_equal(asked_of_bad(&world, 10, false), 0); // kept
    loopback_apply(&world, WITH("failureThreshold: 3, window: 20s"));
    assert_int_equal(asked_of_bad(&world, 10, false), 3); // another one
    loopback_apply(&world, PROXY SERVICE("HTTP2", TWO) POLICY(IN_TURN));
    assert_int_equal(asked_of_bad(&world, 10, false), 5);
    assert_null(breaker_of(&world, BAD));
    loopback_apply(&world, WITH("failureThreshold: 1"));
    assert_int_equal(asked_of_bad(&world, 10, false), 1);
    loopback_apply(&world, PROXY SERVICE("HTTP2", "{address: '127.0.0.1:8001'}") POLICY(IN_TURN BREAKER("failureThreshold: 1")));
    assert_int_equal(ask(&world, true), 0); // the only one
    loopback_dispose(&world);
}

// ---- wherever it is cut

#define SEEDS 1000

static void look(struct policy_state *state, void *user) {
    const struct loopback *world = user;
    assert_false(circuit_breaker_look(state->type->breaker(state), world->env.loop->now).refuses);
}

static void cut(struct loopback *world, struct client *client, struct rng *rng) {
    switch (rng_below(rng, 6)) {
    case 0:
        client_fail(client, ERROR_CLIENT_GONE);
        break;
    case 1:
        if (world->far.count > 0)
            far_break(far_conn(&world->far, world->far.count - 1));
        break;
    case 2:
        loopback_pass(world, rng_below(rng, 40) * NS_PER_S);
        break;
    case 3:
        loopback_apply(world, rng_below(rng, 2) == 0 ? WITH("failureThreshold: 1, halfOpenRequests: 2")
                                                     : PROXY SERVICE("HTTP2", ONE) POLICY(BREAKER("failureThreshold: 1")));
        break;
    case 4:
        world->far.mode = rng_below(rng, 2) == 0 ? FAR_REFUSE : FAR_ACCEPT;
        break;
    default:
        if (!client->done && client->stream->attempts->last->state == ATTEMPT_SENT && conn_to(world, port_asked(client))->speaks)
            answer(world, port_asked(client), rng_below(rng, 2) == 0 ? 200 : 500);
        break;
    }
}

static void wherever_it_is_cut_no_probe_is_lost(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct loopback world;
        struct rng rng;
        rng_init(&rng, seed);
        loopback_init(&world, WITH("failureThreshold: 1"), NULL);
        for (int i = 0; i < 8; i++) {
            struct client client;
            client_get(&client, &world, "GET a /\n");
            loopback_settle(&world);
            for (int step = 0; step < 3 && !client.done; step++)
                cut(&world, &client, &rng);
            client_fail(&client, ERROR_CLIENT_GONE);
            client_dispose(&client);
        }
        loopback_pass(&world, 2 * MINUTE);
        policy_state_figures(world.states.live, look, &world, &(struct policy_totals){0});
        loopback_dispose(&world);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_are_picked_while_one_is_open),
        cmocka_unit_test(a_probe_is_let_through_when_its_time_has_come),
        cmocka_unit_test(when_all_are_open_requests_are_refused),
        cmocka_unit_test(beside_probes_of_all_one_is_told_to_come_soon),
        cmocka_unit_test(a_retry_goes_where_it_may),
        cmocka_unit_test(what_another_worker_has_broken_is_not_picked),
        cmocka_unit_test(it_is_so_before_this_worker_has_asked_it),
        cmocka_unit_test(a_dry_run_picks_as_ever),
        cmocka_unit_test(documents_may_change),
        cmocka_unit_test(wherever_it_is_cut_no_probe_is_lost),
    };
    return cmocka_run_group_tests(tests, be_quiet, NULL);
}
