// See tcp_listener.h. One descriptor is kept in reserve: when the process has none left it is given up to accept and close the waiting
// connection, so that its client is told at once instead of hanging in the backlog while poll spins. Where the reserve itself cannot be had, the listener looks away for a moment.
#include "net/tcp_listener.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/metric_cell.h"
#include "net/descriptors.h"
#include "net/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 1024
#define LOOK_AWAY_NS (100 * NS_PER_MS)

struct tcp_listener {
    uv_poll_t poll;
    struct loop *loop;
    int fd;
    int reserve; // -1: there was none left for it
    struct timer look_again;
    uint32_t spare;              // descriptors that it does not take
    struct metric_cell *refused; // NULL: nobody counts
    void (*accepted)(void *user, int socket);
    void *user;
    struct tcp_listener_counters counters;
    struct task release;
    bool closing;
};

static int open_reserve(void) {
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void renew_reserve(struct tcp_listener *listener) {
    if (listener->reserve < 0)
        listener->reserve = open_reserve();
}

static void count_refused(struct tcp_listener *listener) {
    listener->counters.out_of_descriptors++;
    if (listener->refused != NULL)
        metric_add(listener->refused, 1);
    log_event(LOG_ERROR, "out_of_descriptors", "refused=%llu", (unsigned long long)listener->counters.out_of_descriptors);
}

// Polling would report the same connection again at once.
static void look_away(struct tcp_listener *listener) {
    uv_poll_stop(&listener->poll);
    loop_timer_start(listener->loop, &listener->look_again, LOOK_AWAY_NS);
}

static void refuse_one(struct tcp_listener *listener) {
    if (listener->reserve >= 0)
        close(listener->reserve);
    int socket = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
    if (socket >= 0) {
        close(socket);
        count_refused(listener);
    }
    listener->reserve = open_reserve();
    if (socket < 0)
        look_away(listener);
}

// `accepted` may close it.
static void take(struct tcp_listener *listener, int most) {
    for (int taken = 0; taken < most && uv_is_active((uv_handle_t *)&listener->poll); taken++) {
        int socket = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (socket >= 0 && listener->spare > 0 && !descriptor_leaves(socket, listener->spare)) {
            close(socket);
            count_refused(listener);
        } else if (socket >= 0) {
            listener->counters.accepted++;
            renew_reserve(listener);
            listener->accepted(listener->user, socket);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            refuse_one(listener);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

static void on_poll(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    struct tcp_listener *listener = poll->data;
    loop_enter(listener->loop);
    take(listener, LIMIT_ACCEPTS_PER_TURN);
}

void tcp_listener_take_waiting(struct tcp_listener *listener) {
    take(listener, BACKLOG + 1); // Linux lets one more wait
}

static void on_look_again(struct timer *timer) {
    struct tcp_listener *listener = CONTAINER_OF(timer, struct tcp_listener, look_again);
    renew_reserve(listener);
    uv_poll_start(&listener->poll, UV_READABLE, on_poll);
}

// Whether the file is left over from a process that is gone. Asked by a socket of another type: where one listens that is refused for its type, and whoever listens sees
// nothing of it.
static bool is_stale(const struct sockaddr *address, socklen_t length) {
    int probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool stale = probe >= 0 && connect(probe, address, length) != 0 && errno == ECONNREFUSED;
    if (probe >= 0)
        close(probe);
    return stale;
}

enum error tcp_listen(const struct sockaddr *address, socklen_t length, int *listening, char *reason, size_t reason_size) {
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const char *step = "socket";
    const char *path = address->sa_family == AF_UNIX ? ((const struct sockaddr_un *)(const void *)address)->sun_path : NULL;
    int on = 1;
    if (fd < 0)
        goto failed;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address->sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    struct stat status;
    if (path != NULL && lstat(path, &status) == 0 && S_ISSOCK(status.st_mode) && is_stale(address, length))
        unlink(path);
    step = "bind";
    mode_t old_mask = umask(path != NULL ? 0177 : 0077);
    int failed = bind(fd, address, length);
    umask(old_mask);
    if (failed != 0)
        goto failed;
    step = "listen";
    if (listen(fd, BACKLOG) != 0)
        goto failed;
    *listening = fd;
    return OK;

failed:
    snprintf(reason, reason_size, "%s: %s", step, strerror(errno));
    if (fd >= 0)
        close(fd);
    return ERROR_IO;
}

struct tcp_listener *tcp_listener_open(struct loop *loop, int socket, void (*accepted)(void *user, int socket), void *user) {
    struct tcp_listener *listener = alloc_zeroed_or_abort(1, sizeof *listener);
    listener->loop = loop;
    listener->fd = socket;
    listener->reserve = open_reserve();
    timer_init(&listener->look_again, on_look_again);
    listener->accepted = accepted;
    listener->user = user;
    int failed = uv_poll_init(&loop->uv, &listener->poll, socket);
    CHECK(failed == 0);
    listener->poll.data = listener;
    uv_poll_start(&listener->poll, UV_READABLE, on_poll);
    loop->handles++;
    return listener;
}

void tcp_listener_spare(struct tcp_listener *listener, uint32_t descriptors, struct metric_cell *refused) {
    listener->spare = descriptors;
    listener->refused = refused;
}

const struct tcp_listener_counters *tcp_listener_counters(const struct tcp_listener *listener) {
    return &listener->counters;
}

static void release(struct task *task) {
    struct tcp_listener *listener = CONTAINER_OF(task, struct tcp_listener, release);
    listener->loop->handles--;
    free(listener);
}

static void on_closed(uv_handle_t *handle) {
    struct tcp_listener *listener = handle->data;
    task_init(&listener->release, release);
    loop_defer(listener->loop, &listener->release);
}

void tcp_listener_close(struct tcp_listener *listener) {
    CHECK(!listener->closing);
    listener->closing = true;
    loop_timer_stop(listener->loop, &listener->look_again);
    uv_close((uv_handle_t *)&listener->poll, on_closed);
    close(listener->fd);
    if (listener->reserve >= 0)
        close(listener->reserve);
}
