// Periods of the calendar for quotas, in UTC. Pure.
#ifndef FILTERS_QUOTA_PERIOD_H
#define FILTERS_QUOTA_PERIOD_H

#include "config/rate_limit_config.h"

// When the period ends in which `now` lies: seconds since 1970, both. A week ends on Sunday at midnight.
uint64_t quota_period_end(enum quota_period period, uint64_t now);

#endif
