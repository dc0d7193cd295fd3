// Which rule of a table of routes a request goes by (Gateway API, HTTPRoute and GRPCRoute: matches and their precedence). Pure: looks at the request alone.
#ifndef STREAM_ROUTE_MATCH_H
#define STREAM_ROUTE_MATCH_H

#include "config/route.h"
#include "http/message.h"

// `request` has a canonical path. `matcher` may be NULL where the table has no regular expressions; what of the request has to be decoded for comparing is, once, into `pool`.
// NULL: no rule matches. Costs a look-up per element of the path, as far as the longest prefix of the table, and a look at each match with the same path.
const struct route_rule *route_match(const struct route_table *table, const struct head *request, bool is_grpc, struct regex_matcher *matcher,
                                     struct pool *pool);

// Whether any of these matches is for the request: no precedence, for policies; without any all are. Takes time in proportion to their number. `matcher` and `pool` as above.
bool request_matches(const struct route_match *matches, uint32_t count, const struct head *request, struct regex_matcher *matcher, struct pool *pool);

// Parts of that, for whoever reads the other parts in its own way: the path of a match, and what a field or parameter must be. `matcher` as above.
bool route_path_matches(const struct route_match *match, struct bytes path, struct regex_matcher *matcher);
bool route_value_matches(const struct field_match *match, struct bytes value, struct regex_matcher *matcher);

// What of one match does not hold; what is compared first is told.
enum route_miss { ROUTE_MATCHES, ROUTE_MISSES_PATH, ROUTE_MISSES_METHOD, ROUTE_MISSES_HEADER, ROUTE_MISSES_QUERY };

struct route_look {
    enum route_miss miss;
    struct bytes name; // of the field, or of the parameter of the query
};

// For whoever asks why. As request_matches for one of them.
struct route_look route_look(const struct route_match *match, const struct head *request, struct regex_matcher *matcher, struct pool *pool);

// The rule of a table of opaque connections for a client that asks for `name` (SNI, in lower case; empty: for none): the very name, then the longest of those for all
// below, then what is for all. NULL: none.
const struct route_rule *route_match_server_name(const struct route_table *table, struct bytes name);

#endif
