// /routes: every frontend with its rules: in which order its matches are tried (Gateway API's precedence), what a rule does, and where it sends requests by which policies.
#include "admin/config_words.h"
#include "admin/json_build.h"
#include "admin/pages.h"
#include "admin/route_walk.h"

#include <jansson.h>
#include <stdlib.h>

// A page in the making.
struct listing {
    struct pool *pool;
    uint32_t *listed_in;     // by a rule's index: the last table whose rules have it
    uint32_t table;          // counts tables from 1
    json_t *matches, *rules; // of this table
};

// --- matches ---

static json_t *value_texts(struct pool *pool, const struct field_match *matches, uint32_t count) {
    json_t *list = json_array();
    for (uint32_t i = 0; i < count; i++)
        json_array_append_new(list, json_text(pool_format(pool, "%.*s %s %.*s", BYTES_FORMAT(matches[i].name),
                                                          matches[i].type == VALUE_EXACT ? "=" : "~", BYTES_FORMAT(matches[i].value))));
    return list;
}

static void set_values(struct pool *pool, json_t *row, const char *name, const struct field_match *matches, uint32_t count) {
    if (count > 0)
        json_set(row, name, value_texts(pool, matches, count));
}

static json_t *match_row(struct pool *pool, const struct route_match *match) {
    static const char *const types[] = {
        [PATH_PREFIX] = "PathPrefix", [PATH_EXACT] = "Exact", [PATH_REGEX] = "RegularExpression", [PATH_METHOD] = "Method"};
    json_t *row = json_object();
    json_set(row, "path_type", json_string(types[match->path_type]));
    json_set(row, "path", match->path.len > 0 ? json_text(match->path) : json_string("/"));
    json_set_text(row, "method", match->method);
    set_values(pool, row, "headers", match->headers, match->header_count);
    set_values(pool, row, "query", match->queries, match->query_count);
    json_set_text(row, "rule", match->rule->label);
    return row;
}

// --- rules ---

static void add_changes(struct pool *pool, json_t *filters, const char *of, const struct header_changes *changes) {
    for (uint32_t i = 0; changes != NULL && i < changes->set_count; i++)
        json_array_append_new(
            filters, json_text(pool_format(pool, "%s: set %.*s: %.*s", of, BYTES_FORMAT(changes->set[i].name), BYTES_FORMAT(changes->set[i].value))));
    for (uint32_t i = 0; changes != NULL && i < changes->add_count; i++)
        json_array_append_new(
            filters, json_text(pool_format(pool, "%s: add %.*s: %.*s", of, BYTES_FORMAT(changes->add[i].name), BYTES_FORMAT(changes->add[i].value))));
    for (uint32_t i = 0; changes != NULL && i < changes->remove_count; i++)
        json_array_append_new(filters, json_text(pool_format(pool, "%s: remove %.*s", of, BYTES_FORMAT(changes->remove[i]))));
}

static void add_path_change(struct pool *pool, json_t *filters, const char *of, const struct path_change *change) {
    if (change->type == PATH_CHANGE_FULL)
        json_array_append_new(filters, json_text(pool_format(pool, "%s: path becomes %.*s", of, BYTES_FORMAT(change->full))));
    else if (change->type == PATH_CHANGE_PREFIX)
        json_array_append_new(
            filters, json_text(pool_format(pool, "%s: prefix %.*s becomes %.*s", of, BYTES_FORMAT(change->matched), BYTES_FORMAT(change->prefix))));
}

static json_t *filters_value(struct pool *pool, const struct route_rule *rule) {
    json_t *filters = json_array();
    add_changes(pool, filters, "request", rule->request_headers);
    add_changes(pool, filters, "response", rule->response_headers);
    if (rule->redirect != NULL) {
        const struct route_redirect *to = rule->redirect;
        json_array_append_new(filters, json_text(pool_format(pool, "redirect: %u to scheme %.*s, host %.*s, port %u", to->status,
                                                             BYTES_FORMAT(to->scheme.len > 0 ? to->scheme : BYTES("of the request")),
                                                             BYTES_FORMAT(to->hostname.len > 0 ? to->hostname : BYTES("of the request")), to->port)));
        add_path_change(pool, filters, "redirect", &to->path);
    }
    if (rule->rewrite != NULL) {
        if (rule->rewrite->hostname.len > 0)
            json_array_append_new(filters, json_text(pool_format(pool, "rewrite: host becomes %.*s", BYTES_FORMAT(rule->rewrite->hostname))));
        add_path_change(pool, filters, "rewrite", &rule->rewrite->path);
    }
    return filters;
}

// What `count` texts say; empty where there are none.
static json_t *texts_value(const struct bytes *texts, uint32_t count) {
    json_t *list = json_array();
    for (uint32_t i = 0; i < count; i++)
        json_array_append_new(list, json_text(texts[i]));
    return list;
}

static void set_mirrors(json_t *value, const struct route_rule *rule) {
    if (rule->mirror_count == 0)
        return;
    json_t *mirrors = json_array();
    for (uint32_t i = 0; i < rule->mirror_count; i++) {
        json_t *row = json_object();
        json_set_text(row, "to", rule->mirrors[i].service->key);
        json_set_number(row, "copies", rule->mirrors[i].numerator);
        json_set_number(row, "of_requests", rule->mirrors[i].denominator);
        json_array_append_new(mirrors, row);
    }
    json_set(value, "mirrors", mirrors);
}

static void set_cors(json_t *value, const struct route_cors *cors) {
    if (cors == NULL)
        return;
    json_t *object = json_object();
    json_set(object, "origins", texts_value(cors->origin_texts, cors->origin_count));
    json_set(object, "methods", texts_value(cors->methods, cors->method_count));
    json_set(object, "headers", texts_value(cors->headers, cors->header_count));
    json_set(object, "exposed_headers", texts_value(cors->exposed, cors->exposed_count));
    json_set(object, "credentials", json_boolean(cors->allows_credentials));
    json_set(object, "max_age", json_duration(cors->max_age * NS_PER_S));
    json_set(value, "cors", object);
}

static void add_words(struct pool *pool, json_t *list, const char *before, const struct traffic_config *traffic, enum retry_list words) {
    uint32_t position = 0;
    const char *word;
    while ((word = traffic_retry_word(traffic, words, &position)) != NULL)
        json_array_append_new(list, json_text(pool_format(pool, "%s%s", before, word)));
}

// "429", "502-504".
static void add_codes(struct pool *pool, json_t *list, const struct traffic_config *traffic) {
    for (unsigned first = RETRY_CODE_MIN; first <= RETRY_CODE_MAX; first++) {
        if (!traffic_retries_code(traffic, first))
            continue;
        unsigned last = first;
        while (traffic_retries_code(traffic, last + 1))
            last++;
        json_array_append_new(list, json_text(last > first ? pool_format(pool, "%u-%u", first, last) : pool_format(pool, "%u", first)));
        first = last;
    }
}

static void set_retry(struct pool *pool, json_t *row, const struct traffic_config *traffic) {
    json_set_text(row, "retry_by", traffic->retry.policy);
    json_set_number(row, "retry_attempts", traffic->retry.attempts);
    if (traffic->retry.attempts == 0)
        return;
    json_t *conditions = json_array(), *methods = json_array();
    add_words(pool, conditions, "", traffic, RETRY_CONDITIONS);
    add_codes(pool, conditions, traffic);
    add_words(pool, conditions, "gRPC ", traffic, RETRY_GRPC_CODES);
    add_words(pool, methods, "", traffic, RETRY_METHODS);
    json_set(row, "retry_on", conditions);
    json_set(row, "retry_methods", methods);
    json_set(row, "retry_backoff_least", json_duration(traffic->retry.backoff.least));
    json_set(row, "retry_backoff", json_duration(traffic->retry.backoff.base));
    json_set(row, "retry_backoff_max", json_duration(traffic->retry.backoff.max));
    json_set(row, "retry_after_max", json_duration(traffic->retry.respect_retry_after));
}

static json_t *destination_row(struct pool *pool, const struct destination *destination) {
    const struct traffic_config *traffic = destination->traffic;
    json_t *row = json_object();
    json_set(row, "to", destination->is_backend ? json_text(destination->service->key) : json_string("no backend: 500"));
    json_set_text(row, "fault", destination->fault);
    json_set_number(row, "weight", destination->weight);
    json_set_text(row, "policy", traffic->policy);
    json_set_text(row, "timeouts_by", traffic->timeouts.policy);
    json_set(row, "request_timeout", json_duration(traffic->timeouts.request));
    json_set(row, "backend_request_timeout", json_duration(traffic->timeouts.backend_request));
    set_retry(pool, row, traffic);
    json_t *filters = json_array();
    add_changes(pool, filters, "request", destination->request_headers);
    add_changes(pool, filters, "response", destination->response_headers);
    if (json_array_size(filters) > 0)
        json_set(row, "filters", filters);
    else
        json_decref(filters);
    return row;
}

// What leads to the same backend, where that is not by weight alone.
static void set_selection(struct pool *pool, json_t *value, const struct selection_config *selection) {
    if (selection->type != SELECT_HASH)
        return;
    struct bytes parts = BYTES("");
    for (uint32_t i = 0; i < selection->key.count; i++) {
        const struct request_key_part *part = &selection->key.parts[i];
        parts = pool_format(pool, "%.*s%s%s%s%.*s", BYTES_FORMAT(parts), i > 0 ? ", " : "", request_key_type_name(part->type),
                            part->name.len > 0 ? " " : "", BYTES_FORMAT(part->name));
    }
    json_set_text(value, "backend_by_hash_of", parts);
    json_set_text(value, "backend_by", selection->policy);
}

static json_t *rule_value(struct pool *pool, const struct route_rule *rule) {
    json_t *value = json_object();
    json_set_text(value, "rule", rule->label);
    json_set_place(value, &rule->place);
    json_set(value, "filters", filters_value(pool, rule));
    set_mirrors(value, rule);
    set_cors(value, rule->cors);
    set_selection(pool, value, &rule->destinations[0]->traffic->selection);
    json_t *destinations = json_array();
    for (uint32_t i = 0; i < rule->destination_count; i++)
        json_array_append_new(destinations, destination_row(pool, rule->destinations[i]));
    json_set(value, "destinations", destinations);
    return value;
}

// --- frontends ---

// The first time that it is met in this table.
static void add_rule(struct listing *listing, const struct route_rule *rule) {
    if (listing->listed_in[rule->index] == listing->table)
        return;
    listing->listed_in[rule->index] = listing->table;
    json_array_append_new(listing->rules, rule_value(listing->pool, rule));
}

static void add_match(void *user, const struct route_match *match) {
    struct listing *listing = user;
    json_array_append_new(listing->matches, match_row(listing->pool, match));
    add_rule(listing, match->rule);
}

// What a name leads to: a host of a Gateway to its table, a server name to its rule.
struct named {
    struct bytes name;
    const void *value;
};

// As they are preferred: names, then wildcards from the longest on.
static int by_preference(const void *left, const void *right) {
    const struct named *a = left, *b = right;
    bool x = a->name.len == 0 || a->name.at[0] == '.', y = b->name.len == 0 || b->name.at[0] == '.';
    if (x != y)
        return x ? 1 : -1;
    if (x && a->name.len != b->name.len)
        return a->name.len > b->name.len ? -1 : 1;
    return bytes_compare(a->name, b->name);
}

// Sorted; `*count` of them.
static const struct named *sort_names(struct pool *pool, const struct map *map, uint32_t *count) {
    struct named *names = pool_alloc(pool, (map->count + 1) * sizeof(*names));
    uint32_t position = 0;
    struct bytes name;
    void *value;
    *count = 0;
    while (map_next(map, &position, &name, &value))
        names[(*count)++] = (struct named){name, value};
    qsort(names, *count, sizeof(*names), by_preference);
    return names;
}

static struct bytes print_name(struct pool *pool, struct bytes name) {
    const bool is_wildcard = name.len == 0 || name.at[0] == '.';
    return pool_format(pool, "%s%.*s", is_wildcard ? "*" : "", BYTES_FORMAT(name));
}

// Of routes of opaque kinds.
static void add_server_names(struct listing *listing, const struct map *server_names) {
    uint32_t count;
    const struct named *names = sort_names(listing->pool, server_names, &count);
    for (uint32_t i = 0; i < count; i++) {
        const struct route_rule *rule = names[i].value;
        json_t *row = json_object();
        json_set_text(row, "server_name", print_name(listing->pool, names[i].name));
        json_set_text(row, "rule", rule->label);
        json_array_append_new(listing->matches, row);
        add_rule(listing, rule);
    }
}

// In the order in which stream/route_match tries them.
static void set_table(struct listing *listing, json_t *value, const struct route_table *table) {
    static const char *const kinds[] = {
        [ROUTES_GRPC] = "GRPCRoute", [ROUTES_HTTP] = "HTTPRoute", [ROUTES_TLS] = "TLSRoute", [ROUTES_TCP] = "TCPRoute"};
    json_set(value, "routes", json_string(kinds[table->kind]));
    listing->table++;
    listing->matches = json_array();
    listing->rules = json_array();
    add_server_names(listing, &table->server_names);
    route_walk(table, listing->pool, add_match, listing);
    json_set(value, "matches", listing->matches);
    json_set(value, "rules", listing->rules);
}

static json_t *hosts_value(struct listing *listing, const struct map *map) {
    json_t *list = json_array();
    uint32_t count;
    const struct named *hosts = sort_names(listing->pool, map, &count);
    for (uint32_t i = 0; i < count; i++) {
        json_t *value = json_object();
        json_set_text(value, "host", print_name(listing->pool, hosts[i].name));
        set_table(listing, value, hosts[i].value);
        json_array_append_new(list, value);
    }
    return list;
}

static json_t *service_value(struct listing *listing, const struct service_config *service) {
    json_t *value = json_object();
    json_set_text(value, "frontend", service->key);
    json_set_place(value, &service->place);
    if (service->gateway != NULL)
        json_set(value, "hosts", hosts_value(listing, &service->gateway->hosts));
    else if (service->routes != NULL)
        set_table(listing, value, service->routes);
    else
        json_set(value, "routes", json_string("none: to its endpoints"));
    return value;
}

void page_routes(struct admin_query *query) {
    const struct snapshot *snapshot = query->figures.config.snapshot;
    json_t *list = json_array();
    struct listing listing = {.pool = &query->pool};
    if (snapshot != NULL)
        listing.listed_in = pool_alloc_zeroed(&query->pool, (snapshot->rule_count + 1) * sizeof(*listing.listed_in));
    for (uint32_t i = 0; snapshot != NULL && i < snapshot->service_count; i++)
        if (!snapshot->services[i]->is_application)
            json_array_append_new(list, service_value(&listing, snapshot->services[i]));
    admin_reply(query, 200, list);
}
