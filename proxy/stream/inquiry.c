// See inquiry.h. The steps of the head and the chain are those of stream.c; here is what stands around them.
#include "stream/inquiry.h"

#include "base/check.h"
#include "stream/attempts.h"

static void discard(void *log_user, const struct access_record *record) {
    (void)log_user;
    (void)record;
}

struct stream *inquiry_begin(struct inquiry_desk *desk, const struct stream_env *of, struct bound_snapshot *bound,
                             const struct listener_config *listener, const struct stream_client *client) {
    const uint32_t open = desk->env.streams; // until the end of the turn
    desk->env = *of;
    desk->env.streams = open;
    desk->env.metrics = &desk->metrics;
    desk->env.log = discard;
    desk->env.spans = NULL;
    desk->env.taps = NULL;
    desk->env.pulse = NULL;
    list_init(&desk->env.unanswered);
    list_init(&desk->env.subrequests);
    void *memory;
    struct stream *stream = stream_create(&desk->env, bound, listener, client, 1, &memory);
    explanation_begin(stream, true);
    return stream;
}

// False: what the balancer is to go by is missing.
static bool find_key(struct stream *stream) {
    struct attempts attempts = {0};
    const bool may_go_on = attempts_find_key(stream, &attempts);
    stream->explanation->has_key = attempts.has_key;
    return may_go_on;
}

// What stands below attempts, as the first of them would meet it.
static void decide_below(struct stream *stream) {
    struct attempt *attempt = attempt_create(stream);
    stream->explanation->attempt = attempt;
    chain_begin(&attempt->filters, stream->destination->attempt_chain, attempt, &attempt->pool);
    enum filter_result result = chain_advance(stream, &attempt->filters);
    CHECK(result == FILTER_CONTINUE);
}

void inquiry_decide(struct stream *stream, struct head *head) {
    CHECK(stream_is_asked_about(stream));
    stream_decide(stream, head);
    if (stream->state == STREAM_CHAIN && stream->end == OK && find_key(stream))
        decide_below(stream);
    stream->explanation->end = stream->end;
}

void inquiry_end(struct stream *stream) {
    struct attempt *attempt = stream->explanation->attempt;
    if (attempt != NULL) {
        attempt_end(attempt, ERROR_CANCELLED);
        attempt_destroy(attempt);
    }
    stream->explanation->attempt = NULL;
    stream_forget(stream);
}
