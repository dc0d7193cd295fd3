// How this process takes the place of another, and gives its own to a newer one: what app/handover carries, in terms of the proxy.
#ifndef APP_UPGRADE_H
#define APP_UPGRADE_H

#include "app/proxy.h"

// `--upgrade`: asks the process that runs for its sockets. True where nobody runs too; false: it refuses, and this one must not start.
MUST_CHECK bool upgrade_ask(struct proxy *proxy);

// Whether a predecessor waits for this process to be ready.
bool upgrade_is_under_way(const struct proxy *proxy);

// This process is ready: the predecessor may go.
void upgrade_finish(struct proxy *proxy);

// From now on a newer process may take over by `socket`.
void upgrade_offer(struct proxy *proxy, int socket);

// At the end of the process.
void upgrade_close(struct proxy *proxy);

#endif
