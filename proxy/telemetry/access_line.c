// Text, numbers and moments at the end of a line. See access_line.h.
#include "telemetry/access_line.h"

#include "base/check.h"

#define SECONDS_PER_DAY 86400

void access_line_add(struct access_line *line, struct bytes text) {
    CHECK((size_t)(line->end - line->at) >= text.len);
    memcpy(line->at, text.at, text.len);
    line->at += text.len;
}

void access_line_add_number(struct access_line *line, uint64_t value) {
    char digits[20];
    char *at = digits + sizeof(digits);
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    access_line_add(line, bytes_from(at, (size_t)(digits + sizeof(digits) - at)));
}

void access_line_add_padded(struct access_line *line, uint64_t value, unsigned digits) {
    CHECK((size_t)(line->end - line->at) >= digits);
    for (unsigned i = digits; i-- > 0; value /= 10)
        line->at[i] = (char)('0' + value % 10);
    line->at += digits;
}

void access_line_add_some(struct access_line *line, struct bytes text) {
    size_t room = (size_t)(line->end - line->at);
    access_line_add(line, bytes_from(text.at, text.len < room ? text.len : room));
}

// The calendar is computed here since gmtime_r takes a lock: days are counted from 1 March of year 0, so that the leap day is
// the last of its year; 146,097 days make 400 years, and months from March on have (153 m + 2) / 5 days before them.
struct calendar calendar_of(nanoseconds wall) {
    const uint64_t seconds = wall / NS_PER_S, since_1970 = seconds / SECONDS_PER_DAY;
    const uint64_t days = since_1970 + 719468; // from 1 March of year 0 to 1 January 1970
    const uint64_t era = days / 146097, day_of_era = days % 146097;
    const uint64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const uint64_t day_from_march = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const uint64_t month_from_march = (5 * day_from_march + 2) / 153;
    const uint64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    const uint64_t second_of_day = seconds % SECONDS_PER_DAY;
    const uint64_t year = era * 400 + year_of_era + (month <= 2);
    const bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    const uint64_t day_of_year = month <= 2 ? day_from_march - 306 : day_from_march + 59 + is_leap; // 306 days from 1 March to 1 January
    return (struct calendar){
        .year = (uint32_t)year,
        .month = (uint32_t)month,
        .day = (uint32_t)(day_from_march - (153 * month_from_march + 2) / 5 + 1),
        .day_of_year = (uint32_t)day_of_year + 1,
        .weekday = (uint32_t)((since_1970 + 4) % 7), // 1 January 1970 was a Thursday
        .hour = (uint32_t)(second_of_day / 3600),
        .minute = (uint32_t)(second_of_day / 60 % 60),
        .second = (uint32_t)(second_of_day % 60),
        .nanosecond = (uint32_t)(wall % NS_PER_S),
    };
}

void access_line_add_time(struct access_line *line, nanoseconds wall) {
    const struct calendar moment = calendar_of(wall);
    access_line_add_padded(line, moment.year, 4);
    access_line_add(line, BYTES("-"));
    access_line_add_padded(line, moment.month, 2);
    access_line_add(line, BYTES("-"));
    access_line_add_padded(line, moment.day, 2);
    access_line_add(line, BYTES("T"));
    access_line_add_padded(line, moment.hour, 2);
    access_line_add(line, BYTES(":"));
    access_line_add_padded(line, moment.minute, 2);
    access_line_add(line, BYTES(":"));
    access_line_add_padded(line, moment.second, 2);
    access_line_add(line, BYTES("."));
    access_line_add_padded(line, moment.nanosecond / NS_PER_US, 6);
    access_line_add(line, BYTES("Z"));
}
