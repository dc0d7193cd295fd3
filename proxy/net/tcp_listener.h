// A listening socket on a loop: accepts and hands over the sockets; knows nothing of what is spoken on them.
//
// Owner: whoever opened it. Start: tcp_listener_open. Callbacks: `accepted`, any number of times, until close. Cancel: tcp_listener_close. Memory: frees itself
// on the closing list after close.
#ifndef NET_TCP_LISTENER_H
#define NET_TCP_LISTENER_H

#include "base/error.h"

#include <stdint.h>
#include <sys/socket.h>

struct loop;
struct metric_cell;
struct tcp_listener;

struct tcp_listener_counters {
    uint64_t accepted;
    uint64_t out_of_descriptors; // connections refused because the process has no descriptor left for them
};

// Binds and listens; "text" is for the message. The file of a Unix socket that nobody has open any more is removed first, one that is in
// use is not; the new one gets mode 0600. ERROR_IO with a text in `reason` on failure.
MUST_CHECK enum error tcp_listen(const struct sockaddr *address, socklen_t length, int *socket, char *reason, size_t reason_size);

// Takes over a listening, non-blocking socket. `accepted` owns each socket it gets.
struct tcp_listener *tcp_listener_open(struct loop *loop, int socket, void (*accepted)(void *user, int socket), void *user);

// Refuses those that would leave the process fewer descriptors than these, or than an eighth of all: else it takes the last one. See net/descriptors.h. `refused`
// counts what is refused for want of descriptors.
void tcp_listener_spare(struct tcp_listener *listener, uint32_t descriptors, struct metric_cell *refused);

const struct tcp_listener_counters *tcp_listener_counters(const struct tcp_listener *listener);

// Accepts at once all who wait, `accepted` within: for a socket that is closed next, since the kernel resets whoever is still in its backlog, with the request that came along. Where the process
// has no descriptor to spare they are closed, or stay where they are.
void tcp_listener_take_waiting(struct tcp_listener *listener);

void tcp_listener_close(struct tcp_listener *listener);

#endif
