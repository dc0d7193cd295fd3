// Answers of a filter's own making (stream_reply), by filters that make them: from each slot that may, at each place; what walks back past whom, PAUSE on the way, what
// is told to the client and to the log, and what becomes of upstream.
#include "unit/stream/stream_drive.h"

#define FILTERS 3
#define GRPC "content-type: application/grpc\nte: trailers\n"

enum slot { NOWHERE, DECIDE, CHARGE, RESPONSE_HEAD };

// What a filter shall do; its config points here.
struct script {
    char letter;
    struct world *world;
    enum slot replies_in;
    unsigned head_pauses, data_pauses; // so often
    bool data_fails;
    struct stream *stream;
};

struct world {
    struct loopback loopback;
    struct script scripts[FILTERS];
    struct chain *chain;
    struct text log;
    // the answer
    unsigned status;
    const char *body;
    const char *grpc_status;  // in its head
    const char *grpc_trailer; // in trailers
};

static struct script *script_of(const void *config) {
    struct script *const *script = config;
    return *script;
}

static enum filter_result reply(struct stream *stream, struct script *script) {
    struct world *world = script->world;
    struct head *head = pool_alloc_zeroed(&stream->pool, sizeof *head);
    head_init(head, &stream->pool);
    head->status = (uint16_t)world->status;
    fields_add(&head->fields, BYTES("x-by"), pool_format(&stream->pool, "%c", script->letter));
    if (world->grpc_status != NULL)
        fields_add(&head->fields, BYTES("grpc-status"), bytes_from_text(world->grpc_status));
    struct fields *trailers = NULL;
    if (world->grpc_trailer != NULL) {
        trailers = pool_alloc_zeroed(&stream->pool, sizeof *trailers);
        fields_init(trailers, &stream->pool);
        fields_add(trailers, BYTES("grpc-status"), bytes_from_text(world->grpc_trailer));
    }
    struct buffer body;
    buffer_init(&body, &stream->env->loop->blocks);
    if (world->body != NULL)
        buffer_append(&body, bytes_from_text(world->body));
    stream_reply(stream, head, &body, trailers, BYTES("by the test"));
    assert_true(buffer_is_empty(&body));
    return FILTER_REPLIED;
}

static enum filter_result decide(struct stream *stream, const void *config, void *state) {
    (void)state;
    struct script *script = script_of(config);
    script->stream = stream;
    text_format(&script->world->log, "%c.decide ", script->letter);
    return script->replies_in == DECIDE ? reply(stream, script) : FILTER_CONTINUE;
}

static enum filter_result charge(struct stream *stream, const void *config, void *state) {
    (void)state;
    struct script *script = script_of(config);
    return script->replies_in == CHARGE ? reply(stream, script) : FILTER_CONTINUE;
}

static enum filter_result response_head(struct stream *stream, const void *config, void *state, struct head *head) {
    (void)state;
    struct script *script = script_of(config);
    text_format(&script->world->log, "%c.head(%u) ", script->letter, head->status);
    if (script->head_pauses > 0) {
        script->head_pauses--;
        return FILTER_PAUSE;
    }
    if (script->replies_in == RESPONSE_HEAD)
        return reply(stream, script);
    fields_add(&head->fields, pool_format(&stream->pool, "y-%c", script->letter), BYTES("1"));
    return FILTER_CONTINUE;
}

static enum filter_result response_data(struct stream *stream, const void *config, void *state, struct buffer *body, bool end) {
    (void)state;
    struct script *script = script_of(config);
    text_format(&script->world->log, "%c.down(%zu%s) ", script->letter, body->length, end ? " end" : "");
    if (script->data_pauses > 0) {
        script->data_pauses--;
        return FILTER_PAUSE;
    }
    if (script->data_fails) {
        stream_fail(stream, ERROR_INTERNAL, BYTES_NONE);
        return FILTER_REPLIED;
    }
    return FILTER_CONTINUE;
}

static void end_filter(struct stream *stream, const void *config, void *state) {
    (void)state;
    text_format(&script_of(config)->world->log, "%c.end(%s) ", script_of(config)->letter, error_name(stream->end));
}

static const struct filter_type type = {
    .name = "probe",
    .ops = {.decide = decide, .charge = charge, .response_head = response_head, .response_data = response_data, .end = end_filter},
};

static struct script *configs[FILTERS];

// A chain of three, A nearest to the client, in the place of the service's own. They answer 200 with "made here".
static void world_init(struct world *world, const char *documents) {
    memset(world, 0, sizeof *world);
    world->status = 200;
    world->body = "made here";
    loopback_init(&world->loopback, documents, NULL);
    world->chain = alloc_zeroed_or_abort(1, sizeof *world->chain + FILTERS * sizeof world->chain->filters[0]);
    world->chain->count = FILTERS;
    world->chain->has_response_data = true;
    for (unsigned i = 0; i < FILTERS; i++) {
        world->scripts[i] = (struct script){.letter = (char)('A' + i), .world = world};
        configs[i] = &world->scripts[i];
        world->chain->filters[i] = (struct filter){.type = &type, .config = &configs[i]};
    }
    chain_link(world->chain);
    struct bound_snapshot *bound = world->loopback.bound;
    for (uint32_t i = 0; i < bound->snapshot->service_count; i++)
        if (bytes_equal(bound->destinations[i].config->service->key, BYTES("default/a:80")))
            bound->destinations[i].chain = world->chain;
}

static void world_dispose(struct world *world) {
    loopback_dispose(&world->loopback);
    free(world->chain);
    text_dispose(&world->log);
}

static void assert_log(struct world *world, const char *expected) {
    assert_string_equal(world->log.at == NULL ? "" : world->log.at, expected);
    text_clear(&world->log);
}

#define HTTP1 PROXY SERVICE("HTTP1", ONE)
#define HTTP2 PROXY SERVICE("HTTP2", ONE)

static void assert_answered(struct world *world, const struct client *client) {
    assert_true(client->done && client->ended && !client->was_reset);
    assert_int_equal(client->status, world->status);
    assert_int_equal(world->loopback.record.count, 1);
    assert_int_equal(world->loopback.record.end, OK);
    assert_int_equal(world->loopback.record.status, world->status);
    assert_int_equal(world->loopback.record.response_bytes, client->body.len);
    assert_string_equal(world->loopback.record.detail, "by the test");
}

// --- where it is made, and past whom it goes ---

static void an_answer_of_a_filter_walks_back_from_there(void **state) {
    (void)state;
    static const char *const logs[2][FILTERS] = {
        {"A.decide A.end(ok) ", "A.decide B.decide A.head(200) A.down(9 end) B.end(ok) A.end(ok) ",
         "A.decide B.decide C.decide B.head(200) A.head(200) B.down(9 end) A.down(9 end) C.end(ok) B.end(ok) A.end(ok) "},
        {"A.decide B.decide C.decide C.end(ok) B.end(ok) A.end(ok) ",
         "A.decide B.decide C.decide A.head(200) A.down(9 end) C.end(ok) B.end(ok) A.end(ok) ",
         "A.decide B.decide C.decide B.head(200) A.head(200) B.down(9 end) A.down(9 end) C.end(ok) B.end(ok) A.end(ok) "},
    };
    for (unsigned i = 0; i < 2 * FILTERS; i++) {
        struct world world;
        struct client client;
        world_init(&world, HTTP1);
        world.scripts[i % FILTERS].replies_in = i < FILTERS ? DECIDE : CHARGE;
        client_get(&client, &world.loopback, "GET a /\n");
        loopback_settle(&world.loopback);
        assert_log(&world, logs[i / FILTERS][i % FILTERS]);
        assert_answered(&world, &client);
        assert_string_equal(client.body.at, "made here");
        assert_has(client.heads.at, "x-by: ");
        assert_int_equal(world.loopback.far.count, 0);
        assert_int_equal(world.loopback.record.attempts, 0);
        client_dispose(&client);
        world_dispose(&world);
    }
}

static void an_answer_of_a_filter_takes_the_place_of_upstreams(void **state) {
    (void)state;
    static const char *const logs[FILTERS] = {
        "C.head(503) B.head(503) A.head(503) C.end(ok) B.end(ok) A.end(ok) ",
        "C.head(503) B.head(503) A.head(200) A.down(9 end) C.end(ok) B.end(ok) A.end(ok) ",
        "C.head(503) B.head(200) A.head(200) B.down(9 end) A.down(9 end) C.end(ok) B.end(ok) A.end(ok) ",
    };
    for (unsigned i = 0; i < 2 * FILTERS; i++) {
        struct world world;
        struct client client;
        world_init(&world, i < FILTERS ? HTTP1 : HTTP2);
        world.scripts[i % FILTERS].replies_in = RESPONSE_HEAD;
        client_open(&client, &world.loopback, "POST a /\n");
        client_send(&client, BYTES("part"), false); // the rest is never sent
        text_clear(&world.log);
        far_respond(far_conn(&world.loopback.far, 0), only_request(&world.loopback, 0), 503, "x-up: 1\n", "secret", false);
        assert_log(&world, logs[i % FILTERS]);
        assert_answered(&world, &client);
        assert_string_equal(client.body.at, "made here");
        assert_has_not(client.heads.at, "x-up");
        assert_int_equal(world.loopback.record.attempts, 1);
        assert_int_equal(fake_upstream_cluster(&world.loopback.far, "default/a:80")->endpoints[0]->in_flight, 0);
        client_dispose(&client);
        world_dispose(&world);
    }
}

static void an_answer_may_take_the_place_of_that_of_a_filter_below(void **state) {
    (void)state;
    struct world world;
    struct client client;
    world_init(&world, HTTP1);
    world.scripts[2].replies_in = DECIDE;
    world.scripts[1].replies_in = RESPONSE_HEAD;
    client_get(&client, &world.loopback, "GET a /\n");
    loopback_settle(&world.loopback);
    assert_log(&world, "A.decide B.decide C.decide B.head(200) A.head(200) A.down(9 end) C.end(ok) B.end(ok) A.end(ok) ");
    assert_answered(&world, &client);
    assert_string_equal(client_field(&client, "x-by"), "B");
    assert_string_equal(client.body.at, "made here");
    client_dispose(&client);
    world_dispose(&world);
}

// --- PAUSE on the way back ---

static void a_pause_holds_the_head_and_the_body_of_such_an_answer(void **state) {
    (void)state;
    for (enum slot slot = DECIDE; slot <= RESPONSE_HEAD; slot++) {
        struct world world;
        struct client client;
        world_init(&world, HTTP1);
        world.scripts[2].replies_in = slot;
        world.scripts[1].head_pauses = world.scripts[0].data_pauses = 1;
        client_get(&client, &world.loopback, "GET a /\n");
        loopback_settle(&world.loopback);
        if (slot == RESPONSE_HEAD)
            far_respond(far_conn(&world.loopback.far, 0), only_request(&world.loopback, 0), 204, "", NULL, true);
        assert_int_equal(client.status, 0);
        text_clear(&world.log);
        stream_wake(client.stream);
        loopback_settle(&world.loopback);
        assert_log(&world, "B.head(200) A.head(200) B.down(9 end) A.down(9 end) ");
        assert_int_equal(client.status, 200);
        assert_int_equal(client.body.len, 0);
        stream_wake(client.stream);
        loopback_settle(&world.loopback);
        assert_log(&world, "A.down(9 end) C.end(ok) B.end(ok) A.end(ok) ");
        assert_answered(&world, &client);
        assert_string_equal(client.body.at, "made here");
        client_dispose(&client);
        world_dispose(&world);
    }
}

static void an_error_takes_the_place_of_an_answer_that_is_held(void **state) {
    (void)state;
    for (int gone = 0; gone < 2; gone++) {
        struct world world;
        struct client client;
        world_init(&world, HTTP1);
        world.scripts[2].replies_in = DECIDE;
        world.scripts[1].head_pauses = 1;
        client_get(&client, &world.loopback, "GET a /\n");
        loopback_settle(&world.loopback);
        if (gone)
            client_fail(&client, ERROR_CLIENT_GONE);
        else
            stream_fail(client.stream, ERROR_REQUEST_TIMEOUT, BYTES("too long"));
        loopback_settle(&world.loopback);
        assert_int_equal(client.status, gone ? 0 : 504);
        assert_true(client.done && client.was_reset == gone);
        assert_int_equal(world.loopback.record.end, gone ? ERROR_CLIENT_GONE : ERROR_REQUEST_TIMEOUT);
        if (!gone)
            assert_string_equal(world.loopback.record.detail, "too long");
        assert_has_not(client.body.at, "made here");
        client_dispose(&client);
        world_dispose(&world);
    }
}

static void an_answer_whose_body_a_filter_refuses_is_cut(void **state) {
    (void)state;
    struct world world;
    struct client client;
    world_init(&world, HTTP1);
    world.scripts[2].replies_in = DECIDE;
    world.scripts[0].data_fails = true;
    client_get(&client, &world.loopback, "GET a /\n");
    loopback_settle(&world.loopback);
    assert_int_equal(client.status, 200);
    assert_true(client.done && client.was_reset);
    assert_int_equal(client.body.len, 0);
    assert_int_equal(world.loopback.record.end, ERROR_INTERNAL);
    client_dispose(&client);
    world_dispose(&world);
}

// --- what the client is told ---

static void a_length_is_told_where_the_body_is_all_there_is(void **state) {
    (void)state;
    static const char *const requests[] = {"GET a /\n", "HEAD a /\n", "POST a /\n"};
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        struct world world;
        struct client client;
        world_init(&world, HTTP1);
        world.scripts[1].replies_in = DECIDE;
        client_open(&client, &world.loopback, requests[i]); // its body is never sent
        client.keeps = true;
        loopback_settle(&world.loopback);
        assert_answered(&world, &client);
        assert_int_equal(client.stream->response->content_length, strlen("made here"));
        assert_int_equal(client.body.len, i == 1 ? 0 : strlen("made here"));
        client_release(&client);
        client_dispose(&client);
        world_dispose(&world);
    }
}

static void an_answer_may_have_no_body(void **state) {
    (void)state;
    struct world world;
    struct client client;
    world_init(&world, HTTP1);
    world.scripts[2].replies_in = DECIDE;
    world.status = 302;
    world.body = NULL;
    client_get(&client, &world.loopback, "GET a /\n");
    loopback_settle(&world.loopback);
    assert_log(&world, "A.decide B.decide C.decide B.head(302) A.head(302) C.end(ok) B.end(ok) A.end(ok) ");
    assert_answered(&world, &client);
    client_dispose(&client);
    world_dispose(&world);
}

static void a_slow_client_gets_all_of_it_and_the_filters_see_it_once(void **state) {
    (void)state;
    struct world world;
    struct client client;
    world_init(&world, HTTP1);
    world.scripts[1].replies_in = DECIDE;
    client_get(&client, &world.loopback, "GET a /\n");
    client.accepts = 0;
    loopback_settle(&world.loopback);
    assert_false(client.done);
    for (int i = 0; i < 3; i++)
        client_accept(&client, 3);
    assert_answered(&world, &client);
    assert_string_equal(client.body.at, "made here");
    assert_log(&world, "A.decide B.decide A.head(200) A.down(9 end) B.end(ok) A.end(ok) ");
    client_dispose(&client);
    world_dispose(&world);
}

static void an_answer_to_grpc_has_its_status_in_head_or_trailers(void **state) {
    (void)state;
    for (int in_trailers = 0; in_trailers < 2; in_trailers++) {
        struct world world;
        struct client client;
        world_init(&world, HTTP2);
        world.scripts[1].replies_in = DECIDE;
        world.grpc_status = in_trailers ? NULL : "9";
        world.grpc_trailer = in_trailers ? "9" : NULL;
        world.body = in_trailers ? "message" : NULL;
        const struct stream_client from = {.address = &(union address){.v4 = {.sin_family = AF_INET}}};
        client_begin_as(&client, &world.loopback, loopback_listener(&world.loopback, "outbound"), &from, HTTP_2, "POST a /s/m\n" GRPC, true);
        loopback_settle(&world.loopback);
        assert_answered(&world, &client);
        assert_int_equal(world.loopback.record.grpc_status, 9);
        if (in_trailers) {
            assert_has(client.trailers.at, "grpc-status: 9\n");
            assert_string_equal(client.body.at, "message");
        } else {
            assert_string_equal(client_field(&client, "grpc-status"), "9");
        }
        client_dispose(&client);
        world_dispose(&world);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_of_a_filter_walks_back_from_there),
        cmocka_unit_test(an_answer_of_a_filter_takes_the_place_of_upstreams),
        cmocka_unit_test(an_answer_may_take_the_place_of_that_of_a_filter_below),
        cmocka_unit_test(a_pause_holds_the_head_and_the_body_of_such_an_answer),
        cmocka_unit_test(an_error_takes_the_place_of_an_answer_that_is_held),
        cmocka_unit_test(an_answer_whose_body_a_filter_refuses_is_cut),
        cmocka_unit_test(a_length_is_told_where_the_body_is_all_there_is),
        cmocka_unit_test(an_answer_may_have_no_body),
        cmocka_unit_test(a_slow_client_gets_all_of_it_and_the_filters_see_it_once),
        cmocka_unit_test(an_answer_to_grpc_has_its_status_in_head_or_trailers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
