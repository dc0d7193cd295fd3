// The live numbers of one worker by rule of a route and service: they outlive snapshots as long as some snapshot that is in use has both. Made with the first request, so that
// rules which are not used cost nothing; at most ROUTE_COUNTERS_MAX, the rest count together as `_other`.
#ifndef UPSTREAM_ROUTE_COUNTERS_H
#define UPSTREAM_ROUTE_COUNTERS_H

#include "base/map.h"
#include "telemetry/route_metrics.h"

// A page of metrics has up to 22 lines for each.
#define ROUTE_COUNTERS_MAX 1000

// Stands for both names where there were too many; no rule has a label like it.
#define ROUTE_COUNTERS_OTHER "_other"

struct route_counters {
    struct bytes key;            // owned: `route`, '\n' and `service`
    struct bytes route, service; // in it
    uint32_t references;
    struct route_metrics metrics;
};

struct route_counter_set {
    struct map by_key;
};

void route_counter_set_init(struct route_counter_set *set);

// All references are gone.
void route_counter_set_dispose(struct route_counter_set *set);

// `route`: label of the rule; `service`: key of the service. One reference for the caller. NULL: nothing was counted there.
struct route_counters *route_counters_find(struct route_counter_set *set, struct bytes route, struct bytes service);

// The same, made where there is none; where there are too many, those that count together.
struct route_counters *route_counters_take(struct route_counter_set *set, struct bytes route, struct bytes service);

// With the last one they are forgotten.
void route_counters_unref(struct route_counter_set *set, struct route_counters *counters);

#endif
