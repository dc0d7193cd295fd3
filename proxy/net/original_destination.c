// See original_destination.h. The option's number is the same for both families (linux/netfilter_ipv4.h, linux/netfilter_ipv6/ip6_tables.h), whose headers clash with libc's.
#include "net/original_destination.h"

#include "net/tcp.h"

#include <string.h>

#define ORIGINAL_DST 80

static bool address_equal(const union address *a, const union address *b) {
    if (a->any.sa_family != b->any.sa_family)
        return false;
    if (a->any.sa_family == AF_INET)
        return a->v4.sin_port == b->v4.sin_port && a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
    return a->any.sa_family == AF_INET6 && a->v6.sin6_port == b->v6.sin6_port && a->v6.sin6_scope_id == b->v6.sin6_scope_id &&
           memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof a->v6.sin6_addr) == 0;
}

bool original_destination(int socket, union address *destination) {
    union address local = {0};
    socklen_t length = sizeof local;
    if (getsockname(socket, &local.any, &length) != 0)
        return false;
    address_unmap(&local);
    *destination = (union address){0};
    length = sizeof *destination;
    const int level = local.any.sa_family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
    if (getsockopt(socket, level, ORIGINAL_DST, destination, &length) != 0)
        return false;
    return !address_equal(destination, &local);
}
