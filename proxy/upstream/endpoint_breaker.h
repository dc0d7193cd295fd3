// Circuit breakers of scope Endpoint: each endpoint that was sent a request has one, which all workers share. The pick goes by them: an endpoint that its breaker refuses is not picked,
// whatever else there is.
//
// Each worker marks the endpoints of its clusters (UNAVAILABLE_BROKEN) and does so again when any worker has changed one, or the time of one that is open is over.
#ifndef UPSTREAM_ENDPOINT_BREAKER_H
#define UPSTREAM_ENDPOINT_BREAKER_H

#include "base/clock.h"

#include <stdbool.h>

struct cluster;
struct endpoint;

// It has links, and now what the settings of its cluster say: a breaker, another one, none.
void endpoint_breaker_set(struct endpoint *endpoint);

// Its links go.
void endpoint_breaker_release(struct endpoint *endpoint);

// Before each pick.
void endpoint_breakers_follow(struct cluster *cluster, nanoseconds now);

// A breaker of the cluster may refuse what it did not, or the other way round. Any worker.
void endpoint_breakers_changed(struct endpoint *endpoint);

// The marks of the cluster are not right, though nothing has changed: they are made anew.
void endpoint_breakers_doubt(struct cluster *cluster);

// Of the endpoints that their breakers refuse, the one that may be asked first, and when; 0: that is not known. NULL: none is refused. `*all`: each that could be picked is.
struct endpoint *endpoint_breakers_first(const struct cluster *cluster, nanoseconds now, nanoseconds *wait, bool *all);

#endif
