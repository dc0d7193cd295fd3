// A socket, a request with `Connection: close`, and all that comes until the end. See admin_client.h.
#include "cli/admin_client.h"

#include "base/pool.h"
#include "config/value.h"

#include <errno.h>
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

// "HTTP/1.1 200 OK\r\n...\r\n\r\n" and the body. False: it is no such thing.
static bool read_answer(struct bytes text, struct admin_answer *answer) {
    static const struct bytes version = BYTES_OF("HTTP/1.1 ");
    uint64_t status;
    size_t at = 0;
    if (!bytes_starts_with(text, version) || text.len < version.len + 3 || !bytes_to_u64(bytes_from(text.at + version.len, 3), 599, &status))
        return false;
    while (at + 4 <= text.len && memcmp(text.at + at, "\r\n\r\n", 4) != 0)
        at++;
    if (at + 4 > text.len)
        return false;
    answer->status = (unsigned)status;
    answer->body = bytes_keep(bytes_from(text.at + at + 4, text.len - at - 4));
    return true;
}

static bool exchange(int fd, const char *target, struct admin_answer *answer) {
    static const char head[] = " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    struct answering answering = {0};
    const bool is_sent = send_all(fd, "GET ", 4) && send_all(fd, target, strlen(target)) && send_all(fd, head, sizeof head - 1);
    const bool is_answered = is_sent && receive_all(fd, &answering) && read_answer(bytes_from(answering.text, answering.length), answer);
    free(answering.text);
    return is_answered;
}

bool admin_get(const char *where, const char *target, struct admin_answer *answer, char *error, size_t error_size) {
    struct socket_address address;
    if (!address_parse(bytes_from_text(where), ADDRESS_UNIX, &address))
        return say(error, error_size, where, "not an address: 127.0.0.1:15000, [::1]:15000 or unix:/path");
    const int fd = open_socket(&address);
    if (fd < 0)
        return say(error, error_size, where, strerror(errno));
    const bool is_answered = exchange(fd, target, answer);
    close(fd);
    return is_answered || say(error, error_size, where, "no answer as an admin listener gives it");
}
