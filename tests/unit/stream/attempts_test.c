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
    struct bytes text = endpoint->links->text;
    text_format(&told, "%c:%s ", text.at[text.len - 1], names[outcome]);
    (void)elapsed;
    (void)now;
}

static struct lb_algorithm noting;

static void world_init(struct loopback *world, const char *documents) {
    loopback_init(world, documents, NULL);
    struct cluster *cluster = fake_upstream_cluster(&world->far, "default/a:80");
    cluster->levels.items[0].position = 0; // the first pick is the endpoint on port 8001
    real_algorithm = cluster->levels.algorithm;
    CHECK(real_algorithm->done == NULL);
    noting = *real_algorithm;
    noting.done = note_done;
    cluster->levels.algorithm = &noting;
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
        assert_int_equal(far_failures(cluster->endpoints[0]) + far_failures(cluster->endpoints[1]), 0);
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
        assert_int_equal(retries_of(&world), 0);
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
    assert_int_equal(retries_of(&world), 0);
    far_reset(far_conn(&world.far, 1), only_request(&world, 1), ERROR_REFUSED_STREAM);
    loopback_pass(&world, NS_PER_S);
    assert_int_equal(retries_of(&world), 1);
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

// --- filters below attempts ---

struct gate_config {
    unsigned refuses_decide; // so often
    unsigned refuses_charge;
    unsigned pauses;
    enum error refusal;
    struct text log;
};

struct gate_state {
    struct attempt *attempt; // as filter.h says
    unsigned number;         // of the attempt: 0 before the first call
    unsigned calls;
};

static struct gate_config gate;

static enum filter_result gate_decide(struct stream *stream, const void *config, void *state_pointer) {
    (void)config;
    struct gate_state *state = state_pointer;
    CHECK(state->attempt->stream == stream);
    CHECK((state->number == 0) == (state->calls == 0));
    state->number = stream->attempts->begun;
    state->calls++;
    text_format(&gate.log, "%u.decide ", state->number);
    if (gate.pauses > 0) {
        gate.pauses--;
        return FILTER_PAUSE;
    }
    if (gate.refuses_decide == 0)
        return FILTER_CONTINUE;
    gate.refuses_decide--;
    attempt_refuse(state->attempt, gate.refusal, BYTES("shut"));
    return FILTER_REPLIED;
}

static enum filter_result gate_charge(struct stream *stream, const void *config, void *state_pointer) {
    (void)stream;
    (void)config;
    struct gate_state *state = state_pointer;
    text_format(&gate.log, "%u.charge ", state->number);
    if (gate.refuses_charge == 0)
        return FILTER_CONTINUE;
    gate.refuses_charge--;
    attempt_refuse(state->attempt, gate.refusal, BYTES("shut"));
    return FILTER_REPLIED;
}

static void gate_head(struct stream *stream, const void *config, void *state_pointer, struct head *head, struct pool *pool) {
    (void)stream;
    (void)config;
    struct gate_state *state = state_pointer;
    fields_add(&head->fields, BYTES("x-attempt"), pool_format(pool, "%u", state->number));
}

static void gate_end(struct stream *stream, const void *config, void *state_pointer) {
    (void)stream;
    (void)config;
    struct gate_state *state = state_pointer;
    const char *error = state->attempt->error == OK ? "ok" : error_name(state->attempt->error);
    text_format(&gate.log, "%u.end(%s) ", state->number, error);
}

static const struct filter_type gate_type = {
    .name = "gate",
    .state_size = sizeof(struct gate_state),
    .ops = {.decide = gate_decide, .charge = gate_charge, .attempt_head = gate_head, .end = gate_end},
};

static void gate_init(struct loopback *world, const char *documents) {
    static struct {
        struct chain chain;
        struct filter filter;
    } gates;
    world_init(world, documents);
    gate = (struct gate_config){.refusal = ERROR_CONNECT_REFUSED}; // which would be repeated, were it not refused here
    gates.chain.count = 1;
    gates.chain.states_size = sizeof(struct gate_state);
    gates.chain.filters[0] = (struct filter){.type = &gate_type, .config = &gate};
    chain_link(&gates.chain);
    bound_find_host(world->bound, BYTES("a"))->attempt_chain = &gates.chain;
}

static void gate_dispose(struct loopback *world) {
    text_dispose(&gate.log);
    world_dispose(world);
}

static void each_attempt_has_states_of_its_own_and_ends_them_once(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    gate_init(&world, SERVED("HTTP2", ""));
    client_get(&client, &world, "GET a /\n");
    begin_another(&world, &client);
    assert_has(received(&world, 0), "x-attempt: 1\n");
    assert_has(received(&world, 1), "x-attempt: 2\n");
    respond(&world, 1, 204, "", NULL);
    assert_string_equal(gate.log.at, "1.decide 1.charge 2.decide 2.charge 1.end(cancelled) 2.end(ok) ");
    client_dispose(&client);
    gate_dispose(&world);
}

static void a_repeated_request_passes_the_filters_of_attempts_again(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    gate_init(&world, SERVED("HTTP1", ""));
    fake_upstream_port(&world.far, 1, FAR_REFUSE);
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    respond(&world, 1, 204, "", NULL);
    assert_int_equal(client.status, 204);
    assert_string_equal(gate.log.at, "1.decide 1.charge 1.end(connect_refused) 2.decide 2.charge 2.end(ok) ");
    client_dispose(&client);
    gate_dispose(&world);
}

static void a_refusal_below_attempts_is_not_repeated(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct loopback world;
        struct client client;
        gate_init(&world, SERVED("HTTP1", ""));
        gate.refuses_decide = i == 0;
        gate.refuses_charge = i == 1;
        client_get(&client, &world, "GET a /\n");
        loopback_pass(&world, NS_PER_S);
        assert_int_equal(client.status, 502);
        assert_int_equal(world.record.attempts, 1);
        assert_string_equal(world.record.detail, "shut");
        assert_int_equal(world.far.count, 0);
        assert_string_equal(gate.log.at, i == 0 ? "1.decide 1.end(connect_refused) " : "1.decide 1.charge 1.end(connect_refused) ");
        client_dispose(&client);
        gate_dispose(&world);
    }
}

static void a_refusal_of_one_leaves_the_other_running(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    gate_init(&world, SERVED("HTTP1", ""));
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    gate.refuses_decide = 1;
    attempts_begin(client.stream);
    stream_wake(client.stream);
    loopback_settle(&world);
    assert_false(client.done);
    respond(&world, 0, 204, "", NULL);
    assert_int_equal(client.status, 204);
    assert_string_equal(gate.log.at, "1.decide 1.charge 2.decide 2.end(connect_refused) 1.end(ok) ");
    client_dispose(&client);
    gate_dispose(&world);
}

static void an_attempt_waits_while_its_filter_pauses(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    gate_init(&world, SERVED("HTTP1", ""));
    gate.pauses = 1;
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    assert_int_equal(world.far.count, 0);
    stream_wake(client.stream);
    loopback_settle(&world);
    respond(&world, 0, 204, "", NULL);
    assert_string_equal(gate.log.at, "1.decide 1.decide 1.charge 1.end(ok) ");
    client_dispose(&client);
    gate_dispose(&world);
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
        cmocka_unit_test(each_attempt_has_states_of_its_own_and_ends_them_once),
        cmocka_unit_test(a_repeated_request_passes_the_filters_of_attempts_again),
        cmocka_unit_test(a_refusal_below_attempts_is_not_repeated),
        cmocka_unit_test(a_refusal_of_one_leaves_the_other_running),
        cmocka_unit_test(an_attempt_waits_while_its_filter_pauses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
