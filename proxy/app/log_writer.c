// Lines of the access log on their way to a file, gathered over a turn: see log_writer.h.
#include "app/log_writer.h"

#include "base/check.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

// Lines that may wait in one turn: 64 streams can end in it, with two lines' room each to spare.
#define LINES_BYTES_MAX ((size_t)128 * ACCESS_LOG_LINE_MAX)

static void flush_lines(struct task *task) {
    struct log_writer *writer = CONTAINER_OF(task, struct log_writer, flush);
    while (!buffer_is_empty(&writer->lines)) {
        struct iovec iov[16];
        size_t length;
        int count = buffer_iovec(&writer->lines, iov, 16, &length);
        ssize_t written = writer->fd < 0 ? (ssize_t)length : writev(writer->fd, iov, count);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0) {
            metric_add(&writer->metrics->log_dropped, 1);
            buffer_clear(&writer->lines);
            return;
        }
        buffer_consume(&writer->lines, (size_t)written);
    }
}

void log_writer_init(struct log_writer *writer, struct loop *loop, struct worker_metrics *metrics) {
    *writer = (struct log_writer){.loop = loop, .metrics = metrics, .fd = -1};
    buffer_init(&writer->lines, &loop->blocks);
    task_init(&writer->flush, flush_lines);
}

void log_writer_open(struct log_writer *writer, const char *path) {
    if (writer->fd >= 0)
        close(writer->fd);
    writer->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0640);
    if (writer->fd < 0)
        log_event(LOG_ERROR, "access_log_failed", "path=\"%s\" reason=\"%s\"", path, strerror(errno));
}

void log_writer_write(void *user, const struct access_record *record) {
    struct log_writer *writer = user;
    if (writer->fd < 0 || writer->lines.length > LINES_BYTES_MAX) {
        metric_add(&writer->metrics->log_dropped, 1);
        return;
    }
    char line[ACCESS_LOG_LINE_MAX];
    size_t length = access_log_format(record, line, sizeof line);
    buffer_append(&writer->lines, bytes_from(line, length));
    loop_flush(writer->loop, &writer->flush);
}

void log_writer_dispose(struct log_writer *writer) {
    task_cancel(&writer->flush);
    flush_lines(&writer->flush);
    if (writer->fd >= 0)
        close(writer->fd);
    writer->fd = -1;
}
