// Hosts in their one form; see authority.h.
#include "config/authority.h"

#include "base/check.h"

#include <arpa/inet.h>

// Where the port's colon is, or the end. An IPv6 literal has colons of its own, inside brackets.
static size_t find_port(struct bytes text) {
    size_t from = 0;
    if (text.len > 0 && text.at[0] == '[')
        from = bytes_find(text, ']');
    return from + bytes_find(bytes_from(text.at + from, text.len - from), ':');
}

static bool parse_port(struct bytes text, uint16_t *port) {
    *port = 0;
    if (text.len == 0 || text.len == 1) // RFC 3986 section 3.2.3: an empty port is none
        return true;
    uint64_t number;
    if (!bytes_to_u64(bytes_from(text.at + 1, text.len - 1), 65535, &number) || number == 0)
        return false;
    *port = (uint16_t)number;
    return true;
}

bool authority_parse(struct bytes text, struct authority *authority) {
    if (text.len == 0 || text.len > AUTHORITY_ROOM)
        return false;
    size_t colon = find_port(text);
    if (!parse_port(bytes_from(text.at + colon, text.len - colon), &authority->port))
        return false;
    struct bytes host = bytes_from(text.at, colon);
    if (host.len > 0 && host.at[host.len - 1] == '.')
        host.len--;
    if (host.len == 0 || host.len > AUTHORITY_HOST_MAX || host.at[0] == '.')
        return false;
    if (host.at[0] == '[' && host.at[host.len - 1] != ']')
        return false;
    for (size_t i = 0; i < host.len; i++) {
        if (host.at[i] == '.' && (i + 1 == host.len || host.at[i + 1] == '.'))
            return false;
        authority->text[i] = ascii_lower(host.at[i]);
    }
    authority->host_len = (uint16_t)host.len;
    return true;
}

struct bytes authority_with_port(struct authority *authority, uint16_t port) {
    CHECK(port != 0);
    char digits[5];
    size_t count = 0;
    for (unsigned rest = port; rest > 0; rest /= 10)
        digits[count++] = (char)('0' + rest % 10);
    size_t length = authority->host_len;
    authority->text[length++] = ':';
    while (count > 0)
        authority->text[length++] = digits[--count];
    return bytes_from(authority->text, length);
}

static bool is_host_label(struct bytes label) {
    if (label.len == 0 || label.len > 63 || label.at[0] == '-' || label.at[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++) {
        char c = ascii_lower(label.at[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return false;
    }
    return true;
}

static bool is_ipv6_literal(struct bytes host) {
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (host.len < 4 || host.len - 2 >= sizeof(text) || host.at[0] != '[' || host.at[host.len - 1] != ']')
        return false;
    memcpy(text, host.at + 1, host.len - 2);
    text[host.len - 2] = '\0';
    return inet_pton(AF_INET6, text, &address) == 1;
}

bool authority_is_host_pattern(struct bytes text) {
    struct authority authority;
    bool is_wildcard = bytes_starts_with(text, BYTES("*."));
    if (is_wildcard)
        text = bytes_from(text.at + 2, text.len - 2);
    if (!authority_parse(text, &authority) || text.at[text.len - 1] == ':')
        return false;
    struct bytes host = authority_host(&authority);
    if (host.at[0] == '[')
        return !is_wildcard && is_ipv6_literal(host);
    while (host.len > 0) {
        size_t end = bytes_find(host, '.');
        if (!is_host_label(bytes_from(host.at, end)))
            return false;
        if (end == host.len)
            return true;
        host = bytes_from(host.at + end + 1, host.len - end - 1);
    }
    return false;
}
