// What a stream counts at its end: one duration in a series of telemetry/request_series.h, one end of its service.
#ifndef STREAM_STREAM_COUNT_H
#define STREAM_STREAM_COUNT_H

#include "base/bytes.h"

struct head;
struct stream;

void stream_count(struct stream *stream);

// "package.Service/Method" of a path "/package.Service/Method"; empty: it has another form.
struct bytes rpc_method(const struct head *request);

#endif
