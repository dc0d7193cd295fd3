// A worker: one thread with its own loop, connections, pools and counters. The main thread speaks to it by messages only.
#ifndef APP_WORKER_H
#define APP_WORKER_H

#include "agent/export_call.h"
#include "app/held_mail.h"
#include "app/audit.h"
#include "app/log_writer.h"
#include "app/worker_memory.h"
#include "app/worker_report.h"
#include "downstream/switchover.h"
#include "net/tcp_listener.h"
#include "stream/tap_feed.h"
#include "telemetry/export_queue.h"
#include "upstream/upstream.h"

#include <pthread.h>
#include <stdatomic.h>

// Listening sockets that a single worker accepts on by itself.
#define WORKER_LISTENERS_MAX 64

struct worker {
    struct loop loop;
    pthread_t thread;
    uint32_t number;
    struct worker_metrics metrics;
    struct upstream upstream;
    struct downstream downstream;
    struct stream_env env;
    struct log_writer log;
    struct audit_writer audit;
    const struct audit *audits; // the main thread's
    struct h2_memory *h2_memory;
    struct bound_snapshot *bound; // one pin; NULL: none yet
    struct switchover switchover; // to the next one
    struct held_mail held;        // what came behind that
    struct task deliver;          // of what was held, some in each turn
    struct {
        struct worker *worker;
        struct bytes name;
        struct tcp_listener *listener;
    } accepting[WORKER_LISTENERS_MAX];
    uint32_t accepting_count;
    struct timer gauges; // runs while the worker is awake: copies figures of the loop into the counters, looks after memory
    uint64_t turns_seen; // of the loop, when it last did
    struct worker_memory memory;
    _Atomic uint32_t handed_over;  // connections that are on their way to it
    _Atomic uint32_t streams_open; // for the main thread, while draining
    _Atomic uint32_t inbound_open;
    _Atomic uint32_t drains;   // how often it was told to drain, and has noted what was open then
    _Atomic uint32_t closings; // how often it was told to close listening sockets, and has
    struct reports reports;
    struct export_queue *queues[OTLP_SIGNALS]; // of telemetry; NULL: that signal is not sent
    struct export_call *exports[OTLP_SIGNALS]; // requests of telemetry that are under way; NULL: none of that signal
    struct task publish;                       // what was added to them
    bool stopping;
};

// What all workers have in common; each outlives them.
struct worker_commons {
    struct live_shared *live;
    const struct policy_states *policies;
    struct memory_budget *memory;
    struct line_writer *log_lines;
    const struct audit *audit;
};

// Starts the thread.
void worker_start(struct worker *worker, uint32_t number, const struct worker_commons *commons);

// Messages; from the main thread. Each takes over a reference or the socket. They act in their order, a snapshot some turns later than it arrived; what follows one waits for it,
// but credentials, and connections for listeners that are there already. A snapshot that another overtakes before it was begun is passed over.
void worker_apply(struct worker *worker, struct chain_set *chains);
void worker_set_credentials(struct worker *worker, struct credentials *credentials);
void worker_set_endpoints(struct worker *worker, struct endpoint_set *set);

// A CA set by its key, and that it goes unless another version has come since: no service names it from the snapshot on that was sent before. Each takes over a reference.
void worker_set_authorities(struct worker *worker, struct bytes key, struct credentials *credentials);
void worker_drop_authorities(struct worker *worker, struct bytes key, struct credentials *credentials);

// Certificates of the gateway's socket of that name; NULL: it has none to show. Takes over a reference.
void worker_set_edge(struct worker *worker, struct bytes listener, struct credentials *credentials);
void worker_listen(struct worker *worker, struct bytes name, int socket); // accepts on its own loop
void worker_take_waiting(struct worker *worker, struct bytes name);       // accepts those in the backlog, before it closes
void worker_unlisten(struct worker *worker, struct bytes name);           // empty name: all
// A connection accepted elsewhere, by the listener's socket at `address`.
void worker_accept(struct worker *worker, struct bytes name, const struct socket_address *address, int socket);
void worker_drain(struct worker *worker, bool outbound_too);

// Connections of clients that it has, or soon will have. Any thread.
uint32_t worker_load(const struct worker *worker);

// A report that the worker is to fill in. ERROR_FULL: its mailbox is full; nothing happened.
MUST_CHECK enum error worker_ask(struct worker *worker, struct worker_report *report);

// Gives the feed to the worker, and takes it back: tap_feed.h tells when it is.
void worker_attach_tap(struct worker *worker, struct tap_feed *feed);
void worker_detach_tap(struct worker *worker, struct tap_feed *feed);

// Where it writes what it tells of a signal; NULL: nowhere. The queue stays until the worker has stopped. Of logs it is there before any snapshot that is sent behind it, of traces once those are in
// force that were sent before.
void worker_set_export_queue(struct worker *worker, enum otlp_signal signal, struct export_queue *queue);

// Sends a request of telemetry: export_call.h tells when it is over.
void worker_export(struct worker *worker, struct export_call *call);

// Ends the one of this signal that was sent last, unless it is over already.
void worker_cancel_export(struct worker *worker, enum otlp_signal signal);

// Ends all connections and the thread, and waits for it.
void worker_stop(struct worker *worker);

#endif
