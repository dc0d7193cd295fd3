// Several attempts of one stream at once: the first final head commits it, the others are cancelled and say nothing of their endpoints; one that fails is no matter
// while another runs; the body of the request goes to each.
#include "upstream/upstream_conn.h"

#include "unit/stream/stream_drive.h"

#define SERVED(protocol, groups) PROXY SERVICE(protocol, TWO) POLICY(IN_TURN groups)

// What the balancer is told, as "port:outcome " in order.
static struct text told;
static const struct lb_algorithm *real_algorithm;

static void note_done(struct endpoint *endpoint, enum lb_outcome outcome, nanoseconds elapsed, nanoseconds now) {
    static const char *const names[] = {[LB_ANSWERED] = "answered", [LB_FAILED] = "failed", [LB_CANCELLED] = "cancelled"};
    struct bytes text = endpoint->address.text;
    text_format(&told, "%c:%s ", text.at[text.len - 1], names[outcome]);
    real_algorithm->done(endpoint, outcome, elapsed, now);
}

static struct lb_algorithm noting;

static void world_init(struct loopback *world, const char *documents) {
    loopback_init(world, documents, NULL);
    struct cluster *cluster = fake_upstream_cluster(&world->far, "default/a:80");
    cluster->lb.position = 0; // the first pick is the endpoint on port 8001
    real_algorithm = cluster->lb.algorithm;
    noting = *real_algorithm;
    noting.done = note_done;
    cluster->lb.algorithm = &noting;
}

static void assert_told(const char *expected) {
    assert_string_equal(told.at == NULL ? "" : told.at, expected);
    text_clear(&told);
}

static void world_dispose(struct loopback *world) {
    const struct cluster *cluster = fake_upstream_cluster(&world->far, "default/a:80");
    for (uint32_t i = 0; i < cluster->endpoint_count; i++)
        assert_int_equal(cluster->endpoints[i]->in_flight, 0);
    loopback_dispose(world);
    text_dispose(&told);
}

// A second one, on the other endpoint.
static void begin_another(struct loopback *world, struct client *client) {
    loopback_settle(world);
    assert_int_equal(world->far.count, 1);
    attempts_begin(client->stream);
    stream_wake(client->stream);
    loopback_settle(world);
    assert_int_equal(world->far.count, 2);
    assert_int_equal(far_conn(&world->far, 0)->port, 8001);
    assert_int_equal(far_conn(&world->far, 1)->port, 8002);
}

static const char *const protocols[] = {SERVED("HTTP1", ""), SERVED("HTTP2", "")};

static void the_first_final_head_commits_and_cancels_the_others(void **state) {
    (void)state;
    static const char *const outcomes[] = {"2:cancelled 1:answered ", "1:cancelled 2:answered "};
    for (unsigned i = 0; i < 4; i++) {
        struct loopback world;
        struct client client;
        unsigned first = i / 2;
        world_init(&world, protocols[i % 2]);
        client_get(&client, &world, "GET a /\n");
        begin_another(&world, &client);
        far_respond(far_conn(&world.far, first), only_request(&world, first), 200, "", "part ", false);
        assert_int_equal(client.status, 200);
        assert_true(only_request(&world, 1 - first)->has_failed || far_conn(&world.far, 1 - first)->told_end);
        far_body(far_conn(&world.far, first), only_request(&world, first), BYTES("rest"), true);
        assert_string_equal(client.body.at, "part rest");
        assert_true(client.done && !client.was_reset);
        assert_told(outcomes[first]);
        assert_int_equal(world.record.end, OK);
        assert_string_equal(world.record.endpoint, first == 0 ? "127.0.0.1:8001" : "127.0.0.1:8002");
        const struct cluster *cluster = fake_upstream_cluster(&world.far, "default/a:80");
        assert_int_equal(cluster->endpoints[0]->failures + cluster->endpoints[1]->failures, 0);
        client_dispose(&client);
        world_dispose(&world);
    }
}

static void heads_of_the_same_turn_commit_to_one(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    world_init(&world, SERVED("HTTP1", ""));
    client_get(&client, &world, "GET a /\n");
    begin_another(&world, &client);
    for (unsigned i = 0; i < 2; i++) {
        struct far_conn *conn = far_conn(&world.far, i);
        fake_peer_send(conn->peer,
                       i == 0 ? BYTES("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none") : BYTES("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\ntwo"));
    }
    loopback_settle(&world);
    assert_string_equal(client.body.at, "one");
    assert_told("2:cancelled 1:answered ");
    client_dispose(&client);
    world_dispose(&world);
}

static void one_that_fails_is_no_matter_while_another_runs(void **state) {
    (void)state;
    static const char *const outcomes[] = {"1:failed 2:answered ", "2:failed 1:answered "};
    for (unsigned i = 0; i < 4; i++) {
        struct loopback world;
        struct client client;
        unsigned failing = i / 2;
        world_init(&world, protocols[i % 2]);
        client_get(&client, &world, "GET a /\n");
        begin_another(&world, &client);
        far_break(far_conn(&world.far, failing));
        assert_false(client.done);
        assert_int_equal(client.status, 0);
        assert_int_equal(world.far.count, 2); // nor is there a third
        respond(&world, 1 - failing, 200, "content-length: 2\n", "ok");
        assert_string_equal(client.body.at, "ok");
        assert_int_equal(world.record.end, OK);
        assert_int_equal(metric_read(&world.far.metrics.retries), 0);
        assert_told(outcomes[failing]);
        client_dispose(&client);
        world_dispose(&world);
    }
}

static void the_stream_fails_with_the_last(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    world_init(&world, SERVED("HTTP1", ""));
    client_get(&client, &world, "GET a /\n");
    begin_another(&world, &client);
    far_break(far_conn(&world.far, 1));
    far_break(far_conn(&world.far, 0));
    assert_int_equal(client.status, 502);
    assert_int_equal(world.record.end, ERROR_UPSTREAM_RESET);
    assert_int_equal(world.record.attempts, 2);
    assert_told("2:failed 1:failed ");
    client_dispose(&client);
    world_dispose(&world);
}

static void the_last_that_fails_may_be_repeated(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    world_init(&world, SERVED("HTTP2", "  retry: {attempts: 2}\n"));
    client_get(&client, &world, "GET a /\n");
    begin_another(&world, &client);
    far_reset(far_conn(&world.far, 0), only_request(&world, 0), ERROR_REFUSED_STREAM);
    assert_int_equal(metric_read(&world.far.metrics.retries), 0);
    far_reset(far_conn(&world.far, 1), only_request(&world, 1), ERROR_REFUSED_STREAM);
    loopback_pass(&world, NS_PER_S);
    assert_int_equal(metric_read(&world.far.metrics.retries), 1);
    assert_int_equal(world.record.count, 0);
    struct far_conn *conn = far_conn(&world.far, far_request(far_conn(&world.far, 0), 0)->next != NULL ? 0 : 1);
    far_respond(conn, far_request(conn, 1), 204, "", NULL, true);
    assert_int_equal(client.status, 204);
    assert_int_equal(world.record.attempts, 3);
    client_dispose(&client);
    world_dispose(&world);
}

static void a_client_that_goes_cancels_all(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    world_init(&world, SERVED("HTTP2", ""));
    client_get(&client, &world, "GET a /\n");
    begin_another(&world, &client);
    client_fail(&client, ERROR_CLIENT_GONE);
    assert_true(client.done);
    assert_true(only_request(&world, 0)->has_failed && only_request(&world, 1)->has_failed);
    assert_told("1:cancelled 2:cancelled ");
    client_dispose(&client);
    world_dispose(&world);
}

// What came before the second began, what came behind, and the end; told to the client's side once.
static void the_body_goes_to_each(void **state) {
    (void)state;
    static const char *const policies[] = {SERVED("HTTP1", ""), SERVED("HTTP2", ""), SERVED("HTTP1", "  retry: {bufferBytes: 8}\n"),
                                           SERVED("HTTP2", "  retry: {bufferBytes: 8}\n")}; // the last two: what comes then is not kept for a third
    for (unsigned i = 0; i < 8; i++) {
        struct loopback world;
        struct client client;
        unsigned slow = i / 4;
        world_init(&world, policies[i % 4]);
        client_open(&client, &world, "POST a /\n");
        client_send(&client, BYTES("first "), false);
        begin_another(&world, &client);
        fake_peer_accept(far_conn(&world.far, slow)->peer, 0);
        client_send(&client, BYTES("second "), false);
        client_send(&client, BYTES("third"), false);
        client_end(&client, NULL);
        fake_peer_accept(far_conn(&world.far, slow)->peer, SIZE_MAX);
        loopback_settle(&world);
        for (unsigned position = 0; position < 2; position++)
            assert_has(received(&world, position), "body 18 first second third\nend\n");
        assert_int_equal(client.consumed, 18);
        respond(&world, 1 - slow, 204, "", NULL);
        assert_int_equal(client.status, 204);
        client_dispose(&client);
        world_dispose(&world);
    }
}

static void an_interim_head_waits_until_it_is_known_whose_counts(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    world_init(&world, SERVED("HTTP1", ""));
    client_get(&client, &world, "GET a /\n");
    begin_another(&world, &client);
    fake_peer_send(far_conn(&world.far, 0)->peer, BYTES("HTTP/1.1 103 Early Hints\r\nfrom: one\r\n\r\n"));
    fake_peer_send(far_conn(&world.far, 1)->peer, BYTES("HTTP/1.1 103 Early Hints\r\nfrom: two\r\n\r\n"));
    loopback_settle(&world);
    assert_int_equal(client.interim, 0);
    respond(&world, 1, 204, "", NULL);
    assert_int_equal(client.interim, 1);
    assert_has(client.heads.at, "from: two\n");
    client_dispose(&client);
    world_dispose(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_final_head_commits_and_cancels_the_others),
        cmocka_unit_test(heads_of_the_same_turn_commit_to_one),
        cmocka_unit_test(one_that_fails_is_no_matter_while_another_runs),
        cmocka_unit_test(the_stream_fails_with_the_last),
        cmocka_unit_test(the_last_that_fails_may_be_repeated),
        cmocka_unit_test(a_client_that_goes_cancels_all),
        cmocka_unit_test(the_body_goes_to_each),
        cmocka_unit_test(an_interim_head_waits_until_it_is_known_whose_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
