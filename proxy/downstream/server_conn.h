// A client's connection: transport, server codec, and the streams on it.
//
// Owner: its listener. Start: server_conn_open. Cancel: server_conn_close, server_conn_drain. Memory: frees itself when its transport is closed and its last stream is released.
#ifndef DOWNSTREAM_SERVER_CONN_H
#define DOWNSTREAM_SERVER_CONN_H

#include "downstream/downstream.h"

struct server_conn;

// Takes over an accepted socket.
void server_conn_open(struct downstream_listener *listener, int socket);

// Nothing new is begun; closes after the last response.
void server_conn_drain(struct server_conn *conn);

// The same, unless a request is on it.
void server_conn_drain_idle(struct server_conn *conn);

// Closes at once; streams end as client_gone. `reason` is for the counters.
void server_conn_close(struct server_conn *conn, enum error reason);

// After a change of the trust bundle: drains a connection whose peer would no longer be accepted, and closes it after TLS_LAST_CALL_NS.
void server_conn_check_peer(struct server_conn *conn, const struct credentials *credentials);

// After a change of its listener: plain text is not taken any more where mutual TLS has become a must.
void server_conn_check_mode(struct server_conn *conn);

struct server_conn *server_conn_of_link(struct list *link);

#endif
