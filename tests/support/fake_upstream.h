// The far side of struct upstream without sockets: a virtual clock, an upstream whose `connect` makes fake transports, and for each connection that was
// asked for a server in the hands of the test. For unit tests of proxy/upstream and of what stands above it.
//
// A server speaks through a real codec (far_request, far_respond) or raw: then the test reads what was sent as text and answers in bytes.
//
// One at a time in a process: `connect` has no place for a pointer of its own.
#ifndef SUPPORT_FAKE_UPSTREAM_H
#define SUPPORT_FAKE_UPSTREAM_H

#include "config/snapshot.h"
#include "support/check_loop.h"
#include "support/codec_owner.h"
#include "support/fake_transport.h"
#include "upstream/upstream.h"

// What becomes of a connection that is asked for.
enum far_mode {
    FAR_ACCEPT,    // made in the next turn; the server speaks what the pool will: found by its first bytes
    FAR_RAW,       // made; no codec on the server's side
    FAR_WAIT,      // the test makes it (far_connect)
    FAR_REFUSE,    // refused in the next turn
    FAR_NO_SOCKET, // connect fails at once
};

// A server's end of one connection.
struct far_conn {
    struct fake_upstream *far;
    struct far_conn *next;
    struct fake_peer *peer;
    uint16_t port; // that was asked for
    bool raw;
    bool speaks;   // has a codec
    bool told_end; // its codec knows that the proxy has ended or closed
    struct codec_owner server;
};

struct fake_upstream {
    struct check_loop check;
    struct worker_metrics metrics;
    struct live_shared *shared;
    struct h2_memory *h2_memory;     // of the upstream under test
    struct h2_memory *far_h2_memory; // of the servers
    struct upstream upstream;
    struct snapshot *snapshot;
    uint64_t generation;
    enum far_mode mode;
    enum far_mode mode_of_port[16]; // by the last digit of the port, where `by_port` says so
    bool by_port[16];
    struct fake_options options;    // of the transports; its seed goes on with each
    struct codec_limits far_limits; // of the servers' codecs
    struct far_conn *conns;         // in the order in which they were asked for
    struct far_conn *last;
    uint32_t count;
    // Further sides of the world that move bytes: called by settle until nothing moves.
    bool (*also)(void *also_user);
    void *also_user;
    // Called for each connection after its codec was fed, so that a server may answer by itself.
    void (*serve)(struct far_conn *conn, void *serve_user);
    void *serve_user;
};

// `documents`: YAML; may be NULL, then fake_upstream_apply follows. Aborts on an error in it, and prints it.
void fake_upstream_init(struct fake_upstream *far, const char *documents);

// Closes all and aborts when anything is left over: a block, a chunk, a timer, a count.
void fake_upstream_dispose(struct fake_upstream *far);

// A new snapshot, for a test that applies it itself; already applied to the upstream. The reference is the world's own.
struct snapshot *fake_upstream_load(struct fake_upstream *far, const char *documents);
struct snapshot *fake_upstream_apply(struct fake_upstream *far, const char *documents);

// Turns and moves bytes until nothing is left to do at this time.
void fake_upstream_settle(struct fake_upstream *far);

// One turn, and what is to be moved then: for tests that look in between.
void fake_upstream_step(struct fake_upstream *far);

// Lets time pass, settling at each deadline.
void fake_upstream_pass(struct fake_upstream *far, nanoseconds duration);

// What becomes of further connections to ports that end in this digit.
void fake_upstream_port(struct fake_upstream *far, unsigned last_digit, enum far_mode mode);

struct cluster *fake_upstream_cluster(struct fake_upstream *far, const char *key);

// The n-th connection that was asked for, from 0; aborts when there are not so many.
struct far_conn *far_conn(struct fake_upstream *far, unsigned position);

// FAR_WAIT: makes it, or refuses it.
void far_connect(struct far_conn *conn, enum error error);

// Raw: all that the proxy sent and was not forgotten by far_forget, with a NUL behind it; valid until the next call.
const char *far_sent(struct far_conn *conn);
void far_forget(struct far_conn *conn);

// Raw: bytes to the proxy. Settles.
void far_send(struct far_conn *conn, const char *text);

// The n-th request on the connection; aborts when there is none.
struct owner_stream *far_request(struct far_conn *conn, unsigned position);

// Answers: `fields` as "name: value\n" lines. Without `end` far_body or far_trailers follows. The second settles; the first is for servers that answer by themselves (`serve`).
void far_answer(struct far_conn *conn, struct owner_stream *request, unsigned status, const char *fields, const char *body, bool end);
void far_respond(struct far_conn *conn, struct owner_stream *request, unsigned status, const char *fields, const char *body, bool end);
void far_body(struct far_conn *conn, struct owner_stream *request, struct bytes body, bool end);
void far_trailers(struct far_conn *conn, struct owner_stream *request, const char *fields);
void far_reset(struct far_conn *conn, struct owner_stream *request, enum error error);

// The server ends its side in order, or breaks the connection. Settles.
void far_close(struct far_conn *conn);
void far_break(struct far_conn *conn);

// Requests that failed on an endpoint.
struct endpoint;
uint64_t far_failures(const struct endpoint *endpoint);

// Fields out of "name: value\n" lines; the text must live as long as `fields`.
void fields_from_lines(struct fields *fields, const char *lines);

#endif
