// Stands in the place of a filter, calls it, and checks the order of the calls: see watched_filter.h.
#include "support/watched_filter.h"

#include "base/check.h"
#include "stream/attempt.h"
#include "stream/stream.h"

static const struct filter_type *inner; // that is watched
static struct filter_type outer;
static struct watched_filter *watched;

// The last one, and it has not ended; NULL: there is none.
static struct watched_call *find(const struct stream *stream, const void *state) {
    for (uint32_t i = watched->count; i-- > 0;)
        if (watched->calls[i].stream == stream && watched->calls[i].state == state && !watched->calls[i].ended)
            return &watched->calls[i];
    return NULL;
}

// Decided about, and not over.
static struct watched_call *must_find(const struct stream *stream, const void *state) {
    struct watched_call *call = find(stream, state);
    CHECK(call != NULL);
    call->waits = false;
    return call;
}

static const struct filter *asked_of(const struct stream *stream, const void *state) {
    if (chain_order(outer.name, FILTER_OUTBOUND, FILTER_BELOW_ATTEMPTS) < 0)
        return stream->filters.asked;
    struct attempt *const *attempt = state;
    return (*attempt)->filters.asked;
}

static struct watched_call *begin(const struct stream *stream, const void *state) {
    CHECK(watched->count < WATCHED_CALLS_MAX);
    struct watched_call *call = &watched->calls[watched->count++];
    *call = (struct watched_call){
        .stream = stream, .state = state, .is_dry_run = asked_of(stream, state)->is_dry_run, .tag = stream->request->method_text.at[0]};
    return call;
}

static enum filter_result decide(struct stream *stream, const void *config, void *state) {
    struct watched_call *call = find(stream, state);
    CHECK(call == NULL || call->waits);
    if (call == NULL)
        call = begin(stream, state);
    const enum filter_result result = inner->ops.decide == NULL ? FILTER_CONTINUE : inner->ops.decide(stream, config, state);
    call->waits = result == FILTER_PAUSE && !call->is_dry_run;
    call->has_waited |= call->waits;
    call->let_pass = result == FILTER_CONTINUE || call->is_dry_run;
    call->refused = result == FILTER_REPLIED;
    return result;
}

static enum filter_result charge(struct stream *stream, const void *config, void *state) {
    struct watched_call *call = must_find(stream, state);
    CHECK(call->let_pass && !call->charged);
    call->charged = true;
    const enum filter_result result = inner->ops.charge(stream, config, state);
    CHECK(result != FILTER_PAUSE);
    call->refused |= result == FILTER_REPLIED;
    return result;
}

static enum filter_result request_data(struct stream *stream, const void *config, void *state, struct buffer *body, bool end) {
    CHECK(must_find(stream, state)->let_pass);
    return inner->ops.request_data(stream, config, state, body, end);
}

static void attempt_head(struct stream *stream, const void *config, void *state, struct head *head, struct pool *pool) {
    CHECK(must_find(stream, state)->let_pass);
    inner->ops.attempt_head(stream, config, state, head, pool);
}

static enum filter_result response_head(struct stream *stream, const void *config, void *state, struct head *head) {
    must_find(stream, state)->status = head->status;
    return inner->ops.response_head(stream, config, state, head);
}

static enum filter_result response_data(struct stream *stream, const void *config, void *state, struct buffer *body, bool end) {
    must_find(stream, state);
    return inner->ops.response_data(stream, config, state, body, end);
}

static void end(struct stream *stream, const void *config, void *state) {
    struct watched_call *call = must_find(stream, state);
    if (inner->ops.end != NULL)
        inner->ops.end(stream, config, state);
    call->ended = true;
    call->passed = stream->filters.passed;
    watched->ended++;
}

static const void *configure(const struct filter_scope *scope, struct pool *pool) {
    const void *config = inner->configure(scope, pool);
    watched->configs += config != NULL && inner->ops.dispose != NULL;
    return config;
}

static void dispose(const void *config) {
    CHECK(watched->configs > 0);
    watched->configs--;
    inner->ops.dispose(config);
}

const struct filter_type *watch_filter(const struct filter_type *type, struct watched_filter *watch) {
    CHECK(type != &outer);
    inner = type;
    watched = watch;
    *watched = (struct watched_filter){0};
    outer = *type;
    outer.configure = configure;
    outer.ends_without_config = type->ends_without_config || type->ops.end == NULL;
    outer.ops = (struct filter_ops){
        .decide = decide,
        .charge = type->ops.charge == NULL ? NULL : charge,
        .request_data = type->ops.request_data == NULL ? NULL : request_data,
        .attempt_head = type->ops.attempt_head == NULL ? NULL : attempt_head,
        .response_head = type->ops.response_head == NULL ? NULL : response_head,
        .response_data = type->ops.response_data == NULL ? NULL : response_data,
        .end = end,
        .dispose = type->ops.dispose == NULL ? NULL : dispose,
    };
    return &outer;
}

bool watched_waits(const struct watched_filter *watch, const struct stream *stream) {
    for (uint32_t i = watch->count; i-- > 0;)
        if (watch->calls[i].stream == stream && !watch->calls[i].ended && watch->calls[i].waits)
            return true;
    return false;
}
