// The contract of a filter (stream/filter.h), by filters that note what is asked of them: each slot in its order, PAUSE and what follows it, REPLIED at every position,
// pieces of bodies once each, and the end of each filter exactly once however the stream ends.
#include "unit/stream/stream_drive.h"

#define FILTERS 3

// What a filter shall do; its config points here.
struct script {
    char letter;
    struct world *world;
    unsigned decide_pauses; // so often
    bool decide_replies;
    bool charge_replies;
    unsigned request_pauses;
    bool request_replies;
    unsigned response_pauses;
    bool response_replies;
    unsigned head_pauses;
    bool head_replies;
    bool doubles; // bodies
    bool drops;
    bool waits_by_timer; // a PAUSE of decide ends after a second
    unsigned begun, ended, disposed;
    struct stream *stream;
};

struct state {
    char letter; // zero before the first call
    struct timer timer;
    struct stream *stream;
};

struct world {
    struct loopback loopback;
    struct script scripts[FILTERS];
    struct chain *chain;
    struct text log;
};

static void note(struct script *script, const char *slot) {
    text_format(&script->world->log, "%c.%s ", script->letter, slot);
}

static struct script *script_of(const void *config) {
    struct script *const *script = config;
    return *script;
}

static void on_timer(struct timer *timer) {
    stream_wake(CONTAINER_OF(timer, struct state, timer)->stream);
}

static enum filter_result decide(struct stream *stream, const void *config, void *state_pointer) {
    struct script *script = script_of(config);
    struct state *state = state_pointer;
    note(script, "decide");
    if (state->letter == 0) {
        script->begun++;
        timer_init(&state->timer, on_timer);
    }
    CHECK(state->letter == 0 || state->letter == script->letter);
    state->letter = script->letter;
    script->stream = state->stream = stream;
    if (script->decide_replies && script->decide_pauses == 0) {
        stream_fail(stream, ERROR_UNAUTHENTICATED, BYTES("not you"));
        return FILTER_REPLIED;
    }
    if (script->decide_pauses == 0)
        return FILTER_CONTINUE;
    script->decide_pauses--;
    if (script->waits_by_timer)
        timer_start(&stream->env->loop->timers, &state->timer, stream->env->loop->now + NS_PER_S);
    return FILTER_PAUSE;
}

static enum filter_result charge(struct stream *stream, const void *config, void *state) {
    struct script *script = script_of(config);
    note(script, "charge");
    CHECK(((struct state *)state)->letter == script->letter);
    if (!script->charge_replies)
        return FILTER_CONTINUE;
    stream_fail(stream, ERROR_POOL_FULL, BYTES_NONE);
    return FILTER_REPLIED;
}

static void change(const struct script *script, struct buffer *body) {
    if (script->drops)
        buffer_clear(body);
    if (!script->doubles || buffer_is_empty(body))
        return;
    struct buffer copy;
    buffer_init(&copy, body->source);
    buffer_share(&copy, body);
    buffer_move(body, &copy, SIZE_MAX);
    buffer_dispose(&copy);
}

static enum filter_result pass_data(struct stream *stream, struct script *script, const char *slot, unsigned *pauses, bool replies,
                                    struct buffer *body, bool end) {
    text_format(&script->world->log, "%c.%s(%zu%s) ", script->letter, slot, body->length, end ? " end" : "");
    if (*pauses > 0) {
        (*pauses)--;
        return FILTER_PAUSE;
    }
    if (replies) {
        stream_fail(stream, ERROR_UNAUTHENTICATED, BYTES_NONE);
        return FILTER_REPLIED;
    }
    change(script, body);
    return FILTER_CONTINUE;
}

static enum filter_result request_data(struct stream *stream, const void *config, void *state, struct buffer *body, bool end) {
    (void)state;
    struct script *script = script_of(config);
    return pass_data(stream, script, "up", &script->request_pauses, script->request_replies, body, end);
}

static enum filter_result response_data(struct stream *stream, const void *config, void *state, struct buffer *body, bool end) {
    (void)state;
    struct script *script = script_of(config);
    return pass_data(stream, script, "down", &script->response_pauses, script->response_replies, body, end);
}

static void attempt_head(struct stream *stream, const void *config, void *state, struct head *head, struct pool *pool) {
    (void)stream;
    (void)state;
    struct script *script = script_of(config);
    note(script, "try");
    fields_add(&head->fields, pool_format(pool, "x-%c", script->letter), BYTES("1"));
}

static enum filter_result response_head(struct stream *stream, const void *config, void *state, struct head *head) {
    (void)state;
    struct script *script = script_of(config);
    text_format(&script->world->log, "%c.head(%u) ", script->letter, head->status);
    if (script->head_pauses > 0) {
        script->head_pauses--;
        return FILTER_PAUSE;
    }
    if (script->head_replies) {
        stream_fail(stream, ERROR_UNAUTHENTICATED, BYTES_NONE);
        return FILTER_REPLIED;
    }
    fields_add(&head->fields, pool_format(&stream->pool, "y-%c", script->letter), BYTES("1"));
    return FILTER_CONTINUE;
}

static void end_filter(struct stream *stream, const void *config, void *state_pointer) {
    struct script *script = script_of(config);
    struct state *state = state_pointer;
    CHECK(state->letter == script->letter);
    loop_timer_stop(stream->env->loop, &state->timer);
    script->ended++;
    note(script, "end");
}

static void dispose(const void *config) {
    script_of(config)->disposed++;
}

static const struct filter_type type_of_all_slots = {
    .name = "probe",
    .state_size = sizeof(struct state),
    .ops = {decide, charge, request_data, attempt_head, response_head, response_data, end_filter, dispose},
};

static const struct filter_type type_without_bodies = {
    .name = "probe",
    .state_size = sizeof(struct state),
    .ops = {.decide = decide, .end = end_filter},
};

static struct script *configs[FILTERS];
// A chain of three, A nearest to the client, in the place of the service's own.
static void put_chain(struct world *world, const struct filter_type *type) {
    world->chain = alloc_zeroed_or_abort(1, sizeof *world->chain + FILTERS * sizeof world->chain->filters[0]);
    world->chain->count = FILTERS;
    world->chain->has_request_data = type->ops.request_data != NULL;
    world->chain->has_response_data = type->ops.response_data != NULL;
    for (unsigned i = 0; i < FILTERS; i++) {
        world->scripts[i] = (struct script){.letter = (char)('A' + i), .world = world};
        configs[i] = &world->scripts[i];
        world->chain->filters[i] = (struct filter){.type = type, .config = &configs[i], .state_offset = world->chain->states_size};
        world->chain->states_size += (sizeof(struct state) + 15) & ~(size_t)15;
    }
    chain_link(world->chain);
    struct bound_snapshot *bound = world->loopback.bound;
    for (uint32_t i = 0; i < bound->snapshot->service_count; i++)
        if (bytes_equal(bound->destinations[i].config->service->key, BYTES("default/a:80")))
            bound->destinations[i].chain = bound->chains->chains[i] = world->chain;
}

static void world_init(struct world *world, const char *documents) {
    memset(world, 0, sizeof *world);
    loopback_init(&world->loopback, documents, NULL);
    put_chain(world, &type_of_all_slots);
}

static void world_dispose(struct world *world) {
    loopback_dispose(&world->loopback);
    for (unsigned i = 0; i < FILTERS; i++) {
        assert_int_equal(world->scripts[i].begun, world->scripts[i].ended);
        assert_int_equal(world->scripts[i].disposed, 1);
    }
    free(world->chain);
    text_dispose(&world->log);
}

static void assert_log(struct world *world, const char *expected) {
    assert_string_equal(world->log.at == NULL ? "" : world->log.at, expected);
    text_clear(&world->log);
}

#define HTTP1 PROXY SERVICE("HTTP1", ONE)
#define HTTP2 PROXY SERVICE("HTTP2", ONE)

static void every_slot_comes_in_its_order(void **state) {
    (void)state;
    struct world world;
    struct client client;
    world_init(&world, HTTP1);
    client_open(&client, &world.loopback, "POST a /\n");
    loopback_settle(&world.loopback);
    assert_log(&world, "A.decide B.decide C.decide A.charge B.charge C.charge A.try B.try C.try ");
    client_send(&client, BYTES("12345"), false);
    assert_log(&world, "A.up(5) B.up(5) C.up(5) ");
    client_end(&client, NULL);
    assert_log(&world, "A.up(0 end) B.up(0 end) C.up(0 end) ");
    assert_has(received(&world.loopback, 0), "x-A: 1\nx-B: 1\nx-C: 1\n");
    assert_has(received(&world.loopback, 0), "body 5 12345\n");
    struct far_conn *conn = far_conn(&world.loopback.far, 0);
    far_respond(conn, only_request(&world.loopback, 0), 200, "", "abc", false);
    assert_log(&world, "C.head(200) B.head(200) A.head(200) C.down(3) B.down(3) A.down(3) ");
    far_body(conn, only_request(&world.loopback, 0), BYTES_NONE, true);
    assert_log(&world, "C.down(0 end) B.down(0 end) A.down(0 end) C.end B.end A.end ");
    assert_has(client.fields.at, "y-C: 1\ny-B: 1\ny-A: 1\n");
    assert_string_equal(client.body.at, "abc");
    client_dispose(&client);
    world_dispose(&world);
}

// What is refused when it is charged for takes no place in a queue.
static void who_stands_before_a_queue_is_charged_before_it(void **state) {
    (void)state;
    static const char *const logs[] = {"A.decide B.decide A.charge B.charge C.decide C.charge A.try B.try C.try ",
                                       "A.decide B.decide A.charge B.charge A.head(503) B.end A.end "};
    for (int i = 0; i < 2; i++) {
        struct filter_type queueing = type_of_all_slots;
        struct world world;
        struct client client;
        world_init(&world, HTTP1);
        queueing.queues = true;
        world.chain->filters[2].type = &queueing;
        chain_link(world.chain);
        world.scripts[1].charge_replies = i == 1;
        client_get(&client, &world.loopback, "GET a /\n");
        loopback_settle(&world.loopback);
        assert_log(&world, logs[i]);
        if (i == 0)
            respond(&world.loopback, 0, 204, "", NULL);
        client_dispose(&client);
        world_dispose(&world);
    }
}

static void slots_may_be_left_out(void **state) {
    (void)state;
    struct world world = {0};
    struct client client;
    loopback_init(&world.loopback, HTTP1, NULL);
    put_chain(&world, &type_without_bodies);
    client_open(&client, &world.loopback, "POST a /\n");
    client_send(&client, BYTES("12345"), true);
    respond(&world.loopback, 0, 200, "", "abc");
    assert_log(&world, "A.decide B.decide C.decide C.end B.end A.end ");
    assert_string_equal(client.body.at, "abc");
    client_dispose(&client);
    loopback_dispose(&world.loopback);
    free(world.chain);
    text_dispose(&world.log);
}

static void after_a_pause_the_same_filter_is_asked_again(void **state) {
    (void)state;
    for (unsigned position = 0; position < FILTERS; position++) {
        struct world world;
        struct client client;
        world_init(&world, HTTP1);
        world.scripts[position].decide_pauses = 2;
        client_get(&client, &world.loopback, "GET a /\n");
        loopback_settle(&world.loopback);
        assert_int_equal(world.loopback.far.count, 0);
        assert_int_equal(client.stream->state, STREAM_CHAIN);
        text_clear(&world.log);
        stream_wake(client.stream);
        loopback_settle(&world.loopback);
        assert_has(world.log.at, ".decide ");
        assert_int_equal(world.log.at[0], 'A' + (int)position);
        assert_int_equal(world.loopback.far.count, 0);
        stream_wake(client.stream);
        loopback_settle(&world.loopback);
        assert_int_equal(world.loopback.far.count, 1);
        respond(&world.loopback, 0, 204, "", NULL);
        assert_int_equal(client.status, 204);
        client_dispose(&client);
        world_dispose(&world);
    }
}

static void a_filter_may_wait_by_its_own_timer(void **state) {
    (void)state;
    struct world world;
    struct client client;
    world_init(&world, HTTP1);
    world.scripts[1].decide_pauses = 1;
    world.scripts[1].waits_by_timer = true;
    client_get(&client, &world.loopback, "GET a /\n");
    loopback_pass(&world.loopback, 999 * NS_PER_MS);
    assert_int_equal(world.loopback.far.count, 0);
    loopback_pass(&world.loopback, 2 * NS_PER_MS);
    respond(&world.loopback, 0, 204, "", NULL);
    client_dispose(&client);
    world_dispose(&world);
}

static void a_client_that_goes_in_a_pause_ends_those_that_began(void **state) {
    (void)state;
    for (unsigned position = 0; position < FILTERS; position++) {
        struct world world;
        struct client client;
        world_init(&world, HTTP1);
        world.scripts[position].decide_pauses = 1;
        world.scripts[position].waits_by_timer = true;
        client_get(&client, &world.loopback, "GET a /\n");
        loopback_settle(&world.loopback);
        client_fail(&client, ERROR_CLIENT_GONE);
        assert_true(client.done && client.was_reset);
        loopback_pass(&world.loopback, 10 * NS_PER_S); // its timer must not find it
        for (unsigned i = 0; i < FILTERS; i++)
            assert_int_equal(world.scripts[i].ended, i <= position);
        client_dispose(&client);
        world_dispose(&world);
    }
}

static void a_reply_at_any_position_walks_back_from_there(void **state) {
    (void)state;
    static const char *const logs[] = {
        "A.decide A.end ",
        "A.decide B.decide A.head(401) B.end A.end ",
        "A.decide B.decide C.decide B.head(401) A.head(401) C.end B.end A.end ",
    };
    for (unsigned position = 0; position < FILTERS; position++) {
        struct world world;
        struct client client;
        world_init(&world, HTTP1);
        world.scripts[position].decide_replies = true;
        client_get(&client, &world.loopback, "GET a /\n");
        loopback_settle(&world.loopback);
        assert_log(&world, logs[position]);
        assert_int_equal(client.status, 401);
        assert_true(client.ended);
        assert_int_equal(world.loopback.record.end, ERROR_UNAUTHENTICATED);
        assert_string_equal(world.loopback.record.detail, "not you");
        assert_int_equal(world.loopback.far.count, 0);
        client_dispose(&client);
        world_dispose(&world);
    }
}

static void a_reply_may_come_after_a_pause(void **state) {
    (void)state;
    struct world world;
    struct client client;
    world_init(&world, HTTP1);
    world.scripts[1].decide_pauses = 1;
    world.scripts[1].decide_replies = true;
    client_get(&client, &world.loopback, "GET a /\n");
    loopback_settle(&world.loopback);
    assert_int_equal(client.status, 0);
    stream_wake(client.stream);
    loopback_settle(&world.loopback);
    assert_int_equal(client.status, 401);
    client_dispose(&client);
    world_dispose(&world);
}

// All have decided; some have charged: `end` is where they take it back.
static void a_refused_charge_ends_all(void **state) {
    (void)state;
    static const char *const walks[] = {"A.charge C.end B.end A.end ", "B.charge A.head(503) C.end B.end A.end ",
                                        "C.charge B.head(503) A.head(503) C.end B.end A.end "};
    static const char *const unseen[] = {"A.head", "B.head", "C.head"};
    for (unsigned position = 0; position < FILTERS; position++) {
        struct world world;
        struct client client;
        world_init(&world, HTTP1);
        world.scripts[position].charge_replies = true;
        client_get(&client, &world.loopback, "GET a /\n");
        loopback_settle(&world.loopback);
        assert_int_equal(client.status, 503);
        assert_int_equal(world.loopback.record.end, ERROR_POOL_FULL);
        assert_int_equal(world.loopback.far.count, 0);
        assert_has(world.log.at, walks[position]);
        assert_has_not(world.log.at, unseen[position]);
        for (unsigned i = 0; i < FILTERS; i++) {
            char charged[] = {(char)('A' + i), '.', 'c', 'h', 'a', 'r', 'g', 'e', '\0'};
            assert_int_equal(has_text(world.log.at, charged), i <= position);
        }
        client_dispose(&client);
        world_dispose(&world);
    }
}

static void a_reply_of_the_proxy_itself_passes_the_filters_too(void **state) {
    (void)state;
    struct world world;
    struct client client;
    world_init(&world, HTTP1);
    world.loopback.far.mode = FAR_REFUSE;
    client_get(&client, &world.loopback, "GET a /\n");
    loopback_pass(&world.loopback, NS_PER_S);
    assert_int_equal(client.status, 502);
    assert_has(world.log.at, "C.head(502) B.head(502) A.head(502) C.end B.end A.end ");
    client_dispose(&client);
    world_dispose(&world);
}

// Time runs out while B waits: A alone had let the request pass.
static void a_reply_by_nobody_walks_back_from_where_the_request_stands(void **state) {
    (void)state;
    struct world world;
    struct client client;
    world_init(&world, HTTP1);
    world.scripts[1].decide_pauses = 1;
    client_get(&client, &world.loopback, "GET a /\n");
    loopback_settle(&world.loopback);
    stream_fail(client.stream, ERROR_REQUEST_TIMEOUT, BYTES_NONE);
    loopback_settle(&world.loopback);
    assert_log(&world, "A.decide B.decide A.head(504) B.end A.end ");
    client_dispose(&client);
    world_dispose(&world);
}

static void a_pause_holds_the_head_of_the_response(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct world world;
        struct client client;
        world_init(&world, i == 0 ? HTTP1 : HTTP2);
        client_open(&client, &world.loopback, "POST a /\n");
        loopback_settle(&world.loopback);
        world.scripts[1].head_pauses = 2;
        text_clear(&world.log);
        struct far_conn *conn = far_conn(&world.loopback.far, 0);
        far_respond(conn, only_request(&world.loopback, 0), 200, "", "answer", false);
        assert_log(&world, "C.head(200) B.head(200) ");
        client_send(&client, BYTES("12345"), true); // goes up meanwhile
        assert_log(&world, "A.up(5 end) B.up(5 end) C.up(5 end) B.head(200) ");
        assert_int_equal(client.status, 0);
        stream_wake(client.stream);
        loopback_settle(&world.loopback);
        assert_log(&world, "B.head(200) A.head(200) C.down(6) B.down(6) A.down(6) ");
        far_body(conn, only_request(&world.loopback, 0), BYTES_NONE, true);
        assert_int_equal(client.status, 200);
        assert_has(client.fields.at, "y-C: 1\ny-B: 1\ny-A: 1\n");
        assert_string_equal(client.body.at, "answer");
        client_dispose(&client);
        world_dispose(&world);
    }
}

static void a_head_that_is_held_goes_down_though_upstream_breaks_behind_it(void **state) {
    (void)state;
    struct world world;
    struct client client;
    world_init(&world, HTTP1);
    client_get(&client, &world.loopback, "GET a /\n");
    loopback_settle(&world.loopback);
    world.scripts[2].head_pauses = 2;
    struct far_conn *conn = far_conn(&world.loopback.far, 0);
    far_respond(conn, only_request(&world.loopback, 0), 200, "content-length: 9\n", "part", false);
    far_break(conn);
    assert_int_equal(client.status, 0);
    stream_wake(client.stream);
    loopback_settle(&world.loopback);
    assert_int_equal(client.status, 200);
    assert_true(client.was_reset);
    assert_int_equal(world.loopback.record.end, ERROR_RESPONSE_INCOMPLETE);
    client_dispose(&client);
    world_dispose(&world);
}

static void a_reply_in_the_place_of_an_answer_walks_back_from_there(void **state) {
    (void)state;
    static const char *const logs[] = {
        "C.head(200) B.head(200) A.head(200) C.end B.end A.end ",
        "C.head(200) B.head(200) A.head(401) C.end B.end A.end ",
        "C.head(200) B.head(401) A.head(401) C.end B.end A.end ",
    };
    for (unsigned position = 0; position < FILTERS; position++) {
        struct world world;
        struct client client;
        world_init(&world, HTTP1);
        client_get(&client, &world.loopback, "GET a /\n");
        loopback_settle(&world.loopback);
        world.scripts[position].head_replies = true;
        text_clear(&world.log);
        struct far_conn *conn = far_conn(&world.loopback.far, 0);
        far_respond(conn, only_request(&world.loopback, 0), 200, "", "secret", false);
        assert_log(&world, logs[position]);
        assert_int_equal(client.status, 401);
        assert_true(client.ended);
        assert_has_not(client.body.at, "secret");
        assert_true(conn->peer->closed);
        client_dispose(&client);
        world_dispose(&world);
    }
}

// --- bodies ---

static void a_pause_holds_a_piece_of_the_request_and_resumes_behind_those_before(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct world world;
        struct client client;
        world_init(&world, i == 0 ? HTTP1 : HTTP2);
        client_open(&client, &world.loopback, "POST a /\n");
        loopback_settle(&world.loopback);
        text_clear(&world.log);
        world.scripts[1].request_pauses = 2;
        client_send(&client, BYTES("first"), false);
        assert_log(&world, "A.up(5) B.up(5) ");
        client_send(&client, BYTES("second"), true); // woken by the client: asked again
        assert_log(&world, "B.up(5) ");
        assert_int_equal(client.consumed, 0);
        stream_wake(client.stream);
        loopback_settle(&world.loopback);
        assert_log(&world, "B.up(5) C.up(5) A.up(6 end) B.up(6 end) C.up(6 end) ");
        assert_has(received(&world.loopback, 0), "body 11 firstsecond\nend\n");
        assert_int_equal(client.consumed, 11);
        respond(&world.loopback, 0, 204, "", NULL);
        client_dispose(&client);
        world_dispose(&world);
    }
}

static void a_pause_holds_a_piece_of_the_response(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct world world;
        struct client client;
        world_init(&world, i == 0 ? HTTP1 : HTTP2);
        client_get(&client, &world.loopback, "GET a /\n");
        loopback_settle(&world.loopback);
        world.scripts[1].response_pauses = 2;
        struct far_conn *conn = far_conn(&world.loopback.far, 0);
        far_respond(conn, only_request(&world.loopback, 0), 200, "", NULL, false);
        text_clear(&world.log);
        far_body(conn, only_request(&world.loopback, 0), BYTES("first"), false);
        assert_log(&world, "C.down(5) B.down(5) ");
        far_body(conn, only_request(&world.loopback, 0), BYTES("second"), true);
        assert_has_not(world.log.at, "C.down");
        assert_int_equal(client.body.len, 0);
        while (!client.done) {
            stream_wake(client.stream);
            loopback_settle(&world.loopback);
        }
        assert_string_equal(client.body.at, "firstsecond");
        client_dispose(&client);
        world_dispose(&world);
    }
}

// The sink takes little: what it leaves must not pass the filters again.
static void each_piece_of_the_response_passes_once_though_the_client_is_slow(void **state) {
    (void)state;
    struct world world;
    struct client client;
    world_init(&world, HTTP1);
    client_get(&client, &world.loopback, "GET a /\n");
    client.accepts = 0;
    loopback_settle(&world.loopback);
    respond(&world.loopback, 0, 200, "content-length: 10\n", "0123456789");
    for (int i = 0; i < 5; i++)
        client_accept(&client, 3);
    assert_string_equal(client.body.at, "0123456789");
    assert_true(client.done);
    const char *first = strstr(world.log.at, "A.down(10 end)");
    assert_non_null(first);
    assert_null(strstr(first + 1, "A.down"));
    client_dispose(&client);
    world_dispose(&world);
}

static void a_filter_may_make_bodies_longer(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct world world;
        struct client client;
        world_init(&world, i == 0 ? HTTP1 : HTTP2);
        world.scripts[0].doubles = world.scripts[2].doubles = true;
        client_open(&client, &world.loopback, "POST a /\n");
        client_send(&client, BYTES("ab"), false);
        client_send(&client, BYTES("c"), true);
        assert_has(received(&world.loopback, 0), "body 12 ababababcccc\n");
        assert_int_equal(client.consumed, 3);
        client.accepts = 5;
        respond(&world.loopback, 0, 200, "", "xy");
        client_accept(&client, 100);
        assert_string_equal(client.body.at, "xyxyxyxy");
        assert_true(client.done);
        client_dispose(&client);
        world_dispose(&world);
    }
}

// Windows and reading must go on though nothing of it is passed on.
static void a_filter_may_drop_bodies(void **state) {
    (void)state;
    enum { TOTAL = 1 << 20 };
    char *body = alloc_zeroed_or_abort(1, TOTAL);
    for (int i = 0; i < 2; i++) {
        struct world world;
        struct client client;
        world_init(&world, i == 0 ? HTTP1 : HTTP2);
        world.scripts[1].drops = true;
        client_open(&client, &world.loopback, "POST a /\n");
        client_send(&client, bytes_from(body, TOTAL), true);
        assert_int_equal(client.consumed, TOTAL);
        assert_int_equal(only_request(&world.loopback, 0)->body.len, 0);
        assert_true(only_request(&world.loopback, 0)->ended);
        struct far_conn *conn = far_conn(&world.loopback.far, 0);
        far_respond(conn, only_request(&world.loopback, 0), 200, "", NULL, false);
        far_body(conn, only_request(&world.loopback, 0), bytes_from(body, TOTAL), true);
        assert_true(client.done && client.ended);
        assert_int_equal(client.body.len, 0);
        client_dispose(&client);
        world_dispose(&world);
    }
    free(body);
}

static void a_repeated_request_passes_the_filters_once(void **state) {
    (void)state;
    struct world world;
    struct client client;
    world_init(&world, HTTP2);
    world.scripts[1].doubles = true;
    client_open(&client, &world.loopback, "POST a /\n");
    client_send(&client, BYTES("ab"), true);
    text_clear(&world.log);
    far_reset(far_conn(&world.loopback.far, 0), only_request(&world.loopback, 0), ERROR_REFUSED_STREAM);
    loopback_pass(&world.loopback, NS_PER_S);
    assert_log(&world, "A.try B.try C.try ");
    struct far_conn *conn = far_conn(&world.loopback.far, 0);
    struct owner_stream *second = far_request(conn, 1);
    assert_true(text_bytes(&second->body).len == 4 && memcmp(second->body.at, "abab", 4) == 0);
    assert_true(second->ended);
    struct text transcript = {0};
    owner_stream_transcript(second, &transcript);
    assert_null(strstr(strstr(transcript.at, "x-a: 1") + 1, "x-a: 1")); // each try has a head of its own
    text_dispose(&transcript);
    assert_int_equal(client.consumed, 2);
    far_respond(conn, second, 204, "", NULL, true);
    assert_int_equal(client.status, 204);
    client_dispose(&client);
    world_dispose(&world);
}

static void a_reply_from_within_the_request_body_stops_the_try(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct world world;
        struct client client;
        world_init(&world, i == 0 ? HTTP1 : HTTP2);
        world.scripts[1].request_replies = true;
        client_open(&client, &world.loopback, "POST a /\n");
        loopback_settle(&world.loopback);
        client_send(&client, BYTES("secret"), true);
        assert_int_equal(client.status, 401);
        assert_true(client.done);
        assert_has(world.log.at, "B.up(6 end) A.head(401) C.end ");
        assert_int_equal(only_request(&world.loopback, 0)->body.len, 0);
        assert_true(only_request(&world.loopback, 0)->has_failed);
        client_dispose(&client);
        world_dispose(&world);
    }
}

// The answer and the piece that is refused come in one turn: the refusal counts.
static void a_reply_beats_an_answer_of_the_same_turn(void **state) {
    (void)state;
    struct world world;
    struct client client;
    world_init(&world, HTTP2);
    world.scripts[1].request_replies = true;
    client_open(&client, &world.loopback, "POST a /\n");
    loopback_settle(&world.loopback);
    struct far_conn *conn = far_conn(&world.loopback.far, 0);
    struct owner_stream *request = only_request(&world.loopback, 0);
    struct head head;
    head_init(&head, &request->pool);
    head.version = HTTP_2;
    head.status = 200;
    head.content_length = -1;
    assert_int_equal(conn->server.codec->ops->send_head(conn->server.codec, &request->stream, &head, false), OK);
    fake_peer_send(conn->peer, codec_owner_sent(&conn->server));
    client_send(&client, BYTES("secret"), true);
    assert_int_equal(client.status, 401);
    client_dispose(&client);
    world_dispose(&world);
}

static void a_reply_from_within_the_response_body_cuts_it(void **state) {
    (void)state;
    struct world world;
    struct client client;
    world_init(&world, HTTP1);
    world.scripts[1].response_replies = true;
    client_get(&client, &world.loopback, "GET a /\n");
    loopback_settle(&world.loopback);
    respond(&world.loopback, 0, 200, "content-length: 6\n", "secret");
    assert_int_equal(client.status, 200);
    assert_true(client.was_reset);
    assert_int_equal(client.body.len, 0);
    assert_int_equal(world.loopback.record.end, ERROR_UNAUTHENTICATED);
    client_dispose(&client);
    world_dispose(&world);
}

// --- how a stream may end ---

static void whatever_ends_a_stream_ends_each_filter_once(void **state) {
    (void)state;
    enum { CLIENT_GONE, UPSTREAM_BROKEN, RESPONSE_BROKEN, IDLE, BODY_BROKEN, WAYS };
    for (int way = 0; way < WAYS; way++) {
        struct world world;
        struct client client;
        world_init(&world, HTTP1);
        client_open(&client, &world.loopback, "POST a /\n");
        client_send(&client, BYTES("x"), way != BODY_BROKEN);
        struct far_conn *conn = far_conn(&world.loopback.far, 0);
        switch (way) {
        case CLIENT_GONE:
            client_fail(&client, ERROR_CLIENT_GONE);
            break;
        case UPSTREAM_BROKEN:
            far_break(conn);
            break;
        case RESPONSE_BROKEN:
            far_respond(conn, only_request(&world.loopback, 0), 200, "", "part", false);
            far_break(conn);
            break;
        case IDLE:
            loopback_pass(&world.loopback, 301 * NS_PER_S);
            break;
        default:
            client_fail(&client, ERROR_FRAMING_INVALID);
            break;
        }
        assert_true(client.done);
        for (unsigned i = 0; i < FILTERS; i++)
            assert_int_equal(world.scripts[i].ended, 1);
        client_dispose(&client);
        world_dispose(&world);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_slot_comes_in_its_order),
        cmocka_unit_test(who_stands_before_a_queue_is_charged_before_it),
        cmocka_unit_test(slots_may_be_left_out),
        cmocka_unit_test(after_a_pause_the_same_filter_is_asked_again),
        cmocka_unit_test(a_filter_may_wait_by_its_own_timer),
        cmocka_unit_test(a_client_that_goes_in_a_pause_ends_those_that_began),
        cmocka_unit_test(a_reply_at_any_position_walks_back_from_there),
        cmocka_unit_test(a_reply_may_come_after_a_pause),
        cmocka_unit_test(a_refused_charge_ends_all),
        cmocka_unit_test(a_reply_of_the_proxy_itself_passes_the_filters_too),
        cmocka_unit_test(a_reply_by_nobody_walks_back_from_where_the_request_stands),
        cmocka_unit_test(a_pause_holds_the_head_of_the_response),
        cmocka_unit_test(a_head_that_is_held_goes_down_though_upstream_breaks_behind_it),
        cmocka_unit_test(a_reply_in_the_place_of_an_answer_walks_back_from_there),
        cmocka_unit_test(a_pause_holds_a_piece_of_the_request_and_resumes_behind_those_before),
        cmocka_unit_test(a_pause_holds_a_piece_of_the_response),
        cmocka_unit_test(each_piece_of_the_response_passes_once_though_the_client_is_slow),
        cmocka_unit_test(a_filter_may_make_bodies_longer),
        cmocka_unit_test(a_filter_may_drop_bodies),
        cmocka_unit_test(a_repeated_request_passes_the_filters_once),
        cmocka_unit_test(a_reply_from_within_the_request_body_stops_the_try),
        cmocka_unit_test(a_reply_beats_an_answer_of_the_same_turn),
        cmocka_unit_test(a_reply_from_within_the_response_body_cuts_it),
        cmocka_unit_test(whatever_ends_a_stream_ends_each_filter_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
