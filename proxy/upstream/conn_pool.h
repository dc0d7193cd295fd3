// The connections of one worker to one endpoint, of one kind: which request gets which, who waits, when one more is opened.
//
// A request takes a connection with room, the most recently used first, or waits in order of arrival. Connections are opened as there are waiters that no
// connection under way will serve. While a connection is idle its socket stays watched: what its peer does to it is known before a stream can take it in the same turn.
#ifndef UPSTREAM_CONN_POOL_H
#define UPSTREAM_CONN_POOL_H

#include "base/error.h"
#include "base/list.h"
#include "net/loop.h"
#include "upstream/conn_places.h"

#include <stdbool.h>
#include <stdint.h>

struct endpoint;
struct upstream_conn;

// What a new connection is to speak. On TLS POOL_HTTP1 offers HTTP/1.1 alone (ALPN), and POOL_HTTP2 what the port's protocol allows: where that is HTTP the peer may
// choose HTTP/1.1 after all. POOL_RAW is for opaque bytes: each connection carries one stream, and is closed where nobody waits for it any more.
enum pool_kind { POOL_HTTP1, POOL_HTTP2, POOL_RAW, POOL_KINDS };

struct conn_pool {
    struct endpoint *endpoint;
    enum pool_kind kind;
    struct list usable; // open, with room for a stream; most recently used first
    struct list busy;   // open, without room or draining
    struct list connecting;
    struct list waiters; // in order of arrival
    uint32_t open;       // usable and busy
    uint32_t idle;       // of them: without any stream
    uint32_t leaving;    // of them: will take no stream any more
    uint32_t connecting_count;
    uint32_t waiter_count;
    uint32_t granted; // waiters that were woken and have not taken their place yet
    // in conn_places
    struct list need_link;
    enum conn_need need;
    nanoseconds
        served_at; // while there is a need: when a waiter was last granted a place, a connection was begun or the last one went; or since when there is one
    bool had_none;       // no connection, when that was last looked at
    nanoseconds owed_at; // NEED_OWED: since when
    nanoseconds told_at; // when other workers were last told that it starves; 0: not since it does
    uint32_t room_last;  // streams that the last connection allowed: how many waiters one under way may serve
};

// A request's place in the queue. Embedded in an attempt.
struct conn_waiter {
    struct list link;
    struct conn_pool *pool;        // NULL: not waiting
    struct upstream_conn *told_by; // waits for what that connection's peer can do, not in the queue (upstream_conn_await_settings); NULL: does not
    struct task *task;             // woken when `granted` or `error` is set, or `told_by` is no longer
    bool granted;                  // take again: there is a place now
    bool fresh;       // set by the owner: not one that has been idle, since one that had been was lost; others are as old, and their peer is the same
    enum error error; // no connection can be had
    bool queue_was_full; // it was refused since as many waited as the policy's maxPending
    nanoseconds since;
};

void conn_pool_init(struct conn_pool *pool, struct endpoint *endpoint, enum pool_kind kind);

// A connection with room, on which a stream is to be opened at once; or NULL. Then with OK the waiter stands in the queue (at its front when it
// had been granted a place that is gone), else: ERROR_POOL_FULL, the queue is full, or no socket could be had and no connection is there to wait for;
// ERROR_NO_ENDPOINT, the endpoint is retired.
struct upstream_conn *conn_pool_take(struct conn_pool *pool, struct conn_waiter *waiter, enum error *error);

// Leaves the queue; a place that was granted goes to the next.
void conn_waiter_cancel(struct conn_waiter *waiter);

// Connections on which HTTP/1.1 was agreed take no new streams: what is idle closes now, the rest when its stream ends. For a port that is HTTP/2 from now on.
void conn_pool_drain_http1(struct conn_pool *pool);

// Closes what is idle, lets the rest drain, fails who waits. For an endpoint that is gone.
void conn_pool_retire(struct conn_pool *pool);

// Closes what is idle unless somebody is to have it.
void conn_pool_close_idle(struct conn_pool *pool);

// Somebody waits, or is about to take what was granted: an idle connection is not nobody's.
static inline bool conn_pool_is_wanted(const struct conn_pool *pool) {
    return pool->waiter_count > 0 || pool->granted > 0;
}

// From upstream_conn: there is more room than waiters were granted: an idle connection of a raw pool is then nobody's.
bool conn_pool_has_spare(const struct conn_pool *pool);

// From conn_places: one connection for waiters that none under way will serve. False: there is no place, or no socket.
bool conn_pool_open_one(struct conn_pool *pool);

// From upstream_conn: the state or room of a connection changed; it is put where it belongs and waiters get what room there is.
void conn_pool_update(struct conn_pool *pool, struct upstream_conn *conn);

// From upstream_conn: a connection is gone; `error` = it could not be made.
void conn_pool_lost(struct conn_pool *pool, struct upstream_conn *conn, enum error error);

#endif
