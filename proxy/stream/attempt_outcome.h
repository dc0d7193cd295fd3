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

// For ejection. FAILED: `*cause` says why (endpoint_shared.h). A client that left, a deadline of its own, a body that it did not send, a kept connection that its peer had closed while it was
// idle, and a stream that HTTP/2 refused say nothing.
enum endpoint_outcome attempt_outcome(const struct attempt *attempt, enum error error, int32_t *cause);

#endif
