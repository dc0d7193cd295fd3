// A request that waits for the first answer of a name server: its cluster has no endpoints yet, and is about to learn some.
//
// Owner:      an attempt; embedded in its memory.
// Start:      endpoint_wait_start.
// Callbacks:  `task` is woken, once: there are endpoints, or none will come (cluster_why_none), or the time is over (`error`).
// Cancel:     endpoint_wait_cancel; harmless at any time.
// Memory:     the owner's, once it is over or cancelled.
#ifndef UPSTREAM_ENDPOINT_WAIT_H
#define UPSTREAM_ENDPOINT_WAIT_H

#include "net/loop.h"

struct cluster;

struct endpoint_wait {
    struct list link; // of cluster.awaiting
    struct cluster *cluster;
    struct task *task;
    struct timer timer;
    enum error error; // DNS_TIMEOUT
};

// ERROR_POOL_FULL: so many wait that no more may (connections.maxPending). For connections.connectTimeout at most.
MUST_CHECK enum error endpoint_wait_start(struct endpoint_wait *wait, struct cluster *cluster, struct task *task);
void endpoint_wait_cancel(struct endpoint_wait *wait);

// All that wait at the cluster are woken.
void endpoint_wait_end_all(struct cluster *cluster);

static inline bool endpoint_wait_is_pending(const struct endpoint_wait *wait) {
    return list_is_linked(&wait->link);
}

#endif
