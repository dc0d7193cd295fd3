// See date.h. A scanner over what is left of the text; each step fails without reading past its end.
#include "http/date.h"

#define SECONDS_PER_DAY 86400
#define YEAR_MAX 9999

struct date {
    uint64_t year, month, day, hour, minute, second; // month from 1
};

static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char *const days[] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
static const char *const long_days[] = {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"};

static bool take(struct bytes *text, struct bytes word) {
    if (!bytes_starts_with(*text, word))
        return false;
    *text = bytes_from(text->at + word.len, text->len - word.len);
    return true;
}

// One of the words, by its number from 1; 0: none.
static uint64_t take_word(struct bytes *text, const char *const *words, uint64_t count) {
    for (uint64_t i = 0; i < count; i++)
        if (take(text, bytes_from_text(words[i])))
            return i + 1;
    return 0;
}

// Exactly so many digits.
static bool take_number(struct bytes *text, size_t digits, uint64_t max, uint64_t *number) {
    if (text->len < digits || !bytes_to_u64(bytes_from(text->at, digits), max, number))
        return false;
    *text = bytes_from(text->at + digits, text->len - digits);
    return true;
}

static bool take_time(struct bytes *text, struct date *date) {
    return take_number(text, 2, 23, &date->hour) && take(text, BYTES(":")) && take_number(text, 2, 59, &date->minute) && take(text, BYTES(":")) &&
           take_number(text, 2, 60, &date->second); // 60: a leap second
}

static bool take_month(struct bytes *text, struct date *date) {
    date->month = take_word(text, months, 12);
    return date->month > 0;
}

// "06 Nov 1994 08:49:37 GMT", behind "Sun, ".
static bool take_fixed(struct bytes *text, struct date *date) {
    return take_number(text, 2, 31, &date->day) && take(text, BYTES(" ")) && take_month(text, date) && take(text, BYTES(" ")) &&
           take_number(text, 4, YEAR_MAX, &date->year) && take(text, BYTES(" ")) && take_time(text, date) && take(text, BYTES(" GMT"));
}

// "06-Nov-94 08:49:37 GMT", behind "Sunday, ".
static bool take_rfc850(struct bytes *text, struct date *date) {
    return take_number(text, 2, 31, &date->day) && take(text, BYTES("-")) && take_month(text, date) && take(text, BYTES("-")) &&
           take_number(text, 2, 99, &date->year) && take(text, BYTES(" ")) && take_time(text, date) && take(text, BYTES(" GMT"));
}

// "Nov  6 08:49:37 1994", behind "Sun ".
static bool take_asctime(struct bytes *text, struct date *date) {
    if (!take_month(text, date) || !take(text, BYTES(" ")))
        return false;
    bool has_day = take(text, BYTES(" ")) ? take_number(text, 1, 9, &date->day) : take_number(text, 2, 31, &date->day);
    return has_day && take(text, BYTES(" ")) && take_time(text, date) && take(text, BYTES(" ")) && take_number(text, 4, YEAR_MAX, &date->year);
}

static bool is_leap(uint64_t year) {
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static bool has_day(const struct date *date) {
    static const uint8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    uint64_t length = lengths[date->month - 1] + (date->month == 2 && is_leap(date->year));
    return date->day >= 1 && date->day <= length;
}

// Years counted from March, so that the leap day is the last of its year: months from March on have (153 m + 2) / 5 days before them.
static uint64_t seconds_of(const struct date *date) {
    uint64_t year = date->month > 2 ? date->year : date->year - 1;
    uint64_t month = date->month > 2 ? date->month - 3 : date->month + 9;
    uint64_t day = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + date->day - 1;
    return ((day - 719468) * 24 + date->hour) * 3600 + date->minute * 60 + date->second; // 719,468 days from 1 March of year 0 to 1970
}

// A year that looks more than 50 years ahead is the most recent one in the past with the same last digits.
static uint64_t full_year(uint64_t digits, uint64_t now) {
    uint64_t this_year = 1970 + now / SECONDS_PER_DAY * 400 / 146097;
    uint64_t year = this_year - this_year % 100 + digits;
    return year > this_year + 50 ? year - 100 : year;
}

bool http_date_parse(struct bytes text, uint64_t now, uint64_t *seconds) {
    struct date date;
    bool is_date;
    if (take_word(&text, long_days, 7) > 0) {
        is_date = take(&text, BYTES(", ")) && take_rfc850(&text, &date);
        if (is_date)
            date.year = full_year(date.year, now);
    } else if (take_word(&text, days, 7) > 0) {
        is_date = take(&text, BYTES(", ")) ? take_fixed(&text, &date) : take(&text, BYTES(" ")) && take_asctime(&text, &date);
    } else {
        return false;
    }
    if (!is_date || text.len > 0 || date.year < 1970 || !has_day(&date))
        return false;
    *seconds = seconds_of(&date);
    return true;
}
