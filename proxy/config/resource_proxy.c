// Kind Proxy: what one proxy is and listens on. Its table, and the rules between its fields.
#include "config/resources.h"

#include "base/check.h"
#include "config/edge_fields.h"
#include "config/value.h"
#include "http/headers.h"

#include <netinet/in.h>
#include <sys/un.h>

#define SPEC(member) ROW_AT(struct proxy_spec, member)
#define LISTENER(member) ROW_AT(struct listener_config, member)
#define HOUR (3600 * NS_PER_S)

static const struct row service_ref_rows[] = {
    {.name = "name", .type = VALUE_LABEL, ROW_AT(struct service_ref, name), .is_required = true, .describes = "name of the Service or ServiceEntry"},
    {.name = "port",
     .type = VALUE_INTEGER,
     ROW_AT(struct service_ref, port),
     .min = 1,
     .max = 65535,
     .describes = "the port of it that is meant; none: all"},
    {0}};
static const struct table service_ref_table = {
    .describes = "a service that the proxy stands beside", .rows = service_ref_rows, .size = sizeof(struct service_ref), .unique_key = "name"};

static const struct choice roles[] = {
    {"Inbound", ROLE_INBOUND, false, "takes requests for the application beside the proxy"},
    {"Outbound", ROLE_OUTBOUND, false, "takes the application's own requests to others"},
    {"TCP", ROLE_TCP, false, "takes connections for one service, whatever they carry, also where the server speaks first"},
    {"Gateway", ROLE_GATEWAY, false, "takes requests from outside the mesh, as a Gateway says"},
    {0}};
static const struct choice mtls_modes[] = {{"Strict", MTLS_STRICT, false, "mutual TLS or nothing"},
                                           {"Permissive", MTLS_PERMISSIVE, false, "mutual TLS with peers of the mesh, plain text with others"},
                                           {"Disable", MTLS_DISABLE, false, "plain text"},
                                           {0}};
static const struct choice unknown_host_actions[] = {
    {"Reject", UNKNOWN_HOSTS_REJECT, false, "502 host_unknown"},
    {"Passthrough", UNKNOWN_HOSTS_PASSTHROUGH, false, "with transparent: they go to where the connection was going"},
    {0}};

static const struct row mtls_rows[] = {{.name = "mode",
                                        .type = VALUE_ENUM,
                                        LISTENER(mtls),
                                        .choices = mtls_modes,
                                        .fallback = "Strict",
                                        .describes = "whether peers must use mutual TLS"},
                                       {0}};
static const struct table mtls_table = {.describes = "mutual TLS of a listener", .rows = mtls_rows, .later = "plaintextFrom"};

static const struct row certificate_rows[] = {
    {.name = "name",
     .type = VALUE_LABEL,
     ROW_AT(struct certificate_files, name),
     .is_required = true,
     .describes = "what certificateRefs of the Gateway call it"},
    {.name = "namespace",
     .type = VALUE_LABEL,
     ROW_AT(struct certificate_files, namespace_name),
     .describes = "the namespace that they say it is in; by default the Proxy's. Another one needs a ReferenceGrant there"},
    {.name = "certificate",
     .type = VALUE_PATH,
     ROW_AT(struct certificate_files, certificate),
     .is_required = true,
     .describes = "PEM, the certificate, then its intermediates; relative to the folder of this document's file"},
    {.name = "privateKey",
     .type = VALUE_PATH,
     ROW_AT(struct certificate_files, private_key),
     .is_required = true,
     .describes = "PEM, the key of the certificate"},
    {0}};
static const struct table certificate_table = {.describes = "a certificate for clients",
                                               .rows = certificate_rows,
                                               .size = sizeof(struct certificate_files),
                                               .has_place = true,
                                               .place_offset = offsetof(struct certificate_files, place),
                                               .unique_key = "name"};

static const struct row listener_rows[] = {
    {.name = "name", .type = VALUE_LABEL, LISTENER(name), .is_required = true, .describes = "what logs and metrics call the listener"},
    {.name = "role", .type = VALUE_ENUM, LISTENER(role), .choices = roles, .is_required = true, .describes = "whose requests it takes"},
    {.name = "address",
     .type = VALUE_ADDRESS,
     LISTENER(address),
     .describes = "where it listens; for Inbound 0.0.0.0:15006, for Outbound 127.0.0.1:15001 unless said otherwise; for TCP it is required; for "
                  "Gateway its port "
                  "is that of listeners of the Gateway"},
    {.name = "forwardTo", .type = VALUE_ADDRESS, LISTENER(forward_to), .describes = "Inbound, needed there: where the application listens"},
    {.name = "mtls", .type = VALUE_OBJECT, .object = &mtls_table, .describes = "Inbound: mutual TLS with callers"},
    {.name = "appProtocol",
     .type = VALUE_ENUM,
     LISTENER(app_protocol),
     .choices = app_protocols,
     .describes = "Inbound: what the application speaks; none: HTTP/1.1, and HTTP/2 for gRPC, or what first bytes say where there is detection"},
    {.name = "service",
     .type = VALUE_OBJECT,
     .object = &tcp_target_table,
     .describes = "TCP, needed there: the service that all its connections are for"},
    {.name = "unknownHosts",
     .type = VALUE_ENUM,
     LISTENER(unknown_hosts),
     .choices = unknown_host_actions,
     .fallback = "Reject",
     .describes =
         "Outbound: what becomes of requests and connections for hosts that no document has; Passthrough where transparent, unless said otherwise"},
    {.name = "forwards",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &forward_table,
     ROW_LIST(struct listener_config, forwards, forward_count),
     .min = 0,
     .max = 32,
     .describes = "Inbound: further ports of the application; each is listened on, or with transparent told by where a connection was going"},
    {.name = "transparent",
     .type = VALUE_BOOL,
     LISTENER(transparent),
     .fallback = "false",
     .describes = "Inbound, Outbound: connections are redirected here by the packet filter, and go by where they were going"},
    {.name = "detection",
     .type = VALUE_OBJECT,
     .object = &detection_table,
     .describes = "Inbound, or transparent: first bytes tell what no document does"},
    {.name = "proxyProtocol",
     .type = VALUE_ENUM,
     LISTENER(proxy_protocol),
     .choices = proxy_protocols,
     .fallback = "Disable",
     .describes = "whether the PROXY protocol's header (v1, v2) says who the client is: for whoever is reached by trusted load balancers alone"},
    {.name = "gateway",
     .type = VALUE_LABEL,
     LISTENER(gateway_name),
     .describes = "Gateway, needed there: the Gateway of the Proxy's namespace whose listeners on the address's port it stands for"},
    {.name = "certificates",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &certificate_table,
     ROW_LIST(struct listener_config, certificates, certificate_count),
     .max = 256,
     .describes = "Gateway: where the certificates lie that its Gateway names; watched for changes"},
    {0}};
static const struct table listener_table = {.describes = "a listener",
                                            .rows = listener_rows,
                                            .size = sizeof(struct listener_config),
                                            .has_place = true,
                                            .place_offset = offsetof(struct listener_config, place),
                                            .unique_key = "name"};

static const struct row admin_rows[] = {
    {.name = "address",
     .type = VALUE_ADDRESS,
     SPEC(config.admin),
     .forms = ADDRESS_UNIX,
     .fallback = "127.0.0.1:15000",
     .describes = "where it listens: loopback, or unix:/path (mode 0600)"},
    {.name = "tokenFile",
     .type = VALUE_PATH,
     SPEC(config.admin_token_file),
     .describes = "what a change over TCP must show as a bearer token, read each time; none: changes are taken over a Unix socket alone"},
    {.name = "disabled", .type = VALUE_BOOL, SPEC(admin_disabled), .fallback = "false", .describes = "no admin listener"},
    {0}};
static const struct table admin_table = {.describes = "the admin listener", .rows = admin_rows};

static const struct row metrics_rows[] = {
    {.name = "address", .type = VALUE_ADDRESS, SPEC(config.metrics), .fallback = "0.0.0.0:15020", .describes = "where it listens"},
    {.name = "disabled", .type = VALUE_BOOL, SPEC(metrics_disabled), .fallback = "false", .describes = "no listener for metrics and probes"},
    {0}};
static const struct table metrics_table = {.describes = "the listener for /metrics, /healthz and /readyz; it changes nothing", .rows = metrics_rows};

static const struct choice identity_sources[] = {
    {"Files", 0, false, "PEM files, watched for changes"}, {"Control", 0, true, NULL}, {"WorkloadAPI", 0, true, NULL}, {0}};
static const struct row identity_rows[] = {
    {.name = "source",
     .type = VALUE_ENUM,
     SPEC(identity_source),
     .choices = identity_sources,
     .fallback = "Files",
     .describes = "where certificates come from"},
    {.name = "certificate",
     .type = VALUE_PATH,
     SPEC(config.identity.certificate),
     .describes = "Files, needed there: PEM, own certificate, then its intermediates; relative to the folder of this document's file"},
    {.name = "privateKey",
     .type = VALUE_PATH,
     SPEC(config.identity.private_key),
     .describes = "Files, needed there: PEM, the key of the certificate"},
    {.name = "trustBundle",
     .type = VALUE_PATH,
     SPEC(config.identity.trust_bundle),
     .describes = "Files, needed there: PEM, the roots that peers are checked against"},
    {0}};
static const struct table identity_table = {.describes = "who the proxy is in mutual TLS", .rows = identity_rows};

static const struct row limits_rows[] = {{.name = "connections",
                                          .type = VALUE_INTEGER,
                                          SPEC(config.limits.connections),
                                          .min = 1,
                                          .max = 1000000,
                                          .fallback = "10000",
                                          .describes = "connections that each listener keeps open"},
                                         {.name = "headers",
                                          .type = VALUE_INTEGER,
                                          SPEC(config.limits.headers),
                                          .min = 1,
                                          .max = 10000,
                                          .fallback = "100",
                                          .describes = "fields of a head; more: 431"},
                                         {.name = "headerBytes",
                                          .type = VALUE_QUANTITY,
                                          SPEC(config.limits.header_bytes),
                                          .min = 1024,
                                          .max = 1 << 20,
                                          .fallback = "60Ki",
                                          .describes = "names and values of a head together, 32 more for each; more: 431"},
                                         {.name = "urlBytes",
                                          .type = VALUE_QUANTITY,
                                          SPEC(config.limits.url_bytes),
                                          .min = 128,
                                          .max = 1 << 20,
                                          .fallback = "8Ki",
                                          .describes = "path and query; more: 414"},
                                         {.name = "bodyBytes",
                                          .type = VALUE_QUANTITY,
                                          SPEC(config.limits.body_bytes),
                                          .min = 0,
                                          .max = UINT64_C(1) << 50,
                                          .fallback = "0",
                                          .describes = "body of a request; more: 413; 0: no limit"},
                                         {.name = "streamsPerConnection",
                                          .type = VALUE_INTEGER,
                                          SPEC(config.limits.streams_per_connection),
                                          .min = 1,
                                          .max = 100000,
                                          .fallback = "100",
                                          .describes = "requests at a time on one HTTP/2 connection"},
                                         {.name = "bufferPerStream",
                                          .type = VALUE_QUANTITY,
                                          SPEC(config.limits.buffer_per_stream),
                                          .min = 16384,
                                          .max = 16 << 20,
                                          .fallback = "64Ki",
                                          .describes = "bytes of a body held in each direction"},
                                         {.name = "headerTimeout",
                                          .type = VALUE_DURATION,
                                          SPEC(config.limits.header_timeout),
                                          .min = NS_PER_MS,
                                          .max = HOUR,
                                          .fallback = "10s",
                                          .describes = "for a whole head to come; then 408"},
                                         {.name = "bodyIdleTimeout",
                                          .type = VALUE_DURATION,
                                          SPEC(config.limits.body_idle_timeout),
                                          .min = NS_PER_MS,
                                          .max = 24 * HOUR,
                                          .fallback = "60s",
                                          .describes = "between two pieces of a body; then 408"},
                                         {.name = "idleTimeout",
                                          .type = VALUE_DURATION,
                                          SPEC(config.limits.idle_timeout),
                                          .min = NS_PER_MS,
                                          .max = 168 * HOUR,
                                          .fallback = "1h",
                                          .describes = "a connection with no request on it is closed after this"},
                                         {.name = "drainTimeout",
                                          .type = VALUE_DURATION,
                                          SPEC(config.limits.drain_timeout),
                                          .min = 0,
                                          .max = 24 * HOUR,
                                          .fallback = "20s",
                                          .describes = "for requests to end when the proxy is told to"},
                                         {.name = "memoryPercent",
                                          .type = VALUE_INTEGER,
                                          SPEC(config.limits.memory_percent),
                                          .min = 1,
                                          .max = 100,
                                          .fallback = "80",
                                          .describes = "of the cgroup's memory limit that may be used before load is shed"},
                                         {0}};
static const struct table limits_table = {.describes = "bounds on what peers can make the proxy hold", .rows = limits_rows};

static const struct row dns_rows[] = {{.name = "servers",
                                       .type = VALUE_LIST,
                                       .item = VALUE_ADDRESS,
                                       .forms = ADDRESS_PORT_OPTIONAL,
                                       ROW_LIST(struct proxy_spec, dns_servers, dns_server_count),
                                       .min = 0,
                                       .max = 8,
                                       .describes = "name servers, asked in this order; none: those of /etc/resolv.conf"},
                                      {0}};
static const struct table dns_table = {.describes = "how names of endpoints are looked up", .rows = dns_rows};

static const struct row debug_rows[] = {{.name = "header",
                                         .type = VALUE_TEXT,
                                         SPEC(config.debug_header),
                                         .describes = "a request from inside that has this field gets one of that name in its answer: what was "
                                                      "decided about it, as JSON; from outside by a gateway whose "
                                                      "edge.trustHeaders has it; x-debug or x-debug-..., which gateways guard"},
                                        {0}};
static const struct table debug_table = {.describes = "how requests ask what was decided about them", .rows = debug_rows};

static const struct choice hardening_modes[] = {
    {"Enforce", HARDENING_ENFORCE, false, "where the kernel has it"}, {"Disable", HARDENING_DISABLE, false, "not at all"}, {0}};
static const struct row hardening_rows[] = {{.name = "seccomp",
                                             .type = VALUE_ENUM,
                                             SPEC(config.hardening.seccomp),
                                             .choices = hardening_modes,
                                             .fallback = "Enforce",
                                             .describes = "no system calls but those that a proxy makes"},
                                            {.name = "landlock",
                                             .type = VALUE_ENUM,
                                             SPEC(config.hardening.landlock),
                                             .choices = hardening_modes,
                                             .fallback = "Enforce",
                                             .describes = "no files but in the folders that the documents named at the start"},
                                            {0}};
static const struct table hardening_table = {.describes = "what the process takes from itself at its start", .rows = hardening_rows};
static const struct row upgrade_rows[] = {
    {.name = "path",
     .type = VALUE_PATH,
     SPEC(config.upgrade_path),
     .describes = "of a Unix socket (mode 0600) by which `outrigger-proxy --upgrade` takes over; none: it cannot"},
    {0}};
static const struct table upgrade_table = {.describes = "how a newer process takes the place of this one", .rows = upgrade_rows};

static const struct row proxy_rows[] = {
    {.name = "services",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &service_ref_table,
     ROW_LIST(struct proxy_spec, services, service_count),
     .min = 0,
     .max = PROXY_SERVICES_MAX,
     .describes =
         "what it stands beside; no document needs to describe it. Policies for any of them act on its application, which is called by the first"},
    {.name = "service", .type = VALUE_LABEL, SPEC(service), .describes = "short for one of services"},
    {.name = "workers",
     .type = VALUE_INTEGER,
     SPEC(config.workers),
     .min = 0,
     .max = 16,
     .fallback = "1",
     .describes = "threads that carry traffic; 0: as many as the CPUs that it may use, at most 4"},
    {.name = "listeners",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &listener_table,
     ROW_LIST(struct proxy_spec, config.listeners, config.listener_count),
     .min = 1,
     .max = 64,
     .is_required = true,
     .describes = "where it takes requests"},
    {.name = "admin", .type = VALUE_OBJECT, .object = &admin_table, .describes = "the admin listener"},
    {.name = "metrics", .type = VALUE_OBJECT, .object = &metrics_table, .describes = "the listener for metrics and probes"},
    {.name = "identity", .type = VALUE_OBJECT, .object = &identity_table, .describes = "who the proxy is; needed for mutual TLS"},
    {.name = "limits", .type = VALUE_OBJECT, .object = &limits_table, .describes = "bounds on what peers can make the proxy hold"},
    {.name = "debug", .type = VALUE_OBJECT, .object = &debug_table, .describes = "how requests ask what was decided about them"},
    {.name = "dns", .type = VALUE_OBJECT, .object = &dns_table, .describes = "how names of endpoints are looked up"},
    MESH_FIELD_ROWS,
    {.name = "hardening", .type = VALUE_OBJECT, .object = &hardening_table, .describes = "what the process takes from itself at its start"},
    {.name = "upgrade", .type = VALUE_OBJECT, .object = &upgrade_table, .describes = "how a newer process takes the place of this one"},
    {0}};
const struct table proxy_table = {.describes = "what one proxy is and listens on",
                                  .rows = proxy_rows,
                                  .size = sizeof(struct proxy_spec),
                                  .has_place = true,
                                  .place_offset = offsetof(struct proxy_spec, config.place),
                                  .later = "control redis trust trustDomain mtls outbound"};

static void refuse_field(struct document *document, const struct node *listener, const char *field, const char *role) {
    const struct node *node = node_find(listener, field);
    if (node != NULL)
        document_error(document, node, NULL, "is for role %s alone", role);
}

// The address by role, where the document has none.
static void complete_address(struct document *document, struct listener_config *listener, struct node *node) {
    if (node_find(node, "address") != NULL)
        return;
    if (listener->role == ROLE_TCP) {
        document_error(document, node, "address", "is required for role TCP: where it listens, as 127.0.0.1:3306");
        return;
    }
    struct bytes text = listener->role == ROLE_INBOUND ? BYTES("0.0.0.0:15006") : BYTES("127.0.0.1:15001");
    CHECK(address_parse(text, ADDRESS_PORT, &listener->address));
}

static void check_gateway_listener(struct document *document, struct node *node) {
    static const char *const not_of_it[] = {"forwardTo", "mtls", "appProtocol"};
    for (size_t i = 0; i < sizeof(not_of_it) / sizeof(not_of_it[0]); i++)
        refuse_field(document, node, not_of_it[i], "Inbound");
    refuse_field(document, node, "unknownHosts", "Outbound");
    if (node_find(node, "gateway") == NULL)
        document_error(document, node, "gateway", "is required for role Gateway: the name of a Gateway");
    if (node_find(node, "address") == NULL)
        document_error(document, node, "address", "is required for role Gateway");
}

static void check_listener(struct document *document, struct listener_config *listener, struct node *node) {
    const struct proxy_spec *spec = document->spec;
    if (!document_has(node, "role"))
        return;
    listener_check(document, listener, node);
    if (listener->role != ROLE_TCP)
        refuse_field(document, node, "service", "TCP");
    else if (node_find(node, "service") == NULL)
        document_error(document, node, "service", "is required for role TCP: {name: ..., port: ...}");
    if (listener->role == ROLE_GATEWAY) {
        check_gateway_listener(document, node);
        return;
    }
    refuse_field(document, node, "gateway", "Gateway");
    refuse_field(document, node, "certificates", "Gateway");
    complete_address(document, listener, node);
    if (listener->role != ROLE_OUTBOUND)
        refuse_field(document, node, "unknownHosts", "Outbound");
    if (listener->role != ROLE_INBOUND) {
        refuse_field(document, node, "forwardTo", "Inbound");
        refuse_field(document, node, "mtls", "Inbound");
        refuse_field(document, node, "appProtocol", "Inbound");
        return;
    }
    if (node_find(node, "forwardTo") == NULL && node_find(node, "forwards") == NULL && !listener->transparent)
        document_error(document, node, "forwardTo", "is required for role Inbound: where the application listens, as 127.0.0.1:8000");
    if (listener->mtls != MTLS_DISABLE && !spec->config.identity.given)
        document_error(document, node, "mtls.mode", "%s needs spec.identity; without it allowed: Disable", mtls_modes[listener->mtls].name);
}

static bool is_any(const struct socket_address *address) {
    if (address->storage.ss_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, &address->storage, sizeof(v4));
        return v4.sin_addr.s_addr == htonl(INADDR_ANY);
    }
    struct sockaddr_in6 v6;
    memcpy(&v6, &address->storage, sizeof(v6));
    return IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr);
}

static bool is_loopback(const struct socket_address *address) {
    if (address->storage.ss_family == AF_UNIX)
        return true;
    if (address->storage.ss_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, &address->storage, sizeof(v4));
        return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
    }
    struct sockaddr_in6 v6;
    memcpy(&v6, &address->storage, sizeof(v6));
    return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

static bool addresses_clash(const struct socket_address *a, const struct socket_address *b) {
    if (a->length == 0 || b->length == 0 || a->storage.ss_family != b->storage.ss_family)
        return false;
    if (a->length == b->length && memcmp(&a->storage, &b->storage, a->length) == 0)
        return true;
    return a->storage.ss_family != AF_UNIX && address_port(a) == address_port(b) && (is_any(a) || is_any(b));
}

struct bound {
    const struct socket_address *address;
    const struct node *node; // what has the address
    const char *name;        // what messages call it
};

// All that the proxy listens on; no two may share an address.
static void check_clashes(struct document *document) {
    const struct proxy_spec *spec = document->spec;
    const struct node *listeners = node_find(document->spec_node, "listeners");
    struct bound bounds[64 + 2];
    uint32_t count = 0;
    for (uint32_t i = 0; i < spec->config.listener_count; i++) {
        struct bytes own = spec->config.listeners[i].name;
        struct bytes name =
            own.len > 0 ? pool_format(document->loading->scratch, "listener %.*s", BYTES_FORMAT(own)) : BYTES("a listener with no name");
        bounds[count++] = (struct bound){&spec->config.listeners[i].address, node_item(listeners, i), name.at};
    }
    bounds[count++] = (struct bound){&spec->config.admin, node_find(document->spec_node, "admin"), "admin"};
    bounds[count++] = (struct bound){&spec->config.metrics, node_find(document->spec_node, "metrics"), "metrics"};
    for (uint32_t i = 1; i < count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            if (!addresses_clash(bounds[i].address, bounds[j].address))
                continue;
            const struct node *node = bounds[i].node != NULL ? bounds[i].node : document->spec_node;
            const struct node *field = node_find(node, "address");
            document_error(document, field != NULL ? field : node, NULL, "%s listens on %.*s, which %s has already (%.*s)", bounds[i].name,
                           BYTES_FORMAT(bounds[i].address->text), bounds[j].name, BYTES_FORMAT(bounds[j].address->text));
            break;
        }
    }
}

// An application that is one of our own listeners would send each request round and round.
static void check_forwards(struct document *document) {
    const struct proxy_spec *spec = document->spec;
    const struct node *listeners = node_find(document->spec_node, "listeners");
    for (uint32_t i = 0; i < spec->config.listener_count; i++) {
        const struct socket_address *target = &spec->config.listeners[i].forward_to;
        for (uint32_t j = 0; j < spec->config.listener_count && target->length > 0 && is_loopback(target); j++) {
            const struct listener_config *listener = &spec->config.listeners[j];
            if (addresses_clash(target, &listener->address))
                document_error(document, node_find(node_item(listeners, i), "forwardTo"), NULL,
                               "%.*s is where listener %.*s listens, not the application", BYTES_FORMAT(target->text), BYTES_FORMAT(listener->name));
        }
    }
}

static void check_service(struct document *document) {
    struct proxy_spec *spec = document->spec;
    const struct node *services = node_find(document->spec_node, "services");
    const struct node *service = node_find(document->spec_node, "service");
    if (services != NULL && service != NULL)
        document_error(document, service, NULL, "is short for spec.services: one of the two may stand");
    spec->config.service = spec->service_count > 0 ? spec->services[0].name : spec->service;
}

static void check_optional_listener(struct document *document, const char *field, bool is_disabled, struct socket_address *address) {
    const struct node *node = node_find(document->spec_node, field);
    if (!is_disabled)
        return;
    *address = (struct socket_address){0};
    if (node_find(node, "address") != NULL)
        document_error(document, node_find(node, "address"), NULL, "stands beside disabled: true; one of the two may stand");
}

static void check_identity(struct document *document, const struct node *identity) {
    static const char *const files[] = {"certificate", "privateKey", "trustBundle"};
    const struct node *source = node_find(identity, "source");
    bool is_files = identity != NULL && identity->kind == NODE_OBJECT && (source == NULL || !source->bad);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && is_files; i++)
        if (node_find(identity, files[i]) == NULL)
            document_error(document, identity, files[i], "is required for source Files: the path of a PEM file");
}

static void check_admin(struct document *document) {
    const struct proxy_spec *spec = document->spec;
    const struct node *admin = node_find(document->spec_node, "admin");
    const struct node *address = node_find(admin, "address");
    const struct node *token = node_find(admin, "tokenFile");
    if (token != NULL && spec->admin_disabled)
        document_error(document, token, NULL, "stands beside disabled: true; one of the two may stand");
    else if (token != NULL && spec->config.admin.storage.ss_family == AF_UNIX)
        document_warning(document, token, NULL, "is asked for over TCP alone: on a Unix socket the file's mode says who may change things");
    if (address != NULL && !address->bad && spec->config.admin.length > 0 && !is_loopback(&spec->config.admin))
        document_warning(document, address, NULL, "%.*s can be reached from other machines; better: 127.0.0.1 or unix:/path",
                         BYTES_FORMAT(spec->config.admin.text));
}

static void check_upgrade(struct document *document) {
    const struct proxy_spec *spec = document->spec;
    const struct sockaddr_un *address = NULL;
    const struct node *node = node_find(node_find(document->spec_node, "upgrade"), "path");
    if (node != NULL && spec->config.upgrade_path.len >= sizeof address->sun_path)
        document_error(document, node, NULL, "is %zu bytes long; a socket's path has at most %zu", spec->config.upgrade_path.len,
                       sizeof address->sun_path - 1);
}

// One that means something already would be answered with something else; one that gateways let pass would tell strangers.
static void check_debug(struct document *document) {
    const struct proxy_spec *spec = document->spec;
    const struct node *node = node_find(node_find(document->spec_node, "debug"), "header");
    if (node == NULL || node->bad)
        return;
    const struct bytes name = spec->config.debug_header;
    if (!is_token(name) || !edge_field_is_of_debugging(name) || !edge_field_may_be_trusted(name))
        document_error(document, node, NULL, "%.*s is no name that every gateway takes off requests from outside; allowed: x-debug, x-debug-...",
                       BYTES_FORMAT(spec->config.debug_header));
}

void proxy_check(struct document *document) {
    struct proxy_spec *spec = document->spec;
    spec->config.namespace_name = document->namespace_name;
    spec->config.name = document->name;
    const struct node *identity = node_find(document->spec_node, "identity");
    spec->config.identity.given = identity != NULL;
    spec->config.identity.place = document_place(document, identity);
    check_identity(document, identity);
    check_service(document);
    check_optional_listener(document, "admin", spec->admin_disabled, &spec->config.admin);
    check_optional_listener(document, "metrics", spec->metrics_disabled, &spec->config.metrics);
    const struct node *listeners = node_find(document->spec_node, "listeners");
    for (uint32_t i = 0; i < spec->config.listener_count; i++)
        check_listener(document, &spec->config.listeners[i], node_item(listeners, i));
    check_clashes(document);
    listener_ports_check(document);
    check_forwards(document);
    check_admin(document);
    mesh_fields_check(document);
    check_upgrade(document);
    check_debug(document);
}
