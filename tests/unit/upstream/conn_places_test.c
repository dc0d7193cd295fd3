// A service's bound of connections: over its endpoints, its kinds of pools and all workers, never exceeded; a place that is free goes to whoever waits, in turn; nobody is locked out.
#include "unit/upstream/pool_drive.h"

#include <pthread.h>

#define TWO_ENDPOINTS "{address: '127.0.0.1:8001'}, {address: '127.0.0.1:8002'}"
#define THREE_ENDPOINTS TWO_ENDPOINTS ", {address: '127.0.0.1:8003'}"
#define DOCUMENTS(protocol, endpoints, groups) PROXY_DOCUMENT SERVICE_DOCUMENT("a", protocol, endpoints) POLICY_DOCUMENT("a", groups)
#define HTTP1_DOCUMENTS(groups) DOCUMENTS("HTTP1", TWO_ENDPOINTS, groups)
#define KEY "default/a:80"
#define MANY 12

struct world {
    struct fake_upstream far;
    struct conn_pool *pools[3]; // of each endpoint
    struct try tries[MANY];
    struct far_conn *used[MANY]; // by each of them; the proxy's end may be gone
    unsigned count;
};

static void world_init(struct world *world, const char *documents, enum pool_kind kind) {
    memset(world, 0, sizeof *world);
    fake_upstream_init(&world->far, documents);
    for (unsigned i = 0; i < fake_upstream_cluster(&world->far, KEY)->endpoint_count; i++)
        world->pools[i] = pool_of(&world->far, KEY, i, kind);
}

static void world_end(struct world *world) {
    for (unsigned i = 0; i < world->count; i++)
        try_end(&world->tries[i]);
    fake_upstream_dispose(&world->far);
}

// Each request's connection is remembered while it is there.
static void look(struct world *world) {
    for (unsigned i = 0; i < world->count; i++)
        for (unsigned j = 0; j < world->far.count && world->tries[i].sent && world->used[i] == NULL; j++)
            if (world->tries[i].conn->transport == far_conn(&world->far, j)->peer->transport)
                world->used[i] = far_conn(&world->far, j);
}

static void pass(struct world *world, nanoseconds time) {
    fake_upstream_pass(&world->far, time);
    look(world);
}

// The next request, to that endpoint.
static struct try *ask(struct world *world, unsigned endpoint) {
    struct try *try = &world->tries[world->count++];
    try_begin(try, &world->far, world->pools[endpoint]);
    fake_upstream_settle(&world->far);
    look(world);
    return try;
}

static struct far_conn *conn_of(struct world *world, const struct try *try) {
    struct far_conn *conn = world->used[try - world->tries];
    assert_non_null(conn);
    return conn;
}

static unsigned open_count(struct world *world) {
    unsigned count = 0;
    for (unsigned i = 0; i < world->far.count; i++)
        count += !far_conn(&world->far, i)->peer->closed;
    return count;
}

// Its server answers, the newest request of its connection.
static void answer(struct world *world, const struct try *try) {
    struct far_conn *conn = conn_of(world, try);
    far_respond(conn, far_request(conn, conn->server.count - 1), 204, "", NULL, true);
    look(world);
}

static struct service_shared *shared(struct world *world) {
    return fake_upstream_cluster(&world->far, KEY)->shared;
}

static void assert_nothing_owed(struct world *world) {
    assert_int_equal(atomic_load(&shared(world)->starved), 0);
    assert_int_equal(atomic_load(&shared(world)->owed), 0);
    assert_int_equal(atomic_load(&shared(world)->promised), 0);
}

static void the_bound_is_the_services_over_its_endpoints(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP1_DOCUMENTS("  connections: {max: 3}\n"), POOL_HTTP1);
    struct try *first = ask(&world, 0);
    struct try *second = ask(&world, 0);
    struct try *third = ask(&world, 1);
    struct try *fourth = ask(&world, 1);
    assert_true(first->sent && second->sent && third->sent && try_waits(fourth));
    pass(&world, 10 * NS_PER_S);
    assert_int_equal(world.far.count, 3);
    assert_int_equal(atomic_load(&shared(&world)->connections), 3);
    assert_int_equal(fake_upstream_cluster(&world.far, KEY)->places.refused, 1);
    // What the other endpoint has no use for goes to the one that waits.
    answer(&world, first);
    assert_true(fourth->sent);
    assert_int_equal(open_count(&world), 3);
    assert_int_equal(atomic_load(&shared(&world)->connections_peak), 3);
    assert_nothing_owed(&world);
    world_end(&world);
}

static void what_is_idle_elsewhere_makes_room_at_once(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS("HTTP1", THREE_ENDPOINTS, "  connections: {max: 2}\n"), POOL_HTTP1);
    struct try *first = ask(&world, 0);
    answer(&world, first);
    struct try *second = ask(&world, 1);
    answer(&world, second);
    assert_int_equal(open_count(&world), 2);
    struct try *third = ask(&world, 2);
    assert_true(third->sent);
    assert_true(conn_of(&world, first)->peer->closed); // idle for longer
    assert_false(conn_of(&world, second)->peer->closed);
    assert_nothing_owed(&world);
    world_end(&world);
}

static void a_pool_of_another_kind_has_the_same_bound(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP1_DOCUMENTS("  connections: {max: 1}\n"), POOL_HTTP1);
    struct try *first = ask(&world, 0);
    world.pools[1] = pool_of(&world.far, KEY, 0, POOL_HTTP2);
    struct try *other = ask(&world, 1);
    assert_true(first->sent && try_waits(other));
    answer(&world, first);
    assert_true(other->sent);
    world_end(&world);
}

// With `Connection: close` each answer gives a place back: those who wait at one endpoint must not get all of them.
static void places_go_round(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP1_DOCUMENTS("  connections: {max: 3}\n"), POOL_HTTP1);
    struct try *held[] = {ask(&world, 0), ask(&world, 1)};
    struct try *one = ask(&world, 0);
    for (unsigned i = 0; i < 6; i++)
        ask(&world, i / 3);
    unsigned served[2] = {0};
    for (int round = 0; round < 4; round++) {
        far_break(conn_of(&world, one));
        look(&world);
        one = NULL;
        for (unsigned i = 3; i < world.count && one == NULL; i++)
            if (world.tries[i].sent && !conn_of(&world, &world.tries[i])->peer->closed)
                one = &world.tries[i];
        assert_non_null(one);
        served[one->conn_pool == world.pools[1]]++;
    }
    assert_int_equal(served[0], 2);
    assert_int_equal(served[1], 2);
    assert_false(conn_of(&world, held[0])->peer->closed || conn_of(&world, held[1])->peer->closed);
    world_end(&world);
}

// The one connection never has to close: there is always another who waits for it.
static void one_with_no_connection_gets_its_turn_though_others_wait(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP1_DOCUMENTS("  connections: {max: 1}\n"), POOL_HTTP1);
    struct try *tries[4];
    for (int i = 0; i < 4; i++)
        tries[i] = ask(&world, 0);
    struct try *locked_out = ask(&world, 1);
    answer(&world, tries[0]);
    assert_true(tries[1]->sent && try_waits(locked_out)); // not yet: a connection is not made anew for each request
    pass(&world, 150 * NS_PER_MS);
    assert_int_equal(atomic_load(&shared(&world)->owed), 1);
    answer(&world, tries[1]);
    assert_true(locked_out->sent && try_waits(tries[2]));
    assert_int_equal(open_count(&world), 1);
    assert_int_equal(atomic_load(&shared(&world)->owed) + atomic_load(&shared(&world)->promised), 0);
    pass(&world, 150 * NS_PER_MS);
    answer(&world, locked_out);
    assert_true(tries[2]->sent);
    answer(&world, tries[2]);
    assert_true(tries[3]->sent);
    assert_nothing_owed(&world);
    world_end(&world);
}

static void an_http2_connection_that_is_always_in_use_is_given_up_too(void **state) {
    (void)state;
    struct world world;
    world_init(&world, DOCUMENTS("HTTP2", TWO_ENDPOINTS, "  connections: {max: 1}\n"), POOL_HTTP2);
    struct try *first = ask(&world, 0);
    struct try *second = ask(&world, 0);
    struct try *locked_out = ask(&world, 1);
    assert_true(first->sent && second->sent && try_waits(locked_out));
    pass(&world, 150 * NS_PER_MS);
    struct far_conn *conn = conn_of(&world, first);
    far_respond(conn, far_request(conn, 0), 204, "", NULL, true);
    struct try *third = ask(&world, 0); // nothing new on it
    assert_true(try_waits(third) && try_waits(locked_out));
    far_respond(conn, far_request(conn, 1), 204, "", NULL, true);
    assert_true(second->up.ended && conn->peer->closed && locked_out->sent);
    assert_int_equal(open_count(&world), 1);
    world_end(&world);
}

static void one_who_leaves_is_owed_nothing(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP1_DOCUMENTS("  connections: {max: 1}\n"), POOL_HTTP1);
    struct try *first = ask(&world, 0);
    struct try *second = ask(&world, 0);
    struct try *locked_out = ask(&world, 1);
    pass(&world, 150 * NS_PER_MS);
    assert_int_equal(atomic_load(&shared(&world)->owed), 1);
    conn_waiter_cancel(&locked_out->waiter);
    assert_int_equal(atomic_load(&shared(&world)->owed) + atomic_load(&shared(&world)->promised), 0);
    answer(&world, first);
    assert_true(second->sent);
    assert_int_equal(world.far.count, 1); // it was not given up
    world_end(&world);
}

// A long answer, a tunnel: no connection of that pool will be free for long, while another endpoint's is used now and then.
static void one_whose_connections_are_at_work_for_long_gets_what_is_idle(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP1_DOCUMENTS("  connections: {max: 2, http1IdleTimeout: 1h}\n"), POOL_HTTP1);
    struct try *held = ask(&world, 0);
    struct try *idle = ask(&world, 1);
    answer(&world, idle);
    struct try *behind = ask(&world, 0);
    assert_true(held->sent && try_waits(behind));
    assert_false(conn_of(&world, idle)->peer->closed); // the held one may be free at any moment
    pass(&world, 150 * NS_PER_MS);
    assert_true(behind->sent);
    assert_true(conn_of(&world, idle)->peer->closed);
    world_end(&world);
}

static void a_retired_endpoint_holds_its_places_until_its_connections_close(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP1_DOCUMENTS("  connections: {max: 1}\n"), POOL_HTTP1);
    struct try *first = ask(&world, 0);
    endpoint_ref(world.pools[0]->endpoint); // its try goes on
    fake_upstream_apply(&world.far, DOCUMENTS("HTTP1", "{address: '127.0.0.1:8002'}", "  connections: {max: 1}\n"));
    struct try *second = ask(&world, 1);
    assert_true(try_waits(second));
    pass(&world, NS_PER_S);
    assert_true(try_waits(second));
    answer(&world, first);
    pass(&world, 10 * NS_PER_MS);
    assert_true(second->sent);
    endpoint_unref(world.pools[0]->endpoint);
    world_end(&world);
}

static void who_waits_is_served_when_the_bound_is_raised(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct world world;
        world_init(&world, HTTP1_DOCUMENTS("  connections: {max: 1}\n"), POOL_HTTP1);
        struct try *tries[] = {ask(&world, 0), ask(&world, 0), ask(&world, 1)};
        assert_true(tries[0]->sent && !tries[1]->sent && !tries[2]->sent);
        fake_upstream_apply(&world.far, i == 0 ? HTTP1_DOCUMENTS("  connections: {max: 3}\n") : HTTP1_DOCUMENTS("  connections: {max: 0}\n"));
        pass(&world, 10 * NS_PER_MS);
        assert_true(tries[1]->sent && tries[2]->sent);
        assert_nothing_owed(&world);
        world_end(&world);
    }
}

static void without_a_socket_nobody_waits_for_ever(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP1_DOCUMENTS("  connections: {max: 1}\n"), POOL_HTTP1);
    struct try *first = ask(&world, 0);
    struct try *second = ask(&world, 1);
    world.far.mode = FAR_NO_SOCKET;
    answer(&world, first); // its connection goes, and none can be made in its place
    assert_int_equal(second->error, ERROR_POOL_FULL);
    assert_int_equal(atomic_load(&shared(&world)->connections), 0);
    assert_nothing_owed(&world);
    world_end(&world);
}

// --- promises ---

#define HTTP2_DOCUMENTS(groups) DOCUMENTS("HTTP2", THREE_ENDPOINTS, groups)

static void answer_one(struct world *world, struct try *try, unsigned number) {
    struct far_conn *conn = conn_of(world, try);
    far_respond(conn, far_request(conn, number), 204, "", NULL, true);
    look(world);
    assert_true(try->up.ended);
}

static unsigned promised(struct world *world) {
    return atomic_load(&shared(world)->promised);
}

// A stream may last for hours. Then who is owed a connection gets another's, and the requests that were held up go on.
static void a_promise_that_a_long_stream_keeps_up_is_kept_by_another(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP2_DOCUMENTS("  connections: {max: 2}\n"), POOL_HTTP2);
    struct try *hours = ask(&world, 0);
    struct try *brief = ask(&world, 0);
    struct try *others[] = {ask(&world, 1), ask(&world, 1)};
    struct try *locked_out = ask(&world, 2);
    pass(&world, 150 * NS_PER_MS);
    assert_int_equal(atomic_load(&shared(&world)->owed), 1);
    answer_one(&world, brief, 1);
    assert_int_equal(promised(&world), 1);
    struct try *held_up = ask(&world, 0);
    answer_one(&world, others[0], 0); // one promise is enough
    assert_true(try_waits(held_up) && promised(&world) == 1);
    pass(&world, 110 * NS_PER_MS);
    assert_true(held_up->sent && promised(&world) == 0);
    assert_ptr_equal(conn_of(&world, held_up), conn_of(&world, hours));
    struct try *more = ask(&world, 1);
    answer_one(&world, others[1], 1);
    assert_int_equal(promised(&world), 1);
    answer_one(&world, more, 2);
    assert_true(locked_out->sent && conn_of(&world, more)->peer->closed && !conn_of(&world, hours)->peer->closed);
    assert_nothing_owed(&world);
    world_end(&world);
}

// What waits at a connection that cannot keep its promise is not held up all the time.
static void who_broke_a_promise_makes_the_next_one_later_and_for_longer(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP2_DOCUMENTS("  connections: {max: 1}\n"), POOL_HTTP2);
    struct try *hours = ask(&world, 0);
    struct try *locked_out = ask(&world, 1);
    pass(&world, 150 * NS_PER_MS);
    nanoseconds length = 100 * NS_PER_MS;
    for (unsigned round = 0; round < 3; round++, length *= 2) {
        struct try *brief = ask(&world, 0);
        assert_true(brief->sent);
        answer_one(&world, brief, 2 * round + 1);
        assert_true(hours->conn->is_promised);
        pass(&world, length - 10 * NS_PER_MS);
        assert_true(hours->conn->is_promised);
        pass(&world, 20 * NS_PER_MS);
        assert_false(hours->conn->is_promised);
        struct try *soon = ask(&world, 0);
        pass(&world, 9 * length);
        answer_one(&world, soon, 2 * round + 2);
        assert_false(hours->conn->is_promised);
        pass(&world, length);
    }
    answer_one(&world, hours, 0);
    assert_true(locked_out->sent);
    assert_nothing_owed(&world);
    world_end(&world);
}

static void a_promise_ends_with_the_need_for_it(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP2_DOCUMENTS("  connections: {max: 1}\n"), POOL_HTTP2);
    struct try *hours = ask(&world, 0);
    struct try *brief = ask(&world, 0);
    struct try *locked_out = ask(&world, 1);
    pass(&world, 150 * NS_PER_MS);
    answer_one(&world, brief, 1);
    struct try *held_up = ask(&world, 0);
    assert_true(hours->conn->is_promised && try_waits(held_up));
    conn_waiter_cancel(&locked_out->waiter);
    pass(&world, 100 * NS_PER_MS);
    assert_true(held_up->sent && hours->conn->promises_broken == 0);
    assert_nothing_owed(&world);
    world_end(&world);
}

static void a_promise_goes_with_its_connection(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP2_DOCUMENTS("  connections: {max: 1}\n"), POOL_HTTP2);
    struct try *hours = ask(&world, 0);
    struct try *brief = ask(&world, 0);
    struct try *locked_out = ask(&world, 1);
    pass(&world, 150 * NS_PER_MS);
    answer_one(&world, brief, 1);
    assert_true(hours->conn->is_promised);
    far_break(conn_of(&world, hours));
    look(&world);
    assert_true(locked_out->sent);
    assert_nothing_owed(&world);
    world_end(&world);
}

// --- connections that take nothing more ---

static void say_goaway(struct world *world, const struct try *try) {
    struct codec *codec = conn_of(world, try)->server.codec;
    codec->ops->signal(codec, CODEC_DRAIN);
    fake_upstream_settle(&world->far);
    look(world);
}

// Its server has said GOAWAY, and a stream goes on for long: for new requests that is no connection.
static void a_pool_whose_only_connection_drains_claims_a_place(void **state) {
    (void)state;
    for (int is_full = 0; is_full < 2; is_full++) {
        struct world world;
        world_init(&world, is_full ? HTTP2_DOCUMENTS("  connections: {max: 2, maxStreams: 1}\n") : HTTP2_DOCUMENTS("  connections: {max: 2}\n"),
                   POOL_HTTP2);
        struct try *hours = ask(&world, 0);
        struct try *other = ask(&world, 1);
        struct try *behind = ask(&world, 1);
        struct try *waits = is_full ? ask(&world, 0) : NULL;
        say_goaway(&world, hours);
        if (!is_full)
            waits = ask(&world, 0);
        assert_int_equal(world.pools[0]->leaving, 1);
        assert_int_equal(world.pools[0]->need, NEED_STARVED);
        pass(&world, 150 * NS_PER_MS);
        assert_int_equal(world.pools[0]->need, NEED_OWED);
        answer_one(&world, other, 0);
        if (!is_full)
            answer_one(&world, behind, 1);
        assert_true(waits->sent && conn_of(&world, other)->peer->closed && !conn_of(&world, hours)->peer->closed);
        if (is_full)
            assert_true(try_waits(behind));
        answer_one(&world, hours, 0);
        assert_true(behind->sent);
        assert_nothing_owed(&world);
        world_end(&world);
    }
}

// The head of its answer says that the connection ends behind it; the body takes its time.
static void an_http1_connection_that_will_close_is_none(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP1_DOCUMENTS("  connections: {max: 2, http1IdleTimeout: 1h}\n"), POOL_HTTP1);
    struct try *idle = ask(&world, 1);
    answer(&world, idle);
    struct try *slow = ask(&world, 0);
    struct try *behind = ask(&world, 0);
    assert_true(slow->sent && try_waits(behind));
    struct far_conn *conn = conn_of(&world, slow);
    conn->server.codec->ops->signal(conn->server.codec, CODEC_DRAIN);
    far_respond(conn, far_request(conn, 0), 200, "", "some", false);
    pass(&world, 10 * NS_PER_MS);
    assert_true(behind->sent && conn_of(&world, idle)->peer->closed && !slow->up.ended);
    assert_nothing_owed(&world);
    world_end(&world);
}

// All that it has is at work for long, while others' go from one request to the next.
static void a_pool_that_was_served_nothing_for_long_is_owed_one(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP1_DOCUMENTS("  connections: {max: 2}\n"), POOL_HTTP1);
    struct try *hours = ask(&world, 0);
    struct try *busy[] = {ask(&world, 1), ask(&world, 1), ask(&world, 1)};
    struct try *behind = ask(&world, 0);
    pass(&world, 500 * NS_PER_MS);
    answer(&world, busy[0]);
    assert_true(busy[1]->sent && try_waits(behind));
    pass(&world, 600 * NS_PER_MS);
    answer(&world, busy[1]);
    assert_true(behind->sent && try_waits(busy[2]) && !hours->up.ended);
    pass(&world, 150 * NS_PER_MS);
    answer(&world, behind);
    assert_true(busy[2]->sent);
    assert_nothing_owed(&world);
    world_end(&world);
}

// Two that are owed one, each with a connection: who has waited for longer keeps its own.
static void slow_pools_do_not_pass_connections_to_and_fro(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP1_DOCUMENTS("  connections: {max: 2}\n"), POOL_HTTP1);
    struct try *first[3] = {ask(&world, 0)};
    struct try *second[3] = {ask(&world, 1)};
    for (int i = 1; i < 3; i++)
        first[i] = ask(&world, 0);
    pass(&world, 300 * NS_PER_MS);
    for (int i = 1; i < 3; i++)
        second[i] = ask(&world, 1);
    pass(&world, 1500 * NS_PER_MS);
    for (int i = 0; i < 2; i++) {
        answer(&world, first[i]);
        assert_true(first[i + 1]->sent);
        pass(&world, 300 * NS_PER_MS);
        answer(&world, second[i]);
        assert_true(second[i + 1]->sent);
        pass(&world, 1200 * NS_PER_MS);
    }
    assert_int_equal(world.far.count, 2);
    world_end(&world);
}

// --- services that are gone ---

static void a_service_that_is_gone_gives_its_idle_places_back_at_once(void **state) {
    (void)state;
    struct world world;
    const char *documents = HTTP1_DOCUMENTS("  connections: {max: 3, http1IdleTimeout: 1h}\n");
    world_init(&world, documents, POOL_HTTP1);
    struct cluster *old = fake_upstream_cluster(&world.far, KEY);
    cluster_ref(old); // of a stream
    struct try *idle = ask(&world, 0);
    struct try *hours = ask(&world, 0);
    struct try *last = ask(&world, 1);
    answer(&world, idle);
    assert_int_equal(atomic_load(&old->shared->connections), 3);
    fake_upstream_apply(&world.far, PROXY_DOCUMENT);
    fake_upstream_settle(&world.far);
    assert_int_equal(atomic_load(&old->shared->connections), 2);
    assert_true(conn_of(&world, idle)->peer->closed);
    answer(&world, last);
    assert_int_equal(atomic_load(&old->shared->connections), 1);
    // One of its streams tries again, and another leaves before it has what was made for it.
    struct try *again = ask(&world, 1);
    assert_true(again->sent);
    world.far.mode = FAR_WAIT;
    struct try *leaves = ask(&world, 1);
    conn_waiter_cancel(&leaves->waiter);
    far_connect(far_conn(&world.far, world.far.count - 1), OK);
    fake_upstream_settle(&world.far);
    assert_int_equal(atomic_load(&old->shared->connections), 2);
    // It comes back: what the old one still has counts.
    world.far.mode = FAR_ACCEPT;
    fake_upstream_apply(&world.far, documents);
    world.pools[2] = pool_of(&world.far, KEY, 0, POOL_HTTP1);
    struct try *fresh = ask(&world, 2);
    struct try *waits = ask(&world, 2);
    assert_true(fresh->sent && try_waits(waits));
    answer(&world, again);
    pass(&world, 10 * NS_PER_MS);
    assert_true(waits->sent);
    answer(&world, hours);
    assert_int_equal(atomic_load(&old->shared->connections), 2);
    cluster_unref(old);
    world_end(&world);
}

// --- several workers ---

#define THREADS 4
#define PLACES 5
#define ROUNDS 50000

// As much of a worker as taking a place needs.
struct small_worker {
    struct upstream upstream;
    struct cluster cluster;
    struct endpoint endpoint;
    struct endpoint_links links;
    unsigned taken;
};

static void *take_and_give_back(void *argument) {
    struct small_worker *worker = argument;
    struct conn_pool *pool = &worker->links.pools[POOL_HTTP1];
    for (int i = 0; i < ROUNDS; i++) {
        unsigned held = 0;
        while (held < 3 && conn_places_take(pool))
            held++;
        worker->taken += held;
        for (; held > 0; held--)
            conn_places_give_back(pool);
    }
    return NULL;
}

static void workers_together_have_no_more_than_may_be(void **state) {
    (void)state;
    static struct small_worker workers[THREADS];
    struct service_shared service = {0};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        struct small_worker *worker = &workers[i];
        *worker = (struct small_worker){.cluster = {.upstream = &worker->upstream, .shared = &service}};
        worker->cluster.traffic.connections.max = PLACES;
        worker->endpoint = (struct endpoint){.upstream = &worker->upstream, .cluster = &worker->cluster, .links = &worker->links};
        worker->links.shared = &service;
        conn_pool_init(&worker->links.pools[POOL_HTTP1], &worker->endpoint, POOL_HTTP1);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_give_back, &workers[i]), 0);
    unsigned taken = 0;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        taken += workers[i].taken;
    }
    assert_true(taken > ROUNDS);
    assert_int_equal(atomic_load(&service.connections), 0);
    assert_in_range(atomic_load(&service.connections_peak), 1, PLACES);
}

// One place is kept for a pool that starves on another worker.
static void who_comes_later_leaves_a_place_to_who_starves(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP1_DOCUMENTS("  connections: {max: 2}\n"), POOL_HTTP1);
    atomic_store(&shared(&world)->starved, 1);
    struct try *first = ask(&world, 0);
    struct try *second = ask(&world, 0);
    assert_true(first->sent && try_waits(second));
    assert_int_equal(world.far.count, 1);
    atomic_store(&shared(&world)->starved, 0);
    pass(&world, 10 * NS_PER_MS);
    assert_true(second->sent);
    world_end(&world);
}

// And an idle connection is closed for it.
static void what_is_idle_is_closed_for_another_worker(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP1_DOCUMENTS("  connections: {max: 2}\n"), POOL_HTTP1);
    struct try *first = ask(&world, 0);
    struct try *second = ask(&world, 1);
    answer(&world, first);
    upstream_give_places(&world.far.upstream);
    fake_upstream_settle(&world.far);
    assert_int_equal(open_count(&world), 2); // nobody starves
    atomic_store(&shared(&world)->starved, 1);
    upstream_give_places(&world.far.upstream);
    fake_upstream_settle(&world.far);
    assert_int_equal(open_count(&world), 1);
    answer(&world, second); // it is idle now, but a place is free
    upstream_give_places(&world.far.upstream);
    fake_upstream_settle(&world.far);
    assert_int_equal(open_count(&world), 1);
    atomic_store(&shared(&world)->starved, 2);
    upstream_give_places(&world.far.upstream);
    fake_upstream_settle(&world.far);
    assert_int_equal(open_count(&world), 0);
    atomic_store(&shared(&world)->starved, 0);
    world_end(&world);
}

// One that has waited for longer on another worker goes first, also before who has a place to give.
static void who_is_owed_one_elsewhere_for_longer_goes_first(void **state) {
    (void)state;
    struct world world;
    world_init(&world, HTTP1_DOCUMENTS("  connections: {max: 1}\n"), POOL_HTTP1);
    struct try *first = ask(&world, 0);
    struct try *second = ask(&world, 0);
    struct service_shared *service = shared(&world);
    atomic_store(&service->starved, 1);
    atomic_store(&service->owed, 1);
    atomic_store(&service->owed_first, 1);
    answer(&world, first);
    assert_int_equal(open_count(&world), 0);
    assert_int_equal(world.pools[0]->need, NEED_STARVED);
    pass(&world, 150 * NS_PER_MS);
    assert_int_equal(world.pools[0]->need, NEED_OWED);
    assert_int_equal(atomic_load(&service->owed), 2);
    assert_true(try_waits(second) && atomic_load(&service->owed_first) == 1);
    // It is served, and its worker knows of nobody else: the next look says who is first.
    atomic_store(&service->starved, 1);
    atomic_store(&service->owed, 1);
    atomic_store(&service->owed_first, 0);
    pass(&world, 10 * NS_PER_MS);
    assert_true(second->sent);
    assert_nothing_owed(&world);
    assert_int_equal(atomic_load(&service->owed_first), 0);
    world_end(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bound_is_the_services_over_its_endpoints),
        cmocka_unit_test(what_is_idle_elsewhere_makes_room_at_once),
        cmocka_unit_test(a_pool_of_another_kind_has_the_same_bound),
        cmocka_unit_test(places_go_round),
        cmocka_unit_test(one_with_no_connection_gets_its_turn_though_others_wait),
        cmocka_unit_test(an_http2_connection_that_is_always_in_use_is_given_up_too),
        cmocka_unit_test(one_who_leaves_is_owed_nothing),
        cmocka_unit_test(one_whose_connections_are_at_work_for_long_gets_what_is_idle),
        cmocka_unit_test(a_retired_endpoint_holds_its_places_until_its_connections_close),
        cmocka_unit_test(who_waits_is_served_when_the_bound_is_raised),
        cmocka_unit_test(without_a_socket_nobody_waits_for_ever),
        cmocka_unit_test(a_promise_that_a_long_stream_keeps_up_is_kept_by_another),
        cmocka_unit_test(who_broke_a_promise_makes_the_next_one_later_and_for_longer),
        cmocka_unit_test(a_promise_ends_with_the_need_for_it),
        cmocka_unit_test(a_promise_goes_with_its_connection),
        cmocka_unit_test(a_pool_whose_only_connection_drains_claims_a_place),
        cmocka_unit_test(an_http1_connection_that_will_close_is_none),
        cmocka_unit_test(a_pool_that_was_served_nothing_for_long_is_owed_one),
        cmocka_unit_test(slow_pools_do_not_pass_connections_to_and_fro),
        cmocka_unit_test(a_service_that_is_gone_gives_its_idle_places_back_at_once),
        cmocka_unit_test(workers_together_have_no_more_than_may_be),
        cmocka_unit_test(who_comes_later_leaves_a_place_to_who_starves),
        cmocka_unit_test(what_is_idle_is_closed_for_another_worker),
        cmocka_unit_test(who_is_owed_one_elsewhere_for_longer_goes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
