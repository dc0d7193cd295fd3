// The access log of one worker: lines are formatted where they are to lie until the writer's thread takes them (net/line_writer), and published once a turn.
#ifndef APP_LOG_WRITER_H
#define APP_LOG_WRITER_H

#include "config/snapshot.h"
#include "net/line_writer.h"
#include "net/loop.h"
#include "telemetry/access_template.h"
#include "telemetry/export_queue.h"
#include "telemetry/worker_metrics.h"

#include <limits.h>

// Room for lines of one worker: about a thousand usual ones. Touched as lines go through.
#define LOG_RING_BYTES ((size_t)512 * 1024)

struct log_writer {
    struct loop *loop;
    struct worker_metrics *metrics;
    struct line_writer *lines; // shared by all workers
    uint32_t source;           // this worker's
    struct task publish;
    struct bytes text; // of the template, which points into it; owned
    struct access_template form;
    char host_name[HOST_NAME_MAX + 1];
    bool has_form;                       // else JSON
    struct export_queue *const *records; // the worker's, of records that are sent: NULL while none are
    struct task *publish_records;        // makes visible what was added to it
    bool is_sent;                        // in the place of being written to a file
    bool gives_way;                      // then: the audit log is sent too, from the same queue
};

void log_writer_init(struct log_writer *writer, struct loop *loop, struct worker_metrics *metrics, struct line_writer *lines, uint32_t source);

// Where what is sent in the place of being written goes.
void log_writer_send_by(struct log_writer *writer, struct export_queue *const *records, struct task *publish_records);

// Lines have the form that `config` says from now on.
void log_writer_apply(struct log_writer *writer, const struct telemetry_config *config);

// For struct stream_env.
void log_writer_write(void *writer, const struct access_record *record);

void log_writer_dispose(struct log_writer *writer);

#endif
