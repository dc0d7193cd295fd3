// What the spans of a stream say: names, kinds, statuses and attributes by OpenTelemetry's conventions for HTTP (stable) and RPC, and what only we know as outrigger.*.
// Used by tracing.c, at the end of a stream that is recorded.
#ifndef STREAM_TRACE_SPAN_H
#define STREAM_TRACE_SPAN_H

struct stream;

// All of them, into env->spans: the SERVER span, and the CLIENT spans of tries in the order in which they were over; or the CLIENT span of a request of which no try was made.
void trace_spans_write(struct stream *stream);

#endif
