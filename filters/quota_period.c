// Where a period of the calendar ends: hours, days and weeks by counting, months by the C library.
#include "filters/quota_period.h"

#include "base/check.h"

#include <time.h>

#define HOUR_S UINT64_C(3600)
#define DAY_S (24 * HOUR_S)
#define WEEK_S (7 * DAY_S)

// 1 January 1970 was a Thursday, the fourth day of its week.
#define DAYS_OF_WEEK_BEFORE_1970 3

static uint64_t month_end(uint64_t now) {
    const time_t seconds = (time_t)now;
    struct tm calendar;
    CHECK(gmtime_r(&seconds, &calendar) != NULL);
    struct tm next = {.tm_year = calendar.tm_year, .tm_mon = calendar.tm_mon + 1, .tm_mday = 1}; // a 13th month is the next year's first
    return (uint64_t)timegm(&next);
}

uint64_t quota_period_end(enum quota_period period, uint64_t now) {
    switch (period) {
    case QUOTA_HOUR:
        return now - now % HOUR_S + HOUR_S;
    case QUOTA_DAY:
        return now - now % DAY_S + DAY_S;
    case QUOTA_WEEK:
        return now - (now + DAYS_OF_WEEK_BEFORE_1970 * DAY_S) % WEEK_S + WEEK_S;
    case QUOTA_MONTH:
        return month_end(now);
    }
    check_failed("a period is none of those that there are", __FILE__, __LINE__);
}
