// The tries of one stream: begins them, decides whether one that failed is repeated, and commits the stream to the one that answers.
//
// What is repeated by default is only what was provably not processed: the connection could not be made, HTTP/2 refused the stream, or nothing of the request had left;
// and, for methods that may be repeated, a connection that was reused and broke before a byte of the answer (the peer had closed it while idle).
#ifndef STREAM_ATTEMPTS_H
#define STREAM_ATTEMPTS_H

#include "base/buffer.h"
#include "stream/attempt.h"

#define ATTEMPTS_TRIED_MAX 8 // endpoints that are remembered as tried; a policy's attempts are bounded by it too

struct stream;

struct attempts {
    struct attempt *current;
    struct list over;                           // attempts whose memory waits for the stream's end
    struct endpoint *tried[ATTEMPTS_TRIED_MAX]; // one reference each
    uint32_t tried_count;
    uint32_t begun; // how many tries there were
    // the request's body, over all tries
    struct buffer piece; // with the filters that look at bodies; where there are none pieces do not come here
    bool piece_in_hand;  // some filter has not let it pass yet
    bool piece_is_last;
    bool body_taken;      // the last piece has passed the filters
    size_t unconsumed;    // bytes of it that were taken and not yet told as consumed
    struct buffer replay; // all of the body that was passed on so far, while it may be needed again
    bool replayable;      // the body can be sent again from its start
    bool committed;
    struct timer backoff;
    bool backing_off;
};

enum attempts_result {
    ATTEMPTS_RUNNING,
    ATTEMPTS_ANSWERED, // committed: current->up has the final head
    ATTEMPTS_FAILED    // stream_fail was called
};

// The chain has let the stream pass: begins the first try.
void attempts_start(struct stream *stream);

// From stream_advance: one step. After ATTEMPTS_ANSWERED it still passes on the request's body.
enum attempts_result attempts_advance(struct stream *stream);

// The stream is over: what still runs is cancelled and settles as cancelled. Harmless before attempts_start.
void attempts_end(struct stream *stream);

// Frees the attempts' memory: when nothing refers to their heads and trailers any more.
void attempts_release(struct stream *stream);

#endif
