// The floor of the benchmarks: a relay that only moves bytes. One epoll loop, a connection to the backend for each one accepted, and one read
// and one write for whatever came, each way: what is left below any proxy. Used by bench/run.py as a column of its own. It reads no HTTP, holds
// no pool, and drops a pair of connections at the first sign of an end.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_PER_TURN 256
#define READ_BYTES 65536

struct side {
    int fd;
    struct side *other;
    struct pair *pair;
    char *unsent; // what the other side sent and this one did not take yet; while it is there the other side is not read
    size_t unsent_length;
};

struct pair {
    struct side sides[2];
    bool closed;
    struct pair *next_closed;
};

static int epoll_fd;
static struct sockaddr_in backend;
static struct pair *closed_pairs; // freed after the turn: its other side may still stand in the event list

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void pair_close(struct pair *pair) {
    if (pair->closed)
        return;
    pair->closed = true;
    close(pair->sides[0].fd);
    close(pair->sides[1].fd);
    pair->next_closed = closed_pairs;
    closed_pairs = pair;
}

static void closed_pairs_free(void) {
    while (closed_pairs != NULL) {
        struct pair *pair = closed_pairs;
        closed_pairs = pair->next_closed;
        free(pair->sides[0].unsent);
        free(pair->sides[1].unsent);
        free(pair);
    }
}

static void side_watch(struct side *side, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = side};
    if (epoll_ctl(epoll_fd, operation, side->fd, &event) != 0)
        die("epoll_ctl");
}

// A side is read while the other one has taken everything, and watched for room while it has not itself.
static void pair_rewatch(struct pair *pair) {
    for (int i = 0; i < 2; i++) {
        struct side *side = &pair->sides[i];
        side_watch(side, EPOLL_CTL_MOD, (side->other->unsent_length > 0 ? 0u : EPOLLIN) | (side->unsent_length > 0 ? EPOLLOUT : 0u));
    }
}

// Keeps what `to` did not take.
static void side_hold(struct side *to, const char *bytes, size_t length) {
    to->unsent = malloc(length);
    if (to->unsent == NULL)
        die("malloc");
    memcpy(to->unsent, bytes, length);
    to->unsent_length = length;
    pair_rewatch(to->pair);
}

static void side_readable(struct side *side) {
    static char bytes[READ_BYTES];
    if (side->other->unsent_length > 0)
        return;
    ssize_t got = read(side->fd, bytes, sizeof bytes);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        pair_close(side->pair);
        return;
    }
    ssize_t sent = write(side->other->fd, bytes, (size_t)got);
    if (sent < 0 && errno != EAGAIN) {
        pair_close(side->pair);
        return;
    }
    size_t taken = sent < 0 ? 0 : (size_t)sent;
    if (taken < (size_t)got)
        side_hold(side->other, bytes + taken, (size_t)got - taken);
}

static void side_writable(struct side *side) {
    ssize_t sent = write(side->fd, side->unsent, side->unsent_length);
    if (sent < 0) {
        if (errno != EAGAIN)
            pair_close(side->pair);
        return;
    }
    side->unsent_length -= (size_t)sent;
    memmove(side->unsent, side->unsent + sent, side->unsent_length);
    if (side->unsent_length > 0)
        return;
    free(side->unsent);
    side->unsent = NULL;
    pair_rewatch(side->pair);
}

static void pair_open(int fd) {
    struct pair *pair = calloc(1, sizeof *pair);
    if (pair == NULL)
        die("calloc");
    int upstream = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    // Loopback connects at once or not at all, so the connect may block.
    if (upstream < 0 || connect(upstream, (struct sockaddr *)&backend, sizeof backend) != 0)
        die("connect");
    fcntl(upstream, F_SETFL, O_NONBLOCK);
    int fds[2] = {fd, upstream};
    for (int i = 0; i < 2; i++) {
        int one = 1;
        setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        pair->sides[i] = (struct side){.fd = fds[i], .other = &pair->sides[1 - i], .pair = pair};
        side_watch(&pair->sides[i], EPOLL_CTL_ADD, EPOLLIN);
    }
}

static void serve_forever(int listen_fd) {
    struct epoll_event events[EVENTS_PER_TURN];
    struct epoll_event listening = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &listening) != 0)
        die("epoll_ctl");
    for (;;) {
        int count = epoll_wait(epoll_fd, events, EVENTS_PER_TURN, -1);
        for (int i = 0; i < count; i++) {
            struct side *side = events[i].data.ptr;
            if (side == NULL) {
                for (int fd; (fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;)
                    pair_open(fd);
                continue;
            }
            if (!side->pair->closed && (events[i].events & EPOLLOUT) && side->unsent_length > 0)
                side_writable(side);
            if (!side->pair->closed && (events[i].events & EPOLLIN))
                side_readable(side);
            else if (!side->pair->closed && (events[i].events & (EPOLLHUP | EPOLLERR)))
                pair_close(side->pair);
        }
        closed_pairs_free();
    }
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: %s PORT BACKEND-PORT\n", argv[0]);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)atoi(argv[1]))};
    backend = address;
    backend.sin_port = htons((uint16_t)atoi(argv[2]));
    int one = 1;
    int listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listen_fd < 0 || setsockopt(listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(listen_fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(listen_fd, 4096) != 0)
        die("listen");
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        die("epoll_create1");
    serve_forever(listen_fd);
}
