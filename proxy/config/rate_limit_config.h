// A RateLimitPolicy as a snapshot has it: how many requests of one key may come in what time.
#ifndef CONFIG_RATE_LIMIT_CONFIG_H
#define CONFIG_RATE_LIMIT_CONFIG_H

#include "base/clock.h"
#include "config/request_key.h"
#include "config/route.h"

// Limits that one rule, or one of its tiers, may have.
#define RATE_LIMITS_MAX 4

// The statuses that charge.statuses can name.
#define CHARGE_STATUS_MIN 100
#define CHARGE_STATUS_MAX 599
#define CHARGE_STATUS_WORDS ((CHARGE_STATUS_MAX - CHARGE_STATUS_MIN) / 64 + 1)

// `requests` in `per`, evenly, of which `burst` may come at once.
struct rate_limit {
    uint32_t requests;
    nanoseconds per;
    uint32_t burst; // never 0
};

// Whole periods of the calendar, in UTC; a week begins on Monday.
enum quota_period { QUOTA_HOUR, QUOTA_DAY, QUOTA_WEEK, QUOTA_MONTH };

struct quota {
    uint64_t requests; // 0: there is none
    enum quota_period per;
};

struct rate_tier {
    struct bytes name; // empty: the rule's own, of one without tiers
    struct rate_limit *limits;
    uint32_t limit_count;
    struct quota quota;
};

enum tier_source { TIER_HEADER, TIER_IDENTITY, TIER_CLAIM, TIER_KEY_TABLE };

struct rate_rule {
    struct bytes name;
    const struct route_match *matches; // any of them; none: all requests
    uint32_t match_count;
    struct request_key key; // without parts: all requests together
    struct rate_tier own;
    struct rate_tier *tiers;
    uint32_t tier_count; // 0: `own` holds
    struct {
        enum tier_source source;
        struct bytes name;       // of the header or claim
        const struct map *table; // of a key table: the key's value -> struct rate_tier; else NULL
        uint32_t fallback;       // the tier of whoever names none
    } tier_from;
    uint64_t charged[CHARGE_STATUS_WORDS]; // responses that are charged for, a bit each; none: each request is, when it comes
    bool charges_responses;
};

struct rate_limit_config {
    struct rate_rule *rules;
    uint32_t rule_count;
    uint32_t max_keys; // of all rules together
};

#endif
