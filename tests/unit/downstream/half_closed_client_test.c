// A client that has ended its side and reads slowly: whenever the end comes, the answer that is on its way is not lost with the connection, which closes behind it.
#include "unit/downstream/near_drive.h"

enum { BODY = 60000 };

struct world {
    struct fake_downstream near;
    struct near_conn *conn;
};

static void world_init(struct world *world) {
    fake_downstream_init(&world->near, PROXY SERVICE("HTTP1", ONE), NULL);
    world->conn = near_connect(&world->near, "outbound");
}

static void send_request(struct world *world, const char *head) {
    near_send(world->conn, head);
    fake_peer_accept(world->conn->peer, 0);
}

// The whole response lies in the connection's output then: the client takes nothing.
static void respond_in_full(struct world *world) {
    char body[BODY];
    memset(body, 'x', BODY);
    struct far_conn *conn = far_conn(&world->near.loopback.far, 0);
    far_respond(conn, far_request(conn, 0), 200, "content-length: 60000\n", NULL, false);
    far_body(conn, far_request(conn, 0), bytes_from(body, BODY), true);
    assert_int_equal(world->near.loopback.record.count, 1);
    assert_true(world->conn->peer->transport->out.length >= BODY);
}

static size_t body_received(struct world *world) {
    const char *received = near_received(world->conn);
    const char *start = strstr(received, "\r\n\r\n");
    return start == NULL ? 0 : strlen(start + 4);
}

static void read_in_portions(struct world *world) {
    for (int i = 0; i < 8; i++) {
        fake_peer_accept(world->conn->peer, 15000);
        near_settle(&world->near);
    }
    assert_int_equal(body_received(world), BODY);
    assert_true(near_is_closed(world->conn));
    assert_false(world->conn->peer->closed_reset);
}

static void an_end_before_the_answer_takes_nothing_of_it_away(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    send_request(&world, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    near_close(world.conn);
    respond_in_full(&world);
    read_in_portions(&world);
    fake_downstream_dispose(&world.near);
}

static void an_end_behind_the_last_answer_takes_nothing_of_it_away(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    send_request(&world, "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    respond_in_full(&world);
    near_close(world.conn);
    read_in_portions(&world);
    fake_downstream_dispose(&world.near);
}

static void an_end_behind_an_answer_on_a_kept_connection_takes_nothing_of_it_away(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    send_request(&world, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    respond_in_full(&world);
    near_close(world.conn);
    read_in_portions(&world);
    fake_downstream_dispose(&world.near);
}

static void one_that_ended_its_side_and_reads_nothing_is_given_up(void **state) {
    (void)state;
    struct world world;
    world_init(&world);
    send_request(&world, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    respond_in_full(&world);
    near_close(world.conn);
    near_pass(&world.near, 59 * NS_PER_S);
    assert_false(near_is_closed(world.conn));
    near_pass(&world.near, 2 * NS_PER_S);
    assert_true(near_is_closed(world.conn));
    fake_downstream_dispose(&world.near);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_end_before_the_answer_takes_nothing_of_it_away),
        cmocka_unit_test(an_end_behind_the_last_answer_takes_nothing_of_it_away),
        cmocka_unit_test(an_end_behind_an_answer_on_a_kept_connection_takes_nothing_of_it_away),
        cmocka_unit_test(one_that_ended_its_side_and_reads_nothing_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
