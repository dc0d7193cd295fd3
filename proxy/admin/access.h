// Who may ask for a page: the rules that keep web pages in a browser, other hosts, and whoever may only read, away from what the admin listener can do.
#ifndef ADMIN_ACCESS_H
#define ADMIN_ACCESS_H

#include "base/bytes.h"
#include "rpc/http_server.h"

// Whether a Host means this machine by name or literal address: localhost, 127.0.0.0/8, [::1], with or without a port. Anything else is a name that somebody
// else's DNS may have pointed here.
bool host_is_loopback(struct bytes host);

struct admin_refusal {
    uint16_t status; // 0: the request may go on. 401: it may with the token. 403: not like this
    const char *reason;
};

// What a browser fetches for a page of another site is refused (Fetch Metadata Request Headers, 2.3 and 2.1). `changes`: its page does more than tell. Over TCP it must then show the content of `token_file` as a bearer token; NULL: there is none to show, and no change is taken. The file is
// read each time, so that a new token needs no reload. A Unix socket is guarded by its mode alone.
struct admin_refusal admin_access_check(const struct rpc_request *request, bool changes, const char *token_file);

#endif
