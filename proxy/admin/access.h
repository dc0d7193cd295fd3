// Who may ask for a page: the rules that keep web pages in a browser, and other hosts, away from the admin listener.
#ifndef ADMIN_ACCESS_H
#define ADMIN_ACCESS_H

#include "base/bytes.h"
#include "rpc/http_server.h"

// Whether a Host means this machine by name or literal address: localhost, 127.0.0.0/8, [::1], with or without a port. Anything else is a name that somebody
// else's DNS may have pointed here.
bool host_is_loopback(struct bytes host);

// NULL when the request may go on, else why not, for the reply. `changes`: it is not a GET. `token`: what a change over TCP must show; empty: nothing.
const char *admin_access_refused(const struct rpc_request *request, bool changes, struct bytes token);

#endif
