// FaultPolicy: the first rule that is for a request delays it, answers it with an error, or both, by chance as often as the rule says.
#include "filters/registry.h"

#include "base/pool.h"
#include "config/fault_config.h"
#include "stream/explanation.h"
#include "stream/policy_match.h"
#include "stream/stream.h"
#include "stream/verdict.h"

struct faults {
    const struct fault_config *config;
    struct policy_state **states; // of each rule: how often it struck
};

struct struck {
    struct stream *stream;
    struct timer timer;
    const struct fault_rule *rule; // that the request goes by; NULL: none
    uint32_t index;                // of that rule
    bool is_chosen;                // what becomes of it was drawn
    bool waits, aborts;
};

static const void *configure(const struct filter_scope *scope, struct pool *pool) {
    const struct fault_config *config = scope->policy->config;
    struct faults *faults = pool_alloc_zeroed(pool, sizeof *faults);
    faults->config = config;
    faults->states = pool_alloc_zeroed(pool, config->rule_count * sizeof faults->states[0]);
    for (uint32_t i = 0; i < config->rule_count; i++)
        faults->states[i] = filter_state_get(scope, config->rules[i].name, 0, &policy_state_counts, NULL);
    return faults;
}

static void dispose(const void *config) {
    const struct faults *faults = config;
    policy_states_release(faults->states, faults->config->rule_count);
}

static void on_timer(struct timer *timer) {
    struct struck *struck = CONTAINER_OF(timer, struct struck, timer);
    struck->waits = false;
    stream_wake(struck->stream);
}

// Nobody is served: what is not certain is not drawn.
static bool hits(struct stream *stream, uint32_t percent) {
    if (stream_is_asked_about(stream))
        return percent >= 100;
    return percent > 0 && rng_below(&stream->env->loop->rng, 100) < percent;
}

static void tell(struct stream *stream, const struct fault_rule *rule) {
    explain_rule(stream, rule->name);
    if (rule->delay.percent > 0) {
        explain_number(stream, "delay_ms", rule->delay.fixed / NS_PER_MS);
        explain_number(stream, "delay_percent", rule->delay.percent);
    }
    if (rule->abort.percent > 0) {
        explain_number(stream, "abort_status", rule->abort.status);
        explain_number(stream, "abort_percent", rule->abort.percent);
    }
    const bool is_by_chance = (rule->delay.percent > 0 && rule->delay.percent < 100) || (rule->abort.percent > 0 && rule->abort.percent < 100);
    if (stream_is_asked_about(stream) && is_by_chance)
        explain_depends(stream, rule->name, BYTES("chance"));
}

// The rule of the request, and what is to become of it. An expression that takes too much work is for no request: a fault guards nothing.
static void choose(struct stream *stream, const struct faults *faults, struct struck *struck) {
    struck->is_chosen = true;
    for (uint32_t i = 0; i < faults->config->rule_count && struck->rule == NULL; i++) {
        const struct fault_rule *rule = &faults->config->rules[i];
        bool is_for;
        if (policy_match(stream, rule->matches, rule->match_count, &is_for) != OK || !is_for)
            continue;
        struck->rule = rule;
        struck->index = i;
        tell(stream, rule);
        struck->aborts = hits(stream, rule->abort.percent);
        struck->waits = hits(stream, rule->delay.percent);
    }
    struct policy_state *const state = struck->rule == NULL ? NULL : faults->states[struck->index];
    struck->waits = struck->waits && verdict_delay(stream, struck->rule->name, state);
    if (!struck->waits)
        return;
    struck->stream = stream;
    timer_init(&struck->timer, on_timer);
    loop_timer_start(stream->env->loop, &struck->timer, struck->rule->delay.fixed);
}

static enum filter_result decide(struct stream *stream, const void *config, void *state) {
    const struct faults *faults = config;
    struct struck *struck = state;
    if (stream->request->opaque)
        return FILTER_CONTINUE;
    if (!struck->is_chosen)
        choose(stream, faults, struck);
    if (struck->waits)
        return FILTER_PAUSE;
    if (!struck->aborts)
        return FILTER_CONTINUE;
    return verdict_refuse(stream, &(struct verdict){.end = ERROR_FAULT,
                                                    .rule = struck->rule->name,
                                                    .state = faults->states[struck->index],
                                                    .status = struck->rule->abort.status,
                                                    .grpc_status = (int)struck->rule->abort.grpc_status});
}

static void end(struct stream *stream, const void *config, void *state) {
    (void)config;
    struct struck *struck = state;
    if (struck->stream != NULL)
        loop_timer_stop(stream->env->loop, &struck->timer);
}

const struct filter_type filter_fault = {
    .name = "fault",
    .state_size = sizeof(struct struck),
    .ends_without_config = true,
    .policy = POLICY_FAULT,
    .configure = configure,
    .ops = {.decide = decide, .end = end, .dispose = dispose},
};
