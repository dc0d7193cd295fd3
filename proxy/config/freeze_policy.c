// Policies of additive kinds: which documents act on which destination (policy.md, "Targets, merging, where it acts").
#include "config/freeze_private.h"

#include <stdlib.h>

// A policy with one of its targets, in the list of all for that target.
struct selector {
    const struct document *document;
    struct selector *next;
};

void freeze_policies_begin(struct freezing *freezing) {
    map_init(&freezing->additive);
    map_init(&freezing->acting);
    for (const struct document *document = freezing->loading->first; document != NULL; document = document->next) {
        const struct policy_head *head = document->spec;
        if (policy_kind_of(document) == POLICY_NONE)
            continue;
        freezing->additive_count++;
        for (uint32_t i = 0; i < head->target_count; i++) {
            struct selector *selector = pool_alloc_zeroed(freezing->loading->scratch, sizeof(*selector));
            struct bytes key = target_key(freezing->loading->scratch, document->namespace_name, &head->targets[i]);
            selector->document = document;
            selector->next = map_get(&freezing->additive, key);
            map_put(&freezing->additive, key, selector);
        }
    }
    freezing->found = pool_alloc_zeroed(freezing->loading->scratch, (freezing->additive_count + 1) * sizeof(freezing->found[0]));
}

void freeze_policies_end(struct freezing *freezing) {
    map_dispose(&freezing->additive);
    map_dispose(&freezing->acting);
}

// ---- where they act

// "Service school/auth", with a port "Service school/auth/http"; of a namespace each destination by itself.
static struct bytes target_text(struct freezing *freezing, const struct target_ref *target, const struct destination *destination) {
    static const char *const kinds[] = {
        [TARGET_SERVICE] = "Service",    [TARGET_NAMESPACE] = "Namespace", [TARGET_HTTP_ROUTE] = "HTTPRoute", [TARGET_GRPC_ROUTE] = "GRPCRoute",
        [TARGET_TLS_ROUTE] = "TLSRoute", [TARGET_TCP_ROUTE] = "TCPRoute",  [TARGET_GATEWAY] = "Gateway"};
    if (target->kind == TARGET_NAMESPACE)
        return destination->service->key;
    return pool_format(freezing->pool, "%s %.*s/%.*s%s%.*s", kinds[target->kind], BYTES_FORMAT(target->namespace_name), BYTES_FORMAT(target->name),
                       target->section_name.len > 0 ? "/" : "", BYTES_FORMAT(target->section_name));
}

// One for all destinations that the document is for by the same target.
static const struct policy *freeze_policy(struct freezing *freezing, const struct document *document, struct bytes target) {
    struct bytes key = pool_format(freezing->loading->scratch, "%s|%.*s", document->label, BYTES_FORMAT(target));
    struct policy *policy = map_get(&freezing->acting, key);
    if (policy != NULL)
        return policy;
    const struct policy_head *head = document->spec;
    policy = pool_alloc_zeroed(freezing->pool, sizeof(*policy));
    policy->kind = policy_kind_of(document);
    policy->is_dry_run = head->mode == MODE_DRY_RUN;
    policy->label = pool_copy(freezing->pool, bytes_from_text(document->label));
    policy->target = target;
    policy->place = document_place(document, NULL);
    policy->config = freeze_policy_spec(freezing, document);
    map_put(&freezing->acting, key, policy);
    return policy;
}

// What was found for a destination so far, in freezing->found.
struct search {
    struct freezing *freezing;
    struct destination *destination;
    bool of_callers; // kinds that act in the caller's proxy; else the others
    uint32_t count;
};

static bool is_found(const struct search *search, const struct document *document) {
    for (uint32_t i = 0; i < search->count; i++)
        if (bytes_equal(search->freezing->found[i]->label, bytes_from_text(document->label)))
            return true;
    return false;
}

// A document that is for a destination in two ways acts once, by the more specific one.
static void find_by(struct search *search, const struct target_ref *target) {
    struct freezing *freezing = search->freezing;
    struct bytes key = target_key(freezing->loading->scratch, target->namespace_name, target);
    for (const struct selector *selector = map_get(&freezing->additive, key); selector != NULL; selector = selector->next)
        if (policy_is_caller_s(selector->document) == search->of_callers && !is_found(search, selector->document))
            freezing->found[search->count++] = freeze_policy(freezing, selector->document, target_text(freezing, target, search->destination));
}

static void find_by_all(struct search *search, const struct target_ref *targets, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        find_by(search, &targets[i]);
}

// Whether the port is one that the Proxy stands beside, and leads to the application, so far as the documents say.
static bool leads_to(const struct entry_port *port, const struct service_ref *ref, const struct service_config *application) {
    const uint16_t reached_at = port->target_port != 0 ? port->target_port : port->port;
    const bool is_meant = ref->port == 0 || ref->port == port->port;
    return is_meant && (application == NULL || application->reached_at == 0 || application->reached_at == reached_at);
}

// What stands beside this proxy, in the order of the document. Returns how many.
static uint32_t refs_of(const struct freezing *freezing, const struct service_ref **refs, struct service_ref *short_one) {
    const struct proxy_spec *proxy = freezing->proxy->spec;
    *short_one = (struct service_ref){.name = proxy->service};
    *refs = proxy->service_count > 0 ? proxy->services : short_one;
    return proxy->service_count > 0 ? proxy->service_count : proxy->service.len > 0;
}

// Where the Service is described, by those of its ports that lead to the application; where no port does, not at all. Where it is not, by its name.
static bool each_port_target(struct freezing *freezing, const struct service_config *application, const struct service_ref *ref,
                             void (*visit)(void *user, const struct target_ref *target), void *user) {
    const struct bytes owner = freezing->snapshot->proxy.namespace_name;
    const struct frozen_entry *entry = freeze_find_entry(freezing, owner, ref->name);
    const struct service_entry_spec *spec = entry == NULL ? NULL : entry->document->spec;
    bool leads = spec == NULL;
    for (uint32_t i = 0; spec != NULL && i < spec->port_count; i++) {
        if (!leads_to(&spec->ports[i], ref, application))
            continue;
        leads = true;
        visit(user, &(struct target_ref){.kind = TARGET_SERVICE, .namespace_name = owner, .name = ref->name, .section_name = spec->ports[i].name});
    }
    return leads;
}

void freeze_each_application_target(struct freezing *freezing, const struct service_config *application,
                                    void (*visit)(void *user, const struct target_ref *target), void *user) {
    const struct bytes owner = freezing->snapshot->proxy.namespace_name;
    const struct service_ref *refs;
    struct service_ref short_one;
    const uint32_t count = refs_of(freezing, &refs, &short_one);
    uint32_t leading = 0; // bits: of which at least one port does
    _Static_assert(PROXY_SERVICES_MAX <= 32, "one bit each");
    for (uint32_t i = 0; i < count; i++)
        leading |= each_port_target(freezing, application, &refs[i], visit, user) ? UINT32_C(1) << i : 0;
    for (uint32_t i = 0; i < count; i++)
        if ((leading >> i & 1) != 0)
            visit(user, &(struct target_ref){.kind = TARGET_SERVICE, .namespace_name = owner, .name = refs[i].name});
}

static void visit_own(void *user, const struct target_ref *target) {
    find_by(user, target);
}

// An application is every Service that its proxy stands beside.
static void find_of_application(struct search *search) {
    const struct bytes owner = search->freezing->snapshot->proxy.namespace_name;
    freeze_each_application_target(search->freezing, search->destination->service, visit_own, search);
    find_by(search, &(struct target_ref){.kind = TARGET_NAMESPACE, .namespace_name = owner, .name = owner});
}

bool service_is_without_proxy(const struct service_config *service) {
    if (service->gateway != NULL || service->is_passthrough)
        return false;
    for (uint32_t i = 0; i < service->endpoint_count; i++)
        if (service->endpoints[i].traits->tls == TLS_MESH)
            return false;
    for (uint32_t i = 0; i < service->source_count; i++)
        if (service->sources[i].endpoint.traits->tls == TLS_MESH)
            return false;
    return true;
}

static void find_at_gateway(struct search *search, const struct service_config *frontend, const struct document *route,
                            const struct rule_spec *rule) {
    struct target_ref targets[RULE_TARGETS + SERVICE_TARGETS];
    uint32_t count = route == NULL ? 0 : targets_of_rule(route, rule, targets);
    count += targets_of_service(frontend, &targets[count]) - 1; // a Namespace is its services
    find_by_all(search, targets, count);
}

// All that carries requests to where they go: by rule and route, to whom they were for, and to whom they are sent.
static void find_of_callers(struct search *search, const struct service_config *frontend, const struct document *route,
                            const struct rule_spec *rule) {
    struct target_ref targets[RULE_TARGETS + 2 * SERVICE_TARGETS];
    uint32_t count = route == NULL ? 0 : targets_of_rule(route, rule, targets);
    count = add_service_targets(frontend, search->destination->service, targets, count);
    search->of_callers = true;
    find_by_all(search, targets, count);
}

static int compare_labels(const void *left, const void *right) {
    const struct policy *const *a = left, *const *b = right;
    return (*a)->kind != (*b)->kind ? (*a)->kind < (*b)->kind ? -1 : 1 : bytes_compare((*a)->label, (*b)->label);
}

// Of a merged kind, and so one at most.
static void add_circuit_breaker(struct search *search) {
    struct freezing *freezing = search->freezing;
    const struct destination *destination = search->destination;
    const struct circuit_breaker_config *config = &destination->traffic->circuit_breaker;
    if (!circuit_breaker_is_set(config))
        return;
    struct policy *policy = pool_alloc_zeroed(freezing->pool, sizeof(*policy));
    *policy = (struct policy){
        .kind = POLICY_CIRCUIT_BREAKER,
        .is_dry_run = config->dry_run,
        .label = config->policy,
        .target = destination->service->key,
        .place = config->place,
        .config = config,
    };
    freezing->found[search->count++] = policy;
}

// Those of additive kinds.
static void find_additive(struct search *search, const struct service_config *frontend, const struct document *route, const struct rule_spec *rule) {
    const struct service_config *service = search->destination->service;
    if (service->is_application)
        find_of_application(search);
    if (frontend->gateway != NULL)
        find_at_gateway(search, frontend, route, rule);
    if (!service->is_application && service_is_without_proxy(service)) {
        struct target_ref targets[SERVICE_TARGETS];
        find_by_all(search, targets, targets_of_service(service, targets));
    }
    if (!service->is_application)
        find_of_callers(search, frontend, route, rule);
}

void freeze_policies(struct freezing *freezing, struct destination *destination, const struct service_config *frontend, const struct document *route,
                     const struct rule_spec *rule) {
    struct search search = {.freezing = freezing, .destination = destination};
    if (freezing->additive_count > 0)
        find_additive(&search, frontend, route, rule);
    add_circuit_breaker(&search);
    if (search.count == 0)
        return;
    qsort(freezing->found, search.count, sizeof(freezing->found[0]), compare_labels);
    const struct policy **policies = pool_alloc_zeroed(freezing->pool, search.count * sizeof(policies[0]));
    memcpy(policies, freezing->found, search.count * sizeof(policies[0]));
    destination->policies = policies;
    destination->policy_count = search.count;
}
