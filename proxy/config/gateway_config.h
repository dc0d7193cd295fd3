// A Gateway as a snapshot has it: for one socket of the proxy, the listeners of the Gateway that stand on its port, and which routes each has for which host.
#ifndef CONFIG_GATEWAY_CONFIG_H
#define CONFIG_GATEWAY_CONFIG_H

#include "base/map.h"
#include "config/place.h"
#include "config/route.h"

enum gateway_protocol { GATEWAY_HTTP, GATEWAY_HTTPS, GATEWAY_TLS, GATEWAY_TCP };

// PEM files that a certificateRef stands for.
struct certificate_files {
    struct bytes name;
    struct bytes namespace_name;           // empty: the Proxy's
    struct bytes certificate, private_key; // paths
    struct place place;
};

struct gateway_listener {
    struct bytes name;
    struct bytes hostname; // "", "a.example.com" or ".example.com" for all below
    enum gateway_protocol protocol;
    bool passes_tls;                               // TLS: it does not end here
    const struct certificate_files **certificates; // where TLS ends here; none: there are none that the Gateway may use
    uint32_t certificate_count;
    struct map hosts;                      // host, in the same forms -> struct route_table
    const struct service_config *frontend; // what no rule has led on: it has no endpoints
    struct gateway_listener *following;    // in snapshot.gateway_listeners
};

struct gateway_config {
    struct bytes namespace_name, name;
    struct gateway_listener **listeners;
    uint32_t listener_count;
};

// What is spoken at the socket: all listeners on one port speak alike. NULL is no gateway.
static inline bool gateway_speaks(const struct gateway_config *gateway, enum gateway_protocol protocol) {
    return gateway != NULL && gateway->listener_count > 0 && gateway->listeners[0]->protocol == protocol;
}

// TLS of clients goes through to where it was asked for.
static inline bool gateway_passes_tls(const struct gateway_config *gateway) {
    return gateway_speaks(gateway, GATEWAY_TLS) && gateway->listeners[0]->passes_tls;
}

// TLS of clients ends at the socket.
static inline bool gateway_ends_tls(const struct gateway_config *gateway) {
    return gateway_speaks(gateway, GATEWAY_HTTPS) || (gateway_speaks(gateway, GATEWAY_TLS) && !gateway_passes_tls(gateway));
}

// It has certificates to end it with.
static inline bool gateway_has_certificates(const struct gateway_config *gateway) {
    for (uint32_t i = 0; gateway != NULL && i < gateway->listener_count; i++)
        if (gateway->listeners[i]->certificate_count > 0)
            return true;
    return false;
}

// What comes is opaque, inside TLS where that ends here.
static inline bool gateway_is_opaque(const struct gateway_config *gateway) {
    return gateway_speaks(gateway, GATEWAY_TLS) || gateway_speaks(gateway, GATEWAY_TCP);
}

#endif
