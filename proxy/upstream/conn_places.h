// How many connections a service may have (connections.max), over all its endpoints, all kinds of pools and all workers of the process, exactly: who may open one more, and who
// gives one up for whom.
//
// A place is taken before a connection is begun and given back when it is closed. A pool with waiters that no connection under way will serve, and none may be opened for, has a need (enum
// conn_need), which grows with the time in which it is served nothing. Places that are free are kept for greater needs, on whichever worker; of those that are owed one, for who has been longest.
// In one worker pools of the same need get theirs in turn.
//
// Nothing is given up while as many places are free as are needed. Else an idle connection that nobody waits for is closed for a pool that starves, at once. For one that is owed, the next
// connection that ends its last stream is closed, though others wait for it; HTTP/2 that still carries streams promises its place: it takes no new ones. A promise binds for a while alone. A
// stream may last for hours: then the connection takes streams as before, and another pays. The same one is not asked again soon, and then for longer.
//
// What holds at any time, with the counts of service_shared:
// 1. connections = pools' connections, from before they are begun until they are closed, on all workers, also of endpoints and services that have gone; never raised above the bound.
// 2. starved = pools whose need is STARVED or OWED, owed = those that are OWED, promised = connections with is_promised. Each is counted up and down by the worker that has it alone, so none
//    is lost by who takes what, or who leaves.
// 3. owed_first is 0 or the owed_at of a pool that is owed; not later than that of any other for longer than LOOK_NS.
// 4. A worker with a pool that has a need looks every LOOK_NS whether it can have a place.
// So whoever has waited for longest takes the next place that is free, and as long as connections end their streams one becomes free: no pool waits for ever.
#ifndef UPSTREAM_CONN_PLACES_H
#define UPSTREAM_CONN_PLACES_H

#include "base/list.h"
#include "net/loop.h"

#include <stdbool.h>
#include <stdint.h>

struct cluster;
struct conn_pool;
struct upstream_conn;

enum conn_need {
    NEED_NONE,
    NEED_BLOCKED, // it has connections that take streams, or will
    NEED_STARVED, // it has none, or was served nothing for PATIENCE_NS
    NEED_OWED,    // it has none, for PATIENCE_NS, or was served nothing for LONG_PATIENCE_NS
};

// Of one cluster, in one worker.
struct conn_places {
    struct list of_need[NEED_OWED + 1]; // struct conn_pool.need_link, who is next first; none of NEED_NONE
    struct list idle;                   // struct upstream_conn.idle: open, with room, without a stream; longest first
    struct timer look;                  // while one has a need: places that other workers gave back; nobody tells of them
    uint64_t refused;                   // pools that came to have one
};

void conn_places_init(struct conn_places *places);

// Counts one more connection of the pool's service; false when there are as many as may be, or others go first.
bool conn_places_take(struct conn_pool *pool);

// It could not be begun.
void conn_places_give_back(struct conn_pool *pool);

// It is closed; also one of an endpoint that is retired. Who may have the place is served by conn_places_serve.
void conn_places_leave(struct upstream_conn *conn);

// From the pool: its waiters or connections changed.
void conn_places_note(struct conn_pool *pool);

// From the pool: its waiters wait for a connection and got none. Closes what is idle elsewhere.
void conn_places_demand(struct conn_pool *pool);

// Places that are free go to those that need them.
void conn_places_serve(struct cluster *cluster);

// From upstream_conn, for one that has ended its last stream: it is to be closed for another pool.
bool conn_places_claim(const struct upstream_conn *conn);

// From upstream_conn, for HTTP/2 that has ended a stream and carries others: it may become promised, until promise_at.
void conn_places_promise(struct upstream_conn *conn);

// From upstream_conn, for one that is promised: its time may be over, or nobody be owed. False: it is not any more.
bool conn_places_keep(struct upstream_conn *conn);

// From the pool: the connection is idle and can be given up, or no longer.
void conn_places_set_idle(struct upstream_conn *conn, bool idle);

// A pool of another worker starves: closes one connection of the cluster that is idle, if there is one.
void conn_places_give_idle(struct cluster *cluster);

#endif
