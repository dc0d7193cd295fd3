// One connection to an endpoint: transport, client codec, what time does to it. The streams on it are in upstream_stream.h.
//
// Owner: its pool. Start: upstream_conn_open. Nothing calls back: the pool is told by conn_pool_update and _lost. Cancel: upstream_conn_close. Memory: the connection frees itself once its
// transport is closed; streams on it are failed before.
#ifndef UPSTREAM_UPSTREAM_CONN_H
#define UPSTREAM_UPSTREAM_CONN_H

#include "http/codec.h"
#include "net/loop.h"
#include "net/transport.h"
#include "upstream/conn_pool.h"

struct upstream;

struct upstream_conn {
    struct list link; // of its pool
    struct list live; // of the upstream, until it is freed
    struct list idle; // of conn_places, while it carries nothing and could
    uint64_t number;  // of the worker's connections to endpoints, from 1
    struct conn_pool *pool;
    struct endpoint *endpoint; // one reference
    struct upstream *upstream;
    struct transport *transport;
    struct codec *codec; // NULL until it is open
    struct list streams;
    struct list awaiting; // struct conn_waiter: who asks what the peer can do
    uint64_t streams_total;
    struct task flush;
    struct task release;
    struct timer timer; // connect timeout, then idle and keep-alive
    nanoseconds opened_at;
    nanoseconds idle_since;
    nanoseconds received_at;
    nanoseconds ages_at;   // it reaches its share of max age, drawn when it opened; UINT64_MAX: never
    nanoseconds drains_at; // that, or soon the end of the peer's leaf; UINT64_MAX: never
    nanoseconds ends_at;   // the end of the peer's leaf: closed then, whatever is on it; UINT64_MAX: never
    uint64_t credentials_generation;
    nanoseconds promise_at;   // is_promised: until then; else: it makes no promise before. In conn_places
    uint32_t promises_broken; // since it was last idle
    uint32_t quiet_pings;     // asked for a sign of life since a head or a piece of body came
    bool begun_since_ping;    // a stream began behind the last time that a silent stranger was asked: it is asked once more
    bool open;                // usable or busy
    bool draining;            // takes no new streams, closes after the last
    bool is_promised;         // takes no new streams for now, and closes after the last: counted in service_shared.promised
    bool aged;                // draining since it has reached its max age
    bool paused;              // reading is off: a stream's body is full
    bool input_ended;         // the peer's end was read
    bool output_ended;        // ours was told: the client's direction of a tunnel
    bool closing;
    bool mesh; // ALPN outrigger/1: headers of the mesh are believed
    bool counted_idle;
    bool counted_leaving;
    bool listed_usable; // on its pool's list of those with room
    bool changed;       // a stream ended inside feed: `settle` follows
};

// Begins to connect for the pool, which has taken a place for it. ERROR_IO: no socket.
MUST_CHECK enum error upstream_conn_open(struct conn_pool *pool);

// Streams that may still be opened.
uint32_t upstream_conn_room(const struct upstream_conn *conn);

// It is open and takes no stream any more.
bool upstream_conn_is_leaving(const struct upstream_conn *conn);

// Closes at that time at the latest, whatever is on it.
void upstream_conn_end_by(struct upstream_conn *conn, nanoseconds when);

// No new streams; closes when the last one ends.
void upstream_conn_drain(struct upstream_conn *conn);

void upstream_conn_close(struct upstream_conn *conn, enum error reason);

// HTTP/2: whether the peer takes extended CONNECT is known from its SETTINGS alone. The waiter is woken when they have come; `error` where they never will.
void upstream_conn_await_settings(struct upstream_conn *conn, struct conn_waiter *waiter);

// From upstream_stream: what its codec has produced leaves at the end of this turn.
void upstream_conn_flush(struct upstream_conn *conn);

// From upstream_stream: one ran out of time, and nothing at all came on the connection since it began. A stranger's takes no new streams then: it may be dead.
void upstream_conn_doubt(struct upstream_conn *conn);

// From upstream_stream: one begins. The timer may be set for when the connection, were it idle, is closed.
void upstream_conn_watch(struct upstream_conn *conn);

// From upstream_stream: the head of an answer came. An endpoint that was to be avoided and answers on a connection made since is there again.
void upstream_conn_note_answer(const struct upstream_conn *conn);

// From upstream_stream: after anything that may have ended one or changed what the connection can take. It may be closing afterwards.
void upstream_conn_settle(struct upstream_conn *conn);

#endif
