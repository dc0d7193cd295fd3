// The record of a stream for the access log and its counters, made once at its end.
#ifndef STREAM_STREAM_LOG_H
#define STREAM_STREAM_LOG_H

struct stream;

void stream_log(struct stream *stream);

#endif
