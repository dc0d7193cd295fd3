// See proxy_header.h. Version 1 is a line of text of at most 107 bytes; version 2 is 16 bytes, and as many more as they say: addresses, then TLVs, which are skipped
// one by one so that a length that does not fit is noticed.
#include "downstream/proxy_header.h"

#include <arpa/inet.h>

#define V1_MAX 107
#define V2_START 16

static const struct bytes v1_signature = BYTES_OF("PROXY ");
static const struct bytes v2_signature = BYTES_OF("\r\n\r\n\0\r\nQUIT\n");

static bool may_begin_with(struct bytes in, struct bytes signature) {
    size_t compared = in.len < signature.len ? in.len : signature.len;
    return memcmp(in.at, signature.at, compared) == 0;
}

// --- version 1 ---

// A plain number without zeros in front.
static bool read_port(struct bytes text, uint16_t *port) {
    uint64_t number;
    if (text.len == 0 || (text.len > 1 && text.at[0] == '0') || !bytes_to_u64(text, UINT16_MAX, &number))
        return false;
    *port = (uint16_t)number;
    return true;
}

// No zone ("fe80::1%eth0"): an address of another machine's link says nothing here.
static bool read_address(struct bytes text, int family, union address *address) {
    char copy[INET6_ADDRSTRLEN];
    if (text.len == 0 || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    *address = (union address){0};
    address->any.sa_family = (sa_family_t)family;
    void *to = family == AF_INET ? (void *)&address->v4.sin_addr : (void *)&address->v6.sin6_addr;
    return inet_pton(family, copy, to) == 1;
}

// One space between two words, and none behind the last.
static bool next_word(struct bytes *line, struct bytes *word) {
    size_t end = bytes_find(*line, ' ');
    *word = bytes_from(line->at, end);
    size_t taken = end < line->len ? end + 1 : end;
    bool is_last = taken == end;
    *line = bytes_from(line->at + taken, line->len - taken);
    return word->len > 0 && (is_last || line->len > 0);
}

static bool read_v1_line(struct bytes line, struct proxy_header *header) {
    struct bytes family, source, destination, source_port, destination_port;
    union address unused;
    uint16_t port, unused_port;
    if (!next_word(&line, &family))
        return false;
    if (bytes_equal(family, BYTES("UNKNOWN")))
        return true; // whatever follows
    bool is_v4 = bytes_equal(family, BYTES("TCP4"));
    if (!is_v4 && !bytes_equal(family, BYTES("TCP6")))
        return false;
    if (!next_word(&line, &source) || !next_word(&line, &destination) || !next_word(&line, &source_port) || !next_word(&line, &destination_port))
        return false;
    int number = is_v4 ? AF_INET : AF_INET6;
    if (line.len > 0 || !read_address(source, number, &header->source) || !read_address(destination, number, &unused) ||
        !read_port(source_port, &port) || !read_port(destination_port, &unused_port))
        return false;
    if (is_v4)
        header->source.v4.sin_port = htons(port);
    else
        header->source.v6.sin6_port = htons(port);
    header->has_source = true;
    return true;
}

static enum proxy_header_result read_v1(struct bytes in, struct proxy_header *header) {
    size_t end = bytes_find(in, '\r');
    if (end + 2 > V1_MAX || bytes_find(bytes_from(in.at, end), '\n') < end)
        return PROXY_HEADER_BAD;
    if (end + 2 > in.len)
        return PROXY_HEADER_MORE;
    if (in.at[end + 1] != '\n')
        return PROXY_HEADER_BAD;
    header->length = end + 2;
    return read_v1_line(bytes_from(in.at + v1_signature.len, end - v1_signature.len), header) ? PROXY_HEADER_READ : PROXY_HEADER_BAD;
}

// --- version 2 ---

static uint32_t number_at(struct bytes in, size_t position) {
    return (uint32_t)(uint8_t)in.at[position] << 8 | (uint8_t)in.at[position + 1];
}

// Each has a type, a length of two bytes and a value; together they fill the header exactly.
static bool are_extensions_whole(struct bytes rest) {
    while (rest.len > 0) {
        if (rest.len < 3)
            return false;
        size_t length = 3 + (size_t)number_at(rest, 1);
        if (length > rest.len)
            return false;
        rest = bytes_from(rest.at + length, rest.len - length);
    }
    return true;
}

static bool read_v2_addresses(uint8_t family, struct bytes in, struct proxy_header *header) {
    static const size_t sizes[] = {0, 12, 36, 216}; // AF_UNSPEC, AF_INET, AF_INET6, AF_UNIX
    unsigned kind = family >> 4;
    unsigned transport = family & 0xf;
    if (kind >= sizeof sizes / sizeof sizes[0] || transport > 2)
        return false;
    if (in.len < sizes[kind])
        return false;
    const bool is_stream = transport == 1;
    if (kind == 1 && is_stream) {
        header->source.v4.sin_family = AF_INET;
        memcpy(&header->source.v4.sin_addr, in.at, 4);
        memcpy(&header->source.v4.sin_port, in.at + 8, 2);
    } else if (kind == 2 && is_stream) {
        header->source.v6.sin6_family = AF_INET6;
        memcpy(&header->source.v6.sin6_addr, in.at, 16);
        memcpy(&header->source.v6.sin6_port, in.at + 32, 2);
    }
    header->has_source = (kind == 1 || kind == 2) && is_stream;
    return kind == 0 || are_extensions_whole(bytes_from(in.at + sizes[kind], in.len - sizes[kind]));
}

static enum proxy_header_result read_v2(struct bytes in, struct proxy_header *header) {
    if (in.len < V2_START)
        return PROXY_HEADER_MORE;
    uint8_t command = (uint8_t)in.at[12];
    uint8_t family = (uint8_t)in.at[13];
    size_t length = V2_START + (size_t)number_at(in, 14);
    if (command != 0x20 && command != 0x21)
        return PROXY_HEADER_BAD;
    if (length > PROXY_HEADER_MAX)
        return PROXY_HEADER_BAD;
    if (in.len < length)
        return PROXY_HEADER_MORE;
    header->length = length;
    if (command == 0x20)
        return PROXY_HEADER_READ; // LOCAL: a health check of the balancer itself
    return read_v2_addresses(family, bytes_from(in.at + V2_START, length - V2_START), header) ? PROXY_HEADER_READ : PROXY_HEADER_BAD;
}

enum proxy_header_result proxy_header_read(struct bytes in, struct proxy_header *header) {
    *header = (struct proxy_header){0};
    if (in.len == 0)
        return PROXY_HEADER_MORE;
    if (may_begin_with(in, v1_signature))
        return in.len < v1_signature.len ? PROXY_HEADER_MORE : read_v1(in, header);
    if (may_begin_with(in, v2_signature))
        return in.len < v2_signature.len ? PROXY_HEADER_MORE : read_v2(in, header);
    return PROXY_HEADER_NONE;
}
