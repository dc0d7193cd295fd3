// See conn_pool.h. A waiter that is granted a place leaves the list and takes again from its own turn: so a connection is only ever used by
// whoever is running, and one that dies in between costs the waiter another wait, not a failure.
#include "upstream/conn_pool.h"

#include "base/check.h"
#include "upstream/cluster.h"
#include "upstream/upstream_conn.h"

void conn_pool_init(struct conn_pool *pool, struct endpoint *endpoint, enum pool_kind kind) {
    *pool = (struct conn_pool){.endpoint = endpoint, .kind = kind, .room_last = 1};
    list_init(&pool->usable);
    list_init(&pool->busy);
    list_init(&pool->connecting);
    list_init(&pool->waiters);
    list_init(&pool->need_link);
}

static struct worker_metrics *metrics_of(const struct conn_pool *pool) {
    return pool->endpoint->upstream->metrics;
}

// What lost its room meanwhile (its last send was refused, say) is put among the busy ones, or closed where nothing is left on it.
static struct upstream_conn *first_usable(struct conn_pool *pool) {
    for (struct list *first = list_first(&pool->usable); first != NULL; first = list_first(&pool->usable)) {
        struct upstream_conn *conn = LIST_ENTRY(first, struct upstream_conn, link);
        if (upstream_conn_room(conn) > 0)
            return conn;
        if (list_is_empty(&conn->streams))
            upstream_conn_close(conn, OK);
        else
            conn_pool_update(pool, conn);
    }
    return NULL;
}

static uint64_t total_room(const struct conn_pool *pool) {
    uint64_t room = 0;
    LIST_EACH(&pool->usable, node, following)
        room += upstream_conn_room(LIST_ENTRY(node, struct upstream_conn, link));
    return room;
}

static void leave_queue(struct conn_waiter *waiter) {
    struct conn_pool *pool = waiter->pool;
    list_remove(&waiter->link);
    pool->waiter_count--;
    if (pool->endpoint->cluster != NULL)
        pool->endpoint->cluster->waiting--;
    metric_subtract(&metrics_of(pool)->pool_waiting, 1);
    metric_add(&metrics_of(pool)->pool_wait_time, pool->endpoint->upstream->loop->now - waiter->since);
}

static void fail_waiter(struct conn_waiter *waiter, enum error error) {
    struct loop *loop = waiter->pool->endpoint->upstream->loop;
    leave_queue(waiter);
    waiter->pool = NULL;
    waiter->error = error;
    loop_wake(loop, waiter->task);
}

static void fail_waiters(struct conn_pool *pool, uint32_t count, enum error error) {
    while (count-- > 0 && !list_is_empty(&pool->waiters))
        fail_waiter(LIST_ENTRY(list_first(&pool->waiters), struct conn_waiter, link), error);
}

static void grant_room(struct conn_pool *pool) {
    if (list_is_empty(&pool->waiters))
        return;
    uint64_t room = total_room(pool);
    while (room > pool->granted && !list_is_empty(&pool->waiters)) {
        struct conn_waiter *waiter = LIST_ENTRY(list_first(&pool->waiters), struct conn_waiter, link);
        leave_queue(waiter);
        waiter->granted = true;
        pool->granted++;
        loop_wake(pool->endpoint->upstream->loop, waiter->task);
        pool->served_at = pool->endpoint->upstream->loop->now;
    }
}

// One connection for each `room_last` waiters that none under way will serve.
static enum error open_for_waiters(struct conn_pool *pool) {
    while (pool->waiter_count > (uint64_t)pool->connecting_count * pool->room_last && conn_places_take(pool)) {
        enum error error = upstream_conn_open(pool);
        if (error != OK) {
            conn_places_give_back(pool);
            return error;
        }
    }
    return OK;
}

bool conn_pool_has_spare(const struct conn_pool *pool) {
    return total_room(pool) > pool->granted;
}

bool conn_pool_open_one(struct conn_pool *pool) {
    if (!conn_places_take(pool))
        return false;
    const enum error error = upstream_conn_open(pool);
    if (error == OK) {
        pool->served_at = pool->endpoint->upstream->loop->now;
    } else {
        conn_places_give_back(pool);
        if (pool->open + pool->connecting_count == 0)
            fail_waiters(pool, UINT32_MAX, ERROR_POOL_FULL);
    }
    conn_places_note(pool);
    return error == OK;
}

static enum error enqueue(struct conn_pool *pool, struct conn_waiter *waiter, bool at_front) {
    struct cluster *cluster = pool->endpoint->cluster;
    if (!at_front && cluster->waiting >= cluster->traffic.connections.max_pending) {
        metric_add(&metrics_of(pool)->pool_full, 1);
        cluster->waiting_refused++;
        waiter->queue_was_full = true;
        return ERROR_POOL_FULL;
    }
    if (at_front)
        list_push_front(&pool->waiters, &waiter->link);
    else
        list_push_back(&pool->waiters, &waiter->link);
    pool->waiter_count++;
    if (++cluster->waiting > cluster->waiting_peak)
        cluster->waiting_peak = cluster->waiting;
    waiter->pool = pool;
    waiter->since = pool->endpoint->upstream->loop->now;
    metric_add(&metrics_of(pool)->pool_waits, 1);
    metric_add(&metrics_of(pool)->pool_waiting, 1);
    enum error error = open_for_waiters(pool);
    conn_places_note(pool);
    if (error == OK)
        conn_places_demand(pool);
    if (error == OK || pool->open + pool->connecting_count > 0)
        return OK;
    leave_queue(waiter); // no descriptor, and nobody who would give his connection back
    waiter->pool = NULL;
    conn_places_note(pool);
    return ERROR_POOL_FULL;
}

struct upstream_conn *conn_pool_take(struct conn_pool *pool, struct conn_waiter *waiter, enum error *error) {
    bool was_granted = waiter->granted;
    if (was_granted) {
        CHECK(waiter->pool == pool && pool->granted > 0);
        waiter->granted = false;
        waiter->pool = NULL;
        pool->granted--;
    }
    CHECK(waiter->pool == NULL);
    *error = OK;
    struct upstream_conn *conn = first_usable(pool);
    bool free_place = was_granted || (pool->waiter_count == 0 && (pool->granted == 0 || total_room(pool) > pool->granted));
    bool too_old = conn != NULL && waiter->fresh && pool->kind == POOL_HTTP1 && !was_granted && conn->streams_total > 0;
    if (conn != NULL && free_place && !too_old)
        return conn;
    *error = pool->endpoint->cluster == NULL ? ERROR_NO_ENDPOINT : enqueue(pool, waiter, was_granted);
    // Where none can be made an old one must do.
    if (too_old && *error == OK && pool->connecting_count == 0)
        grant_room(pool);
    return NULL;
}

void conn_waiter_cancel(struct conn_waiter *waiter) {
    struct conn_pool *pool = waiter->pool;
    if (waiter->told_by != NULL)
        list_remove(&waiter->link);
    waiter->told_by = NULL;
    if (pool == NULL)
        return;
    if (waiter->granted) {
        waiter->granted = false;
        pool->granted--;
        grant_room(pool);
        if (pool->kind == POOL_RAW && conn_pool_has_spare(pool))
            upstream_conn_close(LIST_ENTRY(list_first(&pool->usable), struct upstream_conn, link), OK);
        else if (pool->endpoint->cluster != NULL && pool->endpoint->cluster->is_dropped)
            conn_pool_close_idle(pool);
    } else {
        leave_queue(waiter);
        if (pool->need != NEED_NONE)
            conn_places_note(pool);
    }
    waiter->pool = NULL;
}

void conn_pool_drain_http1(struct conn_pool *pool) {
    struct list *const lists[] = {&pool->usable, &pool->busy};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        // One that drains is put on a list again: in front, where this walk has been.
        LIST_EACH(lists[i], node, following) {
            struct upstream_conn *conn = LIST_ENTRY(node, struct upstream_conn, link);
            if (conn->codec->version != HTTP_2 && !conn->draining)
                upstream_conn_drain(conn);
        }
    }
}

void conn_pool_close_idle(struct conn_pool *pool) {
    if (conn_pool_is_wanted(pool))
        return;
    LIST_EACH(&pool->usable, node, following) {
        struct upstream_conn *conn = LIST_ENTRY(node, struct upstream_conn, link);
        if (list_is_empty(&conn->streams))
            upstream_conn_close(conn, OK);
    }
}

void conn_pool_retire(struct conn_pool *pool) {
    fail_waiters(pool, UINT32_MAX, ERROR_NO_ENDPOINT);
    conn_places_note(pool);
    struct list *const lists[] = {&pool->usable, &pool->busy, &pool->connecting};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        LIST_EACH(lists[i], node, following)
            upstream_conn_drain(LIST_ENTRY(node, struct upstream_conn, link));
}

static void count_idle(struct conn_pool *pool, struct upstream_conn *conn, bool idle) {
    if (conn->counted_idle == idle)
        return;
    conn->counted_idle = idle;
    if (idle) {
        pool->idle++;
        metric_add(&metrics_of(pool)->upstream_idle, 1);
    } else {
        pool->idle--;
        metric_subtract(&metrics_of(pool)->upstream_idle, 1);
    }
}

static void count_leaving(struct conn_pool *pool, struct upstream_conn *conn, bool leaving) {
    if (conn->counted_leaving == leaving)
        return;
    conn->counted_leaving = leaving;
    if (leaving)
        pool->leaving++;
    else
        pool->leaving--;
}

void conn_pool_update(struct conn_pool *pool, struct upstream_conn *conn) {
    CHECK(conn->open && !conn->closing);
    bool room = upstream_conn_room(conn) > 0;
    conn->listed_usable = room;
    list_remove(&conn->link);
    list_push_front(room ? &pool->usable : &pool->busy, &conn->link);
    const bool idle = list_is_empty(&conn->streams);
    count_idle(pool, conn, idle);
    count_leaving(pool, conn, upstream_conn_is_leaving(conn));
    conn_places_set_idle(conn, idle && room && !conn->codec->is_tunnel);
    if (room)
        grant_room(pool);
    if (list_is_empty(&pool->waiters) && pool->need == NEED_NONE)
        return;
    // It may take fewer than was thought when it was opened: the rest gets another. With no descriptor this one will be free again.
    (void)open_for_waiters(pool);
    conn_places_note(pool);
}

void conn_pool_lost(struct conn_pool *pool, struct upstream_conn *conn, enum error error) {
    list_remove(&conn->link);
    if (conn->open) {
        count_idle(pool, conn, false);
        count_leaving(pool, conn, false);
        conn_places_set_idle(conn, false);
        pool->open--;
    } else {
        pool->connecting_count--;
        // One that could not be made fails those that it would have served; all, when no other can serve them.
        bool alone = pool->open + pool->connecting_count == 0;
        if (error != OK)
            fail_waiters(pool, alone ? UINT32_MAX : pool->room_last, error);
    }
    struct cluster *cluster = pool->endpoint->cluster;
    if (cluster == NULL)
        return;
    conn_places_note(pool);
    if (pool->need == NEED_NONE && open_for_waiters(pool) != OK && pool->open + pool->connecting_count == 0)
        fail_waiters(pool, UINT32_MAX, ERROR_POOL_FULL);
    conn_places_serve(cluster);
}
