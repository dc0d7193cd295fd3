// A stream's part in a trace: the context that its request brought, whether its spans are recorded, and what the requests that are sent on are told (docs/telemetry.md, Traces).
//
// An inbound listener has a SERVER span for each request, an outbound one a CLIENT span for each try, a gateway both. What is not recorded goes on as it came; where nobody has begun a
// trace one begins here, and whether it is recorded is told on too. stream->tracing is NULL where nothing of that is wanted: env->spans is NULL, the connection is opaque, a TelemetryPolicy
// says so, or it is a request of our own.
#ifndef STREAM_TRACING_H
#define STREAM_TRACING_H

#include "stream/stream.h"
#include "stream/trace_event.h"
#include "telemetry/trace_context.h"

struct stream_tracing {
    // What this stream is in its trace. Its span is the SERVER span; else that of the try that is told of, once the stream is over; of what is not recorded and came with a context, as it
    // came.
    struct trace_context context;
    uint8_t parent_id[SPAN_ID_BYTES];
    uint8_t first_id
        [SPAN_ID_BYTES]; // where it is recorded and has no SERVER span: of the first try's span, or of the one in its place where no try is made
    bool has_parent;
    bool parent_is_remote;
    bool is_recorded;
    bool is_debug; // by B3
    bool has_server_span;
    bool tells;              // the heads of requests that are sent on get its context; else in the forms alone that they lack
    bool is_w3c;             // it came so
    bool changes_state;      // and their tracestate is `state`
    bool events_are_records; // of the log, where somebody sends those
    struct telemetry_propagators propagators;
    struct bytes state;         // tracestate; empty: none
    struct trace_events events; // of the SERVER span; where there is none, of the first try
};

// Of a try that has a CLIENT span.
struct attempt_span {
    uint8_t id[SPAN_ID_BYTES];
    nanoseconds begun, ended;     // ended 0: not yet
    uint32_t resend_count;        // tries before it
    struct attempt_span *follows; // that it was made for; NULL: the first
    bool is_hedge;
    struct trace_events events;
};

static inline bool stream_is_recorded(const struct stream *stream) {
    return stream->tracing != NULL && stream->tracing->is_recorded;
}

// The head was judged, and it is known where the request goes, or that it goes nowhere; its fields are not yet changed by filters.
void tracing_begin(struct stream *stream);

// `stream` is a subrequest, on behalf of `parent`: its spans are below that one's.
void tracing_begin_below(struct stream *stream, const struct stream *parent);

// All of a request's tracestate; of the trace that its traceparent names. Its members point into the head.
struct tracestate tracing_read_state(const struct head *request);

// stream->attempts->last was begun, since `before` (NULL: it is the first) was not enough. In the place of `lost`: the other counts as never made.
void tracing_begin_attempt(struct stream *stream, const struct attempt *before, bool is_hedge);
void tracing_replace_attempt(struct attempt *attempt, struct attempt *lost);

// attempt->head is about to be sent.
void tracing_tell(struct attempt *attempt);

// The stream is over, and all of its attempts are: writes its spans.
void tracing_end(struct stream *stream);

#endif
