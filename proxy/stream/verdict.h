// Why a policy does not let a request pass, as data; and what becomes of that: the request is refused or, where the policy is in a dry run, it is counted and told, and passes.
#ifndef STREAM_VERDICT_H
#define STREAM_VERDICT_H

#include "stream/filter.h"

struct verdict {
    enum error end;              // a row of errors.md
    const struct policy *policy; // whose it is; NULL: of the document that the filter stands there for
    struct bytes rule;           // of the policy; lives as long as the stream
    struct bytes reason;         // in few words; copied
    struct policy_state *state;  // whose refusals it is counted among
    nanoseconds retry_after;     // when it would pass; 0: that is not known
    const struct fields *fields; // that the reply carries beside; in the stream's pool; NULL: none
    uint16_t status;             // of ERROR_FAULT alone, whose row says "as configured"
    int grpc_status;             // the same
    bool by_agent;               // of external authorization
};

// For filters, from decide and charge; the result is theirs to return: REPLIED, or CONTINUE in a dry run. The reply is that of errors.md, with Retry-After (RFC 9110 section 10.2.3,
// in whole seconds, never 0); access log, Proxy-Status and the reply name policy and rule.
enum filter_result verdict_refuse(struct stream *stream, const struct verdict *verdict);

// For filters that judge several documents together, from decide: by a document in a dry run would pass what is refused. Told.
void verdict_would_pass(struct stream *stream, const struct policy *policy, struct bytes rule);

// From any moment on, of a policy in a dry run that has found out late: it would have been refused. Counted; told where `stream`, which may be NULL, is not over.
void verdict_would_refuse(struct stream *stream, const struct policy *policy, const struct verdict *verdict);

// As verdict_refuse, of an attempt, for filters below attempts and for the pick of an endpoint: `policy` refuses it, and it ends by attempt_refuse. What is said of that reaches the client where
// no other attempt has an answer (verdict_tell).
enum filter_result verdict_refuse_attempt(struct attempt *attempt, const struct policy *policy, const struct verdict *verdict);

// From attempts.c: the stream ends as the attempt does that a verdict refused.
void verdict_tell(struct attempt *attempt);

// For filters, from decide, before they pause: a rule of the policy makes the request wait. Counted and told. False: it is not to wait, since the policy is in a dry run or
// nobody is served (explanation.h).
bool verdict_delay(struct stream *stream, struct bytes rule, struct policy_state *state);

// For filters whose verdict_delay was true: how long it has waited. Told beside policy and rule: "kind/namespace/name: rule: 12 ms". Before any other filter is asked.
void verdict_waited(struct stream *stream, nanoseconds waited);

#endif
