// Where a connection was going before the kernel's packet filter led it to us (REDIRECT of nftables or iptables). Linux; IPv4 and IPv6.
#ifndef NET_ORIGINAL_DESTINATION_H
#define NET_ORIGINAL_DESTINATION_H

#include "net/transport.h"

#include <stdbool.h>

// Of an accepted socket. False where it was not redirected: it came to the very address that it asked for.
bool original_destination(int socket, union address *destination);

#endif
