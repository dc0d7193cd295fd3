// Gateways: for each socket with role Gateway the listeners of its Gateway document on that port, and which routes they have for which host.
#include "config/freeze_private.h"

#include "base/check.h"
#include "base/host_pattern.h"
#include "config/authority.h"
#include "config/resource_gateway.h"
#include "config/value.h"

struct bytes freeze_host_form(struct freezing *freezing, struct bytes host) {
    struct authority authority;
    bool is_wildcard = bytes_starts_with(host, BYTES("*."));
    if (host.len == 0)
        return BYTES("");
    CHECK(authority_parse(is_wildcard ? bytes_from(host.at + 2, host.len - 2) : host, &authority));
    return pool_format(freezing->pool, "%s%.*s", is_wildcard ? "." : "", BYTES_FORMAT(authority_host(&authority)));
}

// Whether there is a host that both mean (Gateway API, HTTPRouteSpec.hostnames).
static bool overlap(struct bytes listener, struct bytes route) {
    return listener.len == 0 || route.len == 0 || bytes_equal(listener, route) || host_is_below(route, listener) || host_is_below(listener, route);
}

static const struct document *find_gateway(const struct loading *loading, struct bytes namespace_name, struct bytes name) {
    for (const struct document *document = loading->first; document != NULL; document = document->next)
        if (document->kind->spec == &gateway_table && bytes_equal(document->namespace_name, namespace_name) && bytes_equal(document->name, name))
            return document;
    return NULL;
}

uint32_t count_gateway_services(const struct loading *loading) {
    uint32_t count = 0;
    for (const struct document *document = loading->first; document != NULL; document = document->next)
        if (document->kind->spec == &gateway_table)
            count += ((const struct gateway_spec *)document->spec)->listener_count;
    return count;
}

// ---- listeners

// Those that the Gateway may use.
static void freeze_certificates(struct freezing *freezing, const struct document *gateway, const struct gateway_listener_spec *spec,
                                const struct listener_config *socket, struct gateway_listener *listener) {
    listener->certificates = pool_alloc_zeroed(freezing->pool, spec->certificate_count * sizeof(listener->certificates[0]) + 1);
    for (uint32_t i = 0; i < spec->certificate_count; i++) {
        const struct certificate_ref *ref = &spec->certificates[i];
        const struct certificate_files *files = gateway_find_certificate(gateway, ref, socket);
        CHECK(files != NULL); // check.c has seen to it
        if (grants_permit(&freezing->grants, gateway, BYTES("Secret"), ref_namespace(gateway, ref->namespace_name), ref->name))
            listener->certificates[listener->certificate_count++] = files;
    }
}

// Who a request is for that no rule has led on: it has metrics and policies, and nowhere to go.
static const struct service_config *freeze_frontend(struct freezing *freezing, const struct document *gateway,
                                                    const struct gateway_listener_spec *spec, const struct gateway_listener *listener) {
    struct service_config *service = freeze_add_service(freezing);
    service->namespace_name = gateway->namespace_name;
    service->name = gateway->name;
    service->port = spec->port;
    service->port_name = spec->name;
    service->key = pool_format(freezing->pool, "gateway/%.*s/%.*s/%.*s", BYTES_FORMAT(gateway->namespace_name), BYTES_FORMAT(gateway->name),
                               BYTES_FORMAT(spec->name));
    service->protocol = gateway_port_protocol(spec->protocol);
    service->gateway = listener;
    service->endpoints = pool_alloc_zeroed(freezing->pool, 1);
    traffic_merge_service(&freezing->policies, service, &service->traffic);
    service->place = spec->place;
    service->digest = service_digest(service);
    return service;
}

static struct gateway_listener *freeze_listener(struct freezing *freezing, const struct document *gateway, const struct gateway_listener_spec *spec,
                                                const struct listener_config *socket) {
    struct gateway_listener *listener = pool_alloc_zeroed(freezing->pool, sizeof(*listener));
    map_init(&listener->hosts);
    listener->name = spec->name;
    listener->hostname = freeze_host_form(freezing, spec->hostname);
    listener->protocol = spec->protocol;
    listener->passes_tls = spec->protocol == GATEWAY_TLS && spec->tls_mode == GATEWAY_TLS_PASSTHROUGH;
    freeze_certificates(freezing, gateway, spec, socket, listener);
    listener->frontend = freeze_frontend(freezing, gateway, spec, listener);
    listener->following = freezing->snapshot->gateway_listeners;
    freezing->snapshot->gateway_listeners = listener;
    return listener;
}

static void freeze_socket(struct freezing *freezing, struct listener_config *socket) {
    const struct document *document = find_gateway(freezing->loading, freezing->snapshot->proxy.namespace_name, socket->gateway_name);
    const struct gateway_spec *spec = document->spec;
    struct gateway_config *gateway = pool_alloc_zeroed(freezing->pool, sizeof(*gateway));
    gateway->namespace_name = document->namespace_name;
    gateway->name = document->name;
    gateway->listeners = pool_alloc_zeroed(freezing->pool, spec->listener_count * sizeof(gateway->listeners[0]));
    for (uint32_t i = 0; i < spec->listener_count; i++)
        if (spec->listeners[i].port == address_port(&socket->address))
            gateway->listeners[gateway->listener_count++] = freeze_listener(freezing, document, &spec->listeners[i], socket);
    socket->gateway = gateway;
}

void freeze_gateways(struct freezing *freezing) {
    struct proxy_config *proxy = &freezing->snapshot->proxy;
    for (uint32_t i = 0; i < proxy->listener_count; i++)
        if (proxy->listeners[i].role == ROLE_GATEWAY)
            freeze_socket(freezing, &proxy->listeners[i]);
}

// ---- routes

static bool allows(const struct gateway_listener_spec *listener, const struct document *gateway, const struct document *route) {
    if (!protocol_carries(gateway_port_protocol(listener->protocol), route_kind_of(route)->routes))
        return false;
    if (listener->namespaces == NAMESPACES_SAME && !bytes_equal(route->namespace_name, gateway->namespace_name))
        return false;
    for (uint32_t i = 0; i < listener->kind_count; i++)
        if (bytes_equal(listener->kinds[i].kind, bytes_from_text(route->kind->name)))
            return true;
    return listener->kind_count == 0;
}

static bool has_parent(const struct document *route, const struct document *gateway, const struct gateway_listener_spec *listener) {
    const struct route_spec *spec = route->spec;
    for (uint32_t i = 0; i < spec->parent_count; i++) {
        const struct parent_ref *parent = &spec->parents[i];
        if (parent->kind == PARENT_GATEWAY && bytes_equal(parent->name, gateway->name) &&
            bytes_equal(ref_namespace(route, parent->namespace_name), gateway->namespace_name) &&
            (parent->port == 0 || parent->port == listener->port) &&
            (parent->section_name.len == 0 || bytes_equal(parent->section_name, listener->name)))
            return true;
    }
    return false;
}

static void attach_host(struct freezing *freezing, struct gateway_listener *listener, struct bytes host, const struct document *route) {
    struct frontend *frontend = map_get(&listener->hosts, host); // until its table takes its place there
    if (frontend == NULL) {
        frontend = add_frontend(freezing, listener->frontend, NULL);
        frontend->hosts = &listener->hosts;
        frontend->host = host;
        map_put(&listener->hosts, host, frontend);
    }
    route_attach(freezing, &frontend->first, route);
}

// Under the hosts that the route says, by which it is more or less specific than others; that a request is for the listener's host is known by then.
static void attach_hosts(struct freezing *freezing, struct gateway_listener *listener, const struct document *route) {
    const struct route_spec *spec = route->spec;
    for (uint32_t i = 0; i < spec->hostname_count; i++) {
        struct bytes host = freeze_host_form(freezing, spec->hostnames[i]);
        if (overlap(listener->hostname, host))
            attach_host(freezing, listener, host, route);
    }
    if (spec->hostname_count == 0)
        attach_host(freezing, listener, BYTES(""), route);
}

void freeze_gateway_frontends(struct freezing *freezing) {
    const struct proxy_config *proxy = &freezing->snapshot->proxy;
    for (uint32_t i = 0; i < proxy->listener_count; i++) {
        const struct gateway_config *gateway = proxy->listeners[i].gateway;
        const struct document *document = gateway == NULL ? NULL : find_gateway(freezing->loading, gateway->namespace_name, gateway->name);
        for (uint32_t j = 0; gateway != NULL && j < gateway->listener_count; j++) {
            const struct gateway_listener_spec *spec = gateway_find_listener(document->spec, gateway->listeners[j]->name);
            for (const struct document *route = freezing->loading->first; route != NULL; route = route->next)
                if (route_kind_of(route) != NULL && has_parent(route, document, spec) && allows(spec, document, route))
                    attach_hosts(freezing, gateway->listeners[j], route);
        }
    }
}
