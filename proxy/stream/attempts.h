// The tries of one stream: begins them, decides whether one that failed is repeated, and commits the stream to the one that answers.
//
// Several may run at once. The first that has a final head which is not to be repeated is the one that the stream is committed to: the others are cancelled, which says
// nothing of their endpoints. One that fails while another runs is set aside; with the last it is decided whether there is a further one, or the stream fails.
//
// What is repeated by default is only what was provably not processed: the connection could not be made, HTTP/2 refused the stream, or nothing of the request had left;
// and, for methods that may be repeated, a connection that was reused and broke before a byte of the answer (the peer had closed it while idle). A policy may name more:
// retry_rule.h.
//
// An answer that is to be repeated is held until the further try has an endpoint, so that it can still go down where that one may not be made after all: the pause is over,
// and meanwhile the budget was spent; or a breaker refuses it.
#ifndef STREAM_ATTEMPTS_H
#define STREAM_ATTEMPTS_H

#include "base/buffer.h"
#include "stream/attempt.h"
#include "stream/hedge.h"
#include "upstream/retry_budget.h"

struct stream;

#define REASONS_MAX (RETRY_ATTEMPTS_MAX + HEDGES_MAX)

struct attempts {
    struct list running;                        // in the order in which they began
    struct list over;                           // attempts whose memory waits for the stream's end
    struct attempt *last;                       // that was begun; it may be over
    struct attempt *committed;                  // what the client is told comes from this one; NULL: no final head has come
    struct endpoint *tried[RETRY_ATTEMPTS_MAX]; // one reference each
    uint32_t tried_count;
    uint32_t begun; // how many tries there were
    bool has_key;   // the request has all of loadBalancer.key
    uint64_t key;   // its hash
    // the request's body, over all tries
    struct buffer piece; // with the filters that look at bodies; where there are none pieces do not come here
    bool piece_in_hand;  // some filter has not let it pass yet
    bool piece_is_last;
    bool body_taken;      // the last piece has passed the filters
    size_t unconsumed;    // bytes of it that were taken and not yet told as consumed
    struct buffer replay; // all of the body that was passed on so far, while a further try may need it
    bool replayable;      // the body can be sent again from its start
    // the further try that is decided on, and those that were
    struct attempt *held;      // its answer goes down if no further try is made; in `over`
    struct attempt *successor; // the try that takes its place once it has an endpoint; NULL: none has begun
    struct attempt *discarded; // the rest of its answer is read and thrown away; in `over`
    size_t discarded_bytes;
    struct attempt *settled;     // what the decision was about
    enum retry_reason reason;    // why it is to be repeated
    nanoseconds budget_taken_at; // for it
    nanoseconds pause;           // before it
    struct timer backoff;
    bool backing_off;
    bool backoff_is_over;
    uint8_t reasons[REASONS_MAX]; // enum retry_reason of each try but the first
    uint32_t reason_count;
    enum retry_refusal refusal; // why there was no further one
    struct bytes
        retried_by;       // by whose rules there were further tries: "kind/namespace/name: retry, kind/namespace/name: hedge"; empty: there were none
    struct bytes ejected; // address of the endpoint that was ejected for how a try went; empty: none was
    struct bytes ejected_by; // by whose rule, and why
    struct hedge hedge;
};

enum attempts_result {
    ATTEMPTS_RUNNING,
    ATTEMPTS_ANSWERED, // committed->up has the final head
    ATTEMPTS_FAILED    // stream_fail was called
};

// The chain has let the stream pass: begins the first try. False: stream_fail was called, since the request lacks what its balancer must go by.
bool attempts_start(struct stream *stream);

// What the balancer goes by, for all tries. False: the request lacks a part of it, and stream_fail was called for that.
bool attempts_find_key(struct stream *stream, struct attempts *attempts);

// One more, beside those that run. Only while nothing is committed and the body can be sent from its start.
void attempts_begin(struct stream *stream);

// From stream_advance: one step. After ATTEMPTS_ANSWERED it still passes on the request's body.
enum attempts_result attempts_advance(struct stream *stream);

// For hedge.c: what the service's budget is counted by; and an endpoint (NULL: none) that this stream is not to pick again while there is another.
struct retry_budget_rule attempts_budget_rule(const struct stream *stream);
void attempts_remember_tried(struct attempts *attempts, struct endpoint *endpoint);

// What stands in the place of a policy's name in the access log where none says anything, and the defaults hold.
static inline struct bytes attempts_policy_name(struct bytes policy) {
    return policy.len == 0 ? BYTES("default") : policy;
}

// The one to be told of: which answered, else which was begun last.
static inline const struct attempt *attempts_foremost(const struct attempts *attempts) {
    return attempts->committed != NULL ? attempts->committed : attempts->last;
}

// The stream is over: what still runs is cancelled and settles as cancelled. Harmless before attempts_start.
void attempts_end(struct stream *stream);

// Frees the attempts' memory: when nothing refers to their heads and trailers any more.
void attempts_release(struct stream *stream);

#endif
