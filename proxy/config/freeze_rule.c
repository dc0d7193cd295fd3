// Rules of routes: what each does, where it sends its share, and what holds for requests that go by it.
#include "config/freeze_private.h"

uint32_t targets_of_rule(const struct document *route, const struct rule_spec *rule, struct target_ref *targets) {
    uint32_t count = 0;
    struct target_ref whole = {.kind = route_kind_of(route)->target, .namespace_name = route->namespace_name, .name = route->name};
    if (rule->name.len > 0) {
        targets[count] = whole;
        targets[count++].section_name = rule->name;
    }
    targets[count++] = whole;
    return count;
}

uint32_t add_service_targets(const struct service_config *frontend, const struct service_config *backend, struct target_ref *targets,
                             uint32_t count) {
    struct target_ref of_frontend[SERVICE_TARGETS], of_backend[SERVICE_TARGETS];
    uint32_t each = targets_of_service(frontend, of_frontend);
    (void)targets_of_service(backend, of_backend);
    for (uint32_t i = 0; i + 1 < each; i++)
        targets[count++] = of_frontend[i];
    for (uint32_t i = 0; i + 1 < each; i++)
        targets[count++] = of_backend[i];
    targets[count++] = of_frontend[each - 1];
    targets[count++] = of_backend[each - 1];
    return count;
}

// Gateway API, HTTPRouteRetry: with the stanza connections that could not be made, or broke, and tries that ran out of time are tried again too. What it does not say
// stays as TrafficPolicy has it.
static void take_retry(const struct rule_spec *rule, struct traffic_config *traffic, struct bytes label) {
    traffic->retry.connect_failure = traffic->retry.refused_stream = traffic->retry.unsent = traffic->retry.reset = traffic->retry.timeout = true;
    if (rule->retry.has_attempts)
        traffic->retry.attempts = rule->retry.attempts;
    else if (traffic->retry.attempts == 0)
        traffic->retry.attempts = 1;
    if (rule->retry.has_codes)
        memcpy(traffic->retry.codes, rule->retry.codes, sizeof(traffic->retry.codes));
    traffic->retry.backoff.least = rule->retry.backoff;
    traffic->retry.policy = label;
}

// The rule, its route, then the service that was asked for, then the one that the request is sent to. What the rule says itself wins over all.
static const struct traffic_config *traffic_of_rule(struct freezing *freezing, const struct document *route, const struct rule_spec *rule,
                                                    const struct service_config *frontend, const struct service_config *backend, struct bytes label) {
    struct target_ref targets[RULE_TARGETS + 2 * SERVICE_TARGETS];
    struct traffic_config *traffic = pool_alloc_zeroed(freezing->pool, sizeof(*traffic));
    uint32_t count = targets_of_rule(route, rule, targets);
    count = add_service_targets(frontend, backend, targets, count);
    traffic_merge(&freezing->policies, targets, count, traffic);
    if (rule->has_request_timeout)
        traffic->timeouts.request = rule->request_timeout;
    if (rule->has_backend_timeout)
        traffic->timeouts.backend_request = rule->backend_timeout;
    if (rule->has_request_timeout || rule->has_backend_timeout)
        traffic->timeouts.policy = label;
    if (rule->retry.is_said)
        take_retry(rule, traffic, label);
    return traffic;
}

struct destination *freeze_add_destination(struct freezing *freezing) {
    struct snapshot *snapshot = freezing->snapshot;
    struct destination *destination = pool_alloc_zeroed(freezing->pool, sizeof(*destination));
    destination->index = snapshot->destination_count;
    snapshot->destinations[snapshot->destination_count++] = destination;
    return destination;
}

// NULL: there is no such port.
static const struct service_config *find_port(struct freezing *freezing, const struct document *route, const struct backend_ref *backend) {
    const struct frozen_entry *entry = freeze_find_entry(freezing, ref_namespace(route, backend->namespace_name), backend->name);
    if (entry == NULL)
        return NULL;
    const struct service_entry_spec *spec = entry->document->spec;
    for (uint32_t i = 0; i < spec->port_count; i++)
        if (entry->ports[i]->port == backend->port || (backend->port == 0 && spec->port_count == 1))
            return entry->ports[i];
    return NULL;
}

// A route of the mesh may send to any namespace, one at a Gateway where a grant permits it.
static bool is_permitted(const struct freezing *freezing, const struct document *route, const struct backend_ref *backend,
                         const struct service_config *frontend) {
    return frontend->gateway == NULL ||
           grants_permit(&freezing->grants, route, backend->kind, ref_namespace(route, backend->namespace_name), backend->name);
}

// NULL: what the reference names is no backend for requests to `frontend`, and `*fault` is why.
static const struct service_config *find_backend(struct freezing *freezing, const struct document *route, const struct backend_ref *backend,
                                                 const struct service_config *frontend, const char **fault) {
    *fault = "InvalidKind";
    if (!backend_kind_is_known(backend))
        return NULL;
    *fault = "RefNotPermitted";
    if (!is_permitted(freezing, route, backend, frontend))
        return NULL;
    *fault = "BackendNotFound";
    return find_port(freezing, route, backend);
}

static const struct header_changes *changes_of(const struct filter_spec *filters, uint32_t count, enum filter_spec_type type) {
    for (uint32_t i = 0; i < count; i++)
        if (filters[i].type == type)
            return type == SPEC_REQUEST_HEADERS ? &filters[i].request : &filters[i].response;
    return NULL;
}

// By its name alone, so that a backend keeps its keys when others come and go, whether or not it is there or its port is written, and in every proxy. One that stands twice is two.
static uint64_t seed_of(struct freezing *freezing, const struct document *route, const struct backend_ref *backend, const struct route_rule *rule) {
    struct bytes name = pool_format(freezing->loading->scratch, "%.*s/%.*s", BYTES_FORMAT(ref_namespace(route, backend->namespace_name)),
                                    BYTES_FORMAT(backend->name));
    uint64_t seed = digest_bytes(DIGEST_START, name);
    for (uint32_t i = 0; i < rule->destination_count; i++)
        if (rule->destinations[i]->seed == seed)
            seed = digest_bytes(seed, name);
    return seed;
}

static void freeze_backend(struct freezing *freezing, const struct document *route, const struct rule_spec *spec, const struct backend_ref *backend,
                           const struct service_config *frontend, struct route_rule *rule) {
    const char *fault;
    const struct service_config *service = find_backend(freezing, route, backend, frontend, &fault);
    struct destination *to = freeze_add_destination(freezing);
    to->is_backend = service != NULL;
    if (service == NULL)
        to->fault = pool_format(freezing->pool, "%.*s/%.*s: %s", BYTES_FORMAT(ref_namespace(route, backend->namespace_name)),
                                BYTES_FORMAT(backend->name), fault);
    to->service = service != NULL ? service : frontend;
    to->rule = rule;
    to->weight = backend->weight;
    to->seed = seed_of(freezing, route, backend, rule);
    to->traffic = traffic_of_rule(freezing, route, spec, frontend, to->service, rule->label);
    to->request_headers = changes_of(backend->filters, backend->filter_count, SPEC_REQUEST_HEADERS);
    to->response_headers = changes_of(backend->filters, backend->filter_count, SPEC_RESPONSE_HEADERS);
    freeze_policies(freezing, to, frontend, route, spec);
    freeze_telemetry(freezing, to, frontend, route, spec);
    freeze_warn_of_rule(freezing, spec, to);
    freeze_logged_keys(freezing, to);
    rule->weights += backend->weight;
    rule->destinations[rule->destination_count++] = to;
}

// What is no backend gets no copies.
static void freeze_mirrors(struct freezing *freezing, const struct document *route, const struct rule_spec *spec,
                           const struct service_config *frontend, struct route_rule *rule) {
    const char *fault;
    struct route_mirror *mirrors = pool_alloc_zeroed(freezing->pool, spec->filter_count * sizeof(mirrors[0]) + 1);
    for (uint32_t i = 0; i < spec->filter_count; i++) {
        const struct mirror_spec *mirror = &spec->filters[i].mirror;
        const struct service_config *service =
            spec->filters[i].type == SPEC_MIRROR ? find_backend(freezing, route, &mirror->backend, frontend, &fault) : NULL;
        if (service != NULL && mirror->numerator > 0)
            mirrors[rule->mirror_count++] =
                (struct route_mirror){.service = service, .numerator = mirror->numerator, .denominator = mirror->denominator};
    }
    rule->mirrors = mirrors;
}

static void freeze_filters(const struct rule_spec *spec, struct route_rule *rule) {
    rule->request_headers = changes_of(spec->filters, spec->filter_count, SPEC_REQUEST_HEADERS);
    rule->response_headers = changes_of(spec->filters, spec->filter_count, SPEC_RESPONSE_HEADERS);
    for (uint32_t i = 0; i < spec->filter_count; i++) {
        if (spec->filters[i].type == SPEC_REDIRECT)
            rule->redirect = &spec->filters[i].redirect;
        if (spec->filters[i].type == SPEC_REWRITE)
            rule->rewrite = &spec->filters[i].rewrite;
        if (spec->filters[i].type == SPEC_CORS)
            rule->cors = &spec->filters[i].cors;
    }
}

static struct bytes rule_label(struct freezing *freezing, struct bytes route, const struct rule_spec *spec, uint32_t number) {
    if (spec->name.len > 0)
        return pool_format(freezing->pool, "%.*s: %.*s", BYTES_FORMAT(route), BYTES_FORMAT(spec->name));
    return pool_format(freezing->pool, "%.*s: rule %u", BYTES_FORMAT(route), number);
}

struct route_rule *freeze_rule(struct freezing *freezing, const struct document *route, uint32_t number, const struct service_config *frontend) {
    struct snapshot *snapshot = freezing->snapshot;
    const struct rule_spec *spec = &((const struct route_spec *)route->spec)->rules[number];
    struct route_rule *rule = pool_alloc_zeroed(freezing->pool, sizeof(*rule));
    rule->route = pool_copy(freezing->pool, bytes_from_text(route->label));
    rule->label = rule_label(freezing, rule->route, spec, number + 1);
    rule->place = spec->place;
    rule->index = snapshot->rule_count;
    snapshot->rules[snapshot->rule_count++] = rule;
    freeze_filters(spec, rule);
    freeze_mirrors(freezing, route, spec, frontend, rule);
    rule->destinations = pool_alloc_zeroed(freezing->pool, (spec->backend_count + 1) * sizeof(rule->destinations[0]));
    for (uint32_t i = 0; i < spec->backend_count; i++)
        freeze_backend(freezing, route, spec, &spec->backends[i], frontend, rule);
    if (spec->backend_count > 0)
        return rule;
    struct destination *none = freeze_add_destination(freezing);
    none->service = frontend;
    none->rule = rule;
    none->weight = 1;
    none->traffic = traffic_of_rule(freezing, route, spec, frontend, frontend, rule->label);
    freeze_policies(freezing, none, frontend, route, spec);
    freeze_telemetry(freezing, none, frontend, route, spec);
    freeze_warn_of_rule(freezing, spec, none);
    freeze_logged_keys(freezing, none);
    rule->weights = 1;
    rule->destinations[rule->destination_count++] = none;
    return rule;
}

void freeze_backends_of(struct freezing *freezing, const struct document *route) {
    const struct route_spec *spec = route->spec;
    for (uint32_t i = 0; i < spec->rule_count; i++) {
        const struct rule_spec *rule = &spec->rules[i];
        for (uint32_t j = 0; j < rule->backend_count; j++)
            (void)find_port(freezing, route, &rule->backends[j]);
        for (uint32_t j = 0; j < rule->filter_count; j++)
            if (rule->filters[j].type == SPEC_MIRROR)
                (void)find_port(freezing, route, &rule->filters[j].mirror.backend);
    }
}
