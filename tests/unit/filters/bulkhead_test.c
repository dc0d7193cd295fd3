// BulkheadPolicy in front of a service: who runs, who waits and in which order, what is said to the rest, and that a slot comes back whatever ends its request, on a clock of its own.
#include "filters/registry.h"
#include "stream/inquiry.h"

#include "unit/stream/stream_drive.h"

#define BULKHEAD(more, pools) \
    API "kind: BulkheadPolicy\nmetadata: {name: b}\nspec:\n  targetRefs: [{kind: Service, name: a}]\n" more "  pools:\n" pools "---\n"
#define WITH(pools) PROXY SERVICE("HTTP2", ONE) BULKHEAD("", pools)
#define ONE_SLOT "  - {name: all, maxConcurrent: 1, maxQueue: 2}\n"
#define PRIORITY "  priority: {from: {type: Header, name: x-priority}, classes: [critical, standard, batch], default: standard}\n"

static unsigned asked(struct loopback *world) {
    return world->far.count == 0 ? 0 : far_conn(&world->far, 0)->server.count;
}

// The n-th request that the server got, from 0.
static void answer(struct loopback *world, unsigned number) {
    far_respond(far_conn(&world->far, 0), far_request(far_conn(&world->far, 0), number), 200, "content-length: 0\n", "", true);
}

static void assert_refused(const struct client *client, const struct loopback *world, enum error end) {
    assert_int_equal(client->status, 503);
    assert_int_equal(world->record.end, end);
    assert_string_equal(world->record.policy, "BulkheadPolicy/default/b: all");
    const char *after = client_field(client, "retry-after");
    assert_non_null(after);
    assert_true(atoi(after) >= 1);
    assert_has(client_field(client, "proxy-status"), "error=connection_limit_reached");
    assert_has(client_field(client, "proxy-status"), "BulkheadPolicy/default/b: all");
}

// So many that ask for the same.
static void crowd(struct loopback *world, struct client *clients, unsigned count, const char *documents) {
    loopback_init(world, documents, filter_types);
    for (unsigned i = 0; i < count; i++)
        client_ask(&clients[i], world, "GET a /\n");
}

// ---- who runs

static void one_waits_for_the_other(void **state) {
    (void)state;
    struct loopback world;
    struct client first, second;
    loopback_init(&world, WITH(ONE_SLOT), filter_types);
    client_ask(&first, &world, "GET a /1\n");
    client_ask(&second, &world, "GET a /2\n");
    loopback_pass(&world, 40 * NS_PER_MS);
    assert_int_equal(asked(&world), 1);
    answer(&world, 0);
    assert_string_equal(world.record.delayed, "");
    assert_int_equal(asked(&world), 2);
    answer(&world, 1);
    assert_int_equal(second.status, 200);
    assert_string_equal(world.record.delayed, "BulkheadPolicy/default/b: all: 40 ms");
    client_dispose(&first);
    client_dispose(&second);
    loopback_dispose(&world);
}

static void in_a_full_queue_nobody_waits(void **state) {
    (void)state;
    struct loopback world;
    struct client clients[4];
    crowd(&world, clients, 4, WITH(ONE_SLOT));
    assert_refused(&clients[3], &world, ERROR_BULKHEAD_FULL);
    assert_string_equal(world.record.detail, "1 of 1 run, 2 wait");
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(asked(&world), i + 1);
        answer(&world, i);
    }
    clients_leave(clients, 4, &world);
}

static void a_call_of_grpc_is_refused_in_its_own_words(void **state) {
    (void)state;
    struct loopback world;
    struct client first, second;
    loopback_init(&world, WITH("  - {name: all, maxConcurrent: 1, maxQueue: 0}\n"), filter_types);
    client_ask(&first, &world, "GET a /\n");
    client_ask(&second, &world, "POST a /x/y\ncontent-type: application/grpc\nte: trailers\n");
    assert_int_equal(second.status, 200);
    assert_string_equal(client_field(&second, "grpc-status"), "14");
    assert_has(client_field(&second, "grpc-message"), "bulkhead_full");
    assert_true(atoi(client_field(&second, "grpc-retry-pushback-ms")) >= 1);
    answer(&world, 0);
    client_dispose(&first);
    client_dispose(&second);
    loopback_dispose(&world);
}

static void who_waited_for_too_long_is_refused(void **state) {
    (void)state;
    struct loopback world;
    struct client first, second;
    loopback_init(&world, WITH("  - {name: all, maxConcurrent: 1, queueTimeout: 250ms}\n"), filter_types);
    client_ask(&first, &world, "GET a /\n");
    client_ask(&second, &world, "GET a /\n");
    loopback_pass(&world, 249 * NS_PER_MS);
    assert_int_equal(second.status, 0);
    loopback_pass(&world, 2 * NS_PER_MS);
    assert_refused(&second, &world, ERROR_QUEUE_TIMEOUT);
    assert_string_equal(world.record.delayed, "BulkheadPolicy/default/b: all: 250 ms");
    answer(&world, 0);
    assert_int_equal(asked(&world), 1);
    client_dispose(&first);
    client_dispose(&second);
    loopback_dispose(&world);
}

static void without_a_timeout_it_waits_to_its_deadline(void **state) {
    (void)state;
    struct loopback world;
    struct client first, second, third;
    loopback_init(&world, WITH("  - {name: all, maxConcurrent: 1, queueTimeout: 0s}\n") POLICY("  timeouts: {request: 10s}\n"), filter_types);
    client_ask(&first, &world, "GET a /\n");
    loopback_pass(&world, 5 * NS_PER_S);
    client_ask(&second, &world, "GET a /\nx-request-timeout-ms: 2000\n");
    client_ask(&third, &world, "GET a /\n");
    loopback_pass(&world, 2 * NS_PER_S + 2 * NS_PER_MS);
    assert_int_equal(second.status, 504);
    assert_int_equal(third.status, 0);
    answer(&world, 0);
    answer(&world, 1);
    assert_int_equal(third.status, 200);
    client_dispose(&first);
    client_dispose(&second);
    client_dispose(&third);
    loopback_dispose(&world);
}

static void pools_are_apart_and_what_is_in_none_is_free(void **state) {
    (void)state;
    struct loopback world;
    struct client clients[5];
    static const char *const requests[] = {"GET a /pay/1\n", "GET a /pay/2\n", "GET a /reports\n", "GET a /x\n", "GET a /y\n"};
    loopback_init(&world,
                  WITH("  - {name: payment, matches: [{path: {type: PathPrefix, value: /pay}}], maxConcurrent: 1}\n"
                       "  - {name: analytics, matches: [{path: {value: /reports}}], maxConcurrent: 1}\n"),
                  filter_types);
    for (int i = 0; i < 5; i++)
        client_ask(&clients[i], &world, requests[i]);
    assert_int_equal(asked(&world), 4);
    for (unsigned i = 0; i < 5; i++)
        answer(&world, i);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(clients[i].status, 200);
        client_dispose(&clients[i]);
    }
    loopback_dispose(&world);
}

static void classes_and_deadlines_order_the_queue(void **state) {
    (void)state;
    struct loopback world;
    struct client clients[7];
    static const char *const requests[] = {"GET a /0\n",
                                           "GET a /1\nx-priority: batch\n",
                                           "GET a /2\nx-priority: no such\n",
                                           "GET a /3\nx-request-timeout-ms: 5000\n",
                                           "GET a /4\nx-request-timeout-ms: 4000\nx-priority: standard\n",
                                           "GET a /5\nx-priority: critical\nx-priority: critical\n", // nobody can say which counts
                                           "GET a /6\nx-priority: critical\n"};
    static const char *const order[] = {"/0", "/6", "/4", "/3", "/2", "/5", "/1"};
    loopback_init(&world, PROXY SERVICE("HTTP2", ONE) BULKHEAD(PRIORITY, "  - {name: all, maxConcurrent: 1}\n"), filter_types);
    for (int i = 0; i < 7; i++)
        client_ask(&clients[i], &world, requests[i]);
    for (unsigned i = 0; i < 7; i++) {
        assert_int_equal(asked(&world), i + 1);
        const struct bytes path = far_request(far_conn(&world.far, 0), i)->stream.head.path;
        assert_int_equal(path.len, 2);
        assert_memory_equal(path.at, order[i], 2);
        answer(&world, i);
    }
    clients_leave(clients, 7, &world);
}

static void a_higher_class_takes_the_place_of_a_lower_one(void **state) {
    (void)state;
    struct loopback world;
    struct client running, batch, critical;
    loopback_init(&world, PROXY SERVICE("HTTP2", ONE) BULKHEAD(PRIORITY, "  - {name: all, maxConcurrent: 1, maxQueue: 1}\n"), filter_types);
    client_ask(&running, &world, "GET a /\n");
    client_ask(&batch, &world, "GET a /\nx-priority: batch\n");
    client_ask(&critical, &world, "GET a /\nx-priority: critical\n");
    assert_refused(&batch, &world, ERROR_BULKHEAD_FULL);
    assert_has(world.record.detail, "it gave its place");
    assert_has(world.record.delayed, "all: 0 ms");
    answer(&world, 0);
    answer(&world, 1);
    assert_int_equal(critical.status, 200);
    client_dispose(&running);
    client_dispose(&batch);
    client_dispose(&critical);
    loopback_dispose(&world);
}

static void a_key_has_its_share_and_some_have_another(void **state) {
    (void)state;
    struct loopback world;
    struct client clients[8];
    static const char *const requests[] = {"GET a /\nx-tenant-id: small\n",
                                           "GET a /\nx-tenant-id: small\n",
                                           "GET a /\nx-tenant-id: acme\n",
                                           "GET a /\nx-tenant-id: acme\n",
                                           "GET a /\nx-tenant-id: acme\n",
                                           "GET a /\n",
                                           "GET a /\nx-tenant-id: a\nx-tenant-id: b\n", // as if it had none
                                           "GET a /\nx-tenant-id: other\n"};
    loopback_init(&world,
                  WITH("  - {name: all, maxConcurrent: 10, perKey: {key: [{type: Header, name: x-tenant-id}], maxConcurrent: 1,\n"
                       "     overrides: [{value: big, maxConcurrent: 9}, {value: acme, maxConcurrent: 2}]}}\n"),
                  filter_types);
    for (int i = 0; i < 8; i++)
        client_ask(&clients[i], &world, requests[i]);
    assert_int_equal(asked(&world), 5); // one of small, two of acme, one without a key, one of another
    for (unsigned i = 0; i < 8; i++)
        answer(&world, i);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(clients[i].status, 200);
        client_dispose(&clients[i]);
    }
    loopback_dispose(&world);
}

#define SHARES(more) \
    WITH("  - {name: all, maxConcurrent: 10, maxQueue: 9, perKey: {key: [{type: Header, name: x-tenant-id}], maxConcurrent: 1" more "}}\n")

static void a_share_that_new_documents_raise_lets_those_go_on_that_wait(void **state) {
    (void)state;
    static const char *const raised[] = {SHARES(", overrides: [{value: acme, maxConcurrent: 2}]"),
                                         WITH("  - {name: all, maxConcurrent: 10, maxQueue: 9}\n")};
    for (size_t i = 0; i < sizeof raised / sizeof raised[0]; i++) {
        struct loopback world;
        struct client clients[2];
        loopback_init(&world, SHARES(""), filter_types);
        for (int k = 0; k < 2; k++)
            client_ask(&clients[k], &world, "GET a /\nx-tenant-id: acme\n");
        assert_int_equal(asked(&world), 1);
        loopback_apply(&world, raised[i]);
        loopback_settle(&world);
        assert_int_equal(asked(&world), 2);
        for (unsigned k = 0; k < 2; k++) {
            answer(&world, k);
            assert_int_equal(clients[k].status, 200);
            client_dispose(&clients[k]);
        }
        loopback_dispose(&world);
    }
}

#define LIMIT                                                                                                                                      \
    API "kind: RateLimitPolicy\nmetadata: {name: l}\nspec:\n  targetRefs: [{kind: Service, name: a}]\n  rules: [{name: r, limits: [{requests: 2, " \
        "per: 1h, burst: 2}]}]\n---\n"

// What is too much has no place in the queue; what the bulkhead refuses has used up nothing.
static void a_limit_is_charged_before_the_queue(void **state) {
    (void)state;
    struct loopback world;
    struct client clients[4];
    crowd(&world, clients, 3, WITH("  - {name: all, maxConcurrent: 1, maxQueue: 1, queueTimeout: 250ms}\n") LIMIT);
    assert_int_equal(clients[1].status, 0);
    assert_int_equal(clients[2].status, 429); // and no place in a queue that is full
    loopback_pass(&world, 260 * NS_PER_MS);
    assert_refused(&clients[1], &world, ERROR_QUEUE_TIMEOUT);
    answer(&world, 0);
    client_ask(&clients[3], &world, "GET a /\n");
    answer(&world, 1);
    assert_int_equal(clients[3].status, 200); // with what the one that waited got back
    clients_leave(clients, 4, &world);
}

// ---- what ends a request

static void a_slot_comes_back_whatever_ends_its_request(void **state) {
    (void)state;
    for (int way = 0; way < 5; way++) {
        struct loopback world;
        struct client first, second;
        loopback_init(&world, WITH(ONE_SLOT) POLICY("  timeouts: {request: 700ms}\n  retry: {attempts: 0}\n"), filter_types);
        client_ask(&first, &world, "GET a /1\n");
        client_ask(&second, &world, "GET a /2\nx-request-timeout-ms: 600000\n");
        struct far_conn *conn = far_conn(&world.far, 0);
        if (way == 0)
            client_fail(&first, ERROR_CLIENT_GONE);
        else if (way == 1)
            far_reset(conn, far_request(conn, 0), ERROR_UPSTREAM_RESET);
        else if (way == 2)
            far_break(conn);
        else if (way == 3)
            far_respond(conn, far_request(conn, 0), 500, "content-length: 0\n", "", true);
        else
            loopback_pass(&world, 701 * NS_PER_MS); // both: the second while it waits
        if (way < 4) {
            assert_int_equal(world.far.count, way == 2 ? 2 : 1);
            struct far_conn *last = far_conn(&world.far, world.far.count - 1);
            far_respond(last, far_request(last, last->server.count - 1), 200, "content-length: 0\n", "", true);
            assert_int_equal(second.status, 200);
        }
        client_dispose(&first);
        client_dispose(&second);
        struct client third;
        client_ask(&third, &world, "GET a /3\n"); // nobody has kept it
        struct far_conn *last = far_conn(&world.far, world.far.count - 1);
        far_respond(last, far_request(last, last->server.count - 1), 200, "content-length: 0\n", "", true);
        assert_int_equal(third.status, 200);
        assert_string_equal(world.record.delayed, "");
        client_dispose(&third);
        loopback_dispose(&world);
    }
}

static void who_goes_while_it_waits_leaves_its_place(void **state) {
    (void)state;
    struct loopback world;
    struct client clients[4];
    crowd(&world, clients, 3, WITH(ONE_SLOT));
    loopback_pass(&world, 10 * NS_PER_MS);
    client_fail(&clients[1], ERROR_CLIENT_GONE);
    assert_string_equal(world.record.delayed, "BulkheadPolicy/default/b: all: 10 ms");
    client_ask(&clients[3], &world, "GET a /\n");
    assert_int_equal(clients[3].status, 0);
    for (unsigned i = 0; i < 3; i++)
        answer(&world, i);
    assert_int_equal(clients[3].status, 200);
    clients_leave(clients, 4, &world);
}

// A slot is handed over and its new owner goes before it was asked again, in one turn.
static void who_goes_with_a_slot_in_its_hand_passes_it_on(void **state) {
    (void)state;
    struct loopback world;
    struct client clients[3];
    crowd(&world, clients, 3, WITH(ONE_SLOT));
    stream_on_failed(clients[0].stream, ERROR_CLIENT_GONE);
    stream_on_failed(clients[1].stream, ERROR_CLIENT_GONE);
    loopback_settle(&world);
    assert_int_equal(asked(&world), 2);
    answer(&world, 1);
    assert_int_equal(clients[2].status, 200);
    clients_leave(clients, 3, &world);
}

static void begin_upgrade(struct client *client, struct loopback *world) {
    static const union address somewhere = {.v4 = {.sin_family = AF_INET}};
    const struct stream_client from = {.address = &somewhere};
    client_begin_as(client, world, loopback_listener(world, "outbound"), &from, HTTP_2, "GET a /chat\nsec-websocket-version: 13\n", false);
    client->stream->request->protocol = PROTOCOL_WEBSOCKET;
    loopback_settle(world);
}

static void a_websocket_leaves_its_slot_unless_it_counts(void **state) {
    (void)state;
    for (int counts = 0; counts < 2; counts++) {
        struct loopback world;
        struct client upgraded, second;
        loopback_init(&world, counts ? WITH("  - {name: all, maxConcurrent: 1, countUpgrades: true}\n") : WITH("  - {name: all, maxConcurrent: 1}\n"),
                      filter_types);
        begin_upgrade(&upgraded, &world);
        far_respond(far_conn(&world.far, 0), far_request(far_conn(&world.far, 0), 0), 101, "", NULL, false);
        assert_int_equal(upgraded.status, 101);
        client_ask(&second, &world, "GET a /\n");
        assert_int_equal(asked(&world), counts ? 1 : 2);
        client_fail(&upgraded, ERROR_CLIENT_GONE);
        answer(&world, 1);
        assert_int_equal(second.status, 200);
        client_dispose(&upgraded);
        client_dispose(&second);
        loopback_dispose(&world);
    }
}

// ---- documents that change

static void another_number_holds_for_those_that_run_and_wait(void **state) {
    (void)state;
    struct loopback world;
    struct client clients[4];
    crowd(&world, clients, 3, WITH(ONE_SLOT));
    assert_int_equal(asked(&world), 1);
    loopback_apply(&world, WITH("  - {name: all, maxConcurrent: 3, maxQueue: 2}\n"));
    loopback_settle(&world);
    assert_int_equal(asked(&world), 3);
    loopback_apply(&world, WITH(ONE_SLOT));
    client_ask(&clients[3], &world, "GET a /\n");
    answer(&world, 0);
    answer(&world, 1);
    assert_int_equal(asked(&world), 3); // as long as one still runs
    answer(&world, 2);
    answer(&world, 3);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(clients[i].status, 200);
        client_dispose(&clients[i]);
    }
    loopback_dispose(&world);
}

static void whoever_waits_in_a_pool_that_is_gone_gets_its_slot(void **state) {
    (void)state;
    struct loopback world;
    struct client first, second, third;
    loopback_init(&world, WITH(ONE_SLOT), filter_types);
    client_ask(&first, &world, "GET a /1\n");
    client_ask(&second, &world, "GET a /2\n");
    loopback_apply(&world, PROXY SERVICE("HTTP2", ONE));
    client_ask(&third, &world, "GET a /3\n");
    assert_int_equal(asked(&world), 2);
    answer(&world, 0);
    answer(&world, 1);
    answer(&world, 2);
    assert_int_equal(second.status, 200);
    client_dispose(&first);
    client_dispose(&second);
    client_dispose(&third);
    loopback_dispose(&world);
}

// Its answer goes on while neither its documents nor its pool are there any more.
static void a_long_answer_outlives_its_pool(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, WITH(ONE_SLOT), filter_types);
    client_ask(&client, &world, "GET a /\n");
    far_respond(far_conn(&world.far, 0), far_request(far_conn(&world.far, 0), 0), 200, "", "some", false);
    loopback_apply(&world, PROXY SERVICE("HTTP2", ONE));
    loopback_settle(&world);
    assert_null(client.stream->bound);
    far_body(far_conn(&world.far, 0), far_request(far_conn(&world.far, 0), 0), BYTES(" more"), true);
    assert_true(client.ended);
    client_dispose(&client);
    loopback_dispose(&world);
}

// ---- dry run, questions, learning

static void a_dry_run_holds_up_nobody_and_tells(void **state) {
    (void)state;
    struct loopback world;
    struct client clients[3];
    static const char *const told[] = {"", "BulkheadPolicy/default/b: all: delay", "BulkheadPolicy/default/b: all: bulkhead_full"};
    crowd(&world, clients, 3, PROXY SERVICE("HTTP2", ONE) BULKHEAD("  mode: DryRun\n", "  - {name: all, maxConcurrent: 1, maxQueue: 1}\n"));
    assert_int_equal(asked(&world), 3);
    for (unsigned i = 0; i < 3; i++) {
        answer(&world, i);
        assert_int_equal(clients[i].status, 200);
        assert_string_equal(world.record.dry_run, told[i]);
        assert_string_equal(world.record.delayed, "");
        client_dispose(&clients[i]);
    }
    loopback_dispose(&world);
}

static uint64_t number_of(const struct explanation_step *step, const char *name) {
    for (const struct explanation_figure *figure = step->figures; figure != NULL; figure = figure->next)
        if (strcmp(figure->name, name) == 0)
            return figure->number;
    fail_msg("no figure %s", name);
    return 0;
}

static struct inquiry_desk desk;

// What is told of a request that nobody sends; the step is valid until the question is over.
static struct stream *inquire(struct loopback *world, const char *request, const struct explanation_step **step) {
    static const union address somewhere = {.v4 = {.sin_family = AF_INET}};
    const struct stream_client from = {.address = &somewhere};
    struct stream *stream = inquiry_begin(&desk, &world->env, world->bound, loopback_listener(world, "outbound"), &from);
    struct head *head = pool_alloc_zeroed(&stream->pool, sizeof *head);
    head_from_text(head, &stream->pool, HTTP_1_1, request);
    inquiry_decide(stream, head);
    for (*step = stream->explanation->first; *step != NULL && strcmp((*step)->filter, "bulkhead") != 0; *step = (*step)->next)
        continue;
    assert_non_null(*step);
    return stream;
}

static void a_question_is_told_the_figures_and_takes_nothing(void **state) {
    (void)state;
    static const enum step_outcome outcomes[] = {STEP_PASSED, STEP_WOULD_WAIT, STEP_REFUSED};
    struct loopback world;
    struct client clients[3];
    loopback_init(&world,
                  PROXY SERVICE("HTTP2", ONE) BULKHEAD(
                      PRIORITY, "  - {name: all, maxConcurrent: 2, maxQueue: 1, perKey: {key: [{type: Header, name: x-t}], maxConcurrent: 1}}\n"),
                  filter_types);
    for (uint64_t i = 0; i < 3; i++) {
        const struct explanation_step *step;
        for (int again = 0; again < 3; again++) {
            struct stream *stream = inquire(&world, "GET a /\nx-t: t\n", &step);
            assert_int_equal(step->outcome, outcomes[i]);
            assert_int_equal(number_of(step, "in_use"), i == 0 ? 0 : 1);
            assert_int_equal(number_of(step, "queued"), i < 2 ? 0 : 1);
            assert_int_equal(number_of(step, "key_in_use"), i == 0 ? 0 : 1);
            assert_int_equal(number_of(step, "max_concurrent"), 2);
            assert_int_equal(number_of(step, "key_max_concurrent"), 1);
            inquiry_end(stream);
            loopback_settle(&world);
        }
        client_ask(&clients[i], &world, "GET a /\nx-t: t\n");
    }
    answer(&world, 0);
    answer(&world, 1);
    clients_leave(clients, 3, &world);
}

static uint64_t limit_of(struct loopback *world) {
    const struct explanation_step *step;
    struct stream *stream = inquire(world, "GET a /\n", &step);
    const uint64_t limit = number_of(step, "max_concurrent");
    inquiry_end(stream);
    loopback_settle(world);
    return limit;
}

// The same request again and again, with enough beside it that it says something; ended in that way.
static void repeat(struct loopback *world, unsigned status, nanoseconds took, unsigned times) {
    struct far_conn *conn = far_conn(&world->far, 0);
    for (unsigned i = 0; i < times; i++) {
        struct client client;
        client_ask(&client, world, "GET a /\n");
        loopback_pass(world, took);
        if (status == 0)
            client_fail(&client, ERROR_CLIENT_GONE);
        else
            far_respond(conn, far_request(conn, conn->server.count - 1), status, "content-length: 0\n", "", true);
        client_dispose(&client);
    }
}

static void upload(struct loopback *world, nanoseconds sends, nanoseconds took, unsigned times) {
    struct far_conn *conn = far_conn(&world->far, 0);
    for (unsigned i = 0; i < times; i++) {
        struct client client;
        client_open(&client, world, "POST a /\n");
        loopback_settle(world);
        loopback_pass(world, sends);
        client_send(&client, BYTES("x"), true);
        loopback_pass(world, took);
        far_respond(conn, far_request(conn, conn->server.count - 1), 200, "content-length: 0\n", "", true);
        client_dispose(&client);
    }
}

static void a_pool_learns_from_answers_and_from_nothing_else(void **state) {
    (void)state;
    struct loopback world;
    struct client busy[15];
    loopback_init(&world, WITH("  - {name: all, adaptive: {min: 4, max: 100}}\n"), filter_types);
    assert_int_equal(limit_of(&world), 20);
    for (int i = 0; i < 15; i++)
        client_ask(&busy[i], &world, "GET a /\n");
    repeat(&world, 200, 150 * NS_PER_MS, 33);
    const uint64_t learnt = limit_of(&world);
    assert_in_range(learnt, 21, 30);
    repeat(&world, 500, 100 * NS_PER_MS, 30); // fast failures would let more in
    repeat(&world, 429, 100 * NS_PER_MS, 30);
    repeat(&world, 0, NS_PER_S, 12); // impatient clients say nothing of the service
    assert_int_equal(limit_of(&world), learnt);
    upload(&world, 900 * NS_PER_MS, 150 * NS_PER_MS, 12); // nor does a client that sends slowly
    assert_true(limit_of(&world) >= learnt);
    repeat(&world, 200, 900 * NS_PER_MS, 33);
    assert_true(limit_of(&world) < learnt);
    for (int i = 0; i < 15; i++) {
        client_fail(&busy[i], ERROR_CLIENT_GONE);
        client_dispose(&busy[i]);
    }
    loopback_dispose(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_waits_for_the_other),
        cmocka_unit_test(in_a_full_queue_nobody_waits),
        cmocka_unit_test(a_call_of_grpc_is_refused_in_its_own_words),
        cmocka_unit_test(who_waited_for_too_long_is_refused),
        cmocka_unit_test(without_a_timeout_it_waits_to_its_deadline),
        cmocka_unit_test(pools_are_apart_and_what_is_in_none_is_free),
        cmocka_unit_test(classes_and_deadlines_order_the_queue),
        cmocka_unit_test(a_higher_class_takes_the_place_of_a_lower_one),
        cmocka_unit_test(a_key_has_its_share_and_some_have_another),
        cmocka_unit_test(a_share_that_new_documents_raise_lets_those_go_on_that_wait),
        cmocka_unit_test(a_limit_is_charged_before_the_queue),
        cmocka_unit_test(a_slot_comes_back_whatever_ends_its_request),
        cmocka_unit_test(who_goes_while_it_waits_leaves_its_place),
        cmocka_unit_test(who_goes_with_a_slot_in_its_hand_passes_it_on),
        cmocka_unit_test(a_websocket_leaves_its_slot_unless_it_counts),
        cmocka_unit_test(another_number_holds_for_those_that_run_and_wait),
        cmocka_unit_test(whoever_waits_in_a_pool_that_is_gone_gets_its_slot),
        cmocka_unit_test(a_long_answer_outlives_its_pool),
        cmocka_unit_test(a_dry_run_holds_up_nobody_and_tells),
        cmocka_unit_test(a_question_is_told_the_figures_and_takes_nothing),
        cmocka_unit_test(a_pool_learns_from_answers_and_from_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
