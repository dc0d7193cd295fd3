// IP addresses and ranges of them, as texts say them (RFC 4632, RFC 4291 section 2.3). One form for both families: an IPv4 address is its IPv4-mapped IPv6 address.
#ifndef BASE_CIDR_H
#define BASE_CIDR_H

#include "base/bytes.h"

#include <stdbool.h>

#define IP_BYTES 16

struct ip {
    unsigned char at[IP_BYTES];
};

struct cidr {
    struct ip ip;
    unsigned bits; // of the 128
};

// An address alone: no port, no zone, no leading zeros in IPv4.
bool ip_parse(struct bytes text, struct ip *ip);

bool ip_is_v4(const struct ip *ip);

// "10.0.0.0/8", "fd00::/8", or one address. False also where a bit behind the prefix is set: the range may not be the one that was meant.
bool cidr_parse(struct bytes text, struct cidr *cidr);

bool cidr_contains(const struct cidr *cidr, const struct ip *ip);

#endif
