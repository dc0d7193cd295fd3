// What the tests on real sockets share: a loop that is run until something has happened, plain sockets for the far end, a user of a transport that records.
#ifndef TESTS_NET_SOCKET_DRIVE_H
#define TESTS_NET_SOCKET_DRIVE_H

#include "base/check.h"
#include "net/loop.h"
#include "net/tcp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

// A test that waits for something that never comes shall fail, not hang.
#define PATIENCE_NS (20 * NS_PER_S)

// Runs the loop until `condition` holds.
#define RUN_UNTIL(loop, condition)                                 \
    do {                                                           \
        nanoseconds given_up = clock_monotonic_ns() + PATIENCE_NS; \
        while (!(condition)) {                                     \
            uv_run(&(loop)->uv, UV_RUN_NOWAIT);                    \
            if (clock_monotonic_ns() > given_up)                   \
                fail_msg("never came: %s", #condition);            \
        }                                                          \
    } while (0)

// Lets everything happen that the kernel has ready: for what must not come.
static inline void run_idle(struct loop *loop) {
    for (int i = 0; i < 50; i++)
        uv_run(&loop->uv, UV_RUN_NOWAIT);
}

struct user {
    struct transport *transport;
    unsigned ready, pieces, ended, drained, closed;
    enum error ready_error;
    enum error ended_error[2];
    char *text;
    size_t length;
    bool inside_call; // no callback may come from within a call of ours
    bool close_in_bytes;
    bool stop_in_bytes;
};

static inline void user_on_ready(void *given, enum error error) {
    struct user *user = given;
    CHECK(!user->inside_call);
    user->ready++;
    user->ready_error = error;
}

static inline void user_on_bytes(void *given, struct block *block, struct bytes in) {
    struct user *user = given;
    CHECK(!user->inside_call && user->closed == 0 && in.len > 0);
    CHECK(in.at >= block->bytes && in.at + in.len == block->bytes + block->filled);
    user->pieces++;
    user->text = realloc(user->text, user->length + in.len);
    memcpy(user->text + user->length, in.at, in.len);
    user->length += in.len;
    if (user->stop_in_bytes)
        user->transport->ops->read_stop(user->transport);
    if (user->close_in_bytes)
        user->transport->ops->close(user->transport, false);
}

static inline void user_on_ended(void *given, enum error error) {
    struct user *user = given;
    CHECK(!user->inside_call && user->ended < 2);
    user->ended_error[user->ended++] = error;
}

static inline void user_on_drained(void *given) {
    struct user *user = given;
    CHECK(!user->inside_call);
    user->drained++;
}

static inline void user_on_closed(void *given) {
    struct user *user = given;
    CHECK(!user->inside_call);
    user->closed++;
    user->transport = NULL;
}

static const struct transport_handler user_handler = {
    .ready = user_on_ready,
    .bytes = user_on_bytes,
    .ended = user_on_ended,
    .drained = user_on_drained,
    .closed = user_on_closed,
};

static inline void user_flush(struct user *user) {
    user->inside_call = true;
    user->transport->ops->flush(user->transport);
    user->inside_call = false;
}

static inline void user_send(struct user *user, const char *text) {
    buffer_append(&user->transport->out, bytes_from_text(text));
    user_flush(user);
}

static inline void user_close(struct loop *loop, struct user *user, bool reset) {
    user->inside_call = true;
    user->transport->ops->close(user->transport, reset);
    user->inside_call = false;
    RUN_UNTIL(loop, user->closed == 1);
    run_idle(loop);
    free(user->text);
    user->text = NULL;
}

static inline bool user_has(const struct user *user, const char *text) {
    return user->length == strlen(text) && memcmp(user->text, text, user->length) == 0;
}

// A listening socket on a free port of the loopback; *address is where.
static inline int listen_anywhere(struct sockaddr_in *address, int backlog) {
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof *address;
    CHECK(listening >= 0 && bind(listening, (struct sockaddr *)address, length) == 0 && listen(listening, backlog) == 0);
    CHECK(getsockname(listening, (struct sockaddr *)address, &length) == 0);
    return listening;
}

static inline int connect_to(const struct sockaddr_in *address) {
    int connected = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connected >= 0 && connect(connected, (const struct sockaddr *)address, sizeof *address) == 0);
    return connected;
}

// Two connected sockets: the first for the code under test (non-blocking), the second for the test.
static inline void connected_pair(int pair[2]) {
    struct sockaddr_in address;
    int listening = listen_anywhere(&address, 8);
    pair[1] = connect_to(&address);
    pair[0] = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    CHECK(pair[0] >= 0);
    close(listening);
}

// Closes with a reset.
static inline void close_hard(int connected) {
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(connected, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(connected);
}

static inline void send_text(int connected, const char *text) {
    ssize_t sent = send(connected, text, strlen(text), MSG_NOSIGNAL);
    CHECK(sent == (ssize_t)strlen(text));
}

// What is there now, without waiting: the length, 0 at the end, -1 with errno.
static inline ssize_t receive_now(int connected, char *text, size_t size) {
    return recv(connected, text, size, MSG_DONTWAIT);
}

#endif
