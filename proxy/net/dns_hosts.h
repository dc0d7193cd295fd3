// The file of names that come before any name server: /etc/hosts (hosts(5)). Read for each look-up, since it is short and people change it. Used by net/dns.
#ifndef NET_DNS_HOSTS_H
#define NET_DNS_HOSTS_H

#include "base/bytes.h"
#include "net/transport.h"

// Addresses of one name; more are left out.
#define DNS_HOSTS_ADDRESSES_MAX 64

// Longer files are read up to here.
#define DNS_HOSTS_BYTES_MAX (1024 * 1024)

// What the file said when it could last be read. Zeroed at first; the text is owned.
struct dns_hosts {
    struct bytes text;
    bool is_unreadable; // and that was told
};

// Addresses, without port, that the file at `path` gives `name` (any case, no dot at its end), in its order. Returns how many. Where the file is there and cannot be read, what
// it said before stays in force.
uint32_t dns_hosts_find(struct dns_hosts *hosts, const char *path, struct bytes name, union address addresses[DNS_HOSTS_ADDRESSES_MAX]);

void dns_hosts_dispose(struct dns_hosts *hosts);

// The same in a text.
uint32_t dns_hosts_find_in(struct bytes text, struct bytes name, union address addresses[DNS_HOSTS_ADDRESSES_MAX]);

// An IPv4 or IPv6 address, without brackets or port.
bool address_read(struct bytes text, union address *address);

#endif
