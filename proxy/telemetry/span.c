// Tags, lengths, and what becomes of that for which there is no room. See span.h.
#include "telemetry/span.h"

#include "base/check.h"
#include "telemetry/otlp_wire.h"

#include <assert.h>

#define SCOPE_SPANS 2
enum { SPAN_TRACE_ID = 1, SPAN_ID, SPAN_TRACE_STATE, SPAN_PARENT_ID, SPAN_NAME, SPAN_KIND, SPAN_BEGUN, SPAN_ENDED, SPAN_ATTRIBUTES };
enum { SPAN_ATTRIBUTES_DROPPED = 10, SPAN_EVENTS, SPAN_EVENTS_DROPPED, SPAN_LINKS, SPAN_LINKS_DROPPED, SPAN_STATUS, SPAN_FLAGS };
enum { EVENT_TIME = 1, EVENT_NAME, EVENT_ATTRIBUTES, EVENT_ATTRIBUTES_DROPPED };
enum { LINK_TRACE_ID = 1, LINK_SPAN_ID, LINK_TRACE_STATE, LINK_ATTRIBUTES, LINK_ATTRIBUTES_DROPPED, LINK_FLAGS };
enum { STATUS_MESSAGE = 2, STATUS_CODE };

// Beside W3C's flags: that it is known whether the parent is in another process, and that it is.
#define FLAG_REMOTE_KNOWN 0x100
#define FLAG_REMOTE 0x200

static_assert(SPAN_BYTES_MAX <= WIRE_MESSAGE_MAX, "a length of two bytes");
static_assert(SPAN_TEXT_MAX == WIRE_TEXT_MAX, "of one text");

#define COUNT_BYTES 6                      // of a number that was dropped: a tag and 32 bits
#define TAIL_BYTES (3 * COUNT_BYTES)       // of a span
#define HEAD_BYTES_MAX (4 * SPAN_TEXT_MAX) // trace state, name and message, and all that is of a fixed length
static_assert(HEAD_BYTES_MAX + TAIL_BYTES < SPAN_BYTES_MAX, "a span's head always has room");

// ---- the span

// Where it cannot fail: the head's texts have room.
static char *put_head_text(char *at, char tag, struct bytes text) {
    if (text.len == 0)
        return at;
    char *const behind = wire_text(at, at + 1 + WIRE_LENGTH_BYTES + SPAN_TEXT_MAX, tag, text);
    CHECK(behind != NULL);
    return behind;
}

static char *put_status(char *at, enum span_status status, struct bytes message) {
    if (status == SPAN_UNSET)
        return at;
    char *const begin = at;
    at = wire_open(at, WIRE_LENGTH(SPAN_STATUS));
    if (status == SPAN_ERROR) // it alone may say why
        at = put_head_text(at, WIRE_LENGTH(STATUS_MESSAGE), message);
    *at++ = WIRE_VARINT(STATUS_CODE);
    *at++ = (char)status;
    wire_close(begin, at);
    return at;
}

void span_begin(struct span_writer *writer, char *memory, const struct span_head *head) {
    *writer = (struct span_writer){.begin = memory, .end = memory + SPAN_BYTES_MAX - TAIL_BYTES, .events_dropped = head->events_dropped};
    char *at = wire_open(memory, WIRE_LENGTH(SCOPE_SPANS));
    at = wire_bytes(at, WIRE_LENGTH(SPAN_TRACE_ID), head->context.trace_id, TRACE_ID_BYTES);
    at = wire_bytes(at, WIRE_LENGTH(SPAN_ID), head->context.span_id, SPAN_ID_BYTES);
    at = put_head_text(at, WIRE_LENGTH(SPAN_TRACE_STATE), head->trace_state);
    if (head->parent_id != NULL)
        at = wire_bytes(at, WIRE_LENGTH(SPAN_PARENT_ID), head->parent_id, SPAN_ID_BYTES);
    at = put_head_text(at, WIRE_LENGTH(SPAN_NAME), head->name);
    *at++ = WIRE_VARINT(SPAN_KIND);
    *at++ = (char)head->kind;
    at = wire_time(at, WIRE_FIXED64(SPAN_BEGUN), head->begun);
    at = wire_time(at, WIRE_FIXED64(SPAN_ENDED), head->ended);
    at = put_status(at, head->status, head->message);
    at = wire_varint(at, WIRE_FIXED32(SPAN_FLAGS));
    at = wire_fixed(at, head->context.flags | FLAG_REMOTE_KNOWN | (head->parent_id != NULL && head->parent_is_remote ? FLAG_REMOTE : 0u), 4);
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
        return WIRE_LENGTH(SPAN_ATTRIBUTES);
    return writer->inner_is_event ? WIRE_LENGTH(EVENT_ATTRIBUTES) : WIRE_LENGTH(LINK_ATTRIBUTES);
}

static void put_attribute(struct span_writer *writer, struct bytes key, const struct wire_value *value) {
    const char *const end = writer->inner == NULL ? writer->end : writer->end - COUNT_BYTES;
    char *const begin = attribute_begin(writer);
    char *const at = begin == NULL ? NULL : wire_attribute(begin, end, attribute_tag(writer), key, value);
    if (at == NULL) {
        (*(writer->inner != NULL ? &writer->inner_attributes_dropped : &writer->attributes_dropped))++;
        return;
    }
    writer->at = at;
    (*(writer->inner != NULL ? &writer->inner_attributes : &writer->attributes))++;
}

void span_text(struct span_writer *writer, struct bytes key, struct bytes value) {
    if (value.len > 0)
        put_attribute(writer, key, &(struct wire_value){.put = wire_value_text, .text = value});
}

void span_number(struct span_writer *writer, struct bytes key, int64_t value) {
    put_attribute(writer, key, &(struct wire_value){.put = wire_value_number, .number = value});
}

void span_list(struct span_writer *writer, struct bytes key, struct bytes value) {
    put_attribute(writer, key, &(struct wire_value){.put = wire_value_list, .text = value});
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
            writer->at = wire_varint(writer->at, writer->inner_attributes_dropped);
        }
        CHECK(writer->at <= writer->end);
        wire_close(writer->inner, writer->at);
        (*(writer->inner_is_event ? &writer->events : &writer->links))++;
    }
    writer->inner = NULL;
}

void span_event_begin(struct span_writer *writer, struct bytes name, nanoseconds at) {
    const char *const end = writer->end - COUNT_BYTES;
    inner_begin(writer, true);
    if (writer->inner_is_dropped || end - writer->at < 1 + WIRE_LENGTH_BYTES + 9) {
        inner_open(writer, NULL);
        return;
    }
    char *const content = wire_time(wire_open(writer->at, WIRE_LENGTH(SPAN_EVENTS)), WIRE_FIXED64(EVENT_TIME), at);
    inner_open(writer, wire_text(content, end, WIRE_LENGTH(EVENT_NAME), name));
}

void span_event_end(struct span_writer *writer) {
    inner_end(writer, WIRE_VARINT(EVENT_ATTRIBUTES_DROPPED));
}

void span_link_begin(struct span_writer *writer, const struct trace_context *to) {
    const char *const end = writer->end - COUNT_BYTES;
    inner_begin(writer, false);
    if (writer->inner_is_dropped || end - writer->at < 1 + WIRE_LENGTH_BYTES + 2 + TRACE_ID_BYTES + 2 + SPAN_ID_BYTES + 5) {
        inner_open(writer, NULL);
        return;
    }
    char *at = wire_open(writer->at, WIRE_LENGTH(SPAN_LINKS));
    at = wire_bytes(at, WIRE_LENGTH(LINK_TRACE_ID), to->trace_id, TRACE_ID_BYTES);
    at = wire_bytes(at, WIRE_LENGTH(LINK_SPAN_ID), to->span_id, SPAN_ID_BYTES);
    *at++ = WIRE_FIXED32(LINK_FLAGS);
    inner_open(writer, wire_fixed(at, to->flags | FLAG_REMOTE_KNOWN, 4)); // links are to spans of our own
}

void span_link_end(struct span_writer *writer) {
    inner_end(writer, WIRE_VARINT(LINK_ATTRIBUTES_DROPPED));
}

// ---- the end

static char *put_count(char *at, char tag, uint32_t count) {
    if (count == 0)
        return at;
    *at = tag;
    return wire_varint(at + 1, count);
}

size_t span_end(struct span_writer *writer) {
    CHECK(writer->inner == NULL);
    char *at = writer->at;
    at = put_count(at, WIRE_VARINT(SPAN_ATTRIBUTES_DROPPED), writer->attributes_dropped);
    at = put_count(at, WIRE_VARINT(SPAN_EVENTS_DROPPED), writer->events_dropped);
    at = put_count(at, WIRE_VARINT(SPAN_LINKS_DROPPED), writer->links_dropped);
    CHECK(at <= writer->begin + SPAN_BYTES_MAX);
    wire_close(writer->begin, at);
    return (size_t)(at - writer->begin);
}
