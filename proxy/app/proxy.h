// The proxy as a whole, on the main thread: what there is of everything, and how it starts and ends.
#ifndef APP_PROXY_H
#define APP_PROXY_H

#include "admin/admin.h"
#include "app/acceptor.h"
#include "app/audit.h"
#include "app/documents.h"
#include "app/exports.h"
#include "app/gathering.h"
#include "app/handover.h"
#include "app/inherited.h"
#include "app/sandbox.h"
#include "app/taps.h"
#include "app/worker.h"
#include "app/edges.h"
#include "identity/ca_files.h"
#include "identity/file_identity.h"
#include "net/tls.h"
#include "telemetry/process_metrics.h"
#include "upstream/health_checker.h"
#include "upstream/resolver.h"

#define WORKERS_MAX 16

enum proxy_state { PROXY_STARTING, PROXY_READY, PROXY_DRAINING };

struct proxy {
    struct loop loop; // of the main thread
    const struct options *options;
    enum proxy_state state;
    struct documents documents;
    struct live_shared *shared;
    struct policy_states policies; // their live state
    struct memory_budget memory;
    struct process_figures process;
    struct line_writer *log_lines; // of the access log
    struct audit audit;
    struct worker *workers;
    uint32_t worker_count;
    struct acceptor *acceptor;
    struct admin *admin;
    struct inherited inherited; // sockets from systemd, or from the process before
    struct {
        struct listening admin, metrics, upgrade; // whoever accepts on one closes it
    } sockets;
    struct {
        struct bytes admin, metrics, upgrade; // addresses; owned
        enum hardening seccomp, landlock;
    } started; // what was taken from the documents once, at the start
    struct {
        int predecessor;           // connection to the process before, until this one is ready; -1: none
        struct timer patience;     // of this process with itself, until then
        struct handover *handover; // for the next one; NULL: none
    } upgrade;
    struct sandbox sandbox;
    bool live;        // it accepts
    bool handed_over; // another process has taken over: this one only ends what it has
    int detached;     // for detach_done
    int exit_code;
    struct resolver *resolver;
    struct health_checker *checker; // of endpoints
    struct ticket_keys *ticket_keys;
    struct file_identity *identity; // NULL: the documents name none
    uint64_t identity_generation;   // of the one before it
    struct edges edges;             // certificates of gateway sockets
    struct ca_files *ca_files;      // authorities of servers outside the mesh
    struct gatherings gatherings;   // questions of pages to the workers
    struct taps taps;               // readers of /tap
    struct exports exports;         // telemetry on its way to a collector
    struct list reloads;            // by pages, that wait for the identity's files
    struct timer reload_look;
    bool ending; // once drained, or after limits.drainTimeout
    nanoseconds drain_begun;
    struct timer drain_timer;
    bool last_call; // the listening sockets are closed
    bool end_told;  // to the audit log
    uv_signal_t signals[4];
};

// Exit code.
int proxy_run(const struct options *options);

// `cause` of these three: who asks, a constant, for the audit log.

// Not ready any more; inbound connections are told to begin nothing new. The process stays.
void proxy_drain(struct proxy *proxy, const char *cause);

// SIGTERM: drains, then ends.
void proxy_shut_down(struct proxy *proxy, const char *cause);

// The files of the access log and the audit log, by their paths.
void proxy_reopen_logs(struct proxy *proxy, const char *cause);

// Another process has the sockets: every connection is told to begin nothing new, outbound ones too, and the process ends with the last.
void proxy_end_handed_over(struct proxy *proxy);

extern const struct admin_source proxy_admin_source;

#endif
