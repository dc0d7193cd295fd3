// A stream is cut at every boundary of its life, from a seed: the client goes, its connection breaks, the server resets or closes or answers early, time runs out, the
// snapshot changes, the worker drains, a filter waits or replies, between any two turns of the loop. Whatever happens, nothing may be left: no stream, no connection,
// no block, no pin, no count; and a response that was not cut must be the one that was sent.
//
// Clients and servers speak through real codecs over transports that deliver in odd pieces, late, and take little at a time. Run one seed alone:
// OUTRIGGER_SEED=123 downstream_reset_test
#include "unit/downstream/near_drive.h"

#include "base/log.h"

#include <stdlib.h>

#define SEEDS_EACH 500 // for each of four pairs of protocols; OUTRIGGER_SEEDS=n: so many
#define STEPS 200
#define CLIENTS 4

#define POLICIES                                                                                                                  \
    "  timeouts: {backendRequest: 3s, idle: 20s}\n"                                                                               \
    "  connections: {max: 4, maxPending: 6, maxStreams: 3, connectTimeout: 500ms, idleTimeout: 5s, maxAge: 15s, keepalive: 4s}\n" \
    "  retry: {attempts: 3, bufferBytes: 16Ki, backoff: {base: 50ms, max: 400ms}, budget: {percent: 100, minPerSecond: 100}}\n"
#define LIMITS "  limits: {bodyBytes: 200Ki, headerTimeout: 2s, bodyIdleTimeout: 6s, idleTimeout: 30s, streamsPerConnection: 8}\n"

static const char *const documents[2][3] = {
    {
        PROXY_WITH(LIMITS) SERVICE("HTTP1", TWO) POLICY(POLICIES),
        PROXY_WITH(LIMITS) SERVICE("HTTP1", "{address: '127.0.0.1:8002', weight: 3}, {address: '127.0.0.1:8003'}") POLICY(IN_TURN),
        PROXY_WITH(LIMITS),
    },
    {
        PROXY_WITH(LIMITS) SERVICE("HTTP2", TWO) POLICY(POLICIES),
        PROXY_WITH(LIMITS) SERVICE("HTTP2", "{address: '127.0.0.1:8002', weight: 3}, {address: '127.0.0.1:8003'}") POLICY(IN_TURN),
        PROXY_WITH(LIMITS),
    },
};

struct world {
    struct fake_downstream near;
    struct rng rng;
    enum http_version front;
    int back; // index of documents
    struct near_conn *conns[CLIENTS];
    bool calm; // no more accidents: what is left is finished
};

static struct world *current;

static bool one_in(uint32_t count) {
    return rng_below(&current->rng, count) == 0;
}

// --- a filter that waits and replies at random ---

struct state {
    struct timer timer;
    struct stream *stream;
};

static const void *configure(const struct filter_scope *scope, struct pool *pool) {
    (void)scope;
    (void)pool;
    static const char something;
    return &something;
}

static void on_timer(struct timer *timer) {
    stream_wake(CONTAINER_OF(timer, struct state, timer)->stream);
}

static enum filter_result any_result(struct stream *stream, struct state *state) {
    if (state->stream == NULL) {
        state->stream = stream;
        timer_init(&state->timer, on_timer);
    }
    if (!current->calm && one_in(12)) {
        loop_timer_start(stream->env->loop, &state->timer, rng_below(&current->rng, 300) * NS_PER_MS);
        return FILTER_PAUSE;
    }
    if (!current->calm && one_in(60)) {
        stream_fail(stream, ERROR_UNAUTHENTICATED, BYTES_NONE);
        return FILTER_REPLIED;
    }
    return FILTER_CONTINUE;
}

static enum filter_result decide(struct stream *stream, const void *config, void *state) {
    (void)config;
    return any_result(stream, state);
}

static enum filter_result pass_data(struct stream *stream, const void *config, void *state, struct buffer *body, bool end) {
    (void)config;
    (void)body;
    (void)end;
    return any_result(stream, state);
}

static void end_filter(struct stream *stream, const void *config, void *state_pointer) {
    (void)config;
    struct state *state = state_pointer;
    CHECK(state->stream == stream);
    loop_timer_stop(stream->env->loop, &state->timer);
}

static const struct filter_type moody = {
    .name = "deadline", // the place of the chain that it stands in
    .state_size = sizeof(struct state),
    .configure = configure,
    .ops = {.decide = decide, .request_data = pass_data, .response_data = pass_data, .end = end_filter},
};

static const struct filter_type *const with_moody[] = {&moody, NULL};
static const struct filter_type *const without[] = {NULL};

// --- bodies whose bytes tell their place ---

static struct bytes piece_of_body(size_t from, size_t length) {
    static char text[200000];
    CHECK(length <= sizeof text);
    for (size_t i = 0; i < length; i++)
        text[i] = (char)('a' + (from + i) % 26);
    return bytes_from(text, length);
}

static void check_body(const struct text *body) {
    for (size_t i = 0; i < body->len; i++)
        if (body->at[i] != (char)('a' + i % 26))
            fail_msg("byte %zu of a body is not what was sent", i);
}

static size_t any_length(void) {
    static const uint32_t most[] = {1, 100, 5000, 70000};
    return rng_below(&current->rng, most[rng_below(&current->rng, 4)] + 1);
}

// --- what clients do ---

static struct near_conn *any_client(void) {
    struct near_conn *conn = current->conns[rng_below(&current->rng, CLIENTS)];
    return conn == NULL || near_is_closed(conn) ? NULL : conn;
}

static void arrive(void) {
    uint32_t place = rng_below(&current->rng, CLIENTS);
    struct near_conn *conn = current->conns[place];
    if (conn != NULL && !near_is_closed(conn))
        return;
    conn = near_arrive(&current->near, one_in(5) ? "inbound" : "outbound");
    current->conns[place] = conn->refused ? NULL : conn;
    if (!conn->refused)
        near_open(conn, current->front);
}

static struct owner_stream *any_stream(struct codec_owner *owner) {
    if (owner->count == 0)
        return NULL;
    uint32_t back = rng_below(&current->rng, owner->count < 6 ? owner->count : 6); // one of the last
    return codec_owner_stream(owner, owner->count - 1 - back);
}

// HTTP/1: no more and no less than it said. (HTTP/2 may say less; then the stream is broken off.)
static bool has_stated_length(const struct near_conn *conn, const struct owner_stream *request) {
    return conn->client.codec->version != HTTP_2 && request->stream.out_left >= 0;
}

static void begin_request(struct near_conn *conn) {
    static const char *const requests[] = {"GET a /x\n",      "HEAD a /x\n",
                                           "POST a /x\n",     "PUT a /x\ncontent-length: 26000\n",
                                           "GET a /y\n",      "POST a /s/m\ncontent-type: application/grpc\nte: trailers\n",
                                           "GET unknown /x\n"};
    struct codec *codec = conn->client.codec;
    if (codec->refuses_new || codec->streams_open >= codec->streams_max || conn->peer->end_due)
        return;
    uint32_t kind = one_in(30) ? 6 : rng_below(&current->rng, 6);
    bool end = kind == 0 || kind == 1 || kind == 4 || kind == 6 || (kind == 2 && one_in(4));
    struct owner_stream *request = near_request(conn, requests[kind], end);
    if (!end && one_in(2))
        near_body(conn, request, piece_of_body(0, kind == 3 ? 26000 : any_length()), one_in(2));
}

static void go_on_with_request(struct near_conn *conn) {
    struct owner_stream *request = any_stream(&conn->client);
    if (request == NULL || request->stream.codec == NULL || request->stream.sent != PROGRESS_BODY || request->send_end)
        return;
    size_t sent = request->stream.body_sent + request->sending.length + request->stream.out.length;
    size_t length = any_length();
    bool stated = has_stated_length(conn, request);
    if (stated)
        length = (size_t)request->stream.out_left - request->sending.length;
    near_body(conn, request, piece_of_body(sent, length), stated || one_in(3));
}

static void client_acts(void) {
    struct near_conn *conn = any_client();
    if (conn == NULL) {
        arrive();
        return;
    }
    switch (rng_below(&current->rng, 12)) {
    case 0:
    case 1:
    case 2:
        begin_request(conn);
        break;
    case 3: {
        struct owner_stream *request = any_stream(&conn->client);
        if (request != NULL && one_in(2))
            near_reset(conn, request, ERROR_CANCELLED);
        break;
    }
    case 4:
        if (one_in(3))
            fake_peer_reset(conn->peer, one_in(2));
        break;
    case 5:
        if (one_in(4) && !conn->peer->end_due)
            fake_peer_end(conn->peer);
        break;
    case 6:
        fake_peer_accept(conn->peer, one_in(2) ? 0 : rng_below(&current->rng, 30000));
        break;
    case 7:
        fake_peer_accept(conn->peer, SIZE_MAX);
        break;
    case 8:
        conn->client.keep_body = one_in(2);
        break;
    default:
        go_on_with_request(conn);
        break;
    }
}

// --- what servers do ---

static struct far_conn *any_server(void) {
    struct fake_upstream *far = &current->near.loopback.far;
    if (far->count == 0)
        return NULL;
    uint32_t back = rng_below(&current->rng, far->count < 6 ? far->count : 6);
    struct far_conn *conn = far_conn(far, far->count - 1 - back);
    return conn->peer->closed ? NULL : conn;
}

static void send_head(struct far_conn *conn, struct owner_stream *request, unsigned status, bool end) {
    struct head head;
    head_init(&head, &request->pool);
    head.version = conn->server.codec->version;
    head.status = (uint16_t)status;
    head.content_length = -1;
    fields_add(&head.fields, BYTES("x-answer"), BYTES("yes"));
    enum error error = conn->server.codec->ops->send_head(conn->server.codec, &request->stream, &head, end);
    CHECK(error == OK);
}

static void answer(struct far_conn *conn, struct owner_stream *request) {
    if (request->stream.codec == NULL || request->heads == 0)
        return;
    if (request->stream.sent == PROGRESS_HEAD) {
        if (one_in(5)) {
            send_head(conn, request, one_in(2) ? 100 : 103, false);
            return;
        }
        bool end = one_in(3);
        send_head(conn, request, one_in(8) ? 503 : 200, end);
        if (end || request->stream.codec == NULL)
            return;
    }
    if (request->stream.sent != PROGRESS_BODY || request->send_end)
        return;
    size_t sent = request->stream.body_sent + request->sending.length + request->stream.out.length;
    const struct fields *trailers = NULL;
    bool end = one_in(3);
    if (end && one_in(2)) {
        struct fields *fields = pool_alloc(&request->pool, sizeof *fields);
        fields_init(fields, &request->pool);
        fields_add(fields, BYTES("x-sum"), BYTES("1"));
        trailers = fields;
    }
    owner_stream_send(request, piece_of_body(sent, any_length()), end, trailers);
}

static void server_acts(void) {
    struct far_conn *conn = any_server();
    if (conn == NULL)
        return;
    if (conn->peer->connecting && !conn->peer->ready_due) {
        fake_peer_connected(conn->peer, one_in(3) ? ERROR_CONNECT_REFUSED : OK);
        return;
    }
    if (!conn->speaks)
        return;
    struct owner_stream *request = any_stream(&conn->server);
    switch (rng_below(&current->rng, 16)) {
    case 0:
        if (request != NULL && request->stream.codec != NULL)
            conn->server.codec->ops->reset(conn->server.codec, &request->stream, one_in(2) ? ERROR_REFUSED_STREAM : ERROR_INTERNAL);
        break;
    case 1:
        if (one_in(2))
            fake_peer_reset(conn->peer, one_in(2));
        break;
    case 2:
        if (one_in(2) && !conn->peer->end_due)
            fake_peer_end(conn->peer);
        break;
    case 3:
        if (one_in(3))
            conn->server.codec->ops->signal(conn->server.codec, one_in(2) ? CODEC_DRAIN : CODEC_DRAIN_FINAL);
        break;
    case 4:
        fake_peer_accept(conn->peer, one_in(2) ? 0 : rng_below(&current->rng, 30000));
        break;
    case 5:
        fake_peer_accept(conn->peer, SIZE_MAX);
        break;
    case 6:
        conn->server.keep_body = one_in(2);
        break;
    default:
        if (request != NULL)
            answer(conn, request);
        break;
    }
}

// --- what befalls both ---

static void choose_mode(void) {
    static const enum far_mode modes[] = {FAR_ACCEPT, FAR_ACCEPT, FAR_ACCEPT, FAR_WAIT, FAR_REFUSE, FAR_NO_SOCKET};
    current->near.loopback.far.mode = modes[rng_below(&current->rng, 6)];
}

static void something_happens(void) {
    switch (rng_below(&current->rng, 20)) {
    case 0:
        if (one_in(2))
            near_pass(&current->near, rng_below(&current->rng, 8000) * NS_PER_MS);
        break;
    case 1:
        near_pass(&current->near, rng_below(&current->rng, 50) * NS_PER_MS);
        break;
    case 2:
        if (one_in(2))
            fake_downstream_apply(&current->near, documents[current->back][one_in(8) ? 2 : rng_below(&current->rng, 2)]);
        break;
    case 3:
        if (one_in(8))
            downstream_drain(&current->near.downstream, false);
        break;
    case 4:
        choose_mode();
        break;
    case 5:
        arrive();
        break;
    case 6:
        near_settle(&current->near);
        break;
    case 7:
    case 8:
    case 9:
    case 10:
    case 11:
        server_acts();
        break;
    default:
        client_acts();
        break;
    }
    for (uint32_t turns = rng_below(&current->rng, 4); turns > 0; turns--)
        fake_upstream_step(&current->near.loopback.far);
}

// Everything that can still be answered is; what the clients then have whole must be right.
static void finish_calmly(void) {
    struct fake_upstream *far = &current->near.loopback.far;
    current->calm = true;
    far->mode = FAR_ACCEPT;
    for (int round = 0; round < 40; round++) {
        for (struct near_conn *conn = current->near.conns; conn != NULL; conn = conn->next) {
            if (conn->refused || conn->peer->closed)
                continue;
            conn->client.keep_body = false;
            fake_peer_accept(conn->peer, SIZE_MAX);
            for (struct owner_stream *request = conn->client.streams; request != NULL; request = request->next)
                if (request->stream.codec != NULL && request->stream.sent == PROGRESS_BODY && !request->send_end && !has_stated_length(conn, request))
                    owner_stream_send(request, BYTES_NONE, true, NULL);
        }
        for (struct far_conn *conn = far->conns; conn != NULL; conn = conn->next) {
            if (conn->peer->closed || !conn->speaks)
                continue;
            conn->server.keep_body = false;
            fake_peer_accept(conn->peer, SIZE_MAX);
            for (struct owner_stream *request = conn->server.streams; request != NULL; request = request->next)
                answer(conn, request);
        }
        near_settle(&current->near);
        near_pass(&current->near, 100 * NS_PER_MS);
    }
}

static void check_responses(void) {
    for (struct near_conn *conn = current->near.conns; conn != NULL; conn = conn->next)
        for (struct owner_stream *request = conn->speaks ? conn->client.streams : NULL; request != NULL; request = request->next)
            if (request->ended && request->stream.head.status == 200 && fields_find_name(&request->stream.head.fields, BYTES("x-answer")) != NULL)
                check_body(&request->body);
    for (struct far_conn *conn = current->near.loopback.far.conns; conn != NULL; conn = conn->next)
        for (struct owner_stream *request = conn->speaks ? conn->server.streams : NULL; request != NULL; request = request->next)
            check_body(&request->body);
}

static void run(uint64_t seed, enum http_version front, int back) {
    struct world world = {.front = front, .back = back};
    current = &world;
    rng_init(&world.rng, seed);
    fake_downstream_init(&world.near, documents[back][0], one_in(2) ? with_moody : without);
    if (one_in(4) == false) {
        world.near.options = (struct fake_options){.seed = seed, .piece_max = 1 + rng_below(&world.rng, 3000), .late_max = rng_below(&world.rng, 3)};
        world.near.loopback.far.options = world.near.options;
        world.near.loopback.far.options.seed = ~seed;
    }
    rng_init(&world.near.loopback.far.check.loop.rng, seed);
    arrive();
    for (int i = 0; i < STEPS; i++)
        something_happens();
    if (one_in(2))
        finish_calmly();
    check_responses();
    struct worker_metrics *metrics = &world.near.loopback.far.metrics;
    downstream_close_all(&world.near.downstream);
    near_settle(&world.near);
    assert_int_equal(world.near.loopback.env.streams, 0);
    assert_int_equal(metric_read(&metrics->streams_begun), world.near.loopback.record.count);
    fake_downstream_dispose(&world.near); // and the rest of what may be left
    current = NULL;
}

static void silent(enum log_level level, const char *line) {
    (void)level;
    (void)line;
}

static void run_all(enum http_version front, int back) {
    const char *alone = getenv("OUTRIGGER_SEED");
    log_redirect(silent);
    uint64_t first = alone == NULL ? 1 : strtoull(alone, NULL, 10);
    const char *many = getenv("OUTRIGGER_SEEDS");
    uint64_t last = alone != NULL ? first : many != NULL ? strtoull(many, NULL, 10) : SEEDS_EACH;
    for (uint64_t seed = first; seed <= last; seed++) {
        if (getenv("OUTRIGGER_SEEDS_SHOWN") != NULL)
            fprintf(stderr, "seed %llu front %d back %d\n", (unsigned long long)seed, (int)front, back + 1);
        run(seed, front, back);
    }
    log_redirect(NULL);
}

static void http1_to_http1_leaves_nothing_behind(void **state) {
    (void)state;
    run_all(HTTP_1_1, 0);
}

static void http1_to_http2_leaves_nothing_behind(void **state) {
    (void)state;
    run_all(HTTP_1_1, 1);
}

static void http2_to_http1_leaves_nothing_behind(void **state) {
    (void)state;
    run_all(HTTP_2, 0);
}

static void http2_to_http2_leaves_nothing_behind(void **state) {
    (void)state;
    run_all(HTTP_2, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(http1_to_http1_leaves_nothing_behind),
        cmocka_unit_test(http1_to_http2_leaves_nothing_behind),
        cmocka_unit_test(http2_to_http1_leaves_nothing_behind),
        cmocka_unit_test(http2_to_http2_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
