// The backend of the benchmarks: an HTTP/1.1 keep-alive server on one epoll loop that spends as little processor time as it can, so that what
// is measured is the proxy before it. The path chooses the reply: /0, /1k, /64k, /1m give that many bytes, /v1/traces takes what is exported,
// /slow?MS gives 1 KiB after MS milliseconds. A request's body (Content-Length) is read and dropped, pipelined requests are answered in order.
// Used by bench/run.py, the soak and tests. It trusts its clients: no TLS, no chunked requests, no timeouts; what it cannot read ends the
// connection.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_PER_TURN 256
#define INPUT_BYTES 16384 // a request head must fit; bodies are dropped in pieces of this size
#define REPLIES_QUEUED 64 // pipelined replies that wait for one writev; further requests stay in the input

struct reply {
    const char *path;
    size_t body_bytes;
    struct iovec parts[2]; // head, body
};

struct client {
    int fd;
    bool wants_write;
    uint64_t due_ns; // /slow: the reply is held until then; 0 = nothing is held
    struct client *next_held;
    size_t body_left; // of the request that is being dropped
    size_t input_length;
    size_t queued, sent; // replies in `queue`, bytes of the first that are already out
    const struct reply *queue[REPLIES_QUEUED];
    char input[INPUT_BYTES + 1]; // ended by a NUL: numbers are read out of it
};

static struct reply replies[] = {{.path = "/1k", .body_bytes = 1024},
                                 {.path = "/0", .body_bytes = 0},
                                 {.path = "/64k", .body_bytes = 65536},
                                 {.path = "/1m", .body_bytes = 1048576},
                                 {.path = "/v1/traces", .body_bytes = 0}};

static int epoll_fd;
static struct client *held; // clients whose reply waits for its time, in no order: only tests use /slow

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void replies_build(void) {
    size_t body_max = 0;
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++)
        body_max = replies[i].body_bytes > body_max ? replies[i].body_bytes : body_max;
    char *body = malloc(body_max);
    if (body == NULL)
        die("malloc");
    for (size_t i = 0; i < body_max; i++)
        body[i] = (char)('a' + i % 26);
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        char *head = NULL;
        int length = asprintf(&head,
                              "HTTP/1.1 200 OK\r\nServer: backend\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Type: text/plain\r\n"
                              "Content-Length: %zu\r\n\r\n",
                              replies[i].body_bytes);
        if (length < 0)
            die("asprintf");
        replies[i].parts[0] = (struct iovec){.iov_base = head, .iov_len = (size_t)length};
        replies[i].parts[1] = (struct iovec){.iov_base = body, .iov_len = replies[i].body_bytes};
    }
}

static void client_close(struct client *client) {
    for (struct client **link = &held; *link != NULL; link = &(*link)->next_held) {
        if (*link == client) {
            *link = client->next_held;
            break;
        }
    }
    close(client->fd);
    free(client);
}

static void client_watch(struct client *client, bool wants_write) {
    if (client->wants_write == wants_write)
        return;
    client->wants_write = wants_write;
    struct epoll_event event = {.events = wants_write ? EPOLLOUT : EPOLLIN, .data.ptr = client};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, client->fd, &event) != 0)
        die("epoll_ctl");
}

// Puts what is left of the queued replies into `parts`; the first may have been sent in part.
static int queue_gather(const struct client *client, struct iovec *parts) {
    int count = 0;
    size_t skip = client->sent;
    for (size_t i = 0; i < client->queued; i++) {
        for (int p = 0; p < 2; p++) {
            const struct iovec *part = &client->queue[i]->parts[p];
            size_t skipped = skip < part->iov_len ? skip : part->iov_len;
            skip -= skipped;
            if (part->iov_len > skipped)
                parts[count++] = (struct iovec){.iov_base = (char *)part->iov_base + skipped, .iov_len = part->iov_len - skipped};
        }
    }
    return count;
}

static void queue_consume(struct client *client, size_t bytes) {
    client->sent += bytes;
    size_t done = 0;
    while (done < client->queued) {
        size_t whole = client->queue[done]->parts[0].iov_len + client->queue[done]->parts[1].iov_len;
        if (client->sent < whole)
            break;
        client->sent -= whole;
        done++;
    }
    client->queued -= done;
    memmove(client->queue, client->queue + done, client->queued * sizeof client->queue[0]);
}

// Sends what is queued. False: the connection is gone.
static bool client_flush(struct client *client) {
    while (client->queued > 0) {
        struct iovec parts[2 * REPLIES_QUEUED];
        int count = queue_gather(client, parts);
        ssize_t sent = writev(client->fd, parts, count);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno != EAGAIN)
            return false;
        if (sent < 0) {
            client_watch(client, true);
            return true;
        }
        queue_consume(client, (size_t)sent);
    }
    client_watch(client, false);
    return true;
}

static size_t content_length(const char *head, const char *end) {
    for (const char *line = memchr(head, '\n', (size_t)(end - head)); line != NULL && line + 1 < end;
         line = memchr(line + 1, '\n', (size_t)(end - line - 1))) {
        if (strncasecmp(line + 1, "content-length:", 15) == 0)
            return strtoull(line + 16, NULL, 10);
    }
    return 0;
}

static const struct reply *reply_for(const char *path, size_t length) {
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        if (strlen(replies[i].path) == length && memcmp(replies[i].path, path, length) == 0)
            return &replies[i];
    }
    return NULL;
}

// Answers the request whose head is head..end. False: it cannot be read, or asks for nothing that is here.
static bool request_answer(struct client *client, const char *head, const char *end) {
    const char *path = memchr(head, ' ', (size_t)(end - head));
    if (path == NULL)
        return false;
    path++;
    const char *path_end = memchr(path, ' ', (size_t)(end - path));
    if (path_end == NULL)
        return false;
    if (head[0] != 'G') // all methods but GET may carry a body
        client->body_left = content_length(head, end);
    const struct reply *reply = NULL;
    if (strncmp(path, "/slow?", 6) == 0) {
        reply = &replies[0];
        client->due_ns = now_ns() + strtoull(path + 6, NULL, 10) * 1000000;
        client->next_held = held;
        held = client;
    } else {
        reply = reply_for(path, (size_t)(path_end - path));
    }
    if (reply == NULL)
        return false;
    client->queue[client->queued++] = reply;
    return true;
}

// Reads requests out of the input until it is used up, a reply is held, or the queue is full. False: the connection is of no more use.
static bool client_parse(struct client *client) {
    size_t used = 0;
    while (client->due_ns == 0 && client->queued < REPLIES_QUEUED && used < client->input_length) {
        const char *head = client->input + used;
        size_t left = client->input_length - used;
        if (client->body_left > 0) {
            size_t dropped = left < client->body_left ? left : client->body_left;
            client->body_left -= dropped;
            used += dropped;
            continue;
        }
        const char *end = memmem(head, left, "\r\n\r\n", 4);
        if (end == NULL)
            break;
        if (!request_answer(client, head, end))
            return false;
        used += (size_t)(end - head) + 4;
    }
    client->input_length -= used;
    memmove(client->input, client->input + used, client->input_length);
    return client->input_length < INPUT_BYTES || client->queued > 0 || client->due_ns != 0;
}

// Parses, sends, and goes on while full queues leave requests in the input. False: close.
static bool client_serve(struct client *client) {
    size_t before;
    do {
        before = client->input_length;
        if (!client_parse(client))
            return false;
        // A reply to a request with a body waits for the body's end, as an application's would.
        if (client->due_ns != 0 || client->body_left > 0)
            return true;
        if (!client_flush(client))
            return false;
    } while (client->queued == 0 && client->input_length > 0 && client->input_length < before);
    return true;
}

static bool client_readable(struct client *client) {
    // What is only a body is thrown away inside the kernel, uncopied.
    bool discard = client->body_left > 0 && client->input_length == 0;
    ssize_t got = discard ? recv(client->fd, NULL, client->body_left, MSG_TRUNC)
                          : read(client->fd, client->input + client->input_length, INPUT_BYTES - client->input_length);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR;
    if (got == 0)
        return false;
    if (discard)
        client->body_left -= (size_t)got;
    else
        client->input_length += (size_t)got;
    client->input[client->input_length] = '\0';
    return client_serve(client);
}

static void accept_all(int listen_fd) {
    for (;;) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct client *client = malloc(sizeof *client);
        if (client == NULL)
            die("malloc");
        memset(client, 0, offsetof(struct client, input));
        client->fd = fd;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
            die("epoll_ctl");
    }
}

// Releases the held replies whose time has come; returns the milliseconds until the next, or -1.
static int held_release(void) {
    if (held == NULL)
        return -1;
    uint64_t now = now_ns();
    uint64_t next_ns = UINT64_MAX;
    struct client **link = &held;
    while (*link != NULL) {
        struct client *client = *link;
        if (client->due_ns > now) {
            next_ns = client->due_ns < next_ns ? client->due_ns : next_ns;
            link = &client->next_held;
            continue;
        }
        *link = client->next_held;
        client->due_ns = 0;
        if (!client_flush(client) || !client_serve(client)) {
            client_close(client);
            link = &held; // serving may have put it back in front: begin again
        } else if (client->due_ns != 0) {
            link = &held;
        }
    }
    return next_ns == UINT64_MAX ? -1 : (int)((next_ns - now) / 1000000 + 1);
}

static int listen_on(const char *port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(fd, 4096) != 0)
        die("listen");
    return fd;
}

static void serve_forever(int listen_fd) {
    struct epoll_event events[EVENTS_PER_TURN];
    struct epoll_event listening = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &listening) != 0)
        die("epoll_ctl");
    for (;;) {
        int count = epoll_wait(epoll_fd, events, EVENTS_PER_TURN, held_release());
        for (int i = 0; i < count; i++) {
            struct client *client = events[i].data.ptr;
            if (client == NULL) {
                accept_all(listen_fd);
                continue;
            }
            bool alive = true;
            if (events[i].events & EPOLLOUT)
                alive = client_flush(client) && (client->queued > 0 || client_serve(client));
            if (alive && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
                alive = client_readable(client);
            if (!alive)
                client_close(client);
        }
    }
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s PORT\n", argv[0]);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    replies_build();
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        die("epoll_create1");
    serve_forever(listen_on(argv[1]));
}
