// The rules of access.h on Host, Origin and the token.
#include "admin/access.h"

#include "base/log.h"
#include "http/headers.h"
#include "identity/secret_file.h"

#include <arpa/inet.h>

static struct bytes without_port(struct bytes host) {
    if (host.len > 0 && host.at[0] == '[') {
        size_t end = bytes_find(host, ']');
        return end < host.len ? bytes_from(host.at + 1, end - 1) : BYTES_NONE;
    }
    return bytes_from(host.at, bytes_find(host, ':'));
}

static bool is_port_suffix(struct bytes rest) {
    uint64_t port;
    return rest.len == 0 || (rest.at[0] == ':' && bytes_to_u64(bytes_from(rest.at + 1, rest.len - 1), UINT16_MAX, &port));
}

bool host_is_loopback(struct bytes host) {
    struct bytes name = without_port(host);
    char text[INET6_ADDRSTRLEN];
    if (name.len == 0 || name.len >= sizeof(text))
        return false;
    bool bracketed = host.at[0] == '[';
    size_t used = name.len + (bracketed ? 2 : 0);
    if (!is_port_suffix(bytes_from(host.at + used, host.len - used)))
        return false;
    memcpy(text, name.at, name.len);
    text[name.len] = '\0';
    if (memchr(text, '\0', name.len) != NULL)
        return false;
    struct in_addr v4;
    struct in6_addr v6;
    if (bracketed)
        return inet_pton(AF_INET6, text, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
    if (inet_pton(AF_INET, text, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return bytes_equal_nocase(name, BYTES("localhost"));
}

// In a time that does not depend on how much of it is right.
static bool token_equal(struct bytes given, struct bytes token) {
    unsigned char difference = given.len != token.len;
    for (size_t i = 0; i < token.len; i++)
        difference |= (unsigned char)(token.at[i] ^ (i < given.len ? given.at[i] : 0));
    return difference == 0;
}

// What the request shows as a bearer token; empty: nothing.
static struct bytes token_shown(const struct rpc_request *request) {
    const struct field *field = fields_find(request->fields, FIELD_AUTHORIZATION);
    struct bytes scheme = BYTES("Bearer ");
    if (field == NULL || field->value.len < scheme.len || !bytes_equal_nocase(bytes_from(field->value.at, scheme.len), scheme))
        return BYTES_NONE;
    return bytes_trim(bytes_from(field->value.at + scheme.len, field->value.len - scheme.len));
}

static struct admin_refusal check_token(struct bytes shown, const char *token_file) {
    struct admin_refusal refusal = {0};
    struct bytes content;
    char reason[256];
    if (secret_file_read(token_file, &content, reason, sizeof(reason)) != OK) {
        log_event(LOG_WARN, "admin_token_unreadable", "reason=\"%s\"", reason);
        return (struct admin_refusal){403, "the file of spec.admin.tokenFile cannot be read; the log says why"};
    }
    struct bytes token = content;
    while (token.len > 0 && (unsigned char)token.at[token.len - 1] <= ' ') // editors end a file with a line break
        token.len--;
    if (token.len == 0)
        refusal = (struct admin_refusal){403, "the file of spec.admin.tokenFile is empty"};
    else if (!token_equal(shown, token))
        refusal = (struct admin_refusal){401, "this is not the token of spec.admin.tokenFile"};
    secret_file_forget(&content);
    return refusal;
}

static bool is_said(const struct rpc_request *request, struct bytes name, struct bytes value) {
    const struct field *field = fields_find_name(request->fields, name);
    return field != NULL && bytes_equal(field->value, value);
}

// What a browser fetches for a page of another site, by Fetch Metadata: that page cannot read it, but a reply that stays open holds a place. Whoever follows a link wants to read.
static bool is_fetched_for_another_site(const struct rpc_request *request) {
    const bool is_elsewhere =
        is_said(request, BYTES("sec-fetch-site"), BYTES("cross-site")) || is_said(request, BYTES("sec-fetch-site"), BYTES("same-site"));
    return is_elsewhere && !is_said(request, BYTES("sec-fetch-dest"), BYTES("document"));
}

struct admin_refusal admin_access_check(const struct rpc_request *request, bool changes, const char *token_file) {
    if (request->peer->any.sa_family == AF_UNIX)
        return (struct admin_refusal){0};
    if (!host_is_loopback(request->authority))
        return (struct admin_refusal){403, "Host must be localhost or a loopback address"};
    if (is_fetched_for_another_site(request))
        return (struct admin_refusal){403, "web pages of other sites are given nothing"};
    if (!changes)
        return (struct admin_refusal){0};
    // Browsers put Origin on every request that a page of another site makes them send: a person's tool does not.
    if (fields_find_name(request->fields, BYTES("origin")) != NULL)
        return (struct admin_refusal){403, "changes are not taken from web pages"};
    if (token_file == NULL)
        return (struct admin_refusal){403, "changes over TCP need a token: set spec.admin.tokenFile, or listen on unix:/path, where none is needed"};
    struct bytes shown = token_shown(request);
    if (shown.len == 0)
        return (struct admin_refusal){401, "a change over TCP needs `Authorization: Bearer` with the token of spec.admin.tokenFile"};
    return check_token(shown, token_file);
}
