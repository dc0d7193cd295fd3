// What counts against an endpoint: connections that are not made, resets, time that it has taken, 502, 503, 504 and UNAVAILABLE. What does not: a client that goes, or is slow, or wants too much;
// what HTTP/2 refused; what our own proxies refuse. And that the access log names an endpoint that was ejected for it.
#include "unit/stream/stream_drive.h"

#include "upstream/upstream_conn.h"

#define ONCE "  retry: {disabled: true}\n"
#define DOCUMENTS(protocol) PROXY SERVICE(protocol, TWO) POLICY(IN_TURN ONCE "  timeouts: {backendRequest: 1s}\n")
#define EJECTS PROXY SERVICE("HTTP1", TWO) POLICY(IN_TURN "  retry: {codes: [503]}\n  outlierDetection: {failureThreshold: 2}\n")

// Of both endpoints, one of which was asked.
static unsigned failures(struct loopback *world) {
    struct cluster *cluster = fake_upstream_cluster(&world->far, "default/a:80");
    unsigned count = 0;
    for (unsigned i = 0; i < 2; i++)
        if (cluster->endpoints[i]->shared != NULL)
            count += cluster->endpoints[i]->shared->outlier.failures;
    return count;
}

static void answers_by_their_status(void **state) {
    (void)state;
    static const struct {
        unsigned status, failures;
    } answers[] = {{200, 0}, {404, 0}, {429, 0}, {500, 0}, {501, 0}, {502, 1}, {503, 1}, {504, 1}, {505, 0}};
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, DOCUMENTS("HTTP1"), NULL);
        client_get(&client, &world, "GET a /\n");
        loopback_settle(&world);
        respond(&world, 0, answers[i].status, "", "x");
        assert_int_equal(client.status, answers[i].status);
        assert_int_equal(failures(&world), answers[i].failures);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

static void codes_of_grpc(void **state) {
    (void)state;
    for (int in_trailers = 0; in_trailers < 2; in_trailers++)
        for (unsigned code = 0; code <= 16; code++) {
            struct loopback world;
            struct client client;
            char fields[64];
            loopback_init(&world, DOCUMENTS("GRPC"), NULL);
            client_get(&client, &world, "POST a /a.B/C\ncontent-type: application/grpc\n");
            loopback_settle(&world);
            snprintf(fields, sizeof fields, "grpc-status: %u\n", code);
            if (in_trailers) {
                far_respond(far_conn(&world.far, 0), only_request(&world, 0), 200, "content-type: application/grpc\n", "x", false);
                far_trailers(far_conn(&world.far, 0), only_request(&world, 0), fields);
            } else {
                respond(&world, 0, 200, fields, NULL);
            }
            assert_int_equal(failures(&world), code == 14);
            client_dispose(&client);
            loopback_dispose(&world);
        }
}

// The caller's time is over, which its service was told: that it gives up then says nothing of it.
static void a_call_that_is_reset_with_its_caller_s_time(void **state) {
    (void)state;
    for (int has_head = 0; has_head < 2; has_head++)
        for (int is_early = 0; is_early < 2; is_early++) {
            struct loopback world;
            struct client client;
            loopback_init(&world, PROXY SERVICE("GRPC", TWO) POLICY(IN_TURN ONCE "  deadline: {propagate: true}\n"), NULL);
            client_get(&client, &world, "POST a /a.B/C\ncontent-type: application/grpc\n");
            client.stream->deadline = world.env.loop->now + 50 * NS_PER_MS;
            client.stream->deadline_by_caller = true;
            loopback_settle(&world);
            if (has_head)
                far_respond(far_conn(&world.far, 0), only_request(&world, 0), 200, "content-type: application/grpc\n", "x", false);
            loopback_pass(&world, (is_early ? 20 : 49) * NS_PER_MS);
            far_reset(far_conn(&world.far, 0), only_request(&world, 0), ERROR_INTERNAL);
            assert_int_equal(failures(&world), is_early);
            client_dispose(&client);
            loopback_dispose(&world);
        }
}

static void connections_that_break(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    // before the answer
    loopback_init(&world, DOCUMENTS("HTTP1"), NULL);
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    far_break(far_conn(&world.far, 0));
    assert_int_equal(client.status, 502);
    assert_int_equal(failures(&world), 1);
    client_dispose(&client);
    // in the middle of it
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    far_respond(far_conn(&world.far, 1), only_request(&world, 1), 200, "", "part", false);
    far_break(far_conn(&world.far, 1));
    assert_true(client.was_reset);
    assert_int_equal(failures(&world), 2);
    client_dispose(&client);
    // not made
    world.far.mode = FAR_REFUSE;
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    assert_int_equal(client.status, 502);
    assert_int_equal(failures(&world), 3);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void the_time_that_it_took_and_no_other(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, DOCUMENTS("HTTP1"), NULL);
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    loopback_pass(&world, NS_PER_S);
    assert_int_equal(client.status, 504);
    assert_int_equal(failures(&world), 1);
    client_dispose(&client);
    // A client that still sends.
    client_open(&client, &world, "POST a /\n");
    client_send(&client, BYTES("part"), false);
    loopback_pass(&world, NS_PER_S);
    assert_int_equal(client.status, 504);
    assert_int_equal(failures(&world), 1);
    client_end(&client, NULL);
    client_dispose(&client);
    // One that goes.
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    client_fail(&client, ERROR_CLIENT_GONE);
    assert_int_equal(failures(&world), 1);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void who_takes_no_connection_in_time_has_failed(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, DOCUMENTS("HTTP1"), NULL);
    loopback_apply(&world, PROXY SERVICE("HTTP1", TWO)
                               POLICY(IN_TURN ONCE "  connections: {connectTimeout: 1s, max: 1}\n  timeouts: {backendRequest: 500ms}\n"));
    world.far.mode = FAR_WAIT;
    client_get(&client, &world, "GET a /\n");
    loopback_pass(&world, NS_PER_S);
    assert_int_equal(client.status, 504);
    assert_int_equal(failures(&world), 1);
    client_dispose(&client);
    loopback_dispose(&world);
    // Whoever waits for others to give back what they have is another matter.
    struct client others[2];
    loopback_init(&world, PROXY SERVICE("HTTP1", TWO) POLICY(IN_TURN ONCE "  connections: {max: 2}\n  timeouts: {request: 5s}\n"), NULL);
    for (unsigned i = 0; i < 2; i++) {
        client_get(&others[i], &world, "GET a /\n");
        loopback_settle(&world);
        far_respond(far_conn(&world.far, i), only_request(&world, i), 200, "content-length: 9\n", NULL, false);
    }
    loopback_apply(&world, PROXY SERVICE("HTTP1", TWO) POLICY(IN_TURN ONCE "  connections: {max: 2}\n  timeouts: {backendRequest: 500ms}\n"));
    client_get(&client, &world, "GET a /\n");
    loopback_pass(&world, NS_PER_S);
    assert_int_equal(client.status, 504);
    assert_int_equal(failures(&world), 0);
    client_dispose(&client);
    for (unsigned i = 0; i < 2; i++) {
        client_fail(&others[i], ERROR_CLIENT_GONE);
        client_dispose(&others[i]);
    }
    loopback_dispose(&world);
}

// What is left of the answer when the client's patience or the time is over: nothing came behind its head, or the client has not taken what did.
static void an_answer_that_stalls(void **state) {
    (void)state;
    static const struct {
        const char *body;
        size_t accepts;
        bool client_goes;
        unsigned before, failures; // one that is told well ends the row
    } cases[] = {{"", SIZE_MAX, false, 1, 2},
                 {"some", SIZE_MAX, false, 1, 2},
                 {"some", 2, false, 1, 1},
                 {"", SIZE_MAX, true, 1, 1},
                 {"some", SIZE_MAX, true, 1, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, PROXY SERVICE("HTTP1", ONE) POLICY(ONCE "  timeouts: {request: 10s}\n"), NULL);
        client_get(&client, &world, "GET a /\n");
        loopback_settle(&world);
        respond(&world, 0, 503, "content-length: 0\n", NULL);
        client_dispose(&client);
        struct outlier *outlier = &fake_upstream_cluster(&world.far, "default/a:80")->endpoints[0]->shared->outlier;
        assert_int_equal(outlier->failures, cases[i].before);
        client_get(&client, &world, "GET a /\n");
        client.accepts = cases[i].accepts;
        loopback_settle(&world);
        struct far_conn *conn = far_conn(&world.far, 0);
        far_respond(conn, conn->server.last, 200, "content-length: 9\n", cases[i].body, false);
        if (cases[i].client_goes)
            client_fail(&client, ERROR_CLIENT_GONE);
        else
            stream_fail(client.stream, ERROR_REQUEST_TIMEOUT, BYTES_NONE); // as the deadline does, which no chain has here
        loopback_settle(&world);
        if (outlier->failures != cases[i].failures)
            fail_msg("case %zu: %u", i, (unsigned)outlier->failures);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

static void a_refused_stream_says_nothing(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, DOCUMENTS("HTTP2"), NULL);
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    far_reset(far_conn(&world.far, 0), only_request(&world, 0), ERROR_REFUSED_STREAM);
    assert_int_equal(client.status, 502);
    assert_int_equal(failures(&world), 0);
    client_dispose(&client);
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    struct far_conn *conn = far_conn(&world.far, world.far.count - 1);
    struct owner_stream *last = far_request(conn, 0);
    while (last->next != NULL)
        last = last->next;
    far_reset(conn, last, ERROR_INTERNAL);
    assert_int_equal(failures(&world), 1);
    client_dispose(&client);
    loopback_dispose(&world);
}

// It is named in the line of the request that did it, and the other one has all requests then.
static void the_log_names_whom_a_request_ejects(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, EJECTS, NULL);
    struct cluster *cluster = fake_upstream_cluster(&world.far, "default/a:80");
    unsigned ejected = 0;
    for (unsigned i = 0; i < 12; i++) {
        struct client client;
        client_get(&client, &world, "GET a /\n");
        loopback_settle(&world);
        while (client.status == 0) // whoever has it now: 8001 answers 503, which is repeated elsewhere
            for (unsigned j = 0; j < world.far.count; j++) {
                struct far_conn *conn = far_conn(&world.far, j);
                struct owner_stream *last = conn->server.last;
                if (last != NULL && last->stream.sent == PROGRESS_HEAD && last->stream.codec != NULL)
                    far_respond(conn, last, conn->port == 8001 ? 503 : 200, "", NULL, true);
            }
        assert_int_equal(client.status, 200);
        ejected += world.record.ejected[0] != '\0';
        if (world.record.ejected[0] != '\0')
            assert_string_equal(world.record.ejected, "127.0.0.1:8001");
        if (world.record.ejected[0] != '\0')
            assert_string_equal(world.record.ejected_by, "TrafficPolicy/default/a: outlierDetection: status 503");
        client_dispose(&client);
    }
    assert_int_equal(ejected, 1);
    assert_int_equal(cluster->endpoints[0]->links->requests, 2);
    assert_int_equal(cluster->endpoints[0]->shared->ejected_for, 503);
    loopback_dispose(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_by_their_status),
        cmocka_unit_test(codes_of_grpc),
        cmocka_unit_test(a_call_that_is_reset_with_its_caller_s_time),
        cmocka_unit_test(connections_that_break),
        cmocka_unit_test(the_time_that_it_took_and_no_other),
        cmocka_unit_test(who_takes_no_connection_in_time_has_failed),
        cmocka_unit_test(an_answer_that_stalls),
        cmocka_unit_test(a_refused_stream_says_nothing),
        cmocka_unit_test(the_log_names_whom_a_request_ejects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
