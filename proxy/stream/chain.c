// Runs the list of filters of a stream: decide and charge on the way in, heads and bodies past them, and the end of each exactly once.
#include "stream/filter.h"

#include "base/check.h"
#include "stream/attempt.h"
#include "stream/explanation.h"
#include "stream/stream.h"

#include <stdlib.h>

#define CHAIN_TYPES_MAX 32

static size_t aligned(size_t size) {
    return (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
}

struct policy_state *filter_state_get(const struct filter_scope *scope, struct bytes rule, uint64_t form, const struct policy_state_type *type,
                                      const void *config) {
    return policy_state_get(scope->states, scope->policy->label, rule, scope->policy->target, form, type, config);
}

// The types that have a place there, by their position; returns how many positions there are.
static uint32_t types_in_order(const struct filter_type *const *types, enum filter_role role, enum filter_place place,
                               const struct filter_type *in_order[CHAIN_TYPES_MAX]) {
    uint32_t end = 0;
    for (size_t i = 0; types[i] != NULL; i++) {
        const int position = chain_order(types[i]->name, role, place);
        const struct filter_ops *ops = &types[i]->ops;
        if (position < 0)
            continue;
        CHECK(position < CHAIN_TYPES_MAX && in_order[position] == NULL);
        CHECK(place == FILTER_ABOVE_ATTEMPTS || (ops->request_data == NULL && ops->response_head == NULL && ops->response_data == NULL));
        in_order[position] = types[i];
        end = (uint32_t)position >= end ? (uint32_t)position + 1 : end;
    }
    return end;
}

static uint32_t configure(const struct filter_type *type, const struct filter_scope *scope, struct pool *pool, struct filter *filters) {
    *filters = (struct filter){.type = type,
                               .config = type->configure(scope, pool),
                               .policy = scope->policy,
                               .is_dry_run = scope->policy != NULL && scope->policy->is_dry_run};
    return filters->config != NULL;
}

// A filter for each document of its kind that acts there, or the one that has no kind.
static uint32_t configure_all(const struct filter_type *type, struct filter_scope *scope, const struct policy_states *states, struct pool *pool,
                              struct filter *filters) {
    uint32_t count = 0;
    scope->policy = NULL;
    scope->states = NULL;
    if (type->policy == POLICY_NONE)
        return configure(type, scope, pool, filters);
    for (uint32_t i = 0; i < scope->destination->policy_count; i++) {
        if (scope->destination->policies[i]->kind != type->policy)
            continue;
        scope->policy = scope->destination->policies[i];
        scope->states = scope->policy->is_dry_run ? states->shadow : states->live;
        count += configure(type, scope, pool, &filters[count]);
    }
    return count;
}

static const struct chain *chain_of(const struct filter *filters, uint32_t count, struct pool *pool) {
    struct chain *chain = pool_alloc_zeroed(pool, sizeof *chain + count * sizeof chain->filters[0]);
    chain->count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct filter *filter = &chain->filters[i];
        *filter = filters[i];
        filter->state_offset = chain->states_size;
        chain->states_size += aligned(filter->type->state_size);
        chain->has_request_data |= !filter->is_dry_run && filter->type->ops.request_data != NULL;
        chain->has_response_data |= !filter->is_dry_run && filter->type->ops.response_data != NULL;
    }
    chain_link(chain);
    return chain;
}

void chain_link(struct chain *chain) {
    uint32_t charge = chain->count, attempt_head = chain->count, response_head = 0, end = 0;
    bool is_asked_between = false;
    for (uint32_t i = chain->count; i-- > 0;) {
        struct filter *filter = &chain->filters[i];
        const struct filter_ops *ops = &filter->type->ops;
        charge = ops->charge != NULL ? i : charge;
        attempt_head = ops->attempt_head != NULL && !filter->is_dry_run ? i : attempt_head;
        filter->charge_from = charge;
        filter->attempt_head_from = attempt_head;
        filter->is_charged_alone = ops->charge != NULL && !is_asked_between;
        is_asked_between = !filter->type->queues && (is_asked_between || ops->decide != NULL);
    }
    bool is_another_charged = false;
    for (uint32_t i = 0; i < chain->count; i++) {
        struct filter *filter = &chain->filters[i];
        is_another_charged &= !filter->type->queues; // by then they have been
        filter->is_charged_alone &= !is_another_charged;
        is_another_charged |= filter->type->ops.charge != NULL;
        response_head = filter->type->ops.response_head != NULL ? i + 1 : response_head;
        end = filter->type->ops.end != NULL ? i + 1 : end;
        filter->response_head_before = response_head;
        filter->ends_before = end;
    }
}

const struct chain *chain_build(const struct filter_type *const *types, const struct destination *destination, enum filter_role role,
                                enum filter_place place, const struct policy_states *states, struct pool *pool) {
    const struct filter_type *in_order[CHAIN_TYPES_MAX] = {0};
    const uint32_t positions = types_in_order(types, role, place, in_order);
    struct filter_scope scope = {.destination = destination, .role = role, .all = states};
    struct filter *filters = alloc_zeroed_or_abort((size_t)positions * (destination->policy_count + 1) + 1, sizeof *filters);
    uint32_t count = 0;
    for (uint32_t i = 0; i < positions; i++)
        if (in_order[i] != NULL)
            count += configure_all(in_order[i], &scope, states, pool, &filters[count]);
    const struct chain *chain = chain_of(filters, count, pool);
    free(filters);
    return chain;
}

bool filter_may_leave_to_charge(const struct stream *stream) {
    return stream->filters.asked->is_charged_alone && stream->explanation == NULL;
}

void chain_begin(struct filter_run *run, const struct chain *chain, struct attempt *attempt, struct pool *pool) {
    CHECK(run->chain == NULL);
    run->chain = chain;
    run->attempt = attempt;
    if (chain->states_size == 0)
        return;
    run->states = pool_alloc_zeroed(pool, chain->states_size);
    for (uint32_t i = 0; attempt != NULL && i < chain->count; i++) {
        if (chain->filters[i].type->state_size == 0)
            continue;
        void *state = run->states + chain->filters[i].state_offset;
        struct attempt **first = state;
        *first = attempt;
    }
}

static void *state_of(const struct filter_run *run, const struct filter *filter) {
    return run->states == NULL ? NULL : run->states + filter->state_offset;
}

// The filter at `place` has made the answer.
static enum filter_result replied_at(struct stream *stream, struct filter_run *run, uint32_t place) {
    CHECK(run->attempt != NULL ? run->attempt->filter_refused : stream->end != OK || stream->reply != NULL);
    run->behind_answer = place;
    run->head_passed = 0;
    return FILTER_REPLIED;
}

// By the first `count` filters, those that were not yet.
static enum filter_result charge_first(struct stream *stream, struct filter_run *run, uint32_t count) {
    while (run->charged < count) {
        const uint32_t i = run->chain->filters[run->charged].charge_from;
        run->charged = i < count ? i + 1 : count;
        if (i >= count)
            break;
        const struct filter *filter = &run->chain->filters[i];
        run->asked = filter;
        enum filter_result result = filter->type->ops.charge(stream, filter->config, state_of(run, filter));
        CHECK(result != FILTER_PAUSE);
        if (result == FILTER_REPLIED)
            return replied_at(stream, run, i);
    }
    return FILTER_CONTINUE;
}

static enum filter_result charge_all(struct stream *stream, struct filter_run *run, uint32_t count) {
    const enum filter_result result = charge_first(stream, run, count);
    run->passed = result == FILTER_CONTINUE;
    return result;
}

// The filter at `place` answers, or refuses, in the place of upstream. An answer costs what upstream's would in the filters before it; one of them may refuse it.
static enum filter_result answered_at(struct stream *stream, struct filter_run *run, uint32_t place) {
    if (run->attempt == NULL && stream->end == OK && charge_all(stream, run, place) == FILTER_REPLIED)
        return FILTER_REPLIED;
    return replied_at(stream, run, place);
}

static enum filter_result ask(struct stream *stream, struct filter_run *run, const struct filter *filter) {
    return filter->type->ops.decide == NULL ? FILTER_CONTINUE : filter->type->ops.decide(stream, filter->config, state_of(run, filter));
}

static enum filter_result ask_aloud(struct stream *stream, struct filter_run *run, const struct filter *filter) {
    explanation_ask(stream, run, filter);
    return explanation_answer(stream, run, ask(stream, run, filter));
}

enum filter_result chain_advance(struct stream *stream, struct filter_run *run) {
    while (run->decided < run->chain->count) {
        const struct filter *filter = &run->chain->filters[run->decided];
        if (filter->type->queues && !stream_is_asked_about(stream) && charge_first(stream, run, run->decided) == FILTER_REPLIED)
            return FILTER_REPLIED;
        run->begun = run->decided + 1;
        run->asked = filter;
        const bool is_told = __builtin_expect(stream->explanation != NULL, 0);
        enum filter_result result = is_told ? ask_aloud(stream, run, filter) : ask(stream, run, filter);
        if (result == FILTER_REPLIED)
            return answered_at(stream, run, run->decided);
        if (result == FILTER_PAUSE && !filter->is_dry_run)
            return result;
        run->behind_answer = ++run->decided;
    }
    return stream_is_asked_about(stream) ? FILTER_CONTINUE : charge_all(stream, run, run->chain->count);
}

void chain_attempt_head(struct stream *stream, struct filter_run *run, struct head *head, struct pool *pool) {
    const struct chain *chain = run->chain;
    for (uint32_t i = 0; i < chain->count && (i = chain->filters[i].attempt_head_from) < chain->count; i++) {
        const struct filter *filter = &chain->filters[i];
        filter->type->ops.attempt_head(stream, filter->config, state_of(run, filter), head, pool);
    }
}

// In a dry run: what it makes of the head goes nowhere.
static void show_head(struct stream *stream, const struct filter *filter, const struct head *head) {
    struct head copy;
    head_copy(&copy, head, &stream->pool);
    (void)filter->type->ops.response_head(stream, filter->config, state_of(&stream->filters, filter), &copy);
}

static enum filter_result pass_head(struct stream *stream, uint32_t place, struct head *head) {
    const struct filter_run *run = &stream->filters;
    const struct filter *filter = &run->chain->filters[place];
    if (!filter->is_dry_run)
        return filter->type->ops.response_head(stream, filter->config, state_of(run, filter), head);
    show_head(stream, filter, head);
    return FILTER_CONTINUE;
}

// Of the first `count` filters, one more than the last that has an eye for heads.
static uint32_t heads_before(const struct filter_run *run, uint32_t count) {
    return count == 0 ? 0 : run->chain->filters[count - 1].response_head_before;
}

enum filter_result chain_response_head(struct stream *stream, struct head *head) {
    struct filter_run *run = &stream->filters;
    for (; run->head_passed < run->behind_answer; run->head_passed++) {
        const uint32_t before = heads_before(run, run->behind_answer - run->head_passed);
        run->head_passed = run->behind_answer - before;
        if (before == 0)
            break;
        const uint32_t place = before - 1;
        enum filter_result result = pass_head(stream, place, head);
        if (result == FILTER_REPLIED)
            return replied_at(stream, run, place);
        if (result == FILTER_PAUSE)
            return result;
    }
    return FILTER_CONTINUE;
}

void chain_reply_head(struct stream *stream, struct head *head) {
    const struct filter_run *run = &stream->filters;
    for (uint32_t before = run->behind_answer; (before = heads_before(run, before)) > 0; before--) {
        enum filter_result result = pass_head(stream, before - 1, head);
        CHECK(result == FILTER_CONTINUE);
    }
}

enum filter_result chain_request_data(struct stream *stream, struct buffer *body, bool end) {
    struct filter_run *run = &stream->filters;
    for (; run->chain->has_request_data && run->request_passed < run->chain->count; run->request_passed++) {
        const struct filter *filter = &run->chain->filters[run->request_passed];
        if (filter->type->ops.request_data == NULL || filter->is_dry_run)
            continue;
        enum filter_result result = filter->type->ops.request_data(stream, filter->config, state_of(run, filter), body, end);
        CHECK(result != FILTER_REPLIED || stream->end != OK);
        if (result == FILTER_REPLIED)
            return replied_at(stream, run, run->request_passed);
        if (result == FILTER_PAUSE)
            return result;
    }
    run->request_passed = 0;
    return FILTER_CONTINUE;
}

enum filter_result chain_response_data(struct stream *stream, struct buffer *body, bool end) {
    struct filter_run *run = &stream->filters;
    for (; run->response_passed < run->behind_answer && run->chain->has_response_data; run->response_passed++) {
        const struct filter *filter = &run->chain->filters[run->behind_answer - 1 - run->response_passed];
        if (filter->type->ops.response_data == NULL || filter->is_dry_run)
            continue;
        enum filter_result result = filter->type->ops.response_data(stream, filter->config, state_of(run, filter), body, end);
        CHECK(result != FILTER_REPLIED || stream->end != OK);
        if (result != FILTER_CONTINUE)
            return result;
    }
    run->response_passed = 0;
    return FILTER_CONTINUE;
}

void chain_end(struct stream *stream, struct filter_run *run) {
    if (run->chain == NULL)
        return;
    CHECK(!run->ended);
    run->ended = true;
    for (uint32_t i = run->begun; i > 0 && (i = run->chain->filters[i - 1].ends_before) > 0; i--) {
        const struct filter *filter = &run->chain->filters[i - 1];
        filter->type->ops.end(stream, filter->config, state_of(run, filter));
    }
}
