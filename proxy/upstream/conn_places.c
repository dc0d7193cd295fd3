// See conn_places.h. Other workers are told once when a pool begins to starve, and now and then while it does; what they give back is found by looking.
#include "upstream/conn_places.h"

#include "base/check.h"
#include "upstream/cluster.h"
#include "upstream/upstream_conn.h"

// How soon a place that another worker has given back is seen.
#define LOOK_NS (5 * NS_PER_MS)

// A connection that carries one request after the other is not given up for another pool sooner: making one costs more than a turn that comes late.
#define PATIENCE_NS (100 * NS_PER_MS)

// Nor for a pool whose own connections are all at work sooner than this: they may only be slow, and those of others as slow.
#define LONG_PATIENCE_NS NS_PER_S

// A first promise lasts as long as patience does, each further one twice as long, up to 32 times: long enough for all but streams that are open-ended. Between two the connection takes
// streams for ten times as long: what waits at it loses a tenth at most.
#define PROMISE_DOUBLINGS_MAX 5
#define PROMISE_REST 10

static void on_look(struct timer *timer);

void conn_places_init(struct conn_places *places) {
    *places = (struct conn_places){0};
    for (int need = 0; need <= NEED_OWED; need++)
        list_init(&places->of_need[need]);
    list_init(&places->idle);
    timer_init(&places->look, on_look);
}

// More than the places that are free.
static bool is_short(const struct cluster *cluster, uint64_t needed) {
    const uint32_t max = cluster->traffic.connections.max;
    return max > 0 && atomic_load_explicit(&cluster->shared->connections, memory_order_relaxed) + needed > max;
}

static bool starves(const struct conn_pool *pool) {
    return pool->need >= NEED_STARVED;
}

// --- who is first ---

static struct conn_pool *first_of(const struct conn_places *places, enum conn_need need) {
    struct list *first = list_first(&places->of_need[need]);
    return first == NULL ? NULL : LIST_ENTRY(first, struct conn_pool, need_link);
}

static bool has_need(const struct conn_places *places) {
    return first_of(places, NEED_BLOCKED) != NULL || first_of(places, NEED_STARVED) != NULL || first_of(places, NEED_OWED) != NULL;
}

// They are listed as they became owed.
static nanoseconds first_owed_here(const struct conn_places *places) {
    const struct conn_pool *first = first_of(places, NEED_OWED);
    return first == NULL ? 0 : first->owed_at;
}

static void say_first(struct service_shared *shared, nanoseconds owed_at) {
    uint64_t first = atomic_load_explicit(&shared->owed_first, memory_order_relaxed);
    while ((first == 0 || owed_at < first) &&
           !atomic_compare_exchange_weak_explicit(&shared->owed_first, &first, owed_at, memory_order_relaxed, memory_order_relaxed))
        continue;
}

// It is owed none any more. Who is next in this worker takes its turn until another says that it has waited for longer.
static void end_turn(const struct conn_pool *pool, struct cluster *cluster) {
    uint64_t mine = pool->owed_at;
    const nanoseconds next = first_owed_here(&cluster->places);
    atomic_compare_exchange_strong_explicit(&cluster->shared->owed_first, &mine, next, memory_order_relaxed, memory_order_relaxed);
}

static bool is_first(const struct conn_pool *pool, struct service_shared *shared) {
    if (pool->need != NEED_OWED)
        return false;
    const uint64_t first = atomic_load_explicit(&shared->owed_first, memory_order_relaxed);
    return first == 0 || pool->owed_at <= first;
}

// --- places ---

static uint32_t kept_for_others(const struct conn_pool *pool, struct service_shared *shared) {
    switch (pool->need) {
    case NEED_NONE:
    case NEED_BLOCKED:
        return atomic_load_explicit(&shared->starved, memory_order_relaxed);
    case NEED_STARVED:
        return atomic_load_explicit(&shared->owed, memory_order_relaxed);
    case NEED_OWED:
        return is_first(pool, shared) ? 0 : 1;
    }
    CHECK(!"a need that is none");
    return 0;
}

bool conn_places_take(struct conn_pool *pool) {
    const struct cluster *cluster = pool->endpoint->cluster;
    if (cluster == NULL || pool->endpoint->upstream->ended)
        return false;
    const uint32_t max = cluster->traffic.connections.max;
    struct service_shared *shared = cluster->shared;
    const uint64_t kept = kept_for_others(pool, shared);
    uint32_t before = atomic_load_explicit(&shared->connections, memory_order_relaxed);
    do {
        if (max > 0 && before + kept >= max)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&shared->connections, &before, before + 1, memory_order_relaxed, memory_order_relaxed));
    peak_note(&shared->connections_peak, before + 1);
    return true;
}

static struct service_shared *shared_of(const struct endpoint *endpoint) {
    return endpoint->links->shared; // outlives the cluster
}

static void count_down(_Atomic uint32_t *count) {
    const uint32_t before = atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
    CHECK(before > 0);
}

void conn_places_give_back(struct conn_pool *pool) {
    count_down(&shared_of(pool->endpoint)->connections);
}

static void end_promise(struct upstream_conn *conn) {
    conn->is_promised = false;
    count_down(&shared_of(conn->endpoint)->promised);
}

void conn_places_leave(struct upstream_conn *conn) {
    conn_places_give_back(conn->pool);
    if (conn->is_promised)
        end_promise(conn);
}

// --- what a pool needs ---

static void set_need(struct conn_pool *pool, struct cluster *cluster, enum conn_need need) {
    struct conn_places *places = &cluster->places;
    struct service_shared *shared = cluster->shared;
    struct loop *loop = cluster->upstream->loop;
    const enum conn_need before = pool->need;
    if (need == before)
        return;
    if (before == NEED_NONE) {
        places->refused++;
        pool->served_at = loop->now;
    }
    list_remove(&pool->need_link);
    pool->need = need;
    if (need != NEED_NONE)
        list_push_back(&places->of_need[need], &pool->need_link);
    if (before < NEED_STARVED && need >= NEED_STARVED) {
        pool->told_at = 0;
        atomic_fetch_add_explicit(&shared->starved, 1, memory_order_relaxed);
    } else if (before >= NEED_STARVED && need < NEED_STARVED) {
        count_down(&shared->starved);
    }
    if (need == NEED_OWED) {
        pool->owed_at = loop->now;
        atomic_fetch_add_explicit(&shared->owed, 1, memory_order_relaxed);
        say_first(shared, pool->owed_at);
    } else if (before == NEED_OWED) {
        count_down(&shared->owed);
        end_turn(pool, cluster);
    }
    if (!has_need(places))
        loop_timer_stop(loop, &places->look);
    else if (!timer_is_running(&places->look))
        loop_timer_start(loop, &places->look, LOOK_NS);
}

static enum conn_need need_of(struct conn_pool *pool, const struct cluster *cluster) {
    const nanoseconds now = cluster->upstream->loop->now;
    const bool has_none = pool->open - pool->leaving + pool->connecting_count == 0;
    if (has_none && !pool->had_none)
        pool->served_at = now; // until now it might have been
    pool->had_none = has_none;
    if (pool->waiter_count <= (uint64_t)pool->connecting_count * pool->room_last)
        return NEED_NONE;
    // Where the bound was taken away, those who wait for it are served by the next look.
    if (cluster->traffic.connections.max == 0 && pool->need == NEED_NONE)
        return NEED_NONE;
    const nanoseconds waited = pool->need == NEED_NONE ? 0 : now - pool->served_at;
    if (waited >= (has_none ? PATIENCE_NS : LONG_PATIENCE_NS))
        return NEED_OWED;
    return has_none || waited >= PATIENCE_NS ? NEED_STARVED : NEED_BLOCKED;
}

void conn_places_note(struct conn_pool *pool) {
    struct cluster *cluster = pool->endpoint->cluster;
    CHECK(pool->leaving <= pool->open);
    if (cluster == NULL)
        CHECK(pool->need == NEED_NONE);
    else
        set_need(pool, cluster, need_of(pool, cluster));
}

void conn_places_serve(struct cluster *cluster) {
    struct conn_places *places = &cluster->places;
    for (;;) {
        enum conn_need need = NEED_OWED;
        while (need > NEED_NONE && list_is_empty(&places->of_need[need]))
            need--;
        struct conn_pool *pool = first_of(places, need);
        if (pool == NULL || !conn_pool_open_one(pool))
            return;
        list_remove(&pool->need_link);
        if (pool->need != NEED_NONE)
            list_push_back(&places->of_need[pool->need], &pool->need_link); // the others first
    }
}

// --- who gives one up ---

void conn_places_set_idle(struct upstream_conn *conn, bool idle) {
    list_remove(&conn->idle);
    if (idle && conn->endpoint->cluster != NULL)
        list_push_back(&conn->endpoint->cluster->places.idle, &conn->idle);
}

static bool is_short_for_starved(const struct cluster *cluster) {
    const uint32_t starved = atomic_load_explicit(&cluster->shared->starved, memory_order_relaxed);
    return starved > 0 && is_short(cluster, starved);
}

// Closes the one that has been idle for longest and that nobody is to be given, where that is needed.
static bool give_idle(struct cluster *cluster) {
    if (!is_short_for_starved(cluster))
        return false;
    LIST_EACH(&cluster->places.idle, node, following) {
        struct upstream_conn *conn = LIST_ENTRY(node, struct upstream_conn, idle);
        if (conn_pool_is_wanted(conn->pool))
            continue;
        upstream_conn_close(conn, OK);
        return true;
    }
    return false;
}

void conn_places_give_idle(struct cluster *cluster) {
    give_idle(cluster);
}

// Again once in a while: a connection there may have become idle since, with nobody who would ask what else it is good for.
static void tell_others(struct conn_pool *pool) {
    struct upstream *upstream = pool->endpoint->upstream;
    if (!is_short_for_starved(pool->endpoint->cluster))
        return;
    if (pool->told_at > 0 && upstream->loop->now < pool->told_at + PATIENCE_NS)
        return;
    pool->told_at = upstream->loop->now;
    live_shared_tell_starved(upstream->shared, upstream);
}

void conn_places_demand(struct conn_pool *pool) {
    if (starves(pool) && !give_idle(pool->endpoint->cluster))
        tell_others(pool);
}

bool conn_places_claim(const struct upstream_conn *conn) {
    const struct conn_pool *pool = conn->pool;
    const struct cluster *cluster = pool->endpoint->cluster;
    if (cluster == NULL)
        return false;
    if (!conn_pool_is_wanted(pool))
        return is_short_for_starved(cluster);
    const uint32_t owed = atomic_load_explicit(&cluster->shared->owed, memory_order_relaxed);
    return owed > 0 && !is_first(pool, cluster->shared) && is_short(cluster, owed);
}

static nanoseconds promise_length(const struct upstream_conn *conn) {
    const uint32_t broken = conn->promises_broken;
    return PATIENCE_NS << (broken < PROMISE_DOUBLINGS_MAX ? broken : PROMISE_DOUBLINGS_MAX);
}

// One more than the others have made.
static bool needs_promise(const struct cluster *cluster, uint32_t others) {
    const uint32_t owed = atomic_load_explicit(&cluster->shared->owed, memory_order_relaxed);
    return owed > others && is_short(cluster, owed - others);
}

void conn_places_promise(struct upstream_conn *conn) {
    const struct cluster *cluster = conn->endpoint->cluster;
    const nanoseconds now = conn->upstream->loop->now;
    CHECK(!conn->is_promised);
    if (cluster == NULL || now < conn->promise_at || is_first(conn->pool, cluster->shared))
        return;
    struct service_shared *shared = cluster->shared;
    uint32_t promised = atomic_load_explicit(&shared->promised, memory_order_relaxed);
    do {
        if (!needs_promise(cluster, promised))
            return;
    } while (!atomic_compare_exchange_weak_explicit(&shared->promised, &promised, promised + 1, memory_order_relaxed, memory_order_relaxed));
    conn->is_promised = true;
    conn->promise_at = now + promise_length(conn);
}

bool conn_places_keep(struct upstream_conn *conn) {
    const struct cluster *cluster = conn->endpoint->cluster;
    const nanoseconds now = conn->upstream->loop->now;
    const uint32_t promised = atomic_load_explicit(&shared_of(conn->endpoint)->promised, memory_order_relaxed);
    CHECK(conn->is_promised && promised > 0);
    const bool is_needed = cluster != NULL && !list_is_empty(&conn->streams) && needs_promise(cluster, promised - 1);
    if (is_needed && now < conn->promise_at)
        return true;
    if (is_needed) {
        conn->promise_at = now + PROMISE_REST * promise_length(conn);
        conn->promises_broken++;
    }
    end_promise(conn);
    return false;
}

static void on_look(struct timer *timer) {
    struct conn_places *places = CONTAINER_OF(timer, struct conn_places, look);
    struct cluster *cluster = CONTAINER_OF(places, struct cluster, places);
    for (int need = NEED_OWED; need > NEED_NONE; need--)
        LIST_EACH(&places->of_need[need], node, following)
            conn_places_note(LIST_ENTRY(node, struct conn_pool, need_link));
    if (first_of(places, NEED_OWED) != NULL)
        say_first(cluster->shared, first_owed_here(places));
    conn_places_serve(cluster);
    while ((first_of(places, NEED_OWED) != NULL || first_of(places, NEED_STARVED) != NULL) && give_idle(cluster))
        continue; // each that closes serves one
    for (int need = NEED_OWED; need >= NEED_STARVED; need--)
        LIST_EACH(&places->of_need[need], node, following)
            tell_others(LIST_ENTRY(node, struct conn_pool, need_link));
    if (has_need(places) && !timer_is_running(timer))
        loop_timer_start(cluster->upstream->loop, timer, LOOK_NS);
}
