// From a request to its destination, in two steps: the service can be told from the authority alone, the rule only once the head has been judged.
#include "stream/route.h"

#include "base/host_pattern.h"
#include "config/authority.h"
#include "stream/explanation.h"
#include "stream/request_key.h"
#include "stream/route_match.h"
#include "stream/stream.h"
#include "stream/stream_service.h"

static void set_destination(struct stream *stream, struct bound_destination *destination) {
    stream->destination = destination;
    stream->traffic = destination->config->traffic;
}

// ---- the service

// The host of the request, or the name that a TLS client asks for; empty: it has none, or what is none.
static struct bytes host_of(const struct stream *stream, struct authority *authority) {
    return authority_parse(stream->request->authority, authority) ? authority_host(authority) : BYTES_NONE;
}

static const struct service_config *find_gateway_listener(const struct gateway_config *gateway, struct bytes host) {
    const struct service_config *found = NULL;
    size_t best = 0;
    for (uint32_t i = 0; i < gateway->listener_count; i++) {
        size_t rank = host_pattern_rank(gateway->listeners[i]->hostname, host);
        if (rank <= best)
            continue;
        best = rank;
        found = gateway->listeners[i]->frontend;
    }
    return found;
}

// A client that takes a connection for all names that its certificate has would get past what sets the listeners apart: it is to come again by a connection of its own (Gateway API, Listener.hostname).
static enum error find_at_gateway(struct stream *stream, struct bound_destination **destination) {
    const struct gateway_config *gateway = stream->listener->gateway;
    struct authority authority;
    const struct service_config *found = find_gateway_listener(gateway, host_of(stream, &authority));
    const struct bytes asked = stream->client.server_name;
    if (found == NULL)
        return ERROR_ROUTE_NOT_FOUND;
    if (asked.len > 0 && find_gateway_listener(gateway, asked) != found)
        return ERROR_MISDIRECTED;
    *destination = bound_find(stream->bound, found);
    return OK;
}

enum error route_find_service(struct stream *stream) {
    struct bound_destination *destination = NULL;
    enum error error = OK;
    if (stream->listener->role == ROLE_GATEWAY)
        error = find_at_gateway(stream, &destination);
    else
        destination = stream_service(stream);
    if (error != OK)
        return error;
    if (destination == NULL)
        return ERROR_HOST_UNKNOWN;
    set_destination(stream, destination);
    return OK;
}

// ---- the rule

// Requests have routes of HTTP, opaque connections those of theirs: no other counts for them.
static bool is_for(const struct stream *stream, const struct route_table *table) {
    return table != NULL && routes_are_opaque(table->kind) == stream->request->opaque;
}

static const struct route_rule *match(struct stream *stream, const struct route_table *table) {
    if (!is_for(stream, table))
        return NULL;
    struct authority authority;
    if (stream->request->opaque)
        return route_match_server_name(table, host_of(stream, &authority));
    return route_match(table, stream->request, stream->request_is_grpc, stream->bound->matcher, &stream->pool);
}

// Routes for the very host first, then those for all below, the longest first, then those for all: each as long as none before has a rule for the request
// (Gateway API, HTTPRouteSpec.hostnames).
struct host_walk {
    const struct map *hosts;
    struct bytes host;
    size_t at; // of the host; behind it: for all
};

static struct host_walk walk_hosts(const struct map *hosts, struct bytes host) {
    return (struct host_walk){.hosts = hosts, .host = host};
}

// False: there are no more. `*table`: NULL where there is none of that name.
static bool next_table(struct host_walk *walk, const struct route_table **table) {
    const struct bytes host = walk->host;
    if (walk->at > host.len)
        return false;
    *table = map_get(walk->hosts, walk->at < host.len ? bytes_from(host.at + walk->at, host.len - walk->at) : BYTES(""));
    do
        walk->at++;
    while (walk->at < host.len && host.at[walk->at] != '.');
    return true;
}

static const struct route_rule *match_by_host(struct stream *stream, const struct map *hosts) {
    struct authority authority;
    struct host_walk walk = walk_hosts(hosts, host_of(stream, &authority));
    const struct route_table *table;
    const struct route_rule *rule = NULL;
    while (rule == NULL && next_table(&walk, &table))
        rule = match(stream, table);
    return rule;
}

static bool has_turns(const struct route_rule *rule) {
    uint32_t weighted = 0;
    for (uint32_t i = 0; i < rule->destination_count; i++)
        weighted += rule->destinations[i]->weight > 0;
    return weighted > 1;
}

// A rule's policy of choosing is the same for all of its backends.
static enum error choose_backend(struct stream *stream) {
    const struct selection_config *selection = &stream->rule->destinations[0]->traffic->selection;
    uint64_t key;
    if (selection->type == SELECT_HASH && request_key_hash(&selection->key, stream, &key)) {
        set_destination(stream, bound_choose_by_hash(stream->bound, stream->rule, key));
        return OK;
    }
    if (selection->type == SELECT_HASH && selection->if_missing == SELECTION_MISSING_REJECT) {
        stream_ended_by_policy(stream, selection->policy, "backendSelection.ifMissing");
        return ERROR_BAD_REQUEST;
    }
    if (stream->explanation != NULL)
        stream->explanation->takes_turn = has_turns(stream->rule);
    set_destination(stream, stream_is_asked_about(stream) ? bound_foresee(stream->bound, stream->rule) : bound_choose(stream->bound, stream->rule));
    return OK;
}

// ERROR_BAD_REQUEST: an expression could not be judged. Which rule is meant is not known then, and another may be the one that guards.
static enum error find_rule(struct stream *stream, const struct service_config *service) {
    struct regex_matcher *matcher = stream->bound->matcher;
    if (matcher != NULL)
        regex_matcher_begin(matcher);
    stream->rule = service->gateway != NULL ? match_by_host(stream, &service->gateway->hosts) : match(stream, service->routes);
    if (matcher != NULL && regex_matcher_gave_up(matcher)) {
        stream->rule = NULL;
        stream->detail = BYTES("a regular expression of a route takes too much work");
        return ERROR_BAD_REQUEST;
    }
    return stream->rule != NULL ? OK : ERROR_ROUTE_NOT_FOUND;
}

enum error route_choose(struct stream *stream) {
    const struct service_config *service = stream->destination->config->service;
    if (service->is_passthrough && stream_returns(stream))
        return ERROR_LOOP;
    if (service->gateway == NULL && !is_for(stream, service->routes))
        return OK;
    enum error error = find_rule(stream, service);
    return error == OK ? choose_backend(stream) : error;
}

uint32_t route_tables(const struct stream *stream, const struct service_config *service, const struct route_table **tables, uint32_t max) {
    struct authority authority;
    uint32_t count = 0;
    if (service->gateway == NULL) {
        tables[0] = service->routes;
        return is_for(stream, service->routes);
    }
    struct host_walk walk = walk_hosts(&service->gateway->hosts, host_of(stream, &authority));
    const struct route_table *table;
    while (count < max && next_table(&walk, &table))
        if (is_for(stream, table))
            tables[count++] = table;
    return count;
}
