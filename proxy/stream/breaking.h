// An attempt under a circuit breaker: it passes, and what becomes of it is the breaker's to know. One may be under several.
#ifndef STREAM_BREAKING_H
#define STREAM_BREAKING_H

#include "stream/filter.h"

#include <stdbool.h>

struct attempt;
struct breaker_state;
struct endpoint;

// So long after it was begun an answer that goes on counts by its head: whether the rest comes is a matter of its own.
#define LONG_STREAM_NS (30 * NS_PER_S)

// The attempt begins, and is counted when it ends, or when it has its head where that is a failure, or it is a tunnel or a long stream. False: the breaker refuses it; `*wait`: until it would let one pass; 0:
// that is not known.
bool breaking_begin(struct attempt *attempt, struct breaker_state *state, nanoseconds *wait);

// The same where an endpoint is picked, by its own breaker. False: it is to be picked anew, that one is refused.
bool breaking_begin_at(struct attempt *attempt, struct endpoint *endpoint);

// No endpoint was picked. True: since breakers refuse what there is; the attempt is refused for that.
bool breaking_refuses_all(struct attempt *attempt);

// The verdict of the breaker that refuses it (verdict_refuse_attempt).
enum filter_result breaking_refuse(struct attempt *attempt, const struct policy *policy, struct breaker_state *state, nanoseconds wait);

// From attempt.c: the head of its answer has come; it is over, attempt->error says how.
void breaking_answered(struct attempt *attempt);
void breaking_end(struct attempt *attempt);

#endif
