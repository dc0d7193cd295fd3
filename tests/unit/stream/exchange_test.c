// An exchange that goes well, over all pairs of protocols: heads, bodies both ways, trailers, 1xx; what is recorded of it; and nothing that is left behind.
#include "unit/stream/stream_drive.h"

static const char *const protocols[] = {PROXY SERVICE("HTTP1", ONE), PROXY SERVICE("HTTP2", ONE)};

static void a_request_goes_up_and_its_response_down(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, protocols[i], NULL);
        client_get(&client, &world, "GET a /x?y=1\naccept: text/plain\n");
        loopback_settle(&world);
        assert_has(received(&world, 0), "head GET http a /x?y=1 ");
        assert_has(received(&world, 0), "accept: text/plain\n");
        assert_int_equal(client.status, 0);
        loopback_pass(&world, 5 * NS_PER_MS);
        respond(&world, 0, 200, "content-type: text/plain\ncontent-length: 5\n", "hello");
        assert_int_equal(client.status, 200);
        assert_string_equal(client_field(&client, "content-type"), "text/plain");
        assert_string_equal(client.body.at, "hello");
        assert_true(client.ended && client.done && !client.was_reset);
        assert_int_equal(world.record.count, 1);
        assert_int_equal(world.record.end, OK);
        assert_int_equal(world.record.status, 200);
        assert_int_equal(world.record.attempts, 1);
        assert_int_equal(world.record.response_bytes, 5);
        assert_int_equal(world.record.duration, 5 * NS_PER_MS);
        assert_int_equal(world.record.upstream_duration, 5 * NS_PER_MS);
        assert_string_equal(world.record.service, "default/a:80");
        assert_string_equal(world.record.endpoint, "127.0.0.1:8001");
        assert_string_equal(world.record.path, "/x?y=1");
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

static void bodies_and_trailers_go_both_ways(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, protocols[i], NULL);
        client_open(&client, &world, "POST a /\nte: trailers\n");
        client_send(&client, BYTES("ping "), false);
        client_send(&client, BYTES("pong"), false);
        client_end(&client, "x-checksum: 7\n");
        struct far_conn *conn = far_conn(&world.far, 0);
        assert_has(received(&world, 0), "body 9 ping pong\nend\nx-checksum: 7\n");
        far_respond(conn, only_request(&world, 0), 200, "", "one ", false);
        assert_string_equal(client.body.at, "one ");
        assert_false(client.ended);
        far_body(conn, only_request(&world, 0), BYTES("two"), false);
        far_trailers(conn, only_request(&world, 0), "x-sum: 9\n");
        assert_string_equal(client.body.at, "one two");
        assert_string_equal(client.trailers.at, "x-sum: 9\n");
        assert_true(client.done);
        assert_int_equal(world.record.request_bytes, 9);
        assert_int_equal(world.record.response_bytes, 7);
        assert_int_equal(client.consumed, 9);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

static void a_response_may_begin_before_the_request_has_ended(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, protocols[i], NULL);
        client_open(&client, &world, "POST a /\n");
        client_send(&client, BYTES("a"), false);
        struct far_conn *conn = far_conn(&world.far, 0);
        far_respond(conn, only_request(&world, 0), 200, "", "A", false);
        client_send(&client, BYTES("b"), false);
        assert_has(received(&world, 0), "body 2 ab\n");
        far_body(conn, only_request(&world, 0), BYTES("B"), false);
        assert_string_equal(client.body.at, "AB");
        client_end(&client, NULL);
        far_body(conn, only_request(&world, 0), BYTES_NONE, true);
        assert_true(client.done);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

static void a_response_may_be_complete_before_the_request_is(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, protocols[i], NULL);
        client_open(&client, &world, "POST a /\n");
        client_send(&client, BYTES("a"), false);
        respond(&world, 0, 413, "content-length: 3\n", "no!");
        assert_int_equal(client.status, 413);
        assert_string_equal(client.body.at, "no!");
        assert_true(client.ended && client.done);
        assert_int_equal(world.record.end, OK);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

static void every_1xx_is_passed_on(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct loopback world;
        struct client client;
        loopback_init(&world, protocols[i], NULL);
        client_open(&client, &world, "POST a /\nexpect: 100-continue\n");
        loopback_settle(&world);
        assert_has(received(&world, 0), "expect");
        struct far_conn *conn = far_conn(&world.far, 0);
        far_respond(conn, only_request(&world, 0), 100, "", NULL, false);
        far_respond(conn, only_request(&world, 0), 103, "link: </s.css>\n", NULL, false);
        assert_string_equal(client.heads.at, "100\n103\nlink: </s.css>\n");
        assert_int_equal(client.interim, 2);
        client_send(&client, BYTES("body"), true);
        respond(&world, 0, 204, "", NULL);
        assert_int_equal(client.status, 204);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

static void a_1xx_in_the_same_read_as_the_response_comes_first(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, protocols[0], NULL);
    world.far.mode = FAR_RAW;
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    far_send(far_conn(&world.far, 0), "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_string_equal(client.heads.at, "103\nLink: a\n200\nContent-Length: 0\n");
    assert_true(client.done);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void head_204_and_304_have_no_body(void **state) {
    (void)state;
    static const struct {
        const char *request;
        unsigned status;
        const char *fields;
    } cases[] = {{"HEAD a /\n", 200, "content-length: 100\n"}, {"GET a /\n", 204, ""}, {"GET a /\n", 304, "etag: \"1\"\n"}};
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        struct loopback world;
        struct client client;
        size_t number = i / 2;
        loopback_init(&world, protocols[i % 2], NULL);
        client_get(&client, &world, cases[number].request);
        loopback_settle(&world);
        respond(&world, 0, cases[number].status, cases[number].fields, NULL);
        assert_int_equal(client.status, cases[number].status);
        assert_true(client.done && client.ended);
        assert_int_equal(client.body.len, 0);
        client_dispose(&client);
        loopback_dispose(&world);
    }
}

static void a_response_that_ends_with_its_connection_is_complete(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, protocols[0], NULL);
    world.far.mode = FAR_RAW;
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    far_send(far_conn(&world.far, 0), "HTTP/1.0 200 OK\r\n\r\nold style");
    assert_false(client.ended);
    far_close(far_conn(&world.far, 0));
    assert_string_equal(client.body.at, "old style");
    assert_true(client.done && !client.was_reset);
    client_dispose(&client);
    loopback_dispose(&world);
}

static void many_requests_use_one_connection_in_turn(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, protocols[0], NULL);
    for (unsigned i = 0; i < 20; i++) {
        struct client client;
        client_get(&client, &world, "GET a /\n");
        loopback_settle(&world);
        struct far_conn *conn = far_conn(&world.far, 0);
        far_respond(conn, far_request(conn, i), 204, "", NULL, true);
        assert_int_equal(client.status, 204);
        client_dispose(&client);
    }
    assert_int_equal(world.far.count, 1);
    assert_int_equal(metric_read(&world.far.metrics.pool_reused), 19);
    loopback_dispose(&world);
}

static void a_stream_keeps_its_memory_until_it_is_released(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, protocols[1], NULL);
    client_open(&client, &world, "POST a /\n");
    client.keeps = true;
    client_send(&client, BYTES("x"), true);
    struct far_conn *conn = far_conn(&world.far, 0);
    far_respond(conn, only_request(&world, 0), 200, "x-a: b\n", "y", false);
    far_trailers(conn, only_request(&world, 0), "x-t: 1\n");
    assert_true(client.done);
    loopback_apply(&world, PROXY); // the service is gone
    loopback_pass(&world, 60 * NS_PER_S);
    assert_int_equal(world.env.streams, 1);
    // Its head and trailers may still be read by a codec.
    assert_int_equal(client.stream->response->status, 200);
    const struct fields *trailers = &attempts_foremost(client.stream->attempts)->up.codec_stream.trailers;
    assert_true(bytes_equal(trailers->items[0].value, BYTES("1")));
    client_release(&client);
    assert_int_equal(world.env.streams, 0);
    client_dispose(&client);
    loopback_dispose(&world);
}

// The service's settings are those of the snapshot under which the request began.
static void a_stream_is_served_by_the_snapshot_it_began_with(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, protocols[0], NULL);
    client_open(&client, &world, "POST a /\n");
    client_send(&client, BYTES("x"), false);
    loopback_apply(&world, PROXY);
    client_send(&client, BYTES("y"), true);
    assert_has(received(&world, 0), "body 2 xy\n");
    respond(&world, 0, 200, "content-length: 2\n", "ok");
    assert_string_equal(client.body.at, "ok");
    client_dispose(&client);
    struct client next;
    client_get(&next, &world, "GET a /\n");
    loopback_settle(&world);
    assert_int_equal(next.status, 502);
    client_dispose(&next);
    loopback_dispose(&world);
}

static void counters_say_what_happened(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, protocols[0], NULL);
    client_get(&client, &world, "GET a /\n");
    loopback_settle(&world);
    assert_int_equal(metric_read(&world.far.metrics.streams_active), 1);
    struct endpoint *endpoint = fake_upstream_cluster(&world.far, "default/a:80")->endpoints[0];
    assert_int_equal(endpoint->in_flight, 1);
    respond(&world, 0, 503, "", NULL);
    assert_int_equal(metric_read(&world.far.metrics.streams_begun), 1);
    assert_int_equal(metric_read(&world.far.metrics.streams_active), 0);
    assert_int_equal(metric_read(&world.far.metrics.attempts), 1);
    assert_int_equal(retries_of(&world), 0);
    assert_int_equal(endpoint->links->requests, 1);
    assert_int_equal(endpoint->links->failures, 0); // it has answered
    struct series_scope *scope = series_scope_find(&world.far.upstream.series, BYTES("default/a:80"), BYTES_NONE, BYTES_NONE);
    assert_int_equal(scope->newest_end->facts.error, -OK);
    assert_int_equal(scope->newest_end->totals.buckets[0], 1);
    upstream_unref_series(&world.far.upstream, scope);
    client_dispose(&client);
    loopback_dispose(&world);
}

// Each is reckoned with what it will want, as long as it does not have it.
static void no_more_wait_for_a_response_than_there_is_memory_for(void **state) {
    (void)state;
    struct loopback world;
    struct client first, second, third;
    loopback_init(&world, PROXY SERVICE("HTTP1", ONE), NULL);
    world.env.unanswered_max = 1;
    client_get(&first, &world, "GET a /\n");
    loopback_settle(&world);
    assert_int_equal(world.env.unanswered_count, 1);
    client_get(&second, &world, "GET a /\n");
    loopback_settle(&world);
    assert_int_equal(second.status, 503);
    assert_int_equal(world.record.end, ERROR_MEMORY_LIMIT);
    assert_int_equal(world.env.unanswered_count, 1);

    far_respond(far_conn(&world.far, 0), only_request(&world, 0), 200, "content-length: 5\n", NULL, false); // its head is enough
    loopback_settle(&world);
    assert_int_equal(world.env.unanswered_count, 0);
    client_get(&third, &world, "GET a /\n");
    loopback_settle(&world);
    assert_int_equal(world.env.unanswered_count, 1);
    client_fail(&third, ERROR_CLIENT_GONE);
    assert_int_equal(world.env.unanswered_count, 0);

    far_body(far_conn(&world.far, 0), only_request(&world, 0), BYTES("hello"), true);
    loopback_settle(&world);
    assert_int_equal(first.status, 200);
    assert_true(first.ended);
    client_dispose(&first);
    client_dispose(&second);
    client_dispose(&third);
    loopback_dispose(&world);
}

static void one_that_has_waited_for_long_keeps_nobody_out(void **state) {
    (void)state;
    struct loopback world;
    struct client patient, later;
    loopback_init(&world, PROXY SERVICE("HTTP1", ONE), NULL);
    world.env.unanswered_max = 1;
    client_get(&patient, &world, "GET a /\n");
    loopback_settle(&world);
    loopback_pass(&world, NS_PER_S);
    client_get(&later, &world, "GET a /\n");
    loopback_settle(&world);
    assert_int_equal(later.status, 0);
    assert_int_equal(world.env.unanswered_count, 1);
    respond(&world, 0, 204, "", NULL);
    respond(&world, 1, 204, "", NULL);
    assert_int_equal(patient.status, 204);
    assert_int_equal(later.status, 204);
    assert_int_equal(world.env.unanswered_count, 0);
    client_dispose(&patient);
    client_dispose(&later);
    loopback_dispose(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_goes_up_and_its_response_down),
        cmocka_unit_test(bodies_and_trailers_go_both_ways),
        cmocka_unit_test(a_response_may_begin_before_the_request_has_ended),
        cmocka_unit_test(a_response_may_be_complete_before_the_request_is),
        cmocka_unit_test(every_1xx_is_passed_on),
        cmocka_unit_test(a_1xx_in_the_same_read_as_the_response_comes_first),
        cmocka_unit_test(head_204_and_304_have_no_body),
        cmocka_unit_test(a_response_that_ends_with_its_connection_is_complete),
        cmocka_unit_test(many_requests_use_one_connection_in_turn),
        cmocka_unit_test(a_stream_keeps_its_memory_until_it_is_released),
        cmocka_unit_test(a_stream_is_served_by_the_snapshot_it_began_with),
        cmocka_unit_test(counters_say_what_happened),
        cmocka_unit_test(no_more_wait_for_a_response_than_there_is_memory_for),
        cmocka_unit_test(one_that_has_waited_for_long_keeps_nobody_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
