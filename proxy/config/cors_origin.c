// Parses and compares origins; schemes and hosts in any case.
#include "config/cors_origin.h"

static bool is_scheme_char(char c) {
    char lower = ascii_lower(c);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
}

// Takes what stands before "://".
static bool take_scheme(struct bytes *rest, struct bytes *scheme) {
    size_t length = bytes_find(*rest, ':');
    if (length == 0 || !bytes_starts_with(bytes_from(rest->at + length, rest->len - length), BYTES("://")))
        return false;
    *scheme = bytes_from(rest->at, length);
    for (size_t i = 0; i < length; i++)
        if (!is_scheme_char(scheme->at[i]))
            return false;
    *rest = bytes_from(rest->at + length + 3, rest->len - length - 3);
    return true;
}

static bool is_host_char(char c) {
    return c > ' ' && c < 0x7f && c != '/' && c != '?' && c != '#' && c != '@' && c != '\\' && c != '"' && c != ',';
}

static uint16_t port_of_scheme(struct bytes scheme) {
    return bytes_equal_nocase(scheme, BYTES("https")) ? 443 : bytes_equal_nocase(scheme, BYTES("http")) ? 80 : 0;
}

bool cors_origin_parse(struct bytes text, struct cors_origin *origin) {
    struct bytes rest = text;
    if (!take_scheme(&rest, &origin->scheme))
        return false;
    for (size_t i = 0; i < rest.len; i++)
        if (!is_host_char(rest.at[i]))
            return false;
    // The colons of an IPv6 address stand in brackets.
    size_t bracket = bytes_starts_with(rest, BYTES("[")) ? bytes_find(rest, ']') : 0;
    if (bracket == rest.len)
        return false;
    size_t colon = bracket + bytes_find(bytes_from(rest.at + bracket, rest.len - bracket), ':');
    if (bracket > 0 && colon != bracket + 1)
        return false;
    origin->host = bytes_from(rest.at, colon);
    origin->port = port_of_scheme(origin->scheme);
    if (colon == rest.len)
        return colon > 0;
    uint64_t port;
    if (colon == 0 || !bytes_to_u64(bytes_from(rest.at + colon + 1, rest.len - colon - 1), UINT16_MAX, &port) || port == 0)
        return false;
    origin->port = (uint16_t)port;
    return true;
}

bool cors_origin_is_pattern(const struct cors_origin *pattern) {
    struct bytes host = pattern->host;
    bool is_wildcard = bytes_starts_with(host, BYTES("*"));
    if (!is_wildcard)
        return bytes_find(host, '*') == host.len;
    struct bytes rest = bytes_from(host.at + 1, host.len - 1);
    return rest.len == 0 || (rest.len > 1 && rest.at[0] == '.' && bytes_find(rest, '*') == rest.len);
}

bool cors_origin_matches(const struct cors_origin *pattern, const struct cors_origin *origin) {
    if (pattern->port != origin->port || !bytes_equal_nocase(pattern->scheme, origin->scheme))
        return false;
    if (!bytes_starts_with(pattern->host, BYTES("*")))
        return bytes_equal_nocase(pattern->host, origin->host);
    struct bytes end = bytes_from(pattern->host.at + 1, pattern->host.len - 1);
    return origin->host.len > end.len && bytes_equal_nocase(end, bytes_from(origin->host.at + origin->host.len - end.len, end.len));
}
