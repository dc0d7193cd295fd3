// Streams are cut at every boundary of their lives (support/accidents.h), between all pairs of protocols, with a filter that waits and replies at random and without any.
#include "support/accidents.h"
#include "unit/stream/stream_drive.h"

#define SEEDS_EACH 250 // for each of four pairs of protocols, with a filter and without

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
    if (!accidents_are_over() && accidents_one_in(12)) {
        loop_timer_start(stream->env->loop, &state->timer, accidents_below(300) * NS_PER_MS);
        return FILTER_PAUSE;
    }
    if (!accidents_are_over() && accidents_one_in(60)) {
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

static void run_all(enum http_version front, int back) {
    static const struct accident_request requests[] = {
        {.text = "GET a /x\n"},
        {.text = "HEAD a /x\n"},
        {.text = "POST a /x\n", .body = ACCIDENT_ANY_BODY},
        {.text = "PUT a /x\ncontent-length: 26000\n", .body = ACCIDENT_BODY, .length = 26000},
        {.text = "GET a /y\n"},
        {.text = "POST a /s/m\ncontent-type: application/grpc\nte: trailers\n", .body = ACCIDENT_BODY},
        {.text = "GET unknown /x\n"},
    };
    struct accidents plan = {.seeds = SEEDS_EACH,
                             .front = front,
                             .documents = {documents[back][0], documents[back][1], documents[back][2]},
                             .filters = with_moody,
                             .requests = requests,
                             .request_count = sizeof requests / sizeof requests[0],
                             .inbound_percent = 20};
    accidents_run(&plan);
    plan.filters = without;
    accidents_run(&plan);
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
