// A socket, a request with `Connection: close`, and all that comes until the end. See admin_client.h.
#include "cli/admin_client.h"

#include "base/pool.h"
#include "config/value.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

// Longer than the proxy lets a page take.
#define PATIENCE_S 15

// A page is some MiB at most: services with many endpoints.
#define ANSWER_MAX ((size_t)64 << 20)

struct answering {
    char *text;
    size_t length, capacity;
};

static bool say(char *error, size_t size, const char *where, const char *what) {
    snprintf(error, size, "%s: %s", where, what);
    return false;
}

static int open_socket(const struct socket_address *address) {
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, (const void *)&address->storage, address->length) == 0)
        return fd;
    const int failure = errno;
    close(fd);
    errno = failure;
    return -1;
}

static bool send_all(int fd, const char *text, size_t length) {
    while (length > 0) {
        ssize_t sent = send(fd, text, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        text += sent;
        length -= (size_t)sent;
    }
    return true;
}

static bool make_room(struct answering *answering) {
    if (answering->length < answering->capacity)
        return true;
    if (answering->capacity >= ANSWER_MAX)
        return false;
    const size_t capacity = answering->capacity == 0 ? 65536 : answering->capacity * 2;
    char *larger = alloc_or_abort(capacity);
    if (answering->length > 0)
        memcpy(larger, answering->text, answering->length);
    free(answering->text);
    answering->text = larger;
    answering->capacity = capacity;
    return true;
}

static bool receive_all(int fd, struct answering *answering) {
    ssize_t received;
    do {
        if (!make_room(answering))
            return false;
        received = recv(fd, answering->text + answering->length, answering->capacity - answering->length, 0);
        if (received > 0)
            answering->length += (size_t)received;
    } while (received > 0 || (received < 0 && errno == EINTR));
    return received == 0;
}

// "HTTP/1.1 200 OK\r\n...\r\n\r\n" and what there is of the body. False: it is no such thing, or not yet.
static bool read_head(struct bytes text, unsigned *status, struct bytes *body) {
    static const struct bytes version = BYTES_OF("HTTP/1.1 ");
    uint64_t number;
    size_t at = 0;
    if (!bytes_starts_with(text, version) || text.len < version.len + 3 || !bytes_to_u64(bytes_from(text.at + version.len, 3), 599, &number))
        return false;
    while (at + 4 <= text.len && memcmp(text.at + at, "\r\n\r\n", 4) != 0)
        at++;
    if (at + 4 > text.len)
        return false;
    *status = (unsigned)number;
    *body = bytes_from(text.at + at + 4, text.len - at - 4);
    return true;
}

static bool read_answer(struct bytes text, struct admin_answer *answer) {
    struct bytes body;
    if (!read_head(text, &answer->status, &body))
        return false;
    answer->body = bytes_keep(body);
    return true;
}

static bool send_request(int fd, const char *target, const char *head) {
    return send_all(fd, "GET ", 4) && send_all(fd, target, strlen(target)) && send_all(fd, head, strlen(head));
}

static bool exchange(int fd, const char *target, struct admin_answer *answer) {
    struct answering answering = {0};
    const bool is_sent = send_request(fd, target, " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    const bool is_answered = is_sent && receive_all(fd, &answering) && read_answer(bytes_from(answering.text, answering.length), answer);
    free(answering.text);
    return is_answered;
}

// -1, and `error` says why.
static int connect_to(const char *where, char *error, size_t error_size) {
    struct socket_address address;
    if (!address_parse(bytes_from_text(where), ADDRESS_UNIX, &address)) {
        (void)say(error, error_size, where, "not an address: 127.0.0.1:15000, [::1]:15000 or unix:/path");
        return -1;
    }
    const int fd = open_socket(&address);
    if (fd < 0)
        (void)say(error, error_size, where, strerror(errno));
    return fd;
}

bool admin_get(const char *where, const char *target, struct admin_answer *answer, char *error, size_t error_size) {
    const int fd = connect_to(where, error, error_size);
    if (fd < 0)
        return false;
    const bool is_answered = exchange(fd, target, answer);
    close(fd);
    return is_answered || say(error, error_size, where, "no answer as an admin listener gives it");
}

// --- a page that goes on ---

enum following {
    FOLLOWING_ENDED, // so does each reply of another status
    FOLLOWING_STOPPED,
    FOLLOWING_BROKEN,
    FOLLOWING_OUTPUT_FAILED, // errno says why
};

static volatile sig_atomic_t is_stopped;
static int stop_signal;

static void on_stop(int number) {
    (void)number;
    is_stopped = 1;
}

// The signal is held but for while something is waited for: it interrupts nothing else. Returns what it was before.
static sigset_t hold_stop_signal(int number) {
    struct sigaction action = {.sa_handler = on_stop};
    sigset_t held, before;
    stop_signal = number;
    sigemptyset(&held);
    sigaddset(&held, number);
    sigprocmask(SIG_BLOCK, &held, &before);
    sigaction(number, &action, NULL);
    return before;
}

// The system delivers a held signal only where it has to wait: between a proxy that always has lines and a file that takes them it never does.
static bool has_been_stopped(void) {
    sigset_t pending;
    if (!is_stopped && sigpending(&pending) == 0 && sigismember(&pending, stop_signal) == 1)
        is_stopped = 1;
    return is_stopped;
}

// False: it was stopped.
static bool wait_for(int fd, short events, const sigset_t *before) {
    struct pollfd poll = {.fd = fd, .events = events};
    int ready;
    do
        ready = ppoll(&poll, 1, NULL, before);
    while (ready < 0 && errno == EINTR && !is_stopped);
    return ready > 0 && !has_been_stopped();
}

// What a pipe takes at once when it takes anything: the signal is waited for with the rest. False: it was stopped, or errno says what is wrong.
static bool put_out(int fd, const sigset_t *before, struct bytes piece) {
    while (piece.len > 0) {
        if (!wait_for(fd, POLLOUT, before))
            return false;
        const ssize_t written = write(fd, piece.at, piece.len < PIPE_BUF ? piece.len : PIPE_BUF);
        if (written < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        if (written > 0)
            piece = bytes_from(piece.at + written, piece.len - (size_t)written);
    }
    return true;
}

// Behind the head.
static enum following pass_on(int fd, const sigset_t *before, const struct admin_follower *follower, struct bytes first) {
    char piece[16384];
    for (struct bytes came = first;;) {
        if (!put_out(follower->output, before, came))
            return is_stopped ? FOLLOWING_STOPPED : FOLLOWING_OUTPUT_FAILED;
        follower->passed(follower->user, came);
        if (!wait_for(fd, POLLIN, before))
            return is_stopped ? FOLLOWING_STOPPED : FOLLOWING_BROKEN;
        const ssize_t received = recv(fd, piece, sizeof piece, 0);
        if (received <= 0)
            return received == 0 ? FOLLOWING_ENDED : FOLLOWING_BROKEN;
        came = bytes_from(piece, (size_t)received);
    }
}

// Until the head is complete, or the end of what there is.
static bool receive_head(int fd, const sigset_t *before, struct answering *answering, unsigned *status, struct bytes *body) {
    while (!read_head(bytes_from(answering->text, answering->length), status, body)) {
        if (!make_room(answering) || !wait_for(fd, POLLIN, before))
            return false;
        const ssize_t received = recv(fd, answering->text + answering->length, answering->capacity - answering->length, 0);
        if (received <= 0)
            return false;
        answering->length += (size_t)received;
    }
    return true;
}

// HTTP/1.0, since a body that ends with its connection needs no reading of chunks.
static enum following follow(int fd, const char *target, const struct admin_follower *follower, struct admin_answer *answer) {
    const sigset_t before = hold_stop_signal(follower->stop_signal);
    struct answering answering = {0};
    struct bytes body;
    enum following following = FOLLOWING_ENDED;
    if (!send_request(fd, target, " HTTP/1.0\r\nHost: localhost\r\n\r\n") || !receive_head(fd, &before, &answering, &answer->status, &body))
        following = is_stopped ? FOLLOWING_STOPPED : FOLLOWING_BROKEN;
    else if (answer->status == 200)
        following = pass_on(fd, &before, follower, body);
    else if (!receive_all(fd, &answering) || !read_answer(bytes_from(answering.text, answering.length), answer))
        following = FOLLOWING_BROKEN;
    free(answering.text);
    return following;
}

bool admin_follow(const char *where, const char *target, const struct admin_follower *follower, struct admin_answer *answer, bool *stopped,
                  char *error, size_t error_size) {
    *answer = (struct admin_answer){.status = 200};
    const int fd = connect_to(where, error, error_size);
    if (fd < 0)
        return false;
    const enum following following = follow(fd, target, follower, answer);
    const int failure = errno;
    close(fd);
    *stopped = following == FOLLOWING_STOPPED;
    if (following == FOLLOWING_OUTPUT_FAILED)
        return say(error, error_size, "output", strerror(failure));
    return following != FOLLOWING_BROKEN || say(error, error_size, where, "no answer as an admin listener gives it");
}
