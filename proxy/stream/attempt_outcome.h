// What an attempt that is over says: of how the balancer is to see its endpoint, and of whether the endpoint failed. Judges one attempt; counts nothing.
//
// What another proxy of ours has refused is a decision, not a failure: it weighs in the balancer, and says nothing else.
#ifndef STREAM_ATTEMPT_OUTCOME_H
#define STREAM_ATTEMPT_OUTCOME_H

#include "base/error.h"
#include "upstream/cluster_health.h"
#include "upstream/lb.h"

struct attempt;

// `error`: as for attempt_end.
enum lb_outcome attempt_outcome_for_balancer(const struct attempt *attempt, enum error error);

// It has run out of time: was that its endpoint's? Not while the client still had to send, or to take what had come, nor while a place among connections.max was waited for. Where the endpoint
// takes no connection at all, it was.
bool attempt_was_its_time(const struct attempt *attempt);

// A call of gRPC whose caller's time is over, or is in a moment. Its service is told that time, and gives up by it on its own: that says how patient the caller is, and nothing of the service.
bool attempt_meets_callers_deadline(const struct attempt *attempt);

// From when it had all that had come of the request, to its answer or to now: how long a client takes to send is not its doing, nor is what was waited for before.
nanoseconds attempt_took(const struct attempt *attempt);

// Whether attempt_took says how busy what it was for is: the answer is its own and no failure, and came behind the whole request. What fails or refuses at once did nothing.
bool attempt_says_how_busy(const struct attempt *attempt);

// The code that a field grpc-status says. What is no number of at most two digits is UNKNOWN, as clients of gRPC take it.
int grpc_code_of(struct bytes value);

// The code of gRPC that its answer ends with, in its head or behind its body; -1: none came, or it is no gRPC.
int attempt_grpc_code(const struct attempt *attempt);

// For ejection. FAILED: `*cause` says why (endpoint_shared.h). A client that left before a byte of the body came, a deadline of its own, a body that it did not send, an answer that it did not
// take, a kept connection that its peer had closed while it was idle, and a stream that HTTP/2 refused say nothing.
enum endpoint_outcome attempt_outcome(const struct attempt *attempt, enum error error, int32_t *cause);

#endif
