// Where a period of the calendar ends: by counting, so that no clock, zone or lock of the process is asked.
#include "filters/quota_period.h"

#include "base/check.h"

#define HOUR_S UINT64_C(3600)
#define DAY_S (24 * HOUR_S)
#define WEEK_S (7 * DAY_S)

// 1 January 1970 was a Thursday, the fourth day of its week.
#define DAYS_OF_WEEK_BEFORE_1970 3

static bool is_leap(uint64_t year) {
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static uint64_t days_of(uint64_t year, unsigned month) {
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month] + (month == 1 && is_leap(year));
}

// The first day behind the month in which `day` lies; both in days since 1970.
static uint64_t month_end(uint64_t day) {
    uint64_t first = 0, year = 1970;
    unsigned month = 0;
    for (; first + (is_leap(year) ? 366 : 365) <= day; year++)
        first += is_leap(year) ? 366 : 365;
    for (; first + days_of(year, month) <= day; month++)
        first += days_of(year, month);
    return first + days_of(year, month);
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
        return month_end(now / DAY_S) * DAY_S;
    }
    check_failed("a period is none of those that there are", __FILE__, __LINE__);
}
