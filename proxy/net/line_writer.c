// The thread drains the rings, naps a little so that many lines share a write, and sleeps once nothing came: see line_writer.h. While it naps or writes no source wakes it,
// unless its ring is half full; so under load lines cost their source no system call, and an idle process never wakes.
#include "net/line_writer.h"

#include "base/check.h"
#include "base/log.h"
#include "base/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

// How long lines gather while there are some.
#define NAP_MS 20

// While the file takes nothing it is tried again after so long, if it does not say before that it takes something.
#define BLOCKED_MS 1000

// How often the path is compared with the file, and tried where there is none.
#define LOOK_NS NS_PER_S

// Bytes of one write to a regular file.
#define WRITE_MAX ((size_t)256 * 1024)

// Beyond its patience, before the thread is left behind.
#define JOIN_EXTRA_NS NS_PER_S

struct source {
    struct line_ring ring;
    struct line_counters counters;
};

enum progress { NOTHING, WROTE, BLOCKED };

struct line_writer {
    const char *failed; // event of the process's log
    pthread_t thread;
    int wake; // eventfd
    _Atomic bool asleep;
    _Atomic bool signalled; // somebody has written to `wake`
    _Atomic bool stopping;
    nanoseconds patience_end; // once stopping
    pthread_mutex_t lock;     // of the two below
    char *wanted;             // path that is to be opened; NULL: nothing new
    bool anew;                // the present one is to be
    // The thread's own.
    char *path;
    int fd;          // -1: none
    bool is_socket;  // written so that it cannot block
    bool is_shared;  // with whoever gave it: whether writes to it block is not ours to change
    bool is_regular; // may be renamed
    nanoseconds looked_at;
    uint32_t current; // source whose lines are being written
    bool partial;     // of its first line the beginning is written
    bool broken;      // the file ends in a line whose rest was lost
    uint32_t count;
    struct source sources[];
};

// --- the file ---

// The standard streams may be what cannot be opened by a path: a socket, as systemd gives, or a pipe of another user. They are there all the same.
static int open_path(const char *path, bool *is_shared) {
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);
    const int standard = strcmp(path, "/dev/stdout") == 0 ? STDOUT_FILENO : strcmp(path, "/dev/stderr") == 0 ? STDERR_FILENO : -1;
    *is_shared = fd < 0 && standard >= 0 && (errno == ENXIO || errno == EACCES);
    return *is_shared ? fcntl(standard, F_DUPFD_CLOEXEC, 0) : fd;
}

// The rest of a line that was written in part has no place in another file.
static void drop_rest_of_line(struct line_writer *writer) {
    struct source *source = &writer->sources[writer->current];
    struct iovec pieces[2];
    int count = line_ring_front(&source->ring, source->ring.line_max, pieces);
    size_t length = 0;
    for (int i = 0; i < count; i++) {
        const char *feed = memchr(pieces[i].iov_base, '\n', pieces[i].iov_len);
        length += feed != NULL ? (size_t)(feed - (const char *)pieces[i].iov_base) + 1 : pieces[i].iov_len;
        if (feed != NULL)
            break;
    }
    line_ring_take(&source->ring, length);
    metric_add(&source->counters.failed, 1);
    writer->partial = false;
}

// Nothing that is written there would be read by anybody.
static void forget_file(struct line_writer *writer) {
    if (writer->partial)
        drop_rest_of_line(writer);
    writer->broken = false;
    close(writer->fd);
    writer->fd = -1;
}

// What is permitted to the process is permitted for a folder, not for its name.
static const char *explain(int reason) {
    return reason == EACCES
               ? "Permission denied; where Landlock is enforced, a folder that was made anew may be written to after an upgrade or a restart alone"
               : strerror(reason);
}

static bool is_same(int fd, const struct stat *status) {
    struct stat other;
    return fd >= 0 && fstat(fd, &other) == 0 && other.st_dev == status->st_dev && other.st_ino == status->st_ino;
}

static bool is_removed(int fd) {
    struct stat status;
    return fd >= 0 && fstat(fd, &status) == 0 && status.st_nlink == 0;
}

// The file that is open stays where the path cannot be opened, since a renamed log is better than none; one that was removed is none.
static void open_file(struct line_writer *writer) {
    struct stat status;
    bool is_shared;
    int fd = open_path(writer->path, &is_shared);
    if (fd < 0 || fstat(fd, &status) != 0) {
        const int reason = errno;
        if (fd >= 0)
            close(fd);
        const bool removed = writer->is_regular && is_removed(writer->fd);
        if (removed)
            forget_file(writer);
        log_event(LOG_ERROR, writer->failed, "path=\"%s\" reason=\"%s\" lines=%s", writer->path, explain(reason),
                  writer->fd < 0 ? "lost" : "\"written to the file before\"");
        return;
    }
    writer->broken = (writer->partial || writer->broken) && is_same(writer->fd, &status);
    if (writer->partial)
        drop_rest_of_line(writer);
    if (writer->fd >= 0)
        close(writer->fd);
    writer->fd = fd;
    writer->is_socket = S_ISSOCK(status.st_mode);
    writer->is_shared = is_shared;
    writer->is_regular = S_ISREG(status.st_mode);
}

static bool was_replaced(const struct line_writer *writer) {
    struct stat there;
    return stat(writer->path, &there) != 0 || !is_same(writer->fd, &there);
}

static void look_at_file(struct line_writer *writer) {
    nanoseconds now = clock_monotonic_ns();
    if (writer->path == NULL || (now - writer->looked_at < LOOK_NS && !(writer->is_regular && is_removed(writer->fd))))
        return;
    writer->looked_at = now;
    if (writer->fd < 0 || (writer->is_regular && was_replaced(writer)))
        open_file(writer);
}

static void take_orders(struct line_writer *writer) {
    pthread_mutex_lock(&writer->lock);
    char *wanted = writer->wanted;
    bool anew = writer->anew;
    writer->wanted = NULL;
    writer->anew = false;
    pthread_mutex_unlock(&writer->lock);
    if (wanted != NULL) {
        free(writer->path);
        writer->path = wanted;
    }
    if (writer->path != NULL && (wanted != NULL || anew)) {
        writer->looked_at = clock_monotonic_ns();
        open_file(writer);
    }
}

// --- lines ---

static uint64_t lines_in(const struct iovec *pieces, int count, size_t length) {
    uint64_t lines = 0;
    for (int i = 0; i < count && length > 0; i++) {
        size_t part = length < pieces[i].iov_len ? length : pieces[i].iov_len;
        const char *at = pieces[i].iov_base;
        const char *end = at + part;
        while ((at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
            lines++;
            if (++at == end)
                break;
        }
        length -= part;
    }
    return lines;
}

// Cuts the pieces behind the last line feed, where there is one.
static void cut_to_lines(struct iovec *pieces, int *count) {
    for (int i = *count; i-- > 0;) {
        const char *last = memrchr(pieces[i].iov_base, '\n', pieces[i].iov_len);
        if (last == NULL)
            continue;
        pieces[i].iov_len = (size_t)(last - (const char *)pieces[i].iov_base) + 1;
        *count = i + 1;
        return;
    }
}

static size_t length_of(const struct iovec *pieces, int count) {
    return pieces[0].iov_len + (count > 1 ? pieces[1].iov_len : 0);
}

// A pipe that takes anything takes PIPE_BUF, which is all that is written to it at a time. Where another process is quicker, the write blocks until the reader reads, this thread alone.
static bool would_block(const struct line_writer *writer) {
    struct pollfd file = {.fd = writer->fd, .events = POLLOUT};
    return writer->is_shared && !writer->is_socket && !writer->is_regular && poll(&file, 1, 0) == 0;
}

static ssize_t write_pieces(const struct line_writer *writer, struct iovec *pieces, int count) {
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = (size_t)count};
    ssize_t written;
    if (would_block(writer)) {
        errno = EAGAIN;
        return -1;
    }
    do
        written = writer->is_socket ? sendmsg(writer->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) : writev(writer->fd, pieces, count);
    while (written < 0 && errno == EINTR);
    return written;
}

// What waits cannot be written: it goes, so that what the log has later is of later.
static void lose(struct source *source) {
    struct iovec pieces[2];
    int count = line_ring_front(&source->ring, SIZE_MAX, pieces);
    if (count == 0)
        return;
    size_t length = length_of(pieces, count);
    metric_add(&source->counters.failed, lines_in(pieces, count, length));
    line_ring_take(&source->ring, length);
}

static bool end_broken_line(struct line_writer *writer) {
    struct iovec feed = {.iov_base = (char[]){'\n'}, .iov_len = 1};
    writer->broken = writer->broken && write_pieces(writer, &feed, 1) != 1;
    return !writer->broken;
}

static bool ends_a_line(const struct iovec *pieces, size_t length) {
    while (length > pieces->iov_len)
        length -= pieces++->iov_len;
    return ((const char *)pieces->iov_base)[length - 1] == '\n';
}

// Writes all lines of one source: another's must not come into the middle of one.
static enum progress drain_one(struct line_writer *writer, struct source *source) {
    enum progress progress = NOTHING;
    struct iovec pieces[2];
    int count;
    while ((count = line_ring_front(&source->ring, writer->is_regular ? WRITE_MAX : PIPE_BUF, pieces)) > 0) {
        cut_to_lines(pieces, &count);
        ssize_t written = writer->fd >= 0 && end_broken_line(writer) ? write_pieces(writer, pieces, count) : -1;
        if (written < 0 && writer->fd >= 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return BLOCKED;
        if (written <= 0) {
            // Whoever reads a pipe next has not seen the beginning of a line.
            writer->broken = (writer->broken || writer->partial) && errno != EPIPE;
            writer->partial = false;
            lose(source);
            return WROTE;
        }
        writer->partial = !ends_a_line(pieces, (size_t)written);
        metric_add(&source->counters.written, lines_in(pieces, count, (size_t)written));
        line_ring_take(&source->ring, (size_t)written);
        progress = WROTE;
    }
    return progress;
}

static enum progress drain(struct line_writer *writer) {
    enum progress progress = NOTHING;
    for (uint32_t i = 0; i < writer->count; i++) {
        enum progress one = drain_one(writer, &writer->sources[writer->current]);
        if (one == BLOCKED)
            return BLOCKED;
        if (one == WROTE)
            progress = WROTE;
        writer->current = (writer->current + 1) % writer->count;
    }
    return progress;
}

static bool is_anything_waiting(const struct line_writer *writer) {
    for (uint32_t i = 0; i < writer->count; i++)
        if (line_ring_waiting(&writer->sources[i].ring) > 0)
            return true;
    return false;
}

// --- the thread ---

static void wait_for(struct line_writer *writer, bool file_too, int timeout_ms) {
    struct pollfd files[2] = {{.fd = writer->wake, .events = POLLIN}, {.fd = writer->fd, .events = POLLOUT}};
    uint64_t count;
    poll(files, file_too ? 2 : 1, timeout_ms);
    if ((files[0].revents & POLLIN) != 0 && read(writer->wake, &count, sizeof count) < 0)
        CHECK(errno == EAGAIN || errno == EINTR);
}

// While nothing can be written. One that is to end looks again when its patience is over.
static int blocked_for_ms(struct line_writer *writer) {
    if (!atomic_load(&writer->stopping))
        return BLOCKED_MS;
    const nanoseconds now = clock_monotonic_ns();
    const nanoseconds left = writer->patience_end > now ? writer->patience_end - now : 0;
    return left >= BLOCKED_MS * NS_PER_MS ? BLOCKED_MS : (int)(left / NS_PER_MS) + 1;
}

static void pause_after(struct line_writer *writer, enum progress progress) {
    if (progress == BLOCKED) {
        wait_for(writer, true, blocked_for_ms(writer)); // `signalled` stays: sources could change nothing
    } else if (progress == WROTE) {
        atomic_store(&writer->signalled, false);
        if (!is_anything_waiting(writer) || !atomic_load(&writer->stopping))
            wait_for(writer, false, NAP_MS);
    } else {
        atomic_store(&writer->asleep, true);
        atomic_store(&writer->signalled, false);
        if (!is_anything_waiting(writer) && !atomic_load(&writer->stopping))
            wait_for(writer, false, -1);
        atomic_store(&writer->asleep, false);
    }
}

static void *run(void *argument) {
    struct line_writer *writer = argument;
    for (;;) {
        bool last = atomic_load(&writer->stopping); // before looking: what was there then is to be written
        take_orders(writer);
        if (is_anything_waiting(writer))
            look_at_file(writer);
        enum progress progress = drain(writer);
        if (last && (progress != BLOCKED || clock_monotonic_ns() >= writer->patience_end))
            break;
        pause_after(writer, progress);
    }
    for (uint32_t i = 0; i < writer->count; i++)
        lose(&writer->sources[i]);
    if (writer->fd >= 0)
        close(writer->fd);
    return NULL;
}

// --- others' threads ---

static void wake(struct line_writer *writer) {
    const uint64_t one = 1;
    if (write(writer->wake, &one, sizeof one) < 0)
        CHECK(errno == EAGAIN);
}

struct line_writer *line_writer_create(uint32_t source_count, size_t ring_bytes, size_t line_max, const char *failed) {
    struct line_writer *writer = alloc_zeroed_or_abort(1, sizeof *writer + source_count * sizeof writer->sources[0]);
    writer->count = source_count;
    writer->fd = -1;
    writer->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK(writer->wake >= 0);
    pthread_mutex_init(&writer->lock, NULL);
    for (uint32_t i = 0; i < source_count; i++)
        line_ring_init(&writer->sources[i].ring, ring_bytes, line_max);
    writer->failed = failed;
    const int error = pthread_create(&writer->thread, NULL, run, writer);
    CHECK(error == 0);
    return writer;
}

void line_writer_open(struct line_writer *writer, const char *path) {
    char *copy = copy_text_or_abort(bytes_from_text(path));
    pthread_mutex_lock(&writer->lock);
    free(writer->wanted);
    writer->wanted = copy;
    pthread_mutex_unlock(&writer->lock);
    wake(writer);
}

void line_writer_reopen(struct line_writer *writer) {
    pthread_mutex_lock(&writer->lock);
    writer->anew = true;
    pthread_mutex_unlock(&writer->lock);
    wake(writer);
}

struct line_ring *line_writer_ring(struct line_writer *writer, uint32_t source) {
    CHECK(source < writer->count);
    return &writer->sources[source].ring;
}

void line_writer_publish(struct line_writer *writer, uint32_t source) {
    struct line_ring *ring = line_writer_ring(writer, source);
    bool half_full = line_ring_publish(ring) > ring->size / 2;
    if ((half_full || atomic_load(&writer->asleep)) && !atomic_exchange(&writer->signalled, true))
        wake(writer);
}

const struct line_counters *line_writer_counters(const struct line_writer *writer, uint32_t source) {
    CHECK(source < writer->count);
    return &writer->sources[source].counters;
}

void line_writer_destroy(struct line_writer *writer, nanoseconds patience) {
    writer->patience_end = clock_monotonic_ns() + patience;
    atomic_store(&writer->stopping, true);
    wake(writer);
    nanoseconds end = clock_wall_ns() + patience + JOIN_EXTRA_NS;
    struct timespec until = {.tv_sec = (time_t)(end / NS_PER_S), .tv_nsec = (long)(end % NS_PER_S)};
    if (pthread_timedjoin_np(writer->thread, NULL, &until) != 0)
        return; // it still uses all of this
    for (uint32_t i = 0; i < writer->count; i++)
        line_ring_dispose(&writer->sources[i].ring);
    pthread_mutex_destroy(&writer->lock);
    close(writer->wake);
    free(writer->wanted);
    free(writer->path);
    free(writer);
}
