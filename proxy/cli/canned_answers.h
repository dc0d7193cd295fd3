// What stands behind the endpoints of a simulation: connections that lead nowhere, and answer each request as its line of the log says, after the time that it says.
#ifndef CLI_CANNED_ANSWERS_H
#define CLI_CANNED_ANSWERS_H

#include "cli/logged.h"
#include "net/transport.h"

// The header by which a request tells its place in the log, in decimal.
#define CANNED_PLACE "x-request-id"

// What `connect` of struct upstream is in a simulation. The loop is that of a struct simulation (simulation.h).
enum error canned_connect(struct loop *loop, const struct sockaddr *address, socklen_t length, const struct transport_handler *handler, void *user,
                          struct transport **transport);

#endif
