// Scalars of documents. Used by decode.c, and by freeze.c for addresses; does no resolution and opens nothing.
#include "config/value.h"

#include "base/check.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/un.h>

static size_t count_digits(struct bytes text) {
    size_t count = 0;
    while (count < text.len && text.at[count] >= '0' && text.at[count] <= '9')
        count++;
    return count;
}

static struct bytes skip(struct bytes text, size_t count) {
    return bytes_from(text.at + count, text.len - count);
}

// The longest unit that `text` begins with.
static size_t unit_of(struct bytes text, nanoseconds *unit) {
    static const struct {
        struct bytes name;
        nanoseconds unit;
    } units[] = {{{"ms", 2}, NS_PER_MS}, {{"h", 1}, 3600 * NS_PER_S}, {{"m", 1}, 60 * NS_PER_S}, {{"s", 1}, NS_PER_S}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (bytes_starts_with(text, units[i].name)) {
            *unit = units[i].unit;
            return units[i].name.len;
        }
    }
    return 0;
}

bool duration_parse(struct bytes text, nanoseconds *duration) {
    nanoseconds sum = 0;
    unsigned parts = 0;
    while (text.len > 0) {
        size_t digits = count_digits(text);
        uint64_t number;
        if (++parts > 4 || digits == 0 || digits > 5 || !bytes_to_u64(bytes_from(text.at, digits), 99999, &number))
            return false;
        text = skip(text, digits);
        nanoseconds unit = 0;
        size_t length = unit_of(text, &unit);
        if (length == 0)
            return false;
        text = skip(text, length);
        sum += number * unit; // at most 4 x 99999h: under 2^61
    }
    *duration = sum;
    return parts > 0;
}

bool quantity_parse(struct bytes text, uint64_t *bytes) {
    static const struct {
        struct bytes name;
        uint64_t unit;
    } units[] = {{{"", 0}, 1},
                 {{"Ki", 2}, UINT64_C(1) << 10},
                 {{"Mi", 2}, UINT64_C(1) << 20},
                 {{"Gi", 2}, UINT64_C(1) << 30},
                 {{"Ti", 2}, UINT64_C(1) << 40},
                 {{"k", 1}, 1000},
                 {{"M", 1}, 1000000},
                 {{"G", 1}, 1000000000},
                 {{"T", 1}, UINT64_C(1000000000000)}};
    size_t digits = count_digits(text);
    uint64_t number;
    if (!integer_parse(bytes_from(text.at, digits), &number))
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (bytes_equal(skip(text, digits), units[i].name))
            return !__builtin_mul_overflow(number, units[i].unit, bytes);
    return false;
}

bool integer_parse(struct bytes text, uint64_t *number) {
    if (text.len > 1 && text.at[0] == '0')
        return false;
    return bytes_to_u64(text, UINT64_MAX, number);
}

static bool parse_ip(struct bytes host, int family, struct sockaddr_storage *storage, socklen_t *length) {
    char text[INET6_ADDRSTRLEN];
    if (host.len == 0 || host.len >= sizeof(text))
        return false;
    memcpy(text, host.at, host.len);
    text[host.len] = '\0';
    if (family == AF_INET) {
        struct sockaddr_in v4 = {.sin_family = AF_INET};
        if (inet_pton(AF_INET, text, &v4.sin_addr) != 1)
            return false;
        memcpy(storage, &v4, sizeof(v4));
        *length = sizeof(v4);
        return true;
    }
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET6, text, &v6.sin6_addr) != 1)
        return false;
    memcpy(storage, &v6, sizeof(v6));
    *length = sizeof(v6);
    return true;
}

static bool parse_unix(struct bytes path, struct socket_address *address) {
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    if (path.len < 2 || path.at[0] != '/' || path.len >= sizeof(un.sun_path) || memchr(path.at, '\0', path.len) != NULL)
        return false;
    memcpy(un.sun_path, path.at, path.len);
    memcpy(&address->storage, &un, sizeof(un));
    address->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len + 1);
    return true;
}

// Letters, digits, '-' and '_' (as names of SRV records have). A last label of digits alone is a slip in an IP address.
static bool is_host_name(struct bytes name) {
    if (name.len > 0 && name.at[name.len - 1] == '.')
        name.len--;
    size_t label = 0;
    bool has_letter = false;
    for (size_t i = 0; i < name.len; i++) {
        char c = ascii_lower(name.at[i]);
        bool is_digit = c >= '0' && c <= '9';
        if (c != '.' && !is_digit && !(c >= 'a' && c <= 'z') && c != '-' && c != '_')
            return false;
        if (c == '.' && label == 0)
            return false;
        label = c == '.' ? 0 : label + 1;
        has_letter = c != '.' && ((label > 1 && has_letter) || !is_digit);
        if (label > 63)
            return false;
    }
    return name.len <= 253 && label > 0 && has_letter;
}

// "courses.example:80"; `port` is 0 where it has none. A dot at the name's end stays.
static bool split_name(struct bytes text, struct bytes *name, uint16_t *port) {
    size_t colon = bytes_find(text, ':');
    uint64_t number = 0;
    *name = bytes_from(text.at, colon);
    if (!is_host_name(*name) || (colon < text.len && (!integer_parse(skip(text, colon + 1), &number) || number == 0 || number > 65535)))
        return false;
    *port = (uint16_t)number;
    return true;
}

static bool parse_name(struct bytes text, unsigned forms) {
    struct bytes name;
    uint16_t port;
    return (forms & ADDRESS_NAME) != 0 && split_name(text, &name, &port) && (port != 0 || (forms & ADDRESS_PORT_OPTIONAL) != 0);
}

bool address_parse(struct bytes text, unsigned forms, struct socket_address *address) {
    *address = (struct socket_address){.text = text};
    if (bytes_starts_with(text, BYTES("unix:")) && (forms & ADDRESS_UNIX) != 0)
        return parse_unix(skip(text, 5), address);
    if (parse_name(text, forms))
        return true;
    struct bytes host, rest;
    int family = AF_INET;
    if (text.len > 0 && text.at[0] == '[') {
        size_t end = bytes_find(text, ']');
        if (end == text.len)
            return false;
        family = AF_INET6;
        host = bytes_from(text.at + 1, end - 1);
        rest = skip(text, end + 1);
    } else {
        size_t end = bytes_find(text, ':');
        host = bytes_from(text.at, end);
        rest = skip(text, end);
    }
    if (!parse_ip(host, family, &address->storage, &address->length))
        return false;
    if (rest.len == 0)
        return (forms & ADDRESS_PORT_OPTIONAL) != 0;
    uint64_t port;
    if (rest.at[0] != ':' || !integer_parse(skip(rest, 1), &port) || port == 0 || port > 65535)
        return false;
    address_set_port(address, (uint16_t)port);
    return true;
}

bool endpoint_place_parse(struct bytes text, struct endpoint_place *place) {
    struct socket_address address;
    *place = (struct endpoint_place){.name = BYTES_NONE};
    if (!address_parse(text, ADDRESS_PORT_OPTIONAL | ADDRESS_NAME, &address))
        return false;
    if (address.length == 0)
        return split_name(text, &place->name, &place->address.port);
    place->address = endpoint_address_of(&address.storage);
    return true;
}

uint16_t address_port(const struct socket_address *address) {
    if (address->storage.ss_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, &address->storage, sizeof(v4));
        return ntohs(v4.sin_port);
    }
    if (address->storage.ss_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, &address->storage, sizeof(v6));
        return ntohs(v6.sin6_port);
    }
    return 0;
}

void address_set_port(struct socket_address *address, uint16_t port) {
    if (address->storage.ss_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, &address->storage, sizeof(v4));
        v4.sin_port = htons(port);
        memcpy(&address->storage, &v4, sizeof(v4));
        return;
    }
    CHECK(address->storage.ss_family == AF_INET6);
    struct sockaddr_in6 v6;
    memcpy(&v6, &address->storage, sizeof(v6));
    v6.sin6_port = htons(port);
    memcpy(&address->storage, &v6, sizeof(v6));
}

static bool is_label_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

bool is_label(struct bytes text) {
    if (text.len == 0 || text.len > 63 || text.at[0] == '-' || text.at[text.len - 1] == '-')
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (!is_label_character(text.at[i]))
            return false;
    return true;
}

bool is_subdomain(struct bytes text) {
    if (text.len == 0 || text.len > 253)
        return false;
    for (;;) {
        size_t end = bytes_find(text, '.');
        if (!is_label(bytes_from(text.at, end)))
            return false;
        if (end == text.len)
            return true;
        text = skip(text, end + 1);
    }
}

void duration_format(nanoseconds duration, char text[FORMAT_MAX]) {
    static const struct {
        const char *name;
        nanoseconds unit;
    } units[] = {{"h", 3600 * NS_PER_S}, {"m", 60 * NS_PER_S}, {"s", NS_PER_S}, {"ms", NS_PER_MS}};
    size_t length = 0;
    text[0] = '\0';
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        nanoseconds count = duration / units[i].unit;
        if (count == 0)
            continue;
        duration -= count * units[i].unit;
        int written = snprintf(text + length, FORMAT_MAX - length, "%" PRIu64 "%s", count, units[i].name);
        CHECK(written > 0 && length + (size_t)written < FORMAT_MAX);
        length += (size_t)written;
    }
    if (length == 0)
        memcpy(text, "0s", 3);
}

void quantity_format(uint64_t bytes, char text[FORMAT_MAX]) {
    static const char *const names[] = {"", "Ki", "Mi", "Gi", "Ti"};
    unsigned unit = 0;
    while (unit < 4 && bytes != 0 && bytes % 1024 == 0) {
        bytes /= 1024;
        unit++;
    }
    int written = snprintf(text, FORMAT_MAX, "%" PRIu64 "%s", bytes, names[unit]);
    CHECK(written > 0 && written < FORMAT_MAX);
}
