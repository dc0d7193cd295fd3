// An endpoint that cannot be connected to refuses quickly: by its load alone it would be picked most. It is left alone for a while, or until it is seen to be back.
#include "unit/stream/stream_drive.h"

#define DOCUMENTS PROXY SERVICE("HTTP1", TWO) POLICY("  loadBalancer: {type: PeakEWMA}\n")

// Answers the newest request on the newest connection that was made to that port.
static void answer_newest(struct loopback *world, uint16_t port) {
    unsigned position = world->far.count - 1;
    while (far_conn(&world->far, position)->port != port || !far_conn(&world->far, position)->speaks)
        position--;
    struct far_conn *conn = far_conn(&world->far, position);
    struct owner_stream *last = far_request(conn, 0);
    while (last->next != NULL)
        last = last->next;
    far_respond(conn, last, 204, "", NULL, true);
}

static void an_endpoint_that_refused_is_left_alone_for_a_while(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, DOCUMENTS, NULL);
    struct cluster *cluster = fake_upstream_cluster(&world.far, "default/a:80");
    fake_upstream_port(&world.far, 1, FAR_REFUSE);
    unsigned refused[2] = {0};
    for (unsigned second = 0; second < 2; second++) {
        for (unsigned i = 0; i < 100; i++) {
            struct client client;
            unsigned before = (unsigned)far_failures(cluster->endpoints[0]);
            cluster->endpoints[0]->cost_at = 0;       // not measured: load alone counts,
            cluster->endpoints[1]->in_flight += 1000; // and one that refuses at once has none
            client_get(&client, &world, "GET a /\n");
            loopback_settle(&world);
            cluster->endpoints[1]->in_flight -= 1000;
            answer_newest(&world, 8002);
            assert_int_equal(client.status, 204);
            client_dispose(&client);
            refused[second] += (unsigned)far_failures(cluster->endpoints[0]) - before;
        }
        loopback_pass(&world, NS_PER_S);
    }
    assert_in_range(refused[0], 1, 2);
    assert_in_range(refused[1], 1, 2); // it is asked again
    loopback_dispose(&world);
}

// Of two that are restarted one after the other, the one that is back has all the traffic, and so the more load: the one that is gone must not be asked for that.
static void an_endpoint_that_answers_again_is_no_longer_avoided(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, DOCUMENTS, NULL);
    struct cluster *cluster = fake_upstream_cluster(&world.far, "default/a:80");
    struct endpoint *restarted = cluster->endpoints[0];
    struct endpoint *gone = cluster->endpoints[1];
    fake_upstream_port(&world.far, 1, FAR_REFUSE);
    gone->in_flight += 1000;
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    gone->in_flight -= 1000;
    answer_newest(&world, 8002);
    client_dispose(&client);
    assert_int_equal(far_failures(restarted), 1);

    loopback_pass(&world, 500 * NS_PER_MS);
    far_break(far_conn(&world.far, world.far.count - 1));
    fake_upstream_port(&world.far, 1, FAR_ACCEPT);
    fake_upstream_port(&world.far, 2, FAR_REFUSE);
    for (unsigned i = 0; i < 100; i++) {
        client_get(&client, &world, "GET a /\n");
        loopback_settle(&world);
        answer_newest(&world, 8001);
        assert_int_equal(client.status, 204);
        client_dispose(&client);
        if (i == 0) {
            restarted->in_flight += 1000;
            restarted->cost_ns = 60e6;
        }
    }
    restarted->in_flight -= 1000;
    assert_in_range(far_failures(gone), 0, 1);
    loopback_dispose(&world);
}

// A server that ends may still answer on the connections that it has.
static void an_answer_on_an_older_connection_says_nothing_of_new_ones(void **state) {
    (void)state;
    struct loopback world;
    struct client clients[2];
    loopback_init(&world, DOCUMENTS, NULL);
    struct cluster *cluster = fake_upstream_cluster(&world.far, "default/a:80");
    struct endpoint *ending = cluster->endpoints[0];
    cluster->endpoints[1]->in_flight += 1000;
    client_get(&clients[0], &world, "GET a /\n");
    loopback_settle(&world);
    loopback_pass(&world, NS_PER_MS);
    fake_upstream_port(&world.far, 1, FAR_REFUSE);
    client_get(&clients[1], &world, "GET a /\n");
    loopback_settle(&world);
    cluster->endpoints[1]->in_flight -= 1000;
    assert_int_equal(far_failures(ending), 1);
    nanoseconds avoided_until = ending->links->avoided_until;
    assert_true(avoided_until > world.far.check.loop.now);
    answer_newest(&world, 8001);
    answer_newest(&world, 8002);
    assert_true(ending->links->avoided_until == avoided_until);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(clients[i].status, 204);
        client_dispose(&clients[i]);
    }
    loopback_dispose(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_endpoint_that_refused_is_left_alone_for_a_while),
        cmocka_unit_test(an_endpoint_that_answers_again_is_no_longer_avoided),
        cmocka_unit_test(an_answer_on_an_older_connection_says_nothing_of_new_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
