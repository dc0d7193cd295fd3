// What spans say of a request: names and attributes by OpenTelemetry's conventions for HTTP (stable) and RPC, and what only we know as outrigger.*.
#ifndef STREAM_TRACE_ATTRIBUTES_H
#define STREAM_TRACE_ATTRIBUTES_H

#include "base/error.h"
#include "base/bytes.h"

struct trace_draft;

// The name of the span. May lie in the stream's pool.
struct bytes trace_name_of(const struct trace_draft *draft);

// What was asked for and what was answered: http.* or rpc.*.
void trace_put_request(struct trace_draft *draft);

// Of whom it was asked, of a CLIENT span; and which endpoint that was, where there was one.
void trace_put_asked(struct trace_draft *draft);
void trace_put_endpoint(struct trace_draft *draft);

// What of us was asked for, and by whom, of a SERVER span.
void trace_put_served(struct trace_draft *draft);

// outrigger.*, with `end`; and what policies ask for.
void trace_put_ours(struct trace_draft *draft, enum error end);

#endif
