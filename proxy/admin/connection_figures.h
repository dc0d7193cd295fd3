// What /connections and /memory show: plain values of one moment, as figures.h has them of the rest.
#ifndef ADMIN_CONNECTION_FIGURES_H
#define ADMIN_CONNECTION_FIGURES_H

#include "base/bytes.h"
#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

struct worker_metrics;

// Rows of each side; there may be more connections than that.
#define ADMIN_CONNECTIONS_MAX 1000

// One connection: of a client, or to an endpoint.
struct admin_connection {
    uint32_t worker;
    uint64_t number;       // of the worker's connections of that side, from 1
    struct bytes listener; // that it came by; to an endpoint the service that it is for; empty: none any more
    struct bytes peer;     // address
    struct bytes state;
    struct bytes protocol; // empty: not known yet
    struct bytes alpn;
    struct bytes identity; // SPIFFE ID of the peer
    bool tls;
    nanoseconds age; // 0: not made yet
    uint32_t streams;
    uint64_t bytes_in, bytes_out; // without TLS
};

struct admin_connections {
    struct admin_connection *rows; // the newest of each worker first
    uint32_t count;
    uint64_t total; // connections that there are
};

// Memory, as far as the process can tell.
struct admin_memory {
    const struct worker_metrics *const *workers; // the counters of each
    uint64_t resident;                           // of the process; 0: the system does not tell
    uint64_t budget_limit;                       // of the cgroup; 0: none
    uint64_t budget_use, budget_peak;
    uint32_t budget_percent;
    uint32_t level; // enum memory_level: what is being shed
};

#endif
