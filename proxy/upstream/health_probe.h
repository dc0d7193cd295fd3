// One health check of one endpoint: a connection of its own, with the TLS and the identity that requests go by, on it what the policy's type asks, and what came of it. It goes past balancer,
// budgets and pools of requests: the endpoint is one of a cluster that nobody else uses (health_checker.c).
//
// Owner:      who starts it.
// Start:      health_probe_start.
// Callbacks:  `done`, exactly once, never from within health_probe_start; not after health_probe_cancel.
// Cancel:     health_probe_cancel.
// Memory:     its own, until `done` has returned or it was cancelled.
#ifndef UPSTREAM_HEALTH_PROBE_H
#define UPSTREAM_HEALTH_PROBE_H

#include "upstream/endpoint.h"

struct health_probe;

struct health_probe_order {
    struct endpoint *endpoint; // of a cluster
    const struct health_check_config *check;
    struct bytes host; // of the request, where `check` says none and the peer has no name
    // `cause`: why it failed (endpoint_shared.h); 0: it passed
    void (*done)(void *user, int32_t cause);
    void *user;
};

// What it points to must live until the probe is over.
struct health_probe *health_probe_start(const struct health_probe_order *order);

void health_probe_cancel(struct health_probe *probe);

#endif
