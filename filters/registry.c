// The only list of filters, in no order: that stands in stream/chain_order.c.
#include "filters/registry.h"

const struct filter_type *const filter_types[] = {
    &filter_deadline,
    &filter_try_deadline,
    &filter_redirect,
    &filter_rewrite,
    &filter_header_modifier,
    &filter_cors,
    &filter_mirror,
    &filter_rate_limit,
    &filter_fault,
    &filter_authorization,
    &filter_authorization_claims,
    &filter_authorization_agents,
    &filter_external_authorization,
    &filter_breaker,
    &filter_bulkhead,
    &filter_authentication,
    &filter_rate_limit_claims,
    NULL,
};
