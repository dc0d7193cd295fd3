// See bulkhead_pool.h. `word` is the number of those that run, the limit, and a bit that says: only under the mutex. Whoever has the mutex sets that bit, which makes both numbers his; when he
// leaves it goes, unless somebody waits.
#include "filters/bulkhead_pool.h"

#include "base/check.h"
#include "base/pool.h"
#include "filters/gradient.h"

#include <pthread.h>
#include <stdlib.h>

#define COUNT_BITS 28
#define COUNT_MASK ((UINT64_C(1) << COUNT_BITS) - 1)
#define LOCKED (UINT64_C(1) << 63)

// Nobody is told to come back later than this.
#define ESTIMATE_MAX (60 * NS_PER_S)

// An average is of so many answers at least, which came in so much time at least. Single ones say too little: where some are cheap and some are not, all of the latter would look slow.
#define WINDOW_ANSWERS 10
#define WINDOW_TIME NS_PER_S

// Of how long slots are held: one part in so many of the newest.
#define HOLD_SHARE 16

struct bulkhead_pool {
    _Atomic uint64_t word;
    _Atomic uint64_t held_for; // how long a slot is held, on average, in nanoseconds; roughly, since updates may be lost
    _Atomic uint32_t queued;   // written under the mutex
    _Atomic uint64_t waits[DURATION_BUCKETS];
    _Atomic uint64_t waited;
    pthread_mutex_t lock;      // all below
    struct bulkhead_plan plan; // its shares are the pool's own
    struct gradient gradient;
    struct {
        nanoseconds begun, sum;
        uint32_t count;
        uint32_t in_flight; // at most
    } window;
    uint64_t arrivals;
    struct rank_tree queue;    // all that wait
    struct rank_tree ready;    // keys with room and somebody who waits, by their first
    struct rank_tree beyond;   // keys of which more run and wait than their share, by their last: whom even an empty pool would not take
    struct bulkhead_key alone; // of all requests without a key
    struct bulkhead_keys keys;
    uint32_t pushed_out; // of the queue, and not gone yet
    uint32_t over;       // of all keys
    bool is_closed;
    uint32_t running, limit; // while the mutex is held
};

_Static_assert(BULKHEAD_SLOTS_MAX + BULKHEAD_QUEUE_MAX < COUNT_MASK, "what runs has room in the word, with what would wait in a dry run");

static uint64_t word_of(uint32_t running, uint32_t limit) {
    return (uint64_t)limit << COUNT_BITS | running;
}

static uint32_t running_in(uint64_t word) {
    return (uint32_t)(word & COUNT_MASK);
}

static uint32_t limit_in(uint64_t word) {
    return (uint32_t)(word >> COUNT_BITS & COUNT_MASK);
}

static void enter(struct bulkhead_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    const uint64_t word = atomic_fetch_or_explicit(&pool->word, LOCKED, memory_order_acq_rel);
    pool->running = running_in(word);
    pool->limit = limit_in(word);
}

static uint32_t queued(const struct bulkhead_pool *pool) {
    return atomic_load_explicit(&pool->queued, memory_order_relaxed);
}

static void destroy(struct bulkhead_pool *pool) {
    pthread_mutex_destroy(&pool->lock);
    bulkhead_keys_dispose(&pool->keys);
    bulkhead_shares_dispose(&pool->plan.shares);
    free(pool);
}

static void leave(struct bulkhead_pool *pool) {
    const bool is_last = pool->is_closed && pool->running == 0 && queued(pool) == 0 && pool->pushed_out == 0;
    const bool stays_locked = pool->is_closed || queued(pool) > 0;
    atomic_store_explicit(&pool->word, word_of(pool->running, pool->limit) | (stays_locked ? LOCKED : 0), memory_order_release);
    pthread_mutex_unlock(&pool->lock);
    if (is_last)
        destroy(pool);
}

struct bulkhead_pool *bulkhead_pool_create(void) {
    struct bulkhead_pool *pool = alloc_zeroed_or_abort(1, sizeof *pool);
    pthread_mutex_init(&pool->lock, NULL);
    bulkhead_keys_init(&pool->keys);
    pool->alone.share = UINT32_MAX;
    return pool;
}

void bulkhead_pool_close(struct bulkhead_pool *pool) {
    enter(pool);
    pool->is_closed = true;
    leave(pool);
}

// ---- under the mutex

static struct bulkhead_ticket *ticket_in_key(struct rank_node *node) {
    return CONTAINER_OF(node, struct bulkhead_ticket, in_key);
}

static struct bulkhead_key *key_of(struct bulkhead_pool *pool, const struct bulkhead_ticket *ticket) {
    return ticket->key != NULL ? ticket->key : &pool->alone;
}

static bool has_room(const struct bulkhead_key *key) {
    return key->running < key->share;
}

// Puts a key into one of the trees of its pool, by one that waits in it, or out of that.
static bool stands(struct rank_tree *tree, struct rank_node *node, bool stood, const struct rank_node *by) {
    if (stood)
        rank_tree_remove(tree, node);
    if (by != NULL)
        rank_tree_insert(tree, node, &by->rank);
    return by != NULL;
}

// Where it stands as it is now.
static void look_at_key(struct bulkhead_pool *pool, struct bulkhead_key *key) {
    const bool is_beyond = (uint64_t)key->running + key->waits > key->share;
    key->is_ready = stands(&pool->ready, &key->in_ready, key->is_ready, has_room(key) ? rank_tree_first(&key->waiting) : NULL);
    key->is_beyond = stands(&pool->beyond, &key->in_beyond, key->is_beyond, is_beyond ? rank_tree_last(&key->waiting) : NULL);
}

// Its key may be one that nobody needs any more.
static void let_go_of_key(struct bulkhead_pool *pool, struct bulkhead_ticket *ticket) {
    if (ticket->key != NULL && ticket->key->running == 0 && ticket->key->waiting.root == NULL)
        bulkhead_keys_drop(&pool->keys, ticket->key);
    ticket->key = NULL;
}

static void enqueue(struct bulkhead_pool *pool, struct bulkhead_ticket *ticket, const struct bulkhead_ask *ask) {
    struct bulkhead_key *key = key_of(pool, ticket);
    const struct rank rank = {ask->class_index, ask->deadline, pool->arrivals++};
    rank_tree_insert(&pool->queue, &ticket->in_queue, &rank);
    rank_tree_insert(&key->waiting, &ticket->in_key, &rank);
    key->waits++;
    atomic_store_explicit(&pool->queued, queued(pool) + 1, memory_order_relaxed);
    look_at_key(pool, key);
}

static void dequeue(struct bulkhead_pool *pool, struct bulkhead_ticket *ticket) {
    struct bulkhead_key *key = key_of(pool, ticket);
    rank_tree_remove(&pool->queue, &ticket->in_queue);
    rank_tree_remove(&key->waiting, &ticket->in_key);
    key->waits--;
    atomic_store_explicit(&pool->queued, queued(pool) - 1, memory_order_relaxed);
    look_at_key(pool, key);
}

// Without a key nothing is counted by it: slots come and go without the mutex.
static void begin(struct bulkhead_pool *pool, struct bulkhead_ticket *ticket) {
    ticket->in_flight = ++pool->running;
    if (ticket->key == NULL)
        return;
    ticket->key->running++;
    look_at_key(pool, ticket->key);
}

static void settle(struct bulkhead_ticket *ticket, enum bulkhead_outcome outcome, const void *by) {
    const bool is_here = ticket->worker == by;
    atomic_store_explicit(&ticket->outcome, outcome, memory_order_release);
    ticket->tell(ticket, is_here); // before the mutex is left: then its worker may end it
}

// Slots that are free go to those who wait for one. `by`: the worker at work here; NULL: none.
static void hand_out(struct bulkhead_pool *pool, const void *by) {
    struct rank_node *node;
    while (pool->running < pool->limit && (node = rank_tree_first(&pool->ready)) != NULL) {
        struct bulkhead_key *key = CONTAINER_OF(node, struct bulkhead_key, in_ready);
        struct bulkhead_ticket *ticket = ticket_in_key(rank_tree_first(&key->waiting));
        dequeue(pool, ticket);
        begin(pool, ticket);
        settle(ticket, BULKHEAD_RUNS, by);
    }
}

static void set_limit(struct bulkhead_pool *pool) {
    const struct bulkhead_plan *plan = &pool->plan;
    pool->limit = plan->adapts ? gradient_limit(&pool->gradient, plan->min, plan->max) : plan->max;
}

// In a dry run those beyond the old share run all the same: as many as have room now do so by it.
static void set_share(struct bulkhead_pool *pool, struct bulkhead_key *key, uint32_t share) {
    key->share = share;
    while (key->over > 0 && has_room(key)) {
        key->over--;
        pool->over--;
        key->running++;
        pool->running++;
    }
    look_at_key(pool, key);
}

static void set_shares(struct bulkhead_pool *pool) {
    for (struct bulkhead_key *key = bulkhead_keys_next(&pool->keys, NULL); key != NULL; key = bulkhead_keys_next(&pool->keys, key))
        set_share(pool, key, bulkhead_share_of(&pool->plan.shares, key->hash));
}

void bulkhead_pool_configure(struct bulkhead_pool *pool, const struct bulkhead_plan *plan) {
    CHECK(plan->max > 0 && plan->max <= BULKHEAD_SLOTS_MAX);
    enter(pool);
    if (plan->adapts && !pool->plan.adapts) {
        gradient_init(&pool->gradient, plan->min, plan->max);
        pool->window.count = 0;
    }
    bulkhead_shares_dispose(&pool->plan.shares);
    pool->plan = *plan;
    bulkhead_shares_init(&pool->plan.shares, &plan->shares);
    set_shares(pool);
    set_limit(pool);
    hand_out(pool, NULL);
    leave(pool);
}

// The key of the ask. Its share is the pool's and not the request's: one that began with older documents may be the first of its key.
static void find_key(struct bulkhead_pool *pool, struct bulkhead_ticket *ticket, const struct bulkhead_ask *ask) {
    if (!ask->has_key)
        return;
    ticket->key = bulkhead_keys_get(&pool->keys, ask->key);
    if (ticket->key->share == 0)
        ticket->key->share = bulkhead_share_of(&pool->plan.shares, ask->key);
}

// Whether it could begin at once. Whoever is ready has no slot to begin with: while there are free ones nobody is.
static bool may_begin(const struct bulkhead_pool *pool, const struct bulkhead_key *key) {
    return pool->running < pool->limit && (key == NULL || has_room(key));
}

static struct bulkhead_ticket *last_of_key(const struct bulkhead_key *key) {
    struct rank_node *last = rank_tree_last(&key->waiting);
    return last == NULL ? NULL : ticket_in_key(last);
}

// The last of those that are beyond the share of their key; NULL: there is none.
static struct bulkhead_ticket *last_beyond(const struct bulkhead_pool *pool) {
    struct rank_node *node = rank_tree_last(&pool->beyond);
    return node == NULL ? NULL : last_of_key(CONTAINER_OF(node, struct bulkhead_key, in_beyond));
}

static bool goes_before(const struct rank *rank, const struct bulkhead_ticket *ticket) {
    return ticket != NULL && rank_compare(rank, &ticket->in_queue.rank) < 0;
}

// Whose place it takes in a full queue; NULL: nobody's. What is beyond the share of its key gives way to all that is not, whatever their ranks: one key would take the whole queue else. It
// takes the place of its like alone, or of its own key.
static struct bulkhead_ticket *gives_way(const struct bulkhead_pool *pool, const struct bulkhead_key *key, const struct rank *rank) {
    struct bulkhead_ticket *beyond = last_beyond(pool);
    const bool is_beyond = (uint64_t)key->running + key->waits >= key->share;
    if (beyond != NULL && (!is_beyond || goes_before(rank, beyond)))
        return beyond;
    struct bulkhead_ticket *last = is_beyond ? last_of_key(key) : CONTAINER_OF(rank_tree_last(&pool->queue), struct bulkhead_ticket, in_queue);
    return goes_before(rank, last) ? last : NULL;
}

// Whether it waits, and in whose place: NULL where there is one for it. `key` NULL: it has none.
static bool finds_place(const struct bulkhead_pool *pool, const struct bulkhead_key *key, const struct bulkhead_ask *ask,
                        struct bulkhead_ticket **out) {
    *out = NULL;
    if (queued(pool) < ask->max_queue)
        return true;
    if (ask->max_queue == 0)
        return false;
    const struct rank rank = {ask->class_index, ask->deadline, pool->arrivals};
    *out = gives_way(pool, key == NULL ? &pool->alone : key, &rank);
    return *out != NULL;
}

static enum bulkhead_outcome would_become(const struct bulkhead_pool *pool, const struct bulkhead_key *key, const struct bulkhead_ask *ask) {
    struct bulkhead_ticket *out;
    if (may_begin(pool, key))
        return BULKHEAD_RUNS;
    if (ask->is_dry_run) // those above the limit, or their share, would wait
        return pool->over + (uint64_t)pool->running < (uint64_t)ask->max_queue + (pool->running < pool->limit ? pool->running : pool->limit)
                   ? BULKHEAD_WAITS
                   : BULKHEAD_REFUSED;
    return finds_place(pool, key, ask, &out) ? BULKHEAD_WAITS : BULKHEAD_REFUSED;
}

static void push_out(struct bulkhead_pool *pool, struct bulkhead_ticket *out, const void *by) {
    dequeue(pool, out);
    let_go_of_key(pool, out);
    pool->pushed_out++;
    settle(out, BULKHEAD_REFUSED, by);
}

static enum bulkhead_outcome place(struct bulkhead_pool *pool, struct bulkhead_ticket *ticket, const struct bulkhead_ask *ask) {
    struct bulkhead_ticket *out;
    if (may_begin(pool, ticket->key)) {
        begin(pool, ticket);
        return BULKHEAD_RUNS;
    }
    if (!finds_place(pool, ticket->key, ask, &out)) {
        let_go_of_key(pool, ticket);
        return BULKHEAD_REFUSED;
    }
    enqueue(pool, ticket, ask); // before the other goes, whose key may be its own
    if (out != NULL)
        push_out(pool, out, ticket->worker);
    return BULKHEAD_WAITS;
}

// What would become of it, were it held up. It runs, and is counted above the limit, but where it would be refused. One that would wait for its share would have no slot: it is counted by
// its key, and takes over the next that this gives back.
static enum bulkhead_outcome count(struct bulkhead_pool *pool, struct bulkhead_ticket *ticket, const struct bulkhead_ask *ask) {
    const enum bulkhead_outcome would = would_become(pool, ticket->key, ask);
    if (would == BULKHEAD_REFUSED) {
        let_go_of_key(pool, ticket);
    } else if (ticket->key != NULL && !has_room(ticket->key)) {
        ticket->key->over++;
        pool->over++;
    } else {
        begin(pool, ticket);
    }
    return would;
}

// ---- a ticket

// It waits no longer; counted once. Before it gives back what it has: then the pool may be gone.
static void note_wait(struct bulkhead_ticket *ticket, nanoseconds now) {
    struct bulkhead_pool *pool = ticket->pool;
    const nanoseconds waited = now - ticket->asked_at;
    if (ticket->is_counted)
        return;
    ticket->is_counted = true;
    atomic_fetch_add_explicit(&pool->waits[duration_bucket(waited)], 1, memory_order_relaxed);
    if (waited > 0)
        atomic_fetch_add_explicit(&pool->waited, waited, memory_order_relaxed);
}

static void ask_for(struct bulkhead_pool *pool, struct bulkhead_ticket *ticket, const struct bulkhead_ask *ask) {
    CHECK(atomic_load_explicit(&ticket->outcome, memory_order_relaxed) == BULKHEAD_NONE);
    ticket->pool = pool;
    ticket->asked_at = ask->now;
    ticket->started_at = 0;
    ticket->is_counted = ticket->is_queued = false;
}

static void answer(struct bulkhead_ticket *ticket, enum bulkhead_outcome outcome, nanoseconds now) {
    atomic_store_explicit(&ticket->outcome, outcome, memory_order_relaxed);
    if (outcome == BULKHEAD_RUNS)
        (void)bulkhead_outcome_of(ticket, now);
}

static bool take_freely(struct bulkhead_pool *pool, struct bulkhead_ticket *ticket) {
    uint64_t word = atomic_load_explicit(&pool->word, memory_order_relaxed);
    while ((word & LOCKED) == 0 && running_in(word) < limit_in(word))
        if (atomic_compare_exchange_weak_explicit(&pool->word, &word, word + 1, memory_order_acq_rel, memory_order_relaxed)) {
            ticket->in_flight = running_in(word) + 1;
            return true;
        }
    return false;
}

enum bulkhead_outcome bulkhead_take(struct bulkhead_pool *pool, struct bulkhead_ticket *ticket, const struct bulkhead_ask *ask) {
    ask_for(pool, ticket, ask);
    if (!ask->has_key && !ask->is_dry_run && take_freely(pool, ticket)) {
        answer(ticket, BULKHEAD_RUNS, ask->now);
        return BULKHEAD_RUNS;
    }
    enter(pool);
    find_key(pool, ticket, ask);
    const enum bulkhead_outcome outcome = ask->is_dry_run ? count(pool, ticket, ask) : place(pool, ticket, ask);
    ticket->is_queued = outcome == BULKHEAD_WAITS && !ask->is_dry_run;
    answer(ticket, outcome == BULKHEAD_WAITS && ask->is_dry_run ? BULKHEAD_RUNS : outcome, ask->now);
    leave(pool);
    return outcome;
}

struct bulkhead_figures bulkhead_look(struct bulkhead_pool *pool, const struct bulkhead_ask *ask) {
    enter(pool);
    const struct bulkhead_key none = {.share = bulkhead_share_of(&pool->plan.shares, ask->key)};
    const struct bulkhead_key *key = ask->has_key ? bulkhead_keys_find(&pool->keys, ask->key) : NULL;
    if (key == NULL && ask->has_key)
        key = &none;
    const struct bulkhead_figures figures = {.running = pool->running,
                                             .limit = pool->limit,
                                             .queued = queued(pool),
                                             .of_key = key == NULL ? 0 : key->running,
                                             .share = key == NULL ? UINT32_MAX : key->share,
                                             .would = would_become(pool, key, ask)};
    leave(pool);
    return figures;
}

enum bulkhead_outcome bulkhead_outcome_of(struct bulkhead_ticket *ticket, nanoseconds now) {
    const enum bulkhead_outcome outcome = atomic_load_explicit(&ticket->outcome, memory_order_acquire);
    if (outcome == BULKHEAD_RUNS && ticket->started_at == 0) {
        ticket->started_at = now;
        note_wait(ticket, now);
    }
    return outcome;
}

// Gives back a slot that no key and nobody who waits has to do with.
static bool give_back_freely(struct bulkhead_ticket *ticket) {
    uint64_t word = atomic_load_explicit(&ticket->pool->word, memory_order_relaxed);
    while (ticket->key == NULL && (word & LOCKED) == 0) {
        CHECK(running_in(word) > 0);
        if (atomic_compare_exchange_weak_explicit(&ticket->pool->word, &word, word - 1, memory_order_acq_rel, memory_order_relaxed))
            return true;
    }
    return false;
}

static void give_back(struct bulkhead_pool *pool, struct bulkhead_ticket *ticket) {
    CHECK(pool->running > 0);
    if (ticket->key != NULL && ticket->key->over > 0) { // a dry run: whichever of them it is
        ticket->key->over--;
        pool->over--;
        ticket->key = NULL;
        return;
    }
    pool->running--;
    if (ticket->key != NULL) {
        ticket->key->running--;
        look_at_key(pool, ticket->key);
    }
    let_go_of_key(pool, ticket);
    hand_out(pool, ticket->worker);
}

bool bulkhead_give_up(struct bulkhead_ticket *ticket, nanoseconds now) {
    struct bulkhead_pool *pool = ticket->pool;
    note_wait(ticket, now);
    enter(pool);
    const bool waits = atomic_load_explicit(&ticket->outcome, memory_order_relaxed) == BULKHEAD_WAITS;
    if (waits) {
        dequeue(pool, ticket);
        let_go_of_key(pool, ticket);
        atomic_store_explicit(&ticket->outcome, BULKHEAD_NONE, memory_order_relaxed);
    }
    leave(pool);
    return waits;
}

static void note_held(struct bulkhead_ticket *ticket, nanoseconds now) {
    _Atomic uint64_t *mean = &ticket->pool->held_for;
    if (ticket->started_at == 0)
        return; // it was handed over to nobody
    const int64_t before = (int64_t)atomic_load_explicit(mean, memory_order_relaxed);
    const int64_t held = (int64_t)(now - ticket->started_at);
    atomic_store_explicit(mean, (uint64_t)(before == 0 ? held : before + (held - before) / HOLD_SHARE), memory_order_relaxed);
}

static void give_back_slot(struct bulkhead_ticket *ticket, nanoseconds now) {
    struct bulkhead_pool *pool = ticket->pool;
    note_held(ticket, now);
    if (give_back_freely(ticket))
        return;
    enter(pool);
    give_back(pool, ticket);
    leave(pool);
}

// Whoever has pushed it out may still be about to tell it: that is over once the mutex could be had.
static void leave_pushed_out(struct bulkhead_ticket *ticket) {
    struct bulkhead_pool *pool = ticket->pool;
    enter(pool);
    pool->pushed_out--;
    leave(pool);
}

void bulkhead_leave(struct bulkhead_ticket *ticket, nanoseconds now) {
    enum bulkhead_outcome outcome = atomic_load_explicit(&ticket->outcome, memory_order_acquire);
    if (outcome == BULKHEAD_WAITS && !bulkhead_give_up(ticket, now))
        outcome = atomic_load_explicit(&ticket->outcome, memory_order_acquire); // it was told so in this moment: a slot goes on to the next
    if (ticket->is_queued && outcome != BULKHEAD_WAITS && outcome != BULKHEAD_NONE)
        note_wait(ticket, now);
    if (outcome == BULKHEAD_RUNS)
        give_back_slot(ticket, now);
    else if (outcome == BULKHEAD_REFUSED && ticket->is_queued)
        leave_pushed_out(ticket);
    atomic_store_explicit(&ticket->outcome, BULKHEAD_NONE, memory_order_relaxed);
}

// True: the window is full. Workers have clocks of their own, which are a little apart.
static bool add_to_window(struct bulkhead_pool *pool, nanoseconds took, uint32_t in_flight, nanoseconds now) {
    if (pool->window.count == 0) {
        pool->window.begun = now;
        pool->window.sum = pool->window.in_flight = 0;
    }
    pool->window.count++;
    pool->window.sum += took;
    pool->window.in_flight = in_flight > pool->window.in_flight ? in_flight : pool->window.in_flight;
    return pool->window.count >= WINDOW_ANSWERS && now >= pool->window.begun + WINDOW_TIME;
}

void bulkhead_learn(struct bulkhead_ticket *ticket, nanoseconds took, nanoseconds now) {
    struct bulkhead_pool *pool = ticket->pool;
    enter(pool);
    if (pool->plan.adapts && add_to_window(pool, took, ticket->in_flight, now)) {
        gradient_sample(&pool->gradient, pool->window.sum / pool->window.count, pool->window.in_flight, pool->plan.min, pool->plan.max);
        pool->window.count = 0;
        set_limit(pool);
        hand_out(pool, ticket->worker);
    }
    leave(pool);
}

nanoseconds bulkhead_estimate(struct bulkhead_pool *pool) {
    const uint64_t word = atomic_load_explicit(&pool->word, memory_order_relaxed);
    const uint64_t held = atomic_load_explicit(&pool->held_for, memory_order_relaxed);
    const uint64_t rounds = queued(pool) / (limit_in(word) > 0 ? limit_in(word) : 1) + 1;
    if (held >= ESTIMATE_MAX / rounds)
        return ESTIMATE_MAX;
    return held * rounds > NS_PER_MS ? held * rounds : NS_PER_MS;
}

void bulkhead_read(struct bulkhead_pool *pool, struct policy_queue *queue) {
    const uint64_t word = atomic_load_explicit(&pool->word, memory_order_relaxed);
    queue->running = running_in(word);
    queue->limit = limit_in(word);
    queue->queued = queued(pool);
    for (unsigned i = 0; i < DURATION_BUCKETS; i++)
        queue->waits[i] = atomic_load_explicit(&pool->waits[i], memory_order_relaxed);
    queue->waited = atomic_load_explicit(&pool->waited, memory_order_relaxed);
}
