// BulkheadPolicy: a request takes a slot in the first pool that matches it, or waits for one in that pool's queue, and holds it to its end. What a pool does is in bulkhead_pool.h.
//
// A slot is taken in `decide`, which elsewhere takes nothing, since only there a request can wait for it. What is refused behind it gives the slot back in `end`.
#include "filters/registry.h"

#include "base/check.h"
#include "base/mailbox.h"
#include "filters/bulkhead_pool.h"
#include "http/headers.h"
#include "stream/attempt_outcome.h"
#include "stream/attempts.h"
#include "stream/explanation.h"
#include "stream/policy_match.h"
#include "stream/request_key.h"
#include "stream/stream.h"
#include "stream/verdict.h"

#include <stdlib.h>

// What one pool remembers, by policy, pool and target. Its form never changes: whatever becomes of its numbers, what runs counts.
struct bulkhead_state {
    struct policy_state state;
    struct bulkhead_pool *pool;
};

struct bulkheads {
    const struct bulkhead_config *config;
    struct policy_state **states; // of each pool: in a struct bulkhead_state
    bool is_dry_run;
};

// A request in its pool.
struct admission {
    struct stream *stream; // NULL: it has not asked
    struct loop *loop;
    struct bulkhead_ticket ticket;
    struct note note; // that its outcome is there, from another thread
    struct timer timer;
    uint32_t pool; // its number
    bool waits, has_waited, timed_out, is_learnt_from;
};

// ---- what is remembered

static struct policy_state *create_state(const void *config) {
    (void)config;
    struct bulkhead_state *state = alloc_zeroed_or_abort(1, sizeof *state);
    state->pool = bulkhead_pool_create();
    return &state->state;
}

static struct bulkhead_pool *pool_in(struct policy_state *state) {
    return CONTAINER_OF(state, struct bulkhead_state, state)->pool;
}

static void destroy_state(struct policy_state *state) {
    bulkhead_pool_close(pool_in(state));
    free(CONTAINER_OF(state, struct bulkhead_state, state));
}

static void read_queue(struct policy_state *state, struct policy_queue *queue) {
    bulkhead_read(pool_in(state), queue);
}

static const struct policy_state_type state_type = {.create = create_state, .destroy = destroy_state, .queue = read_queue};

static struct bulkhead_shares hash_shares(const struct bulkhead_pool_config *config, struct pool *pool) {
    const uint32_t count = config->per_key.override_count;
    struct bulkhead_key_share *overrides = pool_alloc_zeroed(pool, count * sizeof *overrides + 1);
    for (uint32_t i = 0; i < count; i++)
        overrides[i] = (struct bulkhead_key_share){request_key_hash_guarded_text(config->per_key.overrides[i].value),
                                                   config->per_key.overrides[i].max_concurrent};
    return (struct bulkhead_shares){
        .share = config->per_key.key.count > 0 ? config->per_key.max_concurrent : 0, .overrides = overrides, .override_count = count};
}

static struct bulkhead_plan plan_of(const struct bulkhead_pool_config *config, struct bulkhead_shares shares) {
    if (config->max_concurrent > 0)
        return (struct bulkhead_plan){.max = config->max_concurrent, .shares = shares};
    return (struct bulkhead_plan){.adapts = true, .min = config->adaptive.min, .max = config->adaptive.max, .shares = shares};
}

static const void *configure(const struct filter_scope *scope, struct pool *pool) {
    const struct bulkhead_config *config = scope->policy->config;
    struct bulkheads *bulkheads = pool_alloc_zeroed(pool, sizeof *bulkheads);
    bulkheads->config = config;
    bulkheads->is_dry_run = scope->policy->is_dry_run;
    bulkheads->states = pool_alloc_zeroed(pool, config->pool_count * sizeof bulkheads->states[0]);
    for (uint32_t i = 0; i < config->pool_count; i++) {
        bulkheads->states[i] = filter_state_get(scope, config->pools[i].name, 0, &state_type, NULL);
        const struct bulkhead_plan plan = plan_of(&config->pools[i], hash_shares(&config->pools[i], pool));
        bulkhead_pool_configure(pool_in(bulkheads->states[i]), &plan);
    }
    return bulkheads;
}

static void dispose(const void *config) {
    const struct bulkheads *bulkheads = config;
    policy_states_release(bulkheads->states, bulkheads->config->pool_count);
}

// ---- what a request asks for

// What names no class, or comes twice, gets the default: nobody gets the best of several.
static uint32_t class_of(const struct bulkhead_config *config, const struct stream *stream) {
    const struct bytes name = config->priority.class_count == 0 ? BYTES_NONE : fields_only_value(&stream->request->fields, config->priority.header);
    for (uint32_t i = 0; name.len > 0 && i < config->priority.class_count; i++)
        if (bytes_equal(config->priority.classes[i], name))
            return i;
    return config->priority.fallback;
}

static struct bulkhead_ask ask_of(const struct bulkheads *bulkheads, uint32_t pool, struct stream *stream) {
    const struct bulkhead_pool_config *config = &bulkheads->config->pools[pool];
    struct bulkhead_ask ask = {.now = stream->env->loop->now,
                               .deadline = stream->deadline,
                               .class_index = class_of(bulkheads->config, stream),
                               .max_queue = config->max_queue,
                               .has_key = config->per_key.key.count > 0,
                               .is_dry_run = bulkheads->is_dry_run};
    if (ask.has_key && !request_key_hash_guarded(&config->per_key.key, stream, &ask.key))
        ask.key = 0; // of all that lack a part of it
    return ask;
}

// The number of its pool; pool_count: none. An opaque connection says nothing that could be matched. False: an expression took too much work to say.
static bool find_pool(const struct bulkhead_config *config, struct stream *stream, uint32_t *number) {
    for (*number = 0; *number < config->pool_count; ++*number) {
        const struct bulkhead_pool_config *pool = &config->pools[*number];
        bool is_for = pool->match_count == 0;
        if (!is_for && !stream->request->opaque && policy_match(stream, pool->matches, pool->match_count, &is_for) != OK)
            return false;
        if (is_for)
            return true;
    }
    return true;
}

// ---- verdicts

static enum filter_result refuse(struct stream *stream, const struct bulkheads *bulkheads, uint32_t pool, enum error end, struct bytes reason) {
    return verdict_refuse(stream,
                          &(struct verdict){.end = end,
                                            .rule = bulkheads->config->pools[pool].name,
                                            .reason = reason,
                                            .state = bulkheads->states[pool],
                                            .retry_after = end == ERROR_BAD_REQUEST ? 0 : bulkhead_estimate(pool_in(bulkheads->states[pool]))});
}

static enum filter_result refuse_full(struct stream *stream, const struct bulkheads *bulkheads, uint32_t pool, bool has_waited) {
    struct policy_queue queue;
    read_queue(bulkheads->states[pool], &queue);
    return refuse(stream, bulkheads, pool, ERROR_BULKHEAD_FULL,
                  pool_format(&stream->pool, "%u of %u run, %u wait%s", queue.running, queue.limit, queue.queued,
                              has_waited ? ": it gave its place to one that goes before it" : ""));
}

// ---- waiting

static void on_note(struct note *note) {
    stream_wake(CONTAINER_OF(note, struct admission, note)->stream);
}

static void tell(struct bulkhead_ticket *ticket, bool is_here) {
    struct admission *admission = CONTAINER_OF(ticket, struct admission, ticket);
    if (is_here)
        stream_wake(admission->stream);
    else
        mailbox_leave_note(&admission->loop->mailbox, &admission->note);
}

static void on_timer(struct timer *timer) {
    struct admission *admission = CONTAINER_OF(timer, struct admission, timer);
    admission->timed_out = true;
    stream_wake(admission->stream);
}

static void stop_waiting(struct admission *admission) {
    if (!admission->waits)
        return;
    admission->waits = false;
    loop_timer_stop(admission->loop, &admission->timer);
    verdict_waited(admission->stream, admission->loop->now - admission->ticket.asked_at);
}

static enum filter_result wait_for_slot(const struct bulkheads *bulkheads, struct admission *admission) {
    const struct bulkhead_pool_config *pool = &bulkheads->config->pools[admission->pool];
    if (!verdict_delay(admission->stream, pool->name, bulkheads->states[admission->pool]))
        return FILTER_CONTINUE; // a dry run: it has been counted
    admission->waits = admission->has_waited = true;
    if (pool->queue_timeout > 0)
        loop_timer_start(admission->loop, &admission->timer, pool->queue_timeout);
    return FILTER_PAUSE;
}

// It waits, and was woken by whatever it may be.
static enum filter_result look_again(const struct bulkheads *bulkheads, struct admission *admission) {
    struct stream *stream = admission->stream;
    const nanoseconds now = admission->loop->now;
    enum bulkhead_outcome outcome = bulkhead_outcome_of(&admission->ticket, now);
    if (outcome == BULKHEAD_WAITS && !admission->timed_out)
        return FILTER_PAUSE;
    const bool gives_up = outcome == BULKHEAD_WAITS && bulkhead_give_up(&admission->ticket, now);
    outcome = bulkhead_outcome_of(&admission->ticket, now);
    stop_waiting(admission);
    if (gives_up)
        return refuse(stream, bulkheads, admission->pool, ERROR_QUEUE_TIMEOUT, BYTES_NONE);
    return outcome == BULKHEAD_RUNS ? FILTER_CONTINUE : refuse_full(stream, bulkheads, admission->pool, true);
}

// ---- whoever asks about a request

static void tell_figures(struct stream *stream, const struct bulkheads *bulkheads, uint32_t number, const struct bulkhead_ask *ask,
                         const struct bulkhead_figures *figures) {
    const struct bulkhead_config *config = bulkheads->config;
    explain_rule(stream, config->pools[number].name);
    explain_number(stream, "in_use", figures->running);
    explain_number(stream, "max_concurrent", figures->limit);
    explain_number(stream, "queued", figures->queued);
    explain_number(stream, "max_queue", ask->max_queue);
    if (config->priority.class_count > 0)
        explain_text(stream, "class", config->priority.classes[ask->class_index]);
    if (!ask->has_key)
        return;
    explain_number(stream, "key_in_use", figures->of_key);
    explain_number(stream, "key_max_concurrent", figures->share);
}

static enum filter_result only_look(struct stream *stream, const struct bulkheads *bulkheads, uint32_t number, const struct bulkhead_ask *ask) {
    struct policy_state *state = bulkheads->states[number];
    const struct bulkhead_figures figures = bulkhead_look(pool_in(state), ask);
    tell_figures(stream, bulkheads, number, ask, &figures);
    if (figures.would == BULKHEAD_WAITS)
        (void)verdict_delay(stream, bulkheads->config->pools[number].name, state);
    return figures.would == BULKHEAD_REFUSED ? refuse_full(stream, bulkheads, number, false) : FILTER_CONTINUE;
}

// ---- the slots

static void begin(struct stream *stream, struct admission *admission, uint32_t pool) {
    admission->stream = stream;
    admission->loop = stream->env->loop;
    admission->pool = pool;
    admission->ticket.worker = admission->loop;
    admission->ticket.tell = tell;
    note_init(&admission->note, on_note);
    timer_init(&admission->timer, on_timer);
}

static enum filter_result decide(struct stream *stream, const void *config, void *state) {
    const struct bulkheads *bulkheads = config;
    struct admission *admission = state;
    uint32_t pool;
    if (admission->stream != NULL)
        return admission->waits ? look_again(bulkheads, admission) : FILTER_CONTINUE;
    if (!find_pool(bulkheads->config, stream, &pool))
        return refuse(stream, bulkheads, pool, ERROR_BAD_REQUEST, BYTES("a regular expression takes too much work"));
    if (pool == bulkheads->config->pool_count)
        return FILTER_CONTINUE;
    const struct bulkhead_ask ask = ask_of(bulkheads, pool, stream);
    if (stream_is_asked_about(stream))
        return only_look(stream, bulkheads, pool, &ask);
    if (stream->explanation != NULL) {
        const struct bulkhead_figures figures = bulkhead_look(pool_in(bulkheads->states[pool]), &ask);
        tell_figures(stream, bulkheads, pool, &ask, &figures);
    }
    begin(stream, admission, pool);
    switch (bulkhead_take(pool_in(bulkheads->states[pool]), &admission->ticket, &ask)) {
    case BULKHEAD_WAITS:
        return wait_for_slot(bulkheads, admission);
    case BULKHEAD_REFUSED:
        return refuse_full(stream, bulkheads, pool, false);
    default:
        return FILTER_CONTINUE;
    }
}

// The try of which how long it took says how busy the application is: by an answer of its own, or since there was none in time. NULL: there is none.
static const struct attempt *says_how_busy(const struct stream *stream) {
    const struct attempts *attempts = stream->attempts;
    const bool timed_out = stream->end == ERROR_REQUEST_TIMEOUT || stream->end == ERROR_TRY_TIMEOUT || stream->end == ERROR_DEADLINE_EXPIRED;
    if (attempts == NULL || stream->request->opaque)
        return NULL;
    if (timed_out)
        return attempts->last != NULL && attempt_was_its_time(attempts->last) ? attempts->last : NULL;
    return stream->end == OK && attempts->committed != NULL && attempt_says_how_busy(attempts->committed) ? attempts->committed : NULL;
}

// How long a client takes to read the answer is not the application's doing: what is learnt is the time to its head.
static enum filter_result response_head(struct stream *stream, const void *config, void *state, struct head *head) {
    const struct bulkheads *bulkheads = config;
    struct admission *admission = state;
    if (admission->stream == NULL || bulkhead_outcome_of(&admission->ticket, stream->env->loop->now) != BULKHEAD_RUNS)
        return FILTER_CONTINUE;
    const struct bulkhead_pool_config *pool = &bulkheads->config->pools[admission->pool];
    const struct attempt *attempt = pool->max_concurrent == 0 && !admission->is_learnt_from ? says_how_busy(stream) : NULL;
    if (attempt != NULL)
        bulkhead_learn(&admission->ticket, attempt_took(attempt), stream->env->loop->now);
    admission->is_learnt_from = true;
    if (head->status == 101 && !pool->counts_upgrades)
        bulkhead_leave(&admission->ticket, stream->env->loop->now);
    return FILTER_CONTINUE;
}

static void end(struct stream *stream, const void *config, void *state) {
    (void)config;
    struct admission *admission = state;
    if (admission->stream == NULL)
        return;
    stop_waiting(admission);
    bulkhead_leave(&admission->ticket, stream->env->loop->now);
    if (admission->has_waited)
        mailbox_withdraw_note(&admission->loop->mailbox, &admission->note);
}

const struct filter_type filter_bulkhead = {
    .name = "bulkhead",
    .state_size = sizeof(struct admission),
    .ends_without_config = true,
    .queues = true,
    .policy = POLICY_BULKHEAD,
    .configure = configure,
    .ops = {.decide = decide, .response_head = response_head, .end = end, .dispose = dispose},
};
