// Which TelemetryPolicies hold for a destination: each group is taken whole from the most specific policy that has it (policy.md, "Targets, merging, where it acts"). A policy acts in the
// proxy of its target, on what that gets and what it sends; where the target has no proxy of ours, at its callers.
#include "config/freeze_private.h"

#include "base/check.h"
#include "config/errors.h"
#include "config/resource_telemetry_policy.h"
#include "telemetry/trace_context.h"

// What was found so far, the most specific first.
struct search {
    struct freezing *freezing;
    const struct telemetry_policy_spec *taken[TELEMETRY_GROUPS];
};

static void fill_threshold(struct telemetry_rules *rules) {
    rules->traces.threshold = trace_threshold(rules->traces.sampling.numerator, rules->traces.sampling.denominator);
}

void freeze_telemetry_begin(struct freezing *freezing) {
    const struct telemetry_config *config = &freezing->snapshot->proxy.telemetry;
    struct telemetry_index *index = &freezing->telemetry;
    map_init(&index->by_target);
    map_init(&index->merged);
    index->defaults = pool_alloc_zeroed(freezing->pool, sizeof(*index->defaults));
    index->defaults->traces.sampling = config->traces.sampling;
    fill_threshold(index->defaults);
    index->defaults->access_log.filter = config->access_log.filter;
    index->defaults->access_log.sampling = config->access_log.sampling;
    freezing->snapshot->has_access_log = config->access_log.filter != LOG_FILTER_NONE;
    for (struct document *document = freezing->loading->first; document != NULL; document = document->next) {
        const struct telemetry_policy_spec *spec = document->spec;
        if (document->kind->spec != &telemetry_policy_table)
            continue;
        for (uint32_t i = 0; i < spec->head.target_count; i++) {
            struct bytes key = target_key(freezing->loading->scratch, document->namespace_name, &spec->head.targets[i]);
            const void *twin = map_put(&index->by_target, key, document->spec);
            CHECK(twin == NULL); // config_check lets a namespace have one policy for a target
            index->count++;
            if (spec->head.targets[i].kind == TARGET_MESH) // of one namespace, and so one at most
                index->of_mesh = spec;
        }
    }
}

static void warn_of_nowhere(struct freezing *freezing, const char *field) {
    config_errors_add(freezing->loading->warnings, freezing->snapshot->proxy.place, NULL, field,
                      "OTLP goes where spec.telemetry.logs.endpoint or OTEL_EXPORTER_OTLP_ENDPOINT says, and neither is set: nothing is logged");
}

// Of logs that are sent there are no files. One that is to be sent nowhere is none, which nobody would notice.
static void look_at_formats(struct freezing *freezing) {
    struct snapshot *snapshot = freezing->snapshot;
    const struct telemetry_config *config = &snapshot->proxy.telemetry;
    const bool sends_access = config->access_log.format == LOG_FORMAT_OTLP && snapshot->has_access_log;
    const bool sends_audit = config->audit_log.format == AUDIT_FORMAT_OTLP && config->audit_log.is_kept;
    if (sends_access && config->otlp[OTLP_LOGS].url == NULL)
        warn_of_nowhere(freezing, "spec.telemetry.accessLog.format");
    if (sends_audit && config->otlp[OTLP_LOGS].url == NULL)
        warn_of_nowhere(freezing, "spec.telemetry.auditLog.format");
    const bool sends_events = config->traces.events == TRACE_EVENTS_LOG;
    if (sends_events && config->otlp[OTLP_LOGS].url == NULL)
        config_errors_add(freezing->loading->warnings, snapshot->proxy.place, NULL, "spec.telemetry.traces.events",
                          "records of the log go where spec.telemetry.logs.endpoint or OTEL_EXPORTER_OTLP_ENDPOINT says, "
                          "and neither is set: what is decided stays in spans");
    if (config->access_log.format != LOG_FORMAT_OTLP && !sends_audit && !sends_events && config->otlp[OTLP_LOGS].endpoint.len > 0)
        config_errors_add(freezing->loading->warnings, snapshot->proxy.place, NULL, "spec.telemetry.logs.endpoint",
                          "neither accessLog nor auditLog has format OTLP, and traces.events is not Log: nothing is sent there");
    if (sends_access)
        snapshot->has_access_log = false;
}

// A share is one of what filter All logs.
static bool is_share(const struct telemetry_share *share) {
    return share->numerator < share->denominator;
}

static void look_at_share(struct freezing *freezing) {
    const struct telemetry_index *index = &freezing->telemetry;
    if (is_share(&index->defaults->access_log.sampling) && index->defaults->access_log.filter != LOG_FILTER_ALL && !index->uses_log_share)
        config_errors_add(freezing->loading->warnings, freezing->snapshot->proxy.place, NULL, "spec.telemetry.accessLog.sampling",
                          "does nothing: it is a share of what filter All logs, and neither spec.telemetry nor a TelemetryPolicy without a share of "
                          "its own says All");
}

void freeze_telemetry_end(struct freezing *freezing) {
    look_at_formats(freezing);
    look_at_share(freezing);
    map_dispose(&freezing->telemetry.by_target);
    map_dispose(&freezing->telemetry.merged);
}

// Takes the groups that none before it had. `spec` NULL: there is no such policy.
static void take_groups(struct search *search, const struct telemetry_policy_spec *spec) {
    for (uint32_t i = 0; i < TELEMETRY_GROUPS && spec != NULL; i++)
        if (search->taken[i] == NULL && spec->has_group[i])
            search->taken[i] = spec;
}

static void take(void *user, const struct target_ref *target) {
    struct search *search = user;
    struct bytes key = target_key(search->freezing->loading->scratch, target->namespace_name, target);
    take_groups(search, map_get(&search->freezing->telemetry.by_target, key));
}

static void take_all(struct search *search, const struct target_ref *targets, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        take(search, &targets[i]);
}

// The group is `spec`'s, and what it has no filter for has another one than All.
static void warn_of_share(struct freezing *freezing, const struct telemetry_policy_spec *spec) {
    struct document *document = freezing->loading->first;
    const struct bytes key = pool_format(freezing->loading->scratch, "log share|%p", (const void *)spec);
    while (document->spec != spec)
        document = document->next;
    if (map_put(&freezing->told, key, document) != NULL)
        return;
    document_revive(document);
    document_warning(document, node_find(document->spec_node, "accessLog"), "sampling",
                     "does nothing: it is a share of what filter All logs, and spec.telemetry, whose filter holds here, does not say All");
}

static void fill(const struct search *search, struct telemetry_rules *rules) {
    const struct telemetry_policy_spec *traces = search->taken[TELEMETRY_TRACES], *log = search->taken[TELEMETRY_ACCESS_LOG];
    const struct telemetry_policy_spec *metrics = search->taken[TELEMETRY_METRICS];
    const struct telemetry_rules *defaults = search->freezing->telemetry.defaults;
    *rules = *defaults;
    if (traces != NULL) {
        rules->traces = traces->rules.traces;
        if (!traces->has_sampling)
            rules->traces.sampling = defaults->traces.sampling;
        fill_threshold(rules);
    }
    if (log != NULL) {
        rules->access_log = log->rules.access_log;
        if (!log->has_filter && !log->access_log_disabled)
            rules->access_log.filter = defaults->access_log.filter;
        if (!log->has_log_sampling)
            rules->access_log.sampling = defaults->access_log.sampling;
        if (rules->access_log.filter == LOG_FILTER_ALL && !log->has_log_sampling)
            search->freezing->telemetry.uses_log_share = true;
        if (rules->access_log.filter != LOG_FILTER_ALL && log->has_log_sampling)
            warn_of_share(search->freezing, log);
    }
    if (metrics != NULL)
        rules->metrics = metrics->rules.metrics;
}

// One for all that the same policies hold for.
static const struct telemetry_rules *merge(struct search *search) {
    struct freezing *freezing = search->freezing;
    struct telemetry_index *index = &freezing->telemetry;
    const struct bytes key = pool_copy(freezing->loading->scratch, bytes_from((const char *)search->taken, sizeof search->taken));
    struct telemetry_rules *rules = map_get(&index->merged, key);
    if (rules != NULL)
        return rules;
    rules = pool_alloc_zeroed(freezing->pool, sizeof(*rules));
    fill(search, rules);
    freezing->snapshot->has_access_log |= rules->access_log.filter != LOG_FILTER_NONE;
    map_put(&index->merged, key, rules);
    return rules;
}

// What this proxy stands beside; `application` NULL: whatever is behind it.
static void take_own(struct search *search, const struct service_config *application) {
    freeze_each_application_target(search->freezing, application, take, search);
}

// What is least specific.
static void take_own_namespace_and_mesh(struct search *search) {
    const struct bytes owner = search->freezing->snapshot->proxy.namespace_name;
    take(search, &(struct target_ref){.kind = TARGET_NAMESPACE, .namespace_name = owner, .name = owner});
    take_groups(search, search->freezing->telemetry.of_mesh);
}

void freeze_telemetry(struct freezing *freezing, struct destination *destination, const struct service_config *frontend, const struct document *route,
                      const struct rule_spec *rule) {
    struct search search = {.freezing = freezing};
    const struct service_config *service = destination->service;
    destination->telemetry = freezing->telemetry.defaults;
    if (freezing->telemetry.count == 0)
        return;
    struct target_ref targets[RULE_TARGETS + SERVICE_TARGETS];
    const bool is_without_proxy = !service->is_application && service_is_without_proxy(service);
    if (frontend->gateway != NULL) {
        uint32_t count = route == NULL ? 0 : targets_of_rule(route, rule, targets);
        count += targets_of_service(frontend, &targets[count]) - 1; // its Namespace comes last
        take_all(&search, targets, count);
    }
    struct target_ref of_service[SERVICE_TARGETS];
    const uint32_t count = targets_of_service(service, of_service);
    if (is_without_proxy)
        take_all(&search, of_service, count - 1);
    take_own(&search, service->is_application ? service : NULL);
    if (is_without_proxy)
        take(&search, &of_service[count - 1]);
    take_own_namespace_and_mesh(&search);
    destination->telemetry = merge(&search);
}

// What is refused before it has a destination counts as the application's behind an Inbound listener, the Gateway's at a Gateway, and else as what this proxy's application sends.
void freeze_telemetry_of_listener(struct freezing *freezing, struct listener_config *listener) {
    struct search search = {.freezing = freezing};
    listener->telemetry = freezing->telemetry.defaults;
    if (freezing->telemetry.count == 0)
        return;
    if (listener->role == ROLE_GATEWAY) {
        const struct bytes owner = freezing->snapshot->proxy.namespace_name;
        take(&search, &(struct target_ref){.kind = TARGET_GATEWAY, .namespace_name = owner, .name = listener->gateway_name});
    }
    take_own(&search, listener->role == ROLE_INBOUND ? listener->service : NULL);
    take_own_namespace_and_mesh(&search);
    listener->telemetry = merge(&search);
}
