// The decoded specs of all kinds, as the tables in resource_<kind>.c fill them. Where a part of a spec goes into a snapshot as it is, it is the snapshot's own
// struct. Used by check.c and freeze.c.
#ifndef CONFIG_RESOURCES_H
#define CONFIG_RESOURCES_H

#include "config/document.h"
#include "config/snapshot.h"
#include "config/target.h"

// Fields that both a Proxy and the MeshConfig have: the first member of the specs of both, so that the fields of their tables count from the same start.
struct mesh_fields {
    struct telemetry_config telemetry;
    struct edge_config edge;
    struct {
        struct cidr *ranges;
        uint32_t count;
    } trusted_proxies;
};

struct proxy_spec {
    struct mesh_fields mesh;
    struct proxy_config config; // without what is of mesh_fields
    struct service_ref *services;
    uint32_t service_count;
    struct bytes service; // short for one of services
    bool admin_disabled;
    bool metrics_disabled;
    uint32_t identity_source; // one word so far
    struct socket_address *dns_servers;
    uint32_t dns_server_count;
};

struct mesh_config_spec {
    struct mesh_fields mesh;
};

struct entry_port {
    struct bytes name;
    uint16_t port;
    uint16_t target_port; // 0: as port
    enum port_protocol protocol;
    struct place place;
};

struct entry_name {
    enum server_name_type type; // Hostname (for an IP address too) or URI
    struct bytes hostname, uri;
};

// The first member of whatever has it: the fields of its table count from the start.
struct entry_tls {
    enum tls_mode mode;
    bool system; // the system's bundle is among its authorities
    struct bytes server_name;
    struct bytes *ca_files;
    uint32_t ca_file_count;
    uint32_t name_count;
    struct entry_name *names;
};

struct entry_endpoint {
    struct entry_tls tls;        // its own or, once checked, the service's
    struct endpoint_place place; // port 0: the service port's
    struct spiffe_id identity;   // empty: the service's
    uint32_t weight;
    struct bytes zone, region;
    uint32_t priority;
};

struct service_entry_spec {
    struct entry_tls tls;
    struct bytes *hosts;
    uint32_t host_count;
    struct entry_port *ports;
    uint32_t port_count;
    enum resolution resolution;
    struct spiffe_id *identities;
    uint32_t identity_count;
    struct entry_endpoint *endpoints;
    uint32_t endpoint_count;
    bool export_mesh;
};

struct traffic_policy_spec {
    struct policy_head head;
    struct traffic_config traffic; // groups that the document does not have are at their defaults
    uint32_t groups_given;         // merge.h
    bool load_balancer_disabled, selection_disabled, connections_disabled, timeouts_disabled, deadline_disabled, retry_disabled, hedge_disabled,
        circuit_breaker_disabled, outlier_disabled, health_check_disabled;
    uint32_t hedge_mode, circuit_mode, outlier_mode; // enum policy_mode
};

extern const struct table proxy_table, mesh_config_table, service_entry_table, traffic_policy_table;

void proxy_check(struct document *document);
void mesh_config_check(struct document *document);
void mesh_fields_check_files(struct document *document);
void service_entry_check(struct document *document);
void traffic_policy_check(struct document *document);

// spec.loadBalancer of a TrafficPolicy: its table, and the rules between its fields.
extern const struct table load_balancer_table;
void load_balancer_check(struct document *document);

// spec.circuitBreaker of a TrafficPolicy: the same.
extern const struct table circuit_breaker_table;
void circuit_breaker_check(struct document *document);

// spec.backendSelection of a TrafficPolicy: the same.
extern const struct table selection_table;
void selection_check(struct document *document);

// spec.outlierDetection and spec.healthCheck of a TrafficPolicy: the same.
extern const struct table outlier_table, health_check_table;
void health_groups_check(struct document *document);

// resource_mesh_config.c: the rows of mesh_fields, and the rules between them.
extern const struct table edge_table;
#define MESH_FIELD_ROWS                                                                                                                             \
    {.name = "edge", .type = VALUE_OBJECT, .object = &edge_table, .describes = "what a gateway believes and tells"},                                \
        {.name = "trustedProxies",                                                                                                                  \
         .type = VALUE_LIST,                                                                                                                        \
         .item = VALUE_CIDR,                                                                                                                        \
         ROW_LIST(struct mesh_fields, trusted_proxies.ranges, trusted_proxies.count),                                                               \
         .max = 256,                                                                                                                                \
         .describes = "addresses and ranges of balancers before this proxy: of a request that one of them sends the client is the last address of " \
                      "x-forwarded-for "                                                                                                            \
                      "that is none of them"},                                                                                                      \
    {                                                                                                                                               \
        .name = "telemetry", .type = VALUE_OBJECT, .object = &telemetry_table, .describes = "what the proxy tells of requests"                      \
    }
void mesh_fields_check(struct document *document);

// Each block of mesh_fields is the Proxy's where that has it, else the MeshConfig's; `mesh` NULL: there is none.
struct mesh_fields mesh_fields_merge(const struct document *proxy, const struct document *mesh);

// The block of spec.telemetry that counts: the Proxy's where it has it, else the MeshConfig's; NULL: there is none.
const struct node *mesh_fields_telemetry(const struct document *proxy, const struct document *mesh, const char *block);

// resource_telemetry.c: spec.telemetry of a Proxy and of the MeshConfig.
extern const struct table telemetry_table;
void telemetry_check(struct document *document);

// The fields of a share that is `share` of `spec`, all by default; and the rules between them, `node` may be NULL.
#define TELEMETRY_SHARE_ROWS(spec, share)                                                                                                   \
    {.name = "numerator", .type = VALUE_INTEGER, ROW_AT(spec, share.numerator), .max = 1000000, .fallback = "1", .describes = "so many"}, { \
        .name = "denominator", .type = VALUE_INTEGER, ROW_AT(spec, share.denominator), .min = 1, .max = 1000000, .fallback = "1",           \
        .describes = "of so many"                                                                                                           \
    }
// Of `accessLog`: a share of nothing.
void log_sampling_check(struct document *document, enum log_filter filter, const struct node *log);
void telemetry_share_check(struct document *document, const struct telemetry_share *share, const struct node *node);

// Of spec.telemetry.accessLog.
extern const struct table access_log_table;
extern const struct choice log_filters[];

// Of spec.telemetry.auditLog.
extern const struct table audit_log_table;
void audit_log_check(struct document *document);
void access_log_check(struct document *document);

// resource_listener.c: parts of a listener that are about connections rather than requests.
extern const struct table forward_table, detection_table, tcp_target_table;
extern const struct choice app_protocols[], proxy_protocols[];
void listener_check(struct document *document, struct listener_config *listener, const struct node *node);

// resource_origin.c: `tls` of a service or of one of its endpoints, `owner` being the node that has it.
extern const struct table entry_tls_table;
void entry_tls_check(struct document *document, const struct entry_tls *tls, const struct node *owner);

// The first host that is no wildcard, as a name that its certificate is for, `text` in `authority`; false: there is none.
struct authority;
bool service_entry_name(const struct service_entry_spec *spec, struct authority *authority, struct server_name *name);

// "10.0.0.1", "[::1]" and "::1" are addresses; all else is a name.
bool is_ip_address(struct bytes host);

// After each listener was checked: the ports of forwards against all else that the proxy listens on.
void listener_ports_check(struct document *document);

// The most listeners that these may become, each forward being one.
uint32_t proxy_listeners_room(const struct proxy_config *proxy);

#endif
