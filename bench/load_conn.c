// The I/O of one connection of the load program, as load_conn.h says: connect, handshake, send, and a reader of responses that takes them in
// any pieces.
#include "bench/load_conn.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES 262144

uint64_t load_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void load_conn_init(struct load_conn *conn, struct load_target *target, const struct load_events *events) {
    memset(conn, 0, offsetof(struct load_conn, head));
    conn->target = target;
    conn->events = events;
    conn->state = LOAD_CLOSED;
    conn->fd = -1;
    conn->head_request = strncmp(target->request, "HEAD ", 5) == 0;
}

void load_conn_close(struct load_conn *conn) {
    if (conn->state == LOAD_CLOSED)
        return;
    if (conn->tls != NULL) {
        if (conn->state == LOAD_READY)
            SSL_shutdown(conn->tls); // says goodbye, does not wait for the answer
        ERR_clear_error();
        SSL_free(conn->tls);
        conn->tls = NULL;
    }
    close(conn->fd);
    conn->fd = -1;
    conn->state = LOAD_CLOSED;
}

static void conn_fail(struct load_conn *conn, const char *why) {
    load_conn_close(conn);
    conn->events->failed(conn, why, conn->events->owner);
}

static void conn_watch(struct load_conn *conn, bool wants_write) {
    if (conn->wants_write == wants_write)
        return;
    conn->wants_write = wants_write;
    struct epoll_event event = {.events = EPOLLIN | (wants_write ? EPOLLOUT : 0u), .data.ptr = conn};
    epoll_ctl(conn->target->epoll_fd, EPOLL_CTL_MOD, conn->fd, &event);
}

bool load_conn_resumed(const struct load_conn *conn) {
    return conn->tls != NULL && SSL_session_reused(conn->tls);
}

void load_conn_open(struct load_conn *conn) {
    struct load_target *target = conn->target;
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (conn->fd < 0) {
        perror("socket");
        exit(1);
    }
    int one = 1;
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    conn->state = LOAD_CONNECTING;
    conn->is_last = conn->sends_next = false;
    conn->body = LOAD_HEAD;
    conn->head_length = 0;
    conn->wants_write = true;
    // An error of connect shows as an event as well; there is one place for it.
    if (connect(conn->fd, (struct sockaddr *)&target->address, sizeof target->address) != 0 && errno != EINPROGRESS && errno != ECONNREFUSED) {
        perror("connect");
        exit(1);
    }
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = conn};
    epoll_ctl(target->epoll_fd, EPOLL_CTL_ADD, conn->fd, &event);
    if (target->tls == NULL)
        return;
    conn->tls = SSL_new(target->tls);
    if (conn->tls == NULL || SSL_set_fd(conn->tls, conn->fd) != 1) {
        fprintf(stderr, "SSL_new failed\n");
        exit(1);
    }
    if (target->server_name != NULL)
        SSL_set_tlsext_host_name(conn->tls, target->server_name);
    if (target->resume && target->session != NULL) {
        // A copy: OpenSSL lets a session of TLS 1.3 be offered once, and the server's next ticket may come after we have closed.
        SSL_SESSION *copy = SSL_SESSION_dup(target->session);
        SSL_set_session(conn->tls, copy);
        SSL_SESSION_free(copy);
    }
    SSL_set_connect_state(conn->tls);
}

// Bytes read or written, 0 when the socket has to be waited for, -1 at the end or an error.
static ssize_t tls_result(struct load_conn *conn, int result) {
    if (result > 0)
        return result;
    int error = SSL_get_error(conn->tls, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return 0;
    ERR_clear_error();
    return -1;
}

static ssize_t conn_read(struct load_conn *conn, char *bytes, size_t size) {
    if (conn->tls != NULL)
        return tls_result(conn, SSL_read(conn->tls, bytes, (int)size));
    ssize_t got = recv(conn->fd, bytes, size, 0);
    if (got > 0)
        return got;
    return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

static ssize_t conn_write(struct load_conn *conn, const char *bytes, size_t size) {
    if (conn->tls != NULL)
        return tls_result(conn, SSL_write(conn->tls, bytes, (int)size));
    ssize_t sent = send(conn->fd, bytes, size, MSG_NOSIGNAL);
    if (sent >= 0)
        return sent;
    return errno == EAGAIN || errno == EINTR ? 0 : -1;
}

// Sends what is left of the request. A peer that closed may still have answered: reading tells, so errors are left to it.
static void conn_flush(struct load_conn *conn) {
    const struct load_target *target = conn->target;
    while (conn->sent < target->request_length) {
        ssize_t sent = conn_write(conn, target->request + conn->sent, target->request_length - conn->sent);
        if (sent <= 0) {
            conn_watch(conn, sent == 0);
            return;
        }
        conn->sent += (size_t)sent;
    }
    conn_watch(conn, false);
}

void load_conn_send(struct load_conn *conn) {
    if (conn->is_last) {
        load_conn_close(conn);
        load_conn_open(conn);
        conn->sends_next = true;
        return;
    }
    conn->state = LOAD_AWAITING;
    conn->body = LOAD_HEAD;
    conn->head_length = 0;
    conn->sent = 0;
    conn_flush(conn);
}

static void conn_answered(struct load_conn *conn) {
    if (conn->sent < conn->target->request_length) {
        conn_fail(conn, "answered before the request was sent");
        return;
    }
    conn->state = LOAD_READY;
    conn->body = LOAD_HEAD;
    conn->events->answered(conn, conn->status, conn->events->owner);
}

static const char *header_value(const char *head, const char *end, const char *name) {
    size_t length = strlen(name);
    for (const char *line = memchr(head, '\n', (size_t)(end - head)); line != NULL && (size_t)(end - line) > length + 1;
         line = memchr(line + 1, '\n', (size_t)(end - line - 1))) {
        if (strncasecmp(line + 1, name, length) == 0)
            return line + 1 + length;
    }
    return NULL;
}

// Reads a response's head, head..end with its empty line. Returns NULL, or what is wrong with it.
static const char *head_parse(struct load_conn *conn, const char *head, const char *end) {
    if (end - head < 13 || strncmp(head, "HTTP/1.1 ", 9) != 0)
        return "not an HTTP/1.1 response";
    conn->status = atoi(head + 9);
    conn->body = LOAD_LENGTH;
    conn->body_left = 0;
    conn->is_last = header_value(head, end, "connection: close") != NULL;
    if (conn->status >= 100 && conn->status < 200) {
        conn->body = LOAD_HEAD;
        return NULL;
    }
    if (conn->head_request || conn->status == 204 || conn->status == 304)
        return NULL;
    const char *length = header_value(head, end, "content-length:");
    if (length != NULL) {
        conn->body_left = strtoull(length, NULL, 10);
        return NULL;
    }
    if (header_value(head, end, "transfer-encoding: chunked") == NULL)
        return "a response without length";
    conn->body = LOAD_CHUNK_SIZE;
    return NULL;
}

// Gives one whole line or head out of bytes that may come in pieces: *piece..*piece_end. Returns the bytes used up; *piece is NULL while more must come.
static size_t take_until(struct load_conn *conn, const char *bytes, size_t length, const char *mark, const char **piece, const char **piece_end) {
    size_t mark_length = strlen(mark);
    *piece = NULL;
    if (conn->head_length == 0) {
        const char *end = memmem(bytes, length, mark, mark_length);
        if (end != NULL) {
            *piece = bytes;
            *piece_end = end + mark_length;
            return (size_t)(*piece_end - bytes);
        }
    }
    size_t room = LOAD_HEAD_BYTES - conn->head_length;
    size_t taken = length < room ? length : room;
    size_t before = conn->head_length;
    memcpy(conn->head + before, bytes, taken);
    conn->head_length += taken;
    conn->head[conn->head_length] = '\0';
    const char *end = memmem(conn->head, conn->head_length, mark, mark_length);
    if (end == NULL)
        return taken;
    *piece = conn->head;
    *piece_end = end + mark_length;
    conn->head_length = 0;
    return (size_t)(*piece_end - conn->head) - before;
}

// One step over the bytes that came. Returns how many it used; *why is set when the response is wrong.
static size_t response_step(struct load_conn *conn, const char *bytes, size_t length, const char **why) {
    const char *piece, *end;
    size_t used;
    switch (conn->body) {
    case LOAD_HEAD:
        used = take_until(conn, bytes, length, "\r\n\r\n", &piece, &end);
        if (piece != NULL)
            *why = head_parse(conn, piece, end);
        else if (conn->head_length == LOAD_HEAD_BYTES)
            *why = "a head that is too long";
        return used;
    case LOAD_CHUNK_SIZE:
        used = take_until(conn, bytes, length, "\r\n", &piece, &end);
        if (piece != NULL) {
            conn->body_left = strtoull(piece, NULL, 16);
            conn->body = conn->body_left == 0 ? LOAD_TRAILERS : LOAD_CHUNK;
            conn->body_left += 2;
        } else if (conn->head_length == LOAD_HEAD_BYTES) {
            *why = "a chunk line that is too long";
        }
        return used;
    case LOAD_TRAILERS:
        used = take_until(conn, bytes, length, "\r\n", &piece, &end);
        if (piece != NULL && end - piece == 2) {
            conn->body = LOAD_LENGTH;
            conn->body_left = 0;
        } else if (conn->head_length == LOAD_HEAD_BYTES) {
            *why = "a trailer that is too long";
        }
        return used;
    case LOAD_LENGTH:
    case LOAD_CHUNK:
        used = length < conn->body_left ? length : conn->body_left;
        conn->body_left -= used;
        if (conn->body == LOAD_CHUNK && conn->body_left == 0)
            conn->body = LOAD_CHUNK_SIZE;
        return used;
    }
    return 0;
}

static void conn_readable(struct load_conn *conn) {
    static char bytes[READ_BYTES + 1]; // ended by a NUL: numbers are read out of it
    for (;;) {
        ssize_t got = conn_read(conn, bytes, READ_BYTES);
        if (got == 0)
            return;
        if (got < 0) {
            conn_fail(conn, "closed by the peer");
            return;
        }
        if (conn->state != LOAD_AWAITING) {
            conn_fail(conn, "bytes that nobody asked for");
            return;
        }
        bytes[got] = '\0';
        const char *why = NULL;
        size_t used = 0;
        while (used < (size_t)got && why == NULL && !(conn->body == LOAD_LENGTH && conn->body_left == 0))
            used += response_step(conn, bytes + used, (size_t)got - used, &why);
        bool complete = conn->body == LOAD_LENGTH && conn->body_left == 0;
        if (why == NULL && used < (size_t)got)
            why = "bytes after the response";
        if (why != NULL) {
            conn_fail(conn, why);
            return;
        }
        if (complete) {
            conn_answered(conn);
            return;
        }
        if (conn->tls == NULL && got < READ_BYTES)
            return;
    }
}

static void conn_up(struct load_conn *conn) {
    conn->state = LOAD_READY;
    conn_watch(conn, false);
    if (conn->sends_next)
        load_conn_send(conn);
    else
        conn->events->ready(conn, conn->events->owner);
}

static void conn_handshake(struct load_conn *conn) {
    int result = SSL_do_handshake(conn->tls);
    if (result == 1) {
        conn_up(conn);
        return;
    }
    int error = SSL_get_error(conn->tls, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        conn_watch(conn, error == SSL_ERROR_WANT_WRITE);
        return;
    }
    ERR_print_errors_fp(stderr);
    conn_fail(conn, "handshake failed");
}

static void conn_connected(struct load_conn *conn) {
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0 || error != 0) {
        conn_fail(conn, "connect failed");
        return;
    }
    if (conn->tls != NULL) {
        conn->state = LOAD_HANDSHAKE;
        conn_handshake(conn);
        return;
    }
    conn_up(conn);
}

void load_conn_on_poll(struct load_conn *conn, uint32_t polled) {
    switch (conn->state) {
    case LOAD_CLOSED:
        return;
    case LOAD_CONNECTING:
        conn_connected(conn);
        return;
    case LOAD_HANDSHAKE:
        conn_handshake(conn);
        return;
    case LOAD_READY:
    case LOAD_AWAITING:
        if (polled & EPOLLOUT)
            conn_flush(conn);
        if (polled & (EPOLLIN | EPOLLHUP | EPOLLERR))
            conn_readable(conn);
        return;
    }
}
