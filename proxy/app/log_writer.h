// Writes the access log of one worker: lines are gathered during a turn and written at its end in one call. A file that cannot take them at once loses lines, never time.
#ifndef APP_LOG_WRITER_H
#define APP_LOG_WRITER_H

#include "net/loop.h"
#include "telemetry/access_log.h"
#include "telemetry/worker_metrics.h"

struct log_writer {
    struct loop *loop;
    struct worker_metrics *metrics;
    struct buffer lines;
    struct task flush;
    int fd;   // -1: none
    bool cut; // `lines` begins with the rest of a line that was written in part
};

void log_writer_init(struct log_writer *writer, struct loop *loop, struct worker_metrics *metrics);

// Opens `path` for appending (a file, /dev/stdout, a named pipe). An error is logged and leaves the writer without a file.
void log_writer_open(struct log_writer *writer, const char *path);

// For struct stream_env.
void log_writer_write(void *writer, const struct access_record *record);

void log_writer_dispose(struct log_writer *writer);

#endif
