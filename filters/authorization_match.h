// What a rule of an AuthorizationPolicy says of one request. Where a request may be read in more than one way (a header that stands twice, or is spelled with `_` for `-`; a path with
// parameters in its segments, which some servers cut off), each side takes what harms it: a Deny holds if any reading fits, an Allow only if all do. What is not known of a
// connection without requests is read the same.
#ifndef FILTERS_AUTHORIZATION_MATCH_H
#define FILTERS_AUTHORIZATION_MATCH_H

#include "config/authorization_config.h"

struct stream;

enum reading {
    READING_ANY, // of a Deny
    READING_ALL  // of an Allow
};

// A request as rules ask for it: what has to be worked out is, once, when the first asks.
struct authorization_request {
    struct stream *stream;
    const struct head *head; // NULL: an opaque connection, which has no request
    bool before_claims;      // what its token says is not known yet: a condition on it holds
    struct ip ip;
    bool ip_is_looked_at, has_ip;
    bool path_is_looked_at;
    struct bytes path, query;
    struct bytes bare_path; // without the parameters of its segments
    bool has_escaped_slash, has_empty_segment;
    struct bytes host; // canonical; empty: not worked out yet, or there is none
};

// While the stream has its documents. Regular expressions that are asked from now on are of this request.
void authorization_request_begin(struct authorization_request *request, struct stream *stream, bool before_claims);

bool authorization_rule_holds(const struct authorization_rule *rule, enum reading reading, struct authorization_request *request);

// As far as it is about who asks.
bool authorization_rule_is_from(const struct authorization_rule *rule, enum reading reading, struct authorization_request *request);

// What about the path servers do not agree on, be it by `%2F` or by an empty segment; NULL: nothing.
const char *authorization_path_fault(struct authorization_request *request);

// An expression took too much work since the request was begun: what was said of it since is not to be relied on.
bool authorization_gave_up(const struct authorization_request *request);

#endif
