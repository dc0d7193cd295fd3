// See json.h. The levels are counted before jansson descends into them.
#include "certs/json.h"

#include <jansson.h>

static bool is_deeper(struct bytes text, unsigned depth_max) {
    unsigned depth = 0;
    bool in_text = false;
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.at[i];
        if (in_text && c == '\\')
            i++;
        else if (c == '"')
            in_text = !in_text;
        else if (!in_text && (c == '{' || c == '[') && ++depth > depth_max)
            return true;
        else if (!in_text && (c == '}' || c == ']') && depth > 0)
            depth--;
    }
    return false;
}

struct json_t *json_read_object(struct bytes text, unsigned depth_max) {
    json_error_t error;
    if (is_deeper(text, depth_max))
        return NULL;
    json_t *value = json_loadb(text.at, text.len, JSON_REJECT_DUPLICATES, &error);
    if (value == NULL || json_is_object(value))
        return value;
    json_decref(value);
    return NULL;
}

struct bytes json_member_text(const struct json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    return json_is_string(value) ? bytes_from(json_string_value(value), json_string_length(value)) : BYTES_NONE;
}
