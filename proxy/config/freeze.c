// The last step of a load: no errors any more; services by port with their merged policies, the table of hosts, keys and digests.
#include "config/freeze.h"

#include "base/check.h"
#include "config/authority.h"
#include "config/freeze_private.h"
#include "config/unit.h"
#include "config/value.h"
#include "config/worker_count.h"

// "none"; "mesh spiffe://a/b spiffe://a/c"; "simple a.example host:a.example by 8:/ca/file,"
static struct bytes peer_key(struct pool *pool, const struct endpoint_traits *traits) {
    if (traits->tls == TLS_SIMPLE)
        return traits->origin->key;
    struct bytes key = traits->tls == TLS_MESH ? BYTES("mesh") : BYTES("none");
    for (uint32_t i = 0; i < traits->identity_count; i++)
        key = pool_format(pool, "%.*s %.*s", BYTES_FORMAT(key), BYTES_FORMAT(traits->identities[i].text));
    return key;
}

uint64_t service_digest(const struct service_config *service) {
    uint64_t digest = digest_bytes(DIGEST_START, service->key);
    digest = digest_bytes(digest, service->namespace_name);
    digest = digest_bytes(digest, service->name);
    digest = digest_bytes(digest, service->port_name);
    digest = digest_number(digest, service->port);
    digest = digest_number(digest, service->protocol);
    for (uint32_t i = 0; i < service->endpoint_count; i++) {
        digest = digest_bytes(digest, endpoint_address_bytes(&service->endpoints[i].address));
        digest = digest_bytes(digest, service->endpoints[i].traits->peer_key);
        digest = digest_bytes(digest, service->endpoints[i].traits->zone);
        digest = digest_bytes(digest, service->endpoints[i].traits->region);
        digest = digest_number(digest, service->endpoints[i].traits->priority);
        digest = digest_number(digest, service->endpoints[i].weight);
    }
    digest = digest_number(digest, service->resolution);
    for (uint32_t i = 0; i < service->source_count; i++) {
        const struct endpoint_source *source = &service->sources[i];
        digest = digest_bytes(digest, source->name);
        digest = digest_bytes(digest, endpoint_address_bytes(&source->endpoint.address));
        digest = digest_bytes(digest, source->endpoint.traits->peer_key);
        digest = digest_bytes(digest, source->endpoint.traits->zone);
        digest = digest_bytes(digest, source->endpoint.traits->region);
        digest = digest_number(digest, source->endpoint.traits->priority);
        digest = digest_number(digest, source->endpoint.weight);
    }
    return traffic_digest(&service->traffic, digest);
}

struct service_config *freeze_add_service(struct freezing *freezing) {
    struct snapshot *snapshot = freezing->snapshot;
    CHECK(snapshot->service_count < freezing->capacity);
    struct service_config *service = pool_alloc_zeroed(freezing->pool, sizeof(*service));
    service->index = snapshot->service_count;
    snapshot->services[snapshot->service_count++] = service;
    return service;
}

// What endpoints like this one have in common; one for all.
static const struct endpoint_traits *find_traits(struct freezing *freezing, const struct endpoint_traits *wanted) {
    struct pool *pool = freezing->pool;
    struct bytes peer = peer_key(freezing->loading->scratch, wanted);
    struct bytes key = pool_format(freezing->loading->scratch, "%.*s|%.*s|%.*s|%u", BYTES_FORMAT(peer), BYTES_FORMAT(wanted->zone),
                                   BYTES_FORMAT(wanted->region), wanted->priority);
    struct endpoint_traits *traits = map_get(&freezing->traits, key);
    if (traits != NULL)
        return traits;
    traits = pool_alloc_zeroed(pool, sizeof(*traits));
    *traits = (struct endpoint_traits){
        .tls = wanted->tls,
        .identity_count = wanted->identity_count,
        .origin = wanted->origin,
        .zone = pool_copy(pool, wanted->zone),
        .region = pool_copy(pool, wanted->region),
        .priority = wanted->priority,
        .peer_key = pool_copy(pool, peer),
    };
    struct spiffe_id *copies = pool_alloc_zeroed(pool, wanted->identity_count * sizeof(*copies) + 1);
    for (uint32_t i = 0; i < wanted->identity_count; i++) {
        const char *reason;
        enum error error = spiffe_id_parse(pool_copy(pool, wanted->identities[i].text), &copies[i], &reason);
        CHECK(error == OK); // it was parsed when it was decoded
    }
    traits->identities = copies;
    map_put(&freezing->traits, key, traits);
    return traits;
}

static const struct endpoint_traits *traits_of(struct freezing *freezing, const struct service_entry_spec *spec, const struct entry_endpoint *from) {
    struct endpoint_traits wanted = {.tls = from->tls.mode, .zone = from->zone, .region = from->region, .priority = from->priority};
    if (from->tls.mode == TLS_SIMPLE)
        wanted.origin = freeze_origin(freezing, spec, &from->tls);
    if (from->tls.mode == TLS_MESH) {
        bool has_own = from->identity.text.len > 0;
        wanted.identities = has_own ? &from->identity : spec->identities;
        wanted.identity_count = has_own ? 1 : spec->identity_count;
    }
    return find_traits(freezing, &wanted);
}

// The same documents' fields; others may be alike all the same.
static bool have_same_tls(const struct entry_tls *a, const struct entry_tls *b) {
    return a->mode == b->mode && a->server_name.at == b->server_name.at && a->ca_files == b->ca_files && a->names == b->names &&
           a->system == b->system;
}

static bool have_same_traits(const struct entry_endpoint *a, const struct entry_endpoint *b) {
    return have_same_tls(&a->tls, &b->tls) && a->priority == b->priority && bytes_equal(a->zone, b->zone) && bytes_equal(a->region, b->region) &&
           bytes_equal(a->identity.text, b->identity.text);
}

static uint16_t port_for(const struct entry_port *port, uint16_t own) {
    return own != 0 ? own : port->target_port != 0 ? port->target_port : port->port;
}

static struct bytes copy_lower(struct pool *pool, struct bytes text) {
    char *lower = pool_alloc(pool, text.len + 1);
    for (size_t i = 0; i < text.len; i++)
        lower[i] = ascii_lower(text.at[i]);
    lower[text.len] = '\0';
    return bytes_from(lower, text.len);
}

static void freeze_source(struct freezing *freezing, const struct service_entry_spec *spec, const struct entry_port *port,
                          const struct entry_endpoint *from, struct endpoint_source *to) {
    to->endpoint = (struct endpoint_config){.weight = from->weight, .traits = traits_of(freezing, spec, from)};
    to->endpoint.address = from->place.address;
    to->endpoint.address.port = port_for(port, from->place.address.port);
    to->name = copy_lower(freezing->pool, from->place.name);
}

// The host of an entry as if it were an endpoint; false for a wildcard.
static bool endpoint_of_host(struct freezing *freezing, const struct service_entry_spec *spec, struct bytes host, struct entry_endpoint *endpoint) {
    struct authority authority;
    if (bytes_starts_with(host, BYTES("*.")))
        return false;
    CHECK(authority_parse(host, &authority));
    *endpoint = (struct entry_endpoint){.weight = 1, .tls = spec->tls};
    struct bytes text = pool_copy(freezing->pool, authority_host(&authority));
    return endpoint_place_parse(text, &endpoint->place);
}

static void freeze_sources(struct freezing *freezing, const struct service_entry_spec *spec, const struct entry_port *port,
                           struct service_config *service) {
    uint32_t count = spec->endpoint_count > 0 ? spec->endpoint_count : spec->host_count;
    service->sources = pool_alloc_zeroed(freezing->pool, count * sizeof(service->sources[0]) + 1);
    for (uint32_t i = 0; i < count; i++) {
        struct entry_endpoint of_host;
        const struct entry_endpoint *from = spec->endpoint_count > 0 ? &spec->endpoints[i] : &of_host;
        if (from != &of_host || endpoint_of_host(freezing, spec, spec->hosts[i], &of_host))
            freeze_source(freezing, spec, port, from, &service->sources[service->source_count++]);
    }
}

static void freeze_endpoints(struct freezing *freezing, const struct service_entry_spec *spec, const struct entry_port *port,
                             struct service_config *service) {
    service->endpoint_count = spec->endpoint_count;
    service->endpoints = pool_alloc_zeroed(freezing->pool, spec->endpoint_count * sizeof(service->endpoints[0]) + 1);
    for (uint32_t i = 0; i < spec->endpoint_count; i++) {
        const struct entry_endpoint *from = &spec->endpoints[i];
        struct endpoint_config *to = &service->endpoints[i];
        to->address = from->place.address;
        to->address.port = port_for(port, to->address.port);
        to->weight = from->weight;
        to->traits = i > 0 && have_same_traits(from, from - 1) ? (to - 1)->traits : traits_of(freezing, spec, from);
    }
}

void freeze_places(struct freezing *freezing, const struct service_entry_spec *spec, const struct entry_port *port, struct service_config *service) {
    if (spec->resolution == RESOLUTION_STATIC)
        freeze_endpoints(freezing, spec, port, service);
    else
        freeze_sources(freezing, spec, port, service);
}

static struct service_config *freeze_port(struct freezing *freezing, const struct document *entry, const struct entry_port *port) {
    const struct service_entry_spec *spec = entry->spec;
    struct service_config *service = freeze_add_service(freezing);
    service->namespace_name = entry->namespace_name;
    service->name = entry->name;
    service->port = port->port;
    service->port_name = port->name;
    service->protocol = port->protocol;
    service->place = port->place;
    service->key = pool_format(freezing->pool, "%.*s/%.*s:%u", BYTES_FORMAT(entry->namespace_name), BYTES_FORMAT(entry->name), port->port);
    service->resolution = spec->resolution;
    freezing->entry = entry;
    freeze_places(freezing, spec, port, service);
    traffic_merge_service(&freezing->policies, service, &service->traffic);
    service->digest = service_digest(service);
    return service;
}

// The first that claims a host keeps it: the caller's own namespace comes first.
static void add_host(struct map *hosts, struct bytes key, struct service_config *service) {
    if (map_get(hosts, key) == NULL)
        map_put(hosts, key, service);
}

// Ports of HTTP are found by requests, the others by connections: each kind in its own table. A host without port leads to each port by its number, and to the first
// port with any other. A host with a port leads to that one alone.
static void freeze_host(struct map *hosts, bool (*belongs)(enum port_protocol protocol), struct bytes host, struct service_config *const *ports,
                        uint32_t port_count) {
    struct authority authority;
    bool is_wildcard = bytes_starts_with(host, BYTES("*."));
    if (is_wildcard)
        host = bytes_from(host.at + 2, host.len - 2);
    CHECK(authority_parse(host, &authority));
    if (is_wildcard) {
        memmove(authority.text + 1, authority.text, authority.host_len);
        authority.text[0] = '.';
        authority.host_len++;
    }
    struct service_config *first = NULL;
    struct service_config *meant = NULL;
    for (uint32_t i = 0; i < port_count; i++) {
        if (!belongs(ports[i]->protocol))
            continue;
        if (authority.port == 0)
            add_host(hosts, authority_with_port(&authority, ports[i]->port), ports[i]);
        first = first == NULL ? ports[i] : first;
        meant = authority.port == ports[i]->port ? ports[i] : meant;
    }
    // A host with a port that no port has is for the only port there is.
    meant = meant == NULL && (authority.port == 0 || port_count == 1) ? first : meant;
    if (meant == NULL)
        return;
    add_host(hosts, authority.port != 0 ? authority_with_port(&authority, authority.port) : authority_host(&authority), meant);
}

static bool is_http(enum port_protocol protocol) {
    return !protocol_is_opaque(protocol);
}

static bool is_tls(enum port_protocol protocol) {
    return protocol == PROTOCOL_TLS;
}

static void freeze_hosts(struct snapshot *snapshot, struct bytes host, struct service_config *const *ports, uint32_t port_count) {
    freeze_host(&snapshot->hosts, is_http, host, ports, port_count);
    freeze_host(&snapshot->opaque_hosts, protocol_is_opaque, host, ports, port_count);
    freeze_host(&snapshot->tls_hosts, is_tls, host, ports, port_count);
}

static struct bytes entry_key(const struct freezing *freezing, struct bytes namespace_name, struct bytes name) {
    return pool_format(freezing->loading->scratch, "%.*s/%.*s", BYTES_FORMAT(namespace_name), BYTES_FORMAT(name));
}

static void index_entries(struct freezing *freezing) {
    map_init(&freezing->entries);
    for (const struct document *entry = freezing->loading->first; entry != NULL; entry = entry->next) {
        if (entry->kind->spec != &service_entry_table)
            continue;
        struct frozen_entry *frozen = pool_alloc_zeroed(freezing->loading->scratch, sizeof(*frozen));
        frozen->document = entry;
        map_put(&freezing->entries, entry_key(freezing, entry->namespace_name, entry->name), frozen);
    }
}

struct frozen_entry *freeze_find_entry(struct freezing *freezing, struct bytes namespace_name, struct bytes name) {
    struct frozen_entry *entry = map_get(&freezing->entries, entry_key(freezing, namespace_name, name));
    if (entry == NULL || entry->ports != NULL)
        return entry;
    const struct service_entry_spec *spec = entry->document->spec;
    entry->ports = &freezing->snapshot->services[freezing->snapshot->service_count];
    for (uint32_t i = 0; i < spec->port_count; i++)
        (void)freeze_port(freezing, entry->document, &spec->ports[i]);
    return entry;
}

static void freeze_entry(struct freezing *freezing, const struct document *document) {
    const struct service_entry_spec *spec = document->spec;
    const struct frozen_entry *entry = freeze_find_entry(freezing, document->namespace_name, document->name);
    for (uint32_t i = 0; i < spec->host_count; i++)
        freeze_hosts(freezing->snapshot, spec->hosts[i], entry->ports, spec->port_count);
}

static bool is_visible(const struct document *entry, struct bytes caller) {
    const struct service_entry_spec *spec = entry->spec;
    return spec->export_mesh || bytes_equal(entry->namespace_name, caller);
}

static void freeze_entries(struct freezing *freezing, bool of_caller) {
    struct bytes caller = freezing->snapshot->proxy.namespace_name;
    for (const struct document *entry = freezing->loading->first; entry != NULL; entry = entry->next)
        if (entry->kind->spec == &service_entry_table && is_visible(entry, caller) && bytes_equal(entry->namespace_name, caller) == of_caller)
            freeze_entry(freezing, entry);
}

// The application behind an Inbound listener, or one port of it: one endpoint in plain text. Toward it only what was not sent is tried again: the caller's
// proxy does the rest.
static struct service_config *freeze_application(struct freezing *freezing, const struct listener_config *listener, struct bytes key,
                                                 const struct socket_address *address, enum app_protocol protocol) {
    static const enum port_protocol protocols[] = {[APP_PROTOCOL_AUTO] = PROTOCOL_HTTP,
                                                   [APP_PROTOCOL_HTTP] = PROTOCOL_HTTP,
                                                   [APP_PROTOCOL_HTTP1] = PROTOCOL_HTTP1,
                                                   [APP_PROTOCOL_HTTP2] = PROTOCOL_HTTP2,
                                                   [APP_PROTOCOL_TCP] = PROTOCOL_TCP};
    const struct proxy_config *proxy = &freezing->snapshot->proxy;
    struct service_config *service = freeze_add_service(freezing);
    service->namespace_name = proxy->namespace_name;
    service->name = proxy->service.len > 0 ? proxy->service : proxy->name;
    service->port = address != NULL ? address_port(address) : 0;
    service->port_name = listener->name;
    service->key = key;
    service->protocol = protocols[protocol];
    service->is_application = listener->role == ROLE_INBOUND;
    service->is_passthrough = address == NULL;
    service->endpoint_count = address != NULL ? 1 : 0;
    service->endpoints = pool_alloc_zeroed(freezing->pool, sizeof(service->endpoints[0]));
    if (address != NULL)
        service->endpoints[0] = (struct endpoint_config){.address = endpoint_address_of(&address->storage),
                                                         .weight = 1,
                                                         .traits = find_traits(freezing, &(struct endpoint_traits){.tls = TLS_NONE})};
    service->traffic = freezing->policies.defaults;
    if (service->is_application)
        service->traffic.retry.connect_failure = service->traffic.retry.refused_stream = false;
    service->place = listener->place;
    service->digest = service_digest(service);
    return service;
}

// A transparent listener tells its ports apart by where connections were going.
static void freeze_inbound(struct freezing *freezing, struct listener_config *listener) {
    struct pool *pool = freezing->pool;
    if (listener->forward_to.length > 0) {
        struct bytes key = pool_format(pool, "app/%.*s", BYTES_FORMAT(listener->name));
        struct service_config *service = freeze_application(freezing, listener, key, &listener->forward_to, listener->app_protocol);
        service->reached_at = listener->forward_port;
        listener->service = service;
    }
    for (uint32_t i = 0; i < listener->forward_count; i++) {
        struct forward_config *forward = &listener->forwards[i];
        struct bytes key = pool_format(pool, "app/%.*s-%u", BYTES_FORMAT(listener->name), forward->port);
        struct service_config *service = freeze_application(freezing, listener, key, &forward->to, forward->protocol);
        service->reached_at = forward->port;
        forward->service = service;
    }
}

// The port that a TCP listener means; that there is one was checked.
static struct service_config *find_target(const struct freezing *freezing, const struct service_ref *target) {
    const struct snapshot *snapshot = freezing->snapshot;
    for (uint32_t i = 0; i < snapshot->service_count; i++) {
        struct service_config *service = snapshot->services[i];
        if (!service->is_application && protocol_is_opaque(service->protocol) && bytes_equal(service->name, target->name) &&
            bytes_equal(service->namespace_name, snapshot->proxy.namespace_name) && (target->port == 0 || target->port == service->port))
            return service;
    }
    return NULL;
}

static void freeze_listener(struct freezing *freezing, struct listener_config *listener) {
    if (listener->role == ROLE_INBOUND)
        freeze_inbound(freezing, listener);
    if (listener->transparent && (listener->role == ROLE_INBOUND || listener->unknown_hosts == UNKNOWN_HOSTS_PASSTHROUGH))
        listener->passthrough = freeze_application(freezing, listener, pool_format(freezing->pool, "passthrough/%.*s", BYTES_FORMAT(listener->name)),
                                                   NULL, listener->role == ROLE_INBOUND ? listener->app_protocol : APP_PROTOCOL_AUTO);
    if (listener->role != ROLE_TCP)
        return;
    listener->service = find_target(freezing, &listener->target);
    CHECK(listener->service != NULL);
}

// Without redirection each port of an application has a listener of its own, at the address of the one that names it, which stays where it has a forwardTo itself.
static uint32_t spread_forwards(struct freezing *freezing, const struct listener_config *listener, struct listener_config *to) {
    uint32_t count = 0;
    if (listener->transparent || listener->forward_count == 0) {
        to[count++] = *listener;
        return count;
    }
    for (uint32_t i = 0; i < listener->forward_count; i++) {
        const struct forward_config *forward = &listener->forwards[i];
        struct listener_config *own = &to[count++];
        *own = *listener;
        own->name = pool_format(freezing->pool, "%.*s-%u", BYTES_FORMAT(listener->name), forward->port);
        address_set_port(&own->address, forward->port);
        size_t host_length = listener->address.text.len;
        while (listener->address.text.at[host_length - 1] != ':')
            host_length--;
        own->address.text = pool_format(freezing->pool, "%.*s%u", (int)host_length, listener->address.text.at, forward->port);
        own->forward_to = forward->to;
        own->forward_port = forward->port;
        own->app_protocol = forward->protocol;
        own->place = forward->place;
        own->forwards = NULL;
        own->forward_count = 0;
    }
    if (listener->forward_to.length > 0) {
        to[count] = *listener;
        to[count].forwards = NULL;
        to[count++].forward_count = 0;
    }
    return count;
}

static void spread_listeners(struct freezing *freezing) {
    struct proxy_config *proxy = &freezing->snapshot->proxy;
    struct listener_config *spread = pool_alloc_zeroed(freezing->pool, proxy_listeners_room(proxy) * sizeof(*spread));
    uint32_t count = 0;
    for (uint32_t i = 0; i < proxy->listener_count; i++)
        count += spread_forwards(freezing, &proxy->listeners[i], &spread[count]);
    proxy->listeners = spread;
    proxy->listener_count = count;
}

static uint32_t count_services(const struct freezing *freezing) {
    uint32_t count =
        2 * proxy_listeners_room(&freezing->snapshot->proxy) + count_gateway_services(freezing->loading) + count_url_services(freezing->loading);
    for (const struct document *entry = freezing->loading->first; entry != NULL; entry = entry->next) {
        const struct service_entry_spec *spec = entry->spec;
        if (entry->kind->spec == &service_entry_table)
            count += spec->port_count;
    }
    return count;
}

static void freeze_paths(struct freezing *freezing) {
    for (const struct named_path *named = freezing->loading->paths; named != NULL; named = named->next) {
        struct named_path *kept = pool_alloc(freezing->pool, sizeof(*kept));
        kept->path = pool_copy(freezing->pool, named->path);
        kept->next = freezing->snapshot->paths;
        freezing->snapshot->paths = kept;
    }
}

// A label of the document's metadata; empty: there is none.
static struct bytes label_of(struct freezing *freezing, const struct document *proxy, const char *name) {
    const struct node *label = node_find(node_find(proxy->metadata, "labels"), name);
    return label == NULL ? BYTES_NONE : pool_copy(freezing->pool, label->text);
}

static struct bytes join_servers(struct pool *pool, const struct proxy_spec *spec) {
    struct bytes joined = BYTES("");
    for (uint32_t i = 0; i < spec->dns_server_count; i++)
        joined = pool_format(pool, "%.*s%s%.*s", BYTES_FORMAT(joined), i > 0 ? "," : "", BYTES_FORMAT(spec->dns_servers[i].text));
    return joined;
}

// Ends with NULL.
static void drop_units(void *argument) {
    for (struct unit **unit = argument; *unit != NULL; unit++)
        unit_unref(*unit);
}

static struct unit *const *hold_units(struct pool *pool, struct unit *const *units, uint32_t unit_count) {
    struct unit **held = pool_alloc_zeroed(pool, (unit_count + 1) * sizeof(*held));
    for (uint32_t i = 0; i < unit_count; i++)
        held[i] = unit_ref(units[i]);
    pool_on_dispose(pool, drop_units, held);
    return held;
}

// NULL: there is none.
static const struct document *find_mesh_config(const struct loading *loading) {
    const struct document *document = loading->first;
    while (document != NULL && document->kind->spec != &mesh_config_table)
        document = document->next;
    return document;
}

// The spec is the unit's, which other snapshots share: what is completed here is a copy.
static void freeze_proxy(struct freezing *freezing, const struct document *document) {
    const struct proxy_spec *spec = document->spec;
    const struct document *mesh_config = find_mesh_config(freezing->loading);
    const struct mesh_fields mesh = mesh_fields_merge(document, mesh_config);
    struct proxy_config *proxy = &freezing->snapshot->proxy;
    *proxy = spec->config;
    proxy->telemetry = mesh.telemetry;
    proxy->edge = mesh.edge;
    proxy->trusted_proxies = mesh.trusted_proxies.ranges;
    proxy->trusted_proxy_count = mesh.trusted_proxies.count;
    proxy->workers = spec->config.workers != 0 ? spec->config.workers : worker_count_by_cpu();
    proxy->zone = label_of(freezing, document, LABEL_ZONE);
    proxy->region = label_of(freezing, document, LABEL_REGION);
    proxy->dns_servers = join_servers(freezing->pool, spec);
    proxy->listeners = pool_alloc_zeroed(freezing->pool, spec->config.listener_count * sizeof(proxy->listeners[0]) + 1);
    for (uint32_t i = 0; i < spec->config.listener_count; i++)
        proxy->listeners[i] = spec->config.listeners[i];
    freeze_otlp(freezing, mesh_config);
}

struct snapshot *config_freeze(const struct loading *loading, const struct document *proxy, struct unit *const *units, uint32_t unit_count) {
    struct config_memory *memory = config_memory_create();
    struct snapshot *snapshot = pool_alloc_zeroed(&memory->pool, sizeof(*snapshot));
    struct freezing freezing = {.loading = loading, .proxy = proxy, .snapshot = snapshot, .pool = &memory->pool};
    atomic_init(&snapshot->references, 1);
    snapshot->memory = memory;
    snapshot->units = hold_units(&memory->pool, units, unit_count);
    freeze_paths(&freezing);
    freeze_proxy(&freezing, proxy);
    map_init(&snapshot->hosts);
    map_init(&snapshot->opaque_hosts);
    map_init(&snapshot->tls_hosts);
    spread_listeners(&freezing);
    freezing.capacity = count_services(&freezing);
    snapshot->services = pool_alloc_zeroed(&memory->pool, freezing.capacity * sizeof(snapshot->services[0]) + 1);
    map_init(&freezing.traits);
    map_init(&freezing.origins);
    map_init(&freezing.told);
    policy_index_init(&freezing.policies, loading, snapshot->proxy.namespace_name);
    freeze_policies_begin(&freezing);
    freeze_telemetry_begin(&freezing);
    grants_init(&freezing.grants, loading);
    index_entries(&freezing);
    freeze_entries(&freezing, true);
    freeze_entries(&freezing, false);
    for (uint32_t i = 0; i < snapshot->proxy.listener_count; i++)
        freeze_listener(&freezing, &snapshot->proxy.listeners[i]);
    freeze_gateways(&freezing);
    freeze_urls(&freezing);
    freeze_otlp_urls(&freezing);
    freeze_routes(&freezing);
    for (uint32_t i = 0; i < snapshot->proxy.listener_count; i++)
        freeze_telemetry_of_listener(&freezing, &snapshot->proxy.listeners[i]);
    freeze_warn_of_policies(&freezing);
    map_dispose(&freezing.told);
    map_dispose(&freezing.entries);
    map_dispose(&freezing.urls);
    policy_index_dispose(&freezing.policies);
    freeze_policies_end(&freezing);
    freeze_telemetry_end(&freezing);
    grants_dispose(&freezing.grants);
    map_dispose(&freezing.traits);
    map_dispose(&freezing.origins);
    return snapshot;
}
