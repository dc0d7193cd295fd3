// One connection of the HTTP server: from bytes to a request, from a reply to bytes. Used by http_server.c alone.
#ifndef RPC_CONNECTION_H
#define RPC_CONNECTION_H

#include "base/list.h"
#include "net/loop.h"
#include "rpc/http_server.h"

struct rpc_server {
    struct loop *loop;
    struct tcp_listener *listener;
    const struct rpc_handler *handler;
    void *owner;
    struct list connections;
    struct rpc_counters counters;
    bool closing;
    struct task release;
};

// Takes over an accepted socket; the connection closes and frees itself. On an error the socket is closed.
enum error rpc_connection_open(struct rpc_server *server, int socket) MUST_CHECK;

// Closes the connection that has been idle longest; false when none is idle.
bool rpc_connection_close_quietest(struct rpc_server *server);

// Closes the connection that has been idle longest, or else the one that has been sending its request longest, or else the first that has taken a reply for RPC_REPLY_PATIENCE and has not all of it yet;
// false when all wait for an answer or take one quickly enough.
bool rpc_connection_make_room(struct rpc_server *server);

void rpc_connection_close_all(struct rpc_server *server);

// By a connection that has been freed.
void rpc_server_connection_gone(struct rpc_server *server);

#endif
