// Values of ours as JSON: jansson takes only valid UTF-8, and times and sizes are to look alike on all pages.
#ifndef ADMIN_JSON_BUILD_H
#define ADMIN_JSON_BUILD_H

#include "base/bytes.h"
#include "base/clock.h"

struct json_t; // jansson; all functions give a new reference, or take one over

// A string; bytes that are not ASCII become '?' where the text is not valid UTF-8.
struct json_t *json_text(struct bytes text);

// "2026-01-31T12:00:00Z"; null for 0.
struct json_t *json_wall_time(nanoseconds wall);

// As the policy language writes it: "250ms", "1h30m"; "0s" for none.
struct json_t *json_duration(nanoseconds duration);

// Set a member; texts that are empty are left out.
void json_set(struct json_t *object, const char *name, struct json_t *value);
void json_set_text(struct json_t *object, const char *name, struct bytes text);
void json_set_number(struct json_t *object, const char *name, uint64_t value);

// A list of C strings.
struct json_t *json_lines(const char *const *lines, uint32_t count);

#endif
