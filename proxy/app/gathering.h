// Questions of admin pages to the workers: each is put to every worker as a message and answered once all reports are back. On the main thread.
//
// Owner:      the proxy.
// Start:      gathering_begin; once closed it completes the query at once, of which no worker has said anything.
// Callbacks:  none; the query is completed (figures.h, figures_complete) exactly once, now or later, also when its client is gone.
// Cancel:     gatherings_close before the workers are stopped, gatherings_end after it.
// Memory:     a gathering frees itself when its query is completed.
#ifndef APP_GATHERING_H
#define APP_GATHERING_H

#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

struct admin_query;
struct proxy;

// Put to the workers at once; others wait for their turn and hold no memory but their own: that of a report is some hundred bytes for each endpoint.
#define GATHERINGS_ACTIVE_MAX 4

struct gatherings {
    struct list waiting;
    struct list active;
    uint32_t active_count;
    bool closed;
};

void gatherings_init(struct gatherings *gatherings);
void gathering_begin(struct proxy *proxy, struct admin_query *query);

// No worker is asked any more; queries that none was asked for are completed.
void gatherings_close(struct proxy *proxy);

// The threads of all workers have ended: completes the rest.
void gatherings_end(struct proxy *proxy);

#endif
