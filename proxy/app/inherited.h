// Listening sockets that the process was given: by systemd (sd_listen_fds(3)), or by the proxy whose place it takes. Each is taken by whoever would bind its address.
#ifndef APP_INHERITED_H
#define APP_INHERITED_H

#include "config/snapshot.h"

#include <stdbool.h>
#include <stdint.h>

#define INHERITED_MAX 128

struct inherited {
    struct {
        int socket;        // -1: taken
        struct bytes name; // as systemd, or the proxy before, calls it; owned; empty: none
        struct sockaddr_storage address;
        bool takes_ipv4; // at [::], and for IPv4 as well
    } sockets[INHERITED_MAX];
    uint32_t count;
};

// A listening socket of this process.
struct listening {
    int socket;        // -1: none
    struct bytes name; // that it was found by, where its address does not tell whose it is; else empty. Borrowed
};

// Those that LISTEN_FDS tells of. The variables are gone afterwards.
void inherited_from_environment(struct inherited *inherited);

// Takes over a socket. One that is not listening is closed, and that is logged.
void inherited_add(struct inherited *inherited, int socket, struct bytes name);

// The socket at that address, or else the one of that name, wherever it listens. One at [::] that takes IPv4 too, as systemd makes them of a port alone, is at 0.0.0.0
// for those who want that.
struct listening inherited_take(struct inherited *inherited, struct bytes name, const struct socket_address *address);

// Nobody wants the rest, and that is logged.
void inherited_close_rest(struct inherited *inherited);

// Closes what is left where it never came to that. All zero is allowed.
void inherited_dispose(struct inherited *inherited);

#endif
