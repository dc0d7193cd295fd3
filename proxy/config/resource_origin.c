// `tls` of a ServiceEntry and of its endpoints: the table, and the rules of mode Simple, toward servers outside the mesh.
#include "config/resources.h"

#include "config/authority.h"
#include "config/value.h"

#include <stddef.h>

#define TLS(member) ROW_AT(struct entry_tls, member)
#define NAME(member) ROW_AT(struct entry_name, member)

_Static_assert(offsetof(struct service_entry_spec, tls) == 0 && offsetof(struct entry_endpoint, tls) == 0, "its fields count from the start");

static const struct choice modes[] = {
    {"Mesh", TLS_MESH, false, "mutual TLS with our identity and one of identities"},
    {"Simple", TLS_SIMPLE, false, "toward a server outside the mesh: TLS 1.2 or 1.3, its certificate is verified, ours is not shown"},
    {"None", TLS_NONE, false, "plain text"},
    {0}};
static const struct choice name_types[] = {
    {"Hostname", SERVER_NAME_HOST, false, "a name of DNS or an IP address"}, {"URI", SERVER_NAME_URI, false, "a URI, octet for octet"}, {0}};

static const struct row ca_rows[] = {
    {.name = "system", .type = VALUE_BOOL, TLS(system), .describes = "those that this system trusts: the file in SSL_CERT_FILE, else its bundle"},
    {.name = "files",
     .type = VALUE_LIST,
     .item = VALUE_PATH,
     ROW_LIST(struct entry_tls, ca_files, ca_file_count),
     .min = 1,
     .max = 16,
     .describes = "files of certificates as PEM; any of them ends a path, root or not"},
    {0}};
static const struct table ca_table = {.describes = "authorities that the server's certificate must lead to", .rows = ca_rows};

static const struct row name_rows[] = {
    {.name = "type", .type = VALUE_ENUM, NAME(type), .choices = name_types, .is_required = true, .describes = "which of the fields below holds"},
    {.name = "hostname", .type = VALUE_HOST, NAME(hostname), .describes = "for Hostname: no port, no wildcard"},
    {.name = "uri", .type = VALUE_TEXT, NAME(uri), .describes = "for URI, as spiffe://other.example/web"},
    {0}};
static const struct table name_table = {.describes = "a name that the certificate may be for", .rows = name_rows, .size = sizeof(struct entry_name)};

static const struct row tls_rows[] = {
    {.name = "mode",
     .type = VALUE_ENUM,
     TLS(mode),
     .choices = modes,
     .fallback = "Mesh",
     .describes = "how connections to the endpoints are protected"},
    {.name = "sni",
     .type = VALUE_HOST,
     TLS(server_name),
     .describes = "for Simple: the name that the server is asked for; default the first host that is no wildcard and no IP address"},
    {.name = "caCertificates", .type = VALUE_OBJECT, .object = &ca_table, .describes = "for Simple: whom to trust; default {system: true}"},
    {.name = "subjectAltNames",
     .type = VALUE_LIST,
     .item = VALUE_OBJECT,
     .object = &name_table,
     ROW_LIST(struct entry_tls, names, name_count),
     .min = 1,
     .max = 16,
     .describes = "for Simple: names of which the certificate must have one; default sni, or the first host that is no wildcard"},
    {0}};
const struct table entry_tls_table = {.describes = "TLS toward an endpoint", .rows = tls_rows};

const char *tls_mode_word(enum tls_mode mode) {
    const struct choice *choice = modes;
    while (choice->value != mode)
        choice++;
    return choice->name;
}

bool is_ip_address(struct bytes host) {
    struct endpoint_place place;
    return endpoint_place_parse(host, &place) && place.name.len == 0;
}

bool service_entry_name(const struct service_entry_spec *spec, struct authority *authority, struct server_name *name) {
    for (uint32_t i = 0; i < spec->host_count; i++) {
        if (bytes_starts_with(spec->hosts[i], BYTES("*.")) || !authority_parse(spec->hosts[i], authority))
            continue;
        struct bytes host = authority_host(authority);
        name->type = is_ip_address(host) ? SERVER_NAME_ADDRESS : SERVER_NAME_HOST;
        name->text = host.at[0] == '[' ? bytes_from(host.at + 1, host.len - 2) : host;
        return true;
    }
    return false;
}

static void refuse_in_other_modes(struct document *document, enum tls_mode mode, const struct node *node) {
    static const char *const fields[] = {"sni", "caCertificates", "subjectAltNames"};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (node_find(node, fields[i]) != NULL)
            document_error(document, node_find(node, fields[i]), NULL, "is for mode Simple alone; this is %s", tls_mode_word(mode));
}

// A name with no port and no wildcard.
static bool is_plain_host(struct bytes host) {
    struct authority authority;
    return !bytes_starts_with(host, BYTES("*.")) && authority_parse(host, &authority) && authority.port == 0;
}

static void check_server_name(struct document *document, struct bytes server_name, const struct node *node) {
    if (node != NULL && !node->bad && (!is_plain_host(server_name) || is_ip_address(server_name)))
        document_error(document, node, NULL, "is what a server is asked for: allowed is a name of DNS, with no port (RFC 6066 section 3)");
}

static bool is_uri(struct bytes text) {
    size_t colon = 0;
    while (colon < text.len && text.at[colon] != ':')
        colon++;
    bool is_plain = colon > 0 && colon + 1 < text.len;
    for (size_t i = 0; i < text.len; i++)
        is_plain = is_plain && text.at[i] > ' ' && text.at[i] < 0x7f;
    return is_plain;
}

static void check_name(struct document *document, const struct entry_name *name, const struct node *node) {
    const bool is_host = name->type == SERVER_NAME_HOST;
    const struct node *value = node_find(node, is_host ? "hostname" : "uri");
    const struct node *other = node_find(node, is_host ? "uri" : "hostname");
    if (!document_has(node, "type"))
        return;
    if (other != NULL)
        document_error(document, other, NULL, "is not for type %s", name_types[is_host ? 0 : 1].name);
    if (value == NULL)
        document_error(document, node, is_host ? "hostname" : "uri", "is required with type %s", name_types[is_host ? 0 : 1].name);
    else if (!value->bad && is_host && !is_plain_host(name->hostname))
        document_error(document, value, NULL, "is a name that a certificate is for: allowed is one with no port and no wildcard");
    else if (!value->bad && !is_host && !is_uri(name->uri))
        document_error(document, value, NULL, "is no URI; allowed: as spiffe://other.example/web");
}

void entry_tls_check(struct document *document, const struct entry_tls *tls, const struct node *owner) {
    const struct node *node = node_find(owner, "tls");
    if (tls->mode != TLS_SIMPLE) {
        refuse_in_other_modes(document, tls->mode, node);
        return;
    }
    check_server_name(document, tls->server_name, node_find(node, "sni"));
    const struct node *names = node_find(node, "subjectAltNames");
    for (uint32_t i = 0; i < tls->name_count; i++)
        check_name(document, &tls->names[i], node_item(names, i));
    const struct node *authorities = node_find(node, "caCertificates");
    if (authorities != NULL && !authorities->bad && !tls->system && node_find(authorities, "files") == NULL)
        document_error(document, authorities, NULL, "names none; allowed: system: true, or files");
    struct authority authority;
    struct server_name name;
    if (names == NULL && node_find(node, "sni") == NULL && !service_entry_name(document->spec, &authority, &name))
        document_error(document, node, NULL, "all hosts are wildcards: whose certificate it must be is not said; allowed: sni, or subjectAltNames");
}
