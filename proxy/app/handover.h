// A newer process takes the place of this one: its listening sockets go over a Unix socket, and this one drains. No connection is refused or lost on the way: the queue
// of connections that wait to be accepted belongs to the socket, not to a process.
//
//   new                                          old
//   reads its documents, connects        ──►     looks who it is (the same user, or root)
//   takes the sockets                    ◄──     sends them all in one message, with the names of those that are not where the documents say; goes on serving
//   opens what is new, loads its identity
//   accepts, says "ready"                ──►     stops accepting, drains, ends
//
// A new process that ends before it was ready changes nothing: the old one serves on, and logs it. One that says nothing at all is hung up on after HANDOVER_PATIENCE_NS, with a word by which it knows, should
// it come to be ready after all, that it is not to go on. The new one is started by whoever starts proxies, not by the old
// one: that may not run programs once it is hardened, the new one may have another user's view of files (a container of the same pod, a new version of a unit), and no
// supervisor loses sight of its child.
#ifndef APP_HANDOVER_H
#define APP_HANDOVER_H

#include "app/inherited.h"
#include "net/loop.h"

#define HANDOVER_SOCKETS_MAX 96

// For a new process to be ready. It gives up by itself after 30 s (upgrade.c); what holds the connection for longer is none, and keeps others from taking its place.
#define HANDOVER_PATIENCE_NS (40 * NS_PER_S)

// A longer name than listeners have.
#define HANDOVER_NAME_MAX 127

// --- the old process ---

struct handover;

// What became of it that a process asked for the sockets.
enum handover_step {
    HANDOVER_BEGUN,    // it was given them
    HANDOVER_KEPT,     // it was not: not this user, or not now
    HANDOVER_FAILED,   // it had them, and did not come to be ready
    HANDOVER_SUCCEEDED // it has taken over; `taken` comes behind it
};

// Who asks, as the kernel says.
struct handover_peer {
    uint32_t uid, pid;
};

struct handover_owner {
    // Fills in the listening sockets of the process; returns how many. 0: it gives none away now (it is draining).
    uint32_t (*sockets)(void *owner, struct listening sockets[HANDOVER_SOCKETS_MAX]);
    // The new process has taken over: drain and end.
    void (*taken)(void *owner);
    // For whoever keeps an audit log.
    void (*noted)(void *owner, enum handover_step step, struct handover_peer peer);
};

// Takes over the listening socket. On the main thread's loop.
struct handover *handover_open(struct loop *loop, int socket, const struct handover_owner *callbacks, void *owner);
void handover_close(struct handover *handover);

// --- the new process, before its loop runs ---

#define HANDOVER_NOBODY (-1)
#define HANDOVER_REFUSED (-2)

// Asks the process behind `path` for its sockets. Returns the connection that handover_finish or its end completes; HANDOVER_NOBODY: nobody listens there;
// HANDOVER_REFUSED: it refuses, or something failed. Both are logged.
int handover_ask(const char *path, struct inherited *inherited);

// Says that this process is ready; closes the connection. False: the old one has not waited for so long and goes on, so this one is not to.
bool handover_finish(int connection);

#endif
