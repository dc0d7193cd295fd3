// The time that a request may take, over all its tries: the least of the policy's timeout and what the caller says it will wait (grpc-timeout,
// x-request-timeout-ms). Each attempt carries on what is left; work whose time is over is not begun.
#include "filters/deadline.h"

#include "base/check.h"
#include "filters/registry.h"
#include "http/headers.h"
#include "stream/attempt.h"
#include "stream/explanation.h"
#include "stream/stream.h"

#define NS_PER_MINUTE (60 * NS_PER_S)
#define NS_PER_HOUR (60 * NS_PER_MINUTE)
#define GRPC_DIGITS_MAX 8
#define GRPC_VALUE_MAX UINT64_C(99999999)
#define TIMEOUT_MS_MAX (UINT64_C(24) * 3600 * 1000)

struct deadline_config {
    nanoseconds request_timeout; // 0: none
    bool propagate;
};

struct deadline_state {
    struct timer timer;
    struct stream *stream;
    bool running;
};

struct try_state {
    const struct attempt *attempt;
};

static const struct {
    char unit;
    nanoseconds length;
} units[] = {
    {'n', 1}, {'u', NS_PER_US}, {'m', NS_PER_MS}, {'S', NS_PER_S}, {'M', NS_PER_MINUTE}, {'H', NS_PER_HOUR},
};
#define UNIT_COUNT (sizeof units / sizeof units[0])

bool grpc_timeout_parse(struct bytes text, nanoseconds *timeout) {
    uint64_t value;
    if (text.len < 2 || text.len > GRPC_DIGITS_MAX + 1 || !bytes_to_u64(bytes_from(text.at, text.len - 1), GRPC_VALUE_MAX, &value))
        return false;
    for (size_t i = 0; i < UNIT_COUNT; i++) {
        if (units[i].unit != text.at[text.len - 1])
            continue;
        *timeout = value > UINT64_MAX / units[i].length ? UINT64_MAX : value * units[i].length;
        return true;
    }
    return false;
}

struct bytes grpc_timeout_print(nanoseconds timeout, struct pool *pool) {
    size_t i = 0;
    while (i + 1 < UNIT_COUNT && timeout / units[i].length > GRPC_VALUE_MAX)
        i++;
    uint64_t value = timeout / units[i].length;
    return pool_format(pool, "%llu%c", (unsigned long long)(value > GRPC_VALUE_MAX ? GRPC_VALUE_MAX : value), units[i].unit);
}

bool timeout_ms_parse(struct bytes text, nanoseconds *timeout) {
    uint64_t value;
    if (!bytes_to_u64(text, TIMEOUT_MS_MAX, &value))
        return false;
    *timeout = value * NS_PER_MS;
    return true;
}

static const void *configure(const struct filter_scope *scope, struct pool *pool) {
    const struct traffic_config *traffic = scope->destination->traffic;
    if (traffic->timeouts.request == 0 && !traffic->deadline.propagate)
        return NULL;
    struct deadline_config *config = pool_alloc(pool, sizeof *config);
    *config = (struct deadline_config){.request_timeout = traffic->timeouts.request, .propagate = traffic->deadline.propagate};
    return config;
}

// The caller's time is kept to since the policy says so; whose rule it is stands in the stream's own snapshot.
static void expire(struct stream *stream) {
    const struct traffic_config *traffic = stream->traffic;
    if (stream->deadline_by_caller)
        stream_ended_by_policy(stream, traffic->deadline.policy, "deadline.propagate");
    else
        stream_ended_by_policy(stream, traffic->timeouts.policy, "timeouts.request");
    stream_fail(stream, stream->deadline_by_caller ? ERROR_DEADLINE_EXPIRED : ERROR_REQUEST_TIMEOUT, BYTES_NONE);
}

static void on_timer(struct timer *timer) {
    struct deadline_state *state = CONTAINER_OF(timer, struct deadline_state, timer);
    expire(state->stream);
}

// What the caller says it will wait; UINT64_MAX: it does not say. A value that is not one is left to the far side.
static nanoseconds callers_timeout(const struct head *request) {
    nanoseconds least = UINT64_MAX;
    nanoseconds timeout;
    const struct field *grpc = fields_find(&request->fields, FIELD_GRPC_TIMEOUT);
    if (grpc != NULL && grpc_timeout_parse(grpc->value, &timeout))
        least = timeout;
    const struct field *ms = fields_find(&request->fields, FIELD_X_REQUEST_TIMEOUT_MS);
    if (ms != NULL && timeout_ms_parse(ms->value, &timeout) && timeout < least)
        least = timeout;
    return least;
}

static enum filter_result decide(struct stream *stream, const void *config_pointer, void *state_pointer) {
    const struct deadline_config *config = config_pointer;
    struct deadline_state *state = state_pointer;
    if (stream->request->opaque)
        return FILTER_CONTINUE; // timeouts.tcpIdle is all that bounds it
    nanoseconds now = stream->env->loop->now;
    nanoseconds timeout = config->request_timeout > 0 ? config->request_timeout : UINT64_MAX;
    nanoseconds callers = config->propagate ? callers_timeout(stream->request) : UINT64_MAX;
    stream->deadline_by_caller = callers < timeout;
    if (stream->deadline_by_caller)
        timeout = callers;
    if (timeout >= UINT64_MAX - now)
        return FILTER_CONTINUE;
    stream->deadline = now + timeout;
    explain_number(stream, "time_left_ms", timeout / NS_PER_MS);
    explain_text(stream, "set_by", stream->deadline_by_caller ? BYTES("the caller") : BYTES("timeouts.request"));
    if (timeout == 0) {
        expire(stream);
        return FILTER_REPLIED;
    }
    if (stream_is_asked_about(stream))
        return FILTER_CONTINUE;
    state->stream = stream;
    state->running = true;
    timer_init(&state->timer, on_timer);
    timer_start(&stream->env->loop->timers, &state->timer, stream->deadline);
    return FILTER_CONTINUE;
}

// Below attempts there is nothing to do where the caller's time is not passed on.
static const void *configure_try(const struct filter_scope *scope, struct pool *pool) {
    (void)pool;
    return scope->destination->traffic->deadline.propagate ? &scope->destination->traffic->deadline : NULL;
}

// Carries on what is left, in each of the words that the request came with, and at least in those of its protocol.
// The time of the try runs from its start: what it waited for a connection is gone.
static void attempt_head(struct stream *stream, const void *config, void *state_pointer, struct head *head, struct pool *pool) {
    (void)config;
    const struct try_state *state = state_pointer;
    if (stream->deadline == UINT64_MAX)
        return;
    nanoseconds now = stream->env->loop->now;
    nanoseconds left = stream->deadline > now ? stream->deadline - now : 1;
    nanoseconds try_timeout = stream->traffic->timeouts.backend_request;
    nanoseconds gone = now - state->attempt->begun;
    if (try_timeout > 0 && try_timeout < left + gone)
        left = try_timeout > gone ? try_timeout - gone : 1;
    if (stream->request_is_grpc || fields_find(&head->fields, FIELD_GRPC_TIMEOUT) != NULL)
        fields_set_known(&head->fields, FIELD_GRPC_TIMEOUT, grpc_timeout_print(left, pool));
    if (!stream->request_is_grpc || fields_find(&head->fields, FIELD_X_REQUEST_TIMEOUT_MS) != NULL)
        fields_set_known(&head->fields, FIELD_X_REQUEST_TIMEOUT_MS, pool_digits(pool, (left + NS_PER_MS - 1) / NS_PER_MS));
}

// A tunnel that has opened may take its time: what ends it is timeouts.tcpIdle.
static enum filter_result response_head(struct stream *stream, const void *config, void *state_pointer, struct head *head) {
    (void)config;
    struct deadline_state *state = state_pointer;
    if (head->status != 101)
        return FILTER_CONTINUE;
    stream->deadline = UINT64_MAX;
    if (state->running)
        loop_timer_stop(stream->env->loop, &state->timer);
    return FILTER_CONTINUE;
}

static void end(struct stream *stream, const void *config, void *state_pointer) {
    (void)config;
    struct deadline_state *state = state_pointer;
    if (state->running)
        loop_timer_stop(stream->env->loop, &state->timer);
}

const struct filter_type filter_deadline = {
    .name = "deadline",
    .state_size = sizeof(struct deadline_state),
    .ends_without_config = true,
    .configure = configure,
    .ops = {.decide = decide, .response_head = response_head, .end = end},
};

const struct filter_type filter_try_deadline = {
    .name = "try_deadline",
    .state_size = sizeof(struct try_state),
    .configure = configure_try,
    .ops = {.attempt_head = attempt_head},
};
