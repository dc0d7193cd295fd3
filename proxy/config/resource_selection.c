// backendSelection of a TrafficPolicy: its table, and the rules between its fields.
#include "config/resources.h"

#include "config/request_key.h"

#define SELECTION(member) ROW_AT(struct traffic_policy_spec, traffic.selection.member)

static const struct choice types[] = {
    {"Weighted", SELECT_WEIGHTED, false, "each in turn by its weight"},
    {"Hash", SELECT_HASH, false, "by `key`: what is alike in all of it stays with one backend; of all keys each has a share by its weight"},
    {0}};
static const struct choice missing_actions[] = {{"Weighted", SELECTION_MISSING_WEIGHTED, false, "it goes by weight"},
                                                {"Reject", SELECTION_MISSING_REJECT, false, "400 bad_request; a connection is closed"},
                                                {0}};

static const struct row selection_rows[] = {
    {.name = "type", .type = VALUE_ENUM, SELECTION(type), .choices = types, .fallback = "Weighted", .describes = "how a backend is chosen"},
    {.name = "key",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &request_key_table,
     ROW_LIST(struct traffic_policy_spec, traffic.selection.key.parts, traffic.selection.key.count),
     .min = 1,
     .max = REQUEST_KEY_PARTS_MAX,
     .describes = "Hash, needed there: requests that are alike in all of it go to the same backend, from every proxy"},
    {.name = "ifMissing",
     .type = VALUE_ENUM,
     SELECTION(if_missing),
     .choices = missing_actions,
     .fallback = "Weighted",
     .describes = "Hash: what becomes of requests that lack a part of the key"},
    {.name = "disabled",
     .type = VALUE_BOOL,
     ROW_AT(struct traffic_policy_spec, selection_disabled),
     .fallback = "false",
     .describes = "true: what a less specific policy says is put aside; backends are chosen by weight"},
    {0}};
const struct table selection_table = {.describes = "which of a rule's backends a request goes to", .rows = selection_rows};

// Backends are a rule's matter: nothing else has any.
static void check_targets(struct document *document, const struct node *group) {
    const struct traffic_policy_spec *spec = document->spec;
    const struct node *targets = node_find(document->spec_node, "targetRefs");
    for (uint32_t i = 0; i < spec->head.target_count; i++) {
        if (!document_has(node_item(targets, i), "kind") || target_is_route(spec->head.targets[i].kind))
            continue;
        document_error(document, group, NULL, "is of a route, or of a rule of one; allowed targets: HTTPRoute, GRPCRoute, TLSRoute, TCPRoute");
        return;
    }
}

// Of opaque connections it is known whose they are, and no more.
static void check_opaque_key(struct document *document, const struct node *key) {
    const struct traffic_policy_spec *spec = document->spec;
    bool is_opaque = false;
    for (uint32_t i = 0; i < spec->head.target_count; i++)
        is_opaque = is_opaque || spec->head.targets[i].kind == TARGET_TLS_ROUTE || spec->head.targets[i].kind == TARGET_TCP_ROUTE;
    for (uint32_t i = 0; i < spec->traffic.selection.key.count && is_opaque; i++) {
        const enum request_key_type type = spec->traffic.selection.key.parts[i].type;
        if (document_has(node_item(key, i), "type") && type != KEY_CLIENT_ADDRESS && type != KEY_IDENTITY)
            document_error(document, node_item(key, i), NULL,
                           "is nothing that a connection of a TLSRoute or TCPRoute has; allowed: ClientAddress, Identity");
    }
}

// A token is looked at by what stands beside the backend, or behind the choice of it.
static void check_claims(struct document *document, const struct node *key) {
    const struct traffic_policy_spec *spec = document->spec;
    for (uint32_t i = 0; i < spec->traffic.selection.key.count; i++)
        if (document_has(node_item(key, i), "type") && spec->traffic.selection.key.parts[i].type == KEY_CLAIM)
            document_error(document, node_find(node_item(key, i), "type"), NULL,
                           "JWTClaim is not known yet when a backend is chosen; allowed: all other types");
}

void selection_check(struct document *document) {
    const struct traffic_policy_spec *spec = document->spec;
    const struct node *group = node_find(document->spec_node, "backendSelection");
    const struct node *type = node_find(group, "type");
    const struct node *key = node_find(group, "key");
    if (group == NULL || group->bad)
        return;
    check_targets(document, group);
    if (type != NULL && type->bad)
        return;
    const bool is_hash = spec->traffic.selection.type == SELECT_HASH;
    if (is_hash && key == NULL)
        document_error(document, group, "key", "is required for type Hash: what stays with one backend");
    if (!is_hash && key != NULL)
        document_error(document, key, NULL, "is for type Hash alone");
    if (!is_hash && node_find(group, "ifMissing") != NULL)
        document_error(document, node_find(group, "ifMissing"), NULL, "is for type Hash alone");
    if (!is_hash || key == NULL || key->bad)
        return;
    check_claims(document, key);
    request_key_check(document, &spec->traffic.selection.key, key);
    check_opaque_key(document, key);
}
