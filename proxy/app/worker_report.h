// What one worker tells when somebody looks: copies of its services' counters, of the load of their endpoints, and of what its connections are, made on the worker's own
// thread, a slice in each turn of its loop, so that traffic never waits for it.
//
// Owner:      who asks (app/gathering.c, on the main thread), before and after; the worker in between.
// Start:      reports_add, on the worker's thread.
// Callbacks:  `done`, once, as a message to `home`; none when the worker stops before (reports_drop).
// Cancel:     none: it is over after some turns.
// Memory:     results live until worker_report_dispose; texts lie in `snapshot` or in `pool`.
#ifndef APP_WORKER_REPORT_H
#define APP_WORKER_REPORT_H

#include "admin/admin.h"
#include "downstream/downstream.h"
#include "net/loop.h"
#include "stream/bound.h"
#include "stream/inquiry.h"
#include "telemetry/series_reading.h"

// Services, endpoints and connections copied in one turn: 256 x about 0.3 us, counters included.
#define REPORT_SLICE 256

struct explain_question;
struct json_t; // jansson

struct report_row {
    const struct service_config *config; // in the snapshot
    struct health_series *health;        // NULL: not wanted, or nothing was counted
    struct admin_service *service;       // NULL: not wanted
};

struct worker_report {
    struct list link; // among those under way
    uint32_t wants;   // enum admin_want: ADMIN_WANT_COUNTERS, _SERVICES, _LIMITS, _CONNECTIONS
    uint32_t worker;  // its number
    struct loop *home;
    void (*done)(void *receiver, void *report);
    void *owner;                             // of who asks
    const struct explain_question *question; // borrowed: a request that is asked about; NULL: none is, or another worker is to say
    struct bound_snapshot *bound;            // one pin, while it is under way
    uint32_t next;                           // in bound->services
    uint64_t clients_before;                 // of the next slice: connections with lower numbers are to be copied; 0: all are
    uint64_t endpoints_before;
    struct pool_source chunks;
    struct pool pool;
    // results
    struct snapshot *snapshot; // one reference; NULL: the worker has none yet
    struct report_row *rows;   // in the order of the snapshot's services
    uint32_t row_count;
    struct series_reading series; // its rows
    struct admin_limit *limits;
    uint32_t limit_count;
    uint32_t limit_capacity;
    struct admin_connections clients;
    struct admin_connections endpoints;
    struct json_t *explanation; // the answer; owned; NULL: none
};

void worker_report_init(struct worker_report *report, uint32_t wants, uint32_t worker, struct loop *home, void (*done)(void *receiver, void *report),
                        void *owner);
void worker_report_dispose(struct worker_report *report);

// The reports that a worker is at, oldest first.
struct reports {
    struct loop *loop;
    const struct downstream *downstream;
    struct upstream *upstream;
    const struct stream_env *env;
    struct inquiry_desk desk;
    struct list under_way;
    struct task task;
};

void reports_init(struct reports *reports, const struct downstream *downstream, const struct stream_env *env);

// A service as this worker sees it; in `pool`.
struct admin_service *report_service(const struct bound_destination *service, struct pool *pool, nanoseconds now);

// Begins with the snapshot that is in force now (NULL: none yet).
void reports_add(struct reports *reports, struct worker_report *report, struct bound_snapshot *bound);

// Lets go of what they hold of the worker; none of them is done any more.
void reports_drop(struct reports *reports);

#endif
