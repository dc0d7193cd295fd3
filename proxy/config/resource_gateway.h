// The decoded spec of kind Gateway.
#ifndef CONFIG_RESOURCE_GATEWAY_H
#define CONFIG_RESOURCE_GATEWAY_H

#include "config/document.h"
#include "config/snapshot.h"

struct certificate_ref {
    struct bytes group, kind;
    struct bytes namespace_name; // empty: the Gateway's
    struct bytes name;
};

// What a certificateRef of `gateway` means among the Proxy's files; NULL: it is not there.
struct listener_config;
const struct certificate_files *gateway_find_certificate(const struct document *gateway, const struct certificate_ref *ref,
                                                         const struct listener_config *socket);

enum gateway_tls_mode { GATEWAY_TLS_TERMINATE, GATEWAY_TLS_PASSTHROUGH };

enum allowed_namespaces { NAMESPACES_SAME, NAMESPACES_ALL };

struct allowed_kind {
    struct bytes group, kind;
};

struct gateway_listener_spec {
    struct bytes name;
    struct bytes hostname;
    uint16_t port;
    enum gateway_protocol protocol;
    enum gateway_tls_mode tls_mode;
    struct certificate_ref *certificates;
    uint32_t certificate_count;
    enum allowed_namespaces namespaces;
    struct allowed_kind *kinds;
    uint32_t kind_count; // 0: all that the protocol carries
    struct place place;
};

struct gateway_spec {
    struct bytes class_name;
    struct gateway_listener_spec *listeners;
    uint32_t listener_count;
};

extern const struct table gateway_table;

// What routes see of it, as if it were a port.
enum port_protocol gateway_port_protocol(enum gateway_protocol protocol);

// NULL: it has none of that name.
const struct gateway_listener_spec *gateway_find_listener(const struct gateway_spec *gateway, struct bytes name);

void gateway_check(struct document *document);

#endif
