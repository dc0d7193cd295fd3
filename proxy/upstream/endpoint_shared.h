// What all workers share of one endpoint: whether it is ejected for how it answers requests, and whether it is healthy by what it says when it is asked. There for endpoints that were sent a
// request, and for all of a service with healthCheck; found by key in live_shared. Ejection is any worker's to write, health that of the one checker of the process alone.
#ifndef UPSTREAM_ENDPOINT_SHARED_H
#define UPSTREAM_ENDPOINT_SHARED_H

#include "base/bytes.h"
#include "base/error.h"
#include "upstream/outlier.h"

#include <stdbool.h>

// First member of each object of live_shared; under its lock.
struct shared_life {
    uint32_t references;
    nanoseconds begun; // by the wall clock; of endpoints not set
};

// Why: the status of an answer; CAUSE_GRPC + a code of gRPC, or a status of a health check; or an enum error. 0: not known.
#define CAUSE_GRPC 1000
#define CAUSE_GRPC_HEALTH 2000

struct endpoint_shared {
    struct shared_life life;
    struct bytes key; // owned: that of its service, '|', address, ' ', peer
    struct outlier outlier;
    _Atomic nanoseconds ejected_at; // last
    _Atomic int32_t ejected_for;    // why
    _Atomic bool is_unhealthy;
    _Atomic bool is_checked;        // some check of it has ended
    _Atomic nanoseconds checked_at; // last
    _Atomic nanoseconds health_at;  // when is_unhealthy changed last; 0: never
    _Atomic int32_t health_for;     // of the last check that failed: why
};

// "503", "grpc 14", "NOT_SERVING", "connect_refused". Returns the length.
#define CAUSE_TEXT_MAX 40
size_t cause_print(int32_t cause, char text[CAUSE_TEXT_MAX]);

#endif
