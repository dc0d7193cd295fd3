// The audit log of one thread (a worker, or main): records become lines where they are to lie until the log's own thread takes them (net/line_writer), and are published once a turn. A line
// for which there is no room is lost, which is counted, and told by a line of its own as soon as there is room again.
#ifndef APP_AUDIT_WRITER_H
#define APP_AUDIT_WRITER_H

#include "base/metric_cell.h"
#include "config/telemetry_config.h"
#include "net/line_writer.h"
#include "net/loop.h"
#include "telemetry/audit_log.h"
#include "telemetry/export_queue.h"

// Room for lines of one thread: several hundred usual ones. Touched as lines go through.
#define AUDIT_RING_BYTES ((size_t)256 * 1024)

struct audit_writer {
    struct loop *loop;
    struct metric_cell *dropped;
    bool is_kept;                        // there is an audit log
    struct line_writer *lines;           // shared by all threads; NULL: it is sent in the place of being written
    struct export_queue *const *records; // then: this thread's, of records; NULL there: none are sent now
    uint32_t source;                     // this thread's
    uint64_t lost;                       // lines that nobody was told of yet
    struct task publish;
};

void audit_writer_init(struct audit_writer *writer, struct loop *loop, struct metric_cell *dropped, uint32_t source,
                       struct export_queue *const *records);

// What `config` says holds from now on; lines go to `lines`, records to what `records` of init points to.
void audit_writer_follow(struct audit_writer *writer, const struct audit_log_config *config, struct line_writer *lines);

// Does nothing where there is no audit log.
void audit_writer_add(struct audit_writer *writer, const struct audit_record *record);

// For struct stream_env: a request that was refused.
void audit_writer_add_request(void *writer, const struct access_record *record);

void audit_writer_dispose(struct audit_writer *writer);

#endif
