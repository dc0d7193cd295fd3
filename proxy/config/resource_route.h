// The decoded specs of the kinds of routes of Gateway API. One struct serves all kinds: what a kind does not have is not in its table.
#ifndef CONFIG_RESOURCE_ROUTE_H
#define CONFIG_RESOURCE_ROUTE_H

#include "config/resources.h"

#define GATEWAY_GROUP "gateway.networking.k8s.io"

enum parent_kind { PARENT_GATEWAY, PARENT_SERVICE, PARENT_SERVICE_ENTRY };

struct parent_ref {
    struct bytes group;
    enum parent_kind kind;
    struct bytes namespace_name; // empty: the route's
    struct bytes name;
    struct bytes section_name; // empty: all
    uint16_t port;             // 0: all
};

struct filter_spec;

struct backend_ref {
    struct bytes group, kind;
    struct bytes namespace_name; // empty: the route's
    struct bytes name;
    uint16_t port; // 0: not said
    uint32_t weight;
    struct filter_spec *filters;
    uint32_t filter_count;
    struct place place;
};

enum filter_spec_type { SPEC_REQUEST_HEADERS, SPEC_RESPONSE_HEADERS, SPEC_REDIRECT, SPEC_REWRITE, SPEC_MIRROR, SPEC_CORS };

struct mirror_spec {
    struct backend_ref backend; // without weight and filters
    uint32_t percent, numerator, denominator;
};

struct filter_spec {
    enum filter_spec_type type;
    struct header_changes request, response;
    struct route_redirect redirect;
    struct route_rewrite rewrite;
    struct mirror_spec mirror;
    struct route_cors cors;
};

struct match_spec {
    enum path_match path_type;
    struct bytes path;
    const struct regex *regex;
    struct bytes method;
    enum value_match grpc_type;
    struct bytes grpc_service, grpc_method; // empty: any
    struct field_match *headers, *queries;
    uint32_t header_count, query_count;
};

struct rule_spec {
    struct bytes name; // empty: none
    struct match_spec *matches;
    uint32_t match_count;
    struct filter_spec *filters;
    uint32_t filter_count;
    struct backend_ref *backends;
    uint32_t backend_count;
    nanoseconds request_timeout, backend_timeout;
    bool has_request_timeout, has_backend_timeout;
    struct {
        uint64_t codes[RETRY_CODE_WORDS];
        uint32_t attempts;
        nanoseconds backoff;
        bool is_said, has_codes, has_attempts;
    } retry;
    struct place place;
};

struct route_spec {
    struct parent_ref *parents;
    uint32_t parent_count;
    struct bytes *hostnames;
    uint32_t hostname_count;
    struct rule_spec *rules;
    uint32_t rule_count;
};

extern const struct table http_route_table, grpc_route_table, tls_route_table, tcp_route_table;

void http_route_check(struct document *document);
void grpc_route_check(struct document *document);
void tls_route_check(struct document *document);
void tcp_route_check(struct document *document);

// What there is of each kind of routes.
struct route_kind {
    const char *name;
    const struct table *spec;
    enum routes_kind routes;
    enum target_kind target; // of policies
};

// In the order of enum routes_kind; ends with a name of NULL.
extern const struct route_kind route_kinds[];

// NULL: it is no route.
const struct route_kind *route_kind_of(const struct document *document);

// Whether routes of that kind can be for a port of that protocol.
bool protocol_carries(enum port_protocol protocol, enum routes_kind routes);

// The protocols of ports that carry them, for messages.
const char *carrying_protocols(enum routes_kind routes);

// The tables that several kinds of routes share (resource_route_parts.c, resource_route_filter.c).
extern const struct table parent_table, backend_table, opaque_backend_table, filter_table, header_match_table;

// Which requests are meant (resource_http_match.c); `list`: the node of all of them, may be NULL.
extern const struct table http_match_table;
void http_matches_check(struct document *document, struct match_spec *matches, uint32_t count, const struct node *list);

// The rules between the fields of parents, filters and backends that several kinds share. `rule`: the node of the rule.
void route_parents_check(struct document *document);
void route_hostnames_check(struct document *document);
void route_filters_check(struct document *document, struct filter_spec *filters, uint32_t count, const struct node *list);
void route_backends_check(struct document *document, struct rule_spec *rule, const struct node *node);
// Of several with one name only the first stays (Gateway API, HTTPHeaderMatch and HTTPQueryParamMatch).
void route_field_matches_check(struct document *document, struct field_match *matches, uint32_t *count, const struct node *list, bool are_headers);

// Compiles a regular expression of a document, or tells what is wrong with it. NULL: it is wrong.
const struct regex *route_regex(struct document *document, const struct node *node, struct bytes text);

struct grant_from {
    struct bytes group, kind, namespace_name;
};

struct grant_to {
    struct bytes group, kind, name; // name empty: all
};

struct reference_grant_spec {
    struct grant_from *from;
    uint32_t from_count;
    struct grant_to *to;
    uint32_t to_count;
};

extern const struct table reference_grant_table;
void reference_grant_check(struct document *document);

// Whether anything of that kind refers, or is referred to, here.
bool grant_from_is_known(const struct grant_from *from);
bool grant_to_is_known(const struct grant_to *to);

// Whether it is of a kind that can be a backend: Service (core) or ServiceEntry.
bool backend_kind_is_known(const struct backend_ref *backend);

// The namespace that a reference of a route means.
static inline struct bytes ref_namespace(const struct document *route, struct bytes said) {
    return said.len > 0 ? said : route->namespace_name;
}

#endif
