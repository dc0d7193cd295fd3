// The decoded spec of a RateLimitPolicy.
#ifndef CONFIG_RESOURCE_RATE_LIMIT_H
#define CONFIG_RESOURCE_RATE_LIMIT_H

#include "config/rate_limit_config.h"
#include "config/resource_route.h"

struct rate_rule_spec {
    struct rate_rule rule; // but for its matches
    struct match_spec *matches;
    uint32_t match_count;
    uint32_t scope; // one word so far
    struct bytes tier_default;
    struct bytes tier_file; // a key table; empty: none
    struct place place;
};

struct rate_limit_spec {
    struct policy_head head;
    struct rate_rule_spec *rules;
    uint32_t rule_count;
    uint32_t max_keys;
};

extern const struct table rate_limit_table;
void rate_limit_check(struct document *document);

// The files that it names: read and judged in each load.
void rate_limit_check_files(struct document *document);

#endif
