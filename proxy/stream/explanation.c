// Records what filters tell. See explanation.h. How it is shown is not decided here.
#include "stream/explanation.h"

#include "base/check.h"
#include "base/error.h"
#include "http/headers.h"
#include "stream/attempt.h"

void explanation_begin(struct stream *stream, bool serves_nobody) {
    CHECK(stream->explanation == NULL && stream->filters.chain == NULL);
    stream->explanation = pool_alloc_zeroed(&stream->pool, sizeof *stream->explanation);
    stream->explanation->serves_nobody = serves_nobody;
}

// ---- what filters say

void explain_rule(struct stream *stream, struct bytes rule) {
    if (stream->explanation != NULL)
        stream->explanation->rule = rule.len == 0 ? BYTES_NONE : pool_copy(&stream->pool, rule);
}

// NULL: nobody asks, or there is no room.
static struct explanation_figure *add_figure(struct stream *stream, const char *name) {
    struct explanation_step *step = stream->explanation == NULL ? NULL : stream->explanation->asked;
    if (step == NULL || step->figure_count == EXPLANATION_FIGURES_MAX)
        return NULL;
    struct explanation_figure *figure = pool_alloc_zeroed(&stream->pool, sizeof *figure);
    figure->rule = stream->explanation->rule;
    figure->name = name;
    if (step->last_figure == NULL)
        step->figures = figure;
    else
        step->last_figure->next = figure;
    step->last_figure = figure;
    step->figure_count++;
    return figure;
}

void explain_number(struct stream *stream, const char *name, uint64_t number) {
    struct explanation_figure *figure = add_figure(stream, name);
    if (figure == NULL)
        return;
    figure->is_number = true;
    figure->number = number;
}

void explain_text(struct stream *stream, const char *name, struct bytes text) {
    struct explanation_figure *figure = add_figure(stream, name);
    if (figure != NULL)
        figure->text = pool_copy(&stream->pool, text);
}

void explain_depends(struct stream *stream, struct bytes rule, struct bytes on_what) {
    struct explanation_step *step = stream->explanation == NULL ? NULL : stream->explanation->asked;
    if (step == NULL || step->outcome == STEP_REFUSED)
        return;
    step->outcome = STEP_DEPENDS;
    step->rule = pool_copy(&stream->pool, rule);
    step->reason = pool_copy(&stream->pool, on_what);
}

// ---- steps

// One that waited is asked again.
static struct explanation_step *find_open(const struct explanation *explanation, const struct filter_run *run, const struct filter *filter) {
    for (struct explanation_step *step = explanation->first; step != NULL; step = step->next)
        if (step->of == filter && step->run == run && !step->is_closed)
            return step;
    return NULL;
}

static void name_policy(struct stream *stream, struct explanation_step *step, const struct policy *policy) {
    step->policy = pool_copy(&stream->pool, policy->label);
    if (policy->place.file != NULL)
        step->file = pool_copy(&stream->pool, bytes_from_text(policy->place.file));
    step->line = policy->place.line;
}

// NULL: there is no room.
static struct explanation_step *append_step(struct stream *stream, const struct filter_run *run, const char *name) {
    struct explanation *explanation = stream->explanation;
    if (explanation->count == EXPLANATION_STEPS_MAX) {
        explanation->left_out++;
        return NULL;
    }
    struct explanation_step *step = pool_alloc_zeroed(&stream->pool, sizeof *step);
    step->run = run;
    step->is_below = run->attempt != NULL;
    step->filter = name;
    if (explanation->last == NULL)
        explanation->first = step;
    else
        explanation->last->next = step;
    explanation->last = step;
    explanation->count++;
    return step;
}

static struct explanation_step *add_step(struct stream *stream, const struct filter_run *run, const struct filter *filter) {
    struct explanation_step *step = append_step(stream, run, filter->type->name);
    if (step == NULL)
        return NULL;
    step->of = filter;
    step->is_dry_run = filter->is_dry_run;
    if (filter->policy != NULL)
        name_policy(stream, step, filter->policy);
    return step;
}

void explanation_ask(struct stream *stream, const struct filter_run *run, const struct filter *filter) {
    struct explanation *explanation = stream->explanation;
    CHECK(explanation->asked == NULL);
    explanation->rule = BYTES_NONE;
    explanation->asked = find_open(explanation, run, filter);
    if (explanation->asked == NULL)
        explanation->asked = add_step(stream, run, filter);
}

static void decide_by(struct explanation *explanation, struct explanation_step *step) {
    if (explanation->decisive == NULL)
        explanation->decisive = step;
}

// What a filter said other than by a verdict.
static void note_reply(struct stream *stream, const struct filter_run *run, struct explanation_step *step) {
    if (step->outcome == STEP_REFUSED)
        return;
    decide_by(stream->explanation, step);
    step->outcome = STEP_REFUSED;
    if (run->attempt != NULL) {
        step->end = error_name(run->attempt->error);
        step->reason = pool_copy(&stream->pool, run->attempt->detail);
    } else if (stream->end != OK) {
        step->end = error_name(stream->end);
        step->reason = stream->detail;
        step->rule = stream->policy;
    } else {
        step->outcome = STEP_ANSWERED;
        step->reason = stream->detail;
        step->status = stream->reply->status;
        const struct field *location = fields_find_name(&stream->reply->fields, BYTES("Location"));
        if (location != NULL)
            explain_text(stream, "location", location->value);
    }
}

// So that the next filter meets the request as it would have if this one had let it pass.
static void forget_reply(struct stream *stream, struct attempt *attempt) {
    stream->end = OK;
    stream->detail = BYTES_NONE;
    stream->policy = BYTES_NONE;
    stream->reply = NULL;
    stream->reply_trailers = NULL;
    buffer_clear(&stream->response_body);
    if (attempt == NULL)
        return;
    attempt->error = OK;
    attempt->detail = BYTES_NONE;
    attempt->filter_refused = false;
}

enum filter_result explanation_answer(struct stream *stream, struct filter_run *run, enum filter_result result) {
    struct explanation *explanation = stream->explanation;
    struct explanation_step *step = explanation->asked;
    CHECK(result != FILTER_PAUSE || !explanation->serves_nobody);
    if (step != NULL && result == FILTER_REPLIED)
        note_reply(stream, run, step);
    if (step != NULL && result == FILTER_PAUSE && step->outcome == STEP_PASSED)
        step->outcome = STEP_WOULD_WAIT;
    if (step != NULL)
        step->is_closed = result != FILTER_PAUSE || step->is_dry_run;
    explanation->asked = NULL;
    if (!explanation->serves_nobody)
        return result;
    if (result == FILTER_REPLIED)
        forget_reply(stream, run->attempt);
    return FILTER_CONTINUE;
}

// ---- verdicts

// Of a filter that is charged for too: it has been asked before. NULL: there was no room for it.
static struct explanation_step *step_of(const struct explanation *explanation, const struct filter_run *run, const struct filter *filter) {
    for (struct explanation_step *step = explanation->first; step != NULL; step = step->next)
        if (step->of == filter && step->run == run)
            return step;
    return NULL;
}

// Of one of several documents that are judged together. What one in a dry run would do is a step of its own.
static struct explanation_step *step_of_document(struct stream *stream, const struct filter *filter, const struct policy *policy) {
    struct explanation_step *step =
        policy->is_dry_run ? add_step(stream, &stream->filters, filter) : step_of(stream->explanation, &stream->filters, filter);
    if (step == NULL)
        return NULL;
    name_policy(stream, step, policy);
    step->is_dry_run = policy->is_dry_run;
    step->is_closed |= policy->is_dry_run;
    return step;
}

void explain_decided_by(struct stream *stream, const struct policy *policy, struct bytes rule) {
    struct explanation_step *step = stream->explanation == NULL ? NULL : stream->explanation->asked;
    if (step == NULL)
        return;
    name_policy(stream, step, policy);
    step->rule = pool_copy(&stream->pool, rule);
}

void explain_would_pass(struct stream *stream, const struct policy *policy, struct bytes rule) {
    if (stream->explanation != NULL)
        explain_text(stream, "would_be_allowed_by", pool_format(&stream->pool, "%.*s: %.*s", BYTES_FORMAT(policy->label), BYTES_FORMAT(rule)));
}

static void refuse(struct stream *stream, struct explanation_step *step, const struct verdict *verdict) {
    const bool is_dry_run = step->is_dry_run;
    step->outcome = is_dry_run ? STEP_WOULD_REFUSE : STEP_REFUSED;
    step->end = error_name(verdict->end);
    step->rule = pool_copy(&stream->pool, verdict->rule);
    step->reason = pool_copy(&stream->pool, verdict->reason);
    step->retry_after = verdict->retry_after;
    step->status = verdict->status;
    if (!is_dry_run)
        decide_by(stream->explanation, step);
}

void explanation_refused(struct stream *stream, const struct filter_run *run, const struct verdict *verdict) {
    const struct filter *filter = run->asked;
    struct explanation_step *step =
        verdict->policy != NULL ? step_of_document(stream, filter, verdict->policy) : step_of(stream->explanation, run, filter);
    if (step != NULL && step->outcome != STEP_WOULD_REFUSE)
        refuse(stream, step, verdict);
}

void explanation_refused_at_pick(struct stream *stream, const struct filter_run *run, const struct policy *policy, const struct verdict *verdict) {
    struct explanation_step *step = append_step(stream, run, "breaker");
    if (step == NULL)
        return;
    name_policy(stream, step, policy);
    step->is_dry_run = policy->is_dry_run;
    step->is_closed = true;
    refuse(stream, step, verdict);
}

void explanation_delayed(struct stream *stream, const struct filter *filter, struct bytes rule) {
    struct explanation_step *step = step_of(stream->explanation, &stream->filters, filter);
    if (step == NULL || step->outcome != STEP_PASSED)
        return;
    step->outcome = STEP_WOULD_WAIT;
    step->rule = pool_copy(&stream->pool, rule);
}
