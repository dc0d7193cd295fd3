// A filter with a watch on it: it does what it does, and each of its calls is held against the contract of stream/filter.h. `decide` first and again only after a PAUSE, `charge` at most
// once and never of what it refused, nothing before `decide` and nothing behind `end`, which comes exactly once; and what `configure` made is disposed of exactly once. Aborts where it is not so.
//
// One at a time in a process: a slot has no place for a pointer of its own.
#ifndef SUPPORT_WATCHED_FILTER_H
#define SUPPORT_WATCHED_FILTER_H

#include "stream/filter.h"

#define WATCHED_CALLS_MAX 64

// What is known of one state of the filter: of one stream, or of one attempt.
struct watched_call {
    const struct stream *stream;
    const void *state;
    bool is_dry_run;
    bool waits;      // its decide has said PAUSE, and nothing was asked since
    bool has_waited; // ever
    bool let_pass;   // its decide has
    bool refused;    // it has, in decide or charge
    bool charged;
    bool ended;
    char tag;        // the first letter of the request's method
    unsigned status; // of the last head that came back through it; 0: none
    bool passed;     // when it ended, all filters had let the stream pass
};

struct watched_filter {
    struct watched_call calls[WATCHED_CALLS_MAX]; // in the order in which they began
    uint32_t count, ended;
    int32_t configs; // that are not disposed of
};

// `type` with the watch on it; valid until the next call. `watched` is set to nothing seen.
const struct filter_type *watch_filter(const struct filter_type *type, struct watched_filter *watched);

// The stream waits for this filter now.
bool watched_waits(const struct watched_filter *watched, const struct stream *stream);

#endif
