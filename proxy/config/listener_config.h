// What a snapshot says of a listener: where it listens, whose connections it takes, where they go. Part of config/snapshot.h.
#ifndef CONFIG_LISTENER_CONFIG_H
#define CONFIG_LISTENER_CONFIG_H

#include "base/bytes.h"
#include "base/clock.h"
#include "config/place.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct certificate_files;
struct gateway_config;
struct service_config;
struct telemetry_rules;

// `host:port` with a literal address, or a Unix socket's path.
struct socket_address {
    struct sockaddr_storage storage;
    socklen_t length;
    struct bytes text; // as written
};

enum listener_role { ROLE_INBOUND, ROLE_OUTBOUND, ROLE_GATEWAY, ROLE_TCP };

// Whether others than the application beside the proxy connect to it: they are told to go elsewhere when the process is to end.
static inline bool role_is_reached(enum listener_role role) {
    return role == ROLE_INBOUND || role == ROLE_GATEWAY;
}

enum mtls_mode { MTLS_STRICT, MTLS_PERMISSIVE, MTLS_DISABLE };
enum app_protocol { APP_PROTOCOL_AUTO, APP_PROTOCOL_HTTP, APP_PROTOCOL_HTTP1, APP_PROTOCOL_HTTP2, APP_PROTOCOL_TCP }; // AUTO: not said
enum unknown_hosts { UNKNOWN_HOSTS_REJECT, UNKNOWN_HOSTS_PASSTHROUGH };

// What a Proxy says of a service: its name, and the port that is meant; 0: not said.
struct service_ref {
    struct bytes name;
    uint16_t port;
};

enum proxy_protocol { PROXY_PROTOCOL_DISABLE, PROXY_PROTOCOL_ACCEPT, PROXY_PROTOCOL_REQUIRE };
enum detection_timeout { DETECTION_TCP, DETECTION_CLOSE };

// A port of the application beside the proxy: connections to `port` go to `to`.
struct forward_config {
    uint16_t port;
    struct socket_address to;
    enum app_protocol protocol;
    struct service_config *service; // the application there; NULL where the port has a listener of its own, made of this
    struct place place;
};

struct listener_config {
    struct bytes name;
    enum listener_role role;
    struct socket_address address;
    struct socket_address forward_to; // Inbound
    uint16_t forward_port;            // of one that stands for one of `forwards`: its port; else 0
    enum mtls_mode mtls;              // Inbound; Strict unless said otherwise
    enum app_protocol app_protocol;   // Inbound: what the application behind forward_to speaks
    enum unknown_hosts unknown_hosts; // Outbound
    enum proxy_protocol proxy_protocol;
    bool transparent; // connections come redirected: the kernel knows where they were going
    struct {
        bool given;
        nanoseconds timeout;
        enum detection_timeout on_timeout;
    } detection;
    struct forward_config *forwards; // Inbound and transparent; else each has become a listener
    uint32_t forward_count;
    struct service_config
        *passthrough;          // transparent: what no document has, as a service whose endpoint is where each connection was going; NULL: refused
    struct bytes gateway_name; // Gateway: of the document
    struct certificate_files *certificates; // Gateway
    uint32_t certificate_count;
    const struct gateway_config *gateway; // Gateway
    struct service_ref target;            // TCP: the service that all its connections are for
    struct service_config
        *service; // Inbound: the application as a service of one endpoint, with the policies of inbound (NULL: forwards alone); TCP: its target
    const struct telemetry_rules *telemetry; // of requests that get no destination; never NULL
    struct place place;
};

// Whether what is spoken is found out from the first bytes, where nothing says it.
static inline bool listener_detects(const struct listener_config *listener) {
    return listener->transparent || listener->detection.given;
}

// What an Inbound, transparent listener has for the port of that destination; NULL: nothing of its own.
const struct forward_config *listener_forward(const struct listener_config *listener, const struct sockaddr *destination);

#endif
