// Tags, lengths, and what becomes of that for which there is no room. See span.h.
#include "telemetry/span.h"

#include "base/check.h"
#include "telemetry/text_escape.h"

#include <assert.h>

// Tags: the number of a field times eight, and how it is written.
#define VARINT(field) ((field) << 3)
#define FIXED64(field) ((field) << 3 | 1)
#define LENGTH(field) ((field) << 3 | 2)
#define FIXED32(field) ((field) << 3 | 5)

#define SCOPE_SPANS 2
enum { SPAN_TRACE_ID = 1, SPAN_ID, SPAN_TRACE_STATE, SPAN_PARENT_ID, SPAN_NAME, SPAN_KIND, SPAN_BEGUN, SPAN_ENDED, SPAN_ATTRIBUTES };
enum { SPAN_ATTRIBUTES_DROPPED = 10, SPAN_EVENTS, SPAN_EVENTS_DROPPED, SPAN_LINKS, SPAN_LINKS_DROPPED, SPAN_STATUS, SPAN_FLAGS };
enum { EVENT_TIME = 1, EVENT_NAME, EVENT_ATTRIBUTES, EVENT_ATTRIBUTES_DROPPED };
enum { LINK_TRACE_ID = 1, LINK_SPAN_ID, LINK_TRACE_STATE, LINK_ATTRIBUTES, LINK_ATTRIBUTES_DROPPED, LINK_FLAGS };
enum { STATUS_MESSAGE = 2, STATUS_CODE };
enum { KEY_VALUE_KEY = 1, KEY_VALUE_VALUE };
enum { ANY_TEXT = 1, ANY_NUMBER = 3, ANY_ARRAY = 5 };

// Beside W3C's flags: that it is known whether the parent is in another process, and that it is.
#define FLAG_REMOTE_KNOWN 0x100
#define FLAG_REMOTE 0x200

#define LENGTH_BYTES 2
static_assert(SPAN_BYTES_MAX <= 1 << 14, "a length of two bytes");

#define VARINT_MAX 10
#define COUNT_BYTES 6                      // of a number that was dropped: a tag and 32 bits
#define TAIL_BYTES (3 * COUNT_BYTES)       // of a span
#define HEAD_BYTES_MAX (4 * SPAN_TEXT_MAX) // trace state, name and message, and all that is of a fixed length
static_assert(HEAD_BYTES_MAX + TAIL_BYTES < SPAN_BYTES_MAX, "a span's head always has room");
#define TEXT_ROOM_MIN (1 + LENGTH_BYTES + 4) // of a text: at least one character of it

// ---- wire

static char *put_varint(char *at, uint64_t value) {
    for (; value >= 0x80; value >>= 7)
        *at++ = (char)(unsigned char)(value | 0x80);
    *at++ = (char)value;
    return at;
}

static char *put_fixed(char *at, uint64_t value, size_t count) {
    for (size_t i = 0; i < count; i++)
        *at++ = (char)(unsigned char)(value >> 8 * i);
    return at;
}

static char *put_bytes(char *at, char tag, const void *bytes, size_t count) {
    *at++ = tag;
    *at++ = (char)count;
    memcpy(at, bytes, count);
    return at + count;
}

static char *put_time(char *at, char tag, nanoseconds time) {
    *at++ = tag;
    return put_fixed(at, time, 8);
}

// What begins here gets its length from close_length once it is known.
static char *open_length(char *at, char tag) {
    *at = tag;
    return at + 1 + LENGTH_BYTES;
}

static void close_length(char *begin, const char *end) {
    const size_t length = (size_t)(end - begin) - 1 - LENGTH_BYTES;
    begin[1] = (char)(unsigned char)(length | 0x80);
    begin[2] = (char)(length >> 7);
}

// NULL: there is no room before `end`; else it is there, cut where it is longer than SPAN_TEXT_MAX.
static char *put_text(char *at, const char *end, char tag, struct bytes text) {
    size_t taken;
    if (end - at < TEXT_ROOM_MIN)
        return NULL;
    char *const begin = at;
    at = open_length(at, tag);
    const size_t left = (size_t)(end - at), room = left < SPAN_TEXT_MAX ? left : SPAN_TEXT_MAX;
    at += text_to_utf8(at, room, text, &taken);
    if (taken < text.len && room < SPAN_TEXT_MAX)
        return NULL;
    close_length(begin, at);
    return at;
}

// ---- the span

// Where it cannot fail: the head's texts have room.
static char *put_head_text(char *at, char tag, struct bytes text) {
    if (text.len == 0)
        return at;
    char *const behind = put_text(at, at + 1 + LENGTH_BYTES + SPAN_TEXT_MAX, tag, text);
    CHECK(behind != NULL);
    return behind;
}

static char *put_status(char *at, enum span_status status, struct bytes message) {
    if (status == SPAN_UNSET)
        return at;
    char *const begin = at;
    at = open_length(at, LENGTH(SPAN_STATUS));
    if (status == SPAN_ERROR) // it alone may say why
        at = put_head_text(at, LENGTH(STATUS_MESSAGE), message);
    *at++ = VARINT(STATUS_CODE);
    *at++ = (char)status;
    close_length(begin, at);
    return at;
}

void span_begin(struct span_writer *writer, char *memory, const struct span_head *head) {
    *writer = (struct span_writer){.begin = memory, .end = memory + SPAN_BYTES_MAX - TAIL_BYTES, .events_dropped = head->events_dropped};
    char *at = open_length(memory, LENGTH(SCOPE_SPANS));
    at = put_bytes(at, LENGTH(SPAN_TRACE_ID), head->context.trace_id, TRACE_ID_BYTES);
    at = put_bytes(at, LENGTH(SPAN_ID), head->context.span_id, SPAN_ID_BYTES);
    at = put_head_text(at, LENGTH(SPAN_TRACE_STATE), head->trace_state);
    if (head->parent_id != NULL)
        at = put_bytes(at, LENGTH(SPAN_PARENT_ID), head->parent_id, SPAN_ID_BYTES);
    at = put_head_text(at, LENGTH(SPAN_NAME), head->name);
    *at++ = VARINT(SPAN_KIND);
    *at++ = (char)head->kind;
    at = put_time(at, FIXED64(SPAN_BEGUN), head->begun);
    at = put_time(at, FIXED64(SPAN_ENDED), head->ended);
    at = put_status(at, head->status, head->message);
    at = put_varint(at, FIXED32(SPAN_FLAGS));
    at = put_fixed(at, head->context.flags | FLAG_REMOTE_KNOWN | (head->parent_id != NULL && head->parent_is_remote ? FLAG_REMOTE : 0u), 4);
    CHECK(at <= memory + HEAD_BYTES_MAX);
    writer->at = at;
}

// ---- attributes

// Of what is open. NULL: as many are there as may be, or what they belong to was dropped.
static char *attribute_begin(struct span_writer *writer) {
    const bool is_inner = writer->inner != NULL;
    if ((is_inner && writer->inner_is_dropped) || (is_inner ? writer->inner_attributes : writer->attributes) == SPAN_ITEMS_MAX)
        return NULL;
    return writer->at;
}

static char attribute_tag(const struct span_writer *writer) {
    if (writer->inner == NULL)
        return LENGTH(SPAN_ATTRIBUTES);
    return writer->inner_is_event ? LENGTH(EVENT_ATTRIBUTES) : LENGTH(LINK_ATTRIBUTES);
}

// `value` writes the content of an AnyValue; NULL: there was no room.
struct attribute_value {
    char *(*put)(char *at, const char *end, const struct attribute_value *value);
    struct bytes text;
    int64_t number;
};

static char *put_any_text(char *at, const char *end, const struct attribute_value *value) {
    return put_text(at, end, LENGTH(ANY_TEXT), value->text);
}

static char *put_any_number(char *at, const char *end, const struct attribute_value *value) {
    if (end - at < 1 + VARINT_MAX)
        return NULL;
    *at++ = VARINT(ANY_NUMBER);
    return put_varint(at, (uint64_t)value->number);
}

// ArrayValue { AnyValue { text } }
static char *put_any_list(char *at, const char *end, const struct attribute_value *value) {
    if (end - at < 2 * (1 + LENGTH_BYTES))
        return NULL;
    char *const array = at;
    char *const element = open_length(array, LENGTH(ANY_ARRAY));
    at = put_any_text(open_length(element, LENGTH(1)), end, value);
    if (at == NULL)
        return NULL;
    close_length(element, at);
    close_length(array, at);
    return at;
}

static void put_attribute(struct span_writer *writer, struct bytes key, const struct attribute_value *value) {
    const char *const end = writer->inner == NULL ? writer->end : writer->end - COUNT_BYTES;
    char *const begin = attribute_begin(writer);
    char *at =
        begin == NULL || end - begin < 1 + LENGTH_BYTES ? NULL : put_text(open_length(begin, attribute_tag(writer)), end, LENGTH(KEY_VALUE_KEY), key);
    char *const any = at;
    at = at == NULL || end - at < 1 + LENGTH_BYTES ? NULL : value->put(open_length(at, LENGTH(KEY_VALUE_VALUE)), end, value);
    if (at == NULL) {
        (*(writer->inner != NULL ? &writer->inner_attributes_dropped : &writer->attributes_dropped))++;
        return;
    }
    close_length(any, at);
    close_length(begin, at);
    writer->at = at;
    (*(writer->inner != NULL ? &writer->inner_attributes : &writer->attributes))++;
}

void span_text(struct span_writer *writer, struct bytes key, struct bytes value) {
    if (value.len > 0)
        put_attribute(writer, key, &(struct attribute_value){.put = put_any_text, .text = value});
}

void span_number(struct span_writer *writer, struct bytes key, int64_t value) {
    put_attribute(writer, key, &(struct attribute_value){.put = put_any_number, .number = value});
}

void span_list(struct span_writer *writer, struct bytes key, struct bytes value) {
    put_attribute(writer, key, &(struct attribute_value){.put = put_any_list, .text = value});
}

// ---- events and links

static void inner_begin(struct span_writer *writer, bool is_event) {
    CHECK(writer->inner == NULL);
    writer->inner = writer->at;
    writer->inner_is_event = is_event;
    writer->inner_is_dropped = (is_event ? writer->events : writer->links) == SPAN_ITEMS_MAX;
    writer->inner_attributes = writer->inner_attributes_dropped = 0;
}

// `content`: behind what every one of them has; NULL: there was no room for that.
static void inner_open(struct span_writer *writer, char *content) {
    if (content == NULL)
        writer->inner_is_dropped = true;
    else
        writer->at = content;
}

static void inner_end(struct span_writer *writer, char dropped_tag) {
    CHECK(writer->inner != NULL);
    if (writer->inner_is_dropped) {
        writer->at = writer->inner;
        (*(writer->inner_is_event ? &writer->events_dropped : &writer->links_dropped))++;
    } else {
        if (writer->inner_attributes_dropped > 0) {
            *writer->at++ = dropped_tag;
            writer->at = put_varint(writer->at, writer->inner_attributes_dropped);
        }
        CHECK(writer->at <= writer->end);
        close_length(writer->inner, writer->at);
        (*(writer->inner_is_event ? &writer->events : &writer->links))++;
    }
    writer->inner = NULL;
}

void span_event_begin(struct span_writer *writer, struct bytes name, nanoseconds at) {
    const char *const end = writer->end - COUNT_BYTES;
    inner_begin(writer, true);
    if (writer->inner_is_dropped || end - writer->at < 1 + LENGTH_BYTES + 9) {
        inner_open(writer, NULL);
        return;
    }
    char *const content = put_time(open_length(writer->at, LENGTH(SPAN_EVENTS)), FIXED64(EVENT_TIME), at);
    inner_open(writer, put_text(content, end, LENGTH(EVENT_NAME), name));
}

void span_event_end(struct span_writer *writer) {
    inner_end(writer, VARINT(EVENT_ATTRIBUTES_DROPPED));
}

void span_link_begin(struct span_writer *writer, const struct trace_context *to) {
    const char *const end = writer->end - COUNT_BYTES;
    inner_begin(writer, false);
    if (writer->inner_is_dropped || end - writer->at < 1 + LENGTH_BYTES + 2 + TRACE_ID_BYTES + 2 + SPAN_ID_BYTES + 5) {
        inner_open(writer, NULL);
        return;
    }
    char *at = open_length(writer->at, LENGTH(SPAN_LINKS));
    at = put_bytes(at, LENGTH(LINK_TRACE_ID), to->trace_id, TRACE_ID_BYTES);
    at = put_bytes(at, LENGTH(LINK_SPAN_ID), to->span_id, SPAN_ID_BYTES);
    *at++ = FIXED32(LINK_FLAGS);
    inner_open(writer, put_fixed(at, to->flags | FLAG_REMOTE_KNOWN, 4)); // links are to spans of our own
}

void span_link_end(struct span_writer *writer) {
    inner_end(writer, VARINT(LINK_ATTRIBUTES_DROPPED));
}

// ---- the end

static char *put_count(char *at, char tag, uint32_t count) {
    if (count == 0)
        return at;
    *at = tag;
    return put_varint(at + 1, count);
}

size_t span_end(struct span_writer *writer) {
    CHECK(writer->inner == NULL);
    char *at = writer->at;
    at = put_count(at, VARINT(SPAN_ATTRIBUTES_DROPPED), writer->attributes_dropped);
    at = put_count(at, VARINT(SPAN_EVENTS_DROPPED), writer->events_dropped);
    at = put_count(at, VARINT(SPAN_LINKS_DROPPED), writer->links_dropped);
    CHECK(at <= writer->begin + SPAN_BYTES_MAX);
    close_length(writer->begin, at);
    return (size_t)(at - writer->begin);
}
