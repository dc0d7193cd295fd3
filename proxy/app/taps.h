// Readers of /tap: each has a feed of every worker (stream/tap_feed.h), whose lines go into its reply as far as it reads them. On the main thread.
//
// Owner:      the proxy.
// Start:      tap_begin, with a question that was read. The reply's head goes out once every worker has the feed: from then on no request is missed.
// Callbacks:  none; the query is completed (figures.h, figures_complete) exactly once, when no worker has its feed any more and the reader has what it is to get, or is gone.
// Cancel:     a tap ends by itself: enough lines, the time is over, its reader is gone; all by taps_finish, with a last line, or once the admin is closed.
// Memory:     a tap frees itself when its query is completed; at the latest in taps_end.
#ifndef APP_TAPS_H
#define APP_TAPS_H

#include "base/clock.h"
#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

struct admin_query;
struct proxy;

// At once. Each costs every worker a ring of 64 KiB and, for each request, the comparison with what is wanted.
#define TAPS_MAX 4

struct taps {
    struct list all;
    uint32_t count;
    uint32_t count_peak;
    uint64_t refused;
    nanoseconds finished_at; // no new ones since; 0: not yet
};

void taps_init(struct taps *taps);

void tap_begin(struct proxy *proxy, struct admin_query *query);

// The process ends: readers are told so, behind the last line.
void taps_finish(struct proxy *proxy);

// Whether there are still some that have not taken that, and are worth waiting for.
bool taps_linger(const struct proxy *proxy);

// The admin is closed, and the threads of all workers have ended.
void taps_end(struct proxy *proxy);

#endif
