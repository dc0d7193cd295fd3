// Cross-references. Each document has been decoded and judged alone before; one that is wrong in itself is still there to be referred to.
#include "config/check.h"

#include "base/map.h"
#include "config/authority.h"
#include "config/check_gateway.h"
#include "config/check_route.h"
#include "config/resource_authentication.h"
#include "config/resource_authorization.h"
#include "config/resource_bulkhead.h"
#include "config/resource_gateway.h"
#include "config/resource_route.h"
#include "config/resource_telemetry_policy.h"
#include "config/resources.h"

static bool is_kind(const struct document *document, const struct table *spec) {
    return document->kind->spec == spec;
}

static struct bytes join(struct loading *loading, struct bytes a, struct bytes b) {
    return pool_format(loading->scratch, "%.*s/%.*s", BYTES_FORMAT(a), BYTES_FORMAT(b));
}

// All documents by "Kind/namespace/name".
static void check_names(struct loading *loading, struct map *names) {
    for (struct document *document = loading->first; document != NULL; document = document->next) {
        if (document->name.len == 0)
            continue;
        struct bytes key = bytes_from_text(document->label);
        const struct document *twin = map_get(names, key);
        if (twin == NULL) {
            map_put(names, key, document);
            continue;
        }
        document_revive(document);
        document_error(document, node_find(document->metadata, "name"), NULL, "stands twice, first in %s:%u; names are unique by kind and namespace",
                       twin->file, twin->line);
    }
}

static const struct document *find_service(const struct map *names, struct loading *loading, struct bytes namespace_name, struct bytes name) {
    struct bytes key = pool_format(loading->scratch, "ServiceEntry/%.*s/%.*s", BYTES_FORMAT(namespace_name), BYTES_FORMAT(name));
    return map_get(names, key);
}

static const struct entry_port *find_port_name(const struct service_entry_spec *spec, struct bytes name) {
    for (uint32_t i = 0; i < spec->port_count; i++)
        if (bytes_equal(spec->ports[i].name, name))
            return &spec->ports[i];
    return NULL;
}

static struct bytes port_names(struct loading *loading, const struct service_entry_spec *spec) {
    struct bytes names = BYTES("");
    for (uint32_t i = 0; i < spec->port_count; i++)
        names = pool_format(loading->scratch, "%.*s%s%.*s", BYTES_FORMAT(names), i > 0 ? ", " : "", BYTES_FORMAT(spec->ports[i].name));
    return names;
}

static bool has_rule(const struct route_spec *spec, struct bytes name) {
    for (uint32_t i = 0; i < spec->rule_count; i++)
        if (bytes_equal(spec->rules[i].name, name))
            return true;
    return false;
}

static const struct node *item_of(struct document *document, const char *list, uint32_t index) {
    document_revive(document);
    return node_item(node_find(document->spec_node, list), index);
}

static const struct route_kind *kind_of_target(const struct target_ref *target) {
    const struct route_kind *kind = route_kinds;
    while (kind->target != target->kind)
        kind++;
    return kind;
}

// `target` is a route of the policy's namespace; NULL: it is not there.
static const struct document *find_route(const struct document *policy, const struct target_ref *target, const struct map *names) {
    return map_get(names, pool_format(policy->loading->scratch, "%s/%.*s/%.*s", kind_of_target(target)->name, BYTES_FORMAT(policy->namespace_name),
                                      BYTES_FORMAT(target->name)));
}

static void check_route_target(struct document *policy, uint32_t index, const struct map *names) {
    const struct target_ref *target = &policy_head_of(policy)->targets[index];
    const struct document *route = find_route(policy, target, names);
    if (route == NULL && !policy->loading->is_partial)
        document_error(policy, node_find(item_of(policy, "targetRefs", index), "name"), NULL, "there is no %s %.*s in namespace %.*s",
                       kind_of_target(target)->name, BYTES_FORMAT(target->name), BYTES_FORMAT(policy->namespace_name));
    else if (route != NULL && target->section_name.len > 0 && !has_rule(route->spec, target->section_name))
        document_error(policy, node_find(item_of(policy, "targetRefs", index), "sectionName"), NULL, "\"%.*s\" is no rule of %s",
                       BYTES_FORMAT(target->section_name), route->label);
}

static void check_gateway_target(struct document *policy, uint32_t index, const struct map *names) {
    struct loading *loading = policy->loading;
    const struct target_ref *target = &policy_head_of(policy)->targets[index];
    const struct document *gateway =
        map_get(names, pool_format(loading->scratch, "Gateway/%.*s/%.*s", BYTES_FORMAT(policy->namespace_name), BYTES_FORMAT(target->name)));
    if (gateway == NULL && !loading->is_partial)
        document_error(policy, node_find(item_of(policy, "targetRefs", index), "name"), NULL, "there is no Gateway %.*s in namespace %.*s",
                       BYTES_FORMAT(target->name), BYTES_FORMAT(policy->namespace_name));
    else if (gateway != NULL && target->section_name.len > 0 && gateway_find_listener(gateway->spec, target->section_name) == NULL)
        document_error(policy, node_find(item_of(policy, "targetRefs", index), "sectionName"), NULL, "\"%.*s\" is no listener of %s",
                       BYTES_FORMAT(target->section_name), gateway->label);
}

// Whether kind and name of a target could be read.
static bool is_target_known(struct document *policy, uint32_t index) {
    if (policy->is_sound)
        return true;
    const struct node *node = item_of(policy, "targetRefs", index);
    return document_has(node, "kind") && document_has(node, "name");
}

// What a Proxy stands beside need not be described.
static bool is_beside(const struct document *policy, const struct target_ref *target) {
    for (const struct document *document = policy->loading->first; document != NULL; document = document->next) {
        const struct proxy_spec *proxy = document->spec;
        if (!is_kind(document, &proxy_table) || !bytes_equal(document->namespace_name, policy->namespace_name))
            continue;
        if (bytes_equal(proxy->service, target->name))
            return true;
        for (uint32_t i = 0; i < proxy->service_count; i++)
            if (bytes_equal(proxy->services[i].name, target->name))
                return true;
    }
    return false;
}

// A TelemetryPolicy is of a merged kind, and as much the target's own affair as those of most additive kinds.
static bool is_of_telemetry(const struct document *policy) {
    return is_kind(policy, &telemetry_policy_table);
}

static bool acts_beside(const struct document *policy) {
    return is_of_telemetry(policy) || (policy_kind_of(policy) != POLICY_NONE && !policy_is_caller_s(policy));
}

static struct document *find_mesh_config(const struct loading *loading) {
    struct document *document = loading->first;
    while (document != NULL && !is_kind(document, &mesh_config_table))
        document = document->next;
    return document;
}

// Whoever may not write the MeshConfig says nothing for all: its namespace is that of those who run the mesh.
static void check_mesh_target(struct document *policy, uint32_t index) {
    const struct document *mesh = find_mesh_config(policy->loading);
    if (mesh == NULL && policy->loading->is_partial)
        return;
    if (mesh == NULL)
        document_error(policy, node_find(item_of(policy, "targetRefs", index), "kind"), NULL,
                       "Mesh stands beside the MeshConfig alone, and there is none");
    else if (!bytes_equal(mesh->namespace_name, policy->namespace_name))
        document_error(policy, node_find(item_of(policy, "targetRefs", index), "kind"), NULL,
                       "Mesh stands beside the MeshConfig alone; allowed: in its namespace, %.*s", BYTES_FORMAT(mesh->namespace_name));
}

static void check_target_exists(struct document *policy, uint32_t index, const struct map *names) {
    const struct target_ref *target = &policy_head_of(policy)->targets[index];
    if (target->kind == TARGET_GATEWAY) {
        check_gateway_target(policy, index, names);
        return;
    }
    if (target->kind == TARGET_NAMESPACE)
        return;
    if (target->kind == TARGET_MESH) {
        check_mesh_target(policy, index);
        return;
    }
    if (target->kind != TARGET_SERVICE) {
        check_route_target(policy, index, names);
        return;
    }
    struct loading *loading = policy->loading;
    struct bytes namespace_name = target_namespace(policy->namespace_name, target);
    const struct document *entry = find_service(names, loading, namespace_name, target->name);
    if (entry == NULL && loading->is_partial)
        return;
    if (entry == NULL && acts_beside(policy) && is_beside(policy, target)) {
        if (target->section_name.len > 0)
            document_error(policy, node_find(item_of(policy, "targetRefs", index), "sectionName"), NULL,
                           "is a port of a Service that no document describes; allowed: the whole Service, or a ServiceEntry %.*s that has it",
                           BYTES_FORMAT(target->name));
        return;
    }
    if (entry == NULL)
        document_error(policy, node_find(item_of(policy, "targetRefs", index), "name"), NULL,
                       "there is no Service or ServiceEntry %.*s in namespace %.*s", BYTES_FORMAT(target->name), BYTES_FORMAT(namespace_name));
    else if (target->section_name.len > 0 && find_port_name(entry->spec, target->section_name) == NULL)
        document_error(policy, node_find(item_of(policy, "targetRefs", index), "sectionName"), NULL, "\"%.*s\" is no port of %s; allowed: %.*s",
                       BYTES_FORMAT(target->section_name), entry->label, BYTES_FORMAT(port_names(loading, entry->spec)));
}

// Two policies of one namespace on one target: which of them holds would be chance.
static void check_target_twins(struct document *policy, uint32_t index, struct map *targets) {
    struct bytes target = target_key(policy->loading->scratch, policy->namespace_name, &policy_head_of(policy)->targets[index]);
    struct bytes key = pool_format(policy->loading->scratch, "%s %.*s", policy->kind->name, BYTES_FORMAT(target));
    const struct document *twin = map_get(targets, key);
    if (twin == NULL)
        map_put(targets, key, policy);
    else if (twin == policy)
        document_error(policy, item_of(policy, "targetRefs", index), NULL, "is the same target as one before it in the list");
    else
        document_error(policy, item_of(policy, "targetRefs", index), NULL, "is the target of %s too (%s:%u); allowed: one %s for a target",
                       twin->label, twin->file, twin->line, policy->kind->name);
}

static bool is_of_mesh(const struct document *route) {
    const struct route_spec *spec = route->spec;
    for (uint32_t i = 0; i < spec->parent_count; i++)
        if (spec->parents[i].kind != PARENT_GATEWAY)
            return true;
    return false;
}

// Only who carries requests, a caller, may say something of other namespaces.
static bool is_own_namespace(struct document *policy, uint32_t index) {
    const struct target_ref *target = &policy_head_of(policy)->targets[index];
    if (target->namespace_name.len == 0 || bytes_equal(target->namespace_name, policy->namespace_name))
        return true;
    document_error(policy, node_find(item_of(policy, "targetRefs", index), "namespace"), NULL, "is another one; allowed: the policy's own, %.*s",
                   BYTES_FORMAT(policy->namespace_name));
    return false;
}

// Whether opaque connections are its business. Of a bulkhead they take slots in pools for all.
static bool acts_on_connections(const struct document *policy) {
    const enum policy_kind kind = policy_kind_of(policy);
    return is_of_telemetry(policy) || policy_is_of_connections(kind) || (kind == POLICY_BULKHEAD && bulkhead_has_rest(policy->spec));
}

// What acts on requests is for nothing that has none; what acts beside the target knows nothing of the routes by which callers came, but at a gateway, which is both.
static void check_request_target(struct document *policy, uint32_t index, const struct map *names) {
    const struct target_ref *target = &policy_head_of(policy)->targets[index];
    const bool is_opaque = target->kind == TARGET_TLS_ROUTE || target->kind == TARGET_TCP_ROUTE;
    if (is_opaque && !acts_on_connections(policy))
        document_error(policy, node_find(item_of(policy, "targetRefs", index), "kind"), NULL,
                       "carries no requests; allowed: Service, Namespace, Gateway, HTTPRoute, GRPCRoute");
    const struct document *route = acts_beside(policy) && target_is_route(target->kind) ? find_route(policy, target, names) : NULL;
    if (route != NULL && is_of_mesh(route))
        document_error(
            policy, item_of(policy, "targetRefs", index), NULL,
            "%s is of a Service, whose proxy sees no routes; allowed: the Service, with `matches` in the rules, or a route of Gateways alone",
            route->label);
}

// What is for connections does something there too, but what it says of requests.
static bool says_enough_of_connections(const struct document *policy) {
    const struct authorization_spec *spec = policy->spec;
    if (policy_kind_of(policy) != POLICY_AUTHORIZATION)
        return acts_on_connections(policy);
    bool is_of_http = spec->action == AUTHORIZATION_EXTERNAL;
    for (uint32_t i = 0; i < spec->rule_count; i++)
        is_of_http |= spec->rules[i].rule.is_of_http;
    return !is_of_http;
}

// All that such a policy can do to a connection is to refuse it: it is not for connections, and has nothing to say of one.
static bool requires_token(const struct document *policy) {
    const struct authentication_spec *spec = policy->spec;
    return policy_kind_of(policy) == POLICY_AUTHENTICATION && spec->required;
}

// A policy of requests for a Service that carries none would do nothing, and nobody would notice.
static void warn_of_opaque_target(struct document *policy, uint32_t index, const struct map *names) {
    const struct target_ref *target = &policy_head_of(policy)->targets[index];
    const struct document *entry = target->kind == TARGET_SERVICE ? find_service(names, policy->loading, policy->namespace_name, target->name) : NULL;
    const struct service_entry_spec *spec = entry == NULL ? NULL : entry->spec;
    bool carries = spec == NULL;
    for (uint32_t i = 0; spec != NULL && i < spec->port_count; i++) {
        const bool is_meant = target->section_name.len == 0 || bytes_equal(spec->ports[i].name, target->section_name);
        carries |= is_meant && !protocol_is_opaque(spec->ports[i].protocol);
    }
    if (carries || says_enough_of_connections(policy))
        return;
    const struct node *node = item_of(policy, "targetRefs", index);
    if (policy_is_of_connections(policy_kind_of(policy)))
        document_warning(policy, node, NULL, "%s has protocol TCP or TLS there: what a rule says of requests allows no connection, and denies all",
                         entry->label);
    else if (requires_token(policy))
        document_warning(policy, node, NULL, "%s has protocol TCP or TLS there: no connection has a token, and with required: true all are refused",
                         entry->label);
    else
        document_warning(policy, node, NULL, "%s has protocol TCP or TLS there, and carries no requests for the policy to act on", entry->label);
}

static void check_policies(struct loading *loading, const struct map *names) {
    struct map targets;
    map_init(&targets);
    for (struct document *policy = loading->first; policy != NULL; policy = policy->next) {
        const struct policy_head *head = policy_head_of(policy);
        for (uint32_t i = 0; head != NULL && i < head->target_count; i++) {
            if (!is_target_known(policy, i))
                continue;
            if (!is_kind(policy, &traffic_policy_table) && !is_own_namespace(policy, i))
                continue;
            check_target_exists(policy, i, names);
            if (policy_is_merged(policy))
                check_target_twins(policy, i, &targets);
            if (!is_kind(policy, &traffic_policy_table)) {
                check_request_target(policy, i, names);
                warn_of_opaque_target(policy, i, names);
            }
        }
    }
    map_dispose(&targets);
}

// A host, or a host and port, of one namespace belongs to one service.
static void check_hosts(struct loading *loading) {
    struct map hosts;
    map_init(&hosts);
    for (struct document *entry = loading->first; entry != NULL; entry = entry->next) {
        if (!is_kind(entry, &service_entry_table))
            continue;
        const struct service_entry_spec *spec = entry->spec;
        for (uint32_t i = 0; i < spec->host_count; i++) {
            struct authority authority;
            if ((!entry->is_sound && item_of(entry, "hosts", i)->bad) || !authority_parse(spec->hosts[i], &authority))
                continue;
            struct bytes host = authority.port != 0 ? authority_with_port(&authority, authority.port) : authority_host(&authority);
            struct bytes key = join(loading, entry->namespace_name, host);
            const struct document *twin = map_get(&hosts, key);
            if (twin == NULL)
                map_put(&hosts, key, entry);
            else if (strcmp(twin->label, entry->label) != 0) // else it has been said that the whole stands twice
                document_error(entry, item_of(entry, "hosts", i), NULL,
                               "%.*s belongs to %s already (%s:%u); a host belongs to one service of a namespace", BYTES_FORMAT(host), twin->label,
                               twin->file, twin->line);
        }
    }
    map_dispose(&hosts);
}

static void check_files(struct loading *loading) {
    for (struct document *document = loading->first; document != NULL; document = document->next)
        if (document->kind->check_files != NULL)
            document->kind->check_files(document);
}

static bool needs_identity(const struct service_entry_spec *spec) {
    for (uint32_t i = 0; i < spec->endpoint_count; i++)
        if (spec->endpoints[i].tls.mode == TLS_MESH)
            return true;
    return spec->endpoint_count == 0 && spec->resolution == RESOLUTION_DNS && spec->tls.mode == TLS_MESH;
}

static bool has_outbound(const struct proxy_spec *proxy) {
    for (uint32_t i = 0; i < proxy->config.listener_count; i++)
        if (proxy->config.listeners[i].role != ROLE_INBOUND)
            return true;
    return false;
}

// Mutual TLS outward takes an identity of our own.
static void check_identity(struct loading *loading, const struct document *proxy) {
    const struct proxy_spec *spec = proxy->spec;
    if (spec->config.identity.given || !has_outbound(spec))
        return;
    for (struct document *entry = loading->first; entry != NULL; entry = entry->next) {
        if (!is_kind(entry, &service_entry_table) || !needs_identity(entry->spec))
            continue;
        document_revive(entry);
        document_error(entry, entry->spec_node, "tls.mode", "Mesh needs spec.identity of %s (%s:%u); without it allowed: None", proxy->label,
                       proxy->file, proxy->line);
    }
}

// What a Proxy stands beside need not be described; where it is, the port must be one of its ports.
static void check_services(struct loading *loading, struct document *proxy, const struct map *names) {
    const struct proxy_spec *spec = proxy->spec;
    const struct node *list = node_find(proxy->spec_node, "services");
    for (uint32_t i = 0; i < spec->service_count; i++) {
        const struct document *entry = find_service(names, loading, proxy->namespace_name, spec->services[i].name);
        if (entry == NULL || spec->services[i].port == 0)
            continue;
        const struct service_entry_spec *service = entry->spec;
        bool has_port = false;
        for (uint32_t j = 0; j < service->port_count; j++)
            has_port = has_port || service->ports[j].port == spec->services[i].port;
        if (!has_port)
            document_error(proxy, node_find(node_item(list, i), "port"), NULL, "%u is no port of %s (%s:%u)", spec->services[i].port, entry->label,
                           entry->file, entry->line);
    }
}

// A TCP listener is for one port of protocol TCP or TLS.
static void check_tcp_target(struct document *proxy, const struct listener_config *listener, const struct node *node, const struct map *names) {
    const struct node *target = node_find(node, "service");
    if (listener->role != ROLE_TCP || !document_has(target, "name"))
        return;
    struct loading *loading = proxy->loading;
    const struct document *entry = find_service(names, loading, proxy->namespace_name, listener->target.name);
    if (entry == NULL) {
        if (!loading->is_partial)
            document_error(proxy, node_find(target, "name"), NULL, "there is no Service or ServiceEntry %.*s in namespace %.*s",
                           BYTES_FORMAT(listener->target.name), BYTES_FORMAT(proxy->namespace_name));
        return;
    }
    const struct service_entry_spec *spec = entry->spec;
    uint32_t found = 0;
    for (uint32_t i = 0; i < spec->port_count; i++)
        found += protocol_is_opaque(spec->ports[i].protocol) && (listener->target.port == 0 || listener->target.port == spec->ports[i].port);
    const struct node *port = node_find(target, "port");
    if (found == 0 && (port == NULL || !port->bad))
        document_error(proxy, port != NULL ? port : target, NULL, "%s has no such port of protocol TCP or TLS (%s:%u)", entry->label, entry->file,
                       entry->line);
    else if (found > 1 && port == NULL)
        document_error(proxy, target, "port", "is required: %s has %u ports of protocol TCP or TLS (%s:%u)", entry->label, found, entry->file,
                       entry->line);
}

static void check_tcp_targets(struct document *proxy, const struct map *names) {
    const struct proxy_spec *spec = proxy->spec;
    const struct node *listeners = node_find(proxy->spec_node, "listeners");
    for (uint32_t i = 0; i < spec->config.listener_count; i++)
        check_tcp_target(proxy, &spec->config.listeners[i], node_item(listeners, i), names);
}

static struct document *find_proxy(struct loading *loading, const char *first_path) {
    struct document *proxy = NULL;
    for (struct document *document = loading->first; document != NULL; document = document->next) {
        if (!is_kind(document, &proxy_table))
            continue;
        if (proxy != NULL)
            document_error(document, NULL, NULL, "is one Proxy too many, the first is in %s:%u; allowed: exactly one", proxy->file, proxy->line);
        else
            proxy = document;
    }
    if (proxy == NULL && !loading->is_partial)
        config_errors_add(loading->errors, (struct place){first_path, 0}, NULL, NULL, "there is no document of kind Proxy; needed: exactly one");
    return proxy;
}

static void check_mesh_config(struct loading *loading) {
    const struct document *first = NULL;
    for (struct document *document = loading->first; document != NULL; document = document->next) {
        if (!is_kind(document, &mesh_config_table))
            continue;
        if (first != NULL)
            document_error(document, NULL, NULL, "is one MeshConfig too many, the first is in %s:%u; allowed: one at most", first->file, first->line);
        first = first == NULL ? document : first;
    }
}

// The next name of a path, without what leads nowhere; empty: there is none.
static struct bytes next_name(struct bytes *path) {
    while (path->len > 0) {
        const struct bytes name = bytes_from(path->at, bytes_find(*path, '/'));
        const size_t used = name.len < path->len ? name.len + 1 : name.len;
        *path = bytes_from(path->at + used, path->len - used);
        if (name.len > 0 && !bytes_equal(name, BYTES(".")))
            return name;
    }
    return BYTES_NONE;
}

static bool is_same_path(struct bytes one, struct bytes other) {
    for (;;) {
        const struct bytes name = next_name(&one);
        if (!bytes_equal(name, next_name(&other)))
            return false;
        if (name.len == 0)
            return true;
    }
}

// Whoever it is for.
static bool has_policy_that_logs(const struct loading *loading) {
    for (const struct document *document = loading->first; document != NULL; document = document->next) {
        const struct telemetry_policy_spec *spec = document->spec;
        if (is_kind(document, &telemetry_policy_table) && spec->has_filter && !spec->access_log_disabled &&
            spec->rules.access_log.filter != LOG_FILTER_NONE)
            return true;
    }
    return false;
}

// Two writers that do not know of each other would write into one file.
static void check_log_paths(const struct loading *loading, struct document *proxy) {
    struct document *mesh = find_mesh_config(loading);
    const struct mesh_fields fields = mesh_fields_merge(proxy, mesh);
    const struct access_log_config *access = &fields.telemetry.access_log;
    const struct audit_log_config *audit = &fields.telemetry.audit_log;
    const bool is_told = access->filter != LOG_FILTER_NONE || has_policy_that_logs(loading);
    const bool is_written = audit->path.len > 0 && access->format != LOG_FORMAT_OTLP && is_told;
    const struct node *path = node_find(mesh_fields_telemetry(proxy, mesh, "auditLog"), "path");
    const bool is_proxy_s = node_find(node_find(node_find(proxy->spec_node, "telemetry"), "auditLog"), "path") == path;
    if (is_written && is_same_path(audit->path, access->path))
        document_error(is_proxy_s ? proxy : mesh, path, NULL, "is that of accessLog; each log needs a file of its own");
}

// What no caller beside this proxy can see is dead weight here.
static void warn_of_unseen(struct loading *loading, const struct document *proxy) {
    for (struct document *entry = loading->first; entry != NULL; entry = entry->next) {
        const struct service_entry_spec *spec = entry->spec;
        if (is_kind(entry, &service_entry_table) && !spec->export_mesh && !bytes_equal(entry->namespace_name, proxy->namespace_name))
            document_warning(entry, NULL, NULL, "is seen in namespace %.*s alone, and %s is in another; exportTo: [Mesh] makes all see it",
                             BYTES_FORMAT(entry->namespace_name), proxy->label);
    }
}

// Without knowing where we are all zones are alike.
static void warn_of_no_zone(struct loading *loading, const struct document *proxy) {
    if (node_find(node_find(proxy->metadata, "labels"), LABEL_ZONE) != NULL)
        return;
    for (struct document *policy = loading->first; policy != NULL; policy = policy->next) {
        const struct traffic_policy_spec *spec = policy->spec;
        if (!is_kind(policy, &traffic_policy_table) || spec->traffic.load_balancer.locality.mode != LOCALITY_PREFER_ZONE)
            continue;
        document_revive(policy);
        document_warning(policy, policy->spec_node, "loadBalancer.locality.mode",
                         "PreferZone goes by the label " LABEL_ZONE " of %s (%s:%u), which it does not have", proxy->label, proxy->file, proxy->line);
    }
}

void config_check(struct loading *loading, const char *first_path, const struct document **proxy) {
    struct map names;
    map_init(&names);
    check_names(loading, &names);
    check_policies(loading, &names);
    check_hosts(loading);
    check_files(loading);
    check_routes(loading, &names);
    check_mesh_config(loading);
    struct document *found = find_proxy(loading, first_path);
    if (found != NULL) {
        check_services(loading, found, &names);
        check_identity(loading, found);
        check_gateways(found, &names);
        check_tcp_targets(found, &names);
        check_log_paths(loading, found);
        warn_of_unseen(loading, found);
        warn_of_no_zone(loading, found);
    }
    map_dispose(&names);
    *proxy = found;
}
