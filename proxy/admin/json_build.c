// The few forms that values take on the admin pages: see json_build.h.
#include "admin/json_build.h"

#include "base/check.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <time.h>

// More than the longest text that a document may hold on one line of a page.
#define TEXT_MAX 4096

json_t *json_text(struct bytes text) {
    json_t *value = json_stringn(text.len > 0 ? text.at : "", text.len);
    if (value != NULL)
        return value;
    char ascii[TEXT_MAX];
    size_t length = text.len < sizeof(ascii) ? text.len : sizeof(ascii);
    for (size_t i = 0; i < length; i++)
        ascii[i] = (unsigned char)text.at[i] < 128 ? text.at[i] : '?';
    value = json_stringn(ascii, length);
    CHECK(value != NULL);
    return value;
}

json_t *json_wall_time(nanoseconds wall) {
    if (wall == 0)
        return json_null();
    char text[32];
    struct tm tm;
    time_t seconds = (time_t)(wall / NS_PER_S);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
    return json_string(text);
}

json_t *json_duration(nanoseconds duration) {
    static const struct {
        nanoseconds size;
        const char *name;
    } units[] = {{3600 * NS_PER_S, "h"}, {60 * NS_PER_S, "m"}, {NS_PER_S, "s"}, {NS_PER_MS, "ms"}};
    char text[96] = "";
    size_t length = 0;
    for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
        uint64_t count = duration / units[i].size;
        duration %= units[i].size;
        if (count > 0)
            length += (size_t)snprintf(text + length, sizeof(text) - length, "%" PRIu64 "%s", count, units[i].name);
    }
    return json_string(length > 0 ? text : "0s");
}

void json_set(json_t *object, const char *name, json_t *value) {
    int failed = json_object_set_new(object, name, value);
    CHECK(failed == 0);
}

void json_set_text(json_t *object, const char *name, struct bytes text) {
    if (text.len > 0)
        json_set(object, name, json_text(text));
}

void json_set_number(json_t *object, const char *name, uint64_t value) {
    json_set(object, name, json_integer((json_int_t)(value < INT64_MAX ? value : INT64_MAX)));
}

json_t *json_lines(const char *const *lines, uint32_t count) {
    json_t *list = json_array();
    for (uint32_t i = 0; i < count; i++)
        json_array_append_new(list, json_text(bytes_from_text(lines[i])));
    return list;
}
