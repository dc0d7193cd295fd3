// The context of a trace as requests carry it: W3C Trace Context (traceparent, tracestate with OpenTelemetry's `ot`), B3 in one field or in several, the limits of W3C Baggage;
// and which traces are sampled. Bytes in, bytes out: which fields are read and written when is stream/tracing.h's.
#ifndef TELEMETRY_TRACE_CONTEXT_H
#define TELEMETRY_TRACE_CONTEXT_H

#include "base/bytes.h"

#define TRACE_ID_BYTES 16
#define SPAN_ID_BYTES 8

// Flags of traceparent. All others are sent as zero.
#define TRACE_SAMPLED 0x01
#define TRACE_RANDOM 0x02 // level 2: the low 56 bits of the trace id are random; whoever takes part passes it on

struct trace_context {
    uint8_t trace_id[TRACE_ID_BYTES];
    uint8_t span_id[SPAN_ID_BYTES];
    uint8_t flags;
};

// Lower case, two for each byte, no NUL. Returns what is behind them.
char *trace_hex_print(const uint8_t *id, size_t count, char *text);

// ---- traceparent (W3C Trace Context section 3.2)

#define TRACEPARENT_LENGTH 55

// False: it is not valid, and the trace begins anew. Of a version that is not known the fields of version 00 are read.
bool traceparent_parse(struct bytes text, struct trace_context *context);

// Version 00.
void traceparent_print(const struct trace_context *context, char text[TRACEPARENT_LENGTH]);

// ---- tracestate (section 3.3)

#define TRACESTATE_MEMBERS_MAX 32
// Of one that we change so much is passed on: what everybody has to pass on.
#define TRACESTATE_BYTES_MAX 512

struct tracestate {
    struct bytes members[TRACESTATE_MEMBERS_MAX]; // "key=value", the newest first, each key once
    uint32_t count;
    bool is_invalid; // some of it could not be read: nothing of it counts
};

// One line of the field, behind those before. Starts with a zeroed `state`; its members point into the lines.
void tracestate_add(struct tracestate *state, struct bytes line);

// Empty: it has no such member.
struct bytes tracestate_value(const struct tracestate *state, struct bytes key);

// With `ot` in front in the place of the one that it has; an empty `ot`: without one. What is too long loses whole members: first those of more than 128 bytes, then from its
// end. Returns its length; 0: there is none.
size_t tracestate_print(const struct tracestate *state, struct bytes ot, char text[TRACESTATE_BYTES_MAX]);

// ---- sampling (OpenTelemetry: consistent probability sampling)

#define TRACE_OT_BYTES_MAX 256

// Sampled is what has a randomness R of 56 bits, R >= T: so whoever samples more of the traces has all of those that one has who samples less.
#define TRACE_THRESHOLD_ALL UINT64_C(0)
#define TRACE_THRESHOLD_NONE (UINT64_C(1) << 56)

// T for `numerator` of `denominator`, at least 1.
uint64_t trace_threshold(uint32_t numerator, uint32_t denominator);

// R is `rv` of tracestate's `ot`, where that is valid and has one, else the low 56 bits of the trace id.
bool trace_is_sampled(const uint8_t trace_id[TRACE_ID_BYTES], struct bytes ot, uint64_t threshold);

// The value of `ot` that says so: `th` for `threshold`, behind it what `ot` says of anything else, as far as it is valid and has room. TRACE_THRESHOLD_NONE: without `th`,
// since no probability has chosen it. Returns its length; 0: there is nothing to say.
size_t trace_ot_print(struct bytes ot, uint64_t threshold, char text[TRACE_OT_BYTES_MAX]);

// ---- B3

enum b3_sampling {
    B3_DEFERRED, // nobody has decided yet
    B3_DENIED,
    B3_ACCEPTED,
    B3_DEBUG // accepted, whatever samplers say
};

struct b3 {
    bool has_ids;                 // else it says how to sample alone
    struct trace_context context; // TRACE_SAMPLED where it is accepted
    enum b3_sampling sampling;
};

#define B3_LENGTH (2 * TRACE_ID_BYTES + 1 + 2 * SPAN_ID_BYTES + 2)

// The field b3. False: it is not valid.
bool b3_parse(struct bytes text, struct b3 *b3);

// X-B3-TraceId, -SpanId, -Sampled and -Flags; empty: there is no such field. False: they are not valid, or say nothing.
bool b3_parse_fields(struct bytes trace_id, struct bytes span_id, struct bytes sampled, struct bytes flags, struct b3 *b3);

// The field b3, as whoever has decided sends it: with a sampling state, without a parent.
void b3_print(const struct trace_context *context, bool is_debug, char text[B3_LENGTH]);

// ---- baggage

// What has to be passed on, over all lines of the field.
#define BAGGAGE_MEMBERS_MAX 64
#define BAGGAGE_BYTES_MAX 8192

struct baggage_room {
    uint32_t members;
    size_t bytes;
};

// How much of this line goes on: whole members, as they came. Begins with {BAGGAGE_MEMBERS_MAX, BAGGAGE_BYTES_MAX}.
size_t baggage_fit(struct baggage_room *room, struct bytes line);

#endif
