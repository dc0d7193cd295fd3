// Whether, and why, a try that has ended may be repeated: the conditions, codes and methods of the service's policy. Judges one try; counts, budgets and waits for nothing:
// that is in attempts.c.
#ifndef STREAM_RETRY_RULE_H
#define STREAM_RETRY_RULE_H

#include "base/error.h"
#include "base/clock.h"

#include <stdbool.h>

struct attempt;
struct stream;

// Why a try is repeated: the words of retry.conditions, and the two kinds of codes.
enum retry_reason {
    RETRY_NONE,
    RETRY_CONNECT_FAILURE,
    RETRY_REFUSED_STREAM,
    RETRY_UNSENT,
    RETRY_GATEWAY_ERROR,
    RETRY_RESET,
    RETRY_TIMEOUT,
    RETRY_CODE,
    RETRY_GRPC_CODE,
    RETRY_HEDGE, // it took long: hedge.h
    RETRY_REASON_COUNT
};

// Why one that met a condition was not repeated.
enum retry_refusal {
    RETRY_NOT_REFUSED,
    RETRY_REFUSED_METHOD,      // it may have been processed, and its method may not be repeated
    RETRY_REFUSED_ATTEMPTS,    // there were as many as the policy allows
    RETRY_REFUSED_BODY,        // it was too long to be kept
    RETRY_REFUSED_RETRY_AFTER, // the answer asks for a longer wait, or for no retry at all
    RETRY_REFUSED_DEADLINE,    // there is no time left
    RETRY_REFUSED_BUDGET
};

// Of a try that has failed or has its final head; NONE: no condition of the policy is met.
enum retry_reason retry_reason_of(const struct stream *stream, const struct attempt *attempt);

// Of one that met a reset: no byte had left, or its connection's peer had closed it while it was idle, as far as can be seen.
bool retry_was_unsent(const struct attempt *attempt);

// Was it provably not processed, or was it opted in for: by its method, or by naming a code of gRPC?
bool retry_is_safe(const struct stream *stream, const struct attempt *attempt, enum retry_reason reason);

// Whether it is what a bulkhead beside another application says: nothing was processed, and another endpoint may have room.
static inline bool retry_is_bulkhead(enum error refusal) {
    return refusal == ERROR_BULKHEAD_FULL || refusal == ERROR_QUEUE_TIMEOUT;
}

// How long its answer asks to wait (Retry-After, RFC 9110 section 10.2.3; grpc-retry-pushback-ms, gRPC proposal A6); 0: it does not. `wall`: nanoseconds since 1970.
// False: it asks for longer than the policy respects, or for no retry at all.
bool retry_wait_asked(const struct stream *stream, const struct attempt *attempt, nanoseconds wall, nanoseconds *wait);

// As in metrics and the access log: "connect_failure".
const char *retry_reason_name(enum retry_reason reason);
const char *retry_refusal_name(enum retry_refusal refusal);

#endif
