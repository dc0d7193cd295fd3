// The file of names that come before any name server: /etc/hosts (hosts(5)). Read for each look-up, since it is short and people change it. Used by net/dns.
#ifndef NET_DNS_HOSTS_H
#define NET_DNS_HOSTS_H

#include "base/bytes.h"
#include "net/transport.h"

// Addresses of one name; more are left out.
#define DNS_HOSTS_ADDRESSES_MAX 64

// Longer files are read up to here.
#define DNS_HOSTS_BYTES_MAX (1024 * 1024)

// Addresses, without port, that the file at `path` gives `name` (any case, no dot at its end), in its order. Returns how many.
uint32_t dns_hosts_find(const char *path, struct bytes name, union address addresses[DNS_HOSTS_ADDRESSES_MAX]);

// The same in a text.
uint32_t dns_hosts_find_in(struct bytes text, struct bytes name, union address addresses[DNS_HOSTS_ADDRESSES_MAX]);

// An IPv4 or IPv6 address, without brackets or port.
bool address_read(struct bytes text, union address *address);

#endif
