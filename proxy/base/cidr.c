// Ranges of addresses: read from documents, asked for each request of a peer that may be trusted.
#include "base/cidr.h"

#include <arpa/inet.h>
#include <string.h>

#define V4_BITS 32
#define ALL_BITS (8 * IP_BYTES)

static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool ip_parse(struct bytes text, struct ip *ip) {
    char copy[INET6_ADDRSTRLEN];
    if (text.len == 0 || text.len >= sizeof copy || memchr(text.at, '\0', text.len) != NULL)
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    if (inet_pton(AF_INET6, copy, ip->at) == 1)
        return true;
    memcpy(ip->at, mapped, sizeof mapped);
    return inet_pton(AF_INET, copy, ip->at + sizeof mapped) == 1;
}

bool ip_is_v4(const struct ip *ip) {
    return memcmp(ip->at, mapped, sizeof mapped) == 0;
}

// 0 to 128, in as few digits as that takes.
static bool parse_bits(struct bytes text, unsigned *bits) {
    *bits = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9' || text.len > 3)
            return false;
        *bits = 10 * *bits + (unsigned)(text.at[i] - '0');
    }
    return text.len > 0 && (text.len == 1 || text.at[0] != '0');
}

static bool is_set(const struct ip *ip, unsigned bit) {
    return (ip->at[bit / 8] >> (7 - bit % 8) & 1) != 0;
}

bool cidr_parse(struct bytes text, struct cidr *cidr) {
    size_t slash = bytes_find(text, '/');
    struct bytes address = bytes_from(text.at, slash);
    if (!ip_parse(address, &cidr->ip))
        return false;
    bool is_v4 = bytes_find(address, ':') == address.len;
    cidr->bits = is_v4 ? V4_BITS : ALL_BITS;
    if (slash < text.len) {
        unsigned bits;
        if (!parse_bits(bytes_from(text.at + slash + 1, text.len - slash - 1), &bits) || bits > cidr->bits)
            return false;
        cidr->bits = bits;
    }
    if (is_v4)
        cidr->bits += ALL_BITS - V4_BITS;
    for (unsigned bit = cidr->bits; bit < ALL_BITS; bit++)
        if (is_set(&cidr->ip, bit))
            return false;
    return true;
}

bool cidr_contains(const struct cidr *cidr, const struct ip *ip) {
    unsigned whole = cidr->bits / 8, rest = cidr->bits % 8;
    if (memcmp(cidr->ip.at, ip->at, whole) != 0)
        return false;
    return rest == 0 || (cidr->ip.at[whole] ^ ip->at[whole]) >> (8 - rest) == 0;
}
