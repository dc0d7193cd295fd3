// A validator of JSON texts (RFC 8259) and of their UTF-8, small enough to be obviously right: the judge of what the access log writes. It builds nothing.
#ifndef TESTS_UNIT_TELEMETRY_JSON_VALIDATOR_H
#define TESTS_UNIT_TELEMETRY_JSON_VALIDATOR_H

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct json_text {
    const char *at;
    const char *end;
};

static inline bool json_value(struct json_text *text, unsigned depth);

static inline bool json_take(struct json_text *text, const char *literal) {
    size_t length = strlen(literal);
    if ((size_t)(text->end - text->at) < length || memcmp(text->at, literal, length) != 0)
        return false;
    text->at += length;
    return true;
}

// One code point by its definition: decode, then compare with the shortest form's range.
static inline bool json_character(struct json_text *text) {
    static const unsigned long least[] = {0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)*text->at++;
    unsigned more = first < 0x80 ? 0 : (first & 0xe0) == 0xc0 ? 1 : (first & 0xf0) == 0xe0 ? 2 : (first & 0xf8) == 0xf0 ? 3 : 9;
    if (more == 9 || (size_t)(text->end - text->at) < more)
        return false;
    unsigned long code = more == 0 ? first : first & (0x3fu >> more);
    for (unsigned i = 0; i < more; i++) {
        unsigned char next = (unsigned char)*text->at++;
        if ((next & 0xc0) != 0x80)
            return false;
        code = code << 6 | (next & 0x3f);
    }
    bool control = code < 0x20 || (code >= 0x7f && code < 0xa0); // DEL and C1 are legal JSON, but not what a log may hold
    return code >= least[more] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff) && !control;
}

static inline bool json_string(struct json_text *text) {
    if (!json_take(text, "\""))
        return false;
    while (text->at < text->end && *text->at != '"') {
        if (*text->at != '\\') {
            if (!json_character(text))
                return false;
            continue;
        }
        text->at++;
        if (text->at == text->end)
            return false;
        char escape = *text->at++;
        if (escape != 'u') {
            if (escape == '\0' || strchr("\"\\/bfnrt", escape) == NULL)
                return false;
            continue;
        }
        for (unsigned i = 0; i < 4; i++, text->at++)
            if (text->at == text->end || !isxdigit((unsigned char)*text->at))
                return false;
    }
    return json_take(text, "\"");
}

// Integers without sign are all that is written.
static inline bool json_number(struct json_text *text) {
    const char *start = text->at;
    while (text->at < text->end && isdigit((unsigned char)*text->at))
        text->at++;
    return text->at > start && (*start != '0' || text->at == start + 1);
}

static inline bool json_object(struct json_text *text, unsigned depth) {
    if (!json_take(text, "{"))
        return false;
    if (json_take(text, "}"))
        return true;
    do
        if (!json_string(text) || !json_take(text, ":") || !json_value(text, depth + 1))
            return false;
    while (json_take(text, ","));
    return json_take(text, "}");
}

static inline bool json_value(struct json_text *text, unsigned depth) {
    if (text->at == text->end || depth > 8)
        return false;
    if (*text->at == '{')
        return json_object(text, depth);
    if (*text->at == '"')
        return json_string(text);
    return json_take(text, "true") || json_take(text, "false") || json_number(text);
}

// One object and a line feed, nothing else.
static inline bool json_is_line(const char *line, size_t length) {
    struct json_text text = {line, line + length};
    return json_object(&text, 0) && json_take(&text, "\n") && text.at == text.end;
}

#endif
