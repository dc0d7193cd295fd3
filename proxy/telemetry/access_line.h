// A line in the making: what the files share that write lines of logs, theirs alone.
#ifndef TELEMETRY_ACCESS_LINE_H
#define TELEMETRY_ACCESS_LINE_H

#include "telemetry/access_log.h"

struct access_line {
    char *at;
    char *end;
};

// A moment in UTC.
struct calendar {
    uint32_t year;
    uint32_t month, day;  // from 1
    uint32_t day_of_year; // from 1
    uint32_t weekday;     // Sunday: 0
    uint32_t hour, minute, second;
    uint32_t nanosecond;
};

struct calendar calendar_of(nanoseconds wall);

// There is room for all of it.
void access_line_add(struct access_line *line, struct bytes text);
void access_line_add_number(struct access_line *line, uint64_t value);
void access_line_add_padded(struct access_line *line, uint64_t value, unsigned digits);
void access_line_add_time(struct access_line *line, nanoseconds wall); // RFC 3339, UTC, microseconds

// As much of it as there is room.
void access_line_add_some(struct access_line *line, struct bytes text);

// The value of a field, escaped and with no quotes around it; there is room for access_field_max. False: it has none.
bool access_line_add_field(struct access_line *line, const struct access_record *record, enum access_field field);
size_t access_field_max(enum access_field field);

// The value as it is. False: it has none.
struct access_value {
    bool is_number;
    struct bytes text;
    uint64_t number;
};
bool access_value_of(const struct access_record *record, enum access_field field, struct access_value *value);

#endif
