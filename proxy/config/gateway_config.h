// A Gateway as a snapshot has it: for one socket of the proxy, the listeners of the Gateway that stand on its port, and which routes each has for which host.
#ifndef CONFIG_GATEWAY_CONFIG_H
#define CONFIG_GATEWAY_CONFIG_H

#include "base/map.h"
#include "config/place.h"
#include "config/route.h"

enum gateway_protocol { GATEWAY_HTTP, GATEWAY_HTTPS };

// PEM files that a certificateRef stands for.
struct certificate_files {
    struct bytes name;
    struct bytes certificate, private_key; // paths
    struct place place;
};

struct gateway_listener {
    struct bytes name;
    struct bytes hostname; // "", "a.example.com" or ".example.com" for all below
    enum gateway_protocol protocol;
    const struct certificate_files **certificates; // HTTPS: at least one
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

// Whether TLS of clients ends at the socket: all listeners on one port speak alike. NULL is no gateway.
static inline bool gateway_ends_tls(const struct gateway_config *gateway) {
    return gateway != NULL && gateway->listener_count > 0 && gateway->listeners[0]->protocol == GATEWAY_HTTPS;
}

#endif
