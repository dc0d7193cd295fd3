// The life of a snapshot, and the look-up that each outbound request makes in it.
#include "config/snapshot.h"

#include "base/check.h"
#include "config/authority.h"
#include "config/memory.h"

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
    for (struct route_table *table = snapshot->route_tables; table != NULL; table = table->following) {
        map_dispose(&table->exact);
        map_dispose(&table->prefixes);
    }
    for (struct gateway_listener *listener = snapshot->gateway_listeners; listener != NULL; listener = listener->following)
        map_dispose(&listener->hosts);
    config_memory_destroy(snapshot->memory); // the snapshot itself lies in it
}

const struct service_config *snapshot_find_host(const struct snapshot *snapshot, struct bytes text, uint16_t default_port) {
    struct authority authority;
    if (!authority_parse(text, &authority))
        return NULL;
    uint16_t port = authority.port != 0 ? authority.port : default_port;
    struct bytes host = authority_host(&authority);
    struct bytes with_port = port != 0 ? authority_with_port(&authority, port) : host;
    const struct service_config *service = map_get(&snapshot->hosts, with_port);
    if (service == NULL)
        service = map_get(&snapshot->hosts, host);
    // ".b.c:80", ".b.c", ".c:80", ".c" for "a.b.c": all are ends of the one text.
    for (size_t i = 0; i < host.len && service == NULL; i++) {
        if (host.at[i] != '.')
            continue;
        service = map_get(&snapshot->hosts, bytes_from(with_port.at + i, with_port.len - i));
        if (service == NULL)
            service = map_get(&snapshot->hosts, bytes_from(host.at + i, host.len - i));
    }
    return service;
}
