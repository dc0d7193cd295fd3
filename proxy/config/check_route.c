// References of routes to parents and backends. Which of several routes of a service counts is decided when the snapshot is made; that some do not is told here.
#include "config/check_route.h"

#include "config/resource_gateway.h"
#include "config/resource_route.h"
#include "config/resources.h"

static const struct document *find_entry(const struct map *names, struct loading *loading, struct bytes namespace_name, struct bytes name) {
    return map_get(names, pool_format(loading->scratch, "ServiceEntry/%.*s/%.*s", BYTES_FORMAT(namespace_name), BYTES_FORMAT(name)));
}

static bool is_port(const struct service_entry_spec *entry, const struct parent_ref *parent) {
    for (uint32_t i = 0; i < entry->port_count; i++)
        if ((parent->port == 0 || entry->ports[i].port == parent->port) &&
            (parent->section_name.len == 0 || bytes_equal(entry->ports[i].name, parent->section_name)))
            return true;
    return false;
}

static bool is_listener(const struct gateway_spec *gateway, const struct parent_ref *parent) {
    for (uint32_t i = 0; i < gateway->listener_count; i++)
        if ((parent->port == 0 || gateway->listeners[i].port == parent->port) &&
            (parent->section_name.len == 0 || bytes_equal(gateway->listeners[i].name, parent->section_name)))
            return true;
    return false;
}

static const struct node *parent_node(struct document *route, uint32_t index) {
    document_revive(route);
    return node_item(node_find(route->spec_node, "parentRefs"), index);
}

static const struct node *backend_node(struct document *route, uint32_t rule, uint32_t index) {
    document_revive(route);
    return node_item(node_find(node_item(node_find(route->spec_node, "rules"), rule), "backendRefs"), index);
}

static bool is_parent_known(struct document *route, uint32_t index) {
    if (route->is_sound)
        return true;
    const struct node *node = parent_node(route, index);
    return document_has(node, "name") && (node_find(node, "kind") == NULL || !node_find(node, "kind")->bad);
}

static void check_gateway_parent(struct document *route, uint32_t index, const struct map *names) {
    const struct parent_ref *parent = &((const struct route_spec *)route->spec)->parents[index];
    struct bytes namespace_name = ref_namespace(route, parent->namespace_name);
    const struct document *gateway =
        map_get(names, pool_format(route->loading->scratch, "Gateway/%.*s/%.*s", BYTES_FORMAT(namespace_name), BYTES_FORMAT(parent->name)));
    if (gateway == NULL && !route->loading->is_partial)
        document_error(route, node_find(parent_node(route, index), "name"), NULL, "there is no Gateway %.*s in namespace %.*s",
                       BYTES_FORMAT(parent->name), BYTES_FORMAT(namespace_name));
    else if (gateway != NULL && !is_listener(gateway->spec, parent))
        document_error(route, parent_node(route, index), NULL, "means no listener of %s (%s:%u)", gateway->label, gateway->file, gateway->line);
}

static void check_parent(struct document *route, uint32_t index, const struct map *names) {
    const struct parent_ref *parent = &((const struct route_spec *)route->spec)->parents[index];
    if (!is_parent_known(route, index))
        return;
    if (parent->kind == PARENT_GATEWAY) {
        check_gateway_parent(route, index, names);
        return;
    }
    struct bytes namespace_name = ref_namespace(route, parent->namespace_name);
    const struct document *entry = find_entry(names, route->loading, namespace_name, parent->name);
    if (entry == NULL && route->loading->is_partial)
        return;
    if (entry == NULL)
        document_error(route, node_find(parent_node(route, index), "name"), NULL, "there is no Service or ServiceEntry %.*s in namespace %.*s",
                       BYTES_FORMAT(parent->name), BYTES_FORMAT(namespace_name));
    else if (!is_port(entry->spec, parent))
        document_error(route, parent_node(route, index), NULL, "means no port of %s (%s:%u)", entry->label, entry->file, entry->line);
}

// Why it is no backend; NULL: it is one.
static const char *fault_of(struct document *route, const struct backend_ref *backend, const struct map *names) {
    if (!backend_kind_is_known(backend))
        return "is of no kind that can be a backend; allowed: Service, ServiceEntry";
    const struct document *entry = find_entry(names, route->loading, ref_namespace(route, backend->namespace_name), backend->name);
    if (entry == NULL)
        return route->loading->is_partial ? NULL : "is not there";
    const struct service_entry_spec *spec = entry->spec;
    if (backend->port == 0)
        return spec->port_count > 1 ? "has several ports, and none is named" : NULL;
    for (uint32_t i = 0; i < spec->port_count; i++)
        if (spec->ports[i].port == backend->port)
            return NULL;
    return "has no such port";
}

static void check_backend(struct document *route, uint32_t rule, uint32_t index, const struct map *names) {
    const struct backend_ref *backend = &((const struct route_spec *)route->spec)->rules[rule].backends[index];
    if (!route->is_sound && !document_has(backend_node(route, rule, index), "name"))
        return;
    const char *fault = fault_of(route, backend, names);
    if (fault != NULL)
        document_warning(route, backend_node(route, rule, index), NULL, "%.*s/%.*s %s: its share of requests gets 500",
                         BYTES_FORMAT(ref_namespace(route, backend->namespace_name)), BYTES_FORMAT(backend->name), fault);
}

static const struct node *mirror_node(struct document *route, uint32_t rule, uint32_t index) {
    document_revive(route);
    const struct node *filters = node_find(node_item(node_find(route->spec_node, "rules"), rule), "filters");
    return node_find(node_find(node_item(filters, index), "requestMirror"), "backendRef");
}

static void check_mirror(struct document *route, uint32_t rule, uint32_t index, const struct map *names) {
    const struct filter_spec *filter = &((const struct route_spec *)route->spec)->rules[rule].filters[index];
    if (filter->type != SPEC_MIRROR || (!route->is_sound && !document_has(mirror_node(route, rule, index), "name")))
        return;
    const struct backend_ref *backend = &filter->mirror.backend;
    const char *fault = fault_of(route, backend, names);
    if (fault != NULL)
        document_warning(route, mirror_node(route, rule, index), NULL, "%.*s/%.*s %s: it gets no copies",
                         BYTES_FORMAT(ref_namespace(route, backend->namespace_name)), BYTES_FORMAT(backend->name), fault);
}

static void check_route(struct document *route, const struct map *names) {
    const struct route_spec *spec = route->spec;
    for (uint32_t i = 0; i < spec->parent_count; i++)
        check_parent(route, i, names);
    for (uint32_t i = 0; i < spec->rule_count; i++) {
        for (uint32_t j = 0; j < spec->rules[i].backend_count; j++)
            check_backend(route, i, j, names);
        for (uint32_t j = 0; j < spec->rules[i].filter_count; j++)
            check_mirror(route, i, j, names);
    }
}

// A GRPCRoute takes a service's port from all HTTPRoutes of its namespace.
static void warn_of_conflict(struct document *route, const struct map *grpc_parents) {
    const struct route_spec *spec = route->spec;
    for (uint32_t i = 0; i < spec->parent_count; i++) {
        const struct parent_ref *parent = &spec->parents[i];
        struct bytes key = pool_format(route->loading->scratch, "%.*s %.*s/%.*s", BYTES_FORMAT(route->namespace_name),
                                       BYTES_FORMAT(ref_namespace(route, parent->namespace_name)), BYTES_FORMAT(parent->name));
        const struct document *other = map_get(grpc_parents, key);
        if (parent->kind != PARENT_GATEWAY && other != NULL)
            document_warning(route, parent_node(route, i), NULL, "has %s (%s:%u) too: where both mean a port, the GRPCRoute alone counts",
                             other->label, other->file, other->line);
    }
}

static void collect_grpc_parents(struct document *route, struct map *grpc_parents) {
    const struct route_spec *spec = route->spec;
    for (uint32_t i = 0; i < spec->parent_count; i++)
        map_put(grpc_parents,
                pool_format(route->loading->scratch, "%.*s %.*s/%.*s", BYTES_FORMAT(route->namespace_name),
                            BYTES_FORMAT(ref_namespace(route, spec->parents[i].namespace_name)), BYTES_FORMAT(spec->parents[i].name)),
                route);
}

void check_routes(struct loading *loading, const struct map *names) {
    struct map grpc_parents;
    map_init(&grpc_parents);
    for (struct document *route = loading->first; route != NULL; route = route->next)
        if (route->kind->spec == &grpc_route_table)
            collect_grpc_parents(route, &grpc_parents);
    for (struct document *route = loading->first; route != NULL; route = route->next) {
        if (route->kind->spec == &http_route_table)
            warn_of_conflict(route, &grpc_parents);
        if (route->kind->spec == &http_route_table || route->kind->spec == &grpc_route_table)
            check_route(route, names);
    }
    map_dispose(&grpc_parents);
}
