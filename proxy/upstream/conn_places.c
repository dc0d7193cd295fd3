// See conn_places.h. Other workers are told once when a pool begins to starve; what they give back is found by looking.
#include "upstream/conn_places.h"

#include "base/check.h"
#include "upstream/cluster.h"
#include "upstream/upstream_conn.h"

// How soon a place that another worker has given back is seen.
#define LOOK_NS (5 * NS_PER_MS)

// A connection that carries one request after the other is not given up for another pool sooner: making one costs more than a turn that comes late.
#define PATIENCE_NS (100 * NS_PER_MS)

static void on_look(struct timer *timer);

void conn_places_init(struct conn_places *places) {
    *places = (struct conn_places){0};
    list_init(&places->blocked);
    list_init(&places->starved);
    list_init(&places->idle);
    timer_init(&places->look, on_look);
}

static bool has_none(const struct conn_pool *pool) {
    return pool->open + pool->connecting_count == 0;
}

bool conn_places_take(struct conn_pool *pool) {
    const struct cluster *cluster = pool->endpoint->cluster;
    if (cluster == NULL || pool->endpoint->upstream->ended)
        return false;
    uint32_t max = cluster->traffic.connections.max;
    struct service_shared *shared = cluster->shared;
    // One is left for each pool that starves, on whichever worker.
    uint64_t kept = pool->need == NEED_STARVED ? 0 : atomic_load_explicit(&shared->starved, memory_order_relaxed);
    uint32_t before = atomic_load_explicit(&shared->connections, memory_order_relaxed);
    do {
        if (max > 0 && before + kept >= max)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&shared->connections, &before, before + 1, memory_order_relaxed, memory_order_relaxed));
    peak_note(&shared->connections_peak, before + 1);
    return true;
}

void conn_places_give_back(struct conn_pool *pool) {
    uint32_t before = atomic_fetch_sub_explicit(&pool->endpoint->links->shared->connections, 1, memory_order_relaxed);
    CHECK(before > 0);
}

// --- what a pool needs ---

static bool take_one(_Atomic uint32_t *count) {
    uint32_t before = atomic_load_explicit(count, memory_order_relaxed);
    while (before > 0 && !atomic_compare_exchange_weak_explicit(count, &before, before - 1, memory_order_relaxed, memory_order_relaxed))
        continue;
    return before > 0;
}

// A pool that is owed a connection is owed it by whoever claims the debt first, and has then been promised it. Who takes a place that was promised to another leaves the other a new debt.
static void settle_debts(struct conn_pool *pool, struct service_shared *shared) {
    const bool is_served = pool->connecting_count > 0;
    if ((is_served || pool->is_owed) && take_one(&shared->promised)) {
        if (!pool->is_owed)
            atomic_fetch_add_explicit(&shared->owed, 1, memory_order_relaxed);
    } else if (pool->is_owed) {
        take_one(&shared->owed);
    }
    pool->is_owed = false;
    pool->told_at = 0;
}

static struct list *list_of(struct conn_places *places, enum conn_need need) {
    return need == NEED_STARVED ? &places->starved : &places->blocked;
}

static void set_need(struct conn_pool *pool, struct cluster *cluster, enum conn_need need) {
    struct conn_places *places = &cluster->places;
    struct loop *loop = cluster->upstream->loop;
    if (need == pool->need)
        return;
    if (pool->need == NEED_NONE) {
        places->refused++;
        pool->served_at = loop->now;
    }
    if (pool->need == NEED_STARVED) {
        atomic_fetch_sub_explicit(&cluster->shared->starved, 1, memory_order_relaxed);
        settle_debts(pool, cluster->shared);
    }
    list_remove(&pool->need_link);
    pool->need = need;
    if (need != NEED_NONE)
        list_push_back(list_of(places, need), &pool->need_link);
    if (need == NEED_STARVED)
        atomic_fetch_add_explicit(&cluster->shared->starved, 1, memory_order_relaxed);
    if (list_is_empty(&places->blocked) && list_is_empty(&places->starved))
        loop_timer_stop(loop, &places->look);
    else if (!timer_is_running(&places->look))
        loop_timer_start(loop, &places->look, LOOK_NS);
}

void conn_places_note(struct conn_pool *pool) {
    struct cluster *cluster = pool->endpoint->cluster;
    if (cluster == NULL) {
        CHECK(pool->need == NEED_NONE);
        return;
    }
    const bool is_served = pool->waiter_count <= (uint64_t)pool->connecting_count * pool->room_last;
    // Where the bound was taken away, those who wait for it are served by the next look.
    if (is_served || (cluster->traffic.connections.max == 0 && pool->need == NEED_NONE))
        set_need(pool, cluster, NEED_NONE);
    else if (has_none(pool) || (pool->need != NEED_NONE && cluster->upstream->loop->now >= pool->served_at + PATIENCE_NS))
        set_need(pool, cluster, NEED_STARVED);
    else
        set_need(pool, cluster, NEED_BLOCKED);
}

void conn_places_serve(struct cluster *cluster) {
    struct conn_places *places = &cluster->places;
    for (;;) {
        struct list *first = list_first(list_is_empty(&places->starved) ? &places->blocked : &places->starved);
        if (first == NULL)
            return;
        struct conn_pool *pool = LIST_ENTRY(first, struct conn_pool, need_link);
        if (!conn_pool_open_one(pool))
            return;
        list_remove(&pool->need_link);
        if (pool->need != NEED_NONE)
            list_push_back(list_of(places, pool->need), &pool->need_link); // the others first
    }
}

// --- who gives one up ---

void conn_places_set_idle(struct upstream_conn *conn, bool idle) {
    list_remove(&conn->idle);
    if (idle && conn->endpoint->cluster != NULL)
        list_push_back(&conn->endpoint->cluster->places.idle, &conn->idle);
}

// Closes the one that has been idle for longest and that nobody is to be given.
static bool give_idle(struct cluster *cluster) {
    LIST_EACH(&cluster->places.idle, node, following) {
        struct upstream_conn *conn = LIST_ENTRY(node, struct upstream_conn, idle);
        if (conn->pool->waiter_count > 0 || conn->pool->granted > 0)
            continue;
        upstream_conn_close(conn, OK);
        return true;
    }
    return false;
}

void conn_places_give_idle(struct cluster *cluster) {
    if (atomic_load_explicit(&cluster->shared->starved, memory_order_relaxed) > 0)
        give_idle(cluster);
}

// Again once in a while: a connection there may have become idle since, with nobody who would ask what else it is good for.
static void tell_others(struct conn_pool *pool) {
    struct upstream *upstream = pool->endpoint->upstream;
    if (pool->told_at > 0 && upstream->loop->now < pool->told_at + PATIENCE_NS)
        return;
    pool->told_at = upstream->loop->now;
    live_shared_tell_starved(upstream->shared, upstream);
}

void conn_places_demand(struct conn_pool *pool) {
    if (pool->need == NEED_STARVED && !give_idle(pool->endpoint->cluster))
        tell_others(pool);
}

bool conn_places_claim(const struct conn_pool *pool, bool idle) {
    const struct cluster *cluster = pool->endpoint->cluster;
    if (cluster == NULL || atomic_load_explicit(&cluster->shared->starved, memory_order_relaxed) == 0)
        return false;
    if (idle && pool->waiter_count == 0 && pool->granted == 0)
        return true;
    if (!take_one(&cluster->shared->owed))
        return false;
    atomic_fetch_add_explicit(&cluster->shared->promised, 1, memory_order_relaxed);
    return true;
}

static void on_look(struct timer *timer) {
    struct conn_places *places = CONTAINER_OF(timer, struct conn_places, look);
    struct cluster *cluster = CONTAINER_OF(places, struct cluster, places);
    struct loop *loop = cluster->upstream->loop;
    LIST_EACH(&places->starved, node, following)
        conn_places_note(LIST_ENTRY(node, struct conn_pool, need_link));
    LIST_EACH(&places->blocked, node, following)
        conn_places_note(LIST_ENTRY(node, struct conn_pool, need_link));
    conn_places_serve(cluster);
    while (!list_is_empty(&places->starved) && give_idle(cluster))
        continue; // each that closes serves one
    LIST_EACH(&places->starved, node, following) {
        struct conn_pool *pool = LIST_ENTRY(node, struct conn_pool, need_link);
        tell_others(pool);
        if (has_none(pool) && !pool->is_owed && loop->now >= pool->served_at + PATIENCE_NS) {
            pool->is_owed = true;
            atomic_fetch_add_explicit(&cluster->shared->owed, 1, memory_order_relaxed);
        }
    }
    if (!list_is_empty(&places->blocked) || !list_is_empty(&places->starved))
        loop_timer_start(loop, &places->look, LOOK_NS);
}
