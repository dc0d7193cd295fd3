// Figures of the one resolver of a process, of the main thread and read there.
#ifndef TELEMETRY_DNS_METRICS_H
#define TELEMETRY_DNS_METRICS_H

#include "telemetry/metrics.h"

// Names of outcomes, as many as net/dns has and in its order.
#define DNS_METRIC_OUTCOMES 5

// X(identifier, name): what there is of a name.
#define DNS_NAME_STATE_LIST(X)                                                                       \
    X(WAITING, "waiting") /* no answer of any kind so far */                                         \
    X(GOOD, "good")                                                                                  \
    X(STALE, "stale")   /* an older answer is in force: the newest look-up failed, or led nowhere */ \
    X(FAILED, "failed") /* there never was a good answer */

enum dns_name_state {
#define X(identifier, name) DNS_NAME_##identifier,
    DNS_NAME_STATE_LIST(X)
#undef X
        DNS_NAME_STATES
};

struct dns_metrics {
    const char *outcomes[DNS_METRIC_OUTCOMES]; // their names; NULL: there is no resolver
    uint64_t lookups[DNS_METRIC_OUTCOMES];     // that ended, by outcome
    uint64_t buckets[DURATION_BUCKETS];        // how long they took
    nanoseconds took;
    uint64_t names[DNS_NAME_STATES];
    nanoseconds stale_age; // of the oldest answer that is in force for want of a newer one that is good; 0: none is
};

const char *dns_name_state_name(enum dns_name_state state);

// Writes all of it.
void dns_metrics_expose(struct exposition *exposition, const struct dns_metrics *metrics);

#endif
