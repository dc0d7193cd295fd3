// Routes to tables: which routes a service's callers have here, and in what order their matches are tried. What a rule does is freeze_rule.c's.
#include "config/freeze_private.h"

#include <stdlib.h>

// A match with what decides between it and others.
struct ranked {
    struct route_match *match;
    struct bytes route; // "namespace/name"
    uint32_t rule, place;
};

// The table in the making.
struct compiling {
    struct freezing *freezing;
    struct route_table *table;
    struct ranked *matches;
    uint32_t count;
};

// ---- frontends

void route_attach(struct freezing *freezing, struct attachment **at, const struct document *route) {
    for (; *at != NULL; at = &(*at)->next)
        if ((*at)->route == route)
            return;
    *at = pool_alloc_zeroed(freezing->loading->scratch, sizeof(**at));
    (*at)->route = route;
}

struct frontend *add_frontend(struct freezing *freezing, const struct service_config *service, struct attachment *first) {
    struct frontend *frontend = pool_alloc_zeroed(freezing->loading->scratch, sizeof(*frontend));
    frontend->service = service;
    frontend->first = first;
    frontend->next = freezing->frontends;
    freezing->frontends = frontend;
    return frontend;
}

// ---- which routes

static bool is_meant(const struct document *route, const struct parent_ref *parent, const struct service_config *service) {
    return protocol_carries(service->protocol, route_kind_of(route)->routes) && (parent->port == 0 || parent->port == service->port) &&
           (parent->section_name.len == 0 || bytes_equal(parent->section_name, service->port_name));
}

static void attach_route(struct freezing *freezing, const struct document *route, struct attachment **by_service) {
    const struct route_spec *spec = route->spec;
    for (uint32_t i = 0; i < spec->parent_count; i++) {
        const struct parent_ref *parent = &spec->parents[i];
        if (parent->kind == PARENT_GATEWAY)
            continue;
        const struct frozen_entry *entry = freeze_find_entry(freezing, ref_namespace(route, parent->namespace_name), parent->name);
        const struct service_entry_spec *service = entry == NULL ? NULL : entry->document->spec;
        for (uint32_t j = 0; service != NULL && j < service->port_count; j++)
            if (is_meant(route, parent, entry->ports[j]))
                route_attach(freezing, &by_service[entry->ports[j]->index], route);
    }
}

// A route of another namespace than the service's is for callers of its own (a consumer route); where a caller has such, the service's own (producer routes) do not count.
static struct bytes chosen_namespace(const struct freezing *freezing, const struct service_config *service, const struct attachment *first) {
    struct bytes caller = freezing->snapshot->proxy.namespace_name;
    for (const struct attachment *at = first; at != NULL; at = at->next)
        if (bytes_equal(at->route->namespace_name, caller))
            return caller;
    return service->namespace_name;
}

static void add_frontend_of_service(struct freezing *freezing, struct service_config *service, const struct attachment *first) {
    struct bytes namespace_name = chosen_namespace(freezing, service, first);
    struct attachment *chosen = NULL;
    for (const struct attachment *at = first; at != NULL; at = at->next)
        if (bytes_equal(at->route->namespace_name, namespace_name))
            route_attach(freezing, &chosen, at->route);
    if (chosen != NULL)
        add_frontend(freezing, service, chosen)->routes = &service->routes;
}

// ---- the order of matches

static int rank_of(enum path_match type) {
    return type == PATH_EXACT ? 0 : type == PATH_REGEX ? 1 : 2; // PATH_METHOD has a list of its own
}

static int more_first(uint64_t a, uint64_t b) {
    return a > b ? -1 : a < b;
}

// Gateway API, HTTPRouteRule.matches and GRPCRouteRule.matches: the more specific goes first; at equal rank the first of the routes by name, then of its rules.
static int compare(const void *left, const void *right) {
    const struct ranked *a = left, *b = right;
    const struct route_match *x = a->match, *y = b->match;
    const int differences[] = {
        rank_of(x->path_type) - rank_of(y->path_type),
        more_first(x->path.len, y->path.len),
        more_first(x->method.len > 0, y->method.len > 0),
        more_first(x->header_count, y->header_count),
        more_first(x->query_count, y->query_count),
        bytes_compare(a->route, b->route),
        more_first(b->rule, a->rule),
        more_first(b->place, a->place),
    };
    for (size_t i = 0; i < sizeof(differences) / sizeof(differences[0]); i++)
        if (differences[i] != 0)
            return differences[i];
    return 0;
}

static void put_first(struct map *map, struct route_match *match) {
    match->next = map_get(map, match->path);
    map_put(map, match->path, match);
}

static void push(const struct route_match **list, struct route_match *match) {
    match->next = *list;
    *list = match;
}

// From the last in precedence to the first, so that each list has their order.
static void place_match(struct route_table *table, struct route_match *match) {
    switch (match->path_type) {
    case PATH_EXACT:
        put_first(&table->exact, match);
        break;
    case PATH_REGEX:
        push(&table->regexes, match);
        break;
    case PATH_METHOD:
        push(&table->methods, match);
        break;
    case PATH_PREFIX:
        if (match->path.len == 0)
            push(&table->any_path, match);
        else
            put_first(&table->prefixes, match);
        if (match->path.len > table->longest_prefix)
            table->longest_prefix = match->path.len;
        break;
    }
}

static bool uses_regexes(const struct field_match *matches, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if (matches[i].regex != NULL)
            return true;
    return false;
}

struct route_match freeze_match(struct freezing *freezing, const struct match_spec *spec) {
    freezing->snapshot->has_regexes |=
        spec->regex != NULL || uses_regexes(spec->headers, spec->header_count) || uses_regexes(spec->queries, spec->query_count);
    return (struct route_match){.path_type = spec->path_type,
                                .path = spec->path,
                                .regex = spec->regex,
                                .method = spec->method,
                                .headers = spec->headers,
                                .queries = spec->queries,
                                .header_count = spec->header_count,
                                .query_count = spec->query_count};
}

static void add_match(struct compiling *compiling, const struct document *route, const struct match_spec *spec, const struct route_rule *rule,
                      uint32_t number, uint32_t place) {
    struct freezing *freezing = compiling->freezing;
    struct route_match *match = pool_alloc_zeroed(freezing->pool, sizeof(*match));
    if (spec != NULL)
        *match = freeze_match(freezing, spec);
    match->rule = rule;
    struct bytes name = pool_format(freezing->loading->scratch, "%.*s/%.*s", BYTES_FORMAT(route->namespace_name), BYTES_FORMAT(route->name));
    compiling->matches[compiling->count++] = (struct ranked){match, name, number, place};
}

static void compile_route(struct compiling *compiling, const struct document *route, const struct service_config *frontend) {
    const struct route_spec *spec = route->spec;
    for (uint32_t i = 0; i < spec->rule_count; i++) {
        const struct rule_spec *rule_spec = &spec->rules[i];
        const struct route_rule *rule = freeze_rule(compiling->freezing, route, i, frontend);
        for (uint32_t j = 0; j < rule_spec->match_count; j++)
            add_match(compiling, route, &rule_spec->matches[j], rule, i, j);
        if (rule_spec->match_count == 0)
            add_match(compiling, route, NULL, rule, i, 0);
    }
}

static uint32_t count_matches(const struct document *route) {
    const struct route_spec *spec = route->spec;
    uint32_t count = 0;
    for (uint32_t i = 0; i < spec->rule_count; i++)
        count += spec->rules[i].match_count + 1;
    return count;
}

static struct route_table *add_table(struct freezing *freezing, enum routes_kind kind) {
    struct route_table *table = pool_alloc_zeroed(freezing->pool, sizeof(*table));
    table->kind = kind;
    map_init(&table->server_names);
    map_init(&table->exact);
    map_init(&table->prefixes);
    table->following = freezing->snapshot->route_tables;
    freezing->snapshot->route_tables = table;
    return table;
}

// Kinds are never mixed: the one that goes before the others alone counts.
static enum routes_kind kind_of(const struct frontend *frontend) {
    enum routes_kind first = ROUTES_TCP;
    for (const struct attachment *at = frontend->first; at != NULL; at = at->next) {
        enum routes_kind kind = route_kind_of(at->route)->routes;
        first = kind < first ? kind : first;
    }
    return first;
}

static void compile_matches(struct freezing *freezing, const struct frontend *frontend, struct route_table *table) {
    struct compiling compiling = {.freezing = freezing, .table = table};
    uint32_t capacity = 0;
    for (const struct attachment *at = frontend->first; at != NULL; at = at->next)
        capacity += count_matches(at->route);
    compiling.matches = pool_alloc_zeroed(freezing->loading->scratch, capacity * sizeof(compiling.matches[0]) + 1);
    for (const struct attachment *at = frontend->first; at != NULL; at = at->next)
        if (route_kind_of(at->route)->routes == table->kind)
            compile_route(&compiling, at->route, frontend->service);
    qsort(compiling.matches, compiling.count, sizeof(compiling.matches[0]), compare);
    for (uint32_t i = compiling.count; i-- > 0;)
        place_match(table, compiling.matches[i].match);
}

// ---- routes of opaque connections

static int compare_routes(const void *left, const void *right) {
    const struct document *const *a = left, *const *b = right;
    int difference = bytes_compare((*a)->namespace_name, (*b)->namespace_name);
    return difference != 0 ? difference : bytes_compare((*a)->name, (*b)->name);
}

// The first route keeps a name.
static void add_server_name(struct route_table *table, struct bytes name, struct route_rule *rule) {
    if (map_get(&table->server_names, name) == NULL)
        map_put(&table->server_names, name, rule);
}

// At a gateway the host has been told apart before.
static void add_opaque_route(struct freezing *freezing, const struct frontend *frontend, const struct document *route, struct route_table *table) {
    const struct route_spec *spec = route->spec;
    struct route_rule *rule = freeze_rule(freezing, route, 0, frontend->service);
    const bool is_for_all = frontend->hosts != NULL || spec->hostname_count == 0;
    for (uint32_t i = 0; i < spec->hostname_count && !is_for_all; i++)
        add_server_name(table, freeze_host_form(freezing, spec->hostnames[i]), rule);
    if (is_for_all)
        add_server_name(table, BYTES(""), rule);
}

static void place_opaque_routes(struct freezing *freezing, const struct frontend *frontend, struct route_table *table) {
    uint32_t count = 0;
    for (const struct attachment *at = frontend->first; at != NULL; at = at->next)
        count++;
    const struct document **routes = pool_alloc(freezing->loading->scratch, count * sizeof(routes[0]));
    count = 0;
    for (const struct attachment *at = frontend->first; at != NULL; at = at->next)
        if (route_kind_of(at->route)->routes == table->kind)
            routes[count++] = at->route;
    qsort(routes, count, sizeof(routes[0]), compare_routes);
    for (uint32_t i = 0; i < count; i++)
        add_opaque_route(freezing, frontend, routes[i], table);
}

static void freeze_table(struct freezing *freezing, const struct frontend *frontend) {
    struct route_table *table = add_table(freezing, kind_of(frontend));
    if (routes_are_opaque(table->kind))
        place_opaque_routes(freezing, frontend, table);
    else
        compile_matches(freezing, frontend, table);
    if (frontend->routes != NULL)
        *frontend->routes = table;
    else
        map_put(frontend->hosts, frontend->host, table);
}

// ---- all

// How many rules and destinations all frontends can have together.
static void count_rules(const struct attachment *at, uint32_t *rules, uint32_t *destinations) {
    for (; at != NULL; at = at->next) {
        const struct route_spec *spec = at->route->spec;
        *rules += spec->rule_count;
        for (uint32_t i = 0; i < spec->rule_count; i++)
            *destinations += spec->rules[i].backend_count + 1;
    }
}

static void find_frontends(struct freezing *freezing) {
    struct snapshot *snapshot = freezing->snapshot;
    struct attachment **by_service = pool_alloc_zeroed(freezing->loading->scratch, freezing->capacity * sizeof(*by_service) + 1);
    for (const struct document *route = freezing->loading->first; route != NULL; route = route->next) {
        if (route_kind_of(route) == NULL)
            continue;
        attach_route(freezing, route, by_service);
        freeze_backends_of(freezing, route);
    }
    for (uint32_t i = 0; i < snapshot->service_count; i++)
        if (by_service[i] != NULL)
            add_frontend_of_service(freezing, snapshot->services[i], by_service[i]);
    freeze_gateway_frontends(freezing);
}

void freeze_routes(struct freezing *freezing) {
    struct snapshot *snapshot = freezing->snapshot;
    find_frontends(freezing);
    uint32_t rules = 0, destinations = snapshot->service_count;
    for (const struct frontend *frontend = freezing->frontends; frontend != NULL; frontend = frontend->next)
        count_rules(frontend->first, &rules, &destinations);
    snapshot->rules = pool_alloc_zeroed(freezing->pool, rules * sizeof(snapshot->rules[0]) + 1);
    snapshot->destinations = pool_alloc_zeroed(freezing->pool, destinations * sizeof(snapshot->destinations[0]) + 1);
    for (uint32_t i = 0; i < snapshot->service_count; i++) {
        struct service_config *service = snapshot->services[i];
        struct destination *destination = freeze_add_destination(freezing);
        destination->service = service;
        destination->is_backend = true;
        destination->traffic = &service->traffic;
        service->destination = destination;
        freeze_policies(freezing, destination, service, NULL, NULL);
        freeze_telemetry(freezing, destination, service, NULL, NULL);
        freeze_logged_keys(freezing, destination);
    }
    for (const struct frontend *frontend = freezing->frontends; frontend != NULL; frontend = frontend->next)
        freeze_table(freezing, frontend);
}
