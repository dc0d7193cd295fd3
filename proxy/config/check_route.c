// References of routes to parents and backends. Which of several routes of a service counts is decided when the snapshot is made (freeze_route.c); that some do not is told here.
#include "config/check_route.h"

#include "config/grant.h"
#include "config/resource_gateway.h"
#include "config/resource_route.h"
#include "config/resources.h"

static const struct document *find_entry(const struct map *names, struct loading *loading, struct bytes namespace_name, struct bytes name) {
    return map_get(names, pool_format(loading->scratch, "ServiceEntry/%.*s/%.*s", BYTES_FORMAT(namespace_name), BYTES_FORMAT(name)));
}

// What parents of routes are told apart by where several may mean one port.
struct claim {
    struct document *route;
    const struct parent_ref *parent;
    struct claim *next;
};

// The claims of a namespace's routes on one Service, or of all routes on one Gateway, by their kind.
struct claims {
    struct claim *by_kind[ROUTES_TCP + 1];
};

static bool means_port(const struct parent_ref *parent, const struct entry_port *port) {
    return (parent->port == 0 || port->port == parent->port) && (parent->section_name.len == 0 || bytes_equal(port->name, parent->section_name));
}

static bool means_listener(const struct parent_ref *parent, const struct gateway_listener_spec *listener) {
    return (parent->port == 0 || listener->port == parent->port) &&
           (parent->section_name.len == 0 || bytes_equal(listener->name, parent->section_name));
}

enum meaning { MEANS_NONE, MEANS_OTHERS, MEANS_SOME }; // OTHERS: ports or listeners of protocols that do not carry such routes

static enum meaning meaning_of_ports(const struct service_entry_spec *entry, const struct parent_ref *parent, enum routes_kind kind) {
    enum meaning meaning = MEANS_NONE;
    for (uint32_t i = 0; i < entry->port_count && meaning != MEANS_SOME; i++)
        if (means_port(parent, &entry->ports[i]))
            meaning = protocol_carries(entry->ports[i].protocol, kind) ? MEANS_SOME : MEANS_OTHERS;
    return meaning;
}

static enum meaning meaning_of_listeners(const struct gateway_spec *gateway, const struct parent_ref *parent, enum routes_kind kind) {
    enum meaning meaning = MEANS_NONE;
    for (uint32_t i = 0; i < gateway->listener_count && meaning != MEANS_SOME; i++)
        if (means_listener(parent, &gateway->listeners[i]))
            meaning = protocol_carries(gateway_port_protocol(gateway->listeners[i].protocol), kind) ? MEANS_SOME : MEANS_OTHERS;
    return meaning;
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

static const char *carrying_listeners(const struct document *route) {
    enum routes_kind kind = route_kind_of(route)->routes;
    return routes_are_opaque(kind) ? carrying_protocols(kind) : "HTTP or HTTPS";
}

static bool have_name_in_common(const struct route_spec *a, const struct route_spec *b) {
    for (uint32_t i = 0; i < a->hostname_count; i++)
        for (uint32_t j = 0; j < b->hostname_count; j++)
            if (bytes_equal_nocase(a->hostnames[i], b->hostnames[j]))
                return true;
    return a->hostname_count == 0 || b->hostname_count == 0;
}

// `other` is of a kind that goes before, or of the same: of two of one kind that want the same the first by name has it.
static bool goes_before(const struct document *other, const struct document *route) {
    if (other->kind != route->kind)
        return true;
    int difference = bytes_compare(other->namespace_name, route->namespace_name);
    if (difference == 0)
        difference = bytes_compare(other->name, route->name);
    return difference < 0 && have_name_in_common(other->spec, route->spec);
}

// Routes of a Gateway meet whatever their namespaces are.
static struct bytes claims_key(const struct document *route, const struct parent_ref *parent) {
    const bool is_gateway = parent->kind == PARENT_GATEWAY;
    return pool_format(route->loading->scratch, "%s%.*s %.*s/%.*s", is_gateway ? "Gateway" : "",
                       BYTES_FORMAT(is_gateway ? BYTES("") : route->namespace_name), BYTES_FORMAT(ref_namespace(route, parent->namespace_name)),
                       BYTES_FORMAT(parent->name));
}

static bool have_listener_in_common(const struct gateway_spec *gateway, const struct parent_ref *a, const struct parent_ref *b,
                                    enum routes_kind kind) {
    for (uint32_t i = 0; i < gateway->listener_count; i++)
        if (means_listener(a, &gateway->listeners[i]) && means_listener(b, &gateway->listeners[i]) &&
            protocol_carries(gateway_port_protocol(gateway->listeners[i].protocol), kind))
            return true;
    return false;
}

static bool have_host_in_common(const struct route_spec *a, const struct route_spec *b) {
    return a->hostname_count == 0 || b->hostname_count == 0 ? a->hostname_count == b->hostname_count : have_name_in_common(a, b);
}

// For one host routes of two kinds are not mixed: Gateway API calls the later kind Conflicted.
static void warn_of_grpc(struct document *route, uint32_t index, const struct gateway_spec *gateway, const struct map *all) {
    const struct parent_ref *parent = &((const struct route_spec *)route->spec)->parents[index];
    const struct claims *claims = map_get(all, claims_key(route, parent));
    if (route_kind_of(route)->routes != ROUTES_HTTP || claims == NULL)
        return;
    for (const struct claim *claim = claims->by_kind[ROUTES_GRPC]; claim != NULL; claim = claim->next) {
        const struct document *other = claim->route;
        if (!have_host_in_common(other->spec, route->spec) || !have_listener_in_common(gateway, claim->parent, parent, ROUTES_HTTP))
            continue;
        document_warning(route, parent_node(route, index), NULL,
                         "has %s (%s:%u) too: where both mean a listener and a host, the GRPCRoute alone counts (Conflicted)", other->label,
                         other->file, other->line);
        return;
    }
}

// Of opaque kinds a listener has one rule for a name: there is nothing else by which two could be told apart.
static void warn_of_twin(struct document *route, uint32_t index, const struct gateway_spec *gateway, const struct map *all) {
    const struct parent_ref *parent = &((const struct route_spec *)route->spec)->parents[index];
    enum routes_kind kind = route_kind_of(route)->routes;
    const struct claims *claims = map_get(all, claims_key(route, parent));
    if (!routes_are_opaque(kind) || claims == NULL)
        return;
    for (const struct claim *claim = claims->by_kind[kind]; claim != NULL; claim = claim->next) {
        const struct document *other = claim->route;
        if (other == route || !goes_before(other, route) || !have_listener_in_common(gateway, claim->parent, parent, kind))
            continue;
        document_warning(route, parent_node(route, index), NULL,
                         "has %s (%s:%u) too: where both mean a listener and a name, the first by name alone counts (Conflicted)", other->label,
                         other->file, other->line);
        return;
    }
}

static void check_gateway_parent(struct document *route, uint32_t index, const struct map *names, const struct map *claims) {
    const struct parent_ref *parent = &((const struct route_spec *)route->spec)->parents[index];
    struct bytes namespace_name = ref_namespace(route, parent->namespace_name);
    const struct document *gateway =
        map_get(names, pool_format(route->loading->scratch, "Gateway/%.*s/%.*s", BYTES_FORMAT(namespace_name), BYTES_FORMAT(parent->name)));
    if (gateway == NULL && !route->loading->is_partial)
        document_error(route, node_find(parent_node(route, index), "name"), NULL, "there is no Gateway %.*s in namespace %.*s",
                       BYTES_FORMAT(parent->name), BYTES_FORMAT(namespace_name));
    if (gateway == NULL)
        return;
    enum meaning meaning = meaning_of_listeners(gateway->spec, parent, route_kind_of(route)->routes);
    if (meaning == MEANS_NONE)
        document_error(route, parent_node(route, index), NULL, "means no listener of %s (%s:%u)", gateway->label, gateway->file, gateway->line);
    else if (meaning == MEANS_OTHERS)
        document_error(route, parent_node(route, index), NULL, "means no listener of %s (%s:%u) that carries %ss; its protocol has to be %s",
                       gateway->label, gateway->file, gateway->line, route->kind->name, carrying_listeners(route));
    warn_of_twin(route, index, gateway->spec, claims);
    warn_of_grpc(route, index, gateway->spec, claims);
}

static bool have_port_in_common(const struct service_entry_spec *entry, const struct claim *before, const struct parent_ref *parent) {
    for (uint32_t i = 0; i < entry->port_count; i++)
        if (means_port(before->parent, &entry->ports[i]) && means_port(parent, &entry->ports[i]) &&
            protocol_carries(entry->ports[i].protocol, route_kind_of(before->route)->routes))
            return true;
    return false;
}

static const struct document *find_conflict(const struct document *route, const struct parent_ref *parent, const struct service_entry_spec *entry,
                                            const struct claims *claims) {
    enum routes_kind own = route_kind_of(route)->routes;
    for (enum routes_kind kind = ROUTES_GRPC; kind < own || (kind == own && routes_are_opaque(kind)); kind++)
        for (const struct claim *claim = claims->by_kind[kind]; claim != NULL; claim = claim->next)
            if (claim->route != route && goes_before(claim->route, route) && have_port_in_common(entry, claim, parent))
                return claim->route;
    return NULL;
}

// Kinds are never mixed on a port: Gateway API calls the others Conflicted. Returns whether there is one that goes before.
static bool warn_of_conflict(struct document *route, uint32_t index, const struct document *entry, const struct map *all) {
    const struct parent_ref *parent = &((const struct route_spec *)route->spec)->parents[index];
    const struct claims *claims = map_get(all, claims_key(route, parent));
    const struct document *other = claims == NULL ? NULL : find_conflict(route, parent, entry->spec, claims);
    if (other != NULL)
        document_warning(route, parent_node(route, index), NULL, "has %s (%s:%u) too: where both mean a port, the %s alone counts (Conflicted)",
                         other->label, other->file, other->line, other->kind == route->kind ? "first by name" : other->kind->name);
    return other != NULL;
}

// Ports whose protocol carries no such routes are an error, unless another route has them: then that was told.
static void check_ports(struct document *route, uint32_t index, const struct document *entry, bool has_conflict) {
    const struct parent_ref *parent = &((const struct route_spec *)route->spec)->parents[index];
    enum routes_kind kind = route_kind_of(route)->routes;
    enum meaning meaning = meaning_of_ports(entry->spec, parent, kind);
    if (meaning == MEANS_NONE)
        document_error(route, parent_node(route, index), NULL, "means no port of %s (%s:%u)", entry->label, entry->file, entry->line);
    else if (meaning == MEANS_OTHERS && !has_conflict)
        document_error(route, parent_node(route, index), NULL, "means no port of %s (%s:%u) that carries %ss; its protocol has to be %s",
                       entry->label, entry->file, entry->line, route->kind->name, carrying_protocols(kind));
}

static void check_parent(struct document *route, uint32_t index, const struct map *names, const struct map *claims) {
    const struct parent_ref *parent = &((const struct route_spec *)route->spec)->parents[index];
    if (!is_parent_known(route, index))
        return;
    if (parent->kind == PARENT_GATEWAY) {
        check_gateway_parent(route, index, names, claims);
        return;
    }
    struct bytes namespace_name = ref_namespace(route, parent->namespace_name);
    const struct document *entry = find_entry(names, route->loading, namespace_name, parent->name);
    if (entry == NULL && route->loading->is_partial)
        return;
    if (entry == NULL)
        document_error(route, node_find(parent_node(route, index), "name"), NULL, "there is no Service or ServiceEntry %.*s in namespace %.*s",
                       BYTES_FORMAT(parent->name), BYTES_FORMAT(namespace_name));
    else
        check_ports(route, index, entry, warn_of_conflict(route, index, entry, claims));
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

// What is looked up for each route.
struct surroundings {
    const struct map *names, *claims;
    const struct grants *grants;
};

static bool has_gateway(const struct route_spec *spec) {
    for (uint32_t i = 0; i < spec->parent_count; i++)
        if (spec->parents[i].kind == PARENT_GATEWAY)
            return true;
    return false;
}

// At a Gateway alone a reference to another namespace has to be permitted there.
static bool is_permitted(const struct document *route, const struct backend_ref *backend, const struct grants *grants) {
    return !has_gateway(route->spec) || grants_permit(grants, route, backend->kind, ref_namespace(route, backend->namespace_name), backend->name);
}

static void warn_of_permission(struct document *route, const struct backend_ref *backend, const struct node *node, const char *consequence) {
    document_warning(route, node, NULL, "no ReferenceGrant of namespace %.*s lets %ss of namespace %.*s refer to %.*s %.*s (RefNotPermitted): %s",
                     BYTES_FORMAT(ref_namespace(route, backend->namespace_name)), route->kind->name, BYTES_FORMAT(route->namespace_name),
                     BYTES_FORMAT(backend->kind), BYTES_FORMAT(backend->name), consequence);
}

static void check_backend(struct document *route, uint32_t rule, uint32_t index, const struct surroundings *around) {
    const struct backend_ref *backend = &((const struct route_spec *)route->spec)->rules[rule].backends[index];
    if (!route->is_sound && !document_has(backend_node(route, rule, index), "name"))
        return;
    const bool is_opaque = routes_are_opaque(route_kind_of(route)->routes);
    const char *fault = fault_of(route, backend, around->names);
    if (fault != NULL)
        document_warning(route, backend_node(route, rule, index), NULL, "%.*s/%.*s %s: its share of %s",
                         BYTES_FORMAT(ref_namespace(route, backend->namespace_name)), BYTES_FORMAT(backend->name), fault,
                         is_opaque ? "connections is closed" : "requests gets 500");
    else if (!is_permitted(route, backend, around->grants))
        warn_of_permission(route, backend, backend_node(route, rule, index),
                           is_opaque ? "its share of connections from a Gateway is closed" : "its share of requests from a Gateway gets 500");
}

static const struct node *mirror_node(struct document *route, uint32_t rule, uint32_t index) {
    document_revive(route);
    const struct node *filters = node_find(node_item(node_find(route->spec_node, "rules"), rule), "filters");
    return node_find(node_find(node_item(filters, index), "requestMirror"), "backendRef");
}

static void check_mirror(struct document *route, uint32_t rule, uint32_t index, const struct surroundings *around) {
    const struct filter_spec *filter = &((const struct route_spec *)route->spec)->rules[rule].filters[index];
    if (filter->type != SPEC_MIRROR || (!route->is_sound && !document_has(mirror_node(route, rule, index), "name")))
        return;
    const struct backend_ref *backend = &filter->mirror.backend;
    const char *fault = fault_of(route, backend, around->names);
    if (fault != NULL)
        document_warning(route, mirror_node(route, rule, index), NULL, "%.*s/%.*s %s: it gets no copies",
                         BYTES_FORMAT(ref_namespace(route, backend->namespace_name)), BYTES_FORMAT(backend->name), fault);
    else if (!is_permitted(route, backend, around->grants))
        warn_of_permission(route, backend, mirror_node(route, rule, index), "it gets no copies of requests from a Gateway");
}

static void check_route(struct document *route, const struct surroundings *around) {
    const struct route_spec *spec = route->spec;
    for (uint32_t i = 0; i < spec->parent_count; i++)
        check_parent(route, i, around->names, around->claims);
    for (uint32_t i = 0; i < spec->rule_count; i++) {
        for (uint32_t j = 0; j < spec->rules[i].backend_count; j++)
            check_backend(route, i, j, around);
        for (uint32_t j = 0; j < spec->rules[i].filter_count; j++)
            check_mirror(route, i, j, around);
    }
}

static void claim_parents(struct document *route, struct map *all) {
    const struct route_spec *spec = route->spec;
    enum routes_kind kind = route_kind_of(route)->routes;
    for (uint32_t i = 0; i < spec->parent_count; i++) {
        struct bytes key = claims_key(route, &spec->parents[i]);
        struct claims *claims = map_get(all, key);
        if (claims == NULL) {
            claims = pool_alloc_zeroed(route->loading->scratch, sizeof(*claims));
            map_put(all, key, claims);
        }
        struct claim *claim = pool_alloc_zeroed(route->loading->scratch, sizeof(*claim));
        *claim = (struct claim){route, &spec->parents[i], claims->by_kind[kind]};
        claims->by_kind[kind] = claim;
    }
}

void check_routes(struct loading *loading, const struct map *names) {
    struct map claims;
    struct grants grants;
    const struct surroundings around = {.names = names, .claims = &claims, .grants = &grants};
    map_init(&claims);
    grants_init(&grants, loading);
    for (struct document *route = loading->first; route != NULL; route = route->next)
        if (route_kind_of(route) != NULL)
            claim_parents(route, &claims);
    for (struct document *route = loading->first; route != NULL; route = route->next)
        if (route_kind_of(route) != NULL)
            check_route(route, &around);
    grants_dispose(&grants);
    map_dispose(&claims);
}
