// What a request that somebody asks about is told, and that it changes nothing: not counters, nor limits, nor turns, nor endpoints.
#include "filters/registry.h"
#include "stream/inquiry.h"

#include "unit/stream/stream_drive.h"

#define BESIDE PROXY SERVICE("HTTP2", ONE)
#define TARGET "spec:\n  targetRefs: [{kind: Service, name: a}]\n"
#define GATED                                                                                                                               \
    API "kind: RateLimitPolicy\nmetadata: {name: limits}\n" TARGET "  rules:\n  - {name: all, limits: [{requests: 3, per: 1m}]}\n---\n" API \
        "kind: FaultPolicy\nmetadata: {name: faults}\n" TARGET "  rules:\n"                                                                 \
        "  - {name: down, matches: [{path: {type: PathPrefix, value: /down}}], abort: {status: 503}}\n"                                     \
        "  - {name: slow, matches: [{path: {type: PathPrefix, value: /slow}}], delay: {fixed: 2s}}\n"                                       \
        "  - {name: chance, matches: [{path: {type: PathPrefix, value: /chance}}], abort: {status: 503, percent: 50}}\n---\n"
// A service that no proxy of ours stands beside: the caller limits what goes there.
#define OUTSIDE                 \
    PROXY SERVICE("HTTP1", ONE) \
    GATED

static struct inquiry_desk desk;

static struct stream *ask(struct loopback *world, const char *request) {
    static const union address somewhere = {.v4 = {.sin_family = AF_INET}};
    const struct stream_client from = {.address = &somewhere};
    struct stream *stream = inquiry_begin(&desk, &world->env, world->bound, loopback_listener(world, "outbound"), &from);
    struct head *head = pool_alloc_zeroed(&stream->pool, sizeof *head);
    head_from_text(head, &stream->pool, HTTP_1_1, request);
    inquiry_decide(stream, head);
    return stream;
}

static void done(struct loopback *world, struct stream *stream) {
    inquiry_end(stream);
    loopback_settle(world);
    assert_int_equal(desk.env.streams, 0);
}

static const struct explanation_step *step_of(const struct stream *stream, const char *filter) {
    for (const struct explanation_step *step = stream->explanation->first; step != NULL; step = step->next)
        if (strcmp(step->filter, filter) == 0)
            return step;
    return NULL;
}

static uint64_t number_of(const struct explanation_step *step, const char *name) {
    for (const struct explanation_figure *figure = step->figures; figure != NULL; figure = figure->next)
        if (strcmp(figure->name, name) == 0 && figure->is_number)
            return figure->number;
    fail_msg("no figure %s", name);
    return 0;
}

static void assert_text(struct bytes text, const char *expected) {
    assert_int_equal(text.len, strlen(expected));
    assert_memory_equal(text.at, expected, text.len);
}

static void a_question_costs_nothing(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, OUTSIDE, filter_types);
    for (unsigned i = 0; i < 10; i++) {
        struct stream *stream = ask(&world, "GET a /\n");
        const struct explanation_step *limit = step_of(stream, "rate_limit");
        assert_int_equal(limit->outcome, STEP_PASSED);
        assert_int_equal(number_of(limit, "tokens_left"), 3);
        assert_null(stream->explanation->decisive);
        done(&world, stream);
    }
    assert_int_equal(world.record.count, 0);
    assert_int_equal(world.far.count, 0);
    assert_int_equal(metric_read(&world.far.metrics.streams_begun), 0);
    assert_int_equal(metric_read(&world.far.metrics.attempts), 0);
    assert_int_equal(world.env.unanswered_count, 0);
    loopback_dispose(&world);
}

static void a_refusal_is_told_and_those_behind_it_are_asked_too(void **state) {
    (void)state;
    struct loopback world;
    struct client client;
    loopback_init(&world, OUTSIDE, filter_types);
    for (unsigned i = 0; i < 3; i++) {
        client_ask(&client, &world, "GET a /down\n");
        client_dispose(&client);
    }
    for (unsigned i = 0; i < 3; i++) { // what a fault answers costs nothing
        client_ask(&client, &world, "GET a /\n");
        client_fail(&client, ERROR_CLIENT_GONE);
        client_dispose(&client);
    }
    struct stream *stream = ask(&world, "GET a /down\n");
    const struct explanation_step *limit = step_of(stream, "rate_limit"), *fault = step_of(stream, "fault");
    assert_int_equal(limit->outcome, STEP_REFUSED);
    assert_string_equal(limit->end, "rate_limited");
    assert_text(limit->rule, "all");
    assert_text(limit->policy, "RateLimitPolicy/default/limits");
    assert_true(limit->line > 0 && limit->file.len > 0);
    assert_int_equal(limit->retry_after, 20 * NS_PER_S);
    assert_int_equal(number_of(limit, "tokens_left"), 0);
    assert_int_equal(fault->outcome, STEP_REFUSED);
    assert_string_equal(fault->end, "fault");
    assert_int_equal(fault->status, 503);
    assert_ptr_equal(stream->explanation->decisive, limit);
    assert_int_equal(stream->end, OK);
    done(&world, stream);
    loopback_dispose(&world);
}

static void what_chance_decides_is_not_drawn(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, OUTSIDE, filter_types);
    const struct rng before = world.env.loop->rng;
    struct stream *stream = ask(&world, "GET a /chance\nx-request-id: 1\n");
    const struct explanation_step *fault = step_of(stream, "fault");
    assert_int_equal(fault->outcome, STEP_DEPENDS);
    assert_text(fault->rule, "chance");
    assert_text(fault->reason, "chance");
    assert_int_equal(number_of(fault, "abort_percent"), 50);
    assert_memory_equal(&before, &world.env.loop->rng, sizeof before);
    done(&world, stream);
    loopback_dispose(&world);
}

static void what_would_wait_does_not_wait(void **state) {
    (void)state;
    struct loopback world;
    loopback_init(&world, OUTSIDE POLICY("  timeouts: {request: 3s}\n"), filter_types);
    struct stream *stream = ask(&world, "GET a /slow\n");
    const struct explanation_step *fault = step_of(stream, "fault");
    assert_int_equal(fault->outcome, STEP_WOULD_WAIT);
    assert_text(fault->rule, "slow");
    assert_int_equal(number_of(fault, "delay_ms"), 2000);
    assert_int_equal(number_of(step_of(stream, "deadline"), "time_left_ms"), 3000);
    assert_true(step_of(stream, "try_deadline")->is_below);
    assert_int_equal(timer_wheel_next(&world.env.loop->timers), UINT64_MAX);
    done(&world, stream);
    loopback_dispose(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_question_costs_nothing),
        cmocka_unit_test(a_refusal_is_told_and_those_behind_it_are_asked_too),
        cmocka_unit_test(what_chance_decides_is_not_drawn),
        cmocka_unit_test(what_would_wait_does_not_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
