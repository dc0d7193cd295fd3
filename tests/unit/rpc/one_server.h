// The server on a real loop and loopback sockets; clients are plain sockets driven by the test in the same thread.
#ifndef TESTS_UNIT_RPC_ONE_SERVER_H
#define TESTS_UNIT_RPC_ONE_SERVER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/limits.h"
#include "net/loop.h"
#include "net/tcp_listener.h"
#include "rpc/http_server.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_MAX (RPC_CONNECTIONS_MAX + 2)
#define TEXT_MAX (16 * 1024 * 1024)

static struct loop loop;
static struct rpc_server *server;
static int server_socket;
static union address address;
static int clients[CLIENTS_MAX];
static unsigned client_count;
static char *text; // what `receive` got

// How far the clock of this process is ahead of the machine's. Deadlines pass by moving it, for libuv as well: it asks by the same function.
static nanoseconds skew;

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    if (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE)
        time->tv_sec += (time_t)(skew / NS_PER_S);
    return result;
}

// What the handler saw.
static unsigned requests, cancelled, writables, ended;
static struct rpc_request *waiting;
static char seen[RPC_BODY_MAX + 1024];
static bool reply_at_once;
static size_t reply_size;

static inline void reply(struct rpc_request *request, uint16_t status) {
    struct buffer body;
    buffer_init(&body, &loop.blocks);
    for (size_t left = reply_size; left > 0;) {
        static const char piece[1000];
        size_t taken = left < sizeof(piece) ? left : sizeof(piece);
        buffer_append(&body, bytes_from(piece, taken));
        left -= taken;
    }
    if (reply_size == 0)
        buffer_append(&body, BYTES("hello\n"));
    rpc_reply_field(request, BYTES("X-Test"), BYTES("1"));
    rpc_reply(request, status, BYTES("text/plain"), &body);
    assert_true(buffer_is_empty(&body));
}

static inline void on_request(void *owner, struct rpc_request *request) {
    assert_ptr_equal(owner, &loop);
    requests++;
    waiting = request;
    assert_null(request->user);
    snprintf(seen, sizeof(seen), "%.*s %.*s?%.*s %.*s|%.*s", BYTES_FORMAT(method_text(request->method)), BYTES_FORMAT(request->path),
             BYTES_FORMAT(request->query), BYTES_FORMAT(request->authority), BYTES_FORMAT(request->body));
    if (reply_at_once)
        reply(request, 200);
}

static inline void on_cancelled(void *owner, struct rpc_request *request) {
    (void)owner;
    cancelled++;
    if (request == waiting)
        waiting = NULL;
}

static inline void on_writable(void *owner, struct rpc_request *request) {
    (void)owner;
    assert_ptr_equal(request, waiting);
    writables++;
}

static inline void on_ended(void *owner, struct rpc_request *request) {
    (void)owner;
    ended++;
    if (request == waiting)
        waiting = NULL;
}

static const struct rpc_handler handler = {.request = on_request, .cancelled = on_cancelled, .writable = on_writable, .ended = on_ended};

static inline int begin(void **state) {
    (void)state;
    char reason[256];
    socklen_t length = sizeof(address);
    struct sockaddr_in wanted = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    requests = cancelled = writables = ended = 0;
    waiting = NULL;
    reply_at_once = true;
    reply_size = 0;
    client_count = 0;
    text = malloc(TEXT_MAX);
    loop_init(&loop, NULL);
    assert_int_equal(tcp_listen((const struct sockaddr *)&wanted, sizeof(wanted), &server_socket, reason, sizeof(reason)), OK);
    assert_int_equal(getsockname(server_socket, &address.any, &length), 0);
    server = rpc_server_open(&loop, server_socket, &handler, &loop);
    return 0;
}

static inline int end(void **state) {
    (void)state;
    for (unsigned i = 0; i < client_count; i++)
        if (clients[i] >= 0)
            close(clients[i]);
    if (server != NULL)
        rpc_server_close(server);
    loop_dispose(&loop);
    free(text);
    return 0;
}

// `receive_buffer` 0: the system's choice.
static inline int connect_client_with(int receive_buffer) {
    int client = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(client >= 0);
    if (receive_buffer > 0)
        assert_int_equal(setsockopt(client, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer)), 0);
    assert_int_equal(connect(client, &address.any, sizeof(address.v4)), 0);
    clients[client_count++] = client;
    return client;
}

static inline int connect_client(void) {
    return connect_client_with(0);
}

static inline void close_client(int client) {
    for (unsigned i = 0; i < client_count; i++)
        if (clients[i] == client)
            clients[i] = -1;
    close(client);
}

static inline void turn(void) {
    uv_run(&loop.uv, UV_RUN_NOWAIT);
}

#define TURN_UNTIL(condition) \
    while (!(condition))      \
    turn()

static inline void send_text(int client, const char *request) {
    size_t length = strlen(request);
    while (length > 0) {
        ssize_t sent = send(client, request, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            request += sent;
            length -= (size_t)sent;
        }
        turn();
    }
}

// Reads until `expected` has come (NULL: until the end). Returns all that came, in `text`; NULL when the connection was reset.
static inline const char *receive(int client, const char *expected) {
    size_t length = 0;
    for (;;) {
        text[length] = '\0';
        if (expected != NULL && strstr(text, expected) != NULL)
            return text;
        turn();
        assert_true(length < TEXT_MAX - 1);
        ssize_t got = recv(client, text + length, TEXT_MAX - 1 - length, MSG_DONTWAIT);
        if (got > 0)
            length += (size_t)got;
        else if (got == 0 && expected == NULL)
            return text;
        else if (got < 0 && errno == ECONNRESET)
            return NULL;
        else
            assert_true(got < 0 && errno == EAGAIN);
    }
}

static inline void pass_time(nanoseconds duration) {
    skew += duration;
    for (int i = 0; i < 5; i++)
        turn();
}

static inline void starts_with(const char *actual, const char *expected) {
    assert_non_null(actual);
    assert_memory_equal(actual, expected, strlen(expected));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

#endif
