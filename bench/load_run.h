// What the load program does with its connections, in four modes:
//   Closed: every connection sends its next request when the last was answered.
//   Open:   requests start at a fixed rate whatever becomes of the earlier ones; their time counts from the moment they were meant to be sent,
//           also while they wait for a free connection, so that a stalled server cannot hide behind the requests that it kept from being sent.
//   Fresh:  a new connection for every request; its time counts from the connect to the whole answer.
//   Idle:   every connection sends a few requests and is then held open until SIGTERM.
// The first three have a warm-up that is not counted, then a phase bounded by a count and by time.
#ifndef BENCH_LOAD_RUN_H
#define BENCH_LOAD_RUN_H

#include "bench/cpu_watch.h"
#include "bench/histogram.h"
#include "bench/load_conn.h"

enum load_mode { LOAD_MODE_CLOSED, LOAD_MODE_OPEN, LOAD_MODE_FRESH, LOAD_MODE_IDLE };

struct load_plan {
    enum load_mode mode;
    uint64_t connections;
    double rate_per_second; // Open
    uint64_t requests;      // counted ones at most; Idle: per connection
    uint64_t duration_ns;   // of the counted phase at most; Idle: until all have had their requests
    uint64_t warmup_ns;
    size_t opening_at_once; // Idle: connections that have not had all their requests yet
    uint64_t settle_ns;     // Idle: how long all have been idle when we say that they are held
    int status_expected;
};

struct load_result {
    uint64_t requests, errors, resumed, lost; // lost: Idle connections that the server closed while they were held
    uint64_t duration_ns;
    const char *first_error;
    struct histogram latency;
};

// Runs the plan to its end. `watch` is read at the ends of the counted phase; in Idle mode at its end alone.
void load_run(const struct load_plan *plan, struct load_target *target, struct cpu_watch *watch, struct load_result *result);

#endif
