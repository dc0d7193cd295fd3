// JSON as plain text for people: `key: value` lines, and tables for lists of objects that hold nothing but single values and lists of such.
#ifndef ADMIN_TEXT_VIEW_H
#define ADMIN_TEXT_VIEW_H

#include "base/buffer.h"

struct json_t; // jansson

// Appends `value`, ended by a line feed. Underscores of names become spaces, control characters become '?'.
void text_view_append(struct buffer *out, struct json_t *value);

// Control characters become '?'.
void text_append_clean(struct buffer *out, struct bytes text);

#endif
