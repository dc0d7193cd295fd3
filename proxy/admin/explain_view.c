// See explain_view.h. The order of members is that in which a request meets what they tell of.
#include "admin/explain_view.h"

#include "admin/config_words.h"
#include "admin/endpoint_row.h"
#include "admin/json_build.h"
#include "admin/route_walk.h"
#include "http/redact.h"
#include "net/tcp.h"
#include "stream/attempts.h"
#include "stream/error_reply.h"
#include "stream/explanation.h"
#include "stream/route.h"
#include "stream/route_match.h"
#include "upstream/endpoint_breaker.h"

#include <jansson.h>

// A request's host has one table, and one more for each of its labels.
#define TABLES_MAX 8

// Matches that are looked at in one table: some ten thousand take a millisecond.
#define LOOKS_MAX 4096

static json_t *wanted_text(struct bytes text) {
    return text.len > 0 ? json_text(text) : json_null();
}

// ---- the request

static json_t *headers_value(const struct explain_question *question) {
    json_t *list = json_array();
    for (uint32_t i = 0; i < question->header_count; i++) {
        const struct explain_header *header = &question->headers[i];
        json_t *row = json_object();
        json_set_text(row, "name", header->name);
        json_set(row, "value", json_text(redact_is_secret(header->name) ? REDACTED : header->value));
        json_array_append_new(list, row);
    }
    return list;
}

static json_t *request_value(const struct explained *explained) {
    const struct stream *stream = explained->stream;
    const struct explain_question *question = explained->question;
    char client[ADDRESS_TEXT_MAX];
    json_t *value = json_object();
    json_set_text(value, "listener", stream->listener->name);
    json_set(value, "role", json_string(role_word(stream->listener->role)));
    json_set_text(value, "method", question->method);
    json_set(value, "host", wanted_text(question->host));
    json_set_text(value, "path", redact_query(question->path, explained->pool));
    json_set(value, "headers", headers_value(question));
    json_set_text(value, "client", bytes_from(client, address_print(stream->client.address, client, sizeof client)));
    json_set(value, "identity", wanted_text(question->identity.text));
    return value;
}

// ---- what is decided

static json_t *decision(const char *what) {
    json_t *value = json_object();
    json_set(value, "decision", json_string(what));
    return value;
}

static void set_place(struct pool *pool, json_t *value, const struct explanation_step *step) {
    if (step->file.len > 0)
        json_set_text(value, "place", pool_format(pool, "%.*s:%u", BYTES_FORMAT(step->file), step->line));
}

static void set_status(json_t *value, const struct stream *stream, enum error end) {
    json_set(value, "end", json_string(error_name(end)));
    if (error_status(end) != 0)
        json_set_number(value, "status", error_status(end));
    if (stream->request_is_grpc)
        json_set(value, "grpc_status", json_integer(error_grpc_status(end)));
}

static json_t *refusal(const struct stream *stream, const char *by, enum error end, struct bytes reason) {
    json_t *value = decision("refused");
    set_status(value, stream, end);
    json_set(value, "by", json_string(by));
    json_set_text(value, "policy", stream->policy);
    json_set_text(value, "reason", reason);
    return value;
}

static enum error error_of_name(const char *name) {
    for (int number = 0; number < ERROR_COUNT; number++)
        if (strcmp(error_name((enum error)(-1 - number)), name) == 0)
            return (enum error)(-1 - number);
    return ERROR_INTERNAL;
}

static json_t *of_step(const struct explained *explained, const struct explanation_step *step) {
    json_t *value = decision(step->outcome == STEP_ANSWERED ? "answered" : "refused");
    if (step->outcome == STEP_REFUSED)
        set_status(value, explained->stream, error_of_name(step->end));
    if (step->status != 0)
        json_set_number(value, "status", step->status);
    json_set(value, "by", json_string(step->filter));
    json_set_text(value, "policy", step->policy);
    json_set_text(value, "rule", step->rule);
    set_place(explained->pool, value, step);
    json_set_text(value, "reason", step->reason);
    if (step->retry_after > 0)
        json_set(value, "retry_after", json_duration((step->retry_after + NS_PER_S - 1) / NS_PER_S * NS_PER_S));
    return value;
}

// Nobody answers, as far as is known now. NULL: somebody may.
static json_t *of_endpoints(const struct stream *stream) {
    const struct cluster *cluster = stream->destination->cluster;
    struct bytes detail;
    nanoseconds wait;
    bool all_refused;
    if (endpoint_breakers_first(cluster, stream->env->loop->now, &wait, &all_refused) != NULL && all_refused)
        return refusal(stream, "endpoints", ERROR_BREAKER_OPEN, BYTES("the breakers of all are open"));
    if (cluster->levels.total > 0 || stream->destination->config->service->is_passthrough)
        return NULL;
    const enum error error = cluster_why_none(cluster, &detail);
    if (error != ERROR_CANCELLED)
        return refusal(stream, "endpoints", error_end(error), detail);
    json_t *value = decision("depends");
    json_set(value, "by", json_string("endpoints"));
    json_set(value, "reason", json_string("the first answer of a name server is awaited"));
    return value;
}

static json_t *forwarded(const struct stream *stream) {
    const struct explanation_step *step = stream->explanation->first;
    while (step != NULL && step->outcome != STEP_DEPENDS)
        step = step->next;
    json_t *value = decision(step != NULL ? "depends" : "forwarded");
    if (step != NULL) {
        json_set(value, "by", json_string(step->filter));
        json_set_text(value, "policy", step->policy);
        json_set_text(value, "rule", step->rule);
        json_set_text(value, "reason", step->reason);
    }
    json_set_text(value, "to", stream->destination->config->service->key);
    return value;
}

// A caller without a certificate does not get as far as a request.
static bool is_turned_away(const struct stream *stream) {
    return stream->listener->role == ROLE_INBOUND && stream->listener->mtls == MTLS_STRICT && stream->client.identity == NULL;
}

// Of the backend that is looked at, where several take turns.
static json_t *decision_here(const struct explained *explained) {
    const struct stream *stream = explained->stream;
    const struct explanation *explanation = stream->explanation;
    const struct explanation_step *decisive = explanation->decisive;
    if (is_turned_away(stream))
        return refusal(stream, "listener", ERROR_TLS_FAILED, BYTES("mtls.mode is Strict: callers show a certificate; say whose by as="));
    if (decisive != NULL && !decisive->is_below)
        return of_step(explained, decisive);
    if (explanation->end != OK)
        return refusal(stream, stream->filters.chain == NULL ? "route" : "backend", explanation->end, stream->detail);
    if (decisive != NULL)
        return of_step(explained, decisive);
    if (stream->reply != NULL) { // of a request that ends here
        json_t *value = decision("answered");
        json_set_number(value, "status", stream->reply->status);
        json_set_text(value, "by", stream->detail);
        return value;
    }
    json_t *nobody = of_endpoints(stream);
    return nobody != NULL ? nobody : forwarded(stream);
}

// With the same live state, and not only of the same text.
static bool shares_policy(const struct destination *destination, const struct policy *policy) {
    for (uint32_t i = 0; i < destination->policy_count; i++)
        if (bytes_equal(destination->policies[i]->label, policy->label) && bytes_equal(destination->policies[i]->target, policy->target))
            return true;
    return false;
}

// What a filter says that the request meets with whichever backend has the turn.
static bool is_for_all_backends(const struct stream *stream, const struct explanation_step *step) {
    const struct destination *chosen = stream->destination->config;
    for (uint32_t i = 0; i < chosen->policy_count; i++) {
        if (!bytes_equal(chosen->policies[i]->label, step->policy))
            continue;
        for (uint32_t j = 0; j < stream->rule->destination_count; j++)
            if (stream->rule->destinations[j]->weight > 0 && !shares_policy(stream->rule->destinations[j], chosen->policies[i]))
                return false;
    }
    return true;
}

static json_t *of_turn(const struct explained *explained, json_t *here) {
    const struct stream *stream = explained->stream;
    json_t *value = decision("depends");
    json_set(value, "by", json_string("route"));
    json_set_text(value, "rule", stream->rule->label);
    json_set_place(value, &stream->rule->place);
    const char *word = json_string_value(json_object_get(here, "decision")), *end = json_string_value(json_object_get(here, "end"));
    json_set_text(value, "reason",
                  pool_format(explained->pool, "whose turn it is, by the weights of backendRefs; with this backend: %s%s%s", word,
                              end == NULL ? "" : " ", end == NULL ? "" : end));
    json_set_text(value, "to", stream->destination->config->service->key);
    json_set(value, "with_chosen", here);
    return value;
}

static json_t *decision_value(const struct explained *explained) {
    const struct stream *stream = explained->stream;
    const struct explanation *explanation = stream->explanation;
    const struct explanation_step *decisive = explanation->decisive;
    json_t *here = decision_here(explained);
    if (!explanation->takes_turn || is_turned_away(stream) || (decisive != NULL && !decisive->is_below && is_for_all_backends(stream, decisive)))
        return here;
    return of_turn(explained, here);
}

// ---- service and route

static json_t *service_value(const struct service_config *service) {
    json_t *value = json_object();
    json_set_text(value, "service", service->key);
    json_set_place(value, &service->place);
    return value;
}

struct looking {
    const struct explained *explained;
    json_t *taken, *others;
    uint32_t looked, left_out;
    bool is_for_others; // of this walk: those with another path than the request's
};

static struct bytes match_text(struct pool *pool, const struct route_match *match) {
    static const char *const types[] = {
        [PATH_PREFIX] = "PathPrefix", [PATH_EXACT] = "Exact", [PATH_REGEX] = "RegularExpression", [PATH_METHOD] = "Method"};
    return pool_format(pool, "%s %.*s%s%.*s", types[match->path_type], BYTES_FORMAT(match->path.len > 0 ? match->path : BYTES("/")),
                       match->method.len > 0 ? " " : "", BYTES_FORMAT(match->method));
}

static struct bytes miss_text(struct pool *pool, const struct route_look *look) {
    switch (look->miss) {
    case ROUTE_MISSES_PATH:
        return BYTES("another path");
    case ROUTE_MISSES_METHOD:
        return BYTES("another method");
    case ROUTE_MISSES_HEADER:
        return pool_format(pool, "header %.*s is not what it wants", BYTES_FORMAT(look->name));
    case ROUTE_MISSES_QUERY:
        return pool_format(pool, "parameter %.*s is not what it wants", BYTES_FORMAT(look->name));
    case ROUTE_MATCHES:
        break;
    }
    return BYTES("it matches too, and comes behind");
}

static void look_at(void *user, const struct route_match *match) {
    struct looking *looking = user;
    const struct stream *stream = looking->explained->stream;
    struct pool *pool = looking->explained->pool;
    if (++looking->looked > LOOKS_MAX) {
        looking->left_out += looking->is_for_others;
        return;
    }
    const struct route_look look = route_look(match, stream->request, stream->bound->matcher, pool);
    if ((look.miss == ROUTE_MISSES_PATH) != looking->is_for_others)
        return;
    if (look.miss == ROUTE_MATCHES && match->rule == stream->rule && looking->taken == NULL) {
        looking->taken = json_text(match_text(pool, match));
        return;
    }
    if (json_array_size(looking->others) == EXPLAIN_MATCHES_MAX) {
        looking->left_out++;
        return;
    }
    json_t *row = json_object();
    json_set_text(row, "rule", match->rule->label);
    json_set_place(row, &match->rule->place);
    json_set_text(row, "match", match_text(pool, match));
    json_set_text(row, "why_not", miss_text(pool, &look));
    json_array_append_new(looking->others, row);
}

// Those with the request's path first: the others are many, and seldom what is asked for.
static void look_at_tables(struct looking *looking) {
    const struct stream *stream = looking->explained->stream;
    const struct route_table *tables[TABLES_MAX];
    const uint32_t count = route_tables(stream, stream->explanation->service, tables, TABLES_MAX);
    if (stream->bound->matcher != NULL)
        regex_matcher_begin(stream->bound->matcher);
    for (unsigned pass = 0; pass < 2; pass++) {
        looking->is_for_others = pass == 1;
        looking->looked = 0;
        for (uint32_t i = 0; i < count; i++)
            route_walk(tables[i], looking->explained->pool, look_at, looking);
    }
}

static json_t *backends_value(const struct stream *stream) {
    json_t *list = json_array();
    for (uint32_t i = 0; i < stream->rule->destination_count; i++) {
        const struct destination *backend = stream->rule->destinations[i];
        json_t *row = json_object();
        json_set_text(row, "service", backend->service->key);
        json_set_number(row, "weight", backend->weight);
        json_set(row, "chosen", json_boolean(stream->destination->config == backend));
        json_set_text(row, "fault", backend->fault);
        json_array_append_new(list, row);
    }
    return list;
}

static json_t *route_value(const struct explained *explained) {
    const struct stream *stream = explained->stream;
    struct looking looking = {.explained = explained, .others = json_array()};
    json_t *value = json_object();
    if (!stream->request->opaque)
        look_at_tables(&looking);
    if (stream->rule != NULL) {
        json_set_text(value, "rule", stream->rule->label);
        json_set_place(value, &stream->rule->place);
        json_set(value, "match", looking.taken != NULL ? looking.taken : json_null());
        json_set(value, "chosen_by", json_string(stream->traffic->selection.type == SELECT_HASH ? "hash" : "weight"));
        json_set(value, "backends", backends_value(stream));
    } else {
        json_set(value, "rule", json_null());
    }
    json_set(value, "not_taken", looking.others);
    json_set_number(value, "not_shown", looking.left_out);
    return value;
}

// ---- filters

static json_t *figures_value(struct pool *pool, const struct explanation_step *step) {
    json_t *list = json_array();
    for (const struct explanation_figure *figure = step->figures; figure != NULL; figure = figure->next) {
        json_t *row = json_object();
        json_set_text(row, "rule", figure->rule);
        json_set(row, "name", json_string(figure->name));
        if (figure->is_number)
            json_set_number(row, "value", figure->number);
        else
            json_set(row, "value", json_text(redact_query(figure->text, pool)));
        json_array_append_new(list, row);
    }
    return list;
}

static json_t *step_value(struct pool *pool, const struct explanation_step *step) {
    static const char *const outcomes[] = {
        [STEP_PASSED] = "passes",         [STEP_REFUSED] = "refuses",  [STEP_WOULD_REFUSE] = "would refuse",
        [STEP_WOULD_WAIT] = "would wait", [STEP_ANSWERED] = "answers", [STEP_DEPENDS] = "depends",
    };
    json_t *row = json_object();
    json_set(row, "filter", json_string(step->filter));
    json_set(row, "of", json_string(step->is_below ? "each attempt" : "the request"));
    json_set(row, "outcome", json_string(outcomes[step->outcome]));
    json_set_text(row, "policy", step->policy);
    set_place(pool, row, step);
    if (step->policy.len > 0)
        json_set(row, "mode", json_string(step->is_dry_run ? "DryRun" : "Enforce"));
    json_set_text(row, "rule", step->rule);
    if (step->end != NULL)
        json_set(row, "end", json_string(step->end));
    json_set_text(row, "reason", step->reason);
    json_set(row, "figures", figures_value(pool, step));
    return row;
}

static json_t *filters_value(const struct explained *explained) {
    json_t *list = json_array();
    for (const struct explanation_step *step = explained->stream->explanation->first; step != NULL; step = step->next)
        json_array_append_new(list, step_value(explained->pool, step));
    return list;
}

// ---- attempts

static json_t *conditions_value(const struct traffic_config *traffic) {
    json_t *list = json_array();
    uint32_t position = 0;
    for (const char *word; (word = traffic_retry_word(traffic, RETRY_CONDITIONS, &position)) != NULL;)
        json_array_append_new(list, json_string(word));
    return list;
}

static json_t *attempts_value(const struct explained *explained) {
    const struct stream *stream = explained->stream;
    const struct traffic_config *traffic = stream->traffic;
    const struct admin_service *service = explained->service;
    json_t *value = json_object();
    json_set_text(value, "service", service->key);
    json_set(value, "policy", traffic->policy.len > 0 ? json_text(traffic->policy) : json_string("defaults"));
    json_set_place(value, &traffic->place);
    json_set_number(value, "retries", traffic->retry.attempts);
    json_set(value, "conditions", conditions_value(traffic));
    json_set_number(value, "retry_budget", service->retry_budget);
    json_set_number(value, "hedges", traffic->hedge.max);
    json_set(value, "try_timeout", json_duration(traffic->timeouts.backend_request));
    json_set_text(value, "load_balancer", service->load_balancer);
    if (stream->destination->cluster->traffic.load_balancer.key.count > 0)
        json_set(value, "key", json_string(stream->explanation->has_key ? "whole" : "a part is missing: at random"));
    json_set_number(value, "waiting", service->waiting);
    return value;
}

static json_t *endpoints_value(const struct admin_service *service) {
    json_t *list = json_array();
    for (uint32_t i = 0; i < service->endpoint_count && i < EXPLAIN_ENDPOINTS_MAX; i++)
        json_array_append_new(list, endpoint_row(&service->endpoints[i]));
    return list;
}

json_t *explain_view(const struct explained *explained) {
    const struct stream *stream = explained->stream;
    json_t *value = json_object();
    json_set(value, "request", request_value(explained));
    json_set(value, "outcome", decision_value(explained));
    json_set(value, "service", stream->explanation->service != NULL ? service_value(stream->explanation->service) : json_null());
    json_set(value, "route", stream->explanation->service != NULL ? route_value(explained) : json_null());
    json_set(value, "filters", filters_value(explained));
    if (explained->service == NULL)
        return value;
    json_set(value, "attempts", attempts_value(explained));
    json_set(value, "endpoints", endpoints_value(explained->service));
    json_set_number(value, "endpoints_not_shown",
                    explained->service->endpoint_count > EXPLAIN_ENDPOINTS_MAX ? explained->service->endpoint_count - EXPLAIN_ENDPOINTS_MAX : 0);
    return value;
}
