// One try of a request on one endpoint: picks it, waits for a connection, sends, receives. It owns its pool, its copy of the head and its upstream stream.
#ifndef STREAM_ATTEMPT_H
#define STREAM_ATTEMPT_H

#include "base/pool.h"
#include "stream/filter.h"
#include "stream/retry_rule.h"
#include "upstream/cluster.h"
#include "upstream/endpoint_wait.h"
#include "upstream/upstream_stream.h"

struct attempt_span;
struct breaker_pass;
struct stream;
struct verdict;

// In the order of the traffic.
enum attempt_state {
    ATTEMPT_CHAIN,    // its filters decide
    ATTEMPT_PICK,     // no endpoint yet
    ATTEMPT_CONNECT,  // waits for a connection
    ATTEMPT_SENT,     // the head went out
    ATTEMPT_ANSWERED, // the final head came
    ATTEMPT_OVER      // failed or cancelled
};

struct attempt {
    struct pool pool;
    struct list link; // in one of the lists of struct attempts
    struct stream *stream;
    enum attempt_state state;
    struct filter_run filters;
    struct endpoint *endpoint;           // one reference
    struct endpoint_wait *endpoint_wait; // for the first answer of a name server; NULL: it never waited
    struct conn_waiter waiter;
    struct upstream_stream up;
    union address local;      // our end of its connection, once it was had
    struct head head;         // what is sent
    struct buffer body;       // to be sent
    struct bytes upgrade_key; // that we have made for it and whose answer is checked; empty: none (upgrade.h)
    bool mesh;                // the connection is one of the mesh: its headers are believed
    struct timer try_timeout;
    nanoseconds begun;
    nanoseconds sent_at;        // when its connection was had: what the balancer measures from, since making one says little of the endpoint's load
    nanoseconds body_sent_at;   // when the last piece of its body before the answer, or its end behind the head, went; 0: none did
    nanoseconds answered_after; // since `begun`; 0: no answer
    enum error error;           // why it failed
    struct bytes detail;        // why a filter refused it
    enum retry_reason retried_for;   // what was wrong with the one before; NONE: it is no retry
    bool filter_refused;             // one of its filters did: it is not repeated
    const struct policy *refused_by; // of the verdict
    const struct verdict *verdict;   // by which it was refused; NULL: by none
    struct breaker_pass *breaker_passes;
    struct attempt_span *span; // of a trace (tracing.h); NULL: it has none
    bool never_sent;           // no connection was had
    bool was_connecting;       // it ended while a connection was being made and its endpoint had no other
    bool was_unreached;        // our own proxy had it and could not reach its application: nothing was processed
    bool is_refusal;           // the answer is our own proxy's, whatever it says
    enum error refusal;        // why, where it says so in a word that we know
};

struct attempt *attempt_create(struct stream *stream);

// One step. The result stands in `state` and `error`.
void attempt_advance(struct attempt *attempt);

// The tunnel that its request asks for was refused: the request is at its end.
void attempt_end_request(struct attempt *attempt);

// From one of its filters: it may not go on. `detail` is copied.
void attempt_refuse(struct attempt *attempt, enum error error, struct bytes detail);

// Ends it, if it is not over: gives back connection and endpoint and tells the balancer how it went (`error` OK: by its answer; CANCELLED: says nothing).
void attempt_end(struct attempt *attempt, enum error error);

// After attempt_end.
void attempt_destroy(struct attempt *attempt);

#endif
