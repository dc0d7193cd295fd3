// Endpoints of services with healthCheck are asked at their interval, each over a connection of its own; so many failures in a row make one unhealthy for all workers, so many good answers healthy
// again. A reload keeps what is known and whose turn it is; so many at a time and no more; what is asked counts for nobody's bounds and budgets.
#include "unit/upstream/pool_drive.h"

#include "upstream/health_checker.h"

#include <stdio.h>

#define KEY "default/a:80"
#define TWO "{address: '127.0.0.1:8001'}, {address: '127.0.0.1:8002'}"
#define WITH(protocol, endpoints, check) \
    PROXY_DOCUMENT SERVICE_DOCUMENT("a", protocol, endpoints) POLICY_DOCUMENT("a", "  loadBalancer: {type: Random}\n  healthCheck: " check "\n")
#define USUAL "{path: /health, interval: 1s, timeout: 200ms, unhealthyAfter: 3, healthyAfter: 2}"
#define PORTS 10

struct world {
    struct fake_upstream far;
    struct health_checker *checker;
    unsigned status[PORTS]; // by the last digit of the port; 0: no answer
    const char *grpc[PORTS];
    unsigned asked[PORTS];
    unsigned seen; // connections, those before are over
};

static void world_apply(struct world *world, const char *documents) {
    fake_upstream_apply(&world->far, documents);
    health_checker_apply(world->checker, world->far.snapshot);
}

static void world_init(struct world *world, const char *documents) {
    *world = (struct world){0};
    for (int i = 0; i < PORTS; i++)
        world->status[i] = 200;
    fake_upstream_init(&world->far, documents);
    world->checker = health_checker_create(&world->far.check.loop, world->far.shared);
    health_checker_upstream(world->checker)->connect = world->far.upstream.connect;
    health_checker_apply(world->checker, world->far.snapshot);
}

static void world_dispose(struct world *world) {
    health_checker_close(world->checker);
    fake_upstream_settle(&world->far);
    health_checker_destroy(world->checker);
    fake_upstream_dispose(&world->far);
}

static void answer(struct world *world, struct far_conn *conn, struct owner_stream *request) {
    const unsigned port = conn->port % 10;
    world->asked[port]++;
    if (world->grpc[port] != NULL) {
        const bool serves = strcmp(world->grpc[port], "SERVING") == 0,
                   refuses = strcmp(world->grpc[port], "SERVING") != 0 && world->grpc[port][0] == '1';
        assert_true(bytes_equal(request->stream.head.path, BYTES("/grpc.health.v1.Health/Check")));
        if (refuses) {
            char fields[64];
            snprintf(fields, sizeof fields, "content-type: application/grpc\ngrpc-status: %s\n", world->grpc[port]);
            far_respond(conn, request, 200, fields, NULL, true);
            return;
        }
        far_respond(conn, request, 200, "content-type: application/grpc\n", NULL, false);
        far_body(conn, request, serves ? bytes_from("\0\0\0\0\2\x08\x01", 7) : bytes_from("\0\0\0\0\2\x08\x02", 7), false);
        far_trailers(conn, request, "grpc-status: 0\n");
    } else if (world->status[port] != 0) {
        far_respond(conn, request, world->status[port], "", "well", true);
    }
}

// Time goes on, and servers answer within 10 ms.
static void pass(struct world *world, nanoseconds duration) {
    for (nanoseconds i = 0; i < duration; i += 10 * NS_PER_MS) {
        fake_upstream_pass(&world->far, 10 * NS_PER_MS);
        for (; world->seen < world->far.count && far_conn(&world->far, world->seen)->speaks; world->seen++) {
            struct far_conn *conn = far_conn(&world->far, world->seen);
            if (conn->server.count > 0)
                answer(world, conn, far_request(conn, 0));
        }
    }
}

static bool is_healthy(struct world *world, unsigned position) {
    struct cluster *cluster = fake_upstream_cluster(&world->far, KEY);
    cluster_pick(cluster, NULL, 0, NULL);
    return (cluster->endpoints[position]->unavailable & UNAVAILABLE_UNHEALTHY) == 0;
}

static void a_dead_replica_is_taken_out_and_comes_back(void **state) {
    (void)state;
    struct world world;
    world_init(&world, WITH("HTTP1", TWO, USUAL));
    struct cluster *cluster = fake_upstream_cluster(&world.far, KEY);
    pass(&world, 10 * NS_PER_S);
    assert_in_range(world.asked[1], 9, 10);
    assert_in_range(world.asked[2], 9, 10);
    const struct owner_stream *request = far_request(far_conn(&world.far, 0), 0);
    assert_true(bytes_equal(request->stream.head.path, BYTES("/health")));
    assert_true(bytes_equal(request->stream.head.authority, BYTES("a")));
    assert_true(is_healthy(&world, 0) && is_healthy(&world, 1));
    world.status[1] = 503;
    pass(&world, 2 * NS_PER_S);
    assert_true(is_healthy(&world, 0)); // two failed
    pass(&world, NS_PER_S);
    assert_false(is_healthy(&world, 0));
    assert_true(is_healthy(&world, 1));
    assert_int_equal(cluster->shared->checks.unhealthy, 1);
    assert_int_equal(cluster->endpoints[0]->shared->health_for, 503);
    world.status[1] = 200;
    pass(&world, NS_PER_S);
    assert_false(is_healthy(&world, 0)); // one has passed
    pass(&world, NS_PER_S);
    assert_true(is_healthy(&world, 0));
    assert_int_equal(cluster->shared->checks.unhealthy, 0);
    assert_int_equal(cluster->shared->checks.became_unhealthy, 1);
    assert_int_equal(cluster->shared->checks.became_healthy, 1);
    assert_int_equal(cluster->shared->checks.failed, 3);
    // Nobody else's: no connection, no failure, no load.
    assert_int_equal(cluster->shared->connections, 0);
    assert_null(cluster->endpoints[0]->links);
    world_dispose(&world);
}

static void who_refuses_or_says_nothing_fails(void **state) {
    (void)state;
    struct world world;
    world_init(&world, WITH("HTTP1", TWO, USUAL));
    fake_upstream_port(&world.far, 1, FAR_REFUSE);
    world.status[2] = 0;
    pass(&world, 4 * NS_PER_S);
    struct cluster *cluster = fake_upstream_cluster(&world.far, KEY);
    assert_false(is_healthy(&world, 0));
    assert_false(is_healthy(&world, 1));
    assert_int_equal(cluster->endpoints[0]->shared->health_for, ERROR_CONNECT_REFUSED);
    assert_int_equal(cluster->endpoints[1]->shared->health_for, ERROR_TRY_TIMEOUT);
    world_dispose(&world);
}

// Of the endpoints the first is unhealthy.
static void make_unhealthy(struct world *world) {
    world->status[1] = 500;
    pass(world, 4 * NS_PER_S);
    assert_false(is_healthy(world, 0));
}

static void a_reload_keeps_what_is_known(void **state) {
    (void)state;
    struct world world;
    world_init(&world, WITH("HTTP1", TWO, USUAL));
    struct cluster *cluster = fake_upstream_cluster(&world.far, KEY);
    make_unhealthy(&world);
    const unsigned asked = world.asked[1];
    // However often documents are read: nobody is asked sooner or later for it.
    for (int i = 0; i < 20; i++) {
        world_apply(&world, WITH("HTTP1", TWO, USUAL));
        pass(&world, 100 * NS_PER_MS);
    }
    assert_in_range(world.asked[1] - asked, 1, 3);
    assert_false(is_healthy(&world, 0));
    world_apply(&world, WITH("HTTP1", TWO ", {address: '127.0.0.1:8003'}", USUAL));
    assert_false(is_healthy(&world, 0));
    pass(&world, 2 * NS_PER_S);
    assert_in_range(world.asked[3], 1, 2);
    // Other numbers hold from the next check on; one that is shorter is not waited for.
    world_apply(&world, WITH("HTTP1", TWO, "{path: /other, interval: 100ms, statuses: [500]}"));
    pass(&world, 300 * NS_PER_MS);
    assert_true(is_healthy(&world, 0));
    world.status[1] = 200;
    pass(&world, NS_PER_S);
    assert_false(is_healthy(&world, 0));
    // Without checks it is used again, and with new ones it is new.
    world_apply(&world, WITH("HTTP1", TWO, "{disabled: true}"));
    assert_true(is_healthy(&world, 0));
    assert_int_equal(cluster->shared->checks.unhealthy, 0);
    world_apply(&world, PROXY_DOCUMENT);
    world_apply(&world, WITH("HTTP1", TWO, USUAL));
    assert_true(is_healthy(&world, 0));
    world_dispose(&world);
}

static void grpc_servers_say_how_they_are(void **state) {
    (void)state;
    struct world world;
    world_init(&world, WITH("GRPC", TWO ", {address: '127.0.0.1:8003'}", "{type: GRPC, interval: 1s, unhealthyAfter: 2}"));
    world.grpc[1] = "SERVING";
    world.grpc[2] = "NOT_SERVING";
    world.grpc[3] = "12"; // UNIMPLEMENTED: it has no such service
    pass(&world, 3 * NS_PER_S);
    struct cluster *cluster = fake_upstream_cluster(&world.far, KEY);
    char why[CAUSE_TEXT_MAX];
    assert_true(is_healthy(&world, 0));
    assert_false(is_healthy(&world, 1));
    assert_false(is_healthy(&world, 2));
    cause_print(cluster->endpoints[1]->shared->health_for, why);
    assert_string_equal(why, "NOT_SERVING");
    cause_print(cluster->endpoints[2]->shared->health_for, why);
    assert_string_equal(why, "grpc-status 12");
    world_dispose(&world);
}

static void of_tcp_a_connection_is_enough(void **state) {
    (void)state;
    static const char *const protocols[] = {WITH("TCP", TWO, "{type: TCP, interval: 1s}"), WITH("HTTP1", TWO, "{type: TCP, interval: 1s}")};
    for (int i = 0; i < 2; i++) {
        struct world world;
        world_init(&world, protocols[i]);
        world.far.mode = FAR_RAW;
        fake_upstream_port(&world.far, 2, FAR_REFUSE);
        fake_upstream_pass(&world.far, 4 * NS_PER_S);
        assert_true(is_healthy(&world, 0));
        assert_false(is_healthy(&world, 1));
        assert_string_equal(far_sent(far_conn(&world.far, 0)), "");
        assert_in_range(fake_upstream_cluster(&world.far, KEY)->shared->checks.passed, 3, 4);
        world_dispose(&world);
    }
}

// That our own identity has not been read yet is no fault of the endpoints.
static void without_an_identity_nobody_is_judged(void **state) {
    (void)state;
    struct world world;
    world_init(&world, API "kind: Proxy\nmetadata: {name: p}\nspec:\n  identity: {certificate: a, privateKey: b, trustBundle: c}\n"
                           "  listeners: [{name: outbound, role: Outbound, address: '127.0.0.1:15001'}]\n---\n" API
                           "kind: ServiceEntry\nmetadata: {name: a}\nspec:\n  hosts: [a]\n  ports: [{name: http, port: 80}]\n"
                           "  tls: {mode: Mesh}\n  identities: ['spiffe://t/a']\n  endpoints: [" TWO
                           "]\n---\n" POLICY_DOCUMENT("a", "  healthCheck: " USUAL "\n"));
    fake_upstream_pass(&world.far, 10 * NS_PER_S);
    assert_int_equal(world.far.count, 0);
    assert_int_equal(fake_upstream_cluster(&world.far, KEY)->shared->checks.failed, 0);
    assert_true(is_healthy(&world, 0));
    world_dispose(&world);
}

#define BOUNDED(connections, check)                                                    \
    PROXY_DOCUMENT SERVICE_DOCUMENT("a", "HTTP1", TWO ", {address: '127.0.0.1:8003'}") \
        POLICY_DOCUMENT("a", "  loadBalancer: {type: Random}\n  connections: {" connections "}\n  healthCheck: " check "\n")

static void one_that_cannot_be_reached_takes_no_place_of_others(void **state) {
    (void)state;
    struct world world;
    world_init(&world, BOUNDED("maxPending: 1", "{interval: 1s, timeout: 900ms, unhealthyAfter: 2}"));
    fake_upstream_port(&world.far, 1, FAR_WAIT);
    fake_upstream_port(&world.far, 2, FAR_WAIT);
    for (int i = 0; i < 500; i++) {
        fake_upstream_pass(&world.far, 10 * NS_PER_MS);
        for (unsigned j = 0; j < world.far.count; j++) {
            struct far_conn *conn = far_conn(&world.far, j);
            if (conn->port == 8003 && conn->speaks && conn->server.last != NULL && conn->server.last->stream.sent == PROGRESS_HEAD &&
                conn->server.last->stream.codec != NULL)
                answer(&world, conn, conn->server.last);
        }
    }
    assert_false(is_healthy(&world, 0));
    assert_false(is_healthy(&world, 1));
    assert_true(is_healthy(&world, 2));
    assert_int_equal(fake_upstream_cluster(&world.far, KEY)->endpoints[2]->shared->health_for, 0);
    assert_int_equal(fake_upstream_cluster(&world.far, KEY)->endpoints[1]->shared->health_for, ERROR_CONNECT_TIMEOUT);
    world_dispose(&world);
}

static void each_check_has_a_connection_of_its_own(void **state) {
    (void)state;
    struct world world;
    world_init(&world, BOUNDED("connectTimeout: 30s", "{interval: 1s, timeout: 100ms}"));
    world.far.mode = FAR_WAIT;
    fake_upstream_pass(&world.far, 10 * NS_PER_S);
    assert_in_range(world.far.count, 27, 30);
    world_dispose(&world);
}

// No descriptor is left: that is our want.
static void what_we_lack_ourselves_is_no_failure(void **state) {
    (void)state;
    struct world world;
    world_init(&world, WITH("HTTP1", TWO, USUAL));
    world.far.mode = FAR_NO_SOCKET;
    pass(&world, 5 * NS_PER_S);
    assert_true(is_healthy(&world, 0));
    assert_int_equal(fake_upstream_cluster(&world.far, KEY)->shared->checks.failed, 0);
    world.far.mode = FAR_ACCEPT;
    pass(&world, 2 * NS_PER_S);
    assert_in_range(world.asked[1], 1, 2);
    assert_in_range(fake_upstream_cluster(&world.far, KEY)->shared->checks.passed, 2, 4);
    world_dispose(&world);
}

static void a_check_that_a_reload_cuts_off_is_made_up_for(void **state) {
    (void)state;
    struct world world;
    world_init(&world, WITH("HTTP1", ONE_ENDPOINT, "{interval: 60s, timeout: 5s}"));
    world.status[1] = 0;
    pass(&world, 2 * NS_PER_S);
    assert_int_equal(world.asked[1], 1);
    world.status[1] = 200;
    world_apply(&world, WITH("HTTP1", ONE_ENDPOINT, "{interval: 60s, timeout: 6s}"));
    pass(&world, 2 * NS_PER_S);
    assert_int_equal(world.asked[1], 2);
    assert_int_equal(fake_upstream_cluster(&world.far, KEY)->shared->checks.passed, 1);
    world_dispose(&world);
}

static void so_many_are_asked_at_a_time(void **state) {
    (void)state;
    struct world world;
    static char documents[16384];
    size_t length = (size_t)snprintf(documents, sizeof documents,
                                     PROXY_DOCUMENT API "kind: ServiceEntry\nmetadata: {name: a}\nspec:\n  hosts: [a]\n"
                                                        "  ports: [{name: http, port: 80, protocol: HTTP1}]\n  tls: {mode: None}\n  endpoints:\n");
    for (unsigned i = 0; i < 150; i++)
        length += (size_t)snprintf(documents + length, sizeof documents - length, "  - {address: '127.0.0.1:%u'}\n", 8000 + i);
    snprintf(documents + length, sizeof documents - length,
             "---\n" POLICY_DOCUMENT("a", "  connections: {connectTimeout: 5s}\n  healthCheck: {interval: 2s, timeout: 1500ms}\n"));
    world_init(&world, documents);
    world.far.mode = FAR_WAIT;
    fake_upstream_pass(&world.far, 1400 * NS_PER_MS);
    assert_int_equal(world.far.count, 64);
    fake_upstream_pass(&world.far, 1200 * NS_PER_MS); // those of the first second have timed out
    assert_int_equal(world.far.count, 128);
    health_checker_stop(world.checker);
    fake_upstream_pass(&world.far, 10 * NS_PER_S);
    assert_int_equal(world.far.count, 128);
    world_dispose(&world);
}

static void once_stopped_nobody_is_asked_and_what_is_known_stays(void **state) {
    (void)state;
    struct world world;
    world_init(&world, WITH("HTTP1", TWO, USUAL));
    make_unhealthy(&world);
    const unsigned asked = world.asked[2];
    health_checker_stop(world.checker);
    world_apply(&world, WITH("HTTP1", TWO ", {address: '127.0.0.1:8003'}", USUAL));
    pass(&world, 5 * NS_PER_S);
    assert_int_equal(world.asked[2], asked);
    assert_int_equal(world.asked[3], 0);
    assert_false(is_healthy(&world, 0));
    world_dispose(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dead_replica_is_taken_out_and_comes_back),
        cmocka_unit_test(who_refuses_or_says_nothing_fails),
        cmocka_unit_test(a_reload_keeps_what_is_known),
        cmocka_unit_test(grpc_servers_say_how_they_are),
        cmocka_unit_test(of_tcp_a_connection_is_enough),
        cmocka_unit_test(without_an_identity_nobody_is_judged),
        cmocka_unit_test(one_that_cannot_be_reached_takes_no_place_of_others),
        cmocka_unit_test(each_check_has_a_connection_of_its_own),
        cmocka_unit_test(what_we_lack_ourselves_is_no_failure),
        cmocka_unit_test(a_check_that_a_reload_cuts_off_is_made_up_for),
        cmocka_unit_test(so_many_are_asked_at_a_time),
        cmocka_unit_test(once_stopped_nobody_is_asked_and_what_is_known_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
