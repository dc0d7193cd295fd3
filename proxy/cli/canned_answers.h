// What stands behind the endpoints of a simulation: connections that lead nowhere, and answer each request as its line of the log says, after the time that it says.
#ifndef CLI_CANNED_ANSWERS_H
#define CLI_CANNED_ANSWERS_H

#include "net/transport.h"

// What `connect` of struct upstream is in a simulation.
enum error canned_connect(struct loop *loop, const struct sockaddr *address, socklen_t length, const struct transport_handler *handler, void *user,
                          struct transport **transport);

#endif
