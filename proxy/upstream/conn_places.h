// How many connections a service may have (connections.max), over all its endpoints, all kinds of pools and all workers of the process, exactly: who may open one more, and who
// gives one up for whom.
//
// A place is taken before a connection is begun and given back when it is closed. A pool with waiters that no connection under way will serve, and none may be opened for, is
// blocked: what is given back goes to blocked pools in turn, one place each. One that has no connection at all, or whose waiters were served nothing for PATIENCE_NS, is starved: it goes before
// those that are blocked, on all workers, and connections that are idle and that nobody waits for are closed for it. One that has no connection for so long is owed one: the next connection
// that ends a stream is given up for it, though others wait for that one. So each pool gets its turn, however few places there are, and none is given up for nothing while a pool has what it needs.
#ifndef UPSTREAM_CONN_PLACES_H
#define UPSTREAM_CONN_PLACES_H

#include "base/list.h"
#include "net/loop.h"

#include <stdbool.h>
#include <stdint.h>

struct cluster;
struct conn_pool;
struct upstream_conn;

enum conn_need { NEED_NONE, NEED_BLOCKED, NEED_STARVED };

// Of one cluster, in one worker.
struct conn_places {
    struct list blocked; // struct conn_pool.need_link, who is next first
    struct list starved; // the same
    struct list idle;    // struct upstream_conn.idle: open, with room, without a stream; longest first
    struct timer look;   // while one is blocked: places that other workers gave back; nobody tells of them
    uint64_t refused;    // pools that became blocked
};

void conn_places_init(struct conn_places *places);

// Counts one more connection of the pool's service; false when there are as many as may be, or others go first.
bool conn_places_take(struct conn_pool *pool);

// It is closed. `pool` may be one of an endpoint that is retired. Who may have the place is served by conn_places_serve.
void conn_places_give_back(struct conn_pool *pool);

// From the pool: its waiters or connections changed.
void conn_places_note(struct conn_pool *pool);

// From the pool: its waiters wait for a connection and got none. Closes what is idle elsewhere.
void conn_places_demand(struct conn_pool *pool);

// Places that are free go to those that need them.
void conn_places_serve(struct cluster *cluster);

// From upstream_conn, for one that has ended a stream: it is to be given up for a starved pool, `idle` or not.
bool conn_places_claim(const struct conn_pool *pool, bool idle);

// From the pool: the connection is idle and can be given up, or no longer.
void conn_places_set_idle(struct upstream_conn *conn, bool idle);

// A pool of another worker starves: closes one connection of the cluster that is idle, if there is one.
void conn_places_give_idle(struct cluster *cluster);

#endif
