// A reader of protobuf for two fields, and one of JSON that closes what was cut off. See otlp_remark.h.
#include "agent/otlp_remark.h"

#include "base/pool.h"

#include <jansson.h>
#include <stdlib.h>

// ---- protobuf

enum { WIRE_VARINT = 0, WIRE_64_BITS = 1, WIRE_LENGTH = 2, WIRE_32_BITS = 5 };

struct wire_field {
    uint64_t number;
    unsigned type;
    uint64_t value;       // of a varint
    struct bytes content; // of what has a length
};

static struct bytes behind(struct bytes text, size_t count) {
    return bytes_from(text.at + count, text.len - count);
}

static bool read_varint(struct bytes *rest, uint64_t *value) {
    *value = 0;
    for (size_t i = 0; i < rest->len && i < 10; i++) {
        const unsigned char byte = (unsigned char)rest->at[i];
        *value |= (uint64_t)(byte & 0x7F) << (7 * i);
        if ((byte & 0x80) == 0) {
            *rest = behind(*rest, i + 1);
            return true;
        }
    }
    return false;
}

static bool skip(struct bytes *rest, size_t count) {
    if (rest->len < count)
        return false;
    *rest = behind(*rest, count);
    return true;
}

// False: what comes is no field, or not all of it is there, but for the content of one that was cut.
static bool read_field(struct bytes *rest, bool is_cut, struct wire_field *field) {
    uint64_t tag, length;
    *field = (struct wire_field){0};
    if (!read_varint(rest, &tag) || tag >> 3 == 0)
        return false;
    field->number = tag >> 3;
    field->type = (unsigned)(tag & 7);
    switch (field->type) {
    case WIRE_VARINT:
        return read_varint(rest, &field->value);
    case WIRE_64_BITS:
        return skip(rest, 8);
    case WIRE_32_BITS:
        return skip(rest, 4);
    case WIRE_LENGTH:
        if (!read_varint(rest, &length) || (length > rest->len && !is_cut))
            return false;
        field->content = bytes_from(rest->at, length < rest->len ? length : rest->len);
        *rest = behind(*rest, field->content.len);
        return true;
    default:
        return false;
    }
}

static void set_text(struct otlp_remark *remark, struct bytes text) {
    const size_t length = text.len < sizeof remark->room ? text.len : sizeof remark->room;
    memcpy(remark->room, text.len > 0 ? text.at : "", length);
    remark->text = bytes_from(remark->room, length);
}

// partial_success and google.rpc.Status alike: a number in field 1, a text in field 2.
static bool read_pair(struct bytes message, bool is_cut, uint64_t *number, struct otlp_remark *remark) {
    struct wire_field field;
    while (message.len > 0) {
        if (!read_field(&message, is_cut, &field))
            return is_cut && remark->text.len > 0;
        if (field.number == 1 && field.type == WIRE_VARINT)
            *number = field.value <= INT64_MAX ? field.value : 0; // else it is below zero
        else if (field.number == 2 && field.type == WIRE_LENGTH)
            set_text(remark, field.content);
    }
    return true;
}

// ---- JSON

#define DEPTH_MAX 16

// Where a text of JSON stands that was read up to its end.
struct json_place {
    bool is_in_string;
    size_t whole; // bytes up to the last sign of the string that is whole
    char closers[DEPTH_MAX];
    size_t depth;
};

// "\ud83d\ude00": half of a pair alone is no JSON.
static bool is_high_surrogate(struct bytes text, size_t at) {
    const int high = at + 4 < text.len ? bytes_octet_of_hex(bytes_from(text.at + at + 2, 2)) : -1;
    return high >= 0xd8 && high <= 0xdb;
}

static size_t sign_length(struct bytes text, size_t at) {
    if (text.at[at] == '\\' && at + 1 < text.len && text.at[at + 1] == 'u')
        return is_high_surrogate(text, at) ? 12 : 6;
    if (text.at[at] == '\\')
        return 2;
    size_t length = 1; // of UTF-8
    while (at + length < text.len && ((unsigned char)text.at[at + length] & 0xC0) == 0x80)
        length++;
    return at + length < text.len ? length : length + 1; // the last one may lack something
}

// False: it is deeper than any answer.
static bool find_place(struct bytes text, struct json_place *place) {
    for (size_t at = 0; at < text.len;) {
        const char c = text.at[at];
        if (place->is_in_string && c != '"') {
            place->whole = at;
            at += sign_length(text, at);
            continue;
        }
        at++;
        if (c == '"') {
            place->is_in_string = !place->is_in_string;
            place->whole = at;
        } else if (c == '{' || c == '[') {
            if (place->depth == DEPTH_MAX - 1) // the string's quote is one more
                return false;
            place->closers[place->depth++] = c == '{' ? '}' : ']';
        } else if ((c == '}' || c == ']') && place->depth > 0) {
            place->depth--;
        }
    }
    return true;
}

// A long text in it is what makes an answer long: one that was cut inside of that is closed behind it.
static json_t *load_cut(struct bytes front) {
    struct json_place place = {0};
    if (!find_place(front, &place) || !place.is_in_string)
        return NULL;
    char *closed = try_alloc(place.whole + 1 + place.depth);
    if (closed == NULL)
        return NULL;
    size_t length = place.whole;
    memcpy(closed, front.at, length);
    closed[length++] = '"';
    while (place.depth > 0)
        closed[length++] = place.closers[--place.depth];
    json_t *json = json_loadb(closed, length, JSON_DECODE_INT_AS_REAL, NULL);
    free(closed);
    return json;
}

// NULL: it is no object.
static json_t *load(struct bytes body, bool is_cut) {
    json_t *json = is_cut ? load_cut(body) : json_loadb(body.at, body.len, JSON_DECODE_INT_AS_REAL, NULL);
    if (json_is_object(json))
        return json;
    json_decref(json);
    return NULL;
}

// One of 64 bits is a text, and may be a number. What is more than that is as many as there are.
static uint64_t number_of(const json_t *value) {
    const char *text = json_string_value(value);
    uint64_t number = 0;
    if (json_is_real(value))
        return json_real_value(value) < 1 ? 0 : json_real_value(value) < 1e18 ? (uint64_t)json_real_value(value) : UINT64_MAX;
    if (text == NULL || text[0] == '\0' || text[strspn(text, "0123456789")] != '\0')
        return 0;
    return bytes_to_u64(bytes_from_text(text), UINT64_MAX, &number) ? number : UINT64_MAX;
}

static void set_text_of(struct otlp_remark *remark, const json_t *value) {
    if (json_is_string(value))
        set_text(remark, bytes_from(json_string_value(value), json_string_length(value)));
}

// ---- both

static bool read_partial_success(struct bytes response, bool is_cut, struct otlp_remark *remark) {
    struct wire_field field;
    bool is_read = true;
    while (response.len > 0 && is_read) {
        is_read = read_field(&response, is_cut, &field);
        if (is_read && field.number == 1 && field.type == WIRE_LENGTH)
            is_read = read_pair(field.content, is_cut, &remark->rejected, remark);
    }
    return is_read;
}

bool otlp_remark_of_taken(struct bytes body, bool is_json, bool is_cut, struct otlp_remark *remark) {
    static const char *const names[] = {"rejectedSpans", "rejectedDataPoints", "rejectedLogRecords"};
    *remark = (struct otlp_remark){0};
    if (!is_json)
        return read_partial_success(body, is_cut, remark);
    json_t *response = load(body, is_cut);
    const json_t *partial = json_object_get(response, "partialSuccess");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) { // an answer has one of them; of more the largest
        const uint64_t number = number_of(json_object_get(partial, names[i]));
        remark->rejected = number > remark->rejected ? number : remark->rejected;
    }
    set_text_of(remark, json_object_get(partial, "errorMessage"));
    const bool is_read = response != NULL;
    json_decref(response);
    return is_read;
}

bool otlp_remark_of_refusal(struct bytes body, bool is_json, bool is_cut, struct otlp_remark *remark) {
    uint64_t code; // the answer's status says it
    *remark = (struct otlp_remark){0};
    if (!is_json)
        return read_pair(body, is_cut, &code, remark);
    json_t *status = load(body, is_cut);
    set_text_of(remark, json_object_get(status, "message"));
    const bool is_read = status != NULL;
    json_decref(status);
    return is_read;
}
