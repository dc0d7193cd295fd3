// Reads x-forwarded-for from its end. An entry that is no address ends the reading: whoever wrote it is not known, so the client is then the last one that was.
#include "stream/forwarded_for.h"

#include "http/headers.h"
#include "stream/stream.h"

// False: it is none of IP.
static bool ip_of(const union address *address, struct ip *ip) {
    if (address == NULL || (address->any.sa_family != AF_INET && address->any.sa_family != AF_INET6))
        return false;
    *ip = (struct ip){{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}};
    if (address->any.sa_family == AF_INET6)
        memcpy(ip->at, &address->v6.sin6_addr, sizeof ip->at);
    else
        memcpy(ip->at + 12, &address->v4.sin_addr, 4);
    return true;
}

static union address address_of(const struct ip *ip) {
    union address address = {0};
    if (ip_is_v4(ip)) {
        address.v4.sin_family = AF_INET;
        memcpy(&address.v4.sin_addr, ip->at + 12, 4);
    } else {
        address.v6.sin6_family = AF_INET6;
        memcpy(&address.v6.sin6_addr, ip->at, sizeof ip->at);
    }
    return address;
}

static bool is_trusted(const struct proxy_config *proxy, const struct ip *ip) {
    for (uint32_t i = 0; i < proxy->trusted_proxy_count; i++)
        if (cidr_contains(&proxy->trusted_proxies[i], ip))
            return true;
    return false;
}

static bool is_trusted_peer(const struct proxy_config *proxy, const union address *peer) {
    struct ip ip;
    return proxy->trusted_proxy_count > 0 && ip_of(peer, &ip) && is_trusted(proxy, &ip);
}

struct bytes forwarded_for_list(struct stream *stream) {
    const struct fields *fields = &stream->request->fields;
    const struct field *first = fields_find(fields, FIELD_X_FORWARDED_FOR);
    if (first == NULL || fields_find_next(fields, first) == NULL)
        return first == NULL ? BYTES_NONE : first->value;
    size_t length = 0;
    for (const struct field *field = first; field != NULL; field = fields_find_next(fields, field))
        length += field->value.len + 2;
    char *text = pool_alloc(&stream->pool, length);
    size_t at = 0;
    for (const struct field *field = first; field != NULL; field = fields_find_next(fields, field)) {
        if (at > 0) {
            memcpy(text + at, ", ", 2);
            at += 2;
        }
        memcpy(text + at, field->value.at, field->value.len);
        at += field->value.len;
    }
    return bytes_from(text, at);
}

static bool is_port(struct bytes text) {
    if (text.len == 0 || text.len > 5)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
    return true;
}

// An address, as some write it with a port: 192.0.2.1:4711, [2001:db8::1], [2001:db8::1]:4711.
static bool parse_entry(struct bytes entry, struct ip *ip) {
    struct bytes address = entry, behind = BYTES_NONE;
    if (entry.len > 0 && entry.at[0] == '[') {
        size_t bracket = bytes_find(entry, ']');
        if (bracket == entry.len)
            return false;
        address = bytes_from(entry.at + 1, bracket - 1);
        behind = bytes_from(entry.at + bracket + 1, entry.len - bracket - 1);
        if (bytes_find(address, ':') == address.len)
            return false;
    } else {
        size_t colon = bytes_find(entry, ':');
        struct bytes rest = bytes_from(entry.at + colon, entry.len - colon);
        if (rest.len > 0 && bytes_find(bytes_from(rest.at + 1, rest.len - 1), ':') == rest.len - 1) { // one alone
            address = bytes_from(entry.at, colon);
            behind = rest;
        }
    }
    if (behind.len > 0 && (behind.at[0] != ':' || !is_port(bytes_from(behind.at + 1, behind.len - 1))))
        return false;
    return ip_parse(address, ip);
}

static bool is_blank(char byte) {
    return byte == ' ' || byte == '\t';
}

// Takes the last entry off the list, without the blanks around it.
static struct bytes take_last(struct bytes *list) {
    size_t begin = list->len;
    while (begin > 0 && list->at[begin - 1] != ',')
        begin--;
    struct bytes entry = bytes_from(list->at + begin, list->len - begin);
    list->len = begin > 0 ? begin - 1 : 0;
    while (entry.len > 0 && is_blank(entry.at[0]))
        entry = bytes_from(entry.at + 1, entry.len - 1);
    while (entry.len > 0 && is_blank(entry.at[entry.len - 1]))
        entry.len--;
    return entry;
}

void forwarded_for_read(struct stream *stream) {
    const struct proxy_config *proxy = &stream->bound->snapshot->proxy;
    if (!is_trusted_peer(proxy, stream->client.address))
        return;
    struct forwarded_for *forwarded = &stream->forwarded;
    forwarded->is_believed = true;
    struct bytes list = forwarded_for_list(stream);
    if (list.len == 0)
        return;
    const char *end = list.at + list.len;
    bool goes_on = true;
    while (list.len > 0 && goes_on) {
        struct bytes entry = take_last(&list);
        struct ip ip;
        if (entry.len == 0)
            continue; // RFC 9110 section 5.6.1.2: an empty element is none
        if (!parse_entry(entry, &ip))
            return;
        forwarded->names_client = true;
        forwarded->client = address_of(&ip);
        forwarded->chain = bytes_from(entry.at, (size_t)(end - entry.at));
        goes_on = is_trusted(proxy, &ip);
    }
}

const union address *stream_client_address(const struct stream *stream) {
    return stream->forwarded.names_client ? &stream->forwarded.client : stream->client.address;
}

bool stream_client_ip(const struct stream *stream, struct ip *ip) {
    return ip_of(stream_client_address(stream), ip);
}
