// The only list of filters. What a filter is stands in stream/filter.h; where each runs, in stream/chain_order.c.
#ifndef FILTERS_REGISTRY_H
#define FILTERS_REGISTRY_H

#include "stream/filter.h"

// Ends with NULL.
extern const struct filter_type *const filter_types[];

extern const struct filter_type filter_deadline;
extern const struct filter_type filter_try_deadline;
extern const struct filter_type filter_redirect;
extern const struct filter_type filter_rewrite;
extern const struct filter_type filter_header_modifier;
extern const struct filter_type filter_cors;
extern const struct filter_type filter_mirror;
extern const struct filter_type filter_authentication;
extern const struct filter_type filter_rate_limit;
extern const struct filter_type filter_rate_limit_claims;
extern const struct filter_type filter_fault;
extern const struct filter_type filter_authorization;
extern const struct filter_type filter_breaker;
extern const struct filter_type filter_bulkhead;
extern const struct filter_type filter_authorization_claims;
extern const struct filter_type filter_authorization_agents;
extern const struct filter_type filter_external_authorization;

#endif
