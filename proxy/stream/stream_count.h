// What a stream counts at its end: one duration in a series of telemetry/request_series.h, one end of its service.
#ifndef STREAM_STREAM_COUNT_H
#define STREAM_STREAM_COUNT_H

#include "base/bytes.h"

#include <stdbool.h>

struct head;
struct stream;

void stream_count(struct stream *stream);

// "package.Service/Method" of a path "/package.Service/Method"; empty: it has another form.
struct bytes rpc_method(const struct head *request);

// A stream that is over: whether there is such a method, as far as its answer says. Who may not call any may have made up its name.
bool rpc_method_is_known(const struct stream *stream);

#endif
