// Kind ServiceEntry: a service outside Kubernetes, or any service where there is none. Its table, and the rules between its fields.
#include "config/resources.h"

#include "config/authority.h"
#include "config/value.h"

#define SPEC(member) ROW_AT(struct service_entry_spec, member)
#define PORT(member) ROW_AT(struct entry_port, member)
#define ENDPOINT(member) ROW_AT(struct entry_endpoint, member)

static const struct choice protocols[] = {
    {"HTTP", PROTOCOL_HTTP, false, "HTTP/2 where the peer chooses it in the TLS handshake, else HTTP/1.1; plain text: HTTP/1.1, and HTTP/2 for gRPC"},
    {"HTTP1", PROTOCOL_HTTP1, false, "HTTP/1.1 always, toward our own proxies too: bytes and case of fields are kept"},
    {"HTTP2", PROTOCOL_HTTP2, false, "HTTP/2 always, with prior knowledge where there is no TLS"},
    {"GRPC", PROTOCOL_GRPC, false, "as HTTP2"},
    {"TCP", PROTOCOL_TCP, false, "anything: bytes go through as they come; found by a TCP listener, or by address"},
    {"TLS", PROTOCOL_TLS, false, "as TCP; also found by the name that a client asks for in its TLS handshake (SNI), which is passed through"},
    {0}};
static const struct choice resolutions[] = {
    {"Static", RESOLUTION_STATIC, false, "endpoints have IP addresses"},
    {"DNS", RESOLUTION_DNS, false, "endpoints may have names; each address of a name is an endpoint. With no endpoints: the hosts themselves"},
    {"SRV", RESOLUTION_SRV, false, "endpoints have names of SRV records, which say addresses, ports, priorities and weights"},
    {0}};
static const struct choice export_scopes[] = {{"Mesh", offsetof(struct service_entry_spec, export_mesh), false, "all namespaces"}, {0}};

static const struct row port_rows[] = {
    {.name = "name", .type = VALUE_LABEL, PORT(name), .is_required = true, .describes = "what policies call the port (sectionName)"},
    {.name = "port", .type = VALUE_INTEGER, PORT(port), .min = 1, .max = 65535, .is_required = true, .describes = "the port that callers name"},
    {.name = "targetPort",
     .type = VALUE_INTEGER,
     PORT(target_port),
     .min = 0,
     .max = 65535,
     .fallback = "0",
     .describes = "the port of endpoints that name none themselves; 0: as port"},
    {.name = "protocol",
     .type = VALUE_ENUM,
     PORT(protocol),
     .choices = protocols,
     .fallback = "HTTP",
     .describes = "what is spoken with the endpoints"},
    {0}};
static const struct table port_table = {.describes = "a port of the service",
                                        .rows = port_rows,
                                        .size = sizeof(struct entry_port),
                                        .has_place = true,
                                        .place_offset = offsetof(struct entry_port, place),
                                        .unique_key = "name"};

static const struct row endpoint_rows[] = {
    {.name = "address",
     .type = VALUE_ADDRESS,
     ENDPOINT(place),
     .forms = ADDRESS_PORT_OPTIONAL | ADDRESS_NAME,
     .is_required = true,
     .describes = "where it is, an IP address, with resolution DNS or SRV a name; with no port the service port's targetPort"},
    {.name = "weight",
     .type = VALUE_INTEGER,
     ENDPOINT(weight),
     .min = 0,
     .max = 1000000,
     .fallback = "1",
     .describes = "its share of requests against the others'; 0: it gets no new ones"},
    {.name = "zone", .type = VALUE_TEXT, ENDPOINT(zone), .describes = "the zone that it runs in: for locality"},
    {.name = "region", .type = VALUE_TEXT, ENDPOINT(region), .describes = "the region that it runs in: for locality"},
    {.name = "priority",
     .type = VALUE_INTEGER,
     ENDPOINT(priority),
     .min = 0,
     .max = 127,
     .fallback = "0",
     .describes = "those of the lowest number are used while enough of them are available, then those of the next"},
    {.name = "tls", .type = VALUE_OBJECT, .object = &entry_tls_table, .describes = "wins over the service's tls, as a whole"},
    {.name = "identity", .type = VALUE_SPIFFE_ID, ENDPOINT(identity), .describes = "for Mesh: who it must be; wins over the service's identities"},
    {0}};
static const struct table endpoint_table = {
    .describes = "an endpoint", .rows = endpoint_rows, .size = sizeof(struct entry_endpoint), .unique_key = "address"};

static const struct row service_entry_rows[] = {
    {.name = "hosts",
     .type = VALUE_LIST,
     .item = VALUE_HOST,
     ROW_LIST(struct service_entry_spec, hosts, host_count),
     .min = 1,
     .max = 256,
     .is_required = true,
     .describes = "names that callers use, with or without port; *.example.com for all below"},
    {.name = "ports",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &port_table,
     ROW_LIST(struct service_entry_spec, ports, port_count),
     .min = 1,
     .max = 64,
     .is_required = true,
     .describes = "ports of the service"},
    {.name = "resolution",
     .type = VALUE_ENUM,
     SPEC(resolution),
     .choices = resolutions,
     .fallback = "Static",
     .describes = "how addresses are found"},
    {.name = "tls", .type = VALUE_OBJECT, .object = &entry_tls_table, .describes = "TLS toward the endpoints"},
    {.name = "identities",
     .type = VALUE_LIST,
     .item = VALUE_SPIFFE_ID,
     ROW_LIST(struct service_entry_spec, identities, identity_count),
     .min = 0,
     .max = 64,
     .describes = "for Mesh: one of them must be the peer's"},
    {.name = "endpoints",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &endpoint_table,
     ROW_LIST(struct service_entry_spec, endpoints, endpoint_count),
     .is_bulk = true,
     .min = 0,
     .max = 10000,
     .describes = "where the service runs"},
    {.name = "exportTo",
     .type = VALUE_FLAGS,
     .choices = export_scopes,
     .width = sizeof(bool),
     .describes = "[Mesh]: callers of all namespaces see it; none: those of its own"},
    {0}};
const struct table service_entry_table = {
    .describes = "the hosts of a service and where it runs", .rows = service_entry_rows, .size = sizeof(struct service_entry_spec)};

static void check_ports(struct document *document) {
    const struct service_entry_spec *spec = document->spec;
    const struct node *ports = node_find(document->spec_node, "ports");
    for (uint32_t i = 1; i < spec->port_count; i++) {
        for (uint32_t j = 0; j < i && spec->ports[i].port != 0; j++) {
            if (spec->ports[i].port != spec->ports[j].port)
                continue;
            document_error(document, node_find(node_item(ports, i), "port"), NULL, "%u is the port of %.*s already", spec->ports[i].port,
                           BYTES_FORMAT(spec->ports[j].name));
            break;
        }
    }
}

static bool has_port(const struct service_entry_spec *spec, uint16_t port) {
    for (uint32_t i = 0; i < spec->port_count; i++)
        if (spec->ports[i].port == port)
            return true;
    return false;
}

static void check_hosts(struct document *document) {
    const struct service_entry_spec *spec = document->spec;
    const struct node *hosts = node_find(document->spec_node, "hosts");
    for (uint32_t i = 0; i < spec->host_count; i++) {
        struct authority authority;
        const struct node *node = node_item(hosts, i);
        if (node->bad || !authority_parse(spec->hosts[i], &authority))
            continue;
        if (authority.port != 0 && spec->port_count > 1 && !has_port(spec, authority.port))
            document_error(document, node, NULL, "has port %u, which is none of spec.ports", authority.port);
        if (bytes_ends_with(authority_host(&authority), BYTES(".svc.cluster.local")))
            document_error(document, node, NULL, "is below svc.cluster.local, which belongs to Services alone");
    }
}

// An endpoint with a port of its own is the same for all ports of the service.
static void check_endpoint_port(struct document *document, const struct entry_endpoint *endpoint, const struct node *node) {
    const struct service_entry_spec *spec = document->spec;
    const struct node *address = node_find(node, "address");
    uint16_t own = endpoint->place.address.port;
    if (own == 0 || address == NULL || address->bad)
        return;
    for (uint32_t j = 0; j < spec->port_count; j++)
        if (spec->ports[j].target_port != 0 && spec->ports[j].target_port != own)
            document_error(document, address, NULL, "has port %u, but targetPort of port %.*s is %u; allowed: an address with no port", own,
                           BYTES_FORMAT(spec->ports[j].name), spec->ports[j].target_port);
    if (spec->port_count > 1)
        document_warning(document, address, NULL, "has a port of its own: all %u ports of the service lead to it", spec->port_count);
}

static bool is_mode_known(const struct node *object) {
    const struct node *tls = node_find(object, "tls");
    const struct node *mode = node_find(tls, "mode");
    return tls == NULL || (!tls->bad && (mode == NULL || !mode->bad));
}

// An address is written as the service's resolution can read it.
static void check_address(struct document *document, const struct entry_endpoint *endpoint, const struct node *node) {
    const struct service_entry_spec *spec = document->spec;
    const struct node *address = node_find(node, "address");
    uint16_t port = endpoint->place.address.port;
    bool is_name = endpoint->place.name.len > 0;
    if (address == NULL || address->bad)
        return;
    if (spec->resolution == RESOLUTION_STATIC && is_name)
        document_error(document, address, NULL, "\"%.*s\" is a name; allowed: an IP address, or resolution: DNS", BYTES_FORMAT(endpoint->place.name));
    else if (spec->resolution == RESOLUTION_SRV && (!is_name || port != 0))
        document_error(document, address, NULL,
                       "is not the name of SRV records; allowed with resolution SRV: a name without port, as _http._tcp.%.*s",
                       BYTES_FORMAT(document->name));
    else if (spec->resolution == RESOLUTION_SRV && document_has(node, "weight") && endpoint->weight > 0)
        document_error(document, node_find(node, "weight"), NULL, "is for other resolutions: with SRV the records say weights; allowed: 0");
}

// Without endpoints the hosts are what is looked up.
static void check_hosts_resolve(struct document *document) {
    const struct service_entry_spec *spec = document->spec;
    const struct node *hosts = node_find(document->spec_node, "hosts");
    bool has_name = hosts == NULL || hosts->bad;
    for (uint32_t i = 0; i < spec->host_count; i++)
        has_name = has_name || node_item(hosts, i)->bad || !bytes_starts_with(spec->hosts[i], BYTES("*."));
    if (spec->resolution == RESOLUTION_STATIC)
        document_warning(document, document->spec_node, "endpoints", "there is none: all requests get 503 no_endpoint");
    else if (spec->resolution == RESOLUTION_SRV)
        document_error(document, document->spec_node, "endpoints",
                       "there is none; needed with resolution SRV: names of SRV records, as _http._tcp.%.*s", BYTES_FORMAT(document->name));
    else if (!has_name)
        document_error(document, document->spec_node, "endpoints", "there is none, and no host can be looked up: all are wildcards");
}

// Whether it needs one of the service's identities. An endpoint with no `tls` gets the service's.
static bool check_endpoint(struct document *document, struct entry_endpoint *endpoint, const struct node *node) {
    const struct service_entry_spec *spec = document->spec;
    const struct node *identity = node_find(node, "identity");
    check_endpoint_port(document, endpoint, node);
    check_address(document, endpoint, node);
    if (!is_mode_known(node) || !is_mode_known(document->spec_node)) {
        endpoint->tls.mode = TLS_NONE; // that has been told: nothing more is to be said of it
        return false;
    }
    if (node_find(node, "tls") == NULL)
        endpoint->tls = spec->tls;
    else
        entry_tls_check(document, &endpoint->tls, node);
    if (endpoint->tls.mode != TLS_MESH && identity != NULL && endpoint->identity.text.len > 0)
        document_error(document, identity, NULL, "is for tls.mode Mesh alone; this endpoint has %s", tls_mode_word(endpoint->tls.mode));
    bool has_own = identity != NULL && (identity->bad || endpoint->identity.text.len > 0);
    return endpoint->tls.mode == TLS_MESH && !has_own;
}

static void check_endpoints(struct document *document) {
    const struct service_entry_spec *spec = document->spec;
    const struct node *endpoints = node_find(document->spec_node, "endpoints");
    const struct node *identities = node_find(document->spec_node, "identities");
    bool needs_identities = false;
    uint64_t weight = 0;
    if (spec->endpoint_count == 0)
        check_hosts_resolve(document);
    if (spec->endpoint_count == 0 && spec->resolution == RESOLUTION_DNS && is_mode_known(document->spec_node))
        needs_identities = spec->tls.mode == TLS_MESH;
    for (const struct node *node = endpoints != NULL ? endpoints->first : NULL; node != NULL && node->index < spec->endpoint_count;
         node = node->next) {
        needs_identities = check_endpoint(document, &spec->endpoints[node->index], node) || needs_identities;
        weight += spec->endpoints[node->index].weight;
    }
    if (spec->endpoint_count > 0 && weight == 0)
        document_warning(document, endpoints, NULL, "all weigh 0: all requests get 503 no_endpoint");
    if (needs_identities && spec->identity_count == 0 && (identities == NULL || !identities->bad))
        document_error(document, identities != NULL ? identities : document->spec_node, identities != NULL ? NULL : "identities",
                       "there is none, and tls.mode Mesh takes only peers that are named; allowed: at least one SPIFFE ID, or tls: {mode: None}, or "
                       "{mode: Simple} for a server outside the mesh");
}

// Where callers speak TLS already.
static void warn_of_tls_in_tls(struct document *document) {
    const struct service_entry_spec *spec = document->spec;
    const struct node *ports = node_find(document->spec_node, "ports");
    for (uint32_t i = 0; i < spec->port_count && spec->tls.mode == TLS_SIMPLE; i++)
        if (spec->ports[i].protocol == PROTOCOL_TLS)
            document_warning(
                document, node_find(node_item(ports, i), "protocol"), NULL,
                "TLS is what callers send there, and tls.mode Simple puts it into TLS once more; meant may be TCP, or tls: {mode: None}");
}

void service_entry_check(struct document *document) {
    const struct service_entry_spec *spec = document->spec;
    check_ports(document);
    check_hosts(document);
    if (node_find(document->spec_node, "tls") != NULL && is_mode_known(document->spec_node))
        entry_tls_check(document, &spec->tls, document->spec_node);
    check_endpoints(document);
    warn_of_tls_in_tls(document);
}
