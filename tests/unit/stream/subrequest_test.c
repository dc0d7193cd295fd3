// Requests that a filter makes: what their owner gets, that each ends once, and that they are tried once.
#include "stream/subrequest.h"

#include "unit/stream/stream_drive.h"

#include <stdio.h>

#define OTHER                                                                                                                                     \
    API "kind: ServiceEntry\nmetadata: {name: b}\nspec:\n  hosts: [b]\n  ports: [{name: http, port: 80, protocol: HTTP1}]\n  tls: {mode: None}\n" \
        "  endpoints: [{address: '127.0.0.1:8002'}]\n---\n"
#define WORLD PROXY SERVICE("HTTP1", ONE) OTHER

// A stream that asks, and what it was told.
struct asker {
    struct loopback world;
    struct client client;
    struct pool pool;
    struct head head;
    struct subrequest *subrequest;
    unsigned told;
    enum error end;
    unsigned status;
    char body[64];
    bool is_cut;
};

static void completed(void *user, const struct subrequest_answer *answer) {
    struct asker *asker = user;
    asker->told++;
    asker->end = answer->end;
    asker->status = answer->head == NULL ? 0 : answer->head->status;
    asker->is_cut = answer->is_cut;
    struct bytes body = buffer_front(answer->body);
    snprintf(asker->body, sizeof asker->body, "%.*s", BYTES_FORMAT(body));
}

static struct subrequest_order order_of(struct asker *asker) {
    return (struct subrequest_order){
        .service = snapshot_find_host(asker->world.bound->snapshot, BYTES("b"), 80),
        .head = &asker->head,
        .timeout = NS_PER_S,
        .answer_bytes_max = 10,
        .completed = completed,
        .user = asker,
    };
}

static void start_as(struct asker *asker, const char *request, const struct subrequest_order *order) {
    head_from_text(&asker->head, &asker->pool, HTTP_1_1, request);
    assert_int_equal(subrequest_start(asker->client.stream, order, &asker->subrequest), OK);
    assert_int_equal(asker->told, 0);
    loopback_settle(&asker->world);
}

static void asker_init(struct asker *asker) {
    *asker = (struct asker){0};
    loopback_init(&asker->world, WORLD, NULL);
    client_get(&asker->client, &asker->world, "GET a /\n");
    loopback_settle(&asker->world);
    pool_init(&asker->pool, &asker->world.far.check.loop.pools);
}

static void asker_dispose(struct asker *asker) {
    assert_int_equal(asker->world.env.subrequest_count, 0);
    assert_int_equal(metric_read(&asker->world.far.metrics.subrequests_active), 0);
    pool_dispose(&asker->pool);
    if (!asker->client.done)
        respond(&asker->world, 0, 200, "content-length: 0\n", "");
    client_dispose(&asker->client);
    loopback_dispose(&asker->world);
}

static void its_owner_gets_head_and_body_once(void **state) {
    (void)state;
    struct asker asker;
    asker_init(&asker);
    const struct subrequest_order order = order_of(&asker);
    start_as(&asker, "GET b /who\nx-a: 1\n", &order);
    assert_has(received(&asker.world, 1), "head GET http b /who");
    assert_has(received(&asker.world, 1), "x-a: 1");
    respond(&asker.world, 1, 403, "content-length: 10\n", "0123456789");
    assert_int_equal(asker.told, 1);
    assert_int_equal(asker.end, OK);
    assert_int_equal(asker.status, 403);
    assert_string_equal(asker.body, "0123456789");
    assert_int_equal(asker.world.record.count, 0); // it has no line of its own
    assert_int_equal(asker.client.status, 0);      // and nothing of it went to the client
    assert_int_equal(metric_read(&asker.world.far.metrics.subrequests), 1);
    asker_dispose(&asker);
}

// Texts, body and trailers are its own: whoever asked may be gone before they are sent.
static void it_outlives_the_stream_that_asked(void **state) {
    (void)state;
    struct asker asker;
    asker_init(&asker);
    fake_upstream_port(&asker.world.far, 2, FAR_WAIT);
    struct pool pool;
    pool_init(&pool, &asker.world.far.check.loop.pools);
    struct fields trailers;
    fields_init(&trailers, &pool);
    fields_add(&trailers, pool_copy(&pool, BYTES("x-end")), pool_copy(&pool, BYTES("1")));
    struct buffer body;
    buffer_init(&body, &asker.world.far.check.loop.blocks);
    buffer_append(&body, BYTES("asked"));
    struct subrequest_order order = order_of(&asker);
    order.body = &body;
    order.trailers = &trailers;
    head_from_text(&asker.head, &pool, HTTP_1_1, "POST b /who\nx-a: 1\n");
    assert_int_equal(subrequest_start(asker.client.stream, &order, NULL), OK);
    assert_true(buffer_is_empty(&body));
    pool_dispose(&pool);
    client_fail(&asker.client, ERROR_CLIENT_GONE);
    assert_true(asker.client.done);
    far_connect(far_conn(&asker.world.far, 1), OK);
    loopback_settle(&asker.world);
    assert_has(received(&asker.world, 1), "head POST http b /who");
    assert_has(received(&asker.world, 1), "body 5 asked");
    assert_has(received(&asker.world, 1), "x-end: 1");
    respond(&asker.world, 1, 200, "content-length: 0\n", "");
    assert_int_equal(asker.told, 1);
    assert_int_equal(asker.end, OK);
    asker_dispose(&asker);
}

static void an_answer_that_is_too_long_is_an_error(void **state) {
    (void)state;
    struct asker asker;
    asker_init(&asker);
    const struct subrequest_order order = order_of(&asker);
    start_as(&asker, "GET b /\n", &order);
    respond(&asker.world, 1, 200, "content-length: 11\n", "0123456789a");
    assert_int_equal(asker.told, 1);
    assert_int_equal(asker.end, ERROR_BODY_TOO_LARGE);
    asker_dispose(&asker);
}

static void of_a_long_answer_the_front_may_be_enough(void **state) {
    (void)state;
    static const struct {
        const char *head, *body;
        enum error end;
        bool is_cut;
    } cases[] = {{"content-length: 10\n", "0123456789", OK, false},
                 {"content-length: 20\n", "0123456789abcdefghij", OK, true},
                 {"content-length: 21\n", "0123456789abcdefghijk", ERROR_BODY_TOO_LARGE, true}}; // what is not kept is counted all the same
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct asker asker;
        asker_init(&asker);
        struct subrequest_order order = order_of(&asker);
        order.answer_bytes_max = 20;
        order.answer_bytes_kept = 10;
        start_as(&asker, "GET b /\n", &order);
        respond(&asker.world, 1, 200, cases[i].head, cases[i].body);
        assert_int_equal(asker.end, cases[i].end);
        assert_int_equal(asker.is_cut, cases[i].is_cut);
        if (asker.end == OK)
            assert_string_equal(asker.body, "0123456789");
        asker_dispose(&asker);
    }
}

static void a_body_that_nobody_wants_may_be_of_any_length(void **state) {
    (void)state;
    struct asker asker;
    asker_init(&asker);
    struct subrequest_order order = order_of(&asker);
    order.drops_body = true;
    start_as(&asker, "GET b /\n", &order);
    respond(&asker.world, 1, 200, "content-length: 11\n", "0123456789a");
    assert_int_equal(asker.told, 1);
    assert_int_equal(asker.end, OK);
    assert_string_equal(asker.body, "");
    asker_dispose(&asker);
}

static void its_time_is_bounded(void **state) {
    (void)state;
    struct asker asker;
    asker_init(&asker);
    const struct subrequest_order order = order_of(&asker);
    start_as(&asker, "GET b /\n", &order);
    loopback_pass(&asker.world, 2 * NS_PER_S);
    assert_int_equal(asker.told, 1);
    assert_int_equal(asker.end, ERROR_REQUEST_TIMEOUT);
    assert_int_equal(asker.status, 504);
    asker_dispose(&asker);
}

// By default a connection that is refused is tried again: here it is not, and gives the service's budget nothing.
static void it_is_tried_once(void **state) {
    (void)state;
    struct asker asker;
    asker_init(&asker);
    fake_upstream_port(&asker.world.far, 2, FAR_REFUSE);
    const struct subrequest_order order = order_of(&asker);
    start_as(&asker, "GET b /\n", &order);
    loopback_pass(&asker.world, NS_PER_S / 2);
    assert_int_equal(asker.told, 1);
    assert_int_equal(asker.end, ERROR_CONNECT_REFUSED);
    assert_int_equal(asker.world.far.count, 2);
    asker_dispose(&asker);
}

static void a_cancelled_one_tells_nothing(void **state) {
    (void)state;
    struct asker asker;
    asker_init(&asker);
    const struct subrequest_order order = order_of(&asker);
    start_as(&asker, "GET b /\n", &order);
    subrequest_cancel(asker.subrequest);
    loopback_settle(&asker.world);
    assert_int_equal(asker.told, 0);
    const struct subrequest_order again = order_of(&asker);
    start_as(&asker, "GET b /\n", &again);
    subrequests_cancel_all(&asker.world.env); // whoever waits for it holds something
    loopback_settle(&asker.world);
    assert_int_equal(asker.told, 1);
    assert_int_equal(asker.end, ERROR_CLIENT_GONE);
    asker_dispose(&asker);
}

static void there_is_a_bound(void **state) {
    (void)state;
    struct asker asker;
    asker_init(&asker);
    const struct subrequest_order order = order_of(&asker);
    head_from_text(&asker.head, &asker.pool, HTTP_1_1, "GET b /\n");
    asker.world.env.refuses_streams = true;
    assert_int_equal(subrequest_start(asker.client.stream, &order, NULL), ERROR_MEMORY_LIMIT);
    asker.world.env.refuses_streams = false;
    for (unsigned i = 0; i < SUBREQUESTS_TO_ONE_MAX; i++)
        assert_int_equal(subrequest_start(asker.client.stream, &order, NULL), OK);
    assert_int_equal(subrequest_start(asker.client.stream, &order, NULL), ERROR_FULL);
    struct subrequest_order other = order;
    other.service = snapshot_find_host(asker.world.bound->snapshot, BYTES("a"), 80);
    assert_int_equal(subrequest_start(asker.client.stream, &other, NULL), OK);
    subrequests_cancel_all(&asker.world.env);
    loopback_settle(&asker.world);
    assert_int_equal(subrequest_start(asker.client.stream, &order, NULL), OK); // they have gone
    subrequests_cancel_all(&asker.world.env);
    loopback_settle(&asker.world);
    asker_dispose(&asker);
}

// Documents that are read anew give a service no further room: what hangs there hangs there still.
static void the_bound_outlives_documents(void **state) {
    (void)state;
    struct asker asker;
    struct client later;
    asker_init(&asker);
    struct subrequest_order order = order_of(&asker);
    head_from_text(&asker.head, &asker.pool, HTTP_1_1, "GET b /\n");
    for (unsigned i = 0; i < SUBREQUESTS_TO_ONE_MAX; i++)
        assert_int_equal(subrequest_start(asker.client.stream, &order, NULL), OK);
    loopback_apply(&asker.world, WORLD POLICY("  timeouts: {request: 9s}\n"));
    client_ask(&later, &asker.world, "GET a /\n");
    order = order_of(&asker); // of the newer documents
    assert_int_equal(subrequest_start(later.stream, &order, NULL), ERROR_FULL);
    order.kind = SUBREQUEST_KEYS;
    assert_int_equal(subrequest_start(later.stream, &order, NULL), OK);
    subrequests_cancel_all(&asker.world.env);
    loopback_settle(&asker.world);
    order.kind = SUBREQUEST_AGENT;
    assert_int_equal(subrequest_start(later.stream, &order, NULL), OK);
    subrequests_cancel_all(&asker.world.env);
    client_fail(&later, ERROR_CLIENT_GONE);
    client_dispose(&later);
    asker_dispose(&asker);
}

static void no_kind_takes_the_room_of_another(void **state) {
    (void)state;
    for (unsigned kind = 0; kind < SUBREQUEST_KINDS; kind++) {
        struct asker asker;
        asker_init(&asker);
        struct subrequest_order order = order_of(&asker);
        head_from_text(&asker.head, &asker.pool, HTTP_1_1, "GET b /\n");
        order.kind = kind;
        asker.world.env.subrequest_counts[kind] += SUBREQUESTS_MAX; // to others
        assert_int_equal(subrequest_start(asker.client.stream, &order, NULL), ERROR_FULL);
        for (unsigned other = 0; other < SUBREQUEST_KINDS; other++) {
            order.kind = other;
            if (other != kind)
                assert_int_equal(subrequest_start(asker.client.stream, &order, NULL), OK);
        }
        asker.world.env.subrequest_counts[kind] -= SUBREQUESTS_MAX;
        subrequests_cancel_all(&asker.world.env);
        loopback_settle(&asker.world);
        asker_dispose(&asker);
    }
}

// What a worker is told of a request of its own.
struct own {
    struct loopback world;
    struct pool pool;
    struct head head;
    unsigned told;
    enum error end;
    unsigned status;
    char trailer[16]; // x-end
    struct subrequest *started;
};

static void own_completed(void *user, const struct subrequest_answer *answer) {
    struct own *own = user;
    own->told++;
    own->end = answer->end;
    own->status = answer->head == NULL ? 0 : answer->head->status;
    const struct field *field = answer->trailers == NULL ? NULL : fields_find_name(answer->trailers, BYTES("x-end"));
    snprintf(own->trailer, sizeof own->trailer, "%.*s", field == NULL ? 0 : (int)field->value.len, field == NULL ? "" : field->value.at);
}

static struct subrequest_order own_order(struct own *own) {
    return (struct subrequest_order){
        .kind = SUBREQUEST_TELEMETRY,
        .service = snapshot_find_host(own->world.bound->snapshot, BYTES("b"), 80),
        .head = &own->head,
        .timeout = NS_PER_S,
        .answer_bytes_max = 10,
        .completed = own_completed,
        .user = own,
    };
}

static void own_init(struct own *own) {
    *own = (struct own){0};
    loopback_init(&own->world, WORLD, NULL);
    pool_init(&own->pool, &own->world.far.check.loop.pools);
    head_from_text(&own->head, &own->pool, HTTP_1_1, "POST b /v1/traces\nx-a: 1\n");
}

static void own_dispose(struct own *own) {
    assert_int_equal(own->world.env.subrequest_count, 0);
    pool_dispose(&own->pool);
    loopback_dispose(&own->world);
}

static void one_of_its_own_needs_no_request_and_counts_for_no_service(void **state) {
    (void)state;
    struct own own;
    own_init(&own);
    const struct subrequest_order order = own_order(&own);
    assert_int_equal(subrequest_start_own(&own.world.env, own.world.bound, &order, &own.started), OK);
    assert_int_equal(own.told, 0);
    loopback_settle(&own.world);
    assert_has(received(&own.world, 0), "head POST http b /v1/traces");
    far_respond(far_conn(&own.world.far, 0), only_request(&own.world, 0), 200, "transfer-encoding: chunked\n", "body", false);
    far_trailers(far_conn(&own.world.far, 0), only_request(&own.world, 0), "x-end: 7\n");
    assert_int_equal(own.told, 1);
    assert_int_equal(own.end, OK);
    assert_int_equal(own.status, 200);
    assert_string_equal(own.trailer, "7");
    assert_null(bound_find(own.world.bound, order.service)->ends);
    assert_int_equal(own.world.record.count, 0);
    own_dispose(&own);
}

static void its_own_have_a_bound_of_their_own(void **state) {
    (void)state;
    struct own own;
    own_init(&own);
    const struct subrequest_order order = own_order(&own);
    own.world.env.refuses_streams = true;
    assert_int_equal(subrequest_start_own(&own.world.env, own.world.bound, &order, &own.started), ERROR_MEMORY_LIMIT);
    own.world.env.refuses_streams = false;
    for (unsigned i = 0; i < SUBREQUESTS_OWN_MAX; i++)
        assert_int_equal(subrequest_start_own(&own.world.env, own.world.bound, &order, &own.started), OK);
    assert_int_equal(subrequest_start_own(&own.world.env, own.world.bound, &order, &own.started), ERROR_FULL);
    loopback_settle(&own.world);
    subrequests_cancel_all(&own.world.env);
    loopback_settle(&own.world);
    assert_int_equal(own.told, SUBREQUESTS_OWN_MAX);
    assert_int_equal(own.end, ERROR_CLIENT_GONE);
    own_dispose(&own);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_owner_gets_head_and_body_once),
        cmocka_unit_test(it_outlives_the_stream_that_asked),
        cmocka_unit_test(an_answer_that_is_too_long_is_an_error),
        cmocka_unit_test(of_a_long_answer_the_front_may_be_enough),
        cmocka_unit_test(a_body_that_nobody_wants_may_be_of_any_length),
        cmocka_unit_test(its_time_is_bounded),
        cmocka_unit_test(it_is_tried_once),
        cmocka_unit_test(a_cancelled_one_tells_nothing),
        cmocka_unit_test(there_is_a_bound),
        cmocka_unit_test(the_bound_outlives_documents),
        cmocka_unit_test(no_kind_takes_the_room_of_another),
        cmocka_unit_test(one_of_its_own_needs_no_request_and_counts_for_no_service),
        cmocka_unit_test(its_own_have_a_bound_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
