// The one form of "host" and "host:port" under which services are found: lower-case, no trailing dot, the port as a plain number. Used when the table of hosts is
// made and for each request that is looked up in it, so that both sides cannot differ. Allocates nothing.
#ifndef CONFIG_AUTHORITY_H
#define CONFIG_AUTHORITY_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

#define AUTHORITY_HOST_MAX 253 // RFC 1035 section 2.3.4, as text without the last dot
#define AUTHORITY_ROOM (AUTHORITY_HOST_MAX + sizeof(":65535"))

struct authority {
    uint16_t port; // as written; 0: none
    uint16_t host_len;
    char text[AUTHORITY_ROOM]; // the host; behind it room for its port
};

// False where `text` is no authority (longer than any host, a bad port, an empty label). An IPv6 literal keeps its brackets. Whether a
// host is a legal DNS name is not judged: an illegal one is never in the table.
bool authority_parse(struct bytes text, struct authority *authority);

// "host:port"; `port` is not 0. Valid until the next call.
struct bytes authority_with_port(struct authority *authority, uint16_t port);

static inline struct bytes authority_host(const struct authority *authority) {
    return bytes_from(authority->text, authority->host_len);
}

// A host of a ServiceEntry: DNS labels (underscores allowed) or an IP literal, "*." in front of it for all names below. With its port or without.
bool authority_is_host_pattern(struct bytes text);

#endif
