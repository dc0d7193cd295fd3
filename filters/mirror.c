// Filter RequestMirror of Gateway API: sends copies of requests to other services too, as the backend gets them, and drops the answers. A copy goes when the request's body
// is whole: its pieces are kept by reference meanwhile, up to limits.bufferPerStream. The request waits for none of this.
#include "filters/registry.h"

#include "base/check.h"
#include "filters/header_changes.h"
#include "filters/path_change.h"
#include "stream/explanation.h"
#include "stream/forward.h"
#include "stream/stream.h"
#include "stream/subrequest.h"

// A copy that is not answered by then has failed: some time more than most services take, since nobody waits for it.
#define MIRROR_TIMEOUT_NS (15 * NS_PER_S)

#define MIRRORS_MAX 32 // bits of `chosen`; a rule has at most 16 filters

enum mirror_phase {
    MIRROR_NONE,      // not begun, or nothing is to be copied
    MIRROR_GATHERING, // the body is not whole
    MIRROR_SETTLED    // sent or given up
};

struct mirror_state {
    enum mirror_phase phase;
    uint32_t chosen; // a bit for each mirror that gets a copy
    struct buffer body;
};

static const void *configure(const struct filter_scope *scope, struct pool *pool) {
    (void)pool;
    const struct route_rule *rule = scope->destination->rule;
    return rule == NULL || rule->mirror_count == 0 ? NULL : rule;
}

static uint32_t count_bits(uint32_t bits) {
    return (uint32_t)__builtin_popcount(bits);
}

static void give_up(struct mirror_state *state, struct metric_cell *reason) {
    metric_add(reason, count_bits(state->chosen));
    state->phase = MIRROR_SETTLED;
    buffer_clear(&state->body);
}

static void completed(void *user, const struct subrequest_answer *answer) {
    struct worker_metrics *metrics = user;
    metric_add(answer->end == OK ? &metrics->mirrors_answered : &metrics->mirrors_failed, 1);
}

// The request as the backend gets it, but for what belongs to one backendRef.
static void make_head(struct stream *stream, const struct route_rule *rule, struct head *head) {
    head_copy(head, stream->request, &stream->pool);
    if (rule->rewrite != NULL)
        rewrite_apply(rule->rewrite, head, &stream->pool);
    if (rule->request_headers != NULL)
        header_changes_apply(rule->request_headers, &head->fields);
}

static void send_copy(struct stream *stream, const struct route_mirror *mirror, const struct head *head, const struct buffer *body) {
    struct worker_metrics *metrics = stream->env->metrics;
    struct buffer own;
    buffer_init(&own, &stream->env->loop->blocks);
    buffer_share(&own, body);
    const struct subrequest_order order = {.kind = SUBREQUEST_MIRROR,
                                           .service = mirror->service,
                                           .head = head,
                                           .body = &own,
                                           .trailers = forward_request_trailers(stream),
                                           .timeout = MIRROR_TIMEOUT_NS,
                                           .drops_body = true,
                                           .completed = completed,
                                           .user = metrics};
    enum error error = subrequest_start(stream, &order, NULL);
    if (error != OK)
        metric_add(error == ERROR_FULL ? &metrics->mirrors_skipped_busy : &metrics->mirrors_skipped_memory, 1);
    buffer_dispose(&own);
}

static void send_copies(struct stream *stream, const struct route_rule *rule, struct mirror_state *state) {
    struct head head;
    make_head(stream, rule, &head);
    for (uint32_t i = 0; i < rule->mirror_count; i++)
        if ((state->chosen & (UINT32_C(1) << i)) != 0)
            send_copy(stream, &rule->mirrors[i], &head, &state->body);
    buffer_clear(&state->body);
    state->phase = MIRROR_SETTLED;
}

static bool is_whole(const struct stream *stream) {
    return stream->request_ended && buffer_is_empty(&stream->request_body);
}

static enum filter_result decide(struct stream *stream, const void *config, void *state) {
    (void)state;
    const struct route_rule *rule = config;
    for (uint32_t i = 0; i < rule->mirror_count && stream->explanation != NULL; i++) {
        explain_text(stream, "copied_to", rule->mirrors[i].service->key);
        explain_number(stream, "copies", rule->mirrors[i].numerator);
        explain_number(stream, "of_requests", rule->mirrors[i].denominator);
    }
    return FILTER_CONTINUE;
}

static enum filter_result charge(struct stream *stream, const void *config, void *state_pointer) {
    const struct route_rule *rule = config;
    struct mirror_state *state = state_pointer;
    buffer_init(&state->body, &stream->env->loop->blocks);
    CHECK(rule->mirror_count <= MIRRORS_MAX);
    // What asks for a tunnel has no body that could ever be whole; what will get 500 is not copied either.
    if (stream->asks_tunnel || !stream_has_backend(stream))
        return FILTER_CONTINUE;
    for (uint32_t i = 0; i < rule->mirror_count; i++)
        if (rng_below(&stream->env->loop->rng, rule->mirrors[i].denominator) < rule->mirrors[i].numerator)
            state->chosen |= UINT32_C(1) << i;
    if (state->chosen == 0)
        return FILTER_CONTINUE;
    state->phase = MIRROR_GATHERING;
    if (is_whole(stream))
        send_copies(stream, rule, state);
    return FILTER_CONTINUE;
}

static enum filter_result request_data(struct stream *stream, const void *config, void *state_pointer, struct buffer *body, bool end) {
    struct mirror_state *state = state_pointer;
    if (state->phase != MIRROR_GATHERING)
        return FILTER_CONTINUE;
    if (state->body.length + body->length > stream->proxy->limits.buffer_per_stream) {
        give_up(state, &stream->env->metrics->mirrors_skipped_body);
        return FILTER_CONTINUE;
    }
    buffer_share(&state->body, body);
    if (end)
        send_copies(stream, config, state);
    return FILTER_CONTINUE;
}

// A request whose end came behind its head, with nothing in between, has no piece of body at all.
static void attempt_head(struct stream *stream, const void *config, void *state_pointer, struct head *head, struct pool *pool) {
    (void)head;
    (void)pool;
    struct mirror_state *state = state_pointer;
    if (state->phase == MIRROR_GATHERING && stream->request_bytes == 0 && is_whole(stream))
        send_copies(stream, config, state);
}

static void end(struct stream *stream, const void *config, void *state_pointer) {
    (void)config;
    struct mirror_state *state = state_pointer;
    if (state->phase == MIRROR_GATHERING)
        give_up(state, &stream->env->metrics->mirrors_skipped_incomplete);
}

const struct filter_type filter_mirror = {
    .name = "mirror",
    .state_size = sizeof(struct mirror_state),
    .ends_without_config = true,
    .configure = configure,
    .ops = {.decide = decide, .charge = charge, .request_data = request_data, .attempt_head = attempt_head, .end = end},
};
