// What one worker sees of the health of a cluster's endpoints, which all workers share: UNAVAILABLE_EJECTED and UNAVAILABLE_UNHEALTHY follow it. No message goes from worker to worker: a change
// makes the service's health_version another, and the next pick looks; the end of an ejection is looked for by a timer, which runs while there is one.
#ifndef UPSTREAM_CLUSTER_HEALTH_H
#define UPSTREAM_CLUSTER_HEALTH_H

#include "upstream/cluster.h"

// How an attempt went, as far as it says something of its endpoint.
enum endpoint_outcome {
    ENDPOINT_NOT_TOLD, // cancelled, refused before it got there, or by a proxy of ours
    ENDPOINT_WELL,
    ENDPOINT_FAILED
};

// The endpoint is, or is no longer, one whose state is shared. Both are harmless when they come again.
void endpoint_health_join(struct endpoint *endpoint);
void endpoint_health_leave(struct endpoint *endpoint);

// The cluster is new.
void cluster_health_begin(struct cluster *cluster);

// It has other endpoints or settings.
void cluster_health_follow(struct cluster *cluster);

// It is freed, or is not to look any more.
void cluster_health_end(struct cluster *cluster);

void cluster_health_refresh(struct cluster *cluster);

// Before each pick. However often something changes, no more than some part of the time goes into looking at it.
static inline void cluster_health_look(struct cluster *cluster) {
    if (atomic_load_explicit(&cluster->shared->health_version, memory_order_acquire) != cluster->health_seen &&
        cluster->upstream->loop->now >= cluster->health_next)
        cluster_health_refresh(cluster);
}

// An attempt on it is over. `cause` (endpoint_shared.h): why it failed. True: the endpoint was ejected for it; in a dry run, never. Harmless on one that is retired.
bool cluster_health_note(struct endpoint *endpoint, enum endpoint_outcome outcome, int32_t cause);

// "available", or why it is not picked: for people.
struct bytes endpoint_state_word(const struct endpoint *endpoint);

#endif
