// Kinds TLSRoute and TCPRoute (Gateway API v1): their tables, and the rules between their fields. Each has one rule; a TLSRoute is found by the name that a client asks
// for in its handshake.
#include "config/resource_route.h"

#include "config/authority.h"
#include "config/value.h"

#define RULE(member) ROW_AT(struct rule_spec, member)

static const struct row rule_rows[] = {{.name = "name", .type = VALUE_LABEL, RULE(name), .describes = "what policies and logs call the rule"},
                                       {.name = "backendRefs",
                                        .type = VALUE_LIST,
                                        .item = VALUE_OBJECT,
                                        .object = &opaque_backend_table,
                                        ROW_LIST(struct rule_spec, backends, backend_count),
                                        .min = 1,
                                        .max = 16,
                                        .is_required = true,
                                        .describes = "where connections go; a share that leads to what is no backend is closed"},
                                       {0}};
static const struct table rule_table = {.describes = "where connections go",
                                        .rows = rule_rows,
                                        .size = sizeof(struct rule_spec),
                                        .has_place = true,
                                        .place_offset = offsetof(struct rule_spec, place)};

#define PARENTS_ROW(whose)                                                                                                                           \
    {                                                                                                                                                \
        .name = "parentRefs", .type = VALUE_LIST, .item = VALUE_OBJECT, .object = &parent_table, ROW_LIST(struct route_spec, parents, parent_count), \
        .min = 1, .max = 32, .is_required = true, .describes = whose                                                                                 \
    }
#define RULES_ROW                                                                                                                                   \
    {                                                                                                                                               \
        .name = "rules", .type = VALUE_LIST, .item = VALUE_OBJECT, .object = &rule_table, ROW_LIST(struct route_spec, rules, rule_count), .min = 1, \
        .max = 1, .is_required = true, .describes = "the one rule"                                                                                  \
    }

static const struct row tls_route_rows[] = {
    PARENTS_ROW("whose connections the route is for: ports and listeners of protocol TLS"),
    {.name = "hostnames",
     .type = VALUE_LIST,
     .item = VALUE_HOST,
     ROW_LIST(struct route_spec, hostnames, hostname_count),
     .min = 1,
     .max = 1024,
     .is_required = true,
     .describes = "names that clients ask for in their handshake (SNI), *.example.com for all below; the most specific of all routes counts"},
    RULES_ROW,
    {0}};
const struct table tls_route_table = {.describes = "TLS connections by the name that they ask for to backends",
                                      .rows = tls_route_rows,
                                      .size = sizeof(struct route_spec),
                                      .later = "useDefaultGateways"};

static const struct row tcp_route_rows[] = {
    PARENTS_ROW("whose connections the route is for: ports and listeners of protocol TCP or TLS; where a TLSRoute has one, no TCPRoute has it"),
    RULES_ROW,
    {0}};
const struct table tcp_route_table = {
    .describes = "connections of any bytes to backends", .rows = tcp_route_rows, .size = sizeof(struct route_spec), .later = "useDefaultGateways"};

// RFC 6066 section 3: a client asks for names alone.
static void refuse_addresses(struct document *document) {
    const struct route_spec *spec = document->spec;
    const struct node *list = node_find(document->spec_node, "hostnames");
    for (uint32_t i = 0; i < spec->hostname_count; i++) {
        struct authority authority;
        struct endpoint_place place;
        if (node_item(list, i)->bad || !authority_parse(spec->hostnames[i], &authority))
            continue;
        if (endpoint_place_parse(authority_host(&authority), &place) && place.name.len == 0)
            document_error(document, node_item(list, i), NULL, "is an address, which no client asks for in its handshake; allowed: a name");
    }
}

void tls_route_check(struct document *document) {
    route_parents_check(document);
    route_hostnames_check(document);
    refuse_addresses(document);
}

void tcp_route_check(struct document *document) {
    route_parents_check(document);
}
