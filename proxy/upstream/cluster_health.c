// See cluster_health.h. A look goes over all endpoints of the cluster; what has changed is not told, so that nothing has to be kept for workers that do not pick.
#include "upstream/cluster_health.h"

#include "base/check.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

// What a look takes for each endpoint is some 10 ns where nothing is shared, and 50 where all are: of many not more than some hundredths of the time go into it.
#define LOOK_NS NS_PER_US
#define FEW_ENDPOINTS 256

// --- what is shared ---

static void join(struct endpoint *endpoint) {
    const struct cluster *cluster = endpoint->cluster;
    if (endpoint->shared != NULL)
        return;
    char address[ENDPOINT_ADDRESS_TEXT_MAX];
    const struct bytes text = bytes_from(address, endpoint_address_print(&endpoint->address, address));
    const size_t length = cluster->key.len + 1 + text.len + 1 + endpoint->peer->key.len;
    char *key = alloc_or_abort(length + 1);
    snprintf(key, length + 1, "%.*s|%.*s %.*s", BYTES_FORMAT(cluster->key), BYTES_FORMAT(text), BYTES_FORMAT(endpoint->peer->key));
    endpoint->shared = live_shared_endpoint(endpoint->upstream->shared, bytes_from(key, length));
    free(key);
}

void endpoint_health_leave(struct endpoint *endpoint) {
    if (endpoint->shared == NULL)
        return;
    live_shared_endpoint_release(endpoint->upstream->shared, endpoint->shared, endpoint->cluster->shared);
    endpoint->shared = NULL;
}

static void tell_all(struct cluster *cluster) {
    atomic_fetch_add_explicit(&cluster->shared->health_version, 1, memory_order_release);
}

// --- the view ---

static bool ejects(const struct cluster *cluster) {
    return cluster->traffic.outlier.failure_threshold > 0 && !cluster->traffic.outlier.dry_run;
}

static void log_return(const struct endpoint *endpoint, const struct outlier_view *view) {
    char address[ENDPOINT_ADDRESS_TEXT_MAX];
    endpoint_address_print(&endpoint->address, address);
    log_event(LOG_INFO, "endpoint_returned", "service=%.*s endpoint=%s mode=%s ejections=%u", BYTES_FORMAT(endpoint->cluster->key), address,
              view->is_shadow ? "dry_run" : "enforce", view->ejections);
}

// Returns when it has to be looked at again.
static nanoseconds look_at(struct cluster *cluster, struct endpoint *endpoint, nanoseconds now) {
    struct endpoint_shared *shared = endpoint->shared;
    struct outlier_view view = outlier_look(&shared->outlier);
    if ((view.is_ejected || view.is_shadow) && now >= view.until) {
        if (outlier_end(&shared->outlier, &cluster->shared->outliers, now) == OUTLIER_RETURNED) {
            log_return(endpoint, &view);
            tell_all(cluster);
        }
        view = outlier_look(&shared->outlier);
    }
    const bool unhealthy = cluster->traffic.health_check.interval > 0 && atomic_load_explicit(&shared->is_unhealthy, memory_order_relaxed);
    cluster_set_unavailable(endpoint, UNAVAILABLE_EJECTED, view.is_ejected && ejects(cluster));
    cluster_set_unavailable(endpoint, UNAVAILABLE_UNHEALTHY, unhealthy);
    return view.is_ejected || view.is_shadow ? view.until : UINT64_MAX;
}

static void look_again_at(struct cluster *cluster, nanoseconds when) {
    if (when != UINT64_MAX && (!timer_is_running(&cluster->health_timer) || cluster->health_timer.expiry_ms * NS_PER_MS > when))
        timer_start(&cluster->upstream->loop->timers, &cluster->health_timer, when);
}

void endpoint_health_join(struct endpoint *endpoint) {
    if (endpoint->shared != NULL)
        return;
    join(endpoint);
    look_again_at(endpoint->cluster, look_at(endpoint->cluster, endpoint, endpoint->upstream->loop->now));
}

void cluster_health_refresh(struct cluster *cluster) {
    const nanoseconds now = cluster->upstream->loop->now;
    nanoseconds next = UINT64_MAX;
    // Read first: what changes meanwhile is seen in the next look.
    cluster->health_seen = atomic_load_explicit(&cluster->shared->health_version, memory_order_acquire);
    cluster->health_next = now + (cluster->endpoint_count > FEW_ENDPOINTS ? cluster->endpoint_count * LOOK_NS : 0);
    loop_timer_stop(cluster->upstream->loop, &cluster->health_timer);
    for (uint32_t i = 0; i < cluster->endpoint_count; i++) {
        struct endpoint *endpoint = cluster->endpoints[i];
        const nanoseconds due = endpoint->shared != NULL ? look_at(cluster, endpoint, now) : UINT64_MAX;
        next = due < next ? due : next;
    }
    look_again_at(cluster, next);
}

static void on_timer(struct timer *timer) {
    cluster_health_refresh(CONTAINER_OF(timer, struct cluster, health_timer));
}

void cluster_health_begin(struct cluster *cluster) {
    timer_init(&cluster->health_timer, on_timer);
}

void cluster_health_follow(struct cluster *cluster) {
    const bool checks = cluster->traffic.health_check.interval > 0;
    for (uint32_t i = 0; i < cluster->endpoint_count; i++) {
        struct endpoint *endpoint = cluster->endpoints[i];
        if (checks) {
            join(endpoint);
        } else if (endpoint->links == NULL && endpoint->shared != NULL) {
            endpoint_health_leave(endpoint);
            cluster_set_unavailable(endpoint, UNAVAILABLE_EJECTED | UNAVAILABLE_UNHEALTHY, false);
        }
    }
    cluster_health_refresh(cluster);
}

void cluster_health_end(struct cluster *cluster) {
    loop_timer_stop(cluster->upstream->loop, &cluster->health_timer);
}

// --- outcomes ---

static void log_ejection(const struct endpoint *endpoint, const struct outlier_view *view, int32_t cause, nanoseconds now) {
    char why[CAUSE_TEXT_MAX];
    cause_print(cause, why);
    log_event(LOG_WARN, "endpoint_ejected", "service=%.*s endpoint=%.*s reason=\"%s\" for_ms=%llu mode=%s ejections=%u",
              BYTES_FORMAT(endpoint->cluster->key), BYTES_FORMAT(endpoint->links->text), why, (unsigned long long)((view->until - now) / NS_PER_MS),
              view->is_shadow ? "dry_run" : "enforce", view->ejections);
}

static bool note_failure(struct endpoint *endpoint, int32_t cause) {
    struct cluster *cluster = endpoint->cluster;
    struct endpoint_shared *shared = endpoint->shared;
    const nanoseconds now = cluster->upstream->loop->now;
    const enum outlier_change change =
        outlier_note_failure(&shared->outlier, &cluster->shared->outliers, &cluster->traffic.outlier, cluster->levels.total, now);
    if (change != OUTLIER_EJECTED)
        return false;
    const struct outlier_view view = outlier_look(&shared->outlier);
    atomic_store_explicit(&shared->ejected_at, now, memory_order_relaxed);
    atomic_store_explicit(&shared->ejected_for, cause, memory_order_relaxed);
    log_ejection(endpoint, &view, cause, now);
    cluster_set_unavailable(endpoint, UNAVAILABLE_EJECTED, view.is_ejected);
    look_again_at(cluster, view.until);
    tell_all(cluster);
    return view.is_ejected;
}

bool cluster_health_note(struct endpoint *endpoint, enum endpoint_outcome outcome, int32_t cause) {
    if (endpoint->shared == NULL || outcome == ENDPOINT_NOT_TOLD || endpoint->cluster->traffic.outlier.failure_threshold == 0)
        return false;
    if (outcome == ENDPOINT_FAILED)
        return note_failure(endpoint, cause);
    outlier_note_success(&endpoint->shared->outlier);
    return false;
}

struct bytes endpoint_state_word(const struct endpoint *endpoint) {
    if (endpoint->weight == 0)
        return BYTES("weight 0");
    if ((endpoint->unavailable & UNAVAILABLE_BROKEN) != 0)
        return BYTES("breaker open");
    if ((endpoint->unavailable & UNAVAILABLE_UNHEALTHY) != 0)
        return BYTES("unhealthy");
    if ((endpoint->unavailable & UNAVAILABLE_EJECTED) != 0)
        return BYTES("ejected");
    if ((endpoint->unavailable & UNAVAILABLE_AVOIDED) != 0)
        return BYTES("avoided");
    return endpoint->ramp_since != 0 ? BYTES("slow start") : BYTES("available");
}
