// See endpoint_breaker.h. Who asks or settles a breaker is in stream/breaking.c.
#include "upstream/endpoint_breaker.h"

#include "base/pool.h"
#include "upstream/breaker_state.h"
#include "upstream/cluster.h"

#include <stdio.h>
#include <stdlib.h>

static bool is_wanted(const struct cluster *cluster) {
    const struct circuit_breaker_config *config = &cluster->traffic.circuit_breaker;
    return circuit_breaker_is_set(config) && config->scope == CIRCUIT_OF_ENDPOINT && cluster->upstream->policies != NULL;
}

static struct breaker_state *get(const struct cluster *cluster, const struct endpoint_links *links) {
    const struct circuit_breaker_config *config = &cluster->traffic.circuit_breaker;
    const struct policy_states *policies = cluster->upstream->policies;
    const size_t length = cluster->key.len + 1 + links->text.len;
    char *target = alloc_or_abort(length + 1);
    snprintf(target, length + 1, "%.*s %.*s", BYTES_FORMAT(cluster->key), BYTES_FORMAT(links->text));
    struct breaker_state *state =
        breaker_state_get(config->dry_run ? policies->shadow : policies->live, config, config->policy, bytes_from(target, length));
    free(target);
    return state;
}

void endpoint_breaker_release(struct endpoint *endpoint) {
    struct breaker_state *state = endpoint->links->breaker;
    endpoint->links->breaker = NULL;
    if (state != NULL)
        policy_state_release(&state->state);
}

// The old one goes behind the new one: it may be the same.
void endpoint_breaker_set(struct endpoint *endpoint) {
    struct cluster *cluster = endpoint->cluster;
    struct breaker_state *state = is_wanted(cluster) ? get(cluster, endpoint->links) : NULL;
    endpoint_breaker_release(endpoint);
    endpoint->links->breaker = state;
    if (state == NULL)
        cluster_set_unavailable(endpoint, UNAVAILABLE_BROKEN, false);
    endpoint_breakers_doubt(cluster);
}

void endpoint_breakers_doubt(struct cluster *cluster) {
    cluster->breakers_due = 0;
}

void endpoint_breakers_changed(struct endpoint *endpoint) {
    atomic_fetch_add_explicit(&endpoint->links->shared->breaker_changes, 1, memory_order_release);
}

// Of one in a dry run nothing is refused.
static bool is_refused(const struct cluster *cluster, const struct endpoint *endpoint, nanoseconds now, nanoseconds *wait) {
    if (endpoint->links == NULL || endpoint->links->breaker == NULL || cluster->traffic.circuit_breaker.dry_run)
        return false;
    return circuit_breaker_refuses(endpoint->links->breaker->breaker, now, wait);
}

void endpoint_breakers_follow(struct cluster *cluster, nanoseconds now) {
    const uint64_t changes = atomic_load_explicit(&cluster->shared->breaker_changes, memory_order_acquire);
    if (!is_wanted(cluster) || (changes == cluster->breaker_changes && now < cluster->breakers_due))
        return;
    cluster->breaker_changes = changes;
    cluster->breakers_due = UINT64_MAX;
    for (uint32_t i = 0; i < cluster->endpoint_count; i++) {
        nanoseconds wait = 0;
        const bool refused = is_refused(cluster, cluster->endpoints[i], now, &wait);
        cluster_set_unavailable(cluster->endpoints[i], UNAVAILABLE_BROKEN, refused);
        if (wait > 0 && now + wait < cluster->breakers_due)
            cluster->breakers_due = now + wait;
    }
}

struct endpoint *endpoint_breakers_first(const struct cluster *cluster, nanoseconds now, nanoseconds *wait, bool *all) {
    struct endpoint *first = NULL;
    *all = true;
    for (uint32_t i = 0; i < cluster->endpoint_count; i++) {
        struct endpoint *endpoint = cluster->endpoints[i];
        nanoseconds its = 0;
        if (endpoint->weight == 0)
            continue;
        if (!is_refused(cluster, endpoint, now, &its)) {
            *all = false;
        } else if (first == NULL || its < *wait) {
            first = endpoint;
            *wait = its;
        }
    }
    return first;
}
