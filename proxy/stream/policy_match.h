// Which requests a rule of a policy is for: `matches` of the policy language, any of which will do.
#ifndef STREAM_POLICY_MATCH_H
#define STREAM_POLICY_MATCH_H

#include "base/error.h"
#include "config/route.h"

struct stream;

// Whether the rule is for the stream's request; from decide, as long as the stream has its documents. ERROR_BAD_REQUEST: an expression took too much work; either
// answer could then be the one that an attacker wants, and the request is refused.
enum error policy_match(struct stream *stream, const struct route_match *matches, uint32_t count, bool *matched) MUST_CHECK;

#endif
