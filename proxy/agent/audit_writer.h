// The audit log of one thread (a worker, or main). Records become lines where they are to lie until the log's own thread takes them (net/line_writer), or records
// of OTLP in the thread's queue (telemetry/export_queue), and are published once a turn. What is lost is counted, once, and told by a line of its own as soon as
// there is room again, at the end of the log at the latest.
#ifndef AGENT_AUDIT_WRITER_H
#define AGENT_AUDIT_WRITER_H

#include "base/metric_cell.h"
#include "config/telemetry_config.h"
#include "net/line_writer.h"
#include "net/loop.h"
#include "telemetry/audit_log.h"
#include "telemetry/export_queue.h"

// Room for lines of one thread: several hundred usual ones. Touched as lines go through.
#define AUDIT_RING_BYTES ((size_t)256 * 1024)

// Connections that are refused without a request cost whoever makes them little: more in a second would drive out what matters, and say nothing new.
#define AUDIT_CONNECTIONS_PER_SECOND 100

// Why records are lost. A queue counts itself what it has no room for (reason queue_full of its signal).
struct audit_losses {
    struct metric_cell *full;    // the file takes them too slowly
    struct metric_cell *nowhere; // they are to be sent, and nobody has said where to
    struct metric_cell *rate;    // connections beyond AUDIT_CONNECTIONS_PER_SECOND
};

struct audit_writer {
    struct loop *loop;
    struct audit_losses losses;
    bool is_kept;                        // there is an audit log
    struct line_writer *lines;           // shared by all threads; NULL: it is sent in the place of being written
    struct export_queue *const *records; // then: this thread's, of records; NULL there: none are sent now
    uint32_t source;                     // this thread's
    uint64_t lost;                       // lines that nobody was told of yet
    nanoseconds second_begun;            // of the connections counted here
    uint32_t connections;
    struct task publish;
};

void audit_writer_init(struct audit_writer *writer, struct loop *loop, struct audit_losses losses, uint32_t source,
                       struct export_queue *const *records);

// What `config` says holds from now on; lines go to `lines`, records to what `records` of init points to.
void audit_writer_follow(struct audit_writer *writer, const struct audit_log_config *config, struct line_writer *lines);

// Does nothing where there is no audit log.
void audit_writer_add(struct audit_writer *writer, const struct audit_record *record);

// For struct stream_env: a request that was refused; a connection that was, and had none.
void audit_writer_add_request(void *writer, const struct access_record *record);
void audit_writer_add_connection(void *writer, const struct access_record *record);

// The last line of this thread, where some were lost before it.
void audit_writer_dispose(struct audit_writer *writer);

#endif
