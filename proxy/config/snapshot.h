// The world as one set of documents says it: decoded, checked, merged, frozen. Main builds it; workers share it read-only.
//
// A snapshot is immutable and reference-counted over threads; all that it points to lies in its own memory. Live state (endpoints' load, pools,
// budgets) is not here: it hangs on live objects that are found by the keys below and outlive snapshots.
#ifndef CONFIG_SNAPSHOT_H
#define CONFIG_SNAPSHOT_H

#include "base/bytes.h"
#include "base/cidr.h"
#include "base/clock.h"
#include "base/map.h"
#include "certs/spiffe_id.h"
#include "config/process_config.h"
#include "config/endpoint_config.h"
#include "config/listener_config.h"
#include "config/gateway_config.h"
#include "config/place.h"
#include "config/route.h"
#include "config/telemetry_config.h"
#include "config/traffic_config.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum port_protocol { PROTOCOL_HTTP, PROTOCOL_HTTP1, PROTOCOL_HTTP2, PROTOCOL_GRPC, PROTOCOL_TCP, PROTOCOL_TLS };

// No HTTP is spoken: bytes go through as they come. TLS: to whichever service of these their ClientHello names.
static inline bool protocol_is_opaque(enum port_protocol protocol) {
    return protocol == PROTOCOL_TCP || protocol == PROTOCOL_TLS;
}

// One port of a ServiceEntry (or, for an Inbound listener, the application behind it).
struct service_config {
    struct bytes namespace_name;
    struct bytes name;
    uint16_t port;
    struct bytes port_name;
    struct bytes key; // "namespace/name:port"; of an application: "app/<listener>". Live state is found by it
    enum port_protocol protocol;
    bool is_passthrough; // has no endpoints: each connection goes to where it was going
    bool is_application; // behind an Inbound listener of ours, no service of the mesh
    uint16_t reached_at; // of an application: the port that its callers go to, where one of `forwards` says it; else 0
    enum resolution resolution;
    struct endpoint_config *endpoints; // Static
    uint32_t endpoint_count;
    struct endpoint_source *sources; // not Static: the endpoints come by themselves (upstream/endpoint_set.h)
    uint32_t source_count;
    struct traffic_config traffic;
    struct place place;
    uint32_t index;                         // its place in snapshot.services
    const struct route_table *routes;       // of its callers; NULL: requests go to its endpoints
    const struct destination *destination;  // it as such
    const struct gateway_listener *gateway; // of a Gateway: it stands for this listener, and has no endpoints; NULL: it is no such
    uint64_t digest;                        // over all that is above but places and routes: equal digests = nothing changed for its endpoints
};

struct limits_config {
    uint32_t connections; // per listener
    uint32_t headers;
    uint32_t header_bytes;
    uint32_t url_bytes;
    uint64_t body_bytes; // 0: none
    uint32_t streams_per_connection;
    uint32_t buffer_per_stream;
    nanoseconds header_timeout;
    nanoseconds body_idle_timeout;
    nanoseconds idle_timeout;
    nanoseconds drain_timeout;
    uint32_t memory_percent;
};

struct identity_config {
    bool given;
    struct bytes certificate, private_key, trust_bundle; // paths, made relative to the folder of the Proxy's file
    struct place place;
};

// Services that a proxy may stand beside.
#define PROXY_SERVICES_MAX 16

// Listeners that a proxy may have, those that forwards become counted.
#define PROXY_LISTENERS_MAX 64

// What a gateway believes of what comes from outside, and what it tells.
struct edge_config {
    struct bytes *trust_headers;
    uint32_t trust_header_count;
    bool proxy_status;
};

struct proxy_config {
    struct bytes namespace_name;
    struct bytes name;
    struct bytes service;      // first of spec.services; empty: none
    struct bytes zone, region; // where it runs: its labels topology.kubernetes.io/zone and /region; empty: not told
    uint32_t workers;          // 1 to 16; 0 was resolved
    struct listener_config *listeners;
    uint32_t listener_count;
    struct socket_address admin;   // length 0: none
    struct bytes admin_token_file; // empty: none; NUL behind it
    struct socket_address metrics; // length 0: none
    struct bytes dns_servers;      // "10.0.0.1:53,[::1]:53", NUL behind it; empty: the host's
    struct identity_config identity;
    struct limits_config limits;
    struct edge_config edge;
    struct bytes debug_header;    // by which a request asks what was decided about it; empty: none does
    struct cidr *trusted_proxies; // whose x-forwarded-for is believed
    uint32_t trusted_proxy_count;
    struct {
        enum hardening seccomp;
        enum hardening landlock;
    } hardening;
    struct bytes upgrade_path; // of the socket by which a newer process takes over; empty: none
    struct telemetry_config telemetry;
    struct place place;
};

struct snapshot {
    _Atomic uint32_t references;
    uint64_t generation; // counts accepted sets of documents from 1
    struct proxy_config proxy;
    struct service_config **services; // all; applications of Inbound listeners too
    uint32_t service_count;
    struct destination **destinations; // all: those of services, those of rules
    uint32_t destination_count;
    struct route_rule **rules;
    uint32_t rule_count;
    struct route_table *route_tables;           // all
    struct gateway_listener *gateway_listeners; // all
    bool has_regexes;                           // in a rule
    bool has_access_log;                        // a request may be logged in a file
    struct named_path *paths;                   // of all documents
    struct unit *const *units;                  // with the documents that it was made of; ends with NULL
    struct ca_set_config *ca_sets;              // of all services; all their files are among the paths
    struct map hosts;        // "host:port" and "host", lower-case -> struct service_config; for "*.x" the key is ".x". Ports of HTTP
    struct map opaque_hosts; // the same for ports of TCP and TLS: found by address
    struct map tls_hosts;    // and for those of TLS alone: found by the name in a ClientHello
    void *memory;            // config/'s own
};

struct snapshot *snapshot_ref(struct snapshot *snapshot);
void snapshot_unref(struct snapshot *snapshot); // any thread; frees with the last

// The service that a request for `authority` (as in Host, any case) means, as policy.md says: with its port (the one written, else `default_port`), then without; exact before
// wildcard, the longest wildcard first. NULL: unknown.
const struct service_config *snapshot_find_host(const struct snapshot *snapshot, struct bytes authority, uint16_t default_port);

// The service of protocol TLS that a client means who asks for `name` in its handshake (SNI), of port `port` (0: any). Else as above.
const struct service_config *snapshot_find_server_name(const struct snapshot *snapshot, struct bytes name, uint16_t port);

// The service of any protocol among whose hosts that address stands, with that port; NULL: none.
const struct service_config *snapshot_find_destination(const struct snapshot *snapshot, const struct sockaddr *destination);

// Whether a listener of ours stands at `address`, of which `is_here` says whether it is an address of this machine.
bool snapshot_listens_at(const struct snapshot *snapshot, const struct sockaddr *address, bool is_here);

#endif
