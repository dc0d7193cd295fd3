// The listening sockets of the process: opened and closed as snapshots say. One worker accepts by itself; with more, the main thread accepts and hands each connection to the worker
// with the fewest.
#ifndef APP_ACCEPTOR_H
#define APP_ACCEPTOR_H

#include "app/inherited.h"
#include "app/worker.h"
#include "config/load.h"

struct acceptor;

// `inherited`: sockets that are taken rather than bound.
struct acceptor *acceptor_create(struct loop *loop, struct worker *workers, uint32_t worker_count, struct inherited *inherited);

// Binds what `snapshot` has and is not open yet, before anything is closed: with an error nothing has changed. Then closes what it no longer has.
MUST_CHECK enum error acceptor_apply(struct acceptor *acceptor, const struct snapshot *snapshot, struct config_errors *errors);

// Begins to accept on what acceptor_apply has bound: once the workers know the snapshot.
void acceptor_begin(struct acceptor *acceptor);

// The listening sockets that are open, at most `most`; returns how many. They and their names stay the acceptor's.
uint32_t acceptor_sockets(const struct acceptor *acceptor, struct listening *sockets, uint32_t most);

// Connections that the main thread has refused for want of descriptors. Workers count their own.
uint64_t acceptor_refused(const struct acceptor *acceptor);

// Accepts who waits in the backlog of a listener that is reached from elsewhere: before acceptor_close_all, unless the sockets live on. Those are drained and waited for; the
// application's own callers are not, and one that was let in here would be cut off in the middle.
void acceptor_take_waiting(struct acceptor *acceptor);

// Stops accepting everywhere.
void acceptor_close_all(struct acceptor *acceptor);

// After acceptor_close_all.
void acceptor_destroy(struct acceptor *acceptor);

#endif
