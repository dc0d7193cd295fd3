// What the listeners of a Proxy with role Gateway need of Gateway documents.
#include "config/check_gateway.h"

#include "config/grant.h"
#include "config/resource_gateway.h"
#include "config/resource_route.h"
#include "config/value.h"

static void check_certificate(struct document *proxy, const struct listener_config *socket, const struct node *node,
                              const struct gateway_listener_spec *listener, const struct document *gateway, const struct certificate_ref *ref) {
    if (gateway_find_certificate(gateway, ref, socket) == NULL)
        document_error(proxy, node, "certificates", "%.*s is not there%s%.*s, which listener %.*s of %s (%s:%u) names", BYTES_FORMAT(ref->name),
                       ref->namespace_name.len > 0 ? ", of namespace " : "", BYTES_FORMAT(ref->namespace_name), BYTES_FORMAT(listener->name),
                       gateway->label, gateway->file, listener->place.line);
}

static void check_permission(struct document *gateway, const struct gateway_listener_spec *listener, const struct certificate_ref *ref,
                             const struct grants *grants) {
    struct bytes namespace_name = ref_namespace(gateway, ref->namespace_name);
    if (grants_permit(grants, gateway, BYTES("Secret"), namespace_name, ref->name))
        return;
    const struct gateway_spec *spec = gateway->spec;
    document_revive(gateway);
    const struct node *node = node_item(node_find(gateway->spec_node, "listeners"), (uint32_t)(listener - spec->listeners));
    document_warning(gateway, node, "tls.certificateRefs",
                     "no ReferenceGrant of namespace %.*s lets Gateways of namespace %.*s refer to Secret %.*s (RefNotPermitted): it is not used",
                     BYTES_FORMAT(namespace_name), BYTES_FORMAT(gateway->namespace_name), BYTES_FORMAT(ref->name));
}

static void check_certificates(struct document *proxy, const struct listener_config *socket, const struct node *node,
                               const struct gateway_listener_spec *listener, struct document *gateway, const struct grants *grants) {
    for (uint32_t i = 0; i < listener->certificate_count; i++) {
        check_certificate(proxy, socket, node, listener, gateway, &listener->certificates[i]);
        check_permission(gateway, listener, &listener->certificates[i], grants);
    }
}

static void check_socket(struct document *proxy, const struct listener_config *socket, const struct node *node, const struct map *names,
                         const struct grants *grants) {
    if (!document_has(node, "gateway") || !document_has(node, "address"))
        return;
    struct document *gateway = map_get(
        names, pool_format(proxy->loading->scratch, "Gateway/%.*s/%.*s", BYTES_FORMAT(proxy->namespace_name), BYTES_FORMAT(socket->gateway_name)));
    if (gateway == NULL && !proxy->loading->is_partial)
        document_error(proxy, node_find(node, "gateway"), NULL, "there is no Gateway %.*s in namespace %.*s", BYTES_FORMAT(socket->gateway_name),
                       BYTES_FORMAT(proxy->namespace_name));
    if (gateway == NULL)
        return;
    const struct gateway_spec *spec = gateway->spec;
    bool is_there = false;
    for (uint32_t i = 0; i < spec->listener_count; i++) {
        if (spec->listeners[i].port != address_port(&socket->address))
            continue;
        is_there = true;
        check_certificates(proxy, socket, node, &spec->listeners[i], gateway, grants);
    }
    if (!is_there)
        document_error(proxy, node_find(node, "address"), NULL, "%u is the port of no listener of %s (%s:%u)", address_port(&socket->address),
                       gateway->label, gateway->file, gateway->line);
}

// Two sockets on one port of a Gateway would each be the one listener.
static void check_twins(struct document *proxy, uint32_t number, const struct node *node) {
    const struct proxy_config *config = &((const struct proxy_spec *)proxy->spec)->config;
    const struct listener_config *socket = &config->listeners[number];
    for (uint32_t i = 0; i < number; i++) {
        const struct listener_config *other = &config->listeners[i];
        if (other->role == ROLE_GATEWAY && bytes_equal(other->gateway_name, socket->gateway_name) &&
            address_port(&other->address) == address_port(&socket->address))
            document_error(proxy, node, NULL, "stands for the same port of the same Gateway as %.*s", BYTES_FORMAT(other->name));
    }
}

void check_gateways(struct document *proxy, const struct map *names) {
    const struct proxy_spec *spec = proxy->spec;
    const struct node *listeners = node_find(proxy->spec_node, "listeners");
    struct grants grants;
    grants_init(&grants, proxy->loading);
    for (uint32_t i = 0; i < spec->config.listener_count; i++) {
        const struct node *node = node_item(listeners, i);
        if (spec->config.listeners[i].role != ROLE_GATEWAY || !document_has(node, "role"))
            continue;
        check_socket(proxy, &spec->config.listeners[i], node, names, &grants);
        check_twins(proxy, i, node);
    }
    grants_dispose(&grants);
}
