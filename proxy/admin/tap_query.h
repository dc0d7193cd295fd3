// What /tap is asked: which requests, how many lines of them, for how long.
#ifndef ADMIN_TAP_QUERY_H
#define ADMIN_TAP_QUERY_H

#include "base/pool.h"
#include "telemetry/access_match.h"

// A reader who has gone for lunch does not hold its place for ever.
#define TAP_DURATION_MAX (600 * NS_PER_S)

#define TAP_COUNT_MAX 1000000

// A line costs its worker a microsecond or two: 0.2 % of a core at most for each reader. A person reads none of a thousand lines a second, a script some.
#define TAP_RATE_DEFAULT 100
#define TAP_RATE_MAX 1000

// Of the reply.
#define TAP_TYPE_JSON BYTES("application/x-ndjson")
#define TAP_TYPE_TEXT BYTES("text/plain; charset=utf-8")

struct tap_question {
    struct access_match match;
    uint64_t count; // UINT64_MAX: as many as there are
    uint32_t rate;  // lines per second
    nanoseconds duration;
    bool is_text;
};

// Texts lie in `query` or in `pool`. False: `*error` says what is wrong and what is allowed.
bool tap_query_parse(struct bytes query, struct pool *pool, struct tap_question *question, struct bytes *error);

#endif
