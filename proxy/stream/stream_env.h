// What all streams of a worker share: what they run on, what they count in, where what they tell goes, and those that there are. The worker makes it (app/worker).
#ifndef STREAM_STREAM_ENV_H
#define STREAM_STREAM_ENV_H

#include "net/loop.h"
#include "telemetry/access_log.h"
#include "telemetry/worker_metrics.h"
#include "upstream/cluster.h"

struct export_queue;
struct tap_feed;

struct stream_env {
    struct loop *loop;
    struct upstream *upstream;
    struct worker_metrics *metrics;
    void (*log)(void *log_user, const struct access_record *record);
    void *log_user;
    void (*audit)(void *audit_user, const struct access_record *record);            // one that was refused, where the audit log wants to hear of it
    void (*audit_connection)(void *audit_user, const struct access_record *record); // the same of one without a request
    void *audit_user;
    struct export_queue *spans;       // of finished spans; NULL: there are no traces (tracing.h)
    struct export_queue *log_records; // of records of the log; NULL: nobody sends any
    struct task *publish;             // makes what was added to such queues visible: behind each record by loop_flush. There with `spans`
    struct tap_feed *taps;            // whoever looks on (tap_feed.h); NULL: nobody
    bool draining;                    // the process is to end: responses say so
    bool refuses_streams;             // memory is short: whatever begins is refused
    struct list unanswered;           // streams that were let in a moment ago and wait for the head of their response, in the order of their coming
    uint32_t unanswered_count;
    uint32_t unanswered_max; // one more is refused: there is no memory for what they will want; bounds clients' handshakes too. UINT32_MAX: no limit
    uint32_t streams;        // all, subrequests too
    struct list subrequests;
    uint32_t subrequest_count;
    uint32_t subrequest_counts[SUBREQUEST_KINDS];
    struct timer *pulse; // of the worker: runs while streams come; NULL: none
    nanoseconds pulse_interval;
};

#endif
