// A pool of a bulkhead: so many requests run at once, others wait in a bounded queue. One for all workers of a proxy. It knows no stream, no loop and no clock: time is passed in.
//
// How many run is one atomic number. While nobody waits a slot is taken and given back by compare and swap; where somebody does, or keys have shares of their own, under the pool's mutex.
// There a slot that comes back is handed to whoever is first, who need only be told: it is never free in between, so nobody who comes in that moment can take it, and there are never more
// than there may be.
//
// A ticket is one request in a pool. It lies in the memory of whoever asks and belongs to one worker; only its outcome is decided on whichever thread gives a slot back.
#ifndef FILTERS_BULKHEAD_POOL_H
#define FILTERS_BULKHEAD_POOL_H

#include "config/bulkhead_config.h"
#include "filters/bulkhead_keys.h"
#include "filters/rank_tree.h"
#include "upstream/policy_state.h"

#include <stdatomic.h>
#include <stdbool.h>

#define BULKHEAD_SLOTS_MAX 1000000
struct bulkhead_pool;
struct bulkhead_key;

// How many may run.
struct bulkhead_plan {
    bool adapts;                   // Gradient2 says it, between these; else `max`
    uint32_t min, max;             // 1 to BULKHEAD_SLOTS_MAX
    struct bulkhead_shares shares; // copied
};

// What a request asks for, by its documents as it began with them. What share its key has is the pool's to say: all requests of a key have the newest.
struct bulkhead_ask {
    nanoseconds now;
    nanoseconds deadline; // UINT64_MAX: none
    uint32_t class_index; // 0 is served first
    uint32_t max_queue;   // up to BULKHEAD_QUEUE_MAX
    bool has_key;
    uint64_t key;    // any number, not to be aimed at from outside
    bool is_dry_run; // nobody may hold it up
};

enum bulkhead_outcome {
    BULKHEAD_NONE,    // it has asked for nothing, or has given back what it had
    BULKHEAD_RUNS,    // it has a slot
    BULKHEAD_WAITS,   // it has a place in the queue
    BULKHEAD_REFUSED, // the queue is full of others that go before it, or that are inside the share of their key as it is not
};

struct bulkhead_ticket {
    struct bulkhead_pool *pool;
    const void *worker; // whose ticket it is: only compared
    // The outcome of one that waits is there: once, under the pool's mutex, on any thread. `is_here`: on that of its worker.
    void (*tell)(struct bulkhead_ticket *ticket, bool is_here);
    _Atomic enum bulkhead_outcome outcome;
    struct bulkhead_key *key;         // NULL: none
    struct rank_node in_queue;        // among all that wait
    struct rank_node in_key;          // among those of its key
    uint32_t in_flight;               // that ran when it began, itself counted
    nanoseconds asked_at, started_at; // started_at: when its worker knew
    bool is_queued;                   // it has waited
    bool is_counted;                  // for how long
};

// What there is of one moment.
struct bulkhead_figures {
    uint32_t running, limit, queued;
    uint32_t of_key; // that run, of the ask's key
    uint32_t share;  // of the ask's key; UINT32_MAX: it has none
    enum bulkhead_outcome would;
};

struct bulkhead_pool *bulkhead_pool_create(void);

// It goes once its last ticket has given back what it had. Any thread.
void bulkhead_pool_close(struct bulkhead_pool *pool);

// From then on these numbers hold, also for requests that began before: whoever now has room begins, whoever runs goes on. What was learnt stays, unless it did not adapt before. Any thread.
void bulkhead_pool_configure(struct bulkhead_pool *pool, const struct bulkhead_plan *plan);

// Of a ticket whose outcome is BULKHEAD_NONE, with worker and tell set. RUNS, WAITS (tell follows) or REFUSED. In a dry run that is what would have become of it: it runs, but where it
// would be REFUSED, and is counted above the limit where it would wait.
enum bulkhead_outcome bulkhead_take(struct bulkhead_pool *pool, struct bulkhead_ticket *ticket, const struct bulkhead_ask *ask);

// What it would be answered. Takes nothing.
struct bulkhead_figures bulkhead_look(struct bulkhead_pool *pool, const struct bulkhead_ask *ask);

// What became of it, on its worker's thread. The first time that it is told RUNS its time begins.
enum bulkhead_outcome bulkhead_outcome_of(struct bulkhead_ticket *ticket, nanoseconds now);

// It waits no longer. False: it has a slot by now, or was refused.
bool bulkhead_give_up(struct bulkhead_ticket *ticket, nanoseconds now);

// It is over, whatever it had: slot or place go to others. Its memory may go. On its worker's thread.
void bulkhead_leave(struct bulkhead_ticket *ticket, nanoseconds now);

// What runs has been answered after so long: what an adapting pool learns from. It looks at averages: of at least ten answers, over at least a second.
void bulkhead_learn(struct bulkhead_ticket *ticket, nanoseconds took, nanoseconds now);

// When whoever asks now could have a slot, by how long others have had theirs; never 0.
nanoseconds bulkhead_estimate(struct bulkhead_pool *pool);

// Any thread.
void bulkhead_read(struct bulkhead_pool *pool, struct policy_queue *queue);

#endif
