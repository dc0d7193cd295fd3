// What a connection begins with, where first bytes tell what is spoken: requests that come slowly are requests, whoever is silent waits for its server, and each wait ends.
#include "unit/downstream/one_client.h"

#define LISTENER(options)                                                                                                                   \
    API "kind: Proxy\nmetadata: {name: p}\nspec:\n  listeners:\n"                                                                           \
        "  - {name: inbound, role: Inbound, address: '127.0.0.1:15006', forwardTo: '127.0.0.1:8009', mtls: {mode: Disable}, " options "}\n" \
        "  telemetry: {accessLog: {path: /dev/null, filter: All}}\n"
#define TIMEOUT NS_PER_S // detection.timeout

#define REST " / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Client-Cert: forged\r\nOutrigger-Refused: denied\r\n\r\n"

static void a_request_that_pauses_in_its_method_is_still_one(void **state) {
    (void)state;
    static const char *const beginnings[][2] = {{"G", "ET" REST}, {"GET", REST}, {"\r\n", "GET" REST}};
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++) {
        struct world world;
        world_init(&world, LISTENER("detection: {}"), "inbound");
        near_send(world.conn, beginnings[i][0]);
        near_pass(&world.near, TIMEOUT + PATIENCE / 2);
        near_send(world.conn, beginnings[i][1]);
        assert_has(near_received(world.conn), "HTTP/1.1 200 OK\r\n");
        assert_has_not(received(&world.near.loopback, 0), "forged");
        assert_has_not(received(&world.near.loopback, 0), "refused");
        assert_int_equal(metric_read(&metrics_of(&world)->detected_http1), 1);
        assert_int_equal(metric_read(&metrics_of(&world)->detected_silent), 0);
        world_dispose(&world);
    }
}

static void a_preface_that_pauses_is_still_one(void **state) {
    (void)state;
    struct world world;
    world_init(&world, LISTENER("detection: {}"), "inbound");
    near_send(world.conn, "PRI * HTTP/2.0\r\n");
    near_pass(&world.near, 2 * TIMEOUT);
    near_send(world.conn, "\r\nSM\r\n\r\n");
    assert_int_equal(metric_read(&metrics_of(&world)->detected_http2), 1);
    world_dispose(&world);
}

static void a_method_that_we_do_not_know_is_refused_and_not_passed_by(void **state) {
    (void)state;
    struct world world;
    world_init(&world, LISTENER("detection: {}"), "inbound");
    near_send(world.conn, "FROB" REST);
    assert_has(near_received(world.conn), "HTTP/1.1 501 ");
    assert_int_equal(world.near.loopback.far.count, 0);
    world_dispose(&world);
}

static void what_never_becomes_a_request_is_not_waited_for(void **state) {
    (void)state;
    struct world world;
    world_init(&world, LISTENER("detection: {}"), "inbound");
    near_send(world.conn, "G");
    near_pass(&world.near, TIMEOUT + PATIENCE - NS_PER_MS);
    assert_false(near_is_closed(world.conn));
    near_pass(&world.near, 10 * NS_PER_MS);
    assert_true(near_is_closed(world.conn));
    assert_int_equal(world.near.loopback.far.count, 0);
    world_dispose(&world);
}

static void another_word_is_relayed_once_its_client_waits(void **state) {
    (void)state;
    struct world world;
    world_init(&world, LISTENER("detection: {}"), "inbound");
    world.near.loopback.far.mode = FAR_RAW;
    near_send(world.conn, "ruok");
    assert_int_equal(world.near.loopback.far.count, 0);
    near_pass(&world.near, TIMEOUT);
    assert_string_equal(far_sent(far_conn(&world.near.loopback.far, 0)), "ruok");
    assert_int_equal(metric_read(&metrics_of(&world)->detected_tcp), 1);
    world_dispose(&world);
}

static void a_silent_client_waits_for_its_server(void **state) {
    (void)state;
    struct world world;
    world_init(&world, LISTENER("detection: {}"), "inbound");
    world.near.loopback.far.mode = FAR_RAW;
    near_pass(&world.near, TIMEOUT);
    far_send(far_conn(&world.near.loopback.far, 0), "220 hi");
    assert_string_equal(near_received(world.conn), "220 hi");
    assert_int_equal(metric_read(&metrics_of(&world)->detected_silent), 1);
    world_dispose(&world);
}

static void bytes_in_one_piece_with_a_proxy_header_are_not_waited_behind_for_long(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct world world;
        world_init(&world, LISTENER("proxyProtocol: Require"), "inbound");
        if (i == 0) {
            near_send(world.conn, "PROXY TCP4 192.0.2.7 10.0.0.1 5555 80\r\nP");
        } else {
            near_send(world.conn, "PROXY TCP4 192.0.2.7 10.0.0.1 5555 80\r\n");
            near_pass(&world.near, PATIENCE * 2); // between requests, as it were
            near_send(world.conn, "P");
        }
        near_pass(&world.near, PATIENCE - NS_PER_MS);
        assert_false(near_is_closed(world.conn));
        near_pass(&world.near, 10 * NS_PER_MS);
        assert_true(near_is_closed(world.conn));
        world_dispose(&world);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_that_pauses_in_its_method_is_still_one),
        cmocka_unit_test(a_preface_that_pauses_is_still_one),
        cmocka_unit_test(a_method_that_we_do_not_know_is_refused_and_not_passed_by),
        cmocka_unit_test(what_never_becomes_a_request_is_not_waited_for),
        cmocka_unit_test(another_word_is_relayed_once_its_client_waits),
        cmocka_unit_test(a_silent_client_waits_for_its_server),
        cmocka_unit_test(bytes_in_one_piece_with_a_proxy_header_are_not_waited_behind_for_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
