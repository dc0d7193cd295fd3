// Kind ReferenceGrant (Gateway API v1, and v1beta1 of the same form): its table, and the rules between its fields.
#include "config/resource_route.h"

#define FROM(member) ROW_AT(struct grant_from, member)
#define TO(member) ROW_AT(struct grant_to, member)

static const struct row from_rows[] = {
    {.name = "group", .type = VALUE_TEXT, FROM(group), .is_required = true, .describes = "API group of the kind: " GATEWAY_GROUP},
    {.name = "kind",
     .type = VALUE_TEXT,
     FROM(kind),
     .is_required = true,
     .describes = "what refers: HTTPRoute, GRPCRoute, TLSRoute, TCPRoute, or Gateway"},
    {.name = "namespace", .type = VALUE_LABEL, FROM(namespace_name), .is_required = true, .describes = "its namespace"},
    {0}};
static const struct table from_table = {.describes = "who may refer", .rows = from_rows, .size = sizeof(struct grant_from)};

static const struct row to_rows[] = {
    {.name = "group",
     .type = VALUE_TEXT,
     TO(group),
     .is_required = true,
     .describes = "API group of the kind: \"\" for Service and Secret, outrigger.dev for ServiceEntry"},
    {.name = "kind",
     .type = VALUE_TEXT,
     TO(kind),
     .is_required = true,
     .describes =
         "what is referred to, as the reference calls it: Service or ServiceEntry of a route's backends, Secret of a Gateway's certificates"},
    {.name = "name", .type = VALUE_LABEL, TO(name), .describes = "the one that is meant; by default all of the kind in the grant's namespace"},
    {0}};
static const struct table to_table = {.describes = "what may be referred to", .rows = to_rows, .size = sizeof(struct grant_to)};

static const struct row reference_grant_rows[] = {{.name = "from",
                                                   .type = VALUE_LIST,
                                                   .item = VALUE_OBJECT,
                                                   .object = &from_table,
                                                   ROW_LIST(struct reference_grant_spec, from, from_count),
                                                   .min = 1,
                                                   .max = 16,
                                                   .is_required = true,
                                                   .describes = "who may refer: any of these"},
                                                  {.name = "to",
                                                   .type = VALUE_LIST,
                                                   .item = VALUE_OBJECT,
                                                   .object = &to_table,
                                                   ROW_LIST(struct reference_grant_spec, to, to_count),
                                                   .min = 1,
                                                   .max = 16,
                                                   .is_required = true,
                                                   .describes = "to what in the namespace of the grant: any of these"},
                                                  {0}};
const struct table reference_grant_table = {
    .describes = "which references from other namespaces are permitted", .rows = reference_grant_rows, .size = sizeof(struct reference_grant_spec)};

bool grant_from_is_known(const struct grant_from *from) {
    bool is_known = bytes_equal(from->kind, BYTES("Gateway"));
    for (const struct route_kind *kind = route_kinds; kind->name != NULL; kind++)
        is_known = is_known || bytes_equal(from->kind, bytes_from_text(kind->name));
    return is_known && bytes_equal(from->group, BYTES(GATEWAY_GROUP));
}

bool grant_to_is_known(const struct grant_to *to) {
    const struct backend_ref backend = {.group = to->group, .kind = to->kind};
    return backend_kind_is_known(&backend) || (to->group.len == 0 && bytes_equal(to->kind, BYTES("Secret")));
}

// Grants are written for all that reads them: what is nothing here may be something to others.
static void warn_of_unknown(struct document *document, const struct node *node, struct bytes group, struct bytes kind) {
    document_warning(document, node, NULL, "nothing of kind %.*s in group \"%.*s\" is a reference here: it permits none", BYTES_FORMAT(kind),
                     BYTES_FORMAT(group));
}

void reference_grant_check(struct document *document) {
    const struct reference_grant_spec *spec = document->spec;
    const struct node *from = node_find(document->spec_node, "from"), *to = node_find(document->spec_node, "to");
    for (uint32_t i = 0; i < spec->from_count; i++)
        if (document_has(node_item(from, i), "kind") && document_has(node_item(from, i), "group") && !grant_from_is_known(&spec->from[i]))
            warn_of_unknown(document, node_item(from, i), spec->from[i].group, spec->from[i].kind);
    for (uint32_t i = 0; i < spec->to_count; i++)
        if (document_has(node_item(to, i), "kind") && document_has(node_item(to, i), "group") && !grant_to_is_known(&spec->to[i]))
            warn_of_unknown(document, node_item(to, i), spec->to[i].group, spec->to[i].kind);
}
