// AuthorizationPolicy with action External: an agent is asked about each request that a rule is for, and the request waits. How agents are asked is in agent.h.
//
// In a dry run the agent is asked as well, and nobody waits: what it would have been comes when it comes, perhaps after the request is over.
#include "filters/registry.h"

#include "base/check.h"
#include "base/log.h"
#include "config/authentication_config.h"
#include "config/url_service.h"
#include "filters/agent.h"
#include "filters/authorization_match.h"
#include "http/headers.h"
#include "stream/explanation.h"
#include "stream/stream.h"
#include "stream/subrequest.h"
#include "stream/verdict.h"

// The rule of a document that has none, and is for all requests.
#define ALL_REQUESTS BYTES("all")

struct external {
    const struct policy *policy;
    const struct authorization_config *config;
    struct policy_state **states; // of each rule, or of all requests
    uint32_t state_count;
    bool names_paths;     // any rule does
    bool *is_made_before; // of each of its headers: what is there was set by what a policy before has verified or asked
};

struct asking;

// A question beside the request, in its own memory. Like the request it keeps the documents that it is of.
struct beside {
    const struct external *external;
    uint32_t rule;
    struct asking *asking; // NULL: the request is over
};

struct asking {
    struct stream *stream;
    const struct external *external;
    struct subrequest *subrequest; // that it waits for; NULL: none
    struct beside *beside;         // that nobody waits for, and that is not over; NULL: none
    bool is_answered;
    uint32_t rule;
    struct agent_answer answer;
};

// ---- what is configured

static struct bytes rule_name(const struct authorization_config *config, uint32_t rule) {
    return config->rule_count == 0 ? ALL_REQUESTS : config->rules[rule].name;
}

// Whether a filter before has taken off what the client says.
static bool is_made_before(const struct filter_scope *scope, struct bytes header) {
    const struct destination *destination = scope->destination;
    bool is_made = authentication_makes_header(destination, header);
    for (uint32_t i = 0; i < destination->policy_count && destination->policies[i] != scope->policy; i++)
        is_made |= destination->policies[i]->kind == POLICY_AUTHORIZATION && !destination->policies[i]->is_dry_run &&
                   authorization_takes_off(destination->policies[i]->config, header);
    return is_made;
}

static const void *configure(const struct filter_scope *scope, struct pool *pool) {
    const struct authorization_config *config = scope->policy->config;
    if (config->action != AUTHORIZATION_EXTERNAL)
        return NULL;
    struct external *external = pool_alloc_zeroed(pool, sizeof *external);
    external->policy = scope->policy;
    external->config = config;
    external->state_count = config->rule_count == 0 ? 1 : config->rule_count;
    external->states = pool_alloc_zeroed(pool, external->state_count * sizeof external->states[0]);
    for (uint32_t i = 0; i < external->state_count; i++)
        external->states[i] = filter_state_get(scope, rule_name(config, i), 0, &policy_state_counts, NULL);
    for (uint32_t i = 0; i < config->rule_count; i++)
        external->names_paths |= config->rules[i].names_paths;
    external->is_made_before = pool_alloc_zeroed(pool, config->agent.header_count * sizeof external->is_made_before[0] + 1);
    for (uint32_t i = 0; i < config->agent.header_count; i++)
        external->is_made_before[i] = is_made_before(scope, config->agent.headers[i]);
    return external;
}

static void dispose(const void *config) {
    const struct external *external = config;
    policy_states_release(external->states, external->state_count);
}

// ---- what comes of the answer

static enum filter_result refuse(struct stream *stream, const struct asking *asking, enum error end, struct bytes reason,
                                 const struct fields *fields) {
    const struct external *external = asking->external;
    return verdict_refuse(stream, &(struct verdict){.end = end,
                                                    .rule = rule_name(external->config, asking->rule),
                                                    .reason = reason,
                                                    .state = external->states[asking->rule],
                                                    .fields = fields,
                                                    .by_agent = true});
}

static void take_off(struct stream *stream, struct bytes name) {
    FIELDS_EACH(&stream->request->fields, field) {
        if (field_name_reads_as(field->name, name))
            fields_remove_field(&stream->request->fields, field);
    }
}

static void take_off_all(struct stream *stream, const struct asking *asking) {
    const struct agent_config *agent = &asking->external->config->agent;
    for (uint32_t i = 0; i < agent->header_count; i++)
        take_off(stream, agent->headers[i]);
}

// The agent's fields, all of which the document names, are no client's, whatever it says.
static void set_fields(struct stream *stream, const struct asking *asking) {
    take_off_all(stream, asking);
    FIELDS_EACH(&asking->answer.to_request, field) {
        fields_add(&stream->request->fields, field->name, field->value);
    }
}

// Nobody is asked about the request: what its client says by the names of the agent's fields is believed as little. What another policy has set there stays.
static enum filter_result pass_unasked(struct stream *stream, const struct asking *asking) {
    const struct agent_config *agent = &asking->external->config->agent;
    for (uint32_t i = 0; i < agent->header_count && !asking->external->policy->is_dry_run; i++)
        if (!asking->external->is_made_before[i])
            take_off(stream, agent->headers[i]);
    return FILTER_CONTINUE;
}

static void tell_failure(const struct external *external, const struct agent_answer *answer) {
    if (answer->outcome == AGENT_FAILS)
        log_event(LOG_WARN, "external_authorization_failed", "policy=%.*s%s url=\"%.*s\" reason=\"%.*s\"", BYTES_FORMAT(external->policy->label),
                  external->policy->is_dry_run ? " mode=dry_run" : "", BYTES_FORMAT(external->config->agent.url->text), BYTES_FORMAT(answer->reason));
}

// OK: the request may pass.
static enum error end_of(const struct external *external, const struct agent_answer *answer) {
    switch (answer->outcome) {
    case AGENT_ALLOWS:
        return OK;
    case AGENT_DENIES:
        return answer->wants_credentials ? ERROR_UNAUTHENTICATED : ERROR_DENIED;
    case AGENT_FAILS:
        return external->config->agent.on_failure == FAILURE_DENIES ? ERROR_DENIED : OK;
    }
    check_failed("an agent has said what is no outcome", __FILE__, __LINE__);
}

static enum filter_result judge(struct stream *stream, const struct asking *asking) {
    const struct agent_answer *answer = &asking->answer;
    const enum error end = end_of(asking->external, answer);
    tell_failure(asking->external, answer);
    if (end == OK) {
        set_fields(stream, asking);
        return FILTER_CONTINUE;
    }
    if (answer->outcome == AGENT_FAILS)
        return refuse(stream, asking, end, pool_format(&stream->pool, "agent: %.*s", BYTES_FORMAT(answer->reason)), NULL);
    return refuse(stream, asking, end, answer->reason, &answer->to_client);
}

// ---- the question

// What came, in the pool of the stream.
static void read_answer(struct stream *stream, const struct external *external, const struct subrequest_answer *came, struct agent_answer *answer) {
    const struct agent_config *agent = &external->config->agent;
    fields_init(&answer->to_request, &stream->pool);
    fields_init(&answer->to_client, &stream->pool);
    if (came->end != OK)
        agent_fail(answer, bytes_from_text(error_name(came->end)));
    else if (agent->type == AGENT_OPA)
        agent_opa_read(stream, agent, came->head, came->body, answer);
    else
        agent_forward_read(stream, agent, came->head, answer);
}

static void completed(void *user, const struct subrequest_answer *came) {
    struct asking *asking = user;
    asking->subrequest = NULL;
    asking->is_answered = true;
    read_answer(asking->stream, asking->external, came, &asking->answer);
    stream_wake(asking->stream);
}

static void completed_beside(void *user, const struct subrequest_answer *came) {
    struct beside *beside = user;
    const struct external *external = beside->external;
    struct agent_answer answer = {.outcome = AGENT_FAILS};
    if (beside->asking != NULL)
        beside->asking->beside = NULL;
    if (came->end == ERROR_CLIENT_GONE)
        return; // the worker stops: that says nothing of the agent
    read_answer(came->stream, external, came, &answer);
    tell_failure(external, &answer);
    const struct verdict verdict = {
        .end = end_of(external, &answer), .rule = rule_name(external->config, beside->rule), .state = external->states[beside->rule]};
    if (verdict.end != OK)
        verdict_would_refuse(beside->asking == NULL ? NULL : beside->asking->stream, external->policy, &verdict);
}

static enum filter_result start(struct stream *stream, struct asking *asking) {
    const struct external *external = asking->external;
    const struct agent_config *agent = &external->config->agent;
    const bool is_beside = external->policy->is_dry_run;
    struct subrequest *subrequest;
    struct buffer body;
    buffer_init(&body, &stream->env->loop->blocks);
    const struct subrequest_order order = {.kind = is_beside ? SUBREQUEST_DRY_RUN : SUBREQUEST_AGENT,
                                           .service = agent->url->service,
                                           .head = agent->type == AGENT_OPA ? agent_opa_ask(stream, agent, &body) : agent_forward_ask(stream, agent),
                                           .body = &body,
                                           .timeout = agent->timeout,
                                           .answer_bytes_max = AGENT_ANSWER_BYTES_MAX,
                                           .drops_body = agent->type == AGENT_FORWARD,
                                           .completed = is_beside ? completed_beside : completed,
                                           .user = asking};
    const enum error error = subrequest_start(stream, &order, &subrequest);
    buffer_dispose(&body);
    if (error != OK) // That is nothing about the agent: a flood of requests is not to get past it where onFailure lets pass.
        return refuse(stream, asking, ERROR_MEMORY_LIMIT, BYTES("too many requests of its own, or too little memory, to ask the agent"), NULL);
    if (is_beside) {
        const struct beside beside = {.external = external, .rule = asking->rule, .asking = asking};
        asking->beside = subrequest_keep(subrequest, &beside, sizeof beside);
        return FILTER_CONTINUE;
    }
    asking->subrequest = subrequest;
    return FILTER_PAUSE;
}

// Any reading will do: what may be meant is asked about. False: no rule is for the request.
static bool find_rule(const struct external *external, struct authorization_request *request, uint32_t *rule) {
    const struct authorization_config *config = external->config;
    for (*rule = 0; *rule < config->rule_count; ++*rule)
        if (authorization_rule_holds(&config->rules[*rule], READING_ANY, request) || authorization_gave_up(request))
            return true;
    *rule = 0;
    return config->rule_count == 0;
}

static enum filter_result begin(struct stream *stream, struct asking *asking) {
    struct authorization_request request;
    authorization_request_begin(&request, stream, false);
    const char *fault = authorization_path_fault(&request);
    if (fault != NULL && asking->external->names_paths) // whether a rule is for it is anybody's guess
        return refuse(stream, asking, ERROR_BAD_REQUEST, bytes_from_text(fault), NULL);
    if (!find_rule(asking->external, &request, &asking->rule))
        return pass_unasked(stream, asking);
    if (authorization_gave_up(&request))
        return refuse(stream, asking, ERROR_BAD_REQUEST, BYTES("a regular expression takes too much work"), NULL);
    if (request.head == NULL)
        return refuse(stream, asking, ERROR_DENIED, BYTES("there is no request to ask about"), NULL);
    if (fault != NULL) // what an agent makes of the path need not be what the application does
        return refuse(stream, asking, ERROR_BAD_REQUEST, bytes_from_text(fault), NULL);
    if (!stream_is_asked_about(stream))
        return start(stream, asking);
    const struct bytes url = asking->external->config->agent.url->text;
    explain_depends(stream, rule_name(asking->external->config, asking->rule), pool_format(&stream->pool, "what %.*s answers", BYTES_FORMAT(url)));
    if (!asking->external->policy->is_dry_run)
        take_off_all(stream, asking);
    return FILTER_CONTINUE;
}

static enum filter_result decide(struct stream *stream, const void *config, void *state) {
    struct asking *asking = state;
    asking->stream = stream;
    asking->external = config;
    if (asking->is_answered)
        return judge(stream, asking);
    return asking->subrequest != NULL ? FILTER_PAUSE : begin(stream, asking);
}

static void end(struct stream *stream, const void *config, void *state) {
    (void)stream;
    (void)config;
    struct asking *asking = state;
    if (asking->subrequest != NULL)
        subrequest_cancel(asking->subrequest);
    asking->subrequest = NULL;
    if (asking->beside != NULL)
        asking->beside->asking = NULL;
}

const struct filter_type filter_external_authorization = {
    .name = "external_authorization",
    .state_size = sizeof(struct asking),
    .ends_without_config = true,
    .needs_testimony = true,
    .policy = POLICY_AUTHORIZATION,
    .configure = configure,
    .ops = {.decide = decide, .end = end, .dispose = dispose},
};
