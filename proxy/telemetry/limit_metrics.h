// What the limits of one worker have met: the most of each that was ever in use, and how often it refused something. Cells with one writer, the worker; read by the
// main thread, which knows what each limit is set to (app/figures_limits). How much of a limit is in use now is told only where that is one number.
#ifndef TELEMETRY_LIMIT_METRICS_H
#define TELEMETRY_LIMIT_METRICS_H

#include "base/metric_cell.h"

// X(identifier): limits of policy.md's Proxy that are met in a worker.
#define LIMIT_METRIC_LIST(X)                                                               \
    X(HEADERS)                /* peak: fields of one head; hits: heads refused */          \
    X(HEADER_BYTES)           /* peak: of one head */                                      \
    X(URL_BYTES)              /* peak: of one target; hits: requests refused */            \
    X(BODY_BYTES)             /* peak: of one request; hits: requests refused */           \
    X(STREAMS_PER_CONNECTION) /* peak: on one of a client; hits: requests refused */       \
    X(BUFFER_PER_STREAM)      /* peak: of one request; hits: times that reading stopped */ \
    X(HEADER_TIMEOUT)         /* hits: connections or requests ended by it */              \
    X(BODY_IDLE_TIMEOUT)      /* hits: requests ended by it */                             \
    X(IDLE_TIMEOUT)           /* hits: connections closed by it */                         \
    X(MEMORY)                 /* hits: requests and connections refused */

enum limit_metric {
#define X(identifier) LIMIT_METRIC_##identifier,
    LIMIT_METRIC_LIST(X)
#undef X
        LIMIT_METRIC_COUNT
};

struct limit_cells {
    struct metric_cell peak;
    struct metric_cell hits;
};

// All zero is the initial state: no init. Writer only.
static inline void limit_use(struct limit_cells *cells, enum limit_metric limit, uint64_t use) {
    if (use > metric_read(&cells[limit].peak))
        metric_set(&cells[limit].peak, use);
}

static inline void limit_hit(struct limit_cells *cells, enum limit_metric limit) {
    metric_add(&cells[limit].hits, 1);
}

#endif
