// Lines of the access log on their way to a file, gathered over a turn: see log_writer.h.
#include "app/log_writer.h"

#include "base/check.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

// Lines that may wait in one turn: 64 streams can end in it, with two lines' room each to spare.
#define LINES_BYTES_MAX ((size_t)128 * ACCESS_LOG_LINE_MAX)

// Drops all lines; but the rest of one that was written in part stays, since the next one would stand on the same line without it.
static void drop_lines(struct log_writer *writer) {
    struct buffer rest;
    buffer_init(&rest, &writer->loop->blocks);
    bool keep = writer->cut;
    while (!buffer_is_empty(&writer->lines)) {
        struct bytes front = buffer_front(&writer->lines);
        size_t end = bytes_find(front, '\n');
        bool whole = end < front.len;
        size_t length = whole ? end + 1 : front.len;
        if (keep)
            buffer_append(&rest, bytes_from(front.at, length));
        else if (whole)
            metric_add(&writer->metrics->log_dropped, 1);
        keep = keep && !whole;
        buffer_consume(&writer->lines, length);
    }
    buffer_move(&writer->lines, &rest, SIZE_MAX);
    buffer_dispose(&rest);
}

static bool ends_a_line(const struct iovec *pieces, size_t length) {
    while (length > pieces->iov_len)
        length -= pieces++->iov_len;
    return ((const char *)pieces->iov_base)[length - 1] == '\n';
}

static void flush_lines(struct task *task) {
    struct log_writer *writer = CONTAINER_OF(task, struct log_writer, flush);
    while (!buffer_is_empty(&writer->lines)) {
        struct iovec iov[16];
        size_t length;
        int count = buffer_iovec(&writer->lines, iov, 16, &length);
        ssize_t written = writer->fd < 0 ? (ssize_t)length : writev(writer->fd, iov, count);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            writer->cut = writer->cut && errno != EPIPE; // whoever reads a pipe next has not seen its begin
            drop_lines(writer);
            return;
        }
        writer->cut = !ends_a_line(iov, (size_t)written);
        buffer_consume(&writer->lines, (size_t)written);
    }
}

void log_writer_init(struct log_writer *writer, struct loop *loop, struct worker_metrics *metrics) {
    *writer = (struct log_writer){.loop = loop, .metrics = metrics, .fd = -1};
    buffer_init(&writer->lines, &loop->blocks);
    task_init(&writer->flush, flush_lines);
}

void log_writer_open(struct log_writer *writer, const char *path) {
    struct stat before = {0};
    struct stat after = {0};
    if (writer->fd >= 0) {
        flush_lines(&writer->flush);
        fstat(writer->fd, &before);
        close(writer->fd);
    }
    writer->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0640);
    if (writer->fd < 0)
        log_event(LOG_ERROR, "access_log_failed", "path=\"%s\" reason=\"%s\"", path, strerror(errno));
    else
        fstat(writer->fd, &after);
    if (writer->cut && (before.st_dev != after.st_dev || before.st_ino != after.st_ino)) {
        writer->cut = false; // the rest of a line has no place in another file
        buffer_clear(&writer->lines);
    }
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
