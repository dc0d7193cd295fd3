// Both ends of a hand-over: see handover.h. One message with all sockets, one word back.
#include "app/handover.h"

#include "base/check.h"
#include "base/log.h"
#include "base/pool.h"
#include "net/tcp_listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define GREETING "outrigger 1 sockets\n"
#define REFUSAL "outrigger 1 refused\n"
#define READY "ready\n"

// A greeting, and then a line per socket: empty, or its name. Those at the end that would be empty are left out.
#define MESSAGE_MAX (sizeof GREETING + HANDOVER_SOCKETS_MAX * (HANDOVER_NAME_MAX + 1))

// For the old process to answer: it does so within a turn of its loop.
#define PATIENCE_S 10

// Room for the descriptors of one message, aligned.
union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int) * HANDOVER_SOCKETS_MAX)];
};

struct handover {
    struct loop *loop;
    struct tcp_listener *listener;
    uv_poll_t poll; // the connection of a new process
    int connection; // -1: none
    struct handover_peer peer;
    bool poll_open; // its handle is not closed yet
    struct timer patience;
    const struct handover_owner *callbacks;
    void *owner;
    bool closing;
    struct task release;
};

// --- the old process ---

static void release(struct task *task) {
    struct handover *handover = CONTAINER_OF(task, struct handover, release);
    handover->loop->handles--;
    free(handover);
}

static void on_poll_closed(uv_handle_t *handle) {
    struct handover *handover = handle->data;
    close(handover->connection);
    handover->connection = -1;
    handover->poll_open = false;
    if (handover->closing)
        loop_defer(handover->loop, &handover->release);
}

static void hang_up(struct handover *handover) {
    loop_timer_stop(handover->loop, &handover->patience);
    if (handover->connection >= 0 && !uv_is_closing((uv_handle_t *)&handover->poll))
        uv_close((uv_handle_t *)&handover->poll, on_poll_closed);
}

static void note(const struct handover *handover, enum handover_step step) {
    handover->callbacks->noted(handover->owner, step, handover->peer);
}

static void on_patience(struct timer *timer) {
    struct handover *handover = CONTAINER_OF(timer, struct handover, patience);
    note(handover, HANDOVER_FAILED);
    log_event(LOG_ERROR, "upgrade_failed", "reason=\"the new process was not ready in time; this one goes on\"");
    (void)send(handover->connection, REFUSAL, sizeof REFUSAL - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    hang_up(handover);
}

static void on_word(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    struct handover *handover = poll->data;
    char word[sizeof READY];
    loop_enter(handover->loop);
    ssize_t length = recv(handover->connection, word, sizeof word, MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    hang_up(handover);
    const bool is_ready = length == (ssize_t)sizeof READY - 1 && memcmp(word, READY, sizeof READY - 1) == 0;
    note(handover, is_ready ? HANDOVER_SUCCEEDED : HANDOVER_FAILED);
    if (is_ready)
        handover->callbacks->taken(handover->owner);
    else
        log_event(LOG_ERROR, "upgrade_failed", "reason=\"the new process ended before it was ready; this one goes on\"");
}

static bool is_ours(int connection, struct handover_peer *who) {
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t size = sizeof peer;
    const bool is_known = getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
    *who = (struct handover_peer){.uid = peer.uid, .pid = (uint32_t)peer.pid};
    return is_known && (peer.uid == geteuid() || peer.uid == 0);
}

static size_t write_names(char text[MESSAGE_MAX], const struct listening *sockets, uint32_t count) {
    size_t length = sizeof GREETING - 1, used = length;
    memcpy(text, GREETING, length);
    for (uint32_t i = 0; i < count; i++) {
        const struct bytes name = sockets[i].name;
        CHECK(name.len <= HANDOVER_NAME_MAX);
        if (name.len > 0)
            memcpy(text + length, name.at, name.len);
        length += name.len;
        text[length++] = '\n';
        used = name.len > 0 ? length : used;
    }
    return used;
}

static bool send_sockets(int connection, const struct listening *sockets, uint32_t count) {
    union control control = {0};
    char bytes[MESSAGE_MAX];
    struct iovec text = {.iov_base = bytes, .iov_len = write_names(bytes, sockets, count)};
    struct msghdr message = {.msg_iov = &text, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(sizeof(int) * count)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int) * count)};
    for (uint32_t i = 0; i < count; i++)
        memcpy(CMSG_DATA(header) + i * sizeof(int), &sockets[i].socket, sizeof(int));
    return sendmsg(connection, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)text.iov_len;
}

static void on_asked(void *user, int connection) {
    struct handover *handover = user;
    struct listening sockets[HANDOVER_SOCKETS_MAX];
    struct handover_peer peer;
    const bool may_ask = is_ours(connection, &peer);
    uint32_t count = handover->connection < 0 && may_ask ? handover->callbacks->sockets(handover->owner, sockets) : 0;
    if (count == 0 || !send_sockets(connection, sockets, count)) {
        log_event(LOG_WARN, "upgrade_refused", "uid=%u pid=%u reason=\"not now, or not by this user\"", peer.uid, peer.pid);
        handover->callbacks->noted(handover->owner, HANDOVER_KEPT, peer);
        (void)send(connection, REFUSAL, sizeof REFUSAL - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        close(connection);
        return;
    }
    log_event(LOG_INFO, "upgrade_begun", "sockets=%u uid=%u pid=%u", count, peer.uid, peer.pid);
    handover->connection = connection;
    handover->peer = peer;
    note(handover, HANDOVER_BEGUN);
    handover->poll_open = true;
    int failed = uv_poll_init(&handover->loop->uv, &handover->poll, connection);
    CHECK(failed == 0);
    handover->poll.data = handover;
    uv_poll_start(&handover->poll, UV_READABLE | UV_DISCONNECT, on_word);
    loop_timer_start(handover->loop, &handover->patience, HANDOVER_PATIENCE_NS);
}

struct handover *handover_open(struct loop *loop, int socket, const struct handover_owner *callbacks, void *owner) {
    struct handover *handover = alloc_zeroed_or_abort(1, sizeof *handover);
    *handover = (struct handover){.loop = loop, .connection = -1, .callbacks = callbacks, .owner = owner};
    task_init(&handover->release, release);
    timer_init(&handover->patience, on_patience);
    handover->listener = tcp_listener_open(loop, socket, on_asked, handover);
    loop->handles++;
    return handover;
}

void handover_close(struct handover *handover) {
    CHECK(!handover->closing);
    handover->closing = true;
    tcp_listener_close(handover->listener);
    hang_up(handover);
    if (!handover->poll_open)
        loop_defer(handover->loop, &handover->release);
}

// --- the new process ---

static struct bytes next_line(struct bytes *rest) {
    const size_t end = bytes_find(*rest, '\n');
    const struct bytes line = bytes_from(rest->at, end);
    *rest = end < rest->len ? bytes_from(rest->at + end + 1, rest->len - end - 1) : BYTES_NONE;
    return line;
}

static bool receive_sockets(int connection, struct inherited *inherited) {
    union control control;
    char text[MESSAGE_MAX];
    struct iovec piece = {.iov_base = text, .iov_len = sizeof text};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t length = recvmsg(connection, &message, MSG_CMSG_CLOEXEC);
    if (length < 0)
        return false;
    struct bytes names = bytes_from(text, (size_t)length);
    const bool is_greeting = bytes_starts_with(names, BYTES(GREETING));
    names = is_greeting ? bytes_from(text + sizeof GREETING - 1, (size_t)length - (sizeof GREETING - 1)) : BYTES_NONE;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header != NULL; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = 0; at < (header->cmsg_len - CMSG_LEN(0)) / sizeof(int); at++) {
            int socket;
            memcpy(&socket, CMSG_DATA(header) + at * sizeof socket, sizeof socket);
            inherited_add(inherited, socket, next_line(&names));
        }
    }
    errno = EPROTO; // a refusal, or something else than a proxy
    return is_greeting;
}

int handover_ask(const char *path, struct inherited *inherited) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = PATIENCE_S};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection < 0)
        return HANDOVER_REFUSED;
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(connection, (const struct sockaddr *)&address, sizeof address) != 0) {
        bool nobody = errno == ENOENT || errno == ECONNREFUSED;
        log_event(nobody ? LOG_WARN : LOG_ERROR, "upgrade_alone", "path=\"%s\" reason=\"%s\"", path, strerror(errno));
        close(connection);
        return nobody ? HANDOVER_NOBODY : HANDOVER_REFUSED;
    }
    if (receive_sockets(connection, inherited))
        return connection;
    log_event(LOG_ERROR, "upgrade_refused", "path=\"%s\" reason=\"%s\"", path,
              errno == EPROTO ? "the old process does not hand over" : strerror(errno));
    close(connection);
    return HANDOVER_REFUSED;
}

bool handover_finish(int connection) {
    char word;
    const bool refused = recv(connection, &word, sizeof word, MSG_DONTWAIT) > 0; // it says nothing else
    if (refused)
        log_event(LOG_ERROR, "upgrade_refused", "reason=\"not ready in time: the old process goes on\"");
    else if (send(connection, READY, sizeof READY - 1, MSG_NOSIGNAL) < 0)
        log_event(LOG_WARN, "upgrade_alone", "reason=\"the old process has ended: %s\"", strerror(errno));
    close(connection);
    return !refused;
}
