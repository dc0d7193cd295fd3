// A worker goes from one snapshot to the next in slices: what was in force serves until all is there; a stream that began with it ends with it.
#include "unit/downstream/near_drive.h"

#include "downstream/switchover.h"

#define SERVICES 600
#define DOCUMENT_BYTES 300

struct switching {
    struct fake_downstream near;
    struct switchover switchover;
    unsigned switched;
    unsigned settled;
    char *documents;
};

static void on_switched(void *user, struct bound_snapshot *bound) {
    struct switching *world = user;
    assert_int_equal(world->settled, world->switched);
    world->switched++;
    bound_retire(world->near.loopback.bound);
    world->near.loopback.bound = bound;
}

static void on_settled(void *user) {
    struct switching *world = user;
    world->settled++;
    assert_int_equal(world->settled, world->switched);
}

// The services "s0" to "s<count - 1>", all at one port.
static const char *many(struct switching *world, unsigned count, unsigned port) {
    size_t room = sizeof(PROXY) + (size_t)count * DOCUMENT_BYTES;
    free(world->documents);
    world->documents = alloc_or_abort(room);
    size_t length = (size_t)snprintf(world->documents, room, "%s", PROXY);
    for (unsigned i = 0; i < count; i++)
        length +=
            (size_t)snprintf(world->documents + length, room - length,
                             API "kind: ServiceEntry\nmetadata: {name: s%u}\nspec: {hosts: [s%u], ports: [{name: http, port: 80, protocol: HTTP1}], "
                                 "tls: {mode: None}, endpoints: [{address: '127.0.0.1:%u'}]}\n---\n",
                             i, i, port);
    assert_true(length < room);
    return world->documents;
}

static void world_init(struct switching *world, unsigned count) {
    *world = (struct switching){0};
    fake_downstream_init(&world->near, many(world, count, 8001), NULL);
    world->near.loopback.far.serve = serve_paths;
    switchover_init(&world->switchover, &world->near.downstream, on_switched, on_settled, world);
}

static void world_dispose(struct switching *world) {
    fake_downstream_dispose(&world->near);
    free(world->documents);
}

static void begin(struct switching *world, const char *documents) {
    struct snapshot *snapshot = fake_upstream_load(&world->near.loopback.far, documents);
    switchover_begin(&world->switchover, chain_set_create(snapshot_ref(snapshot), world->near.loopback.filters, NULL, NULL));
}

static void turn(struct switching *world) {
    check_loop_turn(&world->near.loopback.far.check);
}

static struct bound_snapshot *in_force(struct switching *world) {
    return ((struct downstream_listener *)map_get(&world->near.downstream.listeners, BYTES("outbound")))->bound;
}

// Turns until the new one is in force; the old one is all the time before.
static unsigned turns_to_switch(struct switching *world, const char *documents) {
    struct bound_snapshot *before = in_force(world);
    unsigned turns = 0;
    world->switched = world->settled = 0;
    begin(world, documents);
    assert_int_equal(world->switched, 0);
    for (; world->switched == 0; turns++) {
        assert_ptr_equal(in_force(world), before);
        turn(world);
    }
    assert_ptr_equal(in_force(world), world->near.loopback.bound);
    near_settle(&world->near);
    assert_int_equal(world->settled, 1);
    assert_false(switchover_is_under_way(&world->switchover));
    return turns;
}

static void new_services_are_made_in_slices(void **state) {
    (void)state;
    struct switching world;
    world_init(&world, 1);
    // Each is a cluster and an endpoint, and a destination.
    unsigned least = SERVICES * CHANGE_COST * 2 / SWITCHOVER_SLICE;
    unsigned turns = turns_to_switch(&world, many(&world, SERVICES, 8001));
    assert_in_range(turns, least, least + least / 4 + 2);
    struct near_conn *conn = near_connect(&world.near, "outbound");
    near_send(conn, "GET /x HTTP/1.1\r\nHost: s599\r\n\r\n");
    assert_has(near_received(conn), "\r\n\r\n/x");
    world_dispose(&world);
}

static void services_that_stay_take_few_turns(void **state) {
    (void)state;
    struct switching world;
    world_init(&world, SERVICES);
    assert_in_range(turns_to_switch(&world, many(&world, SERVICES, 8001)), 2, 3);
    assert_true(turns_to_switch(&world, many(&world, SERVICES, 8002)) > 8); // others: all have changed
    world_dispose(&world);
}

static void few_services_take_one_turn(void **state) {
    (void)state;
    struct switching world;
    world_init(&world, 2);
    assert_int_equal(turns_to_switch(&world, many(&world, 3, 8002)), 1);
    world_dispose(&world);
}

static void a_request_that_began_before_ends_with_what_it_began(void **state) {
    (void)state;
    struct switching world;
    world_init(&world, SERVICES);
    world.near.loopback.far.serve = NULL;
    struct near_conn *conn = near_connect(&world.near, "outbound");
    near_send(conn, "GET /x HTTP/1.1\r\nHost: s7\r\n\r\n");
    struct bound_snapshot *before = in_force(&world);
    turns_to_switch(&world, PROXY); // its service is gone
    assert_int_equal(world.near.loopback.far.upstream.clusters.count, 1);
    assert_int_equal(before->pins, 1);
    assert_int_equal(metric_read(&world.near.loopback.far.metrics.snapshots_bound), 2);
    far_respond(far_conn(&world.near.loopback.far, 0), far_request(far_conn(&world.near.loopback.far, 0), 0), 200, "content-length: 2\n", "ok", true);
    assert_has(near_received(conn), "\r\n\r\nok");
    assert_int_equal(metric_read(&world.near.loopback.far.metrics.snapshots_bound), 1);
    near_forget(conn);
    near_send(conn, "GET /x HTTP/1.1\r\nHost: s7\r\n\r\n");
    assert_has(near_received(conn), "HTTP/1.1 502");
    world_dispose(&world);
}

static void one_that_is_begun_can_be_finished_at_once(void **state) {
    (void)state;
    struct switching world;
    world_init(&world, 1);
    switchover_finish(&world.switchover); // none is under way
    begin(&world, many(&world, SERVICES, 8001));
    turn(&world);
    assert_true(switchover_is_under_way(&world.switchover));
    switchover_finish(&world.switchover);
    assert_int_equal(world.switched, 1);
    assert_int_equal(world.settled, 1);
    assert_int_equal(world.near.loopback.far.upstream.clusters.count, SERVICES + 1);
    near_settle(&world.near);
    assert_int_equal(world.settled, 1);
    world_dispose(&world);
}

static void old_snapshots_are_let_go_of_in_slices(void **state) {
    (void)state;
    struct switching world;
    world_init(&world, SERVICES);
    struct metric_cell *bound = &world.near.loopback.far.metrics.snapshots_bound;
    begin(&world, PROXY);
    switchover_finish(&world.switchover);
    unsigned turns = 0;
    for (; metric_read(bound) > 1; turns++)
        turn(&world);
    assert_in_range(turns, 2, 4);
    world_dispose(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_services_are_made_in_slices),
        cmocka_unit_test(services_that_stay_take_few_turns),
        cmocka_unit_test(few_services_take_one_turn),
        cmocka_unit_test(a_request_that_began_before_ends_with_what_it_began),
        cmocka_unit_test(one_that_is_begun_can_be_finished_at_once),
        cmocka_unit_test(old_snapshots_are_let_go_of_in_slices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
