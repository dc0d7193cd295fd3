// What hosts a listener or a rule is for, as snapshots say it: "" for all, "a.example.com" for that one, ".example.com" for all below it (Gateway API, Listener.hostname: a
// wildcard has labels before it, one or more). Both in lower case.
#ifndef BASE_HOST_PATTERN_H
#define BASE_HOST_PATTERN_H

#include "base/bytes.h"

// Whether `wildcard` is one, and has `host`: a host, or another wildcard.
static inline bool host_is_below(struct bytes host, struct bytes wildcard) {
    return wildcard.len > 0 && wildcard.at[0] == '.' && host.len > wildcard.len && bytes_ends_with(host, wildcard);
}

// How specific the pattern is for that host: 0 does not have it; 1 has all hosts, more the longer the wildcard, most the very host.
static inline size_t host_pattern_rank(struct bytes pattern, struct bytes host) {
    if (pattern.len == 0)
        return 1;
    if (bytes_equal(pattern, host) && pattern.at[0] != '.')
        return SIZE_MAX;
    return host_is_below(host, pattern) ? pattern.len + 1 : 0;
}

#endif
