// The life of a snapshot, and the look-up that each outbound request makes in it.
#include "config/snapshot.h"

#include "base/check.h"
#include "config/authority.h"
#include "config/memory.h"

#include <arpa/inet.h>
#include <stdio.h>

struct snapshot *snapshot_ref(struct snapshot *snapshot) {
    uint32_t before = atomic_fetch_add_explicit(&snapshot->references, 1, memory_order_relaxed);
    CHECK(before > 0);
    return snapshot;
}

void snapshot_unref(struct snapshot *snapshot) {
    uint32_t before = atomic_fetch_sub_explicit(&snapshot->references, 1, memory_order_acq_rel);
    CHECK(before > 0);
    if (before > 1)
        return;
    map_dispose(&snapshot->hosts);
    map_dispose(&snapshot->opaque_hosts);
    map_dispose(&snapshot->tls_hosts);
    for (struct route_table *table = snapshot->route_tables; table != NULL; table = table->following) {
        map_dispose(&table->server_names);
        map_dispose(&table->exact);
        map_dispose(&table->prefixes);
    }
    for (struct gateway_listener *listener = snapshot->gateway_listeners; listener != NULL; listener = listener->following)
        map_dispose(&listener->hosts);
    config_memory_destroy(snapshot->memory); // the snapshot itself lies in it
}

static const struct service_config *find_in(const struct map *hosts, struct bytes text, uint16_t default_port) {
    struct authority authority;
    if (!authority_parse(text, &authority))
        return NULL;
    uint16_t port = authority.port != 0 ? authority.port : default_port;
    struct bytes host = authority_host(&authority);
    struct bytes with_port = port != 0 ? authority_with_port(&authority, port) : host;
    const struct service_config *service = map_get(hosts, with_port);
    if (service == NULL)
        service = map_get(hosts, host);
    // ".b.c:80", ".b.c", ".c:80", ".c" for "a.b.c": all are ends of the one text.
    for (size_t i = 0; i < host.len && service == NULL; i++) {
        if (host.at[i] != '.')
            continue;
        service = map_get(hosts, bytes_from(with_port.at + i, with_port.len - i));
        if (service == NULL)
            service = map_get(hosts, bytes_from(host.at + i, host.len - i));
    }
    return service;
}

const struct service_config *snapshot_find_host(const struct snapshot *snapshot, struct bytes authority, uint16_t default_port) {
    return find_in(&snapshot->hosts, authority, default_port);
}

const struct service_config *snapshot_find_server_name(const struct snapshot *snapshot, struct bytes name, uint16_t port) {
    const struct service_config *service = find_in(&snapshot->tls_hosts, name, port);
    return service != NULL && (port == 0 || service->port == port) ? service : NULL;
}

static const void *ip_of(const struct sockaddr *address, uint16_t *port) {
    const void *whole = address;
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = whole;
        *port = ntohs(v4->sin_port);
        return &v4->sin_addr;
    }
    const struct sockaddr_in6 *v6 = whole;
    *port = ntohs(v6->sin6_port);
    return &v6->sin6_addr;
}

const struct service_config *snapshot_find_destination(const struct snapshot *snapshot, const struct sockaddr *destination) {
    char host[INET6_ADDRSTRLEN];
    char text[sizeof host + sizeof "[]:65535"];
    uint16_t port;
    if (inet_ntop(destination->sa_family, ip_of(destination, &port), host, sizeof host) == NULL)
        return NULL;
    int length = snprintf(text, sizeof text, destination->sa_family == AF_INET ? "%s:%u" : "[%s]:%u", host, port);
    const struct service_config *service = map_get(&snapshot->opaque_hosts, bytes_from(text, (size_t)length));
    return service != NULL ? service : map_get(&snapshot->hosts, bytes_from(text, (size_t)length));
}

static bool is_any(const struct sockaddr *address) {
    static const unsigned char zero[sizeof(struct in6_addr)];
    uint16_t port;
    return memcmp(ip_of(address, &port), zero, address->sa_family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr)) == 0;
}

bool snapshot_listens_at(const struct snapshot *snapshot, const struct sockaddr *address, bool is_here) {
    const struct proxy_config *proxy = &snapshot->proxy;
    uint16_t port, own_port;
    const void *ip = ip_of(address, &port);
    for (uint32_t i = 0; i < proxy->listener_count; i++) {
        const struct sockaddr *own = (const void *)&proxy->listeners[i].address.storage;
        const void *own_ip = ip_of(own, &own_port);
        if (own->sa_family != address->sa_family || own_port != port)
            continue;
        const size_t size = own->sa_family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr);
        if (memcmp(own_ip, ip, size) == 0 || (is_any(own) && is_here))
            return true;
    }
    return false;
}

const struct forward_config *listener_forward(const struct listener_config *listener, const struct sockaddr *destination) {
    uint16_t port;
    (void)ip_of(destination, &port);
    for (uint32_t i = 0; i < listener->forward_count; i++)
        if (listener->forwards[i].port == port)
            return &listener->forwards[i];
    return NULL;
}
