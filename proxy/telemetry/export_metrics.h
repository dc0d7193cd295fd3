// Figures of what sends telemetry itself, by signal, of the main thread and read there. For each signal holds, to the record: made = exported + dropped + waiting.
#ifndef TELEMETRY_EXPORT_METRICS_H
#define TELEMETRY_EXPORT_METRICS_H

#include "telemetry/metrics.h"

// X(identifier, name): why records were not sent.
#define EXPORT_DROP_LIST(X)                                                                              \
    X(QUEUE_FULL, "queue_full")           /* they were made faster than they were sent */                \
    X(NOT_RETRYABLE, "not_retryable")     /* the receiver's answer says that it will never take them */  \
    X(TIMEOUT, "timeout")                 /* nobody took them in spec.telemetry...batch.exportTimeout */ \
    X(PARTIAL_SUCCESS, "partial_success") /* the receiver took others of the same request */             \
    X(TOO_LARGE, "too_large")             /* the request would be, or was for the receiver */            \
    X(MEMORY, "memory")                   /* there was none to make a request of them */                 \
    X(DISABLED, "disabled")               /* a reload has switched the signal off while they waited */   \
    X(SHUTDOWN, "shutdown")               /* the process has ended before they were sent */

enum export_drop {
#define X(identifier, name) EXPORT_DROP_##identifier,
    EXPORT_DROP_LIST(X)
#undef X
        EXPORT_DROPS
};

// X(identifier, name): how requests ended, with all of their tries.
#define EXPORT_RESULT_LIST(X)   \
    X(EXPORTED, "exported")     \
    X(REFUSED, "not_retryable") \
    X(TIMEOUT, "timeout")       \
    X(TOO_LARGE, "too_large")   \
    X(MEMORY, "memory")         \
    X(DROPPED, "given_up") /* the signal was switched off, or the process has ended */

enum export_result {
#define X(identifier, name) EXPORT_RESULT_##identifier,
    EXPORT_RESULT_LIST(X)
#undef X
        EXPORT_RESULTS
};

struct export_figures {
    const char *signal; // "traces"
    uint64_t made;
    uint64_t exported;
    uint64_t dropped[EXPORT_DROPS];
    uint64_t waiting;  // in queues, and in the request at hand
    uint64_t capacity; // of queues; 0: there are none, as for metrics
    uint64_t results[EXPORT_RESULTS];
    uint64_t retries;
};

// Writes all families, all signals in each.
void export_metrics_expose(struct exposition *exposition, const struct export_figures *figures, uint32_t count);

#endif
