// `targetRefs` of all kinds of policies: their table, and the rules between their fields. Whether what they name is there is check.c's.
#include "config/resource_authentication.h"
#include "config/resource_authorization.h"
#include "config/resource_bulkhead.h"
#include "config/resource_fault.h"
#include "config/resource_rate_limit.h"
#include "config/resource_telemetry_policy.h"
#include "config/resources.h"

#define TARGET(member) ROW_AT(struct target_ref, member)

static const struct choice target_kinds[] = {
    {"Service", TARGET_SERVICE, false, "a Service or ServiceEntry of that name"},
    {"Namespace", TARGET_NAMESPACE, false, "all services of the policy's namespace"},
    {"HTTPRoute", TARGET_HTTP_ROUTE, false, "requests that go by the route, or by one rule of it"},
    {"GRPCRoute", TARGET_GRPC_ROUTE, false, "calls that go by the route, or by one rule of it"},
    {"TLSRoute", TARGET_TLS_ROUTE, false, "connections that go by the route"},
    {"TCPRoute", TARGET_TCP_ROUTE, false, "connections that go by the route"},
    {"Gateway", TARGET_GATEWAY, false, "requests that come in by the Gateway, or by one listener of it"},
    {"Mesh", TARGET_MESH, false, "of a TelemetryPolicy in the namespace of the MeshConfig: all proxies of the mesh"},
    {0}};
static const struct row target_rows[] = {
    {.name = "group", .type = VALUE_TEXT, TARGET(group), .describes = "API group of the target; may be left out"},
    {.name = "kind", .type = VALUE_ENUM, TARGET(kind), .choices = target_kinds, .is_required = true, .describes = "kind of the target"},
    {.name = "namespace",
     .type = VALUE_LABEL,
     TARGET(namespace_name),
     .describes = "of a TrafficPolicy, a Service of another namespace: the policy then binds callers of its own namespace only"},
    {.name = "name", .type = VALUE_LABEL, TARGET(name), .is_required = true, .describes = "name of the target"},
    {.name = "sectionName",
     .type = VALUE_LABEL,
     TARGET(section_name),
     .describes = "Service: name of the one port that is meant; of a route: of the one rule"},
    {0}};
const struct table target_table = {.describes = "what the policy is for", .rows = target_rows, .size = sizeof(struct target_ref)};

const struct choice policy_modes[] = {
    {"Enforce", MODE_ENFORCE, false, "it is done"}, {"DryRun", MODE_DRY_RUN, false, "it is counted, and not done"}, {0}};

enum policy_kind policy_kind_of(const struct document *document) {
    static const struct {
        const struct table *spec;
        enum policy_kind kind;
    } kinds[] = {{&fault_table, POLICY_FAULT},
                 {&rate_limit_table, POLICY_RATE_LIMIT},
                 {&authorization_table, POLICY_AUTHORIZATION},
                 {&bulkhead_table, POLICY_BULKHEAD},

                 {&authentication_table, POLICY_AUTHENTICATION}};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (document->kind->spec == kinds[i].spec)
            return kinds[i].kind;
    return POLICY_NONE;
}

bool policy_is_caller_s(const struct document *document) {
    const enum policy_kind kind = policy_kind_of(document);
    const struct bulkhead_spec *bulkhead = kind == POLICY_BULKHEAD ? document->spec : NULL;
    return kind == POLICY_FAULT || (bulkhead != NULL && bulkhead->side == SIDE_CALLER);
}

bool policy_is_merged(const struct document *document) {
    return document->kind->spec == &traffic_policy_table || document->kind->spec == &telemetry_policy_table;
}

const struct policy_head *policy_head_of(const struct document *document) {
    return policy_is_merged(document) || policy_kind_of(document) != POLICY_NONE ? document->spec : NULL;
}

static const struct target_rule {
    struct bytes group;
    bool has_section, has_namespace;
} target_rules[] = {[TARGET_SERVICE] = {BYTES_OF(""), true, true},
                    [TARGET_NAMESPACE] = {BYTES_OF(""), false, false},
                    [TARGET_HTTP_ROUTE] = {BYTES_OF(GATEWAY_GROUP), true, false},
                    [TARGET_GRPC_ROUTE] = {BYTES_OF(GATEWAY_GROUP), true, false},
                    [TARGET_TLS_ROUTE] = {BYTES_OF(GATEWAY_GROUP), true, false},
                    [TARGET_TCP_ROUTE] = {BYTES_OF(GATEWAY_GROUP), true, false},
                    [TARGET_GATEWAY] = {BYTES_OF(GATEWAY_GROUP), true, false},
                    [TARGET_MESH] = {BYTES_OF("outrigger.dev"), false, false}};

static void refuse_field(struct document *document, const struct node *node, const char *field, const char *allowed) {
    if (node_find(node, field) != NULL)
        document_error(document, node_find(node, field), NULL, "is for %s alone", allowed);
}

static void check_mesh_target(struct document *document, const struct target_ref *target, const struct node *node) {
    if (document->kind->spec != &telemetry_policy_table)
        document_error(document, node_find(node, "kind"), NULL, "Mesh is for a TelemetryPolicy alone");
    if (document_has(node, "name") && !bytes_equal(target->name, BYTES("default")))
        document_error(document, node_find(node, "name"), NULL, "%.*s is no name of the mesh; allowed: default", BYTES_FORMAT(target->name));
}

static void check_target(struct document *document, const struct target_ref *target, const struct node *node) {
    if (!document_has(node, "kind"))
        return;
    const struct target_rule *rule = &target_rules[target->kind];
    const struct node *group = node_find(node, "group");
    if (group != NULL && !group->bad && !bytes_equal(target->group, rule->group))
        document_error(document, group, NULL, "\"%.*s\" is not the group of this kind; allowed: \"%.*s\" or none", BYTES_FORMAT(target->group),
                       BYTES_FORMAT(rule->group));
    if (!rule->has_namespace)
        refuse_field(document, node, "namespace", "kind Service");
    if (!rule->has_section)
        refuse_field(document, node, "sectionName", "kind Service, kinds of routes and Gateway");
    if (target->kind == TARGET_NAMESPACE && document_has(node, "name") && !bytes_equal(target->name, document->namespace_name))
        document_error(document, node_find(node, "name"), NULL, "%.*s is another namespace; allowed: the policy's own, %.*s",
                       BYTES_FORMAT(target->name), BYTES_FORMAT(document->namespace_name));
    if (target->kind == TARGET_MESH)
        check_mesh_target(document, target, node);
}

void targets_check(struct document *document) {
    const struct policy_head *head = document->spec;
    const struct node *list = node_find(document->spec_node, "targetRefs");
    for (uint32_t i = 0; i < head->target_count; i++)
        check_target(document, &head->targets[i], node_item(list, i));
}

struct bytes target_namespace(struct bytes policy_namespace, const struct target_ref *target) {
    return target->namespace_name.len > 0 ? target->namespace_name : policy_namespace;
}

struct bytes target_key(struct pool *pool, struct bytes policy_namespace, const struct target_ref *target) {
    struct bytes namespace_name = target_namespace(policy_namespace, target);
    return pool_format(pool, "%.*s %u %.*s/%.*s/%.*s", BYTES_FORMAT(policy_namespace), target->kind, BYTES_FORMAT(namespace_name),
                       BYTES_FORMAT(target->name), BYTES_FORMAT(target->section_name));
}
