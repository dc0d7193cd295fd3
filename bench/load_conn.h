// One client connection of the load program: plain or TLS with a client certificate, one HTTP/1.1 request at a time. It connects, sends the
// target's fixed request, reads the answer (Content-Length or chunked) and drops the body. load_run decides when; this does the I/O.
// Owner: the caller's array. Started by load_conn_open; then `events` are called from load_conn_on_poll and load_conn_send: ready once
// per open, answered once per request sent, failed at most once per open, after which the connection is closed. Any callback may send, open or
// close the connection. No timers, no pipelining.
#ifndef BENCH_LOAD_CONN_H
#define BENCH_LOAD_CONN_H

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOAD_HEAD_BYTES 4096 // of a response; a longer one is a failure

struct load_target {
    struct sockaddr_in address;
    const char *request; // head and body
    size_t request_length;
    SSL_CTX *tls; // NULL: plain
    const char *server_name;
    bool resume;          // offer the last session that the server gave
    SSL_SESSION *session; // owned
    int epoll_fd;
};

struct load_conn;

struct load_events {
    void (*ready)(struct load_conn *conn, void *owner);
    void (*answered)(struct load_conn *conn, int status, void *owner);
    void (*failed)(struct load_conn *conn, const char *why, void *owner);
    void *owner;
};

enum load_state {
    LOAD_CLOSED,
    LOAD_CONNECTING,
    LOAD_HANDSHAKE,
    LOAD_READY,   // no request in flight
    LOAD_AWAITING // a request was sent, wholly or in part
};

enum load_body {
    LOAD_HEAD,   // the head is still being read
    LOAD_LENGTH, // body_left bytes
    LOAD_CHUNK,  // body_left bytes of a chunk and its line end
    LOAD_CHUNK_SIZE,
    LOAD_TRAILERS // until an empty line
};

struct load_conn {
    struct load_target *target;
    const struct load_events *events;
    enum load_state state;
    enum load_body body;
    int fd;
    SSL *tls;
    bool wants_write;
    bool head_request; // the answer to HEAD has no body
    bool is_last;      // the answer says that the server closes: the next request opens the connection anew
    bool sends_next;   // as soon as it is up
    size_t sent;
    size_t body_left;
    size_t head_length; // bytes of a line or head that came only in part
    int status;
    uint64_t started_ns; // the caller's: when the request, or the connection, was meant to begin
    uint64_t requests;   // the caller's
    char head[LOAD_HEAD_BYTES + 1];
};

uint64_t load_now_ns(void);

void load_conn_init(struct load_conn *conn, struct load_target *target, const struct load_events *events);
void load_conn_open(struct load_conn *conn);
void load_conn_send(struct load_conn *conn);
void load_conn_close(struct load_conn *conn);
bool load_conn_resumed(const struct load_conn *conn);

// What epoll said of the connection (its data.ptr is the connection).
void load_conn_on_poll(struct load_conn *conn, uint32_t polled);

#endif
