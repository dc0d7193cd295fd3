// The queue of requests that wait for the first endpoint of their cluster, each with its own end of patience.
#include "upstream/endpoint_wait.h"

#include "base/check.h"
#include "upstream/cluster.h"

static void leave(struct endpoint_wait *wait) {
    CHECK(wait->cluster->waiting > 0);
    list_remove(&wait->link);
    loop_timer_stop(wait->cluster->upstream->loop, &wait->timer);
    wait->cluster->waiting--;
}

static void on_timer(struct timer *timer) {
    struct endpoint_wait *wait = CONTAINER_OF(timer, struct endpoint_wait, timer);
    wait->error = ERROR_DNS_TIMEOUT;
    loop_wake(wait->cluster->upstream->loop, wait->task);
    leave(wait);
}

enum error endpoint_wait_start(struct endpoint_wait *wait, struct cluster *cluster, struct task *task) {
    if (cluster->waiting >= cluster->traffic.connections.max_pending) {
        metric_add(&cluster->upstream->metrics->pool_full, 1);
        cluster->waiting_refused++;
        return ERROR_POOL_FULL;
    }
    *wait = (struct endpoint_wait){.cluster = cluster, .task = task};
    list_init(&wait->link);
    timer_init(&wait->timer, on_timer);
    list_push_back(&cluster->awaiting, &wait->link);
    loop_timer_start(cluster->upstream->loop, &wait->timer, cluster->traffic.connections.connect_timeout);
    if (++cluster->waiting > cluster->waiting_peak)
        cluster->waiting_peak = cluster->waiting;
    return OK;
}

void endpoint_wait_cancel(struct endpoint_wait *wait) {
    if (endpoint_wait_is_pending(wait))
        leave(wait);
}

void endpoint_wait_end_all(struct cluster *cluster) {
    LIST_EACH(&cluster->awaiting, node, following) {
        struct endpoint_wait *wait = LIST_ENTRY(node, struct endpoint_wait, link);
        loop_wake(cluster->upstream->loop, wait->task);
        leave(wait);
    }
}
