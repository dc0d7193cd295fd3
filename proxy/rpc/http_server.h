// A small HTTP/1.1 server that hands whole requests to a handler: for the admin pages, metrics and probes on the main thread's loop. Requests and replies
// are short texts held in memory; nothing of the proxied traffic comes here. A reply may also stay open, and go on in pieces.
//
// Owner:      whoever opened it, on the loop's thread.
// Start:      rpc_server_open.
// Callbacks:  struct rpc_handler: `request` once per request; `cancelled` at most once, when its client is gone before the reply or its end, or took too long to be answered;
//             `ended` once behind rpc_reply_end.
// Cancel:     rpc_server_close: every request that waits for a reply is told `cancelled` from within, or `ended` where that is to come; nothing comes afterwards.
// Memory:     the server frees itself on the loop's closing list once the last connection is closed. A request lives from `request` to rpc_reply, `cancelled` or `ended`.
#ifndef RPC_HTTP_SERVER_H
#define RPC_HTTP_SERVER_H

#include "base/buffer.h"
#include "base/clock.h"
#include "http/message.h"
#include "net/transport.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct rpc_server;

// Many times what Prometheus, a probe and a few people need. At worst each holds a body and as much behind it: 64 x 2 x 80 KiB = 10 MiB; and all together RPC_UNREAD_MAX of replies.
#define RPC_CONNECTIONS_MAX 64

// Bytes of whole replies that wait for their clients. What is more costs those their place whose reply has waited longest: a reply is dear to make, and one that nobody takes keeps nothing but memory.
#define RPC_UNREAD_MAX (UINT64_C(32) << 20)

// Documents and commands that are posted; more is 413.
#define RPC_BODY_MAX 65536

// From the first byte of a request to its last; for the handler's answer; for the client to take the reply.
#define RPC_REQUEST_TIMEOUT (10 * NS_PER_S)

// Between requests: longer than the usual interval of scrapes, so that a scraper's connection does not end just when it is used again. When all connections are taken, the one that
// has been idle longest makes room, or else the one that has been sending its request longest, or one that has been taking its reply for RPC_REPLY_PATIENCE: a probe gets its answer, whoever else reads
// slowly.
#define RPC_IDLE_TIMEOUT (75 * NS_PER_S)
#define RPC_REPLY_PATIENCE (2 * NS_PER_S)

// For the client to close after our last reply, so that no reset of ours overtakes it.
#define RPC_LINGER_TIMEOUT (2 * NS_PER_S)

// Of an open reply: bytes that wait for its client, beside LIMIT_OUTPUT_BYTES and what the socket holds.
#define RPC_OPEN_REPLY_MAX 65536

// What of a reply is written before others have their turn: a page of metrics may have tens of MiB, and its reader be quick.
#define RPC_TURN_BYTES (256 * 1024)

// What the system keeps of a reply beside what is on its way: by itself it would keep 4 MiB for a client that reads nothing.
#define RPC_UNSENT_MAX 65536

struct rpc_request {
    enum http_method method;
    struct bytes path;      // as received, without its query
    struct bytes query;     // behind the '?'; empty: none
    struct bytes authority; // Host
    const struct fields *fields;
    struct bytes body;         // whole
    const union address *peer; // AF_UNIX: over a Unix socket
    uint32_t uid, pid;         // then: as whom the process at the other end runs, and its number; pid 0: not known
    struct pool *pool;         // lives as long as the request
    void *user;                // the handler's own; NULL at first
};

struct rpc_handler {
    // Answer by rpc_reply or rpc_reply_open, from within or later.
    void (*request)(void *owner, struct rpc_request *request);

    // The request must not be touched any more.
    void (*cancelled)(void *owner, struct rpc_request *request);

    // Less than half of an open reply's room was left, and half of it is again. May write, and end the reply. NULL where none is opened.
    void (*writable)(void *owner, struct rpc_request *request);

    // Behind rpc_reply_end: the system has all of the reply, or its client is gone or took too long. The request must not be touched any more. NULL where none is opened.
    void (*ended)(void *owner, struct rpc_request *request);
};

struct rpc_counters {
    uint64_t accepted;
    uint64_t refused;  // connections closed at once since all places were taken by busy ones
    uint64_t requests; // told to the handler
    uint32_t connections;
    uint32_t connections_peak;
};

// Takes over a listening socket (net/tcp_listener.h, tcp_listen).
struct rpc_server *rpc_server_open(struct loop *loop, int socket, const struct rpc_handler *handler, void *owner);

// Accepts no more, and closes the connections that are idle; requests go on.
void rpc_server_stop_listening(struct rpc_server *server);

void rpc_server_close(struct rpc_server *server);

const struct rpc_counters *rpc_server_counters(const struct rpc_server *server);

// A further field of the reply: before rpc_reply. The value is copied; the name is a constant.
void rpc_reply_field(struct rpc_request *request, struct bytes name, struct bytes value);

// Sends the reply and ends the request. `body` is emptied; it may have been filled from any block source of this loop. `content_type` is a constant;
// empty where there is no body.
void rpc_reply(struct rpc_request *request, uint16_t status, struct bytes content_type, struct buffer *body);

// Sends the head of a reply that goes on, of any request but HEAD. What is written follows at once, over HTTP/1.1 in chunks, over HTTP/1.0 until the connection ends. It has no deadline until
// rpc_reply_hurry or rpc_reply_end, and its place is given to nobody else. A client that ends its side of the connection is taken to be gone.
void rpc_reply_open(struct rpc_request *request, uint16_t status, struct bytes content_type);

// How many bytes may be written now: RPC_OPEN_REPLY_MAX less what waits.
size_t rpc_reply_room(struct rpc_request *request);

// Copied; at most as much as there is room for.
void rpc_reply_write(struct rpc_request *request, struct bytes piece);

// There is little more to come: the client is to go on taking what waits, as it takes any reply, or is cut off (`cancelled`).
void rpc_reply_hurry(struct rpc_request *request);

// The client is to take what waits as it takes any reply. `ended` comes, later.
void rpc_reply_end(struct rpc_request *request);

#endif
