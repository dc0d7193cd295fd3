// A span on its way into the queue: what those who write a part of it share (trace_span, trace_attributes, trace_outcome).
#ifndef STREAM_TRACE_DRAFT_H
#define STREAM_TRACE_DRAFT_H

#include "base/clock.h"
#include "stream/stream.h"
#include "telemetry/convention.h"
#include "telemetry/span.h"

struct trace_draft {
    struct span_writer writer;
    struct stream *stream;
    const struct attempt *attempt; // NULL: the stream's own
    const struct head *request;
    int32_t grpc_code; // CONVENTION_NO_CODE: none
    unsigned status;   // 0: none
    nanoseconds wall_ahead;
    char digits[CONVENTION_DIGITS_MAX]; // of its status as error.type
};

#endif
