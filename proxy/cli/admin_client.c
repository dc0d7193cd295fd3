// A socket, a request with `Connection: close`, and all that comes until the end. See admin_client.h.
#include "cli/admin_client.h"

#include "base/pool.h"
#include "config/value.h"

#include <errno.h>
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

static volatile sig_atomic_t is_stopped;

static void on_stop(int number) {
    (void)number;
    is_stopped = 1;
}

// The signal is held but for while it is waited for bytes: it interrupts nothing else. Returns what it was before.
static sigset_t hold_stop_signal(int number) {
    struct sigaction action = {.sa_handler = on_stop};
    sigset_t held, before;
    sigemptyset(&held);
    sigaddset(&held, number);
    sigprocmask(SIG_BLOCK, &held, &before);
    sigaction(number, &action, NULL);
    return before;
}

static bool may_read(int fd, const sigset_t *before) {
    struct pollfd poll = {.fd = fd, .events = POLLIN};
    int ready;
    do
        ready = ppoll(&poll, 1, NULL, before);
    while (ready < 0 && errno == EINTR && !is_stopped);
    return ready > 0;
}

// Behind the head. False: the connection broke.
static bool pass_on(int fd, const sigset_t *before, const struct admin_follower *follower, struct bytes first) {
    char piece[16384];
    ssize_t received = 1;
    if (first.len > 0 && !follower->take(follower->user, first))
        is_stopped = 1;
    while (received > 0 && !is_stopped && may_read(fd, before)) {
        received = recv(fd, piece, sizeof piece, 0);
        if (received > 0 && !follower->take(follower->user, bytes_from(piece, (size_t)received)))
            is_stopped = 1;
    }
    return received >= 0;
}

// Until the head is complete, or the end of what there is.
static bool receive_head(int fd, const sigset_t *before, struct answering *answering, unsigned *status, struct bytes *body) {
    while (!read_head(bytes_from(answering->text, answering->length), status, body)) {
        if (!make_room(answering) || !may_read(fd, before))
            return false;
        const ssize_t received = recv(fd, answering->text + answering->length, answering->capacity - answering->length, 0);
        if (received <= 0)
            return false;
        answering->length += (size_t)received;
    }
    return true;
}

// HTTP/1.0, since a body that ends with its connection needs no reading of chunks.
static bool follow(int fd, const char *target, const struct admin_follower *follower, struct admin_answer *answer) {
    const sigset_t before = hold_stop_signal(follower->stop_signal);
    struct answering answering = {0};
    struct bytes body;
    bool is_answered =
        send_request(fd, target, " HTTP/1.0\r\nHost: localhost\r\n\r\n") && receive_head(fd, &before, &answering, &answer->status, &body);
    if (is_answered && answer->status == 200)
        is_answered = pass_on(fd, &before, follower, body);
    else if (is_answered)
        is_answered = receive_all(fd, &answering) && read_answer(bytes_from(answering.text, answering.length), answer);
    free(answering.text);
    return is_answered || is_stopped;
}

bool admin_follow(const char *where, const char *target, const struct admin_follower *follower, struct admin_answer *answer, bool *stopped,
                  char *error, size_t error_size) {
    *answer = (struct admin_answer){.status = 200};
    const int fd = connect_to(where, error, error_size);
    if (fd < 0)
        return false;
    const bool is_answered = follow(fd, target, follower, answer);
    close(fd);
    *stopped = is_stopped != 0;
    return is_answered || say(error, error_size, where, "no answer as an admin listener gives it");
}
