// What a receiver remarks in the body of its answer: how many records it has rejected, and why (partial_success of an Export...ServiceResponse), or what was wrong with the
// request (google.rpc.Status). Of a body that is longer than what is there of it, the front is read. Nothing is taken apart but these, so that no body becomes more than it is.
// Pure.
#ifndef AGENT_OTLP_REMARK_H
#define AGENT_OTLP_REMARK_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

#define OTLP_REMARK_TEXT_MAX 256

struct otlp_remark {
    uint64_t rejected;
    struct bytes text; // any bytes, in `room`, which they may not fill; empty: none
    char room[OTLP_REMARK_TEXT_MAX];
};

// Of an answer that has taken the request. False: the body is no such thing. `is_cut`: it is the front of a longer one.
bool otlp_remark_of_taken(struct bytes body, bool is_json, bool is_cut, struct otlp_remark *remark);

// Of one that has not; `rejected` is then 0.
bool otlp_remark_of_refusal(struct bytes body, bool is_json, bool is_cut, struct otlp_remark *remark);

#endif
