// The rules of access.h on Host, Origin and the token, on the request alone.
#include "admin/access.h"

#include "http/headers.h"

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

static bool shows_token(const struct rpc_request *request, struct bytes token) {
    const struct field *field = fields_find(request->fields, FIELD_AUTHORIZATION);
    struct bytes scheme = BYTES("Bearer ");
    if (field == NULL || field->value.len < scheme.len || !bytes_equal_nocase(bytes_from(field->value.at, scheme.len), scheme))
        return false;
    return token_equal(bytes_trim(bytes_from(field->value.at + scheme.len, field->value.len - scheme.len)), token);
}

const char *admin_access_refused(const struct rpc_request *request, bool changes, struct bytes token) {
    if (request->peer->any.sa_family == AF_UNIX)
        return NULL;
    if (!host_is_loopback(request->authority))
        return "Host must be localhost or a loopback address";
    if (!changes)
        return NULL;
    // Browsers put Origin on every request that a page of another site makes them send: a person's tool does not.
    if (fields_find_name(request->fields, BYTES("origin")) != NULL)
        return "changes are not taken from web pages";
    if (token.len > 0 && !shows_token(request, token))
        return "a change over TCP needs `Authorization: Bearer` with the admin token";
    return NULL;
}
