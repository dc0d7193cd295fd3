// What a stream counts at its end: one duration in a series of telemetry/request_series.h, one end of its service.
#ifndef STREAM_STREAM_COUNT_H
#define STREAM_STREAM_COUNT_H

struct stream;

void stream_count(struct stream *stream);

#endif
