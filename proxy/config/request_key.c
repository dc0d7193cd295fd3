// The table of a key's parts, and the rules between their fields.
#include "config/request_key.h"

#include "base/check.h"
#include "config/document.h"
#include "http/headers.h"

#define PART(member) ROW_AT(struct request_key_part, member)

static const struct choice types[] = {{"ClientAddress", KEY_CLIENT_ADDRESS, false, "the connection's peer; IPv6 by its /64"},
                                      {"Identity", KEY_IDENTITY, false, "the SPIFFE ID that the caller has shown in mutual TLS"},
                                      {"Header", KEY_HEADER, false, "the values of a header; host: the authority"},
                                      {"Cookie", KEY_COOKIE, false, "the value of a cookie"},
                                      {"Query", KEY_QUERY, false, "the value of a parameter of the query, decoded"},
                                      {"JWTClaim", KEY_CLAIM, false, "the values of a claim of the token that AuthenticationPolicy has verified"},
                                      {"Path", KEY_PATH, false, "the path, without the query"},
                                      {"Method", KEY_METHOD, false, "the method"},
                                      {0}};
static const struct row part_rows[] = {
    {.name = "type", .type = VALUE_ENUM, PART(type), .choices = types, .is_required = true, .describes = "what of the request"},
    {.name = "name", .type = VALUE_TEXT, PART(name), .describes = "Header, Cookie, Query, JWTClaim, needed there: which one"},
    {0}};
const struct table request_key_table = {.describes = "a part of the key", .rows = part_rows, .size = sizeof(struct request_key_part)};

const char *request_key_type_name(enum request_key_type type) {
    const struct choice *choice = types;
    while (choice->is_later || choice->value != type) {
        choice++;
        CHECK(choice->name != NULL);
    }
    return choice->name;
}

static bool has_name(enum request_key_type type) {
    return type == KEY_HEADER || type == KEY_COOKIE || type == KEY_QUERY || type == KEY_CLAIM;
}

void request_key_part_check(struct document *document, const struct request_key_part *part, const struct node *node) {
    const struct node *name = node_find(node, "name");
    if (!document_has(node, "type") || (name != NULL && name->bad))
        return;
    if (has_name(part->type) && part->name.len == 0)
        document_error(document, name != NULL ? name : node, name != NULL ? NULL : "name", "is required: which Header, Cookie, Query or JWTClaim");
    else if (!has_name(part->type) && name != NULL)
        document_error(document, name, NULL, "is for Header, Cookie, Query and JWTClaim alone");
    else if (name != NULL && (part->type == KEY_HEADER || part->type == KEY_COOKIE) && !is_token(part->name))
        document_error(document, name, NULL, "\"%.*s\" is no name that a header or cookie can have", BYTES_FORMAT(part->name));
}

void request_key_check(struct document *document, const struct request_key *key, const struct node *list) {
    for (uint32_t i = 0; i < key->count; i++)
        request_key_part_check(document, &key->parts[i], node_item(list, i));
}
