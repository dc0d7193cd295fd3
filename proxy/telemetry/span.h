// Writes one finished span as OTLP has it, in one pass and into memory of its caller: field 2 (spans) of ScopeSpans with tag and length, as telemetry/export_queue takes it.
//
// Whatever is put into it, what comes out is a valid message of at most SPAN_BYTES_MAX bytes with valid UTF-8: texts are cut, attributes, events and links for which there is no
// room are left out and counted in the span itself (dropped_attributes_count and its kin). Lengths are varints of two bytes, padded where they need not be that long.
//
//   span_begin, then attributes of the span, links and events (each with its own attributes between begin and end), in any order, then span_end.
#ifndef TELEMETRY_SPAN_H
#define TELEMETRY_SPAN_H

#include "base/clock.h"
#include "telemetry/export_queue.h"
#include "telemetry/trace_context.h"

#define SPAN_BYTES_MAX EXPORT_RECORD_MAX

// OpenTelemetry's own bounds: of each kind in a span, and of attributes in an event or a link.
#define SPAN_ITEMS_MAX 128

// Of one text: a value, a name, the status's message.
#define SPAN_TEXT_MAX 1024

enum span_kind { SPAN_SERVER = 2, SPAN_CLIENT = 3 };

enum span_status { SPAN_UNSET, SPAN_OK, SPAN_ERROR };

struct span_head {
    struct trace_context context;
    const uint8_t *parent_id; // SPAN_ID_BYTES; NULL: it is a root
    bool parent_is_remote;
    struct bytes trace_state; // empty: none
    struct bytes name;
    enum span_kind kind;
    nanoseconds begun, ended; // since 1970
    enum span_status status;
    struct bytes message;    // of the status; empty: none
    uint32_t events_dropped; // that nobody has kept
};

struct span_writer {
    char *begin, *at;
    char *end;   // of what may be written before span_end
    char *inner; // where the event or link begins that is open; NULL: none is
    bool inner_is_event;
    bool inner_is_dropped; // there was no room for it
    uint32_t attributes, events, links, inner_attributes;
    uint32_t attributes_dropped, events_dropped, links_dropped, inner_attributes_dropped;
};

// `memory` has SPAN_BYTES_MAX bytes.
void span_begin(struct span_writer *writer, char *memory, const struct span_head *head);

// An attribute of what is open: the event or link, else the span. A text that is empty is left out.
void span_text(struct span_writer *writer, struct bytes key, struct bytes value);
void span_number(struct span_writer *writer, struct bytes key, int64_t value);

// An array of one text: what a header's name stands for.
void span_list(struct span_writer *writer, struct bytes key, struct bytes value);

void span_event_begin(struct span_writer *writer, struct bytes name, nanoseconds at);
void span_event_end(struct span_writer *writer);

void span_link_begin(struct span_writer *writer, const struct trace_context *to);
void span_link_end(struct span_writer *writer);

// Returns its length, from `memory` on.
size_t span_end(struct span_writer *writer);

#endif
