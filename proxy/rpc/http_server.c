// The life of the server and its bound on connections; what happens on one of them is in connection.c.
#include "rpc/http_server.h"

#include "base/check.h"
#include "net/tcp_listener.h"
#include "rpc/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void release_when_done(struct rpc_server *server) {
    if (server->closing && server->counters.connections == 0)
        loop_defer(server->loop, &server->release);
}

void rpc_server_connection_gone(struct rpc_server *server) {
    CHECK(server->counters.connections > 0);
    server->counters.connections--;
    release_when_done(server);
}

static void on_accepted(void *user, int socket) {
    struct rpc_server *server = user;
    struct rpc_counters *counters = &server->counters;
    // A connection that is being closed counts until it is gone: a burst then goes a little over the bound, by those that were made to leave.
    if (counters->connections >= RPC_CONNECTIONS_MAX && !rpc_connection_make_room(server)) {
        counters->refused++;
        close(socket);
        return;
    }
    static const int unsent = RPC_UNSENT_MAX;
    (void)setsockopt(socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent); // fails on Unix sockets, which keep little by themselves
    if (rpc_connection_open(server, socket) != OK) {
        counters->refused++;
        return;
    }
    counters->accepted++;
    if (++counters->connections > counters->connections_peak)
        counters->connections_peak = counters->connections;
}

static void server_release(struct task *task) {
    struct rpc_server *server = CONTAINER_OF(task, struct rpc_server, release);
    free(server);
}

struct rpc_server *rpc_server_open(struct loop *loop, int socket, const struct rpc_handler *handler, void *owner) {
    struct rpc_server *server = alloc_zeroed_or_abort(1, sizeof(*server));
    server->loop = loop;
    server->handler = handler;
    server->owner = owner;
    list_init(&server->connections);
    task_init(&server->release, server_release);
    server->listener = tcp_listener_open(loop, socket, on_accepted, server);
    return server;
}

void rpc_server_stop_listening(struct rpc_server *server) {
    if (server->listener != NULL)
        tcp_listener_close(server->listener);
    server->listener = NULL;
    while (rpc_connection_close_quietest(server))
        continue;
}

void rpc_server_close(struct rpc_server *server) {
    CHECK(!server->closing);
    server->closing = true;
    if (server->listener != NULL)
        tcp_listener_close(server->listener);
    rpc_connection_close_all(server);
    release_when_done(server);
}

const struct rpc_counters *rpc_server_counters(const struct rpc_server *server) {
    return &server->counters;
}
