// Parts of a listener of kind Proxy that are about connections rather than requests: forwards, redirection, detection, the PROXY protocol. Their tables, and the rules
// between them.
#include "config/resources.h"

#include "config/value.h"

#define FORWARD(member) ROW_AT(struct forward_config, member)
#define LISTENER(member) ROW_AT(struct listener_config, member)

const struct choice app_protocols[] = {{"HTTP", APP_PROTOCOL_HTTP, false, "HTTP/1.1, and HTTP/2 for gRPC"},
                                       {"HTTP1", APP_PROTOCOL_HTTP1, false, "HTTP/1.1 always"},
                                       {"HTTP2", APP_PROTOCOL_HTTP2, false, "HTTP/2 with prior knowledge always"},
                                       {"TCP", APP_PROTOCOL_TCP, false, "anything: bytes go through as they come"},
                                       {0}};
const struct choice proxy_protocols[] = {{"Disable", PROXY_PROTOCOL_DISABLE, false, "it is not read"},
                                         {"Accept", PROXY_PROTOCOL_ACCEPT, false, "it is read where it comes"},
                                         {"Require", PROXY_PROTOCOL_REQUIRE, false, "a connection without it is closed"},
                                         {0}};
static const struct choice detection_timeouts[] = {{"TCP", DETECTION_TCP, false, "it is relayed as it is: its server may be the one to speak first"},
                                                   {"Close", DETECTION_CLOSE, false, "it is closed"},
                                                   {0}};

static const struct row tcp_target_rows[] = {
    {.name = "name", .type = VALUE_LABEL, LISTENER(target.name), .is_required = true, .describes = "name of a ServiceEntry of the proxy's namespace"},
    {.name = "port",
     .type = VALUE_INTEGER,
     LISTENER(target.port),
     .min = 1,
     .max = 65535,
     .describes = "its port, one of protocol TCP or TLS; may be left out where there is only one such"},
    {0}};
const struct table tcp_target_table = {.describes = "the service that a TCP listener is for", .rows = tcp_target_rows};

static const struct row forward_rows[] = {
    {.name = "port", .type = VALUE_INTEGER, FORWARD(port), .min = 1, .max = 65535, .is_required = true, .describes = "the port that callers reach"},
    {.name = "to", .type = VALUE_ADDRESS, FORWARD(to), .is_required = true, .describes = "where the application listens"},
    {.name = "protocol",
     .type = VALUE_ENUM,
     FORWARD(protocol),
     .choices = app_protocols,
     .describes = "what it speaks there; none: as the listener's appProtocol does without a word"},
    {0}};
const struct table forward_table = {.describes = "a port of the application",
                                    .rows = forward_rows,
                                    .size = sizeof(struct forward_config),
                                    .has_place = true,
                                    .place_offset = offsetof(struct forward_config, place),
                                    .unique_key = "port"};

static const struct row detection_rows[] = {{.name = "timeout",
                                             .type = VALUE_DURATION,
                                             LISTENER(detection.timeout),
                                             .min = NS_PER_MS,
                                             .max = 60 * NS_PER_S,
                                             .fallback = "1s",
                                             .describes = "how long first bytes are waited for"},
                                            {.name = "onTimeout",
                                             .type = VALUE_ENUM,
                                             LISTENER(detection.on_timeout),
                                             .choices = detection_timeouts,
                                             .fallback = "TCP",
                                             .describes = "what becomes of a connection on which none came"},
                                            {0}};
const struct table detection_table = {.describes = "what is spoken, where no document says it", .rows = detection_rows};

static void refuse(struct document *document, const struct node *listener, const char *field, const char *why) {
    const struct node *node = node_find(listener, field);
    if (node != NULL && !node->bad)
        document_error(document, node, NULL, "%s", why);
}

void listener_check(struct document *document, struct listener_config *listener, const struct node *node) {
    listener->detection.given = node_find(node, "detection") != NULL;
    if (listener->role == ROLE_TCP || listener->role == ROLE_GATEWAY) {
        refuse(document, node, "transparent", "is for roles Inbound and Outbound alone");
        refuse(document, node, "detection", "has nothing to do here: what is spoken is said");
    }
    if (listener->role != ROLE_INBOUND)
        refuse(document, node, "forwards", "is for role Inbound alone");
    if (listener->role != ROLE_OUTBOUND)
        return;
    const struct node *unknown = node_find(node, "unknownHosts");
    if (unknown == NULL && listener->transparent)
        listener->unknown_hosts = UNKNOWN_HOSTS_PASSTHROUGH;
    if (listener->transparent)
        return;
    refuse(document, node, "detection", "needs transparent: true: only then is it known where opaque bytes are to go");
    if (unknown != NULL && listener->unknown_hosts == UNKNOWN_HOSTS_PASSTHROUGH)
        document_error(document, unknown, NULL, "Passthrough needs transparent: true: only then is it known where to pass; allowed: Reject");
}

uint32_t proxy_listeners_room(const struct proxy_config *proxy) {
    uint32_t room = proxy->listener_count;
    for (uint32_t i = 0; i < proxy->listener_count; i++)
        room += proxy->listeners[i].forward_count;
    return room;
}

// An unspecified address takes the port of all.
static bool has_port(const struct socket_address *address, const struct listener_config *near, uint16_t port) {
    if (address->length == 0 || address->storage.ss_family != near->address.storage.ss_family || address_port(address) != port)
        return false;
    struct socket_address own = near->address;
    address_set_port(&own, port);
    bool is_same = own.length == address->length && memcmp(&own.storage, &address->storage, own.length) == 0;
    return is_same || bytes_starts_with(address->text, BYTES("0.0.0.0:")) || bytes_starts_with(address->text, BYTES("[::]:")) ||
           bytes_starts_with(own.text, BYTES("0.0.0.0:")) || bytes_starts_with(own.text, BYTES("[::]:"));
}

static void check_port(struct document *document, const struct listener_config *listener, const struct forward_config *forward,
                       const struct node *node) {
    const struct proxy_config *proxy = &((const struct proxy_spec *)document->spec)->config;
    const struct node *port = node_find(node, "port");
    const char *owner = has_port(&proxy->admin, listener, forward->port)     ? "admin"
                        : has_port(&proxy->metrics, listener, forward->port) ? "metrics"
                                                                             : NULL;
    for (uint32_t i = 0; i < proxy->listener_count && owner == NULL; i++) {
        const struct listener_config *other = &proxy->listeners[i];
        const bool listens = other->forward_count == 0 || other->forward_to.length > 0;
        if (listens && has_port(&other->address, listener, forward->port))
            owner = "another listener";
        for (uint32_t j = 0; j < other->forward_count && other != listener && !other->transparent; j++)
            if (other->forwards[j].port == forward->port)
                owner = "a forward of another listener";
    }
    if (owner != NULL)
        document_error(document, port, NULL, "%u is where %s listens already", forward->port, owner);
}

void listener_ports_check(struct document *document) {
    const struct proxy_spec *spec = document->spec;
    const struct node *listeners = node_find(document->spec_node, "listeners");
    for (uint32_t i = 0; i < spec->config.listener_count; i++) {
        const struct listener_config *listener = &spec->config.listeners[i];
        const struct node *forwards = node_find(node_item(listeners, i), "forwards");
        if (listener->address.length == 0 || listener->address.storage.ss_family == AF_UNIX || listener->transparent)
            continue;
        for (uint32_t j = 0; j < listener->forward_count; j++)
            if (document_has(node_item(forwards, j), "port"))
                check_port(document, listener, &listener->forwards[j], node_item(forwards, j));
    }
    if (proxy_listeners_room(&spec->config) > PROXY_LISTENERS_MAX)
        document_error(document, listeners, NULL, "with their forwards there are more than %u listeners", PROXY_LISTENERS_MAX);
}
